/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routerd's command line: loads the configuration, then checks it or runs the router.
 * Main thread.
 */
#include "common/daemon.h"
#include "routerd/config/config.h"
#include "routerd/router.h"

#include <malloc.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

enum { MALLOC_KEEP = 4 << 20 }; /* bytes of free memory that malloc keeps */

static const char help[] =
	"Usage: routerd -c FILE\n"
	"       routerd --check FILE\n"
	"\n"
	"Routes WAMP messages between clients. An authenticator, such as authd, decides\n"
	"which clients may log in.\n"
	"\n"
	"  -c, --config FILE  run with this configuration\n"
	"      --check FILE   check this configuration, report what is wrong, and exit\n"
	"  -h, --help         print this help\n"
	"      --version      print the version\n"
	"\n"
	"Signals: SIGTERM and SIGINT stop routerd, SIGUSR1 logs its counters. SIGHUP\n"
	"reloads roles, permissions and the options of realms except history; other\n"
	"changes need a restart.\n"
	"\n"
	"Exit codes: 0 stopped by a signal, or the configuration is valid; 64 wrong\n"
	"usage; 71 out of memory or descriptors, or routerd cannot listen; 78 the\n"
	"configuration is invalid.\n"
	"\n"
	"Example: routerd -c /etc/routerd/routerd.yaml\n";

static int run_routerd(const char *path, const struct config *cfg,
		       const struct conf_error *warnings)
{
	if (daemon_start_log(&cfg->log, warnings) != 0)
		return EX_OSERR;
	/* Keep memory that is freed at the end of a turn of the event loop: an event
	 * for many subscribers needs as much again in the next turn. */
	mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP);
	int code = router_run(path, cfg);
	log_end();
	return code;
}

static int load_and_run(const char *path, bool only_check)
{
	struct config *cfg;
	struct conf_error errors;
	char summary[160];
	int code;

	if (config_load(path, &cfg, &errors) != 0)
		return daemon_refuse_config(&errors);
	if (only_check) {
		snprintf(summary, sizeof(summary),
			 " (realms: %zu, transports: %zu, authenticators: %zu%s)",
			 cfg->n_realms, cfg->n_listeners, cfg->n_authenticators,
			 geteuid() == 0 ? "; checked as root, who can read all files"
					: "");
		code = daemon_approve_config(path, &errors, summary);
	} else if (config_derive(cfg) != 0) {
		code = daemon_refuse_config(&errors);
	} else {
		code = run_routerd(path, cfg, &errors);
	}
	config_free(&cfg);
	return code;
}

int main(int argc, char **argv)
{
	return daemon_main(argc, argv, "routerd", ROUTERD_VERSION, help, load_and_run);
}
