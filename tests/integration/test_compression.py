# SPDX-License-Identifier: Apache-2.0
"""WebSocket compression, permessage-deflate (RFC 7692)."""

import json
import random
import subprocess
import zlib
from functools import partial

import pytest
from certificates import authority, open_tls, tls_config  # noqa: F401
from rawclient import CLOSE, HELLO, PING, PONG, TEXT, Ws, decode, deflate, encode, frame
from peers import Peer
from test_websocket import KOSOKU, Echo
from utils import BUILD, SLOW, router_config, wait_for

EXTENSIONS = "Sec-WebSocket-Extensions"
OFFER = {EXTENSIONS: "permessage-deflate; client_max_window_bits"}
GRANTED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
KIB, MIB = 1 << 10, 1 << 20
COMPRESSED = 4  # RSV1 as an argument of frame()
MEASURES = BUILD.name == "release"  # a sanitizer needs much more memory


@pytest.fixture
def start(start_routerd):
    def go(threads=1, limits=None, compression=True, **options):
        config = router_config(cryptosign=False, threads=threads, **({"limits": limits} if limits else {}))
        config["transports"][0]["options"] = {"compression": compression, **options}
        return start_routerd(config)

    return go


@pytest.fixture
def enter(connect):
    """enter(routerd, **kw) -> a client with compression that has joined."""

    def go(routerd, serializer="json", **kw):
        client = connect(routerd, serializer, headers=OFFER)
        assert client.extensions == GRANTED
        client.join(**kw)
        assert not client.compressed, "the handshake is not compressed"
        return client

    return go


def send_compressed(client, message, **kw):
    client.send_frame(client.opcode, deflate(client.pack(message)), rsv=COMPRESSED, **kw)


# --- negotiation ----------------------------------------------------------------------------


def test_off_by_default(start_routerd, start, connect):
    routerd = start_routerd(cryptosign=False)
    client = connect(routerd, headers=OFFER)
    assert client.extensions is None
    client.send_frame(TEXT, deflate(b"x" * 1000), rsv=COMPRESSED)
    client.expect_close(1002)
    # nor is it granted to a client that has not offered it
    for stream in (frame(TEXT, deflate(b"x" * 1000), rsv=COMPRESSED), frame(TEXT, b"", rsv=COMPRESSED),
                   frame(TEXT, b"x", fin=False, rsv=COMPRESSED), frame(PING, b"x", rsv=COMPRESSED)):
        for each in routerd, start():
            client = connect(each)
            assert client.extensions is None
            client.send_bytes(stream)
            client.expect_close(1002)


@pytest.mark.one_worker
def test_offers(start):
    routerd = start()
    none = None
    bits = GRANTED + "; server_max_window_bits=15"
    mine = "permessage-deflate"
    cases = [
        (mine, GRANTED), ("Permessage-Deflate", GRANTED),
        (mine + "; client_max_window_bits", GRANTED), (mine + ";client_max_window_bits=8", GRANTED),
        (mine + '; client_max_window_bits="15"', GRANTED),
        (mine + "; server_no_context_takeover; client_no_context_takeover", GRANTED),
        (mine + "; server_max_window_bits=15", bits), (mine + '; server_max_window_bits="15"', bits),
        # the first offer that fits
        (mine + "; server_max_window_bits=10, " + mine, GRANTED),
        (mine + "; unknown, x-webkit-deflate-frame, " + mine + "; server_max_window_bits=15", bits),
        (mine + ", " + mine + "; server_max_window_bits=15", GRANTED),
        # values that are missing, wrong or not there
        (mine + "; server_max_window_bits", none), (mine + "; server_max_window_bits=", none),
        (mine + "; server_max_window_bits=14", none), (mine + "; server_max_window_bits=8", none),
        (mine + "; server_max_window_bits=16", none), (mine + "; server_max_window_bits=015", none),
        (mine + "; client_max_window_bits=", none), (mine + "; client_max_window_bits=7", none),
        (mine + "; client_max_window_bits=16", none), (mine + "; client_max_window_bits=010", none),
        (mine + "; client_max_window_bits=a", none), (mine + '; client_max_window_bits="15', none),
        (mine + "; server_no_context_takeover=1", none), (mine + "; client_no_context_takeover=", none),
        (mine + "; client_no_context_takeover; client_no_context_takeover", none),
        (mine + "; client_max_window_bits; client_max_window_bits=10", none),
        (mine + ";", none), (mine + "; ;", none), (mine + "; unknown=1", none), (mine + "=1", none),
        ("permessage-bzip2", none), ("", none),
    ]
    for offer, answer in cases:
        client = Ws(routerd.port(), headers={EXTENSIONS: offer})
        assert client.extensions == answer, offer
        assert client.close() == 1000
    # offers may come in several headers
    client = Ws(routerd.port(), headers={EXTENSIONS: "other", EXTENSIONS.lower(): mine})
    assert client.extensions == GRANTED
    client.close()
    assert routerd.total("compression_agreed") == sum(answer is not none for _, answer in cases) + 1
    assert routerd.total("compression_declined") == 21


