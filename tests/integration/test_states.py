# SPDX-License-Identifier: Apache-2.0
"""Each message in each state of a session: it is expected there, or the session ends by ABORT."""

import pytest
import rawclient
import utils
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, GOODBYE, HELLO, WELCOME

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

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
    "joined": {"ABORT", "GOODBYE", "ERROR", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "CALL", "CANCEL", "REGISTER",
               "UNREGISTER", "YIELD"},
    "left": {"HELLO", "ABORT"},
}


@pytest.fixture
def reach(connect, authd, start_routerd, known_key):
    """reach(state) -> a client in that state."""
    authd.add("client01@example.com", known_key)
    served = start_routerd(threads=1)
    # its authenticator never comes, so that logins wait
    config = utils.router_config()
    config["authenticators"]["authd"]["socket"] = "nobody.sock"
    alone = start_routerd(config, name="alone")

    def go(state):
        client = connect(alone if state == "asking" else served)
        if state == "asking":
            client.hello(authmethods=["cryptosign"], authextra={"pubkey": known_key.public})
        elif state == "challenged":
            client.challenge("devices", known_key)
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
            assert client.wait_closed()[1] == [], "ABORT is not answered"
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
