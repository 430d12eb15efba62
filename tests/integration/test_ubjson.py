# SPDX-License-Identifier: Apache-2.0
"""UBJSON: over each transport, to and from the other serializers, and with Autobahn|Python."""

import datetime
import decimal
import math

import peers
import pytest
import values
from rawclient import ABORT, ERROR, Client, RawSocket, WampError, Ws

pytestmark = pytest.mark.parametrize("transport", ["universal"], indirect=True)

UBJSON = [(Ws, "ubjson"), (Ws, "ubjson.batched"), (RawSocket, "ubjson")]
# py-ubjson sends the smallest doubles as decimal numbers
COMMON = [v for v in values.COMMON if v != 5e-324]
OTHERS = [(Ws, "json"), (Ws, "msgpack"), (Ws, "cbor.batched")]


@pytest.fixture
def member(routerd, clients):
    """member(framing, serializer) -> a session of the realm devices."""

    def start(framing, serializer, **kw):
        client = Client(routerd.port(), serializer, transport=framing, **kw)
        clients.append(client)
        client.join("devices")
        return client

    return start


def test_calls_and_events(routerd, member):
    sent = COMMON + values.BINARY + values.EXACT
    members = [member(*how) for how in UBJSON + OTHERS]
    for n, client in enumerate(members):
        client.register(f"com.example.echo{n}", lambda args, kwargs: (args, kwargs))
        client.topic = client.subscribe("com.example.topic")
    for n, caller in enumerate(members):
        for m, callee in enumerate(members):
            # the other tests call between the other serializers
            if n >= len(UBJSON) and m >= len(UBJSON):
                continue
            args, kwargs = caller.call(f"com.example.echo{m}", sent, {"k": "v"}, callee=callee)
            values.check(sent, args, "call")
            assert kwargs == {"k": "v"}
        caller.publish("com.example.topic", sent, {"k": "v"}, acknowledge=True)
        for other in members:
            if other is not caller:
                args, kwargs = other.event(other.topic)
                values.check(sent, args, "event")
                assert kwargs == {"k": "v"}
    routerd.check_threads()


@pytest.mark.parametrize("url", ["ws://127.0.0.1:{}/ws", "rs://127.0.0.1:{}"], ids=["websocket", "rawsocket"])
def test_autobahn(routerd, member, puppets, url):
    other = member(Ws, "json")
    topic = other.subscribe("com.example.topic")
    other.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    sent = COMMON + values.BINARY
    for serializer in ["ubjson", "ubjson.batched"] if url.startswith("ws") else ["ubjson"]:
        peer = peers.Peer(puppets("ab-twisted"), url.format(routerd.port()), serializer)
        assert peer.details["serializer"] == serializer
        peer.subscribe("com.example.back")
        peer.register(f"com.example.{serializer}")
        call = peer.start_call("com.example.echo", sent)
        other.serve(1)
        values.check(sent, peer.finish(call)["args"], "call")
        values.check(sent, other.call(f"com.example.{serializer}", sent)[0], "callee")
        peer.publish("com.example.topic", sent, {}, acknowledge=True)
        values.check(sent, other.event(topic)[0], "event")
        other.publish("com.example.back", sent, acknowledge=True)
        values.check(sent, peer.event("com.example.back")[0], "event")


def test_numbers(member):
    """High-precision numbers are integers of any length; dates and other decimals do not cross."""
    plain, also, cbor, text, msgpack = (member(*how) for how in [
        (RawSocket, "ubjson"), (Ws, "ubjson"), (Ws, "cbor"), (Ws, "json"), (Ws, "msgpack")])
    for client in (plain, also, cbor, text, msgpack):
        client.register(f"com.example.{client.serializer}{client.session}", lambda args, kwargs: (args, kwargs))

    def sent(caller, callee, value):
        return caller.call(f"com.example.{callee.serializer}{callee.session}", [value], callee=callee)[0][0]

    for value in (2**63, 2**64 - 1, 2**64, -2**63 - 1, 10**150):
        for other in (also, cbor, text):
            assert sent(plain, other, value) == value == sent(other, plain, value)
    assert sent(plain, msgpack, 2**64 - 1) == 2**64 - 1
    topic = plain.subscribe("com.example.topic")
    cbor.publish("com.example.topic", [math.nan, -math.inf])
    (nan, infinity), _ = plain.event(topic)  # py-ubjson reads, but does not write them
    assert math.isnan(nan) and infinity == -math.inf
    fraction = decimal.Decimal("0.1000000000000000000000000000001")
    assert sent(plain, also, fraction) == fraction
    date = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    for caller, callee, value in [(plain, msgpack, 2**64), (plain, text, fraction), (cbor, plain, date),
                                  (msgpack, plain, {1: 2})]:
        request = caller.start_call(f"com.example.{callee.serializer}{callee.session}", [value])
        with pytest.raises(WampError) as error:
            caller.result(request)
        assert error.value.uri == "wamp.error.invalid_argument"


HUGE = b"l\x7f\xff\xff\xff"
CUT, MALFORMED = "the message is cut off", "malformed: does it use the negotiated serializer?"
IMPLIED = "a list announces too many values that take no bytes"
HOSTILE = [
    (b"[$Z#" + HUGE, IMPLIED), (b"[$T#L\x7f" + b"\xff" * 7, IMPLIED), (b"[$F#U\x40[$Z#U\1", IMPLIED),
    (b"[$[#I\x04\0" + b"$F#U\2" * 1024, IMPLIED), (b"[$[#" + HUGE + b"]" * 1000, CUT), (b"[#" + HUGE, CUT),
    (b"{$Z#" + HUGE + b"U\1a", CUT), (b"[$U#" + HUGE, CUT), (b"S" + HUGE, CUT), (b"[$N#" + HUGE, MALFORMED),
    (b"[$S#i\xff", MALFORMED), (b"SI\xff\xff", MALFORMED), (b"B\1", MALFORMED),
]


@pytest.mark.parametrize("how", UBJSON[::2], ids=["websocket", "rawsocket"])
def test_hostile(routerd, member, how):
    bystander = member(Ws, "json")
    topic = bystander.subscribe("t")
    before = routerd.rss()

    def publish(client, value):
        client.send_payload(b"[U\x10U\x01{}Ct[" + value + b"]]")

    for value, text in HOSTILE:
        client = member(*how)
        publish(client, value)
        assert client.expect(ABORT)[1]["message"] == f"PUBLISH.Arguments: {text}", value
        client.wait_closed()
    client = member(*how)
    # text that is not UTF-8 does not end the session
    client.send_payload(b"[U0U\x01{}Ct[SU\x01\xff]]")
    assert client.expect(ERROR)[4] == "wamp.error.invalid_argument"
    for value, read in [(b"[$Z#U\x40", [None] * 64), (b"N" * 1000000 + b"T", True), (b"[$i#U\2\xff\1", [-1, 1]),
                        (b"{$[#U\1U\1a$T#U\2", {"a": [True, True]})]:
        publish(client, value)
        assert bystander.event(topic) == ([read], {})
    # what the authorizer is told must not lack an option
    client.send_payload(b"[U\x20U\x01{$S#U\x01U\5matchU\6prefixCa]")
    assert client.expect(ABORT)[1]["message"] == (
        "SUBSCRIBE.Options: a dict with '$' (a type for all values) is supported only in the payload")
    assert routerd.rss() - before < 32 << 20
