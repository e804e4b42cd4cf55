# SPDX-License-Identifier: GPL-2.0-or-later
"""Merging beside bare qemu-img and virsh, and what the depth of a chain costs. Used by bench.py."""
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


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def fill(path, mib, at):
    """mib MiB of data from the at-th MiB on."""
    for first in range(at, at + mib, 64):
        run("qemu-io", "-f", "qcow2", "-c", f"write -q -P 0x5a {first}M {min(64, at + mib - first)}M", path)


def settle(*paths):
    """Before what is measured: all is on disk, and what will be read is in memory, for both alike."""
    os.sync()
    for path in paths:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass


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


def bare(lower, upper, commit):
    """The same on copies of the images, by hand."""
    base = disk.chain_paths(lower)[1]
    copies = [path + ".copy" for path in (lower, upper)]
    for path, copy in zip((lower, upper), copies):
        shutil.copy(path, copy)
        os.chmod(copy, 0o600)
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, copies[0])
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", copies[0], copies[1])
    settle(*copies)
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
            theirs.append(bare(lower, upper, way == "commit"))
            settle(lower, upper)
            ours.append(merge(lab, machine, upper if way == "commit" else lower))
            lab.ctl("vm", "delete", machine.name, "--force", "--yes")
        found[f"merge_{way}"] = row(ours, theirs)
    return found


def live(lab, runs, mib):
    """A running VM: its working disk goes into the image below, beside `virsh blockcommit`."""
    ours, theirs = [], []
    for n in range(runs):
        machine, lower, upper = grown(lab, f"live{n}", 2 * mib, mib)
        lab.ctl("vm", "start", machine.name)
        other, theirs_lower, theirs_upper = grown(lab, f"virsh{n}", 2 * mib, mib)
        lab.ctl("vm", "start", other.name)
        os.chmod(theirs_lower, 0o600)  # virsh does not know that it is sealed
        settle(lower, upper, theirs_lower, theirs_upper)
        ours.append(merge(lab, machine, upper))
        began = time.time()
        run("virsh", "-q", "-c", lab.hv.uri, "blockcommit", other.name, "vda", "--base", theirs_lower, "--active", "--pivot",
            "--wait")
        theirs.append(time.time() - began)
        for name in (machine.name, other.name):
            lab.virsh("destroy", name)
    return {"merge_live_commit": row(ours, theirs)}


def image_bench(path, *more):
    """Seconds that qemu-img needs for 4 KiB requests all over a disk."""
    said = subprocess.run(["qemu-img", "bench", "-f", "qcow2", "-c", "20000", "-d", "1", "-s", "4096", "-S", "1130496", *more,
                           path], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"in ([0-9.]+) seconds", said).group(1))


def chain(place, depth):
    """A disk of `depth` images, each with its share of the data; returns the top."""
    above = None
    for n in range(depth):
        path = os.path.join(place, f"{depth}-{n}.qcow2")
        if above:
            run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", "-F", "qcow2", "-b", above,
                path)
        else:
            disk.create(path, "qcow2", "1G")
        fill(path, max(128 // depth, 1), n * max(128 // depth, 1))
        above = path
    return above


def depths(lab):
    """Reads and writes over chains as they are, and over what the policy makes of the longest: 24 images."""
    found = {}
    place = lab.path("depths")
    os.mkdir(place)
    for depth in DEPTHS:
        top = chain(place, depth)
        read = image_bench(top)
        found[f"depth_{depth}"] = {"read_s": read, "write_s": image_bench(top, "-w")}
    shutil.rmtree(place)
    return found


def measure(lab, runs, mib):
    found = off(lab, runs, mib)
    found.update(live(lab, runs, mib))
    until(lambda: not lab.daemon.intents(), "operations to end")
    found.update(depths(lab))
    return found
