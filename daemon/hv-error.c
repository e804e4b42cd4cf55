/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's errors as ours: its message stays, what was attempted comes before
 * it, and a hint follows where the cause is known. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>

#include "common/alloc.h"
#include "daemon/hv-libvirt.h"

/* Texts that libvirt or QEMU use, and what to do then; the first that fits wins. */
static const struct {
	const char *text;
	const char *hint;
} hints[] = {
	{ "Failed to parse user", "install libvirt-daemon-system: it makes the user that libvirt's QEMU driver needs" },
	{ "virtlogd-sock", "start virtlogd (systemctl start virtlogd.socket), or set stdio_handler = \"file\" in "
			   "libvirt's qemu.conf" },
	{ "virtlockd-sock", "start virtlockd (systemctl start virtlockd.socket)" },
	{ "virtnetworkd-sock", "start virtnetworkd (systemctl start virtnetworkd.socket), or use a network of type "
			       "user: the embedded driver has no virtual networks" },
	{ "virtstoraged-sock", "start virtstoraged, or name the disk by its path instead of its storage pool" },
	{ "libvirt-sock", "start libvirt's daemon (systemctl start libvirtd), and check that this user may use it" },
	{ "virtqemud-sock", "start libvirt's daemon (systemctl start virtqemud.socket), and check that this user may "
			    "use it" },
	{ "authentication unavailable", "let this user manage libvirt (polkit, or the group libvirt)" },
	{ "authentication failed", "let this user manage libvirt (polkit, or the group libvirt)" },
	{ "cannot acquire state change lock", "another operation of libvirt holds this domain: wait for it or cancel "
					      "it (virsh domjobabort); if QEMU itself hangs, only virsh destroy "
					      "ends it" },
	{ "Failed to acquire pid file", "another program has this root open (virsh, or another vmsnapd): end it "
					"first" },
	{ "KVM was enabled when probing", "let QEMU's user open /dev/kvm (group kvm, mode 0660), or set user and "
					  "group in libvirt's qemu.conf to who may" },
	{ "KVM is not available", "load the kvm module and enable virtualisation in the firmware, or use domains of "
				  "type qemu" },
	{ "Could not access KVM kernel module", "let QEMU's user open /dev/kvm (group kvm, mode 0660), or use domains "
						"of type qemu" },
	{ "requires KVM", "let QEMU's user open /dev/kvm (group kvm, mode 0660), or use domains of type qemu" },
	{ "already in active block job", "wait for the block job on that disk or end it (virsh blockjob)" },
	{ "Failed to get \"write\" lock", "another process has this image open: find it with fuser" },
	{ "Failed to get shared \"write\" lock", "another process has this image open for writing: find it with "
						 "fuser" },
	{ "QEMU guest agent is not", "start the guest agent (qemu-guest-agent) in the guest, or do without "
				     "quiescing" },
	{ "guest agent is not available", "start the guest agent (qemu-guest-agent) in the guest, or do without "
					  "quiescing" },
	{ "Refusing to undefine while domain managed save image exists",
	  "resume the saved domain (virsh start) or drop its memory (virsh managedsave-remove)" },
	{ "Size mismatch: system.flash", "the firmware on this host has another size than the one that was saved" },
	{ "load of migration failed", "the saved memory is damaged, or does not fit this QEMU or this machine" },
	{ "swtpm_setup", "read swtpm's log below /var/log/swtpm; the directory /var/lib/swtpm-localca must belong to "
			 "the user swtpm runs as" },
	{ "UNIX socket path", "use a shorter root directory or a shorter path for the device's socket" },
	{ "No space left on device", "free some space on that file system" },
	{ "Permission denied", "QEMU's user needs access to the file and to every directory above it; where AppArmor "
			       "or SELinux is active, read the kernel's log for what it denied" },
};

void lv_hint(struct err *err, const char *message)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (strstr(message, hints[i].text)) {
			err_hint(err, "%s", hints[i].hint);
			return;
		}
}

int lv_last_code(void)
{
	virErrorPtr e = virGetLastError();

	return e ? e->code : VIR_ERR_OK;
}

static int errno_of(int code)
{
	switch (code) {
	case VIR_ERR_NO_DOMAIN:
		return -ENOENT;
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_OPERATION_UNSUPPORTED:
	case VIR_ERR_ARGUMENT_UNSUPPORTED:
	case VIR_ERR_CONFIG_UNSUPPORTED:
		return -EOPNOTSUPP;
	case VIR_ERR_AUTH_FAILED:
	case VIR_ERR_AUTH_CANCELLED:
	case VIR_ERR_AUTH_UNAVAILABLE:
	case VIR_ERR_ACCESS_DENIED:
	case VIR_ERR_OPERATION_DENIED:
		return -EACCES;
	case VIR_ERR_OPERATION_TIMEOUT:
		return -ETIMEDOUT;
	case VIR_ERR_OPERATION_ABORTED:
		return -ECANCELED;
	default:
		return -EIO;
	}
}

/* libvirt's last message on one line, *owned*. */
static char *last_message(void)
{
	virErrorPtr e = virGetLastError();
	char *text = xstrdup(e && e->message ? e->message : "libvirt gave no reason");
	size_t len = strlen(text);

	while (len && strchr("\n. ", text[len - 1]))
		text[--len] = '\0';
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	return text;
}

/* 1 if the connection is dead; its thread is told then, which may know it later. */
static int is_lost(struct lv_call *call)
{
	struct lv *lv = call->lv;

	if (virConnectIsAlive(call->conn) != 0)
		return 0;
	pthread_mutex_lock(&lv->lock);
	if (lv->conn == call->conn) {
		lv->lost = 1;
		pthread_cond_broadcast(&lv->changed);
	}
	pthread_mutex_unlock(&lv->lock);
	return 1;
}

int lv_fail(struct lv_call *call, struct err *reterr, const char *fmt, ...)
{
	_cleanup_free_ char *message = last_message();
	_cleanup_free_ char *what = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int code = lv_last_code();
	va_list ap;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	if (code != VIR_ERR_NO_DOMAIN && is_lost(call)) {
		ignore_result(err_set(&err, ERR_BACKEND, -ENOTCONN, "%s: the connection to libvirt (%s) was lost: %s",
				      what, call->lv->uri, message));
		err_hint(&err, "whether it was done is not known; look at the domain once libvirt is back");
	} else {
		ignore_result(err_set(&err, code == VIR_ERR_NO_DOMAIN ? ERR_NO_DOMAIN : ERR_BACKEND, errno_of(code),
				      "%s: %s", what, message));
		lv_hint(&err, message);
	}
	err_set_vm(&err, call->name);
	return err_move(reterr, &err);
}
