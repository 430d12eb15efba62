# SPDX-License-Identifier: Apache-2.0
"""Retained events (specification: "Event Retention"), with the raw client and real clients: who gets
which event, in which order, also while others publish, and what the store takes."""

import itertools
import signal
import threading

import peers
import pytest
import rawclient
from rawclient import ERROR, EVENT, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, stands_still, worker_of
from utils import SLOW, realm_counter, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def config_with(threads, **options):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = options
    return config


def retain(client, topic, *args, **options):
    return client.publish(topic, list(args), acknowledge=True, retain=True, **options)


def get_retained(client, topic, **options):
    """Subscribes, and unsubscribes. Returns the retained events: (publication, Details, args)."""
    subscription = client.subscribe(topic, get_retained=True, **options)
    client.unsubscribe(subscription)
    events = list(client.inbox)
    client.inbox.clear()
    assert all(e[:2] == [EVENT, subscription] and e[3].pop("retained") is True for e in events), events
    return [(e[2], e[3], e[4]) for e in events]


def args_of(client, topic, **options):
    return [args for _, _, args in get_retained(client, topic, **options)]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor", "json.batched"])
def test_the_last_event_comes_after_subscribed(routerd, join, serializer):
    sender, receiver = join(routerd, "cbor"), join(routerd, serializer)
    for n in range(3):
        publication = sender.publish("com.example.t", [n, b"bytes"], {"k": n}, acknowledge=True, retain=True)
    receiver.send([SUBSCRIBE, 9, {"get_retained": True}, "com.example.t"])
    subscribed = receiver.recv()
    assert subscribed[:2] == [SUBSCRIBED, 9]
    assert receiver.recv() == [EVENT, subscribed[2], publication, {"retained": True}, [2, b"bytes"], {"k": 2}]
    # live events follow, without the mark
    live = sender.publish("com.example.t", [3], acknowledge=True)
    assert receiver.recv() == [EVENT, subscribed[2], live, {}, [3]]
    # again for a member; only for those who ask; only the event that was published with retain
    assert get_retained(receiver, "com.example.t") == [(publication, {}, [2, b"bytes"])]
    assert join(routerd).subscribe("com.example.t") != subscribed[2]
    assert receiver.silent() == [] and sender.silent() == []


def test_patterns_in_the_order_of_publication(routerd, join):
    sender, receiver = join(routerd), join(routerd, "msgpack")
    for n, topic in enumerate(["com.b.x", "com.a.x", "com.c.y", "com.ab.x", "com.b.x", "org.b.x"]):
        retain(sender, topic, n)
    for pattern, match, expected in (
            ("com.", "prefix", ["com.a.x", "com.c.y", "com.ab.x", "com.b.x"]), ("com.a", "prefix", ["com.a.x", "com.ab.x"]),
            ("com..x", "wildcard", ["com.a.x", "com.ab.x", "com.b.x"]), (".b.x", "wildcard", ["com.b.x", "org.b.x"]),
            ("com..", "wildcard", ["com.a.x", "com.c.y", "com.ab.x", "com.b.x"]), ("com.", "wildcard", []),
            ("com.b.x", "prefix", ["com.b.x"]), ("com.a.", "prefix", ["com.a.x"]), ("x", "prefix", [])):
        events = get_retained(receiver, pattern, match=match)
        assert [details["topic"] for _, details, _ in events] == expected, (pattern, match)
        assert [args for _, _, args in events] == sorted(args for _, _, args in events)


def test_each_gets_the_newest_that_it_may_have(routerd, join):
    sender, a, b = join(routerd), join(routerd, "cbor"), join(routerd, "msgpack")
    retain(sender, "com.example.t", 1)
    retain(sender, "com.example.t", 2, eligible=[a.session])
    retain(sender, "com.example.t", 3, exclude_authid=[a.details["authid"], b.details["authid"]])
    retain(sender, "com.example.t", 4, eligible=[])
    for topic, match in (("com.example.t", "exact"), ("com.", "prefix"), ("..t", "wildcard")):
        assert args_of(a, topic, match=match) == [[2]]
        assert args_of(b, topic, match=match) == [[1]]
        assert args_of(join(routerd), topic, match=match) == [[3]]
    # the same list again replaces its event; an event for all replaces everything
    retain(sender, "com.example.t", 5, eligible=[a.session])
    assert args_of(a, "com.example.t") == [[5]]
    retain(sender, "com.example.t", 6)
    assert args_of(a, "com.example.t") == args_of(b, "com.example.t") == [[6]]


