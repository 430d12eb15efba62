# SPDX-License-Identifier: Apache-2.0
"""Logins by SCRAM: the specification's wamp-scram, and Autobahn's scram. The client below is written from
the specification; test_autobahn uses Autobahn's own code."""

import base64
import hashlib
import hmac
import secrets

import nacl.pwhash.argon2id
import peers
import pytest
import rawclient
from authenticator import Deny
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, SERIALIZERS, WELCOME
from test_ticket import memory_has, memory_is_searched
from utils import router_config

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)]

PASSWORD = "pencil\u2603"
SALT = bytes.fromhex("5b6d99689d12358eeca04b141236fa81")
KDFS = {"pbkdf2": {"iterations": 4096}, "argon2id13": {"iterations": 2, "memory": 64},
        "argon2id-13": {"iterations": 2, "memory": 64}}
METHODS = {"pbkdf2": "wamp-scram", "argon2id13": "wamp-scram", "argon2id-13": "scram"}
DENIED = [ABORT, {"message": "SCRAM: the authid or the password is wrong"}, "wamp.error.not_authorized"]
NOBODY = "nobody@example.com"


def b64(data):
    return base64.b64encode(data).decode()


def mac(key, text):
    return hmac.digest(key, text if isinstance(text, bytes) else text.encode(), "sha256")


def salted(password, kdf, salt, iterations, memory=None):
    if kdf == "pbkdf2":
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    raw = nacl.pwhash.argon2id.kdf(32, password.encode(), salt, iterations, memory * 1024)
    return raw if kdf == "argon2id13" else base64.b64encode(raw).rstrip(b"=")


def keys(kdf, password=PASSWORD, salt=SALT, **parameters):
    """What the server stores for a password."""
    parameters = parameters or KDFS[kdf]
    key = salted(password, kdf, salt, **parameters)
    return {"kdf": kdf, "salt": salt.hex(), **parameters, "server-key": mac(key, "Server Key").hex(),
            "stored-key": hashlib.sha256(mac(key, "Client Key")).hexdigest()}


class Scram:
    """The client's side of an exchange."""

    def __init__(self, client, method, authid, password=PASSWORD, nonce=None, realm="devices", **extra):
        self.client, self.method, self.authid, self.password = client, method, authid, password
        self.nonce = b64(secrets.token_bytes(16)) if nonce is None else nonce
        client.hello(realm, authmethods=[method], authid=authid, authextra={"nonce": self.nonce, **extra})

    def challenge(self):
        kind, method, self.extra = self.client.expect(CHALLENGE)
        assert method == self.method
        assert self.extra["nonce"].startswith(self.nonce) and len(self.extra["nonce"]) >= len(self.nonce) + 22
        return self.extra

    def proof(self):
        e, name = self.extra, self.authid
        cbind = "" if self.method == "scram" else "biws"
        if self.method == "wamp-scram":
            name = name.replace("=", "=3D").replace(",", "=2C")
        self.message = (f"n={name},r={self.nonce},r={e['nonce']},s={e['salt']},i={e['iterations']},"
                        f"c={cbind},r={e['nonce']}")
        self.key = salted(self.password, e["kdf"], base64.b64decode(e["salt"]), e["iterations"], e["memory"])
        client_key = mac(self.key, "Client Key")
        signature = mac(hashlib.sha256(client_key).digest(), self.message)
        return b64(bytes(a ^ b for a, b in zip(client_key, signature)))

    def authenticate(self, proof=None, **extra):
        proof = self.proof() if proof is None else proof
        if self.method == "wamp-scram":
            extra = {"nonce": self.extra["nonce"], "channel_binding": None, "cbind_data": None, **extra}
        self.client.authenticate(proof, extra)

    def log_in(self):
        """Returns the Details of WELCOME after checking the router's signature, or ABORT."""
        self.challenge()
        self.authenticate()
        message = self.client.recv()
        if message[0] != WELCOME:
            return message
        key = "scram_server_signature" if self.method == "scram" else "verifier"
        assert message[2]["authextra"][key] == b64(mac(mac(self.key, "Server Key"), self.message))
        return message[2]


def site(threads=1, dynamic=False, **principals):
    config = router_config(threads=threads, anonymous=None, cryptosign=False)
    method = {"type": "static", "principals": {a: {"role": "device", **p} for a, p in principals.items()}}
    if dynamic:
        method = {"type": "dynamic", "authenticator": "authd"}
        config["authenticators"] = {"authd": {"socket": "authd.sock"}}
    config["transports"][0]["auth"] = {"scram": method}
    return config


EVERY = {kdf: keys(kdf) for kdf in KDFS}


@pytest.fixture
def routerd(start_routerd, threads):
    return start_routerd(site(threads, **EVERY, **{"a,b=c": keys("pbkdf2")}))


# --- static ---------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kdf", KDFS)
def test_the_right_password(routerd, connect, serializer, kdf):
    details = Scram(connect(routerd, serializer), METHODS[kdf], kdf).log_in()
    assert details.items() >= {"realm": "devices", "authid": kdf, "authrole": "device", "authmethod": METHODS[kdf],
                               "authprovider": "static"}.items()


