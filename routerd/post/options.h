/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the options of a message say beyond the flags of its post: who may get an event
 * (specification: "Subscriber Black- and Whitelisting"). Immutable and counted. A message
 * without such options has none, and costs nothing here. Any thread.
 */
#ifndef ROUTERD_POST_OPTIONS_H
#define ROUTERD_POST_OPTIONS_H

#include "common/base.h"
#include "proto/msg.h"
#include "routerd/post/identity.h"

enum { OPTIONS_MAX_FILTER = 1000 }; /* entries of one list */

struct options;

/*
 * Makes the options of a PUBLISH whose m->filters is not 0, with one reference. *out is
 * NULL if the lists exclude nobody. E_TYPE: a list is wrong or has too many entries, and
 * m->fault says which one for msg_fault_text. E_NOMEM.
 */
int options_new(enum serializer s, struct msg *m, struct options **out) MUSTCHECK;

struct options *options_ref(struct options *o);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void options_unref(struct options **o);

/* Bytes of memory, its lists included. */
size_t options_size(const struct options *o);

/* No session passes the lists: one of those that name the eligible is empty. */
bool options_pass_nobody(const struct options *o);
/* Does this session pass all lists? */
bool options_pass(const struct options *o, const struct identity *who);

#endif
