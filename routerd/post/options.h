/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a message that do not fit into the flags of its post: who may get an
 * event (specification: "Subscriber Black- and Whitelisting"). They are immutable and
 * reference-counted. A message without such options has a NULL pointer instead. Any
 * thread.
 */
#ifndef ROUTERD_POST_OPTIONS_H
#define ROUTERD_POST_OPTIONS_H

#include "common/base.h"
#include "common/refs.h"
#include "proto/msg.h"
#include "routerd/post/identity.h"

enum { OPTIONS_MAX_FILTER = 1000 }; /* entries of one list */

struct options;

/*
 * Makes the options of a PUBLISH whose m->filters is not 0, with one reference. *out is
 * NULL if the lists exclude nobody. E_TYPE: a list is malformed or has too many entries;
 * m->fault says which list, for msg_fault_text. E_NOMEM.
 */
int options_new(enum serializer s, struct msg *m, struct options **out) MUSTCHECK;

static inline struct options *options_ref(struct options *o)
{
	return refs_take(o);
}
/*
 * Drops a reference and clears the caller's pointer. The last reference frees the
 * options. NULL-safe.
 */
void options_unref(struct options **o);

/* Bytes of memory, including the lists. */
size_t options_size(const struct options *o);

/* True if the options have lists that restrict who may get the event. */
bool options_restrict(const struct options *o);
/* True if both have the same lists. */
bool options_same_lists(const struct options *a, const struct options *b);
/* True if no session can pass, because an eligible list is empty. */
bool options_pass_nobody(const struct options *o);
/*
 * Copies the session ids in the eligible list to ids, each once, and returns their
 * number. Returns max + 1 if there are more than max, or if there is no eligible list.
 */
size_t options_eligible(const struct options *o, uint64_t *ids, size_t max);
/* True if this session passes all lists. */
bool options_pass(const struct options *o, const struct identity *who);

#endif
