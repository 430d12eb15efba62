/* SPDX-License-Identifier: Apache-2.0 */
/* A realm for the tests of routerd/core/. The test plays the workers; a double of the
 * outbox records the posts. Include it in one file of a program. One thread. */
#ifndef TESTS_UNIT_CORE_FIXTURE_H
#define TESTS_UNIT_CORE_FIXTURE_H

#include "routerd/config/policy.h"
#include "routerd/core/realm_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
	N_WORKERS = 3,
	REALM = 1, /* slot of the realm under test */
	OWNER = 1, /* index of the worker that owns it */
};

/* Posts that the double of the outbox can hold; a test may define another number. */
#ifndef FIXTURE_ROOM
#define FIXTURE_ROOM 64
#endif

/* Stands for reserved mail; core/ frees it. */
#ifndef MAIL_NEW
#define MAIL_NEW()      malloc(1)
#define MAIL_FREE(mail) free(mail)
#endif

struct outbox {
	struct {
		unsigned to;
		struct post post;
	} sent[FIXTURE_ROOM];
	size_t first, end;
	bool discard;
	unsigned fail_at; /* 1: the next post finds no memory, 2: the one after it; 0:
			     none */
	unsigned roomy;   /* posts that post_room has promised room for */
};

struct core {
	struct outbox outbox;
	struct id_series ids;
	struct wheel deadlines;
	struct realm *realm;
};

static const struct realm_limits default_limits = {
	.subscriptions = 4,
	.registrations = 4,
	.wildcards = 3,
	.calls = 4,
	.retained_topics = 4,
	.retained_bytes = 1 << 20,
	.retained_answer = 1 << 16,
};

static void record(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	if (ob->discard) {
		struct post copy = *p;
		post_drop(&copy);
		return;
	}
	assert_true(ob->end < FIXTURE_ROOM);
	ob->sent[ob->end].to = to_worker;
	ob->sent[ob->end++].post = *p;
}

/* Whether there is memory for the next post. */
static bool has_room(struct outbox *ob)
{
	return ob->fail_at == 0 || --ob->fail_at > 0;
}

/* These replace those of routerd/post/outbox.c. */
bool post_send(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	if (ob->roomy > 0)
		ob->roomy--;
	else if (!has_room(ob))
		return false;
	record(ob, to_worker, p);
	return true;
}

bool post_room(struct outbox *ob, unsigned to_worker)
{
	(void)to_worker;
	if (!has_room(ob)) {
		ob->roomy = 0;
		return false;
	}
	ob->roomy++;
	return true;
}

void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail)
{
	assert_non_null(*mail);
	MAIL_FREE(*mail);
	*mail = NULL;
	record(ob, to_worker, p);
}

static inline void forget_sent(struct core *c)
{
	for (size_t i = 0; i < c->outbox.end; i++)
		post_drop(&c->outbox.sent[i].post);
	c->outbox.first = c->outbox.end = 0;
}

static int setup(void **state)
{
	struct core *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->ids = (struct id_series){.next = OWNER + 1, .step = N_WORKERS};
	wheel_init(&c->deadlines, 0);
	c->realm = realm_new(REALM, N_WORKERS, &default_limits, &c->ids, &c->deadlines,
			     &c->outbox);
	assert_non_null(c->realm);
	*state = c;
	return 0;
}

/* A test that succeeds must have looked at all posts. */
static int teardown(void **state)
{
	struct core *c = *state;

	assert_int_equal(c->outbox.first, c->outbox.end);
	realm_free(&c->realm);
	assert_null(c->realm);
	assert_int_equal(c->deadlines.nodes, 0);
	/* freeing a realm sends no posts */
	assert_int_equal(c->outbox.first, c->outbox.end);
	forget_sent(c);
	free(c);
	return 0;
}

#define core_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* With limits that a test does not reach. */
static inline int setup_large(void **state)
{
	static const struct realm_limits limits = {
		.subscriptions = 200000,
		.registrations = 200000,
		.wildcards = 200000,
		.calls = 200000,
		.retained_topics = 200000,
		.retained_bytes = 1 << 30,
		.retained_answer = 1 << 30,
	};
	struct core *c;

	setup(state);
	c = *state;
	realm_free(&c->realm);
	c->realm = realm_new(REALM, N_WORKERS, &limits, &c->ids, &c->deadlines,
			     &c->outbox);
	assert_non_null(c->realm);
	return 0;
}

#define large_test(f) cmocka_unit_test_setup_teardown(f, setup_large, teardown)

/* --- posts from the workers --- */

static inline struct session_ref ref(uint16_t worker, uint32_t slot, uint32_t generation)
{
	return (struct session_ref){
		.worker = worker, .slot = slot, .generation = generation};
}

static inline struct payload *payload(const char *uri, const char *arguments)
{
	struct msg_payload items = {
		.bytes = slice_str(arguments),
		.items = arguments == NULL ? 0 : 1,
	};
	struct payload *p = payload_new(SERIALIZER_JSON, slice_str(uri), items);

	assert_non_null(p);
	return p;
}

static inline void send_post(struct core *c, struct session_ref from, struct post p)
{
	p.realm = REALM;
	p.session = from;
	realm_post(c->realm, &p);
}

static inline uint64_t session_id(struct session_ref of)
{
	return 1000000 * (of.worker + UINT64_C(1)) + of.slot;
}

