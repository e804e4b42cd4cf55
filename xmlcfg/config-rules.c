/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a name, a pathname and a whole document must be, beyond the schema. */
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/rules.h"
#include "xmlcfg/xml.h"

#define PATHNAME_MAX 4095

/* Characters of UTF-8 in s, or -1 if it is not UTF-8 or holds a control character. */
static int characters(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	int n = 0;

	if (!xml_text_ok(s))
		return -1;
	for (; *p; p++) {
		/* U+0080 to U+009F are control characters too. */
		if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			return -1;
		n += (*p & 0xc0) != 0x80;
	}
	return n;
}

/* Blanks as people see them: space, no-break space, ideographic space. */
static int blank_at_end(const char *s)
{
	static const char *const blanks[] = { " ", "\302\240", "\343\200\200" };
	size_t i, n, len = strlen(s);

	for (i = 0; i < ARRAY_SIZE(blanks); i++) {
		n = strlen(blanks[i]);
		if (len >= n && (!memcmp(s, blanks[i], n) || !memcmp(s + len - n, blanks[i], n)))
			return 1;
	}
	return 0;
}

static const char *name_fault(const char *name)
{
	int n = characters(name);

	if (n < 0)
		return "it holds a control character or is not UTF-8";
	if (n == 0)
		return "it is empty";
	if (n > CONFIG_NAME_MAX)
		return "it has more than 100 characters";
	if (blank_at_end(name))
		return "it begins or ends with a blank";
	return NULL;
}

static const char *vm_name_fault(const char *name)
{
	const char *fault = name_fault(name);

	if (fault)
		return fault;
	if (strchr(name, '/'))
		return "it holds a \"/\"";
	if (name[0] == '.' || name[0] == '-')
		return "it begins with \".\" or \"-\"";
	return NULL;
}

/* A name that cannot be shown as it is must not get into a message. */
static int name_error(struct err *reterr, const char *what, const char *name, const char *fault)
{
	const char *hint = "Choose a name of 1 to 100 characters";

	if (characters(name) <= 0)
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, NULL, hint, "This cannot be the name of a %s: %s",
				what, fault);
	return err_full(reterr, ERR_INVALID, -EINVAL, NULL, NULL, hint, "\"%s\" cannot be the name of a %s: %s", name,
			what, fault);
}

int config_check_vm_name(const char *name, struct err *reterr)
{
	const char *fault = vm_name_fault(name);

	return fault ? name_error(reterr, "VM", name, fault) : 0;
}

int config_check_snapshot_name(const char *name, struct err *reterr)
{
	const char *fault = name_fault(name);

	return fault ? name_error(reterr, "snapshot", name, fault) : 0;
}

static const char *pathname_fault(const char *pathname, int only_relative)
{
	const char *p;
	size_t n;

	if (!pathname || !*pathname)
		return "is empty";
	if (strlen(pathname) > PATHNAME_MAX)
		return "is longer than 4095 bytes";
	if (!xml_text_ok(pathname))
		return "holds a character that cannot be stored in XML";
	if (*pathname == '/')
		return only_relative ? "must be relative to the VM directory" : NULL;
	for (p = pathname; *p; p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return "leads out of the VM directory with \"..\"";
	}
	return NULL;
}

/* What is being judged, so that each rule is one line. */
struct judge {
	const struct config *cfg;
	const char *file;
	enum err_kind kind;
	struct err *reterr;
	int r; /* the first fault, later ones are not looked for */
};

static void _printf_(2, 3) fault(struct judge *j, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (j->r < 0)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	j->r = err_full(j->reterr, j->kind, -EINVAL, NULL, j->file, NULL,
			"The configuration of the %s breaks a rule: %s", j->cfg->kind == CONFIG_VM ? "VM" : "snapshot",
			text);
}

static void check_pathname(struct judge *j, const char *what, const char *pathname, int only_relative)
{
	const char *why = pathname_fault(pathname, only_relative);

	if (why && pathname && xml_text_ok(pathname))
		fault(j, "%s \"%.200s\" %s", what, pathname, why);
	else if (why)
		fault(j, "%s %s", what, why);
}

static void check_text(struct judge *j, const char *what, const char *text)
{
	if (text && !xml_text_ok(text))
		fault(j, "%s hold a character that cannot be stored in XML, or are not UTF-8", what);
}