def test_commas_in_the_authid(routerd, connect):
    assert Scram(connect(routerd), "wamp-scram", "a,b=c").log_in()["authid"] == "a,b=c"


@pytest.mark.parametrize("kdf", KDFS)
def test_the_challenge(routerd, connect, kdf):
    extra = Scram(connect(routerd), METHODS[kdf], kdf).challenge()
    assert sorted(extra) == ["iterations", "kdf", "memory", "nonce", "salt"]
    assert (extra["kdf"], extra["salt"]) == (kdf, b64(SALT))
    assert (extra["iterations"], extra["memory"]) == (KDFS[kdf]["iterations"], KDFS[kdf].get("memory"))
    assert extra["nonce"] != Scram(connect(routerd), METHODS[kdf], kdf).challenge()["nonce"]


WRONG = {"empty": "", "short": "AAAA", "no base64": "*" * 44, "43": "A" * 43, "48": "A" * 48, "zero": b64(bytes(32)),
         "33 bytes": b64(bytes(33)), "long": "A" * 60000, "NUL": "\0" * 44, "unicode": "\u2603" * 14 + "xx"}


@pytest.mark.parametrize("method, authid", [("wamp-scram", "pbkdf2"), ("wamp-scram", NOBODY), ("scram", "argon2id-13"),
                                            ("scram", NOBODY), ("scram", "pbkdf2"), ("wamp-scram", "argon2id-13")])
def test_wrong_proofs(routerd, connect, method, authid):
    for name, proof in WRONG.items():
        client = connect(routerd, "cbor")
        scram = Scram(client, method, authid)
        scram.challenge()
        scram.authenticate(proof)
        assert client.expect(ABORT) == DENIED, name
        assert client.wait_closed()[1] == []
    assert Scram(connect(routerd), method, authid, password="guess").log_in() == DENIED


def test_a_replayed_proof(routerd, connect):
    scram = Scram(connect(routerd), "wamp-scram", "pbkdf2")
    scram.challenge()
    again = Scram(connect(routerd), "wamp-scram", "pbkdf2", nonce=scram.nonce)
    again.challenge()
    again.authenticate(scram.proof())
    assert again.client.expect(ABORT) == DENIED


@pytest.mark.parametrize("extra", [{"nonce": "x"}, {"nonce": None}, {"nonce": 7}, {"nonce": ["x"]}, {"nonce": ""}], ids=str)
def test_another_nonce_in_authenticate(routerd, connect, extra):
    scram = Scram(connect(routerd, "msgpack"), "wamp-scram", "pbkdf2")
    scram.challenge()
    scram.authenticate(**extra)
    assert "nonce" in scram.client.expect(ABORT)[1]["message"]


@pytest.mark.parametrize("method", ["scram", "wamp-scram"])
@pytest.mark.parametrize("extra", [[], None, 7, "x", b"x"], ids=str)
def test_hostile_extra(routerd, connect, method, extra):
    scram = Scram(connect(routerd, "msgpack"), method, "pbkdf2")
    scram.challenge()
    scram.client.send([AUTHENTICATE, "x", extra])
    assert scram.client.expect(ABORT)[2] == "wamp.error.protocol_violation"


@pytest.mark.parametrize("change", [
    {"nonce": ""}, {"nonce": "AAAA"}, {"nonce": "*" * 24}, {"nonce": "A" * 5000}, {"nonce": b64(bytes(65))},
    {"nonce": b64(bytes(16)).rstrip("=")}, {"authid": ""}, {"channel_binding": "tls-unique"}, {"channel_binding": ""}, {"channel_binding": 5}], ids=str)
@pytest.mark.parametrize("authid", ["pbkdf2", NOBODY])
def test_wrong_hellos(routerd, connect, authid, change):
    """All are refused alike, whoever the client wants to be."""
    client = connect(routerd)
    Scram(client, "wamp-scram", **{"authid": authid, **change})
    assert client.expect(ABORT)[2] == "wamp.error.not_authorized"


def test_an_unknown_principal_gets_parameters_like_the_others(routerd, connect, start_routerd):
    for method, like in ("wamp-scram", "pbkdf2"), ("scram", "argon2id-13"):
        extras = [Scram(connect(routerd), method, a).challenge() for a in (NOBODY, NOBODY, "other", like)]
        assert extras[0]["salt"] == extras[1]["salt"] != extras[2]["salt"]
        for extra in extras:
            assert [extra[k] for k in ("kdf", "iterations", "memory")] == [extras[3][k] for k in ("kdf", "iterations", "memory")]
            assert len(extra["salt"]) == len(extras[3]["salt"]) and len(base64.b64decode(extra["salt"])) == 16


def test_a_variant_without_principals_is_not_offered(start_routerd, connect):
    for kdf, other in ("pbkdf2", "scram"), ("argon2id-13", "wamp-scram"):
        routerd = start_routerd(site(**{kdf: EVERY[kdf]}), name=f"r-{kdf}")
        client = connect(routerd)
        Scram(client, other, kdf)
        message = client.expect(ABORT)
        assert message[2] == "wamp.error.no_matching_auth_method"
        assert message[1]["message"].endswith(f"supported: {METHODS[kdf]}")


