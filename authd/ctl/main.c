/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: which command, with which global options; see ctl.h. */
#include "authd/ctl/ctl.h"

#include "authd/version.h"
#include "common/err.h"
#include "common/log.h"
#include "common/utf8.h"

#include <errno.h>
#include <locale.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	DEFAULT_TIMEOUT_MS = 5000,
	MAX_TIMEOUT_S = 3600,
	OWN_OPTIONS = 8,
	MAX_SOCKET = 107, /* bytes of a socket's path */
};

/* Values of the global options, out of the way of a command's own letters. */
enum {
	OPT_SOCKET = 256,
	OPT_TIMEOUT = 257,
	OPT_HELP = 'h',
	OPT_OUTPUT = 'o',
	OPT_VERSION = 258,
};

static const struct option globals[] = {
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
};

static const struct ctl_command commands[] = {
	{"principal", "add", "AUTHID --realm REALM --role ROLE [--key KEY]...",
	 "Adds a principal. Adding the same once more is no error.\n\n"
	 "  --realm REALM   the realm it joins\n"
	 "  --role ROLE     the role it has there\n"
	 "  --key KEY       a public key: 64 hex digits, an OpenSSH ssh-ed25519 key, a\n"
	 "                  file with either, or - for standard input; up to 16 times.\n"
	 "                  64 hex digits of a private key (seed) cannot be told from a\n"
	 "                  public key: do not give those\n"
	 "  --extra JSON    an object that the client gets as authextra; @FILE reads it\n"
	 "  --disabled      may not log in yet\n\n"
	 "Example:\n"
	 "  authctl principal add client01@example.com --realm devices --role device \\\n"
	 "      --key 545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122\n",
	 principal_add},
	{"principal", "list", "[--realm REALM] [--role ROLE]",
	 "Lists principals in the order of their authids. Fields with -o plain: authid,\n"
	 "realm, role, state, public keys with commas between them, time of creation.\n\n"
	 "  --realm REALM   only those of this realm\n"
	 "  --role ROLE     only those with this role\n\n"
	 "Example:\n"
	 "  authctl principal list --realm devices -o json\n",
	 principal_list},
	{"principal", "show", "AUTHID",
	 "Shows one principal. With -o plain: a field a line, name and value.\n\n"
	 "Example:\n"
	 "  authctl principal show client01@example.com\n",
	 principal_show},
	{"principal", "disable", "AUTHID",
	 "A disabled principal may not log in. Its sessions are ended.\n\n"
	 "Example:\n"
	 "  authctl principal disable client01@example.com\n",
	 principal_disable},
	{"principal", "enable", "AUTHID",
	 "Lets a disabled principal log in again.\n\n"
	 "Example:\n"
	 "  authctl principal enable client01@example.com\n",
	 principal_enable},
	{"principal", "remove", "AUTHID",
	 "Removes a principal and its keys. Its sessions are ended. If a router has not\n"
	 "confirmed that (exit code 75), give the command again.\n\n"
	 "Example:\n"
	 "  authctl principal remove client01@example.com\n",
	 principal_remove},
	{"key", "add", "AUTHID KEY",
	 "Gives a principal one more key. KEY is as for principal add. The 64 hex "
	 "digits\n"
	 "of a private key (seed) cannot be told from a public key.\n\n"
	 "Example:\n"
	 "  authctl key add client01@example.com ~/.ssh/id_ed25519.pub\n",
	 key_add},
	{"key", "remove", "AUTHID KEY|FINGERPRINT",
	 "Takes a key from a principal. Sessions that logged in with it are ended. If a\n"
	 "router has not confirmed that (exit code 75), give the command again.\n\n"
	 "Example:\n"
	 "  authctl key remove client01@example.com ~/.ssh/id_ed25519.pub\n",
	 key_remove},
	{"key", "gen", "-f FILE [--format raw|openssh] [--force]",
	 "Makes a key pair, writes the private key to FILE, which only its owner can\n"
	 "read, and prints the public key and its fingerprint. Does not ask authd.\n\n"
	 "  -f, --file FILE  where to\n"
	 "  --format raw     32 bytes, as Autobahn reads them (default)\n"
	 "  --format openssh as ssh-keygen writes it, without a passphrase\n"
	 "  --force          in place of a file that is there\n\n"
	 "Example:\n"
	 "  authctl key gen -f client01.key\n",
	 key_gen},
	{"key", "show", "FILE",
	 "Prints the public key and the fingerprint of a key file: raw, OpenSSH private\n"
	 "or public, or hex. - is standard input. Does not ask authd. 64 hex digits are\n"
	 "taken as a public key: a seed in hex cannot be told from a public key.\n\n"
	 "Example:\n"
	 "  authctl key show client01.key\n",
	 key_show},
};

