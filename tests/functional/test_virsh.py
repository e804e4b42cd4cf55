# SPDX-License-Identifier: GPL-2.0-or-later
"""The admin also uses virsh: it sees a normal domain, and what it changes is detected, named, never made worse.

Under embed the daemon stands aside while virsh works; under system both are there at once."""
import os
import subprocess

import pytest
from vmsnaptest import disk
from vmsnaptest.daemon import FAILED, REFUSED, CtlError
from vmsnaptest.document import domain_disks
from vmsnaptest.merging import await_merge
from vmsnaptest.tree import Tree
from vmsnaptest.wait import until


def test_sees_a_normal_domain(lab):
    """No libvirt snapshot, no checkpoint; start, destroy, dumpxml, edit, undefine behave as ever."""
    machine = lab.machine()
    machine.snapshot("off")
    machine.start()
    machine.snapshot("running")
    name = machine.name
    assert lab.virsh("snapshot-list", name, "--name").strip() == ""
    assert lab.virsh("checkpoint-list", name, "--name").strip() == ""
    machine.serial.ticks(2)
    lab.virsh("destroy", name)
    machine.serial.mark()
    lab.virsh("start", name)
    machine.serial.wait(lambda line: line.kind == "boot", "the guest's boot")
    lab.virsh("destroy", name)
    lab.virsh("undefine", name, "--keep-nvram")
    assert machine.domain() is None
    assert machine.show()["state"] == "undefined"
    machine.start()  # what the VM directory says counts: it is defined again
    assert machine.state() == "running" and len(machine.snapshots()) == 2


def test_disks_of_the_definition_follow(lab):
    """After a snapshot of a running guest the persistent definition names the working disks too."""
    machine = lab.adopted(start=True)
    machine.snapshot("first", "--no-memory")
    expected = machine.config().disk_paths()
    domain = machine.domain()
    for xml in (domain.xml, domain.defined):
        assert {target: path for target, (path, _) in domain_disks(xml).items()} == expected


def test_edit_is_taken_into_the_configuration(lab):
    """Before a snapshot the domain's present XML is taken: it comes back with the snapshot."""
    machine = lab.machine()
    plain = machine.snapshot("plain")["id"]
    lab.virsh("desc", machine.name, "--config", "a new purpose")
    edited = machine.snapshot("edited")["id"]
    assert machine.snapshot_config(edited).domain.findtext("description") == "a new purpose"
    machine.apply(plain)
    assert "a new purpose" not in machine.domain().defined
    machine.apply(edited)
    assert "a new purpose" in machine.domain().defined


def test_edit_survives_start_and_stop(lab):
    machine = lab.machine()
    lab.virsh("desc", machine.name, "--config", "kept")
    machine.start()
    machine.stop()
    lab.daemon.restart()
    assert "kept" in machine.domain().defined


def test_disk_source_changed_by_somebody_else(lab):
    """The domain points to another disk than the working disk: refused with both named, nothing touched."""
    machine = lab.machine()
    first = machine.snapshot("first")["id"]
    ours, other = machine.config().disks[0].path, lab.path("other.qcow2")
    disk.create(other, "qcow2", "4M")
    xml = machine.domain().defined
    assert ours in xml
    lab.define(xml.replace(ours, other))
    # an apply, too: it would remove the working disk, and somebody's image may lie over it
    for words in (("snapshot", "create", machine.name), ("vm", "start", machine.name),
                  ("snapshot", "apply", machine.name, first, "--discard")):
        with pytest.raises(CtlError) as refused:
            lab.ctl(*words)
        assert refused.value.code == REFUSED
        assert other in f"{refused.value.message} {refused.value.parameters.get('hint')}"
    assert any(other in problem for problem in machine.show()["problems"])
    assert other in machine.domain().defined
    lab.define(xml)  # as the hint says
    machine.apply(first)
    assert other not in machine.domain().defined


def test_managed_save(lab):
    """A managed save holds memory that belongs to the present disks: never mixed in, never thrown away."""
    if lab.hv.name == "embed":
        pytest.skip("needs virsh beside the running daemon")
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    first = machine.snapshot("first")["id"]
    machine.serial.ticks(2)
    lab.virsh("managedsave", machine.name)
    for words in (("snapshot", "create", machine.name), ("snapshot", "apply", machine.name, first, "--discard")):
        with pytest.raises(CtlError) as refused:
            lab.ctl(*words)
        assert refused.value.code == REFUSED and "managed save" in refused.value.message
    assert machine.domain().managed_save
    assert any("managed save" in problem for problem in machine.show()["problems"])
    machine.serial.mark()
    lab.virsh("start", machine.name)
    machine.serial.ticks(3)
    machine.apply(first)
    machine.check_resumed_from(first)


