# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that writes all its memory at each tick, and a capture of it that goes wrong."""
import glob
import os

import pytest

from .daemon import CtlError
from .fixtures import build
from .machine import PREFIX, Machine
from .wait import until
from .where import require_userfaultfd

TOUCH, MIB, PAGE = 12, 1 << 20, 4096
SLOW = 2048  # KiB a second
QUICK = os.environ.get("VMSNAP_FAULT") == "quick"
MODES = ["background", "live", "paused"]


def memory_of(lab, machine, snapshot):
    """All its memory, and where in it RAM begins."""
    path = lab.path(f"{snapshot['name']}.ram")
    blocks = lab.ctl("savestate", "extract", machine.name, snapshot["id"], "--ram", path)["blocks"]
    (start,) = [block["offset"] for block in blocks if block["name"] == "pc.ram"]
    with open(path, "rb") as memory:
        data = memory.read()
    os.unlink(path)
    return data, start


def check_size(machine, snapshot, memory):
    """However often the guest's pages were sent, they take no more room than those that are not all zeros, and 1 %."""
    zeros, path = bytes(PAGE), machine.snapshot_config(snapshot["id"]).memory
    content = sum(memory[at:at + PAGE] != zeros for at in range(0, len(memory), PAGE)) * PAGE
    assert 0 < os.stat(path).st_blocks * 512 <= content * 1.01


class Case:
    """A busy guest, and a capture of it that goes slowly until told otherwise."""

    def __init__(self, lab, mode):
        if mode == "background":
            require_userfaultfd(lab.hv)
        self.lab, self.mode = lab, mode
        image = lab.path("busy.img")
        build.boot(image, touch=TOUCH, busy=True)
        self.machine = Machine(lab, PREFIX + "busy", lab.path("busy.log"))
        lab.create(self.machine, image, memory=24, vcpus=2)
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

    def reader(self):
        """The process that reads the memory: vmsnap-capture, or the daemon itself."""
        if self.mode != "background":
            return self.lab.daemon.process.pid
        (lock,) = glob.glob(os.path.join(glob.escape(self.machine.root), "Virtual Machines/*/capture.lock"))
        with open(lock) as f:
            return int(f.read())

    def guard(self):
        """The vmsnap-capture that holds the pipe of a live or paused capture for the case that the daemon dies."""
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            process = os.path.dirname(path)
            try:
                with open(path, "rb") as f:
                    guards = b"\0--guard\0" in f.read()
                if guards and os.readlink(process + "/fd/3").startswith(self.machine.root + "/"):
                    return int(os.path.basename(process))
            except OSError:
                pass  # it has ended, or is another's
        raise AssertionError("no guard")

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

    def check_completed(self):
        """The guest ran on, the snapshot is a whole one, and the next capture is a good one."""
        self.machine.serial.ticks(2)
        self.machine.serial.undisturbed()
        (snapshot,) = self.machine.snapshots().values()
        assert snapshot["name"] == "new" and self.machine.state() == "running" and self.protected() == []
        self.lab.check()
        self.machine.apply(snapshot["id"])
        self.machine.check_resumed_from(snapshot["id"])
        self.check_can_be_taken()

    def check_lost_power(self):
        """The guest has ended, no snapshot was taken, and what was written last is there."""
        until(lambda: self.machine.show()["state"] == "off" and not self.lab.daemon.intents(), "the VM being off")
        assert self.machine.snapshots() == {}
        self.lab.check()
        self.machine.serial.offset = 0
        last = self.machine.serial.lines()[-1].ram
        self.machine.serial.mark()
        self.machine.vm("start")
        boot = self.machine.serial.wait(lambda line: line.kind == "boot", "the guest's boot")
        assert last <= boot.disks[0] <= last + 1
        self.machine.serial.ticks(2)
        self.check_can_be_taken()

    def check_can_be_taken(self):
        if os.path.exists(self.slow):
            self.go_on()
        for mode in ("live", self.mode):  # live: it would be spoilt by a capability that was left on
            taken = self.machine.snapshot(mode + " again", "--mode", mode)["id"]
            self.machine.apply(taken)
            self.machine.check_resumed_from(taken)
