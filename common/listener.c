/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket; see listener.h. Runs on the thread of the listener's loop. */
#include "common/listener.h"

#include "common/err.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	/* The limit lets other events of the loop run during a burst of connects. */
	ACCEPTS_PER_TURN = 64,
	STARVED_PAUSE_MS = 200,
};

struct listener {
	struct event ev;
	struct timer pause; /* armed while accept fails */
	struct loop *loop;
	const char *name;
	int fd;
	char *path; /* the file that listener_stop removes, or NULL */
	uint32_t max_connections;
	struct slice refusal;
	_Atomic uint32_t live;
	listener_accepted_cb *accepted;
	void *arg;
	struct listener_counters counters;
	struct log_rate log_rate;
};

/* --- accepting --- */

#define warn(l, ...)                                                                     \
	log_limited(&(l)->log_rate, loop_now_ms((l)->loop), LOG_LEVEL_WARN, (l)->name,   \
		    __VA_ARGS__)

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
	warn(l, "connection refused peer=%s max_connections=%u suppressed=%u",
	     sock_peer_name(fd).text, l->max_connections);
	if (l->refusal.len > 0) {
		size_t put;
		int err = sock_write(fd, l->refusal.p, l->refusal.len, &put);
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
		if (l->max_connections != 0 &&
		    atomic_load_explicit(&l->live, memory_order_relaxed) >=
			    l->max_connections) {
			refuse_connection(l, fd);
			continue;
		}
		/* Count before handing over fd: the worker may close it at once. */
		atomic_fetch_add_explicit(&l->live, 1, memory_order_relaxed);
		l->accepted(l->arg, l, fd);
		if (l->fd == -1)
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

int listener_open(struct loop *loop, const struct listener_conf *conf,
		  listener_accepted_cb *accepted, void *arg, struct listener **out)
{
	struct listener *l = calloc(1, sizeof(*l));
	int fd = conf->fd;
	int err = E_NOMEM;

	if (l == NULL)
		goto fail;
	/* The process that made an inherited socket also removes its file. */
	if (conf->fd == -1 && conf->path != NULL) {
		l->path = strdup(conf->path);
		if (l->path == NULL)
			goto fail;
	}
	err = fd != -1             ? 0
	      : conf->path != NULL ? sock_listen_unix(conf->path, conf->mode, &fd)
				   : sock_listen_tcp(conf->host, conf->port, &fd);
	if (err != 0)
		goto fail;
	l->loop = loop;
	l->name = conf->name;
	l->fd = fd;
	l->max_connections = conf->max_connections;
	l->refusal = conf->refusal;
	l->accepted = accepted;
	l->arg = arg;
	l->log_rate.burst = 1;
	timer_init(&l->pause, loop, resume, l);
	event_assign(&l->ev, loop_base(loop), fd, EV_READ | EV_PERSIST,
		     on_listener_readable, l);
	resume(l);
	*out = l;
	return 0;
fail:
	/* log_failure uses errno, so call it before anything else. */
	log_failure(conf, err);
	sock_close(&fd);
	if (l != NULL)
		free(l->path);
	free(l);
	return err;
}

void listener_stop(struct listener *l)
{
	if (l->fd == -1)
		return;
	timer_disarm(&l->pause);
	event_del(&l->ev);
	/* Remove the file first: after the close, another process may create its own file
	 * there. */
	if (l->path != NULL)
		(void)unlink(l->path);
	sock_close(&l->fd);
}

void listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	listener_stop(l);
	free(l->path);
	free(l);
}

/* --- accessors --- */

_Atomic uint32_t *listener_live(struct listener *l)
{
	return &l->live;
}

struct sock_name listener_address(const struct listener *l)
{
	return sock_local_name(l->fd);
}

static const struct counter_def listener_counter_defs[] = {
#define X(name, type, help) {#name, help, type, offsetof(struct listener_counters, name)},
	LISTENER_COUNTERS(X)
#undef X
};
const struct counter_table listener_counter_table =
	COUNTER_TABLE(listener_counter_defs, struct listener_counters);

struct listener_counters listener_counters(const struct listener *l)
{
	return l->counters;
}
