# SPDX-License-Identifier: GPL-2.0-or-later
"""What is shown of chains is what is there, and what a dry run says is what happens."""
import glob
import os
import re

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.daemon import USAGE, CtlError
from vmsnaptest.varlink import VarlinkError

pytestmark = pytest.mark.one_driver  # what is said of files


def images_of(machine):
    """{path: bytes on disk} of all images in the VM directory."""
    paths = glob.glob(os.path.join(glob.escape(machine.root), "*.qcow2")) + \
        glob.glob(os.path.join(glob.escape(machine.root), "Snapshots/*/*.avhd"))
    return {path: os.stat(path).st_blocks * 512 for path in paths}


def memory_of(machine):
    paths = glob.glob(os.path.join(glob.escape(machine.root), "*/*/*.vsv")) + \
        glob.glob(os.path.join(glob.escape(machine.root), "*/*/*.bin"))
    return sum(os.stat(path).st_blocks * 512 for path in paths)


def work(machine, number, size=65536):
    """What a guest does while we are not looking: some of it where others wrote before, some of its own."""
    (d,) = machine.config().disks
    disk.write(d.path, d.format, 131072, size, number)
    disk.write(d.path, d.format, number * 131072 + 262144, size, number)


def chains(machine):
    return machine.lab.ctl("disk", "chain", machine.name)["disks"]


def usage(machine):
    return machine.lab.ctl("disk", "usage", machine.name)["usage"]


