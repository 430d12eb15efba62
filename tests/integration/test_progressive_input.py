# SPDX-License-Identifier: Apache-2.0
"""Calls whose input comes in chunks (specification: "Progressive Call Invocations"). All chunks go to
one callee, with one INVOCATION.Request and with what the first CALL asked for. Each call has one
answer, whenever the callee answers and however many chunks come later."""

import random
import time

import peers
import pytest
import rawclient
from rawclient import ABORT, CALL, CANCEL, ERROR, INTERRUPT, INVOCATION, RESULT, YIELD, roles
from utils import SLOW, realm_counter, router_config, wait_for

SERIALIZERS = ["json", "msgpack", "cbor"]
INPUT = {"progressive_call_invocations": True}
TAKES = {**INPUT, "call_canceling": True}
BOTH = {**roles(features=TAKES), "caller": {"features": INPUT}}
PROCEDURE = "com.example.p"

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)


@pytest.fixture
def able(join):
    """Clients that send and take progressive input."""
    return lambda routerd, serializer="json", **hello: join(routerd, serializer, roles=BOTH, **hello)


def config_with(threads, limits=None, **options):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["options"] = options
    config["limits"] = limits or {}
    return config


def chunk(caller, request, *values, last=False, procedure=PROCEDURE, **options):
    """Sends these chunks; the last one ends the input if `last`."""
    caller.send(*[[CALL, request, {**options, "progress": not last or i + 1 < len(values)}, procedure, [v]]
                  for i, v in enumerate(values)])


def start(caller, callee, *values, **options):
    """A call with open input, of which the callee has got these chunks: the ids of its CALL and of its
    INVOCATION."""
    request = caller.next_request()
    chunk(caller, request, *values, **options)
    invocation = [callee.expect(INVOCATION)[1] for _ in values]
    assert len(set(invocation)) == 1
    return request, invocation[0]


def expect_chunks(callee, invocation, *values, last=False):
    for i, value in enumerate(values):
        message = callee.expect(INVOCATION)
        more = not last or i + 1 < len(values)
        assert message[1] == invocation and message[3] == ({"progress": True} if more else {}), message
        assert message[4] == [value]


def expect_error(caller, request, uri, text=None):
    message = caller.expect(ERROR)
    assert message[:5] == [ERROR, CALL, request, {}, uri], message
    assert text is None or message[5] == [text]


def expect_interrupt(callee, invocation, mode="killnowait"):
    assert callee.expect(INTERRUPT) == [INTERRUPT, invocation, {"mode": mode}]


def expect_silence(routerd, *clients):
    assert all(c.silent() == [] for c in clients)
    assert realm_counter(routerd, "calls_in_flight") == 0


def expect_violation(client, text):
    assert client.expect(ABORT)[1:] == [{"message": text}, "wamp.error.protocol_violation"]


# --- uploads --------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_an_upload(routerd, able, serializer):
    caller, callee = able(routerd, serializer + ".batched"), able(routerd)
    registration = callee.register(PROCEDURE)
    request = caller.next_request()
    chunk(caller, request, 1, {"a": [2]})
    caller.send([CALL, request, {"progress": True}, PROCEDURE], [CALL, request, {"progress": True}, PROCEDURE, [], {"k": 3}],
                [CALL, request, {}, PROCEDURE, ["all"]])
    first = callee.expect(INVOCATION)
    invocation = first[1]
    assert first == [INVOCATION, invocation, registration, {"progress": True}, [1]]
    assert callee.expect(INVOCATION) == [INVOCATION, invocation, registration, {"progress": True}, [{"a": [2]}]]
    assert callee.expect(INVOCATION) == [INVOCATION, invocation, registration, {"progress": True}]
    assert callee.expect(INVOCATION) == [INVOCATION, invocation, registration, {"progress": True}, [], {"k": 3}]
    assert callee.expect(INVOCATION) == [INVOCATION, invocation, registration, {}, ["all"]]
    assert caller.silent() == []
    callee.send([YIELD, invocation, {}, ["done"]])
    assert caller.result(request) == (["done"], {})
    # the next INVOCATION has the next number, and calls between chunks are calls of their own
    request, second = start(caller, callee, 1)
    plain = caller.start_call(PROCEDURE, [0])
    assert callee.expect(INVOCATION)[1:] == [second + 1, registration, {}, [0]]
    chunk(caller, request, 2, last=True)
    assert callee.expect(INVOCATION)[1:] == [second, registration, {}, [2]]
    assert second == invocation + 1
    callee.send([YIELD, second, {}, ["upload"]], [YIELD, second + 1, {}, ["plain"]])
    assert caller.result(request) == (["upload"], {})
    assert caller.result(plain) == (["plain"], {})
    expect_silence(routerd, caller, callee)
    assert realm_counter(routerd, "chunks") == 5
    assert realm_counter(routerd, "late_chunks") == 0


