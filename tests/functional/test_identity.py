# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest that goes back is told: that it is another one now (its generation ID), and what time it is."""
import json

import pytest
from vmsnaptest.lab import BIOS

AGENT = """<channel type='unix'><source mode='bind' path='{path}'/>
    <target type='virtio' name='org.qemu.guest_agent.0'/></channel>"""


def generation(lab, machine):
    """The ID as libvirt has it, which must be the one that QEMU tells the guest."""
    domain = machine.domain()
    ours = domain.xml.partition("<genid>")[2].partition("</genid>")[0]
    reply = json.loads(lab.virsh("qemu-monitor-command", machine.name, '{"execute":"query-vm-generation-id"}'))
    assert reply["return"]["guid"] == ours
    return ours


@pytest.mark.parametrize("mode", ["background", "live", "paused"])
def test_generation_id(lab, mode):
    """It changes whenever the guest goes back, with memory (where the running guest is told) and without."""
    machine = lab.adopted("gen", head=BIOS + "<genid/>")
    off = machine.snapshot("off")["id"]
    machine.start()
    machine.serial.reach(4)
    seen = [generation(lab, machine)]
    snapshot = machine.snapshot("running", "--mode", mode)["id"]
    assert generation(lab, machine) == seen[0]  # taking one changes nothing
    for _ in range(2):
        machine.serial.ticks(2)
        machine.apply(snapshot)
        machine.check_resumed_from(snapshot)
        seen.append(generation(lab, machine))
    machine.apply(off)
    machine.check_boots_with(off)
    seen.append(generation(lab, machine))
    assert len(set(seen)) == len(seen), seen


def test_no_generation_id(lab):
    """A domain that has none does not get one."""
    machine = lab.adopted(start=True)
    machine.serial.reach(4)
    machine.snapshot("running")
    machine.revert()
    assert "genid" not in machine.domain().xml and "genid" not in machine.domain().defined


@pytest.mark.parametrize("options", [(), ("--no-sync-time",)])
def test_no_agent(lab, options):
    """A channel for an agent, and nobody at its other end: nothing fails, nothing is complained of, and the guest runs
    before anybody is waited for."""
    machine = lab.adopted("mute", devices=AGENT.format(path=lab.path("a")))
    machine.start()
    machine.serial.reach(4)
    snapshot = machine.snapshot("running")["id"]
    machine.serial.ticks(2)
    reply = machine.apply(snapshot, "--discard", *options)
    assert not reply["job"].get("warnings")
    machine.check_resumed_from(snapshot)
    machine.vm("save")
    at = machine.numbers()[0]
    machine.serial.mark()
    reply = machine.vm("start", *options)
    assert not reply["job"].get("warnings")
    assert at <= machine.serial.first().ram <= at + 1
