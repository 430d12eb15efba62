# SPDX-License-Identifier: Apache-2.0
"""A reload takes the subscriptions and registrations away that the roles do not allow any more
(specification: "Subscription Revocation", "Registration Revocation")."""

import signal

import peers
import pytest
import rawclient
from authenticator import principal
from rawclient import (ERROR, EVENT, INVOCATION, PUBLISH, REGISTER, SUBSCRIBE, UNREGISTERED, UNSUBSCRIBED, YIELD,
                       WampError, worker_of)
from utils import Key, permission, realm_counter, router_config, wait_for

NOT_AUTHORIZED = "wamp.error.not_authorized"
TOLD = {"caller": {}, "publisher": {}, "callee": {"features": {"registration_revocation": True}},
        "subscriber": {"features": {"subscription_revocation": True}}}
LIKE_AUTOBAHN = {**TOLD, "subscriber": {"features": {"subscription_revocation": True, "payload_transparency": True}}}
T, P = "com.example.t", "com.example.p"
OPEN = permission()
# neither subscribe nor register
CLOSED = {"call": True, "publish": True}

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def reload(routerd, *permissions, role=0, wait=True):
    """The role gets these permissions. Returns how many things were revoked."""
    routerd.config["realms"][0]["roles"][role]["permissions"] = list(permissions)
    routerd.write_config()
    before = routerd.log().count("reload done")
    routerd.signal(signal.SIGHUP)
    if not wait:
        return None
    line = wait_for(lambda: [x for x in routerd.log().splitlines() if "reload done" in x][before:], "the reload")[0]
    return int(line.partition(" revoked=")[2].split()[0])


def forbid(uri, match="exact"):
    return OPEN, permission(uri, match, **CLOSED)


def revocation(kind, number):
    key = "subscription" if kind == UNSUBSCRIBED else "registration"
    return [kind, 0, {key: number, "reason": NOT_AUTHORIZED}]


def refused(function, *args, uri, **options):
    with pytest.raises(WampError) as e:
        function(*args, **options)
    assert e.value.uri == uri


@pytest.mark.parametrize("roles", [TOLD, LIKE_AUTOBAHN, {}], ids=["told", "autobahn", "silent"])
def test_what_is_forbidden_goes(routerd, join, roles):
    holder = join(routerd, **({"roles": roles} if roles else {}))
    other, kept = join(routerd, "cbor"), []
    lost = {kind: f(uri) for kind, f, uri in ((UNSUBSCRIBED, holder.subscribe, T), (UNREGISTERED, holder.register, P))}
    kept = holder.subscribe("com.example.other"), holder.register("com.example.other")
    running = other.start_call(P)
    invocation = holder.expect(INVOCATION)
    other.publish(T, ["before"], acknowledge=True)
    assert reload(routerd, OPEN, *(permission(uri, "exact", **CLOSED) for uri in (T, P))) == 2
    assert holder.event(lost[UNSUBSCRIBED]) == (["before"], {})
    if roles:
        assert holder.recv() == revocation(UNREGISTERED, lost[UNREGISTERED])
    if roles == TOLD:
        assert holder.recv() == revocation(UNSUBSCRIBED, lost[UNSUBSCRIBED])
    other.publish(T, ["after"], acknowledge=True)
    refused(other.call, P, uri="wamp.error.no_such_procedure")
    refused(holder.unsubscribe, lost[UNSUBSCRIBED], uri="wamp.error.no_such_subscription")
    refused(holder.unregister, lost[UNREGISTERED], uri="wamp.error.no_such_registration")
    # the call that was running ends normally; the rest is as before
    holder.send([YIELD, invocation[1], {}, ["done"]])
    assert other.result(running) == (["done"], {})
    other.publish("com.example.other", ["x"])
    assert holder.event(kept[0]) == (["x"], {})
    request = other.start_call("com.example.other")
    message = holder.expect(INVOCATION)
    assert message[2] == kept[1]
    holder.send([YIELD, message[1], {}])
    other.result(request)
    assert holder.silent() == [] and other.silent() == []
    refused(holder.subscribe, T, uri=NOT_AUTHORIZED)
    assert realm_counter(routerd, "revoked_memberships") == realm_counter(routerd, "revoked_callees") == 1
    # the right comes back: the session may use it
    assert reload(routerd, OPEN) == 0
    assert holder.subscribe(T) > lost[UNSUBSCRIBED] and holder.register(P) > lost[UNREGISTERED]


