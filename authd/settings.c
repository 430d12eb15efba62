/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads authd's configuration file; see settings.h. The tables list all its keys. Main
 * thread.
 */
#include "authd/settings.h"

#include "proto/auth_api.h"
#include "proto/uri.h"

static void check_socket(struct conf *c, void *map)
{
	const struct settings_socket *s = map;
	size_t others = 0;

	for (size_t i = 0; i < s->allow_users.count; i++)
		others += s->allow_users.uids[i] != 0;
	/* root may always connect, and one of the other users may own the socket's
	 * file. */
	if (others > 1 && (s->mode & 022) == 0)
		conf_warn(c, &s->mode,
			  "'mode' lets only the owner of the socket connect, but "
			  "'allow_users' lists more users: use \"0660\" or \"0666\"");
}

static const struct conf_key socket_keys[] = {
	CONF_KEY("path", STRING, struct settings_socket, path, .required = true,
		 .max = CONF_MAX_SOCKET),
	CONF_KEY("mode", MODE, struct settings_socket, mode, .def = 0660),
	CONF_KEY("allow_users", USERS, struct settings_socket, allow_users, .min = 1,
		 .max = 64),
};
static const struct conf_table socket_table =
	CONF_TABLE("the socket", struct settings_socket, socket_keys, check_socket);

static void check_deny(struct conf *c, void *map)
{
	const struct settings_deny *deny = map;

	for (const char *p = deny->message; (p = strchr(p, '{')) != NULL; p++)
		if (strncmp(p, "{pubkey}", 8) != 0)
			conf_warn(c, &deny->message,
				  "'message': only {pubkey} is replaced; other braces "
				  "are sent unchanged");
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
		 .text = "no principal with matching public key 0x{pubkey}", .max = 1024),
};
static const struct conf_table deny_table =
	CONF_TABLE("deny", struct settings_deny, deny_keys, check_deny);

static void check_settings(struct conf *c, void *map)
{
	const struct settings *s = map;

	if (strcmp(s->listen.path, s->admin.path) == 0)
		conf_fail(c, &s->admin.path, "'admin' must have its own path");
	if (strcmp(s->database, s->listen.path) == 0 ||
	    strcmp(s->database, s->admin.path) == 0)
		conf_fail(c, &s->database, "'database' must have its own path");
}

static const struct conf_key settings_keys[] = {
	CONF_KEY("database", STRING, struct settings, database, .required = true),
	CONF_KEY_OF("listen", MAP, struct settings, listen, struct settings_socket,
		    .required = true, .table = &socket_table),
	CONF_KEY_OF("admin", MAP, struct settings, admin, struct settings_socket,
		    .required = true, .table = &socket_table),
	CONF_KEY_OF("deny", MAP, struct settings, deny, struct settings_deny,
		    .table = &deny_table),
	CONF_KEY_OF("log", MAP, struct settings, log, struct conf_log,
		    .table = &conf_log_table),
};
const struct conf_table authd_settings_table =
	CONF_TABLE("the file", struct settings, settings_keys, check_settings);

int settings_load(const char *path, struct settings *out, struct conf_error *errors)
{
	struct buf text;
	struct pool pool;
	void *map;
	int err = conf_read(path, &text, errors);

	*out = (struct settings){.database = NULL};
	if (err == 0)
		err = conf_parse(buf_slice(&text), path, &authd_settings_table, &map,
				 &pool, errors);
	buf_fini(&text);
	if (err != 0)
		return err;
	*out = *(struct settings *)map;
	out->pool = pool;
	return 0;
}
