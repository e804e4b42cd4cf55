# SPDX-License-Identifier: GPL-2.0-or-later
"""Free space: what does not fit is refused before it begins, --force tries it and loses nothing; little space is told."""
import json
import os
import subprocess

import pytest
from vmsnaptest import disk, laws
from vmsnaptest.daemon import DONE, FAILED, LITTLE_SPACE, NO_SPACE_SOON, REFUSED, CtlError
from vmsnaptest.merging import waiting
from vmsnaptest.small import fill, mount
from vmsnaptest.tree import Tree
from vmsnaptest.wait import until

pytestmark = pytest.mark.one_driver  # free space on file systems

MIB = 1 << 20


def files(root):
    """Name, size and time of everything below."""
    found = {}
    for where, _, names in os.walk(root):
        for name in names:
            path = os.path.join(where, name)
            status = os.lstat(path)
            found[os.path.relpath(path, root)] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return found


def refused(lab, machine, *words, writes=()):
    """It is refused with both numbers and a hint; but for what the guest itself writes nothing was changed."""
    before = files(machine.root)
    with pytest.raises(CtlError) as caught:
        lab.ctl(*words)
    error = caught.value
    assert error.code == REFUSED and error.error == "Refused", error
    assert "not enough space" in error.message and "it may need" in error.message and "are free" in error.message
    assert error.message.count("iB") == 2 and lab.daemon.store in error.message
    assert "--force" in error.parameters["hint"]
    after = files(machine.root)
    for path in writes:
        name = os.path.relpath(path, machine.root)
        before.pop(name), after.pop(name)
    assert after == before and not lab.daemon.intents()
    return error


@pytest.mark.parametrize("mode", ["background", "live"])
def test_take_running(small, mode):
    """The memory does not fit: refused; --force is taken back where it fails, and done where there is room after all."""
    machine = small.machine(start=True)
    machine.serial.reach(2)
    working = [d.path for d in machine.config().disks]
    ballast = fill(small, MIB)  # the images fit, what the guest has in its memory does not
    words = ("snapshot", "create", machine.name, "--name", "forced", "--mode", mode)
    error = refused(small, machine, *words, writes=working)
    assert "--no-memory" in error.parameters["hint"]
    with pytest.raises(CtlError) as caught:
        small.ctl(*words, "--force")
    assert caught.value.code == FAILED and "No space left" in caught.value.message
    assert machine.snapshots() == {} and not small.daemon.intents()
    machine.serial.ticks(2)
    os.unlink(ballast)
    small.check()
    fill(small, 26 * MIB)  # less than the worst case, but more than 16 MiB of RAM take
    refused(small, machine, *words, writes=[d.path for d in machine.config().disks])
    snapshot = small.ctl(*words, "--force")["snapshot"]
    assert snapshot["mode"] == mode
    machine.serial.ticks(2)
    machine.revert()
    machine.check_resumed_from(snapshot["id"])


def test_off_and_back(small):
    """Taking and applying with the VM off. What --save-current needs is looked at before the present is saved."""
    machine = small.machine()
    machine.snapshot("first")
    ballast = fill(small, 9 * MIB)
    refused(small, machine, "snapshot", "create", machine.name, "--name", "no")
    refused(small, machine, "snapshot", "apply", machine.name, "first", "--save-current")
    assert set(machine.snapshots()) == {"first"}
    machine.apply("first")  # needs little
    machine.snapshot("forced", "--force")
    small.ctl("snapshot", "apply", machine.name, "first", "--save-current", "--force")
    assert len(machine.snapshots()) == 3
    os.unlink(ballast)
    ballast = fill(small, 256 << 10)
    refused(small, machine, "snapshot", "revert", machine.name, "--discard")
    os.unlink(ballast)
    ballast = fill(small, 0)
    with pytest.raises(CtlError) as caught:
        small.ctl("snapshot", "revert", machine.name, "--discard", "--force")
    assert caught.value.code == FAILED
    os.unlink(ballast)
    small.check()
    machine.revert()