def test_the_first_call_decides(routerd, able):
    """Each INVOCATION repeats what the first CALL asked for: wampy decodes each by itself."""
    caller, callee, pattern = able(routerd, authid="me"), able(routerd, "cbor"), able(routerd, "msgpack")
    callee.register(PROCEDURE, disclose_caller=True)
    pattern.register("com.example.", match="prefix")
    request = caller.next_request()
    chunk(caller, request, 1, receive_progress=True)
    caller.send([CALL, request, {"progress": True, "disclose_me": False, "timeout": 1}, PROCEDURE, [2]])
    chunk(caller, request, 3, last=True, receive_progress=False)
    details = [callee.expect(INVOCATION)[3] for _ in range(3)]
    assert details[0]["caller"] == caller.session and details[0]["receive_progress"]
    assert details[0] == details[1] == {**details[2], "progress": True} and "progress" not in details[2]
    # a two-way stream: the answer may come in parts, too
    request = caller.next_request()
    chunk(caller, request, 1, procedure="com.example.other", receive_progress=True, disclose_me=True)
    first = pattern.expect(INVOCATION)
    assert first[3]["procedure"] == "com.example.other" and first[3]["caller"] == caller.session
    for i in range(2, 5):
        pattern.send([YIELD, first[1], {"progress": True}, [i]])
        assert caller.expect(RESULT) == [RESULT, request, {"progress": True}, [i]]
        chunk(caller, request, i, procedure="com.example.other")
        again = pattern.expect(INVOCATION)
        assert again == [INVOCATION, first[1], first[2], first[3], [i]]
    pattern.send([YIELD, first[1], {}, ["all"]])
    assert caller.result(request) == (["all"], {})


@pytest.mark.websocket
def test_payloads_that_only_the_endpoints_understand(routerd, join):
    """The first CALL says how the payloads are encoded; what later ones say does not count."""
    passthru = {"payload_passthru_mode": True, "payload_transparency": True}
    who = {"caller": {"features": {**INPUT, **passthru}}, "callee": {"features": {**TAKES, **passthru}}}
    caller, callee = join(routerd, "cbor", roles=who), join(routerd, "msgpack", roles=who)
    callee.register(PROCEDURE)
    for options in ({"ppt_scheme": "x_mine", "ppt_keyid": "1"}, {"enc_algo": "cryptobox", "enc_key": "1"}):
        values = [b"1", b"2", b"3"] if "enc_algo" in options else [[b"1"], [b"2"], [b"3"]]
        request = caller.next_request()
        caller.send([CALL, request, {**options, "progress": True}, PROCEDURE, values[0]],
                    [CALL, request, {**options, "ppt_keyid": "2", "enc_key": "2", "progress": True}, PROCEDURE, values[1]],
                    [CALL, request, options, PROCEDURE, values[2]])
        first = callee.expect(INVOCATION)
        assert first[3:] == [{**options, "progress": True}, values[0]]
        assert callee.expect(INVOCATION)[3:] == [{**options, "progress": True}, values[1]]
        assert callee.expect(INVOCATION)[3:] == [options, values[2]]
        callee.send([YIELD, first[1], {}])
        caller.result(request)
    # the callee could not tell a binary from a list
    for one, other in (({"enc_algo": "cryptobox"}, {}), ({}, {"enc_algo": "cryptobox"})):
        request = caller.next_request()
        caller.send([CALL, request, {**one, "progress": True}, PROCEDURE],
                    [CALL, request, {**other, "progress": True}, PROCEDURE, b"2" if other else [2]],
                    [CALL, request, {}, PROCEDURE])
        invocation = callee.expect(INVOCATION)[1]
        expect_error(caller, request, "wamp.error.invalid_argument",
                     "CALL.Options.enc_algo: expected in all chunks of an input or in none")
        expect_interrupt(callee, invocation)
        callee.send([YIELD, invocation, {}])
    expect_silence(routerd, caller, callee)


