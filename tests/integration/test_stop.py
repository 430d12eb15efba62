# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and restarts, and how clients see them; and command lines that need no client."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import peers
import pytest
from authenticator import HOLD, Authenticator, principal
from rawclient import SERIALIZERS, TRANSPORTS
from utils import BUILD, ROOT, Key, Ticket, Routerd, free_port, router_config, tsan_prefix

both = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)


@both
def test_sigterm_closes_with_1012_and_says_no_goodbye(routerd, join):
    everyone = [join(routerd, s) for s in SERIALIZERS for _ in range(2)]
    routerd.check_threads()
    routerd.signal(signal.SIGTERM)
    for client in everyone:
        assert client.wait_closed() == (client.close_code(1012), [])
    routerd.stop()


@both
@pytest.mark.parametrize("method", [Key, Ticket])
def test_sigterm_in_the_middle_of_handshakes(folder, start_routerd, connect, transport, method):
    key = method()
    fake = Authenticator(folder, lambda *args: principal(key))
    routerd = start_routerd(threads=4)
    port = routerd.port()
    early = socket.create_connection(("127.0.0.1", port), 10)
    half = socket.create_connection(("127.0.0.1", port), 10)
    begin, unavailable = {"websocket": (b"GET /ws HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 503"),
                          "rawsocket": (b"\x7f\xf1", b"\x7f\x40\0\0")}[transport]
    half.sendall(begin)
    upgraded, asked, challenged = (connect(routerd) for _ in range(3))
    challenged.challenge(None, key)
    fake.answer = lambda *args: HOLD
    asked.ask(key)
    fake.wait_requests(2 if method is Key else 1)
    routerd.signal(signal.SIGTERM)
    for client in (upgraded, asked, challenged):
        client.expect_dropped()
    for s in (early, half):
        data = s.recv(4096)
        assert data == b"" or data.startswith(unavailable)
        s.close()
    routerd.stop()
    fake.stop()


@both
def test_what_was_accepted_goes_out_before_the_close(start_routerd, threads, join):
    """A publication that the router has read reaches its subscribers before the router stops."""
    routerd = start_routerd(threads=threads, cryptosign=False)
    receivers = [join(routerd) for _ in range(4)]
    subscriptions = [r.subscribe("com.example.t") for r in receivers]
    sender = join(routerd, "cbor")
    for i in range(50):
        sender.publish("com.example.t", [i, "x" * 5000])
    sender.publish("com.example.t", ["last"], acknowledge=True)
    routerd.signal(signal.SIGTERM)
    for receiver, subscription in zip(receivers, subscriptions):
        for i in range(50):
            assert receiver.event(subscription)[0][0] == i
        assert receiver.event(subscription)[0] == ["last"]
        assert receiver.wait_closed() == (receiver.close_code(1012), [])
    sender.expect_close(1012)
    routerd.stop()


@both
def test_sigterm_with_a_client_that_does_not_read(start_routerd, threads, join):
    """The router stops all the same: it flushes only until a deadline."""
    routerd = start_routerd(threads=threads, cryptosign=False)
    deaf, sender = join(routerd), join(routerd)
    deaf.subscribe("com.example.t")
    for i in range(100):
        sender.publish("com.example.t", ["x" * 100000], acknowledge=True)
    routerd.stop()


def test_a_stop_has_a_limit(start_routerd, join):
    """5 s in all, even if close_handshake_timeout is longer."""
    config = router_config(cryptosign=False)
    config["transports"][0]["options"] = {"close_handshake_timeout": 15000}
    routerd = start_routerd(config)
    client = join(routerd)  # never answers the Close
    start = time.monotonic()
    routerd.signal(signal.SIGTERM)
    routerd.process.wait(30)
    assert 4.5 < time.monotonic() - start < 12
    client.expect_close(1012)


def test_autobahn_js_comes_back_by_itself(start_routerd, puppets):
    """Over WebSocket only: its RawSocket does not notice when the router ends the connection."""
    routerd = start_routerd(threads=1, cryptosign=False)
    puppet = puppets("autobahn-js")
    peer = peers.Peer(puppet, routerd.url(), "json", name="phoenix", retry=True)
    routerd.stop()
    routerd.start()
    puppet.event(ev="rejoined", s="phoenix", seconds=20)
    peer.register("com.example.p")
    assert peer.call("com.example.p", [1], {}) == ([1], {})


