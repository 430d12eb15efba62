# SPDX-License-Identifier: Apache-2.0
"""The Python kit behind a real routerd: many logins, outages, hostile clients, restarts."""

import random
import re
import sys
import threading
import time

import kit
import msgpack
import pages
import pytest
import utils
from rawclient import ABORT, Aborted, Client, Closed, Refused

pytestmark = pytest.mark.one_worker

KEY = utils.Key()

# lets in every key, after `seconds`
ANYBODY = """
async def authenticate(realm, authid, details):
    await asyncio.sleep({seconds})
    pubkey = details["authextra"]["pubkey"]
    if pubkey is None:
        raise wampauth.Error("com.example.no_key", "who are you?")
    return {{"realm": "devices", "role": "device", "authid": pubkey, "pubkey": pubkey}}
"""


@pytest.fixture(params=kit.FORMS)
def site(request, daemons, folder):
    """site(source) -> a process that serves its `authenticate` at authd.sock."""
    def start(source):
        daemons.append(kit.daemon(folder, request.param, source))
        return daemons[-1].start()

    return start


def outcome(client, **kw):
    """"welcome", the URI of the ABORT, or "dropped"."""
    try:
        client.join("devices", **kw)
        return "welcome"
    except Aborted as aborted:
        return aborted.uri
    except Closed:
        return "dropped"


def connects(routerd):
    """How often routerd has connected to the authenticator."""
    routerd.counters()
    return int(re.findall(r"counters authenticator .*\bconnects=(\d+)", routerd.log())[-1])


