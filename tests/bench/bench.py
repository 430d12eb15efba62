# SPDX-License-Identifier: Apache-2.0
"""Compares routerd with relay, which moves the same bytes and does nothing else.

Each row is measured in several rounds, routerd and relay in turns, each freshly started. Router and
client each have a core of their own. The printed figures are medians. A missed target is only
reported, because a busy machine misses them all. A router's wrong answer is a failure.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

from servers import BUILD, Relay, Routerd, Unsupported

WAMPBENCH = BUILD / "bench/wampbench"
RPC = ["rpc", "--senders", 4, "--window", 8, "--receivers", 2]
FAN = ["pubsub", "--receivers", 1000]


@dataclass(eq=False)
class Row:
    """One measurement: mode and arguments of wampbench, and the targets."""

    name: str
    args: list
    transport: str = "ws-tcp"
    ratio: float = None  # target: router CPU per message is at most this many times relay's
    login: bool = False
    figure: str = None  # the figure of wampbench that counts instead of CPU per message
    most: list = field(default_factory=list)  # absolute targets, one for each process
    unit: str = "us"
    options: dict = field(default_factory=dict)  # options of routerd's listener
    limits: dict = field(default_factory=dict)  # routerd's
    timed: bool = True
    idle: int = 0  # number of idle sessions beside the busy ones


ROWS = [
    Row("RPC WebSocket CBOR TCP, 4 callers x 8, 2 callees", RPC, ratio=1.6),
    Row("RPC WebSocket JSON TCP, 4 callers x 8, 2 callees", [*RPC, "--serializer", "json"], ratio=1.7),
    Row("RPC RawSocket CBOR Unix, 4 callers x 8, 2 callees", RPC, transport="raw-unix", ratio=1.7),
    Row("fan-out to 1000, one at a time, 16 B", FAN, ratio=1.2),
    Row("fan-out to 1000, 32 in flight, 16 B", [*FAN, "--window", 32], ratio=1.8),
    Row("fan-out to 1000, 32 in flight, 1 KiB", [*FAN, "--window", 32, "--size", 1024], ratio=1.5),
    Row("RPC WebSocket CBOR TLS, 4 callers x 8, 2 callees", RPC, transport="wss-tcp", ratio=1.3),
    Row("fan-out to 1000 over TLS, 32 in flight, 1 KiB", [*FAN, "--window", 32, "--size", 1024],
        transport="wss-tcp", ratio=1.3),
    Row("cryptosign login, 64 at once", ["login", "--window", 64], login=True, most=[110, 25]),
    Row("idle session with one subscription", ["idle", "--count", 10000, "--window", 64, "--warmup", 0,
                                               "--seconds", 0.1],
        figure="session_kib", most=[2], unit="KiB", timed=False),
    Row("the same after a storm", ["storm", "--count", 10000, "--window", 64, "--warmup", 0,
                                   "--first-delay", 0.5],
        figure="session_kib", most=[2], unit="KiB", timed=False),
    Row("10,000 idle sessions, pings every 30 s", ["idle", "--count", 10000, "--window", 64, "--warmup", 1,
                                                   "--seconds", 35],
        figure="idle_cpu_percent", most=[1], unit="%", options={"auto_ping_interval": 30000}, timed=False),
]


class Wrong(Exception):
    """A router lost, doubled, reordered or changed a message."""


def start_wampbench(server, row, args, more=(), core=None):
    """Starts wampbench, by default on the clients' core."""
    argv = [str(WAMPBENCH), *map(str, row.args), *server.where(row.transport), *map(str, more), "--json"]
    if row.login:
        argv += server.login()
    if row.timed:
        argv += ["--seconds", str(args.seconds), "--warmup", str(args.warmup)]
    for pid in server.pids:
        argv += ["--router-pid", str(pid)]
    pin = {args.client_core if core is None else core}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, pin))


def finish(server, process):
    stdout, stderr = process.communicate()
    if process.returncode != 0:
        raise Wrong(f"{server.name}: {' '.join(process.args)}\n{stdout}{stderr}")
    return json.loads(stdout)


