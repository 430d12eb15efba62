# SPDX-License-Identifier: Apache-2.0
"""Two messages of two sessions that wait at the owner of the realm, in both orders: whichever the owner
handles first wins. The owner stands still while they are sent. Of a process with one worker, nobody can
choose the order; then either outcome is right. test_end_races.py has the races of kills and testaments."""

import pytest
import rawclient
from rawclient import (ABORT, CALL, CANCEL, ERROR, EVENT, GOODBYE, HELLO, INTERRUPT, INVOCATION, PING, PONG,
                       PUBLISH, REGISTER, REGISTERED, RESULT, SUBSCRIBE, SUBSCRIBED, UNREGISTER, UNREGISTERED,
                       UNSUBSCRIBE, UNSUBSCRIBED, WELCOME, YIELD, WampError)
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
    """Three clients, on three workers if there are four. None of these is the owner."""

    def __init__(self, start_routerd, join, threads, **options):
        self.threads = threads
        self.routerd, clients = start_with_stall(start_routerd, join, threads, threads - 1, **options)
        self.everyone = [client for group in clients.values() for client in group]
        self.probe = clients[threads - 1][0]
        self.one, self.other, self.third = (clients[i % threads][i + 1] for i in range(3))

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


@both_orders
def test_retain_and_subscribe(race, swapped):
    """The event comes once: as a retained one, or live."""
    publisher, subscriber = race.one, race.other
    race.run(*ordered([(publisher, [PUBLISH, 70, {"retain": True}, "com.example.t"]),
                       (subscriber, [SUBSCRIBE, 71, {"get_retained": True}, "com.example.t"])], swapped))
    publisher.silent()
    got = subscriber.silent()
    assert [m[0] for m in got] == [SUBSCRIBED, EVENT]
    assert got[1][3] == ({} if swapped else {"retained": True}) or race.threads == 1


@both_orders
def test_get_events_and_publish(start_routerd, join, threads, swapped):
    """A subscriber that asks for a page gets the EVENT before the RESULT and in the page, or only behind the
    RESULT: nothing lies between the page and the live events."""
    race = Race(start_routerd, join, threads, history=[{"uri": "com.example.t"}])
    publisher, reader = race.one, race.other
    subscription = reader.subscribe("com.example.t")
    publisher.publish("com.example.t", ["first"], acknowledge=True)
    reader.expect(EVENT)
    request = reader.next_request()
    race.run(*ordered([(publisher, [PUBLISH, publisher.next_request(), {}, "com.example.t", ["second"]]),
                       (reader, [CALL, request, {}, "wamp.subscription.get_events", [subscription], {}])], swapped))
    publisher.silent()
    got = [[e["args"][0] for e in m[3]] if m[0] == RESULT else m[4][0] for m in reader.silent()]
    assert got in (["second", ["first", "second"]], [["first"], "second"])
    assert got[-1] == ("second" if swapped else ["first", "second"]) or race.threads == 1


@both_orders
def test_get_events_and_the_callers_end(start_routerd, join, threads, swapped):
    """A page for a session that has gone is freed; its caller is not there any more."""
    race = Race(start_routerd, join, threads, history=[{"uri": "com.example.t"}])
    caller, other = race.one, race.other
    ((subscription,), _) = caller.call("wamp.subscription.lookup", ["com.example.t"])
    other.publish("com.example.t", ["x" * 100000], acknowledge=True)
    with race.stall():
        race.send((caller, [CALL, caller.next_request(), {}, "wamp.subscription.get_events", [subscription], {}]))
        if swapped:
            caller.close_socket()
        else:
            caller.send(BYE)
    if not swapped:
        assert [m[0] for m in (caller.recv(), caller.recv())] == [RESULT, GOODBYE]
    assert other.call("wamp.subscription.get_events", [subscription], {})[1] == {"is_limit_reached": False}
    race.expect_silence(other)


# --- takeovers, removals, re-routing --------------------------------------------------------

TAKE = [REGISTER, 80, {"force_reregister": True}, "com.example.p"]


@both_orders
def test_takeover_and_unregister(race, swapped):
    """A callee that was not told learns that it has lost the procedure."""
    holder, taker = race.one, race.other
    registration = holder.register("com.example.p")
    race.run(*ordered([(taker, TAKE), (holder, [UNREGISTER, 70, registration])], swapped))
    registered, answer = taker.recv(), holder.recv()
    assert registered[:2] == [REGISTERED, 80] and registered[2] > registration
    assert answer == [UNREGISTERED, 70] or answer[:5] == [ERROR, UNREGISTER, 70, {}, "wamp.error.no_such_registration"]
    assert (answer[0] == UNREGISTERED) == swapped or race.threads == 1
    race.expect_silence(holder, taker)


