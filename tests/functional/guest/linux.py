#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest with QEMU's own guest agent: Debian's kernel, and an initramfs of busybox, qemu-ga and linux-init.

UNPACKED holds what quickstart.sh unpacks there, not installed: linux-image-*-cloud-amd64, busybox-static and
qemu-guest-agent. The libraries of qemu-ga are those of this machine: QEMU needs the same."""
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
           "virtio_console")
APPLETS = ("sh", "mount", "insmod", "cat", "date", "sleep", "sync", "umount", "poweroff", "hwclock", "mkdir")


def _one(unpacked, pattern):
    found = glob.glob(os.path.join(glob.escape(unpacked), pattern), recursive=True)
    if len(found) != 1:
        raise FileNotFoundError(f"{pattern} in {unpacked}: {found}")
    return found[0]


def _libraries(program):
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    if "not found" in said:
        raise FileNotFoundError(f"libraries of {program}: {said}")
    return re.findall(r"(/\S+) \(0x", said)


class Archive:
    """A cpio archive as the kernel takes it."""

    def __init__(self):
        self.content = bytearray()
        self.number = 0
        self.made = {""}

    def _add(self, name, mode, data):
        self.number += 1
        name = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        self.content += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._align()
        self.content += data
        self._align()

    def _align(self):
        self.content += bytes(-len(self.content) % 4)

    def directory(self, name):
        if name not in self.made:
            self.directory(os.path.dirname(name))
            self.made.add(name)
            self._add(name, 0o040755, b"")

    def file(self, name, path):
        self.directory(os.path.dirname(name))
        with open(path, "rb") as file:
            self._add(name, 0o100755, file.read())

    def link(self, name, to):
        self.directory(os.path.dirname(name))
        self._add(name, 0o120777, to.encode())

    def end(self):
        self._add("TRAILER!!!", 0, b"")
        return self.content


def kernel(unpacked):
    """Path of the kernel."""
    return _one(unpacked, "boot/vmlinuz-*")


def initramfs(unpacked, path):
    """Writes it."""
    archive = Archive()
    for name in ("proc", "sys", "dev", "data", "run", "tmp", "var/run", "usr/local/var/run"):
        archive.directory(name)
    archive.file("bin/busybox", _one(unpacked, "**/bin/busybox"))
    for applet in APPLETS:
        archive.link(("sbin/" if applet == "hwclock" else "bin/") + applet, "/bin/busybox")
    agent = _one(unpacked, "usr/sbin/qemu-ga")
    archive.file("bin/qemu-ga", agent)
    for library in _libraries(agent):
        archive.file(library.lstrip("/"), library)
    for module in MODULES:
        archive.file(f"modules/{module}.ko", _one(unpacked, f"lib/modules/*/kernel/drivers/**/{module}.ko"))
    for name in ("init", "sbin/shutdown", "hook"):
        archive.file(name, os.path.join(HERE, "linux-" + os.path.basename(name)))
    with open(path, "wb") as file:
        file.write(archive.end())


if __name__ == "__main__":
    initramfs(sys.argv[1], sys.argv[2])
