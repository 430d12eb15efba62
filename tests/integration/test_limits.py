# SPDX-License-Identifier: Apache-2.0
"""Limits: slow readers, silent clients, too many connections, and a worker that is stalled."""

import resource
import signal
import socket
import threading
import time

import pytest
from rawclient import PING, PONG, TRANSPORTS, Closed, Refused, WampError, worker_of
from utils import SLOW, router_config, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

MIB = 1 << 20


def config_with(options=None, limits=None, **kw):
    config = router_config(cryptosign=False, **kw)
    if options:
        config["transports"][0]["options"] = options
    if limits:
        config["limits"] = limits
    return config


# --- readers that are slower than their traffic ---------------------------------------------


def test_a_slow_reader_is_closed_and_others_do_not_notice(start_routerd, threads, join):
    routerd = start_routerd(config_with(threads=threads, limits={"queue_size": 2 * MIB}))
    slow = [join(routerd) for _ in range(4)]
    fast, sender = join(routerd, "cbor"), join(routerd, "cbor")
    for client in slow:
        client.subscribe("com.example.t")
    subscription = fast.subscribe("com.example.t")
    payload = "x" * 50000
    count = 400
    for i in range(count):
        sender.publish("com.example.t", [i, payload], acknowledge=True)
        assert fast.event(subscription)[0][0] == i
    wait_for(lambda: routerd.total("sessions") == 2, "the slow readers to be closed")
    sender.publish("com.example.t", ["still"], acknowledge=True)
    assert fast.event(subscription) == (["still"], {})
    assert routerd.rss() < 200 * MIB * SLOW
    routerd.check_threads()


def test_a_message_larger_than_the_queue_passes_when_it_is_empty(start_routerd, join):
    routerd = start_routerd(config_with(limits={"queue_size": 65536}))
    sender, receiver = join(routerd), join(routerd)
    subscription = receiver.subscribe("com.example.t")
    for i in range(5):
        sender.publish("com.example.t", [i, "x" * 500000], acknowledge=True)
        assert receiver.event(subscription)[0][0] == i


def test_a_reader_that_pauses_loses_nothing(start_routerd, threads, join):
    """A subscriber may be slow as long as its queue is below the limit."""
    routerd = start_routerd(config_with(threads=threads))
    sender, receiver = join(routerd), join(routerd)
    subscription = receiver.subscribe("com.example.t")
    count = 150
    for i in range(count):
        sender.publish("com.example.t", [i, "x" * 50000], acknowledge=True)
    for i in range(count):
        assert receiver.event(subscription)[0][0] == i


# --- a stalled worker -----------------------------------------------------------------------


def answers(client):
    """Whether this client's worker is running: it answers this request itself."""
    client.send([48, client.next_request(), {}, "not a uri"])
    try:
        client.expect(8, timeout=0.3)
        return True
    except TimeoutError:
        return False


@pytest.fixture
def stalled_routerd(start_routerd):
    """Starts a router and lets the test stall one of its workers with SIGUSR2; ends the stall afterwards."""
    started = []

    def start(config):
        started.append(start_routerd(config))
        started[0].stalled = False
        return started[0]

    yield start
    if started and started[0].stalled:
        started[0].signal(signal.SIGUSR2)


