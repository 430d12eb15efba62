/* SPDX-License-Identifier: Apache-2.0 */
/* WAMP on one connection: upgrade, states, answers; see peer.h. Messages:
 * peer/messages.c. */
#include "routerd/peer/peer.h"

#include "common/err.h"
#include "proto/auth_api.h"
#include "proto/http.h"
#include "routerd/login.h"
#include "routerd/outbox.h"
#include "routerd/peer/login.h"
#include "routerd/peer/messages.h"

#include <stdio.h>
#include <stdlib.h>

#define BIT(s) (1u << (s))

/* From which states each may be entered. CLOSING: from any, once. */
static const unsigned may_follow[PEER_STATE_COUNT] = {
	[PEER_NEW] = BIT(PEER_LEAVING),
	[PEER_AUTH_WAIT] = BIT(PEER_NEW),
	[PEER_CHALLENGED] = BIT(PEER_AUTH_WAIT),
	[PEER_JOINING] = BIT(PEER_NEW) | BIT(PEER_CHALLENGED),
	[PEER_JOINED] = BIT(PEER_JOINING),
	[PEER_LEAVING] = BIT(PEER_JOINED),
	[PEER_CLOSING] = BIT(PEER_NEW) | BIT(PEER_AUTH_WAIT) | BIT(PEER_CHALLENGED) |
			 BIT(PEER_JOINING) | BIT(PEER_JOINED) | BIT(PEER_LEAVING),
};

void peer_set_state(struct peer *p, enum peer_state to)
{
	ASSERT(may_follow[to] & BIT(p->state));
	p->state = (uint8_t)to;
}

unsigned peer_wire_kind(const struct peer *p)
{
	unsigned how = p->raw ? 3 : !p->batched ? 0 : p->separator == 0x18 ? 1 : 2;

	return p->serializer * 4u + how;
}

static enum framing framing_of(const struct peer *p)
{
	return p->raw                             ? FRAMING_RAWSOCKET
	       : p->serializer == SERIALIZER_JSON ? FRAMING_WS_TEXT
						  : FRAMING_WS_BINARY;
}

/* Begins a message behind what is in out, with room for the head of its frame. */
static void begin_message(const struct peer *p, struct buf *out, size_t room)
{
	if (buf_reserve(out, room) != NULL)
		buf_commit(out, room);
	if (p->batched)
		batch_begin(out, p->serializer);
}

/* Ends the message that begins at body: all of its frame but the head. */
static int end_message(const struct peer *p, struct buf *out, size_t body,
		       size_t *len_out)
{
	if (p->batched)
		batch_end(out, p->serializer, body, p->separator);
	if (out->err != 0)
		return out->err;
	*len_out = out->len - body;
	return p->raw && *len_out > RAWSOCKET_MAX_LEN ? E_LIMIT : 0;
}

struct buf *peer_begin(struct peer *p)
{
	struct buf *out = &p->peers->out;

	buf_clear(out);
	begin_message(p, out, FRAME_HEAD_MAX);
	return out;
}

int peer_send(struct peer *p)
{
	struct buf *out = &p->peers->out;
	uint8_t head[FRAME_HEAD_MAX];
	size_t len;
	int err = end_message(p, out, FRAME_HEAD_MAX, &len);

	if (err != 0)
		return err;
	if (len > conn_send_max(p->conn))
		return E_LIMIT;
	size_t head_len = frame_head(framing_of(p), len, head);
	uint8_t *start = out->data + FRAME_HEAD_MAX - head_len;
	memcpy(start, head, head_len);
	conn_send(p->conn, slice_of(start, head_len + len));
	return 0;
}

size_t peer_begin_frame(const struct peer *p, struct buf *out, size_t about)
{
	size_t room = frame_head_len(framing_of(p), about);

	begin_message(p, out, room);
	return room;
}