def test_an_answer_ends_the_call(routerd, able):
    """Chunks that the caller has sent before it knows of the answer are dropped, however late they
    come."""
    caller, callee = able(routerd), able(routerd, "cbor")
    callee.register(PROCEDURE)
    for answer in ([YIELD, None, {}, ["enough"]], [ERROR, INVOCATION, None, {}, "com.example.e", ["enough"]]):
        request, invocation = start(caller, callee, 1, 2)
        callee.send([invocation if field is None else field for field in answer])
        message = caller.expect(RESULT if answer[0] == YIELD else ERROR)
        assert message[-1] == ["enough"]
        chunk(caller, request, 3, 4, 5, last=True)
        plain = caller.start_call(PROCEDURE)
        following = callee.expect(INVOCATION)
        assert following[1] == invocation + 1 and len(following) == 4
        callee.send([YIELD, following[1], {}])
        caller.result(plain)
    expect_silence(routerd, caller, callee)
    assert routerd.total("chunks_dropped") == 6


def test_forbidden_and_missing_procedures(start_routerd, threads, able):
    """One ERROR for all chunks."""
    config = config_with(threads)
    config["realms"][0]["roles"][0]["permissions"] = [
        {"uri": "", "match": "prefix", "allow": {"call": True, "register": True, "subscribe": True}},
        {"uri": "com.example.secret", "allow": {"register": True}}]
    routerd = start_routerd(config)
    caller = able(routerd)
    for procedure, uri in (("com.example.secret", "wamp.error.not_authorized"),
                           ("com.example.missing", "wamp.error.no_such_procedure"),
                           ("com.example.white space", "wamp.error.invalid_uri"),
                           ("wamp.session.count", "wamp.error.feature_not_supported"),
                           ("wamp.session.add_testament", "wamp.error.feature_not_supported"),
                           ("wamp.session.nothing", "wamp.error.no_such_procedure")):
        request = caller.next_request()
        chunk(caller, request, 1, 2, 3, 4, 5, last=True, procedure=procedure)
        expect_error(caller, request, uri)
        assert caller.silent() == []
    request = caller.next_request()
    chunk(caller, request, 1, 2, timeout="soon")
    expect_error(caller, request, "wamp.error.invalid_argument")
    chunk(caller, request, 3, last=True)
    expect_silence(routerd, caller)


def test_the_procedure_is_unregistered(routerd, able):
    caller, callee = able(routerd), able(routerd, "msgpack")
    registration = callee.register(PROCEDURE)
    request, invocation = start(caller, callee, 1, 2)
    callee.unregister(registration)
    chunk(caller, request, 3, 4, last=True)
    expect_chunks(callee, invocation, 3, 4, last=True)
    callee.send([YIELD, invocation, {}, ["all"]])
    assert caller.result(request) == (["all"], {})
    expect_silence(routerd, caller, callee)


