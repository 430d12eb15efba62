/* SPDX-License-Identifier: Apache-2.0 */
/* Parses any file as a configuration. An accepted configuration must be consistent. */
#include "routerd/config/config.h"

#include "common/err.h"
#include "routerd/config/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact permission decides about its own URI. */
static void check_exact(const struct rule *rule, const struct permission *p)
{
	ASSERT(rule->trust == p->trust_level + 1);
	for (unsigned i = 0; i < ACTION_COUNT; i++) {
		ASSERT(rule_allows(rule, (enum action)i) == p->allow[i]);
		ASSERT(rule->disclose[i] == p->disclose[i]);
	}
}

static void check_realm(const struct policy *policy, unsigned slot,
			const struct config_realm *realm)
{
	ASSERT(policy_realm_find(policy, slice_str(realm->name)) == (int)slot);
	ASSERT(uri_valid(slice_str(realm->name)));
	ASSERT(realm->n_roles > 0);
	for (size_t i = 0; i < realm->n_roles; i++) {
		const struct config_role *role = &realm->roles[i];

		ASSERT(config_role_find(realm, slice_str(role->name)) == (int)i);
		const struct rights *rights = policy_rights(
			policy, slot,
			policy_role_find(policy, slot, slice_str(role->name)));
		for (size_t k = 0; k < role->n_permissions; k++) {
			const struct permission *p = &role->permissions[k];

			if (p->match == MATCH_EXACT)
				check_exact(rights_rule(rights, slice_str(p->uri)), p);
		}
	}
}

static void check_listener(const struct config *cfg, const struct config_listener *l)
{
	const struct config_auth *auth = &l->auth;
	bool offered = auth->anonymous.type != -1;
	int realm = auth->anonymous.realm_index;

	ASSERT(l->name != NULL && l->serializers != 0);
	ASSERT(l->endpoint.type == ENDPOINT_UNIX ? l->endpoint.path != NULL
						 : l->endpoint.port > 0);
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct config_method *m = &auth->methods[i];
		offered = offered || m->type != -1;
		ASSERT((m->type == METHOD_DYNAMIC) == (m->authenticator_index >= 0));
		ASSERT((m->type == METHOD_STATIC) == (m->n_principals > 0));
		ASSERT(m->authenticator_index < (int)cfg->n_authenticators);
		for (size_t k = 0; k < m->n_principals; k++)
			ASSERT(m->principals[k].role != NULL &&
			       (m->principals[k].secret.text != NULL) +
					       (m->principals[k].keys.n > 0) +
					       (m->principals[k].scram_salt_len > 0) ==
				       1);
	}
	ASSERT(offered);
	ASSERT(realm < (int)cfg->n_realms);
	if (realm >= 0)
		ASSERT(config_role_find(&cfg->realms[realm],
					slice_str(auth->anonymous.role)) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *cfg = NULL;
	struct conf_error err;
	int status = config_parse(slice_of(data, size), "f", &cfg, &err);

	if (status != 0) {
		ASSERT(status == E_SYNTAX || status == E_NOMEM);
		ASSERT(cfg == NULL && err.text[0] == 'f' && err.text[1] == ':');
		return 0;
	}
	struct policy *policy;
	status = policy_new(NULL, cfg, &policy);
	ASSERT(status == 0);
	for (unsigned i = 0; i < cfg->n_realms; i++) {
		ASSERT(config_realm_find(cfg, slice_str(cfg->realms[i].name)) == (int)i);
		check_realm(policy, i, &cfg->realms[i]);
	}
	for (size_t i = 0; i < cfg->n_listeners; i++)
		check_listener(cfg, &cfg->listeners[i]);
	policy_unref(&policy);
	config_free(&cfg);
	return 0;
}
