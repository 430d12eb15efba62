/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures and their arguments; see meta_args.h. The worker's thread. */
#include "routerd/peer/meta_args.h"

#include "common/err.h"
#include "common/timestamp.h"
#include "proto/token.h"
#include "proto/uri.h"
#include "routerd/peer/testament_args.h"
#include "routerd/post/event_page.h"
#include "routerd/post/role_set.h"

enum {
	FILTER_NAMES_MAX = 100,
	/* bytes; short, because a kill sends the message to many sessions */
	KILL_MESSAGE_MAX = 1024,
};

enum meta_argument {
	ARGUMENT_ROLES = 0, /* filter_authroles, may be absent */
	ARGUMENT_SESSION = 1,
	ARGUMENT_AUTHID = 2,
	ARGUMENT_AUTHROLE = 3,
	ARGUMENT_NONE = 4,
	ARGUMENT_REGISTRATION = 5,
	ARGUMENT_SUBSCRIPTION = 6,
	ARGUMENT_URI = 7,
	/* the id of a registration or subscription, the id of a session, and perhaps a
	 * reason */
	ARGUMENT_CALLEE = 9,
	ARGUMENT_SUBSCRIBER = 10,
	ARGUMENT_PATTERN = 8, /* a URI or pattern, and a dict with the key match */
	ARGUMENT_EVENTS =
		11, /* a subscription, and the limit if it comes from Crossbar */
};

static const struct {
	const char *name;
	enum meta_argument argument;
} procedures[META_PROCEDURE_COUNT] = {
	[META_SESSION_COUNT] = {"wamp.session.count", ARGUMENT_ROLES},
	[META_SESSION_LIST] = {"wamp.session.list", ARGUMENT_ROLES},
	[META_SESSION_GET] = {"wamp.session.get", ARGUMENT_SESSION},
	[META_SESSION_KILL] = {"wamp.session.kill", ARGUMENT_SESSION},
	[META_SESSION_KILL_BY_AUTHID] = {"wamp.session.kill_by_authid", ARGUMENT_AUTHID},
	[META_SESSION_KILL_BY_AUTHROLE] = {"wamp.session.kill_by_authrole",
					   ARGUMENT_AUTHROLE},
	[META_SESSION_KILL_ALL] = {"wamp.session.kill_all", ARGUMENT_NONE},
	[META_REGISTRATION_LIST] = {"wamp.registration.list", ARGUMENT_NONE},
	[META_REGISTRATION_LOOKUP] = {"wamp.registration.lookup", ARGUMENT_PATTERN},
	[META_REGISTRATION_MATCH] = {"wamp.registration.match", ARGUMENT_URI},
	[META_REGISTRATION_GET] = {"wamp.registration.get", ARGUMENT_REGISTRATION},
	[META_REGISTRATION_LIST_CALLEES] = {"wamp.registration.list_callees",
					    ARGUMENT_REGISTRATION},
	[META_REGISTRATION_COUNT_CALLEES] = {"wamp.registration.count_callees",
					     ARGUMENT_REGISTRATION},
	[META_SUBSCRIPTION_LIST] = {"wamp.subscription.list", ARGUMENT_NONE},
	[META_SUBSCRIPTION_LOOKUP] = {"wamp.subscription.lookup", ARGUMENT_PATTERN},
	[META_SUBSCRIPTION_MATCH] = {"wamp.subscription.match", ARGUMENT_URI},
	[META_SUBSCRIPTION_GET] = {"wamp.subscription.get", ARGUMENT_SUBSCRIPTION},
	[META_SUBSCRIPTION_LIST_SUBSCRIBERS] = {"wamp.subscription.list_subscribers",
						ARGUMENT_SUBSCRIPTION},
	[META_SUBSCRIPTION_COUNT_SUBSCRIBERS] = {"wamp.subscription.count_subscribers",
						 ARGUMENT_SUBSCRIPTION},
	/* peer/testament_args reads its arguments */
	[META_SESSION_ADD_TESTAMENT] = {"wamp.session.add_testament", ARGUMENT_NONE},
	[META_SESSION_FLUSH_TESTAMENTS] = {"wamp.session.flush_testaments",
					   ARGUMENT_NONE},
	[META_REGISTRATION_REMOVE_CALLEE] = {"wamp.registration.remove_callee",
					     ARGUMENT_CALLEE},
	[META_SUBSCRIPTION_REMOVE_SUBSCRIBER] = {"wamp.subscription.remove_subscriber",
						 ARGUMENT_SUBSCRIBER},
	[META_SUBSCRIPTION_GET_EVENTS] = {"wamp.subscription.get_events",
					  ARGUMENT_EVENTS},
};

