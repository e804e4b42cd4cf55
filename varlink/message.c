/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls and replies: JSON text to values and back, by the header rules. What
 * these rules do not allow ends the connection, so nothing is guessed. */
#include "varlink/message.h"

#include <string.h>

#include "common/alloc.h"

enum { BAD_MESSAGE = -EPROTO };

/* One key of a header and where its value goes. */
struct header {
	const char *key;
	json_type type; /* JSON_TRUE stands for either boolean */
	json_t *value;  /* *borrowed*, NULL if absent */
};

static int bad_message(struct err *reterr, const char *what, const char *why)
{
	return err_set(reterr, ERR_BAD_DATA, BAD_MESSAGE, "the %s is not a Varlink message: %s", what, why);
}

/* Deepest nesting of brackets outside strings. The parser recurses, so this
 * comes first. Invalid JSON gives a number of no meaning: the parser refuses it. */
static int nesting(const char *msg, size_t len)
{
	int depth = 0, deepest = 0, in_string = 0;

	for (size_t i = 0; i < len; i++) {
		char c = msg[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = 0;
		} else if (c == '"') {
			in_string = 1;
		} else if (c == '{' || c == '[') {
			if (++depth > deepest)
				deepest = depth;
			if (deepest > VL_MAX_DEPTH)
				break;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return deepest;
}

/* Parses text to an object with the strictest settings. */
static int load_object(const char *what, const char *msg, size_t len, json_t **ret_obj, struct err *reterr)
{
	_cleanup_json_ json_t *obj = NULL;
	json_error_t error;

	if (nesting(msg, len) > VL_MAX_DEPTH)
		return bad_message(reterr, what, "it is nested more than 32 deep");
	obj = json_loadb(msg, len, JSON_REJECT_DUPLICATES, &error);
	if (!obj)
		return bad_message(reterr, what, error.text);
	if (!json_is_object(obj))
		return bad_message(reterr, what, "it is not a JSON object");
	*ret_obj = TAKE_PTR(obj);
	return 0;
}

static int type_fits(const json_t *value, json_type type)
{
	if (type == JSON_TRUE)
		return json_is_boolean(value);
	return json_typeof(value) == type;
}

static struct header *find_header(struct header *headers, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(headers[i].key, key) == 0)
			return &headers[i];
	return NULL;
}

/* Sorts obj's members into headers. A key with a dot is a vendor's extension and
 * is skipped; any other unknown key is an error, and so is a wrong type. */
static int read_headers(const char *what, json_t *obj, struct header *headers, size_t n, struct err *reterr)
{
	const char *key;
	json_t *value;

	json_object_foreach(obj, key, value) {
		struct header *h = find_header(headers, n, key);

		if (!h) {
			if (strchr(key, '.'))
				continue;
			return err_set(reterr, ERR_BAD_DATA, BAD_MESSAGE, "the %s has an unknown key '%s'", what, key);
		}
		if (h->type == JSON_OBJECT && json_is_null(value))
			continue;
		if (!type_fits(value, h->type))
			return err_set(reterr, ERR_BAD_DATA, BAD_MESSAGE, "the %s has a wrong type for '%s'", what,
				       key);
		h->value = value;
	}
	return 0;
}

/* The parameters' object with a reference of our own; absent gives an empty one. */
static json_t *parameters_of(const struct header *h)
{
	json_t *p = h->value ? json_incref(h->value) : json_object();

	if (!p)
		abort(); /* out of memory, as in common/alloc.h */
	return p;
}

int vl_call_parse(const char *msg, size_t len, struct vl_call *ret_call, struct err *reterr)
{
	enum { METHOD, PARAMETERS, ONEWAY, MORE, UPGRADE };
	struct header h[] = {
		[METHOD] = { "method", JSON_STRING, NULL },   [PARAMETERS] = { "parameters", JSON_OBJECT, NULL },
		[ONEWAY] = { "oneway", JSON_TRUE, NULL },     [MORE] = { "more", JSON_TRUE, NULL },
		[UPGRADE] = { "upgrade", JSON_TRUE, NULL },
	};
	_cleanup_json_ json_t *obj = NULL;
	struct vl_call call;
	int r;

	r = load_object("call", msg, len, &obj, reterr);
	if (r < 0)
		return r;
	r = read_headers("call", obj, h, ARRAY_SIZE(h), reterr);
	if (r < 0)
		return r;
	if (!h[METHOD].value || json_string_length(h[METHOD].value) == 0)
		return bad_message(reterr, "call", "it names no method");
	call.oneway = json_is_true(h[ONEWAY].value);
	call.more = json_is_true(h[MORE].value);
	call.upgrade = json_is_true(h[UPGRADE].value);
	if (call.oneway + call.more + call.upgrade > 1)
		return bad_message(reterr, "call", "only one of 'oneway', 'more' and 'upgrade' can be true");
	call.method = xstrdup(json_string_value(h[METHOD].value));
	call.parameters = parameters_of(&h[PARAMETERS]);
	*ret_call = call;
	return 0;
}

int vl_reply_parse(const char *msg, size_t len, struct vl_reply *ret_reply, struct err *reterr)
{
	enum { ERROR, PARAMETERS, CONTINUES };
	struct header h[] = {
		[ERROR] = { "error", JSON_STRING, NULL },
		[PARAMETERS] = { "parameters", JSON_OBJECT, NULL },
		[CONTINUES] = { "continues", JSON_TRUE, NULL },
	};
	_cleanup_json_ json_t *obj = NULL;
	int r;

	r = load_object("reply", msg, len, &obj, reterr);
	if (r < 0)
		return r;
	r = read_headers("reply", obj, h, ARRAY_SIZE(h), reterr);
	if (r < 0)
		return r;
	if (h[ERROR].value && json_string_length(h[ERROR].value) == 0)
		return bad_message(reterr, "reply", "its error has no name");
	if (h[ERROR].value && json_is_true(h[CONTINUES].value))
		return bad_message(reterr, "reply", "an error cannot be continued");
	ret_reply->error = h[ERROR].value ? xstrdup(json_string_value(h[ERROR].value)) : NULL;
	ret_reply->parameters = parameters_of(&h[PARAMETERS]);
	ret_reply->continues = json_is_true(h[CONTINUES].value);
	return 0;
}

/* Adds value (*taken*) to obj; failure can only be lack of memory. */
static void put(json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value) < 0)
		abort();
}

/* The text of obj. */
static char *dump(const json_t *obj)
{
	char *text = json_dumps(obj, JSON_COMPACT);

	if (!text)
		abort();
	return text;
}

char *vl_call_format(const char *method, json_t *parameters, int more, int oneway)
{
	_cleanup_json_ json_t *obj = json_object();

	put(obj, "method", vl_string(method));
	if (json_object_size(parameters) > 0)
		put(obj, "parameters", json_incref(parameters));
	if (more)
		put(obj, "more", json_true());
	if (oneway)
		put(obj, "oneway", json_true());
	return dump(obj);
}

char *vl_reply_format(const char *error, json_t *parameters, int continues)
{
	_cleanup_json_ json_t *obj = json_object();

	if (error)
		put(obj, "error", vl_string(error));
	if (json_object_size(parameters) > 0)
		put(obj, "parameters", json_incref(parameters));
	if (continues)
		put(obj, "continues", json_true());
	return dump(obj);
}

void vl_call_done(struct vl_call *call)
{
	free(call->method);
	json_decref(call->parameters);
	*call = (struct vl_call){ 0 };
}

void vl_reply_done(struct vl_reply *reply)
{
	free(reply->error);
	json_decref(reply->parameters);
	*reply = (struct vl_reply){ 0 };
}
