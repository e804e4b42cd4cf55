# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots in the background: the guest stops for milliseconds, its memory goes out while it runs on."""
import os

import pytest
from vmsnaptest.daemon import CtlError
from vmsnaptest.where import require_userfaultfd


@pytest.fixture(autouse=True)
def kernel(lab):
    require_userfaultfd(lab.hv)


def test_is_the_default_and_of_one_instant(lab):
    """Both disks, the memory and the number the guest says next are of the same tick, ten times in a row."""
    machine = lab.adopted(start=True)
    machine.serial.reach(8)
    machine.serial.mark()
    taken = []
    for n in range(10):
        machine.serial.ticks(2)
        taken.append(machine.snapshot(f"s{n}"))
        assert taken[-1]["mode"] == "background" and not taken[-1].get("reason") and taken[-1]["pauseUSec"] > 0
    machine.serial.undisturbed()
    for snapshot in (taken[-1], taken[0], taken[5]):
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])


def test_nothing_is_left_of_it(lab):
    """Neither files of the capture in the VM's state directory nor QEMU's capability, which would spoil libvirt's own
    snapshots: one by libvirt right afterwards is as good as ever."""
    machine = lab.adopted(start=True)
    machine.serial.reach(4)
    first = machine.snapshot("background")
    state = os.path.join(machine.root, "Virtual Machines", machine.config().guid)
    assert os.listdir(state) == []
    live = machine.snapshot("live", "--mode", "live")
    assert (first["mode"], live["mode"]) == ("background", "live")
    for snapshot in (first, live):
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])


def test_two_vms_at_once(lab):
    machines = [lab.machine(f"vm{n}", start=True) for n in range(2)]
    for machine in machines:
        machine.serial.reach(4)
    running = [lab.daemon.start_ctl("snapshot", "create", machine.name, "--name", "both") for machine in machines]
    taken = [lab.daemon.end_ctl(process)["snapshot"] for process in running]
    for machine, snapshot in zip(machines, taken):
        assert snapshot["mode"] == "background"
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])


def test_doctor(lab):
    """What a snapshot would do, and why: the truth, and nothing is changed by asking."""
    machine = lab.machine()
    assert lab.ctl("doctor", machine.name) == {"mode": "none", "problems": []}
    machine.start()
    machine.serial.reach(4)
    machine.serial.mark()
    assert lab.ctl("doctor", machine.name) == {"mode": "background", "problems": []}
    assert machine.snapshot("as said", "--mode", "live")["mode"] == "live"  # QEMU's capability is off again
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    machine.vm("stop")
    machine.vm("start", "--paused")
    said = lab.ctl("doctor", machine.name)
    assert said["mode"] == "paused" and "paused" in said["reason"]
    machine.vm("resume")


def test_a_paused_guest_is_not_woken(lab):
    """QEMU would let it run afterwards: it is taken in another way, and the reason is told."""
    machine = lab.machine()
    machine.vm("start", "--paused")
    with pytest.raises(CtlError) as refused:
        machine.snapshot("no", "--mode", "background")
    assert "paused" in refused.value.message
    snapshot = machine.snapshot("yes")
    assert snapshot["mode"] == "paused" and "paused" in snapshot["reason"] and machine.state() == "paused"
    machine.vm("resume")
