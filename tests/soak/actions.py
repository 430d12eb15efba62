# SPDX-License-Identifier: Apache-2.0
"""What the sessions of the soak test do: random requests, and answers to calls."""

import math
import time

from model import Publication, check
from session import (CALL, CANCEL, ERROR, GOODBYE, INVOCATION, PUBLISH, REGISTER, SUBSCRIBE, UNREGISTER, UNSUBSCRIBE,
                     YIELD, Call, call_payload)

TOPICS = ([f"soak.t.{i}" for i in range(12)] + [f"soak.t.{i}.x.{j}" for i in range(2) for j in range(3)]
          + ["soak.shown.t", "soak.hidden.t", "soak.refuse.t", "soak.hist.t", "soak.h.a", "soak.h.b", "rev.t"])
TOPIC_PATTERNS = [("prefix", "soak."), ("prefix", "soak.t"), ("prefix", "soak.t.1"), ("prefix", "soak.h."),
                  ("prefix", "rev."), ("wildcard", "soak..1"), ("wildcard", "soak..t"), ("wildcard", "soak.t..x."),
                  ("wildcard", "soak.t..x.1"), ("wildcard", "soak..1.x.2")]
POLICIES = ["single", "roundrobin", "random", "first", "last"]
PROCEDURES = [f"soak.p.{policy}.{i}" for policy in POLICIES for i in range(4)] + [
    "soak.p.known", "soak.shown.p", "soak.hidden.p", "soak.refuse.p", "soak.hidden.known", "rev.p"]
PROCEDURE_PATTERNS = [("prefix", "soak.p."), ("prefix", "soak.p.single."), ("wildcard", "soak.p..1"),
                      ("wildcard", "soak..single."), ("wildcard", "soak.q..")]
CALLED = PROCEDURES + ["soak.p.none", "soak.q.a.b", "soak.q.c.1", "soak.p.none.1"]
# a role other than boss may do nothing there
FORBIDDEN = [("exact", "deny.t"), ("prefix", ""), ("prefix", "deny."), ("wildcard", "..t")]
NOBODY = 7 << 50  # an id that no subscription, registration or session has

NOT_AUTHORIZED = "wamp.error.not_authorized"
DISCLOSE = "wamp.error.option_disallowed.disclose_me"


def random_value(rng, depth=0):
    dice = rng.random()
    if dice < 0.3:
        return rng.choice([0, 1, -1, 23, 24, 255, -129, 65536, 1 << 31, -(1 << 31), 1 << 53, (1 << 63) - 1, -(1 << 63)])
    if dice < 0.5:
        return rng.choice(["", "a", "äöü€", "😀" * 3, 'q"\\\n', "x" * rng.randrange(300)])
    if dice < 0.6:
        return rng.choice([0.5, -1.25, 1e300, 3.141592653589793, -0.1])
    if dice < 0.7:
        return rng.choice([True, False, None])
    if dice < 0.8:
        return rng.randbytes(rng.randrange(40))
    if depth > 3:
        return []
    if dice < 0.9:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {f"k{i}": random_value(rng, depth + 1) for i in range(rng.randrange(4))}


