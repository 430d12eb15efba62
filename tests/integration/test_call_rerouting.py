# SPDX-License-Identifier: Apache-2.0
"""Call re-routing (specification: "Call Re-Routing"): a callee that says it is unavailable passes a call
on to the next callee of its registration. Each call has one answer, and no callee gets it twice."""

import time

import pytest
import rawclient
from rawclient import CALL, CANCEL, ERROR, INTERRUPT, INVOCATION, RESULT, YIELD, roles
from utils import SLOW, realm_counter, router_config, wait_for

REROUTES = roles(features={"call_reroute": True, "call_canceling": True})
UNAVAILABLE, NONE_LEFT = "wamp.error.unavailable", "wamp.error.no_available_callee"
TEXT = "no callee took the call: each answered that it is unavailable"
PROCEDURE = "com.example.p"

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def share(join, routerd, n, invoke="first", who=REROUTES, **options):
    callees = [join(routerd, ["json", "msgpack", "cbor"][i % 3], roles=who) for i in range(n)]
    for callee in callees:
        callee.register(PROCEDURE, invoke=invoke, **options)
    return callees


def refuse(callee, invocation, uri=UNAVAILABLE, *items):
    callee.send([ERROR, INVOCATION, invocation, {}, uri, *items])


def expect_error(caller, request, uri, *items):
    assert caller.expect(ERROR) == [ERROR, CALL, request, {}, uri, *items]


def asked_one(callees):
    """The callee that has got an INVOCATION."""
    wait_for(lambda: any(m[0] == INVOCATION for c in callees for m in c.silent()), "an INVOCATION")
    return next(n for n, c in enumerate(callees) if any(m[0] == INVOCATION for m in c.inbox))


def expect_silence(routerd, *clients):
    assert all(c.silent() == [] for c in clients)
    assert realm_counter(routerd, "calls_in_flight") == 0
    assert realm_counter(routerd, "reroute_bytes") == 0


@pytest.mark.parametrize("invoke, order", [("first", [0, 1, 2, 3]), ("last", [3, 2, 1, 0]), ("roundrobin", [0, 1, 2, 3]),
                                           ("random", None)])
def test_the_order(routerd, join, invoke, order):
    caller = join(routerd)
    callees = share(join, routerd, 4, invoke)
    request = caller.start_call(PROCEDURE, [1], {"k": 2}, disclose_me=True, receive_progress=True)
    asked = []
    while len(asked) < 4:
        n = asked_one(callees)
        message = callees[n].expect(INVOCATION)
        assert message[1] == 1 and message[3]["caller"] == caller.session and message[3]["receive_progress"]
        assert message[4:] == [[1], {"k": 2}]
        asked.append(n)
        if len(asked) < 4:
            refuse(callees[n], message[1])
    assert order in (None, asked)
    callees[asked[-1]].send([YIELD, 1, {"progress": True}, ["half"]], [YIELD, 1, {}, ["all"]])
    assert caller.expect(RESULT) == [RESULT, request, {"progress": True}, ["half"]]
    assert caller.result(request) == (["all"], {})
    # all are unavailable
    request = caller.start_call(PROCEDURE)
    for _ in range(4):
        callee = callees[asked_one(callees)]
        refuse(callee, callee.expect(INVOCATION)[1])
    expect_error(caller, request, NONE_LEFT, [TEXT])
    expect_silence(routerd, caller, *callees)
    assert realm_counter(routerd, "reroutes") == 6
    assert realm_counter(routerd, "no_available_callee") == 1


