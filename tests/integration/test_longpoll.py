# SPDX-License-Identifier: Apache-2.0
"""The HTTP long-poll transport, with autobahn-js and with Python's http.client."""

import http.client
import json
import socket
import threading
import time

import peers
import pytest
import rawclient
from rawclient import ABORT, BINARY, CALL, GOODBYE, RESULT, TEXT, WELCOME, Client, Closed, Refused
from utils import SLOW, router_config, wait_for

ORIGIN = "https://good.example"
MIB = 1 << 20


class LongPoll:
    """A transport for rawclient.Client. It sends over one connection and receives over another."""

    has_close = False

    def __init__(self, port, protocols=("wamp.2.json",), host="127.0.0.1", headers=None, timeout=5, path="/lp"):
        self.timeout = timeout * SLOW
        self.path = path
        self.headers = headers or {}
        self.sender, self.receiver = (http.client.HTTPConnection(host, port, timeout=self.timeout) for _ in range(2))
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


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
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
    assert client.finish() == 204
    assert routerd.total("longpoll_opened") == 1
