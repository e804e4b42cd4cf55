/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration document as a plain value: make, copy, change, free. */
#include <string.h>

#include <libxml/tree.h>

#include "common/alloc.h"
#include "xmlcfg/config.h"
#include "xmlcfg/xml.h"

static void fw_init(struct config_fw *fw)
{
	fw->uid = fw->gid = fw->mode = -1;
}

struct config *config_new(enum config_kind kind)
{
	struct config *cfg = xcalloc(1, sizeof(*cfg));

	cfg->kind = kind;
	cfg->version = CONFIG_VERSION;
	fw_init(&cfg->nvram);
	fw_init(&cfg->tpm);
	cfg->capture.pause_usec = -1;
	return cfg;
}

static void disk_copy(struct config_disk *dst, const struct config_disk *src)
{
	*dst = *src;
	dst->target = xstrdup(src->target);
	dst->pathname = xstrdup(src->pathname);
	dst->format = xstrdup(src->format);
}

static void disk_done(struct config_disk *disk)
{
	free(disk->target);
	free(disk->pathname);
	free(disk->format);
}

static void fw_copy(struct config_fw *dst, const struct config_fw *src)
{
	*dst = *src;
	dst->live = xstrdup(src->live);
	dst->copy = xstrdup(src->copy);
}

static void fw_done(struct config_fw *fw)
{
	free(fw->live);
	free(fw->copy);
}

struct config *config_copy(const struct config *cfg)
{
	struct config *copy = xcalloc(1, sizeof(*copy));
	size_t i;

	*copy = *cfg;
	copy->name = xstrdup(cfg->name);
	copy->notes = xstrdup(cfg->notes);
	copy->memory_blocker = xstrdup(cfg->memory_blocker);
	copy->domain_xml = xstrdup(cfg->domain_xml);
	copy->state.vsv = xstrdup(cfg->state.vsv);
	copy->state.bin = xstrdup(cfg->state.bin);
	copy->capture.mode = xstrdup(cfg->capture.mode);
	copy->capture.reason = xstrdup(cfg->capture.reason);
	copy->capture.level = xstrdup(cfg->capture.level);
	fw_copy(&copy->nvram, &cfg->nvram);
	fw_copy(&copy->tpm, &cfg->tpm);
	copy->disks = cfg->n_disks ? xcalloc(cfg->n_disks, sizeof(*copy->disks)) : NULL;
	for (i = 0; i < cfg->n_disks; i++)
		disk_copy(&copy->disks[i], &cfg->disks[i]);
	if (cfg->origin) {
		copy->origin = xmlCopyDoc(cfg->origin, 1);
		if (!copy->origin)
			abort();
	}
	return copy;
}

static void capture_done(struct config_capture *capture)
{
	free(capture->mode);
	free(capture->reason);
	free(capture->level);
}

void config_free(struct config *cfg)
{
	size_t i;

	if (!cfg)
		return;
	for (i = 0; i < cfg->n_disks; i++)
		disk_done(&cfg->disks[i]);
	free(cfg->disks);
	free(cfg->name);
	free(cfg->notes);
	free(cfg->memory_blocker);
	free(cfg->domain_xml);
	free(cfg->state.vsv);
	free(cfg->state.bin);
	capture_done(&cfg->capture);
	fw_done(&cfg->nvram);
	fw_done(&cfg->tpm);
	xmlFreeDoc(cfg->origin);
	free(cfg);
}

struct config_disk *config_add_disk(struct config *cfg, const char *target)
{
	struct config_disk *disk;

	cfg->disks = xreallocarray(cfg->disks, cfg->n_disks + 1, sizeof(*cfg->disks));
	disk = &cfg->disks[cfg->n_disks++];
	memset(disk, 0, sizeof(*disk));
	disk->target = xstrdup(target);
	return disk;
}

struct config_disk *config_find_disk(struct config *cfg, const char *target)
{
	size_t i;

	for (i = 0; i < cfg->n_disks; i++)
		if (!strcmp(cfg->disks[i].target, target))
			return &cfg->disks[i];
	return NULL;
}

void config_remove_disk(struct config *cfg, size_t index)
{
	disk_done(&cfg->disks[index]);
	cfg->n_disks--;
	memmove(&cfg->disks[index], &cfg->disks[index + 1], (cfg->n_disks - index) * sizeof(*cfg->disks));
}

void config_clear_state(struct config *cfg)
{
	xmlNodePtr state = cfg->origin ? xml_child(xmlDocGetRootElement(cfg->origin), "savedstate") : NULL;

	xstrset(&cfg->state.vsv, NULL);
	xstrset(&cfg->state.bin, NULL);
	cfg->state.vsv_size = 0;
	cfg->state.vsv_sum = 0;
	/* What a newer version said about this state goes with it. */
	if (state)
		xml_set_text(state, NULL);
}
