/* SPDX-License-Identifier: Apache-2.0 */
/* Decides about logins; see authenticate.h. Main thread. */
#include "authd/authenticate.h"

#include "common/err.h"

#include <assert.h>
#include <string.h>

enum { RETRY_AFTER_MS = 200 };

enum reason {
	ALLOWED = 0,
	KEY_MISSING = 1,
	KEY_MALFORMED = 2,
	KEY_UNKNOWN = 3,
	AUTHID_UNKNOWN = 4,
	KEYLESS = 5,
	DISABLED = 6,
	OTHER_REALM = 7,
	OTHER_AUTHID = 8,
	REASON_COUNT = 9,
};

static const struct {
	const char *log;
	/* NULL: the client gets the same text as for an unknown key. */
	const char *client;
} reasons[] = {
	[ALLOWED] = {NULL, NULL},
	[KEY_MISSING] = {"no public key and no authid",
			 "authextra.pubkey is missing: expected 64 hex digits"},
	[KEY_MALFORMED] = {"malformed public key",
			   "authextra.pubkey is malformed: expected 64 hex digits"},
	[KEY_UNKNOWN] = {"unknown public key", NULL},
	[AUTHID_UNKNOWN] = {"unknown authid", NULL},
	[KEYLESS] = {"the principal has no keys", NULL},
	[DISABLED] = {"the principal is disabled", NULL},
	[OTHER_REALM] = {"the principal is in another realm",
			 "not allowed to join realm"},
	[OTHER_AUTHID] = {"the public key has another authid",
			  "the public key does not belong to authid"},
};
static_assert(ARRAY_LEN(reasons) == REASON_COUNT, "reasons has a row for each reason");

/*
 * Finds the principal that has the public key from the client. The client must then sign
 * with this key, not with another key of the principal.
 */
static int look_up_key(struct store *store, struct slice pubkey, struct principal *p,
		       enum reason *reason_out)
{
	uint8_t key[FIELD_KEY_LEN];

	*reason_out = KEY_MALFORMED;
	if (fields_key_decode(pubkey, key) != 0)
		return 0;
	int err = store_find_by_key(store, key, p);
	if (err == 0) {
		memcpy(p->is.keys.key[0], key, sizeof(key));
		p->is.keys.n = 1;
	}
	*reason_out = err == 0 ? ALLOWED : KEY_UNKNOWN;
	return err == E_NOTFOUND ? 0 : err;
}

/*
 * Finds the principal by the authid that the client claims. The client may sign with any
 * of its keys.
 */
static int look_up_authid(struct store *store, struct slice authid, struct principal *p,
			  enum reason *reason_out)
{
	*reason_out = KEY_MISSING;
	if (authid.len == 0)
		return 0;
	int err = store_find(store, authid, p);
	*reason_out = AUTHID_UNKNOWN;
	if (err == 0)
		*reason_out = p->is.keys.n > 0 ? ALLOWED : KEYLESS;
	return err == E_NOTFOUND ? 0 : err;
}

/* Checks that the principal is enabled and is the one that the client asked for. */
static enum reason check_principal(const struct auth_request *q,
				   const struct principal *p)
{
	if (p->is.disabled)
		return DISABLED;
	if (q->realm.len > 0 && !slice_eq(q->realm, p->is.realm))
		return OTHER_REALM;
	if (q->authid.len > 0 && !slice_eq(q->authid, p->is.authid))
		return OTHER_AUTHID;
	return ALLOWED;
}

/* Appends the configured message, with the key from the client in place of {pubkey}. */
static void put_configured(struct buf *b, const char *message, struct slice pubkey)
{
	static const char place[] = "{pubkey}";
	uint8_t key[FIELD_KEY_LEN];
	char hex[2 * FIELD_KEY_LEN + 1] = "";

	if (fields_key_decode(pubkey, key) == 0)
		fields_key_encode(key, hex);
	for (const char *at = strstr(message, place); at != NULL;
	     at = strstr(message, place)) {
		buf_put(b, message, (size_t)(at - message));
		buf_put_str(b, hex);
		message = at + strlen(place);
	}
	buf_put_str(b, message);
}

/*
 * Writes the message for the client. The client has not proved its identity yet, so the
 * message must not reveal the principal's data: the message repeats only what the client
 * has sent, and a disabled principal gets the same answer as an unknown one.
 */
static void put_message(struct buf *b, const struct settings_deny *deny,
			enum reason reason, const struct auth_request *q)
{
	const char *text = reasons[reason].client;

	if (text == NULL && q->pubkey.len > 0) {
		put_configured(b, deny->message, q->pubkey);
		return;
	}
	buf_put_str(b, text != NULL ? text : "no public key is known for authid");
	if (reason == KEY_MISSING || reason == KEY_MALFORMED)
		return;
	buf_put_str(b, " \"");
	buf_put_slice(b, reason == OTHER_REALM ? q->realm : q->authid);
	buf_put_u8(b, '"');
}

static void write_deny(const struct settings_deny *deny, enum reason reason,
		       const struct auth_request *q, struct buf *out)
{
	struct buf message;

	buf_init(&message, AUTH_MAX_STRING);
	put_message(&message, deny, reason, q);
	auth_error_write(out, AUTH_ERROR_DENY, deny->uri,
			 message.err == 0 ? buf_slice(&message) : slice_of(NULL, 0));
	buf_fini(&message);
}

/* Reports a failure of authd as temporary, so that clients try again. */
static void write_failure(int err, struct buf *out)
{
	const struct auth_error error = {
		.kind = AUTH_ERROR_TEMPORARY,
		.uri = slice_str(AUTH_ERROR_UNAVAILABLE),
		.detail = slice_str(err_str(err)),
		.retry_after_ms = RETRY_AFTER_MS,
	};

	fields_write_item(out, &auth_error_table, &error);
}

static void write_result(uint64_t epoch, const struct principal *p, struct buf *out)
{
	const struct auth_result res = {
		.role = p->is.role,
		.realm = p->is.realm,
		.authid = p->is.authid,
		.extra = p->is.extra,
		.keys = p->is.keys,
		.epoch = epoch,
	};

	fields_write_item(out, &auth_result_table, &res);
}

enum verdict authenticate(struct store *store, const struct settings_deny *deny,
			  const struct auth_request *q, struct buf *out,
			  const char **why_out)
{
	struct principal p;
	/* Read the epoch before the principal, so that the epoch is never newer than
	 * the data. */
	uint64_t epoch = store_epoch(store);
	enum reason reason;

	if (!slice_eq_str(q->authmethod, "cryptosign")) {
		auth_error_write(out, AUTH_ERROR_DENY, WAMP_ERROR_NO_MATCHING_AUTH_METHOD,
				 slice_str("authd stores public keys only: log in with "
					   "cryptosign"));
		*why_out = "unsupported authmethod";
		return VERDICT_DENIED;
	}
	int err = q->pubkey.len > 0 ? look_up_key(store, q->pubkey, &p, &reason)
				    : look_up_authid(store, q->authid, &p, &reason);
	if (err == 0) {
		if (reason == ALLOWED)
			reason = check_principal(q, &p);
		if (reason == ALLOWED)
			write_result(epoch, &p, out);
		else
			write_deny(deny, reason, q, out);
		err = out->err;
	}
	if (err != 0) {
		buf_clear(out);
		write_failure(err, out);
		*why_out = err_str(err);
		return VERDICT_FAILED;
	}
	*why_out = reasons[reason].log;
	return reason == ALLOWED ? VERDICT_ALLOWED : VERDICT_DENIED;
}
