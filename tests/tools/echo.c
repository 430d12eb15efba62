/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket echo server that uses only net/, without WAMP, and so proves the layering.
 * The Autobahn TestSuite and other tests of WebSocket run against it.
 *
 *   echo [--port N | --unix PATH] [--max-connections N] [--max-message BYTES]
 *        [--queue BYTES] [--handshake MS] [--ping MS] [--deflate]
 *
 * Prints "ready address=ADDRESS" and runs until SIGTERM, then closes all connections and
 * exits with 0. The path is /ws or /; the subprotocol is "echo" or none. One thread.
 */
#include "common/err.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/loop.h"
#include "routerd/net/conn.h"
#include "routerd/net/net.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MIB = 1024 * 1024,
	GOODBYE_MS = 3000, /* for the connections at the end */
};

struct server {
	struct loop *loop;
	struct net net;
	struct listener listener;
	struct conn_conf conf;
	struct event term;
	struct timer give_up;
	bool stopping;
	struct buf frame; /* the frame being sent */
};

/* --- echoing --- */

static int upgrade(struct conn *c, const struct http_request *req, const char **text_out)
{
	static const char *const origins[] = {"http://*.example.com", "http://localhost"};
	struct http_list it = {0};
	struct slice offer;

	(void)c;
	if (req->has_origin &&
	    !http_origin_allowed(req->origin, origins, ARRAY_LEN(origins))) {
		*text_out = "This origin is not allowed.";
		return HTTP_FORBIDDEN;
	}
	while (http_list_next(req, "Sec-WebSocket-Protocol", &it, &offer)) {
		if (slice_eq_str(offer, "echo"))
			*text_out = "echo";
		if (slice_eq_str(offer, "refuse")) {
			*text_out = "The subprotocol 'refuse' is refused.";
			return HTTP_BAD_REQUEST;
		}
	}
	return 0;
}

static void message(struct conn *c, struct slice bytes, bool text)
{
	struct server *s = conn_conf(c)->user;
	uint8_t head[FRAME_HEAD_MAX];
	size_t n =
		frame_head(text ? FRAMING_WS_TEXT : FRAMING_WS_BINARY, bytes.len, head);

	conn_established(c);
	buf_clear(&s->frame);
	buf_put(&s->frame, head, n);
	buf_put_slice(&s->frame, bytes);
	if (s->frame.err != 0)
		conn_drop(c);
	else
		conn_send(c, buf_slice(&s->frame));
}

static void closed(struct conn *c)
{
	log_info(conn_prefix(c).text, "closed reason=\"%s\"", conn_end_str(conn_end(c)));
}

static const struct conn_handler handler = {
	.page = "This is an echo server: it speaks WebSocket.",
	.upgrade = upgrade,
	.message = message,
	.closed = closed,
};

/* --- the server --- */

static void accepted(void *arg, int fd)
{
	struct server *s = arg;

	(void)conn_adopt(&s->net, fd, &s->conf);
}

static bool turn_end(void *arg)
{
	struct server *s = arg;

	net_inflate_some(&s->net);
	bool more = net_turn_end(&s->net);

	if (s->stopping && net_conns(&s->net) == 0)
		loop_stop(s->loop);
	return more;
}

static void give_up(void *arg)
{
	struct server *s = arg;

	loop_stop(s->loop);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	struct server *s = arg;

	(void)sig;
	(void)what;
	if (s->stopping)
		return;
	s->stopping = true;
	listener_stop(&s->listener);
	net_close_all(&s->net, WS_CLOSE_RESTART, "shutting down");
	timer_arm(&s->give_up, GOODBYE_MS);
}

static void print_counters(const struct net *n)
{
	for (size_t i = 0; i < net_counter_table.n; i++)
		printf("%s %" PRIu64 "\n", net_counter_table.defs[i].name,
		       n->counters[i]);
}

static int serve(struct server *s, const struct listener_conf *lc)
{
	int err;

	s->loop = loop_new(turn_end, s);
	if (s->loop == NULL)
		return E_NOMEM;
	err = net_init(&s->net, s->loop, "w0", 512u * MIB, 256u * MIB);
	if (err == 0)
		err = listener_open(&s->listener, s->loop, lc, accepted, s);
	if (err == 0) {
		s->conf.live = &s->listener.live;
		/* once the event is deleted, a second SIGTERM must not end the process */
		signal(SIGTERM, SIG_IGN);
		evsignal_assign(&s->term, loop_base(s->loop), SIGTERM, on_term, s);
		evsignal_add(&s->term, NULL);
		timer_init(&s->give_up, s->loop, give_up, s);
		printf("ready address=%s\n", sock_local_name(s->listener.fd).text);
		fflush(stdout);
		loop_run(s->loop);
		timer_disarm(&s->give_up);
		event_del(&s->term);
		print_counters(&s->net);
	}
	net_fini(&s->net);
	listener_stop(&s->listener);
	loop_free(&s->loop);
	buf_fini(&s->frame);
	return err;
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || v > UINT32_MAX) {
		fprintf(stderr, "echo: %s is not a number\n", text);
		exit(EXIT_FAILURE);
	}
	return (uint32_t)v;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},
		{"unix", required_argument, NULL, 'u'},
		{"max-message", required_argument, NULL, 'm'},
		{"ping", required_argument, NULL, 'i'},
		{"queue", required_argument, NULL, 'q'},
		{"handshake", required_argument, NULL, 'h'},
		{"max-connections", required_argument, NULL, 'c'},
		{"deflate", no_argument, NULL, 'd'},
		{0},
	};
	static const char *const paths[] = {"/", "/ws"};
	static struct server s;
	struct listener_conf lc = {
		.name = "echo", .fd = -1, .host = "127.0.0.1", .mode = 0600};
	int opt;

	s.conf = (struct conn_conf){.handler = &handler,
				    .user = &s,
				    .name = "echo",
				    .framings = CONN_WEBSOCKET,
				    .early_message_max = 16 * MIB,
				    .message_max = 16 * MIB,
				    .head_max = 16 * 1024,
				    .headers_max = 64,
				    .paths = paths,
				    .n_paths = ARRAY_LEN(paths),
				    .handshake_ms = 600 * 1000,
				    .close_ms = 2000,
				    .queue_max = 64 * MIB};
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'p')
			lc.port = (uint16_t)number(optarg);
		else if (opt == 'u')
			lc.path = optarg;
		else if (opt == 'm')
			s.conf.message_max = number(optarg);
		else if (opt == 'i')
			s.conf.ping_interval_ms = s.conf.ping_timeout_ms = number(optarg);
		else if (opt == 'q')
			s.conf.queue_max = number(optarg);
		else if (opt == 'h')
			s.conf.handshake_ms = number(optarg);
		else if (opt == 'c')
			lc.max_connections = number(optarg);
		else if (opt == 'd')
			s.conf.deflate = true;
		else
			return EXIT_FAILURE;
	}
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	buf_init(&s.frame, 17 * MIB);
	return serve(&s, &lc) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