static const char global_help[] =
	"Options of all commands:\n"
	"  --socket PATH     authd's admin socket (default: " CTL_SOCKET ")\n"
	"  -o, --output FMT  table (default on a terminal), plain (default elsewhere)\n"
	"                    or json\n"
	"  --timeout TIME    the longest wait for authd, such as 500ms (default: 5s)\n"
	"  -h, --help        help, also of each command\n"
	"  --version         the version\n"
	"\n"
	"Exit codes:\n"
	"  0   done, also if it was so already\n"
	"  64  wrong usage\n"
	"  65  bad data: a malformed key, or one that belongs to somebody else\n"
	"  66  a file cannot be read\n"
	"  67  no such principal or key\n"
	"  69  authd cannot be reached\n"
	"  70  internal error\n"
	"  73  a file cannot be made\n"
	"  74  input or output failed, also authd's database\n"
	"  75  try again: authd is busy, or a router has not confirmed that it has\n"
	"      ended the sessions\n"
	"  77  no permission\n";

static void print_help(const struct ctl *ctl)
{
	const struct ctl_command *c = ctl->command;

	if (c != NULL) {
		printf("Usage: authctl %s %s %s\n\n%s\n%s", c->noun, c->verb, c->usage,
		       c->help, global_help);
		return;
	}
	printf("Usage: authctl [OPTION]... NOUN VERB ...\n\n"
	       "Manages the principals that authd knows.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  authctl %s %s %s\n", commands[i].noun, commands[i].verb,
		       commands[i].usage);
	printf("\n%s", global_help);
}

/* --- errors ------------------------------------------------------------------------- */

static void print_error(const struct ctl *ctl, int code, const char *uri,
			const char *message)
{
	if (ctl->format == CTL_JSON) {
		json_t *e = json_pack("{s:{s:i,s:s?,s:s}}", "error", "code", code, "uri",
				      uri, "message", message);
		char *text = json_dumps(e, JSON_COMPACT);
		if (text != NULL) {
			fprintf(stderr, "%s\n", text);
			free(text);
			json_decref(e);
			return;
		}
		json_decref(e);
	}
	if (ctl->command != NULL)
		fprintf(stderr, "authctl %s %s: %s\n", ctl->command->noun,
			ctl->command->verb, message);
	else
		fprintf(stderr, "authctl: %s\n", message);
}

static int PRINTF_LIKE(4, 0) fail(const struct ctl *ctl, int code, const char *uri,
				  const char *fmt, va_list ap)
{
	char message[1024];

	vsnprintf(message, sizeof(message), fmt, ap);
	print_error(ctl, code, uri, message);
	return code;
}

int ctl_fail(const struct ctl *ctl, int code, const char *uri, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(ctl, code, uri, fmt, ap);
	va_end(ap);
	return code;
}

int ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(ctl, EX_USAGE, NULL, fmt, ap);
	va_end(ap);
	if (ctl->format == CTL_JSON)
		return EX_USAGE;
	if (ctl->command != NULL)
		fprintf(stderr, "Try: authctl %s %s --help\n", ctl->command->noun,
			ctl->command->verb);
	else
		fprintf(stderr, "Try: authctl --help\n");
	return EX_USAGE;
}

