# SPDX-License-Identifier: Apache-2.0
"""The Basic Profile: what each request does and how it fails."""

import peers
import pytest
import rawclient
from rawclient import (CALL, ERROR, EVENT, GOODBYE, INVOCATION, PUBLISH, REGISTER, RESULT, SUBSCRIBE,
                       UNREGISTER, UNSUBSCRIBE, YIELD, WampError)
from utils import ALL, permission, router_config

pytestmark = pytest.mark.parametrize("transport", list(rawclient.FRAMINGS), indirect=True)


def error_of(function, *args, **kw):
    with pytest.raises(WampError) as error:
        function(*args, **kw)
    return error.value


# --- sessions -------------------------------------------------------------------------------


def test_welcome_announces_what_works(routerd, join):
    client = join(routerd)
    details = client.details
    assert 1 <= client.session <= 2**53
    assert details["realm"] == "devices"
    assert details["authrole"] == "device"
    assert details["authmethod"] == "anonymous"
    assert details["authprovider"] == "static"
    assert isinstance(details["authid"], str) and details["authid"]
    for role in ("broker", "dealer"):
        features = details["roles"][role]["features"]
        assert isinstance(features, dict)
        assert all(v is True for v in features.values())
    assert set(details["roles"]) == {"broker", "dealer"}
    extra = details["authextra"]
    assert set(extra) >= {"x_cb_node", "x_cb_worker", "x_cb_peer", "x_cb_pid"}
    assert extra["x_cb_pid"] == routerd.pid
    assert extra["x_cb_peer"].startswith("unix" if client.is_unix else "tcp4:127.0.0.1:")


def test_session_ids_differ(routerd, join):
    assert len({join(routerd).session for _ in range(20)}) == 20


def test_a_realm_can_answer_goodbye_as_crossbar_does(start_routerd, join, transport, puppets):
    """Programs of Crossbar's users compare the reason with wamp.close.normal."""
    config = router_config(cryptosign=False)
    config["realms"][0]["options"] = {"goodbye_reason": "wamp.close.normal"}
    routerd = start_routerd(config)
    client = join(routerd)
    client.send([GOODBYE, {}, "wamp.close.close_realm"])
    assert client.expect(GOODBYE) == [GOODBYE, {}, "wamp.close.normal"]
    client.request = 0
    client.join()
    if transport == "websocket":
        puppet = puppets("ab-twisted")
        peers.Peer(puppet, routerd.url(), "json").leave()
        assert puppet.event(ev="left")["reason"] == "wamp.close.normal"


@pytest.mark.parametrize("serializer", ["json", "msgpack.batched", "cbor"])
def test_goodbye_is_answered_and_the_transport_used_again(routerd, join, serializer):
    client, other = join(routerd, serializer), join(routerd)
    first = client.session
    other.register("com.example.p", lambda a, k: (a, k))
    subscription = other.subscribe("com.example.t")
    for _ in range(5):
        client.subscribe("com.example.t")
        client.publish("com.example.t", [1], acknowledge=True)
        assert other.event(subscription) == ([1], {})
        client.leave()
        client.request = 0
        client.join()
        assert client.session != first
        # nothing of the former session is left
        other.publish("com.example.t", acknowledge=True)
        assert client.silent() == []


def test_messages_behind_goodbye_are_ignored(routerd, join):
    client, other = join(routerd), join(routerd)
    subscription = other.subscribe("com.example.t")
    client.send([6, {}, "wamp.close.normal"], [PUBLISH, 1, {}, "com.example.t", ["late"]])
    client.expect(6)
    client.join()
    client.publish("com.example.t", ["next"])
    assert other.event(subscription) == (["next"], {})


@pytest.mark.parametrize("hello", [
    {},
    {"roles": {"subscriber": {"publisher_identification": True}}},
    {"roles": {"publisher": {}, "x_unknown": 7}, "agent": "x" * 100, "x_unknown": [{"deep": [1]}]},
    {"authid": "", "authextra": {}},
    {"authid": None, "authrole": None, "authextra": None},
], ids=["nothing", "flat_features", "unknown_keys", "empty", "nulls"])
def test_hello_of_odd_but_honest_clients(routerd, connect, hello):
    client = connect(routerd)
    client.send([1, "devices", {"roles": {"caller": {}}, **hello}])
    assert client.expect(2)[2]["realm"] == "devices"


