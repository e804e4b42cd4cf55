# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that writes all its memory at each tick, captured in each mode: every page is of the same instant, which
is that of the disks, and it goes on from there."""
import os
import struct

import pytest
from vmsnaptest.fixtures import build
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.where import require_userfaultfd

pytestmark = pytest.mark.one_driver  # what QEMU writes and its reader splits; test_background takes such captures under both

MEMORY, TOUCH, MIB, PAGE = 64, 40, 1 << 20, 4096


def busy_machine(lab, vcpus):
    image = lab.path("busy.img")
    build.boot(image, touch=TOUCH, busy=True)
    machine = Machine(lab, PREFIX + "busy", lab.path("busy.log"))
    lab.create(machine, image, memory=MEMORY, vcpus=vcpus)
    machine.start()
    machine.serial.reach(4)
    return machine


def marks(lab, machine, snapshot):
    """The number that each page was written at: the guest puts its address plus that number there."""
    path = lab.path(f"{snapshot['name']}.ram")
    blocks = lab.ctl("savestate", "extract", machine.name, snapshot["id"], "--ram", path)["blocks"]
    (start,) = [block["offset"] for block in blocks if block["name"] == "pc.ram"]
    with open(path, "rb") as memory:
        memory.seek(start + MIB)
        data = memory.read(TOUCH * MIB)
    os.unlink(path)
    return [struct.unpack_from("<I", data, at)[0] - (MIB + at) for at in range(0, len(data), PAGE)]


@pytest.mark.parametrize("vcpus", [1, 2])
@pytest.mark.parametrize("mode", ["background", "live", "paused"])
def test_every_page_is_of_one_instant(lab, mode, vcpus):
    if mode == "background":
        require_userfaultfd(lab.hv)
    machine = busy_machine(lab, vcpus)
    machine.serial.mark()
    snapshots = []
    for n in range(3):
        machine.serial.ticks(2)
        snapshots.append(machine.snapshot(f"s{n}", "--mode", mode))
        assert snapshots[-1]["mode"] == mode
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    for snapshot in snapshots:
        found = marks(lab, machine, snapshot)
        changes = sum(a != b for a, b in zip(found, found[1:]))
        assert changes <= 1, f"{snapshot['name']}: pages of {len(set(found))} instants"  # in the middle of a round
        config = machine.snapshot_config(snapshot["id"])
        assert os.stat(config.memory).st_blocks * 512 <= (TOUCH + 8) * MIB * 1.01
    for snapshot in reversed(snapshots):
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])
