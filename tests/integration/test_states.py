# SPDX-License-Identifier: Apache-2.0
"""Each message in each state of a session: either it is expected, or the router sends ABORT."""

import signal
import socket
import struct

import pytest
import rawclient
import utils
from authenticator import Authenticator, principal
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, GOODBYE, HELLO, WELCOME

pytestmark = [pytest.mark.one_worker, pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)]

ROLES = {"roles": {"caller": {}}}
MESSAGES = {
    "HELLO": [HELLO, "devices", ROLES], "WELCOME": [WELCOME, 1, {}], "ABORT": [ABORT, {}, "wamp.error.x"],
    "CHALLENGE": [CHALLENGE, "cryptosign", {}], "AUTHENTICATE": [AUTHENTICATE, "00", {}],
    "GOODBYE": [GOODBYE, {}, "wamp.close.normal"], "ERROR": [8, 68, 1, {}, "com.example.e"],
    "PUBLISH": [16, 1, {}, "com.example.t"], "PUBLISHED": [17, 1, 1], "SUBSCRIBE": [32, 1, {}, "com.example.t"],
    "SUBSCRIBED": [33, 1, 1], "UNSUBSCRIBE": [34, 1, 1], "UNSUBSCRIBED": [35, 1], "EVENT": [36, 1, 1, {}],
    "CALL": [48, 1, {}, "com.example.p"], "CANCEL": [49, 1, {}], "RESULT": [50, 1, {}],
    "REGISTER": [64, 1, {}, "com.example.p"], "REGISTERED": [65, 1, 1], "UNREGISTER": [66, 1, 1],
    "UNREGISTERED": [67, 1], "INVOCATION": [68, 1, 1, {}], "INTERRUPT": [69, 1, {}], "YIELD": [70, 1, {}],
}
EXPECTED = {
    "connected": {"HELLO", "ABORT"},
    "asking": {"ABORT"},
    "challenged": {"ABORT", "AUTHENTICATE"},
    "asking about a ticket": {"ABORT"},
    "asked for a ticket": {"ABORT", "AUTHENTICATE"},
    "joined": {"ABORT", "GOODBYE", "ERROR", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "CALL", "CANCEL", "REGISTER",
               "UNREGISTER", "YIELD"},
    "left": {"HELLO", "ABORT"},
}


@pytest.fixture
def reach(connect, authd, start_routerd, known_key):
    """reach(state) -> a client in that state."""
    authd.add("client01@example.com", known_key)
    served = start_routerd(threads=1)
    # without its authenticator, logins stay pending
    config = utils.router_config()
    config["authenticators"]["authd"]["socket"] = "nobody.sock"
    alone = start_routerd(config, name="alone")

    def go(state):
        client = connect(alone if "asking" in state else served)
        if state == "asking":
            client.hello(authmethods=["cryptosign"], authextra={"pubkey": known_key.public})
        elif state == "challenged":
            client.challenge("devices", known_key)
        elif state == "asking about a ticket":
            client.ask(utils.Ticket(), "devices")
        elif state == "asked for a ticket":
            client.challenge("devices", utils.Ticket())
        elif state in ("joined", "left"):
            client.join()
        if state == "left":
            client.leave()
        return client

    return go


@pytest.mark.parametrize("state", list(EXPECTED))
def test_each_message_in_each_state(reach, state):
    for name, message in MESSAGES.items():
        client = reach(state)
        client.send(message)
        if name == "ABORT":
            assert client.wait_closed()[1] == [], "the router answered ABORT"
        elif name not in EXPECTED[state]:
            abort = client.expect(ABORT)
            assert abort[2] == "wamp.error.protocol_violation", name
            assert client.wait_closed()[1] == [], name
        elif state == "joined" and name != "GOODBYE":
            assert all(m[0] in (8, 33, 65) for m in client.silent()), name
        else:
            expected = {"HELLO": WELCOME, "AUTHENTICATE": ABORT, "GOODBYE": GOODBYE}[name]
            assert client.recv()[0] == expected, name
        client.close_socket()


def lose(client):
    """Ends the connection by a reset, as after a crash of the client's machine."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close_socket()


def flood(client):
    client.subscribe("com.example.t")
    for _ in range(400):
        client.publish("com.example.t", ["x" * 50000], exclude_me=False)


ENDS = {
    "left": lambda client: client.leave(),
    "aborted by the client": lambda client: client.send([ABORT, {}, "wamp.error.x"]),
    "protocol violation": lambda client: client.send([HELLO, "devices", ROLES]),
    "protocol error": lambda client: client.send_bytes(b"\xff" * 8),
    "message too big": lambda client: client.send_frame(client.opcode, bytes(200000)),
    "closed by peer": lambda client: client.close(),
    "connection lost": lose,
    "slow consumer": flood,
    "ping timeout": lambda client: None,
    "wamp.close.killed": lambda client: None,
    "closed by router": lambda client: None,
}


def test_the_log_says_why_a_session_is_over(folder, start_routerd, connect, known_key, transport):
    fake = Authenticator(folder, lambda *args: principal(known_key))
    config = utils.router_config()
    config["limits"] = {"queue_size": 65536}
    listener = config["transports"][0]
    listener["options"] = {"max_message_size": 100000}
    pings = {"auto_ping_interval": 100, "auto_ping_timeout": 100}
    if transport == "rawsocket":
        pings["rawsocket_ping"] = True
    config["transports"].append({**listener, "id": "pinged", "options": pings,
                                 "endpoint": {**listener["endpoint"], "port": utils.free_port()}})
    routerd = start_routerd(config)
    for reason, end in ENDS.items():
        client = connect(routerd, listener=int(reason == "ping timeout"))
        client.join(key=known_key if "killed" in reason else None)
        if "killed" in reason:
            fake.revoke(uri=reason, authid="client01@example.com")
        elif reason == "closed by router":
            routerd.signal(signal.SIGTERM)
        end(client)
        routerd.wait_log(rf'session closed session={client.session} reason="{reason}" duration_ms=\d+ suppressed=0\n')
    fake.stop()
