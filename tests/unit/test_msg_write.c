/* SPDX-License-Identifier: Apache-2.0 */
/* Each message that the router sends, read back. */
#include "proto/msg.h"
#include "tests/unit/codec_check.h"

/* Compares the message just written, shown as text; it is the same in each encoding. */
static void check_sent(enum serializer s, struct buf *out, const char *expected)
{
	struct buf shown;

	buf_init(&shown, 10000);
	assert_int_equal(out->err, 0);
	assert_int_equal(read_whole(s, buf_slice(out), &shown), 0);
	buf_put_u8(&shown, '\0');
	assert_string_equal((char *)shown.data, expected);
	buf_clear(out);
	buf_fini(&shown);
}

/* [1] {'k' null} */
static const char *const payloads[] = {"[1], {\"k\":null}", "9101 81a16bc0",
				       "8101 a1616bf6", "[U%01]{U%01kZ}"};
/* [1] */
static const char *const short_payloads[] = {"[1]", "9101", "8101", "[U%01]"};

static void write_challenges(enum serializer s, struct buf *out)
{
	struct msg_key_challenge key = {.challenge = "00ff"};
	struct msg_cra_challenge cra = {.challenge = slice_str("{\"a\"")};
	struct msg_scram_challenge scram = {.method = "wamp-scram",
					    .nonce = slice_str("n"),
					    .salt = slice_str("s"),
					    .kdf = slice_str("k"),
					    .iterations = 7};

	msg_write_challenge_ticket(out, s);
	check_sent(s, out, "[4 'ticket' {}]");
	msg_write_challenge_cryptosign(out, s, &key);
	check_sent(s, out,
		   "[4 'cryptosign' {'challenge' '00ff' 'channel_binding' null}]");
	key.signature = "aa";
	key.pubkey = "bb";
	msg_write_challenge_cryptosign(out, s, &key);
	check_sent(s, out,
		   "[4 'cryptosign' {'challenge' '00ff' 'channel_binding' null "
		   "'signature' 'aa' 'pubkey' 'bb'}]");
	msg_write_challenge_cra(out, s, &cra);
	check_sent(s, out, "[4 'wampcra' {'challenge' '{\"a\"'}]");
	cra = (struct msg_cra_challenge){slice_str("c"), slice_str("s"), 1000, 32};
	msg_write_challenge_cra(out, s, &cra);
	check_sent(s, out,
		   "[4 'wampcra' {'challenge' 'c' 'salt' 's' 'iterations' 1000 'keylen' "
		   "32}]");
	msg_write_challenge_scram(out, s, &scram);
	check_sent(s, out,
		   "[4 'wamp-scram' {'nonce' 'n' 'salt' 's' 'kdf' 'k' 'iterations' 7 "
		   "'memory' null}]");
	scram.memory = 64;
	msg_write_challenge_scram(out, s, &scram);
	check_sent(s, out,
		   "[4 'wamp-scram' {'nonce' 'n' 'salt' 's' 'kdf' 'k' 'iterations' 7 "
		   "'memory' 64}]");
}

static void test_write_replies(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	for (unsigned i = 0; i < SERIALIZER_COUNT; i++) {
		enum serializer s = (enum serializer)i;

		msg_write_ids(&out, s, WAMP_SUBSCRIBED, WAMP_MAX_ID, 5);
		check_sent(s, &out, "[33 9007199254740992 5]");
		msg_write_ids(&out, s, WAMP_UNSUBSCRIBED, 1, 0);
		check_sent(s, &out, "[35 1]");
		msg_write_closing(&out, s, WAMP_ABORT, WAMP_ERROR_PROTOCOL_VIOLATION,
				  slice_str("a \"b\""));
		check_sent(s, &out,
			   "[3 {'message' 'a \"b\"'} 'wamp.error.protocol_violation']");
		msg_write_closing(&out, s, WAMP_ABORT, "u", slice_of(NULL, 0));
		check_sent(s, &out, "[3 {} 'u']");
		msg_write_closing(&out, s, WAMP_GOODBYE, WAMP_CLOSE_GOODBYE_AND_OUT,
				  slice_of(NULL, 0));
		check_sent(s, &out, "[6 {} 'wamp.close.goodbye_and_out']");
		write_challenges(s, &out);
		msg_write_error_text(&out, s, WAMP_CALL, 7, WAMP_ERROR_NO_SUCH_PROCEDURE,
				     slice_str("no \xc3\xa9"));
		check_sent(s, &out,
			   "[8 48 7 {} 'wamp.error.no_such_procedure' ['no \xc3\xa9']]");
	}
	buf_fini(&out);
}

