/* SPDX-License-Identifier: Apache-2.0 */
/* control/questions and control/link with an authenticator that the test plays, on a real
 * socket, with a clock that the test controls: pings, outages and pauses. One thread. */
#include "common/err.h"
#include "common/loop.h"
#include "common/sock.h"
#include "proto/auth_api.h"
#include "routerd/control/questions.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/wrapped_malloc.h"

/* --- doubles: the loop; the test fires the timers --- */

struct loop {
	struct event_base *base;
};

enum { TIMERS_MAX = 2048 };
static struct armed {
	struct timer *timer; /* NULL: free */
	uint64_t due;
} armed[TIMERS_MAX];
static uint64_t now_ms;

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

uint64_t clock_now_ns(void)
{
	return now_ms * 1000000;
}

uint64_t loop_now_ms(struct loop *l)
{
	(void)l;
	return now_ms;
}

int loop_reserve_timers(struct loop *l, unsigned n)
{
	(void)l;
	(void)n;
	return 0;
}

void loop_release_timers(struct loop *l, unsigned n)
{
	(void)l;
	(void)n;
}

void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg)
{
	(void)l;
	t->cb = cb;
	t->arg = arg;
}

void timer_disarm(struct timer *t)
{
	for (size_t i = 0; i < TIMERS_MAX; i++)
		if (armed[i].timer == t)
			armed[i].timer = NULL;
}

void timer_arm(struct timer *t, uint64_t after_ms)
{
	size_t i = 0;

	timer_disarm(t);
	while (armed[i].timer != NULL)
		i++;
	assert_true(i < TIMERS_MAX);
	armed[i] = (struct armed){.timer = t, .due = now_ms + after_ms};
}

/* --- doubles: the rest of the router --- */

enum { NUMBER = 7 };                             /* of each question */
static unsigned answers[LOGIN_OUTCOME_COUNT];    /* to logins */
static unsigned authorized[LOGIN_OUTCOME_COUNT]; /* to requests */
static unsigned queue_posts;                     /* POST_HOLD_QUEUE */

/* Answers to questions arrive in their reserved mail. */
void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail)
{
	struct post copy = *p;

	(void)ob;
	(void)to_worker;
	assert_non_null(*mail);
	free(*mail);
	*mail = NULL;
	assert_int_equal(p->id, NUMBER);
	assert_true(p->type == POST_LOGIN_ANSWER || p->type == POST_AUTHORIZED);
	(p->type == POST_AUTHORIZED
		 ? authorized
		 : answers)[p->login == NULL ? LOGIN_NO_MEMORY : p->login->outcome]++;
	post_drop(&copy);
}

bool outbox_send_all(struct outbox *ob, const struct post *p)
{
	(void)ob;
	queue_posts += p->type == POST_HOLD_QUEUE;
	return true;
}

/* --- the authenticator --- */

static struct world {
	struct loop loop;
	struct config *config;
	struct questions questions;
	char folder[64], path[96];
	int listener, link; /* -1: none */
	unsigned links, hellos, pings, asked;
	bool answers_pings, dies_of_questions;
	bool takes_one;  /* handle one request at a time */
	bool authorizes; /* has the feature */
	bool answers;    /* both kinds of questions */
	char order[64];  /* of the questions: L for a login, A for a request */
	unsigned asked_authorize;
	unsigned downs, spares; /* outages, and those that began with a spare socket */
} w;

/* The bytes of the msgid that ends at `end`, after [0, ...; 0 if there is none. */
static size_t msgid_len(const uint8_t *in, const uint8_t *end)
{
	static const uint8_t codes[] = {0, 0, 0xcc, 0xcd};

	for (size_t len = 1; len <= 3; len++) {
		const uint8_t *id = end - len;

		if (id - in >= 2 && memcmp(id - 2, "\x94\0", 2) == 0 &&
		    (len == 1 ? *id < 0x80 : *id == codes[len]))
			return len;
	}
	return 0;
}

/* Counts and answers calls of a method in the input. */
static unsigned serve_method(const uint8_t *in, size_t n, const char *method,
			     const char *answer)
{
	unsigned found = 0;
	char name[32];

	snprintf(name, sizeof(name), "%c%s", (char)(0xa0 + strlen(method)), method);
	for (size_t i = 0; i + strlen(name) <= n; i++) {
		size_t id_len = msgid_len(in, in + i), put;
		struct buf out;

		if (id_len == 0 || memcmp(in + i, name, strlen(name)) != 0)
			continue;
		found++;
		if (answer == NULL)
			continue;
		buf_init(&out, 1024);
		buf_put(&out, "\x94\1", 2);
		buf_put(&out, in + i - id_len, id_len);
		buf_put_u8(&out, 0xc0);
		buf_put_str(&out, answer);
		assert_int_equal(sock_write(w.link, out.data, out.len, &put), 0);
		buf_fini(&out);
	}
	return found;
}

