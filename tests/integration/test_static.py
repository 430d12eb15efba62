# SPDX-License-Identifier: Apache-2.0
"""Principals in routerd's configuration: logins of `type: static`. There is no authenticator."""

import secrets
import statistics
import time

import peers
import pytest
import rawclient
from rawclient import ABORT, CHALLENGE, SERIALIZERS, WELCOME, refused
from utils import Key, Ticket, router_config

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)]

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
KEYS = [Key(bytes([n]) * 32) for n in range(1, 5)]
TICKET = Ticket("s3cret-\u2603")
NO_REALM = "wamp.error.no_such_realm"
DENIED = "wamp.error.not_authorized"


def site(threads=1, **auth):
    """A configuration with static principals, or with these methods."""
    config = router_config(threads=threads, anonymous=None, cryptosign=False)
    config["realms"].append({"name": "other", "roles": [{"name": "device"}]})
    config["transports"][0]["auth"] = auth or {
        "cryptosign": {"type": "static", "principals": {
            ALICE: {"role": "device", "realm": "devices", "authorized_keys": [KEYS[0].public]},
            BOB: {"role": "device", "authorized_keys": [KEYS[1].public, KEYS[2].public.upper()]}}},
        "ticket": {"type": "static", "principals": {
            ALICE: {"role": "device", "realm": "devices", "ticket": TICKET.ticket},
            BOB: {"role": "device", "ticket": "x"}}},
    }
    return config


def name_of(value):
    """The name of a parameter in the name of a test."""
    return value.ticket if isinstance(value, Ticket) else f"key{KEYS.index(value)}" if isinstance(value, Key) else str(value)


@pytest.fixture
def routerd(start_routerd, threads):
    return start_routerd(site(threads))


# --- tickets --------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_right_ticket(routerd, join, serializer):
    client = join(routerd, serializer, key=TICKET, authid=ALICE)
    assert client.details.items() >= {"realm": "devices", "authid": ALICE, "authrole": "device",
                                      "authmethod": "ticket", "authprovider": "static"}.items()
    client.publish("com.example.t", acknowledge=True)


@pytest.mark.parametrize("authid, ticket", [
    (ALICE, "guess"), (ALICE, "x"), (BOB, TICKET.ticket), (CAROL, TICKET.ticket), (ALICE.upper(), TICKET.ticket),
    (None, TICKET.ticket), (ALICE, TICKET.ticket + "x"), (ALICE, TICKET.ticket[:-1]), (ALICE, "x" * 16384),
], ids=str)
def test_the_wrong_ticket(routerd, connect, authid, ticket):
    """Nobody finds out which part is wrong."""
    aborted = refused(connect(routerd), key=Ticket(ticket), authid=authid)
    assert aborted.uri == DENIED and aborted.details == {"message": "the authid or the ticket is wrong"}


@pytest.mark.parametrize("authid", [ALICE, CAROL])
@pytest.mark.parametrize("ticket, text", [
    ("", "the ticket is empty"), ("x" * 16385, "the ticket is longer than 16384 bytes")], ids=["empty", "long"])
def test_a_ticket_of_the_wrong_length(routerd, connect, authid, ticket, text):
    client = connect(routerd, "msgpack")
    client.challenge("devices", TICKET, authid=authid)
    client.authenticate(ticket)
    assert client.expect(ABORT) == [ABORT, {"message": text}, "wamp.error.authentication_denied"]


# --- keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_right_key(routerd, join, serializer):
    for authid, key in (ALICE, KEYS[0]), (None, KEYS[0]), (BOB, KEYS[1]), (BOB, KEYS[2]), (None, KEYS[2]):
        client = join(routerd, serializer, key=key, authid=authid)
        assert client.details.items() >= {"authid": authid or (ALICE if key is KEYS[0] else BOB), "authrole": "device",
                                          "authmethod": "cryptosign", "authprovider": "static"}.items()


def log_in(client, claimed, signing, authid, realm="devices"):
    """Claims one key, and signs with another one. Returns WELCOME or ABORT."""
    extra = {} if claimed is None else {"pubkey": claimed.public}
    client.hello(realm, authmethods=["cryptosign"], authid=authid, authextra=extra)
    message = client.recv()
    if message[0] == CHALLENGE:
        assert sorted(message[2]) == ["challenge", "channel_binding"]
        client.authenticate(signing.sign(message[2]["challenge"]))
        message = client.recv()
    return message


@pytest.mark.parametrize("claimed, signing, authid", [
    (0, 1, ALICE), (1, 1, ALICE), (1, 0, ALICE), (3, 3, ALICE), (3, 3, CAROL), (3, 3, None), (0, 0, CAROL), (0, 0, BOB),
    (None, 1, ALICE), (None, 3, CAROL), (None, 1, BOB),
], ids=str)
def test_the_wrong_key(routerd, connect, claimed, signing, authid):
    client = connect(routerd)
    message = log_in(client, None if claimed is None else KEYS[claimed], KEYS[signing], authid)
    assert message == [ABORT, {"message": "the signature was not made with the client's key"}, DENIED]
    assert client.wait_closed()[1] == []


def test_no_public_key_in_hello(routerd, connect):
    """The only key of the authid is meant."""
    assert log_in(connect(routerd), None, KEYS[0], ALICE)[0] == WELCOME
    message = log_in(connect(routerd), None, KEYS[0], None)
    assert message[2] == DENIED and "neither an authid nor" in message[1]["message"]


