/* SPDX-License-Identifier: Apache-2.0 */
/* Routing without sockets. A byte string plays several sessions on several workers in two
 * realms. They join, leave, subscribe, call, answer, ask about sessions and are revoked,
 * also with wrong ids and after their end. Callees share procedures; calls have
 * progressive input and results, are canceled, time out, wait for a callee and go on to
 * another one. Events are retained. Sessions leave testaments. Next to each realm runs a
 * simple, slow model (arrays with linear search), which predicts every post of every
 * step. In half of the runs another session listens to all meta events; what it hears
 * must agree with the model, too. */
#include "tests/fuzz/core_compare.h"
#include "tests/fuzz/core_model_meta.h"
#include "tests/fuzz/core_model_wheel.h"

static void model_post(struct model *m, unsigned who, unsigned uri, const struct post *p)
{
	struct player *pl = &m->players[who];

	if (!pl->here || pl->ref.generation != p->session.generation) {
		m->dropped++;
		return;
	}
	if (p->type == POST_GOODBYE)
		expect(m, who, (struct post){.type = POST_LEFT});
	if (p->type == POST_GONE || p->type == POST_GOODBYE) {
		pl->here = false;
		model_take_down(m, who);
	} else if (p->type == POST_SUBSCRIBE)
		model_subscribe(m, who, uri, p);
	else if (p->type == POST_UNSUBSCRIBE)
		model_unsubscribe(m, who, p);
	else if (p->type == POST_PUBLISH)
		model_publish(m, who, uri, p);
	else if (p->type == POST_REGISTER)
		model_register(m, who, uri, p);
	else if (p->type == POST_UNREGISTER)
		model_unregister(m, who, p);
	else if (p->type == POST_CALL)
		model_call(m, who, uri, p);
	else if (p->type == POST_CHUNK)
		model_chunk(m, who, p);
	else if (p->type == POST_META)
		model_meta(m, who, uri, p);
	else if (p->type == POST_TESTAMENT)
		model_testament(m, who, uri, p);
	else if (p->type == POST_CANCEL)
		model_cancel(m, who, p);
	else if (p->type == POST_UNDELIVERABLE && p->request_type == WAMP_CALL)
		model_lost(m, who, p);
	else if (p->type == POST_UNSENT)
		model_unsent(m, who, p);
	else if (p->type >= POST_YIELD)
		model_answer(m, who, p);
}

static void play_time(unsigned ms)
{
	/* some steps are longer than a callee may take to stop; in steps of more than one
	 * turn of the wheel, deadlines do not pass in order */
	now_ms += ms < 0xf0 ? ms : ms * 130;
	for (unsigned i = 0; i < REALMS; i++) {
		wheel_run(&deadlines[i], now_ms, realm_deadline_passed, NULL);
		model_run_wheel(&models[i]);
		compare_step(&models[i], realms[i], 0);
		next_step(&models[i]);
	}
}

static struct session_ref place_of(unsigned who, uint32_t generation)
{
	return (struct session_ref){
		.worker = (uint16_t)(who == LISTENER ? 0 : who / SLOTS),
		.slot = who == LISTENER ? SLOTS : who % SLOTS,
		.generation = generation,
	};
}

