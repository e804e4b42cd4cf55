# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file that git tracks is in the distribution (make check-tarball)."""
import os
import subprocess
import sys

# of the checkout only
NOT_SHIPPED = (".git", ".ci/")


def main():
    tree, distribution = os.environ["top_srcdir"], sys.argv[1]
    tracked = subprocess.run(["git", "-C", tree, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    missing = [path for path in tracked.split("\0")
               if path and not path.startswith(NOT_SHIPPED) and not os.path.lexists(os.path.join(distribution, path))]
    for path in missing:
        print(f"{path}: tracked by git, but not in {distribution}: add it to EXTRA_DIST or to the sources")
    print(f"{len(missing)} files are missing")
    sys.exit(1 if missing else 0)


main()
