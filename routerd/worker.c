/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a worker's turns and passes each post to its handler; see worker.h. Runs on the
 * worker's thread.
 */
#include "routerd/worker_int.h"

#include "common/err.h"
#include "routerd/control/control.h"
#include "routerd/net/conn.h"
#include "routerd/peer/attach.h"
#include "routerd/peer/fan_out.h"
#include "routerd/peer/peer.h"
#include "routerd/post/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	POSTS_PER_CHECK = 16, /* posts between two checks of the clock */
	STOP_FLUSH_MS = 5000, /* time limit for stopping */
};

static _Atomic bool stalled;

void worker_stall_toggle(void)
{
	atomic_store(&stalled, !atomic_load(&stalled));
}

/* --- stopping --- */

/*
 * On POST_STOP, each worker stops reading and sends POST_DRAIN to all workers, after all
 * its earlier posts. When a worker has received POST_DRAIN from all workers, it sends
 * POST_DRAINED to all. When a worker has received POST_DRAINED from all, no post that a
 * client caused is in flight to it any more. Then it closes its connections and sends
 * POST_STOPPED to worker 0.
 */
static void stop_begin(struct worker *w, struct post *p)
{
	(void)p;
	if (w->stop != STOP_NONE)
		return;
	w->stop = STOP_DRAINING;
	w->drains_missing = w->n_workers;
	for (size_t i = 0; i < w->config->n_realms; i++)
		if (w->realms[i] != NULL)
			realm_stop(w->realms[i]);
	/* Do not wait longer than this for slow clients or other workers. */
	timer_arm(&w->stop_timer, STOP_FLUSH_MS);
	outbox_send_all_reserved(&w->outbox, &(struct post){.type = POST_DRAIN},
				 &w->drain_mail);
}

static void on_stop_timer(void *arg)
{
	struct worker *w = arg;

	w->stop_late = true;
}

/* Enters the next phase of stopping if the current one is complete. */
static void stop_go_on(struct worker *w)
{
	bool late = w->stop_late;

	if (w->stop == STOP_DRAINING && (w->drains_missing == 0 || late)) {
		w->stop = STOP_CLOSING;
		/* Send no GOODBYE: autobahn-js does not reconnect after a GOODBYE. */
		net_close_all(&w->net, WS_CLOSE_RESTART, "the router is restarting");
	}
	if (w->stop != STOP_CLOSING)
		return;
	/* Other workers wait for POST_DRAINED from this worker, so do not end before
	 * it is sent. */
	if ((net_conns(&w->net) > 0 || w->drains < w->n_workers) && !late)
		return;
	w->stop = STOP_DONE;
	post_send_reserved(&w->outbox, 0, &(struct post){.type = POST_STOPPED},
			   &w->stopped_mail);
	timer_disarm(&w->stop_timer);
	/* Worker 0 runs until all workers have sent POST_STOPPED. */
	if (w->index != 0)
		loop_stop(w->loop);
}

/* --- counters --- */

#define X(name, type, help) {#name, help, type, offsetof(struct worker_counters, name)},
const struct counter_table worker_counter_table =
	COUNTER_TABLE(struct worker_counters, WORKER_COUNTERS(X));
#undef X

/* Copies the counters of the worker and of its realms. NULL if out of memory. */
static struct buf *take_snapshot(const struct worker *w)
{
	const uint64_t *pc = w->peers.counters;
	const struct worker_counters own = {
		.connections = net_conns(&w->net),
		.sessions = pc[PEER_SESSIONS_OPENED] - pc[PEER_SESSIONS_CLOSED],
		.queued_bytes = net_queued(&w->net),
		.incomplete_bytes = net_incomplete(&w->net),
		.tls_waiting = net_tls_waiting(&w->net),
		.posts = w->outbox.n_posts,
		.posts_in = w->posts_in,
		.mailbox_pauses = w->pressures,
		.posts_unsent = w->outbox.n_lost,
	};
	const struct counter_set sets[] = {
		{&worker_counter_table, &own},
		{&mailbox_counter_table, mailbox_counters(w->boxes, w->index)},
		{&peer_counter_table, w->peers.counters},
		{&decision_counter_table, &w->peers.decisions},
		{&net_counter_table, w->net.counters},
	};
	struct buf *s = buf_new(SIZE_MAX / 2);