static void test_write_payloads(void **state)
{
	const struct msg_payload none = {.items = 0};
	const struct msg_details from = {
		.session = WAMP_MAX_ID,
		.authid = slice_str("jos\xc3\xa9"),
		.authrole = slice_str("user"),
	};
	const struct msg_details progress = {.progress = true}, trusted = {.trust = 1};
	const struct msg_details retained = {.retained = true};
	const struct msg_details pattern = {.uri = slice_str("com.t")};
	const struct slice passthru[MSG_PASSTHRU_COUNT] = {
		[MSG_PPT_SCHEME] = slice_str("wamp"),
		[MSG_PPT_CIPHER] = slice_str(""),
		[MSG_ENC_ALGO] = slice_str("mqtt"),
	};
	const struct msg_details opaque = {.progress = true, .passthru = passthru};
	struct msg_details all = from;
	struct buf out;

	(void)state;
	all.progress = true;
	all.trust = 255;
	all.uri = pattern.uri;
	buf_init(&out, 10000);
	for (unsigned i = 0; i < SERIALIZER_COUNT; i++) {
		enum serializer s = (enum serializer)i;
		struct slice both = sample_bytes(s, payloads[i]);
		struct slice one = sample_bytes(s, short_payloads[i]);
		const struct msg_payload two_items = {both, 2}, one_item = {one, 1};

		msg_write_payload(&out, s, WAMP_EVENT, 1, WAMP_MAX_ID, NULL, two_items);
		check_sent(s, &out, "[36 1 9007199254740992 {} [1] {'k' null}]");
		msg_write_payload(&out, s, WAMP_EVENT, 1, 2, &from, two_items);
		check_sent(s, &out,
			   "[36 1 2 {'publisher' 9007199254740992 'publisher_authid' "
			   "'jos\xc3\xa9' 'publisher_authrole' 'user'} [1] {'k' null}]");
		msg_write_payload(&out, s, WAMP_EVENT, 1, 2, &from, none);
		check_sent(s, &out,
			   "[36 1 2 {'publisher' 9007199254740992 'publisher_authid' "
			   "'jos\xc3\xa9' 'publisher_authrole' 'user'}]");
		msg_write_payload(&out, s, WAMP_EVENT, 1, 2, NULL, none);
		check_sent(s, &out, "[36 1 2 {}]");
		msg_write_payload(&out, s, WAMP_EVENT, 1, 2, &retained, none);
		check_sent(s, &out, "[36 1 2 {'retained' true}]");
		msg_write_payload(&out, s, WAMP_INVOCATION, 1, 2, NULL, one_item);
		check_sent(s, &out, "[68 1 2 {} [1]]");
		msg_write_payload(&out, s, WAMP_INVOCATION, 1, 2, &from, one_item);
		check_sent(s, &out,
			   "[68 1 2 {'caller' 9007199254740992 'caller_authid' "
			   "'jos\xc3\xa9' 'caller_authrole' 'user'} [1]]");
		msg_write_payload(&out, s, WAMP_INVOCATION, 1, 2, &progress, none);
		check_sent(s, &out, "[68 1 2 {'receive_progress' true}]");
		msg_write_payload(&out, s, WAMP_INVOCATION, 1, 2, &trusted, none);
		check_sent(s, &out, "[68 1 2 {'trustlevel' 0}]");
		msg_write_payload(&out, s, WAMP_INVOCATION, 1, 2, &all, none);
		check_sent(s, &out,
			   "[68 1 2 {'receive_progress' true 'caller' 9007199254740992 "
			   "'caller_authid' 'jos\xc3\xa9' 'caller_authrole' 'user' "
			   "'procedure' 'com.t' 'trustlevel' 254}]");
		msg_write_payload(&out, s, WAMP_INVOCATION, 1, 2, &pattern, none);
		check_sent(s, &out, "[68 1 2 {'procedure' 'com.t'}]");
		msg_write_payload(&out, s, WAMP_EVENT, 1, 2, &pattern, one_item);
		check_sent(s, &out, "[36 1 2 {'topic' 'com.t'} [1]]");
		msg_write_payload(&out, s, WAMP_RESULT, 1, 0, &progress, one_item);
		check_sent(s, &out, "[50 1 {'progress' true} [1]]");
		msg_write_payload(&out, s, WAMP_RESULT, 1, 0, NULL, two_items);
		check_sent(s, &out, "[50 1 {} [1] {'k' null}]");
		msg_write_payload(&out, s, WAMP_RESULT, 1, 0, NULL, none);
		check_sent(s, &out, "[50 1 {}]");
		msg_write_interrupt(&out, s, WAMP_MAX_ID, WAMP_MODE_KILLNOWAIT);
		check_sent(s, &out, "[69 9007199254740992 {'mode' 'killnowait'}]");
		msg_write_interrupt(&out, s, 1, WAMP_MODE_KILL);
		check_sent(s, &out, "[69 1 {'mode' 'kill'}]");
		msg_write_revocation(&out, s, WAMP_UNREGISTERED, WAMP_MAX_ID,
				     slice_str("com.r"));
		check_sent(s, &out,
			   "[67 0 {'registration' 9007199254740992 'reason' 'com.r'}]");
		msg_write_revocation(&out, s, WAMP_UNSUBSCRIBED, 1, slice_str("com.r"));
		check_sent(s, &out, "[35 0 {'subscription' 1 'reason' 'com.r'}]");
		msg_write_error(&out, s, WAMP_CALL, 1, slice_str("com.e"), one_item);
		check_sent(s, &out, "[8 48 1 {} 'com.e' [1]]");
		msg_write_error(&out, s, WAMP_CALL, 1, slice_str("com.e"), none);
		check_sent(s, &out, "[8 48 1 {} 'com.e']");
		msg_write_error_passthru(&out, s, WAMP_CALL, 1, passthru,
					 slice_str("com.e"), one_item);
		check_sent(s, &out,
			   "[8 48 1 {'ppt_scheme' 'wamp' 'ppt_cipher' '' 'enc_algo' "
			   "'mqtt'} 'com.e' [1]]");
		msg_write_payload(&out, s, WAMP_RESULT, 1, 0, &opaque, one_item);
		check_sent(s, &out,
			   "[50 1 {'progress' true 'ppt_scheme' 'wamp' 'ppt_cipher' '' "
			   "'enc_algo' 'mqtt'} [1]]");
		free_copy(both);
		free_copy(one);
	}
	buf_fini(&out);
}

