/* SPDX-License-Identifier: Apache-2.0 */
/* What travels between logins and authenticators; any thread. See question.h. */
#include "routerd/post/question.h"

#include <assert.h>
#include <stdlib.h>

static const char *const texts[] = {
	[LOGIN_RESULT] = "the authenticator has answered",
	[LOGIN_ERROR] = "the authenticator has answered",
	[LOGIN_UNAVAILABLE] = "the authenticator is not available",
	[LOGIN_BUSY] = "the authenticator is busy with other logins",
	[LOGIN_TIMEOUT] = "the authenticator did not answer in time",
	[LOGIN_LINK_BROKE] = "the link to the authenticator broke each time it was asked "
			     "about this login",
	[LOGIN_NO_ROOM] = "too many logins wait for the authenticator",
	[LOGIN_NO_MEMORY] = "out of memory",
};
static_assert(ARRAY_LEN(texts) == LOGIN_OUTCOME_COUNT, "a text for each outcome");

const char *login_outcome_text(enum login_outcome o)
{
	return texts[o];
}

void login_question_free(struct login_question **qp)
{
	struct login_question *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	free(q->mail);
	free(q);
}

struct login_question *login_question_new(uint16_t authenticator, uint64_t deadline_ms,
					  struct slice params)
{
	struct login_question *q = malloc(sizeof(*q) + params.len);

	if (q == NULL)
		return NULL;
	*q = (struct login_question){
		.authenticator = authenticator,
		.deadline_ms = deadline_ms,
		.len = params.len,
	};
	memcpy(q->params, params.p, params.len);
	return q;
}

struct login_answer *login_answer_new(enum login_outcome outcome,
				      const struct lookup_stamp *stamp,
				      struct slice bytes)
{
	struct login_answer *a = malloc(sizeof(*a) + bytes.len);

	if (a == NULL)
		return NULL;
	*a = (struct login_answer){.outcome = outcome, .stamp = *stamp, .len = bytes.len};
	if (bytes.len > 0)
		memcpy(a->bytes, bytes.p, bytes.len);
	return a;
}

struct login_report *login_report_new(uint16_t authenticator, const char *method,
				      struct slice params)
{
	struct login_report *r = malloc(sizeof(*r) + params.len);

	if (r == NULL)
		return NULL;
	*r = (struct login_report){
		.authenticator = authenticator, .method = method, .len = params.len};
	memcpy(r->params, params.p, params.len);
	return r;
}
