/* SPDX-License-Identifier: Apache-2.0 */
/* INVOCATIONs that could not be sent; see unsent.h. The worker's thread. */
#include "routerd/peer/unsent.h"

#include "common/err.h"

#include <stdlib.h>

int unsent_add(struct unsent *u, uint64_t request)
{
	if (u->n == u->room) {
		unsigned room = 2 * u->room + 4;
		uint64_t *larger = realloc(u->requests, room * sizeof(*larger));

		if (larger == NULL)
			return E_NOMEM;
		u->requests = larger;
		u->room = room;
	}
	u->requests[u->n++] = request;
	return 0;
}

bool unsent_translate(const struct unsent *u, uint64_t *request)
{
	unsigned low = 0, high = u->n;

	/* In the owner's numbers, requests[i] is i higher, because the owner still counts
	 * those before it. Find how many of them are below *request. */
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (u->requests[middle] + middle < *request)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < u->n && u->requests[low] + low == *request)
		return false;
	*request -= low;
	return true;
}

void unsent_renumbered(struct unsent *u, size_t n)
{
	ASSERT(n <= u->n);
	u->n -= (unsigned)n;
	memmove(u->requests, u->requests + n, u->n * sizeof(*u->requests));
	if (u->n == 0)
		unsent_free(u);
}

void unsent_free(struct unsent *u)
{
	free(u->requests);
	*u = (struct unsent){.n = 0};
}
