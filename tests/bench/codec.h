/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's own JSON, MessagePack and CBOR: growing buffers, a writer, and a reader
 * that walks over values without allocating. It shares no code with the router's codecs,
 * because the same mistake on both sides would not be noticed. One thread. */
#ifndef TESTS_BENCH_CODEC_H
#define TESTS_BENCH_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum format {
	FORMAT_JSON = 0,
	FORMAT_MSGPACK = 1,
	FORMAT_CBOR = 2,
	FORMAT_COUNT = 3,
};

/* "json", "msgpack", "cbor". */
extern const char *const format_names[FORMAT_COUNT];

/* The format with this name, which need not end with a zero; FORMAT_COUNT if there is
 * none. */
enum format format_by_name(const char *name, size_t len);

/* Prints what failed, with errno, and exits with status 1. */
__attribute__((noreturn)) void die(const char *what);

/* Returns memory; exits if it is NULL. */
void *must(void *memory);

/* --- growing bytes --- */

struct bytes {
	uint8_t *data;
	size_t len;
	size_t size;
};

/* Makes room for len more bytes and returns its address. The caller adds to b->len. */
uint8_t *bytes_room(struct bytes *b, size_t len);
void bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_drop(struct bytes *b, size_t len);
void bytes_fini(struct bytes *b);

/* --- writing: the buffer holds one message --- */

struct writer {
	struct bytes *out;
	enum format format;
};

void put_list(const struct writer *w, unsigned count);
void put_map(const struct writer *w, unsigned count);
/* Ends a list (closer ']') or a map ('}'). */
void put_end(const struct writer *w, char closer);
/* Writes a key of a map. The next value belongs to it. */
void put_key(const struct writer *w, const char *key);
void put_uint(const struct writer *w, uint64_t n);
/* Writes a text that needs no escapes. */
void put_text(const struct writer *w, const char *text, size_t len);
void put_string(const struct writer *w, const char *text);
void put_null(const struct writer *w);
void put_true(const struct writer *w);

/* --- reading --- */

enum kind { KIND_UINT, KIND_TEXT, KIND_LIST, KIND_MAP, KIND_OTHER };

struct item {
	enum kind kind;
	uint64_t number;     /* of KIND_UINT */
	const uint8_t *data; /* text: without head and quotes; else the whole value */
	size_t len;
};

struct reader {
	enum format format;
	const uint8_t *at;
	const uint8_t *end;
	uint64_t left; /* values; UINT64_MAX: until the closing sign */
	bool bad;      /* the input is malformed */
};

/* A reader of the values of a list, or of the keys and values of a map. */
struct reader read_into(enum format format, const struct item *container);

/* Reads the next value. False at the end of the container, and if the input is malformed.
 */
bool read_next(struct reader *r, struct item *out);

/* Reads a list that fills all of data and has at most max elements. Returns their number,
 * 0 if data is anything else. */
unsigned read_list(enum format format, const uint8_t *data, size_t len,
		   struct item *items, unsigned max);

/* Finds the value of a key. False if there is none. */
bool read_key(enum format format, const struct item *map, const char *key,
	      struct item *out);

bool item_is(const struct item *item, const char *text);

#endif