def test_when_the_caller_gets_the_error(routerd, join):
    """A single callee; a callee that has not announced the feature; another error; after a progressive
    result; progressive input; a canceled call."""
    features = {"call_reroute": True, "call_canceling": True, "progressive_call_invocations": True}
    caller = join(routerd, roles={**roles(), "caller": {"features": features}})
    single = join(routerd, roles=REROUTES)
    single.register("com.example.single")
    request = caller.start_call("com.example.single")
    refuse(single, single.expect(INVOCATION)[1], UNAVAILABLE, ["mine"])
    expect_error(caller, request, NONE_LEFT, [TEXT])
    callees = share(join, routerd, 2, who=roles())
    request = caller.start_call(PROCEDURE)
    refuse(callees[0], callees[0].expect(INVOCATION)[1], UNAVAILABLE, ["mine"])
    expect_error(caller, request, UNAVAILABLE, ["mine"])
    for callee in callees:
        callee.leave()
    first, second = share(join, routerd, 2, who=roles(features=features))
    request = caller.start_call(PROCEDURE)
    refuse(first, first.expect(INVOCATION)[1], "com.example.unavailable", ["mine"])
    expect_error(caller, request, "com.example.unavailable", ["mine"])
    request = caller.start_call(PROCEDURE, receive_progress=True)
    invocation = first.expect(INVOCATION)[1]
    first.send([YIELD, invocation, {"progress": True}, [1]])
    refuse(first, invocation, UNAVAILABLE, ["mine"])
    assert caller.expect(RESULT)[2] == {"progress": True}
    expect_error(caller, request, UNAVAILABLE, ["mine"])
    for last in (True, False):
        request = caller.start_call(PROCEDURE, progress=True)
        invocation = first.expect(INVOCATION)[1]
        if last:
            caller.send([CALL, request, {}, PROCEDURE])
            first.expect(INVOCATION)
        refuse(first, invocation, UNAVAILABLE, ["mine"])
        expect_error(caller, request, UNAVAILABLE, ["mine"])
    request = caller.start_call(PROCEDURE)
    invocation = first.expect(INVOCATION)[1]
    caller.send([CANCEL, request, {"mode": "kill"}])
    assert first.expect(INTERRUPT)[1] == invocation
    refuse(first, invocation, UNAVAILABLE, ["mine"])
    expect_error(caller, request, UNAVAILABLE, ["mine"])
    expect_silence(routerd, caller, single, first, second)
    assert realm_counter(routerd, "reroutes") == 0


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_a_callee_leaves_and_the_caller_cancels(routerd, join, mode):
    """Three callees are unavailable in turn; then one leaves while it is asked; then a CANCEL between two
    tries. The answer of the first callee to the old INVOCATION is dropped."""
    caller = join(routerd)
    callees = share(join, routerd, 4)
    request = caller.start_call(PROCEDURE)
    refuse(callees[0], callees[0].expect(INVOCATION)[1])
    invocation = callees[1].expect(INVOCATION)[1]
    callees[0].send([YIELD, 1, {}, ["late"]])
    caller.send([CANCEL, request, {"mode": mode}])
    if mode != "skip":
        assert callees[1].expect(INTERRUPT)[1] == invocation
    if mode == "kill":
        refuse(callees[1], invocation)
        expect_error(caller, request, UNAVAILABLE)
    else:
        expect_error(caller, request, "wamp.error.canceled", ["the caller has canceled the call"])
        refuse(callees[1], invocation)
    request = caller.start_call(PROCEDURE)
    refuse(callees[0], callees[0].expect(INVOCATION)[1])
    callees[1].expect(INVOCATION)
    callees[1].close_socket()
    expect_error(caller, request, "wamp.error.canceled", ["the callee left while the call was in flight"])
    expect_silence(routerd, caller, callees[0], callees[2], callees[3])


def test_the_timeout_does_not_start_again(routerd, join):
    caller = join(routerd)
    callees = share(join, routerd, 3)
    timeout = 0.6 * SLOW
    begin = time.monotonic()
    request = caller.start_call(PROCEDURE, timeout=timeout * 1000)
    for i, callee in enumerate(callees[:2]):
        invocation = callee.expect(INVOCATION)[1]
        wait_for(lambda: time.monotonic() >= begin + (i + 1) * timeout / 3, "the next refusal")
        refuse(callee, invocation)
    invocation = callees[2].expect(INVOCATION)[1]
    assert caller.expect(ERROR)[4] == "wamp.error.timeout"
    assert time.monotonic() - begin < 1.5 * timeout
    assert callees[2].expect(INTERRUPT)[1] == invocation
    expect_silence(routerd, caller, *callees)


