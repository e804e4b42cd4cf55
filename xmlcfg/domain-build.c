/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new domain document from a few parameters. */
#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "common/guid.h"
#include "xmlcfg/domain-priv.h"
#include "xmlcfg/xml.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

static int is_q35(const char *machine)
{
	return strstr(machine, "q35") != NULL;
}

/* Adds an element with attributes: name, value pairs up to NULL. */
static xmlNodePtr __attribute__((sentinel)) element(xmlNodePtr parent, const char *name, ...)
{
	xmlNodePtr node = xml_add(parent, name, NULL);
	const char *attr;
	va_list ap;

	va_start(ap, name);
	while ((attr = va_arg(ap, const char *)))
		xml_set_attr(node, attr, va_arg(ap, const char *));
	va_end(ap);
	return node;
}

static void build_head(xmlNodePtr root, const struct domain_spec *spec)
{
	_cleanup_free_ char *memory = xasprintf("%" PRId64, spec->memory / 1024);
	_cleanup_free_ char *vcpus = xasprintf("%d", spec->vcpus);
	struct guid genid = guid_new();
	char text[GUID_LEN + 1];

	xml_set_attr(root, "type", spec->type);
	xml_add(root, "name", spec->name);
	if (spec->uuid)
		xml_add(root, "uuid", spec->uuid);
	xml_add(root, "genid", guid_lower(&genid, text));
	xml_set_text(element(root, "memory", "unit", "KiB", NULL), memory);
	xml_add(root, "vcpu", vcpus);
}

static void build_os(xmlNodePtr root, const struct domain_spec *spec, const char *machine)
{
	xmlNodePtr os = element(root, "os", NULL), nvram;

	xml_set_text(element(os, "type", "arch", "x86_64", "machine", machine, NULL), "hvm");
	if (spec->loader) {
		xml_set_text(element(os, "loader", "readonly", "yes", "type", "pflash", NULL), spec->loader);
		if (spec->nvram) {
			nvram = element(os, "nvram", "template", spec->nvram_template, NULL);
			xml_set_text(nvram, spec->nvram);
		}
	}
	element(os, "boot", "dev", "hd", NULL);
	if (spec->cdrom)
		element(os, "boot", "dev", "cdrom", NULL);
}

static void build_features(xmlNodePtr root, const struct domain_spec *spec)
{
	xmlNodePtr features = element(root, "features", NULL);

	element(features, "acpi", NULL);
	element(features, "apic", NULL);
	/* What a save state was made with must be there to resume it: the host's
	 * own model, by name, and not whatever the host has. */
	if (!strcmp(spec->type, "kvm"))
		element(root, "cpu", "mode", "host-model", NULL);
	element(root, "clock", "offset", "utc", NULL);
	xml_add(root, "on_poweroff", "destroy");
	xml_add(root, "on_reboot", "restart");
	xml_add(root, "on_crash", "destroy");
}

static void build_disks(xmlNodePtr devices, const struct domain_spec *spec, const char *machine)
{
	xmlNodePtr disk;

	if (spec->disk_path) {
		disk = element(devices, "disk", "type", spec->disk_block ? "block" : "file", "device", "disk", NULL);
		element(disk, "driver", "name", "qemu", "type", spec->disk_format, "discard", "unmap", NULL);
		element(disk, "source", spec->disk_block ? "dev" : "file", spec->disk_path, NULL);
		element(disk, "target", "dev", "vda", "bus", "virtio", NULL);
	}
	if (spec->cdrom) {
		disk = element(devices, "disk", "type", "file", "device", "cdrom", NULL);
		element(disk, "driver", "name", "qemu", "type", "raw", NULL);
		element(disk, "source", "file", spec->cdrom, NULL);
		if (is_q35(machine))
			element(disk, "target", "dev", "sda", "bus", "sata", NULL);
		else
			element(disk, "target", "dev", "hda", "bus", "ide", NULL);
		element(disk, "readonly", NULL);
	}
}

static const char *after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) ? NULL : s + n;
}

static void build_network(xmlNodePtr devices, const char *network)
{
	const char *bridge = after(network, "bridge:"), *name = after(network, "network:");
	xmlNodePtr card;

	if (!strcmp(network, "user")) {
		card = element(devices, "interface", "type", "user", NULL);
	} else if (bridge) {
		card = element(devices, "interface", "type", "bridge", NULL);
		element(card, "source", "bridge", bridge, NULL);
	} else {
		card = element(devices, "interface", "type", "network", NULL);
		element(card, "source", "network", name ? name : network, NULL);
	}
	element(card, "model", "type", "virtio", NULL);
}

static void build_console(xmlNodePtr devices, const struct domain_spec *spec)
{
	xmlNodePtr serial = element(devices, "serial", "type", "pty", NULL), console, channel;

	if (spec->console_log)
		element(serial, "log", "file", spec->console_log, "append", "on", NULL);
	element(serial, "target", "port", "0", NULL);
	console = element(devices, "console", "type", "pty", NULL);
	if (spec->console_log)
		element(console, "log", "file", spec->console_log, "append", "on", NULL);
	element(console, "target", "type", "serial", "port", "0", NULL);
	if (!spec->agent_path)
		return;
	channel = element(devices, "channel", "type", "unix", NULL);
	element(channel, "source", "mode", "bind", "path", spec->agent_path, NULL);
	element(channel, "target", "type", "virtio", "name", AGENT_CHANNEL, NULL);
}

static void build_tpm(xmlNodePtr devices)
{
	xmlNodePtr tpm = element(devices, "tpm", "model", "tpm-crb", NULL);

	element(tpm, "backend", "type", "emulator", "version", "2.0", "persistent_state", "yes", NULL);
}

struct domain *domain_build(const struct domain_spec *spec)
{
	const char *machine = spec->machine ? spec->machine : spec->loader ? "q35" : "pc";
	struct domain *dom = xcalloc(1, sizeof(*dom));
	xmlNodePtr root, devices;

	xml_init();
	dom->doc = xmlNewDoc(BAD_CAST "1.0");
	root = dom->doc ? xmlNewDocRawNode(dom->doc, NULL, BAD_CAST "domain", NULL) : NULL;
	if (!root)
		abort();
	xmlDocSetRootElement(dom->doc, root);
	build_head(root, spec);
	build_os(root, spec, machine);
	build_features(root, spec);
	devices = element(root, "devices", NULL);
	build_disks(devices, spec, machine);
	element(devices, "controller", "type", "usb", "model", "none", NULL);
	if (spec->network)
		build_network(devices, spec->network);
	build_console(devices, spec);
	if (spec->tpm)
		build_tpm(devices);
	element(devices, "memballoon", "model", "virtio", NULL);
	return dom;
}
