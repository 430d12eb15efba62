/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket; see listener.h. Runs on the thread of the listener's loop. */
#include "common/listener.h"

#include "common/err.h"

#include <errno.h>
#include <unistd.h>

enum {
	/* The limit lets other events of the loop run during a burst of connects. */
	ACCEPTS_PER_TURN = 64,
	STARVED_PAUSE_MS = 200,
};

/* --- accepting --- */

#define warn(l, ...)                                                                     \
	log_limited(&(l)->log_rate, loop_now_ms((l)->loop), LOG_LEVEL_WARN,              \
		    (l)->conf.name, __VA_ARGS__)

/*
 * Stops polling for a while. The waiting connection keeps the socket readable, so the
 * loop would spin while there are no free descriptors.
 */
static void starve(struct listener *l)
{
	l->counters.starved++;
	warn(l, "cannot accept connections reason=\"%s\" retry_ms=%d suppressed=%u",
	     strerror(errno), STARVED_PAUSE_MS);
	event_del(&l->ev);
	timer_arm(&l->pause, STARVED_PAUSE_MS);
}

static void resume(void *arg)
{
	struct listener *l = arg;

	/* If memory is short, try again later instead of giving up the listener. */
	if (event_add(&l->ev, NULL) != 0)
		timer_arm(&l->pause, STARVED_PAUSE_MS);
}

static void refuse_connection(struct listener *l, int fd)
{
	l->counters.refused++;
	warn(l,
	     "connection refused reason=\"too many connections\" peer=%s "
	     "max_connections=%u suppressed=%u",
	     sock_peer_name(fd).text, l->conf.max_connections);
	if (l->conf.refusal.len > 0) {
		size_t put;
		int err = sock_write(fd, l->conf.refusal.p, l->conf.refusal.len, &put);
		/* Ignore errors: the connection is closed anyway. */
		(void)err;
	}
	sock_close(&fd);
}

static void on_listener_readable(evutil_socket_t listen_fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd;
		int err = sock_accept(listen_fd, &fd);

		if (err == E_AGAIN)
			return;
		if (err != 0) {
			/* Also pause on a broken socket, since it would stay readable. */
			starve(l);
			return;
		}
		l->counters.accepted++;
		if (l->conf.max_connections != 0 &&
		    atomic_load_explicit(&l->live, memory_order_relaxed) >=
			    l->conf.max_connections) {
			refuse_connection(l, fd);
			continue;
		}
		/* Count before handing over fd: the worker may close it at once. */
		atomic_fetch_add_explicit(&l->live, 1, memory_order_relaxed);
		l->accepted(l->arg, fd);
		if (l->loop == NULL)
			/* The callback has called listener_stop. */
			return;
	}
}

/* --- opening --- */

static void log_failure(const struct listener_conf *conf, int err)
{
	const char *why = err_str(err);
	const char *hint = "";

	if (err == E_SYS && errno == EADDRINUSE)
		hint = ": another process listens there";
	else if (err == E_SYS && errno == EACCES)
		hint = ": this user may not listen there";
	else if (err == E_EXISTS)
		why = "the file at this path is not a socket: remove it or change the "
		      "path";
	else if (err == E_RANGE)
		why = "the path is too long for a socket";
	else if (err == E_SYNTAX)
		why = "not a numeric IPv4 or IPv6 address";

	if (conf->path != NULL)
		log_error(conf->name, "cannot listen path=%s reason=\"%s%s\"",
			  log_quote(slice_str(conf->path)).text, why, hint);
	else
		log_error(conf->name, "cannot listen host=%s port=%u reason=\"%s%s\"",
			  conf->host == NULL ? "*" : conf->host, conf->port, why, hint);
}

int listener_open(struct listener *l, struct loop *loop, const struct listener_conf *conf,
		  listener_accepted_cb *accepted, void *arg)
{
	int fd = conf->fd;
	int err = fd != -1             ? 0
		  : conf->path != NULL ? sock_listen_unix(conf->path, conf->mode, &fd)
				       : sock_listen_tcp(conf->host, conf->port, &fd);

	if (err != 0) {
		log_failure(conf, err);
		return err;
	}
	*l = (struct listener){
		.loop = loop,
		.conf = *conf,
		.fd = fd,
		.accepted = accepted,
		.arg = arg,
		.log_rate.burst = 1,
	};
	timer_init(&l->pause, loop, resume, l);
	event_assign(&l->ev, loop_base(loop), fd, EV_READ | EV_PERSIST,
		     on_listener_readable, l);
	resume(l);
	return 0;
}

void listener_stop(struct listener *l)
{
	if (l->loop == NULL)
		return;
	l->loop = NULL;
	timer_disarm(&l->pause);
	event_del(&l->ev);
	/* Remove the file first: after the close, another process may create its own file
	 * there. The process that made an inherited socket also removes its file. */
	if (l->conf.fd == -1 && l->conf.path != NULL)
		(void)unlink(l->conf.path);
	sock_close(&l->fd);
}

#define X(name, type, help) {#name, help, type, offsetof(struct listener_counters, name)},
const struct counter_table listener_counter_table =
	COUNTER_TABLE(struct listener_counters, LISTENER_COUNTERS(X));
#undef X