/* features: what the player announces as a callee, a bit each */
static void play_join(unsigned realm, unsigned who, uint64_t session, unsigned authid,
		      unsigned features)
{
	bool stops = (features & 1) != 0;
	struct model *m = &models[realm];
	struct identity i = {
		.session = session,
		.role = role_of(authid),
		.authmethod = "ticket",
		.channel = {"tcp", "websocket", "json"},
		.stamp.asked = true,
		.authid = slice_str(authids[authid]),
		.features.of[WAMP_ROLE_CALLEE] =
			(stops ? WAMP_FEATURE_CALL_CANCELING |
					 WAMP_FEATURE_REGISTRATION_REVOCATION
			       : 0) |
			(authid == 0 ? WAMP_FEATURE_PAYLOAD_TRANSPARENCY : 0) |
			((features & 2) != 0 ? WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS
					     : 0) |
			((features & 4) != 0 ? WAMP_FEATURE_CALL_REROUTE : 0),
		.features.of[WAMP_ROLE_CALLER] =
			reads_answers(who) ? WAMP_FEATURE_PAYLOAD_TRANSPARENCY : 0,
	};
	struct post p = {
		.type = POST_JOIN,
		.realm = m->index,
		.session = place_of(who, m->players[who].ref.generation + 1),
		.identity = identity_new(&i),
		.mail = malloc(1),
	};

	ASSERT(p.identity != NULL);
	struct identity *identity = identity_ref(p.identity);
	struct session_ref ref = p.session;
	realm_post(realms[realm], &p);
	model_join(m, who, ref, identity, authid);
	model_drain(m);
	identity_unref(&identity);
	compare_step(m, realms[realm], 0);
	next_step(m);
}

static void play_revoke(unsigned realm, unsigned authid)
{
	struct model *m = &models[realm];
	struct revocation from = {
		.authid = slice_str(authids[authid]),
	};
	struct revocation *r = revocation_new(&from);

	ASSERT(r != NULL);
	realm_revoke(realms[realm], r);
	model_revoke(m, r, authid);
	model_drain(m);
	compare_step(m, realms[realm], 0);
	next_step(m);
	revocation_unref(&r);
}

/* Chooses an id for the post: mostly an existing one, half of the time the player's own.
 */
static uint64_t choose_id(const struct model *m, unsigned who, enum post_type type,
			  unsigned arg)
{
	unsigned uri = arg % URIS;

	if (arg >= 0xe0)
		return arg % 8;
	if (type == POST_UNSUBSCRIBE)
		return m->subscription[uri];
	if (type == POST_UNREGISTER)
		return m->shared[uri].id;
	return m->players[who].last_invocation - arg % 4;
}

/* What the flag of a step adds to a post. */
static void add_flag(struct post *p, unsigned arg)
{
	if (p->type == POST_REGISTER)
		p->force = true;
	else if (p->type == POST_PUBLISH || p->type == POST_SUBSCRIBE)
		p->retain = true;
	else if (p->type == POST_CALL)
		p->chunk = CHUNK_FIRST;
	else if (p->type == POST_UNDELIVERABLE && p->request_type == WAMP_INVOCATION)
		p->chunk = (uint8_t)(CHUNK_FIRST + arg / 64 % 3);
}

/*
 * Makes a post about an INVOCATION that was not sent. False: it was not the player's, or
 * a later one was not sent, either.
 */
static bool make_unsent(const struct player *pl, struct post *p)
{
	unsigned n = pl->n_unsent;

	if (!pl->here || p->request == 0 || p->request > pl->last_invocation ||
	    (n > 0 && p->request <= pl->unsent[n - 1]))
		return false;
	p->type = POST_UNSENT;
	p->chunk = CHUNK_NONE;
	p->progress = false;
	p->request -= n;
	return true;
}

/* late: from an earlier session; flag: see add_flag; an INVOCATION_ERROR then says that
 * the callee is unavailable */
