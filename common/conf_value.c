/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single values of a configuration file; see conf_int.h. Also what several daemons'
 * files have: lists of allowed users, and the log's settings; see conf.h. No state; any
 * thread.
 */
#include "common/conf_int.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool conf_number(const char *text, const struct conf_unit *units, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	int64_t n = 0;

	while (units->name != NULL && strcmp(units->name, unit) != 0)
		units++;
	if (digits == 0 || units->name == NULL)
		return false;
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, text[i] - '0', &n))
			return false;
	return !__builtin_mul_overflow(n, units->factor, out);
}

struct conf_words conf_number_text(int64_t n, const struct conf_unit *units)
{
	struct conf_words t;
	const struct conf_unit *best = units;

	for (const struct conf_unit *u = units; n != 0 && u->name != NULL; u++)
		if (n % u->factor == 0)
			best = u;
	snprintf(t.text, sizeof(t.text), "%" PRId64 "%s%s", n / best->factor,
		 best->name[0] == '\0' ? "" : " ", best->name);
	return t;
}

bool conf_mode(const char *text, mode_t *out)
{
	size_t len = strlen(text);

	*out = (mode_t)strtoul(text, NULL, 8);
	/* Connecting to a socket needs the right to write. */
	return strspn(text, "01234567") == len && (*out & 0222) != 0 &&
	       (len == 3 || (len == 4 && text[0] == '0'));
}

bool conf_user(const char *name, uid_t *out)
{
	struct passwd entry, *found;
	char strings[4096];
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	/* UINT32_MAX is (uid_t)-1, which stands for no user. */
	if (name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < UINT32_MAX) {
		*out = (uid_t)number;
		return true;
	}
	if (getpwnam_r(name, &entry, strings, sizeof(strings), &found) != 0 ||
	    found == NULL)
		return false;
	*out = entry.pw_uid;
	return true;
}

bool conf_user_allowed(const struct conf_users *users, uid_t uid)
{
	for (size_t i = 0; i < users->count; i++)
		if (users->uids[i] == uid)
			return true;
	return users->count == 0 && (uid == 0 || uid == geteuid());
}

static const char *const formats[] = {"text", "journal", NULL};
static const struct conf_key log_keys[] = {
	CONF_KEY_OF("level", ENUM, struct conf_log, level, enum log_level,
		    .names = log_level_names, .def = LOG_LEVEL_INFO),
	CONF_KEY_OF("format", ENUM, struct conf_log, format, enum log_format,
		    .names = formats, .def = LOG_FORMAT_TEXT),
};
const struct conf_table conf_log_table =
	CONF_TABLE("log", struct conf_log, log_keys, NULL);
