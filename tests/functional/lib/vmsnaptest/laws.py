# SPDX-License-Identifier: GPL-2.0-or-later
"""The laws of a store (vmsnap-format(5)), checked from outside: files by the file system, images by their
headers, documents by xmllint and the schema, domains by libvirt. Nothing here asks the daemon."""
import glob
import os
import stat
import subprocess

from . import disk
from .document import GUID, Document, domain_disks
from .where import SCHEMA_DIR

STORE_FILES = (".reserve", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "index.sqlite.corrupt",
               "index.sqlite.corrupt-wal", "index.sqlite.corrupt-shm")


class Broken(AssertionError):
    """Which laws do not hold, one line each."""


def check_store(store, hv=None):
    """Checks all of a store while no operation is under way; hv also checks the domains."""
    problems = []
    for name in sorted(os.listdir(store)):
        path = os.path.join(store, name)
        if os.path.isdir(path) and not os.path.islink(path):
            problems += _check_vm(path, hv)
        elif name not in STORE_FILES:
            problems.append(f"{path}: belongs to nothing")
    if problems:
        raise Broken("\n".join(problems))


def _check_vm(root, hv):
    problems = []
    configs = glob.glob(os.path.join(glob.escape(root), "Virtual Machines/*.xml"))
    if len(configs) != 1:
        return [f"{root}: {len(configs)} configurations of a VM"]
    problems += _check_schema(configs)
    snapshot_files = glob.glob(os.path.join(glob.escape(root), "Snapshots/*.xml"))
    problems += _check_schema(snapshot_files)
    if problems:
        return problems
    vm = Document(configs[0], root)
    snapshots = [Document(path, root) for path in snapshot_files]
    problems += _check_documents(vm, snapshots)
    problems += _check_images(vm, snapshots)
    if not problems:
        problems += _check_hidden(vm)
    problems += _check_files(vm, snapshots)
    if hv:
        problems += check_domain(vm, hv)
    return problems


def _check_schema(paths):
    if not paths:
        return []
    done = subprocess.run(["xmllint", "--noout", "--nonet", "--relaxng", os.path.join(SCHEMA_DIR, "configuration.rng"),
                           *paths], capture_output=True, text=True)
    return [] if done.returncode == 0 else [line for line in done.stderr.split("\n") if line]


def _check_documents(vm, snapshots):
    problems = []
    guids = {s.guid for s in snapshots}
    for doc in [vm, *snapshots]:
        where = doc.path
        if os.path.basename(where) != f"{doc.guid}.xml" or not GUID.fullmatch(doc.guid):
            problems.append(f"{where}: holds GUID {doc.guid}")
        if doc.vm_guid != vm.guid:
            problems.append(f"{where}: is of VM {doc.vm_guid}")
        if doc.parent and doc.parent not in guids:
            problems.append(f"{where}: its parent {doc.parent} is not there")
        if stat.S_IMODE(os.stat(where).st_mode) & 0o077:
            problems.append(f"{where}: others may read it")
        for pathname in doc.pathnames:
            inside = os.path.normpath(os.path.join(doc.root, pathname)).startswith(doc.root + "/")
            if os.path.isabs(pathname) == inside or ".." in pathname.split("/"):
                problems.append(f"{where}: pathname {pathname} (relative inside, absolute outside)")
        if doc.state and not os.path.isfile(doc.state):
            problems.append(f"{where}: its save state {doc.state} is not there")
        elif doc.state and doc.state_size and os.path.getsize(doc.state) != int(doc.state_size):
            problems.append(f"{where}: its save state {doc.state} has another size")
        if doc.memory and not os.path.isfile(doc.memory):
            problems.append(f"{where}: its memory {doc.memory} is not there")
        problems += [f"{where}: its copy {copy} is not there" for copy in doc.firmware_copies if not os.path.isfile(copy)]
    problems += [f"{s.path}: says it is a {s.kind}" for s in snapshots if s.kind != "Snapshots"]
    return problems


