/* SPDX-License-Identifier: Apache-2.0 */
/* Worker 0's own: authenticators and revocations; see control.h. */
#include "routerd/control/control.h"

#include "common/daemon.h"
#include "common/err.h"
#include "common/rpc.h"
#include "proto/auth_api.h"
#include "routerd/control/auth_client.h"
#include "routerd/login.h"
#include "routerd/net/listener.h"
#include "routerd/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>

/* A revocation whose counts are coming in. */
struct gathering {
	LIST_ENTRY(gathering) link;
	struct control *control;
	struct rpc_request *req;
	uint64_t number;
	unsigned missing; /* workers that have not answered */
	uint64_t sessions, pending;
	struct timer deadline;
};

/* A listener, and to whom its connections are dealt. */
struct dealer {
	struct control *control;
	struct listener *listener;
	uint16_t index; /* in the configuration */
};

enum { N_SIGNALS = 4 };
static const int signals[N_SIGNALS] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};

struct control {
	struct loop *loop;
	const struct config *config;
	struct outbox *outbox;
	struct auth_client **clients; /* one an authenticator */
	uint64_t revocations;
	LIST_HEAD(, gathering) gatherings;
	struct dealer *dealers; /* one a listener */
	unsigned next_worker;   /* gets the next connection */
	struct event signal_events[N_SIGNALS];
	bool stopping;
	unsigned stopped; /* workers that are done */
};

/* --- signals and the end
 * ------------------------------------------------------------------- */

static void log_stats(struct control *c)
{
	for (size_t i = 0; i < c->config->n_authenticators; i++)
		auth_client_log_stats(c->clients[i]);
	for (size_t i = 0; i < c->config->n_listeners; i++) {
		struct listener_stats s = listener_stats(c->dealers[i].listener);
		log_info(NULL,
			 "counters listener=%s accepted=%llu refused=%llu starved=%llu",
			 c->config->listeners[i].name, (unsigned long long)s.accepted,
			 (unsigned long long)s.refused, (unsigned long long)s.starved);
	}
	outbox_send_all(c->outbox, &(struct post){.type = POST_STATS});
}

static void stop(struct control *c, int sig)
{
	if (c->stopping)
		return;
	c->stopping = true;
	log_info(NULL, "stopping signal=%s", sigabbrev_np(sig));
	daemon_notify("STOPPING=1");
	for (size_t i = 0; i < c->config->n_listeners; i++)
		listener_stop(c->dealers[i].listener);
	outbox_send_all(c->outbox, &(struct post){.type = POST_STOP});
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct control *c = arg;

	(void)what;
	if (sig == SIGUSR1)
		log_stats(c);
	else if (sig == SIGUSR2)
		worker_stall_toggle();
	else
		stop(c, sig);
}

static int follow_signals(struct control *c)
{
	for (size_t i = 0; i < N_SIGNALS; i++) {
		evsignal_assign(&c->signal_events[i], loop_base(c->loop), signals[i],
				on_signal, c);
		if (event_add(&c->signal_events[i], NULL) != 0)
			return E_NOMEM;
	}
	return 0;
}

/* --- listeners
 * ----------------------------------------------------------------------------- */

static void on_accepted(void *arg, struct listener *l, int fd)
{
	struct dealer *d = arg;
	struct control *c = d->control;
	unsigned to = c->next_worker;

	(void)l;
	c->next_worker = (to + 1) % c->outbox->n_workers;
	post_send(c->outbox, to,
		  &(struct post){
			  .type = POST_CONNECTION,
			  .connection = {.fd = fd, .listener = d->index},
		  });
}

int control_listen(struct control *c, const int *inherited)
{
	for (size_t i = 0; i < c->config->n_listeners; i++) {
		const struct config_listener *l = &c->config->listeners[i];
		struct listener_conf conf = {
			.name = l->name,
			.fd = inherited[i],
			.path = l->endpoint.type == ENDPOINT_UNIX ? l->endpoint.path
								  : NULL,
			.mode = l->endpoint.mode,
			.host = l->endpoint.host,
			.port = (uint16_t)l->endpoint.port,
			.max_connections = (uint32_t)l->options.max_connections,
		};
		int r = listener_open(c->loop, &conf, on_accepted, &c->dealers[i],
				      &c->dealers[i].listener);
		if (r != 0)
			return r;
	}
	return 0;
}

_Atomic uint32_t *control_live(struct control *c, size_t listener)
{
	return listener_live(c->dealers[listener].listener);
}

void control_describe_listeners(const struct control *c, struct buf *out)
{
	for (size_t i = 0; i < c->config->n_listeners; i++)
		buf_printf(out, " %s=%s", c->config->listeners[i].name,
			   listener_address(c->dealers[i].listener).text);
}

/* --- revocations
 * --------------------------------------------------------------------------- */