int peer_end_frame(const struct peer *p, struct buf *out, size_t start, size_t room,
		   size_t *len_out)
{
	size_t len;
	int err = end_message(p, out, start + room, &len);

	if (err != 0)
		return err;
	size_t head_len = frame_head_len(framing_of(p), len);
	if (head_len != room) {
		if (head_len > room && buf_reserve(out, head_len - room) == NULL)
			return out->err;
		memmove(out->data + start + head_len, out->data + start + room, len);
		out->len = start + head_len + len;
	}
	frame_head(framing_of(p), len, out->data + start);
	*len_out = len;
	return 0;
}

void peer_send_sure(struct peer *p)
{
	/* for lack of memory, or its limit is too low; a client that misses an answer
	 * must not go on */
	if (peer_send(p) != 0)
		conn_drop(p->conn);
}

void peer_error(struct peer *p, enum wamp_type type, uint64_t request, const char *uri,
		struct slice text)
{
	msg_write_error_text(peer_begin(p), p->serializer, type, request, uri, text);
	if (peer_send(p) == 0)
		return;
	/* the text may be too long for this client */
	msg_write_error(peer_begin(p), p->serializer, type, request, slice_str(uri),
			(struct msg_payload){.items = 0});
	peer_send_sure(p);
}

void peer_log_undeliverable(struct peer *p, enum wamp_type type, int why)
{
	struct peers *ps = p->peers;
	unsigned dropped;

	if (log_rate_ok(&ps->log_rate, loop_now_ms(ps->loop), &dropped))
		log_info(conn_prefix(p->conn).text,
			 "undeliverable type=%s reason=\"%s\" suppressed=%u",
			 wamp_type_name(type), err_str(why), dropped);
}

/* ABORT or GOODBYE by its msg_write_*, without the message if that is too long. */
static void say_end(struct peer *p,
		    void (*write)(struct buf *out, enum serializer s, const char *uri,
				  struct slice message),
		    const char *uri, struct slice message)
{
	write(peer_begin(p), p->serializer, uri, message);
	if (peer_send(p) == 0)
		return;
	write(peer_begin(p), p->serializer, uri, slice_of(NULL, 0));
	peer_send_sure(p);
}

bool peer_post(struct peer *p, struct post *post)
{
	struct peers *ps = p->peers;

	post->session = peers_ref(ps, p);
	post->realm = p->identity->realm;
	return post_send(ps->outbox, peers_owner(ps, post->realm), post);
}

void peer_post_last(struct peer *p, enum post_type type)
{
	struct peers *ps = p->peers;

	post_send_reserved(ps->outbox, peers_owner(ps, p->identity->realm),
			   &(struct post){
				   .type = (uint8_t)type,
				   .realm = p->identity->realm,
				   .session = peers_ref(ps, p),
			   },
			   &p->mail);
}

/* Drops what a peer in any state holds, and tells those who need to know. */
static void let_go(struct peer *p, const char *reason)
{
	switch ((enum peer_state)p->state) {
	case PEER_NEW:
	case PEER_CLOSING:
		break;
	case PEER_AUTH_WAIT:
	case PEER_CHALLENGED:
		login_abandon(p);
		break;
	case PEER_JOINING:
		peer_post_last(p, POST_GONE);
		login_free(p);
		identity_unref(&p->identity);
		break;
	case PEER_JOINED:
		peer_post_last(p, POST_GONE);
		peer_session_over(p, reason);
		break;
	case PEER_LEAVING: /* POST_GOODBYE has said so */
		peer_session_over(p, reason);
		break;
	case PEER_STATE_COUNT:
		break;
	}
	/* what is still on its way for this session is for nobody */
	peers_renew(p->peers, p);
}

/* In the log a session's end has a reason of few kinds, in the Close frame all we know.
 */
static void end(struct peer *p, uint16_t code, const char *kind, const char *reason)
{
	let_go(p, kind);
	peer_set_state(p, PEER_CLOSING);
	conn_close(p->conn, code, reason);
}

void peer_close(struct peer *p, uint16_t code, const char *reason)
{
	end(p, code, reason, reason);
}

void peer_drop(struct peer *p, const char *reason)
{
	let_go(p, reason);
	peer_set_state(p, PEER_CLOSING);
	conn_drop(p->conn);
}

void peer_abort(struct peer *p, const char *uri, struct slice message)
{
	say_end(p, msg_write_abort, uri, message);
	peer_close(p, WS_CLOSE_NORMAL, "aborted");
}

