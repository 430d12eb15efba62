/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to one authenticator; see auth_client.h. Worker 0 only.
 *
 * While the link is down a socket is kept for it, so that no flood of clients can take
 * the last descriptor away. It is made when the old one is closed, in the same callback:
 * this thread also accepts, and cannot do so in between.
 */
#include "routerd/control/auth_client_int.h"

#include "common/err.h"
#include "common/rpc.h"
#include "common/sock.h"
#include "proto/auth_api.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	BACKOFF_FIRST_MS = 50,
	BACKOFF_MAX_MS = 2000,
	NOT_READY_MS = 100, /* between two pings until it is ready */
	MAX_OUT = 16 << 20, /* bytes */
};

static uint64_t last_link; /* worker 0 alone numbers them */

static const char *name_of(const struct auth_client *a)
{
	return a->conf->name;
}

void auth_client_report(struct auth_client *a, const struct login_report *r)
{
	if (a->state != LINK_UP || (a->features & AUTH_FEATURE_EVENTS) == 0)
		return;
	/* records are not worth failing for */
	if (rpc_conn_congested(a->rpc) ||
	    rpc_notify(a->rpc, r->method, slice_of(r->params, r->len)) != 0)
		a->stats.lost_reports++;
}

/* --- revocations and other requests of the authenticator --- */

static void reply_error(struct rpc_request *req, const char *uri, const char *message)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &auth_error_table,
			  &(struct auth_error){
				  .kind = AUTH_ERROR_INTERNAL,
				  .uri = slice_str(uri),
				  .message = slice_str(message),
				  .retry_after_ms = FIELD_NONE,
			  });
	rpc_reply_error(req, &b);
	buf_fini(&b);
}

static void on_revoke(struct auth_client *a, struct rpc_request *req, struct slice params)
{
	struct auth_revoke v;
	int rc = auth_revoke_read(params, &v);

	if (rc != 0) {
		log_error(name_of(a), "a revoke that cannot be read: %s", err_str(rc));
		reply_error(req, AUTH_ERROR_INVALID_ARGUMENT, err_str(rc));
		return;
	}
	a->stats.revokes++;
	struct revocation r = {
		.authenticator = a->index,
		.has_epoch = v.epoch != AUTH_NO_EPOCH,
		.dry_run = v.dry_run,
		.epoch = v.epoch,
		.link = a->link,
		.authid = v.match.authid,
		.pubkey = v.match.pubkey,
		.role = v.match.role,
		.realm = v.match.realm,
		.session = v.match.session == FIELD_NONE ? 0 : v.match.session,
		.uri = v.uri,
		.message = v.message,
	};
	control_revoke(a->control, &r, req);
}

static void on_ping_request(struct auth_client *a, struct rpc_request *req)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &auth_ping_result_table,
			  &(struct auth_ping_result){
				  .ready = true,
				  .inflight = a->n_in_flight,
				  .epoch = FIELD_NONE,
			  });
	rpc_reply(req, &b);
	buf_fini(&b);
}

static void on_request(struct rpc_request *req, struct slice method, struct slice params,
		       void *arg)
{
	struct auth_client *a = arg;

	if (slice_eq_str(method, AUTH_METHOD_REVOKE))
		on_revoke(a, req, params);
	else if (slice_eq_str(method, AUTH_METHOD_PING))
		on_ping_request(a, req);
	else
		reply_error(req, AUTH_ERROR_NO_SUCH_METHOD, "no such method");
}

static void on_notification(struct slice method, struct slice params, void *arg)
{
	(void)method;
	(void)params;
	(void)arg; /* none is known */
}

/* --- the link --- */

/* Full jitter, so that many routers do not come back in step. */
static uint64_t backoff_ms(unsigned failures)
{
	unsigned shift = failures < 6 ? failures : 6;
	unsigned most = BACKOFF_FIRST_MS << shift;

	if (most > BACKOFF_MAX_MS)
		most = BACKOFF_MAX_MS;
	return 1 + randombytes_uniform(most);
}

/* One line an outage, and one whenever its reason changes; the end of it is a line too.
 */
static void log_outage(struct auth_client *a, const char *why)
{
	bool still = a->outage[0] != '\0';

	if (strncmp(a->outage, why, sizeof(a->outage) - 1) == 0)
		return;
	snprintf(a->outage, sizeof(a->outage), "%s", why);
	log_error(
		name_of(a),
		"authenticator is %s available socket=%s reason=\"%s\"; logins are held",
		still ? "still not" : "not", a->conf->socket, why);
}

/* If there is none, connecting will try again. */
static void keep_spare(struct auth_client *a)
{
	if (a->spare == -1 && sock_new_unix(&a->spare) != 0)
		a->spare = -1;
}

static void link_down(struct auth_client *a, const char *why)
{
	rpc_conn_free(&a->rpc);
	keep_spare(a);
	a->state = LINK_DOWN;
	questions_link_broke(a);
	a->features = 0;
	a->misses = 0;
	log_outage(a, why);
	timer_arm(&a->timer, backoff_ms(a->failures));
	if (a->failures < UINT32_MAX)
		a->failures++;
}

