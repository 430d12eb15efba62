# SPDX-License-Identifier: Apache-2.0
"""Two messages of two sessions that wait at the owner of the realm, in both orders: whichever the owner
handles first wins. The owner stands still while they are sent. Of a process with one worker, nobody can
choose the order; then either outcome is right."""

import pytest
import rawclient
from authenticator import principal
from rawclient import (ABORT, CALL, CANCEL, ERROR, EVENT, GOODBYE, HELLO, INTERRUPT, INVOCATION, PING, PONG, PUBLISH,
                       PUBLISHED, REGISTER, REGISTERED, RESULT, SUBSCRIBE, SUBSCRIBED, UNREGISTER, UNREGISTERED,
                       UNSUBSCRIBE, UNSUBSCRIBED, WELCOME, YIELD, WampError, worker_of)
from test_kill import expect_killed
from test_meta import sessions
from test_progressive_results import Stall, start_with_stall
from utils import Key, realm_counter, router_config, wait_for

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


# --- kills: what the victim sends -----------------------------------------------------------


def kill_of(race, victim):
    """What the killer sends, and the id of its call."""
    request = race.one.next_request()
    return (race.one, [CALL, request, {}, "wamp.session.kill", [victim.session]]), request


@both_orders
def test_kill_and_loss(race, swapped):
    """The connection of the victim ends. Whoever reads the owner's counters sees one end of the session."""
    killer, victim = race.one, race.other
    call, request = kill_of(race, victim)
    with race.stall():
        if not swapped:
            race.send(call)
        victim.close_socket()
        if race.threads > 1:  # its worker has told the owner
            race.routerd.wait_log("session closed session=%d " % victim.session)
        if swapped:
            race.send(call)
    got = outcome(killer, request)
    assert got == ("no_such_session" if swapped else RESULT) or race.threads == 1
    wait_for(lambda: victim.session not in sessions(killer), "the end of the session")
    assert realm_counter(race.routerd, "kills") == (got == RESULT)
    race.expect_silence(killer)


@both_orders
def test_kill_and_publish(race, swapped):
    """An event of the victim comes before the kill's result, or not at all."""
    killer, victim = race.one, race.other
    subscription = killer.subscribe("com.example.t")
    call, request = kill_of(race, victim)
    race.run(*ordered([call, (victim, [PUBLISH, 70, {"acknowledge": True}, "com.example.t"])], swapped))
    got = [killer.recv()]
    while got[-1][0] != RESULT:
        got.append(killer.recv())
    assert [m[:2] for m in got] in ([[RESULT, request]], [[EVENT, subscription], [RESULT, request]])
    assert len(got) == 1 + swapped or race.threads == 1
    published = [victim.recv()[:2] for _ in got[1:]]
    assert published == [[PUBLISHED, 70]] * (len(got) - 1)
    expect_killed(victim)
    race.expect_silence(killer)


@both_orders
def test_kill_and_subscribe(race, swapped):
    """The subscription of a victim ends with it, and nothing but GOODBYE comes behind a kill."""
    killer, victim = race.one, race.other
    call, request = kill_of(race, victim)
    race.run(*ordered([call, (victim, [SUBSCRIBE, 70, {}, "com.example.t"])], swapped))
    assert outcome(killer, request) == RESULT
    first = victim.recv()
    assert first[0] == (SUBSCRIBED if swapped else GOODBYE) or race.threads == 1
    if first[0] == SUBSCRIBED:
        assert victim.recv()[0] == GOODBYE
    assert victim.wait_closed()[1] == []
    wait_for(lambda: realm_counter(race.routerd, "subscriptions") == 0, "no subscription")
    race.expect_silence(killer)


@both_orders
def test_kill_and_register(race, swapped):
    """The procedure of a victim is free for others."""
    killer, victim = race.one, race.other
    call, request = kill_of(race, victim)
    race.run(*ordered([call, (victim, [REGISTER, 70, {}, "com.example.p"])], swapped))
    assert outcome(killer, request) == RESULT
    first = victim.recv()
    assert first[0] == (REGISTERED if swapped else GOODBYE) or race.threads == 1
    if first[0] == REGISTERED:
        assert victim.recv()[0] == GOODBYE
    assert victim.wait_closed()[1] == []
    killer.register("com.example.p")
    race.expect_silence(killer)


