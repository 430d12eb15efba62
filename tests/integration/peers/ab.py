# SPDX-License-Identifier: Apache-2.0
"""Autobahn|Python as a puppet: JSON commands on stdin, answers and events on stdout.

    ab.py asyncio|twisted

peers.py describes and sends the commands. One process runs any number of sessions, each with a
name. Importing Autobahn takes most of a second, so this process imports it once, and forks a puppet
for each pair of pipes that comes over the socket on stdin.
"""

import asyncio
import gc
import json
import os
import random
import signal
import socket
import ssl
import sys
import threading

FRAMEWORK = sys.argv[1]

import txaio  # noqa: E402

if FRAMEWORK == "asyncio":
    txaio.use_asyncio()
    from autobahn.asyncio.component import Component
    from autobahn.asyncio.rawsocket import WampRawSocketClientFactory
    from autobahn.asyncio.wamp import ApplicationSession
    from autobahn.asyncio.websocket import WampWebSocketClientFactory
else:
    txaio.use_twisted()
    from autobahn.twisted.component import Component
    from autobahn.twisted.rawsocket import WampRawSocketClientFactory
    from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
    from autobahn.twisted.websocket import WampWebSocketClientFactory
    from twisted.internet import reactor
    from twisted.internet.defer import ensureDeferred
    from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
    from twisted.internet.task import deferLater

from autobahn.rawsocket.util import parse_url as parse_raw_url  # noqa: E402
from autobahn.wamp import serializer as serializers  # noqa: E402
from autobahn.wamp.auth import create_authenticator  # noqa: E402
from autobahn.wamp.cryptobox import KeyRing  # noqa: E402
from autobahn.wamp.exception import ApplicationError  # noqa: E402
from autobahn.wamp.interfaces import IPayloadCodec  # noqa: E402
from autobahn.wamp.types import (CallOptions, CallResult, ComponentConfig, EncodedPayload,  # noqa: E402
                                  PublishOptions, RegisterOptions, SubscribeOptions)
from autobahn.websocket.compress import (PerMessageDeflateOffer, PerMessageDeflateResponse,  # noqa: E402
                                         PerMessageDeflateResponseAccept)
from autobahn.websocket.util import parse_url  # noqa: E402

SERIALIZERS = {"json": serializers.JsonSerializer, "msgpack": serializers.MsgPackSerializer,
               "cbor": serializers.CBORSerializer}
if hasattr(serializers, "UBJSONSerializer"):
    SERIALIZERS["ubjson"] = serializers.UBJSONSerializer


def to_json(value):
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    return value


def from_json(value):
    if isinstance(value, dict):
        if list(value) == ["$bin"]:
            return bytes.fromhex(value["$bin"])
        return {k: from_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_json(v) for v in value]
    return value


def say(**message):
    sys.stdout.write(json.dumps(to_json(message)) + "\n")
    sys.stdout.flush()


class Reversed:
    """A payload codec that uses all options: JSON, read from its end."""

    OPTIONS = ("x_reversed", "json", "k\u00e9y")

    def encode(self, is_originating, uri, args=None, kwargs=None):
        return EncodedPayload(json.dumps([uri, args, kwargs]).encode()[::-1], *self.OPTIONS)

    def decode(self, is_originating, uri, encoded):
        assert (encoded.enc_algo, encoded.enc_serializer, encoded.enc_key) == self.OPTIONS
        return json.loads(encoded.payload[::-1])


IPayloadCodec.register(Reversed)


