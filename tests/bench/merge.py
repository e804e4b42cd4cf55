# SPDX-License-Identifier: GPL-2.0-or-later
"""Merging beside bare qemu-img and virsh, and what the depth of a chain costs. Used by bench.py."""
import mmap
import os
import re
import shutil
import statistics
import subprocess
import time

from vmsnaptest import disk
from vmsnaptest.machine import PREFIX, Machine
from vmsnaptest.wait import until
from vmsnaptest.where import program

DEPTHS = (1, 8, 24, 64)
FILLED = 128  # MiB that are in a chain, however long it is


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def fill(path, mib, at):
    """mib MiB of data from the at-th MiB on."""
    for first in range(at, at + mib, 64):
        run("qemu-io", "-f", "qcow2", "-c", f"write -q -P 0x5a {first}M {min(64, at + mib - first)}M", path)


def settle(mib, *paths):
    """Before what is measured: all is on disk, what will be read is in memory, and there is memory for mib MiB to be
    written, for both alike. In a virtual machine memory that was not used for a while comes from the host first: that
    takes several times as long as the copying, and would meet now the one and now the other."""
    os.sync()
    for path in paths:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
    with mmap.mmap(-1, mib * 3 // 2 << 20) as memory:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1


def row(ours, theirs):
    a, b = statistics.median(ours) * 1000, statistics.median(theirs) * 1000
    return {"ours_ms": round(a, 2), "bare_ms": round(b, 2), "ratio": round(a / b, 3), "runs": len(ours)}


def grown(lab, name, below, above):
    """A VM of two disk images of its own over a base: the lower one sealed by the snapshot "last", the upper one its
    working disk; `below` and `above` MiB are in them. Returns the machine, the lower and the upper path."""
    image = lab.path(f"{name}.qcow2")
    disk.create(image, "qcow2", f"{below + above + 64}M")
    lab.ctl("vm", "create", PREFIX + name, "--memory", "16M", "--vcpus", "1", "--import-disk", image)
    lab.ctl("snapshot", "create", PREFIX + name, "--name", "first")
    machine = Machine(lab, PREFIX + name, lab.path(f"{name}.log"))
    lower = machine.config().disks[0].path
    fill(lower, below, 0)
    lab.ctl("snapshot", "create", PREFIX + name, "--name", "last")
    upper = machine.config().disks[0].path
    fill(upper, above, below)
    return machine, lower, upper


def until_gone(path):
    """Returns when: looked at each millisecond, so that looking does not slow down what is measured."""
    while os.path.exists(path):
        time.sleep(0.001)
    return time.time()


def merge(lab, machine, gone):
    """Deletes the snapshot; returns how long it took until the image was merged away."""
    began = time.time()
    run(program("vmsnapctl"), "--socket", lab.daemon.socket, "--quiet", "snapshot", "delete", machine.name, "last", "--yes")
    return until_gone(gone) - began


def bare(lower, upper, commit, mib):
    """The same on copies of the images, by hand; mib MiB are copied."""
    base = disk.chain_paths(lower)[1]
    copies = [path + ".copy" for path in (lower, upper)]
    for path, copy in zip((lower, upper), copies):
        shutil.copy(path, copy)
        os.chmod(copy, 0o600)
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, copies[0])
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", copies[0], copies[1])
    settle(mib, *copies)
    began = time.time()
    if commit:
        run("qemu-img", "commit", "-q", "-f", "qcow2", "-d", copies[1])
    else:
        run("qemu-img", "rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, copies[1])
    took = time.time() - began
    for copy in copies:
        os.unlink(copy)
    return took


def off(lab, runs, mib):
    """A VM that is off: the cheaper way is chosen by the sizes."""
    found = {}
    for way, below, above in (("commit", 2 * mib, mib), ("pull", mib, 2 * mib)):
        ours, theirs = [], []
        for n in range(runs):
            machine, lower, upper = grown(lab, f"{way}{n}", below, above)
            theirs.append(bare(lower, upper, way == "commit", mib))
            settle(mib, lower, upper)
            ours.append(merge(lab, machine, upper if way == "commit" else lower))
            lab.ctl("vm", "delete", machine.name, "--force", "--yes")
        found[f"merge_{way}"] = row(ours, theirs)
    return found


def block_commit(lab, machine, lower, upper):
    """As merge(), by virsh; then removes what it leaves, as ours does, so that whoever comes next finds as much free."""
    began = time.time()
    run("virsh", "-q", "-c", lab.hv.uri, "blockcommit", machine.name, "vda", "--base", lower, "--active", "--pivot", "--wait")
    took = time.time() - began
    os.unlink(upper)
    return took


def live(lab, runs, mib):
    """A running VM: its working disk goes into the image below, beside `virsh blockcommit`, which looks at what
    it waits for each half second only. Who begins changes from run to run."""
    tools = {"ours": lambda lab, machine, lower, upper: merge(lab, machine, upper), "virsh": block_commit}
    took = {tool: [] for tool in tools}
    for n in range(runs):
        made = {tool: grown(lab, f"{tool}{n}", 2 * mib, mib) for tool in tools}
        for machine, *_ in made.values():
            lab.ctl("vm", "start", machine.name)
        os.chmod(made["virsh"][1], 0o600)  # virsh does not know that it is sealed
        for tool in sorted(tools, reverse=n % 2):
            settle(mib, *made[tool][1:])
            took[tool].append(tools[tool](lab, *made[tool]))
        for machine, *_ in made.values():
            lab.virsh("destroy", machine.name)
            lab.ctl("vm", "delete", machine.name, "--force", "--yes")
    return {"merge_live_commit": row(took["ours"], took["virsh"])}


def image_bench(path, *more):
    """Seconds that qemu-img needs for 4 KiB requests all over a disk."""
    said = subprocess.run(["qemu-img", "bench", "-f", "qcow2", "-c", "20000", "-d", "1", "-s", "4096", "-S", "1130496", *more,
                           path], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"in ([0-9.]+) seconds", said).group(1))


