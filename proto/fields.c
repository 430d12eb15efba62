/* SPDX-License-Identifier: Apache-2.0 */
/* Converts between MessagePack maps and structs; see fields.h. No state; any thread. */
#include "proto/fields.h"

#include "common/err.h"
#include "proto/uri.h"

#include <sodium.h>
#include <stdio.h>

/* MessagePack strings have no escapes, so t->text below is always the string itself. */

int fields_key_decode(struct slice hex, uint8_t out[FIELD_KEY_LEN])
{
	uint8_t key[FIELD_KEY_LEN];

	if (hex.len != 2 * sizeof(key) ||
	    sodium_hex2bin(key, sizeof(key), (const char *)hex.p, hex.len, NULL, NULL,
			   NULL) != 0)
		return E_TYPE;
	memcpy(out, key, sizeof(key));
	sodium_memzero(key, sizeof(key)); /* it may be a secret key of SCRAM */
	return 0;
}

void fields_key_encode(const uint8_t key[FIELD_KEY_LEN], char out[2 * FIELD_KEY_LEN + 1])
{
	sodium_bin2hex(out, 2 * FIELD_KEY_LEN + 1, key, FIELD_KEY_LEN);
}

/* --- reading --- */

static void set_field_defaults(const struct field_table *t, void *out)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];
		void *to = (char *)out + f->offset;
		if (f->type == FIELD_UINT)
			*(uint64_t *)to = f->def;
		else if (f->type == FIELD_BOOL)
			*(bool *)to = f->def != 0;
		else if (f->type == FIELD_STRUCT)
			set_field_defaults(f->table, to);
	}
}

void fields_init(const struct field_table *t, void *out)
{
	memset(out, 0, t->size);
	set_field_defaults(t, out);
}

/* The first token of a value of each type, and a description of such values. */
static const struct {
	enum token_type token;
	const char *expected;
} types[] = {
	[FIELD_STR] = {TOKEN_STR, "a string"},
	[FIELD_URI] = {TOKEN_STR, "a URI"},
	[FIELD_KEY] = {TOKEN_STR, "64 hex digits"},
	[FIELD_KEYS] = {TOKEN_ARRAY,
			"an array of at most 16 public keys, each of 64 hex digits"},
	[FIELD_UINT] = {TOKEN_UINT, "an integer"},
	[FIELD_BOOL] = {TOKEN_BOOL, "true or false"},
	[FIELD_FLAGS] = {TOKEN_ARRAY, "an array of strings"},
	[FIELD_VERSION] = {TOKEN_ARRAY, "an array of two numbers"},
	[FIELD_RAW_MAP] = {TOKEN_MAP, "a map"},
	[FIELD_RAW_ARRAY] = {TOKEN_ARRAY, "an array"},
	[FIELD_STRUCT] = {TOKEN_MAP, "a map"},
	[FIELD_NAME] = {TOKEN_STR, "a name from the field's list"},
	[FIELD_SOLE_KEY] = {TOKEN_STR, "64 hex digits"},
	[FIELD_BIN] = {TOKEN_BIN, "a binary"},
};

static int check_token(const struct token *t, enum token_type expected)
{
	if (t->type == expected)
		return 0;
	return expected == TOKEN_UINT && t->type == TOKEN_NEGINT ? E_RANGE : E_TYPE;
}

static int read_field_text(const struct token *t, const struct field *f,
			   struct slice *out)
{
	if (t->text.len > (f->max == 0 ? FIELD_DEFAULT_MAX : f->max))
		return E_RANGE;
	if (t->text.len == 0 && (f->flags & (FIELD_REQUIRED | FIELD_NOT_EMPTY)) != 0)
		return E_RANGE;
	if (f->type == FIELD_URI && !uri_valid(t->text))
		return E_RANGE;
	*out = t->text;
	return 0;
}

static int read_uint(const struct token *t, uint64_t max, uint64_t *out)
{
	if (t->u > (max == 0 ? INT64_MAX : max))
		return E_RANGE;
	*out = t->u;
	return 0;
}

/* Finds the index of a name. E_UNKNOWN if it is not in the list. */
static int find_name(const struct field *f, const struct token *t, unsigned *out)
{
	for (*out = 0; f->names[*out] != NULL; ++*out)
		if (slice_eq_str(t->text, f->names[*out]))
			return 0;
	return E_UNKNOWN;
}

