/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of peers, packed, and networks of them. An IPv4 address that is mapped into
 * IPv6 is stored as IPv4. No state; any thread.
 */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include "common/base.h"

enum address_family {
	ADDRESS_UNKNOWN = 0,
	ADDRESS_UNIX = 1, /* the path is not stored */
	ADDRESS_IPV4 = 4,
	ADDRESS_IPV6 = 6,
};

struct address {
	uint8_t host[16]; /* big-endian; of IPv4, the first 4 */
	uint16_t port;    /* 0: not known */
	uint8_t family;   /* enum address_family */
};

struct address address_ipv4(const void *host, uint16_t port);
struct address address_ipv6(const void *host, uint16_t port);

bool address_same(const struct address *a, const struct address *b);

/*
 * Parses "192.0.2.1", "192.0.2.1:80", "2001:db8::1" or "[2001:db8::1]:80". E_SYNTAX.
 */
int address_parse(struct slice text, struct address *out) MUSTCHECK;

/* Parses digits as a port. E_SYNTAX. */
int address_parse_port(struct slice text, uint16_t *out) MUSTCHECK;

/* All addresses whose first bits are the same, or all Unix sockets. */
struct network {
	struct address base;
	uint8_t bits;
};

/* Parses "192.0.2.0/24", "2001:db8::/32", an address without a port, or "unix". E_SYNTAX.
 */
int network_parse(const char *text, struct network *out) MUSTCHECK;

/* Is the address in one of n networks? */
bool network_has(const struct network *networks, size_t n, const struct address *a);

#endif
