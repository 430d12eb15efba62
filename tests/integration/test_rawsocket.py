# SPDX-License-Identifier: Apache-2.0
"""RawSocket: handshake, frames and limits; and WAMP over it, also together with WebSocket."""

import struct

import peers
import pytest
import utils
import values
from authenticator import Authenticator, Deny, principal
from rawclient import ABORT, GOODBYE, PING, PONG, Aborted, Client, RawSocket, Refused, WampError, Ws
from utils import wait_for

SERIALIZERS = ["json", "msgpack", "cbor"]


@pytest.fixture
def router(start_routerd, start_authd, threads, known_key):
    """One TCP port for both framings, and Unix sockets for RawSocket."""
    start_authd().add("client01@example.com", known_key, extra={"foo": 23})
    config = utils.router_config(threads=threads)
    tcp = config["transports"][0]
    tcp["type"] = "universal"
    for name, options in {"raw": {}, "small": {"max_message_size": 100000}}.items():
        config["transports"].append({"type": "rawsocket", "id": name, "options": options, "auth": tcp["auth"],
                                     "endpoint": {"type": "unix", "path": f"{name}.sock"}})
    return start_routerd(config)


@pytest.fixture
def raw(router, clients):
    """raw("cbor") -> a RawSocket client over TCP, or over a Unix socket with unix="raw" or unix="small"."""

    def connect(serializer="json", unix=None, **kw):
        if unix:
            kw["unix"] = router.cwd / f"{unix}.sock"
        client = Client(router.port(), serializer, transport=RawSocket, **kw)
        clients.append(client)
        return client

    return connect


@pytest.fixture
def ws(router, clients):
    def connect(serializer="json"):
        client = Client(router.port(), serializer)
        clients.append(client)
        return client

    return connect


@pytest.mark.parametrize("unix", [None, "raw"], ids=["tcp", "unix"])
def test_calls_and_events_between_both_framings(router, raw, ws, unix):
    sent = values.COMMON + values.BINARY + values.EXACT
    members = [raw(s, unix=unix) for s in SERIALIZERS] + [ws(s) for s in [*SERIALIZERS, "cbor.batched"]]
    for n, client in enumerate(members):
        client.join("devices")
        client.register(f"com.example.echo{n}", lambda args, kwargs: (args, kwargs))
        client.topic = client.subscribe("com.example.topic")
    for caller in members:
        for n, callee in enumerate(members):
            args, kwargs = caller.call(f"com.example.echo{n}", sent, {"k": "v"}, callee=callee)
            values.check(sent, args, "call")
            assert kwargs == {"k": "v"}
        caller.publish("com.example.topic", sent, {"k": "v"}, acknowledge=True)
        for other in members:
            if other is not caller:
                args, kwargs = other.event(other.topic)
                values.check(sent, args, "event")
    router.check_threads()


@pytest.mark.parametrize("unix", [None, "raw"], ids=["tcp", "unix"])
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_cryptosign(raw, known_key, serializer, unix):
    details = raw(serializer, unix=unix).join(realm=None, key=known_key)
    assert details["authid"] == "client01@example.com"
    assert details["authextra"]["x_cb_peer"].startswith("unix" if unix else "tcp4:127.0.0.1:")


def test_handshake_errors(router, clients):
    def refused(hello):
        with pytest.raises(Refused) as error:
            clients.append(RawSocket(router.port(), hello=bytes(hello)))
        return error.value.status

    assert refused([0x7f, 0xf5, 0, 0]) == 1  # FlatBuffers
    assert refused([0x7f, 0xf0, 0, 0]) == 1
    assert refused([0x7f, 0x01, 0, 0]) == 2  # 512 bytes, too short for a WELCOME
    assert refused([0x7f, 0xf1, 0, 1]) == 3
    assert refused([0x7f, 0xf1, 0x80, 0]) == 3
    wait_for(lambda: router.total("closed_handshake_refused") == 5, "their connections to end")


def test_too_many_connections(start_routerd, clients, folder):
    config = utils.router_config(cryptosign=False)
    config["transports"][0]["options"] = {"max_connections": 1}
    utils.change_transport(config, "rawsocket")
    router = start_routerd(config)
    first = Client(router.port(), transport=RawSocket)
    clients.append(first)
    first.join("devices")
    for _ in range(20):
        with pytest.raises(Refused) as error:
            RawSocket(router.port())
        assert error.value.status == 4
    first.publish("a.b", acknowledge=True)


