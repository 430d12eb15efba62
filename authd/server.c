/* SPDX-License-Identifier: Apache-2.0 */
/* Serves authd's sockets and connections; see server.h. Main thread. */
#include "authd/server.h"

#include "common/daemon.h"
#include "common/err.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES_A_SECOND = 20 };

bool server_may_log(struct server *s)
{
	unsigned dropped;

	if (!log_rate_ok(&s->rate, loop_now_ms(s->loop), &dropped))
		return false;
	if (dropped > 0)
		log_info(NULL, "lines left out: too many in one second suppressed=%u",
			 dropped);
	return true;
}

/* --- answers --- */

void server_reply(struct rpc_request *req, const struct field_table *t, const void *msg)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, t, msg);
	rpc_reply(req, &b);
	buf_fini(&b);
}

void server_reply_error(struct rpc_request *req, enum auth_error_kind kind,
			const char *uri, const char *message)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_error_write(&b, kind, uri, slice_str(message));
	rpc_reply_error(req, &b);
	buf_fini(&b);
}

void server_reply_invalid(struct rpc_request *req, const char *why)
{
	server_reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_INVALID_ARGUMENT, why);
}

bool server_read(struct rpc_request *req, struct slice params,
		 const struct field_table *t, void *out)
{
	char text[AUTH_FAULT_MAX];

	if (fields_read_params(params, t, out) == 0)
		return true;
	fields_explain_params(params, t, out, text, sizeof(text));
	server_reply_invalid(req, text);
	return false;
}

/* --- connections --- */

static void client_free(struct client *c)
{
	c->endpoint->n_clients--;
	LIST_REMOVE(c, link);
	rpc_conn_free(&c->rpc);
	free(c);
}

static void on_client_request(struct rpc_request *req, struct slice method,
			      struct slice params, void *arg)
{
	struct client *c = arg;
	const struct role *role = c->endpoint->role;

	for (const struct method *m = role->methods; m->name != NULL; m++) {
		if (!slice_eq_str(method, m->name))
			continue;
		if (m->needs == NEEDS_HELLO && !c->greeted) {
			server_reply_error(req, AUTH_ERROR_TEMPORARY,
					   AUTH_ERROR_NOT_READY, "send hello first");
		} else if (m->needs != NEEDS_NOTHING && c->server->store == NULL) {
			c->server->counters.not_ready++;
			server_reply_error(req, AUTH_ERROR_TEMPORARY,
					   AUTH_ERROR_NOT_READY, c->server->waits_for);
		} else {
			m->call(c, req, params, m->what);
		}
		return;
	}
	server_reply_error(req, AUTH_ERROR_INTERNAL, AUTH_ERROR_NO_SUCH_METHOD,
			   "no such method");
}

static void on_client_notification(struct slice method, struct slice params, void *arg)
{
	struct client *c = arg;

	for (const struct notice *n = c->endpoint->role->notices; n->name != NULL; n++) {
		if (slice_eq_str(method, n->name)) {
			n->take(c, params);
			return;
		}
	}
	c->server->counters.unknown_notices++;
}

static void on_client_closed(int err, void *arg)
{
	struct client *c = arg;

	c->server->counters.malformed += rpc_peer_fault(err) ? 1 : 0;
	/* authctl connects for each command, so its normal end is not worth a line. */
	if (c->endpoint == &c->server->router || err != E_CLOSED)
		log_info(c->name, "disconnected reason=\"%s%s\"",
			 rpc_peer_fault(err) ? "invalid message: " : "", err_str(err));
	client_free(c);
}

static const struct rpc_handlers handlers = {
	.read = auth_msg_read,
	.fallback_error = auth_fallback_error,
	.request = on_client_request,
	.notification = on_client_notification,
	.closed = on_client_closed,
};

/* Counts and logs a connection that is refused. */
static void count_refused(struct endpoint *endpoint, const struct ucred *cred,
			  const char *why)
{
	endpoint->server->counters.refused++;
	if (server_may_log(endpoint->server))
		log_warn(endpoint->role->name,
			 "connection refused uid=%d pid=%d reason=\"%s\"", (int)cred->uid,
			 (int)cred->pid, why);
}

/* Returns why the connection is refused, or NULL. Sets *cred to the peer's uid and pid.
 */