@both_orders
def test_takeover_and_call(race, swapped):
    """A call that was first runs to its end at the old callee."""
    holder, taker, caller = race.one, race.other, race.third
    holder.register("com.example.p")
    request = caller.next_request()
    race.run(*ordered([(taker, TAKE), (caller, [CALL, request, {}, "com.example.p"])], swapped))
    registered = taker.expect(REGISTERED)
    at_holder = [m[0] for m in holder.silent()] == [INVOCATION]
    callee = holder if at_holder else taker
    assert at_holder == swapped or race.threads == 1
    message = callee.expect(INVOCATION)
    assert at_holder or message[2] == registered[2]
    callee.send([YIELD, message[1], {}])
    caller.result(request)
    race.expect_silence(holder, taker, caller)


@both_orders
def test_two_take_over_the_same(race, swapped):
    """The last one has it."""
    sends = ordered([(race.one, TAKE), (race.other, TAKE)], swapped)
    race.third.register("com.example.p")
    race.run(*sends)
    ids = [client.expect(REGISTERED)[2] for client, _ in sends]
    assert ids[0] < ids[1] or race.threads == 1
    callee = sends[ids[1] > ids[0]][0]
    request = race.third.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)
    assert invocation[2] == max(ids)
    callee.send([YIELD, invocation[1], {}])
    race.third.result(request)
    race.expect_silence(race.one, race.other, race.third)


@both_orders
def test_takeover_and_the_holders_goodbye(race, swapped):
    holder, taker = race.one, race.other
    holder.register("com.example.p")
    race.run(*ordered([(taker, TAKE), (holder, BYE)], swapped))
    assert taker.recv()[:2] == [REGISTERED, 80]
    assert holder.recv()[0] == GOODBYE
    holder.join()
    race.expect_silence(holder, taker)


@both_orders
def test_removal_and_unsubscribe(race, swapped):
    admin, member = race.one, race.other
    subscription = member.subscribe("com.example.t")
    request = admin.next_request()
    remove = [CALL, request, {}, "wamp.subscription.remove_subscriber", [subscription, member.session]]
    race.run(*ordered([(admin, remove), (member, [UNSUBSCRIBE, 70, subscription])], swapped))
    answer = member.recv()
    removed = outcome(admin, request)
    if answer == [UNSUBSCRIBED, 70]:
        assert removed == "no_such_subscription"
    else:
        assert answer[:5] == [ERROR, UNSUBSCRIBE, 70, {}, "wamp.error.no_such_subscription"] and removed == RESULT
    assert (removed == RESULT) == (not swapped) or race.threads == 1
    race.expect_silence(admin, member)


@both_orders
def test_rerouting_and_the_next_callees_goodbye(race, swapped):
    """A callee that leaves before it has read the call ends it. One that has left is not asked."""
    callee, leaver, caller = race.one, race.other, race.third
    for client in (callee, leaver):
        client.leave()
        client.join(roles=rawclient.roles(features={"call_reroute": True, "call_canceling": True}))
        client.register("com.example.p", invoke="first")
    request = caller.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)[1]
    race.run(*ordered([(callee, [ERROR, INVOCATION, invocation, {}, "wamp.error.unavailable"]), (leaver, BYE)], swapped))
    got = leaver.recv()[0]  # with several workers, its own has dropped the INVOCATION
    assert got == GOODBYE or race.threads == 1 and got == INVOCATION and leaver.recv()[0] == GOODBYE
    answer = outcome(caller, request)
    assert answer in ("canceled", "no_available_callee")
    assert (answer == "canceled") == (not swapped) or race.threads == 1
    leaver.join()
    race.expect_silence(callee, leaver, caller)


@both_orders
def test_a_chunk_and_the_callees_goodbye(race, swapped):
    """One answer, and no INVOCATION behind the GOODBYE."""
    caller, callee = race.one, race.other
    input = {"progressive_call_invocations": True}
    for client in (caller, callee):
        client.leave()
        client.join(roles={"caller": {"features": input}, "callee": {"features": {**input, "call_canceling": True}},
                           "subscriber": {}, "publisher": {}})
    callee.register("com.example.p")
    request = caller.next_request()
    caller.send([CALL, request, {"progress": True}, "com.example.p", [1]])
    callee.expect(INVOCATION)
    race.run(*ordered([(caller, [CALL, request, {"progress": True}, "com.example.p", [2]]), (callee, BYE)], swapped))
    got = callee.recv()[0]
    assert got == GOODBYE or race.threads == 1 and got == INVOCATION and callee.recv()[0] == GOODBYE
    assert outcome(caller, request) == "canceled"
    # the rest of the input is lost without an answer
    caller.send([CALL, request, {}, "com.example.p", [3]])
    callee.join()
    race.expect_silence(caller, callee)


