/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authctl: the table of commands; finds the command and runs it; see ctl.h. Main thread.
 */
#include "authd/ctl/ctl.h"

#include "common/log.h"

#include <getopt.h>
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 5000 };

static const struct ctl_command commands[] = {
	{"principal", "add", "AUTHID --realm REALM --role ROLE [--key KEY]...",
	 "Adds a principal. If an equal principal already exists, nothing changes. If "
	 "one\n"
	 "with this authid but other values exists, the command fails (exit code 65).\n\n"
	 "  --realm REALM   the realm that the principal joins\n"
	 "  --role ROLE     the principal's role in the realm\n"
	 "  --key KEY       a public key: 64 hex digits, an OpenSSH ssh-ed25519 key, a\n"
	 "                  file with either, or - for standard input; up to 16 times.\n"
	 "                  Do not give the 64 hex digits of a private key (seed): they\n"
	 "                  look like a public key\n"
	 "  --extra JSON    an object that the client gets as authextra; @FILE reads it\n"
	 "                  from a file\n"
	 "  --disabled      the principal may not log in yet\n\n"
	 "Example:\n"
	 "  authctl principal add client01@example.com --realm devices --role device \\\n"
	 "      --key 545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122\n",
	 .args = {"AUTHID"}, .options = "mrked", .run = principal_add,
	 .method = ADMIN_PRINCIPAL_ADD, .done = "added", .was_so = "already exists"},
	{"principal", "list", "[--realm REALM] [--role ROLE]",
	 "Lists principals, sorted by authid. Fields with -o plain: authid,\n"
	 "realm, role, state, public keys with commas between them, time of creation.\n\n"
	 "  --realm REALM   only principals of this realm\n"
	 "  --role ROLE     only principals with this role\n\n"
	 "Example:\n"
	 "  authctl principal list --realm devices -o json\n",
	 .options = "mr", .run = principal_list},
	{"principal", "show", "AUTHID",
	 "Shows one principal. With -o plain: one field per line, name and value.\n\n"
	 "Example:\n"
	 "  authctl principal show client01@example.com\n",
	 .args = {"AUTHID"}, .run = principal_show},
	{"principal", "disable", "AUTHID",
	 "Disables a principal: it may not log in, and its sessions end.\n\n"
	 "Example:\n"
	 "  authctl principal disable client01@example.com\n",
	 .args = {"AUTHID"}, .run = principal_change, .method = ADMIN_PRINCIPAL_DISABLE,
	 .done = "disabled", .was_so = "is already disabled"},
	{"principal", "enable", "AUTHID",
	 "Lets a disabled principal log in again.\n\n"
	 "Example:\n"
	 "  authctl principal enable client01@example.com\n",
	 .args = {"AUTHID"}, .run = principal_change, .method = ADMIN_PRINCIPAL_ENABLE,
	 .done = "enabled", .was_so = "is already enabled"},
	{"principal", "remove", "AUTHID",
	 "Removes a principal and its keys, and ends its sessions. Exit code 75 means "
	 "that\n"
	 "a router has not confirmed that the sessions have ended: repeat the "
	 "command.\n\n"
	 "Example:\n"
	 "  authctl principal remove client01@example.com\n",
	 .args = {"AUTHID"}, .run = principal_change, .method = ADMIN_PRINCIPAL_REMOVE,
	 .done = "removed", .was_so = "is already removed"},
	{"key", "add", "AUTHID KEY",
	 "Adds a key to a principal. KEY is as in 'authctl principal add'. Do not give\n"
	 "the 64 hex digits of a private key (seed): they look like a public key.\n\n"
	 "Example:\n"
	 "  authctl key add client01@example.com ~/.ssh/id_ed25519.pub\n",
	 .args = {"AUTHID", "KEY"}, .run = key_add, .method = ADMIN_KEY_ADD,
	 .done = "added a key to", .was_so = "already has this key"},
	{"key", "remove", "AUTHID KEY|FINGERPRINT",
	 "Removes a key from a principal, and ends the sessions that logged in with it.\n"
	 "KEY is as in 'authctl principal add'. FINGERPRINT is SHA256:... as 'authctl\n"
	 "principal show' prints it. Exit code 75 means that a router has not confirmed\n"
	 "that the sessions have ended: repeat the command.\n\n"
	 "Example:\n"
	 "  authctl key remove client01@example.com ~/.ssh/id_ed25519.pub\n",
	 .args = {"AUTHID", "KEY"}, .run = key_remove, .method = ADMIN_KEY_REMOVE,
	 .done = "removed a key from", .was_so = "has no such key"},
	{"key", "gen", "-f FILE [--format raw|openssh] [--force]",
	 "Generates a key pair, writes the private key to FILE, which only its owner "
	 "can\n"
	 "read, and prints the public key and its fingerprint. Does not contact "
	 "authd.\n\n"
	 "  -f, --file FILE  the file to create\n"
	 "  --format raw     32 bytes, the form that Autobahn reads (default)\n"
	 "  --format openssh the form that ssh-keygen writes, without a passphrase\n"
	 "  --force          replace an existing file\n\n"
	 "Example:\n"
	 "  authctl key gen -f client01.key\n",
	 .options = "ftx", .run = key_gen},
	{"key", "show", "FILE",
	 "Prints the public key and the fingerprint of a key file: raw, OpenSSH private\n"
	 "or public, or hex. - is standard input. Does not contact authd. 64 hex digits\n"
	 "are read as a public key, even if they are a private key (seed).\n\n"
	 "Example:\n"
	 "  authctl key show client01.key\n",
	 .args = {"FILE"}, .run = key_show},
};

