# SPDX-License-Identifier: GPL-2.0-or-later
"""Any snapshot of any tree goes, and what nobody names any more is merged: the machine and every other snapshot
see what they saw."""
import os

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.daemon import REFUSED, CtlError
from vmsnaptest.tree import SHAPES, Tree, shape

pytestmark = pytest.mark.one_driver  # the plan of merges, carried out by qemu-img

QUICK = os.environ.get("VMSNAP_FAULT", "quick") == "quick"


if QUICK:
    SHAPES = [(3,), (1, 1, 1), (2, 2, 1)]


@pytest.mark.parametrize("lengths", SHAPES, ids=str)
def test_each_shape(lab, lengths):
    """Each node of the tree goes, of one tree each; what is left is as it was."""
    parents = shape(*lengths)
    for victim in range(len(parents)):
        tree = Tree(lab, f"v{victim}")
        tree.grow(parents)
        tree.work()
        present = tree.present()
        tree.delete(f"s{victim}")
        tree.check(present)


@pytest.mark.parametrize("place", ["s0", "s1", "s3"])
def test_each_place(lab, place):
    """The machine's own disk is over this or that node when the node goes."""
    tree = Tree(lab)
    tree.grow(shape(2, 1, 1))
    tree.apply(place)
    tree.work()
    present = tree.present()
    for name in (place, *[n for n in ("s1", "s0", "s2", "s3") if n != place]):
        tree.delete(name)
        tree.check(present)
    assert len(disk.chain(tree.machine.config().disks[0].path)) == 1


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


def test_base_outside(lab):
    """Two disks that were adopted where they are: never written to, unless --into-base says so."""
    machine = lab.adopted()
    sources = machine.config().disk_paths()
    formats = {d.path: d.format for d in machine.config().disks}
    before = {path: disk.content(path, image_format) for path, image_format in formats.items()}
    for name, byte in (("s0", 1), ("s1", 2)):
        machine.snapshot(name)
        for d in machine.config().disks:
            disk.write(d.path, d.format, 65536 * byte, 4096, byte)
    present = {d.target: disk.content(d.path, d.format) for d in machine.config().disks}
    machine.delete_snapshot("s0")
    lab.check()
    machine.delete_snapshot("s1")
    lab.check()
    assert {path: disk.content(path, image_format) for path, image_format in formats.items()} == before
    assert all(len(disk.chain(d.path)) == 2 for d in machine.config().disks)
    machine.snapshot("s2")
    lab.ctl("snapshot", "delete", machine.name, "s2", "--into-base")
    lab.check()
    assert machine.config().disk_paths() == sources
    assert {d.target: disk.content(d.path, d.format) for d in machine.config().disks} == present


def test_flatten(lab):
    """Down to a snapshot, then all: nobody sees a difference, and what nobody needs is gone."""
    tree = Tree(lab)
    tree.grow([None, 0, 1])
    tree.apply("s1")
    tree.work()
    present = tree.present()
    path = tree.machine.config().disks[0].path
    length = len(disk.chain(path))
    lab.ctl("disk", "flatten", tree.machine.name, "--to", "s0")
    tree.check(present)
    assert len(disk.chain(path)) == length - 1
    with pytest.raises(CtlError) as refused:
        lab.ctl("disk", "flatten", tree.machine.name, "--to", "s2")
    assert refused.value.code == REFUSED
    lab.ctl("disk", "flatten", tree.machine.name, "--all")
    tree.check(present)
    assert disk.backing(path)[0] is None
    for name in ("s0", "s2", "s1"):
        tree.delete(name)
        tree.check(present)
    assert tree.machine.config().disks[0].path == path
