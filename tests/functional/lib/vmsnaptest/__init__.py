# SPDX-License-Identifier: GPL-2.0-or-later
"""What the functional, fault and bench tests share: real daemon, real libvirt, real guests.

where.py       paths of the build and the sources, tools that a test needs
wait.py        waiting for a condition with a deadline
varlink.py     a minimal Varlink client
disk.py        reading images from outside
serial.py      the guest's serial line, read from its log file
hypervisor.py  libvirt: qemu:///embed and qemu:///system
daemon.py      one vmsnapd with a store and a socket of its own, and vmsnapctl
machine.py     one guest under vmsnap
busy.py        a guest that writes all its memory, and a capture of it that goes wrong
small.py       stores on small or full file systems
tree.py        trees of snapshots, and what each must show
running.py     the same while the guest runs and is watched
merging.py     merges that are met while they copy, or do not end before a test wants it
lab.py         all of it together for one test
uefi.py        the UEFI guest with a TPM
laws.py        the laws of a store, checked from outside
fixtures.py    the pytest fixtures
"""
