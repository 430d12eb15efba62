/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration says of the system: users, sockets, modes; see conf.h. */
#include "common/conf.h"
#include "common/err.h"
#include "common/log.h"

#include <assert.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/un.h>

static int find_user(const char *name, uid_t *out)
{
	struct passwd entry, *found_entry;
	char strings[4096];
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	if (name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < UINT32_MAX) {
		*out = (uid_t)number;
		return 0;
	}
	if (getpwnam_r(name, &entry, strings, sizeof(strings), &found_entry) != 0 ||
	    found_entry == NULL)
		return E_NOTFOUND;
	*out = entry.pw_uid;
	return 0;
}

int conf_uids(struct conf *c, const struct conf_strings *names, uid_t **uids_out,
	      size_t *n_out)
{
	uid_t *uids = pool_array(conf_pool(c), names->count, sizeof(*uids));

	if (uids == NULL)
		return conf_fail_nomem(c);
	int rc = 0;
	for (size_t i = 0; i < names->count; i++)
		if (find_user(names->items[i], &uids[i]) != 0)
			rc = conf_fail(c, &names->items[i],
				       "there is no user '%s' on this system",
				       log_quote_text(slice_str(names->items[i])).text);
	*uids_out = names->count > 0 ? uids : NULL;
	*n_out = names->count;
	return rc;
}

static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == CONF_MAX_SOCKET + 1,
	      "as long as the system's");

/* Somebody must be able to write, which a socket takes for connecting. */
static bool is_mode(const char *text)
{
	size_t len = strlen(text);

	return strspn(text, "01234567") == len && strpbrk(text, "2367") != NULL &&
	       (len == 3 || (len == 4 && text[0] == '0'));
}
const struct conf_rule conf_mode_rule = {
	is_mode,
	"a mode is three octal digits, as \"0660\": who may read and, to connect, "
	"write"};

mode_t conf_mode(const char *text)
{
	return (mode_t)strtoul(text, NULL, 8);
}
