# SPDX-License-Identifier: Apache-2.0
"""The Python kit for a site's own authenticator, and the example built on it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import kit
import msgpack
import pytest
import utils
from kit import echo, error_of, form, serve, wampauth  # noqa: F401 (fixtures)
from rpcclient import Rpc, RpcError, ask, router
from test_authd import HOSTILE, nested

pytestmark = pytest.mark.python

KEY1 = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"
KEYS2 = ["9c194391af3bf566fc11a619e8df200ba02efb35b91bdd98b424f20f4163875e",
         "585df51991780ee8dce4766324058a04ecae429dffd786ee80839c9467468c28"]


@pytest.fixture
def example(daemons, folder):
    daemon = utils.Daemon("example", [sys.executable, kit.FOLDER / "example.py", "authd.sock"], folder, wrap=False)
    daemons.append(daemon)
    return daemon.start()


@pytest.fixture
def path(example):
    return example.cwd / "authd.sock"


@pytest.fixture
def site(daemons, folder, form):
    """site(source) -> a process that serves its `authenticate`."""
    def start(source, **kw):
        daemons.append(kit.daemon(folder, form, source, **kw))
        return daemons[-1].start()

    return start


# --- the example ----------------------------------------------------------------------------


def test_the_example_is_short():
    assert len((kit.FOLDER / "example.py").read_text().splitlines()) <= 40


def test_it_knows_the_two_principals(path):
    rpc = router(path)
    assert rpc.hello["protocol"] == [1, 0] and rpc.hello["ready"] is True
    for key in (KEY1, KEY1.upper()):
        assert ask(rpc, key) == {"realm": "devices", "role": "device", "authid": "client01@example.com",
                                 "extra": {"foo": 23}, "pubkey": KEY1}
    for key in KEYS2:
        answer = ask(rpc, key, realm="devices", authid="client02@example.com")
        assert answer["extra"] == {"foo": 42, "bar": "baz"} and answer["pubkey"] == key
    for asked in ({"pubkey": "00" * 32}, {"pubkey": KEY1, "realm": "other"},
                  {"pubkey": KEY1, "authid": "client02@example.com"}, {"pubkey": None}):
        with pytest.raises(RpcError) as e:
            ask(rpc, **asked)
        assert e.value.args[0]["kind"] == "deny" and e.value.uri == "com.example.no_such_user"
    with pytest.raises(RpcError) as e:
        ask(rpc, "00" * 32)
    assert e.value.args[0]["message"] == "no principal with matching public key 0x" + "00" * 32


@pytest.mark.parametrize("pubkey", ["x" * 16384, "0x" + KEY1, "", KEY1 + "\n", 5, [KEY1], {"a": 1}, None, b"x" * 32],
                         ids=lambda p: repr(p)[:12])
def test_a_key_that_is_none(path, pubkey):
    """The example denies it with a message that does not repeat the key."""
    rpc = router(path)
    error = error_of(rpc, None, None, {"authmethod": "cryptosign", "authextra": {"pubkey": pubkey}})
    assert error == {"kind": "deny", "uri": "com.example.no_such_user",
                     "message": "authextra.pubkey must be a public key of 64 hex digits"}
    assert ask(rpc, KEY1)["role"] == "device"


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(example, path, folder):
    done = subprocess.run([sys.executable, kit.FOLDER / "example.py", "authd.sock"], cwd=folder,
                          capture_output=True, text=True, timeout=10 * utils.SLOW)
    assert done.returncode != 0 and "another process listens there" in done.stderr
    example.kill()
    assert path.exists()
    example.start()
    assert ask(router(path), KEY1)["role"] == "device"
    example.stop()
    assert not path.exists()


def test_socket_activation(folder):
    """The socket file belongs to systemd, so it stays when the kit ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "inherited"))
    listener.listen(4)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(folder / "notify"))
    notify.settimeout(10 * utils.SLOW)
    process = subprocess.Popen(
        ["bash", "-c", f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{listener.fileno()}', "sh",
         sys.executable, str(kit.FOLDER / "example.py"), "unused.sock"],
        cwd=folder, pass_fds=[listener.fileno()], stderr=subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")})
    try:
        assert ask(router(folder / "inherited"), KEY1)["role"] == "device"
        assert notify.recv(100) == b"READY=1"
        flags = re.search(r"flags:\s*(\d+)", Path(f"/proc/{process.pid}/fdinfo/3").read_text()).group(1)
        assert int(flags, 8) & os.O_CLOEXEC, "programs that the site starts would inherit the socket"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10 * utils.SLOW) == 0
        assert notify.recv(100) == b"STOPPING=1"
        assert not (folder / "unused.sock").exists() and (folder / "inherited").exists()
    finally:
        process.kill()
        process.communicate()


