/* SPDX-License-Identifier: Apache-2.0 */
/* What a session that listens to all meta events knows of its realm. Each event must fit
 * what it knows: nothing begins twice or ends before it begins, and what a session holds
 * ends before the session. */
#ifndef TESTS_FUZZ_LISTENER_H
#define TESTS_FUZZ_LISTENER_H

#include "routerd/post/post.h"

#include <stdio.h>

enum { KNOWN_MAX = 64 };

/* A session, with id 0; a subscription or registration, with session 0; or a session that
 * has one. */
struct fact {
	uint64_t session, id;
};

struct knowledge {
	struct fact facts[KNOWN_MAX];
	size_t n;
};

static size_t find_fact(const struct knowledge *k, uint64_t session, uint64_t id)
{
	size_t i = 0;

	while (i < k->n && (k->facts[i].session != session || k->facts[i].id != id))
		i++;
	return i;
}

static bool knows(const struct knowledge *k, uint64_t session, uint64_t id)
{
	return find_fact(k, session, id) < k->n;
}

static void learn(struct knowledge *k, uint64_t session, uint64_t id)
{
	ASSERT(k->n < KNOWN_MAX);
	k->facts[k->n++] = (struct fact){session, id};
}

static void forget(struct knowledge *k, uint64_t session, uint64_t id)
{
	size_t i = find_fact(k, session, id);

	ASSERT(i < k->n);
	k->facts[i] = k->facts[--k->n];
}

/* Does another fact name this session, or this subscription or registration? */
static bool is_held(const struct knowledge *k, uint64_t session, uint64_t id)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->facts[i].session != 0 && k->facts[i].id != 0 &&
		    (k->facts[i].session == session || k->facts[i].id == id))
			return true;
	return false;
}

static bool knows_the_same(const struct knowledge *a, const struct knowledge *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!knows(b, a->facts[i].session, a->facts[i].id))
			return false;
	return a->n == b->n;
}

/* Takes in an event with the ids of a session and a subscription or registration. */
static void hear_of(struct knowledge *k, const char *verb, uint64_t session, uint64_t id)
{
	if (strcmp(verb, "delete") == 0) {
		ASSERT(!is_held(k, 0, id));
		forget(k, 0, id);
	} else if (verb[0] == 'u') {
		forget(k, session, id);
	} else {
		ASSERT(!knows(k, session, id));
		learn(k, session, id);
	}
}

/* Takes in an event. Two sessions have one id if one replaces the other. */
static void hear_event(struct knowledge *k, const struct post *event)
{
	struct slice topic = payload_uri(event->payload);
	unsigned long long session, id = 0;
	struct msg_payload items;
	char text[400], verb[20];

	ASSERT(payload_items(event->payload, SERIALIZER_JSON, &items) == 0);
	ASSERT(items.bytes.len < sizeof(text) && topic.len < sizeof(text));
	snprintf(text, sizeof(text), "%.*s", (int)topic.len, (const char *)topic.p);
	ASSERT(sscanf(text, "wamp.%*[a-z].on_%19s", verb) == 1);
	snprintf(text, sizeof(text), "%.*s", (int)items.bytes.len,
		 (const char *)items.bytes.p);
	if (strcmp(verb, "join") == 0) {
		ASSERT(sscanf(text, "[{\"session\":%llu,", &session) == 1);
		learn(k, session, 0);
		return;
	}
	ASSERT(sscanf(text, "[%llu,", &session) == 1 && knows(k, session, 0));
	if (strcmp(verb, "leave") == 0) {
		forget(k, session, 0);
		ASSERT(knows(k, session, 0) || !is_held(k, session, 0));
	} else if (strcmp(verb, "create") == 0) {
		ASSERT(sscanf(text, "[%*u,{\"id\":%llu,\"created\":", &id) == 1);
		ASSERT(!knows(k, 0, id));
		learn(k, 0, id);
	} else {
		ASSERT(sscanf(text, "[%*u,%llu]", &id) == 1 && knows(k, 0, id));
		hear_of(k, verb, session, id);
	}
}

#endif
