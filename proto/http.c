/* SPDX-License-Identifier: Apache-2.0 */
/* Parses an HTTP request head and writes the answer; see http.h. No state; any thread. */
#include "proto/http.h"

#include "common/err.h"

/* SHA1_Init and the like are deprecated, but they allocate no memory. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <ctype.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <strings.h>

/* --- characters; the locale is always "C" --- */

static const char digits[] = "0123456789";
/* The marks that a tchar may be (RFC 9110, 5.6.2). */
static const char token_marks[] = "!#$%&'*+-.^_`|~";

/* Does s consist only of these characters? */
static bool all_of(struct slice s, const char *these)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\0' || strchr(these, s.p[i]) == NULL)
			return false;
	}
	return true;
}

/* Does s consist only of letters, digits and these characters? */
static bool all_alnum_or(struct slice s, const char *these)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\0' || (!isalnum(s.p[i]) && strchr(these, s.p[i]) == NULL))
			return false;
	return true;
}

bool http_same(struct slice a, const char *b)
{
	return a.len == strlen(b) &&
	       (a.len == 0 || strncasecmp((const char *)a.p, b, a.len) == 0);
}

/* --- the end of the head --- */

static bool is_control(uint8_t b)
{
	return (b < 0x20 && b != '\t' && b != '\r') || b == 0x7f;
}

int http_head_end(struct slice bytes, size_t from, size_t max, size_t *len_out)
{
	const uint8_t *p = bytes.p;
	size_t n = min_size(bytes.len, max);

	for (size_t i = from; i < n; i++) {
		/* A method starts with a capital letter. This detects a TLS hello, for
		 * example. */
		if (i == 0 && (p[0] < 'A' || p[0] > 'Z'))
			return E_SYNTAX;
		/* CR and LF must come together. */
		if (i > 0 && (p[i - 1] == '\r') != (p[i] == '\n'))
			return E_SYNTAX;
		if (p[i] != '\n') {
			if (is_control(p[i]))
				return E_SYNTAX;
		} else if (i >= 3 && p[i - 2] == '\n') {
			*len_out = i + 1;
			return 0;
		}
	}
	return bytes.len < max ? E_AGAIN : E_LIMIT;
}

/* --- the request --- */

static int refuse_request(struct http_request *req, int status, const char *why)
{
	req->why = why;
	return status;
}

/* Takes a line off the head. http_head_end has checked its CR LF. */
static struct slice next_line(struct slice *head)
{
	size_t n = slice_find(*head, '\r');
	struct slice line = slice_of(head->p, n);

	*head = slice_from(*head, min_size(n + 2, head->len));
	return line;
}

