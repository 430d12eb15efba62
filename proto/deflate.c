/* SPDX-License-Identifier: Apache-2.0 */
/* permessage-deflate; see deflate.h. */
#include "proto/deflate.h"

#include "common/err.h"
#include "proto/ws_frame.h"

#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

enum {
	WINDOW_BITS = -15, /* raw deflate: no header, no checksum */
	LEVEL = 1,         /* level 6 takes four times as long, and saves little */
	MEMORY_LEVEL = 8,
};

/* RFC 7692, 7.2.1: the sender leaves out these last bytes of each message. */
static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};

/* --- offers --- */

enum deflate_param {
	SERVER_NO_TAKEOVER = 1,
	CLIENT_NO_TAKEOVER = 2,
	SERVER_BITS = 4,
	CLIENT_BITS = 8,
};

/* Takes the text before the next `end` from *rest, and trims it. */
static struct slice take_until(struct slice *rest, uint8_t end)
{
	size_t n = slice_find(*rest, end);
	struct slice part = slice_trim(slice_of(rest->p, n));

	*rest = slice_from(*rest, min_size(n + 1, rest->len));
	return part;
}

/* The value of a parameter, without quotation marks (RFC 6455, 9.1). */
static struct slice unquote(struct slice value)
{
	if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
		return slice_of(value.p + 1, value.len - 2);
	return value;
}

