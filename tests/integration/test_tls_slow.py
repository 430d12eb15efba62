# SPDX-License-Identifier: Apache-2.0
"""TLS clients that stop reading, or that send in odd pieces: nothing is lost, and memory is bounded."""

import hashlib
import os
import socket
import ssl

import pytest
import rawclient
from certificates import authority, open_tls, tls_config, tls_routerd  # noqa: F401
from rawclient import CALL, EVENT, RESULT
from tlsrecords import Forger
from utils import SLOW, wait_for

KIB, MIB = 1024, 1024 * 1024
SESSION = (16 if ssl.OPENSSL_VERSION_INFO < (3, 5) else 32) * KIB  # what routerd counts for TLS
LEFT_MAX = 64 * KIB  # records that the kernel has not taken, for each client

FRAMINGS = pytest.mark.parametrize("framing", [rawclient.Ws, rawclient.RawSocket])


def queued(routerd):
    """What counts against queued_total, without TLS sessions."""
    counters = routerd.counters()
    return sum(c["queued_bytes"] - c["connections"] * SESSION for c in counters)


def stop_reading(client, at_least):
    """Reads the beginning of the next message, and leaves it in the client's buffer."""
    parts = [client.buffer]
    while sum(map(len, parts)) < at_least:
        parts.append(client.socket.recv(64 * KIB))
    client.buffer = b"".join(parts)


@FRAMINGS
def test_a_reader_that_stops_within_a_message(start_routerd, authority, open_tls, threads, framing):
    config = tls_config(authority, threads=threads, cryptosign=False, limits={"queue_size": 32 * MIB})
    config["transports"][0]["options"] = {"max_message_size": 16 * MIB}
    routerd = start_routerd(config)
    reader, publisher, other = (open_tls(routerd, framing, "msgpack", timeout=30) for _ in range(3))
    for client in reader, publisher, other:
        client.join()
    subscription = reader.subscribe("com.example.topic")
    # nearly the longest message that there can be
    data = os.urandom(16 * MIB - 100)
    publisher.publish("com.example.topic", [data], acknowledge=True)
    stop_reading(reader, MIB)
    for number in range(50):
        publisher.publish("com.example.topic", [number], acknowledge=True)
        assert other.call("wamp.session.count") == ([3], {})
    # all of the message and the other events still count
    assert 16 * MIB < queued(routerd) < 16 * MIB + LEFT_MAX + 100 * KIB
    event = reader.expect(EVENT, subscription)
    assert hashlib.sha256(event[4][0]).digest() == hashlib.sha256(data).digest()
    for number in range(50):
        assert reader.event(subscription) == ([number], {})
    assert queued(routerd) == 0


READERS, EVENTS, SIZE = 200, 8, 128 * KIB


@pytest.fixture
def slow_readers(authority, open_tls):
    """slow_readers(routerd) -> subscribers for whom the kernel keeps little."""
    context = authority.trust()

    def connect(address):
        s = socket.socket()
        # on the loopback interface a socket of long segments takes 2 MiB at once
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KIB)
        s.settimeout(30 * SLOW)
        s.connect((address["host"], address["port"]))
        return s

    def go(routerd):
        readers = []
        for _ in range(READERS):
            reader = open_tls(routerd, rawclient.RawSocket, "msgpack", context=context, timeout=30,
                              connected=connect(routerd.address()))
            reader.join()
            reader.subscription = reader.subscribe("com.example.topic")
            readers.append(reader)
        return readers

    return go


def publish_all(publisher):
    sent = [os.urandom(SIZE) for _ in range(EVENTS)]
    for data in sent:
        publisher.publish("com.example.topic", [data], acknowledge=True)
    return sent


def received(reader):
    return [reader.event(reader.subscription)[0][0] for _ in range(EVENTS)]


