# SPDX-License-Identifier: Apache-2.0
"""Two messages of two sessions that wait at the owner of the realm, in both orders: whichever the owner
handles first wins. The owner stands still while they are sent. Of a process with one worker, nobody can
choose the order; then either outcome is right."""

import pytest
import rawclient
from rawclient import (ABORT, CALL, CANCEL, ERROR, EVENT, GOODBYE, HELLO, INTERRUPT, INVOCATION, PING, PONG, PUBLISH,
                       REGISTER, REGISTERED, RESULT, SUBSCRIBE, SUBSCRIBED, UNREGISTER, UNREGISTERED, UNSUBSCRIBE,
                       UNSUBSCRIBED, WELCOME, YIELD, WampError)
from test_kill import expect_killed
from test_meta import sessions
from test_progressive_results import Stall, start_with_stall
from utils import realm_counter

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

BYE = [GOODBYE, {}, "wamp.close.close_realm"]


def ping(client, timeout=None):
    client.send_frame(PING, b"")
    assert client.recv_frame(timeout)[0] == PONG


def answers_ping(client):
    """Whether its worker is not the owner, which stands still."""
    try:
        ping(client, 0.3)
        return True
    except TimeoutError:
        return False


class Race:
    """Two clients, on two workers if there are four. Neither worker is the owner."""

    def __init__(self, start_routerd, join, threads):
        self.threads = threads
        self.routerd, clients = start_with_stall(start_routerd, join, threads, threads - 1)
        self.everyone = [client for group in clients.values() for client in group]
        self.probe = clients[threads - 1][0]
        self.one, self.other = (clients[i % threads][i + 1] for i in range(2))

    def stall(self):
        return Stall(self.routerd, self.threads, self.probe)

    def send(self, *sends):
        """Sends in this order; each message was posted to the owner before the next one is sent."""
        for client, message in sends:
            client.send(message)
            for _ in range(2 if self.threads > 1 else 0):
                ping(client)  # the second one comes in a later turn than the message

    def run(self, *sends):
        with self.stall():
            self.send(*sends)

    def expect_silence(self, *clients):
        assert all(client.silent() == [] for client in clients)
        assert realm_counter(self.routerd, "calls_in_flight") == 0


@pytest.fixture
def race(start_routerd, join, threads):
    return Race(start_routerd, join, threads)


both_orders = pytest.mark.parametrize("swapped", [False, True], ids=["in_order", "swapped"])


def ordered(sends, swapped):
    return sends[::-1] if swapped else sends


def outcome(caller, request):
    """RESULT, or the error's URI."""
    try:
        caller.result(request)
        return RESULT
    except WampError as error:
        return error.uri.removeprefix("wamp.error.")


# --- calls ----------------------------------------------------------------------------------


@both_orders
def test_call_and_the_callees_goodbye(race, swapped):
    """The callee's worker gets an INVOCATION for a session that has said goodbye, and drops it."""
    caller, callee = race.one, race.other
    callee.register("com.example.p")
    request = caller.next_request()
    race.run(*ordered([(caller, [CALL, request, {}, "com.example.p"]), (callee, BYE)], swapped))
    expected = {False: "canceled", True: "no_such_procedure"}
    got = outcome(caller, request)
    assert got == expected[swapped] or race.threads == 1 and got in expected.values()
    message = callee.recv()
    if race.threads == 1 and message[0] == INVOCATION:
        message = callee.recv()
    assert message == [GOODBYE, {}, "wamp.close.goodbye_and_out"]
    callee.join()
    race.expect_silence(caller, callee)


def test_a_canceled_call_and_the_callees_goodbye(race):
    """The callee's worker has dropped the INVOCATION. INTERRUPT may come all the same: clients must know it
    for calls that they do not have, because it may cross their answer."""
    caller, callee = race.one, race.other
    callee.register("com.example.p")
    request = caller.next_request()
    race.run((caller, [CALL, request, {}, "com.example.p"]), (caller, [CANCEL, request, {"mode": "kill"}]),
             (callee, BYE))
    assert outcome(caller, request) in ("canceled", "no_such_procedure")
    got = [callee.recv()]
    while got[-1][0] != GOODBYE:
        got.append(callee.recv())
    assert [m[0] for m in got[:-1] if m[0] != INTERRUPT] in ([], [INVOCATION]) and len(got) <= 3
    callee.join()
    race.expect_silence(caller, callee)


