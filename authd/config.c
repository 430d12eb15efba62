/* SPDX-License-Identifier: Apache-2.0 */
/* authd's configuration; see config.h. The tables here are all that the file may say. */
#include "authd/config.h"

#include "common/err.h"
#include "proto/auth_api.h"
#include "proto/uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_DENY_MESSAGE = 1024 }; /* bytes */

static int check_socket(struct conf *c, void *map)
{
	struct config_socket *s = map;
	int r = conf_mode(c, &s->mode_text, &s->mode);

	if (r != 0)
		return r;
	return conf_uids(c, &s->allow_users, &s->uids, &s->n_uids);
}

static const struct conf_key socket_keys[] = {
	CONF_KEY("path", STRING, struct config_socket, path, .required = true),
	CONF_KEY("mode", STRING, struct config_socket, mode_text, .text = "0660"),
	CONF_KEY("allow_users", STRINGS, struct config_socket, allow_users, .min = 1,
		 .max = 64),
};
static const struct conf_table socket_table =
	CONF_TABLE("the socket", struct config_socket, socket_keys, check_socket);

static int check_deny(struct conf *c, void *map)
{
	struct config_deny *deny = map;
	struct slice uri = slice_str(deny->uri);

	if (uri.len > AUTH_MAX_NAME || !uri_valid(uri))
		return conf_fail(c, &deny->uri,
				 "'uri' must be a URI of at most %d bytes, such as "
				 "com.example.no_such_user",
				 AUTH_MAX_NAME);
	if (strlen(deny->message) > MAX_DENY_MESSAGE)
		return conf_fail(c, &deny->message,
				 "'message' must have at most %d bytes",
				 MAX_DENY_MESSAGE);
	return 0;
}

static const struct conf_key deny_keys[] = {
	CONF_KEY("uri", STRING, struct config_deny, uri,
		 .text = "com.example.no_such_user"),
	CONF_KEY("message", STRING, struct config_deny, message,
		 .text = "no principal with matching public key 0x{pubkey}"),
};
static const struct conf_table deny_table =
	CONF_TABLE("deny", struct config_deny, deny_keys, check_deny);

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "journal", NULL};
static const struct conf_key log_keys[] = {
	CONF_KEY_OF("level", ENUM, struct config_log, level, enum log_level,
		    .names = levels, .def = LOG_LEVEL_INFO),
	CONF_KEY_OF("format", ENUM, struct config_log, format, enum log_format,
		    .names = formats, .def = LOG_FORMAT_TEXT),
};
static const struct conf_table log_table =
	CONF_TABLE("log", struct config_log, log_keys, NULL);

static int check_config(struct conf *c, void *map)
{
	struct config *cfg = map;

	if (strcmp(cfg->listen.path, cfg->admin.path) == 0)
		return conf_fail(c, &cfg->admin.path,
				 "'admin' must have a path of its own");
	return 0;
}

static const struct conf_key config_keys[] = {
	CONF_KEY("database", STRING, struct config, database, .required = true),
	CONF_KEY_OF("listen", MAP, struct config, listen, struct config_socket,
		    .required = true, .table = &socket_table),
	CONF_KEY_OF("admin", MAP, struct config, admin, struct config_socket,
		    .required = true, .table = &socket_table),
	CONF_KEY_OF("deny", MAP, struct config, deny, struct config_deny,
		    .table = &deny_table),
	CONF_KEY_OF("log", MAP, struct config, log, struct config_log,
		    .table = &log_table),
};
const struct conf_table authd_config_table =
	CONF_TABLE("the file", struct config, config_keys, check_config);

int config_load(const char *path, struct config **out, struct conf_error *err)
{
	struct config *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		snprintf(err->text, sizeof(err->text), "%s: %s", path, err_str(E_NOMEM));
		return E_NOMEM;
	}
	pool_init(&c->pool);
	int r = conf_load(path, &authd_config_table, c, &c->pool, err);
	if (r != 0) {
		config_free(&c);
		return r;
	}
	*out = c;
	return 0;
}

void config_free(struct config **cp)
{
	struct config *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	pool_fini(&c->pool);
	free(c);
}

bool config_allows(const struct config_socket *s, uid_t uid)
{
	if (s->n_uids == 0)
		return uid == 0 || uid == geteuid();
	for (size_t i = 0; i < s->n_uids; i++)
		if (s->uids[i] == uid)
			return true;
	return false;
}
