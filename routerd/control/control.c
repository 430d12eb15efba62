/* SPDX-License-Identifier: Apache-2.0 */
/* The work that only worker 0 does; see control.h. Thread of worker 0. */
#include "routerd/control/control.h"

#include "common/counters.h"
#include "common/err.h"
#include "routerd/control/collector.h"
#include "routerd/control/questions.h"
#include "routerd/control/reload.h"

#include <stdlib.h>
#include <sys/queue.h>

/* A revocation that waits for the counts of the workers. */
struct gathering {
	LIST_ENTRY(gathering) link;
	struct control *control;
	struct rpc_request *req;
	uint64_t number;
	unsigned missing; /* workers that have not answered */
	uint64_t sessions, pending;
	struct timer deadline;
};

/* Each row: the field, which is also the counter's name; type; help text. */
#define AUTHENTICATOR_COUNTERS(X)                                                        \
	X(link_up, GAUGE, "1: connected, and the authenticator is ready; else 0")        \
	X(revokes, COUNTER, "revocations received")

struct authenticator_counters {
#define X(name, type, help) uint64_t name;
	AUTHENTICATOR_COUNTERS(X)
#undef X
};

static const struct counter_def authenticator_counter_defs[] = {
#define X(name, type, help)                                                              \
	{#name, help, type, offsetof(struct authenticator_counters, name)},
	AUTHENTICATOR_COUNTERS(X)
#undef X
};
const struct counter_table authenticator_counter_table =
	COUNTER_TABLE(authenticator_counter_defs, struct authenticator_counters);

struct authenticator {
	struct control *control;
	struct questions questions;             /* includes the link */
	struct authenticator_counters counters; /* control_log_counters sets link_up */
};

struct control {
	struct loop *loop;
	const struct config *config;
	struct outbox *outbox;
	struct reload *reload; /* NULL after control_stop */
	uint64_t revocations;  /* number of the newest revocation */
	LIST_HEAD(, gathering) gatherings;
	struct collector collector;
	struct authenticator authenticators[]; /* in the order of the configuration */
};

/* --- revocations --- */

static void reply_result(struct rpc_request *req, const struct field_table *t,
			 const void *result)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, t, result);
	rpc_reply(req, &b);
	buf_fini(&b);
}

static void reply_error(struct rpc_request *req, enum auth_error_kind kind,
			const char *uri, const char *message)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &auth_error_table,
			  &(struct auth_error){
				  .kind = kind,
				  .uri = slice_str(uri),
				  .message = slice_str(message),
				  .retry_after_ms = FIELD_NONE,
			  });
	rpc_reply_error(req, &b);
	buf_fini(&b);
}

static void gathering_end(struct gathering *g)
{
	reply_result(g->req, &auth_revoke_result_table,
		     &(struct auth_revoke_result){
			     .sessions = g->sessions,
			     .pending = g->pending,
			     .partial = g->missing > 0,
		     });
	timer_disarm(&g->deadline);
	loop_release_timers(g->control->loop, 1);
	LIST_REMOVE(g, link);
	free(g);
}

static void on_gathering_deadline(void *arg)
{
	gathering_end(arg);
}

static void post_revoke(struct control *c, struct revocation *revocation,
			const struct mail_for_all *answers)
{
	for (unsigned w = 0; w < c->outbox->n_workers; w++) {
		bool sent = post_send(c->outbox, w,
				      &(struct post){
					      .type = POST_REVOKE,
					      .revocation = revocation_ref(revocation),
					      .mail = answers->to[w],
				      });
		ASSERT(sent);
	}
}

/*
 * Starts a revocation; the caller has set all fields but the number. req is answered with
 * the counts of all workers, after AUTH_REVOKE_MS at the latest.
 */
static void start_revocation(struct control *c, struct revocation *revocation,
			     struct rpc_request *req)
{
	struct gathering *g = calloc(1, sizeof(*g));
	struct mail_for_all mail = {.to = {NULL}};

	revocation->number = c->revocations + 1;
	struct revocation *shared = revocation_new(revocation);
	/* Reserve everything first: either all workers get the revocation and can
	 * answer it, or it is refused. */
	if (g == NULL || shared == NULL || !outbox_room_all(c->outbox) ||
	    outbox_reserve_all(c->outbox, &mail) != 0 ||
	    loop_reserve_timers(c->loop, 1) != 0) {
		free(g);
		outbox_free_all(&mail);
		revocation_unref(&shared);
		reply_error(req, AUTH_ERROR_TEMPORARY, AUTH_ERROR_UNAVAILABLE,
			    "out of memory");
		return;
	}
	c->revocations++;
	g->control = c;
	g->req = req;
	g->number = revocation->number;
	g->missing = c->outbox->n_workers;
	timer_init(&g->deadline, c->loop, on_gathering_deadline, g);
	timer_arm(&g->deadline, AUTH_REVOKE_MS);
	LIST_INSERT_HEAD(&c->gatherings, g, link);
	post_revoke(c, shared, &mail);
	revocation_unref(&shared);
}

/*
 * Adds the counts of a worker. Ignores counts that arrive after the deadline, because the
 * request has been answered.
 */
static void on_worker_revoked(struct control *c, const struct post *p)
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

/* --- requests of an authenticator --- */

static void on_revoke_request(struct authenticator *a, struct rpc_request *req,
			      struct slice params)
{
	const struct questions *qs = &a->questions;
	struct auth_revoke v;
	int err = auth_revoke_read(params, &v);

