# SPDX-License-Identifier: Apache-2.0
"""Many messages, each checked by tests/tools/load.c; and many connections."""

import subprocess

import pytest
import utils
from rawclient import TRANSPORTS
from utils import BUILD, Key, wait_for

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

# always the release build of the checker, because only the router is under test
LOAD = utils.ROOT / "build/release/tools/load"


def load(routerd, mode, *args, seconds=300):
    framing = routerd.config["transports"][0]["type"]
    done = subprocess.run([LOAD, mode, "--port", str(routerd.port()), "--framing", framing,
                           "--deadline", str(seconds), *map(str, args)],
                          capture_output=True, text=True, timeout=seconds + 60)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{routerd.log_tail(20)}"
    routerd.check_threads()


def scale(n):
    """The full number in a release build, a twentieth with a sanitizer."""
    return n if BUILD.name == "release" else n // 20


def test_a_million_calls(start_routerd):
    load(start_routerd(threads=4, cryptosign=False), "rpc", "--calls", scale(1_000_000))


def test_a_thousand_subscribers_to_ten_topics(start_routerd):
    load(start_routerd(threads=4, cryptosign=False), "fanout", "--events", scale(5000),
         "--subscribers", 1000, "--topics", 10)


@pytest.mark.parametrize("serializer", ["cbor", "json"])
def test_calls(start_routerd, threads, serializer):
    load(start_routerd(threads=threads, cryptosign=False), "rpc", "--calls", scale(100_000),
         "--serializer", serializer)


def test_fan_out(start_routerd, threads):
    load(start_routerd(threads=threads, cryptosign=False), "fanout", "--events", scale(1000),
         "--subscribers", 300, "--serializer", "json")


@pytest.mark.parametrize("mode", [["rpc", "--calls", "3000"], ["fanout", "--events", "200", "--subscribers", "20"]])
def test_large_payloads(start_routerd, threads, mode):
    """All events together fit into one subscriber's queue."""
    load(start_routerd(threads=threads, cryptosign=False), *mode, "--pad", 60000, "--window", 8)


def test_more_in_flight_than_the_mailboxes_hold(start_routerd):
    """The mailboxes are full all the time: nothing is lost, doubled or reordered."""
    config = utils.router_config(threads=4, cryptosign=False)
    config["limits"] = {"mailbox_high": 65536, "mailbox_low": 16384}
    load(start_routerd(config), "rpc", "--calls", scale(30_000), "--window", 1000, "--pad", 500)


def come_and_go(routerd, connect, rounds, key=None):
    """Opens connections and ends them in many ways, mostly without a goodbye."""
    for i in range(rounds):
        client = connect(routerd, ("json", "cbor", "msgpack.batched")[i % 3])
        if i % 10 != 9:
            client.join(key=key if i % 2 else None)
            client.subscribe("com.example.t")
            client.register(f"com.example.p{i % 50}") if i % 3 == 0 else None
            client.publish("com.example.t", [i])
        if i % 5 == 0:
            client.leave()
        if i % 4 == 0:
            client.close()
        client.close_socket()
        if i % 50 == 49:
            wait_for(lambda: routerd.total("sessions") == 0, "all to be gone")
    wait_for(lambda: routerd.total("sessions") == 0, "all to be gone", 20)


def connects(authd, start_routerd, connect, threads, warm_up, rounds):
    key = Key()
    authd.add("client01@example.com", key)
    routerd = start_routerd(threads=threads)
    come_and_go(routerd, connect, warm_up, key)
    files, memory = routerd.fds(), routerd.rss()
    come_and_go(routerd, connect, rounds, key)
    assert routerd.fds() == files
    if BUILD.name == "release" and not utils.WRAP:
        assert routerd.rss() - memory < 2 << 20
    routerd.check_threads()
    if utils.WRAP:
        routerd.stop()
        print("\n".join(line for line in routerd.log().splitlines() if line.startswith("==")))


def test_connections_come_and_go(authd, start_routerd, connect, threads):
    """Afterwards routerd uses as many descriptors and as much memory as before."""
    connects(authd, start_routerd, connect, threads, 200, 600 if BUILD.name == "release" else 200)


@pytest.mark.long
def test_10000_connects(authd, start_routerd, connect, threads):
    connects(authd, start_routerd, connect, threads, 1000, 9000)
