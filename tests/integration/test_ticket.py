# SPDX-License-Identifier: Apache-2.0
"""Logins by ticket. What holds for every login method that asks an authenticator, such as
time-outs, outages and revocations, is in test_authenticator.py, test_retry.py and
test_revocation.py, which run for tickets, too."""

import re
import subprocess
import sys
import time

import kit
import peers
import pytest
import rawclient
from authenticator import HOLD, Authenticator, Deny
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, HELLO, SERIALIZERS, WELCOME, refused
from utils import IS_ASAN, IS_TSAN, SLOW, WRAP, Daemon, Ticket, router_config

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)]

AUTHID = "joe@example.com"
TICKET = Ticket("s3cret-\u2603")


def site(realm, authid, details):
    """Knows one ticket."""
    if authid != AUTHID or details["ticket"] != TICKET.ticket:
        raise Deny("com.example.wrong_ticket", "wrong ticket")
    return {"realm": "devices", "role": "device", "extra": {"foo": 23}}


@pytest.fixture
def fake(fake):
    return fake(site)


@pytest.fixture
def ticket_routerd(fake, start_routerd, threads):
    return start_routerd(threads=threads)


def questions(fake):
    return [r for r in fake.requests if r[1] == "authenticate"]


# --- logins ---------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_right_ticket(ticket_routerd, join, serializer):
    client = join(ticket_routerd, serializer, key=TICKET, authid=AUTHID)
    assert client.details.items() >= {"realm": "devices", "authid": AUTHID, "authrole": "device",
                                      "authmethod": "ticket", "authprovider": "dynamic"}.items()
    assert client.details["authextra"]["foo"] == 23
    client.publish("com.example.t", acknowledge=True)


def test_the_wrong_ticket(ticket_routerd, connect):
    aborted = refused(connect(ticket_routerd), key=Ticket("guess"), authid=AUTHID)
    assert aborted.uri == "com.example.wrong_ticket"
    assert aborted.details == {"message": "wrong ticket"}


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_clients(ticket_routerd, puppets, kind, transport):
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        peer = peers.Peer(puppet, ticket_routerd.url(), serializer, key=TICKET, authid=AUTHID)
        assert peer.details["authid"] == AUTHID
        assert peer.details["authmethod"] == "ticket"
        assert peer.details["authextra"]["foo"] == 23
        with pytest.raises(peers.PeerError) as error:
            peers.Peer(puppet, ticket_routerd.url(), serializer, key=Ticket("guess"), authid=AUTHID)
        assert "wrong_ticket" in str(error.value)


def test_the_authenticator_is_asked_when_the_ticket_has_come(fake, ticket_routerd, connect, transport):
    client = connect(ticket_routerd, "json")
    client.hello("devices", authmethods=["ticket"], authid=AUTHID, authrole="device", authextra={"x": [1], "pubkey": 7})
    assert client.expect(CHALLENGE) == [CHALLENGE, "ticket", {}]
    assert questions(fake) == []
    client.authenticate(TICKET.ticket, {"x": 1})
    session = client.expect(WELCOME)[1]
    ((_, _, (realm, authid, details)),) = questions(fake)
    assert (realm, authid) == ("devices", AUTHID)
    assert details["authmethod"] == "ticket" and details["ticket"] == TICKET.ticket
    assert details["authrole"] == "device" and details["session"] == session
    assert details["authextra"] == {"pubkey": None, "channel_binding": None, "x": [1]}
    told = details["transport"]
    assert told["channel_framing"] == transport and told["listener"] == "public"
    assert ("http_headers_received" in told) == (transport == "websocket")
    ((_, _, (hello,)),) = fake.wait_requests(1, "hello")
    assert hello["methods"] == ["cryptosign", "ticket", "wampcra", "scram", "cookie", "tls"]


@pytest.mark.parametrize("result, asked, outcome", [
    ({"realm": "devices", "role": "device"}, AUTHID, AUTHID),
    ({"realm": "devices", "role": "device"}, None, "wamp.error.no_such_principal"),
    ({"realm": "devices", "role": "device", "authid": "other"}, AUTHID, "other"),
    ({"realm": "devices", "role": "device", "authid": "other"}, None, "other"),
    ({"realm": "devices", "role": "king"}, AUTHID, "wamp.error.no_such_role"),
    ({"realm": "nowhere", "role": "device"}, AUTHID, "wamp.error.no_such_realm"),
    ({"role": "device"}, AUTHID, "wamp.error.no_such_realm"),
    ("device", AUTHID, "wamp.error.no_such_realm"),
    ({"realm": "devices"}, AUTHID, "wamp.error.no_such_role"),
    (7, AUTHID, "wamp.error.authentication_failed"),
], ids=str)
def test_results(fake, start_routerd, connect, result, asked, outcome):
    fake.answer = lambda *args: result
    client = connect(start_routerd())
    client.ask(TICKET, "devices", authid=asked)
    message = client.recv()
    assert (message[2]["authid"] if message[0] == WELCOME else message[2]) == outcome


