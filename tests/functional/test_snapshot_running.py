# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots of a VM that runs: with memory, disk only, paused and live."""
import os

import pytest
from vmsnaptest import disk


@pytest.mark.parametrize("mode", ["--paused", "--live"])
def test_memory_and_disks_are_of_one_instant(lab, mode):
    """The guest, with two disks, is not disturbed; reverted, it goes on at the very tick."""
    machine = lab.adopted(start=True)
    machine.serial.reach(8)
    snapshot = machine.snapshot("running", mode)
    assert snapshot["kind"] == "memory" and snapshot["mode"] == mode.strip("-")
    at = machine.serial.ticks(5).ram
    machine.serial.offset = 0
    machine.serial.undisturbed_after_boot()
    machine.revert()
    first = machine.check_resumed_from(snapshot["id"])
    assert first.ram < at
    assert machine.state() == "running"


def test_default_mode_holds_memory(lab):
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    snapshot = machine.snapshot("running")
    assert snapshot["kind"] == "memory" and snapshot["memoryBytes"] > 0
    config = machine.snapshot_config(snapshot["id"])
    with open(config.state, "rb") as state:
        assert state.read(16) == b"vmsnap savestate"
    assert os.path.getsize(config.memory) >= 16 << 20 and os.stat(config.memory).st_blocks * 512 < 16 << 20


def test_idle_guests_second_snapshot_is_a_difference(lab):
    """Only pages that changed are kept again; each comes back, also when the one below it is far away."""
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    snapshots = [machine.snapshot(str(n)) for n in range(4)]
    sizes = [os.stat(machine.snapshot_config(s["id"]).memory).st_blocks * 512 for s in snapshots]
    assert all(size < sizes[0] / 2 for size in sizes[1:]), sizes
    for snapshot in reversed(snapshots):
        machine.apply(snapshot["id"])
        machine.check_resumed_from(snapshot["id"])


def test_disk_only(lab):
    """No memory: applied, the VM is off with the disks of that instant, of which both are."""
    machine = lab.adopted(start=True)
    machine.serial.reach(8)
    machine.serial.mark()
    snapshot = machine.snapshot("disks", "--no-memory")
    assert snapshot["kind"] == "disk only" and snapshot["level"] == "crash"
    machine.serial.reach(max(machine.sealed_numbers(snapshot["id"])) + 3)
    machine.serial.undisturbed()
    sealed = machine.sealed_numbers(snapshot["id"])
    assert sealed[0] - sealed[1] in (0, 1)  # the first disk is written first
    machine.apply(snapshot["id"])
    machine.check_boots_with(snapshot["id"])


def test_sealed_disks_stand_still(lab):
    machine = lab.adopted(start=True)
    machine.serial.reach(5)
    snapshot = machine.snapshot("running")
    sealed = machine.sealed_numbers(snapshot["id"])
    machine.serial.ticks(8)
    assert machine.sealed_numbers(snapshot["id"]) == sealed
    for path in machine.config().disk_paths().values():
        assert disk.backing(path)[0] in machine.snapshot_config(snapshot["id"]).disk_paths().values()


def test_paused_guest_stays_paused(lab):
    """A guest that its admin paused is captured as it is and stays so; apply brings it back."""
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    if lab.hv.name == "embed":
        machine.stop()
        machine.vm("start", "--paused")
    else:
        lab.virsh("suspend", machine.name)
    machine.snapshot("paused")
    assert machine.state() == "paused"
    machine.stop()


def test_snapshot_after_snapshot(lab):
    """Ten in a row while it runs: a chain of ten, each of its own instant, in order."""
    machine = lab.machine(start=True)
    machine.serial.reach(3)
    machine.serial.mark()
    ids = [machine.snapshot(f"n{n}", "--no-memory")["id"] for n in range(10)]
    machine.serial.ticks(3)
    numbers = [machine.sealed_numbers(i)[0] for i in ids]
    assert numbers == sorted(numbers)
    assert len(disk.chain_paths(machine.config().disks[0].path)) == 11
    parents = [machine.snapshot_config(i).parent for i in ids]
    assert parents == [None, *ids[:-1]]


def test_restored_guest_can_be_snapshotted_again(lab):
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    first = machine.snapshot("first")
    machine.revert()
    machine.check_resumed_from(first["id"])
    second = machine.snapshot("second")
    machine.serial.ticks(3)
    machine.revert()
    machine.check_resumed_from(second["id"])


def test_progress_is_reported(lab):
    """A streaming caller sees whole jobs, first running, at last the result."""
    from vmsnaptest import varlink

    machine = lab.machine(start=True)
    with varlink.Connection(lab.daemon.socket) as connection:
        replies = list(connection.stream("CreateSnapshot", vm=machine.name, name="streamed"))
    assert replies[-1]["snapshot"]["name"] == "streamed"
    jobs = [reply["job"] for reply in replies if reply.get("job")]
    assert jobs and len({job["id"] for job in jobs}) == 1
    assert jobs[0]["state"] in ("queued", "running") and jobs[0]["vm"] == machine.name
