# SPDX-License-Identifier: Apache-2.0
"""Fixtures: factories for real daemons, stopped and judged when the test is over.

A daemon that logged an assertion or a sanitizer's report, or that does not end with status 0
on SIGTERM, fails the test that used it.
"""

import itertools
import shutil
import tempfile
from pathlib import Path

import peers
import pytest
import rawclient
import utils


def pytest_configure(config):
    config.addinivalue_line("markers", "long: too long for `make check`, part of `make check-long`")
    config.addinivalue_line("markers", "websocket: not over RawSocket")


def pytest_collection_modifyitems(items):
    """Other transports than WebSocket with one thread are left out: other tests do the one or the other.
    So are real clients (`kind`) that do not speak the transport."""
    def wanted(item):
        params = item.callspec.params if hasattr(item, "callspec") else {}
        transport = params.get("transport", "websocket")
        if transport == "websocket":
            return True
        if "kind" in params and not peers.serializers(params["kind"], transport):
            return False
        return "1thread" not in item.callspec.id and not item.get_closest_marker("websocket")

    items[:] = filter(wanted, items)


@pytest.fixture
def transport(request):
    """What listeners and clients speak. Modules that are marked run over each of rawclient.TRANSPORTS."""
    return getattr(request, "param", "websocket")


@pytest.fixture
def folder():
    """A short path: the names of Unix sockets are limited to 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="wamp."))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture
def daemons(folder, request):
    """Everything started by a test; stopped in reverse order. Their logs are shown if it failed."""
    started = []
    yield started
    errors = []
    if getattr(request.node, "failed", False):
        for daemon in started:
            print(f"--- log of {daemon.name}\n{daemon.log_tail(40)}")
    for daemon in reversed(started):
        try:
            daemon.stop()
        except AssertionError as e:
            errors.append(str(e))
        try:
            daemon.check_log()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture
def start_routerd(daemons, folder, transport):
    """start_routerd(config=None, **router_config's arguments) -> Routerd, ready."""

    def start(config=None, name="routerd", limits=None, env=None, **kw):
        config = config or utils.router_config(**kw)
        if transport != "websocket":
            utils.change_transport(config, transport)
        routerd = utils.Routerd(folder, config, name=name, limits=limits, env=env)
        daemons.append(routerd)
        return routerd.start()

    return start


@pytest.fixture
def start_authd(daemons, folder):
    def start(config=None, name="authd"):
        authd = utils.Authd(folder, config, name=name)
        daemons.append(authd)
        return authd.start()

    return start


@pytest.fixture(params=[1, 4], ids=["1thread", "4threads"])
def threads(request):
    return request.param


@pytest.fixture
def routerd(start_routerd, threads):
    """A router with anonymous logins alone, at 1 and at 4 threads."""
    return start_routerd(threads=threads, cryptosign=False)


@pytest.fixture
def authd(start_authd):
    return start_authd()


@pytest.fixture
def known_key():
    return utils.Key()


@pytest.fixture
def login_routerd(authd, start_routerd, threads, known_key):
    """authd with client01@example.com under known_key, and a router that asks it."""
    authd.add("client01@example.com", known_key, extra={"foo": 23})
    return start_routerd(threads=threads)


@pytest.fixture
def clients():
    """Collects raw clients and closes their sockets after the test."""
    opened = []
    yield opened
    for client in opened:
        client.close_socket()


@pytest.fixture
def connect(clients, transport):
    """connect(routerd, serializer="json", **kw) -> rawclient.Client, not yet joined."""
    framings = itertools.cycle(rawclient.FRAMINGS[transport])

    def go(routerd, serializer="json", listener=0, **kw):
        framing = next(framings)
        if framing is rawclient.RawSocket:
            serializer = serializer.removesuffix(".batched")
        client = rawclient.Client(**routerd.address(listener), serializer=serializer, transport=framing, **kw)
        clients.append(client)
        return client

    return go


@pytest.fixture
def join(connect):
    """join(routerd, serializer="json", realm="devices", **hello) -> joined Client."""

    def go(routerd, serializer="json", realm="devices", listener=0, **hello):
        client = connect(routerd, serializer, listener=listener)
        client.join(realm, **hello)
        return client

    return go


@pytest.fixture
def puppets():
    """puppets(kind) -> peers.Puppet, ended after the test."""
    started = []

    def start(kind):
        puppet = peers.Puppet(kind)
        started.append(puppet)
        return puppet

    yield start
    for puppet in started:
        puppet.close()
