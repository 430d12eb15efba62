/* SPDX-License-Identifier: Apache-2.0 */
/* authd's configuration; see settings.h. The tables here are all that the file may say.
 */
#include "authd/settings.h"

#include "proto/auth_api.h"
#include "proto/uri.h"

#include <unistd.h>

enum { MAX_DENY_MESSAGE = 1024 }; /* bytes */

static int check_socket(struct conf *c, void *map)
{
	struct settings_socket *s = map;
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
	CONF_KEY("path", STRING, struct settings_socket, path, .required = true,
		 .max = CONF_MAX_SOCKET),
	CONF_KEY("mode", STRING, struct settings_socket, mode_text, .text = "0660",
		 .rule = &conf_mode_rule),
	CONF_KEY("allow_users", STRINGS, struct settings_socket, allow_users, .min = 1,
		 .max = 64),
};
static const struct conf_table socket_table =
	CONF_TABLE("the socket", struct settings_socket, socket_keys, check_socket);

static int check_deny(struct conf *c, void *map)
{
	const struct settings_deny *deny = map;

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
	CONF_KEY("uri", STRING, struct settings_deny, uri,
		 .text = "com.example.no_such_user", .max = AUTH_MAX_NAME,
		 .rule = &uri_rule),
	CONF_KEY("message", STRING, struct settings_deny, message,
		 .text = "no principal with matching public key 0x{pubkey}",
		 .max = MAX_DENY_MESSAGE),
};
static const struct conf_table deny_table =
	CONF_TABLE("deny", struct settings_deny, deny_keys, check_deny);

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "journal", NULL};
static const struct conf_key log_keys[] = {
	CONF_KEY_OF("level", ENUM, struct settings_log, level, enum log_level,
		    .names = levels, .def = LOG_LEVEL_INFO),
	CONF_KEY_OF("format", ENUM, struct settings_log, format, enum log_format,
		    .names = formats, .def = LOG_FORMAT_TEXT),
};
static const struct conf_table log_table =
	CONF_TABLE("log", struct settings_log, log_keys, NULL);

static int check_settings(struct conf *c, void *map)
{
	struct settings *s = map;
	int r = 0;

	if (strcmp(s->listen.path, s->admin.path) == 0)
		r = conf_fail(c, &s->admin.path, "'admin' must have a path of its own");
	if (strcmp(s->database, s->listen.path) == 0 ||
	    strcmp(s->database, s->admin.path) == 0)
		r = conf_fail(c, &s->database,
			      "the database must have a path of its own");
	return r;
}

static const struct conf_key settings_keys[] = {
	CONF_KEY("database", STRING, struct settings, database, .required = true),
	CONF_KEY_OF("listen", MAP, struct settings, listen, struct settings_socket,
		    .required = true, .table = &socket_table),
	CONF_KEY_OF("admin", MAP, struct settings, admin, struct settings_socket,
		    .required = true, .table = &socket_table),
	CONF_KEY_OF("deny", MAP, struct settings, deny, struct settings_deny,
		    .table = &deny_table),
	CONF_KEY_OF("log", MAP, struct settings, log, struct settings_log,
		    .table = &log_table),
};
const struct conf_table authd_settings_table =
	CONF_TABLE("the file", struct settings, settings_keys, check_settings);

int settings_load(const char *path, struct settings *out, struct conf_error *err)
{
	*out = (struct settings){.database = NULL};
	pool_init(&out->pool);
	return conf_load(path, &authd_settings_table, out, &out->pool, err);
}

void settings_fini(struct settings *s)
{
	pool_fini(&s->pool);
}

bool settings_allow(const struct settings_socket *s, uid_t uid)
{
	if (s->n_uids == 0)
		return uid == 0 || uid == geteuid();
	for (size_t i = 0; i < s->n_uids; i++)
		if (s->uids[i] == uid)
			return true;
	return false;
}