# --- the protocol ---------------------------------------------------------------------------


def test_calls(serve):
    path = serve(echo)
    rpc = router(path)
    assert rpc.hello["features"] == ["cancel"]
    assert rpc.call("ping") == {"ready": True, "inflight": 0}
    rpc.notify("session.opened", {"session": 1})
    for params in ([5], [], [[]], [{"a": 1}]):
        rpc.notify("cancel", *params)
    with pytest.raises(RpcError) as e:
        rpc.call("what.is.this", 1)
    assert e.value.uri == "auth.rpc.no_such_method"
    for params in ([], [1], [{}], [{"protocol": 1}], [{"protocol": []}], [{"protocol": [1, 0], "max_message": "x"}]):
        with pytest.raises(RpcError) as e:
            rpc.call("hello", *params)
        assert e.value.uri == "auth.rpc.invalid_argument", params
    other = Rpc(path)
    with pytest.raises(RpcError) as e:
        other.call("hello", {"protocol": [2, 0]})
    assert e.value.uri == "auth.rpc.unsupported_version" and other.is_closed()
    assert rpc.call("ping")["ready"]


IN_PARAMS = ["params that are a map", "too deep", "a long text", "a large map", "invalid UTF-8"]


@pytest.mark.parametrize("what", [w for w in HOSTILE if w not in IN_PARAMS])
def test_a_hostile_peer_loses_its_connection_alone(path, what):
    good, bad = router(path), Rpc(path)
    try:
        bad.raw(HOSTILE[what])
    except OSError:
        pass
    assert bad.is_closed()
    assert ask(good, KEY1)["role"] == "device"


@pytest.mark.parametrize("params", [
    *(HOSTILE[w].partition(b"hello")[2] or HOSTILE[w][5:] for w in IN_PARAMS),
    b"\x90", b"\x05", b"\xc0", b"\x93\xc0\xc0\xc0", b"\x93\x01\xc0\x80", b"\x93\xc0\x01\x80",
    b"\x93\xc0\xc0" + nested(500),
    b"\x93\xc0\xc0\x81\xa1x\xd4\xff\x00",  # a timestamp with a wrong length
], ids=lambda p: p[:8].hex())
def test_what_is_wrong_in_a_question_costs_the_question(path, params):
    rpc = router(path)
    for method in (b"\xacauthenticate", b"\xa5hello"):
        rpc.raw(b"\x94\x00\x09" + method + params)
        with pytest.raises(RpcError) as e:
            rpc.answer_to(9)
        assert e.value.uri == "auth.rpc.invalid_argument"
    rpc.raw(b"\x93\x02\xa6cancel" + params)
    assert ask(rpc, KEY1)["role"] == "device"


def test_byte_by_byte(path):
    rpc = router(path)
    message = msgpack.packb([0, 9, "authenticate", [None, None, {"authmethod": "cryptosign",
                                                                 "authextra": {"pubkey": KEY1}}]])
    for i in range(len(message)):
        rpc.raw(message[i:i + 1])
    assert rpc.answer_to(9)["role"] == "device"


def test_the_largest_message_and_one_more(path):
    rpc = router(path)
    for size, is_taken in ((65536, True), (65537, False)):
        params = msgpack.packb([None, None, {"authextra": {"pubkey": KEY1}, "x": [""] * 1000}])
        message = b"\x94\x00\x09\xacauthenticate" + params.replace(b"\xa1x", b"\xda\xff\xff" + b"x" * 65535, 1)
        message = message.replace(b"\xda\xff\xff" + b"x" * 65535,
                                  (n := 65535 - (len(message) - size)) and b"\xda" + n.to_bytes(2, "big") + b"x" * n)
        assert len(message) == size
        rpc.raw(message)
        if is_taken:
            assert rpc.answer_to(9)["role"] == "device"
    assert rpc.is_closed()


