# SPDX-License-Identifier: Apache-2.0
"""A scripted authenticator: it does what a test tells it, right or wrong.

It implements the MessagePack-RPC of proto/auth-protocol.md without the project's code, so that a
test controls every byte. It can answer with any value, late, twice, or not at all.
"""

import os
import socket
import threading

import msgpack
import utils

HOLD = object()  # returned by `answer`: the test answers later, or never


class Deny(Exception):
    """Deny(kind, uri, message): raised by `answer` to reply with an error."""

    def __init__(self, uri, message="no", kind="deny"):
        super().__init__(uri)
        self.error = {"kind": kind, "uri": uri, "message": message}


class Authenticator:
    """Calls answer(realm, authid, details) and authorize(details, uri, action, options), which
    return a result, raise Deny, or return HOLD."""

    def __init__(self, folder, answer, features=("revoke", "cancel"), hello=None, ping=None,
                 name="authd.sock", authorize=None):
        self.path = os.path.join(folder, name)
        self.answer = answer
        self.authorize = authorize
        self.features = features
        self.hello = hello
        self.ping = ping
        self.lock = threading.Condition()
        self.reading = threading.Event()  # clear() stops reading, as a stuck process would
        self.reading.set()
        self.connection = None
        self.requests = []  # all requests: (msgid, method, params)
        self.notifications = []  # all notifications: (method, params)
        self.responses = {}  # responses to our own requests: msgid -> (error, result)
        self.next_id = 0
        self.listener = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """Closes everything at once, as if the process was killed."""
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.drop()

    def drop(self):
        with self.lock:
            connection, self.connection = self.connection, None
        if connection:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connection = connection
                self.lock.notify_all()
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        try:
            while self.reading.wait() and (data := connection.recv(65536)):
                unpacker.feed(data)
                for message in unpacker:
                    self._on_message(connection, message)
        except OSError:
            pass

    def _on_message(self, connection, message):
        with self.lock:
            if message[0] == 0:
                self.requests.append(tuple(message[1:]))
            elif message[0] == 1:
                self.responses[message[1]] = (message[2], message[3])
            else:
                self.notifications.append((message[1], message[2]))
            self.lock.notify_all()
        if message[0] == 0:
            self._on_request(connection, *message[1:])

    def _on_request(self, connection, msgid, method, params):
        try:
            if method == "hello":
                result = self.hello() if self.hello else {
                    "protocol": [1, 0], "product": "test", "instance": "00" * 16,
                    "db": "test", "epoch": 1, "features": list(self.features),
                    "methods": ["cryptosign"], "ready": True}
            elif method == "ping":
                result = self.ping() if self.ping else {"ready": True, "inflight": 0, "epoch": 1}
            elif method == "authenticate":
                result = self.answer(*params)
            elif method == "authorize" and self.authorize:
                result = self.authorize(*params)
            else:
                raise Deny("auth.rpc.no_such_method")
        except Deny as deny:
            self.send([1, msgid, deny.error, None], connection)
            return
        if result is not HOLD:
            self.send([1, msgid, None, result], connection)

    def send(self, message, connection=None):
        self.send_bytes(msgpack.packb(message, use_bin_type=True), connection)

    def send_bytes(self, data, connection=None):
        try:
            (connection or self.connection).sendall(data)
        except (OSError, AttributeError):
            pass

    # --- what tests wait for ---

    def wait(self, condition, what):
        with self.lock:
            if not self.lock.wait_for(condition, 10 * utils.SLOW):
                raise TimeoutError(what)

    def wait_requests(self, count, method="authenticate"):
        """Waits for `count` requests of this method and returns them."""
        def found():
            return [r for r in self.requests if r[1] == method]

        self.wait(lambda: len(found()) >= count, f"{count} x {method}")
        return found()

    def request(self, method, *params):
        """Sends a request to routerd; returns (error, result)."""
        with self.lock:
            self.next_id += 1
            msgid = self.next_id
        self.wait(lambda: self.connection, "the router's connection")  # else nobody gets it
        self.send([0, msgid, method, list(params)])
        self.wait(lambda: msgid in self.responses, f"the answer to {method}")
        return self.responses[msgid]

    def revoke(self, uri="wamp.close.killed", message="revoked", epoch=2, **match):
        error, result = self.request("revoke", {"match": match, "epoch": epoch, "uri": uri,
                                                "message": message})
        assert error is None, error
        return result


def principal(key, **more):
    """The result that an authenticator returns for client01."""
    return {"realm": "devices", "role": "device", "authid": "client01@example.com",
            "pubkey": key.public, "extra": {"foo": 23}, "epoch": 1, **more}
