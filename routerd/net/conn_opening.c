/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that has not shown yet which handshake it makes. Thread of its net. */
#include "common/err.h"
#include "routerd/net/conn_int.h"

/* Did the client begin as RawSocket clients do, or can it be nothing else? */
static bool is_raw(const struct conn *c, const struct frame_input *in)
{
	const struct buf *begun = c->held.part;

	if (!(c->conf->framings & CONN_RAWSOCKET))
		return false;
	if (begun != NULL)
		return begun->data[0] == RAWSOCKET_MAGIC;
	return in->len > 0 ? in->p[0] == RAWSOCKET_MAGIC
			   : !(c->conf->framings & CONN_WEBSOCKET);
}

void conn_opening_input(struct conn *c, struct frame_input *in)
{
	unsigned dropped;

	if (is_raw(c, in)) {
		conn_raw_input(c, in);
		return;
	}
	if (c->conf->framings & CONN_WEBSOCKET) {
		conn_http_input(c, in);
		return;
	}
	if (net_may_log(c->net, &dropped))
		log_info(conn_prefix(c).text,
			 "protocol error: no RawSocket handshake listener=%s more=%u",
			 c->conf->name, dropped);
	conn_kill(c, CONN_END_PROTOCOL);
}

void conn_opening_refuse(struct conn *c)
{
	const struct frame_input nothing = {NULL, 0};

	if (is_raw(c, &nothing))
		conn_raw_refuse(c, RAWSOCKET_CONNECTIONS, CONN_END_OWN);
	else
		conn_http_answer(c, HTTP_UNAVAILABLE, "Not now.", false, CONN_END_OWN);
}
