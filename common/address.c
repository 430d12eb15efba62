/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of peers; see address.h. No state; any thread. */
#include "common/address.h"

#include "common/err.h"

#include <arpa/inet.h>

enum { HOST_TEXT_MAX = INET6_ADDRSTRLEN, MAPPED_BITS = 96 };

struct address address_ipv4(const void *host, uint16_t port)
{
	struct address a = {.family = ADDRESS_IPV4, .port = port};

	memcpy(a.host, host, 4);
	return a;
}

struct address address_ipv6(const void *host, uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct address a = {.family = ADDRESS_IPV6, .port = port};

	if (memcmp(host, mapped, sizeof(mapped)) == 0)
		return address_ipv4((const uint8_t *)host + sizeof(mapped), port);
	memcpy(a.host, host, sizeof(a.host));
	return a;
}

bool address_same(const struct address *a, const struct address *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->host, b->host, sizeof(a->host)) == 0;
}

int address_parse_port(struct slice text, uint16_t *out)
{
	unsigned port = 0;

	if (text.len == 0 || text.len > 5 || (text.p[0] == '0' && text.len > 1))
		return E_SYNTAX;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return E_SYNTAX;
		port = port * 10 + (unsigned)(text.p[i] - '0');
	}
	*out = (uint16_t)port;
	return port > UINT16_MAX ? E_SYNTAX : 0;
}

static int parse_host(struct slice text, struct address *out)
{
	char copy[HOST_TEXT_MAX];
	uint8_t host[16];

	if (text.len >= sizeof(copy) || memchr(text.p, '\0', text.len) != NULL)
		return E_SYNTAX;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, host) == 1)
		*out = address_ipv4(host, 0);
	else if (inet_pton(AF_INET6, copy, host) == 1)
		*out = address_ipv6(host, 0);
	else
		return E_SYNTAX;
	return 0;
}

int address_parse(struct slice text, struct address *out)
{
	struct slice host = text, rest = slice_of(NULL, 0);
	size_t colon = slice_find(text, ':');
	uint16_t port = 0;

	if (text.len == 0)
		return E_SYNTAX;
	if (text.p[0] == '[') {
		size_t end = slice_find(text, ']');
		if (end == text.len)
			return E_SYNTAX;
		host = slice_of(text.p + 1, end - 1);
		rest = slice_from(text, end + 1);
		if (slice_find(host, ':') == host.len)
			return E_SYNTAX;
	} else if (colon < text.len &&
		   memchr(text.p + colon + 1, ':', text.len - colon - 1) == NULL) {
		host = slice_of(text.p, colon);
		rest = slice_from(text, colon);
	}
	if (rest.len > 0 &&
	    (rest.p[0] != ':' || address_parse_port(slice_from(rest, 1), &port) != 0))
		return E_SYNTAX;
	int err = parse_host(host, out);
	out->port = port;
	return err;
}

int network_parse(const char *text, struct network *out)
{
	struct slice all = slice_str(text);
	size_t slash = slice_find(all, '/');
	uint16_t bits, most;
	bool mapped;

	*out = (struct network){.base.family = ADDRESS_UNIX};
	if (slice_eq_str(all, "unix"))
		return 0;
	if (parse_host(slice_of(all.p, slash), &out->base) != 0)
		return E_SYNTAX;
	mapped = out->base.family == ADDRESS_IPV4 && memchr(text, ':', slash) != NULL;
	most = out->base.family == ADDRESS_IPV4 && !mapped ? 32 : 128;
	bits = most;
	if (slash < all.len && address_parse_port(slice_from(all, slash + 1), &bits) != 0)
		return E_SYNTAX;
	if (bits > most || (mapped && bits < MAPPED_BITS))
		return E_SYNTAX;
	out->bits = (uint8_t)(mapped ? bits - MAPPED_BITS : bits);
	return 0;
}

static bool has(const struct network *w, const struct address *a)
{
	size_t whole = w->bits / 8;
	unsigned rest = w->bits % 8;

	return w->base.family == a->family && memcmp(w->base.host, a->host, whole) == 0 &&
	       (rest == 0 || (w->base.host[whole] ^ a->host[whole]) >> (8 - rest) == 0);
}

bool network_has(const struct network *networks, size_t n, const struct address *a)
{
	for (size_t i = 0; i < n; i++)
		if (has(&networks[i], a))
			return true;
	return false;
}
