/* SPDX-License-Identifier: Apache-2.0 */
/* The work that only worker 0 does; see control.h. Thread of worker 0. */
#include "routerd/control/control.h"

#include "common/err.h"
#include "routerd/control/collector.h"
#include "routerd/control/expiry.h"
#include "routerd/control/questions.h"
#include "routerd/control/reload.h"

#include <stdlib.h>
#include <sys/queue.h>

/* A revocation that waits for the counts of the workers. */
struct gathering {
	LIST_ENTRY(gathering) link;
	struct control *control;
	struct rpc_request *req;
	bool changed; /* the request is changed; false: it is revoke */
	uint64_t number;
	unsigned missing; /* workers that have not answered */
	uint64_t sessions, pending;
	struct timer deadline;
};

struct authenticator {
	struct control *control;
	struct questions questions; /* includes the link */
};

struct control {
	struct loop *loop;
	const struct config *config;
	struct outbox *outbox;
	struct reload reload;
	uint64_t revocations; /* number of the newest revocation */
	LIST_HEAD(, gathering) gatherings;
	struct collector collector;
	struct expiry expiry;
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
	auth_error_write(&b, kind, uri, slice_str(message));
	rpc_reply_error(req, &b);
	buf_fini(&b);
}

/* Answers the revocation. Also called when the deadline has passed. */
static void gathering_end(void *arg)
{
	struct gathering *g = arg;
	bool partial = g->missing > 0;

	if (g->changed)
		reply_result(g->req, &auth_changed_result_table,
			     &(struct auth_changed_result){.partial = partial});
	else
		reply_result(g->req, &auth_revoke_result_table,
			     &(struct auth_revoke_result){
				     .sessions = g->sessions,
				     .pending = g->pending,
				     .partial = partial,
			     });
	timer_disarm(&g->deadline);
	loop_release_timers(g->control->loop, 1);
	LIST_REMOVE(g, link);
	free(g);
}

/*
 * Posts a revocation to all workers; the caller has set all fields but the number. False
 * if out of memory.
 */
static bool post_revocation(struct control *c, struct revocation *revocation)
{
	revocation->number = c->revocations + 1;
	struct revocation *shared = revocation_new(revocation);
	bool sent = shared != NULL && outbox_ask_all(c->outbox,
						     &(struct post){.type = POST_REVOKE,
								    .revocation = shared},
						     shared);

	revocation_unref(&shared);
	c->revocations += sent;
	return sent;
}

/*
 * Starts a revocation; the caller has set all fields but the number. req is answered with
 * the counts of all workers, after AUTH_REVOKE_MS at the latest.
 */
static void start_revocation(struct control *c, struct revocation *revocation,
			     struct rpc_request *req)
{
	struct gathering *g = calloc(1, sizeof(*g));

	bool timer = loop_reserve_timers(c->loop, 1) == 0;

	if (g == NULL || !timer || !post_revocation(c, revocation)) {
		if (timer)
			loop_release_timers(c->loop, 1);
		free(g);
		reply_error(req, AUTH_ERROR_TEMPORARY, AUTH_ERROR_UNAVAILABLE,
			    "out of memory");
		return;
	}
	g->control = c;
	g->req = req;
	g->changed = revocation->decisions_only;
	g->number = revocation->number;
	g->missing = c->outbox->n_workers;
	timer_init(&g->deadline, c->loop, gathering_end, g);
	timer_arm(&g->deadline, AUTH_REVOKE_MS);
	LIST_INSERT_HEAD(&c->gatherings, g, link);
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
	struct questions *qs = &a->questions;
	struct auth_revoke v;
	char why[AUTH_FAULT_MAX];

	if (auth_revoke_read(params, &v) != 0) {
		auth_revoke_explain(params, why);
		log_error(qs->link.conf->name, "invalid revoke request reason=\"%s\"",
			  why);
		reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_INVALID_ARGUMENT, why);
		return;
	}
	qs->link.revokes++;
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

