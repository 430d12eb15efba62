/* SPDX-License-Identifier: Apache-2.0 */
/* The decision about a login; see authenticate.h. */
#include "authd/authenticate.h"

#include "common/err.h"

#include <string.h>

enum { RETRY_MS = 200 }; /* when the database is locked */

/*
 * A principal is found by its key, which is what the client will prove, or else by the
 * authid that the client claims; then any of its keys may sign.
 */
static int look_up(struct store *store, const struct auth_request *q, struct principal *p,
		   const char **why_out)
{
	uint8_t key[PRINCIPAL_KEY];
	int r;

	if (q->pubkey.len > 0) {
		*why_out = "malformed public key";
		r = fields_key_decode(q->pubkey, key);
		if (r != 0)
			return E_NOTFOUND;
		*why_out = "unknown public key";
		r = store_find_by_key(store, key, p);
		if (r == 0) {
			memcpy(p->keys[0], key, sizeof(key));
			p->n_keys = 1;
		}
		return r;
	}
	*why_out = "neither public key nor authid";
	if (q->authid.len == 0)
		return E_NOTFOUND;
	*why_out = "unknown authid";
	r = store_find(store, q->authid, p);
	if (r == 0 && p->n_keys == 0) {
		*why_out = "principal without keys";
		return E_NOTFOUND;
	}
	return r;
}

/* What is said of one that was found, and still may not. All of them look alike to it. */
static const char *refuse(const struct auth_request *q, const struct principal *p)
{
	if (p->disabled)
		return "disabled";
	if (q->realm.len > 0 && !slice_eq(q->realm, principal_slice(&p->realm)))
		return "another realm";
	if (q->authid.len > 0 && !slice_eq(q->authid, principal_slice(&p->authid)))
		return "another authid";
	return NULL;
}

/* The configured message; a key in it is one that the client has sent itself. */
static void write_deny(const struct config_deny *deny, const struct auth_request *q,
		       struct buf *out)
{
	static const char place[] = "{pubkey}";
	struct buf message;
	uint8_t key[PRINCIPAL_KEY];
	char hex[2 * PRINCIPAL_KEY + 1] = "";

	if (fields_key_decode(q->pubkey, key) == 0)
		fields_key_encode(key, hex);
	buf_init(&message, AUTH_MAX_STRING);
	const char *rest = deny->message;
	for (const char *at = strstr(rest, place); at != NULL; at = strstr(rest, place)) {
		buf_put(&message, rest, (size_t)(at - rest));
		buf_put_str(&message, hex);
		rest = at + strlen(place);
	}
	buf_put_str(&message, rest);
	const struct auth_error e = {
		.kind = AUTH_ERROR_DENY,
		.uri = slice_str(deny->uri),
		.message = message.err == 0 ? buf_slice(&message) : slice_of(NULL, 0),
		.retry_after_ms = FIELD_NONE,
	};
	auth_error_write(out, &e);
	buf_fini(&message);
}

static void write_failure(int err, struct buf *out)
{
	const struct auth_error e = {
		.kind = err == E_AGAIN ? AUTH_ERROR_TEMPORARY : AUTH_ERROR_INTERNAL,
		.uri = slice_str(AUTH_ERROR_UNAVAILABLE),
		.detail = slice_str(err_str(err)),
		.retry_after_ms = err == E_AGAIN ? RETRY_MS : FIELD_NONE,
	};

	auth_error_write(out, &e);
}

bool authenticate(struct store *store, const struct config_deny *deny,
		  const struct auth_request *q, struct buf *out, const char **why_out)
{
	struct principal p = {.n_keys = 0};
	struct auth_result res = {.epoch = store_epoch(store)};

	if (!slice_eq_str(q->authmethod, "cryptosign")) {
		const struct auth_error e = {.kind = AUTH_ERROR_IGNORE,
					     .retry_after_ms = FIELD_NONE};
		auth_error_write(out, &e);
		*why_out = "another login method";
		return false;
	}
	int r = look_up(store, q, &p, why_out);
	if (r != 0 && r != E_NOTFOUND) {
		write_failure(r, out);
		*why_out = "database failed";
		return false;
	}
	if (r == 0)
		*why_out = refuse(q, &p);
	if (*why_out != NULL) {
		write_deny(deny, q, out);
		return false;
	}
	res.role = principal_slice(&p.role);
	res.realm = principal_slice(&p.realm);
	res.authid = principal_slice(&p.authid);
	res.extra = slice_of(p.extra, p.extra_len);
	res.keys.n = p.n_keys;
	memcpy(res.keys.key, p.keys, p.n_keys * sizeof(p.keys[0]));
	auth_result_write(out, &res);
	return true;
}
