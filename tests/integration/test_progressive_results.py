# SPDX-License-Identifier: Apache-2.0
"""Progressive call results (specification: "Progressive Call Results"): callers that ask for them get
them in order, and one answer behind them. A stream that its caller cannot get ends with one ERROR, and
both connections live."""

import random
import signal
import time

import peers
import pytest
import rawclient
from rawclient import (CALL, CANCEL, CANCELING, ERROR, INTERRUPT, INVOCATION, RESULT, YIELD, roles,
                       stands_still, worker_of)
from utils import SLOW, realm_counter, router_config, wait_for

MODES = ["skip", "kill", "killnowait"]
SERIALIZERS = ["json", "msgpack", "cbor"]
NAN = float("nan")

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def start(caller, callee, receive_progress=True, **options):
    """A call that the callee has got: the ids of its CALL and of its INVOCATION."""
    request = caller.start_call("com.example.p", receive_progress=receive_progress, **options)
    return request, callee.expect(INVOCATION)[1]


def progress(callee, invocation, *values):
    callee.send(*[[YIELD, invocation, {"progress": True}, [v]] for v in values])


def expect_progress(caller, request, *values):
    for value in values:
        assert caller.expect(RESULT) == [RESULT, request, {"progress": True}, [value]]


def expect_error(caller, request, uri):
    message = caller.expect(ERROR)
    assert message[:5] == [ERROR, CALL, request, {}, uri], message


def expect_interrupt(callee, invocation, mode="killnowait"):
    assert callee.expect(INTERRUPT) == [INTERRUPT, invocation, {"mode": mode}]


def expect_silence(routerd, *clients):
    assert all(c.silent() == [] for c in clients)
    assert realm_counter(routerd, "calls_in_flight") == 0


# --- who gets what --------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_stream(routerd, join, serializer):
    caller, callee = join(routerd, serializer + ".batched"), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    progress(callee, invocation, 1, {"a": [2]}, None)
    callee.send([YIELD, invocation, {"progress": True}],
                [YIELD, invocation, {"progress": True}, [], {"k": 5}],
                [YIELD, invocation, {"progress": False}, ["all"], {"k": 6}])
    expect_progress(caller, request, 1, {"a": [2]}, None)
    assert caller.expect(RESULT) == [RESULT, request, {"progress": True}]
    assert caller.expect(RESULT) == [RESULT, request, {"progress": True}, [], {"k": 5}]
    assert caller.expect(RESULT) == [RESULT, request, {}, ["all"], {"k": 6}]
    progress(callee, invocation, "late")
    # a stream may end with an error
    request, invocation = start(caller, callee)
    progress(callee, invocation, 1)
    callee.send([ERROR, INVOCATION, invocation, {}, "com.example.e", ["x"]])
    expect_progress(caller, request, 1)
    assert caller.expect(ERROR) == [ERROR, CALL, request, {}, "com.example.e", ["x"]]
    expect_silence(routerd, caller, callee)
    assert realm_counter(routerd, "progressive_results") == 6
    assert realm_counter(routerd, "results") == 1


@pytest.mark.parametrize("who", [
    roles(), roles(features={"progressive_call_results": True}), roles(features={"progressive_call_results": False})])
def test_only_the_caller_decides(routerd, join, who):
    """Neither side need announce anything. Autobahn and wampy throw at results they did not ask for."""
    caller, callee = join(routerd, roles=who), join(routerd, "cbor", roles=who)
    callee.register("com.example.p")
    for options, asked in (({}, False), ({"receive_progress": False}, False), ({"receive_progress": None}, False),
                           ({"receive_progress": True}, True)):
        request = caller.start_call("com.example.p", **options)
        invocation = callee.expect(INVOCATION)
        assert invocation[3] == ({"receive_progress": True} if asked else {})
        progress(callee, invocation[1], "half")
        callee.send([YIELD, invocation[1], {}, ["all"]])
        if asked:
            expect_progress(caller, request, "half")
        assert caller.expect(RESULT) == [RESULT, request, {}, ["all"]]
    request = caller.start_call("com.example.p", receive_progress=True, disclose_me=True)
    invocation = callee.expect(INVOCATION)
    assert invocation[3]["receive_progress"] and invocation[3]["caller"] == caller.session
    callee.send([YIELD, invocation[1], {}])
    caller.result(request)
    expect_silence(routerd, caller, callee)