def test_byte_by_byte(raw):
    client = raw("cbor")
    client.join("devices")
    payload = client.pack([48, 7, {}, "com.example.nobody"])
    for byte in struct.pack("!I", len(payload)) + payload:
        client.send_bytes(bytes([byte]))
    answer = client.recv()
    assert answer[:3] == [8, 48, 7] and answer[4] == "wamp.error.no_such_procedure"


def test_ping_is_answered_with_the_same_payload(raw):
    client = raw()
    for payload in [b"", b"x", b"y" * 60000]:
        client.send_frame(PING, payload)
        assert client.recv_frame() == (PONG, True, payload)
    client.send_frame(PONG, b"unasked")
    assert client.join("devices")


def test_pings_without_reading(router, raw):
    """A client that sends the longest pings and does not read the pongs is closed; the router's
    memory stays bounded."""
    flood, other = raw("cbor"), raw()
    flood.join("devices")
    other.join("devices")
    before = router.rss()
    for _ in range(100):
        flood.send_frame(PING, bytes(flood.router_max))
    wait_for(lambda: router.total("closed_slow_consumer") == 1, "the flood to be closed")
    assert router.rss() - before < 32 * 1024 * 1024 * utils.SLOW
    other.publish("a.b", acknowledge=True)


@pytest.mark.parametrize("frame,why", [
    (b"\x03\0\0\0", "reserved frame type"), (b"\x07\0\0\1x", "reserved frame type"),
    (b"\x10\0\0\0", "reserved bit is set"), (b"\x08\0\0\1x", "frame length is invalid"),
], ids=["type 3", "type 7", "reserved bit", "length bit and length"])
def test_frames_that_are_none(router, raw, frame, why):
    good, bad = raw(), raw()
    good.join("devices")
    bad.join("devices")
    bad.send_bytes(frame)
    bad.wait_eof()
    good.publish("a.b", acknowledge=True)
    assert router.total("closed_protocol_error") == 1
    router.wait_log(f'protocol error reason="{why}" listener=public peer=tcp4:127')


def test_our_limit_is_announced_and_kept(raw):
    client = raw("cbor", unix="small")
    assert client.router_max == 65536  # the largest power of two below 100,000
    client.join("devices")
    client.send_bytes(struct.pack("!I", 65537))
    client.wait_eof()


def test_before_welcome_a_message_has_64_kib(raw):
    client = raw()
    client.send_bytes(struct.pack("!I", 65537))
    client.wait_eof()


def test_what_is_too_long_for_a_client(router, raw, ws):
    """The router respects the client's limit: a result becomes an error, an event is left out and counted."""
    small, large = raw("cbor", length=2), ws("cbor")  # 2 KiB
    small.join("devices")
    large.join("devices")
    small.register("com.example.small", lambda args, kwargs: (args, kwargs))
    topic = small.subscribe("com.example.topic")
    with pytest.raises(WampError) as error:
        large.call("com.example.small", ["x" * 3000])
    assert error.value.uri == "wamp.error.payload_size_exceeded"
    large.register("com.example.large", lambda args, kwargs: (["x" * 3000], {}))
    with pytest.raises(WampError) as error:
        small.call("com.example.large", callee=large)
    assert error.value.uri == "wamp.error.payload_size_exceeded"
    for n, size in enumerate([10, 3000, 11]):
        large.publish("com.example.topic", [n, "x" * size])
    assert [small.event(topic)[0][0] for _ in range(2)] == [0, 2]
    assert router.total("undeliverable") == 3
    for kind, uri in ("INVOCATION", "com.example.small"), ("RESULT", "none"), ("EVENT", "com.example.topic"):
        router.wait_log(f'undeliverable type={kind} uri={uri} reason="the payload is too large for the receiver"')


def test_answers_that_are_too_long_for_a_client(raw):
    """The error comes without its text, so that the client keeps its connection."""
    small, other = raw(length=1), raw()  # 1 KiB
    details = small.join("devices")
    assert details["roles"] == {"broker": {"features": {}}, "dealer": {"features": {}}}, "or WELCOME would be too long"
    other.join("devices")

    def refused(procedure, callee=None):
        with pytest.raises(WampError) as error:
            small.call(procedure, callee=callee)
        return error.value.uri, error.value.args_

    assert refused("a" * 1000) == ("wamp.error.no_such_procedure", [])

    def fail(args, kwargs):
        raise WampError([8, 68, 1, {}, "e" * length, ["x" * 2000]])

    other.register("com.example.fail", fail)
    length = 990
    assert refused("com.example.fail", other) == ("e" * 990, [])
    length = 1020  # too long even alone in a frame
    uri, _ = refused("com.example.fail", other)
    assert uri == "wamp.error.payload_size_exceeded"