def test_ids_need_not_grow(routerd, able):
    """Without an open input, each CALL is a new one, whatever its id."""
    caller, callee = able(routerd), able(routerd)
    callee.register(PROCEDURE, lambda args, kwargs: (args, kwargs))
    for request in (7, 5, 6):
        caller.send([CALL, request, {}, PROCEDURE, [request]])
    callee.serve(3)
    assert sorted(caller.result(request)[0][0] for request in (7, 5, 6)) == [5, 6, 7]


def test_a_chunk_for_another_procedure(routerd, able):
    caller, callee = able(routerd), able(routerd, "cbor")
    for name in (PROCEDURE, "com.example.q"):
        callee.register(name)
    request, invocation = start(caller, callee, 1)
    chunk(caller, request, "lost", procedure="com.example.q")
    chunk(caller, request, "lost", last=True, procedure="not a uri")
    chunk(caller, request, 2, last=True)
    expect_chunks(callee, invocation, 2, last=True)
    callee.send([YIELD, invocation, {}])
    caller.result(request)
    expect_silence(routerd, caller, callee)
    assert routerd.total("chunks_dropped") == 2


# --- violations -----------------------------------------------------------------------------


def test_a_caller_that_has_not_announced_it(routerd, join, able):
    text = "CALL.Options.progress: HELLO must announce progressive_call_invocations in role caller"
    callee = able(routerd)
    callee.register(PROCEDURE)
    for other in (roles(), roles(features=TAKES), {**BOTH, "caller": {"features": {}}}):
        caller = join(routerd, roles=other)
        chunk(caller, 1, 1)
        expect_violation(caller, text)
        caller = join(routerd, roles=other)
        caller.send([CALL, 1, {"progress": False}, PROCEDURE])
        callee.send([YIELD, callee.expect(INVOCATION)[1], {}])
        caller.result(1)
    expect_silence(routerd, callee)


def test_the_id_of_another_call(routerd, able):
    """A call whose input is complete, or that had no progressive input, is not continued."""
    callee = able(routerd)
    callee.register(PROCEDURE)
    for more in (True, False):
        caller = able(routerd)
        request, invocation = start(caller, callee, 1)
        chunk(caller, request, 2, last=True)
        expect_chunks(callee, invocation, 2, last=True)
        caller.send([CALL, request, {"progress": more}, PROCEDURE])
        expect_violation(caller, "CALL.Request: expected a new id, because a call with this id is in flight")
        expect_interrupt(callee, invocation)
    caller = able(routerd)
    request = caller.start_call(PROCEDURE)
    invocation = callee.expect(INVOCATION)[1]
    chunk(caller, request, 1)
    expect_violation(caller, "CALL.Request: expected a new id, because a call with this id is in flight")
    expect_interrupt(callee, invocation)
    expect_silence(routerd, callee)


# --- which callee ---------------------------------------------------------------------------


def test_callees_that_cannot(routerd, join, able):
    """A callee needs both features."""
    caller = able(routerd)
    for features in ({}, INPUT, {"call_canceling": True}):
        callee = join(routerd, roles=roles(features=features))
        callee.register(PROCEDURE)
        request = caller.next_request()
        chunk(caller, request, 1, 2, 3)
        expect_error(caller, request, "wamp.error.feature_not_supported",
                     f"no callee has announced progressive_call_invocations and call_canceling, for procedure <{PROCEDURE}>")
        chunk(caller, request, 4, last=True)
        expect_silence(routerd, caller, callee)
        callee.leave()