def test_a_session_that_calls_itself(routerd, join):
    client = join(routerd, roles=CANCELING)
    client.register("com.example.p")
    request, invocation = start(client, client)
    progress(client, invocation, 1, 2)
    expect_progress(client, request, 1, 2)
    client.send([YIELD, invocation, {}, [3]])
    assert client.result(request) == ([3], {})
    _, invocation = start(client, client)
    progress(client, invocation, 1)
    client.leave()
    assert [m for m in client.inbox if m[0] != RESULT] == []


# --- CANCEL ---------------------------------------------------------------------------------


def test_the_modes(routerd, join):
    caller, callee = join(routerd), join(routerd, "cbor", roles=CANCELING)
    callee.register("com.example.p")
    for mode in MODES:
        request, invocation = start(caller, callee)
        progress(callee, invocation, 1)
        expect_progress(caller, request, 1)
        caller.send([CANCEL, request, {"mode": mode}])
        if mode != "skip":
            expect_interrupt(callee, invocation, mode)
        if mode == "kill":
            # the caller waits for the end, not for more results
            progress(callee, invocation, 2)
            callee.send([YIELD, invocation, {}, ["all"]])
            assert caller.expect(RESULT) == [RESULT, request, {}, ["all"]]
        else:
            expect_error(caller, request, "wamp.error.canceled")
        progress(callee, invocation, 3)
        expect_silence(routerd, caller, callee)


@pytest.mark.parametrize("first", ["cancel", "yield", "together"])
def test_many_streams_in_every_order(routerd, join, first):
    """CANCELs and results, in both orders and at the same time; then both once more. Each call has one
    answer and nothing behind it, each callee gets at most one INTERRUPT for each call."""
    callers = [join(routerd, s) for s in SERIALIZERS]
    callees = [join(routerd, s, roles=CANCELING) for s in SERIALIZERS]
    pairs = list(enumerate(zip(callers, callees)))
    chance = random.Random(first)
    for i, callee in enumerate(callees):
        callee.register(f"com.example.p{i}")
    calls = {}  # of each pair: CALL.Request: INVOCATION.Request
    for i, (caller, callee) in pairs:
        requests = [caller.start_call(f"com.example.p{i}", receive_progress=n % 3 > 0) for n in range(334)]
        calls[i] = {r: callee.expect(INVOCATION) for r in requests}
        assert all(bool(v[3]) == (n % 3 > 0) for n, v in enumerate(calls[i].values()))
    asked = {i: {r for r, v in calls[i].items() if v[3]} for i in calls}

    def cancels(i):
        for request in calls[i]:
            for _ in range(chance.choice([1, 2])):
                yield [CANCEL, chance.choice([request, request, 4711]), {"mode": chance.choice(MODES)}]
            yield [CANCEL, request, {"mode": chance.choice(MODES)}]

    def yields(i):
        for invocation in calls[i].values():
            for n in range(chance.choice([0, 1, 3])):
                yield [YIELD, invocation[1], {"progress": True}, [n]]
            yield chance.choice([[YIELD, invocation[1], {}, ["all"]],
                                 [ERROR, INVOCATION, invocation[1], {}, "com.example.e"]])
            yield [YIELD, invocation[1], {"progress": True}, ["late"]]

    def settled():
        """All that was sent so far has been handled."""
        for client in callers + callees:
            client.subscribe("com.example.t")

    def play(*sides):
        """The messages of one side stay in order."""
        for i, (caller, callee) in pairs:
            left = [side(i) for side in sides]
            while left:
                side = chance.choice(left)
                message = next(side, None)
                if message is None:
                    left.remove(side)
                else:
                    (caller if message[0] == CANCEL else callee).send(message)
        settled()

    order = {"cancel": [[cancels], [yields]], "yield": [[yields], [cancels]], "together": [[cancels, yields]]}[first]
    for sides in order * 2:
        play(*sides)
    for i, (caller, callee) in pairs:
        answers, streams = {}, {}
        for message in caller.silent():
            request = message[1] if message[0] == RESULT else message[2]
            assert request not in answers, f"behind the answer: {message}"
            if message[0] == RESULT and message[2]:
                assert request in asked[i] and message[2] == {"progress": True}
                streams.setdefault(request, []).append(message[3][0])
                continue
            assert message[0] == RESULT or (message[:2] == [ERROR, CALL] and message[4] in (
                "wamp.error.canceled", "com.example.e")), message
            answers[request] = message
        assert answers.keys() == calls[i].keys()
        assert all(s == list(range(len(s))) for s in streams.values())
        assert (len(streams) > 0) == (first != "cancel") or first == "together"
        interrupts = callee.silent()
        assert all(m[0] == INTERRUPT for m in interrupts)
        assert len({m[1] for m in interrupts}) == len(interrupts)
        assert (len(interrupts) == 0) == (first == "yield") or first == "together"
    assert realm_counter(routerd, "calls_in_flight") == 0
    assert routerd.total("sessions") == len(callers + callees)


