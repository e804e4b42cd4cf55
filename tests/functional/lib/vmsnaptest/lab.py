# SPDX-License-Identifier: GPL-2.0-or-later
"""All that one test needs, in a short directory of its own: daemon, store, guests."""
import glob
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from . import disk, laws, varlink
from .daemon import FOUND, Daemon
from .machine import PREFIX, Machine
from .wait import until

DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  {head}
  <devices>
    <emulator>{emulator}</emulator>
    {disks}
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{log}' append='on'/></serial>
    <memballoon model='none'/>
    {devices}
  </devices>
</domain>
"""
BIOS = "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>"
# another version of QEMU; the domains that "vm create" makes get the host's and are then edited, as by an admin
HOST_EMULATOR = "/usr/bin/qemu-system-x86_64"
EMULATOR = os.environ.get("VMSNAP_TEST_EMULATOR", HOST_EMULATOR)
PULLS_SINCE = (8, 2)  # QEMU, into images with subclusters, in a running guest
DISK = """<disk type='{kind}' device='disk'><driver name='qemu' type='{format}'/><source {attribute}='{path}'/>
    <target dev='{target}' bus='virtio'/><boot order='{order}'/></disk>"""


def make_base():
    """A short directory (UNIX sockets lie below it) that QEMU's user can go through but not list. Below
    VMSNAP_TEST_DIR, if that is set: at most 20 bytes, and open to others like /tmp."""
    base = tempfile.mkdtemp(prefix="vs", dir=os.environ.get("VMSNAP_TEST_DIR", "/tmp"))
    os.chmod(base, 0o711)
    return base


def require_pulling():
    """Skips the test unless running guests of domain_xml() can take what is below their disks."""
    try:
        said = subprocess.run([EMULATOR, "--version"], capture_output=True, text=True, check=True).stdout
        version = tuple(map(int, re.search(r"version (\d+)\.(\d+)", said).groups()))
    except (OSError, subprocess.CalledProcessError, AttributeError):
        version = None
    if version is None or version < PULLS_SINCE:
        pytest.skip(f"{EMULATOR} is older than QEMU 8.2 (VMSNAP_TEST_EMULATOR names another)")


class Lab:
    def __init__(self, hv, images):
        self.hv = hv
        self.images = images
        self.base = make_base()
        self.daemon = Daemon(hv.uri, self.base)
        self.merges = True  # a test in which a merge cannot be made says False
        self.check_at_end = True  # a test that leaves the store broken on purpose says False
        self.left = set()  # what vmsnapctl check will find in the end, where the laws do hold

    # the daemon

    def ctl(self, *args, **kwargs):
        return self.daemon.ctl(*args, **kwargs)

    def daemon_call(self, method, **parameters):
        """One Varlink call past vmsnapctl; returns the reply's parameters."""
        return varlink.call(self.daemon.socket, method, **parameters)

    def check(self):
        """The laws hold, now, on disk and in libvirt; merges are waited for, as far as the daemon runs."""
        if self.merges and self.daemon.alive():
            self.merged()
        laws.check_store(self.daemon.store, self.hv)

    def merged(self):
        """Waits until nothing is left that could be merged, and nobody is at work."""
        until(lambda: not self.mergeable() and self.daemon.ready(), lambda: f"merged: {self.mergeable()}", 120.0)

    def mergeable(self):
        """Hidden images of all VMs over which there is just one, but for those outside. True while a merge changes
        what is read."""
        try:
            return [path for root in glob.glob(os.path.join(glob.escape(self.daemon.store), "*/"))
                    for path, above in laws.hidden(root).items()
                    if len(above) == 1 and path.startswith(os.path.realpath(root) + "/")]
        except (OSError, RuntimeError, SyntaxError):
            return True

    def agree(self):
        """The daemon's own check finds nothing but what the test says it left."""
        found = self.ctl("check", "--deep", codes=(0, FOUND))["findings"]
        assert {f["id"] for f in found if f["severity"] != "info"} == self.left, found

    # guests

    def path(self, name):
        return os.path.join(self.base, name)

    def machine(self, name="one", *args, start=False, image=None):
        """A VM with one disk, made by vmsnapctl vm create from the counting guest or another image."""
        machine = Machine(self, PREFIX + name, self.path(f"{name}.log"))
        self.create(machine, image or self.images.boot, *args)
        if start:
            machine.start()
        return machine

    def create(self, machine, image, *args, memory=16, vcpus=1, timeout=120.0):
        """vmsnapctl vm create, from a copy of that image."""
        self.ctl("vm", "create", machine.name, "--memory", f"{memory}M", "--vcpus", str(vcpus), "--import-disk", image,
                 "--console-log", machine.serial.path, *args, timeout=timeout)
        if EMULATOR != HOST_EMULATOR:
            self.emulate(machine.name)

    def emulate(self, name):
        """virsh edit of a domain that never ran: VMSNAP_TEST_EMULATOR, and the newest machine that it has. The daemon
        takes that in when it starts the VM."""
        xml = self.virsh("dumpxml", "--inactive", "--security-info", name)
        for pattern, with_ in (("<emulator>[^<]*", f"<emulator>{EMULATOR}"), ("machine='pc-i440fx-[^']*", "machine='pc"),
                               ("machine='pc-q35-[^']*", "machine='q35")):
            xml = re.sub(pattern, with_, xml)
        self.define(xml)

    def domain_xml(self, name, disks, memory=16, head=BIOS, devices="", log=None):
        """A domain document; disks is a list of (path, format) or (path, format, "block")."""
        rows = []
        for order, (path, image_format, *kind) in enumerate(disks, 1):
            block = bool(kind)
            rows.append(DISK.format(kind="block" if block else "file", attribute="dev" if block else "file",
                                    path=path, format=image_format, target=f"vd{chr(96 + order)}", order=order))
        return DOMAIN.format(name=PREFIX + name, emulator=EMULATOR, memory=memory, head=head,
                             disks="\n    ".join(rows), log=log or self.path(f"{name}.log"), devices=devices)

    @staticmethod
    def domain_name(name):
        """What the domain of domain_xml(name, ...) is called."""
        return PREFIX + name

    def define(self, xml):
        """Defines a domain the way an admin would, past vmsnap."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml", dir=self.base) as document:
            document.write(xml)
            document.flush()
            self.virsh("define", document.name)

    def virsh(self, *args, check=True):
        """virsh beside the daemon; embed lets nobody in while the daemon is up, so it is stopped for it."""
        if self.hv.name != "embed" or not self.daemon.alive():
            return self.hv.virsh(*args, check=check)
        self.daemon.stop()
        try:
            return self.hv.virsh(*args, check=check)
        finally:
            self.daemon.start()

    def two_disk_images(self, name):
        """A raw disk that boots, and a qcow2 disk beside it, outside of the store."""
        first, second = self.path(f"{name}-0.img"), self.path(f"{name}-1.qcow2")
        shutil.copy(self.images.boot, first)
        disk.create(second, "qcow2", "4M")
        return [(first, "raw"), (second, "qcow2")]

    def adopted(self, name="two", start=False, **domain):
        """A VM with two disks, raw and qcow2, outside of the store: defined by virsh, then adopted."""
        machine = Machine(self, PREFIX + name, self.path(f"{name}.log"))
        self.define(self.domain_xml(name, self.two_disk_images(name), **domain))
        self.ctl("vm", "adopt", machine.name)
        if start:
            machine.start()
        return machine

    # the end

    def finish(self, failed):
        """Ends the test's processes. A test that went well must leave a lawful store and a daemon that ends
        well; one that failed leaves its files and says where they are."""
        try:
            if failed:
                print(f"kept: {self.base}\n{self.daemon.log()}")
                self.daemon.kill()
                return
            if not self.daemon.alive() and self.check_at_end:
                self.daemon.start()
            until(lambda: not self.daemon.intents() or not self.check_at_end, "operations to end")
            if self.check_at_end:
                self.check()
                self.agree()
            self.daemon.stop()
        except BaseException:
            print(f"kept: {self.base}\n{self.daemon.log()}")
            failed = True
            self.daemon.kill()
            raise
        finally:
            self.hv.reset()
            if not failed:
                shutil.rmtree(self.base)
