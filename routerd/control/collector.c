/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the counters of all workers; see collector.h. Thread of worker 0. */
#include "routerd/control/collector.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

static void finish_collection(void *arg);

void collector_init(struct collector *c, struct loop *loop, struct outbox *outbox)
{
	memset(c, 0, sizeof(*c));
	c->outbox = outbox;
	timer_init(&c->deadline, loop, finish_collection, c);
}

static void drop_snapshots(struct collector *c)
{
	for (unsigned w = 0; w < c->outbox->n_workers; w++)
		buf_free(&c->workers[w].snapshot);
}

void collector_fini(struct collector *c)
{
	timer_disarm(&c->deadline);
	drop_snapshots(c);
}

/* --- requests and answers --- */

/* The request carries reserved memory for its answer, so the answer cannot be lost. */
static void request_counters(struct collector *c, unsigned worker)
{
	struct collected *from = &c->workers[worker];
	struct post request = {
		.type = POST_COUNT,
		.id = c->number,
		.mail = outbox_reserve(c->outbox),
	};

	from->owes = request.mail != NULL && post_send(c->outbox, worker, &request);
	if (!from->owes) {
		from->waits = false;
		free(request.mail);
	}
}

static bool is_complete(const struct collector *c)
{
	for (unsigned w = 0; w < c->outbox->n_workers; w++)
		if (c->workers[w].waits)
			return false;
	return true;
}

static void begin_collection(struct collector *c)
{
	c->running = true;
	c->number++;
	timer_arm(&c->deadline, COLLECTOR_MS);
	for (unsigned w = 0; w < c->outbox->n_workers; w++) {
		c->workers[w].waits = true;
		if (!c->workers[w].owes)
			request_counters(c, w);
	}
}

/* Also called when the deadline has passed. */
static void finish_collection(void *arg)
{
	struct collector *c = arg;

	timer_disarm(&c->deadline);
	c->running = false;
	c->done(c->arg);
	drop_snapshots(c);
	if (!c->again)
		return;
	c->again = false;
	begin_collection(c);
}

void collector_start(struct collector *c, void (*done)(void *arg), void *arg)
{
	c->done = done;
	c->arg = arg;
	if (c->running) {
		c->again = true;
		return;
	}
	begin_collection(c);
	if (is_complete(c))
		/* No worker got a request, so no answer will come. */
		finish_collection(c);
}

void collector_stop(struct collector *c)
{
	c->again = false;
	if (c->running)
		finish_collection(c);
}

void collector_post(struct collector *c, struct post *p)
{
	struct collected *from = &c->workers[p->session.worker];

	from->owes = false;
	if (!c->running)
		return;
	if (p->id != c->number) {
		/* This answers an earlier request, so the values may be too old. Ask
		 * again. */
		request_counters(c, p->session.worker);
	} else {
		from->waits = false;
		from->snapshot = p->snapshot;
		p->snapshot = NULL;
	}
	if (is_complete(c))
		finish_collection(c);
}

/* --- the log --- */

/* Logs the parts that belong to no realm in one line, and each realm in its own line. */
static void log_snapshot(const struct buf *s, const char *name, unsigned worker,
			 const struct config *cfg)
{
	struct counter_set sets[8];
	char head[COUNTERS_HEAD_MAX];
	const struct snapshot_part *part;
	size_t n = 0, at = 0;

	while ((part = snapshot_next(s, &at)) != NULL) {
		if (part->realm != SNAPSHOT_NO_REALM)
			continue;
		ASSERT(n < ARRAY_LEN(sets));
		sets[n++] = (struct counter_set){part->table, part->values};
	}
	snprintf(head, sizeof(head), "counters worker=%u", worker);
	counters_log(name, head, sets, n);
	at = 0;
	while ((part = snapshot_next(s, &at)) != NULL) {
		if (part->realm == SNAPSHOT_NO_REALM)
			continue;
		snprintf(head, sizeof(head), "counters realm=%s",
			 cfg->realms[part->realm].name);
		counters_log(name, head, &(struct counter_set){part->table, part->values},
			     1);
	}
}

void collector_log(const struct collector *c, const struct config *cfg)
{
	unsigned answered = 0;

	for (unsigned w = 0; w < c->outbox->n_workers; w++) {
		const struct collected *from = &c->workers[w];
		char name[16];

		snprintf(name, sizeof(name), "w%u", w);
		if (from->snapshot != NULL) {
			log_snapshot(from->snapshot, name, w, cfg);
			answered++;
		} else if (!from->waits) {
			log_error(name,
				  "counters are missing worker=%u reason=\"out of "
				  "memory\"",
				  w);
		} else {
			log_warn(name,
				 "counters are missing worker=%u reason=\"no answer\"",
				 w);
		}
	}
	log_info(NULL, "counters end workers=%u answered=%u", c->outbox->n_workers,
		 answered);
}
