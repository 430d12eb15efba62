# SPDX-License-Identifier: Apache-2.0
"""Authenticators that answer, fail, hang or are not there."""

import re
import threading
import time

import msgpack
import pytest
from authenticator import HOLD, Authenticator, Deny, principal
from rawclient import ABORT, TRANSPORTS, Aborted, Closed, Refused, WELCOME
from utils import SLOW, Key, Ticket, router_config, wait_for

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)]


@pytest.fixture(params=[Key, Ticket], ids=["cryptosign", "ticket"])
def key(request):
    """Each test runs for each login method that asks an authenticator."""
    return request.param()


by_key = pytest.mark.parametrize("key", [Key], ids=["cryptosign"], indirect=True)


@pytest.fixture
def authenticator(fake):
    return fake


def outcome(client, key, realm=None):
    """("welcome", details) | ("abort", uri, details) | ("close", code), see dropped()"""
    try:
        return "welcome", client.join(realm, key=key)
    except Aborted as aborted:
        client.wait_closed()
        return "abort", aborted.uri, aborted.details
    except Closed as closed:
        return "close", closed.code


def dropped(client, key):
    """True if the router ends the connection without an ABORT, so that the client tries again."""
    return outcome(client, key) == ("close", None) and client.was_dropped()


def counter_of_authenticator(routerd, name):
    routerd.counters()
    return int(re.findall(rf"counters authenticator .*\b{name}=(\d+)", routerd.log())[-1])


# --- answers --------------------------------------------------------------------------------


@by_key
def test_what_is_asked(authenticator, start_routerd, join, key, transport):
    fake = authenticator(lambda realm, authid, details: principal(key))
    routerd = start_routerd()
    client = join(routerd, "cbor.batched", realm="devices", key=key, authid="me")
    ((_, _, (realm, authid, details)),) = fake.wait_requests(1)
    assert (realm, authid) == ("devices", "me")
    assert details["authmethod"] == "cryptosign"
    assert details["authextra"]["pubkey"] == key.public
    assert details["session"] == client.session
    told = details["transport"]
    own = client.socket.getsockname()
    assert told["peer"] == f"tcp4:{own[0]}:{own[1]}"
    assert told["channel_framing"] == transport
    assert told["channel_serializer"] == client.serializer
    assert told["channel_type"] == "tcp"
    assert told["listener"] == "public"
    # RawSocket has no HTTP request
    assert told.get("path") == ("/ws" if transport == "websocket" else None)
    assert ("http_headers_received" in told) == (transport == "websocket")
    client = join(routerd, realm=None, key=key)
    realm, authid, _ = fake.wait_requests(2)[1][2]
    assert (realm, authid) == (None, None)
    ((_, _, (hello,)),) = fake.wait_requests(1, "hello")
    assert hello["protocol"][0] == 1
    assert "devices" in hello["realms"]


# the authenticator's answer, and the client's outcome
ANSWERS = {
    "number": (7, "wamp.error.authentication_failed"),
    "nil": (None, "wamp.error.authentication_failed"),
    "list": ([1], "wamp.error.authentication_failed"),
    "role_string": ("device", "wamp.error.authentication_failed"),
    "bool": (True, "wamp.error.authentication_failed"),
    "empty": ({}, None),
    "role_number": ({"role": 1}, "wamp.error.authentication_failed"),
    "extra_list": ({"extra": [1]}, "wamp.error.authentication_failed"),
    "pubkey_number": ({"pubkey": 1}, "wamp.error.authentication_failed"),
    "pubkey_short": ({"pubkey": "00"}, "wamp.error.authentication_failed"),
    "pubkey_none": ({"pubkey": None}, "wamp.error.authentication_failed"),
    "no_realm": ({"realm": None}, "wamp.error.no_such_realm"),
    "unknown_realm": ({"realm": "nowhere"}, "wamp.error.no_such_realm"),
    "no_role": ({"role": None}, "wamp.error.no_such_role"),
    "unknown_role": ({"role": "king"}, "wamp.error.no_such_role"),
    "no_authid": ({"authid": None}, "wamp.error.no_such_principal"),
}


