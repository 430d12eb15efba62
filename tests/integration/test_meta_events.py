# SPDX-License-Identifier: Apache-2.0
"""The meta events (specification: "Meta API"), with the raw client and with real clients."""

import datetime
import re

import peers
import pytest
from rawclient import (ERROR, EVENT, GOODBYE, INVOCATION, SUBSCRIBE, SUBSCRIBED, TRANSPORTS, UNSUBSCRIBE,
                       WampError)
from utils import permission, router_config

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor"]
TOPICS = ["wamp.session.on_join", "wamp.session.on_leave"]
OTHERS = [f"wamp.{what}.on_{verb}" for what, verbs in (
    ("subscription", ("create", "subscribe", "unsubscribe", "delete")),
    ("registration", ("create", "register", "unregister", "delete"))) for verb in verbs]


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


def expect_create(listener, client, what, id_, **details):
    topic, (session, about) = listener.next()
    assert topic == f"{what}.on_create" and session == client.session
    created = about.pop("created")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)
    then = datetime.datetime.fromisoformat(created.replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()) < 60
    assert about == {"id": id_, **details}


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_subscriptions(routerd, join, serializer):
    listener = Listener(join(routerd, serializer), OTHERS)
    one, two = join(routerd, "cbor"), join(routerd)
    topic = one.subscribe("com.example.☃")
    expect_create(listener, one, "subscription", topic, uri="com.example.☃", match="exact")
    listener.expect("subscription.on_subscribe", one.session, topic)
    two.subscribe("com.example.☃")
    listener.expect("subscription.on_subscribe", two.session, topic)
    two.subscribe("com.example.☃")
    one.unsubscribe(topic)
    listener.expect("subscription.on_unsubscribe", one.session, topic)
    two.unsubscribe(topic)
    listener.expect("subscription.on_unsubscribe", two.session, topic)
    listener.expect("subscription.on_delete", two.session, topic)
    prefix = one.subscribe("com.example.", match="prefix")
    expect_create(listener, one, "subscription", prefix, uri="com.example.", match="prefix")
    listener.expect("subscription.on_subscribe", one.session, prefix)
    assert listener.client.silent() == []


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_registrations(routerd, join, serializer):
    listener = Listener(join(routerd, serializer), OTHERS)
    one, two = join(routerd, "cbor"), join(routerd)
    procedure = one.register("com.example.p")
    expect_create(listener, one, "registration", procedure, uri="com.example.p", match="exact", invoke="single")
    listener.expect("registration.on_register", one.session, procedure)
    with pytest.raises(WampError):
        two.register("com.example.p")
    one.unregister(procedure)
    listener.expect("registration.on_unregister", one.session, procedure)
    listener.expect("registration.on_delete", one.session, procedure)
    assert listener.client.silent() == []


def test_a_session_hears_of_what_it_does(routerd, join):
    """The answer comes first. It hears nothing of its own subscriptions to meta topics."""
    client = join(routerd)
    topics = {client.subscribe(topic): topic for topic in OTHERS}
    client.send([SUBSCRIBE, 101, {}, "com.example.t"])
    client.send([UNSUBSCRIBE, 102, 1 << 53])
    messages = [client.recv() for _ in range(4)]
    assert messages[0][:2] == [SUBSCRIBED, 101] and messages[3][:3] == [ERROR, UNSUBSCRIBE, 102]
    assert [topics[m[1]] for m in messages[1:3]] == OTHERS[:2]
    assert client.silent() == []


@pytest.mark.parametrize("way", ["leave", "close_socket", "violation", "kill"])
def test_what_a_session_had_ends_in_order(routerd, join, way):
    client, other, killer = join(routerd, "cbor"), join(routerd, "msgpack"), join(routerd)
    topics = [client.subscribe(f"com.example.t{i}") for i in range(3)]
    other.subscribe("com.example.t1")
    procedures = [client.register(f"com.example.p{i}") for i in range(2)]
    calls = [other.start_call(f"com.example.p{i}") for i in range(2)]
    for _ in calls:
        client.expect(INVOCATION)
    listener = Listener(join(routerd), TOPICS + OTHERS)
    if way == "violation":
        client.send_payload(b"?")
    elif way == "kill":
        killer.call("wamp.session.kill", [client.session])
    else:
        getattr(client, way)()
    events = [listener.next() for _ in range(10)]
    expected = [(f"registration.on_{verb}", [client.session, id_])
                for id_ in reversed(procedures) for verb in ("unregister", "delete")]
    for i, id_ in reversed(list(enumerate(topics))):
        expected += [(f"subscription.on_{verb}", [client.session, id_])
                     for verb in ("unsubscribe", "delete")[:1 if i == 1 else 2]]
    expected.append(("session.on_leave", [client.session, client.details["authid"], client.details["authrole"]]))
    assert events == expected
    for call in calls:
        with pytest.raises(WampError) as error:
            other.result(call)
        assert error.value.uri == "wamp.error.canceled"
    assert listener.client.silent() == []


def test_a_callee_is_killed_with_calls_in_flight(routerd, join):
    """One of the calls is its own, and one is the killer's. Each caller gets one answer."""
    callee, killer = join(routerd, "cbor"), join(routerd)
    callers = [join(routerd, s) for s in SERIALIZERS * 2]
    callee.register("com.example.p")
    calls = [(caller, caller.start_call("com.example.p")) for caller in callers for _ in range(16)]
    calls += [(killer, killer.start_call("com.example.p")) for _ in range(3)]
    callee.start_call("com.example.p")
    for _ in range(100):
        callee.expect(INVOCATION)
    listener = Listener(join(routerd), TOPICS)
    assert killer.call("wamp.session.kill", [callee.session]) == ([], {})
    expect_leave(listener, callee)
    for caller, call in calls:
        with pytest.raises(WampError) as error:
            caller.result(call)
        assert error.value.uri == "wamp.error.canceled"
    for client in [killer, listener.client, *callers]:
        assert client.silent() == []
    goodbye, = callee.unpack(callee.recv_message()[1])
    assert goodbye[0] == GOODBYE and callee.wait_closed()[1] == []