@pytest.mark.parametrize("invoke", ["roundrobin", "random", "first", "last"])
def test_callees_that_cannot_are_passed_over(routerd, join, able, invoke):
    caller = able(routerd)
    callees = [able(routerd) if n in (1, 3) else join(routerd) for n in range(5)]
    for callee in callees:
        callee.register(PROCEDURE, invoke=invoke)
    got = {1: 0, 3: 0}
    for _ in range(12):
        request = caller.next_request()
        chunk(caller, request, 1, 2, last=True)
        caller.silent()
        seen = {n: [m for m in c.silent() if m[0] == INVOCATION] for n, c in enumerate(callees)}
        n = next(n for n, messages in seen.items() if messages)
        assert len(seen[n]) == 2 and sum(map(len, seen.values())) == 2
        got[n] += 1
        callees[n].inbox.clear()
        callees[n].send([YIELD, seen[n][0][1], {}])
        caller.result(request)
    assert got == {"roundrobin": {1: 6, 3: 6}, "first": {1: 12, 3: 0}, "last": {1: 0, 3: 12}}.get(invoke, got)


def test_such_a_call_never_waits(start_routerd, threads, join, able):
    routerd = start_routerd(config_with(threads, call_queue=10))
    caller, callee, other = able(routerd), able(routerd), join(routerd)
    for c in (callee, other):
        c.register(PROCEDURE, invoke="first", concurrency=1)
    first, invocation = start(caller, callee, 1)
    busy = caller.next_request()
    chunk(caller, busy, 1, 2)
    expect_error(caller, busy, "wamp.error.no_available_callee",
                 f"all callees that take progressive input are busy, for procedure <{PROCEDURE}>")
    # the other callee takes a plain call, and one more waits
    plain = [caller.start_call(PROCEDURE) for _ in range(2)]
    caller.silent()
    assert realm_counter(routerd, "calls_queued") == 1
    chunk(caller, first, 2, last=True)
    expect_chunks(callee, invocation, 2, last=True)
    callee.send([YIELD, invocation, {}])
    caller.result(first)
    callee.send([YIELD, callee.expect(INVOCATION)[1], {}])
    caller.result(plain[1])
    other.send([YIELD, other.expect(INVOCATION)[1], {}])
    caller.result(plain[0])
    chunk(caller, busy, 3, last=True)
    expect_silence(routerd, caller, callee, other)


# --- limits ---------------------------------------------------------------------------------


def test_64_open_inputs(routerd, able):
    caller, callee = able(routerd), able(routerd, "msgpack")
    callee.register(PROCEDURE)
    calls = [start(caller, callee, 1) for _ in range(64)]
    request = caller.next_request()
    chunk(caller, request, 1, 2)
    expect_error(caller, request, "wamp.error.unavailable",
                 "the session has too many calls whose progressive input is not complete")
    chunk(caller, request, 3, last=True)
    assert caller.silent() == []
    assert routerd.total("open_inputs_full") == 1
    routerd.wait_log("limit reached limit=open_inputs max=64")
    # a complete input makes room
    chunk(caller, calls[0][0], 2, last=True)
    expect_chunks(callee, calls[0][1], 2, last=True)
    calls.append(start(caller, callee, 1))
    for request, invocation in calls:
        callee.send([YIELD, invocation, {}, [invocation]])
    for request, invocation in calls:
        assert caller.result(request) == ([invocation], {})
    expect_silence(routerd, caller, callee)


def test_64_answered_inputs_are_remembered(routerd, able):
    """Of further ones the oldest is forgotten; its id is then that of a new call."""
    caller, callee = able(routerd), able(routerd, "msgpack")
    callee.register(PROCEDURE)
    calls = []
    for _ in range(65):
        request, invocation = start(caller, callee, 1)
        callee.send([YIELD, invocation, {}])
        caller.result(request)
        calls.append(request)
    for request in calls[1:]:
        chunk(caller, request, "late")
    assert caller.silent() == [] and callee.silent() == []
    chunk(caller, calls[0], "new")
    assert callee.expect(INVOCATION)[4] == ["new"]
    assert routerd.total("chunks_dropped") == 64


# --- CANCEL, timeouts, sessions that leave --------------------------------------------------