#define CB "'x_cb_node' 'n' 'x_cb_worker' 'w' 'x_cb_peer' 'tcp4:1.2.3.4:5' 'x_cb_pid' 42"
#define WELCOME(extra)                                                                   \
	"[2 123 {'roles' {'broker' {'features' {"                                        \
	"'event_history' true "                                                          \
	"'event_retention' true "                                                        \
	"'pattern_based_subscription' true 'payload_passthru_mode' true "                \
	"'payload_transparency' true 'publication_trustlevels' true "                    \
	"'publisher_exclusion' true 'publisher_identification' true "                    \
	"'session_meta_api' true 'subscriber_blackwhite_listing' true "                  \
	"'subscription_meta_api' true 'subscription_revocation' true}} "                 \
	"'dealer' {'features' {'call_canceling' true 'call_reroute' true "               \
	"'call_timeout' true "                                                           \
	"'call_trustlevels' true 'caller_identification' true "                          \
	"'pattern_based_registration' true 'payload_passthru_mode' true "                \
	"'payload_transparency' true 'progressive_call_invocations' true "               \
	"'progressive_call_results' true "                                               \
	"'registration_meta_api' true 'registration_revocation' true "                   \
	"'session_meta_api' true 'shared_registration' true 'testament_meta_api' "       \
	"true}}} "                                                                       \
	"'realm' 'devices' 'authid' 'joe' 'authrole' 'device'"                           \
	" 'authmethod' 'cryptosign' 'authprovider' 'dynamic' 'authextra' {" extra CB     \
	"} " CB "}]"