def test_a_replayed_signature(routerd, connect):
    clients = [connect(routerd) for _ in range(2)]
    challenges = [c.challenge("devices", KEYS[0], authid=ALICE) for c in clients]
    assert challenges[0] != challenges[1]
    clients[1].authenticate(KEYS[0].sign(challenges[0]))
    assert "instead of the challenge" in clients[1].expect(ABORT)[1]["message"]


def test_two_principals_with_one_key(start_routerd, connect):
    both = {"role": "device", "authorized_keys": [KEYS[0].public]}
    routerd = start_routerd(site(cryptosign={"type": "static", "principals": {ALICE: both, BOB: both}}))
    for authid in ALICE, BOB:
        assert log_in(connect(routerd), KEYS[0], KEYS[0], authid)[2]["authid"] == authid
    assert log_in(connect(routerd), KEYS[0], KEYS[0], None)[2] == DENIED


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_clients(routerd, puppets, kind, transport):
    puppet = puppets(kind)
    serializer = peers.serializers(kind, transport)[0]
    for key in TICKET, KEYS[0]:
        peer = peers.Peer(puppet, routerd.url(), serializer, key=key, authid=ALICE)
        assert peer.details["authid"] == ALICE and peer.details["authrole"] == "device"
        for wrong, authid in ((Ticket("guess") if key is TICKET else Key(), ALICE), (key, CAROL)):
            with pytest.raises(peers.PeerError) as error:
                peers.Peer(puppet, routerd.url(), serializer, key=wrong, authid=authid)
            assert "not_authorized" in str(error.value)


# --- realms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key, authid, realm, outcome", [
    (TICKET, ALICE, "devices", "devices"), (TICKET, ALICE, None, "devices"), (TICKET, ALICE, "other", NO_REALM),
    (Ticket("x"), BOB, "devices", "devices"), (Ticket("x"), BOB, "other", "other"), (Ticket("x"), BOB, None, NO_REALM),
    (Ticket("x"), BOB, "nowhere", NO_REALM), (KEYS[0], ALICE, None, "devices"), (KEYS[0], ALICE, "other", NO_REALM),
    (KEYS[1], BOB, "other", "other"), (KEYS[1], BOB, None, NO_REALM),
    # the realm tells nothing about the principal
    (Ticket("guess"), ALICE, None, DENIED), (Ticket("guess"), ALICE, "other", DENIED),
    (Ticket("guess"), BOB, None, DENIED), (Ticket("guess"), BOB, "nowhere", DENIED), (KEYS[3], CAROL, None, DENIED),
], ids=name_of)
def test_realms(routerd, connect, key, authid, realm, outcome):
    client = connect(routerd)
    try:
        assert client.join(realm, key=key, authid=authid)["realm"] == outcome
    except rawclient.Aborted as aborted:
        assert aborted.uri == outcome


def test_the_log_names_the_configuration_not_an_authenticator(routerd, connect):
    refused(connect(routerd), realm="nowhere", key=Ticket("x"), authid=BOB)
    routerd.wait_log("login denied .*no realm .*nowhere")
    assert "disagree" not in routerd.log()


def test_names_that_are_too_long(routerd, connect):
    long = "x" * 256
    for method in "ticket", "cryptosign":
        for change, uri in (({"authid": long}, "no_such_principal"), ({"authrole": long}, "no_such_role"),
                            ({"realm": long}, "no_such_realm"), ({"authextra": {"pubkey": long}}, "authentication_denied")):
            client = connect(routerd)
            client.hello(**{"realm": "devices", "authid": ALICE, "authmethods": [method], **change})
            assert client.expect(ABORT)[2] == f"wamp.error.{uri}"


def test_static_and_dynamic_side_by_side(fake, start_routerd, join):
    fake(lambda realm, authid, details: {"realm": "devices", "role": "device", "extra": {"asked": authid}})
    config = site()
    config["authenticators"] = {"authd": {"socket": "authd.sock"}}
    config["transports"][0]["auth"]["ticket"] = {"type": "dynamic", "authenticator": "authd"}
    routerd = start_routerd(config)
    assert join(routerd, key=Ticket("y"), authid=CAROL).details["authextra"]["asked"] == CAROL
    assert join(routerd, key=KEYS[0], authid=ALICE).details["authprovider"] == "static"


# --- known and unknown look alike -----------------------------------------------------------


@pytest.mark.long
@pytest.mark.websocket
def test_the_time_does_not_tell_who_exists(start_routerd, connect):
    """Known and unknown authids, in turn: their medians differ no more than two halves of one kind."""
    routerd = start_routerd(site())
    taken = {ALICE: [], CAROL: []}
    for _ in range(1000):
        for authid in taken:
            client = connect(routerd)
            client.challenge("devices", TICKET, authid=authid)
            began = time.perf_counter()
            client.authenticate(secrets.token_hex(4))
            client.expect(ABORT)
            taken[authid].append(time.perf_counter() - began)
            client.close_socket()
    medians = [statistics.median(t) for t in taken.values()]
    halves = [statistics.median(t[i::2]) for t in taken.values() for i in (0, 1)]
    assert abs(medians[0] - medians[1]) <= 3 * (max(halves) - min(halves)) + 5e-6
