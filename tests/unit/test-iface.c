/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Validation names the exact field; the description says what the tables say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "varlink/iface.h"
#include "varlink/message.h"

static const struct vl_field inner_fields[] = {
	{ "flag", VL_BOOL, 0, NULL, "A flag." },
	{ "depth", VL_INT, VL_NULLABLE, NULL, "A number." },
	{ .name = NULL },
};

static const struct vl_struct inner = { "Inner", "Something inside.", inner_fields };

static const struct vl_field fields[] = {
	{ "name", VL_STRING, 0, NULL, "A name." },
	{ "size", VL_INT, VL_NULLABLE, NULL,
	  "A size whose description is so long that it has to be broken into more than one line of comment." },
	{ "tags", VL_STRING, VL_NULLABLE | VL_ARRAY, NULL, "Words." },
	{ "one", VL_STRUCT, VL_NULLABLE, &inner, "One of them." },
	{ "many", VL_STRUCT, VL_NULLABLE | VL_ARRAY, &inner, "Many of them." },
	{ "free", VL_OBJECT, VL_NULLABLE, NULL, "Anything." },
	{ .name = NULL },
};

static const struct vl_field none[] = { { .name = NULL } };

/* Validates text; expected is the offending field, NULL if there is none. */
static void check(const char *text, int allow_unknown, const char *expected)
{
	_cleanup_json_ json_t *obj = json_loads(text, JSON_DECODE_ANY, NULL);
	const char *field = "untouched";
	int r;

	print_message("%s\n", text);
	assert_non_null(obj);
	r = vl_validate(fields, obj, allow_unknown, &field);
	assert_int_equal(r, expected ? -EINVAL : 0);
	assert_string_equal(field, expected ? expected : "untouched");
}

static void test_valid(void **state _unused_)
{
	check("{\"name\":\"a\"}", 0, NULL);
	check("{\"name\":\"a\",\"size\":null,\"tags\":null,\"one\":null,\"many\":null,\"free\":null}", 0, NULL);
	check("{\"name\":\"a\",\"size\":-1,\"tags\":[],\"free\":{\"any\":[1,{}]}}", 0, NULL);
	check("{\"name\":\"a\",\"tags\":[\"x\",\"y\"],\"one\":{\"flag\":true},"
	      "\"many\":[{\"flag\":false,\"depth\":3},{\"flag\":true,\"depth\":null}]}", 0, NULL);
	check("{\"name\":\"a\",\"new\":1,\"one\":{\"flag\":true,\"newer\":2}}", 1, NULL);
}

static void test_invalid(void **state _unused_)
{
	check("[]", 0, "parameters");
	check("{}", 0, "name");
	check("{\"name\":null}", 0, "name");
	check("{\"name\":1}", 0, "name");
	check("{\"name\":[\"a\"]}", 0, "name");
	check("{\"name\":\"a\",\"size\":\"1\"}", 0, "size");
	check("{\"name\":\"a\",\"size\":1.0}", 0, "size");
	check("{\"name\":\"a\",\"size\":true}", 0, "size");
	check("{\"name\":\"a\",\"other\":1}", 0, "other");
	check("{\"name\":\"a\",\"other\":null}", 0, "other");
	check("{\"name\":\"a\",\"tags\":\"x\"}", 0, "tags");
	check("{\"name\":\"a\",\"tags\":[\"x\",1]}", 0, "tags");
	check("{\"name\":\"a\",\"tags\":[\"x\",null]}", 0, "tags");
	check("{\"name\":\"a\",\"free\":[]}", 0, "free");
}

static void test_invalid_inside(void **state _unused_)
{
	check("{\"name\":\"a\",\"one\":[]}", 0, "one");
	check("{\"name\":\"a\",\"one\":{}}", 0, "flag");
	check("{\"name\":\"a\",\"one\":{\"flag\":1}}", 0, "flag");
	check("{\"name\":\"a\",\"one\":{\"flag\":true,\"odd\":1}}", 0, "odd");
	check("{\"name\":\"a\",\"many\":{\"flag\":true}}", 0, "many");
	check("{\"name\":\"a\",\"many\":[{\"flag\":true},7]}", 0, "many");
	check("{\"name\":\"a\",\"many\":[{\"flag\":true},{\"flag\":true,\"depth\":\"3\"}]}", 0, "depth");
	check("{\"name\":\"a\",\"one\":{\"flag\":true,\"odd\":1},\"size\":\"x\"}", 1, "size");
}

static const struct vl_method methods[] = {
	{ "Plain", "Does it.", none, none, VL_MORE_NO, VL_ROLE_OBSERVER },
	{ "Stream", "Does it often.", fields, inner_fields, VL_MORE_SUPPORTED, VL_ROLE_ADMIN },
	{ "Watch", "Looks on.", none, inner_fields, VL_MORE_REQUIRED, VL_ROLE_ADMIN },
	{ .name = NULL },
};

static const struct vl_error errors[] = {
	{ "Bad", "It is bad.", none },
	{ .name = NULL },
};

static const struct vl_struct *const types[] = { &inner, NULL };

static const struct vl_interface iface = {
	"org.example.test", "An example.\n\nWith two paragraphs.", types, methods, errors
};

static const char description[] =
	"# An example.\n#\n# With two paragraphs.\n"
	"interface org.example.test\n"
	"\n# Something inside.\n"
	"type Inner (\n"
	"\t# A flag.\n\tflag: bool,\n"
	"\t# A number.\n\tdepth: ?int\n"
	")\n"
	"\n# Does it.\n"
	"method Plain() -> ()\n"
	"\n# Does it often.\n# [Supports 'more' flag]\n"
	"method Stream(\n"
	"\t# A name.\n\tname: string,\n"
	"\t# A size whose description is so long that it has to be broken into more than\n"
	"\t# one line of comment.\n\tsize: ?int,\n"
	"\t# Words.\n\ttags: ?[]string,\n"
	"\t# One of them.\n\tone: ?Inner,\n"
	"\t# Many of them.\n\tmany: ?[]Inner,\n"
	"\t# Anything.\n\tfree: ?object\n"
	") -> (\n"
	"\t# A flag.\n\tflag: bool,\n"
	"\t# A number.\n\tdepth: ?int\n"
	")\n"
	"\n# Looks on.\n# [Requires 'more' flag]\n"
	"method Watch() -> (\n"
	"\t# A flag.\n\tflag: bool,\n"
	"\t# A number.\n\tdepth: ?int\n"
	")\n"
	"\n# It is bad.\n"
	"error Bad ()\n";

static void test_describe(void **state _unused_)
{
	_cleanup_free_ char *text = vl_describe(&iface);

	assert_string_equal(text, description);
}

static void test_find(void **state _unused_)
{
	assert_ptr_equal(vl_find_method(&iface, "Stream"), &methods[1]);
	assert_null(vl_find_method(&iface, "stream"));
	assert_null(vl_find_method(&iface, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),	 cmocka_unit_test(test_invalid), cmocka_unit_test(test_invalid_inside),
		cmocka_unit_test(test_describe), cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
