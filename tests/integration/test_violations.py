# SPDX-License-Identifier: Apache-2.0
"""Hostile and broken clients: each ends only its own session."""

import struct

import pytest
import rawclient
from rawclient import ABORT, BINARY, TEXT, encode

VIOLATION = "wamp.error.protocol_violation"

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)]


def expect_violation(client, text=None):
    """Expects an ABORT of exactly three elements, nothing after it, and a matching close frame."""
    message = client.expect(ABORT)
    assert len(message) == 3, message
    assert message[2] == VIOLATION, message
    assert isinstance(message[1].get("message"), str), message
    assert text is None or message[1]["message"] == text, message
    code, behind = client.wait_closed()
    assert code is not None or not client.has_close, "closed without a close frame"
    assert behind == [], "a message after ABORT"
    if client.has_close:
        assert client.close_reason == message[1]["message"][:123]


def nested(serializer, depth):
    """Nested arrays as bytes. Python's codecs do not reach the depths that we test."""
    if serializer == "json":
        return b"[" * depth + b"]" * depth
    return (b"\x91" if serializer == "msgpack" else b"\x81") * (depth - 1) + (
        b"\x90" if serializer == "msgpack" else b"\x80")


ID = "an integer from 1 to 2^53"
LIST = "a list that begins with a message type"
TEXTS = [
    ([48], f"CALL.Request: missing, expected {ID}"),
    ([48, 0, {}, "com.example.p"], f"CALL.Request: expected {ID}"),
    ([48, 1, [], "com.example.p"], "CALL.Options: expected a dict"),
    ([48, 1, {}], "CALL.Procedure: missing, expected a string"),
    ([48, 1, {}, "com.example.p", {"a": 1}], "CALL.Arguments: expected a list"),
    ([48, 1, {}, "com.example.p", [], []], "CALL.ArgumentsKw: expected a dict"),
    ([48, 1, {}, "com.example.p", [], {}, []], "CALL.ArgumentsKw: expected nothing after it"),
    ([16, 1, {"acknowledge": "yes"}, "com.example.t"], "PUBLISH.Options.acknowledge: expected a boolean"),
    ([16, 1, {"exclude_me": 0}, "com.example.t"], "PUBLISH.Options.exclude_me: expected a boolean"),
    ([64, 1, {"invoke": 1}, "com.example.p"], "REGISTER.Options.invoke: expected a string"),
    ([66, 1, "x"], f"UNREGISTER.REGISTERED.Registration: expected {ID}"),
    ([8, 68, 1, None, "com.example.e"], "ERROR.Details: expected a dict"),
    ([8, 48, 1, {}, "com.example.e"], "ERROR.REQUEST.Type: expected 68 (INVOCATION)"),
    ([36, 1, 1, {}], "EVENT (type 36) is not a message that clients send"),
    ([99, 1], "? (type 99) is not a message that clients send"),
    ([1, "devices", {"roles": {"caller": {}}}], "HELLO: the session is already open"),
    ([], f"message: expected {LIST}"), ({"a": 1}, f"message: expected {LIST}"),
    (["CALL", 1], f"message: expected {LIST}"),
]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_the_text_names_the_field_and_what_was_expected(start_routerd, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    for message, text in TEXTS:
        client = join(routerd, serializer)
        client.send(message)
        expect_violation(client, text)
    assert routerd.total("protocol_violations") == len(TEXTS)
    routerd.wait_log(r'protocol violation peer=tcp4:127\.0\.0\.1:\d+ reason="CALL\.Options: expected a dict"')
    routerd.wait_log(r'session closed .* reason="protocol violation"')


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
@pytest.mark.many_workers
def test_violations_in_a_session(start_routerd, join, serializer):
    """All on one router: each violation ends its own session, and a bystander keeps its own."""
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
    "roles_absent": [1, "devices", {}],
    "roles_null": [1, "devices", {"roles": None}],
    "roles_list": [1, "devices", {"roles": ["caller"]}],
    "no_role": [1, "devices", {"roles": {}}],
    "none_of_the_four": [1, "devices", {"roles": {"broker": {}, "Caller": {}}}],
    "role_true": [1, "devices", {"roles": {"caller": True}}],
    "role_null": [1, "devices", {"roles": {"callee": {}, "caller": None}}],
    "role_list": [1, "devices", {"roles": {"publisher": []}}],
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


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_a_hello_without_a_role_is_told_so(start_routerd, connect, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    four = "expected a dict with at least one of publisher, subscriber, caller and callee"
    for details, text in (({}, f"HELLO.Details.roles: missing, {four}"), ({"roles": {}}, f"HELLO.Details.roles: {four}"),
                          ({"roles": {"dealer": {}}}, f"HELLO.Details.roles: {four}"),
                          ({"roles": {"callee": 1}}, "HELLO.Details.roles.callee: expected a dict")):
        client = connect(routerd, serializer)
        client.send([1, "devices", details])
        expect_violation(client, text)
    for role in ("publisher", "subscriber", "caller", "callee"):
        client = connect(routerd, serializer)
        client.send([1, "devices", {"roles": {role: {}, "x_unknown": 1}}])
        client.expect(2)


# values of every type except the right one, as Arguments and ArgumentsKw of CALL, PUBLISH, YIELD
# and ERROR
WRONG_TYPES = {
    "json": [b"true", b"0", b"-1.5", b'"[]"', b'""', b'"\\u0000AAAA"', b"1e400"],
    "msgpack": [b"\xc3", b"\x00", b"\xff", b"\xcb\x3f\xf0\0\0\0\0\0\0", b"\xa0", b"\xa1\x90", b"\xc4\x00", b"\xc4\x01\x90",
                b"\xc4\x01\x80", b"\xc7\x01\x05\x90", b"\xd4\x05\x90"],
    "cbor": [b"\xf5", b"\x00", b"\x20", b"\xf9\x3c\x00", b"\x60", b"\x61\x80", b"\x40", b"\x41\x80", b"\x41\xa0",
             b"\x5f\x41\x80\xff", b"\xc1\x41\x80", b"\xc2\x41\x01", b"\xf0"],
}
ONE = {"json": (b"[1]", b'{"a":1}', b"[],"), "msgpack": (b"\x91\x01", b"\x81\xa1a\x01", b"\x90"),
       "cbor": (b"\x81\x01", b"\xa1\x61a\x01", b"\x80")}


def with_payload(serializer, message, payload, items):
    """The message, with an already encoded payload."""
    head = encode(serializer, message)
    if serializer == "json":
        return head[:-1] + b"," + payload + b"]"
    return bytes([head[0] + items]) + head[1:] + payload


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_arguments_of_another_type(start_routerd, join, serializer):
    """No receiver gets them: it would misread them."""
    routerd = start_routerd(threads=1, cryptosign=False)
    receiver = join(routerd, serializer)
    receiver.subscribe("com.example.t")
    receiver.register("com.example.p")
    a_list, a_dict, empty = ONE[serializer]
    for name, message in {"CALL": [48, 1, {}, "com.example.p"], "PUBLISH": [16, 1, {}, "com.example.t"],
                          "YIELD": [70, 1, {}], "ERROR": [8, 68, 1, {}, "com.example.e"]}.items():
        for wrong in [*WRONG_TYPES[serializer], a_dict]:
            client = join(routerd, serializer)
            client.send_payload(with_payload(serializer, message, wrong, 1))
            expect_violation(client, f"{name}.Arguments: expected a list")
        for wrong in [*WRONG_TYPES[serializer], a_list]:
            client = join(routerd, serializer)
            client.send_payload(with_payload(serializer, message, empty + wrong, 2))
            expect_violation(client, f"{name}.ArgumentsKw: expected a dict")
    assert receiver.silent() == []


def bad_bytes(serializer):
    """Payloads that are not a message in this encoding."""
    good = encode(serializer, [48, 1, {}, "com.example.p", [1, "text", {"a": b"\x01"}]])
    cases = {"nothing": b"", "trailing": good + good[:1], "two_messages": good + good,
             "depth_66": nested(serializer, 66), "depth_100000": nested(serializer, 100000)}
    for cut in range(1, len(good), 5):
        cases[f"cut_{cut}"] = good[:cut]
    call = {"json": b'[48,1,{},"com.example.p",', "msgpack": b"\x95\x30\x01\x80\xadcom.example.p",
            "cbor": b"\x85\x18\x30\x01\xa0\x6dcom.example.p"}[serializer]
    end = b"]" if serializer == "json" else b""
    inner = {
        "json": [b"[1,]", b"[01]", b"[1.]", b"[+1]", b"[nan]", b"['x']", b'["\\x"]', b'["\\u12"]',
                 b'["\\ud800\\q"]', b"[NaN,]", b"[" * 1200 + b"]" * 1200, b'["\n"]', b"[nul]", b'{"a":1}', b"[1 2]", b'["x]', b"[1e]",
                 b'[{"a"}]', b'[{1:2}]', b"[.5]", b"[--1]", b"[1]]"],
        "msgpack": [b"\x91\xc1", b"\x92\xa1\xff\xc1", b"\x91\xa2\xc3", b"\xdd\xff\xff\xff\xff",
                    b"\x91\xdb\xff\xff\xff\xff", b"\x91\xdf\xff\xff\xff\xff", b"\x91" * 1200 + b"\x01"],
        "cbor": [b"\x82\x61\xff\x1c", b"\x81" * 1200 + b"\x01", b"\x81\x1c", b"\x81\xff", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
                 b"\x81\x7b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x81\xf8\x10", b"\x81\xdf",
                 b"\x9f\x61\xff", b"\x9f\x01", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"],
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
    if payload[:4] == b"\0\0\0\0":  # a message, but an empty one
        expect_violation(client, "message: the message is cut off")
    else:
        expect_violation(client, "batch: expected 32 bits of length, and a message of that length")
    client = join(routerd, "json.batched")
    client.send_payload(b"")
    expect_violation(client, "batch: expected a message")


@pytest.mark.websocket
def test_a_bad_message_in_the_middle_of_a_batch(start_routerd, join):
    """Messages before it take effect, messages after it do not."""
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
    """WebSocket itself forbids it: close code 1007, whatever the WAMP message."""
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
    """The router does not allocate the length that a header announces."""
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
