# SPDX-License-Identifier: Apache-2.0
"""WebSocket and HTTP below WAMP, with an echo server that consists of net/ alone."""

import http.client
import json
import os
import random
import signal
import re
import resource
import socket
import subprocess
import time

import pytest
from rawclient import BINARY, PING, PONG, TEXT, Closed, Refused, Ws, frame
from utils import BUILD, IS_TSAN, ROOT, SLOW, WRAP, Daemon, tsan_prefix, wait_for

pytestmark = pytest.mark.one_worker

MIB = 1 << 20

# sections 1 to 7, 9 and 10 of the Autobahn TestSuite
CASES = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}

KOSOKU = ROOT / "build/venv/bin/kosoku"


class Echo(Daemon):
    def __init__(self, folder, *args, name="echo", **kw):
        super().__init__(name, [*tsan_prefix(), BUILD / "tools/echo", *args], folder, **kw)

    @property
    def port(self):
        return int(re.search(r"ready address=tcp4:[\d.]+:(\d+)", self.log(since_start=True))[1])

    def counters(self):
        """The counters that the server prints when it ends."""
        return {name: int(n) for name, n in re.findall(r"^(\w+) (\d+)$", self.log(), re.M)}


@pytest.fixture
def start_echo(daemons, folder):
    def start(*args, **kw):
        echo = Echo(folder, *[str(a) for a in args], **kw)
        daemons.append(echo)
        return echo.start()

    return start


@pytest.fixture
def echo(start_echo):
    return start_echo()


def connect(echo, **kw):
    return Ws(echo.port, protocols=("echo",), **kw)


# --- conformance ----------------------------------------------------------------------------


def test_autobahn_testsuite(echo, folder):
    sections = "[1-7].*", "9.*", "10.*"
    argv = [str(KOSOKU), "-m", "fuzzingclient", "-p", "4", "-o", str(folder)]
    for section in sections:
        argv += ["-i", section]
    subprocess.run([*argv, f"127.0.0.1:{echo.port}"], check=False, capture_output=True,
                   timeout=60 * SLOW)
    (results,) = json.loads((folder / "index.json").read_text()).values()
    found = {}
    bad = {}
    for case, result in results.items():
        section = case.split(".")[0]
        found[section] = found.get(section, 0) + 1
        verdicts = {result["behavior"], result["behaviorClose"]}
        if not verdicts <= {"OK", "INFORMATIONAL"}:
            bad[case] = verdicts
    assert not bad
    assert found == CASES
    echo.stop()
    counters = echo.counters()
    assert counters["connections_upgraded"] == counters["connections_freed"] == sum(CASES.values())


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, MIB + 1, 16 * MIB])
def test_echo_of_every_length(echo, size):
    ws = connect(echo)
    payload = random.Random(size).randbytes(size)
    ws.send_frame(BINARY, payload)
    assert ws.recv_message() == (BINARY, payload)
    assert ws.close() == 1000


def test_one_byte_more_than_16_mib_is_too_much(echo):
    ws = connect(echo)
    # the header alone is refused: no payload follows
    ws.send_bytes(b"\x82\xff" + (16 * MIB + 1).to_bytes(8, "big") + b"abcdx")
    assert ws.wait_closed() == (1009, [])


def test_many_messages_in_pieces_of_any_size(echo):
    """Fragments and control frames, cut at random places by TCP."""
    rng = random.Random(1)
    ws = connect(echo)
    stream, expected = b"", []
    for i in range(300):
        payload = bytes(rng.choices(b"abc", k=rng.choice([0, 1, 50, 200, 5000])))
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.randrange(4)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)])]
        for n, part in enumerate(parts):
            stream += frame(TEXT if n == 0 else 0, part, fin=n == len(parts) - 1)
            if rng.random() < 0.2:
                stream += frame(PING, b"p%d" % i)
        expected.append(payload)
    got = []
    while stream:
        size = rng.choice([1, 3, 100, 10000])
        ws.send_bytes(stream[:size])
        stream = stream[size:]
    while len(got) < len(expected):
        opcode, _, payload = ws.recv_frame()
        if opcode == TEXT:
            got.append(payload)
        else:
            assert opcode == PONG
    assert got == expected
    assert ws.close() == 1000