def test_patterns_over_a_forbidden_topic(routerd, join):
    client, publisher = join(routerd, roles=TOLD), join(routerd)
    patterns = {("com.example.", "prefix"): True, ("com..t", "wildcard"): True, ("com.example.u", "prefix"): False,
                (T, "exact"): True, ("com..u", "wildcard"): False}
    ids = {client.subscribe(uri, match=match): goes for (uri, match), goes in patterns.items()}
    assert reload(routerd, *forbid(T)) == 3
    gone = [client.expect(UNSUBSCRIBED) for _ in range(3)]
    assert {m[2]["subscription"] for m in gone} == {i for i, goes in ids.items() if goes}
    for topic in (T, "com.example.u"):
        publisher.publish(topic, [topic], acknowledge=True)
    assert [client.expect(EVENT)[4] for _ in range(2)] == [["com.example.u"]] * 2
    assert client.silent() == []


@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
@pytest.mark.parametrize("kind", [SUBSCRIBE, REGISTER])
def test_between_the_check_and_the_arrival(start_routerd, join, kind, match):
    """The worker of a session allows a request, and stands still before it posts it. Meanwhile a
    reload reaches the owner."""
    config = router_config(threads=4, cryptosign=False)
    config["debug"] = {"stall_worker": 1}
    routerd = start_routerd(config)
    everybody = [join(routerd, roles=TOLD) for _ in range(4)]
    by_worker = {worker_of(c): c for c in everybody}
    publisher, client, witness = by_worker[0], by_worker[1], by_worker[2]
    uri = {"exact": T, "prefix": "com.example.", "wildcard": "com..t"}[match]
    witness.subscribe(T)
    routerd.signal(signal.SIGUSR2)
    for _ in range(3):  # worker 0 handles signals, and has handled this one when it has answered
        publisher.publish("com.example.x", acknowledge=True)
    try:
        client.send([kind, 50, {"match": match}, uri])
        # it is being read: without the stall, the owner would know it by now
        assert witness.silent() == []
        reload(routerd, *forbid(T), wait=False)
        assert witness.expect(UNSUBSCRIBED)[1] == 0
    finally:
        routerd.signal(signal.SIGUSR2)
    error = client.expect(ERROR, kind)
    verb = "subscribe to" if kind == SUBSCRIBE else "register"
    assert error == [ERROR, kind, 50, {}, NOT_AUTHORIZED, [f"this session's role may not {verb} <{uri}>"]]
    routerd.wait_log("reload done .*revoked=1 ")
    publisher.publish(T, [1], acknowledge=True)
    refused(publisher.call, T, uri="wamp.error.no_such_procedure")
    assert [c.silent() for c in everybody] == [[]] * 4
    # the owner has refused it, not its worker
    assert routerd.total("not_authorized") == 0


def two_roles(fake, threads):
    """A configuration with the roles device and other, and a key for each."""
    keys = {"device": Key(), "other": Key()}
    roles = {key.public: (key, name) for name, key in keys.items()}

    def answer(realm, authid, details):
        key, name = roles[details["authextra"]["pubkey"]]
        return principal(key, role=name)

    fake(answer)
    config = router_config(threads=threads, anonymous=None)
    config["realms"][0]["roles"].append({"name": "other", "permissions": [OPEN]})
    return config, list(keys.values())


def test_only_that_role_and_what_others_see(fake, start_routerd, threads, join):
    """Meta events say what the sessions of the role lose; sessions of another role keep all."""
    config, (device, other) = two_roles(fake, threads)
    routerd = start_routerd(config)
    losers = [join(routerd, s, key=device, roles=TOLD) for s in ("json", "cbor")]
    keeper, watcher = join(routerd, key=other, roles=TOLD), join(routerd, key=other)
    shared = {c.subscribe(T) for c in (*losers, keeper)}.pop()
    alone = losers[0].subscribe("com.example.alone")
    registration = {c.register(P, invoke="roundrobin") for c in (*losers, keeper)}.pop()
    watcher.subscribe("wamp.", match="prefix")
    assert reload(routerd, permission("", **CLOSED)) == 5
    events = [watcher.expect(EVENT) for _ in range(6)]
    seen = [(e[3]["topic"].removeprefix("wamp."), *e[4]) for e in events]
    expected = []
    for loser in losers:
        expected.append(("registration.on_unregister", loser.session, registration))
        if loser is losers[0]:
            expected.append(("subscription.on_unsubscribe", loser.session, alone))
            expected.append(("subscription.on_delete", loser.session, alone))
        expected.append(("subscription.on_unsubscribe", loser.session, shared))
    assert sorted(seen) == sorted(expected)
    watcher.publish(T, ["x"])
    assert keeper.event(shared) == (["x"], {})
    for _ in range(4):
        request = watcher.start_call(P)
        keeper.send([YIELD, keeper.expect(INVOCATION)[1], {}])
        watcher.result(request)
    for loser in losers:
        loser.expect(UNREGISTERED, 0)
        loser.expect(UNSUBSCRIBED, 0)
    losers[0].expect(UNSUBSCRIBED, 0)
    assert [c.silent() for c in (*losers, keeper, watcher)] == [[]] * 4
    assert watcher.call("wamp.subscription.list_subscribers", [shared])[0] == [[keeper.session]]
    assert watcher.call("wamp.registration.list_callees", [registration])[0] == [[keeper.session]]


