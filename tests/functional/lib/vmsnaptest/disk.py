# SPDX-License-Identifier: GPL-2.0-or-later
"""Images seen from outside, by QEMU's own tools; never by our code."""
import json
import os
import re
import subprocess
import tempfile


def _output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def sector(path, image_format, lba=1):
    """The number that a test guest left in sector `lba` (a little-endian dword)."""
    out = _output("qemu-io", "-r", "-U", "-f", image_format, "-c", f"read -v {lba * 512} 512", path)
    row = re.search(rf"^{lba * 512:08x}:\s+((?:[0-9a-f]{{2}} +){{4}})", out, re.M)
    if not row:
        raise RuntimeError(f"qemu-io read nothing from {path}: {out}")
    return int.from_bytes(bytes.fromhex(row.group(1).replace(" ", "")), "little")


def chain(path):
    """qemu-img's view of the image and what backs it: a list of dictionaries, top first."""
    return json.loads(_output("qemu-img", "info", "-U", "--backing-chain", "--output=json", path))


def chain_paths(path):
    """Absolute paths of the image and all that backs it, top first, by the headers alone."""
    paths = []
    while path:
        path = os.path.realpath(path)
        if path in paths:
            raise RuntimeError(f"{path} backs itself")
        paths.append(path)
        path = backing(path)[0]
    return paths


def backing(path):
    """(absolute path, name as written, format) of what backs a qcow2 image; Nones without one.

    Reads the header itself (QEMU docs/interop/qcow2.txt), so that a name without a format shows."""
    with open(path, "rb") as image:
        head = image.read(65536)
    if head[:4] != b"QFI\xfb":
        return None, None, None
    version = int.from_bytes(head[4:8], "big")
    offset, size = int.from_bytes(head[8:16], "big"), int.from_bytes(head[16:20], "big")
    if not offset:
        return None, None, None
    name = head[offset:offset + size].decode()
    place = int.from_bytes(head[100:104], "big") if version >= 3 else 72
    image_format = None
    while place + 8 <= len(head):
        kind, length = int.from_bytes(head[place:place + 4], "big"), int.from_bytes(head[place + 4:place + 8], "big")
        if kind == 0:
            break
        if kind == 0xe2792aca:
            image_format = head[place + 8:place + 8 + length].decode()
        place += 8 + (length + 7) // 8 * 8
    return os.path.realpath(os.path.join(os.path.dirname(path), name)), name, image_format


def write(path, image_format, offset, size, byte):
    """Fills a part of an image that nobody has open, as a guest would."""
    _output("qemu-io", "-f", image_format, "-c", f"write -P {byte} {offset} {size}", path)


def content(path, image_format):
    """All that an image shows, as bytes, without trailing zeros; nobody may be writing to it."""
    with tempfile.NamedTemporaryFile() as raw:
        _output("qemu-img", "convert", "-U", "-f", image_format, "-O", "raw", path, raw.name)
        return raw.read().rstrip(b"\0")


def check(path):
    """qemu-img check of a qcow2 image that nobody has open: raises if it is damaged."""
    _output("qemu-img", "check", "-q", "-f", "qcow2", path)


def convert(source, source_format, target, target_format):
    _output("qemu-img", "convert", "-f", source_format, "-O", target_format, source, target)


def create(path, image_format, size):
    _output("qemu-img", "create", "-q", "-f", image_format, path, size)


def create_over(path, backing_path, backing_format):
    """A qcow2 image over another one, as an admin makes a linked clone."""
    _output("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing_path, "-F", backing_format, path)
