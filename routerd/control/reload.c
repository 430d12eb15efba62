/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the file in a thread, and switches to the new policy; see reload.h. read_file and
 * run_reading run in that thread, reading_unref in either thread, everything else in the
 * thread of worker 0.
 */
#include "routerd/control/reload.h"

#include "common/daemon.h"
#include "common/err.h"
#include "common/refs.h"
#include "common/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CHANGES_MAX = 1000 }; /* bytes of names in a log line */

/*
 * Shared by the thread and worker 0. Worker 0 reads the result when fd is readable, or
 * abandons the thread, which then ends by itself. The last of the two frees the struct.
 */
struct reading {
	_Atomic uint32_t refs;
	int fd;                /* an eventfd */
	const char *path;      /* valid as long as the process runs */
	struct policy *before; /* counted; the policy before the reload */
	/* The result of the thread. */
	struct config *config; /* NULL: errors says why */
	struct policy *policy;
	struct conf_error errors;
};

#define X(name, help) {#name, help, COUNTER, offsetof(struct reload, name)},
const struct counter_table reload_counter_table = COUNTER_TABLE(
	struct reload,
	X(done, "reloads of the configuration that took effect")
		X(refused, "reloads that changed nothing because of an error"));
#undef X

/* --- the thread --- */

static void reading_unref(struct reading **reading_io)
{
	struct reading *reading = refs_drop(reading_io);

	if (reading == NULL)
		return;
	close(reading->fd);
	policy_unref(&reading->before);
	policy_unref(&reading->policy);
	config_free(&reading->config);
	free(reading);
}

static void read_file(struct reading *reading)
{
	struct conf_error *errors = &reading->errors;

	if (config_load(reading->path, &reading->config, errors) != 0)
		return;
	int err = policy_new(reading->before, reading->config, &reading->policy);
	if (err == 0)
		return;
	config_free(&reading->config);
	(void)snprintf(errors->text, sizeof(errors->text), "%s: %s", reading->path,
		       err == E_LIMIT
			       ? "a realm has too many roles, including removed roles "
				 "that sessions still have: restart routerd"
			       : err_str(err));
}

static void *run_reading(void *arg)
{
	struct reading *reading = arg;

	read_file(reading);
	(void)eventfd_write(reading->fd, 1);
	reading_unref(&reading);
	return NULL;
}

/* --- worker 0 --- */

static void log_refused(const char *errors)
{
	for (const char *line = errors; *line != '\0';) {
		int len = (int)strcspn(line, "\n");

		log_error(NULL, "reload refused: %.*s", len, line);
		line += len + (line[len] == '\n');
	}
}

/* The service manager waits for READY=1, even if the reload has failed. */
static void end_reload(struct reload *r)
{
	bool again = r->again;

	r->state = RELOAD_IDLE;
	r->again = false;
	daemon_notify("READY=1");
	if (again)
		reload_begin(r);
}

static void reload_refused(struct reload *r, const char *errors)
{
	r->refused++;
	log_refused(errors);
	end_reload(r);
}

/* Appends the names of the realms that keep other histories. */
static void put_histories(struct buf *out, const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < a->n_realms; i++) {
		int k = config_realm_find(b, slice_str(a->realms[i].name));

		if (k >= 0 && config_history_differs(&a->realms[i], &b->realms[k]))
			buf_printf(out, "%shistory of realm %s", out->len > 0 ? ", " : "",
				   a->realms[i].name);
	}
}

/* Appends the names of the realms that a has and b does not have. */
static void put_missing(struct buf *out, const char *what, const struct config *a,
			const struct config *b)
{
	for (size_t i = 0; i < a->n_realms; i++)
		if (config_realm_find(b, slice_str(a->realms[i].name)) < 0)
			buf_printf(out, "%s%s realm %s", out->len > 0 ? ", " : "", what,
				   a->realms[i].name);
}

/* Did the file of a certificate or of its key change? */
static bool certificate_differs(const struct config_certificate *a,
				const struct config_certificate *b)
{
	return !slice_eq(a->certificates_pem, b->certificates_pem) ||
	       !slice_eq(a->key_pem, b->key_pem);
}

/*
 * Appends the transports whose certificates have changed, although the configuration
 * names the same files.
 */
static void put_certificates(struct buf *out, const struct config *a,
			     const struct config *b)
{
	for (size_t i = 0; i < a->n_listeners && i < b->n_listeners; i++) {
		const struct config_tls *x = &a->listeners[i].endpoint.tls;
		const struct config_tls *y = &b->listeners[i].endpoint.tls;
		bool differs = !slice_eq(x->ca_pem, y->ca_pem);

		for (size_t k = 0; k <= x->n_more && x->n_more == y->n_more; k++)
			differs = differs ||
				  certificate_differs(config_certificate_at(x, k),
						      config_certificate_at(y, k));
		if (differs && strcmp(a->listeners[i].name, b->listeners[i].name) == 0)
			buf_printf(out, "%scertificates of transport %s",
				   out->len > 0 ? ", " : "", a->listeners[i].name);
	}
}

/*
 * Warns of each transport that gives anonymous clients a removed role: a reload does not
 * change transports.
 */
