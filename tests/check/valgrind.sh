#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a test program under valgrind: leaks and bad reads fail it. "make
# check-valgrind" puts it before each unit test and fuzz target.
if [ -z "$VALGRIND" ]; then
    echo "valgrind is missing (Debian package: valgrind)"
    [ "$CI" = true ] && exit 1
    exit 77
fi
VMSNAP_VALGRIND=1 # what valgrind cannot do is skipped by the tests
export VMSNAP_VALGRIND
# child processes exec at once or are other people's programs
exec "$VALGRIND" -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,possible \
    --errors-for-leak-kinds=definite,possible --track-fds=no --trace-children=no "$@"
