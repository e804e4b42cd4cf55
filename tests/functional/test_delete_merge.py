# SPDX-License-Identifier: GPL-2.0-or-later
"""Any snapshot of any tree goes, and what nobody names any more is merged: the machine and every other snapshot
see what they saw."""
from vmsnaptest import disk, laws
from vmsnaptest.tree import Tree


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
