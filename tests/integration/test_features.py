# SPDX-License-Identifier: Apache-2.0
"""Features that WELCOME does not announce. The router refuses an option if ignoring it would do
something else than the client asked for; it ignores all others (specification: "Messages", "Options
and Details")."""

import re

import pytest
import rawclient
from rawclient import ERROR, EVENT, INVOCATION, PUBLISH, PUBLISHED, REGISTER, SUBSCRIBE, YIELD, WampError

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def test_welcome_announces_what_is_there(routerd, join):
    features = {role: list(value["features"]) for role, value in join(routerd).details["roles"].items()}
    assert features == {"broker": ["event_history", "event_retention", "pattern_based_subscription",
                                   "payload_passthru_mode", "payload_transparency", "publication_trustlevels",
                                   "publisher_exclusion",
                                   "publisher_identification", "session_meta_api", "subscriber_blackwhite_listing",
                                   "subscription_meta_api", "subscription_revocation"],
                        "dealer": ["call_canceling", "call_reroute", "call_timeout", "call_trustlevels", "caller_identification",
                                   "pattern_based_registration", "payload_passthru_mode", "payload_transparency",
                                   "progressive_call_invocations", "progressive_call_results",
                                   "registration_meta_api", "registration_revocation", "session_meta_api",
                                   "shared_registration", "testament_meta_api"]}


def test_a_publication_that_is_dropped_is_counted_and_logged(start_routerd, join):
    """Without acknowledge the publisher gets no answer, so only the log and a counter show it."""
    routerd = start_routerd(threads=1, cryptosign=False)
    sender = join(routerd)
    for options, topic, reason in (
            ({"eligible": 1}, "com.example.t", "PUBLISH.Options.eligible: expected a list of session ids"),
            ({}, "com.example t", r"invalid URI \x22com.example t\x22: must not contain white space"),
            ({}, "wamp.example", "URIs whose first component is \\x22wamp\\x22 are reserved")):
        sender.publish(topic, ["secret"], **options)
        routerd.wait_log("publish dropped uri=.* error=wamp.error.*" + re.escape(f'reason="{reason}"'))
    assert sender.silent() == []
    assert routerd.total("publishes_dropped") == 3


def test_calls_with_options_that_have_no_effect(routerd, join):
    """The wishes of callees do nothing, nor a progressive result that nobody asked for."""
    caller, callee = join(routerd), join(routerd, "cbor")
    callee.register("com.example.p", concurrency=1)
    request = caller.start_call("com.example.p", [1], progress=False, receive_progress=False, ppt_scheme=None)
    invocation = callee.expect(INVOCATION)
    assert invocation[3] == {}
    callee.send([YIELD, invocation[1], {"progress": True}, ["half"]], [YIELD, invocation[1], {}, ["all"]])
    assert caller.result(request) == (["all"], {})
    assert caller.silent() == [] and callee.silent() == []


def test_the_first_component_wamp_is_the_routers(routerd, join):
    client = join(routerd)
    for name, taken in {"wamp": True, "wamp.x": True, "wamp.error.x": True, "wampx": False, "wampx.y": False,
                        "com.wamp.x": False, "WAMP.x": False}.items():
        for message, answer in (([REGISTER, 1, {}, name], rawclient.REGISTERED),
                                ([SUBSCRIBE, 2, {}, name], rawclient.SUBSCRIBED),
                                ([PUBLISH, 3, {"acknowledge": True}, name], PUBLISHED)):
            client.send(message)
            reply = client.recv()
            if taken:
                assert reply[0] == ERROR and reply[4] == "wamp.error.invalid_uri", name
            else:
                assert reply[0] == answer, name
