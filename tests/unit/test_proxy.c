/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/address and proto/proxy: addresses and networks as text, PROXY headers at each
 * cut, and X-Forwarded-For.
 */
#include "proto/proxy.h"

#include "common/err.h"
#include "common/sock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *name;
	} rows[] = {
		{"192.0.2.1", "tcp4:192.0.2.1:0"},
		{"192.0.2.1:80", "tcp4:192.0.2.1:80"},
		{"192.0.2.1:65535", "tcp4:192.0.2.1:65535"},
		{"2001:db8::1", "tcp6:2001:db8::1:0"},
		{"[2001:db8::1]", "tcp6:2001:db8::1:0"},
		{"[2001:db8::1]:80", "tcp6:2001:db8::1:80"},
		{"::ffff:192.0.2.1", "tcp4:192.0.2.1:0"},
		{"", NULL},
		{"192.0.2", NULL},
		{"192.0.2.1:", NULL},
		{"192.0.2.1:65536", NULL},
		{"192.0.2.1:080", NULL},
		{"192.0.2.1:8x", NULL},
		{"192.0.2.1 ", NULL},
		{"[192.0.2.1]:80", NULL},
		{"[2001:db8::1", NULL},
		{"[2001:db8::1]80", NULL},
		{"2001:db8::1%eth0", NULL},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222", NULL},
		{"unknown", NULL},
	};
	struct address a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = address_parse(slice_str(rows[i].text), &a);
		assert_int_equal(err, rows[i].name == NULL ? E_SYNTAX : 0);
		if (err == 0)
			assert_string_equal(sock_address_name(&a).text, rows[i].name);
	}
	assert_int_equal(address_parse(slice_of("1.2.3.4\0", 8), &a), E_SYNTAX);
}

static void test_networks(void **state)
{
	static const struct {
		const char *network, *inside, *outside;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1:9", "192.0.2.2"},
		{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
		{"192.0.2.128/25", "192.0.2.255", "192.0.2.127"},
		{"192.0.2.0/23", "192.0.3.1", "192.0.4.1"},
		{"0.0.0.0/0", "192.0.2.1", "::1"},
		{"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::2"},
		{"::/0", "2001:db8::1", "192.0.2.1"},
		{"::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"},
	};
	static const char *const bad[] = {"",       "10.0.0.0/33",  "10.0.0.0/",
					  "::/129", "10.0.0.0/08",  "10.0.0.1:80",
					  "UNIX",   "10.0.0.0/8/8", "::ffff:10.0.0.0/8",
					  "unix/8", "localhost"};
	const struct address local = {.family = ADDRESS_UNIX}, unknown = {.family = 0};
	struct network network;
	struct address a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(network_parse(rows[i].network, &network), 0);
		assert_int_equal(address_parse(slice_str(rows[i].inside), &a), 0);
		assert_true(network_has(&network, 1, &a));
		assert_int_equal(address_parse(slice_str(rows[i].outside), &a), 0);
		assert_false(network_has(&network, 1, &a));
		assert_false(network_has(&network, 1, &local));
		assert_false(network_has(&network, 1, &unknown));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(network_parse(bad[i], &network), E_SYNTAX);
	assert_int_equal(network_parse("unix", &network), 0);
	assert_true(network_has(&network, 1, &local));
	assert_false(network_has(&network, 1, &unknown));
	assert_false(network_has(&network, 0, &local));
}

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define HEADER(text, name)                                                               \
	{                                                                                \
		text, sizeof(text) - 1, name                                             \
	}
#define BAD NULL

static void test_headers(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *name;
	} rows[] = {
		HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n",
		       "tcp4:192.0.2.1:50000"),
		HEADER("PROXY TCP6 2001:db8::1 ::1 0 443\r\n", "tcp6:2001:db8::1:0"),
		HEADER("PROXY UNKNOWN\r\n", "unknown"),
		HEADER("PROXY UNKNOWN any thing\r\n", "unknown"),
		HEADER(V2 "\x20\0\0\0", "unknown"),
		HEADER(V2 "\x20\x99\0\1x", "unknown"),
		HEADER(V2 "\x21\0\0\2xx", "unknown"),
		HEADER(V2 "\x21\x12\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2", "unknown"),
		HEADER(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2",
		       "tcp4:192.0.2.1:1"),
		HEADER(V2 "\x21\x11\0\x10\xc0\0\2\1\xc0\0\2\2\0\1\0\2tlvs",
		       "tcp4:192.0.2.1:1"),
		HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\n", BAD),
		HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 50000 443 \r\n", BAD),
		HEADER("PROXY TCP4  192.0.2.1 192.0.2.2 50000 443\r\n", BAD),
		HEADER("PROXY TCP4 192.0.2.1:1 192.0.2.2 50000 443\r\n", BAD),
		HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 50000\r\n", BAD),
		HEADER("PROXY TCP4 ::1 ::2 50000 443\r\n", BAD),
		HEADER("PROXY TCP6 192.0.2.1 192.0.2.2 50000 443\r\n", BAD),
		HEADER("PROXY TCP6 [::1] ::2 50000 443\r\n", BAD),
		HEADER("PROXY UDP4 192.0.2.1 192.0.2.2 50000 443\r\n", BAD),
		HEADER("PROXY \r\n", BAD),
		HEADER("PROXY\r\n", BAD),
		HEADER(V2 "\x11\x11\0\x0c", BAD),
		HEADER(V2 "\x22\x11\0\x0c", BAD),
		HEADER(V2 "\x21\x13\0\x0c", BAD),
		HEADER(V2 "\x21\x41\0\x0c", BAD),
		HEADER(V2 "\x21\x11\0\x0b\xc0\0\2\1\xc0\0\2\2\0\1\0", BAD),
		HEADER(V2 "\x21\x11\7\xf1", BAD),
		HEADER("\x16", BAD),
		HEADER("G", BAD),
	};
	struct proxy_header h;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = E_AGAIN;
		size_t n = 0;
		why = NULL;
		while (err == E_AGAIN && n <= rows[i].len)
			err = proxy_header_parse(slice_of(rows[i].bytes, n++), &h, &why);
		if (rows[i].name == BAD) {
			assert_int_equal(err, E_SYNTAX);
			assert_non_null(why);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(n - 1, rows[i].len);
		assert_int_equal(h.len, rows[i].len);
		assert_string_equal(sock_address_name(&h.peer).text, rows[i].name);
		assert_false(h.ends_tls);
		assert_int_equal(h.server_name.len + h.tls_version.len, 0);
	}
}

