# SPDX-License-Identifier: GPL-2.0-or-later
"""Packed save states: used as flat ones are, made by command and by policy, and killed meanwhile."""
import base64
import os
import re
import struct
import time

import pytest
from vmsnaptest.daemon import CtlError
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # files of save states


def info(machine, name):
    return machine.lab.ctl("savestate", "info", machine.name, name)["saveState"]


def pack(machine, name, verb="pack"):
    return machine.lab.ctl("savestate", verb, machine.name, name)["saveState"]


@pytest.fixture
def machine(lab):
    """A running VM with two snapshots with memory, the second a difference of the first."""
    vm = lab.machine(start=True)
    vm.serial.reach(3)
    vm.guids = [vm.snapshot(name)["id"] for name in ("first", "second")]
    assert info(vm, "second")["parent"] == vm.guids[0]
    return vm


def test_packed(lab, machine):
    """Both packed, the guest comes back from the second; a third builds on them; unpacked they are what they were."""
    flat = [info(machine, name) for name in ("first", "second")]
    with open(flat[0]["memoryPath"], "rb") as file:
        content = file.read()
    for i, name in enumerate(("first", "second")):
        state = pack(machine, name)
        assert state["memoryPacked"] and state["memoryPath"] == flat[i]["memoryPath"] + "z"
        assert state["checksum"] == flat[i]["checksum"] and "problems" not in state
        assert not os.path.exists(flat[i]["memoryPath"])
        lab.ctl("savestate", "verify", machine.name, name)
    assert info(machine, "first")["memoryAllocatedBytes"] < flat[0]["memoryAllocatedBytes"]
    shown = lab.daemon.run_ctl("snapshot", "show", machine.name, "first").stdout
    assert re.search(r"(?m)^Memory: .*, packed$", shown), shown
    assert re.search(r"(?m)^Packed: +yes$", lab.daemon.run_ctl("savestate", "info", machine.name, "first").stdout)
    machine.apply("second")
    machine.check_resumed_from(machine.guids[1])
    machine.snapshot("third")
    assert info(machine, "third")["chain"] == 3
    difference = lab.ctl("savestate", "diff", machine.name, "first", "third")["difference"]
    assert difference["samePages"] > difference["changedPages"] > 0
    machine.apply("first")
    machine.check_resumed_from(machine.guids[0])
    state = pack(machine, "first", "unpack")
    assert "memoryPacked" not in state and not os.path.exists(state["memoryPath"] + "z")
    with open(state["memoryPath"], "rb") as file:
        assert file.read() == content


def test_damaged(lab, machine):
    """A bit in the packed file is found before the guest is touched."""
    state = pack(machine, "first")
    for offset in (5, state["memoryBytes"] // 2, state["memoryBytes"] - 3):
        with open(state["memoryPath"], "r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 4]))
        machine.serial.mark()
        with pytest.raises(CtlError) as error:
            lab.ctl("snapshot", "apply", machine.name, "second", "--discard")
        assert error.value.parameters["file"] == state["memoryPath"]
        machine.serial.reach(machine.serial.first().ram + 1)
        with open(state["memoryPath"], "r+b") as file:
            file.seek(offset)
            file.write(byte)
    machine.apply("second")
    machine.check_resumed_from(machine.guids[1])


def test_killed_and_both_left(lab, machine):
    """What a kill between the two names leaves: the flat one counts, the packed one goes at the next start."""
    flat = info(machine, "first")
    with open(flat["memoryPath"], "rb") as file:
        content = file.read()
    pack(machine, "first")
    lab.daemon.kill()
    with open(os.open(flat["memoryPath"], os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)
    hidden = os.path.join(os.path.dirname(flat["memoryPath"]), f".{machine.guids[0]}.binz.tmp")
    with open(hidden, "wb") as file:
        file.write(b"half")
    lab.daemon.start()
    assert not os.path.exists(flat["memoryPath"] + "z") and not os.path.exists(hidden)
    lab.ctl("savestate", "verify", machine.name, "first")
    machine.apply("first")
    machine.check_resumed_from(machine.guids[0])


def age(machine, guid):
    """Makes a snapshot old: its document says that it was taken a year ago."""
    filetime = (int(time.time()) - 365 * 86400 + 11644473600) * 10000000
    text = base64.b64encode(struct.pack("<Q", filetime)).decode()
    path = machine.snapshot_config(guid).path
    with open(path, encoding="utf-8") as file:
        document, n = re.subn(r"(<creation_time[^>]*>)[^<]*", rf"\g<1>{text}", file.read())
    assert n == 1
    with open(path, "w", encoding="utf-8") as file:
        file.write(document)


def test_policy(lab, machine):
    """Old ones are packed at the start, and after other jobs; young ones are not; and nobody has to wait for it."""
    lab.daemon.stop()
    config = lab.path("vmsnapd.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write("pack-after = 30\n")
    age(machine, machine.guids[0])
    lab.daemon.options = ["--config", config]
    lab.daemon.start()
    until(lambda: info(machine, "first").get("memoryPacked"), "packing")
    assert not info(machine, "second").get("memoryPacked")
    pack(machine, "first", "unpack")
    machine.snapshot("third")  # is not refused, whatever goes on
    until(lambda: info(machine, "first").get("memoryPacked"), "packing after a snapshot")
    machine.apply("first")
    machine.check_resumed_from(machine.guids[0])
