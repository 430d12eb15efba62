/* SPDX-License-Identifier: Apache-2.0 */
/* Transcoding. The first byte chooses two serializers and the number of items, the rest
 * is the input. Transcoded there and back, it has the same tokens; a second time there,
 * the same bytes. An undefined becomes null, and a long integer of JSON in MessagePack a
 * double. A date with a fraction of a second, in a year of five digits or before the year
 * 0, has no way back to CBOR. */
#include "proto/date.h"
#include "proto/transcode.h"
#include "tests/unit/token_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The tokens as text. Sets *other_out if one becomes another token. */
static void show(enum serializer s, struct slice in, unsigned items, enum serializer to,
		 struct buf *out, bool *other_out)
{
	struct token_reader r;
	struct token t;
	struct buf kinds;

	*other_out = false;
	buf_init(&kinds, SIZE_MAX / 4);
	token_reader_init(&r, s, in);
	while (items > 0) {
		ASSERT(token_next(&r, &t) == 0);
		*other_out |= t.type == TOKEN_UNDEFINED ||
			      (t.type == TOKEN_BIGINT && s == SERIALIZER_JSON &&
			       to == SERIALIZER_MSGPACK);
		show_token(s, &t, &kinds, out);
		items -= kinds.len == 0;
	}
	ASSERT(token_end(&r) == 0);
	buf_fini(&kinds);
}

static bool has_far_date(enum serializer s, struct slice in, unsigned items)
{
	uint8_t bytes[DATE_BYTES];
	struct buf scratch = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};
	struct token_reader r;
	struct slice packed;
	struct token t;
	struct date d;
	unsigned depth = 0;

	token_reader_init(&r, s, in);
	while (items > 0) {
		ASSERT(token_next(&r, &t) == 0);
		depth += t.type == TOKEN_ARRAY || t.type == TOKEN_MAP;
		depth -= t.type == TOKEN_END;
		items -= depth == 0;
		if (t.type != TOKEN_DATE)
			continue;
		buf_clear(&scratch);
		ASSERT(token_text(&t, s, &scratch, &packed) == 0);
		date_unpack(packed.p, &d);
		if (d.ns > 0 && (d.seconds < INT64_C(-62167219200) ||
				 d.seconds >= INT64_C(253402300800)))
			return true;
	}
	return false;
}

static void check(enum serializer from, struct slice in, unsigned items,
		  enum serializer to, struct slice there)
{
	struct buf back, again, before, after;
	bool other, none;

	buf_init(&back, SIZE_MAX / 4);
	buf_init(&again, SIZE_MAX / 4);
	buf_init(&before, SIZE_MAX / 4);
	buf_init(&after, SIZE_MAX / 4);
	int err = transcode(to, there, items, from, &back);
	if (err == E_UNSUPPORTED && has_far_date(to, there, items))
		goto out;
	ASSERT(err == 0);
	ASSERT(transcode(from, buf_slice(&back), items, to, &again) == 0);
	ASSERT(slice_eq(there, buf_slice(&again)));
	show(from, in, items, to, &before, &other);
	show(to, there, items, from, &after, &none);
	ASSERT(other || slice_eq(buf_slice(&before), buf_slice(&after)));
out:
	buf_fini(&back);
	buf_fini(&again);
	buf_fini(&before);
	buf_fini(&after);
}

/* The fault names the value and its place. */
static void check_fault(enum serializer from, struct slice in, unsigned items,
			enum serializer to)
{
	char text[TRANSCODE_FAULT_MAX];

	transcode_fault(from, in, items, to, text);
	ASSERT(strncmp(text, "Arguments", strlen("Arguments")) == 0);
	ASSERT(strstr(text, ": a value cannot be") == NULL);
	ASSERT(strstr(text, ": this value cannot be") == NULL);
	ASSERT(strlen(text) < sizeof(text) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf there;

	if (size == 0)
		return 0;
	enum serializer from = (enum serializer)(data[0] % SERIALIZER_COUNT);
	enum serializer to =
		(enum serializer)(data[0] / SERIALIZER_COUNT % SERIALIZER_COUNT);
	unsigned items = data[0] / (SERIALIZER_COUNT * SERIALIZER_COUNT) % 3;
	struct slice in = slice_of(data + 1, size - 1);
	buf_init(&there, SIZE_MAX / 4);
	int err = transcode(from, in, items, to, &there);
	if (err == 0)
		check(from, in, items, to, buf_slice(&there));
	else if (err == E_UNSUPPORTED)
		check_fault(from, in, items, to);
	buf_fini(&there);
	return 0;
}
