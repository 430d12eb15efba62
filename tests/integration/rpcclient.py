# SPDX-License-Identifier: Apache-2.0
"""A MessagePack-RPC peer of authd: it sends calls and raw bytes, and answers authd's requests."""

import socket
import struct
import time

import msgpack
import utils


class RpcError(Exception):
    """An error response."""

    @property
    def uri(self):
        return self.args[0]["uri"]


class Rpc:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5 * utils.SLOW)
        self.sock.connect(str(path))
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        self.last_id = 0
        self.waiting = []  # messages that arrived before the one we waited for

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def receive(self):
        """The next message. Raises EOFError when the connection is closed."""
        while True:
            for message in self.unpacker:
                return message
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self.unpacker.feed(data)

    def send(self, method, *params):
        self.last_id += 1
        self.raw(msgpack.packb([0, self.last_id, method, list(params)]))
        return self.last_id

    def answer_to(self, msgid):
        """The result of a request; keeps other messages for later."""
        for i, message in enumerate(self.waiting):
            if message[:2] == [1, msgid]:
                del self.waiting[i]
                break
        else:
            while (message := self.receive())[:2] != [1, msgid]:
                self.waiting.append(message)
        if message[2] is not None:
            raise RpcError(message[2])
        return message[3]

    def call(self, method, *params):
        return self.answer_to(self.send(method, *params))

    def notify(self, method, *params):
        self.raw(msgpack.packb([2, method, list(params)]))

    def request(self):
        """The next request of the other side."""
        for i, message in enumerate(self.waiting):
            if message[0] == 0:
                return self.waiting.pop(i)
        while (message := self.receive())[0] != 0:
            self.waiting.append(message)
        return message

    def reply(self, msgid, result, error=None):
        self.raw(msgpack.packb([1, msgid, error, result]))

    def is_closed(self):
        """Waits until the other side closes. False on a time-out."""
        deadline = time.monotonic() + 5 * utils.SLOW
        try:
            while time.monotonic() < deadline:
                self.receive()
        except socket.timeout:
            return False
        except (EOFError, OSError):
            return True
        return False


HELLO = {"protocol": [1, 0], "product": "test/1", "features": ["revoke", "cancel"]}


def router(path, **hello):
    """A connection that has said hello as a router."""
    rpc = Rpc(path)
    rpc.hello = rpc.call("hello", {**HELLO, **hello})
    return rpc


def ask(rpc, pubkey=None, realm=None, authid=None, **details):
    """Calls authenticate as a router does."""
    return rpc.call("authenticate", realm, authid, {
        "authmethod": "cryptosign", "authrole": None,
        "authextra": {"pubkey": pubkey, "channel_binding": None} if pubkey else None, **details,
    })
