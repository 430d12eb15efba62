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

/* True for a list of session ids. The other lists hold texts. */
static bool holds_ids(unsigned list)
{
	return list == MSG_ELIGIBLE || list == MSG_EXCLUDE;
}

/* Compares the lengths first, because most pairs differ in length. */
static int compare_entries(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

/* --- making --- */

/*
 * Reads the next entry of a list of ids or texts. E_NOTFOUND at the end of the list,
 * E_TYPE if the entry has the wrong type.
 */
static int next_entry(struct token_reader *r, bool ids, struct token *t, uint64_t *id)
{
	int err = token_next(r, t);

	if (err != 0)
		return err;
	if (t->type == TOKEN_END)
		return E_NOTFOUND;
	if (ids)
		return token_id(t, id) == 0 ? 0 : E_TYPE;
	return t->type == TOKEN_STR ? 0 : E_TYPE;
}

static int begin_list(enum serializer s, const struct msg *m, unsigned list,
		      struct token_reader *r)
{
	struct token t;

	token_reader_init(r, s, m->filter[list]);
	return token_expect(r, TOKEN_ARRAY, &t);
}

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

/* Checks a list and adds up its entries and their bytes. */
static int measure_list(enum serializer s, struct msg *m, unsigned list,
			struct filter_list *l, size_t *bytes)
{
	bool ids = holds_ids(list);
	struct token_reader r;
	struct token t;
	uint64_t id;
	int err = begin_list(s, m, list, &r);

	while (err == 0 && (err = next_entry(&r, ids, &t, &id)) == 0) {
		/* a client may send a list as long as a message */
		if (++l->count > OPTIONS_MAX_FILTER)
			return fail_in_list(m, list, "at most 1,000 entries");
		*bytes += ids ? sizeof(id) : t.text.len;
	}
	if (err != E_NOTFOUND)
		return fail_in_list(m, list,
				    ids ? "a list of session ids" : "a list of strings");
	/* an empty exclude list excludes nobody, but an empty eligible list admits
	 * nobody */
	l->given = l->count > 0 || list < MSG_EXCLUDE;
	return 0;
}

/*
 * Copies a list that measure_list has checked, and advances *bytes past the copy.
 * E_NOMEM.
 */
static int fill_list(enum serializer s, const struct msg *m, unsigned list,
		     struct filter_list *l, uint8_t **bytes)
{
	bool ids = holds_ids(list);
	struct slice *to = l->entries;
	struct token_reader r;
	struct buf scratch;
	struct token t;
	uint64_t id;
	int err = begin_list(s, m, list, &r);

	/* for texts that need decoding; no text becomes longer by decoding */
	buf_init(&scratch, m->filter[list].len);
	while (err == 0 && (err = next_entry(&r, ids, &t, &id)) == 0) {
		struct slice entry = slice_of(&id, sizeof(id));
		buf_clear(&scratch);
		if (!ids)
			err = token_text(&t, s, &scratch, &entry);
		if (err == 0)
			*to++ = slice_store(bytes, entry);
	}
	buf_fini(&scratch);
	if (err != E_NOTFOUND)
		return err;
	/* has_entry uses a binary search */
	qsort(l->entries, l->count, sizeof(*l->entries), compare_entries);
	return 0;
}

int options_new(enum serializer s, struct msg *m, struct options **out)
{
	struct filter_list lists[MSG_FILTER_COUNT] = {{.given = false}};
	size_t entries = 0, bytes = 0;
	bool any = false;
	int err = 0;

	*out = NULL;
	for (unsigned i = 0; i < MSG_FILTER_COUNT && err == 0; i++) {
		if ((m->filters & 1u << i) != 0)
			err = measure_list(s, m, i, &lists[i], &bytes);
		entries += lists[i].count;
		any |= lists[i].given;
	}
	/* lists that exclude nobody are the same as no options */
	if (err != 0 || !any)
		return err;
	/* one allocation: struct, then all entries, then the bytes of all entries */
	size_t size = sizeof(struct options) + entries * sizeof(struct slice) + bytes;
	struct options *o = malloc(size);
	if (o == NULL)
		return E_NOMEM;
	atomic_init(&o->refs, 1);
	o->size = size;
	memcpy(o->lists, lists, sizeof(lists));
	struct slice *at_entry = (struct slice *)(o + 1);
	uint8_t *at_byte = (uint8_t *)(at_entry + entries);
	for (unsigned i = 0; i < MSG_FILTER_COUNT && err == 0; i++) {
		o->lists[i].entries = at_entry;
		at_entry += o->lists[i].count;
		if (o->lists[i].count > 0)
			err = fill_list(s, m, i, &o->lists[i], &at_byte);
	}
	if (err != 0)
		free(o);
	else
		*out = o;
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
