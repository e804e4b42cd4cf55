# SPDX-License-Identifier: GPL-2.0-or-later
"""Deleting a snapshot whose memory others need: a real guest's memory, folded, is what it was.

To have nothing but memory depend on it, the later snapshots get the disks of an earlier one, by hand. So the guest
that comes back finds an older disk than it had; only its memory is looked at."""
import os
import xml.etree.ElementTree as ElementTree

import pytest
from vmsnaptest.serial import parse
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # files of save states


SLACK = 5  # ticks of the guest that came back until one is seen


def info(machine, name):
    return machine.lab.ctl("savestate", "info", machine.name, name)["saveState"]


def give_disks_of(machine, guid, other):
    """Edits the document of a snapshot: the disks of another one, and that as its parent."""
    path = machine.snapshot_config(guid).path
    tree, source = ElementTree.parse(path), ElementTree.parse(machine.snapshot_config(other).path)
    root = tree.getroot()
    for disk in machine.snapshot_config(guid).disks:
        os.unlink(disk.path)
    root.find("disks")[:] = source.getroot().find("disks")[:]
    root.find("properties/parent_id").text = other
    tree.write(path, encoding="utf-8", xml_declaration=True)


def first_number(serial):
    """The number that the guest that came back has in RAM."""
    def look():
        for line in serial.text(serial.turn).splitlines()[1:]:
            said = parse(line)
            if said and said.ram is not None:
                return said.ram
        return None
    return until(look, "the guest that came back")


@pytest.fixture
def machine(lab):
    """Off; a snapshot without memory, then three with memory, each a difference of the one before. On the disks of
    the first of them nothing depends."""
    vm = lab.machine()
    base = vm.snapshot("base")["id"]
    vm.start()
    vm.guids, vm.ticks = [], []
    for name in ("first", "second", "third"):
        vm.serial.reach(vm.ticks[-1] + 2 * SLACK if vm.ticks else 2)
        vm.guids.append(vm.snapshot(name)["id"])
        vm.ticks.append(vm.sealed_numbers(vm.guids[-1])[0])
    vm.apply("base")
    assert info(vm, "second")["parent"] == vm.guids[0] and info(vm, "third")["chain"] == 3
    lab.daemon.stop()
    for guid in reversed(vm.guids[1:]):
        give_disks_of(vm, guid, base)
    lab.daemon.start()
    return vm


def check_others(machine):
    """They need the first no more, and are what they were."""
    assert set(machine.snapshots()) == {"base", "second", "third"}
    assert "parent" not in info(machine, "second") and info(machine, "third")["parent"] == machine.guids[1]
    for i, name in ((2, "third"), (1, "second")):
        machine.lab.ctl("savestate", "verify", machine.name, name)
        machine.apply(name)
        assert machine.ticks[i] <= first_number(machine.serial) <= machine.ticks[i] + SLACK
    names = [name for _, _, files in os.walk(machine.root) for name in files]
    assert not [name for name in names if "fold" in name or name.endswith(".tmp")], names


def test_fold(machine):
    machine.delete_snapshot("first")
    check_others(machine)


def plan_of(machine, name, *scope):
    return machine.lab.ctl("snapshot", "delete", machine.name, name, "--dry-run", *scope)["plan"]


