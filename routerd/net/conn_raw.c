/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RawSocket on a connection: its handshake, what the events of its stream mean for it,
 * and what it says itself. Thread of the connection's net.
 *
 * There is no goodbye in RawSocket. Whoever has said all shuts its direction down, and so
 * do we, and ignore what still comes; the end of the peer's stream ends the connection.
 */
#include "common/err.h"
#include "proto/rawsocket_frame.h"
#include "proto/rawsocket_reader.h"
#include "proto/ws_frame.h"
#include "routerd/net/conn_int.h"

/* The longest message that a client must take, or it could not be sent a WELCOME. */
enum { SEND_MAX_LEAST = 2 * RAWSOCKET_MIN_LEN };

/* Of a power of two. */
static uint8_t log2_of(size_t n)
{
	return (uint8_t)__builtin_ctzll(n);
}

/* --- what the stream says --- */

/* What is queued is still written. */
static void close_raw_as(struct conn *c, enum conn_end end)
{
	conn_set_end(c, end);
	conn_set_state(c, CONN_CLOSING);
	conn_finish(c);
}

static void fail_raw(struct conn *c, uint16_t code, const char *why)
{
	conn_log_error(c, why);
	close_raw_as(c, code == WS_CLOSE_TOO_BIG ? CONN_END_TOO_BIG : CONN_END_PROTOCOL);
}

static void pong_raw(struct conn *c, struct slice payload)
{
	uint8_t head[RAWSOCKET_HEAD_LEN];

	if (payload.len > conn_send_max(c)) {
		fail_raw(c, WS_CLOSE_PROTOCOL, "a ping that its sender cannot get back");
		return;
	}
	rawsocket_head_write(head, RAWSOCKET_PONG, payload.len);
	if (conn_accepts(c, sizeof(head) + payload.len) &&
	    conn_push(c, slice_of(head, sizeof(head))))
		conn_push(c, payload);
}

static void read_raw(struct conn *c, struct slice bytes)
{
	struct buf *part = c->part;
	struct frame_event ev;
	bool more = true;

	/* A handler that drops c must not free the buffer that lends it a message. */
	c->part = NULL;
	while (more && c->state == CONN_OPEN) {
		size_t limit =
			min_size(conn_message_limit(c), (size_t)1 << c->raw_recv_log);

		switch (rawsocket_next(&part, &bytes, limit, &ev)) {
		case FRAME_MORE:
			more = false;
			break;
		case FRAME_MESSAGE:
			conn_message(c, ev.bytes, ev.text);
			break;
		case FRAME_PING:
			pong_raw(c, ev.bytes);
			break;
		case FRAME_ERROR:
			fail_raw(c, ev.code, ev.why);
			break;
		case FRAME_CLOSE: /* RawSocket has none */
		case FRAME_NOMEM:
			conn_kill(c, CONN_END_NOMEM);
			break;
		}
	}
	if (c->state != CONN_OPEN)
		buf_free(&part);
	c->part = part;
}

/* --- the handshake --- */

void conn_raw_refuse(struct conn *c, enum rawsocket_error error, enum conn_end end)
{
	uint8_t answer[RAWSOCKET_HANDSHAKE_LEN];

	log_debug(conn_prefix(c).text, "handshake refused error=%d listener=%s", error,
		  c->conf->name);
	rawsocket_error_write(answer, error);
	conn_set_end(c, end);
	if (conn_push(c, slice_of(answer, sizeof(answer)))) {
		conn_set_state(c, CONN_CLOSING);
		conn_finish(c);
	}
}

static void accept_client(struct conn *c, const struct rawsocket_hello *hello)
{
	uint8_t answer[RAWSOCKET_HANDSHAKE_LEN];
	size_t announced =
		rawsocket_reply_write(answer, hello->serializer, c->conf->message_max);

	c->raw_send_log = log2_of(hello->max_len);
	c->raw_recv_log = log2_of(announced);
	if (conn_push(c, slice_of(answer, sizeof(answer))))
		conn_open(c, &conn_rawsocket);
}

static void answer_hello(struct conn *c, const uint8_t request[RAWSOCKET_HANDSHAKE_LEN])
{
	struct rawsocket_hello hello = {0};
	int error = rawsocket_hello_read(request, &hello);

	ASSERT(error >= 0); /* the first octet has brought us here */
	if (error == RAWSOCKET_OK && hello.max_len < SEND_MAX_LEAST)
		error = RAWSOCKET_LENGTH;
	if (error == RAWSOCKET_OK)
		error = c->handler->rawsocket(c, hello.serializer);
	if (c->state == CONN_OPENING) {
		if (error == RAWSOCKET_OK)
			accept_client(c, &hello);
		else
			conn_raw_refuse(c, (enum rawsocket_error)error, CONN_END_REFUSED);
	}
	if (error == RAWSOCKET_OK)
		conn_owe_closed(c);
}

void conn_raw_handshake(struct conn *c, struct slice bytes)
{
	uint8_t request[RAWSOCKET_HANDSHAKE_LEN];
	size_t before = c->part == NULL ? 0 : c->part->len;
	size_t n = min_size(bytes.len, sizeof(request) - before);

	if (before + n < sizeof(request)) {
		if (!conn_keep_part(c, bytes, sizeof(request)))
			conn_kill(c, CONN_END_NOMEM);
		return;
	}
	if (before > 0)
		memcpy(request, c->part->data, before);
	memcpy(request + before, bytes.p, n);
	buf_free(&c->part);
	answer_hello(c, request);
	if (c->state == CONN_OPEN && n < bytes.len)
		read_raw(c, slice_of(bytes.p + n, bytes.len - n));
}

/* --- what we say --- */

static void close_raw(struct conn *c, uint16_t code, struct slice reason)
{
	(void)code;
	(void)reason;
	close_raw_as(c, CONN_END_OWN);
}

static bool ping_raw(struct conn *c)
{
	uint8_t head[RAWSOCKET_HEAD_LEN];

	rawsocket_head_write(head, RAWSOCKET_PING, 0);
	return conn_push(c, slice_of(head, sizeof(head)));
}

static uint32_t raw_ping_interval_ms(const struct conn_conf *conf)
{
	return conf->raw_pings ? conf->ping_interval_ms : 0;
}

const struct conn_protocol conn_rawsocket = {
	.input = read_raw,
	.say_close = close_raw,
	.say_ping = ping_raw,
	.ping_interval_ms = raw_ping_interval_ms,
	.held_memory = conn_part_memory,
	.held_free = conn_part_free,
	.end_of_file = CONN_END_PEER,
	.eof_is_goodbye = true,
};
