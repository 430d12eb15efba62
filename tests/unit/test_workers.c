/* SPDX-License-Identifier: Apache-2.0 */
/* Four workers in one thread. A seed decides whose turn it is, and what the clients and
 * the authenticator do in between. So posts between workers meet in orders that are very
 * rare with real threads, and each run can be repeated. The clock moves only when workers
 * look at it. Doubles: common/loop, control/.
 *
 * The environment variable SEED is the first seed, SEEDS their number (default 1 if SEED
 * is set). */
#include "common/mailbox.c"
#include "routerd/worker.c"

#include "proto/auth_api.h"
#include "routerd/post/login_message.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/wrapped_malloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/chance_clients.h"

enum {
	WORKERS = 4,
	PHASES = 6,
	STEPS = 3000, /* steps of a phase */
	SEEDS = 8,
	QUESTIONS = 10 * CLIENTS, /* some of them obsolete, where a cancel was lost */
};

static struct question {
	struct session_ref session;
	struct mail_batch *mail;
	uint64_t revocations; /* number of revocations when it was asked */
	unsigned epoch;
} questions[QUESTIONS];

#define ROLES                                                                            \
	"roles: [{name: user, permissions: [{uri: '', match: prefix, allow: "            \
	"{call: true, register: true, publish: true, subscribe: true}}]}]"
#define REST                                                                             \
	"authenticators: {authd: {socket: x.sock}}\n"                                    \
	"transports: [{type: rawsocket, endpoint: {type: tcp, port: 1}, auth: {"         \
	"  cryptosign: {type: dynamic, authenticator: authd},"                           \
	"  anonymous: {type: static, role: user}}}]\n"
static const char yaml[] =
	"realms: [{name: realm0, " ROLES "}, {name: realm1, " ROLES "}]\n" REST;
/* realm1 lacks the role of its clients */
static const char yaml_without[] =
	"realms: [{name: realm0, " ROLES "}, {name: realm1, roles: [{name: x}]}]\n" REST;

static struct config *config, *config_without;
static struct policy *policy;     /* the last that was sent */
static uint64_t reloads, reports; /* reports of workers, of all reloads */
static uint64_t n_roles_gone;     /* sessions and logins that a reload has ended */
static struct mailboxes *boxes;
static struct worker *workers[WORKERS];
static unsigned n_questions, epoch;
static uint64_t revocations, revocations_answered;
static uint64_t counts_asked, counts_answered;
static struct mail_for_all stop_mail;
static uint64_t n_pressure, n_long; /* steps, in all runs */

/* Most connections go to one worker, so that its fan-outs take more than one turn. */
static void give_connection(int fd)
{
	if (!post_send(&workers[0]->outbox, chance(2) == 0 ? 1 : chance(WORKERS),
		       &(struct post){.type = POST_CONNECTION, .connection = {.fd = fd}}))
		close(fd);
}

/* --- the authenticator, in place of control/ --- */

static unsigned find_question(struct session_ref who)
{
	unsigned i = 0;

	while (!session_ref_eq(questions[i].session, who))
		i++;
	return i;
}

static void forget_question(struct session_ref who)
{
	for (unsigned i = 0; i < n_questions; i++)
		if (session_ref_eq(questions[i].session, who)) {
			free(questions[i].mail);
			questions[i] = questions[--n_questions];
			return;
		}
}

void control_post(struct control *c, struct post *p)
{
	(void)c;
	if (p->type == POST_LOGIN) {
		assert_true(n_questions < QUESTIONS);
		questions[n_questions++] =
			(struct question){p->session, p->login->mail, revocations, epoch};
		p->login->mail = NULL;
	} else if (p->type == POST_LOGIN_CANCEL) {
		forget_question(p->session);
	} else if (p->type == POST_RELOADED) {
		assert_int_equal(p->id, policy->generation);
		reports++;
		n_roles_gone += p->counts.sessions + p->counts.pending;
	} else if (p->type == POST_REVOKED) {
		revocations_answered++;
	} else if (p->type == POST_COUNTED) {
		counts_answered++;
	}
	post_drop(p);
}

