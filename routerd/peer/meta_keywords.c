/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyword arguments of meta procedures; see meta_arg.h. The worker's thread.
 */
#include "routerd/peer/meta_arg.h"

#include "common/err.h"
#include "common/timestamp.h"
#include "routerd/peer/testament_args.h"
#include "routerd/post/event_page.h"

/* Reads an argument of a kill or a removal, whose value's token was read last. */
MUSTCHECK
static int read_kill_keyword(struct meta_args *a, struct slice key)
{
	a->fault = meta_kills(a->post->procedure)
			   ? "expected no keyword arguments except reason, a URI, and "
			     "message, a string of at most 1,024 bytes"
			   : "expected no keyword arguments except reason, a URI";
	if (slice_eq_str(key, "reason"))
		return meta_arg_reason(a);
	if (!slice_eq_str(key, "message") || !meta_kills(a->post->procedure))
		return E_UNKNOWN;
	return meta_arg_message(a);
}

/* Reads the argument of flush_testaments, whose value's token was read last. */
MUSTCHECK
static int read_scope_keyword(struct meta_args *a, struct slice key)
{
	struct slice text;

	a->fault = "expected no keyword arguments except scope: destroyed or detached";
	if (!slice_eq_str(key, "scope"))
		return E_UNKNOWN;
	if (meta_arg_is_null(&a->token))
		return 0;
	bool detached = false;
	int err = meta_arg_text(a, &text);
	if (err == 0)
		err = testament_scope(text, &detached);
	a->post->detached = detached;
	return err;
}

enum time_bound {
	TIME_FROM = 0,
	TIME_AFTER = 1,
	TIME_BEFORE = 2,
	TIME_UNTIL = 3,
};

/*
 * Reads a time, and narrows the query. Events have times in whole milliseconds, so each
 * bound becomes a first or a last millisecond.
 */
MUSTCHECK
static int read_time(struct meta_args *a, enum time_bound bound)
{
	struct event_query *q = a->post->query;
	struct slice text;
	int64_t ms = 0;
	bool between = false;
	int err = meta_arg_text(a, &text);

	if (err == 0)
		err = timestamp_read(text, &ms, &between);
	if (err != 0)
		return err;
	if (bound == TIME_AFTER || (bound == TIME_FROM && between))
		ms++;
	if (bound == TIME_BEFORE && !between)
		ms--;
	/* no event is older than 1970 */
	if (bound <= TIME_AFTER && ms > 0 && (uint64_t)ms > q->first_ms)
		q->first_ms = (uint64_t)ms;
	if (bound >= TIME_BEFORE && ms < 0)
		q->last_ms = 0;
	else if (bound >= TIME_BEFORE && (uint64_t)ms < q->last_ms)
		q->last_ms = (uint64_t)ms;
	return 0;
}

MUSTCHECK
static int read_reverse(struct meta_args *a)
{
	if (a->token.type != TOKEN_BOOL)
		return E_TYPE;
	a->post->query->reverse = a->token.b;
	return 0;
}

enum event_keyword {
	KEYWORD_REVERSE = 0,
	KEYWORD_LIMIT = 1,
	KEYWORD_TOPIC = 2,
	KEYWORD_TIME = 3,        /* which: enum time_bound */
	KEYWORD_PUBLICATION = 4, /* which: enum event_bound */
};

#define EXPECTED_TIME(name) name ": expected a time, such as 2026-11-29T10:13:44.123Z"
#define EXPECTED_ID(name)   name ": expected the id of a publication"
static const struct {
	const char *name;
	enum event_keyword kind;
	unsigned which;
	const char *expected;
} event_keywords[] = {
	{"reverse", KEYWORD_REVERSE, 0, "reverse: expected true or false"},
	{"limit", KEYWORD_LIMIT, 0, "limit: expected an integer, 1 or more"},
	{"topic", KEYWORD_TOPIC, 0, "topic: expected a URI"},
	{"from_time", KEYWORD_TIME, TIME_FROM, EXPECTED_TIME("from_time")},
	{"after_time", KEYWORD_TIME, TIME_AFTER, EXPECTED_TIME("after_time")},
	{"before_time", KEYWORD_TIME, TIME_BEFORE, EXPECTED_TIME("before_time")},
	{"until_time", KEYWORD_TIME, TIME_UNTIL, EXPECTED_TIME("until_time")},
	{"from_publication", KEYWORD_PUBLICATION, EVENT_FROM,
	 EXPECTED_ID("from_publication")},
	{"after_publication", KEYWORD_PUBLICATION, EVENT_AFTER,
	 EXPECTED_ID("after_publication")},
	{"before_publication", KEYWORD_PUBLICATION, EVENT_BEFORE,
	 EXPECTED_ID("before_publication")},
	{"until_publication", KEYWORD_PUBLICATION, EVENT_UNTIL,
	 EXPECTED_ID("until_publication")},
};

/* Reads an argument of get_events, whose value's token was read last. */
MUSTCHECK
static int read_event_keyword(struct meta_args *a, struct slice key)
{
	size_t i = 0;

	while (i < ARRAY_LEN(event_keywords) &&
	       !slice_eq_str(key, event_keywords[i].name))
		i++;
	if (i == ARRAY_LEN(event_keywords)) {
		a->fault = "expected no keyword arguments except reverse, limit, topic, "
			   "and from_, after_, before_ or until_ with time or "
			   "publication";
		return E_UNKNOWN;
	}
	a->fault = event_keywords[i].expected;
	if (meta_arg_is_null(&a->token))
		return 0;
	switch (event_keywords[i].kind) {
	case KEYWORD_REVERSE:
		return read_reverse(a);
	case KEYWORD_LIMIT:
		return meta_arg_limit(a);
	case KEYWORD_TOPIC:
		return meta_arg_uri(a);
	case KEYWORD_TIME:
		return read_time(a, (enum time_bound)event_keywords[i].which);
	case KEYWORD_PUBLICATION:
		return token_id(&a->token,
				&a->post->query->publications[event_keywords[i].which]);
	}
	return E_UNKNOWN;
}

/* Reads ArgumentsKw. Only few procedures have keyword arguments. */
int meta_read_keywords(struct meta_args *a)
{
	enum meta_procedure procedure = (enum meta_procedure)a->post->procedure;
	struct slice key;
	int err = token_expect(&a->reader, TOKEN_MAP, &a->token);

	while (err == 0) {
		a->fault = "expected a dict of keyword arguments";
		err = meta_next_arg(a);
		if (err == 0 && a->token.type == TOKEN_END)
			return 0;
		if (err == 0)
			err = meta_arg_text(a, &key);
		if (err == 0)
			err = meta_next_arg(a);
		if (err != 0)
			return err;
		if (meta_revokes(procedure)) {
			err = read_kill_keyword(a, key);
		} else if (procedure == META_SUBSCRIPTION_GET_EVENTS) {
			err = read_event_keyword(a, key);
		} else if (procedure == META_SESSION_FLUSH_TESTAMENTS) {
			err = read_scope_keyword(a, key);
		} else {
			a->fault = "expected no keyword arguments";
			err = E_UNKNOWN;
		}
	}
	return err;
}
