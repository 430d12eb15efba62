# SPDX-License-Identifier: Apache-2.0
"""Decisions of authorizers that the router keeps, because the authorizer has said `cache`."""

import kit
import pytest
import utils
from authenticator import principal
from kit import form  # noqa: F401
from rawclient import CALL, EVENT, GOODBYE, SUBSCRIBE, SUBSCRIBED, WampError
from test_authorizer import ADD, DENIED, FEATURES, Held, authenticator, config, error_of  # noqa: F401
from utils import Key, wait_for

YES = {"allow": True, "cache": True}
NO = {"allow": False, "cache": True}
NONE = "wamp.error.no_such_procedure"


def call(client, uri="com.example.p"):
    """The error of a call that nobody serves, or that the authorizer forbids."""
    request = client.next_request()
    client.send([CALL, request, {}, uri])
    return error_of(client, CALL, request)[0]


def asked(a):
    return [params for _, method, params in a.requests if method == "authorize"]


def forget(a, **params):
    error, result = a.request("changed", params)
    assert error is None and result == {"partial": False}, (error, result)


@pytest.fixture
def device(authenticator, start_routerd, connect, threads):  # noqa: F811
    """device(decide) -> the authorizer, the router, a client; more(authid) joins another one."""
    def start(decide, **kw):
        key = Key()
        a = authenticator(lambda *args: decide(*args), answer=lambda realm, authid, details: principal(
            key, authid=authid))
        routerd = start_routerd(config(threads=threads, **kw))

        def more(authid="a"):
            client = connect(routerd)
            client.join("devices", key=key, authid=authid)
            return client

        return a, routerd, more

    return start


def test_what_is_kept(device):
    """The same principal, action, URI and match: the authorizer is asked once."""
    answers = {"call": YES, "publish": {**YES, "disclose": True}, "subscribe": YES, "register": NO}
    a, routerd, more = device(lambda details, uri, action, options: answers[action])
    client = more()
    client.subscribe("com.example.t")
    for _ in range(3):
        assert call(client, "com.example.t") == NONE
        client.publish("com.example.t", exclude_me=False)
        assert client.expect(EVENT)[3]["publisher_authid"] == "a"
        client.unsubscribe(client.subscribe("com.example.t", match="prefix"))
        with pytest.raises(WampError) as e:
            client.register("com.example.t")
        assert (e.value.uri, e.value.args_) == (DENIED, ["this session's role may not register <com.example.t>"])
    assert len(asked(a)) == 5 and routerd.total("decisions") == 5 and routerd.total("decision_hits") == 8


def test_each_principal_is_asked_about(device, threads):
    a, routerd, more = device(lambda details, uri, action, options: YES if details["authid"] == "a" else NO)
    assert [call(more(authid)) for authid in ("a", "b", "aa")] == [NONE, DENIED, DENIED]
    assert [q[0]["authid"] for q in asked(a)] == ["a", "b", "aa"]
    for _ in range(threads):  # another session; each worker keeps its own decisions
        assert call(more("a")) == NONE
    assert len(asked(a)) <= 2 + threads


def test_not_kept(device):
    """Neither a bare boolean, nor an error, nor a decision that lasts no time."""
    answers = {"com.example.a": True, "com.example.b": {"allow": True, "cache": False},
               "com.example.c": {**YES, "cache_ttl_ms": 0}, "com.example.d": {"allow": True, "cache": 1}}
    a, routerd, more = device(lambda details, uri, action, options: answers[uri])
    client = more()
    for uri in answers:
        assert call(client, uri) == call(client, uri)
    assert len(asked(a)) == 2 * len(answers)


def test_a_decision_ends(device):
    a, routerd, more = device(lambda details, uri, action, options: {**YES, "cache_ttl_ms": 300})
    client = more()
    assert call(client) == call(client) == NONE

    def asked_again():
        call(client)
        return len(asked(a)) >= 2

    wait_for(asked_again, "the end of the decision")


