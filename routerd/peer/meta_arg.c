/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one argument of a meta procedure; see meta_arg.h. The worker's thread. */
#include "routerd/peer/meta_arg.h"

#include "common/err.h"
#include "routerd/post/event_page.h"

int meta_next_arg(struct meta_args *a)
{
	return token_next(&a->reader, &a->token);
}

bool meta_arg_is_null(const struct token *t)
{
	return t->type == TOKEN_NULL || t->type == TOKEN_UNDEFINED;
}

int meta_arg_text(struct meta_args *a, struct slice *out)
{
	return a->token.type != TOKEN_STR
		       ? E_TYPE
		       : token_text(&a->token, a->reader.serializer, a->scratch, out);
}

int meta_arg_uri(struct meta_args *a)
{
	static const struct msg_payload nothing = {.items = 0};
	struct slice uri;
	/* a dict may have the same key twice */
	int err = a->post->payload != NULL ? E_EXISTS : meta_arg_text(a, &uri);

	if (err != 0 || uri.len > WAMP_MAX_URI)
		return err != 0 ? err : E_LIMIT;
	a->post->payload = payload_new(SERIALIZER_MSGPACK, uri, nothing);
	return a->post->payload == NULL ? E_NOMEM : 0;
}

int meta_arg_limit(struct meta_args *a)
{
	uint64_t limit = EVENT_PAGE_MAX;
	int err = meta_arg_is_null(&a->token) ? 0 : token_id(&a->token, &limit);

	a->post->query->limit = limit < EVENT_PAGE_MAX ? (uint32_t)limit : EVENT_PAGE_MAX;
	return err;
}

int meta_arg_reason(struct meta_args *a)
{
	return meta_arg_is_null(&a->token) ? 0 : meta_arg_text(a, &a->kill.uri);
}

int meta_arg_message(struct meta_args *a)
{
	/* short, because a kill sends the message to many sessions */
	enum { KILL_MESSAGE_MAX = 1024 };
	int err = meta_arg_is_null(&a->token) ? 0 : meta_arg_text(a, &a->kill.message);

	return err == 0 && a->kill.message.len > KILL_MESSAGE_MAX ? E_LIMIT : err;
}
