# SPDX-License-Identifier: Apache-2.0
"""Call canceling (specification: "Call Canceling"): every mode answers the caller once. A callee gets
at most one INTERRUPT for each call, and only if it has announced call_canceling in its role of
callee."""

import random

import peers
import pytest
import rawclient
from rawclient import (ABORT, CALL, CANCEL, CANCELING, ERROR, INTERRUPT, INVOCATION, RESULT, YIELD,
                       roles)
from utils import SLOW, realm_counter, wait_for

CANCELED_TEXT = "the caller has canceled the call"
MODES = ["skip", "kill", "killnowait"]

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def expect_canceled(caller, request):
    message = caller.expect(ERROR, 48)
    assert message == [ERROR, 48, request, {}, "wamp.error.canceled", [CANCELED_TEXT]]


def expect_interrupt(callee, invocation, mode):
    assert callee.expect(INTERRUPT) == [INTERRUPT, invocation[1], {"mode": mode}]


def start(caller, callee, **options):
    """A call that the callee has got: the id of its CALL, and the INVOCATION."""
    request = caller.start_call("com.example.p", [1], **options)
    return request, callee.expect(INVOCATION)


def expect_silence(routerd, *clients):
    assert all(c.silent() == [] for c in clients)
    assert realm_counter(routerd, "calls_in_flight") == 0


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_the_modes(routerd, join, serializer):
    caller, callee = join(routerd, serializer), join(routerd, serializer, roles=CANCELING)
    callee.register("com.example.p")
    for mode in MODES:
        request, invocation = start(caller, callee)
        caller.send([CANCEL, request, {"mode": mode}])
        if mode != "skip":
            expect_interrupt(callee, invocation, mode)
        if mode == "kill":
            callee.send([ERROR, 68, invocation[1], {}, "com.example.stopped", ["so far"]])
            assert caller.expect(ERROR, 48) == [ERROR, 48, request, {}, "com.example.stopped", ["so far"]]
        else:
            expect_canceled(caller, request)
        # late answers are dropped
        callee.send([YIELD, invocation[1], {}], [ERROR, 68, invocation[1], {}, "wamp.error.canceled"])
        expect_silence(routerd, caller, callee)
    assert realm_counter(routerd, "cancels") == 3


def test_kill_and_the_callee_has_a_result(routerd, join):
    caller, callee = join(routerd), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    caller.send([CANCEL, request, {"mode": "kill"}])
    expect_interrupt(callee, invocation, "kill")
    callee.send([YIELD, invocation[1], {}, ["done"]])
    assert caller.result(request) == (["done"], {})
    expect_silence(routerd, caller, callee)


@pytest.mark.parametrize("who", [
    roles(), roles(features={"call_canceling": False}), {**roles(), "caller": {"features": {"call_canceling": True}}}])
def test_a_callee_that_cannot_be_interrupted(routerd, join, who):
    caller, callee = join(routerd, "cbor"), join(routerd, "msgpack", roles=who)
    callee.register("com.example.p")
    for mode in MODES:
        request, invocation = start(caller, callee)
        caller.send([CANCEL, request, {"mode": mode}])
        expect_canceled(caller, request)
        callee.send([YIELD, invocation[1], {}])
    expect_silence(routerd, caller, callee)


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_any_other_mode_is_killnowait(routerd, join, serializer):
    caller, callee = join(routerd, serializer), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    for options in ({}, {"mode": None}, {"mode": "abort"}, {"mode": ""}, {"mode": "KILL"}, {"mode": 7},
                    {"mode": ["skip"]}, {"mode": {}}, {"x_other": "skip"}):
        request, invocation = start(caller, callee)
        caller.send([CANCEL, request, options])
        expect_interrupt(callee, invocation, "killnowait")
        expect_canceled(caller, request)
    expect_silence(routerd, caller, callee)


def test_a_wrong_value_in_the_options(routerd, join):
    caller, callee = join(routerd), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    for options in (rb'{"mode":"\ud83d"}', rb'{"reason":"\ud83d","mode":"skip"}'):
        request, invocation = start(caller, callee)
        caller.send_payload(b"[49,%d,%s]" % (request, options))
        expect_interrupt(callee, invocation, "killnowait")
        expect_canceled(caller, request)
    expect_silence(routerd, caller, callee)