static int add_to_keys(const struct token *t, struct field_keys *to)
{
	if (to->n == FIELD_MAX_KEYS)
		return E_LIMIT;
	return fields_key_decode(t->text, to->key[to->n++]);
}

/* Reads the rest of the array of a KEYS, FLAGS or VERSION. */
static int read_field_array(struct token_reader *r, const struct field *f, void *to)
{
	bool version = f->type == FIELD_VERSION;
	struct token t;
	unsigned bit;

	for (size_t n = 0;; n++) {
		int err = token_next(r, &t);
		if (err != 0)
			return err;
		if (t.type == TOKEN_END)
			return version && n != 2 ? E_TYPE : 0;
		err = check_token(&t, version ? TOKEN_UINT : TOKEN_STR);
		if (err != 0)
			return err;
		if (f->type == FIELD_KEYS)
			err = add_to_keys(&t, to);
		else if (f->type == FIELD_FLAGS && find_name(f, &t, &bit) == 0)
			*(unsigned *)to |= 1u << bit;
		else if (version)
			err = n < 2 ? read_uint(&t, UINT32_MAX, (uint64_t *)to + n)
				    : E_TYPE;
		if (err != 0)
			return err;
	}
}

static int read_field_pairs(struct token_reader *r, const struct field_table *t,
			    bool strict, void *out, const struct field **bad);

/* Reads the value `item`. t is its first token, which r has already read. */
static int read_field_value(struct token_reader *r, const struct token *t,
			    struct slice item, const struct field *f, void *to,
			    const struct field **bad)
{
	int err = check_token(t, types[f->type].token);

	if (err != 0)
		return err;
	switch (f->type) {
	case FIELD_STR:
	case FIELD_URI:
	case FIELD_BIN:
		return read_field_text(t, f, to);
	case FIELD_KEY:
		((struct field_key *)to)->there = true;
		return fields_key_decode(t->text, ((struct field_key *)to)->octets);
	case FIELD_SOLE_KEY:
		return add_to_keys(t, to);
	case FIELD_NAME:
		return find_name(f, t, to);
	case FIELD_UINT:
		return read_uint(t, f->max, to);
	case FIELD_BOOL:
		*(bool *)to = t->b;
		return 0;
	case FIELD_KEYS:
	case FIELD_FLAGS:
	case FIELD_VERSION:
		return read_field_array(r, f, to);
	case FIELD_STRUCT:
		return read_field_pairs(r, f->table, (f->flags & FIELD_STRICT) != 0, to,
					bad);
	case FIELD_RAW_MAP:
	case FIELD_RAW_ARRAY:
		*(struct slice *)to = item;
		return 0;
	}
	return E_TYPE;
}

/* Reads a value. *there_out is false if it is nil. */
static int read_field(struct token_reader *r, const struct field *f, void *out,
		      bool *there_out, const struct field **bad)
{
	struct token_reader value;
	struct slice item;
	struct token t;

	/* If there is an error, this field is at fault, unless its value is a map and a
	 * field inside is. */
	*bad = f;
	int err = token_skip(r, &item);
	if (err != 0)
		return err;
	token_reader_init(&value, SERIALIZER_MSGPACK, item);
	err = token_next(&value, &t);
	*there_out = err == 0 && t.type != TOKEN_NULL;
	if (*there_out)
		return read_field_value(&value, &t, item, f, (char *)out + f->offset,
					bad);
	return err == 0 && (f->flags & FIELD_NOT_EMPTY) != 0 ? E_TYPE : err;
}

static const struct field *find_field(const struct field_table *t, struct slice key)
{
	for (size_t i = 0; i < t->n; i++)
		if (slice_eq_str(key, t->fields[i].key))
			return &t->fields[i];
	return NULL;
}

/* Reads the pairs of a map up to its end. */
static int read_field_pairs(struct token_reader *r, const struct field_table *t,
			    bool strict, void *out, const struct field **bad)
{
	uint64_t seen = 0, there = 0;
	struct token key;
	bool is_there = false;

	for (;;) {
		int err = token_next(r, &key);
		if (err != 0)
			return err;
		if (key.type == TOKEN_END)
			break;
		if (key.type != TOKEN_STR)
			return E_TYPE;
		const struct field *f = find_field(t, key.text);
		*bad = f;
		if (f == NULL) {
			err = strict ? E_UNKNOWN : token_skip(r, NULL);
			if (err != 0)
				return err;
			continue;
		}
		uint64_t bit = UINT64_C(1) << (f - t->fields);
		/* Two readers might use different values of a duplicate key. */
		if ((seen & bit) != 0)
			return E_EXISTS;
		seen |= bit;
		err = read_field(r, f, out, &is_there, bad);
		if (err != 0)
			return err;
		if (is_there)
			there |= bit;
	}
	for (size_t i = 0; i < t->n; i++) {
		*bad = &t->fields[i];
		if ((t->fields[i].flags & FIELD_REQUIRED) != 0 &&
		    (there & UINT64_C(1) << i) == 0)
			return E_NOTFOUND;
	}
	return 0;
}

