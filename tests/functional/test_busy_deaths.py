# SPDX-License-Identifier: GPL-2.0-or-later
"""Who has to do with the capture of a busy guest's memory dies in the midst of it: the daemon, the process that reads the
memory, both, libvirtd; or the disk fills up. The guest runs on, on its disks, and what is left of the capture is a whole
snapshot or nothing. CI tries each death once, in the mode in which most can go wrong."""
import os
import random
import signal
import threading

import pytest
from vmsnaptest.busy import MIB, MODES, QUICK, Case
from vmsnaptest.daemon import DONE, FAILED, REFUSED
from vmsnaptest.small import fill
from vmsnaptest.wait import until

HARDEST = ["background"] if QUICK else MODES
POINTS = [MIB] if QUICK else [0, 1, MIB, 6 * MIB]  # bytes that have come; 0: it has just begun


def begin(lab, mode, least):
    case = Case(lab, mode)
    case.begin()
    if least:
        case.flows(least)
    else:
        until(case.job, "the job")
    return case


def check_runs_meanwhile(case):
    """Nobody but QEMU and, under qemu:///system, libvirtd is there."""
    if case.lab.hv.name != "embed" or case.mode != "paused":  # libvirt, who paused it, died with the daemon
        case.machine.serial.ticks(3)


@pytest.mark.parametrize("least", POINTS)
@pytest.mark.parametrize("mode", ["live"] if QUICK else MODES)
def test_daemon_is_killed(lab, mode, least):
    """In the background the memory is read to its end without it."""
    case = begin(lab, mode, least)
    lab.daemon.kill()
    case.taking.communicate(timeout=60)
    case.go_on()
    if least >= MIB:  # before that the guest may be waiting for the daemon to resume it
        check_runs_meanwhile(case)
    lab.daemon.start()
    if mode == "background" and (least or case.machine.snapshots()):
        case.check_completed()
    else:
        case.check_never_happened()


@pytest.mark.parametrize("least", [point for point in POINTS if point])
def test_reader_is_killed(lab, least):
    case = begin(lab, "background", least)
    os.kill(case.reader(), signal.SIGKILL)
    case.go_on()
    assert "vmsnap-capture" in case.fails(FAILED).message
    case.check_never_happened()


@pytest.mark.parametrize("least", [point for point in POINTS if point])
@pytest.mark.parametrize("mode", HARDEST)
def test_both_are_killed(lab, mode, least):
    """The daemon, and the process that would have gone on without it: in the background the guest waits for the next
    daemon as soon as it writes to memory that has not come yet."""
    case = begin(lab, mode, least)
    os.kill(case.reader() if mode == "background" else case.guard(), signal.SIGKILL)
    lab.daemon.kill()
    case.taking.communicate(timeout=60)
    case.go_on()
    if mode != "background":
        check_runs_meanwhile(case)
    lab.daemon.start()
    case.check_never_happened()


@pytest.mark.parametrize("least", [] if QUICK else [1, MIB, 6 * MIB, 12 * MIB])
@pytest.mark.parametrize("mode", MODES)
def test_daemon_and_qemu_are_killed(lab, mode, least):
    """The reader finds an end of the stream that is none."""
    case = begin(lab, mode, least)
    os.kill(case.qemu(), signal.SIGKILL)
    lab.daemon.kill()
    case.taking.communicate(timeout=60)
    case.go_on()
    lab.daemon.start()
    case.check_lost_power()


@pytest.fixture
def libvirtd(lab):
    """Killed by the test; there again when it ends."""
    if lab.hv.name == "embed":
        pytest.skip("no libvirtd under embed: libvirt dies with the daemon")
    if "libvirtd" not in lab.hv.started:
        pytest.skip("libvirtd was not started by these tests: left alone")
    yield lab.hv
    if not lab.hv.answers():
        lab.hv.start_libvirtd()


@pytest.mark.parametrize("least", POINTS)
@pytest.mark.parametrize("mode", HARDEST)
def test_libvirtd_is_killed(lab, libvirtd, mode, least):
    """The guest needs it only if it was libvirtd that paused it."""
    case = begin(lab, mode, least)
    assert libvirtd.kill_libvirtd()
    case.go_on()
    if least and mode != "paused":
        case.machine.serial.ticks(3)
    out, err = case.taking.communicate(timeout=60)
    assert case.taking.returncode in (FAILED, FAILED if least else REFUSED) and "libvirt" in err, (out, err)
    libvirtd.start_libvirtd()
    until(lambda: lab.daemon_call("GetStatus")["connected"] and lab.daemon.ready(), "the daemon coming to terms", 60.0)
    case.check_never_happened()


@pytest.mark.parametrize("turn", range(0 if QUICK else 8))
@pytest.mark.parametrize("mode", HARDEST)
def test_disk_fills_up(roomy, mode, turn):
    """At any instant, up to any byte: the seed is in the test's name. Nothing more is free until it is all over. A guest
    whose own writes found no room meanwhile was stopped by QEMU; nothing that it wrote is lost."""
    chance = random.Random(f"{mode}{turn}")
    case = Case(roomy, mode)
    if turn % 2:
        case.go_on()
    filled = []
    filling = threading.Timer(chance.uniform(0, 0.6),
                              lambda: filled.append(fill(roomy, chance.choice([0, 0, 4096, 65536, MIB, 4 * MIB]))))
    case.begin()
    filling.start()
    filling.join()
    if os.path.exists(case.slow):
        case.go_on()
    out, err = case.taking.communicate(timeout=60)
    os.unlink(filled[0])
    if case.machine.state() == "paused":
        case.machine.vm("resume")
    if case.taking.returncode == DONE:
        case.check_completed()
    else:
        assert "No space left" in err or "not enough space" in err, (out, err)
        case.check_never_happened()
