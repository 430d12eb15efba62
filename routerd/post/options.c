/* SPDX-License-Identifier: Apache-2.0 */
/* Counted options of messages; any thread. See options.h. */
#include "routerd/post/options.h"

#include "common/err.h"

#include <stdatomic.h>
#include <stdlib.h>

struct filter_list {
	bool given;
	size_t count;
	/* sorted; behind struct options, as the bytes of the texts are */
	union {
		uint64_t *ids;
		struct slice *texts;
	};
};

struct options {
	_Atomic uint32_t refs;
	size_t size; /* of all that is in this allocation */
	struct filter_list lists[MSG_FILTER_COUNT];
};

static const char *const filter_names[MSG_FILTER_COUNT] = {
#define X(id, name) [MSG_##id] = name,
	MSG_FILTERS(X)
#undef X
};

/* The other lists hold texts. */
static bool holds_ids(unsigned list)
{
	return list == MSG_ELIGIBLE || list == MSG_EXCLUDE;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* By length first, which nearly always decides. */
static int compare_texts(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

/* --- making --- */

/* The next entry of a list of ids or texts. E_NOTFOUND: the list ends here. E_TYPE. */
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

/* Says in m->fault what is wrong with a list. */
static int fail_in_list(struct msg *m, unsigned list, const char *expected)
{
	m->fault = (struct msg_fault){
		.element = "Options",
		.option = filter_names[list],
		.expected = expected,
	};
	return E_TYPE;
}

/* Checks a list and counts its entries. Adds what it needs to *table and *text bytes. */
static int measure_list(enum serializer s, struct msg *m, unsigned list,
			struct filter_list *l, size_t *table, size_t *text)
{
	bool ids = holds_ids(list);
	struct token_reader r;
	struct token t;
	uint64_t id;
	int err = begin_list(s, m, list, &r);

	while (err == 0 && (err = next_entry(&r, ids, &t, &id)) == 0) {
		if (++l->count > OPTIONS_MAX_FILTER)
			return fail_in_list(m, list, "at most 1,000 entries");
		*text += ids ? 0 : t.text.len;
	}
	if (err != E_NOTFOUND)
		return fail_in_list(m, list,
				    ids ? "a list of session ids" : "a list of strings");
	*table += l->count * (ids ? sizeof(*l->ids) : sizeof(*l->texts));
	/* nobody is excluded by an empty list, but nobody is eligible */
	l->given = l->count > 0 || list < MSG_EXCLUDE;
	return 0;
}

/* Copies a list that measure_list has checked. E_NOMEM. */
static int fill_list(enum serializer s, const struct msg *m, unsigned list,
		     struct filter_list *l, uint8_t **table, uint8_t **text)
{
	bool ids = holds_ids(list);
	struct token_reader r;
	struct buf scratch;
	struct token t;
	size_t n = 0;
	uint64_t id;
	int err = begin_list(s, m, list, &r);

	buf_init(&scratch, m->filter[list].len);
	l->ids = (uint64_t *)(void *)*table;
	while (err == 0 && (err = next_entry(&r, ids, &t, &id)) == 0) {
		struct slice entry;
		if (ids) {
			l->ids[n++] = id;
			continue;
		}
		buf_clear(&scratch);
		err = token_text(&t, s, &scratch, &entry);
		if (err == 0)
			l->texts[n++] = slice_store(text, entry);
	}
	buf_fini(&scratch);
	if (err != E_NOTFOUND)
		return err;
	if (ids)
		qsort(l->ids, n, sizeof(*l->ids), compare_ids);
	else
		qsort(l->texts, n, sizeof(*l->texts), compare_texts);
	*table += n * (ids ? sizeof(*l->ids) : sizeof(*l->texts));
	return 0;
}

int options_new(enum serializer s, struct msg *m, struct options **out)
{
	struct filter_list lists[MSG_FILTER_COUNT] = {{.given = false}};
	size_t table = 0, text = 0;
	bool any = false;
	int err = 0;

	*out = NULL;
	for (unsigned i = 0; i < MSG_FILTER_COUNT && err == 0; i++) {
		if ((m->filters & 1u << i) != 0)
			err = measure_list(s, m, i, &lists[i], &table, &text);
		any |= lists[i].given;
	}
	if (err != 0 || !any)
		return err;
	struct options *o = malloc(sizeof(*o) + table + text);
	if (o == NULL)
		return E_NOMEM;
	atomic_init(&o->refs, 1);
	o->size = sizeof(*o) + table + text;
	memcpy(o->lists, lists, sizeof(lists));
	uint8_t *at_table = (uint8_t *)(o + 1), *at_text = at_table + table;
	for (unsigned i = 0; i < MSG_FILTER_COUNT && err == 0; i++)
		if (o->lists[i].given)
			err = fill_list(s, m, i, &o->lists[i], &at_table, &at_text);
	if (err != 0)
		free(o);
	else
		*out = o;
	return err;
}

struct options *options_ref(struct options *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

void options_unref(struct options **op)
{
	struct options *o = *op;

	*op = NULL;
	if (o == NULL)
		return;
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
		free(o);
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

static bool has_id(const struct filter_list *l, uint64_t id)
{
	return l->count > 0 &&
	       bsearch(&id, l->ids, l->count, sizeof(id), compare_ids) != NULL;
}

static bool has_text(const struct filter_list *l, struct slice text)
{
	return l->count > 0 &&
	       bsearch(&text, l->texts, l->count, sizeof(text), compare_texts) != NULL;
}

bool options_pass(const struct options *o, const struct identity *who)
{
	const struct filter_list *l = o->lists;

	return (!l[MSG_ELIGIBLE].given || has_id(&l[MSG_ELIGIBLE], who->session)) &&
	       (!l[MSG_ELIGIBLE_AUTHID].given ||
		has_text(&l[MSG_ELIGIBLE_AUTHID], who->authid)) &&
	       (!l[MSG_ELIGIBLE_AUTHROLE].given ||
		has_text(&l[MSG_ELIGIBLE_AUTHROLE], who->authrole)) &&
	       !has_id(&l[MSG_EXCLUDE], who->session) &&
	       !has_text(&l[MSG_EXCLUDE_AUTHID], who->authid) &&
	       !has_text(&l[MSG_EXCLUDE_AUTHROLE], who->authrole);
}
