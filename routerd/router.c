/* SPDX-License-Identifier: Apache-2.0 */
/* The running program, from its parts to its end; see router.h. */
#include "routerd/router.h"

#include "common/daemon.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "routerd/acceptor.h"
#include "routerd/control/control.h"
#include "routerd/cpus.h"
#include "routerd/post/post.h"
#include "routerd/version.h"
#include "routerd/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct router {
	const struct config *config; /* lent */
	unsigned n_workers;
	struct mailboxes *boxes;
	struct worker **workers;
	struct control *control;
	struct acceptor *acceptor;
	struct daemon_signals signals;
	struct mail_for_all stop_mail;
	bool counted;          /* in this turn, the counters were asked for */
	struct timer turn_end; /* armed while counted */
	pthread_t *threads;    /* [0] is not used */
};

static void drop_post(void *item)
{
	post_drop(item);
}

/* --- signals --- */

static void stop(void *arg)
{
	struct router *r = arg;

	acceptor_stop(r->acceptor);
	outbox_send_all_reserved(worker_outbox(r->workers[0]),
				 &(struct post){.type = POST_STOP}, &r->stop_mail);
}

static void on_turn_end(void *arg)
{
	struct router *r = arg;

	r->counted = false;
}

static void log_counters_of_all(void *arg)
{
	struct router *r = arg;

	/* many signals in one turn are one, or the workers might never catch up */
	if (r->counted)
		return;
	r->counted = true;
	timer_arm(&r->turn_end, 0);
	acceptor_log_stats(r->acceptor);
	control_log_stats(r->control);
	if (!outbox_send_all(worker_outbox(r->workers[0]),
			     &(struct post){.type = POST_STATS}))
		log_error(NULL, "cannot log the workers' counters reason=\"%s\"",
			  err_str(E_NOMEM));
}

/* --- beginning --- */

static int make_workers(struct router *r)
{
	r->boxes = mailboxes_new(r->n_workers, sizeof(struct post),
				 r->config->limits.mailbox_high,
				 r->config->limits.mailbox_low);
	r->workers = calloc(r->n_workers, sizeof(*r->workers));
	r->threads = calloc(r->n_workers, sizeof(*r->threads));
	if (r->boxes == NULL || r->workers == NULL || r->threads == NULL)
		return E_NOMEM;
	for (unsigned i = 0; i < r->n_workers; i++) {
		r->workers[i] = worker_new(i, r->n_workers, r->config, r->boxes);
		if (r->workers[i] == NULL)
			return E_NOMEM;
	}
	return 0;
}

static int make_rest(struct router *r)
{
	struct worker *first = r->workers[0];

	r->control = control_new(worker_loop(first), r->config, worker_outbox(first));
	r->acceptor = acceptor_new(worker_loop(first), r->config, worker_outbox(first));
	timer_init(&r->turn_end, worker_loop(first), on_turn_end, r);
	if (r->control == NULL || r->acceptor == NULL ||
	    outbox_reserve_all(worker_outbox(first), &r->stop_mail) != 0)
		return E_NOMEM;
	worker_set_control(first, r->control);
	return daemon_signals_init(&r->signals, worker_loop(first));
}

static void *run_worker(void *arg)
{
	worker_run(arg);
	return NULL;
}

/* Signals are the main thread's: the others block all. */
static void start_threads(struct router *r)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 1; i < r->n_workers; i++) {
		int rc = pthread_create(&r->threads[i], NULL, run_worker, r->workers[i]);
		if (rc != 0) {
			/* those that run already end with the process */
			log_error(NULL, "cannot start a thread reason=\"%s\"",
				  strerrordesc_np(rc));
			log_end();
			_exit(EX_OSERR);
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void log_ready(const struct router *r)
{
	struct buf b;

	buf_init(&b, 4096);
	acceptor_describe(r->acceptor, &b);
	buf_put_u8(&b, '\0');
	log_info(NULL, "routerd ready version=%s workers=%u realms=%zu%s",
		 ROUTERD_VERSION, r->n_workers, r->config->n_realms,
		 b.err == 0 ? (char *)b.data : "");
	buf_fini(&b);
	daemon_notify("READY=1");
}

/* --- end --- */

/*
 * Connections count down in the listeners; both, and the authenticators, are on the loop
 * of worker 0.
 */
static void router_fini(struct router *r)
{
	for (unsigned i = 0; r->workers != NULL && i < r->n_workers; i++)
		if (r->workers[i] != NULL)
			worker_drop_connections(r->workers[i]);
	acceptor_free(&r->acceptor);
	control_free(&r->control);
	daemon_signals_fini(&r->signals);
	if (r->counted)
		timer_disarm(&r->turn_end);
	for (unsigned i = 0; r->workers != NULL && i < r->n_workers; i++)
		worker_free(&r->workers[i]);
	mailboxes_free(&r->boxes, drop_post);
	outbox_free_all(&r->stop_mail);
	free(r->workers);
	free(r->threads);
}

static int serve(struct router *r)
{
	if (make_workers(r) != 0 || make_rest(r) != 0) {
		log_error(NULL, "cannot start reason=\"no memory or no descriptors\"");
		return EX_OSERR;
	}
	if (acceptor_open(r->acceptor) != 0)
		return EX_OSERR; /* whoever has the port may go */
	for (unsigned w = 0; w < r->n_workers; w++)
		for (size_t i = 0; i < r->config->n_listeners; i++)
			worker_set_live(r->workers[w], i, acceptor_live(r->acceptor, i));
	start_threads(r);
	log_ready(r);
	worker_run(r->workers[0]);
	for (unsigned i = 1; i < r->n_workers; i++)
		pthread_join(r->threads[i], NULL);
	log_info(NULL, "routerd stopped");
	return EX_OK;
}

int router_run(const struct config *cfg)
{
	struct router r = {
		.config = cfg,
		.signals = {.name = "routerd",
			    .stop = stop,
			    .log_counters = log_counters_of_all,
			    .usr2 = worker_stall_toggle,
			    .arg = &r},
	};

	r.n_workers = cfg->threads > 0 ? (unsigned)cfg->threads
				       : cpus_threads(cpus_allowed(""));
	daemon_raise_fd_limit();
	int code = serve(&r);
	router_fini(&r);
	return code;
}
