#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs test-reflink on an XFS in a file, mounted for it. Skipped where nothing can be mounted.
set -u

skip() {
	echo "skipped: $*" >&2
	exit 77
}

[ "$(id -u)" = 0 ] || skip "only root can mount a file system"
if ! command -v mkfs.xfs >/dev/null; then
	[ "${CI:-}" != true ] || { echo "mkfs.xfs is missing (Debian package: xfsprogs)" >&2; exit 1; }
	skip "mkfs.xfs is missing (Debian package: xfsprogs)"
fi
dir=$(mktemp -d) || exit 1
mounted=
trap '[ -z "$mounted" ] || umount "$dir/fs"; rm -rf --one-file-system "$dir"' EXIT
truncate -s 400M "$dir/image" && mkdir "$dir/fs" && mkfs.xfs -q -m reflink=1 "$dir/image" || exit 1
said=$(mount -o loop "$dir/image" "$dir/fs" 2>&1) || skip "an XFS in a file cannot be mounted here: $said"
mounted=1
TMPDIR=$dir/fs tests/unit/test-reflink
