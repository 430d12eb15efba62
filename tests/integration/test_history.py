# SPDX-License-Identifier: Apache-2.0
"""Event history: wamp.subscription.get_events, with the raw client and with real clients."""

import datetime
import re
import signal
import time

import peers
import pytest
import rawclient
from rawclient import CALL, ERROR, EVENT, RESULT, WampError, stands_still, worker_of
from utils import permission, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor"]
TOPIC = "com.example.log"


@pytest.fixture
def start(start_routerd, threads):
    """start(*histories, permissions=None, realm=None, **limits) -> a router that keeps these histories."""

    def go(*histories, permissions=None, **limits):
        config = router_config(threads, cryptosign=False)
        config["realms"][0]["options"] = {"history": list(histories) or [{"uri": TOPIC}]}
        if permissions:
            config["realms"][0]["roles"][0]["permissions"] = permissions
        if limits:
            config["limits"] = limits
        return start_routerd(config)

    return go


def lookup(client, topic=TOPIC, match="exact"):
    (found,), _ = client.call("wamp.subscription.lookup", [topic, {"match": match}])
    return found


def get(client, subscription, **query):
    """The events, and the keyword results."""
    return client.call("wamp.subscription.get_events", [subscription], query)


def values(client, subscription, **query):
    """The first argument of each event."""
    return [e["args"][0] for e in get(client, subscription, **query)[0]]


def error_of(function, *args, **kw):
    with pytest.raises(WampError) as error:
        function(*args, **kw)
    return error.value


def publish(client, *args, topic=TOPIC, **options):
    return [client.publish(topic, [a], acknowledge=True, **options) for a in args]


def realm_counters(routerd):
    (line,) = re.findall(r"counters realm=devices (.*)", routerd.log_counters())
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)\b", line)}


DONE = {"is_limit_reached": False}


# --- what is kept ---------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_an_event_is_as_its_subscribers_got_it(start, join, serializer):
    routerd = start()
    sender, reader, live = join(routerd, "cbor"), join(routerd, serializer), join(routerd, serializer)
    subscription = lookup(reader)
    assert get(reader, subscription) == ([], DONE)
    assert live.subscribe(TOPIC) == subscription
    before = time.time() - 0.01
    payloads = [(None, None), ([], {"k": 1}), ([1, "ä", [None, {"x": 2.5}], b"\x00\xff"], {"k": {"y": []}}), ([True], None)]
    ids = [sender.publish(TOPIC, *p, acknowledge=True, disclose_me=i == 1) for i, p in enumerate(payloads)]
    events, more = get(reader, subscription)
    assert more == DONE
    for event, publication in zip(events, ids, strict=True):
        message = live.expect(EVENT, subscription)
        assert message[2] == publication == event["publication"]
        assert event["subscription"] == subscription
        expected = dict(zip(("details", "args", "kwargs"), message[3:]))
        assert {key: event[key] for key in event if key in ("details", "args", "kwargs")} == expected
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
        moment = datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()
        assert before <= moment <= time.time() + 0.01
    assert events[1]["details"]["publisher"] == sender.session
    assert events[0]["details"] == {}
    assert set(events[0]) == {"timestamp", "subscription", "publication", "details"}


def test_the_subscription_exists_without_members(start, join):
    routerd = start({"uri": TOPIC}, {"uri": "com.example.", "match": "prefix"}, {"uri": "com..log", "match": "wildcard"})
    client, watcher = join(routerd), join(routerd)
    for event in ("create", "delete", "subscribe", "unsubscribe"):
        watcher.subscribe(f"wamp.subscription.on_{event}")
    ids = [lookup(client), lookup(client, "com.example.", "prefix"), lookup(client, "com..log", "wildcard")]
    assert None not in ids
    assert client.call("wamp.subscription.match", [TOPIC])[0] == [ids]
    assert client.call("wamp.subscription.list_subscribers", [ids[0]])[0] == [[]]
    assert client.call("wamp.subscription.count_subscribers", [ids[0]])[0] == [0]
    assert client.call("wamp.subscription.get", [ids[0]])[0][0]["uri"] == TOPIC
    listed = client.call("wamp.subscription.list")[0][0]
    assert ids[0] in listed["exact"] and listed["prefix"] == [ids[1]] and listed["wildcard"] == [ids[2]]
    for _ in range(2):
        assert client.subscribe(TOPIC) == ids[0]
        client.unsubscribe(ids[0])
    got = []
    while len(got) < 4:
        got.append(watcher.expect(EVENT)[4])
    assert got == [[client.session, ids[0]]] * 4
    assert watcher.silent() == []
    assert lookup(client) == ids[0]
    client.publish(TOPIC, [1], acknowledge=True)
    assert [values(client, id) for id in ids] == [[1]] * 3
    event = get(client, ids[1])[0][0]
    assert event["details"] == {"topic": TOPIC} and event["subscription"] == ids[1]


