# SPDX-License-Identifier: GPL-2.0-or-later
"""Any snapshot of any tree goes, and what nobody names any more is merged: the machine and every other snapshot
see what they saw."""
import itertools
import os
import random

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.wait import until

QUICK = os.environ.get("VMSNAP_FAULT", "quick") == "quick"


class Tree:
    """A VM that is off, written to from outside; remembers what each snapshot's disk showed."""

    def __init__(self, lab, name="one", size="1M"):
        self.lab = lab
        self.machine = lab.machine(name)
        self.seen = {}  # name: content
        self.parent = {}
        self.step = 0
        self.now = None

    def work(self):
        """What a guest does: writes somewhere of its own and somewhere where others wrote before."""
        self.step += 1
        (d,) = self.machine.config().disks
        for offset in (self.step * 8192, 4096, self.step % 3 * 131072 + 262144):
            disk.write(d.path, d.format, offset, 4096, self.step)

    def snapshot(self, name):
        self.work()
        (d,) = self.machine.config().disks
        self.seen[name] = disk.content(d.path, d.format)
        self.parent[name] = self.now
        self.machine.snapshot(name)
        self.now = name

    def apply(self, name):
        self.machine.apply(name)
        self.now = name

    def grow(self, shape):
        """A tree by its parents: shape[i] is the number of the parent of snapshot i, None for a root."""
        for number, parent in enumerate(shape):
            above = None if parent is None else f"s{parent}"
            if above != self.now and above is not None:
                self.apply(above)
            self.snapshot(f"s{number}")

    def delete(self, name, *options):
        self.lab.ctl("snapshot", "delete", self.machine.name, name, *options)
        del self.seen[name]
        for child, parent in self.parent.items():
            if parent == name:
                self.parent[child] = self.parent[name]
        if self.now == name:
            self.now = self.parent[name]
        del self.parent[name]

    def check(self, present):
        """All that is left is as it was, documents and disks; what can be merged is merged."""
        self.lab.merged()
        self.lab.check()
        found = self.machine.snapshots()
        assert set(found) == set(self.seen)
        names = {s["id"]: name for name, s in found.items()}
        for name, s in found.items():
            assert names.get(s.get("parent")) == self.parent[name], name
            (d,) = self.machine.snapshot_config(s["id"]).disks
            assert disk.content(d.path, d.format) == self.seen[name], f"{name} shows something else"
        assert names.get(self.machine.config().parent) == self.now
        (d,) = self.machine.config().disks
        assert disk.content(d.path, d.format) == present, "the machine's own disk shows something else"

    def present(self):
        (d,) = self.machine.config().disks
        return disk.content(d.path, d.format)


def test_line(lab):
    """All of a line, from the middle; at the end one disk is left."""
    tree = Tree(lab)
    tree.grow([None, 0, 1, 2])
    tree.work()
    present = tree.present()
    for name in ("s1", "s0", "s3", "s2"):
        tree.delete(name)
        tree.check(present)
    assert len(disk.chain(tree.machine.config().disks[0].path)) == 1


def test_branches_and_hidden(lab):
    """s1, s2, s3; back to s2; s4; s2 goes and stays hidden below s3 and s4; s1 goes; back to s3."""
    tree = Tree(lab)
    for name in ("s1", "s2", "s3"):
        tree.snapshot(name)
    tree.apply("s2")
    tree.snapshot("s4")
    tree.work()
    present = tree.present()
    tree.delete("s2")
    tree.check(present)
    assert len(laws.hidden(tree.machine.root)) == 1  # two are over it
    tree.delete("s1")
    tree.check(present)
    tree.apply("s3")
    tree.check(tree.seen["s3"])
    tree.delete("s4")
    tree.check(tree.seen["s3"])
    assert not laws.hidden(tree.machine.root)