# the framing does not matter and the calls take long, so they run over WebSocket only
@pytest.mark.parametrize("what", ["events", pytest.param("calls", marks=pytest.mark.websocket)])
def test_a_stalled_worker_bounds_memory_and_loses_nothing(stalled_routerd, join, what):
    """Publisher, realm owner and stalled worker are three workers. While the worker is stalled, its
    mailbox fills up, the publisher's worker stops reading, and the publisher blocks. Afterwards
    everything arrives once and in order."""
    high = MIB
    # the queue holds all 30 MB: on a busy machine the receiver may fall behind, and must not be closed for it
    config = config_with(threads=4, limits={"mailbox_high": high, "mailbox_low": high // 2, "queue_size": 64 * MIB})
    config["debug"] = {"stall_worker": 2}
    routerd = stalled_routerd(config)
    everyone = [join(routerd, "cbor") for _ in range(8)]
    owner = 3  # owner of the first realm
    receiver, probe = [c for c in everyone if worker_of(c) == 2]
    sender = next(c for c in everyone if worker_of(c) not in (2, owner))
    if what == "events":
        subscription = receiver.subscribe("com.example.t")
    else:
        receiver.register("com.example.p")
    count, payload = 3000, "x" * 10000
    before = routerd.rss()

    routerd.signal(signal.SIGUSR2)
    routerd.stalled = True
    wait_for(lambda: not answers(probe), "the worker to stand still")
    sent = [0]

    def send():
        sender.socket.settimeout(120)
        for i in range(count):
            if what == "events":
                sender.publish("com.example.t", [i, payload])
            else:
                sender.start_call("com.example.p", [i, payload])
            sent[0] = i + 1

    thread = threading.Thread(target=send)
    thread.start()
    # until the publisher's socket accepts no more bytes
    last = [-1, time.monotonic()]

    def stopped():
        if sent[0] != last[0]:
            last[:] = [sent[0], time.monotonic()]
        return sent[0] == count or time.monotonic() - last[1] > 1

    wait_for(stopped, "the sender to be stopped", 20)
    assert sent[0] < count, "30 MB were accepted: the router did not push back"
    routerd.wait_log(rf"reading paused: .*limit=mailbox_high max={high} ")
    # what may be in flight: a few mailboxes; the kernel's buffers do not count
    assert routerd.rss() - before < 24 * MIB * (1 if SLOW == 2 else 8)

    routerd.signal(signal.SIGUSR2)
    routerd.stalled = False
    if what == "events":
        for i in range(count):
            assert receiver.event(subscription)[0][0] == i
    else:
        for i in range(count):
            message = receiver.expect(68)
            assert message[4][0] == i
            receiver.send([70, message[1], {}, [i]])
        for i in range(count):
            assert sender.result(sender.request - count + 1 + i) == ([i], {})
    thread.join()
    assert routerd.total("mailbox_pauses") > 0
    routerd.check_threads()


# --- silence --------------------------------------------------------------------------------


def test_pings_and_their_timeout(start_routerd, connect, transport):
    asked = {"rawsocket_ping": True} if transport == "rawsocket" else {}
    routerd = start_routerd(config_with({"auto_ping_interval": 300, "auto_ping_timeout": 600, **asked}))
    client = connect(routerd)
    client.join()
    # a client that answers pings stays connected
    for _ in range(3):
        opcode, _, payload = client.recv_frame()
        assert opcode == PING
        client.send_frame(PONG, payload)
    # a client that sends data but no pongs stays connected
    for _ in range(4):
        opcode, _, _ = client.recv_frame()
        client.publish("com.example.t")
    # a silent client is closed
    start = time.monotonic()
    with pytest.raises(Closed):
        while True:
            client.recv_frame()
    assert time.monotonic() - start < 3 * SLOW


def test_a_handshake_has_one_deadline(start_routerd, connect, transport):
    routerd = start_routerd(config_with({"open_handshake_timeout": 700}))
    port = routerd.port()
    silent = socket.create_connection(("127.0.0.1", port), 10 * SLOW)
    drip = socket.create_connection(("127.0.0.1", port), 10 * SLOW)
    upgraded = connect(routerd)
    bytes_ = {"websocket": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000,
              "rawsocket": b"\x7f\xf1\0"}[transport]
    start = time.monotonic()

    def dripping():
        try:
            for byte in bytes_:
                drip.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass

    thread = threading.Thread(target=dripping)
    thread.start()
    for s in (silent, drip):
        while True:
            try:
                if not s.recv(4096):
                    break
            except ConnectionError:
                break
    upgraded.wait_closed()
    assert 0.5 < time.monotonic() - start < 5 * SLOW
    thread.join()
    silent.close()
    drip.close()
    wait_for(lambda: routerd.total("sessions") == 0, "no session")


def test_idle_after_goodbye(start_routerd, connect, transport):
    """A client may join again after GOODBYE. It has a limited time to send HELLO, then the full
    time for the handshake."""
    config = router_config()  # no authenticator runs
    config["transports"][0]["options"] = {"open_handshake_timeout": 500 * SLOW}
    routerd = start_routerd(config)
    idle, again, slow = (connect(routerd) for _ in range(3))
    for client in (idle, again, slow):
        client.join()
        client.leave()
    time.sleep(0.3 * SLOW)  # how long they are idle
    again.join()
    slow.hello(authmethods=["cryptosign"])
    start = time.monotonic()
    with pytest.raises(Closed) as closed:
        idle.recv()
    assert time.monotonic() - start > 0.1 * SLOW
    slow.expect_dropped()
    assert time.monotonic() - start > 0.48 * SLOW
    assert closed.value.code == idle.close_code(1000)
    assert closed.value.reason == (b"no new HELLO after GOODBYE" if transport == "websocket" else b"")
    routerd.wait_log('connection closed reason="idle after GOODBYE" listener=public peer=tcp4:127')
    assert routerd.total("closed_idle_after_goodbye") == 1
    again.publish("com.example.t", acknowledge=True)


# --- connections ----------------------------------------------------------------------------


def test_connection_limit(start_routerd, join, connect):
    routerd = start_routerd(config_with({"max_connections": 5}, threads=4))
    inside = [join(routerd) for _ in range(5)]
    with pytest.raises((Closed, Refused, ConnectionError, AssertionError)):
        client = connect(routerd)
        client.join()
    inside[0].leave()
    inside[0].close_socket()

    def free():
        try:
            join(routerd)
            return True
        except (Closed, Refused, ConnectionError):
            return False

    wait_for(free, "a place for another connection")


def test_no_descriptors_left_is_no_spin(start_routerd, join):
    """On EMFILE the router waits until a descriptor is free and does not use the CPU meanwhile."""

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))

    routerd = start_routerd(config_with(), limits=few)
    client = join(routerd)
    sockets = [socket.create_connection(("127.0.0.1", routerd.port()), 5) for _ in range(100)]
    cpu, start = routerd.cpu(), time.monotonic()
    # the interval of the measurement
    while time.monotonic() - start < 1:
        client.publish("com.example.t", acknowledge=True)
        time.sleep(0.05)
    assert routerd.cpu() - cpu < 0.3 * SLOW
    for s in sockets:
        s.close()

    def comes_in():
        try:
            join(routerd)
            return True
        except (Closed, ConnectionError, TimeoutError):
            return False

    wait_for(comes_in, "a login after the shortage", 10)