def test_slow_readers_of_one_fan_out(start_routerd, authority, open_tls, slow_readers, threads):
    routerd = start_routerd(tls_config(authority, threads=threads, cryptosign=False))
    publisher = open_tls(routerd, rawclient.RawSocket, "msgpack", timeout=30)
    publisher.join()
    readers = slow_readers(routerd)
    rss = routerd.rss()
    sent = publish_all(publisher)
    wait_for(lambda: routerd.total("events_delivered") == READERS * EVENTS, "all events to be queued", 30)
    # each worker has one copy of an event for all its readers
    copies = threads * EVENTS * SIZE
    # the kernel may take one or two events of each reader
    assert copies * 3 // 4 < queued(routerd) < copies + READERS * LEFT_MAX
    if SLOW == 2:  # sanitizers and valgrind need more
        assert routerd.rss() - rss < copies + READERS * LEFT_MAX
    for reader in readers:
        assert received(reader) == sent
    assert queued(routerd) == 0
    assert routerd.total("connections") == READERS + 1


def test_slow_readers_beyond_the_budget(start_routerd, authority, open_tls, slow_readers, threads):
    """Some readers must go, until the others fit."""
    total = threads * EVENTS * SIZE + READERS * (SESSION + 8 * KIB)
    routerd = start_routerd(tls_config(authority, threads=threads, cryptosign=False, limits={"queued_total": total}))
    publisher = open_tls(routerd, rawclient.RawSocket, "msgpack", timeout=30)
    publisher.join()
    readers = slow_readers(routerd)
    sent = publish_all(publisher)
    wait_for(lambda: routerd.total("closed_over_output_budget") > 0, "readers to be closed", 30)
    assert all(c["queued_bytes"] <= total // threads for c in routerd.counters())
    closed = 0
    for reader in readers:
        try:
            assert received(reader) == sent
        except rawclient.Closed:
            closed += 1
    assert 0 < closed == routerd.total("closed_over_output_budget") < READERS
    assert queued(routerd) == 0


def test_silent_clients_leave_room_for_a_slow_reader(start_routerd, authority, open_tls):
    """They need no login, so they must not take all of queued_total from those that have one."""
    routerd = start_routerd(tls_config(authority, cryptosign=False, limits={"queued_total": 4 * MIB}))
    publisher, reader = (open_tls(routerd, rawclient.RawSocket, "msgpack", timeout=30) for _ in range(2))
    publisher.join()
    reader.join()
    subscription = reader.subscribe("com.example.slow")
    silent = [socket.create_connection((routerd.address()["host"], routerd.port())) for _ in range(4 * MIB // SESSION)]
    wait_for(lambda: routerd.total("connections") + routerd.total("tls_refused") == len(silent) + 2, "all clients")
    assert routerd.total("tls_refused") > 0
    count = 0
    while queued(routerd) < MIB // 2 and routerd.total("closed_over_output_budget") == 0:
        publisher.publish("com.example.slow", ["x" * 100 * KIB], acknowledge=True)
        count += 1
    assert routerd.total("closed_over_output_budget") == 0
    for _ in range(count):
        reader.event(subscription)
    for client in silent:
        client.close()


@pytest.mark.parametrize("piece", [None, 1], ids=["one segment", "single octets"])
def test_records_in_any_pieces(tls_routerd, authority, open_tls, piece):
    """Five records of 40 calls each, and then silence: each call is answered, and so no message waits inside
    of TLS for a further octet."""
    client = open_tls(tls_routerd, rawclient.RawSocket, context=Forger(authority, ssl.TLSVersion.TLSv1_3))
    client.join()
    records = []
    client.socket.send_record = records.append
    for record in range(5):
        client.send(*([CALL, record * 40 + i, {}, "wamp.session.count"] for i in range(1, 41)))
    assert len(records) == 5
    data = b"".join(records)
    step = piece or len(data)
    for at in range(0, len(data), step):
        client.socket.raw.sendall(data[at:at + step])
    for request in range(1, 201):
        assert client.recv()[:2] == [RESULT, request]
