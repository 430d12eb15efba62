# SPDX-License-Identifier: Apache-2.0
"""Meta procedures, testaments and histories: random calls, and what their results must say."""

import math

from actions import DISCLOSE, NOBODY, PROCEDURE_PATTERNS, PROCEDURES, TOPIC_PATTERNS, TOPICS
from actions import call_meta, passthru, publish_options, random_payload
from model import Publication, check, matches, rank

NO_SESSION = "wamp.error.no_such_session"


def is_stable(thing, call):
    """A session or holding that was there from before the call until now."""
    return thing.is_certain() and thing.since < call.tick


def stable_sessions(s, call):
    return [x for x in s.realm.sessions.values() if is_stable(x, call)]


def stable_holdings(s, kind, call, key):
    return [h for h in s.realm.holdings(kind).get(key, ()) if is_stable(h, call)]


def check_ids(s, call, ids, expected):
    """A list of sessions has all that were there, and none that had gone before the call."""
    check(len(set(ids)) == len(ids), "an id is listed twice")
    missing = [str(x) for x in expected if x.id not in ids]
    check(not missing, "missing in the list", missing)
    for id in ids:
        check(s.realm.gone.get(id, math.inf) > call.tick, "listed, but gone before", id)


# --- sessions -----------------------------------------------------------------------------------


def session_list(s, rng):
    roles = rng.sample(["free", "device", "asked"], rng.randrange(1, 3)) if rng.random() < 0.4 else None

    def verify(s, call, payload):
        ids = payload[0][0]
        check_ids(s, call, ids, [x for x in stable_sessions(s, call) if not roles or x.role in roles])
        # in the order of joining, which the observer knows
        order = {id: i for i, id in enumerate(s.realm.observer.live)}
        known = [order[id] for id in ids if id in order]
        check(known == sorted(known), "the sessions are not in the order in which they joined")

    call_meta(s, "wamp.session.list", [roles] if roles else [], verify)


def session_count(s, rng):
    def verify(s, call, payload):
        check(len(stable_sessions(s, call)) <= payload[0][0], "the number of sessions", payload)

    call_meta(s, "wamp.session.count", [], verify)


def session_get(s, rng):
    target = rng.choice(list(s.realm.sessions.values()))

    def verify(s, call, payload):
        check(s.realm.gone.get(target.id, math.inf) > call.tick, "the session had gone before", target.id)
        found = payload[0][0]
        expected = (target.id, target.authid, target.role, target.login.method, target.serializer)
        have = (*(found[k] for k in ("session", "authid", "authrole", "authmethod")),
                found["transport"]["channel_serializer"].removesuffix(".batched"))
        check(have == expected, "another session", expected)

    call_meta(s, "wamp.session.get", [target.id], verify,
              may_fail=lambda call, uri: uri == NO_SESSION and not is_stable(target, call))


class Kill:
    """Sessions that a call may end."""

    def __init__(self, killer, matches, reason):
        self.killer, self.matches, self.reason = killer, matches, reason
        self.is_over, self.end = False, math.inf
        realm = killer.realm
        realm.kills.append(self)
        self.certain = [x for x in realm.sessions.values() if x.is_certain() and self.hits(x)]
        for x in realm.sessions.values():
            if self.hits(x):
                x.may_be_killed(self)

    def hits(self, session):
        return session is not self.killer and session.role != "boss" and self.matches(session)

    def ended(self):
        """The sessions that this kill has ended, and nothing else."""
        return [x for x in self.certain if not x.has_left and x.kills == [self]]

    def done(self):
        """The call was answered. Sessions that were certain have been ended."""
        self.is_over, self.end = True, self.killer.world.tick
        for x in self.certain:
            x.realm.gone.setdefault(x.id, self.end)
            x.actor.must_end(x)


def kill(s, rng):
    kind = rng.choices(["", "_by_authid", "_by_authrole"], [10, 3, 1])[0]
    victim = rng.choice([x for x in s.realm.sessions.values() if x.role != "boss"])
    reason = f"soak.close.{rng.randrange(3)}" if rng.random() < 0.7 else "wamp.close.killed"
    kwargs = {"reason": reason} if reason != "wamp.close.killed" else {}
    value = {"": victim.id, "_by_authid": victim.authid, "_by_authrole": victim.role}[kind]
    hit = Kill(s, {"": lambda x: x.id == value, "_by_authid": lambda x: x.authid == value,
                   "_by_authrole": lambda x: x.role == value}[kind], reason)

    def verify(s, call, payload):
        if kind == "_by_authid":
            check_ids(s, call, payload[0][0], hit.ended())
            check(s.id not in payload[0][0], "a session has ended itself")
        elif kind == "_by_authrole":
            check(payload[0][0] >= len(hit.ended()), "the number of ended sessions", len(hit.ended()))
        else:
            check(victim is not s, "a session has ended itself")
        hit.done()

    call_meta(s, f"wamp.session.kill{kind}", [value], verify, kwargs,
              may_fail=lambda call, uri: uri == NO_SESSION and not kind and victim not in hit.ended())