def test_pending_calls_have_a_maximum(start_routerd, join):
    routerd = start_routerd(config_with(limits={"pending_calls": 10}))
    caller, callee = join(routerd), join(routerd)
    callee.register("com.example.p")
    for i in range(11):
        last = caller.start_call("com.example.p", [i])
    error = caller.expect(8)
    assert error[1] == 48 and error[2] == last
    routerd.wait_log(r"limit reached limit=pending_calls max=10 authid=\S+ suppressed=0")
    assert routerd.total("pending_calls_full") == 1
    for i in range(10):
        message = callee.expect(68)
        callee.send([70, message[1], {}, message[4]])
    for i in range(10):
        caller.expect(50)
    callee_request = caller.start_call("com.example.p", ["again"])
    callee.send([70, callee.expect(68)[1], {}])
    caller.result(callee_request)


def test_subscriptions_and_registrations_have_a_maximum(start_routerd, join):
    """The limit is per session. Repeating a subscription does not count; ending one frees its place."""
    routerd = start_routerd(config_with(limits={"session_subscriptions": 3, "session_registrations": 2}))
    client, other = join(routerd), join(routerd)
    for act, undo, maximum in ((client.subscribe, client.unsubscribe, 3), (client.register, client.unregister, 2)):
        ids = [act(f"com.example.{i}") for i in range(maximum)]
        with pytest.raises(WampError) as error:
            act("com.example.more")
        assert error.value.uri == "wamp.error.unavailable"
        undo(ids[0])
        act("com.example.more")
    for name, maximum in (("session_subscriptions", 3), ("session_registrations", 2)):
        routerd.wait_log(rf"limit reached limit={name} max={maximum} ")
        assert routerd.total(f"{name}_full") == 1
    for _ in range(100):  # the log must not have one line for each
        with pytest.raises(WampError):
            client.subscribe("com.example.even.more")
    assert routerd.total("session_subscriptions_full") == 101
    assert routerd.log().count("limit reached") < 100
    assert client.subscribe("com.example.more") == client.subscribe("com.example.more")
    other.subscribe("com.example.more")
    other.register("com.example.other")


def test_incomplete_messages_do_not_stay(start_routerd, connect):
    """A connection that ends in the middle of a frame leaves nothing behind."""
    routerd = start_routerd(config_with())
    for _ in range(50):
        client = connect(routerd)
        client.join()
        client.send_bytes(client.make_frame(client.opcode, b"x" * 500000)[:100000])
        client.close_socket()
    wait_for(lambda: routerd.total("sessions") == 0, "all to be gone")
    idle = routerd.fds()
    other = connect(routerd)
    other.join()
    assert routerd.fds() == idle + 1


@pytest.mark.skipif(SLOW != 2, reason="sanitizers and valgrind keep freed memory")
def test_large_messages_leave_no_memory_behind(start_routerd, join):
    """Scratch buffers grow with the largest message. Such a message may be rare, so they must
    shrink again."""
    routerd = start_routerd(config_with({"max_message_size": 16 * MIB}, {"queue_size": 64 * MIB}))
    clients = [join(routerd, s) for s in ("cbor", "msgpack", "json")]
    subscriptions = [c.subscribe("com.example.t") for c in clients]
    before = routerd.rss()
    clients[0].publish("com.example.t", [b"x" * 11 * MIB], exclude_me=False)
    for client, subscription in zip(clients, subscriptions):
        assert len(client.event(subscription)[0][0]) == 11 * MIB
    wait_for(lambda: routerd.rss() - before < 14 * MIB, "the memory to be given back")
