# SPDX-License-Identifier: GPL-2.0-or-later
"""The UEFI guest with a TPM: what its lines must show after it went back."""
from .machine import PREFIX, Machine
from .wait import until
from .where import require

BOOT_TIMEOUT = 90.0  # OVMF and swtpm under TCG


class UefiMachine(Machine):
    """Its lines hold all five values."""

    def boot(self):
        self.serial.mark()
        self.vm("start")
        return self.first()

    def first(self):
        return self.serial.first(BOOT_TIMEOUT)

    def ticks(self, n=2):
        return self.serial.ticks(n, BOOT_TIMEOUT)


def in_step(line):
    """Distances that stay as they are as long as all parts are of one instant."""
    return (line.nvram - line.ram, line.disks[0] - line.ram, line.tpm - line.ram,
            line.pcr_updates is not None)


def uefi_machine(lab, image):
    """One that has booted."""
    require("swtpm")
    if lab.hv.name == "system":
        lab.hv.prepare_tpm()
    vm = UefiMachine(lab, PREFIX + "uefi", lab.path("uefi.log"))
    lab.create(vm, image, "--uefi", "--tpm", memory=96, timeout=300)
    first = vm.boot()
    assert first.tpm is not None and first.nvram is not None, f"the guest sees no TPM or NVRAM: {first}"
    return vm


def after_turn(machine, n=2):
    """The first n whole lines of the machine that came back."""
    machine.serial.wait(lambda line: line.ram is not None, "a tick", BOOT_TIMEOUT)
    lines = until(lambda: len(machine.serial.lines(machine.serial.turn)) >= n and machine.serial.lines(machine.serial.turn),
                  "ticks of the guest that came back", BOOT_TIMEOUT)
    return lines[:n]


def check_survives_reset(lab, machine, last):
    """A cold start goes on from the NVRAM variable, disk and TPM counter that were there last."""
    if lab.hv.name == "system":
        machine.serial.mark()
        lab.virsh("reset", machine.name)
        booted = machine.first()
        assert booted.nvram >= last.nvram and booted.ram <= 3
    machine.ticks(2)
    machine.stop()
    booted = machine.boot()
    assert booted.ram <= 3 and booted.nvram > last.nvram and booted.disks[0] > last.disks[0] and booted.tpm > last.tpm
    machine.ticks(2)
