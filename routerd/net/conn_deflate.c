/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compresses the output of connections that have agreed on permessage-deflate; see
 * conn_int.h. The worker's thread.
 *
 * Messages before WELCOME are not compressed. If memory runs out, messages are sent as
 * they are.
 */
#include "common/err.h"
#include "proto/deflate.h"
#include "routerd/net/conn_int.h"

/* Compresses a frame if that is worthwhile; else returns it unchanged. */
static struct slice deflate_one(struct net *n, struct slice framed)
{
	struct slice deflated;

	if (framed.len < DEFLATE_MIN)
		return framed;
	if (n->deflater == NULL)
		n->deflater = deflater_new();
	if (n->deflater == NULL)
		return framed;
	deflated = deflater_frame(n->deflater, framed);
	if (deflated.p != framed.p) {
		net_count(n, NET_DEFLATED, 1);
		net_count(n, NET_DEFLATED_FROM, framed.len);
		net_count(n, NET_DEFLATED_TO, deflated.len);
	}
	return deflated;
}

static bool may_deflate(const struct conn *c, size_t len)
{
	return c->established && len >= DEFLATE_MIN;
}

struct slice conn_deflate(struct conn *c, struct slice framed)
{
	return may_deflate(c, framed.len) ? deflate_one(c->net, framed) : framed;
}

/* Compresses each of the frames. NULL if none got shorter, or memory ran out. */
static struct shared_buf *deflate_all(struct net *n, const struct shared_buf *framed)
{
	struct slice rest = slice_of(framed->data, framed->len);
	struct buf out;

	shared_buf_begin(&out, framed->len / 2, framed->len);
	while (rest.len > 0) {
		size_t len = ws_frame_len(rest.p);

		buf_put_slice(&out, deflate_one(n, slice_of(rest.p, len)));
		rest = slice_from(rest, len);
	}
	if (out.err == 0 && out.len == SHARED_BUF_HEAD + framed->len)
		buf_fail(&out, E_LIMIT);
	return shared_buf_end(&out);
}

struct shared_buf *conn_deflate_shared(struct conn *c, struct shared_buf *framed)
{
	struct shared_buf *deflated;

	if (!may_deflate(c, framed->len))
		return framed;
	if (!framed->deflate_tried) {
		framed->deflate_tried = true;
		framed->deflated = deflate_all(c->net, framed);
	}
	if (framed->deflated == NULL)
		return framed;
	deflated = shared_buf_ref(framed->deflated);
	shared_buf_unref(&framed);
	return deflated;
}

void conn_count_inflated(struct conn *c, enum frame_event_type type,
			 const struct ws_reader *reader, const struct frame_event *ev)
{
	size_t compressed = ws_reader_compressed(reader);

	if (compressed == 0)
		return;
	if (type == FRAME_ERROR) {
		net_count(c->net, NET_INFLATE_TOO_BIG, ev->code == WS_CLOSE_TOO_BIG);
		return;
	}
	net_count(c->net, NET_INFLATED, 1);
	net_count(c->net, NET_INFLATED_FROM, compressed);
	net_count(c->net, NET_INFLATED_TO, ev->bytes.len);
}
