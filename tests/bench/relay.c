/* SPDX-License-Identifier: Apache-2.0 */
/* The upper limit for a router: relay moves the same bytes for wampbench and does nothing
 * else. It trusts every frame, has no tables and no permissions, and knows only the
 * messages that wampbench sends. One recv and one send per connection and turn. Events
 * are written once per turn and format into one buffer, which is sent to all subscribers.
 * One thread.
 *
 *    relay [--tcp PORT] [--unix PATH] [--certificate PEM --key PEM] */
#include "tests/bench/relay_codec.h"
#include "tests/bench/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	READ_SIZE = 256 * 1024,
	EVENTS = 1024,
	MAX_CALLEES = 10,
	MAX_HEAD = 64, /* the longest frame head and message up to the payload */
	SUBSCRIPTION = 7,
	REGISTRATION = 8,
};

/* Our ids have 16 digits, so that all have the same length. The id of an invocation
 * consists of the caller's connection and its request. */
#define ID_BASE     UINT64_C(1000000000000000)
#define ID_REQUESTS UINT64_C(10000000000)

struct bytes {
	uint8_t *data;
	size_t len;
	size_t size;
};

struct conn {
	int fd;
	struct tls *tls; /* NULL: none */
	unsigned index;
	enum format format;
	bool open; /* the handshake is done */
	bool rawsocket;
	bool dirty;
	bool closed;
	bool wants_write;
	int subscriber; /* index among the subscribers of its stream, or -1 */
	struct bytes in;
	struct bytes out;
};

/* The events of this turn, for all subscribers with the same framing and format. */
struct stream {
	struct bytes data;
	struct conn **subscribers;
	int count;
	int size;
};

static int epoll_fd;
static struct conn **conns;
static unsigned conn_count;
static unsigned *unused; /* free indices of conns */
static unsigned unused_count;
static struct stream streams[2][FORMATS];
static struct conn *callees[MAX_CALLEES];
static struct conn **dirty;
static unsigned dirty_count;
static struct bytes input;
static uint64_t publications;
static const char *certificate, *private_key; /* PEM files; NULL: no TLS */

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *must(void *memory)
{
	if (memory == NULL)
		die("memory");
	return memory;
}

static uint8_t *room(struct bytes *b, size_t len)
{
	if (b->len + len > b->size) {
		b->size = (b->len + len) * 2;
		b->data = must(realloc(b->data, b->size));
	}
	return b->data + b->len;
}

static void add(struct bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(room(b, len), data, len);
	b->len += len;
}

