# SPDX-License-Identifier: Apache-2.0
"""Shared registrations (specification: "Shared Registration"): several callees of one procedure, how
many calls each takes at the same time, and the queue of the calls that wait."""

import collections
import signal

import peers
import pytest
import rawclient
from rawclient import CANCEL, ERROR, EVENT, INTERRUPT, INVOCATION, RESULT, YIELD, WampError
from utils import SLOW, realm_counter, router_config, wait_for

SHARED = ["roundrobin", "random", "first", "last"]
BUSY = "all callees are busy, and the queue is full, for procedure <com.example.p>"
GONE = "the last callee left while the call waited for one"
CANCELING = {"caller": {}, "callee": {"features": {"call_canceling": True}}, "publisher": {}, "subscriber": {}}
PLAIN = {**CANCELING, "callee": {}}

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


def config_with(threads, **options):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = options
    return config


@pytest.fixture
def queueing(start_routerd, threads):
    """A router whose calls may wait: 10 for each procedure."""
    return start_routerd(config_with(threads, call_queue=10))


def share(callees, procedure="com.example.p", **options):
    ids = {c.register(procedure, **options) for c in callees}
    assert len(ids) == 1
    return ids.pop()


def answer(callee, caller, request):
    """The callee gets this call and answers it."""
    callee.send([YIELD, callee.expect(INVOCATION)[1], {}])
    caller.result(request)


def expect_error(caller, request, uri, text):
    assert caller.expect(ERROR, 48) == [ERROR, 48, request, {}, uri, [text]]


def expect_busy(caller, request):
    expect_error(caller, request, "wamp.error.no_available_callee", BUSY)


def settled(*clients):
    """What these clients have sent was handled."""
    for client in clients:
        assert client.silent() == []


# --- who is called --------------------------------------------------------------------------


@pytest.mark.parametrize("invoke", SHARED)
def test_the_policies(routerd, join, invoke):
    caller = join(routerd)
    callees = [join(routerd, s) for s in ("json", "msgpack", "cbor", "json")]
    for i, callee in enumerate(callees):
        callee.register("com.example.p", lambda args, kwargs, i=i: ([i], {}), invoke=invoke)
    requests = [caller.start_call("com.example.p", [n]) for n in range(80)]
    settled(caller)
    for callee in callees:
        callee.subscribe("com.example.t")  # all invocations arrive before the answer
    who = []
    for request in requests:
        for callee in callees:
            for message in [m for m in callee.inbox if m[0] == INVOCATION]:
                callee.inbox.remove(message)
                callee._serve(message)
        who.append(caller.result(request)[0][0])
    if invoke == "random":
        assert set(who) == {0, 1, 2, 3}
    else:
        assert who == {"roundrobin": [0, 1, 2, 3] * 20, "first": [0] * 80, "last": [3] * 80}[invoke]


def test_an_id_dies_with_the_last_callee(routerd, join):
    caller = join(routerd)
    a, b, c = (join(routerd, s) for s in ("json", "msgpack", "cbor"))
    number = share([a, b, c], invoke="first")
    assert realm_counter(routerd, "registrations") == 1 and realm_counter(routerd, "callees") == 3
    answer(a, caller, caller.start_call("com.example.p"))
    a.unregister(number)
    answer(b, caller, caller.start_call("com.example.p"))
    b.close_socket()
    wait_for(lambda: realm_counter(routerd, "callees") == 1, "b to leave")
    answer(c, caller, caller.start_call("com.example.p"))
    assert share([a], invoke="first") == number
    answer(c, caller, caller.start_call("com.example.p"))
    c.unregister(number)
    a.unregister(number)
    with pytest.raises(WampError) as error:
        caller.call("com.example.p")
    assert error.value.uri == "wamp.error.no_such_procedure"
    assert share([c], invoke="last") != number


def test_the_meta_api_and_patterns(routerd, join):
    caller = join(routerd)
    callees = [join(routerd, s) for s in ("json", "msgpack", "cbor")]
    number = share(callees, "com.example.", match="prefix", invoke="roundrobin")

    def ask(procedure):
        return caller.call(f"wamp.registration.{procedure}", [number])[0][0]

    assert ask("get")["invoke"] == "roundrobin"
    assert ask("count_callees") == 3
    assert ask("list_callees") == [c.session for c in callees]
    for i, callee in enumerate(callees * 2):
        request = caller.start_call(f"com.example.p{i}")
        invocation = callee.expect(INVOCATION)
        assert invocation[3]["procedure"] == f"com.example.p{i}"
        callee.send([YIELD, invocation[1], {}])
        caller.result(request)
    callees[1].leave()
    assert ask("list_callees") == [callees[0].session, callees[2].session]
    assert ask("count_callees") == 2


