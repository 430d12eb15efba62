# SPDX-License-Identifier: Apache-2.0
"""An invalid value fails its request and nothing else: sessions and registrations stay.

Applications send such values without knowing: JavaScript a string that was cut within an emoji,
Python a NaN, both a string that begins with U+0000.
"""

import peers
import pytest
import rawclient
from rawclient import (CALL, CANCEL, ERROR, INVOCATION, PUBLISH, REGISTER, SUBSCRIBE, UNREGISTER,
                       UNSUBSCRIBE, YIELD, WampError)

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

INVALID = "wamp.error.invalid_argument"
SURROGATE = "a string has an unpaired surrogate, such as half of an emoji"
BASE64 = "a string begins with U+0000, which marks binary data, but no base64 follows"
NAN = "NaN and Infinity cannot be expressed in JSON"
UTF8 = "a string is not UTF-8"
DEEP = "lists and dicts are nested too deeply"

# encoded values, and what is wrong with each
VALUES = {
    "json": [
        (rb'"\ud83d"', SURROGATE), (rb'"x\ude00 y"', SURROGATE), (rb'{"\ud83d":1}', SURROGATE),
        (rb'[{"a":["\ud83d\ud83d"]}]', SURROGATE), (rb'"\u0000a text"', BASE64), (rb'"\u0000A"', BASE64),
        (b"NaN", NAN), (b"Infinity", NAN), (b'{"a":-Infinity}', NAN), (b"[" * 70 + b"]" * 70, DEEP),
        (b'{"a":' * 300 + b"1" + b"}" * 300, DEEP),
    ],
    "msgpack": [
        (b"\xa1\xff", UTF8), (b"\xa3\xed\xa0\xbd", UTF8), (b"\xd9\x02\xc3\x28", UTF8), (b"\x81\xa1\xff\x01", UTF8),
        (b"\x91" * 70 + b"\x01", DEEP), (b"\xdd\0\0\0\1" * 500 + b"\x01", DEEP),
    ],
    "cbor": [
        (b"\x61\xff", UTF8), (b"\x63\xed\xa0\xbd", UTF8), (b"\x7f\x61\xc3\x61\xa9\xff", UTF8),
        (b"\xa1\x61\xff\x01", UTF8), (b"\x81" * 70 + b"\x01", DEEP), (b"\xc1" * 100 + b"\x01", DEEP),
        (b"\x9f" * 500 + b"\x01" + b"\xff" * 500, DEEP),
    ],
}
UTF8_IN_JSON = [(b'"\xff"', UTF8), (b'{"\xed\xa0\xbd":1}', UTF8)]
PLACE = "a place for a value"


def encode(client, message, value):
    """Encodes the message, with these bytes in the place of PLACE."""
    whole = rawclient.encode(client.serializer, message)
    place = rawclient.encode(client.serializer, PLACE)
    assert whole.count(place) == 1
    return whole.replace(place, value) + (client.separator if client.batched else b"")


def values_for(client):
    # invalid UTF-8 in a text frame ends the WebSocket connection, whatever the message
    return VALUES[client.serializer] + (UTF8_IN_JSON if client.serializer == "json" and not client.has_close else [])