# --- timeouts -------------------------------------------------------------------------------


def test_each_result_renews_the_timeout(routerd, join):
    caller, callee = join(routerd), join(routerd, "msgpack", roles=CANCELING)
    callee.register("com.example.p")
    timeout = 0.3 * SLOW
    request, invocation = start(caller, callee, timeout=timeout * 1000)
    begin = time.monotonic()
    for i in range(5):
        wait_for(lambda: time.monotonic() >= begin + i * timeout / 2, "the next result")
        progress(callee, invocation, i)
        expect_progress(caller, request, i)
    last = time.monotonic()
    assert last - begin > 1.5 * timeout
    expect_error(caller, request, "wamp.error.timeout")
    assert time.monotonic() - last > 0.9 * timeout
    expect_interrupt(callee, invocation)
    progress(callee, invocation, "late")
    # a result that the caller does not get keeps nothing alive
    request, invocation = start(caller, callee, receive_progress=False, timeout=timeout * 1000)
    deadline = time.monotonic() + 10 * timeout
    while not caller.inbox:
        progress(callee, invocation, "dropped")
        try:
            caller.inbox.append(caller.recv(timeout / 10))
        except TimeoutError:
            assert time.monotonic() < deadline
    expect_error(caller, request, "wamp.error.timeout")
    expect_interrupt(callee, invocation)
    expect_silence(routerd, caller, callee)
    assert realm_counter(routerd, "timeouts") == 2


class Stall:
    """With 4 threads, a worker stands still, else the whole process."""

    def __init__(self, routerd, threads, probe):
        self.routerd, self.threads, self.probe = routerd, threads, probe

    def __enter__(self):
        self.routerd.signal(signal.SIGSTOP if self.threads == 1 else signal.SIGUSR2)
        wait_for(lambda: stands_still(self.probe), "the worker to stand still")

    def __exit__(self, *_):
        self.routerd.signal(signal.SIGCONT if self.threads == 1 else signal.SIGUSR2)


def start_with_stall(start_routerd, join, threads, worker, **options):
    """A router of which this worker can stand still, and clients by the index of their worker. The last
    worker owns the realm, which has these options."""
    config = router_config(threads=threads, cryptosign=False)
    config["debug"] = {"stall_worker": worker}
    config["realms"][0]["options"] = options
    routerd = start_routerd(config)
    clients = {i: [] for i in range(threads)}
    chance = random.Random(1)
    while any(sum(c.serializer == s for c in group) < 2 for group in clients.values() for s in ("json", "msgpack")):
        client = join(routerd, chance.choice(["json", "msgpack"]), roles=CANCELING)
        clients[worker_of(client)].append(client)
    return routerd, clients


