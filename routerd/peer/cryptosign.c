/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login method cryptosign (specification: "Cryptosign-based Authentication"): an
 * authenticator or the configuration says which Ed25519 keys a principal has, and the
 * client proves that it has one of them by signing a challenge. The worker's thread.
 */
#include "routerd/peer/login.h"

#include "routerd/net/tls_facts.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CHALLENGE_LEN = 32,
	SIGNED_LEN = crypto_sign_BYTES + CHALLENGE_LEN,
};

static_assert(FIELD_KEY_LEN == crypto_sign_PUBLICKEYBYTES,
	      "FIELD_KEY_LEN is the length of an Ed25519 public key");

struct cryptosign {
	/* HELLO's authextra.pubkey, if that is a valid key. */
	struct field_key claimed_key;
	struct field_keys keys; /* the client may sign with any of them */
	uint8_t challenge[CHALLENGE_LEN];
	struct field_key clients_challenge; /* which the router must sign */
	struct tls_channel channel; /* n is 0: the client has not asked for a binding */
	const char *binding;        /* the type that it has asked for; NULL: none */
	uint8_t signed_bytes[CHALLENGE_LEN]; /* the challenge, or that XOR a channel id */
	uint8_t signature[crypto_sign_BYTES];
};

/* Signs the client's challenge, so that the client knows which router this is. */
static void sign_clients_challenge(const struct peer *p,
				   char signature[2 * SIGNED_LEN + 1])
{
	const struct cryptosign *cs = p->login->state;
	uint8_t msg[SIGNED_LEN];

	crypto_sign_detached(msg, NULL, cs->clients_challenge.octets, CHALLENGE_LEN,
			     p->peers->config->node_secret);
	memcpy(msg + crypto_sign_BYTES, cs->clients_challenge.octets, CHALLENGE_LEN);
	sodium_bin2hex(signature, 2 * SIGNED_LEN + 1, msg, sizeof(msg));
}

static void send_challenge(struct peer *p)
{
	char text[2 * CHALLENGE_LEN + 1], signature[2 * SIGNED_LEN + 1];
	char pubkey[2 * FIELD_KEY_LEN + 1];
	const struct config *cfg = p->peers->config;
	struct cryptosign *cs = p->login->state;
	struct msg_key_challenge c = {.challenge = text, .channel_binding = cs->binding};

	randombytes_buf(cs->challenge, CHALLENGE_LEN);
	sodium_bin2hex(text, sizeof(text), cs->challenge, CHALLENGE_LEN);
	if (cs->clients_challenge.there && cfg->node_key_file != NULL) {
		sign_clients_challenge(p, signature);
		fields_key_encode(cfg->node_public, pubkey);
		c.signature = signature;
		c.pubkey = pubkey;
	}
	msg_write_challenge_cryptosign(peer_begin(p), p->serializer, &c);
	login_send_challenge(p);
}

/* --- HELLO: find the keys in the configuration --- */

static bool is_key_of(const struct field_keys *keys, const uint8_t key[FIELD_KEY_LEN])
{
	bool has = false;

	for (unsigned i = 0; i < keys->n; i++)
		has = has || memcmp(keys->key[i], key, FIELD_KEY_LEN) == 0;
	return has;
}

/*
 * The principal that has the claimed key or, if HELLO has none, the only key of its
 * authid. NULL if there is none. So exactly one key must sign, for known principals and
 * unknown ones.
 */
static const struct config_principal *find_key_holder(struct peer *p,
						      const struct msg_hello *h,
						      const struct field_key *claimed)
{
	const struct config_method *m = login_method_conf(p);
	const struct config_principal *who =
		h->authid.len > 0 ? config_principal_find(m, h->authid)
				  : config_principal_by_key(m, claimed->octets);
	bool fits =
		who != NULL && (claimed->there ? is_key_of(&who->keys, claimed->octets)
					       : who->keys.n == 1);

	return fits ? who : NULL;
}

static void challenge_locally(struct peer *p, const struct msg_hello *h)
{
	struct login *lg = p->login;
	struct cryptosign *cs = lg->state;
	const struct field_key *claimed = &cs->claimed_key;

	if (h->authid.len == 0 && !claimed->there) {
		login_deny(
			p, WAMP_ERROR_NOT_AUTHORIZED,
			slice_str("HELLO names neither an authid nor an "
				  "authextra.pubkey of 64 hex digits: name one of them"));
		return;
	}
	const struct config_principal *who = find_key_holder(p, h, claimed);
	if (!login_local_begin(p, h, who))
		return;
	cs->keys.n = 1;
	memcpy(cs->keys.key[0],
	       who != NULL && claimed->there ? claimed->octets
					     : lg->principal->keys.key[0],
	       FIELD_KEY_LEN);
	peer_set_state(p, PEER_CHALLENGED);
	send_challenge(p);
}

