# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees of snapshots of a VM that is off, and what each of them must show."""
from . import disk


def shape(stem, *arms):
    """A tree as a list of parents: a line, and arms that begin at its end."""
    parents = [None, *range(stem - 1)]
    for arm in arms:
        above = stem - 1
        for _ in range(arm):
            parents.append(above)
            above = len(parents) - 1
    return parents


# up to 5 snapshots, up to two branches
SHAPES = [(n,) for n in range(1, 6)] + [(s, a, b) for s in range(1, 4) for a in range(1, 4) for b in range(1, a + 1)
                                        if s + a + b <= 5]


class Tree:
    """A VM that is off, written to from outside; remembers what each snapshot's disk showed."""

    def __init__(self, lab, name="one", machine=None):
        self.lab = lab
        self.machine = machine or lab.machine(name)
        self.seen = {}  # name: content
        self.parent = {}
        self.step = 0
        self.now = None

    def work(self, size=4096):
        """What a guest does: writes somewhere of its own and somewhere where others wrote before."""
        self.step += 1
        (d,) = self.machine.config().disks
        for offset in (self.step * 8192, 4096, self.step % 3 * 131072 + 262144):
            disk.write(d.path, d.format, offset, size, self.step)

    def snapshot(self, name, size=4096):
        if size:
            self.work(size)
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

    def delete(self, name, *args):
        self.machine.delete_snapshot(name, *args)
        self.forget(name)

    def forget(self, name):
        """It was deleted."""
        del self.seen[name]
        for child, parent in self.parent.items():
            if parent == name:
                self.parent[child] = self.parent[name]
        if self.now == name:
            self.now = self.parent[name]
        del self.parent[name]

    def check(self, present, shown=bytes):
        """All that is left is as it was, documents and disks; what can be merged is merged. shown: what of the
        machine's own disk counts."""
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
        assert shown(disk.content(d.path, d.format)) == present, "the machine's own disk shows something else"

    def present(self):
        (d,) = self.machine.config().disks
        return disk.content(d.path, d.format)