def test_in_the_middle_of_a_stream_of_events(fake, start_routerd, threads, join):
    """Those who lose the right get the events up to some number and no later one; those who keep it
    get all; some close their connections meanwhile."""
    config, (device, other) = two_roles(fake, threads)
    routerd = start_routerd(config)
    losers = [join(routerd, "cbor", key=device, roles=TOLD) for _ in range(40)]
    keepers = [join(routerd, "cbor", key=other, roles=TOLD) for _ in range(40)]
    publisher = join(routerd, "cbor", key=other)
    topic = {c.subscribe(T) for pair in zip(losers, keepers) for c in pair}.pop()
    count = 0

    def publish(n):
        nonlocal count
        publisher.send_bytes(b"".join(publisher.make_frame(publisher.opcode, publisher.pack(
            [PUBLISH, publisher.next_request(), {}, T, [count + i]])) for i in range(n)))
        count += n

    publish(50)
    reload(routerd, permission("", **CLOSED), wait=False)
    for i in range(20):
        publish(20)
        losers.pop().close_socket()
        keepers.pop().close_socket()
    routerd.wait_log("reload done")
    publish(10)
    publisher.publish("com.example.x", acknowledge=True)
    for client in losers:
        got, message = [], client.recv()
        while message[0] == EVENT:
            got.append(message[4][0])
            message = client.recv()
        assert message == revocation(UNSUBSCRIBED, topic)
        assert got == list(range(len(got))) and len(got) < count - 9
        assert client.silent() == []
    for client in keepers:
        assert [client.expect(EVENT, topic)[4][0] for _ in range(count)] == list(range(count))


def test_reloads_in_a_loop(routerd, join):
    """While a session subscribes and registers without a pause."""
    client, publisher = join(routerd, roles=TOLD), join(routerd)
    for n in range(30):
        allowed = n % 2 == 1
        for i in range(20):
            for kind in (SUBSCRIBE, REGISTER):
                client.send([kind, client.next_request(), {}, f"com.example.{i}"])
        reload(routerd, *((OPEN,) if allowed else (permission("", **CLOSED),)))
        client.silent()
        client.inbox.clear()
        held = realm_counter(routerd, "memberships"), realm_counter(routerd, "callees")
        # what was sent before the reload may have been refused before it
        assert held == (0, 0) if not allowed else max(held) <= 20
    publisher.publish(T, acknowledge=True)


@pytest.mark.websocket
@pytest.mark.parametrize("kind", [*peers.PYTHON, "autobahn-js", "wampy"])
def test_real_clients(routerd, puppets, join, kind):
    """They stay connected, and their running call ends."""
    puppet, raw = puppets(kind), join(routerd)
    clients = [peers.Peer(puppet, routerd.url(), s, name=s) for s in ("json", "msgpack", "cbor")]
    for client in clients:
        client.subscribe(T)
        client.subscribe("com.example.kept")
        client.register(f"{P}.{client.name}", kind="slow")
    running = [raw.start_call(f"{P}.{c.name}", [500]) for c in clients]
    for client in clients:
        puppet.event(ev="invoked", s=client.name)
    assert reload(routerd, OPEN, permission(T, "exact", **CLOSED), permission(P, **CLOSED)) == 6
    for request in running:
        raw.result(request)
    raw.publish(T, ["forbidden"], acknowledge=True)
    raw.publish("com.example.kept", ["allowed"], acknowledge=True)
    for client in clients:
        assert client.event("com.example.kept")[0] == ["allowed"]
        client.register(f"com.example.alive.{client.name}")
        assert raw.call(f"com.example.alive.{client.name}", [1])[0] == [1]
    with pytest.raises(TimeoutError):
        puppet.event(seconds=0.2, ev="event", topic=T)
    assert routerd.total("protocol_violations") == 0 and routerd.total("sessions") == 4
