# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole circle: snapshot, change, revert, apply an earlier one, a branch, apply the other branch."""
import pytest
from vmsnaptest.daemon import REFUSED, CtlError
from vmsnaptest.document import without_disks


def test_circle_running(lab):
    """Memory, both disks and configuration exactly as at each instant, five times there and back."""
    machine = lab.adopted(start=True)
    machine.serial.reach(6)
    configuration = without_disks(machine.domain().defined)
    a = machine.snapshot("a")["id"]
    machine.serial.ticks(6)
    b = machine.snapshot("b")["id"]
    machine.serial.ticks(6)

    machine.revert()  # to b, from which now derives
    machine.check_resumed_from(b)
    machine.apply("a")
    machine.check_resumed_from(a)
    machine.serial.ticks(4)
    c = machine.snapshot("c")["id"]  # a branch: child of a, like b
    machine.apply("b")
    machine.check_resumed_from(b)
    machine.apply("c")
    machine.check_resumed_from(c)
    machine.apply("a")
    machine.check_resumed_from(a)

    assert without_disks(machine.domain().defined) == configuration
    found = machine.snapshots()
    assert {s["name"]: s.get("parent") for s in found.values()} == {"a": None, "b": a, "c": a}
    assert [s["name"] for s in found.values() if s["current"]] == ["a"]
    assert found["a"]["children"] == 2
    lab.check()


def test_circle_off_running_disk_only(lab):
    """Snapshots of three kinds in one tree; each comes back as what it is."""
    machine = lab.adopted()
    off = machine.snapshot("off")["id"]
    machine.start()
    machine.serial.reach(6)
    memory = machine.snapshot("memory")["id"]
    machine.serial.ticks(4)
    disks = machine.snapshot("disks", "--no-memory")["id"]
    machine.serial.ticks(4)

    machine.apply(off)
    machine.check_boots_with(off)
    machine.apply(memory)
    machine.check_resumed_from(memory)
    machine.apply(disks)
    machine.check_boots_with(disks)
    machine.apply(memory)
    machine.check_resumed_from(memory)


def test_save_current_keeps_the_present(lab):
    """apply --save-current takes a snapshot of the present first: with it the way back is open."""
    machine = lab.machine(start=True)
    machine.serial.reach(5)
    a = machine.snapshot("a")["id"]
    machine.serial.ticks(5)
    saved = machine.apply(a, "--save-current")["saved"]
    machine.check_resumed_from(a)
    assert saved["parent"] == a and saved["kind"] == "memory"
    machine.apply(saved["id"])
    machine.check_resumed_from(saved["id"])


def test_revert_save_current(lab):
    machine = lab.machine(start=True)
    a = machine.snapshot("a")["id"]
    machine.serial.ticks(3)
    saved = machine.revert("--save-current")["saved"]
    machine.check_resumed_from(a)
    assert {s["id"] for s in machine.snapshots().values()} == {a, saved["id"]}


def test_script_must_say_what_happens_to_the_present(lab):
    """Without a terminal and without --discard or --save-current nothing is done."""
    machine = lab.machine()
    a = machine.snapshot("a")["id"]
    before = machine.config().disk_paths()
    with pytest.raises(CtlError) as refused:
        lab.ctl("snapshot", "apply", machine.name, a)
    assert refused.value.code != 0
    assert machine.config().disk_paths() == before


def test_revert_without_a_snapshot_is_refused(lab):
    machine = lab.machine()
    with pytest.raises(CtlError) as refused:
        machine.revert()
    assert refused.value.code == REFUSED


def test_tree_shows_branches_and_now(lab):
    machine = lab.machine()
    a = machine.snapshot("base install")["id"]
    machine.snapshot("before upgrade")
    machine.apply(a)
    machine.snapshot("other idea")
    done = lab.daemon.run_ctl("snapshot", "tree", machine.name, env={"LC_ALL": "C.UTF-8"})
    assert done.returncode == 0
    lines = done.stdout.rstrip().split("\n")
    assert lines[0].strip() == machine.name
    starts = [line.split("  ")[0].rstrip() for line in lines]
    assert starts[1].endswith("base install")
    assert any("├─ before upgrade" in line for line in lines)
    assert any("└─ other idea" in line for line in lines)
    assert "(now)" in lines[-1] and "off" in lines[1]


def test_branch_survives_deleting_a_leaf(lab):
    """A leaf of one branch goes; the other branch, over the same parent, is whole."""
    machine = lab.machine(start=True)
    a = machine.snapshot("a")["id"]
    machine.serial.ticks(3)
    b = machine.snapshot("b")["id"]
    machine.apply(a)
    machine.serial.ticks(3)
    c = machine.snapshot("c")["id"]
    machine.apply(a)
    machine.delete_snapshot(b)
    lab.check()
    machine.apply(c)
    machine.check_resumed_from(c)
    assert set(machine.snapshots()) == {"a", "c"}