@by_key
def test_wrong_answers(authenticator, start_routerd, connect, key):
    """The login is refused. The log has the reason, the client does not, and the link stays up."""
    current = {}
    fake = authenticator(lambda *args: current["answer"])
    routerd = start_routerd()
    for name, (change, uri) in ANSWERS.items():
        answer = change
        if isinstance(change, dict) and change:
            answer = {k: v for k, v in principal(key, **change).items() if v is not None}
        current["answer"] = answer
        result = outcome(connect(routerd), key)
        assert result[0] == "abort", (name, result)
        assert uri in (None, result[1]), (name, result)
        assert set(result[2]) == {"message"}, (name, result)
        if uri == "wamp.error.authentication_failed":
            corr = fake.requests[-1][2][2]["corr"]
            assert corr in result[2]["message"], (name, result)
            routerd.wait_log(corr)
    current["answer"] = principal(key)
    assert outcome(connect(routerd), key)[0] == "welcome"
    assert len(fake.wait_requests(1, "hello")) == 1, "the link was dropped"


def test_deny_is_passed_on(authenticator, start_routerd, connect, key):
    def answer(realm, authid, details):
        raise Deny("com.example.go_away", "büte ☃ \"quoted\"")

    authenticator(answer)
    result = outcome(connect(start_routerd(), "cbor"), key)
    assert result == ("abort", "com.example.go_away", {"message": "büte ☃ \"quoted\""})


@pytest.mark.parametrize("error,uri", [
    ("com.example.short", "com.example.short"),
    (["com.example.pair", "text"], "com.example.pair"),
    ({"kind": "internal", "uri": "x.y", "message": "secret"}, "wamp.error.authentication_failed"),
    ({"kind": "ignore"}, "wamp.error.no_such_principal"),
    ({"kind": "deny"}, "wamp.error.authentication_denied"),
    ({"kind": "deny", "uri": "not a uri", "message": "x"}, "wamp.error.authentication_failed"),
    ({"kind": "deny", "uri": "a" * 256, "message": "x"}, "wamp.error.authentication_failed"),
    ({"kind": "nonsense", "uri": "com.example.x"}, "wamp.error.authentication_failed"),
    (7, "wamp.error.authentication_failed"),
    ([], "wamp.error.authentication_failed"),
], ids=str)
def test_errors_of_an_authenticator(authenticator, start_routerd, connect, key, error, uri):
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd()
    client = connect(routerd)
    client.ask(key)
    ((msgid, _, _),) = fake.wait_requests(1)
    fake.send([1, msgid, error, None])
    message = client.expect(ABORT)
    assert len(message) == 3 and message[2] == uri, message
    assert "secret" not in message[1].get("message", "")


@by_key
def test_several_keys_and_an_own_provider(authenticator, start_routerd, join, key):
    fake = {**principal(key), "pubkeys": [Key().public, key.public], "authprovider": "mine"}
    del fake["pubkey"]
    authenticator(lambda *args: fake)
    assert join(start_routerd(), key=key).details["authprovider"] == "mine"


def test_an_authenticator_of_authenticate_alone(authenticator, start_routerd, join, key):
    """An authenticator that answers hello with no_such_method implements protocol 1.0 without
    features."""
    def hello():
        raise Deny("auth.rpc.no_such_method")

    authenticator(lambda *args: principal(key), hello=hello)
    join(start_routerd(), key=key)


def test_hello_that_fails_means_not_ready(authenticator, start_routerd, connect, key):
    broken = threading.Event()
    broken.set()

    def hello():
        if broken.is_set():
            raise Deny("com.example.starting", "no disk", kind="internal")
        return {"protocol": [1, 0], "features": ["revoke"], "ready": True}

    fake = authenticator(lambda *args: principal(key), hello=hello)
    routerd = start_routerd()
    result = []
    client = connect(routerd)
    login = threading.Thread(target=lambda: result.append(outcome(client, key)))
    login.start()
    fake.wait_requests(2, "hello")
    routerd.wait_log('reason="the authenticator has answered hello with an error: no disk"')
    assert not [r for r in fake.requests if r[1] == "authenticate"]
    broken.clear()
    login.join()
    assert result[0][0] == "welcome"


