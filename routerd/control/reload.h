/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reloads the configuration while the router runs. A thread of its own reads the file,
 * since that may take long (a slow disk, or names of users that LDAP must look up). If
 * the file has no errors, worker 0 sends the new policy to every worker and waits until
 * each worker has checked its sessions against the policy. If the file has errors, the
 * log says which, and the old policy stays in force.
 *
 * Only roles and permissions take effect. A log line names the other keys that have
 * changed, and realms that were added or removed; those need a restart.
 *
 * Call all functions on the thread of worker 0.
 */
#ifndef ROUTERD_CONTROL_RELOAD_H
#define ROUTERD_CONTROL_RELOAD_H

#include "common/counters.h"
#include "common/loop.h"
#include "routerd/config/policy.h"
#include "routerd/post/outbox.h"

struct reload;

/*
 * path is the configuration's file, cfg the configuration that the router was started
 * with. cfg and outbox must stay valid until reload_free, path as long as the process
 * runs. Takes its own reference to the policy. NULL if out of memory.
 */
struct reload *reload_new(struct loop *loop, const char *path, const struct config *cfg,
			  struct policy *policy, struct outbox *outbox) MUSTCHECK;
/* Abandons a reload that is under way. NULL-safe, clears the caller's pointer. */
void reload_free(struct reload **reload);

/*
 * Begins a reload. If a reload is under way, exactly one more follows, even after several
 * calls. So the file is always read after the last call.
 */
void reload_begin(struct reload *r);

/* Handles POST_RELOADED, the report of a worker. */
void reload_reported(struct reload *r, const struct post *p);

extern const struct counter_table reload_counter_table; /* describes struct reload */
void reload_log_counters(const struct reload *r);

#endif
