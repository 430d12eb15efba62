/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of HTTP that a WebSocket server needs (RFC 9112; RFC 6455, section 4), and the
 * part that the long-poll transport needs: it parses one request head strictly and writes
 * the answer. No state; any thread.
 *
 * Lines must end with CR LF. A space before a header's colon, folded lines and control
 * characters are errors. Only long-poll requests may have a body. Header names, and the
 * tokens in Upgrade and Connection, are compared without regard to case.
 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include "common/base.h"
#include "common/buf.h"

enum {
	HTTP_HEADERS_MAX = 256,     /* upper bound of http_request_parse's max_headers */
	HTTP_ANSWER_MAX = 4 * 1024, /* upper bound of the bytes of an answer */
	HTTP_ORIGIN_MAX = 300,      /* longer origins match only the pattern "*" */
};

/* The status codes and their reason phrases. */
#define HTTP_STATUSES(X)                                                                 \
	X(SWITCHING, 101, "Switching Protocols")                                         \
	X(OK, 200, "OK")                                                                 \
	X(NO_CONTENT, 204, "No Content")                                                 \
	X(BAD_REQUEST, 400, "Bad Request")                                               \
	X(FORBIDDEN, 403, "Forbidden")                                                   \
	X(NOT_FOUND, 404, "Not Found")                                                   \
	X(METHOD_NOT_ALLOWED, 405, "Method Not Allowed")                                 \
	X(LENGTH_REQUIRED, 411, "Length Required")                                       \
	X(CONTENT_TOO_LARGE, 413, "Content Too Large")                                   \
	X(URI_TOO_LONG, 414, "URI Too Long")                                             \
	X(UPGRADE_REQUIRED, 426, "Upgrade Required")                                     \
	X(HEADERS_TOO_LARGE, 431, "Request Header Fields Too Large")                     \
	X(INTERNAL, 500, "Internal Server Error")                                        \
	X(UNAVAILABLE, 503, "Service Unavailable")                                       \
	X(VERSION, 505, "HTTP Version Not Supported")

enum http_status {
#define X(name, code, phrase) HTTP_##name = (code),
	HTTP_STATUSES(X)
#undef X
};

struct http_header {
	struct slice name;
	struct slice value; /* without surrounding white space */
};

/* A parsed request. All slices point into the head. */
struct http_request {
	bool head_only; /* HEAD instead of GET */
	bool old;       /* HTTP/1.0, which cannot upgrade */
	bool upgrade;   /* a valid WebSocket request; false: a request for a page */
	bool has_origin;
	const char *why;     /* after a refusal: a constant sentence; else NULL */
	struct slice path;   /* as sent, without the query */
	struct slice host;   /* may be empty in HTTP/1.0 */
	struct slice origin; /* from Origin or Sec-WebSocket-Origin */
	struct slice key;    /* Sec-WebSocket-Key, 24 characters */
	/*
	 * A long-poll request: its path without poll_path and the '/' behind it. NULL: it
	 * is another request, and the fields below are not set.
	 */
	struct slice poll;
	struct slice method; /* as sent */
	size_t body_len;     /* Content-Length */
	bool keep_alive;     /* the client allows more requests on the connection */
	bool expects;        /* the client waits for 100 Continue */
	size_t n_headers;
	struct http_header headers[HTTP_HEADERS_MAX];
};

/*
 * Finds the end of the head at the start of bytes. An earlier call has searched the first
 * `from` bytes. 0: *len_out is the length of the head with its empty line. E_AGAIN: more
 * bytes are needed. E_SYNTAX: this is not a request. E_LIMIT: longer than max bytes.
 */
int http_head_end(struct slice bytes, size_t from, size_t max, size_t *len_out) MUSTCHECK;

/*
 * Parses a whole head, whose end http_head_end has found, with at most max_headers
 * headers (HTTP_HEADERS_MAX at most). Requests for paths below poll_path are long-poll
 * requests, with any method; NULL: there are none. Returns 0, or the HTTP status of the
 * refusal, which is positive. why and head_only are valid after a refusal, too, and so
 * are poll and the origin as far as they are known.
 */
int http_request_parse(struct slice head, size_t max_headers, const char *poll_path,
		       struct http_request *out) MUSTCHECK;

/*
 * Iterates over the comma-separated elements of all headers with one name, in order, as
 * if they were one list. Skips empty elements. Start with a zeroed iterator. False at the
 * end.
 */
struct http_list {
	size_t header; /* the next header to look at */
	struct slice rest;
};
bool http_list_next(const struct http_request *req, const char *name,
		    struct http_list *it, struct slice *element_out);

/* Are two texts equal, ignoring the case of ASCII letters? */
bool http_same(struct slice a, const char *b);

/*
 * Does an origin ("https://example.com:8443") match one of the patterns? '*' in a pattern
 * stands for any text; case is ignored. The scheme's default port may be left out of a
 * pattern or an origin. A malformed origin matches only "*".
 */
bool http_origin_allowed(struct slice origin, const char *const *patterns, size_t n);

/* Is there an origin that a browser may send and that matches this pattern? */
bool http_pattern_matches(const char *pattern);

/*
 * Appends the answer 101. key is the request's. subprotocol and extensions may be NULL.
 * E_NOMEM, E_LIMIT.
 */
int http_write_switching(struct buf *out, struct slice key, const char *subprotocol,
			 const char *extensions) MUSTCHECK;

/*
 * Appends any other answer: text/plain, Connection: close, and the headers that the
 * status requires. text is one line of printable ASCII without a line feed. A refusal
 * (status 400 and above) also has the text in its status line, since many clients show
 * only that. head_only: leave out the text, but announce its length.
 */
void http_write_answer(struct buf *out, int status, const char *text, bool head_only);

/*
 * Appends the head of the answer to a long-poll request. len bytes of this type follow. A
 * page from the origin may read the answer, unless the origin is empty or longer than
 * HTTP_ORIGIN_MAX. preflight: says what pages may send (Fetch standard, "CORS-preflight
 * request").
 */
struct http_poll_answer {
	int status;
	const char *type; /* NULL: there is no body */
	size_t len;
	struct slice origin;
	bool preflight;
	bool keep_alive; /* false: the connection ends */
};
void http_write_poll_answer(struct buf *out, const struct http_poll_answer *a);

/* The reason phrase of a status: "Not Found". */
const char *http_status_text(int status);

#endif
