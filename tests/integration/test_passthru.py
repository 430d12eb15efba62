# SPDX-License-Identifier: Apache-2.0
"""Payloads that only the endpoints understand (specification: "Payload Passthru Mode"), and Autobahn's
own form of it, payload transparency (enc_algo)."""

import base64
import os

import peers
import pytest
import rawclient
from rawclient import ABORT, CALL, ERROR, EVENT, INTERRUPT, INVOCATION, PUBLISH, RESULT, YIELD
from utils import router_config

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched"]
ROLES = ["publisher", "subscriber", "caller", "callee"]
PPT, ENC = "payload_passthru_mode", "payload_transparency"
SENDERS = {"CALL": "caller", "PUBLISH": "publisher", "YIELD": "callee", "ERROR": "callee"}
NOT_SUPPORTED = "wamp.error.feature_not_supported"

# binaries that a codec might change
BINARIES = [b"", b"\0", b"\xff\xfe\0\x01", bytes(range(256)), b"\x92" * 70001]
KEYS = {"ppt_scheme": "x_mine", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305",
        "ppt_keyid": "0x\u00fc\"\\ \U0001f600"}
CRYPTOBOX = {"enc_algo": "cryptobox", "enc_key": "k\u00e9y", "enc_serializer": "json"}


def roles(*features, only=ROLES):
    """Roles for HELLO, of which those in `only` announce the features."""
    return {r: {"features": dict.fromkeys(features, True)} if r in only else {} for r in ROLES}


@pytest.fixture
def joined(join):
    """joined(routerd, serializer, *features) -> a client that announces the features in all roles."""
    return lambda routerd, serializer="json", *features, **kw: join(routerd, serializer, roles=roles(*features, **kw))


def start(caller, procedure, options, items):
    """Sends a CALL and returns its request id."""
    request = caller.next_request()
    caller.send([CALL, request, options, procedure, *items])
    return request


def exchange(caller, callee, options, items):
    """A call that is answered by a progressive result, a result or an error, all with these options
    and payloads."""
    request = start(caller, "com.example.p", {**options, "receive_progress": True}, items)
    invocation = callee.expect(INVOCATION)
    assert invocation[3:] == [{**options, "receive_progress": True}, *items]
    callee.send([YIELD, invocation[1], {**options, "progress": True}, *items], [YIELD, invocation[1], options, *items])
    assert caller.expect(RESULT, request)[2:] == [{**options, "progress": True}, *items]
    assert caller.expect(RESULT, request)[2:] == [options, *items]
    request = start(caller, "com.example.p", options, items)
    invocation = callee.expect(INVOCATION)
    assert invocation[3:] == [options, *items]
    callee.send([ERROR, INVOCATION, invocation[1], options, "com.example.e", *items])
    assert caller.expect(ERROR, CALL)[2:] == [request, options, "com.example.e", *items]


@pytest.mark.parametrize("options, wrap", [(KEYS, True), ({"ppt_scheme": "mqtt"}, True), (CRYPTOBOX, False),
                                           ({"enc_algo": "x_"}, False), ({**KEYS, **CRYPTOBOX}, False)],
                         ids=["ppt", "scheme", "enc", "algo", "both"])
def test_calls_between_all_serializers(routerd, joined, options, wrap):
    clients = [joined(routerd, s, PPT, ENC) for s in SERIALIZERS]
    for callee in clients:
        registration = callee.register("com.example.p")
        for caller in clients:
            for binary in BINARIES:
                exchange(caller, callee, options, [[binary]] if wrap else [binary])
        callee.unregister(registration)
    routerd.check_threads()


@pytest.mark.parametrize("options, wrap", [(KEYS, True), (CRYPTOBOX, False), ({**KEYS, **CRYPTOBOX}, False)],
                         ids=["ppt", "enc", "both"])
