/* SPDX-License-Identifier: Apache-2.0 */
/* What msg_read refuses: invalid values, which fail the request, and malformed messages;
 * and the message texts that the sender gets. */
#include "proto/msg.h"
#include "tests/unit/codec_check.h"

#include <stdio.h>

/* Reads an exact copy of bytes, and describes what is wrong. */
static int read_fault(enum serializer s, struct slice bytes, struct msg *m,
		      char text[MSG_FAULT_TEXT_MAX])
{
	struct slice in = copy_exact(bytes);
	struct msg_hello hello;
	struct buf scratch;

	buf_init(&scratch, in.len);
	/* fields that the reader does not set must not be used */
	memset(m, 0xaa, sizeof(*m));
	m->hello = &hello;
	int err = msg_read(s, in, &scratch, m);
	text[0] = '\0';
	if (err != 0)
		msg_fault_text(m, err, text);
	buf_fini(&scratch);
	free_copy(in);
	return err;
}

/* E in a text stands for the value: [48,7,{},"p",[1,E,2]]. */
static const struct {
	const char *before, *behind; /* text for JSON, hex for the others */
} in_arguments[] = {
	{"[48,7,{},\"p\",[1,", ",2]]"},
	{"95 30 07 80 a170 93 01", "02"},
	{"85 1830 07 a0 6170 83 01", "02"},
};

static void put_bytes(enum serializer s, const char *bytes, struct buf *out)
{
	struct slice b = sample_bytes(s, bytes);

	buf_put_slice(out, b);
	free_copy(b);
}

struct value {
	enum serializer serializer;
	const char *bytes;
	/* 0: accepted; invalid value: fault.why; malformed: the result of msg_read */
	int err;
};

static const struct value values[] = {
	{SERIALIZER_JSON, "\"\\ud83d\"", E_SURROGATE},
	{SERIALIZER_JSON, "\"\\ude00\"", E_SURROGATE},
	{SERIALIZER_JSON, "{\"\\ud83d\":1}", E_SURROGATE},
	{SERIALIZER_JSON, "[{\"a\":{\"b\":[\"\\ud83d x\"]}}]", E_SURROGATE},
	{SERIALIZER_JSON, "\"\\u0000no base64\"", E_BASE64},
	{SERIALIZER_JSON, "{\"\\u0000no base64\":1}", 0},
	{SERIALIZER_JSON, "\"\\u0000AAAA\"", 0},
	{SERIALIZER_JSON, "NaN", E_NAN},
	{SERIALIZER_JSON, "{\"a\":Infinity}", E_NAN},
	{SERIALIZER_JSON, "[-Infinity]", E_NAN},
	{SERIALIZER_JSON, "\"\xff\"", E_UTF8},
	{SERIALIZER_JSON, "\"\xed\xa0\xbd\"", E_UTF8},
	{SERIALIZER_JSON, "{\"\xff\":1}", E_UTF8},
	{SERIALIZER_JSON, "1e400", 0},
	{SERIALIZER_JSON, "123456789012345678901234567890", 0},
	{SERIALIZER_JSON, "{\"a\":1,\"a\":2}", 0},
	/* of two faults the first is reported */
	{SERIALIZER_JSON, "[NaN,\"\\ud83d\"]", E_NAN},
	/* malformed input is reported, whatever stands before it */
	{SERIALIZER_JSON, "[\"\\ud83d\",tru]", E_SYNTAX},
	{SERIALIZER_JSON, "\"\\ud83d\\q\"", E_SYNTAX},
	{SERIALIZER_JSON, "[\"\\ud83d\"", E_TRUNCATED},
	{SERIALIZER_JSON, "{NaN:1}", E_SYNTAX},
	{SERIALIZER_JSON, "{1:1}", E_SYNTAX},
	{SERIALIZER_JSON, "nan", E_SYNTAX},
	{SERIALIZER_JSON, "01", E_SYNTAX},
	{SERIALIZER_JSON, "'x'", E_SYNTAX},
	{SERIALIZER_JSON, "\"\n\"", E_SYNTAX},
	{SERIALIZER_MSGPACK, "a1ff", E_UTF8},
	{SERIALIZER_MSGPACK, "a3eda0bd", E_UTF8},
	{SERIALIZER_MSGPACK, "81a1ff01", E_UTF8},
	{SERIALIZER_MSGPACK, "9181a16191d902c328", E_UTF8},
	{SERIALIZER_MSGPACK, "cb7ff8000000000000", 0},
	{SERIALIZER_MSGPACK, "a20061", 0},
	{SERIALIZER_MSGPACK, "810102", 0},
	{SERIALIZER_MSGPACK, "82a16101a16102", 0},
	{SERIALIZER_MSGPACK, "c7010500", 0},
	{SERIALIZER_MSGPACK, "92a1ffc1", E_SYNTAX},
	{SERIALIZER_MSGPACK, "c1", E_SYNTAX},
	{SERIALIZER_CBOR, "61ff", E_UTF8},
	{SERIALIZER_CBOR, "63eda0bd", E_UTF8},
	{SERIALIZER_CBOR, "a161ff01", E_UTF8},
	{SERIALIZER_CBOR, "bf61ff01ff", E_UTF8},
	{SERIALIZER_CBOR, "7f61ff6161ff", E_UTF8},
	/* a character that is cut by the end of a chunk */
	{SERIALIZER_CBOR, "7f61c361a9ff", E_UTF8},
	{SERIALIZER_CBOR, "c161ff", E_UTF8},
	{SERIALIZER_CBOR, "f97e00", 0},
	{SERIALIZER_CBOR, "620061", 0},
	{SERIALIZER_CBOR, "a10102", 0},
	{SERIALIZER_CBOR, "a2616101616102", 0},
	{SERIALIZER_CBOR, "c249010000000000000000", 0},
	{SERIALIZER_CBOR, "3bffffffffffffffff", 0},
	{SERIALIZER_CBOR, "8261ff1c", E_SYNTAX},
	{SERIALIZER_CBOR, "7f61ff01ff", E_SYNTAX},
	{SERIALIZER_CBOR, "bf61ffff", E_SYNTAX},
	{SERIALIZER_CBOR, "f810", E_SYNTAX},
};

