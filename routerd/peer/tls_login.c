/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login method tls: the client has shown a certificate in the TLS handshake, and the
 * configuration or an authenticator says which principal it belongs to. WAMP does not
 * define this method; Crossbar has one of the same name.
 *
 * The handshake has proved that the client has the certificate's key, so there is no
 * CHALLENGE. The router skips the method if the client has shown no certificate. The
 * worker's thread.
 */
#include "routerd/peer/login.h"

#include "routerd/net/tls_facts.h"

#include <assert.h>

static void tls_hello(struct peer *p, const struct msg_hello *h)
{
	const struct config_principal *holder;
	struct tls_facts facts;
	struct buf question;

	tls_describe(conn_clients_tls(p->conn), &facts);
	if (login_is_dynamic(p)) {
		buf_init(&question, AUTH_MAX_MESSAGE);
		if (login_write_question(p, h, AUTH_MAX_MESSAGE, &question))
			login_ask(p, buf_slice(&question));
		buf_fini(&question);
		return;
	}
	static_assert((int)TLS_FINGERPRINT == (int)FIELD_KEY_LEN,
		      "fingerprints are stored where the keys of cryptosign are");
	holder = config_principal_by_key(login_method_conf(p), facts.fingerprint);
	/* The answer is the same whether or not there is a principal with this authid. */
	bool asks_for_other = holder != NULL && h->authid.len > 0 &&
			      !slice_eq_str(h->authid, holder->authid);
	if (login_local_begin(p, h, asks_for_other ? NULL : holder))
		login_local_end(p, true, (struct field_key){.there = false},
				asks_for_other
					? "the client's TLS certificate does not belong "
					  "to the authid that it asks for"
					: "no principal has the client's TLS "
					  "certificate");
}

static void tls_result(struct peer *p, const struct auth_result *res,
		       const struct lookup_stamp *stamp)
{
	/* The certificate says who the client is, not the authid in HELLO. */
	struct identity who = {.authid = res->authid, .stamp = *stamp};

	if (login_accept(p, res, &who) && login_not_revoked(p))
		login_join(p);
}

const struct login_method login_tls = {
	.name = "tls",
	.id = METHOD_TLS,
	.hello = tls_hello,
	.result = tls_result,
};