# --- meta procedures and events -------------------------------------------------------------


@both_orders
def test_list_and_goodbye(race, swapped):
    """Who is listed leaves behind the list, for whoever listens."""
    asker, leaver = race.one, race.other
    leave = asker.subscribe("wamp.session.on_leave")
    request = asker.next_request()
    race.run(*ordered([(asker, [CALL, request, {}, "wamp.session.list"]), (leaver, BYE)], swapped))
    got = [asker.recv(), asker.recv()]
    listed = leaver.session in next(m for m in got if m[0] == RESULT)[3][0]
    event = next(m for m in got if m[0] == EVENT)
    assert event[1] == leave and event[4][0] == leaver.session
    # the list is made behind the posts that wait, so it never names a session that has left before
    assert not listed or got.index(event) == 1
    race.expect_silence(asker)


@both_orders
def test_list_and_the_callers_goodbye(race, swapped):
    """The walk ends with its caller. Nothing comes behind GOODBYE."""
    caller = race.one
    race.run((caller, [CALL, 70, {}, "wamp.session.list"]), (race.other, [PUBLISH, 70, {}, "com.example.t"]),
             (caller, BYE))
    got = [caller.recv()]
    if got[0][0] == RESULT:
        got.append(caller.recv())
    assert got[-1] == [GOODBYE, {}, "wamp.close.goodbye_and_out"]
    caller.join()
    race.expect_silence(caller)


@both_orders
def test_subscribe_to_on_leave_and_goodbye(race, swapped):
    listener, leaver = race.one, race.other
    race.run(*ordered([(listener, [SUBSCRIBE, 70, {}, "wamp.session.on_leave"]), (leaver, BYE)], swapped))
    leaver.expect(GOODBYE)
    got = [m[0] for m in listener.silent()]
    assert got in ([SUBSCRIBED, EVENT], [SUBSCRIBED])
    assert len(got) == 2 - swapped or race.threads == 1


@both_orders
def test_unsubscribe_from_on_leave_and_goodbye(race, swapped):
    listener, leaver = race.one, race.other
    subscription = listener.subscribe("wamp.session.on_leave")
    race.run(*ordered([(listener, [UNSUBSCRIBE, 70, subscription]), (leaver, BYE)], swapped))
    leaver.expect(GOODBYE)
    got = [m[0] for m in listener.silent()]
    assert got in ([UNSUBSCRIBED], [EVENT, UNSUBSCRIBED])
    assert len(got) == 1 + swapped or race.threads == 1


@both_orders
def test_a_listener_and_its_own_end(race, swapped):
    """Two that listen to on_leave say goodbye: the first one hears nothing, the other one hears of the
    first."""
    one, other = race.one, race.other
    for client in (one, other):
        client.subscribe("wamp.session.on_leave")
    race.run(*ordered([(one, BYE), (other, BYE)], swapped))
    first, last = (other, one) if swapped else (one, other)
    got = {}
    for client in (one, other):
        got[client] = [client.recv()]
        while got[client][-1][0] != GOODBYE:
            got[client].append(client.recv())
    if race.threads == 1 and len(got[first]) == 2:
        first, last = last, first
    assert [m[0] for m in got[first]] == [GOODBYE]
    assert [m[0] for m in got[last]] == [EVENT, GOODBYE] and got[last][0][4][0] == first.session


@both_orders
def test_subscribe_to_on_join_and_join(race, connect, swapped):
    listener, joining = race.one, connect(race.routerd)
    hello = [HELLO, "devices", {"roles": {"caller": {}}, "authmethods": ["anonymous"]}]
    with race.stall():
        while race.threads > 1 and not answers_ping(joining):
            joining = connect(race.routerd)
        race.send(*ordered([(listener, [SUBSCRIBE, 70, {}, "wamp.session.on_join"]), (joining, hello)], swapped))
    joining.expect(WELCOME)
    got = [m[0] for m in listener.silent()]
    assert got in ([SUBSCRIBED, EVENT], [SUBSCRIBED])
    assert len(got) == 2 - swapped or race.threads == 1
