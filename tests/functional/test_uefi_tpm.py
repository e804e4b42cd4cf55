# SPDX-License-Identifier: GPL-2.0-or-later
"""A UEFI guest with a TPM: RAM, NVRAM variable, TPM counter, PCR and disk go back together, and the guest
survives a reset afterwards: it is the reset that shows torn NVRAM."""
import glob
import os
import shutil

import pytest
from vmsnaptest.machine import PREFIX
from vmsnaptest.uefi import after_turn, check_survives_reset, in_step, uefi_machine
from vmsnaptest.wait import until
from vmsnaptest.where import require_userfaultfd


@pytest.fixture
def machine(lab, efi_image):
    return uefi_machine(lab, efi_image)


def test_running(lab, machine):
    """With memory: each value goes on with the very next number, and the PCR with the very next digest."""
    before = machine.ticks(2)
    snapshot = machine.snapshot("running")["id"]
    line = machine.ticks(1)
    assert line.ram > before.ram
    machine.serial.undisturbed()
    later = machine.ticks(3)
    expected = {entry.ram: entry for entry in _all_lines(machine)}
    machine.apply(snapshot)
    lines = after_turn(machine)
    for entry in lines:
        assert entry.ram < later.ram
        assert in_step(entry) == in_step(later)
        known = expected.get(entry.ram)
        assert known is None or (entry.nvram, entry.disks, entry.tpm, entry.pcr_updates, entry.pcr) == \
            (known.nvram, known.disks, known.tpm, known.pcr_updates, known.pcr)
    assert any(entry.ram in expected for entry in lines)
    check_survives_reset(lab, machine, lines[-1])


@pytest.mark.parametrize("mode", ["background", "live", "paused"])
def test_ten_ticks_ahead(lab, machine, mode):
    """Its memory goes out so slowly that the guest is ten ticks ahead, and has written its NVRAM and TPM as often, when
    the stream ends; paused, it stands still as long."""
    if mode == "background":
        require_userfaultfd(lab.hv)
    slow = lab.path("slow")
    open(slow, "w").close()
    lab.daemon.restart(f"slow:1024:{slow}")
    before = machine.ticks(1)
    taking = lab.daemon.start_ctl("snapshot", "create", machine.name, "--name", "slow", "--mode", mode)
    files = os.path.join(machine.root, "Snapshots", "*", "*.bin.tmp")
    until(lambda: any(os.stat(path).st_blocks for path in glob.glob(files)), "the memory going out")
    if mode != "paused":
        assert machine.ticks(10).ram >= before.ram + 10 and taking.poll() is None
    os.unlink(slow)
    snapshot = lab.daemon.end_ctl(taking)["snapshot"]
    assert snapshot["mode"] == mode
    later = machine.ticks(2)
    expected = {entry.ram: entry for entry in _all_lines(machine)}
    machine.apply(snapshot["id"])
    lines = after_turn(machine)
    for entry in lines:
        assert in_step(entry) == in_step(later)
        known = expected.get(entry.ram)
        assert known is None or (entry.nvram, entry.disks, entry.tpm, entry.pcr_updates, entry.pcr) == \
            (known.nvram, known.disks, known.tpm, known.pcr_updates, known.pcr)
    assert any(entry.ram in expected for entry in lines)
    check_survives_reset(lab, machine, lines[-1])


def _all_lines(machine):
    machine.serial.offset = 0
    return [line for line in machine.serial.lines() if line.ram is not None]


def test_disk_only(lab, machine):
    """NVRAM and TPM state are copied in the pause: started, the guest goes on from those numbers."""
    machine.ticks(2)
    at = machine.ticks(1)
    snapshot = machine.snapshot("disks", "--no-memory")["id"]
    machine.ticks(4)
    machine.apply(snapshot)
    assert machine.state() == "shutoff"
    booted = machine.boot()
    # the number written last before the pause plus one, or one more if the pause came after a further tick
    assert at.nvram + 1 <= booted.nvram <= at.nvram + 3
    assert at.disks[0] + 1 <= booted.disks[0] <= at.disks[0] + 3
    assert at.tpm + 1 <= booted.tpm <= at.tpm + 3
    check_survives_reset(lab, machine, machine.ticks(1))


def test_off(lab, machine):
    machine.ticks(2)
    machine.stop()
    last = _all_lines(machine)[-1]
    snapshot = machine.snapshot("off")["id"]
    machine.boot()
    machine.ticks(3)
    machine.apply(snapshot)
    booted = machine.boot()
    assert last.nvram + 1 <= booted.nvram <= last.nvram + 2
    assert last.disks[0] + 1 <= booted.disks[0] <= last.disks[0] + 2
    assert last.tpm + 1 <= booted.tpm <= last.tpm + 2
    check_survives_reset(lab, machine, machine.ticks(1))


def test_save_and_start(lab, machine):
    at = machine.ticks(2)
    machine.vm("save")
    line = machine.boot()
    assert at.ram <= line.ram <= at.ram + 3 and in_step(line) == in_step(at)
    check_survives_reset(lab, machine, line)


def test_copies_are_in_the_snapshot(lab, machine):
    machine.stop()
    snapshot = machine.snapshot("off")["id"]
    config = machine.snapshot_config(snapshot)
    assert len(config.firmware_copies) == 2
    nvram = next(path for path in config.firmware_copies if os.path.getsize(path) == 540672)
    assert os.path.dirname(nvram) == os.path.join(machine.root, "Snapshots", snapshot)


def test_undefine_rename_and_recreate_lose_nothing(lab, machine):
    """Neither NVRAM nor TPM state goes with the domain's definition or its name."""
    last = machine.ticks(2)
    machine.stop()
    lab.virsh("undefine", machine.name, "--keep-nvram")
    booted = machine.boot()
    assert booted.nvram > last.nvram
    last = machine.ticks(1)
    machine.stop()
    new = PREFIX + "renamed"
    lab.ctl("vm", "rename", machine.name, new)
    machine.name = new
    booted = machine.boot()
    assert booted.nvram > last.nvram and booted.tpm > last.tpm
    snapshot = machine.snapshot("after rename")["id"]
    last = machine.ticks(2)
    machine.apply(snapshot)
    lines = after_turn(machine)
    assert in_step(lines[0]) == in_step(last)


def test_moved_store(lab, machine):
    """The NVRAM and TPM of a snapshot travel in the VM directory."""
    snapshot = machine.snapshot("running")["id"]
    last = machine.ticks(2)
    machine.stop()
    root = machine.root
    lab.daemon.stop()
    lab.hv.virsh("undefine", machine.name, "--nvram")  # as on another host: nothing of it is there
    os.mkdir(lab.path("other"), 0o711)
    shutil.move(root, lab.path("other"))
    shutil.rmtree(lab.daemon.store)
    lab.daemon.store = lab.path("other")
    lab.daemon.start()
    machine.apply(snapshot)
    lines = after_turn(machine)
    assert in_step(lines[0]) == in_step(last)
    check_survives_reset(lab, machine, lines[-1])


def test_paths_are_explicit(lab, machine):
    """The domain names its NVRAM file, so that no change of its name can lose it."""
    machine.stop()
    config = machine.config()
    nvram = config.domain.findtext("os/nvram")
    assert nvram and os.path.exists(nvram)
    assert any(os.path.exists(path) for path in config.firmware_live)
