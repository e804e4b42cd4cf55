# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong while the memory of a guest goes out that writes all of it at each tick (an idle one would hide a
freeze): it runs on, on its disks, nothing of the capture is left in QEMU, and nothing half-written counts."""
import os
import signal
import subprocess

import pytest
from vmsnaptest.busy import MIB, MODES, QUICK, Case
from vmsnaptest.daemon import CANCELLED, FAILED
from vmsnaptest.small import fill
from vmsnaptest.wait import until


@pytest.mark.parametrize("least", [0, MIB] if QUICK else [0, 1, MIB, 6 * MIB])
@pytest.mark.parametrize("mode", MODES)
def test_cancelled(lab, mode, least):
    case = Case(lab, mode)
    case.begin()
    job = until(case.job, "the job")["id"]
    if least:
        case.flows(least)
    lab.daemon_call("CancelJob", id=job)
    if mode == "background" and least:  # the disks were switched before the memory came: it is completed
        assert lab.daemon.end_ctl(case.taking)["snapshot"]["name"] == "new"
        case.machine.serial.ticks(2)
        case.machine.serial.undisturbed()
        assert case.protected() == []
        case.check_can_be_taken()
    else:
        case.fails(CANCELLED)
        case.check_never_happened()


@pytest.mark.parametrize("least", [1] if QUICK else [1, MIB, 6 * MIB])
@pytest.mark.parametrize("mode", MODES)
def test_disk_is_full(roomy, mode, least):
    """It fills up while the memory goes out."""
    case = Case(roomy, mode)
    case.begin()
    case.flows(least)
    ballast = fill(roomy, MIB)
    case.go_on()
    out, err = case.taking.communicate(timeout=60)
    assert case.taking.returncode == FAILED and "No space left" in err, (out, err)
    os.unlink(ballast)
    case.check_never_happened()


@pytest.mark.parametrize("least", [1] if QUICK else [1, MIB, 6 * MIB])
@pytest.mark.parametrize("mode", MODES)
def test_qemu_is_killed(lab, mode, least):
    """Nothing of the snapshot counts; the VM is off, on disks that hold what was written last."""
    case = Case(lab, mode)
    case.begin()
    case.flows(least)
    os.kill(case.qemu(), signal.SIGKILL)
    case.go_on()
    case.fails(FAILED)
    case.check_lost_power()


@pytest.mark.parametrize("mode", MODES)
def test_reader_stalls(lab, mode):
    """Whoever reads the memory stands still for a while (the daemon, or vmsnap-capture), and goes on: all is well."""
    case = Case(lab, mode)
    case.begin()
    case.flows()
    reader = case.reader()
    os.kill(reader, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        case.taking.wait(2.0)  # it cannot end
    os.kill(reader, signal.SIGCONT)
    case.go_on()
    snapshot = lab.daemon.end_ctl(case.taking)["snapshot"]
    assert snapshot["mode"] == mode
    case.machine.serial.ticks(2)
    case.machine.serial.undisturbed()
    assert case.protected() == []
    case.machine.apply(snapshot["id"])
    case.machine.check_resumed_from(snapshot["id"])
