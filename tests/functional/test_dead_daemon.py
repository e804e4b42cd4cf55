# SPDX-License-Identifier: GPL-2.0-or-later
"""vmsnapd dies while libvirtd works with a pipe of its, and is not started again: libvirtd gives up by itself, answers
about this domain and all others, and the guest runs on."""
import fcntl
import glob
import os
import struct
import subprocess
import termios

import pytest
from vmsnaptest.wait import until
from vmsnaptest.where import program

PAGE, REST = 4096, 100
ANSWER = 5.0  # seconds in which libvirtd must answer


@pytest.fixture(autouse=True)
def libvirtd(lab):
    if lab.hv.name == "embed":
        pytest.skip("no libvirtd under embed: libvirt dies with the daemon")


@pytest.fixture
def machine(lab):
    vm = lab.machine(start=True)
    vm.serial.reach(4)
    return vm


class Guarded:
    """A pipe with its guard, as the daemon starts it. die() is what the kernel does when the daemon is killed."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path, 0o600)
        held = os.open(path, os.O_PATH)
        end, self.control = os.pipe()
        self.process = subprocess.Popen([program("vmsnap-capture"), "--guard"], stdin=end, close_fds=False,
                                        preexec_fn=lambda: os.dup2(held, 3))
        os.close(held)
        os.close(end)

    def die(self):
        if self.control is not None:
            os.close(self.control)
        self.control = None

    def finish(self):
        """Without its name the pipe needs no guard."""
        assert self.process.poll() is None
        os.unlink(self.path)
        assert self.process.wait(30) == 0


def virsh(lab, *args):
    return subprocess.Popen(["virsh", "-q", "-c", lab.hv.uri, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def answers(lab, machine):
    """libvirtd answers about all domains, this one, and its job, in time."""
    for args in (("list", "--all"), ("domstate", machine.name), ("domjobinfo", machine.name),
                 ("dommemstat", machine.name)):
        done = subprocess.run(["virsh", "-q", "-c", lab.hv.uri, *args], capture_output=True, text=True, timeout=ANSWER)
        assert done.returncode == 0, (args, done.stderr)


def waits_in_open():
    """A thread of libvirtd waits for the other end of a pipe."""
    with open("/run/libvirtd.pid") as f:
        pid = int(f.read())
    for wchan in glob.glob(f"/proc/{pid}/task/*/wchan"):
        try:
            with open(wchan) as f:
                if f.read() in ("wait_for_partner", "fifo_open"):
                    return True
        except OSError:
            pass  # the thread has ended
    return False


def save_memory(lab, machine, pipe, *options):
    """libvirt writes the guest's memory into the pipe, as in a snapshot, and switches no disk."""
    return virsh(lab, "snapshot-create-as", machine.name, "--no-metadata", "--atomic", *options, "--memspec",
                 f"file={pipe},snapshot=external", "--diskspec", "vda,snapshot=no")


def given_up(process):
    out, err = process.communicate(timeout=30)
    assert process.returncode != 0, f"libvirt found nothing wrong: {out}"
    return err


@pytest.mark.parametrize("live", [True, False])
def test_before_libvirt_opens_it(lab, machine, live):
    guarded = Guarded(lab.path("one.fifo"))
    machine.serial.mark()
    saving = save_memory(lab, machine, guarded.path, *(["--live"] if live else []))
    try:
        until(waits_in_open, "libvirtd waiting for a reader")
    finally:
        guarded.die()
    given_up(saving)
    answers(lab, machine)
    machine.serial.reach(machine.serial.ticks(1).ram + 2)
    guarded.finish()


def left_of(stream):
    """Bytes still to come after these last ones of QEMU's stream, once its description of the devices has begun."""
    at = stream.find(b'\x00\x06')
    while at >= 0:
        if stream[at + 6:at + 8] == b'{"':
            return struct.unpack_from(">I", stream, at + 2)[0] - (len(stream) - at - 6)
        at = stream.find(b'\x00\x06', at + 1)
    return None