@pytest.mark.one_worker
@pytest.mark.parametrize("offer", [
    "permessage-deflate",  # Firefox, Safari, OkHttp
    "permessage-deflate; client_max_window_bits",  # Chromium, autobahn-js and ws in Node.js, Python's websockets
    "permessage-deflate; client_no_context_takeover; client_max_window_bits",  # Autobahn|Python
    # Autobahn|Python that asks for all that it may ask for
    "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_no_context_takeover; "
    "server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",  # gorilla/websocket
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",  # coder/websocket
    "x-webkit-deflate-frame",  # old Safari
    "permessage-bzip2; client_max_compress_level, permessage-deflate",
], ids=range(8))
def test_offers_of_real_clients(start, connect, offer):
    """They get compression, and an answer without a parameter that they have not offered, unless it
    says that nothing is remembered."""
    routerd = start()
    client = connect(routerd, headers={EXTENSIONS: offer})
    if "permessage-deflate" not in offer:
        assert client.extensions is None
        return
    name, *granted = client.extensions.split("; ")
    assert name == "permessage-deflate" and granted[:2] == ["server_no_context_takeover", "client_no_context_takeover"]
    assert all(parameter in offer for parameter in granted[2:])
    client.join()
    send_compressed(client, [16, client.next_request(), {"acknowledge": True}, "com.example.t", ["a" * 999]])
    client.expect(17)
    assert routerd.total("inflated") == 1 and routerd.total("compression_declined") == 0


