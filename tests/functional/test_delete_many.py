# SPDX-License-Identifier: GPL-2.0-or-later
"""Many snapshots, deleted in any order: it ends on one disk with the right content, and after each the deep check
finds nothing. VMSNAP_FAULT=full takes fifty of them."""
import os
import random

import pytest
from vmsnaptest import disk
from vmsnaptest.tree import Tree

pytestmark = pytest.mark.one_driver  # the plan of merges, carried out by qemu-img

QUICK = os.environ.get("VMSNAP_FAULT", "quick") == "quick"
MANY = 8 if QUICK else 50


def in_any_order(names, seed):
    names = list(names)
    random.Random(seed).shuffle(names)
    return names


@pytest.mark.parametrize("seed", [1])
def test_bushy(lab, seed):
    """Each snapshot derives from any of those before it."""
    dice = random.Random(seed)
    tree = Tree(lab)
    tree.grow([None] + [dice.randrange(n) for n in range(1, MANY)])
    tree.work()
    present = tree.present()
    for name in in_any_order(tree.seen, seed):
        tree.delete(name)
        tree.check(present)
        lab.agree()
    assert len(disk.chain(tree.machine.config().disks[0].path)) == 1


@pytest.mark.parametrize("seed", [2])
def test_line_of_a_running_guest(lab, seed):
    """It writes to both of its disks at each tick, and does not notice."""
    machine = lab.adopted(start=True)
    machine.serial.reach(4)
    for number in range(MANY):
        machine.snapshot(f"s{number}", "--no-memory")
        machine.serial.ticks(1)
    expected = {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()}
    machine.serial.mark()
    for name in in_any_order(expected, seed):
        machine.delete_snapshot(name)
        del expected[name]
        lab.check()
        lab.agree()
        assert {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()} == expected
    machine.serial.undisturbed()
    said = machine.serial.ticks(2).ram
    for d in machine.config().disks:
        assert len(disk.chain(d.path)) == 2  # the base disk is outside: nothing goes into it
    machine.stop()
    assert min(machine.numbers()) >= said