static void check_value(const struct value *v)
{
	enum serializer s = v->serializer;
	char text[MSG_FAULT_TEXT_MAX];
	struct msg m;
	struct buf b;

	buf_init(&b, 10000);
	put_bytes(s, in_arguments[s].before, &b);
	put_bytes(s, v->bytes, &b);
	put_bytes(s, in_arguments[s].behind, &b);
	int err = read_fault(s, buf_slice(&b), &m, text);
	int expected = token_is_value_error(v->err) ? E_VALUE : v->err;
	if (err != expected)
		fail_msg("%s: %s", v->bytes, err_str(err));
	assert_int_equal(m.type, WAMP_CALL);
	assert_int_equal(m.request, 7);
	if (err == E_VALUE) {
		assert_int_equal(m.fault.err, v->err);
		assert_string_equal(m.fault.element, "Arguments");
		assert_ptr_equal(strstr(text, "CALL.Arguments: "), text);
	}
	/* cut anywhere, the message is malformed, not its value invalid */
	for (size_t len = 0; len < b.len; len++) {
		err = read_fault(s, slice_of(b.data, len), &m, text);
		assert_true(err == E_TRUNCATED || err == E_SYNTAX || err == E_UNKNOWN);
	}
	buf_fini(&b);
}

static void test_values_in_arguments(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		check_value(&values[i]);
}

/* Reads a message whose first argument is depth nested containers, followed by a valid
 * end. */
static int read_nested(enum serializer s, const char *opener, const char *inner,
		       const char *closer, unsigned depth, struct msg *m)
{
	char text[MSG_FAULT_TEXT_MAX];
	struct buf b;

	buf_init(&b, 1000000);
	put_bytes(s, in_arguments[s].before, &b);
	for (unsigned i = 0; i < depth; i++)
		put_bytes(s, opener, &b);
	put_bytes(s, inner, &b);
	for (unsigned i = 0; i < depth; i++)
		put_bytes(s, closer, &b);
	put_bytes(s, in_arguments[s].behind, &b);
	int err = read_fault(s, buf_slice(&b), m, text);
	buf_fini(&b);
	return err;
}