def random_payload(rng, token):
    """Returns (args, kwargs, approximate size)."""
    dice = rng.random()
    if dice < 0.5:
        return [token], {}, 50
    args = [token, *[random_value(rng) for _ in range(rng.randrange(4))]]
    kwargs = {f"k{i}": random_value(rng) for i in range(rng.randrange(1, 4))} if rng.random() < 0.3 else {}
    size = 2000
    if dice > 0.9:
        size = rng.choice([1000, 3000, 10000]) if dice < 0.998 else rng.choice([70000, 200000])
        args.append(rng.choice(["y" * size, bytes(size), ["z" * 100] * (size // 100)]))
    return args, kwargs, size * 2 + 4000


def passthru(rng, session, role):
    """Options of payload passthru mode, now and then."""
    dice = rng.random()
    if dice < 0.03 and session.has(role, "payload_passthru_mode"):
        return {"ppt_scheme": "x_soak", "ppt_serializer": "cbor", "ppt_keyid": "k1"}
    if dice < 0.05:
        return {"enc_algo": "cryptobox", "enc_serializer": "cbor"}
    return {}


def vary_payload(s, rng, token, args, kwargs, options):
    """Returns (args, kwargs, whether other serializers may be unable to express them). options are those of
    passthru; without args, they have the token."""
    if "enc_algo" in options:
        return token.encode(), {}, False
    if options.get("ppt_scheme") and rng.random() < 0.3:
        options["ppt_keyid"] = token
        return [], {}, False
    if s.serializer in ("msgpack", "cbor") and rng.random() < 0.01:
        return [*args, math.nan], kwargs, True
    return args, kwargs, False


# --- requests -----------------------------------------------------------------------------------


def refusals(s, uri, *more, discloses=False):
    """The errors with which the router may refuse a request about this URI, and whether it must."""
    if discloses and uri.startswith("soak.refuse.") and s.role == "free":
        return {"refusals": {DISCLOSE}, "must_fail": True}
    if uri.startswith("deny.") or uri in ("", "..t"):
        return {"refusals": {NOT_AUTHORIZED}, "must_fail": True}
    return {"refusals": {NOT_AUTHORIZED, *more} if uri.startswith("rev.") and s.role != "asked" else set(more)}


def subscribe(s, rng):
    dice = rng.random()
    match, topic = (("exact", rng.choice(TOPICS)) if dice < 0.7 else rng.choice(TOPIC_PATTERNS) if dice < 0.97
                    else rng.choice(FORBIDDEN))
    options = {"match": match} if match != "exact" or rng.random() < 0.1 else {}
    must_have = None
    if rng.random() < 0.3:
        options["get_retained"] = True
        s.retained_pending += 1
        if match == "exact" and not topic.startswith("rev."):
            must_have = s.world.must_have_retained(s, topic)
    s.request(SUBSCRIBE, options, topic, key=(match, topic), get_retained="get_retained" in options,
              must_have=must_have, **refusals(s, topic))


def unsubscribe(s, rng):
    let_go(s, rng, UNSUBSCRIBE, s.subscriptions)


def unregister(s, rng):
    let_go(s, rng, UNREGISTER, s.registrations)


def let_go(s, rng, kind, mine):
    kept = [h for h in mine.values() if h.until is None or h.revocable and not h.is_leaving]
    if not kept or rng.random() < 0.03:
        s.request(kind, NOBODY, holding=None, must_fail=True)
        return
    holding = rng.choice(kept)
    holding.is_leaving = True
    s.request(kind, holding.id, holding=holding)
    holding.doubt(s.world.tick)


def publish(s, rng):
    topic = rng.choice(TOPICS) if rng.random() < 0.98 else "deny.t"
    s.publications += 1
    token = f"p{s.uid}.{s.publications}"
    args, kwargs, size = random_payload(rng, token)
    options = publish_options(s, rng)
    args, kwargs, is_wild = vary_payload(s, rng, token, args, kwargs, options)
    about = refusals(s, topic, discloses=options.get("disclose_me"))
    p = Publication(s, token, s.publications, topic, options, args, kwargs, s.world.tick)
    p.is_wild, p.size, p.is_refused = is_wild, size, about.get("must_fail", False)
    s.world.publish(p)
    if topic.startswith("rev.") or s.role == "asked":
        p.is_unsure = not options.get("acknowledge")
    if options.get("acknowledge"):
        s.request(PUBLISH, options, topic, *call_payload(args, kwargs), publication=p, **about)
    else:
        s.send([PUBLISH, s.next_request(), options, topic, *call_payload(args, kwargs)])
        s.world.count("PUBLISH without acknowledge")
    if not p.is_refused:
        s.unsettled.append(p)


def publish_to(s, topic, args, options):
    s.publications += 1
    token = f"p{s.uid}.{s.publications}"
    p = Publication(s, token, s.publications, topic, options, [token, *args], {}, s.world.tick)
    s.world.publish(p)
    p.expected = ()
    s.send([PUBLISH, s.next_request(), options, topic, p.args])
    s.unsettled.append(p)


def publish_options(s, rng):
    options = passthru(rng, s, "publisher")
    if rng.random() < 0.4:
        options["acknowledge"] = True
    if rng.random() < 0.3:
        options["exclude_me"] = rng.random() < 0.3
    if rng.random() < 0.1:
        options["disclose_me"] = rng.random() < 0.8
    if rng.random() < 0.12:
        options["retain"] = True
    if rng.random() < 0.15:
        others = [x for x in s.realm.sessions.values() if x.until is None]
        kind, by = rng.choice([("", "id"), ("_authid", "authid"), ("_authrole", "role")])
        name = rng.choice(["eligible", "exclude"])
        options[name + kind] = [getattr(x, by) for x in rng.sample(others, min(len(others), rng.randrange(6)))]
        if name == "exclude" and rng.random() < 0.2:
            options["eligible_authrole"] = ["free", "boss"]
    return options


def register(s, rng):
    dice = rng.random()
    match, uri = (("exact", rng.choice(PROCEDURES)) if dice < 0.8 else rng.choice(PROCEDURE_PATTERNS) if dice < 0.97
                  else rng.choice(FORBIDDEN))
    key = match, uri
    invoke = next((p for p in POLICIES if p in uri), "roundrobin") if match == "exact" else "roundrobin"
    if rng.random() < 0.04:
        invoke = rng.choice(POLICIES)
    options = {"match": match} if match != "exact" else {}
    if invoke != "single" or rng.random() < 0.2:
        options["invoke"] = invoke
    concurrency = rng.choice([1, 1, 2, 5]) if rng.random() < 0.2 else 0
    if concurrency:
        options["concurrency"] = concurrency
    discloses = uri.endswith(".known")
    if discloses:
        options["disclose_caller"] = True
    force = rng.random() < 0.06
    if force:
        options["force_reregister"] = True
    about = refusals(s, uri, "wamp.error.unavailable")
    request = s.request(REGISTER, options, uri, key=key, invoke=invoke, concurrency=concurrency, discloses=discloses,
                        force=force, **about)
    if force and not about.get("must_fail"):
        s.realm.take_over(request)


def call(s, rng):
    uri = rng.choice(CALLED) if rng.random() < 0.98 else "deny.p"
    token = f"c{s.uid}.{s.last_request + 1}"
    args, kwargs, size = random_payload(rng, token)
    options = passthru(rng, s, "caller")
    if rng.random() < 0.25:
        options["timeout"] = rng.choice([1, 20, 100, 300, 1000, 3000, 0])
    if rng.random() < 0.3:
        options["receive_progress"] = True
    if rng.random() < 0.1:
        options["disclose_me"] = True
    if rng.random() < 0.08 and "enc_algo" not in options and s.has("caller", "progressive_call_invocations"):
        options["progress"] = True
    args, kwargs, is_wild = vary_payload(s, rng, token, args, kwargs, options)
    about = refusals(s, uri, discloses=options.get("disclose_me"))
    number = s.next_request()
    c = s.pending[number] = Call(s, number, s.world.tick, uri, options, args, kwargs)
    c.__dict__.update(about)
    c.token, c.is_wild = token, is_wild
    s.world.calls[token] = c
    s.send([CALL, number, options, uri, *call_payload(args, kwargs)])
    s.world.count("CALL")
    if c.is_input:
        s.actor.later(rng.random() * 0.3, chunk, s, c)
    if rng.random() < 0.12:
        s.actor.later(rng.choice([0, 0, 0.01, 0.2, 1]), cancel, s, c)


def call_meta(s, uri, args, verify, kwargs=None, **about):
    """Calls a meta procedure. verify(session, call, payload) checks the result."""
    number = s.next_request()
    c = s.pending[number] = Call(s, number, s.world.tick, uri, {}, args, kwargs or {})
    c.__dict__.update(about)
    c.meta = verify
    s.send([CALL, number, {}, uri, *call_payload(args, kwargs)])
    return c


def chunk(s, c, is_last=None):
    """Sends one more chunk of a call with progressive input."""
    if s.state != "joined" or not c.input_open or c.number not in s.pending:
        return
    rng = s.rng
    c.input_open = rng.random() < 0.7 if is_last is None else not is_last
    args, kwargs, _ = random_payload(rng, c.token)
    c.chunks.append((args, kwargs))
    s.send([CALL, c.number, {"progress": True} if c.input_open else {}, c.uri, *call_payload(args, kwargs)])
    c.moved = time.monotonic()
    if c.input_open:
        s.actor.later(rng.random() * 0.3, chunk, s, c)


def cancel(s, c):
    """A late one is ignored. A second one may follow."""
    if s.state != "joined":
        return
    mode = s.rng.choice(["skip", "kill", "killnowait", None])
    c.cancels.append(mode)
    s.send([CANCEL, c.number, {"mode": mode} if mode else {}])
    s.world.count(f"CANCEL {mode}")
    if s.rng.random() < 0.2:
        s.actor.later(s.rng.random(), cancel, s, c)


def goodbye(s, rng):
    s.doubt()
    s.state, s.has_left = "leaving", True
    s.send([GOODBYE, {}, "wamp.close.close_realm"])
    s.world.count("GOODBYE")


def late_yield(s, rng):
    """A YIELD for an invocation that never was: silence."""
    s.send([YIELD, rng.randrange(1 << 40, 1 << 41), {}, ["nobody waits"]])


def violate(s, rng):
    """A broken message: only this session ends."""
    s.doubt()
    s.has_violated = s.is_doomed = s.has_left = True
    s.world.count("violation")
    s.send(rng.choice([[SUBSCRIBE, "x", {}, "soak.t.0"], [PUBLISH], [CALL, s.next_request(), {"progress": 1}, "soak.p.x"],
                       [36, 1, 2, {}], [YIELD, 1, []]]))


ACTIONS = {violate: 0.1, subscribe: 12, unsubscribe: 8, publish: 30, register: 8, unregister: 5, call: 35, goodbye: 0.25,
           late_yield: 0.5}


# --- the callee ---------------------------------------------------------------------------------


def serve(s, invocation):
    """Decides how to answer an invocation, or a chunk of one."""
    rng, actor = s.rng, s.actor
    if not invocation.is_complete and rng.random() < 0.85:
        return  # wait for the rest of the input
    if invocation.answer:
        return
    dice = rng.random()
    if dice < 0.6:
        answer(s, invocation)
    elif dice < 0.75:
        actor.later(rng.random() * 1.5, answer, s, invocation)
    elif dice < 0.78:
        pass  # only when the round ends
    elif dice < 0.97 and invocation.details.get("receive_progress"):
        actor.later(0, progress, s, invocation, rng.randrange(1, 6))
    elif dice < 0.998:
        answer(s, invocation)
    else:
        s.world.count("callee leaves")
        actor.cut(s)


def progress(s, invocation, more):
    if s.state != "joined" or invocation.answer:
        return
    args = [invocation.call.token, "progress", len(invocation.times)]
    invocation.times.append(time.monotonic())
    s.send([YIELD, invocation.number, {"progress": True}, args])
    if more:
        s.actor.later(s.rng.choice([0, 0.05, 0.3]), progress, s, invocation, more - 1)
    else:
        answer(s, invocation)


def answer(s, invocation):
    """The answer that ends the invocation. Sometimes a second one follows, which the router ignores."""
    if s.state != "joined" or invocation.answer:
        return
    rng, call = s.rng, invocation.call
    invocation.free_slot()
    for _ in range(2 if rng.random() < 0.02 else 1):
        args, kwargs, _ = random_payload(rng, call.token)
        dice = rng.random()
        if dice < 0.85:
            options = passthru(rng, s, "callee")
            if "enc_algo" in options:
                args, kwargs = call.token.encode(), {}
            elif s.serializer in ("msgpack", "cbor") and rng.random() < 0.01:  # the others cannot say it
                args = [*args, math.nan]
                invocation.is_wild = True
            invocation.is_passthru |= bool(options)
            sent = (YIELD, call_payload(args, kwargs), None)
            message = [YIELD, invocation.number, options, *sent[1]]
        else:
            uri = ("wamp.error.unavailable" if dice < 0.9 else
                   "wamp.error.canceled" if invocation.is_interrupted else f"soak.error.{rng.randrange(3)}")
            sent = (ERROR, call_payload(args, kwargs), uri)
            message = [ERROR, INVOCATION, invocation.number, {}, uri, *sent[1]]
        if not invocation.answer:
            invocation.answer = sent
        s.send(message)


def interrupted(s, invocation):
    dice = s.rng.random()
    if dice < 0.7:
        answer(s, invocation)
    elif dice < 0.9:
        s.actor.later(s.rng.random(), answer, s, invocation)


def settle(s):
    """Answers all that a callee still owes, and completes all input."""
    for invocation in list(s.invocations.values()):
        if not invocation.answer:
            answer(s, invocation)
    for request in list(s.pending.values()):
        if request.kind == CALL and request.input_open:
            chunk(s, request, True)
    check(s.state != "joined" or all(i.answer for i in s.invocations.values()), "the test forgot an answer")
