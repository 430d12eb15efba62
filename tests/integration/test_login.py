# SPDX-License-Identifier: Apache-2.0
"""Cryptosign logins, through authd and through the example authenticator; and anonymous logins."""

import base64
import re
import sys

import nacl.signing
import peers
import pytest
import rawclient
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, SERIALIZERS, Aborted, refused
from utils import ROOT, Daemon, Key

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

AUTHID = "client01@example.com"
KIT = ROOT / "etc/examples/authenticator"
EXAMPLES_KEY = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"


def start_example(folder, daemons, key):
    """The example as shipped, except that client01 has a key whose private half we know."""
    text = (KIT / "example.py").read_text()
    assert EXAMPLES_KEY in text
    (folder / "example.py").write_text(text.replace(EXAMPLES_KEY, key.public))
    example = Daemon("example", [sys.executable, "example.py", "authd.sock"], folder, env={"PYTHONPATH": str(KIT)},
                     wrap=False)
    daemons.append(example)
    example.start()


# the example answers like authd; one framing is enough for it
@pytest.fixture(params=["authd-1thread", "authd-4threads",
                        pytest.param("example-4threads", marks=pytest.mark.websocket)])
def login_routerd(request, folder, daemons, start_authd, start_routerd, known_key):
    """A router and an authenticator that knows client01@example.com by known_key."""
    authenticator, threads = request.param.split("-")
    if authenticator == "authd":
        start_authd().add(AUTHID, known_key, extra={"foo": 23})
    else:
        start_example(folder, daemons, known_key)
    return start_routerd(threads=int(threads[0]))


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_known_key(login_routerd, known_key, join, serializer):
    client = join(login_routerd, serializer, realm=None, key=known_key)
    assert client.details.items() >= {"realm": "devices", "authid": AUTHID, "authrole": "device",
                                      "authmethod": "cryptosign", "authprovider": "dynamic"}.items()
    extra = client.details["authextra"]
    assert extra["foo"] == 23
    assert set(extra) == {"foo", "x_cb_node", "x_cb_worker", "x_cb_peer", "x_cb_pid"}
    own = client.socket.getsockname()
    assert extra["x_cb_peer"] == f"tcp4:{own[0]}:{own[1]}"
    assert extra["x_cb_pid"] == login_routerd.pid
    client.publish("com.example.t", acknowledge=True)


@pytest.mark.parametrize("realm", [None, "", "devices"])
@pytest.mark.parametrize("authid", [None, "", AUTHID])
def test_realm_and_authid_may_be_named_or_not(login_routerd, known_key, join, realm, authid):
    details = join(login_routerd, realm=realm, key=known_key, authid=authid).details
    assert (details["realm"], details["authid"]) == ("devices", AUTHID)


def test_unknown_key(login_routerd, connect):
    key = Key()
    aborted = refused(connect(login_routerd, "cbor"), realm=None, key=key)
    assert aborted.uri == "com.example.no_such_user"
    assert aborted.details == {"message": f"no principal with matching public key 0x{key.public}"}


def test_wrong_realm_or_authid(login_routerd, connect, known_key):
    for realm, authid in (("devices", "someone@example.com"), ("nowhere", None)):
        aborted = refused(connect(login_routerd), realm=realm, authid=authid, key=known_key)
        assert aborted.uri == "com.example.no_such_user", (realm, authid)


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_clients(login_routerd, puppets, known_key, kind, transport):
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        peer = peers.Peer(puppet, login_routerd.url(), serializer, key=known_key, authid=AUTHID)
        assert peer.details["authid"] == AUTHID
        assert peer.details["authrole"] == "device"
        assert peer.details["authextra"]["foo"] == 23
        with pytest.raises(peers.PeerError) as error:
            peers.Peer(puppet, login_routerd.url(), serializer, key=Key(), authid=AUTHID)
        assert "no_such_user" in str(error.value)


def test_real_clients_without_realm_and_authid(login_routerd, puppets, known_key, transport):
    for kind in peers.PYTHON:
        # the last one is cbor, batched if the client can
        for serializer in peers.serializers(kind, transport)[-1:]:
            peer = peers.Peer(puppets(kind), login_routerd.url(), serializer, realm=None, key=known_key)
            assert peer.details["realm"] == "devices"
            assert peer.details["serializer"] == serializer


# --- signatures -----------------------------------------------------------------------------


def sign(key, message):
    return (nacl.signing.SigningKey(key.seed).sign(message).signature + message).hex()


