/* SPDX-License-Identifier: Apache-2.0 */
/* routerd's command line. */
#include "common/daemon.h"
#include "common/log.h"
#include "routerd/config/config.h"
#include "routerd/router.h"
#include "routerd/version.h"

#include <getopt.h>
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <sysexits.h>

enum { MALLOC_KEEP = 4 << 20 }; /* bytes of free memory that are not given back */

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
	"Signals: SIGTERM and SIGINT stop it, SIGUSR1 logs its counters. SIGHUP is\n"
	"ignored: restart it to apply a changed configuration.\n"
	"\n"
	"Exit codes: 0 stopped as asked, or the configuration is good; 64 wrong usage;\n"
	"71 no memory or descriptors, or it cannot listen; 78 wrong configuration.\n"
	"\n"
	"Example: routerd -c /etc/routerd/routerd.yaml\n";

static int serve(struct config *cfg, const struct conf_error *warnings)
{
	log_init(cfg->log.level, cfg->log.format);
	if (log_start() != 0) {
		log_error(NULL, "cannot start reason=\"no memory for a thread\"");
		return EX_OSERR;
	}
	conf_log_warnings(warnings);
	/* what a fan-out frees at the end of a turn is needed in the next one */
	mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP);
	int code = router_run(cfg);
	log_end();
	return code;
}

/* Runs with this configuration, or only says what it is like. */
static int run(const char *path, bool only_check)
{
	struct config *cfg;
	struct conf_error err;
	int code = EX_OK;

	if (config_load(path, &cfg, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	if (only_check) {
		if (err.warnings > 0)
			fprintf(stderr, "%s\n", err.text);
		printf("%s: ok (%zu realms, %zu listeners, %zu authenticators)\n", path,
		       cfg->n_realms, cfg->n_listeners, cfg->n_authenticators);
	} else {
		code = serve(cfg, &err);
	}
	config_unref(&cfg);
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
	return run(to_check != NULL ? to_check : config, to_check != NULL);
}
