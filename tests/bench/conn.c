/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, handshakes, frames and the loop: see conn.h. */
#include "tests/bench/conn.h"

#include "tests/bench/measure.h"
#include "tests/bench/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	READ_SIZE = 256 * 1024,
	EVENTS = 1024,
	PORTS_PER_ADDRESS = 20000, /* of about 28,000 that the kernel may choose from */
	RAWSOCKET_BITS = 24,       /* we accept messages of up to 2^24 bytes */
};

/* The fixed key of RFC 6455, section 1.3: every server gives the same answer. */
#define WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct conn_handler conn_handler;
unsigned conn_count[CONN_LEAVING + 1];
int64_t conn_read_at;
uint64_t complaints;

static int epoll_fd;
static unsigned open_sockets;
static struct bytes message; /* the message that is being written */
/* the input of one connection: its leftover, then the new bytes */
static struct bytes input;
static uint64_t mask_state;

/* connections with something to send, in the order in which they were marked */
static struct conn **dirty;
static unsigned dirty_count, dirty_size;

void complain(const char *format, ...)
{
	va_list ap;

	if (++complaints > 20)
		return;
	va_start(ap, format);
	fputs("wampbench: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
}

void conn_setup(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || getrandom(&mask_state, sizeof(mask_state), 0) < 0)
		die("epoll");
	mask_state |= 1;
}

static void set_state(struct conn *c, enum conn_state state)
{
	conn_count[c->state]--;
	c->state = state;
	conn_count[state]++;
}

static void set_dirty(struct conn *c)
{
	if (c->dirty)
		return;
	if (dirty_count == dirty_size) {
		dirty_size = dirty_size * 2 + 64;
		dirty = must(realloc(dirty, dirty_size * sizeof(*dirty)));
	}
	dirty[dirty_count++] = c;
	c->dirty = true;
}

static void close_socket(struct conn *c)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	tls_close(&c->tls);
	close(c->fd);
	c->fd = -1;
	c->wants_write = false;
	open_sockets--;
	bytes_fini(&c->in);
	bytes_fini(&c->out);
	set_state(c, CONN_CLOSED);
}

void conn_abort(struct conn *c)
{
	if (c->state != CONN_CLOSED)
		close_socket(c);
}

static void lost(struct conn *c, const char *why)
{
	bool left = c->state == CONN_LEAVING;

	close_socket(c);
	if (!left)
		conn_handler.on_closed(c, why);
}

/* --- writing --- */

struct writer conn_write(const struct conn *c)
{
	message.len = 0;
	return (struct writer){.out = &message, .format = c->format};
}

/* Sends a WebSocket frame, masked as a client must, eight bytes at a time. */
static void send_websocket(struct conn *c, unsigned opcode, const uint8_t *data,
			   size_t len)
{
	/* the last step of eight bytes may write too many */
	uint8_t *p = bytes_room(&c->out, len + 22);
	size_t head = 2;
	uint64_t mask, word;

	p[0] = (uint8_t)(0x80 | opcode);
	if (len < 126) {
		p[1] = (uint8_t)(0x80 | len);
	} else if (len < 65536) {
		p[1] = 0x80 | 126;
		p[head++] = (uint8_t)(len >> 8);
		p[head++] = (uint8_t)len;
	} else {
		p[1] = 0x80 | 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			p[head++] = (uint8_t)((uint64_t)len >> shift);
	}
	mask_state ^= mask_state << 13;
	mask_state ^= mask_state >> 7;
	mask_state ^= mask_state << 17;
	mask = (uint32_t)mask_state;
	mask |= mask << 32;
	memcpy(p + head, &mask, 4);
	head += 4;
	for (size_t i = 0; i < len; i += 8) {
		size_t n = len - i < 8 ? len - i : 8;
		word = 0;
		memcpy(&word, data + i, n);
		word ^= mask;
		memcpy(p + head + i, &word, 8);
	}
	c->out.len += head + len;
	set_dirty(c);
}

static void send_rawsocket(struct conn *c, unsigned type, const uint8_t *data, size_t len)
{
	uint8_t head[4] = {(uint8_t)type, (uint8_t)(len >> 16), (uint8_t)(len >> 8),
			   (uint8_t)len};

	bytes_add(&c->out, head, sizeof(head));
	bytes_add(&c->out, data, len);
	set_dirty(c);
}