/* The role of all sessions that do not say another one. */
static struct role_slot device_role = {.refs = 1};

/* features: of the callee */
static inline void send_join_with(struct core *c, struct session_ref from,
				  const char *authid, uint8_t features)
{
	struct identity i = {
		.realm = REALM,
		.role = &device_role,
		.session = session_id(from),
		.features.of[WAMP_ROLE_CALLEE] = features,
		.authmethod = "cryptosign",
		.stamp = {.asked = true},
		.realm_name = slice_str("devices"),
		.authid = slice_str(authid),
		.authrole = slice_str("device"),
		.authprovider = slice_str("dynamic"),
		.channel = {"tcp", "websocket", "cbor"},
		.peer_name = slice_str("tcp4:192.0.2.1:51812"),
	};
	struct identity *identity = identity_new(&i);

	assert_non_null(identity);
	send_post(c, from,
		  (struct post){
			  .type = POST_JOIN, .identity = identity, .mail = MAIL_NEW()});
}

static inline void send_join(struct core *c, struct session_ref from, const char *authid)
{
	send_join_with(c, from, authid, 0);
}

static inline void send_uri(struct core *c, struct session_ref from, enum post_type type,
			    uint64_t request, const char *uri)
{
	send_post(c, from,
		  (struct post){.type = (uint8_t)type,
				.request = request,
				.payload = payload(uri, NULL)});
}

static inline void send_id(struct core *c, struct session_ref from, enum post_type type,
			   uint64_t request, uint64_t id)
{
	send_post(c, from,
		  (struct post){.type = (uint8_t)type, .request = request, .id = id});
}

static inline void send_args(struct core *c, struct session_ref from, enum post_type type,
			     uint64_t request, const char *arguments)
{
	send_post(c, from,
		  (struct post){.type = (uint8_t)type,
				.request = request,
				.payload = payload(NULL, arguments)});
}

/* --- posts to the workers --- */

static inline void expect_nothing(const struct core *c)
{
	assert_int_equal(c->outbox.first, c->outbox.end);
}

/* The next post to a worker, of this type. Its references are lent until the test ends.
 */
static inline struct post next_post(struct core *c, unsigned worker, enum post_type type)
{
	assert_true(c->outbox.first < c->outbox.end);
	size_t i = c->outbox.first++;
	struct post p = c->outbox.sent[i].post;

	assert_int_equal(p.type, type);
	assert_int_equal(p.realm, REALM);
	assert_int_equal(c->outbox.sent[i].to, worker);
	return p;
}

/* The next post has this type, goes to this session, and names this request. */
static inline struct post expect(struct core *c, struct session_ref to,
				 enum post_type type, uint64_t request)
{
	struct post p = next_post(c, to.worker, type);

	assert_true(session_ref_eq(p.session, to));
	assert_int_equal(p.request, request);
	return p;
}

static inline struct post expect_error(struct core *c, struct session_ref to,
				       enum wamp_type request_type, uint64_t request,
				       const char *uri, const char *text)
{
	struct post p = expect(c, to, POST_ERROR, request);

	assert_int_equal(p.request_type, request_type);
	assert_string_equal(p.error.uri, uri);
	assert_string_equal(p.error.text, text);
	assert_int_equal(p.full, strstr(text, "the session has too many") != NULL);
	return p;
}

static inline void assert_uri(const struct post *p, const char *uri)
{
	assert_non_null(p->payload);
	assert_true(slice_eq_str(payload_uri(p->payload), uri));
}

static inline void assert_args(const struct post *p, const char *arguments)
{
	struct msg_payload items;

	assert_non_null(p->payload);
	assert_int_equal(payload_items(p->payload, SERIALIZER_JSON, &items), 0);
	assert_true(slice_eq_str(items.bytes, arguments));
}

/* --- both --- */

static inline void join(struct core *c, struct session_ref who, const char *authid)
{
	send_join(c, who, authid);
	expect(c, who, POST_JOINED, 0);
}

/* What is left of sessions that hold more than one slice ends. */
static inline void finish_work(struct core *c)
{
	while (realm_has_work(c->realm))
		realm_work(c->realm);
}

static inline uint64_t subscribe(struct core *c, struct session_ref who,
				 const char *topic)
{
	send_uri(c, who, POST_SUBSCRIBE, 77, topic);
	return expect(c, who, POST_SUBSCRIBED, 77).id;
}

static inline void send_pattern(struct core *c, struct session_ref from,
				enum post_type type, uint64_t request, enum match how,
				const char *uri)
{
	send_post(c, from,
		  (struct post){.type = (uint8_t)type,
				.request = request,
				.match = (uint8_t)how,
				.created_ms = 1000,
				.payload = payload(uri, NULL)});
}

static inline uint64_t subscribe_to(struct core *c, struct session_ref who,
				    enum match how, const char *topic)
{
	send_pattern(c, who, POST_SUBSCRIBE, 77, how, topic);
	return expect(c, who, POST_SUBSCRIBED, 77).id;
}

static inline uint64_t provide(struct core *c, struct session_ref who,
			       const char *procedure)
{
	send_uri(c, who, POST_REGISTER, 78, procedure);
	return expect(c, who, POST_REGISTERED, 78).id;
}

#endif
