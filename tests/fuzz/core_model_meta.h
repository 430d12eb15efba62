/* SPDX-License-Identifier: Apache-2.0 */
/* The model of a realm: the meta procedures. See core_model.h. */
#ifndef TESTS_FUZZ_CORE_MODEL_META_H
#define TESTS_FUZZ_CORE_MODEL_META_H

#include "tests/fuzz/core_model_sessions.h"

static void expect_meta(struct model *m, unsigned to, uint64_t request, const char *fmt,
			...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->meta, sizeof(m->meta), fmt, ap);
	va_end(ap);
	expect(m, to, (struct post){.type = POST_RESULT, .request = request});
}

static void model_testament(struct model *m, unsigned who, unsigned uri,
			    const struct post *p)
{
	struct player *pl = &m->players[who];

	if (model_duplicate(m, who, p->request) || model_full(m, who, p->request))
		return;
	pl->wills[pl->n_wills++] = (struct will){*p, uri};
	expect_meta(m, who, p->request, "%s", "");
}

static void model_flush(struct model *m, unsigned who, const struct post *p)
{
	struct player *pl = &m->players[who];
	unsigned n = 0;

	for (unsigned i = 0; i < pl->n_wills; i++)
		if (pl->wills[i].post.detached != p->detached)
			pl->wills[n++] = pl->wills[i];
	pl->n_wills = n;
	expect_meta(m, who, p->request, "%s", "");
}

static void model_get(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *pl = &m->players[i];
		if (!pl->here || pl->session != p->id)
			continue;
		expect_meta(
			m, who, p->request,
			"[{\"session\":%u,\"authid\":\"%s\",\"authrole\":\"\","
			"\"authmethod\":\"ticket\",\"authprovider\":\"\",\"transport\":"
			"{\"channel_type\":\"tcp\",\"channel_framing\":\"websocket\","
			"\"channel_serializer\":\"json\",\"peer\":\"\"}}]",
			(unsigned)pl->session, authids[pl->authid]);
		return;
	}
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_SUCH_SESSION, NULL);
}

static void model_kill(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!m->players[i].here || m->players[i].session != p->id || i == who)
			continue;
		m->players[i].here = false;
		expect(m, i, (struct post){.type = POST_KILLED, .revocation = p->kill});
		expect_meta(m, who, p->request, "%s", "");
		model_take_down(m, i);
		return;
	}
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_SUCH_SESSION, NULL);
}

/* The id of the registration or subscription of uris[u]; 0: there is none. */
static uint64_t pattern_id(const struct model *m, bool registration, unsigned u)
{
	return registration ? m->shared[u].id : m->subscription[u];
}

/* The sessions of a pattern: the callees, or the members, the newest first. */
static unsigned sessions_of(const struct model *m, bool registration, unsigned u,
			    uint64_t *sessions)
{
	unsigned order[PLAYERS], n = 0;

	if (registration) {
		for (unsigned k = 0; k < m->shared[u].n; k++)
			sessions[k] = m->players[m->shared[u].places[k].who].session;
		return m->shared[u].n;
	}
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!m->players[i].member[u])
			continue;
		unsigned k = n++;
		for (;
		     k > 0 && m->players[order[k - 1]].since[u] < m->players[i].since[u];
		     k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	for (unsigned i = 0; i < n; i++)
		sessions[i] = m->players[order[i]].session;
	return n;
}

