/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the messages that clients send; see msg.h. No state; any thread. The tables in
 * msg_shape.c list the elements of each message and the options that the router uses;
 * everything else is checked and skipped. msg_write.c writes messages, msg_fault.c
 * describes errors to the client.
 *
 * The first reading stops at any error and notes where. If a wrong value caused it, a
 * second reading skips wrong values, to find out whether the rest of the message is
 * valid.
 */
#include "proto/msg.h"

#include "common/err.h"
#include "proto/msg_shape.h"

#include <assert.h>
#include <math.h>

enum { TYPE_MAX = 1023 }; /* the highest message code that the specification assigns */

struct decoder {
	enum serializer serializer;
	struct token_reader reader;
	struct buf *scratch;
	size_t size; /* bytes of the message */
	struct msg *out;
	bool has_role; /* the HELLO names at least one of the four client roles */
};

/*
 * Reserves room for the whole message before the first decoded text is stored, so that
 * stored texts never move. A decoded text is never longer than its encoded form.
 */
static int make_room(struct decoder *d)
{
	if (d->scratch->len == 0 && buf_reserve(d->scratch, d->size) == NULL)
		return d->scratch->err;
	return 0;
}

/* Returns the characters of a string. */
static int text_of(struct decoder *d, const struct token *t, struct slice *out)
{
	if (LIKELY(!t->encoded)) {
		*out = t->text;
		return 0;
	}
	int err = make_room(d);
	return err != 0 ? err : token_text(t, d->serializer, d->scratch, out);
}

static bool is_absent(const struct token *t)
{
	return t->type == TOKEN_NULL || t->type == TOKEN_UNDEFINED;
}

/* The error for a token that is not of the expected type. */
static int unexpected(const struct token *t)
{
	return t->type == TOKEN_END ? E_NOTFOUND : E_TYPE;
}

/* Makes a reader for an item that the message's reader has skipped. */
static void read_again(const struct decoder *d, struct slice item,
		       struct token_reader *out)
{
	token_reader_init(out, d->serializer, item);
	out->lenient = d->reader.lenient;
}

static int first_token(const struct decoder *d, struct slice item, struct token *out)
{
	struct token_reader r;

	read_again(d, item, &r);
	return token_next(&r, out);
}

/* E_TYPE unless the item is null or undefined. */
static int expect_absent(const struct decoder *d, struct slice item)
{
	struct token t;
	int err = first_token(d, item, &t);

	return err != 0 || is_absent(&t) ? err : E_TYPE;
}

/* Reads a string. */
static int read_text(struct decoder *d, struct slice *out)
{
	struct token t;
	int err = token_next(&d->reader, &t);

	if (err != 0)
		return err;
	return t.type == TOKEN_STR ? text_of(d, &t, out) : unexpected(&t);
}

static int read_id(struct token_reader *r, uint64_t *out)
{
	struct token t;
	int err = token_next(r, &t);

	if (err != 0)
		return err;
	return token_id(&t, out) == 0 ? 0 : unexpected(&t);
}

static int read_methods(struct decoder *d)
{
	struct token_reader *r = &d->reader;
	struct msg_hello *hello = d->out->hello;
	struct token t;
	int err = token_next(r, &t);

	if (err != 0 || is_absent(&t))
		return err;
	if (t.type != TOKEN_ARRAY)
		return E_TYPE;
	hello->n_authmethods = 0;
	for (;;) {
		struct slice name;

		err = token_next(r, &t);
		if (err != 0 || t.type == TOKEN_END)
			return err;
		if (t.type != TOKEN_STR)
			return E_TYPE;
		/* Check further names, but ignore them. */
		if (hello->n_authmethods == WAMP_MAX_AUTHMETHODS)
			continue;
		err = text_of(d, &t, &name);
		if (err != 0)
			return err;
		hello->authmethods[hello->n_authmethods++] = name;
	}
}

static int read_dict(struct decoder *d, struct token_reader *r,
		     const struct option_table *known, void *into);

/* Skips a dict. E_NOTFOUND if the container ends instead. */
static int skip_dict(struct decoder *d, struct token_reader *r, struct slice *out)
{
	int err = token_skip(r, out);

	if (err != 0)
		return err == E_TYPE ? E_NOTFOUND : err;
	return token_container(d->serializer, *out) == TOKEN_MAP ? 0 : E_TYPE;
}