static const struct {
	enum serializer serializer;
	const char *opener, *inner, *closer;
} nestings[] = {
	{SERIALIZER_JSON, "[", "1", "]"},
	{SERIALIZER_JSON, "{\"a\":", "1", "}"},
	{SERIALIZER_JSON, "[\"\\ud800\",[],", "{}", ",\"]\"]"},
	{SERIALIZER_MSGPACK, "91", "01", ""},
	{SERIALIZER_MSGPACK, "81a161", "01", ""},
	{SERIALIZER_MSGPACK, "dc0001", "01", ""},
	{SERIALIZER_MSGPACK, "dd00000001", "01", ""},
	{SERIALIZER_MSGPACK, "de0001a161", "01", ""},
	{SERIALIZER_MSGPACK, "df00000001a161", "01", ""},
	{SERIALIZER_CBOR, "81", "01", ""},
	{SERIALIZER_CBOR, "a16161", "01", ""},
	{SERIALIZER_CBOR, "9f", "01", "ff"},
	{SERIALIZER_CBOR, "bf6161", "01", "ff"},
	{SERIALIZER_CBOR, "9801", "01", ""},
	{SERIALIZER_CBOR, "990001", "01", ""},
	{SERIALIZER_CBOR, "9a00000001", "01", ""},
	{SERIALIZER_CBOR, "bb00000000000000016161", "01", ""},
	{SERIALIZER_CBOR, "c1", "01", ""},
	{SERIALIZER_CBOR, "d818", "01", ""},
};

static void test_nested_too_deep(void **state)
{
	struct msg m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nestings); i++) {
		enum serializer s = nestings[i].serializer;
		const char *o = nestings[i].opener, *in = nestings[i].inner,
			   *c = nestings[i].closer;

		/* the message and Arguments are two of the levels */
		if (strstr(o, "ud800") == NULL && strcmp(in, "{}") != 0)
			assert_int_equal(read_nested(s, o, in, c, WAMP_MAX_DEPTH - 2, &m),
					 0);
		for (unsigned depth = WAMP_MAX_DEPTH - 1; depth <= 1000; depth += 67) {
			assert_int_equal(read_nested(s, o, in, c, depth, &m), E_VALUE);
			assert_int_equal(m.request, 7);
		}
		assert_int_equal(read_nested(s, o, in, c, 1000, &m), E_VALUE);
		assert_int_equal(read_nested(s, o, in, c, 1200, &m), E_DEPTH);
		assert_int_equal(read_nested(s, o, in, c, 20000, &m), E_DEPTH);
	}
	/* malformed deep inside */
	assert_int_equal(read_nested(SERIALIZER_JSON, "[", "tru", "]", 100, &m),
			 E_SYNTAX);
	assert_int_equal(read_nested(SERIALIZER_JSON, "[", "1", "}", 100, &m), E_SYNTAX);
	assert_int_equal(read_nested(SERIALIZER_MSGPACK, "91", "c1", "", 100, &m),
			 E_SYNTAX);
	assert_int_equal(read_nested(SERIALIZER_MSGPACK, "92", "01", "", 100, &m),
			 E_TRUNCATED);
	assert_int_equal(read_nested(SERIALIZER_CBOR, "81", "1c", "", 100, &m), E_SYNTAX);
	assert_int_equal(read_nested(SERIALIZER_CBOR, "9f", "01", "", 100, &m),
			 E_TRUNCATED);
}

