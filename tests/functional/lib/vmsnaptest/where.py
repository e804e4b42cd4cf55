# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths of the build and the sources, and tools that a test needs."""
import ctypes
import os
import shutil

import pytest

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../.."))
BUILD = os.path.abspath(os.environ.get("VMSNAP_BUILDDIR", os.path.join(SOURCE, "build")))
SCHEMA_DIR = os.path.join(SOURCE, "xmlcfg")
GUEST_DIR = os.path.join(SOURCE, "tests/functional/guest")


def program(name):
    """The program `name` of this build (VMSNAPD, VMSNAPCTL in the environment name another one)."""
    named = os.environ.get(name.upper())
    if named:
        return named
    for place in ("", "daemon", "client", "savestate"):
        path = os.path.join(BUILD, place, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise RuntimeError(f"{name} is not built in {BUILD} (set VMSNAP_BUILDDIR)")


def missing(what):
    """Skips the test; where CI=true a missing thing is a failure instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def require(*tools):
    """Skips the test unless all these programs are installed."""
    for tool in tools:
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            missing(tool)


def require_file(*paths):
    """Skips the test unless all these files are there."""
    for path in paths:
        if not os.path.exists(path):
            missing(path)


SYS_USERFAULTFD = 323  # x86-64


def require_userfaultfd(hv):
    """Skips the test where the kernel does not let QEMU have it: that is not a matter of what is installed."""
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
    if fd < 0:
        pytest.skip(f"this kernel gives no userfaultfd: {os.strerror(ctypes.get_errno())}")
    os.close(fd)
    if hv.name == "system":  # QEMU is not root there
        with open("/proc/sys/vm/unprivileged_userfaultfd") as setting:
            if setting.read().strip() != "1":
                pytest.skip("vm.unprivileged_userfaultfd is 0 and cannot be set")
