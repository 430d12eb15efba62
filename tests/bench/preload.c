/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions and registrations that nobody uses: see modes.h. */
#include "tests/bench/conn.h"
#include "tests/bench/modes.h"
#include "tests/bench/options.h"

#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 256, TURN_NS = 100 * 1000 * 1000 };

static struct conn conn;
static unsigned asked, confirmed;
static bool of_registrations, refused;

static void ask_more(void)
{
	char uri[256];

	while (asked < opt.preload && asked - confirmed < AT_ONCE) {
		struct writer w = conn_write(&conn);
		if (opt.wildcards)
			/* as many components as the topic, the first one empty */
			snprintf(uri, sizeof(uri), "%s.unused%u",
				 opt.uri + strcspn(opt.uri, "."), asked++);
		else
			snprintf(uri, sizeof(uri), "%s.unused.%u", opt.uri, asked++);
		put_list(&w, 4);
		put_uint(&w, of_registrations ? WAMP_REGISTER : WAMP_SUBSCRIBE);
		put_uint(&w, asked);
		put_map(&w, opt.wildcards);
		if (opt.wildcards) {
			put_key(&w, "match");
			put_string(&w, "wildcard");
		}
		put_end(&w, '}');
		put_string(&w, uri);
		put_end(&w, ']');
		conn_send(&conn);
	}
}

static void on_open(struct conn *c)
{
	(void)c;
	ask_more();
}

static void on_message(struct conn *c, const struct message *m)
{
	(void)c;
	if (m->type == (of_registrations ? WAMP_REGISTERED : WAMP_SUBSCRIBED))
		confirmed++;
	else
		refused = true;
	ask_more();
}

static void on_closed(struct conn *c, const char *why)
{
	(void)c;
	complain("preload: %s", why);
	refused = true;
}

bool preload(bool registrations)
{
	uint64_t before = opt.pids > 0 ? process_memory(opt.pid[0], "VmRSS") : 0;
	int64_t until = now_ns() + (int64_t)(opt.deadline * 1e9);
	unsigned last = 0;

	if (opt.preload == 0)
		return true;
	of_registrations = registrations;
	conn_handler = (struct conn_handler){on_open, on_message, on_closed};
	conn_start(&conn, opt.format);
	while (confirmed < opt.preload && !refused && now_ns() < until) {
		conn_turn(TURN_NS);
		if (confirmed != last)
			until = now_ns() + (int64_t)(opt.deadline * 1e9);
		last = confirmed;
	}
	if (opt.pids > 0)
		add_figure("preload_bytes_each",
			   (double)(process_memory(opt.pid[0], "VmRSS") - before) * 1024 /
				   opt.preload);
	if (confirmed < opt.preload)
		complain("preload: only %u of %u", confirmed, opt.preload);
	return confirmed == opt.preload;
}

void preload_leave(void)
{
	conn_abort(&conn);
}