def test_the_owner_stands_still_over_a_deadline(start_routerd, threads, join):
    """A progressive result that was read before the deadline renews it, although the owner of the realm
    handles it long after that."""
    routerd, clients = start_with_stall(start_routerd, join, threads, threads - 1)
    caller, callee, probe = clients[0][0], clients[1 % threads][1], clients[threads - 1][2]
    callee.register("com.example.p")
    timeout = 2 * SLOW
    request, invocation = start(caller, callee, timeout=timeout * 1000)
    begin = time.monotonic()
    with Stall(routerd, threads, probe):
        progress(callee, invocation, "in time")
        wait_for(lambda: time.monotonic() - begin > timeout + 0.2, "the deadline", 2 * timeout)
    expect_progress(caller, request, "in time")
    expect_error(caller, request, "wamp.error.timeout")
    expect_interrupt(callee, invocation)
    assert realm_counter(routerd, "calls_in_flight") == 0


# --- results that cannot be delivered -------------------------------------------------------


@pytest.mark.parametrize("cancels", [True, False])
def test_a_result_is_lost_while_the_call_lives(routerd, join, cancels):
    caller, callee = join(routerd, "json"), join(routerd, "cbor", roles=CANCELING if cancels else roles())
    callee.register("com.example.p")
    request, invocation = start(caller, callee, timeout=60000)
    progress(callee, invocation, 1, 2, NAN, 3, 4)
    expect_progress(caller, request, 1, 2)
    assert caller.expect(ERROR) == [ERROR, CALL, request, {}, "wamp.error.invalid_argument", [
        "the callee's answer: YIELD.Arguments[0]: NaN and Infinity cannot be expressed in JSON"]]
    if cancels:
        expect_interrupt(callee, invocation)
    progress(callee, invocation, 5)
    callee.send([YIELD, invocation, {}, ["all"]])
    # both connections live, and the next stream is whole
    request, invocation = start(caller, callee)
    progress(callee, invocation, 1)
    callee.send([YIELD, invocation, {}, ["all"]])
    expect_progress(caller, request, 1)
    assert caller.result(request) == (["all"], {})
    expect_silence(routerd, caller, callee)
    assert routerd.total("undeliverable") == 1


@pytest.mark.parametrize("final", ["result", "error", "callee"])
def test_a_result_is_lost_and_the_final_one_is_on_the_way(start_routerd, threads, join, final):
    """The owner has ended the call before the caller's worker finds out: one ERROR, no INTERRUPT."""
    worker = 2 % threads  # the first one handles the signal that ends the stall
    routerd, clients = start_with_stall(start_routerd, join, threads, worker)
    caller = next(c for c in clients[worker] if c.serializer == "json")
    probe = next(c for c in clients[worker] if c is not caller)
    callee = next(c for c in clients[0] if c.serializer == "msgpack" and c is not probe)
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    last = {"result": [[YIELD, invocation, {}, ["all"]]],
            "error": [[ERROR, INVOCATION, invocation, {}, "com.example.e"]], "callee": []}[final]
    with Stall(routerd, threads, probe):
        callee.send(*[[YIELD, invocation, {"progress": True}, [v]] for v in (1, 2, NAN, 3)], *last)
        if threads > 1 and final != "callee":
            callee.subscribe("com.example.t")  # the owner has handled all of it
        if final == "callee":
            callee.close_socket()
    expect_progress(caller, request, 1, 2)
    message = caller.expect(ERROR)
    assert message[:4] == [ERROR, CALL, request, {}]
    assert message[4] in {"result": ["wamp.error.invalid_argument"],
                          "error": ["com.example.e"],
                          # the owner hears of both at the same time
                          "callee": ["wamp.error.canceled", "wamp.error.invalid_argument"]}[final]
    expect_silence(routerd, caller, *([] if final == "callee" else [callee]))


