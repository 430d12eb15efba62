/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as its siblings in net/ see it, and what ws.c calls on it. Not for the
 * layers above. Runs on the thread of the connection's net.
 */
#ifndef ROUTERD_NET_CONN_INT_H
#define ROUTERD_NET_CONN_INT_H

#include "routerd/net/conn.h"

/* The most that a message may have now; WS_DISCARD: data is not wanted any more. */
#define WS_DISCARD SIZE_MAX
size_t conn_ws_limit(const struct conn *c);

/*
 * What ws_input found. bytes are lent for the call. False: read no further, and do not
 * touch the connection again.
 */
bool conn_ws_message(struct conn *c, struct slice bytes, bool text) MUSTCHECK;
bool conn_ws_ping(struct conn *c, struct slice payload) MUSTCHECK;
/* code is 0 if the peer gave none. Nothing follows. */
void conn_ws_close(struct conn *c, uint16_t code, struct slice reason);
/* The peer broke a rule: code is for our Close, why for the log. Nothing follows. */
void conn_ws_fail(struct conn *c, uint16_t code, const char *why);

#endif
