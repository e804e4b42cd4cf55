/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A reply as a broken or hostile daemon could send it, checked against a type
 * with structs inside lists inside structs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "varlink/manager.h"
#include "varlink/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct vl_reply *reply)
{
	_cleanup_free_ char *text = vl_reply_format(reply->error, reply->parameters, reply->continues);
	_cleanup_reply_ struct vl_reply again = { 0 };

	if (vl_reply_parse(text, strlen(text), &again, NULL) < 0)
		abort();
	if (again.continues != reply->continues || !json_equal(again.parameters, reply->parameters))
		abort();
	if ((again.error == NULL) != (reply->error == NULL))
		abort();
	if (again.error && strcmp(again.error, reply->error) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vl_method *method = vl_find_method(&vl_manager, "ListSnapshots");
	_cleanup_reply_ struct vl_reply reply = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const char *field = NULL;

	if (vl_reply_parse((const char *)data, size, &reply, &err) < 0) {
		if (!err.message || reply.parameters)
			abort();
		return 0;
	}
	check_round_trip(&reply);
	/* what passes with the strict rule passes with the lenient one */
	if (vl_validate(method->out, reply.parameters, 0, &field) == 0 &&
	    vl_validate(method->out, reply.parameters, 1, &field) < 0)
		abort();
	return 0;
}
