# SPDX-License-Identifier: Apache-2.0
"""A WAMP router's authenticator in Python: write one function, serve it on a Unix socket.

    import wampauth

    def authenticate(realm, authid, details):
        if details["authextra"]["pubkey"] == "545efb0a...":
            return {"realm": "devices", "role": "device", "authid": "client01@example.com",
                    "pubkey": "545efb0a..."}
        raise wampauth.Error("com.example.no_such_user", "who are you?")

    wampauth.serve("/run/authd/auth.sock", authenticate)

It needs the standard library and msgpack (Debian: python3-msgpack). The protocol is described
in proto/auth-protocol.md. Each request runs in a thread of a pool, so the function may take its
time and ask a database or another server; many requests are in flight, and are answered in any
order. The router proves nothing before it asks: whoever connects can ask about any key.
"""

import concurrent.futures
import os
import socket
import stat
import struct
import sys
import threading

import msgpack

MAX_MESSAGE = 64 * 1024
MAX_INFLIGHT = 1024
SEND_SECONDS = 5
# what routers of this protocol may send in one message; more ends the connection
_LIMITS = dict(max_str_len=16384, max_bin_len=16384, max_array_len=MAX_MESSAGE, max_map_len=256,
               max_ext_len=0, max_buffer_size=2 * MAX_MESSAGE)
_LISTEN_FDS_START = 3
_REQUEST, _RESPONSE, _NOTIFICATION = 0, 1, 2


class Error(Exception):
    """No: uri and message go to the client as they are, if kind is "deny".

    "temporary" says that it cannot be decided now, "ignore" that another authenticator should be
    asked. Any other exception of your function is "internal"; the client learns nothing of it.
    """

    def __init__(self, uri="wamp.error.authentication_denied", message="", kind="deny"):
        super().__init__(uri, message)
        self.error = {"kind": kind, "uri": uri, "message": message}


