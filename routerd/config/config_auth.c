/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the login methods of a transport, and finds what they refer to; see config.h. No
 * state; any thread.
 */
#include "common/err.h"
#include "proto/auth_api.h"
#include "proto/wamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <sodium.h>

const char *const config_method_names[METHOD_COUNT] = {
	[METHOD_CRYPTOSIGN] = "cryptosign", [METHOD_TICKET] = "ticket",
	[METHOD_WAMPCRA] = "wampcra",       [METHOD_SCRAM] = "scram",
	[METHOD_COOKIE] = "cookie",         [METHOD_TLS] = "tls",
};
const char *const config_kdf_names[CONFIG_KDF_COUNT + 1] = {
	[CONFIG_KDF_AUTOBAHN] = "argon2id-13",
	[CONFIG_KDF_ARGON2ID] = "argon2id13",
	[CONFIG_KDF_PBKDF2] = "pbkdf2",
	NULL,
};

/* --- principals --- */

enum { MAX_AUTHID = 255 }; /* bytes; the same limit as for the authid in HELLO */

static bool is_authid(const char *text)
{
	return strlen(text) <= MAX_AUTHID;
}
static const struct conf_rule authid_rule = {is_authid,
					     "expected an authid of at most 255 bytes"};

static bool is_public_key(const char *text)
{
	uint8_t key[FIELD_KEY_LEN];

	return fields_key_decode(slice_str(text), key) == 0;
}
static const struct conf_rule public_key_rule = {
	is_public_key, "'authorized_keys': expected public keys, each of 64 hex digits"};

#define PRINCIPAL_ROLE                                                                   \
	CONF_KEY("role", STRING, struct config_principal, role, .required = true),       \
		CONF_KEY("realm", STRING, struct config_principal, realm, .text = NULL)
#define PRINCIPAL_SECRET(key)                                                            \
	CONF_KEY(key, STRING, struct config_principal, secret.text,                      \
		 .max = CONFIG_MAX_SECRET),                                              \
		CONF_KEY(key "_file", STRING, struct config_principal, secret.file,      \
			 .text = NULL),                                                  \
		CONF_KEY(key "_credential", STRING, struct config_principal,             \
			 secret.credential, .text = NULL)

static void check_keys(struct conf *c, void *map)
{
	struct config_principal *who = map;

	(void)c;
	for (size_t i = 0; i < who->authorized_keys.count; i++) {
		struct slice hex = slice_str(who->authorized_keys.items[i]);
		int err = fields_key_decode(hex, who->keys.key[who->keys.n++]);

		ASSERT(err == 0); /* the rule has checked it */
	}
}

static void check_ticket(struct conf *c, void *map)
{
	config_secret_read(c, &((struct config_principal *)map)->secret, "ticket");
}

static void check_cra_user(struct conf *c, void *map)
{
	struct config_principal *who = map;

	config_secret_read(c, &who->secret, "secret");
	if (who->salt == NULL && conf_given(c, &who->iterations))
		conf_fail(c, &who->iterations,
			  "'iterations' is for a secret with 'salt': add 'salt', or "
			  "leave out 'iterations'");
	if (who->salt == NULL && conf_given(c, &who->keylen))
		conf_fail(c, &who->keylen,
			  "'keylen' is for a secret with 'salt': add 'salt', or leave "
			  "out 'keylen'");
}

static bool is_scram_salt(const char *text)
{
	uint8_t salt[CONFIG_MAX_SCRAM_SALT];
	size_t len = 0;

	return sodium_hex2bin(salt, sizeof(salt), text, strlen(text), NULL, &len, NULL) ==
		       0 &&
	       2 * len == strlen(text) && len >= 8;
}
static const struct conf_rule scram_salt_rule = {is_scram_salt,
						 "'salt': expected 16 to 128 hex digits"};
static const struct conf_rule scram_key_rule = {
	is_public_key, "'stored-key' and 'server-key': expected 64 hex digits"};

/* The rules have checked the hex digits. */
static void check_scram(struct conf *c, void *map)
{
	struct config_principal *who = map;
	bool argon = who->kdf != CONFIG_KDF_PBKDF2;

	if (argon && who->memory == 0)
		conf_fail(c, NULL, "'memory' is missing: Argon2id needs it, in KiB");
	if (!argon && who->memory != 0)
		conf_fail(c, &who->memory,
			  "'memory' is for Argon2id: leave it out with pbkdf2");
	(void)sodium_hex2bin(who->scram_salt, sizeof(who->scram_salt), who->salt,
			     strlen(who->salt), NULL, &who->scram_salt_len, NULL);
	int err = fields_key_decode(slice_str(who->stored_key_hex), who->stored_key);
	if (err == 0)
		err = fields_key_decode(slice_str(who->server_key_hex), who->server_key);
	ASSERT(err == 0);
}

