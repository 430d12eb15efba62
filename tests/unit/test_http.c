/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/http: valid and invalid request heads, lists, origins, answers. */
#include "common/err.h"
#include "proto/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* the example of RFC 6455, 1.2 */
#define GET    "GET /chat?x=1 HTTP/1.1\r\n"
#define HOST   "Host: server.example.com\r\n"
#define UPG    "Upgrade: websocket\r\n"
#define CON    "Connection: Upgrade\r\n"
#define KEY    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VER    "Sec-WebSocket-Version: 13\r\n"
#define PROTO  "Sec-WebSocket-Protocol: chat, superchat\r\n"
#define ORIGIN "Origin: http://example.com\r\n"
#define END    "\r\n"

enum { HEAD_MAX = 8 * 1024, N_HEADERS = 64 };

static const char example[] = GET HOST UPG CON KEY ORIGIN PROTO VER END;

/* Finds the head's end and parses it. Returns 0 or a status. The bytes are an exact copy,
 * for the sanitizers. */
static int parse(const char *text, size_t len, struct http_request *req)
{
	char *copy = malloc(len + 1);
	size_t head = 0;
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = http_head_end(slice_of(copy, len), 0, HEAD_MAX, &head);
	if (r == 0) {
		assert_true(head <= len);
		r = http_request_parse(slice_of(copy, head), N_HEADERS, NULL, req);
		assert_int_equal(req->why != NULL, r != 0);
	}
	free(copy);
	return r;
}

static int parse_str(const char *text)
{
	struct http_request req;

	return parse(text, strlen(text), &req);
}

static void test_example(void **state)
{
	struct http_request req;
	struct http_list it = {0};
	struct slice element;
	size_t len;

	(void)state;
	assert_int_equal(http_head_end(slice_str(example), 0, HEAD_MAX, &len), 0);
	assert_int_equal(len, strlen(example));
	assert_int_equal(http_request_parse(slice_str(example), N_HEADERS, NULL, &req),
			 0);
	assert_true(req.upgrade);
	assert_false(req.head_only);
	assert_true(slice_eq_str(req.path, "/chat"));
	assert_true(slice_eq_str(req.host, "server.example.com"));
	assert_true(req.has_origin);
	assert_true(slice_eq_str(req.origin, "http://example.com"));
	assert_true(slice_eq_str(req.key, "dGhlIHNhbXBsZSBub25jZQ=="));
	assert_int_equal(req.n_headers, 7);
	assert_true(http_list_next(&req, "sec-websocket-protocol", &it, &element));
	assert_true(slice_eq_str(element, "chat"));
	assert_true(http_list_next(&req, "sec-websocket-protocol", &it, &element));
	assert_true(slice_eq_str(element, "superchat"));
	assert_false(http_list_next(&req, "sec-websocket-protocol", &it, &element));
	assert_false(http_list_next(&req, "sec-websocket-protocol", &it, &element));
}

static void test_lists(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nP: a , ,b,\r\nX: no\r\n"
				   "p:,\r\nP:\r\np: \tc\t\r\n\r\n";
	static const char *const expected[] = {"a", "b", "c"};
	struct http_request req;
	struct http_list it = {0};
	struct slice element;

	(void)state;
	assert_int_equal(http_request_parse(slice_str(text), N_HEADERS, NULL, &req), 0);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_true(http_list_next(&req, "P", &it, &element));
		assert_true(slice_eq_str(element, expected[i]));
	}
	assert_false(http_list_next(&req, "P", &it, &element));
}

