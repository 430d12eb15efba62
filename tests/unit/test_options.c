/* SPDX-License-Identifier: Apache-2.0 */
/* Options of publications: which lists are accepted, and who passes them. */
#include "routerd/post/options.h"

#include "common/err.h"
#include "proto/transcode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Reads a PUBLISH with these options, written in JSON, in encoding s. The texts lie in
 * *bytes and *scratch. */
static void read_publish(enum serializer s, const char *json, struct buf *bytes,
			 struct buf *scratch, struct msg *m)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_printf(&text, "[16,1,%s,\"t\"]", json);
	buf_init(bytes, 1 << 20);
	assert_int_equal(transcode(SERIALIZER_JSON, buf_slice(&text), 1, s, bytes), 0);
	buf_fini(&text);
	buf_init(scratch, 1 << 20);
	m->hello = NULL;
	assert_int_equal(msg_read(s, buf_slice(bytes), scratch, m), 0);
	assert_int_equal(m->type, WAMP_PUBLISH);
}

/* Makes the options; the message is gone when it returns. */
static int make(enum serializer s, const char *json, struct options **out,
		char fault[MSG_FAULT_TEXT_MAX])
{
	struct buf bytes, scratch;
	struct msg m;

	read_publish(s, json, &bytes, &scratch, &m);
	int err = options_new(s, &m, out);
	if (err != 0)
		msg_fault_text(&m, err, fault);
	memset(bytes.data, 0xaa, bytes.len);
	buf_fini(&bytes);
	buf_fini(&scratch);
	return err;
}

static struct options *make_well(enum serializer s, const char *json)
{
	char fault[MSG_FAULT_TEXT_MAX];
	struct options *o;
	int err = make(s, json, &o, fault);

	if (err != 0)
		fail_msg("%s: %s", json, fault);
	return o;
}

static struct identity session(uint64_t id, const char *authid, const char *authrole)
{
	return (struct identity){
		.session = id,
		.authid = slice_str(authid),
		.authrole = slice_str(authrole),
	};
}

static void test_lists(void **state)
{
	/* of the sessions 1 joe user, 2 joe admin, 3 ann user: bit i is session i + 1 */
	static const struct {
		const char *options;
		unsigned pass;
	} rows[] = {
		{"{\"eligible\":[1,3]}", 5},
		{"{\"eligible\":[3,9007199254740992,1,1]}", 5},
		{"{\"eligible\":[2.0]}", 2},
		{"{\"eligible\":[4]}", 0},
		{"{\"exclude\":[1]}", 6},
		{"{\"exclude\":[4,2,1]}", 4},
		{"{\"eligible_authid\":[\"joe\"]}", 3},
		{"{\"eligible_authid\":[\"Joe\",\"jo\",\"joey\",\"\"]}", 0},
		{"{\"eligible_authid\":[\"a\\u006en\"]}", 4},
		{"{\"exclude_authid\":[\"bob\",\"ann\",\"x\"]}", 3},
		{"{\"eligible_authrole\":[\"user\"]}", 5},
		{"{\"exclude_authrole\":[\"user\"]}", 2},
		/* one list against another of the same and of other kinds */
		{"{\"eligible\":[1,2,3],\"exclude\":[2]}", 5},
		{"{\"eligible\":[1],\"eligible_authid\":[\"ann\"]}", 0},
		{"{\"eligible\":[1,2],\"eligible_authid\":[\"joe\"],"
		 "\"eligible_authrole\":[\"admin\"]}",
		 2},
		{"{\"eligible_authid\":[\"joe\"],\"exclude_authrole\":[\"admin\"]}", 1},
		{"{\"exclude\":[1],\"exclude_authid\":[\"ann\"],"
		 "\"exclude_authrole\":[\"admin\"]}",
		 0},
		/* empty lists: nobody is eligible, nobody is excluded */
		{"{\"eligible\":[]}", 0},
		{"{\"eligible_authid\":[]}", 0},
		{"{\"eligible_authrole\":[],\"eligible\":[1]}", 0},
		{"{\"exclude\":[],\"eligible\":[1]}", 1},
		{"{\"eligible\":null,\"exclude\":[1]}", 6},
	};
	const struct identity sessions[] = {
		session(1, "joe", "user"),
		session(2, "joe", "admin"),
		session(3, "ann", "user"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int s = 0; s < SERIALIZER_COUNT; s++) {
			struct options *o =
				make_well((enum serializer)s, rows[i].options);
			assert_non_null(o);
			unsigned pass = 0;
			for (unsigned k = 0; k < ARRAY_LEN(sessions); k++)
				pass |= (unsigned)options_pass(o, &sessions[k]) << k;
			if (pass != rows[i].pass)
				fail_msg("%s: %u", rows[i].options, pass);
			assert_int_equal(
				options_pass_nobody(o),
				strstr(rows[i].options, "_authid\":[]") ||
					strstr(rows[i].options, "_authrole\":[]") ||
					strstr(rows[i].options, "eligible\":[]"));
			options_unref(&o);
			assert_null(o);
		}
	}
}