/* --- HELLO --- */

#define BINDINGS "\"tls-unique\" or \"tls-exporter\""

/* Bytes of the name; with more, the ABORT or the log could lose the reason behind it. */
enum { BINDING_SHOWN = 48 };

/* Finds what the client wants to bind its login to. False if p has been refused. */
static bool choose_binding(struct peer *p, struct cryptosign *cs,
			   const struct msg_hello *h)
{
	const char *why = "unknown: expected " BINDINGS;
	struct slice name = h->channel_binding;

	if (!h->asks_binding && login_method_conf(p)->channel_binding == 0)
		return true;
	if (name.len == 0) {
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED,
			   h->asks_binding
				   ? slice_str("authextra.channel_binding: expected "
					       "null, " BINDINGS)
				   : slice_str("authextra.channel_binding is missing: "
					       "this port needs " BINDINGS));
		return false;
	}
	for (unsigned i = 0; i < TLS_BINDING_COUNT; i++) {
		if (!slice_eq_str(name, tls_binding_names[i]))
			continue;
		cs->binding = tls_binding_names[i];
		why = conn_is_longpoll(p->conn)
			      ? "long-poll has no channel: its requests may use several "
				"connections"
			      : tls_channel_find(conn_clients_tls(p->conn),
						 (enum tls_binding)i, &cs->channel);
	}
	if (why == NULL)
		return true;
	login_denyf(
		p, WAMP_ERROR_NOT_AUTHORIZED, "authextra.channel_binding: \"%s%s\": %s",
		log_quote_text(slice_of(name.p, min_size(name.len, BINDING_SHOWN))).text,
		name.len > BINDING_SHOWN ? "..." : "", why);
	return false;
}

static void cryptosign_hello(struct peer *p, const struct msg_hello *h)
{
	struct cryptosign *cs;
	struct buf question;

	cs = p->login->state = calloc(1, sizeof(*cs));
	if (cs == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	if (!choose_binding(p, cs, h))
		return;
	cs->claimed_key.there = fields_key_decode(h->pubkey, cs->claimed_key.octets) == 0;
	cs->clients_challenge.there =
		fields_key_decode(h->challenge, cs->clients_challenge.octets) == 0;
	if (h->challenge.len > 0 && !cs->clients_challenge.there) {
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED,
			   slice_str("authextra.challenge: expected 64 hex digits"));
		return;
	}
	if (!login_is_dynamic(p)) {
		challenge_locally(p, h);
		return;
	}
	buf_init(&question, AUTH_MAX_MESSAGE);
	if (login_write_question(p, h, AUTH_MAX_MESSAGE, &question))
		login_ask(p, buf_slice(&question));
	buf_fini(&question);
}

/* --- the authenticator's answer: send CHALLENGE --- */

/*
 * The key that must sign: the claimed key if the authenticator has named it, else the
 * only key. NULL if any of several keys may sign.
 */
static const uint8_t *expected_key(const struct cryptosign *cs)
{
	const struct field_key *claimed = &cs->claimed_key;

	for (unsigned i = 0; claimed->there && i < cs->keys.n; i++)
		if (memcmp(claimed->octets, cs->keys.key[i], FIELD_KEY_LEN) == 0)
			return cs->keys.key[i];
	return cs->keys.n == 1 ? cs->keys.key[0] : NULL;
}

/* key may be NULL */
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
	struct cryptosign *cs = p->login->state;

	if (res->keys.n == 0) {
		login_fail(p,
			   "the authenticator's result: pubkey: required, but missing");
		return;
	}
	cs->keys = res->keys;
	struct identity who = {
		.authid = res->authid,
		.pubkey = field_key_of(expected_key(cs)),
		.stamp = *stamp,
	};
	if (!login_accept(p, res, &who))
		return;
	peer_set_state(p, PEER_CHALLENGED);
	/* A revocation may have arrived before the answer. Later ones find this login by
	 * its state. */
	if (login_not_revoked(p))
		send_challenge(p);
}

/* --- AUTHENTICATE: verify the signature --- */

static void bad_signature(struct peer *p, const char *message)
{
	login_report_failed(p, "bad_signature");
	login_deny(p, WAMP_ERROR_NOT_AUTHORIZED, slice_str(message));
}

/*
 * Did the client sign our challenge, or that XOR a channel id if it has asked for a
 * binding? Otherwise an old signature could be replayed.
 */
