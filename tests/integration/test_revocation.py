# SPDX-License-Identifier: Apache-2.0
"""Revocation: sessions and pending logins end when their principal or key is removed."""

import re

import pytest
from authenticator import HOLD, principal
from rawclient import ABORT, CHALLENGE, GOODBYE, TRANSPORTS, WELCOME
from rpcclient import Rpc
from utils import Key, Ticket

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

KILLED = "wamp.close.killed"


def expect_killed(client):
    message = client.expect(GOODBYE)
    assert message[2] == KILLED, message
    client.wait_closed()


# --- through authctl ------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["disable", "remove"])
def test_authctl_ends_all_sessions_of_a_principal(authd, start_routerd, threads, join, connect,
                                                  known_key, command):
    other = Key()
    authd.add("client01@example.com", known_key)
    authd.add("client02@example.com", other)
    routerd = start_routerd(threads=threads)
    doomed = [join(routerd, s, key=known_key) for s in ("json", "cbor", "msgpack.batched", "cbor.batched")]
    bystander = join(routerd, key=other)
    out = authd.ctl("principal", command, "client01@example.com")
    assert re.search(r"\b4 (live )?sessions?\b", out), out
    for client in doomed:
        expect_killed(client)
    bystander.publish("com.example.t", acknowledge=True)
    client = connect(routerd)
    client.hello(None, authmethods=["cryptosign"], authextra={"pubkey": known_key.public})
    assert client.expect(ABORT)[2] == "com.example.no_such_user"
    if command == "disable":
        authd.ctl("principal", "enable", "client01@example.com")
        join(routerd, key=known_key)
    routerd.check_threads()


def test_removing_a_key_ends_the_sessions_of_that_key(authd, start_routerd, join):
    one, two = Key(), Key()
    authd.add("client01@example.com", one)
    authd.ctl("key", "add", "client01@example.com", two.public)
    routerd = start_routerd()
    first, second = join(routerd, key=one), join(routerd, key=two)
    authd.ctl("key", "remove", "client01@example.com", one.public)
    expect_killed(first)
    second.publish("com.example.t", acknowledge=True)


def test_a_key_has_two_cases(authd, start_routerd, join):
    """Hex digits of either case are the same key: in HELLO, in an authenticator's result and
    revoke, and at the admin socket."""
    key, other = Key(), Key()
    authd.add("client01@example.com", key)
    authd.ctl("key", "add", "client01@example.com", other.public)
    routerd = start_routerd()
    first, second = join(routerd, key=key), join(routerd, key=other)
    admin = Rpc(authd.cwd / "admin.sock")
    result = admin.call("key.remove", {"authid": "client01@example.com", "keys": [key.public.upper()]})
    assert result["sessions"] == 1
    expect_killed(first)
    second.publish("com.example.t", acknowledge=True)


def test_an_authenticator_may_write_keys_in_upper_case(fake, start_routerd, join, connect):
    one, two = Key(), Key()
    asked = []

    def answer(realm, authid, details):
        asked.append(details["authextra"]["pubkey"])
        found = principal(one if asked[-1].lower() == one.public else two)
        return {**found, "pubkey": found["pubkey"].upper()}

    authenticator = fake(answer)
    routerd = start_routerd()
    doomed, bystander = join(routerd, key=one), join(routerd, key=two)
    client = connect(routerd)
    client.hello(None, authmethods=["cryptosign"], authextra={"pubkey": one.public.upper()})
    client.authenticate(one.sign(client.expect(CHALLENGE)[2]["challenge"]))
    client.expect(WELCOME)
    assert authenticator.revoke(pubkey=one.public.upper())["sessions"] == 2
    expect_killed(doomed)
    expect_killed(client)
    bystander.publish("com.example.t", acknowledge=True)


# --- at each stage of a login ---------------------------------------------------------------


@pytest.mark.parametrize("method", [Key, Ticket])
def test_revoke_while_the_authenticator_is_asked(fake, start_routerd, threads, connect, method):
    """The answer is older than the revoke, so it must not let the client in."""
    key = method()
    authenticator = fake(lambda *args: HOLD)
    routerd = start_routerd(threads=threads)
    for match in ({"authid": "client01@example.com"}, {"pubkey": key.public} if key.public else {"role": "device"}):
        authenticator.requests.clear()
        client = connect(routerd)
        client.ask(key)
        ((msgid, _, _),) = authenticator.wait_requests(1)
        authenticator.revoke(**match, epoch=5)
        authenticator.send([1, msgid, None, principal(key, epoch=4)])
        message = client.expect(ABORT)
        assert len(message) == 3 and message[2] == KILLED
        client.wait_closed()