# --- other protocols ------------------------------------------------------------------------


def test_random_bytes_hurt_nobody(echo):
    rng = random.Random(2)
    good = connect(echo)
    for i in range(200):
        ws = Ws(echo.port, protocols=None) if i % 2 else connect(echo)
        ws.send_bytes(rng.randbytes(rng.randrange(1, 400)))
        if i % 3 == 0:
            ws.socket.shutdown(socket.SHUT_WR)
            ws.wait_eof()
        ws.close_socket()
        good.send_frame(TEXT, b"still there %d" % i)
        assert good.recv_message() == (TEXT, b"still there %d" % i)
    assert good.close() == 1000


@pytest.mark.parametrize("greeting", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"\x7f\xf1\x00\x00",  # RawSocket
    b"\x00",
    b"\r\n",
])
def test_other_protocols_are_told_at_once(echo, greeting):
    ws = Ws(echo.port, protocols=None)
    ws.send_bytes(greeting)
    status, headers = ws.read_http_head()
    assert status == 400
    ws.read_http_body(headers)
    ws.wait_eof()


def test_the_answer_arrives_although_more_was_sent(echo):
    """To close with unread input would send a RST, which could destroy the answer."""
    ws = Ws(echo.port, protocols=None)
    ws.send_bytes(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 500000)
    status, headers = ws.read_http_head()
    assert status == 405
    assert headers["allow"] == "GET, HEAD"
    assert len(ws.read_http_body(headers)) == int(headers["content-length"])

    ws = connect(echo)
    ws.send_bytes(frame(TEXT, b"\xff") + frame(BINARY, b"x" * 500000))
    assert ws.wait_closed() == (1007, [])


def test_a_browser_gets_a_page(echo):
    for method, path, status in ("GET", "/", 200), ("HEAD", "/ws?x", 200), ("GET", "/favicon.ico", 404):
        connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=5 * SLOW)
        connection.request(method, path)
        answer = connection.getresponse()
        assert answer.status == status
        body = answer.read()
        assert (b"echo server" in body) == (method == "GET" and status == 200)
        assert (b"Paths that exist: /, /ws" in body) == (status == 404)
        assert answer.headers["connection"] == "close"
        connection.close()


def test_refusals(echo):
    for headers, protocols, path, status in (
        ({"Origin": "http://evil.example"}, ("echo",), "/ws", 403),
        ({}, ("refuse",), "/ws", 400),
        ({}, ("echo",), "/elsewhere", 404),
        ({"Sec-WebSocket-Version": "8"}, ("echo",), "/ws", 426),
        ({"Upgrade": "h2c"}, ("echo",), "/ws", 426),
    ):
        with pytest.raises(Refused) as refused:
            Ws(echo.port, protocols=protocols, headers=headers, path=path)
        assert refused.value.status == status
        assert refused.value.body
    ws = connect(echo, headers={"Origin": "http://a.example.com"})
    assert ws.protocol == "echo"


# --- limits and deadlines -------------------------------------------------------------------


def test_a_flood_of_pings_without_reading_the_pongs(start_echo):
    echo = start_echo("--queue", MIB)
    ws = connect(echo)
    pings = frame(PING, b"x" * 125) * 1000
    ws.socket.settimeout(30 * SLOW)
    with pytest.raises(ConnectionError):
        while True:
            ws.socket.sendall(pings)
    echo.wait_log('connection closed reason="slow consumer" listener=[a-z]+ peer=tcp4:127')
    if not WRAP and not IS_TSAN:
        assert echo.rss() < 100 * MIB * SLOW


def test_a_slow_reader_gets_everything_in_the_end(echo):
    ws = connect(echo)
    payload = os.urandom(MIB)
    for i in range(20):
        ws.send_frame(BINARY, payload)
    for i in range(20):
        assert ws.recv_message() == (BINARY, payload)


def test_pings_and_silence(start_echo):
    echo = start_echo("--ping", 300)
    ws = connect(echo)
    ws.send_frame(TEXT, b"established")
    assert ws.recv_frame()[0] == TEXT
    for _ in range(3):
        opcode, _, payload = ws.recv_frame()
        assert opcode == PING
        ws.send_frame(PONG, payload)
    assert ws.recv_frame()[0] == PING
    with pytest.raises(Closed) as closed:
        ws.recv_frame()
    assert closed.value.code is None
    echo.wait_log("ping timeout")


