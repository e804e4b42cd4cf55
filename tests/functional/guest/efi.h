/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few pieces of UEFI that tick-efi.c uses, written from the UEFI 2.10 and TCG
 * EFI Protocol specifications. Members that are not used are only counted. */
#ifndef GUEST_EFI_H
#define GUEST_EFI_H

#include <stddef.h>
#include <stdint.h>

#define EFIAPI __attribute__((ms_abi))

typedef uint64_t efi_status; /* 0: success */

struct efi_guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};

#define EFI_BLOCK_IO_GUID { 0x964e5b21, 0x6459, 0x11d2, { 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_TCG2_GUID { 0x607f766c, 0x7455, 0x42be, { 0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f } }

/* Attributes of a variable: non-volatile, boot service and runtime access. */
#define EFI_VARIABLE_NV_BS_RT 7
/* LocateHandleBuffer: by protocol. */
#define EFI_BY_PROTOCOL 2

struct efi_table_header {
	uint64_t signature;
	uint32_t revision, size, crc, reserved;
};

struct efi_runtime_services {
	struct efi_table_header header;
	void *time_and_memory[6];
	EFIAPI efi_status (*get_variable)(const uint16_t *name, const struct efi_guid *vendor, uint32_t *attributes,
					  uint64_t *size, void *data);
	void *get_next_variable_name;
	EFIAPI efi_status (*set_variable)(const uint16_t *name, const struct efi_guid *vendor, uint32_t attributes,
					  uint64_t size, const void *data);
};

struct efi_boot_services {
	struct efi_table_header header;
	void *up_to_get_next_monotonic_count[28];
	EFIAPI efi_status (*stall)(uint64_t microseconds);
	EFIAPI efi_status (*set_watchdog_timer)(uint64_t seconds, uint64_t code, uint64_t size, const uint16_t *data);
	void *connect_and_open[4];
	void *open_protocol_information_and_protocols_per_handle[2];
	EFIAPI efi_status (*locate_handle_buffer)(uint32_t type, const struct efi_guid *protocol, void *key,
						  uint64_t *count, void ***handles);
	EFIAPI efi_status (*locate_protocol)(const struct efi_guid *protocol, void *registration, void **interface);
};

/* handle_protocol lies among the counted ones above; it has the same place in
 * every version: the 17th function after the header. */
#define EFI_HANDLE_PROTOCOL 16

struct efi_system_table {
	struct efi_table_header header;
	uint16_t *vendor;
	uint32_t firmware_revision;
	void *console[6];
	struct efi_runtime_services *runtime;
	struct efi_boot_services *boot;
};

struct efi_block_io_media {
	uint32_t media_id;
	uint8_t removable, present, partition, read_only, write_caching;
	uint32_t block_size, io_align;
	uint64_t last_block;
};

struct efi_block_io {
	uint64_t revision;
	struct efi_block_io_media *media;
	void *reset;
	EFIAPI efi_status (*read)(struct efi_block_io *dev, uint32_t media_id, uint64_t lba, uint64_t size, void *data);
	EFIAPI efi_status (*write)(struct efi_block_io *dev, uint32_t media_id, uint64_t lba, uint64_t size,
				   const void *data);
	EFIAPI efi_status (*flush)(struct efi_block_io *dev);
};

struct efi_tcg2 {
	void *capability_log_and_extend[3];
	EFIAPI efi_status (*submit_command)(struct efi_tcg2 *tcg, uint32_t in_size, const uint8_t *in,
					    uint32_t out_size, uint8_t *out);
};

_Static_assert(offsetof(struct efi_system_table, runtime) == 88, "UEFI system table");
_Static_assert(offsetof(struct efi_runtime_services, get_variable) == 72, "UEFI runtime services");
_Static_assert(offsetof(struct efi_runtime_services, set_variable) == 88, "UEFI runtime services");
_Static_assert(offsetof(struct efi_boot_services, stall) == 248, "UEFI boot services");
_Static_assert(offsetof(struct efi_boot_services, locate_handle_buffer) == 312, "UEFI boot services");
_Static_assert(offsetof(struct efi_boot_services, locate_protocol) == 320, "UEFI boot services");
_Static_assert(offsetof(struct efi_block_io_media, last_block) == 24, "UEFI block i/o media");
_Static_assert(offsetof(struct efi_block_io, flush) == 40, "UEFI block i/o");

#endif