static bool has_signed_challenge(struct login *lg, const uint8_t bytes[CHALLENGE_LEN])
{
	const struct cryptosign *cs = lg->state;
	uint8_t id[CHALLENGE_LEN];

	static_assert((int)CHALLENGE_LEN == (int)TLS_CHANNEL_ID,
		      "XOR needs the same length");
	if (cs->channel.n == 0)
		return sodium_memcmp(bytes, cs->challenge, CHALLENGE_LEN) == 0;
	for (size_t i = 0; i < CHALLENGE_LEN; i++)
		id[i] = bytes[i] ^ cs->challenge[i];
	for (unsigned i = 0; i < cs->channel.n; i++)
		if (sodium_memcmp(id, cs->channel.ids[i], CHALLENGE_LEN) == 0)
			lg->binding = cs->channel.names[i];
	return lg->binding != NULL;
}

/* Denies the login of a client that has signed something else. */
static void wrong_challenge(struct peer *p, const uint8_t bytes[CHALLENGE_LEN])
{
	const struct cryptosign *cs = p->login->state;
	char got[2 * CHALLENGE_LEN + 1], want[sizeof(got)], text[256];

	sodium_bin2hex(got, sizeof(got), bytes, CHALLENGE_LEN);
	sodium_bin2hex(want, sizeof(want), cs->challenge, CHALLENGE_LEN);
	if (cs->channel.n == 0)
		snprintf(text, sizeof(text),
			 "the client has signed 0x%s instead of the challenge 0x%s", got,
			 want);
	else if (sodium_memcmp(bytes, cs->challenge, CHALLENGE_LEN) == 0)
		/* Autobahn does this if it does not know the channel id. */
		snprintf(text, sizeof(text),
			 "the client has asked for the channel binding \"%s\", but has "
			 "signed the challenge without a channel id",
			 cs->binding);
	else
		snprintf(text, sizeof(text),
			 "the client has not signed the challenge XOR the \"%s\" of "
			 "this connection",
			 cs->binding);
	bad_signature(p, text);
}

/* The client sends the signature and then the message that it signed. */
static void cryptosign_authenticate(struct peer *p, struct slice signature,
				    struct slice extra)
{
	struct login *lg = p->login;
	struct cryptosign *cs = lg->state;
	uint8_t msg[SIGNED_LEN], *signed_challenge = msg + crypto_sign_BYTES;
	char text[128];
	size_t len = 0;

	(void)extra; /* HELLO has already named the channel binding */
	if (signature.len % 2 != 0 || signature.len / 2 != SIGNED_LEN) {
		snprintf(text, sizeof(text),
			 "AUTHENTICATE.Signature: expected %d hex digits, not %zu "
			 "characters",
			 2 * SIGNED_LEN, signature.len);
		bad_signature(p, text);
	} else if (sodium_hex2bin(msg, sizeof(msg), (const char *)signature.p,
				  signature.len, NULL, &len, NULL) != 0 ||
		   len != sizeof(msg)) {
		bad_signature(p, "AUTHENTICATE.Signature: expected only hex digits");
	} else if (!has_signed_challenge(lg, signed_challenge)) {
		wrong_challenge(p, signed_challenge);
	} else {
		/* Verifying is expensive, so attach_verify_some does it, for a limited
		 * time in each turn. */
		memcpy(cs->signature, msg, crypto_sign_BYTES);
		memcpy(cs->signed_bytes, signed_challenge, CHALLENGE_LEN);
		lg->queued = true;
		TAILQ_INSERT_TAIL(&p->peers->to_verify, lg, to_verify);
	}
}

/*
 * The key that has signed: the expected key, or any key if none is expected. NULL if the
 * signature is not valid.
 */
static const uint8_t *verifying_key(const struct cryptosign *cs)
{
	const uint8_t *expected = expected_key(cs);

	for (unsigned i = 0; i < cs->keys.n; i++) {
		const uint8_t *key = cs->keys.key[i];
		if ((expected == NULL || key == expected) &&
		    crypto_sign_verify_detached(cs->signature, cs->signed_bytes,
						CHALLENGE_LEN, key) == 0)
			return key;
	}
	return NULL;
}

/*
 * Records which key has signed, so that revocations of that key match. False if out of
 * memory.
 */
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
	/* One text for all: it must not reveal who is asked about the principal. */
	static const char wrong[] = "the signature was not made with the client's key";
	struct login *lg = p->login;
	const uint8_t *key = verifying_key(lg->state);

	if (!login_is_dynamic(p))
		login_local_end(p, key != NULL, field_key_of(key), wrong);
	else if (key == NULL)
		bad_signature(p, wrong);
	else if (!learn_key(lg, key))
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	else if (login_not_revoked(p))
		login_join(p);
}

const struct login_method login_cryptosign = {
	.name = "cryptosign",
	.id = METHOD_CRYPTOSIGN,
	.hello = cryptosign_hello,
	.result = result,
	.authenticate = cryptosign_authenticate,
	.verify = verify,
};
