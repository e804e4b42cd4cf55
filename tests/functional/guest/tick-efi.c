/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The UEFI sister of tick.s: an application that is its own boot loader and prints
 * each second of which instant its memory, firmware variables, disks and TPM are:
 *
 *   T=<number in RAM> N=<UEFI variable "Tick"> D=<last sector of a disk>...
 *   [P=<TPM NV counter> R=<TPM PCR update counter>/<first 4 bytes of PCR 14>] ;
 *
 * All are hexadecimal and grow by one each second. N and D and P go on after a
 * reboot (which prints "GO"), T starts at 1; R and PCR 14 live in the TPM's volatile
 * memory and start anew too. "!" after a value: its access failed. The ";" says
 * that the line is whole. Needs nothing but COM1 and the firmware. */
#include "efi.h"

#define COM1 0x3f8
#define MAX_BLOCK 4096
#define PCR 14
#define NV_INDEX 0x01500001 /* a TPM NV index in the owner's range */

static const struct efi_guid tick_vendor = { 0x8f1d2a60, 0x53b7, 0x4c0e, { 0x9a, 0x11, 0x76, 0x6d, 0x73, 0x6e, 0x61, 0x70 } };
static const struct efi_guid block_io_guid = EFI_BLOCK_IO_GUID;
static const struct efi_guid tcg2_guid = EFI_TCG2_GUID;
static const uint16_t tick_name[] = { 'T', 'i', 'c', 'k', 0 };

/* TPM 2.0 commands, big-endian, as part 3 of the TPM library specification lays
 * them out: tag, size, code, handles, authorisation (an empty password), parameters. */
#define BE16(x) (uint8_t)((x) >> 8), (uint8_t)(x)
#define BE32(x) (uint8_t)((x) >> 24), (uint8_t)((x) >> 16), (uint8_t)((x) >> 8), (uint8_t)(x)
#define NO_SESSIONS BE16(0x8001)
#define SESSIONS BE16(0x8002)
#define EMPTY_PASSWORD BE32(9), BE32(0x40000009), BE16(0), 0, BE16(0)
#define OWNER BE32(0x40000001)
#define SHA256 BE16(0x000b)

static const uint8_t nv_define_counter[45] = {
	SESSIONS, BE32(45), BE32(0x12a), OWNER, EMPTY_PASSWORD, BE16(0), /* no password on the index */
	BE16(14), BE32(NV_INDEX), SHA256, BE32(0x02060016), BE16(0), BE16(8), /* counter; read, write by owner or index */
};
static const uint8_t nv_increment[31] = {
	SESSIONS, BE32(31), BE32(0x134), BE32(NV_INDEX), BE32(NV_INDEX), EMPTY_PASSWORD,
};
static const uint8_t nv_read[35] = {
	SESSIONS, BE32(35), BE32(0x14e), BE32(NV_INDEX), BE32(NV_INDEX), EMPTY_PASSWORD, BE16(8), BE16(0),
};
static const uint8_t pcr_extend[65] = {
	SESSIONS, BE32(65), BE32(0x182), BE32(PCR), EMPTY_PASSWORD, BE32(1), SHA256, 't', /* and 31 zeros */
};
static const uint8_t pcr_read[20] = {
	NO_SESSIONS, BE32(20), BE32(0x17e), BE32(1), SHA256, 3, 0, 1 << (PCR - 8), 0,
};

static uint8_t response[512];
static uint8_t sector[MAX_BLOCK] __attribute__((aligned(MAX_BLOCK)));

static void put_char(char c)
{
	uint8_t status;

	do
		__asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((uint16_t)(COM1 + 5)));
	while (!(status & 0x20));
	__asm__ volatile("outb %0, %1" : : "a"((uint8_t)c), "Nd"((uint16_t)COM1));
}

static void put(const char *text)
{
	while (*text)
		put_char(*text++);
}

static void put_hex(uint64_t value)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		put_char("0123456789ABCDEF"[value >> shift & 15]);
}

