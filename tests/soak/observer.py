# SPDX-License-Identifier: Apache-2.0
"""A session that sees all events of a realm, and so what the router says about its state."""

import wire
from actions import call_meta
from client import Client
from meta import Kill
from model import check, matches
from session import SUBSCRIBE, Login


HISTORIES = {"exact": ("exact", "soak.hist.t"), "prefix": ("prefix", "soak.h.")}  # of every realm


class Observer(Client):
    """It is there before all other sessions of a round, and leaves after them."""

    def __init__(self, run, realm):
        super().__init__(run, f"observer of {realm.name}", realm)
        realm.observer = self
        self.is_ready = False
        self.live = {}  # session id -> Session, or None if it never saw its WELCOME
        self.holders = {"subscription": {}, "registration": {}}  # id -> ids of sessions
        self.ended = {"subscription": set(), "registration": set()}

    def connect(self):
        self.use(wire.WebSocket(self.run.tcp, "msgpack", batched=True), Login("ticket", "boss", "boss", "ticket of boss"))

    def on_joined(self):
        s = self.session
        s.request(SUBSCRIBE, {"match": "prefix"}, "", key=("prefix", ""), get_retained=False)
        call_meta(s, "wamp.subscription.list", [], self.on_list)

    def on_list(self, session, call, payload):
        """The subscriptions of the histories are there without on_create."""
        own = set(session.subscriptions)
        lists = payload[0][0]
        self.pinned = {id: key for match, key in HISTORIES.items() for id in lists[match] if id not in own}
        check(len(own) == 1 and len(self.pinned) == 2, "subscriptions before the first session", own)
        self.holders["subscription"] = {id: set() for id in self.pinned}
        self.is_ready = True

    def on_publication(self, publication):
        if not publication.order:
            publication.order = next(self.world.orders)
        for key in HISTORIES.values():
            if matches(*key, publication.topic):
                seen = self.realm.history.setdefault(key, [])
                seen.append(publication)
                del seen[:-400]

    # --- meta events ---

    def on_meta_event(self, session, holding, topic, message):
        kind, event = topic.removeprefix("wamp.").split(".")
        args = message[4]
        self.world.count(topic)
        if kind == "session":
            self.on_session(event, args)
            return
        if args[0] == session.id:
            return
        check(args[0] in self.live, f"{topic} of a session that is not there")
        id = args[1]["id"] if event == "on_create" else args[1]
        holders = self.holders[kind]
        if event == "on_create":
            check(id not in holders and id not in self.ended[kind], f"{topic}: the id is not new")
            holders[id] = set()
        elif event == "on_delete":
            check(id in holders and not holders[id], f"{topic}: it has sessions", holders.get(id))
            del holders[id]
            self.ended[kind].add(id)
        elif event in ("on_subscribe", "on_register"):
            check(id in holders and args[0] not in holders[id], f"{topic}: unknown, or a second time")
            holders[id].add(args[0])
        else:
            check(args[0] in holders.get(id, ()), f"{topic}: the session did not have it")
            holders[id].remove(args[0])

    def on_session(self, event, args):
        if event == "on_join":
            id = args[0]["session"]
            check(id not in self.live, "on_join twice")
            self.live[id] = args[0]
            return
        id = args[0]
        check(id in self.live, "on_leave without on_join")
        check(args[1:3] == [self.live[id]["authid"], self.live[id]["authrole"]], "on_leave: authid and role")
        for kind, holders in self.holders.items():
            check(not any(id in ids for ids in holders.values()), f"on_leave before the end of its {kind}s")
        del self.live[id]
        session = self.realm.sessions.pop(id, None)
        if session:
            check(session.until is not None, "on_leave of a session that lives", str(session))
            for p in session.testaments:
                check(p.state != "added" or p.order or not (p.allows(self.session) and p.reaches(self.session)),
                      "on_leave before a testament", p.token, p.topic, p.options, str(session))
                self.world.count("testament")
            self.realm.left(session)

    # --- the end of a round ---

    def check_quiet(self):
        """No request is open. The meta procedures, the meta events and the sessions' answers agree."""
        s, sessions = self.session, [a.session for a in self.run.actors if a.realm is self.realm]
        self.expected = {x.id for x in sessions}
        for x in sessions:
            for holding in x.subscriptions.values():
                if not x.was_slow:
                    self.world.check_owed(holding)
        call_meta(s, "wamp.session.list", [], self.check_sessions)
        for kind, people in (("subscription", "subscribers"), ("registration", "callees")):
            for id in self.holders[kind]:
                call_meta(s, f"wamp.{kind}.list_{people}", [id],
                          lambda s, call, payload, kind=kind, id=id: self.check_holders(kind, id, payload[0][0]))

    def check_sessions(self, session, call, payload):
        check(set(payload[0][0]) == self.expected | {session.id}, "the sessions", payload)
        check(set(self.live) == self.expected, "the sessions according to the meta events", self.live.keys())

    def check_holders(self, kind, id, sessions):
        check(set(sessions) - {self.session.id} == self.holders[kind][id], f"the sessions of {kind} {id}",
              self.holders[kind][id])
        # a session may not know that something was taken away from it
        for session in (self.realm.sessions[i] for i in self.expected):
            holding = (session.subscriptions if kind == "subscription" else session.registrations).get(id)
            is_holder = session.id in sessions
            check(is_holder or not holding or holding.revocable, f"{session} is not in {kind} {id}")
            check(holding or not is_holder, f"{session} is in {kind} {id}")

    def is_quiet(self):
        return not self.session.pending

    def kill_all(self):
        """Ends all sessions of the realm, about which there are no events."""
        kill = Kill(self.session, lambda session: True, "wamp.close.killed")
        kill.certain = [s for s in self.realm.sessions.values() if s.state == "joined" and s is not self.session]

        def verify(session, call, payload):
            check(payload[0][0] == len(kill.certain), "the number of ended sessions", len(kill.certain))
            self.live.clear()
            self.holders = {"subscription": {id: set() for id in self.pinned}, "registration": {}}
            for victim in kill.certain:
                self.realm.left(victim)

        call_meta(self.session, "wamp.session.kill_all", [], verify)

    def is_alone(self):
        return not self.live

    def check_end(self):
        for kind, holders in self.holders.items():
            check(holders.keys() <= self.pinned.keys() and not any(holders.values()), f"all have left, but there are {kind}s",
                  holders)
        for holding in self.session.subscriptions.values():
            self.world.check_owed(holding)

    def leave(self):
        self.is_done = True
        self.cut(self.session)
