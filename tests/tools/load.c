/* SPDX-License-Identifier: Apache-2.0 */
/* Puts load on a router and checks every message that comes back.
 *
 *    load rpc    --port P --calls N [--callers C] [--callees E]
 *   load fanout --port P --events N [--subscribers S] [--topics T] [--publishers C]
 *
 * WebSocket, or RawSocket with --framing rawsocket.
 *
 * Each payload is (sender, sequence). rpc: every call gets exactly one answer with its
 * own payload, and each callee sees the calls of each caller in order. fanout: every
 * subscriber has all topics and sees the events of each publisher once and in order
 * across topics. Prints one line. The exit status is 1 if anything was lost, doubled,
 * reordered or wrong, or if the deadline passed.
 *
 * This program has its own WebSocket and RawSocket client, CBOR and JSON, and uses none
 * of the project's code, so that it does not share its mistakes. One thread. */
#include "tests/tools/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HELLO = 1,
	WELCOME = 2,
	GOODBYE = 6,
	PUBLISH = 16,
	PUBLISHED = 17,
	SUBSCRIBE = 32,
	SUBSCRIBED = 33,
	EVENT = 36,
	CALL = 48,
	RESULT = 50,
	REGISTER = 64,
	REGISTERED = 65,
	INVOCATION = 68,
	YIELD = 70,
};

enum {
	MAX_SENDERS = 64,
	MAX_TOPICS = 64,
	MAX_HEAD = 512, /* an HTTP answer or an outgoing message without padding */
	CONNECTING_AT_ONCE = 64 /* a listener's backlog is limited */
};

/* --- options and counters --- */

static struct options {
	bool rpc;
	bool rawsocket;
	uint16_t port;
	const char *realm;
	uint64_t total; /* calls or events */
	unsigned senders;
	unsigned receivers;
	unsigned topics;
	unsigned window; /* unanswered calls or publishes of one sender */
	unsigned deadline;
} opt = {
	.realm = "devices",
	.senders = 8,
	.receivers = 4,
	.topics = 10,
	.window = 32,
	.deadline = 600,
};

static struct tally {
	uint64_t answered;
	uint64_t delivered;
	uint64_t doubled;
	uint64_t reordered;
	uint64_t wrong; /* unexpected types, contents and errors, closed connections */
} tally;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list ap;

	/* print the first ones; the counter has them all */
	if (++tally.wrong > 20)
		return;
	va_start(ap, format);
	fprintf(stderr, "load: ");
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- clients --- */

enum state { UPGRADING, JOINING, PREPARING, READY, LEAVING, GONE };

struct client {
	int fd;
	enum state state;
	bool receiver;
	bool wants_write;
	unsigned index;    /* index among senders or receivers */
	unsigned prepared; /* confirmed subscriptions or registrations */
	struct bytes in;
	struct bytes out;
	/* senders: sequence numbers start at 1 and are also the request ids */
	uint64_t quota;
	uint64_t sent;
	uint64_t answered;
	uint8_t *seen; /* one bit per sequence number */
	/* receivers: the next sequence number of each sender */
	uint64_t next[MAX_SENDERS];
	uint64_t subscription[MAX_TOPICS];
};

static int epoll_fd;
static struct client *clients; /* receivers first */
static unsigned client_count;
static unsigned states[GONE + 1]; /* number of clients in each state */

static void set_state(struct client *c, enum state state)
{
	states[c->state]--;
	c->state = state;
	states[state]++;
}

static uint32_t random32(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)x;
}