class Crowd:
    """Clients that connect at once and, like Autobahn, reconnect until all are in."""

    def __init__(self, routerd, count):
        self.routerd, self.times, self.refused, self.clients = routerd, [], [], []
        self.start = time.monotonic()
        self.threads = [threading.Thread(target=self._log_in, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _log_in(self):
        key, wait = utils.Key(), 0.5
        while True:
            try:
                client = Client(**self.routerd.address(), serializer="cbor", timeout=20)
                self.clients.append(client)
                client.join("devices", key=key)
                self.times.append(time.monotonic() - self.start)
                return
            except Aborted as aborted:
                self.refused.append(aborted.args)
                return
            except (Closed, Refused, OSError):
                time.sleep(random.uniform(0.5, 1.5) * wait)
                wait = min(wait * 1.5, 5)

    def wait(self):
        for thread in self.threads:
            thread.join(60 * utils.SLOW - (time.monotonic() - self.start))
        for client in self.clients:
            client.close_socket()
        assert self.refused == [] and len(self.times) == len(self.threads), (len(self.times), self.refused[:3])
        times = sorted([0, *self.times])
        return max(b - a for a, b in zip(times, times[1:])), times[-1]


def test_800_clients_at_300_ms(site, start_routerd):
    """More than the site can serve before they time out. They reconnect until all are in, and some
    get in all the time."""
    site(ANYBODY.format(seconds=0.3))
    routerd = start_routerd()
    gap, last = Crowd(routerd, 800).wait()
    print(f"longest time in which nobody got in: {gap:.1f} s; all were in after {last:.1f} s")
    assert gap < 2 * utils.SLOW and last < 20 * utils.SLOW
    assert connects(routerd) == 1


def test_restarts_under_load(site, start_routerd):
    """SIGTERM while hundreds log in: nobody is denied."""
    daemon = site(ANYBODY.format(seconds=0.2))
    crowd = Crowd(start_routerd(), 300)
    utils.wait_for(lambda: len(crowd.times) > 20, "the first")
    for _ in range(2):
        begin = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begin < 2 * utils.SLOW
        daemon.start()
    crowd.wait()


BACK_END = """
import urllib.request
def look_up(details):
    return urllib.request.urlopen("http://127.0.0.1:{port}/", timeout=details.seconds_left()).read().decode()

async def authenticate(realm, authid, details):
    return {{"realm": "devices", "authid": "x", "pubkey": details["authextra"]["pubkey"],
            "role": await asyncio.to_thread(look_up, details)}}
"""


def test_a_back_end_that_is_down(site, start_routerd, connect, folder, daemons):
    """Clients are dropped, not denied. They get in when the back-end works again."""
    port = utils.free_port()
    daemon = site(BACK_END.format(port=port))
    routerd = start_routerd()
    assert outcome(connect(routerd), key=KEY) == "dropped"
    assert "URLError" in daemon.log() and "Connection refused" in daemon.log()
    (folder / "index.html").write_text("device")
    back_end = utils.Daemon("http", [sys.executable, "-c", f"""
import http.server
server = http.server.HTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler)
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
server.serve_forever()"""], folder, wrap=False)
    daemons.append(back_end)
    back_end.start()
    assert outcome(connect(routerd), key=KEY) == "welcome"


EXTRAS = {
    "an extension": {"e": msgpack.ExtType(5, b"x")},
    "a timestamp": {"e": msgpack.Timestamp(5)},
    "a long key": {"pubkey": "x" * 16384},
    "deep": {"a": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]},
    "bytes": {"pubkey": b"x" * 32},
    "a list": {"pubkey": [KEY.public]},
    "many": {f"k{i}": i for i in range(300)},
    "a number as key": {1: 2},
    "an array as key": b"\x91\x01\x02",
    "a map as key": b"\x81\x01\x02\x03",
    "a bad timestamp": b"\xa1e\xd4\xff\x00",
}


def test_hostile_authextra(site, start_routerd, connect):
    """Hostile authextra costs only its own client; the link stays up."""
    site(ANYBODY.format(seconds=0))
    routerd = start_routerd()
    for what, extra in EXTRAS.items():
        client = connect(routerd, "msgpack")
        if isinstance(extra, bytes):
            hello = msgpack.packb([1, "devices", {"roles": {"caller": {}}, "authmethods": ["cryptosign"],
                                                  "authextra": {"?": 0}}])
            client.send_payload(hello.replace(b"\x81\xa1?\x00", b"\x81" + extra))
        else:
            client.hello("devices", authmethods=["cryptosign"], authextra=extra)
        try:
            assert client.recv()[0] == ABORT, what
        except Closed:
            pass
        assert outcome(connect(routerd), key=KEY) == "welcome", what
    assert connects(routerd) == 1


def test_wrong_answers_cost_their_client(site, start_routerd, connect):
    site("""
async def authenticate(realm, authid, details):
    pubkey = details["authextra"]["pubkey"]
    if authid == "good":
        return {"realm": "devices", "role": "device", "authid": authid, "pubkey": pubkey}
    return {"realm": "devices", "role": "device", "authid": "x" * 300, "pubkey": pubkey}
""")
    routerd = start_routerd()
    assert outcome(connect(routerd), key=KEY, authid="bad") == "wamp.error.authentication_failed"
    routerd.wait_log("authid: expected text of 1 to 255 bytes")
    assert outcome(connect(routerd), key=KEY, authid="good") == "welcome"
    assert connects(routerd) == 1


def test_the_readme(folder, daemons, start_routerd, connect):
    """The README's authenticator, with only its path and its database replaced."""
    text = pages.example("python", "Replace authd")
    assert "/run/authd/auth.sock" in text and "MY_DATABASE" in text
    (folder / "own.py").write_text(
        "import types\n"
        f"MY_DATABASE = {{{KEY.public!r}: types.SimpleNamespace(name='client01@example.com')}}\n"
        + text.replace("/run/authd/auth.sock", "authd.sock"))
    daemons.append(utils.Daemon("own", [sys.executable, "own.py"], folder, env={"PYTHONPATH": str(kit.FOLDER)},
                                wrap=False))
    daemons[-1].start()
    routerd = start_routerd()
    client = connect(routerd)
    assert outcome(client, key=KEY) == "welcome"
    assert client.details["authid"] == "client01@example.com" and client.details["authextra"]["foo"] == 23
    assert outcome(connect(routerd), key=utils.Key()) == "com.example.no_such_user"
    for authextra in (None, {}, {"pubkey": None}, {"pubkey": [1]}):
        client = connect(routerd)
        hello = {} if authextra is None else {"authextra": authextra}
        client.hello("devices", authmethods=["cryptosign"], authid="client01@example.com", **hello)
        message = client.recv()
        assert message[0] == ABORT and message[2] == "com.example.no_such_user", (authextra, message)
