/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authd: keeps principals and tells routers who may log in. One loop, on the main thread;
 * a second thread only writes the log. This file puts the parts together and takes them
 * apart.
 */
#include "authd/lock.h"
#include "authd/server.h"
#include "authd/version.h"
#include "common/daemon.h"
#include "common/err.h"
#include "common/sock.h"

#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { RETRY_MS = 500 }; /* between two tries to get the database */

static const char help[] =
	"Usage: authd -c FILE\n"
	"       authd --check FILE\n"
	"\n"
	"Tells routers who their clients are. Principals are kept in a database and are\n"
	"managed by authctl. One authd at a time uses a database: a second one waits "
	"until\n"
	"the first has ended.\n"
	"\n"
	"  -c, --config FILE  run with this configuration\n"
	"      --check FILE   say what is wrong with it, or that nothing is, and end\n"
	"  -h, --help         this text\n"
	"      --version      the version\n"
	"\n"
	"Signals: SIGTERM and SIGINT stop it, SIGUSR1 logs its counters. SIGHUP is\n"
	"ignored: restart it to apply a changed configuration.\n"
	"\n"
	"Exit codes: 0 stopped as asked, or the configuration is good; 64 wrong usage;\n"
	"71 no memory or descriptors, or it cannot listen; 74 the database cannot be\n"
	"used; 78 wrong configuration.\n"
	"\n"
	"Example: authd -c /etc/authd/authd.yaml\n";

struct daemon {
	struct config *config;
	struct loop *loop;
	struct store *store;
	struct server server;
	struct event term, interrupt, hangup, counters;
	struct timer retry;  /* of the database */
	int lock;            /* -1: not taken */
	int status;          /* exit code */
	char waits_for[100]; /* for the database; empty: has not waited yet */
};

static void on_stop(evutil_socket_t number, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	log_info(NULL, "stopping signal=%d", (int)number);
	daemon_notify("STOPPING=1");
	loop_stop(d->loop);
}

static void on_counters(evutil_socket_t number, short what, void *arg)
{
	const struct daemon *d = arg;

	(void)number;
	(void)what;
	log_log_counters();
	server_log_counters(&d->server);
}

static void on_hangup(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	(void)arg;
	daemon_refuse_reload("authd");
}

static int watch_signal(struct daemon *d, struct event *ev, int number,
			event_callback_fn cb)
{
	/* what holds again when the event is deleted: a second SIGTERM changes nothing */
	signal(number, SIG_IGN);
	evsignal_assign(ev, loop_base(d->loop), number, cb, d);
	return evsignal_add(ev, NULL) == 0 ? 0 : E_NOMEM;
}

/* --- the database ------------------------------------------------------------------- */

/*
 * Somebody else has the database: routers are told to wait, and authctl to go to the one
 * that has it.
 */
static void wait_for_database(struct daemon *d, pid_t holder)
{
	char status[sizeof(d->waits_for) + 32];

	timer_arm(&d->retry, RETRY_MS);
	if (d->waits_for[0] != '\0')
		return;
	if (d->lock != -1)
		snprintf(d->waits_for, sizeof(d->waits_for),
			 "the database is locked by another program");
	else
		snprintf(d->waits_for, sizeof(d->waits_for),
			 "another authd uses the database, pid %d", (int)holder);
	log_warn(NULL, "waiting for the database path=%s reason=\"%s\" pid=%d",
		 log_quote(slice_str(d->config->database)).text, d->waits_for,
		 (int)holder);
	snprintf(status, sizeof(status), "STATUS=waiting: %s", d->waits_for);
	daemon_notify(status);
}

/* Takes the lock and opens the database. E_AGAIN: somebody has it; it is tried again. */
static int open_database(struct daemon *d)
{
	const char *path = d->config->database;
	pid_t holder = 0;
	int r = d->lock == -1 ? lock_take(path, &d->lock, &holder) : 0;

	if (r == 0)
		r = store_open(path, &d->store);
	else if (r != E_AGAIN)
		log_error(NULL, "cannot lock the database file=%s.lock reason=\"%s\"",
			  log_quote(slice_str(path)).text, err_str(r));
	if (r == E_AGAIN) {
		wait_for_database(d, holder);
	} else if (r != 0) {
		log_error(NULL, "cannot use the database path=%s",
			  log_quote(slice_str(path)).text);
		d->status = EX_IOERR;
	}
	return r;
}

