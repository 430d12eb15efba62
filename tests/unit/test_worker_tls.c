/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm of TLS handshakes beside logins: what a worker does in each of its turns. The
 * clock moves only when the worker looks at it. Double: common/loop.
 */
#include "routerd/worker.c"

#include "tests/unit/fake_loop.h"

#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tls_make.h"

enum {
	SHAKERS = 200, /* clients with TLS */
	LOGINS = 20,   /* clients that log in, without TLS */
	/*
	 * A look at the clock. A signature takes one, and a part of a handshake three, so
	 * a turn of 1 ms has 10 signatures, or 4 parts.
	 */
	LOOK_NS = 100 * 1000,
	VERIFIES_PER_TURN = 10,
	PARTS_PER_TURN = 4,
};

static const char yaml[] =
	"realms: [{name: realm1, roles: [{name: user}]}]\n"
	"transports:\n"
	"  - {type: rawsocket, id: a, endpoint: {type: tcp, port: 1}, auth: {cryptosign: "
	"{type: static, principals: {client01: {role: user, authorized_keys: [%s]}}}}}\n"
	"  - {type: rawsocket, id: b, endpoint: {type: tcp, port: 2}, auth: {anonymous: "
	"{type: static, role: user}}}\n";

static uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
static char pk_hex[2 * sizeof(pk) + 1];
static struct config *config;
static struct policy *policy;
static struct mailboxes *boxes;
static struct worker *worker;
static struct tls_context *contexts[2]; /* of the listeners */
static SSL_CTX *client_ctx;
static SSL *shakers[SHAKERS];
static int logins[LOGINS];

static void drop(void *item)
{
	post_drop(item);
}

static int setup(void **state)
{
	static const uint8_t key_seed[crypto_sign_SEEDBYTES];
	struct tls_ticket_seed tickets;
	struct conf_error err;
	char text[2000];

	(void)state;
	crypto_sign_seed_keypair(pk, sk, key_seed);
	sodium_bin2hex(pk_hex, sizeof(pk_hex), pk, sizeof(pk));
	snprintf(text, sizeof(text), yaml, pk_hex);
	if (config_parse(slice_str(text), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	now_ms = 1000;
	look_ns = 0;
	contexts[1] = make_context("b", NULL);
	client_ctx = SSL_CTX_new(TLS_client_method());
	tls_ticket_seed_init(&tickets, now_ms);
	assert_int_equal(policy_new(NULL, config, &policy), 0);
	boxes = mailboxes_new(1, sizeof(struct post), 1 << 20, 1 << 19);
	worker = worker_new(0, 1, config, policy, boxes);
	assert_non_null(worker);
	return worker_use_tls(worker, contexts, &tickets);
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAKERS; i++) {
		close(SSL_get_fd(shakers[i]));
		SSL_free(shakers[i]);
	}
	for (unsigned i = 0; i < LOGINS; i++)
		close(logins[i]);
	worker_drop_connections(worker);
	worker_free(&worker);
	SSL_CTX_free(client_ctx);
	tls_context_free(&contexts[1]);
	mailboxes_free(&boxes, drop);
	policy_unref(&policy);
	config_free(&config);
	return 0;
}

/* --- clients --- */

/* Returns the client's end. */
static int connect_to(unsigned listener)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_non_null(conn_adopt(&worker->net, fds[0], &worker->conn_confs[listener]));
	return fds[1];
}

static void say(int fd, const char *json)
{
	uint8_t head[4] = {0, 0, (uint8_t)(strlen(json) >> 8), (uint8_t)strlen(json)};

	assert_int_equal(send(fd, head, 4, 0), 4);
	assert_int_equal(send(fd, json, strlen(json), 0), (ssize_t)strlen(json));
}

/* Everything that has come. */
static const char *hear(int fd)
{
	static char in[4096];
	ssize_t n = recv(fd, in, sizeof(in) - 1, 0);

	in[n > 0 ? n : 0] = '\0';
	/* Zeros are in the head of a message only. */
	for (ssize_t i = 0; i < n; i++)
		in[i] = in[i] == '\0' ? ' ' : in[i];
	return in;
}

