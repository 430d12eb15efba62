# SPDX-License-Identifier: Apache-2.0
"""How the integration tests start, use and stop real daemons in a temporary folder.

BUILD names the build folder (default build/release), WRAP a command to run the daemons under
(valgrind). Every wait has a condition and a deadline; there are no hopeful sleeps. The deadlines
are longer for slower builds.
"""

import functools
import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import nacl.signing

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build/release")
WRAP = os.environ.get("WRAP", "").split()
IS_ASAN = BUILD.name == "asan"
IS_TSAN = BUILD.name == "tsan"

# factor for all deadlines: how much slower than a release build this build may be
SLOW = 25 if WRAP else 8 if IS_TSAN else 4 if IS_ASAN else 2

# must not appear in a daemon's log
BAD_LOG = re.compile(
    r"ASSERT|ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer"
    r"|(definitely|indirectly) lost: [1-9]|Invalid (read|write)|uninitialised value"
)


def wait_for(condition, what, seconds=5):
    """Polls until condition() is true and returns its value. `what` completes "waited for"."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds * SLOW} s for {what}")
        time.sleep(0.01)


def realm_counter(routerd, name):
    """A counter of the owner of the realm "devices"."""
    pattern = re.compile(rf"counters realm=devices .*\b{name}=(\d+)")
    before = len(pattern.findall(routerd.log()))
    routerd.signal(signal.SIGUSR1)
    return int(wait_for(lambda: pattern.findall(routerd.log())[before:], "the realm's counters")[0])


# --- ports ----------------------------------------------------------------------------------

PORTS = 500


@functools.cache
def _ports():
    """Ports that no other process of tests uses, of any run on this machine. A socket's name is the lock:
    it is as private to a network namespace as the ports are, and ends with this process. All are below
    the kernel's ephemeral range, so that no outgoing connection takes one."""
    for first in range(10000, 32500, PORTS):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0wamp-test-ports-{first}")
        except OSError:
            lock.close()
            continue
        return lock, itertools.cycle(range(first, first + PORTS))
    raise RuntimeError("too many tests run at the same time: no ports are left")


def free_port():
    for port in itertools.islice(_ports()[1], PORTS):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


# --- keys -----------------------------------------------------------------------------------


class Key:
    """An Ed25519 key pair for cryptosign."""

    def __init__(self, seed=None):
        self.seed = seed or secrets.token_bytes(32)
        self._key = nacl.signing.SigningKey(self.seed)

    @property
    def public(self):
        return self._key.verify_key.encode().hex()

    def sign(self, challenge_hex):
        """The signature of AUTHENTICATE: signature and challenge, in hex."""
        message = bytes.fromhex(challenge_hex)
        return (self._key.sign(message).signature + message).hex()


class Ticket:
    """The secret of a login by ticket. Tests that run for every login method use it like a Key."""

    public = None

    def __init__(self, ticket=None):
        self.ticket = ticket or secrets.token_hex(16)


class Secret(Ticket):
    """The secret of a login by wampcra."""


# --- processes ------------------------------------------------------------------------------


