# SPDX-License-Identifier: Apache-2.0
"""Both daemons as processes: stderr that nobody reads, signals, and too little memory."""

import fcntl
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest
from rawclient import Client, Closed, Refused, WampError, Ws
from utils import SLOW, Authd, Routerd, permission, realm_counter, router_config, wait_for

REALMS = 50  # each adds a line of counters


def many_realms():
    config = router_config(cryptosign=False)
    config["realms"] += [{"name": f"realm{i}", "roles": [{"name": "r", "permissions": [permission()]}]}
                         for i in range(REALMS)]
    return config


@pytest.fixture(params=["routerd", "authd"])
def stopped_daemon(request, folder, daemons):
    """A daemon that is not started yet."""
    daemon = Routerd(folder, many_realms()) if request.param == "routerd" else Authd(folder)
    daemons.append(daemon)
    return daemon


def serves(daemon):
    """Whether the daemon answers a request."""
    if isinstance(daemon, Authd):
        return daemon.ctl("principal", "list", ok=False)[0] == 0
    try:
        with socket.create_connection(("127.0.0.1", daemon.port()), 5) as s:
            s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
            return s.recv(100).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


# --- a mistake in the configuration ----------------------------------------------------------


@pytest.mark.parametrize("journal", [True, False])
def test_the_journal_gets_the_priority_of_a_mistake(stopped_daemon, folder, journal):
    """As sd-daemon(3) says, but only if standard error is what $JOURNAL_STREAM names."""
    (folder / "broken.yaml").write_text("x: 1\ny: 2\n")
    argv = [*stopped_daemon.argv[:-1], "broken.yaml"]
    reader, writer = os.pipe()
    stat = os.fstat(writer)
    env = {**stopped_daemon.env, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino + (not journal)}"}
    status = subprocess.run(argv, cwd=folder, stderr=writer, env=env, timeout=60).returncode
    os.close(writer)
    with open(reader) as f:
        lines = f.read().splitlines()
    assert status == 78 and len(lines) >= 2
    assert [line.startswith("<3>broken.yaml:" if journal else "broken.yaml:") for line in lines] == [True] * len(lines), lines


# --- standard error -------------------------------------------------------------------------


def deaf_pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def deaf_socket():
    """A socket, as systemd connects a service to journald."""
    a, b = socket.socketpair()
    b.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return a.detach(), b.detach()


def deaf_terminal():
    return os.openpty()


def start_unread(daemon, make):
    """Starts a daemon whose stderr nobody reads; returns the end to read it from."""
    reader, writer = make()
    daemon.start(stderr=writer)
    os.close(writer)
    wait_for(lambda: serves(daemon), "the daemon to serve")
    return reader


@pytest.mark.parametrize("make", [deaf_pipe, deaf_socket, deaf_terminal])
def test_nobody_reads_the_log(stopped_daemon, make):
    """The daemon still serves and ends on SIGTERM. When somebody reads again, the log says how many
    lines are missing."""
    daemon = stopped_daemon
    reader = start_unread(daemon, make)
    text = b""

    def log_much():
        for _ in range(50):
            daemon.signal(signal.SIGUSR1)
            time.sleep(0.002)

    for _ in range(20):
        log_much()
    assert serves(daemon)

    def read():
        nonlocal text
        try:
            while data := os.read(reader, 65536):
                text += data
        except OSError:  # how a terminal reports its end
            pass

    thread = threading.Thread(target=read)
    thread.start()
    def is_quiet():
        before = len(text)
        time.sleep(0.3)
        return len(text) == before

    wait_for(lambda: log_much() or re.search(rb"warn  log lines dropped count=\d+", text), "the log to say so")
    # while the reader is behind, the last line may be dropped, too
    wait_for(is_quiet, "the reader to have read all lines")
    daemon.stop()
    thread.join()
    os.close(reader)
    assert re.search(rb"(routerd|authd) stopped", text)


@pytest.mark.parametrize("make", [deaf_pipe, deaf_socket, deaf_terminal])
def test_sigterm_while_nobody_reads_the_log(stopped_daemon, make):
    daemon = stopped_daemon
    reader = start_unread(daemon, make)
    for _ in range(1000):
        daemon.signal(signal.SIGUSR1)
        time.sleep(0.001)
    assert serves(daemon)
    begin = time.monotonic()
    daemon.stop()
    assert time.monotonic() - begin < 3 * SLOW
    os.close(reader)


def test_more_logins_than_a_pipe_takes(folder, daemons, join):
    routerd = Routerd(folder, router_config(cryptosign=False))
    daemons.append(routerd)
    reader = start_unread(routerd, os.pipe)
    for _ in range(400):
        client = join(routerd)
        client.close_socket()
    os.close(reader)
    join(routerd)  # and serves when the reader is gone
    routerd.stop()


@pytest.mark.parametrize("closed", [[2], [0, 1, 2]])
def test_without_standard_descriptors(stopped_daemon, closed):
    """No socket gets the number of a standard descriptor, so no peer receives the log."""
    daemon = stopped_daemon

    def close():
        for fd in closed:
            os.close(fd)

    daemon.limits = close
    daemon.start(stderr=os.open("/dev/null", os.O_WRONLY))
    wait_for(lambda: serves(daemon), "the daemon to serve")
    for fd in closed:
        assert os.readlink(f"/proc/{daemon.pid}/fd/{fd}") == "/dev/null"
    daemon.signal(signal.SIGUSR1)
    daemon.stop()


