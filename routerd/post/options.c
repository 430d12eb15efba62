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
	size_t size; /* of this whole allocation, bytes */
	struct filter_list lists[MSG_FILTER_COUNT];
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

/* Describes a malformed list in m->fault, for msg_fault_text. */
static int fail_in_list(struct msg *m, unsigned list, const char *expected)
{
	m->fault = (struct msg_fault){
		.element = "Options",
		.option = filter_names[list],
		.expected = expected,
	};
	return E_TYPE;
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
		buf_put(found, &entry.len, sizeof(entry.len));
		buf_put_slice(found, entry);
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

/*
 * Makes the options from the lists and from *found, to which read_list has appended their
 * n entries. NULL if out of memory.
 */
static struct options *make_options(const struct filter_list *lists, size_t n,
				    const struct buf *found)
{
	/* one allocation: struct, then all entries, then the bytes of all entries */
	size_t size = sizeof(struct options) + n * sizeof(struct slice) + found->len -
		      n * sizeof(size_t);
	struct options *o = found->err == 0 ? malloc(size) : NULL;

	if (o == NULL)
		return NULL;
	atomic_init(&o->refs, 1);
	o->size = size;
	memcpy(o->lists, lists, sizeof(o->lists));
	struct slice *to = (struct slice *)(o + 1);
	uint8_t *at_byte = (uint8_t *)(to + n);
	const uint8_t *from = found->data;
	for (unsigned i = 0; i < MSG_FILTER_COUNT; i++) {
		o->lists[i].entries = to;
		for (size_t k = 0; k < lists[i].count; k++) {
			size_t len;
			memcpy(&len, from, sizeof(len));
			*to++ = slice_store(&at_byte, slice_of(from + sizeof(len), len));
			from += sizeof(len) + len;
		}
		/* has_entry uses a binary search */
		qsort(o->lists[i].entries, lists[i].count, sizeof(*to), compare_entries);
	}
	return o;
}

int options_new(enum serializer s, struct msg *m, struct options **out)
{
	struct filter_list lists[MSG_FILTER_COUNT] = {{.given = false}};
	struct buf found;
	size_t n = 0;
	bool any = false;
	int err = 0;

	*out = NULL;
	buf_init(&found, SIZE_MAX / 2);
	for (unsigned i = 0; i < MSG_FILTER_COUNT && err == 0; i++) {
		if ((m->filters & 1u << i) != 0)
			err = read_list(s, m, i, &lists[i], &found);
		n += lists[i].count;
		any |= lists[i].given;
	}
	/* lists that exclude nobody are the same as no options */
	if (err == 0 && any) {
		*out = make_options(lists, n, &found);
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
