/* SPDX-License-Identifier: Apache-2.0 */
/* Counts for each address; see hosts.h. */
#include "routerd/net/hosts.h"

#include <stdlib.h>
#include <string.h>

static uint64_t host_id(const struct address *a)
{
	uint64_t id = 0;

	memcpy(&id, a->host, a->family == ADDRESS_IPV6 ? sizeof(id) : 4);
	return id;
}

static struct host *find_host(const struct id_table *hosts, uint64_t id)
{
	struct id_node *node = id_table_find(hosts, NULL, id);

	return node == NULL ? NULL : container_of(node, struct host, node);
}

struct host *hosts_count(struct id_table *hosts, const struct address *a)
{
	uint64_t id = host_id(a);
	struct host *h = find_host(hosts, id);

	if (h == NULL) {
		h = calloc(1, sizeof(*h));
		if (h == NULL)
			return NULL;
		h->node.id = id;
		id_table_add(hosts, &h->node);
	}
	h->count++;
	return h;
}

void hosts_uncount(struct id_table *hosts, struct host **hp)
{
	struct host *h = *hp;

	*hp = NULL;
	if (h == NULL || --h->count > 0)
		return;
	id_table_remove(hosts, &h->node);
	free(h);
}

unsigned hosts_get(const struct id_table *hosts, const struct address *a)
{
	const struct host *h = find_host(hosts, host_id(a));

	return h == NULL ? 0 : h->count;
}
