# SPDX-License-Identifier: Apache-2.0
"""Roles with an authorizer, together with progressive input, event history and reloads."""

import pytest
import utils
from rawclient import CALL, CANCEL, ERROR, EVENT, GOODBYE, INTERRUPT, INVOCATION, SUBSCRIBE, YIELD, WampError
from test_authorizer import DENIED, FAILED, Held, authenticator, config, error_of  # noqa: F401
from test_progressive_input import BOTH, PROCEDURE, chunk, expect_chunks
from utils import permission, realm_counter, wait_for

GET_EVENTS = "wamp.subscription.get_events"
T, P = "com.example.t", "com.example.p"


@pytest.fixture
def upload(authenticator, start_routerd, join, threads):  # noqa: F811
    """upload(serializer) -> the authorizer, the router, a caller that it decides about, and a callee."""
    def start(serializer="json", **kw):
        held = Held(authenticator)
        routerd = start_routerd(config(threads=threads, **kw))
        caller = join(routerd, serializer, roles=BOTH)
        callee = join(routerd, "cbor", listener=1, roles=BOTH)
        callee.register(PROCEDURE)
        return held, routerd, caller, callee

    return start


# --- progressive input ---


@pytest.mark.parametrize("serializer", ["json", "cbor", "msgpack.batched"])
def test_chunks_wait_behind_the_first_one(upload, serializer):
    """It is asked about the first chunk only. What it says about the caller's identity holds for all."""
    held, routerd, caller, callee = upload(serializer)
    chunk(caller, 1, 1, 2, 3)
    held.wait(1)
    chunk(caller, 1, 4, 5, last=True)
    assert callee.silent() == []
    held.answer(1, {"allow": True, "disclose": True})
    messages = [callee.expect(INVOCATION) for _ in range(5)]
    assert [m[4] for m in messages] == [[1], [2], [3], [4], [5]] and len({m[1] for m in messages}) == 1
    assert all(m[3]["caller"] == caller.session for m in messages)
    assert [m[3].get("progress") for m in messages] == [True] * 4 + [None]
    callee.send([YIELD, messages[0][1], {}, ["all"]])
    assert caller.result(1) == (["all"], {})
    assert held.asked() == [PROCEDURE]


@pytest.mark.parametrize("answer, uri", [(False, DENIED), ({"allow": 1}, FAILED)])
def test_a_refused_first_chunk(upload, answer, uri):
    """One ERROR for all chunks, those that come later too, and no further question."""
    held, routerd, caller, callee = upload()
    chunk(caller, 1, 1, 2, 3)
    held.answer(1, answer)
    assert error_of(caller, CALL, 1)[0] == uri
    chunk(caller, 1, 4, 5, last=True)
    caller.send([CALL, 2, {}, PROCEDURE, ["another"]])
    held.answer(2)
    message = callee.expect(INVOCATION)
    assert message[4] == ["another"]
    callee.send([YIELD, message[1], {}])
    caller.result(2)
    # the id may be used again for a new input
    chunk(caller, 3, 1, last=True)
    held.answer(3)
    expect_chunks(callee, message[1] + 1, 1, last=True)
    assert held.asked() == [PROCEDURE] * 3
    held.hold = lambda uri: False
    assert caller.silent() == [] and callee.silent() == []
    assert routerd.total("chunks_dropped") == 4


def test_no_answer_about_a_first_chunk(authenticator, start_routerd, join, threads):  # noqa: F811
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads, timeout=200))
    caller = join(routerd, roles=BOTH)
    chunk(caller, 1, 1, 2, last=True)
    assert error_of(caller, CALL, 1)[0] == FAILED
    assert held.asked() == [PROCEDURE]
    held.hold = lambda uri: False
    assert caller.silent() == []


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_cancel_behind_a_first_chunk(upload, mode):
    """It waits like the chunks, so the callee gets all before it, and one INTERRUPT."""
    held, routerd, caller, callee = upload()
    chunk(caller, 1, 1, 2)
    caller.send([CANCEL, 1, {"mode": mode}])
    held.answer(1)
    invocation = callee.expect(INVOCATION)[1]
    callee.expect(INVOCATION)
    assert callee.expect(INTERRUPT)[1] == invocation
    if mode == "kill":
        callee.send([ERROR, INVOCATION, invocation, {}, "wamp.error.canceled"])
    assert error_of(caller, CALL, 1)[0] == "wamp.error.canceled"
    chunk(caller, 1, 3, last=True)
    assert caller.silent() == [] and callee.silent() == []
    assert realm_counter(routerd, "calls_in_flight") == 0


def test_goodbye_behind_a_first_chunk(upload):
    held, routerd, caller, callee = upload()
    chunk(caller, 1, 1)
    caller.send([GOODBYE, {}, "wamp.close.close_realm"])
    held.answer(1)
    invocation = callee.expect(INVOCATION)[1]
    assert callee.expect(INTERRUPT)[1] == invocation
    assert caller.expect(GOODBYE)
    assert realm_counter(routerd, "calls_in_flight") == 0


# --- event history ---


