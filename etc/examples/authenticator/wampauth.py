# SPDX-License-Identifier: Apache-2.0
"""A WAMP router's authenticator in Python: write one function, serve it on a Unix socket.

    import wampauth

    def authenticate(realm, authid, details):
        if details["authextra"]["pubkey"] == "545efb0a...":
            return {"realm": "devices", "role": "device", "authid": "client01@example.com",
                    "pubkey": "545efb0a..."}
        raise wampauth.Error("com.example.no_such_user", "who are you?")

    wampauth.serve("/run/authd/auth.sock", authenticate)

It needs Python 3.11, the standard library and msgpack (Debian: python3-msgpack).
proto/auth-protocol.md describes the protocol and what to return.

- realm and authid are what the client asked for, or None. The client has proved nothing yet:
  anybody who can connect to the router can ask about any key.
- details["authextra"] is always a dict. Its "pubkey" is 64 lower case hex digits, or None if the
  client sent no key or something else. Everything else in it is whatever the client sent.
- details["ticket"] is what the client has sent as its password, if details["authmethod"] is
  "ticket"; tickets.py is an example. print(details) and the log do not show it.
- Raise Error to refuse the client. After any other exception, for example because a database is
  down, the router drops the connection, and the client may try again. If the return value is
  wrong, the client is refused, and the log says what is wrong.
- A plain function runs in one of 64 threads and may block. An `async def` function runs in the
  event loop and must not block; it is canceled when nobody waits for its answer any more.
  serve() takes either; serve_async() is for programs that have an event loop of their own.
- If authorize returns "cache": True, call changed() when its decisions have changed.
"""

import asyncio
import concurrent.futures
import contextlib
import inspect
import logging
import os
import pwd
import re
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time

import msgpack

# limits of the protocol
MAX_MESSAGE = 64 * 1024
MAX_INFLIGHT = 1024
MAX_DEPTH = 16
MAX_STRING = 16 * 1024
MAX_MAP = 256
MAX_NAME = 255
MAX_KEYS = 16
TTL_SECONDS = 2

THREADS = 64  # if a login takes 300 ms, they answer 200 logins within one second
MAX_NOTICES = 1024  # notifications that wait for on_notification
DRAIN_SECONDS = 1  # after SIGTERM: the longest wait for answers in progress
END_SECONDS = 1.5  # after SIGTERM: then the process ends, even if functions still run
MAX_LAG_SECONDS = 0.2  # a longer delay of the event loop is logged
LINES_PER_SECOND = 20  # limit of the log

log = logging.getLogger("wampauth")


class Error(Exception):
    """Refuses the client, which gets uri and message unchanged.

    kind "temporary" means instead that no decision is possible now. kind "ignore" means that the
    router should ask its next authenticator. routerd has no next one, and refuses the client with
    wamp.error.no_such_principal.
    """

    def __init__(self, uri=None, message="", kind="deny"):
        super().__init__(uri, message)
        text = str(message).encode(errors="replace")[:MAX_STRING].decode(errors="ignore")
        self.error = {"kind": kind, "uri": uri, "message": text}
        if uri is None:  # then the router uses its default
            del self.error["uri"]


class Details(dict):
    """Describes the client. Also says how long the client still waits."""

    def __init__(self, details, question):
        super().__init__(details)
        self._question = question

    def __repr__(self):
        return repr({**self, "ticket": "(secret)"} if "ticket" in self else dict(self))

    def seconds_left(self):
        """Use it as the timeout when you ask a database or another server."""
        return self._question.seconds_left()

    def canceled(self):
        """Nobody waits for the answer any more."""
        return self.seconds_left() == 0


def serve(path, authenticate, **options):
    """Serves until SIGTERM or SIGINT, and returns. Options: see serve_async."""
    asyncio.run(serve_async(path, authenticate, **options))