static const char *const expected[] = {
	[ARGUMENT_ROLES] = "expected at most one positional argument: a list of at most "
			   "100 authroles",
	[ARGUMENT_SESSION] = "expected one positional argument: the id of a session",
	[ARGUMENT_AUTHID] = "expected one positional argument: an authid",
	[ARGUMENT_AUTHROLE] = "expected one positional argument: an authrole",
	[ARGUMENT_NONE] = "expected no positional arguments",
	[ARGUMENT_REGISTRATION] = "expected one positional argument: the id of a "
				  "registration",
	[ARGUMENT_SUBSCRIPTION] = "expected one positional argument: the id of a "
				  "subscription",
	[ARGUMENT_CALLEE] = "expected the id of a registration, the id of a session, and "
			    "perhaps a reason, a URI",
	[ARGUMENT_SUBSCRIBER] = "expected the id of a subscription, the id of a session, "
				"and perhaps a reason, a URI",
	[ARGUMENT_URI] = "expected one positional argument: a URI",
	[ARGUMENT_PATTERN] =
		"expected one or two positional arguments: a URI or pattern, "
		"and a dict whose key match is exact, prefix or wildcard",
	[ARGUMENT_EVENTS] = "expected the id of a subscription, and perhaps the number "
			    "of events, 1 or more",
};

enum meta_procedure meta_find_slowly(struct slice name)
{
	size_t i = 0;

	while (i < META_PROCEDURE_COUNT && !slice_eq_str(name, procedures[i].name))
		i++;
	return (enum meta_procedure)i;
}

/* A call whose arguments are being read. */
struct meta_args {
	struct token_reader reader;
	struct token token; /* read last */
	bool ended;         /* it is the end of Arguments */
	const struct policy *policy;
	unsigned realm;
	struct buf *scratch; /* has room for all texts, so it does not move */
	struct post *post;
	const char *fault;      /* what is expected where the reading has ended */
	struct revocation kill; /* if meta_revokes: what was read so far */
};

static int next_arg(struct meta_args *a)
{
	return token_next(&a->reader, &a->token);
}

/* Null counts as absent. */
static bool is_null_arg(const struct token *t)
{
	return t->type == TOKEN_NULL || t->type == TOKEN_UNDEFINED;
}

/* Reads the text whose token was read last. *out is valid as long as scratch. */
MUSTCHECK
static int read_arg_text(struct meta_args *a, struct slice *out)
{
	return a->token.type != TOKEN_STR
		       ? E_TYPE
		       : token_text(&a->token, a->reader.serializer, a->scratch, out);
}

/* Reads the names up to the end of the list. Ignores names that no role has, because no
 * session has them. */
MUSTCHECK
static int read_filter_names(struct meta_args *a, struct role_set *roles)
{
	struct slice name;

	for (unsigned n = 0; n <= FILTER_NAMES_MAX; n++) {
		int err = next_arg(a);
		if (err != 0 || a->token.type == TOKEN_END)
			return err;
		err = read_arg_text(a, &name);
		if (err != 0)
			return err;
		struct role_slot *role = policy_role_find(a->policy, a->realm, name);
		if (role != NULL)
			role_set_add(roles, role);
	}
	return E_LIMIT;
}

/* Reads filter_authroles, whose first token was read last. */
MUSTCHECK
static int read_role_filter(struct meta_args *a)
{
	struct post *post = a->post;

	if (a->token.type != TOKEN_ARRAY)
		return is_null_arg(&a->token) ? 0 : E_TYPE;
	post->roles = role_set_new(a->policy->realms[a->realm].n_slots);
	return post->roles == NULL ? E_NOMEM : read_filter_names(a, post->roles);
}

/* Reads the first token of a positional argument, or the end of Arguments. */
MUSTCHECK
static int next_positional(struct meta_args *a)
{
	int err = next_arg(a);

	a->ended = a->token.type == TOKEN_END;
	return err;
}

/* Reads a text, and makes it the URI of the post. Does not check it: if it is invalid, no
 * registration or subscription has it. */
MUSTCHECK
static int read_uri(struct meta_args *a)
{
	static const struct msg_payload nothing = {.items = 0};
	struct slice uri;
	/* a dict may have the same key twice */
	int err = a->post->payload != NULL ? E_EXISTS : read_arg_text(a, &uri);

	if (err != 0 || uri.len > WAMP_MAX_URI)
		return err != 0 ? err : E_LIMIT;
	a->post->payload = payload_new(SERIALIZER_MSGPACK, uri, nothing);
	return a->post->payload == NULL ? E_NOMEM : 0;
}