void conn_send(struct conn *c)
{
	if (opt.rawsocket)
		send_rawsocket(c, 0, message.data, message.len);
	else
		send_websocket(c, c->format == FORMAT_JSON ? 1 : 2, message.data,
			       message.len);
}

void conn_leave(struct conn *c)
{
	struct writer w = conn_write(c);

	put_list(&w, 3);
	put_uint(&w, WAMP_GOODBYE);
	put_map(&w, 0);
	put_end(&w, '}');
	put_string(&w, "wamp.close.close_realm");
	put_end(&w, ']');
	conn_send(c);
	set_state(c, CONN_LEAVING);
}

static void flush(struct conn *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	ssize_t n;

	c->dirty = false;
	if (c->state == CONN_CLOSED || c->out.len == 0)
		return;
	n = tls_send(c->tls, c->fd, c->out.data, c->out.len);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return; /* the next read finds that it is closed */
	if (n > 0)
		bytes_drop(&c->out, (size_t)n);
	if ((c->out.len > 0) == c->wants_write)
		return;
	c->wants_write = c->out.len > 0;
	if (c->wants_write)
		event.events |= EPOLLOUT;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

void conn_flush(void)
{
	for (unsigned i = 0; i < dirty_count; i++)
		flush(dirty[i]);
	dirty_count = 0;
}

/* --- reading --- */

static void on_message(struct conn *c, const uint8_t *data, size_t len)
{
	struct message m;
	const char *why;

	m.count = read_list(c->format, data, len, m.item, MAX_ITEMS);
	if (m.count < 2 || m.item[0].kind != KIND_UINT) {
		lost(c, "a message that is none");
		return;
	}
	m.type = m.item[0].number;
	if (m.type == WAMP_GOODBYE && c->state == CONN_LEAVING) {
		close_socket(c);
	} else if (m.type == WAMP_GOODBYE || m.type == WAMP_ABORT) {
		complain("%s: %.*s", m.type == WAMP_ABORT ? "ABORT" : "GOODBYE",
			 m.count > 2 ? (int)m.item[2].len : 0,
			 (const char *)m.item[2].data);
		lost(c, "thrown out");
	} else if (c->state == CONN_JOINING) {
		why = join_message(c, &m);
		if (why != NULL) {
			lost(c, why);
		} else if (c->session != 0) {
			set_state(c, CONN_OPEN);
			conn_handler.on_open(c);
		}
	} else {
		conn_handler.on_message(c, &m);
	}
}

/* Handles one frame. Returns its length, 0 if it is incomplete. */
static size_t on_rawsocket(struct conn *c, const uint8_t *p, size_t have)
{
	size_t len;

	if (have < 4)
		return 0;
	len = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (have - 4 < len)
		return 0;
	if (p[0] == 0)
		on_message(c, p + 4, len);
	else if (p[0] == 1)
		send_rawsocket(c, 2, p + 4, len);
	else
		lost(c, "a frame of an unknown type");
	return 4 + len;
}

static size_t on_websocket(struct conn *c, const uint8_t *p, size_t have)
{
	size_t head = 2;
	uint64_t len;

	if (have < 2)
		return 0;
	len = p[1];
	if (len >= 126) {
		head = len == 126 ? 4 : 10;
		if (have < head)
			return 0;
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (have - head < len)
		return 0;
	if (p[0] == (c->format == FORMAT_JSON ? 0x81 : 0x82))
		on_message(c, p + head, len);
	else if (p[0] == 0x89)
		send_websocket(c, 0xa, p + head, len);
	else
		lost(c, p[0] == 0x88 ? "close frame" : "a frame of an unknown kind");
	return head + len;
}

/* Handles the answer to the handshake. Returns its length, 0 if it is incomplete. */
static size_t on_handshake(struct conn *c, const uint8_t *p, size_t have)
{
	const uint8_t *end;
	size_t len;

	if (opt.rawsocket) {
		if (have < 4)
			return 0;
		if (p[0] != 0x7f || (p[1] & 15) != c->format + 1) {
			lost(c, "handshake refused");
			return 4;
		}
		set_state(c, CONN_JOINING);
		join_hello(c);
		return 4;
	}
	end = memmem(p, have, "\r\n\r\n", 4);
	if (end == NULL)
		return 0;
	len = (size_t)(end + 4 - p);
	if (have < 12 || memcmp(p + 8, " 101", 4) != 0 ||
	    memmem(p, len, WS_ACCEPT, strlen(WS_ACCEPT)) == NULL) {
		lost(c, "no upgrade");
		return len;
	}
	set_state(c, CONN_JOINING);
	join_hello(c);
	return len;
}

static void on_bytes(struct conn *c, const uint8_t *p, size_t len)
{
	size_t used = 1;

	while (used > 0 && c->state != CONN_CLOSED) {
		if (c->state == CONN_UPGRADING)
			used = on_handshake(c, p, len);
		else if (opt.rawsocket)
			used = on_rawsocket(c, p, len);
		else
			used = on_websocket(c, p, len);
		p += used;
		len -= used;
	}
	if (c->state != CONN_CLOSED)
		bytes_add(&c->in, p, len);
}

static void on_readable(struct conn *c)
{
	ssize_t n;

	input.len = 0;
	bytes_add(&input, c->in.data, c->in.len);
	n = tls_recv(c->tls, c->fd, bytes_room(&input, READ_SIZE), READ_SIZE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		set_dirty(c); /* TLS may wait to send */
		return;
	}
	if (n <= 0) {
		lost(c, n == 0 ? "connection closed" : strerror(errno));
		return;
	}
	conn_read_at = now_ns();
	input.len += (size_t)n;
	bytes_fini(&c->in);
	on_bytes(c, input.data, input.len);
}

void conn_turn(int64_t wait_ns)
{
	struct epoll_event events[EVENTS];
	struct timespec wait = {.tv_sec = wait_ns / 1000000000,
				.tv_nsec = wait_ns % 1000000000};
	int n;

	conn_flush();
	n = epoll_pwait2(epoll_fd, events, EVENTS, &wait, NULL);
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;
		if (c->state == CONN_CLOSED)
			continue;
		if (events[i].events & EPOLLOUT)
			set_dirty(c);
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			on_readable(c);
	}
	conn_flush();
}

/* --- connecting --- */

/* One local address has too few ports for very many connections: use the next one. */
static void choose_source(int fd)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	const struct sockaddr_in *to = (const struct sockaddr_in *)&opt.address;
	int one = 1;

	if (opt.address.ss_family != AF_INET || open_sockets < PORTS_PER_ADDRESS ||
	    ntohl(to->sin_addr.s_addr) >> 24 != 127)
		return;
	source.sin_addr.s_addr =
		htonl(INADDR_LOOPBACK + open_sockets / PORTS_PER_ADDRESS);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
		die("bind");
}

