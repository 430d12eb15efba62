/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login method wampcra (specification: "Challenge Response Authentication"): the
 * client proves that it knows a secret by signing a challenge with it. An authenticator
 * or the configuration has the secret.
 *
 * A secret may be salted. Then both sides derive the key that signs. The router does this
 * once for each principal in the configuration. An authenticator sends the derived key,
 * or a secret that takes only a few iterations. The worker's thread.
 */
#include "routerd/peer/login.h"

#include "proto/cra.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

enum {
	/* About 1 ms of the worker's time. */
	MAX_ITERATIONS_HERE = 1000,
	/* Bytes; more than a challenge with two names of 255 bytes can have. */
	CHALLENGE_TEXT_MAX = 4096,
};

/* The key that must sign, and how the client gets it. */
struct cra_terms {
	struct cra_key key;  /* if there is no secret below */
	struct slice secret; /* the key must be derived from it; empty: no */
	struct slice salt;   /* empty: none */
	uint32_t iterations, keylen;
};

struct wampcra {
	struct cra_terms terms; /* its slices point to bytes */
	struct slice challenge; /* the same */
	size_t signature_len;
	uint8_t signature[CRA_SIGNATURE_LEN];
	uint8_t bytes[];
};

/* --- CHALLENGE --- */

/* Writes the text that the client signs: a JSON object. */
static void put_cra_challenge(struct peer *p, const char *provider, struct buf *out)
{
	const struct login *lg = p->login;
	uint8_t nonce[16];
	char nonce_hex[2 * sizeof(nonce) + 1], when[32] = "";
	time_t now = time(NULL);
	struct token_writer w;
	struct tm utc;

	randombytes_buf(nonce, sizeof(nonce));
	sodium_bin2hex(nonce_hex, sizeof(nonce_hex), nonce, sizeof(nonce));
	if (gmtime_r(&now, &utc) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	/* The names are those that the client asks for: the challenge of an unknown
	 * principal must look like any other. */
	const struct {
		const char *key;
		struct slice value;
	} pairs[] = {
		{"authid", lg->authid},
		{"authrole", lg->authrole},
		{"authmethod", slice_str(lg->method->name)},
		{"authprovider", slice_str(provider)},
		{"nonce", slice_str(nonce_hex)},
		{"timestamp", slice_str(when)},
	};
	token_writer_init(&w, SERIALIZER_JSON, out);
	token_put_map(&w, ARRAY_LEN(pairs) + 1);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		token_put_text(&w, pairs[i].key);
		token_put_str(&w, pairs[i].value);
	}
	token_put_text(&w, "session");
	token_put_uint(&w, lg->session);
	token_put_end(&w);
}

/* Stores what verifying needs in the login. NULL if out of memory. */
static struct wampcra *keep_terms(struct login *lg, const struct cra_terms *terms,
				  struct slice challenge)
{
	size_t size = sizeof(struct wampcra) + terms->secret.len + terms->salt.len +
		      challenge.len;
	struct wampcra *cra = calloc(1, size);
	uint8_t *at;

	if (cra == NULL)
		return NULL;
	at = cra->bytes;
	cra->terms = *terms;
	cra->terms.secret = slice_store(&at, terms->secret);
	cra->terms.salt = slice_store(&at, terms->salt);
	cra->challenge = slice_store(&at, challenge);
	lg->state = cra;
	lg->secret_size = size;
	return cra;
}