static void test_good(void **state)
{
	static const char *const upgrades[] = {
		GET HOST UPG CON KEY VER END,
		/* Netty's format */
		"GET /ws HTTP/1.1\r\nhost:a:8080\r\nupgrade:WebSocket\r\n"
		"connection:keep-alive, UPGRADE\r\n"
		"sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"sec-websocket-version:13\r\n\r\n",
		"GET http://server.example.com/ws HTTP/1.1\r\n" HOST UPG CON KEY VER END,
		"GET HTTPS://server.example.com HTTP/1.1\r\n" HOST UPG CON KEY VER END,
		GET HOST "Upgrade: h2c, websocket\r\n" CON KEY VER END,
		GET HOST "Upgrade: h2c\r\n" UPG CON KEY VER END,
		GET HOST UPG "Connection: close\r\n" CON KEY VER END,
		GET HOST UPG CON KEY VER "Content-Length: 0\r\n" END,
		GET "Host:\r\n" UPG CON KEY VER END,
		GET "Host: [::1]:8080\r\n" UPG CON KEY VER END,
		GET HOST UPG CON KEY VER "X: \xc3\xa4\t\x80\r\n" END,
	};
	static const char *const pages[] = {
		GET HOST END,
		"HEAD / HTTP/1.1\r\n" HOST END,
		"HEAD / HTTP/1.0\r\n" HOST END,
		"GET / HTTP/1.0\r\n" END,
		/* HTTP/1.0 has no Upgrade, so the header is ignored */
		"GET / HTTP/1.0\r\n" HOST UPG CON VER END,
		GET HOST CON END,
	};
	struct http_request req;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(upgrades); i++) {
		assert_int_equal(parse(upgrades[i], strlen(upgrades[i]), &req), 0);
		assert_true(req.upgrade);
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		assert_int_equal(parse(pages[i], strlen(pages[i]), &req), 0);
		assert_false(req.upgrade);
	}
}

