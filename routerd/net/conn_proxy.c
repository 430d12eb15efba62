/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learns the address of a client from the proxy that speaks for it. The worker's thread.
 */
#include "proto/proxy.h"

#include "common/err.h"
#include "routerd/net/conn_int.h"

#include <stdio.h>
#include <stdlib.h>

static void refuse_header(struct conn *c, const char *why)
{
	conn_log(c,
		 "connection reset: bad PROXY header reason=\"%s\" peer=%s listener=%s "
		 "suppressed=%u",
		 why, conn_peer_name(c).text, c->conf->name);
	sock_reset_at_close(c->stream.fd);
	conn_kill(c, CONN_END_PROXY);
}

/*
 * Takes bytes that conn_proxy_read has seen out of the socket. What follows the header
 * stays there, since TLS reads the socket itself.
 */
static bool take_header(struct conn *c, size_t len)
{
	size_t got;

	if (sock_read(c->stream.fd, c->net->scratch, len, &got) == 0 && got == len) {
		net_count(c->net, NET_BYTES_IN, len);
		return true;
	}
	conn_kill(c, CONN_END_LOST);
	return false;
}

/* Keeps what a header says. False if out of memory. */
static bool keep_header(struct conn *c, const struct proxy_header *h)
{
	struct proxy_tls *tls;

	c->proxied = h->peer.family != ADDRESS_UNKNOWN;
	if (c->proxied)
		c->peer = h->peer;
	c->proxy_ends_tls = h->ends_tls;
	if (h->server_name.len == 0 && h->tls_version.len == 0)
		return true;
	tls = c->proxy_tls = calloc(1, sizeof(*tls));
	if (tls == NULL)
		return false;
	snprintf(tls->server_name, sizeof(tls->server_name), "%.*s",
		 (int)h->server_name.len, (const char *)h->server_name.p);
	snprintf(tls->version, sizeof(tls->version), "%.*s", (int)h->tls_version.len,
		 (const char *)h->tls_version.p);
	return true;
}

bool conn_proxy_read(struct conn *c)
{
	size_t before = c->partial.part == NULL ? 0 : c->partial.part->len, got;
	struct proxy_header header;
	const char *why;
	/* there is room: parsing refuses longer headers */
	int err =
		sock_peek(c->stream.fd, c->net->scratch, PROXY_HEADER_MAX - before, &got);

	if (err == E_AGAIN)
		return false;
	if (err != 0) {
		/* maybe a proxy has checked whether the port is open */
		conn_kill(c, CONN_END_LOST);
		return false;
	}
	if (!conn_add_partial(c, slice_of(c->net->scratch, got), PROXY_HEADER_MAX)) {
		conn_kill(c, CONN_END_NOMEM);
		return false;
	}
	err = proxy_header_parse(buf_slice(c->partial.part), &header, &why);
	if (err == E_SYNTAX) {
		refuse_header(c, why);
		return false;
	}
	if (!take_header(c, err == 0 ? header.len - before : got))
		return false;
	if (err == 0 && !keep_header(c, &header)) {
		conn_kill(c, CONN_END_NOMEM);
		return false;
	}
	if (err == 0)
		buf_free(&c->partial.part);
	conn_count_incomplete(c);
	return err == 0;
}

struct address conn_forwarded_peer(struct conn *c, const struct http_request *req)
{
	struct address peer = c->peer;

	if (c->conf->n_trusted == 0 ||
	    proxy_forwarded_for(req, c->conf->trusted, c->conf->n_trusted, &peer))
		return peer;
	/* a proxy has sent it, although it does not tell the client's address */
	c->proxy_ends_tls = true;
	net_count(c->net, NET_FORWARDED_INVALID, 1);
	conn_log(c,
		 "X-Forwarded-For has an invalid address peer=%s listener=%s "
		 "suppressed=%u",
		 sock_address_name(&peer).text, c->conf->name);
	return peer;
}

void conn_set_peer(struct conn *c, const struct conn *by, const struct address *peer)
{
	bool forwarded = !address_same(peer, &by->peer);

	c->proxied = by->proxied || forwarded;
	c->proxy_ends_tls |= forwarded;
	c->peer = *peer;
}

struct sock_name conn_proxy_name(const struct conn *c)
{
	if (!c->proxied)
		return (struct sock_name){""};
	return conn_is_longpoll(c) ? c->longpoll->proxy_name
				   : sock_peer_name(c->stream.fd);
}

const struct tls *conn_clients_tls(const struct conn *c)
{
	return c->proxy_ends_tls ? NULL : c->stream.tls;
}

const struct proxy_tls *conn_proxy_tls(const struct conn *c)
{
	return c->proxy_tls;
}
