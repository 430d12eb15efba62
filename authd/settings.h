/* SPDX-License-Identifier: Apache-2.0 */
/* authd's configuration file as a struct, immutable once loaded. Main thread. */
#ifndef AUTHD_SETTINGS_H
#define AUTHD_SETTINGS_H

#include "common/conf.h"
#include "common/pool.h"

/* A Unix socket, and who may connect to it. */
struct settings_socket {
	const char *path;
	mode_t mode;
	struct conf_users allow_users;
};

/* What a client is told that nobody knows. */
struct settings_deny {
	const char *uri;
	const char *message; /* {pubkey} stands for the key */
};

struct settings {
	struct pool pool; /* holds all that the struct points to */
	const char *database;
	struct settings_socket listen; /* for routers */
	struct settings_socket admin;  /* for authctl */
	struct settings_deny deny;
	struct conf_log log;
};

/* E_SYS, E_SYNTAX or E_NOMEM: *errors says why. In either case settings_fini frees what
 * *out holds. */
int settings_load(const char *path, struct settings *out,
		  struct conf_error *errors) MUSTCHECK;
void settings_fini(struct settings *s);

/* The table of keys, for the test that compares it with the example. */
extern const struct conf_table authd_settings_table;

#endif
