#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mixes features at random, for as long as you like, and checks every message: `make soak`.

One router with 4 threads serves 50 sessions over WebSocket and RawSocket, with all serializers, but
without TLS, long-poll and compression. They do what actions.py says; session.py and model.py check
what they receive. The run consists of rounds. At the end of a round the sessions are quiet: then
every request has its answer, and every event has come. Then they leave, and the router's counters
say that nothing is left of them.

The same seed makes the same choices, though the messages of a run may travel at other times.
"""

import argparse
import gc
import hashlib
import hmac
import heapq
import itertools
import math
import os
import random
import re
import selectors
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

import actions
import kit
import utils
from client import Actor, Failure
from model import Realm, Violation, World
from observer import Observer
from session import NAMES, Call, Login

REALMS = ["one", "two", "three"]
THREADS = 4
SESSIONS = 50

# gauges of a realm that must be 0 when all sessions have left
GAUGES = ["sessions", "memberships", "registrations", "callees", "calls_in_flight", "calls_queued", "testaments",
          "orphans", "reroute_bytes", "replaced", "unsent_publishes"]
# of a worker: when all have left, and at any time
WORKER_GAUGES = ["connections", "sessions"]
EXPECTED_ERRORS = re.compile("authenticator is (still )?not available|authorization failed")  # while it restarts
NEVER = ["posts_unsent", "out_of_memory", "closed_protocol_error", "closed_no_memory",
         "closed_ping_timeout", "closed_message_too_big", "pending_calls_full",
         "login_reports_lost", "closed_handshake_refused", "closed_over_output_budget", "closed_over_input_budget"]


# --- the site -----------------------------------------------------------------------------------

AUTHENTICATOR = '''
import random

def role_of(authid):
    return "boss" if authid == "boss" else "asked" if authid.startswith("asked") else "device"

async def authenticate(realm, authid, details):
    await asyncio.sleep(random.choice([0, 0, 0, 0.02, 0.2]))
    if details["authmethod"] == "ticket":
        if details["ticket"] != "ticket of " + authid:
            raise wampauth.Error("soak.error.who", "wrong ticket")
        return {"realm": realm, "role": role_of(authid), "authid": authid}
    if details["authmethod"] == "cookie":
        authid = details["transport"]["http_headers_received"]["cookie"].removeprefix("who=")
        return {"realm": realm, "role": role_of(authid), "authid": authid}
    return {"realm": realm, "role": role_of(authid), "authid": authid, "pubkey": details["authextra"]["pubkey"]}

async def authorize(details, uri, action, options):
    await asyncio.sleep(random.choice([0, 0, 0, 0, 0, 0, 0, 0.01, 0.05]))
    if uri.startswith("deny.") or uri in ("", "..t"):
        return False
    return {"allow": True, "disclose": ".shown." in uri, "cache": random.random() < 0.3}
'''

CRA = {f"cra{i}": f"secret of cra{i}" for i in range(3)}
SCRAM = {f"scram{i}": f"password of scram{i}" for i in range(3)}
KEYS = {f"{role}{i}": hashlib.sha256(f"{role}{i}".encode()).digest() for role in ("asked", "device") for i in range(3)}


def scram_keys(password):
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).hexdigest()
    return {"kdf": "pbkdf2", "iterations": 4096, "salt": salt.hex(), "stored-key": stored,
            "server-key": hmac.digest(salted, b"Server Key", "sha256").hex()}


def permissions(*own, revoked):
    rights = [utils.permission(), utils.permission("deny.", call=False), *own]
    return rights + [utils.permission("rev.", call=False)] * revoked


def roles(revoked=False):
    shown = {**utils.permission("soak.shown."), "disclose": {"caller": True, "publisher": True}, "trust_level": 5}
    hidden = {**utils.permission("soak.hidden."), "disclose": {"caller": False, "publisher": False}}
    refuse = {**utils.permission("soak.refuse."), "disclose": {"caller": "refuse", "publisher": "refuse"}}
    device = [{**p, "trust_level": 9} for p in permissions(revoked=revoked)]
    return [{"name": "free", "permissions": permissions(shown, hidden, refuse, revoked=revoked)},
            {"name": "device", "permissions": device},
            {"name": "asked", "authorizer": "authd"},
            {"name": "boss", "permissions": [utils.permission()]}]


def configuration():
    options = {"call_queue": 5, "history": [{"uri": "soak.hist.t", "limit": 100},
                                            {"uri": "soak.h.", "match": "prefix", "limit": 50}]}
    auth = {"anonymous": {"type": "static", "role": "free"},
            "ticket": {"type": "dynamic", "authenticator": "authd"},
            "cryptosign": {"type": "dynamic", "authenticator": "authd"},
            "cookie": {"type": "dynamic", "authenticator": "authd"},
            "wampcra": {"type": "static", "users": {a: {"role": "device", "secret": s} for a, s in CRA.items()}},
            "scram": {"type": "static", "principals": {a: {"role": "free", **scram_keys(p)}
                                                       for a, p in SCRAM.items()}}}
    return {"threads": THREADS, "limits": {"queue_size": 2 << 20}, "authenticators": {"authd": {"socket": "authd.sock"}},
            "realms": [{"name": name, "roles": roles(), "options": options} for name in REALMS],
            "transports": [{"type": "universal", "id": "tcp", "auth": auth,
                            "endpoint": {"type": "tcp", "port": utils.free_port(), "interface": "127.0.0.1"}},
                           {"type": "universal", "id": "unix", "auth": auth,
                            "endpoint": {"type": "unix", "path": "wamp.sock"}}]}


def cookie_login(rng):
    """Returns (cookie, login)."""
    authid = rng.choice(list(KEYS))
    return f"who={authid}", Login("cookie", authid[:-1], authid)


def random_login(rng):
    is_wrong = rng.random() < 0.02
    dice = rng.random()
    if dice < 0.4:
        return Login("anonymous", "free")
    if dice < 0.6:
        authid = rng.choice(list(KEYS))
        return Login("ticket", authid[:-1], authid, "ticket of " + authid, is_wrong)
    if dice < 0.8:
        authid = rng.choice(list(KEYS))
        return Login("cryptosign", authid[:-1], authid, KEYS[authid], is_wrong)
    if dice < 0.9:
        authid = rng.choice(list(CRA))
        return Login("wampcra", "device", authid, CRA[authid], is_wrong)
    authid = rng.choice(list(SCRAM))
    return Login("wamp-scram", "free", authid, SCRAM[authid], is_wrong)


# --- the run ------------------------------------------------------------------------------------


class Run:
    random_login, cookie_login = staticmethod(random_login), staticmethod(cookie_login)

    def __init__(self, folder, seed, seconds, pace):
        self.folder, self.seed, self.seconds, self.pace = folder, seed, seconds, pace
        self.rng = random.Random(seed)
        self.start = time.monotonic()
        self.world = World()
        self.world.realms = {name: Realm(name, self.world) for name in REALMS}
        self.selector = selectors.DefaultSelector()
        self.timers, self.timer_numbers = [], itertools.count()
        self.authenticator_trouble = 0  # until then logins and requests may fail for want of it
        self.is_acting = self.is_revoked = False
        self.is_reloaded = True
        self.stepped, self.stood_still = self.start, 0
        self.actors, self.observers = [], []
        self.memory = []
        self.number = 0
        self.log_seen = 0
        self.routerd = utils.Routerd(folder, configuration())
        self.authenticator = kit.daemon(folder, "asyncio", AUTHENTICATOR, "authenticator", authorize=True)
        self.tcp = "127.0.0.1", self.routerd.port()
        self.unix = str(folder / "wamp.sock")

    def main(self):
        self.authenticator.start()
        self.routerd.start()
        self.routerd.wait_log("authenticator is available")
        number = max(1, round(self.seconds / 30))
        for i in range(number):
            self.round(i, self.seconds / number)
        self.check_memory()
        self.routerd.stop()
        self.authenticator.stop()
        self.routerd.check_log()
        self.check_log()

    def round(self, number, seconds):
        self.number = number
        self.actors = []
        self.observers = [Observer(self, realm) for realm in self.world.realms.values()]
        for observer in self.observers:
            observer.connect()
        self.stepped = time.monotonic()
        self.run_until(lambda: all(o.is_ready for o in self.observers), "the observers")
        # most sessions meet in one realm
        names = ["one"] * 30 + ["two"] * 12 + ["three"] * 8
        self.actors = [Actor(self, f"{number}.{i}", self.world.realms[name]) for i, name in enumerate(names)]
        self.is_acting = True
        for actor in self.actors:
            self.later(self.rng.random(), actor.connect)
        self.later(1, self.look)
        self.later(self.rng.uniform(2, 5), self.reload)
        self.later(self.rng.uniform(3, 8), self.restart_authenticator)
        self.later(self.rng.uniform(2, 6), self.drown)
        self.run_for(seconds)
        self.is_acting = False
        self.run_until(lambda: self.is_reloaded and self.authenticator_trouble < math.inf, "the reload and the restart")
        self.run_until(self.is_quiet, "an answer to every request, and the sessions' return", 30)
        for observer in self.observers:
            observer.check_quiet()
        self.run_until(lambda: all(o.is_quiet() for o in self.observers), "the observers' answers")
        for actor in self.actors:
            actor.is_done = True
        self.observers[number % 3].kill_all()
        for actor in self.actors:
            if actor.realm is not self.observers[number % 3].realm:
                actor.leave()
        self.run_until(lambda: all(o.is_alone() for o in self.observers), "on_leave of every session", 20)
        for observer in self.observers:
            observer.check_end()
            observer.leave()
        self.run_until(lambda: all(a.wire is None for a in self.actors + self.observers), "the end of all connections")
        self.check_counters()
        self.check_log()
        self.memory.append(self.routerd.rss())
        self.report()
        self.forget()

    def is_quiet(self):
        for actor in self.actors:
            if actor.session and actor.session.state == "joined":
                if actor.is_paused:
                    actor.resume(actor.session)
                actions.settle(actor.session)
        return all(a.session and a.is_quiet() for a in self.actors)

    def forget(self):
        """Keeps only what the router may still have: retained events and histories."""
        world = self.world
        kept = {p for r in world.realms.values() for table in (r.retained, r.history)
                for publications in table.values() for p in publications}
        world.publications = {p.token: p for p in kept}
        world.calls = {}
        past = {}
        for p in kept:
            p.got, p.expected = set(), ()
            p.session = past.setdefault(p.session.uid, p.session.remains())
        for realm in world.realms.values():
            realm.subscriptions, realm.registrations, realm.sessions, realm.matching = {}, {}, {}, {}
            realm.takeovers, realm.gone, realm.kills, realm.unconfirmed = {}, {}, [], []
            realm.lost.clear()
            realm.observer, realm.removals = None, []
        self.timers, self.actors, self.observers = [], [], []
        gc.collect()

    # --- what happens around the sessions ---

    def reload(self):
        """Takes the rights to rev. from two roles, or gives them back."""
        if not self.is_acting:
            return
        self.is_revoked = not self.is_revoked
        for realm in self.routerd.config["realms"]:
            realm["roles"] = roles(self.is_revoked)
        self.routerd.write_config()
        self.is_reloaded, self.world.revoked = False, None
        self.reload_log = self.routerd.log_path.stat().st_size
        self.routerd.signal(signal.SIGHUP)
        self.world.count("reload")
        self.later(0.1, self.wait_reload)

    def wait_reload(self):
        with open(self.routerd.log_path, "rb") as log:
            log.seek(self.reload_log)
            text = log.read()
        if b" reload refused" in text:
            raise Failure("reload refused")
        if b" reload done" not in text:
            self.later(0.1, self.wait_reload)
            return
        self.is_reloaded = True
        if self.is_revoked:
            self.world.revoked = self.world.tick
        self.later(self.rng.uniform(1, 5), self.reload)

    def restart_authenticator(self):
        if not self.is_acting:
            return
        self.world.count("restart of the authenticator")
        self.authenticator_trouble = math.inf
        self.authenticator_log = self.routerd.log_path.stat().st_size
        self.authenticator.process.terminate()
        self.later(self.rng.choice([0.1, 1]), self.start_authenticator)

    def start_authenticator(self):
        if self.authenticator.process.poll() is None:
            self.later(0.1, self.start_authenticator)
            return
        self.authenticator.start(wait=False)
        self.later(0.1, self.wait_authenticator)

    def wait_authenticator(self):
        with open(self.routerd.log_path, "rb") as log:
            log.seek(self.authenticator_log)
            if b"authenticator is available" not in log.read():
                self.later(0.1, self.wait_authenticator)
                return
        # what waited before the router was connected may still fail
        self.authenticator_trouble = time.monotonic() + 1
        self.later(self.rng.uniform(5, 15), self.restart_authenticator)

    def drown(self):
        """A session that does not read gets more than its queue may hold."""
        if not self.is_acting:
            return
        joined = [a for a in self.actors if a.session and a.session.state == "joined" and not a.session.wire.out]
        for reader, writer in zip(joined, joined[1:]):
            if reader.realm is writer.realm and reader.session.until is writer.session.until is None:
                reader.drown(writer.session)
                break
        self.later(self.rng.uniform(4, 10), self.drown)

    # --- the loop ---

    def later(self, delay, function, *args):
        heapq.heappush(self.timers, (time.monotonic() + delay, next(self.timer_numbers), function, args))

    def step(self):
        wait = self.timers[0][0] - time.monotonic() if self.timers else 0.1
        for key, mask in self.selector.select(max(0, min(wait, 0.1))):
            actor = key.data
            if actor.wire and actor.wire.socket is key.fileobj:
                actor.on_event(mask)
                self.check_pace(actor.on_event)
        now = self.check_pace(self.step)
        while self.timers and self.timers[0][0] <= now:
            _, _, function, args = heapq.heappop(self.timers)
            function(*args)
            self.check_pace(function)

    def check_pace(self, function):
        """Notes when this process stood still: the router then ends logins that take too long."""
        now = time.monotonic()
        if now - self.stepped > 3:
            print(f"the test stood still for {now - self.stepped:.1f} s in {function.__qualname__}", flush=True)
            self.stood_still = now + 10
        self.stepped = now
        return now

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def run_until(self, condition, what, seconds=10):
        end = time.monotonic() + seconds * utils.SLOW
        while not condition():
            self.step()
            if time.monotonic() > end:
                late = [a for a in self.actors + self.observers if a.session and a.session.pending]
                raise Failure(f"waited {seconds * utils.SLOW} s for {what}; {len(late)} sessions wait, the first one "
                              f"for {list(late[0].session.pending.values())[0].__dict__}" if late else
                              f"waited for {what}", late[0] if late else None)

    def look(self):
        """Finds requests that were not answered in time."""
        now = time.monotonic()
        for actor in self.actors:
            s = actor.session
            if s is None or s.state != "joined" or s.was_slow:
                continue
            for request in s.pending.values():
                limit = 15 * utils.SLOW
                if isinstance(request, Call) and not request.meta:
                    if not request.options.get("timeout") or request.input_open or "kill" in request.cancels:
                        continue
                    limit += request.options["timeout"] / 1000
                if now - getattr(request, "moved", request.time) > limit:
                    raise Failure(f"no answer after {limit} s to {NAMES[request.kind]}: {request.__dict__}", actor)
        self.later(1, self.look)

    # --- what is left ---

    def check_counters(self):
        deadline = time.monotonic() + 10 * utils.SLOW
        while True:
            text = self.routerd.log_counters()
            wrong = list(self.wrong_counters(text))
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise Failure(f"the counters after the round: {', '.join(wrong)}\n{text}")
            time.sleep(0.2)

    def wrong_counters(self, text):
        if "counters are missing" in text:
            yield "counters are missing"
        violations = sum(map(int, re.findall(r"\bprotocol_violations=(\d+)", text)))
        if violations > self.world.seen.get("violation", 0):
            yield f"protocol_violations={violations}"
        for line in re.findall(r"\bcounters (\S.*)", text):
            values = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)\b", line)}
            names = (GAUGES if line.startswith("realm=") else WORKER_GAUGES + NEVER if line.startswith("worker=")
                     else ["held", "authorize_held", "in_flight"] if line.startswith("authenticator") else [])
            for name in names:
                if values.get(name):
                    yield f"{line.split()[0]} {name}={values[name]}"
            if line.startswith("realm=") and values.get("subscriptions", 2) != 2:  # those of the histories
                yield f"{line.split()[0]} subscriptions={values['subscriptions']}"

    def check_log(self):
        text = self.routerd.log_path.read_bytes()[self.log_seen:].decode("utf-8", "replace")
        self.log_seen += len(text.encode())
        for line in text.splitlines():
            if re.match(r"\S+ error ", line) and not EXPECTED_ERRORS.search(line):
                raise Failure(f"the router's log: {line}")

    def check_memory(self):
        """The router may grow until the retained events and the histories are full, and the allocator has its
        arenas. Then it must not. Sanitizers keep freed memory, so they find leaks only at the end."""
        quarter = len(self.memory) // 4
        if quarter < 4 or utils.IS_ASAN or utils.IS_TSAN:
            return
        middle, last = self.memory[quarter:2 * quarter], self.memory[-quarter:]
        growth = min(last) - max(middle)
        print(f"memory: at most {max(middle) >> 10} KiB in the second quarter, at least {min(last) >> 10} KiB in the last")
        if growth > 4 << 20:
            raise Failure(f"memory grows: {[m >> 10 for m in self.memory]} KiB after each round")

    def report(self):
        seen = self.world.seen
        print(f"round {self.number}: {time.monotonic() - self.start:.0f} s, {self.world.tick} messages, "
              f"{seen.get('CALL', 0)} calls, {seen.get('event', 0)} events, memory {self.memory[-1] >> 10} KiB, "
              f"own CPU {time.process_time():.0f} s, router {self.routerd.cpu():.0f} s", flush=True)


def explain(run, failure):
    """Says what is needed to find the cause."""
    print(f"\nFAILED: {failure}\nseed {run.seed}, round {run.number}, {time.monotonic() - run.start:.3f} s")
    actors = [failure.actor] if isinstance(failure, Failure) and failure.actor else []
    if actors:
        print(f"message {str(failure.message)[:2000]}")
    # other sessions that the text names
    actors += [a for a in run.actors if a not in actors and a.session and a.session.id and str(a.session.id) in
               str(failure)][:2]
    for actor in actors:
        print(f"the last messages of {actor.session}:")
        for when, direction, message in list(actor.log)[-60:]:
            print(f"  {when - run.start:9.3f} {direction} {str(message)[:600]}")
    print(f"the router's log:\n{run.routerd.log_tail(30)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--port", type=int, help="the first port to try", default=14000 + os.getpid() % 5000)
    parser.add_argument("--pace", type=float, default=0.25, help="mean pause of a session between its actions, in s")
    args = parser.parse_args()
    gc.disable()  # it would stop the test for seconds; each round ends with a collection
    utils._next_port = args.port  # integration tests that run meanwhile have others
    folder = Path(tempfile.mkdtemp(prefix="soak."))
    run = Run(folder, args.seed, args.seconds, args.pace)
    print(f"seed {args.seed}, {args.seconds:.0f} s, {utils.BUILD.name}", flush=True)
    try:
        run.main()
    except BaseException as e:
        explain(run, e)
        for daemon in (run.routerd, run.authenticator):
            if daemon.running:
                daemon.kill()
        if isinstance(e, (Failure, Violation)):
            e.__traceback__ = None
            sys.exit(1)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what, number in sorted(run.world.seen.items()):
        print(f"{number:10} {what}")
    print(f"passed, seed {args.seed}")


if __name__ == "__main__":
    main()