static void send_raw(struct client *c, struct bytes *message)
{
	size_t len = message->len;
	uint8_t head[4] = {0, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

	add(&c->out, head, sizeof(head));
	add(&c->out, message->data, len);
	message->len = 0;
}

/* Queues the message in a frame and empties the message buffer. */
static void send_frame(struct client *c, struct bytes *message)
{
	uint8_t head[14];
	size_t len = message->len, n = 2;
	uint32_t key = random32();
	size_t start;

	if (opt.rawsocket) {
		send_raw(c, message);
		return;
	}
	head[0] = codec_json ? 0x81 : 0x82;
	if (len < 126) {
		head[1] = (uint8_t)(0x80 | len);
	} else if (len < 65536) {
		head[1] = 0x80 | 126;
		head[n++] = (uint8_t)(len >> 8);
		head[n++] = (uint8_t)len;
	} else {
		head[1] = 0x80 | 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			head[n++] = (uint8_t)((uint64_t)len >> shift);
	}
	memcpy(head + n, &key, 4);
	add(&c->out, head, n + 4);
	start = c->out.len;
	add(&c->out, message->data, len);
	for (size_t i = 0; i < len; i++)
		c->out.data[start + i] ^= head[n + i % 4];
	message->len = 0;
}

static struct bytes scratch;

static void send_hello(struct client *c)
{
	put_message(&scratch, "usr", (uint64_t)HELLO, opt.realm);
	send_frame(c, &scratch);
	set_state(c, JOINING);
}

static void send_goodbye(struct client *c)
{
	put_message(&scratch, "u{s", (uint64_t)GOODBYE, "wamp.close.normal");
	send_frame(c, &scratch);
	set_state(c, LEAVING);
}

/* Receivers subscribe to every topic, or register their own procedure. */
static void prepare(struct client *c)
{
	char uri[64];

	if (!c->receiver) {
		set_state(c, READY);
		return;
	}
	set_state(c, PREPARING);
	if (opt.rpc) {
		snprintf(uri, sizeof(uri), "com.example.load.p%u", c->index);
		put_message(&scratch, "uu{s", (uint64_t)REGISTER, UINT64_C(1), uri);
		send_frame(c, &scratch);
		return;
	}
	for (unsigned t = 0; t < opt.topics; t++) {
		snprintf(uri, sizeof(uri), "com.example.load.t%u", t);
		put_message(&scratch, "uu{s", (uint64_t)SUBSCRIBE, (uint64_t)t + 1, uri);
		send_frame(c, &scratch);
	}
}

/* A sender's messages go to all procedures or topics in turn. */
static unsigned target_of(uint64_t sequence)
{
	return (unsigned)(sequence % (opt.rpc ? opt.receivers : opt.topics));
}

static void send_more(struct client *c)
{
	char uri[64];

	while (c->sent < c->quota && c->sent - c->answered < opt.window) {
		uint64_t sequence = ++c->sent;
		if (opt.rpc) {
			snprintf(uri, sizeof(uri), "com.example.load.p%u",
				 target_of(sequence));
			put_message(&scratch, "uu{sp", (uint64_t)CALL, sequence, uri,
				    (uint64_t)c->index, sequence);
		} else {
			snprintf(uri, sizeof(uri), "com.example.load.t%u",
				 target_of(sequence));
			put_message(&scratch, "uuasp", (uint64_t)PUBLISH, sequence, uri,
				    (uint64_t)c->index, sequence);
		}
		send_frame(c, &scratch);
	}
}

/* --- checking --- */

static void judge_answer(struct client *c, const struct message *m)
{
	uint64_t sequence = m->top[1];

	if (sequence == 0 || sequence > c->sent) {
		complain("an answer to nothing: %" PRIu64, sequence);
		return;
	}
	if (c->seen[sequence / 8] & 1u << sequence % 8) {
		tally.doubled++;
		return;
	}
	c->seen[sequence / 8] |= (uint8_t)(1u << sequence % 8);
	c->answered++;
	tally.answered++;
	if (opt.rpc && (m->args < 2 || m->arg[0] != c->index || m->arg[1] != sequence))
		complain("caller %u: another call's result for %" PRIu64, c->index,
			 sequence);
}

/* Checks an EVENT or INVOCATION: the next one of its sender, with the right id. */
static bool judge_delivery(struct client *c, const struct message *m)
{
	uint64_t sender = m->arg[0], sequence = m->arg[1], step, *next;

	if (m->args < 2 || sender >= opt.senders) {
		complain("a delivery with a foreign payload");
		return false;
	}
	tally.delivered++;
	next = &c->next[sender];
	step = opt.rpc ? opt.receivers : 1;
	if (sequence < *next)
		tally.doubled++;
	else if (sequence > *next)
		tally.reordered++;
	*next = sequence + step;
	if (!opt.rpc && m->top[1] != c->subscription[target_of(sequence)])
		complain("an event under the id of another topic");
	return true;
}

static void on_prepared(struct client *c, const struct message *m)
{
	if (!opt.rpc && m->top[1] >= 1 && m->top[1] <= opt.topics)
		c->subscription[m->top[1] - 1] = m->top[2];
	if (++c->prepared == (opt.rpc ? 1 : opt.topics))
		set_state(c, READY);
}

static void on_message(struct client *c, const uint8_t *data, size_t len)
{
	struct message m;

	if (!read_message(data, len, &m)) {
		complain("a message that is none");
		return;
	}
	if (m.top[0] == WELCOME && c->state == JOINING) {
		prepare(c);
	} else if ((m.top[0] == SUBSCRIBED || m.top[0] == REGISTERED) &&
		   c->state == PREPARING) {
		on_prepared(c, &m);
	} else if (m.top[0] == (opt.rpc ? RESULT : PUBLISHED) && !c->receiver) {
		judge_answer(c, &m);
		send_more(c);
	} else if (m.top[0] == EVENT && c->receiver && !opt.rpc) {
		judge_delivery(c, &m);
	} else if (m.top[0] == INVOCATION && c->receiver && opt.rpc) {
		if (judge_delivery(c, &m)) {
			put_message(&scratch, "uu{p", (uint64_t)YIELD, m.top[1], m.arg[0],
				    m.arg[1]);
			send_frame(c, &scratch);
		}
	} else if (m.top[0] == GOODBYE && c->state == LEAVING) {
		set_state(c, GONE);
	} else {
		complain("unexpected message of type %" PRIu64 " (%.*s)", m.top[0],
			 codec_json ? (int)len : 0, (const char *)data);
	}
}

/* --- bytes --- */

static uint8_t raw_serializer(void)
{
	return codec_json ? 1 : 3;
}

/* Checks the handshake's answer: the right serializer and no error. */
static bool on_raw_handshake(struct client *c)
{
	if (c->in.len < 4)
		return false;
	if (c->in.data[0] != 0x7f || (c->in.data[1] & 0xf) != raw_serializer()) {
		complain("no RawSocket: %02x %02x", c->in.data[0], c->in.data[1]);
		set_state(c, GONE);
		return false;
	}
	drop(&c->in, 4);
	send_hello(c);
	return true;
}

static bool on_upgraded(struct client *c)
{
	const uint8_t *end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);

	if (end == NULL)
		return false;
	if (c->in.len < 12 || memcmp(c->in.data, "HTTP/1.1 101", 12) != 0) {
		complain("no upgrade: %.*s", (int)(end - c->in.data), (char *)c->in.data);
		set_state(c, GONE);
		return false;
	}
	drop(&c->in, (size_t)(end + 4 - c->in.data));
	send_hello(c);
	return true;
}