def test_it_reads_the_golden_traces(serve):
    """Each example message of the protocol document, sent byte for byte."""
    traces, name = {}, None
    for line in (utils.ROOT / "proto/golden/auth.txt").read_text().splitlines():
        if line.startswith("\t"):
            traces[name] += bytes.fromhex(line.strip())
        elif line and not line.startswith("#"):
            name = line
            traces[name] = b""
    assert len(traces) > 20
    asked = []

    async def authenticate(realm, authid, details):
        asked.append((realm, authid, details))
        return {"role": "r", "authid": "a", "pubkey": KEY1}

    rpc = Rpc(serve(authenticate))
    for name, data in traces.items():
        message = msgpack.unpackb(data)
        rpc.raw(data)
        if message[0] == 0 and message[2] in ("hello", "ping", "authenticate"):
            assert rpc.answer_to(message[1]), name
        elif message[0] == 0:
            with pytest.raises(RpcError):
                rpc.answer_to(message[1])
    assert asked[0][:2] == ("devices", "client01@example.com")
    assert asked[0][2]["authextra"]["pubkey"] == KEY1
    assert asked[1][:2] == (None, None)
    assert asked[2][2]["ticket"] == "correct horse battery staple"
    transport = asked[3][2]["transport"]
    assert transport["peer"] == "tcp4:192.0.2.7:51814" and transport["proxied_by"] == "tcp4:10.0.0.9:40112"
    assert transport["tls"]["client_cert"] == bytes.fromhex("3003020105")
    assert asked[4][2]["transport"]["tls"] == {"version": "1.3", "sni": "router.example.com"}
    assert rpc.call("ping")["ready"]


def test_it_does_not_print_tickets():
    details = wampauth.Details({"authmethod": "ticket", "ticket": "s3cret"}, None)
    assert details["ticket"] == "s3cret"
    assert "s3cret" not in f"{details} {details!r}" and "'ticket'" in str(details)


# --- storms ---------------------------------------------------------------------------------


def test_slow_answers_do_not_hold_up_others(serve):
    slow = threading.Event()

    async def authenticate(realm, authid, details):
        while authid == "slow" and not slow.is_set() and not details.canceled():
            await asyncio.sleep(0.01)
        return {"role": authid}

    rpc = router(serve(authenticate))
    late = [rpc.send("authenticate", None, "slow", {"ttl_ms": 60000}) for _ in range(10)]
    for i in range(300):
        assert rpc.call("authenticate", None, f"a{i}", {}) == {"role": f"a{i}"}
    slow.set()
    assert [rpc.answer_to(i) for i in late] == [{"role": "slow"}] * 10


def test_200_clients_at_300_ms(serve):
    """All are answered within the 2 s that the router waits by default."""
    async def authenticate(realm, authid, details):
        await asyncio.sleep(0.3)
        return {"role": authid}

    rpc = router(serve(authenticate))
    ids = [rpc.send("authenticate", None, f"a{i}", {"ttl_ms": 2000}) for i in range(200)]
    assert [rpc.answer_to(i)["role"] for i in ids] == [f"a{i}" for i in range(200)]


class Gate:
    """One worker that is busy until the test releases it. Records who was asked."""

    def __init__(self, serve):
        self.asked, self.open = [], threading.Event()
        self.path = serve(self.authenticate, workers=1)
        self.rpc = router(self.path)
        self.first = self.rpc.send("authenticate", None, "first", {"ttl_ms": 60000})
        utils.wait_for(lambda: self.asked, "the first question")

    async def authenticate(self, realm, authid, details):
        self.asked.append(authid)
        while not self.open.is_set() and not details.canceled():
            await asyncio.sleep(0.01)
        return {"role": authid}

    def let_go(self):
        self.open.set()
        assert self.rpc.answer_to(self.first)


