# SPDX-License-Identifier: GPL-2.0-or-later
"""check finds each of many planted faults by its word and nothing else; repair mends what it says it mends, loses
nothing that could be read before, and has nothing left to do the second time."""
import hashlib
import os
import re
import shutil
import sqlite3
import stat
import subprocess

import pytest
from vmsnaptest.daemon import BUSY, FOUND, REFUSED, USAGE, CtlError
from vmsnaptest.lab import Lab

# It is about files; the domain's side is looked at under both drivers at the end.
only_embed = pytest.mark.parametrize("hv", ["embed"], indirect=True)


class World:
    """A VM with a tree of snapshots, off; a saved VM with one that has memory; a copy of both to go back to."""

    def __init__(self, lab):
        self.lab = lab
        two, one = lab.machine("two"), lab.machine("one")
        two.vm("start")
        self.memory = two.snapshot("memory")["id"]
        two.vm("save")
        self.snaps = {name: one.snapshot(name)["id"] for name in ("root", "a", "b")}
        one.apply("a")
        self.snaps["c"] = one.snapshot("c")["id"]
        self.record = self.interrupted(one)
        self.one, self.root, self.two, self.two_root = one, one.root, two, two.root
        self.backup = lab.path("backup")
        os.mkdir(self.backup)
        for name, root in (("one", self.root), ("two", self.two_root)):
            subprocess.run(["cp", "-a", root, os.path.join(self.backup, name)], check=True)
        self.later = []  # what puts back what is not in a VM directory

    def interrupted(self, machine):
        """The record of an operation that was interrupted; the operation itself is settled."""
        self.lab.daemon.restart("kill-after:snapshot-create.dirs")
        with pytest.raises(CtlError):
            machine.snapshot("never")
        (path,) = self.lab.daemon.intents()
        with open(path, "rb") as file:
            data = file.read()
        self.lab.daemon.wait_end()
        self.lab.daemon.start()
        return data

    def restore(self):
        for undo in reversed(self.later):
            undo()
        self.later.clear()
        for name, root in (("one", self.root), ("two", self.two_root)):
            shutil.rmtree(root, ignore_errors=True)
            subprocess.run(["cp", "-a", os.path.join(self.backup, name), root], check=True)
        self.lab.daemon.ctl("vm", "show", self.one.name)

    # places

    def doc(self, snap=None):
        return self.one.snapshot_config(self.snaps[snap]) if snap else self.one.config()

    def state(self):
        """The document of the snapshot with memory."""
        return self.two.snapshot_config(self.memory)

    def sealed(self, snap):
        return self.doc(snap).disks[0].path

    @property
    def working(self):
        return self.doc().disks[0].path

    def below(self, *names):
        return os.path.join(self.root, *names)

    # deeds

    def edit(self, path, old, new, count=1):
        with open(path) as file:
            text = file.read()
        assert re.search(old, text), f"{old} is not in {path}"
        with open(path, "w") as file:
            file.write(re.sub(old, new, text, count=count))

    def overwrite(self, path, offset, data):
        """Bytes change, the time stamp does not."""
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def rebase(self, name, image_format="qcow2"):
        subprocess.run(["qemu-img", "rebase", "-u", "-b", name, "-F", image_format, self.working], check=True)

    def write(self, *names, data=b"somebody's\n", mode=0o600):
        path = self.below(*names)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    # looks

    def check(self, *words):
        """{(word, severity)} of what is found about the first VM, but infos; and all findings."""
        found = self.lab.ctl("check", *(words or (self.one.name,)), codes=(0, FOUND))["findings"]
        return sorted(f["id"] for f in found if f["severity"] != "info"), found


@pytest.fixture(scope="module")
def world(hv, images):
    lab = Lab(hv, images)
    try:
        lab.daemon.start()
        yield World(lab)
        lab.daemon.stop()
        shutil.rmtree(lab.base)
    finally:
        lab.daemon.kill()
        hv.reset()