@by_key
@pytest.mark.many_workers
def test_answers_in_another_order(authenticator, start_routerd, connect, key):
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd(threads=4)
    keys = [Key() for _ in range(20)]
    waiting = [connect(routerd) for _ in keys]
    for client, k in zip(waiting, keys):
        client.ask(k)
    by_key = {r[2][2]["authextra"]["pubkey"]: r[0] for r in fake.wait_requests(20)}
    for k in reversed(keys):
        fake.send([1, by_key[k.public], None, principal(k, authid=k.public[:8])])
    for client, k in zip(waiting, keys):
        challenge = client.expect(4)[2]["challenge"]
        client.authenticate(k.sign(challenge))
        assert client.expect(WELCOME)[2]["authid"] == k.public[:8]
    routerd.check_threads()


# --- hostile authenticators -----------------------------------------------------------------

GARBAGE = {
    "no_message": b"\xc1",
    "number": b"\x07",
    "empty_list": b"\x90",
    "wrong_tag": msgpack.packb([7, 1, None, {}]),
    "short": msgpack.packb([1, 1]),
    "id_string": msgpack.packb([1, "1", None, {}]),
    "deep": b"\x91" * 1000,
    "huge_string": b"\xdb\xff\xff\xff\xff",
    "huge_array": b"\xdd\xff\xff\xff\xff",
    "bad_utf8": b"\x94\x01\x01\xa1\xff\xc0",
}


# in three parts that run at the same time, because routerd waits 15 s for the rest of a message
@by_key
@pytest.mark.websocket
@pytest.mark.parametrize("part", range(3))
def test_garbage_closes_the_link_and_nothing_else(authenticator, start_routerd, connect, join, key, part):
    fake = authenticator(lambda *args: principal(key))
    routerd = start_routerd()
    survivor = join(routerd, key=key)
    for number, (name, data) in enumerate(list(GARBAGE.items())[part::3], 2):
        fake.send_bytes(data)
        fake.wait_requests(number, "hello")  # it is connected again
        assert outcome(connect(routerd), key)[0] == "welcome", name
    survivor.publish("com.example.t", acknowledge=True)


def test_answers_to_nothing_are_dropped(authenticator, start_routerd, connect, key):
    fake = authenticator(lambda *args: principal(key))
    routerd = start_routerd()
    assert outcome(connect(routerd), key)[0] == "welcome"
    for msgid in (0, 1, 99999, 2**32 - 1):
        fake.send([1, msgid, None, principal(key)])
    fake.send([2, "nonsense", [1, 2, 3]])
    error, _ = fake.request("nonsense")
    assert "no_such_method" in str(error)
    assert outcome(connect(routerd), key)[0] == "welcome"
    assert len(fake.wait_requests(1, "hello")) == 1


# --- an authenticator that is slow or away --------------------------------------------------


def test_an_authenticator_without_answer(authenticator, start_routerd, connect, key):
    """The router cancels at the deadline and drops the transport. It sends no ABORT, because
    JavaScript clients do not reconnect after one."""
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd()
    assert dropped(connect(routerd), key)
    fake.wait(lambda: any(n[0] == "cancel" for n in fake.notifications), "cancel")
    # an answer after the deadline is ignored
    fake.send([1, fake.requests[-1][0], None, principal(key)])
    fake.answer = lambda *args: principal(key)
    assert outcome(connect(routerd), key)[0] == "welcome"


