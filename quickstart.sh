#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# From a fresh Debian 12 with nothing but git and a shell to vmsnap at work.
#
#   ./quickstart.sh demo    build it; show on a real guest how memory and disk go back in time
#   ./quickstart.sh check   build it; run all tests
#
# Missing Debian packages are installed (with sudo if you are not root; none at all if nothing is missing). What is
# built lies in ./build, what the demo makes in a directory under /tmp that goes when it ends.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$here/build
jobs=$(getconf _NPROCESSORS_ONLN)

build_packages="autoconf automake binutils gcc libc6-dev make pkg-config libcmocka-dev libevent-dev libjansson-dev
	libsqlite3-dev libvirt-dev libxml2-dev libxxhash-dev libzstd-dev uuid-dev python3 python3-pytest"
# libvirt-daemon-system makes the user libvirt-qemu, without whom the embedded driver does not start as root
run_packages="libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-system qemu-system-x86 qemu-utils"
check_packages="e2fsprogs git libvirt-clients libxml2-utils man-db mandoc mount mtools ovmf procps socat swtpm
	swtpm-tools systemd universal-ctags util-linux valgrind varlink-go xfsprogs xz-utils"

say() {
	printf '\n== %s\n' "$*"
}

die() {
	printf 'quickstart.sh: %s\n' "$*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "must be root for: $* (or install sudo)"
	fi
}

# Installs those of the packages named that are not there.
need() {
	missing=
	for package in "$@"; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
		installed) ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	say "installing:$missing"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
	# shellcheck disable=SC2086 # a list
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
}

# Builds out of tree; what is up to date is not built again.
make_all() {
	say "building in $build"
	[ -x "$here/configure" ] || (cd "$here" && ./autogen.sh)
	mkdir -p "$build"
	cd "$build"
	[ -f config.status ] || "$here/configure" -q "$@"
	make -s -j"$jobs"
	cd "$here"
}

find_program() {
	for place in "$build" "$build/daemon" "$build/client" "$build/savestate"; do
		if [ -x "$place/$1" ]; then
			echo "$place/$1"
			return
		fi
	done
	die "$1 was not built"
}

# ---- demo ----

# Prints a command as you would type it, then runs it.
run() {
	printf '\n$ vmsnapctl'
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:=-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	"$vmsnapctl" "$@"
}

# The last whole line of the guest: "T=<number in RAM> D=<number on disk> =".
last_line() {
	grep -a -E '^T=[0-9A-F]{8} D=[0-9A-F]{8} [=!]$' "$scratch/serial.log" 2>/dev/null | tail -n 1
}

