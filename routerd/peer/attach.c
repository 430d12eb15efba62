/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's interface to its peers; see attach.h. The worker's thread. */
#include "routerd/peer/attach.h"

#include "common/err.h"
#include "proto/http.h"
#include "proto/token.h"
#include "routerd/peer/deliver.h"
#include "routerd/peer/login.h"
#include "routerd/peer/messages.h"

/* --- conn_handler --- */

static const struct {
	const char *name;
	enum serializer serializer;
	bool batched;
} subprotocols[] = {
	{"wamp.2.json", SERIALIZER_JSON, false},
	{"wamp.2.msgpack", SERIALIZER_MSGPACK, false},
	{"wamp.2.cbor", SERIALIZER_CBOR, false},
	{"wamp.2.ubjson", SERIALIZER_UBJSON, false},
	{"wamp.2.json.batched", SERIALIZER_JSON, true},
	{"wamp.2.msgpack.batched", SERIALIZER_MSGPACK, true},
	{"wamp.2.cbor.batched", SERIALIZER_CBOR, true},
	{"wamp.2.ubjson.batched", SERIALIZER_UBJSON, true},
};

/* Chooses the first subprotocol in the client's list that the listener serves. */
static const char *choose_subprotocol(struct peer *p, const struct config_listener *l,
				      const struct http_request *req)
{
	struct http_list it = {0};
	struct slice name;

	while (http_list_next(req, "sec-websocket-protocol", &it, &name)) {
		for (size_t i = 0; i < ARRAY_LEN(subprotocols); i++) {
			if (!slice_eq_str(name, subprotocols[i].name) ||
			    !(l->serializers >> subprotocols[i].serializer & 1))
				continue;
			p->serializer = (uint8_t)subprotocols[i].serializer;
			p->batched = subprotocols[i].batched;
			p->separator = 0x1e;
			return subprotocols[i].name;
		}
	}
	return NULL;
}

/*
 * Says why an upgrade was refused, and which subprotocols are served. The text is in a
 * scratch buffer.
 */
static const char *no_subprotocol(const struct peer_listener *l,
				  const struct http_request *req)
{
	struct http_list it = {0};
	struct slice any;
	bool asked = http_list_next(req, "sec-websocket-protocol", &it, &any);
	struct buf *b = &l->peers->out;

	buf_clear(b);
	buf_put_str(b,
		    asked ? "None of the requested subprotocols is supported; supported:"
			  : "Sec-WebSocket-Protocol is missing; supported:");
	for (size_t i = 0; i < ARRAY_LEN(subprotocols); i++)
		if (l->conf->serializers >> subprotocols[i].serializer & 1)
			buf_printf(b, " %s", subprotocols[i].name);
	buf_put_u8(b, '\0');
	return b->err == 0 ? (const char *)b->data : "out of memory";
}

/* Attaches a peer to a connection that an HTTP request opens. As conn_handler.upgrade. */
static int attach(struct peer *p, struct conn *c, const struct http_request *req,
		  const char *subprotocol, const char **text_out)
{
	const struct peer_listener *l = conn_conf(c)->user;

	/* refuse before the upgrade, with 503: clients then try again later */
	if (!peers_login_possible(l->peers, l->conf)) {
		*text_out = "Too many logins are waiting. Try again.";
		return HTTP_UNAVAILABLE;
	}
	p->conn = c;
	p->peers = l->peers;
	if (login_begin(p, l->conf, req) != 0 || peers_add(p->peers, p) != 0) {
		login_free(p);
		*text_out = "Out of memory. Try again.";
		return HTTP_UNAVAILABLE;
	}
	*text_out = subprotocol;
	return 0;
}

static int on_upgrade(struct conn *c, const struct http_request *req,
		      const char **text_out)
{
	struct peer *p = conn_user(c);
	const struct peer_listener *l = conn_conf(c)->user;

	/* browsers always send an Origin; other clients are not restricted */
	if (req->has_origin && !config_origin_allowed(l->conf, req->origin)) {
		*text_out = "This Origin is not in allowed_origins.";
		return HTTP_FORBIDDEN;
	}
	const char *subprotocol = choose_subprotocol(p, l->conf, req);
	if (subprotocol == NULL) {
		*text_out = no_subprotocol(l, req);
		return HTTP_BAD_REQUEST;
	}
	int status = attach(p, c, req, subprotocol, text_out);
	if (status == 0 && p->batched)
		conn_join_frames(c);
	return status;
}