	if (s == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		snapshot_add(s, SNAPSHOT_NO_REALM, sets[i].table, sets[i].values);
	for (size_t i = 0; i < w->config->n_realms; i++) {
		if (w->realms[i] == NULL)
			continue;
		struct realm_counters c = realm_counters(w->realms[i]);
		snapshot_add(s, i, &realm_counter_table, &c);
	}
	if (s->err != 0)
		buf_free(&s);
	return s;
}

static void on_count(struct worker *w, struct post *p)
{
	post_send_reserved(&w->outbox, 0,
			   &(struct post){
				   .type = POST_COUNTED,
				   .id = p->id,
				   .session = {.worker = (uint16_t)w->index},
				   .snapshot = take_snapshot(w),
			   },
			   &p->mail);
}

/* --- posts --- */

/*
 * Refuses a POST_JOIN if the principal was revoked after its login was looked up. True:
 * the post was refused and dropped.
 */
static bool refused_by_revocation(struct worker *w, struct post *p)
{
	struct revocation *found = NULL;
	enum revocation_verdict v =
		revocations_find(&w->peers.revocations, p->identity, &found);

	if (v == REVOCATION_NONE)
		return false;
	post_send_reserved(
		&w->outbox, p->session.worker,
		&(struct post){
			.type = POST_JOIN_REFUSED,
			.session = p->session,
			.revocation = found == NULL ? NULL : revocation_ref(found),
		},
		&p->mail);
	post_drop(p);
	return true;
}

static void on_revoke(struct worker *w, struct post *p)
{
	struct revocation *revocation = p->revocation;
	struct post revoked = {
		.type = POST_REVOKED,
		.id = revocation->number,
		.counts = attach_revoke(&w->peers, revocation),
	};

	bool ends = !revocation->dry_run && !revocation->decisions_only;

	for (size_t i = 0; i < w->config->n_realms && ends; i++)
		if (w->realms[i] != NULL)
			realm_revoke(w->realms[i], revocation);
	post_send_reserved(&w->outbox, 0, &revoked, &p->mail);
	post_drop(p);
}

static void on_connection(struct worker *w, struct post *p)
{
	const struct conn_conf *conf = &w->conn_confs[p->connection.listener];
	struct conn *c;

	/* Both take ownership of the socket even if memory runs out; then they decrement
	 * the counter of the listener. */
	if (p->connection.moved != NULL)
		c = conn_adopt_moved(&w->net, conf, &p->connection.moved);
	else
		c = conn_adopt(&w->net, p->connection.fd, conf);
	p->connection.fd = -1;
	if (c != NULL && w->stop >= STOP_CLOSING)
		conn_close(c, WS_CLOSE_RESTART, NULL);
	post_drop(p);
}

/* For net.hand_over. */
static void on_hand_over(void *arg, unsigned worker, const struct conn_conf *conf,
			 struct conn_moved *moved)
{
	struct worker *w = arg;
	struct post p = {
		.type = POST_CONNECTION,
		.connection = {.fd = -1,
			       .listener = (uint16_t)(conf - w->conn_confs),
			       .moved = moved},
	};

	if (post_send(&w->outbox, worker, &p))
		return;
	/* Out of memory; logged at the end of the turn. */
	if (conf->live != NULL)
		atomic_fetch_sub_explicit(conf->live, 1, memory_order_relaxed);
	post_drop(&p);
}

/* The limits of a realm: the configuration's, and those that a reload may change. */
static struct realm_limits limits_of(const struct worker *w, size_t realm)
{
	const struct config_limits *limits = &w->config->limits;
	const struct realm_options *options = &w->peers.policy->realms[realm].options;

