/* SPDX-License-Identifier: Apache-2.0 */
/* A login while memory runs out, at each allocation in turn. The client is never refused
 * for good: it gets in, or its connection is dropped, so that it tries again. The sources
 * are included in this program, so that it can replace malloc for them. One thread. */
#include "tests/unit/failing_malloc.h"

#include "common/buf.c"
#include "proto/auth_request.c"
#include "routerd/peer/ask.c"
#include "routerd/peer/cookie.c"
#include "routerd/peer/cryptosign.c"
#include "routerd/peer/establish.c"
#include "routerd/peer/hello.c"
#include "routerd/peer/local.c"
#include "routerd/peer/login.c"
#include "routerd/peer/ticket.c"
#include "routerd/peer/wampcra.c"
#include "routerd/peer/wampscram.c"
#include "routerd/post/identity.c"
#include "routerd/post/login_message.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/login_fixture.h"

static bool over(void)
{
	return w.conn.dropped || w.conn.close_code != 0;
}

/* Logs in as far as memory allows; a report to the authenticator may be lost. The HELLO
 * has an escape, whose decoding also needs memory. */
static void log_in_by_key(void)
{
	char json[256];

	snprintf(json, sizeof(json),
		 "[1,null,{\"roles\":{\"caller\":{}},\"authid\":\"cl\\u0069ent01\","
		 "\"authmethods\":[\"cryptosign\"],"
		 "\"authextra\":{\"pubkey\":\"%s\",\"x\":[1,\"a\\n\"]}}]",
		 w.pk_hex);
	say(json);
	if (over())
		return;
	answer_with(5, slice_str("\x81\xa1k\x07"));
	if (over())
		return;
	say_authenticate();
	if (over())
		return;
	verify_signatures();
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

static void log_in_by_ticket(void)
{
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"cl\\u0069ent01\","
	    "\"authmethods\":[\"ticket\"],\"authextra\":{\"x\":[1,\"a\\n\"]}}]");
	if (over())
		return;
	say("[5,\"s3cr\\u0065t\",{}]");
	if (over())
		return;
	answer_with(5, slice_str("\x81\xa1k\x07"));
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

/* At the listener whose configuration has the principals. */
static void log_in_by_local_ticket(void)
{
	w.conn.peer.login->listener = &w.config->listeners[1];
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"j\\u006fe\","
	    "\"authmethods\":[\"ticket\"]}]");
	if (over())
		return;
	say("[5,\"s3cr\\u0065t\",{}]");
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

/* Copies the text that a key of the last message has, without escapes. */
static void copy_text(const char *key, char *to, size_t size)
{
	const char *at = strstr(w.conn.sent, key);
	size_t n = 0;

	assert_non_null(at);
	for (at += strlen(key); *at != '"' && n + 1 < size; at++) {
		at += *at == '\\';
		to[n++] = *at;
	}
	to[n] = '\0';
}

static void log_in_by_local_cra(void)
{
	char challenge[1024], signature[CRA_SIGNATURE_LEN + 1], json[256];
	struct cra_key key;

	w.conn.peer.login->listener = &w.config->listeners[1];
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"j\\u006fe\","
	    "\"authmethods\":[\"wampcra\"]}]");
	if (over())
		return;
	copy_text("\"challenge\":\"", challenge, sizeof(challenge));
	cra_key_of(slice_str("s3cret"), &key);
	cra_sign(&key, slice_str(challenge), signature);
	snprintf(json, sizeof(json), "[5,\"%s\",{}]", signature);
	say(json);
	if (over())
		return;
	verify_signatures();
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

/* Says AUTHENTICATE with the proof that joe's password gives for this nonce. */
static void say_proof(const char *client_nonce, const char *nonce)
{
	uint8_t key[32], stored[32], signature[32];
	char message[512], proof[64], json[512];

	assert_int_equal(
		sodium_hex2bin(key, sizeof(key),
			       "0ae716d6c629e168909ec82c69ce429cef9eeb73d2b46d9176301cf22"
			       "c19e55d",
			       64, NULL, NULL, NULL),
		0);
	crypto_hash_sha256(stored, key, sizeof(key));
	snprintf(message, sizeof(message),
		 "n=joe,r=%s,r=%s,s=ABEiM0RVZnc=,i=1,c=biws,r=%s", client_nonce, nonce,
		 nonce);
	crypto_auth_hmacsha256(signature, (uint8_t *)message, strlen(message), stored);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= signature[i];
	sodium_bin2base64(proof, sizeof(proof), key, sizeof(key),
			  sodium_base64_VARIANT_ORIGINAL);
	/* the escape's decoding also needs memory */
	snprintf(json, sizeof(json), "[5,\"%s\",{\"n\\u006fnce\":\"%s\"}]", proof, nonce);
	say(json);
}

static void log_in_by_local_scram(void)
{
	static const char nonce[] = "AAECAwQFBgcICQoLDA0ODw==";
	char both[128];

	w.conn.peer.login->listener = &w.config->listeners[1];
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"j\\u006fe\","
	    "\"authmethods\":[\"wamp-scram\"],"
	    "\"authextra\":{\"nonce\":\"AAECAwQFBgcICQoLDA0ODw==\"}}]");
	if (over())
		return;
	copy_text("\"nonce\":\"", both, sizeof(both));
	say_proof(nonce, both);
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

/* --- at the listener whose authenticator has the secrets --- */

/* Gives the authenticator's answer: a map with these pairs, and those that all have. */
static void answer_with_proof(const char *const pairs[][2], size_t n)
{
	struct login_message head = {.stamp = {.asked = true, .link = 1}};
	static uint8_t bytes[1024]; /* static, so that it needs no memory */
	struct buf b = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};
	struct token_writer out;

	token_writer_init(&out, SERIALIZER_MSGPACK, &b);
	token_put_map(&out, n + 4);
	token_put_text(&out, "realm");
	token_put_text(&out, "devices");
	token_put_text(&out, "role");
	token_put_text(&out, "device");
	token_put_text(&out, "epoch");
	token_put_uint(&out, 5);
	token_put_text(&out, "iterations");
	token_put_uint(&out, 1);
	for (size_t i = 0; i < n; i++) {
		token_put_text(&out, pairs[i][0]);
		token_put_text(&out, pairs[i][1]);
	}
	token_put_end(&out);
	attach_post(&w.peers, &(struct post){
				      .type = POST_LOGIN_ANSWER,
				      .session = peer_ref(&w.conn.peer),
				      .login = login_message_new(&head, buf_slice(&b)),
			      });
}

