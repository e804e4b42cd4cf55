# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one clear message, exit code other than 0, nothing changed."""
import glob
import hashlib
import os
import subprocess

import pytest
from vmsnaptest.daemon import FAILED, REFUSED, USAGE, CtlError
from vmsnaptest.machine import PREFIX
from vmsnaptest.small import fill, mount
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # what is refused before libvirt is asked, and full disks

GUID = "01234567-89AB-CDEF-0123-456789ABCDEF"

# Every verb that names a VM (or domain), with what else it needs
VM_VERBS = [
    ("vm", "show"), ("vm", "start"), ("vm", "shutdown"), ("vm", "stop"), ("vm", "save"), ("vm", "resume"),
    ("vm", "delete", "--yes"), ("vm", "console"), ("vm", "rename", "VM", PREFIX + "new"), ("vm", "adopt"),
    ("snapshot", "create"), ("snapshot", "list"), ("snapshot", "tree"), ("snapshot", "show", "VM", GUID),
    ("snapshot", "rename", "VM", GUID, "new"), ("snapshot", "apply", "VM", GUID, "--discard"),
    ("snapshot", "revert", "VM", "--discard"), ("snapshot", "delete", "VM", GUID),
    ("savestate", "info", "VM", GUID), ("savestate", "verify", "VM", "--saved"),
    ("savestate", "extract", "VM", GUID, "--ram", "/nonexistent/ram"), ("savestate", "diff", "VM", GUID, GUID),
]
SNAPSHOT_VERBS = [
    ("snapshot", "show"), ("snapshot", "rename", "VM", "SNAPSHOT", "new"),
    ("snapshot", "apply", "VM", "SNAPSHOT", "--discard"), ("snapshot", "delete"),
    ("savestate", "info"), ("savestate", "verify"), ("savestate", "diff", "VM", "SNAPSHOT", "SNAPSHOT"),
    ("savestate", "extract", "VM", "SNAPSHOT", "--ram", "/nonexistent/ram"),
]


def _words(verb, vm, snapshot=None):
    """The command line of a verb, its VM and SNAPSHOT put in place."""
    words = list(verb)
    if "VM" not in words:
        words[2:2] = ["VM"]
    if snapshot and "SNAPSHOT" not in words:
        words[3:3] = ["SNAPSHOT"]
    return [{"VM": vm, "SNAPSHOT": snapshot}.get(word, word) for word in words]


def fingerprint(store):
    """What is in a store, byte for byte, and how: the index aside, which is a cache."""
    found = {}
    for where, _, names in os.walk(store):
        found[where] = os.stat(where).st_mode
        for name in names:
            path = os.path.join(where, name)
            if not name.startswith("index.sqlite"):
                status = os.lstat(path)
                with open(path, "rb") as f:
                    found[path] = (status.st_mode, status.st_uid, status.st_size, status.st_ino,
                                   hashlib.sha256(f.read()).hexdigest())
    return found


def refuse(lab, *words, codes=(REFUSED,)):
    """The command fails with one clear message and leaves the store and the domains as they were."""
    before, domains = fingerprint(lab.daemon.store), lab.hv.domains()
    with pytest.raises(CtlError) as refused:
        lab.ctl(*words)
    error = refused.value
    assert error.code in codes, str(error)
    assert len(error.message) > 15 and "\n" not in error.message.strip(), f"one clear message, not {error.message!r}"
    assert "errno" not in error.message.lower() and "(null)" not in error.message
    assert not lab.daemon.intents()
    assert fingerprint(lab.daemon.store) == before and lab.hv.domains() == domains
    return error


@pytest.fixture
def machine(lab):
    """A VM with one snapshot."""
    vm = lab.machine()
    vm.first = vm.snapshot("first")["id"]
    return vm


@pytest.mark.parametrize("verb", VM_VERBS, ids=" ".join)
def test_missing_vm(lab, verb):
    for name in ("nobody", GUID):
        error = refuse(lab, *_words(verb, name))
        assert error.error in ("NoSuchVM", "NoSuchDomain") and name in error.message


