/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialises and frees a struct net, and does the last work of each turn; see net.h. The
 * worker's thread.
 */
#include "routerd/net/net.h"

#include "common/err.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>

enum {
	LOG_BURST = 10, /* lines per second about what peers do */
	/*
	 * The cost of inflating that a turn may spend on messages that have just come,
	 * and on each of net.inflating, so that nobody starves. About half a millisecond.
	 */
	INFLATE_SHARE = 256 * 1024,
};

#define X(id, name, type, help)  {name, help, type, NET_##id * sizeof(uint64_t)},
#define Y(id, words, name, help) {name, help, COUNTER, NET_END_##id * sizeof(uint64_t)},
const struct counter_table net_counter_table =
	COUNTER_TABLE(uint64_t[NET_COUNTER_COUNT], NET_COUNTERS(X) CONN_ENDS(Y));
#undef X
#undef Y

/* --- deadlines --- */

static void on_net_tick(void *arg)
{
	struct net *n = arg;
	uint64_t next;

	n->tick_due_ms = 0;
	wheel_run(&n->wheel, loop_now_ms(n->loop), conn_deadline_passed, NULL);
	next = wheel_next_ms(&n->wheel);
	if (next != 0)
		net_tick_by(n, next);
}

/* --- start and end --- */

int net_init(struct net *n, struct loop *loop, const char *name, size_t max_queued,
	     size_t max_incomplete)
{
	memset(n, 0, sizeof(*n));
	n->loop = loop;
	n->name = name;
	n->max_queued = max_queued;
	n->max_incomplete = max_incomplete;
	n->scratch = malloc(NET_SCRATCH);
	if (n->scratch == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < CONN_STATE_COUNT; i++)
		TAILQ_INIT(&n->by_state[i]);
	for (size_t i = 0; i < STREAM_LIST_COUNT; i++)
		TAILQ_INIT(&n->streams[i]);
	if (id_table_init(&n->longpolls) != 0 || id_table_init(&n->poll_hosts) != 0) {
		id_table_fini(&n->longpolls);
		free(n->scratch);
		n->scratch = NULL;
		return E_NOMEM;
	}
	TAILQ_INIT(&n->incomplete);
	TAILQ_INIT(&n->paused_conns);
	for (size_t i = 0; i < WS_WAIT_COUNT; i++)
		TAILQ_INIT(&n->inflating[i]);
	n->inflaters.left = INFLATE_SHARE;
	TAILQ_INIT(&n->left);
	wheel_init(&n->wheel, loop_now_ms(loop));
	timer_init(&n->tick, loop, on_net_tick, n);
	n->log_rate.burst = LOG_BURST;
	return 0;
}

static void call_closed(struct net *n)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&n->left)) != NULL) {
		TAILQ_REMOVE(&n->left, c, side_link);
		c->closed_due = false;
		c->conf->handler->closed(c);
	}
}

static void reap(struct net *n)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&n->by_state[CONN_DEAD])) != NULL) {
		if (conn_is_longpoll(c))
			conn_poll_end(c);
		conn_free(c);
	}
}

void net_fini(struct net *n)
{
	struct conn *c;

	for (enum conn_state s = CONN_OPENING; s < CONN_DEAD; s++) {
		while ((c = TAILQ_FIRST(&n->by_state[s])) != NULL)
			conn_kill(c, CONN_END_DROPPED);
	}
	call_closed(n);
	reap(n);
	ASSERT(n->conns == 0 && n->out.memory == 0 && n->incomplete_bytes == 0);
	timer_disarm(&n->tick);
	id_table_fini(&n->longpolls);
	id_table_fini(&n->poll_hosts);
	tls_worker_fini(n);
	outq_pool_fini(&n->out);
	deflater_free(&n->deflater);
	inflaters_fini(&n->inflaters);
	free(n->scratch);
	n->scratch = NULL;
}

/* --- turns --- */

static struct conn *conn_of(struct stream *s)
{
	return container_of(s, struct conn, stream);
}

int net_use_tls(struct net *n, unsigned max, const struct tls_ticket_seed *seed)
{
	return tls_worker_init(n, max, seed);
}

/*
 * Is there a TLS handshake whose next step can be done now? First ends handshakes that
 * take too long while others wait. Otherwise a few silent clients could lock out
 * everybody else.
 */
static bool has_handshake(struct net *n)
{
	uint64_t when;
	struct tls *t;

	while ((t = tls_find_late(n, &when)) != NULL) {
		struct conn *c = conn_of(t->stream);

		conn_tls_log(c, "too slow, and other clients wait");
		conn_kill(c, CONN_END_HANDSHAKE);
	}
	if (when != 0)
		net_tick_by(n, when);
	return tls_has_due(n);
}

