/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of the question to an authenticator. Eight bytes choose the client's
 * encoding, the authenticator's limit and the lengths of the names and of the ticket; the
 * rest is names, ticket and authextra. The question keeps the limits and can be read, and
 * no name and no ticket is cut. */
#include "common/err.h"
#include "common/utf8.h"
#include "proto/auth_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes a text of at most len bytes. Sets *valid to false if it is none. */
static struct slice take(struct slice *rest, size_t len, bool *valid)
{
	struct slice text = slice_of(rest->p, min_size(len, rest->len));

	*rest = slice_from(*rest, text.len);
	*valid = *valid && utf8_valid(text);
	return text;
}

/* As of a HELLO, which the router has read as a whole. */
static bool is_item(enum serializer s, struct slice in)
{
	struct token_reader r;

	token_reader_init(&r, s, in);
	return token_skip(&r, NULL) == 0 && token_end(&r) == 0;
}

static void check(struct slice params, const struct auth_request *q, size_t max)
{
	struct auth_request back;
	size_t len;

	ASSERT(params.len + AUTH_ENVELOPE <= max);
	ASSERT(auth_check(params, &len) == 0 && len == params.len);
	ASSERT(auth_request_read(params, &back) == 0);
	ASSERT(slice_eq(back.realm, q->realm) && slice_eq(back.authid, q->authid));
	ASSERT(slice_eq(back.authrole, q->authrole) && slice_eq(back.ticket, q->ticket));
	ASSERT(back.session == q->session && back.authextra.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest;
	struct buf out;
	bool valid = true;

	if (size < 8)
		return 0;
	size_t max = AUTH_MIN_MESSAGE + (size_t)data[1] * 256;
	max = min_size(max, AUTH_MAX_MESSAGE);
	rest = slice_of(data + 8, size - 8);
	struct auth_request q = {
		.authmethod = slice_str("ticket"),
		.authextra_in = (enum serializer)(data[0] % SERIALIZER_COUNT),
		.session = 7,
		.ttl_ms = FIELD_NONE,
	};
	q.realm = take(&rest, data[2], &valid);
	q.authid = take(&rest, data[3], &valid);
	q.authrole = take(&rest, data[4], &valid);
	q.pubkey = take(&rest, data[5], &valid);
	q.ticket = take(&rest, (size_t)data[6] << 8 | data[7], &valid);
	if (rest.len > 0 && is_item(q.authextra_in, rest))
		q.authextra = rest;
	if (!valid)
		return 0;
	buf_init_secret(&out, AUTH_MAX_MESSAGE);
	int err = auth_request_write(&out, &q, max);
	if (q.ticket.len > AUTH_MAX_STRING)
		ASSERT(err == E_RANGE);
	else if (err == E_LIMIT)
		ASSERT(q.ticket.len > 1024);
	else
		ASSERT(err == 0);
	if (err == 0)
		check(buf_slice(&out), &q, max);
	buf_fini(&out);
	return 0;
}