def test_bytes_and_messages_are_counted(start_routerd, join):
    routerd = start_routerd()
    client = join(routerd, "cbor")
    client.register("com.example.echo")
    before = {name: routerd.total(name) for name in ("bytes_in", "bytes_out", "messages_in", "messages_out")}
    request = client.start_call("com.example.echo", ["x" * 10000])
    invocation = client.expect(68)
    client.send([70, invocation[1], {}, invocation[4]])
    assert client.result(request)[0] == ["x" * 10000]
    for name, value in before.items():
        grown = routerd.total(name) - value
        assert grown == 2 if name.startswith("messages") else 20000 < grown < 20200, (name, grown)


@pytest.mark.parametrize("offered, named", [
    (["ticket", "wampcra"], "offered: ticket, wampcra; supported: anonymous"),
    (["a b\n\u2603"], r"offered: a\x20b\x0a\xe2\x98\x83; supported: anonymous"),
    (["x" * 1000] * 20, "; supported: anonymous"),
], ids=["usual", "hostile", "long"])
def test_authmethods_that_are_not_served(routerd, connect, offered, named):
    """The ABORT names the methods that were offered and those that are served."""
    client = connect(routerd)
    with pytest.raises(rawclient.Aborted) as aborted:
        client.join(authmethods=offered)
    assert aborted.value.uri == "wamp.error.no_matching_auth_method"
    text = aborted.value.details["message"]
    assert text.startswith("none of the offered authmethods is supported here; ") and text.endswith(named)
    client.wait_closed()


def test_unknown_realm(routerd, connect):
    client = connect(routerd)
    with pytest.raises(rawclient.Aborted) as aborted:
        client.join("nowhere")
    assert aborted.value.uri == "wamp.error.no_such_realm"
    client.wait_closed()


def test_realms_know_nothing_of_each_other(start_routerd, threads, join):
    config = router_config(threads=threads, cryptosign=False)
    names = [f"realm{i}" for i in range(5)]
    config["realms"] = [{**config["realms"][0], "name": name} for name in names]
    routerd = start_routerd(config)
    clients = [join(routerd, realm=name) for name in names]
    subscriptions = [c.subscribe("com.example.t") for c in clients]
    registrations = [c.register("com.example.p", lambda a, k, i=i: ([i], k)) for i, c in enumerate(clients)]
    assert len({*subscriptions}) == len({*registrations}) == 5, "unique on the router"
    for i, client in enumerate(clients):
        assert client.call("com.example.p") == ([i], {})
        client.publish("com.example.t", [i], acknowledge=True, exclude_me=False)
        assert client.event(subscriptions[i]) == ([i], {})
        assert error_of(client.unsubscribe, subscriptions[i - 1]).uri == "wamp.error.no_such_subscription"
        assert error_of(client.unregister, registrations[i - 1]).uri == "wamp.error.no_such_registration"
    assert all(c.silent() == [] for c in clients)


# --- publish and subscribe ------------------------------------------------------------------


def test_subscribing_twice_gives_the_same_id(routerd, join):
    client = join(routerd)
    first = client.subscribe("com.example.t")
    assert client.subscribe("com.example.t") == first
    other = join(routerd)
    other.publish("com.example.t", [1], acknowledge=True)
    assert client.event(first) == ([1], {})
    assert client.silent() == []


def test_exclude_me(routerd, join):
    client, other = join(routerd), join(routerd, "cbor")
    mine, theirs = client.subscribe("com.example.t"), other.subscribe("com.example.t")
    client.publish("com.example.t", ["default"], acknowledge=True)
    client.publish("com.example.t", ["true"], acknowledge=True, exclude_me=True)
    client.publish("com.example.t", ["false"], acknowledge=True, exclude_me=False)
    assert client.event(mine) == (["false"], {})
    assert [other.event(theirs)[0][0] for _ in range(3)] == ["default", "true", "false"]
    assert client.silent() == [] and other.silent() == []


def test_acknowledge(routerd, join):
    client = join(routerd)
    ids = {client.publish("com.example.nobody_listens", acknowledge=True) for _ in range(10)}
    assert len(ids) == 10 and all(1 <= i <= 2**53 for i in ids)
    client.publish("com.example.nobody_listens")
    client.publish("com.example.nobody_listens", acknowledge=False)
    assert client.silent() == []


