# SPDX-License-Identifier: Apache-2.0
"""Logins by a cookie of the browser, which an authenticator knows."""

import pytest
import rawclient
from authenticator import HOLD, Deny
from rawclient import ABORT, WELCOME, Refused
from utils import router_config

COOKIE = {"Cookie": "lang=en; session=canary-1Bc"}
PAGE = {"Origin": "https://example.com"}
PRINCIPAL = {"realm": "devices", "role": "device", "authid": "ann", "extra": {"foo": 23}}


def site(realm, authid, details):
    if "session=canary-1Bc" not in details["transport"]["http_headers_received"]["cookie"]:
        raise Deny("com.example.log_in_first", "log in on the site first")
    return PRINCIPAL


@pytest.fixture
def fake(fake):
    return fake(site)


def cookie_config(threads=1, type="websocket", **auth):
    config = router_config(threads=threads, anonymous=None, cryptosign=False)
    config["authenticators"] = {"authd": {"socket": "authd.sock"}}
    config["transports"][0].update(type=type, options={"allowed_origins": ["https://example.com"]},
                                   auth={"cookie": {"type": "dynamic", "authenticator": "authd"}, **auth})
    return config


@pytest.fixture
def routerd(fake, start_routerd, threads):
    return start_routerd(cookie_config(threads))


def hello(client, *methods, realm="devices", **kw):
    client.hello(realm, authmethods=methods or ["cookie"], **kw)
    return client.recv()


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor.batched"])
def test_a_cookie(fake, routerd, connect, serializer):
    message = hello(connect(routerd, serializer, headers={**COOKIE, **PAGE}), realm=None, authid="root")
    assert message[0] == WELCOME
    assert message[2].items() >= {"realm": "devices", "authid": "ann", "authrole": "device", "authmethod": "cookie",
                                  "authprovider": "dynamic"}.items()
    assert message[2]["authextra"]["foo"] == 23
    ((_, _, (realm, authid, details)),) = fake.wait_requests(1)
    assert (realm, authid, details["authmethod"]) == (None, "root", "cookie")
    assert details["transport"]["http_headers_received"]["cookie"] == COOKIE["Cookie"]


@pytest.mark.parametrize("name", ["Cookie", "cookie", "COOKIE"])
def test_the_name_of_the_header(routerd, connect, name):
    assert hello(connect(routerd, headers={name: COOKIE["Cookie"]}))[0] == WELCOME


def test_another_cookie(routerd, connect):
    message = hello(connect(routerd, headers={"Cookie": "session=x"}))
    assert message == [ABORT, {"message": "log in on the site first"}, "com.example.log_in_first"]


def test_no_cookie(fake, start_routerd, connect):
    """The next method in the client's list is taken."""
    routerd = start_routerd(cookie_config(anonymous={"type": "static", "role": "device"}))
    assert hello(connect(routerd), "cookie", "anonymous")[2]["authmethod"] == "anonymous"
    assert hello(connect(routerd, headers=COOKIE), "cookie", "anonymous")[2]["authmethod"] == "cookie"
    assert hello(connect(routerd, headers=COOKIE), "anonymous", "cookie")[2]["authmethod"] == "anonymous"
    message = hello(connect(routerd))
    assert message[2] == "wamp.error.no_matching_auth_method"
    assert message[1]["message"].endswith("supported: anonymous, cookie (but the upgrade request had no Cookie)")
    assert len(fake.wait_requests(1)) == 1


def test_a_further_session_on_the_same_connection(routerd, connect):
    """Its login has no headers, so no cookie."""
    client = connect(routerd, headers=COOKIE)
    assert hello(client)[0] == WELCOME
    client.leave()
    assert hello(client)[2] == "wamp.error.no_matching_auth_method"


def test_a_page_of_another_site(routerd, connect):
    with pytest.raises(Refused) as e:
        connect(routerd, headers={**COOKIE, "Origin": "https://evil.example"})
    assert e.value.status == 403


@pytest.mark.parametrize("result, uri", [
    ({"authid": None}, "no_such_principal"), ({"role": "king"}, "no_such_role"), ({"realm": None}, "no_such_realm")], ids=str)
def test_results(fake, start_routerd, connect, result, uri):
    fake.answer = lambda *args: {**PRINCIPAL, **result}
    message = hello(connect(start_routerd(cookie_config()), headers=COOKIE), authid="root")
    assert message[2] == f"wamp.error.{uri}"


def test_revoked_while_the_authenticator_is_asked(fake, start_routerd, connect):
    fake.answer = lambda *args: HOLD
    routerd = start_routerd(cookie_config())
    client = connect(routerd, headers=COOKIE)
    client.hello("devices", authmethods=["cookie"])
    ((msgid, _, _),) = fake.wait_requests(1)
    fake.revoke(authid="ann", epoch=3)
    fake.send([1, msgid, None, {**PRINCIPAL, "epoch": 2}])
    assert client.recv()[2] == "wamp.close.killed"
    client = connect(routerd, headers=COOKIE)
    client.hello("devices", authmethods=["cookie"])
    msgid = fake.wait_requests(2)[1][0]
    fake.send([1, msgid, None, {**PRINCIPAL, "epoch": 4}])
    assert client.recv()[0] == WELCOME
    assert fake.revoke(authid="ann", epoch=5)["sessions"] == 1


def test_rawsocket_has_no_cookies(fake, start_routerd, clients):
    routerd = start_routerd(cookie_config(type="universal"))
    client = rawclient.Client(**routerd.address(), serializer="json", transport=rawclient.RawSocket)
    clients.append(client)
    assert hello(client)[2] == "wamp.error.no_matching_auth_method"


def test_no_cookie_in_the_log(fake, start_routerd, connect):
    config = cookie_config()
    config["log"] = {"level": "debug"}
    routerd = start_routerd(config)
    hello(connect(routerd, headers=COOKIE))
    hello(connect(routerd, headers={"Cookie": "session=canary-2Cd"}))
    assert "canary" not in routerd.log()
