/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration document: from value to text. The document that it was read from
 * is changed in place, so that what we do not know survives. */
#include <string.h>
#include <sys/types.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "xmlcfg/config.h"
#include "xmlcfg/leaf.h"
#include "xmlcfg/rules.h"
#include "xmlcfg/schema.h"
#include "xmlcfg/xml.h"

#define CONFIG_FILE_MODE 0600

static void set_optional(xmlNodePtr parent, const char *name, int64_t value, int present)
{
	if (present)
		leaf_set_integer(parent, name, value);
	else
		xml_remove_children(parent, name);
}

static const char *guid_or_null(const struct guid *guid)
{
	return guid_is_none(guid) ? NULL : guid->s;
}

static void write_properties(xmlNodePtr root, const struct config *cfg)
{
	xmlNodePtr p = leaf_container(root, "properties");

	leaf_set_time(p, "creation_time", cfg->created_usec);
	leaf_set_string(p, "global_id", cfg->guid.s);
	leaf_set_string(p, "name", cfg->name);
	leaf_set_string(p, "notes", cfg->notes);
	leaf_set_string(p, "parent_id", guid_or_null(&cfg->parent));
	leaf_set_string(p, "type_id", cfg->kind == CONFIG_VM ? "Virtual Machines" : "Snapshots");
	leaf_set_integer(p, "version", cfg->version);
	leaf_set_string(p, "vm_id", cfg->vm_guid.s);
}

static void write_seal(xmlNodePtr node, const struct config_disk *disk)
{
	xmlNodePtr seal;

	if (!disk->sealed) {
		xml_remove_children(node, "seal");
		return;
	}
	seal = leaf_container(node, "seal");
	leaf_set_sum(seal, "header", disk->seal.header);
	leaf_set_integer(seal, "mtime", disk->seal.mtime_ns);
	leaf_set_integer(seal, "size", disk->seal.size);
}

static int has_target(const xmlNode *disk, const char *target)
{
	_cleanup_free_ char *have = leaf_string(disk, "target");

	return have && !strcmp(have, target);
}

static xmlNodePtr find_disk(xmlNodePtr disks, const char *target)
{
	xmlNodePtr n;

	for (n = xml_child(disks, "disk"); n; n = xml_next(n, "disk"))
		if (has_target(n, target))
			return n;
	return NULL;
}

/* The elements of disks that stay are kept for what else is in them, in the
 * order of the value. */
static void write_disks(xmlNodePtr root, const struct config *cfg)
{
	xmlNodePtr disks = leaf_container(root, "disks"), old, disk;
	size_t i;

	old = xmlNewDocRawNode(root->doc, NULL, BAD_CAST "old", NULL);
	if (!old)
		abort();
	while ((disk = xml_child(disks, "disk"))) {
		xmlUnlinkNode(disk);
		if (!xmlAddChild(old, disk))
			abort();
	}
	for (i = 0; i < cfg->n_disks; i++) {
		xmlNodePtr had = find_disk(old, cfg->disks[i].target), node = leaf_add_container(disks, "disk");

		if (had) {
			xmlReplaceNode(node, had);
			xmlFreeNode(node);
			node = had;
		}
		leaf_set_string(node, "format", cfg->disks[i].format);
		leaf_set_string(node, "pathname", cfg->disks[i].pathname);
		write_seal(node, &cfg->disks[i]);
		leaf_set_string(node, "target", cfg->disks[i].target);
	}
	xmlFreeNode(old);
}

static void write_state(xmlNodePtr root, const struct config_state *state)
{
	xmlNodePtr s = leaf_container(root, "savedstate");

	if (!state->vsv) {
		xml_set_text(s, NULL);
		return;
	}
	leaf_set_sum(s, "checksum", state->vsv_sum);
	leaf_set_string(s, "memlocation", state->bin);
	leaf_set_integer(s, "size", state->vsv_size);
	leaf_set_string(s, "vsvlocation", state->vsv);
}