async def serve_async(path, authenticate, *, authorize=None, workers=None, mode=0o660,
                      allow_users=None, on_notification=None):
    """Serves until SIGTERM, SIGINT or cancellation. The process ends within 2 s of the signal.

    path             of the socket; not used if systemd hands over a socket
    authorize        is called with (details, uri, action, options) for each request of a session
                     whose role has this authenticator as its authorizer, and returns True or
                     False, or a dict: with {"allow": True, "disclose": True} the receiver of a
                     call or publication learns who the client is. With "cache": True the router
                     keeps the decision for this authid, action, uri and match, until changed() is
                     called, or for "cache_ttl_ms" milliseconds (without "cache" this has no
                     effect). action is "call", "register", "publish" or "subscribe"; options is
                     the dict that the client sent. details describes the client: session, realm,
                     authid, authrole, authmethod, authprovider, and authextra, which is what
                     authenticate returned as extra
    workers          how many questions are handled at the same time; default: 64 threads, or
                     1,024 tasks if all functions are async
    mode             of the socket's file
    allow_users      names or uids that a router may run as; default: root, routerd and the
                     user of this program
    on_notification  is called with (method, params) of session.opened, session.closed and
                     auth.failed, one after another
    """
    # if stderr is closed, descriptor 2 may belong to something else
    handler = _Stderr() if sys.stderr else logging.NullHandler()
    logging.basicConfig(level=logging.INFO, handlers=[handler],
                        format="%(asctime)s %(levelname)s %(message)s")
    stop = _stop_signal()
    server = _Server(authenticate, authorize, workers, _uids(allow_users), on_notification)
    inherited = _inherited_socket()
    sock = inherited or _listen(path, mode)
    # create_unix_server would remove systemd's socket file when it ends (Python 3.13)
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Router(server), sock=sock, backlog=128)
    log.info("authenticator ready at=%s", sock.getsockname())
    _notify("READY=1")
    try:
        await stop.wait()
    finally:
        _notify("STOPPING=1")
        listener.close()
        if not inherited:
            with contextlib.suppress(OSError):
                os.unlink(path)
        await server.finish()


def changed(**match):
    """Makes all routers forget the decisions of authorize that they keep: all, or those about the
    authid, role and realm that are given. Call it after the change, from any thread.

    This affects future requests only. A session keeps its subscriptions and registrations: to take
    them away, call wamp.subscription.remove_subscriber and wamp.registration.remove_callee, or end
    the session with wamp.session.kill.
    """
    for server in list(_servers):
        with contextlib.suppress(RuntimeError):  # its loop has ended
            server.loop.call_soon_threadsafe(server.changed, match)


_servers = set()  # those that serve now


class _Server:
    """Calls the site's functions for the requests of all routers."""

    def __init__(self, authenticate, authorize, workers, uids, on_notification):
        self.functions = {"authenticate": authenticate, "authorize": authorize}
        self.is_async = all(inspect.iscoroutinefunction(f) for f in self.functions.values() if f)
        self.workers = workers or (MAX_INFLIGHT if self.is_async else THREADS)
        self.threads = concurrent.futures.ThreadPoolExecutor(
            self.workers + 1, "authenticate")  # one more for notices
        self.uids = uids
        self.loop = asyncio.get_running_loop()
        self.routers = set()
        self.next_id = 0  # of our requests
        self.waiting = {}  # questions, in order of arrival
        self.running = set()  # tasks, each of which works on one of the other questions
        self.notices = asyncio.Queue(MAX_NOTICES) if on_notification else None
        self.background = []
        if on_notification:
            self.background.append(asyncio.create_task(self._deliver_notices(on_notification)))
        if self.is_async:
            self.background.append(asyncio.create_task(_watch_loop()))
        _servers.add(self)

    def ask(self, question):
        questions = question.router.questions
        if len(questions) >= MAX_INFLIGHT:
            log.warning("refused a request: the router has %d unanswered ones already", MAX_INFLIGHT)
            question.router.answer(question.msgid, {"kind": "temporary"})
            return
        questions[question.msgid] = question
        self.waiting[question] = None
        self._start_next()

    def load(self):
        return len(self.waiting) + len(self.running)

    def _start_next(self):
        # the newest first: if many clients log in at once, the oldest question has hardly any time
        # left, so with the oldest first nobody could log in
        while self.waiting and len(self.running) < self.workers:
            question, _ = self.waiting.popitem()
            question.task = asyncio.create_task(self._work(question))
            self.running.add(question.task)
            question.task.add_done_callback(self._ended)

    def _ended(self, task):
        self.running.discard(task)
        self._start_next()

    def cancel(self, question):
        question.close()
        self.waiting.pop(question, None)
        # a thread cannot be stopped
        if question.task and inspect.iscoroutinefunction(self.functions[question.method]):
            question.task.cancel()

    async def _work(self, question):
        try:
            args = question.read()
        except Exception as e:
            question.router.answer(question.msgid, _invalid(e))
        else:
            await self._decide(question, args)
        finally:
            question.close()

    async def _decide(self, question, args):
        if question.seconds_left():
            function = self.functions[question.method]
            outcome = await self._call(function, args, question.seconds_left())
            if question.seconds_left():
                question.answer(*outcome)
                return
        if question.is_open():
            log.warning("dropped a request: no answer within %.1f s corr=%s", question.ttl, question.corr)

    async def _call(self, function, args, seconds=None):
        """Calls a function of the site. Returns (exception, result)."""
        if not inspect.iscoroutinefunction(function):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.threads, _catch, function, args)
        try:
            async with asyncio.timeout(seconds):
                return None, await function(*args)
        except BaseException as e:
            if asyncio.current_task().cancelling():
                raise
            return e, None

    def notify(self, method, params):
        if self.notices and self.notices.full():
            log.warning("dropped notification=%s: on_notification is too slow", method)
        elif self.notices:
            self.notices.put_nowait((method, params))

    async def _deliver_notices(self, on_notification):
        while True:
            notice = await self.notices.get()
            exception, _ = await self._call(on_notification, notice)
            if exception:
                log.error("on_notification failed notification=%s", notice[0], exc_info=exception)

    def changed(self, match):
        for router in self.routers:
            self.next_id = (self.next_id + 1) % (1 << 32)
            router.transport.write(msgpack.packb([0, self.next_id, "changed", [{"match": match}]]))

    async def finish(self):
        """Waits a moment for the answers in progress, and closes all connections."""
        _servers.discard(self)
        for router in self.routers:
            router.transport.pause_reading()
        end = time.monotonic() + DRAIN_SECONDS
        while self.running and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self.running, timeout=left)
        for router in self.routers:
            router.transport.close()
        for task in self.background:
            task.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)


