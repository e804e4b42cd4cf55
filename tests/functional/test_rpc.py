# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket, with clients that are not ours: raw bytes, socat, other users."""
import grp
import json
import os
import pwd
import socket
import stat
import subprocess
import sys

import pytest
from vmsnaptest import varlink
from vmsnaptest.wait import until
from vmsnaptest.where import program, require

# The driver below makes no difference to the socket.
pytestmark = pytest.mark.parametrize("hv", ["embed"], indirect=True)

LIST = b'{"method":"io.vmsnap.Manager.ListVMs"}\0'


def _closed(connection):
    """The daemon closes the connection, with or without a last word."""
    try:
        while connection.receive_bytes() is not None:
            pass
    except ConnectionError:
        pass
    return True


def test_service_interface(lab):
    info = lab.daemon_call("org.varlink.service.GetInfo")
    assert info["product"] and info["version"]
    assert {"org.varlink.service", "io.vmsnap.Manager"} <= set(info["interfaces"])
    text = lab.daemon_call("org.varlink.service.GetInterfaceDescription", interface="io.vmsnap.Manager")["description"]
    for method in ("CreateSnapshot", "ApplySnapshot", "RevertVM", "WatchJobs"):
        assert f"method {method}(" in text


def test_socat_and_half_close(lab):
    """A client that shuts its side for writing still gets the answer."""
    require("socat")
    done = subprocess.run(["socat", "-t5", "-", f"UNIX-CONNECT:{lab.daemon.socket}"], input=LIST, capture_output=True,
                          timeout=30)
    assert json.loads(done.stdout.rstrip(b"\0")) == {"parameters": {"vms": []}}


def test_any_split(lab):
    """Messages arrive in any pieces, two in one or one in many."""
    with varlink.Connection(lab.daemon.socket) as connection:
        for i in range(len(LIST)):
            connection.send_bytes(LIST[i:i + 1])
        assert connection.receive()["parameters"] == {"vms": []}
        connection.send_bytes(LIST + LIST[:10])
        assert connection.receive()["parameters"] == {"vms": []}
        connection.send_bytes(LIST[10:])
        assert connection.receive()["parameters"] == {"vms": []}


def test_pipelined_calls_are_answered_in_order(lab):
    machine = lab.machine()
    with varlink.Connection(lab.daemon.socket) as connection:
        connection.send("CreateSnapshot", more=True, vm=machine.name, name="one")
        connection.send("ListVMs")
        replies = []
        while not replies or "vms" not in replies[-1]["parameters"]:
            replies.append(connection.receive())
        assert [r for r in replies if "snapshot" in r["parameters"] and r["parameters"]["snapshot"]]
        assert replies[-2]["parameters"]["snapshot"]["name"] == "one"


def test_oneway_gets_no_reply(lab):
    with varlink.Connection(lab.daemon.socket) as connection:
        connection.send("io.vmsnap.Manager.NoSuchMethod", oneway=True)
        connection.send("ListVMs")
        assert connection.receive()["parameters"] == {"vms": []}


@pytest.mark.parametrize("method,error", [
    ("io.vmsnap.Manager.Fly", "org.varlink.service.MethodNotFound"),
    ("io.vmsnap.Nobody.ListVMs", "org.varlink.service.InterfaceNotFound"),
    (".ListVMs", "org.varlink.service.InterfaceNotFound"),
])
def test_unknown(lab, method, error):
    with pytest.raises(varlink.VarlinkError) as refused:
        lab.daemon_call(method)
    assert refused.value.name == error


@pytest.mark.parametrize("parameters,field", [
    ({}, "vm"), ({"vm": 1}, "vm"), ({"vm": "x", "wings": True}, "wings"), ({"vm": None}, "vm"),
])
def test_invalid_parameter_is_named(lab, parameters, field):
    with pytest.raises(varlink.VarlinkError) as refused:
        lab.daemon_call("GetVM", **parameters)
    assert refused.value.name == "org.varlink.service.InvalidParameter"
    assert refused.value.parameters == {"parameter": field}


def test_watch_needs_more(lab):
    with pytest.raises(varlink.VarlinkError) as refused:
        lab.daemon_call("WatchJobs")
    assert refused.value.name == "org.varlink.service.ExpectedMore"