# key: how the error names the place; value: the request, with PLACE there
REQUESTS = {
    "CALL.Arguments": [CALL, 0, {}, "com.example.p", [1, PLACE]],
    "CALL.ArgumentsKw": [CALL, 0, {}, "com.example.p", [], {"a": PLACE}],
    "CALL.Options": [CALL, 0, {"x_own": PLACE}, "com.example.p"],
    "PUBLISH.Arguments": [PUBLISH, 0, {"acknowledge": True}, "com.example.t", [PLACE]],
    "PUBLISH.ArgumentsKw": [PUBLISH, 0, {"acknowledge": True}, "com.example.t", [1], {"a": [PLACE]}],
    "PUBLISH.Options": [PUBLISH, 0, {"x_own": [PLACE], "acknowledge": True}, "com.example.t"],
    "PUBLISH.Options.eligible": [PUBLISH, 0, {"eligible": [PLACE], "acknowledge": True}, "com.example.t"],
    "SUBSCRIBE.Options": [SUBSCRIBE, 0, {"x_own": PLACE}, "com.example.t"],
    "REGISTER.Options": [REGISTER, 0, {"x_own": {"deep": PLACE}}, "com.example.q"],
    "UNSUBSCRIBE.Options": [UNSUBSCRIBE, 0, 1, {"x_own": PLACE}],
    "UNREGISTER.Options": [UNREGISTER, 0, 1, {"x_own": PLACE}],
}
TEXTS = {
    "CALL.Procedure": [CALL, 0, {}, PLACE],
    "PUBLISH.Topic": [PUBLISH, 0, {"acknowledge": True}, PLACE],
    "SUBSCRIBE.Topic": [SUBSCRIBE, 0, {}, PLACE],
    "SUBSCRIBE.Options.match": [SUBSCRIBE, 0, {"match": PLACE}, "com.example.t"],
    "REGISTER.Procedure": [REGISTER, 0, {}, PLACE],
    "REGISTER.Options.invoke": [REGISTER, 0, {"invoke": PLACE}, "com.example.q"],
}


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor", "json.batched"])
def test_the_request_fails_and_says_why(routerd, join, serializer):
    client, other = join(routerd, serializer), join(routerd)
    subscription = other.subscribe("com.example.t")
    other.register("com.example.p", lambda a, k: (a, k))
    first = client.session
    for name, message in {**REQUESTS, **TEXTS}.items():
        for value, wrong in values_for(client):
            if name in TEXTS and value[:1] in b"[{\x81\x91\x9f\xa1\xc1\xdd":
                continue  # not a string at all
            if name in TEXTS and wrong == NAN:
                continue
            request = message[1] = client.next_request()
            client.send_payload(encode(client, message, value))
            error = client.recv()
            assert error[:5] == [ERROR, message[0], request, {}, INVALID], (name, value, error)
            assert error[5:] == [[f"{name}: {wrong}"]], value
    other.publish("com.example.t", ["alive"], acknowledge=True, exclude_me=False)
    assert other.event(subscription) == (["alive"], {})
    assert client.call("com.example.p", ["alive"], callee=other) == (["alive"], {})
    assert client.session == first and other.silent() == []


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_the_caller_hears_of_a_callees_value(routerd, join, serializer):
    """The callee is not told: an ERROR with the type YIELD (70) would end Autobahn."""
    callee, caller = join(routerd, serializer), join(routerd)
    callee.register("com.example.p")
    answers = {
        "YIELD.Arguments": lambda i: [YIELD, i, {}, [PLACE]],
        "YIELD.ArgumentsKw": lambda i: [YIELD, i, {}, [], {"a": PLACE}],
        "YIELD.Options": lambda i: [YIELD, i, {"x_own": PLACE}, [1]],
        "ERROR.Arguments": lambda i: [ERROR, INVOCATION, i, {}, "com.example.e", [PLACE]],
        "ERROR.ArgumentsKw": lambda i: [ERROR, INVOCATION, i, {}, "com.example.e", [], {"a": PLACE}],
        "ERROR.Details": lambda i: [ERROR, INVOCATION, i, {"x_own": PLACE}, "com.example.e"],
    }
    for name, answer in answers.items():
        for value, wrong in values_for(callee):
            request = caller.start_call("com.example.p")
            invocation = callee.expect(INVOCATION)[1]
            callee.send_payload(encode(callee, answer(invocation), value))
            with pytest.raises(WampError) as error:
                caller.result(request)
            assert error.value.uri == INVALID
            assert error.value.args_ == [f"the callee's answer: {name}: {wrong}"], (name, value)
            # the call is already answered
            callee.send([YIELD, invocation, {}, ["too late"]])
    # the router ignores a progressive result that nobody asked for, and an answer without an
    # invocation, whatever they carry
    request = caller.start_call("com.example.p")
    invocation = callee.expect(INVOCATION)[1]
    value = values_for(callee)[0][0]
    callee.send_payload(encode(callee, [YIELD, invocation, {"progress": True}, [PLACE]], value))
    callee.send_payload(encode(callee, [YIELD, 4711, {}, [PLACE]], value))
    callee.send([YIELD, invocation, {}, ["still registered"]])
    assert caller.result(request) == (["still registered"], {})
    assert callee.silent() == [] and caller.silent() == []


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_what_asks_for_no_answer_is_counted_and_logged(start_routerd, join, serializer):
    routerd = start_routerd(threads=1, cryptosign=False)
    client, other = join(routerd, serializer), join(routerd)
    subscription = other.subscribe("com.example.t")
    value, wrong = values_for(client)[0]
    for options in ({}, {"acknowledge": False}, {"acknowledge": None}):
        client.send_payload(encode(client, [PUBLISH, client.next_request(), options, "com.example.t", [PLACE]], value))
    client.send_payload(encode(client, [CANCEL, 4711, {"mode": PLACE}], value))
    client.publish("com.example.t", ["fine"], acknowledge=True)
    assert other.event(subscription) == (["fine"], {})
    assert client.silent() == [] and other.silent() == []
    routerd.wait_log(f'invalid value reason="PUBLISH.Arguments: {wrong}"')
    routerd.wait_log(f'publish dropped uri=com.example.t error={INVALID} reason="PUBLISH.Arguments: {wrong}"')
    routerd.wait_log(f'invalid value reason="CANCEL.Options.mode: {wrong}"')
    (counters,) = routerd.counters()
    assert counters["invalid_values"] == 4 and counters["publishes_dropped"] == 3
    assert counters["protocol_violations"] == 0