int fields_read(struct token_reader *r, const struct field_table *t, void *out,
		const struct field **bad_out)
{
	const struct field *bad = NULL;
	struct token map;
	int err = token_expect(r, TOKEN_MAP, &map);

	ASSERT(t->n <= 64);
	if (err == 0)
		err = read_field_pairs(r, t, false, out, &bad);
	if (bad_out != NULL)
		*bad_out = bad;
	return err;
}

void fields_explain(const struct field *bad, int err, char *text, size_t size)
{
	unsigned long long max = bad == NULL ? 0 : bad->max;

	if (bad == NULL)
		snprintf(text, size, "%s",
			 err == E_TYPE      ? "expected a map whose keys are strings"
			 : err == E_UNKNOWN ? "expected a map without unknown keys"
					    : err_str(err));
	else if (err == E_NOTFOUND)
		snprintf(text, size, "%s: required, but missing", bad->key);
	else if (err == E_EXISTS)
		snprintf(text, size, "%s: given twice", bad->key);
	else if (bad->type == FIELD_SOLE_KEY && err == E_LIMIT)
		snprintf(text, size, "%s: expected at most %d keys in all fields",
			 bad->key, FIELD_MAX_KEYS);
	else if (bad->type == FIELD_UINT)
		snprintf(text, size, "%s: expected an integer from 0 to %llu", bad->key,
			 max != 0 ? max : (unsigned long long)INT64_MAX);
	else if (bad->type == FIELD_STR || bad->type == FIELD_URI)
		snprintf(text, size, "%s: expected %s of at most %llu bytes%s", bad->key,
			 types[bad->type].expected, max != 0 ? max : FIELD_DEFAULT_MAX,
			 (bad->flags & (FIELD_REQUIRED | FIELD_NOT_EMPTY)) != 0
				 ? ", not empty"
				 : "");
	else
		snprintf(text, size, "%s: expected %s", bad->key,
			 types[bad->type].expected);
}

