# SPDX-License-Identifier: Apache-2.0
"""The WebSocket upgrade, and the page for browsers that only look."""

import socket
import subprocess

import pytest
from rawclient import Client, Refused, Ws
from utils import router_config

pytestmark = pytest.mark.one_worker


@pytest.fixture
def router(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["options"] = {"allowed_origins": ["https://good.example", "*.good.example:8443"]}
    return start_routerd(config)


def request(router, text):
    """Sends a raw request; returns status, headers and body."""
    ws = Ws(router.port(), protocols=None)
    ws.send_bytes(text.replace("\n", "\r\n").encode())
    status, headers = ws.read_http_head()
    body = b"" if status == 101 else ws.read_http_body(headers)
    ws.close_socket()
    return status, headers, body


def raw(router, text):
    """Sends a raw request; returns the whole answer."""
    with socket.create_connection(("127.0.0.1", router.port()), timeout=10) as s:
        s.sendall(text.replace("\n", "\r\n").encode())
        answer = b""
        while more := s.recv(65536):
            answer += more
        return answer


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


@pytest.mark.parametrize("method,version", [("GET", "1.0"), ("HEAD", "1.0"), ("GET", "1.1"), ("HEAD", "1.1")])
def test_who_only_looks_gets_the_page(router, method, version):
    answer = raw(router, f"{method} /ws HTTP/{version}\nHost: localhost\n\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (b"WAMP" in body) == (method == "GET")
    # some load balancers write their checks like this
    assert raw(router, f"{method} /ws HTTP/1.0\n\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("text", [
    "GET /other HTTP/1.1\nHost: localhost\n\n", "GET /other HTTP/1.0\n\n", "UPGRADE",
])
def test_404_names_the_paths(start_routerd, text):
    config = router_config(cryptosign=False)
    config["transports"][0]["paths"] = ["/ws", "/wamp"]
    text = UPGRADE.replace("/ws", "/other") if text == "UPGRADE" else text
    answer = raw(start_routerd(config), text)
    assert answer.startswith(b"HTTP/1.1 404 Not Found: There is nothing at this path. Paths that exist: /ws, /wamp\r\n")
    assert answer.endswith(b"\r\n\r\nThere is nothing at this path. Paths that exist: /ws, /wamp\n")


def test_404_names_the_path_of_longpoll(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["longpoll"] = {"path": "/lp"}
    answer = raw(start_routerd(config), "GET /lp HTTP/1.1\nHost: localhost\n\n")
    assert answer.endswith(b"Paths that exist: /ws, and /lp for long-poll\n")


@pytest.mark.parametrize("old,new,says", [
    # nginx without the lines that its documentation requires for WebSocket
    ("Upgrade: websocket\nConnection: Upgrade", "Connection: close", b"came without Upgrade: a proxy"),
    ("HTTP/1.1", "HTTP/1.0", b"a proxy uses HTTP/1.0"),
    ("Connection: Upgrade", "Connection: close", b"a proxy may have dropped it."),
    ("wamp.2.json", "chat", b"is supported; supported: wamp.2.json wamp.2.msgpack wamp.2.cbor"),
    ("Sec-WebSocket-Protocol: wamp.2.json\n", "", b"Sec-WebSocket-Protocol is missing; supported: wamp.2.json"),
    ("Host: localhost", "Host: localhost\nOrigin: https://evil.example", b"not in allowed_origins"),
])
def test_the_status_line_says_what_is_wrong(router, old, new, says):
    """Many clients show only the status line."""
    status_line = raw(router, UPGRADE.replace(old, new, 1)).split(b"\r\n")[0]
    assert says in status_line
    assert status_line.startswith(b"HTTP/1.1 426 " if b"proxy uses HTTP/1.0" in says or b"without Upgrade" in says
                                  else b"HTTP/1.1 4")


def test_only_what_the_listener_speaks_is_offered(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["serializers"] = ["cbor"]
    answer = raw(start_routerd(config), UPGRADE)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request: None of the requested subprotocols is supported; "
                             b"supported: wamp.2.cbor wamp.2.cbor.batched\r\n")


def test_autobahn_shows_why_its_subprotocol_is_refused(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["serializers"] = ["cbor"]
    routerd = start_routerd(config)
    code = f"""if True:
        import asyncio
        from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
        class Client(WebSocketClientProtocol):
            def onClose(self, clean, code, reason):
                print(reason, flush=True)
                asyncio.get_event_loop().stop()
        factory = WebSocketClientFactory("ws://127.0.0.1:{routerd.port()}/ws", protocols=["wamp.2.json"])
        factory.protocol = Client
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        factory.loop = loop
        loop.run_until_complete(loop.create_connection(factory, "127.0.0.1", {routerd.port()}))
        loop.run_forever()
    """
    shown = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, timeout=30).stdout
    assert "None of the requested subprotocols is supported; supported: wamp.2.cbor" in shown


def test_cookies_up_to_the_limit_are_let_in(start_routerd):
    routerd = start_routerd(router_config(cryptosign=False))
    cookie = "Host: localhost\nCookie: a=" + "c" * 15000
    assert request(routerd, UPGRADE.replace("Host: localhost", cookie))[0] == 101
    many = "Host: localhost" + "\nX-Forwarded-For: 10.0.0.1" * 90
    assert request(routerd, UPGRADE.replace("Host: localhost", many))[0] == 101


def test_the_limits_of_a_request_are_keys_and_are_logged_and_counted(start_routerd):
    config = router_config(cryptosign=False)
    config["transports"][0]["options"] = {"max_header_size": 2048, "max_headers": 9}
    routerd = start_routerd(config)
    long = UPGRADE.replace("Host: localhost", "Host: localhost\nCookie: " + "c" * 2000)
    many = UPGRADE.replace("Host: localhost", "Host: localhost\nX: y\nX: y\nX: y\nX: y")
    assert request(routerd, long)[0] == 431
    assert request(routerd, many)[0] == 431
    assert request(routerd, UPGRADE.replace("/ws", "/" + "w" * 2048))[0] == 414
    assert request(routerd, many.replace("X: y\n", "", 1))[0] == 101
    for _ in range(100):
        assert request(routerd, many)[0] == 431
    routerd.wait_log(r'request refused reason="[^"]+" listener=public peer=tcp4:127')
    assert routerd.total("requests_too_large") == 103
    lines = [line for line in routerd.log().splitlines() if "request refused reason=" in line]
    assert "max_header_size=2048 max_headers=9" in lines[0]
    assert len(lines) < 60  # the rate is limited


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
    ("HTTP/1.1", "HTTP/1.0", 426),
    ("HTTP/1.1", "HTTP/2.0", (400, 505)),
    ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
    ("Sec-WebSocket-Version: 13\n", "", (400, 426)),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", "", 400),
    ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
    ("wamp.2.json", "chat", 400),
    ("Sec-WebSocket-Protocol: wamp.2.json\n", "", 400),
    ("Connection: Upgrade", "Connection: close", 400),
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