def test_a_caller_that_reads_too_slowly(start_routerd, threads, join):
    """A stream dies before its connection does."""
    config = router_config(threads=threads, cryptosign=False)
    config["limits"] = {"queue_size": 1 << 20}
    routerd = start_routerd(config)
    caller, callee, other = join(routerd, "msgpack"), join(routerd, "json", roles=CANCELING), join(routerd)
    callee.register("com.example.p")
    subscription = caller.subscribe("com.example.t")
    request, invocation = start(caller, callee)
    sent = 0
    while not any(m[0] == INTERRUPT for m in callee.inbox):
        progress(callee, invocation, *[[sent + i, "x" * 20000] for i in range(10)])
        sent += 10
        callee.silent()
        assert sent < 10000
    expect_interrupt(callee, invocation)
    progress(callee, invocation, "late")
    callee.send([YIELD, invocation, {}, ["all"]])
    # there is still room for other messages
    other.publish("com.example.t", ["x" * 100000], acknowledge=True)
    got = 0
    while True:
        message = caller.recv()
        if message[0] != RESULT:
            break
        assert message[:3] == [RESULT, request, {"progress": True}] and message[3][0][0] == got
        got += 1
    assert 0 < got < sent
    assert message == [ERROR, CALL, request, {}, "wamp.error.unavailable",
                       ["the receiver reads too slowly"]]
    assert caller.event(subscription)[0] == ["x" * 100000]
    expect_silence(routerd, caller, callee)
    assert routerd.total("sessions") == 3


def test_a_result_larger_than_half_the_queue_passes_when_it_is_empty(start_routerd, threads, join):
    config = router_config(threads=threads, cryptosign=False)
    config["limits"] = {"queue_size": 65536}
    routerd = start_routerd(config)
    caller, callee = join(routerd), join(routerd, "cbor")
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    for i in range(3):
        progress(callee, invocation, [i, "x" * 500000])
        expect_progress(caller, request, [i, "x" * 500000])


@pytest.mark.websocket
def test_a_result_is_too_large(start_routerd, threads, clients, join):
    """Only RawSocket clients announce a limit."""
    config = router_config(threads=threads, cryptosign=False)
    config["transports"][0]["type"] = "universal"
    routerd = start_routerd(config)
    caller = rawclient.Client(**routerd.address(0), transport=rawclient.RawSocket, length=3)  # 4 KiB
    clients.append(caller)
    caller.join()
    callee = join(routerd, "cbor", roles=CANCELING)
    callee.register("com.example.p")
    request, invocation = start(caller, callee)
    progress(callee, invocation, 1, "x" * 5000, 2)
    expect_progress(caller, request, 1)
    expect_error(caller, request, "wamp.error.payload_size_exceeded")
    expect_interrupt(callee, invocation)
    expect_silence(routerd, caller, callee)


def test_as_many_broken_streams_as_calls(start_routerd, threads, join):
    """The limit for calls in flight is also one for broken streams."""
    config = router_config(threads=threads, cryptosign=False)
    config["limits"] = {"pending_calls": 7}
    routerd = start_routerd(config)
    caller, callee = join(routerd), join(routerd, "msgpack")
    callee.register("com.example.p")
    for _ in range(3):
        calls = [start(caller, callee) for _ in range(7)]
        refused = caller.start_call("com.example.p", receive_progress=True)
        expect_error(caller, refused, "wamp.error.unavailable")
        callee.send(*[[YIELD, invocation, {"progress": True}, [NAN]] for _, invocation in calls * 2],
                    *[[YIELD, invocation, {}, ["all"]] for _, invocation in calls])
        errors = [caller.expect(ERROR) for _ in calls]
        assert sorted(m[2] for m in errors) == [request for request, _ in calls]
        assert all(m[4] == "wamp.error.invalid_argument" for m in errors)
        expect_silence(routerd, caller, callee)
    assert routerd.total("undeliverable") == 21


# --- progressive results with wrong values --------------------------------------------------