def test_events_between_all_serializers(routerd, joined, options, wrap):
    clients = [joined(routerd, s, PPT, ENC) for s in SERIALIZERS]
    for client in clients:
        client.subscribe("com.example.t")
    for sender in clients:
        for binary in BINARIES:
            items = [[binary]] if wrap else [binary]
            sender.send([PUBLISH, sender.next_request(), {**options, "exclude_me": False}, "com.example.t", *items])
            for client in clients:
                assert client.expect(EVENT)[3:] == [options, *items]
    routerd.check_threads()


# --- who must have announced what ---


def using(kind, options, items=()):
    """A message of this kind with these options. Only callees send the last two."""
    return {"CALL": [CALL, 1, options, "com.example.p", *items],
            "PUBLISH": [PUBLISH, 1, {**options, "acknowledge": True}, "com.example.t", *items],
            "YIELD": [YIELD, 1, options, *items],
            "ERROR": [ERROR, INVOCATION, 1, options, "com.example.e", *items]}[kind]


@pytest.mark.parametrize("what", SENDERS)
def test_a_sender_must_have_announced_passthru_mode_in_its_role(routerd, join, joined, what):
    others = [r for r in ROLES if r != SENDERS[what]]
    options = "Details" if what == "ERROR" else "Options"
    for serializer in SERIALIZERS[:3]:
        for client in (join(routerd, serializer), joined(routerd, serializer, PPT, only=others),
                       joined(routerd, serializer, ENC),
                       join(routerd, serializer, roles={r: {"features": {PPT: 1}} for r in ROLES})):
            client.send(using(what, {"ppt_scheme": "x_mine"}, [[b"\x80"]]))
            assert client.expect(ABORT)[1:] == [
                {"message": f"{what}.{options}.ppt_scheme: HELLO must announce payload_passthru_mode in role "
                            f"{SENDERS[what]}"}, "wamp.error.protocol_violation"]
            assert client.wait_closed()[1] == []
    assert routerd.total("protocol_violations") == 12


def test_options_that_count_as_absent(routerd, join):
    """Without its first option the others of a kind are unknown options, which are ignored."""
    for serializer in SERIALIZERS[:3]:
        client = join(routerd, serializer)
        registration = client.register("com.example.p")
        subscription = client.subscribe("com.example.t")
        for options in ({"ppt_scheme": None, "enc_algo": None}, {"ppt_scheme": "", "enc_algo": ""},
                        {"ppt_cipher": 7, "ppt_keyid": "k", "ppt_serializer": "x" * 2000, "enc_key": 7,
                         "enc_serializer": "?"}):
            request = start(client, "com.example.p", options, [[1]])
            invocation = client.expect(INVOCATION)
            assert invocation[2:] == [registration, {}, [1]]
            client.send([YIELD, invocation[1], options, [2]])
            assert client.expect(RESULT, request)[2:] == [{}, [2]]
            client.send([PUBLISH, client.next_request(), {**options, "exclude_me": False}, "com.example.t", [3]])
            assert client.expect(EVENT, subscription)[3:] == [{}, [3]]
        client.leave()


def call_fails(caller, request, uri=NOT_SUPPORTED):
    error = caller.expect(ERROR, CALL)
    assert error[2:5] == [request, {}, uri]
    return error[5][0]


@pytest.mark.parametrize("options, feature, items", [(KEYS, PPT, [[b"\x80"]]), (CRYPTOBOX, ENC, [b"\x80"]),
                                                     (CRYPTOBOX, ENC, [[1], {"k": 2}])],
                         ids=["ppt", "enc", "enc-list"])
