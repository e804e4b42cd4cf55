# SPDX-License-Identifier: GPL-2.0-or-later
"""Functional tests: a real daemon, a real libvirt and real guests in private directories."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))

from vmsnaptest.fixtures import *  # noqa: E402,F401,F403