@pytest.mark.websocket
def test_a_progressive_result_with_a_wrong_value(routerd, join):
    """It would be missing in the stream, so the stream ends. Nobody misses one that is dropped anyway."""
    caller, callee = join(routerd, "cbor"), join(routerd, roles=CANCELING)
    callee.register("com.example.p")
    wrong = rb'[70,%d,{"progress":true},["\ud83d"]]'
    text = "the callee's answer: YIELD.Arguments: text with an unpaired surrogate"

    request, invocation = start(caller, callee)
    progress(callee, invocation, 1)
    callee.send_payload(wrong % invocation)
    expect_progress(caller, request, 1)
    message = caller.expect(ERROR)
    assert message[:5] == [ERROR, CALL, request, {}, "wamp.error.invalid_argument"]
    assert message[5][0].startswith(text.rsplit(":", 1)[0])
    expect_interrupt(callee, invocation)
    callee.send_payload(wrong % invocation)
    callee.send([YIELD, invocation, {}, ["late"]])

    request, invocation = start(caller, callee, receive_progress=False)
    callee.send_payload(wrong % invocation)
    callee.send([YIELD, invocation, {}, ["all"]])
    assert caller.result(request) == (["all"], {})

    request, invocation = start(caller, callee)
    caller.send([CANCEL, request, {"mode": "kill"}])
    expect_interrupt(callee, invocation, "kill")
    callee.send_payload(wrong % invocation)
    callee.send([YIELD, invocation, {}, ["all"]])
    assert caller.result(request) == (["all"], {})
    expect_silence(routerd, caller, callee)


# --- a session leaves -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["socket", "goodbye", "abort"])
def test_the_caller_leaves(routerd, join, how):
    """Only a callee that understands INTERRUPT gets one. Both sessions live on."""
    caller, other = join(routerd), join(routerd)
    callees = [join(routerd, "cbor", roles=CANCELING), join(routerd, "msgpack")]
    streams = []
    for callee, name in zip(callees, ("com.example.p", "com.example.q")):
        callee.register(name)
        request = caller.start_call(name, receive_progress=True)
        streams.append(callee.expect(INVOCATION)[1])
        progress(callee, streams[-1], 1)
        expect_progress(caller, request, 1)
    if how == "socket":
        caller.close_socket()
    elif how == "goodbye":
        caller.leave()
    else:
        caller.send([3, {}, "wamp.close.normal"])
    expect_interrupt(callees[0], streams[0])
    for callee, invocation, name in zip(callees, streams, ("com.example.p", "com.example.q")):
        progress(callee, invocation, 2)
        callee.send([YIELD, invocation, {}, ["all"]])
        request = other.start_call(name, receive_progress=True)
        invocation = callee.expect(INVOCATION)[1]
        progress(callee, invocation, 1)
        expect_progress(other, request, 1)
        callee.send([YIELD, invocation, {}])
        other.result(request)
    expect_silence(routerd, other, *callees)
    assert realm_counter(routerd, "unknown_answers") == 4


def test_the_callee_leaves(routerd, join):
    caller, callee = join(routerd), join(routerd)
    callee.register("com.example.p")
    request, invocation = start(caller, callee, timeout=60000)
    progress(callee, invocation, 1)
    expect_progress(caller, request, 1)
    callee.close_socket()
    expect_error(caller, request, "wamp.error.canceled")
    expect_silence(routerd, caller)


# --- real clients ---------------------------------------------------------------------------


PAIRS = [(kind, kind) for kind in peers.PYTHON] + [
    ("autobahn-js", "autobahn-js"), ("wampy", "wampy"), ("ab-new-twisted", "wampy"), ("wampy", "ab-asyncio"),
    ("autobahn-js", "ab-twisted"), ("ab-new-asyncio", "autobahn-js")]


