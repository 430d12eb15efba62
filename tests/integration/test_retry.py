# SPDX-License-Identifier: Apache-2.0
"""Real clients that reconnect by themselves always get in after an outage.

The router must not close cleanly before WELCOME: Autobahn|Python's Component would end as a
success.
"""

import re
import signal

import peers
import pytest
from authenticator import HOLD, Deny, principal
from rawclient import TRANSPORTS
from utils import Key, Ticket, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

# (kind in peers.COMMANDS, command of the puppet); asyncio's ApplicationRunner never reconnects
CLIENTS = [("ab-asyncio", "component"), ("ab-twisted", "component"), ("ab-twisted", "runner"),
           ("ab-new-asyncio", "component"), ("ab-new-twisted", "component"), ("ab-new-twisted", "runner"),
           ("autobahn-js", "join")]


@pytest.fixture(scope="module")
def processes():
    started = {}
    yield started
    for puppet in started.values():
        puppet.close()


# authd has no tickets
by_key = pytest.mark.parametrize("key", [Key], ids=["cryptosign"], indirect=True)


class Crowd:
    """One session of each kind, all logging in to one router."""

    def __init__(self, processes, routerd, key, transport, kinds=CLIENTS, **more):
        self.routerd = routerd
        self.members = []
        for number, (kind, op) in enumerate(kinds):
            serializers = [s for s in peers.serializers(kind, transport) if s in peers.PLAIN]
            if not serializers:
                continue
            if kind not in processes:
                processes[kind] = peers.Puppet(kind)
            puppet, name = processes[kind], f"{kind}-{op}-{routerd.port()}"
            number = puppet.start(op, s=name, url=routerd.url(), realm="devices", authid="client01@example.com",
                                  serializer=serializers[number % len(serializers)], retry=True,
                                  **peers.credentials(key), **more)
            self.members.append((puppet, op, name, number))

    def __len__(self):
        return len(self.members)

    def wait_in(self):
        for puppet, op, name, number in self.members:
            if op == "join":
                puppet.finish(number)
                puppet.do("leave", s=name)
                continue
            puppet.finish(number)
            event = puppet.event(s=name)
            assert event["ev"] == "joined", event
            puppet.do("stop", s=name)


@pytest.fixture(params=[Key, Ticket], ids=["cryptosign", "ticket"])
def key(request):
    return request.param()


@pytest.fixture
def crowd(processes, transport, key):
    return lambda routerd, **more: Crowd(processes, routerd, key, transport, **more)


@pytest.fixture
def authenticator(fake):
    return fake


def config(timeout=300, hold=300, **limits):
    config = router_config(anonymous=None, threads=2)
    config["authenticators"]["authd"]["timeout"] = timeout
    config["limits"] = {"hold_timeout": hold, **limits}
    return config


def wait_dropped(routerd, count):
    wait_for(lambda: routerd.total("logins_unavailable") >= count, f"{count} logins to be dropped")


@by_key
def test_authd_is_away(folder, start_routerd, start_authd, crowd, key):
    authd = start_authd()
    authd.add("client01@example.com", key)
    authd.stop()
    routerd = start_routerd(config())
    clients = crowd(routerd)
    wait_dropped(routerd, len(clients))
    authd.start()
    clients.wait_in()


@by_key
def test_authd_is_frozen(start_routerd, authd, crowd, key):
    authd.add("client01@example.com", key)
    routerd = start_routerd(config())
    routerd.wait_log("authenticator is available")
    authd.signal(signal.SIGSTOP)
    try:
        clients = crowd(routerd)
        wait_dropped(routerd, len(clients))
    finally:
        authd.signal(signal.SIGCONT)
    clients.wait_in()


def test_the_authenticator_is_slow(start_routerd, authenticator, crowd, key):
    """The authenticator answers, but after the deadline, until the test makes it fast enough."""
    fake = authenticator(lambda *args: HOLD)
    routerd = start_routerd(config())
    clients = crowd(routerd)
    wait_dropped(routerd, len(clients))
    for msgid, _, _ in fake.wait_requests(len(clients)):
        fake.send([1, msgid, None, principal(key)])
    fake.answer = lambda *args: principal(key)
    clients.wait_in()


def test_the_authenticator_cannot_decide(start_routerd, authenticator, crowd, key):
    def busy(*args):
        raise Deny("com.example.busy", kind="temporary")

    fake = authenticator(busy)
    routerd = start_routerd(config())
    clients = crowd(routerd)
    wait_dropped(routerd, len(clients))
    fake.answer = lambda *args: principal(key)
    clients.wait_in()


def test_the_time_for_the_handshake_is_over(start_routerd, authenticator, crowd, key):
    fake = authenticator(lambda *args: HOLD)
    slow = config(timeout=5000)
    slow["transports"][0]["options"] = {"open_handshake_timeout": 300}
    routerd = start_routerd(slow)
    clients = crowd(routerd)
    # the deadline of the handshake is also that of the question, so either may be noticed first
    wait_for(lambda: routerd.total("logins_unavailable") + routerd.total("closed_handshake_timeout") >= len(clients),
             "all to be dropped")
    fake.answer = lambda *args: principal(key)
    clients.wait_in()


def test_hello_is_late(start_routerd, authenticator, crowd, key):
    """The client is too slow, but only at its first attempt."""
    authenticator(lambda *args: principal(key))
    impatient = config()
    impatient["transports"][0]["options"] = {"open_handshake_timeout": 300}
    routerd = start_routerd(impatient)
    clients = crowd(routerd, kinds=[c for c in CLIENTS if c[1] == "component"], late=1)
    wait_for(lambda: routerd.total("closed_handshake_timeout") >= len(clients), "all to be too late")
    clients.wait_in()


def test_the_hold_queue_is_full(start_routerd, authenticator, crowd, key, transport):
    """Some are held and dropped at their deadline; others are dropped at once or refused at the handshake."""
    routerd = start_routerd(config(hold_queue=1))
    clients = crowd(routerd)
    wait_dropped(routerd, 2 * len(clients))
    not_let_in = "closed_http" if transport == "websocket" else "closed_handshake_refused"
    assert routerd.total(not_let_in) > 0
    authenticator(lambda *args: principal(key))
    clients.wait_in()


def test_too_many_connections(start_routerd, authenticator, crowd, connect, key):
    """Those beyond the limit are closed before they have sent anything."""
    authenticator(lambda *args: principal(key))
    crowded = config()
    crowded["transports"][0]["options"] = {"max_connections": len(CLIENTS)}
    routerd = start_routerd(crowded)
    others = [connect(routerd) for _ in CLIENTS]
    clients = crowd(routerd)
    refused = r"counters listener=public .*\brefused=(\d+)"
    wait_for(lambda: routerd.counters() and int(re.findall(refused, routerd.log())[-1]) >= len(clients),
             "all to be refused")
    for other in others:
        other.close_socket()
    clients.wait_in()


def test_routerd_restarts_while_logins_are_held(start_routerd, authenticator, crowd, key):
    routerd = start_routerd(config(hold=9000))
    clients = crowd(routerd)
    held = rf"counters authenticator .*\bheld={len(clients)} "
    wait_for(lambda: routerd.counters() and re.search(held, routerd.log()), "all to be held")
    routerd.stop()
    authenticator(lambda *args: principal(key))
    routerd.start()
    clients.wait_in()