static int on_rawsocket(struct conn *c, unsigned serializer)
{
	struct peer *p = conn_user(c);
	const struct peer_listener *l = conn_conf(c)->user;

	/* RawSocket numbers the serializers in the order of enum serializer, but from
	 * 1 */
	if (serializer < 1 || serializer > SERIALIZER_COUNT ||
	    !(l->conf->serializers >> (serializer - 1) & 1))
		return RAWSOCKET_SERIALIZER;
	if (!peers_login_possible(l->peers, l->conf))
		return RAWSOCKET_CONNECTIONS;
	p->raw = true;
	p->serializer = (uint8_t)(serializer - 1);
	p->conn = c;
	p->peers = l->peers;
	return peers_add(p->peers, p) == 0 ? RAWSOCKET_OK : RAWSOCKET_CONNECTIONS;
}

/*
 * Reads the rest of a list of subprotocols, and chooses the first one that the listener
 * serves. Batches are for WebSocket only.
 */
static int read_protocols(struct token_reader *r, struct peer *p,
			  const struct config_listener *l, const char **chosen)
{
	struct token t;
	int err;

	while ((err = token_next(r, &t)) == 0 && t.type == TOKEN_STR) {
		for (size_t i = 0; i < ARRAY_LEN(subprotocols) && *chosen == NULL; i++) {
			if (subprotocols[i].batched ||
			    !slice_eq_str(t.text, subprotocols[i].name) ||
			    !(l->serializers >> subprotocols[i].serializer & 1))
				continue;
			p->serializer = (uint8_t)subprotocols[i].serializer;
			*chosen = subprotocols[i].name;
		}
	}
	return err == 0 && t.type != TOKEN_END ? E_TYPE : err;
}

/* Reads {"protocols": [...]}. NULL: it is malformed, or no protocol is served. */
static const char *choose_longpoll(struct peer *p, const struct config_listener *l,
				   struct slice body)
{
	const char *chosen = NULL;
	struct token_reader r;
	struct token t;
	int err;

	token_reader_init(&r, SERIALIZER_JSON, body);
	err = token_expect(&r, TOKEN_MAP, &t);
	while (err == 0 && (err = token_next(&r, &t)) == 0 && t.type != TOKEN_END) {
		if (!slice_eq_str(t.text, "protocols"))
			err = token_skip(&r, NULL);
		else if ((err = token_expect(&r, TOKEN_ARRAY, &t)) == 0)
			err = read_protocols(&r, p, l, &chosen);
	}
	return err == 0 && token_end(&r) == 0 ? chosen : NULL;
}

static bool on_origin(const struct conn_conf *conf, const struct http_request *req)
{
	const struct peer_listener *l = conf->user;

	return config_origin_allowed(l->conf, req->origin);
}

static int on_longpoll(struct conn *c, const struct http_request *req, struct slice body,
		       const char **text_out)
{
	struct peer *p = conn_user(c);
	const struct peer_listener *l = conn_conf(c)->user;
	const char *protocol = choose_longpoll(p, l->conf, body);

	if (protocol == NULL) {
		*text_out = "The body must be {\"protocols\": [...]}, with a supported "
			    "protocol, such as wamp.2.json.";
		return HTTP_BAD_REQUEST;
	}
	/* its messages are framed as for RawSocket */
	p->raw = true;
	return attach(p, c, req, protocol, text_out);
}

static void on_message(struct conn *c, struct slice bytes, bool text)
{
	struct peer *p = conn_user(c);

	/* RawSocket and long-poll do not mark messages as text or binary */
	messages_read(p, bytes, p->raw ? p->serializer == SERIALIZER_JSON : text);
}

static void on_conn_closed(struct conn *c)
{
	struct peer *p = conn_user(c);

	peer_gone(p, conn_end_str(conn_end(c)));
	peers_remove(p->peers, p);
}

const struct conn_handler attach_handler = {
	.user_size = sizeof(struct peer),
	.page = "This is a WAMP router. Connect to it with a WAMP client, by WebSocket.",
	.upgrade = on_upgrade,
	.rawsocket = on_rawsocket,
	.longpoll = on_longpoll,
	.origin_allowed = on_origin,
	.message = on_message,
	.closed = on_conn_closed,
};

/* --- from the worker --- */

void attach_post(struct peers *ps, struct post *post)
{
	struct peer *p = peers_find(ps, post->session);

	if (p == NULL)
		peers_count(ps, PEER_POSTS_STALE);
	else
		deliver(p, post);
	post_drop(post);
}

/* True if the revocation ends this peer, and no earlier one has. */
static bool concerns(const struct revocation *revocation, const struct peer *p)
{
	if (p->revoked)
		return false;
	if (p->state == PEER_JOINED)
		return revocation_matches(revocation, p->identity);
	return (p->state == PEER_CHALLENGED || p->state == PEER_JOINING) &&
	       login_concerned(p, revocation);
}