	return (struct realm_limits){
		.subscriptions = (uint32_t)limits->session_subscriptions,
		.registrations = (uint32_t)limits->session_registrations,
		.wildcards = (uint32_t)limits->session_wildcards,
		.calls = (uint32_t)limits->pending_calls,
		.queued_calls = (uint32_t)options->call_queue,
		.queued_bytes = options->call_queue_size,
		.queued_total = options->call_queue_total,
		.retained_topics = (uint32_t)options->retained_topics,
		.retained_bytes = options->retained_size,
		.retained_age_ms = options->retained_age,
		.retained_answer = limits->queue_size / 4,
	};
}

static void on_reload(struct worker *w, struct post *p)
{
	attach_reload(&w->peers, p);
	for (size_t i = 0; i < w->config->n_realms; i++) {
		struct realm_limits limits = limits_of(w, i);
		if (w->realms[i] == NULL)
			continue;
		realm_set_limits(w->realms[i], &limits);
		realm_set_policy(w->realms[i], w->peers.policy);
	}
}

static void on_hold_queue(struct worker *w, struct post *p)
{
	peers_hold_queue(&w->peers, (unsigned)p->id, p->full);
}

static void on_drain(struct worker *w, struct post *p)
{
	(void)p;
	if (++w->drains == w->n_workers)
		outbox_send_all_reserved(&w->outbox, &(struct post){.type = POST_DRAINED},
					 &w->drained_mail);
}

static void on_drained(struct worker *w, struct post *p)
{
	(void)p;
	w->drains_missing--;
}

static void on_stopped(struct worker *w, struct post *p)
{
	(void)p;
	if (++w->workers_stopped == w->n_workers)
		loop_stop(w->loop);
}

/* The handlers of POST_TO_WORKER posts. */
static void (*const handlers[POST_TYPE_COUNT])(struct worker *, struct post *) = {
	[POST_CONNECTION] = on_connection, [POST_HOLD_QUEUE] = on_hold_queue,
	[POST_REVOKE] = on_revoke,         [POST_RELOAD] = on_reload,
	[POST_COUNT] = on_count,           [POST_STOP] = stop_begin,
	[POST_DRAIN] = on_drain,           [POST_DRAINED] = on_drained,
	[POST_STOPPED] = on_stopped,
};

/* --- a turn --- */

/*
 * Handles the first of n posts, and the following ones that can be handled together with
 * it. *taken_out gets the number of posts handled. False if an event is not yet delivered
 * to all subscribers (peer/fan_out.h); the delivery continues in the next turn.
 */
static bool handle_next(struct worker *w, struct post *p, size_t n, size_t *taken_out)
{
	*taken_out = 1;
	switch ((enum post_destination)post_kinds[p->type].to) {
	case POST_TO_REALM:
		if ((p->type != POST_JOIN || !refused_by_revocation(w, p)) &&
		    UNLIKELY(realm_post(w->realms[p->realm], p)))
			worker_note_work(w, p->realm);
		return true;
	case POST_TO_PEER:
		attach_post(&w->peers, p);
		return true;
	case POST_TO_MEMBERS:
		return fan_out_begin(&w->peers, p, n, taken_out);
	case POST_TO_CONTROL:
		control_post(w->control, p);
		return true;
	case POST_TO_WORKER:
		handlers[p->type](w, p);
		/* Realms end the sessions of a revocation in pieces, and take away in
		 * pieces what a reload forbids. */
		if (p->type == POST_REVOKE || p->type == POST_RELOAD)
			worker_note_all_work(w);
		return true;
	}
	return true;
}

/*
 * May it take as long as thousands of other posts? (retained events of a pattern, and
 * pages of events)
 */
static bool takes_long(const struct post *p)
{
	if (UNLIKELY(p->type == POST_META))
		return p->procedure == META_SUBSCRIPTION_GET_EVENTS;
	return UNLIKELY(p->type == POST_SUBSCRIBE) ? p->retain && p->match != MATCH_EXACT
						   : p->type == POST_PAGE;
}

/*
 * Handles posts until none is left (false), or until the turn's budget is spent (true).
 */
static bool handle_posts(struct worker *w)
{
	unsigned n = 0;
	bool enough = !fan_out_go_on(&w->peers);

	while (!enough) {
		mailbox_take_own(w->boxes, w->index, &w->inbox);
		struct mail_batch *b = STAILQ_FIRST(&w->inbox);
		if (b == NULL)
			return false;
		if (b->from != w->index && b->taken == 0)
			w->posts_in += b->count;
		struct post *posts = (struct post *)(void *)b->items;
		while (b->taken < b->count && !enough) {
			size_t taken;
			bool look = ++n % POSTS_PER_CHECK == 0 ||
				    takes_long(&posts[b->taken]);
			enough = !handle_next(w, &posts[b->taken], b->count - b->taken,
					      &taken) ||
				 (look && budget_posts_spent(&w->net.budget));
			b->taken += (unsigned)taken;
		}
		if (b->taken == b->count) {
			STAILQ_REMOVE_HEAD(&w->inbox, link);
			mailbox_done(w->boxes, w->index, b);
		}
	}
	return true;
}

/* For tests: waits while worker_stall_toggle stalls this worker. */
static void wait_while_stalled(const struct worker *w)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	while (atomic_load_explicit(&stalled, memory_order_relaxed) &&
	       w->config->debug.stall_worker == (int)w->index)
		nanosleep(&ms, NULL);
}

