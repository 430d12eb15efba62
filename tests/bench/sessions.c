/* SPDX-License-Identifier: Apache-2.0 */
/* login, idle and storm: sessions that come, stay, and come all at once. One thread. */
#include "tests/bench/conn.h"
#include "tests/bench/measure.h"
#include "tests/bench/modes.h"
#include "tests/bench/options.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_NS = 100 * 1000 * 1000, MAX_RETRIES = 15 };

/* autobahn-js' reconnects: growth, spread and limit of the delay in seconds */
static const double retry_growth = 1.5, retry_jitter = 0.1, retry_max = 300;

struct client {
	struct conn conn;
	bool subscribed;
	double delay;   /* storm: seconds until the next attempt */
	int64_t due;    /* ns, time of the next attempt; 0: none */
	unsigned tries; /* failed attempts */
};

static struct client *clients;
static unsigned client_count;
static unsigned opened;   /* WELCOMEs of all attempts */
static unsigned prepared; /* sessions whose requests are all answered */
static unsigned failed;   /* attempts that ended without WELCOME, and lost sessions */
static bool measuring, subscribe, retry;
static int64_t storm_began;

static void make_clients(unsigned n)
{
	client_count = n;
	clients = must(calloc(n, sizeof(*clients)));
	for (unsigned i = 0; i < n; i++) {
		clients[i].conn.owner = &clients[i];
		clients[i].conn.index = i;
	}
}

static void start(struct client *c)
{
	conn_start(&c->conn, opt.receiver_format[c->conn.index % opt.receiver_formats]);
}

static void send_subscribe(struct conn *c)
{
	struct writer w = conn_write(c);
	char uri[256];

	snprintf(uri, sizeof(uri), "%s.idle.%u", opt.uri,
		 opt.topics > 0 ? c->index % opt.topics : c->index);
	put_list(&w, 4);
	put_uint(&w, WAMP_SUBSCRIBE);
	put_uint(&w, 1);
	put_map(&w, 0);
	put_end(&w, '}');
	put_string(&w, uri);
	put_end(&w, ']');
	conn_send(c);
}

static void on_open(struct conn *c)
{
	opened++;
	if (measuring) {
		result.messages++;
		histogram_add(&result.delay,
			      conn_read_at -
				      (storm_began > 0 ? storm_began : c->started));
	}
	if (subscribe)
		send_subscribe(c);
	else
		prepared++;
}

static void on_message(struct conn *c, const struct message *m)
{
	struct client *client = c->owner;

	if (m->type != WAMP_SUBSCRIBED || !subscribe || client->subscribed) {
		complain("unexpected message of type %u", (unsigned)m->type);
		return;
	}
	client->subscribed = true;
	prepared++;
}

/* A normally distributed number, by Box and Muller. */
static double random_normal(double mean, double spread)
{
	double a = (double)(random() + 1) / ((double)RAND_MAX + 2);
	double b = (double)random() / (double)RAND_MAX;

	return mean + spread * sqrt(-2 * log(a)) * cos(2 * M_PI * b);
}

/* As autobahn-js does: spread and limit the delay, then let the next one grow. */
static void plan_retry(struct client *c, double now)
{
	c->delay = random_normal(c->delay, c->delay * retry_jitter);
	if (c->delay > retry_max)
		c->delay = retry_max;
	c->due = (int64_t)(now + c->delay * 1e9) + 1;
	c->delay *= retry_growth;
}

static void on_closed(struct conn *c, const char *why)
{
	struct client *client = c->owner;

	failed++;
	if (!retry)
		complain("client %u: %s", c->index, why);
	else if (++client->tries <= MAX_RETRIES)
		plan_retry(client, (double)now_ns());
	else
		complain("client %u gives up: %s", c->index, why);
}

static void leave_all(void)
{
	int64_t until = now_ns() + (int64_t)(opt.deadline * 1e9);

	for (unsigned i = 0; i < client_count; i++)
		if (clients[i].conn.state == CONN_OPEN)
			conn_leave(&clients[i].conn);
	while (conn_count[CONN_LEAVING] > 0 && now_ns() < until)
		conn_turn(TURN_NS);
	if (conn_count[CONN_LEAVING] > 0)
		complain("%u GOODBYEs without an answer", conn_count[CONN_LEAVING]);
}

/* --- login: each WELCOME starts the next connection --- */

static bool logins_until(uint64_t count, int64_t until)
{
	int64_t now = now_ns(), moved = now;
	unsigned before = opened;

	while (opened < count && now < until) {
		for (unsigned i = 0; i < client_count; i++) {
			struct client *c = &clients[i];
			if (c->conn.state == CONN_OPEN)
				conn_abort(&c->conn);
			if (c->conn.state == CONN_CLOSED && !c->subscribed)
				start(c);
		}
		conn_turn(TURN_NS);
		now = now_ns();
		if (opened != before)
			moved = now;
		before = opened;
		if (complaints > 0 || now - moved > (int64_t)(opt.deadline * 1e9))
			return false;
	}
	return true;
}

