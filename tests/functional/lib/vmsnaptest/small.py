# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores on file systems of their own: small ones, full ones."""
import os
import subprocess

import pytest

from .wait import until


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@pytest.fixture
def small(lab):
    """The store on a file system of 64 MiB."""
    lab.daemon.stop()
    mount("-t", "tmpfs", "-o", "size=64m,mode=0711", "vmsnap-test", lab.daemon.store)
    lab.daemon.start()
    yield lab
    lab.daemon.stop()
    lab.hv.reset()
    until(lambda: subprocess.run(["umount", lab.daemon.store], capture_output=True).returncode == 0, "unmounting")
    lab.check_at_end = False


def fill(lab, leave):
    """Fills the store's file system up to `leave` bytes; returns the name of what fills it."""
    status = os.statvfs(lab.daemon.store)
    with open(os.path.join(lab.daemon.store, "ballast"), "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, status.f_bavail * status.f_frsize - leave)
    return ballast.name
