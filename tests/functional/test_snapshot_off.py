# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots of a VM that is off."""
import os

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.daemon import REFUSED, CtlError


def test_order_of_files(lab):
    """What the Hyper-V text says: the working disk becomes the read-only point in time, a new one is its child."""
    machine = lab.machine()
    before = machine.config()
    snapshot = machine.snapshot("first")
    after, sealed = machine.config(), machine.snapshot_config(snapshot["id"])
    assert sealed.disk_paths() == before.disk_paths()
    assert sealed.mode == "none" and not sealed.state
    assert os.listdir(os.path.join(machine.root, "Snapshots", snapshot["id"])) == []
    (path,) = after.disk_paths().values()
    assert os.path.dirname(path) == os.path.join(machine.root, "Snapshots", after.guid)
    assert disk.backing(path)[0] == before.disks[0].path
    assert after.parent == snapshot["id"] and not sealed.parent


def test_working_disk_has_small_subclusters(lab):
    """The .avhd is qcow2 with 4 KiB subclusters, its format and its backing format named."""
    machine = lab.machine()
    machine.snapshot("first")
    top = disk.chain(machine.config().disks[0].path)[0]
    assert top["format"] == "qcow2" and top["cluster-size"] == 128 << 10
    assert top["format-specific"]["data"]["extended-l2"] is True
    assert top["backing-filename-format"] == "qcow2" and not os.path.isabs(top["backing-filename"])


def test_revert_makes_a_new_working_disk(lab):
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    machine.stop()
    snapshot = machine.snapshot("first")
    at = machine.numbers()
    machine.start()
    machine.serial.reach(at[0] + 5)
    machine.stop()
    dropped = machine.config().disks[0].path
    machine.revert()
    assert machine.numbers() == at
    assert not os.path.exists(dropped) and machine.config().disks[0].path != dropped
    machine.check_boots_with(snapshot["id"])


def test_two_disks_of_two_formats(lab):
    """Raw and qcow2 side by side, both outside of the store: never written again once sealed, but kept."""
    machine = lab.adopted(start=True)
    machine.serial.reach(5)
    machine.stop()
    sources = machine.config().disk_paths()
    snapshot = machine.snapshot("first")
    sealed = machine.sealed_numbers(snapshot["id"])
    machine.start()
    machine.serial.reach(max(sealed) + 5)
    machine.stop()
    assert machine.sealed_numbers(snapshot["id"]) == sealed
    assert machine.snapshot_config(snapshot["id"]).disk_paths() == sources
    machine.revert()
    machine.check_boots_with(snapshot["id"])
    machine.stop()


def test_configuration_comes_back(lab):
    """Memory size and notes of the domain as they were, after an admin changed them."""
    machine = lab.machine()
    snapshot = machine.snapshot("small")
    lab.virsh("setmaxmem", machine.name, "32M", "--config")
    lab.virsh("setmem", machine.name, "32M", "--config")
    assert "<memory unit='KiB'>32768</memory>" in machine.domain().defined
    machine.apply(snapshot["id"])
    assert machine.show()["memoryBytes"] == 16 << 20
    assert "<memory unit='KiB'>16384</memory>" in machine.domain().defined


def test_delete_of_the_last_one(lab):
    """A snapshot on which nothing depends goes with its disk."""
    machine = lab.machine()
    first = machine.snapshot("first")
    second = machine.snapshot("second")
    machine.apply(first["id"])
    gone = machine.snapshot_config(second["id"]).disks[0].path
    machine.delete_snapshot(second["id"])
    assert list(machine.snapshots()) == ["first"]
    assert not os.path.exists(gone)


def test_names(lab):
    """Found by name or GUID; duplicates are allowed, an ambiguous one is refused with the candidates."""
    machine = lab.machine()
    one, two = machine.snapshot("twin"), machine.snapshot("twin")
    with pytest.raises(CtlError) as refused:
        lab.ctl("snapshot", "show", machine.name, "twin")
    assert refused.value.error == "AmbiguousName" and refused.value.code == REFUSED
    said = f"{refused.value.message} {refused.value.parameters.get('hint')}"
    assert one["id"] in said and two["id"] in said
    assert lab.ctl("snapshot", "show", machine.name, two["id"].lower())["snapshot"]["id"] == two["id"]
    lab.ctl("snapshot", "rename", machine.name, two["id"], "Änderung 2")
    assert lab.ctl("snapshot", "show", machine.name, "Änderung 2")["snapshot"]["id"] == two["id"]
    assert lab.ctl("snapshot", "show", machine.name, "twin")["snapshot"]["id"] == one["id"]


def test_default_name_has_vm_and_date(lab):
    machine = lab.machine()
    snapshot = lab.ctl("snapshot", "create", machine.name)["snapshot"]
    assert snapshot["name"].startswith(machine.name) and any(c.isdigit() for c in snapshot["name"])


def test_sealed_disk_that_changed_is_refused(lab):
    """Law 1: a drift is refused with the file named, nothing is touched."""
    machine = lab.machine()
    first = machine.snapshot("first")
    path = machine.snapshot_config(first["id"]).disks[0].path
    with open(path, "r+b") as image:
        image.seek(0, os.SEEK_END)
        image.write(b"\0" * 512)
    for command in (machine.apply, lambda _: machine.revert(), lambda _: machine.snapshot("second")):
        with pytest.raises(CtlError) as refused:
            command(first["id"])
        assert refused.value.error == "SealedDiskChanged" and refused.value.code == REFUSED
        assert path in f"{refused.value.message} {refused.value.parameters.get('file')}"
    assert list(machine.snapshots()) == ["first"]
    with pytest.raises(laws.Broken):
        lab.check()
    lab.check_at_end = False
