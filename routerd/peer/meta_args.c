/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures and their arguments; see meta_args.h. The worker's thread. */
#include "routerd/peer/meta_args.h"

#include "common/err.h"
#include "proto/token.h"
#include "routerd/post/role_set.h"

enum { FILTER_NAMES_MAX = 100 };

enum meta_argument {
	ARGUMENT_ROLES = 0, /* filter_authroles, may be absent */
	ARGUMENT_SESSION = 1,
};

static const struct {
	const char *name;
	enum meta_argument argument;
} procedures[META_PROCEDURE_COUNT] = {
	[META_SESSION_COUNT] = {"wamp.session.count", ARGUMENT_ROLES},
	[META_SESSION_LIST] = {"wamp.session.list", ARGUMENT_ROLES},
	[META_SESSION_GET] = {"wamp.session.get", ARGUMENT_SESSION},
};

static const char *const expected[] = {
	[ARGUMENT_ROLES] = "expected nothing or one positional argument: a list of at "
			   "most 100 authroles",
	[ARGUMENT_SESSION] = "expected one positional argument: the id of a session",
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
static int read_filter_names(struct token_reader *r, const struct policy *policy,
			     unsigned realm, struct buf *scratch, struct role_set *roles)
{
	struct slice name;
	struct token t;

	for (unsigned n = 0; n <= FILTER_NAMES_MAX; n++) {
		int err = token_next(r, &t);
		if (err != 0 || t.type == TOKEN_END)
			return err;
		if (t.type != TOKEN_STR)
			return E_TYPE;
		buf_clear(scratch);
		err = token_text(&t, r->serializer, scratch, &name);
		if (err != 0)
			return err;
		struct role_slot *role = policy_role_find(policy, realm, name);
		if (role != NULL)
			role_set_add(roles, role);
	}
	return E_LIMIT;
}

/* Reads filter_authroles, whose first token is *t. Null counts as absent. */
MUSTCHECK
static int read_role_filter(struct token_reader *r, const struct token *t,
			    const struct policy *policy, unsigned realm,
			    struct buf *scratch, struct post *post)
{
	if (t->type != TOKEN_ARRAY)
		return t->type == TOKEN_NULL || t->type == TOKEN_UNDEFINED ? 0 : E_TYPE;
	post->meta.roles = role_set_new(policy->realms[realm].n_slots);
	return post->meta.roles == NULL
		       ? E_NOMEM
		       : read_filter_names(r, policy, realm, scratch, post->meta.roles);
}

/* Reads the only argument. *t is its first token, or the end of Arguments. */
MUSTCHECK
static int read_meta_argument(struct token_reader *r, const struct token *t,
			      const struct policy *policy, unsigned realm,
			      struct buf *scratch, struct post *post)
{
	if (procedures[post->meta.procedure].argument == ARGUMENT_SESSION)
		return token_id(t, &post->id);
	return t->type == TOKEN_END
		       ? 0
		       : read_role_filter(r, t, policy, realm, scratch, post);
}

MUSTCHECK
static int read_meta_args(const struct msg_payload *args, enum serializer s,
			  const struct policy *policy, unsigned realm,
			  struct buf *scratch, struct post *post)
{
	struct token t = {.type = TOKEN_END}; /* Arguments may be absent, or empty */
	struct token_reader r;
	int err = 0;

	token_reader_init(&r, s, args->bytes);
	if (args->items > 0)
		err = token_expect(&r, TOKEN_ARRAY, &t);
	if (err == 0 && args->items > 0)
		err = token_next(&r, &t);
	if (err == 0)
		err = read_meta_argument(&r, &t, policy, realm, scratch, post);
	if (err == 0 && t.type != TOKEN_END)
		err = token_expect(&r, TOKEN_END, &t);
	if (err == 0 && args->items == 2)
		err = token_expect(&r, TOKEN_MAP, &t);
	if (err == 0 && args->items == 2)
		err = token_expect(&r, TOKEN_END, &t);
	return err;
}

int meta_args_read(enum meta_procedure procedure, enum serializer s,
		   const struct msg_payload *args, const struct policy *policy,
		   unsigned realm, struct buf *scratch, struct post *post,
		   const char **fault_out)
{
	post->meta.procedure = (uint8_t)procedure;
	int err = read_meta_args(args, s, policy, realm, scratch, post);
	if (err == 0 || err == E_NOMEM)
		return err;
	*fault_out = expected[procedures[procedure].argument];
	return E_VALUE;
}
