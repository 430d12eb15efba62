/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm, with its sessions, broker and dealer (specification: "Publish and Subscribe",
 * "Remote Procedure Calls"). One worker, the owner, routes all messages of a realm. A
 * realm's input and output are posts, and the output depends only on the input and on a
 * random seed. core/ uses no sockets, locks or clock, and of a payload it reads only the
 * URI: posts carry the time, and the worker runs the wheel that holds the deadlines.
 *
 * All functions run on the thread of the worker that owns the realm.
 */
#ifndef ROUTERD_CORE_REALM_H
#define ROUTERD_CORE_REALM_H

#include "common/counters.h"
#include "common/wheel.h"
#include "routerd/config/config.h"
#include "routerd/post/post.h"

struct policy;
struct realm;

/*
 * Limits of one session, of queues, and of retained events. The realm answers a request
 * beyond a limit with an ERROR, but an event beyond the limits of retained events is
 * published and not retained.
 */
struct realm_limits {
	uint32_t subscriptions;
	uint32_t registrations;
	uint32_t wildcards; /* subscriptions and registrations together */
	uint32_t calls;     /* in flight, with the session as the caller */
	/* Of the calls that wait for a free callee: the number and the bytes for one
	 * registration, and the bytes in the whole realm. */
	uint32_t queued_calls;
	size_t queued_bytes;
	size_t queued_total;
	/* Of the retained events: topics, bytes, and for how long (ms; 0: no limit). */
	uint32_t retained_topics;
	size_t retained_bytes;
	uint64_t retained_age_ms;
	/* Bytes of the retained events that one SUBSCRIBE gets. A single event may be
	 * longer. */
	size_t retained_answer;
};

/* Counters of a realm: field and name, type, help. */
#define REALM_COUNTERS(X)                                                                \
	X(sessions, GAUGE, "open sessions")                                              \
	X(subscriptions, GAUGE, "subscriptions, one for each topic or pattern")          \
	X(memberships, GAUGE,                                                            \
	  "sessions in subscriptions, summed over all subscriptions")                    \
	X(registrations, GAUGE, "registered procedures")                                 \
	X(callees, GAUGE, "callees, summed over all registered procedures")              \
	X(calls_in_flight, GAUGE, "calls without an answer yet")                         \
	X(calls_queued, GAUGE,                                                           \
	  "calls that wait for a free callee; calls_in_flight includes them")            \
	X(testaments, GAUGE, "testaments of open sessions")                              \
	X(orphans, GAUGE,                                                                \
	  "calls that have ended, but their callees still work on them; they count "     \
	  "towards a callee's concurrency")                                              \
	X(reroute_bytes, GAUGE,                                                          \
	  "bytes of calls that are kept because they may go on to another callee")       \
	X(publishes, COUNTER, "PUBLISH messages, and testaments of ended sessions")      \
	X(events, COUNTER,                                                               \
	  "events passed to workers: one for each worker with a subscriber of the "      \
	  "publication, or one for each subscriber if few sessions are eligible; and "   \
	  "one for each retained event that a subscriber gets")                          \
	X(calls, COUNTER, "CALL messages")                                               \
	X(chunks, COUNTER, "CALL messages that continue a call with progressive input")  \
	X(late_chunks, COUNTER,                                                          \
	  "chunks dropped because their call had ended or was being canceled; chunks "   \
	  "includes them")                                                               \
	X(results, COUNTER, "results of calls")                                          \
	X(progressive_results, COUNTER, "progressive results sent to callers")           \
	X(no_available_callee, COUNTER,                                                  \
	  "calls refused because all callees were busy and the queue was full, or "      \
	  "because each callee answered that it is unavailable")                         \
	X(reroutes, COUNTER,                                                             \
	  "calls that went on to another callee because one answered that it is "        \
	  "unavailable")                                                                 \
	X(reroutes_full, COUNTER,                                                        \
	  "calls that could not go on to another callee because routerd already kept "   \
	  "too many bytes for that")                                                     \
	X(takeovers, COUNTER,                                                            \
	  "registrations taken over by a REGISTER with force_reregister")                \
	X(revoked_callees, COUNTER, "callees taken off their registrations")             \
	X(revoked_memberships, COUNTER, "sessions taken out of their subscriptions")     \
	X(timeouts, COUNTER, "calls whose timeout has passed")                           \
	X(cancels, COUNTER, "calls that their callers canceled")                         \
	X(errors, COUNTER,                                                               \
	  "ERROR messages sent to clients: errors of callees, and refused requests")     \
	X(shapes_full, COUNTER,                                                          \
	  "wildcards refused because the realm has too many wildcards whose empty "      \
	  "components are in different places")                                          \
	X(joins, COUNTER, "sessions that joined")                                        \
	X(goodbyes, COUNTER, "sessions that left with a GOODBYE")                        \
	X(gones, COUNTER, "sessions that left without a GOODBYE")                        \
	X(kills, COUNTER,                                                                \
	  "sessions ended by a revocation or a call, or because memory ran out")         \
	X(replaced, COUNTER,                                                             \
	  "sessions replaced before they had left; more than 0 is a bug")                \
	X(dropped_posts, COUNTER,                                                        \
	  "internal messages dropped because their session had left")                    \
	X(retained_topics, GAUGE, "topics with retained events")                         \
	X(retained_bytes, GAUGE, "memory of all retained events, in bytes")              \
	X(retained_full, COUNTER,                                                        \
	  "events not retained because of retained_topics or retained_size, or because " \
	  "memory ran out")                                                              \
	X(unsent_publishes, COUNTER,                                                     \
	  "publications, testaments and meta events that nobody got because memory ran " \
	  "out")                                                                         \
	X(history_events, GAUGE, "events in the histories")                              \
	X(history_bytes, GAUGE, "memory of the histories, in bytes")                     \
	X(history_too_large, COUNTER,                                                    \
	  "events not kept in a history because they need more than a quarter of its "   \
	  "bytes")                                                                       \
	X(history_missed, COUNTER,                                                       \
	  "events not kept in a history because memory ran out")                         \
	X(unknown_answers, COUNTER,                                                      \
	  "answers of callees that were dropped because the calls had ended")