def test_a_callee_or_caller_that_does_not_understand(routerd, joined, options, feature, items):
    other = {PPT: ENC, ENC: PPT}[feature]
    able = joined(routerd, "json", PPT, ENC)
    for serializer in SERIALIZERS[:3]:
        for unable in (joined(routerd, serializer, other),
                       joined(routerd, serializer, feature, only=["publisher", "subscriber"])):
            registration = unable.register("com.example.p")
            request = start(able, "com.example.p", options, items)
            assert "the callee has not announced" in call_fails(able, request)
            assert unable.silent() == []
            unable.unregister(registration)
            # a call without these options; the answers have them
            registration = able.register("com.example.p")
            for answer in ([YIELD, None, options, *items], [ERROR, INVOCATION, None, options, "com.example.e", *items],
                           [YIELD, None, {**options, "progress": True}, *items]):
                request = unable.start_call("com.example.p", receive_progress=True)
                number = able.expect(INVOCATION)[1]
                able.send([number if field is None else field for field in answer])
                assert "the caller has not announced" in call_fails(unable, request)
                able.send([YIELD, number, {}, ["late"]])
            assert able.silent() == [] and unable.silent() == []
            able.unregister(registration)
    routerd.check_threads()


def test_the_callee_of_a_refused_progressive_result_is_told_to_stop(routerd, join):
    callee = join(routerd, roles={"callee": {"features": {PPT: True, "call_canceling": True}}})
    caller = join(routerd)
    callee.register("com.example.p")
    request = caller.start_call("com.example.p", receive_progress=True)
    number = callee.expect(INVOCATION)[1]
    callee.send([YIELD, number, {"ppt_scheme": "mqtt", "progress": True}, [b"1"]])
    call_fails(caller, request)
    assert callee.expect(INTERRUPT) == [INTERRUPT, number, {"mode": "killnowait"}]


def test_subscribers(routerd, join, joined):
    """ppt_scheme goes to all, enc_algo only to those that have announced payload transparency."""
    sender = joined(routerd, "cbor", PPT)
    able = [joined(routerd, s, ENC, only=["subscriber"]) for s in SERIALIZERS]
    unable = ([join(routerd, s) for s in SERIALIZERS[:3]] +
              [joined(routerd, s, ENC, only=["publisher", "caller", "callee"]) for s in SERIALIZERS[3:]])
    for client in able + unable:
        client.subscribe("com.example.t")
        client.subscribe("com.example", match="prefix")
    for i in range(10):
        # they follow each other closely, so the router may send them together
        sender.send_bytes(b"".join(sender.make_frame(sender.opcode, sender.pack(m)) for m in (
            [PUBLISH, sender.next_request(), {}, "com.example.t", [i]],
            [PUBLISH, sender.next_request(), CRYPTOBOX, "com.example.t", bytes([i])],
            [PUBLISH, sender.next_request(), {"ppt_scheme": "mqtt"}, "com.example.t", [b"p"]],
            [PUBLISH, sender.next_request(), {"enc_algo": "mqtt", "exclude": [able[0].session]}, "com.example.t",
             b"not for the first"],
            [PUBLISH, sender.next_request(), {}, "com.example.t", ["end"]])))
    topic = {"topic": "com.example.t"}
    for client in able + unable:
        for i in range(10):
            expected = [({}, [i]), ({"ppt_scheme": "mqtt"}, [b"p"]), ({}, ["end"])]
            if client in able:
                expected.insert(1, (CRYPTOBOX, bytes([i])))
            if client in able[1:]:
                expected.insert(3, ({"enc_algo": "mqtt"}, b"not for the first"))
            for details, args in expected:
                assert client.expect(EVENT)[3:] == [details, args]
                assert client.expect(EVENT)[3:] == [{**details, **topic}, args]
    # each counts once for each of two subscriptions
    assert routerd.total("events_not_understood") == 10 * 2 * 2 * len(unable)
    assert routerd.total("undeliverable") == 0
    routerd.check_threads()


@pytest.mark.websocket
def test_few_of_many_subscribers(routerd, join, joined):
    """An event that goes directly to a few sessions has its options, too, and is judged the same."""
    sender = joined(routerd, "msgpack", PPT)
    able = [joined(routerd, s, ENC) for s in SERIALIZERS]
    unable = [join(routerd, SERIALIZERS[i % 3]) for i in range(65)]
    for client in able + unable:
        client.subscribe("com.example.t")
    eligible = [c.session for c in able[:4] + unable[:3]]
    sender.send([PUBLISH, 1, {**CRYPTOBOX, "eligible": eligible}, "com.example.t", b"secret"],
                [PUBLISH, 2, {**KEYS, "eligible": eligible}, "com.example.t", [b"secret"]],
                [PUBLISH, 3, {}, "com.example.t", ["end"]])
    for client in able + unable:
        expected = [[{}, ["end"]]]
        if client.session in eligible:
            expected.insert(0, [KEYS, [b"secret"]])
            if client in able:
                expected.insert(0, [CRYPTOBOX, b"secret"])
        for e in expected:
            assert client.expect(EVENT)[3:] == e
    assert routerd.total("events_not_understood") == 3


