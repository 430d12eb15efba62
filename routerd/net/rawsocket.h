/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving side of RawSocket, behind its handshake: bytes in; messages and pings
 * out, through the functions of conn_int.h. A frame that lies in the bytes as a whole is
 * passed on where it lies; one that does not is put together in a buffer, so a connection
 * that is idle holds none. Owned by one thread.
 */
#ifndef ROUTERD_NET_RAWSOCKET_H
#define ROUTERD_NET_RAWSOCKET_H

#include "common/base.h"
#include "common/buf.h"

struct conn;

/*
 * Reads what arrived on c and calls the functions of conn_int.h. *held is the beginning
 * of a frame that the connection keeps between two calls, on the heap, NULL if none.
 * E_NOMEM: the connection cannot go on. After an error, and after one of those functions
 * returned false, the rest of the bytes is ignored and nothing is held.
 */
int raw_input(struct buf **held, struct conn *c, struct slice bytes) MUSTCHECK;

#endif