static void authenticator_answers(void)
{
	if (n_questions == 0)
		return;
	struct question q = questions[chance(n_questions)];
	struct login_message head = {
		.outcome = chance(8) == 0 ? LOGIN_UNAVAILABLE : LOGIN_RESULT,
		.stamp = {.asked = true, .link = 1, .revocations = q.revocations},
	};
	uint8_t extra[] = {
		0x81, 0xa1, 'e', 0xcd, (uint8_t)(q.epoch >> 8), (uint8_t)q.epoch};
	struct buf b;

	questions[find_question(q.session)].mail = NULL;
	forget_question(q.session);
	struct auth_result res = {
		.role = slice_str("user"),
		.realm = slice_str("realm1"),
		.authid = slice_str("client01"),
		.keys = {.n = 1},
		.extra = slice_of(extra, sizeof(extra)),
		.epoch = q.epoch,
	};
	memcpy(res.keys.key[0], pk, sizeof(pk));
	buf_init(&b, 4096);
	fields_write_item(&b, &auth_result_table, &res);
	if (b.err != 0)
		head.outcome = LOGIN_NO_MEMORY;
	post_send_reserved(&workers[0]->outbox, q.session.worker,
			   &(struct post){
				   .type = POST_LOGIN_ANSWER,
				   .session = q.session,
				   .login = login_message_new(&head, buf_slice(&b)),
			   },
			   &q.mail);
	buf_fini(&b);
}

/* Reaches all workers or, without memory, none. */
static void authenticator_revokes(void)
{
	struct revocation *r = revocation_new(&(struct revocation){
		.has_epoch = true,
		.epoch = epoch + 1,
		.link = 1,
		.number = revocations + 1,
		.authid = slice_str("client01"),
		.uri = slice_str("com.example.revoked"),
	});
	bool sent =
		r != NULL &&
		outbox_ask_all(&workers[0]->outbox,
			       &(struct post){.type = POST_REVOKE, .revocation = r}, r);

	epoch += sent;
	revocations += sent;
	revocation_unref(&r);
}

/* Worker 0's part of a reload: one at a time; to all workers or, without memory, none. */
static void reload_policy(void)
{
	const struct config *cfg = chance(3) == 0 ? config_without : config;
	struct policy *next = NULL;

	if (reports < reloads * WORKERS)
		return;
	if (policy_new(policy, cfg, &next) != 0 ||
	    !outbox_ask_all(&workers[0]->outbox,
			    &(struct post){.type = POST_RELOAD, .policy = next}, next)) {
		policy_unref(&next);
		return;
	}
	reloads++;
	policy_unref(&policy);
	policy = next;
}

/* The answers arrive even if memory runs out afterwards, perhaps without a snapshot. */
static void ask_for_counters(void)
{
	struct outbox *ob = &workers[0]->outbox;
	struct post p = {.type = POST_COUNT, .mail = outbox_reserve(ob)};

	if (p.mail != NULL && post_send(ob, chance(WORKERS), &p))
		counts_asked++;
	else
		free(p.mail);
}

/* --- invariants over all workers and clients --- */

/* All sessions have the rights of the policy in force. */
static void check_rights(const struct peers *ps)
{
	assert_ptr_equal(ps->policy, policy);
	assert_null(ps->reload.mail);
	for (uint32_t i = 0; i < ps->n_slots; i++) {
		const struct peer *p = ps->slots[i].peer;

		if (p == NULL || p->state != PEER_JOINED)
			continue;
		assert_non_null(p->rights);
		assert_ptr_equal(p->rights, policy_rights(policy, p->identity->realm,
							  p->identity->role));
	}
}

static struct realm_counters realm_now(unsigned realm)
{
	return realm_counters(workers[WORKERS - 1 - realm]->realms[realm]);
}

