# SPDX-License-Identifier: Apache-2.0
"""Testaments (specification: "Session Testament"): what a session publishes when it ends."""

import signal
import socket
import struct

import peers
import pytest
from authenticator import principal
from rawclient import ABORT, CANCELING, ERROR, EVENT, GOODBYE, INTERRUPT, INVOCATION, TRANSPORTS, WampError
from test_kill import expect_killed
from test_meta import error_of, two_roles
from utils import Key, permission, realm_counter, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor"]
ADD, FLUSH = "wamp.session.add_testament", "wamp.session.flush_testaments"
LEAVE = "wamp.session.on_leave"


def add(client, topic, args=None, kwargs=None, scope=None, **options):
    """Adds a testament, with only those arguments of the call that are needed."""
    keywords = {**({"scope": scope} if scope else {}), **({"publish_options": options} if options else {})}
    positional = [topic] if args is None and kwargs is None else [topic, args or [], kwargs or {}]
    assert client.call(ADD, positional, keywords or None) == ([], {})


def flush(client, scope=None):
    assert client.call(FLUSH, None, {"scope": scope} if scope else None) == ([], {})


class Listener:
    """A client that hears all testaments below com.example, and who leaves, in order."""

    def __init__(self, client):
        self.client = client
        self.all = client.subscribe("com.example.", match="prefix")
        self.leave = client.subscribe(LEAVE)

    def next(self):
        """(topic, args, kwargs, the other details), or (LEAVE, session)."""
        message = self.client.expect(EVENT)
        args = message[4] if len(message) > 4 else []
        if message[1] == self.leave:
            return LEAVE, args[0]
        assert message[1] == self.all
        details = dict(message[3])
        return details.pop("topic"), args, message[5] if len(message) > 5 else {}, details

    def expect(self, *topics):
        assert [self.next()[0] for _ in topics] == list(topics)

    def expect_leave(self, session):
        assert self.next() == (LEAVE, session)

    def expect_silence(self):
        assert self.client.silent() == []


