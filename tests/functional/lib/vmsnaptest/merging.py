# SPDX-License-Identifier: GPL-2.0-or-later
"""Merges that a test meets while they copy."""
import glob
import os

import pytest

OPERATIONS = ("merge", "disk flatten")


@pytest.fixture
def slow(lab):
    """Merges take for ever until this is called."""
    path = lab.path("vmsnapd.conf")

    def set_bandwidth(value):
        with open(path, "w") as conf:
            conf.write(f"merge-bandwidth = {value}\n")
        lab.merges = value == 0

    set_bandwidth(1)
    lab.daemon.options = ["--config", path]
    lab.daemon.restart()

    def let_go():
        set_bandwidth(0)
        if lab.daemon.alive():
            lab.daemon.stop()
        lab.daemon.start()

    return let_go


def running_merges(lab):
    return [j for j in lab.ctl("job", "list")["jobs"] if j["operation"] in OPERATIONS and j["state"] == "running"]


def merging(lab):
    """A merge that copies now, or None."""
    jobs = running_merges(lab)
    return jobs[0] if jobs and jobs[0].get("phase") == "merging" and jobs[0].get("bytesDone", -1) >= 0 else None


def waiting(lab):
    """A merge that waits for room, or None."""
    jobs = running_merges(lab)
    return jobs[0] if jobs and "waiting for room" in (jobs[0].get("phase") or "") else None


def writes_to(machine, path):
    """Whether the guest's QEMU has the file open for writing."""
    for link in glob.glob(f"/proc/{machine.qemu()}/fd/*"):
        try:
            if os.readlink(link) == path:
                with open(link.replace("/fd/", "/fdinfo/")) as info:
                    flags = next(int(line.split()[1], 8) for line in info if line.startswith("flags:"))
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    return True
        except OSError:
            pass  # it was closed
    return False
