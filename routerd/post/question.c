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

/* A copy of a struct that these bytes follow. NULL: no memory. */
static void *copy_with(const void *from, size_t size, struct slice bytes)
{
	uint8_t *copy = malloc(size + bytes.len);

	if (copy == NULL)
		return NULL;
	memcpy(copy, from, size);
	if (bytes.len > 0)
		memcpy(copy + size, bytes.p, bytes.len);
	return copy;
}

struct login_question *login_question_new(uint16_t authenticator, uint64_t deadline_ms,
					  struct slice params)
{
	const struct login_question q = {
		.authenticator = authenticator,
		.deadline_ms = deadline_ms,
		.len = params.len,
	};

	static_assert(sizeof(q) == offsetof(struct login_question, params), "no gap");
	return copy_with(&q, sizeof(q), params);
}

struct login_answer *login_answer_new(enum login_outcome outcome,
				      const struct lookup_stamp *stamp,
				      struct slice bytes)
{
	const struct login_answer a = {
		.outcome = outcome, .stamp = *stamp, .len = bytes.len};

	static_assert(sizeof(a) == offsetof(struct login_answer, bytes), "no gap");
	return copy_with(&a, sizeof(a), bytes);
}

struct login_report *login_report_new(uint16_t authenticator, const char *method,
				      struct slice params)
{
	const struct login_report r = {
		.authenticator = authenticator, .method = method, .len = params.len};

	static_assert(sizeof(r) == offsetof(struct login_report, params), "no gap");
	return copy_with(&r, sizeof(r), params);
}