static void release(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

static void set_dirty(struct conn *c)
{
	if (!c->dirty)
		dirty[dirty_count++] = c;
	c->dirty = true;
}

/* --- frames out --- */

static size_t frame_head(bool rawsocket, enum format format, uint8_t *p, size_t len)
{
	unsigned extended = len < 126 ? 0 : len < 65536 ? 2 : 8;

	if (rawsocket) {
		put_be(p, len, 4);
		return 4;
	}
	p[0] = format == JSON ? 0x81 : 0x82;
	p[1] = extended == 0 ? (uint8_t)len : extended == 2 ? 126 : 127;
	put_be(p + 2, len, extended);
	return 2 + extended;
}

/* Makes a frame of the caller's head, the text and JSON's closing signs. */
static void put_frame(struct bytes *out, bool rawsocket, enum format format,
		      const uint8_t *head, const uint8_t *head_end, const uint8_t *text,
		      size_t len)
{
	size_t head_len = (size_t)(head_end - head), tail = format == JSON ? 3 : 0;
	uint8_t *p = room(out, head_len + len + tail + 10);
	size_t n = frame_head(rawsocket, format, p, head_len + len + tail);

	memcpy(p + n, head, head_len);
	n += head_len;
	if (len > 0)
		memcpy(p + n, text, len);
	n += len;
	if (tail > 0)
		memcpy(p + n, "\"]]", 3);
	out->len += n + tail;
}

/* --- constant answers, given in JSON --- */

enum answer { WELCOME, CHALLENGE, GOODBYE, ANSWERS };

static const char *const answers_json[ANSWERS] = {
	[WELCOME] = "[2,4503599627370495,{\"roles\":{"
		    "\"broker\":{\"features\":{\"publisher_identification\":true,"
		    "\"pattern_based_subscription\":true}},"
		    "\"dealer\":{\"features\":{\"caller_identification\":true,"
		    "\"pattern_based_registration\":true}}},"
		    "\"authid\":\"client01@example.com\",\"authrole\":\"device\","
		    "\"authmethod\":\"cryptosign\",\"authprovider\":\"dynamic\"}]",
	[CHALLENGE] =
		("[4,\"cryptosign\",{\"challenge\":\"00112233445566778899aabbccddeeff"
		 "00112233445566778899aabbccddeeff\"}]"),
	[GOODBYE] = "[6,{},\"wamp.close.goodbye_and_out\"]",
};
static struct bytes answers[ANSWERS][FORMATS];

/* Converts this JSON to the other formats: objects, arrays, text, numbers, true. */
static const char *convert(const char *p, enum format format, struct bytes *out)
{
	size_t at = out->len;
	unsigned count = 0;
	uint8_t *q;

	if (*p == '[' || *p == '{') {
		char opener = *p;
		add(out, p++, 1);
		while (*p != ']' && *p != '}') {
			p = convert(p, format, out);
			p += *p == ',' || *p == ':';
			count++;
		}
		if (opener == '{')
			out->data[at] =
				(uint8_t)((format == CBOR ? 0xa0 : 0x80) | count / 2);
		else
			out->data[at] = (uint8_t)((format == CBOR ? 0x80 : 0x90) | count);
		return p + 1;
	}
	if (*p == '"') {
		const uint8_t *text = (const uint8_t *)p, *end = text;
		size_t len;
		text = read_text(JSON, &end, &len);
		q = room(out, 2);
		q[0] = format == CBOR ? 0x78 : 0xd9;
		q[1] = (uint8_t)len;
		out->len += 2;
		add(out, text, len);
		return (const char *)text + len + 1;
	}
	if (*p == 't') {
		*room(out, 1) = format == CBOR ? 0xf5 : 0xc3;
		out->len++;
		return p + 4;
	}
	q = room(out, 9);
	out->len = (size_t)(put_id(format, q, strtoull(p, NULL, 10)) - out->data);
	return p + strspn(p, "0123456789");
}

static void make_answers(void)
{
	for (unsigned a = 0; a < ANSWERS; a++) {
		add(&answers[a][JSON], answers_json[a], strlen(answers_json[a]));
		convert(answers_json[a], MSGPACK, &answers[a][MSGPACK]);
		convert(answers_json[a], CBOR, &answers[a][CBOR]);
	}
}

static void send_bytes(struct conn *c, const uint8_t *data, size_t len)
{
	uint8_t head[10];

	add(&c->out, head, frame_head(c->rawsocket, c->format, head, len));
	add(&c->out, data, len);
	set_dirty(c);
}

static void send_answer(struct conn *c, enum answer a)
{
	send_bytes(c, answers[a][c->format].data, answers[a][c->format].len);
}

/* Sends SUBSCRIBED or REGISTERED. */
static void send_confirmation(struct conn *c, unsigned type, uint64_t request,
			      unsigned id)
{
	uint8_t message[MAX_HEAD], *p = put_type(c->format, message, 3, type);

	p = put_id(c->format, p, request);
	p = put_id(c->format, p, id);
	if (c->format == JSON)
		p[-1] = ']';
	send_bytes(c, message, (size_t)(p - message));
}

/* --- messages --- */

static void on_call(struct conn *c, const uint8_t *p)
{
	uint64_t request = read_id(c->format, &p);
	const uint8_t *uri, *text;
	uint8_t head[MAX_HEAD], *h;
	struct conn *callee;
	size_t len;

	p += c->format == JSON ? 3 : 1;
	uri = read_text(c->format, &p, &len);
	callee = callees[(uri[len - 1] - '0') % MAX_CALLEES];
	p++;
	text = read_text(c->format, &p, &len);
	if (callee == NULL)
		return;
	h = put_type(callee->format, head, 5, 68);
	h = put_id(callee->format, h, ID_BASE + c->index * ID_REQUESTS + request);
	h = put_id(callee->format, h, REGISTRATION);
	h = put_text_head(callee->format, h, len);
	put_frame(&callee->out, callee->rawsocket, callee->format, head, h, text, len);
	set_dirty(callee);
}

static void on_yield(struct conn *c, const uint8_t *p)
{
	uint64_t id = read_id(c->format, &p) - ID_BASE;
	const uint8_t *text;
	uint8_t head[MAX_HEAD], *h;
	struct conn *caller;
	size_t len;

	p += c->format == JSON ? 4 : 2;
	text = read_text(c->format, &p, &len);
	caller = id / ID_REQUESTS < conn_count ? conns[id / ID_REQUESTS] : NULL;
	if (caller == NULL)
		return;
	h = put_type(caller->format, head, 4, 50);
	h = put_id(caller->format, h, id % ID_REQUESTS);
	h = put_text_head(caller->format, h, len);
	put_frame(&caller->out, caller->rawsocket, caller->format, head, h, text, len);
	set_dirty(caller);
}

static void on_publish(struct conn *c, const uint8_t *p)
{
	const uint8_t *text;
	uint8_t head[MAX_HEAD], *h;
	size_t len;

	read_id(c->format, &p);
	p += c->format == JSON ? 3 : 1;
	read_text(c->format, &p, &len);
	p++;
	text = read_text(c->format, &p, &len);
	publications++;
	for (unsigned i = 0; i < 2 * FORMATS; i++) {
		enum format format = (enum format)(i % FORMATS);
		struct stream *s = &streams[i / FORMATS][format];
		if (s->count == 0)
			continue;
		h = put_type(format, head, 5, 36);
		h = put_id(format, h, SUBSCRIPTION);
		h = put_id(format, h, ID_BASE + publications);
		h = put_text_head(format, h, len);
		put_frame(&s->data, i >= FORMATS, format, head, h, text, len);
	}
}

static void on_subscribe(struct conn *c, const uint8_t *p)
{
	struct stream *s = &streams[c->rawsocket][c->format];

	if (c->subscriber < 0) {
		if (s->count == s->size) {
			s->size = s->size * 2 + 16;
			s->subscribers = must(realloc(
				s->subscribers, (size_t)s->size * sizeof(struct conn *)));
		}
		c->subscriber = s->count;
		s->subscribers[s->count++] = c;
	}
	send_confirmation(c, 33, read_id(c->format, &p), SUBSCRIPTION);
}

static void on_register(struct conn *c, const uint8_t *p)
{
	uint64_t request = read_id(c->format, &p);
	const uint8_t *uri;
	size_t len;

	p += c->format == JSON ? 3 : 1;
	uri = read_text(c->format, &p, &len);
	callees[(uri[len - 1] - '0') % MAX_CALLEES] = c;
	send_confirmation(c, 65, request, REGISTRATION);
}

static void on_message(struct conn *c, const uint8_t *p, size_t len)
{
	const uint8_t *start = p++;
	uint64_t type = read_id(c->format, &p);

	if (type == 48)
		on_call(c, p);
	else if (type == 70)
		on_yield(c, p);
	else if (type == 16)
		on_publish(c, p);
	else if (type == 32)
		on_subscribe(c, p);
	else if (type == 64)
		on_register(c, p);
	else if (type == 1 && memmem(start, len, "cryptosign", 10) != NULL)
		send_answer(c, CHALLENGE);
	else if (type == 1 || type == 5)
		send_answer(c, WELCOME);
	else if (type == 6)
		send_answer(c, GOODBYE);
}

/* --- frames in --- */

static size_t on_rawsocket(struct conn *c, const uint8_t *p, size_t have)
{
	size_t len;

	if (have < 4)
		return 0;
	len = read_be(&p, 4);
	if (have - 4 < len)
		return 0;
	on_message(c, p, len);
	return 4 + len;
}

static size_t on_websocket(struct conn *c, uint8_t *p, size_t have)
{
	size_t head = 2;
	uint64_t len, mask, word;

	if (have < 2)
		return 0;
	len = p[1] & 127;
	if (len >= 126) {
		head = len == 126 ? 4 : 10;
		if (have < head)
			return 0;
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (have < head + 4 || have - head - 4 < len)
		return 0;
	mask = (uint64_t)p[head] | (uint64_t)p[head + 1] << 8 |
	       (uint64_t)p[head + 2] << 16 | (uint64_t)p[head + 3] << 24;
	mask |= mask << 32;
	p += head + 4;
	for (uint64_t i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, p + i, 8);
		word ^= mask;
		memcpy(p + i, &word, 8);
	}
	for (uint64_t i = len & ~UINT64_C(7); i < len; i++)
		p[i] ^= (uint8_t)(mask >> 8 * (i % 8));
	on_message(c, p, len);
	return head + 4 + len;
}

static size_t on_handshake(struct conn *c, const uint8_t *p, size_t have)
{
	static const char *const names[FORMATS] = {"json", "msgpack", "cbor"};
	const uint8_t *end;
	char answer[256];

	if (have < 4)
		return 0;
	c->open = true;
	if (p[0] == 0x7f) {
		uint8_t accept[4] = {0x7f, p[1], 0, 0};
		c->rawsocket = true;
		c->format = (enum format)(((p[1] & 15) - 1) % FORMATS);
		add(&c->out, accept, 4);
		set_dirty(c);
		return 4;
	}
	end = memmem(p, have, "\r\n\r\n", 4);
	c->open = end != NULL;
	if (end == NULL)
		return 0;
	c->format = memmem(p, have, "wamp.2.json", 11)      ? JSON
		    : memmem(p, have, "wamp.2.msgpack", 14) ? MSGPACK
							    : CBOR;
	add(&c->out, answer,
	    (size_t)snprintf(answer, sizeof(answer),
			     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			     "Connection: Upgrade\r\n"
			     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
			     "Sec-WebSocket-Protocol: wamp.2.%s\r\n\r\n",
			     names[c->format]));
	set_dirty(c);
	return (size_t)(end + 4 - p);
}

static void close_conn(struct conn *c)
{
	struct stream *s = &streams[c->rawsocket][c->format];

	if (c->closed)
		return;
	tls_close(&c->tls);
	close(c->fd);
	c->closed = true;
	if (c->subscriber >= 0) {
		s->subscribers[c->subscriber] = s->subscribers[--s->count];
		s->subscribers[c->subscriber]->subscriber = c->subscriber;
	}
	for (unsigned i = 0; i < MAX_CALLEES; i++)
		if (callees[i] == c)
			callees[i] = NULL;
	conns[c->index] = NULL;
	unused[unused_count++] = c->index;
	set_dirty(c); /* the connection is freed at the end of the turn */
}

static void on_readable(struct conn *c)
{
	size_t used = 1, at = 0;
	ssize_t n;

	input.len = 0;
	add(&input, c->in.data, c->in.len);
	n = tls_recv(c->tls, c->fd, room(&input, READ_SIZE), READ_SIZE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_conn(c);
		return;
	}
	input.len += (size_t)n;
	release(&c->in);
	while (used > 0) {
		uint8_t *p = input.data + at;
		size_t have = input.len - at;
		used = !c->open       ? on_handshake(c, p, have)
		       : c->rawsocket ? on_rawsocket(c, p, have)
				      : on_websocket(c, p, have);
		at += used;
	}
	add(&c->in, input.data + at, input.len - at);
}

/* --- the turn --- */

static void arm(struct conn *c, bool write)
{
	struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0),
				    .data.ptr = c};

	if (c->wants_write != write)
		epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
	c->wants_write = write;
}

