# SPDX-License-Identifier: Apache-2.0
"""Connections that do not block: WebSocket, batched WebSocket and RawSocket, with any serializer.

Shares no code with the project. A Wire turns bytes into WAMP messages and back; it knows no session.
"""

import base64
import io
import json
import os
import socket
import struct

import cbor2
import msgpack
import ubjson

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

SERIALIZERS = ["json", "msgpack", "cbor", "ubjson"]
SEPARATOR = b"\x18"


class Broken(Exception):
    """The router sent something that is no valid frame or message."""


# --- codecs -----------------------------------------------------------------------------------


def _binary(value):
    return "\0" + base64.b64encode(value).decode()


def _json_in(value):
    if isinstance(value, str) and value.startswith("\0"):
        return base64.b64decode(value[1:], validate=True)
    if isinstance(value, list):
        return [_json_in(v) for v in value]
    if isinstance(value, dict):
        return {k: _json_in(v) for k, v in value.items()}
    return value


_dump_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_binary).encode


def _load_json(data):
    value = json.loads(data)
    return _json_in(value) if b"\\u0000" in data else value


def _stream(load):
    def decode(data):
        stream = io.BytesIO(data)
        value = load(stream)
        if stream.tell() != len(data):
            raise Broken("bytes behind the message")
        return value

    return decode


ENCODE = {"json": lambda v: _dump_json(v).encode(), "msgpack": msgpack.packb, "cbor": cbor2.dumps,
          "ubjson": ubjson.dumpb}
DECODE = {"json": _load_json, "cbor": _stream(cbor2.load), "ubjson": _stream(ubjson.load),
          "msgpack": lambda data: msgpack.unpackb(data, strict_map_key=False)}


# --- connections ------------------------------------------------------------------------------


class Wire:
    """One connection, which is ready for messages when `is_open`. The caller polls its socket."""

    def __init__(self, address, serializer, receive_buffer=None):
        self.serializer = serializer
        self.encode, self.decode = ENCODE[serializer], DECODE[serializer]
        self.out, self.buffer = bytearray(), bytearray()
        self.is_open = self.at_end = False
        self.close_code = None
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.shake_hands()

    def send(self, messages):
        self.out += self.pack([self.encode(m) for m in messages])
        self.flush()

    def flush(self):
        """Writes what the socket takes now. The rest stays in `out`."""
        try:
            while self.out:
                del self.out[:self.socket.send(self.out)]
        except BlockingIOError:
            pass
        except OSError:  # the next read notices it, too
            self.out.clear()

    def read(self):
        """Returns the messages that have arrived. Sets at_end when no more will come."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.at_end = True
            return []
        self.buffer += data
        if not self.is_open and not self.hands_shaken():
            return []
        return self.parse()

    def cut(self, reset=False):
        """Ends the connection without a word."""
        if reset and self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class WebSocket(Wire):
    def __init__(self, address, serializer, batched=False, cookie=None, **kw):
        self.batched = batched
        self.cookie = cookie
        self.parts = []
        super().__init__(address, serializer, **kw)

    def __str__(self):
        return f"websocket {self.serializer}{'.batched' * self.batched}"

    def shake_hands(self):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /ws HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Protocol: wamp.2.{self.serializer}{'.batched' * self.batched}"]
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        self.out += ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.flush()

    def hands_shaken(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self.buffer.startswith(b"HTTP/1.1 101 "):
            raise Broken(bytes(self.buffer[:end]))
        del self.buffer[:end + 4]
        self.is_open = True
        return True

    def pack(self, encoded):
        opcode = TEXT if self.serializer == "json" else BINARY
        if not self.batched:
            return b"".join(frame(opcode, e) for e in encoded)
        if self.serializer == "json":
            return frame(opcode, b"".join(e + SEPARATOR for e in encoded))
        return frame(opcode, b"".join(struct.pack("!I", len(e)) + e for e in encoded))

    def parse(self):
        messages, at, data = [], 0, self.buffer
        while len(data) - at >= 2:
            first, length, start = data[at], data[at + 1], at + 2
            if first & 0x70 or length & 0x80:
                raise Broken(f"frame header {first:02x} {length:02x}")
            if length > 125:
                size = 2 if length == 126 else 8
                if len(data) < start + size:
                    break
                length, start = int.from_bytes(data[start:start + size], "big"), start + size
            if len(data) < start + length:
                break
            at = start + length
            self.on_frame(first & 15, first & 0x80, bytes(data[start:at]), messages)
        del data[:at]
        return messages

    def on_frame(self, opcode, is_final, payload, messages):
        if opcode == PING:
            self.out += frame(PONG, payload)
            self.flush()
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            self.out += frame(CLOSE, payload[:2])
            self.flush()
        elif opcode != PONG:
            if self.close_code is not None:
                raise Broken("a message behind the Close frame")
            self.parts.append(payload)
            if is_final:
                messages += self.unpack(b"".join(self.parts))
                self.parts = []

    def unpack(self, data):
        if not self.batched:
            return [self.decode(data)]
        if self.serializer == "json":
            if not data.endswith(SEPARATOR):
                raise Broken("a batch without a separator at its end")
            return [self.decode(part) for part in data[:-1].split(SEPARATOR)]
        messages, at = [], 0
        while at < len(data):
            end = at + 4 + int.from_bytes(data[at:at + 4], "big")
            if end > len(data):
                raise Broken("the length of a message in a batch")
            messages.append(self.decode(data[at + 4:end]))
            at = end
        return messages


def frame(opcode, payload):
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    if length > 4096:  # with the key 0 the payload stays as it is
        return head + b"\0\0\0\0" + payload
    key = os.urandom(4)
    pad = (key * (length // 4 + 1))[:length]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(length, "big")


class RawSocket(Wire):
    NUMBERS = {"json": 1, "msgpack": 2, "cbor": 3, "ubjson": 4}
    batched = False

    def __init__(self, address, serializer, length=15, **kw):
        self.length = length  # log2 of the longest message that it accepts, minus 9
        super().__init__(address, serializer, **kw)

    def __str__(self):
        return f"rawsocket {self.serializer}"

    def shake_hands(self):
        self.out += bytes([0x7f, self.length << 4 | self.NUMBERS[self.serializer], 0, 0])
        self.flush()

    def hands_shaken(self):
        if len(self.buffer) < 4:
            return False
        if self.buffer[0] != 0x7f or self.buffer[1] & 15 != self.NUMBERS[self.serializer]:
            raise Broken(bytes(self.buffer[:4]))
        del self.buffer[:4]
        self.is_open = True
        return True

    def pack(self, encoded):
        return b"".join(struct.pack("!I", len(e)) + e for e in encoded)

    def parse(self):
        messages, at, data = [], 0, self.buffer
        while len(data) - at >= 4:
            kind, length = data[at], int.from_bytes(data[at + 1:at + 4], "big")
            if kind & 8:
                kind, length = kind & 7, 1 << 24
            if length > 1 << (9 + self.length):
                raise Broken("a message that is longer than the client accepts")
            if len(data) < at + 4 + length:
                break
            payload = bytes(data[at + 4:at + 4 + length])
            at += 4 + length
            if kind == 0:
                messages.append(self.decode(payload))
            elif kind == 1:
                self.out += struct.pack("!I", 2 << 24 | length) + payload
                self.flush()
            elif kind != 2:
                raise Broken(f"frame of type {kind}")
        del data[:at]
        return messages
