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
	int r = conf_uids(c, &s->allow_users, &s->uids, &s->n_uids);
	size_t others = 0;

	s->mode = conf_mode(s->mode_text);
	for (size_t i = 0; i < s->n_uids; i++)
		others += s->uids[i] != 0;
	/* one of them may be the owner */
	if (others > 1 && (s->mode & 022) == 0)
		conf_warn(c, &s->mode_text,
			  "'mode' lets only the file's owner connect, so not all of "
			  "'allow_users' can");
	return r;
}

static const struct conf_key socket_keys[] = {
	CONF_KEY("path", STRING, struct config_socket, path, .required = true,
		 .max = CONF_MAX_SOCKET),
	CONF_KEY("mode", STRING, struct config_socket, mode_text, .text = "0660",
		 .rule = &conf_mode_rule),
	CONF_KEY("allow_users", STRINGS, struct config_socket, allow_users, .min = 1,
		 .max = 64),
};
static const struct conf_table socket_table =
	CONF_TABLE("the socket", struct config_socket, socket_keys, check_socket);

static int check_deny(struct conf *c, void *map)
{
	const struct config_deny *deny = map;

	for (const char *p = deny->message; (p = strchr(p, '{')) != NULL; p++)
		if (strncmp(p, "{pubkey}", 8) != 0)
			conf_warn(c, &deny->message,
				  "'message': only {pubkey} is replaced; clients see the "
				  "other braces as they are");
	return 0;
}

static bool is_uri(const char *text)
{
	return uri_valid(slice_str(text));
}
static const struct conf_rule uri_rule = {
	is_uri, "'uri' must be a URI, such as com.example.no_such_user"};

static const struct conf_key deny_keys[] = {
	CONF_KEY("uri", STRING, struct config_deny, uri,
		 .text = "com.example.no_such_user", .max = AUTH_MAX_NAME,
		 .rule = &uri_rule),
	CONF_KEY("message", STRING, struct config_deny, message,
		 .text = "no principal with matching public key 0x{pubkey}",
		 .max = MAX_DENY_MESSAGE),
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

	int r = 0;

	if (strcmp(cfg->listen.path, cfg->admin.path) == 0)
		r = conf_fail(c, &cfg->admin.path, "'admin' must have a path of its own");
	if (strcmp(cfg->database, cfg->listen.path) == 0 ||
	    strcmp(cfg->database, cfg->admin.path) == 0)
		r = conf_fail(c, &cfg->database,
			      "the database must have a path of its own");
	return r;
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
