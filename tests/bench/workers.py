# SPDX-License-Identifier: Apache-2.0
"""Measures the gain of a second worker, and the cost of a hop from one worker to another.

The gain needs a machine with at least four cores: calls on 64 busy connections, with one worker and
with two, two cores for the router and one for each client process. If a client is always busy, the
output says that the client is the limit; the figure then says nothing about the router.

The cost of a hop is measured on any machine: the same traffic with one worker and with two.
routerd's counters (SIGUSR1: posts_out, batches_out, wakeups), read during the run, show how many
posts crossed and how many of them shared a hand-over and a wake-up. routerd assigns connections to
workers in turns, beginning with worker 0; the realm belongs to worker 1.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from bench import FAN, Row, Wrong, finish, met, progress, start_wampbench, wampbench
from servers import Routerd

CORES_NEEDED = 4
CONNECTIONS = 64
WINDOW = 8
TO_REACH = 1.7
ALWAYS_BUSY = 0.95  # share of a core; above it, the client is the limit
SLACK = 1  # seconds for which clients continue after the second reading of the counters

BUSY = ["rpc", "--senders", CONNECTIONS // 2, "--receivers", CONNECTIONS // 2, "--window", WINDOW]
HOPS = [
    Row("RPC, 1 caller x 1, its callee on the other worker", ["rpc"]),
    Row("RPC, 4 callers x 8, 4 callees, half on each", ["rpc", "--senders", 4, "--window", 8, "--receivers", 4]),
    Row("RPC, 32 callers x 8, 32 callees, half on each", BUSY),
    Row("fan-out to 1000, half on each, one at a time", FAN),
    Row("fan-out to 1000, half on each, 32 in flight", [*FAN, "--window", 32]),
]


def cores():
    """The cores that this process may use, one of each pair of hyper-threads."""
    allowed = os.sched_getaffinity(0)
    found = {}
    for core in sorted(allowed):
        siblings = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        found.setdefault(siblings.read_text() if siblings.exists() else core, core)
    return list(found.values())


def router(threads, cores_):
    server = Routerd(*cores_)
    server.threads = threads
    return server


# --- the gain of a second worker ---


def busy(threads, router_cores, client_cores, args):
    """Calls per second, router CPU per call in us, and the largest share of a core that a client used."""
    ends = CONNECTIONS // len(client_cores) // 2
    with router(threads, router_cores) as server:
        processes = [
            start_wampbench(server, Row("", ["rpc", "--senders", ends, "--receivers", ends, "--window", WINDOW]), args,
                            ["--uri", f"com.example.client{i}"], core)
            for i, core in enumerate(client_cores)]
        results = [finish(server, p) for p in processes]
    rate = sum(r["rate"] for r in results)
    cpu = statistics.mean(r["rate"] * r["router_us"][0] for r in results)
    return rate, cpu / rate, max(r["rate"] * r["client_us"] / 1e6 for r in results)


def scaling(args):
    found = cores()
    if len(found) < CORES_NEEDED:
        yield (f"two workers against one: not measured, since {len(found)} cores are too few for two workers and "
               "their clients")
        return
    router_cores, clients = found[:2], found[2:]
    while CONNECTIONS // 2 % len(clients) != 0:
        clients.pop()
    rounds = {1: [], 2: []}
    progress(f"two workers against one; the load of the machine was {os.getloadavg()[0]:.1f}")
    for turn in range(args.rounds):
        for threads in sorted(rounds, reverse=turn % 2 == 1):
            rounds[threads].append(busy(threads, router_cores, clients, args))
            progress("  {}/{} {} workers {:10.0f}/s {:7.3f} us, busiest client {:4.0%}".format(
                turn + 1, args.rounds, threads, *rounds[threads][-1]))
    one, two = (tuple(map(statistics.median, zip(*rounds[threads]))) for threads in (1, 2))
    yield f"{CONNECTIONS} busy connections, RPC{'':16}{'calls/s':>10} {'CPU us':>8} {'busiest client':>15}"
    for name, figures in (("one worker", one), ("two workers", two)):
        yield "{:40}{:10.0f} {:8.3f} {:15.0%}".format(name, *figures)
    verdict = met(two[0] / one[0] >= TO_REACH)
    if verdict != "met" and two[2] > ALWAYS_BUSY:
        verdict = "unknown: the clients are the limit"
    yield f"{'two against one':40}{two[0] / one[0]:9.2f}x  >= {TO_REACH} {verdict}"


# --- the cost of a hop ---


def operations(counters):
    return counters["realm.calls"] + counters["realm.publishes"]


def look(server, row, args):
    """wampbench's result, the counters' growth while it ran, and the seconds between their two readings."""
    longer = SimpleNamespace(**{**vars(args), "seconds": args.seconds + SLACK})
    process = start_wampbench(server, row, longer)
    while operations(server.counters()) == 0 and process.poll() is None:
        time.sleep(0.05)
    time.sleep(args.warmup)
    before, start = server.counters(), time.monotonic()
    time.sleep(args.seconds)
    after, end = server.counters(), time.monotonic()
    if process.poll() is not None:
        finish(server, process)
        raise Wrong(f"{row.name}: ended before it was looked at")
    after.subtract(before)
    return finish(server, process), after, end - start


def hop(row, router_cores, args):
    """Medians: router CPU per message with one worker and with two; for two workers also operations
    and posts per second, posts per operation, posts per hand-over and per wake-up, wake-ups per
    operation."""
    rounds = []
    progress(row.name)
    for turn in range(args.rounds):
        with router(1, router_cores) as server:
            one = wampbench(server, row, args)
        with router(2, router_cores) as server:
            two, counted, seconds = look(server, row, args)
        posts, done = counted["posts_out"], operations(counted)
        if min(posts, done) == 0:
            raise Wrong(f"{row.name}: nothing crossed")
        rounds.append((one["router_us"][0], two["router_us"][0], done / seconds, posts / seconds, posts / done,
                       posts / counted["batches_out"], posts / counted["wakeups"], counted["wakeups"] / done))
        progress("  {}/{} {:8.3f} us with one worker, {:8.3f} us with two".format(
            turn + 1, args.rounds, *rounds[-1]))
    return [statistics.median(column) for column in zip(*rounds)]


def hops(args):
    found = cores()
    router_cores = args.router_cores or (found[:2] if len(found) >= CORES_NEEDED else found[:1])
    yield (f"\nWhat a hop costs, router on core {' and '.join(map(str, router_cores))}, clients on {args.client_core}; "
           "CPU us for each call or delivery,\nthe rest for each call or publication")
    yield (f"{'':50}{'1 worker':>9} {'2':>7} {'calls/s':>8} {'posts/s':>8} {'posts':>6} {'/hand-over':>10} "
           f"{'/wake-up':>8} {'wake-ups':>8}")
    for row in HOPS:
        yield "{:50}{:9.3f} {:7.3f} {:8.0f} {:8.0f} {:6.2f} {:10.2f} {:8.2f} {:8.3f}".format(
            row.name, *hop(row, router_cores, args))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="duration of each round")
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--router-cores", type=lambda s: [int(c) for c in s.split(",")],
                        help="hops: cores of the workers; all on the first, or on two if there are enough")
    parser.add_argument("--client-core", type=int, default=cores()[-1], help="hops: core of the client")
    args = parser.parse_args()
    try:
        for line in [*scaling(args), *hops(args)]:
            print(line)
    except Wrong as e:
        sys.exit(f"wrong answers:\n{e}")


if __name__ == "__main__":
    main()
