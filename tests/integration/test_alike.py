# SPDX-License-Identifier: Apache-2.0
"""Static principals: a client cannot find out whether an authid exists. Each method answers known and unknown
authids with the same messages, keys and kinds of values, and with the same error."""

import json

import pytest
from rawclient import ABORT, CHALLENGE, TRANSPORTS
from test_scram import EVERY
from utils import Key, router_config

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)]

KNOWN, UNKNOWN, OTHER = "known@example.com", "nobod@example.com", "stran@example.com"
SALTED = {"secret": "x", "salt": "0123456789abcdef", "iterations": 100, "keylen": 32}
PRINCIPALS = {
    "ticket": {"principals": {KNOWN: {"ticket": "s3cret"}}},
    "wampcra": {"users": {KNOWN: SALTED}},
    "wamp-scram": {"principals": {KNOWN: EVERY["pbkdf2"]}},
    "scram": {"principals": {KNOWN: EVERY["argon2id-13"]}},
    "cryptosign": {"principals": {KNOWN: {"authorized_keys": [Key().public]}}},
}
STRANGER = Key()
ANSWERS = {"ticket": "wrong", "wampcra": "A" * 43 + "=", "wamp-scram": "A" * 43 + "=", "scram": "A" * 43 + "="}
ALWAYS_NEW = ("challenge", "nonce", "session", "timestamp")


def site(method):
    config = router_config(anonymous=None, cryptosign=False)
    static = {key: {authid: {"role": "device", **who} for authid, who in users.items()}
              for key, users in PRINCIPALS[method].items()}
    config["transports"][0]["auth"] = {method.removeprefix("wamp-"): {"type": "static", **static}}
    return config


def shape(details, authid):
    """What differs between two attempts of one client is replaced by its kind and length."""
    if isinstance(text := details.get("challenge"), str) and text.startswith("{"):
        details = {**details, **json.loads(text), "challenge": list(json.loads(text))}
    return {key: "authid" if value == authid else (type(value), isinstance(value, str) and len(value))
            if key in ALWAYS_NEW and not isinstance(value, list) or key == "salt" else value for key, value in details.items()}


def attempt(client, method, authid):
    """Tries to log in. Returns the shapes of all messages, and the salt."""
    extra = {"cryptosign": {"pubkey": STRANGER.public, "channel_binding": None},
             "ticket": None, "wampcra": None}.get(method, {"nonce": "A" * 22 + "=="})
    client.hello("devices", authmethods=[method], authid=authid, authextra=extra)
    challenge = client.expect(CHALLENGE)
    assert challenge[:2] == [CHALLENGE, method]
    more = {"nonce": challenge[2]["nonce"], "channel_binding": None, "cbind_data": None} if method == "wamp-scram" else {}
    signature = "00" * 64 + challenge[2]["challenge"] if method == "cryptosign" else ANSWERS[method]
    client.authenticate(signature, more)
    abort = client.recv()
    assert abort[0] == ABORT and authid not in str(abort) and client.wait_closed()[1] == []
    details = {k: v for k, v in shape(challenge[2], authid).items() if k != "session"}
    return [details, abort], challenge[2].get("salt")


@pytest.mark.parametrize("method", PRINCIPALS)
def test_known_and_unknown_look_alike(start_routerd, connect, folder, method):
    """The salt of an authid is the same each time; also after a restart, since the router has a key."""
    (folder / "node.key").write_bytes(bytes(range(32)))
    (folder / "node.key").chmod(0o600)
    config = {**site(method), "node_key_file": "node.key"}
    routerd = start_routerd(config)

    def all_attempts():
        results = {authid: attempt(connect(routerd, "json"), method, authid) for authid in (KNOWN, UNKNOWN, OTHER)}
        shapes = [s for s, _ in results.values()]
        assert shapes[0] == shapes[1] == shapes[2]
        return [salt for _, salt in results.values()]

    salts = all_attempts()
    assert len(set(salts)) == (1 if method in ("ticket", "cryptosign") else 3)
    assert all_attempts() == salts
    routerd.stop()
    routerd = start_routerd(config, name="again")
    assert all_attempts() == salts
