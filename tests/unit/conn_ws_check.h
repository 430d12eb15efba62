/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for the tests of WebSocket connections; see conn_check.h. */
#ifndef TESTS_UNIT_CONN_WS_CHECK_H
#define TESTS_UNIT_CONN_WS_CHECK_H

#include "tests/unit/conn_check.h"

static const char request[] = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
			      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\n"
			       "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
			       "Sec-WebSocket-Protocol: sub\r\n\r\n";

/* Sends a frame masked with zero. */
static void put_frame(int first, const char *payload, size_t len)
{
	struct buf b;
	uint8_t head[8] = {(uint8_t)first, (uint8_t)(0x80 | len)};
	size_t n = 2;

	buf_init(&b, 1 << 20);
	if (len > 125) {
		head[1] = 0x80 | 126;
		put_be16(head + 2, (uint16_t)len);
		n = 4;
	}
	buf_put(&b, head, n + 4);
	buf_put(&b, payload, len);
	put(b.data, b.len);
	buf_fini(&b);
}

static void put_text(const char *text)
{
	put_frame(0x81, text, strlen(text));
}

/* An upgraded connection. */
static struct conn *open_conn(void)
{
	struct conn *c = adopt();

	put_str(request);
	turns();
	expect_bytes(accepted, strlen(accepted), false);
	assert_int_equal(c->state, CONN_OPEN);
	return c;
}

/* An upgraded and established connection. */
static struct conn *join(void)
{
	struct conn *c = open_conn();

	conn_established(c);
	turns();
	return c;
}

#endif
