/* SPDX-License-Identifier: Apache-2.0 */
/* A turn's budget; see budget.h. The worker's thread. */
#include "routerd/net/budget.h"

#include "common/loop.h"

enum {
	TURN_NS = 1000 * 1000,
	TURN_BYTES = 256 * 1024,
	/* Extra output for each connection that will be flushed. */
	BYTES_PER_CONN = 64 * 1024,
	NS_PER_CONN = 6000, /* about the time of one flush */
};

void budget_reading(struct budget *b)
{
	if (b->reading_since_ns == 0)
		b->reading_since_ns = clock_now_ns();
}

bool budget_reading_spent(const struct budget *b)
{
	return b->queued >= TURN_BYTES || clock_now_ns() - b->reading_since_ns >= TURN_NS;
}

void budget_posts(struct budget *b)
{
	b->posts_since_ns = clock_now_ns();
}

bool budget_posts_spent(const struct budget *b)
{
	uint64_t conns = b->conns;

	return b->queued >= TURN_BYTES + conns * BYTES_PER_CONN ||
	       clock_now_ns() - b->posts_since_ns >= TURN_NS + conns * NS_PER_CONN;
}

bool budget_crypto_spent(struct budget *b)
{
	uint64_t now = clock_now_ns();

	if (b->crypto_since_ns == 0)
		b->crypto_since_ns = now;
	return now - b->crypto_since_ns >= TURN_NS;
}