static const char *hello_result(void)
{
	static char result[128];

	snprintf(result, sizeof(result), "%c\xa8protocol\x92\x01\x2a%s%s",
		 0x81 + w.takes_one + w.authorizes,
		 w.takes_one ? "\xacmax_inflight\x01" : "",
		 w.authorizes ? "\xa8"
				"features\x91\xa9"
				"authorize"
			      : "");
	return result;
}

/* Exact while the authenticator takes one question at a time. */
static void note_order(unsigned logins, unsigned requests)
{
	size_t n = strlen(w.order);

	for (; logins > 0 && n + 1 < sizeof(w.order); logins--)
		w.order[n++] = 'L';
	for (; requests > 0 && n + 1 < sizeof(w.order); requests--)
		w.order[n++] = 'A';
}

/* Lets the authenticator work once. */
static void authenticator_turn(void)
{
	static uint8_t in[65536];
	size_t n;
	int fd, r;

	if (w.listener != -1 && sock_accept(w.listener, &fd) == 0) {
		sock_close(&w.link);
		w.link = fd;
		w.links++;
	}
	while (w.link != -1 && (r = sock_read(w.link, in, sizeof(in), &n)) != E_AGAIN) {
		if (r != 0) {
			sock_close(&w.link);
			return;
		}
		w.hellos += serve_method(in, n, "hello", hello_result());
		w.pings += serve_method(in, n, "ping", w.answers_pings ? "\x80" : NULL);
		unsigned asked =
			serve_method(in, n, "authenticate", w.answers ? "\x80" : NULL);
		unsigned authorize =
			serve_method(in, n, "authorize", w.answers ? "\xc3" : NULL);
		w.asked += asked;
		w.asked_authorize += authorize;
		note_order(asked, authorize);
		if (asked + authorize > 0 && w.dies_of_questions)
			sock_close(&w.link);
	}
}

/* Lets both sides work until nothing more happens at this time. */
static void settle(void)
{
	for (int i = 0; i < 10; i++) {
		event_base_loop(w.loop.base, EVLOOP_NONBLOCK);
		authenticator_turn();
	}
}

/* Moves the clock, and fires the timers that become due. */
static void pass(uint64_t ms)
{
	uint64_t until = now_ms + ms;

	for (settle();; settle()) {
		struct armed *next = NULL;
		for (size_t i = 0; i < TIMERS_MAX; i++)
			if (armed[i].timer != NULL && armed[i].due <= until &&
			    (next == NULL || armed[i].due < next->due))
				next = &armed[i];
		if (next == NULL)
			break;
		struct timer *t = next->timer;
		now_ms = next->due > now_ms ? next->due : now_ms;
		next->timer = NULL;
		t->cb(t->arg);
	}
	now_ms = until;
}

static void listen_again(void)
{
	assert_int_equal(sock_listen_unix(w.path, 0600, &w.listener), 0);
}

static void stop_listening(void)
{
	unlink(w.path);
	sock_close(&w.listener);
}

static void on_request(struct link *l, struct rpc_request *req, struct slice method,
		       struct slice params)
{
	(void)l;
	(void)req;
	(void)method;
	(void)params;
	fail_msg("this authenticator asks nothing");
}

static void on_down(struct link *l)
{
	w.downs++;
	w.spares += l->spare != -1;
	questions_link_down(l);
}

static bool on_up(struct link *l)
{
	questions_link_up(container_of(l, struct questions, link));
	return true;
}

static const struct link_handlers link_handlers = {
	.up = on_up,
	.down = on_down,
	.request = on_request,
};
static uint64_t revocations;

