/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: parses options and arguments, and reports errors; see ctl.h. Main thread. */
#include "authd/ctl/ctl.h"

#include "common/conf.h"
#include "common/err.h"
#include "common/log.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MAX_TIMEOUT = 3600 * 1000, /* ms */
	SHOWN = 40,                /* characters shown of an unknown option */
};

static const char of_all_commands[] = {
	OPT_HELP, OPT_VERSION, OPT_SOCKET, OPT_OUTPUT, OPT_TIMEOUT, '\0',
};

/*
 * For getopt: '+' stops at the first argument, ':' reports a missing value as ':'. Only
 * h, o and f have a short form.
 */
static const char letters[] = "+:ho:f:";
static const struct option options[] = {
#define X(id, character, value, name) {name, value, NULL, character},
	CTL_OPTIONS(X)
#undef X
		{NULL, 0, NULL, 0},
};

/* --- errors --- */

int ctl_fail_uri(const struct ctl *ctl, int code, const char *uri, const char *fmt, ...)
{
	char message[1024], *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (ctl->format == CTL_JSON) {
		json_t *error = json_pack("{s:{s:i,s:s?,s:s}}", "error", "code", code,
					  "uri", uri, "message", message);
		text = json_dumps(error, JSON_COMPACT);
		json_decref(error);
	}
	if (text != NULL)
		fprintf(stderr, "%s\n", text);
	else
		fprintf(stderr, "%s: %s\n", ctl->name, message);
	free(text);
	if (code == EX_USAGE && ctl->format != CTL_JSON)
		fprintf(stderr, "Try: %s --help\n", ctl->name);
	return code;
}

int ctl_nomem(const struct ctl *ctl)
{
	return ctl_fail(ctl, EX_SOFTWARE, "%s", err_str(E_NOMEM));
}

int ctl_bad_value(const struct ctl *ctl, const char *what, struct slice value,
		  const char *fault)
{
	if (fault == NULL)
		return EX_OK;
	return ctl_fail(ctl, EX_DATAERR, "%s \"%s\": %s", what,
			log_quote_text(value).text, fault);
}

/* --- options --- */

static int take_format(struct ctl *ctl)
{
	static const char *const formats[] = {"table", "plain", "json"};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(optarg, formats[i]) != 0)
			continue;
		ctl->format = (enum ctl_format)i;
		return EX_OK;
	}
	return ctl_usage(ctl, "--output must be table, plain or json");
}

static int take_option(struct ctl *ctl, int option)
{
	static const struct conf_unit time_units[] = {
		{"", 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
	int64_t ms;

	ctl->options[option] = optarg != NULL ? optarg : "";
	switch (option) {
	case OPT_SOCKET:
		ctl->socket = optarg;
		if (optarg[0] == '\0' || strlen(optarg) > CONF_MAX_SOCKET)
			return ctl_usage(ctl,
					 "--socket must be a path of at most %d bytes",
					 CONF_MAX_SOCKET);
		break;
	case OPT_TIMEOUT:
		if (!conf_number(optarg, time_units, &ms) || ms < 1 || ms > MAX_TIMEOUT)
			return ctl_usage(ctl,
					 "--timeout must be a time of at most 3600s, "
					 "such as 5s or 500ms");
		ctl->timeout_ms = (uint64_t)ms;
		break;
	case OPT_OUTPUT:
		return take_format(ctl);
	case OPT_KEY:
		if (ctl->n_keys == FIELD_MAX_KEYS)
			return ctl_usage(ctl, "--key may be given at most %d times",
					 FIELD_MAX_KEYS);
		ctl->keys[ctl->n_keys++] = optarg;
		break;
	}
	return EX_OK;
}

static const char *long_name(int option)
{
	const struct option *o = options;

	while (o->val != option)
		o++;
	return o->name;
}

int ctl_parse(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_command *c = ctl->command;
	const char *own = c != NULL && c->options != NULL ? c->options : "";
	/* After a command, options may also follow arguments. */
	const char *how = c != NULL ? letters + 1 : letters;
	int o, code = EX_OK;

	while (code == EX_OK && (o = getopt_long(argc, argv, how, options, NULL)) != -1) {
		const char *arg = argv[optind - 1];
		/* Show only the name of the option: a pasted private key begins with '-',
		 * too. */
		int len = (int)min_size(strcspn(arg, "= \n"), SHOWN);
		int option = o == ':' ? optopt : o;

		if (o == '?')
			return ctl_usage(ctl, "unknown option %.*s", len, arg);
		if (strchr(of_all_commands, option) == NULL &&
		    strchr(own, option) == NULL)
			return ctl_usage(ctl, "unknown option --%s", long_name(option));
		if (o == ':')
			return ctl_usage(ctl, "%.*s needs a value", len, arg);
		code = take_option(ctl, option);
		if (option == OPT_HELP || option == OPT_VERSION)
			break;
	}
	return code;
}

int ctl_take_args(struct ctl *ctl, int argc, char **argv)
{
	const char *const *names = ctl->command->args;
	int given = argc - optind, n = 0;

	while (n < CTL_ARGS && names[n] != NULL)
		n++;
	if (given > n)
		/* Do not show the argument: it may be a part of a private key. */
		return ctl_usage(ctl, "expected %s%s%s, but got %d argument%s%s",
				 n > 0 ? names[0] : "no arguments", n > 1 ? " and " : "",
				 n > 1 ? names[1] : "", given, given == 1 ? "" : "s",
				 n > 0 && strncmp(argv[optind + n - 1], "ssh-", 4) == 0
					 ? ": write a key that contains spaces in quotes"
					 : "");
	if (given < n - 1)
		return ctl_usage(ctl, "%s and %s are missing", names[0], names[1]);
	if (given < n)
		return ctl_usage(ctl, "%s is missing", names[n - 1]);
	for (int i = 0; i < n; i++)
		ctl->args[i] = argv[optind + i];
	if (n == 0 || strcmp(names[0], "AUTHID") != 0)
		return EX_OK;
	struct slice authid = slice_str(ctl->args[0]);
	return ctl_bad_value(ctl, "authid", authid, admin_search_fault(authid));
}