static void write_fw(xmlNodePtr firmware, const char *name, const struct config_fw *fw)
{
	xmlNodePtr f;

	if (!fw->live) {
		xml_remove_children(firmware, name);
		return;
	}
	f = leaf_container(firmware, name);
	leaf_set_string(f, "copy", fw->copy);
	set_optional(f, "gid", fw->gid, fw->gid >= 0);
	leaf_set_string(f, "live", fw->live);
	set_optional(f, "mode", fw->mode, fw->mode >= 0);
	set_optional(f, "size", fw->size, fw->copy != NULL);
	set_optional(f, "uid", fw->uid, fw->uid >= 0);
}

static void write_firmware(xmlNodePtr root, const struct config *cfg)
{
	xmlNodePtr firmware = leaf_container(root, "firmware");

	write_fw(firmware, "nvram", &cfg->nvram);
	write_fw(firmware, "tpm", &cfg->tpm);
	if (!firmware->children)
		xml_remove(firmware);
}

static void write_capture(xmlNodePtr root, const struct config *cfg)
{
	const struct config_capture *capture = &cfg->capture;
	xmlNodePtr c;

	if (cfg->kind == CONFIG_VM) {
		xml_remove_children(root, "capture");
		return;
	}
	c = leaf_container(root, "capture");
	leaf_set_string(c, "level", capture->level);
	leaf_set_string(c, "mode", capture->mode);
	set_optional(c, "pause", capture->pause_usec, capture->pause_usec >= 0);
	leaf_set_string(c, "reason", capture->reason);
}

static int write_domain(xmlNodePtr root, const char *text, struct err *reterr)
{
	_cleanup_doc_ xmlDocPtr doc = NULL;
	xmlNodePtr wrapper, copy;
	int r;

	r = xml_parse(text, strlen(text), "domain document", NULL, XML_MAX_DEPTH_DOMAIN, &doc, reterr);
	if (r < 0)
		return r;
	copy = xmlDocCopyNode(xmlDocGetRootElement(doc), root->doc, 1);
	if (!copy)
		abort();
	wrapper = leaf_container(root, "domain");
	xml_set_text(wrapper, NULL);
	if (!xmlAddChild(wrapper, copy))
		abort();
	return 0;
}

/* A new document, or a copy of the one that the value was read from. */
static xmlDocPtr start(const struct config *cfg)
{
	xmlDocPtr doc = cfg->origin ? xmlCopyDoc(cfg->origin, 1) : xmlNewDoc(BAD_CAST "1.0");
	xmlNodePtr root;

	if (!doc)
		abort();
	if (cfg->origin)
		return doc;
	root = xmlNewDocRawNode(doc, NULL, BAD_CAST "configuration", NULL);
	if (!root)
		abort();
	xmlDocSetRootElement(doc, root);
	return doc;
}

/* What is written must be readable again: the text itself is judged. */
static int check_text(const char *text, size_t len, struct err *reterr)
{
	_cleanup_doc_ xmlDocPtr doc = NULL;
	int r;

	r = xml_parse(text, len, "configuration", NULL, XML_MAX_DEPTH_CONFIG, &doc, reterr);
	if (r == 0)
		r = schema_validate(doc, NULL, reterr);
	return r == -EBADMSG || r == -EFBIG ? -EINVAL : r;
}

int config_format(const struct config *cfg, char **ret_text, size_t *ret_len, struct err *reterr)
{
	_cleanup_doc_ xmlDocPtr doc = NULL;
	_cleanup_free_ char *text = NULL;
	xmlNodePtr root;
	size_t len;
	int r;

	r = rules_check(cfg, NULL, ERR_INVALID, reterr);
	if (r < 0)
		return r;
	doc = start(cfg);
	root = xmlDocGetRootElement(doc);
	write_capture(root, cfg);
	write_disks(root, cfg);
	r = write_domain(root, cfg->domain_xml, reterr);
	if (r < 0)
		return -EINVAL;
	write_firmware(root, cfg);
	leaf_set_string(root, "memory_blocker", cfg->memory_blocker);
	write_properties(root, cfg);
	write_state(root, &cfg->state);
	text = xml_format(doc, 1, &len);
	r = check_text(text, len, reterr);
	if (r < 0)
		return r;
	*ret_text = TAKE_PTR(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int config_write(const struct config *cfg, const char *path, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = config_format(cfg, &text, &len, reterr);
	if (r < 0) {
		if (reterr)
			err_set_file(reterr, path);
		return r;
	}
	return file_replace(path, text, len, CONFIG_FILE_MODE, reterr);
}