void peer_violation(struct peer *p, const char *what)
{
	struct peers *ps = p->peers;
	unsigned suppressed;

	if (p->state == PEER_CLOSING)
		return;
	peers_count(ps, PEER_VIOLATIONS);
	if (peers_may_log(ps, &suppressed))
		log_info(conn_prefix(p->conn).text,
			 "protocol violation what=\"%s\" suppressed=%u", what,
			 suppressed);
	say_end(p, msg_write_abort, WAMP_ERROR_PROTOCOL_VIOLATION, slice_str(what));
	end(p, WS_CLOSE_PROTOCOL, "protocol violation", what);
}

void peer_killed(struct peer *p, const struct revocation *r)
{
	char uri[WAMP_MAX_URI + 1];

	/* the owner kills in JOINING only between POST_JOINED and our hearing of it: that
	 * comes first */
	if (p->state != PEER_JOINED && p->state != PEER_LEAVING)
		return;
	if (r == NULL) {
		peers_no_memory(p->peers, conn_prefix(p->conn).text, "an answer");
		conn_drop(p->conn);
		return;
	}
	snprintf(uri, sizeof(uri), "%.*s", (int)r->uri.len, (const char *)r->uri.p);
	say_end(p, msg_write_goodbye, uri, r->message);
	peers_count(p->peers, PEER_SESSIONS_KILLED);
	peer_session_over(p, uri);
	peers_renew(p->peers, p);
	peer_set_state(p, PEER_CLOSING);
	conn_close(p->conn, WS_CLOSE_NORMAL, NULL);
}

void peer_left(struct peer *p)
{
	ASSERT(p->state == PEER_LEAVING);
	say_end(p, msg_write_goodbye, WAMP_CLOSE_GOODBYE_AND_OUT, slice_of(NULL, 0));
	peer_session_over(p, "left");
	peers_renew(p->peers, p);
	peer_set_state(p, PEER_NEW);
	conn_left(p->conn);
}

static void report_closed(struct peer *p, const char *reason, uint64_t duration_ms)
{
	struct buf b;

	if (!p->identity->stamp.asked)
		return;
	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_params(&b, &auth_closed_table,
			    &(struct auth_closed){
				    .session = p->identity->session,
				    .authid = p->identity->authid,
				    .reason = slice_str(reason),
				    .duration_ms = duration_ms,
			    });
	login_report(p->peers, p->identity->stamp.authenticator, AUTH_NOTIFY_CLOSED, &b);
	buf_fini(&b);
}

void peer_session_over(struct peer *p, const char *reason)
{
	uint64_t duration = loop_now_ms(p->peers->loop) - p->opened_ms;
	unsigned suppressed;

	if (peers_may_log_session(p->peers, &suppressed))
		log_info(conn_prefix(p->conn).text,
			 "session closed session=%llu reason=\"%s\" duration_ms=%llu "
			 "suppressed=%u",
			 (unsigned long long)p->identity->session,
			 log_quote_text(slice_str(reason)).text,
			 (unsigned long long)duration, suppressed);
	peers_count(p->peers, PEER_SESSIONS_CLOSED);
	report_closed(p, reason, duration);
	members_remove_all(p->peers, p);
	identity_unref(&p->identity);
	free(p->mail);
	p->mail = NULL;
	p->rights = NULL;
}

/* --- conn_handler --- */

static const struct {
	const char *name;
	enum serializer serializer;
	bool batched;
} subprotocols[] = {
	{"wamp.2.json", SERIALIZER_JSON, false},
	{"wamp.2.msgpack", SERIALIZER_MSGPACK, false},
	{"wamp.2.cbor", SERIALIZER_CBOR, false},
	{"wamp.2.json.batched", SERIALIZER_JSON, true},
	{"wamp.2.msgpack.batched", SERIALIZER_MSGPACK, true},
	{"wamp.2.cbor.batched", SERIALIZER_CBOR, true},
};

static const struct peer_listener *listener_of(const struct conn *c)
{
	return conn_conf(c)->user;
}