def test_calls_that_are_not_there(routerd, join):
    """CANCEL has no answer of its own: an unknown call, one that has ended, one of another session."""
    caller, callee, other = join(routerd), join(routerd, roles=CANCELING), join(routerd, "cbor")
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    for mode in [{"mode": m} for m in MODES] + [{}]:
        caller.send([CANCEL, 4711, mode], [CANCEL, 1 << 53, mode])
        other.send([CANCEL, request, mode])
        callee.send([CANCEL, request, mode])
    assert caller.silent() == [] and callee.silent() == [] and other.silent() == []
    callee.send([YIELD, invocation[1], {}])
    caller.result(request)
    for mode in MODES:
        caller.send([CANCEL, request, {"mode": mode}])
    expect_silence(routerd, caller, callee, other)
    assert realm_counter(routerd, "cancels") == 0


def test_a_second_cancel(routerd, join):
    """It no longer waits for the callee, which is not told a second time."""
    caller, callee = join(routerd), join(routerd, "cbor", roles=CANCELING)
    callee.register("com.example.p")
    for second in ("skip", "killnowait"):
        request, invocation = start(caller, callee)
        caller.send(*[[CANCEL, request, {"mode": "kill"}]] * 3)
        expect_interrupt(callee, invocation, "kill")
        assert caller.silent() == []
        caller.send(*[[CANCEL, request, {"mode": second}]] * 2)
        expect_canceled(caller, request)
    expect_silence(routerd, caller, callee)


def test_the_timeout_of_a_call_that_is_killed(routerd, join):
    caller, callee = join(routerd), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    request, invocation = start(caller, callee, timeout=300)
    caller.send([CANCEL, request, {"mode": "kill"}])
    expect_interrupt(callee, invocation, "kill")
    assert caller.expect(ERROR, 48)[2:5:2] == [request, "wamp.error.timeout"]
    # a call that was canceled does not time out
    request, invocation = start(caller, callee, timeout=100)
    caller.send([CANCEL, request, {}])
    expect_interrupt(callee, invocation, "killnowait")
    expect_canceled(caller, request)
    request, _ = start(caller, callee, timeout=300)
    assert caller.expect(ERROR, 48)[2:5:2] == [request, "wamp.error.timeout"]
    callee.expect(INTERRUPT)
    expect_silence(routerd, caller, callee)


@pytest.mark.long
@pytest.mark.websocket
def test_the_callee_does_not_stop(routerd, join):
    """A kill without a timeout ends after 30 s."""
    caller, callee = join(routerd), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    caller.send([CANCEL, request, {"mode": "kill"}])
    expect_interrupt(callee, invocation, "kill")
    message = caller.expect(ERROR, 48, timeout=30 + 5 * SLOW)
    assert message == [ERROR, 48, request, {}, "wamp.error.canceled",
                       ["the call was canceled, and the callee did not stop within 30 s"]]
    callee.send([YIELD, invocation[1], {}])
    expect_silence(routerd, caller, callee)