/* What version 2 tells about TLS. Each row is the bytes behind the addresses. */
static void test_tlvs(void **state)
{
	static const struct {
		const char *tlvs;
		size_t len;
		const char *name, *version; /* NULL: none */
		bool ends;
	} rows[] = {
#define TLVS(text, ...) {text, sizeof(text) - 1, __VA_ARGS__}
#define SSL_13          "\x21\0\7TLSv1.3"
		TLVS("\2\0\3a.b", "a.b", NULL, false),
		TLVS("\1\0\2h2\2\0\3a.b\4\0\0", "a.b", NULL, false),
		TLVS("\x20\0\x0f\1\0\0\0\0" SSL_13 "\2\0\3a.b", "a.b", "1.3", true),
		/* a CN, and flags that say that a certificate was shown */
		TLVS("\x20\0\x13\7\0\0\0\0\x22\0\1x" SSL_13, NULL, "1.3", true),
		TLVS("\x20\0\5\1\0\0\0\0", NULL, NULL, true),
		/* the client does not use TLS, or the proxy does not end it */
		TLVS("\x20\0\x0f\0\0\0\0\0" SSL_13, NULL, NULL, false),
		/* the longest version, and one that is a byte longer */
		TLVS("\x20\0\x1b\1\0\0\0\0\x21\0\x13TLSv123456789012345", NULL,
		     "123456789012345", true),
		TLVS("\x20\0\x1c\1\0\0\0\0\x21\0\x14TLSv1234567890123456", NULL, NULL,
		     true),
		/* a version that is none */
		TLVS("\x20\0\x0e\1\0\0\0\0\x21\0\6SSLv3x", NULL, NULL, true),
		TLVS("\x20\0\x0c\1\0\0\0\0\x21\0\4TLSv", NULL, NULL, true),
		/* names that are empty, not UTF-8, or have a zero byte */
		TLVS("\2\0\0", NULL, NULL, false),
		TLVS("\2\0\1\xff", NULL, NULL, false),
		TLVS("\2\0\3a\0b", NULL, NULL, false),
		/* cut off: what comes before is taken */
		TLVS("\2\0\3a.b\x20", "a.b", NULL, false),
		TLVS("\2\0\3a.b\x20\0\5\1", "a.b", NULL, false),
		TLVS("\2\0\4a.b", NULL, NULL, false),
		TLVS("\x20\0\4\1\0\0\0", NULL, NULL, false),
		TLVS("\x20\0\7\1\0\0\0\0\x21\0", NULL, NULL, true),
	};
	static const char head[] = V2 "\x21\x11\0\0\xc0\0\2\1\xc0\0\2\2\0\1\0\2";
	char header[16 + 12 + 300];
	struct proxy_header h;
	const char *why;

	(void)state;
	memcpy(header, head, sizeof(head) - 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		/* as told by a proxy of IPv4, by one without addresses, and by LOCAL */
		for (int kind = 0; kind < 3; kind++) {
			size_t addresses = kind == 0 ? 12 : 0;
			size_t len = 16 + addresses + rows[i].len;

			header[12] = kind == 2 ? '\x20' : '\x21';
			header[13] = kind == 0 ? '\x11' : '\0';
			header[15] = (char)(addresses + rows[i].len);
			memcpy(header + 16 + addresses, rows[i].tlvs, rows[i].len);
			assert_int_equal(
				proxy_header_parse(slice_of(header, len), &h, &why), 0);
			assert_int_equal(h.len, len);
			assert_int_equal(h.ends_tls, kind != 2 && rows[i].ends);
			assert_true(slice_eq(h.server_name,
					     slice_str(kind == 2 || rows[i].name == NULL
							       ? ""
							       : rows[i].name)));
			assert_true(
				slice_eq(h.tls_version,
					 slice_str(kind == 2 || rows[i].version == NULL
							   ? ""
							   : rows[i].version)));
		}
		memcpy(header, head, sizeof(head) - 1);
	}
	/* the longest name, and one that is a byte longer */
	for (unsigned n = 255; n <= 256; n++) {
		memcpy(header + 28, (char[]){2, (char)(n >> 8), (char)n}, 3);
		memset(header + 31, 'n', n);
		header[14] = (char)((12 + 3 + n) >> 8);
		header[15] = (char)(12 + 3 + n);
		assert_int_equal(proxy_header_parse(slice_of(header, 31 + n), &h, &why),
				 0);
		assert_int_equal(h.server_name.len, n == 255 ? 255 : 0);
	}
}

