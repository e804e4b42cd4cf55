# SPDX-License-Identifier: GPL-2.0-or-later
"""savestate info, verify, extract and diff: of whatever form the daemon writes."""
import os

import pytest
from vmsnaptest.daemon import FAILED, REFUSED, USAGE, CtlError

pytestmark = pytest.mark.one_driver  # files of save states

PACKET = bytes([16, 0, 1, 0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])  # in tick.s, before the number
BOOT_SECTOR, SECTOR = 0x7c00, 512


def number_in(path, blocks):
    """The number that the guest has in RAM, in an extracted memory."""
    (start,) = [block["offset"] for block in blocks if block["name"] == "pc.ram"]
    with open(path, "rb") as memory:
        memory.seek(start + BOOT_SECTOR)
        code = memory.read(SECTOR)
    assert code[-2:] == b"\x55\xaa" and code.count(PACKET) == 1, "the guest's boot sector is not where it was loaded"
    at = code.index(PACKET) + len(PACKET)
    return int.from_bytes(code[at:at + 4], "little")


def flip(path, offset):
    """Turns over a bit."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


def files_below(root):
    return sorted(os.path.join(where, name) for where, _, names in os.walk(root) for name in names)


@pytest.fixture
def machine(lab):
    """A running VM with one snapshot with memory."""
    vm = lab.machine(start=True)
    vm.serial.reach(6)
    vm.first = vm.snapshot("first")["id"]
    return vm


def savestate(machine, verb, *words):
    return machine.lab.ctl("savestate", verb, machine.name, *words)


def info(machine, *words):
    return savestate(machine, "info", *words)["saveState"]


def refused(machine, verb, *words, code=REFUSED):
    with pytest.raises(CtlError) as error:
        savestate(machine, verb, *words)
    assert error.value.code == code, str(error.value)
    return error.value


def test_info(lab, machine):
    state = info(machine, "first")
    assert state == info(machine, machine.first)
    assert state["snapshot"] == machine.first and state["domain"] == machine.name
    assert state["path"] == machine.snapshot_config(machine.first).state
    assert state["bytes"] == state["recordedBytes"] == os.stat(state["path"]).st_size
    assert len(state["checksum"]) == 16 and "problems" not in state
    assert state["chain"] == 1 and "parent" not in state
    if state["form"] == "split":
        assert os.stat(state["memoryPath"]).st_size == state["memoryBytes"] >= state["memoryAllocatedBytes"]
        pages = sum(state[f"{kind}Pages"] for kind in ("data", "zero", "parent", "absent"))
        assert pages * state["pageBytes"] == sum(block["bytes"] for block in state["blocks"]) >= 16 << 20
    else:
        assert state["form"] in ("opaque", "partly")
    shown = lab.daemon.run_ctl("savestate", "info", machine.name, "first").stdout
    assert state["form"] in shown and state["path"] in shown and state["checksum"] in shown


def test_verify(lab, machine):
    assert savestate(machine, "verify", "first")["saveState"]["snapshot"] == machine.first
    done = lab.daemon.run_ctl("savestate", "verify", machine.name, "first")
    assert done.returncode == 0 and done.stdout == "Save state of snapshot 'first' is sound\n"


def test_damage_is_found(machine):
    """A bit that is turned over, anywhere in the .vsv, is found, and the file is named."""
    path = info(machine, "first")["path"]
    size = os.stat(path).st_size
    for offset in (40, size // 3, size // 2, size - 5000, size - 1):
        flip(path, offset)
        error = refused(machine, "verify", "first")
        assert error.error in ("DamagedFile", "SealedDiskChanged"), str(error)
        assert error.parameters["file"] == path and path in error.message
        flip(path, offset)
    savestate(machine, "verify", "first")


def test_missing_file(machine):
    path = info(machine, "first")["path"]
    os.rename(path, path + ".away")
    error = refused(machine, "verify", "first")
    assert error.error == "DamagedFile" and error.parameters["file"] == path
    state = info(machine, "first")
    assert state["form"] == "unknown" and path in state["problems"][0]
    os.rename(path + ".away", path)
    savestate(machine, "verify", "first")


def test_damaged_memory_file(machine):
    """The same in the .bin, where there is one."""
    state = info(machine, "first")
    if state["form"] == "opaque":
        pytest.skip("this daemon writes opaque save states")
    (start,) = [block["offset"] for block in state["blocks"] if block["name"] == "pc.ram"]
    flip(state["memoryPath"], start + BOOT_SECTOR)
    error = refused(machine, "verify", "first")
    assert error.error == "DamagedFile" and error.parameters["file"] == state["memoryPath"]
    flip(state["memoryPath"], start + BOOT_SECTOR)
    savestate(machine, "verify", "first")


def test_extract(lab, machine):
    """The guest's number is in the extracted memory, of the very instant of the snapshot."""
    target, before = lab.path("memory"), files_below(machine.root)
    reply = savestate(machine, "extract", "first", "--ram", target)
    status = os.stat(target)
    assert (status.st_mode & 0o7777, status.st_uid) == (0o600, os.getuid())
    assert status.st_size == reply["bytes"] >= 16 << 20
    assert status.st_blocks * 512 == reply["allocatedBytes"] < reply["bytes"], "zeros are holes"
    sealed = machine.sealed_numbers(machine.first)
    assert sealed[0] <= number_in(target, reply["blocks"]) <= sealed[0] + 1
    assert files_below(machine.root) == before, "nothing stays in the VM directory"