def test_a_second_session_on_the_same_connection(ticket_routerd, join):
    client = join(ticket_routerd, key=TICKET, authid=AUTHID)
    client.leave()
    client.join(key=TICKET, authid=AUTHID)


# --- clients that break the rules -----------------------------------------------------------


@pytest.mark.parametrize("ticket, text", [
    ("", "the ticket is empty"),
    ("x" * 16385, "the ticket is longer than 16384 bytes"),
    ("x" * 60000, "the ticket is longer than 16384 bytes"),
], ids=len)
def test_a_ticket_of_the_wrong_length(fake, ticket_routerd, connect, ticket, text):
    client = connect(ticket_routerd, "msgpack")
    client.hello(authmethods=["ticket"], authid=AUTHID)
    client.expect(CHALLENGE)
    client.authenticate(ticket)
    assert client.expect(ABORT) == [ABORT, {"message": text}, "wamp.error.authentication_denied"]
    assert client.wait_closed()[1] == []
    assert questions(fake) == []


def test_the_longest_ticket(fake, ticket_routerd, join):
    fake.answer = lambda *args: {"realm": "devices", "role": "device"}
    long = Ticket("\u2603" * 5461 + "x")
    join(ticket_routerd, "cbor", key=long, authid=AUTHID, authextra={str(i): "x" * 1000 for i in range(50)})
    assert questions(fake)[0][2][2]["ticket"] == long.ticket


VIOLATIONS = {
    "number": [AUTHENTICATE, 7, {}], "null": [AUTHENTICATE, None, {}], "list": [AUTHENTICATE, ["x"], {}],
    "bytes": [AUTHENTICATE, b"x", {}], "no extra": [AUTHENTICATE, "x"], "extra list": [AUTHENTICATE, "x", []],
    "trailing": [AUTHENTICATE, "x", {}, 1], "HELLO": [HELLO, "devices", {"roles": {"caller": {}}}],
}


def test_violations(fake, ticket_routerd, connect):
    for name, message in VIOLATIONS.items():
        client = connect(ticket_routerd, "msgpack")
        client.hello(authmethods=["ticket"], authid=AUTHID)
        client.expect(CHALLENGE)
        client.send(message)
        assert client.expect(ABORT)[2] == "wamp.error.protocol_violation", name
        assert client.wait_closed()[1] == [], name
    assert questions(fake) == []