static const struct conf_key key_holder_keys[] = {
	PRINCIPAL_ROLE,
	CONF_KEY("authorized_keys", STRINGS, struct config_principal, authorized_keys,
		 .required = true, .min = 1, .max = FIELD_MAX_KEYS,
		 .rule = &public_key_rule),
};
static const struct conf_table key_holder_table =
	CONF_TABLE("the principal", struct config_principal, key_holder_keys, check_keys);

/*
 * Reads SHA-256 as 64 hex digits, which may have a ':' between two octets, and openssl's
 * label before them.
 */
static bool read_fingerprint(const char *text, uint8_t print[FIELD_KEY_LEN])
{
	static const char label[] = "sha256 Fingerprint=";
	size_t len = 0;

	if (strncasecmp(text, label, sizeof(label) - 1) == 0)
		text += sizeof(label) - 1;
	return sodium_hex2bin(print, FIELD_KEY_LEN, text, strlen(text), ":", &len,
			      NULL) == 0 &&
	       len == FIELD_KEY_LEN;
}

static bool is_fingerprint(const char *text)
{
	uint8_t print[FIELD_KEY_LEN];

	return read_fingerprint(text, print);
}
static const struct conf_rule fingerprint_rule = {
	is_fingerprint,
	"'certificate-sha256': expected fingerprints, each of 64 hex "
	"digits, as openssl x509 -noout -fingerprint -sha256 prints them"};

static void check_fingerprints(struct conf *c, void *map)
{
	struct config_principal *who = map;

	(void)c;
	for (size_t i = 0; i < who->authorized_keys.count; i++) {
		bool ok = read_fingerprint(who->authorized_keys.items[i],
					   who->keys.key[who->keys.n++]);

		ASSERT(ok); /* the rule has checked it */
	}
}

static const struct conf_key certificate_holder_keys[] = {
	PRINCIPAL_ROLE,
	CONF_KEY("certificate-sha256", STRINGS, struct config_principal, authorized_keys,
		 .required = true, .min = 1, .max = FIELD_MAX_KEYS,
		 .rule = &fingerprint_rule),
};
static const struct conf_table certificate_holder_table =
	CONF_TABLE("the principal", struct config_principal, certificate_holder_keys,
		   check_fingerprints);

static const struct conf_key ticket_holder_keys[] = {PRINCIPAL_ROLE,
						     PRINCIPAL_SECRET("ticket")};
static const struct conf_table ticket_holder_table = CONF_TABLE(
	"the principal", struct config_principal, ticket_holder_keys, check_ticket);

static const struct conf_key cra_user_keys[] = {
	PRINCIPAL_ROLE,
	PRINCIPAL_SECRET("secret"),
	CONF_KEY("salt", STRING, struct config_principal, salt, .max = CONFIG_MAX_SALT),
	CONF_NUMBER(INT, struct config_principal, iterations, 1, 100000, CRA_ITERATIONS),
	CONF_NUMBER(INT, struct config_principal, keylen, CRA_MIN_KEYLEN, CRA_MAX_KEYLEN,
		    CRA_KEYLEN),
};
static const struct conf_table cra_user_table =
	CONF_TABLE("the user", struct config_principal, cra_user_keys, check_cra_user);

static const struct conf_key scram_holder_keys[] = {
	PRINCIPAL_ROLE,
	CONF_KEY_OF("kdf", ENUM, struct config_principal, kdf, int, .required = true,
		    .names = config_kdf_names),
	CONF_KEY("iterations", INT, struct config_principal, iterations, .required = true,
		 .min = 1, .max = AUTH_MAX_ITERATIONS),
	CONF_NUMBER(INT, struct config_principal, memory, 8, 1 << 22, 0),
	CONF_KEY("salt", STRING, struct config_principal, salt, .required = true,
		 .rule = &scram_salt_rule),
	CONF_KEY("stored-key", STRING, struct config_principal, stored_key_hex,
		 .required = true, .rule = &scram_key_rule),
	CONF_KEY("server-key", STRING, struct config_principal, server_key_hex,
		 .required = true, .rule = &scram_key_rule),
};
static const struct conf_table scram_holder_table = CONF_TABLE(
	"the principal", struct config_principal, scram_holder_keys, check_scram);