# --- messages -------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor", "json.batched", "cbor.batched"])
def test_messages_of_every_length(start, threads, enter, join, serializer):
    """Between clients with and without compression."""
    routerd = start(threads)
    one, two, plain = enter(routerd, serializer), enter(routerd), join(routerd)
    subscriptions = {c: c.subscribe("com.example.t") for c in (one, two, plain)}
    two.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    for size in (0, 300, 600, 5000, 70000, 250 * KIB, 300 * KIB):
        before = one.compressed
        text = ("%d is no secret " % size * (size // 4))[:size]
        request = one.next_request()
        send_compressed(one, [48, request, {}, "com.example.echo", [text]])
        two.serve(1)
        assert one.result(request) == ([text], {})
        options = {"acknowledge": True, "exclude_me": False}
        send_compressed(one, [16, one.next_request(), options, "com.example.t", [text]])
        one.expect(17)
        for client, subscription in subscriptions.items():
            assert client.event(subscription) == ([text], {})
        assert one.compressed - before == (2 if 512 < size < 256 * KIB else 0)
    assert not plain.compressed


@pytest.mark.parametrize("kind", ["ab-twisted", "ab-new-asyncio", "autobahn-js"])
@pytest.mark.one_worker
def test_real_clients(start, puppets, join, kind):
    """They call themselves and each other with and without compression."""
    routerd = start()
    puppet = puppets(kind)
    peers = [Peer(puppet, routerd.url(), serializer, compress=True) for serializer in ("json", "cbor")]
    assert routerd.total("compression_agreed") == 2
    plain = join(routerd)
    subscription = plain.subscribe("com.example.t")
    peers[0].register("com.example.echo")
    peers[1].subscribe("com.example.t")
    for size in (10, 1000, 20000, 200000):
        before = routerd.total("deflated"), routerd.total("inflated")
        args = ["not random " * (size // 11)]
        assert peers[1].call("com.example.echo", args, {})[0] == args
        peers[0].publish("com.example.t", args, {}, acknowledge=True)
        assert plain.event(subscription) == (args, {})
        assert peers[1].event("com.example.t")[0] == args
        if size > 2000:
            # INVOCATION, RESULT, EVENT; CALL, YIELD, PUBLISH
            assert routerd.total("deflated") == before[0] + 3
            assert routerd.total("inflated") == before[1] + 3


# messages of 16 KiB in fragments; parameters of all kinds, with messages of 1 KiB
CASES = ["12.3.12", *[f"13.{n}.4" for n in range(1, 8)]]
DECLINED = {"13.3.4", "13.5.4"}  # they ask only for a window of 9 bits


@pytest.mark.one_worker
def test_autobahn_testsuite(daemons, folder):
    echo = Echo(folder, "--deflate")
    daemons.append(echo)
    echo.start()
    argv = [str(KOSOKU), "-m", "fuzzingclient", "-p", "4", "-o", str(folder)]
    for case in CASES:
        argv += ["-i", case]
    subprocess.run([*argv, f"127.0.0.1:{echo.port}"], check=False, capture_output=True, timeout=100 * SLOW)
    (results,) = json.loads((folder / "index.json").read_text()).values()
    assert {case: (r["behavior"], r["behaviorClose"]) for case, r in results.items()} == {
        case: ("UNIMPLEMENTED" if case in DECLINED else "OK", "OK") for case in CASES}
    echo.stop()
    assert echo.counters()["inflated"] == 6 * 1000


def test_random_bytes_are_sent_as_they_are(start, enter):
    client = enter(start(), "cbor")
    client.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    data = random.Random(1).randbytes(10000)
    request = client.next_request()
    send_compressed(client, [48, request, {}, "com.example.echo", [data]])
    assert client.result(request) == ([data], {})
    assert not client.compressed


def test_subscribers_share_one_compressed_message(start, threads, enter, join):
    routerd = start(threads)
    kinds = ["json", "msgpack", "cbor"]
    subscribers = [enter(routerd, kinds[i % len(kinds)]) for i in range(504)]
    for client in subscribers:
        client.subscribe("com.example.t")
    assert all(c["sessions"] > 10 for c in routerd.counters())
    publisher = join(routerd)
    rng = random.Random(3)
    long = short = 0
    for i in range(30):
        size = rng.choice([10, 200, 1000, 3000])
        long, short = long + (size > 500), short + (size < 500)
        publisher.publish("com.example.t", [i, "a" * size], exclude_me=False)
    for client in subscribers:
        assert [client.event()[0][0] for _ in range(30)] == list(range(30))
        assert client.compressed == long
    # one for each worker and wire kind
    assert long and short and routerd.total("deflated") == long * len(kinds) * threads
    assert routerd.total("deflated_bytes_after") < routerd.total("deflated_bytes_before") / 8


@pytest.mark.one_worker
@pytest.mark.skipif(not MEASURES, reason="a sanitizer needs much more memory")
def test_an_idle_connection_has_no_memory_for_compression(start, enter, join):
    routerd = start()
    kept = []

    def grows_by(make, count=400):
        before = routerd.rss()
        for _ in range(count):
            client = make(routerd)
            kept.append(client)
            # long messages in both directions
            request, send = client.next_request(), client.send if make is join else partial(send_compressed, client)
            send([48, request, {}, "wamp.session.list", [["device", "a" * 5000]]])
            assert len(client.result(request)[0][0]) == len(kept)
            assert client.compressed == (make is enter and len(kept) > 50)
        return routerd.rss() - before

    # what the worker has once, and what is allocated in advance
    grows_by(join)
    grows_by(enter, 1)
    kept[-1].subscribe("com.example.t")
    text = random.Random(4).randbytes(100 * KIB).hex()
    send_compressed(kept[-1], [16, kept[-1].next_request(), {"exclude_me": False}, "com.example.t", [text]])
    assert kept[-1].event()[0] == [text] and kept[-1].compressed == 2
    usual = grows_by(join)
    # a window of zlib would be 32 KiB; tables grow now and then
    assert grows_by(enter) < usual + 400 * KIB
    assert routerd.total("inflated") == 402


# --- limits and errors ----------------------------------------------------------------------


def message_of(size):
    """A PUBLISH of exactly this many bytes."""
    head, end = b'[16,1,{"acknowledge":true},"com.example.t",["', b'"]]'
    return head + b"a" * (size - len(head) - len(end)) + end


@pytest.mark.one_worker
def test_a_bomb_is_too_big_by_one_byte(start, enter):
    limit = 4 * MIB
    routerd = start(max_message_size=limit)
    client = enter(routerd)
    # it is inflated in several turns: what comes behind it waits
    stream = b"".join(frame(TEXT, deflate(message_of(size)), rsv=COMPRESSED) + frame(PING, b"%d" % size)
                      for size in (limit, 100, limit, 3 * MIB))
    client.send_bytes(stream + frame(TEXT, message_of(100)))
    got = [client.recv_frame() for _ in range(9)]
    assert [(opcode, payload) for opcode, _, payload in got if opcode == PONG] == [
        (PONG, b"%d" % size) for size in (limit, 100, limit, 3 * MIB)]
    assert sum(opcode == TEXT for opcode, _, _ in got) == 5
    before = routerd.rss()
    for size in (limit + 1, 100 * MIB):
        client.send_frame(TEXT, deflate(message_of(size), level=9), rsv=COMPRESSED)
        assert client.wait_closed() == (1009, [])
        client = enter(routerd)
    assert routerd.total("inflated_too_big") == 2
    assert not MEASURES or routerd.rss() - before < 4 * limit
    # before WELCOME the limit is 64 KiB
    for size, closed in (64 * KIB, False), (64 * KIB + 1, True):
        early = Ws(routerd.port(), headers=OFFER)
        hello = encode("json", [HELLO, "devices", {"roles": {"caller": {}}, "x": ""}])
        early.send_frame(TEXT, deflate(hello[:-3] + b"x" * (size - len(hello)) + hello[-3:]), rsv=COMPRESSED)
        if closed:
            assert early.wait_closed() == (1009, [])
        else:
            assert decode("json", early.recv_message()[1])[0] == 2


def test_many_bombs_at_once(start, threads, enter, join):
    """Together they would need more memory than there is, and inflating all takes long."""
    size = (4 if MEASURES else 1) * MIB  # a sanitizer takes long
    routerd = start(threads, {"incomplete_total": threads * 24 * size}, max_message_size=size)
    bombers = [enter(routerd) for _ in range(40 * threads)]
    plain, short = join(routerd), enter(routerd)
    before = routerd.rss()
    bomb = frame(TEXT, deflate(message_of(size), level=9), rsv=COMPRESSED)
    for client in bombers:
        client.send_bytes(bomb)
    for _ in range(10):
        plain.publish("com.example.t", acknowledge=True)
        send_compressed(short, [16, short.next_request(), {"acknowledge": True}, "com.example.t", ["a" * 3000]])
        short.expect(17)
    for client in bombers:
        client.expect(17)
    assert routerd.total("inflated") == 40 * threads + 10
    assert routerd.total("closed_over_input_budget") == 0
    assert not MEASURES or routerd.rss() - before < threads * 24 * size


def test_corrupt_data(start, enter):
    routerd = start()
    whole = deflate(message_of(5000))
    final = deflate(message_of(5000), flush=zlib.Z_FINISH)
    for data, code in (
        (b"\xff" * 20, 1007),  # no such type of block
        (b"", 1007), (whole[:-3], 1007), (whole + b"\x07", 1007),
        (deflate(b'["\xff"]'), 1007), (deflate(b'["\xc3'), 1007),  # not UTF-8
        (final, 1007),
        (b"\xfa\x7f\x00" + whole, 1007),  # refers to bytes before the message
    ):
        client = enter(routerd)
        client.send_frame(TEXT, data, rsv=COMPRESSED)
        assert client.wait_closed()[0] == code, data
    client = enter(routerd)
    # empty blocks, and a block that says it is the last one
    for data in (b"\0\0\0\xff\xff" * 1000 + whole, final + b"\x00", final + b"\x03\x00" * 1000 + b"\x00"):
        client.send_frame(TEXT, data, rsv=COMPRESSED)
        client.expect(17)


def test_bits_where_they_must_not_be(start, enter):
    routerd = start()
    data = deflate(message_of(5000))
    for stream in (
        frame(TEXT, data[:9], fin=False, rsv=COMPRESSED) + frame(0, data[9:], rsv=COMPRESSED),
        frame(TEXT, b"a", fin=False) + frame(0, data, rsv=COMPRESSED),
        frame(PING, b"", rsv=COMPRESSED), frame(PONG, data, rsv=COMPRESSED), frame(PONG, b"a", rsv=COMPRESSED),
        frame(TEXT, data[:9], fin=False, rsv=COMPRESSED) + frame(PING, b"a", rsv=COMPRESSED), frame(CLOSE, b"\x03\xe8", rsv=COMPRESSED),
        frame(TEXT, data, rsv=6), frame(TEXT, data, rsv=5), frame(TEXT, data, rsv=2), frame(3, data, rsv=COMPRESSED),
    ):
        client = enter(routerd)
        client.send_bytes(stream)
        assert client.wait_closed()[0] == 1002
    client = enter(routerd)
    # fragments, with pings between them, byte by byte
    client.send_bytes(frame(TEXT, data[:1], fin=False, rsv=COMPRESSED))
    for i in range(1, len(data)):
        client.send_bytes(frame(PING) + frame(0, data[i:i + 1], fin=i == len(data) - 1))
    client.expect(17)


# --- with TLS, and with long queues ---------------------------------------------------------


@pytest.fixture(params=["ws", "wss"])
def site(request, start_routerd, connect, threads):
    """site(limits, options) -> (routerd, enter); enter(serializer) is as above, over TLS or not."""

    def go(limits=None, **options):
        config = router_config(cryptosign=False, threads=threads)
        opens = connect
        if request.param == "wss":
            config = tls_config(request.getfixturevalue("authority"), threads=threads, cryptosign=False)
            opens = request.getfixturevalue("open_tls")
        config["transports"][0]["options"] = {"compression": True, **options}
        if limits:
            config["limits"] = limits
        routerd = start_routerd(config)

        def enter(serializer="json"):
            client = opens(routerd, serializer=serializer, headers=OFFER)
            assert client.extensions == GRANTED
            client.join()
            return client

        return routerd, enter

    return go


def hex_of(size):
    """Text that shrinks to a bit more than a half."""
    return random.Random(size).randbytes(size // 2).hex()


@pytest.mark.parametrize("size", [1000, 16000, 100 * KIB, 240 * KIB])
def test_echoes(site, size):
    routerd, enter = site()
    one, two = enter("cbor"), enter("json")
    two.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    texts = [hex_of(size + i) for i in range(0, 40, 2)]
    for text in texts:
        send_compressed(one, [48, one.next_request(), {}, "com.example.echo", [text]])
    two.serve(len(texts))
    assert [one.result(i + 1) for i in range(len(texts))] == [([text], {}) for text in texts]
    assert one.compressed == two.compressed == len(texts)


def test_limits(site):
    routerd, enter = site(max_message_size=3 * MIB)
    client, other = enter(), enter()
    for size, code in (3 * MIB, None), (3 * MIB + 1, 1009):
        client.send_frame(TEXT, deflate(message_of(size), level=9), rsv=COMPRESSED)
        if code is None:
            client.expect(17)
        else:
            client.expect_close(code)
    client = enter()
    client.send_frame(TEXT, b"\xff" * 20, rsv=COMPRESSED)
    client.expect_close(1007)
    other.publish("com.example.t", acknowledge=True)


def test_a_reader_that_pauses_loses_nothing(site):
    routerd, enter = site()
    sender, reader = enter("cbor"), enter()
    subscription = reader.subscribe("com.example.t")
    idle = routerd.total("queued_bytes")
    text = hex_of(50000)
    for i in range(250):
        send_compressed(sender, [16, sender.next_request(), {"acknowledge": True}, "com.example.t", [i, text]])
        sender.expect(17)
    assert routerd.total("queued_bytes") > idle + MIB
    for i in range(250):
        assert reader.event(subscription)[0] == [i, text]
    assert reader.compressed == 250
    assert routerd.total("deflated") == 250 and routerd.total("queued_bytes") == idle


def test_a_slow_reader_is_closed_and_others_do_not_notice(site):
    routerd, enter = site({"queue_size": 256 * KIB})
    slow = [enter() for _ in range(4)]
    fast, sender = enter(), enter("cbor")
    for client in slow:
        client.subscribe("com.example.t")
    subscription = fast.subscribe("com.example.t")
    text = hex_of(50000)
    for i in range(250):
        send_compressed(sender, [16, sender.next_request(), {"acknowledge": True}, "com.example.t", [i, text]])
        sender.expect(17)
        assert fast.event(subscription)[0][0] == i
    wait_for(lambda: routerd.total("closed_slow_consumer") == 4, "the slow readers to be closed")
    sender.publish("com.example.t", ["still"], acknowledge=True)
    assert fast.event(subscription) == (["still"], {})
