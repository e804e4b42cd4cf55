# SPDX-License-Identifier: GPL-2.0-or-later
"""What is under way when the daemon dies: one class for each operation in each situation.

prepare() makes the situation, words() is the command that is interrupted, verify() looks at what recovery made
of it: the operation happened wholly or not at all, everything that was there before is whole, the guest is
neither paused nor on a wrong disk. `operation` is the name in `vmsnapd --list-steps`."""
import glob
import os
import sqlite3

from vmsnaptest import laws
from vmsnaptest.daemon import FAILED, FOUND, NO_DAEMON, CtlError
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.fixtures import make_efi
from vmsnaptest.tree import Tree
from vmsnaptest.uefi import after_turn, check_survives_reset, in_step, uefi_machine
from vmsnaptest.wait import until

ALL = []


def scenario(cls):
    ALL.append(cls)
    return cls


class Scenario:
    operation = None
    quick = True  # part of the selection that CI runs
    quick_steps = None  # the steps that CI tries; None: all
    slow = False  # only quick_steps are tried at all; CI only kills it there
    longest = 0.4  # seconds that it takes: within them it is killed at random

    def __init__(self, lab):
        self.lab = lab
        self.machine = None

    @property
    def name(self):
        return self.machine.name

    def prepare(self):
        raise NotImplementedError

    def words(self):
        raise NotImplementedError

    def run(self):
        """Runs the command to its end."""
        self.lab.ctl(*self.words())

    def died(self):
        """The daemon is dead, and not started again yet."""

    def verify(self, done):
        """`done` is True if the command ended well before the daemon could be killed."""
        raise NotImplementedError

    def before_laws(self):
        """What has to be done after a restart, before the laws can hold: nothing, but where prepare() broke them."""

    def check_runs_undisturbed(self):
        """The guest never noticed: no gap since prepare() ended."""
        state = self.machine.state()
        assert state == "running", f"the guest is {state}"
        last = self.machine.serial.lines()[-1:]
        self.machine.serial.reach((last[0].ram if last else 0) + 2)
        self.machine.serial.undisturbed()


class _Create(Scenario):
    operation = "snapshot-create"
    options = ()
    running = True

    def prepare(self):
        self.machine = self.lab.adopted()
        self.base = self.machine.snapshot("base")["id"]
        if self.running:
            self.machine.start()
            self.machine.serial.reach(4)
        self.machine.serial.mark()
        self.before = None if self.running else self.machine.numbers()

    def words(self):
        return ["snapshot", "create", self.name, "--name", "new", *self.options]

    def verify(self, done):
        found = self.machine.snapshots()
        assert set(found) in ({"base"}, {"base", "new"}), set(found)
        assert not done or "new" in found
        if self.running:
            self.check_runs_undisturbed()
        else:
            assert self.machine.numbers() == self.before
        after = self.machine.snapshot("after")["id"]  # the VM can be used
        for name in ("new", "after"):
            guid = found["new"]["id"] if name == "new" and "new" in found else after
            self.machine.apply(guid)
            self.check_came_back(guid)
        self.machine.apply(self.base)
        self.machine.check_boots_with(self.base)

    def check_came_back(self, guid):
        if self.machine.snapshot_config(guid).state:
            self.machine.check_resumed_from(guid)
        else:
            self.machine.check_boots_with(guid)
            self.machine.stop()


@scenario
class CreateOff(_Create):
    running = False


@scenario
class CreateBackground(_Create):
    options = ("--mode", "background")


@scenario
class CreatePaused(_Create):
    options = ("--paused",)


@scenario
class CreateLive(_Create):
    options = ("--live",)
    quick = False


@scenario
class CreateDiskOnly(_Create):
    options = ("--no-memory",)


@scenario
class CreateLiveUefi(Scenario):
    """RAM, NVRAM, TPM and disk are of one instant, the guest survives a reset, and the running one never noticed."""
    operation = "snapshot-create"
    slow = True
    quick_steps = ("capture",)
    longest = 1.5

    def prepare(self):
        self.machine = uefi_machine(self.lab, make_efi(self.lab.images))
        self.machine.ticks(2)

    def words(self):
        return ["snapshot", "create", self.name, "--name", "new", "--live"]

    def verify(self, done):
        found = self.machine.snapshots()
        assert set(found) in (set(), {"new"}) and (not done or found)
        self.check_runs_undisturbed()
        line = self.machine.ticks(1)
        snapshot = found["new"]["id"] if found else self.machine.snapshot("after", "--live")["id"]
        self.machine.ticks(1)
        self.machine.apply(snapshot)
        lines = after_turn(self.machine)
        assert [in_step(entry) for entry in lines] == [in_step(line)] * len(lines)
        check_survives_reset(self.lab, self.machine, lines[-1])