static void test_bad(void **state)
{
	static const struct {
		int status;
		const char *text;
	} table[] = {
		{400, "GET  / HTTP/1.1\r\n" HOST END},
		{400, "GET / HTTP/1.1 \r\n" HOST END},
		{400, "GET /\r\n" HOST END},
		{400, "GET\r\n" HOST END},
		{400, "GET / HTTP/11\r\n" HOST END},
		{400, "GET / http/1.1\r\n" HOST END},
		{400, "GET / HTTP/1.x\r\n" HOST END},
		{400, "GET ws HTTP/1.1\r\n" HOST END},
		{400, "GET * HTTP/1.1\r\n" HOST END},
		{400, "GET /a#b HTTP/1.1\r\n" HOST END},
		{400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST END},
		{400, "GET ftp://a/b HTTP/1.1\r\n" HOST END},
		{400, "GET http:// HTTP/1.1\r\n" HOST END},
		{400, "G(T / HTTP/1.1\r\n" HOST END},
		{505, "GET / HTTP/0.9\r\n" HOST END},
		{505, "GET / HTTP/1.2\r\n" HOST END},
		{505, "GET / HTTP/2.0\r\n" HOST END},
		{405, "POST / HTTP/1.1\r\n" HOST END},
		{405, "OPTIONS / HTTP/1.1\r\n" HOST END},
		{405, "Get / HTTP/1.1\r\n" HOST END},
		{400, GET END},
		{400, GET HOST HOST END},
		{400, "GET / HTTP/1.0\r\n" HOST HOST END},
		{400, "GET / HTTP/1.0\r\nHost: a b\r\n" END},
		{413, "GET / HTTP/1.0\r\nContent-Length: 1\r\n" END},
		{426, GET HOST KEY VER END},
		{426, GET HOST "Connection: close\r\n" KEY VER END},
		{426, "GET / HTTP/1.0\r\n" HOST KEY VER END},
		{426, "GET / HTTP/1.0\r\n" HOST UPG CON KEY VER END},
		{400, GET "Host: a b\r\n" END},
		{400, GET "Host: a/b\r\n" END},
		{400, GET "Host : a\r\n" END},
		{400, GET HOST "X\r\n" END},
		{400, GET HOST ": x\r\n" END},
		{400, GET HOST " folded: x\r\n" END},
		{400, GET HOST "X: y\r\n\tfolded\r\n" END},
		{400, GET HOST "X\xc3\xa4: y\r\n" END},
		{400, GET HOST "Transfer-Encoding: chunked\r\n" END},
		{400, GET HOST "Content-Length: x\r\n" END},
		{400, GET HOST "Content-Length:\r\n" END},
		{400, GET HOST "Content-Length: -1\r\n" END},
		{413, GET HOST "Content-Length: 1\r\n" END},
		{413, GET HOST "Content-Length: 0\r\nContent-Length: 7\r\n" END},
		{400, GET HOST ORIGIN ORIGIN END},
		{426, GET HOST "Upgrade: h2c\r\n" CON KEY VER END},
		{426, GET HOST "Upgrade:\r\n" CON KEY VER END},
		{426, GET HOST "Upgrade: websockets\r\n" CON KEY VER END},
		{400, "HEAD / HTTP/1.1\r\n" HOST UPG CON KEY VER END},
		{400, GET HOST UPG KEY VER END},
		{400, GET HOST UPG "Connection: close\r\n" KEY VER END},
		{426, GET HOST UPG CON KEY END},
		{426, GET HOST UPG CON KEY VER VER END},
		{426, GET HOST UPG CON KEY "Sec-WebSocket-Version: 8\r\n" END},
		{426, GET HOST UPG CON KEY "Sec-WebSocket-Version: 13, 8\r\n" END},
		{400, GET HOST UPG CON VER END},
		{400, GET HOST UPG CON KEY KEY VER END},
		{400, GET HOST UPG CON VER "Sec-WebSocket-Key: abc\r\n" END},
		{400, GET HOST UPG CON VER
		 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=\r\n" END},
		{400, GET HOST UPG CON VER
		 "Sec-WebSocket-Key: dGhlIHNhbXBsZS!ub25jZQ==\r\n" END},
		/* refused by the search for the end of the head */
		{E_SYNTAX, "get / HTTP/1.1\r\n" HOST END},
		{E_SYNTAX, "\r\nGET / HTTP/1.1\r\n" HOST END},
		{E_SYNTAX, "\x16\x03\x01"},
		{E_SYNTAX, "GET / HTTP/1.1\n" HOST END},
		{E_SYNTAX, "GET / HTTP/1.1\r" HOST END},
		{E_SYNTAX, "GET / HTTP/1.1\r\r\n" HOST END},
		{E_SYNTAX, GET "X: \x01\r\n" END},
		{E_SYNTAX, GET "X: \x7f\r\n" END},
		{E_SYNTAX, GET HOST "\n\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		int r = parse_str(table[i].text);

		if (r != table[i].status)
			print_error("%s", table[i].text);
		assert_int_equal(r, table[i].status);
	}
}

/* The user sees only this sentence. */
static void test_proxies(void **state)
{
	static const struct {
		const char *text, *says;
	} table[] = {
		{GET HOST KEY VER END, "came without Upgrade: a proxy"},
		{"GET / HTTP/1.0\r\n" HOST KEY VER END, "a proxy uses HTTP/1.0"},
		{GET HOST UPG KEY VER END, "without 'Connection: upgrade': a proxy"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct http_request req;

		assert_in_range(http_request_parse(slice_str(table[i].text), N_HEADERS,
						   NULL, &req),
				400, 426);
		assert_non_null(strstr(req.why, table[i].says));
	}
}

/* The answer to HEAD has no body, even if it is a refusal. */
static void test_head_is_known_in_refusals(void **state)
{
	static const char *const heads[] = {"HEAD * HTTP/1.1\r\n" HOST END,
					    "HEAD / HTTP/3.0\r\n" HOST END,
					    "HEAD / HTTP/1.1\r\n" END};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct http_request req;

		assert_in_range(parse(heads[i], strlen(heads[i]), &req), 400, 505);
		assert_true(req.head_only);
	}
}

static void test_nul_is_refused(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nX: \0\r\n\r\n";
	struct http_request req;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, &req), E_SYNTAX);
}

