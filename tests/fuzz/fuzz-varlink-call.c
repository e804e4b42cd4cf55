/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte stream as a client could send it: split into messages in pieces whose
 * size the first byte picks, parsed as calls, checked by the tables of the method
 * that they name. What was accepted must survive being written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "varlink/frame.h"
#include "varlink/manager.h"
#include "varlink/message.h"

#define MAX_CALL 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct vl_call *call)
{
	_cleanup_free_ char *text = vl_call_format(call->method, call->parameters, call->more, call->oneway);
	_cleanup_call_ struct vl_call again = { 0 };

	if (vl_call_parse(text, strlen(text), &again, NULL) < 0)
		abort();
	if (strcmp(again.method, call->method) != 0 || again.more != call->more || again.oneway != call->oneway)
		abort();
	if (!json_equal(again.parameters, call->parameters))
		abort();
}

static void check_call(const char *msg, size_t len)
{
	_cleanup_call_ struct vl_call call = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const struct vl_method *method;
	const char *dot, *field = NULL;

	if (vl_call_parse(msg, len, &call, &err) < 0) {
		if (!err.message || call.method)
			abort();
		return;
	}
	check_round_trip(&call);
	dot = strrchr(call.method, '.');
	method = vl_find_method(&vl_manager, dot ? dot + 1 : call.method);
	if (method && vl_validate(method->in, call.parameters, 0, &field) < 0 && !field)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(frame_freep) struct frame *f = frame_new(MAX_CALL);
	size_t piece, len;
	const char *msg;

	if (size == 0)
		return 0;
	piece = (size_t)data[0] + 1;
	for (size_t pos = 1; pos < size; pos += piece) {
		size_t n = size - pos < piece ? size - pos : piece;

		if (frame_feed(f, data + pos, n) < 0)
			return 0;
		while (frame_next(f, &msg, &len) > 0) {
			if (len > MAX_CALL || msg[len] != '\0' || memchr(msg, '\0', len))
				abort();
			check_call(msg, len);
		}
	}
	return 0;
}
