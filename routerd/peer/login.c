/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and frees logins, and sends reports to the authenticator; see login.h. The
 * worker's thread.
 */
#include "routerd/peer/login.h"

#include "common/err.h"
#include "common/utf8.h"
#include "routerd/net/tls_facts.h"
#include "routerd/post/outbox.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>

/* Bytes. Headers that do not fit are left out. */
enum { HEADERS_MAX = AUTH_MAX_MESSAGE / 2 };

/* --- life --- */

struct login *login_new(struct peer *p, const struct config_listener *l)
{
	struct login *lg = calloc(1, sizeof(*lg));

	if (lg == NULL)
		return NULL;
	lg->peer = p;
	lg->listener = l;
	lg->peer_name = conn_peer_name(p->conn);
	buf_init_secret(&lg->http_headers, HEADERS_MAX); /* cookies are secrets */
	buf_init(&lg->extra, AUTH_MAX_MESSAGE);
	p->login = lg;
	return lg;
}

/*
 * Stores the request's headers for the authenticator, with names in lower case. Stores
 * only the first of several headers with the same name. Leaves out values that are not
 * valid UTF-8 or are too long for the authenticator's protocol.
 */
static void store_headers(struct login *lg, const struct http_request *req)
{
	struct token_writer w;
	char name[128];

	token_writer_init(&w, SERIALIZER_MSGPACK, &lg->http_headers);
	token_put_map(&w, TOKEN_COUNT_UNKNOWN);
	for (size_t i = 0; i < req->n_headers; i++) {
		const struct http_header *h = &req->headers[i];
		/* the encoding adds at most 16 bytes */
		size_t len = lg->http_headers.len + h->name.len + h->value.len + 16;
		bool again = h->name.len >= sizeof(name) || len > HEADERS_MAX ||
			     h->value.len > AUTH_MAX_STRING || !utf8_valid(h->value);
		for (size_t k = 0; k < h->name.len && !again; k++)
			name[k] = (char)tolower(h->name.p[k]);
		for (size_t k = 0; k < i && !again; k++)
			again = req->headers[k].name.len == h->name.len &&
				strncasecmp((const char *)req->headers[k].name.p, name,
					    h->name.len) == 0;
		if (again)
			continue;
		lg->has_cookie |= slice_eq_str(slice_of(name, h->name.len), "cookie");
		token_put_str(&w, slice_of(name, h->name.len));
		token_put_str(&w, h->value);
	}
	token_put_end(&w);
}

int login_begin(struct peer *p, const struct config_listener *l,
		const struct http_request *req)
{
	struct login *lg = login_new(p, l);

	if (lg == NULL)
		return E_NOMEM;
	lg->path = strndup((const char *)req->path.p, req->path.len);
	store_headers(lg, req);
	return lg->path == NULL || lg->http_headers.err == E_NOMEM ? E_NOMEM : 0;
}

void login_free(struct peer *p)
{
	struct login *lg = p->login;

	p->login = NULL;
	if (lg == NULL)
		return;
	if (lg->queued)
		TAILQ_REMOVE(&p->peers->to_verify, lg, to_verify);
	identity_unref(&lg->identity);
	buf_fini(&lg->http_headers);
	buf_fini(&lg->extra);
	if (lg->secret_size > 0)
		sodium_memzero(lg->state, lg->secret_size);
	free(lg->state);
	free(lg->path);
	free(lg->names);
	free(lg);
}

void login_abandon(struct peer *p)
{
	struct peers *ps = p->peers;

	/* The caller gives the slot a new generation, so an answer that was already sent
	 * is dropped. */
	if (p->login->asking) {
		bool sent = post_send(ps->outbox, 0,
				      &(struct post){
					      .type = POST_LOGIN_CANCEL,
					      .session = peer_ref(p),
				      });
		(void)sent; /* if not, the answer comes and is dropped */
	} else if (conn_end(p->conn) != CONN_END_NONE)
		login_report_failed(p, conn_end(p->conn) == CONN_END_HANDSHAKE
					       ? "timeout"
					       : "abandoned");
	login_free(p);
}