	if (err != 0) {
		log_error(qs->link.conf->name, "invalid revoke request reason=\"%s\"",
			  err_str(err));
		reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_INVALID_ARGUMENT,
			    err_str(err));
		return;
	}
	a->counters.revokes++;
	struct revocation revocation = {
		.authenticator = qs->index,
		.has_epoch = v.epoch != AUTH_NO_EPOCH,
		.dry_run = v.dry_run,
		.epoch = v.epoch,
		.link = qs->link.number,
		.authid = v.match.authid,
		.pubkey = v.match.pubkey,
		.role = v.match.role,
		.realm = v.match.realm,
		.session = v.match.session == FIELD_NONE ? 0 : v.match.session,
		.uri = v.uri,
		.message = v.message,
	};
	start_revocation(a->control, &revocation, req);
}

static void on_authenticator_request(struct link *l, struct rpc_request *req,
				     struct slice method, struct slice params)
{
	struct authenticator *a = container_of(l, struct authenticator, questions.link);

	if (slice_eq_str(method, AUTH_METHOD_REVOKE))
		on_revoke_request(a, req, params);
	else if (slice_eq_str(method, AUTH_METHOD_PING))
		reply_result(req, &auth_ping_result_table,
			     &(struct auth_ping_result){
				     .ready = true,
				     .inflight = a->questions.n_in_flight,
				     .epoch = AUTH_NO_EPOCH,
			     });
	else
		reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_NO_SUCH_METHOD,
			    "no such method");
}

/* --- start and end --- */

struct control *control_new(struct loop *loop, const char *path, const struct config *cfg,
			    struct policy *policy, struct outbox *outbox)
{
	static const struct link_handlers link_handlers = {
		.up = questions_link_up,
		.down = questions_link_down,
		.request = on_authenticator_request,
	};
	size_t n = cfg->n_authenticators;
	struct control *c = calloc(1, sizeof(*c) + n * sizeof(c->authenticators[0]));

	if (c == NULL)
		return NULL;
	c->reload = reload_new(loop, path, cfg, policy, outbox);
	if (c->reload == NULL) {
		free(c);
		return NULL;
	}
	c->loop = loop;
	c->config = cfg;
	c->outbox = outbox;
	LIST_INIT(&c->gatherings);
	collector_init(&c->collector, loop, outbox);
	for (size_t i = 0; i < n; i++) {
		c->authenticators[i].control = c;
		questions_init(&c->authenticators[i].questions,
			       &(struct questions_params){
				       .loop = loop,
				       .config = cfg,
				       .index = (uint16_t)i,
				       .outbox = outbox,
				       .revocations = &c->revocations,
				       .link_handlers = &link_handlers,
			       });
	}
	return c;
}

void control_free(struct control **cp)
{
	struct control *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	collector_fini(&c->collector);
	/* Answer with the counts so far while the links still exist. */
	while (!LIST_EMPTY(&c->gatherings))
		gathering_end(LIST_FIRST(&c->gatherings));
	for (size_t i = 0; i < c->config->n_authenticators; i++)
		questions_fini(&c->authenticators[i].questions);
	reload_free(&c->reload);
	free(c);
}

void control_reload(struct control *c)
{
	if (c->reload != NULL)
		reload_begin(c->reload);
}

void control_stop(struct control *c)
{
	reload_free(&c->reload);
}

void control_post(struct control *c, struct post *p)
{
	if (p->type == POST_LOGIN || p->type == POST_AUTHORIZE) {
		struct login_message *q = p->login;
		/* questions_ask takes ownership. */
		p->login = NULL;
		questions_ask(&c->authenticators[q->authenticator].questions, p->session,
			      q);
	} else if (p->type == POST_LOGIN_CANCEL) {
		for (size_t i = 0; i < c->config->n_authenticators; i++)
			questions_cancel(&c->authenticators[i].questions, p->session);
	} else if (p->type == POST_LOGIN_REPORT) {
		link_report(&c->authenticators[p->login->authenticator].questions.link,
			    p->login->method, login_message_bytes(p->login));
	} else if (p->type == POST_RELOADED) {
		if (c->reload != NULL)
			reload_reported(c->reload, p);
	} else if (p->type == POST_REVOKED) {
		on_worker_revoked(c, p);
	} else if (p->type == POST_COUNTED) {
		collector_post(&c->collector, p);
	}
	post_drop(p);
}

void control_log_counters(const struct control *c)
{
	for (size_t i = 0; i < c->config->n_authenticators; i++) {
		const struct authenticator *a = &c->authenticators[i];
		const struct link *l = &a->questions.link;
		struct authenticator_counters own = a->counters;
		const struct counter_set sets[] = {
			{&authenticator_counter_table, &own},
			{&question_counter_table, &a->questions},
			{&link_counter_table, l},
		};

		own.link_up = l->state == LINK_UP;
		counters_log(l->conf->name, "counters authenticator", sets,
			     ARRAY_LEN(sets));
	}
	if (c->reload != NULL)
		reload_log_counters(c->reload);
	collector_log(&c->collector, c->config);
}

void control_collect_counters(struct control *c, void (*done)(void *arg), void *arg)
{
	collector_start(&c->collector, done, arg);
}

void control_workers_ended(struct control *c)
{
	collector_stop(&c->collector);
}
