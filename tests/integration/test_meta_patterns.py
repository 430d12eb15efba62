# SPDX-License-Identifier: Apache-2.0
"""The meta procedures about registrations and subscriptions (specification: "Registration Meta API",
"Subscription Meta API"), with the raw client and with real clients."""

import datetime
import re
import time

import peers
import pytest
from rawclient import SUBSCRIBE, SUBSCRIBED, TRANSPORTS, Client, RawSocket
from test_meta import SERIALIZERS, error_of
from utils import permission, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

KINDS = ("registration", "subscription")
MATCHES = ("exact", "prefix", "wildcard")
MEMBERS = {"registration": "callees", "subscription": "subscribers"}


def ask(client, name, *args):
    """The only result."""
    (result,), kwargs = client.call(f"wamp.{name}", list(args))
    assert kwargs == {}
    return result


def make(client, kind, uri, **options):
    return (client.register if kind == "registration" else client.subscribe)(uri, **options)


def unmake(client, kind, number):
    (client.unregister if kind == "registration" else client.unsubscribe)(number)


def lists(client, kind):
    result = ask(client, f"{kind}.list")
    assert list(result) == list(MATCHES)
    return [result[match] for match in MATCHES]


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_list_lookup_get(routerd, join, kind, serializer, threads):
    asker, one, two = join(routerd, serializer), join(routerd, "cbor"), join(routerd, "json")
    assert lists(asker, kind) == [[], [], []]
    begin = time.time()
    exact = [make(client, kind, f"com.example.{i}.☃") for i, client in enumerate((one, two, asker, one))]
    prefix = [make(client, kind, uri, match="prefix") for client, uri in ((one, "com.example"), (two, ""))]
    wildcard = [make(client, kind, uri, match="wildcard") for client, uri in ((two, "com..x"), (one, "..☃"))]
    assert lists(asker, kind) == [exact, prefix, wildcard]
    for number, uri, match in ((exact[0], "com.example.0.☃", "exact"), (prefix[0], "com.example", "prefix"),
                               (prefix[1], "", "prefix"), (wildcard[0], "com..x", "wildcard")):
        for options in ({"match": match}, {"match": match, "invoke": "random", "x": {"match": [1]}}):
            assert ask(asker, f"{kind}.lookup", uri, options) == number
        for other in MATCHES:
            if other != match:
                assert ask(asker, f"{kind}.lookup", uri, {"match": other}) is None
        details = ask(asker, f"{kind}.get", number)
        created = details.pop("created")
        assert details == {"id": number, "uri": uri, "match": match,
                           **({"invoke": "single"} if kind == "registration" else {})}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created), created
        when = datetime.datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()
        assert begin - 0.01 <= when <= time.time() + 0.01
    for options in ((), (None,), ({},), ({"match": None},), ({"invoke": 7},)):
        assert ask(asker, f"{kind}.lookup", "com.example.0.☃", *options) == exact[0]
    for uri in ("com.example.7", "no such", "a#", "com..x", "x" * 1024):
        assert ask(asker, f"{kind}.lookup", uri) is None
    unmake(one, kind, exact[0])
    unmake(two, kind, prefix[1])
    unmake(one, kind, wildcard[1])
    assert lists(asker, kind) == [exact[1:], prefix[:1], wildcard[:1]]
    assert ask(asker, f"{kind}.lookup", "com.example.0.☃") is None
    for name in ("get", f"list_{MEMBERS[kind]}", f"count_{MEMBERS[kind]}"):
        for number in (exact[0], 2**53):
            assert error_of(asker, f"wamp.{kind}.{name}", [number]) == f"wamp.error.no_such_{kind}"
    one.leave()
    two.close_socket()
    wait_for(lambda: lists(asker, kind) == [[exact[2]], [], []], "the others to be gone")


