# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is killed with SIGKILL before and after every step of every operation, made to fail in every step,
and killed at random instants. After a restart the laws hold and all that was there is whole.

The steps come from `vmsnapd --list-steps`, so that a new one cannot be forgotten. VMSNAP_FAULT=quick takes a
selection that still covers each step of each operation."""
import fcntl
import os
import random
import signal
import struct
import subprocess
import threading
import time

import merges  # noqa: F401 (it adds scenarios)
import pytest
import scenarios
from vmsnaptest import varlink
from vmsnaptest.daemon import FAILED, NO_DAEMON, CtlError
from vmsnaptest.where import program, require_userfaultfd

F_OFD_GETLK = 36  # Python 3.11 has no name for it
QUICK = os.environ.get("VMSNAP_FAULT") == "quick"
HOWS = ["kill-after"] if QUICK else ["kill-before", "kill-after"]
ROUNDS = int(os.environ.get("VMSNAP_FAULT_ROUNDS", "1" if QUICK else "20"))


def steps():
    """[(operation, step)] as the daemon has them; empty where it is not built."""
    try:
        out = subprocess.run([program("vmsnapd"), "--list-steps"], capture_output=True, text=True, check=True).stdout
    except (RuntimeError, OSError, subprocess.CalledProcessError):
        return []
    return [tuple(line.split(None, 1)) for line in out.splitlines() if line.strip()]


STEPS = steps()
SCENARIOS = [cls for cls in scenarios.ALL if cls.quick or not QUICK]
CASES = [(cls, step) for cls in SCENARIOS for operation, step in STEPS if operation == cls.operation
         and (not (QUICK or cls.slow) or cls.quick_steps is None or step in cls.quick_steps)]
FAST = [cls for cls in SCENARIOS if not (QUICK and cls.slow)]
reached = set()  # (operation, step) at which a daemon died


def case_id(value):
    return value.__name__ if isinstance(value, type) else None


def interrupted(lab, scenario, fault):
    """Runs the scenario's command under a fault; returns the error it ended with, or None."""
    scenario.prepare()
    lab.daemon.restart(fault)
    try:
        scenario.run()
    except CtlError as error:
        return error
    return None


def is_written(image):
    """Whether a QEMU writes to the file, by its lock (the bytes are in layout/image-lock.c)."""
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 101, 3, 0)
    return struct.unpack("hhqqi4x", fcntl.fcntl(image, F_OFD_GETLK, lock))[0] != fcntl.F_UNLCK


def run_and_come_back(lab, scenario, kill):
    """Runs the command while the thread `kill` ends the daemon, and starts another: all is well."""
    done = False
    try:
        scenario.run()
        done = True
    except (CtlError, varlink.VarlinkError):
        pass
    kill.join()
    lab.daemon.start()
    scenario.before_laws()
    lab.check()
    scenario.verify(done)


def test_every_operation_has_a_scenario():
    assert STEPS, "vmsnapd --list-steps printed nothing"
    assert {operation for operation, _ in STEPS} <= {cls.operation for cls in scenarios.ALL}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("cls,step", CASES, ids=case_id)
def test_killed(lab, cls, step, how):
    scenario = cls(lab)
    error = interrupted(lab, scenario, f"{how}:{cls.operation}.{step}")
    if error is None:
        assert lab.daemon.alive()  # this situation needs no such step
    else:
        assert error.code == NO_DAEMON and lab.daemon.wait_end() == -signal.SIGKILL, f"neither done nor killed: {error}"
        reached.add((cls.operation, step))
    lab.daemon.kill()
    scenario.died()
    lab.daemon.start()
    scenario.before_laws()
    lab.check()
    scenario.verify(done=error is None)


@pytest.mark.parametrize("cls,step", [case for case in CASES if case[0] in FAST], ids=case_id)
def test_failed(lab, cls, step):
    """A step that fails, as if the disk were full, each time it is tried: the daemon goes on and says which. As
    soon as the cause is gone (here: after a restart) everything is whole again."""
    scenario = cls(lab)
    error = interrupted(lab, scenario, f"fail:{cls.operation}.{step}")
    assert lab.daemon.alive()
    assert error is None or error.code == FAILED and step in error.message
    lab.daemon.restart()
    scenario.before_laws()
    lab.check()
    scenario.verify(done=error is None)


def test_every_step_was_reached(request):
    """Runs last: each step was one at which a daemon died. Only meaningful after all cases ran."""
    ran = {item.originalname for item in request.session.items}
    if "test_killed" not in ran or len(request.session.items) < len(CASES) * len(HOWS):
        pytest.skip("only a part of the cases ran")
    assert set(STEPS) - reached == set()


@pytest.mark.parametrize("cls", FAST, ids=case_id)
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_killed_at_random(lab, cls, turn):
    """SIGKILL at any instant; the seed is in the test's name."""
    scenario = cls(lab)
    scenario.prepare()
    kill = threading.Timer(random.Random(f"{cls.__name__}{turn}").uniform(0, cls.longest), lab.daemon.kill)
    kill.start()
    run_and_come_back(lab, scenario, kill)


@pytest.mark.parametrize("msec", (10, 13, 16, 20) if QUICK else range(2, 42, 2))
def test_killed_in_the_switch(lab, msec):
    """Under the embedded driver libvirt dies with us, between what it tells QEMU and what it notes of it: nodes that
    nothing uses, disks that QEMU switched and libvirt did not see, a definition that is behind the running domain."""
    scenario = scenarios.CreateDiskOnly(lab)
    scenario.prepare()
    begun = lab.daemon.log().count("snapshot-create: capture")
    kill = lab.daemon.kill_when(lambda: lab.daemon.log().count("snapshot-create: capture") > begun, msec / 1000)
    run_and_come_back(lab, scenario, kill)


@pytest.mark.parametrize("msec", range(4) if QUICK else range(20))
def test_killed_when_qemu_has_switched(lab, msec):
    """The guest goes on, and its memory goes out, when QEMU has switched the disks; libvirt notes that later. Under the
    embedded driver it dies before it could."""
    require_userfaultfd(lab.hv)
    scenario = scenarios.CreateBackground(lab)
    scenario.prepare()
    images = [open(d.path, "rb") for d in scenario.machine.config().disks]
    assert images and all(is_written(image) for image in images)

    def switched():
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            if not any(is_written(image) for image in images):
                return True
        return not lab.daemon.alive()

    kill = lab.daemon.kill_when(switched, msec / 2000)
    run_and_come_back(lab, scenario, kill)
    for image in images:
        image.close()
