# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of vmsnapctl share: a played daemon, and the program run against it."""

import json
import os
import pty
import re
import select
import socket
import subprocess
import tempfile
import threading

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(__file__), "../..")
PROGRAM = os.environ.get("VMSNAPCTL") or os.path.join(os.environ.get("top_builddir", "."), "client/vmsnapctl")
MANAGER = "io.vmsnap.Manager."
TIMEOUT = 30

VM = {"name": "web01", "id": "11111111-2222-3333-4444-555555555555", "state": "running", "directory": "/store/web01",
      "memoryBytes": 1 << 30, "vcpus": 2, "firmware": "uefi", "tpm": True, "snapshots": 3,
      "now": "AAAAAAAA-0000-0000-0000-000000000002", "nowName": "before upgrade", "problems": ["a sealed disk is gone"],
      "disks": [{"target": "vda", "path": "/store/web01/Snapshots/x.avhd", "format": "qcow2", "managed": True,
                 "chain": [{"path": "/store/web01/Snapshots/x.avhd", "format": "qcow2", "allocatedBytes": 88 << 20},
                           {"path": "/store/web01/web01.qcow2", "format": "qcow2", "allocatedBytes": 1 << 30,
                            "virtualBytes": 20 << 30}]},
                {"target": "sda", "path": "/iso", "managed": False, "reason": "it is a CD-ROM"}]}


def snapshot(number, name, depth, last, **more):
    return {"id": "AAAAAAAA-0000-0000-0000-%012d" % number, "name": name, "vm": "web01", "vmId": VM["id"],
            "createdUSec": (1795250000 + number * 3600) * 1000000, "kind": "off", "mode": "none", "memoryBytes": 0,
            "diskBytes": 88 << 20, "children": 0, "depth": depth, "last": last, "current": False, **more}


SNAPSHOTS = [
    snapshot(1, "base install", 0, True),
    snapshot(3, "before upgrade", 1, False, kind="memory", memoryBytes=412 << 20, current=True),
    snapshot(2, "other idea", 1, True, kind="disk only"),
]
JOB = {"id": "17", "operation": "CreateSnapshot", "vm": "web01", "state": "running", "phase": "memory"}


class Error(Exception):
    """An error reply."""

    def __init__(self, name, **parameters):
        super().__init__(name)
        self.name, self.parameters = name, parameters


class Hangup(Exception):
    """The daemon closes the connection, after these bytes."""

    def __init__(self, data=b""):
        super().__init__()
        self.data = data


class Stream(list):
    """Replies of a 'more' call; the last ends it. An Error may be the last."""


class Daemon:
    """Answers calls by `answers`: method -> value or function(parameters, daemon)."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []
        self.directory = tempfile.TemporaryDirectory(prefix="vmsnapctl-")
        self.path = os.path.join(self.directory.name, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone would not
        self.acceptor.join(TIMEOUT)
        self.listener.close()
        self.directory.cleanup()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            data = b""
            while True:
                got = connection.recv(65536)
                if not got:
                    return
                data += got
                while b"\0" in data:
                    message, data = data.split(b"\0", 1)
                    try:
                        self.answer(connection, json.loads(message))
                    except Hangup as hangup:
                        connection.sendall(hangup.data)
                        return
                    except OSError:
                        return

    def answer(self, connection, call):
        method, parameters = call["method"], call.get("parameters", {})
        self.calls.append((method[len(MANAGER):], parameters, call.get("more", False)))
        assert method.startswith(MANAGER), method
        check_call(method[len(MANAGER):], parameters)
        answer = self.answers[method[len(MANAGER):]]
        if callable(answer):
            answer = answer(parameters, self)
        replies = answer if isinstance(answer, Stream) else [answer]
        for i, reply in enumerate(replies):
            if callable(reply):
                reply = reply(parameters, self)
            if isinstance(reply, Exception) and not isinstance(reply, Error):
                raise reply
            if isinstance(reply, Error):
                message = {"error": reply.name, "parameters": reply.parameters}
            else:
                message = {"parameters": reply}
                if i + 1 < len(replies):
                    message["continues"] = True
            connection.sendall(json.dumps(message, ensure_ascii=False).encode() + b"\0")


def read_interface():
    """Inputs of each method by the interface description: method -> {field: (type, nullable)}."""
    with open(os.path.join(TOP, "varlink/io.vmsnap.Manager.varlink"), encoding="utf-8") as f:
        text = re.sub(r"#.*", "", f.read())
    methods = {}
    for name, fields in re.findall(r"^method (\w+)\s*\(([^()]*)\)", text, re.M):
        methods[name] = {n: (t, bool(q)) for n, q, t in re.findall(r"(\w+)\s*:\s*(\??)(\w+)", fields)}
    return methods


INTERFACE = read_interface()
KINDS = {"string": str, "int": int, "bool": bool}


def check_call(method, parameters):
    """What the client sends is what the interface takes."""
    fields = INTERFACE[method]
    for name, value in parameters.items():
        assert name in fields, f"{method}: {name} is not in the interface"
        assert type(value) is KINDS[fields[name][0]], f"{method}: {name} is {value!r}"
    for name, (_, nullable) in fields.items():
        assert nullable or name in parameters, f"{method}: {name} is missing"


def environment(daemon=None, **more):
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}
    env.update({k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))})
    if daemon:
        env["VMSNAP_SOCKET"] = daemon.path
    return env


def run(daemon, *words, env=None, stdin=subprocess.DEVNULL, cwd=None):
    result = subprocess.run([os.path.abspath(PROGRAM), *words], env={**environment(daemon), **(env or {})}, stdin=stdin,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT, cwd=cwd, check=False)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


class Terminal:
    """vmsnapctl with its input and messages on a terminal."""

    def __init__(self, daemon, *words, stdout=subprocess.PIPE):
        self.master, slave = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen([os.path.abspath(PROGRAM), *words], env=environment(daemon, TERM="xterm"),
                                        stdin=slave, stderr=slave, stdout=slave if stdout is None else stdout,
                                        start_new_session=True)
        self.slave = slave

    def read_some(self):
        ready = select.select([self.master], [], [], TIMEOUT)[0]
        assert ready, f"nothing more came after {self.seen!r}"
        self.seen += os.read(self.master, 65536)

    def wait_for(self, text):
        while text not in self.seen:
            self.read_some()

    def type(self, data):
        os.write(self.master, data)

    def end(self):
        """Exit code and standard output; all that was on the terminal is in `seen`."""
        out = self.process.communicate(timeout=TIMEOUT)[0]
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        os.close(self.slave)
        os.close(self.master)
        return self.process.returncode, (out or b"").decode()