def test_publication_id_is_the_same_for_all(routerd, join):
    sender, one, two = join(routerd), join(routerd), join(routerd, "msgpack")
    one.subscribe("com.example.t")
    two.subscribe("com.example.t")
    publication = sender.publish("com.example.t", [1], acknowledge=True)
    assert one.expect(EVENT)[2] == publication
    assert two.expect(EVENT)[2] == publication


def test_a_subscription_ends_with_its_session(routerd, join):
    client, sender = join(routerd), join(routerd)
    client.subscribe("com.example.t")
    client.close_socket()
    other = join(routerd)
    subscription = other.subscribe("com.example.t")
    sender.publish("com.example.t", [1], acknowledge=True)
    assert other.event(subscription) == ([1], {})


def test_no_such_subscription(routerd, join):
    client, other = join(routerd), join(routerd)
    foreign = other.subscribe("com.example.t")
    own = client.subscribe("com.example.u")
    client.unsubscribe(own)
    for subscription in (foreign, own, 999999):
        error = error_of(client.unsubscribe, subscription)
        assert error.uri == "wamp.error.no_such_subscription"


# --- calls ----------------------------------------------------------------------------------


def test_errors_of_registrations_and_calls(routerd, join):
    client, other = join(routerd), join(routerd, "msgpack")
    registration = other.register("com.example.p", lambda a, k: (a, k))
    assert error_of(client.register, "com.example.p").uri == "wamp.error.procedure_already_exists"
    assert error_of(other.register, "com.example.p").uri == "wamp.error.procedure_already_exists"
    assert error_of(client.unregister, registration).uri == "wamp.error.no_such_registration"
    assert error_of(client.unregister, 999999).uri == "wamp.error.no_such_registration"
    error = error_of(client.call, "com.example.q")
    assert error.uri == "wamp.error.no_such_procedure"
    assert error.args_ and isinstance(error.args_[0], str)
    other.unregister(registration)
    assert error_of(client.call, "com.example.p").uri == "wamp.error.no_such_procedure"
    client.register("com.example.p", lambda a, k: (a, k))
    assert client.call("com.example.p", [1]) == ([1], {})


