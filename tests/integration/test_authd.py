# SPDX-License-Identifier: Apache-2.0
"""authd alone, with a peer that controls every byte."""

import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import msgpack
import pytest
import utils
from rawclient import CHALLENGE, GOODBYE, WELCOME
from rpcclient import HELLO, Rpc, RpcError, ask, router
from utils import Key, wait_for

pytestmark = pytest.mark.single_threaded

AUTHID = "client01@example.com"


@pytest.fixture
def path(authd):
    return authd.cwd / "authd.sock"


@pytest.fixture
def admin(authd):
    return Rpc(authd.cwd / "admin.sock")


@pytest.fixture
def key(authd):
    """A key of client01."""
    key = Key()
    authd.add(AUTHID, key, extra={"foo": 23})
    return key


def counters(authd):
    """Asks authd to log its counters and returns them as a dict."""
    before = authd.log().count("counters connections=")
    authd.signal(signal.SIGUSR1)
    wait_for(lambda: authd.log().count("counters connections=") > before and authd.log().endswith("\n"),
             "the counters")
    line = [l for l in authd.log().splitlines() if "counters connections=" in l][-1]
    return {k: int(v) for k, v in (f.split("=") for f in line.split("counters ")[1].split())}


# --- hello ----------------------------------------------------------------------------------


def test_hello(path):
    hello = router(path).hello
    assert hello["protocol"] == [1, 0]
    assert hello["product"].startswith("authd/")
    assert hello["ready"] is True
    assert len(hello["instance"]) == 32 and len(hello["db"]) == 32
    assert {"revoke", "cancel", "events"} <= set(hello["features"])
    assert hello["methods"] == ["cryptosign"]
    assert hello["max_message"] == 65536 and hello["max_inflight"] == 1024


def test_the_log_says_which_router_comes_and_goes(authd, path):
    r = router(path)
    authd.wait_log(rf"router 1 connected pid={os.getpid()} uid={os.getuid()}")
    r.close()
    authd.wait_log('router 1 disconnected reason="')


def test_hello_comes_first(path, key):
    rpc = Rpc(path)
    with pytest.raises(RpcError) as e:
        ask(rpc, key.public)
    assert e.value.uri == "auth.rpc.not_ready"
    assert rpc.call("ping")["ready"] is True
    rpc.call("hello", HELLO)
    assert ask(rpc, key.public)["authid"] == AUTHID


def test_another_version_is_told_and_closed(path):
    rpc = Rpc(path)
    with pytest.raises(RpcError) as e:
        rpc.call("hello", {"protocol": [2, 0]})
    assert e.value.uri == "auth.rpc.unsupported_version"
    assert rpc.is_closed()
    assert router(path, protocol=[1, 9]).hello["protocol"] == [1, 0]


def test_unknown_methods_and_notifications(path, authd):
    rpc = router(path)
    with pytest.raises(RpcError) as e:
        rpc.call("principal.list", {})  # a method of the admin socket
    assert e.value.uri == "auth.rpc.no_such_method"
    rpc.notify("what.is.this", 1)
    rpc.notify("cancel", 17)
    rpc.notify("session.opened", {"session": 1, "authid": "a\nb"})
    rpc.notify("session.closed", {"session": "wrong"})
    rpc.notify("auth.failed", {"corr": "c1", "reason": "bad_signature"})
    assert rpc.call("ping") == {"ready": True, "inflight": 0, "epoch": 1}
    count = counters(authd)
    assert count["unknown_notices"] == 1 and count["cancels"] == 1
    assert count["opened"] == 1 and count["auth_failed"] == 1
    assert "a\\x0ab" in authd.log()


@pytest.mark.parametrize("params", [
    [], [1], [{}], [{"protocol": 1}], [{"protocol": [1]}], [{"protocol": [1, 0]}, 2],
    [{"protocol": [1, 0], "product": 5}], [{"protocol": [1, 0], "features": {"a": 1}}],
])
def test_malformed_hello_is_an_error(path, params):
    rpc = Rpc(path)
    with pytest.raises(RpcError) as e:
        rpc.call("hello", *params)
    assert e.value.uri == "auth.rpc.invalid_argument"
    rpc.call("ping")


# --- authenticate ---------------------------------------------------------------------------