class _GoBack(Scenario):
    """Three snapshots: off, then a with memory, then b with memory, from which now derives; the guest runs."""
    saving = False

    def prepare(self):
        self.machine = self.lab.adopted()
        self.off = self.machine.snapshot("off")["id"]
        self.machine.start()
        self.machine.serial.reach(4)
        self.a = self.machine.snapshot("a")["id"]
        self.machine.serial.ticks(3)
        self.b = self.machine.snapshot("b")["id"]
        self.machine.serial.ticks(3)
        self.machine.serial.mark()
        self.disks_before = self.machine.config().disk_paths()

    target = None  # attribute that holds the GUID to go back to

    def verify(self, done):
        found = self.machine.snapshots()
        extra = set(found) - {"off", "a", "b"}
        assert {"off", "a", "b"} <= set(found) and len(extra) <= (1 if self.saving else 0), set(found)
        guid = getattr(self, self.target)
        self.machine.serial.turned()
        config = self.machine.config()
        went_back = config.disk_paths() != self.disks_before and \
            not (extra and config.parent == found[next(iter(extra))]["id"])
        assert went_back or not done
        if not went_back:
            self.check_runs_undisturbed()
        elif self.machine.snapshot_config(guid).state:
            assert config.parent == guid
            if self.machine.show()["state"] == "saved":
                self.machine.serial.mark()
                self.machine.serial.turned()
                self.machine.vm("start")
            self.machine.check_resumed_from(guid)
        else:
            assert config.parent == guid
            self.machine.check_boots_with(guid)
        for name in sorted(extra):
            self.machine.apply(found[name]["id"])
            self.machine.check_resumed_from(found[name]["id"])
        for guid in (self.a, self.b):
            self.machine.apply(guid)
            self.machine.check_resumed_from(guid)
        self.machine.apply(self.off)
        self.machine.check_boots_with(self.off)


@scenario
class ApplyMemory(_GoBack):
    operation = "snapshot-apply"
    target = "a"

    def words(self):
        return ["snapshot", "apply", self.name, self.a, "--discard"]


@scenario
class ApplyOff(ApplyMemory):
    target = "off"
    quick = False

    def words(self):
        return ["snapshot", "apply", self.name, self.off, "--discard"]


@scenario
class ApplySaving(ApplyMemory):
    saving = True
    quick = False

    def words(self):
        return ["snapshot", "apply", self.name, self.a, "--save-current"]


@scenario
class Revert(_GoBack):
    operation = "snapshot-apply"
    target = "b"
    quick = False

    def words(self):
        return ["snapshot", "revert", self.name, "--discard"]


@scenario
class Delete(Scenario):
    """A leaf of a branch, with memory, goes while the guest runs on another branch."""
    operation = "snapshot-delete"

    def prepare(self):
        self.machine = self.lab.machine(start=True)
        self.machine.serial.reach(4)
        self.a = self.machine.snapshot("a")["id"]
        self.machine.serial.ticks(3)
        self.b = self.machine.snapshot("b")["id"]
        self.machine.apply(self.a)
        self.machine.check_resumed_from(self.a)
        self.machine.serial.mark()

    def words(self):
        return ["snapshot", "delete", self.name, self.b]

    def verify(self, done):
        found = set(self.machine.snapshots())
        assert found in ({"a"}, {"a", "b"}) and (not done or "b" not in found)
        self.check_runs_undisturbed()
        if "b" in found:
            self.machine.apply(self.b)
            self.machine.check_resumed_from(self.b)
        self.machine.apply(self.a)
        self.machine.check_resumed_from(self.a)


class _Merge(Scenario):
    """A snapshot goes, and then what it left is merged by the daemon itself."""
    operation = "merge"

    def words(self):
        return ["snapshot", "delete", self.name, self.victim]

    def failed(self):
        jobs = self.lab.ctl("job", "list")["jobs"]
        return [j for j in jobs if j["operation"] == "merge" and j["state"] == "failed"]

    def ended(self):
        """The daemon died of it, or it is merged, or that failed."""
        if not self.lab.daemon.alive():
            raise CtlError(self.words(), NO_DAEMON, {}, "vmsnapd died")
        try:
            return not self.lab.mergeable() and self.lab.daemon.ready() or self.failed()
        except (CtlError, AssertionError):
            return False

    def run(self):
        super().run()
        until(self.ended, "merges to end")
        failed = self.failed()
        if failed:
            raise CtlError(self.words(), FAILED, {"parameters": {"message": failed[-1]["errorMessage"]}}, "")