/* Cut anywhere the head is incomplete, and its end is found from any later start. */
static void test_cut(void **state)
{
	size_t n = strlen(example);
	struct http_request req;

	(void)state;
	for (size_t cut = 0; cut < n; cut++) {
		size_t len = 0;

		assert_int_equal(parse(example, cut, &req), E_AGAIN);
		assert_int_equal(http_head_end(slice_of(example, n), cut, HEAD_MAX, &len),
				 0);
		assert_int_equal(len, n);
	}
}

/* Any damage gives some answer, and nothing else. */
static void test_flipped(void **state)
{
	size_t n = strlen(example);
	char text[sizeof(example)];
	struct http_request req;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (int b = 0; b < 256; b++) {
			memcpy(text, example, n);
			text[i] = (char)b;
			(void)!parse(text, n, &req);
		}
	}
}

static void test_trailing_bytes_are_left(void **state)
{
	static const char text[] = GET HOST END "\x81\x80";
	size_t len;

	(void)state;
	assert_int_equal(http_head_end(slice_str(text), 0, HEAD_MAX, &len), 0);
	assert_int_equal(len, strlen(text) - 2);
}

static void test_limits(void **state)
{
	struct buf b;
	struct http_request req;
	size_t len;

	(void)state;
	buf_init(&b, 64 * 1024);
	buf_put_str(&b, GET HOST);
	for (int i = 0; i < N_HEADERS - 1; i++)
		buf_put_str(&b, "X: y\r\n");
	buf_put_str(&b, END);
	assert_int_equal(parse((char *)b.data, b.len, &req), 0);
	assert_int_equal(req.n_headers, N_HEADERS);
	b.len -= 2;
	buf_put_str(&b, "X: y\r\n" END);
	assert_int_equal(parse((char *)b.data, b.len, &req), 431);

	/* exactly as long as allowed, and one byte longer */
	buf_clear(&b);
	buf_put_str(&b, GET HOST "X: ");
	while (b.len < HEAD_MAX - 4)
		buf_put_u8(&b, 'y');
	buf_put_str(&b, "\r\n" END);
	assert_int_equal(parse((char *)b.data, b.len, &req), 0);
	b.len -= 4;
	buf_put_str(&b, "y\r\n" END);
	assert_int_equal(http_head_end(buf_slice(&b), 0, HEAD_MAX, &len), E_LIMIT);
	assert_int_equal(http_head_end(slice_of(b.data, HEAD_MAX - 1), 0, HEAD_MAX, &len),
			 E_AGAIN);
	buf_fini(&b);
}

static void test_origin_headers(void **state)
{
	static const char old[] = GET HOST "Sec-WebSocket-Origin: http://old\r\n" END;
	static const char both[] =
		GET HOST "Sec-WebSocket-Origin: http://old\r\nOrigin: http://new\r\n" END;
	struct http_request req;

	(void)state;
	assert_int_equal(http_request_parse(slice_str(old), N_HEADERS, NULL, &req), 0);
	assert_true(slice_eq_str(req.origin, "http://old"));
	assert_int_equal(http_request_parse(slice_str(both), N_HEADERS, NULL, &req), 0);
	assert_true(slice_eq_str(req.origin, "http://new"));
	assert_int_equal(
		http_request_parse(slice_str(GET HOST END), N_HEADERS, NULL, &req), 0);
	assert_false(req.has_origin);
}