/* Stores authextra as a whole, then reads the keys that the router uses. */
static int read_extra(struct decoder *d)
{
	struct msg_hello *hello = d->out->hello;
	struct token_reader again;
	struct slice item;
	int err = skip_dict(d, &d->reader, &item);

	if (err != 0)
		return err == E_TYPE ? expect_absent(d, item) : err;
	hello->authextra = item;
	read_again(d, item, &again);
	return read_dict(d, &again, &msg_authextra_keys, hello);
}

/* Reads a role's dict of features. A value of another type announces none. */
static int read_features(struct decoder *d, struct token_reader *r, uint8_t *features)
{
	struct token_reader again;
	struct slice item;
	int err = token_skip(r, &item);

	if (err != 0 || token_container(d->serializer, item) != TOKEN_MAP)
		return err;
	read_again(d, item, &again);
	return read_dict(d, &again, &msg_feature_keys, features);
}

/* A HELLO without a role is invalid (section "Session Establishment"). */
static int read_roles(struct decoder *d)
{
	int err = read_dict(d, &d->reader, &msg_client_roles, d->out->hello);

	return err == 0 && !d->has_role ? E_TYPE : err;
}

/* Reads a boolean or a text and stores it at `to`. */
static int read_option_value(struct decoder *d, struct token_reader *r,
			     enum option_kind kind, void *to)
{
	struct token t;
	int err = token_next(r, &t);

	if (err != 0 || is_absent(&t))
		return err;
	if (kind == OPTION_TEXT && t.type == TOKEN_STR)
		return text_of(d, &t, to);
	if (kind != OPTION_BOOL || t.type != TOKEN_BOOL)
		return unexpected(&t);
	*(bool *)to = t.b;
	return 0;
}

/* Notes an option that describes the payload. t is the first token of its value. */
static NOINLINE void note_passthru(struct msg *m, unsigned option, struct slice value,
				   const struct token *t)
{
	bool is_switch = option == MSG_PPT_SCHEME || option == MSG_ENC_ALGO;

	if (is_switch && t->type == TOKEN_STR && t->text.len == 0)
		return;
	m->passthru_value[option] = value;
	m->passthru |= (uint8_t)(1u << option);
}

/* Reads an option whose value may be of any type. */
static NOINLINE int read_loose_option(struct decoder *d, struct token_reader *r,
				      const struct msg_option *o, void *into)
{
	void *to = (uint8_t *)into + o->offset;
	struct slice item;
	struct token t;
	int err = token_skip(r, &item);

	if (err == 0)
		err = first_token(d, item, &t);
	if (err != 0 || is_absent(&t))
		return err;
	if (o->kind == OPTION_BINDING)
		d->out->hello->asks_binding = true;
	if ((o->kind == OPTION_HINT || o->kind == OPTION_BINDING) && t.type == TOKEN_STR)
		return text_of(d, &t, to);
	if (o->kind == OPTION_NUMBER) {
		bool long_integer =
			t.type == TOKEN_BIGINT && d->serializer == SERIALIZER_JSON;

		*(double *)to = t.type == TOKEN_DOUBLE || long_integer ? t.d
				: t.type == TOKEN_UINT                 ? (double)t.u
				: t.type == TOKEN_NEGINT               ? (double)t.i
								       : (double)NAN;
	} else if (o->kind == OPTION_FILTER) {
		d->out->filter[o->offset] = item;
		d->out->filters |= (uint8_t)(1u << o->offset);
	} else if (o->kind == OPTION_PASSTHRU) {
		note_passthru(d->out, (unsigned)o->offset, item, &t);
	} else if (o->kind == OPTION_FEATURE && t.type == TOKEN_BOOL && t.b) {
		*(uint8_t *)into |= (uint8_t)o->offset;
	}
	return 0;
}

static int read_option(struct decoder *d, struct token_reader *r,
		       const struct msg_option *o, void *into)
{
	switch (o->kind) {
	case OPTION_BOOL:
	case OPTION_TEXT:
		return read_option_value(d, r, o->kind, (uint8_t *)into + o->offset);
	case OPTION_HINT:
	case OPTION_BINDING:
	case OPTION_NUMBER:
	case OPTION_FILTER:
	case OPTION_PASSTHRU:
	case OPTION_FEATURE:
		return read_loose_option(d, r, o, into);
	case OPTION_ROLES:
		return read_roles(d);
	case OPTION_ROLE:
		d->has_role = true;
		return read_dict(d, r, &msg_role_keys, (uint8_t *)into + o->offset);
	case OPTION_FEATURES:
		return read_features(d, r, into);
	case OPTION_METHODS:
		return read_methods(d);
	case OPTION_EXTRA:
		return read_extra(d);
	}
	return E_TYPE;
}

