# SPDX-License-Identifier: Apache-2.0
"""Roles with an authorizer: an authenticator decides about each request. The request waits for its
answer, and so does everything that its client sends behind it."""

import re
import sys
import threading
import time

import kit
import peers
import pytest
import utils
from authenticator import HOLD, Deny, principal
from rawclient import (CALL, ERROR, EVENT, GOODBYE, INVOCATION, PUBLISH, PUBLISHED, REGISTER, RESULT, SERIALIZERS,
                       SUBSCRIBE, SUBSCRIBED, TRANSPORTS, UNSUBSCRIBE, UNSUBSCRIBED, YIELD, Client, WampError)
from utils import Key, permission, router_config, wait_for

FEATURES = ("revoke", "cancel", "authorize")
FAILED, DENIED = "wamp.error.authorization_failed", "wamp.error.not_authorized"


def config(timeout=2000, **kw):
    """Clients of listener 0 may do what the authorizer allows; those of listener 1 may do anything."""
    result = router_config(**kw)
    result["realms"][0]["roles"] = [{"name": "device", "authorizer": "authd"},
                                    {"name": "backend", "permissions": [permission()]}]
    result["transports"].append({
        "type": "websocket", "id": "backend", "endpoint": {"type": "unix", "path": "backend.sock"},
        "auth": {"anonymous": {"type": "static", "role": "backend"}}})
    result["authenticators"] = {"authd": {"socket": "authd.sock", "timeout": timeout}}
    return result


@pytest.fixture
def authenticator(fake):
    """authenticator(authorize, **kw): a fake that also decides about requests."""
    def start(authorize, features=FEATURES, **kw):
        return fake(features=features, authorize=authorize, **kw)

    return start


@pytest.fixture
def backend(join):
    """backend(routerd) -> a client that may do anything, and serves com.example.echo."""
    def start(routerd):
        client = join(routerd, listener=1)
        client.register("com.example.echo")
        return client

    return start


def always(details, uri, action, options):
    return True


def never(details, uri, action, options):
    return HOLD


class Held:
    """An authorizer whose answers a test gives itself."""

    def __init__(self, authenticator, hold=lambda uri: True, **kw):
        self.hold = hold
        self.a = authenticator(lambda details, uri, action, options: HOLD if self.hold(uri) else True, **kw)

    def wait(self, count):
        """The msgid of the last of `count` questions."""
        return self.a.wait_requests(count, "authorize")[count - 1][0]

    def answer(self, count, result=True):
        self.a.send([1, self.wait(count), None, result])

    def asked(self):
        return [p[1] for _, method, p in self.a.requests if method == "authorize"]


def wait_counter(routerd, name, value):
    wait_for(lambda: routerd.total(name) >= value, f"{name}={value}")


def error_of(client, kind, request):
    message = client.expect(ERROR)
    assert message[1:3] == [kind, request], message
    return message[4], (message[5] if len(message) > 5 else [])


# --- questions and answers ---


def test_what_is_asked(authenticator, start_routerd, connect, join):
    """All four requests, with their options, and who it is; nothing else is asked about."""
    key = Key()
    a = authenticator(always, answer=lambda *args: principal(key))
    routerd = start_routerd(config())
    client = connect(routerd)
    client.join("devices", key=key)
    subscription = client.subscribe("com.example.t", match="exact", x=[1, {"y": None}])
    registration = client.register("com.example.p")
    client.publish("com.example.t", acknowledge=True, exclude_me=False)
    request = client.start_call("com.example.p", ["a"], timeout=5000)
    invocation = client.expect(INVOCATION)
    client.send([YIELD, invocation[1], {}, ["b"]])
    client.result(request)
    client.unregister(registration)
    client.unsubscribe(subscription)
    asked = [p for _, method, p in a.requests if method == "authorize"]
    assert [p[1:] for p in asked] == [
        ["com.example.t", "subscribe", {"match": "exact", "x": [1, {"y": None}]}],
        ["com.example.p", "register", {}],
        ["com.example.t", "publish", {"acknowledge": True, "exclude_me": False}],
        ["com.example.p", "call", {"timeout": 5000}]]
    for details, *_ in asked:
        assert details == {
            "session": client.session, "realm": "devices", "authid": "client01@example.com", "authrole": "device",
            "authmethod": "cryptosign", "authprovider": "dynamic", "authextra": {"foo": 23}, "ttl_ms": 2000}
    assert routerd.total("authorizations_asked") == 4


