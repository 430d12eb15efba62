/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy tells about its client; see proxy.h. No state; any thread. */
#include "proto/proxy.h"

#include "common/err.h"
#include "common/utf8.h"

enum {
	V1_MAX = 107, /* with its CR LF */
	SIGNATURE_LEN = 12,
	V2_HEAD = 16,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_MAX = 3,
	TRANSPORT_STREAM = 1,
	TRANSPORT_MAX = 2,
	TLV_HEAD = 3, /* type and length of its value */
	TLV_AUTHORITY = 0x02,
	TLV_SSL = 0x20,
	TLV_SSL_VERSION = 0x21, /* in the value of TLV_SSL */
	SSL_HEAD = 5,           /* flags, and the result of verifying */
	SSL_CLIENT = 1,         /* flag: the client uses TLS, which ends at the proxy */
};

static const uint8_t signature[SIGNATURE_LEN] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_start[] = "PROXY ";

/* --- version 1 --- */

/* Takes the next word, which ends with one space or the end of the line. */
static struct slice take_word(struct slice *line)
{
	size_t n = slice_find(*line, ' ');
	struct slice word = slice_of(line->p, n);

	*line = slice_from(*line, n < line->len ? n + 1 : n);
	return word;
}

/* An address without a port. */
static bool read_host(struct slice word, bool v6, struct address *out)
{
	bool colon = slice_find(word, ':') < word.len;

	/* the form with a port has one colon, or brackets */
	return colon == v6 && (!v6 || word.p[0] != '[') &&
	       address_parse(word, out) == 0 && out->port == 0;
}

static bool read_v1(struct slice line, struct address *out)
{
	struct slice family = take_word(&line);
	bool v4 = slice_eq_str(family, "TCP4"), v6 = slice_eq_str(family, "TCP6");
	struct address to;
	uint16_t port, to_port;

	if (slice_eq_str(family, "UNKNOWN"))
		return true;
	if ((!v4 && !v6) || !read_host(take_word(&line), v6, out) ||
	    !read_host(take_word(&line), v6, &to) ||
	    address_parse_port(take_word(&line), &port) != 0 ||
	    address_parse_port(line, &to_port) != 0)
		return false;
	out->port = port;
	return true;
}

static int parse_v1(struct slice bytes, struct proxy_header *out, const char **why_out)
{
	struct slice line = slice_of(bytes.p, min_size(bytes.len, V1_MAX));
	size_t end = slice_find(line, '\n');

	if (end == V1_MAX) {
		*why_out = "the line is longer than 107 bytes";
		return E_SYNTAX;
	}
	if (end == line.len)
		return E_AGAIN;
	out->len = end + 1;
	line = slice_from(slice_of(line.p, end), sizeof(v1_start) - 1);
	if (line.len > 0 && line.p[line.len - 1] == '\r' &&
	    read_v1(slice_of(line.p, line.len - 1), &out->peer))
		return 0;
	*why_out = "the line has another form than version 1 requires";
	return E_SYNTAX;
}

/* --- version 2 --- */

/* Takes the next TLV. False: there is none, or it is cut off. */
static bool take_tlv(struct slice *tlvs, uint8_t *type_out, struct slice *value_out)
{
	size_t len;

	if (tlvs->len < TLV_HEAD)
		return false;
	*type_out = tlvs->p[0];
	len = get_be16(tlvs->p + 1);
	if (tlvs->len - TLV_HEAD < len)
		return false;
	*value_out = slice_of(tlvs->p + TLV_HEAD, len);
	*tlvs = slice_from(*tlvs, TLV_HEAD + len);
	return true;
}

/* Is it a text for log lines and authenticators? A client may have chosen it. */
static bool is_readable(struct slice s, size_t max)
{
	return s.len > 0 && s.len <= max && utf8_valid(s) &&
	       memchr(s.p, '\0', s.len) == NULL;
}

static void read_ssl(struct slice value, struct proxy_header *out)
{
	static const char prefix[] = "TLSv";
	const size_t n = sizeof(prefix) - 1;
	struct slice version;
	uint8_t type;

	if (value.len < SSL_HEAD || (value.p[0] & SSL_CLIENT) == 0)
		return;
	out->ends_tls = true;
	value = slice_from(value, SSL_HEAD);
	while (take_tlv(&value, &type, &version))
		if (type == TLV_SSL_VERSION && version.len > n &&
		    is_readable(version, n + PROXY_VERSION_MAX) &&
		    memcmp(version.p, prefix, n) == 0)
			out->tls_version = slice_from(version, n);
}

/*
 * Reads what is told about TLS, but no name of a client's certificate: only the router
 * itself can verify one. All other TLVs are ignored.
 */
