/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every method needs on the way from HELLO to WELCOME or ABORT: refusals, the
 * authenticator's answer, identity, JOIN; see login.h.
 */
#include "routerd/peer/login.h"

#include "common/err.h"
#include "common/utf8.h"
#include "routerd/post/outbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DENY_TEXT_MAX = 300 };

/* --- refusing --- */

/* The address comes first, where nothing that the client said can stand before it: etc/
 * examples/fail2ban reads it. */
void login_deny(struct peer *p, const char *uri, struct slice message)
{
	const struct login *lg = p->login;
	const struct identity *i = lg->identity;
	unsigned suppressed;

	peers_count(p->peers, PEER_LOGINS_DENIED);
	if (peers_may_log(p->peers, &suppressed))
		log_info(conn_prefix(p->conn).text,
			 "login denied peer=%s realm=%s authid=%s uri=%s message=\"%s\" "
			 "corr=%s suppressed=%u",
			 lg->peer_name.text,
			 i != NULL ? log_quote(i->realm_name).text : lg->asked_realm.text,
			 i != NULL ? log_quote(i->authid).text : lg->asked_authid.text,
			 log_quote(slice_str(uri)).text, log_quote_text(message).text,
			 lg->corr, suppressed);
	peer_abort(p, uri, message);
}

