# SPDX-License-Identifier: GPL-2.0-or-later
"""Every prototype in a header has a comment: right above it, or on its own lines."""
import re

from tree import Check, strip_comments

PROTOTYPE = re.compile(r"\b([A-Za-z_]\w*)\s*\([^;{}]*\)[^;{}]*;$", re.S)
NOT_ONE = re.compile(r"^(typedef\b|#|[A-Z_]+\s*\(|return\b|struct allow_semicolon_)")


def statements(lines):
    """(first, last) line indexes of the statements at the top level that end with a semicolon."""
    depth, first, in_macro = 0, None, False
    for index, line in enumerate(lines):
        if in_macro or line.lstrip().startswith("#"):
            in_macro = line.rstrip().endswith("\\")
            continue
        if first is None and line.strip():
            first = index
        depth += line.count("{") - line.count("}")
        if first is not None and depth == 0 and line.rstrip().endswith((";", "}")):
            if line.rstrip().endswith(";"):
                yield first, index
            first = None


def has_comment(raw, first, last):
    if any("/*" in line or "//" in line for line in raw[first:last + 1]):
        return True
    above = raw[first - 1].rstrip() if first else ""
    if above.lstrip().startswith("//"):
        return True
    # a comment behind another statement belongs to that one
    return above.endswith("*/") and (not re.search(r";\s*/\*", above))


def check_header(check, path):
    text = check.read(path)
    raw, bare = text.splitlines(), strip_comments(text).splitlines()
    for first, last in statements(bare):
        statement = "\n".join(bare[first:last + 1]).strip()
        match = PROTOTYPE.search(statement)
        if not match or NOT_ONE.match(statement) or "{" in statement:
            continue
        check.seen += 1
        name = re.search(r"([A-Za-z_]\w*)\s*\(", re.sub(r"_\w+_\s*\([^)]*\)", "", statement))
        if not has_comment(raw, first, last):
            check.bad(path, first + 1, f"{name.group(1) if name else statement}() has no comment")


def main():
    check = Check(__doc__)
    for path in check.sources(".h"):
        check_header(check, path)
    check.finish("prototypes")


main()
