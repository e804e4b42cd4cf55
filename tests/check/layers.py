# SPDX-License-Identifier: GPL-2.0-or-later
"""Includes point downward only, and each foreign library has one room."""
import fnmatch
import os
import re
import subprocess

from tree import ARROWS, Check

# Foreign headers, and the only files that may include them or a header that does.
FOREIGN = (
    ("libvirt/*", ("daemon/hv-*.c", "daemon/hv-*.h")),
    ("libxml/*", ("xmlcfg/*",)),
    ("sqlite3.h", ("layout/*",)),
    ("event2/*", ("daemon/*",)),
    ("uuid/*", ("common/*",)),
)
# Symbols that a room's library may not need.
NO_SYMBOLS = re.compile(r"^(vir[A-Z]|event_|evbuffer_|bufferevent_)")
LIBRARIES = ("common", "varlink", "layout", "xmlcfg", "savestate", "policy")


def includes(check, path):
    """(line, name, is quoted) of each include."""
    pattern = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)')
    for number, line in enumerate(check.read(path).splitlines(), 1):
        match = pattern.match(line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def check_arrow(check, path, number, name):
    room, target = path.split("/")[0], name.split("/")[0]
    if name == "config.h":
        if not path.endswith(".c"):
            check.bad(path, number, "only a .c file may include config.h")
    elif "/" not in name or target not in ARROWS:
        check.bad(path, number, f'"{name}" is not named from the top (ROOM/FILE.h)')
    elif target != room and target not in ARROWS[room]:
        check.bad(path, number, f"{room} may not know {target} ({name})")


def foreign_closure(check, path, graph, seen):
    """Foreign headers that path includes, also by way of our own headers."""
    found = set()
    if path in seen:
        return found
    seen.add(path)
    for _, name, quoted in graph.get(path, ()):
        if quoted:
            found |= foreign_closure(check, name, graph, seen)
        else:
            found.add(name)
    return found


def check_foreign(check, path, graph):
    for name in sorted(foreign_closure(check, path, graph, set())):
        for pattern, allowed in FOREIGN:
            if fnmatch.fnmatch(name, pattern) and not any(fnmatch.fnmatch(path, a) for a in allowed):
                check.bad(path, 1, f"<{name}> belongs to {' '.join(allowed)}")


def check_symbols(check):
    """The built libraries, where there are any to look at."""
    nm, build = os.environ.get("NM"), os.environ.get("top_builddir")
    if not nm or not build:
        return
    for room in LIBRARIES:
        library = os.path.join(build, room, f"lib{room}.a")
        if not check.files([room], (".c",)):
            continue
        if not os.path.exists(library):
            check.bad(library, 0, "is not built")
            continue
        output = subprocess.run([nm, "-u", library], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            symbol = line.split()[-1] if line.split() else ""
            if NO_SYMBOLS.match(symbol):
                check.bad(library, 0, f"needs {symbol}")


def main():
    check = Check(__doc__)
    graph = {path: list(includes(check, path)) for path in check.sources()}
    check.seen = len(graph)
    for path in graph:
        for number, name, quoted in graph[path]:
            if quoted:
                check_arrow(check, path, number, name)
        check_foreign(check, path, graph)
    check_symbols(check)
    check.finish("files")


main()
