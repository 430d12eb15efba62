/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what the clients of each address have, so that one address does not take the
 * room of all others. A network of IPv6 with 64 bits counts as one address, because it
 * often belongs to one client; so do all clients of a Unix socket. The worker's thread.
 */
#ifndef ROUTERD_NET_HOSTS_H
#define ROUTERD_NET_HOSTS_H

#include "common/address.h"
#include "common/id_table.h"

struct host {
	struct id_node node; /* in the table of hosts */
	unsigned count;
};

/* Adds one to the count of the address, which hosts_uncount ends. NULL: out of memory. */
struct host *hosts_count(struct id_table *hosts, const struct address *a) MUSTCHECK;
/* Clears the pointer, which may be NULL. */
void hosts_uncount(struct id_table *hosts, struct host **h);

/* The count of an address. */
unsigned hosts_get(const struct id_table *hosts, const struct address *a);

#endif