static void play_post(unsigned realm, unsigned who, enum post_type type, unsigned arg,
		      bool late, bool flag)
{
	struct model *m = &models[realm];
	unsigned uri = arg % (type == POST_PUBLISH || type == POST_CALL ? NAMES : URIS);
	const char *text = type == POST_INVOCATION_ERROR && flag ? WAMP_ERROR_UNAVAILABLE
								 : uris[uri].text;
	uint64_t id = choose_id(m, who, type, arg);
	bool answer = type >= POST_YIELD;
	bool lost = type == POST_UNDELIVERABLE && (arg & 32) != 0;
	struct post p = {
		.type = (uint8_t)type,
		.realm = m->index,
		.session = m->players[who].ref,
		.time_ms = now_ms,
		.request = answer && !lost ? id : arg / 16,
		.request_type = type != POST_UNDELIVERABLE ? 0
				: lost                     ? WAMP_CALL
							   : WAMP_INVOCATION,
		.id = answer ? 0 : id,
		.acknowledge = type == POST_PUBLISH && (arg & 16) != 0,
		.exclude_me = type == POST_PUBLISH && (arg & 32) != 0,
	};
	struct msg_payload nothing = {.items = 0};

	p.session = place_of(who, m->players[who].ref.generation - late);
	if (type == POST_PUBLISH || type == POST_CALL || type == POST_REGISTER)
		p.disclose = (uint8_t)(arg / 64 % (type == POST_REGISTER ? 2 : 3));
	if (type == POST_PUBLISH || type == POST_CALL)
		p.trust = (uint8_t)(arg / 16);
	if (type == POST_REGISTER) {
		p.invoke = (uint8_t)(arg / 16 % WAMP_INVOKE_COUNT);
		p.concurrency = arg / 4 % 4;
	}
	if (type == POST_CALL)
		p.timeout_ms = arg / 4 % 4 * 40;
	if (type == POST_CHUNK)
		p.chunk = (arg & 1) != 0 ? CHUNK_LAST : CHUNK_NEXT;
	if (flag)
		add_flag(&p, arg);
	p.progress =
		!lost &&
		(type == POST_CALL || type == POST_YIELD || type == POST_UNDELIVERABLE) &&
		(arg & 16) != 0;
	if (type == POST_SUBSCRIBE || type == POST_REGISTER)
		p.match = (uint8_t)uris[uri].match;
	if (type == POST_CANCEL)
		p.mode = (uint8_t)(arg % 3);
	if (type == POST_UNDELIVERABLE)
		p.error.uri = WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED;
	else if (type != POST_GONE && type != POST_GOODBYE && type != POST_UNSUBSCRIBE &&
		 type != POST_UNREGISTER && type != POST_CANCEL)
		p.payload = payload_new(SERIALIZER_JSON, slice_str(text), nothing);
	if (type == POST_PUBLISH && (arg & 12) != 0)
		p.options = options_ref((arg & 12) == 12 ? for_nobody : for_some);
	if ((type == POST_CALL || type == POST_YIELD || type == POST_INVOCATION_ERROR) &&
	    (arg & 9) == 9)
		p.options = options_ref(opaque);
	if (p.type == POST_UNDELIVERABLE && p.chunk == CHUNK_FIRST &&
	    !make_unsent(&m->players[who], &p))
		return;
	/* The realm is first, because the model asks it whom it chose at random. */
	struct post copy = p;
	if (copy.payload != NULL)
		payload_ref(copy.payload);
	realm_post(realms[realm], &p);
	m->posted_ms = now_ms;
	model_post(m, who, uri, &copy);
	payload_unref(&copy.payload);
	model_drain(m);
	compare_step(m, realms[realm], uri);
	next_step(m);
}

static struct role_set *make_roles(unsigned bits)
{
	struct role_set *roles = role_set_new(ROLES);

	ASSERT(roles != NULL);
	for (unsigned i = 0; i < ROLES; i++)
		if (bits >> i & 1)
			role_set_add(roles, role_of(i));
	return roles;
}

static bool is_search(unsigned procedure)
{
	return procedure == META_REGISTRATION_LOOKUP ||
	       procedure == META_REGISTRATION_MATCH ||
	       procedure == META_SUBSCRIPTION_LOOKUP ||
	       procedure == META_SUBSCRIPTION_MATCH;
}

static void play_testament(unsigned realm, unsigned who, unsigned arg, bool late)
{
	struct model *m = &models[realm];
	unsigned uri = arg % NAMES;
	struct post p = {
		.type = POST_TESTAMENT,
		.realm = m->index,
		.session = place_of(who, m->players[who].ref.generation - late),
		.request = arg / 4,
		.exclude_me = (arg & 4) != 0,
		.detached = (arg & 8) != 0,
		.disclose = (uint8_t)(arg / 4 % 3),
		.trust = (uint8_t)arg,
	};

	if (m->players[who].n_wills == MAX_WILLS)
		return;
	p.payload = payload_new(SERIALIZER_JSON, slice_str(uris[uri].text),
				(struct msg_payload){.items = 0});
	if ((arg & 3) == 3)
		p.options = options_ref((arg & 4) != 0 ? for_nobody : for_some);
	struct post copy = p;
	realm_post(realms[realm], &p);
	model_post(m, who, uri, &copy);
	model_drain(m);
	compare_step(m, realms[realm], uri);
	next_step(m);
}