@pytest.mark.parametrize("daemon", ["routerd", "authd"])
def test_sigint_and_an_early_sigterm(folder, start_routerd, start_authd, daemon):
    started = start_routerd(cryptosign=False) if daemon == "routerd" else start_authd()
    started.signal(signal.SIGTERM)
    started.stop()
    started.start(wait=False)
    started.process.poll()
    started.wait_ready()
    started.stop()


def test_an_occupied_port_is_named(folder, start_routerd):
    routerd = start_routerd(cryptosign=False)
    second = Routerd(folder, routerd.config, name="second")
    second.start(wait=False)
    assert second.process.wait(20) != 0
    assert str(routerd.port()) in second.log()


def test_check_tells_a_good_file_from_a_bad_one(folder):
    def check(text):
        path = folder / "c.yaml"
        path.write_text(text)
        return subprocess.run([*tsan_prefix(), BUILD / "routerd/routerd", "--check", path],
                              capture_output=True, text=True, cwd=folder)

    import json
    good = json.dumps(router_config(), indent=1)
    assert check(good).returncode == 0
    bad = check(good.replace('"paths"', '"pathz"'))
    assert bad.returncode == 78
    assert "c.yaml:" in bad.stderr and "pathz" in bad.stderr
    # one run reports all errors
    bad = check(good.replace('"paths"', '"pathz"').replace('"websocket"', '"webzocket"'))
    assert "pathz" in bad.stderr and "webzocket" in bad.stderr
    # with the byte order mark that some editors write
    assert check("\ufeff" + good).returncode == 0
    (folder / "c.yaml").write_text(good, encoding="utf-16")
    bad = check_file(folder / "c.yaml")
    assert bad.returncode == 78 and "save it as UTF-8" in bad.stderr


def check_file(path, binary="routerd/routerd"):
    return subprocess.run([*tsan_prefix(), BUILD / binary, "--check", path], capture_output=True, text=True)


def test_check_and_the_log_warn_of_what_any_web_page_could_use(start_routerd):
    """The tests' configuration gives this warning and no other."""
    routerd = start_routerd(router_config(cryptosign=False))
    checked = check_file(Path(routerd.cwd) / "routerd.yaml")
    assert checked.returncode == 0
    warning, = checked.stderr.splitlines()
    assert "warning: any web page can connect to this transport as an anonymous client" in warning
    assert routerd.log().count("warn  routerd.yaml:") == 1
    assert warning.split("warning: ")[1] in routerd.log()


def test_check_of_the_examples_finds_nothing():
    for name, binary in ("etc/examples/routerd.yaml", "routerd/routerd"), ("etc/demo/routerd.yaml", "routerd/routerd"), \
            ("etc/demo/authd.yaml", "authd/authd"):
        checked = check_file(ROOT / name, binary)
        assert (checked.returncode, checked.stderr) == (0, "")


@both
def test_ipv6_and_unix_listeners(start_routerd, connect):
    config = router_config(threads=4, cryptosign=False)
    tcp = config["transports"][0]
    config["transports"] += [
        {**tcp, "id": "six", "endpoint": {"type": "tcp", "port": free_port(), "interface": "::1"}},
        {**tcp, "id": "local", "endpoint": {"type": "unix", "path": "local.sock"}},
    ]
    if not socket.has_ipv6 or not _has_loopback6():
        del config["transports"][1]
    routerd = start_routerd(config)
    clients = [connect(routerd, "cbor", listener=n) for n in range(len(config["transports"]))]
    for client in clients:
        client.join()
    subscriptions = [c.subscribe("com.example.t") for c in clients]
    clients[0].publish("com.example.t", [1], acknowledge=True, exclude_me=False)
    for client, subscription in zip(clients, subscriptions):
        assert client.event(subscription) == ([1], {})
    assert clients[-1].details["authextra"]["x_cb_peer"].startswith("unix")
    # a second start replaces the socket file of a process that was killed
    routerd.kill()
    routerd.start()
    connect(routerd, listener=-1).join()


def _has_loopback6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False