static size_t on_raw_frame(struct client *c, size_t offset)
{
	const uint8_t *p = c->in.data + offset;
	size_t have = c->in.len - offset, len;

	if (have < 4)
		return 0;
	len = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (have - 4 < len)
		return 0;
	if (p[0] == 0)
		on_message(c, p + 4, len);
	else
		complain("client %s%u: frame %02x", c->receiver ? "r" : "s", c->index,
			 p[0]);
	return 4 + len;
}

/* Handles one frame at the offset. Returns its length, 0 if it is incomplete. */
static size_t on_frame(struct client *c, size_t offset)
{
	const uint8_t *p = c->in.data + offset;
	size_t have = c->in.len - offset, head = 2;
	uint64_t len;

	if (opt.rawsocket)
		return on_raw_frame(c, offset);
	if (have < 2)
		return 0;
	len = p[1];
	if (len == 126)
		head = 4;
	else if (len == 127)
		head = 10;
	if (have < head)
		return 0;
	if (head > 2) {
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (have - head < len)
		return 0;
	if (p[0] == 0x89) {
		/* answer a ping: a pong masked with zeros */
		uint8_t pong[6] = {0x8a, (uint8_t)(0x80 | len)};
		add(&c->out, pong, sizeof(pong));
		add(&c->out, p + head, len);
	} else if (p[0] == (codec_json ? 0x81 : 0x82)) {
		on_message(c, p + head, len);
	} else {
		complain("client %s%u: frame %02x, code %d", c->receiver ? "r" : "s",
			 c->index, p[0], len >= 2 ? p[head] << 8 | p[head + 1] : 0);
	}
	return head + len;
}

static void on_readable(struct client *c)
{
	uint8_t chunk[65536];
	ssize_t n = read(c->fd, chunk, sizeof(chunk));
	size_t offset = 0, used;

	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (c->state != GONE) {
			complain("a connection was closed");
			set_state(c, GONE);
		}
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
		return;
	}
	add(&c->in, chunk, (size_t)n);
	if (c->state == UPGRADING &&
	    !(opt.rawsocket ? on_raw_handshake(c) : on_upgraded(c)))
		return;
	while ((used = on_frame(c, offset)) > 0)
		offset += used;
	drop(&c->in, offset);
}