@pytest.mark.parametrize("verb", SNAPSHOT_VERBS, ids=" ".join)
def test_missing_snapshot(lab, machine, verb):
    for name in ("no such", GUID, machine.config().guid, "../" + machine.first):
        error = refuse(lab, *_words(verb, machine.name, name))
        assert error.error == "NoSuchSnapshot" and name in error.message


@pytest.mark.parametrize("words", [
    (), ("vm",), ("vm", "fly"), ("snapshot", "create"), ("vm", "list", "more"), ("vm", "list", "--wings"),
    ("vm", "create", "x"), ("vm", "create", "x", "--memory", "lots", "--vcpus", "1", "--disk", "1G"),
    ("vm", "create", "x", "--memory", "16M", "--vcpus", "-1", "--disk", "1G"),
    ("snapshot", "create", "x", "--live", "--paused"), ("snapshot", "apply", "x", "y", "--discard", "--save-current"),
], ids=lambda words: " ".join(words) or "nothing")
def test_usage(lab, words):
    done = lab.daemon.run_ctl(*words)
    assert done.returncode == USAGE and done.stderr.strip() and not done.stdout


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "-dash", " blank", "new\nline", "x" * 101])
def test_name_of_a_vm(lab, name):
    refuse(lab, "vm", "create", "--memory", "16M", "--vcpus", "1", "--disk", "1G", "--", name, codes=(REFUSED, USAGE))
    assert not glob.glob("/tmp/up*")


@pytest.mark.parametrize("name", ["", " blank", "bell\a", "x" * 101])
def test_name_of_a_snapshot(lab, machine, name):
    refuse(lab, "snapshot", "create", machine.name, "--name", name, codes=(REFUSED, USAGE))
    refuse(lab, "snapshot", "rename", "--", machine.name, "first", name, codes=(REFUSED, USAGE))


def test_import_of_what_is_not_there(lab):
    path = lab.path("nothing.img")
    error = refuse(lab, "vm", "create", PREFIX + "x", "--memory", "16M", "--vcpus", "1", "--import-disk", path,
                   codes=(REFUSED, FAILED))
    assert path in error.message


def test_import_of_a_broken_image(lab):
    path = lab.path("broken.qcow2")
    with open(path, "wb") as image:
        image.write(b"QFI\xfb\0\0\0\3" + b"\xff" * 1000)
    error = refuse(lab, "vm", "create", PREFIX + "x", "--memory", "16M", "--vcpus", "1", "--import-disk", path,
                   codes=(REFUSED, FAILED))
    assert path in error.message


