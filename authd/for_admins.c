/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles authctl's requests, which manage principals and keys; see proto/admin_api.h.
 * Main thread.
 */
#include "authd/server.h"
#include "common/err.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	MAX_ADMINS = 16,
	/* The most principals to examine for one page, so that a long list does not delay
	 * logins. */
	PAGE_PRINCIPALS = 500,
};

/* --- answers --- */

static void reply_failure(struct rpc_request *req, int err)
{
	static const struct {
		int err;
		enum auth_error_kind kind;
		const char *uri, *message;
	} failures[] = {
		{E_NOTFOUND, AUTH_ERROR_DENY, ADMIN_ERROR_NO_SUCH_PRINCIPAL,
		 "no such principal"},
		{E_RANGE, AUTH_ERROR_DENY, ADMIN_ERROR_CONFLICT,
		 "the principal already has 16 keys, the maximum: remove one first"},
		{E_AGAIN, AUTH_ERROR_TEMPORARY, ADMIN_ERROR_BUSY,
		 "the database is locked: try again"},
		{E_NOMEM, AUTH_ERROR_TEMPORARY, AUTH_ERROR_UNAVAILABLE, "out of memory"},
		{E_LIMIT, AUTH_ERROR_INTERNAL, ADMIN_ERROR_CANNOT_WRITE,
		 "the disk is full"},
		/* All other errors. */
		{0, AUTH_ERROR_INTERNAL, ADMIN_ERROR_CANNOT_WRITE,
		 "the database failed: see authd's log"},
	};
	size_t i = 0;

	static_assert(FIELD_MAX_KEYS == 16, "the text above names this limit");
	while (failures[i].err != err && failures[i].err != 0)
		i++;
	server_reply_error(req, failures[i].kind, failures[i].uri, failures[i].message);
}

static void reply_wrong(struct rpc_request *req, const char *what, const char *why)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: %s", what, why);
	server_reply_invalid(req, text);
}

/* Reports which principal has one of these n keys already. */
static void reply_key_taken(struct rpc_request *req, struct store *s, const uint8_t *keys,
			    unsigned n)
{
	char text[AUTH_MAX_NAME + 64];
	struct principal owner;
	int err = E_NOTFOUND;

	for (unsigned i = 0; err == E_NOTFOUND && i < n; i++)
		err = store_find_by_key(s, keys + i * FIELD_KEY_LEN, &owner);
	if (err != 0) {
		reply_failure(req, err);
		return;
	}
	snprintf(text, sizeof(text), "the key already belongs to %.*s",
		 (int)owner.is.authid.len, (const char *)owner.is.authid.p);
	server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_CONFLICT, text);
}

/*
 * Logs a change, "principal added", or that there was nothing to change, "principal
 * already added". Unlike lines that routers cause, this one has no rate limit.
 */
static void log_change(struct client *c, const char *object, const char *change,
		       struct slice authid, bool changed)
{
	c->server->counters.changes += changed ? 1 : 0;
	log_info(c->name, "%s %s%s authid=%s uid=%d epoch=%" PRIu64, object,
		 changed ? "" : "already ", change, log_quote(authid).text, (int)c->uid,
		 store_epoch(c->server->store));
}

/* --- principal.add --- */

static void add_principal(struct client *c, struct rpc_request *req, struct slice params,
			  int what)
{
	struct store *s = c->server->store;
	struct admin_change result;
	struct admin_principal p;
	struct principal old;
	const char *of;

	(void)what;
	if (!server_read(req, params, &admin_principal_table, &p))
		return;
	const char *why = principal_check(&p, &of);
	if (why != NULL) {
		reply_wrong(req, of, why);
		return;
	}
	p.created = (uint64_t)time(NULL);
	/* An added principal has no sessions, so the counts of sessions stay absent. */
	fields_init(&admin_change_table, &result);
	int err = store_find(s, p.authid, &old);
	if (err == 0) {
		/* Adding an equal principal again is not an error. */
		why = principal_difference(&old.is, &p);
	} else if (err == E_NOTFOUND) {
		err = store_begin(s);
		if (err == 0)
			err = store_end(s, store_insert(s, &p));
		result.changed = err == 0;
	}
	if (why != NULL) {
		server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_CONFLICT, why);
	} else if (err == E_EXISTS) {
		reply_key_taken(req, s, p.keys.key[0], p.keys.n);
	} else if (err != 0) {
		reply_failure(req, err);
	} else {
		log_change(c, "principal", "added", p.authid, result.changed);
		server_reply(req, &admin_change_table, &result);
	}
}

/* --- principal.list, principal.show --- */

static bool wanted(const struct admin_principal *p, const struct admin_list *l)
{
	return (l->realm.len == 0 || slice_eq(l->realm, p->realm)) &&
	       (l->role.len == 0 || slice_eq(l->role, p->role));
}

/*
 * Fills a page of a list. *last gets the last principal examined. 0: the page is full.
 * E_NOTFOUND: the list has ended.
 */
static int fill_page(struct store *s, const struct admin_list *l, struct buf *items,
		     struct principal *last)
{
	struct token_writer w;
	struct slice after = l->after;
	int err = 0;

