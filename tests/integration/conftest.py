# SPDX-License-Identifier: Apache-2.0
"""Fixtures that start real daemons, stop them after the test and check how they ended.

A test fails if one of its daemons logged a failed assertion or a sanitizer report, or did not exit
with status 0 on SIGTERM.
"""

import collections
import itertools
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import peers
import pytest
import rawclient
import utils
from authenticator import Authenticator


def pytest_configure(config):
    config.addinivalue_line("markers", "long: too long for `make check`, part of `make check-long`")
    config.addinivalue_line("markers", "websocket: not over RawSocket")
    config.addinivalue_line("markers", "python: runs no program of ours, so a sanitizer would find nothing")
    config.addinivalue_line("markers", "single_threaded: the program under test has one thread, so TSan would "
                                       "find nothing")
    config.addinivalue_line("markers", "one_worker: routerd has one worker unless the fixture `threads` says "
                                       "otherwise, so TSan would find nothing")
    config.addinivalue_line("markers", "many_workers: an exception in a module that is marked one_worker")


IS_SANITIZED = utils.IS_ASAN or utils.IS_TSAN

# modules with a test that takes half a minute: they start first, so that nothing waits for one at the end
LONG = {"test_boot", "test_demo", "test_load", "test_soak"}

# why cases are left out: reason -> number of cases
LEFT_OUT = collections.Counter()


def has_one_worker(item, params):
    return (item.get_closest_marker("one_worker") and not item.get_closest_marker("many_workers")
            and params.get("threads", 1) == 1)


def why_not_with_sanitizer(item, params):
    """Sanitizers take long, and release builds run these cases. ALL_CASES=1 runs them with a sanitizer, too."""
    if item.get_closest_marker("python"):
        return "tests that run no program of ours, with a sanitizer"
    if utils.IS_TSAN and item.get_closest_marker("single_threaded"):
        return "programs with one thread, with TSan"
    if os.environ.get("ALL_CASES"):
        return None
    if utils.IS_TSAN and has_one_worker(item, params):
        return "routerd with one worker, with TSan"
    if "1thread" in item.name:
        return "one thread, with a sanitizer"
    if params.get("kind") in ("ab-new-twisted", "ab-new-asyncio"):
        return "a newer Autobahn than Debian's, with a sanitizer"
    return None