def test_extract_does_not_overwrite(lab, machine):
    target = lab.path("memory")
    with open(target, "w") as file:
        file.write("mine")
    error = refused(machine, "extract", "first", "--ram", target)
    assert target in error.message
    with open(target) as file:
        assert file.read() == "mine"
    error = refused(machine, "extract", "first", "--ram", lab.path("nowhere/memory"), code=FAILED)
    assert lab.path("nowhere/memory") in error.message


def test_extract_of_a_damaged_one_leaves_nothing(lab, machine):
    """An opaque save state has no checksum within: only what breaks its form is found on the way."""
    path, before = info(machine, "first")["path"], files_below(machine.root)
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        whole = file.read()
    os.truncate(path, size // 2)
    error = refused(machine, "extract", "first", "--ram", lab.path("memory"))
    assert error.error == "DamagedFile" and path in error.message
    assert not os.path.exists(lab.path("memory")) and files_below(machine.root) == before
    with open(path, "r+b") as file:
        file.write(whole)
    savestate(machine, "verify", "first")


def test_of_a_saved_vm(lab, machine):
    assert "not saved" in refused(machine, "info", "--saved").message
    assert "not saved" in refused(machine, "extract", "--saved", "--ram", lab.path("none")).message
    assert not os.path.exists(lab.path("none"))
    machine.vm("save")
    state = info(machine, "--saved")
    assert "snapshot" not in state and state["path"] == machine.config().state and "problems" not in state
    savestate(machine, "verify", "--saved")
    reply = savestate(machine, "extract", "--saved", "--ram", lab.path("memory"))
    at = machine.numbers()
    assert at[0] <= number_in(lab.path("memory"), reply["blocks"]) <= at[0] + 1
    machine.serial.mark()
    machine.vm("start")
    assert at[0] <= machine.serial.first().ram <= at[0] + 1, "looking does no harm"


def test_diff(machine):
    machine.serial.ticks(3)
    machine.snapshot("second")
    forms = {info(machine, name)["form"] for name in ("first", "second")}
    if forms != {"split"}:
        assert "opaque" in refused(machine, "diff", "first", "second").message
        return
    other = savestate(machine, "diff", "first", "second")["difference"]
    assert other["changedPages"] > 0 and other["samePages"] > other["changedPages"]
    same = savestate(machine, "diff", "first", "first")["difference"]
    assert same["changedPages"] == 0 and same["samePages"] == other["changedPages"] + other["samePages"]


def test_no_memory(lab):
    vm = lab.machine()
    vm.snapshot("off")
    for verb in ("info", "verify"):
        assert "no memory" in refused(vm, verb, "off").message
    assert "no memory" in refused(vm, "diff", "off", "off").message


@pytest.mark.parametrize("words", [("info",), ("info", "first", "--saved"), ("extract", "first"), ("verify",),
                                   ("diff", "first"), ("diff", "first", "first", "--saved")], ids=" ".join)
def test_usage(lab, words):
    done = lab.daemon.run_ctl("savestate", words[0], "one", *words[1:])
    assert done.returncode == USAGE and done.stderr and not done.stdout