class Session(ApplicationSession):
    def __init__(self, command, joined):
        super().__init__(ComponentConfig(realm=command["realm"]))
        self.command = command
        self.joined = joined
        self.subscriptions = {}
        self.registrations = {}
        self.calls = {}  # by procedure: the last one
        self.authenticator = None

    def finish(self, result=None, error=None):
        joined, self.joined = self.joined, None
        if joined is None:
            return False
        if error:
            txaio.reject(joined, error)
        else:
            txaio.resolve(joined, result)
        return True

    def onConnect(self):
        command = self.command
        extra = command.get("authextra")
        if command.get("key"):
            bound = {"authextra": {"channel_binding": command["binding"]}} if command.get("binding") else {}
            self.authenticator = create_authenticator("cryptosign", privkey=command["key"], **bound)
            extra = {**(extra or {}), **self.authenticator.authextra}
        if command.get("ticket"):
            self.authenticator = create_authenticator("ticket", ticket=command["ticket"], authid=command.get("authid"))
        if command.get("secret"):
            self.authenticator = create_authenticator("wampcra", secret=command["secret"], authid=command.get("authid"))
        if command.get("password"):
            self.authenticator = create_authenticator("scram", password=command["password"], authid=command["authid"])
            extra = {**(extra or {}), **self.authenticator.authextra}
        methods = command.get("authmethods") or [self.authenticator.name if self.authenticator else "anonymous"]
        self.join(command["realm"], authmethods=methods, authid=command.get("authid"), authextra=extra)

    def onChallenge(self, challenge):
        if self.command.get("signature"):
            return self.command["signature"]
        return self.authenticator.on_challenge(self, challenge)

    def onWelcome(self, welcome):
        """A text refuses the router, as the one of the wrong SCRAM signature does."""
        return self.authenticator.on_welcome(self, welcome.authextra) if self.command.get("password") else None

    def onJoin(self, details):
        self.finish({n: getattr(details, n) for n in (
            "realm", "session", "authid", "authrole", "authmethod", "authprovider", "authextra",
            "serializer")})

    def onLeave(self, details):
        if not self.finish(error=ApplicationError(details.reason, details.message)):
            say(ev="left", s=self.command["s"], reason=details.reason, message=details.message)
        self.disconnect()

    def onDisconnect(self):
        self.finish(error=ApplicationError("test.lost"))
        say(ev="lost", s=self.command["s"])


sessions = {}
stoppers = {}  # how to stop clients that reconnect by themselves: name -> function


def tls_of_twisted(command, host):
    from OpenSSL import SSL
    from twisted.internet.ssl import Certificate, TLSVersion, optionsForClientTLS
    with open(command["ca"]) as file:
        root = Certificate.loadPEM(file.read())
    options = optionsForClientTLS(host, trustRoot=root)
    if command.get("tls") == "1.2" and hasattr(options, "_ctx"):
        # Debian's Twisted would allow less than 1.2 instead
        options._ctx.set_max_proto_version(SSL.TLS1_2_VERSION)
    elif command.get("tls") == "1.2":
        options = optionsForClientTLS(host, trustRoot=root,
                                      extraCertificateOptions={"lowerMaximumSecurityTo": TLSVersion.TLSv1_2})
    return options


def tls_of_asyncio(command):
    if not command.get("ca"):
        return None
    context = ssl.create_default_context(cafile=command["ca"])
    if command.get("tls") == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


async def connect(factory, host, port, command):
    """Connects to host and port. With host "unix", port is a path. With "ca", by TLS."""
    if FRAMEWORK == "twisted":
        endpoint = (UNIXClientEndpoint(reactor, port) if host == "unix"
                    else TCP4ClientEndpoint(reactor, host, port))
        if command.get("ca"):
            endpoint = wrapClientTLS(tls_of_twisted(command, host), endpoint)
        await endpoint.connect(factory)
    elif host == "unix":
        await loop.create_unix_connection(factory, port)
    else:
        await loop.create_connection(factory, host, port, ssl=tls_of_asyncio(command))


def accept_compression(response):
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


async def do_join(command):
    joined = txaio.create_future()
    session = sessions[command["s"]] = Session(command, joined)
    name, *batched = command["serializer"].split(".")
    made = SERIALIZERS[name](batched=bool(batched))
    url = command["url"]
    if url.startswith("rs"):
        factory = WampRawSocketClientFactory(lambda: session, serializer=made)
        host, port = parse_raw_url(url)[1:3]
    else:
        factory = WampWebSocketClientFactory(lambda: session, url=url, serializers=[made])
        if command.get("compress"):
            factory.setProtocolOptions(perMessageCompressionOffers=[PerMessageDeflateOffer()],
                                       perMessageCompressionAccept=accept_compression)
        host, port = parse_url(url)[1:3]
    await connect(factory, host, port, command)
    result = await joined
    if command.get("codec"):
        session.set_payload_codec(Reversed() if command["codec"] == "reversed" else KeyRing(command["codec"]))
    return result


