#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmsnapctl and free space: exit codes of status, the stream, --force; the daemon is played by this script."""

import os
import signal
import sys
import unittest

from vmsnapctl_rig import PROGRAM, Daemon, Error, Hangup, Stream, run


class Space(unittest.TestCase):
    def test_status_tells_how_much_space_there_is(self):
        def fs(level, free=3 << 20):
            return {"path": "/st\x1bore", "level": level, "freeBytes": free, "totalBytes": 64 << 20, "warningBytes": 6 << 20,
                    "criticalBytes": 2 << 20}

        status = {"version": "1", "connected": True, "store": "/store", "problems": []}
        for levels, code in ((["ok"], 0), (["ok", "warning"], 9), (["critical", "warning"], 10), (["warning", "critical"], 10),
                             (["something new"], 0), ([], 0)):
            with Daemon(GetStatus=dict(status, fileSystems=[fs(level) for level in levels])) as d:
                for words in ((), ("--json",)):
                    self.assertEqual(run(d, *words, "status")[0], code)
        with Daemon(GetStatus=dict(status, fileSystems=[fs("warning")])) as d:
            self.assertRegex(run(d, "status")[1], r"(?m)^Space: +warning: 3.0 MiB of 64 MiB free in '/st[^\x1b]*ore'$")
        with Daemon(WatchSpace=Stream([{"fileSystem": fs("ok")}, {"fileSystem": fs("gone")}, Hangup()])) as d:
            code, out, err = run(d, "status", "--watch")
            self.assertEqual((code, [line.split(":")[0] for line in out.splitlines()]), (3, ["ok", "gone"]))
            self.assertTrue(err)
            self.assertEqual(len(run(d, "--json", "status", "--watch")[1].splitlines()), 2)
        with Daemon(WatchSpace=Error("org.varlink.service.MethodNotFound", method="WatchSpace")) as d:
            self.assertEqual(run(d, "status", "--watch")[0], 7)

    def test_force(self):
        with Daemon(CreateSnapshot={}, ApplySnapshot={}, RevertVM={}, DeleteSnapshot={}, FlattenDisks={}) as d:
            for words in (("snapshot", "create", "web01"), ("snapshot", "apply", "web01", "s", "--discard"),
                          ("snapshot", "revert", "web01", "--discard"), ("snapshot", "delete", "web01", "s", "--yes"),
                          ("disk", "flatten", "web01")):
                for force in (False, True):
                    run(d, *words, *(["--force"] if force else []))
                    self.assertEqual(d.calls[-1][1].get("force", False), force)


if __name__ == "__main__":
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"{PROGRAM} has not been built")
    signal.alarm(300)
    unittest.main()