static void report_pressure(struct worker *w)
{
	w->pressures++;
	log_limited(&w->pressure_rate, loop_now_ms(w->loop), LOG_LEVEL_WARN, w->name,
		    "reading paused: too many bytes are queued between two workers "
		    "limit=mailbox_high max=%zu suppressed=%u",
		    w->config->limits.mailbox_high);
}

/*
 * While too many bytes are queued between any two workers, no worker reads from its
 * clients. All still handle the messages that they have read.
 */
static void follow_pressure(struct worker *w)
{
	bool pressure = mailbox_pressure(w->boxes);
	bool pause = pressure || w->stop != STOP_NONE;

	if (w->net.paused && !pause)
		net_resume_all(&w->net);
	if (pressure && !w->net.paused)
		report_pressure(w);
	w->net.paused = pause;
}

static void report_lost(struct worker *w)
{
	unsigned suppressed;

	if (!log_rate_ok(&w->memory_rate, loop_now_ms(w->loop), &suppressed))
		return;
	log_error(w->name, "out of memory: internal messages lost count=%llu",
		  (unsigned long long)(w->outbox.n_lost - w->lost_logged));
	w->lost_logged = w->outbox.n_lost;
}

/*
 * Continues a reload, if one is unfinished. It ends when all peers have their new rights,
 * and the realms of this worker have taken away what the new policy forbids. True if the
 * next turn must not wait for an event.
 */
static bool reload_some(struct worker *w)
{
	uint32_t revoked = 0, of_realm;

	if (LIKELY(!attach_reloading(&w->peers)))
		return false;
	if (attach_reload_some(&w->peers))
		return true;
	for (size_t i = 0; i < w->config->n_realms; i++) {
		if (w->realms[i] == NULL)
			continue;
		if (realm_walks_rights(w->realms[i], &of_realm))
			return false; /* worker_work sees to the next turn */
		revoked += of_realm;
	}
	attach_reload_end(&w->peers, revoked);
	return false;
}

static uint64_t unix_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool on_worker_turn_end(void *arg)
{
	struct worker *w = arg;

	wait_while_stalled(w);
	net_inflate_some(&w->net);
	budget_posts(&w->net.budget);
	w->unix_offset_ms = (int64_t)(unix_now_ms() - loop_now_ms(w->loop));
	bool more = handle_posts(w);
	more |= worker_run_deadlines(w);
	more |= worker_work(w);
	/* Logins that are nearly done come before new handshakes. */
	more |= attach_verify_some(&w->peers);
	more |= net_handshake_some(&w->net);
	more |= reload_some(w);
	more |= members_remove_some(&w->peers);
	if (w->stop != STOP_NONE)
		stop_go_on(w);
	uint32_t conns = net_conns(&w->net);
	/* Hand posts over before writing to sockets, so that other workers can handle
	 * them meanwhile. */
	mailbox_hand_over(w->boxes, w->index);
	more |= net_turn_end(&w->net);
	/* No event fires when the last connection closes, so ask for another turn to
	 * continue stopping. */
	more |= w->stop != STOP_NONE && conns > 0 && net_conns(&w->net) == 0;
	peers_turn_end(&w->peers);
	/* Closed connections and peers_turn_end may have sent more posts. */
	mailbox_hand_over(w->boxes, w->index);
	if (w->outbox.n_lost != w->lost_logged)
		report_lost(w);
	follow_pressure(w);
	return more || mailbox_has_own(w->boxes, w->index);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	mailbox_take(w->boxes, w->index, &w->inbox);
}