static void put_ids(char *to, size_t size, const uint64_t *ids, unsigned n)
{
	size_t len = 0;

	to[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(to + len, size - len, "%s%" PRIu64,
					i == 0 ? "" : ",", ids[i]);
}

/* The ids of the patterns that match so, in the order in which they were made. */
static void put_patterns(const struct model *m, bool registration, enum match match,
			 uint64_t last, char *to, size_t size)
{
	uint64_t ids[URIS + 1];
	unsigned n = 0;

	/* the last one is the listener's subscription */
	for (unsigned u = 0; u <= URIS; u++) {
		bool listens = !registration && m->players[LISTENER].here;
		uint64_t id = u < URIS  ? pattern_id(m, registration, u)
			      : listens ? m->listening
					: 0;
		if ((u < URIS ? uris[u].match : MATCH_PREFIX) != match || id == 0 ||
		    id > last)
			continue;
		unsigned k = n++;
		for (; k > 0 && ids[k - 1] > id; k--)
			ids[k] = ids[k - 1];
		ids[k] = id;
	}
	put_ids(to, size, ids, n);
}

static void expect_id_or_null(struct model *m, unsigned who, uint64_t request,
			      uint64_t id)
{
	if (id == 0)
		expect_meta(m, who, request, "[null]");
	else
		expect_meta(m, who, request, "[%" PRIu64 "]", id);
}

static unsigned find_pattern(const struct model *m, bool registration, uint64_t id)
{
	unsigned u = 0;

	while (u < URIS && (id == 0 || pattern_id(m, registration, u) != id))
		u++;
	return u;
}

static void expect_no_such(struct model *m, unsigned who, uint64_t request,
			   bool registration)
{
	expect_error(m, who, WAMP_CALL, request,
		     registration ? WAMP_ERROR_NO_SUCH_REGISTRATION
				  : WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		     NULL);
}

static bool is_about(unsigned procedure)
{
	return procedure == META_REGISTRATION_GET ||
	       procedure == META_REGISTRATION_COUNT_CALLEES ||
	       procedure == META_SUBSCRIPTION_GET ||
	       procedure == META_SUBSCRIPTION_COUNT_SUBSCRIBERS;
}

/* Get and count. */
static void model_about(struct model *m, unsigned who, const struct post *p)
{
	bool registration = p->procedure < META_SUBSCRIPTION_LIST;
	unsigned u = find_pattern(m, registration, p->id);
	uint64_t sessions[PLAYERS];

	if (u == URIS)
		expect_no_such(m, who, p->request, registration);
	else if (p->procedure == META_REGISTRATION_GET ||
		 p->procedure == META_SUBSCRIPTION_GET)
		expect_meta(m, who, p->request,
			    "[{\"id\":%" PRIu64
			    ",\"created\":\"1970-01-01T00:00:00.000Z\",\"uri\":\"%s\","
			    "\"match\":\"%s\"%s%s%s}]",
			    p->id, uris[u].text, match_names[uris[u].match],
			    registration ? ",\"invoke\":\"" : "",
			    registration ? wamp_invoke_names[m->shared[u].invoke] : "",
			    registration ? "\"" : "");
	else
		expect_meta(m, who, p->request, "[%u]",
			    sessions_of(m, registration, u, sessions));
}

/* Lookup and match. */
static void model_search(struct model *m, unsigned who, unsigned uri,
			 const struct post *p)
{
	uint64_t ids[URIS];
	unsigned n = 0;
	char list[200];

	if (p->procedure != META_SUBSCRIPTION_MATCH) {
		bool registration = p->procedure < META_SUBSCRIPTION_LIST;
		unsigned u =
			p->procedure == META_REGISTRATION_MATCH ? best_of(m, uri) : uri;
		expect_id_or_null(m, who, p->request,
				  u == URIS ? 0 : pattern_id(m, registration, u));
		return;
	}
	for (unsigned u = 0; u < URIS; u++)
		if (m->subscription[u] != 0 && matches_name(u, uri))
			ids[n++] = m->subscription[u];
	put_ids(list, sizeof(list), ids, n);
	if (n == 0)
		expect_meta(m, who, p->request, "[null]");
	else
		expect_meta(m, who, p->request, "[[%s]]", list);
}

static void model_meta(struct model *m, unsigned who, unsigned uri, const struct post *p)
{
	const struct role_set *roles = meta_kills(p->procedure) ? NULL : p->roles;
	unsigned n = 0;

	if (model_duplicate(m, who, p->request) || model_full(m, who, p->request))
		return;
	if (p->procedure == META_SESSION_FLUSH_TESTAMENTS) {
		model_flush(m, who, p);
		return;
	}
	if (p->procedure == META_SESSION_GET) {
		model_get(m, who, p);
		return;
	}
	if (p->procedure == META_SESSION_KILL) {
		model_kill(m, who, p);
		return;
	}
	if (p->payload != NULL) {
		model_search(m, who, uri, p);
		return;
	}
	if (is_about(p->procedure)) {
		model_about(m, who, p);
		return;
	}
	if (p->procedure == META_SESSION_COUNT && roles == NULL) {
		for (unsigned i = 0; i < PLAYERS; i++)
			n += m->players[i].here;
		expect_meta(m, who, p->request, "[%u]", n);
		return;
	}
	size_t others = 0;
	while (others < m->n_strolls && m->strolls[others].caller != who)
		others++;
	if (others == m->n_strolls)
		end_turn(m, who);
	struct stroll *stroll = &m->strolls[m->n_strolls++];
	ASSERT(m->n_strolls <= MAX_CALLS);
	*stroll = (struct stroll){
		.caller = who,
		.request = p->request,
		.joins = joins,
		.last_id = last_id,
		.id = p->id,
		.procedure = p->procedure,
	};
	if (meta_kills(p->procedure)) {
		stroll->kill = p->kill;
		stroll->authid = slice_eq_str(p->kill->authid, authids[1]);
	}
	for (unsigned i = 0; i < ROLES; i++)
		stroll->roles[i] = roles == NULL || role_set_has(roles, role_of(i));
}

static bool is_sought(const struct stroll *stroll, const struct player *pl)
{
	if (!meta_kills(stroll->procedure))
		return stroll->roles[pl->authid];
	/* all have the same authrole */
	return stroll->procedure != META_SESSION_KILL_BY_AUTHID ||
	       pl->authid == stroll->authid;
}

/* Answers a call that does not look at each session. */
static void model_list(struct model *m, const struct stroll *stroll)
{
	bool registration = stroll->procedure < META_SUBSCRIPTION_LIST;
	unsigned u = find_pattern(m, registration, stroll->id);
	char lists[MATCH_COUNT][200];
	uint64_t sessions[PLAYERS];

	if (stroll->procedure == META_REGISTRATION_LIST ||
	    stroll->procedure == META_SUBSCRIPTION_LIST) {
		for (int match = 0; match < MATCH_COUNT; match++)
			put_patterns(m, registration, (enum match)match, stroll->last_id,
				     lists[match], sizeof(lists[match]));
		expect_meta(m, stroll->caller, stroll->request,
			    "[{\"exact\":[%s],\"prefix\":[%s],\"wildcard\":[%s]}]",
			    lists[0], lists[1], lists[2]);
	} else if (u == URIS) {
		expect_no_such(m, stroll->caller, stroll->request, registration);
	} else {
		put_ids(lists[0], sizeof(lists[0]), sessions,
			sessions_of(m, registration, u, sessions));
		expect_meta(m, stroll->caller, stroll->request, "[[%s]]", lists[0]);
	}
}

/* There are so few players that one piece of work answers one call. */
static void model_work(struct model *m)
{
	const struct stroll *stroll = &m->strolls[first_stroll(m)];
	char list[200] = "";
	unsigned killed[PLAYERS], n_killed = 0, n = 0;
	size_t len = 0;

	if (m->n_strolls == 0)
		return;
	if (stroll->procedure >= META_REGISTRATION_LIST) {
		model_list(m, stroll);
		drop_stroll(m, first_stroll(m));
		return;
	}
	for (unsigned i = next_joined(m, 0); i < PLAYERS;
	     i = next_joined(m, m->players[i].joined)) {
		const struct player *pl = &m->players[i];
		bool kill = meta_kills(stroll->procedure);
		if (!is_sought(stroll, pl) || pl->joined > stroll->joins ||
		    (kill && i == stroll->caller))
			continue;
		if (kill) {
			m->players[i].here = false;
			if (stroll->procedure == META_SESSION_KILL_ALL)
				m->players[i].n_wills = 0;
			killed[n_killed++] = i;
			expect(m, i,
			       (struct post){.type = POST_KILLED,
					     .revocation = stroll->kill});
		}
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%u",
					n == 0 ? "" : ",", (unsigned)pl->session);
		n++;
	}
	if (stroll->procedure == META_SESSION_LIST ||
	    stroll->procedure == META_SESSION_KILL_BY_AUTHID)
		expect_meta(m, stroll->caller, stroll->request, "[[%s]]", list);
	else
		expect_meta(m, stroll->caller, stroll->request, "[%u]", n);
	m->missed |= stroll->procedure == META_SESSION_KILL_ALL;
	drop_stroll(m, first_stroll(m));
	for (unsigned i = 0; i < n_killed; i++)
		model_take_down(m, killed[i]);
}

#endif