def test_busy_callees_and_the_queue(start_routerd, threads, join):
    """A call that goes on does not wait. The slot of the unavailable callee is free for the next call."""
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = {"call_queue": 10}
    routerd = start_routerd(config)
    caller = join(routerd)
    one, two = share(join, routerd, 2, concurrency=1)
    requests = [caller.start_call(PROCEDURE, [n]) for n in range(3)]
    assert one.expect(INVOCATION)[4] == [0] and two.expect(INVOCATION)[4] == [1]
    refuse(one, 1)
    expect_error(caller, requests[0], NONE_LEFT, [TEXT])
    assert one.expect(INVOCATION)[4] == [2]
    two.send([YIELD, 1, {}])
    caller.result(requests[1])
    refuse(one, 2)
    assert two.expect(INVOCATION)[4] == [2]
    two.send([YIELD, 2, {}, ["two"]])
    assert caller.result(requests[2]) == (["two"], {})
    expect_silence(routerd, caller, one, two)


def test_at_most_16_callees(routerd, join):
    caller = join(routerd)
    callees = share(join, routerd, 17)
    request = caller.start_call(PROCEDURE)
    for callee in callees[:16]:
        refuse(callee, callee.expect(INVOCATION)[1])
    expect_error(caller, request, NONE_LEFT, [TEXT])
    expect_silence(routerd, caller, *callees)


def test_a_less_specific_registration_gets_nothing(routerd, join):
    caller, pattern = join(routerd), join(routerd, roles=REROUTES)
    pattern.register(PROCEDURE, match="prefix", invoke="first")
    callee, = share(join, routerd, 1)
    request = caller.start_call(PROCEDURE)
    refuse(callee, callee.expect(INVOCATION)[1])
    expect_error(caller, request, NONE_LEFT, [TEXT])
    request = caller.start_call(PROCEDURE)
    registration = callee.expect(INVOCATION)
    callee.unregister(registration[2])
    refuse(callee, registration[1])
    expect_error(caller, request, NONE_LEFT, [TEXT])
    expect_silence(routerd, caller, pattern, callee)


def test_callees_that_must_know_their_callers(start_routerd, threads, join):
    """Only a callee that has asked for it learns who the caller is."""
    caller_routerd = start_routerd(threads=threads, cryptosign=False)
    caller = join(caller_routerd)
    one, two, three = [join(caller_routerd, roles=REROUTES) for _ in range(3)]
    for callee, discloses in ((one, True), (two, False), (three, True)):
        callee.register(PROCEDURE, invoke="first", disclose_caller=discloses)
    request = caller.start_call(PROCEDURE)
    for callee, discloses in ((one, True), (two, False), (three, True)):
        message = callee.expect(INVOCATION)
        assert message[3].get("caller") == (caller.session if discloses else None)
        refuse(callee, message[1])
    expect_error(caller, request, NONE_LEFT, [TEXT])
    expect_silence(caller_routerd, caller, one, two, three)


def test_payloads_that_only_the_endpoints_understand(routerd, join):
    """Each callee gets the same options and payload."""
    features = {"payload_passthru_mode": True, "payload_transparency": True}
    who = {"caller": {"features": features}, "callee": {"features": {**features, "call_reroute": True}}}
    caller = join(routerd, "cbor", roles=who)
    callees = share(join, routerd, 3, who=who)
    for options, payload in (({"ppt_scheme": "x_mine", "ppt_keyid": "1"}, [b"\x80\xff"]),
                             ({"enc_algo": "cryptobox", "enc_key": "1"}, b"\x80\xff")):
        request = caller.next_request()
        caller.send([CALL, request, options, PROCEDURE, payload])
        for n, callee in enumerate(callees):
            invocation = callee.expect(INVOCATION)
            assert invocation[3:] == [options, payload]
            if n < 2:
                refuse(callee, invocation[1])
            else:
                callee.send([YIELD, invocation[1], options, payload])
        assert caller.expect(RESULT) == [RESULT, request, options, payload]
    expect_silence(routerd, caller, *callees)
