/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reloads the configuration while the router runs. A thread of its own reads the file,
 * since that may take long (a slow disk, or names of users that LDAP must look up). If
 * the file has no errors, worker 0 sends the new policy to every worker and waits until
 * each worker has checked its sessions against the policy. If the file has errors, the
 * log says which, and the old policy stays in force.
 *
 * Only the roles, permissions and options of realms take effect, but no change of
 * `history`. A log line names the other keys that have changed, and realms that were
 * added or removed; those need a restart.
 *
 * Call all functions on the thread of worker 0.
 */
#ifndef ROUTERD_CONTROL_RELOAD_H
#define ROUTERD_CONTROL_RELOAD_H

#include "common/counters.h"
#include "common/loop.h"
#include "routerd/config/policy.h"
#include "routerd/post/outbox.h"

#include <event2/event_struct.h>

struct reading;

enum reload_state {
	RELOAD_IDLE = 0,
	RELOAD_READING = 1,
	/* The workers have the policy, and some have not reported. */
	RELOAD_SWITCHING = 2,
	RELOAD_STOPPED = 3, /* no reload begins any more */
};

/* Only reload.c uses the fields. */
struct reload {
	struct loop *loop;
	const char *path;
	const struct config *config; /* the one that the router was started with */
	struct policy *policy;       /* counted; the last one sent to the workers */
	struct outbox *outbox;
	enum reload_state state;
	bool again; /* another reload must follow this one */
	struct reading *reading;
	struct event read_event;
	unsigned missing; /* workers that have not reported */
	struct revocation_counts ended;
	uint32_t revoked; /* subscriptions and registrations */
	uint64_t begun_ms;
	uint64_t done, refused; /* counters */
};

/*
 * path is the configuration's file, cfg the configuration that the router was started
 * with. cfg and outbox must stay valid until reload_stop, path as long as the process
 * runs. Takes its own reference to the policy.
 */
void reload_init(struct reload *r, struct loop *loop, const char *path,
		 const struct config *cfg, struct policy *policy, struct outbox *outbox);
/* Abandons a reload that is under way; no other begins. A second call does nothing. */
void reload_stop(struct reload *r);

/*
 * Begins a reload. If a reload is under way, exactly one more follows, even after several
 * calls. So the file is always read after the last call.
 */
void reload_begin(struct reload *r);

/* Handles POST_RELOADED, the report of a worker. */
void reload_reported(struct reload *r, const struct post *p);

extern const struct counter_table reload_counter_table; /* describes struct reload */

#endif
