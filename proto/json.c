/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader for JSON (RFC 8259, and "Binary conversion of JSON Strings" of the WAMP
 * specification); see token.h. The writer is json_write.c. No state; any thread.
 *
 * A string value that begins with \u0000 is a binary in base64. A key is never a binary;
 * Autobahn does the same. An escape that gives an unpaired surrogate is an error, because
 * no other encoding can express such a text. NaN and Infinity are not JSON, but Python
 * writes them; their error is E_NAN.
 */
#include "proto/json_int.h"

#include <math.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { NUMBER_MAX = 400 }; /* characters; longer ones are not converted to doubles */

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p <= ' ' &&
	       (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* --- strings --- */

/*
 * Returns the first quote, backslash or control character, or end. Sets *high if a byte
 * before it is not ASCII, so that only such strings are checked for UTF-8.
 */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end, bool *high)
{
	unsigned seen = 0;
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'),
		      control = _mm_set1_epi8(0x1f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i special =
			_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote),
						  _mm_cmpeq_epi8(v, backslash)),
				     _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
		unsigned mask = (unsigned)_mm_movemask_epi8(special);
		unsigned top = (unsigned)_mm_movemask_epi8(v);

		if (mask != 0) {
			/* Of the last 16 bytes, look only at those before the special
			 * one. */
			*high |= ((seen | (top & (mask ^ (mask - 1)))) != 0);
			return p + __builtin_ctz(mask);
		}
		seen |= top;
	}
#endif
	while (p < end && *p >= 0x20 && *p != '"' && *p != '\\')
		seen |= *p++ & 0x80;
	*high |= seen != 0;
	return p;
}

static int hex_digit(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads four hexadecimal digits. */
static int read_hex4(const uint8_t **pp, const uint8_t *end, uint32_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		if (*pp == end)
			return E_TRUNCATED;
		int digit = hex_digit(*(*pp)++);
		if (digit < 0)
			return E_SYNTAX;
		v = v << 4 | (uint32_t)digit;
	}
	*out = v;
	return 0;
}

/*
 * Reads the escape whose backslash *pp points at. *out gets the character. After
 * E_SURROGATE *pp is past the escape.
 */
static int read_escape(const uint8_t **pp, const uint8_t *end, uint32_t *out)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	uint32_t low;

	if (bytes_left(*pp, end) < 2)
		return E_TRUNCATED;
	uint8_t c = (*pp)[1];
	*pp += 2;
	if (c != 'u') {
		const char *at = memchr(names, c, sizeof(names) - 1);
		if (at == NULL)
			return E_SYNTAX;
		*out = (uint8_t)values[at - names];
		return 0;
	}
	int err = read_hex4(pp, end, out);
	if (err != 0 || *out < 0xd800 || *out > 0xdfff)
		return err;
	if (*out > 0xdbff)
		return E_SURROGATE;
	/* This is the first half of a surrogate pair, so the second must follow. */
	if (*pp == end || (**pp == '\\' && *pp + 1 == end))
		return E_TRUNCATED;
	if ((*pp)[0] != '\\' || (*pp)[1] != 'u')
		return E_SURROGATE;
	*pp += 2;
	err = read_hex4(pp, end, &low);
	if (err != 0)
		return err;
	if (low < 0xdc00 || low > 0xdfff)
		return E_SURROGATE;
	*out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
	return 0;
}

/* The slow path of scan_string: the string is not only plain ASCII. */
static NOINLINE int scan_string_slow(const uint8_t **pp, const uint8_t *end,
				     struct slice *text_out, bool *escaped_out)
{
	const uint8_t *from = *pp + 1, *p = from;
	bool high = false;
	int value_err = 0;

	*escaped_out = false;
	for (;;) {
		p = skip_plain(p, end, &high);
		if (p == end)
			return E_TRUNCATED;
		if (*p == '"')
			break;
		if (*p != '\\')
			return E_SYNTAX;
		uint32_t c;
		int err = read_escape(&p, end, &c);
		if (err == E_SURROGATE)
			value_err = err;
		else if (err != 0)
			return err;
		*escaped_out = true;
	}
	*text_out = slice_of(from, bytes_left(from, p));
	*pp = p + 1;
	return high && !utf8_valid(*text_out) ? E_UTF8 : value_err;
}