static void start_serving(struct daemon *d)
{
	d->server.store = d->store;
	log_info(NULL, "authd ready version=%s db=%s epoch=%llu", AUTHD_VERSION,
		 store_id(d->store), (unsigned long long)store_epoch(d->store));
	if (d->waits_for[0] != '\0')
		daemon_notify("STATUS=ready");
}

static void on_retry(void *arg)
{
	struct daemon *d = arg;
	int r = open_database(d);

	if (r == 0)
		start_serving(d);
	else if (r != E_AGAIN)
		loop_stop(d->loop);
}

/* --- running ------------------------------------------------------------------------ */

static int run(struct daemon *d)
{
	int r = watch_signal(d, &d->term, SIGTERM, on_stop);

	if (r == 0)
		r = watch_signal(d, &d->interrupt, SIGINT, on_stop);
	if (r == 0)
		r = watch_signal(d, &d->hangup, SIGHUP, on_hangup);
	if (r == 0)
		r = watch_signal(d, &d->counters, SIGUSR1, on_counters);
	if (r != 0) {
		log_error(NULL, "cannot start reason=\"%s\"", err_str(r));
		return EX_OSERR;
	}
	server_init(&d->server, d->loop, d->config);
	d->server.waits_for = d->waits_for;
	timer_init(&d->retry, d->loop, on_retry, d);
	r = open_database(d);
	if (r == 0 || r == E_AGAIN) {
		d->status = server_listen(&d->server) == 0 ? EX_OK : EX_OSERR;
		if (d->status == EX_OK && r == 0)
			start_serving(d);
	}
	if (d->status == EX_OK) {
		/* also while it waits: routers are answered, and may wait themselves */
		daemon_notify("READY=1");
		loop_run(d->loop);
	}
	timer_disarm(&d->retry);
	server_fini(&d->server);
	evsignal_del(&d->term);
	evsignal_del(&d->interrupt);
	evsignal_del(&d->hangup);
	evsignal_del(&d->counters);
	return d->status;
}

static int serve(const char *path)
{
	struct daemon d = {.lock = -1};
	struct conf_error err;
	int status = EX_OSERR;

	if (config_load(path, &d.config, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	log_init(d.config->log.level, d.config->log.format);
	if (log_start() != 0) {
		log_error(NULL, "cannot start reason=\"no memory for a thread\"");
		goto out;
	}
	conf_log_warnings(&err);
	umask(0077); /* the database is nobody else's; sockets get their own mode */
	daemon_raise_fd_limit();
	if (sodium_init() == -1 || (d.loop = loop_new(NULL, NULL)) == NULL) {
		log_error(NULL, "cannot start reason=\"%s\"", err_str(E_NOMEM));
		goto out;
	}
	status = run(&d);
	if (status == EX_OK)
		log_info(NULL, "authd stopped");
out:
	store_close(&d.store);
	sock_close(&d.lock);
	loop_free(&d.loop);
	config_free(&d.config);
	log_end();
	return status;
}

static int check(const char *path)
{
	struct config *config;
	struct conf_error err;

	if (config_load(path, &config, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	if (err.warnings > 0)
		fprintf(stderr, "%s\n", err.text);
	printf("%s: ok\n", path);
	config_free(&config);
	return EX_OK;
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

	daemon_prepare();
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
			puts("authd " AUTHD_VERSION);
			return EX_OK;
		default:
			fputs(help, stderr);
			return EX_USAGE;
		}
	}
	if (optind != argc || (config == NULL) == (to_check == NULL)) {
		fputs(help, stderr);
		return EX_USAGE;
	}
	return config != NULL ? serve(config) : check(to_check);
}