def test_it_decides_about_patterns(authenticator, start_routerd, connect):
    """It gets the pattern as the URI, and match in the options."""
    key = Key()
    a = authenticator(lambda details, uri, action, options: uri != "com.secret.",
                      answer=lambda *args: principal(key))
    client = connect(start_routerd(config()))
    client.join("devices", key=key)
    subscription = client.subscribe("com.example.", match="prefix")
    client.register("com..p", match="wildcard")
    with pytest.raises(WampError) as error:
        client.subscribe("com.secret.", match="prefix")
    assert error.value.uri == DENIED
    with pytest.raises(WampError) as error:
        client.subscribe("com..secret", match="prefix")
    assert error.value.uri == "wamp.error.invalid_uri"
    client.publish("com.example.t", acknowledge=True, exclude_me=False)
    assert client.event(subscription)
    asked = [p[1:] for _, method, p in a.requests if method == "authorize"]
    assert asked[:3] == [["com.example.", "subscribe", {"match": "prefix"}],
                         ["com..p", "register", {"match": "wildcard"}],
                         ["com.secret.", "subscribe", {"match": "prefix"}]]


OWN = "this session's role may not subscribe to <com.example.{}>"
ANSWERS = [
    # what the authorizer does, the client's error, the text of it
    (True, None, None),
    ({"allow": True, "cache": True, "disclose": False, "anything": [1]}, None, None),
    (False, DENIED, OWN),
    ({"allow": False}, DENIED, OWN),
    (Deny("com.example.closed", "open from 9 to 5"), "com.example.closed", "open from 9 to 5"),
    (Deny(None, "no"), DENIED, "no"),
    (Deny(None, None, "ignore"), DENIED, OWN),
    (Deny(None, "secret", "internal"), FAILED, "the authorizer has failed"),
    (Deny("a..b", "secret"), FAILED, "the authorizer has failed"),
    (Deny(None, "busy", "temporary"), FAILED, "the authorizer cannot decide now"),
    (None, FAILED, "the authorizer has failed"),
    ({}, FAILED, "the authorizer has failed"),
    ({"allow": 1}, FAILED, "the authorizer has failed"),
    ({"allow": True, "disclose": 1}, FAILED, "the authorizer has failed"),
    *(({"allow": True, "cache": True, "cache_ttl_ms": n}, FAILED, "the authorizer has failed") for n in (True, -1, 0.5, 1 << 63)),
    ("yes", FAILED, "the authorizer has failed"),
    ([True], FAILED, "the authorizer has failed"),
    ({"allow": True, "x": "y" * 20000}, FAILED, "the authorizer has failed"),
]


def test_answers(authenticator, start_routerd, join, threads):
    """Yes, no, and everything that is neither; the session and the link live on."""
    def authorize(details, uri, action, options):
        answer = ANSWERS[int(uri.rsplit(".", 1)[1])][0]
        if isinstance(answer, Deny):
            raise answer
        return answer

    authenticator(authorize)
    routerd = start_routerd(config(threads=threads))
    for serializer in SERIALIZERS:
        client = join(routerd, serializer)
        for i, (_, uri, text) in enumerate(ANSWERS):
            if uri is None:
                client.subscribe(f"com.example.{i}")
                continue
            with pytest.raises(WampError) as e:
                client.subscribe(f"com.example.{i}")
            assert (e.value.uri, e.value.args_) == (uri, [text.format(i)]), i
    log = routerd.log()
    assert len([x for x in log.splitlines() if "authenticator is available" in x]) == 1