# --- kills: calls of and to the victim ------------------------------------------------------


@both_orders
def test_kill_and_the_victims_yield(race, swapped):
    """The killer waits for its victim: its call ends once, and so does the kill."""
    killer, victim = race.one, race.other
    victim.register("com.example.p")
    waiting = killer.start_call("com.example.p")
    invocation = victim.expect(INVOCATION)[1]
    call, request = kill_of(race, victim)
    race.run(*ordered([call, (victim, [YIELD, invocation, {}])], swapped))
    got = outcome(killer, waiting)
    assert got == (RESULT if swapped else "canceled") or race.threads == 1 and got in (RESULT, "canceled")
    assert outcome(killer, request) == RESULT
    expect_killed(victim)
    race.expect_silence(killer)


@both_orders
def test_kill_and_a_call_to_the_victim(race, swapped):
    """An INVOCATION comes before GOODBYE or not at all. The caller gets one error."""
    killer, victim, caller = race.one, race.other, race.third
    victim.register("com.example.p")
    call, request = kill_of(race, victim)
    other = caller.next_request()
    race.run(*ordered([call, (caller, [CALL, other, {}, "com.example.p"])], swapped))
    assert outcome(killer, request) == RESULT
    got = outcome(caller, other)
    expected = {False: "no_such_procedure", True: "canceled"}
    assert got == expected[swapped] or race.threads == 1 and got in expected.values()
    first = victim.recv()
    assert first[0] == (INVOCATION if got == "canceled" else GOODBYE)
    if first[0] == INVOCATION:
        assert victim.recv()[0] == GOODBYE
    assert victim.wait_closed()[1] == []
    race.expect_silence(killer, caller)


@both_orders
def test_kill_and_the_answer_to_the_victim(race, swapped):
    """The victim is the caller. Behind GOODBYE it gets no RESULT, and the callee is told to stop, or has
    answered in time."""
    killer, victim, callee = race.one, race.other, race.third
    callee.register("com.example.p")
    own = victim.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)[1]
    call, request = kill_of(race, victim)
    race.run(*ordered([call, (callee, [YIELD, invocation, {}])], swapped))
    assert outcome(killer, request) == RESULT
    got = [victim.recv()]
    if got[0][0] == RESULT:
        got.append(victim.recv())
    assert got in ([[RESULT, own, {}], got[-1]], [got[-1]]) and got[-1][0] == GOODBYE
    assert len(got) == 1 + swapped or race.threads == 1
    assert victim.wait_closed()[1] == []
    interrupts = callee.silent()
    assert interrupts == ([] if len(got) == 2 else [[INTERRUPT, invocation, {"mode": "killnowait"}]])
    callee.inbox.clear()
    race.expect_silence(killer, callee)


@both_orders
def test_two_kill_the_same(race, swapped):
    """One of them is too late. The victim gets one GOODBYE."""
    killers, victim = [race.one, race.third], race.other
    requests = [killer.next_request() for killer in killers]
    sends = [(killer, [CALL, request, {}, "wamp.session.kill", [victim.session], {"reason": f"com.example.r{i}"}])
             for i, (killer, request) in enumerate(zip(killers, requests))]
    race.run(*ordered(sends, swapped))
    got = [outcome(killer, request) for killer, request in zip(killers, requests)]
    assert sorted(map(str, got)) == ["50", "no_such_session"]
    assert got[swapped] == RESULT or race.threads == 1
    expect_killed(victim, f"com.example.r{got.index(RESULT)}")
    race.expect_silence(*killers)


