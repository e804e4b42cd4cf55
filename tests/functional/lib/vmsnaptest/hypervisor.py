# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt beside the daemon: the two drivers that the tests run under.

Domains are looked at without the daemon's help: through libvirtd's own connection (system), or by the
status and configuration files that libvirt keeps in its root (embed, where a second opener is refused)."""
import glob
import grp
import os
import shutil
import signal
import stat
import subprocess
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple, Optional

from .wait import until
from .where import missing, require

USERFAULTFD = "/proc/sys/vm/unprivileged_userfaultfd"


class Domain(NamedTuple):
    """What libvirt says of a domain."""
    state: str              # running, paused, shutoff
    xml: Optional[str]      # live if it runs, else as defined
    defined: Optional[str]  # as defined; None: transient
    snapshots: tuple        # names of libvirt snapshots
    managed_save: bool


def _alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):  # gone, perhaps between the two
        return False


def _read_pid(path):
    try:
        with open(path) as f:
            return int(f.read() or 0) or None
    except (OSError, ValueError):
        return None


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def end_process(pid, timeout=10.0):
    """Ends a process that we know is ours, by SIGTERM, then SIGKILL."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sig)
            until(lambda: not _alive(pid), f"end of process {pid}", timeout)
            return
        except ProcessLookupError:
            return
        except TimeoutError:
            if sig == signal.SIGKILL:
                raise


class Embed:
    """qemu:///embed: libvirt's driver inside the daemon, in a root of our own."""
    name = "embed"

    def __init__(self, base):
        self.root = os.path.join(base, "e")  # short: libvirt makes UNIX sockets deep below it
        self.uri = f"qemu:///embed?root={self.root}"

    def start(self):
        require("qemu-system-x86_64", "virsh")

    def stop(self):
        self.reset()

    def reset(self):
        """Ends all guests and forgets all domains; libvirt's capabilities cache stays (it costs seconds)."""
        for path in glob.glob(f"{self.root}/run/**/*.pid", recursive=True):
            pid = _read_pid(path)
            command = _read(f"/proc/{pid}/cmdline") if pid else None
            if command and self.root in command:
                end_process(pid)
        for part in ("run", "lib", "etc/qemu", "log", "swtpm"):
            shutil.rmtree(os.path.join(self.root, part), ignore_errors=True)

    def domains(self):
        files = glob.glob(f"{self.root}/etc/qemu/*.xml") + glob.glob(f"{self.root}/run/qemu/*.xml")
        return sorted({os.path.basename(f)[:-4] for f in files})

    def knows_end(self, name, daemon):
        """Whether libvirt, which is in the daemon, has noticed that the domain's QEMU is gone."""
        return not daemon.alive() or not os.path.exists(f"{self.root}/run/qemu/{name}.xml")

    def domain(self, name):
        """The domain of that name, or None."""
        defined = _read(f"{self.root}/etc/qemu/{name}.xml")
        status = _read(f"{self.root}/run/qemu/{name}.xml")
        state, xml = "shutoff", defined
        if status:
            tree = ElementTree.fromstring(status)
            if _alive(int(tree.get("pid"))):
                state = tree.get("state")
                xml = ElementTree.tostring(tree.find("domain"), encoding="unicode")
        if xml is None:
            return None
        snapshots = glob.glob(f"{self.root}/lib/qemu/snapshot/{name}/*.xml")
        return Domain(state, xml, defined, tuple(os.path.basename(s)[:-4] for s in snapshots),
                      os.path.exists(f"{self.root}/lib/qemu/save/{name}.save"))

    def virsh(self, *args, check=True):
        """virsh on the root: only while the daemon is down."""
        if args[0] == "destroy":
            # libvirt 9.0: a domain destroyed while the new process still reconnects to it is gone, and yet
            # the call fails with "domain is not running"
            _virsh(self.uri, args, check=False)
            until(lambda: not self.domain(args[1]) or self.domain(args[1]).state == "shutoff", f"end of {args[1]}")
            return ""
        try:
            return _virsh(self.uri, args, check)
        except Crashed:
            if args[0] not in READS:
                raise
            return _virsh(self.uri, args, check)


