# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration documents and domain documents as a stranger would read them."""
import os
import re
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple, Optional

GUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


class Seal(NamedTuple):
    size: int
    mtime_ns: int


class Disk(NamedTuple):
    target: str
    pathname: str  # as written
    path: str      # absolute
    format: str
    seal: Optional[Seal]


class Document:
    """One <GUID>.xml of a VM directory."""

    def __init__(self, path, root):
        self.path = path
        self.root = root
        tree = ElementTree.parse(path).getroot()
        self.guid = tree.findtext("properties/global_id")
        self.vm_guid = tree.findtext("properties/vm_id")
        self.parent = tree.findtext("properties/parent_id")
        self.name = tree.findtext("properties/name")
        self.kind = tree.findtext("properties/type_id")
        self.mode = tree.findtext("capture/mode")
        self.disks = [self._disk(node) for node in tree.findall("disks/disk")]
        self.state = self._resolve(tree.findtext("savedstate/vsvlocation"))
        self.memory = self._resolve(tree.findtext("savedstate/memlocation"))
        if self.memory and not os.path.exists(self.memory) and os.path.exists(self.memory + "z"):
            self.memory += "z"  # packed
        self.state_size = tree.findtext("savedstate/size")
        self.firmware_copies = [self._resolve(node.text) for node in tree.findall("firmware/*/copy")]
        self.firmware_live = [self._resolve(node.text) for node in tree.findall("firmware/*/live")]
        self.domain = tree.find("domain/domain")
        self.pathnames = [node.text for node in tree.iter()
                          if node.tag in ("pathname", "vsvlocation", "memlocation", "copy") and node.text]

    def _resolve(self, pathname):
        return pathname and os.path.normpath(os.path.join(self.root, pathname))

    def _disk(self, node):
        seal = node.find("seal")
        pathname = node.findtext("pathname")
        return Disk(node.findtext("target"), pathname, self._resolve(pathname), node.findtext("format"),
                    seal is not None and Seal(int(seal.findtext("size")), int(seal.findtext("mtime"))) or None)

    def disk_paths(self):
        """{target: absolute path}"""
        return {disk.target: disk.path for disk in self.disks}


def domain_disks(xml):
    """{target: (source, driver type)} of the writable disks of a domain document."""
    disks = {}
    for node in ElementTree.fromstring(xml).findall("devices/disk"):
        if node.get("device", "disk") != "disk" or node.find("readonly") is not None or node.find("shareable") is not None:
            continue
        source, driver = node.find("source"), node.find("driver")
        path = None if source is None else source.get("file") or source.get("dev")
        disks[node.find("target").get("dev")] = (path, None if driver is None else driver.get("type"))
    return disks


def without_disks(xml):
    """A domain document in a canonical form, without what differs between working disks: for comparing."""
    tree = ElementTree.fromstring(xml)
    for node in tree.findall("devices/disk"):
        for child in list(node):
            if child.tag in ("source", "backingStore", "driver"):
                node.remove(child)
    genid = tree.find("genid")
    if genid is not None:
        genid.text = ""
    return ElementTree.canonicalize(ElementTree.tostring(tree), strip_text=True)