static void play_meta(unsigned realm, unsigned who, unsigned arg, bool late)
{
	struct model *m = &models[realm];
	/* the procedures behind it are not in the model */
	enum { KNOWN = META_SESSION_ADD_TESTAMENT };
	unsigned procedure = arg % KNOWN, rest = arg / KNOWN;
	unsigned uri = procedure == META_REGISTRATION_MATCH ||
				       procedure == META_SUBSCRIPTION_MATCH
			       ? rest % NAMES
			       : rest % URIS;
	struct post p = {
		.type = POST_META,
		.realm = m->index,
		.session = m->players[who].ref,
		.request = arg / 16,
		.procedure = (uint8_t)procedure,
	};

	if (procedure == META_SESSION_ADD_TESTAMENT) /* play_testament does it */
		return;
	p.session = place_of(who, m->players[who].ref.generation - late);
	if (procedure == META_SESSION_GET || procedure == META_SESSION_KILL)
		p.id = rest % (PLAYERS + 2);
	if (meta_kills(procedure)) {
		struct revocation from = {.authid = slice_str(authids[rest % 2])};
		p.kill = revocation_new(&from);
		ASSERT(p.kill != NULL);
	} else if (is_search(procedure)) {
		p.match = (uint8_t)uris[uri].match;
		p.payload = payload_new(SERIALIZER_JSON, slice_str(uris[uri].text),
					(struct msg_payload){.items = 0});
	} else if (procedure == META_SESSION_FLUSH_TESTAMENTS) {
		p.detached = rest % 2 == 0;
	} else if (procedure >= META_REGISTRATION_LIST) {
		p.id = pattern_id(m, procedure < META_SUBSCRIPTION_LIST, uri);
	} else if (procedure != META_SESSION_GET && rest % 2 == 0) {
		p.roles = make_roles(rest / 2);
	}
	struct post copy = p;
	if (meta_kills(procedure))
		revocation_ref(p.kill);
	else if (p.payload != NULL)
		payload_ref(p.payload);
	else if (p.roles != NULL)
		copy.roles = make_roles(rest / 2);
	realm_post(realms[realm], &p);
	model_post(m, who, uri, &copy);
	model_drain(m);
	compare_step(m, realms[realm], uri);
	next_step(m);
	post_drop(&copy);
}

static void play_work(unsigned realm)
{
	struct model *m = &models[realm];

	realm_work(realms[realm]);
	model_work(m);
	model_drain(m);
	compare_step(m, realms[realm], 0);
	next_step(m);
}

/* The listener comes, also again if it has been killed. */
static void listen_again(unsigned realm)
{
	struct model *m = &models[realm];
	struct post p = {
		.type = POST_SUBSCRIBE,
		.realm = m->index,
		.match = MATCH_PREFIX,
		.payload = payload_new(SERIALIZER_JSON, slice_str("wamp."),
				       (struct msg_payload){.items = 0}),
	};

	m->listening = 0;
	play_join(realm, LISTENER, 1 + LISTENER, 1, 0);
	p.session = m->players[LISTENER].ref;
	realm_post(realms[realm], &p);
	ASSERT(outbox.n == 1 && outbox.posts[0].post.type == POST_SUBSCRIBED);
	learn_id(outbox.posts[0].post.id, &m->listening);
	next_step(m);
	m->missed = true;
	compare_step(m, realms[realm], 0);
}

/* What a step does: sends a post of this type, or something else. The corpus relies on
 * the order. */
