/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures and their arguments; see meta_args.h. The worker's thread. */
#include "routerd/peer/meta_args.h"

#include "common/err.h"
#include "proto/token.h"
#include "proto/uri.h"
#include "routerd/peer/testament_args.h"
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
	int err = read_arg_text(a, &uri);

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

/* Reads one keyword argument of a kill or a removal; its key was read last. */
MUSTCHECK
static int read_kill_keyword(struct meta_args *a)
{
	struct slice key;
	int err = read_arg_text(a, &key);

	if (err == 0)
		err = next_arg(a);
	if (err != 0)
		return err;
	if (slice_eq_str(key, "reason"))
		return is_null_arg(&a->token) ? 0 : read_arg_text(a, &a->kill.uri);
	if (!slice_eq_str(key, "message") || !meta_kills(a->post->procedure))
		return E_UNKNOWN;
	err = is_null_arg(&a->token) ? 0 : read_arg_text(a, &a->kill.message);
	return err == 0 && a->kill.message.len > KILL_MESSAGE_MAX ? E_LIMIT : err;
}

/* Reads the keyword argument of flush_testaments; its key was read last. */
MUSTCHECK
static int read_scope_keyword(struct meta_args *a)
{
	struct slice text;
	int err = read_arg_text(a, &text);

	if (err == 0 && !slice_eq_str(text, "scope"))
		return E_UNKNOWN;
	if (err == 0)
		err = next_arg(a);
	if (err != 0 || is_null_arg(&a->token))
		return err;
	err = read_arg_text(a, &text);
	return err != 0 ? err : testament_scope(text, &a->post->detached);
}

/* Reads one keyword argument; its key was read last. Most procedures have none. */
MUSTCHECK
static int read_keyword(struct meta_args *a)
{
	if (meta_revokes(a->post->procedure))
		return read_kill_keyword(a);
	return a->post->procedure == META_SESSION_FLUSH_TESTAMENTS ? read_scope_keyword(a)
								   : E_UNKNOWN;
}

/* Reads ArgumentsKw. */
MUSTCHECK
static int read_keywords(struct meta_args *a)
{
	int err = token_expect(&a->reader, TOKEN_MAP, &a->token);

	while (err == 0) {
		err = next_arg(a);
		if (err == 0 && a->token.type == TOKEN_END)
			return 0;
		if (err == 0)
			err = read_keyword(a);
	}
	return err;
}

static const char *expected_keywords(enum meta_procedure procedure)
{
	if (meta_kills(procedure))
		return "expected no keyword arguments except reason, a URI, and message, "
		       "a string of at most 1,024 bytes";
	if (meta_revokes(procedure))
		return "expected no keyword arguments except reason, a URI";
	return procedure == META_SESSION_FLUSH_TESTAMENTS
		       ? "expected no keyword arguments except scope: destroyed or "
			 "detached"
		       : "expected no keyword arguments";
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
	*fault_out = (struct post_error){WAMP_ERROR_INVALID_ARGUMENT,
					 expected[procedures[procedure].argument]};
	err = read_arguments(&a, args->items);
	if (err == 0 && args->items == 2) {
		fault_out->text = expected_keywords(procedure);
		err = read_keywords(&a);
	}
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