def test_who_may_see_an_event(start, join):
    routerd = start()
    sender, reader = join(routerd), join(routerd)
    subscription = lookup(reader)
    authid = reader.details["authid"]
    publish(sender, "all")
    publish(sender, "mine", eligible_authid=[authid])
    publish(sender, "another's", eligible_authid=["x"])
    publish(sender, "not mine", exclude_authid=[authid])
    publish(sender, "role", eligible_authrole=["device"])
    publish(sender, "other role", exclude_authrole=["device"])
    # these are not kept: the ids of sessions say nothing about later sessions
    publish(sender, "session", eligible=[reader.session])
    publish(sender, "not the session", exclude=[1])
    publish(sender, "nobody", eligible=[])
    assert values(reader, subscription) == ["all", "mine", "role"]
    assert values(sender, subscription) == ["all", "not mine", "role"]
    publish(reader, "own", exclude_me=True)
    assert values(reader, subscription)[-1] == "own"


def test_the_kept_events_are_bounded_by_their_number(start, join):
    routerd = start({"uri": TOPIC, "limit": 10}, {"uri": "com.", "match": "prefix", "limit": 1})
    client = join(routerd)
    exact, prefix = lookup(client), lookup(client, "com.", "prefix")
    for i in range(100):
        publish(client, i)
        assert values(client, exact) == list(range(max(0, i - 9), i + 1))
        assert values(client, prefix) == [i]


# --- many at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["json", "cbor.batched"])
def test_one_page_at_a_time(start_routerd, join, serializer):
    """The owner makes a page for a session only once the session has the one before: otherwise clients
    could make it collect thousands of pages, which take time and memory."""
    config = router_config(4, cryptosign=False)
    config["realms"][0]["options"] = {"history": [{"uri": TOPIC}]}
    config["debug"] = {"stall_worker": 3}  # the owner
    routerd = start_routerd(config)
    everyone = [join(routerd, serializer) for _ in range(8)]
    owner = [c for c in everyone if worker_of(c) == 3]
    client, other = [c for c in everyone if c not in owner][:2]
    subscription = lookup(client)
    publish(client, 1, 2)
    routerd.signal(signal.SIGUSR2)
    try:
        wait_for(lambda: stands_still(owner[0]), "the owner to stand still")
        first = client.start_call("wamp.subscription.get_events", [subscription])
        client.start_call("wamp.session.count")
        other.start_call("wamp.session.count")
        assert not stands_still(client) and not stands_still(other)
        last = [client.start_call("wamp.subscription.get_events", [s]) for s in (subscription, 99999, 99999, subscription)]
        assert stands_still(client)
    finally:
        routerd.signal(signal.SIGUSR2)
    got = client.silent()
    assert [m[1] for m in got if m[0] == RESULT] == [first, first + 1, last[0], last[3]]
    assert [m[2] for m in got if m[0] == ERROR][:2] == last[1:3]
    assert values(client, subscription) == [1, 2]
    client.leave()
    client.join()
    assert values(client, subscription) == [1, 2]


# --- queries --------------------------------------------------------------------------------


def test_bounds_by_publication(start, join):
    routerd = start()
    client = join(routerd)
    id = lookup(client)
    p = publish(client, *range(6))
    assert values(client, id, from_publication=p[2]) == [2, 3, 4, 5]
    assert values(client, id, after_publication=p[2]) == [3, 4, 5]
    assert values(client, id, before_publication=p[2]) == [0, 1]
    assert values(client, id, until_publication=p[2]) == [0, 1, 2]
    assert values(client, id, after_publication=p[0], before_publication=p[4], reverse=True) == [3, 2, 1]
    assert values(client, id, from_publication=p[3], until_publication=p[3]) == [3]
    assert values(client, id, after_publication=p[3], until_publication=p[3]) == []
    assert values(client, id, from_publication=p[4], until_publication=p[1]) == []
    assert values(client, id, from_publication=p[1], after_publication=p[1]) == [2, 3, 4, 5]
    assert values(client, id, after_publication=p[5]) == []
    for name in ("from", "after", "before", "until"):
        error = error_of(get, client, id, **{f"{name}_publication": 12345})
        assert error.uri == "wamp.error.invalid_argument" and error.args_[0].startswith(f"{name}_publication: ")


