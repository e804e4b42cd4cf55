# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that writes all its memory all the time, faster than it can go out: a live capture comes to its end all the
same, or is given up where the admin does not allow the pause, and the domain's own limit is what it was."""
import os

import pytest
from vmsnaptest.busy import check_size, memory_of
from vmsnaptest.daemon import REFUSED, CtlError
from vmsnaptest.fixtures import build
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # QEMU's pace and what the daemon does about it

TOUCH, OWN = 12, 300  # MiB; ms, QEMU's default
SLOW = 4096           # KiB a second: a pass through the memory takes three seconds


@pytest.fixture
def machine(lab):
    image = lab.path("busy.img")
    build.boot(image, touch=TOUCH, busy=True)
    vm = Machine(lab, PREFIX + "busy", lab.path("busy.log"))
    lab.create(vm, image, memory=24)
    vm.start()
    vm.serial.reach(4)
    open(lab.path("slow"), "w").close()
    slowly(lab, SLOW)
    vm.serial.mark()
    return vm


def slowly(lab, rate):
    """The memory goes out slowly as long as the file is there."""
    lab.daemon.restart(f"slow:{rate}:{lab.path('slow')}")


def own_limit(lab, machine):
    return int(lab.virsh("migrate-getmaxdowntime", machine.name))


def check(lab, machine, snapshot):
    """It is of one instant, the guest never noticed, and nothing was left changed."""
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    assert own_limit(lab, machine) == OWN
    check_size(machine, snapshot, memory_of(lab, machine, snapshot)[0])
    machine.apply(snapshot["id"])
    machine.check_resumed_from(snapshot["id"])


def test_is_paused_for_the_rest(lab, machine):
    snapshot = machine.snapshot("paused at last", "--live")
    assert snapshot["mode"] == "live" and "paused for the rest" in snapshot["reason"]
    assert snapshot["pauseUSec"] > 1000000
    log = lab.daemon.log()
    assert log.count("the guest may stand still for") == 3 and log.count("the guest is paused for the rest") == 1
    check(lab, machine, snapshot)


def test_may_stand_still_long_enough(lab, machine):
    slowly(lab, 3 * SLOW)
    snapshot = machine.snapshot("in one go", "--live", "--max-pause", "10000")
    assert snapshot["mode"] == "live" and "paused for the rest" not in snapshot["reason"]
    assert 300000 < snapshot["pauseUSec"] < 10000000
    check(lab, machine, snapshot)


def test_is_given_up(lab, machine):
    with pytest.raises(CtlError) as refused:
        machine.snapshot("never", "--live", "--max-pause", "100")
    assert refused.value.code == REFUSED and "100 are allowed" in refused.value.message
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    assert own_limit(lab, machine) == OWN and machine.snapshots() == {}
    os.unlink(lab.path("slow"))
    check(lab, machine, machine.snapshot("now", "--live", "--max-pause", "0"))


def test_killed_with_the_limit_raised(lab, machine):
    """The daemon dies: the domain gets its own limit back when it returns."""
    kill = lab.daemon.kill_when(lambda: "the guest may stand still for" in lab.daemon.log())
    lab.daemon.run_ctl("snapshot", "create", machine.name, "--name", "never", "--live")
    kill.join()
    lab.daemon.start()
    assert own_limit(lab, machine) == OWN
    until(lambda: machine.state() == "running", "the guest running")
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    check(lab, machine, machine.snapshot("after", "--live"))


def test_cancelled_while_it_does_not_end(lab, machine):
    job = lab.ctl("snapshot", "create", machine.name, "--name", "never", "--live", "--no-wait")["job"]["id"]
    until(lambda: "the guest may stand still for" in lab.daemon.log(), "the limit being raised")
    lab.ctl("job", "cancel", job)
    until(lambda: lab.daemon_call("GetStatus")["jobsRunning"] == 0, "the job's end")
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    assert own_limit(lab, machine) == OWN and machine.snapshots() == {}
