/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of RawSocket: collects its four octets and answers them. The worker's
 * thread.
 */
#include "routerd/net/conn_int.h"

/* A client must accept messages of this size; otherwise a WELCOME might not fit. */
enum { SEND_MAX_LEAST = 2 * RAWSOCKET_MIN_LEN };

void conn_raw_refuse(struct conn *c, enum rawsocket_error error, enum conn_end end)
{
	uint8_t answer[RAWSOCKET_HANDSHAKE_LEN];

	log_debug(conn_prefix(c).text, "handshake refused code=%d listener=%s", error,
		  c->conf->name);
	rawsocket_error_write(answer, error);
	conn_answer_and_close(c, slice_of(answer, sizeof(answer)), end);
}

static void accept_client(struct conn *c, const struct rawsocket_handshake *handshake)
{
	uint8_t answer[RAWSOCKET_HANDSHAKE_LEN];
	size_t announced = rawsocket_reply_write(answer, handshake->serializer,
						 c->conf->message_max);

	/* Both are powers of two. */
	c->raw_send_log = (uint8_t)__builtin_ctzll(handshake->max_len);
	c->raw_recv_log = (uint8_t)__builtin_ctzll(announced);
	if (conn_push(c, slice_of(answer, sizeof(answer))))
		conn_open(c, CONN_RAWSOCKET);
}

static void answer_handshake(struct conn *c,
			     const uint8_t request[RAWSOCKET_HANDSHAKE_LEN])
{
	struct rawsocket_handshake handshake = {0};
	int error = rawsocket_handshake_read(request, &handshake);

	ASSERT(error >= 0); /* because the first octet is the magic one */
	if (error == RAWSOCKET_OK && handshake.max_len < SEND_MAX_LEAST)
		error = RAWSOCKET_LENGTH;
	if (error == RAWSOCKET_OK)
		error = c->conf->handler->rawsocket(c, handshake.serializer);
	/* The handler may have dropped the connection. */
	if (c->state == CONN_OPENING) {
		if (error == RAWSOCKET_OK)
			accept_client(c, &handshake);
		else
			conn_raw_refuse(c, (enum rawsocket_error)error, CONN_END_REFUSED);
	}
	if (error == RAWSOCKET_OK)
		conn_set_accepted(c);
}

void conn_raw_input(struct conn *c, struct frame_input *in)
{
	uint8_t request[RAWSOCKET_HANDSHAKE_LEN];
	size_t before = c->partial.part == NULL ? 0 : c->partial.part->len;
	struct slice bytes =
		frame_input_take(in, min_size(in->len, sizeof(request) - before));

	if (before + bytes.len < sizeof(request)) {
		if (!conn_add_partial(c, bytes, sizeof(request)))
			conn_kill(c, CONN_END_NOMEM);
		return;
	}
	if (before > 0)
		memcpy(request, c->partial.part->data, before);
	memcpy(request + before, bytes.p, bytes.len);
	buf_free(&c->partial.part);
	answer_handshake(c, request);
}
