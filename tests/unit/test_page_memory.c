/* SPDX-License-Identifier: Apache-2.0 */
/* A client that asks for a page of events, while memory runs out at each allocation of
 * its worker in turn: the question, and the encoding of the page. The test is the owner.
 * The sources are included in this program, so that it can replace malloc for them. One
 * thread. */
#include "tests/unit/failing_malloc.h"

#include "common/buf.c"
#include "routerd/peer/meta_args.c"
#include "routerd/peer/send_page.c"
#include "routerd/post/event_page.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/login_fixture.h"

static int setup_session(void **state)
{
	int err = setup(state);

	allocations = fail_at = 0;
	say_hello();
	answer(5);
	say_authenticate();
	verify_signatures();
	owner_says(POST_JOINED, NULL);
	drop_posts();
	return err;
}

static int teardown_session(void **state)
{
	fail_at = 0;
	client_gone(CONN_END_LOST);
	return teardown(state);
}

/* The buffers that a worker keeps between messages are gone, and the connection is as if
 * nothing had happened. */
static void begin_round(size_t n)
{
	buf_fini(&w.peers.out);
	buf_fini(&w.peers.decoded);
	w.conn.sent[0] = '\0';
	w.conn.dropped = false;
	allocations = 0;
	fail_at = n;
}

/* The client has got the beginning of this message, and nothing else. */
static bool sent_one(const char *begin)
{
	return strncmp(w.conn.sent, begin, strlen(begin)) == 0 &&
	       strchr(w.conn.sent, '\n') == strrchr(w.conn.sent, '\n');
}

/* --- the question --- */

static void memory_runs_out_for_the_question(void **state)
{
	bool ok = false;
	unsigned refused = 0;

	(void)state;
	for (size_t n = 1; !ok; n++) {
		begin_round(n);
		/* the topic's escape also needs memory */
		say("[48,5,{},\"wamp.subscription.get_events\",[7],{\"limit\":3,"
		    "\"topic\":\"com.ex\\u0061mple.t\",\"reverse\":true}]");
		fail_at = 0;
		ok = n > allocations;
		if (n_posts == 0) {
			refused++;
			assert_true(w.conn.dropped || w.conn.close_code != 0 ||
				    sent_one("[8,48,5,{},\"wamp.error.unavailable\""));
			w.conn.close_code = 0;
			continue;
		}
		const struct post *p = must_have_posted(POST_META);
		assert_int_equal(n_posts, 1);
		assert_int_equal(p->id, 7);
		assert_int_equal(p->query->limit, 3);
		assert_true(p->query->reverse);
		assert_string_equal(w.conn.sent, "");
		drop_posts();
		/* the owner would have refused it: the call is over */
		attach_post(&w.peers,
			    &(struct post){.type = POST_ERROR,
					   .session = peer_ref(&w.conn.peer),
					   .request_type = WAMP_CALL,
					   .request = 5,
					   .error = {WAMP_ERROR_UNAVAILABLE, "x"}});
	}
	assert_in_range(refused, 1, 10);
}

/* --- the page --- */

enum { N_EVENTS = 3 };

/* An event in MessagePack, which must be transcoded for the client. */
static struct page_event event_of(unsigned number)
{
	char arguments[600] = "\x91\xda\x02\x00";
	struct msg_payload items = {slice_of(arguments, 4 + 512), 1};

	memset(arguments + 4, (int)('a' + number), 512);
	struct payload *p = payload_new(SERIALIZER_MSGPACK, slice_str("com.t"), items);
	assert_non_null(p);
	struct payload *kept = payload_keep(p);
	assert_non_null(kept);
	payload_unref(&p);
	return (struct page_event){
		.payload = kept,
		.disclosed = identity_ref(w.conn.peer.identity),
		.publication = 100 + number,
		.published_ms = 1000,
	};
}

static void deliver_page(bool bare)
{
	size_t failing = fail_at;

	fail_at = 0;
	struct event_page *page =
		event_page_new(N_EVENTS, MATCH_PREFIX, slice_str("com."));
	assert_non_null(page);
	for (unsigned i = 0; i < N_EVENTS; i++) {
		struct page_event e = event_of(i);
		event_page_add(page, &e);
	}
	page->member = true;
	page->bare = bare;
	page->last = 99 + N_EVENTS;
	allocations = 0;
	fail_at = failing;
	attach_post(&w.peers, &(struct post){
				      .type = POST_PAGE,
				      .session = peer_ref(&w.conn.peer),
				      .request = 5,
				      .page = page,
			      });
}

/* The client gets the whole page, or an error, or is dropped so that it does not wait. */
static void runs_out(bool bare)
{
	unsigned refused = 0, dropped = 0;
	size_t before = not_freed;
	bool ok = false;

	for (size_t n = 1; !ok; n++) {
		begin_round(n);
		deliver_page(bare);
		fail_at = 0;
		ok = n > allocations;
		refused += sent_one("[8,48,5,{},\"wamp.error.unavailable\"");
		dropped += w.conn.dropped;
		if (sent_one(bare ? "[50,5,{},[[{" : "[50,5,{},[{")) {
			assert_true(sent("\"publication\":100,"));
			assert_true(sent("\"publication\":102,"));
			assert_true(sent("ccccc\"]}"));
			assert_true(bare || sent("{\"is_limit_reached\":false}]"));
			assert_true(ok);
		} else {
			assert_true(w.conn.dropped || w.conn.sent[0] == '[');
		}
		buf_fini(&w.peers.out);
		assert_true(not_freed <= before);
	}
	/* the buffers of the event, of its items and of the message grow several times */
	assert_in_range(refused, 3, 30);
	assert_in_range(dropped, 0, 1);
}

static void memory_runs_out_for_a_page(void **state)
{
	(void)state;
	runs_out(false);
	runs_out(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_runs_out_for_the_question,
						setup_session, teardown_session),
		cmocka_unit_test_setup_teardown(memory_runs_out_for_a_page, setup_session,
						teardown_session),
	};
	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("page memory", tests, NULL, NULL);
}