def reset(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close_socket()


def leave_by(way, client, killer):
    """Ends a session, and checks that it learns nothing of it but what it must."""
    if way == "goodbye":
        client.leave()
        client.join()
        assert client.silent() == []
    elif way == "violation":
        client.send_payload(b"?")
        assert [m for m in client.wait_closed()[1] if m[0] == EVENT] == []
    elif way == "kill":
        assert killer.call("wamp.session.kill", [client.session]) == ([], {})
        expect_killed(client)
    else:
        {"lost": client.close_socket, "reset": lambda: reset(client)}[way]()


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("way", ["goodbye", "lost", "reset", "violation", "kill"])
def test_they_are_published_in_order_before_on_leave(routerd, join, way, serializer):
    """Those with the scope detached come first. The session itself gets none, whatever it asked for."""
    listener, client, killer = Listener(join(routerd, "cbor")), join(routerd, serializer), join(routerd)
    client.subscribe("com.example.", match="prefix")
    add(client, "com.example.t1", ["☃", {"a": [1.5, None]}], {"k": True})
    add(client, "com.example.t2", exclude_me=False)
    add(client, "com.example.t3", [], {"only": "kwargs"}, scope="detached")
    add(client, "com.example.t1", [4], scope="destroyed", acknowledge=True)
    add(client, "com.example.t4", scope="detached", exclude_me=False)
    assert realm_counter(routerd, "testaments") == 5
    listener.expect_silence()
    session = client.session
    leave_by(way, client, killer)
    assert [listener.next() for _ in range(5)] == [
        ("com.example.t3", [], {"only": "kwargs"}, {}),
        ("com.example.t4", [], {}, {}),
        ("com.example.t1", ["☃", {"a": [1.5, None]}], {"k": True}, {}),
        ("com.example.t2", [], {}, {}),
        ("com.example.t1", [4], {}, {})]
    listener.expect_leave(session)
    listener.expect_silence()
    assert realm_counter(routerd, "testaments") == 0


def test_they_come_before_all_that_ends_with_the_session(routerd, join):
    """Before INTERRUPT for the calls that it made, ERROR for those to it, and the meta events."""
    listener, client = Listener(join(routerd, "msgpack", roles=CANCELING)), join(routerd)
    other = listener.client
    other.register("com.example.p")
    client.register("com.example.q")
    other.subscribe("wamp.registration.on_delete")
    client.start_call("com.example.p")
    invocation = other.expect(INVOCATION)[1]
    call = other.start_call("com.example.q")
    client.expect(INVOCATION)
    add(client, "com.example.t")
    client.close_socket()
    messages = [other.recv() for _ in range(5)]
    assert [m[0] for m in messages] == [EVENT, INTERRUPT, EVENT, ERROR, EVENT]
    assert messages[0][3] == {"topic": "com.example.t"} and messages[1][1] == invocation
    assert messages[3][2] == call and messages[4][1] == listener.leave


def test_flush(routerd, join):
    listener, client = Listener(join(routerd)), join(routerd, "cbor")
    flush(client)
    for scope in ("detached", "destroyed"):
        add(client, f"com.example.{scope}", scope=scope)
        add(client, f"com.example.{scope}2", scope=scope)
    flush(client, "detached")
    assert realm_counter(routerd, "testaments") == 2
    add(client, "com.example.detached3", scope="detached")
    flush(client)  # destroyed is the default
    assert realm_counter(routerd, "testaments") == 1
    add(client, "com.example.destroyed3")
    client.leave()
    listener.expect("com.example.detached3", "com.example.destroyed3", LEAVE)
    # the next session on the connection has none
    client.join()
    client.leave()
    listener.expect_leave(client.session)
    listener.expect_silence()


def test_kill_all_is_quiet(routerd, join):
    listener, clients = Listener(join(routerd)), [join(routerd, s) for s in SERIALIZERS]
    for client in clients:
        add(client, "com.example.t", scope="detached")
        add(client, "com.example.t")
    assert listener.client.call("wamp.session.kill_all") == ([3], {})
    for client in clients:
        expect_killed(client)
    listener.expect_silence()
    assert realm_counter(routerd, "testaments") == 0
    late = join(routerd)
    add(late, "com.example.late")
    late.leave()
    listener.expect("com.example.late", LEAVE)


def test_none_when_the_router_stops(start_routerd, threads, join):
    routerd = start_routerd(threads=threads, cryptosign=False)
    everyone = [join(routerd, s) for s in SERIALIZERS for _ in range(4)]
    for client in everyone:
        client.subscribe("com.example.t")
        add(client, "com.example.t", exclude_me=False)
        add(client, "com.example.t", scope="detached")
    routerd.check_threads()
    routerd.signal(signal.SIGTERM)
    for client in everyone:
        assert client.wait_closed() == (client.close_code(1012), [])
    routerd.stop()


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_wrong_arguments(routerd, join, serializer):
    client = join(routerd, serializer)
    count = "expected at most three positional arguments: topic, args and kwargs"
    keywords = "expected no keyword arguments except publish_options and scope, each of them once"
    scope = "scope: expected destroyed or detached"
    for args, kwargs, text in (
            ([], {}, "topic: expected a string"), ([None], {}, "topic: expected a string"),
            ([1, [], {}], {}, "topic: expected a string"), (["a.b", {}], {}, "args: expected a list"),
            (["a.b", "x", {}], {}, "args: expected a list"), (["a.b", [], []], {}, "kwargs: expected a dict"),
            (["a.b", [], {}, 1], {}, count), (["a.b", [], {}, None], {}, count),
            (["a.b"], {"scope": "gone"}, scope), (["a.b"], {"scope": ""}, scope),
            (["a.b"], {"scope": 1}, scope), (["a.b"], {"scope": ["destroyed"]}, scope),
            (["a.b"], {"publish_options": []}, "publish_options: expected a dict"),
            (["a.b"], {"publish_options": 1}, "publish_options: expected a dict"),
            (["a.b"], {"publish_option": {}}, keywords), (["a.b"], {"x": 1, "scope": "detached"}, keywords),
            (["a.b"], {"publish_options": {"exclude_me": 1}}, "PUBLISH.Options.exclude_me: expected a boolean"),
            (["a.b"], {"publish_options": {"eligible": ["x"]}},
             "PUBLISH.Options.eligible: expected a list of session ids")):
        with pytest.raises(WampError) as error:
            client.call(ADD, args, kwargs)
        assert (error.value.uri, error.value.args_) == ("wamp.error.invalid_argument", [text]), (args, kwargs)
    for args, kwargs in (([1], {}), ([], {"scope": "x"}), ([], {"scope": 1}), ([], {"scopes": "detached"})):
        assert error_of(client, FLUSH, args, kwargs) == "wamp.error.invalid_argument", (args, kwargs)
    for topic in ("", "a..b", "a b", "wamp.x", "wamp.session.on_leave", "x" * 1025):
        with pytest.raises(WampError) as error:
            client.call(ADD, [topic, [], {}])
        assert error.value.uri == "wamp.error.invalid_uri", topic
    assert realm_counter(routerd, "testaments") == 0
    # null counts as absent, and receivers get nothing for what is empty
    for args, kwargs in ((["a.b", None, None], {}), (["a.b", None, {"x": 1}], {"scope": None}),
                         (["a.b"], {"publish_options": None})):
        assert client.call(ADD, args, kwargs) == ([], {})
    assert client.call(FLUSH, None, {"scope": None}) == ([], {})
    assert realm_counter(routerd, "testaments") == 0
    other = join(routerd)
    other.subscribe("a.b")
    for args, kwargs, payload in (([], {}, []), (None, {}, []), (None, None, []), ([], {"x": []}, [[], {"x": []}]),
                                  (None, {"x": 1}, [[], {"x": 1}]), ([None], {}, [[None]]), ([[]], None, [[[]]])):
        assert client.call(ADD, ["a.b", args, kwargs]) == ([], {})
        client.leave()
        assert other.expect(EVENT)[4:] == payload, (args, kwargs)
        client.join()


def test_limits(routerd, join):
    """32 testaments, and 64 KiB. A refused one leaves the others alone."""
    listener, client = Listener(join(routerd)), join(routerd, "cbor")
    text = ["the session has too many testaments: at most 32, and 64 KiB in total"]

    def refused(*args, **kw):
        with pytest.raises(WampError) as error:
            add(client, *args, **kw)
        return (error.value.uri, error.value.args_) == ("wamp.error.unavailable", text)

    for i in range(32):
        add(client, f"com.example.t{i}", scope="detached" if i % 2 else "destroyed")
    assert refused("com.example.x", scope="detached") and refused("com.example.x")
    flush(client)
    add(client, "com.example.large", ["x" * 60000])
    assert refused("com.example.x", ["x" * 6000])
    assert refused("com.example.x", eligible_authid=[str(i) for i in range(1000)])
    add(client, "com.example.small", ["y" * 1000])
    assert refused("com.example.x", ["x" * 70000]) and refused("com.example.x", ["x" * 1000000])
    assert routerd.total("testaments_full") == 6
    routerd.wait_log("limit reached limit=testaments max=32 ")
    client.leave()
    listener.expect(*[f"com.example.t{i}" for i in range(1, 32, 2)], "com.example.large", "com.example.small", LEAVE)
    # all of it is free again
    client.join()
    add(client, "com.example.large", ["x" * 60000])
    client.leave()
    listener.expect("com.example.large", LEAVE)


def test_who_gets_them(routerd, join):
    """The filter lists of the publication."""
    listener, client = Listener(join(routerd)), join(routerd, "msgpack")
    others = [Listener(join(routerd, s)) for s in SERIALIZERS]
    ids = [o.client.session for o in others]
    add(client, "com.example.some", eligible=[ids[0], ids[2], client.session])
    add(client, "com.example.not", exclude=[ids[1]], exclude_authid=[others[2].client.details["authid"]])
    add(client, "com.example.nobody", eligible=[])
    client.close_socket()
    listener.expect("com.example.not", LEAVE)
    others[0].expect("com.example.some", "com.example.not", LEAVE)
    others[1].expect(LEAVE)
    others[2].expect("com.example.some", LEAVE)


def test_many_members_and_few_eligible(routerd, join):
    """The owner sends the event directly to the eligible sessions; the dead one is none of them."""
    members = [join(routerd, s) for s in SERIALIZERS for _ in range(22)]
    for member in members:
        member.subscribe("com.example.t")
    client = members.pop()
    add(client, "com.example.t", eligible=[members[0].session, client.session], exclude_me=False)
    client.leave()
    client.join()
    assert members[0].event() == ([], {})
    assert client.silent() == [] and members[1].silent() == []


RULES = [permission(), {"uri": "com.example.secret", "allow": {"subscribe": True}},
         {"uri": "com.example.shown", "allow": {"publish": True}, "disclose": {"publisher": True}, "trust_level": 7},
         {"uri": "com.example.hidden", "allow": {"publish": True}, "disclose": {"publisher": False}},
         {"uri": "com.example.refused", "allow": {"publish": True}, "disclose": {"publisher": "refuse"}}]


def test_rights_and_disclosure(start_routerd, threads, join):
    """They are those of a publication. The event tells who the publisher was."""
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"].append({"name": "limited", "permissions": RULES})
    config["transports"].append({**router_config(anonymous="limited", cryptosign=False)["transports"][0], "id": "x"})
    routerd = start_routerd(config)
    listener, client = Listener(join(routerd)), join(routerd, "cbor", listener=1)
    with pytest.raises(WampError) as error:
        add(client, "com.example.secret")
    assert (error.value.uri, error.value.args_) == (
        "wamp.error.not_authorized", ["this session's role may not publish to <com.example.secret>"])
    with pytest.raises(WampError) as error:
        add(client, "com.example.refused", disclose_me=True)
    assert error.value.uri == "wamp.error.option_disallowed.disclose_me"
    who = {"publisher": client.session, "publisher_authid": client.details["authid"],
           "publisher_authrole": "limited"}
    add(client, "com.example.refused")
    add(client, "com.example.shown")
    add(client, "com.example.hidden", disclose_me=True)
    add(client, "com.example.t", disclose_me=True)
    add(client, "com.example.t")
    routerd.wait_log("not authorized type=PUBLISH uri=com.example.secret")
    assert routerd.total("publishes_dropped") == 0
    client.close_socket()
    assert [listener.next()[3] for _ in range(5)] == [{}, {**who, "trustlevel": 7}, {}, who, {}]
    listener.expect(LEAVE)


def test_the_right_to_call(start_routerd, threads, join):
    """Both rights are needed: this one, and that to publish to the topic."""
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"].append({"name": "limited", "permissions": [
        permission(), {"uri": "wamp.session.add_testament", "allow": {"publish": True}}]})
    config["transports"].append({**router_config(anonymous="limited", cryptosign=False)["transports"][0], "id": "x"})
    client = join(start_routerd(config), listener=1)
    with pytest.raises(WampError) as error:
        add(client, "com.example.t")
    assert error.value.args_ == ["this session's role may not call <wamp.session.add_testament>"]
    flush(client)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_retained(routerd, join, serializer):
    """Who subscribes later gets it, with its publisher, for whom it was meant."""
    listener, client, friend = Listener(join(routerd)), join(routerd, serializer), join(routerd)
    add(client, "com.example.t", [1], retain=True, disclose_me=True)
    add(client, "com.example.some", [2], retain=True, eligible=[friend.session])
    late = join(routerd)
    late.subscribe("com.example.t", get_retained=True)
    assert late.silent() == []
    client.close_socket()
    assert [listener.next()[0] for _ in range(2)] == ["com.example.t", LEAVE]
    assert late.expect(EVENT)[4] == [1]
    for other in (friend, late):
        for topic in ("com.example.t", "com.example.some"):
            other.subscribe(topic, get_retained=True)
    assert friend.expect(EVENT)[3:] == [
        {"retained": True, "publisher": client.session, "publisher_authid": client.details["authid"],
         "publisher_authrole": "device"}, [1]]
    assert friend.expect(EVENT)[3:] == [{"retained": True}, [2]]
    assert [m[4] for m in late.silent() if m[0] == EVENT] == [[1]]


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_payload_passthru(routerd, join, serializer):
    """With ppt_scheme and with enc_algo, as in a publication."""
    features = {"payload_passthru_mode": True, "payload_transparency": True}
    roles = {role: {"features": features} for role in ("publisher", "subscriber", "caller", "callee")}
    other, client = join(routerd, serializer, roles=roles), join(routerd, serializer, roles=roles)
    other.subscribe("com.example.t")
    add(client, "com.example.t", [b"\x80"], ppt_scheme="x_mine", ppt_serializer="cbor")
    assert client.call(ADD, ["com.example.t", b"\0\1"], {"publish_options": {
        "enc_algo": "cryptobox", "enc_serializer": "json"}}) == ([], {})
    for options in ({}, {"enc_algo": None}):
        with pytest.raises(WampError) as error:
            client.call(ADD, ["com.example.t", b"\0\1"], {"publish_options": options})
        assert error.value.args_ == ["PUBLISH.Arguments: expected a list"]
    client.leave()
    assert other.expect(EVENT)[3:] == [{"ppt_scheme": "x_mine", "ppt_serializer": "cbor"}, [b"\x80"]]
    assert other.expect(EVENT)[3:] == [{"enc_algo": "cryptobox", "enc_serializer": "json"}, b"\0\1"]
    stranger = join(routerd, serializer)
    stranger.start_call(ADD, ["com.example.t", [b"\x80"], {}], {"publish_options": {"ppt_scheme": "x_mine"}})
    assert stranger.expect(ABORT)[2] == "wamp.error.protocol_violation"