@pytest.mark.parametrize("serializer", ["json", "cbor"])
def test_the_authorizer_discloses(authenticator, start_routerd, join, threads, serializer):
    """The second last component of a URI says what it answers. Only calls and publications have a sender to
    disclose: the procedures here do not demand to know their callers."""
    answers = {"yes": True, "no": {"allow": True, "disclose": False}, "shown": {"allow": True, "disclose": True}}
    authenticator(lambda details, uri, action, options: answers[uri.split(".")[-2]])
    routerd = start_routerd(config(threads=threads))
    client, backend = join(routerd, serializer), join(routerd, "msgpack", listener=1)
    for name in answers:
        for receiver, sender in ((backend, client), (client, backend)):
            procedure, topic = f"com.{receiver.session}.{name}.p", f"com.{receiver.session}.{name}.t"
            receiver.register(procedure)
            receiver.subscribe(topic)
            for wish in (False, True):
                disclosed = wish or (name == "shown" and sender is client)
                sender.publish(topic, disclose_me=wish)
                request = sender.start_call(procedure, disclose_me=wish)
                for kind, who in ((EVENT, "publisher"), (INVOCATION, "caller")):
                    message = receiver.expect(kind)
                    assert message[3] == ({who: sender.session, f"{who}_authid": sender.details["authid"],
                                           f"{who}_authrole": sender.details["authrole"]} if disclosed else {})
                receiver.send([YIELD, message[1], {}])
                sender.result(request)


def test_an_unacknowledged_publish_is_silent(authenticator, start_routerd, join, threads):
    authenticator(lambda details, uri, action, options: action != "publish")
    routerd = start_routerd(config(threads=threads))
    client, other = join(routerd), join(routerd, listener=1)
    other.subscribe("com.example.t")
    client.publish("com.example.t", ["lost"])
    with pytest.raises(WampError) as e:
        client.publish("com.example.t", acknowledge=True)
    assert e.value.uri == DENIED
    assert client.silent() == [] and other.silent() == []
    assert routerd.total("publishes_dropped") == 1
    routerd.wait_log(f"publish dropped uri=com.example.t error={DENIED}")


# --- testaments: two questions about one call ---

ADD = "wamp.session.add_testament"


def test_a_testament_needs_two_answers(authenticator, start_routerd, join, threads):
    """May it call the procedure, and may it publish to the topic? The second question has the options of the
    publication."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads))
    client, other = join(routerd, "cbor"), join(routerd, listener=1)
    other.subscribe("com.example.t")
    client.send([CALL, 1, {"x": 1}, ADD, ["com.example.t", [1], {}], {"publish_options": {"exclude_me": False}}],
                [PUBLISH, 2, {}, "com.example.t", [2]])
    held.answer(1)
    held.wait(2)
    assert [p[1:] for _, method, p in held.a.requests if method == "authorize"] == [
        [ADD, "call", {"x": 1}], ["com.example.t", "publish", {"exclude_me": False}]]
    assert other.silent() == []
    held.answer(2, {"allow": True, "disclose": True})
    assert client.result(1) == ([], {})
    held.answer(3)  # about the publication behind it
    assert other.expect(EVENT)[3:] == [{}, [2]]
    client.close_socket()
    assert other.expect(EVENT)[3:] == [{"publisher": client.session, "publisher_authid": client.details["authid"],
                                        "publisher_authrole": "device"}, [1]]
    assert routerd.total("authorizations_asked") == 3


@pytest.mark.parametrize("answers, uri, text", [
    ([False], DENIED, f"this session's role may not call <{ADD}>"),
    ([True, False], DENIED, "this session's role may not publish to <com.example.t>"),
    ([True, {"allow": 1}], FAILED, "the authorizer has failed")])
def test_a_testament_is_refused(authenticator, start_routerd, join, threads, answers, uri, text):
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads))
    client, other = join(routerd), join(routerd, listener=1)
    other.subscribe("com.example.t")
    client.send([CALL, 1, {}, ADD, ["com.example.t", [], {}]])
    for i, answer in enumerate(answers):
        held.answer(i + 1, answer)
    assert error_of(client, CALL, 1) == (uri, [text])
    held.hold = lambda uri: False
    client.publish("com.example.t", ["it lives"])
    client.leave()
    assert other.expect(EVENT)[4] == ["it lives"]
    assert other.silent() == [] and utils.realm_counter(routerd, "testaments") == 0


def test_wrong_arguments_need_no_second_answer(authenticator, start_routerd, join):
    held = Held(authenticator, lambda uri: False)
    client = join(start_routerd(config()))
    client.send([CALL, 1, {}, ADD, [1]], [CALL, 2, {}, ADD, ["a..b", [], {}]])
    assert error_of(client, CALL, 1) == ("wamp.error.invalid_argument", ["topic: expected a string"])
    assert error_of(client, CALL, 2)[0] == "wamp.error.invalid_uri"
    assert held.asked() == [ADD, ADD]


@pytest.mark.parametrize("answered", [0, 1])
def test_a_testament_that_waits_when_its_session_goes(authenticator, start_routerd, join, threads, answered):
    """It never existed, also if the answer comes later."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads, timeout=500))
    client, other = join(routerd), join(routerd, listener=1)
    other.subscribe("com.example.t")
    client.send([CALL, 1, {}, ADD, ["com.example.t", [], {}]])
    if answered:
        held.answer(1)
    held.wait(answered + 1)
    client.close_socket()
    wait_counter(routerd, "sessions_closed", 1)
    held.answer(answered + 1)
    assert other.silent() == [] and utils.realm_counter(routerd, "testaments") == 0