class _Router(asyncio.Protocol):
    """The connection of one router."""

    def __init__(self, server):
        self.server = server
        self.unpacker = msgpack.Unpacker()  # finds where messages end
        self.buffer = b""  # the beginning of an incomplete message
        self.position = 0  # offset of buffer in the received bytes
        self.questions = {}  # by msgid: those that the router waits for
        self.max_message = MAX_MESSAGE

    def connection_made(self, transport):
        self.transport = transport
        self.server.routers.add(self)
        uid = _peer_uid(transport.get_extra_info("socket"))
        if uid not in self.server.uids:
            log.error("router refused: its user is not in allow_users uid=%d", uid)
            transport.abort()

    def connection_lost(self, error):
        self.server.routers.discard(self)
        for question in list(self.questions.values()):
            self.server.cancel(question)

    def pause_writing(self):
        self.transport.pause_reading()  # no more questions from a router that reads no answers

    def resume_writing(self):
        self.transport.resume_reading()

    def data_received(self, data):
        try:
            for message in self._messages(data):
                self._handle(message)
        except Exception as e:
            log.error("connection closed: %s: %s", type(e).__name__, e)
            self.transport.close()

    def _messages(self, data):
        """The complete messages, still encoded."""
        self.unpacker.feed(data)
        data = self.buffer + data
        begin = 0
        with contextlib.suppress(msgpack.OutOfData):
            while True:
                self.unpacker.skip()
                end = self.unpacker.tell() - self.position
                if end - begin > MAX_MESSAGE:
                    break
                yield data[begin:end]
                begin = end
        self.buffer = data[begin:]
        self.position += begin
        if len(self.buffer) > MAX_MESSAGE:
            raise ValueError(f"a message of more than {MAX_MESSAGE} bytes")

    def _handle(self, message):
        match _open(message):
            case [0, int(msgid), str(method)], params if 0 <= msgid < 1 << 32:
                self._request(msgid, method, params)
            case [2, str(method)], params:
                self._notification(method, params)
            case [1, _, error], _:
                if error:
                    log.error("the router has refused changed: %r", error)
            case _:
                raise ValueError("this is not a message of the protocol")

    def _request(self, msgid, method, params):
        if method == "authenticate":
            self.server.ask(_Question(self, msgid, params))
        elif method == "authorize" and self.server.functions[method]:
            self.server.ask(_AuthorizeQuestion(self, msgid, params))
        elif method == "ping":
            self.answer(msgid, None, {"ready": True, "inflight": self.server.load()})
        elif method == "hello":
            try:
                (hello,) = _decode(params)
                self._hello(msgid, hello["protocol"][0], hello.get("max_message") or MAX_MESSAGE)
            except (ValueError, TypeError, LookupError, AttributeError) as e:
                self.answer(msgid, _invalid(e))
        else:
            self.answer(msgid, {"kind": "internal", "uri": "auth.rpc.no_such_method",
                                "message": "no such method"})

    def _hello(self, msgid, major, max_message):
        if major != 1:
            self.answer(msgid, {"kind": "internal", "uri": "auth.rpc.unsupported_version",
                                "message": "the authenticator supports version 1.0: upgrade it "
                                           "or the router"})
            self.transport.close()
            return
        self.max_message = min(MAX_MESSAGE, max_message)
        self.answer(msgid, None, {
            "protocol": [1, 0], "product": "wampauth.py/1.1", "max_message": MAX_MESSAGE,
            "max_inflight": MAX_INFLIGHT, "ready": True,
            "features": ["cancel"] + ["events"] * bool(self.server.notices)
                        + ["authorize"] * bool(self.server.functions["authorize"]),
        })

    def _notification(self, method, params):
        try:
            params = _decode(params)
        except Exception as e:
            log.warning("dropped notification=%s: %s", method, e)
            return
        if method != "cancel":
            self.server.notify(method, params)
        elif params and isinstance(params[0], int) and params[0] in self.questions:
            self.server.cancel(self.questions[params[0]])

    def answer(self, msgid, error, result=None):
        self.transport.write(msgpack.packb([1, msgid, error, result]))