struct realm_counters {
	REALM_COUNTERS(COUNTER_FIELD)
};
/* Describes struct realm_counters. */
extern const struct counter_table realm_counter_table;

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
 * Makes a realm without sessions. Posts name it by its slot; its sessions are on workers
 * 0 to n_workers - 1. The limits are copied; ids, deadlines and outbox are lent and must
 * live longer than the realm. NULL if out of memory.
 */
struct realm *realm_new(uint16_t slot, unsigned n_workers,
			const struct realm_limits *limits, struct id_series *ids,
			struct wheel *deadlines, struct outbox *outbox);

/*
 * Puts a policy into force, and takes a reference to it. Except at the first time, begins
 * a walk (realm_work) that takes away the subscriptions, registrations and testaments
 * that the sessions' roles do not allow any more. A later policy must not be older; if a
 * walk is unfinished, it begins anew.
 */
void realm_set_policy(struct realm *realm, struct policy *policy);
/* True if the walk is unfinished. *revoked_out: how many it has taken away so far. */
bool realm_walks_rights(const struct realm *realm, uint32_t *revoked_out);

/*
 * Keeps the events of n topics and patterns, for the procedure
 * wamp.subscription.get_events. Call it before the first post. *unix_offset_ms is what
 * must be added to the time of a post to get Unix milliseconds; it is lent, and its owner
 * may change it when the clock is set. created_ms is the Unix time now. E_NOMEM: the
 * caller must free the realm.
 */
int realm_keep_history(struct realm *realm, const struct config_history *list, size_t n,
		       const int64_t *unix_offset_ms, uint64_t created_ms) MUSTCHECK;

/* Changes the limits. Nothing ends if it is already beyond a new limit. */
void realm_set_limits(struct realm *realm, const struct realm_limits *limits);

/*
 * The router is stopping: sessions that end from now on leave no testaments, because all
 * clients lose their connections.
 */
void realm_stop(struct realm *realm);

/*
 * Frees the realm and everything in it, and sends no posts. Clears the caller's pointer.
 * NULL-safe.
 */
void realm_free(struct realm **realm);

/*
 * Handles one post from a worker, and takes the references that it holds. Drops and
 * counts a post from a session that has left. The worker must first check a JOIN against
 * the revocations that it remembers. Returns realm_has_work.
 */
bool realm_post(struct realm *realm, struct post *p);

/*
 * Handles a deadline that has passed. It is the callback of wheel_run, for the wheel that
 * the realms of a worker share. Run the wheel after realm_post, and never past the time
 * of a post that still waits: then a result that was read in time is never too late.
 */
void realm_deadline_passed(struct wheel_node *node, void *arg);

/*
 * Work that can wait until posts are handled: the walks of meta procedures, long queues
 * of calls, taking over registrations with many callees, taking away what a new policy
 * forbids, and ending the calls, registrations and memberships of sessions that have
 * left. realm_work does one slice of each kind, if there is any. A post, a deadline, a
 * revocation or a new policy may create such work.
 */
bool realm_has_work(const struct realm *realm);
void realm_work(struct realm *realm);

/*
 * Ends the sessions that match a revocation. The revocation must not be a dry run. Each
 * session gets a POST_KILLED with a reference to the revocation. To report how many
 * matched, each worker counts its own sessions (attach_revoke).
 */
void realm_revoke(struct realm *realm, struct revocation *revocation);

struct realm_counters realm_counters(const struct realm *realm);

#endif