def test_the_publisher_does_not_get_its_own(routerd, join):
    sender = join(routerd)
    retain(sender, "com.example.t", 1)
    assert args_of(sender, "com.example.t") == []
    retain(sender, "com.example.u", 2, exclude_me=False)
    assert args_of(sender, "com.example.u") == [[2]]
    assert args_of(sender, "com.", match="prefix") == [[2]]
    # the next session on the same connection is another one
    sender.leave()
    sender.join()
    assert args_of(sender, "com.", match="prefix") == [[1], [2]]


def test_the_publisher_as_it_was_disclosed(start_routerd, threads, join):
    config = config_with(threads)
    config["realms"][0]["roles"][0]["permissions"][0]["trust_level"] = 3
    routerd = start_routerd(config)
    sender = join(routerd)
    publisher = {"publisher": sender.session, "publisher_authid": sender.details["authid"],
                 "publisher_authrole": "device", "trustlevel": 3}
    id = retain(sender, "com.example.t", 1, disclose_me=True)
    sender.leave()
    assert get_retained(join(routerd, "cbor"), "com.example.t") == [(id, publisher, [1])]


def test_a_retained_event_without_arguments(routerd, join):
    """It replaces the last one, and does not delete it."""
    sender, receiver = join(routerd), join(routerd)
    retain(sender, "com.example.t", 1)
    id = sender.publish("com.example.t", acknowledge=True, retain=True)
    subscription = receiver.subscribe("com.example.t", get_retained=True)
    assert receiver.silent() == [[EVENT, subscription, id, {"retained": True}]]


def test_options_of_the_wrong_type(routerd, join):
    for message, text in (([16, 1, {"retain": 1}, "com.t"], "PUBLISH.Options.retain: expected a boolean"),
                          ([32, 1, {"get_retained": "yes"}, "com.t"],
                           "SUBSCRIBE.Options.get_retained: expected a boolean")):
        client = join(routerd)
        client.send(message)
        assert client.expect(3)[1:] == [{"message": text}, "wamp.error.protocol_violation"]


# --- many at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["json", "cbor.batched"])
def test_one_search_at_a_time(start_routerd, join, serializer):
    """The owner of the realm searches for a session only once it has answered the session before: a client
    cannot make it search thousands of times in a row. What stands behind the request waits, too."""
    config = config_with(4)
    config["debug"] = {"stall_worker": 3}  # the owner
    routerd = start_routerd(config)
    everyone = [join(routerd, serializer) for _ in range(8)]
    owner = [c for c in everyone if worker_of(c) == 3]
    plain, client = [c for c in everyone if c not in owner][:2]
    retain(owner[0], "com.t", 1)

    def send(client, topic, **options):
        client.send([SUBSCRIBE, client.next_request(), {"get_retained": True, **options}, topic])

    routerd.signal(signal.SIGUSR2)
    try:
        wait_for(lambda: stands_still(owner[0]), "the owner to stand still")
        for _ in range(10):
            send(plain, "com.t")
            send(plain, "com.t", match="exact")
        assert not stands_still(plain)
        send(client, "com.", match="prefix")
        assert not stands_still(client)
        for pattern, match in (("co", "prefix"), (".t", "wildcard"), ("com.t", "exact")):
            send(client, pattern, match=match)
        assert stands_still(client)
    finally:
        routerd.signal(signal.SIGUSR2)
    for c, n in ((plain, 20), (client, 4)):
        got = c.silent()
        assert [m[0] for m in got if m[0] != ERROR] == [SUBSCRIBED, EVENT] * n
        requests = [m[1] for m in got if m[0] == SUBSCRIBED]
        assert requests == sorted(requests)
    assert [m[4] for m in got if m[0] == ERROR] == ["wamp.error.invalid_uri"]


@pytest.mark.parametrize("serializer", ["msgpack", "json.batched"])
def test_searches_that_are_refused(start_routerd, threads, join, serializer):
    """An ERROR ends the wait as well; and so does the end of the session."""
    config = config_with(threads)
    config["limits"] = {"session_subscriptions": 2}
    routerd = start_routerd(config)
    client = join(routerd, serializer)
    for _ in range(2):
        first = client.request + 1
        for n in range(6):
            client.send([SUBSCRIBE, client.next_request(), {"get_retained": True, "match": "prefix"}, f"com.{n}" if n != 3 else ".."])
        got = client.silent()
        assert [m[0] for m in got] == [SUBSCRIBED] * 2 + [ERROR] * 4
        assert [m[1] if m[0] == SUBSCRIBED else m[2] for m in got] == list(range(first, first + 6))
        client.inbox.clear()
        client.leave()
        client.join()
    for n in range(100):
        client.send([SUBSCRIBE, client.next_request(), {"get_retained": True, "match": "prefix"}, f"com.{n % 2}"])
    client.close_socket()
    wait_for(lambda: realm_counter(routerd, "sessions") == 0, "the session to end")
    assert realm_counter(routerd, "memberships") == 0


