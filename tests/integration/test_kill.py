# SPDX-License-Identifier: Apache-2.0
"""The meta procedures that kill sessions (specification: "Session Meta API"): with the raw client, and
with real clients as killers and victims."""

import socket
import threading

import peers
import pytest
from rawclient import (CALL, EVENT, GOODBYE, INVOCATION, PUBLISH, RESULT, SUBSCRIBE, TRANSPORTS, WELCOME, YIELD,
                       Closed, WampError)
from test_meta import SERIALIZERS, USER, count, error_of, sessions, two_roles
from utils import permission, realm_counter, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

KILLED = "wamp.close.killed"


def kill(client, which, *args, **kwargs):
    """Returns Arguments of the result."""
    args, kwargs = client.call(f"wamp.session.{which}", list(args), kwargs or None)
    assert kwargs == {}
    return args


def expect_killed(client, reason=KILLED, **details):
    """GOODBYE is the last message, and the router closes."""
    assert client.expect(GOODBYE) == [GOODBYE, details, reason]
    assert client.wait_closed() == (client.close_code(1000), [])
    assert not client.inbox


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_kill_one(start_routerd, join, threads, serializer):
    routerd = start_routerd(two_roles(threads))
    killer = join(routerd, serializer)
    for kwargs, reason, details in (
            ({}, KILLED, {}), ({"reason": None, "message": None}, KILLED, {}),
            ({"reason": "com.example.bye"}, "com.example.bye", {}),
            ({"message": "x☃"}, KILLED, {"message": "x☃"}),
            ({"message": ""}, KILLED, {}),
            ({"reason": "a" * 1024, "message": "y" * 1024}, "a" * 1024, {"message": "y" * 1024})):
        victims = [join(routerd, s) for s in SERIALIZERS]
        for victim in victims:
            assert kill(killer, "kill", victim.session, **kwargs) == []
            assert victim.session not in sessions(killer)
            expect_killed(victim, reason, **details)
            assert error_of(killer, "wamp.session.kill", [victim.session]) == "wamp.error.no_such_session"
    assert count(killer) == 1 and kill_counters(routerd) == 18
    routerd.check_threads()


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_reason_and_message_as_in_crossbar(start_routerd, join, serializer):
    """Crossbar's clients send them as positional arguments, too."""
    routerd = start_routerd(two_roles(1))
    killer = join(routerd, serializer)
    for args, reason, details in (
            ([], KILLED, {}), ([None], KILLED, {}), ([None, None], KILLED, {}), (["a.b"], "a.b", {}),
            (["a.b", "c"], "a.b", {"message": "c"}), ([None, "c"], KILLED, {"message": "c"})):
        victims = [join(routerd, listener=1) for _ in range(3)]
        assert kill(killer, "kill", victims[0].session, *args) == []
        assert kill(killer, "kill_by_authid", victims[1].details["authid"], *args) == [[victims[1].session]]
        assert kill(killer, "kill_by_authrole", USER, *args) == [1]
        for victim in victims:
            expect_killed(victim, reason, **details)


def kill_counters(routerd):
    """The realm counts the kills, and the workers count the sessions that they have ended."""
    wait_for(lambda: realm_counter(routerd, "kills") == routerd.total("sessions_killed"), "the counters")
    return routerd.total("sessions_killed")