@pytest.fixture
def place(world):
    yield world
    world.restore()


GUID = "0F0F0F0F-1111-4222-8333-444444444444"


def guid_mismatch(w):
    os.rename(w.doc("b").path, w.below("Snapshots", GUID + ".xml"))


def unreadable(w):
    path = w.doc("b").path
    os.unlink(path)
    os.mkdir(path)


def wrong_type(w):
    shutil.copy(w.doc().path, w.doc("b").path)


def cycle(w):
    w.edit(w.doc("a").path, f">{w.snaps['root']}<", f">{w.snaps['b']}<")


def two_are_the_same(w):
    other = os.path.join(os.path.dirname(w.root), "copy")
    subprocess.run(["cp", "-a", w.root, other], check=True)
    w.later.append(lambda: shutil.rmtree(other))


def stray(w):
    path = os.path.join(os.path.dirname(w.root), "stray")
    with open(path, "w") as file:
        file.write("somebody's\n")
    w.later.append(lambda: os.unlink(path))


def unmade(w):
    """The making of a VM died, and its record cannot be read."""
    root = os.path.join(os.path.dirname(w.root), "unmade")
    os.makedirs(os.path.join(root, "Virtual Machines"))
    w.later.append(lambda: shutil.rmtree(root))
    with open(os.path.join(root, "Virtual Machines", GUID + ".op"), "w") as file:
        file.write("nothing\n")


def unnamed_backing_format(w):
    with open(w.working, "rb") as file:
        at = file.read(4096).index(b"\xe2\x79\x2a\xca")
    w.overwrite(w.working, at, b"\x01\x02\x03\x04")


def backing_outside(w):
    outside = w.lab.path("outside.qcow2")
    size = os.stat(w.lab.images.boot).st_size
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", outside, str(size)], check=True)
    w.rebase(os.path.relpath(outside, os.path.dirname(w.working)))


def damaged_refcounts(w):
    with open(w.working, "rb") as file:
        head = file.read(104)
    w.overwrite(w.working, int.from_bytes(head[48:56], "big"), b"\0" * 8)


def leaked_cluster(w):
    w.overwrite(w.working, os.path.getsize(w.working), b"")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 128k", w.working], check=True, stdout=subprocess.DEVNULL)
    with open(w.working, "rb") as file:
        head = file.read(104)
        l1 = int.from_bytes(head[40:48], "big")
        file.seek(l1)
        l2 = int.from_bytes(file.read(8), "big") & 0x00fffffffffffe00
    w.overwrite(w.working, l2, b"\0" * 16)  # the entry of the first cluster, with its subclusters


def image_is_directory(w):
    path = w.working
    os.unlink(path)
    os.mkdir(path)


def shrunk(w):
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", "--shrink", w.working, "512k"], check=True)


def shared(w):
    path = w.two.config().path
    w.edit(path, "<pathname[^<]*</pathname>", f'<pathname type="string">{w.working}</pathname>')


def sealed_in_use(w):
    w.edit(w.doc().path, ">" + w.doc().disks[0].pathname + "<", ">" + w.doc("c").disks[0].pathname + "<")


def drift_header(w):
    w.overwrite(w.sealed("b"), 2048, b"other")


def drift_size(w):
    with open(w.sealed("b"), "ab") as file:
        file.write(b"\0" * 512)


def firmware(w, kind, size, there):
    snap = w.snaps["a"]
    name = f"Snapshots/{snap}/{snap}" + ("_VARS.fd" if kind == "nvram" else ".permall")
    w.edit(w.doc("a").path, "</properties>", f"""</properties><firmware><{kind}><copy type="string">{name}</copy>
        <gid type="integer">0</gid><live type="string">/nonexistent/{kind}</live><mode type="integer">384</mode>
        <size type="integer">{size}</size><uid type="integer">0</uid></{kind}></firmware>""")
    if there:
        w.write(*name.split("/"))


