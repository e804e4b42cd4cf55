#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams of real guests through split-tool, and back into QEMU: the guest goes on from the instant of the stream."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

QEMU = os.environ.get("VMSNAP_TEST_EMULATOR", "qemu-system-x86_64")  # another version of it
BUILD = os.environ.get("top_builddir", ".")
SOURCE = os.environ.get("top_srcdir", ".")
TOOL = os.path.abspath(os.path.join(BUILD, "tests/unit/split-tool"))
GUEST = os.path.abspath(os.path.join(SOURCE, "tests/functional/guest/build.py"))
MEMORY = 16  # MiB
SWITCHOVER_START = b"\x08\x00\x0b\x00\x00"  # a command, 11, of no length; in each stream of QEMU 10 and newer
PATIENCE = 20  # seconds
TICK = re.compile(r"T=([0-9a-f]{8}) D=([0-9a-f]{8}) ([=!?])$", re.IGNORECASE)


class Guest:
    """A QEMU with tick.s on a disk; incoming: it waits for a stream."""

    def __init__(self, disk, incoming=False, options=()):
        self.disk = disk
        self.qmp_socket, qmp = socket.socketpair()
        self.serial_socket, serial = socket.socketpair()
        command = [QEMU, "-M", "pc,accel=tcg", "-m", str(MEMORY), "-nodefaults", "-display", "none", *options,
                   "-drive", f"file={disk},format=raw,if=virtio",
                   "-chardev", f"socket,id=qmp,fd={qmp.fileno()}", "-mon", "chardev=qmp,mode=control",
                   "-chardev", f"socket,id=serial,fd={serial.fileno()}", "-serial", "chardev:serial"]
        if incoming:
            command += ["-incoming", "defer"]
        self.process = subprocess.Popen(command, pass_fds=(qmp.fileno(), serial.fileno()),
                                        stderr=subprocess.PIPE, text=True)
        qmp.close()
        serial.close()
        self.qmp_socket.settimeout(PATIENCE)
        self.serial_socket.settimeout(PATIENCE)
        self.qmp_file = self.qmp_socket.makefile("r")
        self.serial = self.serial_socket.makefile("r", errors="replace")
        self.events = []
        self._message()
        self.qmp("qmp_capabilities")

    def resume(self, arguments, *capabilities):
        """Goes on from what split-tool joins."""
        self.capabilities(True, *capabilities, "events")
        read, write = os.pipe()
        with subprocess.Popen([TOOL, "join", "--bare", *map(str, arguments)], stdout=write) as joiner:
            os.close(write)
            self.give(read)
            self.qmp("migrate-incoming", uri="fd:stream")
            self.event("MIGRATION", status="completed")
        assert joiner.returncode == 0
        self.qmp("cont")

    def give(self, fd):
        """Hands a descriptor to QEMU under the name `stream`."""
        command = json.dumps({"execute": "getfd", "arguments": {"fdname": "stream"}})
        socket.send_fds(self.qmp_socket, [command.encode()], [fd])
        os.close(fd)
        self.answer()

    def _message(self):
        line = self.qmp_file.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def qmp(self, command, **arguments):
        self.qmp_socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        return self.answer()

    def answer(self):
        while True:
            message = self._message()
            if "event" in message:
                self.events.append(message)
                continue
            assert "error" not in message, message
            return message["return"]

    def event(self, name, **data):
        """Waits for such an event; `data` must be in it."""
        while True:
            message = self.events.pop(0) if self.events else self._message()
            if message.get("event") == name and data.items() <= message["data"].items():
                return
            assert message.get("data", {}).get("status") != "failed", message

    def tick(self):
        """The number in the next whole line; RAM and disk must be of one instant."""
        while True:
            line = self.serial.readline()
            assert line, "the guest is gone"
            match = TICK.search(line)
            if match:
                assert match.group(3) == "=", line
                return int(match.group(1), 16)

    def stop(self):
        """Stops the guest and returns the number that RAM holds then, or the one before."""
        last = self.tick()
        self.qmp("stop")
        self.serial_socket.settimeout(0.2)
        try:
            while True:
                last = self.tick()
        except (TimeoutError, OSError):
            pass
        self.serial_socket.settimeout(PATIENCE)
        self.serial = self.serial_socket.makefile("r", errors="replace")
        return last

    def capabilities(self, state, *names):
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": name, "state": state} for name in names])

    def split(self, arguments, *capabilities):
        """Has split-tool split the guest's stream. Returns what it said, by its first words."""
        said = self.migrate([TOOL, "split", *map(str, arguments)], *capabilities)
        return dict(line.split(" ", 1) for line in said.decode().splitlines())

    def migrate(self, command, *capabilities):
        """The guest's stream goes into a command. Returns what that said."""
        self.capabilities(True, *capabilities, "events")
        read, write = os.pipe()
        with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE) as process:
            os.close(read)
            self.give(write)
            self.qmp("migrate", uri="fd:stream")
            said = process.stdout.read()
        self.event("MIGRATION", status="completed")
        self.capabilities(False, *capabilities)
        assert process.returncode == 0
        return said

    def can(self, *capabilities):
        """QEMU knows them all."""
        known = {each["capability"] for each in self.qmp("query-migrate-capabilities")}
        return known >= set(capabilities)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        for file in (self.qmp_file, self.serial, self.qmp_socket, self.serial_socket):
            file.close()


@pytest.fixture
def lab(tmp_path):
    """Starts guests, and ends them."""
    guests = []
    subprocess.run([sys.executable, GUEST, "boot", tmp_path / "boot", "--touch", "4"], check=True)

    def start(disk, incoming=False, options=()):
        guests.append(Guest(disk, incoming, options))
        return guests[-1]

    yield start
    for guest in guests:
        guest.close()