def test_delete(small):
    """Deleting what leaves something to be merged is refused, --force lets the merge wait. What only frees is never
    refused, not even while a merge waits."""
    tree = Tree(small)
    for name in ("s0", "s1", "s2"):
        tree.snapshot(name, 256 << 10)
    tree.apply("s1")
    tree.snapshot("side", 512 << 10)
    tree.apply("s2")
    tree.work()
    present = tree.present()
    name = tree.machine.name
    ballast = fill(small, 0)
    small.merges = False
    tree.delete("side")  # a leaf: its disk goes, nothing is copied
    refused(small, tree.machine, "snapshot", "delete", name, "s1")
    refused(small, tree.machine, "snapshot", "delete", name, "s0", "--subtree")
    small.ctl("snapshot", "delete", name, "s1", "--force")
    tree.forget("s1")
    until(lambda: waiting(small), "the merge to wait")
    assert len(laws.hidden(tree.machine.root)) == 1
    os.unlink(ballast)
    small.merges = True
    tree.check(present)
    assert not laws.hidden(tree.machine.root)


def test_full_disk_is_emptied(small):
    """A disk that is full to the last byte: its largest leaf can be deleted."""
    tree = Tree(small)
    tree.snapshot("s0")
    tree.snapshot("big", MIB)
    tree.apply("s0")
    tree.work()
    present = tree.present()
    os.unlink(os.path.join(small.daemon.store, ".reserve"))
    status(small)  # looks, and puts it aside again
    assert os.path.getsize(os.path.join(small.daemon.store, ".reserve")) == MIB
    ballast = fill(small, 0)
    small.merges = False
    tree.delete("big")
    assert os.statvfs(small.daemon.store).f_bavail * os.statvfs(small.daemon.store).f_frsize > MIB
    os.unlink(ballast)
    small.merges = True
    tree.check(present)


def test_full_disk_is_looked_at(small):
    """What the index has no room for is read from the documents, by a daemon that is started then, too."""
    machine = small.machine()
    machine.snapshot("s0")
    root, store = machine.root, small.daemon.store
    small.daemon.stop()
    os.unlink(os.path.join(store, "index.sqlite"))
    ballast = fill(small, 0)
    small.daemon.start()
    for _ in range(2):
        (vm,) = small.ctl("vm", "list")["vms"]
        assert vm["name"] == machine.name and vm["snapshots"] == 1 and not vm.get("problems")
        assert [s["name"] for s in small.ctl("snapshot", "list", machine.name)["snapshots"]] == ["s0"]
        for where, _, names in os.walk(root):
            for name in names:
                if name.endswith(".xml"):
                    os.utime(os.path.join(where, name))  # the index has to follow
    os.unlink(ballast)
    small.ctl("vm", "list")
    assert os.path.getsize(os.path.join(store, "index.sqlite")) > 0


def test_chain_that_cannot_be_shortened(small):
    """A snapshot does not wait for the room that a merge needs before it: it says so and is taken."""
    with open(small.path("vmsnapd.conf"), "w") as conf:
        conf.write("max-chain = 3\n")
    small.daemon.options = ["--config", small.path("vmsnapd.conf")]
    small.daemon.restart()
    tree = Tree(small)
    tree.snapshot("s0", 256 << 10)
    tree.snapshot("s1", 256 << 10)
    tree.work()
    ballast = fill(small, 24 * MIB)  # a snapshot fits, the merge and what it leaves to others does not
    small.merges = False
    tree.delete("s0", "--force")
    present = tree.present()
    job = small.ctl("snapshot", "create", tree.machine.name, "--name", "s2")["job"]
    assert any("not merged now" in warning and "are free" in warning for warning in job["warnings"])
    tree.seen["s2"], tree.parent["s2"], tree.now = present, "s1", "s2"
    os.unlink(ballast)
    small.merges = True
    tree.check(present)


