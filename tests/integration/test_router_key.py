# SPDX-License-Identifier: Apache-2.0
"""The router's own key: it signs challenges of clients, and makes salts for unknown users."""

import json
import os
import secrets
import subprocess

import nacl.signing
import pytest
from rawclient import ABORT, CHALLENGE, SERIALIZERS, WELCOME
from test_secrets import check
from test_static import ALICE, CAROL, KEYS, site
from test_wampcra import hello
from test_wampcra import site as cra_site
from utils import BUILD, router_config

pytestmark = pytest.mark.one_worker

SEED = bytes(range(32))
PUBLIC = nacl.signing.SigningKey(SEED).verify_key


@pytest.fixture
def node_key(folder):
    (folder / "node.key").write_bytes(SEED)
    os.chmod(folder / "node.key", 0o600)
    return {"node_key_file": "node.key"}


def challenge(client, key, text, authid=None):
    """Sends HELLO with a challenge; returns the Extra of CHALLENGE."""
    client.hello("devices", authmethods=["cryptosign"], authid=authid, authextra={"pubkey": key.public, "challenge": text})
    return client.expect(CHALLENGE)[2]


def check_answer(extra, text):
    signed = bytes.fromhex(extra["signature"])
    assert len(signed) == 96 and signed[64:] == bytes.fromhex(text)
    assert bytes.fromhex(extra["pubkey"]) == PUBLIC.encode()
    PUBLIC.verify(signed[64:], signed[:64])


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_router_signs(start_routerd, connect, node_key, serializer):
    routerd = start_routerd({**site(), **node_key})
    for authid, key in (ALICE, KEYS[0]), (CAROL, KEYS[3]), (None, KEYS[3]):
        client, text = connect(routerd, serializer), secrets.token_hex(32)
        extra = challenge(client, key, text.upper() if authid else text, authid)
        check_answer(extra, text)
        assert extra["challenge"] != text
        client.authenticate(key.sign(extra["challenge"]))
        assert client.recv()[0] == (WELCOME if authid == ALICE else ABORT)


def test_the_router_signs_after_the_authenticator_has_answered(fake, start_routerd, connect, node_key):
    fake(lambda *args: {"realm": "devices", "role": "device", "authid": "x", "pubkey": KEYS[0].public})
    routerd = start_routerd({**router_config(), **node_key})
    client, text = connect(routerd), secrets.token_hex(32)
    extra = challenge(client, KEYS[0], text)
    check_answer(extra, text)
    client.authenticate(KEYS[0].sign(extra["challenge"]))
    assert client.recv()[0] == WELCOME


def test_nobody_asks_or_there_is_no_key(start_routerd, connect, node_key):
    routerd = start_routerd({**site(), **node_key})
    for text in None, "":
        assert sorted(challenge(connect(routerd), KEYS[0], text)) == ["challenge", "channel_binding"]
    routerd = start_routerd(site(), name="no-key")
    assert sorted(challenge(connect(routerd), KEYS[0], "00" * 32)) == ["challenge", "channel_binding"]


@pytest.mark.parametrize("text", ["00", "x" * 64, "00" * 33, "00" * 4000])
def test_wrong_challenges(start_routerd, connect, node_key, text):
    client = connect(start_routerd({**site(), **node_key}))
    client.hello("devices", authmethods=["cryptosign"], authextra={"pubkey": KEYS[0].public, "challenge": text})
    assert client.expect(ABORT) == [ABORT, {"message": "authextra.challenge: expected 64 hex digits"},
                                    "wamp.error.not_authorized"]


@pytest.mark.parametrize("mode, size, text", [
    (0o600, 32, None), (0o400, 32, None), (0o440, 32, None),
    (0o604, 32, "other users can read or change"), (0o600, 31, "expected a private key of 32 bytes"),
    (0o600, 33, "expected a private key of 32 bytes"), (0o600, 0, "expected a private key of 32 bytes"),
])
def test_the_file(folder, mode, size, text):
    (folder / "k").write_bytes(bytes(size))
    os.chmod(folder / "k", mode)
    code, said = check(folder, {**site(), "node_key_file": "k"})
    assert (code, text is None or text in said) == (0 if text is None else 78, True), said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("owner, mode, text", [(0, 0o640, None), (12345, 0o600, None),
                                               (12345, 0o640, "other users can read this key: chmod 0600")])
def test_the_group_reads_only_a_file_of_root(folder, owner, mode, text):
    (folder / "k").write_bytes(bytes(32))
    os.chmod(folder / "k", mode)
    os.chown(folder / "k", owner, 12345)
    (folder / "c.yaml").write_text(json.dumps({**site(), "node_key_file": "k"}))
    folder.chmod(0o711)
    done = subprocess.run(["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", BUILD / "routerd/routerd", "--check",
                           "c.yaml"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, text is None or text in done.stderr) == (0 if text is None else 78, True), done.stderr


def test_no_file(folder):
    code, said = check(folder, {**site(), "node_key_file": "missing"})
    assert code == 78 and "missing: No such file or directory" in said


def test_authctl_makes_the_key(folder, start_routerd, connect):
    made = subprocess.run([BUILD / "authd/authctl", "key", "gen", "-f", "made.key"], cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0
    routerd = start_routerd({**site(), "node_key_file": "made.key"})
    extra = challenge(connect(routerd), KEYS[0], "00" * 32)
    assert extra["pubkey"] in made.stdout
    nacl.signing.VerifyKey(bytes.fromhex(extra["pubkey"])).verify(bytes(32), bytes.fromhex(extra["signature"])[:64])


def test_salts_of_unknown_users_survive_a_restart(folder, start_routerd, connect, node_key):
    config = cra_site(salted={"secret": "x", "salt": "0123456789abcdef"})
    salts = {}
    for name, more in ("a", node_key), ("b", node_key), ("c", {}), ("d", {}):
        routerd = start_routerd({**config, **more}, name=name)
        salts[name] = hello(connect(routerd), "nobody")["salt"]
        assert len(salts[name]) == 16 and set(salts[name]) <= set("0123456789abcdef")
        routerd.stop()
    assert salts["a"] == salts["b"] and len(set(salts.values())) == 3