class Daemon:
    """One of the project's daemons, or another program that prints "ready" on stderr."""

    def __init__(self, name, argv, cwd, env=None, wrap=True, limits=None):
        self.name = name
        self.argv = (WRAP if wrap else []) + [str(a) for a in argv]
        self.cwd = Path(cwd)
        self.env = {**os.environ, **sanitizer_env(), **(env or {})}
        self.limits = limits
        self.log_path = self.cwd / f"{name}.log"
        self.process = None
        self.stopping = False
        self.log_start = 0

    def start(self, wait=True, stderr=None):
        """With `stderr` given, returns at once: "ready" would not appear in the log file."""
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.stopping = False
            self.process = subprocess.Popen(
                self.argv, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log if stderr is None else stderr, preexec_fn=self.limits,
            )
        if wait and stderr is None:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n"
                                   f"{self.log_tail()}")
            return re.search(r"\bready\b", self.log(since_start=True))

        wait_for(ready, f"{self.name} to be ready", 10)

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self, since_start=False):
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_bytes()
        return text[self.log_start if since_start else 0:].decode("utf-8", "replace")

    def log_tail(self, lines=60):
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_log(self, pattern, seconds=5):
        return wait_for(lambda: re.search(pattern, self.log(since_start=True)),
                        f"{pattern!r} in the log of {self.name}", seconds)

    def signal(self, number):
        self.stopping = self.stopping or number == signal.SIGTERM
        self.process.send_signal(number)

    def stop(self):
        """Sends SIGTERM unless the test has, and expects exit status 0 before the deadline."""
        if self.process is None:
            return
        if self.process.poll() is None:
            if not self.stopping:
                self.process.terminate()
            try:
                self.process.wait(10 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not stop:\n{self.log_tail()}") from None
        code, self.process = self.process.returncode, None
        assert code == 0, f"{self.name} ended with {code}:\n{self.log_tail()}"

    def kill(self):
        """Ends the daemon with SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def check_log(self):
        log = self.log()
        bad = BAD_LOG.search(log)
        assert not bad, f"{self.name} logged:\n{log[max(0, bad.start() - 500):bad.start() + 8000]}"

    # --- what /proc says ---

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self):
        """Resident memory in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def cpu(self):
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sanitizer_env():
    env = {
        "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=0 exitcode=66 second_deadlock_stack=1"
                        f" suppressions={ROOT / 'tests/tsan.supp'}",
    }
    return {k: v for k, v in env.items() if k not in os.environ}


def tsan_prefix():
    """TSan's shadow memory does not fit the address randomisation of every kernel."""
    return ["setarch", "-R"] if IS_TSAN else []


class Routerd(Daemon):
    def __init__(self, folder, config, name="routerd", **kw):
        self.config = config
        self.config_path = Path(folder) / f"{name}.yaml"
        self.write_config()
        argv = tsan_prefix() + [BUILD / "routerd/routerd", "-c", self.config_path.name]
        super().__init__(name, argv, folder, **kw)

    def write_config(self):
        # JSON is valid YAML, and no string can be mistaken for a number
        self.config_path.write_text(json.dumps(self.config, indent=1) + "\n")

    @property
    def threads(self):
        return self.config.get("threads", 1)

    def port(self, listener=0):
        return self.config["transports"][listener]["endpoint"]["port"]

    def address(self, listener=0):
        """The arguments for a raw client."""
        endpoint = self.config["transports"][listener]["endpoint"]
        if endpoint["type"] == "unix":
            return {"port": 0, "unix": self.cwd / endpoint["path"]}
        return {"port": endpoint["port"], "host": endpoint["interface"]}

    def url(self, listener=0):
        """The URL for real clients, with Autobahn's URLs for RawSocket."""
        if self.config["transports"][listener]["type"] != "rawsocket":
            return f"ws://127.0.0.1:{self.port(listener)}/ws"
        address = self.address(listener)
        return f"rs://unix:{address['unix']}" if "unix" in address else f"rs://127.0.0.1:{address['port']}"

    def log_counters(self):
        """Asks for the counters. Returns the complete lines of the log from there to the last one."""
        start = len(self.log())
        self.signal(signal.SIGUSR1)
        return wait_for(lambda: re.match(r"(?s).*\bcounters end .*?\n", self.log()[start:]), "the counters").group()

    def counters(self):
        """Asks for the counters and returns a dict of integers for each worker."""
        # a worker of a busy machine may answer too late
        text = wait_for(lambda: [t for t in [self.log_counters()] if "counters are missing" not in t],
                        "the counters of every worker", 30)[0]
        result = [{} for _ in range(self.threads)]
        for worker, rest in re.findall(r"\bcounters worker=(\d+) (.*)$", text, re.M):
            result[int(worker)].update((k, int(v)) for k, v in re.findall(r"(\w+)=(\d+)\b", rest))
        return result

    def total(self, counter):
        return sum(c[counter] for c in self.counters())

    def check_threads(self):
        """With several workers: each had sessions, and posts went between them."""
        if self.threads == 1:
            return
        counters = self.counters()
        assert all(c["sessions_opened"] > 0 for c in counters), counters
        assert sum(c["posts_out"] for c in counters) > 0, counters
        assert sum(c["posts_in"] for c in counters) > 0, counters


class Authd(Daemon):
    def __init__(self, folder, config=None, name="authd", **kw):
        self.config = {
            "database": "authd.db",
            "listen": {"path": "authd.sock"},
            "admin": {"path": "admin.sock"},
            **(config or {}),
        }
        path = Path(folder) / f"{name}.yaml"
        path.write_text(json.dumps(self.config, indent=1) + "\n")
        argv = tsan_prefix() + [BUILD / "authd/authd", "-c", path.name]
        super().__init__(name, argv, folder, **kw)

    def ctl(self, *args, ok=True):
        """Runs authctl; returns its stdout. With ok=False returns (status, stdout, stderr)."""
        done = subprocess.run(
            [str(a) for a in tsan_prefix() + [BUILD / "authd/authctl", "--socket", "admin.sock", *args]],
            cwd=self.cwd, env=self.env, capture_output=True, text=True, timeout=20 * SLOW,
        )
        if not ok:
            return done.returncode, done.stdout, done.stderr
        assert done.returncode == 0, f"authctl {args}: {done.returncode} {done.stderr}"
        return done.stdout

    def add(self, authid, key, realm="devices", role="device", extra=None):
        args = ["--realm", realm, "--role", role, "--key", key.public]
        if extra is not None:
            args += ["--extra", json.dumps(extra)]
        self.ctl("principal", "add", authid, *args)


# --- configurations -------------------------------------------------------------------------

ALL = {"call": True, "register": True, "publish": True, "subscribe": True}


def permission(uri="", match="prefix", **allow):
    return {"uri": uri, "match": match, "allow": allow or ALL}


def router_config(threads=1, anonymous="device", cryptosign=True, **more):
    """A configuration with one realm "devices" and one listener."""
    auth = {}
    if cryptosign:
        for method in ("cryptosign", "ticket"):
            auth[method] = {"type": "dynamic", "authenticator": "authd"}
    if anonymous:
        auth["anonymous"] = {"type": "static", "role": anonymous}
    config = {
        "threads": threads,
        "realms": [{"name": "devices",
                    "roles": [{"name": "device", "permissions": [permission()]}]}],
        "transports": [{
            "type": "websocket", "id": "public",
            "endpoint": {"type": "tcp", "port": free_port(), "interface": "127.0.0.1"},
            "paths": ["/ws"], "auth": auth,
        }],
        **more,
    }
    if cryptosign:
        config["authenticators"] = {"authd": {"socket": "authd.sock"}}
    return config


def change_transport(config, transport):
    """Gives all listeners this transport (see rawclient.FRAMINGS)."""
    for listener in config["transports"]:
        listener["type"], *unix = transport.split("-")
        if listener["type"] == "rawsocket":
            listener.pop("paths", None)
        if unix:
            listener["endpoint"] = {"type": "unix", "path": f"{listener['id']}.sock"}
