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
from vmsnaptest.daemon import FOUND, REFUSED, CtlError
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
