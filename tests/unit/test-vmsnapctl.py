#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmsnapctl as a whole process against a daemon that is played by this script."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import unittest

from vmsnapctl_rig import (JOB, MANAGER, PROGRAM, SNAPSHOTS, TIMEOUT, TOP, VM, Daemon, Error, Hangup, Stream,
                           Terminal, environment, run)


class Output(unittest.TestCase):
    def test_tree(self):
        with Daemon(ListSnapshots={"vm": VM, "snapshots": SNAPSHOTS}) as d:
            code, out, err = run(d, "snapshot", "tree", "web01")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(out.splitlines(), [
                "web01",
                "└─ base install            2026-11-21 09:33   off        88 MiB",
                "   ├─ before upgrade       2026-11-21 11:33   memory     412 MiB + 88 MiB",
                "   │  └─ (now)",
                "   └─ other idea           2026-11-21 10:33   disk only  88 MiB"])
            self.assertEqual(d.calls, [("ListSnapshots", {"vm": "web01"}, False)])

    def test_tree_in_ascii(self):
        with Daemon(ListSnapshots={"vm": VM, "snapshots": SNAPSHOTS}) as d:
            by_option = run(d, "snapshot", "tree", "web01", "--ascii")
            by_locale = run(d, "snapshot", "tree", "web01", env={"LC_ALL": "C"})
            self.assertEqual(by_option, by_locale)
            self.assertIn("   |  `- (now)\n", by_option[1])
            self.assertTrue(by_option[1].isascii())

    def test_list_is_newest_last(self):
        with Daemon(ListSnapshots={"vm": VM, "snapshots": SNAPSHOTS}) as d:
            lines = run(d, "snapshot", "list", "web01")[1].splitlines()
            self.assertEqual([re.split(r"  +", line[3:])[0] for line in lines],
                             ["NAME", "base install", "other idea", "before upgrade"])
            self.assertEqual([line[0] for line in lines], [" ", " ", " ", "*"])

    def test_show_vm(self):
        with Daemon(GetVM={"vm": VM}) as d:
            out = run(d, "vm", "show", "web01")[1]
            self.assertRegex(out, r"(?m)^Now: +after 'before upgrade' \(AAAAAAAA")
            self.assertRegex(out, r"(?m)^State: +running$")
            self.assertRegex(out, r"(?m)^Problem: +a sealed disk is gone$")
            self.assertIn("Disk vda:\n  /store/web01/Snapshots/x.avhd  (qcow2, 88 MiB on disk)\n"
                          "    /store/web01/web01.qcow2  (qcow2, 1.0 GiB on disk, 20 GiB for the guest)\n", out)
            self.assertIn("Disk sda, left alone: it is a CD-ROM\n", out)

    def test_lists_of_vms_and_jobs_and_status(self):
        status = {"version": "1", "uri": "qemu:///system", "connected": True, "store": "/store", "vms": 1,
                  "jobsRunning": 0, "startedUSec": 1795250000000000, "problems": ["no swtpm"]}
        with Daemon(ListVMs={"vms": [VM]}, ListJobs={"jobs": [dict(JOB, bytesDone=1, bytesTotal=4)]},
                    GetStatus=status) as d:
            self.assertRegex(run(d, "vm", "list")[1], r"(?m)^web01 +running +3 +before upgrade +-$")
            self.assertRegex(run(d, "job", "list")[1], r"(?m)^17 +create snapshot +web01 +running +memory +25% ")
            self.assertRegex(run(d, "status")[1], r"(?m)^Problem: +no swtpm$")

    def test_disk_chain_and_usage(self):
        def image(name, size, backing=None, **more):
            row = {"path": f"/store/web01/{name}", "format": "qcow2", "allocatedBytes": size << 20, "now": False,
                   "snapshots": [], "snapshotNames": [], "hidden": False, "orphan": False, "outside": False,
                   "shared": False}
            return dict(row, **more, **({"backing": f"/store/web01/{backing}"} if backing else {}))

        images = [image("base", 9, snapshotNames=["one"]), image("a", 3, "base", hidden=True, reason="two\x1bx"),
                  image("b", 1, "a", snapshotNames=["two"]), image("c", 1, "b", orphan=True),
                  image("d", 2, "a", outside=True, snapshotNames=["three", "four"]), image("e", 2, "d", now=True)]
        usage = {"nowBytes": 2 << 20, "snapshotBytes": 12 << 20, "hiddenBytes": 3 << 20, "orphanBytes": 1 << 20,
                 "outsideBytes": 0, "memoryBytes": 0,
                 "snapshots": [{"id": "x", "name": "one", "diskBytes": 9 << 20, "memoryBytes": 0, "freedMinBytes": 0,
                                "freedMaxBytes": 3 << 20, "copiedBytes": 3 << 20},
                               {"id": "y", "name": "two", "diskBytes": 1 << 20, "memoryBytes": 0,
                                "freedMinBytes": 1 << 20, "freedMaxBytes": 1 << 20, "copiedBytes": 0}]}
        with Daemon(GetDiskChains={"disks": [{"target": "vda", "length": 4, "images": images}]},
                    GetDiskUsage={"usage": usage}) as d:
            out = run(d, "disk", "chain", "web01", "--ascii")[1]
            self.assertEqual([re.sub(" {3,}", " # ", line) for line in out.splitlines()], [
                "vda: 4 images under the VM's disk",
                "  base # 9.0 MiB # snapshot 'one'",
                "  a # 3.0 MiB # hidden: two x",
                "  |- b # 1.0 MiB # snapshot 'two'",
                "  |  c # 1.0 MiB # orphan: nothing needs it",
                "  `- /store/web01/d # 2.0 MiB # snapshot 'three', snapshot 'four', outside the VM directory",
                " # e # 2.0 MiB # now",
            ])
            out = run(d, "disk", "usage", "web01")[1]
            self.assertRegex(out, r"(?m)^one +9.0 MiB +0 B +0 B to 3.0 MiB +3.0 MiB$")
            self.assertRegex(out, r"(?m)^two +1.0 MiB +0 B +1.0 MiB +0 B$")
            self.assertRegex(out, r"(?m)^Orphans: +1.0 MiB$")
            self.assertNotIn("outside", out)

    def test_delete_dry_run(self):
        actions = [{"action": "remove", "image": "/store/a.avhd", "why": "unreached", "reason": "r", "live": False,
                    "repointed": 0, "copiedBytes": 0, "freedBytes": 5 << 20, "neededBytes": 0},
                   {"action": "pull", "image": "/store/b.avhd", "dependant": "/store/c.avhd", "why": "w",
                    "reason": "it is less", "live": True, "repointed": 0, "copiedBytes": 2 << 20,
                    "freedBytes": 2 << 20, "neededBytes": 3 << 20},
                   {"action": "commit", "image": "/store/d.avhd", "dependant": "/store/e.avhd", "why": "w",
                    "reason": "it is more", "live": False, "repointed": 2, "copiedBytes": 1 << 20,
                    "freedBytes": 1 << 20, "neededBytes": 1 << 20},
                   {"action": "keep", "image": "/store/f.avhd", "why": "branches", "reason": "two need it",
                    "live": False, "repointed": 0, "copiedBytes": 0, "freedBytes": 0, "neededBytes": 0}]
        plan = {"snapshots": ["x"], "names": ["base install"], "actions": actions, "memoryBytes": 8 << 20,
                "foldedBytes": 1 << 20, "copiedBytes": 4 << 20, "neededBytes": 3 << 20, "availableBytes": 1 << 30,
                "freedMinBytes": 12 << 20, "freedMaxBytes": 15 << 20, "bytesPerSecond": 100 << 20,
                "measured": False, "seconds": 1}
        with Daemon(PlanDelete={"plan": plan}) as d:
            out = run(d, "snapshot", "delete", "web01", "base install", "--dry-run", "--children", "--into-base")[1]
            for line in ("Snapshot 'base install' would be deleted", "  remove  a.avhd (5.0 MiB)",
                         "  merge   b.avhd into c.avhd (pull, 2.0 MiB, while it runs): it is less",
                         "  merge   e.avhd into d.avhd (commit, 1.0 MiB): it is more",
                         "  keep    f.avhd: two need it"):
                self.assertIn(line + "\n", out)
            self.assertRegex(out, r"(?m)^Copied: +4.0 MiB at most, about 1 s at 100 MiB/s, as assumed$")
            self.assertRegex(out, r"(?m)^Freed: +12 MiB to 15 MiB$")
            self.assertEqual([c[:2] for c in d.calls], [
                ("PlanDelete", {"vm": "web01", "snapshot": "base install", "scope": "children", "intoBase": True})])

    def test_savestate(self):
        split = {"form": "split", "path": "/store/a.vsv", "bytes": 1 << 20, "recordedBytes": 1 << 20,
                 "checksum": "00112233445566aa", "memoryPath": "/store/a.bin", "memoryBytes": 16 << 20,
                 "memoryAllocatedBytes": 2 << 20, "parent": "AAAAAAAA-0000-0000-0000-000000000001",
                 "parentName": "base install", "chain": 2, "domain": "web01", "pageBytes": 4096, "dataPages": 512,
                 "zeroPages": 1, "parentPages": 3583, "absentPages": 0, "problems": ["odd"],
                 "blocks": [{"name": "pc.ram", "bytes": 16 << 20, "offset": 0},
                            {"name": "vga.vram", "bytes": 1 << 20, "offset": 16 << 20}]}
        extracted = {"bytes": 16 << 20, "allocatedBytes": 2 << 20, "blocks": split["blocks"]}
        difference = {"pageBytes": 4096, "samePages": 4090, "changedPages": 6, "onlyFirstPages": 0,
                      "onlySecondPages": 0}
        with Daemon(GetSaveState={"saveState": split}, ExtractMemory=Stream([{"job": JOB}, extracted]),
                    VerifySaveState=Stream([{"saveState": split}]),
                    CompareSaveStates=Stream([{"difference": difference}])) as d:
            out = run(d, "savestate", "info", "web01", "--saved")[1]
            self.assertRegex(out, r"(?m)^Memory file: +/store/a.bin \(16 MiB, on disk 2.0 MiB\)$")
            self.assertRegex(out, r"(?m)^Parent: +'base install' \(AAAAAAAA")
            self.assertRegex(out, r"(?m)^Put together: +from 2 save states$")
            self.assertRegex(out, r"(?m)^Data: +512 pages \(2.0 MiB\)$")
            self.assertRegex(out, r"(?m)^Problem: +odd$")
            self.assertRegex(out, r"(?m)^vga.vram +1.0 MiB +0x1000000$")
            self.assertEqual(run(d, "savestate", "verify", "web01", "a\nb")[1], "Save state of snapshot 'a b' is sound\n")
            out = run(d, "savestate", "extract", "web01", "x", "--ram", "here")[1]
            self.assertRegex(out, r"^Memory of snapshot 'x' is in 'here' \(16 MiB, on disk 2.0 MiB\)\n")
            self.assertRegex(run(d, "savestate", "diff", "web01", "x", "y")[1], r"(?m)^Changed: +6 pages \(24 KiB\)$")
            self.assertEqual(run(d, "savestate", "diff", "web01", "x", "--saved", "--quiet")[1], "")
            self.assertEqual([c[:2] for c in d.calls], [
                ("GetSaveState", {"vm": "web01"}), ("VerifySaveState", {"vm": "web01", "snapshot": "a\nb"}),
                ("ExtractMemory", {"vm": "web01", "snapshot": "x", "path": os.path.join(os.getcwd(), "here")}),
                ("CompareSaveStates", {"vm": "web01", "second": "y", "first": "x"}),
                ("CompareSaveStates", {"vm": "web01", "first": "x"})])

    def test_savestate_pack(self):
        flat = {"form": "split", "path": "/store/a.vsv", "recordedBytes": 1, "checksum": "00112233445566aa",
                "memoryPath": "/store/a.bin", "memoryBytes": 16 << 20, "memoryAllocatedBytes": 2 << 20}
        packed = dict(flat, memoryPath="/store/a.binz", memoryPacked=True, memoryAllocatedBytes=1 << 20)
        with Daemon(PackSaveState=Stream([{"job": JOB}, {"saveState": packed}]), GetSaveState={"saveState": packed},
                    UnpackSaveState=Stream([{"saveState": flat}])) as d:
            self.assertEqual(run(d, "savestate", "pack", "web01", "x")[1],
                             "Memory of snapshot 'x' is packed: 1.0 MiB on disk\n")
            self.assertRegex(run(d, "savestate", "info", "web01", "x")[1], r"(?m)^Packed: +yes$")
            self.assertEqual(run(d, "savestate", "unpack", "web01", "x")[1],
                             "Memory of snapshot 'x' is flat: 2.0 MiB on disk\n")
            self.assertEqual([c[:2] for c in d.calls], [(method, {"vm": "web01", "snapshot": "x"}) for method in
                                                        ("PackSaveState", "GetSaveState", "UnpackSaveState")])

    def test_names_do_not_steer_the_terminal(self):
        with Daemon(ListVMs={"vms": [dict(VM, name="\x1b[2Jevil\n")]}) as d:
            out = run(d, "vm", "list")[1]
            self.assertNotIn("\x1b", out)
            self.assertEqual(len(out.splitlines()), 2)

    def test_full_output_is_an_error(self):
        with Daemon(ListVMs={"vms": [VM]}) as d, open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, "vm", "list"], env=environment(d), stdout=full, stderr=subprocess.PIPE,
                                    timeout=TIMEOUT, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"cannot write to standard output", result.stderr)


