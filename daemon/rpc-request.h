/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A call on its way through the daemon: looked up in a worker, then answered at
 * once (a query) or by a job; the tables in rpc-vm.c and rpc-snapshot.c say how. */
#ifndef DAEMON_RPC_REQUEST_H
#define DAEMON_RPC_REQUEST_H

#include <jansson.h>

#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/rpc.h"
#include "layout/index.h"
#include "layout/vmdir.h"

struct request;

/* How one method works. Everything but `start` runs in worker threads. */
struct request_kind {
	const char *operation; /* of the job; NULL: a query, answered by `answer` */
	int needs_vm;          /* parameter "vm" is looked up */
	int needs_snapshot;    /* parameter "snapshot" is looked up, if it is there */
	const char *new_key;   /* parameter that names a VM which is not there yet ("name") */
	int may_be_busy;       /* a query that changes a document: holds the VM for a moment */
	int beside;            /* a job that only looks: beside the VM's own jobs, whatever was left unfinished */
	int all;               /* without parameter "vm" all VMs are meant */
	int may_pause;         /* the job can be paused: its body may be called again */
	job_fn body;           /* of the job; arg is the request */
	/* Fills *ret_out (*owned*) for the final reply, after the body. Returns 0 or negative errno. */
	int (*answer)(struct request *req, json_t **ret_out, struct err *reterr);
};

/* What a body or answer may look at. */
struct request {
	const struct request_kind *kind;
	struct daemon *daemon;  /* *borrowed* */
	json_t *params;         /* *owned* reference */
	struct index_vm vm;     /* looked up, if the kind needs it */
	struct vmdir *dir;      /* its directory */
	struct guid snapshot;   /* looked up, if the kind needs it; none if none was named */
	uid_t uid;              /* who called */
	gid_t gid;
	struct job *job;        /* *owned* reference, once there is one */
	struct rpc_call *call;  /* NULL once answered, or when the client is gone */
	int refs;               /* main thread's and the job's; main loop's thread only but for the job's end */
	struct err err;
	int began;              /* the body has done what it does only once */
	json_t *result;         /* what the body has to say to `answer`, *owned* reference, or NULL */
	json_t *out;
	unsigned told;          /* version of the job that the client has seen */
	int final;              /* the job's end is being answered */
};

/* Starts a call of that kind (main loop's thread). */
void request_start(const struct request_kind *kind, struct rpc_call *call, json_t *params, struct daemon *daemon);

/* Number of calls that are not answered yet (main loop's thread). */
int requests_open(void);

/* Parameters with their defaults. Strings *borrowed*. */
const char *request_string(const struct request *req, const char *name);
int64_t request_int(const struct request *req, const char *name, int64_t missing); /* as request_string() */
int request_bool(const struct request *req, const char *name, int missing);        /* as request_string() */

/* Answers shared by several methods: {"vm": VM}, {"snapshot": Snapshot}. The VM or
 * snapshot is the one the job made, or the one that was looked up. */
_must_check_ int request_answer_vm(struct request *req, json_t **ret_out, struct err *reterr);
_must_check_ int request_answer_snapshot(struct request *req, json_t **ret_out, struct err *reterr); /* same */
_must_check_ int request_answer_nothing(struct request *req, json_t **ret_out, struct err *reterr);  /* same */

/* The methods of each room, ending with a NULL name. */
extern const struct rpc_method rpc_vm_methods[], rpc_snapshot_methods[], rpc_savestate_methods[], rpc_disk_methods[],
	rpc_check_methods[], rpc_job_methods[], rpc_space_methods[];

/* All methods in one table, ending with a NULL name (static, *borrowed*). */
const struct rpc_method *rpc_all_methods(void);

/* May a peer call a method (rpc_options.authorize); ctx is the daemon. */
_must_check_ int rpc_authorize(void *ctx, const struct rpc_peer *peer, const struct vl_method *method);

/* Lets the operators' group connect to a socket that we made (mode 0660). */
void rpc_authorize_socket(const char *path);

/* Looks the groups of the options up. Returns 0 or negative errno. */
_must_check_ int rpc_authorize_init(const struct options *opts, struct err *reterr);

#endif