class _MergeOff(_Merge):
    """s1 goes; its disk is below that of s2, over which are those of s3 and of now."""
    victim = "s1"
    sizes = (4096, 4096)

    def prepare(self):
        self.tree = Tree(self.lab)
        self.machine = self.tree.machine
        self.tree.snapshot("s0")
        self.tree.snapshot("s1", self.sizes[0])
        self.tree.snapshot("s2", self.sizes[1])
        self.tree.snapshot("s3")
        self.tree.apply("s2")
        self.tree.work()
        self.present = self.tree.present()
        self.images = {name: self.machine.snapshot_config(s["id"]).disks[0].path
                       for name, s in self.machine.snapshots().items()}

    def verify(self, done):
        if "s1" in self.machine.snapshots():
            self.tree.check(self.present)
            self.lab.ctl(*self.words())
        self.tree.forget("s1")
        self.tree.check(self.present)
        assert not laws.hidden(self.machine.root)
        assert [os.path.exists(self.images[name]) for name in ("s1", "s2")] == self.left
        self.tree.apply("s3")
        self.tree.check(self.tree.seen["s3"])


@scenario
class MergePullOff(_MergeOff):
    sizes = (4096, 65536)
    left = [False, True]
    quick_steps = ("unseal", "remove")


@scenario
class MergeCommitOff(_MergeOff):
    sizes = (65536, 4096)
    left = [True, False]
    quick_steps = ("copy", "children", "seal", "define")


class _MergeLive(_Merge):
    def prepare(self):
        self.machine = self.lab.machine(start=True)
        self.machine.serial.reach(4)
        for name in ("s0", "s1", "s2"):
            self.machine.snapshot(name, "--no-memory")
            self.machine.serial.ticks(2)
        self.machine.serial.mark()
        self.seen = self.numbers()

    def numbers(self):
        return {name: self.machine.sealed_numbers(s["id"]) for name, s in self.machine.snapshots().items()}

    def verify(self, done):
        self.check_runs_undisturbed()
        if self.victim in self.machine.snapshots():
            assert self.numbers() == self.seen
            self.lab.ctl(*self.words())
            self.lab.check()
        del self.seen[self.victim]
        assert self.numbers() == self.seen
        self.check_runs_undisturbed()
        ram = self.machine.serial.lines()[-1].ram
        self.machine.stop()
        assert self.machine.numbers()[0] >= ram - 1
        self.lab.check()
        self.machine.start()


@scenario
class MergeLiveBelow(_MergeLive):
    """Both are below the working disk."""
    victim = "s1"
    quick_steps = ("copy",)


@scenario
class MergeLiveWorking(_MergeLive):
    """The working disk goes into the image below it."""
    victim = "s2"
    quick_steps = ("pivot", "commit")


@scenario
class MergePowerCut(MergeLiveWorking):
    """The guest dies with the daemon: whichever of the two images is taken up again, all that it wrote is there."""
    quick_steps = ("pivot",)

    def died(self):
        self.machine.kill_guest()

    def verify(self, done):
        del self.seen[self.victim]
        self.lab.check()
        assert self.victim not in self.machine.snapshots() and self.numbers() == self.seen
        if self.machine.state() == "shutoff":
            assert self.machine.numbers()[0] >= self.machine.serial.lines()[-1].ram - 1
            self.machine.start()
        self.check_continues()

    def check_continues(self):
        ram = self.machine.serial.lines()[-1].ram
        self.machine.serial.reach(ram + 2)


@scenario
class VmCreate(Scenario):
    operation = "vm-create"

    def prepare(self):
        self.machine = Machine(self.lab, PREFIX + "new", self.lab.path("new.log"))

    def words(self):
        return ["vm", "create", self.name, "--memory", "16M", "--vcpus", "1", "--import-disk", self.lab.images.boot,
                "--console-log", self.machine.serial.path]

    def verify(self, done):
        there = [vm["name"] for vm in self.lab.ctl("vm", "list")["vms"]] == [self.name]
        assert there or not done
        if not there:
            assert self.machine.domain() is None and not os.path.exists(os.path.join(self.lab.daemon.store, self.name))
            self.lab.ctl(*self.words())
        self.machine.start()


@scenario
class VmAdopt(Scenario):
    operation = "vm-adopt"

    def prepare(self):
        self.machine = Machine(self.lab, PREFIX + "two", self.lab.path("two.log"))
        self.sources = self.lab.two_disk_images("two")
        self.lab.define(self.lab.domain_xml("two", self.sources))

    def words(self):
        return ["vm", "adopt", self.name]

    def verify(self, done):
        there = [vm["name"] for vm in self.lab.ctl("vm", "list")["vms"]] == [self.name]
        assert there or not done
        assert self.machine.state() == "shutoff" and all(os.path.exists(path) for path, _ in self.sources)
        if not there:
            self.lab.ctl(*self.words())
        self.machine.start()