static void gathering_end(struct gathering *g)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_revoke_result_write(&b, &(struct auth_revoke_result){
					     .sessions = g->sessions,
					     .pending = g->pending,
					     .partial = g->missing > 0,
				     });
	rpc_reply(g->req, buf_slice(&b));
	buf_fini(&b);
	timer_disarm(&g->deadline);
	LIST_REMOVE(g, link);
	free(g);
}

uint64_t control_revocations(const struct control *c)
{
	return c->revocations;
}

static void on_deadline(void *arg)
{
	gathering_end(arg);
}

static void reply_no_memory(struct rpc_request *req)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_error_write(&b, &(struct auth_error){
				     .kind = AUTH_ERROR_TEMPORARY,
				     .uri = slice_str(AUTH_ERROR_UNAVAILABLE),
				     .message = slice_str("out of memory"),
				     .retry_after_ms = FIELD_NONE,
			     });
	rpc_reply_error(req, buf_slice(&b));
	buf_fini(&b);
}

void control_revoke(struct control *c, struct revocation *r, struct rpc_request *req)
{
	struct gathering *g = calloc(1, sizeof(*g));

	r->number = c->revocations + 1;
	struct revocation *shared = revocation_new(r);
	if (g == NULL || shared == NULL) {
		free(g);
		revocation_unref(&shared);
		reply_no_memory(req);
		return;
	}
	c->revocations++;
	g->control = c;
	g->req = req;
	g->number = r->number;
	g->missing = c->outbox->n_workers;
	timer_init(&g->deadline, c->loop, on_deadline, g);
	timer_arm(&g->deadline, AUTH_REVOKE_MS);
	LIST_INSERT_HEAD(&c->gatherings, g, link);
	for (unsigned w = 0; w < c->outbox->n_workers; w++)
		post_send(c->outbox, w,
			  &(struct post){
				  .type = POST_REVOKE,
				  .revocation = revocation_ref(shared),
			  });
	revocation_unref(&shared);
}

/* Late counts, after the deadline, are for nobody. */
static void on_revoked(struct control *c, const struct post *p)
{
	struct gathering *g;

	LIST_FOREACH (g, &c->gatherings, link) {
		if (g->number != p->id)
			continue;
		g->sessions += p->counts.sessions;
		g->pending += p->counts.pending;
		if (--g->missing == 0)
			gathering_end(g);
		return;
	}
}

/* --- life
 * ---------------------------------------------------------------------------------- */

struct control *control_new(const struct control_params *params)
{
	struct control *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = params->loop;
	c->config = params->config;
	c->outbox = params->outbox;
	LIST_INIT(&c->gatherings);
	c->clients = calloc(c->config->n_authenticators + 1, sizeof(*c->clients));
	c->dealers = calloc(c->config->n_listeners + 1, sizeof(*c->dealers));
	if (c->clients == NULL || c->dealers == NULL || follow_signals(c) != 0)
		goto fail;
	for (size_t i = 0; i < c->config->n_listeners; i++)
		c->dealers[i] = (struct dealer){.control = c, .index = (uint16_t)i};
	for (size_t i = 0; i < c->config->n_authenticators; i++) {
		c->clients[i] =
			auth_client_new(c, c->loop, c->config, (uint16_t)i, c->outbox);
		if (c->clients[i] == NULL)
			goto fail;
	}
	return c;
fail:
	control_free(&c);
	return NULL;
}

void control_free(struct control **cp)
{
	struct control *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	while (!LIST_EMPTY(&c->gatherings))
		gathering_end(LIST_FIRST(&c->gatherings));
	for (size_t i = 0; c->clients != NULL && i < c->config->n_authenticators; i++)
		auth_client_free(&c->clients[i]);
	for (size_t i = 0; c->dealers != NULL && i < c->config->n_listeners; i++)
		if (c->dealers[i].listener != NULL)
			listener_free(&c->dealers[i].listener);
	for (size_t i = 0; i < N_SIGNALS; i++)
		if (event_initialized(&c->signal_events[i]))
			event_del(&c->signal_events[i]);
	free(c->dealers);
	free(c->clients);
	free(c);
}

static void on_login(struct control *c, struct post *p)
{
	struct login_question *q = p->question;

	p->question = NULL; /* the client takes it */
	auth_client_ask(c->clients[q->authenticator], p->session, q);
}

void control_post(struct control *c, struct post *p)
{
	if (p->type == POST_LOGIN)
		on_login(c, p);
	else if (p->type == POST_LOGIN_CANCEL)
		for (size_t i = 0; i < c->config->n_authenticators; i++)
			auth_client_cancel(c->clients[i], p->session);
	else if (p->type == POST_LOGIN_REPORT)
		auth_client_report(c->clients[p->report->authenticator], p->report);
	else if (p->type == POST_REVOKED)
		on_revoked(c, p);
	else if (p->type == POST_STOPPED && ++c->stopped == c->outbox->n_workers)
		loop_stop(c->loop);
	post_drop(p);
}
