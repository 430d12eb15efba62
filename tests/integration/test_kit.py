# SPDX-License-Identifier: Apache-2.0
"""The Python kit with which a site writes its own authenticator, and the example on it."""

import importlib.util
import signal
import socket
import sys
import threading

import msgpack
import pytest
import utils
from rpcclient import HELLO, Rpc, RpcError, ask, router
from test_authd import HOSTILE

KIT = utils.ROOT / "etc/examples/authenticator"
KEY1 = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"
KEYS2 = ["9c194391af3bf566fc11a619e8df200ba02efb35b91bdd98b424f20f4163875e",
         "585df51991780ee8dce4766324058a04ecae429dffd786ee80839c9467468c28"]


@pytest.fixture
def example(daemons, folder):
    daemon = utils.Daemon("example", [sys.executable, KIT / "example.py", "authd.sock"], folder, wrap=False)
    daemons.append(daemon)
    return daemon.start()


@pytest.fixture
def path(example):
    return example.cwd / "authd.sock"


def load_kit():
    spec = importlib.util.spec_from_file_location("wampauth", KIT / "wampauth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wampauth = load_kit()


@pytest.fixture
def serve(folder):
    """serve(authenticate, **options) -> the path it is served at, in this process."""
    servers = []

    def start(authenticate, **options):
        server = wampauth.Server(str(folder / "own.sock"), authenticate, **options)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return folder / "own.sock"

    yield start
    for server in servers:
        server.close()


def test_the_example_is_short():
    assert len((KIT / "example.py").read_text().splitlines()) <= 40


def test_it_knows_the_two_principals(path):
    rpc = router(path)
    assert rpc.hello["protocol"] == [1, 0] and rpc.hello["ready"] is True
    assert ask(rpc, KEY1) == {"realm": "devices", "role": "device", "authid": "client01@example.com",
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


def test_calls(path):
    rpc = router(path)
    assert rpc.call("ping")["ready"] is True
    rpc.notify("session.opened", {"session": 1})
    rpc.notify("cancel", 5)
    with pytest.raises(RpcError) as e:
        rpc.call("what.is.this", 1)
    assert e.value.uri == "auth.rpc.no_such_method"
    other = Rpc(path)
    with pytest.raises(RpcError) as e:
        other.call("hello", {"protocol": [2, 0]})
    assert e.value.uri == "auth.rpc.unsupported_version" and other.is_closed()


@pytest.mark.parametrize("what", [w for w in HOSTILE if w != "too deep"])
def test_a_hostile_peer_loses_its_connection_alone(path, what):
    good, bad = router(path), Rpc(path)
    try:
        bad.raw(HOSTILE[what])
    except OSError:
        pass
    assert bad.is_closed()
    assert ask(good, KEY1)["role"] == "device"


def test_byte_by_byte(path):
    rpc = router(path)
    message = msgpack.packb([0, 9, "authenticate", [None, None, {"authmethod": "cryptosign",
                                                                 "authextra": {"pubkey": KEY1}}]])
    for i in range(len(message)):
        rpc.raw(message[i:i + 1])
    assert rpc.answer_to(9)["role"] == "device"


def test_slow_answers_do_not_hold_up_others(serve):
    slow = threading.Event()

    def authenticate(realm, authid, details):
        if authid == "slow":
            slow.wait(10 * utils.SLOW)
        return {"role": authid}

    rpc = router(serve(authenticate))
    late = [rpc.send("authenticate", None, "slow", {}) for _ in range(10)]
    for i in range(500):
        assert rpc.call("authenticate", None, f"a{i}", {}) == {"role": f"a{i}"}
    slow.set()
    assert [rpc.answer_to(i) for i in late] == [{"role": "slow"}] * 10


def test_bugs_of_the_site(serve):
    def authenticate(realm, authid, details):
        if authid == "raise":
            raise KeyError("secret detail")
        return {"role": object()}

    rpc = router(serve(authenticate))
    for authid in ("raise", "return"):
        with pytest.raises(RpcError) as e:
            rpc.call("authenticate", None, authid, {})
        assert e.value.args[0]["kind"] == "internal"
        assert "secret" not in str(e.value)


def test_kinds_and_notifications(serve):
    told = []

    def authenticate(realm, authid, details):
        raise wampauth.Error("a.b", "later", kind="temporary")

    rpc = router(serve(authenticate, on_notification=lambda *a: told.append(a)))
    assert "events" in rpc.hello["features"]
    rpc.notify("session.opened", {"session": 5})
    with pytest.raises(RpcError) as e:
        ask(rpc)
    assert e.value.args[0] == {"kind": "temporary", "uri": "a.b", "message": "later"}
    assert told == [("session.opened", [{"session": 5}])]


def test_other_users_are_refused(serve):
    assert Rpc(serve(lambda *a: {}, allow_uids=[65533])).is_closed()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(example, path, folder):
    done = utils.subprocess.run([sys.executable, KIT / "example.py", "authd.sock"], cwd=folder,
                                capture_output=True, text=True, timeout=10 * utils.SLOW)
    assert done.returncode != 0 and "somebody is listening" in done.stderr
    example.kill()
    assert path.exists()
    example.start()
    assert ask(router(path), KEY1)["role"] == "device"
    example.stop()
    assert not path.exists()


def test_socket_activation(example, folder):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "inherited"))
    listener.listen(4)
    process = utils.subprocess.Popen(
        ["bash", "-c", f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{listener.fileno()}', "sh",
         sys.executable, str(KIT / "example.py"), "unused.sock"],
        cwd=folder, pass_fds=[listener.fileno()], stderr=utils.subprocess.PIPE)
    try:
        assert ask(router(folder / "inherited"), KEY1)["role"] == "device"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10 * utils.SLOW) == 0
        assert not (folder / "unused.sock").exists() and (folder / "inherited").exists()
    finally:
        process.kill()
        process.communicate()


def test_it_reads_the_golden_traces(serve):
    """Each message of the protocol's document, sent as the bytes that are written there."""
    traces, name = {}, None
    for line in (utils.ROOT / "proto/golden/auth.txt").read_text().splitlines():
        if line.startswith("\t"):
            traces[name] += bytes.fromhex(line.strip())
        elif line and not line.startswith("#"):
            name = line
            traces[name] = b""
    assert len(traces) > 20
    asked = []

    def authenticate(realm, authid, details):
        asked.append((realm, authid, details))
        return {"role": "r"}

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
    assert rpc.call("ping")["ready"]
