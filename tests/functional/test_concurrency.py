# SPDX-License-Identifier: GPL-2.0-or-later
"""Several VMs at once; on one VM, one operation at a time."""
import time

import pytest
from vmsnaptest import varlink
from vmsnaptest.daemon import BUSY, CtlError
from vmsnaptest.wait import until


def _slow(lab):
    """A VM whose memory takes a while to save: 256 MiB, all of it written."""
    import build

    path = lab.path("touch.img")
    build.boot(path, touch=220)
    from vmsnaptest.machine import PREFIX, Machine

    machine = Machine(lab, PREFIX + "slow", lab.path("slow.log"))
    lab.ctl("vm", "create", machine.name, "--memory", "256M", "--vcpus", "1", "--import-disk", path,
            "--console-log", machine.serial.path)
    machine.start()
    return machine


def test_two_vms_at_the_same_time(lab):
    """Both jobs run at once, and both snapshots are whole."""
    machines = [lab.machine("one", start=True), lab.machine("two", start=True)]
    for machine in machines:
        machine.serial.reach(4)
    running = [lab.daemon.start_ctl("snapshot", "create", m.name, "--name", "same time") for m in machines]
    done = [lab.daemon.end_ctl(process)["snapshot"] for process in running]
    for machine, snapshot in zip(machines, done):
        assert snapshot["vm"] == machine.name
        machine.serial.ticks(3)
        machine.revert()
        machine.check_resumed_from(snapshot["id"])


def test_second_operation_on_the_same_vm_is_refused(lab):
    """At once, with exit code 5, naming the job that holds the VM; the first one is not disturbed."""
    machine = _slow(lab)
    first = lab.daemon.start_ctl("snapshot", "create", machine.name, "--name", "first", "--paused")
    holder = until(lambda: [j for j in lab.daemon_call("ListJobs")["jobs"]
                            if j["vm"] == machine.name and j["state"] == "running"], "the first job")[0]
    began = time.monotonic()
    with pytest.raises(CtlError) as refused:
        machine.snapshot("second")
    took = time.monotonic() - began
    still = first.poll() is None
    snapshot = lab.daemon.end_ctl(first)["snapshot"]
    assert refused.value.error == "VMBusy" and refused.value.code == BUSY
    assert refused.value.parameters["job"] == holder["id"] and holder["id"] in refused.value.message
    assert took < 2 and still, "the first job ended before the second call was answered"
    assert list(machine.snapshots()) == ["first"]
    machine.serial.ticks(3)
    machine.revert()
    machine.check_resumed_from(snapshot["id"])


def test_other_vm_goes_on_meanwhile(lab):
    """A long operation on one VM does not hold up another."""
    other = lab.machine("other")
    machine = _slow(lab)
    first = lab.daemon.start_ctl("snapshot", "create", machine.name, "--name", "first", "--paused")
    until(lambda: [j for j in lab.daemon_call("ListJobs")["jobs"] if j["vm"] == machine.name], "the first job")
    other.snapshot("meanwhile")
    lab.daemon.end_ctl(first)


def test_many_at_once(lab):
    """Six VMs, each through three snapshots and an apply, all at the same time."""
    machines = [lab.machine(f"m{n}") for n in range(6)]
    for n in range(3):
        running = [lab.daemon.start_ctl("snapshot", "create", m.name, "--name", f"s{n}") for m in machines]
        for process in running:
            lab.daemon.end_ctl(process)
    running = [lab.daemon.start_ctl("snapshot", "apply", m.name, "s0", "--discard") for m in machines]
    for process in running:
        lab.daemon.end_ctl(process)
    for machine in machines:
        assert [s["name"] for s in machine.snapshots().values() if s["current"]] == ["s0"]


def test_cancelled(lab):
    """A cancelled snapshot leaves no trace, and the guest runs on."""
    machine = _slow(lab)
    machine.serial.mark()
    with varlink.Connection(lab.daemon.socket) as connection:
        job = connection.call("CreateSnapshot", vm=machine.name, name="dropped", mode="paused", noWait=True)["job"]
        try:
            connection.call("CancelJob", id=job["id"])
        except varlink.VarlinkError as refused:
            assert refused.short == "Refused", refused
    ended = until(lambda: [j for j in lab.daemon_call("ListJobs")["jobs"]
                           if j["id"] == job["id"] and j["state"] not in ("queued", "running")], "the job's end")[0]
    assert ended["state"] in ("cancelled", "done")
    assert (ended["state"] == "done") == ("dropped" in machine.snapshots())
    machine.serial.ticks(3)
    machine.serial.undisturbed()


def test_sigterm_while_it_works(lab):
    """SIGTERM in the middle of a snapshot: the daemon ends with 0, no guest is left paused, the store is lawful."""
    machine = _slow(lab)
    lab.daemon_call("CreateSnapshot", vm=machine.name, name="first", mode="paused", noWait=True)
    lab.daemon.stop()
    machine.serial.ticks(3)
    assert machine.state() == "running"
    lab.daemon.start()
    machine.serial.ticks(3)
