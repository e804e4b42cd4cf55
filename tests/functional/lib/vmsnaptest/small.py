# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores on file systems of their own: small ones, full ones."""
import errno
import os
import subprocess

import pytest

from .wait import until


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


def _on_its_own(lab, mib):
    lab.daemon.stop()
    mount("-t", "tmpfs", "-o", f"size={mib}m,mode=0711", "vmsnap-test", lab.daemon.store)
    lab.daemon.start()
    yield lab
    lab.daemon.stop()
    lab.hv.reset()
    until(lambda: subprocess.run(["umount", lab.daemon.store], capture_output=True).returncode == 0, "unmounting")
    lab.check_at_end = False


@pytest.fixture
def small(lab):
    """The store on a file system of 64 MiB."""
    yield from _on_its_own(lab, 64)


@pytest.fixture
def roomy(lab):
    """The store on a file system of its own, with room for some snapshots."""
    yield from _on_its_own(lab, 160)


def fill(lab, leave):
    """Fills the store's file system up to `leave` bytes, also while others write there; returns the name of what
    fills it."""
    with open(os.path.join(lab.daemon.store, "ballast"), "wb") as ballast:
        while True:
            status = os.statvfs(lab.daemon.store)
            try:
                os.posix_fallocate(ballast.fileno(), 0, max(status.f_bavail * status.f_frsize - leave, 1))
                return ballast.name
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