def test_expired_and_canceled_questions_are_dropped(serve, caplog):
    """The router has given up, so the kit neither calls the function nor answers."""
    gate = Gate(serve)
    expired = gate.rpc.send("authenticate", None, "expired", {"ttl_ms": 50, "corr": "c17"})
    canceled = gate.rpc.send("authenticate", None, "canceled", {"ttl_ms": 60000})
    gate.rpc.notify("cancel", canceled)
    last = gate.rpc.send("authenticate", None, "last", {"ttl_ms": 60000})
    assert gate.rpc.call("ping")["inflight"] == 3
    time.sleep(0.1)  # lets the first question expire
    gate.let_go()
    assert gate.rpc.answer_to(last) == {"role": "last"}
    utils.wait_for(lambda: gate.rpc.call("ping")["inflight"] == 0, "all to be done")
    assert gate.asked == ["first", "last"]
    assert not [m for m in gate.rpc.waiting if m[1] in (expired, canceled)]
    assert "dropped a request: no answer within 0.1 s corr=c17" in caplog.text


def test_an_answer_that_comes_too_late_is_not_sent(serve, caplog):
    async def authenticate(realm, authid, details):
        if authid == "late":
            await asyncio.sleep(0.2)
        return {"role": "r"}

    rpc = router(serve(authenticate))
    late = rpc.send("authenticate", None, "late", {"ttl_ms": 100, "corr": "c17"})
    utils.wait_for(lambda: "corr=c17" in caplog.text, "the log")
    utils.wait_for(lambda: rpc.call("ping")["inflight"] == 0, "all to be done")
    assert rpc.call("authenticate", None, "good", {})
    assert not [m for m in rpc.waiting if m[1] == late]


def test_an_id_that_is_used_again(serve):
    """The result of the canceled question is not sent for the new question with the same id."""
    go, ended = {"old": threading.Event(), "new": threading.Event()}, []

    async def authenticate(realm, authid, details):
        try:
            while not go[authid].is_set():
                await asyncio.sleep(0.01)
        finally:
            ended.append(authid)
        return {"role": authid}

    rpc = router(serve(authenticate))
    old = rpc.send("authenticate", None, "old", {"ttl_ms": 60000})
    utils.wait_for(lambda: rpc.call("ping")["inflight"] == 1, "the question to arrive")
    rpc.notify("cancel", old)
    rpc.raw(msgpack.packb([0, old, "authenticate", [None, "new", {"ttl_ms": 60000}]]))
    rpc.call("ping")
    go["old"].set()
    utils.wait_for(lambda: ended == ["old"] and rpc.call("ping")["inflight"] == 1, "the end of the old one")
    go["new"].set()
    assert rpc.answer_to(old) == {"role": "new"}


def test_details_say_whether_somebody_waits(serve):
    told = []

    async def authenticate(realm, authid, details):
        told.append((details.canceled(), details.seconds_left()))
        try:
            while not details.canceled():
                await asyncio.sleep(0.01)
        finally:
            told.append((details.canceled(), details.seconds_left()))

    rpc = router(serve(authenticate))
    question = rpc.send("authenticate", None, None, {"ttl_ms": 60000})
    utils.wait_for(lambda: told, "the function to be called")
    rpc.notify("cancel", question)
    utils.wait_for(lambda: len(told) == 2, "the function to notice")
    assert not told[0][0] and 50 < told[0][1] <= 60 and told[1] == (True, 0)


def test_a_coroutine_is_canceled(folder):
    """When the client leaves, when its time is over, when the router leaves."""
    ended = []

    async def authenticate(realm, authid, details):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            ended.append(authid)
            raise

    served = kit.Served(folder / "own.sock", authenticate)
    rpc = router(served.path)
    canceled = rpc.send("authenticate", None, "canceled", {"ttl_ms": 60000})
    utils.wait_for(lambda: rpc.call("ping")["inflight"] == 1, "the question to arrive")
    rpc.notify("cancel", canceled)
    utils.wait_for(lambda: ended == ["canceled"], "the coroutine to end")
    rpc.send("authenticate", None, "late", {"ttl_ms": 100})
    utils.wait_for(lambda: ended == ["canceled", "late"], "the coroutine to end")
    rpc.send("authenticate", None, "gone", {"ttl_ms": 60000})
    utils.wait_for(lambda: rpc.call("ping")["inflight"] == 1, "the question to arrive")
    rpc.close()
    utils.wait_for(lambda: ended == ["canceled", "late", "gone"], "the coroutine to end")
    served.close()


