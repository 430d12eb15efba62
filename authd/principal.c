/* SPDX-License-Identifier: Apache-2.0 */
/* Checks, converts and compares principals; see principal.h. Main thread. */
#include "authd/principal.h"

#include "common/err.h"
#include "proto/ssh_key.h"

int principal_name_set(struct principal_name *n, struct slice text)
{
	if (text.len == 0 || text.len > AUTH_MAX_NAME)
		return E_RANGE;
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			return E_RANGE;
	memcpy(n->text, text.p, text.len);
	n->text[text.len] = '\0';
	n->len = text.len;
	return 0;
}

int principal_extra_set(struct principal *p, struct slice map)
{
	static const uint8_t empty[] = {0x80};

	if (map.len == 0)
		map = slice_of(empty, sizeof(empty));
	if (map.len > sizeof(p->extra))
		return E_LIMIT;
	int err = auth_check_map(map, ADMIN_MAX_DEPTH);
	if (err != 0)
		return err;
	memcpy(p->extra, map.p, map.len);
	p->extra_len = map.len;
	return 0;
}

int principal_key_add(struct principal *p, const uint8_t key[FIELD_KEY_LEN])
{
	struct field_keys *k = &p->keys;
	unsigned at = 0;

	while (at < k->n && memcmp(k->key[at], key, FIELD_KEY_LEN) < 0)
		at++;
	if (at < k->n && memcmp(k->key[at], key, FIELD_KEY_LEN) == 0)
		return E_EXISTS;
	if (k->n == FIELD_MAX_KEYS)
		return E_LIMIT;
	memmove(k->key[at + 1], k->key[at], (k->n - at) * FIELD_KEY_LEN);
	memcpy(k->key[at], key, FIELD_KEY_LEN);
	k->n++;
	return 0;
}

const char *principal_key_fault(const uint8_t key[FIELD_KEY_LEN])
{
	return ssh_key_can_verify(key) ? NULL : "cannot verify signatures";
}

const char *principal_from_admin(struct principal *p, const struct admin_principal *a,
				 const char **what_out)
{
	struct slice value;
	const char *why = admin_names_fault(a, what_out, &value);

	if (why != NULL)
		return why;
	*p = (struct principal){.disabled = a->disabled};
	/* admin_names_fault has checked the names, so setting them cannot fail. */
	int err = principal_name_set(&p->authid, a->authid);
	if (err == 0)
		err = principal_name_set(&p->realm, a->realm);
	if (err == 0)
		err = principal_name_set(&p->role, a->role);
	*what_out = "extra";
	if (err == 0)
		err = principal_extra_set(p, a->extra);
	for (unsigned i = 0; err == 0 && i < a->keys.n; i++) {
		*what_out = "key";
		why = principal_key_fault(a->keys.key[i]);
		if (why != NULL)
			return why;
		err = principal_key_add(p, a->keys.key[i]);
		if (err == E_EXISTS)
			err = 0;
	}
	return err == 0 ? NULL : err_str(err);
}

void principal_to_admin(const struct principal *p, struct admin_principal *out)
{
	*out = (struct admin_principal){
		.authid = principal_slice(&p->authid),
		.realm = principal_slice(&p->realm),
		.role = principal_slice(&p->role),
		.extra = slice_of(p->extra, p->extra_len),
		.keys = p->keys,
		.disabled = p->disabled,
		.created = p->created,
	};
}

#define OTHERWISE(what)                                                                  \
	"exists already with another " what                                              \
	": remove it with `authctl principal remove` and add it again"

const char *principal_difference(const struct principal *old, const struct principal *new)
{
	if (!slice_eq(principal_slice(&old->realm), principal_slice(&new->realm)))
		return OTHERWISE("realm");
	if (!slice_eq(principal_slice(&old->role), principal_slice(&new->role)))
		return OTHERWISE("role");
	if (old->disabled != new->disabled)
		return old->disabled ? "exists already but is disabled: use `authctl "
				       "principal enable`"
				     : "exists already and is not disabled: use `authctl "
				       "principal disable`";
	if (!slice_eq(slice_of(old->extra, old->extra_len),
		      slice_of(new->extra, new->extra_len)))
		return OTHERWISE("extra");
	if (old->keys.n != new->keys.n ||
	    memcmp(old->keys.key, new->keys.key, old->keys.n * FIELD_KEY_LEN) != 0)
		return "exists already with other keys: use `authctl key add` and "
		       "`authctl key remove`";
	return NULL;
}
