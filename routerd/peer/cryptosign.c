/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method cryptosign (specification: "Cryptosign-based Authentication"): an
 * authenticator says who has which Ed25519 key; the client proves by signing a challenge
 * of ours. The worker's thread.
 */
#include "routerd/peer/login.h"

#include "routerd/post/outbox.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

enum { SIGNED_LEN = LOGIN_SIGNATURE_LEN + LOGIN_CHALLENGE_LEN };

static_assert(FIELD_KEY_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519");
static_assert(LOGIN_SIGNATURE_LEN == crypto_sign_BYTES, "Ed25519");

static bool cryptosign_offered(const struct config_listener *l)
{
	return l->auth.cryptosign.authenticator_index >= 0;
}

/* --- HELLO: ask --- */

static const char *const serializer_names[SERIALIZER_COUNT] = {
	[SERIALIZER_JSON] = "json",
	[SERIALIZER_MSGPACK] = "msgpack",
	[SERIALIZER_CBOR] = "cbor",
};

static int write_question(struct peer *p, const struct msg_hello *h, struct buf *out)
{
	const struct login *lg = p->login;
	const char *peer_name = lg->peer_name.text;
	struct auth_request q = {
		.realm = h->realm,
		.authid = h->authid,
		.authmethod = slice_str("cryptosign"),
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
				.channel_framing =
					slice_str(p->raw ? "rawsocket" : "websocket"),
				.channel_serializer =
					slice_str(serializer_names[p->serializer]),
				.channel_type = slice_str(
					strncmp(peer_name, "tcp", 3) == 0 ? "tcp"
									  : "unix"),
				.peer = slice_str(peer_name),
				.path = slice_str(lg->path),
				.headers = lg->http_headers.err == 0
						   ? buf_slice(&lg->http_headers)
						   : slice_of(NULL, 0),
			},
	};
	return auth_request_write(out, &q, AUTH_MAX_MESSAGE);
}

/* Longer ones are nobody's, and the question could not carry them. */
static bool names_are_short(struct peer *p, const struct msg_hello *h)
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

/* Posts the question, with mail for the answer. False: no memory. */
static bool post_question(struct peer *p, struct login_message *q)
{
	struct outbox *ob = p->peers->outbox;

	q->mail = outbox_reserve(ob);
	return q->mail != NULL && post_send(ob, 0,
					    &(struct post){
						    .type = POST_LOGIN,
						    .session = peers_ref(p->peers, p),
						    .login = q,
					    });
}

