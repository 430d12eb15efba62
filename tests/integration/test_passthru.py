# SPDX-License-Identifier: Apache-2.0
"""Payloads that only the endpoints understand (specification: "Payload Passthru Mode"), and Autobahn's
own form of it, payload transparency (enc_algo)."""

import itertools

import pytest
import rawclient
from rawclient import (ABORT, CALL, ERROR, EVENT, INTERRUPT, INVOCATION, PUBLISH, RESULT, YIELD)

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched"]
ROLES = ["publisher", "subscriber", "caller", "callee"]
PPT, ENC = "payload_passthru_mode", "payload_transparency"
SENDERS = {"CALL": "caller", "PUBLISH": "publisher", "YIELD": "callee", "ERROR": "callee"}
NOT_SUPPORTED = "wamp.error.feature_not_supported"

# binaries that a codec might change
BINARIES = [b"", b"\0", b"\xff\xfe\0\x01", bytes(range(256)), b"\x92" * 70001]
KEYS = {"ppt_scheme": "x_mine", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305",
        "ppt_keyid": "0x\u00fc\"\\ \U0001f600"}
CRYPTOBOX = {"enc_algo": "cryptobox", "enc_key": "k\u00e9y", "enc_serializer": "json"}


def roles(*features, only=ROLES):
    """Roles for HELLO, of which those in `only` announce the features."""
    return {r: {"features": dict.fromkeys(features, True)} if r in only else {} for r in ROLES}


def payload(message, index):
    return message[index:]


def pairs():
    return list(itertools.product(SERIALIZERS[:3], SERIALIZERS[:3]))


@pytest.fixture
def joined(join):
    """joined(routerd, serializer, *features) -> a client that announces the features in all roles."""
    return lambda routerd, serializer="json", *features, **kw: join(routerd, serializer, roles=roles(*features, **kw))


def exchange(caller, callee, options, items):
    """A call that is answered by a progressive result, a result or an error, all with these options
    and payloads."""
    request = caller.start_call_raw("com.example.p", {**options, "receive_progress": True}, items)
    invocation = callee.expect(INVOCATION)
    assert invocation[3:] == [{**options, "receive_progress": True}, *items]
    callee.send([YIELD, invocation[1], {**options, "progress": True}, *items], [YIELD, invocation[1], options, *items])
    assert caller.expect(RESULT, request)[2:] == [{**options, "progress": True}, *items]
    assert caller.expect(RESULT, request)[2:] == [options, *items]
    request = caller.start_call_raw("com.example.p", options, items)
    invocation = callee.expect(INVOCATION)
    assert invocation[3:] == [options, *items]
    callee.send([ERROR, INVOCATION, invocation[1], options, "com.example.e", *items])
    assert caller.expect(ERROR, CALL)[2:] == [request, options, "com.example.e", *items]


def start(self, procedure, options, items):
    request = self.next_request()
    self.send([CALL, request, options, procedure, *items])
    return request


rawclient.Client.start_call_raw = start


@pytest.mark.parametrize("options, wrap", [(KEYS, True), ({"ppt_scheme": "mqtt"}, True), (CRYPTOBOX, False),
                                           ({"enc_algo": "x_"}, False), ({**KEYS, **CRYPTOBOX}, False)],
                         ids=["ppt", "scheme", "enc", "algo", "both"])
def test_calls_between_all_serializers(routerd, joined, options, wrap):
    clients = [joined(routerd, s, PPT, ENC) for s in SERIALIZERS]
    for callee in clients:
        registration = callee.register("com.example.p")
        for caller in clients:
            for binary in BINARIES:
                exchange(caller, callee, options, [[binary]] if wrap else [binary])
        callee.unregister(registration)
    routerd.check_threads()


@pytest.mark.parametrize("options, wrap", [(KEYS, True), (CRYPTOBOX, False), ({**KEYS, **CRYPTOBOX}, False)],
                         ids=["ppt", "enc", "both"])
def test_events_between_all_serializers(routerd, joined, options, wrap):
    clients = [joined(routerd, s, PPT, ENC) for s in SERIALIZERS]
    for client in clients:
        client.subscribe("com.example.t")
    for sender in clients:
        for binary in BINARIES:
            items = [[binary]] if wrap else [binary]
            sender.send([PUBLISH, sender.next_request(), {**options, "exclude_me": False}, "com.example.t", *items])
            for client in clients:
                assert client.expect(EVENT)[3:] == [options, *items]
    routerd.check_threads()
