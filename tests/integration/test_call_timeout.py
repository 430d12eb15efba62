# SPDX-License-Identifier: Apache-2.0
"""Call timeouts (specification: "Call Timeouts"): the caller gets an ERROR in time, the callee an
INTERRUPT if it has announced that it understands one, and whatever the callee says later is dropped."""

import signal
import time

import peers
import pytest
import rawclient
from rawclient import (CANCELING, ERROR, INTERRUPT, INVOCATION, YIELD, WampError, roles,
                       stands_still, worker_of)
from utils import SLOW, realm_counter, router_config, wait_for

TIMEOUT_TEXT = "the callee did not answer within the call's timeout"

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def config_with(**options):
    config = router_config(threads=options.pop("threads"), cryptosign=False)
    config["realms"][0]["options"] = options
    return config


def expect_timeout(caller, request):
    message = caller.expect(ERROR, 48)
    assert message == [ERROR, 48, request, {}, "wamp.error.timeout", [TIMEOUT_TEXT]]


def test_a_call_times_out(routerd, join):
    caller, callee = join(routerd), join(routerd, "cbor", roles=CANCELING)
    callee.register("com.example.p")
    begin = time.monotonic()
    request = caller.start_call("com.example.p", [1], timeout=100)
    invocation = callee.expect(INVOCATION)
    assert invocation[3] == {}
    expect_timeout(caller, request)
    assert 0.1 <= time.monotonic() - begin < 2 * SLOW
    assert callee.expect(INTERRUPT) == [INTERRUPT, invocation[1], {"mode": "killnowait"}]
    # late answers are dropped, and the next call is not touched by them
    callee.send([YIELD, invocation[1], {}, ["late"]], [ERROR, 68, invocation[1], {}, "wamp.error.canceled"])
    second = caller.start_call("com.example.p", [2], timeout=20000)
    invocation = callee.expect(INVOCATION)
    callee.send([YIELD, invocation[1], {}, ["in time"]])
    assert caller.result(second) == (["in time"], {})
    assert caller.silent() == [] and callee.silent() == []
    assert realm_counter(routerd, "timeouts") == 1
    wait_for(lambda: realm_counter(routerd, "calls_in_flight") == 0, "the calls to end")


@pytest.mark.parametrize("who", [
    roles(), roles(features={"call_canceling": False}), roles(features=[]),
    {**roles(), "caller": {"features": {"call_canceling": True}}}])
def test_a_callee_that_cannot_be_interrupted(routerd, join, who):
    caller, callee = join(routerd), join(routerd, "msgpack", roles=who)
    callee.register("com.example.p")
    request = caller.start_call("com.example.p", timeout=30)
    invocation = callee.expect(INVOCATION)
    expect_timeout(caller, request)
    callee.send([YIELD, invocation[1], {}])
    assert caller.silent() == [] and callee.silent() == []


@pytest.mark.websocket
@pytest.mark.parametrize("who", [
    roles(features={"call_cancelling": True}), roles(call_canceling=True), roles(call_cancelling=True)])
def test_other_ways_to_announce_it(routerd, join, who):
    caller, callee = join(routerd), join(routerd, roles=who)
    callee.register("com.example.p")
    expect_timeout(caller, caller.start_call("com.example.p", timeout=30))
    callee.expect(INTERRUPT)


@pytest.mark.websocket
def test_what_counts_as_a_timeout(routerd, join):
    caller, callee = join(routerd, "cbor"), join(routerd, "cbor", roles=CANCELING)
    callee.register("com.example.p")
    for none in (0, -1, -0.5, 0.0, None, 1e300, 1 << 60):
        request = caller.start_call("com.example.p", timeout=none)
        invocation = callee.expect(INVOCATION)
        callee.send([YIELD, invocation[1], {}])
        caller.result(request)
    for soon in (1, 0.001, 20.5):
        expect_timeout(caller, caller.start_call("com.example.p", timeout=soon))
        callee.expect(INVOCATION)
        callee.expect(INTERRUPT)
    for wrong in ("100", True, [100], {}, float("nan")):
        with pytest.raises(WampError) as error:
            caller.result(caller.start_call("com.example.p", timeout=wrong))
        assert error.value.uri == "wamp.error.invalid_argument"
        assert error.value.args_ == ["CALL.Options.timeout: expected a number"]
    assert caller.silent() == [] and callee.silent() == []


def test_a_realm_can_count_in_seconds(start_routerd, threads, join):
    routerd = start_routerd(config_with(threads=threads, call_timeout_unit="s"))
    caller, callee = join(routerd), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    begin = time.monotonic()
    request = caller.start_call("com.example.p", timeout=1)
    callee.expect(INVOCATION)
    expect_timeout(caller, request)
    assert time.monotonic() - begin >= 1
    expect_timeout(caller, caller.start_call("com.example.p", timeout=0.05))


def test_many_calls_of_which_some_time_out(routerd, join):
    """Each gets one answer, and each callee one INTERRUPT for each of its calls that timed out."""
    caller = join(routerd, "cbor")
    callees = [join(routerd, s, roles=CANCELING) for s in ("json", "msgpack", "cbor")]
    for i, callee in enumerate(callees):
        callee.register(f"com.example.p{i}")
    requests = {}
    for i in range(300):
        patient = i % 2 == 0
        request = caller.start_call(f"com.example.p{i % 3}", [patient], timeout=60000 if patient else 1 + i % 50)
        requests[request] = patient
    for callee in callees:
        for _ in range(100):
            invocation = callee.expect(INVOCATION)
            if invocation[4][0]:
                callee.send([YIELD, invocation[1], {}])
    for request, patient in requests.items():
        if patient:
            caller.result(request)
    timed_out = [caller.expect(ERROR, 48)[2] for _ in range(150)]
    assert sorted(timed_out) == [r for r, patient in requests.items() if not patient]
    for callee in callees:
        interrupted = [callee.expect(INTERRUPT)[1] for _ in range(50)]
        assert len(set(interrupted)) == 50
        assert callee.silent() == []
    assert caller.silent() == []
    assert realm_counter(routerd, "calls_in_flight") == 0
    assert realm_counter(routerd, "timeouts") == 150


