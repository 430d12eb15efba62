/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes payloads in MessagePack, which is the cheapest encoding to write; see
 * payload_writer.h. Any thread.
 */
#include "routerd/post/payload_writer.h"

#include "common/timestamp.h"
#include "proto/token.h"

#include <stdlib.h>

enum { WRITTEN_MAX = 16 << 20 }; /* bytes; no listener takes or sends a longer message */

struct payload_writer {
	struct token_writer tokens;
	struct buf out;
};

struct payload_writer *payload_writer_of(struct slice topic)
{
	struct payload_writer *w = malloc(sizeof(*w));

	if (w == NULL)
		return NULL;
	payload_begin(&w->out, topic, WRITTEN_MAX);
	token_writer_init(&w->tokens, SERIALIZER_MSGPACK, &w->out);
	token_put_array(&w->tokens, TOKEN_COUNT_UNKNOWN);
	return w;
}

struct payload_writer *payload_writer_new(void)
{
	return payload_writer_of(slice_of(NULL, 0));
}

void payload_writer_free(struct payload_writer **wp)
{
	struct payload_writer *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	buf_fini(&w->out);
	free(w);
}

void payload_put_null(struct payload_writer *w)
{
	token_put_null(&w->tokens);
}

void payload_put_number(struct payload_writer *w, uint64_t value)
{
	token_put_uint(&w->tokens, value);
}

void payload_put_text(struct payload_writer *w, struct slice text)
{
	token_put_str(&w->tokens, text);
}

void payload_put_time(struct payload_writer *w, uint64_t unix_ms)
{
	payload_put_text(w, slice_str(timestamp_text(unix_ms).text));
}

void payload_put_list(struct payload_writer *w)
{
	token_put_array(&w->tokens, TOKEN_COUNT_UNKNOWN);
}

void payload_put_dict(struct payload_writer *w)
{
	token_put_map(&w->tokens, TOKEN_COUNT_UNKNOWN);
}

void payload_put_end(struct payload_writer *w)
{
	token_put_end(&w->tokens);
}

int payload_finish(struct payload_writer **wp, struct payload **payload_out)
{
	struct payload_writer *w = *wp;

	*wp = NULL;
	token_put_end(&w->tokens);
	int err = payload_end(&w->out, SERIALIZER_MSGPACK, 1, payload_out);
	free(w);
	return err;
}
