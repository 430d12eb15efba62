# SPDX-License-Identifier: Apache-2.0
"""TLS clients that attack: floods of records without data, handshakes that never end."""

import concurrent.futures
import itertools
import select
import selectors
import signal
import socket
import ssl
import threading
import time

import pytest
import rawclient
from certificates import VERSIONS, authority, open_tls, tls_config  # noqa: F401
from tlsrecords import ALERT, DATA, HANDSHAKE, Forger
from utils import IS_ASAN, IS_TSAN, SLOW, Key, wait_for

MIB = 1 << 20
TLS_12, TLS_13 = VERSIONS
USER_CANCELED = b"\x01\x5a"  # a warning
RAW_PING = b"\x01\0\0\0"

# What a client can send without data: the version, how to make a record of it, how many of them are
# harmless, and why the router ends a flood of them.
SILENT = {
    "empty-12": (TLS_12, lambda r: r.record(DATA, b""), 30, "too many records without data"),
    "empty-13": (TLS_13, lambda r: r.record(DATA, b""), 30, "too many records without data"),
    "warning-12": (TLS_12, lambda r: r.record(ALERT, USER_CANCELED), 4, "too many warn alerts"),
    "warning-13": (TLS_13, lambda r: r.record(ALERT, USER_CANCELED), 4, "too many warn alerts"),
    "key-update-13": (TLS_13, lambda r: r.key_update(), 30, "too many records without data"),
    "renegotiation-12": (TLS_12, lambda r: r.record(HANDSHAKE, r.hello), 4, "too many records without data"),
}


@pytest.fixture(params=SILENT)
def silent(request):
    return SILENT[request.param]


@pytest.fixture
def storm_routerd(authority, start_routerd):
    return start_routerd(tls_config(authority, cryptosign=False))


@pytest.fixture
def forge(authority, open_tls, storm_routerd):
    """forge(version) -> a client in a session, whose socket can send any records."""

    def go(version):
        client = open_tls(storm_routerd, rawclient.RawSocket, context=Forger(authority, version))
        client.join()
        return client

    return go


def send_silent(client, make, count):
    client.socket.raw.sendall(b"".join(make(client.socket) for _ in range(count)))


def test_a_few_records_without_data_are_harmless(storm_routerd, forge, open_tls, silent):
    version, make, few, _ = silent
    client, honest = forge(version), open_tls(storm_routerd)
    honest.join()
    subscription = honest.subscribe("com.example.t")
    for i in range(5):
        send_silent(client, make, few)
        client.publish("com.example.t", [i])
        assert honest.event(subscription) == ([i], {})
    assert storm_routerd.total("closed_tls_failed") == 0
    assert storm_routerd.total("tls_handshakes") == 2


def has_ended(s):
    """Has the router ended this connection? Reads nothing."""
    poll = select.poll()
    poll.register(s, select.POLLRDHUP)
    return bool(poll.poll(0))


def flood(client, make):
    """Sends until the router has ended the connection, and reads nothing."""
    for _ in range(1000):
        try:
            send_silent(client, make, 100)
        except ConnectionError:
            return
        if has_ended(client.socket.raw):
            client.close_socket()
            return
    pytest.fail("the flood goes on")


