/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy tells about the client that it speaks for: the header of the PROXY
 * protocol, versions 1 (text) and 2 (binary), and the HTTP header X-Forwarded-For. No
 * state; any thread.
 */
#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include "common/address.h"
#include "proto/http.h"

/* bytes: of a header, and of the texts in it */
enum { PROXY_HEADER_MAX = 2048, PROXY_NAME_MAX = 255, PROXY_VERSION_MAX = 15 };

struct proxy_header {
	size_t len; /* bytes */
	/*
	 * Of the client. The family is ADDRESS_UNKNOWN if the proxy tells none, because
	 * it speaks for itself or does not know.
	 */
	struct address peer;
	/*
	 * The client's TLS, from version 2. ends_tls: it ends at the proxy. server_name:
	 * the name that the client has asked for (SNI), at most PROXY_NAME_MAX bytes;
	 * tls_version: "1.3", at most PROXY_VERSION_MAX bytes. Both are UTF-8 and may be
	 * empty; they point into the bytes of the header.
	 */
	bool ends_tls;
	struct slice server_name, tls_version;
};

/*
 * Parses the PROXY header at the start of bytes. 0: *out is what it says. E_AGAIN: all
 * bytes belong to the header, and more follow. E_SYNTAX: it is not such a header, or a
 * longer one, as *why_out says, a constant.
 */
int proxy_header_parse(struct slice bytes, struct proxy_header *out,
		       const char **why_out) MUSTCHECK;

/*
 * For a connection that must not begin with a PROXY header. NULL if these first bytes do
 * not begin with one; else a constant for the log.
 */
const char *proxy_unexpected(struct slice first);

/*
 * Finds the client of a request in X-Forwarded-For. *peer is the address that the request
 * came from. If it is in one of n networks, gets the last address in the list that is
 * not, or the first one if all are. What precedes an element that is no address is not
 * believed. False: there is such an element, and it mattered.
 */
bool proxy_forwarded_for(const struct http_request *req, const struct network *trusted,
			 size_t n, struct address *peer) MUSTCHECK;

#endif