void login_denyf(struct peer *p, const char *uri, const char *fmt, ...)
{
	char text[DENY_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* what was cut, or was foreign, may end within a character */
	struct slice s = slice_str(text);
	while (s.len > 0 && !utf8_valid(s))
		s.len--;
	login_deny(p, uri, s);
}

void login_fail(struct peer *p, const char *detail)
{
	char text[80];
	unsigned suppressed;

	peers_count(p->peers, PEER_LOGINS_FAILED);
	if (peers_may_log(p->peers, &suppressed))
		log_error(conn_prefix(p->conn).text,
			  "login failed detail=\"%s\" peer=%s realm=%s authid=%s corr=%s "
			  "suppressed=%u",
			  detail, p->login->peer_name.text, p->login->asked_realm.text,
			  p->login->asked_authid.text, p->login->corr, suppressed);
	snprintf(text, sizeof(text), "authentication unavailable (corr %s)",
		 p->login->corr);
	peer_abort(p, WAMP_ERROR_AUTHENTICATION_FAILED, slice_str(text));
}

/* The client is to try again. No ABORT and no clean close: after an ABORT autobahn-js
 * never comes back, after a clean close Autobahn|Python does not. */
void login_try_again(struct peer *p, const char *why)
{
	const struct login *lg = p->login;
	unsigned suppressed;

	peers_count(p->peers, PEER_LOGINS_UNAVAILABLE);
	if (peers_may_log(p->peers, &suppressed))
		log_warn(conn_prefix(p->conn).text,
			 "login dropped reason=\"%s\" peer=%s realm=%s authid=%s corr=%s "
			 "suppressed=%u",
			 why, conn_peer_name(p->conn).text,
			 lg != NULL ? lg->asked_realm.text : "",
			 lg != NULL ? lg->asked_authid.text : "",
			 lg != NULL ? lg->corr : "", suppressed);
	peer_drop(p, why);
}

static void refuse_revoked(struct peer *p, const struct revocation *r)
{
	char uri[WAMP_MAX_URI + 1];
	unsigned suppressed;

	snprintf(uri, sizeof(uri), "%.*s", (int)r->uri.len, (const char *)r->uri.p);
	peers_count(p->peers, PEER_LOGINS_REVOKED);
	if (peers_may_log(p->peers, &suppressed))
		log_info(conn_prefix(p->conn).text,
			 "login revoked uri=%s corr=%s suppressed=%u",
			 log_quote(r->uri).text, p->login->corr, suppressed);
	peer_abort(p, uri, r->message);
}

/* --- the authenticator's answer --- */

/* What an authenticator has answered does not fit routerd's configuration. A client's own
 * wish (anonymous) is no such mistake. */
static void log_site_mistake(struct peer *p, const struct identity *who, const char *what)
{
	const struct config *cfg = p->peers->config;
	const struct login *lg = p->login;
	unsigned suppressed;

	if (lg->method->result == NULL || !peers_may_log(p->peers, &suppressed))
		return;
	log_error(conn_prefix(p->conn).text,
		  "configuration and authenticator disagree authenticator=%s realm=%s "
		  "role=%s "
		  "authid=%s reason=\"%s\" corr=%s suppressed=%u",
		  cfg->authenticators[lg->listener->auth.cryptosign.authenticator_index]
			  .name,
		  log_quote(who->realm_name).text, log_quote(who->authrole).text,
		  log_quote(who->authid).text, what, lg->corr, suppressed);
}

static void answer_error(struct peer *p, struct slice bytes)
{
	char uri[WAMP_MAX_URI + 1];
	struct auth_error e;
	char detail[160];

	auth_error_read(bytes, &e);
	switch (e.kind) {
	case AUTH_ERROR_DENY:
		snprintf(uri, sizeof(uri), "%.*s", (int)e.uri.len, (const char *)e.uri.p);
		login_deny(p, e.uri.len > 0 ? uri : WAMP_ERROR_AUTHENTICATION_DENIED,
			   e.message);
		return;
	case AUTH_ERROR_IGNORE:
		login_deny(p, WAMP_ERROR_NO_SUCH_PRINCIPAL,
			   slice_str("no authenticator knows this principal"));
		return;
	case AUTH_ERROR_TEMPORARY:
		login_try_again(p, "the authenticator cannot decide now");
		return;
	case AUTH_ERROR_INTERNAL:
	case AUTH_ERROR_KIND_COUNT:
		break;
	}
	snprintf(detail, sizeof(detail), "authenticator: %.100s",
		 log_quote_text(e.detail).text);
	login_fail(p, detail);
}

static void answer_result(struct peer *p, const struct login_answer *a)
{
	struct auth_result res;
	int r = auth_result_read(slice_of(a->bytes, a->len), &res);

	if (r == E_NOTFOUND) {
		log_site_mistake(
			p, &(struct identity){.authrole = {NULL, 0}},
			"the answer has no role: the authenticator must name one");
		login_deny(p, WAMP_ERROR_NO_SUCH_ROLE, slice_str("no authrole assigned"));
		return;
	}
	if (r != 0) {
		char fault[AUTH_FAULT_MAX], detail[AUTH_FAULT_MAX + 40];
		auth_result_explain(slice_of(a->bytes, a->len), fault);
		snprintf(detail, sizeof(detail), "the authenticator's result: %s", fault);
		login_fail(p, detail);
		return;
	}
	struct lookup_stamp stamp = a->stamp;
	stamp.has_epoch = res.epoch != AUTH_NO_EPOCH;
	stamp.epoch = stamp.has_epoch ? res.epoch : 0;
	p->login->method->result(p, &res, &stamp);
}

void login_answer(struct peer *p, const struct login_answer *a)
{
	ASSERT(p->state == PEER_AUTH_WAIT);
	p->login->asking = false;
	if (a == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	switch (a->outcome) {
	case LOGIN_RESULT:
		answer_result(p, a);
		return;
	case LOGIN_ERROR:
		answer_error(p, slice_of(a->bytes, a->len));
		return;
	case LOGIN_UNAVAILABLE:
	case LOGIN_BUSY:
	case LOGIN_TIMEOUT:
	case LOGIN_LINK_BROKE:
	case LOGIN_NO_ROOM:
	case LOGIN_NO_MEMORY:
	case LOGIN_OUTCOME_COUNT:
		login_try_again(p, login_outcome_text(a->outcome));
		return;
	}
}

bool login_identify(struct peer *p, struct identity *who)
{
	const struct config *cfg = p->peers->config;
	struct login *lg = p->login;

	if (who->realm_name.len == 0) {
		log_site_mistake(
			p, who,
			"the answer has no realm: the authenticator must name one");
		login_denyf(p, WAMP_ERROR_NO_SUCH_REALM, "no realm assigned");
		return false;
	}
	if (who->authid.len == 0) {
		log_site_mistake(
			p, who,
			"the answer has no authid: the authenticator must name one");
		login_denyf(p, WAMP_ERROR_NO_SUCH_PRINCIPAL, "no authid assigned");
		return false;
	}
	int realm = config_realm_find(cfg, who->realm_name);
	if (realm < 0) {
		log_site_mistake(
			p, who,
			"routerd has no such realm: add it to its configuration, or "
			"correct what the authenticator answers");
		login_denyf(p, WAMP_ERROR_NO_SUCH_REALM,
			    "no realm \"%.*s\" exists on this router",
			    (int)who->realm_name.len, (const char *)who->realm_name.p);
		return false;
	}
	int role = config_role_find(&cfg->realms[realm], who->authrole);
	if (role < 0) {
		log_site_mistake(
			p, who,
			"the realm has no such role: add it to routerd's "
			"configuration, or correct what the authenticator answers");
		login_denyf(p, WAMP_ERROR_NO_SUCH_ROLE,
			    "realm \"%.*s\" has no role \"%.*s\"",
			    (int)who->realm_name.len, (const char *)who->realm_name.p,
			    (int)who->authrole.len, (const char *)who->authrole.p);
		return false;
	}
	who->realm = (uint16_t)realm;
	who->role = (uint16_t)role;
	who->session = lg->session;
	who->authmethod = lg->method->name;
	lg->identity = identity_new(who);
	if (lg->identity == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return false;
	}
	return true;
}

bool login_not_revoked(struct peer *p)
{
	struct revocation *r;

	switch (revocations_find(&p->peers->revocations, p->login->identity, &r)) {
	case REVOCATION_NONE:
		return true;
	case REVOCATION_FOUND:
		refuse_revoked(p, r);
		return false;
	case REVOCATION_FORGOTTEN:
		login_try_again(p, "too many revocations at once");
		return false;
	}
	return false;
}

bool login_concerned(const struct peer *p, const struct revocation *r)
{
	return revocation_matches(r, p->login->identity) &&
	       revocation_is_newer(r, &p->login->identity->stamp);
}

void login_revoked(struct peer *p, const struct revocation *r)
{
	refuse_revoked(p, r);
}

/* --- JOIN and WELCOME --- */

/* Puts mail aside for the session's last post, and for the owner's. */
static bool post_join(struct peer *p)
{
	struct outbox *ob = p->peers->outbox;
	struct post join = {.type = POST_JOIN};

	p->mail = outbox_reserve(ob);
	join.mail = outbox_reserve(ob);
	join.identity = identity_ref(p->identity);
	if (p->mail != NULL && join.mail != NULL && peer_post(p, &join))
		return true;
	post_drop(&join);
	free(p->mail);
	p->mail = NULL;
	return false;
}

void login_join(struct peer *p)
{
	p->identity = identity_ref(p->login->identity);
	if (!post_join(p)) {
		identity_unref(&p->identity);
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	p->revoked = false;
	peer_set_state(p, PEER_JOINING);
}

void login_refused(struct peer *p, const struct revocation *r)
{
	ASSERT(p->state == PEER_JOINING);
	if (r != NULL)
		refuse_revoked(p, r);
	else
		login_try_again(p, "too many revocations at once, or out of memory");
}

static void log_opened(struct peer *p)
{
	const struct identity *i = p->identity;
	unsigned suppressed;

	if (peers_may_log_session(p->peers, &suppressed))
		log_info(conn_prefix(p->conn).text,
			 "session opened session=%llu realm=%s authid=%s authrole=%s "
			 "authmethod=%s peer=%s listener=%s suppressed=%u",
			 (unsigned long long)i->session, log_quote(i->realm_name).text,
			 log_quote(i->authid).text, log_quote(i->authrole).text,
			 i->authmethod, p->login->peer_name.text,
			 conn_conf(p->conn)->name, suppressed);
}

void login_joined(struct peer *p)
{
	const struct config *cfg = p->peers->config;
	const struct identity *i = p->identity;
	const char *peer_name = p->login->peer_name.text;
	char detail[120];

	ASSERT(p->state == PEER_JOINING);
	msg_write_welcome(peer_begin(p), p->serializer,
			  &(struct msg_welcome){
				  .session = i->session,
				  .realm = i->realm_name,
				  .authid = i->authid,
				  .authrole = i->authrole,
				  .authmethod = i->authmethod,
				  .authprovider = i->authprovider,
				  .authextra = buf_slice(&p->login->extra),
				  .node = cfg->node,
				  .worker = p->peers->worker_name,
				  .peer = peer_name,
				  .pid = getpid(),
			  });
	int r = peer_send(p);
	if (r == E_NOMEM) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	if (r != 0) {
		snprintf(detail, sizeof(detail),
			 "the authenticator's extra cannot be said to the client: %s",
			 err_str(r));
		login_fail(p, detail);
		return;
	}
	peer_set_state(p, PEER_JOINED);
	p->rights = cfg->realms[i->realm].roles[i->role].rights;
	p->opened_ms = loop_now_ms(p->peers->loop);
	conn_established(p->conn);
	peers_count(p->peers, PEER_SESSIONS_OPENED);
	log_opened(p);
	login_report_opened(p);
	login_free(p);
}