def test_counts_and_lists_agree_with_the_events(routerd, join):
    """Whoever hears of an end no longer finds what has ended, while a session ends in pieces, too."""
    asker, client, other = join(routerd), join(routerd, "msgpack"), join(routerd)
    topics = []
    for start in range(0, 3000, 500):
        client.send(*[[SUBSCRIBE, i + 1, {}, f"com.example.{i}"] for i in range(start, start + 500)])
        topics += [client.expect(SUBSCRIBED)[2] for _ in range(500)]
    other.subscribe("com.example.0")
    listener = Listener(asker, ["wamp.session.on_leave", "wamp.subscription.on_unsubscribe"])
    client.close_socket()
    for topic in reversed(topics):
        listener.expect("subscription.on_unsubscribe", client.session, topic)
        if topic % 50 == topics[0] % 50 and topic != topics[0]:
            with pytest.raises(WampError) as error:
                asker.call("wamp.subscription.count_subscribers", [topic])
            assert error.value.uri == "wamp.error.no_such_subscription"
            with pytest.raises(WampError) as error:
                asker.call("wamp.session.get", [client.session])
            assert error.value.uri == "wamp.error.no_such_session"
    assert asker.call("wamp.subscription.list_subscribers", [topics[0]]) == ([[other.session]], {})
    expect_leave(listener, client)


def test_kill_all_is_quiet(routerd, join):
    listener = Listener(join(routerd), TOPICS + OTHERS)
    killer = listener.client
    others = [join(routerd, s) for s in SERIALIZERS * 2]
    for other in others:
        expect_join(listener, other)
        other.subscribe("com.example.t")
    assert len(killer.silent()) == 1 + len(others)  # one on_create, and the on_subscribes
    killer.inbox.clear()
    assert killer.call("wamp.session.kill_all") == ([len(others)], {})
    assert killer.silent() == []
    assert killer.call("wamp.session.count") == ([1], {})


def test_patterns_get_meta_events(routerd, join):
    """One EVENT for each subscription that matches, with the topic in those of patterns."""
    client, other = join(routerd, "cbor"), join(routerd)
    topic = "wamp.subscription.on_delete"
    ids = [client.subscribe(topic), client.subscribe("wamp.sub", match="prefix"),
           client.subscribe("wamp..on_delete", match="wildcard")]
    for pattern, match in (("wamp.x", "prefix"), ("wamp..x", "wildcard"), ("wamp.", "wildcard")):
        with pytest.raises(WampError) as error:
            client.subscribe(pattern, match=match)
        assert error.value.uri == "wamp.error.invalid_uri"
    other.unsubscribe(other.subscribe("com.example.t"))
    events = [client.expect(EVENT) for _ in range(6)]
    assert [m[1] for m in events] == [ids[1]] * 3 + ids  # on_create, on_subscribe, on_unsubscribe
    assert len({m[2] for m in events}) == 4
    assert [m[3] for m in events[3:]] == [{}, {"topic": topic}, {"topic": topic}]
    assert events[3][4] == events[4][4] == events[5][4]
    assert client.silent() == []


def test_many_subscriptions_end_in_pieces(routerd, join):
    """A session with many subscriptions is lost. Others are served meanwhile, and each create has its
    delete, behind its unsubscribe."""
    many = 20000
    client = join(routerd, "msgpack")
    for start in range(0, many, 500):
        client.send(*[[SUBSCRIBE, i + 1, {}, f"com.example.{i}"] for i in range(start, start + 500)])
        for _ in range(500):
            client.expect(SUBSCRIBED)
    listener = Listener(join(routerd, "msgpack"), TOPICS + OTHERS)
    client.close_socket()
    left, unsubscribed, deleted = [], set(), set()
    other = join(routerd)
    served = 0
    while not left:
        other.call("wamp.session.count")
        served += 1
        for _ in range(1000):
            topic, args = listener.next()
            if topic == "session.on_join":
                assert args[0]["session"] == other.session
            elif topic == "session.on_leave":
                left.append(args)
                break
            else:
                assert args[0] == client.session
                assert topic == ("subscription.on_delete" if args[1] in unsubscribed else "subscription.on_unsubscribe")
                (deleted if args[1] in unsubscribed else unsubscribed).add(args[1])
    assert left[0][0] == client.session and len(deleted) == many and deleted == unsubscribed
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
        assert error.value.args_ == ["there is no meta event with this topic"]
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
        for topic in TOPICS + OTHERS:
            peer.subscribe(topic)
        client = join(routerd, "cbor")
        details, _ = client.call("wamp.session.get", [client.session])
        assert peer.event("wamp.session.on_join") == (details, {})
        for what, begin, verb, id_ in (("subscription", client.subscribe, "subscribe", "com.example.t"),
                                       ("registration", client.register, "register", "com.example.p")):
            id_ = begin(id_)
            (session, about), _ = peer.event(f"wamp.{what}.on_create")
            assert (session, about["id"]) == (client.session, id_)
            assert peer.event(f"wamp.{what}.on_{verb}") == ([client.session, id_], {})
            getattr(client, f"un{verb}")(id_)
            assert peer.event(f"wamp.{what}.on_un{verb}") == ([client.session, id_], {})
            assert peer.event(f"wamp.{what}.on_delete") == ([client.session, id_], {})
        client.leave()
        assert peer.event("wamp.session.on_leave") == (
            [client.session, client.details["authid"], client.details["authrole"]], {})
