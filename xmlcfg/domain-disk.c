/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disks of a domain document. */
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/domain-priv.h"
#include "xmlcfg/xml.h"

static void disk_done(struct domain_disk *disk)
{
	free(disk->target);
	free(disk->device);
	free(disk->source_type);
	free(disk->source);
	free(disk->format);
}

void domain_disks_done(struct domain_disks *disks)
{
	size_t i;

	for (i = 0; i < disks->n; i++)
		disk_done(&disks->disk[i]);
	free(disks->disk);
	disks->disk = NULL;
	disks->n = 0;
}

static char *attr_or(const xmlNode *node, const char *name, const char *otherwise)
{
	char *value = xml_attr(node, name);

	return value ? value : xstrdup(otherwise);
}

static char *source_path(const xmlNode *source, const char *type)
{
	if (!strcmp(type, "file"))
		return xml_attr(source, "file");
	if (!strcmp(type, "block"))
		return xml_attr(source, "dev");
	return NULL;
}

static void read_disk(const xmlNode *node, struct domain_disk *disk)
{
	const xmlNode *source = xml_child(node, "source");

	disk->target = attr_or(xml_child(node, "target"), "dev", "");
	disk->device = attr_or(node, "device", "disk");
	disk->source_type = attr_or(node, "type", "file");
	disk->source = source_path(source, disk->source_type);
	disk->format = xml_attr(xml_child(node, "driver"), "type");
	disk->readonly = xml_child(node, "readonly") != NULL;
	disk->shareable = xml_child(node, "shareable") != NULL;
	disk->transient_disk = xml_child(node, "transient") != NULL;
	disk->has_slice = xml_path(source, "slices/slice") != NULL;
	disk->encrypted = xml_child(source, "encryption") || xml_child(node, "encryption");
	disk->internal_snapshot_only = xml_attr_is(node, "snapshot", "internal");
}

void domain_get_disks(const struct domain *dom, struct domain_disks *ret_disks)
{
	const xmlNode *devices = domain_devices(dom), *n;
	size_t count = 0;

	for (n = xml_child(devices, "disk"); n; n = xml_next(n, "disk"))
		count++;
	ret_disks->n = 0;
	ret_disks->disk = count ? xcalloc(count, sizeof(*ret_disks->disk)) : NULL;
	for (n = xml_child(devices, "disk"); n; n = xml_next(n, "disk"))
		read_disk(n, &ret_disks->disk[ret_disks->n++]);
}

static const char *not_managed(const struct domain_disk *disk)
{
	if (!strcmp(disk->device, "cdrom"))
		return "it is a CD-ROM drive";
	if (!strcmp(disk->device, "floppy"))
		return "it is a floppy drive";
	if (!strcmp(disk->device, "lun"))
		return "it is a SCSI device of the host (device=\"lun\")";
	if (strcmp(disk->device, "disk"))
		return "it is not a hard disk";
	if (strcmp(disk->source_type, "file") && strcmp(disk->source_type, "block"))
		return "it is neither a file nor a block device of this host";
	if (!disk->source || !*disk->source)
		return "it has no file or block device";
	if (disk->readonly)
		return "it is read-only";
	if (disk->shareable)
		return "it is shared with other VMs (shareable)";
	if (*disk->source != '/')
		return "its path is not absolute";
	if (disk->has_slice)
		return "it is a part of a file only (slice), and an overlay would see the whole file";
	if (disk->encrypted)
		return "libvirt decrypts it, and knows no key for an overlay";
	if (disk->transient_disk)
		return "it is transient: libvirt throws its changes away";
	return NULL;
}

int domain_disk_managed(const struct domain_disk *disk, const char **ret_why)
{
	const char *why = not_managed(disk);

	if (ret_why)
		*ret_why = why;
	return why == NULL;
}

static xmlNodePtr find_disk(const struct domain *dom, const char *target)
{
	xmlNodePtr n;

	for (n = xml_child(domain_devices(dom), "disk"); n; n = xml_next(n, "disk"))
		if (xml_attr_is(xml_child(n, "target"), "dev", target))
			return n;
	return NULL;
}

static xmlNodePtr first_child(xmlNodePtr parent, const char *name)
{
	xmlNodePtr node = xml_child(parent, name);

	if (node)
		return node;
	node = xml_add(parent, name, NULL);
	if (parent->children != node && !xmlAddPrevSibling(parent->children, node))
		abort();
	return node;
}

/* Everything in <source> that says where the old one was; what says how it is
 * used (seclabel, reservations, encryption) stays. */
static void clear_source(xmlNodePtr source)
{
	static const char *const attrs[] = { "file",   "dev",  "dir",	"name",		 "protocol", "pool",
					     "volume", "mode", "index", "startupPolicy", "query",    "tls" };
	static const char *const children[] = { "slices", "host", "snapshot", "config", "dataStore", "privateData" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attrs); i++)
		xml_set_attr(source, attrs[i], NULL);
	for (i = 0; i < ARRAY_SIZE(children); i++)
		xml_remove_children(source, children[i]);
}

int domain_set_disk(struct domain *dom, const char *target, const char *path, const char *format, int block,
		    struct err *reterr)
{
	xmlNodePtr disk = find_disk(dom, target), driver, source;

	if (!disk)
		return err_set(reterr, ERR_REFUSED, -ENOENT, "The domain document has no disk \"%.100s\"", target);
	source = first_child(disk, "source");
	driver = first_child(disk, "driver");
	xml_set_attr(driver, "type", format);
	clear_source(source);
	xml_set_attr(disk, "type", block ? "block" : "file");
	xml_set_attr(source, block ? "dev" : "file", path);
	xml_remove_children(disk, "backingStore");
	xml_remove_children(disk, "mirror");
	return 0;
}
