# SPDX-License-Identifier: Apache-2.0
"""UBJSON: over each transport, to and from the other serializers, and with Autobahn|Python."""

import peers
import pytest
import values
from rawclient import Client, RawSocket, Ws

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
