# SPDX-License-Identifier: GPL-2.0-or-later
"""The serial line of a test guest, read from the file that QEMU appends it to.

A line that was torn by a restore (half of the old machine, half of the new) matches nothing
and is passed over; a whole one that follows half a line of the old machine counts. A whole
line with "!" is never passed over."""
import os
import re
from typing import NamedTuple, Optional

from .wait import until

NUMBER = r"([0-9A-F]{8})"
TICK = re.compile(rf"T={NUMBER} D={NUMBER} (?:E={NUMBER} )?([=!])$")
BOOT = re.compile(rf"BOOT D={NUMBER} (?:E={NUMBER} )?$")
EFI_TICK = re.compile(rf"T={NUMBER} N={NUMBER}((?: D={NUMBER})+)(?: P={NUMBER} R={NUMBER}/{NUMBER})? ;$")


class Line(NamedTuple):
    """One whole line of a guest; numbers as integers, None where the guest has no such thing."""
    kind: str  # "tick", "boot" or "efi"
    ram: Optional[int]
    disks: tuple
    agrees: bool
    nvram: Optional[int] = None
    tpm: Optional[int] = None
    pcr_updates: Optional[int] = None
    pcr: Optional[int] = None


def _number(text):
    return None if text is None else int(text, 16)


def parse(text):
    """The Line in a text, or None."""
    text = text.rstrip("\r\n")
    m = TICK.search(text)
    if m:
        disks = tuple(_number(d) for d in m.group(2, 3) if d)
        return Line("tick", _number(m.group(1)), disks, m.group(4) == "=")
    m = BOOT.search(text)
    if m:
        return Line("boot", None, tuple(_number(d) for d in m.group(1, 2) if d), True)
    m = EFI_TICK.search(text)
    if m:
        disks = tuple(int(d, 16) for d in re.findall(rf"D={NUMBER}", m.group(3)))
        rest = [_number(g) for g in m.group(5, 6, 7)]
        return Line("efi", _number(m.group(1)), disks, True, _number(m.group(2)), *rest)
    return Line("boot", None, (), True) if text.endswith("GO") else None


def check_ticks(lines):
    """These lines are of one run without a gap, all disks in step with memory. Raises otherwise."""
    for before, line in zip([None] + lines, lines):
        if line.kind == "boot":
            raise AssertionError("the guest rebooted")
        if not line.agrees:
            raise AssertionError(f"disks and memory are not of one instant: {line}")
        if before and line.ram != before.ram + 1:
            raise AssertionError(f"the guest went from tick {before.ram} to {line.ram}")


class Serial:
    """Reads what a guest says from where it was last marked."""

    def __init__(self, path):
        self.path = path
        self.offset = 0  # what lies before it was said before the last mark
        self.turn = 0    # what lies behind it was said by the machine that came back

    def _size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def mark(self):
        """From now on only what comes after this instant counts."""
        self.offset = self._size()

    def turned(self):
        """An apply or revert that began after the mark has just returned: the old machine is gone, but what
        it said last lies between the mark and here."""
        self.turn = self._size()

    def text(self, offset=None):
        """All that came since the mark, or since an offset."""
        if not os.path.exists(self.path):
            return ""
        with open(self.path, "rb") as log:
            log.seek(self.offset if offset is None else offset)
            return log.read().decode("ascii", "replace")

    def lines(self, offset=None):
        """The whole lines since the mark, or since an offset."""
        whole = self.text(offset).rpartition("\n")[0]
        return [line for line in map(parse, whole.split("\n")) if line]

    def wait(self, condition, what="a line of the guest", timeout=40.0):
        """Waits until a whole line since the mark fulfils condition(line); returns it."""
        return until(lambda: next((line for line in self.lines() if condition(line)), None),
                     lambda: f"{what}; the serial line ends in {self.text()[-200:]!r}", timeout)

    def first(self, timeout=40.0):
        """The first whole tick since the mark."""
        return self.wait(lambda line: line.ram is not None, "a tick", timeout)

    def ticks(self, n=3, timeout=40.0):
        """Marks, and waits for n further ticks: the guest runs. Returns the last."""
        self.mark()
        return until(lambda: self._ticks()[n - 1:n],
                     lambda: f"{n} ticks; the serial line ends in {self.text()[-200:]!r}", timeout)[0]

    def _ticks(self):
        return [line for line in self.lines() if line.ram is not None]

    def reach(self, number, timeout=40.0):
        """Waits until the number in RAM is at least `number`; returns the line."""
        return self.wait(lambda line: line.ram is not None and line.ram >= number, f"tick {number}", timeout)

    def undisturbed(self):
        """Since the mark the guest ran without a gap: each tick follows the one before, all disks
        agree with RAM, no reboot. Raises otherwise; returns the ticks."""
        lines = self.lines()
        check_ticks(lines)
        return lines

    def undisturbed_after_boot(self):
        """As undisturbed(), from the last boot that came since the mark."""
        lines = self.lines()
        last_boot = max((i for i, line in enumerate(lines) if line.kind == "boot"), default=-1)
        check_ticks(lines[last_boot + 1:])

    def ticks_after_turn(self, expected, n=3, timeout=40.0):
        """The ticks of the machine that came back, at least n, checked like undisturbed().

        Where the old machine ended and the new one began is where the number last jumped. If it did not jump,
        the new one happened to go on where the old one ended: then it began at the first line that may be its
        own, the number `expected` or more, if that was said before the turn was over."""
        until(lambda: len([line for line in self.lines(self.turn) if line.ram is not None]) > n,
              lambda: f"{n} ticks after the turn; the serial line ends in {self.text()[-200:]!r}", timeout)
        lines = self.lines()
        start = 0
        for i in range(1, len(lines)):
            if lines[i].kind == "boot" or lines[i].ram != (lines[i - 1].ram or 0) + 1:
                start = i
        if start == 0:
            after = len(self.lines(self.turn))
            while start < len(lines) - after and (lines[start].ram or 0) < expected:
                start += 1
        check_ticks(lines[start:])
        return lines[start:]
