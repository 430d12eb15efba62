# SPDX-License-Identifier: Apache-2.0
"""The upgrade, and what a browser sees that only looks."""

import pytest
from rawclient import Client, Refused, Ws
from utils import router_config


@pytest.fixture
def router(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["options"] = {"allowed_origins": ["https://good.example", "*.good.example:8443"]}
    return start_routerd(config)


def request(router, text):
    """Raw request; returns status, headers and body."""
    ws = Ws(router.port(), protocols=None)
    ws.send_bytes(text.replace("\n", "\r\n").encode())
    status, headers = ws.read_http_head()
    body = b"" if status == 101 else ws.read_http_body(headers)
    ws.close_socket()
    return status, headers, body


UPGRADE = """GET /ws HTTP/1.1
Host: localhost
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Version: 13
Sec-WebSocket-Protocol: wamp.2.json

"""


def test_a_plain_get_says_what_this_is(router):
    status, headers, body = request(router, "GET /ws HTTP/1.1\nHost: localhost\n\n")
    assert status == 200
    assert b"WAMP" in body
    assert headers["content-type"].startswith("text/plain")
    assert request(router, "GET /other HTTP/1.1\nHost: localhost\n\n")[0] == 404


def test_the_example_of_the_rfc(router):
    status, headers, _ = request(router, UPGRADE)
    assert status == 101
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert headers["sec-websocket-protocol"] == "wamp.2.json"


@pytest.mark.parametrize("old,new", [
    ("Upgrade: websocket", "upgrade: WebSocket"),
    ("Connection: Upgrade", "connection: keep-alive, UPGRADE"),
    ("wamp.2.json", "wamp.2.json,"),
    ("wamp.2.json", "chat, wamp.2.json"),
    ("Sec-WebSocket-Protocol: wamp.2.json", "sec-websocket-protocol: chat\nsec-websocket-protocol: wamp.2.json"),
    ("Host: localhost", "Host: localhost\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
    ("/ws", "/ws?token=1&x=%20"),
])
def test_odd_but_right_upgrades(router, old, new):
    status, headers, _ = request(router, UPGRADE.replace(old, new, 1))
    assert status == 101
    assert headers["sec-websocket-protocol"] == "wamp.2.json"
    assert "sec-websocket-extensions" not in headers


@pytest.mark.parametrize("old,new,expected", [
    ("/ws", "/other", 404),
    ("GET", "POST", 405),
    ("HTTP/1.1", "HTTP/1.0", (400, 426, 505)),
    ("HTTP/1.1", "HTTP/2.0", (400, 505)),
    ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
    ("Sec-WebSocket-Version: 13\n", "", (400, 426)),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", "", 400),
    ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
    ("wamp.2.json", "chat", 400),
    ("Sec-WebSocket-Protocol: wamp.2.json\n", "", 400),
    ("Connection: Upgrade", "Connection: close", (200, 400, 426)),
    ("Host: localhost\n", "", 400),
    ("Host: localhost", "Host : localhost", 400),
    ("Host: localhost", "Host: localhost\n folded: x", 400),
    ("Host: localhost", "Host: localhost\nContent-Length: 10", (101, 400, 413)),
    ("GET /ws", "GET  /ws", 400),
    ("GET /ws HTTP/1.1", "GET /ws", 400),
    ("GET", "G\x00T", 400),
    ("localhost", "localhost\nX: " + "y" * 20000, (400, 431)),
    ("/ws", "/" + "w" * 20000, (400, 404, 414, 431)),
])
def test_wrong_upgrades_get_a_correct_4xx(router, old, new, expected):
    status, headers, _ = request(router, UPGRADE.replace(old, new, 1))
    assert status in ((expected,) if isinstance(expected, int) else expected)
    if "13" in old and status == 426:
        assert headers.get("sec-websocket-version") == "13"


@pytest.mark.parametrize("origin,good", [
    ("https://good.example", True), ("HTTPS://GOOD.example", True), ("https://a.good.example:8443", True),
    ("https://evil.example", False), ("https://good.example.evil", False), ("null", False), (None, True),
])
def test_allowed_origins(router, origin, good):
    headers = {"Origin": origin} if origin else {}
    if good:
        Client(router.port(), headers=headers).join()
    else:
        with pytest.raises(Refused) as refused:
            Client(router.port(), headers=headers)
        assert refused.value.status == 403


def test_the_clients_order_of_serializers_wins(router):
    for first, second in (("wamp.2.cbor.batched", "wamp.2.json"), ("wamp.2.msgpack", "wamp.2.cbor")):
        client = Client(router.port(), protocols=["wamp.2.flatbuffers", first, second])
        assert client.protocol == first
        client.join()


def test_serializers_of_a_listener(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["serializers"] = ["cbor"]
    routerd = start_routerd(config)
    client = Client(routerd.port(), protocols=["wamp.2.json", "wamp.2.cbor"])
    assert client.protocol == "wamp.2.cbor"
    with pytest.raises(Refused):
        Client(routerd.port(), "msgpack")