/* 8 to 15, without leading zeros (RFC 7692, 7.1.2). 0: it is something else. */
static unsigned read_bits(struct slice value)
{
	if (value.len == 1 && (value.p[0] == '8' || value.p[0] == '9'))
		return value.p[0] - '0';
	if (value.len == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5')
		return 10u + value.p[1] - '0';
	return 0;
}

/* The parameter, or 0 if it is unknown or malformed, or cannot be granted. */
static unsigned read_param(struct slice param)
{
	bool has_value = slice_find(param, '=') < param.len;
	struct slice name = take_until(&param, '=');
	struct slice value = unquote(slice_trim(param));

	if (http_same(name, "server_no_context_takeover"))
		return has_value ? 0 : SERVER_NO_TAKEOVER;
	if (http_same(name, "client_no_context_takeover"))
		return has_value ? 0 : CLIENT_NO_TAKEOVER;
	/* A smaller window would need a deflater of its own, and other bytes. */
	if (http_same(name, "server_max_window_bits"))
		return read_bits(value) == 15 ? SERVER_BITS : 0;
	/* The inflater copes with every window. */
	if (http_same(name, "client_max_window_bits"))
		return !has_value || read_bits(value) != 0 ? CLIENT_BITS : 0;
	return 0;
}

/* The set of parameters. False if the offer must be declined. */
static bool read_params(struct slice rest, unsigned *params_out)
{
	unsigned params = 0;
	bool more = true;

	while (more) {
		more = slice_find(rest, ';') < rest.len;
		unsigned param = read_param(take_until(&rest, ';'));
		if (param == 0 || (params & param) != 0)
			return false;
		params |= param;
	}
	*params_out = params;
	return true;
}

#define GRANTED                                                                          \
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover"

const char *deflate_answer(const struct http_request *req, uint64_t *declined)
{
	struct http_list it = {0};
	struct slice offer;

	while (http_list_next(req, "Sec-WebSocket-Extensions", &it, &offer)) {
		bool plain = slice_find(offer, ';') == offer.len;
		unsigned params = 0;

		if (!http_same(take_until(&offer, ';'), "permessage-deflate"))
			continue;
		if (plain || read_params(offer, &params))
			/* Only this parameter must be repeated. */
			return params & SERVER_BITS ? GRANTED
				       "; server_max_window_bits=15"
						    : GRANTED;
		++*declined;
	}
	return NULL;
}

/* --- compressing --- */

struct deflater {
	z_stream z;
	uint8_t out[FRAME_HEAD_MAX + DEFLATE_MAX];
};

struct deflater *deflater_new(void)
{
	struct deflater *d = malloc(sizeof(*d));

	if (d == NULL)
		return NULL;
	d->z = (z_stream){.opaque = NULL};
	if (deflateInit2(&d->z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK) {
		free(d);
		return NULL;
	}
	return d;
}

void deflater_free(struct deflater **d)
{
	if (*d != NULL)
		deflateEnd(&(*d)->z);
	free(*d);
	*d = NULL;
}

struct slice deflater_frame(struct deflater *d, struct slice framed)
{
	size_t head_len = ws_head_len(framed.p), len;
	struct slice message = slice_from(framed, head_len);
	size_t most = message.len - message.len / 8;
	uint8_t head[FRAME_HEAD_MAX], *start = d->out + FRAME_HEAD_MAX;

	if (framed.len < DEFLATE_MIN || message.len > DEFLATE_MAX)
		return framed;
	deflateReset(&d->z);
	d->z.next_in = message.p;
	d->z.avail_in = (uInt)message.len;
	d->z.next_out = start;
	d->z.avail_out = (uInt)most;
	/* If there is no room left, the end may be missing. */
	if (deflate(&d->z, Z_SYNC_FLUSH) != Z_OK || d->z.avail_out == 0)
		return framed;
	len = most - d->z.avail_out - sizeof(tail);
	head_len = frame_head(framed.p[0] == (WS_FIN | WS_OP_TEXT) ? FRAMING_WS_TEXT
								   : FRAMING_WS_BINARY,
			      len, head);
	head[0] |= WS_RSV1;
	memcpy(start - head_len, head, head_len);
	return slice_of(start - head_len, head_len + len);
}

/* --- expanding --- */

struct inflater {
	z_stream z;
	struct slice rest; /* not inflated yet */
	bool in_tail;      /* the rest is of `tail` */
};

static struct inflater *inflater_new(void)
{
	struct inflater *i = calloc(1, sizeof(*i));

	if (i != NULL && inflateInit2(&i->z, WINDOW_BITS) != Z_OK) {
		free(i);
		return NULL;
	}
	return i;
}

struct inflater *inflaters_lend(struct inflaters *all, struct slice compressed)
{
	struct inflater *i = all->spare;

	all->spare = NULL;
	if (i == NULL)
		i = inflater_new();
	if (i == NULL)
		return NULL;
	inflateReset(&i->z);
	i->rest = compressed;
	i->in_tail = false;
	all->lent++;
	return i;
}

static void inflater_free(struct inflater **i)
{
	if (*i != NULL)
		inflateEnd(&(*i)->z);
	free(*i);
	*i = NULL;
}

void inflaters_return(struct inflaters *all, struct inflater **i)
{
	if (*i == NULL)
		return;
	all->lent--;
	inflater_free(&all->spare);
	all->spare = *i;
	*i = NULL;
}

void inflaters_fini(struct inflaters *all)
{
	ASSERT(all->lent == 0);
	inflater_free(&all->spare);
}

/* The result of a step. result: of zlib. */
static int end_step(struct inflater *i, int result)
{
	bool all_in = i->in_tail && i->rest.len == 0;

	switch (result) {
	case Z_STREAM_END:
		/* RFC 7692, 7.2.3.4: other blocks may follow the last one. */
		inflateReset(&i->z);
		return all_in ? 0 : E_AGAIN;
	case Z_OK:
	case Z_BUF_ERROR:
		if (!all_in || i->z.avail_out == 0)
			return E_AGAIN;
		/* zlib.h: 128 is set directly after a block. */
		return (i->z.data_type & 128) != 0 ? 0 : E_SYNTAX;
	case Z_MEM_ERROR:
		return E_NOMEM;
	default:
		return E_SYNTAX;
	}
}

int inflater_step(struct inflater *i, struct buf *out, size_t *cost)
{
	size_t room = min_size(INFLATE_STEP_OUT, out->max - out->len);
	uint8_t beyond, *to = room == 0 ? &beyond : buf_reserve(out, room);
	size_t given, got;
	int result;

	if (to == NULL)
		return E_NOMEM;
	if (i->rest.len == 0 && !i->in_tail) {
		i->in_tail = true;
		i->rest = slice_of(tail, sizeof(tail));
	}
	given = min_size(i->rest.len, INFLATE_STEP_IN);
	i->z.next_in = i->rest.p;
	i->z.avail_in = (uInt)given;
	i->z.next_out = to;
	/* A full buffer must get nothing: one byte more is too much. */
	i->z.avail_out = room == 0 ? 1 : (uInt)room;
	result = inflate(&i->z, Z_NO_FLUSH);
	i->rest = slice_from(i->rest, given - i->z.avail_in);
	got = (size_t)(i->z.next_out - to);
	*cost += got + INFLATE_COST_IN * (given - i->z.avail_in);
	if (room == 0 && got > 0)
		return E_LIMIT;
	if (room > 0)
		buf_commit(out, got);
	return end_step(i, result);
}
