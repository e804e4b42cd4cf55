/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's images and who names them, as the planner takes them. */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/hv-block.h"
#include "daemon/merges.h"
#include "daemon/op-others.h"
#include "layout/chain.h"
#include "layout/image-merge.h"

static const char *keep_string(struct merges_input *input, const char *s)
{
	char *copy = xstrdup(s);

	if (copy)
		strv_push(&input->strings, copy);
	return copy;
}

static struct plan_image *find_image(struct merges_input *input, const char *path)
{
	for (size_t i = 0; i < input->in.n_images; i++)
		if (strcmp(input->images[i].path, path) == 0)
			return &input->images[i];
	return NULL;
}

static unsigned int image_flags(const struct machine *m, const struct chain_image *image)
{
	_cleanup_free_ char *ours = vmdir_avhd_dir(m->dir), *dir = path_dirname(image->path);
	int raw = strcmp(image->format, "raw") == 0;
	unsigned int flags = raw ? PLAN_RAW : 0;
	struct stat st;

	if (!vmdir_contains(m->dir, image->path))
		flags |= PLAN_OUTSIDE;
	if (strcmp(ours, dir) != 0)
		flags |= PLAN_BASE;
	if (!raw && strcmp(image->format, "qcow2") != 0)
		flags |= PLAN_READ_ONLY;
	if (stat(image->path, &st) == 0 && !S_ISREG(st.st_mode))
		flags |= PLAN_READ_ONLY; /* its size is the device's: nothing can be said of it */
	return flags;
}

static struct plan_image *add_image(struct merges_input *input, const struct machine *m,
				    const struct chain_image *image, const char *backing)
{
	struct plan_image *found = find_image(input, image->path);
	unsigned int flags;

	if (found)
		return found;
	flags = image_flags(m, image);
	input->images = xreallocarray(input->images, input->in.n_images + 1, sizeof(*input->images));
	input->formats = xreallocarray(input->formats, input->in.n_images + 1, sizeof(*input->formats));
	input->formats[input->in.n_images] = keep_string(input, image->format);
	found = &input->images[input->in.n_images++];
	*found = (struct plan_image){
		.path = keep_string(input, image->path),
		.backing = keep_string(input, backing),
		.allocated = image->allocated,
		.virtual_size = image->virtual_size,
		.grain = image->grain,
		.flags = flags,
	};
	return found;
}

/* The chain of a disk from path down; extra: flags for all of it, top: and for its top. */
static int add_chain(struct merges_input *input, const struct machine *m, const char *path, const char *format,
		     unsigned int extra, unsigned int top, struct err *reterr)
{
	struct chain chain = { NULL, 0 };
	int r = chain_read(path, format, &chain, reterr);

	for (size_t i = 0; !r && i < chain.n; i++)
		add_image(input, m, &chain.image[i], i + 1 < chain.n ? chain.image[i + 1].path : NULL)->flags |=
			extra | (i == 0 ? top : 0);
	chain_done(&chain);
	return r;
}

static int add_config(struct merges_input *input, const struct machine *m, const struct config *cfg,
		      const char *name, struct err *reterr)
{
	int runs = cfg == m->cfg && machine_is_active(m), r = 0;

	for (size_t i = 0; !r && i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &cfg->disks[i]);

		r = add_chain(input, m, path, cfg->disks[i].format, runs ? PLAN_RUNNING : 0, runs ? PLAN_WORKING : 0,
			      reterr);
		if (r < 0)
			return r;
		input->owners = xreallocarray(input->owners, input->in.n_owners + 1, sizeof(*input->owners));
		input->owners[input->in.n_owners++] = (struct plan_owner){
			.name = keep_string(input, name),
			.path = keep_string(input, path),
			.created_usec = cfg == m->cfg ? 0 : cfg->created_usec,
		};
	}
	return r;
}

/* Images that nobody reaches may be over others: nobody knows what they are for. */
static int add_others(struct merges_input *input, const struct machine *m, struct err *reterr)
{
	_cleanup_strv_ char **images = NULL;
	int r = vmdir_list_images(m->dir, &images, reterr);

	for (size_t i = 0; !r && images && images[i]; i++)
		if (!find_image(input, images[i]))
			r = add_chain(input, m, images[i], "qcow2", 0, 0, reterr);
	return r;
}

/* Marks the images that chains of other VMs go through. */
static int mark_shared(struct merges_input *input, const struct machine *m, struct err *reterr)
{
	_cleanup_strv_ char **paths = NULL, **shared = NULL;
	int r;

	for (size_t i = 0; i < input->in.n_images; i++)
		strv_push(&paths, xstrdup(input->images[i].path));
	r = op_others_shared(m, paths, &shared, reterr);
	for (size_t i = 0; !r && shared && shared[i]; i++)
		find_image(input, shared[i])->flags |= PLAN_SHARED;
	return r;
}

/* What the running guest can do. Returns plan_options or negative errno. */
static int live_options(const struct machine *m, struct err *reterr)
{
	const struct hv_block_ops *live = hv_block(m->daemon->hv);
	int r;

	if (!machine_is_active(m))
		return 0;
	if (!live)
		return PLAN_NO_LIVE_COMMIT | PLAN_NO_LIVE_PULL;
	r = live->can_pull(m->daemon->hv, &m->dir->guid, reterr);
	return r < 0 ? r : r ? 0 : PLAN_NO_LIVE_PULL;
}

static int read_all(const struct machine *m, struct config *const *snaps, size_t n, struct merges_input *input,
		    struct err *reterr)
{
	int r = add_config(input, m, m->cfg, PLAN_NAME_VM, reterr);

	for (size_t i = 0; !r && i < n; i++)
		r = add_config(input, m, snaps[i], snaps[i]->guid.s, reterr);
	if (!r)
		r = add_others(input, m, reterr);
	if (!r)
		r = mark_shared(input, m, reterr);
	input->in.images = input->images;
	input->in.owners = input->owners;
	if (r < 0)
		return r;
	r = live_options(m, reterr);
	input->in.options = r < 0 ? 0 : (unsigned int)r;
	return r < 0 ? r : 0;
}

int merges_read(const struct machine *m, struct merges_input *ret_input, struct err *reterr)
{
	struct merges_input input = { 0 };
	struct config **snaps;
	size_t n;
	int r = machine_snapshots(m, &snaps, &n, NULL, reterr);

	if (r < 0)
		return r;
	r = read_all(m, snaps, n, &input, reterr);
	machine_snapshots_free(snaps, n);
	if (r < 0)
		merges_input_done(&input);
	else
		*ret_input = input;
	return r;
}

void merges_input_done(struct merges_input *input)
{
	strv_free(input->strings);
	free(input->images);
	free(input->owners);
	free(input->formats);
	*input = (struct merges_input){ 0 };
}