@both_orders
def test_two_kill_each_other(race, swapped):
    """The first one lives, and the call of its victim is dropped."""
    one, other = race.one, race.other
    sends = [(killer, [CALL, killer.next_request(), {}, "wamp.session.kill", [victim.session]])
             for killer, victim in ((one, other), (other, one))]
    race.run(*ordered(sends, swapped))
    alive = sessions(race.third)
    winner, loser = (one, other) if one.session in alive else (other, one)
    assert loser.session not in alive
    assert winner is (other if swapped else one) or race.threads == 1
    expect_killed(loser)
    assert winner.recv()[0] == RESULT
    race.expect_silence(winner)


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


def test_kill_all_and_its_cancel(race):
    """Canceled before it has begun, it ends nobody."""
    killer = race.one
    request = killer.next_request()
    race.run((killer, [CALL, request, {}, "wamp.session.kill_all"]), (killer, [CANCEL, request, {}]))
    got = outcome(killer, request)
    assert got == "canceled" or race.threads == 1 and got == RESULT
    assert len(sessions(killer)) == (len(race.everyone) if got == "canceled" else 1)
    race.expect_silence(killer)


@both_orders
def test_kill_and_revocation(fake, start_routerd, join, threads, swapped):
    """Two ends of one session: the first one gives the reason, and there is one GOODBYE."""
    key = Key()
    a = fake(lambda *args: principal(key))
    config = router_config(threads=threads)
    config["debug"] = {"stall_worker": threads - 1}
    routerd = start_routerd(config)
    race = Race.__new__(Race)
    race.routerd, race.threads, everyone = routerd, threads, [join(routerd) for _ in range(4 * threads)]
    race.probe = next(c for c in everyone if worker_of(c) == threads - 1)
    first_worker = next(c for c in everyone if worker_of(c) == 0 and c is not race.probe)
    race.one = next(c for c in everyone if worker_of(c) == 1 % threads and c not in (race.probe, first_worker))
    victim = join(routerd, "cbor", key=key)
    while threads > 1 and worker_of(victim) == threads - 1:
        victim = join(routerd, "cbor", key=key)
    call, request = kill_of(race, victim)
    with race.stall():
        if not swapped:
            race.send(call)
        a.send([0, 99, "revoke", [{"match": {"authid": "client01@example.com"}, "epoch": 2,
                                   "uri": "com.example.revoked", "message": "x"}]])
        for _ in range(4 if threads > 1 else 0):
            ping(first_worker)  # worker 0 has passed it on
        if swapped:
            race.send(call)
    a.wait(lambda: 99 in a.responses, "the answer to revoke")
    assert a.responses[99][0] is None
    got = outcome(race.one, request)
    assert got == ("no_such_session" if swapped else RESULT) or threads == 1
    goodbye = victim.recv()
    assert goodbye[2] == ("wamp.close.killed" if got == RESULT else "com.example.revoked")
    assert victim.wait_closed()[1] == []


# --- testaments -----------------------------------------------------------------------------

ADD, FLUSH = "wamp.session.add_testament", "wamp.session.flush_testaments"


def events_of(client):
    return [m[4] if len(m) > 4 else [] for m in client.silent() if m[0] == EVENT]


@both_orders
@pytest.mark.parametrize("how", ["kill", "kill_all"])
def test_testament_and_kill(race, how, swapped):
    """One that comes behind the kill never existed. kill_all publishes none, and begins behind the posts
    that wait."""
    killer, victim = race.one, race.other
    killer.subscribe("com.example.t")
    request = killer.next_request()
    kill = [CALL, request, {}, f"wamp.session.{how}", [victim.session] if how == "kill" else []]
    race.run(*ordered([(killer, kill), (victim, [CALL, 70, {}, ADD, ["com.example.t", [1], {}]])], swapped))
    assert outcome(killer, request) == RESULT
    got = victim.recv()
    if got[0] == RESULT:
        assert victim.recv()[0] == GOODBYE
    assert (got[0] == RESULT) == (swapped or how == "kill_all") or race.threads == 1
    assert events_of(killer) == ([[1]] if got[0] == RESULT and how == "kill" else [])
    assert realm_counter(race.routerd, "testaments") == 0


