/* SPDX-License-Identifier: Apache-2.0 */
/* What authctl asks: principals and keys; see proto/admin_api.h. */
#include "authd/for_admins.h"

#include "authd/revocation.h"
#include "authd/server.h"
#include "common/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	MAX_ADMINS = 16,
	PAGE_LOOKS = 500, /* principals looked at for one page, so that logins go on */
};

/* A change on its way: from the request to the answer, which may wait for routers. */
struct change {
	struct server *server;
	struct rpc_request *req;
	struct admin_change result;
	struct removal target; /* whose sessions are to end */
	bool removes;          /* the target is no more: only we know it */
};

/* --- answers ------------------------------------------------------------------------ */

static void reply_failure(struct rpc_request *req, int err)
{
	if (err == E_AGAIN)
		server_reply_error(req, AUTH_ERROR_TEMPORARY, ADMIN_ERROR_BUSY,
				   "the database is locked, try again");
	else if (err == E_NOMEM)
		server_reply_error(req, AUTH_ERROR_TEMPORARY, AUTH_ERROR_UNAVAILABLE,
				   err_str(err));
	else if (err == E_LIMIT)
		server_reply_error(req, AUTH_ERROR_INTERNAL, ADMIN_ERROR_CANNOT_WRITE,
				   "the disk is full");
	else
		server_reply_error(req, AUTH_ERROR_INTERNAL, ADMIN_ERROR_CANNOT_WRITE,
				   "the database failed, see authd's log");
}

static void reply_no_principal(struct rpc_request *req)
{
	server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_NO_SUCH_PRINCIPAL,
			   "no such principal");
}

static void reply_invalid(struct rpc_request *req, const char *what, const char *why)
{
	char text[80];

	snprintf(text, sizeof(text), "%s: %s", what, why);
	server_reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_INVALID_ARGUMENT, text);
}

static void reply_change(struct change *ch)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	admin_change_write(&b, &ch->result);
	rpc_reply(ch->req, &b);
	buf_fini(&b);
	free(ch);
}

static void on_revoked(const struct revocation_sum *sum, void *arg)
{
	struct change *ch = arg;

	ch->result.sessions = sum->sessions;
	ch->result.pending = sum->pending;
	ch->result.routers = sum->routers;
	ch->result.unreachable = sum->unreachable;
	if (ch->removes && sum->unreachable > 0 &&
	    removals_keep(&ch->server->removals, &ch->target) != 0)
		log_error(NULL, "a removal cannot be repeated authid=%s reason=\"%s\"",
			  log_quote(principal_slice(&ch->target.authid)).text,
			  err_str(E_NOMEM));
	reply_change(ch);
}

/* Ends the sessions of the change's target. */
static void revoke(struct change *ch, const char *message)
{
	struct auth_revoke v = {
		.epoch = store_epoch(ch->server->store),
		.uri = slice_str(WAMP_CLOSE_KILLED),
		.message = slice_str(message),
	};

	removal_match(&ch->target, &v.match);
	revocation_start(ch->server, &v, on_revoked, ch);
}

/* NULL: no memory, and the request is answered. */
static struct change *change_new(struct client *c, struct rpc_request *req)
{
	struct change *ch = calloc(1, sizeof(*ch));

	if (ch == NULL) {
		server_reply_error(req, AUTH_ERROR_TEMPORARY, AUTH_ERROR_UNAVAILABLE,
				   err_str(E_NOMEM));
		return NULL;
	}
	ch->server = c->server;
	ch->req = req;
	return ch;
}

/* Ends a transaction with result r, and takes it back unless r is 0. */
static int end(struct store *s, int r)
{
	if (r == 0)
		return store_commit(s);
	store_rollback(s);
	return r;
}

/* One line for each change, at the level that is always there. */
static void log_change(struct client *c, const char *what, struct slice authid,
		       bool changed)
{
	c->server->stats.changes += changed ? 1 : 0;
	log_info(c->name, "%s authid=%s uid=%d changed=%s epoch=%" PRIu64, what,
		 log_quote(authid).text, (int)c->uid, changed ? "yes" : "no",
		 store_epoch(c->server->store));
}

/* --- principal.add ------------------------------------------------------------------ */

/* In which way is there another one already? */
static const char *difference(const struct principal *old, const struct principal *new)
{
	if (!slice_eq(principal_slice(&old->realm), principal_slice(&new->realm)))
		return "exists already, with another realm";
	if (!slice_eq(principal_slice(&old->role), principal_slice(&new->role)))
		return "exists already, with another role";
	if (old->disabled != new->disabled)
		return old->disabled ? "exists already, but is disabled"
				     : "exists already, and is not disabled";
	if (!slice_eq(slice_of(old->extra, old->extra_len),
		      slice_of(new->extra, new->extra_len)))
		return "exists already, with another extra";
	return "exists already, with other keys";
}

