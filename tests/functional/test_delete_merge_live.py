# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots go while the guest runs: its disks are merged under it, and it does not notice."""
import os

from vmsnaptest import disk, laws


def sealed(machine):
    """{name: numbers on the disks} of all snapshots."""
    return {name: machine.sealed_numbers(s["id"]) for name, s in machine.snapshots().items()}


def line(lab, names, **kwargs):
    """A running guest with snapshots in a line, disk only, each after the guest wrote."""
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    for name in names:
        machine.snapshot(name, "--no-memory")
        machine.serial.ticks(3)
    machine.serial.mark()
    return machine


def check(lab, machine, expected):
    """The guest ran on, all snapshots show what they showed."""
    lab.check()
    assert sealed(machine) == expected
    assert machine.state() == "running"
    last = machine.serial.lines()[-1:]
    machine.serial.reach((last[0].ram if last else 0) + 2)
    machine.serial.undisturbed()


def test_line_running(lab):
    """From the middle of a line, then the newest (into the working disk or that into it), then the rest."""
    machine = line(lab, ["s0", "s1", "s2", "s3"])
    expected = sealed(machine)
    for name in ("s1", "s3", "s0", "s2"):
        machine.delete_snapshot(name)
        del expected[name]
        check(lab, machine, expected)
    assert len(disk.chain(machine.config().disks[0].path)) == 1
    at = machine.serial.lines()[-1].ram
    machine.stop()
    assert machine.numbers()[0] >= at
    machine.start()


def test_branches_running(lab):
    """s1, s2, s3; back to s2; s4; s2 goes and stays hidden below s3 and s4; s1 goes; back to s3."""
    machine = line(lab, ["s1", "s2", "s3"])
    machine.apply("s2")
    machine.start()
    machine.serial.ticks(3)
    machine.snapshot("s4", "--no-memory")
    machine.serial.mark()
    expected = sealed(machine)
    machine.delete_snapshot("s2")
    del expected["s2"]
    check(lab, machine, expected)
    assert len(laws.hidden(machine.root)) == 1
    machine.delete_snapshot("s1")
    del expected["s1"]
    check(lab, machine, expected)
    machine.apply("s3")
    machine.check_boots_with(machine.snapshots()["s3"]["id"])
    machine.serial.mark()
    machine.delete_snapshot("s4")
    del expected["s4"]
    check(lab, machine, expected)
    assert not laws.hidden(machine.root)


def test_starts_again(lab):
    """What libvirt remembers of the images below a running guest's disk does not stand in the way of its next
    start, whether they were merged while it ran or after."""
    machine = line(lab, ["s0", "s1", "s2"])
    machine.delete_snapshot("s1")
    lab.check()
    machine.stop()
    machine.start()
    machine.snapshot("s3", "--no-memory")
    machine.stop()
    for name in ("s2", "s0", "s3"):
        machine.delete_snapshot(name)
        lab.check()
        machine.start()
        machine.stop()
