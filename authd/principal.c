/* SPDX-License-Identifier: Apache-2.0 */
/* Principals; see principal.h. */
#include "authd/principal.h"

#include "common/err.h"
#include "proto/ssh_key.h"

int principal_name_set(struct principal_name *n, struct slice text)
{
	if (text.len == 0 || text.len > PRINCIPAL_MAX_NAME)
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
	int e = auth_check_map(map, PRINCIPAL_MAX_DEPTH);
	if (e != 0)
		return e;
	memcpy(p->extra, map.p, map.len);
	p->extra_len = map.len;
	return 0;
}

int principal_key_add(struct principal *p, const uint8_t key[PRINCIPAL_KEY])
{
	unsigned at = 0;

	while (at < p->n_keys && memcmp(p->keys[at], key, PRINCIPAL_KEY) < 0)
		at++;
	if (at < p->n_keys && memcmp(p->keys[at], key, PRINCIPAL_KEY) == 0)
		return E_EXISTS;
	if (p->n_keys == PRINCIPAL_MAX_KEYS)
		return E_LIMIT;
	memmove(p->keys[at + 1], p->keys[at], (p->n_keys - at) * sizeof(p->keys[0]));
	memcpy(p->keys[at], key, PRINCIPAL_KEY);
	p->n_keys++;
	return 0;
}

const char *principal_key_fault(const uint8_t key[PRINCIPAL_KEY])
{
	return ssh_key_can_verify(key) ? NULL : "no signature can be verified with it";
}

static const char *set_new_name(struct principal_name *n, struct slice text,
				const char *fault)
{
	if (fault != NULL)
		return fault;
	int r = principal_name_set(n, text);
	return r == 0 ? NULL : err_str(r);
}

const char *principal_from_admin(struct principal *p, const struct admin_principal *a,
				 const char **what_out)
{
	*p = (struct principal){.disabled = a->disabled};
	*what_out = "authid";
	const char *why =
		set_new_name(&p->authid, a->authid, admin_name_fault(a->authid));
	if (why != NULL)
		return why;
	*what_out = "realm";
	why = set_new_name(&p->realm, a->realm, admin_realm_fault(a->realm));
	if (why != NULL)
		return why;
	*what_out = "role";
	why = set_new_name(&p->role, a->role, admin_name_fault(a->role));
	if (why != NULL)
		return why;
	*what_out = "extra";
	int r = principal_extra_set(p, a->extra);
	if (r != 0)
		return err_str(r);
	*what_out = "key";
	for (unsigned i = 0; i < a->keys.n; i++) {
		why = principal_key_fault(a->keys.key[i]);
		if (why != NULL)
			return why;
		r = principal_key_add(p, a->keys.key[i]);
		if (r != 0 && r != E_EXISTS)
			return err_str(r);
	}
	return NULL;
}

void principal_to_admin(const struct principal *p, struct admin_principal *out)
{
	*out = (struct admin_principal){
		.authid = principal_slice(&p->authid),
		.realm = principal_slice(&p->realm),
		.role = principal_slice(&p->role),
		.extra = slice_of(p->extra, p->extra_len),
		.keys.n = p->n_keys,
		.disabled = p->disabled,
		.created = p->created,
	};
	memcpy(out->keys.key, p->keys, p->n_keys * sizeof(p->keys[0]));
}

bool principal_same(const struct principal *a, const struct principal *b)
{
	return slice_eq(principal_slice(&a->authid), principal_slice(&b->authid)) &&
	       slice_eq(principal_slice(&a->realm), principal_slice(&b->realm)) &&
	       slice_eq(principal_slice(&a->role), principal_slice(&b->role)) &&
	       slice_eq(slice_of(a->extra, a->extra_len),
			slice_of(b->extra, b->extra_len)) &&
	       a->disabled == b->disabled && a->n_keys == b->n_keys &&
	       memcmp(a->keys, b->keys, a->n_keys * sizeof(a->keys[0])) == 0;
}