/* What `from` has published must have reached this subscriber. */
static void check_nothing_lost(const struct client *from, const struct client *to)
{
	if (from == to || !from->complete || from->realm != to->realm)
		return;
	for (unsigned t = 0; t < TOPICS; t++) {
		struct mark last = to->s.last_to[t][index_of(from)];
		if (to->s.subscribed[t] != 0)
			assert_int_equal(last.session == from->session ? last.number : 0,
					 from->published_to[t]);
	}
}

static void check_joined(const struct client *c, struct realm_counters *sum)
{
	sum->sessions++;
	for (unsigned i = 0; i < TOPICS; i++)
		sum->memberships += c->s.subscribed[i] != 0;
	for (unsigned i = 0; i < PROCEDURES; i++)
		sum->registrations += c->s.registered[i] != 0;
	for (unsigned i = 0; i < ASKED_MAX; i++)
		assert_int_equal(c->s.asked[i].id, 0);
	/* the answer is not older than the last revocation */
	assert_true(c->s.epoch == 0 || c->s.epoch == epoch);
	for (unsigned i = 0; i < CLIENTS && !lossy; i++)
		check_nothing_lost(&clients[i], c);
}

/* When nothing moves, clients and workers agree about all sessions and memberships. */
static void check_all(void)
{
	struct realm_counters sums[REALMS] = {0};
	uint32_t conns = 0;

	for (struct client *c = clients; c < clients + CLIENTS; c++) {
		conns += c->state != AWAY;
		assert_true(c->state != LEAVING);
		if (c->state == JOINED)
			check_joined(c, &sums[c->realm]);
	}
	for (unsigned i = 0; i < REALMS; i++) {
		struct realm_counters now = realm_now(i);
		assert_int_equal(now.sessions, sums[i].sessions);
		assert_int_equal(now.memberships, sums[i].memberships);
		assert_int_equal(now.registrations, sums[i].registrations);
		assert_int_equal(now.calls_in_flight, 0);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		conns -= net_conns(&workers[i]->net);
	for (unsigned i = 0; i < WORKERS; i++)
		check_rights(&workers[i]->peers);
	assert_int_equal(reports, reloads * WORKERS);
	assert_int_equal(conns, 0);
	assert_false(mailbox_pressure(boxes));
	assert_int_equal(revocations_answered, revocations * WORKERS);
	assert_int_equal(counts_answered, counts_asked);
}

/* An acknowledged publication has reached all subscribers before the end. */
static void check_drained(const struct client *from, const struct client *to)
{
	if (from == to || !to->closed_by_stop || from->realm != to->realm)
		return;
	for (unsigned t = 0; t < TOPICS; t++) {
		struct mark last = to->s.last_to[t][index_of(from)];
		/* an earlier session may have published in another realm */
		if (to->s.subscribed[t] != 0 &&
		    from->acknowledged[t].session == from->session)
			assert_false(is_behind(from->acknowledged[t], last));
	}
}

/* --- a run --- */

static void drop(void *item)
{
	post_drop(item);
}

static void setup_world(uint64_t seed)
{
	struct conf_error err;

	clients_begin(seed);
	now_ms = 1000;
	look_ns = 1000 * 1000; /* so that a turn can end at any look at the clock */
	n_questions = 0;
	looked_ns = 0;
	epoch = 1;
	revocations = revocations_answered = 0;
	reloads = reports = 0;
	if (config_parse(slice_str(yaml_without), "test", &config_without, &err) != 0)
		fail_msg("%s", err.text);
	counts_asked = counts_answered = 0;
	if (config_parse(slice_str(yaml), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(policy_new(NULL, config, &policy), 0);
	boxes = mailboxes_new(WORKERS, sizeof(struct post), 3000, 1000);
	for (unsigned i = 0; i < WORKERS; i++)
		workers[i] = worker_new(i, WORKERS, config, policy, boxes);
	assert_int_equal(outbox_reserve_all(&workers[0]->outbox, &stop_mail), 0);
}

static void teardown_world(void)
{
	while (n_questions > 0)
		forget_question(questions[0].session);
	outbox_free_all(&stop_mail);
	for (unsigned i = 0; i < CLIENTS; i++)
		away(&clients[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		worker_drop_connections(workers[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		worker_free(&workers[i]);
	mailboxes_free(&boxes, drop);
	policy_unref(&policy);
	config_free(&config);
	config_free(&config_without);
}

static void steps(unsigned n)
{
	while (n-- > 0) {
		struct client *c = &clients[chance(CLIENTS)];
		unsigned what = chance(300);

		if (what < 60) {
			worker_run(workers[chance(WORKERS)]);
		} else if (what < 280) {
			listen_to(c);
			act(c);
		} else if (what < 298) {
			authenticator_answers();
		} else if (what < 299) {
			ask_for_counters();
		} else if (chance(3) > 0) {
			authenticator_revokes();
		} else {
			reload_policy();
		}
		n_pressure += mailbox_pressure(boxes);
		n_long += workers[1]->peers.members.fan_out.list != NULL;
	}
}

/* The number of things that a worker has done. */
static uint64_t done(const struct worker *w)
{
	return w->outbox.n_posts + w->net.counters[NET_BYTES_IN] +
	       w->net.counters[NET_FREED];
}

/* Runs each worker once. True if one had work, or still has. */
static bool turns(void)
{
	bool busy = false;

	for (unsigned i = 0; i < WORKERS; i++) {
		const struct loop *l = workers[i]->loop;
		uint64_t before = done(workers[i]);
		worker_run(workers[i]);
		busy |= done(workers[i]) != before;
		busy |= !l->stopped &&
			(l->more ||
			 event_base_get_num_events(l->base, EVENT_BASE_COUNT_ACTIVE) > 0);
	}
	return busy;
}

/* Clients only answer, until nothing moves. */
static void settle_all(void)
{
	for (unsigned quiet = 0, n = 0; quiet < 4; quiet++) {
		assert_true(n++ < 10000);
		quiet = turns() ? 0 : quiet;
		for (struct client *c = clients; c < clients + CLIENTS; c++) {
			quiet = listen_to(c) ? 0 : quiet;
			while (c->state == JOINED && c->s.n_invocations > 0)
				answer(c);
		}
	}
}

/* All clients leave, and nothing must be left. */
static void everybody_goes(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		away(&clients[i]);
	while (lossy && n_questions > 0)
		authenticator_answers(); /* the client is gone */
	settle_all();
	check_all();
	assert_int_equal(n_questions, 0);
	for (unsigned i = 0; i < REALMS; i++)
		assert_int_equal(realm_now(i).subscriptions, 0);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(workers[i]->peers.members.lists.count, 0);
}

static void run(uint64_t seed)
{
	setup_world(seed);
	for (unsigned phase = 0; phase < PHASES; phase++) {
		if (phase == PHASES / 2)
			everybody_goes();
		steps(STEPS);
		settle_all();
		check_all();
	}
	steps(chance(STEPS));
	stopping = true;
	outbox_send_all_reserved(&workers[0]->outbox, &(struct post){.type = POST_STOP},
				 &stop_mail);
	steps(STEPS);
	settle_all();
	for (unsigned i = 0; i < WORKERS; i++)
		assert_true(workers[i]->loop->stopped);
	for (unsigned i = 0; i < CLIENTS * CLIENTS; i++)
		check_drained(&clients[i / CLIENTS], &clients[i % CLIENTS]);
	teardown_world();
}

/* --- without memory --- */

/* Spare batches would hide a lack of memory for a long time. */
static void drop_spare_mail(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		while (boxes->box[i].sender.n_spare > 0)
			free(take_spare(&boxes->box[i].sender));
}

static uint64_t posts_lost(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		n += workers[i]->outbox.n_lost;
	return n;
}

/* After a shortage nothing is left behind, and everything works. */
static void check_recovered(void)
{
	enum { TRIES = 20 };

	settle_all();
	check_all();
	everybody_goes();
	uint64_t welcome = n_welcome, results = n_results;
	/* All clients join and register anew: a call may not be answered in one phase.
	 * Settle after each phase. The clients send more than the workers read, so over
	 * several phases their sockets would fill up. */
	for (unsigned i = 0; i < TRIES && (n_welcome == welcome || n_results == results);
	     i++) {
		steps(STEPS);
		settle_all();
		check_all();
	}
	everybody_goes();
	assert_true(n_welcome > welcome && n_results > results);
}

static void end_world(size_t live)
{
	stopping = true;
	outbox_send_all_reserved(&workers[0]->outbox, &(struct post){.type = POST_STOP},
				 &stop_mail);
	steps(STEPS);
	settle_all();
	for (unsigned i = 0; i < WORKERS; i++)
		assert_true(workers[i]->loop->stopped);
	teardown_world();
	assert_int_equal(memory.live, live);
}

/* Memory is short for a while, repeatedly, in varying degree. */
static void test_memory_is_short(void **state)
{
	static const unsigned one_in[] = {0, 1, 2, 5, 20, 100};

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		size_t live = memory.live, failed = memory.failed;
		uint64_t unavailable = n_unavailable;
		setup_world(seed);
		lossy = true;
		steps(STEPS);
		for (unsigned i = 0; i < 100; i++) {
			memory.one_in = one_in[chance(ARRAY_LEN(one_in))];
			for (unsigned k = 0; k < 10; k++) {
				drop_spare_mail();
				steps(STEPS / 200);
			}
		}
		memory.one_in = 0;
		assert_true(posts_lost() > 100);
		check_recovered();
		steps(STEPS);
		memory.one_in = 1; /* stopping needs no memory */
		end_world(live);
		memory.one_in = 0;
		assert_true(memory.failed > failed + 100);
		assert_true(n_unavailable > unavailable);
		lossy = false;
	}
}

/* Each allocation of a scenario fails in turn, alone or with all later ones. */
static void test_each_allocation_fails(void **state)
{
	enum { FEW = 600, RUNS = 60 };
	size_t n = 0, step = 0;

	(void)state;
	for (size_t first = 1; first <= n || n == 0; first += step) {
		size_t live = memory.live;
		setup_world(99);
		lossy = true;
		steps(FEW);
		size_t before = memory.count;
		memory.n = first % 2 == 0 ? 1 : 20;
		memory.first = n == 0 ? 0 : before + first;
		drop_spare_mail();
		steps(FEW);
		if (n == 0) {
			n = memory.count - before;
			step = n / RUNS + 1;
		}
		memory.first = 0;
		settle_all();
		check_all();
		everybody_goes();
		end_world(live);
		lossy = false;
	}
	assert_true(n > RUNS);
}

static void test_by_chance(void **state)
{
	const char *seed_text = getenv("SEED"), *n_text = getenv("SEEDS");
	uint64_t first = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
	uint64_t n = n_text != NULL      ? strtoull(n_text, NULL, 10)
		     : seed_text != NULL ? 1
					 : SEEDS;
	int first_free = 0;

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		/* the last SEED printed is the one that failed */
		fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
		run(seed);
		int fd = dup(0);
		close(fd);
		assert_true(seed == first || fd == first_free);
		first_free = fd;
	}
	if (n < SEEDS)
		return;
	assert_true(n_welcome > n * 100 && n_events > n * 1000 && n_results > n * 100);
	assert_true(n_roles_gone > n * 5);
	assert_true(n_lists > n * 10);
	assert_true(n_killed > n * 5 && n_callee_gone > n * 5 && n_pressure > n * 5);
	assert_true(n_long > n * 5 && n_whispers > n * 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_chance),
		cmocka_unit_test(test_memory_is_short),
		cmocka_unit_test(test_each_allocation_fails),
	};

	if (sodium_init() < 0)
		return 1;
	wrap_libevent();
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