int fields_read_item(struct slice in, const struct field_table *t, void *out)
{
	struct token_reader r;

	fields_init(t, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	int err = fields_read(&r, t, out, NULL);
	return err != 0 ? err : token_end(&r);
}

int fields_begin_params(struct token_reader *r, struct slice params, uint64_t n)
{
	struct token t;

	token_reader_init(r, SERIALIZER_MSGPACK, params);
	int err = token_expect(r, TOKEN_ARRAY, &t);
	return err == 0 && t.count != n ? E_TYPE : err;
}

int fields_end_params(struct token_reader *r)
{
	struct token t;
	int err = token_expect(r, TOKEN_END, &t);

	return err == 0 ? token_end(r) : err;
}

int fields_read_params(struct slice in, const struct field_table *t, void *out)
{
	struct token_reader r;
	int err = fields_begin_params(&r, in, 1);

	fields_init(t, out);
	if (err == 0)
		err = fields_read(&r, t, out, NULL);
	return err != 0 ? err : fields_end_params(&r);
}

void fields_explain_params(struct slice in, const struct field_table *t, void *out,
			   char *text, size_t size)
{
	const struct field *bad = NULL;
	struct token_reader r;
	int err = fields_begin_params(&r, in, 1);

	if (err != 0) {
		snprintf(text, size, "expected one parameter, a map");
		return;
	}
	fields_init(t, out);
	err = fields_read(&r, t, out, &bad);
	if (err == 0)
		err = fields_end_params(&r);
	fields_explain(bad, err, text, size);
}

int fields_read_text(struct token_reader *r, size_t max, struct slice *out)
{
	struct token t;
	int err = token_expect(r, TOKEN_STR, &t);

	if (err == 0 && (t.text.len == 0 || t.text.len > max))
		err = E_RANGE;
	if (err == 0)
		*out = t.text;
	return err;
}

int fields_read_str_or_nil(struct token_reader *r, struct slice *out)
{
	struct token t;
	int err = token_next(r, &t);

	if (err != 0)
		return err;
	if (t.type == TOKEN_STR)
		*out = t.text;
	return t.type == TOKEN_STR || t.type == TOKEN_NULL ? 0 : E_TYPE;
}

/* --- writing --- */

static bool is_there(const struct field *f, const void *from)
{
	const struct field_keys *keys = from;

	switch (f->type) {
	case FIELD_STR:
	case FIELD_URI:
	case FIELD_BIN:
	case FIELD_RAW_MAP:
	case FIELD_RAW_ARRAY:
		return ((const struct slice *)from)->len > 0;
	case FIELD_KEY:
		return ((const struct field_key *)from)->there;
	case FIELD_KEYS:
		return keys->n > ((f->flags & FIELD_SEVERAL) != 0 ? 1 : 0);
	case FIELD_SOLE_KEY:
		return keys->n == 1;
	case FIELD_UINT:
		return *(const uint64_t *)from != FIELD_NONE;
	case FIELD_BOOL:
	case FIELD_FLAGS:
	case FIELD_VERSION:
	case FIELD_STRUCT:
	case FIELD_NAME:
		return true;
	}
	return false;
}

static void write_key(struct token_writer *w, const uint8_t key[FIELD_KEY_LEN])
{
	char hex[2 * FIELD_KEY_LEN + 1];

	fields_key_encode(key, hex);
	token_put_text(w, hex);
}

static void write_array(struct token_writer *w, const struct field *f, const void *from)
{
	const struct field_keys *keys = from;
	const struct field_version *v = from;
	unsigned flags = f->type == FIELD_FLAGS ? *(const unsigned *)from : 0;

	token_put_array(w, TOKEN_COUNT_UNKNOWN);
	if (f->type == FIELD_KEYS)
		for (unsigned i = 0; i < keys->n; i++)
			write_key(w, keys->key[i]);
	for (unsigned i = 0; flags >> i != 0; i++)
		if ((flags >> i & 1) != 0)
			token_put_text(w, f->names[i]);
	if (f->type == FIELD_VERSION) {
		token_put_uint(w, v->major);
		token_put_uint(w, v->minor);
	}
	token_put_end(w);
}

static void write_value(struct token_writer *w, const struct field *f, const void *from)
{
	switch (f->type) {
	case FIELD_STR:
	case FIELD_URI:
		token_put_str(w, *(const struct slice *)from);
		break;
	case FIELD_BIN:
		token_put_content(w, TOKEN_BIN, *(const struct slice *)from);
		break;
	case FIELD_KEY:
		write_key(w, ((const struct field_key *)from)->octets);
		break;
	case FIELD_SOLE_KEY:
		write_key(w, ((const struct field_keys *)from)->key[0]);
		break;
	case FIELD_RAW_MAP:
	case FIELD_RAW_ARRAY:
		token_put_raw(w, *(const struct slice *)from, 1);
		break;
	case FIELD_KEYS:
	case FIELD_FLAGS:
	case FIELD_VERSION:
		write_array(w, f, from);
		break;
	case FIELD_UINT:
		token_put_uint(w, *(const uint64_t *)from);
		break;
	case FIELD_BOOL:
		token_put_bool(w, *(const bool *)from);
		break;
	case FIELD_STRUCT:
		fields_write(w, f->table, from);
		break;
	case FIELD_NAME:
		token_put_text(w, f->names[*(const unsigned *)from]);
		break;
	}
}

void fields_write(struct token_writer *w, const struct field_table *t, const void *in)
{
	token_put_map(w, TOKEN_COUNT_UNKNOWN);
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];
		const void *from = (const char *)in + f->offset;
		bool there = is_there(f, from);
		if (!there && (f->flags & FIELD_OR_NIL) == 0)
			continue;
		token_put_text(w, f->key);
		if (there)
			write_value(w, f, from);
		else
			token_put_null(w);
	}
	token_put_end(w);
}

void fields_put_str_or_nil(struct token_writer *w, struct slice s)
{
	if (s.len == 0)
		token_put_null(w);
	else
		token_put_str(w, s);
}

void fields_write_item(struct buf *out, const struct field_table *t, const void *in)
{
	struct token_writer w;

	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	fields_write(&w, t, in);
}

void fields_write_params(struct buf *out, const struct field_table *t, const void *in)
{
	struct token_writer w;

	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, 1);
	fields_write(&w, t, in);
	token_put_end(&w);
}