def test_foreign_block_job(lab):
    """A block job of somebody else on our disk: no snapshot meanwhile; named; it is left alone."""
    if lab.hv.name == "embed":
        pytest.skip("needs virsh beside the running daemon")
    machine = lab.machine(start=True)
    machine.snapshot("first", "--no-memory")
    copy = lab.path("copy.qcow2")
    lab.virsh("blockcopy", machine.name, "vda", copy, "--transient-job")
    try:
        with pytest.raises(CtlError) as refused:
            machine.snapshot("second", "--no-memory")
        assert refused.value.code in (REFUSED, 5) and "block job" in refused.value.message
        assert any("block job" in problem for problem in machine.show()["problems"])
        assert "Block Copy" in lab.virsh("blockjob", machine.name, "vda", "--raw")  # still theirs, still there
    finally:
        lab.virsh("blockjob", machine.name, "vda", "--abort")
    machine.snapshot("second", "--no-memory")


def test_foreign_libvirt_snapshot(lab):
    """virsh snapshot-create-as --disk-only behind our back moves the guest to an overlay of theirs."""
    if lab.hv.name == "embed":
        pytest.skip("needs virsh beside the running daemon")
    machine = lab.machine(start=True)
    first = machine.snapshot("first")["id"]
    machine.serial.ticks(2)
    lab.virsh("snapshot-create-as", machine.name, "theirs", "--disk-only")
    with pytest.raises(CtlError) as refused:
        machine.snapshot("second")
    assert refused.value.code == REFUSED and "theirs" in refused.value.message
    assert any("theirs" in problem for problem in machine.show()["problems"])
    assert machine.domain().snapshots == ("theirs",)
    machine.serial.ticks(2)
    lab.virsh("destroy", machine.name)
    overlay = domain_disks(machine.domain().defined)["vda"][0]
    lab.virsh("snapshot-delete", machine.name, "theirs", "--metadata")
    with pytest.raises(CtlError) as refused:  # their overlay lies over our working disk
        machine.apply(first)
    assert refused.value.code == REFUSED and overlay in refused.value.message
    lab.virsh("undefine", machine.name)  # as the hint says
    machine.apply(first)
    machine.check_resumed_from(first)
    assert os.path.exists(overlay)  # not ours to remove
    os.unlink(overlay)


def test_destroyed_behind_our_back(lab):
    machine = lab.machine(start=True)
    machine.snapshot("first")
    lab.virsh("destroy", machine.name)
    until(lambda: machine.show()["state"] == "off", "the daemon noticing")
    second = machine.snapshot("second")
    assert second["kind"] == "off"


def test_renamed_behind_our_back(lab):
    """The domain is found by its UUID, whatever it is called now."""
    machine = lab.machine()
    snapshot = machine.snapshot("first")["id"]
    lab.virsh("domrename", machine.name, machine.name + "x")
    vm = lab.ctl("vm", "show", machine.config().guid)["vm"]
    assert vm["state"] == "off"
    lab.virsh("domrename", machine.name + "x", machine.name)
    machine.apply(snapshot)


def test_migration_is_not_blocked(lab):
    """libvirt refuses to migrate a domain with snapshots of its own; ours are none. To the same host it gets
    as far as finding that out, and no further: the refusal must be about the host."""
    if lab.hv.name == "embed":
        pytest.skip("qemu:///embed cannot migrate")
    machine = lab.machine(start=True)
    machine.snapshot("first")
    with pytest.raises(RuntimeError) as refused:
        lab.virsh("migrate", "--live", machine.name, "qemu+unix:///system")
    assert "snapshot" not in str(refused.value)
    machine.serial.ticks(2)


def test_transient_refusal_is_clear(lab):
    """An undefined domain that still runs (transient now): the VM is shown with that problem and can be used."""
    if lab.hv.name == "embed":
        pytest.skip("needs virsh beside the running daemon")
    machine = lab.machine(start=True)
    lab.virsh("undefine", machine.name)
    vm = machine.show()
    assert vm["state"] == "running" and vm["problems"]
    try:
        snapshot = machine.snapshot("first")["id"]
    except CtlError as refused:
        assert refused.code in (REFUSED, FAILED) and len(refused.message) > 15
    else:
        machine.serial.ticks(2)
        machine.revert()
        machine.check_resumed_from(snapshot)
    if machine.domain().defined is None:
        machine.stop()
        machine.start()


def test_start_during_a_merge(lab, slow):
    """While qemu-img merges, libvirt cannot start the guest, and says that an image is in use; vmsnapctl can, since the
    merge gives way to it."""
    if lab.hv.name == "embed":
        pytest.skip("needs virsh beside the running daemon")
    tree = Tree(lab)
    tree.snapshot("s0")
    tree.snapshot("s1", 262144)
    tree.snapshot("s2", 65536)
    tree.delete("s1")
    await_merge(lab)
    refused = subprocess.run(["virsh", "-c", lab.hv.uri, "start", tree.machine.name], capture_output=True, text=True)
    assert refused.returncode != 0 and "lock" in refused.stderr, refused.stderr
    tree.machine.start()
    tree.machine.serial.wait(lambda line: line.kind == "boot", "the guest's boot")
    tree.machine.stop()
    slow()
