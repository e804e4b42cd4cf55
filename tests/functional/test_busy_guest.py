# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that writes all its memory at each tick, captured in each mode: every page is of the same instant, which
is that of the disks, and it goes on from there."""
import os
import struct

import pytest
from vmsnaptest.busy import check_size, memory_of
from vmsnaptest.fixtures import build
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.where import require_userfaultfd

pytestmark = pytest.mark.one_driver  # what QEMU writes and its reader splits; test_background takes such captures under both

MEMORY, TOUCH, MIB, PAGE = 64, 40, 1 << 20, 4096


def boot(lab, vcpus, busy):
    image = lab.path("busy.img")
    build.boot(image, touch=TOUCH, busy=busy)
    machine = Machine(lab, PREFIX + "busy", lab.path("busy.log"))
    lab.create(machine, image, memory=MEMORY, vcpus=vcpus)
    machine.start()
    machine.serial.reach(4)
    return machine


def marks(memory, start):
    """The number that each page was written at: the guest puts its address plus that number there."""
    return [struct.unpack_from("<I", memory, start + MIB + at)[0] - (MIB + at) for at in range(0, TOUCH * MIB, PAGE)]


@pytest.mark.parametrize("vcpus", [1, 2])
@pytest.mark.parametrize("mode", ["background", "live", "paused"])
def test_every_page_is_of_one_instant(lab, mode, vcpus):
    if mode == "background":
        require_userfaultfd(lab.hv)
    machine = boot(lab, vcpus, busy=True)
    machine.serial.mark()
    snapshots = []
    for n in range(3):
        machine.serial.ticks(2)
        snapshots.append(machine.snapshot(f"s{n}", "--mode", mode))
        assert snapshots[-1]["mode"] == mode
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    for snapshot in snapshots:
        memory, start = memory_of(lab, machine, snapshot)
        found = marks(memory, start)
        changes = sum(a != b for a, b in zip(found, found[1:]))
        assert changes <= 1, f"{snapshot['name']}: pages of {len(set(found))} instants"  # in the middle of a round
        check_size(machine, snapshot, memory)
    for snapshot in reversed(snapshots):
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])


@pytest.mark.parametrize("mode", ["background", "live", "paused"])
def test_a_second_one_of_an_idle_guest_costs_little(lab, mode):
    """Less than a hundredth of the first: both files, though the second of them holds the devices each time."""
    if mode == "background":
        require_userfaultfd(lab.hv)
    machine = boot(lab, 1, busy=False)
    cost = []
    for name in ("first", "second"):
        machine.serial.ticks(2)
        config = machine.snapshot_config(machine.snapshot(name, "--mode", mode)["id"])
        cost.append(sum(os.stat(path).st_blocks * 512 for path in (config.state, config.memory)))
    assert TOUCH * MIB < cost[0] and cost[1] < cost[0] / 100, cost
