/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's state, and sending messages and posts; see peer.h. The worker's thread. */
#include "routerd/peer/peer.h"

#include "common/err.h"
#include "routerd/post/outbox.h"

/* The states from which each state may be entered. */
static const unsigned may_follow[PEER_STATE_COUNT] = {
	[PEER_NEW] = BIT(PEER_LEAVING),
	[PEER_AUTH_WAIT] = BIT(PEER_NEW) | BIT(PEER_CHALLENGED),
	[PEER_CHALLENGED] = BIT(PEER_NEW) | BIT(PEER_AUTH_WAIT),
	[PEER_JOINING] = BIT(PEER_NEW) | BIT(PEER_AUTH_WAIT) | BIT(PEER_CHALLENGED),
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

/* Begins a message at the end of out, after room for the frame's head. */
static void begin_message(const struct peer *p, struct buf *out, size_t room)
{
	if (buf_reserve(out, room) != NULL)
		buf_commit(out, room);
	if (p->batched)
		batch_begin(out, p->serializer);
}

/* Ends the message that begins at body. Only the frame's head is still missing. */
static int finish_message(const struct peer *p, struct buf *out, size_t body,
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
	int err = finish_message(p, out, FRAME_HEAD_MAX, &len);

	if (err != 0)
		return err;
	/* a RawSocket client announces its limit in the handshake */
	if (len > conn_send_max(p->conn))
		return E_LIMIT;
	size_t head_len = frame_head(framing_of(p), len, head);
	/* The head is written last, because it contains the length. peer_begin has left
	 * room for the longest head; write it right before the message. */
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
	int err = finish_message(p, out, start + room, &len);

	if (err != 0)
		return err;
	size_t head_len = frame_head_len(framing_of(p), len);
	/* the head is longer or shorter than for the expected length: move the message */
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
	/* Memory ran out, or the client's limit is too low even for the smallest
	 * messages. The client would wait for this message forever, so drop it. */
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

/* The message that p's message was made from. */
static const char *origin(enum wamp_type type)
{
	switch (type) {
	case WAMP_INVOCATION:
		return "CALL.";
	case WAMP_RESULT:
		return "the callee's answer: YIELD.";
	case WAMP_ERROR:
		return "the callee's answer: ERROR.";
	default:
		return "PUBLISH.";
	}
}

/*
 * Says which text in Details JSON cannot express; the payload has no such value. Returns
 * the text that belongs before it.
 */
static const char *explain_details(enum wamp_type type, const struct options *o,
				   char text[TRANSCODE_FAULT_MAX])
{
	static const char why[] =
		"a string that begins with U+0000 cannot be expressed in JSON";
	const struct slice *passthru = o == NULL ? NULL : options_passthru(o);

	for (unsigned i = 0; passthru != NULL && i < MSG_PASSTHRU_COUNT; i++) {
		if (passthru[i].len == 0 || passthru[i].p[0] != '\0')
			continue;
		snprintf(text, TRANSCODE_FAULT_MAX, "%s.%s: %s",
			 type == WAMP_ERROR ? "Details" : "Options",
			 msg_passthru_names[i], why);
		return origin(type);
	}
	snprintf(text, TRANSCODE_FAULT_MAX, "the authid or authrole of the sender: %s",
		 why);
	return "";
}

/* Fills in *out; the arguments are those of peer_log_undeliverable. */
static void explain(const struct peer *p, enum wamp_type type, const struct post *post,
		    int err, struct undeliverable *out)
{
	char fault[TRANSCODE_FAULT_MAX];
	const char *from = "", *text = fault;

	if (err == E_LIMIT)
		text = "the payload is too large for the receiver";
	else if (err == E_NOMEM)
		text = "the router is out of memory";
	else if (err == E_FULL)
		text = "the receiver reads too slowly";
	else if (post == NULL || post->payload == NULL)
		text = "the receiver's serializer cannot encode it";
	else if (payload_fault(post->payload, p->serializer, fault))
		from = origin(type);
	else
		from = explain_details(type, post->options, fault);
	out->err = err;
	snprintf(out->text, sizeof(out->text), "%s%s", from, text);
}

void peer_fill_details(const struct post *post, struct msg_details *to)
{
	const struct identity *disclosed = post->disclosed;

	*to = (struct msg_details){
		.progress = post->progress,
		.retained = post->retain,
		.more = post->chunk == CHUNK_FIRST || post->chunk == CHUNK_NEXT,
		.trust = post->trust,
	};
	if (disclosed != NULL) {
		to->session = disclosed->session;
		to->authid = disclosed->authid;
		to->authrole = disclosed->authrole;
	}
	if (post->match != MATCH_EXACT)
		to->uri = payload_uri(post->payload);
	if (post->options != NULL)
		to->passthru = options_passthru(post->options);
}

int peer_send_payload(struct peer *p, enum wamp_type type, const struct post *post)
{
	struct buf *out = &p->peers->out;
	struct msg_details details;
	struct msg_payload items;
	int err = payload_items(post->payload, p->serializer, &items);

	if (err != 0)
		return err;
	msg_write_payload(peer_begin(p), p->serializer, type, post->request, post->id,
			  peer_details(post, &details), items);
	if (UNLIKELY(post->progress || post->chunk != CHUNK_NONE) &&
	    (type == WAMP_RESULT || post->chunk != CHUNK_NONE) &&
	    conn_half_full(p->conn, out->len))
		return E_FULL;
	return peer_send(p);
}

void peer_no_memory(struct peer *p, const char *what)
{
	peers_count(p->peers, PEER_NO_MEMORY);
	peer_log(p, LOG_LEVEL_ERROR, "out of memory for=\"%s\" suppressed=%u", what);
}

void peer_drop_no_memory(struct peer *p, const char *what)
{
	peer_no_memory(p, what);
	conn_drop(p->conn);
}

void peer_log_undeliverable(struct peer *p, enum wamp_type type, const struct post *post,
			    int err, struct undeliverable *why_out)
{
	struct slice uri = post == NULL || post->payload == NULL
				   ? slice_of(NULL, 0)
				   : payload_uri(post->payload);

	explain(p, type, post, err, why_out);
	peer_log(p, LOG_LEVEL_INFO,
		 "undeliverable type=%s uri=%s reason=\"%s\" suppressed=%u",
		 wamp_type_name(type), uri.len == 0 ? "none" : log_quote(uri).text,
		 why_out->text);
}

bool peer_post(struct peer *p, struct post *post)
{
	struct peers *ps = p->peers;

	post->session = peer_ref(p);
	post->realm = p->identity->realm;
	/* timeouts start when the message was read */
	post->time_ms = loop_now_ms(ps->loop);
	return post_send(ps->outbox, peers_owner(ps, post->realm), post);
}

void peer_post_last(struct peer *p, enum post_type type)
{
	struct peers *ps = p->peers;

	post_send_reserved(ps->outbox, peers_owner(ps, p->identity->realm),
			   &(struct post){
				   .type = (uint8_t)type,
				   .realm = p->identity->realm,
				   .session = peer_ref(p),
				   .time_ms = loop_now_ms(ps->loop),
			   },
			   &p->mail);
}