@both_orders
def test_call_and_unregister(race, swapped):
    """A call that was first runs to its end, behind UNREGISTERED."""
    caller, callee = race.one, race.other
    registration = callee.register("com.example.p")
    request = caller.next_request()
    race.run(*ordered([(caller, [CALL, request, {}, "com.example.p"]),
                       (callee, [UNREGISTER, 70, registration])], swapped))
    first, answer = callee.recv(), None
    if first[0] == INVOCATION:
        assert callee.recv() == [UNREGISTERED, 70]
        callee.send([YIELD, first[1], {}])
        answer = RESULT
    else:
        assert first == [UNREGISTERED, 70]
        answer = "no_such_procedure"
    assert outcome(caller, request) == answer
    assert (answer == RESULT) == (not swapped) or race.threads == 1
    race.expect_silence(caller, callee)


@both_orders
@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_cancel_and_yield(race, mode, swapped):
    """CANCEL first: canceled, except with mode kill, which waits. YIELD first: RESULT, and no INTERRUPT."""
    caller, callee = race.one, race.other
    callee.register("com.example.p")
    request = caller.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)[1]
    race.run(*ordered([(caller, [CANCEL, request, {"mode": mode}]), (callee, [YIELD, invocation, {}])], swapped))
    got = outcome(caller, request)
    interrupts = callee.silent()
    first = RESULT if mode == "kill" else "canceled"
    assert interrupts in ([], [[INTERRUPT, invocation, {"mode": mode}]])
    if race.threads > 1:
        assert got == (RESULT if swapped else first) and bool(interrupts) == (not swapped and mode != "skip")
    callee.inbox.clear()
    assert realm_counter(race.routerd, "unknown_answers") == (got == "canceled")
    race.expect_silence(caller, callee)


@both_orders
def test_yield_and_the_callers_goodbye(race, swapped):
    """Nothing comes behind GOODBYE, and RESULT only before it."""
    caller, callee = race.one, race.other
    callee.register("com.example.p")
    request = caller.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)[1]
    race.run(*ordered([(callee, [YIELD, invocation, {}]), (caller, BYE)], swapped))
    got = []
    while not got or got[-1][0] != GOODBYE:
        got.append(caller.recv())
    assert got[:-1] in ([], [[RESULT, request, {}]])
    assert bool(got[:-1]) == (not swapped) or race.threads == 1
    interrupts = callee.silent()
    assert interrupts in ([], [[INTERRUPT, invocation, {"mode": "killnowait"}]])
    assert bool(interrupts) == swapped or race.threads == 1
    callee.inbox.clear()
    caller.join()
    race.expect_silence(caller, callee)


@both_orders
def test_a_second_call_with_the_id_and_yield(race, swapped):
    """The id is free as soon as the owner has the answer. Before that, it is a violation to use it again."""
    caller, callee = race.one, race.other
    callee.register("com.example.p")
    request = caller.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)[1]
    race.run(*ordered([(caller, [CALL, request, {}, "com.example.p"]), (callee, [YIELD, invocation, {}])], swapped))
    first = caller.recv()
    assert first[0] == (RESULT if swapped else ABORT) or race.threads == 1
    if first[0] == RESULT:
        callee.send([YIELD, callee.expect(INVOCATION)[1], {}])
        assert caller.recv() == [RESULT, request, {}]
        race.expect_silence(caller, callee)
    else:
        assert first[0] == ABORT and caller.wait_closed()[1] == []
        # the answer came before the end of the session, so the callee is not told to stop
        race.expect_silence(callee)


@both_orders
def test_two_register_the_same(race, swapped):
    register = [REGISTER, 70, {}, "com.example.p"]
    sends = ordered([(race.one, register), (race.other, register)], swapped)
    race.run(*sends)
    answers = [client.recv() for client, _ in sends]
    assert sorted(m[0] for m in answers) == [ERROR, REGISTERED]
    assert [m[0] for m in answers] == [REGISTERED, ERROR] or race.threads == 1
    assert next(m for m in answers if m[0] == ERROR)[4] == "wamp.error.procedure_already_exists"


