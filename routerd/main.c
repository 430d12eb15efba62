/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routerd: reads the configuration, makes the workers, runs them, and frees everything.
 * The main thread is worker 0's.
 */
#include "common/base.h"
#include "common/daemon.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "routerd/config.h"
#include "routerd/control/control.h"
#include "routerd/cpus.h"
#include "routerd/post.h"
#include "routerd/version.h"
#include "routerd/worker.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static const char help[] =
	"Usage: routerd -c FILE\n"
	"       routerd --check FILE\n"
	"\n"
	"A WAMP router. Who its clients are, an authenticator tells it (see authd).\n"
	"\n"
	"  -c, --config FILE  run with this configuration\n"
	"      --check FILE   say what is wrong with it, or that nothing is, and end\n"
	"  -h, --help         this text\n"
	"      --version      the version\n"
	"\n"
	"Signals: SIGTERM and SIGINT stop it, SIGUSR1 logs its counters.\n"
	"\n"
	"Exit codes: 0 stopped as asked, or the configuration is good; 64 wrong usage;\n"
	"71 no memory or descriptors; 78 wrong configuration, or it cannot listen.\n"
	"\n"
	"Example: routerd -c /etc/routerd/routerd.yaml\n";

struct router {
	struct config *config;
	unsigned n_workers;
	struct mailboxes *boxes;
	struct worker **workers;
	struct control *control;
	pthread_t *threads; /* [0] is not used */
	unsigned n_started; /* threads */
};

static void drop_post(void *item)
{
	post_drop(item);
}

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
		r->workers[i] = worker_new(&(struct worker_params){
			.index = i,
			.n_workers = r->n_workers,
			.config = r->config,
			.boxes = r->boxes,
		});
		if (r->workers[i] == NULL)
			return E_NOMEM;
	}
	r->control = control_new(&(struct control_params){
		.loop = worker_loop(r->workers[0]),
		.config = r->config,
		.outbox = worker_outbox(r->workers[0]),
	});
	if (r->control == NULL)
		return E_NOMEM;
	worker_set_control(r->workers[0], r->control);
	return 0;
}

static int open_listeners(struct router *r)
{
	size_t n = r->config->n_listeners;
	int *inherited = calloc(n + 1, sizeof(*inherited));

	if (inherited == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < n; i++)
		inherited[i] = daemon_inherited_fd(r->config->listeners[i].name);
	int rc = control_listen(r->control, inherited);
	free(inherited);
	if (rc != 0)
		return rc;
	for (unsigned w = 0; w < r->n_workers; w++)
		for (size_t i = 0; i < n; i++)
			worker_set_live(r->workers[w], i, control_live(r->control, i));
	return 0;
}

static void *run_worker(void *arg)
{
	worker_run(arg);
	return NULL;
}

/* Signals are the main thread's: the others block all. */
static int start_threads(struct router *r)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (r->n_started = 1; r->n_started < r->n_workers && rc == 0; r->n_started++)
		rc = pthread_create(&r->threads[r->n_started], NULL, run_worker,
				    r->workers[r->n_started]);
	if (rc != 0)
		r->n_started--;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? 0 : E_NOMEM;
}

static void log_ready(const struct router *r)
{
	struct buf b;

	buf_init(&b, 4096);
	control_describe_listeners(r->control, &b);
	buf_put_u8(&b, '\0');
	log_info(NULL, "routerd ready version=%s workers=%u realms=%zu%s",
		 ROUTERD_VERSION, r->n_workers, r->config->n_realms,
		 b.err == 0 ? (char *)b.data : "");
	buf_fini(&b);
	daemon_notify("READY=1");
}

static void router_fini(struct router *r)
{
	/* connections count down in control's listeners, which are on worker 0's loop */
	for (unsigned i = 0; r->workers != NULL && i < r->n_workers; i++)
		if (r->workers[i] != NULL)
			worker_drop_connections(r->workers[i]);
	control_free(&r->control);
	for (unsigned i = 0; r->workers != NULL && i < r->n_workers; i++)
		worker_free(&r->workers[i]);
	mailboxes_free(&r->boxes, drop_post);
	free(r->workers);
	free(r->threads);
	config_unref(&r->config);
}

static int run(struct router *r)
{
	int rc = make_workers(r);

	if (rc != 0) {
		log_error(NULL, "cannot start reason=\"%s\"", err_str(rc));
		return EX_OSERR;
	}
	if (open_listeners(r) != 0)
		return EX_CONFIG;
	rc = start_threads(r);
	if (rc != 0) {
		/* the threads that did start run into the end of the process */
		log_error(NULL, "cannot start a thread");
		_exit(EX_OSERR);
	}
	log_ready(r);
	worker_run(r->workers[0]);
	for (unsigned i = 1; i < r->n_started; i++)
		pthread_join(r->threads[i], NULL);
	log_info(NULL, "routerd stopped");
	return EX_OK;
}

static int check(const char *path)
{
	struct config *cfg;
	struct conf_error err;

	if (config_load(path, &cfg, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	printf("%s: ok (%zu realms, %zu listeners, %zu authenticators)\n", path,
	       cfg->n_realms, cfg->n_listeners, cfg->n_authenticators);
	config_unref(&cfg);
	return EX_OK;
}

static int serve(const char *path)
{
	struct router r = {.n_workers = 0};
	struct conf_error err;

	if (config_load(path, &r.config, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	log_init(r.config->log.level, r.config->log.format);
	signal(SIGPIPE, SIG_IGN);
	daemon_raise_fd_limit();
	r.n_workers = r.config->threads > 0 ? (unsigned)r.config->threads
					    : cpus_threads(cpus_allowed(""));
	int code = run(&r);
	router_fini(&r);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", required_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	const char *config = NULL, *to_check = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (o) {
		case 'c':
			config = optarg;
			break;
		case 'k':
			to_check = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return EX_OK;
		case 'V':
			puts("routerd " ROUTERD_VERSION);
			return EX_OK;
		default:
			fputs("Try routerd --help\n", stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc || (config == NULL) == (to_check == NULL)) {
		fputs(help, stderr);
		return EX_USAGE;
	}
	if (sodium_init() < 0) {
		fputs("libsodium cannot be initialised\n", stderr);
		return EX_OSERR;
	}
	return to_check != NULL ? check(to_check) : serve(config);
}
