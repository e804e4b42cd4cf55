# SPDX-License-Identifier: GPL-2.0-or-later
"""What the admin has beside vmsnap, and what goes wrong behind the commit point, costs nobody a machine."""
import os
import shutil
import subprocess

import pytest
from vmsnaptest import disk
from vmsnaptest.daemon import REFUSED, CtlError
from vmsnaptest.machine import PREFIX, Machine

EFI = """<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>
  <firmware><feature enabled='no' name='secure-boot'/></firmware></os><features><acpi/></features>"""
VARS_SIZE = 540672


def put(path, byte, size=VARS_SIZE):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(byte * size)


def first_byte(path):
    with open(path, "rb") as f:
        return f.read(1)


def test_attached_disk_outlives_an_apply(lab):
    """A disk that the admin put into the VM directory and attached is his: its only copy stays."""
    machine = lab.machine()
    one = machine.snapshot("one")["id"]
    extra = os.path.join(machine.root, "extra.qcow2")
    disk.create(extra, "qcow2", "4M")
    lab.virsh("attach-disk", machine.name, extra, "vdb", "--config", "--subdriver", "qcow2")
    machine.vm("start")
    machine.stop()
    assert "vdb" in machine.config().disk_paths()
    machine.apply(one)
    assert os.path.exists(extra) and "vdb" not in machine.config().disk_paths()
    os.remove(extra)  # it belongs to nothing now


def test_delete_with_a_managed_save(lab):
    """libvirt would not undefine it: refused while the VM is still whole."""
    machine = lab.machine(start=True)
    machine.snapshot("one")
    lab.virsh("managedsave", machine.name)
    with pytest.raises(CtlError) as refused:
        machine.vm("delete", "--yes")
    assert refused.value.code == REFUSED and "managed save" in refused.value.message
    assert set(machine.snapshots()) == {"one"}
    lab.virsh("managedsave-remove", machine.name)
    machine.vm("delete", "--yes")
    assert machine.domain() is None


def test_definition_that_libvirt_does_not_take(lab):
    """An apply that fails behind its commit puts the VM back on the disks that it had; nothing stays unsettled."""
    machine = lab.adopted(start=True)
    machine.serial.reach(3)
    snapshot = machine.snapshot("first", "--no-memory")["id"]
    machine.serial.ticks(2)
    path = os.path.join(machine.root, "Snapshots", snapshot + ".xml")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("arch=\"x86_64\"", "arch=\"m68k\""))
    before = machine.config().disk_paths()
    with pytest.raises(CtlError):
        machine.apply(snapshot)
    assert not lab.daemon.intents() and machine.config().disk_paths() == before
    machine.serial.mark()
    machine.vm("start")
    assert machine.serial.wait(lambda line: line.kind == "boot", "a boot").disks[0] > 2
    with open(path, "w") as f:
        f.write(text)
    machine.apply(snapshot)


def test_damaged_nvram_copy(lab):
    """Found before the present machine is ended."""
    machine = lab.machine("uefi", "--uefi")
    guid = machine.config().guid
    live = os.path.join(machine.root, "Virtual Machines", guid, guid + "_VARS.fd")
    put(live, b"1")
    snapshot = machine.snapshot("one")["id"]
    os.truncate(os.path.join(machine.root, "Snapshots", snapshot, snapshot + "_VARS.fd"), 100)
    before = machine.config().disk_paths()
    with pytest.raises(CtlError) as failed:
        machine.apply(snapshot)
    assert failed.value.code == REFUSED and "_VARS.fd" in failed.value.message
    lab.left = {"firmware-drift"}
    assert machine.config().disk_paths() == before and not lab.daemon.intents()


def efi_domain(lab, nvram=""):
    """A domain with firmware='efi', adopted; the directory where libvirt keeps UEFI variables by domain name."""
    if lab.hv.name != "embed":
        pytest.skip("libvirtd's own directory is not the test's to write to")
    where = os.path.join(lab.hv.root, "lib/qemu/nvram")
    name = Machine(lab, PREFIX + "efi", lab.path("efi.log"))
    head = EFI.replace("</os>", nvram.format(path=f"{where}/{name.name}_VARS.fd") + "</os>")
    lab.define(lab.domain_xml("efi", lab.two_disk_images("efi"), memory=96, head=head))
    put(f"{where}/{name.name}_VARS.fd", b"1")
    lab.ctl("vm", "adopt", name.name)
    return name, where