def test_two_at_once(small, tmp_path):
    """What one operation was promised no other one counts on; when it has ended that is free again."""
    first, second = small.machine("first"), small.machine("second")
    gate = tmp_path / "gate"
    gate.touch()
    small.daemon.restart(fault=f"hold-before:snapshot-create.seal@1:{gate}")
    ballast = fill(small, 30 * MIB)  # enough for one snapshot, which may need 18 MiB
    caller = small.daemon.start_ctl("snapshot", "create", first.name, "--name", "first")
    until(lambda: "held before snapshot-create.seal" in small.daemon.log(), "the first one to stand still")
    before = files(second.root)
    with pytest.raises(CtlError) as caught:
        small.ctl("snapshot", "create", second.name, "--name", "second")
    message = caught.value.message
    assert caught.value.code == REFUSED and "promised to operations under way" in message and message.count("iB") == 3
    assert files(second.root) == before
    small.ctl("snapshot", "create", second.name, "--name", "forced", "--force")
    gate.unlink()
    small.daemon.end_ctl(caller)
    second.snapshot("second")
    assert set(first.snapshots()) == {"first"} and set(second.snapshots()) == {"forced", "second"}
    os.unlink(ballast)


def test_flatten_two_disks(small):
    """Both disks are looked at before anything is done to the first one."""
    machine = small.adopted()
    for number in range(2):
        for d in machine.config().disks:
            disk.write(d.path, d.format, MIB, 640 << 10, number + 1)
        machine.snapshot(f"s{number}")
    ballast = fill(small, 34 * MIB)  # 32 MiB are left to others: it is enough for each disk alone
    refused(small, machine, "disk", "flatten", machine.name, "--to", "s0")
    os.unlink(ballast)
    ballast = fill(small, 37 * MIB)
    small.ctl("disk", "flatten", machine.name, "--to", "s0")
    os.unlink(ballast)


def test_flatten(small):
    tree = Tree(small)
    tree.snapshot("s0", 256 << 10)
    tree.work()
    present = tree.present()
    ballast = fill(small, 16 * MIB)
    refused(small, tree.machine, "disk", "flatten", tree.machine.name)
    small.ctl("disk", "flatten", tree.machine.name, "--force")
    os.unlink(ballast)
    tree.check(present)


