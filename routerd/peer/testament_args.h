/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads CALLs of wamp.session.add_testament (specification: "Session Testament"): makes
 * the PUBLISH that the testament stands for. So a testament is read and judged by the
 * same functions as a publication. The worker's thread only.
 */
#ifndef ROUTERD_PEER_TESTAMENT_ARGS_H
#define ROUTERD_PEER_TESTAMENT_ARGS_H

#include "common/buf.h"
#include "proto/msg.h"

struct testament_args {
	struct buf message; /* the PUBLISH, in the client's encoding */
	struct buf decoded; /* scratch buffer of msg_read */
	/* What was read from message; lent until testament_args_fini. Its request is that
	 * of the CALL. */
	struct msg publish;
	bool detached; /* the scope */
};

/*
 * Reads the arguments of a CALL in encoding s. Whatever it returns, call
 * testament_args_fini. E_VALUE: an argument is wrong; fault_out gets a text that names
 * it. E_NOMEM.
 */
int testament_args_read(enum serializer s, const struct msg *call,
			struct testament_args *out,
			char fault_out[MSG_FAULT_TEXT_MAX]) MUSTCHECK;

void testament_args_fini(struct testament_args *t);

/* Converts the name of a scope. 0 or E_UNKNOWN. */
int testament_scope(struct slice name, bool *detached_out) MUSTCHECK;

#endif
