# SPDX-License-Identifier: Apache-2.0
"""REGISTER with force_reregister takes a procedure over from its callees (specification:
"Registration Revocation" says how they learn of it)."""

import peers
import pytest
import rawclient
from rawclient import ERROR, EVENT, INVOCATION, REGISTER, REGISTERED, UNREGISTERED, YIELD, WampError
from utils import realm_counter, router_config, wait_for

REASON = "wamp.error.unregistered"
REVOKED = rawclient.roles(features={"registration_revocation": True})
P = "com.example.p"

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def answer(callee, caller, request, registration):
    """The callee gets this call, for this registration, and answers it."""
    invocation = callee.expect(INVOCATION)
    assert invocation[2] == registration
    callee.send([YIELD, invocation[1], {}])
    caller.result(request)


def expect_revoked(callee, registration):
    """The next message is the revocation."""
    assert callee.recv() == [UNREGISTERED, 0, {"registration": registration, "reason": REASON}]


def not_registered(callee, registration):
    with pytest.raises(WampError) as e:
        callee.unregister(registration)
    assert e.value.uri == "wamp.error.no_such_registration"


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
def test_another_session_takes_over(routerd, join, announces, match):
    holder = join(routerd, **({"roles": REVOKED} if announces else {}))
    caller, taker = join(routerd), join(routerd, "cbor")
    uri = {"exact": P, "prefix": "com.example.p", "wildcard": "com..p"}[match]
    old = holder.register(uri, match=match)
    first = caller.start_call(P, ["before"])
    invocation = holder.expect(INVOCATION)
    new = taker.register(uri, match=match, force_reregister=True)
    assert new > old
    if announces:
        expect_revoked(holder, old)
    assert holder.silent() == []
    answer(taker, caller, caller.start_call(P), new)
    # the call that was running goes on
    holder.send([YIELD, invocation[1], {}, ["done"]])
    assert caller.result(first) == (["done"], {})
    not_registered(holder, old)
    with pytest.raises(WampError) as e:
        holder.register(uri, match=match)
    assert e.value.uri == "wamp.error.procedure_already_exists"
    taker.unregister(new)
    assert holder.register(uri, match=match, force_reregister=True) > new
    assert realm_counter(routerd, "takeovers") == 1
    assert realm_counter(routerd, "revoked_callees") == 1


def test_the_holder_itself(routerd, join):
    """It learns that the old registration has ended before it gets the new one."""
    callee, caller = join(routerd, roles=REVOKED), join(routerd)
    old = callee.register(P)
    request = caller.start_call(P)
    invocation = callee.expect(INVOCATION)
    callee.send([REGISTER, 70, {"force_reregister": True}, P])
    expect_revoked(callee, old)
    registered = callee.recv()
    assert registered[:2] == [REGISTERED, 70] and registered[2] > old
    callee.send([YIELD, invocation[1], {}])
    caller.result(request)
    answer(callee, caller, caller.start_call(P), registered[2])
    not_registered(callee, old)
    callee.unregister(registered[2])


def test_all_callees_and_another_policy(routerd, join):
    """Meta events: on_unregister for each callee, on_delete, then on_create and on_register."""
    watcher = join(routerd)
    callees = [join(routerd, s, roles=REVOKED) for s in ("json", "msgpack", "cbor")]
    taker, caller = callees[1], join(routerd)
    old = {c.register(P, invoke="roundrobin") for c in callees}.pop()
    watcher.subscribe("wamp.registration.", match="prefix")
    with pytest.raises(WampError):
        taker.register(P, invoke="last")
    new = taker.register(P, invoke="last", force_reregister=True)
    for callee in callees:
        assert callee.expect(UNREGISTERED, 0) == [UNREGISTERED, 0, {"registration": old, "reason": REASON}]
    events = [watcher.expect(EVENT) for _ in range(6)]
    names = [e[3]["topic"].rpartition(".")[2] for e in events]
    assert names == ["on_unregister"] * 3 + ["on_delete", "on_create", "on_register"]
    assert {e[4][0] for e in events[:3]} == {c.session for c in callees}
    assert [e[4][1] for e in events[:4]] == [old] * 4
    assert events[4][4][0] == taker.session and events[4][4][1]["invoke"] == "last"
    assert events[4][4][1]["id"] == events[5][4][1] == new
    callees[0].register(P, invoke="last")
    answer(callees[0], caller, caller.start_call(P), new)
    assert [c.silent() for c in callees] == [[], [], []]


def test_waiting_calls_go_to_the_new_callee(start_routerd, threads, join):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = {"call_queue": 10}
    routerd = start_routerd(config)
    holder, taker, caller = join(routerd), join(routerd), join(routerd, "cbor")
    holder.register(P, concurrency=1)
    requests = [caller.start_call(P, [n]) for n in range(5)]
    invocation = holder.expect(INVOCATION)
    wait_for(lambda: realm_counter(routerd, "calls_queued") == 4, "the calls to wait")
    new = taker.register(P, force_reregister=True)
    for n in range(1, 5):
        message = taker.expect(INVOCATION)
        assert message[2] == new and message[4] == [n]
        taker.send([YIELD, message[1], {}])
        caller.result(requests[n])
    holder.send([YIELD, invocation[1], {}])
    caller.result(requests[0])
    assert holder.silent() == []


def test_reserved_names_stay_reserved(routerd, join):
    client = join(routerd)
    for uri in ("wamp.session.count", "wamp.x"):
        with pytest.raises(WampError) as e:
            client.register(uri, force_reregister=True)
        assert e.value.uri == "wamp.error.invalid_uri"


@pytest.mark.websocket
@pytest.mark.parametrize("kind", [*peers.PYTHON, "autobahn-js", "wampy"])
def test_real_callees(routerd, puppets, join, kind):
    """They lose a procedure, take it over, and stay connected."""
    caller, raw = join(routerd), join(routerd)
    puppet = puppets(kind)
    callees = [peers.Peer(puppet, routerd.url(), s, name=f"callee-{s}") for s in ("json", "msgpack", "cbor")]
    callees[0].register(P, kind="slow")
    running = caller.start_call(P, [300])
    puppet.event(ev="invoked", s=callees[0].name)
    new = raw.register(P, force_reregister=True)
    puppet.event(ev="done", s=callees[0].name)
    caller.result(running)
    answer(raw, caller, caller.start_call(P), new)
    for callee in callees[1:]:
        if kind == "wampy":  # it cannot send this option
            number = raw.register(f"{P}.{callee.name}")
            raw.unregister(number)
            callee.register(f"{P}.{callee.name}")
            raw.register(f"{P}.{callee.name}", force_reregister=True)
        else:
            callee.register(P, kind="slow", force_reregister=True)
            request = caller.start_call(P, [1])
            puppet.event(ev="done", s=callee.name)
            caller.result(request)
    if kind in peers.PYTHON:  # the holder itself
        callees[2].register(P, kind="slow", force_reregister=True)
        request = caller.start_call(P, [1])
        puppet.event(ev="done", s=callees[2].name)
        caller.result(request)
    for callee in callees:
        callee.register(f"com.example.alive.{callee.name}")
        assert caller.call(f"com.example.alive.{callee.name}", [1])[0] == [1]
    assert routerd.total("protocol_violations") == 0 and caller.silent() == []
    assert [m for m in raw.inbox if m[0] == ERROR] == []
