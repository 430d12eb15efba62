# SPDX-License-Identifier: Apache-2.0
"""The meta procedures about sessions (specification: "Session Meta API"), with the raw client and
with Autobahn|Python."""

import peers
import pytest
from rawclient import CALL, CANCEL, RESULT, TRANSPORTS, Client, RawSocket, WampError
from utils import IS_TSAN, permission, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

SERIALIZERS = ["json", "msgpack", "cbor"]
USER = "com.example.☃"


def two_roles(threads, **limits):
    """A listener for each of two roles of the realm, which has another role that nobody has."""
    config = router_config(threads=threads, cryptosign=False)
    realm, first = config["realms"][0], config["transports"][0]
    realm["roles"] += [{"name": USER, "permissions": [permission()]},
                       {"name": "nobody", "permissions": []}]
    other = router_config(cryptosign=False, anonymous=USER)["transports"][0]
    config["transports"] = [first, {**other, "id": "other"}]
    config["realms"].append({"name": "elsewhere", "roles": [{"name": "device", "permissions": [permission()]}]})
    if limits:
        config["limits"] = limits
    return config


def count(client, *args):
    (n,), kwargs = client.call("wamp.session.count", list(args))
    assert kwargs == {}
    return n


def sessions(client, *args):
    (ids,), kwargs = client.call("wamp.session.list", list(args))
    assert kwargs == {} and len(set(ids)) == len(ids)
    return ids


def ids_of(*clients):
    return {client.session for client in clients}


def error_of(client, name, *payload):
    with pytest.raises(WampError) as error:
        client.call(name, *payload)
    return error.value.uri


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_count_list_and_get(start_routerd, join, threads, serializer):
    routerd = start_routerd(two_roles(threads))
    asker = join(routerd, serializer)
    assert count(asker) == 1 and sessions(asker) == [asker.session]
    devices = [asker] + [join(routerd, s) for s in SERIALIZERS]
    users = [join(routerd, s, listener=1) for s in SERIALIZERS[:2]]
    join(routerd, realm="elsewhere")
    everybody = devices + users

    assert count(asker) == count(asker, None) == 6
    assert sessions(asker) == sessions(asker, None) == [c.session for c in everybody]
    for names, found in ((["device"], devices), ([USER], users), (["device", USER], everybody),
                         (["nobody"], []), (["no such role", ""], []), ([], []),
                         ([USER, USER, "nobody"], users)):
        assert count(asker, names) == len(found), names
        assert sessions(asker, names) == [c.session for c in found], names

    for client in everybody:
        (details,), kwargs = asker.call("wamp.session.get", [client.session])
        transport = details.pop("transport")
        assert kwargs == {} and details == {
            "session": client.session,
            **{key: client.details[key] for key in ("authid", "authrole", "authmethod", "authprovider")}}
        assert transport == {
            "channel_type": "tcp", "channel_serializer": client.serializer, "peer": client.details["x_cb_peer"],
            "channel_framing": "rawsocket" if isinstance(client, RawSocket) else "websocket"}
    routerd.check_threads()


def test_sessions_come_and_go(routerd, join, threads):
    asker, other = join(routerd), join(routerd)
    third = join(routerd, "cbor")
    other.leave()
    assert set(sessions(asker)) == ids_of(asker, third)
    assert error_of(asker, "wamp.session.get", [other.session]) == "wamp.error.no_such_session"
    third.close_socket()
    wait_for(lambda: count(asker) == 1, "the session to be gone")
    other.join()
    assert sessions(asker) == [asker.session, other.session]
    assert asker.call("wamp.session.get", [float(other.session)])[0][0]["session"] == other.session


def test_a_filter_with_escapes(routerd, join):
    client = join(routerd)
    client.send_payload(b'[48,1,{},"wamp.session.count",[["\\u0064evice"]]]')
    assert client.expect(RESULT, 1)[3] == [1]


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_wrong_arguments(routerd, join, serializer):
    client = join(routerd, serializer)
    for name in ("wamp.session.count", "wamp.session.list"):
        for args in (["device"], [{"device": True}], [7], [True], [[7]], [["device", None]], [["device", ["x"]]],
                     [["device"], None], [None, None], [["x"] * 101]):
            assert error_of(client, name, args) == "wamp.error.invalid_argument", args
        assert error_of(client, name, [], {"filter_authroles": ["device"]}) == "wamp.error.invalid_argument"
        with pytest.raises(WampError) as error:
            client.call(name, [7])
        assert error.value.args_ == [
            "expected at most one positional argument: a list of at most 100 authroles"]
        client.call(name, [["x"] * 100])
        client.call(name, [None], {})
    for args in ([], [None], ["1"], [[1]], [0], [-1], [2**53 + 1], [1.5], [True], [client.session, None]):
        assert error_of(client, "wamp.session.get", args) == "wamp.error.invalid_argument", args
    assert error_of(client, "wamp.session.get", [client.session], {"x": 1}) == "wamp.error.invalid_argument"
    with pytest.raises(WampError) as error:
        client.call("wamp.session.get")
    assert error.value.args_ == ["expected one positional argument: the id of a session"]
    assert error_of(client, "wamp.session.get", [2**53]) == "wamp.error.no_such_session"
    for name in ("wamp.session.kil", "wamp.session.lists", "wamp.session.lis", "wamp.session", "wamp",
                 "wamp.registration.lists"):
        assert error_of(client, name) == "wamp.error.no_such_procedure", name
    assert client.silent() == []