int ctl_want_args(const struct ctl *ctl, int argc, char **argv, int n,
		  const char *const *names)
{
	int given = argc - optind;

	if (given == n)
		return EX_OK;
	if (given > n)
		/* not which: it may be a part of a private key */
		return ctl_usage(ctl, "%d argument%s too many%s", given - n,
				 given - n == 1 ? "" : "s",
				 n > 0 && strncmp(argv[optind + n - 1], "ssh-", 4) == 0
					 ? "; put the key between quotes"
					 : "");
	if (given == n - 1)
		return ctl_usage(ctl, "%s is missing", names[n - 1]);
	return ctl_usage(ctl, "%s and %s are missing", names[0], names[1]);
}

int ctl_bad_value(const struct ctl *ctl, const char *what, struct slice value,
		  const char *fault)
{
	if (fault == NULL)
		return EX_OK;
	return ctl_fail(ctl, EX_DATAERR, NULL, "%s \"%s\": %s", what,
			log_quote_text(value).text, fault);
}

int ctl_check_sought(const struct ctl *ctl, const char *what, struct slice name)
{
	const char *fault = name.len == 0              ? "must not be empty"
			    : name.len > AUTH_MAX_NAME ? "must have at most 255 bytes"
			    : !utf8_valid(name)        ? "must be UTF-8"
						       : NULL;

	return ctl_bad_value(ctl, what, name, fault);
}

int ctl_nomem(const struct ctl *ctl)
{
	return ctl_fail(ctl, EX_SOFTWARE, NULL, "%s", err_str(E_NOMEM));
}

/* --- options ------------------------------------------------------------------------ */

/* "5s", "500ms" or a number of seconds; 0: wrong. */
static uint64_t parse_time(const char *text)
{
	char *unit;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	unsigned long n = strtoul(text, &unit, 10);
	if (errno != 0 || n > MAX_TIMEOUT_S * 1000UL)
		return 0;
	if (strcmp(unit, "ms") == 0)
		return n;
	if (strcmp(unit, "") != 0 && strcmp(unit, "s") != 0)
		return 0;
	return n > MAX_TIMEOUT_S ? 0 : n * 1000;
}

/* 0, or '?' if the value is wrong. Ends the program after --help and --version. */
static int global_option(struct ctl *ctl, int option)
{
	static const char *const formats[] = {"table", "plain", "json"};

	switch (option) {
	case OPT_SOCKET:
		ctl->socket = optarg;
		if (optarg[0] != '\0' && strlen(optarg) <= MAX_SOCKET)
			return 0;
		ctl_usage(ctl, "--socket must be a path of at most %d bytes", MAX_SOCKET);
		return '?';
	case OPT_TIMEOUT:
		ctl->timeout_ms = parse_time(optarg);
		if (ctl->timeout_ms != 0)
			return 0;
		ctl_usage(ctl, "--timeout must be a time of at most an hour, such as 5s "
			       "or 500ms");
		return '?';
	case OPT_OUTPUT:
		for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
			if (strcmp(optarg, formats[i]) != 0)
				continue;
			ctl->format = (enum ctl_format)i;
			return 0;
		}
		ctl_usage(ctl, "--output must be table, plain or json");
		return '?';
	case OPT_VERSION:
		puts("authctl " AUTHD_VERSION);
		exit(ctl_flush(ctl));
	case OPT_HELP:
		print_help(ctl);
		exit(ctl_flush(ctl));
	default:
		return option;
	}
}