class System:
    """qemu:///system: libvirtd, started by us if nobody did."""
    name = "system"
    uri = "qemu:///system"

    def __init__(self, _base):
        self.started = {}  # program: pid, those that we started
        self.kvm_mode = None
        self.userfaultfd = None

    def start(self):
        if os.geteuid() != 0:
            missing("root, for qemu:///system")
        require("virsh", "libvirtd", "virtlogd")
        self._let_kvm()
        self._let_userfaultfd()
        if not self.answers():
            for program in ("virtlogd", "libvirtd"):
                self._start_program(program)
            until(self.answers, "libvirtd answering")
        os.chmod("/run/libvirt", 0o755)  # swtpm and QEMU run as other users; libvirtd under our umask may have shut it

    @staticmethod
    def prepare_tpm():
        """swtpm's certificate authority belongs to the user that made it first; under qemu:///embed that is root,
        under libvirtd it must be tss."""
        authority = "/var/lib/swtpm-localca"
        if not os.path.isdir(authority):
            return
        for path in [authority] + [os.path.join(authority, name) for name in os.listdir(authority)]:
            shutil.chown(path, "tss")

    def answers(self):
        return subprocess.run(["virsh", "-q", "-c", self.uri, "version"], capture_output=True).returncode == 0

    def _start_program(self, program):
        """Starts a daemon the way an admin without systemd does; one that runs already is left alone."""
        pid = _read_pid(f"/run/{program}.pid")
        if pid and _alive(pid):
            return
        subprocess.run([f"/usr/sbin/{program}", "-d"], check=True, umask=0o022)
        self.started[program] = until(lambda: _read_pid(f"/run/{program}.pid"), f"{program}'s pid file")

    def _let_kvm(self):
        """What udev does on a booted machine. With /dev/kvm closed to its QEMU user libvirt finds KVM when it
        probes as root, then not, and probes for most of a minute at each definition."""
        try:
            kvm, group = os.stat("/dev/kvm"), grp.getgrnam("kvm").gr_gid
        except (OSError, KeyError):
            return
        if kvm.st_gid != group or not kvm.st_mode & stat.S_IRGRP:
            self.kvm_mode = kvm
            os.chown("/dev/kvm", 0, group)
            os.chmod("/dev/kvm", 0o660)

    def _let_userfaultfd(self):
        """What our sysctl.d file does on a machine where vmsnap is installed: QEMU runs as a user of its own."""
        try:
            with open(USERFAULTFD) as setting:
                self.userfaultfd = setting.read()
            with open(USERFAULTFD, "w") as setting:
                setting.write("1")
        except OSError:
            self.userfaultfd = None  # a kernel without it, or /proc/sys is not ours: require_userfaultfd() tells

    def stop(self):
        if self.userfaultfd:
            with open(USERFAULTFD, "w") as setting:
                setting.write(self.userfaultfd)
        self.reset()
        for program in ("libvirtd", "virtlogd"):
            if program in self.started:
                end_process(self.started.pop(program))
        if self.kvm_mode:
            os.chown("/dev/kvm", self.kvm_mode.st_uid, self.kvm_mode.st_gid)
            os.chmod("/dev/kvm", stat.S_IMODE(self.kvm_mode.st_mode))

    def restart(self):
        """Restarts libvirtd under the daemon's feet. Only one that we started; else False."""
        if "libvirtd" not in self.started:
            return False
        end_process(self.started.pop("libvirtd"))
        self._start_program("libvirtd")
        until(self.answers, "libvirtd answering again")
        return True

    def kill_libvirtd(self):
        """SIGKILL to libvirtd. Only one that we started; else False."""
        pid = self.started.pop("libvirtd", None)
        if pid:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not _alive(pid), "libvirtd's end")
        return pid is not None

    def start_libvirtd(self):
        """Starts it again after kill_libvirtd()."""
        os.unlink("/run/libvirtd.pid")  # the killed one's
        self._start_program("libvirtd")
        until(self.answers, "libvirtd answering again")

    def reset(self):
        """Ends and forgets all domains of the tests."""
        for name in self.domains():
            self.virsh("destroy", name, check=False)
            self.virsh("managedsave-remove", name, check=False)
            self.virsh("undefine", name, "--nvram", "--tpm", "--snapshots-metadata", check=False)
            if name in self.domains():  # libvirt 9.0 knows no --tpm; it removes TPM state by itself
                self.virsh("undefine", name, "--nvram", "--snapshots-metadata", check=False)

    def domains(self):
        from .machine import PREFIX
        out = self.virsh("list", "--all", "--name")
        return sorted(name for name in out.split("\n") if name.startswith(PREFIX))

    def knows_end(self, name, daemon):
        """Whether libvirt has noticed that the domain's QEMU is gone: domain() asks libvirt itself."""
        return True

    def domain(self, name):
        if self._try("domstate", name) is None:
            return None
        state = self._try("domstate", name).strip()
        state = {"shut off": "shutoff"}.get(state, state)
        snapshots = (self._try("snapshot-list", name, "--name") or "").split()
        info = self._try("dominfo", name) or ""
        return Domain(state, self._try("dumpxml", name, "--security-info"),
                      self._try("dumpxml", name, "--inactive", "--security-info"),
                      tuple(snapshots), "Managed save:   yes" in info)

    def _try(self, *args):
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *args], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def virsh(self, *args, check=True):
        return _virsh(self.uri, args, check)


READS = ("dumpxml", "list", "domstate", "domblklist", "snapshot-list")


class Crashed(RuntimeError):
    """virsh died of a signal. With libvirt 9.0's embedded driver inside it seems to, now and then, as it ends: it said
    nothing on standard error twice."""


def _virsh(uri, args, check):
    done = subprocess.run(["virsh", "-q", "-c", uri, *args], capture_output=True, text=True, timeout=120)
    if check and done.returncode < 0:
        raise Crashed(f"virsh {' '.join(args)}: signal {-done.returncode}")
    if check and done.returncode:
        raise RuntimeError(f"virsh {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


DRIVERS = {"embed": Embed, "system": System}