@scenario
class VmDelete(Scenario):
    operation = "vm-delete"

    def prepare(self):
        self.machine = self.lab.machine()
        self.first = self.machine.snapshot("first")["id"]

    def words(self):
        return ["vm", "delete", self.name, "--force", "--yes"]

    def verify(self, done):
        there = [vm["name"] for vm in self.lab.ctl("vm", "list")["vms"]] == [self.name]
        assert not (there and done)
        if there:
            self.machine.apply(self.first)
            self.machine.check_boots_with(self.first)
            self.machine.stop()
            self.lab.ctl(*self.words())
        assert self.machine.domain() is None
        assert not [n for n in os.listdir(self.lab.daemon.store) if not n.startswith(("index.sqlite", ".reserve"))]


@scenario
class VmRename(Scenario):
    operation = "vm-rename"

    def prepare(self):
        self.machine = self.lab.machine()
        self.first = self.machine.snapshot("first")["id"]

    def words(self):
        return ["vm", "rename", self.name, PREFIX + "new"]

    def verify(self, done):
        old = self.name
        (now,) = [vm["name"] for vm in self.lab.ctl("vm", "list")["vms"]]
        assert now in (old, PREFIX + "new") and (not done or now != old)
        assert self.lab.hv.domains() == [now]
        self.machine.name = now
        self.machine.apply(self.first)
        self.machine.check_boots_with(self.first)


@scenario
class VmSave(Scenario):
    operation = "vm-save"

    def prepare(self):
        self.machine = self.lab.machine(start=True)
        self.machine.serial.reach(4)
        self.first = self.machine.snapshot("first")["id"]
        self.machine.serial.ticks(2)
        self.machine.serial.mark()

    def words(self):
        return ["vm", "save", self.name]

    def verify(self, done):
        state = self.machine.show()["state"]
        assert state in ("saved", "running") and (not done or state == "saved")
        if state == "saved":
            self.machine.vm("start")
        self.check_runs_undisturbed()  # from before the save until after the start, no tick is lost
        self.machine.apply(self.first)
        self.machine.check_resumed_from(self.first)


@scenario
class VmStartSaved(VmSave):
    operation = "vm-resume"

    def prepare(self):
        super().prepare()
        self.machine.vm("save")

    def words(self):
        return ["vm", "start", self.name]

    def verify(self, done):
        super().verify(False)


@scenario
class Repair(Scenario):
    """A VM that is off, with something for each step; a repair that died is done again, and nothing is lost."""
    operation = "repair"
    orphan = b"somebody's only copy\n"

    def prepare(self):
        self.machine = self.lab.machine()
        self.first = self.machine.snapshot("first")["id"]
        self.second = self.machine.snapshot("second")["id"]
        root = self.machine.root
        self.drifted = self.machine.snapshot_config(self.second).disks[0].path
        os.chmod(self.machine.snapshot_config(self.first).disks[0].path, 0o600)
        os.utime(self.drifted)
        os.rmdir(os.path.join(root, "Snapshots", self.first))
        os.mkdir(os.path.join(root, "Snapshots", "0F0F0F0F-1111-4222-8333-444444444444"))
        for name in ("one.bin", "Snapshots/two.bin", ".0F0F0F0F-1111-4222-8333-444444444444.tmp"):
            with open(os.path.join(root, name), "wb") as file:
                file.write(self.orphan)
        self.lab.virsh("undefine", self.name)
        db = sqlite3.connect(os.path.join(self.lab.daemon.store, "index.sqlite"))
        with db:
            db.execute("update snapshot set name = 'other' where name = 'first'")
        db.close()

    def words(self):
        return ["repair", self.name, "--accept-drift", self.drifted]

    def before_laws(self):
        found = {f["id"] for f in self.lab.ctl("check", self.name, codes=(0, FOUND))["findings"]}
        accept = ["--accept-drift", self.drifted] if "seal-drift" in found else []
        done = self.lab.ctl("repair", self.name, *accept)
        assert {f["id"] for f in done["findings"]} == {"quarantined"}
        assert self.lab.ctl("repair", self.name)["repairs"] == []
        self.lab.ctl("check", self.name, "--deep")

    def verify(self, done):
        for name in ("one.bin", "Snapshots/two.bin"):
            (path,) = glob.glob(os.path.join(glob.escape(self.machine.root), "Quarantine/*", name))
            with open(path, "rb") as file:
                assert file.read() == self.orphan
        assert set(self.machine.snapshots()) == {"first", "second"}
        for guid in (self.second, self.first):
            self.machine.apply(guid)
            assert self.machine.numbers() == self.machine.sealed_numbers(guid)
        assert self.machine.state() == "shutoff"
