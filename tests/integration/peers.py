# SPDX-License-Identifier: Apache-2.0
"""Real WAMP clients as puppets, all with the same interface.

A puppet is a process (peers/ab.py, js/ab.mjs or js/wampy.mjs) that runs any number of named
sessions. It reads one JSON command per line. `Puppet` starts the process and talks to it; `Peer` is
one of its sessions.
"""

import collections
import functools
import json
import os
import queue
import signal
import socket
import subprocess
import threading

import utils
from utils import ROOT

HERE = ROOT / "tests/integration"
VENV = ROOT / "build/venv/bin/python"
CLIENTS = ROOT / "build/js"

COMMANDS = {
    "ab-asyncio": ["/usr/bin/python3", HERE / "peers/ab.py", "asyncio"],
    "ab-twisted": ["/usr/bin/python3", HERE / "peers/ab.py", "twisted"],
    "ab-new-asyncio": [VENV, HERE / "peers/ab.py", "asyncio"],
    "ab-new-twisted": [VENV, HERE / "peers/ab.py", "twisted"],
    "autobahn-js": ["node", HERE / "js/ab.mjs"],
    "wampy": ["node", HERE / "js/wampy.mjs"],
}
PYTHON = [name for name in COMMANDS if name.startswith("ab-")]
JAVASCRIPT = ["autobahn-js", "wampy"]

BATCHED = ["json.batched", "msgpack.batched", "cbor.batched"]
PLAIN = ["json", "msgpack", "cbor"]


# Debian's asyncio client drops its own RawSocket session at WELCOME; wampy supports only WebSocket
RAWSOCKET = {"ab-twisted": PLAIN, "ab-new-asyncio": PLAIN, "ab-new-twisted": PLAIN, "autobahn-js": ["json"]}


def serializers(kind, transport="websocket"):
    """None if this client does not support the transport. JavaScript clients have no batched mode."""
    if transport != "websocket":
        return RAWSOCKET.get(kind, [])
    return PLAIN + BATCHED if kind in PYTHON else PLAIN


class PeerError(Exception):
    def __init__(self, err):
        super().__init__(err)
        self.uri = err["uri"]
        self.args_ = err["args"]
        self.kwargs = err["kwargs"]


def to_json(value):
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    return value


def from_json(value):
    if isinstance(value, dict):
        if list(value) == ["$bin"]:
            return bytes.fromhex(value["$bin"])
        return {k: from_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_json(v) for v in value]
    return value


def start_process(kind, stdin, stdout):
    return subprocess.Popen([str(a) for a in COMMANDS[kind]], stdin=stdin, stdout=stdout,
                            env={**os.environ, "CLIENTS": str(CLIENTS), "PYTHONUNBUFFERED": "1"})


@functools.cache
def forker(kind):
    """A process that forks puppets, and a socket to it. It ends when we end."""
    ours, theirs = socket.socketpair()
    with theirs:
        return start_process(kind, theirs, subprocess.DEVNULL), ours


def fork_puppet(kind, stdin, stdout):
    """Returns its pid."""
    control = forker(kind)[1]
    socket.send_fds(control, [b"+"], [stdin, stdout])
    return int.from_bytes(control.recv(4), "big")


# JavaScript's puppets that wait for the next test: these clients take long to load, and node cannot fork
IDLE = collections.defaultdict(list)


def take(kind):
    return IDLE[kind].pop() if IDLE[kind] else Puppet(kind)


def give_back(puppet):
    if puppet.reset():
        IDLE[puppet.kind].append(puppet)
    else:
        puppet.close()