/* The longest line, and one that is a byte longer. */
static void test_longest_line(void **state)
{
	char line[200];
	struct proxy_header h;
	const char *why;

	(void)state;
	snprintf(line, sizeof(line), "PROXY UNKNOWN %091d\r\n", 0);
	assert_int_equal(proxy_header_parse(slice_str(line), &h, &why), 0);
	assert_int_equal(h.len, 107);
	snprintf(line, sizeof(line), "PROXY UNKNOWN %092d\r\n", 0);
	assert_int_equal(proxy_header_parse(slice_str(line), &h, &why), E_SYNTAX);
}

/* A header is recognised by its first bytes. */
static void test_unexpected(void **state)
{
	static const char v1[] = "PROXY UNKNOWN\r\n", v2[] = "\r\n\r\n\0\r\nQUIT\n\x20";

	(void)state;
	for (size_t n = 0; n < sizeof(v1); n++)
		assert_int_equal(proxy_unexpected(slice_of(v1, n)) != NULL, n >= 6);
	for (size_t n = 0; n < sizeof(v2); n++)
		assert_int_equal(proxy_unexpected(slice_of(v2, n)) != NULL, n >= 12);
	assert_null(proxy_unexpected(slice_str("PROXY/1.1 GET /")));
	assert_null(proxy_unexpected(slice_str("\r\n\r\nGET / HTTP/1.1\r\n")));
}

static void test_forwarded_for(void **state)
{
	static const struct {
		const char *list, *name;
		bool good;
	} rows[] = {
		{"192.0.2.1", "tcp4:192.0.2.1:0", true},
		{"1.1.1.1, 192.0.2.1, 10.0.0.1", "tcp4:192.0.2.1:0", true},
		{"10.0.0.3, 10.0.0.2,10.0.0.1", "tcp4:10.0.0.3:0", true},
		{"1.1.1.1, x, 10.0.0.2, 10.0.0.1", "tcp4:10.0.0.2:0", false},
		{"x, 192.0.2.1", "tcp4:192.0.2.1:0", true},
		{"x, 10.0.0.2, 192.0.2.1, 10.0.0.1", "tcp4:192.0.2.1:0", true},
		{"192.0.2.1, x", "tcp4:10.9.9.9:1", false},
		{"", "tcp4:10.9.9.9:1", true},
		{",,", "tcp4:10.9.9.9:1", true},
	};
	struct network trusted;
	struct address a;

	(void)state;
	assert_int_equal(network_parse("10.0.0.0/8", &trusted), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_request req = {
			.n_headers = 1,
			.headers = {{slice_str("x-forwarded-for"),
				     slice_str(rows[i].list)}},
		};
		assert_int_equal(address_parse(slice_str("10.9.9.9:1"), &a), 0);
		assert_int_equal(proxy_forwarded_for(&req, &trusted, 1, &a),
				 rows[i].good);
		assert_string_equal(sock_address_name(&a).text, rows[i].name);
		assert_int_equal(address_parse(slice_str("11.9.9.9:1"), &a), 0);
		assert_true(proxy_forwarded_for(&req, &trusted, 1, &a));
		assert_string_equal(sock_address_name(&a).text, "tcp4:11.9.9.9:1");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),  cmocka_unit_test(test_networks),
		cmocka_unit_test(test_headers),    cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_tlvs),       cmocka_unit_test(test_forwarded_for),
		cmocka_unit_test(test_unexpected),
	};
	return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