/* Long-poll requests: below /lp, with any method, and with a body. */
static void test_poll_requests(void **state)
{
#define POST(path) "POST " path " HTTP/1.1\r\n" HOST
	static const struct {
		const char *text;
		int status;
		const char *poll; /* NULL: not a long-poll request */
		size_t body_len;
		bool keep_alive;
	} table[] = {
		{POST("/lp/open") END, 0, "open", 0, true},
		{POST("/lp/a/send?x=1") "Content-Length: 12\r\n" END, 0, "a/send", 12,
		 true},
		{POST("/lp/") "Connection: x, Close\r\n" END, 0, "", 0, false},
		{"POST /lp/x HTTP/1.0\r\n" END, 0, "x", 0, false},
		{"OPTIONS /lp/x HTTP/1.1\r\n" HOST END, 0, "x", 0, true},
		/* An upgrade below the path is none. */
		{"GET /lp/x HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n" END, 0, "x", 0,
		 true},
		{"GET /lp HTTP/1.1\r\n" HOST END, 0, NULL, 0, false},
		{"GET /lpx HTTP/1.1\r\n" HOST END, 0, NULL, 0, false},
		{POST("/lp") END, HTTP_METHOD_NOT_ALLOWED, NULL, 0, false},
		{POST("/x/lp/open") END, HTTP_METHOD_NOT_ALLOWED, NULL, 0, false},
		{POST("/lp/x") "Content-Length: 999999999\r\n" END, 0, "x", 999999999,
		 true},
		{POST("/lp/x") "Content-Length: 1000000000\r\n" END,
		 HTTP_CONTENT_TOO_LARGE, "x", 0, false},
		{POST("/lp/x") "Content-Length: +1\r\n" END, HTTP_BAD_REQUEST, "x", 0,
		 false},
		{POST("/lp/x") "Content-Length:\r\n" END, HTTP_BAD_REQUEST, "x", 0,
		 false},
		{POST("/lp/x") "Content-Length: 1\r\nContent-length: 1\r\n" END,
		 HTTP_BAD_REQUEST, "x", 0, false},
		{POST("/lp/x") "Transfer-Encoding: chunked\r\n" END, HTTP_LENGTH_REQUIRED,
		 "x", 0, false},
		{POST("/lp/x") "Content-Length: 1\r\nTransfer-Encoding: identity\r\n" END,
		 HTTP_LENGTH_REQUIRED, "x", 0, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct http_request req;

		assert_int_equal(http_request_parse(slice_str(table[i].text), N_HEADERS,
						    "/lp", &req),
				 table[i].status);
		assert_int_equal(req.poll.p != NULL, table[i].poll != NULL);
		if (table[i].poll != NULL)
			assert_true(slice_eq_str(req.poll, table[i].poll));
		if (table[i].status != 0)
			continue;
		assert_int_equal(req.body_len, table[i].body_len);
		assert_int_equal(req.keep_alive, table[i].keep_alive);
	}
}

static void test_poll_answers(void **state)
{
	static const struct {
		struct http_poll_answer answer;
		const char *expected;
	} table[] = {
		{{.status = HTTP_NO_CONTENT, .keep_alive = true},
		 "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n"},
		{{.status = HTTP_OK, .type = "a/b", .len = 7},
		 "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\n"
		 "Content-Type: a/b\r\nContent-Length: 7\r\n\r\n"},
		{{.status = HTTP_METHOD_NOT_ALLOWED, .type = "a/b", .len = 0},
		 "HTTP/1.1 405 Method Not Allowed\r\nCache-Control: no-store\r\n"
		 "Allow: POST, OPTIONS\r\nConnection: close\r\nContent-Type: a/b\r\n"
		 "Content-Length: 0\r\n\r\n"},
		{{.status = HTTP_NO_CONTENT,
		  .origin = {(const uint8_t *)"http://a", 8},
		  .preflight = true,
		  .keep_alive = true},
		 "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n"
		 "Access-Control-Allow-Origin: http://a\r\n"
		 "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
		 "Access-Control-Allow-Methods: POST\r\n"
		 "Access-Control-Allow-Headers: Content-Type\r\n"
		 "Access-Control-Max-Age: 600\r\n\r\n"},
	};
	char origin[HTTP_ORIGIN_MAX + 1] = "";
	struct http_poll_answer long_origin = {
		.status = HTTP_OK, .origin = slice_of(origin, sizeof(origin))};
	struct buf b;

	(void)state;
	buf_init(&b, HTTP_ANSWER_MAX);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		buf_clear(&b);
		http_write_poll_answer(&b, &table[i].answer);
		buf_put_u8(&b, '\0');
		assert_int_equal(b.err, 0);
		assert_string_equal((char *)b.data, table[i].expected);
	}
	memset(origin, 'x', sizeof(origin));
	buf_clear(&b);
	http_write_poll_answer(&b, &long_origin);
	buf_put_u8(&b, '\0');
	assert_null(strstr((char *)b.data, "xx"));
	buf_fini(&b);
}