/* Lists that exclude nobody need no options. */
static void test_no_effect(void **state)
{
	static const char *const rows[] = {
		"{\"exclude\":[]}",
		"{\"exclude\":[],\"exclude_authid\":[],\"exclude_authrole\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int s = 0; s < SERIALIZER_COUNT; s++)
			assert_null(make_well((enum serializer)s, rows[i]));
}

/* Options that describe the payload: their copies, and the features that they need. */
static void test_passthru(void **state)
{
	enum { PPT = WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE };
	enum { ENC = WAMP_FEATURE_PAYLOAD_TRANSPARENCY };
	static const struct {
		const char *options, *shown;
		uint8_t needs;
	} rows[] = {
		{"{\"ppt_scheme\":\"x_\\u00e9\\n\"}", "ppt_scheme=x_\xc3\xa9\n;", PPT},
		{"{\"ppt_keyid\":\"k\",\"ppt_cipher\":\"\",\"ppt_scheme\":\"wamp\","
		 "\"ppt_serializer\":\"cbor\"}",
		 "ppt_scheme=wamp;ppt_serializer=cbor;ppt_cipher=;ppt_keyid=k;", PPT},
		{"{\"enc_key\":\"k\",\"enc_serializer\":\"x_mine_2\",\"enc_algo\":"
		 "\"xbr\"}",
		 "enc_algo=xbr;enc_key=k;enc_serializer=x_mine_2;", ENC},
		{"{\"enc_algo\":\"x_\",\"ppt_scheme\":\"x\",\"eligible\":[1]}",
		 "ppt_scheme=x;enc_algo=x_;", PPT | ENC},
		/* the other options of a kind are ignored without its first one */
		{"{\"enc_algo\":\"mqtt\",\"ppt_keyid\":7}", "enc_algo=mqtt;", ENC},
		{"{\"ppt_scheme\":\"mqtt\",\"enc_key\":7,\"enc_algo\":\"\"}",
		 "ppt_scheme=mqtt;", PPT},
		{"{\"eligible\":[1],\"ppt_keyid\":\"k\",\"ppt_scheme\":\"\"}", NULL, 0},
	};
	char shown[200];

	(void)state;
	for (size_t i = 0; i < SERIALIZER_COUNT * ARRAY_LEN(rows); i++) {
		size_t row = i / SERIALIZER_COUNT;
		struct options *o = make_well((enum serializer)(i % SERIALIZER_COUNT),
					      rows[row].options);
		const struct slice *texts = options_passthru(o);
		int len = 0;

		assert_int_equal(texts == NULL, rows[row].shown == NULL);
		for (unsigned k = 0; texts != NULL && k < MSG_PASSTHRU_COUNT; k++)
			if (texts[k].p != NULL)
				len += sprintf(shown + len, "%s=%.*s;",
					       msg_passthru_names[k], (int)texts[k].len,
					       (const char *)texts[k].p);
		if (texts != NULL)
			assert_string_equal(shown, rows[row].shown);
		for (unsigned f = 0; f < 256; f++)
			assert_int_equal(options_understood(o, (uint8_t)f),
					 (rows[row].needs & ~f) == 0);
		/* the lists apply beside them */
		struct identity one = session(1, "a", "b"), two = session(2, "a", "b");
		assert_true(options_pass(o, &one));
		assert_int_equal(options_pass(o, &two),
				 strstr(rows[row].options, "eligible") == NULL);
		options_unref(&o);
	}
	assert_null(
		make_well(SERIALIZER_CBOR, "{\"enc_key\":\"k\",\"ppt_keyid\":\"k\"}"));
}

/* The texts of all options together have at most so many bytes, and count as memory. */
static void test_passthru_maximum(void **state)
{
	char json[2000], keyid[OPTIONS_MAX_PASSTHRU + 1], fault[MSG_FAULT_TEXT_MAX];
	static const char format[] =
		"{\"enc_algo\":\"mqtt\",\"ppt_scheme\":\"wamp\",\"ppt_keyid\":\"%.*s\"}";
	const int most = OPTIONS_MAX_PASSTHRU - 8;
	struct options *o;

	(void)state;
	memset(keyid, 'k', sizeof(keyid));
	for (int s = 0; s < SERIALIZER_COUNT; s++) {
		sprintf(json, format, 1, keyid);
		o = make_well((enum serializer)s, json);
		size_t size = options_size(o);
		options_unref(&o);
		sprintf(json, format, most, keyid);
		o = make_well((enum serializer)s, json);
		assert_int_equal(options_size(o), size + (size_t)most - 1);
		options_unref(&o);
		sprintf(json, format, most + 1, keyid);
		assert_int_equal(make((enum serializer)s, json, &o, fault), E_TYPE);
		assert_null(o);
		assert_string_equal(fault,
				    "PUBLISH.Options.enc_algo: expected at most 1,024 "
				    "bytes in all ppt_ and enc_ options");
	}
}

#define ALGO "enc_algo: expected cryptobox, mqtt, xbr, or a name such as x_mine"

static void test_wrong_types(void **state)
{
	static const struct {
		const char *options, *fault;
	} rows[] = {
		{"{\"eligible\":7}", "eligible: expected a list of session ids"},
		{"{\"eligible\":{}}", "eligible: expected a list of session ids"},
		{"{\"eligible\":true}", "eligible: expected a list of session ids"},
		{"{\"eligible\":[true]}", "eligible: expected a list of session ids"},
		{"{\"eligible\":[1,\"2\"]}", "eligible: expected a list of session ids"},
		{"{\"eligible\":[0]}", "eligible: expected a list of session ids"},
		{"{\"eligible\":[1.5]}", "eligible: expected a list of session ids"},
		{"{\"eligible\":[-1]}", "eligible: expected a list of session ids"},
		{"{\"exclude\":[null]}", "exclude: expected a list of session ids"},
		{"{\"exclude\":[[1]]}", "exclude: expected a list of session ids"},
		{"{\"exclude\":[9007199254740993]}",
		 "exclude: expected a list of session ids"},
		{"{\"eligible_authid\":\"joe\"}",
		 "eligible_authid: expected a list of strings"},
		{"{\"eligible_authrole\":[\"user\",1]}",
		 "eligible_authrole: expected a list of strings"},
		{"{\"exclude_authid\":[\"\\u0000am9l\"]}",
		 "exclude_authid: expected a list of strings"},
		{"{\"exclude_authrole\":[{}],\"exclude\":[1]}",
		 "exclude_authrole: expected a list of strings"},
		{"{\"ppt_scheme\":7}", "ppt_scheme: expected a string"},
		{"{\"ppt_scheme\":\"\\u0000YQ==\"}", "ppt_scheme: expected a string"},
		{"{\"ppt_scheme\":\"x\",\"ppt_serializer\":[]}",
		 "ppt_serializer: expected a string"},
		{"{\"ppt_scheme\":\"x\",\"ppt_cipher\":{}}",
		 "ppt_cipher: expected a string"},
		{"{\"ppt_scheme\":\"x\",\"ppt_keyid\":true}",
		 "ppt_keyid: expected a string"},
		{"{\"enc_algo\":1}", ALGO},
		{"{\"enc_algo\":\"Mqtt\"}", ALGO},
		{"{\"enc_algo\":\"mqtt \"}", ALGO},
		{"{\"enc_algo\":\"x_a\"}", ALGO},
		{"{\"enc_algo\":\"x_1a\"}", ALGO},
		{"{\"enc_algo\":\"x__a\"}", ALGO},
		{"{\"enc_algo\":\"x_aA\"}", ALGO},
		{"{\"enc_algo\":\"x_ab\\n\"}", ALGO},
		{"{\"enc_algo\":\"x\"}", ALGO},
		{"{\"enc_algo\":\"x_ab\",\"enc_key\":1.5}", "enc_key: expected a string"},
		{"{\"enc_algo\":\"x_ab\",\"enc_serializer\":\"\"}",
		 "enc_serializer: expected json, msgpack, cbor, ubjson, flatbuffers, or "
		 "a "
		 "name such as x_mine"},
	};
	char fault[MSG_FAULT_TEXT_MAX];
	struct options *o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int s = 0; s < SERIALIZER_COUNT; s++) {
			assert_int_equal(
				make((enum serializer)s, rows[i].options, &o, fault),
				E_TYPE);
			assert_null(o);
			assert_true(slice_begins(slice_str(fault), "PUBLISH.Options."));
			assert_string_equal(fault + strlen("PUBLISH.Options."),
					    rows[i].fault);
		}
	}
}