/* --- methods --- */

static const char *const method_types[] = {
	[METHOD_STATIC] = "static",
	[METHOD_DYNAMIC] = "dynamic",
	NULL,
};
static const char *const no_types[] = {"function", NULL};
static const char *const static_only[] = {"static", NULL};
static const char *const not_static[] = {"dynamic", "function", NULL};

/* A method needs principals or an authenticator, depending on its type. */
static void check_method(struct conf *c, void *map)
{
	const struct config_method *m = map;
	bool dynamic = m->type == METHOD_DYNAMIC;

	if (dynamic && m->authenticator == NULL)
		conf_fail(c, NULL,
			  "'authenticator' is missing: 'type: dynamic' needs the name of "
			  "an authenticator");
	else if (dynamic && conf_given(c, &m->principals))
		conf_fail(c, &m->principals,
			  "principals are for 'type: static': with 'type: dynamic' the "
			  "authenticator knows them (authctl principal add)");
	else if (!dynamic && m->authenticator != NULL)
		conf_fail(c, &m->authenticator,
			  "'authenticator' is for 'type: dynamic': leave it out");
	else if (!dynamic && m->n_principals == 0)
		conf_fail(c, NULL,
			  "principals are missing: 'type: static' needs a map of "
			  "authids; with 'type: dynamic' an authenticator knows them");
}

#define METHOD_TYPE                                                                      \
	CONF_KEY_OF("type", ENUM, struct config_method, type, int, .required = true,     \
		    .names = method_types, .later = no_types, .def = -1),                \
		CONF_KEY("authenticator", STRING, struct config_method, authenticator,   \
			 .rule = NULL)
#define METHOD_KEYS(principals_key, its_table)                                           \
	METHOD_TYPE, CONF_ARRAY_KEY(principals_key, NAMED, struct config_method,         \
				    principals, n_principals, struct config_principal,   \
				    .min = 1, .max = CONFIG_MAX_PRINCIPALS,              \
				    .rule = &authid_rule, .table = &(its_table))

static const char *const bindings[] = {"optional", "required", NULL};
static const struct conf_key cryptosign_keys[] = {
	METHOD_KEYS("principals", key_holder_table),
	CONF_KEY_OF("channel_binding", ENUM, struct config_method, channel_binding, int,
		    .names = bindings),
};
static const struct conf_table cryptosign_table =
	CONF_TABLE("cryptosign", struct config_method, cryptosign_keys, check_method);

static const struct conf_key ticket_keys[] = {
	METHOD_KEYS("principals", ticket_holder_table),
};
static const struct conf_table ticket_table =
	CONF_TABLE("ticket", struct config_method, ticket_keys, check_method);

static const struct conf_key wampcra_keys[] = {
	METHOD_KEYS("users", cra_user_table),
};
static const struct conf_table wampcra_table =
	CONF_TABLE("wampcra", struct config_method, wampcra_keys, check_method);

static const struct conf_key scram_keys[] = {
	METHOD_KEYS("principals", scram_holder_table),
};
static const struct conf_table scram_table =
	CONF_TABLE("scram", struct config_method, scram_keys, check_method);

static void check_cookie(struct conf *c, void *map)
{
	const struct config_method *m = map;

	if (m->type == METHOD_STATIC)
		conf_fail(c, &m->type,
			  "'type': expected 'dynamic': only an authenticator can know "
			  "which cookies are valid");
	else
		check_method(c, map);
}

static const struct conf_key cookie_keys[] = {
	METHOD_TYPE,
};
static const struct conf_table cookie_table =
	CONF_TABLE("cookie", struct config_method, cookie_keys, check_cookie);

static bool share_a_key(const struct config_principal *a,
			const struct config_principal *b)
{
	for (unsigned i = 0; i < a->keys.n; i++)
		for (unsigned k = 0; k < b->keys.n; k++)
			if (memcmp(a->keys.key[i], b->keys.key[k], FIELD_KEY_LEN) == 0)
				return true;
	return false;
}

