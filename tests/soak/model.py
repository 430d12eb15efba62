# SPDX-License-Identifier: Apache-2.0
"""What the soak test knows about the realms, and so what a session may, must and must not receive.

The router handles a request at some moment between its sending and its answer. So a subscription or
registration is certain from the receipt of SUBSCRIBED or REGISTERED until its session does anything
that may end it, and possible from the request to the confirmed end. What must happen follows from
what is certain, what must not happen from what is possible. A tick is a moment: it counts all
messages sent and received.
"""

import collections
import itertools
import math


class Violation(Exception):
    """The router did something wrong."""


def check(condition, what, *values):
    if not condition:
        raise Violation(" ".join([what, *map(repr, values)]))


# --- URIs and patterns ------------------------------------------------------------------------


def matches(match, pattern, uri):
    if match == "exact":
        return pattern == uri
    if match == "prefix":
        return uri.startswith(pattern)
    want, have = pattern.split("."), uri.split(".")
    return len(want) == len(have) and all(w in ("", h) for w, h in zip(want, have))


def rank(key):
    """Orders the keys (match, pattern) that match one URI: the largest one gets the call."""
    match, pattern = key
    if match == "wildcard":
        return 0, [i for i, part in enumerate(pattern.split(".")) if not part] + [math.inf]
    return (2, 0) if match == "exact" else (1, len(pattern))


def event_order(key):
    """The order of the EVENTs of one publication to one session."""
    match, pattern = key
    return {"exact": (0, 0), "prefix": (1, len(pattern)), "wildcard": (2, 0)}[match]


# --- what there is ----------------------------------------------------------------------------


class Holding:
    """A subscription or registration of one session."""

    def __init__(self, session, key, id, tick):
        self.session, self.key, self.id = session, key, id
        self.since = tick  # when it was confirmed
        self.until = None  # when it became uncertain
        self.is_over = False  # the end is confirmed
        self.revocable = self.is_leaving = self.discloses = False
        self.owed = {}  # publications whose EVENT must come -> tick of the verdict
        self.retained_requests = 0
        self.retained_seen = {}  # topic -> how often
        self.retained_owed = {}  # topic -> the publication that was kept when it asked
        self.retained_asked = 0  # tick of the last SUBSCRIBE with get_retained
        self.last = {}  # publisher's uid -> its last sequence number
        self.concurrency = self.active = self.revokers = 0
        self.invoke = "single"

    def is_certain(self):
        return self.until is None and self.session.until is None

    def doubt(self, tick):
        if self.until is None:
            self.until = tick

    def revoke(self, tick):
        """Somebody else may have taken it away."""
        self.doubt(tick)
        self.revocable = True
        self.revokers += 1


class Publication:
    def __init__(self, session, token, seq, topic, options, args, kwargs, tick):
        self.session, self.token, self.seq, self.topic, self.options = session, token, seq, topic, options
        self.args, self.kwargs = args, kwargs
        self.sent, self.settled = tick, None
        self.id = None
        self.got = set()  # (uid of the session, id of the subscription)
        self.expected = []  # holdings that were certain when it was sent
        self.is_wild = False  # JSON cannot express it
        self.size = 0
        self.is_refused = False
        self.is_unsure = False  # the router may have refused it, and would not say so
        self.order = 0  # the observer's number, when it has seen it
        self.state = "sent"  # a testament: sent, added, flushing, flushed

    def is_plain(self):
        return "enc_algo" not in self.options and not self.is_wild

    def is_for_all(self):
        return not any(name.startswith("eligible") or (name.startswith("exclude") and name != "exclude_me" and value)
                       for name, value in self.options.items())

    def allows(self, session):
        """Whether the lists and exclude_me allow this session to get it."""
        return (session is not self.session or not self.options.get("exclude_me", True)) and self.lists_allow(session)

    def lists_allow(self, session):
        o = self.options
        for kind, value in (("", session.id), ("_authid", session.authid), ("_authrole", session.role)):
            if value in o.get("exclude" + kind, ()):
                return False
            if "eligible" + kind in o and value not in o["eligible" + kind]:
                return False
        return True

    def reaches(self, session):
        """Whether this session can read it."""
        return ((session.serializer != "json" or not self.is_wild)
                and ("enc_algo" not in self.options or session.has("subscriber", "payload_transparency"))
                and self.size < session.max_message)


