/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations; the owner's thread. See registration.h. */
#include "routerd/core/registration.h"

#include "routerd/core/realm_int.h"

#include <stdlib.h>

static struct registration *add_registration(struct realm *realm, struct session *s,
					     struct slice procedure)
{
	struct registration *reg = malloc(sizeof(*reg) + procedure.len);

	if (reg == NULL)
		return NULL;
	memcpy(reg->procedure, procedure.p, procedure.len);
	HASH_ADD(hh, realm->dealer.procedures, procedure, procedure.len, reg);
	if (!table_has(reg)) {
		free(reg);
		return NULL;
	}
	reg->node.owner = s;
	reg->node.id = realm_new_id(realm);
	id_table_add(&realm->dealer.registrations, &reg->node);
	LIST_INSERT_HEAD(&s->registrations, reg, of_callee);
	s->n_registrations++;
	return reg;
}

static void drop_registration(struct realm *realm, struct session *s,
			      struct registration *reg)
{
	HASH_DEL(realm->dealer.procedures, reg);
	id_table_remove(&realm->dealer.registrations, &reg->node);
	LIST_REMOVE(reg, of_callee);
	s->n_registrations--;
	free(reg);
}

/* A callee that has left has the registration until its turn to end comes (leave.h). If
 * it is needed before, it ends now. */
struct registration *registration_find(struct realm *realm, struct slice procedure)
{
	struct registration *reg;

	HASH_FIND(hh, realm->dealer.procedures, procedure.p, procedure.len, reg);
	if (reg == NULL)
		return NULL;
	struct session *callee = reg->node.owner;
	if (LIKELY(callee->state != SESSION_LEAVING))
		return reg;
	drop_registration(realm, callee, reg);
	return NULL;
}

void registration_register(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error exists = {
		WAMP_ERROR_PROCEDURE_ALREADY_EXISTS,
		"a callee is already registered for procedure"};
	struct slice procedure = payload_uri(p->payload);
	struct registration *reg = NULL;

	if (registration_find(realm, procedure) != NULL) {
		session_error(realm, s, WAMP_REGISTER, p->request, exists, p->payload);
		p->payload = NULL;
	} else if (s->n_registrations >= realm->limits.registrations) {
		session_limit_error(realm, s, WAMP_REGISTER, p->request,
				    "the session has too many registrations");
	} else if ((reg = add_registration(realm, s, procedure)) == NULL) {
		session_error(realm, s, WAMP_REGISTER, p->request, no_memory, NULL);
	} else {
		reg->discloses = p->disclose == DISCLOSE_YES;
		session_answer(realm, s, POST_REGISTERED, p->request, reg->node.id);
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
	drop_registration(realm, s, container_of(node, struct registration, node));
	session_answer(realm, s, POST_UNREGISTERED, p->request, 0);
}

unsigned registration_drop_some(struct realm *realm, struct session *s, unsigned n)
{
	struct registration *reg;

	for (; n > 0 && (reg = LIST_FIRST(&s->registrations)) != NULL; n--)
		drop_registration(realm, s, reg);
	return n;
}