@pytest.mark.parametrize("method", [Key, Ticket])
def test_an_answer_newer_than_the_revoke_lets_in(fake, start_routerd, connect, method):
    """The principal is disabled and enabled again while the question is pending."""
    key = method()
    authenticator = fake(lambda *args: HOLD)
    routerd = start_routerd()
    client = connect(routerd)
    client.ask(key)
    ((msgid, _, _),) = authenticator.wait_requests(1)
    authenticator.revoke(authid="client01@example.com", epoch=5)
    authenticator.send([1, msgid, None, principal(key, epoch=6)])
    client.prove(key)
    client.expect(WELCOME)


def test_revoke_before_the_ticket_has_come(fake, start_routerd, threads, connect):
    """Nobody knows yet who the client is. The authenticator's answer decides, unless it is older."""
    key = Ticket()
    authenticator = fake(lambda *args: principal(key, epoch=4))
    routerd = start_routerd(threads=threads)
    clients = [connect(routerd) for _ in range(2)]
    for client in clients:
        client.challenge("devices", key)
    assert authenticator.revoke(authid="client01@example.com", epoch=5)["pending"] == 0
    clients[0].authenticate(key.ticket)
    assert clients[0].expect(ABORT)[2] == KILLED
    clients[0].wait_closed()
    authenticator.answer = lambda *args: principal(key, epoch=5)
    clients[1].authenticate(key.ticket)
    clients[1].expect(WELCOME)
    assert authenticator.revoke(authid="client01@example.com", epoch=6)["sessions"] == 1
    expect_killed(clients[1])


def test_revoke_while_challenged(fake, start_routerd, threads, connect):
    key = Key()
    authenticator = fake(lambda *args: principal(key))
    routerd = start_routerd(threads=threads)
    client = connect(routerd)
    client.challenge(None, key)
    result = authenticator.revoke(pubkey=key.public)
    assert result["pending"] == 1 and result["sessions"] == 0
    message = client.expect(ABORT)
    assert len(message) == 3 and message[2] == KILLED
    client.wait_closed()
    routerd.wait_log(r"login revoked peer=\S+ realm=devices authid=\S+ error=\S+ corr=[0-9a-f]{16} suppressed=0")


def test_revoke_of_live_sessions_counts_and_spares_others(fake, start_routerd, threads, join):
    keys = [Key(), Key()]
    by_key = {k.public: principal(k, authid=f"client{i}@example.com") for i, k in enumerate(keys)}
    authenticator = fake(lambda realm, authid, details: by_key[details["authextra"]["pubkey"]])
    routerd = start_routerd(threads=threads)
    doomed = [join(routerd, key=keys[0]) for _ in range(8)]
    spared = [join(routerd, key=keys[1]) for _ in range(4)]
    subscription = spared[0].subscribe("com.example.t")
    assert authenticator.revoke(authid="client0@example.com")["sessions"] == 8
    for client in doomed:
        # the router ignores what a killed session still sends
        client.publish("com.example.t", ["from the dead"])
        expect_killed(client)
    spared[1].publish("com.example.t", ["alive"], acknowledge=True)
    assert spared[0].event(subscription) == (["alive"], {})
    assert spared[0].silent() == []
    assert authenticator.revoke(authid="client0@example.com", epoch=3)["sessions"] == 0
    routerd.check_threads()


def test_all_terms_of_a_match_must_hold(fake, start_routerd, join):
    key = Key()
    authenticator = fake(lambda *args: principal(key))
    client = join(start_routerd(), key=key)
    assert authenticator.revoke(authid="client01@example.com", pubkey=Key().public)["sessions"] == 0
    client.publish("com.example.t", acknowledge=True)
    error, _ = authenticator.request("revoke", {"match": {}, "epoch": 9})
    assert error is not None, "an empty match would end every session"
    client.publish("com.example.t", acknowledge=True)
    assert authenticator.revoke(authid="client01@example.com", pubkey=key.public)["sessions"] == 1
    expect_killed(client)


def test_revoke_races_with_logins(fake, start_routerd, connect):
    """Whichever post arrives first, nobody who asked before the revoke is in after it."""
    key = Key()
    authenticator = fake(lambda *args: principal(key, epoch=1))
    routerd = start_routerd(threads=4)
    for number in range(30):
        authenticator.answer = lambda *args, n=number: principal(key, epoch=n)
        group = [connect(routerd) for _ in range(4)]
        challenges = [c.challenge(None, key) for c in group]
        for client, challenge in zip(group, challenges):
            client.authenticate(key.sign(challenge))
        authenticator.revoke(pubkey=key.public, epoch=number + 1)
        for client in group:
            message = client.recv()
            if message[0] == WELCOME:
                expect_killed(client)
            else:
                assert message[0] == ABORT and message[2] == KILLED, message
                client.wait_closed()
            client.close_socket()
    assert routerd.total("sessions") == 0
    routerd.check_threads()