def test_limit_and_reverse(start, join):
    routerd = start()
    client = join(routerd)
    id = lookup(client)
    p = publish(client, *range(5))
    events, more = get(client, id, limit=2)
    assert [e["args"] for e in events] == [[0], [1]]
    assert more == {"is_limit_reached": True, "x_last_publication": p[1]}
    events, more = get(client, id, limit=2, reverse=True)
    assert [e["args"] for e in events] == [[4], [3]]
    assert more == {"is_limit_reached": True, "x_last_publication": p[3]}
    assert get(client, id, limit=5)[1] == get(client, id, limit=6)[1] == DONE
    assert values(client, id, limit=None, reverse=None, topic=None, from_time=None) == [0, 1, 2, 3, 4]


# --- arguments ------------------------------------------------------------------------------


def test_wrong_arguments(start, join):
    routerd = start()
    client = join(routerd)
    id = lookup(client)
    plain = client.subscribe("com.example.other")
    assert error_of(get, client, plain).uri == "wamp.error.history_unavailable"
    assert error_of(get, client, 1 << 50).uri == "wamp.error.no_such_subscription"
    for name, wrong in (("limit", [0, -1, "1", 1.5, [], True]), ("reverse", [0, "true", []]), ("topic", [1, [], b"x"]),
                        ("from_time", [0, "yesterday", "2026-11-29", ""]), ("after_time", [{}]), ("before_time", [1.5]),
                        ("until_time", ["2026-13-29T00:00:00Z"]), ("from_publication", [0, -1, "1", 1 << 54]),
                        ("after_publication", ["x"]), ("before_publication", [[]]), ("until_publication", [1.5])):
        for value in wrong:
            error = error_of(get, client, id, **{name: value})
            assert error.uri == "wamp.error.invalid_argument"
            assert error.args_[0].startswith(f"{name}: expected "), error.args_
    assert error_of(get, client, id, last=1).args_[0].startswith("expected no keyword arguments except reverse, ")
    for args in ([], [None], ["1"], [id, 0], [id, "1"], [id, 1, 1], [0]):
        error = error_of(client.call, "wamp.subscription.get_events", args)
        assert error.uri == "wamp.error.invalid_argument"
        assert error.args_ == ["expected the id of a subscription, and optionally the number of events, 1 or more"]


def test_as_in_crossbar(start, join):
    """With a second argument the result is one list, the latest event first."""
    routerd = start()
    client = join(routerd)
    id = lookup(client)
    publish(client, *range(5))
    (events,), more = client.call("wamp.subscription.get_events", [id, 3])
    assert [e["args"] for e in events] == [[4], [3], [2]] and more == {}
    (events,), more = client.call("wamp.subscription.get_events", [id, 10], {"reverse": False, "limit": 1})
    assert [e["args"] for e in events] == [[0]] and more == {}


# --- time and topic -------------------------------------------------------------------------