static int setup(void **state)
{
	static const char yaml[] =
		"realms: [{name: r, roles: [{name: x, permissions: []}]}]\n"
		"authenticators: {authd: {socket: '%s'}}\n"
		"transports:\n"
		"  - type: websocket\n"
		"    endpoint: {type: tcp, port: 1}\n"
		"    auth: {cryptosign: {type: dynamic, authenticator: authd}}\n";
	char text[1024];
	struct conf_error err;

	(void)state;
	w = (struct world){
		.listener = -1, .link = -1, .answers_pings = true, .authorizes = true};
	memset(answers, 0, sizeof(answers));
	memset(authorized, 0, sizeof(authorized));
	queue_posts = 0;
	snprintf(w.folder, sizeof(w.folder), "/tmp/wamp.XXXXXX");
	assert_non_null(mkdtemp(w.folder));
	snprintf(w.path, sizeof(w.path), "%s/s", w.folder);
	snprintf(text, sizeof(text), yaml, w.path);
	if (config_parse(slice_str(text), "test", &w.config, &err) != 0)
		fail_msg("%s", err.text);
	w.loop.base = event_base_new();
	listen_again();
	w.questions.revocations = &revocations;
	questions_init(&w.questions, &w.loop, w.config, &link_handlers);
	pass(0);
	assert_int_equal(w.hellos, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	questions_fini(&w.questions);
	for (size_t i = 0; i < TIMERS_MAX; i++)
		assert_null(armed[i].timer);
	sock_close(&w.link);
	if (w.listener != -1)
		stop_listening();
	rmdir(w.folder);
	event_base_free(w.loop.base);
	config_free(&w.config);
	return 0;
}

static struct login_message *new_question(enum question_kind kind)
{
	static const struct auth_request req = {
		.authmethod = {(const uint8_t *)"cryptosign", 10},
		.session = FIELD_NONE,
		.ttl_ms = FIELD_NONE,
	};
	static const struct auth_authorize authorize = {
		.session = 1,
		.ttl_ms = FIELD_NONE,
		.uri = {(const uint8_t *)"com.example.p", 13},
		.action = {(const uint8_t *)"call", 4},
		.options_in = SERIALIZER_MSGPACK,
	};
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	int err = kind == QUESTION_AUTHORIZE
			  ? auth_authorize_write(&b, &authorize, AUTH_MAX_MESSAGE)
			  : auth_request_write(&b, &req, AUTH_MAX_MESSAGE);
	assert_int_equal(err, 0);
	struct login_message head = {
		.kind = kind, .number = NUMBER, .deadline_ms = now_ms + 10000};
	struct login_message *q = login_message_new(&head, buf_slice(&b));
	buf_fini(&b);
	assert_non_null(q);
	q->mail = malloc(1);
	assert_non_null(q->mail);
	return q;
}

static void ask(uint32_t slot)
{
	questions_ask(&w.questions, (struct session_ref){.slot = slot},
		      new_question(QUESTION_AUTHENTICATE));
}

static void ask_authorize(uint32_t slot)
{
	questions_ask(&w.questions, (struct session_ref){.slot = slot},
		      new_question(QUESTION_AUTHORIZE));
}

static unsigned sum(const unsigned counts[LOGIN_OUTCOME_COUNT])
{
	unsigned n = 0;

	for (unsigned o = 0; o < LOGIN_OUTCOME_COUNT; o++)
		n += counts[o];
	return n;
}

static void authenticator_goes(void)
{
	stop_listening();
	sock_close(&w.link);
	pass(10);
}

/* --- tests --- */

static void test_a_link_is_pinged_as_long_as_it_lives(void **state)
{
	(void)state;
	pass(60000);
	assert_int_equal(w.pings, 12);
	assert_int_equal(w.links, 1);
}

/* Two outages in a row: a new link does not count the missed pings of the old one. */
static void test_missed_pings(void **state)
{
	(void)state;
	w.answers_pings = false;
	pass(9999); /* one ping is out, and not missed yet */
	assert_int_equal(w.pings, 1);
	pass(2); /* missed */
	assert_int_equal(w.links, 1);
	sock_close(&w.link); /* the link with one missed ping is closed */
	pass(60);
	assert_int_equal(w.links, 2);
	w.pings = 0;
	pass(11000);
	assert_int_equal(w.pings, 2);
	assert_int_equal(w.links, 2);
	pass(6000);
	assert_int_equal(w.links, 3);
	/* an answer to a ping resets the count of missed ones */
	pass(7000);
	w.answers_pings = true;
	pass(3000);
	w.answers_pings = false;
	pass(10000);
	assert_int_equal(w.links, 3);
	pass(5000);
	assert_int_equal(w.links, 4);
}

/* Clients have taken every descriptor but the link's own: the next link gets that one. */
static void test_a_descriptor_is_kept_for_the_next_link(void **state)
{
	enum { FEW = 64 };
	struct rlimit old, now;
	int taken[FEW];
	size_t n = 0;

	(void)state;
	w.answers_pings = false;
	pass(14000); /* the second ping is out */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	now = (struct rlimit){FEW, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	while (n < FEW && (taken[n] = dup(0)) != -1)
		n++;
	pass(1001);
	while (n > 0)
		close(taken[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(w.downs, 1);
	assert_int_equal(w.spares, 1);
}

/* Logins keep the link busy all the time; pings are sent all the same. */
static void test_a_ping_has_its_turn(void **state)
{
	(void)state;
	w.takes_one = true;
	sock_close(&w.link);
	pass(100);
	assert_int_equal(w.links, 2);
	for (uint32_t i = 0; i < 100; i++) {
		ask(i);
		pass(200);
	}
	assert_in_range(w.pings, 1, 4);
	assert_true(w.asked > 5); /* and so are questions */
	assert_int_equal(w.links, 2);
	w.answers_pings = false;
	for (uint32_t i = 0; i < 100; i++) {
		ask(100 + i);
		pass(200);
	}
	assert_int_equal(w.links, 3);
}

/* routerd finds an authenticator within half a second after its return, but not before
 * its pause is over. */
static void test_pauses(void **state)
{
	(void)state;
	stop_listening();
	sock_close(&w.link);
	pass(60000);
	listen_again();
	pass(2000);
	assert_int_equal(w.links, 2);
	assert_int_equal(w.hellos, 2);
}

/* After two links the question's client is dropped. The pauses do not grow for others. */
static void test_a_question_that_it_dies_of(void **state)
{
	(void)state;
	w.dies_of_questions = true;
	ask(1);
	pass(200);
	assert_int_equal(w.asked, 2);
	assert_int_equal(answers[LOGIN_LINK_BROKE], 1);
	assert_int_equal(w.links, 3);
	/* it dies of every question: the pauses grow */
	for (uint32_t i = 0; i < 300; i++)
		ask(10 + i);
	pass(6000);
	assert_true(w.links < 25);
	assert_int_equal(sum(answers), 301);
}

static void test_why_there_is_no_answer(void **state)
{
	(void)state;
	ask(1); /* never answered */
	pass(2500);
	assert_int_equal(w.asked, 1);
	assert_int_equal(answers[LOGIN_TIMEOUT], 1);
	stop_listening();
	sock_close(&w.link);
	pass(10);
	ask(2);
	pass(5200);
	assert_int_equal(answers[LOGIN_UNAVAILABLE], 1);
	for (uint32_t i = 0; i < 4097; i++)
		ask(10 + i);
	assert_int_equal(answers[LOGIN_NO_ROOM], 1);
}

/* A question that can be sent at once is never held. */
static void test_a_queue_for_one_is_not_full_while_the_link_is_up(void **state)
{
	(void)state;
	w.config->limits.hold_queue = 1;
	ask(1);
	ask(2);
	assert_int_equal(queue_posts, 0);
	stop_listening();
	sock_close(&w.link);
	pass(10000);
	queue_posts = 0;
	ask(3);
	assert_int_equal(queue_posts, 1);
}

/* Logins and requests take turns, so that neither waits for all of the other. */
static void test_requests_and_logins_take_turns(void **state)
{
	(void)state;
	w.takes_one = w.answers = true;
	authenticator_goes();
	for (uint32_t i = 0; i < 4; i++)
		ask(i);
	for (uint32_t i = 0; i < 6; i++)
		ask_authorize(10 + i);
	listen_again();
	pass(2000);
	assert_string_equal(w.order, "LALALALAAA");
	assert_int_equal(answers[LOGIN_RESULT], 4);
	assert_int_equal(authorized[LOGIN_RESULT], 6);
	/* the other way round */
	memset(w.order, 0, sizeof(w.order));
	authenticator_goes();
	for (uint32_t i = 0; i < 6; i++)
		ask_authorize(20 + i);
	ask(30);
	listen_again();
	pass(2000);
	assert_in_range(strcspn(w.order, "L"), 0, 1);
	assert_int_equal(strlen(w.order), 7);
}

/* Requests fail at once; logins go on. */
static void test_an_authenticator_that_does_not_authorize(void **state)
{
	(void)state;
	w.authorizes = false;
	w.answers = true;
	authenticator_goes();
	ask_authorize(1); /* held until routerd knows */
	ask(2);
	assert_int_equal(sum(authorized), 0);
	listen_again();
	pass(2000);
	assert_int_equal(authorized[LOGIN_UNSUPPORTED], 1);
	assert_int_equal(answers[LOGIN_RESULT], 1);
	ask_authorize(3);
	assert_int_equal(authorized[LOGIN_UNSUPPORTED], 2);
	ask(4);
	pass(10);
	assert_int_equal(answers[LOGIN_RESULT], 2);
	assert_int_equal(w.asked_authorize, 0);
	assert_int_equal(w.links, 2);
	assert_int_equal(w.questions.n_held[QUESTION_AUTHORIZE], 0);
	assert_int_equal(w.questions.bytes[QUESTION_AUTHORIZE], 0);
}

/* The queue of one kind may be full while that of the other has room. */
static void test_two_queues(void **state)
{
	(void)state;
	w.config->limits.hold_queue = 2;
	w.answers = true;
	authenticator_goes();
	for (uint32_t i = 0; i < 3; i++)
		ask_authorize(i);
	assert_int_equal(authorized[LOGIN_NO_ROOM], 1);
	assert_int_equal(w.questions.overflow[QUESTION_AUTHORIZE], 1);
	assert_int_equal(queue_posts, 0); /* which would refuse logins */
	for (uint32_t i = 0; i < 2; i++)
		ask(10 + i);
	assert_int_equal(sum(answers), 0);
	assert_int_equal(queue_posts, 1);
	ask(12);
	assert_int_equal(answers[LOGIN_NO_ROOM], 1);
	questions_cancel(&w.questions, (struct session_ref){.slot = 0});
	ask_authorize(3); /* in its place */
	ask_authorize(4);
	assert_int_equal(authorized[LOGIN_NO_ROOM], 2);
	listen_again();
	pass(2000);
	assert_int_equal(authorized[LOGIN_RESULT], 2);
	assert_int_equal(answers[LOGIN_RESULT], 2);
}

/* Nobody waits longer than until the deadline, whatever the authenticator does. */
static void test_why_a_request_has_no_answer(void **state)
{
	(void)state;
	ask_authorize(1);
	pass(2500);
	assert_int_equal(authorized[LOGIN_TIMEOUT], 1);
	w.dies_of_questions = true;
	ask_authorize(2);
	pass(1000);
	assert_int_equal(w.asked_authorize, 3);
	assert_int_equal(authorized[LOGIN_LINK_BROKE], 1);
	authenticator_goes();
	ask_authorize(3);
	pass(10000);
	assert_int_equal(authorized[LOGIN_UNAVAILABLE], 1);
	assert_int_equal(sum(authorized), 3);
	assert_int_equal(sum(answers), 0);
}

/* Each allocation fails in turn, alone or with all later ones. */
static void test_memory_runs_out(void **state)
{
	enum { QUESTIONS = 8 }; /* the even ones are about requests */
	struct login_message *q[QUESTIONS];
	bool over = false;

	for (size_t nth = 1; !over; nth++) {
		size_t live = memory.live, before;
		setup(state);
		before = memory.count;
		w.answers = nth % 3 == 0;
		/* the test's own allocations do not fail */
		for (uint32_t i = 0; i < QUESTIONS; i++)
			q[i] = new_question(i % 2 == 0 ? QUESTION_AUTHORIZE
						       : QUESTION_AUTHENTICATE);
		memory.first = memory.count + nth;
		memory.n = nth % 2 == 0 ? 1 : 20;
		for (uint32_t i = 0; i < QUESTIONS; i++)
			questions_ask(&w.questions, (struct session_ref){.slot = i},
				      q[i]);
		pass(1000);
		sock_close(&w.link); /* some are in flight, and are asked again */
		pass(1000);
		questions_cancel(&w.questions, (struct session_ref){.slot = 0});
		questions_cancel(&w.questions, (struct session_ref){.slot = 1});
		pass(8000);
		over = memory.count < memory.first;
		memory.first = 0;
		pass(30000);
		/* each once, except those that may have been canceled */
		assert_in_range(sum(authorized), QUESTIONS / 2 - 1, QUESTIONS / 2);
		assert_in_range(sum(answers), QUESTIONS / 2 - 1, QUESTIONS / 2);
		unsigned pings = w.pings;
		pass(20000);
		assert_true(w.pings > pings); /* the link works again */
		teardown(state);
		assert_true(memory.count > before);
		assert_int_equal(memory.live, live);
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_link_is_pinged_as_long_as_it_lives),
		TEST(test_missed_pings),
		TEST(test_a_descriptor_is_kept_for_the_next_link),
		TEST(test_a_ping_has_its_turn),
		TEST(test_pauses),
		TEST(test_a_question_that_it_dies_of),
		TEST(test_why_there_is_no_answer),
		TEST(test_a_queue_for_one_is_not_full_while_the_link_is_up),
		TEST(test_requests_and_logins_take_turns),
		TEST(test_an_authenticator_that_does_not_authorize),
		TEST(test_two_queues),
		TEST(test_why_a_request_has_no_answer),
		cmocka_unit_test(test_memory_runs_out),
	};
	if (sodium_init() < 0)
		return 1;
	wrap_libevent();
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("questions", tests, NULL, NULL);
}