/* Whose is the first of these keys that belongs to somebody else? */
static int key_owner(struct store *s, const struct principal *p, struct principal *out)
{
	for (unsigned i = 0; i < p->n_keys; i++) {
		int r = store_find_by_key(s, p->keys[i], out);
		if (r != E_NOTFOUND)
			return r;
	}
	return E_NOTFOUND;
}

static void reply_key_taken(struct rpc_request *req, const struct principal *owner)
{
	char text[PRINCIPAL_MAX_NAME + 64];

	snprintf(text, sizeof(text), "the key belongs to %s already", owner->authid.text);
	server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_CONFLICT, text);
}

static void reply_conflict(struct rpc_request *req, struct store *s,
			   const struct principal *p)
{
	struct principal other;

	int r = store_find(s, principal_slice(&p->authid), &other);
	if (r == 0) {
		server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_CONFLICT,
				   difference(&other, p));
		return;
	}
	if (r == E_NOTFOUND)
		r = key_owner(s, p, &other);
	if (r == 0)
		reply_key_taken(req, &other);
	else
		reply_failure(req, r);
}

static int insert(struct store *s, const struct principal *p)
{
	int r = store_begin(s);

	return r != 0 ? r : end(s, store_insert(s, p));
}

static void principal_add(struct client *c, struct rpc_request *req, struct slice params)
{
	struct store *s = c->server->store;
	struct admin_principal asked;
	struct principal p, old;
	const char *what;

	int r = admin_principal_read_params(params, &asked);
	if (r != 0) {
		server_reply_invalid(req, r);
		return;
	}
	const char *why = principal_from_admin(&p, &asked, &what);
	if (why != NULL) {
		reply_invalid(req, what, why);
		return;
	}
	struct change *ch = change_new(c, req);
	if (ch == NULL)
		return;
	p.created = (uint64_t)time(NULL);
	r = store_find(s, principal_slice(&p.authid), &old);
	if (r == 0)
		r = principal_same(&old, &p) ? 0 : E_EXISTS;
	else if (r == E_NOTFOUND) {
		r = insert(s, &p);
		ch->result.changed = r == 0;
	}
	if (r == 0) {
		log_change(c, "principal added", asked.authid, ch->result.changed);
		reply_change(ch);
		return;
	}
	free(ch);
	if (r == E_EXISTS)
		reply_conflict(req, s, &p);
	else
		reply_failure(req, r);
}

/* --- principal.list, principal.show ------------------------------------------------- */

static void write_principal(struct buf *b, const struct principal *p)
{
	struct admin_principal a;

	principal_to_admin(p, &a);
	admin_principal_write(b, &a);
}

static bool wanted(const struct principal *p, const struct admin_list *l)
{
	return (l->realm.len == 0 || slice_eq(l->realm, principal_slice(&p->realm))) &&
	       (l->role.len == 0 || slice_eq(l->role, principal_slice(&p->role)));
}

/* Fills a page; *last is the last principal looked at. E_NOTFOUND: there are no more. */
static int fill_page(struct store *s, const struct admin_list *l, struct buf *items,
		     struct principal *last)
{
	struct token_writer w;
	struct buf one;
	struct slice after = l->after;
	int r = 0;

	buf_init(&one, AUTH_MAX_MESSAGE);
	token_writer_init(&w, SERIALIZER_MSGPACK, items);
	token_put_array(&w, TOKEN_COUNT_UNKNOWN);
	for (unsigned i = 0; r == 0 && i < PAGE_LOOKS && items->len < ADMIN_PAGE; i++) {
		r = store_next(s, after, last);
		if (r != 0)
			break;
		after = principal_slice(&last->authid);
		if (!wanted(last, l))
			continue;
		buf_clear(&one);
		write_principal(&one, last);
		token_put_raw(&w, buf_slice(&one), 1);
		r = one.err;
	}
	token_put_end(&w);
	buf_fini(&one);
	return items->err != 0 ? items->err : r;
}

