/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles the requests and notifications that routers send; see proto/auth-protocol.md.
 * Main thread.
 */
#include "authd/authenticate.h"
#include "authd/server.h"
#include "common/err.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_ROUTERS = 64 };

static uint64_t epoch(const struct server *s)
{
	return s->store == NULL ? AUTH_NO_EPOCH : store_epoch(s->store);
}

static void reply_hello(struct client *c, struct rpc_request *req, struct slice params,
			int what)
{
	static const char methods[] = "\x91\xaa" /* an array of one string */
				      "cryptosign";
	struct server *s = c->server;
	struct auth_hello h;

	(void)what;
	if (!server_read(req, params, &auth_hello_table, &h))
		return;
	if (h.protocol.major != AUTH_VERSION_MAJOR) {
		log_error(c->name,
			  "the router uses an unsupported version of the protocol: "
			  "upgrade authd or this router protocol=%" PRIu64 ".%" PRIu64,
			  h.protocol.major, h.protocol.minor);
		server_reply_error(req, AUTH_ERROR_INTERNAL,
				   AUTH_ERROR_UNSUPPORTED_VERSION,
				   "authd supports version 1.0: upgrade routerd or "
				   "authd");
		/* This sends the answer before it ends the connection. */
		rpc_conn_finish(c->rpc);
		return;
	}
	c->greeted = true;
	c->features = h.features;
	/* The router would close the connection after a message over its limit. */
	rpc_conn_lower_limits(c->rpc, h.max_message, UINT32_MAX);
	log_info(c->name, "router has introduced itself product=%s instance=%s",
		 log_quote(h.product).text, log_quote(h.instance).text);
	const struct auth_hello_result res = {
		.protocol = {AUTH_VERSION_MAJOR, AUTH_VERSION_MINOR},
		.product = slice_str("authd/" AUTHD_VERSION),
		.instance = slice_str(s->instance),
		.db = slice_str(s->store == NULL ? NULL : store_id(s->store)),
		.epoch = epoch(s),
		.max_message = AUTH_MAX_MESSAGE,
		.max_inflight = c->endpoint->role->limits.max_requests,
		.features =
			AUTH_FEATURE_REVOKE | AUTH_FEATURE_CANCEL | AUTH_FEATURE_EVENTS,
		.methods = slice_str(methods),
		.ready = s->store != NULL,
	};
	server_reply(req, &auth_hello_result_table, &res);
}

static void ping(struct client *c, struct rpc_request *req, struct slice params, int what)
{
	const struct auth_ping_result res = {
		.ready = c->server->store != NULL,
		.inflight = 0, /* every authenticate is answered immediately */
		.epoch = epoch(c->server),
	};

	(void)what;
	if (auth_ping_read(params) != 0)
		server_reply_invalid(req, "ping has no parameters");
	else
		server_reply(req, &auth_ping_result_table, &res);
}

static void log_denied(struct client *c, const struct auth_request *q, const char *why)
{
	if (!server_may_log(c->server))
		return;
	log_info(c->name,
		 "login denied reason=\"%s\" corr=%s realm=%s authid=%s pubkey=%s "
		 "peer=%s",
		 why, log_quote(q->corr).text, log_quote(q->realm).text,
		 log_quote(q->authid).text, log_quote(q->pubkey).text,
		 log_quote(q->transport.peer).text);
}

static void authenticate_request(struct client *c, struct rpc_request *req,
				 struct slice params, int what)
{
	struct server *s = c->server;
	struct auth_request q;
	const char *why = NULL;
	char text[100];
	struct buf b;

	(void)what;
	s->counters.authenticate++;
	int err = auth_request_read(params, &q);
	if (err != 0) {
		s->counters.failed++;
		snprintf(text, sizeof(text),
			 "expected realm, authid and a map of details: %s", err_str(err));
		if (server_may_log(s))
			log_error(c->name, "invalid authenticate request reason=\"%s\"",
				  text);
		server_reply_invalid(req, text);
		return;
	}
	buf_init(&b, AUTH_MAX_MESSAGE);
	enum verdict verdict = authenticate(s->store, &s->settings->deny, &q, &b, &why);
	switch (verdict) {
	case VERDICT_ALLOWED:
		s->counters.allowed++;
		break;
	case VERDICT_DENIED:
		s->counters.denied++;
		log_denied(c, &q, why);
		break;
	case VERDICT_FAILED:
		s->counters.failed++;
		/* The store has logged the details. */
		if (server_may_log(s))
			log_error(c->name,
				  "cannot decide about a login reason=\"%s\" corr=%s",
				  why, log_quote(q.corr).text);
		break;
	}
	if (verdict == VERDICT_ALLOWED)
		rpc_reply(req, &b);
	else
		rpc_reply_error(req, &b);
	buf_fini(&b);
}

static const struct method methods[] = {
	{AUTH_METHOD_HELLO, NEEDS_NOTHING, reply_hello, 0},
	{AUTH_METHOD_PING, NEEDS_NOTHING, ping, 0},
	{AUTH_METHOD_AUTHENTICATE, NEEDS_HELLO, authenticate_request, 0},
	{NULL, NEEDS_NOTHING, NULL, 0},
};

static void canceled(struct client *c, struct slice params)
{
	/* Nothing to cancel: authenticate has been answered already. */
	(void)params;
	c->server->counters.cancels++;
}

static void opened(struct client *c, struct slice params)
{
	struct auth_opened o;

	c->server->counters.opened++;
	if (fields_read_params(params, &auth_opened_table, &o) != 0 ||
	    !server_may_log(c->server))
		return;
	log_info(c->name,
		 "session opened session=%" PRIu64
		 " realm=%s authid=%s authrole=%s peer=%s",
		 o.session, log_quote(o.realm).text, log_quote(o.authid).text,
		 log_quote(o.authrole).text, log_quote(o.peer).text);
}

static void closed(struct client *c, struct slice params)
{
	struct auth_closed cl;

	c->server->counters.closed++;
	if (fields_read_params(params, &auth_closed_table, &cl) == 0)
		log_debug(c->name, "session closed session=%" PRIu64 " reason=%s",
			  cl.session, log_quote(cl.reason).text);
}

static void login_failed(struct client *c, struct slice params)
{
	struct auth_failed f;

	c->server->counters.auth_failed++;
	if (fields_read_params(params, &auth_failed_table, &f) == 0 &&
	    server_may_log(c->server))
		log_info(c->name, "login failed corr=%s reason=%s",
			 log_quote(f.corr).text, log_quote(f.reason).text);
}

static const struct notice notices[] = {
	{AUTH_NOTIFY_CANCEL, canceled},
	{AUTH_NOTIFY_OPENED, opened},
	{AUTH_NOTIFY_CLOSED, closed},
	{AUTH_NOTIFY_FAILED, login_failed},
	{NULL, NULL},
};

const struct role for_routers = {
	.name = "router",
	.fd_name = "auth",
	.max_clients = MAX_ROUTERS,
	.limits = {.max_message = AUTH_MAX_MESSAGE,
		   .max_out = 4 << 20,
		   .max_calls = 256,
		   .max_requests = AUTH_MAX_INFLIGHT},
	.methods = methods,
	.notices = notices,
};