static const struct msg_option *find_option(const struct option_table *known,
					    struct slice name)
{
	for (size_t i = 0; i < known->count; i++)
		if (slice_eq(name, known->list[i].name))
			return &known->list[i];
	return NULL;
}

/*
 * Notes that the error occurred in this option. Nested options are noted from the inside
 * out.
 */
static NOINLINE int fail_in_option(struct decoder *d, const struct msg_option *o, int err)
{
	static const char *const expected[] = {
#define X(kind, text) [OPTION_##kind] = (text),
		OPTION_KINDS(X)
#undef X
	};
	struct msg_fault *f = &d->out->fault;

	f->sub = f->option;
	f->option = (const char *)o->name.p;
	if (f->expected == NULL)
		f->expected = expected[o->kind];
	return err;
}

/* Notes the type that was expected. */
static NOINLINE int fail_in_type(struct decoder *d, const char *expected)
{
	d->out->fault.expected = expected;
	return E_TYPE;
}

/*
 * Reads a dict. Stores known keys, checks and skips the others. A known key must not
 * occur twice: another reader of the same bytes might use the other one.
 */
static int read_dict(struct decoder *d, struct token_reader *r,
		     const struct option_table *known, void *into)
{
	struct token t;
	struct slice name;
	unsigned seen = 0; /* bit i: known->list[i] was read */
	int err = token_next(r, &t);

	if (err != 0)
		return err;
	if (t.type != TOKEN_MAP)
		return unexpected(&t);
	for (;;) {
		err = token_next(r, &t);
		if (err != 0 || t.type == TOKEN_END)
			return err;
		if (t.type != TOKEN_STR)
			return fail_in_type(d, "keys that are strings");
		err = text_of(d, &t, &name);
		if (err != 0)
			return err;
		/* The authorizer could not be told about the options of such a dict. */
		if (UNLIKELY(token_in_typed(r)))
			return E_UNSUPPORTED;
		const struct msg_option *o = find_option(known, name);
		if (o == NULL) {
			err = token_skip(r, NULL);
			if (err != 0)
				return err;
			continue;
		}
		unsigned bit = 1u << (o - known->list);
		err = (seen & bit) != 0 ? E_EXISTS : read_option(d, r, o, into);
		if (err != 0)
			return fail_in_option(d, o, err);
		seen |= bit;
	}
}

/*
 * Puts an empty Arguments before an ArgumentsKw if the client has sent null as Arguments,
 * because receivers expect a list there.
 */
static int put_empty_arguments(struct decoder *d, struct slice kw)
{
	static const char *const empty[] = {
		[SERIALIZER_JSON] = "[],",
		[SERIALIZER_MSGPACK] = "\x90",
		[SERIALIZER_CBOR] = "\x80",
		[SERIALIZER_UBJSON] = "[]",
	};
	static_assert(ARRAY_LEN(empty) == SERIALIZER_COUNT,
		      "empty has a row for each serializer");
	int err = make_room(d);

	if (err != 0)
		return err;
	size_t begin = d->scratch->len;
	buf_put_str(d->scratch, empty[d->serializer]);
	buf_put_slice(d->scratch, kw);
	d->out->payload.bytes =
		slice_of(d->scratch->data + begin, d->scratch->len - begin);
	d->out->payload.items = 2;
	return d->scratch->err;
}

/* Notes that the error occurred in Arguments (i = 0) or ArgumentsKw (i = 1). */
static NOINLINE int fail_in_payload(struct decoder *d, unsigned i, int err)
{
	d->out->fault.element = i == 0 ? "Arguments" : MSG_ARGUMENTS_KW;
	d->out->fault.expected = i == 0 ? "a list" : "a dict";
	return err;
}

/*
 * Is this element, which is no list, a binary that enc_algo allows? A tag would make it
 * something else for the receiver. In the second reading a malformed binary counts, too.
 */
static NOINLINE bool is_binary_payload(const struct decoder *d, struct slice item)
{
	enum { CBOR_BYTES = 2 }; /* the major type */
	struct token t;

	if ((d->out->passthru & 1u << MSG_ENC_ALGO) == 0 || first_token(d, item, &t) != 0)
		return false;
	if (d->serializer == SERIALIZER_CBOR && item.p[0] >> 5 != CBOR_BYTES)
		return false;
	return t.type == TOKEN_BIN || (t.type == TOKEN_STR && d->reader.lenient != NULL);
}

