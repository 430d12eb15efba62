/* SPDX-License-Identifier: Apache-2.0 */
/* Measures any WAMP router and checks every message: once, in order, with the right
 * content. A wrong answer is a failure. One thread; see --help. */
#include "tests/bench/conn.h"
#include "tests/bench/modes.h"
#include "tests/bench/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char help[] =
	"Usage: wampbench MODE [OPTION]...\n"
	"\n"
	"Modes:\n"
	"  rpc     senders call procedures of receivers, which return the arguments\n"
	"  pubsub  senders publish to one topic, all receivers are subscribed to it\n"
	"  login   connects and logs in, closes, and connects again\n"
	"  idle    opens --count sessions with one subscription each; memory and CPU\n"
	"  storm   cuts --count sessions; they reconnect with autobahn-js's delays\n"
	"\n"
	"Where:\n"
	"  --tcp ADDRESS:PORT | --unix PATH    (an IPv4 address)\n"
	"  --framing websocket|rawsocket       default websocket\n"
	"  --tls                               trust any certificate\n"
	"  --path PATH                         of the upgrade request, default /ws\n"
	"  --realm REALM                       default devices\n"
	"  --serializer json|msgpack|cbor      default cbor\n"
	"  --receiver-serializers A,B,...      receivers take turns\n"
	"  --key FILE                          cryptosign key: OpenSSH, raw, or hex\n"
	"  --authid ID                         requested, and expected in WELCOME\n"
	"  --uri PREFIX                        of topics and procedures\n"
	"\n"
	"How much:\n"
	"  --senders N        callers or publishers, default 1\n"
	"  --receivers N      callees or subscribers, default 1\n"
	"  --window N         messages per sender, or logins, in flight; default 1\n"
	"  --burst            send the next window only when the last one is done\n"
	"  --size BYTES       length of the payload's text, at least 16 (default)\n"
	"  --rate N           messages per second of all senders; latencies then begin\n"
	"                     when a message was due, and wampbench does not sleep\n"
	"  --warmup S --seconds S              default 1 and 5\n"
	"  --count N          messages or logins (instead of --seconds), or sessions\n"
	"  --topics N         idle: number of topics; default: one for each session\n"
	"  --preload N        unused subscriptions (rpc: registrations)\n"
	"  --wildcards        these are wildcards\n"
	"  --first-delay S    storm: seconds before the first attempt, default 1.5\n"
	"  --deadline S       fail after this time without progress, default 10\n"
	"\n"
	"Report:\n"
	"  --router-pid PID   report CPU time and memory of PID; may be repeated\n"
	"  --json             print a JSON object instead of a line\n"
	"\n"
	"Exit codes: 0 success; 1 a message was lost, doubled, reordered or wrong;\n"
	"2 wrong usage.\n"
	"\n"
	"Example: wampbench rpc --tcp 127.0.0.1:8080 --senders 4 --window 8 --receivers "
	"2\n";

struct options opt = {
	.path = "/ws",
	.realm = "devices",
	.host = "localhost",
	.format = FORMAT_CBOR,
	.senders = 1,
	.receivers = 1,
	.window = 1,
	.size = MIN_PAYLOAD,
	.warmup = 1,
	.seconds = 5,
	.first_delay = 1.5,
	.deadline = 10,
	.uri = "com.example.bench",
};

struct result result;

void add_figure(const char *name, double value)
{
	if (result.figures < MAX_FIGURES)
		result.figure[result.figures++] = (struct figure){name, value};
}

/* --- options --- */

__attribute__((noreturn)) static void usage(const char *what)
{
	fprintf(stderr, "wampbench: %s; see wampbench --help\n", what);
	exit(2);
}

static double number(const char *text, double min)
{
	char *end;
	double n = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || !(n >= min))
		usage(text);
	return n;
}

static unsigned whole(const char *text, unsigned min, unsigned max)
{
	double n = number(text, min);

	if (n > max || n != (double)(unsigned)n)
		usage(text);
	return (unsigned)n;
}

static void set_tcp(const char *text)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&opt.address;
	const char *colon = strrchr(text, ':');
	char host[64];

	opt.host = text;
	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		usage(text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)whole(colon + 1, 1, 65535));
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		usage(text);
	opt.address_len = sizeof(*in);
}

static void set_unix(const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&opt.address;

	if (strlen(path) >= sizeof(un->sun_path))
		usage(path);
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	opt.address_len = sizeof(*un);
}

static enum format a_format(const char *name, size_t len)
{
	enum format format = format_by_name(name, len);

	if (format == FORMAT_COUNT)
		usage(name);
	return format;
}

static void set_receiver_formats(const char *list)
{
	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (opt.receiver_formats == MAX_FORMATS)
			usage(list);
		opt.receiver_format[opt.receiver_formats++] =
			a_format(at, strcspn(at, ","));
	}
}

