/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a worker share: worker.c, which runs its turns, and worker_realms.c.
 * Only they include this header. The worker's thread.
 */
#ifndef ROUTERD_WORKER_INT_H
#define ROUTERD_WORKER_INT_H

#include "common/wheel.h"
#include "routerd/core/realm.h"
#include "routerd/net/net.h"
#include "routerd/peer/peers.h"
#include "routerd/worker.h"

enum stop_phase {
	STOP_NONE = 0,
	STOP_DRAINING = 1, /* posts between workers are still in flight */
	STOP_CLOSING = 2,  /* every client has been sent Close 1012 */
	STOP_DONE = 3,
};

struct worker {
	unsigned index, n_workers;
	char name[8]; /* "w2" */
	const struct config *config;
	struct mailboxes *boxes;
	struct outbox outbox;
	struct loop *loop;
	struct event mail_event;
	struct mail_list inbox; /* posts from the mailbox that are not handled yet */
	struct net net;
	struct peers peers;
	struct conn_conf *conn_confs;     /* one per listener */
	struct peer_listener *listeners;  /* one per listener */
	struct realm **realms;            /* NULL for realms of other workers */
	uint16_t busy[CONFIG_MAX_REALMS]; /* slots of realms with work */
	unsigned n_busy, last_busy;
	struct timer work_timer;
	bool work_waits;        /* work_timer is set */
	bool work_due;          /* work_timer has fired: do a piece of work in any case */
	struct id_series ids;   /* no other worker makes the same ids */
	struct wheel deadlines; /* deadlines of calls in the realms of this worker */
	struct timer deadline_timer;
	uint64_t deadline_timer_ms; /* when deadline_timer fires; 0: not armed */
	uint64_t turn_ms;           /* when the previous turn began */
	/* Add this to the loop's time to get the Unix time. Set in each turn; histories
	 * store the Unix time of events. */
	int64_t unix_offset_ms;
	struct control *control; /* worker 0; else NULL */

	enum stop_phase stop;
	unsigned drains;          /* workers whose POST_DRAIN has arrived */
	unsigned drains_missing;  /* workers whose POST_DRAINED has not arrived */
	unsigned workers_stopped; /* worker 0: how many workers have stopped */
	bool stop_late;           /* stop_timer has fired: do not wait any longer */
	struct timer stop_timer;
	struct mail_for_all drain_mail, drained_mail;
	struct mail_batch *stopped_mail;

	uint64_t posts_in;  /* posts from other workers */
	uint64_t pressures; /* how often mailbox_pressure stopped reading */
	struct log_rate pressure_rate;
	struct log_rate memory_rate;
	uint64_t lost_logged; /* value of outbox.n_lost that was logged last */
};

/* --- worker_realms.c --- */

/* Prepares the timers and deadlines; the worker's loop must exist. */
void worker_realms_init(struct worker *w);

/* Adds a realm to `busy` if it has work. */
void worker_note_work(struct worker *w, uint16_t realm);
/* The same for all realms of this worker. */
void worker_note_all_work(struct worker *w);

/*
 * Does pieces of work for the busy realms in turn, at least one, until the turn's budget
 * is spent. Does none while too many posts wait; the worker wakes up when they are fewer.
 * True if the next turn must not wait for an event.
 */
bool worker_work(struct worker *w);

/* Ends the calls whose deadline has passed. True as for worker_work. */
bool worker_run_deadlines(struct worker *w);

#endif