static void test_origins(void **state)
{
	static const struct {
		bool ok;
		const char *pattern;
		const char *origin;
	} table[] = {
		{true, "*", "http://a"},
		{true, "*", "null"},
		{true, "*", "nonsense / at all"},
		{true, "null", "null"},
		{false, "http://*", "null"},
		{true, "http://example.com", "http://example.com"},
		{true, "http://example.com", "HTTP://Example.COM"},
		{true, "http://example.com", "http://example.com:80"},
		{true, "http://example.com:80", "http://example.com"},
		{true, "https://example.com:443", "https://example.com"},
		{true, "wss://example.com", "wss://example.com:443"},
		{false, "http://example.com", "http://example.com:8080"},
		{false, "https://example.com:80", "https://example.com"},
		{false, "http://example.com", "https://example.com"},
		{false, "http://example.com", "http://example.com.evil"},
		{false, "http://example.com", "http://evil-example.com"},
		{true, "http://*.example.com", "http://a.b.example.com"},
		{false, "http://*.example.com", "http://example.com"},
		{true, "http://*.example.com:*", "http://a.example.com:8443"},
		{true, "http://*.example.com:*", "http://a.example.com"},
		{true, "*.example.com:8443", "https://a.example.com:8443"},
		{true, "*://localhost:*", "ws://localhost:8080"},
		{true, "http://[::1]:*", "http://[::1]:8080"},
		{true, "chrome-extension://*", "chrome-extension://abcdef"},
		/* a string that is not an origin matches no pattern */
		{false, "http://*.example.com", "http://evil/.example.com"},
		{false, "http://*.example.com", "http://evil@a.example.com"},
		{false, "http://*", "http://a:b"},
		{false, "http://*", "http://a:"},
		{false, "http://*", "http://a:123456"},
		{false, "http://*", "http://"},
		{false, "http://*", "http://:80"},
		{false, "http://*", "http://[::1"},
		{false, "http://*", "http://[::1]x"},
		{false, "http*", "http:/a"},
		{false, "http*", "http"},
		{false, "a*", ""},
		{false, "*a", "://a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		bool ok = http_origin_allowed(slice_str(table[i].origin),
					      &table[i].pattern, 1);

		if (ok != table[i].ok)
			print_error("%s %s\n", table[i].pattern, table[i].origin);
		assert_int_equal(ok, table[i].ok);
	}
	assert_false(http_origin_allowed(slice_str("http://a"), NULL, 0));
}

/* A pattern is refused if no origin of a browser can match it. */
static void test_patterns(void **state)
{
	static const char *const good[] = {
		"*",
		"null",
		"http*",
		"http:*",
		"http:/*",
		"htt*",
		"*://localhost:*",
		"https://*.example.com",
		"HTTPS://Example.COM:8443",
		"*.example.com:8443",
		"http://[::1]:*",
		"http://[*]",
		"moz-extension://*",
	};
	static const char *const bad[] = {
		"",
		"example.com",
		"https://example.com/",
		"https://*/",
		"*/",
		"*/ws",
		"https://example.com/*",
		"https://example.com/ws",
		"https://example.com?x",
		"https://example.com#x",
		"https://user@example.com",
		"https://ex\xc3\xa4mple.com",
		"https://a b",
		"https://example.com:",
		"https://example.com:port",
		"https://example.com:123456",
		"https:///",
		"https://",
		"://example.com",
		"Null",
	};
	char text[400] = "http://";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!http_pattern_matches(good[i]))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (http_pattern_matches(bad[i]))
			fail_msg("%s", bad[i]);
	memset(text + 7, 'a', 293);
	assert_true(http_pattern_matches(text));
	text[300] = 'a';
	assert_false(http_pattern_matches(text));
}

