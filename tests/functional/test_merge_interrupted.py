# SPDX-License-Identifier: GPL-2.0-or-later
"""Merges give way, are stopped, lose their guest or their room: nothing is lost, and they go on by themselves."""
import os

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.merging import await_merge, jobs, merging, waiting
from vmsnaptest.small import fill
from vmsnaptest.tree import Tree
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # the daemon's own merges


def grown(lab):
    """A tree in which s1 is to be merged by a commit; returns it and what now must show."""
    tree = Tree(lab)
    tree.snapshot("s0")
    tree.snapshot("s1", 262144)
    tree.snapshot("s2", 65536)
    tree.work()
    return tree, tree.present()


def test_gives_way_to_others(lab, slow):
    """Each operation on the VM goes first, at once, and finds all as it must be; the merge comes back after it."""
    tree, present = grown(lab)
    machine = tree.machine
    tree.delete("s1")
    await_merge(lab)
    lab.ctl("snapshot", "rename", machine.name, "s2", "two")
    lab.ctl("snapshot", "rename", machine.name, "two", "s2")
    await_merge(lab)
    tree.snapshot("s3", 0)
    await_merge(lab)
    tree.apply("s2")
    await_merge(lab)
    tree.delete("s3")
    await_merge(lab)
    slow()
    tree.check(tree.seen["s2"])
    assert present != tree.seen["s2"]


def test_cancelled(lab, slow):
    """Cancelled, all stays valid, and nobody begins again but the next deletion or the next start."""
    tree, present = grown(lab)
    tree.delete("s1")
    job = await_merge(lab)
    lab.ctl("job", "cancel", job["id"])
    until(lab.daemon.ready, "the merge to stop")
    assert len(lab.mergeable()) == 1
    lab.check()
    tree.machine.start()
    tree.machine.stop()
    assert not merging(lab) and len(lab.mergeable()) == 1
    lab.check()
    slow()
    lab.check()
    assert not laws.hidden(tree.machine.root)


def test_guest_comes_and_goes(lab, slow):
    """Its QEMU is killed in the middle, it starts in the middle, it is saved and resumed in the middle."""
    machine = lab.machine()
    for name, written in (("s0", 2 << 20), ("s1", 1 << 20), ("s2", 4096)):
        machine.snapshot(name)
        (d,) = machine.config().disks
        disk.write(d.path, d.format, 1 << 20, written, 7)
    machine.start()
    machine.serial.reach(4)
    seen = {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()}
    machine.delete_snapshot("s1")
    await_merge(lab)
    at = machine.serial.lines()[-1].ram
    machine.kill_guest()
    await_merge(lab)
    machine.start()
    machine.serial.reach(at)  # what it wrote to the disk is there
    machine.serial.mark()
    await_merge(lab)
    machine.delete_snapshot("s2")
    await_merge(lab)
    machine.vm("save")  # from here on it may be done by qemu-img, which knows no limit
    machine.vm("start")
    slow()
    lab.check()
    machine.serial.undisturbed()
    assert machine.state() == "running" and len(laws.hidden(machine.root)) == 0
    del seen["s1"], seen["s2"]
    assert {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()} == seen


def test_no_room(small):
    """Too little room: the job waits and says what it needs; with room it goes on. Another job can go first, and it can
    be paused."""
    tree, present = grown(small)
    ballast = fill(small, 1 << 20)
    small.merges = False
    tree.delete("s1", "--force")
    phase = until(lambda: waiting(small), "the merge to wait")["phase"]
    assert "needed" in phase and "free" in phase and small.daemon.store in phase
    assert not small.daemon.intents()
    small.ctl("snapshot", "rename", tree.machine.name, "s2", "two")
    job = until(lambda: waiting(small), "the merge to wait again")
    small.ctl("job", "pause", job["id"])
    until(lambda: [j["id"] for j in jobs(small, "paused")] == [job["id"]], "the merge to be paused")
    small.ctl("job", "resume", job["id"])
    assert until(lambda: waiting(small), "the merge to wait once more")["id"] == job["id"]
    os.unlink(ballast)
    small.merges = True
    small.ctl("snapshot", "rename", tree.machine.name, "two", "s2")
    tree.check(present)


@pytest.mark.parametrize("victim", ["s1", "s2"])
def test_long_chain(small, victim):
    """A chain that would get longer than max-chain: what is hidden is merged first, also into what was the working
    disk, whoever cancelled that; if it does not help, the snapshot says so."""
    with open(small.path("vmsnapd.conf"), "w") as conf:
        conf.write("max-chain = 4\n")
    small.daemon.options = ["--config", small.path("vmsnapd.conf")]
    small.daemon.restart()
    tree, _ = grown(small)
    name = tree.machine.name
    ballast = fill(small, 1 << 20)
    small.merges = False
    tree.delete(victim, "--force")
    small.ctl("job", "cancel", until(lambda: waiting(small), "the merge to wait")["id"])
    until(small.daemon.ready, "the merge to stop")
    os.unlink(ballast)

    def length():
        return len(disk.chain(tree.machine.config().disks[0].path))

    assert length() == 4
    tree.snapshot("s3")
    assert length() == 4 and not laws.hidden(tree.machine.root)
    tree.work()
    present = tree.present()
    job = small.ctl("snapshot", "create", name, "--name", "s4")["job"]
    assert length() == 5 and "max-chain" in job["warnings"][0]
    tree.seen["s4"], tree.parent["s4"], tree.now = present, "s3", "s4"
    small.merges = True
    tree.check(present)
