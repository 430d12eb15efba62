/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection does if its TLS fails. The worker's thread. */
#include "routerd/net/conn_int.h"

#include "common/err.h"

#include <ctype.h>
#include <openssl/x509_vfy.h>

/* If OpenSSL has refused the client's certificate: why. Else "". */
static const char *refused_certificate(const struct tls *t)
{
	long result = t->ssl == NULL ? X509_V_OK : SSL_get_verify_result(t->ssl);

	return result == X509_V_OK ? "" : X509_verify_cert_error_string(result);
}

void conn_tls_log(struct conn *c, const char *why)
{
	const struct tls *t = c->stream.tls;
	const char *name =
		t->ssl == NULL ? NULL
			       : SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	const char *more = refused_certificate(t);

	conn_log(c,
		 "tls %s peer=%s listener=%s sni=%s from=%s reason=\"%s%s%s\" "
		 "suppressed=%u",
		 t->shaken ? "failed after the handshake" : "handshake failed",
		 conn_peer_name(c).text, c->conf->name,
		 name == NULL ? "none" : log_quote(slice_str(name)).text,
		 why != NULL || t->by_peer ? "peer" : "us", why != NULL ? why : t->why,
		 more[0] == '\0' ? "" : ": ", more);
}

/* Answers a client that does not speak TLS. Only HTTP has an answer. */
static int answer_plainly(struct conn *c)
{
	struct buf b;
	int err;

	if (!isupper(c->stream.tls->first_octet) || !(c->conf->framings & CONN_WEBSOCKET))
		return 0;
	buf_init(&b, HTTP_ANSWER_MAX);
	http_write_answer(&b, HTTP_BAD_REQUEST, "This port speaks TLS: use https or wss.",
			  false);
	err = tls_answer_plainly(c->net, c->stream.tls, &c->stream.out, buf_slice(&b));
	buf_fini(&b);
	return err;
}

void conn_tls_failed(struct conn *c, int err)
{
	const struct tls *t = c->stream.tls;
	bool missing = t->ssl == NULL;

	/* Many clients only drop the connection after their Close or GOODBYE. */
	if (c->state != CONN_CLOSING || err == E_LIMIT)
		conn_tls_log(c, NULL);
	net_count(c->net, NET_TLS_MISSING, missing);
	net_count(c->net, NET_TLS_ALERTS, !missing && t->by_peer);
	conn_set_end(c, CONN_END_TLS);
	if (err == E_LIMIT || (missing && answer_plainly(c) != 0)) {
		conn_kill(c, CONN_END_TLS);
		return;
	}
	/* An alert or an answer may have to be written. */
	if (c->state != CONN_CLOSING)
		conn_set_state(c, CONN_CLOSING);
	conn_finish(c);
	if (c->state != CONN_DEAD && !stream_drained(&c->stream))
		stream_queued(c->net, &c->stream, 0);
}
