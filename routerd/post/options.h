/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a message that do not fit into the flags of its post: who may get an
 * event (specification: "Subscriber Black- and Whitelisting"), and how the endpoints have
 * encoded or encrypted the payload ("Payload Passthru Mode"). They are immutable and
 * reference-counted. A message without such options has a NULL pointer instead. Any
 * thread.
 */
#ifndef ROUTERD_POST_OPTIONS_H
#define ROUTERD_POST_OPTIONS_H

#include "common/base.h"
#include "common/refs.h"
#include "proto/msg.h"
#include "routerd/post/identity.h"

enum {
	OPTIONS_MAX_FILTER = 1000,   /* entries of one list */
	OPTIONS_MAX_PASSTHRU = 1024, /* bytes of the ppt_ and enc_ options together */
};

struct options;

/*
 * Makes the options of a message whose m->filters or m->passthru is not 0, with one
 * reference. *out is NULL if the lists exclude nobody and no options describe the
 * payload: without ppt_scheme the other ppt_ options are ignored, and without enc_algo
 * the other enc_ options. E_TYPE: an option is malformed or too long; m->fault says which
 * one, for msg_fault_text. E_NOMEM.
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

/*
 * The ppt_ and enc_ options, as in struct msg_details; valid as long as o. NULL: none.
 */
const struct slice *options_passthru(const struct options *o);
/*
 * True if a receiver that has announced these features, bits of enum wamp_feature, may
 * get a message with these options: payload_passthru_mode if there is ppt_scheme, and
 * payload_transparency if there is enc_algo.
 */
bool options_understood(const struct options *o, uint8_t features);

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
/* True if a list has ids of sessions, which say nothing about later sessions. */
bool options_name_sessions(const struct options *o);
/* True if this session passes all lists. */
bool options_pass(const struct options *o, const struct identity *who);

#endif