static void on_changed_request(struct authenticator *a, struct rpc_request *req,
			       struct slice params)
{
	struct questions *qs = &a->questions;
	struct auth_changed v;
	char why[AUTH_FAULT_MAX];

	if (fields_read_params(params, &auth_changed_table, &v) != 0) {
		fields_explain_params(params, &auth_changed_table, &v, why, sizeof(why));
		log_error(qs->link.conf->name, "invalid changed request reason=\"%s\"",
			  why);
		reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_INVALID_ARGUMENT, why);
		return;
	}
	start_revocation(a->control,
			 &(struct revocation){
				 .authenticator = qs->index,
				 .decisions_only = true,
				 .authid = v.match.authid,
				 .role = v.match.role,
				 .realm = v.match.realm,
			 },
			 req);
}

static void on_authenticator_request(struct link *l, struct rpc_request *req,
				     struct slice method, struct slice params)
{
	struct authenticator *a = container_of(l, struct authenticator, questions.link);

	if (slice_eq_str(method, AUTH_METHOD_REVOKE))
		on_revoke_request(a, req, params);
	else if (slice_eq_str(method, AUTH_METHOD_CHANGED))
		on_changed_request(a, req, params);
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

/*
 * The workers forget what the authenticator has decided: while it was not connected, it
 * could not say what has changed.
 */
static bool on_link_up(struct link *l)
{
	struct authenticator *a = container_of(l, struct authenticator, questions.link);

	if (!post_revocation(a->control, &(struct revocation){
						 .authenticator = a->questions.index,
						 .decisions_only = true,
					 }))
		return false;
	questions_link_up(&a->questions);
	return true;
}

/* --- start and end --- */

struct control *control_new(struct loop *loop, const char *path, const struct config *cfg,
			    struct policy *policy, struct outbox *outbox)
{
	static const struct link_handlers link_handlers = {
		.up = on_link_up,
		.down = questions_link_down,
		.request = on_authenticator_request,
	};
	size_t n = cfg->n_authenticators;
	struct control *c = calloc(1, sizeof(*c) + n * sizeof(c->authenticators[0]));

	if (c == NULL)
		return NULL;
	reload_init(&c->reload, loop, path, cfg, policy, outbox);
	c->loop = loop;
	c->config = cfg;
	c->outbox = outbox;
	LIST_INIT(&c->gatherings);
	collector_init(&c->collector, loop, outbox);
	for (size_t i = 0; i < n; i++) {
		struct authenticator *a = &c->authenticators[i];

		a->control = c;
		a->questions.index = (uint16_t)i;
		a->questions.outbox = outbox;
		a->questions.revocations = &c->revocations;
		questions_init(&a->questions, loop, cfg, &link_handlers);
	}
	if (expiry_init(&c->expiry, loop, cfg) != 0)
		control_free(&c);
	return c;
}

void control_free(struct control **cp)
{
	struct control *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	expiry_fini(&c->expiry);
	collector_fini(&c->collector);
	/* Answer with the counts so far while the links still exist. */
	while (!LIST_EMPTY(&c->gatherings))
		gathering_end(LIST_FIRST(&c->gatherings));
	for (size_t i = 0; i < c->config->n_authenticators; i++)
		questions_fini(&c->authenticators[i].questions);
	reload_stop(&c->reload);
	free(c);
}

void control_reload(struct control *c)
{
	reload_begin(&c->reload);
}

void control_stop(struct control *c)
{
	reload_stop(&c->reload);
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
		reload_reported(&c->reload, p);
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
		const struct counter_set sets[] = {
			{&link_counter_table, &a->questions.link},
			{&question_counter_table, &a->questions},
		};

		counters_log(a->questions.link.conf->name, "counters authenticator", sets,
			     ARRAY_LEN(sets));
	}
	counters_log(NULL, "counters reloads",
		     &(struct counter_set){&reload_counter_table, &c->reload}, 1);
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
