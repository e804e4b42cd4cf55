# SPDX-License-Identifier: GPL-2.0-or-later
"""The source tree as the checks see it: rooms, files, and the way they report."""
import argparse
import os
import re
import shutil
import sys

# Who may know whom (each knows itself). tests/ may know all.
ARROWS = {
    "common": set(),
    "varlink": {"common"},
    "layout": {"common"},
    "xmlcfg": {"common"},
    "savestate": {"common"},
    "policy": {"common"},
    "daemon": {"common", "varlink", "layout", "xmlcfg", "savestate", "policy"},
    "client": {"common", "varlink"},
}
OTHER_FOLDERS = ("tests", "systemd", "man")
TEXT_SUFFIXES = (".c", ".h", ".s", ".py", ".sh", ".am", ".ac", ".in", ".rng", ".service", ".timer",
                 ".socket", ".1", ".5", ".7", ".8", ".varlink")


class Check:
    """Collects violations; finish() prints them and gives the exit status."""

    def __init__(self, description, need=()):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--tree", default=os.environ.get("top_srcdir", "."), help="the source tree")
        self.tree = parser.parse_args().tree
        self.violations = []
        self.seen = 0
        for variable, package in need:
            if not shutil.which((os.environ.get(variable) or "-").split()[0]):
                print(f"{variable} is missing (Debian package: {package})")
                sys.exit(1 if os.environ.get("CI") == "true" else 77)

    def bad(self, path, line, text):
        self.violations.append(f"{path}:{line}: {text}")

    def read(self, path):
        with open(os.path.join(self.tree, path), encoding="utf-8") as file:
            return file.read()

    def files(self, folders, suffixes):
        """Paths below the folders, relative to the tree, sorted; seeds and golden data are not text of ours."""
        found = []
        for folder in folders:
            for directory, below, names in os.walk(os.path.join(self.tree, folder)):
                below[:] = [name for name in below if name not in ("corpus", "golden", "__pycache__")]
                found += [os.path.relpath(os.path.join(directory, name), self.tree)
                          for name in names if name.endswith(suffixes)]
        return sorted(found)

    def sources(self, *suffixes):
        """The C files of the rooms."""
        return self.files(ARROWS, suffixes or (".c", ".h"))

    def finish(self, what):
        for violation in self.violations:
            print(violation)
        if not self.seen:
            print(f"no {what} found below {self.tree}: the check sees nothing")
            sys.exit(1)
        print(f"{self.seen} {what}, {len(self.violations)} violations")
        sys.exit(1 if self.violations else 0)


def strip_comments(text):
    """C without comments and without the contents of strings; lines stay where they are."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] * 2
        return " " + "\n" * token.count("\n")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)
