# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest with QEMU's own guest agent: its file system is frozen for the instant of a snapshot and thawed in any
case, its clock is set when it goes back, and it is asked to shut down through the agent."""
import os
import re
import shutil
import struct
import subprocess
import time

import linux
import pytest
from vmsnaptest.daemon import CtlError
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.wait import until
from vmsnaptest.where import BUILD, require, require_file

pytestmark = pytest.mark.one_driver  # what the agent does; the way to it is libvirt's own, and the guest boots slowly

QUICK = os.environ.get("VMSNAP_FAULT") == "quick"
UNPACKED = os.environ.get("VMSNAP_LINUX", os.path.join(BUILD, "linux"))
LATE = 3 * 86400  # seconds that the guest's clock is behind when it boots: nobody has to wait until it is wrong
NEAR = 60  # seconds: right, on a machine that has other things to do as well
SAYS = re.compile(r"N=(\d+) C=(\d+) \.")
BOOT = 120.0

HEAD = """<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{kernel}</kernel><initrd>{initramfs}</initrd>
  <cmdline>console=ttyS0 quiet panic=-1 mitigations=off</cmdline></os><features><acpi/></features>
  <clock offset='variable' adjustment='-{late}'/>"""
AGENT = """<channel type='unix'><source mode='bind' path='{path}'/>
    <target type='virtio' name='org.qemu.guest_agent.0'/></channel>"""

# ext4's superblock
FEATURES = 1024 + 0x60
NEEDS_RECOVERY = 4


@pytest.fixture(scope="module")
def linux_files(images):
    """Kernel and initramfs, where QEMU's user can read them."""
    require("mke2fs", "ldd")
    require_file(os.path.join(UNPACKED, "done"))  # quickstart.sh check puts it there
    place = os.path.dirname(images.boot)
    kernel, initramfs = os.path.join(place, "kernel"), os.path.join(place, "initramfs")
    shutil.copyfile(linux.kernel(UNPACKED), kernel)
    linux.initramfs(UNPACKED, initramfs)
    return {"kernel": kernel, "initramfs": initramfs}


class Linux(Machine):
    """It says a number and its clock five times a second, each time after it wrote the number to its disk."""

    def said(self):
        return [(int(n), int(clock)) for n, clock in SAYS.findall(self.serial.text())]

    def says(self, count=2, timeout=BOOT):
        """What it says once it has gone on: the last of `count` new lines."""
        self.serial.mark()
        return until(lambda: self.said()[count - 1:], lambda: f"the guest; it said {self.serial.text()[-500:]!r}",
                     timeout)[-1]

    def behind(self):
        """Seconds that its clock is behind ours."""
        return time.time() - self.says()[1]

    def hooks(self):
        """What the agent said that it does with the file systems, since the beginning."""
        return re.findall(r"HOOK (\w+)", self.serial.text(0))


@pytest.fixture
def machine(lab, linux_files):
    machine = Linux(lab, PREFIX + "linux", lab.path("linux.log"))
    image = lab.path("linux.img")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", image, "8M"], check=True)
    lab.define(lab.domain_xml("linux", [(image, "raw")], memory=128, devices=AGENT.format(path=lab.path("a")),
                              head=HEAD.format(late=LATE, **linux_files)))
    lab.ctl("vm", "adopt", machine.name)
    machine.vm("start")
    machine.says(1)
    return machine


def needs_recovery(machine, snapshot):
    """Whether the journal of the file system on a snapshot's disk is to be replayed."""
    path = machine.snapshot_config(snapshot).disks[0].path
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, os.path.join(machine.lab.base, "raw")], check=True)
    with open(os.path.join(machine.lab.base, "raw"), "rb") as image:
        image.seek(FEATURES)
        return bool(struct.unpack("<I", image.read(4))[0] & NEEDS_RECOVERY)


def test_snapshots_and_clock(lab, machine):
    """One life of a guest, because it takes long to boot."""
    assert abs(machine.behind() - LATE) < NEAR

    # with memory nothing is frozen; what is on the disk is as after a power cut
    memory = machine.snapshot("memory")["id"]
    assert machine.hooks() == []
    assert needs_recovery(machine, memory)

    # quiesced: frozen, and thawed again
    quiet = machine.snapshot("quiet", "--no-memory", "--quiesce")
    assert quiet["level"] == "quiesced"
    assert not needs_recovery(machine, quiet["id"])
    until(lambda: machine.hooks() == ["freeze", "thaw"], lambda: f"freeze and thaw: {machine.hooks()}")
    machine.says()

    # back to memory: the clock of then if we ask for it, else right
    machine.apply(memory, "--discard", "--no-sync-time")
    assert abs(machine.behind() - LATE) < NEAR
    reply = machine.apply(memory)
    assert not reply["job"].get("warnings")
    assert abs(machine.behind()) < NEAR

    # saved and resumed in the same way
    machine.vm("save")
    assert not machine.vm("start")["job"].get("warnings")
    assert abs(machine.behind()) < NEAR

    # the agent shuts it down: nothing else in it can
    machine.serial.mark()
    machine.vm("shutdown", "--wait")
    assert "SHUTDOWN" in machine.serial.text()
    assert machine.state() == "shutoff"


@pytest.mark.skipif(QUICK, reason="another boot of the guest; in full mode")
def test_thawed_in_any_case(lab, machine):
    """The snapshot fails, or the daemon dies: before it, while the file system is frozen, after it was thawed."""
    lab.daemon.restart("fail:snapshot-create.capture")
    with pytest.raises(CtlError):
        machine.snapshot("failed", "--no-memory", "--quiesce")
    machine.says()
    for when in ("kill-before", "kill-after"):
        lab.daemon.restart(f"{when}:snapshot-create.capture")
        with pytest.raises(CtlError):
            machine.snapshot(when, "--no-memory", "--quiesce")
        lab.daemon.wait_end()
        lab.daemon.start()
        machine.says()
    lab.daemon.restart()
    for later in (0.0, 0.05, 0.1, 0.2):
        frozen = machine.hooks().count("freeze")
        kill = lab.daemon.kill_when(lambda: machine.hooks().count("freeze") > frozen, later)
        try:
            machine.snapshot(f"killed {later}", "--no-memory", "--quiesce")
        except CtlError:
            pass
        kill.join()
        lab.daemon.start()
        machine.says()
        assert "may still be frozen" not in lab.daemon.log()
    machine.snapshot("after", "--no-memory", "--quiesce")
    machine.says()
    machine.stop()
