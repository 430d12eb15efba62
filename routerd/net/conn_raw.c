/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A RawSocket connection: its handshake, and the frames that arrive. A frame that lies in
 * the receive buffer as a whole is delivered from there; of others the beginning is kept
 * in conn.head until the rest is there. There is no Close: who has said everything shuts
 * down. Thread of the connection's net.
 */
#include "common/err.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>

static void refuse(struct conn *c, enum rawsocket_error error)
{
	uint8_t reply[RAWSOCKET_HANDSHAKE_LEN];

	log_debug(conn_prefix(c).text, "RawSocket refused error=%d listener=%s", error,
		  c->conf->name);
	rawsocket_error_write(reply, error);
	conn_set_end(c, CONN_END_PROTOCOL);
	if (conn_push(c, slice_of(reply, sizeof(reply)))) {
		conn_set_state(c, CONN_CLOSING);
		conn_finish(c);
	}
}

/* Of a power of two. */
static uint8_t log2_of(size_t n)
{
	return (uint8_t)__builtin_ctzll(n);
}

static void handshake(struct conn *c, const uint8_t in[RAWSOCKET_HANDSHAKE_LEN])
{
	uint8_t reply[RAWSOCKET_HANDSHAKE_LEN];
	struct rawsocket_hello hello;
	int error = rawsocket_hello_read(in, &hello);

	ASSERT(error >= 0); /* the first octet has brought us here */
	/* not even a WELCOME would fit */
	if (error == RAWSOCKET_OK && hello.max_len <= RAWSOCKET_MIN_LEN)
		error = RAWSOCKET_LENGTH;
	if (error == RAWSOCKET_OK)
		error = c->handler->rawsocket(c, hello.serializer);
	if (error != RAWSOCKET_OK) {
		refuse(c, (enum rawsocket_error)error);
		return;
	}
	c->owes_closed = true;
	c->raw_send_log = log2_of(hello.max_len);
	c->raw_recv_log = log2_of(
		rawsocket_reply_write(reply, hello.serializer, c->conf->message_max));
	if (conn_push(c, slice_of(reply, sizeof(reply))))
		conn_set_state(c, CONN_OPEN);
	else
		TAILQ_INSERT_TAIL(&c->net->left, c, side_link);
}

static void pong(struct conn *c, struct slice payload)
{
	uint8_t head[RAWSOCKET_HEAD_LEN];

	rawsocket_head_write(head, RAWSOCKET_PONG, payload.len);
	conn_send_raw(c, slice_of(head, sizeof(head)), payload);
}

static void frame(struct conn *c, enum rawsocket_type type, struct slice payload)
{
	bool ignored;

	switch (type) {
	case RAWSOCKET_MESSAGE:
		ignored = conn_ws_message(c, payload, false);
		(void)ignored;
		return;
	case RAWSOCKET_PING:
		pong(c, payload);
		return;
	case RAWSOCKET_PONG:
		return;
	}
}

/*
 * How long is the frame that begins here, with its head? 0: not known yet; SIZE_MAX: the
 * connection has been given up, because the frame is malformed or too long.
 */
static size_t frame_len(struct conn *c, struct slice bytes, enum rawsocket_type *type_out)
{
	size_t len;

	if (bytes.len < RAWSOCKET_HEAD_LEN)
		return 0;
	if (rawsocket_head_read(bytes.p, type_out, &len) != 0) {
		conn_ws_fail(c, WS_CLOSE_PROTOCOL, "malformed RawSocket frame");
		return SIZE_MAX;
	}
	if (len > min_size(conn_ws_limit(c), (size_t)1 << c->raw_recv_log)) {
		conn_ws_fail(c, WS_CLOSE_TOO_BIG, "message too big");
		return SIZE_MAX;
	}
	return RAWSOCKET_HEAD_LEN + len;
}

/* Keeps the beginning of a handshake or frame. */
static void keep(struct conn *c, struct slice bytes)
{
	if (c->head == NULL) {
		c->head = malloc(sizeof(*c->head));
		if (c->head == NULL) {
			conn_kill(c, CONN_END_NOMEM);
			return;
		}
		buf_init(c->head, RAWSOCKET_HEAD_LEN + RAWSOCKET_MAX_LEN);
	}
	buf_put_slice(c->head, bytes);
	if (c->head->err != 0)
		conn_kill(c, CONN_END_NOMEM);
}

/* Takes from *bytes what the kept beginning needs to have n bytes. True: it has. */
static bool complete(struct conn *c, struct slice *bytes, size_t n)
{
	size_t more = c->head->len < n ? min_size(n - c->head->len, bytes->len) : 0;

	keep(c, slice_of(bytes->p, more));
	bytes->p += more;
	bytes->len -= more;
	return c->state != CONN_DEAD && c->head->len >= n;
}

static void free_head(struct buf **head)
{
	if (*head != NULL)
		buf_fini(*head);
	free(*head);
	*head = NULL;
}

/* The frame of which the beginning was kept. False: more is needed, or c is given up. */
static bool go_on(struct conn *c, struct slice *bytes)
{
	enum rawsocket_type type;

	if (!complete(c, bytes, RAWSOCKET_HEAD_LEN))
		return false;
	size_t len = frame_len(c, buf_slice(c->head), &type);
	if (len == SIZE_MAX || !complete(c, bytes, len))
		return false;
	struct buf *head = c->head;
	c->head = NULL; /* so that nobody frees it while it is in use */
	frame(c, type,
	      slice_of(head->data + RAWSOCKET_HEAD_LEN, len - RAWSOCKET_HEAD_LEN));
	free_head(&head);
	return true;
}

void conn_raw_feed(struct conn *c, struct slice bytes)
{
	enum rawsocket_type type;

	if (c->head != NULL && !go_on(c, &bytes))
		return;
	while (bytes.len > 0 && c->state == CONN_OPEN) {
		size_t len = frame_len(c, bytes, &type);
		if (len == SIZE_MAX)
			return;
		if (len == 0 || len > bytes.len) {
			keep(c, bytes);
			return;
		}
		frame(c, type,
		      slice_of(bytes.p + RAWSOCKET_HEAD_LEN, len - RAWSOCKET_HEAD_LEN));
		bytes.p += len;
		bytes.len -= len;
	}
}

void conn_raw_begin(struct conn *c, struct slice bytes)
{
	uint8_t in[RAWSOCKET_HANDSHAKE_LEN];

	c->raw = true;
	if (c->head == NULL)
		keep(c, slice_of(NULL, 0));
	if (c->state == CONN_DEAD || !complete(c, &bytes, sizeof(in)))
		return;
	memcpy(in, c->head->data, sizeof(in));
	free_head(&c->head);
	handshake(c, in);
	if (bytes.len > 0 && c->state == CONN_OPEN)
		conn_raw_feed(c, bytes);
}
