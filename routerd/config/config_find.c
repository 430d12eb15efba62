/* SPDX-License-Identifier: Apache-2.0 */
/* Finds things in a configuration; see config.h. Any thread. */
#include "common/err.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <sodium.h>

int config_authenticator_find(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->n_authenticators; i++)
		if (strcmp(cfg->authenticators[i].name, name) == 0)
			return (int)i;
	return E_NOTFOUND;
}

int config_realm_find(const struct config *cfg, struct slice name)
{
	for (size_t i = 0; i < cfg->n_realms; i++)
		if (slice_eq_str(name, cfg->realms[i].name))
			return (int)i;
	return E_NOTFOUND;
}

int config_role_find(const struct config_realm *realm, struct slice name)
{
	for (size_t i = 0; i < realm->n_roles; i++)
		if (slice_eq_str(name, realm->roles[i].name))
			return (int)i;
	return E_NOTFOUND;
}

int config_authenticator_named(struct conf *c, const struct config *cfg,
			       const char *const *name)
{
	int found = config_authenticator_find(cfg, *name);

	if (found >= 0)
		return found;
	conf_fail(c, name,
		  "unknown authenticator '%s': define it in 'authenticators' at the top "
		  "of the file",
		  conf_quote(*name).text);
	return -1;
}

bool config_is_authorizer(const struct config *cfg, const char *authenticator)
{
	for (size_t i = 0; i < cfg->n_realms; i++)
		for (size_t k = 0; k < cfg->realms[i].n_roles; k++) {
			const char *name = cfg->realms[i].roles[k].authorizer;

			if (name != NULL && strcmp(name, authenticator) == 0)
				return true;
		}
	return false;
}

const struct config_principal *config_principal_find(const struct config_method *m,
						     struct slice authid)
{
	const struct config_principal *found = NULL;

	/* Neither the loop nor a comparison stops early, so that the time does not
	 * tell. */
	for (size_t i = 0; i < m->n_principals; i++) {
		struct slice its = slice_str(m->principals[i].authid);

		if (its.len == authid.len && sodium_memcmp(its.p, authid.p, its.len) == 0)
			found = &m->principals[i];
	}
	return found;
}

const struct config_principal *config_principal_of_kdfs(const struct config_method *m,
							unsigned kdfs)
{
	for (size_t i = 0; i < m->n_principals; i++)
		if ((kdfs >> m->principals[i].kdf & 1) != 0)
			return &m->principals[i];
	return NULL;
}

const struct config_principal *config_principal_by_key(const struct config_method *m,
						       const uint8_t key[FIELD_KEY_LEN])
{
	const struct config_principal *found = NULL;
	unsigned holders = 0;

	for (size_t i = 0; i < m->n_principals; i++)
		for (unsigned k = 0; k < m->principals[i].keys.n; k++)
			if (memcmp(m->principals[i].keys.key[k], key, FIELD_KEY_LEN) ==
			    0) {
				found = &m->principals[i];
				holders++;
				/* it may have the key twice, in two forms */
				break;
			}
	return holders == 1 ? found : NULL;
}
