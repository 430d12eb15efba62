/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes, assertions, byte slices and small inline functions that every file uses. No
 * state; any thread.
 */
#ifndef COMMON_BASE_H
#define COMMON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUSTCHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)     __attribute__((format(printf, f, a)))
#define NORETURN              __attribute__((noreturn))
#define NOINLINE              __attribute__((noinline))
#define ALWAYS_INLINE         inline __attribute__((always_inline))
#define LIKELY(x)             __builtin_expect(!!(x), 1)
#define UNLIKELY(x)           __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)          (sizeof(a) / sizeof((a)[0]))
#define BIT(n)                (1u << (n))
#define container_of(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))

/* Logs file, line and condition, then aborts. */
void assert_failed(const char *file, int line, const char *cond) NORETURN;

/*
 * ASSERT checks an invariant of this program. It is compiled into every build. Data from
 * a peer, a file or another process must never make an ASSERT fail.
 */
#define ASSERT(cond)                                                                     \
	do {                                                                             \
		if (UNLIKELY(!(cond)))                                                   \
			assert_failed(__FILE__, __LINE__, #cond);                        \
	} while (0)

/*
 * DEBUG_ASSERT is for checks that cost more than a comparison. It is active in debug and
 * sanitizer builds only.
 */
#ifdef EXPENSIVE_CHECKS
#define DEBUG_ASSERT(cond) ASSERT(cond)
#else
#define DEBUG_ASSERT(cond) ((void)0)
#endif

/* A view of bytes that somebody else owns. p may be NULL only if len is 0. */
struct slice {
	const uint8_t *p;
	size_t len;
};

static inline struct slice slice_of(const void *p, size_t len)
{
	return (struct slice){.p = p, .len = len};
}

/* The bytes of a C string, without its terminator. NULL gives an empty slice. */
static inline struct slice slice_str(const char *s)
{
	return slice_of(s, s == NULL ? 0 : strlen(s));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

static inline bool slice_begins(struct slice s, const char *text)
{
	size_t n = strlen(text);

	return s.len >= n && memcmp(s.p, text, n) == 0;
}

/* The slice without its first n bytes. The caller makes sure that n <= s.len. */
static inline struct slice slice_from(struct slice s, size_t n)
{
	return slice_of(s.p + n, s.len - n);
}

/* The index of the first byte b in s, or s.len if there is none. */
static inline size_t slice_find(struct slice s, uint8_t b)
{
	const uint8_t *at = s.len == 0 ? NULL : memchr(s.p, b, s.len);

	return at == NULL ? s.len : (size_t)(at - s.p);
}

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The slice without white space at its two ends. */
static inline struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && is_space(s.p[0]))
		s = slice_from(s, 1);
	while (s.len > 0 && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

/*
 * Copies s to *pos, advances *pos past it and returns the copy. For strings that are
 * stored after a struct in the same allocation.
 */
static inline struct slice slice_store(uint8_t **pos, struct slice s)
{
	uint8_t *at = *pos;

	if (s.len > 0)
		memcpy(at, s.p, s.len);
	*pos += s.len;
	return slice_of(at, s.len);
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the byte order helpers above are written for little-endian machines"
#endif

#endif
