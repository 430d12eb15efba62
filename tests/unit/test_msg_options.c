/* SPDX-License-Identifier: Apache-2.0 */
/* Options that are read into a number or a set, in each encoding. */
#include "proto/msg.h"
#include "proto/transcode.h"
#include "tests/unit/codec_check.h"

#include <math.h>
#include <stdio.h>

/* Reads a message that is written here in JSON, in this encoding. in lends it. */
static void read_in(enum serializer s, const char *json, struct buf *in,
		    struct buf *scratch, struct msg *m)
{
	buf_clear(in);
	assert_int_equal(transcode(SERIALIZER_JSON, slice_str(json), 1, s, in), 0);
	assert_int_equal(msg_read(s, buf_slice(in), scratch, m), 0);
}

static void test_features(void **state)
{
	enum { CANCELING = WAMP_FEATURE_CALL_CANCELING };
	static const struct {
		const char *roles;
		struct wamp_features features;
	} hellos[] = {
		{"'caller':{},'callee':{}", {{0}}},
		{"'callee':{'features':{'call_canceling':true}}", {{0, 0, 0, CANCELING}}},
		{"'callee':{'features':{'call_cancelling':true}}",
		 {{0, 0, 0, CANCELING}}},
		{"'callee':{'call_canceling':true}", {{0, 0, 0, CANCELING}}},
		{"'callee':{'call_cancelling':true,'features':{}}",
		 {{0, 0, 0, CANCELING}}},
		{"'callee':{'features':{'call_canceling':false},'call_canceling':true}",
		 {{0, 0, 0, CANCELING}}},
		{"'callee':{'features':{'call_canceling':true,'call_cancelling':false}}",
		 {{0, 0, 0, CANCELING}}},
		{"'caller':{'features':{'call_canceling':true,'x':[{}]}},'callee':{'"
		 "features':{}}",
		 {{0, 0, CANCELING, 0}}},
		{"'publisher':{'features':{'call_canceling':true}},"
		 "'subscriber':{'call_canceling':true}",
		 {{CANCELING, CANCELING, 0, 0}}},
		{"'callee':{'features':{'call_timeout':true,'x':{'call_canceling':true}}"
		 "}",
		 {{0}}},
		{"'callee':{'features':{'features':{'call_canceling':true}}}", {{0}}},
		{"'other':{'features':{'call_canceling':true}},'callee':{}", {{0}}},
		{"'callee':{'features':{'call_reroute':true,"
		 "'progressive_call_invocations':true,'registration_revocation':true}}",
		 {{0, 0, 0,
		   WAMP_FEATURE_CALL_REROUTE | WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS |
			   WAMP_FEATURE_REGISTRATION_REVOCATION}}},
		{"'subscriber':{'features':{'subscription_revocation':true,"
		 "'payload_transparency':true,'payload_passthru_mode':true}}",
		 {{0,
		   WAMP_FEATURE_SUBSCRIPTION_REVOCATION |
			   WAMP_FEATURE_PAYLOAD_TRANSPARENCY |
			   WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE,
		   0, 0}}},
		/* no feature is announced by anything but true */
		{"'callee':{'features':null}", {{0}}},
		{"'callee':{'features':[]}", {{0}}},
		{"'callee':{'features':['call_canceling']}", {{0}}},
		{"'callee':{'features':'call_canceling'}", {{0}}},
		{"'callee':{'features':{'call_canceling':1}}", {{0}}},
		{"'callee':{'features':{'call_canceling':'true'}}", {{0}}},
		{"'callee':{'features':{'call_canceling':null}}", {{0}}},
		{"'callee':{'features':{'call_canceling':[true]}}", {{0}}},
		{"'callee':{'features':{'call_canceling':{}}}", {{0}}},
	};
	struct buf in, scratch;
	char json[200];

	(void)state;
	buf_init(&in, 1000);
	buf_init(&scratch, 1000);
	for (size_t i = 0; i < ARRAY_LEN(hellos); i++) {
		struct msg_hello hello;
		struct msg m = {.hello = &hello};

		snprintf(json, sizeof(json), "[1,\"r\",{\"roles\":{%s}}]",
			 hellos[i].roles);
		for (char *c = json; *c != '\0'; c++)
			*c = *c == '\'' ? '"' : *c;
		for (enum serializer s = 0; s < SERIALIZER_COUNT; s++) {
			read_in(s, json, &in, &scratch, &m);
			assert_memory_equal(&hello.features, &hellos[i].features,
					    sizeof(hello.features));
		}
	}
	buf_fini(&in);
	buf_fini(&scratch);
}