class Json(unittest.TestCase):
    def test_reply_as_it_came(self):
        reply = {"vm": dict(VM, unknown={"deep": [1, None, True, "ü"]}, memoryBytes=2**63 - 1), "snapshots": SNAPSHOTS}
        with Daemon(ListSnapshots=reply) as d:
            code, out, err = run(d, "--json", "snapshot", "list", "web01")
            self.assertEqual((code, json.loads(out), err), (0, reply, ""))
            self.assertEqual(json.loads(run(d, "snapshot", "tree", "web01", "--json")[1]), reply)

    def test_last_reply_of_a_job(self):
        last = {"snapshot": SNAPSHOTS[0]}
        with Daemon(CreateSnapshot=Stream([{"job": JOB}, {"job": dict(JOB, phase="disks")}, last])) as d:
            code, out, err = run(d, "--json", "snapshot", "create", "web01")
            self.assertEqual((code, json.loads(out), err), (0, last, ""))

    def test_error_reply(self):
        parameters = {"message": "no", "hint": "try", "vm": "web01", "job": "17"}
        with Daemon(GetVM=Error(MANAGER + "VMBusy", **parameters)) as d:
            code, out, err = run(d, "--json", "vm", "show", "web01")
            self.assertEqual(code, 5)
            self.assertEqual(json.loads(out), {"error": MANAGER + "VMBusy", "parameters": parameters})
            self.assertEqual(err, "vmsnapctl: no\n  try\n")