def _check_images(vm, snapshots):
    problems = []
    sealed = {d.path: d for s in snapshots for d in s.disks}
    for doc in [vm, *snapshots]:
        for d in doc.disks:
            if not os.path.exists(d.path):
                problems.append(f"{doc.path}: disk {d.path} is not there")
                continue
            problems += _check_chain(d.path, vm.root)
    for d in vm.disks:
        if d.path in sealed:
            problems.append(f"{d.path}: working disk and sealed disk at once")
    for path, d in sealed.items():
        if not os.path.exists(path):
            continue
        found = os.stat(path)
        if not d.seal:
            problems.append(f"{path}: no seal in the snapshot")
        elif stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) != d.seal:
            problems.append(f"{path}: changed since it was sealed: {(found.st_size, found.st_mtime_ns)} is not {d.seal}")
        if path.startswith(vm.root + "/") and stat.S_IMODE(found.st_mode) != 0o440:
            problems.append(f"{path}: sealed, mode {stat.S_IMODE(found.st_mode):o}")
    return problems


def _check_chain(path, root):
    problems = []
    while path:
        backing, name, image_format = disk.backing(path)
        if not name:
            break
        if not image_format:
            problems.append(f"{path}: names backing {name} without a format")
        ours, inside = path.startswith(root + "/"), backing.startswith(root + "/")
        if ours and inside == os.path.isabs(name):  # others name theirs as they like, another VM relative
            problems.append(f"{path}: backing name {name} (relative inside, absolute outside)")
        if not os.path.exists(backing):
            problems.append(f"{path}: what backs it is not there: {backing}")
            break
        path = backing
    return problems


def hidden(root):
    """{path: [paths of the images over it]} of images that no document names and others need, of one VM."""
    named, above = set(), {}
    for name in glob.glob(os.path.join(glob.escape(root), "Virtual Machines/*.xml")) + \
            glob.glob(os.path.join(glob.escape(root), "Snapshots/*.xml")):
        for d in Document(name, root).disks:
            named.add(os.path.realpath(d.path))
            paths = disk.chain_paths(d.path)
            for over, under in zip(paths, paths[1:]):
                above.setdefault(under, set()).add(over)
    return {path: sorted(over) for path, over in above.items() if path not in named}


def pauses(root):
    """The marks that merging is paused."""
    return glob.glob(os.path.join(glob.escape(root), "Virtual Machines/*.paused"))


def _check_hidden(vm):
    """Nobody may write to an image that others need."""
    problems = []
    for path in hidden(vm.root):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if path.startswith(os.path.realpath(vm.root) + "/") and mode != 0o440:
            problems.append(f"{path}: hidden, mode {mode:o}")
    return problems


def _check_files(vm, snapshots):
    """Law 2: every file is referenced, no temporary file, no intent record is left."""
    referenced = {vm.path} | {s.path for s in snapshots}
    referenced.add(os.path.join(os.path.dirname(vm.path), vm.guid + ".paused"))
    for doc in [vm, *snapshots]:
        for d in doc.disks:
            if os.path.exists(d.path):
                referenced.update(disk.chain_paths(d.path))
        referenced.update(path for path in (doc.state, doc.memory) if path)
        referenced.update(doc.firmware_copies)
        referenced.update(doc.firmware_live)
    problems = []
    for where, dirs, names in os.walk(vm.root):
        if where == vm.root and "Quarantine" in dirs:
            dirs.remove("Quarantine")  # what a repair put away
        for name in names:
            path = os.path.join(where, name)
            if not any(path == r or path.startswith(r + "/") for r in referenced):
                problems.append(f"{path}: orphan")
        if os.path.dirname(where) == os.path.join(vm.root, "Snapshots"):
            owners = {vm.guid} | {s.guid for s in snapshots}
            if os.path.basename(where) not in owners:
                problems.append(f"{where}: folder of nothing")
    return problems


def check_domain(vm, hv):
    """libvirt's view of a VM: a normal domain on the working disks, nothing of libvirt's own kept."""
    problems = []
    domain = hv.domain(vm.name)
    if not domain:
        return [f"{vm.name}: not defined"]
    if domain.snapshots:
        problems.append(f"{vm.name}: libvirt snapshots {domain.snapshots}")
    if domain.state == "paused":
        problems.append(f"{vm.name}: paused")
    for title, xml in (("live", domain.xml), ("persistent", domain.defined)):
        if xml is None:
            problems.append(f"{vm.name}: no {title} document")
            continue
        disks = domain_disks(xml)
        for d in vm.disks:
            source, image_format = disks.get(d.target, (None, None))
            if source is None or os.path.realpath(source) != os.path.realpath(d.path):
                problems.append(f"{vm.name}: {title} disk {d.target} is {source}, not {d.path}")
            elif image_format != d.format:
                problems.append(f"{vm.name}: {title} disk {d.target} has format {image_format}, not {d.format}")
    return problems