/* The client's first choice that the listener serves. */
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

/* The names are in the scratch buffer. */
static const char *no_subprotocol(const struct peer_listener *l,
				  const struct http_request *req)
{
	struct http_list it = {0};
	struct slice any;
	bool asked = http_list_next(req, "sec-websocket-protocol", &it, &any);
	struct buf *b = &l->peers->out;

	buf_clear(b);
	buf_put_str(b, asked ? "None of the subprotocols asked for is served here, but"
			     : "Sec-WebSocket-Protocol is missing; served here:");
	for (size_t i = 0; i < ARRAY_LEN(subprotocols); i++)
		if (l->conf->serializers >> subprotocols[i].serializer & 1)
			buf_printf(b, " %s", subprotocols[i].name);
	buf_put_u8(b, '\0');
	return b->err == 0 ? (const char *)b->data : "out of memory";
}

static int on_upgrade(struct conn *c, const struct http_request *req,
		      const char **text_out)
{
	struct peer *p = conn_user(c);
	const struct peer_listener *l = listener_of(c);

	if (req->has_origin && !config_origin_allowed(l->conf, req->origin)) {
		*text_out = "This Origin is not among the allowed_origins.";
		return HTTP_FORBIDDEN;
	}
	const char *subprotocol = choose_subprotocol(p, l->conf, req);
	if (subprotocol == NULL) {
		*text_out = no_subprotocol(l, req);
		return HTTP_BAD_REQUEST;
	}
	if (!peers_login_possible(l->peers, l->conf)) {
		peers_count(l->peers, PEER_LOGINS_UNAVAILABLE);
		*text_out = "Too many logins are waiting. Try again.";
		return HTTP_UNAVAILABLE;
	}
	p->conn = c;
	p->peers = l->peers;
	LIST_INIT(&p->memberships);
	if (login_begin(p, l->conf, req) != 0 || peers_add(p->peers, p) != 0) {
		login_free(p);
		*text_out = "Out of memory. Try again.";
		return HTTP_UNAVAILABLE;
	}
	if (p->batched)
		conn_join_frames(c);
	*text_out = subprotocol;
	return 0;
}

static int on_rawsocket(struct conn *c, unsigned serializer)
{
	struct peer *p = conn_user(c);
	const struct peer_listener *l = listener_of(c);

	/* numbered as ours, but from 1 */
	if (serializer < 1 || serializer > SERIALIZER_COUNT ||
	    !(l->conf->serializers >> (serializer - 1) & 1))
		return RAWSOCKET_SERIALIZER;
	if (!peers_login_possible(l->peers, l->conf)) {
		peers_count(l->peers, PEER_LOGINS_UNAVAILABLE);
		return RAWSOCKET_CONNECTIONS;
	}
	p->raw = true;
	p->serializer = (uint8_t)(serializer - 1);
	p->conn = c;
	p->peers = l->peers;
	LIST_INIT(&p->memberships);
	return peers_add(p->peers, p) == 0 ? RAWSOCKET_OK : RAWSOCKET_CONNECTIONS;
}

static void on_message(struct conn *c, struct slice bytes, bool text)
{
	struct peer *p = conn_user(c);

	/* RawSocket does not tell text from binary */
	messages_read(p, bytes, p->raw ? p->serializer == SERIALIZER_JSON : text);
}

/* Only a client that says nothing is to blame; one that is slow with its answer to the
 * challenge may try again. */
static bool on_to_blame(struct conn *c)
{
	const struct peer *p = conn_user(c);

	return p->state == PEER_NEW;
}

static void on_closed(struct conn *c)
{
	struct peer *p = conn_user(c);

	let_go(p, conn_end_str(conn_end(c)));
	login_free(p);
	peers_remove(p->peers, p);
}

const struct conn_handler peer_conn_handler = {
	.user_size = sizeof(struct peer),
	.page = "This is a WAMP router. Connect by WebSocket, with a WAMP client.",
	.upgrade = on_upgrade,
	.rawsocket = on_rawsocket,
	.message = on_message,
	.to_blame = on_to_blame,
	.closed = on_closed,
};
