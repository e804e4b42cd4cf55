# SPDX-License-Identifier: GPL-2.0-or-later
"""Every header compiles alone, and twice, with the flags of the build."""
import os
import shlex
import subprocess

from tree import Check


def main():
    check = Check(__doc__, need=[("COMPILE", "gcc")])
    command = shlex.split(os.environ["COMPILE"]) + ["-I", check.tree, "-Werror", "-fsyntax-only", "-x", "c", "-"]
    for path in check.sources(".h"):
        check.seen += 1
        result = subprocess.run(command, input=f'#include "{path}"\n' * 2, capture_output=True, text=True,
                                cwd=os.environ.get("top_builddir", "."), check=False)
        if result.returncode != 0:
            check.bad(path, 1, "does not compile alone:\n" + result.stderr)
    check.finish("headers")


main()
