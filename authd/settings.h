/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authd's configuration file as a struct, which does not change after loading. Main
 * thread.
 */
#ifndef AUTHD_SETTINGS_H
#define AUTHD_SETTINGS_H

#include "common/conf.h"
#include "common/pool.h"

/* A Unix socket and the users who may connect to it. */
struct settings_socket {
	const char *path;
	mode_t mode;
	struct conf_users allow_users;
};

/* The answer to a client with an unknown key. */
struct settings_deny {
	const char *uri;
	const char *message; /* {pubkey} is replaced by the key */
};

struct settings {
	struct pool pool; /* memory of everything that the struct points to */
	const char *database;
	struct settings_socket listen; /* for routers */
	struct settings_socket admin;  /* for authctl */
	struct settings_deny deny;
	struct conf_log log;
};

/*
 * Loads the file. E_SYS, E_SYNTAX or E_NOMEM: *errors has the messages. On success,
 * *errors has the warnings, if any. The caller calls pool_fini(&out->pool) in both
 * cases.
 */
int settings_load(const char *path, struct settings *out,
		  struct conf_error *errors) MUSTCHECK;

/* The table of keys, for a test that compares it with the example file. */
extern const struct conf_table authd_settings_table;

#endif
