# SPDX-License-Identifier: Apache-2.0
"""Measures other WAMP routers and routerd in the same run, and writes etc/doc/benchmarks.md.

It measures the routers that it finds in build/peers/bin or PATH: crossbar, nexusd, nxt (xconn-go),
xconn-router.

Each router has one realm, one role with all permissions, no authorizer, no compression, no log of
single sessions, and one core. A router that loses, doubles, reorders or changes a message gets no
figure in that row.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import sys
from pathlib import Path

import chart
from bench import ROWS, Wrong, progress, wampbench
from servers import ALL, AUTHID, ROOT, Relay, Routerd, Server, Unsupported, make_key, run

PEERS = ROOT / "build/peers"
PAGE = ROOT / "etc/doc/benchmarks.md"
PICTURE = ROOT / "etc/doc/benchmarks.svg"
FORMATS = ["cbor", "msgpack", "json"]


def find(name):
    return shutil.which(name, path=f"{PEERS / 'bin'}:{os.environ['PATH']}")


class Peer(Server):
    """Another project's router. `published` says where to find its source or package."""

    @classmethod
    def found(cls):
        return find(cls.program) is not None


class Crossbar(Peer):
    name = "Crossbar"
    program = "crossbar"
    published = "crossbar on PyPI"

    def start(self):
        public = make_key(self.folder)
        auth = {"anonymous": {"type": "static", "role": "device"},
                "cryptosign": {"type": "static", "principals": {
                    AUTHID: {"realm": "devices", "role": "device", "authorized_keys": [public]}}}}
        tcp = {"type": "tcp", "interface": "127.0.0.1"}
        transports = [
            {"type": "websocket", "endpoint": {**tcp, "port": self.port}, "serializers": FORMATS, "auth": auth},
            {"type": "rawsocket", "endpoint": {**tcp, "port": self.raw_port}, "serializers": FORMATS, "auth": auth},
            {"type": "rawsocket", "endpoint": {"type": "unix", "path": str(self.socket)},
             "serializers": FORMATS, "auth": auth},
        ]
        for transport in transports:
            transport["endpoint"]["backlog"] = 4096
        (self.folder / "config.json").write_text(json.dumps({
            "version": 2,
            "workers": [{"type": "router", "transports": transports, "realms": [{
                "name": "devices", "roles": [{"name": "device", "permissions": [
                    {"uri": "", "match": "prefix", "allow": ALL, "cache": True}]}]}]}]}))
        self.spawn([find(self.program), "start", "--loglevel", "warn", "--cbdir", self.folder])
        self.wait_port(self.raw_port, 90)
        self.wait_port(self.port, 30)

    @classmethod
    def version(cls):
        return re.search(r"Crossbar.io +: +(\S+)", run(find(cls.program), "version"))[1]


class Nexus(Peer):
    name = "nexus"
    program = "nexusd"
    published = "github.com/gammazero/nexus"

    def start(self):
        (self.folder / "nexus.json").write_text(json.dumps({
            "websocket": {"address": f"127.0.0.1:{self.port}", "keep_alive": 0, "out_queue_size": 4096},
            "rawsocket": {"tcp_address": f"127.0.0.1:{self.raw_port}", "unix_address": str(self.socket),
                          "out_queue_size": 4096},
            "router": {"realms": [{"uri": "devices", "anonymous_auth": True}], "debug": False},
        }))
        self.spawn([find(self.program), "-c", "nexus.json"])
        self.wait_port(self.port)
        self.wait_port(self.raw_port)

    def login(self):
        raise Unsupported("the program has no cryptosign")

    @classmethod
    def version(cls):
        # nexusd cannot print its version, but Go writes module versions into programs
        return re.search(rb"github\.com/gammazero/nexus/v3\tv([0-9.]+)", Path(find(cls.program)).read_bytes())[1].decode()


class Nxt(Peer):
    """xconn-go's router. xconn-router reads the same configuration."""

    name = "xconn-go"
    program = "nxt"
    published = "github.com/xconnio/xconn-go"

    def start(self):
        public = make_key(self.folder)
        grant = {f"allow_{verb}": True for verb in ALL}
        folder = self.folder / ".nxt"
        folder.mkdir()
        who = {"authid": AUTHID, "realm": "devices", "role": "device"}
        # JSON is valid YAML
        (folder / "config.yaml").write_text(json.dumps({
            "version": "1",
            "config": {"loglevel": "error"},
            "realms": [{"name": "devices", "roles": [
                {"name": "device", "permissions": [{"uri": "", "match": "prefix", **grant}]}]}],
            "transports": [
                {"type": kind, "listener": listener, "address": address, "serializers": FORMATS}
                for kind, listener, address in (("websocket", "tcp", f"127.0.0.1:{self.port}"),
                                                ("rawsocket", "tcp", f"127.0.0.1:{self.raw_port}"),
                                                ("rawsocket", "unix", str(self.socket)))],
            "authenticators": {"anonymous": [who], "cryptosign": [{**who, "authorized_keys": [public]}]},
        }))
        self.spawn(self.command())
        self.wait_port(self.port)
        self.wait_port(self.raw_port)

    def command(self):
        return [find(self.program), "start", "-c", self.folder]

    @classmethod
    def version(cls):
        return run(find(cls.program), "--version").split()[0]


