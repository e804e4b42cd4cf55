#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures vmsnap beside virsh, in the same run on the same machine, and prints the ratios.

  disk only  guest pause and total time of a disk-only snapshot beside `virsh snapshot-create-as --disk-only
             --no-metadata --atomic`, interleaved runs, medians (ratio at most 1.0 wanted)
  list       `vmsnapctl snapshot list` as a whole process beside `virsh snapshot-list` (at most 1.0 wanted)
  background, live, paused
             pause, total time and bytes on disk of a snapshot with memory (a guest of --ram MiB, four fifths of
             it filled) beside `virsh snapshot-create-as --memspec`, live and paused, interleaved; the first
             one of a guest, which holds all, and a later one, which holds what has changed; background_parts
             is QEMU's own stop, suspend to running, and what of it is whose
  save       vm save and vm start beside `virsh save` and `virsh restore` (at most 1.0 wanted)
  merge      what deleting a snapshot copies, until the image is merged away: a VM that is off beside bare qemu-img commit
             and rebase, a running one beside `virsh blockcommit` (at most 1.1 wanted)
  depth      random reads and writes over chains of 1 to 64 images, before and after the policy acted
  rss        the daemon's RSS after 1,000 operations (under 32 MiB wanted) and how much it grew over the last half

The pause is the longest silence of a guest that says something each half millisecond, as heard from outside:
that counts whatever held it up, and for both tools alike. Always ends with 0 unless it cannot run."""
import argparse
import bisect
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../functional/lib"))

import merge  # noqa: E402
from vmsnaptest import disk, varlink  # noqa: E402
from vmsnaptest.fixtures import build  # noqa: E402
from vmsnaptest.hypervisor import DRIVERS  # noqa: E402
from vmsnaptest.lab import Lab, make_base  # noqa: E402
from vmsnaptest.machine import PREFIX  # noqa: E402
from vmsnaptest.wait import until  # noqa: E402
from vmsnaptest.where import program  # noqa: E402


class Listener:
    """Hears a guest (talk.s) that says something each half millisecond; knows when it was silent."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.heard = []  # seconds since 1970
        threading.Thread(target=self._listen, daemon=True).start()
        until(lambda: len(self.heard) > 100, "the guest talking")

    def _listen(self):
        while self.socket.recv(4096):
            self.heard.append(time.time())

    def silences(self, spans):
        """For each (begin, end): the longest time in it, in seconds, for which nothing was heard."""
        found = []
        for begin, end in spans:
            first, last = bisect.bisect(self.heard, begin), bisect.bisect(self.heard, end)
            near = self.heard[max(first - 1, 0):last + 1]
            found.append(max(b - a for a, b in zip(near, near[1:])))
        return found


def timed(*command):
    """Runs it; returns the (begin, end) of the whole process in seconds since 1970."""
    began = time.time()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return began, time.time()


def lengths(spans):
    return [end - begin for begin, end in spans]


def median_ms(values):
    return round(statistics.median(values) * 1000, 2)


def pair(ours, theirs):
    """A row of the result: medians in milliseconds and their ratio."""
    a, b = median_ms(ours), median_ms(theirs)
    return {"ours_ms": a, "virsh_ms": b, "ratio": round(a / b, 3) if b else None, "runs": len(ours)}