/* Reads the value of match, a name or null. Its token was read last. */
MUSTCHECK
static int read_match(struct meta_args *a)
{
	struct slice name;
	uint8_t how = MATCH_EXACT;
	int err = is_null_arg(&a->token) ? 0 : read_arg_text(a, &name);

	if (err != 0 || is_null_arg(&a->token))
		return err;
	while (how < MATCH_COUNT && !slice_eq_str(name, match_names[how]))
		how++;
	a->post->match = how;
	return how == MATCH_COUNT ? E_UNKNOWN : 0;
}

/* Reads options, whose first token was read last. As in SUBSCRIBE and REGISTER, other
 * keys are ignored. */
MUSTCHECK
static int read_match_options(struct meta_args *a)
{
	struct slice key;
	int err;

	if (a->token.type != TOKEN_MAP)
		return is_null_arg(&a->token) ? 0 : E_TYPE;
	for (;;) {
		err = next_arg(a);
		if (err != 0 || a->token.type == TOKEN_END)
			return err;
		err = read_arg_text(a, &key);
		if (err == 0 && slice_eq_str(key, "match")) {
			err = next_arg(a);
			if (err == 0)
				err = read_match(a);
		} else if (err == 0) {
			err = token_skip(&a->reader, NULL);
		}
		if (err != 0)
			return err;
	}
}

/* Reads a URI, and options if there are any. */
MUSTCHECK
static int read_pattern(struct meta_args *a)
{
	int err = read_uri(a);

	if (err == 0)
		err = next_positional(a);
	return err != 0 || a->ended ? err : read_match_options(a);
}

/* Reads two ids, and a reason if there is one. */
MUSTCHECK
static int read_removal(struct meta_args *a)
{
	int err = token_id(&a->token, &a->post->id);

	if (err == 0)
		err = next_positional(a);
	if (err == 0)
		err = token_id(&a->token, &a->kill.session);
	if (err == 0)
		err = next_positional(a);
	return err != 0 || a->ended || is_null_arg(&a->token)
		       ? err
		       : read_arg_text(a, &a->kill.uri);
}

/* Reads a limit, whose token was read last. */
MUSTCHECK
static int read_limit(struct meta_args *a)
{
	uint64_t limit = EVENT_PAGE_MAX;
	int err = is_null_arg(&a->token) ? 0 : token_id(&a->token, &limit);

	a->post->query->limit = limit < EVENT_PAGE_MAX ? (uint32_t)limit : EVENT_PAGE_MAX;
	return err;
}

/* Reads the id of a subscription, and a limit if there is one. */
MUSTCHECK
static int read_history_call(struct meta_args *a)
{
	int err = token_id(&a->token, &a->post->id);

	a->post->query = event_query_new();
	if (a->post->query == NULL)
		return E_NOMEM;
	if (err == 0)
		err = next_positional(a);
	if (err != 0 || a->ended)
		return err;
	/* Crossbar's clients expect the latest events first */
	a->post->query->reverse = true;
	a->post->query->bare = true;
	return read_limit(a);
}

/* Reads the positional arguments. The first token, or the end of Arguments, was read
 * last. */
MUSTCHECK
static int read_positional(struct meta_args *a)
{
	switch (procedures[a->post->procedure].argument) {
	case ARGUMENT_ROLES:
		return a->ended ? 0 : read_role_filter(a);
	case ARGUMENT_SESSION:
	case ARGUMENT_REGISTRATION:
	case ARGUMENT_SUBSCRIPTION:
		return token_id(&a->token, &a->post->id);
	case ARGUMENT_AUTHID:
		return read_arg_text(a, &a->kill.authid);
	case ARGUMENT_AUTHROLE:
		return read_arg_text(a, &a->kill.role);
	case ARGUMENT_NONE:
		return a->ended ? 0 : E_TYPE;
	case ARGUMENT_CALLEE:
	case ARGUMENT_SUBSCRIBER:
		return read_removal(a);
	case ARGUMENT_URI:
		return read_uri(a);
	case ARGUMENT_PATTERN:
		return read_pattern(a);
	case ARGUMENT_EVENTS:
		return read_history_call(a);
	}
	return E_UNKNOWN;
}

/* Reads Arguments, which may be absent. */
MUSTCHECK
static int read_arguments(struct meta_args *a, unsigned items)
{
	int err = 0;

	a->token.type = TOKEN_END;
	a->ended = true;
	if (items > 0)
		err = token_expect(&a->reader, TOKEN_ARRAY, &a->token);
	if (err == 0 && items > 0)
		err = next_positional(a);
	if (err == 0)
		err = read_positional(a);
	return err != 0 || a->ended ? err
				    : token_expect(&a->reader, TOKEN_END, &a->token);
}