def test_a_revocation(fake, start_routerd, threads, join):
    key = Key()
    a = fake(lambda *args: principal(key))
    routerd = start_routerd(threads=threads)
    listener, client = Listener(join(routerd)), join(routerd, "cbor", key=key)
    client.subscribe("com.example.t")
    add(client, "com.example.t", exclude_me=False)
    add(client, "com.example.d", scope="detached")
    assert a.revoke(authid="client01@example.com")["sessions"] == 1
    assert client.expect(GOODBYE)[2] == "wamp.close.killed"
    assert client.wait_closed()[1] == []
    listener.expect("com.example.d", "com.example.t", LEAVE)


def test_a_reload_drops_what_it_forbids(start_routerd, threads, join):
    routerd = start_routerd(threads=threads, cryptosign=False)
    listener, client = Listener(join(routerd)), join(routerd, "cbor")
    for topic in ("com.example.no", "com.example.yes"):
        for scope in ("destroyed", "detached"):
            add(client, topic, scope=scope)
    routerd.config["realms"][0]["roles"][0]["permissions"].append(
        permission("com.example.no", match="exact", call=True, subscribe=True))
    routerd.write_config()
    routerd.signal(signal.SIGHUP)
    routerd.wait_log("reload done")
    wait_for(lambda: realm_counter(routerd, "testaments") == 2, "the testaments to go")
    with pytest.raises(WampError) as error:
        add(client, "com.example.no")
    assert error.value.uri == "wamp.error.not_authorized"
    client.leave()
    listener.expect("com.example.yes", "com.example.yes", LEAVE)


