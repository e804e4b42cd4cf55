# SPDX-License-Identifier: GPL-2.0-or-later
"""Merges under a running guest, of each kind, for whoever dies in them: scenarios of their own, and what holds when
the guest's QEMU died, alone or with the daemon."""
import scenarios
from vmsnaptest.daemon import FAILED, REFUSED, CtlError
from vmsnaptest.lab import require_pulling
from vmsnaptest.running import Running
from vmsnaptest.wait import until

KIB, MIB = 1 << 10, 1 << 20
ALL = []


def kind(cls):
    ALL.append(cls)
    return cls


class Live(scenarios._Merge):
    """Snapshots s0, s1, s2 in a line, the guest runs on the last disk; sizes: bytes written to each."""
    victim = "s1"
    sizes = (64 * KIB, 2 * MIB, 2 * MIB, 64 * KIB)
    turns = (1,)  # there is one merge
    flushes = True  # QEMU changes the chain by itself, and has parts of it in memory only until it is told

    def make(self):
        return self.lab.machine()

    def prepare(self):
        self.running = Running(self.lab, self.make())
        self.machine = self.running.machine
        for number, size in enumerate(self.sizes):
            self.running.write(number, size)
            if number + 1 < len(self.sizes):
                self.running.snapshot(f"s{number}")
        self.running.start()

    def begin(self):
        """The command, without waiting for what follows it."""
        return self.lab.daemon.start_ctl(*self.words())

    def end(self, process):
        """The command has ended, well or not as it may."""
        self.lab.daemon.end_ctl(process)

    def finish(self):
        """What was begun is done: by itself, or begun again if it may have been taken back."""
        if self.victim in self.machine.snapshots():
            self.running.check_disks()
            self.lab.ctl(*self.words())
        self.running.seen.pop(self.victim)

    def check_shape(self):
        """What is left is as many images as there are disks."""
        self.lab.merged()
        for d in self.machine.config().disks:
            assert len(self.running.chain(d)) == len(self.sizes) - 1

    def verify(self, done):
        self.check_runs_undisturbed()
        self.finish()
        self.running.check()
        self.check_shape()
        self.running.check_starts_again()

    def verify_fell(self):
        """The guest's QEMU was killed."""
        until(lambda: self.machine.show()["state"] == "off", "the daemon to know that")
        self.lab.merged()
        self.finish()
        self.running.check_fell()
        self.check_shape()


@kind
class CommitBelow(Live):
    """Both images are below the working disk."""


@kind
class CommitWorking(Live):
    """The working disk goes into the image below it."""
    victim = "s2"
    sizes = (64 * KIB, 64 * KIB, 3 * MIB, 2 * MIB)
    flushes = False


@kind
@scenarios.scenario
class CommitTwo(CommitWorking):
    """The same, with two disks one after the other."""
    quick = False
    turns = (1, 2)

    def make(self):
        return self.lab.adopted()


@kind
@scenarios.scenario
class PullTwo(CommitTwo):
    """Two working disks take what is below them."""
    sizes = (64 * KIB, 64 * KIB, 2 * MIB, 3 * MIB)
    flushes = True

    def prepare(self):
        require_pulling()
        super().prepare()


@kind
@scenarios.scenario
class FlattenTwo(PullTwo):
    """Two working disks take all there is below them."""

    def words(self):
        return ["disk", "flatten", self.name, "--all"]

    def end(self, process):
        try:
            super().end(process)
        except CtlError as error:
            assert error.code in (FAILED, REFUSED), error

    def ended(self):
        return super().ended() if not self.lab.daemon.alive() else True

    def finish(self):
        self.lab.ctl(*self.words())

    def check_shape(self):
        for d in self.machine.config().disks:
            assert len(self.running.chain(d)) == 1
