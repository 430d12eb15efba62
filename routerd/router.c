/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and stops the workers, listeners and control; see router.h. Main thread. */
#include "routerd/router.h"

#include "common/daemon.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "common/thread.h"
#include "routerd/acceptor.h"
#include "routerd/control/control.h"
#include "routerd/cpus.h"
#include "routerd/net/tls_context.h"
#include "routerd/net/tls_tickets.h"
#include "routerd/post/post.h"
#include "routerd/worker.h"

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct router {
	const char *path;            /* the configuration's file; owned by the caller */
	const struct config *config; /* owned by the caller */
	struct policy *policy;       /* the policy at the start; counted */
	unsigned n_workers;
	struct mailboxes *boxes;
	struct worker **workers;
	struct control *control;
	struct acceptor *acceptor;
	struct tls_context **tls; /* one per listener; NULL: it has no TLS */
	struct daemon_signals signals;
	struct mail_for_all stop_mail;
	pthread_t *threads; /* [0] is unused: worker 0 runs on the main thread */
};

static void drop_post(void *item)
{
	post_drop(item);
}

/* --- signals --- */

static void stop_router(void *arg)
{
	struct router *router = arg;

	control_stop(router->control);
	acceptor_stop(router->acceptor);
	outbox_send_all_reserved(worker_outbox(router->workers[0]),
				 &(struct post){.type = POST_STOP}, &router->stop_mail);
}

static void reload_config(void *arg)
{
	struct router *router = arg;

	control_reload(router->control);
}

static void log_collected_counters(void *arg)
{
	struct router *router = arg;

	daemon_log_counters();
	acceptor_log_counters(router->acceptor);
	control_log_counters(router->control);
}

static void collect_counters(void *arg)
{
	struct router *router = arg;

	control_collect_counters(router->control, log_collected_counters, router);
}

/* --- start --- */

static int make_workers(struct router *router)
{
	router->boxes = mailboxes_new(router->n_workers, sizeof(struct post),
				      router->config->limits.mailbox_high,
				      router->config->limits.mailbox_low);
	router->workers = calloc(router->n_workers, sizeof(*router->workers));
	router->threads = calloc(router->n_workers, sizeof(*router->threads));
	if (policy_new(NULL, router->config, &router->policy) != 0 ||
	    router->boxes == NULL || router->workers == NULL || router->threads == NULL)
		return E_NOMEM;
	for (unsigned i = 0; i < router->n_workers; i++) {
		router->workers[i] = worker_new(i, router->n_workers, router->config,
						router->policy, router->boxes);
		if (router->workers[i] == NULL)
			return E_NOMEM;
	}
	return 0;
}

static void log_certificate(const struct config_listener *l,
			    const struct config_certificate *pair)
{
	log_info(l->name, "certificate loaded file=%s names=%s expires=%s",
		 log_quote(slice_str(pair->certificate)).text, pair->names,
		 pair->expires);
}

/* NULL: it was logged why. */
static struct tls_context *make_tls(const struct config_listener *l)
{
	const struct config_tls *tls = &l->endpoint.tls;
	struct tls_pair pairs[CONFIG_MAX_CERTIFICATES];
	struct tls_context_conf conf = {
		.name = l->name,
		.pairs = pairs,
		.n_pairs = 1 + tls->n_more,
		.clients = (enum tls_clients)tls->clients,
		.client_ca = tls->ca_pem,
		.ciphers = tls->ciphers,
		.groups = tls->groups,
	};

	for (size_t i = 0; i < conf.n_pairs; i++) {
		const struct config_certificate *pair = config_certificate_at(tls, i);
		pairs[i] = (struct tls_pair){pair->certificates_pem, pair->key_pem};
		log_certificate(l, pair);
	}
	struct tls_refusal refusal;
	struct tls_context *context = tls_context_new(&conf, &refusal);
	if (context == NULL) {
		const struct config_certificate *pair =
			config_certificate_at(tls, refusal.pair);
		log_error(l->name,
			  "cannot use the certificate file=%s key=%s reason=\"%s\"",
			  log_quote(slice_str(pair->certificate)).text,
			  log_quote(slice_str(pair->key)).text, refusal.reason);
	}
	return context;
}

/*
 * OpenSSL initialises itself here, before there are other threads. E_SYNTAX: it refuses a
 * certificate, which was logged. E_NOMEM.
 */
static int make_all_tls(struct router *router)
{
	struct tls_ticket_seed seed;
	int err = 0;

	/* Add 1, because calloc may return NULL for 0 elements. */
	router->tls = calloc(router->config->n_listeners + 1, sizeof(*router->tls));
	if (router->tls == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < router->config->n_listeners; i++) {
		const struct config_listener *l = &router->config->listeners[i];
		if (l->endpoint.tls.own.certificate == NULL)
			continue;
		router->tls[i] = make_tls(l);
		if (router->tls[i] == NULL)
			return E_SYNTAX;
	}
	tls_ticket_seed_init(&seed, loop_now_ms(worker_loop(router->workers[0])));
	for (unsigned w = 0; w < router->n_workers && err == 0; w++)
		err = worker_use_tls(router->workers[w], router->tls, &seed);
	explicit_bzero(&seed, sizeof(seed));
	return err;
}

