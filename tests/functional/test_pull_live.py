# SPDX-License-Identifier: GPL-2.0-or-later
"""A running guest's own disks take what is below them. That needs QEMU 8.2: VMSNAP_TEST_EMULATOR names one where the
host's is older."""
import os

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.lab import require_pulling
from vmsnaptest.running import Running


@pytest.fixture
def pulling(lab):
    require_pulling()
    return lab


def test_pull(pulling):
    """What a deleted snapshot leaves is less than what was written since: it comes up into the working disks."""
    running = Running(pulling, pulling.adopted())
    for number, size in enumerate((65536, 65536, 1 << 20)):
        running.write(number, size)
        if number < 2:
            running.snapshot(f"s{number}")
    running.start()
    machine = running.machine
    paths = machine.config().disk_paths()
    left = [d.path for d in machine.snapshot_config(machine.snapshots()["s1"]["id"]).disks]
    running.delete("s1")
    running.check()
    assert machine.config().disk_paths() == paths and not any(os.path.exists(path) for path in left)
    running.snapshot("s2", "--no-memory")
    running.delete("s0")  # over what is outside
    running.check()
    running.check_starts_again()


def test_flatten(pulling):
    """Down to a snapshot, then all: nobody sees a difference, what nobody needs is gone, the base outside is not."""
    running = Running(pulling, pulling.adopted())
    machine = running.machine
    outside = [d.path for d in machine.config().disks]
    for number in range(4):
        running.write(number, 65536)
        if number < 3:
            running.snapshot(f"s{number}")
    running.start()

    def lengths():
        return [len(disk.chain_paths(d.path)) for d in machine.config().disks]

    before = lengths()
    pulling.ctl("disk", "flatten", machine.name, "--to", "s0")
    running.check()
    assert lengths() == [n - 2 for n in before]
    running.delete("s2")  # nobody is over it any more
    running.check()
    pulling.ctl("disk", "flatten", machine.name, "--all")
    running.check()
    assert lengths() == [1, 1]
    assert all(os.path.exists(path) for path in outside)
    for name in ("s0", "s1"):
        running.delete(name)
        running.check()
    assert not laws.hidden(machine.root)
    running.check_starts_again()


@pytest.mark.parametrize("victim", ["s0", "s1"])
def test_guest_stands_still(lab, victim):
    """A guest that is paused does not flush by itself: what was merged under it is there all the same when its QEMU is
    killed. s0 goes by a commit below the working disk; s1 comes up into it."""
    if victim == "s1":
        require_pulling()
    running = Running(lab, lab.adopted())
    running.snapshot("base")
    for number, size in enumerate((65536, 65536, 1 << 20)):
        running.write(number, size)
        if number < 2:
            running.snapshot(f"s{number}")
    running.present = running.shown_now()
    machine = running.machine
    machine.vm("start", "--paused")
    before = [len(running.chain(d)) for d in machine.config().disks]
    running.delete(victim)
    lab.merged()
    assert [len(running.chain(d)) for d in machine.config().disks] == [n - 1 for n in before]
    assert machine.state() == "paused"
    machine.kill_guest()
    running.check_disks()
    machine.start()
    machine.serial.ticks(2)
    machine.serial.undisturbed()