@pytest.mark.parametrize("transport", ["rawsocket"], indirect=True)
def test_goodbyes_that_are_too_long_for_a_client(start_routerd, folder, known_key, connect):
    def answer(realm, authid, details):
        if authid == "nobody":
            raise Deny("com.example.denied", "x" * 2000)
        if authid == "rich":
            return principal(known_key, extra={"foo": "x" * 2000})
        return principal(known_key)

    authenticator = Authenticator(folder, answer)
    router = start_routerd()
    with pytest.raises(Aborted) as abort:
        connect(router, length=1).join("devices", key=known_key, authid="nobody")
    assert (abort.value.uri, abort.value.details) == ("com.example.denied", {})
    with pytest.raises(Aborted) as abort:
        connect(router, length=1).join("devices", key=known_key, authid="rich")
    assert abort.value.uri == "wamp.error.authentication_failed"
    router.wait_log("WELCOME cannot be sent to the client: it is longer than the client accepts")
    client = connect(router, length=1)
    client.join("devices", key=known_key)
    authenticator.revoke(message="x" * 2000, authid="client01@example.com")
    assert client.recv() == [GOODBYE, {}, "wamp.close.killed"]
    client.wait_eof()
    authenticator.stop()


def test_a_violation_and_goodbye(raw):
    client = raw("msgpack")
    client.join("devices")
    client.leave()
    assert client.join("devices")
    client.send([2, 1, {}])
    abort = client.recv()
    assert abort[0] == ABORT and abort[2] == "wamp.error.protocol_violation"
    client.wait_eof()


def test_http_on_a_port_for_rawsocket_alone(start_routerd, clients):
    config = utils.router_config(cryptosign=False)
    utils.change_transport(config, "rawsocket")
    router = start_routerd(config)
    stranger = Ws(router.port(), protocols=None)
    clients.append(stranger)
    stranger.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    stranger.wait_eof()
    assert stranger.buffer == b""


def test_rawsocket_on_a_port_for_websocket_alone(start_routerd, clients):
    router = start_routerd(utils.router_config(cryptosign=False))
    stranger = Ws(router.port(), protocols=None)
    clients.append(stranger)
    stranger.send_bytes(b"\x7f\xf1\0\0")
    stranger.wait_eof()
    assert not stranger.buffer.startswith(b"\x7f")


@pytest.mark.parametrize("kind", list(peers.RAWSOCKET))
def test_real_clients_see_the_same_everywhere(router, puppets, known_key, kind):
    """Real clients behave the same over TCP, Unix socket and WebSocket, and reach each other."""
    puppet, authid, stranger = puppets(kind), "client01@example.com", utils.Key()
    urls = {"ws": router.url(), "tcp": router.url().replace("ws:", "rs:").removesuffix("/ws"), "unix": router.url(1)}
    for serializer in peers.RAWSOCKET[kind]:
        members, refusals = [], []
        for name, url in urls.items():
            member = peers.Peer(puppet, url, serializer, name=f"{name}-{serializer}", key=known_key, authid=authid)
            assert (member.details["authid"], member.details["authextra"]["foo"]) == (authid, 23)
            member.register(f"com.example.{member.name}")
            member.subscribe(f"com.example.{serializer}")
            members.append(member)
            with pytest.raises(peers.PeerError) as error:
                peers.Peer(puppet, url, serializer, key=stranger, authid=authid)
            refusals.append((error.value.uri, error.value.args_))
        assert refusals[0][0] == "com.example.no_such_user" and refusals == refusals[:1] * 3
        for source in members:
            source.publish(f"com.example.{serializer}", [source.name, "x" * 70000], {"k": 1}, acknowledge=True)
            for target in members:
                assert source.call(f"com.example.{target.name}", ["y" * 70000], {"k": 2}) == (["y" * 70000], {"k": 2})
                if target is not source:
                    assert target.event(f"com.example.{serializer}") == ([source.name, "x" * 70000], {"k": 1})
    if kind in peers.PYTHON:  # autobahn-js ignores the end of the stream
        router.stop()
        for member in members:
            puppet.event(ev="lost", s=member.name)