static void flush(struct client *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	ssize_t n;

	if (c->out.len == 0 || c->state == GONE)
		return;
	n = write(c->fd, c->out.data, c->out.len);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return; /* the next read finds that it is closed */
	if (n > 0)
		drop(&c->out, (size_t)n);
	if ((c->out.len > 0) == c->wants_write)
		return;
	c->wants_write = c->out.len > 0;
	if (c->wants_write)
		event.events |= EPOLLOUT;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void connect_client(struct client *c)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(opt.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	char request[MAX_HEAD];
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
		die("socket");
	if (opt.rawsocket) {
		/* we accept up to 16 MiB */
		uint8_t handshake[4] = {0x7f, 0xf0 | raw_serializer(), 0, 0};

		add(&c->out, handshake, sizeof(handshake));
		flush(c);
		return;
	}
	snprintf(request, sizeof(request),
		 "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
		 "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: wamp.2.%s\r\n\r\n",
		 opt.port, codec_json ? "json" : "cbor");
	add(&c->out, request, strlen(request));
	flush(c);
}

/* --- the run --- */

static double deadline;

/* One turn of the loop. False if the deadline has passed. */
static bool turn(void)
{
	struct epoll_event events[256];
	int n = epoll_wait(epoll_fd, events, 256, 1000);

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			on_readable(c);
		flush(c);
	}
	return now() < deadline;
}

static bool all_ready(void)
{
	unsigned opened = 0;

	while (states[READY] + states[GONE] < client_count) {
		while (opened < client_count &&
		       opened - states[READY] < CONNECTING_AT_ONCE)
			connect_client(&clients[opened++]);
		if (!turn())
			return false;
	}
	return states[GONE] == 0;
}

static uint64_t deliveries_expected(void)
{
	uint64_t total = 0;

	for (unsigned i = opt.receivers; i < client_count; i++)
		total += clients[i].quota;
	return opt.rpc ? total : total * opt.receivers;
}

static bool all_done(uint64_t expected)
{
	for (unsigned i = opt.receivers; i < client_count; i++) {
		send_more(&clients[i]);
		flush(&clients[i]);
	}
	while (tally.delivered < expected || tally.answered < opt.total) {
		if (!turn() || states[GONE] > 0)
			return false;
	}
	return true;
}

/* A message between GOODBYE and its answer would be a duplicate. */
static bool all_left(void)
{
	for (unsigned i = 0; i < client_count; i++) {
		if (clients[i].state == READY)
			send_goodbye(&clients[i]);
		flush(&clients[i]);
	}
	while (states[GONE] < client_count) {
		if (!turn())
			return false;
	}
	return true;
}