@pytest.mark.parametrize("mode", ["skip", "killnowait", "kill"])
def test_cancel(routerd, able, mode):
    caller, callee = able(routerd), able(routerd, "cbor")
    callee.register(PROCEDURE)
    request, invocation = start(caller, callee, 1, 2)
    caller.send([CANCEL, request, {"mode": mode}])
    # a callee that is not told would wait for the rest forever
    expect_interrupt(callee, invocation, "kill" if mode == "kill" else "killnowait")
    chunk(caller, request, 3, 4, last=True)
    if mode == "kill":
        assert caller.silent() == []
        callee.send([ERROR, INVOCATION, invocation, {}, "com.example.stopped"])
        expect_error(caller, request, "com.example.stopped")
    else:
        expect_error(caller, request, "wamp.error.canceled")
    assert caller.silent() == [] and callee.silent() == []
    callee.send([YIELD, invocation, {}])
    # the input is complete, but not answered: skip tells nobody
    request, invocation = start(caller, callee, 1)
    chunk(caller, request, 2, last=True)
    expect_chunks(callee, invocation, 2, last=True)
    caller.send([CANCEL, request, {"mode": "skip"}])
    expect_error(caller, request, "wamp.error.canceled")
    expect_silence(routerd, caller, callee)


def test_each_chunk_renews_the_timeout(routerd, able):
    caller, callee = able(routerd), able(routerd, "msgpack")
    callee.register(PROCEDURE)
    timeout = 0.3 * SLOW
    begin = time.monotonic()
    request, invocation = start(caller, callee, 0, timeout=timeout * 1000)
    for i in range(1, 5):
        wait_for(lambda: time.monotonic() >= begin + i * timeout / 2, "the next chunk")
        chunk(caller, request, i)
        expect_chunks(callee, invocation, i)
    last = time.monotonic()
    assert last - begin > 1.5 * timeout
    expect_error(caller, request, "wamp.error.timeout")
    assert time.monotonic() - last > 0.8 * timeout
    expect_interrupt(callee, invocation)
    chunk(caller, request, "late", last=True)
    expect_silence(routerd, caller, callee)
    assert realm_counter(routerd, "timeouts") == 1


@pytest.mark.parametrize("how", ["socket", "goodbye"])
def test_the_caller_leaves(routerd, able, how):
    caller, callee, other = able(routerd), able(routerd, "cbor"), able(routerd)
    callee.register(PROCEDURE)
    request, invocation = start(caller, callee, 1, 2)
    if how == "socket":
        caller.close_socket()
    else:
        caller.leave()
    expect_interrupt(callee, invocation)
    callee.send([YIELD, invocation, {}])
    request, invocation = start(other, callee, 1)
    callee.send([YIELD, invocation, {}])
    other.result(request)
    expect_silence(routerd, callee, other)


def test_the_callee_leaves(routerd, able):
    caller, callee, next_one = able(routerd), able(routerd), able(routerd)
    for c in (callee, next_one):
        c.register(PROCEDURE, invoke="first")
    request, _ = start(caller, callee, 1, 2)
    callee.close_socket()
    expect_error(caller, request, "wamp.error.canceled", "the callee left while the call was in flight")
    chunk(caller, request, 3, 4, last=True)
    expect_silence(routerd, caller, next_one)


def test_a_session_that_calls_itself(routerd, able):
    client = able(routerd)
    client.register(PROCEDURE)
    request, invocation = start(client, client, 1, 2)
    chunk(client, request, 3, last=True)
    expect_chunks(client, invocation, 3, last=True)
    client.send([YIELD, invocation, {}, ["all"]])
    assert client.result(request) == (["all"], {})
    start(client, client, 1)
    client.leave()
    assert [m for m in client.inbox if m[0] != INVOCATION] == []