def test_other_file_system(lab):
    """The store has room, but the one with the snapshots has not: each file system is looked at on its own."""
    machine = lab.machine()
    machine.snapshot("first")
    lab.ctl("snapshot", "delete", machine.name, "first")
    lab.merged()
    snapshots = os.path.join(machine.root, "Snapshots")
    kept = os.path.join(machine.root, "kept")
    os.rename(snapshots, kept)
    os.mkdir(snapshots)
    mount("-t", "tmpfs", "-o", "size=24m,mode=0711", "vmsnap-test", snapshots)
    try:
        subprocess.run(["cp", "-a", kept + "/.", snapshots], check=True)
        with open(os.path.join(snapshots, "ballast"), "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, 18 * MIB)
        error = refused(lab, machine, "snapshot", "create", machine.name, "--name", "no")
        assert snapshots in error.message
        os.unlink(ballast.name)
        machine.snapshot("room")
    finally:
        lab.daemon.stop()
        until(lambda: subprocess.run(["umount", snapshots], capture_output=True).returncode == 0, "unmounting")
        lab.check_at_end = False


def status(lab):
    """Exit code and file systems of vmsnapctl status."""
    done = lab.daemon.run_ctl("--json", "status")
    reply = json.loads(done.stdout)
    return done.returncode, reply


def lines(lab, word):
    return [line for line in lab.daemon.log().splitlines() if word in line]


@pytest.fixture
def thresholds(small):
    with open(small.path("vmsnapd.conf"), "w") as conf:
        conf.write("space-warning = 30% 16M\nspace-critical = 8M\n")
    small.daemon.options = ["--config", small.path("vmsnapd.conf")]
    small.daemon.restart()
    return small


def test_status_and_log(thresholds):
    """Both thresholds down and up again, by the exit code; each crossing is logged once, however often one looks."""
    lab = thresholds
    code, reply = status(lab)
    (fs,) = reply["fileSystems"]
    assert code == DONE and fs["level"] == "ok" and fs["path"] == lab.daemon.store and reply["problems"] == []
    assert fs["warningBytes"] == 16 * MIB and fs["criticalBytes"] == 8 * MIB and fs["totalBytes"] == 64 * MIB

    def expect(leave, code, level):
        ballast = fill(lab, leave)
        for _ in range(3):
            got, reply = status(lab)
            assert (got, reply["fileSystems"][0]["level"]) == (code, level), reply
            assert len(reply["problems"]) == (level != "ok") and (not reply["problems"] or level in reply["problems"][0])
        os.unlink(ballast)

    expect(15 * MIB, LITTLE_SPACE, "warning")
    ballast = fill(lab, 20 * MIB)
    assert status(lab)[0] == DONE
    os.unlink(ballast)
    expect(5 * MIB, NO_SPACE_SOON, "critical")
    expect(8 * MIB + MIB // 2, NO_SPACE_SOON, "critical")  # not an eighth above it yet
    expect(10 * MIB, LITTLE_SPACE, "warning")
    expect(17 * MIB, LITTLE_SPACE, "warning")
    expect(19 * MIB, DONE, "ok")
    assert len(lines(lab, "space-warning")) == 2 and len(lines(lab, "space-critical")) == 1
    assert len(lines(lab, "enough again")) == 2
    done = lab.daemon.run_ctl("status")
    assert done.returncode == DONE and "Space:" in done.stdout


def test_watched_while_a_guest_runs(thresholds):
    """Nobody asks, a guest runs: the thresholds are seen by the daemon itself, and told to who listens."""
    lab = thresholds
    machine = lab.machine()
    near = fill(lab, 28 * MIB)  # not little, but little enough to be looked at often
    os.rename(near, near + "-stays")
    machine.start()
    ballast = fill(lab, 12 * MIB)
    until(lambda: lines(lab, "space-warning"), "a line in the log", 30.0)
    os.unlink(ballast)
    until(lambda: lines(lab, "enough again"), "another", 30.0)
    stream = lab.daemon.start_ctl("status", "--watch")

    def told():
        return json.loads(stream.stdout.readline())["fileSystem"]

    first = told()
    assert first["level"] == "ok" and first["path"] == lab.daemon.store
    ballast = fill(lab, 4 * MIB)
    level = told()["level"]
    assert (told()["level"] if level == "warning" else level) == "critical"  # it may have been looked at on the way
    os.unlink(ballast)
    assert told()["level"] == "ok"
    assert len(lines(lab, "space-critical")) == 1
    machine.serial.ticks(1)
    lab.daemon.stop()
    assert stream.wait(30) == 3
    stream.stdout.close(), stream.stderr.close()


def test_disk_elsewhere(lab):
    """An adopted VM's disk lies on a file system of its own, which fills up."""
    place = lab.path("m")
    os.mkdir(place)
    mount("-t", "tmpfs", "-o", "size=32m,mode=0711", "vmsnap-test", place)
    try:
        path = os.path.join(place, "disk.img")
        subprocess.run(["cp", lab.images.boot, path], check=True)
        lab.define(lab.domain_xml("two", [(path, "raw")]))
        lab.ctl("vm", "adopt", lab.domain_name("two"))
        code, reply = status(lab)
        levels = {fs["path"]: fs["level"] for fs in reply["fileSystems"]}
        assert levels[place] == "ok" and lab.daemon.store in levels
        with open(os.path.join(place, "ballast"), "wb") as ballast:
            room = os.statvfs(place)
            os.posix_fallocate(ballast.fileno(), 0, room.f_bavail * room.f_frsize - 65536)
        code, reply = status(lab)
        assert code == NO_SPACE_SOON and any(place in problem for problem in reply["problems"])
        lab.ctl("vm", "delete", lab.domain_name("two"), "--yes")
        assert place not in {fs["path"] for fs in status(lab)[1]["fileSystems"]}
        assert disk.sector(path, "raw") is not None
    finally:
        until(lambda: subprocess.run(["umount", place], capture_output=True).returncode == 0, "unmounting")