class XconnRouter(Nxt):
    name = "xconn-router"
    program = "xconn-router"
    published = "the crate xconn-core"
    max_sessions = 1000  # xconn resets the 1,025th connection

    def command(self):
        return [find(self.program), "-c", self.folder, "start"]

    @classmethod
    def version(cls):
        return run(find(cls.program), "--version").split()[-1]


KINDS = [Relay, Routerd, XconnRouter, Nxt, Nexus, Crossbar]


def version(kind):
    try:
        return kind.version()
    except (RuntimeError, OSError, TypeError, IndexError) as e:
        progress(f"{kind.name} does not say its version: {e}")
        return "of unknown version"


def rows(args):
    """The rows of `make bench` that every router supports."""
    for row in ROWS:
        if "pings" in row.name or "storm" in row.name or not re.search(args.only, row.name):
            continue
        yield row


def measure(kind, row, args):
    """(router CPU or memory, rate, p99), or a text that says why there is none."""
    server = kind(args.router_core)
    if kind is Routerd:
        server.with_authd = row.login
    # ask slow routers for fewer calls
    more = ["--count", min(5000, kind.max_sessions), "--window", 16] if row.figure else []
    try:
        with server:
            result = wampbench(server, row, args, more)
    except Unsupported as e:
        return str(e)
    except Wrong as e:
        progress(str(e))
        return "wrong"
    if row.figure:
        return result[row.figure], 0, 0
    return sum(result["router_us"]), result["rate"], result["p99_us"]


def measure_all(kinds, args):
    """{row: {kind: medians or a text}}."""
    table = {}
    for row in rows(args):
        progress(row.name)
        found = {kind: [] for kind in kinds}
        for turn in range(args.rounds):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                found[kind].append(measure(kind, row, args))
                progress(f"  {turn + 1}/{args.rounds} {kind.name:12} {found[kind][-1]}")
        table[row] = {
            kind: next((r for r in results if isinstance(r, str)), None)
            or tuple(statistics.median(column) for column in zip(*results))
            for kind, results in found.items()}
    return table


# --- the page --------------------------------------------------------------------------------


def markdown(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for line in lines:
        yield "| " + " | ".join(line) + " |"


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"


def page(table, kinds, versions, args):
    today = datetime.date.today().isoformat()
    yield "# Benchmarks of routerd and other routers\n"
    yield ("`make bench-peers` writes this page. `tests/bench/peers.py` and `wampbench --help` say what it measures and "
           "how.\n")
    yield f"- {today}, {machine()}; each router on one core, the clients on another"
    yield "- " + ", ".join(f"{k.name} {versions[k]}".strip() + (f" ({k.published})" if hasattr(k, "published") else "")
                           for k in kinds)
    yield (f"- medians of {args.rounds} interleaved rounds of {args.seconds:g} s; every message was checked: "
           "once, in order, with the right content")
    yield "- relay is not a router: it only moves the same bytes, so it shows the cost of the kernel"
    yield "- cryptosign: routerd asks authd, and the time of authd is included; the others have the key in their configuration"
    if XconnRouter in kinds:
        yield "- idle sessions: 5,000; only 1,000 for xconn-router, which takes at most 1,024 connections"
    yield ""
    yield "![Router CPU time for each message](benchmarks.svg)\n"
    yield "## CPU time of the router for each call, delivery or login, in microseconds\n"
    names = [k.name for k in kinds]
    timed = {row: line for row, line in table.items() if row.timed}
    yield from markdown(["what", *names], [
        [row.name, *(v if isinstance(v, str) else chart.figure(v[0]) for v in line.values())]
        for row, line in timed.items()])
    yield "\n## Calls, deliveries or logins a second, and the 99th percentile of their delays\n"
    yield from markdown(["what", *names], [
        [row.name, *(v if isinstance(v, str) else f"{v[1]:,.0f}, {v[2] / 1000:.1f} ms" for v in line.values())]
        for row, line in timed.items()])
    yield "\n## Resident memory for each idle session, in KiB\n"
    yield from markdown(["what", *names], [
        [row.name, *(v if isinstance(v, str) else chart.figure(v[0]) for v in line.values())]
        for row, line in table.items() if not row.timed])


def picture(table, kinds):
    rows_ = [(row.name, [v if isinstance(v, str) else v[0] for v in line.values()])
             for row, line in table.items() if row.timed]
    return chart.bars("Router CPU time for each call, delivery or login, in microseconds",
                      "Logarithmic; less is better. "
                      "relay is no router: it moves the same bytes and does nothing else.",
                      [k.name for k in kinds], rows_)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="duration of each round")
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--only", default="", help="only rows whose names match this expression; implies --dry-run")
    parser.add_argument("--router-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print the page, do not write it")
    args = parser.parse_args()
    kinds = [k for k in KINDS if not hasattr(k, "found") or k.found()]
    progress("found: " + ", ".join(k.name for k in kinds))
    versions = {k: version(k) for k in kinds}
    table = measure_all(kinds, args)
    text = "\n".join(page(table, kinds, versions, args)) + "\n"
    print(text)
    if not args.dry_run and not args.only:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text)
        PICTURE.write_text(picture(table, kinds))
    if any(line[k] == "wrong" for line in table.values() for k in (Relay, Routerd)):
        sys.exit("wrong answers, see above")


if __name__ == "__main__":
    main()