class Realm:
    def __init__(self, name, world):
        self.name, self.world = name, world
        self.subscriptions, self.registrations = {}, {}  # key -> set of Holdings that are not over
        self.sessions = {}  # id -> Session that may live
        self.retained = {}  # topic -> its retained publications, the newest last
        self.history = {}  # key -> the publications that its history may have, in their order
        self.matching = {}  # topic -> keys of subscriptions; made anew when a key comes
        self.observer = None
        self.takeovers = {}  # key -> REGISTERs with force_reregister
        self.kills = []
        self.removals = []  # (kind, id, session, call): what remove_callee and remove_subscriber take away
        self.gone = {}  # id of a session -> tick after which nothing shows it
        self.lost = collections.deque(maxlen=3000)  # (tick, key, session) of registrations that ended
        self.unconfirmed = []  # (key, session) of REGISTERs without an answer before the end of their session

    def has_lost(self, call, left=False):
        """Whether a callee that may have had this call has gone; with `left`, not only its registration."""
        return any(tick > call.tick and not (left and session.until is None) and matches(*key, call.uri)
                   for tick, key, session in self.lost) or any(
                       matches(*key, call.uri) for key, _ in self.unconfirmed) or any(
                           matches(*key, call.uri) for session in self.sessions.values() if session.until is not None
                           for key in session.unconfirmed())

    def unconfirmed_callees(self, uri):
        """The sessions that may have a registration of this URI without having read REGISTERED."""
        return [session for key, session in [*self.unconfirmed, *((key, session) for session in self.sessions.values()
                                                                  for key in session.unconfirmed())]
                if matches(*key, uri)]

    def left(self, session):
        """The router says that this session has left."""
        self.gone.setdefault(session.id, self.world.tick)
        for key, who in [*self.unconfirmed, *((key, session) for key in session.unconfirmed())]:
            if who is session:
                self.lost.append((self.world.tick, key, session))
        self.unconfirmed = [(key, who) for key, who in self.unconfirmed if who is not session]
        for kind, mine in (("subscription", session.subscriptions), ("registration", session.registrations)):
            for holding in mine.values():
                if not holding.is_over:
                    self.remove(kind, holding)

    def take_over(self, request):
        """Somebody sends a REGISTER with force_reregister."""
        self.takeovers.setdefault(request.key, []).append(request)
        for holding in self.registrations.get(request.key, ()):
            holding.revoke(self.world.tick)

    def may_be_taken(self, kind, request, session, id):
        """Whether what this request has made may have been taken away before its answer came."""
        takers = [t for t in self.takeovers.get(request.key, ()) if kind == "registration" and t is not request]
        takers += [call for k, i, who, call in self.removals if (k, i, who) == (kind, id, session)]
        return any(not t.is_over or request.tick < t.end for t in takers)

    def holdings(self, kind):
        return self.subscriptions if kind == "subscription" else self.registrations

    def add(self, kind, holding):
        table = self.holdings(kind)
        if holding.key not in table:
            table[holding.key] = set()
            self.matching.clear()
        table[holding.key].add(holding)

    def remove(self, kind, holding):
        holding.is_over = True
        if kind == "registration":
            self.lost.append((self.world.tick, holding.key, holding.session))
        self.holdings(kind)[holding.key].discard(holding)

    def subscriptions_of(self, topic):
        keys = self.matching.get(topic)
        if keys is None:
            keys = self.matching[topic] = [k for k in self.subscriptions if matches(*k, topic)]
        return itertools.chain.from_iterable(self.subscriptions[k] for k in keys)

    def registrations_of(self, uri):
        return [h for k, holdings in self.registrations.items() if matches(*k, uri) for h in holdings]