/* Each type of value as Arguments and as ArgumentsKw, and the result of msg_read. */
static const struct {
	enum serializer serializer;
	const char *bytes;
	bool is_list, is_dict, is_absent;
} types[] = {
	{SERIALIZER_JSON, "[1]", true, false, false},
	{SERIALIZER_JSON, "{\"a\":1}", false, true, false},
	{SERIALIZER_JSON, "null", false, false, true},
	{SERIALIZER_JSON, "true", false, false, false},
	{SERIALIZER_JSON, "false", false, false, false},
	{SERIALIZER_JSON, "0", false, false, false},
	{SERIALIZER_JSON, "-1", false, false, false},
	{SERIALIZER_JSON, "1.5", false, false, false},
	{SERIALIZER_JSON, "1e400", false, false, false},
	{SERIALIZER_JSON, "\"[1]\"", false, false, false},
	{SERIALIZER_JSON, "\"\"", false, false, false},
	{SERIALIZER_JSON, "\"\\u0000AAAA\"", false, false, false},
	{SERIALIZER_MSGPACK, "9101", true, false, false},
	{SERIALIZER_MSGPACK, "dc000101", true, false, false},
	{SERIALIZER_MSGPACK, "81a16101", false, true, false},
	{SERIALIZER_MSGPACK, "de0001a16101", false, true, false},
	{SERIALIZER_MSGPACK, "c0", false, false, true},
	{SERIALIZER_MSGPACK, "d40000", false, false, true},
	{SERIALIZER_MSGPACK, "d40001", false, false, false},
	{SERIALIZER_MSGPACK, "d50000aa", false, false, false},
	{SERIALIZER_MSGPACK, "c7010500", false, false, false},
	{SERIALIZER_MSGPACK, "c2", false, false, false},
	{SERIALIZER_MSGPACK, "c3", false, false, false},
	{SERIALIZER_MSGPACK, "00", false, false, false},
	{SERIALIZER_MSGPACK, "ff", false, false, false},
	{SERIALIZER_MSGPACK, "d19000", false, false, false},
	{SERIALIZER_MSGPACK, "cb3ff0000000000000", false, false, false},
	{SERIALIZER_MSGPACK, "a0", false, false, false},
	{SERIALIZER_MSGPACK, "a29101", false, false, false},
	{SERIALIZER_MSGPACK, "c400", false, false, false},
	{SERIALIZER_MSGPACK, "c4029101", false, false, false},
	{SERIALIZER_CBOR, "8101", true, false, false},
	{SERIALIZER_CBOR, "9f01ff", true, false, false},
	{SERIALIZER_CBOR, "c18101", true, false, false},
	{SERIALIZER_CBOR, "a1616101", false, true, false},
	{SERIALIZER_CBOR, "bf616101ff", false, true, false},
	{SERIALIZER_CBOR, "d9d9f7a1616101", false, true, false},
	{SERIALIZER_CBOR, "f6", false, false, true},
	{SERIALIZER_CBOR, "f7", false, false, true},
	{SERIALIZER_CBOR, "f4", false, false, false},
	{SERIALIZER_CBOR, "f5", false, false, false},
	{SERIALIZER_CBOR, "f0", false, false, false},
	{SERIALIZER_CBOR, "00", false, false, false},
	{SERIALIZER_CBOR, "20", false, false, false},
	{SERIALIZER_CBOR, "f93c00", false, false, false},
	{SERIALIZER_CBOR, "60", false, false, false},
	{SERIALIZER_CBOR, "628101", false, false, false},
	{SERIALIZER_CBOR, "40", false, false, false},
	{SERIALIZER_CBOR, "428101", false, false, false},
	{SERIALIZER_CBOR, "5f428101ff", false, false, false},
	{SERIALIZER_CBOR, "7f628101ff", false, false, false},
	{SERIALIZER_CBOR, "c1428101", false, false, false},
	{SERIALIZER_CBOR, "c24101", false, false, false},
};

/* The five messages with a payload, up to it: with Arguments alone, and with an empty
 * list of Arguments before ArgumentsKw. */
static const struct {
	const char *alone, *second; /* printf formats of the part after the URI */
	const char *json, *msgpack, *cbor;
	const char *name;
} carriers[] = {
	{"94", "95", "[48,7,{},\"p\",", "30 07 80 a170", "1830 07 a0 6170", "CALL"},
	{"94", "95", "[16,7,{},\"p\",", "10 07 80 a170", "10 07 a0 6170", "PUBLISH"},
	{"93", "94", "[70,7,{},", "46 07 80", "1846 07 a0", "YIELD"},
	{"95", "96", "[8,68,7,{},\"p\",", "08 44 07 80 a170", "08 1844 07 a0 6170",
	 "ERROR"},
	{"93", "94", "[3,{},\"p\",", "03 80 a170", "03 a0 6170", "ABORT"},
};

/* Writes carrier c with this value as Arguments, or as ArgumentsKw. */
static void put_carrier(size_t c, enum serializer s, bool kw, const char *value,
			struct buf *out)
{
	static const char *const empty[] = {"[],", "90", "80"};
	const char *count = kw ? carriers[c].second : carriers[c].alone;
	size_t announced = (size_t)nibble(count[1]) + 1;
	uint8_t head = (uint8_t)((s == SERIALIZER_CBOR ? 0x80 : 0x90) | announced);