def test_kill_many(start_routerd, join, threads):
    routerd = start_routerd(two_roles(threads))
    killer, friend = join(routerd, "cbor"), join(routerd, "msgpack")
    elsewhere = join(routerd, realm="elsewhere")
    name = killer.details["authid"]
    assert kill(killer, "kill_by_authid", name) == [[]]
    assert kill(killer, "kill_by_authid", "nobody") == kill(killer, "kill_by_authid", "") == [[]]
    assert kill(killer, "kill_by_authrole", "nobody") == kill(killer, "kill_by_authrole", "no such role") == [0]

    users = [join(routerd, s, listener=1) for s in SERIALIZERS]
    assert kill(killer, "kill_by_authid", users[1].details["authid"], reason="a.b", message="c") == [[users[1].session]]
    expect_killed(users[1], "a.b", message="c")
    assert kill(killer, "kill_by_authrole", USER) == [2]
    expect_killed(users[0])
    expect_killed(users[2])
    assert sessions(killer) == [killer.session, friend.session]

    devices = [join(routerd, s) for s in SERIALIZERS]
    assert kill(friend, "kill_by_authrole", "device", message="all") == [4]
    for victim in [killer, *devices]:
        expect_killed(victim, message="all")
    users = [join(routerd, s, listener=1) for s in SERIALIZERS * 20]
    assert kill(friend, "kill_all", reason="com.example.end") == [60]
    for victim in users:
        expect_killed(victim, "com.example.end")
    assert sessions(friend) == [friend.session] and kill(friend, "kill_all") == [0]
    assert count(elsewhere) == 1
    routerd.check_threads()


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_wrong_arguments(start_routerd, join, serializer):
    """Nobody dies of a call that is refused."""
    routerd = start_routerd(two_roles(1))
    killer, other = join(routerd, serializer), join(routerd)
    good = {"kill": [other.session], "kill_by_authid": [other.details["authid"]],
            "kill_by_authrole": [other.details["authrole"]], "kill_all": []}
    bad = {"kill": ([], [None], ["1"], [0], [1.5], [other.session, 7], [other.session, None, 7],
                    [other.session, None, "x" * 1025], [other.session, None, None, None]),
           "kill_by_authid": ([], [None], [7], [good["kill_by_authid"][0], 7]),
           "kill_by_authrole": ([], [None], [["device"]]), "kill_all": ([None], [1])}
    for which, args in good.items():
        name = f"wamp.session.{which}"
        for wrong in bad[which]:
            assert error_of(killer, name, wrong) == "wamp.error.invalid_argument", (which, wrong)
        for kwargs in ({"x": 1}, {"reason": 7}, {"reason": ["a"]}, {"message": 7}, {"message": "x" * 1025},
                       {"reason": "a.b", "text": "c"}):
            assert error_of(killer, name, args, kwargs) == "wamp.error.invalid_argument", (which, kwargs)
        for reason in ("", "a..b", "a b", ".", "a#", "a" * 1025):
            assert error_of(killer, name, args, {"reason": reason}) == "wamp.error.invalid_uri", (which, reason)
            assert which == "kill_all" or error_of(killer, name, [*args, reason]) == "wamp.error.invalid_uri", (which, reason)
    for args in ([killer.session], [2**53]):
        assert error_of(killer, "wamp.session.kill", args) == "wamp.error.no_such_session"
    with pytest.raises(WampError) as error:
        killer.call("wamp.session.kill_all", [], {"message": 7})
    assert error.value.args_ == ["expected no keyword arguments except reason, a URI, and message, a string of at most "
                                 "1,024 bytes"]
    assert killer.silent() == other.silent() == [] and count(other) == 2


def test_the_right_to_kill(start_routerd, join, threads):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = [
        permission("", "prefix", call=True), permission("wamp.session.kill", "prefix", call=False)]
    routerd = start_routerd(config)
    client, other = join(routerd), join(routerd)
    for which, args in (("kill", [other.session]), ("kill_all", []), ("kill_by_authrole", ["device"])):
        assert error_of(client, f"wamp.session.{which}", args) == "wamp.error.not_authorized"
    assert count(other) == 2


def test_calls_of_and_to_a_victim(routerd, join):
    """The killer waits for its victim, too: that call fails, and the kill has its result."""
    killer, victim, callee, caller = (join(routerd, s) for s in ("json", "cbor", "msgpack", "json"))
    victim.register("com.example.victim")
    callee.register("com.example.callee")
    own = killer.start_call("com.example.victim")
    others = [caller.start_call("com.example.victim") for _ in range(98)]
    victim.start_call("com.example.victim")
    for _ in range(100):
        victim.expect(INVOCATION)
    victim.start_call("com.example.callee")
    late = callee.expect(INVOCATION)
    assert kill(killer, "kill", victim.session) == []
    for client, requests in ((killer, [own]), (caller, others)):
        for request in requests:
            with pytest.raises(WampError) as error:
                client.result(request)
            assert error.value.uri == "wamp.error.canceled"
    callee.send([YIELD, late[1], {}, ["late"]])
    expect_killed(victim)
    assert killer.silent() == caller.silent() == callee.silent() == []


def test_a_victim_that_floods(routerd, join, threads):
    """It publishes without end, reads nothing, and ignores GOODBYE. None of its events comes behind the
    result of the kill."""
    killer, reader, victim = join(routerd), join(routerd, "cbor"), join(routerd)
    killer.subscribe("com.example.t")
    reader.subscribe("com.example.t")
    flood = victim.make_frame(victim.opcode, victim.pack([PUBLISH, 1, {}, "com.example.t", ["flood"]])) * 20
    sent = threading.Event()

    def publish():
        try:
            while True:
                victim.socket.sendall(flood)
                sent.set()
        except OSError:
            pass

    victim.socket.settimeout(20)
    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    assert sent.wait(10)
    killer.expect(EVENT)
    request = killer.start_call("wamp.session.kill", [victim.session])
    seen = [killer.recv()]
    while seen[-1][0] != RESULT:
        seen.append(killer.recv())
    assert seen[-1] == [RESULT, request, {}] and {m[0] for m in seen} == {EVENT, RESULT}
    killer.send([PUBLISH, killer.next_request(), {"exclude_me": False}, "com.example.t", ["end"]])
    for client in (killer, reader):
        while client.event()[0] != ["end"]:
            assert client is reader
    thread.join(10)
    assert not thread.is_alive(), "the router did not close"
    got = []
    try:
        while True:
            got.append(victim.unpack(victim.recv_message()[1])[0])
    except Closed:
        pass
    assert [m[0] for m in got] == [GOODBYE], got
    assert killer.silent() == reader.silent() == []


