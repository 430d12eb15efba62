/* SPDX-License-Identifier: Apache-2.0 */
/* authd's configuration file as a struct, immutable once loaded. Main thread. */
#ifndef AUTHD_CONFIG_H
#define AUTHD_CONFIG_H

#include "common/conf.h"
#include "common/log.h"
#include "common/pool.h"

#include <sys/types.h>

/* A Unix socket, and who may connect to it. */
struct config_socket {
	const char *path;
	const char *mode_text; /* as in the file: octal */
	mode_t mode;
	struct conf_strings allow_users;
	uid_t *uids; /* of allow_users; none: the daemon's own and root */
	size_t n_uids;
};

/* What a client is told that nobody knows. */
struct config_deny {
	const char *uri;
	const char *message; /* {pubkey} stands for the key */
};

struct config_log {
	enum log_level level;
	enum log_format format;
};

struct config {
	struct pool pool; /* holds all that the struct points to */
	const char *database;
	struct config_socket listen; /* for routers */
	struct config_socket admin;  /* for authctl */
	struct config_deny deny;
	struct config_log log;
};

/* Errors as conf_load. */
int config_load(const char *path, struct config **out, struct conf_error *err) MUSTCHECK;
void config_free(struct config **c);

/* The table of keys: for the test that compares it with the example. */
extern const struct conf_table authd_config_table;

/* May this user connect? */
bool config_allows(const struct config_socket *s, uid_t uid);

#endif