def test_a_client_that_leaves_while_it_is_asked(authenticator, start_routerd, connect, key):
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd()
    client = connect(routerd)
    client.ask(key)
    ((msgid, _, _),) = fake.wait_requests(1)
    client.close_socket()
    fake.wait(lambda: ("cancel", [msgid]) in fake.notifications, "cancel")
    fake.send([1, msgid, None, principal(key)])
    fake.answer = lambda *args: principal(key)
    assert outcome(connect(routerd), key)[0] == "welcome"


def test_no_authenticator_means_hold_then_drop(start_routerd, connect, key):
    config = router_config()
    config["limits"] = {"hold_timeout": 1000}
    routerd = start_routerd(config)
    start = time.monotonic()
    assert dropped(connect(routerd), key)
    assert time.monotonic() - start > 0.8
    # anonymous logins need no authenticator
    connect(routerd).join()


def test_a_held_login_goes_on_when_the_authenticator_comes(folder, start_routerd, connect, key):
    routerd = start_routerd()
    client = connect(routerd)
    client.ask(key)
    fake = Authenticator(folder, lambda *args: principal(key))
    client.prove(key)
    client.expect(WELCOME)
    fake.stop()


def test_authd_is_killed_while_200_clients_log_in(authd, start_routerd, threads, connect):
    """authd is back after 2 s, and all clients get in."""
    keys = [Key() for _ in range(20)]
    for i, k in enumerate(keys):
        authd.add(f"client{i}@example.com", k)
    routerd = start_routerd(threads=threads)
    results, lock, some_in = [], threading.Lock(), threading.Event()
    connected = [connect(routerd, ("cbor", "json", "msgpack.batched")[i % 3]) for i in range(200)]

    def login(client, k):
        client.timeout = 15 * SLOW
        result = outcome(client, k)
        with lock:
            results.append(result[0])
            if len(results) >= 20:
                some_in.set()

    logins = [threading.Thread(target=login, args=(c, keys[i % 20])) for i, c in enumerate(connected)]
    for t in logins[:40]:
        t.start()
    some_in.wait(10 * SLOW)
    authd.kill()
    for t in logins[40:]:
        t.start()
    time.sleep(2)  # authd is away for this long
    authd.start()
    for t in logins:
        t.join()
    assert results.count("welcome") == 200, results
    routerd.check_threads()
    wait_for(lambda: routerd.total("sessions") == 200, "200 sessions")


def test_live_sessions_do_not_notice_authd(authd, start_routerd, join, known_key):
    authd.add("client01@example.com", known_key)
    routerd = start_routerd()
    client = join(routerd, key=known_key)
    authd.kill()
    client.publish("com.example.t", acknowledge=True)
    authd.start()
    join(routerd, key=known_key)
    client.publish("com.example.t", acknowledge=True)


# --- limits that an authenticator announces -------------------------------------------------


def test_a_hello_too_long_for_the_authenticator_holds_up_nobody(
        authenticator, start_routerd, connect, key):
    """The question carries as much of authextra as fits, also if HELLO comes before the limit is
    known."""
    def hello():
        return {"protocol": [1, 0], "features": ["revoke"], "max_message": 4096, "ready": True}

    routerd = start_routerd()
    extra = {"x": "x" * 8000, "y": "y" * 3000, "z": 1}
    early = connect(routerd)
    early.ask(key, authextra=extra)
    fake = authenticator(lambda *args: principal(key), hello=hello)
    early.prove(key)
    early.expect(WELCOME)
    connect(routerd).join(None, key=key, authextra=extra)
    for _, _, (_, _, details) in fake.wait_requests(2):
        left = {"pubkey": key.public, "channel_binding": None, "y": "y" * 3000, "z": 1}
        assert details["authextra"] == left
    assert len(fake.wait_requests(1, "hello")) == 1


def test_one_that_takes_too_little_is_not_used(authenticator, start_routerd, connect, key):
    """A limit below 4096 is too small for every question, so the router does not use the
    authenticator."""
    announced = {"max": 4095}
    fake = authenticator(lambda *args: principal(key),
                         hello=lambda: {"protocol": [1, 0], "max_message": announced["max"]})
    routerd = start_routerd()
    routerd.wait_log("max_message")
    assert not [r for r in fake.requests if r[1] == "authenticate"]
    announced["max"] = 4096
    assert outcome(connect(routerd), key)[0] == "welcome"