/* A list of n entries; quote is empty or a quotation mark. */
static const char *long_list(const char *name, const char *quote, unsigned n)
{
	static char text[40000];
	int len = sprintf(text, "{\"%s\":[", name);

	for (unsigned i = 0; i < n; i++) {
		len += sprintf(text + len, "%s%s%u%s", i == 0 ? "" : ",", quote, n - i,
			       quote);
	}
	sprintf(text + len, "]}");
	return text;
}

static void test_maximum(void **state)
{
	static const char *const names[] = {"eligible", "exclude_authid"};
	static const char *const quotes[] = {"", "\""};
	char fault[MSG_FAULT_TEXT_MAX], expected[MSG_FAULT_TEXT_MAX];
	struct options *o;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		o = make_well(SERIALIZER_JSON,
			      long_list(names[i], quotes[i], OPTIONS_MAX_FILTER));
		for (unsigned id = 1; id <= OPTIONS_MAX_FILTER + 1; id++) {
			char authid[8];
			sprintf(authid, "%u", id);
			struct identity who = session(id, authid, "user");
			assert_int_equal(options_pass(o, &who),
					 (id <= OPTIONS_MAX_FILTER) == (i == 0));
		}
		options_unref(&o);
		assert_int_equal(
			make(SERIALIZER_JSON,
			     long_list(names[i], quotes[i], OPTIONS_MAX_FILTER + 1), &o,
			     fault),
			E_TYPE);
		snprintf(expected, sizeof(expected),
			 "PUBLISH.Options.%s: expected at most 1,000 entries", names[i]);
		assert_string_equal(fault, expected);
	}
}

