# SPDX-License-Identifier: Apache-2.0
"""wamp.registration.remove_callee and wamp.subscription.remove_subscriber, as Crossbar.io has them."""

import peers
import pytest
from rawclient import (ERROR, EVENT, HELLO, INVOCATION, PUBLISH, SUBSCRIBE, SUBSCRIBED, UNREGISTERED, UNSUBSCRIBED,
                       WELCOME, YIELD, WampError)
from utils import realm_counter, wait_for

TOLD = {"caller": {}, "publisher": {}, "callee": {"features": {"registration_revocation": True}},
        "subscriber": {"features": {"subscription_revocation": True}}}
REMOVE_CALLEE, REMOVE_SUBSCRIBER = "wamp.registration.remove_callee", "wamp.subscription.remove_subscriber"
T, P = "com.example.t", "com.example.p"


def refused(client, procedure, *args, uri, **kwargs):
    with pytest.raises(WampError) as e:
        client.call(procedure, list(args), kwargs or None)
    assert e.value.uri == uri
    return e.value.args_


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_a_callee(routerd, join, serializer):
    admin, victim, other = join(routerd, serializer), join(routerd, serializer, roles=TOLD), join(routerd)
    number = {c.register(P, invoke="first") for c in (victim, other)}.pop()
    running = admin.start_call(P)
    invocation = victim.expect(INVOCATION)
    assert admin.call(REMOVE_CALLEE, [number, victim.session, "com.example.why"]) == ([], {})
    assert victim.recv() == [UNREGISTERED, 0, {"registration": number, "reason": "com.example.why"}]
    request = admin.start_call(P)
    other.send([YIELD, other.expect(INVOCATION)[1], {}])
    admin.result(request)
    victim.send([YIELD, invocation[1], {}])
    admin.result(running)
    refused(admin, REMOVE_CALLEE, number, victim.session, uri="wamp.error.no_such_session")
    refused(admin, REMOVE_CALLEE, number, 1, uri="wamp.error.no_such_session")
    refused(admin, REMOVE_CALLEE, number + 100, victim.session, uri="wamp.error.no_such_registration")
    victim.register(P, invoke="first")
    assert admin.call(REMOVE_CALLEE, [number, victim.session], {"reason": None}) == ([], {})
    assert victim.recv()[2]["reason"] == "wamp.error.unregistered"
    assert realm_counter(routerd, "revoked_callees") == 2


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_a_subscriber(routerd, join, serializer):
    admin, victim, other = join(routerd, serializer), join(routerd, serializer, roles=TOLD), join(routerd)
    number = {c.subscribe(T) for c in (victim, other)}.pop()
    admin.publish(T, [1])
    assert admin.call(REMOVE_SUBSCRIBER, [number, victim.session], {"reason": "com.example.why"}) == ([], {})
    assert victim.recv()[0] == EVENT
    assert victim.recv() == [UNSUBSCRIBED, 0, {"subscription": number, "reason": "com.example.why"}]
    admin.publish(T, [2], acknowledge=True)
    assert [other.expect(EVENT)[4] for _ in range(2)] == [[1], [2]] and victim.silent() == []
    refused(admin, REMOVE_SUBSCRIBER, number, victim.session, uri="wamp.error.no_such_session")
    refused(admin, REMOVE_SUBSCRIBER, number + 100, other.session, uri="wamp.error.no_such_subscription")
    victim.subscribe(T)
    assert admin.call(REMOVE_SUBSCRIBER, [number, victim.session]) == ([], {})
    assert victim.recv()[2]["reason"] == "wamp.error.unsubscribed"
    assert realm_counter(routerd, "revoked_memberships") == 2


@pytest.mark.parametrize("procedure", [REMOVE_CALLEE, REMOVE_SUBSCRIBER])
def test_wrong_arguments(routerd, join, procedure):
    client = join(routerd)
    for args in ([], [1], ["1", 1], [1, "1"], [1, 1, 1], [1, 1, "com.example.why", 1], [1.5, 1], [1, None]):
        refused(client, procedure, *args, uri="wamp.error.invalid_argument")
    for kwargs in ({"message": "x"}, {"other": 1}, {"reason": 1}):
        text = refused(client, procedure, 1, 1, uri="wamp.error.invalid_argument", **kwargs)
        assert text == ["expected no keyword arguments except reason, a URI"]
    refused(client, procedure, 1, 1, "not a uri", uri="wamp.error.invalid_uri")


@pytest.mark.parametrize("kind", [*peers.PYTHON, "autobahn-js", "wampy"])
def test_real_victims(routerd, puppets, join, kind):
    """They stay connected."""
    admin, puppet = join(routerd), puppets(kind)
    victim = peers.Peer(puppet, routerd.url(), "json", name="victim")
    victim.subscribe(T)
    victim.register(P)
    for procedure, uri in ((REMOVE_CALLEE, P), (REMOVE_SUBSCRIBER, T)):
        what = procedure.split(".")[1]
        number = admin.call(f"wamp.{what}.lookup", [uri])[0][0]
        who = admin.call(f"wamp.{what}.list_{'callees' if uri == P else 'subscribers'}", [number])[0][0][0]
        admin.call(procedure, [number, who])
    refused(admin, P, uri="wamp.error.no_such_procedure")
    admin.publish(T, [1], acknowledge=True)
    victim.register("com.example.alive")
    assert admin.call("com.example.alive", [1])[0] == [1]
    assert routerd.total("protocol_violations") == 0 and [m for m in admin.inbox if m[0] == ERROR] == []


MANY = 1000  # members; a fan-out to so many takes several turns of a worker


def join_many(routerd, connect, n):
    """Subscribers that have joined at the same time. Returns them and the subscription."""
    clients = [connect(routerd, "msgpack") for _ in range(n)]
    for client in clients:
        client.send([HELLO, "devices", {"roles": TOLD, "authmethods": ["anonymous"]}])
    for client in clients:
        client.session = client.expect(WELCOME)[1]
        client.send([SUBSCRIBE, 1, {}, T])
    return clients, {c.expect(SUBSCRIBED)[2] for c in clients}.pop()


def test_in_the_middle_of_a_fan_out(routerd, join, connect):
    """Of many subscribers some are removed and some close their connections, while events go out to all. Who is
    removed gets the events up to some number and no later one; all others get all."""
    clients, number = join_many(routerd, connect, MANY)
    publisher, admin = join(routerd), join(routerd, "cbor")
    removed, closed = clients[::100], clients[50::100]
    count = 0

    def publish(n):
        nonlocal count
        for count in range(count + 1, count + n + 1):
            publisher.send([PUBLISH, publisher.next_request(), {}, T, [count]])

    for victim, other in zip(removed, closed):
        publish(2)
        request = admin.start_call(REMOVE_SUBSCRIBER, [number, victim.session], {"reason": "com.example.why"})
        publish(1)
        other.close_socket()
        admin.result(request)
    publish(1)
    publisher.publish("com.example.x", acknowledge=True)
    for client in clients:
        if client in closed:
            continue
        got = []
        while (message := client.recv())[0] == EVENT:
            got.append(message[4][0])
            if client not in removed and got[-1] == count:
                break
        if client in removed:
            assert message == [UNSUBSCRIBED, 0, {"subscription": number, "reason": "com.example.why"}]
            assert len(got) < count
        assert got == list(range(1, len(got) + 1))
    # all that follows comes behind
    assert [c.silent() for c in removed] == [[]] * len(removed)
    assert realm_counter(routerd, "revoked_memberships") == len(removed)
    wait_for(lambda: realm_counter(routerd, "memberships") == MANY - len(removed) - len(closed), "the others to leave")
