/* SPDX-License-Identifier: Apache-2.0 */
/* Compares our readers with independent libraries on a million mutated inputs
 * (DIFFERENTIAL_INPUTS changes the number). Both must accept or refuse, and if both
 * accept, end and values must be the same. Where a library is known to differ, a rule
 * says why; its inputs are counted. Deterministic. Include it in one file of a program.
 * One thread. */
#ifndef TESTS_UNIT_DIFFERENTIAL_H
#define TESTS_UNIT_DIFFERENTIAL_H

#include "tests/unit/codec_check.h"
#include "tests/unit/random_items.h"

#include <stdio.h>

enum verdict {
	VERDICT_ACCEPT,
	VERDICT_REFUSE,
	VERDICT_EXCLUDED, /* then one value for each rule */
	RULES_MAX = 7,
};

/* Our result for an input. */
struct ours {
	struct slice in;
	int err;
	size_t used;      /* bytes, if err is 0 */
	struct buf shown; /* the tokens as text, if err is 0 */
};

enum { N_LIBRARIES = 3 }; /* which share the inputs */

struct library {
	const char *name;
	enum serializer serializer;
	/* seeds for what random items do not contain */
	const char *const *seeds;
	size_t n_seeds;
	const char *opener, *closer; /* bytes that nest */
	/* The library's verdict, or VERDICT_EXCLUDED plus the number of a rule. For an
	 * accepted input sets *used_out, and shown_out to the values in the form of
	 * show_token; empty if they cannot be compared. */
	int (*judge)(const struct ours *ours, size_t *used_out, struct buf *shown_out);
	const char *rules[RULES_MAX];
};

static void put_double(struct buf *out, double d)
{
	struct token t = {.type = TOKEN_DOUBLE, .d = d};

	show_token(SERIALIZER_CBOR, &t, NULL, out);
}

static void put_bytes(struct buf *out, enum token_type type, const void *p, size_t len)
{
	struct token t = {.type = type, .text = slice_of(p, len)};

	show_token(SERIALIZER_CBOR, &t, NULL, out);
}

static void put_blank(struct buf *out)
{
	if (out->len > 0 && out->data[out->len - 1] != '[' &&
	    out->data[out->len - 1] != '{')
		buf_put_u8(out, ' ');
}

static void make_seed(uint64_t *rng, const struct library *l, struct buf *out)
{
	buf_clear(out);
	if (rng_below(rng, 50) == 0) {
		/* near our limit of depth */
		uint64_t depth = 60 + rng_below(rng, 10);

		for (uint64_t i = 0; i < depth; i++)
			buf_put_str(out, l->opener);
		buf_put_u8(out, '0'); /* a number in each encoding */
		for (uint64_t i = 0; i < depth; i++)
			buf_put_str(out, l->closer);
	} else if (rng_below(rng, 2) == 0) {
		struct slice seed =
			sample_bytes(l->serializer, l->seeds[rng_below(rng, l->n_seeds)]);

		buf_put_slice(out, seed);
		free_copy(seed);
	} else {
		struct token_writer w;

		token_writer_init(&w, l->serializer, out);
		random_item(rng, &w, rng_below(rng, 20));
	}
}

/* One small change: flip a bit, set a byte, remove, move or double a piece, or cut the
 * end. */
static void mutate(uint64_t *rng, struct buf *b)
{
	size_t at = b->len == 0 ? 0 : rng_below(rng, b->len);
	size_t n = b->len == 0 ? 0 : rng_below(rng, min_size(b->len - at, 8) + 1);
	uint8_t piece[8];

	if (b->len == 0)
		return;
	switch (rng_below(rng, 6)) {
	case 0:
		b->data[at] ^= (uint8_t)(1 << rng_below(rng, 8));
		break;
	case 1:
		b->data[at] = (uint8_t)rng_next(rng);
		break;
	case 2: /* remove a piece */
		memmove(b->data + at, b->data + at + n, b->len - at - n);
		b->len -= n;
		break;
	case 3: /* overwrite it with a piece from elsewhere */
		memmove(b->data + rng_below(rng, b->len - n + 1), b->data + at, n);
		break;
	case 4: /* insert a piece there */
		memcpy(piece, b->data + at, n);
		at = rng_below(rng, b->len + 1);
		if (buf_reserve(b, n) == NULL)
			return;
		memmove(b->data + at + n, b->data + at, b->len - at);
		memcpy(b->data + at, piece, n);
		buf_commit(b, n);
		break;
	default:
		b->len = at;
	}
}

