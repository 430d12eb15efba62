/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP that a WebSocket server needs (RFC 9112, RFC 6455 section 4): one request head
 * by a strict grammar, and its answer. No bodies, no keep-alive. Pure code; any thread.
 *
 * Strict: lines end in CR LF, a header's name touches its colon, no folding, no control
 * characters. A request with a body is refused. Names of headers, and the tokens in
 * Upgrade and Connection, are compared without regard to case.
 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include "common/base.h"
#include "common/buf.h"

enum {
	HTTP_HEADERS_MAX = 256,     /* the most that a caller may let in */
	HTTP_ANSWER_MAX = 4 * 1024, /* bytes of an answer of ours */
};

enum http_status {
	HTTP_SWITCHING = 101,
	HTTP_OK = 200,
	HTTP_BAD_REQUEST = 400,
	HTTP_FORBIDDEN = 403,
	HTTP_NOT_FOUND = 404,
	HTTP_METHOD_NOT_ALLOWED = 405,
	HTTP_CONTENT_TOO_LARGE = 413,
	HTTP_URI_TOO_LONG = 414,
	HTTP_UPGRADE_REQUIRED = 426,
	HTTP_HEADERS_TOO_LARGE = 431,
	HTTP_INTERNAL = 500,
	HTTP_UNAVAILABLE = 503,
	HTTP_VERSION = 505,
};

struct http_header {
	struct slice name;
	struct slice value; /* without the spaces around it */
};

/* A request. All slices point into the head that was parsed. */
struct http_request {
	bool head_only; /* HEAD instead of GET */
	bool old;       /* HTTP/1.0, which has no upgrade */
	bool upgrade;   /* a correct request for WebSocket; else for a page */
	bool has_origin;
	const char *why;     /* of a refusal: a constant sentence; else NULL */
	struct slice path;   /* as sent, without the query */
	struct slice query;  /* after the '?', or empty */
	struct slice host;   /* may be missing in HTTP/1.0 */
	struct slice origin; /* of Origin or Sec-WebSocket-Origin */
	struct slice key;    /* Sec-WebSocket-Key: 24 characters */
	size_t n_headers;
	struct http_header headers[HTTP_HEADERS_MAX];
};

/*
 * Where does the head at the start of bytes end? The first `from` bytes were seen before.
 * 0 and the head's length with its empty line; E_AGAIN: more must be read; E_SYNTAX: it
 * can be no request any more; E_LIMIT: over max bytes.
 */
int http_head_end(struct slice bytes, size_t from, size_t max, size_t *len_out) MUSTCHECK;

/*
 * Parses a whole head, as measured by http_head_end, with at most max_headers headers
 * (HTTP_HEADERS_MAX itself at most). 0, or the status of the refusal (above 0). why and
 * head_only are right also after a refusal.
 */
int http_request_parse(struct slice head, size_t max_headers,
		       struct http_request *out) MUSTCHECK;

/*
 * Walks the comma-separated elements of all headers of one name, in order, as if they
 * were one list; empty elements are passed over. Start with a zeroed iterator. False at
 * the end.
 */
struct http_list {
	size_t header; /* the next one to look at */
	struct slice rest;
};
bool http_list_next(const struct http_request *req, const char *name,
		    struct http_list *it, struct slice *element_out);

/* Do two texts agree, ASCII letters without regard to case? */
bool http_same(struct slice a, const char *b);

/*
 * Does this origin ("https://example.com:8443") match one of the patterns, in which '*'
 * stands for any text? Without regard to case. The port may be left out of a pattern
 * where it is the scheme's own. A malformed origin matches nothing but "*".
 */
bool http_origin_allowed(struct slice origin, const char *const *patterns, size_t n);

/* Could a pattern of http_origin_allowed match any origin that a browser sends? */
bool http_pattern_matches(const char *pattern);

/*
 * Appends the answer 101. key is that of a request; subprotocol NULL: none. E_NOMEM, or
 * E_UNSUPPORTED where this system refuses SHA-1.
 */
int http_write_switching(struct buf *out, struct slice key,
			 const char *subprotocol) MUSTCHECK;

/*
 * Appends any other answer: text/plain, Connection: close, and the headers that the
 * status demands. text is one line of printable ASCII without a line feed. That of a
 * refusal (400 and above) also stands in the status line, since many clients show nothing
 * else. head_only: without the text, but with its length.
 */
void http_write_answer(struct buf *out, int status, const char *text, bool head_only);

/* "Not Found" */
const char *http_status_text(int status);

#endif