const struct config_method *login_method_conf(const struct peer *p)
{
	const struct login *lg = p->login;

	ASSERT(lg->method->id != LOGIN_ANONYMOUS);
	return &lg->listener->auth.methods[lg->method->id];
}

bool login_is_dynamic(const struct peer *p)
{
	return p->login->method->id != LOGIN_ANONYMOUS &&
	       login_method_conf(p)->type == METHOD_DYNAMIC;
}

unsigned login_authenticator_index(const struct peer *p)
{
	return (unsigned)login_method_conf(p)->authenticator_index;
}

const struct config_authenticator *login_authenticator(const struct peer *p)
{
	return &p->peers->config->authenticators[login_authenticator_index(p)];
}

bool login_has_certificate(const struct peer *p)
{
	const struct tls *t = conn_clients_tls(p->conn);
	struct tls_facts facts;

	if (t == NULL)
		return false;
	tls_describe(t, &facts);
	return facts.has_certificate;
}

struct channel login_channel(const struct peer *p)
{
	static const char *const serializers[SERIALIZER_COUNT] = {
		[SERIALIZER_JSON] = "json",
		[SERIALIZER_MSGPACK] = "msgpack",
		[SERIALIZER_CBOR] = "cbor",
		[SERIALIZER_UBJSON] = "ubjson",
	};

	/* A proxy tells the peer's address, which may be of another type than the socket.
	 */
	struct sock_name proxy = conn_proxy_name(p->conn);
	const char *peer = proxy.text[0] != '\0' ? proxy.text : p->login->peer_name.text;

	return (struct channel){
		.type = conn_tls(p->conn) != NULL      ? "tls"
			: strncmp(peer, "tcp", 3) == 0 ? "tcp"
						       : "unix",
		.framing = conn_is_longpoll(p->conn) ? "longpoll"
			   : p->raw                  ? "rawsocket"
						     : "websocket",
		.serializer = serializers[p->serializer],
	};
}

/* --- reports --- */

/*
 * Posts a report if an authenticator was asked about this login. table describes *record.
 * If memory runs out, the report is lost, but the session continues.
 */
static void post_report(struct peers *ps, const struct identity *who, const char *method,
			const struct field_table *table, const void *record)
{
	struct login_message *report = NULL;
	struct buf b;

	if (!who->stamp.asked)
		return;
	struct login_message head = {
		.authenticator = who->stamp.authenticator,
		.method = method,
	};
	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_params(&b, table, record);
	if (b.err == 0)
		report = login_message_new(&head, buf_slice(&b));
	buf_fini(&b);
	if (report != NULL &&
	    post_send(ps->outbox, 0,
		      &(struct post){.type = POST_LOGIN_REPORT, .login = report}))
		return;
	peers_count(ps, PEER_REPORTS_LOST);
	login_message_free(&report);
}

void login_report_opened(struct peer *p)
{
	const struct identity *i = p->identity;
	const struct auth_opened opened = {
		.session = i->session,
		.realm = i->realm_name,
		.authid = i->authid,
		.authrole = i->authrole,
		.authmethod = slice_str(i->authmethod),
		.pubkey = i->pubkey,
		.peer = slice_str(p->login->peer_name.text),
		.corr = slice_str(p->login->corr),
	};

	post_report(p->peers, i, AUTH_NOTIFY_OPENED, &auth_opened_table, &opened);
}

void login_report_closed(struct peer *p, const char *reason, uint64_t duration_ms)
{
	const struct identity *i = p->identity;
	const struct auth_closed closed = {
		.session = i->session,
		.authid = i->authid,
		.reason = slice_str(reason),
		.duration_ms = duration_ms,
	};

	post_report(p->peers, i, AUTH_NOTIFY_CLOSED, &auth_closed_table, &closed);
}

void login_report_failed(struct peer *p, const char *reason)
{
	const struct identity *i = p->login->identity;
	const struct auth_failed failed = {
		.corr = slice_str(p->login->corr),
		.reason = slice_str(reason),
	};

	if (i != NULL)
		post_report(p->peers, i, AUTH_NOTIFY_FAILED, &auth_failed_table, &failed);
}
