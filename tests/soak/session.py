# SPDX-License-Identifier: Apache-2.0
"""A session of the soak test: it logs in, and checks every message that the router sends to it.

What the session does by itself is in actions.py.
"""

import base64
import collections
import hashlib
import hmac
import math
import random
import time

import nacl.signing
from model import Holding, check, matches, rank, same, token_of

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED = 16, 17
SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 32, 33, 34, 35, 36
CALL, CANCEL, RESULT = 48, 49, 50
REGISTER, REGISTERED, UNREGISTER, UNREGISTERED, INVOCATION, INTERRUPT, YIELD = 64, 65, 66, 67, 68, 69, 70

NAMES = {number: name for name, number in list(globals().items()) if name.isupper() and isinstance(number, int)}

FEATURES = {
    "caller": ["progressive_call_invocations", "payload_passthru_mode", "payload_transparency"],
    "callee": ["call_canceling", "call_reroute", "progressive_call_invocations", "payload_passthru_mode",
               "payload_transparency", "registration_revocation"],
    "publisher": ["payload_passthru_mode"],
    "subscriber": ["payload_transparency", "subscription_revocation"],
}

# what the configuration says: role -> [(prefix, who discloses, trust level)], the longest prefix first
POLICIES = {
    "free": [("soak.shown.", True, 5), ("soak.hidden.", False, None), ("soak.refuse.", "refuse", None),
             ("", "allow", None)],
    "device": [("", "allow", 9)],
    "boss": [("", "allow", None)],
}


class Request:
    """A request that must be answered."""

    def __init__(self, kind, tick, **about):
        self.kind, self.tick, self.time = kind, tick, time.monotonic()
        self.refusals = frozenset()  # the errors that are right
        self.must_fail = self.force = self.is_over = False
        self.end = math.inf  # tick of the answer
        self.__dict__.update(about)


class Call(Request):
    def __init__(self, session, number, tick, uri, options, args, kwargs):
        super().__init__(CALL, tick)
        self.session, self.number, self.uri, self.options = session, number, uri, options
        self.args, self.kwargs = args, kwargs
        self.chunks = [(args, kwargs)]
        self.token = args[0] if args else None
        self.is_wild = False
        self.is_input = self.input_open = bool(options.get("progress"))
        self.invocations = []
        self.cancels = []
        self.progress = 0
        self.moved = self.time  # when the timeout began
        self.is_over = False
        self.meta = None  # checks the result of a meta procedure
        self.may_fail = None  # whether a meta procedure may fail with this error


class Invocation:
    def __init__(self, number, call, holding, details):
        self.number, self.call, self.holding, self.details = number, call, holding, details
        self.chunks = 1
        self.is_complete = not details.get("progress")
        self.times = []  # when it sent progressive results
        self.answer = None  # the first final message sent
        self.is_interrupted = self.is_slot_free = False
        self.is_wild = self.is_passthru = False

    def free_slot(self):
        if not self.is_slot_free:
            self.is_slot_free = True
            self.holding.active -= 1


