# SPDX-License-Identifier: Apache-2.0
"""Events and calls between every pair of serializers, with the raw client and with real clients."""

import peers
import pytest
import values
from rawclient import SERIALIZERS, TRANSPORTS

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

KWARGS = {"first": 1, "nested": {"list": [1, 2.5, None, True]}, "text": "☃"}


def uri(kind, name):
    return f"com.example.{kind}.{name.replace('.', '-')}"


def test_every_pair_of_serializers(routerd, join):
    """36 pairs, each with an event and a call that carry values of all types."""
    sent = values.COMMON + values.BINARY + values.EXACT
    receivers, subscriptions = {}, {}
    for name in SERIALIZERS:
        client = receivers[name] = join(routerd, name)
        client.register(uri("echo", name), lambda args, kwargs: (args, kwargs))
        subscriptions[name] = client.subscribe(uri("topic", name))
    for source in SERIALIZERS:
        sender = join(routerd, source)
        for target, client in receivers.items():
            who = f"{source} -> {target}"
            args, kwargs = sender.call(uri("echo", target), sent, KWARGS, callee=client)
            values.check(sent, args, f"call {who} and back")
            assert kwargs == KWARGS, who
            sender.publish(uri("topic", target), sent, KWARGS, acknowledge=True)
            args, kwargs = client.event(subscriptions[target])
            values.check(sent, args, f"event {who}")
            assert kwargs == KWARGS, who
    routerd.check_threads()


@pytest.mark.websocket
@pytest.mark.parametrize("separator", [b"\x18", b"\x1e"], ids=["0x18", "0x1e"])
def test_json_batches_use_the_separator_of_the_peer(routerd, connect, separator):
    client = connect(routerd, "json.batched", separator=separator)
    client.join()
    client.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    assert client.call("com.example.echo", ["x"]) == (["x"], {})


@pytest.mark.websocket
@pytest.mark.parametrize("serializer", ["json.batched", "msgpack.batched", "cbor.batched"])
def test_many_messages_in_one_batch(routerd, join, serializer):
    client = join(routerd, serializer)
    client.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    client.send(*[[48, client.next_request(), {}, "com.example.echo", [i]] for i in range(500)])
    first = client.request - 499
    for i in range(500):
        assert client.result(first + i) == ([i], {})


def test_one_event_to_receivers_of_all_serializers(routerd, join):
    """The payload is encoded once for each serializer; all its receivers share the result."""
    sent = values.COMMON + values.BINARY
    receivers = [join(routerd, s) for s in SERIALIZERS for _ in range(3)]
    subscriptions = [r.subscribe("com.example.all") for r in receivers]
    for source in SERIALIZERS:
        sender = join(routerd, source)
        sender.publish("com.example.all", sent, KWARGS)
        for receiver, subscription in zip(receivers, subscriptions):
            args, kwargs = receiver.event(subscription)
            values.check(sent, args, f"{source} -> {receiver.protocol}")
            assert kwargs == KWARGS
    routerd.check_threads()


def test_absent_and_empty_payloads(routerd, join):
    """A receiver cannot tell [], {} and an absent payload apart."""
    callee, caller = join(routerd, "cbor"), join(routerd, "json")
    callee.register("com.example.echo", lambda args, kwargs: (args, kwargs))
    for payload in ([], [[]], [[], {}], [[1], {}], [[], {"k": 1}]):
        request = caller.next_request()
        caller.send([48, request, {}, "com.example.echo", *payload])
        callee.serve(1)
        args, kwargs = caller.result(request)
        assert args == (payload[0] if payload else [])
        assert kwargs == (payload[1] if len(payload) > 1 else {})


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_clients(routerd, puppets, kind, join, transport):
    """Every serializer of this client calls and publishes to every other, and to the raw client."""
    url, puppet = routerd.url(), puppets(kind)
    python = kind in peers.PYTHON
    names = peers.serializers(kind, transport)
    receivers = {n: peers.Peer(puppet, url, n, name=f"r-{n}") for n in names}
    raw = join(routerd, "json")
    join(routerd)  # gives each worker a session, however few serializers there are
    raw.register(uri("echo", "raw"), lambda args, kwargs: (args, kwargs))
    raw_topic = raw.subscribe(uri("topic", "raw"))
    for name, receiver in receivers.items():
        receiver.register(uri("echo", name))
        receiver.register(uri("fail", name), kind="fail")
        receiver.subscribe(uri("topic", name))
    for source in names:
        sender = peers.Peer(puppet, url, source, name=f"s-{source}")
        for target, receiver in receivers.items():
            sent = list(values.COMMON)
            if python:
                sent += values.BINARY + values.EXACT
            elif "json" not in (source, target):
                sent += values.BINARY
            who = f"{kind}: {source} -> {target}"
            args, kwargs = sender.call(uri("echo", target), sent, KWARGS)
            values.check(sent, args, f"call {who}")
            assert kwargs == KWARGS, who
            with pytest.raises(peers.PeerError) as error:
                sender.call(uri("fail", target), [1, "two"], {"three": 3})
            assert error.value.uri == "com.example.failed"
            assert error.value.args_ == [1, "two"]
            assert error.value.kwargs == {"three": 3}
            sender.publish(uri("topic", target), sent, KWARGS, acknowledge=True)
            args, kwargs = receiver.event(uri("topic", target))
            values.check(sent, args, f"event {who}")
            assert kwargs == KWARGS, who
        pending = puppet.start("call", s=sender.name, proc=uri("echo", "raw"), args=[source], kwargs={})
        raw.serve(1)
        assert puppet.finish(pending)["args"] == [source]
        sender.publish(uri("topic", "raw"), [source], {})
        assert raw.event(raw_topic)[0] == [source]
        sender.leave()
    for name, receiver in receivers.items():
        receiver.unregister(uri("echo", name))
        receiver.unsubscribe(uri("topic", name))
        receiver.leave()
    routerd.check_threads()


@pytest.mark.websocket
def test_different_clients_together(start_routerd, puppets):
    """Two versions of Autobahn|Python, autobahn-js and wampy call each other in one realm."""
    routerd = start_routerd(threads=4, cryptosign=False)
    chosen = {"ab-twisted": "cbor.batched", "ab-new-asyncio": "msgpack.batched",
              "autobahn-js": "json", "wampy": "cbor"}
    everyone = {k: peers.Peer(puppets(k), routerd.url(), s, name=k) for k, s in chosen.items()}
    for kind, peer in everyone.items():
        peer.register(uri("echo", kind))
        peer.subscribe("com.example.news")
    for source, sender in everyone.items():
        for target in everyone:
            args, _ = sender.call(uri("echo", target), values.COMMON, {})
            values.check(values.COMMON, args, f"{source} -> {target}",
                         javascript=target in peers.JAVASCRIPT)
        sender.publish("com.example.news", [source, 1.5, "ü"], {"k": [1]}, acknowledge=True)
        for target, receiver in everyone.items():
            if target != source:
                assert receiver.event("com.example.news") == ([source, 1.5, "ü"], {"k": [1]})
    routerd.check_threads()
