/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registrations (specification: "Remote Procedure Calls", "Shared Registration"): which
 * procedures have callees, and which callee gets the next call. Knows nothing about calls
 * except how many of them each callee works on. For core/ only; on the owner's thread
 * only.
 */
#ifndef ROUTERD_CORE_REGISTRATION_H
#define ROUTERD_CORE_REGISTRATION_H

#include "routerd/core/pattern.h"
#include "routerd/core/session.h"

#include <sys/queue.h>

struct dealer;
struct takeover;
TAILQ_HEAD(callee_list, callee);

/*
 * A procedure or pattern with callees. Made for the first callee. It ends with the last
 * one, but is freed only when its queue is empty, too.
 */
struct registration {
	struct pattern pattern; /* its text is stored after the struct */
	uint8_t invoke;         /* enum wamp_invoke; all callees agree */
	bool awake;             /* it is in dealer.awake */
	uint32_t n_callees;
	struct callee_list callees; /* in the order in which they registered */
	/* The callees that may get a call, in the same order: those below their limit. */
	struct callee **free;
	uint32_t n_free, capacity;
	/*
	 * For roundrobin: the first n_passed free callees have had their turn in this
	 * round, and free[n_passed] is next. last_passed is the number of the callee that
	 * had its turn last.
	 */
	uint32_t n_passed;
	uint32_t n_queued;
	uint64_t last_passed;
	uint64_t last_number;  /* of the callee that registered last */
	uint32_t n_take_input; /* callees that take progressive input */
	/* Calls that wait for a free callee, the oldest first; the dealer's. */
	TAILQ_HEAD(, call) queue;
	size_t queued_bytes;
	TAILQ_ENTRY(registration) link; /* in dealer.awake */
	/* Set while the registration is being taken over; see registration_work. */
	struct takeover *takeover;
	TAILQ_ENTRY(registration) of_takeovers; /* in dealer.takeovers */
};

/* A session that has registered a procedure. */
struct callee {
	struct id_node node; /* owner: the session, id: the registration's */
	LIST_ENTRY(callee) of_session;
	TAILQ_ENTRY(callee) of_registration;
	/* NULL when it is no longer a callee, while calls still count towards its limit
	 */
	struct registration *registration;
	uint64_t number; /* a callee that registers later has a higher one */
	uint32_t limit;  /* of calls at the same time; 0: no limit */
	uint32_t active; /* calls that count towards the limit; without a limit 0 */
	bool is_free;    /* it is in registration.free */
	bool discloses;  /* it must know its callers (disclose_caller) */
	/* It has announced what progressive input needs: progressive_call_invocations and
	 * call_canceling. */
	bool takes_input;
	bool reroutes; /* it may answer that it is unavailable (call_reroute) */
};

/*
 * The registration that gets a call of this procedure. NULL if there is none. If the URI
 * is reserved for the router, a prefix or wildcard that matches it does not get the call.
 * If the callees of a registration that it finds have all left, ends that registration
 * and searches again.
 */
struct registration *registration_find(struct realm *realm, struct slice procedure);

/* The registration of a pattern in the dealer's index. NULL if p is NULL. */
static inline struct registration *registration_of(struct pattern *p)
{
	return p == NULL ? NULL : container_of(p, struct registration, pattern);
}

/* Each function handles the post of the same name. It may take the post's payload. */
void registration_register(struct realm *realm, struct session *s, struct post *p);
void registration_unregister(struct realm *realm, struct session *s, struct post *p);

/*
 * A REGISTER with force_reregister takes a registration over: it takes off all callees,
 * and then the session registers the procedure anew, with a new id. A registration may
 * have 100,000 callees, so this is done in slices (registration_work). Meanwhile the
 * remaining callees get calls, and nobody else can register the procedure. Calls that
 * wait in the queue go to the new callee. If the new callee leaves before the last slice,
 * the registration ends with its last callee.
 *
 * Does one slice of the first takeover, if there is any.
 */
void registration_work(struct realm *realm);

/*
 * Ends a callee against its will. The session's worker tells the client, if the client
 * understands it. The calls that the callee works on go on. The reason is the payload's
 * URI; if payload is NULL, it is `reason`, a constant.
 */
void registration_revoke(struct realm *realm, struct callee *callee, const char *reason,
			 struct payload *payload);
/* The session as a callee of a registration. NULL if it is none. */
struct callee *registration_callee(const struct dealer *d, const struct session *s,
				   uint64_t registration);

/*
 * Ends at most n registrations of a session that leaves. Returns n minus the number that
 * it ended: if that is 0, the session may have more.
 */
unsigned registration_drop_some(struct realm *realm, struct session *s, unsigned n);

/*
 * Chooses the callee for a call. NULL if all are at their limits. If the callee has a
 * limit, the call counts towards it until registration_give_back.
 */
struct callee *registration_take(struct realm *realm, struct registration *reg);
/*
 * Like registration_take, but passes over callees that do not take progressive input. The
 * time grows with the number of callees that it passes over.
 */
struct callee *registration_take_for_input(struct realm *realm, struct registration *reg);
/*
 * Like registration_take, for a call that other callees did not take: passes over those.
 * tried has their numbers, in the order in which they were asked; n_tried is 1 or more.
 */
struct callee *registration_take_next(struct realm *realm, struct registration *reg,
				      const uint64_t *tried, unsigned n_tried);
void registration_give_back(struct realm *realm, struct callee *callee);

/*
 * Must be called after a call has left the queue. If the registration has ended and this
 * was the last queued call, frees the registration.
 */
void registration_dequeued(struct realm *realm, struct registration *reg);

#endif
