# SPDX-License-Identifier: Apache-2.0
"""Several clients do random things at any time; each checks that what it receives makes sense.

Each request gets exactly one answer, of the right type. Events arrive only between SUBSCRIBED and
UNSUBSCRIBED, invocations only between REGISTERED and UNREGISTERED, numbered from 1. A result
belongs to its call. Nothing of one session reaches the next session on the same transport.
"""

import random
import select
import time

import pytest
import utils
from rawclient import (CALL, ERROR, EVENT, GOODBYE, INVOCATION, PUBLISH, PUBLISHED, REGISTER, REGISTERED, RESULT,
                       SERIALIZERS, SUBSCRIBE, SUBSCRIBED, UNREGISTER, UNREGISTERED, UNSUBSCRIBE, UNSUBSCRIBED,
                       WELCOME, YIELD)

pytestmark = pytest.mark.parametrize("transport", ["websocket", "universal"], indirect=True)

SECONDS = 3
TOPICS = [f"com.example.t{i}" for i in range(4)]
PROCEDURES = [f"com.example.p{i}" for i in range(4)]
ANSWERS = {SUBSCRIBE: SUBSCRIBED, UNSUBSCRIBE: UNSUBSCRIBED, PUBLISH: PUBLISHED, REGISTER: REGISTERED,
           UNREGISTER: UNREGISTERED, CALL: RESULT}


class Actor:
    def __init__(self, name, connect, rng):
        self.name, self.connect, self.rng = name, connect, rng
        self.sessions = 0
        self.enter(self.connect())

    def enter(self, client):
        """Begins a session, on a new transport or on the current one."""
        self.client = client
        self.sessions += 1
        self.request = self.invocations = 0
        self.pending = {}  # request -> (type, data that its answer needs)
        self.subscriptions, self.registrations = set(), set()
        self.held = []  # invocations to be answered later
        self.state = "joining"
        client.hello()

    # --- what it does ---

    def some_request(self):
        """Returns (type, fields) of a request. An id of a subscription or registration may be wrong."""
        dice = self.rng.random()
        if dice < 0.13:
            return SUBSCRIBE, [{}, self.rng.choice(TOPICS)]
        if dice < 0.23:
            return UNSUBSCRIBE, [self.rng.choice([*self.subscriptions, 99999])]
        if dice < 0.47:
            options = {"acknowledge": self.rng.random() < 0.5, "exclude_me": self.rng.random() < 0.5}
            return PUBLISH, [options, self.rng.choice(TOPICS), [self.name]]
        if dice < 0.57:
            return REGISTER, [{}, self.rng.choice(PROCEDURES)]
        if dice < 0.65:
            return UNREGISTER, [self.rng.choice([*self.registrations, 99999])]
        return CALL, [{}, self.rng.choice(PROCEDURES), [self.name, self.sessions, self.request]]

    def act(self):
        messages = []
        for _ in range(self.rng.randrange(1, 25)):
            if self.held and self.rng.random() < 0.1:
                messages.append(self.answer(self.held.pop(self.rng.randrange(len(self.held)))))
                continue
            self.request += 1
            kind, fields = self.some_request()
            messages.append([kind, self.request, *fields])
            if kind != PUBLISH or fields[0]["acknowledge"]:
                self.pending[self.request] = kind, fields[0]
        if self.rng.random() < 0.2:
            messages.append([YIELD, self.rng.randrange(10**6, 10**7), {}])
        if self.rng.random() < 0.06:
            messages.append([GOODBYE, {}, "wamp.close.close_realm"])
            self.state = "leaving"
        self.client.send(*messages)
        if self.rng.random() < 0.03:
            self.client.close_socket()
            self.enter(self.connect())

    def answer(self, invocation):
        if self.rng.random() < 0.7:
            return [YIELD, invocation[1], {}, invocation[4]]
        return [ERROR, INVOCATION, invocation[1], {}, "com.example.e", invocation[4]]

    # --- what it sees ---

    def on_message(self, message):
        kind = message[0]
        if kind == WELCOME:
            assert self.state == "joining"
            self.state = "joined"
            return
        assert self.state != "joining", "a message of the former session"
        if kind == GOODBYE:
            assert self.state == "leaving"
            self.enter(self.client)
        elif kind == EVENT:
            assert message[1] in self.subscriptions
        elif kind == INVOCATION:
            self.on_invocation(message)
        else:
            self.on_answer(message)

    def on_invocation(self, message):
        self.invocations += 1
        assert message[1] == self.invocations and message[2] in self.registrations
        if self.state == "leaving":
            return
        dice = self.rng.random()
        if dice < 0.7:
            # sometimes answer twice: the router must ignore the second
            self.client.send(*[self.answer(message) for _ in range(1 if dice < 0.6 else 2)])
        else:
            self.held.append(message)

    def on_answer(self, message):
        request = message[2] if message[0] == ERROR else message[1]
        assert request in self.pending, "an answer without a request, or a second answer"
        kind, about = self.pending.pop(request)
        mine = [self.name, self.sessions, request]
        if message[0] == ERROR:
            assert message[1] == kind and kind not in (SUBSCRIBE, PUBLISH)
            assert message[4] != "com.example.e" or message[5] == mine
            assert about not in (self.subscriptions if kind == UNSUBSCRIBE else self.registrations
                                 if kind == UNREGISTER else ())
            return
        assert message[0] == ANSWERS[kind]
        if kind == SUBSCRIBE:
            self.subscriptions.add(message[2])
        elif kind == REGISTER:
            assert message[2] not in self.registrations
            self.registrations.add(message[2])
        elif kind == UNSUBSCRIBE:
            self.subscriptions.remove(about)
        elif kind == UNREGISTER:
            self.registrations.remove(about)
        elif kind == CALL:
            assert message[3] == mine

    def look(self):
        """Checks the messages that have arrived."""
        client = self.client
        while client is self.client and (
                client.inbox or client.buffer or select.select([client.socket], [], [], 0)[0]):
            message = client.recv()
            try:
                self.on_message(message)
            except (AssertionError, KeyError) as e:
                raise AssertionError(f"{self.name} {self.client.protocol} {self.state}: {message}") from e

    def settle(self):
        """Sends the answers that it still owes. Returns True when nothing is pending."""
        self.look()
        if self.state == "joined" and self.held:
            self.client.send(*[self.answer(m) for m in self.held])
            self.held = []
        return self.state == "joined" and not self.pending


def test_anything_at_any_time(routerd, connect):
    seed = random.randrange(10**9)
    print("seed", seed)
    rng = random.Random(seed)
    actors = [Actor(f"a{i}", lambda: connect(routerd, rng.choice(SERIALIZERS)), rng) for i in range(8)]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for actor in actors:
            if actor.state == "joined" and rng.random() < 0.6:
                actor.act()
            if rng.random() < 0.8:
                actor.look()
    utils.wait_for(lambda: all([a.settle() for a in actors]), "an answer to every request", 10)
    routerd.check_threads()
