/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps that all login methods share: refusals, the authenticator's answer, the
 * identity, JOIN and WELCOME; see login.h. The worker's thread.
 */
#include "routerd/peer/login.h"

#include "common/err.h"
#include "common/utf8.h"
#include "routerd/net/tls_facts.h"
#include "routerd/post/outbox.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX = 300 };

/* --- refusing --- */

/* Keys of a log line, each behind a space; or nothing. */
struct certificate_keys {
	char text[2 * TLS_FINGERPRINT + LOG_QUOTE_MAX + 64];
};

/* The client's certificate, if the login is by it. The client can choose the subject. */
static struct certificate_keys certificate_keys(const struct peer *p)
{
	char print[2 * TLS_FINGERPRINT + 1];
	struct certificate_keys keys = {""};
	struct tls_facts facts;
	struct buf subject;

	if (p->login->method == NULL || p->login->method->id != METHOD_TLS)
		return keys;
	tls_describe(conn_clients_tls(p->conn), &facts);
	buf_init(&subject, AUTH_MAX_SUBJECT);
	tls_subject_put(conn_clients_tls(p->conn), AUTH_MAX_SUBJECT, &subject);
	snprintf(keys.text, sizeof(keys.text), " certificate-sha256=%s subject=\"%s\"",
		 sodium_bin2hex(print, sizeof(print), facts.fingerprint, TLS_FINGERPRINT),
		 log_quote_name(buf_slice(&subject)).text);
	buf_fini(&subject);
	return keys;
}

/*
 * etc/examples/fail2ban parses the log line. peer= comes first, so that a text from the
 * client cannot imitate it.
 */
void login_deny(struct peer *p, const char *uri, struct slice message)
{
	const struct login *lg = p->login;
	const struct identity *i = lg->identity;

	peers_count(p->peers, PEER_LOGINS_DENIED);
	peer_log(p, LOG_LEVEL_INFO,
		 "login denied peer=%s realm=%s authid=%s error=%s reason=\"%s\" "
		 "corr=%s%s "
		 "suppressed=%u",
		 lg->peer_name.text,
		 i != NULL ? log_quote(i->realm_name).text : lg->asked_realm.text,
		 i != NULL ? log_quote(i->authid).text : lg->asked_authid.text,
		 log_quote(slice_str(uri)).text, log_quote_text(message).text, lg->corr,
		 certificate_keys(p).text);
	peer_abort(p, uri, message);
}

static void deny_with(struct peer *p, const char *uri, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	/* vsnprintf may cut a character in two, and the text may contain invalid bytes */
	struct slice s = slice_str(text);
	while (s.len > 0 && !utf8_valid(s))
		s.len--;
	login_deny(p, uri, s);
}

void login_denyf(struct peer *p, const char *uri, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	deny_with(p, uri, fmt, ap);
	va_end(ap);
}

void login_fail(struct peer *p, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	peers_count(p->peers, PEER_LOGINS_FAILED);
	peer_log(p, LOG_LEVEL_ERROR,
		 "login failed reason=\"%s\" peer=%s realm=%s authid=%s corr=%s "
		 "suppressed=%u",
		 text, p->login->peer_name.text, p->login->asked_realm.text,
		 p->login->asked_authid.text, p->login->corr);
	snprintf(text, sizeof(text),
		 "the login failed because of an error on the router: ask its "
		 "administrator, and name corr %s",
		 p->login->corr);
	peer_abort(p, WAMP_ERROR_AUTHENTICATION_FAILED, slice_str(text));
}

/*
 * Drops the connection without ABORT and without a clean close, because the client should
 * try again: autobahn-js does not reconnect after an ABORT, and Autobahn|Python does not
 * reconnect after a clean close.
 */
void login_try_again(struct peer *p, const char *why)
{
	const struct login *lg = p->login;

	peers_count(p->peers, PEER_LOGINS_UNAVAILABLE);
	peer_log(p, LOG_LEVEL_WARN,
		 "login dropped reason=\"%s\" peer=%s realm=%s authid=%s corr=%s "
		 "suppressed=%u",
		 why, conn_peer_name(p->conn).text,
		 lg != NULL ? lg->asked_realm.text : "",
		 lg != NULL ? lg->asked_authid.text : "", lg != NULL ? lg->corr : "");
	peer_drop(p, why);
}

