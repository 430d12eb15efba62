# SPDX-License-Identifier: Apache-2.0
"""Events for some subscribers only, and events that say who has published them (specification:
"Subscriber Black- and Whitelisting", "Publisher Identification")."""

import random

import peers
import pytest
from rawclient import EVENT, PUBLISH, TRANSPORTS, WampError
from utils import permission, router_config

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

TOPIC = "com.example.t"
SERIALIZERS = ["json", "msgpack", "cbor.batched"]
LISTS = ["eligible", "eligible_authid", "eligible_authrole", "exclude", "exclude_authid", "exclude_authrole"]


@pytest.fixture
def routerd(start_routerd, threads):
    """Logins on the first listener have the role device, those on the second the role admin."""
    config = router_config(threads=threads, cryptosign=False)
    roles = config["realms"][0]["roles"]
    roles.append({"name": "admin", "permissions": [permission()]})
    first = config["transports"][0]
    config["transports"].append({
        **first, "id": "second", "auth": {"anonymous": {"type": "static", "role": "admin"}},
        "endpoint": {**first["endpoint"], "port": router_config()["transports"][0]["endpoint"]["port"]}})
    return start_routerd(config)


class Receivers:
    """Subscribers of TOPIC: so many of each serializer and role."""

    def __init__(self, routerd, join, times=1):
        self.clients = [join(routerd, s, listener=listener) for listener in (0, 1) for s in SERIALIZERS * times]
        self.subscriptions = [c.subscribe(TOPIC) for c in self.clients]

    def __iter__(self):
        return iter(self.clients)

    def __getitem__(self, i):
        return self.clients[i]

    def until_end(self):
        """For each receiver the first arguments of its events before the one that is "end"."""
        got = []
        for client, subscription in zip(self.clients, self.subscriptions):
            values = iter(lambda c=client, s=subscription: c.event(s)[0][0], "end")
            got.append(list(values))
        return got

    def who_gets(self, sender, **options):
        """The indices of the receivers that get an event with these options."""
        assert sender.publish(TOPIC, ["x"], acknowledge=True, **options) > 0
        sender.publish(TOPIC, ["end"])
        got = self.until_end()
        assert all(g in ([], ["x"]) for g in got), got
        return [i for i, g in enumerate(got) if g]


def passes(client, options):
    """What the specification says, without the publisher's own exclusion."""
    for suffix, value in (("", client.session), ("_authid", client.details["authid"]),
                          ("_authrole", client.details["authrole"])):
        eligible, exclude = options.get("eligible" + suffix), options.get("exclude" + suffix)
        if eligible is not None and value not in eligible or value in (exclude or []):
            return False
    return True


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_each_list(routerd, join, serializer):
    sender, receivers = join(routerd, serializer), Receivers(routerd, join)
    ids = [r.session for r in receivers]
    authids = [r.details["authid"] for r in receivers]
    everybody = list(range(6))
    assert [r.details["authrole"] for r in receivers] == ["device"] * 3 + ["admin"] * 3
    for options, expected in (
            ({"eligible": [ids[1], ids[4]]}, [1, 4]),
            ({"eligible": [7, ids[2], ids[2]]}, [2]),
            ({"eligible": [float(ids[3])]}, [3]),
            ({"exclude": [ids[0], 4711, ids[5]]}, [1, 2, 3, 4]),
            ({"eligible_authid": [authids[2], "nobody"]}, [2]),
            ({"exclude_authid": authids[1:]}, [0]),
            ({"eligible_authrole": ["admin"]}, [3, 4, 5]),
            ({"eligible_authrole": ["admin", "device"]}, everybody),
            ({"exclude_authrole": ["admin", "Device"]}, [0, 1, 2]),
            # all lists count
            ({"eligible": ids[:4], "exclude": [ids[1]], "eligible_authrole": ["device"]}, [0, 2]),
            ({"eligible": ids[:2], "eligible_authid": authids[1:3], "exclude_authrole": ["admin"]}, [1]),
            ({"eligible": ids[:1], "eligible_authrole": ["admin"]}, []),
            # empty and absent lists
            ({"eligible": []}, []), ({"eligible_authid": []}, []), ({"eligible_authrole": [], "eligible": ids}, []),
            ({"exclude": []}, everybody), ({"exclude_authid": [], "exclude_authrole": []}, everybody),
            (dict.fromkeys(LISTS), everybody)):
        assert receivers.who_gets(sender, **options) == expected, options
    routerd.check_threads()