# --- limits ---------------------------------------------------------------------------------


def test_a_full_store(start_routerd, threads, join):
    """New topics are not kept, and known ones are. A reload may lower the limit; nothing is lost."""
    routerd = start_routerd(config_with(threads, retained_topics=2))
    sender, receiver = join(routerd), join(routerd, "cbor")

    def reload(**options):
        before = routerd.log().count("reload done")
        routerd.config["realms"][0]["options"] = options
        routerd.write_config()
        routerd.signal(signal.SIGHUP)
        wait_for(lambda: routerd.log().count("reload done") > before, "the reload")

    for n, topic in enumerate(["com.a", "com.b", "com.c", "com.a"]):
        retain(sender, topic, n)
    routerd.wait_log("event not retained realm=devices .*retained_topics or retained_size")
    assert args_of(receiver, "com.", match="prefix") == [[1], [3]]
    assert [realm_counter(routerd, n) for n in ("retained_topics", "retained_full")] == [2, 1]
    reload(retained_topics=1, retained_size=1024)
    retain(sender, "com.a", 4)
    retain(sender, "com.c", 5)
    assert args_of(receiver, "com.", match="prefix") == [[1], [4]]
    reload(retained_topics=3)
    retain(sender, "com.c", 6)
    retain(sender, "com.d", 7)
    assert args_of(receiver, "com.", match="prefix") == [[1], [4], [6]]
    # events get too old; the clock of the test cannot be moved, so wait for the counter
    reload(retained_age=10)
    wait_for(lambda: args_of(receiver, "com.", match="prefix") == [], "the events to expire")
    assert realm_counter(routerd, "retained_topics") == 0


def test_a_subscriber_with_a_small_queue(start_routerd, threads, join):
    """It gets the newest that fill a quarter of its queue. No connection ends."""
    config = config_with(threads)
    config["limits"] = {"queue_size": 256 << 10}
    routerd = start_routerd(config)
    sender, receiver = join(routerd, "msgpack"), join(routerd)
    for n in range(100):
        retain(sender, f"com.t{n}", n, "x" * 10000)
    assert [a[0] for a in args_of(receiver, "com.", match="prefix")] == list(range(94, 100))
    # one event is always sent, if it fits at all
    retain(sender, "com.large", 100, "x" * 150000)
    assert [a[0] for a in args_of(receiver, "com.", match="prefix")] == [100]
    # these need six times the room in JSON
    for n in range(100):
        retain(sender, f"com.t{n}", n, "\1" * 10000)
    numbers = [a[0] for a in args_of(receiver, "com.", match="prefix")]
    assert 0 < len(numbers) < 7 and numbers == list(range(94, 94 + len(numbers)))
    assert routerd.total("undeliverable") == 6 - len(numbers)
    assert receiver.silent() == []


def test_the_newest_thousand(start_routerd, threads, join):
    routerd = start_routerd(config_with(threads))
    sender, receiver = join(routerd, "cbor"), join(routerd, "cbor")
    for n in range(3000):
        sender.publish(f"com.t{n * 1999 % 3000}", [n], retain=True)
    assert sender.silent() == []
    assert args_of(receiver, "com.", match="prefix") == [[n] for n in range(2000, 3000)]
    assert receiver.silent() == []


@pytest.mark.skipif(SLOW != 2, reason="sanitizers and valgrind keep freed memory")
def test_memory_stays_within_the_limit(start_routerd, threads, join):
    """Subscribers with other serializers read large events; the store keeps no copies for them."""
    size = 64 << 20
    config = config_with(threads, retained_size=size)
    config["transports"][0]["options"] = {"max_message_size": 2 << 20}
    routerd = start_routerd(config)
    sender = join(routerd, "msgpack")
    readers = [join(routerd, s) for s in ("msgpack", "cbor", "json")]
    retain(sender, "com.warm", 0, "x" * (1 << 20))
    for reader in readers:
        assert len(args_of(reader, "com.warm")) == 1
    before = routerd.rss()
    for n in range(70):
        retain(sender, f"com.t{n}", n, "x" * (1 << 20))
    kept = realm_counter(routerd, "retained_bytes")
    assert size - (2 << 20) < kept <= size
    topics = realm_counter(routerd, "retained_topics")
    for n in range(1, topics - 1):
        for reader in readers:
            assert args_of(reader, f"com.t{n}")[0][0] == n
    assert routerd.rss() - before < size * 1.01 + (8 << 20)


# --- publishing and subscribing at the same time --------------------------------------------