def index_differs(w):
    """Somebody edited the database, which has the stamps of the files."""
    w.check()  # it is fresh now
    def rename(old, new):
        db = sqlite3.connect(os.path.join(w.lab.daemon.store, "index.sqlite"))
        with db:
            count = db.execute("update snapshot set name = ? where name = ?", (new, old)).rowcount
        db.close()
        return count
    assert rename("b", "other") == 1
    w.later.append(lambda: rename("other", "b"))


def undefined(w):
    xml = w.lab.virsh("dumpxml", "--inactive", w.one.name)
    w.lab.virsh("undefine", w.one.name)
    w.later.append(lambda: w.lab.define(xml))


def other_disk(w):
    xml = w.lab.virsh("dumpxml", "--inactive", w.one.name)
    w.lab.define(xml.replace(w.working, w.sealed("b")))
    w.later.append(lambda: w.lab.define(xml))


def libvirt_snapshot(w):
    w.lab.virsh("snapshot-create-as", w.one.name, "theirs")
    w.later.append(lambda: w.lab.virsh("snapshot-delete", w.one.name, "theirs", "--metadata"))


def directory_of_somebody(w):
    os.mkdir(w.below("theirs"))
    w.write("theirs", "notes")


def remove(path):
    os.unlink(path)


# (what is planted, the words of what must be found, words for check if not those of the VM)
FAULTS = {
    "unreadable document": (unreadable, ["xml-unreadable"]),
    "truncated document": (lambda w: os.truncate(w.doc("b").path, 300), ["xml-invalid"]),
    "document breaks the schema": (lambda w: w.edit(w.doc("b").path, "<type_id", "<type_ids"), ["xml-invalid"]),
    "VM's document damaged": (lambda w: os.truncate(w.doc().path, 300), ["xml-invalid"]),
    "GUID is not the name": (guid_mismatch, ["xml-guid"]),
    "document of another type": (wrong_type, ["xml-type"]),
    "parent missing": (lambda w: w.edit(w.doc("b").path, f">{w.snaps['a']}<", f">{GUID}<"), ["parent-missing"]),
    "parents in a circle": (cycle, ["parent-cycle"]),
    "absolute pathname": (lambda w: w.edit(w.doc().path, ">" + w.doc().disks[0].pathname + "<", f">{w.working}<"),
                          ["path-absolute"]),
    "two directories of one VM": (two_are_the_same, ["vm-twice"]),
    "something in the store": (stray, ["store"], []),
    "VM that is not whole": (unmade, ["store"], []),
    "image missing": (lambda w: remove(w.sealed("b")), ["image-missing"]),
    "image in the middle missing": (lambda w: remove(w.sealed("a")), ["image-missing"]),
    "working disk is a directory": (image_is_directory, ["image-unreadable"]),
    "backing image missing": (lambda w: w.rebase("none.avhd"), ["backing-missing"]),
    "backing format wrong": (lambda w: w.rebase(os.path.basename(w.sealed("c")), "raw"), ["backing-format"]),
    "backing format not named": (unnamed_backing_format, ["backing-unnamed"]),
    "backing name absolute": (lambda w: w.rebase(w.sealed("c")), ["backing-absolute"]),
    "backing name leads out": (backing_outside, ["backing-outside"]),
    "backing name of a server": (lambda w: w.rebase("nbd://localhost/x", "raw"), ["backing-protocol"]),
    "backs itself": (lambda w: w.rebase(os.path.basename(w.working)), ["backing-loop"]),
    "in another VM's directory": (lambda w: w.rebase(w.two.config().disks[0].path), ["foreign-directory"]),
    "no qcow2": (lambda w: w.overwrite(w.working, 0, b"\0" * 512), ["format"]),
    "header damaged": (lambda w: w.overwrite(w.working, 4, b"\0\0\0\x09"), ["image-damaged"]),
    "refcounts damaged": (damaged_refcounts, ["image-damaged"], ["ONE", "--deep"]),
    "cluster leaked": (leaked_cluster, ["image-leaks"], ["ONE", "--deep"]),
    "overlay smaller": (shrunk, ["overlay-smaller"]),
    "working disk of two VMs": (shared, ["disk-shared"]),
    "sealed disk in use": (sealed_in_use, ["domain-disks", "sealed-in-use"]),
    "sealed disk writable": (lambda w: os.chmod(w.sealed("b"), 0o600), ["seal-mode"]),
    "sealed disk touched": (lambda w: os.utime(w.sealed("b")), ["seal-drift"]),
    "sealed disk longer": (drift_size, ["seal-drift"]),
    "sealed disk's header other": (drift_header, ["seal-drift"]),
    "saved VM's disk used": (lambda w: os.utime(w.two.config().disks[0].path), ["saved-drift"], ["TWO"]),
    "saved VM's state missing": (lambda w: remove(w.two.config().state), ["state-missing"], ["TWO"]),
    "save state missing": (lambda w: remove(w.state().state), ["state-missing"], ["TWO"]),
    "memory missing": (lambda w: remove(w.state().memory), ["memory-missing"], ["TWO"]),
    "save state longer": (lambda w: w.overwrite(w.state().state, os.path.getsize(w.state().state), b"x"),
                          ["state-drift"], ["TWO"]),
    "save state's header damaged": (lambda w: w.overwrite(w.state().state, 8, b"\xff" * 32), ["state-damaged"],
                                    ["TWO"]),
    "memory cut off": (lambda w: os.truncate(w.state().memory, 1 << 20), ["state-damaged"], ["TWO"]),
    "memory flipped": (lambda w: w.overwrite(w.state().memory, 0x7c00, b"\xff" * 512), ["state-damaged"],
                       ["TWO", "--deep"]),
    "NVRAM missing": (lambda w: firmware(w, "nvram", 11, False), ["nvram-missing"]),
    "TPM state missing": (lambda w: firmware(w, "tpm", 11, False), ["tpm-missing"]),
    "NVRAM of another size": (lambda w: firmware(w, "nvram", 999, True), ["firmware-drift"]),
    "orphan image": (lambda w: shutil.copy(w.working, w.below("Snapshots", w.doc().guid, GUID + ".avhd")), ["orphan"]),
    "orphan in the VM directory": (lambda w: w.write("notes"), ["orphan"]),
    "orphan beside the VM's document": (lambda w: w.write("Virtual Machines", "x.bin"), ["orphan"]),
    "orphan of a snapshot": (lambda w: w.write("Snapshots", w.snaps["a"], w.snaps["a"] + ".vsv"), ["orphan"]),
    "directory of somebody": (directory_of_somebody, ["orphan"]),
    "temporary file": (lambda w: w.write("Snapshots", w.doc().guid, f".{GUID}.avhd.tmp"), ["temporary"]),
    "directory of nothing": (lambda w: os.mkdir(w.below("Snapshots", GUID)), ["empty-directory"]),
    "directory missing": (lambda w: os.rmdir(w.below("Snapshots", w.snaps["a"])), ["directory-missing"]),
    "document readable": (lambda w: os.chmod(w.doc("a").path, 0o644), ["document-mode"]),
    "directory writable": (lambda w: os.chmod(w.below("Snapshots"), 0o777), ["directory-mode"]),
    "directory closed": (lambda w: os.chmod(w.below("Snapshots"), 0o700), ["directory-mode"]),
    "working disk open to all": (lambda w: os.chmod(w.working, 0o666), ["image-mode"]),
    "owner": (lambda w: os.chown(w.doc("a").path, 12345, -1), ["owner"]),
    "operation interrupted": (lambda w: w.write("Virtual Machines", w.doc().guid + ".op", data=w.record), ["unfinished"]),
    "record damaged": (lambda w: w.write("Virtual Machines", w.doc().guid + ".op"), ["record-damaged"]),
    "index edited": (index_differs, ["index"]),
    "domain undefined": (undefined, ["domain-missing"]),
    "domain with another disk": (other_disk, ["domain-disks"]),
    "snapshot of libvirt": (libvirt_snapshot, ["libvirt-snapshots"]),
}