def authentication(command):
    if command.get("ticket"):
        return {"ticket": {"ticket": command["ticket"], "authid": command["authid"]}}
    return {"cryptosign": {"privkey": command["key"]}}


RETRY = {"max_retries": -1, "max_retry_delay": 0.5, "initial_retry_delay": 0.2, "retry_delay_growth": 1}


async def do_component(command):
    """Runs a Component, which reconnects by itself. Sends "joined" at each WELCOME, and "ended" if
    it gives up."""
    name, raw = command["s"], command["url"].startswith("rs:")
    transport = {"type": "rawsocket" if raw else "websocket", "url": command["url"], **RETRY}
    if raw:
        transport["serializer"] = command["serializer"]
    else:
        transport["serializers"] = [command["serializer"]]
    component = Component(transports=[transport], realm=command["realm"],
                          authentication=authentication(command))
    if "late" in command:
        component.session_factory = late(component.session_factory, command["late"])
    component.on("join", lambda session, details: say(ev="joined", s=name))
    ended = component.start(loop if FRAMEWORK == "asyncio" else reactor)
    txaio.add_callbacks(ended, lambda result: say(ev="ended", s=name, why=repr(result)),
                        lambda failure: say(ev="ended", s=name, why=txaio.failure_message(failure)))
    stoppers[name] = component.stop


def late(factory, seconds):
    """A session factory whose first session sends HELLO this many seconds late."""
    delays = [seconds]

    class Late(factory):
        def join(self, *args, **kw):
            if delays:
                txaio.call_later(delays.pop(), super().join, *args, **kw)
            else:
                super().join(*args, **kw)

    return Late


class Returning(Session):
    def onJoin(self, details):
        say(ev="joined", s=self.command["s"])

    def onDisconnect(self):
        pass


async def do_runner(command):
    """Like do_component, with an ApplicationRunner. Only Twisted's can reconnect."""
    runner = ApplicationRunner(command["url"], command["realm"], serializers=[SERIALIZERS[command["serializer"]]()],
                               retry_delay_jitter=0.1, **RETRY)
    await runner.run(lambda config: Returning(command, None), start_reactor=False, auto_reconnect=True)
    stoppers[command["s"]] = runner.stop


async def do_stop(command):
    stoppers.pop(command["s"])()


async def do_subscribe(command):
    session, topic = sessions[command["s"]], command["topic"]

    def on_event(*args, details, **kwargs):
        publisher = [details.publisher, details.publisher_authid, details.publisher_authrole]
        say(ev="event", s=command["s"], topic=topic, args=list(args), kwargs=kwargs, publisher=publisher,
            matched=details.topic, encoded=details.enc_algo, retained=bool(details.retained))

    options = SubscribeOptions(details=True, **command.get("options") or {})
    session.subscriptions[topic] = await session.subscribe(on_event, topic, options)
    return session.subscriptions[topic].id


async def do_unsubscribe(command):
    await sessions[command["s"]].subscriptions.pop(command["topic"]).unsubscribe()


async def sleep(seconds):
    if FRAMEWORK == "asyncio":
        await asyncio.sleep(seconds)
    else:
        await deferLater(reactor, seconds)