class Numbers(threading.Thread):
    """Publishes 1, 2, 3, ... with `retain` on two topics, and events for nobody else in between."""

    TOPICS = ["com.example.a", "com.example.b"]

    def __init__(self, client):
        super().__init__()
        self.client = client
        self.ids = {topic: {} for topic in self.TOPICS}
        self.stop = threading.Event()

    def run(self):
        for n in itertools.count(1):
            for topic in self.TOPICS:
                self.ids[topic][n] = retain(self.client, topic, n)
                retain(self.client, topic, "secret", eligible_authid=["nobody"])
            if self.stop.is_set():
                return


def check_stretch(messages, topic, details, last, seen):
    """What a subscriber has got between SUBSCRIBED and UNSUBSCRIBED about one topic."""
    numbers = [m[4][0] for m in messages]
    if not numbers:
        assert topic not in last
        return
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    assert numbers[0] >= last.get(topic, 0)
    first_is_retained = messages[0][3] == {**details, "retained": True}
    # the first event ever may be live
    assert first_is_retained or (topic not in last and numbers[0] == 1 and messages[0][3] == details)
    assert all(m[3] == details for m in messages[1:])
    last[topic] = numbers[-1]
    seen.update((topic, m[4][0], m[2]) for m in messages)


def subscribe_while_publishing(routerd, join, rounds):
    """Test 18 of those that catch typical bugs."""
    publisher = Numbers(join(routerd, "msgpack"))
    receivers = [join(routerd, s) for s in ("cbor", "json", "msgpack")]
    kinds = [("com.example.a", {}), ("com.", {"match": "prefix"}), (".example.", {"match": "wildcard"})]
    last, seen = [{} for _ in kinds], set()
    publisher.start()
    try:
        for _ in range(rounds):
            for receiver, (topic, options), state in zip(receivers, kinds, last):
                subscription = receiver.subscribe(topic, get_retained=True, **options)
                request = receiver.next_request()
                receiver.send([UNSUBSCRIBE, request, subscription])
                receiver.expect(UNSUBSCRIBED, request)
                events = list(receiver.inbox)
                receiver.inbox.clear()
                assert all(m[:2] == [EVENT, subscription] and m[4] != ["secret"] for m in events)
                if not options:
                    check_stretch(events, topic, {}, state, seen)
                    continue
                for name in Numbers.TOPICS:
                    check_stretch([m for m in events if m[3]["topic"] == name], name, {"topic": name}, state, seen)
    finally:
        publisher.stop.set()
        publisher.join()
    assert all(publisher.ids[topic][n] == id for topic, n, id in seen)
    assert all(last[i]["com.example.a"] > rounds / 100 for i in range(3)), "nothing happened at the same time"
    return seen


def test_subscribing_while_another_publishes(routerd, join):
    seen = subscribe_while_publishing(routerd, join, 500)
    assert len(seen) > 100
    routerd.check_threads()


@pytest.mark.long
def test_subscribing_often_while_another_publishes(routerd, join):
    subscribe_while_publishing(routerd, join, 10000)


# --- real clients ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*peers.PYTHON, *peers.JAVASCRIPT])
def test_real_clients(routerd, join, puppets, transport, kind):
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        sender, receiver = [peers.Peer(puppet, routerd.url(), serializer) for _ in range(2)]
        raw, other = join(routerd, "cbor"), join(routerd, "json")
        topics = [f"com.{serializer}.t{i}" for i in range(3)]
        # wampy 8 checks the option retain, but does not send it
        source = other if kind == "wampy" else sender
        source.publish(topics[0], ["old"], {}, acknowledge=True, retain=True)
        source.publish(topics[0], ["state"], {"k": 1}, acknowledge=True, retain=True)
        assert [e[4:] for e in events_of(raw, topics[0])] == [[["state"], {"k": 1}]]
        retain(other, topics[1], "two")
        receiver.subscribe(topics[0], get_retained=True)
        event = puppet.event(s=receiver.name)
        assert (event["args"], event["kwargs"], event["retained"]) == (["state"], {"k": 1}, True), str(receiver)
        sender.publish(topics[0], ["live"], {}, acknowledge=True)
        event = puppet.event(s=receiver.name)
        assert (event["args"], event["retained"]) == (["live"], False)
        receiver.subscribe(f"com.{serializer}", match="prefix", get_retained=True)
        for topic, args in ((topics[0], ["state"]), (topics[1], ["two"])):
            event = puppet.event(s=receiver.name)
            assert (event["args"], event["matched"], event["retained"]) == (args, topic, True), str(receiver)


def events_of(client, topic):
    client.subscribe(topic, get_retained=True)
    events = client.silent()
    client.inbox.clear()
    return events