def words_of(world, fault):
    words = fault[2] if len(fault) > 2 else ["ONE"]
    return [{"ONE": world.one.name, "TWO": world.two.name}.get(word, word) for word in words]


@only_embed
def test_nothing_is_found(place):
    """In a sound tree there is nothing, not even an info; and nothing was touched by looking."""
    before = tree_of(place.lab.daemon.store)
    assert place.check("--deep") == ([], [])
    assert place.check() == ([], [])
    assert tree_of(place.lab.daemon.store) == before
    done = place.lab.daemon.run_ctl("check")
    assert (done.returncode, done.stdout) == (0, "2 VMs checked, nothing found\n")


# What repair mends; all else it leaves as it is.
MENDED = {"seal-mode", "orphan", "temporary", "empty-directory", "directory-missing", "document-mode", "directory-mode",
          "image-mode", "unfinished", "index", "domain-missing"}


def contents(tree, root):
    """{path below root, or that it had before it was put away: content} of files that say something."""
    found = {}
    for path, (_, file) in tree.items():
        name = re.sub(r"/Quarantine/[^/]+/", "/", os.path.relpath(path, root))
        if file and not re.search(r"\.tmp$|\.op$|/WHENCE.txt$", name):
            found[name] = file
    return found


def check_found(place, words, expected):
    found, findings = place.check(*(words or ["--deep"]))
    assert found == sorted(expected), findings
    for finding in findings:
        assert finding["text"] and finding.get("hint" if finding["repairable"] else "reason")
        assert "file" not in finding or finding["file"].startswith(place.lab.daemon.store)
    done = place.lab.daemon.run_ctl("check", *words)
    assert done.returncode == FOUND and all(f"{word}: " in done.stdout for word in expected)