def test_rights_change_between_two_answers(authenticator, start_routerd, join):
    """What is in force when an answer comes decides."""
    held = Held(authenticator)
    routerd = start_routerd(config())
    client, other = join(routerd), join(routerd, listener=1)
    other.subscribe("com.example.t")

    def reload_with(count, **role):
        routerd.config["realms"][0]["roles"][0] = {"name": "device", **role}
        routerd.write_config()
        routerd.signal(utils.signal.SIGHUP)
        wait_for(lambda: routerd.log().count("reload done") == count, f"reload {count}")

    client.send([CALL, 1, {}, ADD, ["com.example.t", [1], {}]])
    held.wait(1)
    reload_with(1, permissions=[permission(), permission("com.example.t", match="exact", subscribe=True)])
    held.answer(1)
    assert error_of(client, CALL, 1) == (DENIED, ["this session's role may not publish to <com.example.t>"])
    reload_with(2, authorizer="authd")
    client.send([CALL, 2, {}, ADD, ["com.example.t", [2], {}]])
    held.answer(2)
    held.wait(3)
    reload_with(3, permissions=[permission()])
    held.answer(3, False)
    assert client.result(2) == ([], {})
    client.leave()
    assert other.expect(EVENT)[4] == [2]


# --- order ---


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_all_behind_a_request_waits(authenticator, start_routerd, join, backend, threads, serializer):
    """PUBLISH, YIELD, UNSUBSCRIBE and GOODBYE behind a request that is held: order is kept."""
    held = Held(authenticator, lambda uri: uri == "com.example.slow")
    routerd = start_routerd(config(threads=threads))
    client, other = join(routerd, serializer), backend(routerd)
    other.subscribe("com.example.t")
    subscription = client.subscribe("com.example.t")
    client.register("com.example.p")
    call = other.start_call("com.example.p")
    invocation = client.expect(INVOCATION)
    first = client.next_request()
    client.send([CALL, first, {}, "com.example.slow"], [PUBLISH, first + 1, {}, "com.example.t", [1]],
                [YIELD, invocation[1], {}, [2]], [UNSUBSCRIBE, first + 2, subscription],
                [GOODBYE, {}, "wamp.close.close_realm"])
    held.wait(1 + len([u for u in held.asked() if u != "com.example.slow"]))
    assert other.silent() == []  # neither the event nor the result
    other.publish("com.example.t", [0])
    assert client.expect(EVENT)[4] == [0]  # output goes on
    held.hold = lambda uri: False
    slow = [r[0] for r in held.a.requests if r[1] == "authorize" and r[2][1] == "com.example.slow"]
    held.a.send([1, slow[0], None, True])
    assert error_of(client, CALL, first)[0] == "wamp.error.no_such_procedure"
    assert client.expect(UNSUBSCRIBED)[1] == first + 2
    assert client.expect(GOODBYE)[2] == "wamp.close.goodbye_and_out"
    assert other.expect(EVENT)[4] == [1]
    assert other.result(call)[0] == [2]


@pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)
def test_many_requests_stay_in_order(authenticator, start_routerd, connect, threads, transport):
    """Answers that come at random times do not change the order of one session's requests."""
    import random
    pick = random.Random(5)

    def authorize(details, uri, action, options):
        time.sleep(pick.choice([0, 0, 0.002]))
        return not uri.endswith("3")

    authenticator(authorize)
    cfg = config(threads=threads)
    cfg["transports"].pop()
    routerd = start_routerd(cfg)
    clients = [connect(routerd, s) for s in ("json", "msgpack", "cbor")]
    for client in clients:
        client.join("devices")
        client.send(*[[SUBSCRIBE, n, {}, f"com.example.{n}"] for n in range(1, 101)])
    for client in clients:
        messages = [client.recv() for _ in range(100)]
        granted = [m[1] for m in messages if m[0] == SUBSCRIBED]
        denied = [m[2] for m in messages if m[:2] == [ERROR, SUBSCRIBE]]
        assert granted == [n for n in range(1, 101) if n % 10 != 3], messages
        # a denial comes from the client's worker, and may overtake an answer of the realm's owner
        assert denied == list(range(3, 101, 10)), messages


def test_a_large_batch(authenticator, start_routerd, connect, threads):
    """Thousands of requests in one frame: each is asked about, one after the other."""
    a = authenticator(always)
    routerd = start_routerd(config(threads=threads))
    client = connect(routerd, "cbor.batched")
    client.join("devices")
    client.send(*[[PUBLISH, n, {"acknowledge": True}, "com.example.t"] for n in range(1, 2001)])
    for n in range(1, 2001):
        assert client.recv()[:2] == [PUBLISHED, n]
    assert len([r for r in a.requests if r[1] == "authorize"]) == 2000


def test_input_is_bounded(authenticator, start_routerd, connect, threads):
    """A client that goes on sending while its request is held is not read."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads, timeout=30000))
    client = connect(routerd)
    client.join("devices")
    client.send([CALL, 1, {}, "com.example.slow"])
    held.wait(1)
    before = routerd.rss()
    client.socket.settimeout(0.5)
    data = client.make_frame(client.opcode, client.pack([CALL, 2, {}, "com.example.more", ["x" * 50000]]))
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 200 << 20:
            sent += client.socket.send(data)
    assert sent < 20 << 20 and routerd.rss() - before < 10 << 20
    held.answer(1, False)
    assert error_of(client, CALL, 1)[0] == DENIED


def test_pings_stand_still(authenticator, start_routerd, connect, threads):
    """A hold that is longer than the ping interval and its timeout ends no connection."""
    held = Held(authenticator)
    cfg = config(threads=threads, timeout=30000)
    cfg["transports"][0]["options"] = {"auto_ping_interval": 1000, "auto_ping_timeout": 1000}
    routerd = start_routerd(cfg)
    client = connect(routerd)
    client.join("devices")
    client.send([CALL, 1, {}, "com.example.slow"])
    held.wait(1)
    pings = routerd.total("pings_out")
    time.sleep(3)  # what must not happen has no condition to wait for
    assert routerd.total("pings_out") == pings
    held.answer(1, False)
    assert error_of(client, CALL, 1)[0] == DENIED
    assert routerd.total("closed_ping_timeout") == 0


# --- no answer, late answers, two answers ---


def test_never(authenticator, start_routerd, join, threads):
    """Each request fails after the authenticator's timeout; the session lives on."""
    a = authenticator(never)
    routerd = start_routerd(config(threads=threads, timeout=300))
    client, other = join(routerd), join(routerd, listener=1)
    other.subscribe("com.example.t")
    client.publish("com.example.t", ["lost"])
    begin = time.monotonic()
    with pytest.raises(WampError) as e:
        client.subscribe("com.example.t")
    assert e.value.uri == FAILED
    assert e.value.args_ == ["the authenticator did not answer in time"]
    assert 0.2 < time.monotonic() - begin < 2 * utils.SLOW
    a.wait(lambda: sum(m == "cancel" for m, _ in a.notifications) == 2, "two cancels")
    assert other.silent() == []
    assert routerd.total("publishes_dropped") == 1 and routerd.total("authorizations_failed") == 2
    a.authorize = always
    client.subscribe("com.example.t")


