/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, compared with jansson; see differential.h. */
#include "tests/unit/differential.h"

#include <jansson.h>

enum {
	JSON_OVERFLOW = 1,
	JSON_DEPTH,
	JSON_BASE64,
	JSON_NUL_KEY,
	JSON_NUL_BYTE,
	JSON_DUPLICATE,
};

static int base64_value(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(alphabet, c);

	return at == NULL ? -1 : (int)(at - alphabet);
}

/* Decodes base64 differently from the scanner: whole groups of four, then the padded last
 * one. */
static bool base64_oracle(const char *p, size_t len, struct buf *out)
{
	size_t padding = 0;

	if (len % 4 != 0)
		return false;
	while (padding < 2 && padding < len && p[len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < len; i += 4) {
		int v[4];

		for (size_t k = 0; k < 4; k++) {
			v[k] = i + k >= len - padding ? 0 : base64_value(p[i + k]);
			if (v[k] < 0)
				return false;
		}
		size_t n = i + 4 == len ? 3 - padding : 3;
		const uint8_t bytes[3] = {(uint8_t)(v[0] << 2 | v[1] >> 4),
					  (uint8_t)(v[1] << 4 | v[2] >> 2),
					  (uint8_t)(v[2] << 6 | v[3])};
		buf_put(out, bytes, n);
	}
	return true;
}

/* False for a string that claims to be a binary, but is not. */
static bool show_json_string(json_t *j, struct buf *out)
{
	const char *p = json_string_value(j);
	size_t len = json_string_length(j);
	struct buf bytes;

	if (len == 0 || p[0] != '\0') {
		put_bytes(out, TOKEN_STR, p, len);
		return true;
	}
	buf_init(&bytes, SIZE_MAX / 4);
	bool ok = base64_oracle(p + 1, len - 1, &bytes);
	put_bytes(out, TOKEN_BIN, bytes.data, bytes.len);
	buf_fini(&bytes);
	return ok;
}

static bool show_json(json_t *j, struct buf *out)
{
	const char *key;
	json_t *value;
	size_t i;
	bool ok = true;

	switch (json_typeof(j)) {
	case JSON_OBJECT:
		put_blank(out);
		buf_put_u8(out, '{');
		json_object_foreach(j, key, value)
		{
			put_bytes(out, TOKEN_STR, key, strlen(key));
			ok &= show_json(value, out);
		}
		buf_put_u8(out, '}');
		break;
	case JSON_ARRAY:
		put_blank(out);
		buf_put_u8(out, '[');
		json_array_foreach(j, i, value) ok &= show_json(value, out);
		buf_put_u8(out, ']');
		break;
	case JSON_STRING:
		ok = show_json_string(j, out);
		break;
	case JSON_INTEGER:
		put_blank(out);
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		break;
	case JSON_REAL:
		put_double(out, json_real_value(j));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		put_blank(out);
		buf_put_str(out, json_is_true(j) ? "true" : "false");
		break;
	case JSON_NULL:
		put_blank(out);
		buf_put_str(out, "null");
		break;
	}
	return ok;
}

/* The number of keys that we read. jansson keeps only one of several equal keys. */
static size_t count_keys(struct slice in)
{
	struct token_reader r;
	struct token t;
	size_t keys = 0;

	token_reader_init(&r, SERIALIZER_JSON, in);
	do {
		const struct token_frame *f = &r.open[r.depth];
		bool key = f->kind == TOKEN_MAP && f->seen % 2 == 0;

		assert_int_equal(token_next(&r, &t), 0);
		keys += key && t.type != TOKEN_END;
	} while (r.depth > 0);
	return keys;
}

static size_t count_json_keys(json_t *j)
{
	const char *key;
	json_t *value;
	size_t i, keys = 0;

	if (json_is_object(j)) {
		json_object_foreach(j, key, value) keys += 1 + count_json_keys(value);
	} else {
		json_array_foreach(j, i, value) keys += count_json_keys(value);
	}
	return keys;
}

static bool has_nul_behind_digit(struct slice in)
{
	for (size_t i = 1; i < in.len; i++)
		if (in.p[i] == '\0' && in.p[i - 1] >= '0' && in.p[i - 1] <= '9')
			return true;
	return false;
}

static bool has_duplicate_keys(struct slice in)
{
	json_error_t error;
	json_t *j = json_loadb((const char *)in.p, in.len,
			       JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
			       &error);

	json_decref(j);
	return j == NULL && json_error_code(&error) == json_error_duplicate_key;
}

static int judge_jansson(const struct ours *ours, size_t *used_out, struct buf *shown_out)
{
	json_error_t error;
	json_t *j = json_loadb((const char *)ours->in.p, ours->in.len,
			       JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (j == NULL) {
		enum json_error_code code = json_error_code(&error);

		if (code == json_error_numeric_overflow && ours->err == 0)
			return VERDICT_EXCLUDED + JSON_OVERFLOW;
		if (code == json_error_null_byte_in_key && ours->err == 0)
			return VERDICT_EXCLUDED + JSON_NUL_KEY;
		return VERDICT_REFUSE;
	}
	*used_out = ours->used; /* both must use the whole input */
	int verdict = VERDICT_ACCEPT;
	if (ours->err == E_DEPTH)
		verdict = VERDICT_EXCLUDED + JSON_DEPTH;
	else if (ours->err != 0 && has_nul_behind_digit(ours->in))
		verdict = VERDICT_EXCLUDED + JSON_NUL_BYTE;
	else if (!show_json(j, shown_out))
		verdict = VERDICT_EXCLUDED + JSON_BASE64;
	else if (ours->err == E_BASE64 && has_duplicate_keys(ours->in))
		verdict = VERDICT_EXCLUDED + JSON_DUPLICATE;
	else if (ours->err == 0 && count_json_keys(j) != count_keys(ours->in))
		buf_clear(shown_out);
	json_decref(j);
	return verdict;
}

static const char *const json_seeds[] = {
	"[16,239714735,{},\"com.myapp.topic\",[{\"id\":1234,\"v\":21.5}],{\"a\":1}]",
	"[1, \"realm\", {\"roles\": {\"caller\": {}}, \"x\": [true, false, null]}]",
	"[\"\\u0041\\ud83d\\ude00\\n\\\"\\\\\\/\\b\\f\\r\\t\\u20ac\", \"\\u0000AQID\"]",
	"[0, -0, 1e5, -1.5E-7, 0.1, 1e400, 1e-400, 18446744073709551616, 123456789012]",
	"{\"\":{\"a\":{\"a\":[],\"b\":{}}},\"k\\u0000\":[{},{}]}",
	"[\"\\u0000+/+/\",\"\\u0000AA==\",\"\\u0000AAA=\",\"\xc3\xa9\xe2\x82\xac\"]",
	"\"a string that is longer than one vector\"",
	"[9223372036854775807,-9223372036854775808,9223372036854775808]",
};

static const struct library jansson = {
	"json",
	SERIALIZER_JSON,
	json_seeds,
	ARRAY_LEN(json_seeds),
	"[",
	"]",
	judge_jansson,
	{[JSON_OVERFLOW] = "jansson refuses integers beyond 2^63-1 and reals like 1e400",
	 [JSON_DEPTH] = "jansson nests 2048 deep, we 64",
	 [JSON_BASE64] = "jansson knows no binaries, so no bad base64 in them",
	 [JSON_NUL_KEY] = "jansson refuses U+0000 in keys",
	 [JSON_NUL_BYTE] = "jansson loses a NUL byte behind a number",
	 [JSON_DUPLICATE] = "jansson drops a value with bad base64, since its key "
			    "comes again"}};

static void test_json(void **state)
{
	(void)state;
	run(&jansson);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests_name("differential_json", tests, NULL, NULL);
}