def test_testaments(device):
    """One call, two decisions: neither waits when both are kept."""
    a, routerd, more = device(lambda details, uri, action, options: YES)
    client = more()
    for _ in range(3):
        client.result(client.start_call(ADD, ["com.example.t", [], {}]))
    assert [q[1:3] for q in asked(a)] == [[ADD, "call"], ["com.example.t", "publish"]]


# --- what makes the router forget ---


@pytest.mark.parametrize("match, forgotten", [
    (None, "ab"), ({}, "ab"), ({"authid": "a"}, "a"), ({"role": "device", "realm": "devices"}, "ab"),
    ({"authid": "b", "realm": "other"}, ""), ({"role": "backend"}, "")])
def test_changed(device, match, forgotten):
    """Everything that the terms name is forgotten on every worker before the router answers."""
    answer = YES
    a, routerd, more = device(lambda details, uri, action, options: answer)
    clients = {authid: more(authid) for authid in "ab"}
    for client in clients.values():
        assert call(client) == call(client) == NONE
    answer = NO
    forget(a, **({} if match is None else {"match": match}))
    for authid, client in clients.items():
        assert call(client) == (DENIED if authid in forgotten else NONE)
    assert len(asked(a)) == 2 + len(forgotten)


def test_wrong_changed(device):
    a, routerd, more = device(lambda details, uri, action, options: YES)
    client = more()
    assert call(client) == NONE
    for params, text in (([{"match": {"authId": "a"}}], "without unknown keys"),
                         ([], "expected one parameter, a map"), ([{"match": {"authid": ""}}], "authid")):
        error, _ = a.request("changed", *params)
        assert error["uri"] == "auth.rpc.invalid_argument" and text in error["message"]
    assert call(client) == NONE and len(asked(a)) == 1
    routerd.wait_log("invalid changed request")


def test_revoke(device):
    """It also forgets: the principal comes back, and may no longer what it did."""
    answer = YES
    a, routerd, more = device(lambda details, uri, action, options: answer)
    clients = {authid: more(authid) for authid in "ab"}
    for client in clients.values():
        assert call(client) == NONE
    answer = NO
    dry = a.request("revoke", {"match": {"authid": "a"}, "dry_run": True})
    assert dry[1]["sessions"] == 1 and call(clients["a"]) == NONE
    assert a.revoke(authid="a")["sessions"] == 1
    assert clients["a"].expect(GOODBYE)
    a.answer = (lambda answer: lambda *args: answer(*args) | {"epoch": 3})(a.answer)
    assert call(more("a")) == DENIED
    assert call(clients["b"]) == NONE


def test_the_link_breaks(device):
    """Decisions hold while the authorizer is away, like sessions. When it is back, it may have missed
    to say that something has changed."""
    answer = YES
    a, routerd, more = device(lambda details, uri, action, options: answer)
    client = more()
    assert call(client) == NONE
    a.stop()
    routerd.wait_log("authenticator is not available")
    assert call(client) == NONE
    answer = NO
    a.start()
    wait_for(lambda: routerd.log().count("authenticator is available") == 2, "the link")
    wait_for(lambda: call(client) == DENIED, "the new decision")
    assert len(asked(a)) == 2


def reload_with(routerd, role, count):
    routerd.config["realms"][0]["roles"][0] = {"name": "device", **role}
    routerd.write_config()
    routerd.signal(utils.signal.SIGHUP)
    wait_for(lambda: routerd.log().count("reload done") == count, "the reload")


def test_reload(device):
    answer = YES
    a, routerd, more = device(lambda details, uri, action, options: answer)
    client = more()
    assert call(client) == NONE
    answer = NO
    reload_with(routerd, {"authorizer": "authd"}, 1)
    assert call(client) == DENIED
    assert routerd.total("decisions") == 1


# --- what happens while a question is open ---


@pytest.fixture
def held(authenticator, start_routerd, join, threads):  # noqa: F811
    """An authorizer that answers when the test says so, the router, and a client."""
    held = Held(authenticator)
    routerd = start_routerd(config(threads=threads))
    return held, routerd, join(routerd)


