/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads CALLs of meta procedures (specification: "Meta API"): checks the arguments and
 * puts their values into a POST_META. The worker's thread only.
 */
#ifndef ROUTERD_PEER_META_ARGS_H
#define ROUTERD_PEER_META_ARGS_H

#include "common/base.h"
#include "proto/msg.h"
#include "routerd/config/policy.h"
#include "routerd/post/post.h"

/* The slow part of meta_find, for a name that begins with "wamp.". */
enum meta_procedure meta_find_slowly(struct slice name);

/* The meta procedure with this name, or META_PROCEDURE_COUNT if there is none. */
static inline enum meta_procedure meta_find(struct slice name)
{
	if (LIKELY(name.len < 5 || memcmp(name.p, "wamp.", 5) != 0))
		return META_PROCEDURE_COUNT;
	return meta_find_slowly(name);
}

/*
 * Checks the arguments of a CALL, and puts the procedure and the values into *post. realm
 * is the slot of the caller's realm in the policy. *post holds references even after an
 * error: send it or call post_drop. Overwrites scratch. Returns 0, E_NOMEM, or E_VALUE;
 * with E_VALUE, *fault_out is the ERROR that the client must get.
 */
int meta_args_read(enum meta_procedure procedure, enum serializer s,
		   const struct msg_payload *args, const struct policy *policy,
		   unsigned realm, struct buf *scratch, struct post *post,
		   struct post_error *fault_out) MUSTCHECK;

#endif