async def do_register(command):
    session = sessions[command["s"]]

    def echo(*args, **kwargs):
        return CallResult(*args, **kwargs)

    def fail(*args, **kwargs):
        raise ApplicationError("com.example.failed", *args, **kwargs)

    async def slow(ms):
        name, done = command["s"], False
        say(ev="invoked", s=name)
        try:
            await sleep(ms / 1000)
            done = True
        finally:
            say(ev="done" if done else "interrupted", s=name)

    async def stream(count, ms, details):
        name, done = command["s"], False
        say(ev="invoked", s=name)
        try:
            for i in range(count):
                if details.progress:
                    details.progress(i)
                await sleep(ms / 1000)
            done = True
        finally:
            say(ev="done" if done else "interrupted", s=name)
        return count

    def invalid(*args):
        if args == ("throw",):
            raise ApplicationError("com.example.failed", float("nan"))
        return float("nan")

    def identify(details):
        return [details.caller, details.caller_authid, details.caller_authrole]

    def procedure(details):
        return details.procedure

    kind = command.get("kind", "echo")
    options = RegisterOptions(details_arg="details" if kind in ("identify", "procedure", "stream") else None,
                              **command.get("options") or {})
    function = {"identify": identify, "echo": echo, "fail": fail, "invalid": invalid, "slow": slow,
                "stream": stream, "procedure": procedure}[kind]
    session.registrations[command["proc"]] = await session.register(function, command["proc"], options)


async def do_unregister(command):
    await sessions[command["s"]].registrations.pop(command["proc"]).unregister()


async def do_publish(command):
    options = command.get("options") or {}
    done = sessions[command["s"]].publish(
        command["topic"], *command.get("args", []), **command.get("kwargs", {}),
        options=PublishOptions(**options))
    if options.get("acknowledge"):
        return (await done).id
    return None


async def do_call(command):
    session, options = sessions[command["s"]], command.get("options") or {}

    def on_progress(*args, **kwargs):
        say(ev="progress", s=command["s"], args=list(args), kwargs=kwargs)

    if options.pop("receive_progress", False):
        options["on_progress"] = on_progress
    call = session.calls[command["proc"]] = session.call(
        command["proc"], *command.get("args", []), **command.get("kwargs", {}),
        options=CallOptions(**options))
    result = await call
    if isinstance(result, CallResult):
        return {"args": list(result.results), "kwargs": dict(result.kwresults or {})}
    return {"args": [] if result is None else [result], "kwargs": {}}


async def do_cancel(command):
    sessions[command["s"]].calls.pop(command["proc"]).cancel()


async def do_leave(command):
    sessions[command["s"]].leave()


async def run(command):
    try:
        result = await globals()["do_" + command["op"]](command)
        say(id=command["id"], ok=result)
    except ApplicationError as e:
        say(id=command["id"], err={"uri": e.error, "args": list(e.args), "kwargs": e.kwargs})
    except (asyncio.CancelledError, Exception) as e:
        say(id=command["id"], err={"uri": "test.exception", "args": [repr(e)], "kwargs": {}})


def start(command):
    if FRAMEWORK == "asyncio":
        loop.create_task(run(command))
    else:
        ensureDeferred(run(command))


def read_commands():
    """Runs in its own thread. The end of stdin ends the process."""
    call = loop.call_soon_threadsafe if FRAMEWORK == "asyncio" else reactor.callFromThread
    for line in sys.stdin:
        call(start, from_json(json.loads(line)))
    call(loop.stop if FRAMEWORK == "asyncio" else reactor.stop)


def fork_puppets():
    """Returns in each puppet, whose stdin and stdout are its pipes. Ends with the socket's other end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()  # no collection in a puppet copies what all share
    control = socket.socket(fileno=0)
    while True:
        data, pipes, *_ = socket.recv_fds(control, 1, 2)
        if not data:
            sys.exit()
        pid = os.fork()
        if pid == 0:
            break
        control.send(pid.to_bytes(4, "big"))
        for pipe in pipes:
            os.close(pipe)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.detach()
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    random.seed()


fork_puppets()
if FRAMEWORK == "asyncio":
    loop = txaio.config.loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
else:
    # other modules have imported this object; make its epoll and its pipe anew, or forks would share them
    reactor.__init__()
    txaio.config.loop = reactor
threading.Thread(target=read_commands, daemon=True).start()
if FRAMEWORK == "asyncio":
    loop.run_forever()
else:
    reactor.run()
os._exit(0)  # the interpreter's own end would copy what all forks share
