#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logs in with an Ed25519 key and nothing else, and prints what the router answers.

The HELLO names neither a realm nor an authid: the authenticator finds the principal by its
public key, and assigns both. The exit status is 0 after a login, 1 after a refusal, and 2 if
there was no answer.

    client.py --key FILE [--url ws://127.0.0.1:8080/ws]

FILE holds the 32 bytes of a private key, as `authctl key gen` writes them.
"""

import argparse
import sys

from autobahn.twisted.wamp import ApplicationSession
from autobahn.twisted.websocket import WampWebSocketClientFactory, WampWebSocketClientProtocol
from autobahn.wamp.auth import create_authenticator
from autobahn.wamp.types import ComponentConfig
from autobahn.websocket.util import parse_url
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

REFUSED, NO_ANSWER = 1, 2


class Client(ApplicationSession):
    status = NO_ANSWER

    def __init__(self, private_key):
        super().__init__(ComponentConfig(realm=None))
        self.authenticator = create_authenticator("cryptosign", privkey=private_key.hex())

    def onConnect(self):
        self.join(None, authmethods=["cryptosign"], authid=None,
                  authextra=self.authenticator.authextra)

    def onChallenge(self, challenge):
        return self.authenticator.on_challenge(self, challenge)

    def onJoin(self, details):
        Client.status = 0
        print(f"joined realm {details.realm}")
        for name in ("session", "authid", "authrole", "authmethod", "authprovider"):
            print(f"  {name:14}{getattr(details, name)}")
        print("  authextra")
        for name, value in sorted((details.authextra or {}).items()):
            print(f"    {name:12}{value}")
        print(f"  {'serializer':14}{details.serializer}")
        self.leave()

    def onLeave(self, details):
        if Client.status == NO_ANSWER:
            Client.status = REFUSED
            print("refused")
            print(f"  {'reason':14}{details.reason}")
            print(f"  {'message':14}{details.message}")
        self.disconnect()


class Connection(WampWebSocketClientProtocol):
    def onClose(self, wasClean, code, reason):
        super().onClose(wasClean, code, reason)
        if Client.status == NO_ANSWER:
            stop_without_answer(self.factory.url, reason)
        elif reactor.running:
            reactor.stop()


def stop_without_answer(url, reason):
    print(f"no answer from {url}: {reason}", file=sys.stderr)
    if reactor.running:
        reactor.stop()


def read_key(path):
    try:
        with open(path, "rb") as file:
            private_key = file.read()
    except OSError as e:
        print(f"{path}: {e.strerror}", file=sys.stderr)
        sys.exit(NO_ANSWER)
    if len(private_key) != 32:
        print(f"{path}: has {len(private_key)} bytes, but a key has 32 bytes, as `authctl key gen` writes it",
              file=sys.stderr)
        sys.exit(NO_ANSWER)
    return private_key


def main():
    parser = argparse.ArgumentParser(description="log in by cryptosign and print the answer")
    parser.add_argument("--key", required=True, metavar="FILE")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws")
    args = parser.parse_args()
    private_key = read_key(args.key)

    def failed(failure):
        stop_without_answer(args.url, failure.getErrorMessage())

    # it offers all serializers, and batched CBOR first
    factory = WampWebSocketClientFactory(lambda: Client(private_key), url=args.url)
    factory.protocol = Connection
    host, port = parse_url(args.url)[1:3]
    TCP4ClientEndpoint(reactor, host, port, timeout=10).connect(factory).addErrback(failed)
    reactor.run()
    sys.exit(Client.status)


if __name__ == "__main__":
    main()