class Failures(unittest.TestCase):
    def test_exit_codes(self):
        for name, expected in {"JobFailed": 1, "BackendError": 1, "VMBusy": 5, "LimitReached": 5, "JobCancelled": 6,
                               "Refused": 7, "NoSuchVM": 7, "SealedDiskChanged": 7, "Unheard": 1}.items():
            with Daemon(StopVM=Error(MANAGER + name, message="because", hint="do this")) as d:
                code, out, err = run(d, "vm", "stop", "web01")
                self.assertEqual((code, out, err), (expected, "", "vmsnapctl: because\n  do this\n"), name)

    def test_permission_denied_names_the_role(self):
        with Daemon(StopVM=Error("org.varlink.service.PermissionDenied")) as d:
            code, _, err = run(d, "vm", "stop", "web01")
            self.assertEqual(code, 4)
            self.assertIn("'admin'", err)

    def test_other_version(self):
        with Daemon(StopVM=Error("org.varlink.service.InvalidParameter", parameter="vm")) as d:
            code, _, err = run(d, "vm", "stop", "web01")
            self.assertEqual(code, 7)
            self.assertIn("'vm' of StopVM", err)

    def test_no_daemon(self):
        code, out, err = run(None, "--socket", "/nonexistent/s", "vm", "list")
        self.assertEqual((code, out), (3, ""))
        self.assertIn("/nonexistent/s", err)

    def test_dead_socket(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as s:
            s.bind(directory + "/s")
            self.assertEqual(run(None, "--socket", directory + "/s", "vm", "list")[0], 3)
            self.assertEqual(run(None, "bridge", "--socket=" + directory + "/s")[0], 3)

    def test_daemon_hangs_up(self):
        for data in b"", b"{\"par", b"no json\0", b"[]\0":
            with Daemon(ListVMs=Hangup(data), StopVM=Stream([{"job": JOB}, Hangup(data)])) as d:
                self.assertEqual(run(d, "vm", "list")[0], 3, data)
                code, _, err = run(d, "vm", "stop", "web01")
                self.assertEqual(code, 3, data)
                self.assertIn("job list", err)

    def test_wrong_command_lines_send_nothing(self):
        with Daemon() as d:
            for words, text in {
                    (): "a command is missing", ("vm",): "needs to be told", ("vm", "lisst"): "Did you mean 'vm list'",
                    ("vm", "show"): "Usage: vmsnapctl vm show VM", ("vm", "list", "--foo"): "no option '--foo'",
                    ("snapshot", "apply", "a", "b"): "--save-current", ("snapshot", "revert", "a"): "--discard",
                    ("snapshot", "revert", "a", "--discard", "--save-current"): "exclude each other",
                    ("snapshot", "create", "a", "--live", "--paused"): "exclude each other",
                    ("vm", "create", "a", "--memory", "1G", "--vcpus", "1"): "needs a disk",
                    ("vm", "create", "a", "--memory", "much", "--vcpus", "1", "--disk", "1G"): "'much' is not a size",
                    ("vm", "create", "a", "--memory", "1G", "--vcpus", "0", "--disk", "1G"): "not a whole number",
                    ("vm", "create", "a", "--memory", "1G", "--vcpus", "1", "--disk", "1G", "--import-format", "raw"):
                    "goes with '--import-disk'",
            }.items():
                code, out, err = run(d, *words)
                self.assertEqual((code, out), (2, ""), words)
                self.assertIn(text, err, words)
            self.assertEqual(d.calls, [])


class Calls(unittest.TestCase):
    def sent(self, answer, *words, cwd=None):
        """The one call that the words make."""
        class Any(dict):
            def __missing__(self, key):
                return answer
        with Daemon() as d:
            d.answers = Any()
            code, _, err = run(d, *words, cwd=cwd)
            self.assertEqual((code, err), (0, ""), words)
            self.assertEqual(len(d.calls), 1)
            return d.calls[0]

    def test_create_vm(self):
        with tempfile.TemporaryDirectory() as directory:
            directory = os.path.realpath(directory)
            sent = self.sent({"vm": VM}, "vm", "create", "web01", "--memory", "1.5G", "--vcpus=2", "--import-disk", "d",
                             "--import-format", "raw", "--cdrom", "/c", "--network", "default", "--uefi", "--tpm",
                             "--console-log", "log", "--notes", "mine", cwd=directory)
            self.assertEqual(sent, ("CreateVM", {
                "name": "web01", "memoryBytes": 3 << 29, "vcpus": 2, "importDisk": directory + "/d",
                "importFormat": "raw", "cdrom": "/c", "network": "default", "uefi": True, "tpm": True,
                "consoleLog": directory + "/log", "notes": "mine"}, True))

    def test_jobs(self):
        for words, method, parameters in (
                ("vm adopt d --convert", "AdoptVM", {"domain": "d", "convert": True}),
                ("vm start v --paused --discard-saved", "StartVM", {"vm": "v", "paused": True, "discardSaved": True}),
                ("vm shutdown v --wait", "ShutdownVM", {"vm": "v", "wait": True}),
                ("vm stop v", "StopVM", {"vm": "v"}), ("vm save v", "SaveVM", {"vm": "v"}),
                ("vm start v --no-sync-time", "StartVM", {"vm": "v", "syncTime": False}),
                ("vm resume v --no-sync-time", "ResumeVM", {"vm": "v", "syncTime": False}),
                ("vm resume v", "ResumeVM", {"vm": "v"}), ("vm rename v w", "RenameVM", {"vm": "v", "name": "w"}),
                ("vm delete v --force", "DeleteVM", {"vm": "v", "force": True}),
                ("snapshot create v", "CreateSnapshot", {"vm": "v"}),
                ("snapshot create v --name n --notes t --no-memory --quiesce", "CreateSnapshot",
                 {"vm": "v", "name": "n", "notes": "t", "memory": False, "quiesce": True}),
                ("snapshot create v --live", "CreateSnapshot", {"vm": "v", "mode": "live"}),
                ("snapshot create v --paused", "CreateSnapshot", {"vm": "v", "mode": "paused"}),
                ("snapshot create v --max-pause 0", "CreateSnapshot", {"vm": "v", "maxPauseMSec": 0}),
                ("snapshot create v --live --max-pause 500", "CreateSnapshot",
                 {"vm": "v", "mode": "live", "maxPauseMSec": 500}),
                ("snapshot apply v s --discard", "ApplySnapshot", {"vm": "v", "snapshot": "s", "present": "discard"}),
                ("snapshot revert v --save-current", "RevertVM", {"vm": "v", "present": "save"}),
                ("snapshot delete v s --yes --subtree", "DeleteSnapshot",
                 {"vm": "v", "snapshot": "s", "scope": "subtree"}),
                ("snapshot apply v s --discard --no-sync-time", "ApplySnapshot",
                 {"vm": "v", "snapshot": "s", "present": "discard", "syncTime": False}),
                ("snapshot revert v --discard --no-sync-time", "RevertVM",
                 {"vm": "v", "present": "discard", "syncTime": False}),
                ("snapshot delete v s --yes", "DeleteSnapshot", {"vm": "v", "snapshot": "s"})):
            reply = {"vm": VM, "snapshot": SNAPSHOTS[0]}
            self.assertEqual(self.sent(reply, *words.split()), (method, parameters, True))
            self.assertEqual(self.sent({"job": JOB}, *words.split(), "--no-wait"),
                             (method, dict(parameters, noWait=True), False))

    def test_plain_calls(self):
        for words, method, parameters in (
                ("snapshot show v s", "GetSnapshot", {"vm": "v", "snapshot": "s"}),
                ("snapshot rename v s n --notes=", "RenameSnapshot",
                 {"vm": "v", "snapshot": "s", "name": "n", "notes": ""}),
                ("job list v", "ListJobs", {"vm": "v"}), ("job cancel 3", "CancelJob", {"id": "3"}),
                ("job pause 3", "PauseJob", {"id": "3"}), ("job resume 3", "ResumeJob", {"id": "3"})):
            self.assertEqual(self.sent({"snapshot": SNAPSHOTS[0], "jobs": []}, *words.split()),
                             (method, parameters, False))

    def test_name_that_is_not_utf8(self):
        with Daemon(GetVM=Error(MANAGER + "NoSuchVM", message="none")) as d:
            self.assertEqual(run(d, "vm", "show", b"a\xff")[0], 7)
            self.assertEqual(d.calls[0][1], {"vm": "a�"})


class Jobs(unittest.TestCase):
    def test_no_progress_without_terminal_and_warnings(self):
        steps = Stream([{"job": JOB}, {"job": dict(JOB, warnings=["the guest was not frozen"])},
                        {"snapshot": SNAPSHOTS[1]}])
        with Daemon(CreateSnapshot=steps) as d:
            self.assertEqual(run(d, "snapshot", "create", "web01"), (
                0, "Snapshot 'before upgrade' taken (memory, 412 MiB + 88 MiB)\n",
                "vmsnapctl: warning: the guest was not frozen\n"))
            self.assertEqual(run(d, "snapshot", "create", "web01", "--quiet")[:2], (0, ""))

    def test_progress_on_a_terminal(self):
        shown = threading.Event()

        def rest(*_):
            shown.wait(TIMEOUT)
            return {"snapshot": SNAPSHOTS[1]}

        with Daemon(CreateSnapshot=Stream([{"job": dict(JOB, bytesDone=1 << 20, bytesTotal=2 << 20)}, rest])) as d:
            t = Terminal(d, "snapshot", "create", "web01")
            t.wait_for(b"memory [############............]  50% 1.0 MiB of 2.0 MiB")
            shown.set()
            code, out = t.end()
            self.assertEqual((code, out.split(" taken")[0]), (0, "Snapshot 'before upgrade'"))
            self.assertTrue(t.seen.endswith(b"\r\x1b[K"), t.seen)

    def test_failure_in_a_stream(self):
        steps = Stream([{"job": JOB}, Error(MANAGER + "JobFailed", message="the disk is full", hint="Make room.")])
        with Daemon(CreateSnapshot=steps) as d:
            self.assertEqual(run(d, "snapshot", "create", "web01"), (
                1, "", "vmsnapctl: the disk is full\n  Make room.\n"))

    def test_no_wait(self):
        with Daemon(StopVM={"job": dict(JOB, state="queued")}) as d:
            self.assertEqual(run(d, "vm", "stop", "web01", "--no-wait"), (0, "job 17 started\n", ""))

    def interrupted(self, end):
        """A run whose job ends by `end`(cancel event); Ctrl-C once."""
        running, cancelled = threading.Event(), threading.Event()

        def first(*_):
            running.set()
            return {"job": JOB}

        def cancel(*_):
            cancelled.set()
            return {}

        d = Daemon(CreateSnapshot=Stream([first, lambda *_: end(cancelled)]), CancelJob=cancel)
        process = subprocess.Popen([PROGRAM, "snapshot", "create", "web01"], env=environment(d),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(running.wait(TIMEOUT))
        process.send_signal(signal.SIGINT)
        return d, process, cancelled

    def test_one_interrupt_cancels(self):
        def end(cancelled):
            cancelled.wait(TIMEOUT)
            return Error(MANAGER + "JobCancelled", message="cancelled")

        d, process, _ = self.interrupted(end)
        with d:
            err = process.communicate(timeout=TIMEOUT)[1].decode()
            self.assertEqual(process.returncode, 6, err)
            self.assertEqual([c[:2] for c in d.calls], [("CreateSnapshot", {"vm": "web01"}), ("CancelJob", {"id": "17"})])
            self.assertIn("cancelling job 17", err)

    def test_interrupt_that_comes_too_late(self):
        def end(cancelled):
            cancelled.wait(TIMEOUT)
            return {"snapshot": SNAPSHOTS[0]}

        d, process, _ = self.interrupted(end)
        with d:
            out = process.communicate(timeout=TIMEOUT)[0].decode()
            self.assertEqual((process.returncode, "taken" in out), (0, True))

    def test_second_interrupt_leaves(self):
        done = threading.Event()
        d, process, cancelled = self.interrupted(lambda _: done.wait(TIMEOUT) and {})
        with d:
            self.assertTrue(cancelled.wait(TIMEOUT))
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=TIMEOUT)[1].decode()
            done.set()
            self.assertEqual(process.returncode, -signal.SIGINT, err)
            self.assertIn("vmsnapctl job watch 17", err)

    def test_wait_and_watch(self):
        done = Stream([{"job": JOB}, {"job": dict(JOB, phase="disks")}, {"job": dict(JOB, state="done")}])
        with Daemon(WatchJobs=done) as d:
            self.assertEqual(run(d, "job", "wait", "17"), (0, "", ""))
            self.assertEqual(run(d, "job", "watch", "17"), (
                0, "".join("job 17, create snapshot of web01: %s\n" % s
                           for s in ("running, memory", "running, disks", "done")), ""))
            self.assertEqual([json.loads(line) for line in run(d, "job", "watch", "--json")[1].splitlines()], done)
            self.assertEqual(json.loads(run(d, "job", "wait", "17", "--json")[1]), done[-1])
        failed = dict(JOB, state="failed", error=MANAGER + "VMBusy", errorMessage="why", hint="what")
        with Daemon(WatchJobs=Stream([{"job": failed}])) as d:
            self.assertEqual(run(d, "job", "wait", "17"), (5, "", "vmsnapctl: why\n  what\n"))
        with Daemon(WatchJobs=Stream([{"job": dict(JOB, state="cancelled", errorMessage="asked")}])) as d:
            self.assertEqual(run(d, "job", "wait", "17")[0], 6)


class Questions(unittest.TestCase):
    def answered(self, answer, *words):
        with Daemon(RevertVM={"vm": VM}, DeleteSnapshot={}, DeleteVM={}) as d:
            t = Terminal(d, *words)
            t.wait_for(b"] ")
            t.type(answer)
            return t.end()[0], [c[1].get("present", c[0]) for c in d.calls]

    def test_what_becomes_of_the_present(self):
        for answer, expected in ((b"\n", (0, ["save"])), (b"s\n", (0, ["save"])), (b"d\n", (0, ["discard"])),
                                 (b"c\n", (6, [])), (b"x\n", (6, [])), (b"\x04", (6, []))):
            self.assertEqual(self.answered(answer, "snapshot", "revert", "web01"), expected, answer)

    def test_delete(self):
        self.assertEqual(self.answered(b"y\n", "snapshot", "delete", "web01", "s"), (0, ["DeleteSnapshot"]))
        self.assertEqual(self.answered(b"\n", "snapshot", "delete", "web01", "s"), (6, []))
        self.assertEqual(self.answered(b"n\n", "vm", "delete", "web01"), (6, []))

    def test_json_is_never_asked(self):
        with Daemon(DeleteVM={}) as d:
            t = Terminal(d, "vm", "delete", "web01", "--json")
            self.assertEqual(t.end(), (0, "{}\n"))
            t = Terminal(d, "snapshot", "revert", "web01", "--json")
            self.assertEqual(t.end()[0], 2)


class Console(unittest.TestCase):
    def test_both_directions_and_the_way_out(self):
        guest, device = pty.openpty()
        with Daemon(GetConsole={"path": os.ttyname(device)}) as d:
            t = Terminal(d, "vm", "console", "web01", stdout=None)
            before = termios.tcgetattr(t.slave)
            t.wait_for(b"leaves.")
            os.write(guest, b"login: ")
            t.wait_for(b"login: ")
            t.type(b"root\x03")
            got = b""
            while len(got) < 5:
                self.assertTrue(select.select([guest], [], [], TIMEOUT)[0])
                got += os.read(guest, 100)
            self.assertEqual(got, b"root\x03")
            t.type(b"x\x1d")
            self.assertEqual(t.process.wait(TIMEOUT), 0)
            self.assertEqual(termios.tcgetattr(t.slave), before)
            t.end()
            self.assertEqual(os.read(guest, 100), b"x")
        os.close(guest)
        os.close(device)

    def test_guest_goes(self):
        guest, device = pty.openpty()
        with Daemon(GetConsole={"path": os.ttyname(device)}) as d:
            t = Terminal(d, "vm", "console", "web01", stdout=None)
            t.wait_for(b"leaves.")
            os.close(device)
            os.close(guest)
            self.assertEqual(t.end()[0], 0)

    def test_log_file(self):
        with tempfile.NamedTemporaryFile() as log, Daemon(GetConsole={"path": log.name}) as d:
            code, out, err = run(d, "vm", "console", "web01")
            self.assertEqual((code, out), (7, ""))
            self.assertIn(log.name, err)
            self.assertEqual(json.loads(run(d, "vm", "console", "web01", "--json")[1]), {"path": log.name})


class Bridge(unittest.TestCase):
    def test_half_close(self):
        with Daemon(GetStatus={"version": "1"}) as d:
            call = json.dumps({"method": MANAGER + "GetStatus"}).encode() + b"\0"
            result = subprocess.run([PROGRAM, "bridge"], env=environment(d), input=call * 3, stdout=subprocess.PIPE,
                                    timeout=TIMEOUT, check=False)
            self.assertEqual((result.returncode, result.stdout), (0, b'{"parameters": {"version": "1"}}\0' * 3))

    def test_large_both_ways(self):
        text = "x" * (3 << 20)
        with Daemon(GetVM=lambda parameters, _: {"echo": parameters["vm"]}) as d:
            call = json.dumps({"method": MANAGER + "GetVM", "parameters": {"vm": text}}).encode() + b"\0"
            result = subprocess.run([PROGRAM, "bridge"], env=environment(d), input=call, stdout=subprocess.PIPE,
                                    timeout=TIMEOUT, check=False)
            self.assertEqual(json.loads(result.stdout[:-1])["parameters"]["echo"], text)

    def test_daemon_goes(self):
        with Daemon(GetStatus=Hangup(b"rest")) as d:
            process = subprocess.Popen([PROGRAM, "bridge"], env=environment(d), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
            process.stdin.write(json.dumps({"method": MANAGER + "GetStatus"}).encode() + b"\0")
            process.stdin.flush()
            self.assertEqual(process.stdout.read(), b"rest")
            self.assertEqual(process.wait(TIMEOUT), 0)
            process.stdin.close()
            process.stdout.close()


class Complete(unittest.TestCase):
    def complete(self, *words):
        with Daemon(ListVMs={"vms": [VM, dict(VM, name="web 2")]}, ListJobs={"jobs": [JOB]},
                    ListSnapshots={"vm": VM, "snapshots": SNAPSHOTS}) as d:
            code, out, err = run(d, "--complete", *words)
            self.assertEqual((code, err), (0, ""))
            return out.splitlines()

    def test_words(self):
        self.assertEqual(self.complete("s"), ["snapshot", "savestate", "status"])
        self.assertEqual(self.complete("snapshot", "re"), ["rename", "revert"])
        self.assertEqual(self.complete("--json", "snapshot", "tree", "--a"), ["--ascii"])
        self.assertEqual(self.complete("vm", "start", "w"), ["web01", "web 2"])
        self.assertEqual(self.complete("snapshot", "apply", "web01", "b"), ["base install", "before upgrade"])
        self.assertEqual(self.complete("savestate", "diff", "web01", "other idea", "ba"), ["base install"])
        self.assertEqual(self.complete("job", "cancel", ""), ["17"])
        self.assertEqual(self.complete("vm", "create", "x", "--cdrom", ""), [":file"])
        self.assertEqual(self.complete("vm", "create", "x", "--memory", ""), [])
        self.assertEqual(self.complete("nonsense", "x", ""), [])
        self.assertNotIn("--json", self.complete("vm", "list", "--json", "--"))

    def test_without_a_daemon(self):
        self.assertEqual(run(None, "--complete", "--socket", "/nonexistent", "vm", "show", ""), (0, "", ""))

    def test_bash(self):
        script = """
            source "$1"; shift
            PATH=$1:$PATH; shift
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            _vmsnapctl
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        with Daemon(ListSnapshots={"vm": VM, "snapshots": SNAPSHOTS}) as d:
            def reply(*words):
                return subprocess.run(
                    ["bash", "-c", script, "bash", os.path.join(TOP, "client/vmsnapctl.bash"),
                     os.path.dirname(os.path.abspath(PROGRAM)), "vmsnapctl", *words], env=environment(d),
                    stdout=subprocess.PIPE, timeout=TIMEOUT, check=True).stdout.decode().splitlines()
            self.assertEqual(reply("snapshot", "ap"), ["apply"])
            self.assertEqual(reply("snapshot", "show", "web01", "before"), [r"before\ upgrade"])
            self.assertEqual(reply("snapshot", "show", "web01", r"before\ u"), [r"before\ upgrade"])
            self.assertEqual(reply("snapshot", "show", "web01", '"before u'), ["before upgrade"])
            self.assertEqual(reply("snapshot", "rename", "web01", r"base\ install", "--n"), ["--notes"])


if __name__ == "__main__":
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"{PROGRAM} has not been built")
    PROGRAM = os.path.abspath(PROGRAM)
    signal.alarm(300)
    unittest.main()