static void cryptosign_hello(struct peer *p, const struct msg_hello *h)
{
	struct login *lg = p->login;
	struct login_message question = {
		.authenticator =
			(uint16_t)lg->listener->auth.cryptosign.authenticator_index,
		.deadline_ms = loop_now_ms(p->peers->loop) +
			       lg->listener->options.open_handshake_timeout,
	};
	struct login_message *q = NULL;
	struct buf params;

	if (!names_are_short(p, h))
		return;
	if (h->channel_binding.len > 0) {
		login_denyf(p, WAMP_ERROR_NOT_AUTHORIZED,
			    "invalid channel binding type \"%.*s\" requested",
			    (int)min_size(h->channel_binding.len, 64),
			    (const char *)h->channel_binding.p);
		return;
	}
	lg->claimed_key.there = fields_key_decode(h->pubkey, lg->claimed_key.octets) == 0;
	buf_init(&params, AUTH_MAX_MESSAGE);
	if (write_question(p, h, &params) == 0)
		q = login_message_new(&question, buf_slice(&params));
	buf_fini(&params);
	/* names are short, so that nothing but memory can be missing */
	if (q == NULL || !post_question(p, q)) {
		login_message_free(&q);
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	peer_set_state(p, PEER_AUTH_WAIT);
	lg->asking = true;
}

/* --- the answer: challenge --- */

/* The key that the client says it has, if it is one of those; else the only one; else
 * none yet. */
static const uint8_t *expected_key(const struct login *lg)
{
	const struct field_key *claimed = &lg->claimed_key;

	for (unsigned i = 0; claimed->there && i < lg->keys.n; i++)
		if (memcmp(claimed->octets, lg->keys.key[i], FIELD_KEY_LEN) == 0)
			return lg->keys.key[i];
	return lg->keys.n == 1 ? lg->keys.key[0] : NULL;
}

/* key may be NULL. */
static struct field_key field_key_of(const uint8_t *key)
{
	struct field_key k = {.there = key != NULL};

	if (key != NULL)
		memcpy(k.octets, key, FIELD_KEY_LEN);
	return k;
}

static void result(struct peer *p, const struct auth_result *res,
		   const struct lookup_stamp *stamp)
{
	char text[2 * LOGIN_CHALLENGE_LEN + 1];
	struct login *lg = p->login;

	if (res->keys.n == 0) {
		login_fail(p,
			   "the authenticator's result: pubkey: required, but missing");
		return;
	}
	lg->keys = res->keys;
	struct identity who = {
		.realm_name = res->realm,
		.authid = res->authid,
		.authrole = res->role,
		.authprovider = res->authprovider.len > 0 ? res->authprovider
							  : slice_str("dynamic"),
		.pubkey = field_key_of(expected_key(lg)),
		.stamp = *stamp,
	};
	if (!login_identify(p, &who))
		return;
	buf_put_slice(&lg->extra, res->extra);
	if (lg->extra.err != 0) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	peer_set_state(p, PEER_CHALLENGED);
	if (!login_not_revoked(p))
		return;
	randombytes_buf(lg->challenge, LOGIN_CHALLENGE_LEN);
	sodium_bin2hex(text, sizeof(text), lg->challenge, LOGIN_CHALLENGE_LEN);
	msg_write_challenge_cryptosign(peer_begin(p), p->serializer, text);
	peer_send_sure(p);
}

/* --- AUTHENTICATE: verify --- */

static void bad_signature(struct peer *p, const char *message)
{
	login_report_failed(p, "bad_signature");
	login_deny(p, WAMP_ERROR_NOT_AUTHORIZED, slice_str(message));
}

/* The signature, then the message signed, which must be our challenge: or it is a replay.
 */
static void cryptosign_authenticate(struct peer *p, struct slice signature)
{
	struct login *lg = p->login;
	uint8_t msg[SIGNED_LEN], *signed_challenge = msg + LOGIN_SIGNATURE_LEN;
	char got[2 * LOGIN_CHALLENGE_LEN + 1], want[sizeof(got)], text[256];
	size_t len = 0;

	if (signature.len % 2 != 0 || signature.len / 2 != SIGNED_LEN) {
		snprintf(text, sizeof(text),
			 "signed message has invalid length (was %zu, but should have "
			 "been %d)",
			 signature.len / 2, SIGNED_LEN);
		bad_signature(p, text);
	} else if (sodium_hex2bin(msg, sizeof(msg), (const char *)signature.p,
				  signature.len, NULL, &len, NULL) != 0 ||
		   len != sizeof(msg)) {
		bad_signature(p, "signed message is invalid (not a HEX encoded string)");
	} else if (sodium_memcmp(signed_challenge, lg->challenge, LOGIN_CHALLENGE_LEN) !=
		   0) {
		sodium_bin2hex(got, sizeof(got), signed_challenge, LOGIN_CHALLENGE_LEN);
		sodium_bin2hex(want, sizeof(want), lg->challenge, LOGIN_CHALLENGE_LEN);
		snprintf(text, sizeof(text),
			 "message signed is bogus [got 0x%s, expected 0x%s]", got, want);
		bad_signature(p, text);
	} else {
		memcpy(lg->signature, msg, LOGIN_SIGNATURE_LEN);
		lg->queued = true;
		TAILQ_INSERT_TAIL(&p->peers->to_verify, lg, to_verify);
	}
}

/* The expected key, or any if none is; NULL: the signature is not valid. */
static const uint8_t *verifying_key(const struct login *lg)
{
	const uint8_t *expected = expected_key(lg);

	for (unsigned i = 0; i < lg->keys.n; i++) {
		const uint8_t *key = lg->keys.key[i];
		if ((expected == NULL || key == expected) &&
		    crypto_sign_verify_detached(lg->signature, lg->challenge,
						LOGIN_CHALLENGE_LEN, key) == 0)
			return key;
	}
	return NULL;
}

/* Now that it is known which key it was, revocations of that key count too. */
static bool learn_key(struct login *lg, const uint8_t *key)
{
	if (lg->identity->pubkey.there)
		return true;
	struct identity who = *lg->identity;
	who.pubkey = field_key_of(key);
	struct identity *known = identity_new(&who);
	if (known == NULL)
		return false;
	identity_unref(&lg->identity);
	lg->identity = known;
	return true;
}

static void verify(struct peer *p)
{
	struct login *lg = p->login;
	const uint8_t *key = verifying_key(lg);

	if (key == NULL)
		bad_signature(p, "signed message has invalid signature");
	else if (!learn_key(lg, key))
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	else if (login_not_revoked(p))
		login_join(p);
}

const struct login_method login_cryptosign = {
	.name = "cryptosign",
	.offered = cryptosign_offered,
	.hello = cryptosign_hello,
	.result = result,
	.authenticate = cryptosign_authenticate,
	.verify = verify,
};
