# SPDX-License-Identifier: Apache-2.0
"""wampbench finds errors: a proxy between it and relay spoils one message.

A router's figure is worth nothing unless wampbench notices a lost, doubled, reordered or changed
message.
"""

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from servers import BUILD, Relay

BUFFER = 65536


@pytest.fixture
def relay():
    with Relay(0) as server:
        yield server


def wampbench(mode, *args):
    done = subprocess.run([BUILD / "bench/wampbench", mode, *map(str, args), "--json"],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout), done.stderr


class Proxy:
    """Forwards RawSocket with JSON. Replaces the third message of a type by fault(frame)."""

    def __init__(self, to, kind, fault):
        self.to, self.kind, self.fault = to, kind, fault
        self.seen = 0
        self.held = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            router = socket.create_connection(("127.0.0.1", self.to))
            self.sockets += [client, router]
            threading.Thread(target=self.pump, args=(client, router, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(router, client, True), daemon=True).start()

    def pump(self, source, sink, judged):
        data = b""
        try:
            sink.sendall(source.recv(4))  # the handshake
            while True:
                got = source.recv(BUFFER)
                if not got:
                    break
                data += got
                while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big"):
                    length = 4 + int.from_bytes(data[1:4], "big")
                    frame, data = data[:length], data[length:]
                    sink.sendall(self.spoil(frame) if judged else frame)
        except OSError:
            pass
        for s in (source, sink):
            s.close()

    def spoil(self, frame):
        if not frame[4:].startswith(b"[%d," % self.kind):
            return frame
        self.seen += 1
        if self.seen == 3:
            return self.fault(self, frame)
        if self.held:
            frame, self.held = frame + self.held, b""
        return frame

    def close(self):
        for s in [self.listener, *self.sockets]:
            s.close()


def dropped(proxy, frame):
    return b""


def doubled(proxy, frame):
    return frame + frame


def swapped(proxy, frame):
    """Swaps the frame with the next one."""
    proxy.held = frame
    return b""


def changed(proxy, frame):
    """Changes one letter of the filler at the end of the payload."""
    return frame[:-4] + b"!" + frame[-3:]


def foreign(proxy, frame):
    """Changes the id of the subscription, registration or request."""
    head, comma, rest = frame[4:].partition(b",")
    return frame[:4] + head + comma + bytes([rest[0] ^ 1]) + rest[1:]


def malformed(proxy, frame):
    return frame[:-1] + b"x"


EVENT, RESULT, INVOCATION = 36, 50, 68
FAULTS = {
    (EVENT, dropped): ("lost", "reordered"),
    (EVENT, doubled): ("doubled",),
    (EVENT, swapped): ("reordered", "doubled"),
    (EVENT, changed): ("wrong",),
    (EVENT, foreign): ("wrong",),
    (EVENT, malformed): ("wrong",),
    (RESULT, dropped): ("lost",),
    (RESULT, doubled): ("doubled",),
    (RESULT, changed): ("wrong",),
    (RESULT, foreign): ("wrong",),
    (INVOCATION, dropped): ("lost",),
    (INVOCATION, doubled): ("doubled",),
    (INVOCATION, swapped): ("reordered",),
    (INVOCATION, changed): ("wrong",),
}


@pytest.mark.parametrize("kind, fault", FAULTS, ids=lambda v: v.__name__ if callable(v) else str(v))
def test_a_spoiled_message_is_found(relay, kind, fault):
    proxy = Proxy(relay.raw_port, kind, fault)
    mode = ["pubsub", "--receivers", 2] if kind == EVENT else ["rpc"]
    try:
        status, result, stderr = wampbench(
            *mode, "--tcp", f"127.0.0.1:{proxy.port}", "--framing", "rawsocket", "--serializer", "json",
            "--window", 4, "--size", 40, "--count", 20, "--deadline", 0.5)
    finally:
        proxy.close()
    assert proxy.seen >= 3
    assert status == 1
    assert any(result[k] > 0 for k in FAULTS[kind, fault]), (result, stderr)


@pytest.mark.parametrize("transport", ["ws-tcp", "raw-tcp", "raw-unix"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("size", [16, 300, 70000])
def test_a_good_router_passes(relay, transport, serializer, size):
    where = [*relay.where(transport), "--serializer", serializer, "--size", size, "--count", 200]
    for mode in (["rpc", "--senders", 2, "--window", 3, "--receivers", 3],
                 ["pubsub", "--senders", 2, "--window", 3, "--receivers", 7, "--receiver-serializers",
                  "json,msgpack,cbor"],
                 ["pubsub", "--rate", 2000, "--senders", 2]):
        status, result, stderr = wampbench(*mode, *where)
        assert status == 0, (result, stderr)
        assert result["total"] == result["messages"] > 0


@pytest.mark.parametrize("mode", ["login", "idle", "storm"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_sessions(relay, mode, serializer):
    status, result, stderr = wampbench(
        mode, *relay.where("ws-tcp"), *relay.login(), "--serializer", serializer, "--count", 100,
        "--window", 10, "--seconds", 0.1, "--warmup", 0, "--first-delay", 0.05)
    assert status == 0, (result, stderr)
    assert result["total"] >= 100


def test_a_router_that_goes_away_is_a_failure(relay):
    bench = subprocess.Popen(
        [BUILD / "bench/wampbench", "rpc", *relay.where("ws-tcp"), "--seconds", "30", "--deadline", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert bench.poll() is None
    relay.processes[0].kill()
    bench.communicate(timeout=20)
    assert bench.returncode == 1


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    status, result, _ = wampbench("login", "--tcp", f"127.0.0.1:{port}", "--count", 1, "--deadline", 1)
    assert status == 1 and not result["finished"]


def cpu_seconds(pid):
    """From /proc/PID/stat, in ticks of 10 ms; wampbench reads another file."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_cpu_time_is_the_kernels(relay):
    pid = relay.pids[0]
    before = cpu_seconds(pid)
    status, result, stderr = wampbench("rpc", *relay.where("raw-unix"), "--window", 32, "--warmup", 0,
                                       "--seconds", 1, "--router-pid", pid)
    spent = cpu_seconds(pid) - before
    assert status == 0, stderr
    told = result["router_us"][0] * result["messages"] / 1e6
    assert spent > 0.1
    assert told == pytest.approx(spent, rel=0.2)