static void warn_of_anonymous(const struct reload *r)
{
	for (size_t i = 0; i < r->config->n_listeners; i++) {
		const struct config_listener *l = &r->config->listeners[i];
		int only = l->auth.anonymous.realm_index;
		bool found = l->auth.anonymous.role == NULL;

		for (unsigned k = 0; k < r->policy->n_realms && !found; k++)
			found = (only == -1 || only == (int)k) &&
				policy_role_find(r->policy, k,
						 slice_str(l->auth.anonymous.role)) !=
					NULL;
		if (!found)
			log_warn(NULL,
				 "reload has removed the role of a transport's anonymous "
				 "clients: they are refused until routerd restarts "
				 "listener=%s authrole=%s",
				 l->name, l->auth.anonymous.role);
	}
}

/*
 * Warns of each new authenticator that is the authorizer of a role: a reload changes
 * roles, but does not connect to new authenticators.
 */
static void warn_of_authorizers(const struct reload *r, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_authenticators; i++) {
		const char *name = cfg->authenticators[i].name;

		if (config_is_authorizer(cfg, name) &&
		    config_authenticator_find(r->config, name) < 0)
			log_warn(name,
				 "reload does not connect to a new authenticator: until "
				 "routerd restarts, requests of sessions whose role has "
				 "this authorizer fail with "
				 "wamp.error.authorization_failed");
	}
}

static void warn_of_changes(const struct reload *r, const struct config *cfg)
{
	struct buf names;

	buf_init(&names, CHANGES_MAX);
	conf_changes(&config_table, r->config, cfg, &names);
	put_certificates(&names, r->config, cfg);
	put_histories(&names, r->config, cfg);
	put_missing(&names, "new", cfg, r->config);
	put_missing(&names, "removed", r->config, cfg);
	size_t len = names.len;
	buf_put_u8(&names, '\0');
	if (len > 0)
		log_warn(NULL,
			 "reload applies only roles, permissions and options of realms "
			 "except history: "
			 "restart routerd to apply the other changes changed=\"%s\"",
			 names.err == 0 ? (const char *)names.data : "too many to list");
	buf_fini(&names);
}

static void switch_to(struct reload *r, struct reading *reading)
{
	struct policy *next = reading->policy;

	if (!outbox_ask_all(r->outbox,
			    &(struct post){.type = POST_RELOAD, .policy = next}, next)) {
		reload_refused(r, "out of memory");
		return;
	}
	reading->policy = r->policy; /* is freed with the reading */
	r->policy = next;
	conf_log_warnings(&reading->errors);
	warn_of_changes(r, reading->config);
	warn_of_anonymous(r);
	warn_of_authorizers(r, reading->config);
	r->state = RELOAD_SWITCHING;
	r->missing = r->outbox->n_workers;
	r->ended = (struct revocation_counts){0};
	r->revoked = 0;
}

static void on_file_read(evutil_socket_t fd, short what, void *arg)
{
	struct reload *r = arg;
	struct reading *reading = r->reading;
	eventfd_t value;

	(void)what;
	if (eventfd_read(fd, &value) != 0)
		return;
	event_del(&r->read_event);
	r->reading = NULL;
	if (reading->config == NULL)
		reload_refused(r, reading->errors.text);
	else
		switch_to(r, reading);
	reading_unref(&reading);
}

/* Starts the thread that reads the file. NULL if out of memory or descriptors. */
static struct reading *reading_new(struct reload *r)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	pthread_t thread;

	if (reading == NULL)
		return NULL;
	atomic_init(&reading->refs, 2); /* this thread's and the new thread's */
	reading->path = r->path;
	reading->before = policy_ref(r->policy);
	reading->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event_assign(&r->read_event, loop_base(r->loop), reading->fd,
		     EV_READ | EV_PERSIST, on_file_read, r);
	if (reading->fd != -1 && event_add(&r->read_event, NULL) == 0 &&
	    thread_start(&thread, NULL, run_reading, reading) == 0) {
		pthread_detach(thread);
		return reading;
	}
	event_del(&r->read_event);
	atomic_init(&reading->refs, 1); /* there is no new thread */
	reading_unref(&reading);
	return NULL;
}

void reload_begin(struct reload *r)
{
	if (r->state != RELOAD_IDLE) {
		r->again = true;
		return;
	}
	r->state = RELOAD_READING;
	r->begun_ms = loop_now_ms(r->loop);
	daemon_notify_reloading();
	r->reading = reading_new(r);
	if (r->reading == NULL)
		reload_refused(r, "out of memory or descriptors");
}

void reload_reported(struct reload *r, const struct post *p)
{
	if (r->state == RELOAD_STOPPED)
		return;
	ASSERT(r->state == RELOAD_SWITCHING && p->id == r->policy->generation);
	r->ended.sessions += p->counts.sessions;
	r->ended.pending += p->counts.pending;
	r->revoked += p->revoked;
	if (--r->missing > 0)
		return;
	r->done++;
	log_info(NULL,
		 "reload done generation=%" PRIu64
		 " sessions_ended=%u logins_refused=%u revoked=%u ms=%" PRIu64,
		 r->policy->generation, r->ended.sessions, r->ended.pending, r->revoked,
		 loop_now_ms(r->loop) - r->begun_ms);
	end_reload(r);
}

void reload_init(struct reload *r, struct loop *loop, const char *path,
		 const struct config *cfg, struct policy *policy, struct outbox *outbox)
{
	*r = (struct reload){
		.loop = loop,
		.path = path,
		.config = cfg,
		.policy = policy_ref(policy),
		.outbox = outbox,
	};
}

void reload_stop(struct reload *r)
{
	r->state = RELOAD_STOPPED;
	if (r->reading != NULL)
		event_del(&r->read_event);
	reading_unref(&r->reading);
	policy_unref(&r->policy);
}
