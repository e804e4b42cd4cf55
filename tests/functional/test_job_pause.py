# SPDX-License-Identifier: GPL-2.0-or-later
"""Merging and flattening are paused and go on: meanwhile the VM is free, also for the next daemon."""
import os

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.daemon import REFUSED, CtlError
from vmsnaptest.merging import await_merge, jobs
from vmsnaptest.tree import Tree
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # the daemon's own jobs


def pause(lab, job):
    lab.ctl("job", "pause", job["id"])
    return until(lambda: jobs(lab, "paused"), "the job to be paused")


def pausing(lab, job):
    """It is the one that is paused."""
    (paused,) = until(lambda: jobs(lab, "paused"), "the pause to be known again")
    return paused["id"] == job["id"]


def deleted(lab):
    """A tree of which a snapshot was deleted, and the merge that copies now."""
    tree = Tree(lab)
    tree.snapshot("s0")
    tree.snapshot("s1", 262144)
    tree.snapshot("s2", 65536)
    tree.delete("s1")
    return tree, await_merge(lab)


def refused(lab, *words):
    with pytest.raises(CtlError) as error:
        lab.ctl(*words)
    assert error.value.code == REFUSED
    return error.value.message


def test_merge_off(lab, slow):
    """Paused, nothing is copied and the VM is free; so it stays when the daemon is started again or is killed; let go
    on, it is merged."""
    tree, job = deleted(lab)
    assert [j["id"] for j in pause(lab, job)] == [job["id"]]
    lab.ctl("job", "pause", job["id"])
    assert not lab.daemon.intents()
    lab.check()
    tree.snapshot("s3")
    created = lab.ctl("snapshot", "delete", tree.machine.name, "s3")["job"]
    tree.forget("s3")
    assert job["id"] in created["warnings"][0]
    tree.machine.start()
    tree.machine.stop()
    tree.work()
    present = tree.present()
    assert len(lab.mergeable()) == 2 and not jobs(lab, "running", "queued")
    slow()
    assert pausing(lab, job)
    lab.daemon.kill()
    lab.daemon.start()
    assert pausing(lab, job)
    assert len(lab.mergeable()) == 2
    lab.agree()
    lab.ctl("job", "resume", job["id"])
    lab.ctl("job", "wait", job["id"])
    tree.check(present)
    assert "done" in refused(lab, "job", "pause", job["id"])
    assert "not paused" in refused(lab, "job", "resume", job["id"])
    assert not laws.pauses(tree.machine.root)


def test_merge_running(lab, slow):
    """The same under a running guest, which notices nothing; and a paused merge is cancelled."""
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    for name in ("s0", "s1", "s2"):
        machine.snapshot(name, "--no-memory")
        machine.serial.ticks(3)
    machine.serial.mark()
    seen = {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()}
    machine.delete_snapshot("s1")
    del seen["s1"]
    job = await_merge(lab)
    pause(lab, job)
    machine.snapshot("s3", "--no-memory")
    seen["s3"] = machine.sealed_numbers(machine.snapshots()["s3"]["id"])
    assert [j["id"] for j in jobs(lab, "paused")] == [job["id"]]
    lab.ctl("job", "resume", job["id"])
    assert await_merge(lab)["id"] == job["id"]
    pause(lab, job)
    lab.ctl("job", "cancel", job["id"])
    assert [j["id"] for j in jobs(lab, "cancelled")] == [job["id"]]
    slow()
    lab.check()
    machine.serial.ticks(2)
    machine.serial.undisturbed()
    assert machine.state() == "running" and not laws.hidden(machine.root)
    assert {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()} == seen


def test_flatten(lab, gate):
    """A flattening is paused while its caller waits; a snapshot is taken meanwhile; it goes on with what is the VM's
    own disk then."""
    tree = Tree(lab)
    tree.grow([None, 0])
    tree.work()
    caller = lab.daemon.start_ctl("disk", "flatten", tree.machine.name, "--all")
    (job,) = until(lambda: [j for j in jobs(lab, "running") if j.get("phase") == "merging"], "the disk to be read")
    (job,) = pause(lab, job)
    assert job["operation"] == "disk flatten" and caller.poll() is None
    tree.snapshot("s2")
    present = tree.present()
    lab.ctl("job", "resume", job["id"])
    gate()
    lab.daemon.end_ctl(caller)
    tree.check(present)
    assert len(disk.chain(tree.machine.config().disks[0].path)) == 1


def test_vm_goes(lab, slow):
    """A VM is deleted while its merging is paused, of which nobody can read the mark any more: the job ends, nothing is
    left."""
    tree, job = deleted(lab)
    pause(lab, job)
    root = tree.machine.root
    (mark,) = laws.pauses(root)
    lab.daemon.stop()
    with open(mark, "w") as damaged:
        damaged.write("vmsnap-intent 1\n")
    lab.daemon.start()
    (other,) = until(lambda: jobs(lab, "paused"), "the pause to be known again")
    assert other["operation"] == "merge" and other["id"] != job["id"] and len(lab.mergeable()) == 1
    tree.machine.vm("delete")
    until(lambda: not jobs(lab, "paused"), "the job to end")
    assert not os.path.exists(root)
    slow()
