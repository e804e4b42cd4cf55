# SPDX-License-Identifier: GPL-2.0-or-later
"""Merges that a test meets while they copy."""
import glob
import os
import shutil

import pytest

from .wait import until

OPERATIONS = ("merge", "disk flatten")

# qemu-img that merges into the upper image only once somebody reads the FIFO
GATE = """#!/bin/sh
case "$1 $2" in "rebase -p") : >"{fifo}" || exit 1 ;; esac
exec {real} "$@"
"""


@pytest.fixture
def slow(lab):
    """Merges take for ever until this is called; with another daemon, as a file says."""
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


@pytest.fixture
def gate(lab, monkeypatch):
    """qemu-img stands still before it merges into the upper image; call this to let one go."""
    fifo = lab.path("gate")
    os.mkfifo(fifo)
    os.mkdir(lab.path("bin"))
    with open(lab.path("bin/qemu-img"), "w") as script:
        script.write(GATE.format(fifo=fifo, real=shutil.which("qemu-img")))
    os.chmod(script.name, 0o755)
    monkeypatch.setenv("PATH", lab.path("bin") + ":" + os.environ["PATH"])
    lab.daemon.restart()

    def let_go():
        with open(fifo):
            pass

    return let_go


def jobs(lab, *states):
    return [j for j in lab.ctl("job", "list")["jobs"] if j["state"] in states]


def running_merges(lab):
    return [j for j in jobs(lab, "running") if j["operation"] in OPERATIONS]


def merging(lab):
    """A merge that copies now, or None."""
    found = running_merges(lab)
    return found[0] if found and found[0].get("phase") == "merging" and found[0].get("bytesDone", -1) >= 0 else None


def await_merge(lab):
    return until(lambda: merging(lab), "a merge to copy")


def waiting(lab):
    """A merge that waits for room, or None."""
    found = running_merges(lab)
    return found[0] if found and "waiting for room" in (found[0].get("phase") or "") else None


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