class _Question:
    """One authenticate request. It is decoded only when it is handled, because many clients may
    log in at once, and most of their requests then time out before that."""

    method = "authenticate"

    def __init__(self, router, msgid, params):
        self.router = router
        self.msgid = msgid
        self.params = params
        self.arrived = time.monotonic()
        self.ttl = TTL_SECONDS
        self.corr = None
        self.authmethod = None
        self.task = None

    def read(self):
        """Returns the arguments of the site's function. Raises an exception if they are malformed."""
        realm, authid, details = _decode(self.params)
        if not all(isinstance(name, str | None) for name in (realm, authid)):
            raise ValueError("realm and authid must be text or nil")
        details = Details(details, self)
        self.corr = details.get("corr")
        self.authmethod = details.get("authmethod")
        if isinstance(ttl_ms := details.get("ttl_ms"), int):
            self.ttl = ttl_ms / 1000
        extra = details.get("authextra")
        extra = extra if isinstance(extra, dict) else {}
        key = extra.get("pubkey")
        details["authextra"] = {**extra, "pubkey": key.lower() if _is_key(key) else None}
        return realm, authid, details

    def age(self):
        return time.monotonic() - self.arrived

    def is_open(self):
        """The router has not canceled it, and was not answered."""
        return self.router.questions.get(self.msgid) is self

    def seconds_left(self):
        return max(0, self.ttl - self.age()) if self.is_open() else 0

    def answer(self, exception, result):
        """Sends the function's result, or an error."""
        error = None
        if isinstance(exception, Error):
            error, result = exception.error, None
        elif exception:
            log.error("%s failed corr=%s; the client may try again", self.method, self.corr,
                      exc_info=exception)
            error = {"kind": "temporary", "detail": type(exception).__name__}
        try:
            _check_error(error) if error else self.check(result)
            size = len(msgpack.packb([1, self.msgid, error, result]))
            if size > self.router.max_message:
                raise ValueError(f"the answer has {size} bytes, but the router accepts only "
                                 f"{self.router.max_message}")
        except MemoryError:
            error, result = {"kind": "temporary", "detail": "out of memory"}, None
        except Exception as e:
            log.error("refused the client: %s has returned a wrong value corr=%s reason=\"%s\"",
                      self.method, self.corr, e)
            error, result = {"kind": "internal", "detail": f"wrong value: {e}"[:MAX_NAME]}, None
        self.router.answer(self.msgid, error, result)

    def check(self, result):
        _check_result(result, self.authmethod)

    def close(self):
        if self.is_open():
            del self.router.questions[self.msgid]


class _AuthorizeQuestion(_Question):
    method = "authorize"

    def read(self):
        details, uri, action, options = _decode(self.params)
        if not isinstance(uri, str) or not isinstance(action, str):
            raise ValueError("uri and action must be text")
        details = Details(details, self)
        self.corr = f"session {details.get('session')}"
        if isinstance(ttl_ms := details.get("ttl_ms"), int):
            self.ttl = ttl_ms / 1000
        return details, uri, action, options or {}

    def check(self, result):
        _check_decision(result)


