/* SPDX-License-Identifier: Apache-2.0 */
/* Worker 0's own: authenticators and revocations; see control.h. */
#include "routerd/control/control.h"

#include "common/err.h"
#include "common/rpc.h"
#include "proto/auth_api.h"
#include "routerd/control/auth_client.h"
#include "routerd/post/question.h"

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

struct control {
	struct loop *loop;
	const struct config *config;
	struct outbox *outbox;
	struct auth_client **clients; /* one an authenticator */
	uint64_t revocations;
	LIST_HEAD(, gathering) gatherings;
};

/* --- revocations --- */

static void gathering_end(struct gathering *g)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &auth_revoke_result_table,
			  &(struct auth_revoke_result){
				  .sessions = g->sessions,
				  .pending = g->pending,
				  .partial = g->missing > 0,
			  });
	rpc_reply(g->req, &b);
	buf_fini(&b);
	timer_disarm(&g->deadline);
	loop_release_timers(g->control->loop, 1);
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
	fields_write_item(&b, &auth_error_table,
			  &(struct auth_error){
				  .kind = AUTH_ERROR_TEMPORARY,
				  .uri = slice_str(AUTH_ERROR_UNAVAILABLE),
				  .message = slice_str("out of memory"),
				  .retry_after_ms = FIELD_NONE,
			  });
	rpc_reply_error(req, &b);
	buf_fini(&b);
}

/* A revocation reaches all workers, and is answered by all, or it is refused. */
static bool room_for_revoke(struct control *c, struct mail_for_all *answers)
{
	for (unsigned w = 0; w < c->outbox->n_workers; w++)
		if (!post_room(c->outbox, w))
			return false;
	return outbox_reserve_all(c->outbox, answers) == 0;
}

static void post_revoke(struct control *c, struct revocation *r,
			const struct mail_for_all *answers)
{
	for (unsigned w = 0; w < c->outbox->n_workers; w++) {
		bool sent = post_send(c->outbox, w,
				      &(struct post){
					      .type = POST_REVOKE,
					      .revocation = revocation_ref(r),
					      .mail = answers->to[w],
				      });
		ASSERT(sent);
	}
}

void control_revoke(struct control *c, struct revocation *r, struct rpc_request *req)
{
	struct gathering *g = calloc(1, sizeof(*g));
	struct mail_for_all mail = {.to = {NULL}};

	r->number = c->revocations + 1;
	struct revocation *shared = revocation_new(r);
	if (g == NULL || shared == NULL || !room_for_revoke(c, &mail) ||
	    loop_reserve_timers(c->loop, 1) != 0) {
		free(g);
		outbox_free_all(&mail);
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
	post_revoke(c, shared, &mail);
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

/* --- life --- */

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
	if (c->clients == NULL)
		goto fail;
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
	post_drop(p);
}

void control_log_stats(const struct control *c)
{
	for (size_t i = 0; i < c->config->n_authenticators; i++)
		auth_client_log_stats(c->clients[i]);
}
