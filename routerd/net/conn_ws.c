/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket on a connection: what the events of its stream mean for it, and what it says
 * itself. Thread of the connection's net.
 */
#include "common/err.h"
#include "proto/ws_frame.h"
#include "routerd/net/conn_int.h"

/* --- what the stream says --- */

static size_t message_limit(const struct conn *c)
{
	return c->state == CONN_OPEN ? conn_message_limit(c) : WS_DISCARD;
}

static void pong_ws(struct conn *c, struct slice payload)
{
	uint8_t frame[WS_CONTROL_FRAME_MAX];
	size_t n = ws_control_frame(WS_OP_PONG, payload, frame);

	if (c->state == CONN_OPEN && conn_accepts(c, n))
		conn_push(c, slice_of(frame, n));
}

/* Queues our Close, if it was not yet, and enters CLOSING. False: c is dead. */
static bool close_ws_with(struct conn *c, uint16_t code, struct slice reason,
			  enum conn_end end)
{
	uint8_t frame[WS_CONTROL_FRAME_MAX];

	conn_set_end(c, end);
	if (c->state == CONN_OPEN) {
		size_t n = ws_close_frame(code, reason, frame);

		if (!conn_push(c, slice_of(frame, n)))
			return false;
		conn_set_state(c, CONN_CLOSING);
	}
	return c->state == CONN_CLOSING;
}

static void closed_by_peer(struct conn *c, uint16_t code)
{
	/* RFC 6455, 5.5.1: the answer typically echoes the code. Where there is none,
	 * 1000 says what happened: to an empty answer autobahn-js reports a lost
	 * connection. */
	if (code == 0)
		code = WS_CLOSE_NORMAL;
	if (close_ws_with(c, code, slice_of(NULL, 0), CONN_END_PEER))
		conn_finish(c);
}

static void fail_ws(struct conn *c, uint16_t code, const char *why)
{
	enum conn_end end =
		code == WS_CLOSE_TOO_BIG ? CONN_END_TOO_BIG : CONN_END_PROTOCOL;

	conn_log_error(c, why);
	if (close_ws_with(c, code, slice_str(why), end))
		conn_finish(c);
}

static void read_ws(struct conn *c, struct slice bytes)
{
	struct ws_reader *reader = c->ws;
	struct frame_event ev;
	bool more = true;

	/* A handler that drops c must not free the reader that lends it a message. */
	c->ws = NULL;
	/* after conn_close the peer's Close is awaited */
	while (more && c->state != CONN_DEAD) {
		switch (ws_next(&c->net->ws, &reader, &bytes, message_limit(c), &ev)) {
		case FRAME_MORE:
			more = false;
			break;
		case FRAME_MESSAGE:
			conn_message(c, ev.bytes, ev.text);
			break;
		case FRAME_PING:
			pong_ws(c, ev.bytes);
			break;
		case FRAME_CLOSE:
			closed_by_peer(c, ev.code);
			more = false;
			break;
		case FRAME_ERROR:
			fail_ws(c, ev.code, ev.why);
			more = false;
			break;
		case FRAME_NOMEM:
			conn_kill(c, CONN_END_NOMEM);
			break;
		}
	}
	if (c->state == CONN_DEAD || c->finishing)
		ws_reader_free(&reader);
	c->ws = reader;
}

/* --- what we say --- */

/* The peer's Close is awaited. */
static void close_ws(struct conn *c, uint16_t code, struct slice reason)
{
	close_ws_with(c, code, reason, CONN_END_OWN);
}

static bool ping_ws(struct conn *c)
{
	uint8_t frame[WS_CONTROL_FRAME_MAX];
	size_t n = ws_control_frame(WS_OP_PING, slice_of(NULL, 0), frame);

	return conn_push(c, slice_of(frame, n));
}

static uint32_t ws_ping_interval_ms(const struct conn_conf *conf)
{
	return conf->ping_interval_ms;
}

static size_t ws_held_memory(const struct conn *c)
{
	return ws_reader_memory(c->ws);
}

static void ws_held_free(struct conn *c)
{
	ws_reader_free(&c->ws);
}

const struct conn_protocol conn_websocket = {
	.input = read_ws,
	.say_close = close_ws,
	.say_ping = ping_ws,
	.ping_interval_ms = ws_ping_interval_ms,
	.held_memory = ws_held_memory,
	.held_free = ws_held_free,
	.end_of_file = CONN_END_LOST,
};
