#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams of real guests through split-tool, and back into QEMU: the guest goes on from the instant of the stream."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

import pytest

QEMU = os.environ.get("VMSNAP_TEST_EMULATOR", "qemu-system-x86_64")  # another version of it
BUILD = os.environ.get("top_builddir", ".")
SOURCE = os.environ.get("top_srcdir", ".")
TOOL = os.path.abspath(os.path.join(BUILD, "tests/unit/split-tool"))
GUEST = os.path.abspath(os.path.join(SOURCE, "tests/functional/guest/build.py"))
MEMORY, MIB = 16, 1 << 20
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

    def resume_from(self, uri, *capabilities):
        """Goes on from where QEMU itself reads."""
        self.capabilities(True, *capabilities, "events")
        self.qmp("migrate-incoming", uri=uri)
        self.event("MIGRATION", status="completed")
        self.qmp("cont")

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

    def migrate(self, command, *capabilities, answers=None):
        """The guest's stream goes into a command. Returns what that said. QEMU gets answers at the stream's begin and
        at its end."""
        self.capabilities(True, *capabilities, "events")
        read, write = os.pipe()
        if answers:
            here, there = socket.socketpair()
            threading.Thread(target=relay, args=(here, write, *answers)).start()
            write = there.detach()
        with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE) as process:
            os.close(read)
            self.give(write)
            self.qmp("migrate", uri="fd:stream")
            said = process.stdout.read()
        self.event("MIGRATION", status="completed")
        self.capabilities(False, *capabilities)
        assert process.returncode == 0
        return said

    def migrate_to(self, uri, *capabilities):
        """The guest's stream goes where QEMU takes it by itself."""
        self.capabilities(True, *capabilities, "events")
        self.qmp("migrate", uri=uri)
        self.event("MIGRATION", status="completed")
        self.capabilities(False, *capabilities)

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


def relay(connection, pipe, first, last):
    """Passes a stream on, and answers at its begin and end."""
    end = b""
    with connection, open(pipe, "wb", buffering=0) as file:
        connection.sendall(first)
        while data := connection.recv(MIB):
            file.write(data)
            end = (end + data)[-MIB:]
            if last and is_end(end):
                connection.sendall(last)
                last = b""


def is_end(stream):
    """The description of the devices, with which a stream ends, is there, and whole."""
    at = stream.find(b"\x00\x06")
    while at >= 0:
        if stream[at + 6:at + 8] == b'{"' and len(stream) == at + 6 + struct.unpack_from(">I", stream, at + 2)[0]:
            return True
        at = stream.find(b"\x00\x06", at + 1)
    return False


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


def resume(lab, name, *parents, capabilities=(), bitmap=False):
    """Verifies and resumes; returns the first number the guest says. bitmap: there must be one of its disk."""
    tool("verify", name, *parents)
    shutil.copy(f"{name}.disk", f"{name}.again")
    guest = lab(f"{name}.again", incoming=True)
    guest.resume((name, *parents), *capabilities)
    first = guest.tick()
    second = guest.tick()
    assert second == first + 1
    if bitmap:
        (disk,) = guest.qmp("query-block")
        assert [each["name"] for each in disk["inserted"]["dirty-bitmaps"]] == [BITMAP["name"]]
    guest.close()
    return first


def goes_on(number, first):
    """The first whole line after a resume is the next, or the one after if the stop was within a line."""
    return number < first <= number + 3


# What QEMU answers to a source that asks: that the switch may come (8.1 and newer wait for it), and that all has come.
SHUT, SWITCHOVER_ACK = struct.pack(">HHI", 1, 4, 0), struct.pack(">HH", 7, 0)
UNKNOWN_RECORD, BEFORE_MEMORY = "a record of the memory is not known here", ".*"

