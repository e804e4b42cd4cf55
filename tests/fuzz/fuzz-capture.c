/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is a result that vmsnap-capture left. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "savestate/capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(capture_result_done) struct capture_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = capture_result_decode(data, size, &result, &err);

	if (r < 0) {
		if (err.kind != ERR_BAD_DATA || !guid_is_none(&result.guid))
			abort();
		return 0;
	}
	if (size > CAPTURE_RESULT_MAX || !guid_valid(result.guid.s) || result.outcome >= CAPTURE_N_OUTCOMES)
		abort();
	if ((result.outcome == CAPTURE_FAILED) != err_is_set(&result.err))
		abort();
	if (err_is_set(&result.err) && (result.err.code >= 0 || !result.err.message))
		abort();
	return 0;
}
