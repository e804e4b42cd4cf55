# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest under vmsnap, as a test sees it."""
import glob
import os
import signal

from . import disk
from .document import Document
from .serial import Serial
from .wait import until

PREFIX = f"vst{os.getpid()}-"  # names of the domains that this run makes, and may remove


class Machine:
    """A VM by its name; all commands go through vmsnapctl, all looks go past it."""

    def __init__(self, lab, name, log):
        self.lab = lab
        self.name = name
        self.serial = Serial(log)

    # commands

    def vm(self, verb, *args):
        return self.lab.ctl("vm", verb, self.name, *args)

    def start(self, *args):
        """Starts it and waits for its first tick."""
        self.serial.mark()
        self.vm("start", *args)
        return self.serial.first()

    def stop(self):
        return self.vm("stop")

    def show(self):
        return self.vm("show")["vm"]

    def snapshot(self, name, *args):
        """Takes a snapshot; returns it as the reply has it."""
        return self.lab.ctl("snapshot", "create", self.name, "--name", name, *args)["snapshot"]

    def apply(self, snapshot, *args):
        """Applies a snapshot by name or GUID, discarding the present unless told otherwise."""
        return self._go_back("apply", self.name, snapshot, *(args or ("--discard",)))

    def revert(self, *args):
        return self._go_back("revert", self.name, *(args or ("--discard",)))

    def _go_back(self, verb, *args):
        self.serial.mark()
        reply = self.lab.ctl("snapshot", verb, *args)
        self.serial.turned()
        return reply

    def delete_snapshot(self, snapshot, *args):
        return self.lab.ctl("snapshot", "delete", self.name, snapshot, *args)

    def snapshots(self):
        """{name: snapshot}"""
        listed = self.lab.ctl("snapshot", "list", self.name)["snapshots"]
        return {s["name"]: s for s in listed}

    # looks from outside

    @property
    def root(self):
        """The VM directory."""
        for path in glob.glob(os.path.join(glob.escape(self.lab.daemon.store), "*/Virtual Machines/*.xml")):
            root = os.path.dirname(os.path.dirname(path))
            if Document(path, root).name == self.name:
                return root
        raise AssertionError(f"no VM directory of {self.name} in {self.lab.daemon.store}")

    def config(self):
        """The VM's own configuration document."""
        (path,) = glob.glob(os.path.join(glob.escape(self.root), "Virtual Machines/*.xml"))
        return Document(path, self.root)

    def snapshot_config(self, guid):
        return Document(os.path.join(self.root, "Snapshots", guid + ".xml"), self.root)

    def domain(self):
        return self.lab.hv.domain(self.name)

    def state(self):
        domain = self.domain()
        return domain and domain.state

    def qemu(self):
        """Process number of its QEMU, None if it has none."""
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as words:
                    if f"guest={self.name},".encode() in words.read():
                        return int(path.split("/")[2])
            except OSError:
                continue
        return None

    def kill_guest(self, wait=True):
        """SIGKILL to its QEMU; returns when libvirt knows, unless told not to wait for that."""
        pid = self.qemu()
        if pid:
            os.kill(pid, signal.SIGKILL)
        if wait:
            until(lambda: self.state() == "shutoff" and self.lab.hv.knows_end(self.name, self.lab.daemon), "the guest's end")

    def numbers(self):
        """The number on each working disk, read from outside: the VM is off."""
        return tuple(disk.sector(d.path, d.format) for d in self.config().disks)

    def sealed_numbers(self, guid):
        """The number on each disk of a snapshot."""
        return tuple(disk.sector(d.path, d.format) for d in self.snapshot_config(guid).disks)

    # what must hold

    def check_resumed_from(self, guid):
        """After apply() or revert(): the guest came back with memory, at the very instant of the snapshot. The
        first whole tick says the number that the sealed disks hold, or the next (the pause lies anywhere between
        two disk writes, or in the middle of a line); from there it goes on without a gap."""
        sealed = self.sealed_numbers(guid)
        assert 0 <= sealed[0] - sealed[-1] <= 1, f"the disks of the snapshot are of two instants: {sealed}"
        ticks = self.serial.ticks_after_turn(sealed[0])
        assert sealed[0] <= ticks[0].ram <= sealed[0] + 1, f"memory says {ticks[0].ram}, the sealed disks {sealed}"
        return ticks[0]

    def check_boots_with(self, guid):
        """The VM is off with exactly the disks of a snapshot; started, the guest finds their numbers."""
        assert self.state() == "shutoff"
        sealed = self.sealed_numbers(guid)
        assert self.numbers() == sealed
        self.serial.mark()
        self.vm("start")
        boot = self.serial.wait(lambda line: line.kind == "boot", "the guest's boot")
        assert boot.disks == sealed
        return boot