def test_goodbye_and_kill(routerd, join):
    """Whichever the owner handles first wins; in either case there is one GOODBYE."""
    killer = join(routerd)
    for i in range(60):
        victim = join(routerd, SERIALIZERS[i % 3])
        request = killer.next_request()
        first, second = (killer, victim) if i % 2 else (victim, killer)
        words = {id(killer): [CALL, request, {}, "wamp.session.kill", [victim.session]],
                 id(victim): [GOODBYE, {}, "wamp.close.close_realm"]}
        first.send(words[id(first)])
        second.send(words[id(second)])
        goodbye = victim.recv()
        try:
            killer.result(request)
            assert goodbye == [GOODBYE, {}, KILLED]
            assert victim.wait_closed()[1] == []
        except WampError as error:
            assert error.uri == "wamp.error.no_such_session"
            assert goodbye == [GOODBYE, {}, "wamp.close.goodbye_and_out"]
            victim.join()  # the connection has not been killed
            victim.leave()


def test_join_and_kill(routerd, join, connect):
    """Sessions that join while all are killed get WELCOME and live, or WELCOME and GOODBYE."""
    killer = join(routerd)
    for _ in range(10):
        joining = [connect(routerd, s) for s in SERIALIZERS * 3]
        for client in joining:
            client.hello()
        (killed,) = kill(killer, "kill_all")
        alive = set(sessions(killer))
        died = 0
        for client in joining:
            client.session = client.expect(WELCOME)[1]
            if client.session in alive:
                continue
            # it joined before the kill, or between the kill and the list
            try:
                assert client.recv(1) == [GOODBYE, {}, KILLED]
                died += 1
            except (TimeoutError, socket.timeout):
                pass
        assert died == killed
        kill(killer, "kill_all")
        assert sessions(killer) == [killer.session]


def test_lost_and_kill(routerd, join, threads):
    """The connection of the victim ends at about the time of the kill."""
    killer = join(routerd)
    for i in range(40):
        victim = join(routerd)
        if i % 2:
            victim.close_socket()
        request = killer.start_call("wamp.session.kill", [victim.session])
        if not i % 2:
            victim.close_socket()
        try:
            killer.result(request)
        except WampError as error:
            assert error.uri == "wamp.error.no_such_session"
        wait_for(lambda: count(killer) == 1, "the victim to be gone")


def test_two_that_kill_each_other(routerd, join):
    for _ in range(20):
        pair = [join(routerd), join(routerd)]
        for one, other in (pair, pair[::-1]):
            one.send([CALL, 1, {}, "wamp.session.kill", [other.session]])
        first = [client.recv() for client in pair]
        assert sorted(m[0] for m in first) == [GOODBYE, RESULT], first
        winner = pair[[m[0] for m in first].index(RESULT)]
        assert sessions(winner) == [winner.session]
        winner.leave()


def test_a_victim_may_come_back(routerd, join):
    killer, victim = join(routerd), join(routerd)
    victim.subscribe("com.example.t")
    kill(killer, "kill", victim.session)
    victim.send([SUBSCRIBE, 7, {}, "com.example.u"], [CALL, 8, {}, "wamp.session.count"])
    expect_killed(victim)
    again = join(routerd)
    killer.publish("com.example.t", acknowledge=True)
    assert again.silent() == [] and count(again) == 2


@pytest.mark.parametrize("kind", ["ab-twisted", "ab-new-asyncio", "autobahn-js", "wampy"])
def test_real_clients(start_routerd, join, puppets, transport, kind):
    """As killers, and as victims, which must notice."""
    routerd = start_routerd(two_roles(4))
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        killer = peers.Peer(puppet, routerd.url(), serializer, name=f"killer {serializer}")
        raw = [join(routerd, "cbor", listener=1) for _ in range(3)]
        options = {"reason": "com.example.bye", "message": "so long"}
        assert killer.call("wamp.session.kill", [raw[0].session], options)[0] in ([], [None])
        expect_killed(raw[0], "com.example.bye", message="so long")
        assert killer.call("wamp.session.kill_by_authid", [raw[1].details["authid"]], {}) == ([[raw[1].session]], {})
        assert killer.call("wamp.session.kill_by_authrole", [USER], options) == ([1], {})
        expect_killed(raw[1])
        expect_killed(raw[2], "com.example.bye", message="so long")
        for args, kwargs, uri in (([2**53], {}, "no_such_session"), ([raw[0].session], {"reason": "a..b"}, "invalid_uri")):
            with pytest.raises(peers.PeerError) as error:
                killer.call("wamp.session.kill", args, kwargs)
            assert error.value.uri == f"wamp.error.{uri}"
        victim = peers.Peer(puppet, routerd.url(), serializer, name=f"victim {serializer}")
        assert killer.call("wamp.session.kill_all", [], {}) == ([1], {})
        puppet.event(s=victim.name, ev="lost" if kind == "wampy" else "left")
        killer.leave()
