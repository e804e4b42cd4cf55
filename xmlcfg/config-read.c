/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration document: from text to value. */
#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "xmlcfg/config.h"
#include "xmlcfg/leaf.h"
#include "xmlcfg/rules.h"
#include "xmlcfg/schema.h"
#include "xmlcfg/xml.h"

#define TYPE_VM "Virtual Machines"

static int damaged(struct err *reterr, const char *file, const char *what)
{
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, file, NULL, "The configuration is not valid: %s", what);
}

/* Comes before the schema, which can only judge its own major version. */
static int check_version(const xmlNode *root, const char *file, int64_t *ret_version, struct err *reterr)
{
	int64_t version;

	if (!xml_is(root, "configuration"))
		return damaged(reterr, file, "its root element is not \"configuration\"");
	if (leaf_integer(xml_child(root, "properties"), "version", &version) < 0)
		return damaged(reterr, file, "properties/version is missing or is not an integer");
	if (version >> 8 == CONFIG_VERSION >> 8) {
		*ret_version = version;
		return 0;
	}
	return err_full(reterr, ERR_BAD_DATA, -ENOTSUP, NULL, file,
			"Use the version of vmsnap that wrote it, or a newer one",
			"The configuration has format version %" PRId64 ".%" PRId64 ", but only %d.x can be read",
			version >> 8, version & 0xff, CONFIG_VERSION >> 8);
}

static int read_guid(const xmlNode *parent, const char *name, struct guid *ret_guid)
{
	_cleanup_free_ char *text = leaf_string(parent, name);

	return text ? guid_parse(text, ret_guid) : 0;
}

static int read_properties(const xmlNode *root, struct config *cfg)
{
	const xmlNode *p = xml_child(root, "properties");
	_cleanup_free_ char *type = leaf_string(p, "type_id");

	cfg->kind = type && !strcmp(type, TYPE_VM) ? CONFIG_VM : CONFIG_SNAPSHOT;
	cfg->name = leaf_string(p, "name");
	cfg->notes = leaf_string(p, "notes");
	if (leaf_time(p, "creation_time", &cfg->created_usec) < 0)
		return -EINVAL;
	if (read_guid(p, "global_id", &cfg->guid) < 0 || read_guid(p, "vm_id", &cfg->vm_guid) < 0)
		return -EINVAL;
	return read_guid(p, "parent_id", &cfg->parent);
}

static int read_disk(const xmlNode *node, struct config *cfg)
{
	_cleanup_free_ char *target = leaf_string(node, "target");
	const xmlNode *seal = xml_child(node, "seal");
	struct config_disk *disk = config_add_disk(cfg, target);

	disk->pathname = leaf_string(node, "pathname");
	disk->format = leaf_string(node, "format");
	if (!seal)
		return 0;
	disk->sealed = 1;
	if (leaf_integer(seal, "size", &disk->seal.size) < 0 || leaf_integer(seal, "mtime", &disk->seal.mtime_ns) < 0)
		return -EINVAL;
	return leaf_sum(seal, "header", &disk->seal.header);
}

static int read_disks(const xmlNode *root, struct config *cfg)
{
	const xmlNode *n;
	int r = 0;

	for (n = xml_child(xml_child(root, "disks"), "disk"); n && r == 0; n = xml_next(n, "disk")) {
		if (cfg->n_disks == CONFIG_MAX_DISKS)
			return -E2BIG;
		r = read_disk(n, cfg);
	}
	return r;
}

static int read_state(const xmlNode *root, struct config_state *state)
{
	const xmlNode *s = xml_child(root, "savedstate");

	state->vsv = leaf_string(s, "vsvlocation");
	state->bin = leaf_string(s, "memlocation");
	if (!state->vsv)
		return 0;
	if (leaf_integer(s, "size", &state->vsv_size) < 0)
		return -EINVAL;
	return leaf_sum(s, "checksum", &state->vsv_sum);
}

static int optional_integer(const xmlNode *parent, const char *name, int64_t *value)
{
	int r = leaf_integer(parent, name, value);

	return r == -ENOENT ? 0 : r;
}

static int read_fw(const xmlNode *root, const char *path, struct config_fw *fw)
{
	const xmlNode *f = xml_path(root, path);

	fw->live = leaf_string(f, "live");
	fw->copy = leaf_string(f, "copy");
	if (optional_integer(f, "size", &fw->size) < 0 || optional_integer(f, "uid", &fw->uid) < 0 ||
	    optional_integer(f, "gid", &fw->gid) < 0)
		return -EINVAL;
	return optional_integer(f, "mode", &fw->mode);
}

static int read_capture(const xmlNode *root, struct config_capture *capture)
{
	const xmlNode *c = xml_child(root, "capture");

	capture->mode = leaf_string(c, "mode");
	capture->reason = leaf_string(c, "reason");
	capture->level = leaf_string(c, "level");
	return optional_integer(c, "pause", &capture->pause_usec);
}

static char *read_domain(const xmlNode *root)
{
	xmlNodePtr domain = xml_path(root, "domain/domain"), copy;
	_cleanup_doc_ xmlDocPtr doc = NULL;

	if (!domain)
		return NULL;
	doc = xmlNewDoc(BAD_CAST "1.0");
	copy = doc ? xmlDocCopyNode(domain, doc, 1) : NULL;
	if (!copy)
		abort();
	xmlDocSetRootElement(doc, copy);
	return xml_format(doc, 0, NULL);
}

/* The schema has checked the shape, so that a failure here means a value that is
 * out of range; each is still looked at. */
static int read_document(const xmlNode *root, struct config *cfg, const char *file, struct err *reterr)
{
	if (read_properties(root, cfg) < 0)
		return damaged(reterr, file, "a value in properties is out of range");
	if (read_disks(root, cfg) < 0)
		return damaged(reterr, file, "there are too many disks, or a seal is out of range");
	if (read_state(root, &cfg->state) < 0)
		return damaged(reterr, file, "savedstate names a .vsv without its size and checksum");
	if (read_fw(root, "firmware/nvram", &cfg->nvram) < 0 || read_fw(root, "firmware/tpm", &cfg->tpm) < 0)
		return damaged(reterr, file, "a value in firmware is out of range");
	if (read_capture(root, &cfg->capture) < 0)
		return damaged(reterr, file, "a value in capture is out of range");
	cfg->memory_blocker = leaf_string(root, "memory_blocker");
	cfg->domain_xml = read_domain(root);
	return rules_check(cfg, file, ERR_BAD_DATA, reterr);
}

int config_parse(const char *data, size_t len, const char *file, struct config **ret_cfg, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_doc_ xmlDocPtr doc = NULL;
	int64_t version = 0;
	xmlNodePtr root;
	int r;

	r = xml_parse(data, len, "configuration", file, XML_MAX_DEPTH_CONFIG, &doc, reterr);
	if (r < 0)
		return r;
	root = xmlDocGetRootElement(doc);
	r = check_version(root, file, &version, reterr);
	if (r < 0)
		return r;
	r = schema_validate(doc, file, reterr);
	if (r < 0)
		return r;
	cfg = config_new(CONFIG_VM);
	cfg->version = version;
	r = read_document(root, cfg, file, reterr);
	if (r < 0)
		return r;
	cfg->origin = TAKE_PTR(doc);
	*ret_cfg = TAKE_PTR(cfg);
	return 0;
}

int config_read(const char *path, struct config **ret_cfg, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = file_read(path, CONFIG_MAX_BYTES, &text, &len, reterr);
	return r < 0 ? r : config_parse(text, len, path, ret_cfg, reterr);
}