@pytest.mark.parametrize("source", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("target", ["json", "msgpack", "cbor"])
def test_an_error_of_the_callee_reaches_the_caller(routerd, join, source, target):
    caller, callee = join(routerd, source), join(routerd, target)
    args, kwargs = [1, "zwei", b"\x03"], {"k": {"deep": [None, 2.5]}}
    callee.register("com.example.p", lambda a, k: rawclient.raise_error("com.example.oops", args, kwargs))
    request = caller.start_call("com.example.p")
    callee.serve(1)
    error = error_of(caller.result, request)
    assert error.uri == "com.example.oops"
    assert error.args_ == args
    assert error.kwargs == kwargs


@pytest.mark.parametrize("how", ["socket", "goodbye", "abort", "violation"])
def test_the_callee_leaves_with_calls_in_flight(routerd, join, how):
    caller, callee = join(routerd, "cbor"), join(routerd)
    callee.register("com.example.p")
    requests = [caller.start_call("com.example.p", [i]) for i in range(10)]
    for _ in range(10):
        callee.expect(INVOCATION)
    if how == "socket":
        callee.close_socket()
    elif how == "goodbye":
        callee.send([6, {}, "wamp.close.normal"])
    elif how == "abort":
        callee.send([3, {}, "wamp.close.normal"])
    else:
        callee.send([99])
    for request in requests:
        assert error_of(caller.result, request).uri == "wamp.error.canceled"
    assert error_of(caller.call, "com.example.p").uri == "wamp.error.no_such_procedure"


def test_the_caller_leaves_with_calls_in_flight(routerd, join):
    caller, callee, other = join(routerd), join(routerd), join(routerd)
    callee.register("com.example.p")
    for i in range(10):
        caller.start_call("com.example.p", [i])
    invocations = [callee.expect(INVOCATION) for _ in range(10)]
    caller.close_socket()
    for message in invocations:
        callee.send([YIELD, message[1], {}, ["too late"]])
    # the callee still serves other callers
    request = other.start_call("com.example.p", ["x"])
    message = callee.expect(INVOCATION)
    callee.send([YIELD, message[1], {}, message[4]])
    assert other.result(request) == (["x"], {})


def test_unregistering_leaves_calls_in_flight_alone(routerd, join):
    caller, callee = join(routerd), join(routerd)
    registration = callee.register("com.example.p")
    request = caller.start_call("com.example.p", [1])
    message = callee.expect(INVOCATION)
    callee.unregister(registration)
    callee.send([YIELD, message[1], {}, ["done"]])
    assert caller.result(request) == (["done"], {})


def test_a_session_calls_itself(routerd, join):
    client = join(routerd)
    client.register("com.example.p", lambda a, k: (a + [1], k))
    assert client.call("com.example.p", [0]) == ([0, 1], {})


def test_answers_to_nothing_are_ignored(routerd, join):
    client, caller = join(routerd), join(routerd)
    client.send([YIELD, 12345, {}, ["x"]], [ERROR, INVOCATION, 12345, {}, "com.example.e"])
    client.register("com.example.p")
    request = caller.start_call("com.example.p", [1])
    message = client.expect(INVOCATION)
    for _ in range(3):
        client.send([YIELD, message[1], {}, ["answer"]])
    assert caller.result(request) == (["answer"], {})
    # the second answers were ignored
    assert caller.silent() == []


def test_another_session_cannot_answer(routerd, join):
    callee, caller, thief = join(routerd), join(routerd), join(routerd)
    callee.register("com.example.p")
    request = caller.start_call("com.example.p")
    message = callee.expect(INVOCATION)
    thief.send([YIELD, message[1], {}, ["stolen"]])
    assert thief.silent() == []
    callee.send([YIELD, message[1], {}, ["real"]])
    assert caller.result(request) == (["real"], {})


# --- what is refused ------------------------------------------------------------------------

BAD_URIS = ["", ".", "a..b", ".a", "a.", "a b", "com.#", "tab\tbed", "line\nfeed"]


def what_is_wrong(uri):
    if uri == "":
        return "must not be empty"
    if ".." in uri or "." in (uri[0], uri[-1]):
        return "must not have an empty component between dots"
    return "must not contain '#'" if "#" in uri else "must not contain white space"


@pytest.mark.parametrize("bad", BAD_URIS)
def test_invalid_uris(routerd, join, bad):
    """The error quotes the URI."""
    client = join(routerd, "msgpack")
    quoted = bad.replace("\t", "\\x09").replace("\n", "\\x0a")
    for function in (client.subscribe, client.register, client.call):
        error = error_of(function, bad)
        assert error.uri == "wamp.error.invalid_uri"
        assert error.args_ == [f'invalid URI "{quoted}": {what_is_wrong(bad)}']
    assert error_of(client.publish, bad, acknowledge=True).uri == "wamp.error.invalid_uri"
    client.publish(bad)
    assert client.silent() == []


def test_long_uris(routerd, join):
    client = join(routerd)
    client.subscribe("x" * 1024)
    error = error_of(client.subscribe, "x" * 1025)
    assert error.uri == "wamp.error.invalid_uri"
    assert error.args_[0].endswith('xxx...": must not be longer than 1024 bytes') and len(error.args_[0]) < 300


def test_an_error_with_an_invalid_uri(routerd, join):
    """A JavaScript callee throws Error("Not found!"): the caller gets an ERROR, and the callee
    stays."""
    caller, callee = join(routerd), join(routerd, "cbor")
    callee.register("com.example.p")
    for bad in BAD_URIS:
        request = caller.start_call("com.example.p")
        callee.send([ERROR, INVOCATION, callee.expect(INVOCATION)[1], {}, bad, [1]])
        error = error_of(caller.result, request)
        assert error.uri == "wamp.error.invalid_uri"
        assert error.args_[0].startswith('the callee\'s answer: invalid URI "')
        assert error.args_[0].endswith(what_is_wrong(bad))
    callee.send([ERROR, INVOCATION, 4711, {}, "Not found!"])
    assert caller.silent() == [] and callee.silent() == []


def test_reserved_uris(routerd, join):
    client = join(routerd)
    assert error_of(client.register, "wamp.session.count").uri in (
        "wamp.error.invalid_uri", "wamp.error.not_authorized")
    assert error_of(client.publish, "wamp.session.on_join", acknowledge=True).uri in (
        "wamp.error.invalid_uri", "wamp.error.not_authorized")


def restricted(threads, *permissions):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = list(permissions)
    return config


def test_each_action_is_allowed_alone(start_routerd, threads, join):
    routerd = start_routerd(restricted(threads, *[
        permission(f"com.example.{action}", "exact", **{action: True}) for action in ALL]))
    client = join(routerd)
    actions = {
        "call": lambda uri: client.call(uri), "register": lambda uri: client.register(uri),
        "subscribe": lambda uri: client.subscribe(uri),
        "publish": lambda uri: client.publish(uri, acknowledge=True),
    }
    for allowed in ALL:
        for action, function in actions.items():
            uri = f"com.example.{allowed}"
            if action != allowed:
                assert error_of(function, uri).uri == "wamp.error.not_authorized", (action, uri)
            elif action == "call":
                assert error_of(function, uri).uri == "wamp.error.no_such_procedure"
            else:
                function(uri)
    # without acknowledge, a refused publication gets no answer
    client.publish("com.example.call")
    assert not client.inbox


def test_permissions_match_exact_prefix_and_wildcard(start_routerd, join):
    none = {action: False for action in ALL}
    routerd = start_routerd(restricted(
        1,
        permission("com.exact", "exact", subscribe=True),
        permission("com.prefix.", "prefix", subscribe=True),
        permission("com..wild", "wildcard", subscribe=True),
        {"uri": "com.prefix.secret", "match": "exact", "allow": none},
    ))
    client = join(routerd)
    for uri in ("com.exact", "com.prefix.a", "com.prefix.a.b", "com.x.wild"):
        client.subscribe(uri)
    for uri in ("com.exact.more", "com.exac", "com.prefix", "com.x.wild.more", "com.x.y.wild",
                "org.x.wild", "com.prefix.secret"):
        assert error_of(client.subscribe, uri).uri == "wamp.error.not_authorized", uri


def test_options_without_effect(routerd, join):
    client = join(routerd)
    client.subscribe("com.example", match="exact")
    client.send([SUBSCRIBE, client.next_request(), {"x_unknown": [1, {"a": 2}]}, "com.example.o"])
    client.expect(33)
    client.send([REGISTER, client.next_request(), {"concurrency": 3, "force_reregister": False}, "com.example.p"])
    client.expect(65)


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
def test_values_that_json_cannot_carry(routerd, join, serializer):
    """NaN, or a key that is no string: the call fails, and the event is not sent to that receiver."""
    sender, plain, same = join(routerd, serializer), join(routerd, "json"), join(routerd, serializer)
    for client, procedure in ((plain, "com.example.json"), (same, "com.example.same")):
        client.register(procedure, lambda a, k: (a, k))
        client.subscribe("com.example.t")
    for value in (float("nan"), float("inf"), {1: 2}):
        error = error_of(sender.call, "com.example.json", [value])
        assert error.uri.startswith("wamp.error.")
        sender.publish("com.example.t", [value], acknowledge=True)
    sender.publish("com.example.t", ["fine"], acknowledge=True)
    message = plain.expect(EVENT)
    assert message[4] == ["fine"]
    assert sender.call("com.example.json", ["still there"], callee=plain) == (["still there"], {})


def test_ids_as_integral_floats(routerd, join):
    """wampy with CBOR sends ids above 2^32 as doubles."""
    client = join(routerd, "cbor")
    client.send([SUBSCRIBE, 1.0, {}, "com.example.t"])
    subscription = client.expect(33)[2]
    client.send([UNSUBSCRIBE, 2.0, float(subscription)])
    client.expect(35)
    client.send([REGISTER, 3.0, {}, "com.example.p"])
    registration = client.expect(65)[2]
    client.send([CALL, float(2**40), {}, "com.example.p"])
    message = client.expect(INVOCATION)
    client.send([YIELD, float(message[1]), {}])
    assert client.expect(RESULT)[1] == 2**40
    client.send([UNREGISTER, 4.0, float(registration)])
    client.expect(67)