class Session:
    """One WAMP session, from HELLO to its end."""

    def __init__(self, actor, wire, login, rng):
        self.actor, self.wire, self.login, self.rng = actor, wire, login, rng
        self.world, self.realm = actor.world, actor.realm
        self.uid = next(self.world.uids)
        self.began = time.monotonic()
        self.serializer = wire.serializer
        self.max_message = 1 << 9 + getattr(wire, "length", 15)
        self.id = self.authid = self.role = None
        self.state = "joining"  # joined, leaving, gone
        self.since = math.inf  # the tick of WELCOME
        self.until = None  # the tick at which its end became possible
        self.kills = []
        self.has_left = False  # by itself
        self.features = {role: {f for f in names if rng.random() < 0.65} for role, names in FEATURES.items()}
        self.pending = {}  # request -> Request
        self.unsettled = collections.deque()  # publications
        self.subscriptions, self.registrations = {}, {}  # id -> Holding
        self.retained_pending = 0
        self.invocations = {}
        self.last_invocation = self.last_request = self.publications = 0
        self.last_event = {}
        self.testaments = []
        self.log = actor.log
        self.was_slow = False
        self.is_doomed = self.has_violated = False  # the router will end its connection

    def remains(self):
        """What a later round must know of it: who it was."""
        past = Session.__new__(Session)
        past.__dict__.update({k: self.__dict__[k] for k in ("uid", "id", "authid", "role", "realm", "until")})
        return past

    def __str__(self):
        if "actor" not in self.__dict__:
            return f"session {self.id} (uid {self.uid}) of an earlier round"
        return (f"session {self.id} (uid {self.uid}, {self.actor.name}, {self.realm.name}, {self.role}, {self.authid}, "
                f"{self.login.method}, {self.wire}, {self.state})")

    def has(self, role, feature):
        return feature in self.features[role]

    def policy(self, uri, disclose_me):
        """Whether the receiver of a publication or call learns the sender, and its trust level."""
        if self.role == "asked":
            return bool(disclose_me) or ".shown." in uri, None
        disclose, trust = next((d, t) for prefix, d, t in POLICIES[self.role] if uri.startswith(prefix))
        return disclose is True or (disclose == "allow" and bool(disclose_me)), trust

    # --- sending ---

    def send(self, *messages):
        for message in messages:
            self.world.tick += 1
            self.log.append((time.monotonic(), ">", message))
        self.wire.send(messages)
        if self.wire.out:
            self.actor.wants_to_write()

    def next_request(self):
        self.last_request += 1
        return self.last_request

    def request(self, kind, *fields, **about):
        """Sends a request that must be answered."""
        number = self.next_request()
        self.pending[number] = request = Request(kind, self.world.tick, **about)
        self.send([kind, number, *fields])
        self.world.count(NAMES[kind])
        return request

    def doubt(self):
        """From now on the session may end at any time."""
        if self.until is None:
            self.until = self.world.tick
            for p in self.testaments:
                if p.options.get("retain"):
                    self.world.keep(p)

    def is_certain(self):
        return self.until is None

    def may_be_killed(self, kill):
        self.doubt()
        self.kills.append(kill)

    # --- login ---

    def hello(self):
        self.state = "joining"
        self.hello_tick = self.world.tick
        roles = {role: {"features": {f: True for f in names}} for role, names in self.features.items()}
        self.send([HELLO, self.realm.name, {"roles": roles, **self.login.details()}])

    def on_challenge(self, message):
        check(self.state == "joining", "CHALLENGE")
        signature, extra = self.login.answer(message)
        self.send([AUTHENTICATE, signature, extra])

    def on_welcome(self, message):
        check(self.state == "joining", "WELCOME")
        _, self.id, details = message
        other = self.realm.sessions.get(self.id)
        check(other is None or other.until is not None, "the id of a living session", str(other))
        self.authid, self.role = details["authid"], details["authrole"]
        check(self.role == self.login.role, "the role", self.login.role)
        check(self.login.authid in (None, self.authid), "the authid", self.login.authid)
        check(details["authmethod"] == self.login.method, "the method", self.login.method)
        self.login.on_welcome(details)
        self.state, self.since = "joined", self.world.tick
        self.realm.sessions[self.id] = self
        for kill in self.realm.kills:
            if kill.hits(self) and (not kill.is_over or self.hello_tick < kill.end):
                self.may_be_killed(kill)
        self.world.count(f"login {self.login.method}")
        self.world.count(f"session over {self.wire}")
        self.actor.on_joined()

    def on_abort(self, message):
        if self.has_violated and message[2] == "wamp.error.protocol_violation":
            self.end()
            return
        check(self.state == "joining" and self.login.is_wrong and message[2] in self.login.refusals, "ABORT")
        self.world.count("refused login")
        self.end()

    def on_goodbye(self, message):
        reason = message[2]
        if self.state == "leaving" and reason == "wamp.close.goodbye_and_out":
            for holding in self.subscriptions.values():
                self.world.check_owed(holding)
            self.end()
            self.actor.on_left()
            return
        check(self.state in ("joined", "leaving") and reason in {k.reason for k in self.kills}, "GOODBYE")
        self.world.count("GOODBYE of a killed session")
        self.was_killed = True
        self.end()

    def unconfirmed(self):
        """The keys of REGISTERs without an answer."""
        return [r.key for r in self.pending.values() if r.kind == REGISTER]

    def end(self):
        """The router will not send anything more, and this side does not expect any answer."""
        self.doubt()
        self.state = "gone"
        self.realm.unconfirmed += [(key, self) for key in self.unconfirmed()]
        for request in self.pending.values():
            request.is_over = True
        self.pending.clear()

    # --- receiving ---

    def on_message(self, message):
        world = self.world
        world.tick += 1
        self.log.append((time.monotonic(), "<", message))
        handler = HANDLERS.get(message[0])
        check(handler, "a message of this type")
        if message[0] > ERROR or message[0] == ERROR:
            check(self.state in ("joined", "leaving"), "a message outside of a session")
        handler(self, message)

    def pop(self, number, kind):
        request = self.pending.pop(number, None)
        check(request, "an answer without a request, or a second one")
        check(request.kind == kind, "an answer to another kind of request", NAMES[request.kind])
        request.is_over, request.end = True, self.world.tick
        return request

    def handled(self, request):
        """The owner of the realm has answered it, so it has handled all that was sent before."""
        while self.unsettled and self.unsettled[0].sent < request.tick:
            self.world.settle(self.unsettled.popleft())

    def success(self, number, kind):
        request = self.pop(number, kind)
        check(not request.must_fail, "success of a request that must fail")
        self.handled(request)
        return request

    def on_published(self, message):
        request = self.success(message[1], PUBLISH)
        p = request.publication
        check(p.id in (None, message[2]), "the publication id differs from that in the events", p.id)
        p.id = message[2]
        if p.settled is None:
            self.unsettled.remove(p)
            self.world.settle(p)

    # subscriptions and registrations

    def confirm(self, kind, mine, request, id):
        """SUBSCRIBED or REGISTERED. Returns the Holding."""
        self.world.new_id(kind, id, self.realm, request.key)
        for other in self.realm.holdings(kind).get(request.key, ()):
            check(not (other.is_certain() and other.since < request.tick) or other.id == id or request.force,
                  f"the {kind} has another id", other.id)
        holding = mine.get(id)
        if holding is None:
            holding = mine[id] = Holding(self, request.key, id, self.world.tick)
            self.realm.add(kind, holding)
            if request.key[1].startswith("rev.") or self.realm.may_be_taken(kind, request, self, id):
                holding.revoke(self.world.tick)
        return holding

    def on_subscribed(self, message):
        request = self.success(message[1], SUBSCRIBE)
        holding = self.confirm("subscription", self.subscriptions, request, message[2])
        if request.get_retained:
            self.retained_pending -= 1
            holding.retained_requests += 1
            holding.retained_asked = max(holding.retained_asked, request.tick)
            if request.must_have and not self.was_slow:
                holding.retained_owed[request.must_have.topic] = request.must_have

    def on_unsubscribed(self, message):
        if message[1] == 0:
            holding = self.revoked("subscription", self.subscriptions, message)
            check(self.has("subscriber", "subscription_revocation")
                  and not self.has("subscriber", "payload_transparency"), "it did not announce revocation")
        else:
            holding = self.success(message[1], UNSUBSCRIBE).holding
            self.world.check_owed(holding)
        self.drop("subscription", self.subscriptions, holding)

    def on_registered(self, message):
        request = self.success(message[1], REGISTER)
        old = self.registrations.get(message[2])
        if old:
            check(old.revocable, "the session has this registration already")
            self.drop("registration", self.registrations, old)
        for other in self.realm.registrations.get(request.key, ()):
            if other.is_certain() and other.since < request.tick and not request.force:
                check(other.invoke == request.invoke != "single", "a second callee", str(other.session))
        holding = self.confirm("registration", self.registrations, request, message[2])
        holding.invoke, holding.concurrency = request.invoke, request.concurrency
        holding.discloses = request.discloses

    def on_unregistered(self, message):
        if message[1] == 0:
            holding = self.revoked("registration", self.registrations, message)
            check(self.has("callee", "registration_revocation"), "it did not announce revocation")
        else:
            holding = self.success(message[1], UNREGISTER).holding
        self.drop("registration", self.registrations, holding)

    def drop(self, kind, mine, holding):
        holding.doubt(self.world.tick)
        if mine.get(holding.id) is holding:
            del mine[holding.id]
        if not holding.is_over:
            self.realm.remove(kind, holding)

    def revoked(self, kind, mine, message):
        holding = mine.get(message[2][kind])
        check(holding is not None, "revoked, but not held")
        check(not holding.is_certain(), "revoked without a cause")
        self.world.count(f"{kind} revoked")
        return holding

    # events

    def on_event(self, message):
        holding = self.subscriptions.get(message[1])
        check(holding, "an event of a subscription that the session does not have")
        topic = message[3].get("topic", holding.key[1])
        if topic.startswith("wamp."):
            self.world.count("meta event")
            self.actor.on_meta_event(self, holding, topic, message)
        else:
            self.actor.on_publication(self.world.event(self, holding, message))

    # errors

    def on_error(self, message):
        _, kind, number, details, uri, *payload = message
        check(kind not in (CANCEL, YIELD), "an ERROR of this type")
        request = self.pop(number, kind)
        if kind == CALL:
            self.on_call_error(request, uri, details, payload)
            return
        self.world.count(f"{NAMES[kind]} {uri}")
        if kind == PUBLISH:
            p = request.publication
            check(not p.got, "a publication was refused, but there are events")
            p.is_refused = True
            if p in self.unsettled:
                self.unsettled.remove(p)
        elif kind == SUBSCRIBE and request.get_retained:
            self.retained_pending -= 1
        elif kind in (UNSUBSCRIBE, UNREGISTER):
            self.not_held(request, uri)
            return
        if kind == REGISTER and uri == "wamp.error.procedure_already_exists":
            return  # checked where it succeeds: then nobody else has it
        check(uri in request.refusals or self.is_authorizer_down(request, uri), "the wrong error", request.refusals)

    def is_authorizer_down(self, request, uri):
        return (self.role == "asked" and uri == "wamp.error.authorization_failed"
                and request.time < self.actor.run.authenticator_trouble)

    def not_held(self, request, uri):
        kind, mine = (("subscription", self.subscriptions) if request.kind == UNSUBSCRIBE
                      else ("registration", self.registrations))
        check(uri == f"wamp.error.no_such_{kind}", "the wrong error")
        if request.holding is not None:
            check(request.holding.revocable, f"the session has the {kind}")
            self.drop(kind, mine, request.holding)

    # calls: the callee

    def may_miss(self):
        """Whether there may be messages that cannot be delivered."""
        return self.serializer == "json" or self.max_message < 1 << 24

    def on_invocation(self, message):
        _, number, id, details, *payload = message
        old = self.invocations.get(number)
        if old is not None:
            self.on_chunk(old, details, payload)
            return
        check(number == self.last_invocation + 1, "the number of the invocation", self.last_invocation)
        self.last_invocation = number
        holding = self.registrations.get(id)
        check(holding, "an invocation of a registration that the session does not have")
        args = payload[0] if payload else []
        token = token_of(args, details)
        call = self.world.calls.get(token)
        check(call, "a call that nobody has made")
        check(call.session.realm is self.realm, "a call of another realm")
        self.check_route(call, holding, details)
        self.check_call_details(call, holding, details)
        check(same(payload, call_payload(call.args, call.kwargs)), "a payload has changed", call.args, call.kwargs)
        check(not (self.serializer == "json" and call.is_wild), "JSON cannot express it")
        holding.active += 1
        check(not holding.concurrency or holding.active <= holding.concurrency, "more calls than concurrency allows",
              holding.active, holding.concurrency)
        check(all(i.holding is not holding for i in call.invocations), "the call went to this callee before")
        invocation = self.invocations[number] = Invocation(number, call, holding, details)
        call.invocations.append(invocation)
        self.world.count(f"INVOCATION {holding.key[0]} {holding.invoke}")
        if len(call.invocations) > 1:
            self.world.count("re-routed call")
        self.actor.serve(self, invocation)

    def check_route(self, call, holding, details):
        key = holding.key
        check(matches(*key, call.uri), "a call of another procedure", call.uri, key)
        check(key[0] == "exact" or details.get("procedure") == call.uri, "the procedure in Details", call.uri)
        for other in self.realm.registrations_of(call.uri):
            check(not (other.is_certain() and other.since < call.tick and rank(other.key) > rank(key)),
                  "another registration matches better", other.key, str(other.session))

    @staticmethod
    def check_call_details(call, holding, details):
        o = call.options
        check(bool(details.get("receive_progress")) == bool(o.get("receive_progress")), "receive_progress")
        check(bool(details.get("progress")) == bool(o.get("progress")), "progress")
        for name in ("ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"):
            expected = o.get(name) if o.get("ppt_scheme") else None
            check(details.get(name) == expected, name, expected)
        disclosed, trust = call.session.policy(call.uri, o.get("disclose_me") or holding.discloses)
        s = call.session
        expected = (s.id, s.authid, s.role) if disclosed else (None, None, None)
        check(tuple(details.get("caller" + x) for x in ("", "_authid", "_authrole")) == expected,
              "the caller in Details", expected)
        check(details.get("trustlevel") == trust, "the trust level", trust)

    def on_chunk(self, invocation, details, payload):
        call = invocation.call
        check(not invocation.is_complete, "a second invocation of the same number")
        check(call.is_input and invocation.chunks < len(call.chunks), "a chunk that nobody has sent")
        check(same(payload, call_payload(*call.chunks[invocation.chunks])), "a chunk has changed, or is missing",
              call.chunks[invocation.chunks])
        invocation.chunks += 1
        invocation.is_complete = not details.get("progress")
        check(invocation.is_complete == (not call.input_open and invocation.chunks == len(call.chunks)),
              "the last chunk")
        self.world.count("chunk")
        self.actor.serve(self, invocation)

    def on_interrupt(self, message):
        _, number, options = message
        invocation = self.invocations.get(number)
        check(invocation, "INTERRUPT without an invocation")
        check(self.has("callee", "call_canceling"), "INTERRUPT, but it did not announce call_canceling")
        check(not invocation.is_interrupted, "a second INTERRUPT")
        check(options.get("mode") in ("kill", "killnowait"), "the mode")
        call = invocation.call
        check(call.cancels or call.options.get("timeout") or call.session.until is not None or call.session.was_slow
              or invocation.is_wild or (call.is_input and (self.may_miss() or self.was_slow)),  # a chunk did not arrive
              "INTERRUPT without a cause", str(call.session), call.number)
        invocation.is_interrupted = True
        invocation.free_slot()
        self.world.count("INTERRUPT")
        self.actor.interrupted(self, invocation)

    # calls: the caller

    def on_result(self, message):
        _, number, details, *payload = message
        call = self.pending.get(number)
        check(call and call.kind == CALL, "a RESULT without a call, or a second one")
        if details.get("progress"):
            self.on_progress(call, payload)
            return
        del self.pending[number]
        check(not call.must_fail, "success of a call that must fail")
        self.handled(call)
        call.is_over, call.end = True, self.world.tick
        if call.meta:
            call.meta(self, call, payload)
            self.world.count(f"meta {call.uri}")
            return
        answers = [i for i in call.invocations if i.answer and i.answer[0] == YIELD]
        check(any(same(payload, i.answer[1]) for i in answers), "a result that no callee has sent",
              [i.answer for i in call.invocations])
        invocation = call.invocations[-1]
        if call.options.get("receive_progress") and not call.cancels:
            check(call.progress == len(invocation.times), "progressive results are missing", call.progress)
        self.world.count("RESULT")

    def on_progress(self, call, payload):
        check(call.options.get("receive_progress"), "a progressive result that was not asked for")
        args = payload[0] if payload else []
        check(args[:2] == [call.token, "progress"], "a progressive result of another call", call.token)
        check(args[2] == call.progress, "progressive results in the wrong order", call.progress)
        check(any(len(i.times) > call.progress for i in call.invocations), "progress that no callee has made")
        call.moved = call.invocations[-1].times[call.progress]  # the router's time is between that and now
        call.progress += 1
        self.world.count("progressive RESULT")

    def on_call_error(self, call, uri, details, payload):
        call.is_over = True
        self.world.count(f"CALL {uri}")
        for i in call.invocations:
            # an error whose payload cannot be delivered comes without it
            if i.answer and i.answer[0] == ERROR and i.answer[2] == uri and (
                    same(payload, i.answer[1]) or (not payload and self.may_miss())):
                self.handled(call)
                return
        check(self.is_right(call, uri) or self.is_authorizer_down(call, uri), "the wrong error", call.uri,
              call.options, call.refusals, [str(i.holding.session) for i in call.invocations], call.tick,
              [(h.key, str(h.session), h.since, h.until) for h in self.realm.registrations_of(call.uri)],
              [(t, k, str(x)) for t, k, x in self.realm.lost if t > call.tick - 3000 and matches(*k, call.uri)])

    def is_right(self, call, uri):
        """Whether the router may answer a call with this error."""
        if uri in call.refusals or (call.may_fail and call.may_fail(call, uri)):
            return True
        name = uri.removeprefix("wamp.error.")
        matching = self.realm.registrations_of(call.uri)
        stable = [h for h in matching if h.is_certain() and h.since < call.tick]
        # those whose REGISTERED is on its way may get calls
        new = self.realm.unconfirmed_callees(call.uri)
        if name == "canceled":
            return bool(call.cancels) or len(stable) < len(matching) or self.realm.has_lost(call, True) or any(
                i.holding.session.until is not None for i in call.invocations)
        if name == "timeout":
            timeout = call.options.get("timeout", 0)
            began = call.time if call.is_input else call.moved
            return 0 < timeout <= (time.monotonic() - began) * 1000
        if name == "no_such_procedure":
            return not stable
        if name == "no_available_callee":
            return (bool(call.invocations) or call.is_input or len(stable) < len(matching) or not stable
                    or self.realm.has_lost(call) or any(h.concurrency for h in stable)
                    or new != [])  # the new callee is busy already
        if name == "feature_not_supported":
            return call.is_input or "ppt_scheme" in call.options or "enc_algo" in call.options or any(
                i.is_passthru for i in call.invocations)
        if name == "invalid_argument":
            return call.is_wild or any(i.is_wild for i in call.invocations)
        # those that may have had the call: some have left, or unregistered, meanwhile
        callees = [*new, *(h.session for h in matching), *(i.holding.session for i in call.invocations),
                   *(session for tick, key, session in self.realm.lost if tick > call.tick and matches(*key, call.uri))]
        if name == "unavailable":
            return self.was_slow or any(x.was_slow for x in callees)
        if name == "payload_size_exceeded":
            return any(x.max_message < 1 << 24 for x in [self, *callees])
        if name == "option_disallowed.disclose_me":
            return self.policy(call.uri, True)[0] is False
        return False

