# SPDX-License-Identifier: GPL-2.0-or-later
"""A minimal Varlink client: independent of ours, so that it can test ours."""
import json
import socket

INTERFACE = "io.vmsnap.Manager"


class VarlinkError(Exception):
    """An error reply. `name` is the full name, `parameters` what came with it."""

    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters}")
        self.name = name
        self.parameters = parameters

    @property
    def short(self):
        return self.name.rpartition(".")[2]


class Connection:
    """One connection; calls may be pipelined with send() and receive()."""

    def __init__(self, path, timeout=60.0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send(self, method, more=False, oneway=False, **parameters):
        if "." not in method:
            method = f"{INTERFACE}.{method}"
        message = {"method": method, "parameters": parameters}
        if more:
            message["more"] = True
        if oneway:
            message["oneway"] = True
        self.send_bytes(json.dumps(message).encode() + b"\0")

    def receive_bytes(self):
        """One message without its terminator; None where the other side closed."""
        while b"\0" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return message

    def receive(self):
        """One reply as a dictionary; an error reply is raised."""
        message = self.receive_bytes()
        if message is None:
            raise ConnectionError("the daemon closed the connection")
        reply = json.loads(message)
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters") or {})
        return reply

    def call(self, method, **parameters):
        """Calls and returns the parameters of the one reply."""
        self.send(method, **parameters)
        return self.receive().get("parameters") or {}

    def stream(self, method, **parameters):
        """Calls with `more` and yields the parameters of each reply."""
        self.send(method, more=True, **parameters)
        while True:
            reply = self.receive()
            yield reply.get("parameters") or {}
            if not reply.get("continues"):
                return


def call(path, method, **parameters):
    """One call on a connection of its own."""
    with Connection(path) as connection:
        return connection.call(method, **parameters)
