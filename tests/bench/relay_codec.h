/* SPDX-License-Identifier: Apache-2.0 */
/* The ids and texts in messages, for relay only: it trusts every message, and knows at
 * which places these are. Any thread. */
#ifndef TESTS_BENCH_RELAY_CODEC_H
#define TESTS_BENCH_RELAY_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum format { JSON, MSGPACK, CBOR, FORMATS };

static inline uint64_t read_be(const uint8_t **at, unsigned bytes)
{
	uint64_t n = 0;

	for (; bytes > 0; bytes--)
		n = n << 8 | *(*at)++;
	return n;
}

static inline uint8_t *put_be(uint8_t *p, uint64_t n, unsigned bytes)
{
	while (bytes-- > 0)
		*p++ = (uint8_t)(n >> 8 * bytes);
	return p;
}

static inline uint64_t read_id(enum format format, const uint8_t **at)
{
	const uint8_t *p = *at;
	unsigned bytes = 0;
	uint64_t n = *p;

	if (format == JSON) {
		for (n = 0; *p >= '0' && *p <= '9'; p++)
			n = n * 10 + (*p - '0');
		*at = p + 1;
		return n;
	}
	if (format == MSGPACK && *p >= 0xcc)
		bytes = 1u << (*p - 0xcc);
	else if (format == CBOR && *p >= 24)
		bytes = 1u << (*p - 24);
	p++;
	if (bytes > 0)
		n = read_be(&p, bytes);
	*at = p;
	return n;
}

/* Reads the text at *at, and moves *at behind it. */
static inline const uint8_t *read_text(enum format format, const uint8_t **at, size_t *len)
{
	const uint8_t *p = *at;
	unsigned code, bytes = 0;

	if (format == JSON) {
		const uint8_t *quote = rawmemchr(p + 1, '"');
		*len = (size_t)(quote - p) - 1;
		*at = quote + 2;
		return p + 1;
	}
	code = *p++ & 31;
	*len = code;
	if (format == MSGPACK && p[-1] >= 0xd9)
		bytes = 1u << (p[-1] - 0xd9);
	else if (format == CBOR && code >= 24)
		bytes = 1u << (code - 24);
	if (bytes > 0)
		*len = read_be(&p, bytes);
	*at = p + *len;
	return p;
}

static inline uint8_t *put_id(enum format format, uint8_t *p, uint64_t n)
{
	if (format == JSON) {
		uint8_t digits[20];
		unsigned count = 0;
		do
			digits[count++] = (uint8_t)('0' + n % 10);
		while ((n /= 10) > 0);
		while (count > 0)
			*p++ = digits[--count];
		*p++ = ',';
		return p;
	}
	if (n < 24) {
		*p++ = (uint8_t)n;
		return p;
	}
	*p++ = format == CBOR ? 0x1b : 0xcf;
	return put_be(p, n, 8);
}

static inline uint8_t *put_type(enum format format, uint8_t *p, unsigned count, unsigned type)
{
	if (format == JSON) {
		*p++ = '[';
		return put_id(format, p, type);
	}
	*p++ = (uint8_t)((format == CBOR ? 0x80 : 0x90) | count);
	if (format == CBOR && type >= 24)
		*p++ = 0x18;
	*p++ = (uint8_t)type;
	return p;
}

/* Writes an empty map and the head of [text]. */
static inline uint8_t *put_text_head(enum format format, uint8_t *p, size_t len)
{
	if (format == JSON) {
		memcpy(p, "{},[\"", 5);
		return p + 5;
	}
	*p++ = format == CBOR ? 0xa0 : 0x80;
	*p++ = format == CBOR ? 0x81 : 0x91;
	*p++ = format == CBOR ? 0x7a : 0xdb;
	return put_be(p, len, 4);
}

#endif