def test_the_routers_own_procedures(routerd, joined):
    """It cannot read such arguments."""
    client = joined(routerd, "msgpack", PPT, ENC)
    for options, items in (({"ppt_scheme": "mqtt"}, []), ({"enc_algo": "mqtt"}, [b"\x90"]), ({"enc_algo": "mqtt"}, [[]])):
        for procedure in ("wamp.session.count", "wamp.session.kill_all"):
            request = start(client, procedure, options, items)
            assert call_fails(client, request).startswith("the router serves this procedure itself")
    assert client.silent() == []


# --- wrong values ---

WRONG = [
    ({"ppt_scheme": 7}, "ppt_scheme: expected a string"),
    ({"ppt_scheme": ["mqtt"]}, "ppt_scheme: expected a string"),
    ({"ppt_scheme": b"mqtt"}, "ppt_scheme: expected a string"),
    ({"ppt_scheme": "x", "ppt_serializer": {}}, "ppt_serializer: expected a string"),
    ({"ppt_scheme": "x", "ppt_cipher": True}, "ppt_cipher: expected a string"),
    ({"ppt_scheme": "x", "ppt_keyid": 1.5}, "ppt_keyid: expected a string"),
    ({"enc_algo": 1}, "enc_algo: expected cryptobox, mqtt, xbr, or a name such as x_mine"),
    ({"enc_algo": "aes"}, "enc_algo: expected cryptobox, mqtt, xbr, or a name such as x_mine"),
    ({"enc_algo": "mqtt", "enc_key": b"k"}, "enc_key: expected a string"),
    ({"enc_algo": "mqtt", "enc_serializer": "native"},
     "enc_serializer: expected json, msgpack, cbor, ubjson, flatbuffers, or a name such as x_mine"),
    ({"ppt_scheme": "x", "ppt_keyid": "k" * 1024}, "ppt_keyid: expected at most 1,024 bytes in all ppt_ and enc_ options"),
    ({"ppt_scheme": "x", "ppt_keyid": "k" * 1000, "enc_algo": "mqtt", "enc_key": "\u00fc" * 10},
     "enc_key: expected at most 1,024 bytes in all ppt_ and enc_ options"),
]


@pytest.mark.parametrize("serializer", SERIALIZERS[:3])
def test_wrong_values(routerd, joined, serializer):
    """Only the request fails, or the call that the message answers."""
    client, caller = joined(routerd, serializer, PPT, ENC), joined(routerd, "json", PPT, ENC)
    client.register("com.example.p")
    for options, text in WRONG:
        client.send(using("PUBLISH", options, [[b"x"]]))
        assert client.expect(ERROR, PUBLISH)[2:] == [1, {}, "wamp.error.invalid_argument", [f"PUBLISH.Options.{text}"]]
        request = start(client, "com.example.p", options, [[b"x"]])
        assert call_fails(client, request, "wamp.error.invalid_argument") == f"CALL.Options.{text}"
        for kind, where in (("YIELD", "Options"), ("ERROR", "Details")):
            request = caller.start_call("com.example.p")
            message = using(kind, options, [[b"x"]])
            message[-3 if kind == "YIELD" else 2] = client.expect(INVOCATION)[1]
            client.send(message)
            assert (call_fails(caller, request, "wamp.error.invalid_argument")
                    == f"the callee's answer: {kind}.{where}.{text}")
    client.send([PUBLISH, 1, {"ppt_scheme": 7}, "com.example.t"])
    assert client.silent() == [] and caller.silent() == []
    assert routerd.total("publishes_dropped") == 1


