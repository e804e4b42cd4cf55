/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does KVM work here? The device file alone says nothing: nested hosts have it
 * and fail, or hang, when a guest runs. */
#ifndef DAEMON_HV_KVM_H
#define DAEMON_HV_KVM_H

/* 1 if a guest of one instruction ran to its end under KVM within two seconds, and
 * QEMU then started a machine under KVM without failing, else 0. Tried once in a
 * process; later calls give the same answer. Any thread but the main loop's. */
int hv_kvm_works(void);

#endif
