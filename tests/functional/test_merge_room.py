# SPDX-License-Identifier: GPL-2.0-or-later
"""The file system gets full in the middle of a merge in a running guest's QEMU: the guest runs on, the merge waits,
says what it needs, and goes on when there is room."""
import os
import signal

import pytest
from vmsnaptest import disk
from vmsnaptest.lab import require_pulling
from vmsnaptest.merging import merging, waiting, writes_to
from vmsnaptest.running import Running
from vmsnaptest.small import fill
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # file systems that fill up, and QEMU

KIB, MIB = 1 << 10, 1 << 20
QUICK = os.environ.get("VMSNAP_FAULT", "quick") == "quick"
RATE = 256  # KiB a second: there is time for things to happen in the middle
PIECE = 40  # ticks, in which QEMU copies more than it does at a time
# what goes: both images are below the working disk; that goes down; or takes up what is below it
VICTIMS = {"below": "s1", "working": "s2", "pull": "s2"}
DISK = 4 * MIB


class Starved:
    """A merge under way, and what fills the file system."""

    def __init__(self, small, kind):
        if kind == "pull":
            require_pulling()
        self.lab = small
        self.limit(RATE)
        self.running = Running(small, small.adopted() if kind == "pull" else small.machine())
        self.machine = self.running.machine
        much = {"below": [2], "working": [3], "pull": [2, 3]}[kind]  # for a pull: so that it is cheaper
        for number in range(4):
            self.running.write(number, 64 * KIB)
            if number in much:
                self.write_much(number)
            if number < 3:
                self.running.snapshot(f"s{number}")
        (into, *_) = self.machine.config().disks
        if kind != "pull":
            (into,) = self.machine.snapshot_config(self.machine.snapshots()[VICTIMS[kind]]["id"]).disks
        self.running.start()
        small.merges = False
        self.running.delete(VICTIMS[kind])
        until(lambda: merging(small) and writes_to(self.machine, into.path), "the merge to copy")

    def limit(self, rate):
        with open(self.lab.path("vmsnapd.conf"), "w") as conf:
            conf.write(f"merge-bandwidth = {rate}\n")
        self.lab.daemon.options = ["--config", self.lab.path("vmsnapd.conf")]
        self.lab.daemon.restart()

    def write_much(self, number):
        """In many places: QEMU copies what lies together at once, however slowly it is to go."""
        for d in self.machine.config().disks:
            for offset in range(MIB + 64 * KIB * (number % 2), DISK, 128 * KIB):
                disk.write(d.path, d.format, offset, 64 * KIB, number + 7)

    def check_waits(self):
        """The merge tells what it needs, the guest runs on, and all snapshots are whole."""
        phase = until(lambda: waiting(self.lab), "the merge to wait for room")["phase"]
        assert "needed" in phase and "free" in phase and self.lab.daemon.store in phase
        self.machine.serial.reach(self.running.last() + 3)
        self.machine.serial.undisturbed()
        self.running.check_shown()

    def check_goes_on(self, ballast):
        os.unlink(ballast)
        until(lambda: merging(self.lab) or not self.lab.mergeable(), "the merge to go on")
        self.limit(0)
        self.lab.merges = True
        self.running.check()
        assert [len(self.running.chain(d)) for d in self.machine.config().disks] == [3] * len(self.running.present)
        self.running.check_starts_again()


@pytest.mark.skipif(QUICK, reason="VMSNAP_FAULT=quick: the full disk is enough")
@pytest.mark.parametrize("kind", VICTIMS)
def test_stops_before_it_is_full(small, kind):
    """The last of the room is left to the guest."""
    starved = Starved(small, kind)
    ballast = fill(small, 4 * MIB)
    starved.check_waits()
    assert not small.daemon.intents()
    starved.check_goes_on(ballast)


@pytest.mark.parametrize("kind", ["below"] if QUICK else VICTIMS)
def test_qemu_meets_a_full_disk(small, kind):
    """Nobody stops QEMU in time, and its block job fails."""
    starved = Starved(small, kind)
    os.kill(small.daemon.process.pid, signal.SIGSTOP)
    try:
        ballast = fill(small, 0)
        starved.machine.serial.reach(starved.running.last() + PIECE)
    finally:
        os.kill(small.daemon.process.pid, signal.SIGCONT)
    starved.check_waits()
    starved.check_goes_on(ballast)