def test_match(routerd, join):
    asker, one, two = join(routerd, "msgpack"), join(routerd), join(routerd)
    for kind in KINDS:
        assert ask(asker, f"{kind}.match", "a.b.c") is None
        patterns = [make(one, kind, "a", match="prefix"), make(two, kind, ".b.", match="wildcard"),
                    make(two, kind, "a.b", match="prefix")]
        everything = [patterns[0], patterns[2], patterns[1]]
        assert ask(asker, f"{kind}.match", "a.b.c") == (everything if kind == "subscription" else patterns[2])
        exact = make(one, kind, "a.b.c")
        assert ask(asker, f"{kind}.match", "a.b.c") == ([exact, *everything] if kind == "subscription" else exact)
        wild = [patterns[1]] if kind == "subscription" else patterns[1]
        assert ask(asker, f"{kind}.match", "x.b.c") == wild
        for uri in ("b", "", "x" * 1024, "no such"):
            assert ask(asker, f"{kind}.match", uri) is None


def test_procedures_of_the_router_match_no_registration(routerd, join):
    client = join(routerd)
    everything = client.register("", match="prefix")
    for uri in ("wamp.session.count", "wamp.no.such", "wamp"):
        assert ask(client, "registration.match", uri) is None
        assert ask(client, "registration.lookup", uri) is None
    assert ask(client, "registration.match", "wampum") == everything


def test_subscribers(routerd, join, threads):
    clients = [join(routerd, s) for s in SERIALIZERS * 7]
    asker = clients[0]
    subscription = [client.subscribe("com.example.t") for client in clients][0]
    assert clients[3].subscribe("com.example.t") == subscription  # is still one subscriber
    assert ask(asker, "subscription.count_subscribers", subscription) == 21
    found = ask(asker, "subscription.list_subscribers", subscription)
    assert sorted(found) == sorted(client.session for client in clients)
    clients[1].unsubscribe(subscription)
    clients[2].leave()
    clients[4].close_socket()
    wait_for(lambda: ask(asker, "subscription.count_subscribers", subscription) == 18, "the others to be gone")
    found = ask(asker, "subscription.list_subscribers", subscription)
    assert sorted(found) == sorted(client.session for client in clients[5:] + [asker, clients[3]])
    asker.call("wamp.session.kill_all")
    assert ask(asker, "subscription.list_subscribers", subscription) == [asker.session]
    asker.unsubscribe(subscription)
    assert error_of(asker, "wamp.subscription.list_subscribers", [subscription]) == "wamp.error.no_such_subscription"
    routerd.check_threads()


def test_callees(routerd, join):
    asker, callee = join(routerd), join(routerd, "cbor")
    registration = callee.register("com.example.p")
    assert ask(asker, "registration.count_callees", registration) == 1
    assert ask(asker, "registration.list_callees", registration) == [callee.session]
    callees = [join(routerd, s) for s in SERIALIZERS * 3]
    shared = [c.register("com.example.shared", invoke="roundrobin") for c in callees]
    assert len(set(shared)) == 1
    assert ask(asker, "registration.get", shared[0])["invoke"] == "roundrobin"
    assert ask(asker, "registration.count_callees", shared[0]) == 9
    assert ask(asker, "registration.list_callees", shared[0]) == [c.session for c in callees]
    callees[4].unregister(shared[0])
    callees[0].close_socket()
    left = [c.session for c in callees[1:4] + callees[5:]]
    wait_for(lambda: ask(asker, "registration.list_callees", shared[0]) == left, "the others to be gone")
    assert ask(asker, "registration.count_callees", shared[0]) == 7


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_arguments(routerd, join, kind, serializer):
    client = join(routerd, serializer)
    number = make(client, kind, "com.example.x")
    for name in ("get", f"list_{MEMBERS[kind]}", f"count_{MEMBERS[kind]}"):
        for args in ([], [None], ["1"], [0], [-1], [1.5], [number, None], [number, {}], [[number]]):
            assert error_of(client, f"wamp.{kind}.{name}", args) == "wamp.error.invalid_argument", (name, args)
        client.call(f"wamp.{kind}.{name}", [float(number)])
    for args in ([None], [{}], ["a"]):
        assert error_of(client, f"wamp.{kind}.list", args) == "wamp.error.invalid_argument", args
    for args in ([], [7], [None], [["a"]], ["x" * 1025]):
        for name in ("match", "lookup"):
            assert error_of(client, f"wamp.{kind}.{name}", args) == "wamp.error.invalid_argument", (name, args)
    assert error_of(client, f"wamp.{kind}.match", ["a", {}]) == "wamp.error.invalid_argument"
    for options in ("prefix", ["prefix"], {"match": 7}, {"match": "Prefix"}, {"match": ""}, {"match": ["prefix"]}):
        assert error_of(client, f"wamp.{kind}.lookup", ["a", options]) == "wamp.error.invalid_argument", options
    assert error_of(client, f"wamp.{kind}.lookup", ["a", {}, None]) == "wamp.error.invalid_argument"
    for name, args in (("list", []), ("lookup", ["a"]), ("match", ["a"]), ("get", [number])):
        assert error_of(client, f"wamp.{kind}.{name}", args, {"x": 1}) == "wamp.error.invalid_argument"
    for name in ("list_", "list_all", "count", "remove"):
        assert error_of(client, f"wamp.{kind}.{name}") == "wamp.error.no_such_procedure"
    assert client.silent() == []