# The number in the guest's RAM, decimal; 0 if it said nothing yet.
number() {
	line=$(last_line)
	line=${line#T=}
	echo $((0x0${line%% *}))
}

# Waits until the condition (a command) holds, for at most 60 seconds.
await() {
	what=$1
	shift
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || die "waited in vain for $what; see the log: $(tail -n 5 "$scratch/vmsnapd.log")"
		sleep 0.1
	done
}

reached() { [ "$(number)" -ge "$1" ]; }
below() { [ "$(number)" -gt 0 ] && [ "$(number)" -lt "$1" ]; }
serving() { "$vmsnapctl" --json status 2>/dev/null | grep -q '"connected": *true'; }

show_guest() {
	printf '    the guest says: %s\n' "$(last_line)"
}

demo_cleanup() {
	trap - EXIT INT TERM
	if [ -n "${daemon:-}" ]; then
		"$vmsnapctl" --quiet vm stop demo >/dev/null 2>&1 || true
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
	# a guest of ours that outlived it, by its pid file
	pid_file=$scratch/e/run/qemu/demo.pid
	[ ! -f "$pid_file" ] || kill "$(cat "$pid_file")" 2>/dev/null || true
	rm -rf "$scratch"
}

demo() {
	# shellcheck disable=SC2086 # lists
	need $build_packages $run_packages
	make_all
	vmsnapctl=$(find_program vmsnapctl)
	vmsnapd=$(find_program vmsnapd)
	began=$(date +%s)

	scratch=$(mktemp -d /tmp/vsdemo.XXXXXX) # short: libvirt makes UNIX sockets deep below
	chmod 711 "$scratch"
	trap demo_cleanup EXIT
	trap 'exit 130' INT TERM
	VMSNAP_SOCKET=$scratch/sock
	VMSNAP_SCHEMA_DIR=$here/xmlcfg
	VMSNAP_CAPTURE=$(find_program vmsnap-capture)
	export VMSNAP_SOCKET VMSNAP_SCHEMA_DIR VMSNAP_CAPTURE

	say "a guest of 512 bytes: it counts in its RAM (T) and on its disk (D), 18 times a second"
	/usr/bin/python3 -B "$here/tests/functional/guest/build.py" boot "$scratch/guest.img"

	say "the daemon, with libvirt's QEMU driver inside: no libvirtd needed"
	printf '$ vmsnapd --uri "qemu:///embed?root=%s" --store %s --socket %s &\n' "$scratch/e" "$scratch/store" "$VMSNAP_SOCKET"
	"$vmsnapd" --uri "qemu:///embed?root=$scratch/e" --store "$scratch/store" --socket "$VMSNAP_SOCKET" 2>"$scratch/vmsnapd.log" &
	daemon=$!
	await "the daemon" serving

	run vm create demo --memory 16M --vcpus 1 --import-disk "$scratch/guest.img" --console-log "$scratch/serial.log"
	run vm start demo
	await "the guest" reached 20
	show_guest

	say "a snapshot while it runs: it does not notice"
	run snapshot create demo --name "base install"
	at_base=$(number)
	await "the guest" reached $((at_base + 40))
	show_guest
	run snapshot create demo --name "before upgrade"
	at_upgrade=$(number)
	await "the guest" reached $((at_upgrade + 40))
	show_guest
	later=$(number)

	say "revert: back to the snapshot that the present derives from"
	run snapshot revert demo --discard
	await "the guest back at $at_upgrade" below "$later"
	show_guest
	await "the guest" reached $((at_upgrade + 40))
	later=$(number)

	say "back to the first one: RAM and disk are what they were then"
	run snapshot apply demo "base install" --discard
	await "the guest back at $at_base" below "$at_upgrade"
	show_guest
	back=$(number)
	[ "$back" -lt "$later" ] || die "the counter did not go back: $later, then $back"

	say "from here the next snapshot starts a branch"
	await "the guest" reached $((back + 20))
	run snapshot create demo --name "other idea"

	say "over to the other branch"
	run snapshot apply demo "before upgrade" --discard
	await "the guest at $at_upgrade" reached "$at_upgrade"
	show_guest
	case $(last_line) in
	*=) ;;
	*) die "the guest says that its disk is not what its memory says" ;;
	esac

	run snapshot tree demo

	say "a snapshot that nothing depends on can go; the guest does not notice"
	run snapshot delete demo "other idea" --yes
	run snapshot tree demo
	run vm show demo
	run vm stop demo
	demo_cleanup
	say "done in $(($(date +%s) - began)) seconds"
}

# ---- check ----

passed=0
failed=0
skipped=0
broken=

# Functional or fault tests: the drivers, the target, which of the tests, which part of the files.
guests() {
	as_root env CI="${CI:-}" VMSNAP_FAULT="${VMSNAP_FAULT:-quick}" VMSNAP_TEST_DRIVERS="$1" \
		VMSNAP_TEST_PART="${4:-1/1}" make -s -C "$build" "$2" PYTEST_ARGS="${3:-}"
}

# The lanes of the check, the longest first. In two of them everything is built again, to be tested and not to be
# fast; the others are for guests, which mostly wait.
lanes="system unit sanitizers embed-1 embed-2 killed failed random"

lane() {
	case $1 in
	unit) # all of `make check`, from the tarball
		make -s -C "$build" -j"$jobs" distcheck DISTCHECK_CONFIGURE_FLAGS=CFLAGS=-O0 ;;
	sanitizers) sanitized ;;
	embed-1) guests embed check-functional "" 1/2 ;;
	embed-2) guests embed check-functional "" 2/2 ;;
	killed) guests embed check-fault "-k 'test_killed and not random or every'" ;;
	failed) guests embed check-fault "-k test_failed" ;;
	random) guests embed check-fault "-k 'random or test_guest_dies'" ;;
	system) # one after the other: a test restarts libvirtd
		rc=0
		guests system check-functional || rc=$?
		guests system check-fault "-k 'test_killed and not random and (CreatePaused or ApplyMemory)'" || rc=$?
		return $rc ;;
	*) die "no such lane: $1" ;;
	esac
}

