/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks with their chains as JSON. */
#include "daemon/rpc-view-disk.h"

#include "common/alloc.h"
#include "layout/chain.h"
#include "varlink/message.h"
#include "xmlcfg/domain.h"

static json_t *image_object(const struct chain_image *image)
{
	json_t *obj = json_pack("{s:o, s:s, s:I}", "path", vl_string(image->path), "format", image->format, "allocatedBytes",
				(json_int_t)image->allocated);

	if (image->virtual_size >= 0)
		json_object_set_new(obj, "virtualBytes", json_integer(image->virtual_size));
	return obj;
}

static json_t *managed_disk(const struct vmdir *dir, const struct config_disk *disk)
{
	_cleanup_free_ char *path = vmdir_resolve(dir, disk->pathname);
	_cleanup_err_ struct err err = ERR_INIT;
	struct chain chain = { NULL, 0 };
	json_t *obj = json_pack("{s:s, s:o, s:s, s:b}", "target", disk->target, "path", vl_string(path), "format",
				disk->format, "managed", 1);
	json_t *list;

	if (chain_read(path, disk->format, &chain, &err) < 0) {
		json_object_set_new(obj, "reason", vl_string(err.message));
		return obj;
	}
	list = json_array();
	for (size_t i = 0; i < chain.n; i++)
		json_array_append_new(list, image_object(&chain.image[i]));
	json_object_set_new(obj, "chain", list);
	chain_done(&chain);
	return obj;
}

static json_t *foreign_disk(const struct domain_disk *d, const char *why)
{
	json_t *obj = json_pack("{s:s, s:s, s:b, s:s}", "target", d->target, "path", d->source ? d->source : "",
				"managed", 0, "reason", why ? why : "it is not a plain disk");

	if (d->format)
		json_object_set_new(obj, "format", json_string(d->format));
	return obj;
}

json_t *view_disks(const struct vmdir *dir, const struct config *cfg)
{
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_disks disks;
	json_t *list = json_array();

	for (size_t i = 0; i < cfg->n_disks; i++)
		json_array_append_new(list, managed_disk(dir, &cfg->disks[i]));
	if (!cfg->domain_xml || domain_parse(cfg->domain_xml, &dom, NULL) < 0)
		return list;
	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < disks.n; i++) {
		const char *why = NULL;

		if (!domain_disk_managed(&disks.disk[i], &why))
			json_array_append_new(list, foreign_disk(&disks.disk[i], why));
	}
	domain_disks_done(&disks);
	return list;
}