def test_where_there_is_no_request(routerd, connect, join):
    """HELLO, AUTHENTICATE and GOODBYE have no id that an ERROR could name, nor has a message that
    is unexpected now: the session ends."""
    hello = connect(routerd)
    hello.send_payload(encode(hello, [1, "devices", {"roles": {"caller": {}}, "authid": PLACE}], rb'"\ud83d"'))
    early = connect(routerd)
    early.send_payload(encode(early, [CALL, 1, {}, "com.example.p", [PLACE]], b"NaN"))
    goodbye = join(routerd)
    goodbye.send_payload(encode(goodbye, [6, {"message": PLACE}, "wamp.close.normal"], rb'"\ud83d"'))
    error = join(routerd)
    error.send_payload(encode(error, [ERROR, CALL, 1, {}, "com.example.e", [PLACE]], b"NaN"))
    for client, text in ((hello, f"HELLO.Details.authid: {SURROGATE}"), (early, "CALL: expected HELLO first"),
                         (goodbye, f"GOODBYE.Details.message: {SURROGATE}"),
                         (error, "ERROR.REQUEST.Type: expected 68 (INVOCATION)")):
        assert client.expect(rawclient.ABORT)[1:] == [{"message": text}, "wamp.error.protocol_violation"]
        client.wait_closed()


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_a_real_callee_stays_registered(routerd, puppets, kind, join, transport):
    """Its application yields and throws a cut emoji, or a NaN."""
    puppet = puppets(kind)
    callee = peers.Peer(puppet, routerd.url(), "json", name="callee")
    callee.register("com.example.invalid", kind="invalid")
    callee.register("com.example.echo")
    caller = join(routerd, "cbor")
    wrong = NAN if kind in peers.PYTHON else SURROGATE
    for _ in range(3):
        for args, message in (([], "YIELD"), (["throw"], "ERROR")):
            with pytest.raises(WampError) as error:
                caller.call("com.example.invalid", args)
            assert error.value.uri == INVALID, error.value.args_
            assert error.value.args_ == [f"the callee's answer: {message}.Arguments: {wrong}"]
    assert caller.call("com.example.echo", ["alive"]) == (["alive"], {})


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_a_real_caller_and_publisher_goes_on(routerd, puppets, kind, join, transport):
    puppet = puppets(kind)
    client = peers.Peer(puppet, routerd.url(), "json", name="client")
    other = join(routerd)
    subscription = other.subscribe("com.example.t")
    client.register("com.example.echo")
    value, wrong = (float("nan"), NAN) if kind in peers.PYTHON else ("\ud83d", SURROGATE)
    with pytest.raises(peers.PeerError) as error:
        client.call("com.example.echo", [value], {})
    assert error.value.uri == INVALID and error.value.args_ == [f"CALL.Arguments: {wrong}"]
    with pytest.raises(peers.PeerError) as error:
        client.publish("com.example.t", [value], {}, acknowledge=True)
    if kind == "wampy":  # wampy hides the reason and always sets acknowledge
        assert error.value.args_[0].startswith("PublishError: Wamp error")
    else:
        assert error.value.uri == INVALID and error.value.args_ == [f"PUBLISH.Arguments: {wrong}"]
        client.publish("com.example.t", [value], {})
    assert client.call("com.example.echo", ["alive"], {}) == (["alive"], {})
    client.publish("com.example.t", ["alive"], {}, acknowledge=True)
    assert other.event(subscription) == (["alive"], {})
    assert other.silent() == []
