# SPDX-License-Identifier: Apache-2.0
"""Logins by wampcra: secrets in the configuration, salted or not, or known by an authenticator."""

import base64
import hashlib
import json
import time

import kit
import peers
import pytest
import rawclient
from authenticator import HOLD, Deny
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, SERIALIZERS, cra_signature, refused
from test_ticket import memory_has, memory_is_searched
from utils import Secret, router_config

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)]

PLAIN, SALTED, NOBODY = "plain@example.com", "salted@example.com", "nobody@example.com"
SECRET = Secret("s3cret-\u2603")
LONG = Secret("long" * 1000)
DENIED = [ABORT, {"message": "WAMP-CRA: the authid or the secret is wrong"}, "wamp.error.not_authorized"]
SALT = {"salt": "p\u00e4pper", "iterations": 500, "keylen": 24}
EVERY = [({"secret": SECRET.ticket}, SECRET), ({"secret": LONG.ticket}, LONG), ({"secret": SECRET.ticket, **SALT}, SECRET),
         ({"secret": SECRET.ticket, "salt": "x"}, SECRET), ({"secret": LONG.ticket, "salt": "x", "keylen": 64}, LONG)]


def site(threads=1, method=None, **users):
    config = router_config(threads=threads, anonymous=None, cryptosign=False)
    method = method or {"type": "static", "users": {u: {"role": "device", **more} for u, more in users.items()}}
    config["transports"][0]["auth"] = {"wampcra": method}
    if method["type"] == "dynamic":
        config["authenticators"] = {"authd": {"socket": "authd.sock"}}
    return config


def dynamic(threads=1):
    return site(threads, method={"type": "dynamic", "authenticator": "authd"})


def derived(secret, salt, iterations, keylen):
    key = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), iterations, keylen)
    return {"derived_key": base64.b64encode(key).decode(), "salt": salt, "iterations": iterations, "keylen": keylen}


def hello(client, authid, **kw):
    """Sends HELLO; returns the Extra of CHALLENGE."""
    client.hello("devices", authmethods=["wampcra"], authid=authid, **kw)
    kind, method, extra = client.expect(CHALLENGE)
    assert method == "wampcra"
    return extra


# --- static ---------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_right_secret(start_routerd, threads, join, serializer):
    routerd = start_routerd(site(threads, **{f"u{i}": user for i, (user, _) in enumerate(EVERY)}))
    for i, (_, secret) in enumerate(EVERY):
        client = join(routerd, serializer, key=secret, authid=f"u{i}")
        assert client.details.items() >= {"realm": "devices", "authid": f"u{i}", "authrole": "device",
                                          "authmethod": "wampcra", "authprovider": "static"}.items()


