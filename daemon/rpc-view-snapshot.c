/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots as JSON, in tree order. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/rpc-view-disk.h"
#include "daemon/rpc-view.h"
#include "layout/tree.h"
#include "savestate/packed.h"
#include "varlink/message.h"
#include "xmlcfg/config.h"

static const char *kind_of(const char *mode)
{
	if (strcmp(mode, "none") == 0)
		return "off";
	return strcmp(mode, "disk-only") == 0 ? "disk only" : "memory";
}

static json_t *snapshot_object(const struct index_vm *vm, const struct tree_node *node)
{
	const struct index_snapshot *s = node->data;
	json_t *obj = json_pack("{s:s, s:o, s:o, s:s, s:I, s:s, s:s, s:I, s:I, s:i, s:i, s:b, s:b}", "id", s->guid.s,
				"name", vl_string(s->name), "vm", vl_string(vm->name), "vmId", vm->guid.s, "createdUSec",
				(json_int_t)s->created_usec, "kind", kind_of(s->mode), "mode", s->mode, "memoryBytes",
				(json_int_t)s->memory_bytes, "diskBytes", (json_int_t)s->disk_bytes, "children",
				(int)node->children, "depth", (int)node->depth, "last", node->last, "current",
				guid_eq(&s->guid, &vm->now));

	if (!guid_is_none(&s->parent))
		json_object_set_new(obj, "parent", json_string(s->parent.s));
	if (s->notes)
		json_object_set_new(obj, "notes", vl_string(s->notes));
	if (node->orphaned && !guid_is_none(&s->parent))
		json_object_set_new(obj, "problems", json_pack("[s]", "its parent snapshot is not there"));
	return obj;
}

static struct tree_node *make_tree(struct index_snapshot *snaps, size_t n)
{
	struct tree_node *nodes = xcalloc(n + 1, sizeof(*nodes));

	for (size_t i = 0; i < n; i++) {
		nodes[i].guid = snaps[i].guid;
		nodes[i].parent = snaps[i].parent;
		nodes[i].created_usec = snaps[i].created_usec;
		nodes[i].data = &snaps[i];
	}
	tree_build(nodes, n);
	return nodes;
}

int view_snapshots(struct daemon *daemon, const struct index_vm *vm, json_t **ret_json, struct err *reterr)
{
	_cleanup_free_ struct tree_node *nodes = NULL;
	struct index_snapshot *snaps;
	size_t n;
	int r = catalog_snapshots(daemon->catalog, vm, &snaps, &n, reterr);

	if (r < 0)
		return r;
	nodes = make_tree(snaps, n);
	*ret_json = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(*ret_json, snapshot_object(vm, &nodes[i]));
	index_snapshots_free(snaps, n);
	return 0;
}

static int add_detail(const struct index_vm *vm, const struct guid *snap, json_t *obj, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *path = vmdir_snapshot_config(dir, snap);
	_cleanup_config_ struct config *cfg = NULL;
	int r = config_read(path, &cfg, reterr);

	if (r < 0)
		return r;
	if (cfg->capture.reason)
		json_object_set_new(obj, "reason", vl_string(cfg->capture.reason));
	if (cfg->capture.level)
		json_object_set_new(obj, "level", json_string(cfg->capture.level));
	if (cfg->capture.pause_usec >= 0)
		json_object_set_new(obj, "pauseUSec", json_integer(cfg->capture.pause_usec));
	if (cfg->state.bin) {
		_cleanup_free_ char *bin = vmdir_resolve(dir, cfg->state.bin), *memory = packed_or_flat(bin);

		json_object_set_new(obj, "packed", json_boolean(strcmp(bin, memory) != 0));
	}
	json_object_set_new(obj, "disks", view_disks(dir, cfg));
	return 0;
}

int view_snapshot(struct daemon *daemon, const struct index_vm *vm, const struct guid *snap, json_t **ret_json,
		  struct err *reterr)
{
	_cleanup_free_ struct tree_node *nodes = NULL;
	struct index_snapshot *snaps;
	json_t *obj = NULL;
	ssize_t at;
	size_t n;
	int r = catalog_snapshots(daemon->catalog, vm, &snaps, &n, reterr);

	if (r < 0)
		return r;
	nodes = make_tree(snaps, n);
	at = tree_find(nodes, n, snap);
	if (at >= 0)
		obj = snapshot_object(vm, &nodes[at]);
	index_snapshots_free(snaps, n);
	if (!obj)
		return err_set(reterr, ERR_NO_SNAPSHOT, -ENOENT, "VM '%s' has no snapshot %s", vm->name, snap->s);
	r = add_detail(vm, snap, obj, reterr);
	if (r < 0)
		json_decref(obj);
	else
		*ret_json = obj;
	return r;
}