	if (s == SERIALIZER_JSON) {
		buf_put_str(out, carriers[c].json);
	} else {
		buf_put_u8(out, head);
		put_bytes(s,
			  s == SERIALIZER_CBOR ? carriers[c].cbor : carriers[c].msgpack,
			  out);
	}
	if (kw)
		put_bytes(s, empty[s], out);
	put_bytes(s, value, out);
	if (s == SERIALIZER_JSON)
		buf_put_str(out, "]");
}

static void test_types_of_arguments(void **state)
{
	char text[MSG_FAULT_TEXT_MAX], expected[MSG_FAULT_TEXT_MAX];
	struct msg m;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(types) * ARRAY_LEN(carriers) * 2; i++) {
		size_t t = i / 2 / ARRAY_LEN(carriers), c = i / 2 % ARRAY_LEN(carriers);
		bool kw = i % 2 == 1, right = kw ? types[t].is_dict : types[t].is_list;
		enum serializer s = types[t].serializer;

		buf_clear(&b);
		put_carrier(c, s, kw, types[t].bytes, &b);
		int err = read_fault(s, buf_slice(&b), &m, text);
		snprintf(expected, sizeof(expected), "%s.%s: expected %s",
			 carriers[c].name, kw ? "ArgumentsKw" : "Arguments",
			 kw ? "a dict" : "a list");
		if (err != (right || types[t].is_absent ? 0 : E_TYPE))
			fail_msg("%s in %s: %s", types[t].bytes, expected, err_str(err));
		if (err != 0)
			assert_string_equal(text, expected);
		else
			assert_int_equal(m.payload.items, kw + right);
	}
	buf_fini(&b);
}

#define ROLES "\"roles\":{\"caller\":{}}"

