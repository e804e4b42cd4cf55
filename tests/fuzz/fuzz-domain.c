/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: domain documents. Everything that is read from one and done to
 * one; what comes out must be a domain document again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/domain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sane(const char *text)
{
	return !text || strlen(text) <= 4 << 20;
}

static void read_texts(const struct domain *dom)
{
	_cleanup_free_ char *name = domain_name(dom), *uuid = domain_uuid(dom), *pty = domain_console_pty(dom);
	_cleanup_free_ char *blocker = domain_memory_blocker(dom);

	if (!sane(name) || !sane(uuid) || !sane(pty))
		abort();
	if (domain_memory(dom) < 0 || domain_vcpus(dom) < 0 || (blocker && !*blocker))
		abort();
}

static void read_firmware(const struct domain *dom)
{
	struct domain_firmware fw;

	domain_get_firmware(dom, &fw);
	domain_firmware_done(&fw);
}

static void change_disks(struct domain *dom)
{
	struct domain_disks disks;
	const char *why;
	size_t i;

	domain_get_disks(dom, &disks);
	for (i = 0; i < disks.n; i++) {
		if (domain_disk_managed(&disks.disk[i], &why) != (why == NULL))
			abort();
		/* two disks may have one target: the first is meant */
		if (*disks.disk[i].target && domain_set_disk(dom, disks.disk[i].target, "/x", "qcow2", 0, NULL) < 0)
			abort();
	}
	domain_disks_done(&disks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *xml = xstrndup((const char *)data, size), *text = NULL;
	_cleanup_domain_ struct domain *dom = NULL, *again = NULL;

	if (domain_parse(xml, &dom, &err) < 0) {
		if (!err.message || dom)
			abort();
		return 0;
	}
	read_texts(dom);
	read_firmware(dom);
	change_disks(dom);
	domain_set_name(dom, "<name>");
	domain_set_uuid(dom, "00000000-0000-4000-8000-000000000000");
	domain_set_nvram(dom, "/nvram & more");
	domain_renew_genid(dom);
	domain_set_tpm_persistent(dom);
	domain_strip_runtime(dom);
	text = domain_format(dom);
	/* A few elements are added above: only a document at the limits may fail. */
	if (domain_parse(text, &again, &err) < 0 && err.code != -EFBIG)
		abort();
	return 0;
}