@both_orders
def test_flush_and_kill(race, swapped):
    killer, victim = race.one, race.other
    killer.subscribe("com.example.t")
    victim.call(ADD, ["com.example.t", [1], {}])
    call, request = kill_of(race, victim)
    race.run(*ordered([call, (victim, [CALL, 70, {}, FLUSH])], swapped))
    killer.expect(RESULT, request)
    got = victim.recv()
    assert (got[0] == RESULT) == swapped or race.threads == 1
    assert events_of(killer) == ([] if got[0] == RESULT else [[1]])


@pytest.mark.parametrize("first", ["add", "bye"])
def test_testament_and_goodbye(race, first):
    """Of the same client: what comes behind its GOODBYE is discarded, what comes before it counts."""
    client, other = race.one, race.other
    other.subscribe("com.example.t")
    add = [CALL, 70, {}, ADD, ["com.example.t", [1], {}]]
    race.run(*[(client, message) for message in ([add, BYE] if first == "add" else [BYE, add])])
    if first == "add":
        assert client.recv() == [RESULT, 70, {}]
    assert client.recv()[0] == GOODBYE
    client.join()
    assert events_of(other) == ([[1]] if first == "add" else [])
    assert client.silent() == []


@both_orders
@pytest.mark.parametrize("what", ["subscribe", "unsubscribe", "goodbye"])
def test_the_end_of_a_session_and_its_heir(race, what, swapped):
    """Who hears of a testament: the members at the end of the session that left it."""
    client, other = race.one, race.other
    client.call(ADD, ["com.example.t", [1], {}])
    if what == "subscribe":
        message = [SUBSCRIBE, 71, {}, "com.example.t"]
    else:
        subscription = other.subscribe("com.example.t")
        message = [UNSUBSCRIBE, 71, subscription] if what == "unsubscribe" else BYE
    race.run(*ordered([(client, BYE), (other, message)], swapped))
    client.expect(GOODBYE)
    client.join()
    client.silent()
    if what == "goodbye":
        got = [other.recv()]
        while got[-1][0] != GOODBYE:
            got.append(other.recv())
    else:
        got = other.silent()
    heard = any(m[0] == EVENT for m in got)
    assert heard == (swapped if what == "subscribe" else not swapped) or race.threads == 1
    if heard:
        assert [m[0] for m in got] == {"subscribe": [SUBSCRIBED, EVENT], "unsubscribe": [EVENT, UNSUBSCRIBED],
                                       "goodbye": [EVENT, GOODBYE]}[what]


@both_orders
def test_testaments_and_the_publications_of_others(race, swapped):
    """All events come in the order in which the owner handled their causes."""
    client, other, witness = race.one, race.other, race.third
    witness.subscribe("com.example.", match="prefix")
    client.call(ADD, ["com.example.t2", [2], {}])
    client.call(ADD, ["com.example.t1", [1], {}], {"scope": "detached"})
    race.run(*ordered([(client, BYE), (other, [PUBLISH, 70, {}, "com.example.t1", [3]])], swapped))
    client.expect(GOODBYE)
    got = [witness.expect(EVENT)[4] for _ in range(3)]
    assert got == ([[3], [1], [2]] if swapped else [[1], [2], [3]]) or \
        race.threads == 1 and got in ([[3], [1], [2]], [[1], [2], [3]])


@both_orders
def test_two_that_leave_testaments_for_each_other(race, swapped):
    """The one that ends first gets nothing; the other one gets the first one's."""
    one, other = race.one, race.other
    for client in (one, other):
        client.subscribe("com.example.t")
        client.call(ADD, ["com.example.t", [client.session], {}], {"publish_options": {"exclude_me": False}})
    race.run(*ordered([(one, BYE), (other, BYE)], swapped))
    got = {}
    for client in (one, other):
        got[client] = [client.recv()]
        while got[client][-1][0] != GOODBYE:
            got[client].append(client.recv())
    first, last = (other, one) if swapped else (one, other)
    if race.threads == 1 and len(got[first]) == 2:
        first, last = last, first
    assert [m[0] for m in got[first]] == [GOODBYE]
    assert [m[0] for m in got[last]] == [EVENT, GOODBYE] and got[last][0][4] == [first.session]