def test_the_publisher_is_excluded_besides(routerd, join):
    receivers = Receivers(routerd, join)
    me, other = receivers[0], receivers[1]
    for options, expected in (
            ({"eligible": [me.session, other.session]}, [1]),
            ({"eligible": [me.session], "exclude_me": True}, []),
            ({"eligible": [me.session], "exclude_me": False}, [0]),
            ({"exclude": [other.session], "exclude_me": False}, [0, 2, 3, 4, 5]),
            ({"exclude": [me.session], "exclude_me": False}, [1, 2, 3, 4, 5])):
        assert me.publish(TOPIC, ["x"], acknowledge=True, **options) > 0
        me.publish(TOPIC, ["end"], exclude_me=False)
        assert [i for i, got in enumerate(receivers.until_end()) if got] == expected, options


def test_publications_in_one_batch_reach_exactly_their_receivers(routerd, join):
    """Events of one topic that follow each other are sent as one piece, unless their lists differ."""
    sender, receivers = join(routerd, "json.batched"), Receivers(routerd, join)
    a, b = receivers[0], receivers[4]
    for _ in range(20):
        options = [{"eligible": [a.session]}, {"exclude_authid": [a.details["authid"]]}, {}, {},
                   {"eligible": [a.session]}, {"eligible": []}, {"exclude_authrole": ["admin"]},
                   {"eligible": [a.session, b.session]}]
        messages = [[PUBLISH, sender.next_request(), o, TOPIC, [i]] for i, o in enumerate(options)]
        sender.send(*messages, [PUBLISH, sender.next_request(), {}, TOPIC, ["end"]])
        for client, got in zip(receivers, receivers.until_end()):
            assert got == [i for i, o in enumerate(options) if passes(client, o)]


def test_random_lists(routerd, join):
    """Several publishers at once, with and without lists."""
    senders = [join(routerd, s) for s in SERIALIZERS]
    receivers = Receivers(routerd, join)
    values = {"": [r.session for r in receivers] + [4711],
              "_authid": [r.details["authid"] for r in receivers] + ["nobody"],
              "_authrole": ["device", "admin", "nobody"]}
    chance = random.Random(16)

    def random_options():
        options = {}
        for name in LISTS:
            if chance.random() < 0.25:
                known = values[name.removeprefix("eligible").removeprefix("exclude")]
                options[name] = [chance.choice(known) for _ in range(chance.choice((0, 1, 3, 8)))]
        return options

    sent = [[] for _ in senders]
    for i in range(400):
        k = chance.randrange(len(senders))
        options = random_options()
        sent[k].append(options)
        senders[k].publish(TOPIC, [[k, len(sent[k]) - 1]], **options)
    for sender in senders:
        sender.publish("com.example.other", acknowledge=True)
    senders[0].publish(TOPIC, ["end"], acknowledge=True)
    for client, got in zip(receivers, receivers.until_end()):
        for k, options in enumerate(sent):
            assert [i for n, i in got if n == k] == [i for i, o in enumerate(options) if passes(client, o)]
    routerd.check_threads()


@pytest.mark.websocket
def test_few_of_many_subscribers(routerd, join):
    """To at most 16 sessions of more than 64 the event goes directly. It stays in order with the others."""
    sender, receivers = join(routerd, "msgpack"), Receivers(routerd, join, times=12)
    chance = random.Random(7)
    sent = []
    for i in range(300):
        options = {"disclose_me": i % 3 == 0}
        if i % 5:
            number = chance.choice((0, 1, 2, 15, 16, 17, 30))
            options["eligible"] = [r.session for r in chance.sample(receivers.clients, number)] + [4711, 4711]
        if chance.random() < 0.3:
            options["exclude"] = [r.session for r in chance.sample(receivers.clients, 30)]
        if chance.random() < 0.2:
            options["eligible_authrole"] = ["admin"]
        sent.append(options)
        sender.publish(TOPIC, [i], **options)
    assert sender.publish(TOPIC, ["end"], acknowledge=True) > 0
    for receiver, subscription in zip(receivers, receivers.subscriptions):
        for i, options in enumerate(sent):
            if passes(receiver, options):
                message = receiver.expect(EVENT)
                assert message[1] == subscription and message[4] == [i]
                assert message[3] == (identity(sender) if options["disclose_me"] else {})
        assert receiver.event(subscription)[0] == ["end"]
    routerd.check_threads()


def test_a_session_that_has_left_is_no_longer_eligible(routerd, join):
    sender, receivers = join(routerd), Receivers(routerd, join)
    left = receivers[0].session
    receivers[0].leave()
    receivers[0].join()
    receivers.subscriptions[0] = receivers[0].subscribe(TOPIC)
    assert receivers.who_gets(sender, eligible=[left, receivers[1].session]) == [1]
    assert receivers.who_gets(sender, exclude=[left]) == list(range(6))