def test_meta_events(routerd, join):
    """The registration begins with the first callee and ends with the last."""
    watcher, a, b = join(routerd), join(routerd), join(routerd, "cbor")
    names = {watcher.subscribe(f"wamp.registration.on_{n}"): n
             for n in ("create", "register", "unregister", "delete")}
    number = share([a, b], invoke="last")
    a.unregister(number)
    b.leave()
    events = [watcher.expect(EVENT) for _ in range(6)]
    assert [(names[e[1]], e[4][0]) for e in events] == [
        ("create", a.session), ("register", a.session), ("register", b.session),
        ("unregister", a.session), ("unregister", b.session), ("delete", b.session)]
    assert events[0][4][1]["invoke"] == "last" and all(e[4][1] == number for e in events[1:])
    assert watcher.silent() == []


def refusal(client, **options):
    with pytest.raises(WampError) as error:
        client.register("com.example.p", **options)
    return error.value.uri, error.value.args_


def test_registrations_that_are_refused(routerd, join):
    a, b = join(routerd), join(routerd, "cbor")
    other = "Options.invoke differs from that of the callees already registered for procedure <com.example.p>"
    for invoke in SHARED + ["single"]:
        number = share([a], invoke=invoke)
        for wrong in {*SHARED, "single"} - {invoke}:
            assert refusal(b, invoke=wrong) == ("wamp.error.procedure_already_exists", [other])
            assert refusal(a, invoke=wrong)[0] == "wamp.error.procedure_already_exists"
        assert refusal(a, invoke=invoke)[0] == "wamp.error.procedure_already_exists"
        a.unregister(number)
    for wrong in ("fist", "", "SINGLE", "all"):
        if wrong:
            assert refusal(a, invoke=wrong) == (
                "wamp.error.option_not_allowed",
                ["REGISTER.Options.invoke: expected single, roundrobin, random, first or last"])
    for wrong in (0, -1, 1.5, "2", True, [1], float("nan"), -float("inf")):
        assert refusal(b, concurrency=wrong) == (
            "wamp.error.invalid_argument", ["REGISTER.Options.concurrency: expected an integer, 1 or more"])
    for right in (None, 1, 2.0, 1 << 31, 1 << 32, 1 << 53, 1e300):
        b.unregister(share([b], concurrency=right))
    settled(a, b)


# --- callees come and go, on all workers ----------------------------------------------------


def test_a_round_without_the_one_that_left(routerd, join):
    """The callee before, at and behind the next one leaves: nobody is skipped or called twice."""
    caller = join(routerd)
    for leaver in range(5):
        for called in range(6):
            callees = [join(routerd) for _ in range(5)]
            number = share(callees, invoke="roundrobin")
            for i in range(called):
                answer(callees[i % 5], caller, caller.start_call("com.example.p"))
            if (leaver + called) % 2:
                callees[leaver].unregister(number)
            else:
                callees[leaver].leave()
            rest = [c for i, c in enumerate(callees) if i >= called and i != leaver]
            stay = [c for i, c in enumerate(callees) if i != leaver]
            for callee in rest + stay:
                answer(callee, caller, caller.start_call("com.example.p"))
            for callee in stay:
                callee.leave()
    assert caller.silent() == []


def test_calls_while_callees_come_and_go(queueing, join):
    """Each call has one answer, and no callee has more calls than it takes."""
    caller = join(queueing, "cbor")
    stays = join(queueing)
    stays.register("com.example.p", invoke="roundrobin", concurrency=2)
    answers = collections.Counter()
    requests = set()
    for n in range(60):
        guest = join(queueing, "msgpack")
        guest.register("com.example.p", invoke="roundrobin", concurrency=1)
        requests |= {caller.start_call("com.example.p") for _ in range(5)}
        if n % 2:
            guest.send([YIELD, guest.expect(INVOCATION)[1], {}])
        guest.leave() if n % 3 else guest.close_socket()
        stays.send(*[[YIELD, stays.expect(INVOCATION)[1], {}] for _ in range(2)])
    while sum(answers.values()) < len(requests):
        stays.subscribe("com.example.t")
        for message in [m for m in stays.inbox if m[0] == INVOCATION]:
            stays.inbox.remove(message)
            stays.send([YIELD, message[1], {}])
        caller.subscribe("com.example.t")
        for message in list(caller.inbox):
            caller.inbox.remove(message)
            answers[message[1] if message[0] == RESULT else message[2]] += 1
            assert message[0] == RESULT or message[4] in ("wamp.error.canceled", "wamp.error.no_available_callee")
    assert set(answers) == requests and set(answers.values()) == {1}
    assert realm_counter(queueing, "calls_in_flight") == 0