def test_snapshot_of_a_vm_that_was_renamed_since(lab):
    """NVRAM goes back to where libvirt looks for it under the present name."""
    machine, where = efi_domain(lab)
    snapshot = machine.snapshot("one")["id"]
    old, new = (f"{where}/{name}_VARS.fd" for name in (machine.name, PREFIX + "renamed"))
    lab.ctl("vm", "rename", machine.name, PREFIX + "renamed")
    machine.name = PREFIX + "renamed"
    assert first_byte(new) == b"1" and not os.path.exists(old)
    put(new, b"2")
    machine.apply(snapshot)
    assert first_byte(new) == b"1" and not os.path.exists(old)


def test_rename_onto_nvram_of_somebody_else(lab):
    machine, where = efi_domain(lab)
    other = f"{where}/{PREFIX}renamed_VARS.fd"
    put(other, b"X")
    with pytest.raises(CtlError) as refused:
        lab.ctl("vm", "rename", machine.name, PREFIX + "renamed")
    assert refused.value.code == REFUSED and first_byte(other) == b"X"
    assert machine.domain() and machine.config().name == machine.name


def test_rename_with_nvram_that_the_document_names(lab):
    """The document goes on naming it, so it stays there."""
    machine, where = efi_domain(lab, "<nvram>{path}</nvram>")
    path = f"{where}/{machine.name}_VARS.fd"
    lab.ctl("vm", "rename", machine.name, PREFIX + "renamed")
    machine.name = PREFIX + "renamed"
    assert first_byte(path) == b"1" and path in machine.domain().defined


def test_renamed_by_virsh(lab):
    """The new name is the VM's; operations do not fail over it."""
    machine = lab.adopted()
    machine.snapshot("one")
    lab.virsh("domrename", machine.name, PREFIX + "other")
    lab.ctl("snapshot", "create", machine.config().guid, "--name", "two")
    machine.name = PREFIX + "other"
    assert set(machine.snapshots()) == {"one", "two"} and not lab.daemon.intents()


def test_vm_that_libvirt_does_not_take(lab):
    """Nothing of it stays: no directory, no record that cannot be settled."""
    with pytest.raises(CtlError):
        lab.ctl("vm", "create", PREFIX + "many", "--memory", "16M", "--vcpus", "1000", "--disk", "4M")
    assert not lab.daemon.intents() and lab.ctl("vm", "list")["vms"] == []
    assert [name for name in os.listdir(lab.daemon.store) if not name.startswith(("index.", ".reserve"))] == []


def test_disk_that_another_vm_rests_on(lab):
    """It has one owner: a second VM that wrote to it would destroy the first one's snapshots."""
    machine = lab.adopted()
    machine.snapshot("first")
    path = lab.path("two-0.img")
    link = lab.path("link.img")
    os.symlink(path, link)
    lab.define(lab.domain_xml("thief", [(link, "raw")]))
    with pytest.raises(CtlError) as refused:
        lab.ctl("vm", "adopt", PREFIX + "thief")
    assert refused.value.code == REFUSED and machine.name in refused.value.message


def test_one_disk_twice(lab):
    ((path, image_format), _) = lab.two_disk_images("twice")
    lab.define(lab.domain_xml("twice", [(path, image_format), (path, image_format)]))
    with pytest.raises(CtlError) as refused:
        lab.ctl("vm", "adopt", PREFIX + "twice")
    assert refused.value.code == REFUSED and "same file" in refused.value.message


def test_delete_of_what_another_vm_rests_on(lab):
    machine = lab.machine()
    (base,) = machine.config().disk_paths().values()
    clone = lab.path("clone.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", clone], check=True)
    lab.define(lab.domain_xml("clone", [(clone, "qcow2")]))
    lab.ctl("vm", "adopt", PREFIX + "clone")
    with pytest.raises(CtlError) as refused:
        machine.vm("delete", "--yes")
    assert refused.value.code == REFUSED and PREFIX + "clone" in refused.value.message and os.path.exists(base)
    lab.left = {"disk-shared", "foreign-directory"}


def test_two_directories_with_one_vm(lab):
    """Nobody can tell which one is meant: shown, but nothing is done to either."""
    machine = lab.machine()
    machine.snapshot("one")
    root, copy = machine.root, os.path.join(lab.daemon.store, "a-copy")
    shutil.copytree(root, copy)
    for words in (["vm", "start", machine.name], ["snapshot", "create", machine.name, "--name", "two"],
                  ["vm", "delete", machine.name, "--force"], ["snapshot", "rename", machine.name, "one", "two"]):
        with pytest.raises(CtlError) as refused:
            lab.ctl(*words)
        assert refused.value.code == REFUSED and root in refused.value.message and copy in refused.value.message
    assert machine.domain() and os.path.isdir(root) and os.path.isdir(copy)
    shutil.rmtree(copy)
    machine.snapshot("two")
    assert set(machine.snapshots()) == {"one", "two"}
