# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of files, functions and lines, the licence line, and no unfinished marks."""
import json
import os
import re
import statistics
import subprocess

from tree import ARROWS, OTHER_FOLDERS, TEXT_SUFFIXES, Check

FILE_MAX = 600
FUNCTION_MAX = 100
FUNCTION_MEDIAN = 20
FUNCTION_P90 = 50
COLUMNS = 120  # wanted
COLUMNS_MAX = 140
LICENCE = "SPDX-License-Identifier: GPL-2.0-or-later"
MARKS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


def check_lines(check, path):
    lines = check.read(path).splitlines()
    is_c = path.endswith((".c", ".h"))
    if len(lines) > FILE_MAX and path.endswith((".c", ".h", ".py")):
        check.bad(path, len(lines), f"{len(lines)} lines, the limit is {FILE_MAX}")
    if is_c and lines[:1] != [f"/* {LICENCE} */"]:
        check.bad(path, 1, f"the first line is not /* {LICENCE} */")
    if path.endswith((".py", ".sh", ".am", ".ac")) and not any(LICENCE in line for line in lines[:2]):
        check.bad(path, 1, f"the first two lines lack {LICENCE}")
    for number, line in enumerate(lines, 1):
        if MARKS.search(line):
            check.bad(path, number, "unfinished: " + line.strip())
        columns = len(line.expandtabs(8)) if is_c else 0
        if columns > COLUMNS_MAX:
            check.bad(path, number, f"{columns} columns, the limit is {COLUMNS_MAX}")
        elif columns > COLUMNS:
            print(f"note: {path}:{number}: {columns} columns, better {COLUMNS}")
        if is_c and line != line.rstrip():
            check.bad(path, number, "white space at the end of the line")


def function_lengths(check, paths):
    """(path, line, name, length) of each function."""
    output = subprocess.run(
        [os.environ["CTAGS"], "--options=NONE", "--output-format=json", "--fields=+ne", "--kinds-C=f",
         "--languages=C", "--langmap=C:.c.h", "-I", "_must_check_,_unused_,_printf_+,_cleanup_+",
         "-L", "-", "-o", "-"],
        input="\n".join(paths), check=True, capture_output=True, text=True, cwd=check.tree).stdout
    for line in output.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag" and "end" in tag:
            yield tag["path"], tag["line"], tag["name"], tag["end"] - tag["line"] + 1


def check_functions(check, paths):
    lengths, counts = [], {}
    for path, number, name, length in function_lengths(check, paths):
        counts[path] = counts.get(path, 0) + 1
        if length > FUNCTION_MAX:
            check.bad(path, number, f"{name}() has {length} lines, the limit is {FUNCTION_MAX}")
        if not path.startswith("tests/"):
            lengths.append(length)
    # what ctags cannot read it leaves out silently
    for path in paths:
        bodies = sum(1 for line in check.read(path).splitlines() if line == "{")
        if bodies > counts.get(path, 0):
            check.bad(path, 1, f"{bodies} function bodies, but ctags sees {counts.get(path, 0)}")
    if len(lengths) < 2:
        return
    median, p90 = statistics.median(lengths), statistics.quantiles(lengths, n=10)[-1]
    print(f"{len(lengths)} functions: median {median:g}, p90 {p90:g}, longest {max(lengths)} lines")
    if median > FUNCTION_MEDIAN:
        check.bad("all", 0, f"the median function has {median:g} lines, the limit is {FUNCTION_MEDIAN}")
    if p90 > FUNCTION_P90:
        check.bad("all", 0, f"90 % of the functions have up to {p90:g} lines, the limit is {FUNCTION_P90}")


def main():
    check = Check(__doc__, need=[("CTAGS", "universal-ctags")])
    folders = list(ARROWS) + list(OTHER_FOLDERS)
    paths = check.files(folders, TEXT_SUFFIXES)
    check.seen = len(paths)
    for path in paths + [name for name in ("configure.ac", "Makefile.am") if os.path.exists(f"{check.tree}/{name}")]:
        check_lines(check, path)
    check_functions(check, [path for path in paths if path.endswith((".c", ".h"))])
    check.finish("files")


main()