enum { PLAY_WORK = POST_TYPE_COUNT, PLAY_REVOKE };
static const uint8_t plays[] = {
	POST_JOIN,          POST_GONE,    POST_GOODBYE,   POST_SUBSCRIBE,
	POST_UNSUBSCRIBE,   POST_PUBLISH, POST_REGISTER,  POST_UNREGISTER,
	POST_CALL,          POST_CANCEL,  POST_YIELD,     POST_INVOCATION_ERROR,
	POST_UNDELIVERABLE, POST_META,    POST_TESTAMENT, PLAY_WORK,
	PLAY_REVOKE,
};

/* Each step has three bytes: what, who, and the details. */
static void play(const uint8_t step[3], bool listens)
{
	unsigned what = plays[step[0] % ARRAY_LEN(plays)], who = step[1] % ACTORS;
	unsigned realm = step[1] / 128, arg = step[2];

	for (unsigned i = 0; i < REALMS && listens; i++)
		if (!models[i].players[LISTENER].here)
			listen_again(i);
	if (step[0] / 16 == 0xd)
		play_time(arg);
	else if (step[0] / 16 == 0xc)
		play_post(realm, who, POST_CHUNK, arg, step[0] == 0xcf, false);
	else if (what == POST_JOIN)
		/* some have the id that is another player's */
		play_join(realm, who, 1 + (arg >= 0xe0 ? 0 : who), arg % 2, arg / 2);
	else if (what == POST_META)
		play_meta(realm, who, arg, step[0] >= 0xe0);
	else if (what == POST_TESTAMENT)
		play_testament(realm, who, arg, step[0] >= 0xe0);
	else if (what < POST_META)
		play_post(realm, who, (enum post_type)what, arg, step[0] >= 0xe0,
			  (step[0] & 32) != 0);
	else if (what == PLAY_WORK)
		play_work(realm);
	else
		play_revoke(realm, arg % 2);
}

static struct options *make_options(struct msg m)
{
	struct options *o;
	int err = options_new(SERIALIZER_JSON, &m, &o);

	ASSERT(err == 0 && o != NULL);
	return o;
}

/* The options of a PUBLISH whose eligible list is this, in JSON. */
static struct options *make_eligible(const char *list)
{
	return make_options((struct msg){
		.type = WAMP_PUBLISH,
		.filters = 1 << MSG_ELIGIBLE,
		.filter = {[MSG_ELIGIBLE] = slice_str(list)},
	});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct id_series ids = {.next = OWNER + 1, .step = WORKERS};

	for_some = make_eligible("[1]");
	for_nobody = make_eligible("[]");
	opaque = make_options((struct msg){
		.passthru = 1 << MSG_ENC_ALGO,
		.passthru_value = {[MSG_ENC_ALGO] = slice_str("\"mqtt\"")},
	});
	joins = 0;
	now_ms = 1000;
	last_id = 0;
	for (uint16_t i = 0; i < REALMS; i++) {
		models[i] =
			(struct model){.index = i, .wheel_tick = now_ms / WHEEL_TICK_MS};
		wheel_init(&deadlines[i], now_ms);
		realms[i] = realm_new(i, WORKERS, &limits, &ids, &deadlines[i], &outbox);
		ASSERT(realms[i] != NULL);
	}
	for (size_t at = 0; at + 3 <= size; at += 3)
		play(data + at, data[0] % 2 != 0);
	/* the sessions of one realm leave first, the other realm is freed with its
	 * sessions */
	for (unsigned who = 0; who < PLAYERS; who++)
		play_post(0, who, POST_GONE, 0, false, false);
	struct realm_counters n = realm_counters(realms[0]);
	ASSERT(n.sessions == 0 && n.memberships == 0 && n.subscriptions == 0 &&
	       n.registrations == 0 && n.callees == 0 && n.calls_in_flight == 0 &&
	       n.calls_queued == 0 && n.orphans == 0);
	for (unsigned i = 0; i < REALMS; i++)
		realm_free(&realms[i]);
	ASSERT(outbox.n == 0);
	options_unref(&for_some);
	options_unref(&for_nobody);
	options_unref(&opaque);
	return 0;
}