def test_authenticate(path, key):
    rpc = router(path)
    expected = {"role": "device", "realm": "devices", "authid": AUTHID, "extra": {"foo": 23},
                "pubkey": key.public, "epoch": 1}
    assert ask(rpc, key.public) == expected
    assert ask(rpc, key.public.upper()) == expected
    assert ask(rpc, key.public, realm="devices", authid=AUTHID) == expected
    assert ask(rpc, authid=AUTHID) == expected


def test_several_keys(path, authd, key):
    second = Key()
    authd.ctl("key", "add", AUTHID, second.public)
    rpc = router(path)
    assert ask(rpc, second.public)["pubkey"] == second.public
    answer = ask(rpc, authid=AUTHID)
    assert sorted(answer["pubkeys"]) == sorted([key.public, second.public])


MALFORMED = "authextra.pubkey is malformed: expected 64 hex digits"


@pytest.mark.parametrize("asked, message", [
    ({"pubkey": "00" * 32}, "no principal with matching public key 0x" + "00" * 32),
    ({"realm": "other"}, 'not allowed to join realm "other"'),
    ({"authid": "other"}, 'the public key does not belong to authid "other"'),
    ({"authid": "other", "realm": "other"}, 'not allowed to join realm "other"'),
    ({"pubkey": None, "authid": "other"}, 'no public key is known for authid "other"'),
    ({"pubkey": None, "authid": AUTHID, "realm": "other"}, 'not allowed to join realm "other"'),
    ({"pubkey": None}, "authextra.pubkey is missing: expected 64 hex digits"),
    ({"pubkey": "xyz"}, MALFORMED), ({"pubkey": "0x" + "ab" * 32}, MALFORMED), ({"pubkey": "ab" * 31}, MALFORMED),
    ({"pubkey": "ab" * 64}, MALFORMED), ({"pubkey": "Vf" * 21 + "="}, MALFORMED), ({"pubkey": "g" * 64}, MALFORMED),
    ({"pubkey": "xyz", "authid": AUTHID}, MALFORMED),
])
def test_deny(path, authd, key, asked, message):
    """The message says what is wrong with the request. It reveals nothing about the principal."""
    rpc = router(path)
    with pytest.raises(RpcError) as e:
        ask(rpc, **{"pubkey": key.public, **asked})
    assert e.value.args[0] == {"kind": "deny", "uri": "com.example.no_such_user", "message": message}
    authd.wait_log(r"login denied reason=")


def test_a_disabled_principal_looks_unknown(path, authd, key):
    authd.ctl("principal", "disable", AUTHID)
    for asked in ({}, {"realm": "other"}, {"authid": "other"}):
        with pytest.raises(RpcError) as e:
            ask(router(path), key.public, **asked)
        assert e.value.args[0]["message"] == f"no principal with matching public key 0x{key.public}"


def test_configured_deny(start_authd, folder):
    start_authd({"deny": {"uri": "org.example.go_away", "message": "{pubkey}?"}})
    with pytest.raises(RpcError) as e:
        ask(router(folder / "authd.sock"), "AB" * 32)
    assert e.value.args[0]["uri"] == "org.example.go_away"
    assert e.value.args[0]["message"] == "ab" * 32 + "?"


def test_authextra_may_hold_anything(path, key):
    rpc = router(path)
    for extra in ({"pubkey": key.public, "x": {"y": [1, None, b"z"]}}, {1: 2, "pubkey": key.public}):
        answer = rpc.call("authenticate", None, None, {"authmethod": "cryptosign", "authextra": extra})
        assert answer["authid"] == AUTHID
    for extra in ({}, {"pubkey": 17}, {"pubkey": None}, None):
        with pytest.raises(RpcError) as e:
            rpc.call("authenticate", None, None, {"authmethod": "cryptosign", "authextra": extra})
        assert e.value.args[0]["kind"] == "deny"
    with pytest.raises(RpcError) as e:
        rpc.call("authenticate", None, "joe", {"authmethod": "ticket", "ticket": "s3cret"})
    assert e.value.args[0]["kind"] == "deny" and e.value.uri == "wamp.error.no_matching_auth_method"


@pytest.mark.parametrize("params", [
    [], [None, None], [None, None, {}], [None, None, {"authmethod": 1}], [1, None, {"authmethod": "x"}],
    [None, None, {"authmethod": "cryptosign", "authextra": []}], [None, None, None],
])
def test_malformed_authenticate_is_an_error(path, authd, key, params):
    rpc = router(path)
    with pytest.raises(RpcError) as e:
        rpc.call("authenticate", *params)
    assert e.value.uri == "auth.rpc.invalid_argument"
    authd.wait_log('router 2 invalid authenticate request reason="')
    assert ask(rpc, key.public)["authid"] == AUTHID


