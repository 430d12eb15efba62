/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps and publishes the testaments of sessions; the owner's thread. See testament.h. */
#include "routerd/core/testament.h"

#include "common/err.h"
#include "routerd/core/realm_int.h"

#include <stdlib.h>

/* A publication takes as long as ending this many memberships. */
enum { PUBLICATION_COST = 8 };

struct testament {
	TAILQ_ENTRY(testament) link;
	struct post publish; /* a POST_PUBLISH without acknowledge; owns its references */
};

TAILQ_HEAD(testament_list, testament);

/* Made for the first testament of a session, freed with the last one. */
struct testaments {
	struct testament_list detached, destroyed; /* in the order of publication */
	unsigned count;
	size_t bytes; /* sum of post_size */
};

static struct testaments *testaments_new(void)
{
	struct testaments *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	TAILQ_INIT(&all->detached);
	TAILQ_INIT(&all->destroyed);
	return all;
}

static struct testament_list *list_of(struct testaments *all, bool detached)
{
	return detached ? &all->detached : &all->destroyed;
}

int testament_add(struct realm *realm, struct session *s, struct post *p)
{
	struct testaments *all = s->testaments;
	size_t size = post_size(p), used = all == NULL ? 0 : all->bytes;

	if (size > TESTAMENT_BYTES_MAX - used ||
	    (all != NULL && all->count == TESTAMENTS_MAX))
		return E_LIMIT;
	struct testament *t = malloc(sizeof(*t));
	if (t == NULL || (all == NULL && (all = testaments_new()) == NULL)) {
		free(t);
		return E_NOMEM;
	}
	t->publish = *p;
	t->publish.type = POST_PUBLISH;
	p->payload = NULL;
	p->options = NULL;
	TAILQ_INSERT_TAIL(list_of(all, t->publish.detached), t, link);
	all->count++;
	all->bytes += size;
	s->testaments = all;
	realm->counters.testaments++;
	return 0;
}

/* Removes and frees one testament, and the struct with the last one. */
static void end_testament(struct realm *realm, struct session *s, struct testament *t)
{
	struct testaments *all = s->testaments;

	TAILQ_REMOVE(list_of(all, t->publish.detached), t, link);
	all->count--;
	realm->counters.testaments--;
	post_drop(&t->publish);
	free(t);
	if (all->count > 0)
		return;
	free(all);
	s->testaments = NULL;
}

/* Drops a testament that has not been published. */
static void drop_testament(struct realm *realm, struct session *s, struct testament *t)
{
	s->testaments->bytes -= post_size(&t->publish);
	end_testament(realm, s, t);
}

void testament_flush(struct realm *realm, struct session *s, bool detached)
{
	struct testament *t;

	while (s->testaments != NULL &&
	       (t = TAILQ_FIRST(list_of(s->testaments, detached))) != NULL)
		drop_testament(realm, s, t);
}

/* The same for one scope. */
static unsigned revoke_scope(struct realm *realm, struct session *s, bool detached)
{
	struct testament *t = s->testaments == NULL
				      ? NULL
				      : TAILQ_FIRST(list_of(s->testaments, detached));
	unsigned n = 0;

	for (struct testament *next; t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		if (session_may(realm, s, ACTION_PUBLISH, MATCH_EXACT,
				payload_uri(t->publish.payload)))
			continue;
		drop_testament(realm, s, t);
		n++;
	}
	return n;
}

unsigned testament_revoke(struct realm *realm, struct session *s)
{
	unsigned n = revoke_scope(realm, s, true);

	return n + revoke_scope(realm, s, false);
}

void testament_drop_all(struct realm *realm, struct session *s)
{
	testament_flush(realm, s, true);
	testament_flush(realm, s, false);
}

unsigned testament_publish(struct realm *realm, struct session *s, unsigned n)
{
	while (n > 0 && s->testaments != NULL) {
		struct testament *t = TAILQ_FIRST(&s->testaments->detached);

		if (t == NULL)
			t = TAILQ_FIRST(&s->testaments->destroyed);
		broker_publish(realm, s, &t->publish);
		end_testament(realm, s, t);
		n -= n < PUBLICATION_COST ? n : PUBLICATION_COST;
	}
	return n;
}
