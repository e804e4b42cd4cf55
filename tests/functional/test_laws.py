# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker of the store's laws finds what it is there to find: each harm must break it."""
import os
import shutil
import subprocess

import pytest
from vmsnaptest import laws

# It looks at files; the driver makes no difference.
pytestmark = pytest.mark.parametrize("hv", ["embed"], indirect=True)


def _write(path):
    with open(path, "w") as f:
        f.write("somebody's\n")


def _sub(path, old, new):
    with open(path) as f:
        text = f.read()
    assert old in text
    with open(path, "w") as f:
        f.write(text.replace(old, new))


def _avhds(m):
    return os.path.join(m.root, "Snapshots", m.config().guid)


HARMS = {
    "orphan image": lambda m: shutil.copy(m.config().disks[0].path, os.path.join(_avhds(m), m.first + ".avhd")),
    "temporary file": lambda m: _write(m.config().path + ".tmp"),
    "intent record": lambda m: _write(m.config().path[:-4] + ".op"),
    "file in the store": lambda m: _write(os.path.join(os.path.dirname(m.root), "what")),
    "folder of no snapshot": lambda m: os.mkdir(os.path.join(m.root, "Snapshots", m.first[::-1])),
    "file in a snapshot's folder": lambda m: _write(os.path.join(m.root, "Snapshots", m.first, m.first + ".vsv")),
    "sealed disk writable": lambda m: os.chmod(m.snapshot_config(m.first).disks[0].path, 0o600),
    "sealed disk written": lambda m: os.utime(m.snapshot_config(m.first).disks[0].path),
    "sealed disk gone": lambda m: os.unlink(m.snapshot_config(m.first).disks[0].path),
    "backing name absolute": lambda m: subprocess.run(
        ["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", m.snapshot_config(m.first).disks[0].path,
         m.config().disks[0].path], check=True),
    "backing format not named": lambda m: _blank_backing_format(m.config().disks[0].path),
    "schema": lambda m: _sub(m.config().path, "<savedstate", "<savedstates"),
    "pathname absolute": lambda m: _sub(m.config().path, f">{m.config().disks[0].pathname}<", f">{m.config().disks[0].path}<"),
    "parent that is not there": lambda m: _sub(m.config().path, f">{m.first}<", f">{m.config().guid[::-1].replace('-', '0')}<"),
    "domain on another disk": lambda m: m.lab.hv.virsh("detach-disk", m.name, "vda", "--config"),
}


def _blank_backing_format(path):
    with open(path, "r+b") as image:
        head = image.read(4096)
        at = head.index(b"\xe2\x79\x2a\xca")
        image.seek(at)
        image.write(b"\x01\x02\x03\x04")


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_harm_is_found(lab, harm):
    machine = lab.machine()
    machine.first = machine.snapshot("first")["id"]
    lab.daemon.stop()
    laws.check_store(lab.daemon.store, lab.hv)
    harm(machine)
    lab.check_at_end = False
    with pytest.raises((laws.Broken, FileNotFoundError)):
        laws.check_store(lab.daemon.store, lab.hv)