static const char global_help[] =
	"Options of all commands:\n"
	"  --socket PATH     authd's admin socket (default: " CTL_SOCKET ")\n"
	"  -o, --output FMT  table (default on a terminal), plain (default elsewhere)\n"
	"                    or json\n"
	"  --timeout TIME    how long to wait for authd, such as 500ms (default: 5s)\n"
	"  -h, --help        print this help; after NOUN VERB, the command's help\n"
	"  --version         print the version\n"
	"\n"
	"Exit codes:\n"
	"  0   success, also when there was nothing to change\n"
	"  64  wrong usage\n"
	"  65  invalid data, such as a malformed key; or data that conflict with a\n"
	"      principal, such as a key that another principal has\n"
	"  66  a file cannot be read\n"
	"  67  no such principal or key\n"
	"  69  authd cannot be reached\n"
	"  70  internal error\n"
	"  73  a file cannot be created\n"
	"  74  input or output failed, or authd's database failed\n"
	"  75  try again: authd is busy or did not answer in time, or a router has not\n"
	"      confirmed that the sessions have ended\n"
	"  77  no permission, or authd closed the connection\n";

static void print_help(const struct ctl_command *c)
{
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

static const struct ctl_command *find_command(const char *noun, const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].noun, noun) == 0 &&
		    strcmp(commands[i].verb, verb) == 0)
			return &commands[i];
	return NULL;
}

/* Verbs of other programs, and the verbs that authctl has for them. */
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

/* Lists the verbs of a noun, with commas between them. Empty if there is no such noun. */
static void list_verbs(const char *noun, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].noun, noun) == 0 && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s",
					      n > 0 ? ", " : "", commands[i].verb);
}

/* Reports an unknown command, and suggests the one that was probably meant. */
static int wrong_command(const struct ctl *ctl, const char *noun, const char *verb)
{
	char verbs[200];

	if (noun == NULL)
		return ctl_usage(ctl, "a command is missing");
	if (strcmp(noun, "help") == 0 || strcmp(noun, "version") == 0)
		return ctl_usage(ctl, "use 'authctl --%s'", noun);
	list_verbs(noun, verbs, sizeof(verbs));
	if (verbs[0] != '\0' && verb == NULL)
		return ctl_usage(ctl, "'%s' needs a verb: %s", noun, verbs);
	if (verbs[0] != '\0' && find_command(noun, verb_meant(verb)) != NULL)
		return ctl_usage(ctl, "there is no '%s %s'; did you mean '%s %s'?", noun,
				 verb, noun, verb_meant(verb));
	if (verbs[0] != '\0')
		return ctl_usage(ctl, "there is no '%s %.40s'; the verbs of '%s' are: %s",
				 noun, verb, noun, verbs);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].verb, verb_meant(noun)) == 0)
			return ctl_usage(ctl, "the noun comes first: '%s %s'",
					 commands[i].noun, commands[i].verb);
	return ctl_usage(ctl, "'%.40s' is neither 'principal' nor 'key'", noun);
}

/* Parses options. True: an error, --help or --version ends the program. */
static bool options_end_it(struct ctl *ctl, int argc, char **argv, int *code_out)
{
	*code_out = ctl_parse(ctl, argc, argv);
	if (*code_out != EX_OK)
		return true;
	if (ctl->options[OPT_HELP] != NULL)
		print_help(ctl->command);
	else if (ctl->options[OPT_VERSION] != NULL)
		puts("authctl " AUTHD_VERSION);
	else
		return false;
	*code_out = ctl_flush(ctl);
	return true;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {
		.socket = CTL_SOCKET,
		.format = isatty(STDOUT_FILENO) ? CTL_TABLE : CTL_PLAIN,
		.timeout_ms = DEFAULT_TIMEOUT_MS,
		.name = "authctl",
	};
	int code;

	/* For the widths of characters in tables. */
	setlocale(LC_CTYPE, "");
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	opterr = 0;
	if (options_end_it(&ctl, argc, argv, &code))
		return code;
	if (sodium_init() == -1)
		return ctl_fail(&ctl, EX_SOFTWARE, "cannot initialise libsodium");
	/* argv ends with a NULL, so these accesses are safe. */
	const char *noun = argv[optind], *verb = noun == NULL ? NULL : argv[optind + 1];
	const struct ctl_command *c = verb == NULL ? NULL : find_command(noun, verb);
	if (c == NULL && verb != NULL &&
	    (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)) {
		print_help(NULL);
		return ctl_flush(&ctl);
	}
	if (c == NULL)
		return wrong_command(&ctl, noun, verb);
	ctl.command = c;
	snprintf(ctl.name, sizeof(ctl.name), "authctl %s %s", noun, verb);
	argc -= optind + 1;
	argv += optind + 1;
	optind = 0; /* makes getopt start again */
	if (options_end_it(&ctl, argc, argv, &code))
		return code;
	code = ctl_take_args(&ctl, argc, argv);
	return code == EX_OK ? c->run(&ctl) : code;
}