static void flush(struct conn *c)
{
	ssize_t n;

	c->dirty = false;
	if (c->closed) {
		release(&c->in);
		release(&c->out);
		free(c);
		return;
	}
	n = tls_send(c->tls, c->fd, c->out.data, c->out.len);
	if (n < 0)
		n = 0;
	c->out.len -= (size_t)n;
	if (c->out.len > 0)
		memmove(c->out.data, c->out.data + n, c->out.len);
	arm(c, c->out.len > 0);
	/* an idle connection keeps no buffer, a busy one keeps it for the next turn */
	if (c->out.len == 0 && c->subscriber >= 0)
		release(&c->out);
}

static void flush_stream(struct stream *s)
{
	for (int i = 0; i < s->count; i++) {
		struct conn *c = s->subscribers[i];
		ssize_t n = 0;
		if (c->out.len == 0) {
			n = tls_send(c->tls, c->fd, s->data.data, s->data.len);
			if (n == (ssize_t)s->data.len)
				continue;
			if (n < 0)
				n = 0;
			arm(c, true);
		}
		add(&c->out, s->data.data + n, s->data.len - (size_t)n);
	}
	s->data.len = 0;
}

static void flush_all(void)
{
	for (unsigned i = 0; i < dirty_count; i++)
		flush(dirty[i]);
	dirty_count = 0;
	for (unsigned i = 0; i < 2 * FORMATS; i++) {
		struct stream *s = &streams[i / FORMATS][i % FORMATS];
		if (s->data.len > 0)
			flush_stream(s);
	}
}

