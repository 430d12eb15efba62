/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures and their arguments; see meta_args.h. The worker's thread. */
#include "routerd/peer/meta_args.h"

#include "common/err.h"
#include "proto/token.h"
#include "proto/uri.h"
#include "routerd/post/role_set.h"

enum {
	FILTER_NAMES_MAX = 100,
	/* Each victim gets the message of a kill, so it must be short. */
	KILL_MESSAGE_MAX = 1024,
};

enum meta_argument {
	ARGUMENT_ROLES = 0, /* filter_authroles, may be absent */
	ARGUMENT_SESSION = 1,
	ARGUMENT_AUTHID = 2,
	ARGUMENT_AUTHROLE = 3,
	ARGUMENT_NONE = 4,
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
};

static const char *const expected[] = {
	[ARGUMENT_ROLES] = "expected nothing or one positional argument: a list of at "
			   "most 100 authroles",
	[ARGUMENT_SESSION] = "expected one positional argument: the id of a session",
	[ARGUMENT_AUTHID] = "expected one positional argument: an authid",
	[ARGUMENT_AUTHROLE] = "expected one positional argument: an authrole",
	[ARGUMENT_NONE] = "expected no positional arguments",
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
	const struct policy *policy;
	unsigned realm;
	struct buf *scratch; /* has room for all texts, so it does not move */
	struct post *post;
	struct revocation kill; /* if meta_kills: what was read so far */
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

/* Reads the positional argument. Its first token, or the end of Arguments, was read last.
 * What follows it is read as the end of Arguments, and must be that. */
MUSTCHECK
static int read_positional(struct meta_args *a)
{
	bool end = a->token.type == TOKEN_END;

	switch (procedures[a->post->procedure].argument) {
	case ARGUMENT_ROLES:
		return end ? 0 : read_role_filter(a);
	case ARGUMENT_SESSION:
		return token_id(&a->token, &a->post->id);
	case ARGUMENT_AUTHID:
		return read_arg_text(a, &a->kill.authid);
	case ARGUMENT_AUTHROLE:
		return read_arg_text(a, &a->kill.role);
	case ARGUMENT_NONE:
		return end ? 0 : E_TYPE;
	}
	return E_UNKNOWN;
}

/* Reads Arguments, which may be absent. */
MUSTCHECK
static int read_arguments(struct meta_args *a, unsigned items)
{
	bool end;
	int err = 0;

	a->token.type = TOKEN_END;
	if (items > 0)
		err = token_expect(&a->reader, TOKEN_ARRAY, &a->token);
	if (err == 0 && items > 0)
		err = next_arg(a);
	end = a->token.type == TOKEN_END;
	if (err == 0)
		err = read_positional(a);
	return err != 0 || end ? err : token_expect(&a->reader, TOKEN_END, &a->token);
}

/* Reads one keyword argument of a kill; its key was read last. */
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
	if (!slice_eq_str(key, "message"))
		return E_UNKNOWN;
	err = is_null_arg(&a->token) ? 0 : read_arg_text(a, &a->kill.message);
	return err == 0 && a->kill.message.len > KILL_MESSAGE_MAX ? E_LIMIT : err;
}

/* Reads ArgumentsKw. Only the procedures that kill sessions have keyword arguments. */
MUSTCHECK
static int read_keywords(struct meta_args *a)
{
	int err = token_expect(&a->reader, TOKEN_MAP, &a->token);

	while (err == 0) {
		err = next_arg(a);
		if (err == 0 && a->token.type == TOKEN_END)
			return 0;
		if (err == 0)
			err = meta_kills(a->post->procedure) ? read_kill_keyword(a)
							     : E_UNKNOWN;
	}
	return err;
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
		.kill.uri = slice_str(WAMP_CLOSE_KILLED),
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
		fault_out->text =
			meta_kills(procedure)
				? "expected no keyword arguments except reason, a "
				  "URI, and message, a string of at most 1,024 bytes"
				: "expected no keyword arguments";
		err = read_keywords(&a);
	}
	if (err != 0)
		return err == E_NOMEM ? E_NOMEM : E_VALUE;
	if (!meta_kills(procedure))
		return 0;
	if (!uri_valid(a.kill.uri)) {
		*fault_out = (struct post_error){WAMP_ERROR_INVALID_URI,
						 "reason: expected a valid URI"};
		return E_VALUE;
	}
	post->kill = revocation_new(&a.kill);
	return post->kill == NULL ? E_NOMEM : 0;
}