# --- what an answer may hold -------------------------------------------------------------------


def _is_name(value):
    return isinstance(value, str) and 0 < len(value.encode()) <= MAX_NAME


def _is_uri(value):
    return _is_name(value) and re.fullmatch(r"[^\s#.\0]+(\.[^\s#.\0]+)*", value) is not None


def _is_key(value):
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{64}", value) is not None


def _number(least, most, expected):
    # True and False are integers in Python, but not in the protocol
    return (expected, lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most)


_NAME = ("text of 1 to 255 bytes", _is_name)
_COUNT = _number(0, (1 << 63) - 1, "an integer from 0 to 2^63-1")
_URI = ("a URI, such as com.example.name", _is_uri)
_RESULT = {
    "realm": _URI, "role": _NAME, "authid": _NAME, "authprovider": _NAME,
    "pubkey": ("64 hex digits", _is_key),
    "pubkeys": ("a list of keys of 64 hex digits",
                lambda value: isinstance(value, (list, tuple)) and all(map(_is_key, value))),
    "secret": ("text of 1 to 4096 bytes", lambda value: isinstance(value, str) and 0 < len(value.encode()) <= 4096),
    "derived_key": _NAME, "salt": _NAME,
    "iterations": _number(1, 10_000_000, "a number from 1 to 10000000"),
    "keylen": _number(16, 64, "a number from 16 to 64"),
    "kdf": _NAME, "memory": _number(1, (1 << 32) - 1, "a number from 1 to 2^32-1"),
    "stored-key": ("64 hex digits", _is_key), "server-key": ("64 hex digits", _is_key),
    "extra": ("a dict", lambda value: isinstance(value, dict)),
    "epoch": _COUNT,
}
_SCRAM = [(key,) for key in ("kdf", "salt", "iterations", "stored-key", "server-key")]
_REQUIRED = {  # by authmethod: of each tuple one key
    "cryptosign": [("authid",), ("pubkey", "pubkeys")], "cookie": [("authid",)], "tls": [("authid",)],
    "wampcra": [("secret", "derived_key")], "scram": _SCRAM, "wamp-scram": _SCRAM,
}
_BOOL = ("True or False", lambda value: isinstance(value, bool))
_DECISION = {"allow": _BOOL, "disclose": _BOOL, "cache": _BOOL, "cache_ttl_ms": _COUNT}


def _check_result(result, authmethod):
    if not isinstance(result, dict):
        raise ValueError(f"authenticate: expected a dict, not {type(result).__name__}")
    _check_keys(result, "role", _RESULT)
    if len(result.get("pubkeys") or ()) + (result.get("pubkey") is not None) > MAX_KEYS:
        raise ValueError(f"pubkey and pubkeys: expected at most {MAX_KEYS} keys in all")
    for keys in _REQUIRED.get(authmethod, ()):
        if not any(map(result.get, keys)):
            raise ValueError(f"{' or '.join(keys)}: required with {authmethod}, but missing")
    _check_value(result, "result", 2)


def _check_decision(result):
    if not isinstance(result, (bool, dict)):
        raise ValueError(f"authorize: expected True, False or a dict, not {type(result).__name__}")
    if isinstance(result, dict):
        _check_keys(result, "allow", _DECISION)
        _check_value(result, "result", 2)


def _check_keys(result, required, keys):
    if result.get(required) is None:
        raise ValueError(f"{required}: required, but missing")
    for key, (expected, is_right) in keys.items():
        if result.get(key) is not None and not is_right(result[key]):
            raise ValueError(f"{key}: expected {expected}")


def _check_error(error):
    if error["kind"] not in ("deny", "ignore", "temporary"):
        raise ValueError("Error.kind: expected deny, ignore or temporary")
    if "uri" in error and not _is_uri(error["uri"]):
        raise ValueError("Error.uri: expected a URI, such as com.example.no_such_user")