@pytest.mark.websocket
@pytest.mark.parametrize("caller_kind, callee_kind", PAIRS)
def test_real_clients(routerd, puppets, caller_kind, callee_kind):
    puppet = {kind: puppets(kind) for kind in {caller_kind, callee_kind}}
    for caller_serializer, callee_serializer in zip(SERIALIZERS, SERIALIZERS[1:] + SERIALIZERS[:1]):
        caller = peers.Peer(puppet[caller_kind], routerd.url(), caller_serializer, name=f"caller-{caller_serializer}")
        callee = peers.Peer(puppet[callee_kind], routerd.url(), callee_serializer, name=f"callee-{callee_serializer}")
        callee.register("com.example.stream", kind="stream")
        assert caller.call("com.example.stream", [5, 1], {}, receive_progress=True) == ([5], {})
        for i in range(5):
            event = puppet[caller_kind].event(ev="progress", s=caller.name)
            assert (event["args"], event["kwargs"]) == ([i], {})
        # wampy as a callee sends progressive results that nobody has asked for
        assert caller.call("com.example.stream", [2, 1], {}) == ([2], {})
        callee.unregister("com.example.stream")
    assert realm_counter(routerd, "progressive_results") == 15
    assert routerd.total("protocol_violations") == 0
    assert routerd.total("sessions") == 6


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.COMMANDS)
def test_real_callers_cancel_a_stream(routerd, join, puppets, kind):
    puppet, callee = puppets(kind), join(routerd, "cbor", roles=CANCELING)
    caller = peers.Peer(puppet, routerd.url(), "msgpack", name="caller")
    callee.register("com.example.p")
    number = caller.start_call("com.example.p", [], receive_progress=True)
    invocation = callee.expect(INVOCATION)[1]
    progress(callee, invocation, 0, 1)
    assert [puppet.event(ev="progress", s="caller")["args"] for _ in range(2)] == [[0], [1]]
    # autobahn-js must cancel with this mode; Autobahn|Python cannot say one
    caller.cancel("com.example.p", mode="kill")
    assert callee.expect(INTERRUPT)[1] == invocation
    progress(callee, invocation, 2)
    callee.send([ERROR, INVOCATION, invocation, {}, "wamp.error.canceled"])
    with pytest.raises(peers.PeerError):
        caller.finish(number)
    number = caller.start_call("com.example.p", [], receive_progress=True)
    invocation = callee.expect(INVOCATION)[1]
    progress(callee, invocation, 3)
    callee.send([YIELD, invocation, {}, ["all"]])
    assert caller.finish(number)["args"] == ["all"]
    assert puppet.event(ev="progress", s="caller")["args"] == [3]
    expect_silence(routerd, callee)


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.PYTHON)
def test_autobahns_timeout(routerd, puppets, kind):
    """The timeout runs from each result anew. It cancels a stream, and then stops it at the callee."""
    puppet = puppets(kind)
    caller = peers.Peer(puppet, routerd.url(), "msgpack", name="caller")
    callee = peers.Peer(puppet, routerd.url(), "cbor", name="callee")
    callee.register("com.example.stream", kind="stream")
    timeout = 250 * SLOW
    options = {"receive_progress": True, "timeout": timeout}
    assert caller.call("com.example.stream", [6, timeout // 4], {}, **options) == ([6], {})
    puppet.event(ev="done", s="callee")
    with pytest.raises(peers.PeerError) as error:
        caller.call("com.example.stream", [2, 100000], {}, **options)
    assert error.value.uri == "wamp.error.timeout"
    puppet.event(ev="interrupted", s="callee")
    assert caller.call("com.example.stream", [1, 1], {}, **options) == ([1], {})


@pytest.mark.websocket
def test_the_caller_of_real_callees_leaves(routerd, join, puppets):
    """Only Autobahn|Python understands INTERRUPT; the others would close the connection at one."""
    caller, other = join(routerd), join(routerd)
    puppet = {kind: puppets(kind) for kind in ("ab-asyncio", "ab-new-twisted", "autobahn-js", "wampy")}
    for kind in puppet:
        callee = peers.Peer(puppet[kind], routerd.url(), "json", name="callee")
        callee.register(f"com.example.{kind}", kind="stream")
        request = caller.start_call(f"com.example.{kind}", [1000 if kind in peers.PYTHON else 30, 20],
                                    receive_progress=True)
        assert caller.expect(RESULT, request)[2:] == [{"progress": True}, [0]]
    caller.close_socket()
    for kind in puppet:
        puppet[kind].event(ev="interrupted" if kind in peers.PYTHON else "done", s="callee")
    wait_for(lambda: realm_counter(routerd, "unknown_answers") >= 4, "the late results")
    for kind in puppet:
        request = other.start_call(f"com.example.{kind}", [2, 1], receive_progress=True)
        expect_progress(other, request, 0, 1)
        assert other.result(request) == ([2], {})
    assert routerd.total("sessions") == 5
    expect_silence(routerd, other)