def test_a_handshake_has_one_deadline(start_echo):
    echo = start_echo("--handshake", 500)
    start = time.monotonic()
    silent = Ws(echo.port, protocols=None)
    upgraded = connect(echo)
    silent.wait_eof()
    upgraded.expect_dropped()
    assert 0.4 < time.monotonic() - start < 3 * SLOW


def test_connection_limit(start_echo):
    echo = start_echo("--max-connections", 3)
    inside = [connect(echo) for _ in range(3)]
    refused = Ws(echo.port, protocols=None)
    refused.wait_eof()
    assert inside[0].close() == 1000
    inside[0].close_socket()

    def free():
        try:
            return connect(echo)
        except Closed:
            return None

    wait_for(free, "a place")
    echo.wait_log("connection refused")


def test_no_descriptors_left_is_no_spin(start_echo):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))

    echo = start_echo(limits=few)
    first = connect(echo)
    sockets = [socket.create_connection(("127.0.0.1", echo.port), 5 * SLOW) for _ in range(60)]
    echo.wait_log('cannot accept connections reason=".+" retry_ms=')
    cpu, start = echo.cpu(), time.monotonic()
    # the interval of the measurement, with the other clients still served
    while time.monotonic() - start < 1:
        first.send_frame(TEXT, b"x")
        assert first.recv_message() == (TEXT, b"x")
        time.sleep(0.05)
    assert echo.cpu() - cpu < 0.2 * SLOW
    for s in sockets:
        s.close()
    late = connect(echo)
    assert late.close() == 1000


def test_connections_come_and_go(echo):
    """Connections end in every way and leave nothing behind."""
    first = connect(echo)
    fds = echo.fds()
    for i in range(500):
        ws = connect(echo)
        ways = i % 5
        if ways == 0:
            assert ws.close() == 1000
        elif ways == 1:
            ws.send_bytes(b"\x82\xff\0\0\0\0\0\x10\0\0abcd" + b"x" * 5000)
        elif ways == 2:
            ws.send_frame(TEXT, b"\xff")
        elif ways == 3:
            ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        ws.close_socket()
    wait_for(lambda: echo.fds() == fds, "all to be gone")
    first.send_frame(TEXT, b"x")
    assert first.recv_message() == (TEXT, b"x")


# --- listening and stopping -----------------------------------------------------------------


def test_an_occupied_port_is_named(echo, folder):
    argv = [*tsan_prefix(), BUILD / "tools/echo", "--port", str(echo.port)]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=10 * SLOW)
    assert second.returncode == 1
    assert f"port={echo.port}" in second.stderr
    assert "another process listens there" in second.stderr


def test_unix_socket(start_echo, folder):
    path = folder / "echo.sock"
    # replaces the file that a killed process left behind
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    echo = start_echo("--unix", path)
    assert path.stat().st_mode & 0o777 == 0o600
    ws = Ws(0, protocols=("echo",), unix=path)
    ws.send_frame(TEXT, b"x")
    assert ws.recv_message() == (TEXT, b"x")
    echo.stop()
    assert not path.exists()


def test_a_file_in_the_way_is_left_alone(folder):
    path = folder / "echo.sock"
    path.write_text("precious")
    run = subprocess.run([*tsan_prefix(), BUILD / "tools/echo", "--unix", path],
                         capture_output=True, text=True, timeout=10 * SLOW)
    assert run.returncode == 1
    assert str(path) in run.stderr
    assert path.read_text() == "precious"


def test_sigterm(echo):
    joined, early = connect(echo), Ws(echo.port, protocols=None)
    early.send_bytes(b"GET /")
    joined.send_frame(TEXT, b"x")
    assert joined.recv_message() == (TEXT, b"x")
    wait_for(lambda: echo.fds() >= 2, "both to be accepted")
    echo.signal(signal.SIGTERM)
    assert joined.wait_closed()[0] == 1012
    joined.close_socket()
    assert early.read_http_head()[0] == 503
    early.close_socket()
    echo.stop()
