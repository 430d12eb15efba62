# SPDX-License-Identifier: Apache-2.0
"""Caller identification (specification: "Caller Identification"): a caller that asks for it is named
in the Details of the INVOCATION; others are not."""

import peers
import pytest
import rawclient
from rawclient import ABORT, CALL, ERROR, INVOCATION, RESULT, YIELD

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def identity_of(client):
    """What an INVOCATION says of this client."""
    return {"caller": client.session, "caller_authid": client.details["authid"],
            "caller_authrole": client.details["authrole"]}


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_only_who_asks_is_disclosed(routerd, join, serializer):
    for callee_serializer in ("json", "msgpack", "cbor"):
        caller, callee = join(routerd, serializer), join(routerd, callee_serializer)
        registration = callee.register("com.example.p")
        for options, disclosed in (({"disclose_me": True}, True), ({"disclose_me": False}, False),
                                   ({"disclose_me": None}, False), ({}, False),
                                   ({"disclose_me": True, "timeout": 20000}, True)):
            request = caller.start_call("com.example.p", [1], {"k": 2}, **options)
            invocation = callee.expect(INVOCATION)
            assert invocation == [INVOCATION, invocation[1], registration, identity_of(caller) if disclosed else {},
                                  [1], {"k": 2}]
            callee.send([YIELD, invocation[1], {}, ["x"]])
            assert caller.expect(RESULT, request) == [RESULT, request, {}, ["x"]]
        callee.unregister(registration)


def test_the_callee_is_not_disclosed_by_errors(routerd, join):
    caller, callee = join(routerd), join(routerd)
    callee.register("com.example.p", disclose_caller=True)
    request = caller.start_call("com.example.p", disclose_me=True)
    invocation = callee.expect(INVOCATION)
    assert invocation[3] == identity_of(caller)
    callee.send([ERROR, 68, invocation[1], {}, "com.example.failed"])
    assert caller.expect(ERROR, 48) == [ERROR, 48, request, {}, "com.example.failed"]


def test_two_callers(routerd, join):
    """A session that calls itself, and another one; the callers may have left when the callee reads."""
    first, callee = join(routerd, "cbor"), join(routerd, "msgpack")
    callee.register("com.example.p")
    who = [identity_of(first), {}, identity_of(callee)]
    first.start_call("com.example.p", [0], disclose_me=True)
    first.start_call("com.example.p", [1])
    callee.start_call("com.example.p", [2], disclose_me=True)
    first.close_socket()
    invocations = [callee.expect(INVOCATION) for _ in who]
    assert sorted(m[4][0] for m in invocations) == [0, 1, 2]
    for message in invocations:
        assert message[3] == who[message[4][0]]


def test_calls_that_reach_no_callee(routerd, join):
    caller = join(routerd)
    request = caller.start_call("com.example.nobody", disclose_me=True)
    assert caller.expect(ERROR, 48)[2:5:2] == [request, "wamp.error.no_such_procedure"]
    caller.send([CALL, request, {"disclose_me": 1}, "com.example.nobody"])
    assert caller.expect(ABORT)[1:] == [{"message": "CALL.Options.disclose_me: expected a boolean"},
                                        "wamp.error.protocol_violation"]


@pytest.mark.websocket
@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_callees(routerd, join, puppets, kind):
    puppet = puppets(kind)
    for serializer in peers.PLAIN:
        caller = join(routerd, serializer)
        callee = peers.Peer(puppet, routerd.url(), serializer)
        callee.register("com.example.who", kind="identify")
        request = caller.start_call("com.example.who", disclose_me=True)
        assert caller.result(request)[0] == [list(identity_of(caller).values())]
        request = caller.start_call("com.example.who")
        assert caller.result(request)[0] == [[None, None, None]]
        callee.unregister("com.example.who")


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.JAVASCRIPT)
def test_real_callers(routerd, join, puppets, kind):
    """Autobahn|Python has no such option."""
    puppet = puppets(kind)
    for serializer in peers.PLAIN:
        callee = join(routerd, serializer)
        caller = peers.Peer(puppet, routerd.url(), serializer)
        callee.register("com.example.p")
        number = caller.start_call("com.example.p", [1], disclose_me=True)
        invocation = callee.expect(INVOCATION)
        assert invocation[3] == {"caller": caller.details["session"], "caller_authid": caller.details["authid"],
                                 "caller_authrole": caller.details["authrole"]}
        callee.send([YIELD, invocation[1], {}])
        caller.finish(number)
        callee.leave()