def test_bounds_by_time(start, join):
    routerd = start()
    client = join(routerd)
    id = lookup(client)
    for i in range(3):
        publish(client, i)
        time.sleep(0.005)
    times = [e["timestamp"] for e in get(client, id)[0]]
    assert times == sorted(set(times))
    between = times[1].replace("Z", "5Z")
    for name, expected, inside in (("from_time", [1, 2], [2]), ("after_time", [2], [2]), ("before_time", [0], [0, 1]),
                                   ("until_time", [0, 1], [0, 1])):
        assert values(client, id, **{name: times[1]}) == expected, name
        assert values(client, id, **{name: between}) == inside, name
        east = datetime.datetime.fromisoformat(times[1].replace("Z", "+00:00")).astimezone(
            datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
        assert values(client, id, **{name: east.isoformat(timespec="milliseconds")}) == expected
    assert values(client, id, from_time=times[1], until_time=times[1]) == [1]
    assert values(client, id, after_time=times[0], before_time=times[2], reverse=True) == [1]
    assert values(client, id, until_time="1969-12-31T23:59:59Z") == []
    assert values(client, id, from_time="1969-12-31T23:59:59Z") == [0, 1, 2]
    assert values(client, id, from_time="9999-12-31T23:59:59Z") == []


def test_the_topic_of_a_pattern(start, join):
    routerd = start({"uri": "com.", "match": "prefix"})
    client = join(routerd)
    id = lookup(client, "com.", "prefix")
    for i in range(6):
        publish(client, i, topic=f"com.example.{i % 2}")
    assert values(client, id, topic="com.example.1") == [1, 3, 5]
    assert values(client, id, topic="com.example.1", limit=1, reverse=True) == [5]
    assert values(client, id, topic="com.example.2") == values(client, id, topic="no topic #") == []


# --- pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_pages_and_live_events_have_no_gap(start, join, serializer):
    """Forward and backward, while another session publishes."""
    routerd = start({"uri": TOPIC, "limit": 100000, "bytes": 64 << 20})
    sender, reader = join(routerd), join(routerd, serializer)
    id = lookup(reader)
    sent = 0

    def more(n):
        nonlocal sent
        for _ in range(n):
            sender.publish(TOPIC, [sent])
            sent += 1

    more(2500)
    sender.silent()
    reader.subscribe(TOPIC)
    for reverse in (False, True):
        seen, query = [], {}
        while True:
            more(20)
            events, info = get(reader, id, reverse=reverse, limit=300, **query)
            seen += events
            if not info["is_limit_reached"]:
                break
            assert info["x_last_publication"] == events[-1]["publication"]
            query = {"before_publication" if reverse else "after_publication": events[-1]["publication"]}
        numbers = [e["args"][0] for e in seen]
        assert numbers == (sorted(numbers, reverse=reverse)) and len(set(numbers)) == len(numbers) >= 2500
        assert set(numbers) == set(range(max(numbers) + 1))
        last = max(seen, key=lambda e: e["args"][0])
    live = {}
    sender.silent()
    publish(sender, "end")
    while (event := reader.expect(EVENT, id))[4] != ["end"]:
        live[event[4][0]] = event[2]
    everything = {e["args"][0]: e["publication"] for e in seen} | live
    assert set(everything) == set(range(sent)) and len(set(everything.values())) == sent
    assert live[2500] and last["publication"] in everything.values()


def test_a_page_whose_start_is_gone(start, join):
    routerd = start({"uri": TOPIC, "limit": 5})
    client = join(routerd)
    id = lookup(client)
    p = publish(client, *range(6))
    for name in ("from", "after", "before", "until"):
        assert error_of(get, client, id, **{f"{name}_publication": p[0]}).uri == "wamp.error.invalid_argument"
        get(client, id, **{f"{name}_publication": p[1]})


def test_the_right_to_subscribe(start, join):
    """An exact permission denies what the prefix allows. Patterns over it are denied, too."""
    routerd = start({"uri": TOPIC}, {"uri": "com.", "match": "prefix"}, {"uri": "com.example.open"},
                    permissions=[permission(), permission(TOPIC, "exact", publish=True)])
    client = join(routerd)
    publish(client, 1)
    publish(client, 2, topic="com.example.open")
    for topic, match in ((TOPIC, "exact"), ("com.", "prefix")):
        id = lookup(client, topic, match)
        for query in ({}, {"after_publication": 1}):
            error = error_of(get, client, id, **query)
            assert error.uri == "wamp.error.not_authorized"
            assert error.args_ == [f"this session's role may not subscribe to <{topic}>"]
    assert values(client, lookup(client, "com.example.open")) == [2]


def test_at_most_1000_events(start, join):
    routerd = start({"uri": TOPIC, "limit": 2000, "bytes": 4 << 20})
    client = join(routerd)
    id = lookup(client)
    for i in range(1001):
        client.publish(TOPIC, [i])
    client.silent()
    for limit in (None, 1000, 5000, 1 << 50):
        events, info = get(client, id, limit=limit)
        assert [e["args"][0] for e in events] == list(range(1000)) and info["is_limit_reached"]
    assert get(client, id, after_publication=events[0]["publication"])[1] == DONE


# --- payloads and memory --------------------------------------------------------------------


def test_events_that_a_serializer_cannot_say(start, join):
    routerd = start()
    sender, json, cbor = join(routerd, "cbor"), join(routerd, "json"), join(routerd, "cbor")
    id = lookup(json)
    publish(sender, 1, float("nan"), 2, {3: 4}, 5)
    events, info = get(json, id)
    assert [e["args"][0] for e in events] == [1, 2, 5] and info == {**DONE, "x_skipped": 2}
    assert get(cbor, id)[1] == DONE and len(get(cbor, id)[0]) == 5


def test_long_pages_end_early_and_memory_is_bounded(start, join):
    """Readers of all serializers; the router keeps nothing in their encodings."""
    size = 16 << 20
    routerd = start({"uri": TOPIC, "limit": 100000, "bytes": size})
    sender = join(routerd, "msgpack")
    publish(sender, b"x" * 100000)
    readers = [join(routerd, s) for s in SERIALIZERS]
    id = lookup(sender)
    for i in range(400):
        publish(sender, b"y" * 100000)
    kept = realm_counters(routerd)
    for reader in readers:
        query, n = {}, 0
        while True:
            events, info = get(reader, id, **query)
            n += len(events)
            assert events
            if not info["is_limit_reached"]:
                break
            query = {"after_publication": info["x_last_publication"]}
        assert size / 100400 - 2 < n < size / 100000
    after = realm_counters(routerd)
    assert 0.97 * size < kept["history_bytes"] == after["history_bytes"] <= size


def test_too_large_an_event(start, join):
    routerd = start({"uri": TOPIC, "bytes": 64 << 10})
    client = join(routerd)
    id = lookup(client)
    publish(client, 1)
    publish(client, "x" * (17 << 10))
    publish(client, "y" * (15 << 10), 2)
    assert [len(str(v)) for v in values(client, id)] == [1, 15 << 10, 1]
    assert realm_counters(routerd)["history_too_large"] == 1
    for i in range(10):
        publish(client, "z" * (15 << 10))
    assert len(values(client, id)) == 4


def test_events_grow_old(start, join):
    routerd = start({"uri": TOPIC, "age": 300})
    client = join(routerd)
    id = lookup(client)
    publish(client, 1)
    assert values(client, id) == [1]
    deadline = time.monotonic() + 10
    while values(client, id) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert values(client, id) == []


def test_a_call_counts_like_any_other(start, join):
    routerd = start(pending_calls=1)
    client = join(routerd)
    id = lookup(client)
    client.register("com.example.p")
    pending = client.start_call("com.example.p")
    assert error_of(get, client, id).args_ == ["the session has too many calls in flight"]
    client.send([CALL, pending, {}, "wamp.subscription.get_events", [id]])
    assert client.expect(rawclient.ABORT)[2] == "wamp.error.protocol_violation"


def test_a_reload_does_not_change_histories(start, join):
    routerd = start()
    routerd.config["realms"][0]["options"]["history"].append({"uri": "com.example.other"})
    routerd.write_config()
    routerd.signal(signal.SIGHUP)
    routerd.wait_log('changed="history of realm devices"')
    client = join(routerd)
    assert lookup(client) is not None and lookup(client, "com.example.other") is None


def test_meta_events_are_kept_too(start, join):
    """The router is their publisher. Somebody may read later who came and went."""
    routerd = start({"uri": "wamp.session.on_join"}, {"uri": "wamp.", "match": "prefix"},
                    {"uri": "", "match": "prefix"})
    client = join(routerd)
    ids = [lookup(client, "wamp.session.on_join"), lookup(client, "wamp.", "prefix"), lookup(client, "", "prefix")]
    other = join(routerd)
    other.subscribe("com.example.t")
    other.leave()
    joined = [e["args"][0]["session"] for e in get(client, ids[0])[0]]
    assert joined == [client.session, other.session]
    topics = [e["details"]["topic"] for e in get(client, ids[1])[0]]
    assert topics == ["wamp.session.on_join"] * 2 + [f"wamp.subscription.on_{what}" for what in (
        "create", "subscribe", "unsubscribe", "delete")] + ["wamp.session.on_leave"]
    assert get(client, ids[1], topic="wamp.session.on_leave")[0][0]["args"][0] == other.session


def test_payloads_that_only_the_endpoints_understand(start, join):
    """A page has their options. Events with enc_algo go only to readers that announced it."""
    features = {"payload_passthru_mode": True, "payload_transparency": True}
    able = {r: {"features": features} for r in ("publisher", "subscriber", "caller", "callee")}
    ppt = {"ppt_scheme": "x_mine", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305", "ppt_keyid": "k\u00e9y"}
    enc = {"enc_algo": "cryptobox", "enc_key": "1", "enc_serializer": "json"}
    routerd = start()
    sender = join(routerd, "msgpack", roles=able)
    sender.publish(TOPIC, [b"\x80\xff"], acknowledge=True, **ppt)
    sender.send([rawclient.PUBLISH, 50, {**enc, "acknowledge": True}, TOPIC, b"\x80\xff"])
    sender.expect(rawclient.PUBLISHED, 50)
    sender.publish(TOPIC, ["plain"], acknowledge=True)
    for serializer in SERIALIZERS:
        reader, unable = join(routerd, serializer, roles=able), join(routerd, serializer)
        id = lookup(reader)
        events, info = get(reader, id)
        assert info == DONE
        assert [e["details"] for e in events] == [ppt, enc, {}]
        assert [e["args"] for e in events] == [[b"\x80\xff"], b"\x80\xff", ["plain"]]
        events, info = get(unable, id)
        assert info == {**DONE, "x_skipped": 1}
        assert [e["details"] for e in events] == [ppt, {}]


def test_a_disclosed_publisher_that_has_left(start, join):
    """Its identity is kept with the event."""
    routerd = start()
    sender, reader = join(routerd, authid="sender"), join(routerd)
    id = lookup(reader)
    publish(sender, 1, disclose_me=True)
    publish(sender, 2)
    sender.leave()
    assert join(routerd, authid="another").session != sender.session
    details = [e["details"] for e in get(reader, id)[0]]
    assert details == [{"publisher": sender.session, "publisher_authid": sender.details["authid"],
                        "publisher_authrole": "device"}, {}]


def test_a_page_tests_at_most_1000_lists(start, join):
    """A client goes on behind the last event that was tested."""
    routerd = start({"uri": TOPIC, "limit": 5000, "bytes": 4 << 20})
    sender, reader = join(routerd, "cbor"), join(routerd)
    id = lookup(reader)
    (first,) = publish(sender, "first")
    for i in range(1000):
        sender.publish(TOPIC, [i], eligible_authid=["x"])
    (last,) = publish(sender, "last", exclude_authid=["x"])
    (behind,) = publish(sender, "behind")
    for query, expected, then, rest in (
            ({}, ["first"], "after_publication", ["last", "behind"]),
            ({"reverse": True}, ["behind", "last"], "before_publication", ["first"])):
        events, info = get(reader, id, **query)
        assert [e["args"][0] for e in events] == expected and info["is_limit_reached"]
        events, info = get(reader, id, **query, **{then: info["x_last_publication"]})
        assert [e["args"][0] for e in events] == rest and info == DONE
    # what other conditions exclude is not tested
    events, info = get(reader, id, from_publication=last)
    assert [e["publication"] for e in events] == [last, behind] and info == DONE
    assert get(reader, id, topic="com.example.other") == ([], DONE)
    assert get(reader, id, until_publication=first)[1] == DONE


@pytest.mark.websocket
@pytest.mark.parametrize("kind", ["ab-asyncio", "ab-new-asyncio", "autobahn-js", "wampy"])
def test_real_clients(start, join, puppets, kind):
    """They call the procedure like any other, with each of their serializers."""
    routerd = start()
    raw = join(routerd)
    id = lookup(raw)
    publications = publish(raw, 1, "two", {"three": 3})
    puppet = puppets(kind)
    for serializer in SERIALIZERS:
        client = peers.Peer(puppet, routerd.url(), serializer)
        events, info = client.call("wamp.subscription.get_events", [id], {"limit": 2, "reverse": True})
        assert [e["publication"] for e in events] == publications[:0:-1]
        assert [e["args"] for e in events] == [[{"three": 3}], ["two"]]
        assert info == {"is_limit_reached": True, "x_last_publication": publications[1]}
        (events,), info = client.call("wamp.subscription.get_events", [id, 1], {})
        assert [e["args"] for e in events] == [[{"three": 3}]] and not info
        client.subscribe(TOPIC)
        raw.publish(TOPIC, ["live"])
        assert client.event(TOPIC)[0] == ["live"]
        publications = publish(raw, 1, "two", {"three": 3})
        client.leave()