@both_orders
def test_publish_and_unsubscribe(race, swapped):
    publisher, subscriber = race.one, race.other
    subscription = subscriber.subscribe("com.example.t")
    race.run(*ordered([(publisher, [PUBLISH, 70, {}, "com.example.t"]),
                       (subscriber, [UNSUBSCRIBE, 71, subscription])], swapped))
    publisher.silent()
    got = [m[0] for m in subscriber.silent()]
    assert got in ([EVENT, UNSUBSCRIBED], [UNSUBSCRIBED])
    assert got[0] == (UNSUBSCRIBED if swapped else EVENT) or race.threads == 1


@both_orders
def test_publish_and_subscribe(race, swapped):
    publisher, subscriber = race.one, race.other
    race.run(*ordered([(publisher, [PUBLISH, 70, {}, "com.example.t"]),
                       (subscriber, [SUBSCRIBE, 71, {}, "com.example.t"])], swapped))
    publisher.silent()
    got = [m[0] for m in subscriber.silent()]
    assert got in ([SUBSCRIBED], [SUBSCRIBED, EVENT])
    assert len(got) == 1 + swapped or race.threads == 1


# --- kills ----------------------------------------------------------------------------------


@both_orders
def test_kill_and_goodbye(race, swapped):
    """The victim's worker waits for the end of the session when the kill arrives. There is one GOODBYE."""
    killer, victim = race.one, race.other
    request = killer.next_request()
    race.run(*ordered([(killer, [CALL, request, {}, "wamp.session.kill", [victim.session]]), (victim, BYE)], swapped))
    got = outcome(killer, request)
    assert got == ("no_such_session" if swapped else RESULT) or race.threads == 1
    if got == RESULT:
        expect_killed(victim)
    else:
        assert victim.recv() == [GOODBYE, {}, "wamp.close.goodbye_and_out"]
        victim.join()  # the connection was not killed
        assert victim.silent() == []
    assert (victim.session in sessions(killer)) == (got != RESULT)
    race.expect_silence(killer)


@both_orders
def test_kill_and_violation(race, swapped):
    """The victim's worker has sent ABORT when the kill arrives. Nothing comes behind ABORT."""
    killer, victim = race.one, race.other
    request = killer.next_request()
    call = (killer, [CALL, request, {}, "wamp.session.kill", [victim.session]])
    with race.stall():
        if not swapped:
            race.send(call)
        victim.send([99])
        if race.threads > 1:
            assert victim.recv()[0] == ABORT and victim.wait_closed()[1] == []
        if swapped:
            race.send(call)
    got = outcome(killer, request)
    assert got == ("no_such_session" if swapped else RESULT) or race.threads == 1
    if race.threads == 1:
        assert victim.recv()[0] in (GOODBYE, ABORT) and victim.wait_closed()[1] == []
    assert victim.session not in sessions(killer)
    race.expect_silence(killer)


@both_orders
def test_kill_and_join(race, connect, swapped):
    """Who joined before the kill gets WELCOME and GOODBYE. Who joins behind it lives."""
    killer = race.one
    others = len(race.everyone) - 1
    request = killer.next_request()
    joining = [connect(race.routerd, "cbor") for _ in range(4 * race.threads)]
    with race.stall():
        if race.threads > 1:
            joining = [client for client in joining if answers_ping(client)]
        kill_all = [(killer, [CALL, request, {}, "wamp.session.kill_all"])]
        hellos = [(client, [HELLO, "devices", {"roles": {"caller": {}}, "authmethods": ["anonymous"]}])
                  for client in joining]
        race.send(*(hellos + kill_all if swapped else kill_all + hellos))
    (killed,) = killer.result(request)[0]
    assert killed == others + (len(joining) if swapped else 0) or race.threads == 1
    alive = sessions(killer)
    for client in joining:
        client.session = client.expect(WELCOME)[1]
        if client.session in alive:
            assert client.silent() == []
        else:
            expect_killed(client)
    assert len(alive) == 1 + len(joining) - (killed - others) > 1 - swapped
