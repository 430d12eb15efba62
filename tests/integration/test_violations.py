# SPDX-License-Identifier: Apache-2.0
"""What a hostile or broken client does, and that nobody else notices."""

import struct

import pytest
import rawclient
from rawclient import ABORT, BINARY, TEXT, encode

VIOLATION = "wamp.error.protocol_violation"

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def expect_violation(client):
    """ABORT with exactly three elements, nothing behind it, and a close frame."""
    message = client.expect(ABORT)
    assert len(message) == 3, message
    assert message[2] == VIOLATION, message
    assert isinstance(message[1].get("message"), str), message
    code, behind = client.wait_closed()
    assert code is not None or not client.has_close, "closed without a close frame"
    assert behind == [], "something behind ABORT"


def nested(serializer, depth):
    """An array in an array..., as bytes; the codecs of Python give up earlier than we test."""
    if serializer == "json":
        return b"[" * depth + b"]" * depth
    return (b"\x91" if serializer == "msgpack" else b"\x81") * (depth - 1) + (
        b"\x90" if serializer == "msgpack" else b"\x80")


# messages that no client may send in an established session
ESTABLISHED = {
    "second_hello": [1, "devices", {"roles": {"caller": {}}}],
    "welcome": [2, 1, {}],
    "challenge": [4, "cryptosign", {}],
    "authenticate": [5, "00", {}],
    "published": [17, 1, 1],
    "subscribed": [33, 1, 1],
    "unsubscribed": [35, 1],
    "event": [36, 1, 1, {}],
    "result": [50, 1, {}],
    "registered": [65, 1, 1],
    "unregistered": [67, 1],
    "invocation": [68, 1, 1, {}],
    "unknown_type": [99, 1],
    "type_zero": [0],
    "type_huge": [2**53],
    "type_negative": [-1],
    "type_string": ["48", 1, {}, "com.example.p"],
    "type_bool": [True, 1, {}, "com.example.p"],
    "type_null": [None],
    "type_fraction": [48.5, 1, {}, "com.example.p"],
    "empty_list": [],
    "no_list": {"48": 1},
    "number": 48,
    "string": "48",
    "null": None,
    "id_string": [32, "1", {}, "com.example.t"],
    "id_bool": [32, True, {}, "com.example.t"],
    "id_negative": [32, -1, {}, "com.example.t"],
    "id_fraction": [32, 1.5, {}, "com.example.t"],
    "id_huge": [32, 2**53 + 2, {}, "com.example.t"],
    "options_list": [32, 1, [], "com.example.t"],
    "options_null": [32, 1, None, "com.example.t"],
    "topic_number": [32, 1, {}, 7],
    "topic_null": [16, 1, {}, None],
    "short_subscribe": [32, 1, {}],
    "short_publish": [16, 1, {}],
    "short_call": [48, 1],
    "short_yield": [70, 1],
    "short_error": [8, 68, 1, {}],
    "long_subscribe": [32, 1, {}, "com.example.t", 1],
    "long_call": [48, 1, {}, "com.example.p", [], {}, []],
    "args_no_list": [48, 1, {}, "com.example.p", {"a": 1}],
    "kwargs_no_dict": [48, 1, {}, "com.example.p", [], []],
    "error_of_call": [8, 48, 1, {}, "com.example.e"],
    "error_of_49": [8, 49, 1, {}, "com.example.e"],
    "error_type_string": [8, "68", 1, {}, "com.example.e"],
    "goodbye_short": [6, {}],
}


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_violations_in_a_session(start_routerd, join, serializer):
    """All on one router: each ends its own session, and a bystander lives through them all."""
    routerd = start_routerd(threads=4, cryptosign=False)
    bystander = join(routerd, "cbor")
    subscription = bystander.subscribe("com.example.t")
    for name, message in ESTABLISHED.items():
        client = join(routerd, serializer)
        client.subscribe("com.example.t")
        client.send(message)
        try:
            expect_violation(client)
        except (AssertionError, TimeoutError, rawclient.Closed, rawclient.WampError) as e:
            raise AssertionError(f"{serializer} {name} {message}: {e!r}") from e
        client.close_socket()
    sender = join(routerd)
    sender.publish("com.example.t", ["alive"], acknowledge=True)
    assert bystander.event(subscription) == (["alive"], {})
    routerd.check_threads()


