/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states as JSON. */
#include "daemon/rpc-view-savestate.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/savestates.h"
#include "savestate/image.h"
#include "savestate/packed.h"
#include "varlink/message.h"
#include "xmlcfg/domain.h"

/* Appends text (*taken*) to the problems. */
static void add_problem(json_t *obj, char *text)
{
	_cleanup_free_ char *owned = text;
	json_t *problems = json_object_get(obj, "problems");

	if (!problems) {
		problems = json_array();
		json_object_set_new(obj, "problems", problems);
	}
	json_array_append_new(problems, vl_string(owned));
}

static void add_number(json_t *obj, const char *key, uint64_t value)
{
	json_object_set_new(obj, key, json_integer((json_int_t)value));
}

static void add_domain(json_t *obj, const char *xml)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *name = NULL;

	if (domain_parse(xml, &dom, &err) < 0) {
		add_problem(obj, err_text(&err));
		return;
	}
	name = domain_name(dom);
	if (name)
		json_object_set_new(obj, "domain", vl_string(name));
}

json_t *view_ram_blocks(const struct vsv_info *info)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < info->n_blocks; i++) {
		const struct vsv_block *block = &info->blocks[i];

		json_array_append_new(list, json_pack("{s:o, s:I, s:I}", "name", vl_string(block->name), "bytes",
						      (json_int_t)(block->pages * VSV_PAGE), "offset",
						      (json_int_t)block->offset));
	}
	return list;
}

static void add_pages(json_t *obj, const struct vsv_info *info)
{
	add_number(obj, "pageBytes", VSV_PAGE);
	add_number(obj, "dataPages", info->pages[PAGE_DATA]);
	add_number(obj, "zeroPages", info->pages[PAGE_ZERO]);
	add_number(obj, "parentPages", info->pages[PAGE_PARENT]);
	add_number(obj, "absentPages", info->pages[PAGE_ABSENT]);
	json_object_set_new(obj, "blocks", view_ram_blocks(info));
}

/* The memory file: there, and of the size that the .vsv says. */
static void add_memory_file(json_t *obj, const char *bin, const struct vsv_info *info)
{
	_cleanup_free_ char *path = packed_or_flat(bin);
	struct stat st;

	json_object_set_new(obj, "memoryPath", vl_string(path));
	if (stat(path, &st) < 0) {
		add_problem(obj, xasprintf("'%s' cannot be read, or is missing", path));
		return;
	}
	add_number(obj, "memoryBytes", (uint64_t)st.st_size);
	add_number(obj, "memoryAllocatedBytes", (uint64_t)file_allocated(path));
	if (strcmp(path, bin) != 0)
		json_object_set_new(obj, "memoryPacked", json_true());
	else if ((uint64_t)st.st_size != info->bin_size)
		add_problem(obj, xasprintf("'%s' is damaged: it is not of %" PRIu64 " bytes", path, info->bin_size));
}

/* What it builds on. */
static void add_chain(const struct vmdir *dir, const struct config *cfg, const struct guid *parent, json_t *obj)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	_cleanup_free_ char *path = vmdir_snapshot_config(dir, parent);
	_cleanup_config_ struct config *snapshot = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (savestate_chain_open(dir, cfg->state.vsv, cfg->state.bin, &chain, &err) < 0)
		add_problem(obj, err_text(&err));
	else
		add_number(obj, "chain", chain.n);
	if (guid_is_none(parent))
		return;
	json_object_set_new(obj, "parent", json_string(parent->s));
	if (config_read(path, &snapshot, NULL) == 0)
		json_object_set_new(obj, "parentName", vl_string(snapshot->name));
}

static int look_at_ours(const struct vmdir *dir, const struct config *cfg, const char *path, json_t *obj,
			struct err *reterr)
{
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(dir, cfg->state.bin) : NULL, *xml = NULL;
	_cleanup_vsv_ struct vsv *vsv = NULL;
	const struct vsv_info *info;
	int r = vsv_open(path, &vsv, reterr);

	if (r < 0)
		return r;
	info = vsv_info(vsv);
	if (!(info->flags & VSV_F_RAM))
		json_object_set_new(obj, "form", json_string("opaque"));
	else
		json_object_set_new(obj, "form", json_string(info->flags & VSV_F_PARTIAL ? "partly" : "split"));
	add_chain(dir, cfg, &info->parent, obj);
	if (info->flags & VSV_F_RAM)
		add_pages(obj, info);
	if (bin)
		add_memory_file(obj, bin, info);
	else if (info->bin_size > 0)
		add_problem(obj, xstrdup("its memory file is not named in its document"));
	r = vsv_xml(vsv, &xml, reterr);
	if (r >= 0)
		add_domain(obj, xml);
	return r;
}

static int look_at_image(const char *path, json_t *obj, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info image = { 0 };
	int r = image_read(path, &image, reterr);

	if (r < 0)
		return r;
	json_object_set_new(obj, "form", json_string("opaque"));
	add_number(obj, "chain", 1);
	add_domain(obj, image.xml);
	return 0;
}

json_t *view_savestate(const struct vmdir *dir, const struct config *cfg)
{
	_cleanup_free_ char *path = vmdir_resolve(dir, cfg->state.vsv);
	_cleanup_free_ char *sum = xasprintf("%016" PRIx64, cfg->state.vsv_sum);
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *obj = json_pack("{s:s, s:o, s:I, s:s}", "form", "unknown", "path", vl_string(path), "recordedBytes",
				(json_int_t)cfg->state.vsv_size, "checksum", sum);
	struct stat st;
	int r;

	if (cfg->kind == CONFIG_SNAPSHOT)
		json_object_set_new(obj, "snapshot", json_string(cfg->guid.s));
	if (stat(path, &st) == 0) {
		add_number(obj, "bytes", (uint64_t)st.st_size);
		if (st.st_size != cfg->state.vsv_size)
			add_problem(obj, xasprintf("'%s' is damaged: its size is not what it was", path));
	}
	r = vsv_is_ours(path, &err);
	if (r >= 0)
		r = r ? look_at_ours(dir, cfg, path, obj, &err) : look_at_image(path, obj, &err);
	if (r < 0)
		add_problem(obj, err_text(&err));
	return obj;
}