static void on_closed(int reason, void *arg)
{
	char why[80];
	bool theirs = reason != E_CLOSED && reason != E_SYS && reason != E_NOMEM;

	snprintf(why, sizeof(why), "%s%s", theirs ? "what it sent is " : "",
		 err_str(reason));
	link_down(arg, why);
}

static const struct rpc_handlers handlers = {
	.read = auth_msg_read,
	.unsayable = auth_unsayable,
	.request = on_request,
	.notification = on_notification,
	.closed = on_closed,
};

void auth_client_answered(struct auth_client *a)
{
	a->failures = 0;
}

static void become_ready(struct auth_client *a)
{
	a->state = LINK_UP;
	a->outage[0] = '\0';
	log_info(name_of(a), "authenticator is available socket=%s revoke=%s",
		 a->conf->socket, a->features & AUTH_FEATURE_REVOKE ? "yes" : "no");
	questions_pump(a);
}

static void on_pong(const struct rpc_answer *ans, void *arg)
{
	struct auth_client *a = arg;
	struct auth_ping_result res;

	if (ans->outcome == RPC_TIMEOUT) {
		if (++a->misses >= AUTH_PING_MISSES)
			link_down(a, "it does not answer pings");
		return;
	}
	if (ans->outcome == RPC_CLOSED)
		return;
	a->misses = 0; /* an error is an answer too: it need not know ping */
	auth_client_answered(a);
	if (a->state == LINK_NOT_READY && ans->outcome == RPC_OK &&
	    fields_read_item(ans->result, &auth_ping_result_table, &res) == 0 &&
	    res.ready)
		become_ready(a);
}

static void send_ping(struct auth_client *a)
{
	const struct rpc_call ping = {
		.method = AUTH_METHOD_PING,
		.timeout_ms = AUTH_PING_MS,
		.cb = on_pong,
		.arg = a,
	};
	int rc = rpc_call(a->rpc, &ping, NULL);

	(void)rc; /* with so much in flight the answers show whether it is alive */
	timer_arm(&a->timer, a->state == LINK_UP ? AUTH_PING_MS : NOT_READY_MS);
}

static void link_up(struct auth_client *a, bool ready)
{
	bool revokes = (a->features & AUTH_FEATURE_REVOKE) != 0;

	a->state = LINK_NOT_READY;
	if (!revokes && !a->no_revoke_logged)
		log_warn(name_of(a),
			 "this authenticator does not revoke: sessions of removed "
			 "principals live on");
	a->no_revoke_logged = !revokes;
	timer_arm(&a->timer, ready ? AUTH_PING_MS : NOT_READY_MS);
	if (ready)
		become_ready(a);
	else
		log_outage(a, "it is not ready");
}

/* Connected, but it cannot or must not be used: logins are held, hello is asked again. */
static void not_usable(struct auth_client *a, const char *why)
{
	log_outage(a, why);
	timer_arm(&a->timer, backoff_ms(a->failures));
	a->failures++;
}

static void hello_result(struct auth_client *a, struct slice result)
{
	struct auth_hello_result h;
	int rc = fields_read_item(result, &auth_hello_result_table, &h);

	if (rc != 0) {
		link_down(a, "its answer to hello cannot be read");
		return;
	}
	if (h.protocol.major != AUTH_VERSION_MAJOR) {
		link_down(a, "it speaks another major version; is an upgrade half done?");
		return;
	}
	if (h.max_message < AUTH_MIN_MESSAGE) {
		not_usable(a, "it announces a max_message of less than 4096 bytes, which "
			      "is too little for a question");
		return;
	}
	if ((a->conf->require_features & CONFIG_FEATURE_REVOKE) != 0 &&
	    (h.features & AUTH_FEATURE_REVOKE) == 0) {
		not_usable(a,
			   "the configuration requires revoke, which it does not offer");
		return;
	}
	a->features = h.features;
	unsigned in_flight = (unsigned)min_size(AUTH_MAX_INFLIGHT, h.max_inflight);
	a->max_questions = in_flight > 2 ? in_flight - 1 : 1; /* and a ping */
	a->max_message = min_size(a->max_message, (size_t)h.max_message);
	rpc_conn_lower_limits(a->rpc, a->max_message, in_flight > 0 ? in_flight : 1);
	a->memory.last_epoch = h.epoch;
	size_t n = min_size(h.db.len, sizeof(a->memory.last_db) - 1);
	if (n > 0)
		memcpy(a->memory.last_db, h.db.p, n);
	a->memory.last_db[n] = '\0';
	link_up(a, h.ready);
}

static void on_hello_answer(const struct rpc_answer *ans, void *arg)
{
	struct auth_client *a = arg;
	struct auth_error e;

	switch (ans->outcome) {
	case RPC_OK:
		hello_result(a, ans->result);
		return;
	case RPC_ERROR:
		auth_error_read(ans->error, &e);
		if (slice_eq_str(e.uri, AUTH_ERROR_UNSUPPORTED_VERSION))
			link_down(a, "it speaks another major version");
		else if (!slice_eq_str(e.uri, AUTH_ERROR_NO_SUCH_METHOD))
			not_usable(a, "it is not ready");
		else if (a->conf->require_features != 0)
			not_usable(a,
				   "the configuration requires revoke, which it does not "
				   "offer");
		else
			link_up(a, true); /* the minimum: protocol 1.0 without features */
		return;
	case RPC_TIMEOUT:
		link_down(a, "it does not answer hello");
		return;
	case RPC_INVALID:
		link_down(a, "its answer to hello is malformed or over a limit");
		return;
	case RPC_CLOSED:
		return;
	}
}