def test_late_and_twice(authenticator, start_routerd, join, threads):
    """An answer after the timeout, or a second one, is nobody's: it decides no later request."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads, timeout=300))
    client = join(routerd)
    client.send([SUBSCRIBE, 1, {}, "com.example.a"])
    assert error_of(client, SUBSCRIBE, 1)[0] == FAILED
    client.send([SUBSCRIBE, 2, {}, "com.example.b"])
    held.wait(2)
    held.answer(1, True)  # too late
    held.answer(2, False)
    held.answer(2, True)  # the second answer
    assert error_of(client, SUBSCRIBE, 2)[0] == DENIED
    client.send([SUBSCRIBE, 3, {}, "com.example.c"])
    held.wait(3)
    held.answer(2, True)
    held.answer(3, False)
    assert error_of(client, SUBSCRIBE, 3)[0] == DENIED


def test_link_down(authenticator, start_routerd, join, threads):
    """Requests are held while the authenticator is away, at most for its timeout."""
    a = authenticator(always)
    routerd = start_routerd(config(threads=threads, timeout=3000))
    client = join(routerd)
    client.subscribe("com.example.a")
    a.stop()
    with pytest.raises(WampError) as e:
        client.subscribe("com.example.b")
    assert (e.value.uri, e.value.args_) == (FAILED, ["the authenticator is not available"])
    # one that comes back in time answers what was held
    client.send([SUBSCRIBE, client.next_request(), {}, "com.example.c"])
    a.start()
    assert client.recv()[0] == SUBSCRIBED
    client.subscribe("com.example.d")


def test_a_question_that_breaks_the_link(authenticator, start_routerd, join, threads):
    """It is asked twice, and fails; others are asked meanwhile."""
    def authorize(details, uri, action, options):
        if uri == "com.example.deadly":
            a.drop()
        return True

    a = authenticator(authorize)
    routerd = start_routerd(config(threads=threads, timeout=5000))
    client, other = join(routerd), join(routerd)
    client.send([SUBSCRIBE, 1, {}, "com.example.deadly"])
    other.subscribe("com.example.t")
    assert error_of(client, SUBSCRIBE, 1)[0] == FAILED
    assert len([r for r in a.requests if r[1] == "authorize" and r[2][1] == "com.example.deadly"]) == 2
    client.subscribe("com.example.t")


def test_an_authenticator_that_does_not_authorize(authenticator, start_routerd, join, threads):
    authenticator(always, features=("revoke", "cancel"))
    routerd = start_routerd(config(threads=threads))
    routerd.wait_log("does not support authorize: requests of sessions whose role has this authorizer fail")
    client = join(routerd)
    with pytest.raises(WampError) as e:
        client.subscribe("com.example.t")
    assert (e.value.uri, e.value.args_) == (FAILED, ["the authenticator does not support authorize"])


def test_the_queue_is_bounded(authenticator, start_routerd, connect, threads):
    """Beyond hold_queue requests fail at once; logins are not in the way, nor held up by them."""
    key = Key()
    a = authenticator(never, answer=lambda *args: principal(key))
    cfg = config(threads=threads, timeout=20000, limits={"hold_queue": 4})
    a.stop()
    routerd = start_routerd(cfg)
    clients = []
    for n in range(8):
        clients.append(connect(routerd))
        clients[-1].join("devices")
    for client in clients:
        client.send([CALL, 1, {}, "com.example.p"])
    wait_counter(routerd, "authorizations_failed", 4)
    routerd.wait_log(f"the hold queue is full: further requests get the error {FAILED}")
    a.authorize = always
    a.start()
    uris = sorted(error_of(c, CALL, 1)[0] for c in clients)
    assert uris == [FAILED] * 4 + ["wamp.error.no_such_procedure"] * 4
    late = connect(routerd)
    late.join("devices", key=key)


# --- the end meanwhile ---


def test_the_client_goes(authenticator, start_routerd, connect, join, threads):
    """Its question is canceled at once when the router sees it, and the answer is nobody's."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads, timeout=300))
    for n in range(1, 4):
        client = connect(routerd)
        client.join("devices")
        client.send([CALL, 1, {}, "com.example.p"])
        held.wait(n)
        client.close_socket()
        if n != 2:
            held.answer(n)
        wait_counter(routerd, "sessions_closed", n)
    assert routerd.total("authorizations_asked") == 3


@pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)
def test_clients_that_go_are_freed_at_the_deadline(authenticator, start_routerd, connect, threads, transport):
    """Their input is not read, so the router sees their end only when it stops to wait for the decision:
    after the authenticator's timeout. Then it frees all, also what they sent behind the request."""
    authenticator(never)
    cfg = config(threads=threads, timeout=1000)
    cfg["transports"].pop()
    routerd = start_routerd(cfg)
    routerd.total("sessions_opened")
    before = routerd.fds()
    for turn in range(1, 3):
        clients = [connect(routerd) for _ in range(20)]
        for client in clients:
            client.join("devices")
            client.send([CALL, 1, {}, "com.example.p"], [CALL, 2, {}, "com.example.p", ["x" * 50000]])
        wait_counter(routerd, "authorizations_asked", turn * 20)
        begin = time.monotonic()
        for client in clients:
            client.close_socket()
        wait_for(lambda: routerd.fds() == before, "the connections to be closed")
        assert time.monotonic() - begin < 3 * utils.SLOW
        assert routerd.total("connections_freed") == routerd.total("connections_adopted") == turn * 20
        assert routerd.total("sessions_closed") == turn * 20
    log = routerd.log_counters()
    for name in "authorize_held", "authorize_bytes", "in_flight":
        assert re.search(rf"counters authenticator .*\b{name}=0\b", log), name


def test_revoked_while_held(authenticator, start_routerd, connect, threads):
    """GOODBYE at once, nothing behind it, and the question is canceled."""
    key = Key()
    held = Held(authenticator, answer=lambda *args: principal(key, epoch=5))
    routerd = start_routerd(config(threads=threads))
    client = connect(routerd)
    client.join("devices", key=key)
    client.send([CALL, 1, {}, "com.example.p"], [PUBLISH, 2, {"acknowledge": True}, "com.example.t"])
    held.wait(1)
    assert held.a.revoke(authid="client01@example.com")["sessions"] == 1
    assert client.expect(GOODBYE)[2] == "wamp.close.killed"
    held.a.wait(lambda: any(m == "cancel" for m, _ in held.a.notifications), "cancel")
    held.answer(1)
    client.send([GOODBYE, {}, "wamp.close.goodbye_and_out"])
    assert client.wait_closed()[1] == []
    again = connect(routerd)
    again.join("devices", key=key)


def test_stop_while_held(authenticator, start_routerd, connect, threads):
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads, timeout=30000))
    client = connect(routerd)
    client.join("devices")
    client.send([CALL, 1, {}, "com.example.p"], [CALL, 2, {}, "com.example.p"])
    held.wait(1)
    begin = time.monotonic()
    routerd.stop()
    assert time.monotonic() - begin < 4 * utils.SLOW


def test_reload_changes_the_decider(authenticator, start_routerd, join):
    """A request that waits is judged by the rules that are in force when the answer comes."""
    held = Held(authenticator)
    routerd = start_routerd(config())
    client = join(routerd)
    client.send([SUBSCRIBE, 1, {}, "com.example.t"])
    held.wait(1)
    routerd.config["realms"][0]["roles"][0] = {"name": "device", "permissions": [permission("com.example.t")]}
    routerd.write_config()
    routerd.signal(utils.signal.SIGHUP)
    routerd.wait_log("reload done")
    held.answer(1, False)
    assert client.recv()[:2] == [SUBSCRIBED, 1]
    routerd.config["realms"][0]["roles"][0] = {"name": "device", "authorizer": "authd"}
    held.hold = lambda uri: False
    routerd.write_config()
    routerd.signal(utils.signal.SIGHUP)
    wait_for(lambda: routerd.log().count("reload done") >= 2, "the second reload")
    client.subscribe("com.example.other")
    assert held.asked()[-1] == "com.example.other"


def test_reload_names_a_new_authorizer(authenticator, start_routerd, join):
    """Its roles take effect at once, but it is only connected after a restart."""
    authenticator(always)
    routerd = start_routerd(config())
    client = join(routerd)
    warning = "warn  other reload does not connect to a new authenticator"

    def reload_with(role_authorizer, count):
        routerd.config["realms"][0]["roles"][0] = {"name": "device", "authorizer": role_authorizer}
        routerd.write_config()
        routerd.signal(utils.signal.SIGHUP)
        wait_for(lambda: routerd.log().count("reload done") == count, f"reload {count}")

    routerd.config["authenticators"]["other"] = {"socket": "other.sock"}
    reload_with("authd", 1)
    assert warning not in routerd.log()
    client.subscribe("com.example.a")
    reload_with("other", 2)
    assert routerd.log().count(warning) == 1
    with pytest.raises(WampError) as e:
        client.subscribe("com.example.b")
    assert (e.value.uri, e.value.args_) == (FAILED, ["a reload has added the authorizer, which the router asks only after a restart"])
    reload_with("authd", 3)
    client.subscribe("com.example.c")
    assert routerd.log().count(warning) == 1