struct revocation_counts attach_revoke(struct peers *ps, struct revocation *revocation)
{
	struct revocation_counts n = {0};

	decisions_forget(&ps->decisions, revocation);
	if (revocation->decisions_only)
		return n;
	/* remember the revocation even if nobody matches: an answer to an older question
	 * may still come */
	revocations_add(&ps->revocations, revocation, loop_now_ms(ps->loop));
	for (uint32_t i = 0; i < ps->n_slots; i++) {
		struct peer *p = ps->slots[i].peer;
		if (p == NULL || !concerns(revocation, p))
			continue;
		if (p->state == PEER_JOINED)
			n.sessions++;
		else
			n.pending++;
		if (revocation->dry_run)
			continue;
		/* In states JOINED and JOINING, the owner's KILLED or JOIN_REFUSED ends
		 * the peer. Until then a second revocation must not count it again. */
		p->revoked = true;
		if (p->state == PEER_CHALLENGED)
			login_revoked(p, revocation);
	}
	return n;
}

bool attach_verify_some(struct peers *ps)
{
	struct login *lg;

	revocations_expire(&ps->revocations, loop_now_ms(ps->loop));
	while ((lg = TAILQ_FIRST(&ps->to_verify)) != NULL) {
		/* Verifying is expensive, and many clients may log in at once. */
		if (budget_crypto_spent(&ps->net->budget))
			return true;
		TAILQ_REMOVE(&ps->to_verify, lg, to_verify);
		lg->queued = false;
		peers_count(ps, PEER_VERIFIES);
		lg->method->verify(lg->peer);
	}
	return false;
}

void attach_reload(struct peers *ps, struct post *p)
{
	/* Worker 0 waits for POST_RELOADED before it sends the next policy. */
	ASSERT(ps->reload.mail == NULL);
	policy_unref(&ps->policy);
	ps->policy = p->policy;
	p->policy = NULL;
	ps->reload = (struct peers_reload){.mail = p->mail};
	p->mail = NULL;
}

/*
 * The identity of a peer that has a session, or a login with a known role. NULL
 * otherwise, and in state LEAVING, because that session ends anyway.
 */
static const struct identity *identity_with_role(const struct peer *p)
{
	if (p->state == PEER_CHALLENGED)
		return p->login->identity;
	return p->state == PEER_JOINING || p->state == PEER_JOINED ? p->identity : NULL;
}

/*
 * Applies the new policy to a peer: ends its session or login if its role is gone. A
 * login whose role still exists gets the role's rights when it joins.
 */
static void apply_policy(struct peers *ps, struct peer *p)
{
	const struct identity *i = identity_with_role(p);
	struct rights *rights =
		i == NULL ? NULL : policy_rights(ps->policy, i->realm, i->role);

	if (i == NULL)
		return;
	if (p->state == PEER_JOINED && rights != NULL) {
		rights_unref(&p->rights);
		p->rights = rights_ref(rights);
		p->policy_generation = (uint32_t)ps->policy->generation;
	} else if (p->state == PEER_JOINED) {
		ps->reload.ended.sessions++;
		peer_role_gone(p);
	} else if (rights == NULL) {
		ps->reload.ended.pending++;
		login_role_gone(p);
	}
}

bool attach_reload_some(struct peers *ps)
{
	enum { PEERS_PER_CHECK = 16 }; /* peers between two checks of the clock */
	struct peers_reload *r = &ps->reload;
	uint64_t deadline = 0;

	for (; r->next < ps->n_slots; r->next++) {
		if (r->next % PEERS_PER_CHECK == 0) {
			uint64_t now = clock_now_ns();
			if (deadline == 0)
				deadline = now + 1000000;
			else if (now >= deadline)
				return true;
		}
		if (ps->slots[r->next].peer != NULL)
			apply_policy(ps, ps->slots[r->next].peer);
	}
	return false;
}

void attach_reload_end(struct peers *ps, uint32_t revoked)
{
	struct peers_reload *r = &ps->reload;

	ASSERT(r->mail != NULL && r->next >= ps->n_slots);
	/* No peer has the old rights any more, so nobody would find these decisions. */
	decisions_clear(&ps->decisions);
	post_send_reserved(ps->outbox, 0,
			   &(struct post){
				   .type = POST_RELOADED,
				   .id = ps->policy->generation,
				   .counts = r->ended,
				   .revoked = revoked,
			   },
			   &r->mail);
}