def wrong_arguments(s, rng):
    uri = rng.choice(["wamp.session.get", "wamp.session.kill", "wamp.registration.get", "wamp.subscription.list_subscribers"])
    call_meta(s, uri, [rng.choice(["x", -1, {}])], None, must_fail=True,
              may_fail=lambda call, error: error == "wamp.error.invalid_argument")


def no_procedure(s, rng):
    call_meta(s, rng.choice(["wamp.session.nothing", "wamp.x"]), [], None, must_fail=True,
              may_fail=lambda call, error: error == "wamp.error.no_such_procedure")


# --- registrations and subscriptions ------------------------------------------------------------


def random_key(kind, rng):
    exact, patterns = (PROCEDURES, PROCEDURE_PATTERNS) if kind == "registration" else (TOPICS, TOPIC_PATTERNS)
    return ("exact", rng.choice(exact)) if rng.random() < 0.7 else rng.choice(patterns)


def lookup(s, rng):
    kind = rng.choice(["registration", "subscription"])
    key = random_key(kind, rng)

    def verify(s, call, payload):
        check(len({payload[0][0], *(h.id for h in stable_holdings(s, kind, call, key))}) == 1, "the id", key)

    call_meta(s, f"wamp.{kind}.lookup", [key[1], {"match": key[0]}], verify)


def match(s, rng):
    uri = rng.choice(PROCEDURES)

    def verify(s, call, payload):
        id = payload[0][0]
        realm, key = s.world.used["registration"].get(id, (None, None))
        check(realm in (None, s.realm.name) and (key is None or matches(*key, uri)), "it does not match", uri, key)
        for h in s.realm.registrations_of(uri):
            if is_stable(h, call):
                check(id is not None and (key is None or rank(h.key) <= rank(key)), "another one matches better", h.key)

    call_meta(s, "wamp.registration.match", [uri], verify)


def match_topic(s, rng):
    topic = rng.choice(TOPICS)

    def verify(s, call, payload):
        ids = payload[0][0] or []
        for h in s.realm.subscriptions_of(topic):
            check(not is_stable(h, call) or h.id in ids, "a subscription is missing", h.key, h.id)
        for id in ids:
            realm, key = s.world.used["subscription"].get(id, (None, None))
            check(realm in (None, s.realm.name) and (key is None or matches(*key, topic)), "it does not match", key)

    call_meta(s, "wamp.subscription.match", [topic], verify)


def list_all(s, rng):
    kind = rng.choice(["registration", "subscription"])

    def verify(s, call, payload):
        for key, holdings in s.realm.holdings(kind).items():
            for h in holdings:
                check(not is_stable(h, call) or h.id in payload[0][0][key[0]], f"a {kind} is missing", key, h.id)

    call_meta(s, f"wamp.{kind}.list", [], verify)


def some_holding(s, kind, rng):
    holdings = s.realm.holdings(kind).get(random_key(kind, rng))
    return rng.choice(sorted(holdings, key=lambda h: h.session.uid)) if holdings else None


def about_one(s, rng):
    """get, list_... and count_... of a registration or subscription."""
    kind = rng.choice(["registration", "subscription"])
    holding = some_holding(s, kind, rng)
    if holding is None:
        return
    people = "callees" if kind == "registration" else "subscribers"
    what = rng.choice(["get", f"list_{people}", f"count_{people}"])

    def verify(s, call, payload):
        result = payload[0][0]
        holders = [h.session for h in stable_holdings(s, kind, call, holding.key) if h.id == holding.id]
        if what == "get":
            check((result["id"], result["match"], result["uri"]) == (holding.id, *holding.key), "another one")
            check(kind == "subscription" or not is_stable(holding, call) or result["invoke"] == holding.invoke, "invoke")
        elif what.startswith("list"):
            check_ids(s, call, result, holders)
        else:
            check(result >= len(holders), "the number", len(holders))

    call_meta(s, f"wamp.{kind}.{what}", [holding.id], verify,
              may_fail=lambda call, uri: uri == f"wamp.error.no_such_{kind}" and not is_stable(holding, call))


def remove(s, rng):
    kind, person = rng.choice([("registration", "callee"), ("subscription", "subscriber")])
    holding = some_holding(s, kind, rng)
    if holding is None or holding.session.role == "boss":
        return
    was_certain = holding.is_certain()
    holding.revoke(s.world.tick)

    def may_fail(call, uri):
        is_alone = was_certain and holding.revokers == 1 and not holding.is_leaving and holding.session.until is None
        return uri in (NO_SESSION, f"wamp.error.no_such_{kind}") and not is_alone

    call = call_meta(s, f"wamp.{kind}.remove_{person}", [holding.id, holding.session.id], lambda s, call, payload: None,
                     may_fail=may_fail)
    s.realm.removals.append((kind, holding.id, holding.session, call))


# --- testaments ---------------------------------------------------------------------------------