# --- many at the same time ------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cancel", "yield", "together"])
def test_many_calls_in_every_order(routerd, join, first):
    """CANCEL and the answer of the callee, in both orders and at the same time; then both once more.
    Each call has one answer, each callee gets at most one INTERRUPT."""
    serializers = ["json", "msgpack", "cbor"]
    callers = [join(routerd, s) for s in serializers]
    callees = [join(routerd, s, roles=CANCELING) for s in serializers]
    pairs = list(zip(callers, callees))
    chance = random.Random(first)
    for i, callee in enumerate(callees):
        callee.register(f"com.example.p{i}")
    calls = {}  # of each pair: CALL.Request: INVOCATION.Request
    for i, (caller, callee) in enumerate(pairs):
        requests = [caller.start_call(f"com.example.p{i}", [n]) for n in range(300)]
        calls[i] = {r: callee.expect(INVOCATION)[1] for r in requests}

    def cancel_all():
        for i, (caller, _) in enumerate(pairs):
            for request in calls[i]:
                caller.send([CANCEL, request, {"mode": chance.choice(MODES)}])

    def yield_all():
        for i, (_, callee) in enumerate(pairs):
            for invocation in calls[i].values():
                callee.send([YIELD, invocation, {}, [invocation]])

    def settled():
        """All that was sent so far has been handled."""
        for client in callers + callees:
            client.subscribe("com.example.t")

    if first == "together":
        for i, (caller, callee) in enumerate(pairs):
            for request, invocation in calls[i].items():
                sends = [(caller, [CANCEL, request, {"mode": chance.choice(MODES)}]),
                         (callee, [YIELD, invocation, {}, [invocation]])]
                chance.shuffle(sends)
                for who, message in sends:
                    who.send(message)
        cancel_all()
        yield_all()
    else:
        for step in [cancel_all, yield_all] * 2 if first == "cancel" else [yield_all, cancel_all] * 2:
            step()
            settled()
    settled()
    for i, (caller, callee) in enumerate(pairs):
        answers = {}
        for message in caller.silent():
            assert message[0] == RESULT or message[:2] == [ERROR, 48] and message[4] == "wamp.error.canceled", message
            request = message[1] if message[0] == RESULT else message[2]
            assert answers.setdefault(request, message) is message, "answered twice"
            if message[0] == RESULT:
                assert message[3] == [calls[i][request]]
        assert answers.keys() == calls[i].keys()
        kinds = {m[0] for m in answers.values()}
        assert kinds == ({RESULT} if first == "yield" else {RESULT, ERROR}) or first == "together"
        interrupts = callee.silent()
        assert all(m[0] == INTERRUPT for m in interrupts)
        assert len({m[1] for m in interrupts}) == len(interrupts) <= 300
        assert (len(interrupts) == 0) == (first == "yield") or first == "together"
    assert realm_counter(routerd, "calls_in_flight") == 0


# --- a session leaves -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["socket", "goodbye", "abort", "violation"])
def test_the_caller_leaves(routerd, join, how):
    """Only callees that understand INTERRUPT get one, and none for a call that was killed before."""
    caller, other = join(routerd), join(routerd)
    stops, goes_on = join(routerd, "cbor", roles=CANCELING), join(routerd, "msgpack")
    stops.register("com.example.p")
    goes_on.register("com.example.q")
    invocations = [start(caller, stops)[1][1] for _ in range(5)]
    caller.start_call("com.example.q")
    late = goes_on.expect(INVOCATION)
    request, killed = start(caller, stops)
    caller.send([CANCEL, request, {"mode": "kill"}])
    expect_interrupt(stops, killed, "kill")
    if how == "socket":
        caller.close_socket()
    elif how == "goodbye":
        caller.leave()
    elif how == "abort":
        caller.send([3, {}, "wamp.close.normal"])
    else:
        caller.send([99])
    interrupts = [stops.expect(INTERRUPT) for _ in invocations]
    assert sorted(m[1] for m in interrupts) == invocations
    assert all(m[2] == {"mode": "killnowait"} for m in interrupts)
    for invocation in invocations + [killed[1]]:
        stops.send([YIELD, invocation, {}])
    goes_on.send([YIELD, late[1], {}])
    request, invocation = start(other, stops)
    stops.send([YIELD, invocation[1], {}])
    other.result(request)
    expect_silence(routerd, other, stops, goes_on)


def test_a_session_that_called_itself_leaves(routerd, join):
    client, other = join(routerd, roles=CANCELING), join(routerd)
    client.register("com.example.p")
    start(client, client)
    client.leave()  # nothing comes before GOODBYE
    assert list(client.inbox) == []
    expect_silence(routerd, other)


def test_the_callee_leaves(routerd, join):
    caller, callee = join(routerd), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    caller.send([CANCEL, request, {"mode": "kill"}])
    expect_interrupt(callee, invocation, "kill")
    callee.close_socket()
    message = caller.expect(ERROR, 48)
    assert message[2] == request and message[4] == "wamp.error.canceled"
    caller.send([CANCEL, request, {}])
    expect_silence(routerd, caller)


