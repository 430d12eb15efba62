/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login methods wamp-scram (specification: "WAMP-SCRAM") and scram (Autobahn's
 * variant of it): the client proves that it knows a password, and the router that it has
 * the principal's keys. An authenticator or the configuration has the keys. Nobody can
 * compute the password from them; one can only test guesses of it.
 *
 * The variants differ in the names of key derivation functions, in the text that both
 * sides sign, and in the key of WELCOME's authextra. Autobahn also derives other keys
 * from the same password. So each principal can use only the variant of its kdf. The
 * worker's thread.
 */
#include "routerd/peer/login.h"

#include "proto/scram.h"

#include <sodium.h>
#include <stdlib.h>

enum {
	MIN_NONCE = 8, /* bytes of the client's nonce, before base64 */
	MAX_NONCE = 64,
	SERVER_NONCE = 24, /* bytes */
	SERVER_NONCE_TEXT = 4 * SERVER_NONCE / 3,
	MIN_SALT_HEX = 16, /* digits of a salt from an authenticator */
	MAX_SALT_HEX = 2 * CONFIG_MAX_SCRAM_SALT,
	AUTH_MESSAGE_MAX = 4096, /* bytes; longer than any with these limits */
};

/* The keys of a principal, and how the client derives its own. */
struct scram_terms {
	int kdf; /* enum config_kdf */
	uint64_t iterations, memory;
	struct slice salt; /* base64 */
	uint8_t stored_key[SCRAM_KEY_LEN], server_key[SCRAM_KEY_LEN];
};

struct scram_login {
	struct scram_terms terms;         /* terms.salt points to bytes */
	struct slice client_nonce, nonce; /* the same */
	uint8_t bytes[];
};

static bool is_autobahns(const struct peer *p)
{
	return p->login->method == &login_scram;
}

/* --- HELLO --- */

/* Checks what HELLO must have. False if p has been refused. */
static bool hello_is_right(struct peer *p, const struct msg_hello *h)
{
	uint8_t nonce[MAX_NONCE];
	size_t len = 0;
	const char *wrong = NULL;

	if (h->asks_binding)
		wrong = "authextra.channel_binding is not supported: leave it out";
	else if (h->authid.len == 0)
		wrong = "HELLO.Details.authid is missing: SCRAM needs it";
	else if (sodium_base642bin(nonce, sizeof(nonce), (const char *)h->nonce.p,
				   h->nonce.len, NULL, &len, NULL,
				   sodium_base64_VARIANT_ORIGINAL) != 0 ||
		 len < MIN_NONCE)
		wrong = "authextra.nonce: expected 8 to 64 random bytes, in base64";
	if (wrong != NULL)
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED, slice_str(wrong));
	return wrong == NULL;
}

/* Keeps the client's nonce, followed by one of ours. False if p has been dropped. */
static bool keep_nonces(struct peer *p, struct slice client_nonce)
{
	const size_t salt_room = CONFIG_SCRAM_SALT_TEXT;
	size_t size = sizeof(struct scram_login) + client_nonce.len + SERVER_NONCE_TEXT +
		      1 + salt_room;
	struct scram_login *s = calloc(1, size);
	uint8_t random[SERVER_NONCE];

	if (s == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return false;
	}
	p->login->state = s;
	p->login->secret_size = size;
	memcpy(s->bytes, client_nonce.p, client_nonce.len);
	randombytes_buf(random, sizeof(random));
	sodium_bin2base64((char *)s->bytes + client_nonce.len, SERVER_NONCE_TEXT + 1,
			  random, sizeof(random), sodium_base64_VARIANT_ORIGINAL);
	s->client_nonce = slice_of(s->bytes, client_nonce.len);
	s->nonce = slice_of(s->bytes, client_nonce.len + SERVER_NONCE_TEXT);
	return true;
}

static void send_scram_challenge(struct peer *p, const struct scram_terms *terms)
{
	struct scram_login *s = p->login->state;
	uint8_t *at = s->bytes + s->nonce.len + 1;

	ASSERT(terms->salt.len <= CONFIG_SCRAM_SALT_TEXT);
	s->terms = *terms;
	s->terms.salt = slice_store(&at, terms->salt);
	msg_write_challenge_scram(peer_begin(p), p->serializer,
				  &(struct msg_scram_challenge){
					  .method = p->login->method->name,
					  .nonce = s->nonce,
					  .salt = s->terms.salt,
					  .kdf = slice_str(config_kdf_names[terms->kdf]),
					  .iterations = terms->iterations,
					  .memory = terms->memory,
				  });
	login_send_challenge(p);
}