def add_testament(s, rng):
    if len(s.testaments) > 8:
        flush_testaments(s, rng)
        return
    topic = rng.choice([t for t in TOPICS if not t.startswith("rev.")])
    is_destroyed = rng.random() < 0.6
    token = f"t{s.uid}.{s.last_request}"
    args, kwargs, size = random_payload(rng, token)
    if size > 5000:
        args, kwargs = [token], {}
    options = {k: v for k, v in publish_options(s, rng).items() if k != "acknowledge" and not k.startswith(("ppt_", "enc_"))}
    p = Publication(s, token, 10**9 + is_destroyed * 10**6 + s.last_request, topic, options, args, kwargs, s.world.tick)
    p.size, p.state, p.is_destroyed = size, "adding", is_destroyed
    s.world.publications[token] = p
    more = {"publish_options": options}
    if not is_destroyed or rng.random() < 0.5:
        more["scope"] = "destroyed" if is_destroyed else "detached"
    must_fail = bool(options.get("disclose_me") and topic.startswith("soak.refuse.") and s.role == "free")
    if must_fail:
        p.is_refused = True
    else:
        s.testaments.append(p)
        if options.get("retain") and not s.is_certain():  # doubt() has kept only the earlier ones
            s.world.keep(p)

    def verify(s, call, payload):
        check(payload in ([], [[]]), "a result")
        if p.state == "adding":
            p.state = "added"

    def may_fail(call, uri):
        p.is_refused = True
        if p in s.testaments:
            s.testaments.remove(p)
        return must_fail and uri == DISCLOSE

    call_meta(s, "wamp.session.add_testament", [topic, args, kwargs], verify, more, may_fail=may_fail, must_fail=must_fail)


def flush_testaments(s, rng):
    is_destroyed = rng.random() < 0.5
    flushed = [p for p in s.testaments if p.is_destroyed == is_destroyed]
    before = [p.state for p in flushed]
    for p in flushed:
        p.state = "flushing"

    def verify(s, call, payload):
        for p in flushed:
            p.state = "flushed"
        s.testaments = [p for p in s.testaments if p not in flushed]

    def may_fail(call, uri):  # only if there is no authorizer
        for p, state in zip(flushed, before):
            p.state = state
        return False

    call_meta(s, "wamp.session.flush_testaments", [], verify, {"scope": "destroyed" if is_destroyed else "detached"},
              may_fail=may_fail)


# --- histories ----------------------------------------------------------------------------------


def get_events(s, rng):
    id, key = rng.choice(list(s.realm.observer.pinned.items()))
    kwargs = {}
    if rng.random() < 0.5:
        kwargs["limit"] = rng.choice([1, 5, 20])
    if rng.random() < 0.5:
        kwargs["reverse"] = True
    if key[0] == "prefix" and rng.random() < 0.3:
        kwargs["topic"] = "soak.h.a"

    def verify(s, call, payload):
        found = [event_of(s, key, event) for event in payload[0]] if payload else []
        found = [p for p in found if p]
        if kwargs.get("reverse"):
            found.reverse()
        orders = [p.order for p in found if p.order]
        check(orders == sorted(set(orders)), "the history is not in the order of the events", orders)
        more = payload[1] if len(payload) > 1 else {}
        if not orders or more.get("x_skipped"):
            return
        # no gap, and nothing missing at the end
        last = orders[-1] if more.get("is_limit_reached") and not kwargs.get("reverse") else math.inf
        for p in s.realm.history.get(key, ()):
            is_due = (p.settled and p.settled < call.tick) or p.order <= orders[-1]
            if (orders[0] < p.order <= last and is_due and is_kept(p, s)
                    and kwargs.get("topic") in (None, p.topic)):
                check(p in found, "an event is missing in the history", p.token, p.topic, p.options)

    call_meta(s, "wamp.subscription.get_events", [id], verify, kwargs,
              may_fail=lambda call, uri: uri == "wamp.error.not_authorized" and s.role == "asked")


def is_kept(p, session):
    return (p.is_plain() and not has_ids(p) and p.reaches(session) and p.size < 10000 and p.lists_allow(session))


def has_ids(p):
    """Whether it has a list of session ids. Such events are not kept."""
    return bool(p.options.get("exclude")) or "eligible" in p.options


def event_of(s, key, event):
    args = event.get("args") or []
    token = args.decode() if isinstance(args, bytes) else args[0] if args else event["details"].get("ppt_keyid")
    p = s.world.publications.get(token)
    if p is None:  # of an earlier round
        return None
    check(p.id in (None, event["publication"]), "another publication id", token, p.id)
    check(matches(*key, p.topic), "another topic", token, p.topic)
    check(p.lists_allow(s), "a history shows an event for others", token, p.options)
    check(not has_ids(p), "an event with a list of sessions", token)
    s.world.check_payload(p, [event[k] for k in ("args", "kwargs") if k in event])
    s.world.check_details(s, p, event["details"])
    return p


META = {session_list: 0.6, session_count: 0.3, session_get: 0.6, kill: 0.12, wrong_arguments: 0.1, no_procedure: 0.1,
        lookup: 1, match: 1, match_topic: 1, list_all: 0.3, about_one: 1, remove: 0.5, add_testament: 0.6,
        flush_testaments: 0.1, get_events: 1}
