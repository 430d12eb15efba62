/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a request head, in one and in two pieces, and calls everything that uses the
 * result. All slices must lie within the head. */
#include "common/err.h"
#include "proto/http.h"

enum { HEAD_MAX = 8 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice s, struct slice head)
{
	if (s.len > 0 && slice_eq_str(s, "/"))
		return; /* an absolute URI without a path */
	ASSERT(s.len == 0 || (s.p >= head.p && s.p + s.len <= head.p + head.len));
}

static void walk(const struct http_request *req, const char *name, struct slice head)
{
	struct http_list it = {0};
	struct slice element;

	while (http_list_next(req, name, &it, &element)) {
		ASSERT(element.len > 0);
		inside(element, head);
		(void)http_same(element, "websocket");
	}
}

static void parse(struct slice head)
{
	static const char *const patterns[] = {"http://*.example.com:*", "*a*b*"};
	struct http_request req;
	struct buf b;
	int status = http_request_parse(head, 64, "/lp", &req);

	ASSERT((status == 0) == (req.why == NULL));
	if (status != 0) {
		ASSERT(status >= 400 && status < 600);
		return;
	}
	ASSERT((req.n_headers >= 1 || req.old) && req.n_headers <= 64);
	ASSERT(req.path.len > 0 && req.path.p[0] == '/');
	inside(req.path, head);
	inside(req.host, head);
	inside(req.origin, head);
	for (size_t i = 0; i < req.n_headers; i++) {
		inside(req.headers[i].name, head);
		inside(req.headers[i].value, head);
	}
	walk(&req, "Sec-WebSocket-Protocol", head);
	walk(&req, "x", head);
	(void)http_origin_allowed(req.origin, patterns, ARRAY_LEN(patterns));
	if (req.poll.p != NULL) {
		struct http_poll_answer a = {
			.status = HTTP_OK, .type = "text/plain", .origin = req.origin};

		inside(req.poll, head);
		inside(req.method, head);
		ASSERT(!req.upgrade && req.body_len < 1000000000);
		buf_init(&b, HTTP_ANSWER_MAX);
		http_write_poll_answer(&b, &a);
		ASSERT(b.err == 0);
		buf_fini(&b);
	}
	if (!req.upgrade)
		return;
	buf_init(&b, HTTP_ANSWER_MAX);
	ASSERT(http_write_switching(&b, req.key, "echo", NULL) == 0);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut, len = 0, len2 = 0;
	struct slice text;
	int r, r2;

	if (size < 2)
		return 0;
	cut = get_be16(data);
	text = slice_of(data + 2, size - 2);
	r = http_head_end(text, 0, HEAD_MAX, &len);
	ASSERT(r <= 0);
	ASSERT(r == 0 || len == 0);

	/* the result is the same in two pieces, unless the first piece is already wrong
	 */
	cut = min_size(cut, text.len);
	r2 = http_head_end(slice_of(text.p, cut), 0, HEAD_MAX, &len2);
	if (r2 == E_AGAIN)
		r2 = http_head_end(text, cut, HEAD_MAX, &len2);
	ASSERT(r2 == r && len2 == len);
	if (r == 0)
		parse(slice_of(text.p, len));
	return 0;
}