def call_payload(args, kwargs):
    return [args, kwargs] if kwargs else [args] if args else []


HANDLERS = {
    WELCOME: Session.on_welcome, ABORT: Session.on_abort, CHALLENGE: Session.on_challenge,
    GOODBYE: Session.on_goodbye, ERROR: Session.on_error, PUBLISHED: Session.on_published,
    SUBSCRIBED: Session.on_subscribed, UNSUBSCRIBED: Session.on_unsubscribed, EVENT: Session.on_event,
    RESULT: Session.on_result, REGISTERED: Session.on_registered, UNREGISTERED: Session.on_unregistered,
    INVOCATION: Session.on_invocation, INTERRUPT: Session.on_interrupt,
}


# --- logins -------------------------------------------------------------------------------------


class Login:
    """How a session logs in. A wrong one has a wrong secret."""

    refusals = ("wamp.error.not_authorized", "soak.error.who")

    def __init__(self, method, role, authid=None, secret=None, is_wrong=False):
        self.method, self.role, self.authid, self.secret, self.is_wrong = method, role, authid, secret, is_wrong

    def details(self):
        result = {"authmethods": [self.method]}
        if self.authid:
            result["authid"] = self.authid
        if self.method == "cryptosign":
            self.key = nacl.signing.SigningKey(self.secret)
            result["authextra"] = {"pubkey": self.key.verify_key.encode().hex()}
        if self.method == "wamp-scram":
            self.nonce = base64.b64encode(random.randbytes(16)).decode()
            result["authextra"] = {"nonce": self.nonce}
        return result

    def answer(self, challenge):
        """Returns (signature, extra) for AUTHENTICATE."""
        _, method, extra = challenge
        check(method == self.method, "a challenge of another method", self.method)
        if method == "ticket":
            return self.secret + "x" * self.is_wrong, {}
        if method == "cryptosign":
            key = nacl.signing.SigningKey(bytes(32)) if self.is_wrong else self.key
            data = bytes.fromhex(extra["challenge"])
            return (key.sign(data).signature + data).hex(), {}
        if method == "wampcra":
            key = self.secret.encode() + b"x" * self.is_wrong
            return base64.b64encode(hmac.digest(key, extra["challenge"].encode(), "sha256")).decode(), {}
        return self.scram(extra)

    def scram(self, extra):
        salted = hashlib.pbkdf2_hmac("sha256", self.secret.encode() + b"x" * self.is_wrong,
                                     base64.b64decode(extra["salt"]), extra["iterations"])
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        first = f"n={self.authid},r={self.nonce}"
        server = f"r={extra['nonce']},s={extra['salt']},i={extra['iterations']}"
        self.message = f"{first},{server},c=biws,r={extra['nonce']}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), self.message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.verifier = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), self.message, "sha256")
        return base64.b64encode(proof).decode(), {"nonce": extra["nonce"], "channel_binding": None, "cbind_data": None}

    def on_welcome(self, details):
        check(not self.is_wrong, "a login with a wrong secret")
        if self.method == "wamp-scram":
            check(base64.b64decode(details["authextra"]["verifier"]) == self.verifier, "the router's signature")
