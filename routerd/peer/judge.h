/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks before a client's message is posted: is the URI valid, may the client's role
 * do this, does the receiver learn who the client is, and has the client announced the
 * feature that the message uses? A request that fails a check is refused here. The
 * worker's thread only.
 */
#ifndef ROUTERD_PEER_JUDGE_H
#define ROUTERD_PEER_JUDGE_H

#include "proto/msg.h"
#include "routerd/config/rights.h"
#include "routerd/post/post.h"

struct peer;

/*
 * Checks a request before it is posted to the owner, and puts into the post what the
 * owner must know about the permission. post->match says whether the URI is a pattern.
 * False if the request has been refused, or if it waits for the authorizer.
 */
bool judge_permits(struct peer *p, const struct msg *m, enum action action,
		   struct post *post);

/*
 * Refuses a request with an ERROR. If m is the PUBLISH of a testament, the ERROR answers
 * the CALL. A PUBLISH without acknowledge gets no answer: its refusal is only counted and
 * logged. If a CALL has progressive input, later chunks of it are dropped.
 */
void judge_refuse(struct peer *p, const struct msg *m, const char *uri, const char *text);

/* Writes an error text about an invalid URI or pattern. */
void judge_quote_bad_uri(enum match how, struct slice uri, char *to, size_t size);

/*
 * Aborts the session, and returns false, if the message uses ppt_scheme and HELLO did not
 * announce payload passthru mode for the role that sends it. enc_algo needs no
 * announcement.
 */
bool judge_passthru_announced(struct peer *p, const struct msg *m);

/*
 * False if the message uses a feature that the client has not announced: the session is
 * then aborted, because such options change the meaning of a message.
 */
static inline bool judge_announced(struct peer *p, const struct msg *m)
{
	return LIKELY(m->passthru == 0) || judge_passthru_announced(p, m);
}

#endif