/* Texts for malformed messages, and for invalid values elsewhere than in the payload. */
static const struct {
	const char *json;
	int err;
	const char *text;
} told[] = {
	{"", E_TRUNCATED, "message: the message is cut off"},
	{"{}", E_TYPE, "message: expected a list that begins with a message type"},
	{"[\"48\"]", E_TYPE, "message: expected a list that begins with a message type"},
	{"[]", E_TYPE, "message: expected a list that begins with a message type"},
	{"[2,7,{}]", E_UNKNOWN, "WELCOME (type 2) is not a message that clients send"},
	{"[99]", E_UNKNOWN, "? (type 99) is not a message that clients send"},
	{"[1000000,1]", E_UNKNOWN,
	 "message: the type is not that of a message that clients send"},
	{"[48,7,{},\"p\"]x", E_TRAILING, "CALL: extra bytes follow the message"},
	{"[48,7", E_TRUNCATED, "CALL.Options: the message is cut off"},
	{"[1]", E_NOTFOUND, "HELLO.Realm: missing, expected a string"},
	{"[48]", E_NOTFOUND, "CALL.Request: missing, expected an integer from 1 to 2^53"},
	{"[48,0,{},\"p\"]", E_TYPE, "CALL.Request: expected an integer from 1 to 2^53"},
	{"[48,7,[],\"p\"]", E_TYPE, "CALL.Options: expected a dict"},
	{"[48,7,{},7]", E_TYPE, "CALL.Procedure: expected a string"},
	{"[48,7,{}]", E_NOTFOUND, "CALL.Procedure: missing, expected a string"},
	{"[48,7,{},\"p\",tru]", E_SYNTAX,
	 "CALL.Arguments: malformed: does it use the negotiated serializer?"},
	{"[48,7,{},\"p\",[],{},1]", E_TYPE,
	 "CALL.ArgumentsKw: expected nothing after it"},
	{"[32,7,{},\"t\",1]", E_TYPE, "SUBSCRIBE.Topic: expected nothing after it"},
	{"[16,7,{\"acknowledge\":\"yes\"},\"t\"]", E_TYPE,
	 "PUBLISH.Options.acknowledge: expected a boolean"},
	{"[16,7,{\"exclude_me\":0},\"t\"]", E_TYPE,
	 "PUBLISH.Options.exclude_me: expected a boolean"},
	{"[16,7,{\"exclude_me\":true,\"exclude_me\":true},\"t\"]", E_EXISTS,
	 "PUBLISH.Options.exclude_me: given twice"},
	{"[64,7,{\"match\":1},\"t\"]", E_TYPE,
	 "REGISTER.Options.match: expected a string"},
	{"[64,7,{\"disclose_caller\":1},\"t\"]", E_TYPE,
	 "REGISTER.Options.disclose_caller: expected a boolean"},
	{"[34,7,\"x\"]", E_TYPE,
	 "UNSUBSCRIBE.SUBSCRIBED.Subscription: expected an integer from 1 to 2^53"},
	{"[8,999,7,{},\"e\"]", E_TYPE,
	 "ERROR.REQUEST.Type: expected the number of a message type"},
	{"[70,7,{\"progress\":1}]", E_TYPE, "YIELD.Options.progress: expected a boolean"},
	{"[6,{},1]", E_TYPE, "GOODBYE.Reason: expected a string"},
	{"[5,1,{}]", E_TYPE, "AUTHENTICATE.Signature: expected a string"},
	{"[1,1,{" ROLES "}]", E_TYPE, "HELLO.Realm: expected a string"},
	{"[1,\"r\",{}]", E_NOTFOUND,
	 "HELLO.Details.roles: missing, expected a dict with at least one of publisher, "
	 "subscriber, caller and callee"},
	{"[1,\"r\",{\"roles\":{}}]", E_TYPE,
	 "HELLO.Details.roles: expected a dict with at least one of publisher, "
	 "subscriber, caller and callee"},
	{"[1,\"r\",{\"roles\":[\"caller\"]}]", E_TYPE,
	 "HELLO.Details.roles: expected a dict with at least one of publisher, "
	 "subscriber, caller and callee"},
	{"[1,\"r\",{\"roles\":{\"caller\":true}}]", E_TYPE,
	 "HELLO.Details.roles.caller: expected a dict"},
	{"[1,\"r\",{" ROLES ",\"authmethods\":\"anonymous\"}]", E_TYPE,
	 "HELLO.Details.authmethods: expected a list of strings"},
	{"[1,\"r\",{" ROLES ",\"authextra\":[]}]", E_TYPE,
	 "HELLO.Details.authextra: expected a dict"},
	{"[1,\"r\",{" ROLES ",\"authextra\":{\"pubkey\":1,\"pubkey\":1}}]", E_EXISTS,
	 "HELLO.Details.authextra.pubkey: given twice"},
	/* invalid values */
	{"[1,\"r\",{" ROLES ",\"authid\":\"\\ud83d\"}]", E_VALUE,
	 "HELLO.Details.authid: a string has an unpaired surrogate, such as half of an "
	 "emoji"},
	{"[1,\"r\",{" ROLES ",\"authextra\":{\"x\":NaN}}]", E_VALUE,
	 "HELLO.Details.authextra: NaN and Infinity cannot be expressed in JSON"},
	{"[1,\"r\",{\"roles\":{\"caller\":{\"x\":NaN}}}]", E_VALUE,
	 "HELLO.Details.roles.caller: NaN and Infinity cannot be expressed in JSON"},
	{"[48,7,{},\"\\ud83d\"]", E_VALUE,
	 "CALL.Procedure: a string has an unpaired surrogate, such as half of an emoji"},
	{"[48,7,{},\"\\u0000p\"]", E_VALUE,
	 "CALL.Procedure: a string begins with U+0000, which marks binary data, but no "
	 "base64 follows"},
	{"[48,7,{\"x\":[\"\xff\"]},\"p\"]", E_VALUE,
	 "CALL.Options: a string is not UTF-8"},
	{"[48,7,{\"\\ud83d\":1},\"p\"]", E_VALUE,
	 "CALL.Options: a string has an unpaired surrogate, such as half of an emoji"},
	{"[32,7,{\"match\":\"\xff\"},\"t\"]", E_VALUE,
	 "SUBSCRIBE.Options.match: a string is not UTF-8"},
	{"[16,7,{\"eligible\":[NaN]},\"t\"]", E_VALUE,
	 "PUBLISH.Options.eligible: NaN and Infinity cannot be expressed in JSON"},
	{"[70,7,{},[],{\"a\":NaN}]", E_VALUE,
	 "YIELD.ArgumentsKw: NaN and Infinity cannot be expressed in JSON"},
	{"[8,68,7,{},\"e\",[NaN]]", E_VALUE,
	 "ERROR.Arguments: NaN and Infinity cannot be expressed in JSON"},
	{"[34,7,1,{\"x\":NaN}]", E_VALUE,
	 "UNSUBSCRIBE.Options: NaN and Infinity cannot be expressed in JSON"},
	{"[49,7,{\"mode\":\"\\ud83d\"}]", E_VALUE,
	 "CANCEL.Options.mode: a string has an unpaired surrogate, such as half of an "
	 "emoji"},
	{"[6,{\"message\":\"\\ud83d\"},\"u\"]", E_VALUE,
	 "GOODBYE.Details.message: a string has an unpaired surrogate, such as half of "
	 "an emoji"},
	{"[48,7,{\"enc_algo\":\"mqtt\"},\"p\",\"\\u0000A\"]", E_VALUE,
	 "CALL.Arguments: a string begins with U+0000, which marks binary data, but no "
	 "base64 follows"},
	{"[48,7,{\"enc_algo\":\"mqtt\"},\"p\",\"\\u0000AQ==\",{}]", E_TYPE,
	 "CALL.ArgumentsKw: expected nothing, because Arguments is a binary"},
	{"[48,7,{\"ppt_scheme\":\"mqtt\"},\"p\",\"\\u0000AQ==\"]", E_TYPE,
	 "CALL.Arguments: expected a list"},
	{"[8,68,7,{\"ppt_keyid\":\"\\ud83d\"},\"e\"]", E_VALUE,
	 "ERROR.Details.ppt_keyid: a string has an unpaired surrogate, such as half of "
	 "an emoji"},
	/* a malformed message is reported in place of earlier invalid values */
	{"[16,7,{\"x\":NaN,\"acknowledge\":1},\"t\"]", E_TYPE,
	 "PUBLISH.Options.acknowledge: expected a boolean"},
	{"[48,7,{},\"p\",[NaN],[]]", E_TYPE, "CALL.ArgumentsKw: expected a dict"},
	{"[48,NaN,{},\"p\"]", E_TYPE, "CALL.Request: expected an integer from 1 to 2^53"},
	{"[NaN]", E_TYPE, "message: expected a list that begins with a message type"},
	{"[48,7,{},\"p\",[NaN]", E_TRUNCATED, "CALL.ArgumentsKw: the message is cut off"},
	{"[48,7,{},\"p\",[NaN]]]", E_TRAILING, "CALL: extra bytes follow the message"},
};

