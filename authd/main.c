/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authd stores principals and tells routers who may log in. This file loads the settings,
 * opens the database and the sockets, runs the loop, and frees everything. The main
 * thread does all the work; a second thread writes the log.
 */
#include "authd/server.h"
#include "common/daemon.h"
#include "common/err.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { RETRY_MS = 500 }; /* between attempts to open the database */

static const char help[] =
	"Usage: authd -c FILE\n"
	"       authd --check FILE\n"
	"\n"
	"Decides which clients may log in at the routers that ask it. authd keeps its\n"
	"principals in a database; authctl manages them. Only one authd at a time uses\n"
	"a database: a second one waits until the first has ended.\n"
	"\n"
	"  -c, --config FILE  run with this configuration\n"
	"      --check FILE   check this configuration, report what is wrong, and exit\n"
	"  -h, --help         print this help\n"
	"      --version      print the version\n"
	"\n"
	"Signals: SIGTERM and SIGINT stop authd, SIGUSR1 logs its counters. SIGHUP is\n"
	"ignored: restart authd to apply a changed configuration.\n"
	"\n"
	"Exit codes: 0 stopped by a signal, or the configuration is valid; 64 wrong\n"
	"usage; 71 out of memory or descriptors, or authd cannot listen; 74 the\n"
	"database cannot be used; 78 the configuration is invalid.\n"
	"\n"
	"Example: authd -c /etc/authd/authd.yaml\n";

struct daemon {
	struct settings settings;
	struct loop *loop;
	struct server server;
	struct daemon_signals signals;
	struct timer retry; /* tries again to open the database */
	int status;         /* exit code */
	/* Why authd waits, or has waited, for the database; else empty. */
	char waits_for[100];
};

static void stop_authd(void *arg)
{
	const struct daemon *d = arg;

	loop_stop(d->loop);
}

static void log_counters_of_server(void *arg)
{
	const struct daemon *d = arg;

	daemon_log_counters();
	server_log_counters(&d->server);
}

/* --- the database --- */

/*
 * Another process uses the database. Schedules another attempt; until then routers and
 * authctl get the reason as an error.
 */
static void wait_for_database(struct daemon *d, pid_t holder)
{
	char status[sizeof(d->waits_for) + 32];

	timer_arm(&d->retry, RETRY_MS);
	if (d->waits_for[0] != '\0')
		return;
	/* The other program may be sqlite3, for example. */
	if (holder == 0)
		snprintf(d->waits_for, sizeof(d->waits_for),
			 "another program, perhaps another authd, has locked the "
			 "database");
	else
		snprintf(d->waits_for, sizeof(d->waits_for),
			 "another authd with pid %d uses the database", (int)holder);
	log_warn(NULL, "waiting for the database path=%s reason=\"%s\"",
		 log_quote(slice_str(d->settings.database)).text, d->waits_for);
	snprintf(status, sizeof(status), "STATUS=waiting: %s", d->waits_for);
	daemon_notify(status);
}

/* Opens the database. E_AGAIN: another process uses it; another attempt is scheduled. */
static int open_database(struct daemon *d)
{
	pid_t holder;
	int err = store_open(d->settings.database, &d->server.store, &holder);

	if (err == E_AGAIN) {
		wait_for_database(d, holder);
	} else if (err != 0) {
		log_error(NULL, "cannot use the database path=%s",
			  log_quote(slice_str(d->settings.database)).text);
		d->status = EX_IOERR;
	}
	return err;
}

static void start_serving(struct daemon *d)
{
	log_info(NULL, "authd ready version=%s path=%s epoch=%llu", AUTHD_VERSION,
		 store_id(d->server.store),
		 (unsigned long long)store_epoch(d->server.store));
	if (d->waits_for[0] != '\0')
		daemon_notify("STATUS=ready");
}

static void on_retry(void *arg)
{
	struct daemon *d = arg;
	int err = open_database(d);

	if (err == 0)
		start_serving(d);
	else if (err != E_AGAIN)
		loop_stop(d->loop);
}

/* --- running --- */

static void run_server(struct daemon *d)
{
	int err;

	server_init(&d->server, d->loop, &d->settings, &for_routers, &for_admins);
	d->server.waits_for = d->waits_for;
	timer_init(&d->retry, d->loop, on_retry, d);
	err = open_database(d);
	if (err == 0 || err == E_AGAIN) {
		d->status = server_listen(&d->server) == 0 ? EX_OK : EX_OSERR;
		if (d->status == EX_OK && err == 0)
			start_serving(d);
	}
	if (d->status == EX_OK) {
		/* Report readiness even while the database is locked: routers get an
		 * answer and wait themselves. */
		daemon_notify("READY=1");
		loop_run(d->loop);
	}
	timer_disarm(&d->retry);
	server_fini(&d->server);
	store_close(&d->server.store);
}

static int run_authd(struct daemon *d, const struct conf_error *warnings)
{
	if (daemon_start_log(&d->settings.log, warnings) != 0)
		return EX_OSERR;
	/* Only this user may read the database. The modes of the sockets are set
	 * explicitly. */
	umask(0077);
	daemon_raise_fd_limit();
	d->loop = loop_new(NULL, NULL);
	if (d->loop == NULL || daemon_signals_init(&d->signals, d->loop) != 0) {
		log_error(NULL, "cannot start reason=\"%s\"", err_str(E_NOMEM));
		d->status = EX_OSERR;
	} else {
		run_server(d);
	}
	daemon_signals_fini(&d->signals);
	loop_free(&d->loop);
	if (d->status == EX_OK)
		log_info(NULL, "authd stopped");
	log_end();
	return d->status;
}

static int run_or_check(const char *path, bool only_check)
{
	struct daemon d = {
		.signals = {.name = "authd",
			    .stop = stop_authd,
			    .log_counters = log_counters_of_server,
			    .arg = &d},
	};
	struct conf_error errors;
	int code;

	if (settings_load(path, &d.settings, &errors) != 0)
		code = daemon_refuse_config(&errors);
	else if (only_check)
		code = daemon_approve_config(path, &errors, "");
	else
		code = run_authd(&d, &errors);
	pool_fini(&d.settings.pool);
	return code;
}

int main(int argc, char **argv)
{
	return daemon_main(argc, argv, "authd", AUTHD_VERSION, help, run_or_check);
}
