/* SPDX-License-Identifier: Apache-2.0 */
/* Tells routers to end sessions, and remembers removals; see revoke.h. Main thread. */
#include "authd/revoke.h"

#include "authd/server.h"
#include "common/err.h"

enum { GRACE_MS = 500 }; /* added to the router's own deadline for its workers */

static void finish_revoke(struct revoke *v)
{
	v->server->counters.revoke_failures += v->result->unreachable;
	LIST_REMOVE(v, link);
	v->done(v->arg);
}

static void on_revoke_answer(const struct rpc_answer *a, void *arg)
{
	struct revoke *v = arg;
	struct auth_revoke_result res;
	bool read = a->outcome == RPC_OK &&
		    fields_read_item(a->result, &auth_revoke_result_table, &res) == 0;

	if (read) {
		v->result->sessions += res.sessions;
		v->result->pending += res.pending;
	}
	*(read && !res.partial ? &v->result->routers : &v->result->unreachable) += 1;
	if (--v->waiting == 0)
		finish_revoke(v);
}

/* Sends the revocation to a router. False if that is not possible. */
static bool push(struct revoke *v, struct client *c, struct slice params)
{
	const struct rpc_call call = {
		.method = AUTH_METHOD_REVOKE,
		.params = params,
		.timeout_ms = AUTH_REVOKE_MS + GRACE_MS,
		.cb = on_revoke_answer,
		.arg = v,
	};

	/* This router cannot revoke, so it counts as unreachable. */
	if (!c->greeted || (c->features & AUTH_FEATURE_REVOKE) == 0)
		return false;
	int err = rpc_call(c->rpc, &call, NULL);
	if (err != 0)
		log_warn(c->name, "cannot send a revocation reason=\"%s\"", err_str(err));
	return err == 0;
}

void revoke_start(struct server *s, const struct auth_revoke *what, struct revoke *v)
{
	struct admin_change *sum = v->result;
	struct client *c;
	struct buf params;

	s->counters.revokes++;
	v->server = s;
	v->waiting = 0;
	sum->sessions = sum->pending = sum->routers = sum->unreachable = 0;
	LIST_INSERT_HEAD(&s->revokes, v, link);
	buf_init(&params, AUTH_MAX_MESSAGE);
	fields_write_params(&params, &auth_revoke_table, what);
	LIST_FOREACH (c, &s->clients, link) {
		if (c->endpoint != &s->router)
			continue;
		if (params.err == 0 && push(v, c, buf_slice(&params)))
			v->waiting++;
		else
			sum->unreachable++;
	}
	buf_fini(&params);
	/* No router was asked, so no answer will come. */
	if (v->waiting == 0)
		finish_revoke(v);
}

void revokes_abandon(struct server *s)
{
	struct revoke *v;

	while ((v = LIST_FIRST(&s->revokes)) != NULL) {
		v->result->unreachable += v->waiting;
		finish_revoke(v);
	}
}

/* --- removals --- */

void removal_name_set(struct removal_name *n, struct slice name)
{
	n->len = name.len;
	memcpy(n->text, name.p, name.len);
}

static struct slice name_of_removal(const struct removal_name *n)
{
	return slice_of(n->text, n->len);
}

static void drop(struct removals *all, unsigned i)
{
	all->n--;
	memmove(&all->items[i], &all->items[i + 1], (all->n - i) * sizeof(all->items[0]));
}

void removals_keep(struct removals *all, const struct removal *removal)
{
	if (all->n == REMOVALS_KEPT)
		drop(all, 0);
	all->items[all->n++] = *removal;
}

static bool is_of(const struct removal *removal, struct slice authid, const uint8_t *key)
{
	bool of_key = removal->realm.len == 0;

	return slice_eq(name_of_removal(&removal->authid), authid) &&
	       of_key == (key != NULL) &&
	       (key == NULL || memcmp(removal->key, key, FIELD_KEY_LEN) == 0);
}

bool removals_take(struct removals *all, struct slice authid, const uint8_t *key,
		   struct removal *out)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (!is_of(&all->items[i], authid, key))
			continue;
		*out = all->items[i];
		drop(all, i);
		return true;
	}
	return false;
}

void removal_match(const struct removal *removal, struct auth_match *out)
{
	*out = (struct auth_match){.session = FIELD_NONE};
	if (removal->realm.len > 0) {
		out->authid = name_of_removal(&removal->authid);
		out->realm = name_of_removal(&removal->realm);
	} else {
		out->pubkey.there = true;
		memcpy(out->pubkey.octets, removal->key, FIELD_KEY_LEN);
	}
}
