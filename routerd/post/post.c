/* SPDX-License-Identifier: Apache-2.0 */
/* The table of posts: destinations and ownership; any thread. See post.h. */
#include "routerd/post/post.h"

#include "common/sock.h"
#include "routerd/config/policy.h"
#include "routerd/net/conn.h"
#include "routerd/post/event_page.h"
#include "routerd/post/login_message.h"
#include "routerd/post/role_set.h"

#include <stdlib.h>

/* What a post owns besides a payload and options. */
enum owned {
	OWNS_NOTHING = 0,
	OWNS_IDENTITY = 1,
	OWNS_REVOCATION = 2,
	OWNS_FD = 3,
	OWNS_LOGIN = 4,
	OWNS_DISCLOSED = 5,
	OWNS_POLICY = 6,
	OWNS_SNAPSHOT = 7,
	OWNS_META = 8,
	OWNS_EVENT = 9,
	OWNS_PAGE = 10,
};

const struct post_kind post_kinds[POST_TYPE_COUNT] = {
#define X(name, to, owns) [POST_##name] = {POST_TO_##to, OWNS_##owns},
	POSTS(X)
#undef X
};

/* Drops what the post owns besides a payload and options. */
static void drop_owned(struct post *p)
{
	switch ((enum owned)post_kinds[p->type].owns) {
	case OWNS_NOTHING:
		break;
	case OWNS_IDENTITY:
		identity_unref(&p->identity);
		free(p->mail);
		break;
	case OWNS_REVOCATION:
		revocation_unref(&p->revocation);
		free(p->mail);
		break;
	case OWNS_POLICY:
		policy_unref(&p->policy);
		free(p->mail);
		break;
	case OWNS_SNAPSHOT:
		buf_free(&p->snapshot);
		free(p->mail);
		break;
	case OWNS_FD:
		sock_close(&p->connection.fd);
		conn_moved_free(&p->connection.moved);
		break;
	case OWNS_LOGIN:
		login_message_free(&p->login);
		break;
	case OWNS_EVENT:
		if (p->more != NULL)
			id_list_unref(&p->more);
		/* FALLTHROUGH */
	case OWNS_DISCLOSED:
		if (p->disclosed != NULL)
			identity_unref(&p->disclosed);
		break;
	case OWNS_META:
		if (meta_revokes(p->procedure))
			revocation_unref(&p->kill);
		else if (p->procedure == META_SUBSCRIPTION_GET_EVENTS)
			free(p->query);
		else
			role_set_free(&p->roles);
		break;
	case OWNS_PAGE:
		event_page_free(&p->page);
		break;
	}
}

/* Tests for NULL before each call: most posts lack these objects, and calls cost time. */
void post_drop(struct post *p)
{
	if (p->payload != NULL)
		payload_unref(&p->payload);
	if (UNLIKELY(p->options != NULL))
		options_unref(&p->options);
	if (post_kinds[p->type].owns != OWNS_NOTHING)
		drop_owned(p);
}

/* The bytes of what the post owns besides a payload and options. */
static NOINLINE size_t owned_size(const struct post *p)
{
	size_t size = 0;

	switch ((enum owned)post_kinds[p->type].owns) {
	case OWNS_NOTHING:
	/* Worker 0 sends one policy at a time, and keeps a reference itself. */
	case OWNS_POLICY:
		break;
	case OWNS_FD:
		size += p->connection.moved == NULL ? 0 : p->connection.moved->bytes->cap;
		break;
	case OWNS_IDENTITY:
		size += identity_size(p->identity);
		break;
	case OWNS_REVOCATION:
		size += p->revocation == NULL ? 0 : revocation_size(p->revocation);
		break;
	case OWNS_SNAPSHOT:
		size += p->snapshot == NULL ? 0 : p->snapshot->cap;
		break;
	case OWNS_LOGIN:
		size += p->login == NULL ? 0 : sizeof(*p->login) + p->login->len;
		break;
	case OWNS_EVENT:
		if (UNLIKELY(p->more != NULL))
			size += id_list_size(p->more);
		/* FALLTHROUGH */
	case OWNS_DISCLOSED:
		size += p->disclosed == NULL ? 0 : identity_size(p->disclosed);
		break;
	case OWNS_META:
		if (p->procedure == META_SUBSCRIPTION_GET_EVENTS)
			size += sizeof(*p->query);
		else if (!meta_revokes(p->procedure))
			size += role_set_size(p->roles);
		else if (p->kill != NULL)
			size += revocation_size(p->kill);
		break;
	case OWNS_PAGE:
		size += event_page_size(p->page);
		break;
	}
	return size;
}

size_t post_size(const struct post *p)
{
	size_t size = sizeof(*p);

	/* shared objects count in full, because this may be the last reference */
	if (UNLIKELY(p->options != NULL))
		size += options_size(p->options);
	if (post_kinds[p->type].owns != OWNS_NOTHING)
		size += owned_size(p);
	return size + payload_size(p->payload);
}