/* --- keyword arguments --- */

/* Reads an argument of a kill or a removal, whose value's token was read last. */
MUSTCHECK
static int read_kill_keyword(struct meta_args *a, struct slice key)
{
	a->fault = meta_kills(a->post->procedure)
			   ? "expected no keyword arguments except reason, a URI, and "
			     "message, a string of at most 1,024 bytes"
			   : "expected no keyword arguments except reason, a URI";
	if (slice_eq_str(key, "reason"))
		return is_null_arg(&a->token) ? 0 : read_arg_text(a, &a->kill.uri);
	if (!slice_eq_str(key, "message") || !meta_kills(a->post->procedure))
		return E_UNKNOWN;
	int err = is_null_arg(&a->token) ? 0 : read_arg_text(a, &a->kill.message);
	return err == 0 && a->kill.message.len > KILL_MESSAGE_MAX ? E_LIMIT : err;
}

/* Reads the argument of flush_testaments, whose value's token was read last. */
MUSTCHECK
static int read_scope_keyword(struct meta_args *a, struct slice key)
{
	struct slice text;

	a->fault = "expected no keyword arguments except scope: destroyed or detached";
	if (!slice_eq_str(key, "scope"))
		return E_UNKNOWN;
	if (is_null_arg(&a->token))
		return 0;
	bool detached = false;
	int err = read_arg_text(a, &text);
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
	int err = read_arg_text(a, &text);

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
	if (is_null_arg(&a->token))
		return 0;
	switch (event_keywords[i].kind) {
	case KEYWORD_REVERSE:
		return read_reverse(a);
	case KEYWORD_LIMIT:
		return read_limit(a);
	case KEYWORD_TOPIC:
		return read_uri(a);
	case KEYWORD_TIME:
		return read_time(a, (enum time_bound)event_keywords[i].which);
	case KEYWORD_PUBLICATION:
		return token_id(&a->token,
				&a->post->query->publications[event_keywords[i].which]);
	}
	return E_UNKNOWN;
}

/* Reads ArgumentsKw. Only few procedures have keyword arguments. */
MUSTCHECK
static int read_keywords(struct meta_args *a)
{
	enum meta_procedure procedure = (enum meta_procedure)a->post->procedure;
	struct slice key;
	int err = token_expect(&a->reader, TOKEN_MAP, &a->token);

	while (err == 0) {
		a->fault = "expected a dict of keyword arguments";
		err = next_arg(a);
		if (err == 0 && a->token.type == TOKEN_END)
			return 0;
		if (err == 0)
			err = read_arg_text(a, &key);
		if (err == 0)
			err = next_arg(a);
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

static const char *default_reason(enum meta_procedure procedure)
{
	if (procedure == META_REGISTRATION_REMOVE_CALLEE)
		return WAMP_ERROR_UNREGISTERED;
	return procedure == META_SUBSCRIPTION_REMOVE_SUBSCRIBER ? WAMP_ERROR_UNSUBSCRIBED
								: WAMP_CLOSE_KILLED;
}

int meta_args_read(enum meta_procedure procedure, enum serializer s,
		   const struct msg_payload *args, const struct policy *policy,
		   unsigned realm, struct buf *scratch, struct post *post,
		   struct post_error *fault_out)
{
	struct meta_args a = {
		.policy = policy,
		.realm = realm,
		.scratch = scratch,
		.post = post,
		.kill.uri = slice_str(default_reason(procedure)),
	};
	int err;

	post->procedure = (uint8_t)procedure;
	token_reader_init(&a.reader, s, args->bytes);
	buf_clear(scratch);
	if (args->bytes.len > 0 && buf_reserve(scratch, args->bytes.len) == NULL)
		return E_NOMEM;
	a.fault = expected[procedures[procedure].argument];
	err = read_arguments(&a, args->items);
	if (err == 0 && args->items == 2)
		err = read_keywords(&a);
	*fault_out = (struct post_error){WAMP_ERROR_INVALID_ARGUMENT, a.fault};
	if (err != 0)
		return err == E_NOMEM ? E_NOMEM : E_VALUE;
	if (!meta_revokes(procedure))
		return 0;
	if (!uri_valid(a.kill.uri)) {
		*fault_out = (struct post_error){WAMP_ERROR_INVALID_URI,
						 "reason: expected a valid URI"};
		return E_VALUE;
	}
	post->kill = revocation_new(&a.kill);
	return post->kill == NULL ? E_NOMEM : 0;
}