@pytest.mark.parametrize("serializer", ["json", "cbor", "msgpack.batched"])
def test_only_members_read_a_history(authenticator, start_routerd, join, threads, serializer):  # noqa: F811
    """The authorizer is asked about the call; it is not asked whether a session may subscribe."""
    held = Held(authenticator, lambda uri: False)
    conf = config(threads=threads)
    conf["realms"][0]["options"] = {"history": [{"uri": T}, {"uri": "com.", "match": "prefix"}]}
    routerd = start_routerd(conf)
    client, backend = join(routerd, serializer), join(routerd, listener=1)
    backend.publish(T, [1], acknowledge=True)
    for topic, match in ((T, "exact"), ("com.", "prefix")):
        (subscription,), _ = backend.call("wamp.subscription.lookup", [topic, {"match": match}])
        for member in (False, True, False):
            before = len(held.asked())
            if member:
                assert client.subscribe(topic, match=match) == subscription
                events, _ = client.call(GET_EVENTS, [subscription], {})
                assert [e["args"] for e in events] == [[1]]
                client.unsubscribe(subscription)
                assert held.asked()[before:] == [topic, GET_EVENTS]
                continue
            for query in ({}, {"after_publication": 1}):
                with pytest.raises(WampError) as e:
                    client.call(GET_EVENTS, [subscription], query)
                assert (e.value.uri, e.value.args_) == (DENIED, [
                    f"this session's role has an authorizer: subscribe before you read the events of <{topic}>"])
            assert held.asked()[before:] == [GET_EVENTS] * 2
        # a role with permissions need not be a member
        assert backend.call(GET_EVENTS, [subscription], {})[0][0]["args"] == [1]


# --- reload ---


def reload(routerd, *roles):
    """Returns how many things were revoked."""
    routerd.config["realms"][0]["roles"][:len(roles)] = roles
    routerd.write_config()
    before = routerd.log().count("reload done")
    routerd.signal(utils.signal.SIGHUP)
    line = wait_for(lambda: [x for x in routerd.log().splitlines() if "reload done" in x][before:], "the reload")[0]
    return int(line.partition(" revoked=")[2].split()[0])


def test_a_reload_leaves_alone_what_an_authorizer_allowed(authenticator, start_routerd, join, threads):  # noqa: F811
    """It was asked once about each thing, and is not asked again. A role that gets permissions instead loses
    what they forbid."""
    held = Held(authenticator, lambda uri: False)
    routerd = start_routerd(config(threads=threads))
    told = {"caller": {}, "publisher": {}, "callee": {"features": {"registration_revocation": True}},
            "subscriber": {"features": {"subscription_revocation": True}}}
    client, backend = join(routerd, roles=told), join(routerd, listener=1)
    subscription, pattern = client.subscribe(T), client.subscribe("com.", match="prefix")
    registration = client.register(P)
    client.call("wamp.session.add_testament", [T, ["testament"], {}])
    asked = held.asked()
    by_authorizer = {"name": "device", "authorizer": "authd"}

    def works():
        backend.publish(T, [1], acknowledge=True)
        assert [client.expect(EVENT)[1] for _ in range(2)] == [subscription, pattern]
        request = backend.start_call(P)
        client.send([YIELD, client.expect(INVOCATION, None)[1], {}])
        backend.result(request)
        assert client.silent() == []

    assert reload(routerd, by_authorizer, {"name": "backend", "permissions": [permission(), permission("com.x")]}) == 0
    works()
    # from permissions to the authorizer, and back
    assert reload(routerd, {"name": "device", "permissions": [permission()]}) == 0
    works()
    assert reload(routerd, by_authorizer) == 0
    works()
    assert [uri for uri in held.asked() if uri != "com.example.nobody"] == asked
    assert realm_counter(routerd, "testaments") == 1
    forbidden = permission("com.example.", publish=False, call=True)
    assert reload(routerd, {"name": "device", "permissions": [permission(), forbidden]}) == 4
    messages = client.silent()
    assert sorted(m[2].get("subscription", 0) for m in messages) == [0, subscription, pattern]
    assert [m[2]["registration"] for m in messages if "registration" in m[2]] == [registration]
    assert {m[2]["reason"] for m in messages} == {DENIED}
    assert realm_counter(routerd, "testaments") == 0 and realm_counter(routerd, "memberships") == 0


def test_a_subscription_that_waits_for_its_authorizer_during_a_reload(authenticator, start_routerd, join, threads):  # noqa: F811
    """The rules that are in force when the answer comes decide, and nothing forbidden is left behind."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads))
    clients = [join(routerd) for _ in range(6)]
    backend = join(routerd, listener=1)
    for client in clients:
        client.send([SUBSCRIBE, 1, {}, T])
    held.wait(6)
    permissions = [permission(), permission(T, "exact", publish=True)]
    assert reload(routerd, {"name": "device", "permissions": permissions}) == 0
    for i, client in enumerate(clients):
        held.answer(i + 1)
        assert error_of(client, SUBSCRIBE, 1)[0] == DENIED
    backend.publish(T, ["forbidden"], acknowledge=True)
    assert [c.silent() for c in clients] == [[]] * 6
    assert realm_counter(routerd, "memberships") == 0
