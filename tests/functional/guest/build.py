#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes raw disk images of the test guests (tick.s, talk.s, tick-efi.c) with GNU as, ld, gcc and mtools.

usage: build.py boot FILE [--touch MIB] [--busy] [--size MIB]
       build.py talk FILE [--touch MIB] [--size MIB]
       build.py efi FILE
       build.py empty FILE [--size MIB]
"""
import argparse
import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
EFI_CFLAGS = """-Wall -Wextra -Wshadow -Werror -O1 -ffreestanding -fno-ident -fpie -fno-stack-protector -fcf-protection=none
    -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fvisibility=hidden -mno-red-zone -mno-sse""".split()
FAT_MIB, ESP_MIB = 4, 8  # the FAT ends before the disk does: its last sector is the guest's


def _run(*command, cwd=HERE):
    subprocess.run(command, check=True, cwd=cwd)


def empty(path, size=4):
    """An empty raw disk of `size` MiB."""
    with open(path, "wb") as disk:
        disk.truncate(size * MIB)


def _boot_sector(source, path, size, **symbols):
    """A raw disk of `size` MiB that boots `source`; SeaBIOS wants at least one MiB on a virtio disk."""
    defines = [word for name, value in symbols.items() for word in ("--defsym", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as tmp:
        _run("as", "--32", *defines, "-o", f"{tmp}/guest.o", source)
        _run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", f"{tmp}/guest", f"{tmp}/guest.o")
        with open(f"{tmp}/guest", "rb") as binary:
            sector = binary.read()
    if len(sector) != 512:
        raise RuntimeError(f"{source} made {len(sector)} bytes, not one sector")
    with open(path, "wb") as disk:
        disk.write(sector)
        disk.truncate(size * MIB)


def boot(path, touch=0, busy=False, size=4, watch=0):
    """A raw disk that boots tick.s."""
    _boot_sector("tick.s", path, size, TOUCH=touch, BUSY=int(busy), WATCH=watch)


def watched_sum(content, watch):
    """What tick.s says of a disk with that content if it watches so much of it."""
    total = 0
    for lba in range(9, watch * 8, 8):
        word = int.from_bytes(content[lba * 512:lba * 512 + 4].ljust(4, b"\0"), "little")
        total = ((total << 1 | total >> 31) + word) & 0xffffffff
    return total


def talk(path, touch=0, size=4):
    """A raw disk that boots talk.s."""
    _boot_sector("talk.s", path, size, TOUCH=touch)


def efi(path):
    """A raw disk that boots tick-efi.c under UEFI: a FAT without partition table, its last sector free."""
    with tempfile.TemporaryDirectory() as tmp:
        _run("gcc", *EFI_CFLAGS, "-c", "-o", f"{tmp}/tick.o", "tick-efi.c")
        _run("ld", "-m", "i386pep", "--subsystem", "10", "-e", "efi_main", "--image-base", "0", "-s",
             "-o", f"{tmp}/tick.efi", f"{tmp}/tick.o")
        empty(path, ESP_MIB)
        sectors = FAT_MIB * MIB // 512
        _run("mformat", "-i", path, "-T", str(sectors), "-h", "16", "-s", "32", "-v", "ESP", "::", cwd=tmp)
        _run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT", cwd=tmp)
        _run("mcopy", "-i", path, f"{tmp}/tick.efi", "::/EFI/BOOT/BOOTX64.EFI", cwd=tmp)


def main():
    parser = argparse.ArgumentParser(description="make raw disk images of the test guests")
    parser.add_argument("kind", choices=("boot", "talk", "efi", "empty"))
    parser.add_argument("file")
    parser.add_argument("--touch", type=int, default=0, metavar="MIB", help="RAM to fill at boot")
    parser.add_argument("--busy", action="store_true", help="fill it again at each tick")
    parser.add_argument("--size", type=int, default=4, metavar="MIB", help="size of the disk")
    args = parser.parse_args()
    path = os.path.abspath(args.file)
    if args.kind == "boot":
        boot(path, args.touch, args.busy, args.size)
    elif args.kind == "talk":
        talk(path, args.touch, args.size)
    elif args.kind == "efi":
        efi(path)
    else:
        empty(path, args.size)


if __name__ == "__main__":
    main()
