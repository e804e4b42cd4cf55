# SPDX-License-Identifier: GPL-2.0-or-later
"""How the harness reads a serial line that a restore tore in the middle."""
import pytest
from vmsnaptest.serial import parse

WHOLE = "T=00000008 D=00000008 E=00000008 ="


@pytest.mark.parametrize("torn", ["", "T", "T=0000000A D=0000", "T=0000000A D=0000000A E=0000000A ", "BOOT D="])
def test_a_whole_line_counts_behind_half_a_line_of_the_old_machine(torn):
    line = parse(torn + WHOLE)
    assert (line.kind, line.ram, line.disks, line.agrees) == ("tick", 8, (8, 8), True)
    assert parse(torn + "BOOT D=00000008 ").kind == "boot"


@pytest.mark.parametrize("text", [WHOLE[1:], WHOLE[:-1], WHOLE[10:], "T=0000000A D=" + WHOLE[20:], WHOLE + "T", ""])
def test_half_a_line_counts_for_nothing(text):
    assert parse(text) is None


def test_a_line_that_disagrees_is_seen_wherever_it_stands():
    assert not parse("T=0000" + WHOLE[:-1] + "!").agrees