@pytest.mark.parametrize("serializer", SERIALIZERS[:3])
def test_the_longest_options(routerd, joined, serializer):
    """1,024 bytes, and they come through unchanged."""
    options = {"ppt_scheme": "x", "ppt_keyid": "k" * 900, "enc_algo": "mqtt", "enc_key": "\u20ac" * 39 + "ab"}
    assert sum(len(v.encode()) for v in options.values()) == 1024
    clients = [joined(routerd, s, PPT, ENC) for s in (serializer, *SERIALIZERS)]
    for client in clients[1:]:
        registration = client.register("com.example.p")
        exchange(clients[0], client, options, [b"x" * 100])
        client.unregister(registration)


@pytest.mark.parametrize("what", SENDERS)
def test_a_binary_needs_enc_algo(routerd, joined, what):
    """In place of Arguments it is a violation without enc_algo, and a text or ArgumentsKw always."""
    for serializer in SERIALIZERS[:3]:
        for options, items, element in (({}, [b"x"], "Arguments: expected a list"),
                                        ({"ppt_scheme": "mqtt"}, [b"x"], "Arguments: expected a list"),
                                        ({"enc_algo": ""}, [b"x"], "Arguments: expected a list"),
                                        ({"enc_algo": "mqtt"}, ["x"], "Arguments: expected a list"),
                                        ({"enc_algo": "mqtt"}, [7], "Arguments: expected a list"),
                                        ({"enc_algo": "mqtt"}, [b"x", {}],
                                         "ArgumentsKw: expected nothing, because Arguments is a binary"),
                                        ({"enc_algo": "mqtt"}, [None, b"x"], "ArgumentsKw: expected a dict")):
            client = joined(routerd, serializer, PPT, ENC)
            client.send(using(what, options, items))
            assert client.expect(ABORT)[1:] == [{"message": f"{what}.{element}"}, "wamp.error.protocol_violation"]
            client.close_socket()


def test_a_tag_makes_a_binary_something_else(routerd, joined):
    """Clients read a tagged binary as another type, and close the connection."""
    client = joined(routerd, "cbor", ENC)
    message = rawclient.encode("cbor", [CALL, 1, {"enc_algo": "mqtt"}, "com.example.p", b"0123456789abcdef"])
    assert message.endswith(b"\x50" + b"0123456789abcdef")
    client.send_payload(message[:-17] + b"\xd8\x25" + message[-17:])
    assert client.expect(ABORT)[1:] == [{"message": "CALL.Arguments: expected a list"}, "wamp.error.protocol_violation"]


def test_texts_that_json_cannot_express(routerd, joined):
    """A text that begins with U+0000 would be a binary. Calls get an error."""
    options = {"ppt_scheme": "mqtt", "ppt_keyid": "\0k"}
    why = "ppt_keyid: a string that begins with U+0000 cannot be expressed in JSON"

    def fails(caller, request, where):
        error = caller.expect(ERROR, CALL)
        assert error[2:] == [request, {}, "wamp.error.invalid_argument", [f"{where}.{why}"]]

    client, json = joined(routerd, "msgpack", PPT), joined(routerd, "json", PPT)
    registration = json.register("com.example.p")
    json.subscribe("com.example.t")
    request = start(client, "com.example.p", options, [[b"x"]])
    fails(client, request, "CALL.Options")
    client.send([PUBLISH, 9, {**options, "acknowledge": True}, "com.example.t", [b"x"]])
    client.expect(rawclient.PUBLISHED, 9)
    json.unregister(registration)
    client.register("com.example.p")
    request = json.start_call("com.example.p")
    client.send([YIELD, client.expect(INVOCATION)[1], options, [b"x"]])
    fails(json, request, "the callee's answer: YIELD.Options")
    request = json.start_call("com.example.p")
    client.send([ERROR, INVOCATION, client.expect(INVOCATION)[1], options, "com.example.e", [b"x"]])
    fails(json, request, "the callee's answer: ERROR.Details")
    assert json.silent() == []
    assert routerd.total("undeliverable") == 4