static void fail_input(const struct library *l, const struct ours *ours, const char *what)
{
	struct buf hex;

	buf_init(&hex, SIZE_MAX / 4);
	put_hex(&hex, ours->in);
	/* cmocka would cut a long message */
	printf("%.*s\n", (int)hex.len, (char *)hex.data);
	fail_msg("%s: %s: we say %s", l->name, what, err_str(ours->err));
}

/* Returns the common verdict, or that of a rule. */
static int compare(const struct library *l, struct slice in)
{
	struct ours ours = {.in = in};
	struct buf theirs;
	size_t used = 0;

	buf_init(&ours.shown, SIZE_MAX / 4);
	buf_init(&theirs, SIZE_MAX / 4);
	ours.err = read_both_ways(l->serializer, in, &ours.shown, &ours.used);
	/* where a JSON number ends depends on what follows */
	if (ours.err == 0 && l->serializer == SERIALIZER_JSON)
		ours.err = read_whole(l->serializer, in, NULL);
	int verdict = l->judge(&ours, &used, &theirs);
	if (verdict < VERDICT_EXCLUDED && (verdict == VERDICT_ACCEPT) != (ours.err == 0))
		fail_input(l, &ours, "another verdict");
	if (verdict == VERDICT_ACCEPT && used != ours.used)
		fail_input(l, &ours, "another end");
	if (verdict == VERDICT_ACCEPT && theirs.len > 0 &&
	    !slice_eq(buf_slice(&ours.shown), buf_slice(&theirs)))
		fail_input(l, &ours, "another value");
	buf_fini(&ours.shown);
	buf_fini(&theirs);
	return verdict;
}

static void run(const struct library *l)
{
	const char *env = getenv("DIFFERENTIAL_INPUTS");
	unsigned long total = env == NULL ? 1000000 : strtoul(env, NULL, 10);
	unsigned long inputs = total / N_LIBRARIES + 1;
	unsigned long verdicts[VERDICT_EXCLUDED + RULES_MAX] = {0};
	uint64_t rng = UINT64_C(88172645463325252) + l->serializer;
	struct buf seed, in;

	buf_init(&seed, SIZE_MAX / 4);
	buf_init(&in, SIZE_MAX / 4);
	for (unsigned long i = 0; i < inputs; i++) {
		if (i % 16 == 0)
			make_seed(&rng, l, &seed);
		buf_clear(&in);
		buf_put_slice(&in, buf_slice(&seed));
		for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
			mutate(&rng, &in);
		verdicts[compare(l, buf_slice(&in))]++;
	}
	printf("%s: %lu inputs, %lu accepted by both, %lu refused by both\n", l->name,
	       inputs, verdicts[VERDICT_ACCEPT], verdicts[VERDICT_REFUSE]);
	for (int i = 1; i < RULES_MAX; i++)
		if (l->rules[i] != NULL)
			printf("%s: %lu excluded: %s\n", l->name,
			       verdicts[VERDICT_EXCLUDED + i], l->rules[i]);
	/* the comparison must have accepted enough inputs */
	assert_true(verdicts[VERDICT_ACCEPT] > inputs / 5);
	assert_true(verdicts[VERDICT_REFUSE] > inputs / 5);
	buf_fini(&seed);
	buf_fini(&in);
}

#endif