	token_writer_init(&w, SERIALIZER_MSGPACK, items);
	token_put_array(&w, TOKEN_COUNT_UNKNOWN);
	for (unsigned i = 0; err == 0 && i < PAGE_PRINCIPALS && items->len < ADMIN_PAGE;
	     i++) {
		err = store_next(s, after, last);
		if (err != 0)
			break;
		after = last->is.authid;
		if (wanted(&last->is, l))
			fields_write(&w, &admin_principal_table, &last->is);
	}
	token_put_end(&w);
	return items->err != 0 ? items->err : err;
}

static void list(struct client *c, struct rpc_request *req, struct slice params, int what)
{
	struct admin_list l;
	struct admin_list_result res = {.next = {NULL, 0}};
	struct principal last;
	struct buf items;

	(void)what;
	if (!server_read(req, params, &admin_list_table, &l))
		return;
	buf_init(&items, AUTH_MAX_MESSAGE);
	int err = fill_page(c->server->store, &l, &items, &last);
	if (err == 0)
		/* The list may have more principals after this one. */
		res.next = last.is.authid;
	res.items = buf_slice(&items);
	if (err == 0 || err == E_NOTFOUND)
		server_reply(req, &admin_list_result_table, &res);
	else
		reply_failure(req, err);
	buf_fini(&items);
}

static void show(struct client *c, struct rpc_request *req, struct slice params, int what)
{
	struct admin_target t;
	struct principal p;

	(void)what;
	if (!server_read(req, params, &admin_target_table, &t))
		return;
	int err = store_find(c->server->store, t.authid, &p);
	if (err != 0) {
		reply_failure(req, err);
		return;
	}
	server_reply(req, &admin_principal_table, &p.is);
}

/* --- changes of a principal or of one of its keys --- */

enum change_kind {
	DISABLE = 0,
	ENABLE = 1,
	REMOVE = 2,
	ADD_KEY = 3,
	REMOVE_KEY = 4,
};

static const struct {
	const char *change; /* for the log */
	const char *reason; /* for the clients whose sessions end; else NULL */
	bool of_key;
} kinds[] = {
	[DISABLE] = {"disabled", "principal disabled", false},
	[ENABLE] = {"enabled", NULL, false},
	[REMOVE] = {"removed", "principal removed", false},
	[ADD_KEY] = {"added", NULL, true},
	[REMOVE_KEY] = {"removed", "key removed", true},
};

/*
 * A change in progress. It lives until the request is answered, which may have to wait
 * for the routers.
 */
struct change {
	struct server *server;
	struct rpc_request *req;
	enum change_kind kind;
	struct admin_change result;
	struct removal target; /* the principal or key whose sessions end */
	bool removes;          /* the target is no longer in the database */
	struct revoke revoke;
};

static void reply_change(struct change *ch)
{
	server_reply(ch->req, &admin_change_table, &ch->result);
	free(ch);
}

static void on_routers_revoked(void *arg)
{
	struct change *ch = arg;

	if (ch->removes && ch->result.unreachable > 0)
		/* The target is no longer in the database. Keep it here, so that the
		 * administrator can repeat the command. */
		removals_keep(&ch->server->removals, &ch->target);
	reply_change(ch);
}

static void revoke_sessions(struct change *ch)
{
	struct auth_revoke v = {
		.epoch = store_epoch(ch->server->store),
		.uri = slice_str(WAMP_CLOSE_KILLED),
		.message = slice_str(kinds[ch->kind].reason),
	};

	removal_match(&ch->target, &v.match);
	ch->revoke = (struct revoke){
		.result = &ch->result, .done = on_routers_revoked, .arg = ch};
	revoke_start(ch->server, &v, &ch->revoke);
}

static int add_principal_key(struct store *s, struct admin_principal *p,
			     const uint8_t key[FIELD_KEY_LEN], bool *changed_out)
{
	int err = principal_key_add(&p->keys, key);

	*changed_out = err != E_EXISTS;
	if (err == E_EXISTS)
		return 0;
	if (err == E_LIMIT)
		/* Not E_LIMIT: that stands for a full disk here. */
		return E_RANGE;
	return err != 0 ? err : store_insert_key(s, p->authid, key);
}

/*
 * Applies a change within a transaction. E_NOTFOUND: there is no such principal, or it
 * has no such key. E_EXISTS: the key belongs to another principal. E_RANGE: the principal
 * has too many keys.
 */