def check_floods(routerd, forge, open_tls, version, make, why):
    """Each of many floods ends its own connection, and nobody else notices."""
    honest = open_tls(routerd)
    honest.join()
    count, memory = 20, []
    for n in range(1, count + 1):
        flood(forge(version), make)
        assert honest.call("wamp.session.count") == ([1], {})
        assert routerd.total("closed_tls_failed") == n
        memory.append(routerd.rss())
    assert routerd.total("sessions") == 1
    routerd.wait_log(f'tls failed after the handshake .* from=us reason="{why}"')
    # ASan keeps freed memory, and looks for leaks itself.
    assert IS_ASAN or memory[-1] - memory[count // 2] < MIB * SLOW


def test_a_flood_of_records_without_data_is_cut_off(storm_routerd, forge, open_tls, silent):
    version, make, _, why = silent
    check_floods(storm_routerd, forge, open_tls, version, make, why)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_flood_between_data_is_cut_off(storm_routerd, forge, open_tls, version):
    """Each record without data is followed by one with data."""

    def make(records):
        silent = records.key_update() if version == TLS_13 else records.record(DATA, b"")
        return silent + records.record(DATA, RAW_PING)

    check_floods(storm_routerd, forge, open_tls, version, make, "too many records without data")


# --- handshakes that do not go on -----------------------------------------------------------


def client_hello(authority):
    """The bytes with which a handshake begins."""
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.trust().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


def test_half_a_client_hello_ends_at_the_deadline(authority, start_routerd, open_tls):
    config = tls_config(authority, cryptosign=False)
    config["transports"][0]["options"] = {"open_handshake_timeout": 1000}
    routerd = start_routerd(config)
    honest = open_tls(routerd)
    honest.join()
    hello = client_hello(authority)
    silent = [socket.create_connection(("127.0.0.1", routerd.port())) for _ in range(50)]
    for s in silent:
        s.sendall(hello[:len(hello) // 2])
    # Octets that trickle in do not move the deadline.
    trickle = [socket.create_connection(("127.0.0.1", routerd.port())) for _ in range(2)]
    sent = 0
    while not all(has_ended(s) for s in trickle):
        assert sent < len(hello) - 1, "the deadline has moved"
        for s in trickle:
            try:
                s.send(hello[sent:sent + 1])
            except ConnectionError:
                pass
        sent += 1
        assert honest.call("wamp.session.count") == ([1], {})
        time.sleep(0.02)
    wait_for(lambda: all(has_ended(s) for s in silent), "the silent clients to be closed")
    routerd.wait_log('tls handshake failed .* sni=none from=peer reason="timeout"')
    assert routerd.total("closed_handshake_timeout") == 52
    assert routerd.total("connections") == 1
    for s in silent + trickle:
        s.close()


# --- limits -----------------------------------------------------------------------------------


def begin(routerd, source="127.0.0.1"):
    """A client that takes a slot and does not go on."""
    s = socket.create_connection(("127.0.0.1", routerd.port()), source_address=(source, 0))
    s.sendall(b"\x16\x03")
    return s


@pytest.mark.many_workers
@pytest.mark.parametrize("limit, slots", [(1, 4), (6, 6)])
def test_threads_share_the_slots(authority, start_routerd, limit, slots):
    """Each thread has its share of `handshakes`, at least one."""
    config = tls_config(authority, cryptosign=False, threads=4, limits={"handshakes": limit})
    config["transports"][0]["options"] = {"open_handshake_timeout": 60000}
    routerd = start_routerd(config)
    silent = [begin(routerd) for _ in range(20)]

    def in_progress():
        workers = routerd.counters()
        begun, late, waiting = (sum(w[name] for w in workers) for name in (
            "tls_handshakes_started", "closed_handshake_timeout", "tls_waiting"))
        return begun - late if begun + waiting == len(silent) else None

    wait_for(lambda: in_progress() == slots, "all slots to be taken")
    # Those who wait take the slots of those who are too slow, and no other.
    wait_for(lambda: routerd.total("closed_handshake_timeout") > 0, "a slot to be given to another client", 10)
    assert in_progress() <= slots
    for s in silent:
        s.close()


@pytest.mark.many_workers
def test_silent_clients_of_one_address_do_not_keep_out_others(authority, start_routerd, open_tls, threads):
    config = tls_config(authority, cryptosign=False, threads=threads, limits={"handshakes": 4 * threads})
    config["transports"][0]["options"] = {"open_handshake_timeout": 60000}
    routerd = start_routerd(config)
    silent = [begin(routerd, "127.0.0.2") for _ in range(200)]
    wait_for(lambda: routerd.total("tls_waiting") > 150, "the silent clients to wait")
    for _ in range(20):
        open_tls(routerd).join()
    assert routerd.total("tls_handshakes") == 20
    # nobody had to wait until they were gone
    assert routerd.total("tls_waiting") > 50
    for s in silent:
        s.close()


# --- a storm of honest clients ----------------------------------------------------------------


def knock(s):
    """The steps of a client until it has an answer to its RawSocket handshake, which this returns."""
    while True:
        try:
            s.do_handshake()
            break
        except ssl.SSLWantReadError:
            yield
    s.sendall(b"\x7f\xf1\0\0")
    while True:
        try:
            return s.recv(4)
        except ssl.SSLWantReadError:
            yield


class Storm:
    """Clients that shake hands all at once, by TLS 1.3 with ECDSA or by TLS 1.2 with RSA. Those that are
    refused come again."""

    def __init__(self, routerd, authority, count):
        self.address = "127.0.0.1", routerd.port()
        self.contexts = [authority.trust(TLS_13), authority.trust(TLS_12, ciphers="ECDHE-RSA-AES128-GCM-SHA256")]
        self.selector = selectors.DefaultSelector()
        self.missing, self.inside, self.refused = count, [], 0
        for i in range(count):
            self._begin(socket.create_connection(self.address), self.contexts[i % 2])

    def _begin(self, raw, context):
        raw.setblocking(False)
        s = context.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False)
        steps = knock(s)
        self.selector.register(s, selectors.EVENT_READ, steps)
        self._step(s, steps)

    def _step(self, s, steps):
        try:
            next(steps)
            return
        except StopIteration as end:
            answer = end.value
        except (ConnectionError, ssl.SSLError):
            answer = b""
        self.selector.unregister(s)
        if answer == b"\x7f\xb1\0\0":
            self.inside.append(s)
            self.missing -= 1
        else:
            assert answer == b""
            self.refused += 1
            s.close()
            self._begin(socket.create_connection(self.address), s.context)

    def run(self):
        while self.missing > 0:
            events = self.selector.select(20 * SLOW)
            assert events, f"{self.missing} clients wait, and nothing happens"
            for key, _ in events:
                self._step(key.fileobj, key.data)

    def close(self):
        for s in self.inside:
            s.close()


@pytest.mark.many_workers
def test_a_storm_beside_a_busy_session_and_logins(authority, start_routerd, open_tls, threads):
    """All get in. No thread does handshakes only: meanwhile it answers calls and lets clients log in."""
    count, key = 500 if IS_ASAN or IS_TSAN else 2000, Key()
    tls = {**authority.server(), "more_certificates": [authority.make("rsa", "DNS:localhost", kind="rsa")]}
    config = tls_config(authority, tls, threads=threads, cryptosign=False)
    listener = config["transports"][0]
    listener["options"] = {"open_handshake_timeout": 60000}
    listener["auth"]["cryptosign"] = {
        "type": "static", "principals": {"client01": {"role": "device", "authorized_keys": [key.public]}}}
    routerd = start_routerd(config)
    busy = [open_tls(routerd) for _ in range(threads)]
    logins = [open_tls(routerd) for _ in range(20)]
    for client in busy:
        client.join()
    # The router is asleep until all have begun.
    routerd.signal(signal.SIGSTOP)
    try:
        storm, over = Storm(routerd, authority, count), threading.Event()
    finally:
        routerd.signal(signal.SIGCONT)
    progress = {client: [] for client in busy}

    def call(client):
        """Notes how many of the storm were in at each answer."""
        while not over.is_set():
            client.call("wamp.session.count")
            progress[client].append(len(storm.inside))
            time.sleep(0.005)  # leaves time to the storm

    def log_in():
        for client in logins:
            client.join(key=key, authid="client01")
        return len(storm.inside)

    with concurrent.futures.ThreadPoolExecutor(len(busy) + 1) as pool:
        calls, logging_in = [pool.submit(call, client) for client in busy], pool.submit(log_in)
        try:
            storm.run()
        finally:
            over.set()
        for done in calls:
            done.result()
        assert logging_in.result() < count, "the logins have waited for the storm"
    for answers in progress.values():
        assert max(b - a for a, b in itertools.pairwise([0, *answers])) < count // 2, answers
    ours = len(busy) + len(logins)
    assert routerd.total("tls_handshakes") == count + ours
    assert routerd.total("connections") == count + ours
    assert routerd.total("tls_refused") + routerd.total("closed_handshake_timeout") == storm.refused
    assert routerd.total("signatures_verified") == len(logins)
    storm.close()