int ctl_option(struct ctl *ctl, int argc, char **argv, const struct option *own)
{
	struct option all[ARRAY_LEN(globals) + OWN_OPTIONS + 1] = {{NULL, 0, NULL, 0}};
	/* one letter options: "+" and ":" as getopt(3) has them, then the letters */
	char letters[2 * (OWN_OPTIONS + 2) + 4] = "+:ho:";
	size_t n = ARRAY_LEN(globals), at = strlen(letters);
	int o;

	memcpy(all, globals, sizeof(globals));
	for (; own != NULL && own->name != NULL; own++) {
		ASSERT(n < ARRAY_LEN(all) - 1);
		all[n++] = *own;
		if (own->val != 'f') /* the one command option with a letter */
			continue;
		letters[at++] = 'f';
		letters[at++] = ':';
	}
	/* within a command, options may follow arguments */
	const char *how = ctl->command != NULL ? letters + 1 : letters;
	do {
		o = getopt_long(argc, argv, how, all, NULL);
		const char *arg = argv[optind - 1];
		/* no more than a name: a private key begins with '-', too */
		int len = (int)min_size(strcspn(arg, "= \n"), 40);
		if (o == '?')
			ctl_usage(ctl, "unknown option %.*s", len, arg);
		else if (o == ':')
			ctl_usage(ctl, "%.*s needs a value", len, arg);
		if (o == '?' || o == ':')
			return '?';
		if (o != -1)
			o = global_option(ctl, o);
	} while (o == 0);
	return o;
}

/* --- commands ----------------------------------------------------------------------- */

static const struct ctl_command *find(const char *noun, const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].noun, noun) == 0 &&
		    strcmp(commands[i].verb, verb) == 0)
			return &commands[i];
	return NULL;
}

/* Other words for our verbs. */
static const char *const aliases[][2] = {
	{"rm", "remove"},    {"del", "remove"},   {"delete", "remove"},
	{"ls", "list"},      {"create", "add"},   {"new", "add"},
	{"get", "show"},     {"lock", "disable"}, {"unlock", "enable"},
	{"generate", "gen"},
};

static const char *verb_meant(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i][0], word) == 0)
			return aliases[i][1];
	return word;
}

/* The verbs of a noun with commas between them; empty: there is no such noun. */
static void list_verbs(const char *noun, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].noun, noun) == 0 && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s",
					      n > 0 ? ", " : "", commands[i].verb);
}

/* There is no such command: which one may be meant? */
static int wrong_command(const struct ctl *ctl, const char *noun, const char *verb)
{
	char verbs[200];

	if (noun == NULL)
		return ctl_usage(ctl, "a command is missing");
	if (strcmp(noun, "help") == 0 || strcmp(noun, "version") == 0)
		return ctl_usage(ctl, "it is 'authctl --%s'", noun);
	list_verbs(noun, verbs, sizeof(verbs));
	if (verbs[0] != '\0' && verb == NULL)
		return ctl_usage(ctl, "'%s' needs a verb: %s", noun, verbs);
	if (verbs[0] != '\0' && find(noun, verb_meant(verb)) != NULL)
		return ctl_usage(ctl, "there is no '%s %s'; did you mean '%s %s'?", noun,
				 verb, noun, verb_meant(verb));
	if (verbs[0] != '\0')
		return ctl_usage(ctl, "there is no '%s %.40s'; the verbs of '%s' are: %s",
				 noun, verb, noun, verbs);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].verb, verb_meant(noun)) == 0)
			return ctl_usage(ctl, "the noun comes first, as in '%s %s'",
					 commands[i].noun, commands[i].verb);
	return ctl_usage(ctl, "'%.40s' is neither 'principal' nor 'key'", noun);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {
		.socket = CTL_SOCKET,
		.format = isatty(STDOUT_FILENO) ? CTL_TABLE : CTL_PLAIN,
		.timeout_ms = DEFAULT_TIMEOUT_MS,
	};

	setlocale(LC_CTYPE, "");
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	opterr = 0;
	if (ctl_option(&ctl, argc, argv, NULL) != -1)
		return EX_USAGE;
	if (sodium_init() == -1)
		return ctl_fail(&ctl, EX_SOFTWARE, NULL, "cannot draw random numbers");
	/* argv ends with a NULL */
	const char *noun = argv[optind], *verb = noun == NULL ? NULL : argv[optind + 1];
	const struct ctl_command *c = verb == NULL ? NULL : find(noun, verb);
	if (c == NULL)
		return wrong_command(&ctl, noun, verb);
	ctl.command = c;
	argc -= optind + 1;
	argv += optind + 1;
	optind = 0; /* getopt starts anew */
	return c->run(&ctl, argc, argv);
}