# --- concurrency and the queue --------------------------------------------------------------


def test_without_a_queue(routerd, join):
    caller, a, b = join(routerd), join(routerd, "cbor"), join(routerd)
    a.register("com.example.p", invoke="roundrobin", concurrency=2)
    b.register("com.example.p", invoke="roundrobin", concurrency=1)
    requests = [caller.start_call("com.example.p", [n]) for n in range(4)]
    expect_busy(caller, requests.pop())
    answer(a, caller, requests[0])
    answer(b, caller, requests[1])
    answer(a, caller, requests[2])
    assert realm_counter(routerd, "no_available_callee") == 1
    settled(caller, a, b)


def test_single_has_concurrency_too(routerd, join):
    caller, callee = join(routerd), join(routerd, "msgpack")
    callee.register("com.example.p", concurrency=1)
    request = caller.start_call("com.example.p")
    expect_busy(caller, caller.start_call("com.example.p"))
    answer(callee, caller, request)
    answer(callee, caller, caller.start_call("com.example.p"))


@pytest.mark.parametrize("stops", [True, False])
def test_the_queue_drains(queueing, join, stops):
    """The callee is full; its calls end by results, errors, cancels, timeouts, and because their
    caller leaves. Those that wait go on in order, and nobody starves."""
    caller = join(queueing)
    callee = join(queueing, "cbor", roles=CANCELING if stops else PLAIN)
    callee.register("com.example.p", concurrency=2)
    ways = ["result", "error", "skip", "kill", "killnowait", "timeout", "leave"]
    for way in ways * 2:
        first = join(queueing, "msgpack")
        timeout = {"timeout": 1000 * SLOW} if way == "timeout" else {}
        full = [first.start_call("com.example.p", **timeout) for _ in range(2)]
        invocations = [callee.expect(INVOCATION) for _ in full]
        waiting = [caller.start_call("com.example.p", [n]) for n in range(10)]
        expect_busy(caller, caller.start_call("com.example.p"))
        assert realm_counter(queueing, "calls_queued") == 10
        if way == "leave":
            first.close_socket()
        for request, invocation in zip(full, invocations):
            if way == "result":
                callee.send([YIELD, invocation[1], {}])
                first.result(request)
                continue
            if way in ("skip", "kill", "killnowait"):
                first.send([CANCEL, request, {"mode": way}])
            if stops and way not in ("error", "skip"):
                interrupt = callee.expect(INTERRUPT)
                assert interrupt[2] == {"mode": "kill" if way == "kill" else "killnowait"}
            if way == "error" or way == "kill" and stops:
                callee.send([ERROR, 68, invocation[1], {}, "com.example.failed"])
            if way != "leave":
                first.expect(ERROR, 48)
        if way not in ("result", "error") and (way == "skip" or not stops):
            # it works on, so nobody may take its place until it answers
            wait_for(lambda: realm_counter(queueing, "orphans") == 2, "the calls to end")
            assert callee.silent() == []
            callee.send(*[[YIELD, i[1], {}] for i in invocations])
        for n, request in enumerate(waiting):
            invocation = callee.expect(INVOCATION)
            assert invocation[4] == [n]
            callee.send([YIELD, invocation[1], {}])
            caller.result(request)
        if way != "leave":
            first.leave()
        counters = [realm_counter(queueing, name) for name in ("calls_in_flight", "calls_queued", "orphans")]
        assert counters == [0, 0, 0], way
    settled(caller, callee)


def test_calls_end_in_the_queue(queueing, join):
    caller, leaver = join(queueing), join(queueing, "cbor")
    callee = join(queueing, roles=CANCELING)
    callee.register("com.example.p", concurrency=1)
    first = caller.start_call("com.example.p", [0])
    callee.expect(INVOCATION)
    waiting = {mode: caller.start_call("com.example.p") for mode in ("skip", "kill", "killnowait")}
    leaver.start_call("com.example.p")
    impatient = caller.start_call("com.example.p", timeout=1000 * SLOW)
    last = caller.start_call("com.example.p", ["last"])
    wait_for(lambda: realm_counter(queueing, "calls_queued") == 6, "leaver's call")
    for mode, request in waiting.items():
        caller.send([CANCEL, request, {"mode": mode}])
        expect_error(caller, request, "wamp.error.canceled", "the caller has canceled the call")
    expect_error(caller, impatient, "wamp.error.timeout", "the callee did not answer within the call's timeout")
    leaver.leave()
    assert realm_counter(queueing, "calls_queued") == 1
    # the callee knows only of the first and of the last one
    callee.send([YIELD, 1, {}])
    caller.result(first)
    invocation = callee.expect(INVOCATION)
    assert invocation[1] == 2 and invocation[4] == ["last"]
    callee.send([YIELD, 2, {}])
    caller.result(last)
    settled(caller, callee)