def test_many_in_flight(path, key):
    rpc = router(path)
    details = {"authmethod": "cryptosign", "authextra": {"pubkey": key.public}}
    ids = [rpc.send("authenticate", None, None, details) for _ in range(1000)]
    assert all(rpc.answer_to(i)["authid"] == AUTHID for i in ids)


def test_byte_by_byte(path, key):
    rpc = router(path)
    message = msgpack.packb([0, 77, "authenticate", [None, None, {
        "authmethod": "cryptosign", "authextra": {"pubkey": key.public}}]])
    for i in range(len(message)):
        rpc.raw(message[i:i + 1])
    assert rpc.answer_to(77)["authid"] == AUTHID


# --- hostile peers --------------------------------------------------------------------------


def nested(depth):
    return b"\x91" * depth + b"\xc0"


HOSTILE = {
    "not MessagePack": b"\xc1",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty array": b"\x90",
    "a map": b"\x80",
    "a fourth type": msgpack.packb([3, 1, "hello", []]),
    "too short": msgpack.packb([0, 1, "hello"]),
    "an id that is too large": msgpack.packb([0, 1 << 32, "hello", []]),
    "a negative id": msgpack.packb([0, -1, "hello", []]),
    "params that are a map": msgpack.packb([0, 1, "hello", {}]),
    "a method that is no text": msgpack.packb([0, 1, b"hello", []]),
    "too deep": b"\x94\x00\x01\xa1x" + nested(20),
    "a long text": msgpack.packb([0, 1, "hello", ["x" * 16385]]),
    "a large map": msgpack.packb([0, 1, "hello", [{i: i for i in range(257)}]]),
    "invalid UTF-8": b"\x94\x00\x01\xa1x\x91\xa1\xff",
    "promises 4 GiB": b"\x94\x00\x01\xa1x\xdd\xff\xff\xff\xff" + b"\xc0" * 70000,
    "too large": msgpack.packb([0, 1, "hello", ["x" * 10000] * 7]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_peer_loses_its_connection_alone(path, key, what):
    good, bad = router(path), Rpc(path)
    try:
        bad.raw(HOSTILE[what])
    except OSError:
        pass  # authd closed before all was sent
    assert bad.is_closed()
    assert ask(good, key.public)["authid"] == AUTHID


def test_the_admin_socket_is_as_careful(authd, key):
    for data in HOSTILE.values():
        bad = Rpc(authd.cwd / "admin.sock")
        try:
            bad.raw(data)
        except OSError:
            pass
        assert bad.is_closed()
    admin = Rpc(authd.cwd / "admin.sock")
    for method in ("principal.add", "principal.list", "principal.show", "principal.disable",
                   "principal.enable", "principal.remove", "key.add", "key.remove"):
        for params in ([], [1], [None], [{"authid": 5}], [{"authid": "a", "keys": ["x"]}], [{}, {}]):
            if method == "principal.list" and params == [{"authid": "a", "keys": ["x"]}]:
                continue  # authd ignores unknown keys
            if method == "principal.list" and params == [{"authid": 5}]:
                continue
            with pytest.raises(RpcError) as e:
                admin.call(method, *params)
            assert e.value.uri == "auth.rpc.invalid_argument", (method, params)
    assert [p["authid"] for p in admin.call("principal.list", {})["items"]] == [AUTHID]
    for method, params, text in (
            ("principal.show", [], "expected one parameter, a map"),
            ("principal.show", [1], "expected a map whose keys are strings"),
            ("principal.show", [{"authid": ""}], "authid: expected a string of at most 255 bytes, not empty"),
            ("key.add", [{"authid": AUTHID}], "keys: expected exactly one key"),
            ("principal.add", [{"authid": "a", "realm": "r", "role": "r", "extra": {"x": ["y" * 9000]}}],
             "extra: expected a map of at most 8192 bytes, 10 levels, and 256 keys in each map")):
        with pytest.raises(RpcError) as e:
            admin.call(method, *params)
        assert e.value.args[0]["message"] == text, method


def test_a_router_that_does_not_read(path, authd, key):
    """authd's queue of answers is bounded, and other routers are still served."""
    stuck, good = router(path), router(path)
    message = msgpack.packb([0, 1, "authenticate", [None, None, {
        "authmethod": "cryptosign", "authextra": {"pubkey": key.public}}]])
    before = authd.rss()
    stuck.sock.settimeout(0.5)
    with pytest.raises(socket.timeout):
        while True:
            stuck.raw(message * 100)
    assert ask(good, key.public)["authid"] == AUTHID
    if not utils.IS_ASAN:  # AddressSanitizer keeps freed memory
        assert authd.rss() - before < 32 << 20


def test_connections_come_and_go(path, authd, key):
    for _ in range(20):
        router(path).close()
    wait_for(lambda: counters(authd)["routers"] == 0, "the routers to be gone")
    fds = authd.fds()
    for i in range(300):
        rpc = router(path)
        rpc.send("authenticate", None, None, {"authmethod": "cryptosign"})
        rpc.reset() if i % 2 else rpc.close()
    wait_for(lambda: authd.fds() == fds, "the descriptors to be closed")


def test_too_many_connections(path, authd, key):
    held = [router(path) for _ in range(64)]
    assert Rpc(path).is_closed()
    assert ask(held[0], key.public)["authid"] == AUTHID
    held.pop().close()
    wait_for(lambda: counters(authd)["routers"] == 63, "the place to be free")
    held.append(router(path))
    assert counters(authd)["refused"] == 1
    authd.wait_log('router connection refused .*reason="too many connections"')


def test_too_many_admins(path, authd, key):
    held = [Rpc(authd.cwd / "admin.sock") for _ in range(16)]
    assert all("items" in admin.call("principal.list", {}) for admin in held)
    assert Rpc(authd.cwd / "admin.sock").is_closed()
    code, _, err = authd.ctl("principal", "list", ok=False)
    assert code == 77 and "too many" in err
    assert counters(authd)["refused"] == 2
    assert ask(router(path), key.public)["authid"] == AUTHID  # each socket has its own limit
    held.pop().close()
    wait_for(lambda: counters(authd)["admins"] == 15, "the place to be free")
    authd.ctl("principal", "list")


def test_too_many_requests_of_an_admin(path, authd, admin, key):
    """Eight changes may wait for routers. The ninth request closes its connection and no other."""
    silent = router(path)
    for _ in range(8):
        admin.send("principal.disable", {"authid": AUTHID})
    for _ in range(8):
        assert silent.request()[2] == "revoke"
    other = Rpc(authd.cwd / "admin.sock")
    admin.send("principal.list", {})
    assert admin.is_closed()
    assert len(other.call("principal.list", {})["items"]) == 1


def test_other_users_are_refused(start_authd, folder):
    """allow_users applies even where the file's mode lets everybody connect."""
    start_authd({"listen": {"path": "authd.sock", "mode": "0666", "allow_users": ["nobody"]}})
    assert Rpc(folder / "authd.sock").is_closed() or os.getuid() == 65534


# --- revoke ---------------------------------------------------------------------------------


def test_revoke(path, authd, admin, key):
    one, two = router(path), router(path)
    msgid = admin.send("principal.disable", {"authid": AUTHID})
    asked = [r.request() for r in (one, two)]
    for rpc, request, sessions in ((one, asked[0], 3), (two, asked[1], 1)):
        assert request[2] == "revoke"
        revoke = request[3][0]
        assert revoke["match"] == {"authid": AUTHID, "realm": "devices"}
        assert revoke["epoch"] == 2 and revoke["uri"] == "wamp.close.killed"
        # authd commits before it sends the revoke, so no new login succeeds
        with pytest.raises(RpcError):
            ask(rpc, key.public)
        rpc.reply(request[1], {"sessions": sessions, "pending": 1})
    assert admin.answer_to(msgid) == {
        "changed": True, "sessions": 4, "pending": 2, "routers": 2, "unreachable": 0}
    assert one.call("ping")["epoch"] == 2


@pytest.mark.parametrize("case", [str.lower, str.upper, str.swapcase, str.title])
def test_revoke_of_a_key(path, admin, key, case):
    """routers get the key in lower case, however the admin wrote it"""
    rpc = router(path)
    msgid = admin.send("key.remove", {"authid": AUTHID, "keys": [case(key.public)]})
    request = rpc.request()
    assert request[3][0]["match"] == {"pubkey": key.public}
    rpc.reply(request[1], {"sessions": 1})
    assert admin.answer_to(msgid)["sessions"] == 1


@pytest.mark.parametrize("how", ["closes", "error", "nonsense", "partial", "silent", "cannot"])
def test_revoke_without_a_good_answer(path, admin, key, how):
    good = router(path)
    bad = router(path, features=[] if how == "cannot" else ["revoke"])
    msgid = admin.send("principal.remove", {"authid": AUTHID})
    request = good.request()
    good.reply(request[1], {"sessions": 2})
    if how != "cannot":
        request = bad.request()
    if how == "closes":
        bad.close()
    elif how == "error":
        bad.reply(request[1], None, {"kind": "internal"})
    elif how == "nonsense":
        bad.reply(request[1], {"sessions": "many"})
    elif how == "partial":
        bad.reply(request[1], {"sessions": 1, "partial": True})
    answer = admin.answer_to(msgid)
    assert answer == {"changed": True, "sessions": 3 if how == "partial" else 2, "pending": 0,
                      "routers": 1, "unreachable": 1}
    assert good.call("ping")["ready"]


def test_revoke_when_the_admin_has_left(path, authd, admin, key):
    rpc = router(path)
    admin.send("principal.disable", {"authid": AUTHID})
    request = rpc.request()
    admin.close()
    wait_for(lambda: counters(authd)["admins"] == 0, "authctl to be gone")
    rpc.reply(request[1], {"sessions": 1})
    assert rpc.call("ping")["epoch"] == 2


def test_stop_while_a_revoke_waits(path, authd, admin, key):
    rpc = router(path)
    msgid = admin.send("principal.disable", {"authid": AUTHID})
    rpc.request()
    authd.stop()
    assert rpc.is_closed()
    # the change is made, and the admin gets an answer
    answer = admin.answer_to(msgid)
    assert answer["changed"] and answer["unreachable"] == 1


# --- the database ---------------------------------------------------------------------------


def test_everything_outlives_a_crash(start_authd, folder):
    authd, key = start_authd(), Key()
    authd.add(AUTHID, key)
    authd.ctl("principal", "disable", AUTHID)
    before = router(folder / "authd.sock").hello
    authd.kill()
    authd.start()
    after = router(folder / "authd.sock")
    assert after.hello["db"] == before["db"] and after.hello["epoch"] == before["epoch"] == 2
    assert after.hello["instance"] != before["instance"]
    with pytest.raises(RpcError):
        ask(after, key.public)
    authd.ctl("principal", "enable", AUTHID)
    assert ask(after, key.public)["epoch"] == 2


def test_locked_database(path, authd, key):
    """Look-ups still work. Changes fail with a temporary error."""
    db = sqlite3.connect(authd.cwd / "authd.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    code, _, err = authd.ctl("principal", "disable", AUTHID, ok=False)
    assert code == 75 and "locked" in err
    assert ask(router(path), key.public)["authid"] == AUTHID
    db.execute("ROLLBACK")
    authd.ctl("principal", "disable", AUTHID)
    assert counters(authd)["database_errors"] == 1


def test_full_disk(daemons, folder):
    """No file may grow: changes fail with 74, look-ups still work."""
    authd, key = utils.Authd(folder), Key()
    daemons.append(authd)
    authd.start()
    authd.add(AUTHID, key)
    wal = (folder / "authd.db-wal").stat().st_size
    resource.prlimit(authd.pid, resource.RLIMIT_FSIZE, (wal, resource.RLIM_INFINITY))
    for command in (("disable", AUTHID), ("remove", AUTHID)):
        code, _, err = authd.ctl("principal", *command, ok=False)
        assert code == 74, err
    assert ask(router(folder / "authd.sock"), key.public)["authid"] == AUTHID
    resource.prlimit(authd.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    authd.ctl("principal", "disable", AUTHID)


def damage(folder, tables=("principal", "key", "key_of")):
    """Overwrites the pages of these tables, as a bad disk would. The file still opens."""
    db = sqlite3.connect(folder / "authd.db", isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = db.execute("PRAGMA page_size").fetchone()[0]
    pages = [page for name, page in db.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0")
             if name in tables]
    db.close()
    assert len(pages) == len(tables)
    with open(folder / "authd.db", "r+b") as f:
        for page in pages:
            f.seek((page - 1) * size)
            f.write(b"\xff" * size)


def test_a_damaged_database_refuses_nobody(authd, folder, key):
    """A damaged database is no reason to deny a client: it gets a temporary error."""
    authd.stop()
    damage(folder)
    authd.start()
    rpc = router(folder / "authd.sock")
    for asked in ({"pubkey": key.public}, {"pubkey": Key().public}, {"authid": AUTHID}, {"authid": "nobody"}):
        with pytest.raises(RpcError) as e:
            ask(rpc, corr="c7", **asked)
        error = e.value.args[0]
        assert error["kind"] == "temporary" and "database" in error["detail"], error
    authd.wait_log(r'cannot decide about a login reason="[^"]+" corr=c7')
    authd.wait_log(r'database failed .*reason="database disk image is malformed"')
    assert "denied" not in authd.log()
    count = counters(authd)
    assert count["failed"] == 4 and count["denied"] == 0 and count["database_errors"] == 4
    code, _, err = authd.ctl("principal", "disable", AUTHID, ok=False)
    assert code == 74 and "database" in err
    # authd refuses a malformed key without the database
    with pytest.raises(RpcError) as e:
        ask(rpc, "0x12")
    assert e.value.args[0]["kind"] == "deny"


def test_a_database_locked_by_another_program(path, authd, key):
    """An exclusive lock stops even look-ups: they get a temporary error."""
    authd.stop()
    db = sqlite3.connect(authd.cwd / "authd.db", isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    authd.start(wait=False)
    rpc = wait_for(lambda: not_ready_router(path), "authd to listen")
    authd.wait_log("waiting for the database .*locked")
    with pytest.raises(RpcError) as e:
        ask(rpc, key.public)
    assert e.value.args[0]["kind"] == "temporary"
    db.execute("ROLLBACK")
    db.close()
    authd.wait_ready()
    assert ask(rpc, key.public)["authid"] == AUTHID


def not_ready_router(path):
    """A router whose hello was answered with ready=false, or None while nobody listens."""
    try:
        rpc = router(path)
    except OSError:
        return None
    assert rpc.hello["ready"] is False
    return rpc


@pytest.fixture
def second(authd, folder, daemons):
    """A second authd on the same database, with its own sockets."""
    second = utils.Authd(folder, {"listen": {"path": "b.sock"}, "admin": {"path": "b.admin"}}, name="b")
    daemons.append(second)
    second.start(wait=False)
    second.wait_log("waiting for the database")
    return second


def test_a_second_authd_waits_for_the_database(authd, second, folder, key):
    assert f"with pid {authd.pid} " in second.log() and second.log().count("waiting for the database") == 1
    rpc = router(folder / "b.sock")
    assert rpc.hello["ready"] is False and "db" not in rpc.hello and "epoch" not in rpc.hello
    assert rpc.call("ping")["ready"] is False
    with pytest.raises(RpcError) as e:
        ask(rpc, key.public)
    error = e.value.args[0]
    assert error["kind"] == "temporary" and error["uri"] == "auth.rpc.not_ready"
    # the first one serves logins until it is killed
    assert ask(router(folder / "authd.sock"), key.public)["authid"] == AUTHID
    authd.kill()
    second.wait_ready()
    assert rpc.call("ping") == {"ready": True, "inflight": 0, "epoch": 1}
    assert ask(rpc, key.public)["authid"] == AUTHID
    assert counters(second)["not_ready"] == 1
    # now the first one waits for the second
    authd.start(wait=False)
    authd.wait_log(f"waiting for the database .*another authd with pid {second.pid} ")
    second.stop()
    authd.wait_ready()


def test_no_change_through_a_second_authd(authd, second, folder, key):
    """A second authd changes nothing and does not claim to have changed anything."""
    first = router(folder / "authd.sock")
    for command in (("principal", "disable", AUTHID), ("principal", "remove", AUTHID), ("principal", "list"),
                    ("key", "remove", AUTHID, key.public), ("principal", "enable", AUTHID)):
        code, out, err = second.ctl("--socket", "b.admin", *command, ok=False)
        assert (code, out) == (75, "") and f"pid {authd.pid}" in err, err
    admin = Rpc(folder / "b.admin")
    for method in ("principal.add", "principal.list", "principal.show", "principal.disable",
                   "principal.enable", "principal.remove", "key.add", "key.remove"):
        with pytest.raises(RpcError) as e:
            admin.call(method, {"authid": AUTHID, "keys": [key.public]})
        assert e.value.args[0]["kind"] == "temporary", method
    assert ask(first, key.public)["epoch"] == 1


def test_logins_wait_for_a_second_authd(authd, second, start_routerd, connect, join, key):
    """The second authd's router holds the login until the first authd is gone."""
    config = utils.router_config()
    config["authenticators"]["authd"]["socket"] = "b.sock"
    routerd = start_routerd(config)
    client = connect(routerd)
    client.hello("devices", authmethods=["cryptosign"], authextra={"pubkey": key.public})
    wait_for(lambda: "router has introduced itself" in second.log(), "the router to have asked")
    assert "authd ready" not in second.log()
    authd.kill()
    challenge = client.expect(CHALLENGE)[2]["challenge"]
    client.authenticate(key.sign(challenge))
    client.expect(WELCOME)
    # a revocation by the second authd reaches its router
    assert "ended 1 session on 1 router" in second.ctl("--socket", "b.admin", "principal", "disable", AUTHID)
    assert client.expect(GOODBYE)[2] == "wamp.close.killed"


def test_a_waiting_authd_stops(authd, second):
    second.stop()
    assert router(authd.cwd / "authd.sock").hello["ready"] is True


def test_the_lock_follows_links(authd, folder, daemons):
    """Another path to the same file is the same database."""
    (folder / "link.db").symlink_to("authd.db")
    config = {"database": "link.db", "listen": {"path": "b.sock"}, "admin": {"path": "b.admin"}}
    second = utils.Authd(folder, config, name="b")
    daemons.append(second)
    second.start(wait=False)
    second.wait_log("waiting for the database")


def test_a_lock_that_cannot_be_taken(folder):
    (folder / "authd.db.lock").mkdir()
    authd = utils.Authd(folder)
    done = subprocess.run(authd.argv, cwd=folder, env=authd.env, capture_output=True, text=True,
                          timeout=10 * utils.SLOW)
    assert done.returncode == 74 and "authd.db.lock" in done.stderr


def test_tables_that_cannot_be_created(folder):
    """The log names the step that failed, not the SQL of the whole step."""
    db = sqlite3.connect(folder / "authd.db", isolation_level=None)
    db.execute("PRAGMA application_id = 0x77616d70")
    db.execute("CREATE TABLE meta (x)")
    db.close()
    authd = utils.Authd(folder)
    done = subprocess.run(authd.argv, cwd=folder, env=authd.env, capture_output=True, text=True,
                          timeout=10 * utils.SLOW)
    assert done.returncode == 74
    assert 'database failed operation="create the tables" reason="table meta already exists"' in done.stderr


# --- start and stop -------------------------------------------------------------------------


def test_sockets_have_their_mode_and_go_away(start_authd, folder):
    authd = start_authd({"listen": {"path": "authd.sock", "mode": "0600"}})
    assert (folder / "authd.sock").stat().st_mode & 0o777 == 0o600
    assert (folder / "admin.sock").stat().st_mode & 0o777 == 0o660
    assert (folder / "authd.db").stat().st_mode & 0o077 == 0
    authd.stop()
    assert not (folder / "authd.sock").exists() and not (folder / "admin.sock").exists()


def test_a_second_one_does_not_take_the_socket(authd, folder, key, path):
    done = subprocess.run([str(utils.BUILD / "authd/authd"), "-c", "authd.yaml"], cwd=folder,
                          capture_output=True, text=True, timeout=10 * utils.SLOW)
    assert done.returncode == 71 and "authd.sock" in done.stderr
    assert ask(router(path), key.public)["authid"] == AUTHID


@pytest.mark.parametrize("config, complaint", [
    ("databas: x\n", "databas"),
    ("database: x\nlisten: {path: a}\n", "admin"),
    ("database: x\nlisten: {path: a, mode: '0999'}\nadmin: {path: b}\n", "mode"),
    ("database: x\nlisten: {path: a, allow_users: [no.such.user]}\nadmin: {path: b}\n", "no.such.user"),
    ("database: x\nlisten: {path: a}\nadmin: {path: a}\n", "admin"),
    ("database: x\nlisten: {path: a}\nadmin: {path: b}\ndeny: {uri: 'a b'}\n", "uri"),
    ("database: x\nlisten: {path: a}\nadmin: {path: b}\nlog: {level: loud}\n", "level"),
])
def test_wrong_configuration(folder, config, complaint):
    (folder / "c.yaml").write_text(config)
    for option in ("-c", "--check"):
        done = subprocess.run([str(utils.BUILD / "authd/authd"), option, "c.yaml"], cwd=folder,
                              capture_output=True, text=True, timeout=10 * utils.SLOW)
        assert done.returncode == 78
        assert done.stderr.startswith("c.yaml:") and complaint in done.stderr, done.stderr


def test_the_example_says_every_key(folder):
    text = (utils.ROOT / "etc/examples/authd.yaml").read_text()
    # with its commented-out keys enabled, and without
    whole = re.sub(r"^( *)# ( *(?:\w+:|- ).*)$", r"\1\2", text, flags=re.M).replace("routerd]", "nobody]").replace("authd]", "daemon]")
    for name, config in (("plain", text), ("whole", whole)):
        (folder / name).write_text(config)
        done = subprocess.run([str(utils.BUILD / "authd/authd"), "--check", name], cwd=folder,
                              capture_output=True, text=True, timeout=10 * utils.SLOW)
        assert done.returncode == 0, done.stderr
    for key in ("database", "path", "mode", "allow_users", "uri", "message", "level", "format"):
        assert re.search(rf"^ *{key}:", whole, re.M), key


def test_usage(folder):
    def run(*args):
        return subprocess.run([str(utils.BUILD / "authd/authd"), *args], cwd=folder, text=True,
                              capture_output=True, timeout=10 * utils.SLOW)

    assert run().returncode == 64
    assert run("-x").returncode == 64
    assert run("-c", "a", "--check", "b").returncode == 64
    assert run("--help").returncode == 0 and "Usage" in run("--help").stdout
    assert run("--version").stdout.startswith("authd ")
    assert run("-c", "nowhere.yaml").returncode == 78


@pytest.mark.parametrize("names", [["auth", "admin"], ["admin", "auth"], ["auth"]])
def test_socket_activation(daemons, folder, names):
    """Sockets come from a service manager; authd reports READY=1 and STOPPING=1 to it."""
    listeners = {}
    for name in names:
        listeners[name] = socket.socket(socket.AF_UNIX)
        listeners[name].bind(str(folder / f"inherited-{name}"))
        listeners[name].listen(16)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(folder / "notify"))
    notify.settimeout(10 * utils.SLOW)
    authd = utils.Authd(folder, {"listen": {"path": "unused.sock"}})
    # the shell gives the sockets the numbers that sd_listen_fds(3) names, then execs authd
    places = " ".join(f"{3 + i}<&{listeners[name].fileno()}" for i, name in enumerate(names))
    shell = rf'eval "LISTEN_PID=$$ exec \"\$@\" {places}"'
    env = {**authd.env, "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names),
           "NOTIFY_SOCKET": str(folder / "notify")}
    process = subprocess.Popen(
        ["bash", "-c", shell, "sh", *authd.argv], cwd=folder, env=env,
        pass_fds=[l.fileno() for l in listeners.values()], stderr=subprocess.PIPE, text=True)
    try:
        assert notify.recv(100) == b"READY=1"
        assert not (folder / "unused.sock").exists()
        assert router(folder / "inherited-auth").hello["ready"]
        Rpc(folder / ("inherited-admin" if "admin" in names else "admin.sock")).call(
            "principal.list", {})
        process.terminate()
        assert notify.recv(100) == b"STOPPING=1"
        _, err = process.communicate(timeout=10 * utils.SLOW)
        assert process.returncode == 0 and not utils.BAD_LOG.search(err), err
    finally:
        process.kill()
    # authd does not remove the manager's socket files
    assert (folder / "inherited-auth").exists()


def test_systemd_socket_activate(folder):
    """systemd-socket-activate starts authd at the first router's connect; the router waits for
    hello."""
    authd = utils.Authd(folder, {"database": "b.db", "admin": {"path": "b.sock"}}, name="b")
    process = subprocess.Popen(
        ["systemd-socket-activate", "-l", str(folder / "activated"), "--fdname=auth", *authd.argv],
        cwd=folder, env=authd.env, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((folder / "activated").exists, "the socket")
        wait_for(lambda: is_listening(folder / "activated"), "the socket to listen")
        assert router(folder / "activated").hello["ready"]
        process.terminate()
        _, err = process.communicate(timeout=10 * utils.SLOW)
        assert process.returncode == 0 and not utils.BAD_LOG.search(err), err
    finally:
        process.kill()


def is_listening(path):
    """Checks without connecting, because a connect would start authd."""
    return any(line.split()[3] == "00010000" and line.endswith(f" {path}")
               for line in Path("/proc/net/unix").read_text().splitlines()[1:])