static void test_long_origin(void **state)
{
	static const char *const patterns[] = {"http://*"};
	char text[400];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://", 7);
	assert_true(http_origin_allowed(slice_of(text, 300), patterns, 1));
	assert_false(http_origin_allowed(slice_of(text, 301), patterns, 1));
}

static void assert_answer(const struct buf *b, const char *expected)
{
	assert_int_equal(b->err, 0);
	assert_int_equal(b->len, strlen(expected));
	assert_memory_equal(b->data, expected, b->len);
}

static void test_answers(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, HTTP_ANSWER_MAX);
	assert_int_equal(http_write_switching(&b, slice_str("dGhlIHNhbXBsZSBub25jZQ=="),
					      "chat", NULL),
			 0);
	assert_answer(&b, "HTTP/1.1 101 Switching Protocols\r\n"
			  "Upgrade: websocket\r\n"
			  "Connection: Upgrade\r\n"
			  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
			  "Sec-WebSocket-Protocol: chat\r\n\r\n");
	buf_clear(&b);
	assert_int_equal(http_write_switching(&b, slice_str("dGhlIHNhbXBsZSBub25jZQ=="),
					      NULL, NULL),
			 0);
	assert_answer(&b, "HTTP/1.1 101 Switching Protocols\r\n"
			  "Upgrade: websocket\r\n"
			  "Connection: Upgrade\r\n"
			  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
	buf_clear(&b);
	http_write_answer(&b, 405, "No.", false);
	assert_answer(&b, "HTTP/1.1 405 Method Not Allowed: No.\r\n"
			  "Allow: GET, HEAD\r\n"
			  "Connection: close\r\n"
			  "Content-Type: text/plain; charset=utf-8\r\n"
			  "Content-Length: 4\r\n\r\nNo.\n");
	buf_clear(&b);
	http_write_answer(&b, 426, "No.", true);
	assert_answer(&b, "HTTP/1.1 426 Upgrade Required: No.\r\n"
			  "Upgrade: websocket\r\n"
			  "Sec-WebSocket-Version: 13\r\n"
			  "Connection: close, Upgrade\r\n"
			  "Content-Type: text/plain; charset=utf-8\r\n"
			  "Content-Length: 4\r\n\r\n");
	buf_clear(&b);
	http_write_answer(&b, 503, "No.", false);
	assert_answer(&b, "HTTP/1.1 503 Service Unavailable: No.\r\n"
			  "Retry-After: 2\r\nConnection: close\r\n"
			  "Content-Type: text/plain; charset=utf-8\r\n"
			  "Content-Length: 4\r\n\r\nNo.\n");
	buf_clear(&b);
	http_write_answer(&b, 200, "Yes.", false);
	assert_answer(&b, "HTTP/1.1 200 OK\r\n"
			  "Connection: close\r\n"
			  "Content-Type: text/plain; charset=utf-8\r\n"
			  "Content-Length: 5\r\n\r\nYes.\n");
	buf_fini(&b);
	assert_string_equal(http_status_text(404), "Not Found");
	assert_string_equal(http_status_text(499), "Error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_head_is_known_in_refusals),
		cmocka_unit_test(test_nul_is_refused),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_trailing_bytes_are_left),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_origin_headers),
		cmocka_unit_test(test_poll_requests),
		cmocka_unit_test(test_poll_answers),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_long_origin),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
