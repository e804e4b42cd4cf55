# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirtd goes away and comes back; the daemon goes away and comes back."""
import pytest
from vmsnaptest.wait import until


def test_libvirtd_restarts(lab):
    """The daemon connects again by itself; the guest never noticed."""
    if lab.hv.name == "embed":
        pytest.skip("no libvirtd under embed")
    machine = lab.machine(start=True)
    first = machine.snapshot("first")["id"]
    machine.serial.mark()
    if not lab.hv.restart():
        pytest.skip("libvirtd was not started by these tests: left alone")
    until(lambda: lab.daemon_call("GetStatus")["connected"] and machine.show()["state"] == "running", "the connection")
    machine.snapshot("second")
    machine.serial.ticks(3)
    machine.apply(first)
    machine.check_resumed_from(first)


def test_daemon_restarts(lab):
    """A guest runs on without the daemon, which finds it again."""
    machine = lab.machine(start=True)
    machine.serial.reach(3)
    machine.serial.mark()
    lab.daemon.stop()
    machine.serial.reach(6)
    lab.daemon.start()
    assert machine.show()["state"] == "running"
    machine.serial.undisturbed()
    snapshot = machine.snapshot("first")["id"]
    machine.serial.ticks(2)
    machine.revert()
    machine.check_resumed_from(snapshot)


def test_guest_ends_while_the_daemon_is_away(lab):
    machine = lab.machine(start=True)
    machine.snapshot("first")
    lab.daemon.stop()
    lab.hv.virsh("destroy", machine.name)
    lab.daemon.start()
    until(lambda: machine.show()["state"] == "off", "the daemon noticing")
    assert machine.snapshot("second")["kind"] == "off"


def test_socket_left_by_a_killed_daemon(lab):
    """A dead socket is replaced; a living daemon's is not."""
    lab.daemon.kill()
    lab.daemon.start()
    assert lab.daemon_call("GetStatus")["connected"]