class Puppet:
    def __init__(self, kind):
        self.kind = kind
        stdin, stdout = os.pipe(), os.pipe()
        if kind in PYTHON:
            self.process, self.pid = None, fork_puppet(kind, stdin[0], stdout[1])
        else:
            self.process = start_process(kind, stdin[0], stdout[1])
            self.pid = self.process.pid
        os.close(stdin[0])
        os.close(stdout[1])
        self.stdin, self.stdout = open(stdin[1], "w"), open(stdout[0])
        self.answers = {}
        self.users = 0  # the tests that it has served
        self.events = queue.Queue()
        self.parked = []
        self.reconnects = False
        self.changed = threading.Condition()
        self.next_id = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.stdout:
            message = from_json(json.loads(line))
            if "ev" in message:
                user, message["s"] = message["s"].split(" ", 1)
                if int(user) == self.users:
                    self.events.put(message)
                continue
            with self.changed:
                self.answers[message["id"]] = message
                self.changed.notify_all()
        with self.changed:
            self.answers[None] = {"err": {"uri": "test.puppet_died", "args": [], "kwargs": {}}}
            self.changed.notify_all()

    def start(self, op, **command):
        """Sends a command without waiting; returns a ticket for finish()."""
        self.next_id += 1
        self.reconnects = self.reconnects or command.get("retry", False)
        if "s" in command:
            command["s"] = f"{self.users} {command['s']}"
        line = json.dumps(to_json({"id": self.next_id, "op": op, **command}))
        self.stdin.write(line + "\n")
        self.stdin.flush()
        return self.next_id

    def finish(self, number, seconds=10):
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.answers or None in self.answers,
                                         seconds * utils.SLOW):
                raise TimeoutError(f"{self.kind}: no answer")
            answer = self.answers.pop(number, None) or self.answers[None]
        if "err" in answer:
            raise PeerError(answer["err"])
        return answer["ok"]

    def do(self, op, **command):
        return self.finish(self.start(op, **command))

    def event(self, seconds=10, **match):
        """The next event with these values; keeps the other events for later."""
        def fits(event):
            return all(event.get(k) == v for k, v in match.items())

        for event in self.parked:
            if fits(event):
                self.parked.remove(event)
                return event
        while True:
            try:
                event = self.events.get(timeout=seconds * utils.SLOW)
            except queue.Empty:
                raise TimeoutError(f"{self.kind}: no event {match}; have {self.parked}") from None
            if fits(event):
                return event
            self.parked.append(event)

    def reset(self):
        """Forgets all sessions and events. False if the process cannot serve another test."""
        if self.kind in PYTHON or self.reconnects:
            return False
        self.users += 1
        self.events, self.parked = queue.Queue(), []
        try:
            self.do("reset")
            return True
        except (PeerError, TimeoutError, OSError):
            return False

    def close(self):
        self.stdin.close()
        self.reader.join(5)  # it ends with the process
        if self.reader.is_alive():
            os.kill(self.pid, signal.SIGKILL)
            self.reader.join()
        self.stdout.close()
        if self.process:
            self.process.wait()


def credentials(key):
    """The part of a command that makes a session log in by a Key or a Ticket."""
    if isinstance(key, utils.Secret):
        return {"key": None, "secret": key.ticket}
    if isinstance(key, utils.Ticket):
        return {"key": None, "ticket": key.ticket}
    return {"key": key.seed.hex() if key else None}


class Peer:
    """One session of a puppet, with the same methods as rawclient.Client."""

    def __init__(self, puppet, url, serializer, realm="devices", key=None, name=None, **kw):
        self.puppet = puppet
        self.serializer = serializer
        self.name = name or f"{serializer}-{puppet.next_id}"
        self.details = puppet.do("join", s=self.name, url=url, serializer=serializer, realm=realm,
                                 **credentials(key), **kw)

    def __str__(self):
        return f"{self.puppet.kind}/{self.serializer}"

    def do(self, op, **command):
        return self.puppet.do(op, s=self.name, **command)

    def subscribe(self, topic, **options):
        return self.do("subscribe", topic=topic, options=options)

    def unsubscribe(self, topic):
        return self.do("unsubscribe", topic=topic)

    def register(self, procedure, kind="echo", **options):
        return self.do("register", proc=procedure, kind=kind, options=options)

    def unregister(self, procedure):
        return self.do("unregister", proc=procedure)

    def publish(self, topic, args, kwargs, **options):
        return self.do("publish", topic=topic, args=args, kwargs=kwargs, options=options)

    def call(self, procedure, args, kwargs, **options):
        result = self.do("call", proc=procedure, args=args, kwargs=kwargs, options=options)
        return result["args"], result["kwargs"]

    def start_call(self, procedure, args, **options):
        """Does not wait; returns a number for finish()."""
        return self.puppet.start("call", s=self.name, proc=procedure, args=args, kwargs={}, options=options)

    def finish(self, number):
        return self.puppet.finish(number)

    def cancel(self, procedure, **options):
        """Cancels the last call of this procedure."""
        self.do("cancel", proc=procedure, options=options)

    def event(self, topic):
        event = self.puppet.event(ev="event", s=self.name, topic=topic)
        return event["args"], event["kwargs"]

    def event_of(self, topic):
        """The arguments of the next event, and its publisher: [session, authid, authrole], or three
        times None if it is not disclosed."""
        event = self.puppet.event(ev="event", s=self.name, topic=topic)
        return event["args"], event["publisher"]

    def pattern_event(self, pattern):
        """The arguments of the next event of a pattern, and the topic in its Details."""
        event = self.puppet.event(ev="event", s=self.name, topic=pattern)
        return event["args"], event["matched"]

    def leave(self):
        self.do("leave")
