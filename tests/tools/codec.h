/* SPDX-License-Identifier: Apache-2.0 */
/* The load checker's own growing buffers, and its own CBOR and JSON: enough to write the
 * messages that it sends, and to find the numbers in those that it receives. One thread.
 */
#ifndef TESTS_TOOLS_CODEC_H
#define TESTS_TOOLS_CODEC_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool codec_json;    /* JSON, else CBOR */
static unsigned codec_pad; /* bytes of padding in each payload */

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *must(void *memory)
{
	if (memory == NULL)
		die("memory");
	return memory;
}

/* --- bytes --- */

struct bytes {
	uint8_t *data;
	size_t len;
	size_t size;
};

static void add(struct bytes *b, const void *data, size_t len)
{
	if (b->len + len > b->size) {
		b->size = (b->len + len) * 2;
		b->data = must(realloc(b->data, b->size));
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void drop(struct bytes *b, size_t len)
{
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

/* --- writing messages --- */

/* Writes a CBOR head: major type and number. */
static void put_head(struct bytes *b, unsigned major, uint64_t n)
{
	uint8_t head[9];
	unsigned bytes = n < 24            ? 0
			 : n < 0x100       ? 1
			 : n < 0x10000     ? 2
			 : n < 0x100000000 ? 4
					   : 8;
	unsigned code = bytes == 0   ? (unsigned)n
			: bytes == 1 ? 24
			: bytes == 2 ? 25
			: bytes == 4 ? 26
				     : 27;

	head[0] = (uint8_t)(major << 5 | code);
	for (unsigned i = 0; i < bytes; i++)
		head[1 + i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
	add(b, head, 1 + bytes);
}

static void put_uint(struct bytes *b, uint64_t n)
{
	char text[24];

	if (codec_json)
		add(b, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, n));
	else
		put_head(b, 0, n);
}

static void put_text(struct bytes *b, const char *text)
{
	if (codec_json)
		add(b, "\"", 1);
	else
		put_head(b, 3, strlen(text));
	add(b, text, strlen(text));
	if (codec_json)
		add(b, "\"", 1);
}

static void put_list(struct bytes *b, size_t count)
{
	if (codec_json)
		add(b, "[", 1);
	else
		put_head(b, 4, count);
}

static void put_end(struct bytes *b)
{
	if (codec_json)
		add(b, "]", 1);
}

static void put_comma(struct bytes *b)
{
	if (codec_json)
		add(b, ",", 1);
}

/* Writes a map that is given in JSON and in CBOR. */
static void put_map(struct bytes *b, const char *json, const char *cbor, size_t cbor_len)
{
	if (codec_json)
		add(b, json, strlen(json));
	else
		add(b, cbor, cbor_len);
}

static void put_payload(struct bytes *b, uint64_t sender, uint64_t sequence)
{
	static char *padding;

	if (padding == NULL) {
		padding = must(malloc(codec_pad + 1u));
		memset(padding, 'x', codec_pad);
		padding[codec_pad] = '\0';
	}
	put_list(b, codec_pad ? 3 : 2);
	put_uint(b, sender);
	put_comma(b);
	put_uint(b, sequence);
	if (codec_pad) {
		put_comma(b);
		put_text(b, padding);
	}
	put_end(b);
}

/* Writes a message. Each letter of format is one element: u uint64_t, s string, { the
 * options {}, a {"acknowledge": true}, r HELLO's details, p the payload [sender,
 * sequence, padding] (two uint64_t). */
static void put_message(struct bytes *b, const char *format, ...)
{
	static const char roles_json[] = "{\"roles\":{\"caller\":{},\"callee\":{},"
					 "\"publisher\":{},\"subscriber\":{}}}";
	static const char roles_cbor[] = "\xa1\x65roles\xa4\x66"
					 "caller\xa0\x66"
					 "callee\xa0\x69publisher\xa0\x6asubscriber\xa0";
	static const char ack_json[] = "{\"acknowledge\":true}";
	static const char ack_cbor[] = "\xa1\x6b"
				       "acknowledge\xf5";
	va_list ap;

	va_start(ap, format);
	put_list(b, strlen(format));
	for (const char *f = format; *f; f++) {
		if (f != format)
			put_comma(b);
		if (*f == 'u') {
			put_uint(b, va_arg(ap, uint64_t));
		} else if (*f == 's') {
			put_text(b, va_arg(ap, const char *));
		} else if (*f == '{') {
			put_map(b, "{}", "\xa0", 1);
		} else if (*f == 'a') {
			put_map(b, ack_json, ack_cbor, sizeof(ack_cbor) - 1);
		} else if (*f == 'r') {
			put_map(b, roles_json, roles_cbor, sizeof(roles_cbor) - 1);
		} else {
			uint64_t sender = va_arg(ap, uint64_t);
			put_payload(b, sender, va_arg(ap, uint64_t));
		}
	}
	put_end(b);
	va_end(ap);
}

/* --- reading messages --- */

enum { MAX_ARGS = 4 };

/* The numbers of a message: those at the top, and those in the first list. */
struct message {
	uint64_t top[4];
	unsigned tops;
	uint64_t arg[MAX_ARGS];
	unsigned args;
};

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static void keep(struct message *m, unsigned depth, bool in_list, uint64_t n)
{
	if (depth == 1 && m->tops < 4)
		m->top[m->tops++] = n;
	else if (depth == 2 && in_list && m->args < MAX_ARGS)
		m->arg[m->args++] = n;
}

static uint64_t read_head(struct reader *r, unsigned *major, bool *indefinite)
{
	unsigned code, bytes;
	uint64_t n = 0;

	if (r->at == r->end) {
		r->bad = true;
		return 0;
	}
	*major = *r->at >> 5;
	code = *r->at++ & 31;
	*indefinite = code == 31;
	if (code < 24 || code == 31)
		return code;
	bytes = 1u << (code - 24);
	if (code > 27 || (size_t)(r->end - r->at) < bytes) {
		r->bad = true;
		return 0;
	}
	while (bytes--)
		n = n << 8 | *r->at++;
	return n;
}

static void read_cbor(struct reader *r, struct message *m, unsigned depth, bool in_list)
{
	unsigned major = 7;
	bool indefinite = false;
	uint64_t n = read_head(r, &major, &indefinite);

	if (r->bad || depth > 60) {
		r->bad = true;
	} else if (major == 0) {
		keep(m, depth, in_list, n);
	} else if (major == 2 || major == 3) {
		if (indefinite || n > (uint64_t)(r->end - r->at))
			r->bad = true;
		else
			r->at += n;
	} else if (major == 4 || major == 5) {
		uint64_t items = indefinite ? UINT64_MAX : major == 5 ? n * 2 : n;
		for (uint64_t i = 0; i < items && !r->bad; i++) {
			if (indefinite && r->at < r->end && *r->at == 0xff) {
				r->at++;
				break;
			}
			read_cbor(r, m, depth + 1, major == 4);
		}
	}
}

static void skip_json_string(struct reader *r)
{
	r->at++;
	while (r->at < r->end && *r->at != '"')
		r->at += *r->at == '\\' ? 2 : 1;
	if (r->at >= r->end)
		r->bad = true;
	else
		r->at++;
}

static void read_json(struct reader *r, struct message *m, unsigned depth, bool in_list)
{
	while (r->at < r->end && strchr(" \t\r\n,:", *r->at))
		r->at++;
	if (r->at >= r->end || depth > 60) {
		r->bad = true;
	} else if (*r->at == '"') {
		skip_json_string(r);
	} else if (*r->at == '[' || *r->at == '{') {
		bool list = *r->at == '[';
		r->at++;
		while (!r->bad && r->at < r->end && *r->at != ']' && *r->at != '}') {
			read_json(r, m, depth + 1, list);
			while (r->at < r->end && strchr(" ,:", *r->at))
				r->at++;
		}
		if (r->at < r->end)
			r->at++;
		else
			r->bad = true;
	} else if (*r->at >= '0' && *r->at <= '9') {
		uint64_t n = 0;
		while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
			n = n * 10 + (*r->at++ - '0');
		keep(m, depth, in_list, n);
	} else {
		while (r->at < r->end && !strchr(",]}", *r->at))
			r->at++;
	}
}

static bool read_message(const uint8_t *data, size_t len, struct message *m)
{
	struct reader r = {.at = data, .end = data + len};

	memset(m, 0, sizeof(*m));
	if (codec_json)
		read_json(&r, m, 0, false);
	else
		read_cbor(&r, m, 0, false);
	return !r.bad && r.at == r.end && m->tops > 0;
}

#endif