/* A client that has got a CHALLENGE. Its AUTHENTICATE is put into `answer`. */
static int begin_login(char answer[300])
{
	int fd = connect_to(0);
	uint8_t challenge[32], sig[crypto_sign_BYTES];
	char hello[300], hex[2 * sizeof(sig) + 1];
	const char *in;

	assert_int_equal(send(fd, "\x7f\xf1\0\0", 4, 0), 4);
	snprintf(hello, sizeof(hello),
		 "[1,\"realm1\",{\"roles\":{\"caller\":{}},\"authid\":\"client01\","
		 "\"authmethods\":[\"cryptosign\"],\"authextra\":{\"pubkey\":\"%s\"}}]",
		 pk_hex);
	say(fd, hello);
	for (int i = 0; i < 5; i++)
		worker_run(worker);
	in = strstr(hear(fd), "\"challenge\":\"");
	assert_non_null(in);
	in += strlen("\"challenge\":\"");
	assert_int_equal(sodium_hex2bin(challenge, 32, in, 64, NULL, NULL, NULL), 0);
	crypto_sign_detached(sig, NULL, challenge, sizeof(challenge), sk);
	sodium_bin2hex(hex, sizeof(hex), sig, sizeof(sig));
	snprintf(answer, 300, "[5,\"%s%.64s\",{}]", hex, in);
	return fd;
}

/* What the worker has done so far. */
struct work {
	uint64_t verified, begun, shaken;
};

static struct work work_done(void)
{
	const uint64_t *of_net = worker->net.counters;

	return (struct work){
		.verified = worker->peers.counters[PEER_VERIFIES],
		.begun = of_net[NET_TLS_STARTED],
		.shaken = of_net[NET_TLS_DONE],
	};
}

/* What it does in one turn. */
static struct work turn(void)
{
	struct work before = work_done();

	worker_run(worker);
	struct work now = work_done();
	/* None begins while another needs only its second part. */
	assert_true(now.begun == before.begun || TAILQ_EMPTY(&worker->net.tls.flights));
	return (struct work){now.verified - before.verified, now.begun - before.begun,
			     now.shaken - before.shaken};
}

/* --- the storm --- */

static void test_a_storm_of_handshakes_beside_logins(void **state)
{
	char answers[LOGINS][300];
	struct work sum = {0}, w;
	unsigned welcomes = 0, turns = 0;

	(void)state;
	for (unsigned i = 0; i < LOGINS; i++)
		logins[i] = begin_login(answers[i]);
	for (unsigned i = 0; i < SHAKERS; i++) {
		shakers[i] = SSL_new(client_ctx);
		SSL_set_fd(shakers[i], connect_to(1));
		SSL_set_connect_state(shakers[i]);
		(void)SSL_do_handshake(shakers[i]);
	}
	look_ns = LOOK_NS;

	/* Each turn goes on with a few handshakes. */
	while (sum.begun < 20) {
		w = turn();
		assert_in_range(w.begun, 1, PARTS_PER_TURN);
		sum.begun += w.begun;
	}

	/* Signatures come before new handshakes and second parts, and leave them one part
	 * in each turn. */
	for (unsigned i = 0; i < sum.begun; i++)
		(void)SSL_do_handshake(shakers[i]);
	for (unsigned i = 0; i < LOGINS; i++)
		say(logins[i], answers[i]);
	while (sum.verified < LOGINS) {
		w = turn();
		assert_in_range(w.shaken + w.begun, 1,
				w.verified > 0 ? 2 : PARTS_PER_TURN);
		sum.verified += w.verified;
		/* Reading may take some turns before. */
		turns += sum.verified > 0;
	}
	assert_in_range(turns, 1, 1 + LOGINS / VERIFIES_PER_TURN);
	(void)turn();
	for (unsigned i = 0; i < LOGINS; i++)
		welcomes += strstr(hear(logins[i]), "[2,") != NULL;
	assert_int_equal(welcomes, LOGINS);
	/* The storm is not over. */
	assert_true(worker->net.tls.waiting > SHAKERS / 2);

	for (unsigned n = 0; work_done().shaken < SHAKERS; n++) {
		assert_true(n < 10 * SHAKERS);
		for (unsigned i = 0; i < SHAKERS; i++)
			(void)SSL_do_handshake(shakers[i]);
		w = turn();
		assert_in_range(w.begun + w.shaken, 0, PARTS_PER_TURN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_storm_of_handshakes_beside_logins,
						setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("worker_tls", tests, NULL, NULL);
}
