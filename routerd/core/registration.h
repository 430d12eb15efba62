/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registrations (specification: "Remote Procedure Calls"): which procedures have a
 * callee. Knows nothing about calls. For core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_REGISTRATION_H
#define ROUTERD_CORE_REGISTRATION_H

#include "routerd/core/pattern.h"
#include "routerd/core/session.h"

struct registration {
	struct id_node node; /* owner: the callee, id: the registration's */
	LIST_ENTRY(registration) of_callee;
	bool discloses;         /* the callee must know its callers (disclose_caller) */
	struct pattern pattern; /* its text is stored after the struct */
};

/*
 * The registration that gets a call of this procedure. NULL if there is none. A pattern
 * may match the router's own URIs, but gets no calls of them. Ends registrations whose
 * callees have left, if they are found.
 */
struct registration *registration_find(struct realm *realm, struct slice procedure);

/* Each function handles the post of the same name. It may take the post's payload. */
void registration_register(struct realm *realm, struct session *s, struct post *p);
void registration_unregister(struct realm *realm, struct session *s, struct post *p);

/*
 * Ends at most n registrations of a session that leaves. Returns how many more it could
 * have ended: 0 if there may be more.
 */
unsigned registration_drop_some(struct realm *realm, struct session *s, unsigned n);

#endif