static void send_hello(struct auth_client *a)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_hello_put(&b, a->config, &a->memory);
	int rc = b.err;
	if (rc == 0)
		rc = rpc_call(a->rpc,
			      &(struct rpc_call){
				      .method = AUTH_METHOD_HELLO,
				      .params = buf_slice(&b),
				      .timeout_ms = AUTH_HELLO_MS,
				      .cb = on_hello_answer,
				      .arg = a,
			      },
			      NULL);
	buf_fini(&b);
	if (rc != 0)
		link_down(a, err_str(rc));
}

static void connect_now(struct auth_client *a)
{
	static const struct rpc_limits limits = {
		.max_message = AUTH_MAX_MESSAGE,
		.max_out = MAX_OUT,
		.max_calls = AUTH_MAX_INFLIGHT,
		.max_requests = AUTH_MAX_INFLIGHT,
	};
	struct sock_cred cred = {.uid = (uid_t)-1};
	char why[80];
	int rc = sock_connect_unix(&a->spare, a->conf->socket);

	if (rc == E_AGAIN) {
		link_down(a, "it does not accept connections");
		return;
	}
	if (rc == 0)
		rc = sock_peer_cred(a->spare, &cred);
	if (rc != 0) {
		link_down(a, err_str(rc));
		return;
	}
	if (!config_uid_allowed(a->conf, cred.uid)) {
		sock_close(&a->spare);
		snprintf(why, sizeof(why),
			 "it runs as uid %u, which allow_users does not name",
			 (unsigned)cred.uid);
		link_down(a, why);
		return;
	}
	int fd = a->spare;
	a->spare = -1;
	a->rpc = rpc_conn_new(a->loop, fd, &handlers, &limits, a);
	if (a->rpc == NULL) {
		link_down(a, err_str(E_NOMEM));
		return;
	}
	a->stats.connects++;
	a->link = ++last_link;
	a->state = LINK_HELLO;
	a->max_questions = AUTH_MAX_INFLIGHT - 1;
	a->max_message = AUTH_MAX_MESSAGE;
	send_hello(a);
}

static void on_timer(void *arg)
{
	struct auth_client *a = arg;

	switch (a->state) {
	case LINK_DOWN:
		connect_now(a);
		return;
	case LINK_HELLO:
		send_hello(a);
		return;
	case LINK_NOT_READY:
	case LINK_UP:
		send_ping(a);
		return;
	}
}

struct auth_client *auth_client_new(struct control *c, struct loop *l,
				    const struct config *cfg, uint16_t index,
				    struct outbox *outbox)
{
	struct auth_client *a = calloc(1, sizeof(*a));
	uint8_t instance[16];

	if (a == NULL)
		return NULL;
	a->control = c;
	a->loop = l;
	a->outbox = outbox;
	a->config = cfg;
	a->conf = &cfg->authenticators[index];
	a->index = index;
	a->spare = -1;
	keep_spare(a);
	a->memory.last_epoch = AUTH_NO_EPOCH;
	randombytes_buf(instance, sizeof(instance));
	sodium_bin2hex(a->memory.instance, sizeof(a->memory.instance), instance,
		       sizeof(instance));
	questions_init(a);
	timer_init(&a->timer, l, on_timer, a);
	timer_arm(&a->timer, 0);
	return a;
}

void auth_client_free(struct auth_client **ap)
{
	struct auth_client *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	timer_disarm(&a->timer);
	rpc_conn_free(&a->rpc);
	sock_close(&a->spare);
	questions_fini(a);
	free(a);
}

void auth_client_log_stats(const struct auth_client *a)
{
	log_info(name_of(a),
		 "counters authenticator link_up=%d held=%u in_flight=%u bytes=%zu "
		 "asked=%llu "
		 "results=%llu errors=%llu invalid=%llu timeouts=%llu unavailable=%llu "
		 "link_broke=%llu cancelled=%llu "
		 "hold_overflow=%llu connects=%llu revokes=%llu lost_reports=%llu",
		 a->state == LINK_UP, a->n_held, a->n_in_flight, a->bytes,
		 (unsigned long long)a->stats.asked, (unsigned long long)a->stats.results,
		 (unsigned long long)a->stats.errors,
		 (unsigned long long)a->stats.invalid,
		 (unsigned long long)a->stats.timeouts,
		 (unsigned long long)a->stats.unavailable,
		 (unsigned long long)a->stats.link_broke,
		 (unsigned long long)a->stats.cancelled,
		 (unsigned long long)a->stats.overflow,
		 (unsigned long long)a->stats.connects,
		 (unsigned long long)a->stats.revokes,
		 (unsigned long long)a->stats.lost_reports);
}