static void principal_list(struct client *c, struct rpc_request *req, struct slice params)
{
	struct admin_list l;
	struct admin_list_result res = {.next = {NULL, 0}};
	struct principal last = {.n_keys = 0};
	struct buf items, b;

	int r = admin_list_read(params, &l);
	if (r != 0) {
		server_reply_invalid(req, r);
		return;
	}
	buf_init(&items, AUTH_MAX_MESSAGE);
	buf_init(&b, AUTH_MAX_MESSAGE);
	r = fill_page(c->server->store, &l, &items, &last);
	if (r == 0)
		res.next = principal_slice(&last.authid);
	if (r == 0 || r == E_NOTFOUND) {
		res.items = buf_slice(&items);
		admin_list_result_write(&b, &res);
		rpc_reply(req, &b);
	} else {
		reply_failure(req, r);
	}
	buf_fini(&b);
	buf_fini(&items);
}

static void principal_show(struct client *c, struct rpc_request *req, struct slice params)
{
	struct admin_target t;
	struct principal p;
	struct buf b;

	int r = admin_target_read(params, &t);
	if (r != 0) {
		server_reply_invalid(req, r);
		return;
	}
	r = store_find(c->server->store, t.authid, &p);
	if (r == E_NOTFOUND) {
		reply_no_principal(req);
		return;
	}
	if (r != 0) {
		reply_failure(req, r);
		return;
	}
	buf_init(&b, AUTH_MAX_MESSAGE);
	write_principal(&b, &p);
	rpc_reply(req, &b);
	buf_fini(&b);
}

/* --- principal.disable, enable, remove ---------------------------------------------- */

enum fate { DISABLE = 0, ENABLE = 1, REMOVE = 2 };

/* E_NOTFOUND: there is none. *p_out is the principal as it was. */
static int apply(struct store *s, enum fate fate, struct slice authid,
		 struct principal *p_out, bool *changed_out)
{
	bool changed = true;
	int r = store_begin(s);

	if (r != 0)
		return r;
	r = store_find(s, authid, p_out);
	if (r == 0 && fate != REMOVE)
		changed = p_out->disabled != (fate == DISABLE);
	if (r == 0 && changed && fate == REMOVE)
		r = store_delete(s, authid);
	else if (r == 0 && changed)
		r = store_set_disabled(s, authid, fate == DISABLE);
	if (r == 0 && changed && fate != ENABLE)
		r = store_raise_epoch(s);
	r = end(s, r);
	if (r == 0)
		*changed_out = changed;
	return r;
}

static void decide(struct client *c, struct rpc_request *req, struct slice params,
		   enum fate fate)
{
	static const struct {
		const char *log, *message;
	} texts[] = {
		[DISABLE] = {"principal disabled", "principal disabled"},
		[ENABLE] = {"principal enabled", NULL},
		[REMOVE] = {"principal removed", "principal removed"},
	};
	struct admin_target t;
	struct principal p = {.n_keys = 0};

	int r = admin_target_read(params, &t);
	if (r != 0) {
		server_reply_invalid(req, r);
		return;
	}
	struct change *ch = change_new(c, req);
	if (ch == NULL)
		return;
	r = apply(c->server->store, fate, t.authid, &p, &ch->result.changed);
	ch->target.authid = p.authid;
	ch->target.realm = p.realm;
	ch->removes = fate == REMOVE;
	if (r == E_NOTFOUND && fate == REMOVE &&
	    removals_take(&c->server->removals, t.authid, NULL, &ch->target))
		r = 0; /* it was removed, but not every router knows */
	if (r != 0) {
		free(ch);
		if (r == E_NOTFOUND)
			reply_no_principal(req);
		else
			reply_failure(req, r);
		return;
	}
	log_change(c, texts[fate].log, t.authid, ch->result.changed);
	if (fate == ENABLE) {
		reply_change(ch);
		return;
	}
	/* also if it was disabled before: then this is the second try to reach a router
	 */
	revoke(ch, texts[fate].message);
}

static void principal_disable(struct client *c, struct rpc_request *req,
			      struct slice params)
{
	decide(c, req, params, DISABLE);
}

static void principal_enable(struct client *c, struct rpc_request *req,
			     struct slice params)
{
	decide(c, req, params, ENABLE);
}

static void principal_remove(struct client *c, struct rpc_request *req,
			     struct slice params)
{
	decide(c, req, params, REMOVE);
}

/* --- key.add, key.remove ------------------------------------------------------------ */

/* Reads params with exactly one key; false: the request is answered. */
static bool read_key_target(struct rpc_request *req, struct slice params,
			    struct admin_target *t)
{
	int r = admin_target_read(params, t);

	if (r == 0 && t->keys.n != 1)
		r = E_RANGE;
	if (r != 0)
		server_reply_invalid(req, r);
	return r == 0;
}