class _Connection:
    """One router. Its thread reads; the pool's threads answer."""

    def __init__(self, sock, server):
        self.sock = sock
        self.server = server
        self.write_lock = threading.Lock()
        self.inflight = threading.BoundedSemaphore(MAX_INFLIGHT)
        # a router that stops reading must not hold the threads that answer the others
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))

    def run(self):
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, **_LIMITS)
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    return
                unpacker.feed(data)
                for message in unpacker:
                    self.handle(message)
        except Exception as e:
            # malformed or lost: whatever it was, it ends this connection and nothing else
            print(f"connection closed: {type(e).__name__}: {e}", file=sys.stderr)
        finally:
            self.close()

    def close(self):
        self.shutdown()
        # a writer may be at it still, and the number must not be another file's by then
        with self.write_lock:
            self.sock.close()

    def handle(self, message):
        if not isinstance(message, list) or len(message) < 3:
            raise ValueError("not a message")
        if message[0] == _NOTIFICATION:
            self.server.notification(message[1], message[2])
            return
        if message[0] == _RESPONSE:
            return  # to a request that this side does not make
        kind, msgid, method, params = message
        if kind != _REQUEST or not 0 <= msgid < 1 << 32 or not isinstance(params, list):
            raise ValueError("not a request")
        if method == "hello":
            self.hello(msgid, params[0])
        elif method == "ping":
            self.answer(msgid, None, {"ready": True})
        elif method == "authenticate":
            realm, authid, details = params
            if not self.inflight.acquire(blocking=False):
                raise ValueError("too many requests in flight")
            self.server.pool.submit(self.authenticate, msgid, realm, authid, details)
        else:
            self.answer(msgid, {"kind": "internal", "uri": "auth.rpc.no_such_method",
                                "message": "no such method"})

    def hello(self, msgid, hello):
        if hello["protocol"][0] != 1:
            self.answer(msgid, {"kind": "internal", "uri": "auth.rpc.unsupported_version",
                                "message": "this authenticator speaks 1.0"})
            raise ValueError("router speaks another version")
        self.answer(msgid, None, {
            "protocol": [1, 0], "product": self.server.product, "max_message": MAX_MESSAGE,
            "max_inflight": MAX_INFLIGHT, "features": self.server.features, "ready": True,
        })

    def authenticate(self, msgid, realm, authid, details):
        error, result = None, None
        try:
            result = self.server.authenticate(realm, authid, details)
        except Error as e:
            error = e.error
        except Exception as e:  # a bug must deny, and must not stop the others
            print(f"authenticate failed: {type(e).__name__}: {e}", file=sys.stderr)
            error = {"kind": "internal", "detail": f"{type(e).__name__}"}
        finally:
            self.inflight.release()
        self.answer(msgid, error, result)

    def answer(self, msgid, error, result=None):
        try:
            data = msgpack.packb([_RESPONSE, msgid, error, result], use_bin_type=True)
        except (TypeError, ValueError, OverflowError) as e:
            print(f"the answer cannot be encoded: {e}", file=sys.stderr)
            data = msgpack.packb([_RESPONSE, msgid, {"kind": "internal"}, None])
        try:
            with self.write_lock:
                self.sock.sendall(data)
        except OSError:
            self.shutdown()  # perhaps half a message is out; the reader closes

    def shutdown(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Server:
    """Listens, and serves every router that connects."""

    def __init__(self, path, authenticate, workers=16, mode=0o660, allow_uids=None,
                 on_notification=None, product="wampauth.py/1.0"):
        self.path = path
        self.authenticate = authenticate
        self.allow_uids = {0, os.geteuid()} if allow_uids is None else set(allow_uids)
        self.on_notification = on_notification
        self.features = ["cancel", "events"] if on_notification else []
        self.product = product
        self.pool = concurrent.futures.ThreadPoolExecutor(workers, "authenticate")
        self.inherited = _inherited_socket()
        self.sock = self.inherited or _listen(path, mode)

    def notification(self, method, params):
        """session.opened, session.closed, auth.failed, cancel: told, not asked."""
        if self.on_notification:
            try:
                self.on_notification(method, params)
            except Exception as e:
                print(f"on_notification failed: {type(e).__name__}: {e}", file=sys.stderr)

    def serve_forever(self):
        """Until close() is called by another thread or a signal's handler."""
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            if self.allowed(sock):
                connection = _Connection(sock, self)
                threading.Thread(target=connection.run, daemon=True).start()
            else:
                sock.close()

    def allowed(self, sock):
        """The kernel says which user connected."""
        cred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", cred)
        if uid not in self.allow_uids:
            print(f"refused user {uid}", file=sys.stderr)
        return uid in self.allow_uids

    def close(self):
        if not self.inherited:
            _unlink(self.path)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes accept
        except OSError:
            pass
        self.sock.close()
        self.pool.shutdown(wait=False)


def serve(path, authenticate, **options):
    """Serves until SIGTERM or SIGINT, then removes the socket and returns."""
    import signal

    server = Server(path, authenticate, **options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.close())
    print(f"authenticator ready at={path}", file=sys.stderr, flush=True)
    _notify("READY=1")
    server.serve_forever()


def _listen(path, mode):
    """A listening socket in place of a file that a dead process left behind."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
            raise OSError(f"{path}: somebody is listening there already")
    except FileNotFoundError:
        pass
    except ConnectionRefusedError:
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    os.chmod(path, mode)
    sock.listen(128)
    return sock


def _inherited_socket():
    """The socket that systemd has opened (sd_listen_fds(3)), or None."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    sock = socket.socket(fileno=_LISTEN_FDS_START)
    sock.setblocking(True)
    os.set_inheritable(sock.fileno(), False)
    return sock


def _notify(state):
    """sd_notify(3)"""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), "\0" + path[1:] if path[0] == "@" else path)


def _unlink(path):
    try:
        os.unlink(path)
    except OSError:
        pass
