/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's JSON, MessagePack and CBOR: see codec.h. */
#include "tests/bench/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

const char *const format_names[FORMAT_COUNT] = {"json", "msgpack", "cbor"};

enum format format_by_name(const char *name, size_t len)
{
	for (unsigned f = 0; f < FORMAT_COUNT; f++)
		if (strlen(format_names[f]) == len &&
		    memcmp(format_names[f], name, len) == 0)
			return (enum format)f;
	return FORMAT_COUNT;
}

void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

void *must(void *memory)
{
	if (memory == NULL)
		die("memory");
	return memory;
}

/* --- bytes --- */

uint8_t *bytes_room(struct bytes *b, size_t len)
{
	if (b->len + len > b->size) {
		b->size = (b->len + len) * 2;
		b->data = must(realloc(b->data, b->size));
	}
	return b->data + b->len;
}

void bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(bytes_room(b, len), data, len);
	b->len += len;
}

void bytes_drop(struct bytes *b, size_t len)
{
	b->len -= len;
	if (b->len > 0)
		memmove(b->data, b->data + len, b->len);
}

void bytes_fini(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

/* --- writing --- */

static void put_byte(struct bytes *b, unsigned byte)
{
	*bytes_room(b, 1) = (uint8_t)byte;
	b->len++;
}

static void put_big_endian(struct bytes *b, uint64_t n, unsigned bytes)
{
	uint8_t *p = bytes_room(b, bytes);

	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
	b->len += bytes;
}

/* Writes a comma if JSON needs one here: after a value, but not after an opener or a key.
 */
static void json_separate(struct bytes *b)
{
	if (b->len > 0 && strchr("[{:,", b->data[b->len - 1]) == NULL)
		put_byte(b, ',');
}

static void cbor_head(struct bytes *b, unsigned major, uint64_t n)
{
	unsigned log = n < 0x100 ? 0 : n < 0x10000 ? 1 : n <= UINT32_MAX ? 2 : 3;

	if (n < 24) {
		put_byte(b, major << 5 | (unsigned)n);
		return;
	}
	put_byte(b, major << 5 | (24 + log));
	put_big_endian(b, n, 1u << log);
}

/* The shortest MessagePack head: fix | n for n up to max, else a code from first on and
 * n. */
static void msgpack_head(struct bytes *b, unsigned fix, uint64_t max, unsigned first,
			 unsigned smallest_log, uint64_t n)
{
	unsigned log = n < 0x100 ? 0 : n < 0x10000 ? 1 : n <= UINT32_MAX ? 2 : 3;

	if (n <= max) {
		put_byte(b, fix | (unsigned)n);
		return;
	}
	if (log < smallest_log)
		log = smallest_log;
	put_byte(b, first + log - smallest_log);
	put_big_endian(b, n, 1u << log);
}

void put_list(const struct writer *w, unsigned count)
{
	if (w->format == FORMAT_JSON) {
		json_separate(w->out);
		put_byte(w->out, '[');
	} else if (w->format == FORMAT_MSGPACK) {
		msgpack_head(w->out, 0x90, 15, 0xdc, 1, count);
	} else {
		cbor_head(w->out, 4, count);
	}
}

void put_map(const struct writer *w, unsigned count)
{
	if (w->format == FORMAT_JSON) {
		json_separate(w->out);
		put_byte(w->out, '{');
	} else if (w->format == FORMAT_MSGPACK) {
		msgpack_head(w->out, 0x80, 15, 0xde, 1, count);
	} else {
		cbor_head(w->out, 5, count);
	}
}

void put_end(const struct writer *w, char closer)
{
	if (w->format == FORMAT_JSON)
		put_byte(w->out, (unsigned char)closer);
}

void put_key(const struct writer *w, const char *key)
{
	put_string(w, key);
	if (w->format == FORMAT_JSON)
		put_byte(w->out, ':');
}

void put_uint(const struct writer *w, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	if (w->format == FORMAT_MSGPACK) {
		msgpack_head(w->out, 0, 0x7f, 0xcc, 0, n);
		return;
	}
	if (w->format == FORMAT_CBOR) {
		cbor_head(w->out, 0, n);
		return;
	}
	json_separate(w->out);
	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	bytes_add(w->out, digits + at, sizeof(digits) - at);
}

void put_text(const struct writer *w, const char *text, size_t len)
{
	if (w->format == FORMAT_JSON) {
		json_separate(w->out);
		put_byte(w->out, '"');
	} else if (w->format == FORMAT_MSGPACK) {
		msgpack_head(w->out, 0xa0, 31, 0xd9, 0, len);
	} else {
		cbor_head(w->out, 3, len);
	}
	bytes_add(w->out, text, len);
	if (w->format == FORMAT_JSON)
		put_byte(w->out, '"');
}

void put_string(const struct writer *w, const char *text)
{
	put_text(w, text, strlen(text));
}

void put_null(const struct writer *w)
{
	if (w->format == FORMAT_JSON) {
		json_separate(w->out);
		bytes_add(w->out, "null", 4);
	} else {
		put_byte(w->out, w->format == FORMAT_MSGPACK ? 0xc0 : 0xf6);
	}
}

void put_true(const struct writer *w)
{
	if (w->format == FORMAT_JSON) {
		json_separate(w->out);
		bytes_add(w->out, "true", 4);
	} else {
		put_byte(w->out, w->format == FORMAT_MSGPACK ? 0xc3 : 0xf5);
	}
}

/* --- reading --- */

static bool take(struct reader *r, uint64_t len)
{
	if ((uint64_t)(r->end - r->at) < len) {
		r->bad = true;
		return false;
	}
	r->at += len;
	return true;
}

static uint64_t take_number(struct reader *r, unsigned bytes)
{
	const uint8_t *p = r->at;
	uint64_t n = 0;

	if (!take(r, bytes))
		return 0;
	while (bytes--)
		n = n << 8 | *p++;
	return n;
}

static bool read_value(struct reader *r, struct item *out, unsigned depth);

static void skip_values(struct reader *r, uint64_t count, unsigned depth)
{
	struct item ignored;

	while (count-- > 0 && read_value(r, &ignored, depth + 1))
		;
}

static void read_text(struct reader *r, struct item *out, uint64_t len)
{
	out->kind = KIND_TEXT;
	out->data = r->at;
	out->len = len;
	take(r, len);
}

static void read_container(struct reader *r, struct item *out, enum kind kind,
			   uint64_t count, unsigned depth)
{
	const uint8_t *head = out->data;

	out->kind = kind;
	skip_values(r, kind == KIND_MAP ? count * 2 : count, depth);
	out->data = head;
}

/* A parsed MessagePack head: the kind, and a length, a count or a number. */
struct msgpack_head {
	enum kind kind;
	uint64_t n;
	uint64_t skip; /* length of a value that the reader skips */
};

static struct msgpack_head read_msgpack_head(struct reader *r)
{
	unsigned byte = *r->at++;

	if (byte < 0x80)
		return (struct msgpack_head){KIND_UINT, byte, 0};
	if (byte < 0x90)
		return (struct msgpack_head){KIND_MAP, byte & 15, 0};
	if (byte < 0xa0)
		return (struct msgpack_head){KIND_LIST, byte & 15, 0};
	if (byte < 0xc0)
		return (struct msgpack_head){KIND_TEXT, byte & 31, 0};
	if (byte >= 0xe0 || byte <= 0xc3)
		return (struct msgpack_head){KIND_OTHER, 0, 0};
	if (byte <= 0xc6) /* bin */
		return (struct msgpack_head){KIND_OTHER, 0,
					     take_number(r, 1u << (byte - 0xc4))};
	if (byte <= 0xc9) /* ext: a type byte precedes the data */
		return (struct msgpack_head){KIND_OTHER, 0,
					     1 + take_number(r, 1u << (byte - 0xc7))};
	if (byte <= 0xcb) /* float */
		return (struct msgpack_head){KIND_OTHER, 0, byte == 0xca ? 4 : 8};
	if (byte <= 0xcf)
		return (struct msgpack_head){KIND_UINT,
					     take_number(r, 1u << (byte - 0xcc)), 0};
	if (byte <= 0xd3) /* int: encoders normally send numbers from 0 on as uint */
		return (struct msgpack_head){KIND_UINT,
					     take_number(r, 1u << (byte - 0xd0)), 0};
	if (byte <= 0xd8) /* fixext */
		return (struct msgpack_head){KIND_OTHER, 0, 1 + (1u << (byte - 0xd4))};
	if (byte <= 0xdb)
		return (struct msgpack_head){KIND_TEXT,
					     take_number(r, 1u << (byte - 0xd9)), 0};
	return (struct msgpack_head){byte <= 0xdd ? KIND_LIST : KIND_MAP,
				     take_number(r, 2u << (byte & 1)), 0};
}

static void read_msgpack(struct reader *r, struct item *out, unsigned depth)
{
	struct msgpack_head head;

	out->data = r->at;
	head = read_msgpack_head(r);
	out->kind = head.kind;
	out->number = head.n;
	if (head.kind == KIND_TEXT)
		read_text(r, out, head.n);
	else if (head.kind == KIND_LIST || head.kind == KIND_MAP)
		read_container(r, out, head.kind, head.n, depth);
	else
		take(r, head.skip);
}

static void read_cbor_indefinite(struct reader *r, struct item *out, unsigned major,
				 unsigned depth)
{
	out->kind = major == 4 ? KIND_LIST : major == 5 ? KIND_MAP : KIND_OTHER;
	while (!r->bad && r->at < r->end && *r->at != 0xff)
		skip_values(r, 1, depth);
	take(r, 1);
}

static void read_cbor(struct reader *r, struct item *out, unsigned depth)
{
	unsigned major = *r->at >> 5, code = *r->at & 31;
	uint64_t n = code;

	out->data = r->at++;
	if (code == 31 && major >= 2 && major <= 5) {
		read_cbor_indefinite(r, out, major, depth);
		return;
	}
	if (code > 27)
		r->bad = true;
	else if (code >= 24)
		n = take_number(r, 1u << (code - 24));
	out->kind = KIND_OTHER;
	out->number = n;
	if (major == 0)
		out->kind = KIND_UINT;
	else if (major == 2)
		take(r, n);
	else if (major == 3)
		read_text(r, out, n);
	else if (major == 4 || major == 5)
		read_container(r, out, major == 4 ? KIND_LIST : KIND_MAP, n, depth);
	else if (major == 6)
		skip_values(r, 1, depth);
}

static void skip_space(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == ',' || *r->at == ':' ||
				  *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
}

/* Reads from after the opening quote to after the closing one. */
static void read_json_text(struct reader *r, struct item *out)
{
	const uint8_t *from = r->at, *quote = r->at;

	out->kind = KIND_TEXT;
	out->data = from;
	for (;;) {
		size_t escapes = 0;
		quote = memchr(quote, '"', (size_t)(r->end - quote));
		if (quote == NULL) {
			r->bad = true;
			return;
		}
		while (quote - escapes > from && quote[-1 - (ptrdiff_t)escapes] == '\\')
			escapes++;
		if (escapes % 2 == 0)
			break;
		quote++;
	}
	out->len = (size_t)(quote - from);
	r->at = quote + 1;
}

static void read_json(struct reader *r, struct item *out, unsigned depth)
{
	uint8_t byte = *r->at;
	uint64_t n = 0;

	out->data = r->at++;
	out->kind = KIND_OTHER;
	if (byte >= '0' && byte <= '9') {
		for (n = byte - '0'; r->at < r->end && *r->at >= '0' && *r->at <= '9';)
			n = n * 10 + (*r->at++ - '0');
		out->kind = KIND_UINT;
		out->number = n;
	} else if (byte == '"') {
		read_json_text(r, out);
	} else if (byte == '[' || byte == '{') {
		out->kind = byte == '[' ? KIND_LIST : KIND_MAP;
		for (skip_space(r); !r->bad && r->at < r->end && *r->at != byte + 2;
		     skip_space(r))
			skip_values(r, 1, depth);
		take(r, 1);
	}
	/* skip the rest of a fraction, a negative number or a word */
	if (out->kind == KIND_UINT || out->kind == KIND_OTHER) {
		while (r->at < r->end && strchr(",]}: \r\n\t", *r->at) == NULL) {
			out->kind = KIND_OTHER;
			r->at++;
		}
	}
}

static bool read_value(struct reader *r, struct item *out, unsigned depth)
{
	if (r->bad || r->at >= r->end || depth > MAX_DEPTH) {
		r->bad = true;
		return false;
	}
	if (r->format == FORMAT_CBOR)
		read_cbor(r, out, depth);
	else if (r->format == FORMAT_MSGPACK)
		read_msgpack(r, out, depth);
	else
		read_json(r, out, depth);
	if (out->kind != KIND_TEXT)
		out->len = (size_t)(r->at - out->data);
	return !r->bad;
}

struct reader read_into(enum format format, const struct item *container)
{
	struct reader r = {
		.format = format,
		.at = container->data,
		.end = container->data + container->len,
		.left = container->number,
	};
	bool map = container->kind == KIND_MAP;

	if (container->kind != KIND_LIST && !map)
		return (struct reader){.bad = true};
	if (format == FORMAT_JSON) {
		r.at++;
		r.left = UINT64_MAX;
	} else if (format == FORMAT_MSGPACK) {
		r.left = read_msgpack_head(&r).n << map;
	} else if ((*r.at & 31) == 31) {
		r.at++;
		r.left = UINT64_MAX;
	} else {
		unsigned code = *r.at++ & 31;
		r.left = (code < 24 ? code : take_number(&r, 1u << (code - 24))) << map;
	}
	return r;
}

bool read_next(struct reader *r, struct item *out)
{
	if (r->bad || r->left == 0)
		return false;
	if (r->format == FORMAT_JSON)
		skip_space(r);
	if (r->left == UINT64_MAX) {
		/* the caller has found the end of this container before: its last byte
		 * closes it */
		if (r->at + 1 >= r->end)
			return false;
	} else {
		r->left--;
	}
	return read_value(r, out, 1);
}

unsigned read_list(enum format format, const uint8_t *data, size_t len,
		   struct item *items, unsigned max)
{
	struct item whole = {.kind = KIND_LIST, .data = data, .len = len};
	struct reader r;
	unsigned count = 0;

	if (len < 2 ||
	    (format == FORMAT_JSON && (data[0] != '[' || data[len - 1] != ']')))
		return 0;
	if ((format == FORMAT_MSGPACK && data[0] >> 4 != 9) ||
	    (format == FORMAT_CBOR && data[0] >> 5 != 4))
		return 0;
	r = read_into(format, &whole);
	while (count < max && read_next(&r, &items[count]))
		count++;
	if (r.bad || r.at + (r.left == UINT64_MAX) != r.end)
		return 0;
	return count;
}

bool read_key(enum format format, const struct item *map, const char *key,
	      struct item *out)
{
	struct reader r = read_into(format, map);
	struct item name;

	while (read_next(&r, &name) && read_next(&r, out))
		if (item_is(&name, key))
			return true;
	return false;
}

bool item_is(const struct item *item, const char *text)
{
	return item->kind == KIND_TEXT && item->len == strlen(text) &&
	       memcmp(item->data, text, item->len) == 0;
}
