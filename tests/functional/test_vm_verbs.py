# SPDX-License-Identifier: GPL-2.0-or-later
"""vm create, list, show, start, shutdown, stop, rename, delete, console."""
import os
import stat

import pytest
from vmsnaptest import disk
from vmsnaptest.daemon import REFUSED, USAGE, CtlError
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.wait import until


def test_create_makes_the_directory(lab):
    machine = lab.machine()
    config, root = machine.config(), machine.root
    assert os.path.basename(root) == machine.name
    assert sorted(os.listdir(root)) == sorted(["Snapshots", "Virtual Machines", os.path.basename(config.disks[0].path)])
    assert sorted(os.listdir(os.path.join(root, "Virtual Machines"))) == sorted([config.guid, config.guid + ".xml"])
    assert os.listdir(os.path.join(root, "Snapshots")) == []
    assert config.disks[0].pathname == f"{machine.name}.qcow2" and config.disks[0].format == "qcow2"
    assert stat.S_IMODE(os.stat(config.path).st_mode) == 0o600


def test_create_with_a_new_disk(lab):
    name = PREFIX + "empty"
    vm = lab.ctl("vm", "create", name, "--memory", "16M", "--vcpus", "2", "--disk", "3G", "--notes", "a note")["vm"]
    assert vm["state"] == "off" and vm["vcpus"] == 2 and vm["notes"] == "a note"
    (made,) = Machine(lab, name, "").config().disks
    assert disk.chain(made.path)[0]["virtual-size"] == 3 << 30


def test_create_needs_a_disk(lab):
    with pytest.raises(CtlError) as refused:
        lab.ctl("vm", "create", PREFIX + "none", "--memory", "16M", "--vcpus", "1")
    assert refused.value.code in (USAGE, REFUSED)
    assert os.listdir(lab.daemon.store) and not [n for n in os.listdir(lab.daemon.store) if n.startswith(PREFIX)]


def test_imported_disk_is_a_copy(lab):
    with open(lab.images.boot, "rb") as image:
        before = image.read()
    machine = lab.machine(start=True)
    machine.serial.reach(3)
    with open(lab.images.boot, "rb") as image:
        assert image.read() == before


def test_same_name_twice_is_refused(lab):
    machine = lab.machine()
    with pytest.raises(CtlError) as refused:
        lab.machine()
    assert refused.value.code == REFUSED
    assert [vm["name"] for vm in lab.ctl("vm", "list")["vms"]] == [machine.name]


def test_start_and_stop(lab):
    machine = lab.machine()
    machine.start()
    assert machine.state() == "running" and machine.show()["state"] == "running"
    with pytest.raises(CtlError) as refused:
        machine.vm("start")
    assert refused.value.code == REFUSED
    machine.stop()
    assert machine.state() == "shutoff" and machine.show()["state"] == "off"


def test_start_paused_and_resume(lab):
    machine = lab.machine()
    machine.vm("start", "--paused")
    assert machine.state() == "paused" and machine.show()["state"] == "paused"
    assert not machine.serial.lines()
    machine.vm("resume")
    machine.serial.first()
    assert machine.state() == "running"


def test_shutdown_of_a_deaf_guest(lab):
    """The guest knows no ACPI: shutdown returns at once, and it runs on."""
    machine = lab.machine(start=True)
    machine.vm("shutdown")
    machine.serial.ticks(3)
    assert machine.state() == "running"


def test_rename(lab):
    """Domain and configuration get the new name; disks and snapshots stay."""
    machine = lab.machine()
    snapshot = machine.snapshot("first")
    guid = machine.show()["id"]
    new = PREFIX + "renamed"
    lab.ctl("vm", "rename", machine.name, new)
    assert lab.hv.domain(machine.name) is None
    renamed = Machine(lab, new, machine.serial.path)
    assert renamed.show()["id"] == guid and renamed.state() == "shutoff"
    renamed.apply(snapshot["id"])
    assert renamed.config().name == new and renamed.state() == "shutoff"
    renamed.start()


def test_delete_removes_what_is_ours(lab):
    """Everything in the VM directory goes, with the domain; imported and adopted disks stay."""
    machine = lab.adopted()
    machine.snapshot("first")
    sources = [path for path in machine.snapshot_config(machine.config().parent).disk_paths().values()]
    root = machine.root
    machine.vm("delete")
    assert not os.path.exists(root) and machine.domain() is None
    assert all(os.path.exists(path) for path in sources)
    assert lab.ctl("vm", "list")["vms"] == []


def test_delete_of_a_running_vm_is_refused(lab):
    machine = lab.machine(start=True)
    with pytest.raises(CtlError) as refused:
        machine.vm("delete")
    assert refused.value.code == REFUSED
    machine.serial.ticks(2)


def test_found_by_guid(lab):
    machine = lab.machine()
    guid = machine.show()["id"]
    assert lab.ctl("vm", "show", guid)["vm"]["name"] == machine.name
    assert lab.ctl("vm", "show", guid.lower())["vm"]["name"] == machine.name


def test_show_says_where_now_is(lab):
    """The disks with their chains and sizes, and the snapshot that now derives from."""
    machine = lab.machine()
    snapshot = machine.snapshot("base install")
    vm = machine.show()
    assert vm["now"] == snapshot["id"] and vm["nowName"] == "base install" and vm["snapshots"] == 1
    (shown,) = vm["disks"]
    assert [image["path"] for image in shown["chain"]] == disk.chain_paths(machine.config().disks[0].path)
    assert all(image["virtualBytes"] == 4 << 20 for image in shown["chain"])


def test_console(lab):
    """The serial console answers as a terminal; the log file goes on beside it."""
    machine = lab.machine(start=True)
    path = lab.daemon_call("GetConsole", vm=machine.name)["path"]
    assert stat.S_ISCHR(os.stat(path).st_mode)
    terminal = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        seen = bytearray()

        def more():
            try:
                seen.extend(os.read(terminal, 4096))
            except BlockingIOError:
                pass
            return b"T=" in seen

        until(more, "the guest on its console")
    finally:
        os.close(terminal)
    machine.serial.ticks(2)


def test_people_see_text(lab):
    """Without --json: a table with the VM in it."""
    machine = lab.machine()
    done = lab.daemon.run_ctl("vm", "list")
    assert done.returncode == 0 and machine.name in done.stdout and "off" in done.stdout
    done = lab.daemon.run_ctl("vm", "show", machine.name)
    assert done.returncode == 0 and machine.config().disks[0].path in done.stdout