bool net_handshake_some(struct net *n)
{
	for (bool first = true; has_handshake(n); first = false) {
		if (budget_crypto_spent(&n->budget) && !first)
			return true;
		conn_shake(conn_of(tls_take(n)->stream));
	}
	return false;
}

/* Can a message be gone on with that waits for this? */
static bool can_inflate(const struct net *n, enum ws_wait wait)
{
	return !TAILQ_EMPTY(&n->inflating[wait]) &&
	       (wait != WS_WAIT_LONG || n->inflaters.lent < INFLATERS_MAX);
}

void net_inflate_some(struct net *n)
{
	for (enum ws_wait wait = WS_WAIT_NEW; wait < WS_WAIT_COUNT; wait++) {
		n->inflaters.left = INFLATE_SHARE;
		while (n->inflaters.left > 0 && can_inflate(n, wait))
			conn_go_on_inflating(TAILQ_FIRST(&n->inflating[wait]));
	}
	n->inflaters.left = INFLATE_SHARE;
}

/* Closes c because this thread is over a memory budget and c uses most of it. */
static void shed(struct conn *c, enum conn_end end, size_t own, size_t all)
{
	net_log(c->net, LOG_LEVEL_WARN, conn_prefix(c).text,
		"connection closed reason=\"%s\" listener=%s peer=%s bytes=%zu "
		"all_bytes=%zu suppressed=%u",
		conn_end_str(end), c->conf->name, conn_peer_name(c).text, own, all);
	conn_kill(c, end);
}

static void shed_output(struct net *n)
{
	while (n->out.memory > n->max_queued) {
		struct stream *s, *worst = NULL;

		TAILQ_FOREACH (s, &n->streams[STREAM_BLOCKED], link) {
			if (worst == NULL || s->out.memory > worst->out.memory)
				worst = s;
		}
		if (worst == NULL)
			/* The other streams are about to be written. */
			return;
		shed(conn_of(worst), CONN_END_BUDGET_OUT, worst->out.memory,
		     n->out.memory);
	}
}

static void shed_input(struct net *n)
{
	while (n->incomplete_bytes > n->max_incomplete) {
		struct conn *c, *worst = NULL;

		TAILQ_FOREACH (c, &n->incomplete, incomplete_link) {
			if (worst == NULL ||
			    c->incomplete_bytes > worst->incomplete_bytes)
				worst = c;
		}
		ASSERT(worst != NULL);
		shed(worst, CONN_END_BUDGET_IN, worst->incomplete_bytes,
		     n->incomplete_bytes);
	}
}

bool net_turn_end(struct net *n)
{
	struct streams *dirty = &n->streams[STREAM_DIRTY];
	struct streams *again = &n->streams[STREAM_AGAIN];
	struct stream *s;

	/* A callback or a failed write may close connections and queue output, so repeat
	 * until both lists are empty. */
	do {
		call_closed(n);
		while ((s = TAILQ_FIRST(dirty)) != NULL) {
			if (conn_is_longpoll(conn_of(s)))
				conn_poll_flush(conn_of(s));
			else
				conn_flush(conn_of(s));
		}
		shed_output(n);
		shed_input(n);
	} while (!TAILQ_EMPTY(&n->left) || !TAILQ_EMPTY(dirty));
	while ((s = TAILQ_FIRST(again)) != NULL)
		/* These have more output than one turn may write. */
		stream_move(n, s, STREAM_DIRTY);
	reap(n);
	n->budget = (struct budget){.queued = 0};
	/* Connections that ended in this turn may have made room for handshakes that
	 * wait. */
	return !TAILQ_EMPTY(dirty) || tls_has_due(n) || can_inflate(n, WS_WAIT_NEW) ||
	       can_inflate(n, WS_WAIT_LENT) || can_inflate(n, WS_WAIT_LONG);
}

void net_resume_all(struct net *n)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&n->paused_conns)) != NULL)
		conn_resume(c);
}

void net_close_all(struct net *n, uint16_t code, const char *reason)
{
	struct conn *c, *next;

	for (enum conn_state s = CONN_OPENING; s <= CONN_OPEN; s++) {
		while ((c = TAILQ_FIRST(&n->by_state[s])) != NULL) {
			/* During a login, some clients take a clean close for success.
			 * Long-poll requests get no answers any more. */
			if (s == CONN_OPEN &&
			    ((!c->established && !c->left) || conn_is_longpoll(c)))
				conn_drop(c);
			else
				conn_close(c, code, reason);
		}
	}
	for (c = TAILQ_FIRST(&n->by_state[CONN_CLOSING]); c != NULL; c = next) {
		next = TAILQ_NEXT(c, state_link);
		if (conn_is_longpoll(c))
			conn_drop(c);
	}
}