static void scram_by_config(struct peer *p, const struct msg_hello *h)
{
	const struct config_method *m = login_method_conf(p);
	const struct config_principal *who = config_principal_find(m, h->authid);
	char salt[CONFIG_SCRAM_SALT_TEXT + 1];

	if (who != NULL && (p->login->method->kdfs >> who->kdf & 1) == 0)
		who = NULL;
	if (!login_local_begin(p, h, who) || !keep_nonces(p, h->nonce))
		return;
	const struct config_principal *keys = p->login->principal,
				      *like = who != NULL
						      ? who
						      : config_principal_of_kdfs(
								m,
								p->login->method->kdfs);
	struct scram_terms terms = {
		.kdf = like->kdf,
		.iterations = (uint64_t)like->iterations,
		.memory = (uint64_t)like->memory,
		.salt = config_scram_salt(p->peers->config, like, who == NULL, h->authid,
					  salt),
	};
	memcpy(terms.stored_key, keys->stored_key, SCRAM_KEY_LEN);
	memcpy(terms.server_key, keys->server_key, SCRAM_KEY_LEN);
	peer_set_state(p, PEER_CHALLENGED);
	send_scram_challenge(p, &terms);
	sodium_memzero(&terms, sizeof(terms));
}

static void wampscram_hello(struct peer *p, const struct msg_hello *h)
{
	struct buf question;

	if (!hello_is_right(p, h))
		return;
	if (!login_is_dynamic(p)) {
		scram_by_config(p, h);
		return;
	}
	buf_init(&question, AUTH_MAX_MESSAGE);
	if (login_keep_names(p, h) && keep_nonces(p, h->nonce) &&
	    login_write_question(p, h, AUTH_MAX_MESSAGE, &question))
		login_ask(p, buf_slice(&question));
	buf_fini(&question);
}

/* --- the authenticator's answer --- */

/* Says why the result is wrong. Returns NULL if it is right. */
static const char *read_scram_terms(const struct peer *p, const struct auth_proof *proof,
				    char salt_text[CONFIG_SCRAM_SALT_TEXT + 1],
				    struct scram_terms *out)
{
	uint8_t salt[CONFIG_MAX_SCRAM_SALT];
	size_t salt_len = 0;

	out->kdf = -1;
	for (int k = 0; k < CONFIG_KDF_COUNT; k++)
		if (slice_eq_str(proof->kdf, config_kdf_names[k]))
			out->kdf = k;
	if (out->kdf < 0 || (p->login->method->kdfs >> out->kdf & 1) == 0)
		return is_autobahns(p)
			       ? "kdf: expected argon2id-13 with the authmethod scram"
			       : "kdf: expected argon2id13 or pbkdf2 with the authmethod "
				 "wamp-scram";
	if (proof->salt.len < MIN_SALT_HEX || proof->salt.len > MAX_SALT_HEX ||
	    sodium_hex2bin(salt, sizeof(salt), (const char *)proof->salt.p,
			   proof->salt.len, NULL, &salt_len, NULL) != 0 ||
	    2 * salt_len != proof->salt.len)
		return "salt: expected 16 to 128 hex digits";
	if (!proof->stored_key.there || !proof->server_key.there)
		return "stored-key and server-key: required, but missing";
	if (proof->iterations == FIELD_NONE || proof->iterations == 0)
		return "iterations: expected at least 1";
	if (out->kdf != CONFIG_KDF_PBKDF2 &&
	    (proof->memory == FIELD_NONE || proof->memory == 0))
		return "memory: required with argon2id, in KiB";
	out->iterations = proof->iterations;
	out->memory = proof->memory == FIELD_NONE ? 0 : proof->memory;
	sodium_bin2base64(salt_text, CONFIG_SCRAM_SALT_TEXT + 1, salt, salt_len,
			  sodium_base64_VARIANT_ORIGINAL);
	out->salt = slice_str(salt_text);
	memcpy(out->stored_key, proof->stored_key.octets, SCRAM_KEY_LEN);
	memcpy(out->server_key, proof->server_key.octets, SCRAM_KEY_LEN);
	return NULL;
}

/* If the authenticator names no authid, the keys belong to the authid in HELLO. */
static void wampscram_result(struct peer *p, const struct auth_result *res,
			     const struct lookup_stamp *stamp)
{
	char fault[AUTH_FAULT_MAX], salt[CONFIG_SCRAM_SALT_TEXT + 1];
	const char *wrong = fault;
	struct scram_terms terms;
	struct auth_proof proof;
	struct identity who = {
		.authid = res->authid.len > 0 ? res->authid : p->login->authid,
		.stamp = *stamp,
	};

	if (auth_proof_read(res->whole, &proof, fault) == 0)
		wrong = read_scram_terms(p, &proof, salt, &terms);
	if (wrong != NULL) {
		login_fail(p, "the authenticator's result: %s", wrong);
	} else if (login_accept(p, res, &who)) {
		peer_set_state(p, PEER_CHALLENGED);
		if (login_not_revoked(p))
			send_scram_challenge(p, &terms);
	}
	sodium_memzero(&terms, sizeof(terms));
	sodium_memzero(&proof, sizeof(proof));
}