# Every kind of stream that a QEMU can be asked for: what the splitter makes of it.
KINDS = {
    "plain": ((), "all", "-"),
    "auto-converge": (("auto-converge",), "all", "-"),
    "late-block-activate, validate-uuid": (("late-block-activate", "validate-uuid"), "all", "-"),
    "background-snapshot": (("background-snapshot",), "all", "-"),
    "compress": (("compress",), "partly", UNKNOWN_RECORD),
    "dirty-bitmaps": (("dirty-bitmaps",), "nothing", BEFORE_MEMORY),
    "block": (("block",), "nothing", BEFORE_MEMORY),
    "postcopy-ram": (("postcopy-ram",), "nothing", BEFORE_MEMORY),
    "return-path": (("return-path",), "nothing", BEFORE_MEMORY),
    "switchover-ack": (("return-path", "switchover-ack"), "nothing", BEFORE_MEMORY),
}
ANSWERS = {"postcopy-ram": (b"", SHUT), "return-path": (b"", SHUT), "switchover-ack": (SWITCHOVER_ACK, SHUT)}
BITMAP = {"node": "virtio0", "name": "changes"}


def split_both_ways(guest, name, *capabilities, answers=None):
    """The guest's stream as a save state: through the pipe, and from a file that the same stream lies in; both must be
    the same. Returns what the splitter said, and the stream."""
    stream, split = f"{name}.stream", [TOOL, "split", "--bare", "<domain/>", "--chunk"]
    through_pipe = ["sh", "-c", 'tee "$0" | "$@"', stream, *split, "999", str(name)]
    said = guest.migrate(through_pipe, *capabilities, answers=answers)
    with open(stream, "rb") as file:
        assert tool(*split[1:], "1048576", f"{name}-file", stdin=file) == said
        file.seek(0)
        came = file.read()
    assert tool("join", "--bare", name) == tool("join", "--bare", f"{name}-file")
    return dict(line.split(" ", 1) for line in said.decode().splitlines()), came


@pytest.mark.parametrize("kind", KINDS)
def test_goes_on(lab, tmp_path, kind):
    """What is kept whole comes out byte by byte as it went in; QEMU goes on from what comes out, whatever the kind."""
    capabilities, form, why = KINDS[kind]
    guest = lab(tmp_path / "boot")
    if not guest.can(*capabilities):
        pytest.skip("this QEMU has no such streams")
    if kind == "dirty-bitmaps":
        guest.qmp("block-dirty-bitmap-add", **BITMAP)
        guest.tick()
    number = guest.stop()
    shutil.copy(guest.disk, tmp_path / "one.disk")
    said, stream = split_both_ways(guest, tmp_path / "one", *capabilities, answers=ANSWERS.get(kind))
    assert said["form"] == form and re.fullmatch(why, said["why"]) and (said["why"] == "-") == (form == "all"), said
    if form == "nothing":
        assert not os.path.exists(tmp_path / "one.bin") and tool("join", "--bare", tmp_path / "one") == stream
    else:
        assert int(said["data"]) > 0
        assert os.path.getsize(tmp_path / "one.vsv") < len(stream) / (1 if form == "partly" else 2)
    loads = set(capabilities) - {"background-snapshot", "return-path", "switchover-ack"}
    assert goes_on(number, resume(lab, tmp_path / "one", capabilities=loads, bitmap=kind == "dirty-bitmaps"))


@pytest.mark.parametrize("capabilities", [("mapped-ram",), ("mapped-ram", "multifd")])
def test_mapped_ram(lab, tmp_path, capabilities):
    """QEMU writes the memory at its places in a file (9.0 and newer): kept whole, and read by QEMU from such a file."""
    guest = lab(tmp_path / "boot")
    if not guest.can(*capabilities):
        pytest.skip("this QEMU has no such streams")
    number = guest.stop()
    shutil.copy(guest.disk, tmp_path / "one.disk")
    guest.migrate_to(f"file:{tmp_path}/stream", *capabilities)
    with open(tmp_path / "stream", "rb") as file:
        assert b"form nothing\n" in tool("split", "--bare", "<domain/>", tmp_path / "one", stdin=file)
        file.seek(0)
        joined = tool("join", "--bare", tmp_path / "one")
        assert joined == file.read()
    (tmp_path / "joined").write_bytes(joined)
    again = lab(tmp_path / "one.disk", incoming=True)
    again.resume_from(f"file:{tmp_path}/joined", *capabilities)
    assert goes_on(number, again.tick())