def wampbench(server, row, args, more=()):
    return finish(server, start_wampbench(server, row, args, more))


@contextlib.contextmanager
def idle_sessions(server, count, args):
    """Starts sessions with one subscription each; they stay until the end."""
    if count == 0:
        yield
        return
    holder = subprocess.Popen(
        [WAMPBENCH, "idle", "--count", str(count), "--window", "64", "--seconds", "3600", *server.where("ws-tcp")],
        stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {args.client_core}))
    deadline = time.monotonic() + 60
    try:
        while len(os.listdir(f"/proc/{holder.pid}/fd")) < count:
            if holder.poll() is not None or time.monotonic() > deadline:
                raise Wrong(f"{count} idle sessions could not be opened")
            time.sleep(0.1)
        yield
    finally:
        holder.kill()
        holder.wait()


def measure(kind, row, args, more=()):
    server = kind(args.router_core)
    if kind is Routerd:
        server.with_authd = row.login
        server.options = row.options
        server.limits = row.limits
    with server, idle_sessions(server, row.idle, args):
        return wampbench(server, row, args, more)


def value(row, result, process=0):
    return result[row.figure] if row.figure else result["router_us"][process]


def median(row, results, process=0):
    return statistics.median(value(row, r, process) for r in results)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def interleave(row, kinds, args, more=()):
    """Returns {kind: results of all rounds}. The order of the kinds changes with each round."""
    results = {kind: [] for kind in kinds}
    for turn in range(args.rounds):
        for kind in kinds if turn % 2 == 0 else reversed(kinds):
            result = measure(kind, row, args, more)
            results[kind].append(result)
            rate = f"{result['rate']:>10.0f}/s" if row.timed else ""
            progress(f"  {turn + 1}/{args.rounds} {kind.name:8} {value(row, result):8.3f} {row.unit} {rate}")
    return results


def met(is_met):
    return "met" if is_met else "MISSED"


def report_ratio(row, results):
    ours, limit = median(row, results[Routerd]), median(row, results[Relay])
    rate = statistics.median(r["rate"] for r in results[Routerd])
    p99 = statistics.median(r["p99_us"] for r in results[Routerd])
    return (f"{ours:9.3f} {limit:9.3f} {ours / limit:6.2f}  <= {row.ratio:<5} {met(ours / limit <= row.ratio):7}"
            f"{rate:>10.0f}/s p99 {p99:.0f} us")


def report_most(row, results):
    parts = []
    for process, most in enumerate(row.most):
        ours = median(row, results[Routerd], process)
        limit = f"{median(row, results[Relay], process):9.3f}" if process == 0 else " " * 9
        parts.append(f"{ours:9.3f} {limit} {row.unit:>6}  <= {most:<5} {met(ours <= most):7}"
                     + (("authd" if process else "routerd") if len(row.most) > 1 else ""))
    if row.login:
        verify = statistics.median(r["verify_us"] for r in results[Routerd])
        parts.append(f"{'':9} {verify:9.3f} {row.unit:>6}  one verify, without any router")
    return ("\n" + " " * 50).join(parts)


# --- rows that compare routerd with itself, or with relay's latency --------------------------


SPIN = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
end = time.monotonic() + 3
last, gone, longest = time.monotonic(), 0, 0
while last < end:
    now = time.monotonic()
    if now - last > 0.0002:
        gone, longest = gone + now - last, max(longest, now - last)
    last = now