static void read_tlvs(struct slice tlvs, struct proxy_header *out)
{
	struct slice value;
	uint8_t type;

	while (take_tlv(&tlvs, &type, &value))
		if (type == TLV_AUTHORITY && is_readable(value, PROXY_NAME_MAX))
			out->server_name = value;
		else if (type == TLV_SSL)
			read_ssl(value, out);
}

/* Reads what follows the head. */
static bool read_v2(unsigned family, bool stream, struct slice body,
		    struct proxy_header *header)
{
	/* bytes of both addresses, and of both ports */
	static const size_t lens[FAMILY_MAX + 1] = {0, 2 * 4 + 4, 2 * 16 + 4, 2 * 108};
	struct address *out = &header->peer;
	const uint8_t *p = body.p;

	if (body.len < lens[family])
		return false;
	read_tlvs(slice_from(body, lens[family]), header);
	if (!stream)
		return true;
	if (family == 1)
		*out = address_ipv4(p, get_be16(p + 8));
	else if (family == 2)
		*out = address_ipv6(p, get_be16(p + 32));
	else if (family == 3)
		out->family = ADDRESS_UNIX;
	return true;
}

static int parse_v2(struct slice bytes, struct proxy_header *out, const char **why_out)
{
	if (bytes.len < V2_HEAD)
		return E_AGAIN;
	unsigned command = bytes.p[12] & 15, family = bytes.p[13] >> 4;
	unsigned transport = bytes.p[13] & 15;
	size_t len = get_be16(bytes.p + 14);

	if (bytes.p[12] >> 4 != 2 || command > COMMAND_PROXY) {
		*why_out = "unknown version or command";
		return E_SYNTAX;
	}
	/* the address of LOCAL is to be ignored, whatever its family is */
	if (command != COMMAND_LOCAL &&
	    (family > FAMILY_MAX || transport > TRANSPORT_MAX)) {
		*why_out = "unknown address family or transport";
		return E_SYNTAX;
	}
	if (len > PROXY_HEADER_MAX - V2_HEAD) {
		*why_out = "longer than 2048 bytes";
		return E_SYNTAX;
	}
	if (bytes.len < V2_HEAD + len)
		return E_AGAIN;
	out->len = V2_HEAD + len;
	if (command == COMMAND_LOCAL || read_v2(family, transport == TRANSPORT_STREAM,
						slice_of(bytes.p + V2_HEAD, len), out))
		return 0;
	*why_out = "too short for its addresses";
	return E_SYNTAX;
}

int proxy_header_parse(struct slice bytes, struct proxy_header *out, const char **why_out)
{
	size_t v1_len = min_size(bytes.len, sizeof(v1_start) - 1);
	size_t v2_len = min_size(bytes.len, SIGNATURE_LEN);

	*out = (struct proxy_header){.peer = {.family = ADDRESS_UNKNOWN}};
	if (bytes.len == 0)
		return E_AGAIN;
	if (memcmp(bytes.p, v1_start, v1_len) == 0)
		return v1_len < sizeof(v1_start) - 1 ? E_AGAIN
						     : parse_v1(bytes, out, why_out);
	if (memcmp(bytes.p, signature, v2_len) == 0)
		return v2_len < SIGNATURE_LEN ? E_AGAIN : parse_v2(bytes, out, why_out);
	*why_out = "there is none";
	return E_SYNTAX;
}

const char *proxy_unexpected(struct slice first)
{
	struct slice v1 = slice_of(first.p, min_size(first.len, sizeof(v1_start) - 1));

	if (slice_eq_str(v1, v1_start) ||
	    (first.len >= SIGNATURE_LEN &&
	     memcmp(first.p, signature, SIGNATURE_LEN) == 0))
		return "unexpected PROXY header: see proxy_protocol";
	return NULL;
}

/* --- X-Forwarded-For --- */

bool proxy_forwarded_for(const struct http_request *req, const struct network *trusted,
			 size_t n, struct address *peer)
{
	struct http_list it = {0};
	struct address found = *peer, next;
	struct slice element;
	bool any = false, bad = false;

	if (!network_has(trusted, n, peer))
		return true;
	/*
	 * The list is read backwards, from the newest address, until there is one that is
	 * not trusted. Its elements come forwards, so each one that would end the search
	 * replaces what was found before.
	 */
	while (http_list_next(req, "X-Forwarded-For", &it, &element)) {
		if (address_parse(element, &next) != 0) {
			bad = true;
			any = false;
			found = *peer;
		} else if (!network_has(trusted, n, &next) || !any) {
			bad = bad && network_has(trusted, n, &next);
			any = true;
			found = next;
		}
	}
	*peer = found;
	return !bad;
}