def test_the_challenge(start_routerd, connect):
    routerd = start_routerd(site(**{PLAIN: EVERY[0][0], SALTED: EVERY[2][0]}))
    client = connect(routerd)
    assert sorted(extra := hello(client, PLAIN, authrole="device")) == ["challenge"]
    told = json.loads(extra["challenge"])
    client.authenticate(cra_signature(SECRET.ticket, extra))
    session = client.expect(rawclient.WELCOME)[1]
    assert abs(time.time() - time.mktime(time.strptime(told.pop("timestamp"), "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60
    assert len(bytes.fromhex(told.pop("nonce"))) == 16
    assert told == {"authid": PLAIN, "authrole": "device", "authmethod": "wampcra", "authprovider": "static",
                    "session": session}
    extra = hello(connect(routerd), SALTED)
    assert {k: v for k, v in extra.items() if k != "challenge"} == SALT
    assert extra["challenge"] != hello(connect(routerd), SALTED)["challenge"]


WRONG = {"empty": "", "short": "x", "no base64": "*" * 44, "43": "A" * 43, "45": "A" * 45, "zero": base64.b64encode(bytes(32)).decode(),
         "long": "A" * 60000, "unicode": "\u2603" * 14 + "xx", "NUL": "\0" * 44}


@pytest.mark.parametrize("authid", [PLAIN, SALTED, NOBODY, "", None], ids=str)
def test_wrong_signatures(start_routerd, connect, authid):
    routerd = start_routerd(site(**{PLAIN: EVERY[0][0], SALTED: EVERY[2][0]}))
    for name, signature in WRONG.items():
        client = connect(routerd, "cbor")
        hello(client, authid)
        client.authenticate(signature)
        assert client.expect(ABORT) == DENIED, name
        assert client.wait_closed()[1] == []
    client = connect(routerd)
    client.authenticate(cra_signature("guess", hello(client, authid)))
    assert client.expect(ABORT) == DENIED


def test_a_replayed_signature(start_routerd, connect):
    routerd = start_routerd(site(**{PLAIN: EVERY[0][0]}))
    clients = [connect(routerd) for _ in range(2)]
    extras = [hello(c, PLAIN) for c in clients]
    clients[1].authenticate(cra_signature(SECRET.ticket, extras[0]))
    assert clients[1].expect(ABORT) == DENIED


@pytest.mark.parametrize("extra", [[], None, 7, "x", b"x"], ids=str)
def test_hostile_extra(start_routerd, connect, extra):
    client = connect(start_routerd(site(**{PLAIN: EVERY[0][0]})), "msgpack")
    hello(client, PLAIN)
    client.send([AUTHENTICATE, "x", extra])
    assert client.expect(ABORT)[2] == "wamp.error.protocol_violation"


def test_authenticate_twice(start_routerd, connect):
    client = connect(start_routerd(site(**{PLAIN: EVERY[0][0]})))
    signature = cra_signature(SECRET.ticket, hello(client, PLAIN))
    client.send([AUTHENTICATE, signature, {}], [AUTHENTICATE, signature, {}])
    assert client.expect(ABORT)[2] == "wamp.error.protocol_violation"


def test_an_unknown_user_gets_a_salt_like_the_others(start_routerd, connect):
    """The same one each time: it must not show that nobody has this authid."""
    routerd = start_routerd(site(**{SALTED: {"secret": "x", "salt": "s" * 200, "iterations": 77, "keylen": 20}}))
    extras = [hello(connect(routerd, "cbor"), authid) for authid in (NOBODY, NOBODY, "other", SALTED)]
    for extra in extras:
        assert sorted(extra) == ["challenge", "iterations", "keylen", "salt"]
        assert (extra["iterations"], extra["keylen"], len(extra["salt"])) == (77, 20, 200)
    assert extras[0]["salt"] == extras[1]["salt"] != extras[2]["salt"]
    assert len(set(extras[0]["salt"])) > 40
    routerd = start_routerd(site(**{PLAIN: {"secret": "x"}}), name="plain")
    assert sorted(hello(connect(routerd), NOBODY)) == ["challenge"]


@pytest.mark.parametrize("authid", ["a" * 255, "b" * 255], ids=["known", "unknown"])
def test_a_challenge_that_is_too_long_for_a_client(start_routerd, connect, transport, authid):
    """RawSocket only: the client is told, and the log says why. Without an ABORT it would try again, forever."""
    routerd = start_routerd(site(**{"a" * 255: {"secret": "x", "salt": "s" * 250}}))
    if transport == "websocket":
        assert "salt" in hello(connect(routerd), authid)
        return
    client = connect(routerd, length=1)  # 1 KiB
    client.hello("devices", authmethods=["wampcra"], authid=authid, authrole="r" * 255)
    assert client.expect(ABORT)[2] == "wamp.error.authentication_failed"
    routerd.wait_log("login failed reason=\"CHALLENGE cannot be sent to the client: it is longer than the client accepts\"")
    assert routerd.total("logins_failed") == 1


# --- real clients ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_clients(start_routerd, threads, puppets, kind, transport):
    routerd = start_routerd(site(threads, **{PLAIN: {"secret": "s3cret"}, SALTED: {"secret": "s3cret", "salt": "abc"}}))
    puppet = puppets(kind)
    serializer = peers.serializers(kind, transport)[0]
    for authid in PLAIN, SALTED:
        peer = peers.Peer(puppet, routerd.url(), serializer, key=Secret("s3cret"), authid=authid)
        assert peer.details["authid"] == authid and peer.details["authmethod"] == "wampcra"
        with pytest.raises(peers.PeerError) as error:
            peers.Peer(puppet, routerd.url(), serializer, key=Secret("guess"), authid=authid)
        assert "not_authorized" in str(error.value)


# --- dynamic --------------------------------------------------------------------------------


ANSWERS = EVERY + [(derived(SECRET.ticket, "abc", 20000, 32), SECRET), (derived(SECRET.ticket, "abc", 1, 64), SECRET)]


@pytest.mark.parametrize("answer, secret", ANSWERS, ids=range(len(ANSWERS)))
def test_the_authenticator_knows_the_secret(fake, start_routerd, threads, join, connect, answer, secret):
    asked = fake(lambda realm, authid, details: {"realm": "devices", "role": "device", "extra": {"foo": 23}, **answer})
    routerd = start_routerd(dynamic(threads))
    client = join(routerd, key=secret, authid=PLAIN)
    assert client.details.items() >= {"authid": PLAIN, "authmethod": "wampcra", "authprovider": "dynamic"}.items()
    assert client.details["authextra"]["foo"] == 23
    ((_, _, (realm, authid, details)),) = asked.wait_requests(1)
    assert (realm, authid, details["authmethod"]) == ("devices", PLAIN, "wampcra") and "ticket" not in details
    client = connect(routerd)
    client.authenticate(cra_signature("guess", hello(client, PLAIN)))
    assert client.expect(ABORT) == DENIED


def test_the_authenticator_names_the_authid(fake, start_routerd, join, connect):
    answer = {"realm": "devices", "role": "device", "authid": "other", "secret": SECRET.ticket}
    fake(lambda *args: answer)
    routerd = start_routerd(dynamic())
    assert join(routerd, key=SECRET, authid=PLAIN).details["authid"] == "other"
    assert join(routerd, key=SECRET).details["authid"] == "other"
    answer = {"realm": "devices", "role": "device", "secret": SECRET.ticket}
    assert refused(connect(routerd), key=SECRET).uri == "wamp.error.no_such_principal"


def test_a_zero_byte_does_not_end_an_authid(fake, start_routerd, join):
    fake(lambda *args: {"realm": "devices", "role": "device", "secret": SECRET.ticket})
    client = join(start_routerd(dynamic()), "msgpack", key=SECRET, authid=PLAIN + "\0x")
    assert client.details["authid"] == PLAIN + "\0x"


@pytest.mark.parametrize("answer, text", [
    ({}, "expected either secret, or derived_key and salt"),
    ({"secret": "x", "derived_key": "x", "salt": "s"}, "expected either secret, or derived_key and salt"),
    ({"derived_key": "x"}, "expected either secret, or derived_key and salt"),
    ({"secret": "x", "salt": "s", "iterations": 1001}, "iterations: expected at most 1000 with secret"),
    ({"secret": "x", "salt": "s", "iterations": 0}, "iterations: expected at least 1"),
    ({"secret": "x", "salt": "s", "keylen": 15}, "keylen: expected at least 16"),
    ({"secret": "x", "salt": "s", "keylen": 65}, "keylen: expected an integer from 0 to 64"),
    ({"secret": 7}, "secret: expected a string of at most 4096 bytes"),
    ({"secret": b"x"}, "secret: expected a string"), ({"secret": "x" * 4097}, "secret: expected a string of at most 4096"),
    ({"secret": "x", "salt": "s" * 256}, "salt: expected a string of at most 255"),
    ({"secret": "x", "salt": "s", "iterations": "9"}, "iterations: expected an integer"),
    ("device", "expected a map"),
], ids=str)
def test_wrong_results(fake, start_routerd, connect, answer, text):
    fake(lambda *args: {"realm": "devices", "role": "device", **answer} if isinstance(answer, dict) else answer)
    routerd = start_routerd(dynamic())
    assert refused(connect(routerd), key=SECRET, authid=PLAIN).uri == "wamp.error.authentication_failed"
    routerd.wait_log(text)


def test_the_authenticator_denies(fake, start_routerd, connect):
    def deny(*args):
        raise Deny("com.example.no_such_user", "nobody")

    fake(deny)
    aborted = refused(connect(start_routerd(dynamic())), key=SECRET, authid=PLAIN)
    assert (aborted.uri, aborted.details) == ("com.example.no_such_user", {"message": "nobody"})


def test_revoked_before_and_after_the_challenge(fake, start_routerd, connect):
    asked = fake(lambda *args: {"realm": "devices", "role": "device", "secret": SECRET.ticket, "epoch": 1})
    routerd = start_routerd(dynamic())
    client = connect(routerd)
    extra = hello(client, PLAIN)
    assert asked.revoke(authid=PLAIN)["pending"] == 1
    assert client.expect(ABORT)[2] == "wamp.close.killed"
    client.authenticate(cra_signature(SECRET.ticket, extra))
    assert client.wait_closed()[1] == []
    asked.answer = lambda *args: HOLD
    client = connect(routerd)
    client.hello("devices", authmethods=["wampcra"], authid=PLAIN)
    msgid = asked.wait_requests(2)[1][0]
    asked.revoke(authid=PLAIN, epoch=3)
    asked.send([1, msgid, None, {"realm": "devices", "role": "device", "secret": SECRET.ticket, "epoch": 2}])
    assert client.expect(ABORT)[2] == "wamp.close.killed"


@memory_is_searched
@pytest.mark.parametrize("more", [{}, {"salt": "x"}], ids=["plain", "salted"])
@pytest.mark.many_workers
def test_no_secret_of_the_authenticator_stays_in_memory(fake, start_routerd, connect, join, more):
    asked = fake(lambda *args: {"realm": "devices", "role": "device", "secret": "canary-6Mf", **more})
    config = dynamic(4)
    config["log"] = {"level": "debug"}
    routerd = start_routerd(config)
    client = connect(routerd)
    hello(client, PLAIN)
    client.close_socket()
    refused(connect(routerd), key=SECRET, authid=PLAIN)
    join(routerd, key=Secret("canary-6Mf"), authid=PLAIN)
    asked.answer = lambda *args: {"realm": "devices", "role": "device", "secret": "y" * 100}
    refused(connect(routerd), key=SECRET, authid=PLAIN)
    assert not memory_has(routerd, b"canary-6Mf") and "canary" not in routerd.log()


def test_wrong_signatures_are_reported(fake, start_routerd, connect):
    asked = fake(lambda *args: {"realm": "devices", "role": "device", "secret": SECRET.ticket},
                 features=("revoke", "cancel", "events"))
    client = connect(start_routerd(dynamic()))
    client.authenticate(cra_signature("guess", hello(client, PLAIN)))
    assert client.expect(ABORT) == DENIED
    asked.wait(lambda: [n for n in asked.notifications if n[0] == "auth.failed"], "auth.failed")
    assert asked.notifications[0][1][0]["reason"] == "bad_signature"


# as etc/doc/authenticators.md shows it
KIT = """
import base64, hashlib

async def authenticate(realm, authid, details):
    if details["authmethod"] != "wampcra" or authid != "plain@example.com":
        raise wampauth.Error("com.example.no_such_user", "nobody has this authid")
    key = hashlib.pbkdf2_hmac("sha256", "s3cret".encode(), b"salt", 5000, 32)
    return {"realm": "devices", "role": "device", "derived_key": base64.b64encode(key).decode(), "salt": "salt",
            "iterations": 5000, "keylen": 32}
"""


@pytest.mark.websocket
def test_the_kit(folder, daemons, start_routerd, join, connect, transport):
    daemons.append(kit.daemon(folder, "asyncio", KIT))
    daemons[-1].start()
    routerd = start_routerd(dynamic())
    assert join(routerd, key=Secret("s3cret"), authid=PLAIN).details["authmethod"] == "wampcra"
    assert refused(connect(routerd), key=Secret("guess"), authid=PLAIN).uri == "wamp.error.not_authorized"
    assert refused(connect(routerd), key=Secret("s3cret"), authid=NOBODY).uri == "com.example.no_such_user"
