/* SPDX-License-Identifier: Apache-2.0 */
/* routerd/core/stored_event, and kept payloads: a stored event is as it was published,
 * and never grows. */
#include "routerd/core/stored_event.h"

#include "common/err.h"
#include "routerd/config/policy.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct role_slot role = {.refs = 1};

static struct payload *payload_of(const char *args)
{
	struct msg_payload items = {slice_str(args), 1};
	struct payload *p = payload_new(SERIALIZER_JSON, slice_str("com.topic"), items);

	assert_non_null(p);
	return p;
}

static struct options *only_for(const char *list)
{
	struct msg m = {.filters = 1 << MSG_ELIGIBLE_AUTHID};
	struct options *o;

	m.filter[MSG_ELIGIBLE_AUTHID] = slice_str(list);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &o), 0);
	return o;
}

static void test_kept_payload_does_not_grow(void **state)
{
	struct payload *p = payload_of("[1,\"two\"]"), *kept = payload_keep(p);
	struct msg_payload items;
	struct buf scratch;

	(void)state;
	assert_non_null(kept);
	payload_unref(&p);
	assert_true(slice_eq_str(payload_uri(kept), "com.topic"));
	buf_init(&scratch, 1000);
	/* its own encoding needs no scratch memory */
	assert_int_equal(payload_items_into(kept, SERIALIZER_JSON, &scratch, &items), 0);
	assert_true(slice_eq_str(items.bytes, "[1,\"two\"]"));
	assert_null(scratch.data);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			payload_items_into(kept, SERIALIZER_MSGPACK, &scratch, &items),
			0);
		assert_true(slice_eq_str(items.bytes, "\x92\x01\xa3two"));
		assert_int_equal(items.items, 1);
		assert_ptr_equal(items.bytes.p, scratch.data);
	}
	assert_in_range(malloc_usable_size(kept), payload_size(kept),
			payload_size(kept) + 16);
	buf_fini(&scratch);
	payload_unref(&kept);
}

static void test_items_into_for_shared_payloads(void **state)
{
	struct payload *p = payload_of("[1]");
	struct msg_payload items;
	struct buf scratch;

	(void)state;
	buf_init(&scratch, 1000);
	assert_int_equal(payload_items_into(p, SERIALIZER_CBOR, &scratch, &items), 0);
	assert_true(slice_eq_str(items.bytes, "\x81\x01"));
	/* the copy is in the payload's slot */
	assert_null(scratch.data);
	payload_unref(&p);
}

static void test_kept_payload_that_cannot_be_encoded(void **state)
{
	/* NaN */
	struct msg_payload nan = {slice_of("\x91\xca\x7f\xc0\x00\x00", 6), 1};
	struct payload *p = payload_new(SERIALIZER_MSGPACK, slice_str("a"), nan);
	struct msg_payload items;
	struct buf scratch;

	(void)state;
	struct payload *kept = payload_keep(p);
	payload_unref(&p);
	buf_init(&scratch, 1000);
	assert_int_equal(payload_items_into(kept, SERIALIZER_JSON, &scratch, &items),
			 E_UNSUPPORTED);
	buf_fini(&scratch);
	/* too little room */
	buf_init(&scratch, 3);
	assert_int_equal(payload_items_into(kept, SERIALIZER_CBOR, &scratch, &items),
			 E_LIMIT);
	buf_fini(&scratch);
	payload_unref(&kept);
}

static void test_same_lists(void **state)
{
	struct options *a = only_for("[\"a\",\"b\"]"), *b = only_for("[\"b\",\"a\"]");
	struct options *c = only_for("[\"a\"]"), *d = only_for("[\"a\",\"c\"]");

	(void)state;
	assert_true(options_restrict(a));
	assert_true(options_same_lists(a, b));
	assert_false(options_same_lists(a, c));
	assert_false(options_same_lists(a, d));
	options_unref(&a);
	options_unref(&b);
	options_unref(&c);
	options_unref(&d);
}

static void test_event_is_as_published(void **state)
{
	const struct identity from = {
		.role = &role,
		.session = 4711,
		.authid = slice_str("joe"),
		.authrole = slice_str("user"),
	};
	struct identity *who = identity_new(&from);
	struct post p = {
		.type = POST_PUBLISH,
		.payload = payload_of("[1]"),
		.options = only_for("[\"joe\"]"),
		.disclose = DISCLOSE_YES,
		.exclude_me = true,
		.trust = 3,
	};
	struct stored_event *e = stored_event_new(who, &p, 12, 34);
	size_t size = sizeof(*e) + payload_size(p.payload) + options_size(p.options) +
		      identity_size(who);

	(void)state;
	assert_non_null(e);
	assert_in_range(stored_event_size(e), size, size + 4 * 24);
	post_drop(&p);
	assert_int_equal(e->publication, 12);
	assert_int_equal(e->published_ms, 34);
	assert_int_equal(e->publisher, 4711);
	assert_int_equal(e->trust, 3);
	assert_true(e->exclude_me);
	assert_ptr_equal(e->disclosed, who);
	assert_true(stored_event_passes(e, who));
	identity_unref(&who);
	assert_true(slice_eq_str(e->disclosed->authid, "joe"));
	stored_event_free(&e);
	assert_null(e);
	stored_event_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_payload_does_not_grow),
		cmocka_unit_test(test_items_into_for_shared_payloads),
		cmocka_unit_test(test_kept_payload_that_cannot_be_encoded),
		cmocka_unit_test(test_same_lists),
		cmocka_unit_test(test_event_is_as_published),
	};
	return cmocka_run_group_tests_name("stored_event", tests, NULL, NULL);
}
