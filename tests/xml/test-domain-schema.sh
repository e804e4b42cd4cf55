#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every golden domain document, before and after our changes, is one in the eyes
# of libvirt's own schema.
command -v virt-xml-validate >/dev/null || { echo "virt-xml-validate is missing (libvirt-clients)"; exit 77; }
cd "${srcdir:-.}/tests/xml/domain" || exit 1
failed=0
for file in *.xml; do
    virt-xml-validate "$file" domain || failed=1
done
[ -e "$file" ] || failed=1
exit $failed