class World:
    def __init__(self):
        self.tick = 0
        self.realms = {}
        self.publications = {}  # token -> Publication
        self.calls = {}  # token -> Call
        self.used = {"subscription": {}, "registration": {}}  # id -> (realm, key): never another one's
        self.revoked = None  # the tick since which free and device may not use rev.
        self.uids, self.orders = itertools.count(1), itertools.count(1)
        self.seen = {}  # how often each kind of thing happened

    def count(self, what):
        self.seen[what] = self.seen.get(what, 0) + 1

    def new_id(self, kind, id, realm, key):
        """An id of the router belongs to one topic or procedure for ever."""
        first = self.used[kind].setdefault(id, (realm.name, key))
        check(first == (realm.name, key), f"the id of a {kind} is used twice", id, first, (realm.name, key))

    # --- publications ---

    def publish(self, publication):
        self.publications[publication.token] = publication
        realm = publication.session.realm
        if publication.options.get("retain"):
            self.keep(publication)
        publication.expected = [h for h in realm.subscriptions_of(publication.topic)
                                if h.is_certain() and publication.allows(h.session) and publication.reaches(h.session)]

    def settle(self, publication):
        """The router has handled it: whoever was certain to get it gets it."""
        if publication.is_unsure:
            return
        publication.settled = self.tick
        for holding in publication.expected:
            if holding.is_certain() and (holding.session.uid, holding.id) not in publication.got:
                holding.owed[publication] = self.tick
        publication.expected = ()

    @staticmethod
    def keep(publication):
        """A publication that may be retained from now on."""
        kept = publication.session.realm.retained.setdefault(publication.topic, [])
        kept.append(publication)
        del kept[:-60]

    def must_have_retained(self, session, topic):
        """The retained event for all that a session which subscribes now must get, or None."""
        kept = session.realm.retained.get(topic, ())
        newest = next((p for p in reversed(kept) if p.is_for_all() and p.settled), None)
        # one that is not settled may have replaced it, and the newest that is for this session comes, or none
        return newest if all((p.is_plain() and p.reaches(session)) if p.allows(session) else not p.is_for_all()
                             for p in kept) else None

    def event(self, session, holding, message):
        """An EVENT with a token in its payload. Returns the publication."""
        _, id, publication_id, details, *payload = message
        p = self.publications.get(token_of(payload[0] if payload else [], details))
        check(p, "an event that nobody has published")
        check(p.session.realm is session.realm, "an event of another realm", p.session)
        check(matches(*holding.key, p.topic), "an event of another topic", p.topic, holding.key)
        check(holding.key[0] == "exact" or details.get("topic") == p.topic, "the topic in Details", p.topic)
        check(p.allows(session), "an event for others", p.options, session.id, session.authid, session.role)
        check(not p.is_refused, "an event whose publication was refused")
        check(p.id in (None, publication_id), "another publication id", p.id)
        p.id = publication_id
        self.check_payload(p, payload)
        self.check_details(session, p, details)
        if details.get("retained"):
            self.retained_event(session, holding, p)
        else:
            self.live_event(session, holding, p)
        return p

    @staticmethod
    def check_payload(thing, payload):
        expected = [thing.args, thing.kwargs] if thing.kwargs else [thing.args] if thing.args else []
        check(same(payload, expected), "a payload has changed", expected)

    @staticmethod
    def check_details(session, p, details):
        for name in ("ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"):
            expected = p.options.get(name) if p.options.get("ppt_scheme") else None
            check(details.get(name) == expected, name, expected)
        disclosed, trust = p.session.policy(p.topic, p.options.get("disclose_me"))
        if disclosed is not None:
            expected = (p.session.id, p.session.authid, p.session.role) if disclosed else (None, None, None)
            shown = tuple(details.get("publisher" + x) for x in ("", "_authid", "_authrole"))
            check(shown == expected, "the publisher in Details", expected)
        check(details.get("trustlevel") == trust, "the trust level", trust)

    def live_event(self, session, holding, p):
        check(p.state != "flushed", "a testament that was flushed")
        check(p.state == "sent" or p.session.until is not None, "a testament of a session that lives")
        check(not (p.topic.startswith("rev.") and session.role in ("free", "device")
                   and self.revoked is not None and p.sent > self.revoked), "an event that a reload has forbidden")
        key = session.uid, holding.id
        check(key not in p.got, "an event came twice")
        p.got.add(key)
        holding.owed.pop(p, None)
        publisher = p.session.uid
        check(p.seq > holding.last.get(publisher, -1), "events of a publisher in the wrong order", p.seq,
              holding.last.get(publisher))
        holding.last[publisher] = p.seq
        # all EVENTs of a publication before the next one
        before = session.last_event.get(publisher)
        now = (p.seq, event_order(holding.key))
        check(before is None or now >= before, "events of several subscriptions in the wrong order", before, now)
        session.last_event[publisher] = now
        self.count("event")

    def retained_event(self, session, holding, p):
        check(p.options.get("retain"), "retained, but not published so")
        holding.retained_owed.pop(p.topic, None)
        seen = holding.retained_seen.get(p.topic, 0) + 1
        holding.retained_seen[p.topic] = seen
        check(seen <= holding.retained_requests + session.retained_pending, "a retained event too often", seen)
        kept = session.realm.retained.get(p.topic, ())
        for newer in kept:
            if newer.settled and p.settled and p.settled < newer.sent and newer.settled < holding.retained_asked:
                # eight with lists are kept
                later = sum(not (x.settled and x.settled < newer.sent) for x in kept) - 1
                check(not (newer.is_for_all() or (newer.allows(session) and later < 8)), "an old retained event",
                      newer.token, newer.options)
        self.count("retained event")

    def check_owed(self, holding):
        """All that the router owed for a subscription must have come by now."""
        for p in holding.owed:
            raise Violation(f"subscription {holding.id} {holding.key} of {holding.session} missed {p.token} "
                            f"{p.topic} {p.options}")
        for topic, p in holding.retained_owed.items():
            raise Violation(f"subscription {holding.id} of {holding.session} missed the retained event of {topic}: "
                            f"{p.token} {p.options} {p.size} {p.sent} {p.settled} {p.session}; of "
                            f"{[(x.token, x.options, x.sent, x.settled) for x in holding.session.realm.retained[topic]]}")


def token_of(args, details):
    """The token of a publication or call. A payload without one has it in its option ppt_keyid."""
    return args.decode() if isinstance(args, bytes) else args[0] if args else details.get("ppt_keyid")


def same(a, b):
    """Equality for which NaN is equal to itself, and a tuple to a list."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (a != a and b != b)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return a == b and isinstance(a, bool) == isinstance(b, bool)