static int apply(struct store *s, struct change *ch, const struct admin_target *t)
{
	struct principal p;
	bool *changed = &ch->result.changed;
	int err = 0;

	*changed = true;
	if (ch->kind != REMOVE_KEY) {
		err = store_find(s, t->authid, &p);
		if (err != 0)
			return err;
		removal_name_set(&ch->target.authid, p.is.authid);
		removal_name_set(&ch->target.realm, p.is.realm);
	}
	switch (ch->kind) {
	case DISABLE:
	case ENABLE:
		*changed = p.is.disabled != (ch->kind == DISABLE);
		err = *changed ? store_set_disabled(s, t->authid, !p.is.disabled) : 0;
		break;
	case REMOVE:
		ch->removes = true;
		err = store_delete(s, t->authid);
		break;
	case ADD_KEY:
		err = add_principal_key(s, &p.is, t->keys.key[0], changed);
		break;
	case REMOVE_KEY:
		/* A name may be invalid if another program has written it to the
		 * database. Then this removal is not kept, and repeating it has no
		 * effect. */
		ch->removes = principal_name_ok(t->authid);
		if (ch->removes)
			removal_name_set(&ch->target.authid, t->authid);
		memcpy(ch->target.key, t->keys.key[0], FIELD_KEY_LEN);
		err = store_delete_key(s, t->authid, t->keys.key[0]);
		break;
	}
	if (err == 0 && *changed && kinds[ch->kind].reason != NULL)
		/* Routers then refuse logins that were decided before the change. */
		err = store_raise_epoch(s);
	return err;
}

static void reply_refusal(struct rpc_request *req, struct store *s, enum change_kind kind,
			  const struct admin_target *t, int err)
{
	struct principal p;

	if (err == E_EXISTS) {
		reply_key_taken(req, s, t->keys.key[0], 1);
		return;
	}
	if (err == E_NOTFOUND && kind == REMOVE_KEY)
		err = store_find(s, t->authid, &p);
	if (err == 0)
		server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_NO_SUCH_KEY,
				   "the principal has no such key");
	else
		reply_failure(req, err);
}

/*
 * Reads the parameters, which must have exactly one key if the change needs a key. False:
 * they are invalid, and the request has been answered with an error.
 */
static bool read_target(struct rpc_request *req, struct slice params,
			enum change_kind kind, struct admin_target *t)
{
	if (!server_read(req, params, &admin_target_table, t))
		return false;
	if (!kinds[kind].of_key)
		return true;
	if (t->keys.n != 1) {
		server_reply_invalid(req, "keys: expected exactly one key");
		return false;
	}
	const char *why = kind == ADD_KEY ? principal_key_fault(t->keys.key[0]) : NULL;
	if (why != NULL)
		reply_wrong(req, "key", why);
	return why == NULL;
}

static void change_principal(struct client *c, struct rpc_request *req,
			     struct slice params, int what)
{
	enum change_kind kind = (enum change_kind)what;
	struct store *s = c->server->store;
	struct admin_target t;

	if (!read_target(req, params, kind, &t))
		return;
	struct change *ch = calloc(1, sizeof(*ch));
	if (ch == NULL) {
		reply_failure(req, E_NOMEM);
		return;
	}
	*ch = (struct change){.server = c->server, .req = req, .kind = kind};
	fields_init(&admin_change_table, &ch->result);
	int err = store_begin(s);
	if (err == 0)
		err = store_end(s, apply(s, ch, &t));
	if (err == E_NOTFOUND && (kind == REMOVE || kind == REMOVE_KEY) &&
	    removals_take(&c->server->removals, t.authid,
			  kind == REMOVE_KEY ? t.keys.key[0] : NULL, &ch->target)) {
		/* The target was removed before, but some router has not confirmed
		 * that. Tell the routers again. */
		ch->removes = true;
		ch->result.changed = false;
		err = 0;
	}
	if (err != 0) {
		free(ch);
		reply_refusal(req, s, kind, &t, err);
		return;
	}
	log_change(c, kinds[kind].of_key ? "key" : "principal", kinds[kind].change,
		   t.authid, ch->result.changed);
	/* Do this even if nothing has changed: the administrator may be repeating the
	 * command to reach a router that has not confirmed. */
	if (kinds[kind].reason != NULL)
		revoke_sessions(ch);
	else
		reply_change(ch);
}

static const struct method methods[] = {
	{ADMIN_PRINCIPAL_ADD, NEEDS_DATABASE, add_principal, 0},
	{ADMIN_PRINCIPAL_LIST, NEEDS_DATABASE, list, 0},
	{ADMIN_PRINCIPAL_SHOW, NEEDS_DATABASE, show, 0},
	{ADMIN_PRINCIPAL_DISABLE, NEEDS_DATABASE, change_principal, DISABLE},
	{ADMIN_PRINCIPAL_ENABLE, NEEDS_DATABASE, change_principal, ENABLE},
	{ADMIN_PRINCIPAL_REMOVE, NEEDS_DATABASE, change_principal, REMOVE},
	{ADMIN_KEY_ADD, NEEDS_DATABASE, change_principal, ADD_KEY},
	{ADMIN_KEY_REMOVE, NEEDS_DATABASE, change_principal, REMOVE_KEY},
	{NULL, NEEDS_NOTHING, NULL, 0},
};

static const struct notice notices[] = {{NULL, NULL}};

const struct role for_admins = {
	.name = "admin",
	.fd_name = "admin",
	.max_clients = MAX_ADMINS,
	.limits = {.max_message = AUTH_MAX_MESSAGE,
		   .max_out = 256 * 1024,
		   .max_calls = 0,
		   .max_requests = 8},
	.methods = methods,
	.notices = notices,
};