# Runs one lane and keeps what it says; show_lane() prints that.
run_lane() {
	began=$(date +%s)
	rc=0
	lane "$1" >"$build/check-$1.log" 2>&1 || rc=$?
	took=$(($(date +%s) - began))
	echo "$rc $took" >"$build/check-$1.rc"
	echo "$1: exit $rc after $took seconds"
}

show_lane() {
	read -r rc took 2>/dev/null <"$build/check-$1.rc" || { rc=1 && took=many && touch "$build/check-$1.log"; }
	say "check: $1, $took seconds"
	cat "$build/check-$1.log"
	[ "$rc" = 0 ] || broken="$broken $1"
}

# The sum of the numbers that a sed expression finds in a log.
found() {
	sed -n "$2" "$1" | { sum=0; while read -r n; do sum=$((sum + n)); done; echo "$sum"; }
}

# Adds up what automake ("# PASS:  12") or pytest ("12 passed, 1 skipped in 3.4s") counted.
count() {
	log=$build/check-$1.log
	passed=$((passed + $(found "$log" 's/^# PASS: *//p') + $(found "$log" 's/.*\b\([0-9]\+\) passed.* in [0-9.]*s.*/\1/p')))
	skipped=$((skipped + $(found "$log" 's/^# SKIP: *//p') + $(found "$log" 's/.*\b\([0-9]\+\) skipped.* in [0-9.]*s.*/\1/p')))
	failed=$((failed + $(found "$log" 's/^# FAIL: *//p') + $(found "$log" 's/.*\b\([0-9]\+\) failed.* in [0-9.]*s.*/\1/p')))
	failed=$((failed + $(found "$log" 's/^# ERROR: *//p') + $(found "$log" 's/.*\b\([0-9]\+\) errors\?.* in [0-9.]*s.*/\1/p')))
}

# A kernel, busybox and QEMU's guest agent for the guest of test_linux_agent.py: unpacked, not installed. If that
# cannot be done the test says so.
unpack_linux() {
	[ ! -e "$build/linux/done" ] || return 0
	say "unpacking Linux for a guest"
	rm -rf "$build/linux"
	mkdir -p "$build/linux"
	for again in yes no; do
		kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1)
		if (cd "$build/linux" && apt-get -qq download "${kernel:-none}" busybox-static qemu-guest-agent) 2>/dev/null; then
			break
		fi
		[ $again = no ] || as_root apt-get -qq update
	done
	for package in "$build/linux"/*.deb; do
		dpkg -x "$package" "$build/linux" || return 0
		rm "$package"
	done
	touch "$build/linux/done"
}

sanitized() {
	mkdir -p "$build/sanitized" && cd "$build/sanitized" || return
	[ -f config.status ] || "$here/configure" -q --enable-werror --enable-sanitizers CFLAGS="-g -O1" || return
	make -s -j"$jobs" check
}

check() {
	# shellcheck disable=SC2086 # lists
	need $build_packages $run_packages $check_packages
	make_all --enable-werror
	unpack_linux
	say "check: all tests, some minutes; logs: $build/check-*.log"
	# shellcheck disable=SC2086 # lists
	{
		for name in $lanes; do
			rm -f "$build/check-$name.rc"
		done
		# a lane that is killed is no reason for xargs to leave the others alone
		# shellcheck disable=SC2016 # for the inner shell
		printf '%s\n' $lanes | xargs -n 1 -P $((jobs * 2)) \
			sh -c '"$0" --lane "$1" || exit 1' "$here/quickstart.sh" || true
		for name in $lanes; do
			show_lane "$name"
			[ "$name" = sanitizers ] || count "$name"
		done
	}
	if [ -n "$broken" ]; then
		say "failed:$broken (logs in $build)"
		[ "$failed" -gt 0 ] || failed=1
	fi
	printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ -z "$broken" ]
}

case ${1:-} in
demo) demo ;;
check) check ;;
--lane) run_lane "$2" ;;
*)
	sed -n '3,10s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