/* --- start and end --- */

static int make_realms(struct worker *w)
{
	const struct config *cfg = w->config;

	w->realms = calloc(cfg->n_realms + 1, sizeof(*w->realms));
	if (w->realms == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < cfg->n_realms; i++) {
		if (peers_owner(&w->peers, (uint16_t)i) != w->index)
			continue;
		struct realm_limits limits = limits_of(w, i);
		w->realms[i] = realm_new((uint16_t)i, w->n_workers, &limits, &w->ids,
					 &w->deadlines, &w->outbox);
		if (w->realms[i] == NULL ||
		    realm_keep_history(w->realms[i], cfg->realms[i].history,
				       cfg->realms[i].n_history, &w->unix_offset_ms,
				       unix_now_ms()) != 0)
			return E_NOMEM;
		realm_set_policy(w->realms[i], w->peers.policy);
	}
	return 0;
}

static int make_listeners(struct worker *w)
{
	static const unsigned framings[] = {
		[LISTENER_WEBSOCKET] = CONN_WEBSOCKET,
		[LISTENER_RAWSOCKET] = CONN_RAWSOCKET,
		[LISTENER_UNIVERSAL] = CONN_WEBSOCKET | CONN_RAWSOCKET,
	};
	const struct config *cfg = w->config;

	/* Add 1, because calloc may return NULL for 0 elements. */
	w->conn_confs = calloc(cfg->n_listeners + 1, sizeof(*w->conn_confs));
	w->listeners = calloc(cfg->n_listeners + 1, sizeof(*w->listeners));
	if (w->conn_confs == NULL || w->listeners == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *l = &cfg->listeners[i];
		w->listeners[i] = (struct peer_listener){.peers = &w->peers, .conf = l};
		w->conn_confs[i] = (struct conn_conf){
			.handler = &attach_handler,
			.user = &w->listeners[i],
			.name = l->name,
			.early_message_max = CONN_EARLY_MESSAGE_MAX,
			.message_max = (uint32_t)l->options.max_message_size,
			.head_max = l->options.max_header_size,
			.headers_max = (size_t)l->options.max_headers,
			.paths = l->paths.items,
			.n_paths = l->paths.count,
			.live_max = (uint32_t)l->options.max_connections,
			.poll_path = l->longpoll.path,
			.poll_answer_ms = l->longpoll.request_timeout,
			.poll_timeout_ms = l->longpoll.session_timeout,
			.handshake_ms = l->options.open_handshake_timeout,
			.framings = framings[l->type],
			.proxies = l->endpoint.proxy_protocol.from.items,
			.n_proxies = l->endpoint.proxy_protocol.from.count,
			.trusted = l->trusted.items,
			.n_trusted = l->trusted.count,
			.raw_pings = l->options.rawsocket_ping,
			.deflate = l->options.compression,
			.ping_interval_ms = l->options.auto_ping_interval,
			.ping_timeout_ms = l->options.auto_ping_timeout,
			.close_ms = l->options.close_handshake_timeout,
			.queue_max = cfg->limits.queue_size,
		};
	}
	return 0;
}

static int make_peers(struct worker *w, struct policy *policy)
{
	const struct config_limits *limits = &w->config->limits;
	/* Each worker gets an equal share: a common count would need locks. */
	int err = net_init(&w->net, w->loop, w->name, limits->queued_total / w->n_workers,
			   limits->incomplete_total / w->n_workers);

	if (err != 0)
		return err;
	w->net.self = w->index;
	w->net.n_workers = w->n_workers;
	w->net.hand_over = on_hand_over;
	w->net.hand_over_arg = w;
	return peers_init(&w->peers, w->index, w->n_workers, &w->outbox, w->config,
			  policy, &w->net);
}

