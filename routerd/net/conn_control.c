/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends and answers pings, and closes connections, in both framings. The worker's thread.
 *
 * RawSocket has no close message. A side that has sent everything shuts down its output.
 * The router then ignores further input until the peer's end of file, which ends the
 * connection.
 */
#include "routerd/net/conn_int.h"

/* Queues a Close unless one was queued before, and enters CLOSING. False: c is dead. */
static bool begin_closing(struct conn *c, uint16_t code, struct slice reason,
			  enum conn_end end)
{
	uint8_t frame[WS_CONTROL_FRAME_MAX];

	conn_set_end(c, end);
	if (c->state == CONN_OPEN) {
		if (c->framing == CONN_WEBSOCKET &&
		    !conn_push(c, slice_of(frame, ws_close_frame(code, reason, frame))))
			return false;
		conn_set_state(c, CONN_CLOSING);
	}
	return c->state == CONN_CLOSING;
}

void conn_send_close(struct conn *c, uint16_t code, struct slice reason)
{
	/* WebSocket waits for the peer's Close instead. */
	if (begin_closing(c, code, reason, CONN_END_OWN) && c->framing == CONN_RAWSOCKET)
		conn_finish(c);
}

void conn_answer_close(struct conn *c, uint16_t code)
{
	/* RFC 6455, 5.5.1: the answer typically repeats the code. If there is none,
	 * answer 1000: autobahn-js reports a lost connection if the answer has no
	 * code. */
	if (code == 0)
		code = WS_CLOSE_NORMAL;
	if (begin_closing(c, code, slice_of(NULL, 0), CONN_END_PEER))
		conn_finish(c);
}

void conn_protocol_error(struct conn *c, uint16_t code, const char *why)
{
	if (c->state == CONN_OPEN)
		conn_log(c,
			 "protocol error reason=\"%s\" listener=%s peer=%s "
			 "suppressed=%u",
			 why, c->conf->name, conn_peer_name(c).text);
	if (begin_closing(c, code, slice_str(why),
			  code == WS_CLOSE_TOO_BIG ? CONN_END_TOO_BIG
						   : CONN_END_PROTOCOL))
		conn_finish(c);
}

bool conn_send_ping(struct conn *c)
{
	uint8_t frame[WS_CONTROL_FRAME_MAX];
	size_t n = RAWSOCKET_HEAD_LEN;

	if (c->framing == CONN_WEBSOCKET)
		n = ws_control_frame(WS_OP_PING, slice_of(NULL, 0), frame);
	else
		rawsocket_head_write(frame, RAWSOCKET_PING, 0);
	return conn_push(c, slice_of(frame, n));
}

static void pong_raw(struct conn *c, struct slice payload)
{
	uint8_t head[RAWSOCKET_HEAD_LEN];

	if (payload.len > conn_send_max(c)) {
		conn_protocol_error(
			c, WS_CLOSE_PROTOCOL,
			"a ping is longer than the messages that its sender accepts");
		return;
	}
	rawsocket_head_write(head, RAWSOCKET_PONG, payload.len);
	if (conn_accepts(c, sizeof(head) + payload.len) &&
	    conn_push(c, slice_of(head, sizeof(head))))
		conn_push(c, payload);
}

void conn_send_pong(struct conn *c, struct slice payload)
{
	uint8_t frame[WS_CONTROL_FRAME_MAX];

	if (c->state != CONN_OPEN)
		return;
	if (c->framing == CONN_RAWSOCKET) {
		pong_raw(c, payload);
		return;
	}
	size_t n = ws_control_frame(WS_OP_PONG, payload, frame);
	/* Pongs count against queue_max, so that a peer that only sends pings cannot fill
	 * the queue. */
	if (conn_accepts(c, n))
		conn_push(c, slice_of(frame, n));
}