def test_a_role_that_is_gone(start_routerd, threads, join):
    """A reload that removes the role ends its sessions; they leave their testaments."""
    config = two_roles(threads)
    routerd = start_routerd(config)
    listener, client = Listener(join(routerd)), join(routerd, "cbor", listener=1)
    add(client, "com.example.t")
    del routerd.config["realms"][0]["roles"][1]
    del routerd.config["transports"][1]
    routerd.write_config()
    routerd.signal(signal.SIGHUP)
    routerd.wait_log("reload done")
    assert client.expect(GOODBYE)[2] == "wamp.error.no_such_role"
    listener.expect("com.example.t", LEAVE)


def test_a_call_in_flight_with_the_same_id(routerd, join):
    """As with any other call."""
    callee, client = join(routerd), join(routerd, "cbor")
    callee.register("com.example.p")
    client.request = 70
    client.start_call("com.example.p")
    callee.expect(INVOCATION)
    client.request = 70
    client.start_call(ADD, ["com.example.t", [], {}])
    assert client.expect(ABORT)[2] == "wamp.error.protocol_violation"
    assert client.wait_closed()[1] == [] and realm_counter(routerd, "testaments") == 0


# --- with real clients ---


@pytest.mark.parametrize("kind, serializer", [(k, s) for k in peers.COMMANDS for s in SERIALIZERS])
def test_real_clients(routerd, join, puppets, kind, serializer, transport):
    listener, puppet = Listener(join(routerd)), puppets(kind)
    subscriber = peers.Peer(puppet, routerd.url(), serializer, name="subscriber")
    subscriber.subscribe("com.example.t")
    peer = peers.Peer(puppet, routerd.url(), serializer, name="testator")
    peer.call(ADD, ["com.example.t", ["bye ☃"], {"k": [1, None]}], {"scope": "destroyed"})
    peer.call(ADD, ["com.example.nobody", [], {}], {"publish_options": {"eligible": []}})
    peer.call(ADD, ["com.example.first", [], {}], {"scope": "detached", "publish_options": {"exclude_me": False}})
    peer.call(ADD, ["com.example.flushed", [], {}], {})
    assert realm_counter(routerd, "testaments") == 4
    peer.call(FLUSH, [], {})
    peer.call(ADD, ["com.example.t", ["bye ☃"], {"k": [1, None]}], {})
    with pytest.raises(peers.PeerError) as error:
        peer.call(ADD, ["com.example.t", 1, {}], {})
    assert error.value.uri == "wamp.error.invalid_argument"
    peer.leave()
    assert subscriber.event("com.example.t") == (["bye ☃"], {"k": [1, None]})
    assert listener.next()[0] == "com.example.first"
    assert listener.next()[:3] == ("com.example.t", ["bye ☃"], {"k": [1, None]})
    assert listener.next()[0] == LEAVE
    subscriber.leave()