static const char *objection(const struct endpoint *endpoint, int fd, struct ucred *cred)
{
	if (sock_peer_cred(fd, cred) != 0)
		return "the peer's uid is unknown";
	if (!conf_user_allowed(&endpoint->conf->allow_users, cred->uid))
		return "the user is not in allow_users";
	if (endpoint->n_clients >= endpoint->role->max_clients)
		return "too many connections";
	return NULL;
}

static void on_client_accepted(void *arg, int fd)
{
	struct endpoint *endpoint = arg;
	struct server *s = endpoint->server;
	struct ucred cred = {.pid = 0, .uid = (uid_t)-1};
	const char *why = objection(endpoint, fd, &cred);
	struct client *c = why == NULL ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL) {
		count_refused(endpoint, &cred, why != NULL ? why : err_str(E_NOMEM));
		sock_close(&fd);
		return;
	}
	c->endpoint = endpoint;
	c->server = s;
	c->uid = cred.uid;
	snprintf(c->name, sizeof(c->name), "%s %" PRIu64, endpoint->role->name,
		 ++s->last_client);
	/* rpc_conn_new takes ownership of fd even if it fails. */
	c->rpc = rpc_conn_new(s->loop, fd, &handlers, &endpoint->role->limits, c);
	if (c->rpc == NULL) {
		count_refused(endpoint, &cred, err_str(E_NOMEM));
		free(c);
		return;
	}
	endpoint->n_clients++;
	s->counters.connections++;
	LIST_INSERT_HEAD(&s->clients, c, link);
	if (endpoint == &s->router)
		log_info(c->name, "connected pid=%d uid=%d", (int)cred.pid,
			 (int)cred.uid);
}

/* --- sockets --- */

static int endpoint_listen(struct endpoint *endpoint)
{
	struct listener_conf conf = {
		.name = endpoint->role->name,
		.fd = daemon_inherited_fd(endpoint->role->fd_name),
		.path = endpoint->conf->path,
		.mode = endpoint->conf->mode,
	};
	int err = listener_open(&endpoint->listener, endpoint->server->loop, &conf,
				on_client_accepted, endpoint);

	if (err == 0)
		log_info(endpoint->role->name, "listening address=%s inherited=%s",
			 log_quote(slice_str(sock_local_name(endpoint->listener.fd).text))
				 .text,
			 conf.fd == -1 ? "no" : "yes");
	return err;
}

void server_init(struct server *s, struct loop *l, const struct settings *settings,
		 const struct role *routers, const struct role *admins)
{
	uint8_t instance[16];

	*s = (struct server){
		.loop = l,
		.settings = settings,
		.rate.burst = LINES_A_SECOND,
		.router = {.server = s, .role = routers, .conf = &settings->listen},
		.admin = {.server = s, .role = admins, .conf = &settings->admin},
	};
	LIST_INIT(&s->clients);
	LIST_INIT(&s->revokes);
	randombytes_buf(instance, sizeof(instance));
	sodium_bin2hex(s->instance, sizeof(s->instance), instance, sizeof(instance));
}

int server_listen(struct server *s)
{
	int err = endpoint_listen(&s->router);

	if (err == 0)
		err = endpoint_listen(&s->admin);
	if (err == 0 && daemon_inherited_left() > 0)
		log_warn(NULL,
			 "ignoring sockets from the service manager: name each of them "
			 "%s or %s count=%u",
			 s->router.role->fd_name, s->admin.role->fd_name,
			 daemon_inherited_left());
	return err;
}

void server_fini(struct server *s)
{
	struct client *c;

	/* Before the connections are closed: this answers requests. */
	revokes_abandon(s);
	while ((c = LIST_FIRST(&s->clients)) != NULL)
		client_free(c);
	listener_stop(&s->router.listener);
	listener_stop(&s->admin.listener);
}

#define X(name, type, help) {#name, help, type, offsetof(struct server_counters, name)},
const struct counter_table server_counter_table =
	COUNTER_TABLE(struct server_counters, SERVER_COUNTERS(X));
#undef X

void server_log_counters(const struct server *s)
{
	struct server_counters c = s->counters;

	if (s->store != NULL) {
		c.database_errors = store_errors(s->store);
		c.epoch = store_epoch(s->store);
	}
	c.routers = s->router.n_clients;
	c.admins = s->admin.n_clients;
	counters_log(NULL, "counters", &(struct counter_set){&server_counter_table, &c},
		     1);
}
