/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the scripted hypervisor: what hv-script.c (its functions) needs of
 * hv-script-guest.c (disks and memory of its guests). */
#ifndef TESTS_UNIT_HV_SCRIPT_PRIV_H
#define TESTS_UNIT_HV_SCRIPT_PRIV_H

#include "tests/unit/hv-script.h"

/* What follows the head of our images. */
struct hvs_stream {
	char magic[4];
	uint32_t n;
	uint64_t memory;
	uint64_t written[HVS_DISKS];
	char rest[4096];
};

/* The hypervisor behind the calls. */
struct hv_script *hvs_script(struct hv *hv);

/* Shared with other processes; a holder that died has left all in order. */
void hvs_lock(struct hv_script *s);
void hvs_unlock(struct hv_script *s); /* as hvs_lock() */

/* Begins a call on a domain (vm NULL: on none): counts it, and fails or dies if
 * that is the script. On success the lock is taken. Returns 0 or negative errno. */
_must_check_ int hvs_begin(struct hv *hv, enum hvs_call call, const struct guid *vm, enum hvs_when *ret_when,
			   struct hvs_domain **ret_domain, struct err *reterr);

/* Ends it, with the failure or death that comes after. Returns 0 or negative errno. */
_must_check_ int hvs_end(struct hv *hv, enum hvs_call call, enum hvs_when when, struct err *reterr);

/* Ends it with an error. Returns negative errno. */
_must_check_ int hvs_refuse(struct hv *hv, struct err *reterr, const char *what, const struct hvs_domain *d);

/* The domain of that document, or a new one; NULL on failure. */
struct hvs_domain *hvs_find_or_add(struct hv_script *s, const char *xml, struct err *reterr);

/* 1 if the guest exists. */
int hvs_is_active(const struct hvs_domain *d);

/* The guest is gone. */
void hvs_stop(struct hvs_domain *d);

/* The job that a dead daemon began comes to its end. */
void hvs_finish_job(struct hv_script *s, struct hvs_domain *d);

/* As the calls of hv.h with these names. */
_must_check_ int hvs_snapshot(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what,
			      struct err *reterr);
/* as hv_restore() */
_must_check_ int hvs_restore(struct hv *hv, const char *fifo, const char *xml, struct err *reterr);

/* An event, told in the thread of the call. */
void hvs_tell(const struct hvs_domain *d, enum hv_event event);

/* Notes the first thing that must never happen. */
void hvs_violate(struct hv_script *s, const char *what, const char *path);

/* Every disk file of the document is there, and none of them is sealed (that
 * would be a violation). Returns 0 or negative errno. */
_must_check_ int hvs_check_disks(struct hv_script *s, const char *xml, struct err *reterr);

/* The guest runs: it writes to each of its disks. */
void hvs_guest_writes(struct hv_script *s, struct hvs_domain *d);

/* Generations of the document's disks, in its order. */
void hvs_generations(const char *xml, uint64_t *ret_gen);

/* Points disks of a document at other images: those for which path_of(arg, target)
 * gives one. */
void hvs_switch_disks(char *xml, const char *(*path_of)(const void *arg, const char *target), const void *arg);

/* Writes d's memory; whole 0: as an image that is still being written. Returns 0
 * or negative errno. */
_must_check_ int hvs_write_image(const struct hvs_domain *d, const char *path, int whole);

/* What an image holds. Returns 0 or negative errno. */
_must_check_ int hvs_parse_stream(const char *data, size_t len, struct hvs_stream *ret_stream);

#endif
