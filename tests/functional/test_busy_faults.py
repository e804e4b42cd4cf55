# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong while the memory of a guest goes out that writes all of it at each tick (an idle one would hide a
freeze): it runs on, on its disks, nothing of the capture is left in QEMU, and nothing half-written counts."""
import glob
import os
import signal
import subprocess

import pytest
from vmsnaptest.daemon import CANCELLED, FAILED, CtlError
from vmsnaptest.fixtures import build
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.wait import until
from vmsnaptest.where import require_userfaultfd

TOUCH, MIB = 12, 1 << 20
SLOW = 2048  # KiB a second
QUICK = os.environ.get("VMSNAP_FAULT") == "quick"
MODES = ["background", "live", "paused"]


class Case:
    """A busy guest, and a capture of it that goes slowly until told otherwise."""

    def __init__(self, lab, mode):
        if mode == "background":
            require_userfaultfd(lab.hv)
        self.lab, self.mode = lab, mode
        image = lab.path("busy.img")
        build.boot(image, touch=TOUCH, busy=True)
        self.machine = Machine(lab, PREFIX + "busy", lab.path("busy.log"))
        lab.ctl("vm", "create", self.machine.name, "--memory", "24M", "--vcpus", "2", "--import-disk", image,
                "--console-log", self.machine.serial.path)
        self.machine.start()
        self.machine.serial.reach(4)
        self.slow = lab.path("slow")
        open(self.slow, "w").close()
        lab.daemon.restart(f"slow:{SLOW}:{self.slow}")
        self.machine.serial.mark()
        self.taking = None

    def begin(self):
        self.taking = self.lab.daemon.start_ctl("snapshot", "create", self.machine.name, "--name", "new", "--mode",
                                                self.mode)

    def job(self):
        return next((job for job in self.lab.daemon_call("ListJobs")["jobs"] if job["state"] == "running"), None)

    def written(self):
        """Bytes of its memory that have come. (In the background the file's room is taken first of all.)"""
        if self.mode == "background":
            return (self.job() or {}).get("bytesDone", 0)
        return sum(os.stat(path).st_blocks * 512
                   for path in glob.glob(os.path.join(glob.escape(self.machine.root), "Snapshots/*/*.bin.tmp")))

    def flows(self, least=1):
        until(lambda: self.written() >= least or self.taking.poll() is not None, f"{least} bytes of memory")
        assert self.taking.poll() is None

    def go_on(self):
        os.unlink(self.slow)

    def fails(self, *codes):
        with pytest.raises(CtlError) as failed:
            self.lab.daemon.end_ctl(self.taking)
        assert failed.value.code in codes, failed.value
        return failed.value

    def qemu(self):
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as f:
                    if f"guest={self.machine.name},".encode() in f.read():
                        return int(path.split("/")[2])
            except OSError:
                pass  # it has ended
        raise AssertionError("no QEMU")

    def protected(self):
        """Ranges of QEMU's memory that are write-protected."""
        with open(f"/proc/{self.qemu()}/smaps") as f:
            return [line for line in f if line.startswith("VmFlags:") and " uw" in line]

    def check_never_happened(self):
        """The guest runs on, all there was is there and no more, and the next capture is a good one."""
        self.machine.serial.reach(self.machine.serial.ticks(1).ram + 3)
        self.machine.serial.undisturbed()
        assert self.machine.state() == "running" and self.machine.snapshots() == {} and self.protected() == []
        until(lambda: not self.lab.daemon.intents(), "merging what the capture left")
        assert not [path for path in glob.glob(os.path.join(glob.escape(self.machine.root), "Snapshots/*/*"))
                    if not path.endswith(".avhd")]  # captured in the background, disks may be switched already
        self.lab.check()
        self.check_can_be_taken()

    def check_can_be_taken(self):
        if os.path.exists(self.slow):
            self.go_on()
        for mode in ("live", self.mode):  # live: it would be spoilt by a capability that was left on
            taken = self.machine.snapshot(mode + " again", "--mode", mode)["id"]
            self.machine.apply(taken)
            self.machine.check_resumed_from(taken)


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


@pytest.mark.parametrize("mode", MODES)
def test_disk_is_full(lab, mode):
    """It fills up while the memory goes out."""
    lab.daemon.stop()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=0711", "vmsnap-test", lab.daemon.store],
                      capture_output=True).returncode:
        lab.daemon.start()
        pytest.skip("cannot mount here")
    lab.daemon.start()
    try:
        case = Case(lab, mode)
        case.begin()
        case.flows()
        status = os.statvfs(lab.daemon.store)
        ballast = os.path.join(lab.daemon.store, "ballast")
        with open(ballast, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, status.f_bavail * status.f_frsize - (1 << 20))
        case.go_on()
        error = case.taking.communicate(timeout=60)
        assert case.taking.returncode == FAILED and "No space left" in error[1], error
        os.unlink(ballast)
        case.check_never_happened()
    finally:
        lab.daemon.stop()
        lab.hv.reset()
        until(lambda: subprocess.run(["umount", lab.daemon.store], capture_output=True).returncode == 0, "unmounting")
        lab.check_at_end = False


@pytest.mark.parametrize("mode", MODES)
def test_qemu_is_killed(lab, mode):
    """Nothing of the snapshot counts; the VM is off, on disks that hold what was written last."""
    case = Case(lab, mode)
    case.begin()
    case.flows()
    os.kill(case.qemu(), signal.SIGKILL)
    case.go_on()
    case.fails(FAILED)
    until(lambda: case.machine.show()["state"] == "off" and not lab.daemon.intents(), "the VM being off")
    assert case.machine.snapshots() == {}
    lab.check()
    case.machine.serial.offset = 0
    last = case.machine.serial.lines()[-1].ram
    case.machine.serial.mark()
    case.machine.vm("start")
    boot = case.machine.serial.wait(lambda line: line.kind == "boot", "the guest's boot")
    assert last <= boot.disks[0] <= last + 1
    case.machine.serial.ticks(2)
    case.check_can_be_taken()


@pytest.mark.parametrize("mode", MODES)
def test_reader_stalls(lab, mode):
    """Whoever reads the memory stands still for a while (the daemon, or vmsnap-capture), and goes on: all is well."""
    case = Case(lab, mode)
    case.begin()
    case.flows()
    reader = lab.daemon.process.pid
    if mode == "background":
        (lock,) = glob.glob(os.path.join(glob.escape(case.machine.root), "Virtual Machines/*/capture.lock"))
        with open(lock) as f:
            reader = int(f.read())
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