static void send_handshake(struct conn *c)
{
	char request[1024];
	int n;

	if (opt.rawsocket) {
		uint8_t ask[4] = {0x7f,
				  (uint8_t)((RAWSOCKET_BITS - 9) << 4 | (c->format + 1)),
				  0, 0};
		bytes_add(&c->out, ask, sizeof(ask));
	} else {
		n = snprintf(request, sizeof(request),
			     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
			     "Connection: Upgrade\r\nSec-WebSocket-Key: " WS_KEY "\r\n"
			     "Sec-WebSocket-Version: 13\r\n"
			     "Sec-WebSocket-Protocol: wamp.2.%s\r\n\r\n",
			     opt.path, opt.host, format_names[c->format]);
		bytes_add(&c->out, request, (size_t)n);
	}
	set_dirty(c);
}

void conn_start(struct conn *c, enum format format)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	bool local = opt.address.ss_family == AF_UNIX;
	int one = 1, rc;

	c->format = format;
	c->session = 0;
	c->started = now_ns();
	/* Connect to a Unix socket blocking: a non-blocking connect fails if the backlog
	 * is full, and no event says when to try again. */
	c->fd = socket(opt.address.ss_family,
		       SOCK_STREAM | SOCK_CLOEXEC | (local ? 0 : SOCK_NONBLOCK), 0);
	if (c->fd < 0)
		die("socket");
	choose_source(c->fd);
	open_sockets++;
	set_state(c, CONN_UPGRADING);
	rc = connect(c->fd, (struct sockaddr *)&opt.address, opt.address_len);
	if (rc < 0 && errno != EINPROGRESS) {
		lost(c, strerror(errno));
		return;
	}
	if (local)
		fcntl(c->fd, F_SETFL, O_NONBLOCK);
	else
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
		die("epoll_ctl");
	if (opt.tls)
		c->tls = tls_open(c->fd, NULL, NULL);
	send_handshake(c);
}
