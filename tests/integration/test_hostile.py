# SPDX-License-Identifier: Apache-2.0
"""Random damage to valid traffic: the router survives, and other clients do not notice.

The seeds are fixed, so that a failure can be repeated.
"""

import random
import socket
import struct

import pytest
from rawclient import BINARY, TEXT, TRANSPORTS, Closed, WampError, encode, frame

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

MESSAGES = [
    [32, 1, {}, "com.example.t"], [34, 2, 1], [16, 3, {"acknowledge": True}, "com.example.t", [1, "x"], {"k": 2.5}],
    [64, 4, {}, "com.example.p"], [66, 5, 1], [48, 6, {}, "com.example.p", [None, True, -1, 2**40, b"\x00\xff"]],
    [70, 1, {}, [{"deep": [[[1]]]}]], [8, 68, 1, {}, "com.example.e", ["x"]], [6, {}, "wamp.close.normal"],
    [16, 7, {"exclude_me": False}, "com.example.t", ["y" * 300]], [49, 6, {}],
]


def damaged(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(5)
        at = rng.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
        elif kind == 2:
            del data[at:at + rng.randint(1, 8)]
        elif kind == 3:
            data[at:at] = data[rng.randrange(len(data) + 1):]
        elif data:
            data[at % len(data)] = rng.choice([0, 0x7f, 0x80, 0xc1, 0xdf, 0xff, 0x1f, 0x9f])
        data = data[:60000]
    return bytes(data)


@pytest.fixture
def bystander(routerd, join):
    """A client whose session must still work at the end."""
    client = join(routerd, "cbor")
    client.register("com.bystander.echo", lambda a, k: (a, k))
    yield client
    while client.inbox:
        client.inbox.popleft()
    assert client.call("com.bystander.echo", ["alive"]) == (["alive"], {})


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor", "cbor.batched"])
def test_damaged_messages(routerd, bystander, connect, serializer):
    rng = random.Random(serializer)
    for _ in range(150):
        client = connect(routerd, serializer)
        if rng.random() < 0.9:
            client.join()
        for _ in range(rng.randint(1, 10)):
            payload = client.pack(rng.choice(MESSAGES))
            if rng.random() < 0.5:
                payload = damaged(rng, payload)
            client.send_frame(client.opcode, payload)
        client.close_socket()


def some_frame(rng, transport, payload):
    """A frame of a random type, mostly correct."""
    if transport == "rawsocket":
        return struct.pack("!I", rng.choice([0, 0, 0, 1, 2, 3, 8, 16]) << 24 | len(payload)) + payload
    return frame(rng.choice([0, TEXT, TEXT, TEXT, BINARY, 3, 8, 9, 10, 11]), payload,
                 fin=rng.random() < 0.8, mask=rng.random() < 0.95)


def test_damaged_frames(routerd, bystander, connect, transport):
    rng = random.Random(2)
    for _ in range(300):
        client = connect(routerd, "json")
        client.join()
        stream = b"".join(some_frame(rng, transport, encode("json", rng.choice(MESSAGES)))
                          for _ in range(rng.randint(1, 6)))
        stream = damaged(rng, stream)
        while stream:
            cut = rng.randint(1, len(stream))
            client.send_bytes(stream[:cut])
            stream = stream[cut:]
        client.close_socket()


REQUESTS = {
    "websocket": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                 b"Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n",
    "rawsocket": b"\x7f\xf1\0\0" + struct.pack("!I", 16) + b'[1,"devices",{}]',
}


def test_damaged_requests(routerd, bystander, transport):
    rng = random.Random(3)
    for _ in range(400):
        s = socket.create_connection(("127.0.0.1", routerd.port()), 10)
        try:
            s.sendall(damaged(rng, REQUESTS[transport]))
            if rng.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
        except ConnectionError:
            pass
        s.close()


def test_honest_answers_to_a_flood_of_refusals(routerd, bystander, join):
    """Thousands of errors in one write: each request gets one answer."""
    client = join(routerd, "msgpack.batched")
    first = client.request + 1
    for _ in range(10):
        client.send(*[[48, client.next_request(), {}, "com.example.nobody"] for _ in range(500)])
    seen = set()
    for _ in range(5000):
        message = client.expect(8)
        assert message[1] == 48 and message[2] not in seen
        seen.add(message[2])
    assert seen == set(range(first, first + 5000))
    with pytest.raises((WampError, Closed)):
        client.call("com.example.nobody")