/* Splits "/ws?x=1" or "http://host/ws?x=1" (RFC 9112, 3.2.2). */
static bool parse_target(struct slice target, struct http_request *out)
{
	static const char *const schemes[] = {"http://", "https://"};

	if (!all_alnum_or(target, "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (target.len <= n || !http_same(slice_of(target.p, n), schemes[i]))
			continue;
		target = slice_from(target, n);
		target = slice_from(target, slice_find(target, '/'));
		if (target.len == 0)
			target = slice_str("/");
		break;
	}
	if (target.len == 0 || target.p[0] != '/')
		return false;
	out->path = slice_of(target.p, slice_find(target, '?'));
	return true;
}

/* Is this a long-poll request? */
static void find_poll(struct http_request *req, const char *poll_path)
{
	size_t n = poll_path == NULL ? 0 : strlen(poll_path);

	if (n > 0 && req->path.len > n && slice_begins(req->path, poll_path) &&
	    req->path.p[n] == '/')
		req->poll = slice_from(req->path, n + 1);
}

static int parse_request_line(struct slice line, struct http_request *out)
{
	const char *malformed = "The request line is malformed.";
	size_t n = slice_find(line, ' ');
	struct slice version;

	out->method = slice_of(line.p, n);
	out->head_only = slice_eq_str(out->method, "HEAD");
	if (n == 0 || n == line.len || !all_alnum_or(out->method, token_marks))
		return refuse_request(out, HTTP_BAD_REQUEST, malformed);
	line = slice_from(line, n + 1);
	n = slice_find(line, ' ');
	if (n == line.len || !parse_target(slice_of(line.p, n), out))
		return refuse_request(out, HTTP_BAD_REQUEST, malformed);
	version = slice_from(line, n + 1);
	if (version.len != strlen("HTTP/1.1") || !slice_begins(version, "HTTP/") ||
	    !is_digit(version.p[5]) || version.p[6] != '.' || !is_digit(version.p[7]))
		return refuse_request(out, HTTP_BAD_REQUEST, malformed);
	out->old = slice_eq_str(version, "HTTP/1.0");
	if (!out->old && !slice_eq_str(version, "HTTP/1.1"))
		return refuse_request(out, HTTP_VERSION, "Only HTTP/1.1 is supported.");
	return 0;
}

static int parse_headers(struct slice head, size_t max, struct http_request *out)
{
	out->n_headers = 0;
	for (;;) {
		struct slice line = next_line(&head);
		size_t colon = slice_find(line, ':');
		struct http_header *h;

		if (line.len == 0)
			return 0;
		/* This also refuses folded lines, which begin with a space. */
		if (colon == 0 || colon == line.len ||
		    !all_alnum_or(slice_of(line.p, colon), token_marks))
			return refuse_request(out, HTTP_BAD_REQUEST,
					      "A header line is malformed.");
		if (out->n_headers == max)
			return refuse_request(out, HTTP_HEADERS_TOO_LARGE,
					      "Too many headers.");
		h = &out->headers[out->n_headers++];
		h->name = slice_of(line.p, colon);
		h->value = slice_trim(slice_from(line, colon + 1));
	}
}

/* Returns the number of headers with this name, and the value of the last one. */
static unsigned lookup(const struct http_request *req, const char *name,
		       struct slice *value_out)
{
	unsigned n = 0;

	for (size_t i = 0; i < req->n_headers; i++) {
		if (http_same(req->headers[i].name, name)) {
			*value_out = req->headers[i].value;
			n++;
		}
	}
	return n;
}

bool http_list_next(const struct http_request *req, const char *name,
		    struct http_list *it, struct slice *element_out)
{
	for (;;) {
		while (it->rest.len > 0) {
			size_t n = slice_find(it->rest, ',');
			struct slice element = slice_trim(slice_of(it->rest.p, n));

			it->rest = slice_from(it->rest, min_size(n + 1, it->rest.len));
			if (element.len > 0) {
				*element_out = element;
				return true;
			}
		}
		if (it->header == req->n_headers)
			return false;
		if (http_same(req->headers[it->header].name, name))
			it->rest = req->headers[it->header].value;
		it->header++;
	}
}

static bool list_has(const struct http_request *req, const char *name, const char *token)
{
	struct http_list it = {0};
	struct slice element;

	while (http_list_next(req, name, &it, &element)) {
		if (http_same(element, token))
			return true;
	}
	return false;
}

/* Refuses a body: it would be read as WebSocket frames or as a second request. */
static int refuse_body(struct http_request *req)
{
	struct slice v;

	if (lookup(req, "Transfer-Encoding", &v) > 0)
		return refuse_request(req, HTTP_BAD_REQUEST,
				      "A request must not have a body.");
	for (size_t i = 0; i < req->n_headers; i++) {
		v = req->headers[i].value;
		if (!http_same(req->headers[i].name, "Content-Length"))
			continue;
		if (v.len == 0 || !all_of(v, digits))
			return refuse_request(req, HTTP_BAD_REQUEST,
					      "Content-Length is malformed.");
		if (!all_of(v, "0"))
			return refuse_request(req, HTTP_CONTENT_TOO_LARGE,
					      "A request must not have a body.");
	}
	return 0;
}

/* Checks how the body of a long-poll request is framed (RFC 9112, 6). */
static int parse_body(struct http_request *req)
{
	enum { DIGITS_MAX = 9 }; /* more than any message may have */
	struct slice v, none;

	/* With two lengths, a proxy and the router might not use the same one. */
	if (lookup(req, "Transfer-Encoding", &v) > 0)
		return refuse_request(req, HTTP_LENGTH_REQUIRED,
				      "A request needs Content-Length; chunked bodies "
				      "are not supported.");
	switch (lookup(req, "Content-Length", &v)) {
	case 0:
		break;
	case 1:
		if (v.len == 0 || !all_of(v, digits))
			return refuse_request(req, HTTP_BAD_REQUEST,
					      "Content-Length is malformed.");
		if (v.len > DIGITS_MAX)
			return refuse_request(req, HTTP_CONTENT_TOO_LARGE,
					      "The body is too long.");
		for (size_t i = 0; i < v.len; i++)
			req->body_len = req->body_len * 10 + (v.p[i] - '0');
		break;
	default:
		return refuse_request(req, HTTP_BAD_REQUEST,
				      "There is more than one Content-Length.");
	}
	req->keep_alive = !req->old && !list_has(req, "Connection", "close");
	req->expects = !req->old && lookup(req, "Expect", &none) > 0;
	return 0;
}

/* 16 bytes in base64 (RFC 6455, 4.1). */
static bool key_ok(struct slice key)
{
	return key.len == 24 && all_alnum_or(slice_of(key.p, 22), "+/") &&
	       key.p[22] == '=' && key.p[23] == '=';
}

static int parse_upgrade(struct http_request *req)
{
	struct slice v;

	if (!list_has(req, "Upgrade", "websocket"))
		return refuse_request(req, HTTP_UPGRADE_REQUIRED,
				      "The only supported upgrade is websocket.");
	if (req->head_only)
		return refuse_request(req, HTTP_BAD_REQUEST,
				      "An upgrade request must use GET.");
	if (!list_has(req, "Connection", "upgrade"))
		return refuse_request(
			req, HTTP_BAD_REQUEST,
			"Upgrade came without 'Connection: upgrade': a proxy may have "
			"dropped it. Make the proxy pass on Upgrade and Connection.");
	if (lookup(req, "Sec-WebSocket-Version", &v) != 1 || !slice_eq_str(v, "13"))
		return refuse_request(req, HTTP_UPGRADE_REQUIRED,
				      "Sec-WebSocket-Version must be 13.");
	if (lookup(req, "Sec-WebSocket-Key", &req->key) != 1 || !key_ok(req->key))
		return refuse_request(req, HTTP_BAD_REQUEST,
				      "Sec-WebSocket-Key must be 16 bytes in base64.");
	req->upgrade = true;
	return 0;
}

static void find_origin(struct http_request *req)
{
	unsigned n = lookup(req, "Origin", &req->origin);

	if (n == 0)
		n = lookup(req, "Sec-WebSocket-Origin", &req->origin);
	req->has_origin = n == 1;
}

static int check_request(struct http_request *req)
{
	bool poll = req->poll.p != NULL;
	unsigned n;
	struct slice v;
	int status;

	if (!poll && !req->head_only && !slice_eq_str(req->method, "GET"))
		return refuse_request(req, HTTP_METHOD_NOT_ALLOWED,
				      "Only GET and HEAD are supported.");
	/* With two Hosts, a proxy and the router might not use the same one. */
	n = lookup(req, "Host", &req->host);
	if (n > 1 || (n == 0 && !req->old) ||
	    !all_alnum_or(req->host, "-._~%!$&'()*+;=:[]"))
		return refuse_request(req, HTTP_BAD_REQUEST,
				      "Exactly one valid Host header is required.");
	status = poll ? parse_body(req) : refuse_body(req);
	if (status != 0)
		return status;
	if (req->origin.p != NULL && !req->has_origin)
		return refuse_request(req, HTTP_BAD_REQUEST,
				      "There is more than one Origin header.");
	if (poll)
		return 0;
	if (!req->old && lookup(req, "Upgrade", &v) > 0)
		return parse_upgrade(req);
	/* Only a WebSocket client sends a key. Tell it what is wrong, instead of sending
	 * it the page for people. */
	if (lookup(req, "Sec-WebSocket-Key", &v) == 0)
		return 0;
	return refuse_request(
		req, HTTP_UPGRADE_REQUIRED,
		req->old ? "WebSocket needs HTTP/1.1, but a proxy uses HTTP/1.0. Make "
			   "the proxy use HTTP/1.1 and pass on Upgrade and Connection."
			 : "Sec-WebSocket-Key came without Upgrade: a proxy dropped it. "
			   "Make the proxy pass on Upgrade and Connection.");
}

int http_request_parse(struct slice head, size_t max_headers, const char *poll_path,
		       struct http_request *out)
{
	int status;

	ASSERT(max_headers <= HTTP_HEADERS_MAX);
	/* Do not clear the header table: it is large, and n_headers says how much is
	 * valid. */
	memset(out, 0, offsetof(struct http_request, headers));
	status = parse_request_line(next_line(&head), out);
	if (status == 0)
		status = parse_headers(head, max_headers, out);
	find_poll(out, poll_path);
	find_origin(out);
	if (status == 0)
		status = check_request(out);
	return status;
}

/* --- origins --- */

/*
 * Matches a pattern in which '*' stands for any text. Ignores the case of ASCII letters.
 */
static bool glob_same(const char *pattern, struct slice text)
{
	const char *star = NULL;
	size_t i = 0, mark = 0;

	while (i < text.len) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = i;
		} else if (*pattern != '\0' &&
			   tolower((uint8_t)*pattern) == tolower(text.p[i])) {
			pattern++;
			i++;
		} else if (star != NULL) {
			pattern = star;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* Checks that o is scheme "://" host [":" port]. Returns where scheme and host end. */
static bool split_origin(struct slice o, size_t *scheme_out, size_t *host_out)
{
	size_t scheme = slice_find(o, ':');
	struct slice rest, port;
	size_t host;

	if (scheme == 0 || !all_alnum_or(slice_of(o.p, scheme), "+-.") ||
	    !slice_begins(slice_from(o, scheme), "://"))
		return false;
	rest = slice_from(o, scheme + 3);
	/* An IPv6 address is in brackets, since it contains colons. */
	if (rest.len > 0 && rest.p[0] == '[') {
		host = slice_find(rest, ']');
		if (host == rest.len ||
		    !all_alnum_or(slice_of(rest.p + 1, host - 1), ":."))
			return false;
		host++;
	} else {
		host = slice_find(rest, ':');
		if (!all_alnum_or(slice_of(rest.p, host), "-._"))
			return false;
	}
	port = slice_from(rest, host);
	if (host == 0 ||
	    (port.len > 0 && (port.p[0] != ':' || port.len < 2 || port.len > 6 ||
			      !all_of(slice_from(port, 1), digits))))
		return false;
	*scheme_out = scheme;
	*host_out = scheme + 3 + host;
	return true;
}

/* The default port of a scheme, with its colon; "" for an unknown scheme. */
static const char *own_port(struct slice scheme)
{
	if (http_same(scheme, "http") || http_same(scheme, "ws"))
		return ":80";
	if (http_same(scheme, "https") || http_same(scheme, "wss"))
		return ":443";
	return "";
}

bool http_origin_allowed(struct slice origin, const char *const *patterns, size_t n)
{
	uint8_t full[HTTP_ORIGIN_MAX + 4];
	struct slice with = slice_of(NULL, 0), without = origin;
	size_t scheme, host;
	bool ok = origin.len <= HTTP_ORIGIN_MAX && split_origin(origin, &scheme, &host);

	if (ok) {
		const char *own = own_port(slice_of(origin.p, scheme));
		size_t own_len = strlen(own);

		/* Compare the origin with and without the default port of its scheme. */
		memcpy(full, origin.p, origin.len);
		with = slice_of(full, origin.len);
		if (host == origin.len) {
			memcpy(full + host, own, own_len);
			with.len += own_len;
		} else if (http_same(slice_from(origin, host), own)) {
			without.len = host;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(patterns[i], "*") == 0)
			return true;
		if (slice_eq_str(origin, "null") && strcmp(patterns[i], "null") == 0)
			return true;
		if (ok &&
		    (glob_same(patterns[i], with) || glob_same(patterns[i], without)))
			return true;
	}
	return false;
}

/*
 * Is the pattern an origin after `first` has replaced its first star, and "1" every other
 * star?
 */
static bool fills(const char *pattern, const char *first)
{
	char text[HTTP_ORIGIN_MAX + 1];
	size_t n = 0, scheme, host;

	for (const char *p = pattern; *p != '\0'; p++) {
		const char *put = *p == '*' ? first : (char[]){*p, '\0'};
		size_t len = strlen(put);

		if (n + len > HTTP_ORIGIN_MAX)
			return false;
		memcpy(text + n, put, len);
		n += len;
		if (*p == '*')
			first = "1";
	}
	return split_origin(slice_of(text, n), &scheme, &host);
}

bool http_pattern_matches(const char *pattern)
{
	/* The first star may replace a part of the host, and also the text before the
	 * host: all of "http://", or its last characters. */
	static const char *const firsts[] = {"1",    "http://1", "p://1",
					     "://1", "//1",      "/1"};

	for (size_t i = 0; i < ARRAY_LEN(firsts); i++)
		if (fills(pattern, firsts[i]))
			return true;
	return strcmp(pattern, "null") == 0;
}

/* --- answers --- */

int http_write_switching(struct buf *out, struct slice key, const char *subprotocol,
			 const char *extensions)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t text[64];
	uint8_t digest[SHA_DIGEST_LENGTH];
	SHA_CTX sha;
	char accept[32];

	ASSERT(key.len == 24);
	memcpy(text, key.p, key.len);
	memcpy(text + key.len, guid, strlen(guid));
	/* Do not use EVP: it allocates, and crashes if memory is short at its first
	 * use. */
	SHA1_Init(&sha);
	SHA1_Update(&sha, text, key.len + strlen(guid));
	SHA1_Final(digest, &sha);
	sodium_bin2base64(accept, sizeof(accept), digest, sizeof(digest),
			  sodium_base64_VARIANT_ORIGINAL);
	buf_put_str(out, "HTTP/1.1 101 Switching Protocols\r\n"
			 "Upgrade: websocket\r\n"
			 "Connection: Upgrade\r\n"
			 "Sec-WebSocket-Accept: ");
	buf_put_str(out, accept);
	if (subprotocol != NULL) {
		buf_put_str(out, "\r\nSec-WebSocket-Protocol: ");
		buf_put_str(out, subprotocol);
	}
	if (extensions != NULL) {
		buf_put_str(out, "\r\nSec-WebSocket-Extensions: ");
		buf_put_str(out, extensions);
	}
	buf_put_str(out, "\r\n\r\n");
	return out->err;
}

const char *http_status_text(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} statuses[] = {
#define X(name, code, phrase) {code, phrase},
		HTTP_STATUSES(X)
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].phrase;
	return "Error";
}