# --- chunks that cannot be delivered --------------------------------------------------------


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_chunk_that_the_callee_cannot_get(routerd, able, bad):
    """A callee must not take what it got for the whole input."""
    caller, callee = able(routerd, "cbor"), able(routerd, "json")
    callee.register(PROCEDURE)
    request = caller.next_request()
    values = [1, 2, 3, 4]
    values[bad] = float("nan")
    chunk(caller, request, *values, last=True)
    expect_error(caller, request, "wamp.error.invalid_argument")
    if bad > 0:
        invocation = callee.expect(INVOCATION)[1]
        expect_chunks(callee, invocation, *values[1:bad])
        expect_interrupt(callee, invocation)
        callee.send([YIELD, invocation, {}])
    # both connections live, and the next upload is whole
    request, invocation = start(caller, callee, 1)
    chunk(caller, request, 2, last=True)
    expect_chunks(callee, invocation, 2, last=True)
    callee.send([YIELD, invocation, {}])
    caller.result(request)
    expect_silence(routerd, caller, callee)
    assert routerd.total("undeliverable") == 1


@pytest.mark.websocket
@pytest.mark.parametrize("last", [True, False])
def test_a_chunk_with_a_wrong_value(routerd, able, last):
    caller, callee = able(routerd), able(routerd, "cbor")
    callee.register(PROCEDURE)
    wrong = b'[48,%%d,{"progress":%s},"com.example.p",["\\ud83d"]]' % (b"false" if last else b"true")
    # the first chunk
    request = caller.next_request()
    caller.send_payload(b'[48,%d,{"progress":true},"com.example.p",["\\ud83d"]]' % request)
    chunk(caller, request, 2, 3, last=True)
    expect_error(caller, request, "wamp.error.invalid_argument")
    assert caller.silent() == [] and callee.silent() == []
    # a later one
    request, invocation = start(caller, callee, 1)
    caller.send_payload(wrong % request)
    expect_error(caller, request, "wamp.error.invalid_argument")
    expect_interrupt(callee, invocation)
    if not last:
        chunk(caller, request, 3, last=True)
    callee.send([YIELD, invocation, {}])
    assert caller.silent() == [] and callee.silent() == []
    # behind the answer
    request, invocation = start(caller, callee, 1)
    callee.send([YIELD, invocation, {}])
    caller.result(request)
    caller.send_payload(wrong % request)
    expect_silence(routerd, caller, callee)
    assert routerd.total("sessions") == 2


def test_a_callee_that_reads_too_slowly(start_routerd, threads, able, join):
    """A stream dies before its connection does."""
    routerd = start_routerd(config_with(threads, limits={"queue_size": 1 << 20}))
    caller, callee, other = able(routerd, "msgpack"), able(routerd), join(routerd)
    callee.register(PROCEDURE)
    subscription = callee.subscribe("com.example.t")
    request = caller.next_request()
    sent = 0
    while not any(m[0] == ERROR for m in caller.inbox):
        chunk(caller, request, *[[sent + i, "x" * 20000] for i in range(10)])
        sent += 10
        caller.silent()
        assert sent < 10000
    expect_error(caller, request, "wamp.error.unavailable", "the receiver reads too slowly")
    chunk(caller, request, "late", last=True)
    # there is still room for other messages
    other.publish("com.example.t", ["x" * 100000], acknowledge=True)
    got = 0
    while True:
        message = callee.recv()
        if message[0] != INVOCATION:
            break
        assert message[3] == {"progress": True} and message[4][0][0] == got
        invocation = message[1]
        got += 1
    assert 0 < got < sent
    assert message == [INTERRUPT, invocation, {"mode": "killnowait"}]
    assert callee.event(subscription)[0] == ["x" * 100000]
    callee.send([YIELD, invocation, {}])
    expect_silence(routerd, caller, callee)
    assert routerd.total("sessions") == 3