@pytest.mark.parametrize("data", [
    b"no JSON\0", b"[]\0", b"{}\0", b'{"method":1}\0', b"\0", b'{"method":"a.b","parameters":[]}\0',
    b'{"method":"io.vmsnap.Manager.ListVMs","method":"io.vmsnap.Manager.ListVMs"}\0', b"[" * 5000 + b"\0",
    b'{"method":"\xff\xfe"}\0', LIST[:-2] + b',"parameters":' + b'{"a":' * 200 + b"1" + b"}" * 201 + b"\0",
], ids=range(10))
def test_malformed_message_closes(lab, data):
    """The daemon closes that connection, and serves the next."""
    with varlink.Connection(lab.daemon.socket, timeout=10) as connection:
        connection.send_bytes(data)
        assert _closed(connection)
    assert lab.daemon_call("ListVMs") == {"vms": []}


def test_message_without_end(lab):
    """More than a call may hold, without a terminator: closed, and the daemon has not grown."""
    before = lab.daemon.rss()
    with varlink.Connection(lab.daemon.socket, timeout=10) as connection:
        with pytest.raises(OSError):
            for _ in range(64):
                connection.send_bytes(b" " * (1 << 20))
            if _closed(connection):
                raise ConnectionResetError
    assert lab.daemon_call("ListVMs") == {"vms": []}
    assert lab.daemon.rss() < before + (16 << 20)


def test_client_that_goes_away(lab):
    """A caller that leaves in the middle does not take its job with it."""
    machine = lab.machine()
    connection = varlink.Connection(lab.daemon.socket)
    connection.send("CreateSnapshot", more=True, vm=machine.name, name="alone")
    connection.receive()
    connection.close()
    until(lambda: "alone" in machine.snapshots(), "the snapshot")


def test_slow_reader_does_not_hold_up_others(lab):
    lab.machine()
    with varlink.Connection(lab.daemon.socket) as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.socket.settimeout(1)
        try:
            for _ in range(20000):
                slow.send_bytes(LIST)
        except TimeoutError:
            pass
        assert len(lab.daemon_call("ListVMs")["vms"]) == 1
        assert lab.daemon.rss() < 128 << 20


def test_many_connections(lab):
    """Up to the limit all are served; beyond it a new one is turned away, and when some leave there is room."""
    connections = []
    try:
        while len(connections) < 300:
            try:
                connections.append(varlink.Connection(lab.daemon.socket, timeout=5))
            except BlockingIOError:  # the queue of the socket is full: the daemon is about to accept
                until(lambda: lab.daemon.alive(), "the daemon")
        assert all(connection.call("ListVMs") == {"vms": []} for connection in connections[:200])
        with pytest.raises(OSError):  # one of those beyond the limit
            for connection in connections[200:]:
                connection.call("ListVMs")
    finally:
        for connection in connections:
            connection.close()
    until(lambda: lab.daemon_call("ListVMs") == {"vms": []}, "room again")


def test_socket_mode(lab):
    mode = os.stat(lab.daemon.socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


def _as_user(lab, user, method, **parameters):
    """Calls as another user; returns the error's name, or None."""
    with open(varlink.__file__) as source:
        script = source.read()
    script += f"""
try:
    call({lab.daemon.socket!r}, {method!r}, **{parameters!r})
except VarlinkError as e:
    print(e.name)
"""
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, timeout=30, cwd="/",
                          user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() or None


def test_other_users_are_refused(lab):
    """The daemon itself looks at who calls, whatever the mode of the socket lets through."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    machine = lab.machine()
    os.chmod(lab.daemon.socket, 0o666)
    denied = "org.varlink.service.PermissionDenied"
    assert _as_user(lab, "nobody", "DeleteVM", vm=machine.name) == denied
    assert _as_user(lab, "nobody", "CreateSnapshot", vm=machine.name) == denied
    assert machine.config() and not machine.snapshots()


def test_socket_of_a_group(lab):
    """Members of vmsnap may reach the socket, where that group exists."""
    group = os.stat(lab.daemon.socket).st_gid
    try:
        assert group in (grp.getgrnam("vmsnap").gr_gid, os.getegid())
    except KeyError:
        assert group == os.getegid()


def test_exit_code_of_a_refused_user(lab):
    """vmsnapctl ends with 4 where the socket does not let it in."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    done = subprocess.run([program("vmsnapctl"), "--socket", lab.daemon.socket, "vm", "list"], capture_output=True,
                          text=True, user="nobody", group="nogroup", extra_groups=[], cwd="/")
    assert done.returncode == 4 and lab.daemon.socket in done.stderr
