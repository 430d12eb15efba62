/* SPDX-License-Identifier: Apache-2.0 */
/* What posts hold and how much they count for; any thread. See post.h. */
#include "routerd/post/post.h"

#include "common/sock.h"
#include "routerd/post/question.h"

#include <stdlib.h>

void post_drop(struct post *p)
{
	payload_unref(&p->payload);
	switch ((enum post_type)p->type) {
	case POST_JOIN:
		identity_unref(&p->identity);
		free(p->mail);
		break;
	case POST_JOIN_REFUSED:
	case POST_KILLED:
		revocation_unref(&p->revocation);
		break;
	case POST_REVOKE:
		revocation_unref(&p->revocation);
		free(p->mail);
		break;
	case POST_CONNECTION:
		sock_close(&p->connection.fd);
		break;
	case POST_LOGIN:
		login_question_free(&p->question);
		break;
	case POST_LOGIN_ANSWER:
		free(p->answer);
		break;
	case POST_LOGIN_REPORT:
		free(p->report);
		break;
	default: /* nothing but a payload */
		break;
	}
}

size_t post_size(const struct post *p)
{
	size_t size = sizeof(*p) + payload_size(p->payload);

	/* what others share counts in full: this may be the last reference */
	switch (p->type) {
	case POST_JOIN:
		return size + identity_size(p->identity);
	case POST_JOIN_REFUSED:
	case POST_KILLED:
	case POST_REVOKE:
		return size +
		       (p->revocation == NULL ? 0 : revocation_size(p->revocation));
	case POST_LOGIN:
		return size + p->question->len;
	case POST_LOGIN_ANSWER:
		return size + (p->answer == NULL ? 0 : p->answer->len);
	case POST_LOGIN_REPORT:
		return size + p->report->len;
	default:
		return size;
	}
}
