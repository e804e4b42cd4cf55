/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scripted hypervisor: domains that exist in memory only, which is shared with
 * child processes and therefore outlives a daemon that a test kills. It records
 * its calls, and fails or dies in the one that it is told to. Its guests "write"
 * to their disks by setting the files' mtime, so that every loss shows. */
#ifndef TESTS_UNIT_HV_SCRIPT_H
#define TESTS_UNIT_HV_SCRIPT_H

#include <pthread.h>

#include "daemon/hv.h"

enum hvs_call {
	HVS_LIST, HVS_STATE, HVS_XML, HVS_DEFINE, HVS_UNDEFINE, HVS_RENAME, HVS_START, HVS_SHUTDOWN, HVS_DESTROY,
	HVS_SUSPEND, HVS_RESUME, HVS_SNAPSHOT, HVS_RESTORE, HVS_ABORT, HVS_FOREIGN, HVS_CALLS,
};

/* What happens in the call chosen. HALF: memory is written half and the guest
 * stands still; after DIE_HALF the hypervisor's own job goes on for a while, then
 * ends well, or (_BAD) without having switched anything. */
enum hvs_when {
	HVS_NEVER, HVS_FAIL_BEFORE, HVS_FAIL_AFTER, HVS_FAIL_HALF, HVS_DIE_BEFORE, HVS_DIE_AFTER, HVS_DIE_HALF,
	HVS_DIE_HALF_BAD, HVS_WHENS,
};

#define HVS_DOMAINS 4
#define HVS_DISKS 4
#define HVS_DOCUMENT 16384
#define HVS_PATH 512
#define HVS_QUEUE 8

struct hvs_domain {
	int used, persistent;
	enum hv_state state;
	struct guid guid;
	char name[128];
	char inactive[HVS_DOCUMENT], live[HVS_DOCUMENT];
	uint64_t memory;               /* what the guest has in memory: changes with each run */
	uint64_t written[HVS_DISKS];   /* generation of the last write to each disk of live */
	int managed_save;
	int job;                       /* looks that a job of its own still takes; 0: none */
	int job_good;
	char job_file[HVS_PATH];
	int job_disks;
	char job_target[HVS_DISKS][16], job_path[HVS_DISKS][HVS_PATH];
};

struct hv_script {
	struct hv hv; /* first */
	pthread_mutex_t lock; /* shared between processes */
	char dir[HVS_PATH]; /* where NVRAM lies */
	uint64_t clock;     /* generations of disks and of memory */
	struct hvs_domain domain[HVS_DOMAINS];
	int calls[HVS_CALLS];
	int clocks_set, clock_fails; /* clocks of guests; 1: an agent does not answer */
	struct {
		enum hvs_call call;
		int nth; /* from 1 */
		enum hvs_when when;
	} fault;
	char violation[512]; /* the first thing that must never happen, or "" */
};

/* A hypervisor without domains whose files lie in dir; in shared memory. */
struct hv_script *hvs_new(const char *dir);

/* Frees it. */
void hvs_free(struct hv_script *s);

/* Forgets the calls counted, and the fault. */
void hvs_reset(struct hv_script *s);

/* The domain of that GUID, or NULL. Not while a daemon is at work. */
struct hvs_domain *hvs_find(struct hv_script *s, const struct guid *vm);

/* A call's name, for messages; a fault's. */
const char *hvs_call_name(enum hvs_call call);
const char *hvs_when_name(enum hvs_when when); /* as hvs_call_name() */

/* 1 if the call changes anything, or could leave something half done. */
int hvs_call_changes(enum hvs_call call);

/* Generation that a guest wrote last to the file; 0: never, or it is gone. */
uint64_t hvs_generation(const char *path);

/* What the memory image at path holds (hvs_domain.memory); 0: not a whole image. */
uint64_t hvs_image_memory(const char *path);

#endif