static void send_cra_challenge(struct peer *p, const char *provider,
			       const struct cra_terms *terms)
{
	struct wampcra *cra = NULL;
	struct buf text;

	buf_init(&text, CHALLENGE_TEXT_MAX);
	put_cra_challenge(p, provider, &text);
	if (text.err == 0)
		cra = keep_terms(p->login, terms, buf_slice(&text));
	buf_fini(&text);
	if (cra == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	msg_write_challenge_cra(peer_begin(p), p->serializer,
				&(struct msg_cra_challenge){
					.challenge = cra->challenge,
					.salt = cra->terms.salt,
					.iterations = cra->terms.iterations,
					.keylen = cra->terms.keylen,
				});
	login_send_challenge(p);
}

/* --- HELLO --- */

static void challenge_by_config(struct peer *p, const struct msg_hello *h)
{
	const struct config_method *m = login_method_conf(p);
	char decoy[CONFIG_MAX_SALT + 1];

	if (!login_local_begin(p, h, config_principal_find(m, h->authid)))
		return;
	const struct config_principal *who = p->login->principal;
	struct cra_terms terms = {
		.key = who->cra_key,
		.salt = config_salt(p->peers->config, m, who, h->authid, decoy),
		.iterations = (uint32_t)who->iterations,
		.keylen = (uint32_t)who->keylen,
	};
	peer_set_state(p, PEER_CHALLENGED);
	send_cra_challenge(p, "static", &terms);
	sodium_memzero(&terms, sizeof(terms));
}

static void wampcra_hello(struct peer *p, const struct msg_hello *h)
{
	struct buf question;

	if (!login_is_dynamic(p)) {
		challenge_by_config(p, h);
		return;
	}
	buf_init(&question, AUTH_MAX_MESSAGE);
	if (login_keep_names(p, h) &&
	    login_write_question(p, h, AUTH_MAX_MESSAGE, &question))
		login_ask(p, buf_slice(&question));
	buf_fini(&question);
}

/* --- the authenticator's answer --- */

/*
 * Reads the key from the authenticator's result. False if the result is wrong; the login
 * has failed then.
 */
static bool terms_of_result(struct peer *p, const struct auth_result *res,
			    struct cra_terms *out)
{
	char fault[AUTH_FAULT_MAX];
	struct auth_proof proof;

	if (auth_proof_read(res->whole, &proof, fault) != 0) {
		login_fail(p, "the authenticator's result: %s", fault);
		return false;
	}
	bool derived = proof.derived_key.len > 0;
	if (derived == (proof.secret.len > 0) || (derived && proof.salt.len == 0)) {
		login_fail(p, "the authenticator's result: expected either secret, or "
			      "derived_key and salt");
		return false;
	}
	*out = (struct cra_terms){
		.salt = proof.salt,
		.iterations =
			(uint32_t)(proof.iterations == FIELD_NONE ? CRA_ITERATIONS
								  : proof.iterations),
		.keylen = (uint32_t)(proof.keylen == FIELD_NONE ? CRA_KEYLEN
								: proof.keylen),
	};
	if (out->keylen < CRA_MIN_KEYLEN) {
		login_fail(p, "the authenticator's result: keylen: expected at least %d",
			   CRA_MIN_KEYLEN);
		return false;
	}
	if (out->iterations == 0) {
		login_fail(p, "the authenticator's result: iterations: expected at least "
			      "1");
		return false;
	}
	if (!derived && proof.salt.len > 0 && out->iterations > MAX_ITERATIONS_HERE) {
		login_fail(p,
			   "the authenticator's result: iterations: expected at most %d "
			   "with secret; with more, send derived_key instead",
			   MAX_ITERATIONS_HERE);
		return false;
	}
	if (!derived && proof.salt.len > 0)
		out->secret = proof.secret;
	else
		cra_key_of(derived ? proof.derived_key : proof.secret, &out->key);
	return true;
}

/* If the authenticator names no authid, the secret belongs to the authid in HELLO. */
static void wampcra_result(struct peer *p, const struct auth_result *res,
			   const struct lookup_stamp *stamp)
{
	struct cra_terms terms;
	struct identity who = {
		.authid = res->authid.len > 0 ? res->authid : p->login->authid,
		.stamp = *stamp,
	};

	if (terms_of_result(p, res, &terms) && login_accept(p, res, &who)) {
		peer_set_state(p, PEER_CHALLENGED);
		if (login_not_revoked(p))
			send_cra_challenge(p, "dynamic", &terms);
	}
	sodium_memzero(&terms, sizeof(terms));
}

/* --- AUTHENTICATE --- */

/* Verifying may be expensive, so attach_verify_some does it. */
static void wampcra_authenticate(struct peer *p, struct slice signature,
				 struct slice extra)
{
	struct login *lg = p->login;
	struct wampcra *cra = lg->state;

	(void)extra; /* the specification defines nothing in it */
	cra->signature_len = signature.len;
	if (signature.len == CRA_SIGNATURE_LEN)
		memcpy(cra->signature, signature.p, CRA_SIGNATURE_LEN);
	lg->queued = true;
	TAILQ_INSERT_TAIL(&p->peers->to_verify, lg, to_verify);
}

static bool signature_is_right(struct wampcra *cra)
{
	struct cra_terms *t = &cra->terms;
	if (t->secret.len > 0)
		cra_derive(t->secret, t->salt, t->iterations, t->keylen, &t->key);
	return cra->signature_len == CRA_SIGNATURE_LEN &&
	       cra_verify(&t->key, cra->challenge,
			  slice_of(cra->signature, CRA_SIGNATURE_LEN));
}

static void wampcra_verify(struct peer *p)
{
	static const char wrong[] = "WAMP-CRA: the authid or the secret is wrong";
	bool right = signature_is_right(p->login->state);

	if (!login_is_dynamic(p)) {
		login_local_end(p, right, (struct field_key){.there = false}, wrong);
	} else if (!right) {
		login_report_failed(p, "bad_signature");
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED, slice_str(wrong));
	} else if (login_not_revoked(p)) {
		login_join(p);
	}
}

const struct login_method login_wampcra = {
	.name = "wampcra",
	.id = METHOD_WAMPCRA,
	.hello = wampcra_hello,
	.result = wampcra_result,
	.authenticate = wampcra_authenticate,
	.verify = wampcra_verify,
};