struct worker *worker_new(unsigned index, unsigned n_workers, const struct config *cfg,
			  struct policy *policy, struct mailboxes *boxes)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->index = index;
	w->n_workers = n_workers;
	w->config = cfg;
	w->boxes = boxes;
	w->ids = (struct id_series){.next = index + 1u, .step = n_workers};
	w->outbox =
		(struct outbox){.boxes = boxes, .self = index, .n_workers = n_workers};
	snprintf(w->name, sizeof(w->name), "w%u", w->index);
	w->pressure_rate.burst = 1;
	w->memory_rate.burst = 1;
	STAILQ_INIT(&w->inbox);
	w->loop = loop_new(on_worker_turn_end, w);
	if (w->loop == NULL)
		goto fail;
	event_assign(&w->mail_event, loop_base(w->loop), mailbox_fd(w->boxes, w->index),
		     EV_READ | EV_PERSIST, on_mail, w);
	timer_init(&w->stop_timer, w->loop, on_stop_timer, w);
	worker_realms_init(w);
	/* Reserve memory for the posts that stopping needs, so that stopping cannot
	 * fail. */
	w->stopped_mail = outbox_reserve(&w->outbox);
	if (w->stopped_mail == NULL ||
	    outbox_reserve_all(&w->outbox, &w->drain_mail) != 0 ||
	    outbox_reserve_all(&w->outbox, &w->drained_mail) != 0 ||
	    event_add(&w->mail_event, NULL) != 0 || make_peers(w, policy) != 0 ||
	    make_listeners(w) != 0 || make_realms(w) != 0)
		goto fail;
	return w;
fail:
	worker_free(&w);
	return NULL;
}

/* Drops posts that were taken from the mailbox but not handled. */
static void drop_inbox(struct worker *w)
{
	while (!STAILQ_EMPTY(&w->inbox)) {
		struct mail_batch *b = STAILQ_FIRST(&w->inbox);
		struct post *posts = (struct post *)(void *)b->items;
		STAILQ_REMOVE_HEAD(&w->inbox, link);
		while (b->taken < b->count)
			post_drop(&posts[b->taken++]);
		mailbox_done(w->boxes, w->index, b);
	}
}

void worker_drop_connections(struct worker *w)
{
	if (w->net.scratch == NULL)
		/* net_init was not called or failed, or this is done already. */
		return;
	net_fini(&w->net);
	peers_fini(&w->peers);
}

void worker_free(struct worker **wp)
{
	struct worker *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	worker_drop_connections(w);
	for (size_t i = 0; w->realms != NULL && i < w->config->n_realms; i++)
		realm_free(&w->realms[i]);
	drop_inbox(w);
	if (w->loop != NULL) {
		event_del(&w->mail_event);
		timer_disarm(&w->stop_timer);
		timer_disarm(&w->deadline_timer);
		timer_disarm(&w->work_timer);
	}
	loop_free(&w->loop);
	outbox_free_all(&w->drain_mail);
	outbox_free_all(&w->drained_mail);
	free(w->stopped_mail);
	free(w->realms);
	free(w->conn_confs);
	free(w->listeners);
	free(w);
}

void worker_set_live(struct worker *w, size_t listener, _Atomic uint32_t *live,
		     _Atomic uint32_t *live_polls)
{
	w->conn_confs[listener].live = live;
	w->conn_confs[listener].live_polls = live_polls;
}

int worker_use_tls(struct worker *w, struct tls_context *const contexts[],
		   const struct tls_ticket_seed *seed)
{
	unsigned all = (unsigned)w->config->limits.handshakes;
	/* The first workers share what cannot be divided. */
	unsigned max = all / w->n_workers + (w->index < all % w->n_workers);
	bool any = false;

	for (size_t i = 0; i < w->config->n_listeners; i++) {
		w->conn_confs[i].tls = contexts[i];
		any = any || contexts[i] != NULL;
	}
	/* Clients cannot choose their worker, so each worker must have a slot. */
	return any ? net_use_tls(&w->net, max > 0 ? max : 1, seed) : 0;
}

void worker_set_control(struct worker *w, struct control *c)
{
	w->control = c;
}

struct loop *worker_loop(struct worker *w)
{
	return w->loop;
}

struct outbox *worker_outbox(struct worker *w)
{
	return &w->outbox;
}

void worker_run(struct worker *w)
{
	loop_run(w->loop);
}
