/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving side of WebSocket (RFC 6455, server): bytes in; messages, pings and
 * closes out, through the functions of conn_int.h. ws.c is the only file that knows
 * wslay, whose frame level reads every frame that is not a whole message; fragments,
 * control frames between them, limits, UTF-8 and close codes are checked here.
 *
 * A reader (wslay's 4 KiB context and the buffer for a message) is lent to a connection
 * only while a frame or message is incomplete: one that is idle holds none. Owned by one
 * thread.
 */
#ifndef ROUTERD_NET_WS_H
#define ROUTERD_NET_WS_H

#include "common/buf.h"

#include <sys/queue.h>

struct conn;
struct ws_reader;
SLIST_HEAD(ws_readers, ws_reader);

/* What the connections of a thread share. */
struct ws_pool {
	struct ws_readers free; /* readers that no connection holds */
	unsigned n_free;
	struct buf unmasked; /* a whole message, while it is passed on */
};

void ws_pool_init(struct ws_pool *p);
void ws_pool_fini(struct ws_pool *p);

/*
 * Reads what arrived on c and calls the functions of conn_int.h. *held is the reader that
 * the connection keeps between two calls, NULL if none. E_NOMEM: the connection cannot go
 * on. After an error, and after one of those functions returned false, the rest of the
 * bytes is ignored and no reader is held.
 */
int ws_input(struct ws_pool *p, struct ws_reader **held, struct conn *c,
	     struct slice bytes) MUSTCHECK;

/* Bytes of memory that a held reader costs; 0 for NULL. */
size_t ws_reader_memory(const struct ws_reader *r);

/* Frees an abandoned reader. NULL-safe, clears the pointer. */
void ws_reader_free(struct ws_reader **r);

#endif
