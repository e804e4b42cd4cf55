# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM directory is complete in itself: moved or copied to another store, it works there."""
import os
import shutil

import pytest
from vmsnaptest.machine import Machine

pytestmark = pytest.mark.one_driver  # files of a store


def _move(lab, machine):
    """Moves the VM directory to another store while daemon and guest are down, and serves that one."""
    old_root = machine.root
    lab.daemon.stop()
    lab.hv.virsh("undefine", machine.name)
    new_store = lab.path("other")
    os.mkdir(new_store, 0o711)
    shutil.move(old_root, os.path.join(new_store, os.path.basename(old_root)))
    shutil.rmtree(lab.daemon.store)
    lab.daemon.store = new_store
    lab.daemon.start()
    return Machine(lab, machine.name, machine.serial.path)


def test_moved_directory_works(lab):
    """Snapshots with memory, off and disk only: all come back in the new place."""
    machine = lab.machine()
    off = machine.snapshot("off")["id"]
    machine.start()
    machine.serial.reach(5)
    memory = machine.snapshot("memory")["id"]
    machine.serial.ticks(3)
    disks = machine.snapshot("disks", "--no-memory")["id"]
    machine.serial.ticks(3)
    machine.stop()
    moved = _move(lab, machine)
    assert {s["id"] for s in moved.snapshots().values()} == {off, memory, disks}
    moved.apply(memory)
    moved.check_resumed_from(memory)
    branch = moved.snapshot("branch")["id"]
    moved.apply(off)
    moved.check_boots_with(off)
    moved.apply(disks)
    moved.check_boots_with(disks)
    moved.apply(branch)
    moved.check_resumed_from(branch)


def test_moved_vm_is_defined_again(lab):
    """The domain of a VM that came with its directory is not there: it is listed, and start defines it."""
    machine = lab.machine()
    machine.snapshot("first")
    moved = _move(lab, machine)
    assert [vm["name"] for vm in lab.ctl("vm", "list")["vms"]] == [machine.name]
    moved.start()
    assert moved.state() == "running"


def test_saved_vm_moves(lab):
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    machine.vm("save")
    at = machine.numbers()
    moved = _move(lab, machine)
    moved.serial.mark()
    moved.vm("start")
    assert at[0] <= moved.serial.first().ram <= at[0] + 1