def test_who_leaves_before_the_deadline(routerd, join):
    stays, leaves = join(routerd), join(routerd)
    callee, gone = join(routerd, roles=CANCELING), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    gone.register("com.example.q")
    first = stays.start_call("com.example.q", timeout=200)
    gone.expect(INVOCATION)
    gone.close_socket()
    message = stays.expect(ERROR, 48)
    assert message[2] == first and message[4] == "wamp.error.canceled"
    leaves.start_call("com.example.p", timeout=1)
    callee.expect(INVOCATION)
    leaves.start_call("com.example.p", timeout=200)
    callee.expect(INVOCATION)
    callee.expect(INTERRUPT)  # of the first; its deadline has passed before the caller leaves
    leaves.leave()
    callee.expect(INTERRUPT)  # of the second
    # when this one has timed out, the deadline of the caller that left has passed as well
    expect_timeout(stays, stays.start_call("com.example.p", timeout=400))
    callee.expect(INVOCATION)
    callee.expect(INTERRUPT)
    assert stays.silent() == [] and callee.silent() == []
    assert realm_counter(routerd, "calls_in_flight") == 0


# --- the owner of the realm stands still ----------------------------------------------------


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "unanswered"])
def test_the_owner_stands_still_over_a_deadline(start_routerd, threads, join, answered):
    """A result that was read before the deadline is not late, although the owner of the realm handles
    it long after the deadline. The only worker of a process stands still with it."""
    config = config_with(threads=threads)
    config["debug"] = {"stall_worker": threads - 1}  # the owner of the first realm
    routerd = start_routerd(config)
    everyone = [join(routerd, "cbor", roles=CANCELING) for _ in range(2 * threads)]
    owner = [c for c in everyone if worker_of(c) == threads - 1]
    probe = owner[0]
    others = [c for c in everyone if c not in owner] or owner[1:]
    caller, callee = others[0], others[-1]
    callee.register("com.example.p")
    timeout = 2 * SLOW
    request = caller.start_call("com.example.p", [1], timeout=timeout * 1000)
    invocation = callee.expect(INVOCATION)
    begin = time.monotonic()
    stop, go_on = (signal.SIGSTOP, signal.SIGCONT) if threads == 1 else [signal.SIGUSR2] * 2
    routerd.signal(stop)
    try:
        wait_for(lambda: stands_still(probe), "the worker to stand still", timeout / 2)
        if answered:
            callee.send([YIELD, invocation[1], {}, ["in time"]])
        wait_for(lambda: time.monotonic() - begin > timeout + 0.5, "the deadline", 2 * timeout)
    finally:
        routerd.signal(go_on)
    if answered:
        assert caller.result(request) == (["in time"], {})
    else:
        expect_timeout(caller, request)
        assert callee.expect(INTERRUPT)[1] == invocation[1]
    assert [m for m in caller.silent() if m[0] != ERROR] == [] and callee.silent() == []
    assert realm_counter(routerd, "calls_in_flight") == 0
    assert realm_counter(routerd, "timeouts") == (0 if answered else 1)


# --- real clients ---------------------------------------------------------------------------


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.PYTHON)
def test_autobahn_python(start_routerd, threads, puppets, kind):
    """It announces call_canceling, and cancels what the callee is doing. It documents
    its timeout as seconds, and sends the number as it is, so that the realm decides what it means."""
    for unit, timeout in (("ms", 200), ("s", 1)):
        routerd = start_routerd(config_with(threads=threads, call_timeout_unit=unit), name=f"routerd-{unit}")
        puppet = puppets(kind)
        caller = peers.Peer(puppet, routerd.url(), "msgpack", name="caller")
        callee = peers.Peer(puppet, routerd.url(), "cbor", name="callee")
        callee.register("com.example.slow", kind="slow")
        with pytest.raises(peers.PeerError) as error:
            caller.call("com.example.slow", [20000], {}, timeout=timeout)
        assert error.value.uri == "wamp.error.timeout", error.value.args_
        puppet.event(ev="invoked", s="callee")
        puppet.event(ev="interrupted", s="callee")
        # both sessions go on
        assert caller.call("com.example.slow", [1], {}, timeout=100 * timeout) == ([], {})
        puppet.event(ev="done", s="callee")


@pytest.mark.websocket
def test_autobahn_js(routerd, puppets):
    """It has no INTERRUPT, and would close the connection at one. Its late result is dropped."""
    puppet = puppets("autobahn-js")
    caller = peers.Peer(puppet, routerd.url(), "json", name="caller")
    callee = peers.Peer(puppet, routerd.url(), "msgpack", name="callee")
    callee.register("com.example.slow", kind="slow")
    with pytest.raises(peers.PeerError) as error:
        caller.call("com.example.slow", [500], {}, timeout=100)
    assert error.value.uri == "wamp.error.timeout"
    puppet.event(ev="invoked", s="callee")
    puppet.event(ev="done", s="callee")
    assert caller.call("com.example.slow", [1], {}, timeout=20000) == ([], {})
    assert realm_counter(routerd, "timeouts") == 1