@pytest.mark.parametrize("how", ["leave", "close_socket", "unregister"])
def test_the_last_callee_goes(queueing, join, how):
    caller, a, b = join(queueing), join(queueing), join(queueing, "cbor")
    number = share([a, b], invoke="roundrobin", concurrency=1)
    requests = [caller.start_call("com.example.p") for _ in range(5)]
    a.expect(INVOCATION)
    invocation = b.expect(INVOCATION)
    a.leave()
    expect_error(caller, requests[0], "wamp.error.canceled", "the callee left while the call was in flight")
    assert caller.silent() == []
    b.unregister(number) if how == "unregister" else getattr(b, how)()
    if how != "unregister":
        assert caller.expect(ERROR, 48)[2] == requests[1]
    for request in requests[2:]:
        expect_error(caller, request, "wamp.error.no_available_callee", GONE)
    if how == "unregister":
        # its call goes on
        b.send([YIELD, invocation[1], {}])
        caller.result(requests[1])
    assert realm_counter(queueing, "calls_in_flight") == 0


def test_a_callee_joins(queueing, join):
    caller, a, b = join(queueing), join(queueing), join(queueing, "cbor")
    a.register("com.example.p", invoke="last", concurrency=1)
    requests = [caller.start_call("com.example.p", [n]) for n in range(5)]
    first = a.expect(INVOCATION)
    b.register("com.example.p", invoke="last")
    for n in range(1, 5):
        invocation = b.expect(INVOCATION)
        assert invocation[4] == [n]
        b.send([YIELD, invocation[1], {}])
        caller.result(requests[n])
    a.send([YIELD, first[1], {}])
    caller.result(requests[0])


@pytest.mark.parametrize("how", ["a callee joins", "the last callee leaves"])
def test_a_long_queue(start_routerd, threads, join, how):
    """It is worked off in pieces, in order, and what comes later stays behind it."""
    routerd = start_routerd(config_with(threads, call_queue=1000))
    caller, full, guest = join(routerd, "cbor"), join(routerd), join(routerd, "cbor")
    full.register("com.example.p", invoke="last", concurrency=1)
    requests = [caller.start_call("com.example.p", [n]) for n in range(1001)]
    full.expect(INVOCATION)
    if how == "a callee joins":
        guest.register("com.example.p", invoke="last")
        requests.append(caller.start_call("com.example.p", [1001]))
        for n, request in enumerate(requests[1:], 1):
            invocation = guest.expect(INVOCATION)
            assert invocation[4] == [n]
            guest.send([YIELD, invocation[1], {}])
            caller.result(request)
    else:
        # a CALL that is read after the callee has left is refused at once
        wait_for(lambda: realm_counter(routerd, "calls_queued") == 1000, "all calls to wait")
        full.leave()
        assert [caller.expect(ERROR, 48)[2] for _ in requests] == requests
    assert realm_counter(routerd, "calls_queued") == 0


def test_queues_are_bounded(start_routerd, threads, join):
    """In calls and in bytes for each procedure, and in bytes for the realm."""
    routerd = start_routerd(config_with(threads, call_queue=3, call_queue_size=100 << 10, call_queue_total=150 << 10))
    caller, callee = join(routerd), join(routerd, "cbor")
    for procedure in "pqr":
        callee.register(f"com.example.{procedure}", concurrency=1)
        caller.start_call(f"com.example.{procedure}")
        callee.expect(INVOCATION)

    def waits(procedure, size):
        before = realm_counter(routerd, "calls_queued")
        caller.start_call(f"com.example.{procedure}", ["x" * size])
        if caller.silent() == []:
            assert realm_counter(routerd, "calls_queued") == before + 1
            return True
        assert caller.expect(ERROR, 48)[4] == "wamp.error.no_available_callee"
        return False

    assert [waits("p", 10) for _ in range(4)] == [True] * 3 + [False]
    assert waits("q", 90000) and not waits("q", 90000) and waits("q", 10)
    assert not waits("r", 90000) and waits("r", 40000)
    assert realm_counter(routerd, "no_available_callee") == 3
    callee.leave()
    assert [caller.expect(ERROR, 48)[4] for _ in range(9)].count("wamp.error.no_available_callee") == 6


