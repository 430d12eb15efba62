# SPDX-License-Identifier: Apache-2.0
"""TLS records that no library sends. Python's ssl shakes hands and decrypts; this module encrypts, with keys
that it derives from the secrets that ssl logs (RFC 8446, 7; RFC 5246, 6.3)."""

import hmac
import ssl
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALERT, HANDSHAKE, DATA = 21, 22, 23
RECORD_MAX = 16384


def expand_label(secret, label, length):
    """HKDF-Expand-Label of TLS 1.3, without a context."""
    label = b"tls13 " + label
    return hmac.digest(secret, struct.pack("!HB", length, len(label)) + label + b"\0\x01", "sha384")[:length]


def expand_master(secret, seed, length):
    """The pseudorandom function of TLS 1.2."""
    out, a = b"", seed
    while len(out) < length:
        a = hmac.digest(secret, a, "sha256")
        out += hmac.digest(secret, a + seed, "sha256")
    return out[:length]


class Forger:
    """Takes the place of an SSLContext in rawclient. The sockets that it makes can send any records."""

    def __init__(self, authority, version):
        self.context = authority.trust(version)
        self.context.keylog_filename = str(authority.folder / "secrets.log")
        if version == ssl.TLSVersion.TLSv1_2:
            self.context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")

    def wrap_socket(self, raw, server_hostname, session=None):
        return Records(raw, self.context, server_hostname)


class Records:
    def __init__(self, raw, context, name):
        self.raw = raw
        self.send_record = raw.sendall  # a test may collect the records instead
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.hello = b""  # the message ClientHello
        answer = self._shake()
        lines = [line.split() for line in open(context.keylog_filename) if line[0] != "#"]
        secrets = {line[0]: [bytes.fromhex(x) for x in line[1:]] for line in lines}  # the newest stays
        self.is_13 = self.ssl.version() == "TLSv1.3"
        if self.is_13:
            assert self.ssl.cipher()[0] == "TLS_AES_256_GCM_SHA384"
            self._use(secrets["CLIENT_TRAFFIC_SECRET_0"][1])
        else:
            client_random, master = secrets["CLIENT_RANDOM"]
            # behind the heads of the record and of ServerHello, and its version
            server_random = answer[11:43]
            block = expand_master(master, b"key expansion" + server_random + client_random, 40)
            self.cipher, self.salt = AESGCM(block[:16]), block[32:36]
            self.number = 1  # Finished was the first

    def _shake(self):
        """Returns what the server has sent."""
        got = b""
        while True:
            try:
                self.ssl.do_handshake()
                self.raw.sendall(self.outgoing.read())
                return got
            except ssl.SSLWantReadError:
                sent = self.outgoing.read()
                self.hello = self.hello or sent[5:]
                self.raw.sendall(sent)
                got += self._fill()

    def _fill(self):
        data = self.raw.recv(65536)
        self.incoming.write(data)
        if not data:
            self.incoming.write_eof()
        return data

    def _use(self, secret):
        """Sends with the keys of this secret of TLS 1.3."""
        self.secret, self.number = secret, 0
        self.cipher = AESGCM(expand_label(secret, b"key", 32))
        self.iv = int.from_bytes(expand_label(secret, b"iv", 12), "big")

    def record(self, kind, data):
        """The bytes of a record. It must be sent before those that are made later."""
        number, self.number = self.number, self.number + 1
        if self.is_13:
            head = struct.pack("!BHH", DATA, 0x303, len(data) + 17)
            return head + self.cipher.encrypt((self.iv ^ number).to_bytes(12, "big"), data + bytes([kind]), head)
        count = number.to_bytes(8, "big")
        head = struct.pack("!BHH", kind, 0x303, len(data))
        sealed = count + self.cipher.encrypt(self.salt + count, data, count + head)
        return head[:3] + struct.pack("!H", len(sealed)) + sealed

    def key_update(self):
        """A record that changes the client's key, and asks the server to change its own."""
        record = self.record(HANDSHAKE, b"\x18\0\0\x01\x01")
        self._use(expand_label(self.secret, b"traffic upd", 48))
        return record

    # --- the methods of an SSLSocket ---

    def sendall(self, data):
        for i in range(0, len(data), RECORD_MAX):
            self.send_record(self.record(DATA, data[i:i + RECORD_MAX]))

    def recv(self, most):
        while True:
            try:
                return self.ssl.read(most)
            except ssl.SSLWantReadError:
                self._fill()
            except ssl.SSLEOFError:
                return b""

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def close(self):
        self.raw.close()
