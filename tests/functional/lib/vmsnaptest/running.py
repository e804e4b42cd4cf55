# SPDX-License-Identifier: GPL-2.0-or-later
"""Merging under a running guest: what each snapshot, the machine and the guest itself must see."""
from . import disk

TICK = slice(512, 1024)  # the sector that the guest counts in


def quiet(content):
    """A disk's content but for what the guest itself writes all the time."""
    content = bytearray(content.ljust(TICK.stop, b"\0"))
    content[TICK] = bytes(512)
    return bytes(content).rstrip(b"\0")


class Running:
    """A VM, written to from outside while it is off; then it runs, and snapshots go."""

    def __init__(self, lab, machine):
        self.lab = lab
        self.machine = machine
        self.seen = {}  # name: what its disks show
        self.present = None
        self.at = 0  # a number that the guest had said when we began to watch

    def write(self, number, size):
        """What a guest does: writes somewhere of its own, and where others wrote. The VM is off."""
        for d in self.machine.config().disks:
            for offset in (65536 * (number + 1), 1 << 20):
                disk.write(d.path, d.format, offset, size, number + 1)

    def snapshot(self, name, *args):
        snapshot = self.machine.snapshot(name, *args)
        self.seen[name] = self.shown(self.machine.snapshot_config(snapshot["id"]))
        return snapshot

    @staticmethod
    def chain(d):
        return disk.chain_paths(d.path)

    @staticmethod
    def shown(config):
        return [disk.content(d.path, d.format) for d in config.disks]

    def shown_now(self):
        return [quiet(content) for content in self.shown(self.machine.config())]

    def start(self):
        """From here on the guest is watched."""
        self.machine.start()
        self.at = self.machine.serial.reach(4).ram
        self.machine.serial.mark()
        self.present = self.shown_now()

    def last(self):
        """The number that the guest said last."""
        return max([self.at, *(line.ram for line in self.machine.serial.lines() if line.ram is not None)])

    def delete(self, name):
        self.machine.delete_snapshot(name)
        del self.seen[name]

    def check_disks(self):
        """All snapshots that are left, and the machine, show what they showed; what can be merged is merged."""
        self.lab.check()
        self.check_shown()

    def check_shown(self):
        """The same, but for what is merged."""
        found = {name: self.shown(self.machine.snapshot_config(s["id"]))
                 for name, s in self.machine.snapshots().items()}
        assert set(found) == set(self.seen)
        for name, content in found.items():
            assert content == self.seen[name], f"{name} shows something else"
        assert self.shown_now() == self.present, "the machine's own disks show something else"

    def check(self):
        """And the guest ran on, without a gap."""
        self.check_disks()
        assert self.machine.state() == "running"
        self.machine.serial.reach(self.last() + 2)
        self.machine.serial.undisturbed()

    def check_fell(self):
        """Its QEMU was killed: off, with all that it had written, it goes on from there."""
        self.check_disks()
        assert self.machine.state() == "shutoff"
        last = self.last()
        assert min(self.machine.numbers()) >= last, "what the guest wrote last is lost"
        self.machine.start()
        assert self.machine.serial.ticks(2).ram >= last
        self.machine.serial.undisturbed()
        self.check_disks()

    def check_starts_again(self):
        """Off and on again, all that it wrote is there."""
        last = self.last()
        self.machine.stop()
        assert self.machine.numbers()[0] >= last
        self.machine.start()  # its end may have come between the writes to two disks
        self.machine.serial.ticks(2)
        self.machine.serial.undisturbed()
        self.check_disks()