/* Stores a binary as the whole payload, and checks that no ArgumentsKw follows. */
static NOINLINE int read_binary_payload(struct decoder *d, struct slice binary)
{
	struct slice item;

	d->out->payload.bytes = binary;
	d->out->payload.items = 1;
	int err = token_skip(&d->reader, &item);
	if (err == E_TYPE)
		return 0;
	if (err == 0)
		err = expect_absent(d, item);
	if (err == 0)
		return 0;
	(void)fail_in_payload(d, 1, err);
	d->out->fault.expected = "nothing, because Arguments is a binary";
	return err;
}

/* Reads Arguments and ArgumentsKw, if they are there. */
static ALWAYS_INLINE int read_payload(struct decoder *d)
{
	static const enum token_type types[] = {TOKEN_ARRAY, TOKEN_MAP};
	struct msg_payload *payload = &d->out->payload;
	struct slice item;

	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		int err = token_skip(&d->reader, &item);

		/* The message ends here. */
		if (err == E_TYPE)
			return 0;
		if (err != 0)
			return fail_in_payload(d, i, err);
		if (token_container(d->serializer, item) != types[i]) {
			if (i == 0 && is_binary_payload(d, item))
				return read_binary_payload(d, item);
			err = expect_absent(d, item);
			if (err != 0)
				return fail_in_payload(d, i, err);
			continue;
		}
		if (payload->items < i)
			return put_empty_arguments(d, item);
		if (i == 0)
			payload->bytes = item;
		else
			payload->bytes.len =
				(size_t)(item.p + item.len - payload->bytes.p);
		payload->items++;
	}
	return 0;
}

static int read_error_type(struct decoder *d)
{
	uint64_t type;
	int err = read_id(&d->reader, &type);

	if (err != 0)
		return err;
	if (type > WAMP_YIELD)
		return E_TYPE;
	d->out->error_type = (enum wamp_type)type;
	return 0;
}

static int read_hello_details(struct decoder *d, const struct option_table *known)
{
	int err = read_dict(d, &d->reader, known, d->out->hello);

	if (err != 0 || d->has_role)
		return err;
	/* "roles" is the first of them. */
	return fail_in_option(d, known->list, E_NOTFOUND);
}

/* Stores AUTHENTICATE's Extra, which the login method reads. */
static NOINLINE int read_authenticate_extra(struct decoder *d,
					    const struct option_table *known)
{
	struct token_reader again;
	int err = skip_dict(d, &d->reader, &d->out->extra);

	if (err != 0)
		return err;
	read_again(d, d->out->extra, &again);
	return read_dict(d, &again, known, d->out);
}

static ALWAYS_INLINE int read_element(struct decoder *d, enum element e,
				      const struct option_table *known)
{
	struct msg *out = d->out;
	struct slice item;
	int err;

	switch (e) {
	case ELEMENT_REQUEST:
		return read_id(&d->reader, &out->request);
	case ELEMENT_ID:
		return read_id(&d->reader, &out->id);
	case ELEMENT_ERROR_TYPE:
		return read_error_type(d);
	case ELEMENT_URI:
		return read_text(d, &out->uri);
	case ELEMENT_REALM:
		*out->hello = (struct msg_hello){.n_authmethods = 0};
		return read_option_value(d, &d->reader, OPTION_TEXT, &out->hello->realm);
	case ELEMENT_TEXT:
		return read_text(d, &out->text);
	case ELEMENT_MAYBE_OPTIONS:
		err = skip_dict(d, &d->reader, &item);
		return err == E_NOTFOUND ? 0 : err;
	case ELEMENT_OPTIONS:
		if (out->type == WAMP_HELLO)
			return read_hello_details(d, known);
		return read_dict(d, &d->reader, known, out);
	case ELEMENT_EXTRA:
		return read_authenticate_extra(d, known);
	case ELEMENT_PAYLOAD:
		return read_payload(d);
	case ELEMENT_NONE:
		break;
	}
	return E_TYPE;
}

/*
 * Notes that the error occurred in this element. ELEMENT_NONE means after the last
 * element.
 */
