/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What in a domain document keeps its memory from being saved. The rules are
 * those of libvirt (qemuMigrationSrcIsAllowed(), qemuMigrationSrcIsAllowedHostdev(),
 * read in 9.0 and later) and QEMU's migration blockers; each is said in words
 * that name the device and what can be done. */
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/domain-priv.h"
#include "xmlcfg/xml.h"

#define FAILOVER(node) xml_attr_is(xml_child(node, "teaming"), "type", "transient")

static char *hostdev_blocker(const xmlNode *dev)
{
	_cleanup_free_ char *type = xml_attr(dev, "type");

	if (!xml_attr_is(dev, "mode", "capabilities") && type && !strcmp(type, "usb"))
		return NULL;
	if (FAILOVER(dev))
		return NULL;
	return xasprintf("a device of the host (%.32s) is passed through to the guest, and its state cannot be saved",
			 type ? type : "of no type");
}

static char *interface_blocker(const xmlNode *dev)
{
	if (FAILOVER(dev))
		return NULL;
	if (xml_attr_is(dev, "type", "hostdev"))
		return xstrdup(
			"a network card of the host is passed through to the guest, and its state cannot be saved");
	if (xml_attr_is(dev, "type", "vdpa"))
		return xstrdup("a network card is a vDPA device, whose state cannot be saved");
	return NULL;
}

static char *filesystem_blocker(const xmlNode *dev)
{
	_cleanup_free_ char *driver = xml_attr(xml_child(dev, "driver"), "type");

	if (driver && !strcmp(driver, "virtiofs"))
		return xstrdup(
			"a folder of the host is shared with the guest by virtiofs, whose state cannot be saved");
	if (xml_attr_is(dev, "type", "mount") || !xmlHasNsProp((xmlNodePtr)dev, BAD_CAST "type", NULL))
		return xstrdup(
			"a folder of the host is shared with the guest by 9p, and QEMU does not save memory while "
			"the guest has it mounted");
	return NULL;
}

/* Formats whose drivers in QEMU refuse to migrate, as overlay and as backing image. */
static const char *format_blocker(const char *format)
{
	static const char *const formats[] = { "vpc", "vhd", "vmdk", "vdi", "vhdx", "qcow", "parallels", "ploop" };
	size_t i;

	for (i = 0; format && i < ARRAY_SIZE(formats); i++)
		if (!strcmp(format, formats[i]))
			return formats[i];
	return NULL;
}

static char *disk_blocker(const xmlNode *dev)
{
	_cleanup_free_ char *target = xml_attr(xml_child(dev, "target"), "dev");
	_cleanup_free_ char *format = xml_attr(xml_child(dev, "driver"), "type");
	const xmlNode *image;

	if (xml_child(dev, "transient"))
		return xasprintf("disk %.64s is transient, and libvirt does not save memory with such a disk",
				 target ? target : "?");
	if (format_blocker(format))
		return xasprintf(
			"disk %.64s is in format %s, with which QEMU does not save memory; convert it to qcow2",
			target ? target : "?", format);
	for (image = xml_child(dev, "backingStore"); image; image = xml_child(image, "backingStore")) {
		_cleanup_free_ char *backing = xml_attr(xml_child(image, "format"), "type");

		if (format_blocker(backing))
			return xasprintf("disk %.64s has a backing image in format %s, with which QEMU does not save "
					 "memory; convert it to qcow2",
					 target ? target : "?", backing);
	}
	return NULL;
}

static char *shmem_blocker(const xmlNode *dev)
{
	if (xml_attr_is(dev, "role", "master"))
		return NULL;
	return xstrdup(
		"memory is shared with other guests (shmem whose role is not \"master\"), and cannot be saved with "
		"this one alone");
}

static const struct {
	const char *element;
	char *(*check)(const xmlNode *dev);
} device_rules[] = {
	{ "hostdev", hostdev_blocker }, { "interface", interface_blocker }, { "filesystem", filesystem_blocker },
	{ "disk", disk_blocker },	{ "shmem", shmem_blocker },
};

static char *device_blocker(const xmlNode *dev)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(device_rules); i++)
		if (xml_is(dev, device_rules[i].element))
			return device_rules[i].check(dev);
	return NULL;
}

/* An invariant TSC cannot be moved unless its frequency is fixed. */
static char *tsc_blocker(const xmlNode *root)
{
	const xmlNode *n;
	int wanted = 0;

	for (n = xml_path(root, "cpu/feature"); n; n = xml_next(n, "feature"))
		if (xml_attr_is(n, "name", "invtsc") &&
		    (xml_attr_is(n, "policy", "require") || xml_attr_is(n, "policy", "force")))
			wanted = 1;
	for (n = xml_path(root, "clock/timer"); n && wanted; n = xml_next(n, "timer"))
		if (xml_attr_is(n, "name", "tsc") && xmlHasNsProp((xmlNodePtr)n, BAD_CAST "frequency", NULL))
			wanted = 0;
	return wanted ? xstrdup("its CPU has the feature invtsc without a fixed TSC frequency, and libvirt does not "
				"save "
				"memory with it")
		      : NULL;
}

static char *sealed_memory_blocker(const xmlNode *root)
{
	const xmlNode *launch = xml_child(root, "launchSecurity");
	_cleanup_free_ char *type = xml_attr(launch, "type");

	if (!launch)
		return NULL;
	return xasprintf("its memory is encrypted against the host (launchSecurity %.32s), and cannot be saved",
			 type ? type : "of no type");
}

/* Memory holds what the guest knows of all its disks: one that does not go back with
 * it would be written by a guest that believes in an older content. */
static char *left_out_blocker(const struct domain *dom)
{
	struct domain_disks disks;
	char *blocker = NULL;

	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < disks.n && !blocker; i++) {
		const struct domain_disk *d = &disks.disk[i];
		int hard = !strcmp(d->device, "disk") || !strcmp(d->device, "lun");
		int local = !strcmp(d->source_type, "file") || !strcmp(d->source_type, "block");
		int empty = local && (!d->source || !*d->source);
		const char *why;

		if (hard && !empty && !d->readonly && !domain_disk_managed(d, &why))
			blocker = xasprintf("disk %.64s would not go back with the memory: %s", d->target, why);
	}
	domain_disks_done(&disks);
	return blocker;
}

char *domain_memory_blocker(const struct domain *dom)
{
	const xmlNode *root = domain_root(dom), *n;
	char *blocker = sealed_memory_blocker(root);

	if (!blocker)
		blocker = tsc_blocker(root);
	for (n = xml_child(domain_devices(dom), NULL); n && !blocker; n = xml_next(n, NULL))
		blocker = device_blocker(n);
	return blocker ? blocker : left_out_blocker(dom);
}