void http_write_answer(struct buf *out, int status, const char *text, bool head_only)
{
	const char *more = "Connection: close\r\n";
	bool refused = status >= HTTP_BAD_REQUEST;

	if (status == HTTP_METHOD_NOT_ALLOWED)
		more = "Allow: GET, HEAD\r\nConnection: close\r\n";
	else if (status == HTTP_UPGRADE_REQUIRED)
		more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		       "Connection: close, Upgrade\r\n";
	else if (status == HTTP_UNAVAILABLE)
		more = "Retry-After: 2\r\nConnection: close\r\n";
	buf_printf(out,
		   "HTTP/1.1 %d %s%s%s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
		   "Content-Length: %zu\r\n\r\n%s%s",
		   status, http_status_text(status), refused ? ": " : "",
		   refused ? text : "", more, strlen(text) + 1, head_only ? "" : text,
		   head_only ? "" : "\n");
}

void http_write_poll_answer(struct buf *out, const struct http_poll_answer *a)
{
	buf_printf(out, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\n", a->status,
		   http_status_text(a->status));
	if (a->status == HTTP_METHOD_NOT_ALLOWED)
		buf_put_str(out, "Allow: POST, OPTIONS\r\n");
	else if (a->status == HTTP_UNAVAILABLE)
		buf_put_str(out, "Retry-After: 2\r\n");
	if (a->origin.len > 0 && a->origin.len <= HTTP_ORIGIN_MAX) {
		buf_put_str(out, "Access-Control-Allow-Origin: ");
		buf_put_slice(out, a->origin);
		/* autobahn-js sends all its requests with cookies. */
		buf_put_str(out, "\r\nAccess-Control-Allow-Credentials: true\r\n"
				 "Vary: Origin\r\n");
	}
	if (a->preflight)
		buf_put_str(out, "Access-Control-Allow-Methods: POST\r\n"
				 "Access-Control-Allow-Headers: Content-Type\r\n"
				 "Access-Control-Max-Age: 600\r\n");
	if (!a->keep_alive)
		buf_put_str(out, "Connection: close\r\n");
	if (a->type != NULL)
		buf_printf(out, "Content-Type: %s\r\n", a->type);
	/* An answer with status 204 has no length (RFC 9110, 8.6). */
	if (a->status != HTTP_NO_CONTENT)
		buf_printf(out, "Content-Length: %zu\r\n", a->len);
	buf_put_str(out, "\r\n");
}