static void put_value(const char *label, uint64_t value, int failed)
{
	put(label);
	put_hex(value);
	if (failed)
		put_char('!');
}

static uint64_t big_endian(const uint8_t *bytes, int n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | *bytes++;
	return value;
}

/* Adds one to the firmware variable and prints it. */
static void tick_variable(const struct efi_runtime_services *rt)
{
	uint32_t value = 0;
	uint64_t size = sizeof(value);
	efi_status st;

	(void)rt->get_variable(tick_name, &tick_vendor, NULL, &size, &value); /* not there at first: 0 */
	value++;
	st = rt->set_variable(tick_name, &tick_vendor, EFI_VARIABLE_NV_BS_RT, sizeof(value), &value);
	put_value(" N=", value, st != 0);
}

/* Adds one to the number in the last sector of a whole, writable disk and prints it. */
static void tick_disk(struct efi_block_io *disk)
{
	const struct efi_block_io_media *m = disk->media;
	uint32_t *number = (uint32_t *)sector;
	efi_status st;

	if (!m->present || m->partition || m->read_only || m->block_size > MAX_BLOCK)
		return;
	st = disk->read(disk, m->media_id, m->last_block, m->block_size, sector);
	++*number;
	if (!st)
		st = disk->write(disk, m->media_id, m->last_block, m->block_size, sector);
	if (!st)
		st = disk->flush(disk);
	put_value(" D=", *number, st != 0);
}

static void tick_disks(const struct efi_boot_services *bs, void **handles, uint64_t n)
{
	EFIAPI efi_status (*handle_protocol)(void *handle, const struct efi_guid *protocol, void **interface) =
		bs->up_to_get_next_monotonic_count[EFI_HANDLE_PROTOCOL];
	void *disk;

	for (uint64_t i = 0; i < n; i++)
		if (!handle_protocol(handles[i], &block_io_guid, &disk))
			tick_disk(disk);
}

/* Sends one command; returns the TPM's response code. */
static uint32_t tpm(struct efi_tcg2 *tcg, const uint8_t *command, uint32_t size)
{
	for (size_t i = 0; i < sizeof(response); i++)
		response[i] = 0;
	if (tcg->submit_command(tcg, size, command, sizeof(response), response))
		return UINT32_MAX;
	return (uint32_t)big_endian(response + 6, 4);
}

/* Adds one to the NV counter, extends the PCR, prints both. */
static void tick_tpm(struct efi_tcg2 *tcg)
{
	int failed;

	failed = tpm(tcg, nv_increment, sizeof(nv_increment)) || tpm(tcg, nv_read, sizeof(nv_read));
	put_value(" P=", big_endian(response + 16, 8), failed);
	failed = tpm(tcg, pcr_extend, sizeof(pcr_extend)) || tpm(tcg, pcr_read, sizeof(pcr_read));
	put_value(" R=", big_endian(response + 10, 4), failed); /* pcrUpdateCounter */
	put_value("/", big_endian(response + 30, 4), failed);
}

EFIAPI efi_status efi_main(void *image, struct efi_system_table *st);

EFIAPI efi_status efi_main(void *image, struct efi_system_table *st)
{
	const struct efi_boot_services *bs = st->boot;
	struct efi_tcg2 *tcg = NULL;
	void **handles = NULL, *found;
	uint64_t n = 0;
	uint32_t number = 0;

	(void)image;
	bs->set_watchdog_timer(0, 0, 0, NULL); /* else the firmware resets us after five minutes */
	bs->locate_handle_buffer(EFI_BY_PROTOCOL, &block_io_guid, NULL, &n, &handles);
	if (!bs->locate_protocol(&tcg2_guid, NULL, &found))
		tcg = found;
	if (tcg)
		tpm(tcg, nv_define_counter, sizeof(nv_define_counter)); /* fails if it is there: good */
	put("\nGO\n");
	for (;;) {
		put_value("T=", ++number, 0);
		tick_variable(st->runtime);
		tick_disks(bs, handles, n);
		if (tcg)
			tick_tpm(tcg);
		put(" ;\n");
		bs->stall(1000000);
	}
}
