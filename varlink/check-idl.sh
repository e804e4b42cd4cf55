#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Lets other people's parsers read the interface description: those that are here.
set -eu
idl=${srcdir:-.}/varlink/io.vmsnap.Manager.varlink
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
checked=no

# systemd >= 257
if command -v varlinkctl >/dev/null && varlinkctl --help | grep -q validate-idl; then
	varlinkctl validate-idl "$idl" >/dev/null
	checked=yes
fi

# Debian's varlink-go refuses capitals in an interface's name, which the specification allows.
if command -v varlink-go-interface-generator >/dev/null; then
	sed 's/^interface io\.vmsnap\.Manager$/interface io.vmsnap.manager/' "$idl" >"$tmp/idl.varlink"
	varlink-go-interface-generator "$tmp/idl.varlink" >/dev/null
	checked=yes
fi

if [ $checked = no ]; then
	echo "neither varlinkctl nor varlink-go-interface-generator (Debian: varlink-go) is here"
	[ "${CI:-}" = true ] && exit 1
	exit 77
fi