def test_queued_calls_keep_their_options(start_routerd, threads, joined):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = {"call_queue": 2}
    routerd = start_routerd(config)
    callee, caller = joined(routerd, "cbor", PPT), joined(routerd, "json", PPT, ENC)
    callee.register("com.example.p", concurrency=1)
    first = start(caller, "com.example.p", {}, [[1]])
    second = start(caller, "com.example.p", KEYS, [[b"2"]])
    third = start(caller, "com.example.p", CRYPTOBOX, [b"3"])
    callee.send([YIELD, callee.expect(INVOCATION)[1], {}])
    caller.result(first)
    invocation = callee.expect(INVOCATION)
    assert invocation[3:] == [KEYS, [b"2"]]
    callee.send([YIELD, invocation[1], {}])
    caller.result(second)
    call_fails(caller, third)
    assert callee.silent() == []


# --- real clients ---


def codec(name):
    return name if name == "reversed" else base64.b64encode(os.urandom(32)).decode()


@pytest.mark.parametrize("name", ["key ring", "reversed"])
@pytest.mark.parametrize("kind", peers.PYTHON)
def test_autobahn_with_payload_transparency(routerd, join, joined, puppets, kind, name, transport):
    """Autobahn's own encryption, and a codec with all options."""
    puppet, serializers, key = puppets(kind), peers.serializers(kind, transport), codec(name)
    algo = "x_reversed" if name == "reversed" else "cryptobox"
    without, observer = join(routerd), joined(routerd, "msgpack", ENC)
    for client in (without, observer):
        client.subscribe("com.example.t")
    args, kwargs = [1, "\u00fcn\u00ef", [None, {"a": 2.5}]], {"k": "v"}
    for one, other in zip(serializers, serializers[1:] + serializers[:1]):
        caller = peers.Peer(puppet, routerd.url(), one, name=f"caller-{one}", codec=key)
        callee = peers.Peer(puppet, routerd.url(), other, name=f"callee-{other}", codec=key)
        callee.subscribe("com.example.t")
        caller.publish("com.example.t", args, kwargs, acknowledge=True)
        event = puppet.event(ev="event", s=callee.name)
        assert (event["args"], event["kwargs"], event["encoded"]) == (args, kwargs, algo)
        # on the way nobody can read it
        details, payload = observer.expect(EVENT)[3:]
        assert details["enc_algo"] == algo and isinstance(payload, bytes) and b"args" not in payload
        callee.register("com.example.echo")
        assert caller.call("com.example.echo", args, kwargs) == (args, kwargs)
        callee.register("com.example.fail", kind="fail")
        with pytest.raises(peers.PeerError) as error:
            caller.call("com.example.fail", args, kwargs)
        assert (error.value.uri, error.value.args_, error.value.kwargs) == ("com.example.failed", args, kwargs)
        callee.register("com.example.stream", kind="stream")
        assert caller.call("com.example.stream", [3, 1], {}, receive_progress=True) == ([3], {})
        assert [puppet.event(ev="progress", s=caller.name)["args"] for _ in range(3)] == [[0], [1], [2]]
        # a callee that cannot read it does not get the call
        registration = without.register("com.example.p")
        with pytest.raises(peers.PeerError) as error:
            caller.call("com.example.p", args, kwargs)
        assert error.value.uri == NOT_SUPPORTED
        without.unregister(registration)
        caller.leave()
        callee.leave()
    assert without.silent() == []
    assert routerd.total("protocol_violations") == 0


