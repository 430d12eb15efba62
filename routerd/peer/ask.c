/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and sends the questions about logins to authenticators; see login.h. The worker's
 * thread.
 */
#include "routerd/peer/login.h"

#include "routerd/net/tls_facts.h"
#include "routerd/post/outbox.h"

#include <sodium.h>

#include <stdlib.h>

bool login_names_are_short(struct peer *p, const struct msg_hello *h)
{
	const struct {
		const char *what, *uri;
		struct slice text;
	} names[] = {
		{"realm", WAMP_ERROR_NO_SUCH_REALM, h->realm},
		{"authid", WAMP_ERROR_NO_SUCH_PRINCIPAL, h->authid},
		{"authrole", WAMP_ERROR_NO_SUCH_ROLE, h->authrole},
		{"authextra.channel_binding", WAMP_ERROR_NOT_AUTHORIZED,
		 h->channel_binding},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].text.len <= AUTH_MAX_NAME)
			continue;
		login_denyf(p, names[i].uri, "%s: longer than %d bytes", names[i].what,
			    AUTH_MAX_NAME);
		return false;
	}
	if (h->pubkey.len <= AUTH_MAX_NAME)
		return true;
	login_deny(p, WAMP_ERROR_AUTHENTICATION_DENIED,
		   slice_str("authextra.pubkey is malformed: expected 64 hex digits"));
	return false;
}

bool login_keep_names(struct peer *p, const struct msg_hello *h)
{
	struct login *lg = p->login;
	uint8_t *at;

	if (!login_names_are_short(p, h))
		return false;
	/* one more byte: malloc(0) may return NULL */
	at = lg->names = malloc(h->realm.len + h->authid.len + h->authrole.len + 1);
	if (at == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return false;
	}
	lg->realm = slice_store(&at, h->realm);
	lg->authid = slice_store(&at, h->authid);
	lg->authrole = slice_store(&at, h->authrole);
	return true;
}

/* Buffers that the slices of a struct auth_tls point into. */
struct tls_texts {
	char fingerprint[2 * TLS_FINGERPRINT + 1];
	struct buf subject, names, list, certificate;
};

/* Describes the client's certificate, which the router has verified. */
static void describe_certificate(const struct tls *t, const struct tls_facts *facts,
				 bool whole, struct tls_texts *texts,
				 struct auth_tls *out)
{
	struct slice sans[AUTH_MAX_SANS];
	size_t n;

	/* all at once, since the slices point into it */
	buf_reserve_exactly(&texts->names, AUTH_MAX_SANS * AUTH_MAX_NAME);
	n = tls_names_put(t, AUTH_MAX_NAME, &texts->names, sans, AUTH_MAX_SANS);
	if (n > 0)
		auth_list_write(&texts->list, sans, n);
	tls_subject_put(t, AUTH_MAX_SUBJECT, &texts->subject);
	if (whole)
		tls_certificate_put(t, AUTH_MAX_CERT, &texts->certificate);
	sodium_bin2hex(texts->fingerprint, sizeof(texts->fingerprint), facts->fingerprint,
		       TLS_FINGERPRINT);
	out->client_cert_sha256 = slice_str(texts->fingerprint);
	out->client_cert_subject = buf_slice(&texts->subject);
	out->client_cert_sans =
		texts->list.err == 0 ? buf_slice(&texts->list) : slice_of(NULL, 0);
	out->client_cert = buf_slice(&texts->certificate);
}

/* Appends what is known about the client's TLS, encoded. Nothing if it has none. */
static void put_tls(const struct peer *p, struct buf *out)
{
	const struct tls *t = conn_clients_tls(p->conn);
	const struct proxy_tls *told = conn_proxy_tls(p->conn);
	struct auth_tls tls = {0};
	struct tls_texts texts;
	struct tls_facts facts;

	buf_init(&texts.subject, AUTH_MAX_SUBJECT);
	buf_init(&texts.names, AUTH_MAX_SANS * AUTH_MAX_NAME);
	buf_init(&texts.list, AUTH_MAX_STRING);
	buf_init(&texts.certificate, AUTH_MAX_CERT);
	if (t != NULL) {
		tls_describe(t, &facts);
		tls.version = slice_str(facts.version);
		tls.cipher = slice_str(facts.cipher);
		if (facts.server_name != NULL)
			tls.sni = slice_str(facts.server_name);
		if (facts.has_certificate)
			describe_certificate(t, &facts,
					     login_authenticator(p)->forward_client_cert,
					     &texts, &tls);
	} else if (told != NULL) {
		tls.version = slice_str(told->version);
		tls.sni = slice_str(told->server_name);
	}
	if (t != NULL || told != NULL)
		fields_write_item(out, &auth_tls_table, &tls);
	buf_fini(&texts.subject);
	buf_fini(&texts.names);
	buf_fini(&texts.list);
	buf_fini(&texts.certificate);
}

bool login_write_question(struct peer *p, const struct msg_hello *h, size_t max_message,
			  struct buf *out)
{
	const struct login *lg = p->login;
	const struct channel channel = login_channel(p);
	const struct sock_name proxy = conn_proxy_name(p->conn);
	struct buf tls;

	buf_init(&tls, AUTH_MAX_STRING);
	put_tls(p, &tls);
	const struct auth_request q = {
		.realm = h->realm,
		.authid = h->authid,
		.authmethod = slice_str(lg->method->name),
		.authrole = h->authrole,
		.authextra = h->authextra,
		.authextra_in = p->serializer,
		.pubkey = h->pubkey,
		.channel_binding = h->channel_binding,
		.session = lg->session,
		.ttl_ms = login_authenticator(p)->timeout,
		.corr = slice_str(lg->corr),
		.transport =
			{
				.listener = slice_str(lg->listener->name),
				.channel_framing = slice_str(channel.framing),
				.channel_serializer = slice_str(channel.serializer),
				.channel_type = slice_str(channel.type),
				.peer = slice_str(lg->peer_name.text),
				.proxied_by = slice_str(proxy.text),
				.path = slice_str(lg->path),
				.tls = tls.err == 0 ? buf_slice(&tls) : slice_of(NULL, 0),
				.headers = lg->http_headers.err == 0
						   ? buf_slice(&lg->http_headers)
						   : slice_of(NULL, 0),
			},
	};

	bool written = login_names_are_short(p, h);
	/* The names are short enough, so it can fail only if memory runs out. */
	if (written && auth_request_write(out, &q, max_message) != 0) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		written = false;
	}
	buf_fini(&tls);
	return written;
}

/* Posts the question, with reserved mail for the answer. False if out of memory. */
static bool post_question(struct peer *p, struct login_message *q)
{
	struct outbox *ob = p->peers->outbox;

	q->mail = outbox_reserve(ob);
	return q->mail != NULL && post_send(ob, 0,
					    &(struct post){
						    .type = POST_LOGIN,
						    .session = peer_ref(p),
						    .login = q,
					    });
}

void login_ask(struct peer *p, struct slice question)
{
	const struct login_message head = {
		.authenticator = (uint16_t)login_authenticator_index(p),
		.deadline_ms = p->login->deadline_ms,
	};
	struct login_message *q = login_message_new(&head, question);

	if (q == NULL || !post_question(p, q)) {
		login_message_free(&q);
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	peer_set_state(p, PEER_AUTH_WAIT);
	p->login->asking = true;
}