@pytest.mark.parametrize("kind", peers.PYTHON)
def test_autobahn(routerd, puppets, kind, transport):
    """Autobahn checks the router's signature, too."""
    puppet = puppets(kind)
    serializer = peers.serializers(kind, transport)[0]
    peer = peers.Peer(puppet, routerd.url(), serializer, authid="argon2id-13", password=PASSWORD)
    assert peer.details["authid"] == "argon2id-13" and peer.details["authmethod"] == "scram"
    for authid, password in (("argon2id-13", "guess"), (NOBODY, PASSWORD)):
        with pytest.raises(peers.PeerError) as error:
            peers.Peer(puppet, routerd.url(), serializer, authid=authid, password=password)
        assert "not_authorized" in str(error.value)


# --- dynamic --------------------------------------------------------------------------------


@pytest.mark.parametrize("kdf", KDFS)
def test_the_authenticator_knows_the_keys(fake, start_routerd, threads, connect, kdf):
    asked = fake(lambda *args: {"realm": "devices", "role": "device", "extra": {"foo": 23, "verifier": 1}, **EVERY[kdf]})
    routerd = start_routerd(site(threads, dynamic=True))
    details = Scram(connect(routerd), METHODS[kdf], "joe").log_in()
    assert details.items() >= {"authid": "joe", "authmethod": METHODS[kdf], "authprovider": "dynamic"}.items()
    assert details["authextra"]["foo"] == 23
    ((_, _, (realm, authid, told)),) = asked.wait_requests(1)
    assert (realm, authid, told["authmethod"]) == ("devices", "joe", METHODS[kdf])
    assert Scram(connect(routerd), METHODS[kdf], "joe", password="guess").log_in() == DENIED


def test_a_zero_byte_does_not_end_an_authid(fake, start_routerd, connect):
    fake(lambda *args: {"realm": "devices", "role": "device", **EVERY["pbkdf2"]})
    client = connect(start_routerd(site(dynamic=True)))
    assert Scram(client, "wamp-scram", "joe\0x").log_in()["authid"] == "joe\0x"


@pytest.mark.parametrize("change, text", [
    ({"kdf": "argon2id-13"}, "kdf: expected argon2id13 or pbkdf2"), ({"kdf": None}, "kdf: expected"),
    ({"kdf": "scrypt"}, "kdf: expected"), ({"salt": "00"}, "salt: expected 16 to 128 hex digits"),
    ({"salt": "0" * 130}, "salt: expected"), ({"salt": "0" * 17}, "salt: expected"), ({"salt": "x" * 16}, "salt: expected"),
    ({"stored-key": None}, "stored-key and server-key: required"), ({"stored-key": "00"}, "stored-key: expected 64 hex"),
    ({"server-key": 7}, "server-key: expected 64 hex digits"), ({"iterations": 0}, "iterations: expected at least 1"),
    ({"iterations": None}, "iterations: expected at least 1"), ({"kdf": "argon2id13"}, "memory: required with argon2id"),
], ids=str)
def test_wrong_results(fake, start_routerd, connect, change, text):
    fake(lambda *args: {"realm": "devices", "role": "device", **EVERY["pbkdf2"], **change})
    routerd = start_routerd(site(dynamic=True))
    client = connect(routerd)
    Scram(client, "wamp-scram", "joe")
    assert client.expect(ABORT)[2] == "wamp.error.authentication_failed"
    routerd.wait_log(text)


def test_denied_and_revoked(fake, start_routerd, connect):
    def deny(*args):
        raise Deny("com.example.no_such_user", "nobody")

    asked = fake(deny)
    routerd = start_routerd(site(dynamic=True))
    client = connect(routerd)
    Scram(client, "wamp-scram", "joe")
    assert client.expect(ABORT)[2] == "com.example.no_such_user"
    asked.answer = lambda *args: {"realm": "devices", "role": "device", "epoch": 1, **EVERY["pbkdf2"]}
    scram = Scram(connect(routerd), "wamp-scram", "joe")
    scram.challenge()
    assert asked.revoke(authid="joe")["pending"] == 1
    assert scram.client.expect(ABORT)[2] == "wamp.close.killed"


@memory_is_searched
@pytest.mark.many_workers
def test_no_key_of_the_authenticator_stays_in_memory(fake, start_routerd, connect):
    asked = fake(lambda *args: {"realm": "devices", "role": "device", **EVERY["pbkdf2"]})
    routerd = start_routerd(site(4, dynamic=True))
    assert "authid" in Scram(connect(routerd), "wamp-scram", "joe").log_in()
    asked.answer = lambda *args: {"realm": "devices", "role": "device", **keys("pbkdf2", password="other")}
    assert Scram(connect(routerd), "wamp-scram", "joe").log_in() == DENIED
    for key in "stored-key", "server-key":
        assert not memory_has(routerd, bytes.fromhex(EVERY["pbkdf2"][key]))
        assert not memory_has(routerd, EVERY["pbkdf2"][key].encode())