enum {
	OPT_TCP = 1,
	OPT_UNIX,
	OPT_FRAMING,
	OPT_TLS,
	OPT_PATH,
	OPT_REALM,
	OPT_SERIALIZER,
	OPT_RECEIVER_SERIALIZERS,
	OPT_KEY,
	OPT_AUTHID,
	OPT_URI,
	OPT_SENDERS,
	OPT_RECEIVERS,
	OPT_WINDOW,
	OPT_BURST,
	OPT_SIZE,
	OPT_RATE,
	OPT_WARMUP,
	OPT_SECONDS,
	OPT_COUNT,
	OPT_TOPICS,
	OPT_PRELOAD,
	OPT_WILDCARDS,
	OPT_FIRST_DELAY,
	OPT_DEADLINE,
	OPT_PID,
	OPT_JSON,
	OPT_HELP,
};

static const struct option longs[] = {
	{"tcp", 1, NULL, OPT_TCP},
	{"unix", 1, NULL, OPT_UNIX},
	{"framing", 1, NULL, OPT_FRAMING},
	{"tls", 0, NULL, OPT_TLS},
	{"path", 1, NULL, OPT_PATH},
	{"realm", 1, NULL, OPT_REALM},
	{"serializer", 1, NULL, OPT_SERIALIZER},
	{"receiver-serializers", 1, NULL, OPT_RECEIVER_SERIALIZERS},
	{"key", 1, NULL, OPT_KEY},
	{"authid", 1, NULL, OPT_AUTHID},
	{"uri", 1, NULL, OPT_URI},
	{"senders", 1, NULL, OPT_SENDERS},
	{"receivers", 1, NULL, OPT_RECEIVERS},
	{"window", 1, NULL, OPT_WINDOW},
	{"burst", 0, NULL, OPT_BURST},
	{"size", 1, NULL, OPT_SIZE},
	{"rate", 1, NULL, OPT_RATE},
	{"warmup", 1, NULL, OPT_WARMUP},
	{"seconds", 1, NULL, OPT_SECONDS},
	{"count", 1, NULL, OPT_COUNT},
	{"topics", 1, NULL, OPT_TOPICS},
	{"preload", 1, NULL, OPT_PRELOAD},
	{"wildcards", 0, NULL, OPT_WILDCARDS},
	{"first-delay", 1, NULL, OPT_FIRST_DELAY},
	{"deadline", 1, NULL, OPT_DEADLINE},
	{"router-pid", 1, NULL, OPT_PID},
	{"json", 0, NULL, OPT_JSON},
	{"help", 0, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* Parses an option about where and how to connect. False if it is another option. */
static bool parse_where(int letter)
{
	if (letter == OPT_TCP)
		set_tcp(optarg);
	else if (letter == OPT_UNIX)
		set_unix(optarg);
	else if (letter == OPT_FRAMING)
		opt.rawsocket = strcmp(optarg, "rawsocket") == 0;
	else if (letter == OPT_TLS)
		opt.tls = true;
	else if (letter == OPT_PATH)
		opt.path = optarg;
	else if (letter == OPT_REALM)
		opt.realm = optarg;
	else if (letter == OPT_SERIALIZER)
		opt.format = a_format(optarg, strlen(optarg));
	else if (letter == OPT_RECEIVER_SERIALIZERS)
		set_receiver_formats(optarg);
	else if (letter == OPT_KEY)
		read_key_file(optarg);
	else if (letter == OPT_AUTHID)
		opt.authid = optarg;
	else if (letter == OPT_URI)
		opt.uri = optarg;
	else
		return false;
	return true;
}

static void parse_load(int letter)
{
	if (letter == OPT_SENDERS)
		opt.senders = whole(optarg, 1, MAX_SENDERS);
	else if (letter == OPT_RECEIVERS)
		opt.receivers = whole(optarg, 1, 1000000);
	else if (letter == OPT_WINDOW)
		opt.window = whole(optarg, 1, 100000);
	else if (letter == OPT_BURST)
		opt.burst = true;
	else if (letter == OPT_SIZE)
		opt.size = whole(optarg, MIN_PAYLOAD, 16000000);
	else if (letter == OPT_RATE)
		opt.rate = number(optarg, 1);
	else if (letter == OPT_WARMUP)
		opt.warmup = number(optarg, 0);
	else if (letter == OPT_SECONDS)
		opt.seconds = number(optarg, 0);
	else if (letter == OPT_COUNT)
		opt.count = whole(optarg, 1, 4000000000);
	else if (letter == OPT_TOPICS)
		opt.topics = whole(optarg, 0, 1000000);
	else if (letter == OPT_PRELOAD)
		opt.preload = whole(optarg, 0, 10000000);
	else if (letter == OPT_WILDCARDS)
		opt.wildcards = true;
	else if (letter == OPT_FIRST_DELAY)
		opt.first_delay = number(optarg, 0);
	else if (letter == OPT_DEADLINE)
		opt.deadline = number(optarg, 0.1);
	else if (letter == OPT_JSON)
		opt.json = true;
	else if (letter == OPT_PID && opt.pids < MAX_PIDS)
		opt.pid[opt.pids++] = (pid_t)whole(optarg, 1, INT32_MAX);
	else
		usage("unknown option");
}

static void parse(int argc, char **argv)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (letter == OPT_HELP) {
			fputs(help, stdout);
			exit(0);
		}
		if (!parse_where(letter))
			parse_load(letter);
	}
	if (optind != argc - 1)
		usage("exactly one mode is required");
	if (opt.address_len == 0)
		usage("--tcp or --unix is required");
	if (opt.receiver_formats == 0)
		opt.receiver_format[opt.receiver_formats++] = opt.format;
}