/*
 * Reads the string whose opening quote *pp points at. *text_out gets the text between the
 * quotes. *pp is past the string even after the error of a wrong value
 * (token_is_value_error).
 */
static inline int scan_string(const uint8_t **pp, const uint8_t *end,
			      struct slice *text_out, bool *escaped_out)
{
	const uint8_t *from = *pp + 1;
	bool high = false;
	const uint8_t *p = skip_plain(from, end, &high);

	if (UNLIKELY(p == end || *p != '"' || high))
		return scan_string_slow(pp, end, text_out, escaped_out);
	*text_out = slice_of(from, bytes_left(from, p));
	*escaped_out = false;
	*pp = p + 1;
	return 0;
}

static size_t put_utf8(uint8_t *to, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		to[i] = (uint8_t)(0x80 | (c & 0x3f));
	/* The first byte begins with n one bits and a zero bit, or only a zero bit if n
	 * is 1. */
	to[0] = (uint8_t)(n == 1 ? c : 0xf00 >> n | c);
	return n;
}

/*
 * Replaces the escapes of a checked string. `to` has room for text.len bytes, which is
 * enough: a character is never longer than its escape.
 */
static size_t unescape(struct slice text, uint8_t *to)
{
	const uint8_t *p = text.p, *end = text.p + text.len;
	uint8_t *from = to;

	while (p < end) {
		const uint8_t *stop = memchr(p, '\\', bytes_left(p, end));
		size_t n = bytes_left(p, stop == NULL ? end : stop);
		uint32_t c;

		memcpy(to, p, n);
		to += n;
		p += n;
		if (stop == NULL)
			break;
		int err = read_escape(&p, end, &c);
		ASSERT(err == 0);
		to += put_utf8(to, c);
	}
	return bytes_left(from, to);
}

/* --- binaries --- */

/*
 * Reads a character of base64, which may be escaped ("\/"). Returns its value, 64 for
 * '=', or -1 for any other character.
 */
static int base64_next(const uint8_t **pp, const uint8_t *end)
{
	uint32_t c = **pp;

	if (c != '\\')
		++*pp;
	else if (read_escape(pp, end, &c) != 0)
		return -1;
	if (c >= 'A' && c <= 'Z')
		return (int)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (int)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (int)(c - '0') + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return c == '=' ? 64 : -1;
}

/*
 * Decodes base64 (RFC 4648, section 4, with padding) to `to`, or only checks it if `to`
 * is NULL. The result is never longer than the text.
 */
static int base64_decode(struct slice text, uint8_t *to, size_t *len_out)
{
	const uint8_t *p = text.p, *end = text.p + text.len;
	unsigned chars = 0, padding = 0;
	uint32_t bits = 0;
	size_t len = 0;

	while (p < end) {
		int v = base64_next(&p, end);

		/* Allow '=' only as the last one or two of four characters, at the
		 * end. */
		if (v < 0 || (v == 64 && chars < 2) || (v != 64 && padding > 0))
			return E_BASE64;
		padding += v == 64;
		bits = bits << 6 | (v & 0x3f);
		if (++chars < 4)
			continue;
		for (unsigned i = 0; i < 3 - padding; i++, len++)
			if (to != NULL)
				to[len] = (uint8_t)(bits >> (16 - 8 * i));
		if (padding > 0 && p < end)
			return E_BASE64;
		chars = 0;
		bits = 0;
	}
	*len_out = len;
	return chars == 0 ? 0 : E_BASE64;
}

static int json_text(const struct token *t, struct buf *scratch, struct slice *out)
{
	uint8_t *to = buf_reserve(scratch, t->text.len);
	size_t len = 0;

	if (to == NULL)
		return scratch->err;
	if (t->type == TOKEN_BIN) {
		int err = base64_decode(t->text, to, &len);
		if (err != 0)
			return err;
	} else {
		len = unescape(t->text, to);
	}
	buf_commit(scratch, len);
	*out = slice_of(to, len);
	return 0;
}