def test_ready_later_ends_the_outage(authenticator, start_routerd, connect, key):
    """The outage ends when the answer to hello or to a ping says `ready`. The log reports this
    outage and the next one."""
    fake = authenticator(
        lambda *args: principal(key),
        hello=lambda: {"protocol": [1, 0], "features": ["revoke"], "ready": False})
    routerd = start_routerd()
    routerd.wait_log("authenticator is available")
    assert outcome(connect(routerd), key)[0] == "welcome"
    for outages in (2, 3):  # the start with ready=false was the first
        fake.stop()
        wait_for(lambda: routerd.log().count("authenticator is not available") == outages,
                 "the outage in the log")
        fake.start()
        wait_for(lambda: routerd.log().count("authenticator is available") == outages,
                 "the end of the outage")


@pytest.mark.many_workers
def test_many_revocations_at_once(authenticator, start_routerd, join, key):
    """One thousand, the most that the protocol allows in flight."""
    fake = authenticator(lambda *args: principal(key))
    routerd = start_routerd(threads=4)
    survivor = join(routerd, key=key)
    fake.send_bytes(b"".join(
        msgpack.packb([0, i, "revoke", [{"match": {"authid": f"nobody{i}"}, "epoch": 2}]])
        for i in range(1000, 2000)))
    fake.wait(lambda: len(fake.responses) == 1000, "all answers")
    assert all(error is None for error, _ in fake.responses.values())
    survivor.publish("com.example.t", acknowledge=True)
    assert len(fake.wait_requests(1, "hello")) == 1, "the link was dropped"


@pytest.mark.websocket  # independent of the framing, and slow
def test_one_that_dies_of_each_question_is_left_alone_for_longer(
        authenticator, start_routerd, connect, key):
    """An answered hello proves nothing: the pauses grow until the authenticator answers a question."""
    def answer(*args):
        fake.drop()
        return HOLD

    fake = authenticator(answer)
    config = router_config()
    config["limits"] = {"hold_timeout": 3000}
    routerd = start_routerd(config)
    waiting = [connect(routerd) for _ in range(100)]
    for client in waiting:
        client.ask(key)
    for client in waiting:
        assert client.wait_closed()[1] == []
    assert len(fake.wait_requests(1, "hello")) < 25
    fake.answer = lambda *args: principal(key)
    assert outcome(connect(routerd), key)[0] == "welcome"


@by_key
def test_a_question_that_it_dies_of_costs_its_own_client_alone(
        authenticator, start_routerd, connect, key):
    """The router repeats the fatal question once, with nothing else in flight, then drops its
    client. The others that were in flight get in, and so do later ones."""
    poison, mixed = Key(), []

    def answer(realm, authid, details):
        pubkey = details["authextra"]["pubkey"]
        with fake.lock:
            mixed.append(pubkey)
        if pubkey == poison.public:
            fake.drop()
        return {**principal(key), "pubkey": pubkey} if len(mixed) > 20 else HOLD

    fake = authenticator(answer)
    routerd = start_routerd()
    keys = [Key() for _ in range(20)]
    waiting = [connect(routerd) for _ in keys]
    for client, k in zip(waiting, keys):
        client.ask(k)
    fake.wait_requests(20)
    bad = connect(routerd)
    bad.ask(poison)
    later = [connect(routerd) for _ in range(10)]
    for client in later:
        assert outcome(client, key)[0] == "welcome"
    for client, k in zip(waiting, keys):
        client.authenticate(k.sign(client.expect(4)[2]["challenge"]))
        client.expect(WELCOME)
    assert bad.wait_closed()[1] == []
    assert mixed.count(poison.public) == 2
    assert all(mixed.count(k.public) == 2 for k in keys)
    assert counter_of_authenticator(routerd, "link_broke") == 1
    assert len(fake.wait_requests(1, "hello")) == 3
    routerd.wait_log("login dropped reason=\"the connection to the authenticator broke twice before it answered")


