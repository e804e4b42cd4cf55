/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls and replies by the header rules, each rule once broken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "varlink/message.h"

static int parse_call(const char *text, struct vl_call *ret_call)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = vl_call_parse(text, strlen(text), ret_call, &err);

	if (r < 0) {
		assert_int_equal(err.kind, ERR_BAD_DATA);
		assert_non_null(err.message);
	}
	return r;
}

static void expect_call(const char *text, const char *method, size_t n_params, int more, int oneway, int upgrade)
{
	_cleanup_call_ struct vl_call call = { 0 };

	print_message("%s\n", text);
	assert_int_equal(parse_call(text, &call), 0);
	assert_string_equal(call.method, method);
	assert_int_equal(json_object_size(call.parameters), n_params);
	assert_true(json_is_object(call.parameters));
	assert_int_equal(call.more, more);
	assert_int_equal(call.oneway, oneway);
	assert_int_equal(call.upgrade, upgrade);
}

static void test_good_calls(void **state _unused_)
{
	expect_call("{\"method\":\"a.b.C\"}", "a.b.C", 0, 0, 0, 0);
	expect_call(" \n{ \"method\" : \"a.b.C\" }\t", "a.b.C", 0, 0, 0, 0);
	expect_call("{\"method\":\"a.b.C\",\"parameters\":null}", "a.b.C", 0, 0, 0, 0);
	expect_call("{\"method\":\"a.b.C\",\"parameters\":{}}", "a.b.C", 0, 0, 0, 0);
	expect_call("{\"parameters\":{\"x\":1,\"y\":null},\"method\":\"a.b.C\"}", "a.b.C", 2, 0, 0, 0);
	expect_call("{\"method\":\"a.b.C\",\"more\":true,\"oneway\":false,\"upgrade\":false}", "a.b.C", 0, 1, 0, 0);
	expect_call("{\"method\":\"a.b.C\",\"more\":false}", "a.b.C", 0, 0, 0, 0);
	expect_call("{\"method\":\"a.b.C\",\"oneway\":true}", "a.b.C", 0, 0, 1, 0);
	expect_call("{\"method\":\"a.b.C\",\"upgrade\":true}", "a.b.C", 0, 0, 0, 1);
	expect_call("{\"method\":\"a.b.C\",\"org.vendor\":{\"x\":1}}", "a.b.C", 0, 0, 0, 0);
	expect_call("{\"method\":\"a.b.C\",\"parameters\":{\"i\":9223372036854775807}}", "a.b.C", 1, 0, 0, 0);
}

static void test_malformed_calls(void **state _unused_)
{
	static const char *const bad[] = {
		"",
		"x",
		"null",
		"[]",
		"[{\"method\":\"a.b.C\"}]",
		"\"a.b.C\"",
		"{}",
		"{\"parameters\":{}}",
		"{\"method\":\"\"}",
		"{\"method\":1}",
		"{\"method\":null}",
		"{\"method\":\"a.b.C\"",
		"{\"method\":\"a.b.C\"}}",
		"{\"method\":\"a.b.C\"}{\"method\":\"a.b.C\"}",
		"{\"method\":\"a.b.C\",}",
		"{'method':'a.b.C'}",
		"{\"method\":\"a.b.C\",\"parameters\":[]}",
		"{\"method\":\"a.b.C\",\"parameters\":\"x\"}",
		"{\"method\":\"a.b.C\",\"more\":1}",
		"{\"method\":\"a.b.C\",\"more\":\"true\"}",
		"{\"method\":\"a.b.C\",\"oneway\":null}",
		"{\"method\":\"a.b.C\",\"upgrade\":0}",
		"{\"method\":\"a.b.C\",\"more\":true,\"oneway\":true}",
		"{\"method\":\"a.b.C\",\"more\":true,\"upgrade\":true}",
		"{\"method\":\"a.b.C\",\"oneway\":true,\"upgrade\":true}",
		"{\"method\":\"a.b.C\",\"moreover\":true}",
		"{\"method\":\"a.b.C\",\"error\":\"a.b.D\"}",
		"{\"method\":\"a.b.C\",\"method\":\"a.b.D\"}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":1,\"x\":1}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":9223372036854775808}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":NaN}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":\"a\tb\"}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":\"\\u0000\"}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":\"\\ud800\"}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"x\":\"\xc0\xaf\"}}",
		"\xef\xbb\xbf{\"method\":\"a.b.C\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vl_call call = { 0 };

		print_message("%s\n", bad[i]);
		assert_int_equal(parse_call(bad[i], &call), -EPROTO);
		assert_null(call.method); /* untouched */
		assert_null(call.parameters);
	}
}

/* A call whose nesting is depth deep in all. */
static char *nested_call(int depth, char open, char close)
{
	_cleanup_free_ char *opens = xcalloc((size_t)depth + 1, 1), *closes = xcalloc((size_t)depth + 1, 1);

	memset(opens, open, (size_t)depth - 2);
	memset(closes, close, (size_t)depth - 2);
	return xasprintf("{\"method\":\"a.b.C\",\"parameters\":{\"x\":%s%s}}", opens, closes);
}

