/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the listeners and distributes their connections to the workers; see acceptor.h.
 * Thread of worker 0.
 */
#include "routerd/acceptor.h"

#include "common/buf.h"
#include "common/daemon.h"
#include "common/listener.h"
#include "common/log.h"
#include "routerd/control/expiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A listener of the configuration, with its socket. */
struct acceptor_socket {
	struct acceptor *acceptor;
	struct listener listener;
	_Atomic uint32_t live_polls; /* for conn_conf */
	uint16_t index;              /* index in the configuration */
};

struct acceptor {
	struct loop *loop;
	const struct config *config;
	struct outbox *outbox;
	unsigned next_worker;
	struct acceptor_socket sockets[]; /* one per listener */
};

struct acceptor *acceptor_new(struct loop *l, const struct config *cfg,
			      struct outbox *outbox)
{
	struct acceptor *a =
		calloc(1, sizeof(*a) + cfg->n_listeners * sizeof(a->sockets[0]));

	if (a == NULL)
		return NULL;
	a->loop = l;
	a->config = cfg;
	a->outbox = outbox;
	for (size_t i = 0; i < cfg->n_listeners; i++)
		a->sockets[i] =
			(struct acceptor_socket){.acceptor = a, .index = (uint16_t)i};
	return a;
}

void acceptor_free(struct acceptor **ap)
{
	struct acceptor *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	acceptor_stop(a);
	free(a);
}

static void on_accepted(void *arg, int fd)
{
	struct acceptor_socket *as = arg;
	struct acceptor *a = as->acceptor;
	unsigned to = a->next_worker;

	a->next_worker = (to + 1) % a->outbox->n_workers;
	if (post_send(a->outbox, to,
		      &(struct post){
			      .type = POST_CONNECTION,
			      .connection = {.fd = fd, .listener = as->index},
		      }))
		return;
	/* Out of memory. Worker 0 logs it at the end of the turn. */
	atomic_fetch_sub_explicit(&as->listener.live, 1, memory_order_relaxed);
	sock_close(&fd);
}

/*
 * The bytes that rawsocket_error_write writes for RAWSOCKET_CONNECTIONS. A listener that
 * also serves WebSocket has no such answer.
 */
static const uint8_t raw_refusal[] = {0x7f, 0x40, 0, 0};

int acceptor_open(struct acceptor *a)
{
	for (size_t i = 0; i < a->config->n_listeners; i++) {
		const struct config_listener *l = &a->config->listeners[i];
		const struct config_endpoint *endpoint = &l->endpoint;
		/* An answer within TLS would cost a handshake. */
		bool answers = l->type == LISTENER_RAWSOCKET &&
			       endpoint->tls.own.certificate == NULL;
		struct listener_conf conf = {
			.name = l->name,
			.fd = daemon_inherited_fd(l->name),
			.path = endpoint->type == ENDPOINT_UNIX ? endpoint->path : NULL,
			.mode = endpoint->mode,
			.host = endpoint->host,
			.port = (uint16_t)endpoint->port,
			.max_connections = (uint32_t)l->options.max_connections,
			.refusal =
				slice_of(raw_refusal, answers ? sizeof(raw_refusal) : 0),
		};
		int err = listener_open(&a->sockets[i].listener, a->loop, &conf,
					on_accepted, &a->sockets[i]);
		if (err != 0)
			return err;
	}
	return 0;
}

void acceptor_stop(struct acceptor *a)
{
	for (size_t i = 0; i < a->config->n_listeners; i++)
		listener_stop(&a->sockets[i].listener);
}

_Atomic uint32_t *acceptor_live(struct acceptor *a, size_t listener)
{
	return &a->sockets[listener].listener.live;
}

_Atomic uint32_t *acceptor_live_polls(struct acceptor *a, size_t listener)
{
	return &a->sockets[listener].live_polls;
}

void acceptor_describe(const struct acceptor *a, struct buf *out)
{
	for (size_t i = 0; i < a->config->n_listeners; i++)
		buf_printf(out, " %s=%s", a->config->listeners[i].name,
			   sock_local_name(a->sockets[i].listener.fd).text);
}

void acceptor_log_counters(const struct acceptor *a)
{
	for (size_t i = 0; i < a->config->n_listeners; i++) {
		const struct config_tls *tls = &a->config->listeners[i].endpoint.tls;
		bool has_tls = tls->own.certificate != NULL;
		struct expiry_counters expiry = expiry_count(tls, time(NULL));
		const struct counter_set sets[] = {
			{&listener_counter_table, &a->sockets[i].listener.counters},
			{&expiry_counter_table, &expiry},
		};
		char head[COUNTERS_HEAD_MAX];
		snprintf(head, sizeof(head), "counters listener=%s",
			 a->config->listeners[i].name);
		counters_log(NULL, head, sets, has_tls ? 2 : 1);
	}
}