def test_xbzrle(lab, tmp_path):
    """The guest writes its memory again while it goes out, and what is sent again is sent as a difference: from the
    first of those on all is kept as it came. (QEMU 7.2 loads its own such streams to another guest than it was.)"""
    subprocess.run([sys.executable, GUEST, "boot", tmp_path / "busy", "--touch", "4", "--busy"], check=True)
    guest = lab(tmp_path / "busy")
    guest.tick()
    before = guest.tick()
    guest.qmp("migrate-set-parameters", **{"max-bandwidth": 16 * MIB, "downtime-limit": 50,
                                           "xbzrle-cache-size": 16 * MIB})
    said, stream = split_both_ways(guest, tmp_path / "one", "xbzrle")
    assert (said["form"], said["why"]) == ("partly", UNKNOWN_RECORD)
    joined, rest = tool("join", "--bare", tmp_path / "one"), rest_of(tmp_path / "one.vsv", stream)
    assert rest > 100000 and joined[-rest:] == stream[-rest:]
    if guest.qmp("query-version")["qemu"]["major"] >= 10:
        shutil.copy(tmp_path / "busy", tmp_path / "one.disk")
        assert resume(lab, tmp_path / "one", capabilities=["xbzrle"]) > before


def rest_of(vsv, stream):
    """How many bytes at the end of the stream stand in the .vsv as they came."""
    with open(vsv, "rb") as file:
        kept = file.read()
    longest, step = 0, 1 << 24
    while step:
        if longest + step <= len(stream) and stream[-longest - step:] in kept:
            longest += step
        else:
            step >>= 1
    return longest


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
    """From a file; of QEMU 10 and newer the stream holds SWITCHOVER_START, between two parts of the memory."""
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
    (tmp_path / "stream").write_bytes(guest.migrate(["cat"], "x-ignore-shared"))
    with open(tmp_path / "stream", "rb") as file, pytest.raises(subprocess.CalledProcessError):
        tool("split", "--bare", "<domain/>", tmp_path / "one", stdin=file)
    assert not list(tmp_path.glob("one*.vsv*")) and not list(tmp_path.glob("one*.bin*"))
    guest.qmp("cont")
    guest.tick()


def read_all(connection, streams):
    with connection, connection.makefile("rb") as file:
        streams.append(file.read())


def test_multifd_is_refused(lab, tmp_path):
    """The memory goes by channels of its own: what comes by the first one is none of it."""
    guest = lab(tmp_path / "boot")
    guest.stop()
    streams, readers = [], []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE)
        listener.bind(f"{tmp_path}/m")
        listener.listen()
        guest.capabilities(True, "multifd", "events")
        guest.qmp("migrate", uri=f"unix:{tmp_path}/m")
        for _ in range(3):  # the stream, and two channels
            readers.append(threading.Thread(target=read_all, args=(listener.accept()[0], streams)))
            readers[-1].start()
        guest.event("MIGRATION", status="completed")
    for reader in readers:
        reader.join(PATIENCE)
    (stream,) = [each for each in streams if each.startswith(b"QEVM")]
    (tmp_path / "stream").write_bytes(stream)
    for way in ('cat "$0" | "$@"', '"$@" <"$0"'):
        done = subprocess.run(["sh", "-c", way, tmp_path / "stream", TOOL, "split", "--bare", "<domain/>",
                               tmp_path / "one"], capture_output=True, text=True)
        assert done.returncode != 0 and "does not hold the guest's memory" in done.stderr, done
        assert not list(tmp_path.glob("one.*"))


if __name__ == "__main__":
    if not shutil.which(QEMU):
        print(f"{QEMU} is missing")
        sys.exit(77)
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:], os.path.abspath(__file__)]))
