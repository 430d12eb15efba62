# SPDX-License-Identifier: Apache-2.0
"""Walks the table of etc/doc/values.md: each value arrives, or is refused, as the table says, in each message
that carries values. Python's json, msgpack, cbor2 and ubjson make the bytes that are sent and expected."""

import re

import cbor2
import msgpack
import pages
import pytest
import rawclient
from rawclient import CALL, ERROR, EVENT, INVOCATION, PUBLISH, RESULT, YIELD
from utils import router_config

COLUMNS = ["json", "msgpack", "cbor", "ubjson"]
NAMES = {"json": "JSON", "msgpack": "MessagePack", "cbor": "CBOR", "ubjson": "UBJSON"}
PLACE = "a place for a value"
INVALID = "wamp.error.invalid_argument"


class Raw(str):
    """Encoded text or, in hexadecimal, encoded bytes."""


class Refused(str):
    """What the error names."""


NOTATION = {
    "null": None, "true": True, "false": False, "undefined": cbor2.undefined, "Infinity": float("inf"),
    "tag": cbor2.CBORTag, "timestamp": msgpack.Timestamp, "ext": msgpack.ExtType, "simple": cbor2.CBORSimpleValue,
    "raw": Raw,
}


def encoded(serializer, value):
    if isinstance(value, Raw):
        return value.encode() if serializer == "json" else bytes.fromhex(value)
    return rawclient.encode(serializer, value)


def cell(text, sent):
    """What a cell says. Each cell must say something that the test can check."""
    text = text.strip()
    if text == "as sent":
        return sent
    if text.startswith("refused: "):
        return Refused(text.removeprefix("refused: "))
    (code,) = re.fullmatch("`(.*)`", text).groups()
    return eval(code, {"__builtins__": {}}, NOTATION)


def table():
    """Yields (value, sender, sent, {receiver: what arrives})."""
    lines = [line for line in (pages.DOC / "values.md").read_text().split("## The table")[1].splitlines()
             if line.startswith("|")]
    head = [c.strip() for c in lines[0].strip("|").split("|")]
    assert head == ["value", "sender", "sent", *COLUMNS]
    assert set(COLUMNS) == {s.split(".")[0] for s in rawclient.SERIALIZERS} | {"ubjson"}
    for line in lines[2:]:
        value, senders, sent, *cells = (c.strip() for c in line.strip("|").split("|"))
        assert len(cells) == len(COLUMNS), line
        sent = cell(sent, None)
        for sender in COLUMNS if senders == "all" else senders.split(", "):
            assert sender in COLUMNS, line
            yield value, sender, sent, {c: cell(text, sent) for c, text in zip(COLUMNS, cells)}


ROWS = list(table())


def fill(serializer, message, value):
    """The message with these bytes in the place of PLACE."""
    whole = rawclient.encode(serializer, message)
    place = rawclient.encode(serializer, PLACE)
    assert whole.count(place) == 1
    return whole.replace(place, encoded(serializer, value))


def send(client, message, value):
    client.send_payload(fill(client.serializer, message, value))


def expect(client, message, value, what):
    """The next message is exactly this one, byte for byte; None stands for any id."""
    payload = client.recv_message()[1]
    value, place = encoded(client.serializer, value), rawclient.encode(client.serializer, PLACE)
    # decode without the value, because Python's codecs cannot read all values; its bytes may occur twice
    for at in [m.start() for m in re.finditer(b"(?=" + re.escape(value) + b")", payload)]:
        try:
            (got,) = client.unpack(payload[:at] + place + payload[at + len(value):])
        except Exception:
            continue
        if got == [g if m is None else m for m, g in zip(message, got)]:
            return got
    raise AssertionError(f"{what}: {payload!r} instead of {message} with {value!r}")


def expect_error(client, request, text):
    assert client.expect(ERROR) == [ERROR, CALL, request, {}, INVALID, [text]]


def refusal(place, value, serializer):
    return f"{place}: {value} cannot be expressed in {NAMES[serializer]}"


def test_the_table_has_every_kind_of_sender():
    assert {sender for _, sender, _, _ in ROWS} == set(COLUMNS)
    for _, sender, sent, cells in ROWS:
        # the sender's own column is what it sent
        assert encoded(sender, cells[sender]) == encoded(sender, sent)