static void test_timeouts(void **state)
{
	static const struct {
		const char *option;
		double timeout;
	} calls[] = {
		{"", 0},
		{"\"timeout\":0", 0},
		{"\"timeout\":null", 0},
		{"\"timeout\":250", 250},
		{"\"timeout\":-5", -5},
		{"\"timeout\":0.5", 0.5},
		{"\"timeout\":1e300", 1e300},
		{"\"timeout\":18446744073709551615", 18446744073709551616.0},
		{"\"timeout\":\"250\"", NAN},
		{"\"timeout\":true", NAN},
		{"\"timeout\":[]", NAN},
		{"\"timeout\":{\"timeout\":1}", NAN},
		{"\"x\":{\"timeout\":1}", 0},
	};
	struct buf in, scratch;
	char json[200];

	(void)state;
	buf_init(&in, 1000);
	buf_init(&scratch, 1000);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		for (enum serializer s = 0; s < SERIALIZER_COUNT; s++) {
			struct msg m;

			snprintf(json, sizeof(json), "[48,1,{%s},\"p\"]",
				 calls[i].option);
			read_in(s, json, &in, &scratch, &m);
			if (isnan(calls[i].timeout))
				assert_true(isnan(m.timeout));
			else
				assert_true(m.timeout == calls[i].timeout);
			snprintf(json, sizeof(json), "[70,1,{%s}]", calls[i].option);
			read_in(s, json, &in, &scratch, &m);
			assert_true(m.timeout == 0);
		}
	}
	buf_fini(&in);
	buf_fini(&scratch);
}

/* The mode of a CANCEL; what is no string counts as absent. */
static void test_cancel_modes(void **state)
{
	static const struct {
		const char *options, *mode;
	} cancels[] = {
		{"", ""},
		{"\"mode\":\"skip\"", "skip"},
		{"\"mode\":\"kill\"", "kill"},
		{"\"x\":{\"mode\":\"skip\"},\"mode\":\"killnowait\"", "killnowait"},
		{"\"mode\":\"m\\u00f6de\"", "m\xc3\xb6"
					    "de"},
		{"\"mode\":null", ""},
		{"\"mode\":7", ""},
		{"\"mode\":true", ""},
		{"\"mode\":[\"skip\"]", ""},
		{"\"mode\":{\"mode\":\"skip\"}", ""},
	};
	struct buf in, scratch;
	char json[200];

	(void)state;
	buf_init(&in, 1000);
	buf_init(&scratch, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cancels); i++) {
		for (enum serializer s = 0; s < SERIALIZER_COUNT; s++) {
			struct msg m;

			snprintf(json, sizeof(json), "[49,5,{%s}]", cancels[i].options);
			read_in(s, json, &in, &scratch, &m);
			assert_int_equal(m.request, 5);
			assert_true(slice_eq_str(m.text, cancels[i].mode));
		}
	}
	buf_fini(&in);
	buf_fini(&scratch);
}

/* A scratch buffer that is too small gives an error. */
static void test_small_scratch(void **state)
{
	struct msg_hello hello;
	struct msg m = {.hello = &hello};
	struct buf scratch;

	(void)state;
	buf_init(&scratch, 5);
	assert_int_equal(
		msg_read(SERIALIZER_JSON, slice_str("[48,1,{},\"p.q\"]"), &scratch, &m),
		0);
	assert_int_equal(msg_read(SERIALIZER_JSON, slice_str("[48,1,{},\"p\\u002eq\"]"),
				  &scratch, &m),
			 E_LIMIT);
	assert_int_equal(
		msg_read(SERIALIZER_JSON, slice_str("[48,1,{},\"p.q\"]"), &scratch, &m),
		0);
	buf_fini(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_cancel_modes),
		cmocka_unit_test(test_small_scratch),
	};

	return cmocka_run_group_tests_name("msg_options", tests, NULL, NULL);
}