@by_key
def test_a_suspect_is_asked_alone(authenticator, start_routerd, connect, key):
    """Between two suspects the router asks all other waiting questions, together."""
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd()
    suspects = [Key() for _ in range(3)]
    others = [Key() for _ in range(3)]

    def ask(keys):
        clients = [connect(routerd) for _ in keys]
        for client, k in zip(clients, keys):
            client.ask(k)
        return clients

    def asked():
        return [r[2][2]["authextra"]["pubkey"] for r in fake.requests if r[1] == "authenticate"]

    def answer_last(count):
        for msgid, _, (_, _, details) in [r for r in fake.requests if r[1] == "authenticate"][-count:]:
            fake.send([1, msgid, None, principal(Key(), pubkey=details["authextra"]["pubkey"])])

    waiting = ask(suspects)
    fake.wait_requests(3)
    fake.stop()
    waiting += ask(others)
    wait_for(lambda: counter_of_authenticator(routerd, "held") == 6, "all to be held")
    fake.start()
    seen, rounds = 3, []
    while seen < 9:
        fake.wait_requests(seen + 1)
        together = 3 if asked()[seen] in {k.public for k in others} else 1
        rounds.append(together)
        fake.wait_requests(seen + together)
        assert counter_of_authenticator(routerd, "in_flight") == together
        assert len(asked()) == seen + together
        answer_last(together)
        seen += together
    assert rounds in ([3, 1, 1, 1], [1, 3, 1, 1])
    for client in waiting:
        client.expect(4)


def test_an_answer_over_a_limit_costs_its_own_client_alone(authenticator, start_routerd, connect, key):
    """Some of these answers cost the link, because the router cannot tell where the answer ends."""
    big = {}

    def answer(realm, authid, details):
        if details["authextra"]["pubkey"] == key.public:
            return principal(key)
        return {**principal(key), "extra": big["extra"]}

    fake = authenticator(answer)
    routerd = start_routerd()
    deep = current = {}
    for _ in range(20):
        current["x"] = current = {}
    for extra, links in ((deep, 1), ({"x": "x" * 20000}, 1), ({str(i): 1 for i in range(300)}, 1),
                         ({str(i): "x" * 16000 for i in range(5)}, 2)):
        big["extra"] = extra
        result = outcome(connect(routerd), Key())
        assert result[:2] == ("abort", "wamp.error.authentication_failed")
        assert "corr" in result[2]["message"]
        assert outcome(connect(routerd), key)[0] == "welcome"
        assert len(fake.wait_requests(1, "hello")) == links
    assert counter_of_authenticator(routerd, "invalid") == 4
    assert routerd.log().count("the answer exceeds a limit of the protocol") == 4


HOSTILE_EXTRA = {
    "ext": {"x": msgpack.ExtType(1, b"x")},
    "map_key": {"x": {1: 2}},
    "deep": b"\x81\xa1x" + b"\x91" * 40 + b"\xc0",
    "long": {"x": "x" * 17000},
    "many": {str(i): i for i in range(300)},
    "nan": {"x": float("nan")},
}


@by_key
def test_what_the_protocol_cannot_carry_stays_away_from_the_authenticator(
        authenticator, start_routerd, connect, key, transport):
    """A strict authenticator can read the question, and the login succeeds."""
    fake = authenticator(lambda *args: principal(key))
    routerd = start_routerd()
    for name, extra in HOSTILE_EXTRA.items():
        client = connect(routerd, "msgpack")
        packed = extra if isinstance(extra, bytes) else msgpack.packb(extra)
        pubkey = msgpack.packb("pubkey") + msgpack.packb(key.public)
        if packed[0] == 0xde:
            packed = packed[:2] + bytes([packed[2] + 1]) + packed[3:] + pubkey
        else:
            packed = bytes([packed[0] + 1]) + packed[1:] + pubkey
        client.send_payload(b"\x93\x01\xa7devices\x83\xa5roles\x81\xa6caller\x80"
                            b"\xabauthmethods\x91\xaacryptosign\xa9authextra" + packed)
        challenge = client.expect(4)[2]["challenge"]
        client.authenticate(key.sign(challenge))
        client.expect(WELCOME)
        told = fake.requests[-1][2][2]["authextra"]
        assert told["pubkey"] == key.public, name
        assert len(told) == {"many": 256, "nan": 3}.get(name, 2), (name, told)
    assert len(fake.wait_requests(1, "hello")) == 1, "the link was dropped"


