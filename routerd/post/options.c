/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted options of messages; any thread. See options.h. */
#include "routerd/post/options.h"

#include "common/err.h"

#include <stdlib.h>

/* An entry is a text or the bytes of a session id. */
struct filter_list {
	bool given;
	size_t count;
	/* Sorted. The array and the bytes of its entries are stored after struct
	 * options. */
	struct slice *entries;
};

struct options {
	_Atomic uint32_t refs;
	uint8_t needs; /* see options_understood */
	size_t size;   /* of this whole allocation, bytes */
	struct filter_list lists[MSG_FILTER_COUNT];
	/* The bytes are stored after the struct, too. p is NULL for absent options. */
	struct slice passthru[MSG_PASSTHRU_COUNT];
};

static const char *const filter_names[MSG_FILTER_COUNT] = {
#define X(id, name) [MSG_##id] = name,
	MSG_FILTERS(X)
#undef X
};

/* Compares the lengths first, because most pairs differ in length. */
static int compare_entries(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

/* --- making --- */

/* Describes a malformed option in m->fault, for msg_fault_text. */
static int fail_in_value(struct msg *m, const char *option, const char *expected)
{
	m->fault = (struct msg_fault){
		.element = m->type == WAMP_ERROR ? "Details" : "Options",
		.option = option,
		.expected = expected,
	};
	return E_TYPE;
}

static int fail_in_list(struct msg *m, unsigned list, const char *expected)
{
	return fail_in_value(m, filter_names[list], expected);
}

static void put_entry(struct buf *found, struct slice entry)
{
	buf_put(found, &entry.len, sizeof(entry.len));
	buf_put_slice(found, entry);
}

/*
 * Reads a list, and appends each entry to *found: its length, then its bytes. The caller
 * must check found->err.
 */
static int read_list(enum serializer s, struct msg *m, unsigned list,
		     struct filter_list *l, struct buf *found)
{
	bool ids = list == MSG_ELIGIBLE || list == MSG_EXCLUDE;
	struct token_reader r;
	struct buf scratch;
	struct token t;
	uint64_t id;

	/* for texts that need decoding; no text becomes longer by decoding */
	buf_init(&scratch, m->filter[list].len);
	token_reader_init(&r, s, m->filter[list]);
	int err = token_expect(&r, TOKEN_ARRAY, &t);
	while (err == 0 && (err = token_next(&r, &t)) == 0 && t.type != TOKEN_END &&
	       ++l->count <= OPTIONS_MAX_FILTER) {
		struct slice entry = slice_of(&id, sizeof(id));
		buf_clear(&scratch);
		if (ids)
			err = token_id(&t, &id);
		else
			err = t.type == TOKEN_STR ? token_text(&t, s, &scratch, &entry)
						  : E_TYPE;
		put_entry(found, entry);
	}
	buf_fini(&scratch);
	/* a client may send a list as long as a message */
	if (l->count > OPTIONS_MAX_FILTER)
		return fail_in_list(m, list, "at most 1,000 entries");
	if (err != 0 && err != E_NOMEM)
		return fail_in_list(m, list,
				    ids ? "a list of session ids" : "a list of strings");
	/* an empty exclude list excludes nobody, but an empty eligible list admits
	 * nobody */
	l->given = l->count > 0 || list < MSG_EXCLUDE;
	return err;
}

/* True if this is x_, or x_ and a name of at least two characters. */
static bool is_custom_name(struct slice name)
{
	if (name.len < 2 || name.len == 3 || memcmp(name.p, "x_", 2) != 0)
		return false;
	for (size_t i = 2; i < name.len; i++) {
		uint8_t c = name.p[i];
		bool letter = c >= 'a' && c <= 'z';

		if (!letter && (i == 2 || (c != '_' && (c < '0' || c > '9'))))
			return false;
	}
	return true;
}

/* The values that are expected of an option, for msg_fault_text. */
static const char *passthru_expected(unsigned option)
{
	if (option == MSG_ENC_ALGO)
		return "cryptobox, mqtt, xbr, or a name such as x_mine";
	if (option == MSG_ENC_SERIALIZER)
		return "json, msgpack, cbor, ubjson, flatbuffers, or a name such as "
		       "x_mine";
	return "a string";
}

/*
 * Autobahn|Python closes its connection if it receives an enc_algo or enc_serializer
 * other than these. The values of other options are not looked at.
 */
static bool passthru_allowed(unsigned option, struct slice text)
{
	static const char *const algos[] = {"cryptobox", "mqtt", "xbr", NULL};
	static const char *const serializers[] = {"json",   "msgpack",     "cbor",
						  "ubjson", "flatbuffers", NULL};
	const char *const *names = option == MSG_ENC_ALGO ? algos : serializers;

	if (option != MSG_ENC_ALGO && option != MSG_ENC_SERIALIZER)
		return true;
	for (; *names != NULL; names++)
		if (slice_eq_str(text, *names))
			return true;
	return is_custom_name(text);
}

/* Reads one option, and appends it to *found. Adds its length to *total. */
static int read_passthru(enum serializer s, struct msg *m, unsigned option,
			 struct buf *found, size_t *total)
{
	struct slice value = m->passthru_value[option], text;
	const char *name = msg_passthru_names[option];
	struct token_reader r;
	struct buf scratch;
	struct token t;

	buf_init(&scratch, value.len);
	token_reader_init(&r, s, value);
	int err = token_expect(&r, TOKEN_STR, &t);
	if (err == 0)
		err = token_text(&t, s, &scratch, &text);
	if (err == 0) {
		*total += text.len;
		if (*total > OPTIONS_MAX_PASSTHRU)
			err = fail_in_value(m, name,
					    "at most 1,024 bytes in all ppt_ and enc_ "
					    "options");
		else if (!passthru_allowed(option, text))
			err = fail_in_value(m, name, passthru_expected(option));
		else
			put_entry(found, text);
	} else if (err != E_NOMEM) {
		err = fail_in_value(m, name, passthru_expected(option));
	}
	buf_fini(&scratch);
	return err;
}

/*
 * The options in m->passthru that count: those with the prefix ppt_ only together with
 * ppt_scheme, those with enc_ only together with enc_algo.
 */
static unsigned passthru_given(const struct msg *m)
{
	enum { PPT = BIT(MSG_ENC_ALGO) - 1 }; /* the options before enc_algo */
	unsigned given = m->passthru;

	if ((given & BIT(MSG_PPT_SCHEME)) == 0)
		given &= ~(unsigned)PPT;
	if ((given & BIT(MSG_ENC_ALGO)) == 0)
		given &= PPT;
	return given;
}

/* The features that a receiver of these options needs. */
static uint8_t needs_of(unsigned given)
{
	return (uint8_t)(((given & BIT(MSG_PPT_SCHEME)) != 0
				  ? WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE
				  : 0) |
			 ((given & BIT(MSG_ENC_ALGO)) != 0
				  ? WAMP_FEATURE_PAYLOAD_TRANSPARENCY
				  : 0));
}

/* Copies a value that put_entry has appended, and moves *from past it. */
static struct slice store_entry(uint8_t **to, const uint8_t **from)
{
	size_t len;

	memcpy(&len, *from, sizeof(len));
	struct slice stored = slice_store(to, slice_of(*from + sizeof(len), len));
	*from += sizeof(len) + len;
	return stored;
}

/*
 * Makes the options from the lists and from *found, which has their n entries and then
 * the texts of the options `given`. NULL if out of memory.
 */
static struct options *make_options(const struct filter_list *lists, size_t n,
				    unsigned given, const struct buf *found)
{
	/* one allocation: struct, then all entries, then the bytes of all entries */
	size_t lengths = (n + (size_t)__builtin_popcount(given)) * sizeof(size_t);
	size_t size =
		sizeof(struct options) + n * sizeof(struct slice) + found->len - lengths;
	struct options *o = found->err == 0 ? malloc(size) : NULL;

	if (o == NULL)
		return NULL;
	atomic_init(&o->refs, 1);
	o->size = size;
	o->needs = needs_of(given);
	memcpy(o->lists, lists, sizeof(o->lists));
	struct slice *to = (struct slice *)(o + 1);
	uint8_t *at_byte = (uint8_t *)(to + n);
	const uint8_t *from = found->data;
	for (unsigned i = 0; i < MSG_FILTER_COUNT; i++) {
		o->lists[i].entries = to;
		for (size_t k = 0; k < lists[i].count; k++)
			*to++ = store_entry(&at_byte, &from);
		/* has_entry uses a binary search */
		qsort(o->lists[i].entries, lists[i].count, sizeof(*to), compare_entries);
	}
	for (unsigned i = 0; i < MSG_PASSTHRU_COUNT; i++)
		o->passthru[i] = (given & BIT(i)) != 0 ? store_entry(&at_byte, &from)
						       : slice_of(NULL, 0);
	return o;
}

int options_new(enum serializer s, struct msg *m, struct options **out)
{
	struct filter_list lists[MSG_FILTER_COUNT] = {{.given = false}};
	unsigned given = passthru_given(m);
	struct buf found;
	size_t n = 0, total = 0;
	bool any = given != 0;
	int err = 0;

	*out = NULL;
	buf_init(&found, SIZE_MAX / 2);
	for (unsigned i = 0; i < MSG_FILTER_COUNT && err == 0; i++) {
		if ((m->filters & 1u << i) != 0)
			err = read_list(s, m, i, &lists[i], &found);
		n += lists[i].count;
		any |= lists[i].given;
	}
	for (unsigned i = 0; i < MSG_PASSTHRU_COUNT && err == 0; i++)
		if ((given & BIT(i)) != 0)
			err = read_passthru(s, m, i, &found, &total);
	/* lists that exclude nobody are the same as no options */
	if (err == 0 && any) {
		*out = make_options(lists, n, given, &found);
		err = *out == NULL ? E_NOMEM : 0;
	}
	buf_fini(&found);
	return err;
}

void options_unref(struct options **o)
{
	free(refs_drop(o));
}

size_t options_size(const struct options *o)
{
	return o->size;
}

/* --- passthru --- */

const struct slice *options_passthru(const struct options *o)
{
	return o->needs == 0 ? NULL : o->passthru;
}

bool options_understood(const struct options *o, uint8_t features)
{
	return (o->needs & ~features) == 0;
}

/* --- the filter --- */

bool options_restrict(const struct options *o)
{
	for (unsigned i = 0; i < MSG_FILTER_COUNT; i++)
		if (o->lists[i].given)
			return true;
	return false;
}

static bool same_list(const struct filter_list *a, const struct filter_list *b)
{
	if (a->given != b->given || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!slice_eq(a->entries[i], b->entries[i]))
			return false;
	return true;
}

bool options_same_lists(const struct options *a, const struct options *b)
{
	for (unsigned i = 0; i < MSG_FILTER_COUNT; i++)
		if (!same_list(&a->lists[i], &b->lists[i]))
			return false;
	return true;
}

bool options_pass_nobody(const struct options *o)
{
	for (unsigned i = 0; i < MSG_EXCLUDE; i++)
		if (o->lists[i].given && o->lists[i].count == 0)
			return true;
	return false;
}

size_t options_eligible(const struct options *o, uint64_t *ids, size_t max)
{
	const struct filter_list *l = &o->lists[MSG_ELIGIBLE];
	size_t n = 0;

	if (!l->given)
		return max + 1;
	for (size_t i = 0; i < l->count; i++) {
		if (i > 0 && slice_eq(l->entries[i], l->entries[i - 1]))
			continue;
		if (n == max)
			return max + 1;
		memcpy(&ids[n++], l->entries[i].p, sizeof(*ids));
	}
	return n;
}

static bool has_entry(const struct filter_list *l, struct slice entry)
{
	return bsearch(&entry, l->entries, l->count, sizeof(entry), compare_entries) !=
	       NULL;
}

bool options_name_sessions(const struct options *o)
{
	return o->lists[MSG_ELIGIBLE].given || o->lists[MSG_EXCLUDE].given;
}

bool options_pass(const struct options *o, const struct identity *who)
{
	const struct slice values[] = {
		slice_of(&who->session, sizeof(who->session)),
		who->authid,
		who->authrole,
	};

	for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
		const struct filter_list *eligible = &o->lists[MSG_ELIGIBLE + i];
		const struct filter_list *exclude = &o->lists[MSG_EXCLUDE + i];
		if ((eligible->given && !has_entry(eligible, values[i])) ||
		    has_entry(exclude, values[i]))
			return false;
	}
	return true;
}