static void make_clients(void)
{
	client_count = opt.receivers + opt.senders;
	clients = must(calloc(client_count, sizeof(*clients)));
	states[UPGRADING] = client_count;
	for (unsigned i = 0; i < client_count; i++) {
		struct client *c = &clients[i];
		c->receiver = i < opt.receivers;
		c->index = c->receiver ? i : i - opt.receivers;
		if (!c->receiver) {
			c->quota = opt.total / opt.senders;
			c->seen = must(calloc(1, c->quota / 8 + 2));
		}
		for (unsigned s = 0; s < MAX_SENDERS; s++)
			c->next[s] = !opt.rpc        ? 1
				     : c->index == 0 ? opt.receivers
						     : c->index;
	}
	opt.total = opt.total / opt.senders * opt.senders;
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{"port", 1, NULL, 'p'},       {"realm", 1, NULL, 'm'},
		{"calls", 1, NULL, 'n'},      {"events", 1, NULL, 'n'},
		{"callers", 1, NULL, 's'},    {"publishers", 1, NULL, 's'},
		{"callees", 1, NULL, 'r'},    {"subscribers", 1, NULL, 'r'},
		{"topics", 1, NULL, 't'},     {"window", 1, NULL, 'w'},
		{"pad", 1, NULL, 'x'},        {"deadline", 1, NULL, 'd'},
		{"serializer", 1, NULL, 'z'}, {"framing", 1, NULL, 'f'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	opt.rpc = argc > 1 && strcmp(argv[1], "rpc") == 0;
	if (!opt.rpc)
		opt.receivers = 1000;
	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		unsigned long n = strtoul(optarg ? optarg : "0", NULL, 10);
		switch (letter) {
		case 'p':
			opt.port = (uint16_t)n;
			break;
		case 'm':
			opt.realm = optarg;
			break;
		case 'n':
			opt.total = n;
			break;
		case 's':
			opt.senders = (unsigned)n;
			break;
		case 'r':
			opt.receivers = (unsigned)n;
			break;
		case 't':
			opt.topics = (unsigned)n;
			break;
		case 'w':
			opt.window = (unsigned)n;
			break;
		case 'x':
			codec_pad = (unsigned)n;
			break;
		case 'd':
			opt.deadline = (unsigned)n;
			break;
		case 'f':
			opt.rawsocket = strcmp(optarg, "rawsocket") == 0;
			break;
		case 'z':
			codec_json = strcmp(optarg, "json") == 0;
			break;
		default:
			exit(2);
		}
	}
	if (opt.port == 0 || opt.senders == 0 || opt.senders > MAX_SENDERS ||
	    opt.receivers == 0 || opt.topics == 0 || opt.topics > MAX_TOPICS ||
	    opt.total < opt.senders) {
		fprintf(stderr, "usage: load rpc --port P --calls N | load fanout --port "
				"P --events N\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	uint64_t expected, lost;
	double start, seconds;
	bool done;

	parse(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll");
	deadline = now() + opt.deadline;
	make_clients();
	expected = deliveries_expected();
	done = all_ready();
	start = now();
	done = done && all_done(expected);
	seconds = now() - start;
	done = all_left() && done;

	lost = opt.total - tally.answered;
	if (tally.delivered < expected)
		lost += expected - tally.delivered;
	printf("load %s: %s %s senders=%u receivers=%u answered=%" PRIu64
	       " delivered=%" PRIu64 " seconds=%.2f rate=%.0f/s lost=%" PRIu64
	       " doubled=%" PRIu64 " reordered=%" PRIu64 " wrong=%" PRIu64 "\n",
	       opt.rpc ? "rpc" : "fanout", opt.rawsocket ? "rawsocket" : "websocket",
	       codec_json ? "json" : "cbor", opt.senders, opt.receivers, tally.answered,
	       tally.delivered, seconds,
	       (double)(opt.rpc ? tally.answered : tally.delivered) / seconds, lost,
	       tally.doubled, tally.reordered, tally.wrong);
	return done && lost + tally.doubled + tally.reordered + tally.wrong == 0 ? 0 : 1;
}