def test_a_reload_changes_the_queue(start_routerd, threads, join):
    routerd = start_routerd(config_with(threads))
    caller, callee = join(routerd), join(routerd, "cbor")
    callee.register("com.example.p", concurrency=1)

    def reload(size):
        before = routerd.log().count("reload done")
        routerd.config["realms"][0]["options"] = {"call_queue": size}
        routerd.write_config()
        routerd.signal(signal.SIGHUP)
        wait_for(lambda: routerd.log().count("reload done") > before, "the reload")

    first = caller.start_call("com.example.p")
    expect_busy(caller, caller.start_call("com.example.p"))
    reload(2)
    second = caller.start_call("com.example.p")
    assert caller.silent() == []
    reload(0)
    expect_busy(caller, caller.start_call("com.example.p"))
    answer(callee, caller, first)
    answer(callee, caller, second)


# --- real clients ---------------------------------------------------------------------------


@pytest.mark.websocket
@pytest.mark.parametrize("kind", [*peers.PYTHON, "autobahn-js", "wampy"])
def test_real_callees(routerd, puppets, join, kind):
    """Three callees of one process share a procedure with a raw one."""
    caller, raw = join(routerd), join(routerd)
    puppet = puppets(kind)
    callees = [peers.Peer(puppet, routerd.url(), s, name=f"callee-{s}") for s in ("json", "msgpack", "cbor")]
    for callee in callees:
        callee.register("com.example.p", kind="slow", invoke="roundrobin")
    raw.register("com.example.p", invoke="roundrobin")
    for _ in range(2):
        for callee in callees:
            request = caller.start_call("com.example.p", [1])
            puppet.event(ev="done", s=callee.name)
            caller.result(request)
        answer(raw, caller, caller.start_call("com.example.p"))
    with pytest.raises(peers.PeerError) as error:
        callees[0].register("com.example.p", invoke="first") if kind != "wampy" else \
            peers.Peer(puppet, routerd.url(), "json", name="other").register("com.example.p", invoke="first")
    assert error.value.uri == "wamp.error.procedure_already_exists"
    callees[1].unregister("com.example.p")
    callees[2].leave()
    wait_for(lambda: realm_counter(routerd, "callees") == 2, "it to leave")
    for callee in (callees[0], raw, callees[0]):
        request = caller.start_call("com.example.p", [1])
        if callee is raw:
            answer(raw, caller, request)
        else:
            puppet.event(ev="done", s=callee.name)
            caller.result(request)
    # it gets the same id again
    callees[1].register("com.example.p", kind="slow", invoke="roundrobin")
    answer(raw, caller, caller.start_call("com.example.p"))
    for callee in callees[1::-1]:
        request = caller.start_call("com.example.p", [1])
        puppet.event(ev="done", s=callee.name)
        caller.result(request)


@pytest.mark.websocket
@pytest.mark.parametrize("kind", [*peers.PYTHON, "autobahn-js"])
def test_concurrency_of_real_callees(queueing, puppets, join, kind):
    """wampy cannot send this option."""
    caller, puppet = join(queueing), puppets(kind)
    callees = [peers.Peer(puppet, queueing.url(), s, name=f"callee-{s}") for s in ("json", "cbor")]
    for callee in callees:
        callee.register("com.example.p", kind="slow", invoke="first", concurrency=1)
    requests = [caller.start_call("com.example.p", [500 * SLOW]) for _ in range(6)]
    wait_for(lambda: realm_counter(queueing, "calls_queued") == 4, "the calls to wait")
    for request in requests:
        assert caller.result(request)[1] == {}
    for callee in callees:
        puppet.event(ev="done", s=callee.name)
    assert realm_counter(queueing, "calls_in_flight") == 0


@pytest.mark.websocket
@pytest.mark.parametrize("kind", peers.PYTHON + peers.JAVASCRIPT)
def test_real_callers_of_a_busy_procedure(routerd, puppets, join, kind):
    callee = join(routerd)
    callee.register("com.example.p", concurrency=1)
    caller = peers.Peer(puppets(kind), routerd.url(), "json", name="caller")
    number = caller.start_call("com.example.p", [1])
    invocation = callee.expect(INVOCATION)
    with pytest.raises(peers.PeerError) as error:
        caller.call("com.example.p", [2], {})
    assert error.value.uri == "wamp.error.no_available_callee" and error.value.args_ == [BUSY]
    callee.send([YIELD, invocation[1], {}])
    caller.finish(number)
