/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and frees login messages, and names their outcomes; any thread. See
 * login_message.h.
 */
#include "routerd/post/login_message.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

static const char *const texts[] = {
	[LOGIN_RESULT] = "the authenticator has answered",
	[LOGIN_ERROR] = "the authenticator has answered",
	[LOGIN_UNAVAILABLE] = "the authenticator is not available",
	[LOGIN_BUSY] = "the authenticator was too busy to take the question in time",
	[LOGIN_TIMEOUT] = "the authenticator did not answer in time",
	[LOGIN_LINK_BROKE] =
		"the connection to the authenticator broke twice before it answered",
	[LOGIN_NO_ROOM] = "too many questions are waiting for the authenticator",
	[LOGIN_NO_MEMORY] = "out of memory",
	[LOGIN_UNSUPPORTED] = "the authenticator does not support authorize",
};
static_assert(ARRAY_LEN(texts) == LOGIN_OUTCOME_COUNT,
	      "texts has a text for each outcome");

const char *login_outcome_text(enum login_outcome o)
{
	return texts[o];
}

struct login_message *login_message_new(const struct login_message *from,
					struct slice bytes)
{
	struct login_message *m = malloc(sizeof(*m) + bytes.len);

	if (m == NULL)
		return NULL;
	*m = *from;
	m->len = bytes.len;
	uint8_t *pos = m->bytes;
	slice_store(&pos, bytes);
	return m;
}

void login_message_free(struct login_message **mp)
{
	struct login_message *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	free(m->mail);
	/* a question may contain a ticket, which is a secret */
	sodium_memzero(m->bytes, m->len);
	free(m);
}
