# SPDX-License-Identifier: Apache-2.0
"""The link to an authenticator: how it is restored, and what the log says about it and about logins."""

import os
import re
import resource
import socket
import time

import msgpack
import pytest
from authenticator import HOLD, Deny, principal
from rawclient import ABORT, Aborted, Refused
from utils import ROOT, SLOW, Key, router_config, wait_for

pytestmark = pytest.mark.one_worker

FAIL2BAN = ROOT / "etc/examples/fail2ban/routerd.conf"


@pytest.fixture
def key():
    return Key()


@pytest.fixture
def fake(fake, key):
    """An authenticator that lets everybody in."""
    return fake(lambda *args: principal(key))


def ask(client, key, **kw):
    client.hello(None, authmethods=["cryptosign"], authextra={"pubkey": key.public}, **kw)


def refused(client, key, **kw):
    with pytest.raises(Aborted) as aborted:
        client.join(None, key=key, **kw)
    return aborted.value


def authenticator_counter(routerd, name):
    routerd.counters()
    return int(re.findall(rf"counters authenticator .*\b{name}=(\d+)", routerd.log())[-1])


# --- the link -------------------------------------------------------------------------------


def test_it_comes_back_under_a_flood_of_connections(fake, start_routerd, connect, key):
    """Connections take every descriptor but the one that is reserved for the link."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))

    config = router_config()
    config["transports"][0]["options"] = {"open_handshake_timeout": 60000}
    routerd = start_routerd(config, limits=few)
    routerd.wait_log("authenticator is available")
    early = connect(routerd)
    fake.stop()
    routerd.wait_log("authenticator is not available")
    flood = []
    for _ in range(80):
        s = socket.socket()
        s.settimeout(5)
        s.connect(("127.0.0.1", routerd.port()))
        flood.append(s)
    wait_for(lambda: routerd.fds() == 50, "every descriptor to be taken")
    time.sleep(1.5)  # how long the authenticator is away
    fake.start()
    back = time.monotonic()
    wait_for(lambda: routerd.log().count("authenticator is available") == 2, "the link to be back")
    assert time.monotonic() - back < 3 * SLOW
    assert routerd.fds() == 50, "the flood is over"
    assert not re.search(r'authenticator is .*reason="Too many open files"', routerd.log())
    early.join(None, key=key)
    # the reserve is refilled: it works a second time
    fake.stop()
    wait_for(lambda: routerd.log().count("authenticator is not available") == 2, "the second outage")
    fake.start()
    wait_for(lambda: routerd.log().count("authenticator is available") == 3, "the link to be back")
    for s in flood:
        s.close()


def test_the_log_names_each_reason_once(fake, start_routerd):
    """The link is closed, then nobody listens, then there is no file: one line for each, and one
    for the return."""
    routerd = start_routerd()
    routerd.wait_log("authenticator is available")

    def reasons():
        return re.findall(r"authenticator is ((?:still )?not) available: logins and requests wait socket=\S+ reason=\"(.*?)\"", routerd.log())

    fake.stop()
    wait_for(lambda: len(reasons()) == 2, "that nobody listens")
    os.unlink(fake.path)
    wait_for(lambda: len(reasons()) == 3, "that there is no file")
    time.sleep(2.5)  # pauses between attempts are at most 2 s
    assert reasons() == [("not", "closed by peer"), ("still not", "Connection refused"),
                         ("still not", "No such file or directory")]
    fake.start()
    wait_for(lambda: routerd.log().count("authenticator is available") == 2, "the authenticator to return")


def test_another_user_is_named(folder, fake, start_routerd):
    config = router_config()
    config["authenticators"]["authd"]["allow_users"] = [os.geteuid() + 1]
    start_routerd(config).wait_log(
        rf"authenticator is not available: .*runs as uid {os.geteuid()}, which is not in allow_users")


def test_its_ping_is_answered(fake, start_routerd, connect, key):
    routerd = start_routerd()
    routerd.wait_log("authenticator is available")
    error, result = fake.request("ping")
    assert (error, result) == (None, {"ready": True, "inflight": 0})
    fake.answer = lambda *args: HOLD
    ask(connect(routerd), key)
    fake.wait_requests(1)
    assert fake.request("ping") == (None, {"ready": True, "inflight": 1})


def test_the_hold_queue_has_a_bound(start_routerd, connect, key):
    """When it is full, the next login is dropped at once and logged, new connections are refused,
    and the logins already held stay."""
    config = router_config(anonymous=None)
    config["limits"] = {"hold_queue": 3, "hold_timeout": 9000}
    config["transports"][0]["options"] = {"open_handshake_timeout": 20000}
    routerd = start_routerd(config)
    held, late = [connect(routerd) for _ in range(3)], connect(routerd)
    for client in held:
        ask(client, key)
    wait_for(lambda: authenticator_counter(routerd, "held") == 3, "three to be held")
    began = time.monotonic()
    ask(late, key)
    assert late.wait_closed()[1] == [] and late.was_dropped()
    assert time.monotonic() - began < 2 * SLOW, "this login was held, too"
    assert authenticator_counter(routerd, "hold_overflow") == 1
    assert authenticator_counter(routerd, "held") == 3
    routerd.wait_log('login dropped reason="too many questions are waiting for the authenticator"')
    with pytest.raises(Refused) as e:
        connect(routerd)
    assert e.value.status == 503


def test_no_hello_ends_the_link_to_authd(authd, start_routerd, connect, key):
    authd.add("client01@example.com", key)
    routerd = start_routerd()
    deep = current = {}
    for _ in range(30):
        current["x"] = current = {}
    hostile = [{"x": msgpack.ExtType(1, b"x")}, {"x": {1: 2}}, deep, {"x": "x" * 17000},
               {str(i): i for i in range(300)}, {"x": float("nan")}, {"y" * 300: 1}]
    for extra in hostile:
        client = connect(routerd, "msgpack")
        client.hello("devices", authmethods=["cryptosign"], authextra={"pubkey": Key().public, **extra})
        assert client.expect(ABORT)[2] == "com.example.no_such_user", extra
        connect(routerd, "msgpack").join(None, key=key, authextra=extra)
    assert authenticator_counter(routerd, "connects") == 1
    assert "disconnected" not in authd.log()


# --- what the log says about a login --------------------------------------------------------


def test_a_time_out_is_not_an_outage(fake, start_routerd, connect, key):
    config = router_config()
    config["authenticators"]["authd"]["timeout"] = 300
    config["limits"] = {"hold_timeout": 1000}
    routerd = start_routerd(config)
    routerd.wait_log("authenticator is available")
    fake.answer = lambda *args: HOLD
    client = connect(routerd)
    ask(client, key, authid="someone")
    client.wait_closed()
    line = routerd.wait_log(r"login dropped reason=.*").group()
    assert 'reason="the authenticator did not answer in time"' in line
    assert re.search(r"peer=tcp4:127\.0\.0\.1:\d+ realm= authid=someone corr=[0-9a-f]{16} ", line), line
    assert "not available" not in routerd.log()
    fake.stop()
    client = connect(routerd)
    ask(client, key)
    client.wait_closed()
    routerd.wait_log('login dropped reason="the authenticator is not available"')


WRONG_RESULTS = {
    "pubkey": ({"pubkey": "0xab"}, "pubkey: expected 64 hex digits"),
    "pubkeys": ({"pubkeys": "00" * 32}, "pubkeys: expected an array of at most 16 public keys"),
    "no key": ({"pubkey": None}, "pubkey: required, but missing"),
    "extra": ({"extra": [1]}, "extra: expected a map"),
    "realm": ({"realm": "not a uri"}, "realm: expected a URI of at most 255 bytes"),
    "authid": ({"authid": 7}, "authid: expected a string of at most 255 bytes"),
    "role": ({"role": ""}, "role: expected a string of at most 255 bytes, not empty"),
    "epoch": ({"epoch": -1}, "epoch: expected an integer from 0 to 9223372036854775807"),
}


def test_a_wrong_result_is_named(fake, start_routerd, connect, key):
    routerd = start_routerd()
    for name, (change, fault) in WRONG_RESULTS.items():
        answer = {k: v for k, v in principal(key, **change).items() if v is not None}
        fake.answer = lambda *args, a=answer: a
        client = connect(routerd)
        ask(client, key)
        message = client.expect(ABORT)
        assert message[2] == "wamp.error.authentication_failed", name
        assert fault not in message[1]["message"]
        routerd.wait_log(re.escape(f'login failed reason="the authenticator\'s result: {fault}'))
    fake.answer = lambda *args: [1]
    client = connect(routerd)
    ask(client, key)
    client.expect(ABORT)
    routerd.wait_log("the authenticator's result: expected a map")


@pytest.mark.parametrize("change,what", [
    ({"realm": "nowhere"}, "realm=nowhere authrole=device .*routerd has no such realm: add it"),
    ({"role": "king"}, "realm=devices authrole=king .*the realm has no such role: add it"),
    ({"role": None}, "the answer has no role"),
    ({"realm": None}, "the answer has no realm"),
    ({"authid": None}, "the answer has no authid"),
], ids=str)
def test_what_routerd_does_not_know_is_an_error_of_the_site(fake, start_routerd, connect, key, change, what):
    answer = {k: v for k, v in principal(key, **change).items() if v is not None}
    fake.answer = lambda *args: answer
    routerd = start_routerd()
    client = connect(routerd)
    ask(client, key)
    client.expect(ABORT)
    routerd.wait_log(rf"error .*configuration and authenticator disagree authenticator=authd .*{what}")


def test_an_unknown_realm_of_an_anonymous_client_is_its_own_mistake(start_routerd, connect):
    routerd = start_routerd()
    with pytest.raises(Aborted):
        connect(routerd).join("nowhere")
    routerd.wait_log("login denied .*realm=nowhere")
    assert "disagree" not in routerd.log()


def failregex():
    text = re.search(r"^failregex = (.*)$", FAIL2BAN.read_text(), re.M).group(1)
    # fail2ban's meaning of <HOST>, without host names
    return re.compile(text.replace("<HOST>", r"(?P<host>(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]+)"))


def test_a_denial_says_who(fake, start_routerd, connect, key):
    """A client cannot make its line look like that of another client."""
    def answer(realm, authid, details):
        raise Deny("com.example.no", "sorry\" peer=tcp4:6.6.6.6:1 realm=x")

    fake.answer = answer
    routerd = start_routerd()
    client = connect(routerd)
    evil = "x\nlogin denied peer=tcp4:6.6.6.6:1 realm=x"
    with pytest.raises(Aborted):
        client.join(f"devices {evil}", key=key, authid=f"joe {evil}")
    port = client.socket.getsockname()[1]
    line = routerd.wait_log(r".*login denied.*").group()
    assert f"login denied peer=tcp4:127.0.0.1:{port} realm=devices" in line
    assert " authid=joe" in line and " error=com.example.no " in line
    matches = [failregex().search(one) for one in routerd.log().splitlines()]
    assert [m.group("host") for m in matches if m] == ["127.0.0.1"]
    # the journal adds its own time and level
    journal = re.sub(r"^\S+ \S+ +", "Nov 01 00:00:00 host routerd[1]: ", line)
    assert failregex().search(journal).group("host") == "127.0.0.1"


def test_a_bad_signature_names_the_principal(fake, start_routerd, connect, key):
    routerd = start_routerd()
    client = connect(routerd)
    challenge = client.challenge(None, key)
    client.authenticate(Key().sign(challenge))
    client.expect(ABORT)
    routerd.wait_log("login denied peer=tcp4:.* realm=devices authid=client01@example.com "
                     "error=wamp.error.not_authorized reason=.the signature was not made with the client")


def test_names_that_are_too_long(fake, start_routerd, connect, key):
    """Refused without a question to the authenticator; each ABORT says what is wrong."""
    routerd = start_routerd()
    long = "x" * 256
    assert refused(connect(routerd), key, authid=long).uri == "wamp.error.no_such_principal"
    assert refused(connect(routerd), key, authrole=long).uri == "wamp.error.no_such_role"
    with pytest.raises(Aborted) as aborted:
        connect(routerd).join(long, key=key)
    assert aborted.value.uri == "wamp.error.no_such_realm"
    assert aborted.value.details["message"] == "realm: longer than 255 bytes"
    client = connect(routerd)
    client.hello(None, authmethods=["cryptosign"], authextra={"pubkey": long})
    assert client.expect(ABORT)[1]["message"] == "authextra.pubkey is malformed: expected 64 hex digits"
    assert not [r for r in fake.requests if r[1] == "authenticate"]
    connect(routerd).join(None, key=key, authid="y" * 255)


def test_forbidden_actions_are_logged_at_a_limited_rate(start_routerd, join):
    config = router_config()
    config["realms"][0]["roles"][0]["permissions"] = [
        {"uri": "com.example.", "match": "prefix",
         "allow": {"call": True, "register": True, "publish": True, "subscribe": True}}]
    routerd = start_routerd(config)
    client = join(routerd)
    for kind, act in (("SUBSCRIBE", client.subscribe), ("REGISTER", client.register), ("CALL", client.call),
                      ("PUBLISH", lambda uri: client.publish(uri, acknowledge=True))):
        with pytest.raises(Exception) as e:
            act("org.other.thing")
        assert e.value.uri == "wamp.error.not_authorized"
        routerd.wait_log(rf"not authorized type={kind} uri=org\.other\.thing realm=devices authid=\S+ "
                         rf"authrole=\S+ session={client.session} ")
    for _ in range(500):
        client.publish("org.other.thing")
    client.publish("com.example.t", acknowledge=True)
    # the counters come after all those lines in the log
    assert routerd.total("not_authorized") == 504
    assert 4 <= routerd.log().count("not authorized type=") < 100
