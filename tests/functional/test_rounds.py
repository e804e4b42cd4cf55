# SPDX-License-Identifier: GPL-2.0-or-later
"""Taken and gone back to, again and again: what was loaded is what is taken the next time.

The idle guest fills a large area once, which must be the same in every snapshot. The busy one writes all of it at each
tick, and itself sees at the next one that each page holds what it wrote (else its line ends in "!"); in every snapshot all
of it is of one round. VMSNAP_ROUNDS says how often; 20 unless VMSNAP_FAULT=quick."""
import hashlib
import os
import struct

import pytest
from vmsnaptest.fixtures import build
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.where import require_userfaultfd

pytestmark = pytest.mark.one_driver  # contents of save states

QUICK = os.environ.get("VMSNAP_FAULT") == "quick"
ROUNDS = int(os.environ.get("VMSNAP_ROUNDS", "2" if QUICK else "20"))
MEMORY, TOUCH, MIB, PAGE = 40, 24, 1 << 20, 4096
CASES = [(mode, vcpus, busy) for mode in ("background", "live", "paused") for vcpus in (1, 2) for busy in (False, True)]
if QUICK:
    CASES = CASES[3::4]  # each mode: busy, with two vCPUs


def start(lab, vcpus, busy):
    image = lab.path("rounds.img")
    build.boot(image, touch=TOUCH, busy=busy)
    machine = Machine(lab, PREFIX + "rounds", lab.path("rounds.log"))
    lab.create(machine, image, memory=MEMORY, vcpus=vcpus)
    machine.start()
    machine.serial.reach(4)
    return machine


def area(lab, machine, snapshot):
    """What the large area holds in a snapshot."""
    path = lab.path("area.ram")
    blocks = lab.ctl("savestate", "extract", machine.name, snapshot["id"], "--ram", path)["blocks"]
    (at,) = [block["offset"] for block in blocks if block["name"] == "pc.ram"]
    with open(path, "rb") as memory:
        memory.seek(at + MIB)
        data = memory.read(TOUCH * MIB)
    os.unlink(path)
    return data


@pytest.mark.parametrize("mode,vcpus,busy", CASES)
def test_rounds(lab, mode, vcpus, busy):
    if mode == "background":
        require_userfaultfd(lab.hv)
    machine = start(lab, vcpus, busy)
    sums = set()
    for n in range(ROUNDS):
        machine.serial.mark()
        snapshot = machine.snapshot(str(n), "--mode", mode)
        assert snapshot["mode"] == mode
        machine.serial.ticks(2)
        machine.serial.undisturbed()
        data = area(lab, machine, snapshot)
        if busy:
            marks = [struct.unpack_from("<I", data, at)[0] - (MIB + at) for at in range(0, len(data), PAGE)]
            assert sum(a != b for a, b in zip(marks, marks[1:])) <= 1 and max(marks) - min(marks) <= 1, \
                f"round {n}: pages of {len(set(marks))} instants"
        else:
            sums.add(hashlib.sha256(data).hexdigest())
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])
    assert len(sums) == (0 if busy else 1)
    machine.serial.ticks(2)
    machine.serial.undisturbed()
