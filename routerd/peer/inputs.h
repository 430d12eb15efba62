/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of a session whose progressive input is open (specification: "Progressive
 * Call Invocations"). All chunks of an input are CALLs with the same request id, so only
 * this table says whether a CALL is new or continues an earlier one.
 *
 * An input is open from its first chunk to its last. If the call is answered or refused
 * before the last chunk, the caller may have sent more chunks already. The worker drops
 * them: they are not new calls, and the caller must not get a second error. So the table
 * keeps an answered input until its last chunk arrives, or until the session has
 * INPUTS_MAX later ones.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_INPUTS_H
#define ROUTERD_PEER_INPUTS_H

#include "common/id_table.h"

#include <sys/queue.h>

struct peer;

/* The limit on a session's inputs that are not answered, and also on answered ones. */
enum { INPUTS_MAX = 64 };

struct open_input {
	struct id_node node; /* owner: the caller's peer, id: CALL.Request */
	TAILQ_ENTRY(open_input) of_peer;
	bool answered;          /* the call has been answered or refused */
	bool encrypted;         /* Arguments is a binary (enc_algo) in each chunk */
	struct slice procedure; /* stored after the struct */
};

struct open_inputs {
	TAILQ_HEAD(, open_input) open;
	TAILQ_HEAD(, open_input) answered; /* the oldest first */
	uint32_t n_open, n_answered;
};

void inputs_init(struct open_inputs *inputs);

static inline bool inputs_any(const struct open_inputs *inputs)
{
	return inputs->n_open + inputs->n_answered > 0;
}

/* NULL if this CALL.Request does not continue a call. */
struct open_input *inputs_find(const struct peer *p, uint64_t request);
/* E_FULL: the session has INPUTS_MAX open inputs. E_NOMEM. */
int inputs_open(struct peer *p, uint64_t request, struct slice procedure,
		bool encrypted) MUSTCHECK;
/*
 * Remembers that a CALL with this request id was refused, whether it has an entry already
 * or not. Returns 0 or E_NOMEM.
 */
int inputs_refuse(struct peer *p, uint64_t request) MUSTCHECK;
/* A call has been answered. Does nothing if its input is not open. */
void inputs_answered(struct peer *p, uint64_t request);
/* The last chunk has arrived. */
void inputs_close(struct peer *p, struct open_input *in);
/* Call it when a session has ended. */
void inputs_end_all(struct peer *p);

#endif
