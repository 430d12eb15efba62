/* SPDX-License-Identifier: Apache-2.0 */
/* Every error of the login methods in routerd's configuration. */
#include "routerd/config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/config_check.h"

#define A_KEY "1111111111111111111111111111111111111111111111111111111111111111"
#define B_KEY "2222222222222222222222222222222222222222222222222222222222222222"
#define C_KEY "3333333333333333333333333333333333333333333333333333333333333333"
#define A_PRINT                                                                          \
	"\"11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:"  \
	"11:"                                                                            \
	"11:11:11:11:11:11\""
#define IN_SCRAM "scram: {type: static, principals: {a: {role: user,\n"
#define NO_AUTHENTICATOR                                                                 \
	"'authenticator' is missing: 'type: dynamic' needs the name of an authenticator"
#define NO_PRINCIPALS                                                                    \
	"principals are missing: 'type: static' needs a map of authids; with "           \
	"'type: dynamic' an authenticator knows them"
static void errors_in_auth(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"cryptosign: {type: function",
		 "4:21: 'type': 'function' is not supported yet; expected 'static' or "
		 "'dynamic'"},
		{"cryptosign: {type: magic",
		 "4:21: 'type': expected 'static' or 'dynamic', not 'magic'"},
		{"cryptosign: {type: dynamic", "4:14: " NO_AUTHENTICATOR},
		{"cryptosign: {authenticator: authd",
		 "4:14: cryptosign needs the key 'type'"},
		{"cryptosign: {type: dynamic, authenticator: other",
		 "4:45: unknown authenticator 'other': define it in 'authenticators' at "
		 "the top of the file"},
		{"cryptosign: {type: dynamic, authenticator-realm: r",
		 "4:51: 'authenticator-realm' is not supported: an authenticator is a "
		 "process with a socket, not a session in a realm; 'authenticator' names "
		 "it"},
		{"cryptosign: {type: static", "4:14: " NO_PRINCIPALS},
		{"cryptosign: {type: static, principals: {}",
		 "4:41: 'principals': expected 1 to 1024 elements, not 0"},
		{"cryptosign: {type: static, authenticator: authd, "
		 "principals: {a: {role: user, authorized_keys: [" A_KEY "]}}",
		 "4:44: 'authenticator' is for 'type: dynamic': leave it out"},
		{"cryptosign: {type: dynamic, authenticator: authd, "
		 "principals: {a: {role: user, authorized_keys: [" A_KEY "]}}",
		 "4:64: principals are for 'type: static': with 'type: dynamic' the "
		 "authenticator knows them (authctl principal add)"},
		{"cryptosign: {type: static, principals: {a: {role: user}}",
		 "4:45: the principal needs the key 'authorized_keys'"},
		{"cryptosign: {type: static, principals: {a: {authorized_keys: [" A_KEY
		 "]}}",
		 "4:45: the principal needs the key 'role'"},
		{"cryptosign: {type: static, principals: {a: {role: user, "
		 "authorized_keys: [abc]}}",
		 "4:76: 'authorized_keys': expected public keys, each of 64 hex digits"},
		{"cryptosign: {type: static, principals: {a: {role: king, "
		 "authorized_keys: [" A_KEY "]}}",
		 "4:52: no realm has a role 'king'"},
		{"cryptosign: {type: static, principals: {a: {role: user, realm: realm2, "
		 "authorized_keys: [" A_KEY "]}}",
		 "4:65: there is no realm 'realm2' in 'realms'"},
		{"cryptosign: {type: static, principals: {a: {role: king, realm: realm1, "
		 "authorized_keys: [" A_KEY "]}}",
		 "4:52: the realm 'realm1' has no role 'king'"},
		{"cryptosign: {trustroots: {}",
		 "4:27: 'trustroots' is not supported yet: leave it out"},
		{"anonymous: {type: dynamic",
		 "4:20: 'type': 'dynamic' is not supported yet; expected 'static'"},
		{"anonymous: {type: static", "4:13: anonymous needs the key 'role'"},
		{"anonymous: {role: user", "4:13: anonymous needs the key 'type'"},
		{"anonymous: {type: static, role: nobody",
		 "4:34: no realm has a role 'nobody'"},
		{"anonymous: {type: static, role: user, realm: realm2",
		 "4:47: there is no realm 'realm2' in 'realms'"},
		{"anonymous: {type: static, role: nobody, realm: realm1",
		 "4:34: the realm 'realm1' has no role 'nobody'"},
		{"anonymous: {type: static, role: \"\\e[1m\"",
		 "4:34: no realm has a role '\\x1b[1m'"},
		{"anonymous: {authid: x", "4:22: 'authid' is not supported: each "
					  "anonymous session gets its own authid"},
		{"ticket: {type: static", "4:10: " NO_PRINCIPALS},
		{"ticket: {type: dynamic", "4:10: " NO_AUTHENTICATOR},
		{"ticket: {type: dynamic, authenticator: other",
		 "4:41: unknown authenticator 'other': define it in 'authenticators' at "
		 "the top of the file"},
		{"ticket: {type: dynamic, authenticator-realm: r",
		 "4:47: 'authenticator-realm' is not supported: an authenticator is a "
		 "process with a socket, not a session in a realm; 'authenticator' names "
		 "it"},
		{"ticket: {type: static, principals: {a: {role: user}}",
		 "4:41: a secret is missing: expected one of 'ticket', 'ticket_file' and "
		 "'ticket_credential'"},
		{"ticket: {type: static, principals: {a: {role: user, ticket: s, "
		 "ticket_file: f}}",
		 "4:41: there is more than one secret: expected one of 'ticket', "
		 "'ticket_file' and 'ticket_credential'"},
		{"ticket: {type: static, principals: {a: {role: user, ticket: ''}}",
		 "4:62: 'ticket': expected a string, not an empty string"},
		{"ticket: {type: static, principals: {a: {role: user, ticket: s}, a: "
		 "{role: user, ticket: t}}",
		 "4:66: 'a' is given twice in 'principals'"},
		{"ticket: {type: static, principals: {a: {role: user, ticket_credential: "
		 "../x}}",
		 "4:73: expected the name of a credential, without '/'"},
		{"wampcra: {type: static", "4:11: " NO_PRINCIPALS},
		{"wampcra: {type: dynamic", "4:11: " NO_AUTHENTICATOR},
		{"wampcra: {type: static, users: {a: {role: user}}",
		 "4:37: a secret is missing: expected one of 'secret', 'secret_file' and "
		 "'secret_credential'"},
		{"wampcra: {type: static, users: {a: {role: user, secret: s, keylen: "
		 "32}}",
		 "4:69: 'keylen' is for a secret with 'salt': add 'salt', or leave out "
		 "'keylen'"},
		{"wampcra: {type: static, users: {a: {role: user, secret: s, iterations: "
		 "9}}",
		 "4:73: 'iterations' is for a secret with 'salt': add 'salt', or leave "
		 "out 'iterations'"},
		{"wampcra: {type: static, users: {a: {role: user, secret: s, salt: s, "
		 "keylen: 15}}",
		 "4:78: 'keylen': expected an integer from 16 to 64, not '15'"},
		{"wampcra: {type: static, users: {a: {role: user, secret: s, salt: s, "
		 "iterations: 100001}}",
		 "4:82: 'iterations': expected an integer from 1 to 100000, not "
		 "'100001'"},
		{"scram: {type: static", "4:9: " NO_PRINCIPALS},
		{"scram: {type: dynamic", "4:9: " NO_AUTHENTICATOR},
		{IN_SCRAM
		 "kdf: pbkdf2, iterations: 1, salt: 0011223344556677, stored-key: " A_KEY
		 ", server-key: abc}}",
		 "5:143: 'stored-key' and 'server-key': expected 64 hex digits"},
		{IN_SCRAM
		 "kdf: pbkdf2, iterations: 1, salt: 00112233445566, stored-key: " A_KEY
		 ", server-key: " A_KEY "}}",
		 "5:35: 'salt': expected 16 to 128 hex digits"},
		{IN_SCRAM "kdf: argon2id13, iterations: 1, salt: 0011223344556677, "
			  "stored-key: " A_KEY ", server-key: " A_KEY "}}",
		 "4:40: 'memory' is missing: Argon2id needs it, in KiB"},
		{IN_SCRAM
		 "kdf: pbkdf2, iterations: 1, memory: 512, salt: 0011223344556677, "
		 "stored-key: " A_KEY ", server-key: " A_KEY "}}",
		 "5:37: 'memory' is for Argon2id: leave it out with pbkdf2"},
		{IN_SCRAM "kdf: scrypt}}", "5:6: 'kdf': expected 'argon2id-13', "
					   "'argon2id13' or 'pbkdf2', not 'scrypt'"},
		{"tls: {type: static, principals: {a: {role: u, certificate-sha256: "
		 "[ab]}}",
		 "4:69: 'certificate-sha256': expected fingerprints, each of 64 hex "
		 "digits, as openssl x509 -noout -fingerprint -sha256 prints them"},
		{"tls: {type: static, principals: {a: {role: u, certificate-sha1: ab}}",
		 "4:66: 'certificate-sha1' is not supported: 'certificate-sha256' takes "
		 "a "
		 "list of fingerprints, as openssl x509 -noout -fingerprint -sha256 "
		 "prints them"},
		/* one certificate, in two forms, the second time in a list */
		{"tls: {type: static, principals: {\n"
		 "a: {role: user, certificate-sha256: [" A_KEY "]},\n"
		 "b: {role: user, certificate-sha256: [" B_KEY "]},\n"
		 "c: {role: user, certificate-sha256: [" C_KEY ", " A_PRINT "]}}",
		 "7:37: 'certificate-sha256': 'a' has one of these fingerprints, too, in "
		 "line 5: a certificate can belong to only one principal"},
		{"tls: {type: dynamic, authenticator: a",
		 "4:14: 'tls' needs client certificates: add 'tls' with "
		 "'ca_certificates' to the endpoint"},
		{"cookie: {type: static",
		 "4:17: 'type': expected 'dynamic': only an authenticator can know which "
		 "cookies are valid"},
		{"cookie: {type: dynamic", "4:10: " NO_AUTHENTICATOR},
		{"oauth: {",
		 "4:2: unknown key 'oauth' in auth, expected 'cryptosign', "
		 "'ticket', 'wampcra', 'scram', 'cookie', 'tls' or 'anonymous'"},
	};

	check_all(refuse, rows, ARRAY_LEN(rows), IN_AUTH, AFTER_AUTH);
	refuse(IN_AUTH "}}]",
	       "3:14: nobody could log in: 'auth' needs at least one method");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_in_auth),
	};

	return cmocka_run_group_tests_name("config_errors_auth", tests, NULL, end);
}