@pytest.mark.parametrize("how", ["changed", "revoke"])
@pytest.mark.parametrize("first, second", [(YES, NO), (NO, YES)])
def test_an_answer_that_crosses_a_change(held, how, first, second):
    """It may be older than the change. The second answer is used, even after another change, and not kept."""
    held, routerd, client = held
    for n in (1, 3):
        client.send([SUBSCRIBE, n, {}, "com.example.t"])
        held.wait(n)
        for count, answer in ((n, first), (n + 1, second)):
            if how == "changed":
                forget(held.a, match={"authid": "somebody else"})
            else:
                held.a.revoke(authid="somebody else")
            held.answer(count, answer)
            if count == n:
                ttl = held.a.wait_requests(n + 1, "authorize")[n][2][0]["ttl_ms"]
                assert 0 < ttl <= 2000
        if second is YES:
            assert client.expect(SUBSCRIBED)[1] == n
        else:
            assert error_of(client, SUBSCRIBE, n)[0] == DENIED
    assert routerd.total("authorizations_asked") == 4 and routerd.total("authorizations_repeated") == 2
    assert routerd.total("decision_hits") == 0


def test_no_answer_to_the_second_question(held):
    """The request does not wait longer than for one question."""
    held, routerd, client = held
    client.send([SUBSCRIBE, 1, {}, "com.example.t"])
    held.wait(1)
    forget(held.a)
    held.answer(1, YES)
    held.wait(2)
    assert error_of(client, SUBSCRIBE, 1)[1] == ["the authenticator did not answer in time"]
    assert routerd.total("authorizations_asked") == 2


def test_another_authorizer_meanwhile(fake, start_routerd, join, threads):
    """The old authorizer's answer does not count; the new one decides, and its decision is kept."""
    held = Held(lambda authorize: fake(features=FEATURES, authorize=authorize))
    new = fake(features=FEATURES, authorize=lambda *args: NO, name="new.sock")
    cfg = config(threads=threads)
    cfg["authenticators"]["new"] = {"socket": "new.sock"}
    routerd = start_routerd(cfg)
    client = join(routerd)
    client.send([CALL, 1, {}, "com.example.p"])
    held.wait(1)
    reload_with(routerd, {"authorizer": "new"}, 1)
    held.answer(1, YES)
    assert error_of(client, CALL, 1)[0] == DENIED
    assert call(client) == DENIED and len(asked(new)) == 1


def test_an_answer_that_crosses_a_reload(held):
    """It decides about its request. It is not kept, because a reload forgets what was asked before."""
    held, routerd, client = held
    for n, (answer, error) in enumerate(((YES, NONE), (NO, DENIED)), 1):
        client.send([CALL, n, {}, "com.example.p"])
        held.wait(n)
        if n == 1:
            reload_with(routerd, {"authorizer": "authd"}, 1)
        held.answer(n, answer)
        assert error_of(client, CALL, n)[0] == error
    client.send([CALL, 3, {}, "com.example.p"])
    assert error_of(client, CALL, 3)[0] == DENIED
    assert routerd.total("authorizations_asked") == 2 and routerd.total("decision_hits") == 1


# --- the kit ---

SITE = """
version = 1

async def authorize(details, uri, action, options):
    global version
    if uri == "com.example.change":
        version += 1
        wampauth.changed(authid=details["authid"])
        return True
    return {"allow": version == 1, "cache": True, "cache_ttl_ms": 60000}

async def authenticate(realm, authid, details):
    raise wampauth.Error()
"""


def test_the_kit(folder, daemons, form, start_routerd, join):
    daemons.append(kit.daemon(folder, form, SITE, authorize=True))
    daemons[-1].start()
    routerd = start_routerd(config())
    client = join(routerd)
    assert call(client) == call(client) == NONE
    assert routerd.total("decision_hits") == 1
    assert call(client, "com.example.change") == NONE
    wait_for(lambda: call(client) == DENIED, "the change")
    assert "refused changed" not in daemons[-2].log() + daemons[-1].log()
