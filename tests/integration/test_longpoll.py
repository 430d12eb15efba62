# SPDX-License-Identifier: Apache-2.0
"""The HTTP long-poll transport, with autobahn-js and with Python's http.client."""

import base64
import contextlib
import copy
import http.client
import json
import socket
import ssl
import threading
import time

import peers
import pytest
import rawclient
from certificates import VERSIONS, Authority
from rawclient import ABORT, BINARY, CALL, GOODBYE, RESULT, TEXT, Client, Closed, Refused
from utils import SLOW, free_port, router_config, wait_for

ORIGIN = "https://good.example"
MIB = 1 << 20


class LongPoll:
    """A transport for rawclient.Client. It sends over one connection and receives over another."""

    has_close = False

    def __init__(self, port, protocols=("wamp.2.json",), host="127.0.0.1", headers=None, timeout=5, path="/lp", tls=None,
                 source=None):
        self.timeout = timeout * SLOW
        self.path = path
        self.headers = headers or {}
        source = source and (source, 0)
        self.sender, self.receiver = (
            http.client.HTTPSConnection("localhost", port, timeout=self.timeout, context=tls, source_address=source) if tls
            else http.client.HTTPConnection(host, port, timeout=self.timeout, source_address=source)
            for _ in range(2))
        status, body = self.post(self.sender, "open", json.dumps({"protocols": list(protocols)}))
        if status != 200:
            raise Refused(status, self.answer.headers, body)
        opened = json.loads(body)
        self.protocol = opened["protocol"]
        self.id = opened["transport"]
        self.path = f"{path}/{self.id}"

    def post(self, connection, what, body=b""):
        connection.request("POST", f"{self.path}/{what}", body, self.headers)
        self.answer = connection.getresponse()
        return self.answer.status, self.answer.read()

    def send_frame(self, _opcode, payload=b""):
        status, body = self.post(self.sender, "send", payload)
        assert (status, body) == (204, b"")

    def receive(self):
        """The next message, or b"" if there is none."""
        status, body = self.post(self.receiver, "receive")
        if status == 404:
            raise Closed()
        assert status in (200, 204), (status, body)
        assert (status == 200) == (body != b"")
        return body

    def recv_message(self, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while time.monotonic() < deadline:
            if body := self.receive():
                return TEXT if self.answer.headers["Content-Type"] == "application/json" else BINARY, body
        raise TimeoutError

    def finish(self):
        """Closes; returns the status."""
        return self.post(self.sender, "close")[0]

    def close_socket(self):
        self.sender.close()
        self.receiver.close()


def config(threads=1, longpoll=None, options=None, **kw):
    made = router_config(threads=threads, cryptosign=False, **kw)
    made["transports"][0]["longpoll"] = {"path": "/lp", **(longpoll or {})}
    made["transports"][0]["options"] = options or {}
    return made


@pytest.fixture
def routerd(start_routerd, threads):
    return start_routerd(config(threads))


@pytest.fixture
def poll(clients):
    """poll(routerd, serializer="json", **kw) -> a client over long-poll that has not joined."""
    def go(routerd, serializer="json", **kw):
        clients.append(Client(routerd.port(), serializer, transport=LongPoll, **kw))
        return clients[-1]

    return go


def url(routerd):
    return f"http://127.0.0.1:{routerd.port()}/lp"


# --- clients --------------------------------------------------------------------------------


def test_autobahn_js(routerd, puppets, join):
    """Its requests come over several connections, so with several threads they meet foreign workers."""
    puppet = puppets("autobahn-js")
    peer, other = (peers.Peer(puppet, url(routerd), "json") for _ in range(2))
    raw = join(routerd)
    peer.register("com.example.p")
    assert other.call("com.example.p", [1, "\u00e4"], {"k": [None]}) == ([1, "\u00e4"], {"k": [None]})
    assert raw.call("com.example.p", ["x" * 100000]) == (["x" * 100000], {})
    other.subscribe("com.example.t")
    for i in range(20):
        raw.publish("com.example.t", [i], acknowledge=True)
    assert [other.event("com.example.t")[0] for _ in range(20)] == [[i] for i in range(20)]
    if routerd.threads > 1:
        assert routerd.total("moved") > 0
    for each in (peer, other):
        each.leave()
        left = puppet.event(ev="left", s=each.name)
        assert (left["reason"], left["why"]) == ("wamp.close.goodbye_and_out", "closed")


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor", "ubjson"])
def test_a_plain_http_client(routerd, poll, join, serializer):
    client, other = poll(routerd, serializer), join(routerd, "cbor")
    client.join()
    worker = rawclient.worker_of(client)
    other.register("com.example.p", lambda *given: given)
    topic = client.subscribe("com.example.t")
    for i in range(5):
        assert client.call("com.example.p", [i], callee=other) == ([i], {})
        other.publish("com.example.t", [i, "y" * 10000])
    assert [client.event(topic)[0] for _ in range(5)] == [[i, "y" * 10000] for i in range(5)]
    assert rawclient.worker_of(client) == worker
    client.leave()
    assert client.answer.headers["Content-Type"] == (
        "application/json" if serializer == "json" else "application/octet-stream")
    assert client.finish() == 204
    assert routerd.total("longpoll_opened") == 1


def test_real_messages_of_every_size(routerd, poll):
    """Around the sizes at which messages are read in pieces, and answers written in pieces."""
    client = poll(routerd)
    client.join()
    client.register("com.example.p", lambda *given: given)
    for size in (1, 60000, 65536, 200000, MIB - 1000):
        assert client.call("com.example.p", ["z" * size]) == (["z" * size], {})


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_tls(folder, start_routerd, poll, version):
    """TLS moves to another worker together with its socket."""
    authority = Authority(folder)
    made = config(4)
    made["transports"][0]["endpoint"]["tls"] = authority.server()
    routerd = start_routerd(made)
    # an odd number, so that the second socket of each meets another worker than the first
    everyone = [poll(routerd, tls=authority.trust(version)) for _ in range(3)]
    for client in everyone:
        client.join()
        client.register(f"com.example.p{client.session}", lambda *given: given)
        for size in (1, 20000, 300000):
            assert client.call(f"com.example.p{client.session}", ["z" * size]) == (["z" * size], {})
    assert routerd.total("moved") > 0
    for client in everyone:
        client.leave()


@pytest.mark.parametrize("behind", [b"\x17\x03\x03\x00\x20" + bytes(32), b""], ids=["invalid", "end"])
def test_tls_that_ends_behind_a_request(folder, start_routerd, behind):
    """One read gives a request for another worker, and an invalid record or the end of TLS."""
    authority = Authority(folder)
    made = config(4)
    made["transports"][0]["endpoint"]["tls"] = authority.server()
    routerd = start_routerd(made)
    for worker in range(4):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", routerd.port()), 10 * SLOW) as s:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
                    incoming.write(s.recv(65536))
            s.sendall(outgoing.read())
            wait_for(lambda: routerd.total("tls_handshakes") == worker + 1, "the end of the handshake")
            name = base64.urlsafe_b64encode(bytes([(worker + 1) % 4]) + bytes(24)).decode().rstrip("=")
            tls.write(f"POST /lp/{name}/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            if not behind:
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.unwrap()
            s.sendall(outgoing.read() + behind)
            while True:
                try:
                    if not s.recv(65536):
                        break
                except ConnectionResetError:
                    break
    assert routerd.total("moved") == (0 if behind else 4)


@pytest.fixture
def fake_site(fake):
    return fake(lambda realm, authid, details: {"realm": "devices", "role": "device", "authid": "ann", "extra": {}})


def test_what_an_authenticator_is_told(fake_site, start_routerd, poll, threads):
    """The cookie and the address are those of the request that opens the transport."""
    made = config(threads, options={"allowed_origins": [ORIGIN]})
    made["authenticators"] = {"authd": {"socket": "authd.sock"}}
    made["transports"][0]["auth"] = {"cookie": {"type": "dynamic", "authenticator": "authd"}}
    client = poll(start_routerd(made), headers={"Cookie": "session=1", "Origin": ORIGIN})
    address = "tcp4:127.0.0.1:%d" % client.sender.sock.getsockname()[1]
    client.headers = {}
    client.join(authmethods=["cookie"])
    ((_, _, (_, _, details)),) = fake_site.wait_requests(1)
    told = details["transport"]
    assert (told["channel_type"], told["channel_framing"], told["channel_serializer"]) == ("tcp", "longpoll", "json")
    assert told["peer"] == client.details["authextra"]["x_cb_peer"] == address
    assert told["http_headers_received"]["cookie"] == "session=1"


# --- requests -------------------------------------------------------------------------------


class Raw:
    """One HTTP connection below http.client."""

    def __init__(self, routerd, listener=0):
        self.socket = socket.create_connection(("127.0.0.1", routerd.port(listener)), 10 * SLOW)
        self.file = self.socket.makefile("rb")

    def send(self, text, body=b""):
        self.socket.sendall(text.replace("\n", "\r\n").encode() + body)

    def post(self, path, body=b"", *headers):
        lines = "".join(h + "\n" for h in headers)
        self.send(f"POST {path} HTTP/1.1\nHost: x\n{lines}Content-Length: {len(body)}\n\n", body)

    def answer(self):
        """(status, headers in lower case, body) of the next answer; None at the end of the stream."""
        first = self.file.readline()
        if not first:
            return None
        headers = http.client.parse_headers(self.file)
        status = int(first.split()[1])
        body = b"" if status in (100, 204) else self.file.read(int(headers["Content-Length"]))
        return status, {k.lower(): v for k, v in headers.items()}, body

    def status(self):
        return self.answer()[0]

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.fixture
def raw():
    """raw(routerd, listener=0) -> a Raw that is closed after the test."""
    opened = []

    def go(*given):
        opened.append(Raw(*given))
        return opened[-1]

    yield go
    for each in opened:
        each.close()


def post_and_wait(routerd, c, path, body=b"", *headers):
    """Sends a request that the router does not answer yet, and waits until it has read it."""
    before = routerd.total("bytes_in")
    c.post(path, body, *headers)
    wait_for(lambda: routerd.total("bytes_in") > before, "the request")
    # its worker may have handed it over to another one, which now has it
    routerd.counters()


def get_count(request):
    return json.dumps([CALL, request, {}, "wamp.session.count"]).encode()


def test_pipelined_requests(routerd, poll, raw):
    """All in one write: each waits until the one before it is answered, also one that waits itself."""
    client, sender = poll(routerd), poll(routerd)
    client.join()
    sender.join()
    topic = client.subscribe("com.example.t")
    c = raw(routerd)
    for i in range(3):
        c.post(client.path + "/send", get_count(100 + i))
        c.post(client.path + "/receive")
    c.post(client.path + "/receive")
    c.post(sender.path + "/send", b'[16,9,{},"com.example.t",[1]]')
    for i in range(3):
        assert c.status() == 204
        status, headers, body = c.answer()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body) == [RESULT, 100 + i, {}, [2]]
    sender.publish("com.example.t", [0])
    assert json.loads(c.answer()[2])[4:] == [[0]]
    assert c.status() == 204
    assert client.event(topic) == ([1], {})


def test_a_request_in_pieces(routerd, poll, raw):
    client = poll(routerd)
    client.join()
    body = get_count(7)
    head = f"POST {client.path}/send?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for parts in ([head, body], [bytes([b]) for b in head + body], [head[:-1], b"\n" + body[:5], body[5:] + head, body]):
        c = raw(routerd)
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            c.socket.sendall(part)
            time.sleep(0.0005)  # makes it likely that the router reads each part alone
        for _ in range(sum(len(part) for part in parts) // len(head + body)):
            assert c.status() == 204
            assert client.expect(RESULT, 7)[3] == [1]


def test_expect(routerd, poll, raw):
    client = poll(routerd)
    client.join()
    c = raw(routerd)
    body = get_count(7)
    c.send(f"POST {client.path}/send HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: {len(body)}\n\n")
    assert c.status() == 100
    c.socket.sendall(body)
    assert c.status() == 204
    assert client.expect(RESULT, 7)[3] == [1]


REFUSED = [
    ("GET /lp/open HTTP/1.1\nHost: x\n\n", 405),
    ("PUT /lp/ID/send HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 405),
    ("POST /lp/open HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}", 400),
    ("POST /lp/open HTTP/1.1\nHost: x\nContent-Length: 4\n\n[{]}", 400),
    ('POST /lp/open HTTP/1.1\nHost: x\nContent-Length: 39\n\n{"protocols": ["wamp.2.json.batched"]} ', 400),
    ("POST /lp/open HTTP/1.1\nHost: x\nContent-Length: 5000\n\n", 413),
    ("POST /lp/ID/receive HTTP/1.1\nHost: x\nContent-Length: 5000\n\n", 413),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n", 411),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\nContent-Length: 3\nContent-Length: 3\n\nabc", 400),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\nContent-Length: -1\n\n", 400),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\nContent-Length: 99999999999999999999\n\n", 413),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\nHost: y\nContent-Length: 0\n\n", 400),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\n: y\nContent-Length: 0\n\n", 400),
    ("POST /lp/ID/send HTTP/1.1\nHost: x\n" + 150 * "A: b\n" + "\n", 431),
    ("POST /lp/ID/sent HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 404),
    ("POST /lp/ID/ HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 404),
    ("POST /lp/ID HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 404),
    ("POST /lp/ HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 404),
    ("POST /lp/AAAA/send HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 404),
    ("POST /lp HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 405),
    ("POST /lpx/open HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 405),
]


def test_refused_requests(start_routerd, poll, raw):
    """They end the HTTP connection, and do no harm to the session. A page may read why."""
    routerd = start_routerd(config(4, options={"allowed_origins": [ORIGIN]}))
    client = poll(routerd)
    client.join()
    for request, status in REFUSED:
        c = raw(routerd)
        c.send(request.replace("ID", client.id).replace("Host: x\n", f"Host: x\nOrigin: {ORIGIN}\n"))
        answered, headers, body = c.answer()
        assert (answered, headers["connection"]) == (status, "close"), request
        if "/lp/" in request:
            assert headers["access-control-allow-origin"] == ORIGIN, request
            assert body.endswith(b"."), request
        if status == 405 and "/lp/" in request:
            assert headers["allow"] == "POST, OPTIONS"
        assert c.answer() is None
    assert client.silent() == []


def test_ids_cannot_be_guessed(start_routerd, poll, raw):
    """An id with one other character names nothing: not on another worker, nor another number or secret."""
    routerd = start_routerd(config(4))
    client = poll(routerd)
    client.join()
    for i in range(len(client.id)):
        c = raw(routerd)
        other = client.id[:i] + ("A" if client.id[i] != "A" else "B") + client.id[i + 1:]
        c.post(f"/lp/{other}/close")
        assert c.status() == 404
    assert routerd.total("longpoll_unknown") == len(client.id)
    assert client.silent() == []


def test_an_id_belongs_to_its_listener(start_routerd, poll, raw):
    """Another listener may allow other origins, for example."""
    made = config(4)
    made["transports"].append(copy.deepcopy(made["transports"][0]))
    made["transports"][1]["id"] = "other"
    made["transports"][1]["endpoint"]["port"] = free_port()
    routerd = start_routerd(made)
    client = poll(routerd)
    client.join()
    for what in ("send", "receive", "close"):
        c = raw(routerd, 1)
        c.post(f"{client.path}/{what}", get_count(7) if what == "send" else b"")
        assert c.status() == 404
    assert client.silent() == []


@pytest.mark.parametrize("header", ["X: y", "Connection: close"])
def test_an_answer_after_a_half_close(start_routerd, poll, raw, join, header):
    """A long answer also if it is the last one, and each request that waited for something else."""
    routerd = start_routerd(config(4, options={"max_message_size": 16 * MIB}))
    client, other = poll(routerd), join(routerd)
    client.join()
    client.subscribe("com.example.t")
    # the router cannot tell a half-close from a client that has left, so it sends no message
    c = raw(routerd)
    post_and_wait(routerd, c, client.path + "/receive", b"", header)
    c.socket.shutdown(socket.SHUT_WR)
    assert c.status() == 204
    assert c.answer() is None
    other.publish("com.example.t", ["z" * 12 * MIB], acknowledge=True)
    c = raw(routerd)
    c.post(client.path + "/receive", b"", header)
    c.socket.shutdown(socket.SHUT_WR)
    wait_for(lambda: routerd.total("bytes_out") > 100000, "the beginning of the answer")
    assert len(json.loads(c.answer()[2])[4][0]) == 12 * MIB
    assert c.answer() is None


def test_two_requests_for_messages(routerd, poll, raw):
    """The second one takes the place of the first, whose client may have lost its connection."""
    client = poll(routerd)
    client.join()
    first, second = raw(routerd), raw(routerd)
    post_and_wait(routerd, first, client.path + "/receive")
    second.post(client.path + "/receive")
    assert first.status() == 204
    client.send([CALL, 7, {}, "wamp.session.count"])
    assert json.loads(second.answer()[2])[:2] == [RESULT, 7]


def test_a_message_waits_for_the_next_request(routerd, poll, raw):
    """A client that has closed its connection while it waited gets the message with its next request."""
    client = poll(routerd)
    client.join()
    lost = raw(routerd)
    post_and_wait(routerd, lost, client.path + "/receive")
    before = routerd.total("closed_http")
    lost.close()
    wait_for(lambda: routerd.total("closed_http") > before, "the end of the connection")
    client.send([CALL, 7, {}, "wamp.session.count"])
    assert client.expect(RESULT, 7)[3] == [1]


def test_messages_in_order_while_one_is_held(fake, start_routerd, poll, raw):
    """Later messages wait behind one whose authorizer has not answered yet, and close ends all of them."""
    asked = []
    allow = threading.Event()

    def authorize(details, uri, action, options):
        asked.append(uri)
        return allow.wait(20 * SLOW)

    made = config(4)
    made["realms"][0]["roles"] = [{"name": "device", "authorizer": "authd"}]
    made["authenticators"] = {"authd": {"socket": "authd.sock", "timeout": 30000}}
    fake(features=("revoke", "cancel", "authorize"), authorize=authorize)
    routerd = start_routerd(made)
    client = poll(routerd)
    client.join()
    senders = [raw(routerd) for _ in range(5)]
    for i, sender in enumerate(senders):
        post_and_wait(routerd, sender, client.path + "/send",
                      json.dumps([32, 10 + i, {}, f"com.example.t{i}"]).encode())
    # these clients still read, but send nothing more
    senders[0].socket.shutdown(socket.SHUT_WR)
    senders[3].socket.shutdown(socket.SHUT_WR)
    routerd.counters()  # each worker has read by now
    assert asked == ["com.example.t0"]
    allow.set()
    assert [client.recv()[:2] for _ in senders] == [[33, 10 + i] for i in range(5)]
    assert [s.status() for s in senders] == [204] * 5
    assert asked == [f"com.example.t{i}" for i in range(5)]
    # the first message counts once, although it is read again after its hold
    assert routerd.total("messages_in") == 6


# --- limits ---------------------------------------------------------------------------------


def test_a_message_that_is_too_long(start_routerd, poll, raw, join):
    """As over WebSocket it ends the session."""
    routerd = start_routerd(config(4, options={"max_message_size": 1024}))
    client, other = poll(routerd), join(routerd)
    client.join()
    topic = other.subscribe("wamp.session.on_leave")
    c = raw(routerd)
    c.send(f"POST {client.path}/send HTTP/1.1\nHost: x\nContent-Length: 1025\n\n")
    assert c.status() == 413
    assert other.event(topic)[0][0] == client.session
    with pytest.raises(Closed):
        client.recv()
    routerd.wait_log('session closed .*reason="message too big"')


def test_a_slow_body(start_routerd, poll, raw):
    routerd = start_routerd(config(4, options={"open_handshake_timeout": 1000}))
    client = poll(routerd)
    client.join()
    c = raw(routerd)
    c.post("/lp/open", b'{"protocols": ["wamp.2.json"]}')
    assert c.status() == 200
    start = time.monotonic()
    c.send(f"POST {client.path}/send HTTP/1.1\nHost: x\nContent-Length: 100\n\nabc")
    assert c.answer() is None
    assert time.monotonic() - start > 0.9
    assert client.silent() == []
    # so has the transport that never said HELLO
    wait_for(lambda: routerd.total("closed_handshake_timeout") == 2, "the end of both")


def test_a_client_that_does_not_poll(start_routerd, poll, join, raw, threads):
    """Its session ends like a lost connection, with its testament. So do idle HTTP connections, silently."""
    routerd = start_routerd(config(threads, {"request_timeout": 100, "session_timeout": 1000}))
    client, other = poll(routerd), join(routerd)
    client.join()
    topic = other.subscribe("com.example.bye")
    client.call("wamp.session.add_testament", ["com.example.bye", ["bye"], {}])
    # a client that polls stays, however long
    for _ in range(10):
        assert client.receive() == b""
    idle = raw(routerd)
    idle.post(client.path + "/receive")
    assert idle.status() == 204
    assert other.event(topic) == (["bye"], {})
    assert idle.answer() is None
    late = raw(routerd)
    late.post(client.path + "/receive")
    assert late.status() == 404
    assert routerd.total("closed_no_poll") == 1
    routerd.wait_log('connection closed reason="no poll" listener=public peer=tcp4:127')


def test_long_poll_leaves_room_for_sockets(start_routerd, join, raw):
    """One socket can open any number of transports. They may be half of max_connections."""
    routerd = start_routerd(config(4, options={"max_connections": 20, "close_handshake_timeout": 100}))
    opened = []

    def flood():
        c = raw(routerd)
        for _ in range(20):
            c.post("/lp/open", b'{"protocols": ["wamp.2.json"]}')
        while answer := c.answer():
            if answer[0] == 200:
                opened.append(json.loads(answer[2])["transport"])
        c.close()
        return len(opened)

    assert [flood(), flood()] == [10, 10]
    assert join(routerd).silent() == []
    # one that ends makes room for another
    c = raw(routerd)
    c.post(f"/lp/{opened[0]}/close")
    assert c.status() == 204
    wait_for(lambda: flood() == 11, "room for another")


def test_a_flood_from_one_address(start_routerd, poll, raw):
    """It gets 64 transports without a session. Sessions go on, and clients at other addresses can log in."""
    routerd = start_routerd(config(1, options={"open_handshake_timeout": 60000, "trusted_proxies": ["127.0.0.1"]}))
    client = poll(routerd)
    client.join()

    def flood():
        c = raw(routerd)
        for _ in range(70):
            c.post("/lp/open", b'{"protocols": ["wamp.2.json"]}')
        return list(iter(c.answer, None))

    answers = flood()
    assert [a[0] for a in answers] == 64 * [200] + [503]
    assert answers[64][1]["retry-after"] == "2"
    assert routerd.total("longpoll_refused") == 1
    routerd.wait_log(r'long-poll request refused status=503 reason="This address .*" peer=tcp4:127\.0\.0\.1:\d+ listener=public')
    assert client.silent() == []
    poll(routerd, source="127.0.0.2").join()
    poll(routerd, headers={"X-Forwarded-For": "192.0.2.1"}).join()
    # each that logs in or ends makes room for another
    first, second = (json.loads(a[2])["transport"] for a in answers[:2])
    c = raw(routerd)
    c.post(f"/lp/{first}/send", b'[1, "devices", {"roles": {"caller": {}}, "authmethods": ["anonymous"]}]')
    c.post(f"/lp/{first}/receive")
    c.post(f"/lp/{second}/close")
    assert [c.status() for _ in range(3)] == [204, 200, 204]
    opened = []
    wait_for(lambda: opened.extend(a for a in flood() if a[0] == 200) or len(opened) == 2, "room for two")
    assert flood()[0][0] == 503


def test_max_connections(start_routerd, poll, raw):
    routerd = start_routerd(config(4, options={"max_connections": 6}))
    client = poll(routerd)
    client.join()
    c = raw(routerd)
    statuses = []
    for _ in range(5):
        c.post("/lp/open", b'{"protocols": ["wamp.2.json"]}')
        statuses.append(c.status())
        if statuses[-1] != 200:
            break
    # the client's transport and its two sockets, and this socket, leave room for two more
    assert statuses == [200, 200, 503]
    assert client.silent() == []


def test_a_client_that_polls_too_slowly(start_routerd, poll, join):
    made = config(4)
    made["limits"] = {"queue_size": 65536}
    routerd = start_routerd(made)
    client, other = poll(routerd), join(routerd)
    client.join()
    client.subscribe("com.example.t")
    for i in range(10):
        other.publish("com.example.t", ["y" * 10000], acknowledge=True)
    with pytest.raises(Closed):
        while client.receive():
            pass
    assert routerd.total("closed_slow_consumer") == 1


# --- ends -----------------------------------------------------------------------------------


def test_kill(routerd, poll, join, raw):
    """GOODBYE goes to the request that waits. Afterwards the client still says GOODBYE and closes."""
    client, killer = poll(routerd), join(routerd)
    client.join()
    c = raw(routerd)
    post_and_wait(routerd, c, client.path + "/receive")
    killer.call("wamp.session.kill", [client.session])
    assert json.loads(c.answer()[2])[0] == GOODBYE
    client.send([GOODBYE, {}, "wamp.close.goodbye_and_out"])
    with pytest.raises(Closed):
        client.receive()
    assert client.finish() == 204


def test_a_violation(routerd, poll):
    client = poll(routerd)
    client.join()
    client.send_payload(b"?")
    assert client.recv()[0] == ABORT
    with pytest.raises(Closed):
        client.receive()
    assert client.finish() == 204


def test_close_while_a_request_waits(routerd, poll, raw, join):
    client, other = poll(routerd), join(routerd)
    client.join()
    topic = other.subscribe("wamp.session.on_leave")
    c = raw(routerd)
    post_and_wait(routerd, c, client.path + "/receive")
    assert client.finish() == 204
    assert c.status() == 204
    assert other.event(topic)[0][0] == client.session


def test_autobahn_js_comes_back_after_a_restart(start_routerd, puppets):
    routerd = start_routerd(config(4))
    puppet = puppets("autobahn-js")
    peer = peers.Peer(puppet, url(routerd), "json", name="phoenix", retry=True)
    start = time.monotonic()
    routerd.stop()
    # sessions without a socket do not hold it up
    assert time.monotonic() - start < 1.5 * SLOW
    routerd.start()
    puppet.event(ev="rejoined", s="phoenix", seconds=20)
    peer.register("com.example.p")
    assert peer.call("com.example.p", [1], {}) == ([1], {})


# --- browsers -------------------------------------------------------------------------------


def test_origins(start_routerd, raw):
    """What a browser sends for a page: a preflight, then each request with the page's origin."""
    routerd = start_routerd(config(4, options={"allowed_origins": [ORIGIN]}))
    for origin, allowed in ((ORIGIN, True), ("https://bad.example", False)):
        c = raw(routerd)
        c.send(f"OPTIONS /lp/open HTTP/1.1\nHost: x\nOrigin: {origin}\nAccess-Control-Request-Method: POST\n"
               "Access-Control-Request-Headers: content-type\n\n")
        status, headers, _ = c.answer()
        assert status == (204 if allowed else 403)
        assert headers.get("access-control-allow-origin") == (origin if allowed else None)
        if allowed:
            assert headers["access-control-allow-methods"] == "POST"
            assert headers["access-control-allow-headers"] == "Content-Type"
        else:
            c = raw(routerd)
        c.post("/lp/open", b'{"protocols": ["wamp.2.json"]}', f"Origin: {origin}")
        status, headers, _ = c.answer()
        assert status == (200 if allowed else 403)
        assert headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert headers.get("access-control-allow-credentials") == ("true" if allowed else None)