@pytest.mark.websocket
@pytest.mark.parametrize("kind", ["wampy"])
def test_wampy_in_passthru_mode(routerd, joined, puppets, kind):
    puppet, args, kwargs = puppets(kind), [1, "\u00fcn\u00ef", [None, {"a": 2.5}]], {"k": "v"}
    observer = joined(routerd, "msgpack", PPT)
    observer.subscribe("com.example.t")
    for one, other in zip(peers.PLAIN, peers.PLAIN[1:] + peers.PLAIN[:1]):
        caller = peers.Peer(puppet, routerd.url(), one, name=f"caller-{one}")
        callee = peers.Peer(puppet, routerd.url(), other, name=f"callee-{other}")
        # wampy's JSON cannot express binaries
        encodings = ["json"] if "json" in (one, other) else ["json", "cbor"]
        callee.subscribe("com.example.t")
        callee.register("com.example.echo")
        for encoding in encodings:
            options = {"ppt_scheme": "wamp" if encoding == "cbor" else "x_mine", "ppt_serializer": encoding,
                       "ppt_cipher": "none", "ppt_keyid": "k"}
            caller.publish("com.example.t", args, kwargs, **options)
            event = puppet.event(ev="event", s=callee.name)
            assert (event["args"], event["kwargs"], event["scheme"]) == (args, kwargs, options["ppt_scheme"])
            message = observer.expect(EVENT)
            assert message[3] == options and isinstance(message[4][0], bytes if encoding == "cbor" else str)
            assert caller.call("com.example.echo", args, kwargs, **options) == (args, kwargs)
        callee.leave()
        caller.leave()
    assert routerd.total("protocol_violations") == 0


def test_testaments_keep_their_options(routerd, joined):
    receivers = [joined(routerd, s, PPT, ENC) for s in SERIALIZERS]
    plain = joined(routerd, "json")
    for client in (*receivers, plain):
        client.subscribe("com.example.t")
    for options in (KEYS, {**KEYS, **CRYPTOBOX}):
        dying = joined(routerd, "msgpack", PPT)
        dying.call("wamp.session.add_testament", ["com.example.t", [b"\x80"]], {"publish_options": options})
        dying.leave()
        for client in receivers:
            assert client.expect(EVENT)[3:] == [options, [b"\x80"]]
    assert plain.expect(EVENT)[3:] == [KEYS, [b"\x80"]]
    assert plain.silent() == []
    assert routerd.total("events_not_understood") == 1
    # a testament is judged like a PUBLISH
    liar = joined(routerd, "json", ENC)
    liar.send([CALL, 1, {}, "wamp.session.add_testament", ["com.example.t"], {"publish_options": {"ppt_scheme": "x"}}])
    assert liar.expect(ABORT)[1]["message"].startswith("PUBLISH.Options.ppt_scheme: HELLO must announce")
    wrong = joined(routerd, "json", PPT)
    wrong.send([CALL, 1, {}, "wamp.session.add_testament", ["com.example.t"], {"publish_options": {"ppt_scheme": 7}}])
    assert call_fails(wrong, 1, "wamp.error.invalid_argument") == "PUBLISH.Options.ppt_scheme: expected a string"


def test_retained_events_keep_their_options(routerd, joined):
    """A late subscriber gets them if it understands them."""
    sender = joined(routerd, "msgpack", PPT)
    sender.publish("com.example.a", [b"\x80"], retain=True, acknowledge=True, **KEYS)
    sender.send([PUBLISH, 9, {**CRYPTOBOX, "retain": True, "acknowledge": True}, "com.example.b", b"\x80"])
    sender.expect(rawclient.PUBLISHED, 9)
    for serializer in SERIALIZERS:
        able, unable = joined(routerd, serializer, ENC), joined(routerd, serializer)
        for client in (able, unable):
            for topic in ("com.example.a", "com.example.b"):
                client.subscribe(topic, get_retained=True)
        assert able.expect(EVENT)[3:] == [{**KEYS, "retained": True}, [b"\x80"]]
        assert able.expect(EVENT)[3:] == [{**CRYPTOBOX, "retained": True}, b"\x80"]
        assert unable.expect(EVENT)[3:] == [{**KEYS, "retained": True}, [b"\x80"]]
        assert able.silent() == [] and unable.silent() == []
    assert routerd.total("events_not_understood") == len(SERIALIZERS)