/* --- AUTHENTICATE --- */

/*
 * Adds a pair to the MessagePack map that WELCOME sends as authextra, which may be empty.
 * The pair replaces one with this key. False if out of memory.
 */
static bool add_to_extra(struct buf *extra, const char *key, const char *value)
{
	struct slice old = buf_slice(extra), name, item;
	struct token_reader r, again;
	struct token_writer w;
	struct buf added;
	struct token t;

	buf_init(&added, 2 * (size_t)AUTH_MAX_MESSAGE);
	token_writer_init(&w, SERIALIZER_MSGPACK, &added);
	token_put_map(&w, TOKEN_COUNT_UNKNOWN);
	token_put_text(&w, key);
	token_put_str(&w, slice_str(value));
	token_reader_init(&r, SERIALIZER_MSGPACK, old);
	if (old.len > 0 && token_next(&r, &t) == 0)
		while (token_skip(&r, &name) == 0 && token_skip(&r, &item) == 0) {
			token_reader_init(&again, SERIALIZER_MSGPACK, name);
			if (token_next(&again, &t) == 0 && t.type == TOKEN_STR &&
			    slice_eq_str(t.text, key))
				continue;
			token_put_raw(&w, name, 1);
			token_put_raw(&w, item, 1);
		}
	token_put_end(&w);
	buf_fini(extra);
	*extra = added;
	return added.err == 0;
}

/* Writes the text that both sides sign. */
static void put_auth_message(const struct peer *p, struct buf *out)
{
	const struct scram_login *s = p->login->state;

	scram_auth_message(
		out, &(struct scram_exchange){
			     .authid = p->login->authid,
			     .client_nonce = s->client_nonce,
			     .nonce = s->nonce,
			     .salt = s->terms.salt,
			     .iterations = s->terms.iterations,
			     /* "n,,": the client does not use channel binding */
			     .cbind_input = slice_str(is_autobahns(p) ? "" : "biws"),
			     .escape = !is_autobahns(p),
		     });
}

/* The proof was right or wrong. signature is the router's own. */
static void end_scram(struct peer *p, bool proved, const char *signature)
{
	static const char wrong[] = "SCRAM: the authid or the password is wrong";
	const char *key = is_autobahns(p) ? "scram_server_signature" : "verifier";

	if (!add_to_extra(&p->login->extra, key, signature)) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	} else if (!login_is_dynamic(p)) {
		login_local_end(p, proved, (struct field_key){.there = false}, wrong);
	} else if (!proved) {
		login_report_failed(p, "bad_signature");
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED, slice_str(wrong));
	} else if (login_not_revoked(p)) {
		login_join(p);
	}
}

/*
 * Checks that AUTHENTICATE.Extra repeats the nonce of CHALLENGE. Autobahn's variant need
 * not. False if p has been refused or dropped.
 */
static bool nonce_is_repeated(struct peer *p, struct slice extra)
{
	const struct scram_login *s = p->login->state;
	struct buf scratch;
	struct slice nonce;

	if (is_autobahns(p))
		return true;
	buf_init(&scratch, extra.len);
	int err = msg_dict_text(p->serializer, extra, "nonce", &scratch, &nonce);
	bool same = err == 0 && slice_eq(nonce, s->nonce);
	buf_fini(&scratch);
	if (err != 0)
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	else if (!same)
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED,
			   slice_str("AUTHENTICATE.Extra.nonce: expected the nonce of "
				     "CHALLENGE"));
	return same;
}

/* Verifying takes a few microseconds, so it need not wait for its turn. */
static void wampscram_authenticate(struct peer *p, struct slice proof, struct slice extra)
{
	const struct scram_login *s = p->login->state;
	char signature[SCRAM_PROOF_LEN + 1];
	struct buf message;

	if (!nonce_is_repeated(p, extra))
		return;
	buf_init(&message, AUTH_MESSAGE_MAX);
	put_auth_message(p, &message);
	if (message.err != 0) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	} else {
		bool proved =
			scram_verify(s->terms.stored_key, buf_slice(&message), proof);

		scram_server_signature(s->terms.server_key, buf_slice(&message),
				       signature);
		end_scram(p, proved, signature);
	}
	buf_fini(&message);
}

const struct login_method login_wamp_scram = {
	.name = "wamp-scram",
	.id = METHOD_SCRAM,
	.kdfs = 1u << CONFIG_KDF_ARGON2ID | 1u << CONFIG_KDF_PBKDF2,
	.hello = wampscram_hello,
	.result = wampscram_result,
	.authenticate = wampscram_authenticate,
};

const struct login_method login_scram = {
	.name = "scram",
	.id = METHOD_SCRAM,
	.kdfs = 1u << CONFIG_KDF_AUTOBAHN,
	.hello = wampscram_hello,
	.result = wampscram_result,
	.authenticate = wampscram_authenticate,
};