@pytest.mark.parametrize("harm", ["truncated", "not XML", "another version", "a way out"])
def test_broken_xml_of_a_snapshot(lab, machine, harm):
    """The damaged document is named; other snapshots and the VM itself go on."""
    second = machine.snapshot("second")["id"]
    path = os.path.join(machine.root, "Snapshots", machine.first + ".xml")
    with open(path) as document:
        whole = document.read()
    disk = machine.snapshot_config(machine.first).disks[0].pathname
    broken = {"truncated": whole[:len(whole) // 2], "not XML": "no XML at all\n",
              "another version": whole.replace(">256<", ">1024<"),
              "a way out": whole.replace(f">{disk}<", ">../../etc/passwd<")}[harm]
    assert broken != whole
    lab.check_at_end = False
    lab.daemon.stop()
    with open(path, "w") as document:
        document.write(broken)
    lab.daemon.start()
    error = refuse(lab, "snapshot", "apply", machine.name, machine.first, "--discard", codes=(REFUSED, FAILED))
    assert machine.first in f"{error.message} {error.parameters.get('file')}"
    assert lab.ctl("vm", "show", machine.name)["vm"]["problems"]
    lab.ctl("snapshot", "apply", machine.name, second, "--discard")
    with open(path) as document:
        assert document.read() == broken  # nobody but its owner removes or mends it


def test_broken_xml_of_a_vm(lab, machine):
    """The daemon starts, says which file is broken, serves the others."""
    other = lab.machine("other")
    path = machine.config().path
    lab.check_at_end = False
    lab.daemon.stop()
    with open(path, "w") as document:
        document.write("<configuration>")
    lab.daemon.start()
    refuse(lab, "snapshot", "create", machine.name, codes=(REFUSED, FAILED))
    assert any(path in problem for problem in lab.daemon_call("GetStatus")["problems"])
    other.snapshot("first")


@pytest.mark.parametrize("verb", [("snapshot", "create"), ("snapshot", "revert", "VM", "--discard"), ("vm", "start")],
                         ids=" ".join)
def test_working_disk_that_is_gone(lab, machine, verb):
    path = machine.config().disks[0].path
    os.rename(path, lab.path("hidden"))
    if verb[1] == "revert":  # nothing of the old working disk is needed for it: it may mend the VM
        lab.ctl(*_words(verb, machine.name))
    else:
        error = refuse(lab, *_words(verb, machine.name), codes=(REFUSED, FAILED))
        assert os.path.basename(path) in f"{error.message} {error.parameters.get('file')}"
        os.rename(lab.path("hidden"), path)
    lab.ctl("snapshot", "revert", machine.name, "--discard")


@pytest.mark.parametrize("verb", [("snapshot", "create"), ("snapshot", "apply", "VM", "first", "--discard"),
                                  ("snapshot", "revert", "VM", "--discard"), ("vm", "start")], ids=" ".join)
def test_base_disk_that_is_gone(lab, machine, verb):
    path = machine.snapshot_config(machine.first).disks[0].path
    os.rename(path, lab.path("hidden"))
    error = refuse(lab, *_words(verb, machine.name), codes=(REFUSED, FAILED))
    assert path in f"{error.message} {error.parameters.get('file')}"
    os.rename(lab.path("hidden"), path)
    lab.ctl("snapshot", "revert", machine.name, "--discard")


def test_save_state_that_is_damaged(lab):
    """Apply finds out before it stops the present machine."""
    machine = lab.machine(start=True)
    machine.serial.reach(4)
    snapshot = machine.snapshot("first")["id"]
    state = machine.snapshot_config(snapshot).state
    os.truncate(state, os.path.getsize(state) // 2)
    lab.check_at_end = False
    error = _refuse_running(lab, machine, "snapshot", "apply", machine.name, snapshot, "--discard")
    assert state in f"{error.message} {error.parameters.get('file')}"


def _refuse_running(lab, machine, *words):
    """As refuse() for a VM that runs: its working disk changes all the time, and it must run on undisturbed."""
    machine.serial.mark()
    before, disks = machine.snapshots(), machine.config().disk_paths()
    with pytest.raises(CtlError) as refused:
        lab.ctl(*words)
    assert refused.value.code in (REFUSED, FAILED) and len(refused.value.message) > 15
    machine.serial.wait(lambda line: line.kind == "tick", "a tick")
    machine.serial.undisturbed()
    assert machine.state() == "running"
    assert machine.snapshots() == before and machine.config().disk_paths() == disks
    return refused.value


@pytest.mark.parametrize("part", ["Snapshots", "Virtual Machines"])
@pytest.mark.parametrize("verb", [("snapshot", "create"), ("snapshot", "apply", "VM", "first", "--discard"),
                                  ("vm", "rename", "VM", PREFIX + "new")], ids=" ".join)
def test_directory_that_is_read_only(lab, machine, part, verb):
    """We are root, whom no mode stops: a read-only bind mount does."""
    directory = os.path.join(machine.root, part)
    mount("--bind", directory, directory)
    try:
        mount("-o", "remount,ro,bind", directory)
        if not (part == "Snapshots" and verb[1] == "rename"):
            error = refuse(lab, *_words(verb, machine.name), codes=(REFUSED, FAILED))
            assert directory in f"{error.message} {error.parameters.get('file')}"
    finally:
        subprocess.run(["umount", directory], check=True)
    lab.ctl("snapshot", "apply", machine.name, "first", "--discard")


@pytest.mark.parametrize("leave", [0, 64 << 10, 1 << 20])
def test_full_disk_running(small, leave):
    """No room for memory: refused or failed, the guest runs on where it was; with room again all works."""
    machine = small.machine(start=True)
    machine.serial.reach(4)
    ballast = fill(small, leave)
    _refuse_running(small, machine, "snapshot", "create", machine.name, "--name", "none")
    assert not small.daemon.intents()
    os.unlink(ballast)
    small.check()
    snapshot = machine.snapshot("room")["id"]
    machine.serial.ticks(3)
    machine.revert()
    machine.check_resumed_from(snapshot)


@pytest.mark.parametrize("verb", [("snapshot", "create"), ("snapshot", "apply", "VM", "first", "--discard")], ids=" ".join)
def test_full_disk_off(small, verb):
    machine = small.machine()
    machine.snapshot("first")
    ballast = fill(small, 0)
    refuse(small, *_words(verb, machine.name), codes=(REFUSED, FAILED))
    os.unlink(ballast)
    small.check()
    small.ctl(*_words(verb, machine.name))


def test_full_disk_create(small):
    ballast = fill(small, 0)
    refuse(small, "vm", "create", PREFIX + "x", "--memory", "16M", "--vcpus", "1", "--import-disk", small.images.boot,
           codes=(REFUSED, FAILED))
    os.unlink(ballast)
    small.check()


def test_no_daemon(lab):
    lab.daemon.stop()
    done = lab.daemon.run_ctl("vm", "list")
    assert done.returncode == 3 and lab.daemon.socket in done.stderr


@pytest.mark.parametrize("options", [("--uri", "qemu:///embed?root=" + "/deep" * 20), ("--store", "/proc/nowhere"), ("--socket", "/proc/x/d.sock"),
                                     ("--config", "/nonexistent.conf"), ("--wings",)], ids=" ".join)
def test_daemon_that_cannot_start(lab, options):
    """It says why and ends with another code than 0."""
    lab.daemon.stop()
    done = subprocess.run(lab.daemon.command(*options), capture_output=True, text=True, timeout=30,
                          env=lab.daemon.environment())
    assert done.returncode not in (0, -6, -11) and done.stderr.strip()


def test_second_daemon_on_the_same_store(lab):
    done = subprocess.run(lab.daemon.command("--socket", lab.path("other.sock")), capture_output=True, text=True,
                          timeout=30, env=lab.daemon.environment())
    assert done.returncode != 0 and lab.daemon.store in done.stderr
    assert lab.daemon_call("GetStatus")["connected"]


def is_locked(path):
    """Whether somebody holds QEMU's lock of those who write."""
    with open("/proc/locks") as locks:
        held = [line.split() for line in locks if f":{os.stat(path).st_ino} " in line]
    return any(int(words[-2]) <= 101 and (words[-1] == "EOF" or int(words[-1]) >= 101) for words in held)


def test_disk_that_somebody_else_writes(lab, machine):
    """Off here, but its guest runs on another host, or a tool has the disk: what would seal or remove it is refused."""
    (d,) = machine.config().disks
    with subprocess.Popen(["qemu-io", "-f", d.format, d.path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL):
        until(lambda: is_locked(d.path), "qemu-io to open the disk")
        for words in (("snapshot", "create", machine.name), ("snapshot", "apply", machine.name, "first", "--discard"),
                      ("snapshot", "revert", machine.name, "--discard"), ("vm", "delete", machine.name, "--yes")):
            error = refuse(lab, *words)
            assert d.target in error.message and "writes" in error.message
    machine.snapshot("now")
    machine.apply("first")
