# SPDX-License-Identifier: GPL-2.0-or-later
"""Fault tests: the daemon is killed between any two steps; see test_kill.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../functional/lib"))

from vmsnaptest.fixtures import *  # noqa: E402,F401,F403
