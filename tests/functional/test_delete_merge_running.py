# SPDX-License-Identifier: GPL-2.0-or-later
"""Every shape of tree, each node in turn, while the guest runs: all others, and the guest, see what they saw.

The guest reads what is on its disk at each tick, and says if it is not what it found when it booted. All files
are read from outside, too, by QEMU's tools. One VM for each shape: the trees are made while it is off."""
import os
import re

import pytest
from vmsnaptest import disk
from vmsnaptest.fixtures import build
from vmsnaptest.running import quiet
from vmsnaptest.tree import SHAPES, Tree, shape

QUICK = os.environ.get("VMSNAP_FAULT", "quick") == "quick"
WATCH = 160  # times 4 KiB: where Tree.work() writes to
QUICK_ROUNDS = {(2, 1, 1): [("s3", "s1")]}  # (where the guest runs, what goes first)


def rounds(lengths):
    """[(over which snapshot the guest runs, which goes first)]: at the ends of the branches and where they begin, of
    a line at both ends."""
    if QUICK:
        return QUICK_ROUNDS[lengths]
    count, first = sum(lengths), lengths[0]
    places = {0, count - 1} if len(lengths) == 1 else {first - 1, first - 1 + lengths[1], count - 1}
    return [(f"s{place}", f"s{victim}") for place in sorted(places) for victim in range(count)]


class Watched:
    """A tree under a guest that watches its disk."""

    def __init__(self, lab):
        image = lab.path("watch.img")
        build.boot(image, watch=WATCH)
        self.tree = Tree(lab, machine=lab.machine(image=image))
        self.machine = self.tree.machine

    def begin(self, lengths, place):
        """Grows the tree, and lets the guest run over `place`."""
        self.tree.grow(shape(*lengths))
        self.tree.apply(place)
        self.tree.work()
        present = self.tree.present()
        self.present = quiet(present)
        self.machine.start()
        text = self.machine.serial.text()
        assert int(re.search(r"^S=([0-9A-F]{8})\r?$", text, re.M).group(1), 16) == build.watched_sum(present, WATCH)
        self.machine.serial.mark()

    def delete(self, name):
        self.tree.delete(name)
        self.tree.check(self.present, quiet)
        assert self.machine.state() == "running"
        last = self.machine.serial.lines()[-1:]
        self.machine.serial.reach((last[0].ram if last else 0) + 2)
        self.machine.serial.undisturbed()

    def end(self):
        """Nothing is left but one disk, which has all that the guest wrote."""
        (d,) = self.machine.config().disks
        assert len(disk.chain_paths(d.path)) == 1
        last = self.machine.serial.lines()[-1].ram
        self.machine.stop()
        assert self.machine.numbers()[0] >= last
        assert quiet(self.tree.present()) == self.present


@pytest.mark.parametrize("lengths", QUICK_ROUNDS if QUICK else SHAPES, ids=str)
def test_each_shape_running(lab, lengths):
    """One goes first, and is looked for; then the others one by one, until there is one disk."""
    watched = Watched(lab)
    for place, victim in rounds(lengths):
        watched.begin(lengths, place)
        names = sorted(watched.tree.seen)
        at = names.index(victim)
        for name in names[at:] + names[:at]:
            watched.delete(name)
        watched.end()


def test_guest_sees(lab):
    """What the test relies on: a change behind the guest's back is told in its next line."""
    watched = Watched(lab)
    watched.begin((1,), "s0")
    machine = watched.machine
    lab.virsh("qemu-monitor-command", machine.name, "--hmp",
              f'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "write -P 9 {4096 * 4 + 512} 512"')
    machine.serial.wait(lambda line: not line.agrees, "a complaint")