def test_subtree(machine):
    """The second goes and then the first; the third, which derives from neither, takes in one after the other, and the
    plan tells of each time."""
    path = machine.snapshot_config(machine.guids[1]).path
    machine.lab.daemon.stop()
    tree = ElementTree.parse(path)
    tree.getroot().find("properties/parent_id").text = machine.guids[0]
    tree.write(path, encoding="utf-8", xml_declaration=True)
    machine.lab.daemon.start()
    once = plan_of(machine, "second")["foldedBytes"]
    assert plan_of(machine, "first", "--children")["foldedBytes"] == once > 0
    plan = plan_of(machine, "first", "--subtree")
    assert plan["names"] == ["second", "first"] and plan["foldedBytes"] > once
    assert plan["copiedBytes"] == once + plan["foldedBytes"] + sum(a["copiedBytes"] for a in plan["actions"])
    assert plan["neededBytes"] >= plan["foldedBytes"]
    machine.lab.ctl("snapshot", "delete", machine.name, "first", "--subtree")
    assert set(machine.snapshots()) == {"base", "third"} and info(machine, "third")["chain"] == 1
    config = machine.snapshot_config(machine.guids[2])
    written = sum(os.stat(file).st_blocks * 512 for file in (config.state, config.memory))
    assert once < written <= plan["foldedBytes"] + (1 << 20)
    machine.lab.ctl("savestate", "verify", machine.name, "third")
    machine.apply("third")
    assert machine.ticks[2] <= first_number(machine.serial) <= machine.ticks[2] + SLACK


@pytest.mark.parametrize("fault", ["kill-after:snapshot-delete.fold-bin", "kill-after:commit"])
def test_killed(lab, machine, fault):
    """Between the renames, and before them: the next start finishes it."""
    lab.daemon.stop()
    lab.daemon.start(fault=fault)
    lab.daemon.run_ctl("snapshot", "delete", machine.name, "first")
    lab.daemon.wait_end()
    lab.daemon.start()
    until(lambda: not lab.daemon.intents(), "recovery")
    check_others(machine)


def needed_page(machine):
    """Offset of a page that the second has from the first."""
    with open(info(machine, "first")["memoryPath"], "rb") as first, \
            open(info(machine, "second")["memoryPath"], "rb") as second:
        for at in range(0, os.path.getsize(first.name), 4096):
            first.seek(at)
            second.seek(at)
            if any(first.read(4096)) and not any(second.read(4096)):
                return at
    raise AssertionError("the second is no difference")


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_damage_keeps_it(machine):
    """Nothing is deleted where what others need of it is damaged; the file is named."""
    path, state, at = info(machine, "first")["memoryPath"], info(machine, "second"), needed_page(machine)
    flip(path, at)
    done = machine.lab.daemon.run_ctl("snapshot", "delete", machine.name, "first")
    assert done.returncode != 0 and path in done.stderr
    assert set(machine.snapshots()) == {"base", "first", "second", "third"} and info(machine, "second") == state
    flip(path, at)
    machine.delete_snapshot("first")
    check_others(machine)


@pytest.mark.parametrize("fault", [None, "kill-after:snapshot-delete.fold-bin"])
def test_in_the_middle_over_packed_memory(lab, fault):
    """a <- b <- c <- d, of which a and b are packed; then b goes, then a. What is left is of one instant each."""
    vm = lab.machine(start=True)
    vm.serial.reach(3)
    guid = {}
    for name in "abcd":
        guid[name] = vm.snapshot(name)["id"]
        vm.serial.ticks(2)
    assert info(vm, "d")["chain"] == 4
    for name in "ab":
        lab.ctl("savestate", "pack", vm.name, name)
    if fault:
        lab.daemon.restart(fault)
        lab.daemon.run_ctl("snapshot", "delete", vm.name, "b")
        lab.daemon.wait_end()
        lab.daemon.start()
        until(lambda: not lab.daemon.intents(), "recovery")
    else:
        vm.delete_snapshot("b")
    assert set(vm.snapshots()) == {"a", "c", "d"}
    assert info(vm, "c")["parent"] == guid["a"] and info(vm, "d")["chain"] == 3
    vm.delete_snapshot("a")
    assert set(vm.snapshots()) == {"c", "d"}
    assert "parent" not in info(vm, "c") and info(vm, "d")["parent"] == guid["c"]
    for name in "dc":
        lab.ctl("savestate", "verify", vm.name, name)
        vm.apply(name)
        vm.check_resumed_from(guid[name])