def read_stream(path):
    """Reads a save image but for the last bytes of QEMU's stream, which are in the pipe then, and is gone: libvirt has
    written all, and comes back once more for the header. Returns False if it has been faster."""
    stream, left = b"", None
    with open(path, "rb", buffering=0) as pipe:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PAGE)  # the description is longer
        while left is None:
            stream = stream[-PAGE:] + pipe.read(PAGE)
            left = left_of(stream)
        while left > REST:
            left -= len(pipe.read(min(PAGE, left - REST)))
        while in_pipe(pipe) < REST:  # and no longer: libvirt comes back in milliseconds
            pass
        return in_pipe(pipe) == REST


def in_pipe(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def hang_between(lab, machine, live, paths):
    """libvirtd is between its two visits to the pipe, and waits for a reader: the guest stands still. Returns the pipe
    and the virsh that waits."""
    for path in paths:
        guarded = Guarded(path)
        machine.serial.mark()
        saving = save_memory(lab, machine, guarded.path, *(["--live"] if live else []))
        if read_stream(guarded.path):
            try:
                until(waits_in_open, "libvirtd waiting for a reader")
            except TimeoutError:
                guarded.die()
                raise
            return guarded, saving
        guarded.die()  # it lost its reader in the midst of the header
        saving.communicate(timeout=30)
        guarded.finish()
    raise AssertionError("libvirtd has always been faster")


@pytest.mark.parametrize("live", [True, False])
def test_between_libvirts_two_visits(lab, machine, live):
    """The guest stands still there until libvirt goes on. What it thinks of its header depends on whether that was in
    the pipe before the guard was gone; nobody asks it."""
    guarded, saving = hang_between(lab, machine, live, [lab.path(f"{attempt}.fifo") for attempt in range(10)])
    guarded.die()
    saving.communicate(timeout=30)
    answers(lab, machine)
    machine.serial.reach(machine.serial.ticks(1).ram + 2)
    machine.serial.undisturbed()
    guarded.finish()


@pytest.mark.parametrize("live", [True, False])
def test_guard_is_killed_too(lab, machine, live):
    """Then libvirtd waits, and so does whoever asks it about the domain, until a daemon is there again, which reads the
    pipe before it asks anything."""
    pipe = os.path.join(machine.root, "Virtual Machines", machine.config().guid, "save.fifo")
    lab.daemon.kill()
    guarded, saving = hang_between(lab, machine, live, [pipe] * 10)
    try:
        guarded.process.kill()
        guarded.process.wait(30)
        guarded.die()
        assert waits_in_open()
    finally:
        lab.daemon.start()
    saving.communicate(timeout=30)  # it found a reader, who keeps nothing
    answers(lab, machine)
    machine.serial.reach(machine.serial.ticks(1).ram + 2)
    machine.serial.undisturbed()
    os.unlink(pipe)
    machine.snapshot("after")


def test_restore(lab, machine):
    machine.stop()
    guarded = Guarded(lab.path("back.fifo"))
    loading = virsh(lab, "restore", guarded.path)
    try:
        until(waits_in_open, "libvirtd waiting for a writer")
    finally:
        guarded.die()
    given_up(loading)
    answers_off = subprocess.run(["virsh", "-q", "-c", lab.hv.uri, "domstate", machine.name], capture_output=True,
                                 text=True, timeout=ANSWER)
    assert answers_off.stdout.strip() == "shut off"
    guarded.finish()


@pytest.mark.parametrize("mode", ["live", "paused"])
@pytest.mark.parametrize("msec", [0, 30] if os.environ.get("VMSNAP_FAULT") == "quick" else [0, 10, 20, 30, 45, 60])
def test_killed(lab, machine, mode, msec):
    """SIGKILL of the real one, that long after it made the pipe. libvirt may be anywhere."""
    machine.serial.mark()
    pipe = os.path.join(machine.root, "Virtual Machines", machine.config().guid, "save.fifo")
    kill = lab.daemon.kill_when(lambda: os.path.exists(pipe) or not lab.daemon.alive(), msec / 1000)
    lab.daemon.run_ctl("snapshot", "create", machine.name, "--name", "never", "--mode", mode)
    kill.join()
    assert not lab.daemon.alive()
    until(lambda: not waits_in_open(), "libvirtd coming back from the pipe", ANSWER)
    answers(lab, machine)
    until(lambda: machine.state() == "running", "the guest running again", ANSWER)
    machine.serial.reach(machine.serial.ticks(1).ram + 2)
    machine.serial.undisturbed()
    lab.daemon.start()
    machine.snapshot("after")
