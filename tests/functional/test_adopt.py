# SPDX-License-Identifier: GPL-2.0-or-later
"""Adopting domains that exist already, with their disks where they are."""
import os
import subprocess

import pytest
from vmsnaptest import disk
from vmsnaptest.daemon import REFUSED, CtlError
from vmsnaptest.machine import PREFIX, Machine


def test_disks_stay_where_they_are(lab):
    sources = lab.two_disk_images("two")
    lab.define(lab.domain_xml("two", sources))
    stamps = [os.stat(path).st_mtime_ns for path, _ in sources]
    vm = lab.ctl("vm", "adopt", PREFIX + "two")["vm"]
    assert [(d["path"], d["format"], d["managed"]) for d in vm["disks"]] == [(p, f, True) for p, f in sources]
    assert [os.stat(path).st_mtime_ns for path, _ in sources] == stamps


def test_running_domain(lab):
    """Adopting does not disturb a guest that runs; it can be snapshotted at once."""
    machine = Machine(lab, PREFIX + "two", lab.path("two.log"))
    lab.define(lab.domain_xml("two", lab.two_disk_images("two")))
    lab.virsh("start", machine.name)
    machine.serial.reach(4)
    machine.serial.mark()
    lab.ctl("vm", "adopt", machine.name)
    snapshot = machine.snapshot("first")
    machine.serial.ticks(3)
    machine.revert()
    machine.check_resumed_from(snapshot["id"])


def test_chain_that_exists(lab):
    """A disk with a backing file of its own is adopted with its chain."""
    base, top = lab.path("base.img"), lab.path("top.qcow2")
    disk.convert(lab.images.boot, "raw", base, "raw")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top], check=True)
    lab.define(lab.domain_xml("chain", [(top, "qcow2")]))
    vm = lab.ctl("vm", "adopt", PREFIX + "chain")["vm"]
    assert [image["path"] for image in vm["disks"][0]["chain"]] == [top, base]
    machine = Machine(lab, PREFIX + "chain", lab.path("chain.log"))
    machine.snapshot("first")
    assert disk.chain_paths(machine.config().disks[0].path)[1:] == [top, base]


def test_block_device(lab):
    """A block device as base disk: overlays lie in the VM directory, the device is never written again."""
    image = lab.path("disk.img")
    disk.convert(lab.images.boot, "raw", image, "raw")
    done = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no loop devices in this kernel: {done.stderr.strip()}")
    device = done.stdout.strip()
    try:
        lab.define(lab.domain_xml("block", [(device, "raw", "block")]))
        lab.ctl("vm", "adopt", PREFIX + "block")
        machine = Machine(lab, PREFIX + "block", lab.path("block.log"))
        machine.start()
        machine.serial.reach(4)
        snapshot = machine.snapshot("first")
        machine.serial.ticks(3)
        machine.revert()
        machine.check_resumed_from(snapshot["id"])
        machine.stop()
    finally:
        lab.hv.reset()
        subprocess.run(["losetup", "--detach", device], check=True)
        lab.check_at_end = False  # its base disk is gone now


def test_other_disks_are_left_alone(lab):
    """CD-ROM, read-only and shareable disks: not managed, with the reason, and untouched by a snapshot."""
    extra = {name: lab.path(name) for name in ("cd.iso", "ro.img", "shared.img")}
    for path in extra.values():
        disk.create(path, "raw", "1M")
    devices = f"""
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{extra["cd.iso"]}'/><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{extra["ro.img"]}'/><target dev='vdc' bus='virtio'/><readonly/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{extra["shared.img"]}'/><target dev='vdd' bus='virtio'/><shareable/></disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>"""
    machine = lab.adopted(devices=devices)
    by_target = {d["target"]: d for d in machine.show()["disks"]}
    assert {t: d["managed"] for t, d in by_target.items()} == \
        {"vda": True, "vdb": True, "vdc": False, "vdd": False, "sda": False, "sdb": False}
    assert all(d["reason"] for d in by_target.values() if not d["managed"])
    machine.start()
    machine.serial.reach(3)
    machine.snapshot("first", "--no-memory")
    assert set(machine.config().disk_paths()) == {"vda", "vdb"}
    for path in extra.values():
        assert f"file='{path}'" in machine.domain().xml.replace('"', "'")


def test_format_that_forbids_memory(lab):
    """A VPC disk: QEMU cannot save memory with it. The VM is disk only, with the reason; --convert mends it."""
    path = lab.path("disk.vhd")
    disk.convert(lab.images.boot, "raw", path, "vpc")
    lab.define(lab.domain_xml("vpc", [(path, "vpc")]))
    vm = lab.ctl("vm", "adopt", PREFIX + "vpc")["vm"]
    assert vm["memoryBlocker"]
    machine = Machine(lab, PREFIX + "vpc", lab.path("vpc.log"))
    machine.start()
    machine.serial.reach(3)
    with pytest.raises(CtlError) as refused:
        machine.snapshot("first", "--paused")
    assert refused.value.code == REFUSED
    assert machine.snapshot("second", "--no-memory")["kind"] == "disk only"


def test_convert(lab):
    path = lab.path("disk.vhd")
    disk.convert(lab.images.boot, "raw", path, "vpc")
    lab.define(lab.domain_xml("vpc", [(path, "vpc")]))
    vm = lab.ctl("vm", "adopt", PREFIX + "vpc", "--convert")["vm"]
    assert not vm.get("memoryBlocker") and vm["disks"][0]["format"] == "qcow2"
    assert os.path.exists(path)  # law 7: not ours
    machine = Machine(lab, PREFIX + "vpc", lab.path("vpc.log"))
    machine.start()
    machine.serial.reach(3)
    assert machine.snapshot("first")["kind"] == "memory"


def test_twice_is_refused(lab):
    machine = lab.adopted()
    with pytest.raises(CtlError) as refused:
        lab.ctl("vm", "adopt", machine.name)
    assert refused.value.code == REFUSED


def test_domain_with_libvirt_snapshots(lab):
    """Metadata that blocks us is named, and not made worse."""
    if lab.hv.name == "embed":
        pytest.skip("one driver is enough: the daemon sees the same calls")
    lab.define(lab.domain_xml("two", lab.two_disk_images("two")[1:]))
    lab.virsh("snapshot-create-as", PREFIX + "two", "theirs")
    try:
        vm = lab.ctl("vm", "adopt", PREFIX + "two")["vm"]
        assert "theirs" in " ".join(vm["problems"])
    except CtlError as refused:
        assert refused.code == REFUSED and "theirs" in refused.message
    assert lab.hv.domain(PREFIX + "two").snapshots == ("theirs",)
    lab.check_at_end = False