void login_revoked(struct peer *p, const struct revocation *revocation)
{
	const struct identity *i = p->login->identity;
	char uri[WAMP_MAX_URI + 1];

	snprintf(uri, sizeof(uri), "%.*s", (int)revocation->uri.len,
		 (const char *)revocation->uri.p);
	peers_count(p->peers, PEER_LOGINS_REVOKED);
	peer_log(
		p, LOG_LEVEL_INFO,
		"login revoked peer=%s realm=%s authid=%s error=%s corr=%s suppressed=%u",
		p->login->peer_name.text, log_quote(i->realm_name).text,
		log_quote(i->authid).text, log_quote(revocation->uri).text,
		p->login->corr);
	peer_abort(p, uri, revocation->message);
}

/* --- the authenticator's answer --- */

/*
 * Denies a login whose realm, role or authid is missing or not in the configuration. If
 * an authenticator named them, also logs an error; without one, the client chose the
 * realm. Returns false.
 */
PRINTF_LIKE(5, 6)
static bool disagree(struct peer *p, const struct identity *who, const char *what,
		     const char *uri, const char *fmt, ...)
{
	const struct login *lg = p->login;
	va_list ap;

	if (login_is_dynamic(p))
		peer_log(p, LOG_LEVEL_ERROR,
			 "configuration and authenticator disagree authenticator=%s "
			 "realm=%s authrole=%s authid=%s reason=\"%s\" corr=%s "
			 "suppressed=%u",
			 login_authenticator(p)->name, log_quote(who->realm_name).text,
			 log_quote(who->authrole).text, log_quote(who->authid).text, what,
			 lg->corr);
	va_start(ap, fmt);
	deny_with(p, uri, fmt, ap);
	va_end(ap);
	return false;
}

static void answer_error(struct peer *p, struct slice bytes)
{
	char uri[WAMP_MAX_URI + 1];
	struct auth_error error;

	auth_error_read(bytes, &error);
	switch (error.kind) {
	case AUTH_ERROR_DENY:
		snprintf(uri, sizeof(uri), "%.*s", (int)error.uri.len,
			 (const char *)error.uri.p);
		login_deny(p, error.uri.len > 0 ? uri : WAMP_ERROR_AUTHENTICATION_DENIED,
			   error.message);
		return;
	case AUTH_ERROR_IGNORE:
		login_denyf(p, WAMP_ERROR_NO_SUCH_PRINCIPAL,
			    "the authenticator does not know this principal");
		return;
	case AUTH_ERROR_TEMPORARY:
		login_try_again(p, "the authenticator cannot decide now");
		return;
	case AUTH_ERROR_INTERNAL:
	case AUTH_ERROR_KIND_COUNT:
		login_fail(p, "authenticator: %.100s", log_quote_text(error.detail).text);
	}
}

static void answer_result(struct peer *p, const struct login_message *a)
{
	struct lookup_stamp stamp = a->stamp;
	char fault[AUTH_FAULT_MAX];
	struct auth_result res;
	int err = auth_result_read(login_message_bytes(a), &res);

	if (err == E_NOTFOUND) {
		(void)disagree(p, &(struct identity){.authrole = {NULL, 0}},
			       "the answer has no role: the authenticator must name one",
			       WAMP_ERROR_NO_SUCH_ROLE, "no authrole assigned");
		return;
	}
	if (err != 0) {
		auth_result_explain(login_message_bytes(a), fault);
		login_fail(p, "the authenticator's result: %s", fault);
		return;
	}
	/* Worker 0 filled in the rest of the stamp when it sent the question. */
	stamp.has_epoch = res.epoch != AUTH_NO_EPOCH;
	stamp.epoch = stamp.has_epoch ? res.epoch : 0;
	p->login->method->result(p, &res, &stamp);
}