static unsigned free_index(void)
{
	static unsigned size;

	if (unused_count > 0)
		return unused[--unused_count];
	if (conn_count == size) {
		size = size * 2 + 64;
		conns = must(realloc(conns, size * sizeof(*conns)));
		unused = must(realloc(unused, size * sizeof(*unused)));
		dirty = must(realloc(dirty, 2 * size * sizeof(*dirty)));
	}
	return conn_count++;
}

static void on_connection(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
	struct epoll_event event = {.events = EPOLLIN};
	struct conn *c;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = must(calloc(1, sizeof(*c)));
	c->fd = fd;
	if (certificate != NULL)
		c->tls = tls_open(fd, certificate, private_key);
	c->subscriber = -1;
	c->index = free_index();
	conns[c->index] = c;
	event.data.ptr = c;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void add_listener(int fd, const struct sockaddr *address, socklen_t len)
{
	/* odd numbers are listeners; connections are pointers, which are even */
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)fd << 1 | 1};
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, address, len) < 0 || listen(fd, 4096) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("listen");
}

static void listen_tcp(unsigned port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	add_listener(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
		     (struct sockaddr *)&in, sizeof(in));
}

static void listen_unix(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	unlink(path);
	strncpy(un.sun_path, path, sizeof(un.sun_path) - 1);
	add_listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
		     (struct sockaddr *)&un, sizeof(un));
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"tcp", 1, NULL, 't'},
					      {"unix", 1, NULL, 'u'},
					      {"certificate", 1, NULL, 'c'},
					      {"key", 1, NULL, 'k'},
					      {NULL, 0, NULL, 0}};
	struct epoll_event events[EVENTS];
	struct rlimit files;
	int letter;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll");
	make_answers();
	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (letter == 't')
			listen_tcp((unsigned)strtoul(optarg, NULL, 10));
		else if (letter == 'c')
			certificate = optarg;
		else if (letter == 'k')
			private_key = optarg;
		else if (letter == 'u')
			listen_unix(optarg);
		else
			return 2;
	}
	fputs("relay ready\n", stderr);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (events[i].data.u64 & 1)
				on_connection((int)(events[i].data.u64 >> 1));
			else if (events[i].events & EPOLLOUT)
				set_dirty(c);
			if (!(events[i].data.u64 & 1) && !c->closed &&
			    events[i].events & ~(uint32_t)EPOLLOUT)
				on_readable(c);
		}
		flush_all();
	}
}