def test_authenticate_before_its_time(fake, ticket_routerd, connect):
    client = connect(ticket_routerd)
    client.authenticate(TICKET.ticket)
    assert client.expect(ABORT)[2] == "wamp.error.protocol_violation"
    client.wait_closed()
    # the router answers HELLO at once, so the client cannot be too early
    client = connect(ticket_routerd)
    client.send([HELLO, "devices", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": AUTHID}],
                [AUTHENTICATE, TICKET.ticket, {}])
    client.expect(CHALLENGE)
    client.expect(WELCOME)


def test_authenticate_twice(fake, ticket_routerd, connect):
    """The login ends, and the authenticator is told so."""
    fake.answer = lambda *args: HOLD
    client = connect(ticket_routerd)
    client.ask(TICKET, "devices", authid=AUTHID)
    ((msgid, _, _),) = fake.wait_requests(1)
    client.authenticate(TICKET.ticket)
    assert client.expect(ABORT)[2] == "wamp.error.protocol_violation"
    assert client.wait_closed()[1] == []
    fake.wait(lambda: ("cancel", [msgid]) in fake.notifications, "cancel")
    client = connect(ticket_routerd)
    client.hello(authmethods=["ticket"], authid=AUTHID)
    client.expect(CHALLENGE)
    client.send([AUTHENTICATE, "a", {}], [AUTHENTICATE, "b", {}])
    assert client.expect(ABORT)[2] == "wamp.error.protocol_violation"


def test_names_that_are_too_long(fake, ticket_routerd, connect):
    long = "x" * 256
    for change, uri in (({"authid": long}, "no_such_principal"), ({"authrole": long}, "no_such_role"),
                        ({"realm": long}, "no_such_realm")):
        client = connect(ticket_routerd)
        client.hello(**{"realm": "devices", "authmethods": ["ticket"], **change})
        assert client.expect(ABORT)[2] == f"wamp.error.{uri}"
    assert questions(fake) == []


def test_a_client_that_sends_no_ticket(fake, start_routerd, connect):
    config = router_config()
    config["transports"][0]["options"] = {"open_handshake_timeout": 500}
    routerd = start_routerd(config)
    client = connect(routerd)
    client.hello(authmethods=["ticket"], authid=AUTHID)
    client.expect(CHALLENGE)
    began = time.monotonic()
    assert client.wait_closed()[1] == [] and client.was_dropped()
    assert time.monotonic() - began < 2 * SLOW
    assert questions(fake) == []


def test_an_authenticator_that_takes_short_messages(folder, start_routerd, connect):
    hello = {"protocol": [1, 0], "max_message": 4096}
    fake = Authenticator(folder, lambda *args: {"realm": "devices", "role": "device"}, hello=lambda: hello)
    routerd = start_routerd()
    routerd.wait_log("authenticator is available")
    connect(routerd).join(key=Ticket("x" * 2000), authid=AUTHID, authextra={"x": "y" * 3000})
    assert refused(connect(routerd), key=Ticket("x" * 5000), authid=AUTHID).uri == "wamp.error.authentication_failed"
    routerd.wait_log("the ticket is longer than the authenticator accepts")
    connect(routerd).join(key=TICKET, authid=AUTHID)
    fake.stop()


# --- secrets --------------------------------------------------------------------------------


# a sanitizer's shadow memory is too large to be searched, and it keeps what was freed
memory_is_searched = pytest.mark.skipif(IS_ASAN or IS_TSAN or bool(WRAP), reason="memory of a sanitizer")


def memory_has(process, secret):
    """Is this anywhere in the memory of a process?"""
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not mode.startswith("rw") or "[v" in line:
                continue
            memory.seek(int(begin, 16))
            try:
                if secret in memory.read(int(end, 16) - int(begin, 16)):
                    return True
            except OSError:
                continue
    return False


@memory_is_searched
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor.batched"])
@pytest.mark.many_workers
def test_no_ticket_stays_in_memory_or_gets_into_the_log(fake, start_routerd, connect, serializer):
    config = router_config(threads=4)
    config["log"] = {"level": "debug"}
    routerd = start_routerd(config)
    client = connect(routerd, serializer)
    for ticket in ("canary-accepted-7Zq", "canary-refused-8Yr"):
        fake.answer = site if "refused" in ticket else lambda *args: {"realm": "devices", "role": "device"}
        client = connect(routerd, serializer)
        client.ask(Ticket(ticket), "devices", authid=AUTHID)
        assert client.recv()[0] == (ABORT if "refused" in ticket else WELCOME)
        connect(routerd).join()
        assert not memory_has(routerd, ticket.encode())
        assert "canary" not in routerd.log()
    assert memory_has(routerd, AUTHID.encode()), "the test does not see the memory"


# --- authd and the kit ----------------------------------------------------------------------


def test_authd_has_no_tickets(start_authd, start_routerd, connect):
    authd = start_authd({"log": {"level": "debug"}})
    aborted = refused(connect(start_routerd()), key=Ticket("canary-3Xw"), authid=AUTHID)
    assert aborted.uri == "wamp.error.no_matching_auth_method"
    assert "cryptosign" in aborted.details["message"]
    assert "canary" not in authd.log()


@memory_is_searched
def test_no_ticket_stays_in_the_memory_of_authd(start_authd, start_routerd, connect):
    authd = start_authd()
    refused(connect(start_routerd()), key=Ticket("canary-3Xw"), authid=AUTHID)
    assert not memory_has(authd, b"canary-3Xw")


def test_the_example(folder, daemons, start_routerd, connect):
    program = kit.FOLDER / "tickets.py"
    code = f"import sys; sys.path.insert(0, {str(kit.FOLDER)!r}); import tickets; print(tickets.make_hash('s3cret', b'salt'))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "tickets").write_text(f"{AUTHID} devices device {made}\n")
    daemons.append(Daemon("tickets", [sys.executable, program, "tickets", "authd.sock"], folder, wrap=False))
    daemons[-1].start()
    routerd = start_routerd()
    client = connect(routerd)
    client.join(None, key=Ticket("s3cret"), authid=AUTHID)
    assert client.details["authid"] == AUTHID and client.details["authrole"] == "device"
    for ticket, authid, realm in (("guess", AUTHID, None), ("s3cret", "x", None), ("s3cret", None, None),
                                  ("s3cret", AUTHID, "other")):
        assert refused(connect(routerd), realm=realm, key=Ticket(ticket), authid=authid).uri == "com.example.wrong_ticket"
    assert "s3cret" not in daemons[0].log()
    usage = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert usage.returncode == 1 and "tickets.py FILE [SOCKET]" in usage.stderr and "Traceback" not in usage.stderr