@pytest.mark.parametrize("receiver", COLUMNS)
@pytest.mark.parametrize("sender", COLUMNS)
def test_each_row(routerd, join, sender, receiver):
    source, sink = join(routerd, sender), join(routerd, receiver)
    subscription = sink.subscribe("com.example.t")
    sink.register("com.example.sink")
    source.register("com.example.source")
    rows = [(what, sent, cells[receiver]) for what, s, sent, cells in ROWS if s == sender]
    undeliverable = 0
    for what, sent, arrives in rows:
        refused = isinstance(arrives, Refused)
        # PUBLISH, EVENT
        request = source.next_request()
        send(source, [PUBLISH, request, {"acknowledge": True}, "com.example.t", [0, PLACE], {"k": 1}], sent)
        source.expect(rawclient.PUBLISHED, request)
        if not refused:
            expect(sink, [EVENT, subscription, None, {}, [0, PLACE], {"k": 1}], arrives, what)
        # CALL, INVOCATION
        request = source.next_request()
        send(source, [CALL, request, {}, "com.example.sink", [0, 1], {"k": PLACE}], sent)
        if refused:
            expect_error(source, request, refusal("CALL.ArgumentsKw.k", arrives, receiver))
        else:
            invocation = expect(sink, [INVOCATION, None, None, {}, [0, 1], {"k": PLACE}], arrives, what)[1]
            sink.send([YIELD, invocation, {}])
            source.expect(RESULT, request)
        # YIELD, RESULT
        request = sink.start_call("com.example.source")
        send(source, [YIELD, source.expect(INVOCATION)[1], {}, [PLACE]], sent)
        if refused:
            expect_error(sink, request, refusal("the callee's answer: YIELD.Arguments[0]", arrives, receiver))
        else:
            expect(sink, [RESULT, request, {}, [PLACE]], arrives, what)
        # ERROR
        request = sink.start_call("com.example.source")
        send(source, [ERROR, INVOCATION, source.expect(INVOCATION)[1], {}, "com.example.e", [PLACE]], sent)
        if refused:
            expect_error(sink, request, refusal("the callee's answer: ERROR.Arguments[0]", arrives, receiver))
        else:
            expect(sink, [ERROR, CALL, request, {}, "com.example.e", [PLACE]], arrives, what)
        undeliverable += 4 * refused
    assert source.silent() == [] and sink.silent() == []
    assert routerd.total("undeliverable") == undeliverable
    for what, _, arrives in rows:
        if isinstance(arrives, Refused):
            # the log lines of later ones may be suppressed
            reason = refusal("PUBLISH.Arguments[1]", arrives, receiver)
            routerd.wait_log(re.escape(f'undeliverable type=EVENT uri=com.example.t reason="{reason}"'))
            break


@pytest.mark.parametrize("serializer", ["cbor", "cbor.batched"])
def test_tags_pass_unchanged_between_cbor_clients(start_routerd, join, threads, serializer):
    """Also where routerd keeps a payload."""
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = {"history": [{"uri": "com.example.t"}]}
    routerd = start_routerd(config)
    value = Raw("d825 9f c25f4101ff f0 f93c00 c0 6161 d9d9f7 3bffffffffffffffff f7 ff".replace(" ", ""))
    features = {"features": {"call_canceling": True, "progressive_call_invocations": True}}
    roles = {"publisher": {}, "subscriber": {}, "caller": features, "callee": features}
    source, sink = join(routerd, "cbor", roles=roles), join(routerd, serializer, roles=roles)
    sink.register("com.example.chunks")
    request = source.next_request()
    for progress in (True, True, False):
        send(source, [CALL, request, {"progress": progress}, "com.example.chunks", [PLACE]], value)
        assert wait_for_bytes(sink, encoded("cbor", value))
    subscription = sink.subscribe("com.example.t")
    send(source, [PUBLISH, source.next_request(), {"retain": True}, "com.example.t", [PLACE]], value)
    payload = sink.recv_message()[1]
    assert encoded("cbor", value) in payload
    sink.unsubscribe(subscription)
    sink.send([rawclient.SUBSCRIBE, sink.next_request(), {"get_retained": True}, "com.example.t"])
    assert wait_for_bytes(sink, encoded("cbor", value))
    sink.start_call("wamp.subscription.get_events", [subscription])
    assert wait_for_bytes(sink, encoded("cbor", value))
    send(source, [CALL, source.next_request(), {}, "wamp.session.add_testament", ["com.example.t", [PLACE], {}]], value)
    source.expect(RESULT)
    source.leave()
    assert wait_for_bytes(sink, encoded("cbor", value))


def wait_for_bytes(client, value, messages=3):
    return any(value in client.recv_message()[1] for _ in range(messages))