def check_repair(place, words, expected):
    """What could be read before can be read afterwards, byte for byte; what was told is what was done."""
    store, ctl = place.lab.daemon.store, place.lab.ctl
    vm, deep = words[0], "--deep" in words
    before = tree_of(store)
    told = ctl("repair", vm, "--dry-run", codes=(0, FOUND))
    assert tree_of(store) == before, "a dry run changes nothing"
    assert {r["id"] for r in told["repairs"]} == set(expected) & MENDED
    try:
        done = ctl("repair", vm, codes=(0, FOUND))
    except CtlError as error:
        assert expected[0] in ("vm-twice", "record-damaged") and error.code == REFUSED, str(error)
        assert tree_of(store) == before
        return
    after = tree_of(store)
    assert contents(after, store) == contents(before, store)
    if expected != ["unfinished"]:  # that is settled before the repair begins
        assert done["repairs"] == told["repairs"]
    left = {f["id"] for f in done["findings"] if f["severity"] != "info"}
    assert left == {word for word in expected if word not in MENDED and not deep}
    again = ctl("repair", vm, codes=(0, FOUND))
    assert again["repairs"] == [] and again["findings"] == done["findings"]
    assert tree_of(store) == after, "there is nothing left to do"


@only_embed
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault(place, fault):
    fault[0](place)
    words = words_of(place, fault)
    check_found(place, words, fault[1])
    if words:
        check_repair(place, words, fault[1])


@only_embed
def test_hidden_images(place):
    """Images that belong to no snapshot any more, but are needed: worth a word, no fault."""
    os.unlink(place.doc("root").path)
    os.rmdir(place.below("Snapshots", place.snaps["root"]))
    place.edit(place.doc("a").path, "<parent_id[^<]*</parent_id>", "")
    found, findings = place.check("--deep")
    assert found == [] and [f["id"] for f in findings] == ["hidden"]
    assert place.lab.daemon.run_ctl("check").returncode == 0
    assert place.lab.ctl("repair", place.one.name)["repairs"] == []
    place.lab.merged()  # they can be, after all; not in what is put back now


