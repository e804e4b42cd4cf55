# SPDX-License-Identifier: GPL-2.0-or-later
"""Each check fails on a planted violation, names it, and passes the tree without it."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = "/* SPDX-License-Identifier: GPL-2.0-or-later */\n"

GOOD = {
    "common/a.h": LICENCE + "#ifndef A_H\n#define A_H\n\n/* Does a. Returns 0. */\nint a(void);\n"
                            "int b(int x); /* as a() */\n\n#endif\n",
    "common/a.c": LICENCE + '#include "common/a.h"\n\nint a(void)\n{\n\treturn 0;\n}\n\n'
                            "int b(int x)\n{\n\treturn x;\n}\n",
    "layout/l.h": LICENCE + '#ifndef L_H\n#define L_H\n\n#include "common/a.h"\n\n#endif\n',
    "daemon/hv-x.h": LICENCE + "#ifndef HV_X_H\n#define HV_X_H\n\n#include <libvirt/libvirt.h>\n\n#endif\n",
    "daemon/hv-x.c": LICENCE + '#include "daemon/hv-x.h"\n',
    "daemon/job.c": LICENCE + '#include "layout/l.h"\n',
}


def with_text(path, text):
    """The good tree with one more file."""
    return {**GOOD, path: text}


def long_function(lines):
    return "\nint f(int x);\nint f(int x)\n{\n" + "\tx++;\n" * (lines - 4) + "\treturn x;\n}\n"


# check, what must stand in its output, the tree
PLANTED = [
    ("layers", "common may not know layout", with_text("common/up.c", LICENCE + '#include "layout/l.h"\n')),
    ("layers", "layout may not know xmlcfg", with_text("layout/x.c", LICENCE + '#include "xmlcfg/c.h"\n')),
    ("layers", "client may not know layout", with_text("client/x.c", LICENCE + '#include "layout/l.h"\n')),
    ("layers", "not named from the top", with_text("layout/x.c", LICENCE + '#include "l.h"\n')),
    ("layers", "<libvirt/libvirt.h> belongs to",
     with_text("daemon/op-x.c", LICENCE + "#include <libvirt/libvirt.h>\n")),
    ("layers", "<libvirt/libvirt.h> belongs to", with_text("daemon/op-x.c", LICENCE + '#include "daemon/hv-x.h"\n')),
    ("layers", "<libxml/tree.h> belongs to", with_text("layout/x.c", LICENCE + "#include <libxml/tree.h>\n")),
    ("layers", "<sqlite3.h> belongs to", with_text("daemon/x.c", LICENCE + "#include <sqlite3.h>\n")),
    ("layers", "<event2/event.h> belongs to", with_text("common/x.c", LICENCE + "#include <event2/event.h>\n")),
    ("layers", "only a .c file", with_text("common/x.h", LICENCE + '#include "config.h"\n')),
    ("headers", "common/x.h:1: does not compile alone", with_text("common/x.h", LICENCE + "size_t n(void);\n")),
    ("headers", "common/x.h:1: does not compile alone", with_text("common/x.h", LICENCE + "struct s { int i; };\n")),
    ("prototypes", "bare() has no comment", with_text("common/x.h", LICENCE + "\nint bare(void);\n")),
    ("prototypes", "second() has no comment",
     with_text("common/x.h", LICENCE + "\n/* First. */\nint first(void);\nint second(void);\n")),
    ("prototypes", "second() has no comment",
     with_text("common/x.h", LICENCE + "\nint first(void); /* First. */\nint second(void);\n")),
    ("prototypes", "wide() has no comment",
     with_text("common/x.h", LICENCE + "\n_must_check_ int wide(const char *a,\n\t\tint b) _printf_(1, 2);\n")),
    ("style", "601 lines, the limit", with_text("common/x.c", LICENCE + "\n" * 600)),
    ("style", "f() has 101 lines", with_text("common/x.c", LICENCE + long_function(101))),
    ("style", "90 % of the functions", with_text("common/x.c", LICENCE + long_function(60))),
    ("style", "the median function", with_text("common/x.c", LICENCE + long_function(40) * 3)),
    ("style", "first line is not", with_text("common/x.c", "/* no licence */\n")),
    ("style", "the first two lines lack", with_text("tests/x.py", "pass\n")),
    ("style", "unfinished: /* TO" "DO", with_text("common/x.c", LICENCE + "/* TO" "DO: more */\n")),
    ("style", "unfinished: # FIX" "ME", with_text("tests/x.sh", "# " + LICENCE + "# FIX" "ME\n")),
    ("style", "141 columns", with_text("common/x.c", LICENCE + "/*" + "x" * 137 + "*/\n")),
    ("style", "white space at the end", with_text("common/x.c", LICENCE + "int x; \n")),
]


def run(name, files):
    """Exit status and output of a check on a tree of these files."""
    with tempfile.TemporaryDirectory() as tree:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
            with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
                file.write(text)
        environment = {key: value for key, value in os.environ.items() if key != "NM"}
        # the build's own -I would find the real headers
        result = subprocess.run([sys.executable, os.path.join(HERE, name + ".py"), "--tree", tree],
                                env={**environment, "COMPILE": "cc -I" + tree}, text=True, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.returncode, result.stdout


def main():
    failures = []
    for name in sorted({row[0] for row in PLANTED}):
        status, output = run(name, GOOD)
        if status == 77:
            print(f"{name}: {output.strip()}, its part is skipped")
            PLANTED[:] = [row for row in PLANTED if row[0] != name]
        elif status != 0:
            failures.append(f"{name} fails on the good tree ({status}):\n{output}")
        status, output = run(name, {"x/README": ""})
        if status not in (1, 77):
            failures.append(f"{name} passes a tree without sources:\n{output}")
    for name, want, files in PLANTED:
        status, output = run(name, files)
        if status != 1 or want not in output:
            failures.append(f"{name} does not see {want!r} ({status}):\n{output}")
    print("\n".join(failures) or f"{len(PLANTED)} planted violations were seen")
    sys.exit(1 if failures else 0)


main()