# the signature that is sent, and what the log and the client read about it
BAD_SIGNATURES = {
    "of_another_key": (lambda key, c: Key().sign(c), "the signature was not made with the client's key"),
    "of_another_message": (lambda key, c: sign(key, b"\x55" * 32), "the client has signed 0x5555"),
    "bit_flipped": (lambda key, c: f"{int(key.sign(c), 16) ^ 1 << 700:0192x}", "the signature was not made with the client's key"),
    "message_flipped": (lambda key, c: f"{int(key.sign(c), 16) ^ 1:0192x}", "the client has signed 0x"),
    "signature_only": (lambda key, c: key.sign(c)[:128], "AUTHENTICATE.Signature: expected 192 hex digits, not 128 characters"),
    "short": (lambda key, c: key.sign(c)[:-2], "AUTHENTICATE.Signature: expected 192 hex digits, not 19"),
    "long": (lambda key, c: key.sign(c) + "00", "AUTHENTICATE.Signature: expected 192 hex digits, not 194 characters"),
    "odd": (lambda key, c: key.sign(c)[:-1], "AUTHENTICATE.Signature: expected 192 hex digits, not 19"),
    "empty": (lambda key, c: "", "AUTHENTICATE.Signature: expected 192 hex digits, not 0 characters"),
    "no_hex": (lambda key, c: "zz" * 96, "AUTHENTICATE.Signature: expected only hex digits"),
    "zeroes": (lambda key, c: "00" * 96, "the client has signed 0x0000"),
    "huge": (lambda key, c: "00" * 30000, "AUTHENTICATE.Signature: expected 192 hex digits, not 60000 characters"),
    "not_ascii": (lambda key, c: "ü" * 192, "AUTHENTICATE.Signature: expected 192 hex digits, not 384 characters"),
}


def test_bad_signatures(login_routerd, connect, known_key):
    for name, (make, text) in BAD_SIGNATURES.items():
        client = connect(login_routerd, "msgpack")
        challenge = client.challenge(None, known_key)
        client.authenticate(make(known_key, challenge))
        message = client.expect(ABORT)
        assert len(message) == 3
        assert message[2] == "wamp.error.not_authorized", (name, message)
        assert message[1]["message"].startswith(text), (name, message)
        code, behind = client.wait_closed()
        assert behind == [], name


def test_upper_case_hex_is_hex(login_routerd, connect, known_key):
    client = connect(login_routerd)
    challenge = client.challenge(None, known_key)
    client.authenticate(known_key.sign(challenge).upper())
    client.expect(rawclient.WELCOME)


def test_a_replayed_signature_is_refused(login_routerd, connect, known_key):
    client = connect(login_routerd)
    signature = known_key.sign(client.challenge(None, known_key))
    client.authenticate(signature)
    client.expect(rawclient.WELCOME)
    thief = connect(login_routerd)
    expected = thief.challenge(None, known_key)
    thief.authenticate(signature)
    message = thief.expect(ABORT)
    assert message[2] == "wamp.error.not_authorized"
    assert message[1]["message"] == f"the client has signed 0x{signature[128:]} instead of the challenge 0x{expected}"
    thief.wait_closed()


def test_challenges_differ(login_routerd, connect, known_key):
    challenges = [connect(login_routerd).challenge(None, known_key) for _ in range(20)]
    assert len(set(challenges)) == 20
    assert all(re.fullmatch("[0-9a-f]{64}", c) for c in challenges)


def test_only_one_try(login_routerd, connect, known_key):
    """The router ignores a second AUTHENTICATE that follows a refused one."""
    client = connect(login_routerd)
    challenge = client.challenge(None, known_key)
    client.send([AUTHENTICATE, "00" * 96, {}], [AUTHENTICATE, known_key.sign(challenge), {}])
    assert client.expect(ABORT)[2] == "wamp.error.not_authorized"
    assert client.wait_closed()[1] == []


@pytest.mark.parametrize("extra", [
    None, {}, {"pubkey": None}, {"pubkey": 7}, {"pubkey": ""}, {"pubkey": "00"}, {"pubkey": "zz" * 32},
    {"pubkey": "00" * 33}, {"pubkey": b"\0" * 32}, {"pubkey": "x" * 60000},
], ids=str)
def test_malformed_keys(login_routerd, connect, extra):
    client = connect(login_routerd, "msgpack")
    client.hello(None, authmethods=["cryptosign"], authextra=extra)
    message = client.expect(ABORT)
    too_long = extra and len(str(extra.get("pubkey"))) > 255
    assert message[2] == ("wamp.error.authentication_denied" if too_long else "com.example.no_such_user")
    assert "64 hex digits" in message[1]["message"]
    client.wait_closed()


NO_TLS = "the client has no TLS connection to the router; one to a proxy does not count"
UNKNOWN = 'unknown: expected "tls-unique" or "tls-exporter"'
NO_TEXT = 'authextra.channel_binding: expected null, "tls-unique" or "tls-exporter"'
# what the client sends; how it is shown, and why it is refused
BINDINGS = {
    "tls-unique": ("tls-unique", NO_TLS), "tls-exporter": ("tls-exporter", NO_TLS), "nonsense": ("nonsense", UNKNOWN),
    "x" * 48: ("x" * 48, UNKNOWN), "x" * 49: ("x" * 48 + "...", UNKNOWN), "x" * 10000: ("x" * 48 + "...", UNKNOWN),
    # a character that is cut in two, and others that could hide the reason
    "x" + "é" * 1000: ("x" + r"\xc3\xa9" * 23 + r"\xc3...", UNKNOWN), "\0\n": (r"\x00\x0a", UNKNOWN),
    **dict.fromkeys(["", 0, 1.5, True, b"tls-unique", ("tls-unique",), ()]),
}