@only_embed
def test_what_is_named_is_no_orphan(place):
    """A file that a domain of somebody's, or another VM, needs stays where it is."""
    iso, clone = place.write("tools & more.iso"), place.below("Snapshots", place.doc().guid, GUID + ".avhd")
    shutil.copy(place.sealed("b"), clone)
    place.edit(place.two.config().path, "</devices>", f"""<disk type='file' device='cdrom'>
        <source file='{iso.replace("&", "&amp;")}'/><target dev='sdx'/><readonly/></disk></devices>""")
    theirs = place.lab.path("theirs.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", clone, "-F", "qcow2", theirs], check=True)
    place.edit(place.two.config().path, "</disks>", f"""<disk><format type="string">qcow2</format>
        <pathname type="string">{theirs}</pathname><target type="string">vdz</target></disk></disks>""")
    assert place.check() == ([], [])
    assert place.lab.ctl("repair", place.one.name)["repairs"] == []
    assert os.path.exists(iso) and os.path.exists(clone)


@only_embed
def test_links_lead_nowhere(place):
    """What a symbolic link leads to outside is not touched by a repair."""
    outside = place.lab.path("outside")
    os.mkdir(outside, 0o755)
    sealed = place.sealed("b")
    os.rename(sealed, os.path.join(outside, "disk"))
    os.symlink(os.path.join(outside, "disk"), sealed)
    os.chmod(sealed, 0o644)
    os.symlink(outside, place.below("Quarantine"))
    place.write("notes")
    with pytest.raises(CtlError) as error:
        place.lab.ctl("repair", place.one.name)
    assert error.value.error == "Refused" and place.below("Quarantine") in error.value.message
    assert os.path.exists(place.below("notes")) and os.listdir(outside) == ["disk"]
    assert stat.S_IMODE(os.stat(sealed).st_mode) == 0o644
    os.unlink(place.below("Quarantine"))
    shutil.rmtree(outside)


@only_embed
def test_accepting_a_drift(place):
    """The seal of a disk that changed is recorded anew only if its name is said; what that means is told."""
    sealed = place.sealed("b")
    with open(sealed, "ab") as file:
        file.write(b"\0" * 512)
    left = place.lab.ctl("repair", place.one.name, codes=(FOUND,))
    assert left["repairs"] == [] and "fit" in left["findings"][0]["reason"]
    for other in (place.sealed("c"), place.working, "/nonexistent"):
        with pytest.raises(CtlError) as error:
            place.lab.ctl("repair", place.one.name, "--accept-drift", other)
        assert error.value.error == "InvalidArgument" and other in error.value.message
    with pytest.raises(CtlError) as error:
        place.lab.ctl("repair", "--accept-drift", sealed)
    assert error.value.code == USAGE
    with pytest.raises(CtlError):
        place.one.apply("b")
    told = place.lab.ctl("repair", place.one.name, "--accept-drift", sealed, "--dry-run")
    done = place.lab.ctl("repair", place.one.name, "--accept-drift", sealed)
    assert done["repairs"] == told["repairs"] and [r["file"] for r in done["repairs"]] == [sealed]
    assert sealed in done["job"]["warnings"][0]
    assert place.check("--deep") == ([], [])
    xml = place.lab.virsh("dumpxml", "--inactive", place.one.name)
    place.later.append(lambda: place.lab.define(xml))
    place.one.apply("b")