static void test_words(void **state)
{
	char text[MSG_FAULT_TEXT_MAX];
	struct msg m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		int err = read_fault(SERIALIZER_JSON, slice_str(told[i].json), &m, text);

		if (err != told[i].err)
			fail_msg("%s: %s", told[i].json, err_str(err));
		assert_string_equal(text, told[i].text);
	}
	/* the keys of a dict must be strings */
	struct slice in = sample_bytes(SERIALIZER_MSGPACK, "9430078101c0a170");
	assert_int_equal(read_fault(SERIALIZER_MSGPACK, in, &m, text), E_TYPE);
	assert_string_equal(text, "CALL.Options: expected keys that are strings");
	free_copy(in);
}

/* The fields that the router needs for its answer are read even if there are invalid
 * values before them. */
static void test_what_is_known(void **state)
{
	char text[MSG_FAULT_TEXT_MAX];
	struct msg m;

	(void)state;
	assert_int_equal(
		read_fault(SERIALIZER_JSON,
			   slice_str("[16,7,{\"x\":NaN,\"acknowledge\":true},\"t\"]"), &m,
			   text),
		E_VALUE);
	assert_int_equal(m.type, WAMP_PUBLISH);
	assert_int_equal(m.request, 7);
	assert_true(m.acknowledge);
	assert_int_equal(
		read_fault(SERIALIZER_JSON,
			   slice_str("[70,7,{\"x\":NaN,\"progress\":true},[NaN]]"), &m,
			   text),
		E_VALUE);
	assert_true(m.progress);
	assert_int_equal(read_fault(SERIALIZER_JSON,
				    slice_str("[8,68,7,{\"x\":NaN},\"\\ud800\"]"), &m,
				    text),
			 E_VALUE);
	assert_int_equal(m.error_type, WAMP_INVOCATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_in_arguments),
		cmocka_unit_test(test_nested_too_deep),
		cmocka_unit_test(test_types_of_arguments),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_what_is_known),
	};
	return cmocka_run_group_tests_name("msg_fault", tests, NULL, NULL);
}