static void test_write_welcome(void **state)
{
	static const struct {
		const char *authextra, *shown; /* NULL: see unsupported */
		unsigned unsupported;          /* bits: not by these serializers */
	} welcomes[] = {
		{"", WELCOME(""), 0},
		{"80", WELCOME(""), 0},
		{"81a3666f6f17", WELCOME("'foo' 23 "), 0},
		{"82a16191c0a162c40101", WELCOME("'a' [null] 'b' h'01' "), 0},
		/* the router's own keys replace the authenticator's */
		{"83a161c0a8785f63625f7069649101a162c3", WELCOME("'a' null 'b' true "),
		 0},
		{"81a161cb7ff8000000000000", NULL, 1 << SERIALIZER_JSON},
		{"81a161810102", NULL, 1 << SERIALIZER_JSON | 1 << SERIALIZER_UBJSON},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	for (unsigned i = 0; i < SERIALIZER_COUNT * ARRAY_LEN(welcomes); i++) {
		enum serializer s = (enum serializer)(i % SERIALIZER_COUNT);
		const char *shown = welcomes[i / SERIALIZER_COUNT].shown;
		unsigned unsupported = welcomes[i / SERIALIZER_COUNT].unsupported;
		struct slice extra = sample_bytes(
			SERIALIZER_MSGPACK, welcomes[i / SERIALIZER_COUNT].authextra);
		const struct msg_welcome w = {
			.session = 123,
			.realm = slice_str("devices"),
			.authid = slice_str("joe"),
			.authrole = slice_str("device"),
			.authmethod = "cryptosign",
			.authprovider = slice_str("dynamic"),
			.authextra = extra,
			.node = "n",
			.worker = "w",
			.peer = "tcp4:1.2.3.4:5",
			.pid = 42,
		};

		msg_write_welcome(&out, s, &w);
		if (shown != NULL)
			check_sent(s, &out, shown);
		else
			assert_int_equal(out.err,
					 unsupported >> s & 1 ? E_UNSUPPORTED : 0);
		buf_clear(&out);
		free_copy(extra);
	}
	buf_fini(&out);
}

/* If authextra is not a map with string keys, nothing of it is written. */
static void test_write_bad_authextra(void **state)
{
	static const struct bad bad[] = {
		{"c0", E_TYPE},
		{"810101", E_UNSUPPORTED},
		{"81a161", E_TRUNCATED},
		{"81a161c7010500", E_UNSUPPORTED},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct slice extra = sample_bytes(SERIALIZER_MSGPACK, bad[i].bytes);
		const struct msg_welcome w = {.authextra = extra};

		buf_clear(&out);
		msg_write_welcome(&out, SERIALIZER_CBOR, &w);
		assert_int_equal(out.err, bad[i].err);
		free_copy(extra);
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_replies),
		cmocka_unit_test(test_write_payloads),
		cmocka_unit_test(test_write_welcome),
		cmocka_unit_test(test_write_bad_authextra),
	};

	return cmocka_run_group_tests_name("msg_write", tests, NULL, NULL);
}