def test_lines_on_sessions_have_a_rate_limit(start_routerd, join):
    routerd = start_routerd(cryptosign=False)
    begin = time.monotonic()
    for n in range(1, 2001):
        join(routerd).close_socket()
        if n > 300 and n > 200 * (time.monotonic() - begin):
            break
    wait_for(lambda: routerd.total("sessions_closed") == n, "all to be gone")
    # the count of suppressed lines comes in the next second
    wait_for(lambda: join(routerd) and re.search(r"session opened .*suppressed=[1-9]", routerd.log()), "a line")
    seconds = time.monotonic() - begin + 2
    lines = re.findall(r"session (?:opened|closed) .*suppressed=\d+$", routerd.log(), re.M)
    assert 50 < len(lines) <= 100 * seconds


# --- signals --------------------------------------------------------------------------------


def test_sighup_to_authd_is_logged_and_ignored(authd):
    authd.signal(signal.SIGHUP)
    authd.wait_log("warn  cannot reload: restart authd ")
    for _ in range(1000):
        authd.signal(signal.SIGHUP)
    assert serves(authd)
    assert authd.log().count("cannot reload") <= 1 + 10 * SLOW


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_during_start_and_stop(stopped_daemon, number):
    """Signals do no harm at any time between the start and the end of the process."""
    daemon = stopped_daemon
    over = threading.Event()

    def hammer():
        while not over.is_set():
            try:
                daemon.process.send_signal(number)
            except (OSError, AttributeError):
                pass
            time.sleep(0)

    for _ in range(5):
        over.clear()
        daemon.start(wait=False)
        wait_for(ignores(daemon, number), "main to begin")
        thread = threading.Thread(target=hammer)
        thread.start()
        daemon.wait_ready()
        assert serves(daemon)
        process = daemon.process
        process.terminate()
        assert process.wait(10 * SLOW) == 0
        over.set()
        thread.join()
        daemon.process = None


def ignores(daemon, number):
    """A condition: main has run its first line, which ignores the signal, or handles it already."""
    def look():
        status = open(f"/proc/{daemon.pid}/status").read()
        masks = [int(re.search(rf"{name}:\s*(\w+)", status)[1], 16) for name in ("SigIgn", "SigCgt")]
        return any(mask >> (number - 1) & 1 for mask in masks)
    return look


# --- too little memory ----------------------------------------------------------------------


def limit_memory(mib):
    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (mib << 20, mib << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return limit


def hog(routerd, stop, kind):
    """Clients that make the router hold as much as they can, and reconnect when they are dropped."""
    connections = []
    while not stop.is_set():
        try:
            client = Client(**routerd.address(), serializer="cbor", transport=Ws, timeout=2)
            client.join()
            connections.append(client)
            if kind == "incomplete":
                client.send_bytes(client.make_frame(client.opcode, b"x" * 900000)[:800000])
            elif kind == "subscriptions":
                for i in range(2000):
                    client.send([32, i + 1, {}, f"com.example.{id(client)}.{i}"])
            elif kind == "deaf":
                client.subscribe("com.example.flood")
            elif kind == "calls":
                client.register(f"com.example.{id(client)}")
                for i in range(2000):
                    client.send([48, i + 2, {}, f"com.example.{id(client)}", [b"x" * 2000]])
            else:
                for i in range(30):
                    client.send([16, i + 1, {"exclude_me": False}, "com.example.flood", [b"y" * 50000]])
        except (OSError, Closed, Refused, WampError, AssertionError, TimeoutError):
            pass
        if len(connections) > 150:
            connections.pop(0).close_socket()
    for client in connections:
        client.close_socket()


@pytest.mark.skipif(SLOW != 2, reason="sanitizers and valgrind need more memory than this limit")
@pytest.mark.parametrize("threads", [1, 3])
def test_too_little_memory_costs_connections_not_the_process(folder, daemons, join, known_key, threads):
    """Hogs drive the router to its limit again and again. When they are gone, it works as before."""
    authd = Authd(folder)
    config = router_config(threads=threads, limits={"queued_total": 1 << 30, "incomplete_total": 1 << 30})
    routerd = Routerd(folder, config, limits=limit_memory(40 + 20 * threads))
    daemons += [authd, routerd]
    authd.start()
    authd.add("client01@example.com", known_key)
    routerd.start()
    stop = threading.Event()
    hogs = [threading.Thread(target=hog, args=(routerd, stop, kind))
            for kind in ("incomplete", "subscriptions", "deaf", "calls", "flood", "flood")]
    for thread in hogs:
        thread.start()
    short = re.compile(r"out of memory|no memory|Cannot allocate")
    try:
        # under stress, only assert that the router survives
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            assert routerd.running, routerd.log_tail()
            try:
                join(routerd, key=known_key).close_socket()
            except (OSError, Closed, Refused, WampError, AssertionError, TimeoutError):
                pass
    finally:
        stop.set()
        for thread in hogs:
            thread.join()
    assert short.search(routerd.log()), "the router never ran out of memory: the test proves nothing"

    def as_before():
        try:
            a, b = join(routerd), join(routerd, key=known_key)
            subscription = a.subscribe("com.example.t")
            b.publish("com.example.t", [1], acknowledge=True)
            assert a.event(subscription)[0] == [1]
            a.close_socket()
            b.close_socket()
            return True
        except (OSError, Closed, Refused, WampError, TimeoutError):
            return False

    wait_for(as_before, "the router to serve again", 10)
    wait_for(lambda: routerd.total("connections") == 0, "all to be gone")
    # the realm's owner ends what they held in slices
    for counter in "sessions", "memberships", "subscriptions", "calls_in_flight":
        wait_for(lambda: realm_counter(routerd, counter) == 0, f"no {counter}")
    routerd.stop()