def test_the_right_to_call_is_needed(start_routerd, join, threads):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = [
        permission("wamp.registration.", "prefix", call=True), permission("wamp.subscription.list", "exact", call=True)]
    client = join(start_routerd(config))
    assert lists(client, "registration") == lists(client, "subscription") == [[], [], []]
    assert error_of(client, "wamp.subscription.match", ["a"]) == "wamp.error.not_authorized"


def test_a_long_list(start_routerd, clients, join, threads):
    """It is made in pieces. A client may say that it takes only short messages."""
    config = router_config(threads=threads, cryptosign=False)
    config["transports"][0]["type"] = "universal"
    routerd = start_routerd(config)
    short = Client(**routerd.address(0), transport=RawSocket, length=1)  # 1,024 bytes
    clients.append(short)
    short.join()
    client, asker = join(routerd), join(routerd, "cbor")
    n = 3000
    client.send(*[[SUBSCRIBE, i + 1, {}, f"com.example.{i}"] for i in range(n)])
    client.request = n
    numbers = [client.expect(SUBSCRIBED, i + 1)[2] for i in range(n)]
    assert lists(asker, "subscription") == [numbers, [], []]
    assert error_of(short, "wamp.subscription.list") == "wamp.error.payload_size_exceeded"
    client.close_socket()
    wait_for(lambda: lists(asker, "subscription") == [[], [], []], "the subscriptions to end")
    assert lists(short, "subscription") == [[], [], []]


@pytest.mark.parametrize("kind", ["ab-twisted", "ab-new-asyncio", "autobahn-js", "wampy"])
def test_real_clients(start_routerd, join, puppets, transport, kind):
    routerd = start_routerd(router_config(threads=4, cryptosign=False))
    raw, puppet = join(routerd), puppets(kind)
    registration, subscription = raw.register("com.example.p"), raw.subscribe("com.example", match="prefix")
    for serializer in peers.serializers(kind, transport):
        peer = peers.Peer(puppet, routerd.url(), serializer)
        for name, args, result in (
                ("registration.list", [], {"exact": [registration], "prefix": [], "wildcard": []}),
                ("registration.lookup", ["com.example.p"], registration),
                ("registration.match", ["com.example.q"], None),
                ("registration.list_callees", [registration], [raw.session]),
                ("subscription.lookup", ["com.example", {"match": "prefix"}], subscription),
                ("subscription.match", ["com.example.p"], [subscription]),
                ("subscription.match", ["com"], None),
                ("subscription.list_subscribers", [subscription], [raw.session]),
                ("subscription.count_subscribers", [subscription], 1)):
            found, kwargs = peer.call(f"wamp.{name}", args, {})
            # Autobahn makes one null of no result and of null
            assert found == [result] or (result is None and found == []), name
            assert kwargs == {}
        details = peer.call("wamp.registration.get", [registration], {})[0][0]
        assert details["uri"] == "com.example.p" and details["invoke"] == "single"
        with pytest.raises(peers.PeerError) as error:
            peer.call("wamp.subscription.get", [2**53], {})
        assert error.value.uri == "wamp.error.no_such_subscription"