def looks_of(machine):
    """What changes when an image is written to, of those that no running guest writes itself; the blocks that an
    image takes may change later, by themselves."""
    now = {d.path for d in machine.config().disks} if machine.state() == "running" else set()
    return {path: (os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in set(images_of(machine)) - now}


def dry_run(machine, snapshot, *options):
    before = looks_of(machine)
    plan = machine.lab.ctl("snapshot", "delete", machine.name, snapshot, "--dry-run", *options)["plan"]
    assert looks_of(machine) == before
    return plan


def goes(plan):
    """The files that an outcome of the plan leaves no longer there."""
    return {action["dependant"] if action["action"] == "commit" else action["image"]
            for action in plan["actions"] if action["action"] in ("remove", "pull", "commit")}


def delete_as_planned(machine, snapshot, *options):
    """Deletes it; what the dry run said came about. Returns the plan."""
    machine.lab.merged()  # what is due from before is not part of it
    plan = dry_run(machine, snapshot, *options)
    names, images, memory = set(machine.snapshots()), images_of(machine), memory_of(machine)
    machine.lab.ctl("snapshot", "delete", machine.name, snapshot, *options)
    machine.lab.merged()
    assert names - set(machine.snapshots()) == set(plan["names"])
    now = images_of(machine)
    assert set(images) - set(now) == goes(plan)
    kept = {action["image"] for action in plan["actions"] if action["action"] == "keep"}
    assert kept == set(laws.hidden(machine.root))
    freed = sum(images.values()) - sum(now.values()) + memory - memory_of(machine)
    slack = 2 << 20  # tables of images that are written to, and what a file system takes for itself
    assert plan["freedMinBytes"] - slack <= freed <= plan["freedMaxBytes"] + slack
    assert sum(now.values()) <= sum(images.values()) + plan["neededBytes"]
    assert plan["seconds"] >= plan["copiedBytes"] / plan["bytesPerSecond"]
    return plan


@pytest.fixture
def branched(lab):
    """Off: s1, s2, s3 in a line, then s4 beside s3; now is over s4."""
    machine = lab.machine("one")
    for number, name in enumerate(("s1", "s2", "s3"), 1):
        work(machine, number)
        machine.snapshot(name)
    machine.apply("s2")
    work(machine, 4)
    machine.snapshot("s4")
    work(machine, 5)
    return machine


def test_chain_and_usage(lab, branched):
    (shown,) = chains(branched)
    by_path = {image["path"]: image for image in shown["images"]}
    there = images_of(branched)
    assert {path: image["allocatedBytes"] for path, image in by_path.items()} == there
    (d,) = branched.config().disks
    assert shown["target"] == d.target and shown["length"] == len(disk.chain(d.path)) == 4
    order = [image["path"] for image in shown["images"]]
    for path, image in by_path.items():
        assert image.get("backing") == disk.backing(path)[0]
        assert "backing" not in image or order.index(image["backing"]) < order.index(path)
        assert not (image["hidden"] or image["orphan"] or image["outside"] or image["shared"])
    named = {name: path for path, image in by_path.items() for name in image["snapshotNames"]}
    for name, snapshot in branched.snapshots().items():
        (sealed,) = branched.snapshot_config(snapshot["id"]).disks
        assert named[name] == sealed.path and by_path[sealed.path]["snapshots"] == [snapshot["id"]]
    assert [path for path, image in by_path.items() if image["now"]] == [d.path] and order[-1] == d.path
    text = lab.daemon.run_ctl("disk", "chain", branched.name, "--ascii").stdout
    assert text.startswith(f"{d.target}: 4 images under the VM's disk\n")
    assert re.search(r"(?m)^  \|- \S+ +.* +snapshot 's3'$", text) and re.search(r"(?m)^ {5}\S+ +.* +now$", text)

    used = usage(branched)
    sizes = {s["name"]: s["diskBytes"] for s in used["snapshots"]}
    assert list(sizes) == ["s1", "s2", "s3", "s4"] and sizes == {n: there[p] for n, p in named.items()}
    assert used["nowBytes"] == there[d.path] and used["nowBytes"] + used["snapshotBytes"] == sum(there.values())
    assert used["hiddenBytes"] == used["orphanBytes"] == used["outsideBytes"] == used["memoryBytes"] == 0
    leaf = next(s for s in used["snapshots"] if s["name"] == "s3")
    assert leaf["freedMinBytes"] == leaf["freedMaxBytes"] == leaf["diskBytes"] and leaf["copiedBytes"] == 0


def test_dry_run_comes_true(lab, branched):
    plan = delete_as_planned(branched, "s2")  # two are over it: it stays, hidden
    assert [(a["action"], a["why"]) for a in plan["actions"]] == [("keep", "branches")]
    (shown,) = chains(branched)
    (hidden,) = [image for image in shown["images"] if image["hidden"]]
    assert "two or more" in hidden["reason"] and usage(branched)["hiddenBytes"] == hidden["allocatedBytes"]
    plan = delete_as_planned(branched, "s3")
    assert [a["action"] for a in plan["actions"]][0] == "remove" and len(plan["actions"]) == 2
    plan = delete_as_planned(branched, "s4")
    assert plan["copiedBytes"] > 0
    delete_as_planned(branched, "s1")
    assert len(images_of(branched)) == 1 and chains(branched)[0]["length"] == 1
    text = lab.daemon.run_ctl("disk", "usage", branched.name).stdout
    assert re.search(r"(?m)^Hidden: +0 B$", text)


def test_scope(lab, branched):
    plan = dry_run(branched, "s1", "--children")
    assert plan["names"].index("s3") < plan["names"].index("s2") and set(plan["names"]) == {"s2", "s3", "s4"}
    assert set(branched.snapshots()) == {"s1", "s2", "s3", "s4"}
    before = disk.content(branched.config().disks[0].path, "qcow2")
    delete_as_planned(branched, "s2", "--children")
    assert set(branched.snapshots()) == {"s1", "s2"}
    delete_as_planned(branched, "s1", "--subtree")
    assert not branched.snapshots()
    assert disk.content(branched.config().disks[0].path, "qcow2") == before
    with pytest.raises(CtlError) as error:
        lab.ctl("snapshot", "delete", branched.name, "s1", "--subtree", "--children")
    assert error.value.code == USAGE
    branched.snapshot("s5")
    for method in ("PlanDelete", "DeleteSnapshot"):
        with pytest.raises(VarlinkError, match="InvalidArgument.*scope"):
            lab.daemon_call(method, vm=branched.name, snapshot="s5", scope="all")


def test_running(lab):
    """What the running guest's QEMU does, and memory."""
    machine = lab.machine("one", start=True)
    for name in ("s1", "s2", "s3"):
        machine.serial.mark()
        machine.serial.first()
        machine.snapshot(name)
    used = usage(machine)
    assert used["memoryBytes"] == memory_of(machine) > 0
    assert all(s["memoryBytes"] > 0 and s["freedMaxBytes"] >= s["memoryBytes"] for s in used["snapshots"])
    plan = delete_as_planned(machine, "s2")
    assert [a["live"] for a in plan["actions"] if a["action"] != "keep"] == [True]
    delete_as_planned(machine, "s1", "--subtree")
    assert chains(machine)[0]["length"] == 1
    machine.serial.mark()
    machine.serial.first()


def test_outside(lab):
    """A base disk elsewhere is read, and stays."""
    machine = lab.adopted("two")
    bases = [d.path for d in machine.config().disks]
    machine.snapshot("s1")
    plan = dry_run(machine, "s1")
    assert [(a["action"], a["why"], a["image"]) for a in plan["actions"]] == \
        [("keep", "outside", path) for path in bases]
    assert plan["freedMaxBytes"] == plan["copiedBytes"] == 0
    shown = chains(machine)
    assert [image["path"] for tree in shown for image in tree["images"] if image["outside"]] == bases
    assert [tree["target"] for tree in shown] == [d.target for d in machine.config().disks]
    assert usage(machine)["outsideBytes"] == sum(os.stat(path).st_blocks * 512 for path in bases)
    plan = dry_run(machine, "s1", "--into-base")
    assert [(a["action"], a["why"], a["image"]) for a in plan["actions"]] == \
        [("commit", "into-base", path) for path in bases]
    machine.lab.ctl("snapshot", "delete", machine.name, "s1", "--into-base")
    assert [d.path for d in machine.config().disks] == bases and not images_of(machine)


def clone(lab, sealed):
    """Another VM, whose disk is over a sealed one. Returns the disk's path."""
    overlay = lab.path("clone.qcow2")
    disk.create_over(overlay, sealed.path, sealed.format)
    lab.define(lab.domain_xml("clone", [(overlay, "qcow2")]))
    lab.ctl("vm", "adopt", lab.domain_name("clone"))
    return overlay


def test_shared(lab):
    """Another VM's disk is over an image of this one: it stays as it is until that VM is gone."""
    machine = lab.machine("one")
    work(machine, 1)
    machine.snapshot("s1")
    work(machine, 2)
    (sealed,) = machine.snapshot_config(machine.snapshots()["s1"]["id"]).disks
    overlay = clone(lab, sealed)
    seen = disk.content(overlay, "qcow2")
    plan = dry_run(machine, "s1")
    assert [(a["action"], a["why"], a["image"]) for a in plan["actions"]] == [("keep", "shared", sealed.path)]
    lab.merges = False
    machine.delete_snapshot("s1")
    assert os.path.exists(sealed.path)
    (shown,) = chains(machine)
    (hidden,) = [image for image in shown["images"] if image["hidden"]]
    assert hidden["path"] == sealed.path and hidden["shared"] and "another VM" in hidden["reason"]
    assert disk.content(overlay, "qcow2") == seen
    lab.ctl("vm", "delete", lab.domain_name("clone"))
    lab.merges = True
    machine.snapshot("s2")
    lab.merged()
    delete_as_planned(machine, "s2")
    assert len(images_of(machine)) == 1


def test_shared_leaf(lab):
    """The same for an image that this VM does not need at all."""
    machine = lab.machine("one")
    machine.snapshot("s1")
    work(machine, 1)
    machine.snapshot("s2")
    machine.apply("s1")
    (sealed,) = machine.snapshot_config(machine.snapshots()["s2"]["id"]).disks
    overlay = clone(lab, sealed)
    seen = disk.content(overlay, "qcow2")
    plan = dry_run(machine, "s2")
    assert ("keep", "shared", sealed.path) in [(a["action"], a["why"], a["image"]) for a in plan["actions"]]
    machine.delete_snapshot("s2")
    assert os.path.exists(sealed.path) and disk.content(overlay, "qcow2") == seen
    (orphan,) = [image for image in chains(machine)[0]["images"] if image["orphan"]]
    assert orphan["path"] == sealed.path and orphan["shared"]
    lab.ctl("vm", "delete", lab.domain_name("clone"))
    os.remove(sealed.path)  # nobody else does