static void check_properties(struct judge *j)
{
	const struct config *cfg = j->cfg;
	const char *why = cfg->name ? NULL : "there is none";

	if (!why)
		why = cfg->kind == CONFIG_VM ? vm_name_fault(cfg->name) : name_fault(cfg->name);
	if (why)
		fault(j, "the name (properties/name) is not acceptable: %s", why);
	check_text(j, "the notes", cfg->notes);
	check_text(j, "the words of memory_blocker", cfg->memory_blocker);
	if (!guid_valid(cfg->guid.s) || !guid_valid(cfg->vm_guid.s))
		fault(j, "global_id and vm_id must be GUIDs");
	if (!guid_is_none(&cfg->parent) && !guid_valid(cfg->parent.s))
		fault(j, "parent_id is not a GUID");
	if (cfg->kind == CONFIG_VM && !guid_eq(&cfg->guid, &cfg->vm_guid))
		fault(j, "vm_id of a VM must be its global_id");
	if (cfg->kind == CONFIG_SNAPSHOT && guid_eq(&cfg->guid, &cfg->vm_guid))
		fault(j, "vm_id of a snapshot must not be its global_id");
	if (!guid_is_none(&cfg->parent) && (guid_eq(&cfg->parent, &cfg->guid) || guid_eq(&cfg->parent, &cfg->vm_guid)))
		fault(j, "parent_id must name another snapshot");
	if (cfg->created_usec < 0 || cfg->created_usec > INT64_MAX / 20)
		fault(j, "creation_time is out of range");
	if (cfg->version >> 8 != CONFIG_VERSION >> 8)
		fault(j, "version must be %d.x", CONFIG_VERSION >> 8);
	if (!cfg->domain_xml)
		fault(j, "there is no domain");
}

static void check_disk(struct judge *j, size_t index)
{
	const struct config_disk *disk = &j->cfg->disks[index];
	size_t i;

	if (!disk->target || !*disk->target) {
		fault(j, "a disk has no target");
		return;
	}
	if (!disk->format || !*disk->format)
		fault(j, "the format of disk %s is not named", disk->target);
	check_pathname(j, "the pathname of a disk", disk->pathname, 0);
	if (disk->sealed && j->cfg->kind == CONFIG_VM && !j->cfg->state.vsv)
		fault(j, "disk %s of a VM that is not saved has a seal, but the guest writes it", disk->target);
	if (!disk->sealed && j->cfg->kind == CONFIG_SNAPSHOT)
		fault(j, "disk %s of a snapshot has no seal", disk->target);
	for (i = 0; i < index; i++)
		if (!strcmp(j->cfg->disks[i].target, disk->target))
			fault(j, "two disks have the target %s", disk->target);
}

static void check_state(struct judge *j)
{
	const struct config_state *state = &j->cfg->state;

	if (state->bin && !state->vsv)
		fault(j, "savedstate has a memlocation but no vsvlocation");
	if (state->vsv)
		check_pathname(j, "vsvlocation", state->vsv, 0);
	if (state->bin)
		check_pathname(j, "memlocation", state->bin, 0);
	if (state->vsv_size < 0)
		fault(j, "the size in savedstate is negative");
}

static void check_fw(struct judge *j, const struct config_fw *fw, const char *live, const char *copy)
{
	if (!fw->live && fw->copy)
		fault(j, "%s is named, but not where the file belongs", copy);
	if (fw->live)
		check_pathname(j, live, fw->live, 0);
	if (!fw->copy)
		return;
	check_pathname(j, copy, fw->copy, 1);
	if (j->cfg->kind == CONFIG_VM)
		fault(j, "%s belongs to a snapshot, not to a VM", copy);
	if (fw->size < 0)
		fault(j, "the size of %s is negative", copy);
}

static void check_capture(struct judge *j)
{
	const struct config_capture *capture = &j->cfg->capture;

	if (j->cfg->kind == CONFIG_VM) {
		if (capture->mode)
			fault(j, "capture belongs to a snapshot, not to a VM");
		return;
	}
	if (!capture->mode)
		fault(j, "the capture mode of the snapshot is not named");
	check_text(j, "the words of capture/reason", capture->reason);
}

int rules_check(const struct config *cfg, const char *file, enum err_kind kind, struct err *reterr)
{
	struct judge j = { cfg, file, kind, reterr, 0 };
	size_t i;

	check_properties(&j);
	if (cfg->n_disks > CONFIG_MAX_DISKS)
		fault(&j, "there are more than %d disks", CONFIG_MAX_DISKS);
	for (i = 0; i < cfg->n_disks && j.r == 0; i++)
		check_disk(&j, i);
	check_state(&j);
	check_fw(&j, &cfg->nvram, "the place of NVRAM", "the copy of NVRAM");
	check_fw(&j, &cfg->tpm, "the place of the TPM state", "the copy of the TPM state");
	check_capture(&j);
	return j.r;
}
