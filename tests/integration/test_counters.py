# SPDX-License-Identifier: Apache-2.0
"""SIGUSR1: the counters of all workers are logged at once, by worker 0."""

import re
import signal
import threading
import time

import pytest
from certificates import authority  # noqa: F401
from utils import ROOT, SLOW, router_config, wait_for

REALMS = ("devices", "b", "c")
STALLED = 2  # the worker that a test stops


def config_with_realms(threads):
    config = router_config(threads=threads)
    config["realms"] = [dict(config["realms"][0], name=name) for name in REALMS]
    return config


def kinds(text):
    """What each line of counters is about, such as "worker=0"."""
    return re.findall(r"\bcounters (log|end|authenticator|reloads|are missing worker=\d+|\w+=\S+) ", text)


def expected_kinds(threads, missing=()):
    expected = ["log", "listener=public", "authenticator", "reloads"]
    for worker in range(threads):
        if worker in missing:
            expected.append(f"are missing worker={worker}")
        else:
            expected.append(f"worker={worker}")
            expected += [f"realm={name}" for i, name in enumerate(REALMS) if threads - 1 - i % threads == worker]
    return expected + ["end"]


def pieces(text):
    """The kinds of each print; the lines of one print must not be mixed with those of another."""
    found = [[]]
    for kind in kinds(text):
        found[-1].append(kind)
        if kind == "end":
            found.append([])
    assert found.pop() == [], "the last print has no end"
    return found


# --- what is logged -------------------------------------------------------------------------


def test_all_in_one_piece(start_routerd, threads):
    """The log, listeners, authenticators, reloads, then each worker with its realms, then the end."""
    routerd = start_routerd(config_with_realms(threads))
    text = routerd.log_counters()
    assert kinds(text) == expected_kinds(threads)
    assert f"counters end workers={threads} answered={threads}\n" in text


def documented():
    """The counters that the document lists, by the beginning of their line."""
    result = {}
    for section in (ROOT / "etc/doc/counters.md").read_text().split("\n## ")[1:]:
        (line,) = re.findall(r"begins with `(.*?)`", section)
        result[line] = re.findall(r"^\| `(\w+)` \|", section, re.M)
    return result


def logged_names(text, line):
    rest = re.search(rf"\b{re.escape(line)}(.*)", text).group(1)
    if line.endswith("=") and line != "counters connections=":
        rest = rest.partition(" ")[2]  # the value is a name
    names = re.findall(r"(\w+)=", rest)
    return ["connections", *names] if line == "counters connections=" else names


def test_the_document_lists_what_is_logged(authority, start_routerd, start_authd):
    expected = documented()
    of_authd = "counters connections="
    assert len(expected) == 7
    config = config_with_realms(2)
    config["transports"][0]["endpoint"]["tls"] = authority.server()
    routerd, authd = start_routerd(config), start_authd()
    text = routerd.log_counters()
    for line, names in expected.items():
        if line != of_authd:
            assert logged_names(text, line) == names
    authd.signal(signal.SIGUSR1)
    wait_for(lambda: re.search(rf"{of_authd}.*\n", authd.log()), "the counters of authd")
    assert logged_names(authd.log(), of_authd) == expected[of_authd]
    assert logged_names(authd.log(), "counters log") == expected["counters log"]


def test_the_values(start_routerd, threads, join):
    """They are those of all workers, and not older than the signal."""
    routerd = start_routerd(threads=threads, cryptosign=False)
    for n in range(1, 9):
        join(routerd).subscribe("com.example.t")
        text = routerd.log_counters()
        assert sum(map(int, re.findall(r"counters worker=\d+ .*\bsessions=(\d+)", text))) == n
        assert re.search(rf"counters realm=devices sessions={n} subscriptions=1 memberships={n} ", text)


# --- several signals ------------------------------------------------------------------------


def test_many_signals(start_routerd, threads, join):
    """Every signal is followed by a print that began after it. Signals that come together are one."""
    routerd = start_routerd(config_with_realms(threads))
    for _ in range(100):
        routerd.signal(signal.SIGUSR1)
    join(routerd)
    begin = len(routerd.log())
    routerd.signal(signal.SIGUSR1)

    def seen():
        text = routerd.log()[begin:]
        return re.search(r"counters realm=devices sessions=1 (?s:.*)counters end .*\n", text)

    wait_for(seen, "the session to be counted")
    found = pieces(routerd.log())
    assert 1 <= len(found) <= 101
    assert all(piece == expected_kinds(threads) for piece in found), found


# --- a worker that does not answer ----------------------------------------------------------


@pytest.fixture
def stalled_routerd(start_routerd):
    """A router with 4 workers, one of which stands still. It may be told to go on."""
    config = config_with_realms(4)
    config["debug"] = {"stall_worker": STALLED}
    routerd = start_routerd(config)
    routerd.stalled = True
    routerd.signal(signal.SIGUSR2)
    yield routerd
    go_on(routerd)


def go_on(routerd):
    if routerd.stalled:
        routerd.stalled = False
        routerd.signal(signal.SIGUSR2)


def test_a_worker_that_stands_still(stalled_routerd):
    """The others are logged after 2 seconds, and it is named. Later it answers again."""
    routerd = stalled_routerd
    begin = time.monotonic()
    text = routerd.log_counters()
    assert 1.9 < time.monotonic() - begin < 4 * SLOW
    assert kinds(text) == expected_kinds(4, missing=[STALLED])
    assert f'warn  w{STALLED} counters are missing worker={STALLED} reason="no answer"\n' in text
    assert "counters end workers=4 answered=3\n" in text
    for _ in range(5):
        routerd.signal(signal.SIGUSR1)
    go_on(routerd)
    # the print that goes on, and the one that follows it
    wait_for(lambda: "answered=4" in routerd.log(), "all to answer")
    assert len(routerd.counters()) == 4
    pieces(routerd.log())


def test_while_it_stops(stalled_routerd):
    """The workers that run still are logged, and those that do not answer are named."""
    routerd = stalled_routerd
    routerd.signal(signal.SIGTERM)
    routerd.wait_log("stopping signal=TERM")
    text = routerd.log_counters()
    assert kinds(text)[-1] == "end" and "worker=0" in kinds(text)
    assert "routerd stopped" not in routerd.log()
    routerd.signal(signal.SIGUSR1)
    go_on(routerd)
    routerd.stop()
    # the last print is there as well, with what there was
    found = pieces(routerd.log())
    assert len(found) >= 2
    assert routerd.log().rstrip().endswith("routerd stopped")


# --- start and stop -------------------------------------------------------------------------


def test_signals_from_start_to_stop(start_routerd, threads):
    """No print is torn apart, and the last one ends before the process does."""
    routerd = start_routerd(config_with_realms(threads))
    for _ in range(5):
        routerd.stop()
        begin = len(routerd.log())
        over = threading.Event()
        routerd.start(wait=False)
        routerd.wait_log("limit of open descriptors max=")

        def hammer(daemon=routerd, over=over):
            while not over.is_set():
                try:
                    daemon.process.send_signal(signal.SIGUSR1)
                except (OSError, AttributeError):
                    pass
                time.sleep(0.001)

        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            routerd.wait_log("counters end")
            routerd.stop()
        finally:
            over.set()
            thread.join()
        text = routerd.log()[begin:]
        found = pieces(text)
        assert found and len(found[0]) >= 5
        assert text.rstrip().endswith("routerd stopped")
