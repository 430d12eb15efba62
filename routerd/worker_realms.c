/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker does for its realms besides their posts: work that can wait, and the
 * deadlines of calls; see worker_int.h. The worker's thread.
 */
#include "routerd/worker_int.h"

enum {
	/* bytes of unhandled posts that make worker_work wait */
	WORK_AHEAD = 256 << 10,
	WORK_WAIT_MS = 5,
};

/* --- work that can wait, done in pieces between posts --- */

void worker_note_work(struct worker *w, uint16_t realm)
{
	unsigned i = 0;

	if (!realm_has_work(w->realms[realm]))
		return;
	while (i < w->n_busy && w->busy[i] != realm)
		i++;
	if (i == w->n_busy)
		w->busy[w->n_busy++] = realm;
}

void worker_note_all_work(struct worker *w)
{
	for (size_t i = 0; i < w->config->n_realms; i++)
		if (w->realms[i] != NULL)
			worker_note_work(w, (uint16_t)i);
}

/* The timer only starts a turn: worker_work runs at the end of every turn. */
static void on_work_timer(void *arg)
{
	struct worker *w = arg;

	w->work_waits = false;
	w->work_due = true;
}

/*
 * One post may cause work that sends very many posts: a session that ends may cause
 * 200,000 meta events. The posts for all other clients would then have to wait. So work
 * waits while more than WORK_AHEAD bytes of this worker's posts wait at any one worker,
 * itself included. A flood of posts must not delay work for ever: work_timer allows one
 * piece every WORK_WAIT_MS. If work must wait, this function sets the timer.
 */
static bool must_wait(struct worker *w)
{
	if (w->work_due || mailbox_in_flight(w->boxes, w->index) <= WORK_AHEAD) {
		w->work_due = false;
		return false;
	}
	/* Setting the timer again in every turn would delay it for ever. */
	if (!w->work_waits)
		timer_arm(&w->work_timer, WORK_WAIT_MS);
	w->work_waits = true;
	return true;
}

bool worker_work(struct worker *w)
{
	while (w->n_busy > 0 && !mailbox_pressure(w->boxes)) {
		if (must_wait(w))
			return false;
		w->last_busy = (w->last_busy + 1) % w->n_busy;
		struct realm *realm = w->realms[w->busy[w->last_busy]];
		realm_work(realm);
		if (!realm_has_work(realm))
			w->busy[w->last_busy] = w->busy[--w->n_busy];
		if (budget_posts_spent(&w->net.budget))
			return w->n_busy > 0;
	}
	return false;
}

/* --- deadlines of calls --- */

/* The timer only starts a turn: worker_run_deadlines runs at the end of each. */
static void on_deadline_timer(void *arg)
{
	struct worker *w = arg;

	w->deadline_timer_ms = 0;
}

/*
 * Finds the oldest message whose post is in the inbox. Returns the time at which it was
 * read, or time_ms if that is earlier. Stops searching at the first time before due_ms.
 */
static uint64_t oldest_in_inbox(const struct worker *w, uint64_t due_ms, uint64_t time_ms)
{
	const struct mail_batch *b;

	STAILQ_FOREACH (b, &w->inbox, link) {
		const struct post *posts = (const struct post *)(const void *)b->items;
		unsigned i = b->taken;

		while (i < b->count && posts[i].time_ms == 0)
			i++;
		/* A batch has one sender, so its first time is its oldest. */
		if (i < b->count && posts[i].time_ms < time_ms)
			time_ms = posts[i].time_ms;
		if (time_ms < due_ms)
			break;
	}
	return time_ms;
}

/*
 * If a result was read before the deadline of its call, the caller must get the result.
 * All messages that had arrived by turn_ms, when the previous turn began, have been read
 * by now, and their posts are handled or in a mailbox. So this function ends a call only
 * if its deadline is not later than turn_ms, and not later than the time of any message
 * whose post is still in the inbox.
 */
bool worker_run_deadlines(struct worker *w)
{
	uint64_t due_ms = wheel_next_ms(&w->deadlines);
	uint64_t now_ms = loop_now_ms(w->loop);

	if (due_ms != 0 && due_ms <= w->turn_ms) {
		mailbox_take(w->boxes, w->index, &w->inbox);
		mailbox_take_own(w->boxes, w->index, &w->inbox);
		uint64_t end_ms = oldest_in_inbox(w, due_ms, w->turn_ms);
		/* Run the wheel once even if the budget is spent. Otherwise a busy worker
		 * would never end a call. */
		do {
			wheel_run(&w->deadlines, due_ms < end_ms ? due_ms : end_ms,
				  realm_deadline_passed, NULL);
			due_ms = wheel_next_ms(&w->deadlines);
		} while (due_ms != 0 && due_ms <= end_ms &&
			 !budget_posts_spent(&w->net.budget));
		worker_note_all_work(w);
	}
	if (due_ms > now_ms && due_ms != w->deadline_timer_ms) {
		timer_arm(&w->deadline_timer, due_ms - now_ms);
		w->deadline_timer_ms = due_ms;
	}
	w->turn_ms = now_ms;
	return (due_ms != 0 && due_ms <= now_ms) || !STAILQ_EMPTY(&w->inbox);
}

void worker_realms_init(struct worker *w)
{
	timer_init(&w->work_timer, w->loop, on_work_timer, w);
	timer_init(&w->deadline_timer, w->loop, on_deadline_timer, w);
	wheel_init(&w->deadlines, loop_now_ms(w->loop));
}