# --- ids ------------------------------------------------------------------------------------


def test_an_id_that_a_call_in_flight_has(routerd, join):
    """It would not be clear which call an answer or a CANCEL is for (section "Protocol Violations")."""
    caller, callee, other = join(routerd), join(routerd, roles=CANCELING), join(routerd)
    callee.register("com.example.p")
    same, invocation = start(other, callee)
    request, _ = start(caller, callee)
    assert request == same  # ids are each session's own
    caller.send([CALL, request, {}, "com.example.p"])
    abort = caller.expect(ABORT)
    assert abort[1:] == [{"message": "CALL.Request: expected a new id, because a call with this id is in flight"},
                         "wamp.error.protocol_violation"]
    assert caller.wait_closed()[1] == []
    callee.expect(INTERRUPT)
    callee.send([YIELD, invocation[1], {}])
    other.result(same)
    # when the call has ended, its id is free
    for mode in MODES:
        other.send([CALL, same, {}, "com.example.p"])
        invocation = callee.expect(INVOCATION)
        other.send([CANCEL, same, {"mode": mode}])
        if mode != "skip":
            expect_interrupt(callee, invocation, mode)
        if mode == "kill":
            callee.send([YIELD, invocation[1], {}])
            other.result(same)
        else:
            expect_canceled(other, same)
    expect_silence(routerd, other, callee)
    assert routerd.total("protocol_violations") == 1


# --- real clients ---------------------------------------------------------------------------


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.PYTHON)
def test_autobahn_python(routerd, puppets, kind):
    """It cancels a call when its Future or Deferred is canceled, without a mode, and stops a procedure
    that is interrupted."""
    puppet = puppets(kind)
    for caller_serializer, callee_serializer in (("json", "cbor"), ("msgpack", "json"), ("cbor", "msgpack")):
        caller = peers.Peer(puppet, routerd.url(), caller_serializer, name=f"caller-{caller_serializer}")
        callee = peers.Peer(puppet, routerd.url(), callee_serializer, name=f"callee-{callee_serializer}")
        callee.register("com.example.slow", kind="slow")
        number = caller.start_call("com.example.slow", [20000])
        puppet.event(ev="invoked", s=callee.name)
        caller.cancel("com.example.slow")
        puppet.event(ev="interrupted", s=callee.name)
        with pytest.raises(peers.PeerError) as error:
            caller.finish(number)
        assert "Cancelled" in str(error.value.args_) or error.value.uri == "wamp.error.canceled"
        # both sessions go on
        assert caller.call("com.example.slow", [1], {}) == ([], {})
        puppet.event(ev="done", s=callee.name)
        callee.unregister("com.example.slow")
    assert realm_counter(routerd, "cancels") == 3
    assert realm_counter(routerd, "calls_in_flight") == 0


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.PYTHON)
def test_kill_stops_autobahn_python(routerd, join, puppets, kind):
    """Debian's version for asyncio stops the procedure, but never says so: only a timeout ends the call
    soon."""
    puppet, caller = puppets(kind), join(routerd)
    callee = peers.Peer(puppet, routerd.url(), "cbor", name="callee")
    callee.register("com.example.slow", kind="slow")
    request = caller.start_call("com.example.slow", [20000], timeout=2000 * SLOW)
    puppet.event(ev="invoked", s="callee")
    caller.send([CANCEL, request, {"mode": "kill"}])
    puppet.event(ev="interrupted", s="callee")
    message = caller.expect(ERROR, 48)
    assert message[2] == request
    assert (message[4] == "wamp.error.timeout") == (kind == "ab-asyncio"), message
    expect_silence(routerd, caller)


