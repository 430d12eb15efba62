# SPDX-License-Identifier: Apache-2.0
"""The meta events (specification: "Meta API"), with the raw client and with real clients."""

import peers
import pytest
from rawclient import EVENT, SUBSCRIBE, SUBSCRIBED, TRANSPORTS, WampError
from utils import permission, router_config

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor"]
TOPICS = ["wamp.session.on_join", "wamp.session.on_leave"]


class Listener:
    """A client that has subscribed to meta topics, and takes their events in order."""

    def __init__(self, client, topics=TOPICS):
        self.client = client
        self.topics = {client.subscribe(topic): topic for topic in topics}
        self.publications = set()

    def next(self):
        """The topic, without its "wamp.", and the arguments."""
        message = self.client.expect(EVENT)
        assert len(message) == 5 and message[3] == {}, message
        assert message[2] not in self.publications
        self.publications.add(message[2])
        return self.topics[message[1]].removeprefix("wamp."), message[4]

    def expect(self, topic, *args):
        assert self.next() == (topic, list(args))


def expect_join(listener, client):
    details, _ = listener.client.call("wamp.session.get", [client.session])
    listener.expect("session.on_join", *details)


def expect_leave(listener, client):
    listener.expect("session.on_leave", client.session, client.details["authid"], client.details["authrole"])


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_sessions(routerd, join, serializer):
    listener = Listener(join(routerd, serializer))
    one = join(routerd, "cbor")
    expect_join(listener, one)
    two = join(routerd)
    expect_join(listener, two)
    one.leave()
    expect_leave(listener, one)
    two.close_socket()
    expect_leave(listener, two)
    one.join()
    expect_join(listener, one)
    one.send_payload(b"?")
    expect_leave(listener, one)
    assert listener.client.silent() == []


def test_each_listener_gets_each_event(routerd, join):
    listeners = [Listener(join(routerd, s)) for s in SERIALIZERS * 2]
    for n, listener in enumerate(listeners):
        for other in listeners[n + 1:]:
            expect_join(listener, other.client)
    listeners[0].client.close_socket()
    for listener in listeners[1:]:
        expect_leave(listener, listeners[0].client)
        assert listener.client.silent() == []
    routerd.check_threads()


def test_topics_that_do_not_exist(routerd, join):
    client = join(routerd)
    for topic in ("wamp.session.on_joi", "wamp.session.on_join.x", "wamp.session", "wamp.session.on_stats", "wamp",
                  "wamp.x"):
        with pytest.raises(WampError) as error:
            client.subscribe(topic)
        assert error.value.uri == "wamp.error.invalid_uri"
        assert error.value.args_ == ["no meta event has this topic: no event would ever come"]
    client.send([SUBSCRIBE, 99, {}, "wamp.session.on_join"])
    assert client.recv()[:2] == [SUBSCRIBED, 99]


def test_the_right_to_subscribe_is_needed(start_routerd, join, threads):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = [
        permission("", "prefix", subscribe=True, call=True), permission("wamp.session.on_leave", "exact", call=True)]
    routerd = start_routerd(config)
    client = join(routerd)
    with pytest.raises(WampError) as error:
        client.subscribe("wamp.session.on_leave")
    assert error.value.uri == "wamp.error.not_authorized"
    listener = Listener(client, ["wamp.session.on_join"])
    expect_join(listener, join(routerd))


@pytest.mark.parametrize("kind", ["ab-twisted", "ab-new-asyncio", "autobahn-js", "wampy"])
def test_real_clients(routerd, join, puppets, transport, kind):
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        peer = peers.Peer(puppet, routerd.url(), serializer)
        for topic in TOPICS:
            peer.subscribe(topic)
        client = join(routerd, "cbor")
        details, _ = client.call("wamp.session.get", [client.session])
        assert peer.event("wamp.session.on_join") == (details, {})
        client.leave()
        assert peer.event("wamp.session.on_leave") == (
            [client.session, client.details["authid"], client.details["authrole"]], {})
