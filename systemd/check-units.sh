#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# systemd-analyze accepts the units without a word (it returns 0 for unknown keys, and says so).
set -eu
if ! command -v systemd-analyze >/dev/null; then
	echo "missing: systemd-analyze"
	[ "${CI:-}" != true ] || exit 1
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for unit in vmsnapd.service vmsnapd.socket; do
	# neither our program nor our manual pages need be installed to check the rest
	sed -e 's|^ExecStart=.*|ExecStart=/bin/true|' -e '/^Documentation=/d' "$top_builddir/systemd/$unit" >"$tmp/$unit"
done
grep -q '^ExecStart=/.*/vmsnapd$' "$top_builddir/systemd/vmsnapd.service"
if grep -n '@[a-z]*@' "$top_builddir"/systemd/vmsnapd.*; then
	echo "not substituted"
	exit 1
fi
said=$(systemd-analyze verify --man=no "$tmp/vmsnapd.service" "$tmp/vmsnapd.socket" 2>&1) || { echo "$said"; exit 1; }
# what other units of this machine get wrong is not our concern
said=$(printf '%s\n' "$said" | grep -F vmsnapd. || true)
[ -z "$said" ] || { echo "$said"; exit 1; }