static void test_depth(void **state _unused_)
{
	_cleanup_free_ char *ok = nested_call(32, '[', ']'), *deep = nested_call(33, '[', ']');
	_cleanup_free_ char *deeper = nested_call(100000, '[', ']');
	struct vl_call none = { 0 };

	expect_call(ok, "a.b.C", 1, 0, 0, 0);
	assert_int_equal(parse_call(deep, &none), -EPROTO);
	assert_int_equal(parse_call(deeper, &none), -EPROTO);
	/* brackets in strings do not count, wherever the quotes end */
	expect_call("{\"method\":\"a.b.C\",\"parameters\":{\"x\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\\"}}",
		    "a.b.C", 1, 0, 0, 0);
}

static void test_good_replies(void **state _unused_)
{
	static const char text[] = "{\"parameters\":{\"a\":1},\"continues\":true}";
	static const char error[] = "{\"error\":\"a.b.E\",\"parameters\":{\"x\":1},\"continues\":false,\"x.y\":0}";
	_cleanup_reply_ struct vl_reply reply = { 0 };

	assert_int_equal(vl_reply_parse(text, strlen(text), &reply, NULL), 0);
	assert_null(reply.error);
	assert_int_equal(reply.continues, 1);
	assert_int_equal(json_object_size(reply.parameters), 1);
	vl_reply_done(&reply);
	assert_int_equal(vl_reply_parse(error, strlen(error), &reply, NULL), 0);
	assert_string_equal(reply.error, "a.b.E");
	assert_int_equal(reply.continues, 0);
	vl_reply_done(&reply);
	assert_int_equal(vl_reply_parse("{}", 2, &reply, NULL), 0);
	assert_null(reply.error);
	assert_true(json_is_object(reply.parameters));
}

static void test_malformed_replies(void **state _unused_)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"error\":1}",
		"{\"error\":null}",
		"{\"error\":\"\"}",
		"{\"parameters\":1}",
		"{\"continues\":1}",
		"{\"error\":\"a.b.E\",\"continues\":true}",
		"{\"unknown\":1}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct vl_reply reply = { 0 };

		print_message("%s\n", bad[i]);
		assert_int_equal(vl_reply_parse(bad[i], strlen(bad[i]), &reply, &err), -EPROTO);
		assert_null(reply.parameters);
	}
}

static void expect_text(char *text, const char *expected)
{
	_cleanup_free_ char *t = text;

	assert_string_equal(t, expected);
}

static void test_format(void **state _unused_)
{
	_cleanup_json_ json_t *params = json_pack("{s:i}", "x", 1), *empty = json_object();

	expect_text(vl_call_format("a.b.C", NULL, 0, 0), "{\"method\":\"a.b.C\"}");
	expect_text(vl_call_format("a.b.C", empty, 0, 1), "{\"method\":\"a.b.C\",\"oneway\":true}");
	expect_text(vl_call_format("a.b.C", params, 1, 0),
		    "{\"method\":\"a.b.C\",\"parameters\":{\"x\":1},\"more\":true}");
	expect_text(vl_reply_format(NULL, NULL, 0), "{}");
	expect_text(vl_reply_format(NULL, empty, 1), "{\"continues\":true}");
	expect_text(vl_reply_format(NULL, params, 1), "{\"parameters\":{\"x\":1},\"continues\":true}");
	expect_text(vl_reply_format("a.b.E", params, 0), "{\"error\":\"a.b.E\",\"parameters\":{\"x\":1}}");
	assert_int_equal(params->refcount, 1); /* only borrowed */
}

static void expect_utf8(const char *in, const char *out)
{
	_cleanup_json_ json_t *value = vl_string(in);

	assert_string_equal(json_string_value(value), out);
}

#define BAD "\xef\xbf\xbd"

static void test_string(void **state _unused_)
{
	_cleanup_json_ json_t *null = vl_string(NULL);

	assert_true(json_is_null(null));
	expect_utf8("", "");
	expect_utf8("/a/\xc3\xa4.img", "/a/\xc3\xa4.img");
	expect_utf8("\xe4.img", BAD ".img");
	expect_utf8("a\xff\xc3", "a" BAD BAD);
	expect_utf8("\xc0\xaf", BAD BAD);
	expect_utf8("\xed\xa0\x80", BAD BAD BAD);
	expect_utf8("\xe2\x82", BAD BAD);
	expect_utf8("\xff\xe2\x82\xac\xf0\x9f\x98\x80", BAD "\xe2\x82\xac\xf0\x9f\x98\x80");
	expect_utf8("\xf4\x90\x80\x80", BAD BAD BAD BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_calls),
		cmocka_unit_test(test_malformed_calls),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_good_replies),
		cmocka_unit_test(test_malformed_replies),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