static void log_in_by_cra(void)
{
	static const char *const pairs[][2] = {{"secret", "s3cret"}, {"salt", "NaCl"}};
	char challenge[1024], signature[CRA_SIGNATURE_LEN + 1], json[256];
	struct cra_key key;

	w.conn.peer.login->listener = &w.config->listeners[2];
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"j\\u006fe\","
	    "\"authmethods\":[\"wampcra\"]}]");
	if (over())
		return;
	answer_with_proof(pairs, ARRAY_LEN(pairs));
	if (over())
		return;
	copy_text("\"challenge\":\"", challenge, sizeof(challenge));
	cra_derive(slice_str("s3cret"), slice_str("NaCl"), 1, CRA_KEYLEN, &key);
	cra_sign(&key, slice_str(challenge), signature);
	snprintf(json, sizeof(json), "[5,\"%s\",{}]", signature);
	say(json);
	if (over())
		return;
	verify_signatures();
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

static void log_in_by_scram(void)
{
	static const char nonce[] = "AAECAwQFBgcICQoLDA0ODw==";
	static const char *const pairs[][2] = {
		{"kdf", "pbkdf2"},
		{"salt", "0011223344556677"},
		{"stored-key",
		 "6367aee6cbae04aa9fd26e32ca9f76ea380296378a5cebe716232a7744c59aac"},
		{"server-key",
		 "75aa01b7f3113727b74e757fc12d200886390054dc5c649d9f03fd4865e8d426"}};
	char both[128];

	w.conn.peer.login->listener = &w.config->listeners[2];
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"j\\u006fe\","
	    "\"authmethods\":[\"wamp-scram\"],"
	    "\"authextra\":{\"nonce\":\"AAECAwQFBgcICQoLDA0ODw==\"}}]");
	if (over())
		return;
	answer_with_proof(pairs, ARRAY_LEN(pairs));
	if (over())
		return;
	copy_text("\"nonce\":\"", both, sizeof(both));
	say_proof(nonce, both);
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

static void log_in_by_cookie(void)
{
	static const char *const pairs[][2] = {{"authid", "joe"}};

	w.conn.peer.login->listener = &w.config->listeners[2];
	w.conn.peer.login->has_cookie = true;
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authid\":\"j\\u006fe\","
	    "\"authmethods\":[\"cookie\"]}]");
	if (over())
		return;
	answer_with_proof(pairs, ARRAY_LEN(pairs));
	if (over())
		return;
	owner_says(POST_JOINED, NULL);
}

static void memory_runs_out(void (*log_in)(void))
{
	unsigned joined = 0;

	for (size_t n = 1; n < 100 && joined == 0; n++) {
		allocations = 0;
		fail_at = n;
		log_in();
		fail_at = 0;
		joined += w.conn.peer.state == PEER_JOINED && allocations < n;
		assert_false(sent("[3,")); /* an ABORT would be final */
		assert_true(over() || w.conn.peer.state == PEER_JOINED);
		client_gone(over() ? CONN_END_OWN : CONN_END_LOST);
		drop_posts();
		buf_fini(&w.peers.out);
		buf_fini(&w.peers.decoded);
		connect_client();
	}
	assert_int_equal(joined, 1);
	client_gone(CONN_END_LOST);
}

static void test_memory_runs_out(void **state)
{
	(void)state;
	memory_runs_out(log_in_by_key);
}

static void test_memory_runs_out_with_a_ticket(void **state)
{
	(void)state;
	memory_runs_out(log_in_by_ticket);
}

static void test_memory_runs_out_with_a_local_ticket(void **state)
{
	(void)state;
	memory_runs_out(log_in_by_local_ticket);
}

static void test_memory_runs_out_with_a_local_secret(void **state)
{
	(void)state;
	memory_runs_out(log_in_by_local_cra);
	connect_client();
	memory_runs_out(log_in_by_local_scram);
}

static void test_memory_runs_out_with_a_secret(void **state)
{
	(void)state;
	memory_runs_out(log_in_by_cra);
	connect_client();
	memory_runs_out(log_in_by_scram);
}

static void test_memory_runs_out_with_a_cookie(void **state)
{
	(void)state;
	memory_runs_out(log_in_by_cookie);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_memory_runs_out_with_a_local_secret,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_runs_out_with_a_local_ticket,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_runs_out_with_a_secret, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_memory_runs_out_with_a_cookie, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_memory_runs_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_runs_out_with_a_ticket, setup,
						teardown),
	};
	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("login_memory", tests, NULL, NULL);
}