def test_the_right_to_call_is_needed(start_routerd, join, threads):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = [
        permission("", "prefix", call=True), permission("wamp.session.list", "exact", subscribe=True)]
    client = join(start_routerd(config))
    assert count(client) == 1
    assert error_of(client, "wamp.session.list") == "wamp.error.not_authorized"
    assert error_of(client, "wamp.session.list", [7]) == "wamp.error.not_authorized"


def test_a_result_that_is_too_long_for_its_caller(start_routerd, clients, join, threads):
    """A RawSocket client may say that it takes only short messages."""
    config = router_config(threads=threads, cryptosign=False)
    config["transports"][0]["type"] = "universal"
    routerd = start_routerd(config)
    client = Client(**routerd.address(0), transport=RawSocket, length=1)  # 1,024 bytes
    clients.append(client)
    client.join()
    others = [join(routerd, "cbor") for _ in range(70)]
    assert count(client) == 71
    assert error_of(client, "wamp.session.list") == "wamp.error.payload_size_exceeded"
    assert sessions(client, []) == []
    assert set(sessions(others[0])) == ids_of(client, *others)


def test_meta_calls_are_pending_calls(start_routerd, join, threads):
    """The limit holds whatever is called; a session may ask for more than one result at a time."""
    routerd = start_routerd(two_roles(threads, pending_calls=3))
    client, callee = join(routerd), join(routerd)
    callee.register("com.example.p")
    pending = [client.start_call("com.example.p") for _ in range(3)]
    for name, args in (("count", []), ("list", []), ("get", [client.session])):
        assert error_of(client, f"wamp.session.{name}", args) == "wamp.error.unavailable"
    for request in pending:
        invocation = callee.expect(68)
        callee.send([70, invocation[1], {}])
        client.result(request)
    for _ in range(10):
        assert len(sessions(client)) == 2 and count(client, ["device"]) == 2


def test_a_call_of_a_meta_procedure_can_be_canceled(start_routerd, join, threads):
    """CANCEL comes before or after the result; there is one answer. A timeout is accepted."""
    client = join(start_routerd(two_roles(threads)))
    for mode in ("kill", "skip", "killnowait") * 20:
        request = client.next_request()
        client.send([CALL, request, {"timeout": 60000}, "wamp.session.list", [["device"]]], [CANCEL, request, {"mode": mode}])
        try:
            assert client.result(request) == ([[client.session]], {})
        except WampError as error:
            assert error.uri == "wamp.error.canceled"
    assert client.silent() == []


def ask_many_times(clients, requests):
    for client in clients:
        client.send(*[[CALL, request, {}, "wamp.session.list", [["device"]]] for request in requests])


def check_answers(clients, requests, there, perhaps_there=()):
    """Each client gets one answer to each call, with these sessions and perhaps those others."""
    for client in clients:
        answers = [client.expect(RESULT) for _ in requests]
        assert sorted(answer[1] for answer in answers) == list(requests)
        for answer in answers:
            assert ids_of(*there) <= set(answer[3][0]) <= ids_of(*there, *perhaps_there)
        client.request = requests[-1]
        assert client.silent() == []


def test_many_at_once(start_routerd, join, threads):
    """Some callers leave before their answers come."""
    routerd = start_routerd(two_roles(threads))
    clients = [join(routerd, s) for s in SERIALIZERS * 4]
    leaving, staying = clients[:4], clients[4:]
    requests = range(1, 201)
    ask_many_times(clients, requests)
    for client in leaving:
        client.close_socket()
    check_answers(staying, requests, staying, leaving)
    wait_for(lambda: count(staying[0]) == len(staying), "the others to be gone")
    routerd.check_threads()


def test_no_result_is_made_under_pressure(start_routerd, join, threads):
    """Each result is longer than what may be on its way between two workers."""
    routerd = start_routerd(two_roles(threads, mailbox_high=4096, mailbox_low=1024))
    clients = [join(routerd, s) for s in SERIALIZERS * 155]
    requests = range(1, 51)
    ask_many_times(clients[:8], requests)
    check_answers(clients[:8], requests, clients)
    # One worker may handle the posts of a turn before they pile up; so may several under TSan, which are slow.
    if threads > 1 and not IS_TSAN:
        assert routerd.total("mailbox_pauses") > 0


@pytest.mark.parametrize("kind", ["ab-twisted", "ab-new-asyncio"])
def test_autobahn_python(start_routerd, join, puppets, transport, threads, kind):
    routerd = start_routerd(two_roles(threads))
    raw = join(routerd, "cbor", listener=1)
    puppet = puppets(kind)
    for number, serializer in enumerate(peers.serializers(kind, transport), 2):
        peer = peers.Peer(puppet, routerd.url(), serializer)
        assert peer.call("wamp.session.count", [], {}) == ([number], {})
        (ids,), _ = peer.call("wamp.session.list", [], {})
        assert raw.session in ids and len(ids) == number
        assert peer.call("wamp.session.list", [[USER]], {}) == ([[raw.session]], {})
        assert peer.call("wamp.session.count", [["nobody"]], {}) == ([0], {})
        (details,), _ = peer.call("wamp.session.get", [raw.session], {})
        assert details["authid"] == raw.details["authid"] and details["transport"]["channel_serializer"] == "cbor"
        for args, uri in (([2**53], "wamp.error.no_such_session"), ([[]], "wamp.error.invalid_argument")):
            with pytest.raises(peers.PeerError) as error:
                peer.call("wamp.session.get", args, {})
            assert error.value.uri == uri