print(gone / 3, longest)
"""


def machine_stalls(args):
    """How busy the machine is: runs a program on both cores that only reads the clock. Returns the
    larger share of time lost in stalls of 0.2 ms or more, and the longest stall in ms."""
    cores = (args.router_core, args.client_core)
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN, str(c)], stdout=subprocess.PIPE, text=True)
                for c in cores]
    told = [tuple(map(float, s.communicate()[0].split())) for s in spinners]
    return max(t[0] for t in told), max(t[1] for t in told) * 1000


def at_half_rate(args, maximum):
    """Calls at half of the measured maximum rate. Targets: p99 under 1 ms, and under relay's + 0.2 ms."""
    share, longest = machine_stalls(args)
    results = interleave(ROWS[0], [Routerd, Relay], args, ["--rate", maximum / 2])
    ours, limit = (statistics.median(r["p99_us"] for r in results[k]) for k in (Routerd, Relay))
    yield (f"{'RPC at half of the maximum rate: p99':50}{ours:9.0f} {limit:9.0f}     us  <= {'1000':5} "
           f"{met(ours < 1000 and ours < limit + 200)} (and <= relay + 200)")
    yield (f"{'':50}this machine alone stands still for {share:.2%} of the time, "
           f"up to {longest:.1f} ms")


def in_turns(name, base, other, args):
    """The results of routerd in two situations, each given as a row."""
    results = ([], [])
    progress(name)
    for turn in range(args.rounds):
        for row, found in zip((base, other), results):
            found.append(measure(Routerd, row, args))
            progress(f"  {turn + 1}/{args.rounds} {row.name:8} {value(row, found[-1]):8.3f} us")
    return results


def report_more(name, results, most):
    """Reports how much more CPU a message takes in the second situation."""
    first, second = (statistics.median(r["router_us"][0] for r in found) for found in results)
    return (f"{name:50}{second:9.3f} {first:9.3f} {second / first:6.2f}  <= {most:<5} {met(second / first <= most)}"
            " (second column: routerd without that)")


def compare(name, base, other, args, most):
    return report_more(name, in_turns(name, base, other, args), most)


FEW, MANY = 10, 100000


def growth(what, base, args, **more):
    """How much MANY subscriptions or registrations of one session slow down others, and their memory.
    With --wildcards, all of them have the same shape."""
    name = f"{MANY:,} {what}s instead of {FEW}"
    results = in_turns(name, *(Row(f"{n:,}", [*base, "--preload", n], **more) for n in (FEW, MANY)), args)
    yield report_more(name, results, 1.1)
    few, many = (n * statistics.median(r["preload_bytes_each"] for r in found)
                 for n, found in zip((FEW, MANY), results))
    yield f"{f'memory for each further {what}':50}{(many - few) / (MANY - FEW):9.0f} {'':9}  bytes"


def comparisons(args):
    fan = [*FAN, "--window", 32, "--serializer", "json"]
    yield compare("fan-out, JSON to a third of each serializer", Row("one", fan),
                  Row("three", [*fan, "--receiver-serializers", "json,msgpack,cbor"]), args, 1.11)
    yield from growth("subscription", ["pubsub", "--receivers", 10, "--window", 8], args)
    yield from growth("registration", RPC, args)
    yield from growth("wildcard subscription", ["pubsub", "--receivers", 10, "--window", 8, "--wildcards"], args,
                      limits={"session_wildcards": MANY})
    yield compare("10,000 sessions instead of 10", Row("10", RPC, idle=10),
                  Row("10,000", RPC, idle=10000), args, 1.1)


def table(args):
    yield f"{'':50}{'routerd':>9} {'relay':>9} {'ratio':>6}  to reach"
    maximum = None
    for row in ROWS:
        if not re.search(args.only, row.name):
            continue
        progress(row.name)
        try:
            results = interleave(row, [Routerd, Relay], args)
        except Unsupported as e:
            yield f"{row.name:50}skipped: {e}"
            continue
        if row is ROWS[0]:
            maximum = statistics.median(r["rate"] for r in results[Routerd])
        yield f"{row.name:50}" + (report_ratio if row.ratio else report_most)(row, results)
    if maximum:
        yield from at_half_rate(args, maximum)
    if re.search(args.only, "comparisons"):
        yield from comparisons(args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="duration of each round")
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--only", default="", help="only rows whose names match this expression, or 'comparisons'")
    parser.add_argument("--router-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    args = parser.parse_args()
    try:
        lines = list(table(args))
    except Wrong as e:
        sys.exit(f"wrong answers:\n{e}")
    print("Router CPU for each call, delivery or login, and memory; medians of "
          f"{args.rounds} rounds of {args.seconds} s")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
