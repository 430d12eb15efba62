/* SPDX-License-Identifier: Apache-2.0 */
/* Ends sessions and their connections; see peer.h. The worker's thread. */
#include "routerd/peer/authorize.h"
#include "routerd/peer/login.h"
#include "routerd/peer/members.h"
#include "routerd/peer/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Sends an ABORT or a GOODBYE, without `message` if it is too long for the client. */
static void send_closing(struct peer *p, enum wamp_type type, const char *uri,
			 struct slice message)
{
	msg_write_closing(peer_begin(p), p->serializer, type, uri, message);
	if (peer_send(p) == 0)
		return;
	msg_write_closing(peer_begin(p), p->serializer, type, uri, slice_of(NULL, 0));
	peer_send_sure(p);
}

static void session_over(struct peer *p, const char *reason)
{
	uint64_t duration = loop_now_ms(p->peers->loop) - p->opened_ms;

	peer_log_session(p,
			 "session closed session=%" PRIu64
			 " reason=\"%s\" duration_ms=%" PRIu64 " suppressed=%u",
			 p->identity->session, log_quote_text(slice_str(reason)).text,
			 duration);
	peers_count(p->peers, PEER_SESSIONS_CLOSED);
	/* the report needs the identity, so send it before the identity is dropped */
	login_report_closed(p, reason, duration);
	authorize_end(p);
	members_remove_all(p->peers, p);
	broken_end_all(p);
	unsent_free(&p->unsent);
	inputs_end_all(p);
	p->request_waits = false;
	p->n_subscribing = 0;
	p->page_request = 0;
	identity_unref(&p->identity);
	free(p->mail);
	p->mail = NULL;
	rights_unref(&p->rights);
}

/*
 * Releases everything that a peer holds, in any state, and notifies the owner and the
 * authenticator.
 */
static void release_peer(struct peer *p, const char *reason)
{
	if (p->state == PEER_AUTH_WAIT || p->state == PEER_CHALLENGED)
		login_abandon(p);
	/* in state LEAVING, POST_GOODBYE was the last post to the owner */
	if (p->state == PEER_JOINING || p->state == PEER_JOINED)
		peer_post_last(p, POST_GONE);
	if (p->state == PEER_JOINING) {
		login_free(p);
		identity_unref(&p->identity);
	}
	if (p->state == PEER_JOINED || p->state == PEER_LEAVING)
		session_over(p, reason);
	/* Drop posts that arrive after the session has ended. */
	peers_renew(p->peers, p);
}

/*
 * Ends p. kind goes to the log and to the authenticator; it is one of a few fixed texts.
 * reason may say more; it goes to the Close frame.
 */
static void end_peer(struct peer *p, uint16_t code, const char *kind, const char *reason)
{
	release_peer(p, kind);
	peer_set_state(p, PEER_CLOSING);
	conn_close(p->conn, code, reason);
}

void peer_close(struct peer *p, uint16_t code, const char *reason)
{
	end_peer(p, code, reason, reason);
}

void peer_drop(struct peer *p, const char *reason)
{
	release_peer(p, reason);
	peer_set_state(p, PEER_CLOSING);
	conn_drop(p->conn);
}

void peer_abort(struct peer *p, const char *uri, struct slice message)
{
	send_closing(p, WAMP_ABORT, uri, message);
	peer_close(p, WS_CLOSE_NORMAL, "aborted");
}

void peer_violation(struct peer *p, const char *what)
{
	if (p->state == PEER_CLOSING)
		return;
	peers_count(p->peers, PEER_VIOLATIONS);
	peer_log(p, LOG_LEVEL_INFO,
		 "protocol violation peer=%s reason=\"%s\" suppressed=%u",
		 conn_peer_name(p->conn).text, what);
	send_closing(p, WAMP_ABORT, WAMP_ERROR_PROTOCOL_VIOLATION, slice_str(what));
	end_peer(p, WS_CLOSE_PROTOCOL, "protocol violation", what);
}

void peer_killed(struct peer *p, const struct post *post)
{
	const struct revocation *revocation = post->revocation;
	char uri[WAMP_MAX_URI + 1];

	/* The owner can kill the session while p is in state JOINING. But it has sent
	 * POST_JOINED before, and posts arrive in order, so the state is JOINED or later
	 * by now. */
	if (p->state != PEER_JOINED && p->state != PEER_LEAVING)
		return;
	if (revocation == NULL) {
		peer_drop_no_memory(p, "an answer");
		return;
	}
	snprintf(uri, sizeof(uri), "%.*s", (int)revocation->uri.len,
		 (const char *)revocation->uri.p);
	send_closing(p, WAMP_GOODBYE, uri, revocation->message);
	peers_count(p->peers, PEER_SESSIONS_KILLED);
	session_over(p, uri);
	peers_renew(p->peers, p);
	peer_set_state(p, PEER_CLOSING);
	conn_close(p->conn, WS_CLOSE_NORMAL, NULL);
}

void peer_role_gone(struct peer *p)
{
	send_closing(
		p, WAMP_GOODBYE, WAMP_ERROR_NO_SUCH_ROLE,
		slice_str("the role of this session was removed from the configuration"));
	peers_count(p->peers, PEER_SESSIONS_KILLED);
	end_peer(p, WS_CLOSE_NORMAL, WAMP_ERROR_NO_SUCH_ROLE, NULL);
}

void peer_left(struct peer *p, const struct post *post)
{
	const struct policy_realm *realm = &p->peers->policy->realms[p->identity->realm];

	(void)post;
	ASSERT(p->state == PEER_LEAVING);
	send_closing(p, WAMP_GOODBYE,
		     realm->options.goodbye_reason == GOODBYE_NORMAL
			     ? WAMP_CLOSE_NORMAL
			     : WAMP_CLOSE_GOODBYE_AND_OUT,
		     slice_of(NULL, 0));
	session_over(p, "left");
	peers_renew(p->peers, p);
	/* the next session on this connection has not been revoked */
	p->revoked = false;
	peer_set_state(p, PEER_NEW);
	conn_left(p->conn);
}

void peer_gone(struct peer *p, const char *reason)
{
	release_peer(p, reason);
	login_free(p);
}