# --- every order ----------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["caller", "callee", "together"])
def test_many_uploads_in_every_order(routerd, able, first):
    """Chunks and CANCELs of the callers, answers of the callees, in both orders and at the same time.
    Each call has one answer and nothing behind it. The callee gets the chunks in order, none of them
    twice, and at most one INTERRUPT for each call."""
    callers = [able(routerd, s) for s in SERIALIZERS]
    callees = [able(routerd, s) for s in SERIALIZERS[1:] + SERIALIZERS[:1]]
    chance = random.Random(first)
    calls = {}
    for i, (caller, callee) in enumerate(zip(callers, callees)):
        callee.register(f"com.example.p{i}")
        # not more than may be open at the same time
        calls[i] = [start(caller, callee, 0, procedure=f"com.example.p{i}", receive_progress=True) for _ in range(60)]

    def sends(i):
        for request, _ in calls[i]:
            n = chance.choice([1, 2, 5])
            for v in range(1, n):
                yield i, [CALL, request, {"progress": True}, f"com.example.p{i}", [v]]
            if chance.random() < 0.3:
                yield i, [CANCEL, request, {"mode": chance.choice(["skip", "kill", "killnowait"])}]
            if chance.random() < 0.8:
                yield i, [CALL, request, {}, f"com.example.p{i}", [n]]

    def answers(i):
        for _, invocation in calls[i]:
            if chance.random() < 0.5:
                yield i, [YIELD, invocation, {"progress": True}, ["half"]]
            yield i, chance.choice([[YIELD, invocation, {}, ["all"]],
                                    [ERROR, INVOCATION, invocation, {}, "com.example.e"]])

    def settled():
        for client in callers + callees:
            client.subscribe("com.example.t")

    def play(*sides):
        for i in calls:
            left = [side(i) for side in sides]
            while left:
                side = chance.choice(left)
                _, message = next(side, (None, None))
                if message is None:
                    left.remove(side)
                else:
                    (callers if message[0] in (CALL, CANCEL) else callees)[i].send(message)
        settled()

    for sides in {"caller": [[sends], [answers]], "callee": [[answers], [sends]], "together": [[sends, answers]]}[first]:
        play(*sides)
    for i, (caller, callee) in enumerate(zip(callers, callees)):
        ended = set()
        for message in caller.silent():
            request = message[1] if message[0] == RESULT else message[2]
            assert request not in ended, f"behind the answer: {message}"
            if message[0] == RESULT and message[2] == {"progress": True}:
                continue
            assert message[0] == RESULT or message[4] in ("wamp.error.canceled", "com.example.e"), message
            ended.add(request)
        assert ended == {request for request, _ in calls[i]}
        got, interrupted = {}, set()
        for message in callee.silent():
            assert message[1] not in interrupted, f"behind the INTERRUPT: {message}"
            if message[0] == INTERRUPT:
                interrupted.add(message[1])
                continue
            assert message[0] == INVOCATION
            got.setdefault(message[1], []).append(message[4][0])
        assert all(values == list(range(1, len(values) + 1)) for values in got.values())
        assert got or first != "caller"
    assert realm_counter(routerd, "calls_in_flight") == 0
    assert routerd.total("sessions") == 6


# --- a real client --------------------------------------------------------------------------


@pytest.mark.websocket
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_wampy_uploads(routerd, able, puppets, serializer):
    """Of the clients tested here, only wampy can send progressive input; it has to be told to announce it."""
    puppet, callee = puppets("wampy"), able(routerd, "cbor")
    caller = peers.Peer(puppet, routerd.url(), serializer, name="caller", announce="progressive_call_invocations")
    callee.register(PROCEDURE)
    number = puppet.start("upload", s="caller", proc=PROCEDURE, args=[1, 2, 3])
    invocation = callee.expect(INVOCATION)
    assert invocation[3:5] == [{"progress": True, "receive_progress": True}, [1]]
    for value, more in ((2, True), (3, False)):
        message = callee.expect(INVOCATION)
        assert message[1] == invocation[1] and message[3].get("progress", False) == more and message[4] == [value]
    callee.send([YIELD, invocation[1], {"progress": True}, ["half"]], [YIELD, invocation[1], {}, ["all"]])
    assert caller.finish(number)["args"] == ["all"]
    assert puppet.event(ev="progress", s="caller")["args"] == ["half"]
    expect_silence(routerd, callee)
