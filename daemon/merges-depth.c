/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long chains of images may get, and merging into what they begin with. */
#include "common/alloc.h"
#include "daemon/daemon.h"
#include "daemon/hv-block.h"
#include "daemon/merges.h"
#include "daemon/options.h"
#include "daemon/promise.h"
#include "daemon/space.h"
#include "layout/chain.h"

/* Images under the VM's disk that has the most. ret_target *borrowed* from m. Returns 0 or
 * negative errno. */
static int longest_chain(const struct machine *m, size_t *ret_n, const char **ret_target, struct err *reterr)
{
	*ret_n = 0;
	for (size_t i = 0; i < m->cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &m->cfg->disks[i]);
		_cleanup_(chain_done) struct chain chain = { NULL, 0 };
		int r = chain_read(path, m->cfg->disks[i].format, &chain, reterr);

		if (r < 0)
			return r;
		if (chain.n <= *ret_n)
			continue;
		*ret_n = chain.n;
		*ret_target = m->cfg->disks[i].target;
	}
	return 0;
}

/* Adds the lowest image of the VM's disk i to the list, unless it lies in the VM directory. */
static int find_base(const struct machine *m, size_t i, char ***bases, struct err *reterr)
{
	_cleanup_free_ char *path = machine_disk_path(m, &m->cfg->disks[i]);
	_cleanup_(chain_done) struct chain chain = { NULL, 0 };
	int r = chain_read(path, m->cfg->disks[i].format, &chain, reterr);

	if (!r && !vmdir_contains(m->dir, chain.image[chain.n - 1].path))
		strv_push(bases, xstrdup(chain.image[chain.n - 1].path));
	return r;
}

int merges_into_base(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_strv_ char **bases = NULL;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	for (size_t i = 0; !r && i < m->cfg->n_disks; i++)
		r = find_base(m, i, &bases, reterr);
	for (size_t i = 0; !r && bases && bases[i]; i++)
		r = merges_run(daemon, dir, bases[i], job, reterr);
	return r;
}

static size_t policy(const struct daemon *daemon)
{
	return daemon->options ? (size_t)daemon->options->max_chain : PLAN_MAX_CHAIN;
}

static size_t hard_limit(const struct daemon *daemon)
{
	const struct hv_block_ops *ops = hv_block(daemon->hv);

	return ops ? ops->chain_max(daemon->hv) : CHAIN_MAX;
}

static int refuse_long(const struct machine *m, const char *target, size_t n, size_t limit, struct err *reterr)
{
	return err_full(reterr, ERR_LIMIT, -EMLINK, m->cfg->name, NULL,
			"Delete snapshots first: what they leave is merged, and the chain gets shorter",
			"disk '%s' of VM '%s' consists of %zu images one upon the other, and this libvirt takes no more "
			"than %zu", target, m->cfg->name, n, limit);
}

/* Merges what is hidden, unless that would have to wait for room: nobody waits for that who
 * wants a snapshot now. */
static int merge_if_room(struct daemon *daemon, const struct machine *m, struct job *job, struct err *reterr)
{
	_cleanup_(space_done) struct space space = { 0 };
	_cleanup_free_ char *text = NULL;
	const struct space_fs *fs;
	int r = space_merges(&space, m, reterr);

	if (r < 0)
		return r;
	fs = promise_lack(&space, job);
	if (!fs)
		return merges_run(daemon, m->dir, NULL, job, reterr);
	text = promise_text(fs);
	job_warn(job, "the images that nothing but images needs are not merged now: %s", text);
	return 0;
}

int merges_shorten(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	const char *target = NULL;
	size_t n = 0;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (!r)
		r = longest_chain(m, &n, &target, reterr);
	if (r < 0 || policy(daemon) == 0 || n < policy(daemon))
		return r < 0 || n < hard_limit(daemon) ? r : refuse_long(m, target, n, hard_limit(daemon), reterr);
	r = merge_if_room(daemon, m, job, reterr);
	if (!r) {
		machine_freep(&m); /* its working disks may be others now */
		r = machine_open(daemon, dir, 0, &m, reterr);
	}
	if (!r)
		r = longest_chain(m, &n, &target, reterr);
	if (r < 0)
		return r;
	if (n >= hard_limit(daemon))
		return refuse_long(m, target, n, hard_limit(daemon), reterr);
	if (n >= policy(daemon))
		job_warn(job, "disk '%s' consists of %zu images one upon the other, and of one more now; max-chain is %zu: "
			 "delete snapshots that are not needed", target, n, policy(daemon));
	return 0;
}