@pytest.mark.parametrize("uri", ["com.example.starting", "auth.rpc.no_such_method"])
def test_an_error_to_ping_does_not_mean_ready(authenticator, start_routerd, connect, key, uri):
    broken = threading.Event()
    broken.set()

    def ping():
        if broken.is_set():
            raise Deny(uri, kind="internal")
        return {}

    fake = authenticator(lambda *args: principal(key), ping=ping,
                         hello=lambda: {"protocol": [1, 0], "ready": False})
    routerd = start_routerd()
    client = connect(routerd)
    client.ask(key)
    fake.wait_requests(3, "ping")
    assert not [r for r in fake.requests if r[1] == "authenticate"]
    routerd.wait_log("authenticator is not available")
    broken.clear()
    fake.wait_requests(1)
    client.prove(key)
    client.expect(WELCOME)


def test_that_it_does_not_revoke_is_said_once(authenticator, start_routerd, key):
    fake = authenticator(lambda *args: principal(key), features=())
    routerd = start_routerd()
    for outages in (1, 2, 3):
        fake.wait_requests(outages, "hello")
        wait_for(lambda: routerd.log().count("authenticator is available") == outages, "it is up")
        fake.drop()
    assert routerd.log().count("does not support revoke") == 1


def temporary(retry_after_ms):
    deny = Deny("com.example.busy", kind="temporary")
    deny.error["retry_after_ms"] = retry_after_ms
    return deny


def test_it_is_asked_again_when_it_wants_to_be(authenticator, start_routerd, connect, key):
    asked = []

    def answer(*args):
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise temporary(700)
        return principal(key)

    authenticator(answer)
    routerd = start_routerd()
    assert outcome(connect(routerd), key)[0] == "welcome"
    assert 0.69 < asked[1] - asked[0] < 1.5 * SLOW  # routerd's clock counts whole milliseconds
    # a question that waits for its second attempt does not delay others
    asked.clear()
    resting = connect(routerd)
    resting.ask(key)
    wait_for(lambda: asked, "the question")
    assert outcome(connect(routerd), key)[0] == "welcome"
    resting.prove(key)
    resting.expect(WELCOME)
    assert asked[2] - asked[0] > 0.69


def test_it_is_asked_twice_at_most(authenticator, start_routerd, connect, key):
    """It is asked once if the second attempt would be too late."""
    after = {}

    def answer(*args):
        raise temporary(after["ms"])

    fake = authenticator(answer)
    routerd = start_routerd()
    for after["ms"], questions in ((1, 2), (None, 4), (60000, 5), (2**63 - 1, 6)):
        began = time.monotonic()
        assert dropped(connect(routerd), key)
        assert time.monotonic() - began < 2 * SLOW
        assert len(fake.wait_requests(1)) == questions


@by_key
def test_the_bytes_of_what_is_held_are_bounded(folder, start_routerd, connect, key, transport):
    config = router_config(anonymous=None)
    config["limits"] = {"hold_timeout": min(3000 * SLOW, 9000)}
    routerd = start_routerd(config)

    def bytes_held():
        return counter_of_authenticator(routerd, "bytes")

    late = connect(routerd)
    with pytest.raises(Refused) as refused:
        for _ in range(1000):
            connect(routerd).hello(None, authmethods=["cryptosign"],
                                   authextra={"pubkey": key.public, "x": "x" * 16000})
    assert refused.value.status == (503 if transport == "websocket" else 4)
    assert 8 << 20 <= bytes_held() < (8 << 20) + (64 << 10)
    late.ask(key)
    late.expect_dropped()
    # the memory of all held questions is given back
    wait_for(lambda: bytes_held() == 0, "their time to be over")
    fake = Authenticator(folder, lambda *args: principal(key))
    assert outcome(connect(routerd), key)[0] == "welcome"
    fake.stop()