/* A certificate says who the client is, so it must not belong to two principals. */
static void check_tls_login(struct conf *c, void *map)
{
	const struct config_method *m = map;

	check_method(c, map);
	for (size_t i = 1; i < m->n_principals; i++)
		for (size_t k = 0; k < i; k++) {
			const struct config_principal *a = &m->principals[k],
						      *b = &m->principals[i];

			if (!share_a_key(a, b))
				continue;
			conf_fail(c, &b->authorized_keys,
				  "'certificate-sha256': '%s' has one of these "
				  "fingerprints, too, in line %u: a certificate can "
				  "belong to only one principal",
				  conf_quote(a->authid).text,
				  conf_line(c, &a->authorized_keys));
			break;
		}
}

static const struct conf_key tls_login_keys[] = {
	METHOD_KEYS("principals", certificate_holder_table),
};
static const struct conf_table tls_table =
	CONF_TABLE("tls", struct config_method, tls_login_keys, check_tls_login);

static const struct conf_key anonymous_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_auth, anonymous.type, int,
		    .required = true, .names = static_only, .later = not_static,
		    .def = -1),
	CONF_KEY("role", STRING, struct config_auth, anonymous.role, .required = true),
	CONF_KEY("realm", STRING, struct config_auth, anonymous.realm, .text = NULL),
};
static const struct conf_table anonymous_table =
	CONF_TABLE("anonymous", struct config_auth, anonymous_keys, NULL);

#define METHOD(name, id)                                                                 \
	CONF_KEY_OF(#name, MAP, struct config_auth, methods[id], struct config_method,   \
		    .table = &name##_table)
static const struct conf_key auth_keys[] = {
	METHOD(cryptosign, METHOD_CRYPTOSIGN),
	METHOD(ticket, METHOD_TICKET),
	METHOD(wampcra, METHOD_WAMPCRA),
	METHOD(scram, METHOD_SCRAM),
	METHOD(cookie, METHOD_COOKIE),
	METHOD(tls, METHOD_TLS),
	{.name = "anonymous", .type = CONF_MAP, .at = 0, .table = &anonymous_table},
};
const struct conf_table config_auth_table =
	CONF_TABLE("auth", struct config_auth, auth_keys, NULL);

bool config_auth_asks(const struct config_auth *auth, int authenticator)
{
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct config_method *m = &auth->methods[i];

		if (m->type == METHOD_DYNAMIC &&
		    (authenticator == -1 || m->authenticator_index == authenticator))
			return true;
	}
	return false;
}

/* --- cross-references --- */

/*
 * Checks that a realm has a role. The fields are those of the file; without a realm, some
 * realm must have the role. Returns the realm's index, or -1.
 */
static int find_role(struct conf *c, const struct config *cfg, const char *const *realm,
		     const char *const *role)
{
	int index = *realm == NULL ? -1 : config_realm_find(cfg, slice_str(*realm));
	size_t roles = 0;

	for (size_t i = 0; i < cfg->n_realms; i++)
		if (*realm == NULL || (int)i == index)
			roles += config_role_find(&cfg->realms[i], slice_str(*role)) >= 0;
	if (*realm != NULL && index < 0)
		conf_fail(c, realm, "there is no realm '%s' in 'realms'",
			  conf_quote(*realm).text);
	else if (*realm != NULL && roles == 0)
		conf_fail(c, role, "the realm '%s' has no role '%s'",
			  conf_quote(*realm).text, conf_quote(*role).text);
	else if (roles == 0)
		conf_fail(c, role, "no realm has a role '%s'", conf_quote(*role).text);
	return index < 0 ? -1 : index;
}

static void resolve_method(struct conf *c, const struct config *cfg,
			   struct config_method *m)
{
	m->authenticator_index = -1;
	if (m->type == METHOD_DYNAMIC && !conf_broken(c, &cfg->authenticators))
		m->authenticator_index =
			config_authenticator_named(c, cfg, &m->authenticator);
	if (m->type != METHOD_STATIC || conf_broken(c, &cfg->realms))
		return;
	for (size_t i = 0; i < m->n_principals; i++)
		(void)find_role(c, cfg, &m->principals[i].realm, &m->principals[i].role);
}

void config_auth_resolve(struct conf *c, const struct config *cfg,
			 struct config_auth *auth)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		resolve_method(c, cfg, &auth->methods[i]);
	auth->anonymous.realm_index = -1;
	if (auth->anonymous.type != -1 && !conf_broken(c, &cfg->realms))
		auth->anonymous.realm_index =
			find_role(c, cfg, &auth->anonymous.realm, &auth->anonymous.role);
}