@only_embed
def test_all_at_once(place):
    """Without a name all VMs are meant; with several faults each is found and mended."""
    os.chmod(place.sealed("b"), 0o600)
    os.chmod(place.state().path, 0o644)
    place.write("notes")
    assert place.check("--deep")[0] == ["document-mode", "orphan", "seal-mode"]
    done = place.lab.ctl("repair")
    assert sorted(r["id"] for r in done["repairs"]) == ["document-mode", "orphan", "seal-mode"]
    assert sorted(done["vms"]) == sorted([place.one.name, place.two.name])
    assert [f["id"] for f in done["findings"]] == ["quarantined"]
    (note,) = [os.path.join(where, "WHENCE.txt") for where, _, names in os.walk(place.root) if "WHENCE.txt" in names]
    with open(note) as file:
        assert file.read().endswith("\n\nnotes\n")
    shown = place.lab.daemon.run_ctl("repair", "--dry-run")
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (0, "0 to repair, 0 left")


def check_running(lab, machine):
    """What the guest writes is not in the way, what is planted is found, and mending does not disturb it."""
    first = machine.snapshot("first")["id"]
    machine.serial.mark()
    assert lab.ctl("check", machine.name)["findings"] == []
    deep = lab.ctl("check", machine.name, "--deep")["findings"]
    assert [(f["id"], f["severity"]) for f in deep] == [("image-unchecked", "info")]
    assert deep[0]["file"] == machine.config().disks[0].path
    os.chmod(machine.snapshot_config(first).disks[0].path, 0o600)
    orphan = os.path.join(machine.root, "Snapshots", first, first + "_VARS.fd")
    with open(orphan, "w") as file:
        file.write("somebody's\n")
    found = lab.ctl("check", machine.name, codes=(FOUND,))["findings"]
    assert sorted(f["id"] for f in found) == ["orphan", "seal-mode"]
    done = lab.ctl("repair", machine.name)
    assert len(done["repairs"]) == 2 and not os.path.exists(orphan)
    machine.serial.ticks(3)
    machine.serial.undisturbed()
    machine.snapshot("second")
    shutil.rmtree(os.path.join(machine.root, "Quarantine"))


def check_busy(lab, machine):
    """A VM to which something is being done is told to be busy, and nothing else is said of it."""
    job = lab.ctl("vm", "shutdown", machine.name, "--wait", "--no-wait")["job"]["id"]  # the guest does not listen
    os.chmod(machine.config().path, 0o644)
    found = lab.ctl("check", machine.name)["findings"]
    assert [(f["id"], f["severity"]) for f in found] == [("busy", "info")]
    with pytest.raises(CtlError) as error:
        lab.ctl("repair", machine.name)
    assert error.value.code == BUSY
    left = lab.ctl("repair")
    assert left["repairs"] == [] and [f["id"] for f in left["findings"]] == ["busy"]
    lab.ctl("job", "cancel", job)
    lab.daemon.run_ctl("job", "wait", job)
    assert [r["id"] for r in lab.ctl("repair", machine.name)["repairs"]] == ["document-mode"]


def check_definition(lab, machine):
    """The domain is defined with another disk for its next start; undefined while it runs."""
    xml = lab.virsh("dumpxml", "--inactive", machine.name)
    lab.define(xml.replace(machine.config().disks[0].path, lab.images.boot))
    found = lab.ctl("check", machine.name, codes=(FOUND,))["findings"]
    assert [f["id"] for f in found] == ["domain-behind"]
    lab.virsh("undefine", machine.name)
    found = lab.ctl("check", machine.name, codes=(FOUND,))["findings"]
    assert [f["id"] for f in found] == ["domain-transient"]
    lab.define(xml)
    assert lab.ctl("check", machine.name)["findings"] == []


def test_running(lab):
    """With a guest that runs, under each driver."""
    machine = lab.machine(start=True)
    check_running(lab, machine)
    check_busy(lab, machine)
    check_definition(lab, machine)


def tree_of(root):
    """{path: (mode, size, time, content)} of all but the index."""
    found = {}
    for where, dirs, names in os.walk(root):
        for name in dirs + names:
            path = os.path.join(where, name)
            status = os.lstat(path)
            if name.startswith("index.sqlite"):
                continue
            data = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    data = hashlib.sha256(file.read()).hexdigest()
            found[path] = (status.st_mode, data and (status.st_size, status.st_mtime_ns, data))
    return found
