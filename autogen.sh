#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes configure after a checkout. A released tarball has it already.
set -e
cd "$(dirname "$0")"
for tool in autoreconf automake pkg-config; do
	command -v $tool >/dev/null || {
		echo "$tool is missing (Debian packages: autoconf automake pkg-config)" >&2
		exit 1
	}
done
autoreconf --install --force
