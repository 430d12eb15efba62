/* SPDX-License-Identifier: Apache-2.0 */
/* control/auth_hello: routerd can always write its hello, and an authenticator can read
 * it. */
#include "routerd/control/auth_hello.h"

#include "proto/auth_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A configuration with n realms whose names have this length. */
static struct config *realms(unsigned n, int name_len)
{
	struct config *cfg = NULL;
	struct conf_error err;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_str(
		&b,
		"transports: [{type: websocket, id: t, endpoint: {type: tcp, port: 1},"
		" auth: {anonymous: {type: static, role: r}}}]\nrealms:\n");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "  - {name: a%0*u, roles: [{name: r}]}\n", name_len - 1,
			   i);
	if (config_parse(buf_slice(&b), "test", &cfg, &err) != 0)
		fail_msg("%s", err.text);
	buf_fini(&b);
	return cfg;
}

static void test_hello(void **state)
{
	static const struct {
		unsigned n;
		int name_len;
		bool named;
	} rows[] = {{1, 5, true}, {1000, 5, true}, {64, 255, false}};
	struct auth_hello_memory m = {.instance = "aa", .last_epoch = AUTH_NO_EPOCH};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config *cfg = realms(rows[i].n, rows[i].name_len);
		struct auth_hello h;
		struct buf b;
		size_t len;

		buf_init(&b, AUTH_MAX_MESSAGE);
		auth_hello_put(&b, cfg, &m);
		assert_int_equal(b.err, 0);
		assert_int_equal(auth_check(buf_slice(&b), &len), 0);
		assert_int_equal(len, b.len);
		assert_int_equal(fields_read_params(buf_slice(&b), &auth_hello_table, &h),
				 0);
		assert_int_equal(h.protocol.major, AUTH_VERSION_MAJOR);
		assert_int_equal(h.realms.len > 0, rows[i].named);
		assert_true(h.methods.len > 0);
		assert_true(h.listeners.len > 0);
		buf_fini(&b);
		config_free(&cfg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hello)};

	return cmocka_run_group_tests_name("auth_hello", tests, NULL, NULL);
}