@by_key
def test_who_is_late_may_try_again(authenticator, start_routerd, connect, key):
    """The client is silent, waits for the authenticator, or signs too slowly: each is dropped
    without ABORT."""
    config = router_config()
    config["transports"][0]["options"] = {"open_handshake_timeout": 1000}
    fake = authenticator(lambda *args: principal(key))
    routerd = start_routerd(config)
    silent, late, challenged = (connect(routerd) for _ in range(3))
    challenged.challenge("devices", key)
    fake.stop()
    time.sleep(0.5)  # `late` sends its HELLO half a second after it connected
    assert dropped(late, key)
    challenged.expect_dropped()
    silent.expect_dropped()
    assert routerd.total("closed_handshake_timeout") == 3
    routerd.wait_log('connection closed reason="handshake timeout" listener=public peer=tcp4:127')


def test_the_name_of_its_data_is_remembered_as_it_is(authenticator, start_routerd):
    name = "\u2603" * 85  # 255 bytes
    fake = authenticator(lambda *args: HOLD, hello=lambda: {"protocol": [1, 0], "db": name, "epoch": 7})
    routerd = start_routerd()
    routerd.wait_log("authenticator is available")
    fake.drop()
    _, (_, _, (again,)) = fake.wait_requests(2, "hello")
    assert (again["last_db"], again["last_epoch"]) == (name, 7)


def test_a_ping_has_room_in_what_it_lets_be_in_flight(authenticator, start_routerd, connect, key):
    fake = authenticator(lambda *args: HOLD, hello=lambda: {"protocol": [1, 0], "max_inflight": 4})
    routerd = start_routerd()
    routerd.wait_log("authenticator is available")
    for _ in range(6):
        connect(routerd).ask(key)
    wait_for(lambda: counter_of_authenticator(routerd, "held") == 3, "three to be held")
    assert len(fake.wait_requests(3)) == 3


def test_clients_cannot_fill_the_queue_to_a_stuck_authenticator(
        authenticator, start_routerd, connect, join, key):
    """A full queue must not stop the router from reading: two stuck peers would wait for each other
    forever."""
    fake = authenticator(lambda *args: principal(key), features=("cancel", "events"))
    routerd = start_routerd()
    survivor = join(routerd, key=key)
    fake.reading.clear()
    for _ in range(700):
        client = connect(routerd)
        client.hello(None, authmethods=["cryptosign"],
                     authextra={"pubkey": key.public, "x": "x" * 16000})
        client.close_socket()
    # the authenticator may have read some before it got stuck
    wait_for(lambda: counter_of_authenticator(routerd, "canceled") >= 690, "all to be canceled")
    survivor.close_socket()  # its end would be reported to the authenticator
    wait_for(lambda: counter_of_authenticator(routerd, "lost_reports") == 1, "a report to be lost")
    fake.reading.set()
    assert outcome(connect(routerd), key)[0] == "welcome"
    assert len(fake.wait_requests(1)) < 400


def test_routerd_answers_a_ping_and_nothing_that_it_does_not_know(authenticator, start_routerd, connect, key):
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd(threads=1)
    fake.wait_requests(1, "hello")
    assert fake.request("ping", {}) == (None, {"ready": True, "inflight": 0})
    connect(routerd).ask(key)
    fake.wait_requests(1)
    assert fake.request("ping", {}) == (None, {"ready": True, "inflight": 1})
    error, result = fake.request("pong", {})
    assert result is None and error["uri"] == "auth.rpc.no_such_method"
