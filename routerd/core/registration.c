/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations; the owner's thread. See registration.h. */
#include "routerd/core/registration.h"

#include "routerd/core/realm_int.h"

#include <stdlib.h>

static struct registration *add_registration(struct realm *realm, struct session *s,
					     const struct post *p)
{
	struct slice procedure = payload_uri(p->payload);
	struct registration *reg = calloc(1, sizeof(*reg) + procedure.len);

	if (reg == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)(reg + 1);
	reg->pattern = (struct pattern){
		.by_id.id = realm_new_id(realm),
		.uri = slice_store(&pos, procedure),
		.match = p->match,
		.created_ms = p->created_ms,
	};
	if (pattern_add(&realm->dealer.procedures, &reg->pattern) != 0) {
		free(reg);
		return NULL;
	}
	reg->node.owner = s;
	reg->node.id = reg->pattern.by_id.id;
	id_table_add(&realm->dealer.registrations, &reg->node);
	LIST_INSERT_HEAD(&s->registrations, reg, of_callee);
	s->n_registrations++;
	s->n_wildcards += p->match == MATCH_WILDCARD;
	return reg;
}

/* Ends a registration, and publishes the meta events about it. */
static void drop_registration(struct realm *realm, struct session *s,
			      struct registration *reg)
{
	broker_tell_pattern(realm, META_REGISTRATION_ON_UNREGISTER, s, &reg->pattern,
			    NULL);
	broker_tell_pattern(realm, META_REGISTRATION_ON_DELETE, s, &reg->pattern, NULL);
	meta_step_over(&realm->meta, &reg->pattern, TAILQ_NEXT(&reg->pattern, link));
	pattern_remove(&realm->dealer.procedures, &reg->pattern);
	id_table_remove(&realm->dealer.registrations, &reg->node);
	LIST_REMOVE(reg, of_callee);
	s->n_registrations--;
	s->n_wildcards -= reg->pattern.match == MATCH_WILDCARD;
	free(reg);
}

/*
 * If the callee has left, ends the registration and returns true. It would end later, in
 * its turn (leave.h), but a request needs the procedure now.
 */
static bool end_if_left(struct realm *realm, struct registration *reg)
{
	struct session *callee = reg->node.owner;

	if (LIKELY(callee->state != SESSION_LEAVING))
		return false;
	drop_registration(realm, callee, reg);
	return true;
}

struct registration *registration_find(struct realm *realm, struct slice procedure)
{
	struct pattern *p;

	while ((p = pattern_best(&realm->dealer.procedures, procedure)) != NULL) {
		struct registration *reg = container_of(p, struct registration, pattern);

		if (UNLIKELY(p->match != MATCH_EXACT && uri_reserved(procedure)))
			return NULL;
		if (!end_if_left(realm, reg))
			return reg;
	}
	return NULL;
}

/* Is there a registration with exactly this pattern? */
static bool is_registered(struct realm *realm, enum match how, struct slice uri)
{
	struct pattern *p = pattern_find(&realm->dealer.procedures, how, uri);

	return p != NULL &&
	       !end_if_left(realm, container_of(p, struct registration, pattern));
}

void registration_register(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error exists = {
		WAMP_ERROR_PROCEDURE_ALREADY_EXISTS,
		"a callee is already registered for procedure"};
	struct registration *reg = NULL;

	if (is_registered(realm, p->match, payload_uri(p->payload))) {
		session_error(realm, s, WAMP_REGISTER, p->request, exists, p->payload);
		p->payload = NULL;
	} else if (s->n_registrations >= realm->limits.registrations) {
		session_limit_error(realm, s, WAMP_REGISTER, p->request,
				    "the session has too many registrations");
	} else if (session_refuse_wildcard(realm, s, WAMP_REGISTER, p)) {
		return;
	} else if ((reg = add_registration(realm, s, p)) == NULL) {
		session_error(realm, s, WAMP_REGISTER, p->request, no_memory, NULL);
	} else {
		reg->discloses = p->disclose == DISCLOSE_YES;
		session_answer(realm, s, POST_REGISTERED, p->request,
			       reg->pattern.by_id.id);
		broker_tell_pattern(realm, META_REGISTRATION_ON_CREATE, s, &reg->pattern,
				    "single");
		broker_tell_pattern(realm, META_REGISTRATION_ON_REGISTER, s,
				    &reg->pattern, NULL);
	}
}

void registration_unregister(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error no_such = {
		WAMP_ERROR_NO_SUCH_REGISTRATION,
		"the session has no registration with this id"};
	struct id_node *node = id_table_find(&realm->dealer.registrations, s, p->id);

	if (node == NULL) {
		session_error(realm, s, WAMP_UNREGISTER, p->request, no_such, NULL);
		return;
	}
	session_answer(realm, s, POST_UNREGISTERED, p->request, 0);
	drop_registration(realm, s, container_of(node, struct registration, node));
}

unsigned registration_drop_some(struct realm *realm, struct session *s, unsigned n)
{
	struct registration *reg;

	for (; n > 0 && (reg = LIST_FIRST(&s->registrations)) != NULL; n--)
		drop_registration(realm, s, reg);
	return n;
}