def talker(lab, name, ram=16):
    """A domain that talks on a UNIX socket, not managed yet; of a large one most of the RAM is filled first."""
    base, talk, raw = lab.path(f"{name}.qcow2"), lab.path(f"{name}.sock"), lab.path(f"{name}.raw")
    build.talk(raw, touch=0 if ram < 64 else ram * 4 // 5)
    disk.convert(raw, "raw", base, "qcow2")
    xml = lab.domain_xml(name, [(base, "qcow2")], memory=ram)
    xml = re.sub(r"<serial type='file'>.*?</serial>", f"<serial type='unix'><source mode='bind' path='{talk}'/></serial>", xml)
    lab.define(xml)
    lab.virsh("start", PREFIX + name)
    return talk


def disk_only(lab, runs):
    """Each tool on a guest of its own, in turns, so that whatever the machine does meets both. What a guest
    does when nothing happens to it is measured too: no pause below that can be seen."""
    listeners = [Listener(talker(lab, name)) for name in ("ours", "theirs")]
    ours, theirs = PREFIX + "ours", PREFIX + "theirs"
    lab.ctl("vm", "adopt", ours)
    a, b, idle = [], [], []
    for n in range(runs):
        a.append(timed(program("vmsnapctl"), "--socket", lab.daemon.socket, "--quiet", "snapshot", "create", ours,
                       "--no-memory", "--name", f"run {n}"))
        b.append(timed("virsh", "-q", "-c", lab.hv.uri, "snapshot-create-as", theirs, f"run{n}", "--disk-only", "--atomic",
                       "--no-metadata"))
        idle.append(timed("sleep", "0.05"))
    pause = pair(listeners[0].silences(a), listeners[1].silences(b))
    pause["idle_ms"] = median_ms(listeners[0].silences(idle))
    return {"disk_only_total": pair(lengths(a), lengths(b)), "disk_only_pause": pause}


def allocated(path):
    return os.stat(path).st_blocks * 512


def state_bytes(lab, name, snapshot):
    state = lab.ctl("savestate", "info", name, snapshot)["saveState"]
    return allocated(state["path"]) + allocated(state["memoryPath"])


def take_both(lab, vm, mode, spans, sizes):
    """A snapshot of mode without one before it, and one that need only hold what has changed; removes both."""
    for key in (mode, f"later {mode}"):
        spans[key].append(timed(program("vmsnapctl"), "--socket", lab.daemon.socket, "--quiet", "snapshot", "create", vm,
                                "--mode", mode, "--name", key))
        sizes[key].append(state_bytes(lab, vm, key))
    lab.ctl("snapshot", "delete", vm, mode, "--subtree")
    lab.merged()


def take_virsh(lab, vm, mode, number, spans, sizes):
    image = lab.path("memory.image")
    flags = ["--live"] if mode == "virsh live" else []
    spans[mode].append(timed("virsh", "-q", "-c", lab.hv.uri, "snapshot-create-as", vm, f"{mode} {number}",
                             "--memspec", f"file={image},snapshot=external", "--atomic", "--no-metadata",
                             "--diskspec", f"vda,file={lab.path(f'{mode[6:]}{number}.qcow2')}", *flags))
    sizes[mode].append(allocated(image))
    os.unlink(image)


def pause_parts(log):
    """What QEMU's own stop in background captures consists of, by the daemon's notes: medians, and the longest stop."""
    rows = re.findall(r"background capture: .*?suspend (\d+) firmware (\d+) disks (\d+) .*?stopped (\d+) us,.*? down (\d+) us",
                      log)
    names = ("suspend_ms", "firmware_ms", "disk_switch_ms", "stopped_ms", "devices_and_write_protect_ms")
    columns = [[int(us) / 1e6 for us in column] for column in zip(*rows)]
    return {**dict(zip(names, map(median_ms, columns))), "longest_stop_ms": round(max(columns[3]) * 1000, 2), "runs": len(rows)}


def with_memory(lab, runs, ram):
    """Each mode of ours and of virsh on two guests that are alike; who begins changes from run to run."""
    listeners = [Listener(talker(lab, name, ram)) for name in ("mine", "virshs")]
    mine, virshs = PREFIX + "mine", PREFIX + "virshs"
    lab.ctl("vm", "adopt", mine)
    beside = {"background": "virsh live", "live": "virsh live", "paused": "virsh paused"}
    spans = {key: [] for mode in beside for key in (mode, f"later {mode}", beside[mode])}
    sizes = {key: [] for key in spans}
    for n in range(runs):
        for ours in (True, False) if n % 2 else (False, True):
            for mode in beside if ours else ("virsh live", "virsh paused"):
                if ours:
                    take_both(lab, mine, mode, spans, sizes)
                else:
                    take_virsh(lab, virshs, mode, n, spans, sizes)
    found = {}
    for mode in beside:
        theirs = spans[beside[mode]]
        for key, name in ((mode, mode), (f"later {mode}", f"{mode}_later")):
            pause = pair(listeners[0].silences(spans[key]), listeners[1].silences(theirs))
            found[name] = {**pair(lengths(spans[key]), lengths(theirs)),
                           "pause_ours_ms": pause["ours_ms"], "pause_virsh_ms": pause["virsh_ms"],
                           "mib": round(statistics.median(sizes[key]) / (1 << 20), 1), "virsh_mib": sizes[beside[mode]][-1] >> 20}
    found["background_parts"] = pause_parts(lab.daemon.log())
    found.update(saving(lab, runs, mine, virshs, lab.path("memory.image")))
    for name in (mine, virshs):
        lab.virsh("destroy", name)
    return found


def saving(lab, runs, mine, virshs, image):
    """Each tool saves and loads its guest, then the other one does; who begins changes from run to run, because the
    one that follows finds less memory that the host has backed already. Both write to a file that was not there."""
    ctl = (program("vmsnapctl"), "--socket", lab.daemon.socket, "--quiet", "vm")
    virsh = ("virsh", "-q", "-c", lab.hv.uri)
    tools = {"ours": ((*ctl, "save", mine), (*ctl, "start", mine)),
             "virsh": ((*virsh, "save", virshs, image), (*virsh, "restore", image))}
    saved, loaded = {name: [] for name in tools}, {name: [] for name in tools}
    for n in range(runs):
        for name in sorted(tools, reverse=n % 2):
            saved[name].append(timed(*tools[name][0]))
            loaded[name].append(timed(*tools[name][1]))
            if os.path.exists(image):
                os.unlink(image)
    return {"save": pair(lengths(saved["ours"]), lengths(saved["virsh"])),
            "resume": pair(lengths(loaded["ours"]), lengths(loaded["virsh"]))}


def listing(lab, runs):
    """Both list the same number of snapshots."""
    ours = lab.machine("listed")
    base = lab.path("listed-theirs.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "4M"], check=True)
    lab.define(lab.domain_xml("listedtheirs", [(base, "qcow2")]))
    theirs = ours.name + "theirs"
    for n in range(10):
        ours.snapshot(f"s{n}")
        lab.virsh("snapshot-create-as", theirs, f"s{n}")
    a, b = [], []
    for _ in range(runs):
        a.append(timed(program("vmsnapctl"), "--socket", lab.daemon.socket, "snapshot", "list", ours.name))
        b.append(timed("virsh", "-c", lab.hv.uri, "snapshot-list", theirs))
    return {"list": pair(lengths(a), lengths(b))}


def memory(lab, operations):
    """RSS of the daemon over many operations: half of them change the store, half only look."""
    machine = lab.machine("many")
    first = machine.snapshot("first")["id"]
    sizes = []
    with varlink.Connection(lab.daemon.socket) as connection:
        for n in range(operations):
            if n % 10 == 0:
                made = connection.call("CreateSnapshot", vm=machine.name, name="one of many")["snapshot"]["id"]
            elif n % 10 == 1:
                connection.call("ApplySnapshot", vm=machine.name, snapshot=first, present="discard")
                connection.call("DeleteSnapshot", vm=machine.name, snapshot=made)
            elif n % 2:
                connection.call("ListSnapshots", vm=machine.name)
            else:
                connection.call("GetVM", vm=machine.name)
            if n % (operations // 10 or 1) == 0:
                sizes.append(lab.daemon.rss())
    sizes.append(lab.daemon.rss())
    return {"rss": {"operations": operations, "mib": round(sizes[-1] / (1 << 20), 1),
                    "grown_in_last_half_kib": (sizes[-1] - sizes[len(sizes) // 2]) // 1024}}


def main():
    parser = argparse.ArgumentParser(description="measure vmsnap beside virsh")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--runs", type=int, default=21, help="runs of each tool (default 21)")
    parser.add_argument("--ram", type=int, default=1024, help="MiB of the guests whose memory is taken (default 1024)")
    parser.add_argument("--memory-runs", type=int, default=6, help="runs of those (default 6)")
    parser.add_argument("--merge", type=int, default=512, help="MiB that a merge copies (default 512)")
    parser.add_argument("--merge-runs", type=int, default=4, help="runs of those, an even number (default 4)")
    parser.add_argument("--operations", type=int, default=1000, help="operations for the daemon's memory")
    args = parser.parse_args()
    base = make_base()
    images = SimpleNamespace(boot=os.path.join(base, "boot.img"), talk=os.path.join(base, "talk.img"))
    build.boot(images.boot)
    build.talk(images.talk)
    hv = DRIVERS["system"](base)
    figures = {}
    try:
        hv.start()
        lab = Lab(hv, images)
        lab.check_at_end = False
        lab.daemon.start()
        try:
            figures.update(disk_only(lab, args.runs))
            figures.update(listing(lab, args.runs))
            figures.update(with_memory(lab, args.memory_runs, args.ram))
            figures.update(merge.measure(lab, args.merge_runs, args.merge))
            figures.update(memory(lab, args.operations))
            until(lambda: not lab.daemon.intents(), "operations to end")
        finally:
            lab.finish(failed=False)
    finally:
        hv.stop()
        subprocess.run(["rm", "-rf", base], check=True)
    for name, row in figures.items():
        print(f"{name:16} " + "  ".join(f"{key} {value}" for key, value in row.items()))
    if args.json:
        with open(args.json, "w") as out:
            json.dump(figures, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