def test_the_newest_first(serve):
    """Under load the oldest question has hardly any time left."""
    gate = Gate(serve)
    ids = [gate.rpc.send("authenticate", None, f"a{i}", {"ttl_ms": 60000}) for i in range(10)]
    assert gate.rpc.call("ping")["inflight"] == 11
    gate.let_go()
    assert [gate.rpc.answer_to(i) for i in ids]
    assert gate.asked == ["first", *(f"a{i}" for i in reversed(range(10)))]


def test_a_storm_that_does_not_end(serve):
    """Three times as many questions as the site can serve. Served oldest first, none would be
    answered after the first half second: each would have too little time left."""
    async def authenticate(realm, authid, details):
        await asyncio.sleep(0.1)
        return {"role": "r"}

    rpc = router(serve(authenticate, workers=1))
    for i in range(1, 121):
        rpc.send("authenticate", None, None, {"ttl_ms": 500})
        time.sleep(0.033)  # the rate of the storm
        if i == 60:
            rpc.call("ping")
            rpc.waiting.clear()  # count only the second half
    rpc.call("ping")
    assert len(rpc.waiting) >= 8, len(rpc.waiting)  # 20 are possible


def test_more_in_flight_than_allowed(serve, caplog):
    """The next one gets an error at once, and the link stays."""
    gate = Gate(serve)
    caplog.clear()
    ids = [gate.rpc.send("authenticate", None, f"a{i}", {"ttl_ms": 60000}) for i in range(1023)]
    for _ in range(3):
        assert error_of(gate.rpc, None, "one more", {}) == {"kind": "temporary"}
    assert caplog.text.count("the router has 1024 unanswered ones already") == 3
    gate.rpc.notify("cancel", ids.pop())  # frees one place
    ids.append(gate.rpc.send("authenticate", None, "late", {"ttl_ms": 60000}))
    gate.let_go()
    assert [gate.rpc.answer_to(i)["role"] for i in ids] == [*(f"a{i}" for i in range(1022)), "late"]


def test_expired_questions_without_cancel_leave_their_places(serve):
    gate = Gate(serve)
    for _ in range(1023):
        gate.rpc.send("authenticate", None, "expired", {"ttl_ms": 1})
    assert error_of(gate.rpc, None, "one more", {})["kind"] == "temporary"
    gate.let_go()
    assert gate.rpc.call("authenticate", None, "good", {}) == {"role": "good"}
    utils.wait_for(lambda: gate.rpc.call("ping")["inflight"] == 0, "the expired to be gone")