# --- real clients, and the kit in both forms ---

SITE = """
async def authorize(details, uri, action, options):
    if uri == "com.example.slow":
        await asyncio.sleep(0.3)
    if uri == "com.example.never":
        await asyncio.sleep(30)
    if uri == "com.example.broken":
        raise RuntimeError("broken")
    if uri == "com.example.wrong":
        return 1
    if uri == "com.example.closed":
        raise wampauth.Error("com.example.error.closed", "come back " + details["authrole"])
    if uri == "com.example.no":
        raise wampauth.Error()
    if uri == "com.example.shown":
        return {"allow": True, "disclose": True}
    if uri == "com.example.half":
        return {"allow": True, "disclose": 1}
    return uri.startswith("com.example.") or {"allow": False}

async def authenticate(realm, authid, details):
    raise wampauth.Error()
"""


@pytest.fixture(params=kit.FORMS)
def site(request, daemons, folder):
    daemons.append(kit.daemon(folder, request.param, SITE, authorize=True))
    return daemons[-1].start()


@pytest.mark.parametrize("kind", ["raw", *peers.PYTHON, "autobahn-js"])
def test_the_kit_and_real_clients(site, start_routerd, connect, puppets, kind, threads):
    if kind == "raw":
        kit_with_raw_client(site, start_routerd(config(threads=threads, timeout=1000)), connect)
        return
    routerd = start_routerd(config(threads=threads, timeout=1000))
    client = peers.Peer(puppets(kind), routerd.url(), "json")
    client.register("com.example.echo")
    client.subscribe("com.example.topic")
    assert client.call("com.example.echo", [1], {})[0] == [1]
    for uri, error in (("com.example.closed", "com.example.error.closed"), ("org.example.no", DENIED),
                       ("com.example.broken", FAILED)):
        with pytest.raises(peers.PeerError) as e:
            client.call(uri, [], {})
        assert e.value.uri == error
    assert client.call("com.example.echo", [2], {})[0] == [2]
    client.leave()


def kit_with_raw_client(site, routerd, connect):
    client = connect(routerd, "cbor")
    client.join("devices")
    client.send(*[[SUBSCRIBE, n, {}, uri] for n, uri in enumerate(
        ["com.example.slow", "com.example.broken", "com.example.wrong", "com.example.closed", "com.example.no",
         "org.example", "com.example.never", "com.example.yes", "com.example.half", "com.example.shown"], 1)])
    # The owner grants and the worker refuses, so a refusal may overtake a SUBSCRIBED.
    client.expect(SUBSCRIBED, 1)
    for n, error in (2, FAILED), (3, FAILED), (4, "com.example.error.closed"), (5, DENIED), (6, DENIED), (7, FAILED):
        assert error_of(client, SUBSCRIBE, n)[0] == error
    client.expect(SUBSCRIBED, 8)
    assert error_of(client, SUBSCRIBE, 9)[0] == FAILED
    client.expect(SUBSCRIBED, 10)
    assert "RuntimeError: broken" in site.log() and "authorize: expected True" in site.log()


def test_the_example(folder, daemons, start_routerd, connect):
    """etc/examples/authenticator/authorizer.py lets a device use what is below its name."""
    key = Key()
    source = (kit.FOLDER / "example.py").read_text().replace(
        "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122", key.public)
    (folder / "example.py").write_text(source)
    (folder / "authorizer.py").write_text((kit.FOLDER / "authorizer.py").read_text())
    daemons.append(utils.Daemon("own", [sys.executable, "authorizer.py", "authd.sock"], folder,
                                env={"PYTHONPATH": str(kit.FOLDER)}, wrap=False))
    daemons[-1].start()
    routerd = start_routerd(config())
    client = connect(routerd)
    client.join("devices", key=key)
    client.subscribe("com.example.devices.client01.commands")
    with pytest.raises(WampError) as e:
        client.subscribe("com.example.devices.client02.commands")
    assert e.value.uri == "com.example.not_yours"
    with pytest.raises(WampError) as e:
        client.result(client.start_call("com.example.nothing"))
    assert e.value.uri == "wamp.error.no_such_procedure"
