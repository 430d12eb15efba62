/* SPDX-License-Identifier: Apache-2.0 */
/* Checks and compares principals; see principal.h. Main thread. */
#include "authd/principal.h"

#include "common/err.h"
#include "proto/ssh_key.h"

#include <assert.h>

bool principal_name_ok(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	return name.len > 0 && name.len <= AUTH_MAX_NAME;
}

int principal_extra_check(struct slice map)
{
	return map.len > ADMIN_MAX_EXTRA ? E_LIMIT : auth_check_map(map, ADMIN_MAX_DEPTH);
}

int principal_key_add(struct field_keys *keys, const uint8_t key[FIELD_KEY_LEN])
{
	unsigned at = 0;

	while (at < keys->n && memcmp(keys->key[at], key, FIELD_KEY_LEN) < 0)
		at++;
	if (at < keys->n && memcmp(keys->key[at], key, FIELD_KEY_LEN) == 0)
		return E_EXISTS;
	if (keys->n == FIELD_MAX_KEYS)
		return E_LIMIT;
	memmove(keys->key[at + 1], keys->key[at], (keys->n - at) * FIELD_KEY_LEN);
	memcpy(keys->key[at], key, FIELD_KEY_LEN);
	keys->n++;
	return 0;
}

const char *principal_key_fault(const uint8_t key[FIELD_KEY_LEN])
{
	return ssh_key_can_verify(key) ? NULL : "cannot verify signatures";
}

const char *principal_check(struct admin_principal *p, const char **what_out)
{
	const struct field_keys given = p->keys;
	struct slice value;
	const char *why = admin_names_fault(p, what_out, &value);

	if (why != NULL)
		return why;
	if (p->extra.len == 0)
		p->extra = slice_str("\x80");
	*what_out = "extra";
	static_assert(ADMIN_MAX_EXTRA == 8192 && ADMIN_MAX_DEPTH == 10 &&
			      AUTH_MAX_MAP == 256,
		      "the text below names these limits");
	if (principal_extra_check(p->extra) != 0)
		return "expected a map of at most 8192 bytes, 10 levels, and 256 keys in "
		       "each map";
	*what_out = "key";
	p->keys.n = 0;
	for (unsigned i = 0; why == NULL && i < given.n; i++) {
		why = principal_key_fault(given.key[i]);
		/* There is room for all keys, since `given` has the same size. */
		(void)!principal_key_add(&p->keys, given.key[i]);
	}
	return why;
}

#define OTHERWISE(what)                                                                  \
	"already exists with another " what                                              \
	": remove it with `authctl principal remove` and add it again"

const char *principal_difference(const struct admin_principal *old,
				 const struct admin_principal *new)
{
	if (!slice_eq(old->realm, new->realm))
		return OTHERWISE("realm");
	if (!slice_eq(old->role, new->role))
		return OTHERWISE("role");
	if (old->disabled != new->disabled)
		return old->disabled ? "already exists but is disabled: use `authctl "
				       "principal enable`"
				     : "already exists and is not disabled: use `authctl "
				       "principal disable`";
	if (!slice_eq(old->extra, new->extra))
		return OTHERWISE("extra");
	if (old->keys.n != new->keys.n ||
	    memcmp(old->keys.key, new->keys.key, old->keys.n * FIELD_KEY_LEN) != 0)
		return "already exists with other keys: use `authctl key add` and "
		       "`authctl key remove`";
	return NULL;
}