def tool(*arguments, **options):
    return subprocess.run([TOOL, *map(str, arguments)], check=True, capture_output=True, **options).stdout


def take(guest, name, *capabilities, options=("--bare", "<domain/>"), parents=()):
    """Snapshot of a guest: its disk beside it. Returns the number in RAM, and what the splitter said."""
    number = guest.stop()
    shutil.copy(guest.disk, f"{name}.disk")
    return number, guest.split((*options, name, *parents), *capabilities)


def resume(lab, name, *parents, capabilities=()):
    """Verifies and resumes; returns the first number the guest says."""
    tool("verify", name, *parents)
    shutil.copy(f"{name}.disk", f"{name}.again")
    guest = lab(f"{name}.again", incoming=True)
    guest.resume((name, *parents), *capabilities)
    first = guest.tick()
    second = guest.tick()
    assert second == first + 1
    guest.close()
    return first


def goes_on(number, first):
    """The first whole line after a resume is the next, or the one after if the stop was within a line."""
    return number < first <= number + 3


@pytest.mark.parametrize("capabilities, form, why", [
    ((), "all", "-"),
    (("auto-converge",), "all", "-"),
    (("late-block-activate", "validate-uuid"), "all", "-"),
    (("background-snapshot",), "all", "-"),
    (("compress",), "partly", "a record of the memory is not known here"),
    (("dirty-bitmaps",), "nothing|partly|all", ".*"),
])
def test_goes_on(lab, tmp_path, capabilities, form, why):
    guest = lab(tmp_path / "boot")
    if not guest.can(*capabilities):
        pytest.skip("this QEMU has no such streams")
    number, said = take(guest, tmp_path / "one", *capabilities)
    assert re.fullmatch(form, said["form"]) and re.fullmatch(why, said["why"]), said
    assert goes_on(number, resume(lab, tmp_path / "one", capabilities=set(capabilities) - {"background-snapshot"}))


def test_live(lab, tmp_path):
    """The guest runs and writes while its memory goes out; its disk is that of the end."""
    guest = lab(tmp_path / "boot")
    guest.tick()
    before = guest.tick()
    said = guest.split(("--bare", "<domain/>", "--chunk", "1000", tmp_path / "one"))
    assert said["form"] == "all"
    shutil.copy(tmp_path / "boot", tmp_path / "one.disk")
    assert resume(lab, tmp_path / "one") > before


def test_from_a_file(lab, tmp_path):
    """The stream lies in a file first; of QEMU 10 and newer it holds SWITCHOVER_START, between two parts of the memory."""
    guest = lab(tmp_path / "boot")
    number = guest.stop()
    shutil.copy(guest.disk, tmp_path / "one.disk")
    stream = guest.migrate(["cat"])
    assert guest.qmp("query-version")["qemu"]["major"] < 10 or SWITCHOVER_START in stream
    with open(tmp_path / "stream", "w+b") as file:
        file.write(stream)
        file.seek(0)
        said = tool("split", "--bare", "<domain/>", "--chunk", "777", tmp_path / "one", stdin=file)
    assert b"form all\n" in said
    joined = tool("join", "--bare", tmp_path / "one")
    assert SWITCHOVER_START in joined or SWITCHOVER_START not in stream
    assert goes_on(number, resume(lab, tmp_path / "one"))


def test_difference(lab, tmp_path):
    """Three background snapshots of one guest, each a difference of the one before, at different instants."""
    guest = lab(tmp_path / "boot")
    names = [tmp_path / name for name in ("one", "two", "three")]
    numbers = []
    for i, name in enumerate(names):
        number, said = take(guest, name, "background-snapshot", parents=list(reversed(names[:i])))
        numbers.append(number)
        guest.qmp("cont")  # some versions do it themselves
        if i > 0:
            assert int(said["parent"]) > 4 * int(said["data"]), said
    for i, (name, number) in enumerate(zip(names, numbers)):
        assert goes_on(number, resume(lab, name, *reversed(names[:i])))
    tool("fold", names[2], names[1], names[0])
    assert goes_on(numbers[2], resume(lab, names[2], names[0]))
    tool("fold", names[2], names[0])
    assert goes_on(numbers[2], resume(lab, names[2]))


def test_flat(lab, tmp_path):
    """The memory file is what the guest's memory is, page N at offset N."""
    guest = lab(tmp_path / "boot")
    take(guest, tmp_path / "one")
    guest.qmp("pmemsave", val=0, size=0xa0000, filename=str(tmp_path / "memory"))
    low = (tmp_path / "memory").read_bytes()
    for name in ("one.bin", "extracted"):
        if name == "extracted":
            tool("extract", tmp_path / name, tmp_path / "one")
        with open(tmp_path / name, "rb") as flat:
            assert flat.read(len(low)) == low


def test_refused(lab, tmp_path):
    """A stream without the memory is refused, and QEMU's guest is none the worse."""
    memory = ("-object", f"memory-backend-file,id=m,size={MEMORY}M,mem-path={tmp_path}/ram,share=on",
              "-machine", "memory-backend=m")
    guest = lab(tmp_path / "boot", options=memory)
    with pytest.raises(AssertionError, match="failed"):
        take(guest, tmp_path / "one", "x-ignore-shared")
    assert not list(tmp_path.glob("one.vsv*")) and not list(tmp_path.glob("one.bin*"))
    guest.qmp("cont")
    guest.tick()


if __name__ == "__main__":
    if not shutil.which(QEMU):
        print(f"{QEMU} is missing")
        sys.exit(77)
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:], os.path.abspath(__file__)]))
