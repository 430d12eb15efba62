# SPDX-License-Identifier: Apache-2.0
"""A synchronous WAMP client for the mistakes that real clients cannot be made to make.

It has its own WebSocket framing and codecs and shares no code with the project. Each read has a
deadline. `Ws` handles bytes and frames, `Client` adds WAMP; a test can send any bytes with either.
"""

import base64
import collections
import hashlib
import hmac
import io
import json
import os
import socket
import struct
import time
import zlib

import cbor2
import msgpack
import ubjson
import utils

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED = 16, 17
SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 32, 33, 34, 35, 36
CALL, CANCEL, RESULT = 48, 49, 50
REGISTER, REGISTERED, UNREGISTER, UNREGISTERED, INVOCATION, INTERRUPT, YIELD = 64, 65, 66, 67, 68, 69, 70

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

# those that whole tests run with; test_ubjson.py has the tests of UBJSON
SERIALIZERS = ["json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched"]


class Closed(Exception):
    """The peer closed. The argument is the code of its close frame, or None if only the socket
    ended."""

    def __init__(self, code=None, reason=b""):
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The upgrade was answered with a status other than 101."""

    def __init__(self, status, headers, body):
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body


class WampError(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.uri = message[4]
        self.args_ = message[5] if len(message) > 5 else []
        self.kwargs = message[6] if len(message) > 6 else {}


class Aborted(Exception):
    def __init__(self, message):
        super().__init__(message)
        assert len(message) == 3, message
        self.details = message[1]
        self.uri = message[2]


# --- codecs ---------------------------------------------------------------------------------


def _json_out(value):
    if isinstance(value, (bytes, bytearray)):
        return "\0" + base64.b64encode(value).decode()
    if isinstance(value, (list, tuple)):
        return [_json_out(v) for v in value]
    if isinstance(value, dict):
        return {k: _json_out(v) for k, v in value.items()}
    return value


def _json_in(value):
    if isinstance(value, str) and value.startswith("\0"):
        return base64.b64decode(value[1:], validate=True)
    if isinstance(value, list):
        return [_json_in(v) for v in value]
    if isinstance(value, dict):
        return {k: _json_in(v) for k, v in value.items()}
    return value


def encode(serializer, value):
    if serializer == "json":
        return json.dumps(_json_out(value), ensure_ascii=False, separators=(",", ":")).encode()
    if serializer == "msgpack":
        return msgpack.packb(value, use_bin_type=True)
    if serializer == "ubjson":
        return ubjson.dumpb(value)
    return cbor2.dumps(value)


def decode(serializer, data):
    """Decodes exactly one item; bytes behind it are an error."""
    if serializer == "json":
        return _json_in(json.loads(data.decode("utf-8")))
    if serializer == "msgpack":
        return msgpack.unpackb(data, raw=False, strict_map_key=False)
    stream = io.BytesIO(data)
    value = (ubjson if serializer == "ubjson" else cbor2).load(stream)
    assert stream.tell() == len(data), "bytes behind the message"
    return value


# --- WebSocket ------------------------------------------------------------------------------


class Ws:
    has_close = True  # the framing has a close message with a code
    extensions = None  # Sec-WebSocket-Extensions of the answer
    compressed = 0  # messages that came compressed
    rsv1 = False  # of the last frame: a compressed message begins

    def __init__(self, port, protocols=("wamp.2.json",), path="/ws", host="127.0.0.1",
                 headers=None, timeout=5, unix=None, tls=None, server_name="localhost", session=None,
                 source=None, preface=b"", connected=None):
        """tls: an SSLContext; session: the TLS session to resume; source: the client's address;
        preface: what is sent before anything else; connected: a socket that is connected already."""
        self.timeout = timeout * utils.SLOW
        self.buffer = b""
        self.eof = False
        self.reset = False
        self.is_unix = unix is not None
        if connected:
            self.socket = connected
        elif unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(self.timeout)
            self.socket.connect(str(unix))
        else:
            self.socket = socket.create_connection((host, port), self.timeout, source and (source, 0))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(preface)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name, session=session)
        if protocols is not None:
            authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            self._upgrade(authority, path, protocols, headers or {})

    def _upgrade(self, host, path, protocols, headers):
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade",
                  "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Protocol": ", ".join(protocols), **headers}
        lines = [f"GET {path} HTTP/1.1"] + [f"{k}: {v}" for k, v in fields.items() if v is not None]
        self.send_bytes(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        status, answer = self.read_http_head()
        if status != 101:
            body = self.read_http_body(answer)
            self.socket.close()
            raise Refused(status, answer, body)
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert answer["sec-websocket-accept"] == base64.b64encode(digest).decode()
        self.protocol = answer.get("sec-websocket-protocol")
        self.extensions = answer.get("sec-websocket-extensions")

    def read_http_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(":", 1) for line in lines[1:])
        return int(lines[0].split()[1]), {k.lower(): v.strip() for k, v in headers.items()}

    def read_http_body(self, headers):
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        while not self.eof:
            try:
                self._fill()
            except Closed:
                break
        return self.buffer

    def _fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data, self.reset = b"", True
        if not data:
            self.eof = True
            raise Closed(None)
        self.buffer += data

    def _take(self, count):
        if len(self.buffer) < count:
            parts = [self.buffer]
            have = len(self.buffer)
            while have < count:
                self.buffer = b""
                self._fill()
                parts.append(self.buffer)
                have += len(self.buffer)
            self.buffer = b"".join(parts)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send_bytes(self, data):
        """Sends raw bytes. If the peer has closed, the next read notices."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass

    def make_frame(self, opcode, payload=b"", **kw):
        return frame(opcode, payload, **kw)

    def send_frame(self, opcode, payload=b"", **kw):
        self.send_bytes(self.make_frame(opcode, payload, **kw))

    def recv_frame(self, timeout=None):
        """Returns (opcode, fin, payload). A server's frame must not be masked. Only RSV1 may be
        set, if compression was agreed on, and where a message begins."""
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        first, second = self._take(2)
        self.rsv1 = first & 0x70 == 0x40 and self.extensions is not None and first & 15 in (TEXT, BINARY)
        assert self.rsv1 or not first & 0x70, "RSV bit set"
        assert not second & 0x80, "the server masked a frame"
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        return first & 15, bool(first & 0x80), self._take(length)

    def recv_message(self, timeout=None):
        """Returns (opcode, payload) of the next data message. Answers pings, raises Closed."""
        parts, kind, deflated = [], None, False
        while True:
            opcode, fin, payload = self.recv_frame(timeout)
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if payload else None
                self.send_frame(CLOSE, payload[:2])
                raise Closed(code, payload[2:])
            elif opcode != PONG:
                if kind is None:
                    kind, deflated = opcode, self.rsv1
                parts.append(payload)
                if fin and deflated:
                    self.compressed += 1
                    return kind, inflate(b"".join(parts))
                if fin:
                    return kind, b"".join(parts)

    def wait_closed(self, timeout=None):
        """Reads until the peer has closed and ended the connection.

        Returns (close code or None, messages before it).
        """
        messages = []
        try:
            while True:
                messages.append(self.recv_message(timeout))
        except Closed as closed:
            self.close_reason = closed.reason.decode()
            self.wait_eof()
            self.socket.close()
            assert not self.buffer, f"bytes behind the close frame: {self.buffer[:40]!r}"
            return closed.code, messages

    def close_code(self, code):
        """The code that wait_closed() returns if the server closes a WebSocket with this code."""
        return code if self.has_close else None

    def expect_close(self, code):
        """Expects the end of the connection, with this close code if the framing has one."""
        assert self.wait_closed()[0] == self.close_code(code)

    def was_dropped(self):
        """True if the connection ended so that real clients try again: a WebSocket without a close
        frame, a RawSocket over TCP by a reset. Clients take a plain end of a RawSocket for a
        goodbye."""
        return self.reset == (not self.has_close and not self.is_unix)

    def expect_dropped(self):
        code, messages = self.wait_closed()
        assert code is None and not messages and self.was_dropped(), (code, messages, self.reset)

    def wait_eof(self):
        """Waits until the server ends the connection; received bytes stay in `buffer`."""
        try:
            while not self.eof:
                self._fill()
        except Closed:
            pass

    def close(self, code=1000):
        if not self.has_close:
            self.socket.shutdown(socket.SHUT_WR)
            return self.wait_closed()[0]
        self.send_frame(CLOSE, struct.pack("!H", code))
        return self.wait_closed()[0]

    def close_socket(self):
        self.socket.close()