def random_requests(path):
    """What random reads and writes cost a disk, which is afterwards as it was."""
    aside = path + ".aside"
    shutil.copy(path, aside)
    read, write = image_bench(path), image_bench(path, "-w")
    shutil.copyfile(aside, path)
    os.unlink(aside)
    return read, write


def long_chain(lab, depth):
    """A VM that is off, with a disk of `depth` images: the data is in all but the working disk, which is new."""
    image = lab.path(f"depth{depth}.qcow2")
    disk.create(image, "qcow2", "1G")
    share = FILLED // max(depth - 1, 1)
    lab.ctl("vm", "create", f"{PREFIX}depth{depth}", "--memory", "16M", "--vcpus", "1", "--import-disk", image)
    machine = Machine(lab, f"{PREFIX}depth{depth}", lab.path(f"depth{depth}.log"))
    for n in range(max(depth - 1, 1)):
        fill(machine.config().disks[0].path, share, n * share)
        if depth > 1:
            lab.ctl("snapshot", "create", machine.name, "--name", f"s{n}")
    return machine


def depths(lab):
    """Reads and writes over chains as they grow from snapshots, and over what the policy makes of them: all snapshots
    but the first are deleted and another one is taken, before which what is hidden is merged (max-chain)."""
    found = {}
    for depth in DEPTHS:
        machine = long_chain(lab, depth)
        images = len(disk.chain_paths(machine.config().disks[0].path))
        read, write = random_requests(machine.config().disks[0].path)
        found[f"depth_{depth}"] = {"images": images, "read_s": read, "write_s": write}
        if depth > 2:
            lab.ctl("snapshot", "delete", machine.name, "s1", "--subtree", "--yes")
        lab.ctl("snapshot", "create", machine.name, "--name", "after")
        lab.merged()
        images = len(disk.chain_paths(machine.config().disks[0].path))
        read, write = random_requests(machine.config().disks[0].path)
        found[f"depth_{depth}"].update(images_after=images, read_after_s=read, write_after_s=write)
        lab.ctl("vm", "delete", machine.name, "--force", "--yes")
    return found


def measure(lab, runs, mib):
    found = off(lab, runs, mib)
    found.update(live(lab, runs, mib))
    until(lambda: not lab.daemon.intents(), "operations to end")
    found.update(depths(lab))
    return found