@pytest.mark.websocket
@pytest.mark.parametrize("callee_kind", ["raw", "autobahn-js", "ab-twisted"])
def test_autobahn_js(routerd, join, puppets, callee_kind):
    """Its callers must cancel with mode kill. In other modes they forget the call at once, and close
    the connection when the answer comes that the specification demands."""
    puppet = puppets("autobahn-js")
    caller = peers.Peer(puppet, routerd.url(), "json", name="caller")
    if callee_kind == "raw":
        callee = join(routerd, roles=CANCELING)
        callee.register("com.example.slow")
    else:
        other = puppets(callee_kind)
        callee = peers.Peer(other, routerd.url(), "msgpack", name="callee")
        callee.register("com.example.slow", kind="slow")
    number = caller.start_call("com.example.slow", [300 if callee_kind == "autobahn-js" else 20000])
    if callee_kind == "raw":
        invocation = callee.expect(INVOCATION)
    else:
        other.event(ev="invoked", s="callee")
    caller.cancel("com.example.slow", mode="kill")
    if callee_kind == "raw":
        expect_interrupt(callee, invocation, "kill")
        callee.send([ERROR, 68, invocation[1], {}, "wamp.error.canceled"])
    with pytest.raises(peers.PeerError) as error:
        caller.finish(number)
    if callee_kind == "autobahn-js":
        # it has no INTERRUPT, and would close the connection at one; its late result is dropped
        assert error.value.uri == "wamp.error.canceled"
        other.event(ev="done", s="callee")
    if callee_kind == "raw":
        assert error.value.uri == "wamp.error.canceled"
        number = caller.start_call("com.example.slow", [1])
        callee.send([YIELD, callee.expect(INVOCATION)[1], {}])
        assert caller.finish(number) == {"args": [], "kwargs": {}}
    else:
        assert caller.call("com.example.slow", [1], {}) == ([], {})


@pytest.mark.websocket
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_wampy(routerd, join, puppets, serializer):
    """It checks that WELCOME announces call_canceling. Its callees have no INTERRUPT."""
    puppet, raw = puppets("wampy"), join(routerd, roles=CANCELING)
    caller = peers.Peer(puppet, routerd.url(), serializer, name="caller")
    callee = peers.Peer(puppet, routerd.url(), serializer, name="callee")
    raw.register("com.example.p")
    callee.register("com.example.slow", kind="slow")
    for options in [{"mode": m} for m in MODES] + [{}]:
        number = caller.start_call("com.example.p", [1])
        invocation = raw.expect(INVOCATION)
        caller.cancel("com.example.p", **options)
        if options != {"mode": "skip"}:
            expect_interrupt(raw, invocation, options.get("mode", "killnowait"))
        if options == {"mode": "kill"}:
            raw.send([ERROR, 68, invocation[1], {}, "wamp.error.canceled"])
        with pytest.raises(peers.PeerError) as error:
            caller.finish(number)
        assert error.value.uri == "wamp.error.canceled"
        number = caller.start_call("com.example.slow", [400])
        puppet.event(ev="invoked", s="callee")
        caller.cancel("com.example.slow", **options)
        with pytest.raises(peers.PeerError) as error:
            caller.finish(number)
        assert error.value.uri == "wamp.error.canceled"
        puppet.event(ev="done", s="callee")
    assert caller.call("com.example.slow", [1], {}) == ([], {})
    expect_silence(routerd, raw)


@pytest.mark.websocket
def test_the_caller_of_real_callees_leaves(routerd, join, puppets):
    """Only Autobahn|Python understands INTERRUPT; the others would close the connection at one."""
    caller, other = join(routerd), join(routerd)
    puppet = {kind: puppets(kind) for kind in ("ab-asyncio", "ab-new-twisted", "autobahn-js", "wampy")}
    for kind in puppet:
        callee = peers.Peer(puppet[kind], routerd.url(), "json", name="callee")
        callee.register(f"com.example.{kind}", kind="slow")
    for kind in puppet:
        # JavaScript's must not answer before the caller leaves
        caller.start_call(f"com.example.{kind}", [20000 if kind in peers.PYTHON else 1000])
        puppet[kind].event(ev="invoked", s="callee")
    caller.close_socket()
    for kind in puppet:
        puppet[kind].event(ev="interrupted" if kind in peers.PYTHON else "done", s="callee")
        request = other.start_call(f"com.example.{kind}", [1])
        assert other.result(request)[1] == {}
    # Debian's version for asyncio does not answer an INTERRUPT
    wait_for(lambda: realm_counter(routerd, "unknown_answers") == 3, "the late answers")