def deflate(data, level=6, flush=zlib.Z_SYNC_FLUSH):
    """The payload of a compressed message (RFC 7692, 7.2.1)."""
    squeezer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (squeezer.compress(data) + squeezer.flush(flush)).removesuffix(b"\0\0\xff\xff")


def inflate(data):
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


def frame(opcode, payload=b"", fin=True, mask=True, rsv=0):
    """The bytes of one client frame."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[:len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(payload), "big")
    return head + key + masked


class RawSocket(Ws):
    """The same interface over RawSocket. length: log2 of the longest message it accepts, minus 9."""

    SERIALIZERS = {"json": 1, "msgpack": 2, "cbor": 3, "ubjson": 4}
    has_close = False

    def __init__(self, port, protocols=("wamp.2.json",), length=15, hello=None, **kw):
        super().__init__(port, protocols=None, **kw)
        self.protocol = protocols[0]
        number = self.SERIALIZERS[self.protocol.split(".")[2]]
        self.send_bytes(hello or bytes([0x7f, length << 4 | number, 0, 0]))
        reply = self._take(4)
        assert reply[0] == 0x7f and reply[2:] == b"\0\0", reply
        if reply[1] & 15 == 0:
            self.socket.close()
            raise Refused(reply[1] >> 4, {}, b"")
        assert reply[1] & 15 == number
        self.router_max = 1 << (9 + (reply[1] >> 4))

    def make_frame(self, opcode, payload=b""):
        kind = {TEXT: 0, BINARY: 0, PING: 1, PONG: 2}[opcode]
        head = struct.pack("!I", kind << 24 | len(payload)) if len(payload) < 1 << 24 else bytes([kind | 8, 0, 0, 0])
        return head + payload

    def recv_frame(self, timeout=None):
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        (head,) = struct.unpack("!I", self._take(4))
        kind, length = head >> 24, head & 0xffffff
        assert kind & 0xf0 == 0
        if kind & 8:
            assert length == 0
            kind, length = kind & 7, 1 << 24
        data = TEXT if self.protocol == "wamp.2.json" else BINARY
        return {0: data, 1: PING, 2: PONG}[kind], True, self._take(length)


# the test transports: the framings that successive clients of a test use
FRAMINGS = {"websocket": [Ws], "rawsocket": [RawSocket], "rawsocket-unix": [RawSocket],
            "universal": [RawSocket, Ws]}
TRANSPORTS = ["websocket", "rawsocket"]

# --- WAMP -----------------------------------------------------------------------------------


class Client:
    """WAMP over one transport. Keeps messages in `inbox` until the test asks for them.

    A Client is a Ws or, with transport=RawSocket, a RawSocket.
    """

    def __new__(cls, *args, transport=Ws, **kw):
        return object.__new__(type(cls.__name__, (cls, transport), {}) if transport not in cls.__mro__ else cls)

    def __init__(self, port, serializer="json", separator=b"\x18", protocols=None, transport=None, **kw):
        super().__init__(port, protocols or [f"wamp.2.{serializer}"], **kw)
        assert protocols or self.protocol == f"wamp.2.{serializer}", self.protocol
        name = self.protocol.split(".")
        self.serializer, self.batched = name[2], len(name) > 3
        self.opcode = TEXT if self.serializer == "json" else BINARY
        self.separator = separator
        self.inbox = collections.deque()
        self.procedures = {}
        self.request = 0
        self.served = 0
        self.welcome = None

    # --- messages ---

    def pack(self, *messages):
        """The payload of one frame with these WAMP messages."""
        encoded = [encode(self.serializer, m) for m in messages]
        if not self.batched:
            assert len(encoded) == 1
            return encoded[0]
        if self.serializer == "json":
            return b"".join(e + self.separator for e in encoded)
        return b"".join(struct.pack("!I", len(e)) + e for e in encoded)

    def unpack(self, data):
        if not self.batched:
            return [decode(self.serializer, data)]
        if self.serializer == "json":
            assert data.endswith(self.separator), data[-20:]
            return [decode("json", part) for part in data[:-1].split(self.separator)]
        messages = []
        while data:
            (length,) = struct.unpack("!I", data[:4])
            assert length <= len(data) - 4
            messages.append(decode(self.serializer, data[4:4 + length]))
            data = data[4 + length:]
        assert messages, "an empty batch"
        return messages

    def send(self, *messages):
        if self.batched or len(messages) == 1:
            self.send_frame(self.opcode, self.pack(*messages))
        else:
            self.send_bytes(b"".join(self.make_frame(self.opcode, self.pack(m)) for m in messages))

    def send_payload(self, payload):
        """Sends bytes that need not be a valid message, in a frame of the right opcode."""
        self.send_frame(self.opcode, payload)

    def _receive(self, timeout=None):
        opcode, payload = self.recv_message(timeout)
        assert opcode == self.opcode, "text and binary frames mixed"
        for message in self.unpack(payload):
            if message[0] == INVOCATION and message[2] in self.procedures:
                self._serve(message)
            else:
                self.inbox.append(message)

    def recv(self, timeout=None):
        """The next message of any type."""
        while not self.inbox:
            self._receive(timeout)
        return self.inbox.popleft()

    def expect(self, kind, request=None, timeout=None):
        """The next message of this type (and request id); other messages stay in the inbox."""
        seen = 0
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            while seen < len(self.inbox):
                message = self.inbox[seen]
                if message[0] == kind and request in (None, message[1]):
                    del self.inbox[seen]
                    return message
                if (message[0] == ERROR and kind not in (EVENT, INVOCATION)
                        and request is not None and message[2] == request):
                    del self.inbox[seen]
                    raise WampError(message)
                if message[0] == ABORT and kind != ABORT:
                    del self.inbox[seen]
                    raise Aborted(message)
                seen += 1
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no message of type {kind}; received {list(self.inbox)[:5]}")
            self._receive(left)

    def silent(self):
        """Returns what arrives before the answer to a call that must fail: [] if nothing was
        pending.

        The router orders that answer only behind what the same worker sent before. Use this when
        the test knows that the causes are already processed.
        """
        while True:
            request = self.next_request()
            self.send([CALL, request, {}, "com.example.nobody"])
            try:
                self.expect(RESULT, request)
            except WampError:
                return list(self.inbox)

    def next_request(self):
        self.request += 1
        return self.request

    # --- session ---

    def hello(self, realm="devices", authmethods=("anonymous",), authid=None, authextra=None, **details):
        hello = {"roles": {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}, **details}
        if authmethods is not None:
            hello["authmethods"] = list(authmethods)
        if authid is not None:
            hello["authid"] = authid
        if authextra is not None:
            hello["authextra"] = authextra
        self.send([HELLO, realm, hello])

    def join(self, realm="devices", key=None, authextra=None, **kw):
        """From HELLO to WELCOME; by cryptosign or ticket if a Key or Ticket is given. Raises Aborted."""
        if key is None:
            self.hello(realm, authextra=authextra, **kw)
        elif isinstance(key, utils.Secret):
            self.hello(realm, authmethods=["wampcra"], authextra=authextra, **kw)
            self.authenticate(cra_signature(key.ticket, self.expect(CHALLENGE)[2]))
        elif isinstance(key, utils.Ticket):
            self.ask(key, realm, authextra=authextra, **kw)
        else:
            challenge = self.challenge(realm, key, authextra=authextra, **kw)
            self.authenticate(key.sign(challenge))
        self.welcome = self.expect(WELCOME)
        assert len(self.welcome) == 3
        self.session = self.welcome[1]
        self.details = self.welcome[2]
        return self.details

    def ask(self, key, realm=None, authextra=None, **kw):
        """Sends what makes the router ask the authenticator about a Key or Ticket."""
        if isinstance(key, utils.Ticket):
            self.challenge(realm, key, authextra=authextra, **kw)
            self.authenticate(key.ticket)
        else:
            self.hello(realm, authmethods=["cryptosign"], authextra={"pubkey": key.public, **(authextra or {})}, **kw)

    def prove(self, key):
        """What the client still has to do for its login after ask() and the authenticator's answer."""
        if not isinstance(key, utils.Ticket):
            self.authenticate(key.sign(self.expect(CHALLENGE)[2]["challenge"]))

    def challenge(self, realm, key, authextra=None, **kw):
        """Sends HELLO for a Key or Ticket, and waits for CHALLENGE. Returns a Key's challenge in hex."""
        if isinstance(key, utils.Ticket):
            self.hello(realm, authmethods=["ticket"], authextra=authextra, **kw)
            assert self.expect(CHALLENGE) == [CHALLENGE, "ticket", {}]
            return None
        extra = {"pubkey": key.public, "channel_binding": None, **(authextra or {})}
        self.hello(realm, authmethods=["cryptosign"], authextra=extra, **kw)
        message = self.expect(CHALLENGE)
        assert len(message) == 3 and message[1] == "cryptosign", message
        return message[2]["challenge"]

    def authenticate(self, signature, extra=None):
        self.send([AUTHENTICATE, signature, extra or {}])

    def leave(self):
        self.send([GOODBYE, {}, "wamp.close.close_realm"])
        goodbye = self.expect(GOODBYE)
        assert goodbye == [GOODBYE, goodbye[1], "wamp.close.goodbye_and_out"]

    # --- the Basic Profile ---

    def _request(self, kind, answer, *fields, options=None):
        request = self.next_request()
        head = [kind, request] + ([] if options is None else [options])
        self.send(head + list(fields))
        return self.expect(answer, request)

    def subscribe(self, topic, **options):
        return self._request(SUBSCRIBE, SUBSCRIBED, topic, options=options)[2]

    def unsubscribe(self, subscription):
        return self._request(UNSUBSCRIBE, UNSUBSCRIBED, subscription)

    def register(self, procedure, function=None, **options):
        """Without a function the test answers the INVOCATIONs itself."""
        registration = self._request(REGISTER, REGISTERED, procedure, options=options)[2]
        if function:
            self.procedures[registration] = function
            # INVOCATIONs may have arrived in one batch with REGISTERED
            for message in [m for m in self.inbox if m[0] == INVOCATION and m[2] == registration]:
                self.inbox.remove(message)
                self._serve(message)
        return registration

    def unregister(self, registration):
        return self._request(UNREGISTER, UNREGISTERED, registration)

    def publish(self, topic, args=None, kwargs=None, acknowledge=False, **options):
        """Returns the publication id if acknowledged."""
        if acknowledge:
            options["acknowledge"] = True
            return self._request(PUBLISH, PUBLISHED, topic, *_payload(args, kwargs), options=options)[2]
        self.send([PUBLISH, self.next_request(), options, topic, *_payload(args, kwargs)])
        return None

    def start_call(self, procedure, args=None, kwargs=None, **options):
        request = self.next_request()
        self.send([CALL, request, options, procedure, *_payload(args, kwargs)])
        return request

    def result(self, request):
        return payload_of(self.expect(RESULT, request), 3)

    def call(self, procedure, args=None, kwargs=None, callee=None):
        """Returns (args, kwargs). `callee` is the Client of this process that answers the call."""
        request = self.start_call(procedure, args, kwargs)
        if callee is not None and callee is not self:
            callee.serve(1)
        return self.result(request)

    def _serve(self, message):
        args, kwargs = payload_of(message, 4)
        self.served += 1
        try:
            args, kwargs = self.procedures[message[2]](args, kwargs)
        except WampError as e:
            self.send([ERROR, INVOCATION, message[1], {}, e.uri, e.args_, e.kwargs])
            return
        self.send([YIELD, message[1], {}, *_payload(args, kwargs)])

    def serve(self, count):
        """Answers this many invocations of procedures that were registered with a function."""
        goal = self.served + count
        while self.served < goal:
            self._receive()

    def event(self, subscription=None):
        """Returns (args, kwargs) of the next EVENT."""
        message = self.expect(EVENT, subscription)
        return payload_of(message, 4)