BEFORE = {
    "subscribe": [32, 1, {}, "com.example.t"],
    "call": [48, 1, {}, "com.example.p"],
    "publish": [16, 1, {"acknowledge": True}, "com.example.t"],
    "goodbye": [6, {}, "wamp.close.normal"],
    "authenticate": [5, "00", {}],
    "error": [8, 68, 1, {}, "com.example.e"],
    "welcome": [2, 1, {}],
    "empty": [],
    "realm_number": [1, 7, {"roles": {"caller": {}}}],
    "details_list": [1, "devices", []],
    "short_hello": [1, "devices"],
    "long_hello": [1, "devices", {"roles": {"caller": {}}}, 1],
    "authmethods_string": [1, "devices", {"roles": {"caller": {}}, "authmethods": "anonymous"}],
    "authextra_list": [1, "devices", {"roles": {"caller": {}}, "authextra": [1]}],
    "authid_number": [1, "devices", {"roles": {"caller": {}}, "authid": 7}],
}


@pytest.mark.parametrize("serializer", ["json", "msgpack.batched"])
def test_violations_before_the_session(start_routerd, connect, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    for name, message in BEFORE.items():
        client = connect(routerd, serializer)
        client.send(message)
        try:
            expect_violation(client)
        except (AssertionError, TimeoutError, rawclient.Closed, rawclient.WampError) as e:
            raise AssertionError(f"{serializer} {name} {message}: {e!r}") from e
        client.close_socket()
    join(routerd)


def bad_bytes(serializer):
    """Payloads that are no message in this encoding."""
    good = encode(serializer, [48, 1, {}, "com.example.p", [1, "text", {"a": b"\x01"}]])
    cases = {"nothing": b"", "trailing": good + good[:1], "two_messages": good + good,
             "depth_66": nested(serializer, 66), "depth_100000": nested(serializer, 100000)}
    for cut in range(1, len(good), 5):
        cases[f"cut_{cut}"] = good[:cut]
    call = {"json": b'[48,1,{},"com.example.p",', "msgpack": b"\x95\x30\x01\x80\xadcom.example.p",
            "cbor": b"\x85\x18\x30\x01\xa0\x6dcom.example.p"}[serializer]
    end = b"]" if serializer == "json" else b""
    inner = {
        "json": [b"[1,]", b"[01]", b"[1.]", b"[+1]", b"[NaN]", b"['x']", b'["\\x"]', b'["\\u12"]',
                 b'["\\ud800"]', b'["\n"]', b"[nul]", b'{"a":1}', b"[1 2]", b'["x]', b"[1e]",
                 b'[{"a"}]', b'[{1:2}]', b"[.5]", b"[--1]", b"[1]]"],
        "msgpack": [b"\x91\xc1", b"\x91\xa1\xff", b"\x91\xa2\xc3", b"\xdd\xff\xff\xff\xff",
                    b"\x91\xdb\xff\xff\xff\xff", b"\x91\xdf\xff\xff\xff\xff", b"\x91\xa3\xed\xa0\x80"],
        "cbor": [b"\x81\x61\xff", b"\x81\x1c", b"\x81\xff", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
                 b"\x81\x7b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x81\xf8\x10", b"\x81\xdf",
                 b"\x81\x63\xed\xa0\x80", b"\x9f\x01", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"],
    }[serializer]
    for number, bytes_ in enumerate(inner):
        cases[f"inner_{number}"] = call + bytes_ + end
    return cases


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_bytes_that_are_no_message(start_routerd, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    for name, payload in bad_bytes(serializer).items():
        client = join(routerd, serializer)
        client.send_payload(payload)
        try:
            expect_violation(client)
        except (AssertionError, TimeoutError, rawclient.Closed, rawclient.WampError) as e:
            raise AssertionError(f"{serializer} {name} {payload[:60]!r}: {e!r}") from e
        client.close_socket()
    join(routerd)


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_depth_of_64_is_allowed(start_routerd, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    client = join(routerd, serializer)
    client.register("com.example.p", lambda a, k: (a, k))
    value = []
    for _ in range(60):
        value = [value]
    assert client.call("com.example.p", value) == (value, {})


@pytest.mark.websocket
@pytest.mark.parametrize("payload", [b"", b"\x00\x00\x00", b"\x00\x00\x00\x05\x95", struct.pack("!I", 0),
                                     b"\xff\xff\xff\xff\x90"])
def test_bad_batches(start_routerd, join, payload):
    routerd = start_routerd(threads=1, cryptosign=False)
    client = join(routerd, "msgpack.batched")
    client.send_payload(payload)
    expect_violation(client)


@pytest.mark.websocket
def test_a_bad_message_in_the_middle_of_a_batch(start_routerd, join):
    """What stands before it was done, what stands behind it never happens."""
    routerd = start_routerd(threads=1, cryptosign=False)
    client, other = join(routerd, "cbor.batched"), join(routerd)
    subscription = other.subscribe("com.example.t")
    client.send([16, 1, {}, "com.example.t", ["before"]], [99], [16, 2, {}, "com.example.t", ["behind"]])
    expect_violation(client)
    assert other.event(subscription) == (["before"], {})
    assert other.silent() == []


@pytest.mark.websocket
def test_text_for_binary_and_binary_for_text(start_routerd, join):
    routerd = start_routerd(threads=1, cryptosign=False)
    for serializer, opcode in (("json", BINARY), ("cbor", TEXT), ("msgpack", TEXT)):
        client = join(routerd, serializer)
        client.send_frame(opcode, encode("json", [48, 1, {}, "com.example.p"]))
        expect_violation(client)


@pytest.mark.websocket
def test_invalid_utf8_in_a_text_frame(start_routerd, join):
    """That is the WebSocket's own business: 1007, whatever WAMP says."""
    routerd = start_routerd(threads=1, cryptosign=False)
    client = join(routerd)
    client.send_frame(TEXT, b'[48,1,{},"com.\xff\xfe"]')
    assert client.wait_closed()[0] == 1007


# --- sizes ----------------------------------------------------------------------------------

MIB = 1 << 20


def test_messages_before_welcome_are_small(start_routerd, connect):
    routerd = start_routerd(threads=1, cryptosign=False)
    client = connect(routerd)
    client.hello("devices", authextra={"x": "y" * 65536})
    client.expect_close(1009)
    client = connect(routerd)
    client.hello("devices", authextra={"x": "y" * 60000})
    client.expect(2)


@pytest.mark.parametrize("serializer", ["json", "cbor"])
def test_messages_after_welcome_have_a_limit(start_routerd, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    client = join(routerd, serializer)
    client.register("com.example.p", lambda a, k: ([len(a[0])], k))
    assert client.call("com.example.p", ["x" * (MIB - 200)]) == ([MIB - 200], {})
    client.publish("com.example.t", ["x" * (MIB + 1)])
    client.expect_close(1009)


@pytest.mark.websocket
def test_a_frame_that_announces_too_much_is_refused_at_once(start_routerd, join):
    """Nobody allocates what a header promises."""
    routerd = start_routerd(threads=1, cryptosign=False)
    before = routerd.rss()
    for length in (MIB + 1, 1 << 40, (1 << 63) - 1):
        client = join(routerd)
        client.send_bytes(b"\x81\xff" + struct.pack("!Q", length) + b"\0\0\0\0" + b"x" * 100)
        assert client.wait_closed()[0] == 1009
    assert routerd.rss() - before < 8 * MIB


@pytest.mark.websocket
def test_fragments_are_counted_together(start_routerd, join):
    routerd = start_routerd(threads=1, cryptosign=False)
    client = join(routerd)
    client.send_frame(TEXT, b"x" * 400000, fin=False)
    client.send_frame(0, b"x" * 400000, fin=False)
    client.send_frame(0, b"x" * 400000, fin=True)
    assert client.wait_closed()[0] == 1009