def _check_value(value, where, depth):
    """The limits of the protocol on anything in a message; depth counts maps and arrays."""
    if isinstance(value, (dict, list, tuple)) and depth > MAX_DEPTH:
        raise ValueError(f"{where}: nested too deeply")
    if isinstance(value, (str, bytes)):
        if len(value.encode() if isinstance(value, str) else value) > MAX_STRING:
            raise ValueError(f"{where}: longer than {MAX_STRING} bytes")
    elif isinstance(value, dict):
        if len(value) > MAX_MAP:
            raise ValueError(f"{where}: more than {MAX_MAP} keys")
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where}: keys must be text")
            _check_value(key, f"a key of {where}", depth)
            _check_value(item, f"{where}.{key}"[:MAX_NAME], depth + 1)
    elif isinstance(value, (list, tuple)) and not isinstance(value, msgpack.ExtType):
        for item in value:
            _check_value(item, f"{where}[]", depth + 1)
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise ValueError(f"{where}: the number does not fit into 64 bits")
    elif not isinstance(value, (float, type(None))):
        raise ValueError(f"{where}: a {type(value).__name__} cannot be sent")


# --- MessagePack -------------------------------------------------------------------------------


def _decode(params):
    """Params as a list. Clients may send anything; what cannot be a key in Python is left out."""
    params = msgpack.unpackb(params, strict_map_key=False, object_pairs_hook=lambda pairs: {
        key: value for key, value in pairs if not isinstance(key, (list, dict))})
    if not isinstance(params, list):
        raise ValueError("params must be an array")
    return params


def _open(message):
    """Returns ([type, ...], params). Params stay encoded: an error in them must not end the
    connection."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(message)
    count = unpacker.read_array_header()
    if not 3 <= count <= 4:
        raise ValueError("this is not a message of the protocol")
    head = [unpacker.unpack() for _ in range(count - 1)]
    return head, message[unpacker.tell():]


def _invalid(exception):
    kind = "temporary" if isinstance(exception, MemoryError) else "internal"
    return {"kind": kind, "uri": "auth.rpc.invalid_argument",
            "message": f"{type(exception).__name__}: {exception}"[:MAX_NAME]}


# --- the process -------------------------------------------------------------------------------


def _catch(function, args):
    """Returns (exception, result): a future does not pass on every exception, such as SystemExit."""
    try:
        return None, function(*args)
    except BaseException as e:
        return e, None


async def _watch_loop():
    while True:
        before = time.monotonic()
        await asyncio.sleep(MAX_LAG_SECONDS)
        lag = time.monotonic() - before - MAX_LAG_SECONDS
        if lag > MAX_LAG_SECONDS:
            log.warning("an async function has blocked the event loop, and so all logins, for "
                        "%.1f s", lag)


def _stop_signal():
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(*_):
        # without this, the interpreter would wait for threads and tasks without a limit
        timer = threading.Timer(END_SECONDS, os._exit, [0])
        timer.daemon = True
        timer.start()
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)
    return stop


class _Stderr(logging.Handler):
    """Drops lines, and counts them, rather than wait for a stderr that nobody reads."""

    second = lines = dropped = 0

    def emit(self, record):
        now = int(time.monotonic())
        self.second, self.lines = now, self.lines + 1 if now == self.second else 1
        try:
            text = self.format(record)
        except Exception:  # a mistake in a log call of the site must not fail a login
            text = f"wrong log call: {record.msg!r} with {record.args!r}"
        text += f" (dropped lines: {self.dropped})" if self.dropped else ""
        data = text.encode(errors="replace") + b"\n"
        with contextlib.suppress(OSError):
            if self.lines <= LINES_PER_SECOND and self._is_writable():
                self.dropped = 0
                while data and self._is_writable():
                    data = data[os.write(2, data[:select.PIPE_BUF]):]
                return
        self.dropped += 1

    @staticmethod
    def _is_writable():
        return bool(select.select([], [2], [], 0)[1])


def _uids(users):
    if users is None:
        users = [0, os.geteuid()]
        with contextlib.suppress(KeyError):
            users.append(pwd.getpwnam("routerd").pw_uid)
    return {user if isinstance(user, int) else pwd.getpwnam(user).pw_uid for user in users}


def _peer_uid(sock):
    """The uid of the process that has connected, from the kernel."""
    cred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", cred)[1]


def _listen(path, mode):
    """Returns a listening socket. Removes the socket file of a process that has ended."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
            raise OSError(f"{path}: another process listens there")
    except FileNotFoundError:
        pass
    except ConnectionRefusedError:
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    os.chmod(path, mode)
    return sock


def _inherited_socket():
    """The socket that systemd has opened (sd_listen_fds(3)), or None."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    os.set_inheritable(3, False)
    return socket.socket(fileno=3)


def _notify(state):
    """sd_notify(3)"""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        # a service manager that does not read must not stop the authenticator
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.sendto(state.encode(), "\0" + path[1:] if path[0] == "@" else path)