/* --- scalars --- */

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/* Skips at least one digit. */
static inline int scan_digits(const uint8_t **pp, const uint8_t *end)
{
	const uint8_t *p = skip_digits(*pp, end);

	if (p == *pp)
		return p == end ? E_TRUNCATED : E_SYNTAX;
	*pp = p;
	return 0;
}

static inline int scan_literal(const uint8_t **pp, const uint8_t *end, const char *name,
			       size_t len)
{
	size_t n = min_size(len, bytes_left(*pp, end));

	if (memcmp(*pp, name, n) != 0)
		return E_SYNTAX;
	*pp += n;
	return n == len ? 0 : E_TRUNCATED;
}

/*
 * Handles a text that is neither a number nor another valid value. After NaN, Infinity or
 * -Infinity returns E_NAN, with *pp past the value.
 */
static NOINLINE int scan_no_number(const uint8_t **pp, const uint8_t *end)
{
	int err = E_SYNTAX;

	if (**pp == 'N') {
		err = scan_literal(pp, end, "NaN", 3);
	} else {
		*pp += **pp == '-';
		err = scan_literal(pp, end, "Infinity", 8);
	}
	return err == 0 ? E_NAN : err;
}

static inline int scan_number(const uint8_t **pp, const uint8_t *end, bool *integer_out)
{
	const uint8_t *p = *pp;
	bool integer = true;
	int err = 0;

	if (*p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else
		err = scan_digits(&p, end);
	if (UNLIKELY(err != 0))
		return scan_no_number(pp, end);
	if (p < end && *p == '.') {
		integer = false;
		p++;
		err = scan_digits(&p, end);
	}
	if (err == 0 && p < end && (*p | 0x20) == 'e') {
		integer = false;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		err = scan_digits(&p, end);
	}
	*pp = p;
	*integer_out = integer;
	return err;
}

/* Converts a number to an integer. False if it does not fit in 64 bits. */
static bool parse_integer(struct slice text, struct token *out)
{
	bool negative = text.p[0] == '-';
	uint64_t v = 0;

	for (size_t i = negative; i < text.len; i++) {
		unsigned digit = text.p[i] - '0';

		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			return false;
	}
	if (!negative || v == 0) {
		out->type = TOKEN_UINT;
		out->u = v;
		return true;
	}
	if (v > (uint64_t)INT64_MAX + 1)
		return false;
	out->type = TOKEN_NEGINT;
	out->i = (int64_t)(0 - v);
	return true;
}

/* Converts a number that parse_integer cannot convert. */
static NOINLINE void parse_double(struct slice text, bool integer, struct token *out)
{
	char copy[NUMBER_MAX + 1]; /* strtod needs a terminator */

	out->d = INFINITY;
	if (text.len <= NUMBER_MAX) {
		memcpy(copy, text.p, text.len);
		copy[text.len] = '\0';
		out->d = strtod(copy, NULL);
	}
	out->text = text;
	out->type = integer ? TOKEN_BIGINT : isinf(out->d) ? TOKEN_OPAQUE : TOKEN_DOUBLE;
}

/* --- structure --- */

/*
 * Reads any value except an array or object. If keep is true, stores the value in *out,
 * and out->encoded must be false before the call. Otherwise *out is scratch. Callers pass
 * a constant for keep, so that the compiler can then remove *out.
 */
static ALWAYS_INLINE int scan_scalar(const uint8_t **pp, const uint8_t *end, bool keep,
				     struct token *out)
{
	const uint8_t *from = *pp;
	bool integer;
	size_t len;
	int err;

	if (*from == '"') {
		err = scan_string(pp, end, &out->text, &out->encoded);
		out->type = TOKEN_STR;
		if (err != 0 || LIKELY(!out->encoded) ||
		    !slice_begins(out->text, JSON_BINARY_MARK))
			return err;
		out->type = TOKEN_BIN;
		out->text = slice_from(out->text, strlen(JSON_BINARY_MARK));
		return base64_decode(out->text, NULL, &len);
	}
	if (*from == '-' || is_digit(*from)) {
		err = scan_number(pp, end, &integer);
		struct slice text = slice_of(from, bytes_left(from, *pp));

		if (keep && err == 0 && !(integer && parse_integer(text, out)))
			parse_double(text, integer, out);
		return err;
	}
	out->type = *from == 'n' ? TOKEN_NULL : TOKEN_BOOL;
	out->b = *from == 't';
	if (*from == 't')
		return scan_literal(pp, end, "true", 4);
	if (*from == 'f')
		return scan_literal(pp, end, "false", 5);
	if (*from == 'n')
		return scan_literal(pp, end, "null", 4);
	return scan_no_number(pp, end);
}

/* Reads a key, its colon and the white space around them. */
static inline int scan_key(const uint8_t **pp, const uint8_t *end, unsigned *lenient)
{
	struct slice text;
	bool escaped;

	*pp = skip_space(*pp, end);
	if (*pp == end)
		return E_TRUNCATED;
	if (**pp != '"')
		return E_SYNTAX;
	int err = scan_string(pp, end, &text, &escaped);
	if (UNLIKELY(err != 0))
		err = token_tolerate(lenient, err);
	if (err != 0)
		return err;
	*pp = skip_space(*pp, end);
	if (*pp == end)
		return E_TRUNCATED;
	if (*(*pp)++ != ':')
		return E_SYNTAX;
	*pp = skip_space(*pp, end);
	return 0;
}

/* The containers that scan_value has open. */
struct json_nesting {
	uint64_t maps; /* a bit per container, 1 for an object; bit 0 is the innermost */
	unsigned depth, max;
	unsigned *lenient; /* the reader's */
};

/*
 * Reads an opening bracket, and the first key of an object unless the object is empty.
 * *empty_out gets true if the closing bracket is next.
 */
static inline int scan_open(const uint8_t **pp, const uint8_t *end,
			    struct json_nesting *n, bool *empty_out)
{
	bool is_map = **pp == '{';

	if (n->depth == n->max)
		return E_DEPTH;
	n->depth++;
	n->maps = n->maps << 1 | is_map;
	*pp = skip_space(*pp + 1, end);
	*empty_out = *pp < end && **pp == (is_map ? '}' : ']');
	return is_map && !*empty_out ? scan_key(pp, end, n->lenient) : 0;
}

/*
 * Reads closing brackets, then a comma (in an object also the next key), or stops after
 * the outermost container.
 */
static inline int scan_close(const uint8_t **pp, const uint8_t *end,
			     struct json_nesting *n)
{
	while (n->depth > 0) {
		*pp = skip_space(*pp, end);
		if (*pp == end)
			return E_TRUNCATED;
		uint8_t c = *(*pp)++;
		bool is_map = n->maps & 1;
		if (c == (is_map ? '}' : ']')) {
			n->depth--;
			n->maps >>= 1;
			continue;
		}
		if (c != ',')
			return E_SYNTAX;
		if (is_map)
			return scan_key(pp, end, n->lenient);
		*pp = skip_space(*pp, end);
		return 0;
	}
	return 0;
}

/* Reads the value at *pp with everything inside it, nested at most `room` levels deep. */
static int scan_value(const uint8_t **pp, const uint8_t *end, unsigned room,
		      unsigned *lenient)
{
	struct json_nesting n = {.max = room, .lenient = lenient};
	struct token scratch;
	int err;

	do {
		if (*pp == end)
			return E_TRUNCATED;
		if (**pp == '[' || **pp == '{') {
			bool empty;

			err = scan_open(pp, end, &n, &empty);
			if (err == 0 && !empty)
				continue; /* the first value is next */
			if (UNLIKELY(err == E_DEPTH))
				err = token_pass_deep(SERIALIZER_JSON, &codec_json,
						      lenient, pp, end);
		} else {
			err = scan_scalar(pp, end, false, &scratch);
			if (UNLIKELY(err != 0))
				err = token_tolerate(lenient, err);
		}
		if (err == 0)
			err = scan_close(pp, end, &n);
		if (err != 0)
			return err;
	} while (n.depth > 0);
	return 0;
}

/*
 * Reads the separator before the next item of the innermost container. Sets *pp to the
 * item. If the container's closing bracket is next instead, sets *pp to the bracket and
 * *closed_out to true.
 */
static inline int scan_separator(const struct token_reader *r, const uint8_t **pp,
				 bool *closed_out)
{
	const struct token_frame *f = &r->open[r->depth];
	const uint8_t *p = skip_space(r->pos, r->end);
	bool is_map = f->kind == TOKEN_MAP;

	*closed_out = false;
	if (p == r->end)
		return E_TRUNCATED;
	if (is_map && f->seen % 2 == 1) {
		/* A key was read; its value must follow. */
		if (*p != ':')
			return E_SYNTAX;
	} else if (r->depth > 0 && *p == (is_map ? '}' : ']')) {
		*closed_out = true;
		*pp = p;
		return 0;
	} else if (f->seen == 0) {
		*pp = p;
		return 0;
	} else if (*p != ',') {
		return E_SYNTAX;
	}
	*pp = skip_space(p + 1, r->end);
	return *pp == r->end ? E_TRUNCATED : 0;
}

static inline bool key_is_due(const struct token_frame *f)
{
	return f->kind == TOKEN_MAP && f->seen % 2 == 0;
}

static int json_skip(struct token_reader *r, struct slice *item_out)
{
	struct token_frame *f = &r->open[r->depth];
	struct slice text;
	const uint8_t *p;
	bool flag;

	int err = scan_separator(r, &p, &flag);
	if (err != 0)
		return err;
	if (flag)
		return E_TYPE;
	const uint8_t *from = p;
	if (!key_is_due(f)) {
		err = scan_value(&p, r->end, WAMP_MAX_DEPTH - r->depth, r->lenient);
	} else {
		err = *p == '"' ? scan_string(&p, r->end, &text, &flag) : E_SYNTAX;
		if (UNLIKELY(err != 0))
			err = token_tolerate(r->lenient, err);
	}
	if (err != 0)
		return err;
	f->seen++;
	r->pos = p;
	if (item_out != NULL)
		*item_out = slice_of(from, bytes_left(from, p));
	return 0;
}

/* Handles an error in a scalar or a key: 0 if the reader is lenient and may go on. */
static NOINLINE int tolerate(struct token_reader *r, int err, struct token *out)
{
	out->type = err == E_NAN ? TOKEN_OPAQUE : TOKEN_STR;
	out->encoded = false;
	return token_tolerate(r->lenient, err);
}

static int json_next(struct token_reader *r, struct token *out)
{
	struct token_frame *f = &r->open[r->depth];
	const uint8_t *p;
	bool closed;

	int err = scan_separator(r, &p, &closed);
	if (err != 0)
		return err;
	out->encoded = false;
	out->tagged = false;
	if (closed) {
		r->pos = p + 1;
		r->depth--;
		out->type = TOKEN_END;
		return 0;
	}
	if (*p == '[' || *p == '{') {
		if (key_is_due(f))
			return E_SYNTAX;
		out->type = *p == '{' ? TOKEN_MAP : TOKEN_ARRAY;
		out->count = TOKEN_COUNT_UNKNOWN;
		f->seen++;
		r->pos = p + 1;
		return frame_push(r, out->type, TOKEN_COUNT_UNKNOWN);
	}
	if (!key_is_due(f)) {
		err = scan_scalar(&p, r->end, true, out);
	} else {
		out->type = TOKEN_STR;
		err = *p == '"' ? scan_string(&p, r->end, &out->text, &out->encoded)
				: E_SYNTAX;
	}
	if (UNLIKELY(err != 0))
		err = tolerate(r, err, out);
	if (err != 0)
		return err;
	f->seen++;
	r->pos = p;
	return 0;
}

static enum token_type json_container(struct slice item)
{
	if (item.p[0] == '[')
		return TOKEN_ARRAY;
	return item.p[0] == '{' ? TOKEN_MAP : TOKEN_OPAQUE;
}

const struct token_codec codec_json = {
	.next = json_next,
	.skip = json_skip,
	.text = json_text,
	.container = json_container,
	.put = json_put,
	.put_content = json_put_content,
	.put_special = json_put_special,
};