/* --- the report --- */

static double cpu_each(unsigned pid)
{
	return (double)(result.to.router[pid] - result.from.router[pid]) / 1e3 /
	       (double)result.messages;
}

static void print_line(const char *mode, double seconds)
{
	printf("%s %s %s:", mode, opt.rawsocket ? "rawsocket" : "websocket",
	       format_names[opt.format]);
	if (result.messages > 0) {
		printf(" %.0f %s/s, p50 %.1f p99 %.1f p99.9 %.1f max %.1f us,",
		       (double)result.messages / seconds, result.unit,
		       histogram_at(&result.delay, 0.5) / 1e3,
		       histogram_at(&result.delay, 0.99) / 1e3,
		       histogram_at(&result.delay, 0.999) / 1e3,
		       (double)result.delay.max / 1e3);
		for (unsigned i = 0; i < opt.pids; i++)
			printf(" %d takes %.3f us/%s,", (int)opt.pid[i], cpu_each(i),
			       result.unit);
		printf(" client %.3f,", (double)(result.to.client - result.from.client) /
						1e3 / (double)result.messages);
	}
	for (unsigned i = 0; i < result.figures; i++)
		printf(" %s %.2f,", result.figure[i].name, result.figure[i].value);
	printf(" total %" PRIu64 " lost %" PRIu64 " doubled %" PRIu64
	       " reordered %" PRIu64 " wrong %" PRIu64 "%s\n",
	       result.total, result.lost, result.doubled, result.reordered, complaints,
	       result.finished ? "" : " NOT FINISHED");
}

static void print_json(const char *mode, double seconds)
{
	printf("{\"mode\":\"%s\",\"framing\":\"%s\",\"serializer\":\"%s\",\"unit\":\"%"
	       "s\","
	       "\"messages\":%" PRIu64 ",\"seconds\":%.6f,\"total\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"doubled\":%" PRIu64 ",\"reordered\":%" PRIu64
	       ",\"wrong\":%" PRIu64 ",\"finished\":%s",
	       mode, opt.rawsocket ? "rawsocket" : "websocket", format_names[opt.format],
	       result.unit, result.messages, seconds, result.total, result.lost,
	       result.doubled, result.reordered, complaints,
	       result.finished ? "true" : "false");
	if (result.messages > 0) {
		printf(",\"rate\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,"
		       "\"max_us\":%.2f,\"client_us\":%.4f,\"router_us\":[",
		       (double)result.messages / seconds,
		       histogram_at(&result.delay, 0.5) / 1e3,
		       histogram_at(&result.delay, 0.99) / 1e3,
		       histogram_at(&result.delay, 0.999) / 1e3,
		       (double)result.delay.max / 1e3,
		       (double)(result.to.client - result.from.client) / 1e3 /
			       (double)result.messages);
		for (unsigned i = 0; i < opt.pids; i++)
			printf("%s%.4f", i > 0 ? "," : "", cpu_each(i));
		printf("]");
	}
	for (unsigned i = 0; i < result.figures; i++)
		printf(",\"%s\":%.3f", result.figure[i].name, result.figure[i].value);
	printf("}\n");
}

static const struct mode {
	const char *name;
	void (*run)(void);
} modes[] = {
	{"rpc", run_rpc},   {"pubsub", run_pubsub}, {"login", run_login},
	{"idle", run_idle}, {"storm", run_storm},
};

int main(int argc, char **argv)
{
	const struct mode *mode = NULL;
	double seconds;

	if (sodium_init() < 0)
		die("libsodium");
	parse(argc, argv);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[optind], modes[i].name) == 0)
			mode = &modes[i];
	if (mode == NULL)
		usage("unknown mode");
	if (opt.count == 0 && (mode->run == run_idle || mode->run == run_storm))
		usage("--count is required");
	conn_setup();
	mode->run();
	seconds = (double)(result.to.at - result.from.at) / 1e9;
	if (opt.json)
		print_json(mode->name, seconds);
	else
		print_line(mode->name, seconds);
	return result.finished && result.lost + result.doubled + result.reordered +
						  complaints ==
					  0
		       ? 0
		       : 1;
}
