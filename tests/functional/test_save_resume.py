# SPDX-License-Identifier: GPL-2.0-or-later
"""vm save and starting it again: the VM's own save state."""
import os

import pytest
from vmsnaptest.daemon import REFUSED, CtlError


def test_goes_on_where_it_was(lab):
    machine = lab.adopted(start=True)
    machine.serial.reach(6)
    machine.vm("save")
    assert machine.state() == "shutoff" and machine.show()["state"] == "saved"
    state = machine.config().state
    assert state and os.path.dirname(state) == os.path.join(machine.root, "Virtual Machines", machine.config().guid)
    at = machine.numbers()
    machine.serial.mark()
    machine.vm("start")
    first = machine.serial.first()
    assert at[0] <= first.ram <= at[0] + 1
    machine.serial.reach(first.ram + 3)
    machine.serial.undisturbed()
    assert machine.state() == "running" and not machine.config().state and not os.path.exists(state)


def test_libvirt_has_no_managed_save(lab):
    machine = lab.machine(start=True)
    machine.vm("save")
    assert not machine.domain().managed_save


def test_start_afresh(lab):
    """--discard-saved: the memory is dropped, the disks are as they were."""
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    machine.vm("save")
    state, at = machine.config().state, machine.numbers()
    machine.serial.mark()
    machine.vm("start", "--discard-saved")
    boot = machine.serial.wait(lambda line: line.kind == "boot", "the guest's boot")
    assert boot.disks == at
    assert not os.path.exists(state)


def test_apply_drops_the_saved_state(lab):
    """A saved VM goes back too: its own save state belongs to the present that is discarded."""
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    snapshot = machine.snapshot("first")
    machine.serial.ticks(3)
    machine.vm("save")
    state = machine.config().state
    machine.revert()
    machine.check_resumed_from(snapshot["id"])
    assert not os.path.exists(state)


def test_save_of_a_vm_that_is_off_is_refused(lab):
    machine = lab.machine()
    with pytest.raises(CtlError) as refused:
        machine.vm("save")
    assert refused.value.code == REFUSED


def test_saved_survives_a_restart_of_the_daemon(lab):
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    machine.vm("save")
    at = machine.numbers()
    lab.daemon.restart()
    assert machine.show()["state"] == "saved"
    machine.serial.mark()
    machine.vm("start")
    assert at[0] <= machine.serial.first().ram <= at[0] + 1


def test_damaged_memory_is_found_on_the_way(lab):
    """The VM stays saved, and goes on once the file is what it was."""
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    machine.vm("save")
    config, at = machine.config(), machine.numbers()
    flip(config.memory, 0x7c00)  # where the boot sector was loaded
    with pytest.raises(CtlError) as failed:
        machine.vm("start")
    assert config.memory in f"{failed.value.message} {failed.value.parameters.get('file')}"
    assert machine.state() == "shutoff" and machine.show()["state"] == "saved"
    flip(config.memory, 0x7c00)
    machine.serial.mark()
    machine.vm("start")
    assert at[0] <= machine.serial.first().ram <= at[0] + 1


def flip(path, offset):
    """Turns over a bit."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))
