/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta procedures and their positional arguments; see meta_args.h. The worker's
 * thread.
 */
#include "routerd/peer/meta_args.h"

#include "common/err.h"
#include "proto/uri.h"
#include "routerd/peer/meta_arg.h"
#include "routerd/post/event_page.h"
#include "routerd/post/role_set.h"

enum { FILTER_NAMES_MAX = 100 };

enum meta_argument {
	ARGUMENT_ROLES = 0, /* filter_authroles, may be absent */
	ARGUMENT_SESSION = 1,
	ARGUMENT_AUTHID = 2,
	ARGUMENT_AUTHROLE = 3,
	ARGUMENT_NONE = 4,
	ARGUMENT_REGISTRATION = 5,
	ARGUMENT_SUBSCRIPTION = 6,
	ARGUMENT_URI = 7,
	ARGUMENT_PATTERN = 8, /* a URI or pattern, and a dict with the key match */
	/* the id of a registration or subscription, the id of a session, and optionally a
	 * reason */
	ARGUMENT_CALLEE = 9,
	ARGUMENT_SUBSCRIBER = 10,
	/* the id of a subscription; clients of Crossbar add the limit */
	ARGUMENT_EVENTS = 11,
	/* the id of a session; clients of Crossbar add a reason and a message, also to
	 * AUTHID and AUTHROLE */
	ARGUMENT_VICTIM = 12,
};

static const struct {
	const char *name;
	enum meta_argument argument;
} procedures[META_PROCEDURE_COUNT] = {
	[META_SESSION_COUNT] = {"wamp.session.count", ARGUMENT_ROLES},
	[META_SESSION_LIST] = {"wamp.session.list", ARGUMENT_ROLES},
	[META_SESSION_GET] = {"wamp.session.get", ARGUMENT_SESSION},
	[META_SESSION_KILL] = {"wamp.session.kill", ARGUMENT_VICTIM},
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

#define OPTIONAL_REASON                                                                  \
	", and optionally a reason, which is a URI, and a message of at most 1,024 "     \
	"bytes"
static const char *const expected[] = {
	[ARGUMENT_ROLES] = "expected at most one positional argument: a list of at most "
			   "100 authroles",
	[ARGUMENT_SESSION] = "expected one positional argument: the id of a session",
	[ARGUMENT_VICTIM] = "expected the id of a session" OPTIONAL_REASON,
	[ARGUMENT_AUTHID] = "expected an authid" OPTIONAL_REASON,
	[ARGUMENT_AUTHROLE] = "expected an authrole" OPTIONAL_REASON,
	[ARGUMENT_NONE] = "expected no positional arguments",
	[ARGUMENT_REGISTRATION] = "expected one positional argument: the id of a "
				  "registration",
	[ARGUMENT_SUBSCRIPTION] = "expected one positional argument: the id of a "
				  "subscription",
	[ARGUMENT_CALLEE] = "expected the id of a registration, the id of a session, and "
			    "optionally a reason, which is a URI",
	[ARGUMENT_SUBSCRIBER] = "expected the id of a subscription, the id of a session, "
				"and optionally a reason, which is a URI",
	[ARGUMENT_URI] = "expected one positional argument: a URI",
	[ARGUMENT_PATTERN] =
		"expected one or two positional arguments: a URI or pattern, "
		"and a dict whose key match is exact, prefix or wildcard",
	[ARGUMENT_EVENTS] = "expected the id of a subscription, and optionally the "
			    "number of events, 1 or more",
};

enum meta_procedure meta_find_slowly(struct slice name)
{
	size_t i = 0;

	while (i < META_PROCEDURE_COUNT && !slice_eq_str(name, procedures[i].name))
		i++;
	return (enum meta_procedure)i;
}

/* Reads the names up to the end of the list. Ignores names that no role has, because no
 * session has them. */
MUSTCHECK
static int read_filter_names(struct meta_args *a, struct role_set *roles)
{
	struct slice name;

	for (unsigned n = 0; n <= FILTER_NAMES_MAX; n++) {
		int err = meta_next_arg(a);
		if (err != 0 || a->token.type == TOKEN_END)
			return err;
		err = meta_arg_text(a, &name);
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
		return meta_arg_is_null(&a->token) ? 0 : E_TYPE;
	post->roles = role_set_new(a->policy->realms[a->realm].n_slots);
	return post->roles == NULL ? E_NOMEM : read_filter_names(a, post->roles);
}

/* Reads the first token of a positional argument, or the end of Arguments. */
MUSTCHECK
static int next_positional(struct meta_args *a)
{
	int err = meta_next_arg(a);

	a->ended = a->token.type == TOKEN_END;
	return err;
}

/* Reads the value of match, a name or null. Its token was read last. */
MUSTCHECK
static int read_match(struct meta_args *a)
{
	struct slice name;
	uint8_t how = MATCH_EXACT;
	int err = meta_arg_is_null(&a->token) ? 0 : meta_arg_text(a, &name);

	if (err != 0 || meta_arg_is_null(&a->token))
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
		return meta_arg_is_null(&a->token) ? 0 : E_TYPE;
	for (;;) {
		err = meta_next_arg(a);
		if (err != 0 || a->token.type == TOKEN_END)
			return err;
		err = meta_arg_text(a, &key);
		if (err == 0 && slice_eq_str(key, "match")) {
			err = meta_next_arg(a);
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
	int err = meta_arg_uri(a);

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
	return err != 0 || a->ended ? err : meta_arg_reason(a);
}

/* Reads a reason and a message behind the argument that says whom to kill. Each may be
 * missing. */
MUSTCHECK
static int read_reason_and_message(struct meta_args *a)
{
	int err = next_positional(a);

	if (err == 0 && !a->ended) {
		err = meta_arg_reason(a);
		if (err == 0)
			err = next_positional(a);
	}
	return err != 0 || a->ended ? err : meta_arg_message(a);
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
	return meta_arg_limit(a);
}

/* Reads the positional arguments. The first token, or the end of Arguments, was read
 * last. */
MUSTCHECK
static int read_positional(struct meta_args *a)
{
	int err;

	switch (procedures[a->post->procedure].argument) {
	case ARGUMENT_ROLES:
		return a->ended ? 0 : read_role_filter(a);
	case ARGUMENT_SESSION:
	case ARGUMENT_REGISTRATION:
	case ARGUMENT_SUBSCRIPTION:
		return token_id(&a->token, &a->post->id);
	case ARGUMENT_VICTIM:
		err = token_id(&a->token, &a->post->id);
		return err != 0 ? err : read_reason_and_message(a);
	case ARGUMENT_AUTHID:
		err = meta_arg_text(a, &a->kill.authid);
		return err != 0 ? err : read_reason_and_message(a);
	case ARGUMENT_AUTHROLE:
		err = meta_arg_text(a, &a->kill.role);
		return err != 0 ? err : read_reason_and_message(a);
	case ARGUMENT_NONE:
		return a->ended ? 0 : E_TYPE;
	case ARGUMENT_CALLEE:
	case ARGUMENT_SUBSCRIBER:
		return read_removal(a);
	case ARGUMENT_URI:
		return meta_arg_uri(a);
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
		err = meta_read_keywords(&a);
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