/* Measures one signature check on this core, the minimum cost of a login. */
static void measure_verify(void)
{
	enum { VERIFIES = 200 };
	static const uint8_t message[32];
	uint8_t signature[crypto_sign_BYTES];
	const uint8_t *public = opt.secret + crypto_sign_SEEDBYTES;
	uint64_t start = usage_now().client;

	crypto_sign_detached(signature, NULL, message, sizeof(message), opt.secret);
	for (int i = 0; i < VERIFIES; i++)
		if (crypto_sign_verify_detached(signature, message, sizeof(message),
						public) != 0)
			complain("libsodium does not accept its own signature");
	add_figure("verify_us", (double)(usage_now().client - start) / 1e3 / VERIFIES);
}

void run_login(void)
{
	result.unit = "login";
	conn_handler = (struct conn_handler){on_open, on_message, on_closed};
	make_clients(opt.window);
	result.finished =
		opt.count > 0 ||
		logins_until(UINT64_MAX, now_ns() + (int64_t)(opt.warmup * 1e9));
	measuring = true;
	result.from = usage_now();
	if (result.finished && opt.count > 0)
		result.finished = logins_until(opt.count, INT64_MAX);
	else if (result.finished)
		result.finished =
			logins_until(UINT64_MAX, now_ns() + (int64_t)(opt.seconds * 1e9));
	result.to = usage_now();
	if (opt.cryptosign)
		measure_verify();
	result.total = opened;
	for (unsigned i = 0; i < client_count; i++)
		conn_abort(&clients[i].conn);
}

/* --- idle and storm --- */

static bool open_all(void)
{
	int64_t moved = now_ns();
	unsigned started = 0, before = 0;

	while (prepared < client_count && complaints == 0) {
		while (started < client_count && started - prepared < opt.window)
			start(&clients[started++]);
		conn_turn(TURN_NS);
		if (prepared != before)
			moved = now_ns();
		before = prepared;
		if (now_ns() - moved > (int64_t)(opt.deadline * 1e9))
			return false;
	}
	return complaints == 0;
}

static double memory_of_all(const char *line)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < opt.pids; i++)
		sum += process_memory(opt.pid[i], line);
	return (double)sum;
}

static void add_memory(double before)
{
	double after = memory_of_all("VmRSS");

	add_figure("rss_before_kib", before);
	add_figure("rss_after_kib", after);
	add_figure("session_kib", (after - before) / client_count);
}

/* Serves for this long. False if a session was lost. */
static bool stay(double seconds)
{
	int64_t until = now_ns() + (int64_t)(seconds * 1e9);

	while (now_ns() < until && failed == 0)
		conn_turn(TURN_NS);
	return failed == 0;
}

void run_idle(void)
{
	double before = memory_of_all("VmRSS");

	result.unit = "session";
	subscribe = true;
	conn_handler = (struct conn_handler){on_open, on_message, on_closed};
	make_clients((unsigned)opt.count);
	measuring = true;
	result.finished = open_all() && stay(opt.warmup);
	measuring = false;
	add_memory(before);
	result.from = usage_now();
	result.finished = result.finished && stay(opt.seconds);
	result.to = usage_now();
	for (unsigned i = 0; i < opt.pids && result.finished; i++)
		add_figure(i == 0 ? "idle_cpu_percent" : "idle_cpu_percent_2",
			   (double)(result.to.router[i] - result.from.router[i]) * 100 /
				   (double)(result.to.at - result.from.at));
	result.total = opened;
	leave_all();
}

static void start_due(int64_t now)
{
	for (unsigned i = 0; i < client_count; i++) {
		struct client *c = &clients[i];
		if (c->due == 0 || c->due > now)
			continue;
		c->due = 0;
		start(c);
	}
}

/* Cuts all connections at once; they reconnect like real clients. */
static bool storm(void)
{
	int64_t moved = now_ns();
	unsigned before = 0;

	for (unsigned i = 0; i < client_count; i++) {
		clients[i].subscribed = false;
		clients[i].delay = opt.first_delay;
		conn_abort(&clients[i].conn);
	}
	opened = prepared = failed = 0;
	retry = measuring = true;
	result.from = usage_now();
	storm_began = result.from.at;
	for (unsigned i = 0; i < client_count; i++)
		plan_retry(&clients[i], (double)storm_began);
	while (prepared < client_count && complaints == 0) {
		start_due(now_ns());
		conn_turn(TURN_NS / 20);
		if (prepared != before)
			moved = now_ns();
		before = prepared;
		/* two attempts may be as far apart as the longest delay */
		if (now_ns() - moved > (int64_t)((opt.deadline + retry_max) * 1e9))
			return false;
	}
	result.to = usage_now();
	measuring = false;
	return complaints == 0;
}

void run_storm(void)
{
	double before = memory_of_all("VmRSS");

	result.unit = "login";
	subscribe = true;
	conn_handler = (struct conn_handler){on_open, on_message, on_closed};
	make_clients((unsigned)opt.count);
	result.finished = open_all() && storm();
	add_figure("failed_attempts", failed);
	add_figure("seconds_to_all", (double)(result.to.at - result.from.at) / 1e9);
	retry = false;
	failed = 0;
	result.finished = result.finished && stay(opt.warmup);
	add_memory(before);
	add_figure("rss_peak_kib", memory_of_all("VmHWM"));
	result.total = prepared;
	leave_all();
}