@pytest.mark.parametrize("binding", [*BINDINGS, {"tls-unique": None}, {}], ids=lambda b: repr(b)[:20])
@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
def test_channel_binding_without_tls_is_refused(login_routerd, connect, known_key, serializer, binding):
    """The ABORT and the log name the binding and the reason."""
    client = connect(login_routerd, serializer)
    with pytest.raises(Aborted) as aborted:
        client.join(None, key=known_key, authextra={"channel_binding": binding})
    assert aborted.value.uri == "wamp.error.not_authorized"
    known = None if isinstance(binding, dict) else BINDINGS[binding]
    expected = 'authextra.channel_binding: "{}": {}'.format(*known) if known else NO_TEXT
    assert aborted.value.details["message"] == expected
    logged = expected.replace("\\", "\\x5c").replace('"', "\\x22")
    whole = len(logged) < 200
    login_routerd.wait_log(re.escape(f'reason="{logged if whole else logged[:190]}') + '" corr=' * whole)


def test_odd_but_honest_authextra(login_routerd, join, known_key):
    join(login_routerd, key=known_key, authextra={
        "trustroot": None, "channel_binding": None, "challenge": None, "x": [1]})


# --- the choice of the method ---------------------------------------------------------------


def test_unknown_methods_are_skipped(login_routerd, connect, known_key):
    client = connect(login_routerd)
    client.hello(None, authmethods=["wamp-scram", "x", "cryptosign", "anonymous"],
                 authextra={"pubkey": known_key.public})
    assert client.expect(CHALLENGE)[1] == "cryptosign"
    client = connect(login_routerd)
    client.hello("devices", authmethods=["wampcra", "anonymous", "cryptosign", "ticket"])
    assert client.expect(rawclient.WELCOME)[2]["authmethod"] == "anonymous"


@pytest.mark.parametrize("methods", [["wampcra"], ["wampcra", "scram"], ["CRYPTOSIGN"]])
def test_no_matching_method(login_routerd, connect, methods):
    client = connect(login_routerd)
    with pytest.raises(Aborted) as aborted:
        client.join(authmethods=methods)
    assert aborted.value.uri == "wamp.error.no_matching_auth_method"
    assert aborted.value.details["message"].endswith("supported: anonymous, cryptosign, ticket")


def test_no_methods_mean_anonymous(login_routerd, connect):
    for methods in (None, []):
        client = connect(login_routerd)
        client.hello("devices", authmethods=methods)
        assert client.expect(rawclient.WELCOME)[2]["authmethod"] == "anonymous"


def test_anonymous_may_be_switched_off(authd, start_routerd, connect):
    routerd = start_routerd(anonymous=None)
    for methods in (["anonymous"], None):
        client = connect(routerd)
        with pytest.raises(Aborted) as aborted:
            client.join(authmethods=methods)
        assert aborted.value.uri == "wamp.error.no_matching_auth_method"


def test_anonymous_needs_a_realm(login_routerd, connect):
    client = connect(login_routerd)
    with pytest.raises(Aborted) as aborted:
        client.join(realm=None)
    assert aborted.value.uri == "wamp.error.no_such_realm"


def test_log_lines_of_a_session(login_routerd, connect, known_key):
    """One line when a session opens and one when it closes. The log has no secret in any form: no
    challenge, no signature, no private key."""
    client = connect(login_routerd)
    challenge = client.challenge(None, known_key)
    signature = known_key.sign(challenge)
    client.authenticate(signature)
    session = str(client.expect(rawclient.WELCOME)[1])
    client.close_socket()
    login_routerd.wait_log(rf"session closed session={session}\b")
    lines = [line for line in login_routerd.log().splitlines() if session in line]
    assert len(lines) == 2, lines
    assert f"session opened session={session} " in lines[0] and AUTHID in lines[0]
    log = login_routerd.log()
    for secret in (challenge, signature, known_key.seed.hex()):
        data = bytes.fromhex(secret)
        for piece in (secret[:32], secret[-32:]):
            assert piece not in log.lower()
        assert base64.b64encode(data[:30]).decode() not in log


def test_a_bad_signature_puts_no_secret_into_the_log(login_routerd, connect, known_key):
    """The client is told which challenge was expected, but the log has no secret."""
    client = connect(login_routerd)
    challenge = client.challenge(None, known_key)
    signature = known_key.sign(challenge)
    client.authenticate(signature[:-2] + ("01" if signature.endswith("00") else "00"))
    client.expect(ABORT)
    line = login_routerd.wait_log("login denied .*").group()
    assert signature[:32] not in line