def cra_signature(secret, extra):
    """The signature of a CHALLENGE of wampcra."""
    key = secret.encode()
    if "salt" in extra:
        key = base64.b64encode(hashlib.pbkdf2_hmac("sha256", key, extra["salt"].encode(), extra["iterations"],
                                                   extra["keylen"]))
    return base64.b64encode(hmac.digest(key, extra["challenge"].encode(), "sha256")).decode()


def _payload(args, kwargs):
    if kwargs:
        return [args or [], kwargs]
    return [args] if args else []


def roles(**callee):
    """Roles for HELLO, with this content of the callee's."""
    return {"caller": {}, "callee": callee, "publisher": {}, "subscriber": {}}


CANCELING = roles(features={"call_canceling": True})


def worker_of(client):
    """The index of a client's worker; WELCOME calls worker 0 "worker001"."""
    return int(client.details["authextra"]["x_cb_worker"].removeprefix("worker")) - 1


def stands_still(probe):
    """Whether this client's worker stands still: otherwise it answers this request itself."""
    probe.send([CALL, probe.next_request(), {}, "not a uri"])
    try:
        probe.expect(ERROR, timeout=0.2)
        return False
    except TimeoutError:
        return True


def refused(client, **kw):
    """The ABORT that refuses this login."""
    try:
        client.join(**kw)
    except Aborted as aborted:
        client.wait_closed()
        return aborted
    raise AssertionError("the login succeeded")


def payload_of(message, index):
    args = message[index] if len(message) > index else []
    kwargs = message[index + 1] if len(message) > index + 1 else {}
    return args, kwargs


def raise_error(uri, args=None, kwargs=None):
    """For functions given to register(): answers the call with this error."""
    raise WampError([ERROR, INVOCATION, 0, {}, uri, args or [], kwargs or {}])
