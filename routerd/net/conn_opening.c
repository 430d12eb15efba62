/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection before its handshake is done: which protocol it is to speak, and what of
 * the handshake has come. Thread of the connection's net.
 */
#include "common/err.h"
#include "proto/rawsocket_frame.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>

/* Did the client begin as RawSocket clients do, or can it be nothing else? */
static bool is_raw(const struct conn *c, struct slice bytes)
{
	const struct buf *begun = c->part;

	if (!(c->conf->framings & CONN_RAWSOCKET))
		return false;
	if (begun != NULL)
		return begun->data[0] == RAWSOCKET_MAGIC;
	return bytes.len > 0 ? bytes.p[0] == RAWSOCKET_MAGIC
			     : !(c->conf->framings & CONN_WEBSOCKET);
}

static void read_opening(struct conn *c, struct slice bytes)
{
	unsigned dropped;

	if (is_raw(c, bytes)) {
		conn_raw_handshake(c, bytes);
		return;
	}
	if (c->conf->framings & CONN_WEBSOCKET) {
		conn_http_input(c, bytes);
		return;
	}
	if (net_may_log(c->net, &dropped))
		log_info(conn_prefix(c).text,
			 "protocol error: no RawSocket handshake listener=%s more=%u",
			 c->conf->name, dropped);
	conn_kill(c, CONN_END_PROTOCOL);
}

static void close_opening(struct conn *c, uint16_t code, struct slice reason)
{
	(void)code;
	(void)reason;
	if (is_raw(c, slice_of(NULL, 0)))
		conn_raw_refuse(c, RAWSOCKET_CONNECTIONS, CONN_END_OWN);
	else
		conn_http_answer(c, HTTP_UNAVAILABLE, "Not now.", false, CONN_END_OWN);
}

bool conn_keep_part(struct conn *c, struct slice bytes, size_t max)
{
	if (c->part == NULL) {
		c->part = buf_new(max);
		if (c->part == NULL)
			return false;
	}
	buf_put_slice(c->part, bytes);
	return c->part->err == 0;
}

size_t conn_part_memory(const struct conn *c)
{
	return c->part == NULL ? 0 : sizeof(*c->part) + c->part->cap;
}

void conn_part_free(struct conn *c)
{
	buf_free(&c->part);
}

const struct conn_protocol conn_opening = {
	.input = read_opening,
	.say_close = close_opening,
	.held_memory = conn_part_memory,
	.held_free = conn_part_free,
	.end_of_file = CONN_END_LOST,
};
