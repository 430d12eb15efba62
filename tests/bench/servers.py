# SPDX-License-Identifier: Apache-2.0
"""The routers that the bench measures: how to configure, start, query and stop each.

Every router gets its own folder, one realm "devices" where everybody may do everything, anonymous
logins over WebSocket and RawSocket, over TCP and a Unix socket, and one core unless told otherwise.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
AUTHID = "client01@example.com"
ALL = {"call": True, "register": True, "publish": True, "subscribe": True}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Unsupported(Exception):
    """This router does not support the transport or login."""


class Server:
    """A context manager that runs a router. `pids` are the processes whose CPU time counts."""

    name = ""
    path = "/ws"
    max_sessions = 10000

    def __init__(self, *cores):
        self.cores = cores
        self.processes = []
        self.folder = Path(tempfile.mkdtemp(prefix="bench."))
        self.port = free_port()
        self.raw_port = free_port()
        self.tls_port = free_port()
        self.socket = self.folder / "r.sock"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def in_child(self):
        """Sets the cores, and the descriptor limit for routers that do not raise it themselves."""
        os.sched_setaffinity(0, self.cores)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def spawn(self, argv, ready=None, seconds=10, env=None):
        """Starts a process on the router's cores; returns when its log shows that it is ready."""
        log = self.folder / f"log{len(self.processes)}"
        with open(log, "wb") as f:
            process = subprocess.Popen(
                [str(a) for a in argv], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                env={**os.environ, **(env or {})},
                preexec_fn=self.in_child)
        self.processes.append(process)
        deadline = time.monotonic() + seconds
        while ready and ready not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)
        return process

    def wait_port(self, port, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or any(p.poll() is not None for p in self.processes):
                    log = self.folder / f"log{len(self.processes) - 1}"
                    raise RuntimeError(f"{self.name} does not listen:\n"
                                       f"{log.read_text(errors='replace')[-3000:]}") from None
                time.sleep(0.05)

    @property
    def pids(self):
        """The router's processes and all their descendants."""
        found = [p.pid for p in self.processes]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent in found:
                found.append(int(stat.parent.name))
        return found

    # --- defined by each router ---

    def start(self):
        raise NotImplementedError

    @classmethod
    def version(cls):
        return ""

    def where(self, transport):
        """wampbench's arguments for ws-tcp, wss-tcp, raw-tcp or raw-unix."""
        if transport == "ws-tcp":
            return ["--tcp", f"127.0.0.1:{self.port}", "--path", self.path]
        if transport == "wss-tcp":
            return ["--tcp", f"127.0.0.1:{self.tls_port}", "--path", self.path, "--tls"]
        if transport == "raw-tcp":
            return ["--tcp", f"127.0.0.1:{self.raw_port}", "--framing", "rawsocket"]
        return ["--unix", str(self.socket), "--framing", "rawsocket"]

    def login(self):
        """wampbench's arguments for a cryptosign login with the key that start() made."""
        return ["--key", str(self.folder / "key"), "--authid", AUTHID]


def run(*argv, cwd=None):
    done = subprocess.run([str(a) for a in argv], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_key(folder):
    """Writes a private key to the file "key" in the folder; returns the public key in hex."""
    ctl = BUILD / "authd/authctl"
    run(ctl, "key", "gen", "-f", "key", cwd=folder)
    shown = json.loads(run(ctl, "-o", "json", "key", "show", "key", cwd=folder))
    return next(v for v in _values(shown) if isinstance(v, str) and len(v) == 64)


def _values(tree):
    if isinstance(tree, dict):
        for value in tree.values():
            yield from _values(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _values(value)
    else:
        yield tree


def make_certificate(folder):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
        "-subj", "/CN=localhost", "-days", "30", "-keyout", "tls.key", "-out", "tls.pem", cwd=folder)
    os.chmod(folder / "tls.key", 0o600)


class Relay(Server):
    name = "relay"

    def start(self):
        self.raw_port = self.port
        self.spawn([BUILD / "bench/relay", "--tcp", self.port, "--unix", self.socket], "ready")

    def where(self, transport):
        if transport == "wss-tcp":
            # one for TLS alone: it counts in place of the other
            make_certificate(self.folder)
            self.processes.pop().terminate()
            self.spawn([BUILD / "bench/relay", "--tcp", self.tls_port, "--certificate", "tls.pem", "--key", "tls.key"],
                       "ready")
        return super().where(transport)

    def login(self):
        (self.folder / "key").write_bytes(os.urandom(32))
        return super().login()


class Routerd(Server):
    """routerd, with authd as its authenticator for logins; then authd is pids[0]."""

    name = "routerd"
    with_authd = False
    threads = 1
    options = {}
    limits = {}

    def transports(self):
        auth = {"anonymous": {"type": "static", "role": "device"}}
        if self.with_authd:
            auth["cryptosign"] = {"type": "dynamic", "authenticator": "authd"}
        tcp = {"type": "tcp", "interface": "127.0.0.1"}
        yield {"type": "websocket", "id": "ws", "endpoint": {**tcp, "port": self.port}, "paths": [self.path],
               "auth": auth, "options": self.options}
        make_certificate(self.folder)
        tls = {"certificate": str(self.folder / "tls.pem"), "key": str(self.folder / "tls.key")}
        yield {"type": "websocket", "id": "wss", "paths": [self.path], "auth": auth, "options": self.options,
               "endpoint": {**tcp, "port": self.tls_port, "tls": tls}}
        yield {"type": "rawsocket", "id": "raw", "endpoint": {**tcp, "port": self.raw_port}, "auth": auth}
        yield {"type": "rawsocket", "id": "unix", "endpoint": {"type": "unix", "path": str(self.socket)},
               "auth": auth}

    def configuration(self, transports):
        config = {
            "threads": self.threads,
            "realms": [{"name": "devices", "roles": [
                {"name": "device", "permissions": [{"uri": "", "match": "prefix", "allow": ALL}]}]}],
            "transports": transports,
        }
        if self.with_authd:
            config["authenticators"] = {"authd": {"socket": "authd.sock"}}
        if self.limits:
            config["limits"] = self.limits
        return config

    def write(self, transports):
        path = self.folder / "routerd.yaml"
        path.write_text(json.dumps(self.configuration(transports), indent=1))
        return path

    def start_authd(self):
        """Also makes a key and its principal."""
        (self.folder / "authd.yaml").write_text(json.dumps({
            "database": "authd.db", "listen": {"path": "authd.sock"}, "admin": {"path": "admin.sock"}}))
        self.spawn([BUILD / "authd/authd", "-c", "authd.yaml"], "ready")
        ctl = [BUILD / "authd/authctl", "--socket", "admin.sock"]
        public = make_key(self.folder)
        run(*ctl, "principal", "add", AUTHID, "--realm", "devices", "--role", "device", "--key", public,
            cwd=self.folder)

    def start(self):
        if self.with_authd:
            self.start_authd()
        program = BUILD / "routerd/routerd"
        transports = list(self.transports())
        path = self.write(transports)
        # an old build without RawSocket or TLS is measured without them
        self.has_rawsocket = subprocess.run([program, "--check", path], capture_output=True).returncode == 0
        if not self.has_rawsocket:
            path = self.write(transports[:1])
        self.spawn([program, "-c", path], "ready")

    @property
    def pids(self):
        """routerd is the first."""
        return [p.pid for p in reversed(self.processes)]

    def counters(self):
        """routerd's counters, summed over its workers; those of a realm as realm.NAME."""
        log = self.folder / f"log{len(self.processes) - 1}"
        start = log.stat().st_size
        self.processes[-1].send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        text = ""
        while "counters end " not in text:
            if time.monotonic() > deadline:
                raise RuntimeError("routerd does not log its counters")
            time.sleep(0.002)
            text = log.read_bytes()[start:].decode()
        if "counters are missing" in text:
            raise RuntimeError("a worker does not answer")
        total = Counter()
        for kind, line in re.findall(r"\bcounters (worker|realm)=\S+ (.*)\n", text):
            prefix = "realm." if kind == "realm" else ""
            total.update({prefix + k: int(v) for k, v in re.findall(r"(\w+)=(\d+)\b", line)})
        return total

    def where(self, transport):
        if transport != "ws-tcp" and not self.has_rawsocket:
            raise Unsupported("this build has neither RawSocket nor TLS")
        return super().where(transport)

    @classmethod
    def version(cls):
        return run(BUILD / "routerd/routerd", "--version").split()[-1]