/* E_EXISTS: the key is somebody else's; E_RANGE: it would be one too many. */
static int add_key(struct store *s, struct slice authid, const uint8_t key[PRINCIPAL_KEY],
		   bool *changed_out)
{
	struct principal p;
	bool changed = true;

	int r = store_begin(s);
	if (r != 0)
		return r;
	r = store_find(s, authid, &p);
	if (r == 0) {
		r = principal_key_add(&p, key);
		if (r == E_LIMIT)
			r = E_RANGE; /* E_LIMIT is the disk's */
		changed = r != E_EXISTS;
	}
	if (!changed)
		r = 0;
	else if (r == 0)
		r = store_insert_key(s, authid, key);
	r = end(s, r);
	if (r == 0)
		*changed_out = changed;
	return r;
}

static void reply_key_failure(struct rpc_request *req, struct store *s, int err,
			      const uint8_t key[PRINCIPAL_KEY])
{
	struct principal owner;

	if (err == E_RANGE) {
		server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_CONFLICT,
				   "the principal has as many keys as it may");
		return;
	}
	if (err == E_EXISTS)
		err = store_find_by_key(s, key, &owner);
	if (err == 0)
		reply_key_taken(req, &owner);
	else if (err == E_NOTFOUND)
		reply_no_principal(req);
	else
		reply_failure(req, err);
}

static void key_add(struct client *c, struct rpc_request *req, struct slice params)
{
	struct store *s = c->server->store;
	struct admin_target t;

	if (!read_key_target(req, params, &t))
		return;
	const char *why = principal_key_fault(t.keys.key[0]);
	if (why != NULL) {
		reply_invalid(req, "key", why);
		return;
	}
	struct change *ch = change_new(c, req);
	if (ch == NULL)
		return;
	int r = add_key(s, t.authid, t.keys.key[0], &ch->result.changed);
	if (r != 0) {
		free(ch);
		reply_key_failure(req, s, r, t.keys.key[0]);
		return;
	}
	log_change(c, "key added", t.authid, ch->result.changed);
	reply_change(ch);
}

static int remove_key(struct store *s, struct slice authid,
		      const uint8_t key[PRINCIPAL_KEY])
{
	int r = store_begin(s);

	if (r != 0)
		return r;
	r = store_delete_key(s, authid, key);
	if (r == 0)
		r = store_raise_epoch(s);
	return end(s, r);
}

static void key_remove(struct client *c, struct rpc_request *req, struct slice params)
{
	struct store *s = c->server->store;
	struct admin_target t;
	struct principal p;

	if (!read_key_target(req, params, &t))
		return;
	struct change *ch = change_new(c, req);
	if (ch == NULL)
		return;
	int r = remove_key(s, t.authid, t.keys.key[0]);
	ch->result.changed = r == 0;
	if (r == 0) {
		/* a name that was put in by hand may break the rules: it is not kept */
		ch->removes = principal_name_set(&ch->target.authid, t.authid) == 0;
		memcpy(ch->target.key, t.keys.key[0], PRINCIPAL_KEY);
	} else if (r == E_NOTFOUND && removals_take(&c->server->removals, t.authid,
						    t.keys.key[0], &ch->target)) {
		ch->removes = true;
		r = 0; /* it was removed, but not every router knows */
	}
	if (r != 0) {
		free(ch);
		int found = r != E_NOTFOUND ? r : store_find(s, t.authid, &p);
		if (found == 0)
			server_reply_error(req, AUTH_ERROR_DENY, ADMIN_ERROR_NO_SUCH_KEY,
					   "the principal has no such key");
		else if (found == E_NOTFOUND)
			reply_no_principal(req);
		else
			reply_failure(req, found);
		return;
	}
	log_change(c, "key removed", t.authid, ch->result.changed);
	revoke(ch, "key removed");
}

static const struct method methods[] = {
	{ADMIN_PRINCIPAL_ADD, NEEDS_DATABASE, principal_add},
	{ADMIN_PRINCIPAL_LIST, NEEDS_DATABASE, principal_list},
	{ADMIN_PRINCIPAL_SHOW, NEEDS_DATABASE, principal_show},
	{ADMIN_PRINCIPAL_DISABLE, NEEDS_DATABASE, principal_disable},
	{ADMIN_PRINCIPAL_ENABLE, NEEDS_DATABASE, principal_enable},
	{ADMIN_PRINCIPAL_REMOVE, NEEDS_DATABASE, principal_remove},
	{ADMIN_KEY_ADD, NEEDS_DATABASE, key_add},
	{ADMIN_KEY_REMOVE, NEEDS_DATABASE, key_remove},
	{NULL, NEEDS_NOTHING, NULL},
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
