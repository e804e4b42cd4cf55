/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules about documents among each other: the tree, and which disk is whose. Pure. */
#include "layout/check.h"

#include <string.h>

#include "common/alloc.h"

static const struct check_doc *find_doc(const struct check_picture *pic, const struct guid *guid)
{
	for (size_t i = 0; i < pic->n_docs; i++)
		if (!pic->doc[i]->vm && guid_eq(&pic->doc[i]->guid, guid))
			return pic->doc[i];
	return NULL;
}

/* A document that is there and could not be read is somebody else's finding. */
static int is_held(const struct check_picture *pic, const struct guid *guid)
{
	_cleanup_free_ char *path = vmdir_snapshot_config(pic->dir, guid);

	return strv_has(pic->held, path);
}

/* 1 if doc is on a cycle and is the first by GUID of those on it: told of once. */
static int leads_cycle(const struct check_picture *pic, const struct check_doc *doc)
{
	const struct check_doc *at = doc;

	for (size_t n = 0; n <= pic->n_docs; n++) {
		at = guid_is_none(&at->parent) ? NULL : find_doc(pic, &at->parent);
		if (!at || strcmp(at->guid.s, doc->guid.s) < 0)
			return 0;
		if (at == doc)
			return 1;
	}
	return 0;
}

static void judge_parent(const struct check_picture *pic, const struct check_doc *doc, struct check_report *rep)
{
	if (guid_is_none(&doc->parent))
		return;
	if (!find_doc(pic, &doc->parent) && !is_held(pic, &doc->parent))
		check_add(rep, CHECK_PARENT_MISSING, doc->file, "the parent %s of %s '%s' is not there", doc->parent.s,
			  doc->vm ? "VM" : "snapshot", doc->name);
	else if (!doc->vm && leads_cycle(pic, doc))
		check_add(rep, CHECK_PARENT_CYCLE, doc->file, "snapshot '%s' derives, in the end, from itself", doc->name);
}

/* 1 if another disk of the same document has the same file. */
static int is_twice(const struct check_doc *doc, size_t k)
{
	for (size_t i = 0; i < doc->n_disks; i++)
		if (i != k && strcmp(doc->disk[i].path, doc->disk[k].path) == 0)
			return 1;
	return 0;
}

static void judge_working(const struct check_picture *pic, const struct check_doc *vm, size_t k,
			  struct check_report *rep)
{
	const struct check_disk *disk = &vm->disk[k];

	if (is_twice(vm, k))
		check_add(rep, CHECK_DISK_SHARED, disk->path, "'%s' is the working disk of two targets of VM '%s'",
			  disk->path, vm->name);
	for (size_t i = 0; i < pic->n_others; i++)
		if (strcmp(pic->other[i].path, disk->path) == 0)
			check_add(rep, CHECK_DISK_SHARED, disk->path, "the working disk '%s' of VM '%s' is %s VM '%s'", disk->path,
				  vm->name, pic->other[i].working ? "also that of" : "also needed by", pic->other[i].vm);
	for (size_t i = 0; i < pic->n_docs; i++)
		for (size_t n = 0; !pic->doc[i]->vm && n < pic->doc[i]->n_disks; n++)
			if (strcmp(pic->doc[i]->disk[n].path, disk->path) == 0)
				check_add(rep, CHECK_SEALED_IN_USE, disk->path,
					  "'%s' is the working disk of VM '%s' and a sealed disk of snapshot '%s'",
					  disk->path, vm->name, pic->doc[i]->name);
}

void check_documents(const struct check_picture *pic, struct check_report *rep)
{
	for (size_t i = 0; i < pic->n_docs; i++) {
		judge_parent(pic, pic->doc[i], rep);
		for (size_t k = 0; pic->doc[i]->vm && k < pic->doc[i]->n_disks; k++)
			judge_working(pic, pic->doc[i], k, rep);
	}
}
