# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon dies, the admin goes on with virsh, and only then the daemon comes back: recovery believes what is on
the disks, not what it left."""
import os
import shutil

import pytest
from vmsnaptest.daemon import CtlError
from vmsnaptest.wait import until


def killed(lab, fault, *words):
    """The command dies with the daemon, which stays down."""
    lab.daemon.restart(fault)
    try:
        lab.ctl(*words)
    except CtlError:
        pass
    lab.daemon.wait_end()


def run_by_virsh(lab, machine, ticks=3):
    """The guest is started and ended past vmsnap; returns what it left on its disks."""
    machine.serial.mark()
    lab.virsh("start", machine.name)
    machine.serial.ticks(ticks)
    lab.virsh("destroy", machine.name)
    until(lambda: machine.state() == "shutoff", "the guest's end")


def test_save_and_then_started_by_virsh(lab):
    """Its memory is of no use any more: the disks went on."""
    machine = lab.adopted(start=True)
    machine.serial.reach(4)
    killed(lab, "kill-after:vm-save.end", "vm", "save", machine.name)
    run_by_virsh(lab, machine)
    at = machine.numbers()
    lab.daemon.start()
    assert machine.show()["state"] == "off" and not machine.config().state
    machine.serial.mark()
    machine.vm("start")
    assert machine.serial.wait(lambda line: line.kind == "boot", "a boot").disks == at


def test_saved_whole_after_a_kill(lab):
    """Nobody touched it: the memory that was saved just before the daemon died is kept."""
    machine = lab.adopted(start=True)
    machine.serial.reach(4)
    killed(lab, "kill-after:vm-save.end", "vm", "save", machine.name)
    at = machine.numbers()
    lab.daemon.start()
    assert machine.show()["state"] == "saved"
    machine.serial.mark()
    machine.vm("start")
    assert at[0] <= machine.serial.first().ram <= at[0] + 1


def test_save_state_of_an_older_time(lab):
    """A .vsv that came back with a backup is not taken for the one that is being made."""
    machine = lab.machine(start=True)
    machine.serial.reach(3)
    machine.vm("save")
    state = machine.config().state
    shutil.copy(state, state + ".old")
    machine.vm("start")
    os.rename(state + ".old", state)
    machine.serial.ticks(3)
    machine.vm("save")
    at = machine.numbers()
    machine.serial.mark()
    machine.vm("start")
    assert at[0] <= machine.serial.first().ram <= at[0] + 1


def test_resume_while_a_disk_is_away(lab):
    """A disk that is not there yet when the daemon starts says nothing about the save state."""
    machine = lab.adopted(start=True)
    machine.serial.reach(3)
    machine.vm("save")
    state, path = machine.config().state, machine.config().disks[1].path
    killed(lab, "kill-before:vm-resume.restore", "vm", "start", machine.name)
    os.rename(path, path + ".away")
    lab.daemon.spawn()
    until(lambda: "settling an interrupted operation" in lab.daemon.log(), "an attempt to settle")
    assert os.path.exists(state) and machine.config().state
    os.rename(path + ".away", path)
    lab.daemon.stop()
    lab.daemon.start()
    assert machine.show()["state"] == "saved"
    machine.vm("start")
    machine.serial.ticks(2)


def test_guest_that_ended_after_an_apply(lab):
    """The applied snapshot ran on for a while before the daemon came back: that is the present now."""
    machine = lab.adopted(start=True)
    machine.serial.reach(3)
    snapshot = machine.snapshot("first")["id"]
    machine.serial.mark()
    killed(lab, "kill-before:snapshot-apply.cleanup", "snapshot", "apply", machine.name, snapshot, "--discard")
    machine.serial.ticks(4)
    lab.virsh("destroy", machine.name)
    at = machine.numbers()
    assert at[0] > machine.sealed_numbers(snapshot)[0] + 1
    lab.daemon.start()
    assert machine.state() == "shutoff" and machine.numbers() == at
    assert machine.config().parent == snapshot


def test_started_on_the_old_disks(lab):
    """An off VM is started after the commit, before the domain knows of the new disks: it stays on the disks that
    it writes, and the snapshot, whose disks they are, is dropped."""
    machine = lab.adopted()
    machine.start()
    machine.serial.reach(3)
    machine.stop()
    before = machine.config().disk_paths()
    killed(lab, "kill-after:snapshot-create.commit", "snapshot", "create", machine.name, "--name", "new")
    machine.serial.mark()
    lab.hv.virsh("start", machine.name)
    machine.serial.ticks(3)
    lab.daemon.start()
    assert machine.snapshots() == {} and machine.config().disk_paths() == before
    machine.serial.ticks(3)
    machine.stop()
    at = machine.numbers()
    machine.snapshot("again")
    machine.serial.mark()
    machine.vm("start")
    assert machine.serial.wait(lambda line: line.kind == "boot", "a boot").disks == at


def test_started_and_ended_on_the_old_disks(lab):
    machine = lab.adopted()
    killed(lab, "kill-after:snapshot-create.commit", "snapshot", "create", machine.name, "--name", "new")
    run_by_virsh(lab, machine)
    lab.daemon.start()
    at = machine.numbers()
    assert machine.snapshots() == {} and at[0] > 2
    machine.serial.mark()
    machine.vm("start")
    assert machine.serial.wait(lambda line: line.kind == "boot", "a boot").disks == at


def test_ended_and_undefined_after_the_switch(lab):
    """No domain is left to ask: the guest wrote to the new disks, so they are the VM's."""
    machine = lab.adopted(start=True)
    machine.serial.reach(3)
    killed(lab, "kill-after:snapshot-create.capture", "snapshot", "create", machine.name, "--name", "new")
    machine.serial.ticks(3)
    last = machine.serial.lines()[-1].ram
    lab.hv.virsh("destroy", machine.name)
    lab.hv.virsh("undefine", machine.name)
    lab.daemon.start()
    assert machine.numbers()[0] >= last and set(machine.snapshots()) == {"new"}
    machine.serial.mark()
    machine.vm("start")
    assert machine.serial.wait(lambda line: line.kind == "boot", "a boot").disks[0] >= last


def test_mode_of_a_disk_that_was_not_sealed(lab):
    """A snapshot that fails before it seals anything leaves the admin's mode alone."""
    machine = lab.machine()
    (path,) = machine.config().disk_paths().values()
    os.chmod(path, 0o640)
    lab.daemon.restart("fail:snapshot-create.overlays")
    with pytest.raises(CtlError):
        machine.snapshot("new")
    assert os.stat(path).st_mode & 0o7777 == 0o640