WRONG = {
    "eligible": (7, "x", {}, True, [True], [1, "2"], [0], [1.5], [-1], [2**53 + 1], [None], [[1]]),
    "exclude": (7, ["x"], [{}]),
    "eligible_authid": ("joe", 7, [1], [None], [b"joe"]),
    "eligible_authrole": (False, [["device"]]),
    "exclude_authid": ({}, ["joe", 1]),
    "exclude_authrole": ("device", [1.5]),
}


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_wrong_list_costs_its_request(routerd, join, serializer):
    sender, receivers = join(routerd, serializer), Receivers(routerd, join)
    before = routerd.total("publishes_dropped")
    number = 0
    for name, values in WRONG.items():
        for value in values:
            with pytest.raises(WampError) as error:
                sender.publish(TOPIC, ["secret"], acknowledge=True, **{name: value})
            assert error.value.uri == "wamp.error.invalid_argument"
            what = "session ids" if name in ("eligible", "exclude") else "strings"
            assert error.value.args_ == [f"PUBLISH.Options.{name}: expected a list of {what}"]
            sender.publish(TOPIC, ["secret"], **{name: value})
            number += 1
    assert receivers.who_gets(sender) == list(range(6))
    assert routerd.total("publishes_dropped") == before + number


def test_lists_have_a_maximum(routerd, join):
    sender, receivers = join(routerd, "msgpack"), Receivers(routerd, join)
    ids = list(range(1, 1000))
    assert receivers.who_gets(sender, eligible=[*ids, receivers[3].session]) == [3]
    names = [f"x{i}" for i in ids]
    assert receivers.who_gets(sender, eligible=[*ids, receivers[3].session], exclude=[*ids, 1000],
                              eligible_authid=[receivers[3].details["authid"], *names],
                              exclude_authid=[*names, "x"], exclude_authrole=[*names, "x"]) == [3]
    for name, value in (("eligible", [*ids, 1000, 1001]), ("exclude_authrole", [*names, "x", "y"])):
        with pytest.raises(WampError) as error:
            sender.publish(TOPIC, acknowledge=True, **{name: value})
        assert error.value.uri == "wamp.error.invalid_argument"
        assert error.value.args_ == [f"PUBLISH.Options.{name}: expected at most 1,000 entries"]


