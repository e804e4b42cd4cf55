# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain is adopted that stands on images of another VM: from then on nobody merges or removes these."""
import glob
import os

import pytest
from vmsnaptest import disk
from vmsnaptest.daemon import BUSY, REFUSED, CtlError
from vmsnaptest.merging import await_merge, jobs
from vmsnaptest.tree import Tree
from vmsnaptest.wait import until


def define_clone(lab, image):
    """A domain whose disk is over an image of a VM; vmsnap does not know it. Returns the disk's path."""
    overlay = lab.path("clone.qcow2")
    disk.create_over(overlay, image.path, image.format)
    lab.define(lab.domain_xml("clone", [(overlay, "qcow2")]))
    return overlay


def test_while_it_merges(lab, gate):
    """The image below the clone is about to be merged into another and removed: adopting stops that, for good; when the
    clone is gone it is merged, by itself."""
    tree = Tree(lab)
    tree.snapshot("s0")
    tree.snapshot("s1")
    tree.snapshot("s2", 262144)
    tree.work()
    present = tree.present()
    (image,) = tree.machine.snapshot_config(tree.machine.snapshots()["s1"]["id"]).disks
    overlay = define_clone(lab, image)
    seen = disk.content(overlay, "qcow2")
    tree.delete("s1")
    job = await_merge(lab)
    lab.ctl("vm", "adopt", lab.domain_name("clone"))
    lab.merges = False
    until(lambda: not jobs(lab, "running", "queued"), "all jobs to end")
    assert job["id"] in [j["id"] for j in jobs(lab, "done")]
    lab.check()
    assert os.path.exists(image.path) and disk.content(overlay, "qcow2") == seen
    lab.ctl("vm", "delete", lab.domain_name("clone"))
    lab.merges = True
    gate()
    tree.check(present)
    assert not os.path.exists(image.path)


def test_document_cannot_be_read(lab):
    """Nobody can tell what a VM with a damaged document stands on: nothing that it may need is merged or removed, until
    the document can be read and says that it does not need it."""
    tree = Tree(lab)
    tree.snapshot("s0")
    tree.snapshot("s1")
    tree.snapshot("s2", 262144)
    tree.work()
    present = tree.present()
    (image,) = tree.machine.snapshot_config(tree.machine.snapshots()["s1"]["id"]).disks
    overlay = define_clone(lab, image)
    seen = disk.content(overlay, "qcow2")
    clone = lab.domain_name("clone")
    lab.ctl("vm", "adopt", clone)
    (document,) = glob.glob(os.path.join(glob.escape(lab.daemon.store), clone, "Virtual Machines/*.xml"))
    os.rename(document, document + ".whole")
    with open(document, "w") as damaged:
        damaged.write("<configuration>\n")
    lab.merges = False
    tree.delete("s1")
    until(lambda: not jobs(lab, "running", "queued"), "all jobs to end")
    assert os.path.exists(image.path) and disk.content(overlay, "qcow2") == seen
    with pytest.raises(CtlError) as refused:
        lab.ctl("vm", "delete", tree.machine.name)
    assert refused.value.code == REFUSED and clone in refused.value.message
    os.rename(document + ".whole", document)
    lab.daemon.restart()
    until(lambda: not jobs(lab, "running", "queued"), "all jobs to end")
    assert os.path.exists(image.path) and disk.content(overlay, "qcow2") == seen
    lab.ctl("vm", "delete", clone)
    lab.merges = True
    tree.check(present)
    assert not os.path.exists(image.path)


def test_busy(lab, gate):
    """What does not give way is not waited for."""
    tree = Tree(lab)
    tree.snapshot("s0")
    tree.work()
    (image,) = tree.machine.snapshot_config(tree.machine.snapshots()["s0"]["id"]).disks
    define_clone(lab, image)
    caller = lab.daemon.start_ctl("disk", "flatten", tree.machine.name, "--all")
    until(lambda: [j for j in jobs(lab, "running") if j.get("phase") == "merging"], "the disk to be read")
    with pytest.raises(CtlError) as busy:
        lab.ctl("vm", "adopt", lab.domain_name("clone"))
    assert busy.value.code == BUSY and tree.machine.name in busy.value.message
    gate()
    lab.daemon.end_ctl(caller)
    lab.ctl("vm", "adopt", lab.domain_name("clone"))
    lab.left = {"foreign-directory"}