void login_answer(struct peer *p, const struct post *post)
{
	const struct login_message *a = post->login;
	enum login_outcome outcome = a == NULL ? LOGIN_NO_MEMORY : a->outcome;

	ASSERT(p->state == PEER_AUTH_WAIT);
	p->login->asking = false;
	if (outcome == LOGIN_RESULT)
		answer_result(p, a);
	else if (outcome == LOGIN_ERROR)
		answer_error(p, login_message_bytes(a));
	else
		login_try_again(p, login_outcome_text(outcome));
}

bool login_identify(struct peer *p, struct identity *who)
{
	const struct policy *policy = p->peers->policy;
	struct slice realm_name = who->realm_name, role_name = who->authrole;
	struct login *lg = p->login;

	if (realm_name.len == 0)
		return disagree(
			p, who,
			"the answer has no realm: the authenticator must name one",
			WAMP_ERROR_NO_SUCH_REALM, "no realm assigned");
	if (who->authid.len == 0)
		return disagree(
			p, who,
			"the answer has no authid: the authenticator must name one",
			WAMP_ERROR_NO_SUCH_PRINCIPAL, "no authid assigned");
	int realm = policy_realm_find(policy, realm_name);
	if (realm < 0)
		return disagree(p, who,
				"routerd has no such realm: add it to its configuration, "
				"or correct the authenticator's answer",
				WAMP_ERROR_NO_SUCH_REALM,
				"no realm \"%.*s\" exists on this router",
				(int)realm_name.len, (const char *)realm_name.p);
	who->realm = (uint16_t)realm;
	who->role = policy_role_find(policy, who->realm, role_name);
	if (who->role == NULL)
		return disagree(
			p, who,
			"the realm has no such role: add it to routerd's configuration, "
			"or correct the authenticator's answer",
			WAMP_ERROR_NO_SUCH_ROLE, "realm \"%.*s\" has no role \"%.*s\"",
			(int)realm_name.len, (const char *)realm_name.p,
			(int)role_name.len, (const char *)role_name.p);
	/* Only an authorizer needs the extra. If a reload gives this role an authorizer,
	 * the authorizer gets an empty map for this session. */
	if (rights_authorizer(policy_rights(policy, who->realm, who->role)) == NULL)
		who->authextra = slice_of(NULL, 0);
	who->session = lg->session;
	who->features = lg->features;
	who->channel = login_channel(p);
	who->peer_name = slice_str(lg->peer_name.text);
	who->authmethod = lg->method->name;
	lg->identity = identity_new(who);
	if (lg->identity != NULL)
		return true;
	login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY)); /* frees lg */
	return false;
}

void login_role_gone(struct peer *p)
{
	const struct identity *i = p->login->identity;

	login_denyf(p, WAMP_ERROR_NO_SUCH_ROLE,
		    "realm \"%.*s\" has no role \"%.*s\" any more",
		    (int)i->realm_name.len, (const char *)i->realm_name.p,
		    (int)i->authrole.len, (const char *)i->authrole.p);
}

bool login_accept(struct peer *p, const struct auth_result *res, struct identity *who)
{
	struct buf *extra = &p->login->extra;

	who->realm_name = res->realm;
	who->authrole = res->role;
	who->authextra = res->extra;
	who->authprovider =
		res->authprovider.len > 0 ? res->authprovider : slice_str("dynamic");
	if (!login_identify(p, who))
		return false;
	buf_put_slice(extra, res->extra);
	if (extra->err == 0)
		return true;
	login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	return false;
}

bool login_not_revoked(struct peer *p)
{
	struct revocation *revocation;

	switch (revocations_find(&p->peers->revocations, p->login->identity,
				 &revocation)) {
	case REVOCATION_NONE:
		return true;
	case REVOCATION_FOUND:
		login_revoked(p, revocation);
		return false;
	case REVOCATION_FORGOTTEN:
		login_try_again(p, "too many revocations at once");
		return false;
	}
	return false;
}

bool login_concerned(const struct peer *p, const struct revocation *revocation)
{
	const struct identity *i = p->login->identity;

	return i != NULL && revocation_matches(revocation, i) &&
	       revocation_is_newer(revocation, &i->stamp);
}