static NOINLINE int fail_in_element(struct decoder *d, const struct msg_shape *shape,
				    const uint8_t *e, int err)
{
	static const char *const expected[] = {
#define X(name, text) [ELEMENT_##name] = (text),
		ELEMENTS(X)
#undef X
	};
	struct msg_fault *f = &d->out->fault;

	/* fail_in_payload may have noted both already. */
	if (f->element == NULL)
		f->element = shape->names[e - shape->elements - (*e == ELEMENT_NONE)];
	if (f->expected == NULL)
		f->expected = expected[*e];
	return err;
}

/* Reads the elements after the message type, and checks that no more follow. */
static ALWAYS_INLINE int read_elements(struct decoder *d, const struct msg_shape *shape)
{
	struct token t;
	const uint8_t *e;

	for (e = shape->elements; *e != ELEMENT_NONE; e++) {
		int err = read_element(d, (enum element) * e, &shape->options);
		if (UNLIKELY(err != 0))
			return fail_in_element(d, shape, e, err);
	}
	int err = token_next(&d->reader, &t);
	if (err != 0)
		return err;
	return LIKELY(t.type == TOKEN_END) ? token_end(&d->reader)
					   : fail_in_element(d, shape, e, E_TYPE);
}

/*
 * Resets the fields one by one: gcc compiles an assignment of the struct to "rep stos",
 * which takes 20 ns to start.
 */
static void reset(struct msg *m)
{
	const struct slice empty = {NULL, 0};

	m->type = (enum wamp_type)0;
	m->error_type = (enum wamp_type)0;
	m->request = 0;
	m->id = 0;
	m->uri = empty;
	m->text = empty;
	m->match = empty;
	m->invoke = empty;
	m->acknowledge = false;
	m->exclude_me = true;
	m->progress = false;
	m->receive_progress = false;
	m->disclose = false;
	m->retain = false;
	m->force = false;
	m->testament = false;
	m->timeout = 0;
	m->concurrency = (double)INFINITY;
	m->filters = 0;
	m->passthru = 0;
	m->payload.bytes = empty;
	m->payload.items = 0;
	m->fault = (struct msg_fault){.err = 0};
}

/*
 * Reads a message. Inlined in two places, so that the compiler makes a fast copy for the
 * first reading, whose lenient is NULL. lenient as in struct token_reader.
 */
static ALWAYS_INLINE int read_message(struct decoder *d, struct slice in,
				      unsigned *lenient)
{
	const char *const list = "a list that begins with a message type";
	struct token t;
	uint64_t type;

	buf_clear(d->scratch);
	reset(d->out);
	d->has_role = false;
	token_reader_init(&d->reader, d->serializer, in);
	d->reader.lenient = lenient;
	int err = token_next(&d->reader, &t);
	if (err != 0)
		return err;
	if (t.type != TOKEN_ARRAY)
		return fail_in_type(d, list);
	err = read_id(&d->reader, &type);
	if (err != 0)
		return err == E_TYPE || err == E_NOTFOUND ? fail_in_type(d, list) : err;
	if (type <= TYPE_MAX)
		d->out->type = (enum wamp_type)type;
	if (type >= ARRAY_LEN(msg_shapes) || msg_shapes[type].elements[0] == ELEMENT_NONE)
		return E_UNKNOWN;
	return read_elements(d, &msg_shapes[type]);
}

/*
 * Reads the message again after the first reading has found a wrong value. E_VALUE if the
 * rest is valid.
 */
static NOINLINE int read_leniently(struct decoder *d, struct slice in, int value_err)
{
	struct msg_fault first = d->out->fault;
	unsigned lenient = 0;
	int err = read_message(d, in, &lenient);

	if (err != 0)
		return err;
	first.err = value_err;
	d->out->fault = first;
	return E_VALUE;
}

int msg_read(enum serializer s, struct slice in, struct buf *scratch, struct msg *out)
{
	struct decoder d;

	d.serializer = s;
	d.scratch = scratch;
	d.size = in.len;
	d.out = out;
	int err = read_message(&d, in, NULL);
	if (UNLIKELY(err != 0) && token_is_value_error(err))
		return read_leniently(&d, in, err);
	return err;
}

struct slice msg_options(enum serializer s, struct slice in)
{
	struct token_reader r;
	struct token list;
	struct slice item = {NULL, 0};

	token_reader_init(&r, s, in);
	/* Skip the message's type and request. */
	if (token_next(&r, &list) != 0 || token_skip(&r, NULL) != 0 ||
	    token_skip(&r, NULL) != 0 || token_skip(&r, &item) != 0)
		return slice_of(NULL, 0);
	return item;
}