def why_left_out(item):
    """Why this combination of parameters is not run, or None. It either cannot exist or would find
    nothing new."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    transport = params.get("transport", "websocket")
    if IS_SANITIZED:
        reason = why_not_with_sanitizer(item, params)
        if reason:
            return reason
    if transport == "websocket":
        return None
    if "kind" in params:
        spoken = peers.serializers(params["kind"], transport)
        if not spoken or params.get("serializer", spoken[0]) not in spoken:
            return "clients that do not speak the transport, or not with this serializer"
    if "1thread" in item.callspec.id:
        return "one thread over another transport than WebSocket"
    if item.get_closest_marker("websocket"):
        return "another transport than WebSocket where the framing does not matter"
    return None


def test_of(item):
    return item.nodeid.split("[")[0]


def covered_by(item):
    """What this case shows: each value of its parameters, and each pair of them. With a sanitizer, any pair
    with a transport is left to the release build: memory and threads are the same behind each transport."""
    values = list(enumerate(item.callspec._idlist)) if hasattr(item, "callspec") else []
    paired = [v for v in values if not (IS_SANITIZED and v[1] in rawclient.FRAMINGS)]
    return {*((v,) for v in values), *itertools.combinations(paired, 2)}


def choose(items):
    """As few cases of one test as show all that these show. It is the same choice each time; the tests
    differ in which values they combine."""
    shows = {item: covered_by(item) for item in items}
    order = sorted(items, key=lambda item: zlib.crc32(item.nodeid.encode()))
    missing, chosen = set().union(*shows.values()), set()
    while missing or not chosen:
        best = max(order, key=lambda item: len(shows[item] & missing))
        chosen.add(best)
        missing -= shows[best]
    return chosen


def leave_out_combinations(items, reasons):
    if os.environ.get("ALL_CASES"):
        return
    tests = collections.defaultdict(list)
    for item in items:
        if not reasons[item]:
            tests[test_of(item), bool(item.get_closest_marker("long"))].append(item)
    for cases in tests.values():
        for item in set(cases) - choose(cases):
            reasons[item] = "combinations of parameters; each pair of values is in another case" + (
                ", but for pairs with a transport, with a sanitizer" if IS_SANITIZED else "")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    reasons = {item: why_left_out(item) for item in items}
    whole = {i for i in items if any(i.get_closest_marker(m) for m in ("python", "single_threaded", "one_worker"))}
    never = {test_of(i) for i in items if i not in whole} - {test_of(i) for i in items if not reasons[i]}
    if never:
        raise pytest.UsageError(f"every case is left out, see why_left_out: {', '.join(sorted(never))}")
    leave_out_combinations(items, reasons)
    LEFT_OUT.update(filter(None, reasons.values()))
    config.hook.pytest_deselected(items=[i for i in items if reasons[i]])
    items[:] = sorted((i for i in items if not reasons[i]), key=lambda i: i.module.__name__ not in LONG)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    # every xdist worker collects the same tests, so take the maximum and not the sum
    LEFT_OUT.update(collections.Counter(getattr(node, "workeroutput", {}).get("left_out")) - LEFT_OUT)


def pytest_terminal_summary(terminalreporter):
    for reason, number in LEFT_OUT.items() if not terminalreporter.config.option.collectonly else ():
        terminalreporter.write_line(f"left out: {number} cases: {reason}")


@pytest.fixture
def transport(request):
    """The transport of listeners and clients. Marked modules run over each of rawclient.TRANSPORTS."""
    return getattr(request, "param", "websocket")


@pytest.fixture
def folder():
    """A temporary folder with a short path: a Unix socket's path is limited to 107 bytes."""
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
    """The daemons that a test has started. Stops them in reverse order; shows their logs if the
    test failed."""
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
def start_routerd(request, daemons, folder, transport):
    """start_routerd(config=None, **arguments of router_config) -> a Routerd that is ready."""

    def start(config=None, name="routerd", limits=None, env=None, **kw):
        config = config or utils.router_config(**kw)
        if transport != "websocket":
            utils.change_transport(config, transport)
        params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        assert not has_one_worker(request.node, params) or config.get("threads", 1) == 1, "mark it many_workers"
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


@pytest.fixture
def fake(folder):
    """fake(answer=None, **arguments of Authenticator) -> a scripted authenticator on authd.sock."""
    started = []

    def start(answer=None, **kw):
        started.append(Authenticator(folder, answer, **kw))
        return started[-1]

    yield start
    for authenticator in started:
        authenticator.stop()


@pytest.fixture(params=[1, 4], ids=["1thread", "4threads"])
def threads(request):
    return request.param


@pytest.fixture
def routerd(start_routerd, threads):
    """A router that offers only anonymous logins, with 1 and with 4 threads."""
    return start_routerd(threads=threads, cryptosign=False)


@pytest.fixture
def authd(start_authd):
    return start_authd()


@pytest.fixture
def known_key():
    return utils.Key()


@pytest.fixture
def login_routerd(authd, start_routerd, threads, known_key):
    """A router that asks authd, which knows client01@example.com by known_key."""
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
    """connect(routerd, serializer="json", **kw) -> a rawclient.Client that has not joined."""
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
    """join(routerd, serializer="json", realm="devices", **hello) -> a rawclient.Client that has
    joined."""

    def go(routerd, serializer="json", realm="devices", listener=0, **hello):
        client = connect(routerd, serializer, listener=listener)
        client.join(realm, **hello)
        return client

    return go


@pytest.fixture
def puppets():
    """puppets(kind) -> a peers.Puppet whose sessions end with the test."""
    taken = []

    def take(kind):
        puppet = peers.take(kind)
        taken.append(puppet)
        return puppet

    yield take
    for puppet in taken:
        peers.give_back(puppet)