/* --- CHALLENGE --- */

void login_send_challenge(struct peer *p)
{
	int err = peer_send(p);

	if (err == E_NOMEM)
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	else if (err != 0)
		/* long names or a long salt, and a RawSocket client with a low limit */
		login_fail(p, "CHALLENGE cannot be sent to the client: it is longer than "
			      "the client accepts");
}

/* --- JOIN and WELCOME --- */

/*
 * Posts JOIN, with mail for the owner's last post to the session; also reserves mail for
 * the peer's last post. False if out of memory.
 */
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
	/* peer_post takes the realm from p->identity */
	p->identity = identity_ref(p->login->identity);
	if (!post_join(p)) {
		identity_unref(&p->identity);
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	peer_set_state(p, PEER_JOINING);
}

void login_refused(struct peer *p, const struct post *post)
{
	ASSERT(p->state == PEER_JOINING);
	if (post->revocation != NULL)
		login_revoked(p, post->revocation);
	else
		login_try_again(p, "the realm did not accept the session: too many "
				   "revocations at once, a session id that is taken, or "
				   "out of memory");
}

/* Sends WELCOME. Returns the errors of peer_send. */
MUSTCHECK
static int send_welcome(struct peer *p)
{
	const struct identity *i = p->identity;
	struct msg_welcome welcome = {
		.session = i->session,
		.realm = i->realm_name,
		.authid = i->authid,
		.authrole = i->authrole,
		.authmethod = i->authmethod,
		.authprovider = i->authprovider,
		.authextra = buf_slice(&p->login->extra),
		.node = p->peers->config->node,
		.worker = p->peers->worker_name,
		.peer = p->login->peer_name.text,
		.pid = (uint64_t)getpid(),
	};

	msg_write_welcome(peer_begin(p), p->serializer, &welcome);
	int err = peer_send(p);
	if (err != E_LIMIT)
		return err;
	/* A RawSocket client may accept as little as 1,024 bytes. It can use all
	 * features, although it is not told. */
	welcome.no_features = true;
	msg_write_welcome(peer_begin(p), p->serializer, &welcome);
	return peer_send(p);
}

void login_joined(struct peer *p, const struct post *post)
{
	(void)post;
	const struct peers *ps = p->peers;
	const struct identity *i = p->identity;
	struct rights *rights = policy_rights(ps->policy, i->realm, i->role);
	struct sock_name proxy;

	ASSERT(p->state == PEER_JOINING);
	/* a reload has removed the role since JOIN was sent */
	if (rights == NULL) {
		login_role_gone(p);
		return;
	}
	int err = send_welcome(p);
	if (err == E_NOMEM) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	if (err != 0) {
		login_fail(p, "WELCOME cannot be sent to the client: %s",
			   err == E_LIMIT ? "it is longer than the client accepts"
					  : "the client's serializer cannot encode the "
					    "authenticator's extra");
		return;
	}
	/* Not before peer_send: a client that gets no WELCOME has no session. */
	peer_set_state(p, PEER_JOINED);
	p->rights = rights_ref(rights);
	p->policy_generation = (uint32_t)ps->policy->generation;
	p->opened_ms = loop_now_ms(p->peers->loop);
	conn_established(p->conn);
	peers_count(p->peers, PEER_SESSIONS_OPENED);
	proxy = conn_proxy_name(p->conn);
	peer_log_session(p,
			 "session opened session=%" PRIu64
			 " realm=%s authid=%s authrole=%s authmethod=%s%s%s peer=%s "
			 "listener=%s%s%s suppressed=%u",
			 i->session, log_quote(i->realm_name).text,
			 log_quote(i->authid).text, log_quote(i->authrole).text,
			 i->authmethod, p->login->binding == NULL ? "" : " binding=",
			 p->login->binding == NULL ? "" : p->login->binding,
			 p->login->peer_name.text, conn_conf(p->conn)->name,
			 proxy.text[0] == '\0' ? "" : " proxied_by=", proxy.text);
	login_report_opened(p);
	login_free(p);
}
