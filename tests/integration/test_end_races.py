# SPDX-License-Identifier: Apache-2.0
"""The races of test_races.py around the end of a session: kills and testaments."""

import pytest
import rawclient
from authenticator import principal
from rawclient import (ABORT, CALL, CANCEL, EVENT, GOODBYE, HELLO, INTERRUPT, INVOCATION, PUBLISH, PUBLISHED,
                       REGISTER, REGISTERED, RESULT, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, WELCOME,
                       YIELD, worker_of)
from test_kill import expect_killed
from test_meta import sessions
from test_races import BYE, Race, answers_ping, both_orders, ordered, outcome, ping, race  # noqa: F401
from utils import Key, realm_counter, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


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
