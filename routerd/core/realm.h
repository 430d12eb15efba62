/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm at its owner: sessions, broker and dealer (specification: "Publish and
 * Subscribe", "Remote Procedure Calls", Basic Profile). Posts go in, posts come out; what
 * comes out depends on nothing but what went in. No socket, lock, clock or payload byte
 * is known here: the posts bring the time, and the worker runs the wheel of deadlines.
 * All functions: only on the thread of the worker that owns the realm.
 */
#ifndef ROUTERD_CORE_REALM_H
#define ROUTERD_CORE_REALM_H

#include "common/counters.h"
#include "common/wheel.h"
#include "routerd/post/post.h"

struct realm;

/* Maxima for one session. Beyond them a request is answered by an ERROR. */
struct realm_limits {
	uint32_t subscriptions;
	uint32_t registrations;
	uint32_t calls; /* in flight, as their caller */
};

/* Field and name, type, help. */
#define REALM_COUNTERS(X)                                                                \
	X(sessions, GAUGE, "open sessions")                                              \
	X(subscriptions, GAUGE, "subscriptions, one for each topic")                     \
	X(memberships, GAUGE,                                                            \
	  "sessions in subscriptions, summed over all subscriptions")                    \
	X(registrations, GAUGE, "registered procedures")                                 \
	X(calls_in_flight, GAUGE, "calls without an answer yet")                         \
	X(publishes, COUNTER, "PUBLISH messages")                                        \
	X(events, COUNTER,                                                               \
	  "events sent to workers: for each publication, one to each worker with a "     \
	  "subscriber")                                                                  \
	X(calls, COUNTER, "CALL messages")                                               \
	X(results, COUNTER, "results of calls")                                          \
	X(timeouts, COUNTER, "calls whose timeout has passed")                           \
	X(errors, COUNTER, "ERROR messages: those of callees, and those of the realm")   \
	X(joins, COUNTER, "sessions that joined")                                        \
	X(goodbyes, COUNTER, "sessions that left with a GOODBYE")                        \
	X(gones, COUNTER, "sessions that left without a GOODBYE")                        \
	X(kills, COUNTER,                                                                \
	  "sessions ended by a revocation, or because a post to them was lost")          \
	X(replaced, COUNTER, "sessions that left without a post; more than 0 is a bug")  \
	X(dropped_posts, COUNTER, "posts dropped because their session had left")        \
	X(unsent_publishes, COUNTER,                                                     \
	  "publications that nobody got because memory ran out")                         \
	X(unknown_answers, COUNTER,                                                      \
	  "results and errors of callees dropped because the call had ended")

struct realm_counters {
#define X(name, type, help) uint64_t name;
	REALM_COUNTERS(X)
#undef X
};
extern const struct counter_table realm_counter_table; /* of struct realm_counters */

/*
 * The ids that the realms of one worker give to subscriptions and registrations: first,
 * first + step, first + 2 * step, ... With first = index of the worker + 1 and step =
 * number of workers, no two subscriptions or registrations of the process ever have the
 * same id. The ids are small because wampy writes large ones as floating point; at
 * 10,000,000 ids a second in each of 16 workers they last for over a year.
 */
struct id_series {
	uint64_t next;
	uint64_t step;
};

/*
 * A realm without sessions, for sessions on workers 0 to n_workers - 1. Posts name it by
 * its slot. The limits are copied; ids, deadlines and outbox are lent and must live
 * longer. NULL: no memory.
 */
struct realm *realm_new(uint16_t slot, unsigned n_workers,
			const struct realm_limits *limits, struct id_series *ids,
			struct wheel *deadlines, struct outbox *outbox);

/* Forgets everything and posts nothing. NULL-safe, clears the caller's pointer. */
void realm_free(struct realm **realm);

/*
 * Handles one post from a worker to the owner and takes the references that it holds. A
 * post from a session that is not here (any more) is dropped and counted. The worker has
 * checked a JOIN against the revocations that it remembers.
 */
void realm_post(struct realm *realm, struct post *p);

/*
 * For wheel_run, of the wheel that the realms of a worker share: a deadline has passed.
 * Run it after realm_post, and not beyond the time of any post that waits: then a result
 * that was read before its call's deadline is never late.
 */
void realm_deadline_passed(struct wheel_node *node, void *arg);

/*
 * Ends the sessions that a revocation, which is no dry run, names, each with a
 * POST_KILLED that refers to it. How many they are is counted by their workers.
 */
void realm_revoke(struct realm *realm, struct revocation *revocation);

struct realm_counters realm_counters(const struct realm *realm);

#endif
