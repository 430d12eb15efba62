/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files that read the configuration: the tables of realms, transports and
 * login methods, and functions that read secrets and find what a key refers to. Only
 * config*.c includes it. No state; any thread.
 */
#ifndef ROUTERD_CONFIG_CONFIG_INT_H
#define ROUTERD_CONFIG_CONFIG_INT_H

#include "common/conf.h"

#define MIB (1 << 20)

struct config;
struct config_auth;
struct config_certificate;
struct config_role;
struct config_secret;

/* An element of realms (struct config_realm), in config_realms.c. */
extern const struct conf_table config_realm_table;
/* An element of transports (struct config_listener), in config_listeners.c. */
extern const struct conf_table config_listener_table;

/* The key tls of an endpoint (struct config_tls), in config_tls.c. */
extern const struct conf_table config_tls_table;

/* The login methods of a transport (struct config_auth), in config_auth.c. */
extern const struct conf_table config_auth_table;

/*
 * Finds what the methods refer to: authenticators, realms and roles. In config_auth.c.
 * cfg's realms and authenticators have been read without errors.
 */
void config_auth_resolve(struct conf *c, const struct config *cfg,
			 struct config_auth *auth);

/*
 * Finds the authenticator that a field of the configuration, *name, refers to. Returns
 * its index, or adds an error and returns -1. In config_find.c.
 */
int config_authenticator_named(struct conf *c, const struct config *cfg,
			       const char *const *name);

/*
 * Checks that a principal's secret is given in exactly one way, and reads it. key is the
 * name of the key for its text. The others are key_file and key_credential. In
 * config_secret.c.
 */
void config_secret_read(struct conf *c, struct config_secret *secret, const char *key);

/*
 * Is this a credential of systemd that the process may not read? systemd hides a unit's
 * credentials from its ExecReload=. This must not fail the check of the file: the running
 * daemon has them. In config_secret.c.
 */
bool config_credential_hidden(const char *path);

/*
 * Reads the files of a certificate and its key, checks them, and fills the fields that
 * are derived from them. In config_certificate.c.
 */
void config_certificate_read(struct conf *c, struct config_certificate *pair);
/*
 * Reads files with certificates of authorities; the text is in the pool of the file. It
 * is empty if there was an error, or if config_credential_hidden. In
 * config_certificate.c.
 */
struct slice config_ca_read(struct conf *c, const struct conf_strings *paths);

/*
 * What to say about a file that open(2) has just failed to open, by errno. If the reason
 * is the user that routerd runs as, it names this user. In config_secret.c.
 */
struct config_open_failure {
	char text[400];
};
struct config_open_failure config_open_failure(void);

/*
 * Checks that an open file is a regular one and, if it is a key, that nobody but its
 * owner can read it; a file of root may also be readable by its group. Otherwise adds an
 * error about the field. In config_secret.c.
 */
bool config_secret_file_ok(struct conf *c, const void *field, const char *path, int fd,
			   bool is_key);

/* Reads the node's key, if the file names one. In config_secret.c. */
void config_node_key_read(struct conf *c, struct config *cfg);

/* Crossbar's keys that routerd does not have, in config_foreign.c. */
extern const struct conf_foreign config_foreign[];

/* The condition for names that log lines and systemd units contain. */
extern const struct conf_rule config_id_rule;

/*
 * Warns of each pair of a role's permissions for which Crossbar.io would decide
 * differently, with a URI for which it does. In config_crossbar.c.
 */
void config_warn_of_crossbar(struct conf *c, const struct config_role *role);

/* Adds warnings to a configuration without errors, in config_warn.c. */
void config_warn(struct conf *c, const struct config *cfg);

#endif