def test_a_forbidden_topic_is_refused_first(start_routerd, join):
    config = router_config(cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = [permission(publish=False)]
    sender = join(start_routerd(config))
    with pytest.raises(WampError) as error:
        sender.publish(TOPIC, acknowledge=True, eligible=7)
    assert error.value.uri == "wamp.error.not_authorized"


# --- publisher identification ---------------------------------------------------------------


def identity(client):
    return {"publisher": client.session, "publisher_authid": client.details["authid"],
            "publisher_authrole": client.details["authrole"]}


def test_a_publisher_discloses_itself(routerd, join):
    receivers = Receivers(routerd, join)
    for serializer in SERIALIZERS:
        sender = join(routerd, serializer, listener=1)
        for options, expected in (({"disclose_me": True}, identity(sender)), ({"disclose_me": False}, {}), ({}, {}),
                                  ({"disclose_me": None}, {}),
                                  ({"disclose_me": True, "eligible_authrole": ["admin", "device"]}, identity(sender))):
            publication = sender.publish(TOPIC, ["x"], {"k": 1}, acknowledge=True, **options)
            for receiver, subscription in zip(receivers, receivers.subscriptions):
                assert receiver.expect(EVENT) == [EVENT, subscription, publication, expected, ["x"], {"k": 1}]
    routerd.check_threads()


def test_publications_in_one_batch_disclose_each_for_itself(routerd, join):
    senders = [join(routerd, "json.batched"), join(routerd, "cbor.batched", listener=1)]
    receivers = Receivers(routerd, join)
    for sender in senders:
        flags = [True, False, True, True, False]
        sender.send(*[[PUBLISH, sender.next_request(), {"disclose_me": f}, TOPIC, [i]] for i, f in enumerate(flags)])
        for receiver in receivers:
            for i, flag in enumerate(flags):
                message = receiver.expect(EVENT)
                assert message[3:] == [identity(sender) if flag else {}, [i]]


def test_a_disclosed_publisher_may_leave(routerd, join):
    receivers = Receivers(routerd, join)
    for _ in range(10):
        sender = join(routerd, "msgpack.batched")
        expected = identity(sender)
        sender.send(*[[PUBLISH, i, {"disclose_me": True}, TOPIC, [i]] for i in range(1, 30)],
                    [6, {}, "wamp.close.normal"])
        sender.close_socket()
        for receiver in receivers:
            for i in range(1, 30):
                assert receiver.expect(EVENT)[3:] == [expected, [i]]


def test_an_event_that_is_too_long_only_with_its_publisher(routerd, join, connect, transport):
    """A RawSocket peer names the longest message that it accepts, here 1,024 bytes."""
    raw = transport == "rawsocket"
    receiver = connect(routerd, "json", **({"length": 1} if raw else {}))
    receiver.join()
    subscription = receiver.subscribe(TOPIC)
    sender = join(routerd, "json")
    text = "x" * 950
    sender.send(*[[PUBLISH, sender.next_request(), {"disclose_me": d}, TOPIC, [t]]
                  for d, t in ((True, "a"), (True, text), (False, text), (True, "b"))])
    events = [(identity(sender), "a"), (identity(sender), text), ({}, text), (identity(sender), "b")]
    if raw:
        del events[1]
    for details, argument in events:
        assert receiver.expect(EVENT, subscription)[3:] == [details, [argument]]
    assert receiver.silent() == []
    assert routerd.total("undeliverable") == int(raw)


def test_disclose_me_is_a_boolean(routerd, join):
    sender = join(routerd)
    sender.send([PUBLISH, 1, {"disclose_me": 1}, TOPIC])
    assert sender.expect(3)[1:] == [{"message": "PUBLISH.Options.disclose_me: expected a boolean"},
                                    "wamp.error.protocol_violation"]


# --- real clients ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*peers.PYTHON, "autobahn-js"])
def test_real_clients(routerd, join, puppets, transport, kind):
    """Their publications reach whom they name; they get what is for them, and see who has sent it."""
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        sender, *receivers = [peers.Peer(puppet, routerd.url(i % 2), serializer) for i in range(5)]
        raw = join(routerd, "cbor")
        subscription = raw.subscribe(TOPIC)
        for r in receivers:
            r.subscribe(TOPIC)
        ids = [r.details["session"] for r in receivers]
        authids = [r.details["authid"] for r in receivers]
        for options, expected in (
                ({"eligible": ids[:2]}, [0, 1]), ({"exclude": [*ids[:2], raw.session]}, [2, 3]),
                ({"eligible_authid": authids[1:3]}, [1, 2]), ({"exclude_authid": authids[1:3]}, [0, 3, "raw"]),
                ({"eligible_authrole": ["admin"]}, [0, 2]), ({"exclude_authrole": ["admin"]}, [1, 3, "raw"]),
                ({"eligible": ids, "exclude": ids[3:], "exclude_authrole": ["device"]}, [0, 2])):
            sender.publish(TOPIC, ["x"], {}, acknowledge=True, **options)
            sender.publish(TOPIC, ["end"], {}, acknowledge=True)
            got = [i for i, r in enumerate(receivers) if r.event(TOPIC)[0] == ["x"] and r.event(TOPIC)[0] == ["end"]]
            if raw.event(subscription)[0] == ["x"]:
                got.append("raw")
                assert raw.event(subscription)[0] == ["end"]
            assert got == expected, (str(sender), options)
        # Autobahn|Python has no option to disclose itself; it shows who has
        raw.publish(TOPIC, ["mine"], disclose_me=True)
        raw.publish(TOPIC, ["secret"])
        expected = [raw.session, raw.details["authid"], raw.details["authrole"]]
        for r in receivers:
            assert r.event_of(TOPIC) == (["mine"], expected)
            args, publisher = r.event_of(TOPIC)
            assert args == ["secret"] and not any(publisher)
        if kind == "autobahn-js":
            sender.publish(TOPIC, ["mine"], {}, acknowledge=True, disclose_me=True)
            expected = [sender.details[n] for n in ("session", "authid", "authrole")]
            assert receivers[0].event_of(TOPIC) == (["mine"], expected)
            assert raw.expect(EVENT, subscription)[3] == dict(zip(
                ("publisher", "publisher_authid", "publisher_authrole"), expected))


def test_sessions_with_one_authid(login_routerd, authd, known_key, join, connect):
    """The list names the authid; all its sessions are meant, and no other."""
    joe = []
    for serializer in SERIALIZERS:
        client = connect(login_routerd, serializer)
        client.join(key=known_key)
        joe.append(client)
    other, sender = join(login_routerd), join(login_routerd)
    subscriptions = [c.subscribe(TOPIC) for c in [*joe, other]]
    for options, expected in (({"eligible_authid": ["client01@example.com"]}, [1, 1, 1, 0]),
                              ({"exclude_authid": ["client01@example.com"]}, [0, 0, 0, 1]),
                              ({"eligible_authid": ["client01@example.com"], "exclude": [joe[1].session]},
                               [1, 0, 1, 0])):
        sender.publish(TOPIC, ["x"], **options)
        sender.publish(TOPIC, ["end"])
        got = []
        for client, subscription in zip([*joe, other], subscriptions):
            first = client.event(subscription)[0] == ["x"]
            assert not first or client.event(subscription)[0] == ["end"]
            got.append(int(first))
        assert got == expected
