# SPDX-License-Identifier: GPL-2.0-or-later
"""One vmsnapd with a store, a socket and a log of its own, and vmsnapctl to talk to it."""
import json
import os
import shlex
import signal
import subprocess
import threading
import time

from . import varlink
from .wait import until
from .where import SCHEMA_DIR, program

# Exit codes of vmsnapctl
DONE, FAILED, USAGE, NO_DAEMON, DENIED, BUSY, CANCELLED, REFUSED, FOUND, LITTLE_SPACE, NO_SPACE_SOON = range(11)


class CtlError(Exception):
    """vmsnapctl did not end with 0. `error` is the Varlink error's name without the interface."""

    def __init__(self, args, code, document, stderr):
        super().__init__(f"vmsnapctl {' '.join(args)}: exit {code}: {stderr.strip()}")
        self.code = code
        self.error = (document.get("error") or "").rpartition(".")[2]
        self.parameters = document.get("parameters") or {}
        self.message = self.parameters.get("message") or stderr.strip()
        self.stderr = stderr


class Daemon:
    """A vmsnapd process that can be started, killed and started again on the same files."""

    def __init__(self, uri, base, store=None):
        self.uri = uri
        self.store = store or os.path.join(base, "s")
        self.socket = os.path.join(base, "d.sock")
        self.log_path = os.path.join(base, "vmsnapd.log")
        self.process = None
        self.options = []  # further words of its command line, from the next start on
        self.valgrind = shlex.split(os.environ.get("VMSNAPD_WRAPPER", ""))  # for example valgrind

    def command(self, *args):
        return [*self.valgrind, program("vmsnapd"), "--uri", self.uri, "--store", self.store,
                "--socket", self.socket, "--verbose", *self.options, *args]

    def environment(self, fault=None):
        env = dict(os.environ, VMSNAP_SCHEMA_DIR=SCHEMA_DIR, VMSNAP_CAPTURE=program("vmsnap-capture"))
        env.setdefault("VMSNAP_REFLINK", "no")  # the same on every file system
        env.pop("VMSNAPD_FAULT", None)
        if fault:
            env["VMSNAPD_FAULT"] = fault
        return env

    def spawn(self, fault=None):
        """Starts the process; does not wait for anything."""
        assert not self.alive(), "the daemon runs already"
        with open(self.log_path, "ab") as log:
            log.write(f"--- start, fault {fault}\n".encode())
            log.flush()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment(fault), start_new_session=True)

    def start(self, fault=None, timeout=60.0):
        """Starts the process and waits until it serves, is connected to the hypervisor and has recovered."""
        self.spawn(fault)
        until(self.ready, lambda: f"vmsnapd ready; its log ends in {self.log()[-1500:]}", timeout)

    def ready(self):
        """It serves, is connected and has recovered. Raises if it ended instead."""
        if self.process.poll() is not None:
            raise AssertionError(f"vmsnapd ended with {self.process.returncode}: {self.log()[-1500:]}")
        try:
            status = varlink.call(self.socket, "GetStatus")
        except (OSError, varlink.VarlinkError):
            return False
        return status["connected"] and status["jobsRunning"] == 0 and not self.intents()

    def intents(self):
        """Names of intent records in the store."""
        found = []
        for where, _, names in os.walk(self.store):
            found += [os.path.join(where, name) for name in names if name.endswith(".op")]
        return found

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def wait_end(self, timeout=60.0):
        """Waits until it ends by itself; returns the exit status (negative: signal)."""
        return self.process.wait(timeout)

    def kill(self):
        """SIGKILL: as if the power had gone, for the daemon."""
        if self.alive():
            self.process.kill()
            self.process.wait(30)

    def kill_when(self, condition, later=0.0):
        """A thread that sends SIGKILL that many seconds after the condition is true; join it."""
        def watch():
            until(condition, "the moment to kill", 60.0)
            time.sleep(later)  # not a wait for something: the instant that is tested
            self.kill()
        thread = threading.Thread(target=watch)
        thread.start()
        return thread

    def stop(self, timeout=60.0):
        """SIGTERM; it must end by itself, with exit status 0."""
        if not self.alive():
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        assert status == 0, f"vmsnapd ended with {status} on SIGTERM: {self.log()[-1500:]}"

    def restart(self, fault=None):
        self.stop()
        self.start(fault)

    def log(self):
        try:
            with open(self.log_path, errors="replace") as log:
                return log.read()
        except OSError:
            return ""

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def run_ctl(self, *args, timeout=120.0, env=None):
        """Runs vmsnapctl as it is; returns the finished process."""
        return subprocess.run([program("vmsnapctl"), "--socket", self.socket, *args], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})))

    def start_ctl(self, *args):
        """Starts vmsnapctl --json beside us; finish with end_ctl()."""
        return subprocess.Popen([program("vmsnapctl"), "--socket", self.socket, "--json", *args], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @staticmethod
    def end_ctl(process, timeout=120.0):
        out, err = process.communicate(timeout=timeout)
        return _result(process.args[4:], process.returncode, out, err)

    def ctl(self, *args, timeout=120.0, codes=(DONE,)):
        """Runs vmsnapctl --json; returns the reply's parameters, raises CtlError for other exit codes."""
        done = self.run_ctl("--json", *args, timeout=timeout)
        return _result(args, done.returncode, done.stdout, done.stderr, codes)


def _result(args, code, out, err, codes=(DONE,)):
    try:
        document = json.loads(out) if out.strip() else {}
    except ValueError:
        raise AssertionError(f"vmsnapctl --json {' '.join(args)} did not print one JSON document: {out!r}") from None
    if code not in codes:
        raise CtlError(args, code, document, err)
    return document
