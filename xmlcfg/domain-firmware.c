/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UEFI flash and TPM of a domain document. */
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/domain-priv.h"
#include "xmlcfg/xml.h"

/* The variable store is text of <nvram>, or since libvirt 8.5 a <source> in it. */
static char *nvram_path(const xmlNode *nvram)
{
	const xmlNode *source = xml_child(nvram, "source");
	char *path;

	if (!source)
		return xml_text_trimmed(nvram);
	path = xml_attr(source, "file");
	return path ? path : xml_attr(source, "dev");
}

/* The backend of the first emulated TPM, or NULL. */
static xmlNodePtr tpm_backend(const struct domain *dom)
{
	xmlNodePtr tpm, backend;

	for (tpm = xml_child(domain_devices(dom), "tpm"); tpm; tpm = xml_next(tpm, "tpm")) {
		backend = xml_child(tpm, "backend");
		if (xml_attr_is(backend, "type", "emulator"))
			return backend;
	}
	return NULL;
}

void domain_get_firmware(const struct domain *dom, struct domain_firmware *ret_fw)
{
	const xmlNode *os = xml_child(domain_root(dom), "os"), *loader = xml_child(os, "loader");
	const xmlNode *nvram = xml_child(os, "nvram"), *backend = tpm_backend(dom);

	memset(ret_fw, 0, sizeof(*ret_fw));
	ret_fw->efi_auto = xml_attr_is(os, "firmware", "efi");
	ret_fw->pflash = (ret_fw->efi_auto || xml_attr_is(loader, "type", "pflash")) &&
			 !xml_attr_is(loader, "stateless", "yes");
	ret_fw->loader = xml_text_trimmed(loader);
	ret_fw->nvram = nvram_path(nvram);
	ret_fw->nvram_template = xml_attr(nvram, "template");
	ret_fw->tpm = backend != NULL;
	ret_fw->tpm_persistent = xml_attr_is(backend, "persistent_state", "yes");
	ret_fw->tpm_version = xml_attr(backend, "version");
}

void domain_firmware_done(struct domain_firmware *fw)
{
	free(fw->loader);
	free(fw->nvram);
	free(fw->nvram_template);
	free(fw->tpm_version);
	memset(fw, 0, sizeof(*fw));
}

int domain_set_tpm_persistent(struct domain *dom)
{
	xmlNodePtr backend = tpm_backend(dom);

	if (!backend)
		return 0;
	xml_set_attr(backend, "persistent_state", "yes");
	return 1;
}

/* <nvram> stands behind <loader>, or behind <firmware>, or behind <type>. */
static xmlNodePtr need_nvram(xmlNodePtr os)
{
	static const char *const before[] = { "loader", "firmware", "type" };
	xmlNodePtr nvram = xml_child(os, "nvram"), after = NULL;
	size_t i;

	if (nvram)
		return nvram;
	nvram = xml_add(os, "nvram", NULL);
	for (i = 0; i < ARRAY_SIZE(before) && !after; i++)
		after = xml_child(os, before[i]);
	if (after && !xmlAddNextSibling(after, nvram))
		abort();
	return nvram;
}

void domain_set_nvram(struct domain *dom, const char *path)
{
	xmlNodePtr root = domain_root(dom), os = xml_child(root, "os"), nvram, source;

	nvram = need_nvram(os ? os : xml_add(root, "os", NULL));
	source = xml_child(nvram, "source");
	if (!source) {
		xml_set_text(nvram, path);
		return;
	}
	xml_set_attr(nvram, "type", "file");
	while (source->properties)
		xmlRemoveProp(source->properties);
	xml_set_text(source, NULL);
	xml_set_attr(source, "file", path);
}