static int make_rest(struct router *router)
{
	struct worker *first = router->workers[0];

	router->control = control_new(worker_loop(first), router->path, router->config,
				      router->policy, worker_outbox(first));
	router->acceptor =
		acceptor_new(worker_loop(first), router->config, worker_outbox(first));
	if (router->control == NULL || router->acceptor == NULL ||
	    outbox_reserve_all(worker_outbox(first), &router->stop_mail) != 0)
		return E_NOMEM;
	worker_set_control(first, router->control);
	int err = make_all_tls(router);
	if (err != 0)
		return err;
	return daemon_signals_init(&router->signals, worker_loop(first));
}

static void *run_worker(void *arg)
{
	worker_run(arg);
	return NULL;
}

/* Starts the threads of all workers but worker 0. */
static void start_threads(struct router *router)
{
	for (unsigned i = 1; i < router->n_workers; i++) {
		int errnum = thread_start(&router->threads[i], NULL, run_worker,
					  router->workers[i]);
		if (errnum != 0) {
			/* The threads that were started end with the process. */
			log_error(NULL, "cannot start a thread reason=\"%s\"",
				  strerrordesc_np(errnum));
			log_end();
			_exit(EX_OSERR);
		}
	}
}

static void log_ready(const struct router *router)
{
	struct buf b;

	buf_init(&b, 4096);
	acceptor_describe(router->acceptor, &b);
	buf_put_u8(&b, '\0');
	log_info(NULL, "routerd ready version=%s workers=%u realms=%zu%s",
		 ROUTERD_VERSION, router->n_workers, router->config->n_realms,
		 b.err == 0 ? (char *)b.data : "");
	buf_fini(&b);
	daemon_notify("READY=1");
}

/* --- end --- */

/*
 * Frees everything: first the connections, since they decrement counters of the
 * listeners; then the listeners and control, since they use the loop of worker 0; then
 * the rest.
 */
static void router_fini(struct router *router)
{
	for (unsigned i = 0; router->workers != NULL && i < router->n_workers; i++)
		if (router->workers[i] != NULL)
			worker_drop_connections(router->workers[i]);
	acceptor_free(&router->acceptor);
	control_free(&router->control);
	daemon_signals_fini(&router->signals);
	for (unsigned i = 0; router->workers != NULL && i < router->n_workers; i++)
		worker_free(&router->workers[i]);
	for (size_t i = 0; router->tls != NULL && i < router->config->n_listeners; i++)
		tls_context_free(&router->tls[i]);
	free(router->tls);
	mailboxes_free(&router->boxes, drop_post);
	outbox_free_all(&router->stop_mail);
	policy_unref(&router->policy);
	free(router->workers);
	free(router->threads);
}

static int serve_clients(struct router *router)
{
	int err = make_workers(router);
	if (err == 0)
		err = make_rest(router);
	if (err == E_SYNTAX)
		/* Not EX_CONFIG: the certificates have been checked, so OpenSSL may only
		 * be short of memory now. */
		return EX_OSERR;
	if (err != 0) {
		log_error(NULL, "cannot start reason=\"out of memory or descriptors\"");
		return EX_OSERR;
	}
	if (acceptor_open(router->acceptor) != 0)
		/* Not EX_CONFIG: a port may be in use now, but not at the next start. */
		return EX_OSERR;
	for (unsigned w = 0; w < router->n_workers; w++)
		for (size_t i = 0; i < router->config->n_listeners; i++)
			worker_set_live(router->workers[w], i,
					acceptor_live(router->acceptor, i),
					acceptor_live_polls(router->acceptor, i));
	start_threads(router);
	log_ready(router);
	worker_run(router->workers[0]);
	for (unsigned i = 1; i < router->n_workers; i++)
		pthread_join(router->threads[i], NULL);
	control_workers_ended(router->control);
	log_info(NULL, "routerd stopped");
	return EX_OK;
}

int router_run(const char *path, const struct config *cfg)
{
	struct router router = {
		.path = path,
		.config = cfg,
		.signals = {.name = "routerd",
			    .stop = stop_router,
			    .log_counters = collect_counters,
			    .reload = reload_config,
			    .usr2 = worker_stall_toggle,
			    .arg = &router},
	};

	router.n_workers = cfg->threads > 0 ? (unsigned)cfg->threads
					    : cpus_threads(cpus_allowed(""));
	daemon_raise_fd_limit();
	int code = serve_clients(&router);
	router_fini(&router);
	return code;
}
