# SPDX-License-Identifier: Apache-2.0
"""Clients: connections that begin and end, and the times at which their sessions do something."""

import collections
import random
import selectors
import time

import actions
import meta
import wire
from model import check
from session import Session
from utils import SLOW


class Failure(Exception):
    """The test has failed. Names the client and the message, if it was one."""

    def __init__(self, what, actor=None, message=None):
        super().__init__(what)
        self.what, self.actor, self.message = what, actor, message


class Client:
    """One connection at a time, and one session after the other."""

    def __init__(self, run, name, realm):
        self.run, self.name, self.realm, self.world = run, name, realm, run.world
        self.rng = random.Random(f"{run.seed} {name}")
        self.session = self.wire = None
        self.is_paused = self.is_done = self.is_writing = False
        self.log = collections.deque(maxlen=400)

    def use(self, connection, login):
        self.wire = connection
        self.run.selector.register(connection.socket, selectors.EVENT_READ, self)
        self.is_writing = self.is_paused = False
        self.log.append((time.monotonic(), "-", f"connected: {connection}"))
        self.begin(login)

    def begin(self, login):
        self.session = Session(self, self.wire, login, self.rng)
        if self.wire.is_open:
            self.session.hello()

    def poll(self):
        """Sets what to wait for."""
        mask = selectors.EVENT_READ * (not self.is_paused) | selectors.EVENT_WRITE * bool(self.wire.out)
        self.is_writing = bool(self.wire.out)
        key = self.run.selector.get_map().get(self.wire.socket)
        if mask and key:
            self.run.selector.modify(self.wire.socket, mask, self)
        elif mask:
            self.run.selector.register(self.wire.socket, mask, self)
        elif key:
            self.run.selector.unregister(self.wire.socket)

    def wants_to_write(self):
        if not self.is_writing and self.wire:
            self.poll()

    def on_event(self, mask):
        if mask & selectors.EVENT_WRITE:
            self.wire.flush()
            if not self.wire.out:
                self.poll()
        if mask & selectors.EVENT_READ and not self.is_paused:
            self.read()

    def read(self):
        connection, was_open = self.wire, self.wire.is_open
        messages = connection.read()
        if connection.is_open and not was_open:
            self.session.hello()
        for message in messages:
            if self.wire is not connection:
                return
            try:
                self.session.on_message(message)
            except Exception as e:
                raise Failure(f"{type(e).__name__}: {e}", self, message) from e
        if connection.at_end and self.wire is connection:
            self.on_end()

    def on_end(self):
        state = self.session.state
        if state not in ("gone", "leaving") and not self.session.is_doomed and not (state == "joining" and self.is_login_trouble()):
            raise Failure(f"the connection ended, Close code {self.wire.close_code}", self)
        self.cut(self.session)

    def is_login_trouble(self):
        self.world.count("login dropped")
        return self.session.began < self.run.stood_still or self.session.login.method in ("ticket", "cryptosign", "cookie") and (
            self.session.began < self.run.authenticator_trouble)

    def cut(self, session, reset=False):
        """Ends the connection without GOODBYE."""
        if session is not self.session or self.wire is None:
            return
        session.has_left |= session.state != "gone"
        session.end()
        if self.wire.socket in self.run.selector.get_map():
            self.run.selector.unregister(self.wire.socket)
        self.wire.cut(reset)
        self.log.append((time.monotonic(), "-", "connection ended"))
        self.wire = None
        if not self.is_done:
            self.run.later(self.rng.random() * 0.5, self.connect)


class Actor(Client):
    """Does random things."""

    def connect(self):
        rng, serializer = self.rng, self.rng.choice(wire.SERIALIZERS)
        address = self.run.unix if rng.random() < 0.2 else self.run.tcp
        login, cookie = self.run.random_login(rng), None
        if rng.random() < 0.3:
            connection = wire.RawSocket(address, serializer, length=rng.choice([15, 15, 7]))
        else:
            if rng.random() < 0.1:
                cookie, login = self.run.cookie_login(rng)
            connection = wire.WebSocket(address, serializer, batched=rng.random() < 0.5, cookie=cookie)
        self.use(connection, login)

    # --- sessions ---

    def on_joined(self):
        self.later(self.rng.random() * 0.2, self.act, self.session)

    def on_left(self):
        """The router has answered GOODBYE."""
        if self.is_done or self.rng.random() < 0.5:
            self.cut(self.session)
        else:
            self.begin(self.run.random_login(self.rng))

    def on_publication(self, publication):
        pass

    def on_meta_event(self, session, holding, topic, message):
        check(holding.key[1] == topic or holding.key[0] != "exact", "a meta event of another topic")

    # --- actions ---

    def later(self, delay, function, *args):
        self.run.later(delay, function, *args)

    def act(self, session):
        if session is not self.session or session.state != "joined" or not self.run.is_acting:
            return
        rng = self.rng
        if len(session.pending) < 200:
            for _ in range(rng.choice([1, 1, 2, 3, 8])):
                rng.choices(ACTIONS, WEIGHTS)[0](session, rng)
                if session.state != "joined":
                    return
        if rng.random() < 0.003:
            self.world.count("cut")
            self.cut(session, reset=rng.random() < 0.5)
            return
        if rng.random() < 0.004:
            self.pause(session, rng.choice([0.2, 1, 3]))
        self.later(rng.expovariate(1 / self.run.pace), self.act, session)

    def pause(self, session, seconds):
        """Reads nothing for a while."""
        session.was_slow = self.is_paused = True
        self.world.count("slow reader")
        self.poll()
        self.later(seconds, self.resume, session)

    def resume(self, session):
        if session is self.session and self.wire and self.is_paused:
            self.is_paused = False
            self.poll()
            if session.is_doomed:  # the router may still have queued less than the limit
                self.later(3, self.cut, session)

    def drown(self, writer):
        """Reads nothing more, while another session of its realm sends it a lot."""
        s = self.session
        self.world.count("drowned session")
        self.pause(s, 3)
        s.doubt()
        s.is_doomed = s.has_left = True
        topics = [topic for h in s.subscriptions.values() for topic in actions.TOPICS if h.key == ("exact", topic)]
        topic = topics[0] if topics else None
        if topic is None:
            s.request(actions.SUBSCRIBE, {}, "soak.t.0", key=("exact", "soak.t.0"), get_retained=False)
            topic = "soak.t.0"
        for _ in range(150):
            actions.publish_to(writer, topic, ["w" * 100000], {"eligible": [s.id]})

    def must_end(self, session):
        """A call has ended this session, so it must soon read GOODBYE."""
        self.later(10 * SLOW, self.check_ended, session)

    def check_ended(self, session):
        if session.state != "gone" and not session.was_slow:
            raise Failure("a killed session lives", self)

    def serve(self, session, invocation):
        actions.serve(session, invocation)

    def interrupted(self, session, invocation):
        actions.interrupted(session, invocation)

    # --- the end of a round ---

    def is_quiet(self):
        s = self.session
        return s.state == "joined" and not s.pending and not s.is_doomed

    def leave(self):
        self.is_done = True
        if self.wire is None:
            return
        if self.session.state == "joined" and self.rng.random() < 0.6:
            actions.goodbye(self.session, self.rng)
        else:
            self.cut(self.session)


ALL = {**actions.ACTIONS, **meta.META}
ACTIONS, WEIGHTS = list(ALL), list(ALL.values())