/* What a mailbox counts: at least the entries. */
static void test_size(void **state)
{
	struct options *small = make_well(SERIALIZER_CBOR, "{\"eligible\":[1]}");
	struct options *ids = make_well(SERIALIZER_CBOR, long_list("eligible", "", 1000));
	struct options *texts =
		make_well(SERIALIZER_CBOR, long_list("exclude_authid", "\"", 1000));

	(void)state;
	assert_in_range(options_size(small), 9, 400);
	assert_int_equal(options_size(ids), options_size(small) + 999 * 24);
	assert_in_range(options_size(texts) - options_size(small), 1000 * 16, 1000 * 30);
	struct options *second = options_ref(small);
	options_unref(&small);
	assert_in_range(options_size(second), 9, 400);
	options_unref(&second);
	options_unref(&ids);
	options_unref(&texts);
	options_unref(&texts);
}

/* --- random lists against a search that looks at each entry --- */

enum { VALUES = 6 };

struct naive {
	bool given;
	bool has[VALUES];
};

static unsigned chance(unsigned n)
{
	static uint64_t state = 20;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(state >> 33) % n;
}

static void put_random_list(struct buf *out, const char *name, bool ids, struct naive *l)
{
	unsigned n = chance(4) + chance(4);

	*l = (struct naive){.given = chance(2) == 0};
	if (!l->given)
		return;
	buf_printf(out, "%s\"%s\":[", out->len > 1 ? "," : "", name);
	for (unsigned i = 0; i < n; i++) {
		unsigned v = chance(VALUES);
		l->has[v] = true;
		if (ids)
			buf_printf(out, "%s%u", i == 0 ? "" : ",", v + 1);
		else
			buf_printf(out, "%s\"v%u\"", i == 0 ? "" : ",", v);
	}
	buf_put_str(out, "]");
}

static bool naive_pass(const struct naive lists[MSG_FILTER_COUNT], const unsigned who[3])
{
	for (unsigned i = 0; i < 3; i++) {
		const struct naive *eligible = &lists[MSG_ELIGIBLE + i];
		const struct naive *exclude = &lists[MSG_EXCLUDE + i];

		if ((eligible->given && !eligible->has[who[i]]) ||
		    (exclude->given && exclude->has[who[i]]))
			return false;
	}
	return true;
}

static void test_random_lists(void **state)
{
	static const char *const names[] = {
#define X(id, name) name,
		MSG_FILTERS(X)
#undef X
	};
	struct naive lists[MSG_FILTER_COUNT];
	struct buf json;

	(void)state;
	buf_init(&json, 10000);
	for (unsigned round = 0; round < 3000; round++) {
		buf_clear(&json);
		buf_put_str(&json, "{");
		for (unsigned i = 0; i < MSG_FILTER_COUNT; i++)
			put_random_list(&json, names[i], i % 3 == 0, &lists[i]);
		buf_put(&json, "}", 2);
		struct options *o = make_well((enum serializer)(round % SERIALIZER_COUNT),
					      (const char *)json.data);
		for (unsigned i = 0; i < VALUES * VALUES * VALUES; i++) {
			const unsigned who[3] = {i % VALUES, i / VALUES % VALUES,
						 i / VALUES / VALUES};
			char authid[4] = {'v', (char)('0' + who[1])};
			char authrole[4] = {'v', (char)('0' + who[2])};
			struct identity id = session(who[0] + 1, authid, authrole);
			bool pass = o == NULL || options_pass(o, &id);
			if (pass != naive_pass(lists, who))
				fail_msg("%s: %u %u %u", (const char *)json.data, who[0],
					 who[1], who[2]);
			assert_false(pass && o != NULL && options_pass_nobody(o));
		}
		options_unref(&o);
	}
	buf_fini(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_no_effect),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_random_lists),
		cmocka_unit_test(test_passthru),
		cmocka_unit_test(test_passthru_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