def test_a_router_that_does_not_read(serve):
    """Other routers are still served."""
    path = serve(echo)
    stuck, good = router(path), router(path)
    ping = msgpack.packb([0, 1, "ping", []])
    stuck.sock.settimeout(0.5)
    sent = 0
    with pytest.raises(TimeoutError):
        while True:
            sent += stuck.sock.send((ping * 1001)[sent % len(ping):])
    for i in range(300):
        assert good.call("authenticate", None, f"a{i}", {}) == {"role": f"a{i}"}
    stuck.sock.settimeout(5 * utils.SLOW)
    for _ in range(sent // len(ping)):
        assert stuck.receive()[:2] == [1, 1]
    stuck.raw(ping[sent % len(ping):])  # the rest of the cut ping: the kit serves this router again
    assert stuck.receive()[:2] == [1, 1]


def test_a_router_that_goes(serve):
    """Its questions are dropped and its place is free."""
    gate = Gate(serve)
    gone = router(gate.path)
    for i in range(100):
        gone.send("authenticate", None, f"gone{i}", {"ttl_ms": 60000})
    gone.call("ping")
    gone.close()
    gate.let_go()
    assert gate.rpc.call("authenticate", None, "good", {})
    assert not [a for a in gate.asked if a.startswith("gone")]


def test_a_function_that_blocks_the_loop(folder, caplog):
    async def authenticate(realm, authid, details):
        time.sleep(0.6)
        return {"role": "r"}

    served = kit.Served(folder / "own.sock", authenticate)
    assert router(served.path).call("authenticate", None, None, {})
    utils.wait_for(lambda: "an async function has blocked" in caplog.text, "the log")
    served.close()


# --- notifications --------------------------------------------------------------------------


def test_notifications(serve, form, caplog):
    told, stuck = [], threading.Event()

    async def on_notification(method, params):
        told.append((method, params))
        if len(told) == 1:
            raise KeyError("mine")
        deadline = time.monotonic() + 10 * utils.SLOW
        while stuck.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    rpc = router(serve(echo, workers=1, on_notification=kit.in_form(form, on_notification)))
    assert rpc.hello["features"] == ["cancel", "events"]
    rpc.notify("session.opened", {"session": 1})
    utils.wait_for(lambda: "on_notification failed notification=session.opened" in caplog.text, "the log")
    stuck.set()
    for i in range(1500):
        rpc.notify("session.closed", {"session": i})
    # on_notification is stuck, which does not delay logins; notifications beyond the queue are
    # dropped
    assert rpc.call("authenticate", None, "good", {}) == {"role": "good"}
    utils.wait_for(lambda: "dropped notification=session.closed" in caplog.text, "the log")
    stuck.clear()
    utils.wait_for(lambda: len(told) >= 1025, "the others")
    assert told[:3] == [("session.opened", [{"session": 1}]), *(("session.closed", [{"session": i}]) for i in range(2))]
    rpc.notify("auth.failed", {"reason": "timeout"})
    utils.wait_for(lambda: told[-1][0] == "auth.failed", "the last")


def test_it_ends_whatever_notifications_wait(folder):
    told = []

    async def on_notification(method, params):
        told.append(method)
        await asyncio.sleep(1000)

    served = kit.Served(folder / "own.sock", echo, on_notification=on_notification)
    rpc = router(served.path)
    for _ in range(10):
        rpc.notify("session.opened", {"session": 1})
    utils.wait_for(lambda: told, "the first")
    served.close()
    assert len(told) == 1


def test_a_program_with_a_loop_of_its_own(folder):
    """When serve_async is canceled, nothing of it stays in the loop."""
    async def main():
        server = asyncio.create_task(wampauth.serve_async(str(folder / "own.sock"), echo, on_notification=echo))
        while not (folder / "own.sock").exists():
            await asyncio.sleep(0.01)
        rpc = await asyncio.to_thread(router, folder / "own.sock")
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server
        assert await asyncio.to_thread(rpc.is_closed)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


# --- users ----------------------------------------------------------------------------------


def test_users(monkeypatch):
    """The installed units run routerd as its own user."""
    users = {"routerd": 997, "nobody": 65534}
    monkeypatch.setattr(wampauth.pwd, "getpwnam", lambda name: types.SimpleNamespace(pw_uid=users[name]))
    assert wampauth._uids(None) == {0, os.geteuid(), 997}
    assert wampauth._uids(["nobody", 5]) == {65534, 5}
    with pytest.raises(KeyError):
        wampauth._uids(["nobdoy"])
    del users["routerd"]
    assert wampauth._uids(None) == {0, os.geteuid()}


@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to become another user")
def test_other_users_are_refused(serve, folder, caplog):
    folder.chmod(0o755)
    ping = """import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b"\\x94\\x00\\x01\\xa4ping\\x90")
    print("answer" if s.recv(9) else "closed")
except ConnectionError:
    print("closed")
"""
    for allowed, answer in ((None, "closed\n"), (["nobody"], "answer\n")):
        path = serve(echo, allow_users=allowed, mode=0o666)
        done = subprocess.run(["/usr/bin/python3", "-c", ping, path], user="nobody", capture_output=True, text=True,
                              timeout=10 * utils.SLOW)
        assert done.stdout == answer, done.stderr
    assert caplog.text.count("router refused: its user is not in allow_users uid=65534") == 1


# --- the process ----------------------------------------------------------------------------

STUBBORN = """
async def authenticate(realm, authid, details):
    if authid == "soon":
        await asyncio.sleep(0.6)
    elif authid == "never":
        while True:
            try:
                await asyncio.sleep(1000)
            except BaseException:
                pass
    elif authid == "thread":
        await asyncio.to_thread(time.sleep, 1000)
    elif authid == "blocks":
        time.sleep(1000)
    return {"role": authid}
"""


@pytest.mark.parametrize("what", ["idle", "never", "thread", "blocks"])
def test_sigterm(site, folder, what):
    """The kit ends within 2 s whatever the site does. Questions that take little time are still answered."""
    daemon = site(STUBBORN)
    rpc = router(folder / "authd.sock")
    soon = rpc.send("authenticate", None, "soon", {})
    rpc.call("ping")
    if what != "idle":
        rpc.send("authenticate", None, what, {"ttl_ms": 60000})
        if what != "blocks":
            rpc.call("ping")
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    if what != "blocks":
        # the kit removes its socket file first; it does not answer questions that come later
        utils.wait_for(lambda: not (folder / "authd.sock").exists(), "the socket to be gone")
        rpc.send("authenticate", None, "late", {})
        assert rpc.answer_to(soon) == {"role": "soon"}
        with pytest.raises(EOFError):
            assert rpc.receive() is None
        assert not rpc.waiting
    daemon.stop()
    assert time.monotonic() - begin < 2 * utils.SLOW


def test_a_stderr_that_nobody_reads(daemons, folder, form):
    """Lines are dropped and counted. Logins and SIGTERM still work."""
    daemon = kit.daemon(folder, form, """
wampauth.LINES_PER_SECOND = 10000
async def authenticate(realm, authid, details):
    if authid == "bad":
        raise KeyError("x" * 5000)  # two pages of the pipe, which has an odd number left
    return {"role": "r"}
""")
    process = subprocess.Popen(daemon.argv, cwd=folder, stderr=subprocess.PIPE)
    try:
        utils.wait_for(lambda: (folder / "authd.sock").exists() and kit.connects(folder / "authd.sock"), "the kit")
        rpc = router(folder / "authd.sock")
        for _ in range(300):
            assert error_of(rpc, None, "bad", {})["kind"] == "temporary"
        assert rpc.call("authenticate", None, "good", {})
        os.set_blocking(process.stderr.fileno(), False)
        process.stderr.read()
        error_of(rpc, None, "bad", {})
        utils.wait_for(lambda: re.search(rb"dropped lines: \d+", process.stderr.read() or b""), "the count")
        process.send_signal(signal.SIGTERM)
        assert process.wait(2 * utils.SLOW) == 0
    finally:
        process.kill()
        process.communicate()


def test_without_a_stderr(daemons, folder):
    """Descriptor 2 may be a connection of the site: the kit must not log to it."""
    daemon = kit.daemon(folder, "asyncio", """
import os, socket
ours, theirs = socket.socketpair()
assert 2 in (ours.fileno(), theirs.fileno())
other = theirs if ours.fileno() == 2 else ours
other.settimeout(1)
async def authenticate(realm, authid, details):
    if authid == "bad":
        raise KeyError("to be logged")
    try:
        return {"role": other.recv(100).decode()}
    except TimeoutError:
        return {"role": "nothing"}
""")
    process = subprocess.Popen(["sh", "-c", 'exec "$@" 2>&-', "sh", *daemon.argv], cwd=folder)
    try:
        utils.wait_for(lambda: (folder / "authd.sock").exists() and kit.connects(folder / "authd.sock"), "the kit")
        rpc = router(folder / "authd.sock")
        assert error_of(rpc, None, "bad", {})["kind"] == "temporary"
        assert rpc.call("authenticate", None, "good", {}) == {"role": "nothing"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(2 * utils.SLOW) == 0
    finally:
        process.kill()
        process.wait()


def test_the_log(site, folder):
    """Each line has time, corr and traceback. The rate is limited."""
    daemon = site("""
async def authenticate(realm, authid, details):
    raise KeyError("mine")
""")
    rpc = router(folder / "authd.sock")
    assert error_of(rpc, None, None, {"corr": "c17"})["kind"] == "temporary"
    assert re.search(r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ERROR authenticate failed corr=c17; the client may try again\n"
                     r"Traceback (.*\n)+KeyError: 'mine'", daemon.log(), re.M)
    for _ in range(500):
        error_of(rpc, None, None, {})
    assert daemon.log().count("Traceback") < 500


def test_a_wrong_log_call_fails_no_login(site, folder):
    daemon = site("""
import logging

async def authenticate(realm, authid, details):
    logging.error("%d", "x")
    return {"role": "device"}
""")
    assert router(folder / "authd.sock").call("authenticate", None, "a", {}) == {"role": "device"}
    assert "wrong log call: '%d' with ('x',)" in daemon.log()
