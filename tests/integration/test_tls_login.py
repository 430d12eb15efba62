# SPDX-License-Identifier: Apache-2.0
"""Logins that use TLS: cryptosign bound to the channel, and by client certificate."""

import base64
import hashlib
import ipaddress
import os
import re
import signal
import ssl
import subprocess

import nacl.signing
import peers
import pytest
import rawclient
from authenticator import Deny
from certificates import VERSIONS, authority, open_tls, tls_config  # noqa: F401
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from rawclient import ABORT, CHALLENGE, WELCOME
from test_longpoll import LongPoll
from test_static import ALICE, KEYS, site
from utils import Key, wait_for

NO_EXTENDED_MASTER_SECRET = 1  # of SSL_CTX_set_options
NO_TLS = "the client has no TLS connection to the router; one to a proxy does not count"


def bound_site(authority, **cryptosign):
    """Static principals on a port with TLS."""
    config = site()
    config["transports"][0]["type"] = "universal"
    config["transports"][0]["endpoint"]["tls"] = authority.server()
    config["transports"][0]["auth"]["cryptosign"].update(cryptosign)
    return config


# Autobahn with Twisted takes the router's Finished message, from 26.10.2 on its own
FINISHED = {"ab-twisted": "server", "ab-new-twisted": "client", "ab-asyncio": "client", "ab-new-asyncio": "client"}


def expect_bindings(routerd, whose):
    """Waits for the log lines of logins that took these Finished messages."""
    def logged():
        return re.findall(r"binding=tls-unique/(\w+)", routerd.log())

    wait_for(lambda: len(logged()) >= len(whose), "the log lines")
    assert logged() == whose


@pytest.mark.parametrize("kind", peers.PYTHON)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_autobahn_binds_its_login(authority, authd, start_routerd, puppets, kind, version):
    key, puppet = Key(), puppets(kind)
    authd.add("client01@example.com", key)
    routerd = start_routerd(tls_config(authority, cryptosign=True))
    schemes = ["wss", "rss"] if kind in peers.RAWSOCKET else ["wss"]
    for binding in None, "tls-unique":
        for scheme in schemes:
            url = f"{scheme}://localhost:{routerd.port()}" + ("/ws" if scheme == "wss" else "")
            peer = peers.Peer(puppet, url, "cbor", key=key, ca=str(authority.path), tls=version, binding=binding)
            assert peer.details["authid"] == "client01@example.com"
            peer.register("com.example.echo")
            assert peer.call("com.example.echo", ["x" * 100000], {}) == (["x" * 100000], {})
            peer.leave()
    wait_for(lambda: routerd.total("connections") == 0, "the connections to end")
    assert routerd.total("tls_handshakes") == 2 * len(schemes)
    expect_bindings(routerd, [FINISHED[kind]] * len(schemes))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def signature(seed, message):
    return (nacl.signing.SigningKey(seed).sign(message).signature + message).hex()


def begin(client, binding, key=KEYS[0]):
    """HELLO with a channel binding; returns the challenge."""
    client.hello("devices", authmethods=["cryptosign"], authid=ALICE,
                 authextra={"pubkey": key.public, "channel_binding": binding})
    extra = client.expect(CHALLENGE)[2]
    assert extra["channel_binding"] == binding
    return bytes.fromhex(extra["challenge"])


def unique(client):
    return hashlib.sha256(client.socket.get_channel_binding("tls-unique")).digest()


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_resumed_session_binds(authority, start_routerd, open_tls, version):
    routerd = start_routerd(bound_site(authority))
    context, session = authority.trust(version), None
    for resumed in False, True:
        client = open_tls(routerd, context=context, session=session)
        assert client.socket.session_reused == resumed
        challenge = begin(client, "tls-unique")
        client.authenticate(signature(KEYS[0].seed, xor(challenge, unique(client))))
        assert client.expect(WELCOME)
        session = client.socket.session
    # Python's ssl takes the router's Finished message in a resumed session
    expect_bindings(routerd, ["client", "server"])
    assert routerd.total("tls_resumed") == 1


def test_wrong_bindings_are_refused(authority, start_routerd, open_tls):
    routerd = start_routerd(bound_site(authority))
    other = open_tls(routerd)
    for channel_id, text in [
            (bytes(32), 'has asked for the channel binding "tls-unique", but has signed the challenge without'),
            (unique(other), 'has not signed the challenge XOR the "tls-unique" of this connection'),
            (b"x" * 32, 'has not signed the challenge XOR the "tls-unique" of this connection')]:
        client = open_tls(routerd)
        client.authenticate(signature(KEYS[0].seed, xor(begin(client, "tls-unique"), channel_id)))
        abort = client.expect(ABORT)
        assert abort[2] == "wamp.error.not_authorized" and text in abort[1]["message"]
    # the right channel, but another key
    client = open_tls(routerd)
    client.authenticate(signature(bytes(32), xor(begin(client, "tls-unique"), unique(client))))
    assert "not made with the client's key" in client.expect(ABORT)[1]["message"]


@pytest.mark.parametrize("binding", ["tls-server-end-point", "tls-unique ", "TLS-UNIQUE"])
def test_an_unknown_binding_is_refused(authority, start_routerd, open_tls, binding):
    client = open_tls(start_routerd(bound_site(authority)))
    client.hello("devices", authmethods=["cryptosign"], authid=ALICE,
                 authextra={"pubkey": KEYS[0].public, "channel_binding": binding})
    abort = client.expect(ABORT)
    assert abort[2] == "wamp.error.not_authorized" and f'"{binding}": unknown' in abort[1]["message"]


def test_without_extended_master_secret(authority, start_routerd, open_tls):
    routerd = start_routerd(bound_site(authority))
    context = authority.trust(ssl.TLSVersion.TLSv1_2)
    context.options |= NO_EXTENDED_MASTER_SECRET
    for binding in "tls-unique", "tls-exporter":
        client = open_tls(routerd, context=context)
        client.hello("devices", authmethods=["cryptosign"], authid=ALICE,
                     authextra={"pubkey": KEYS[0].public, "channel_binding": binding})
        assert "extended master secret" in client.expect(ABORT)[1]["message"]
    client = open_tls(routerd, context=context)
    client.join(key=KEYS[0], authid=ALICE)


def refusal_of(client, binding):
    """The text of the ABORT for a HELLO with this channel binding."""
    client.hello("devices", authmethods=["cryptosign"], authid=ALICE,
                 authextra={"pubkey": KEYS[0].public, "channel_binding": binding})
    abort = client.expect(ABORT)
    assert abort[2] == "wamp.error.not_authorized"
    return abort[1]["message"]


def log_in_bound(client):
    client.authenticate(signature(KEYS[0].seed, xor(begin(client, "tls-unique"), unique(client))))
    assert client.expect(WELCOME)[2]["authid"] == ALICE


@pytest.mark.parametrize("framing", [rawclient.Ws, rawclient.RawSocket])
def test_required(authority, start_routerd, open_tls, framing):
    routerd = start_routerd(bound_site(authority, channel_binding="required"))
    assert 'needs "tls-unique" or "tls-exporter"' in refusal_of(open_tls(routerd, framing), None)
    for binding in "", 7, ["tls-unique"]:
        assert "expected null" in refusal_of(open_tls(routerd, framing), binding)
    client = open_tls(routerd, framing)
    client.hello("devices", authmethods=["cryptosign"], authid=ALICE, authextra={"pubkey": KEYS[0].public})
    assert "authextra.channel_binding is missing" in client.expect(ABORT)[1]["message"]
    client = open_tls(routerd, framing)
    log_in_bound(client)
    # the channel stays the same
    client.leave()
    log_in_bound(client)
    assert routerd.total("logins_denied") == 5


def test_unix_has_no_channel(folder, start_routerd, clients):
    config = site()
    config["transports"][0].update(type="universal", endpoint={"type": "unix", "path": "wamp.sock"})
    routerd = start_routerd(config)
    for binding in "tls-unique", "tls-exporter":
        for framing in rawclient.Ws, rawclient.RawSocket:
            clients.append(rawclient.Client(None, unix=folder / "wamp.sock", transport=framing))
            assert refusal_of(clients[-1], binding) == f'authextra.channel_binding: "{binding}": {NO_TLS}'


def test_longpoll_has_no_channel(authority, start_routerd, clients):
    config = bound_site(authority)
    config["transports"][0]["longpoll"] = {"path": "/lp"}
    routerd = start_routerd(config)
    clients.append(rawclient.Client(routerd.port(), transport=LongPoll, tls=authority.trust()))
    assert '"tls-unique": long-poll has no channel' in refusal_of(clients[-1], "tls-unique")


def test_longpoll_has_no_certificate(authority, start_routerd, clients):
    authority.make("client01")
    config = with_tls_login(tls_config(authority, tls_with_clients(authority), cryptosign=False), type="static", principals={
        "client01@example.com": {"role": "device", "certificate-sha256": [fingerprint(authority.folder, "client01")]}})
    config["transports"][0]["longpoll"] = {"path": "/lp"}
    routerd = start_routerd(config)
    client = rawclient.Client(routerd.port(), transport=LongPoll, tls=authority.trust(client="client01"))
    clients.append(client)
    client.hello("devices", authmethods=["tls"])
    abort = client.expect(ABORT)
    assert abort[2] == "wamp.error.no_matching_auth_method" and abort[1]["message"].endswith("tls (but not over long-poll)")


class PyOpenSsl:
    """A context for rawclient whose connections can export keying material."""

    def __init__(self, authority, version):
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.context.load_verify_locations(str(authority.path))
        self.context.set_verify(SSL.VERIFY_PEER)
        self.context.set_min_proto_version(version)
        self.context.set_max_proto_version(version)

    def wrap_socket(self, sock, server_hostname, session=None):
        sock.settimeout(None)  # pyOpenSSL does not wait otherwise
        connection = Blocking(SSL.Connection(self.context, sock))
        connection.tls.set_tlsext_host_name(server_hostname.encode())
        connection.tls.set_connect_state()
        connection.tls.do_handshake()
        return connection


class Blocking:
    def __init__(self, tls):
        self.tls = tls

    def settimeout(self, seconds):
        pass

    def recv(self, n):
        try:
            return self.tls.recv(n)
        except SSL.ZeroReturnError:
            return b""

    def sendall(self, data):
        self.tls.sendall(data)

    def close(self):
        self.tls.close()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
def test_exporter(authority, start_routerd, open_tls, version):
    routerd = start_routerd(bound_site(authority))
    for context, uri in (b"", WELCOME), (b"x", ABORT):
        client = open_tls(routerd, context=PyOpenSsl(authority, version))
        exported = client.socket.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, context)
        client.authenticate(signature(KEYS[0].seed, xor(begin(client, "tls-exporter"), exported)))
        assert client.recv()[0] == uri
    wait_for(lambda: routerd.log().count("binding=tls-exporter") == 1, "the log line")


# --- JavaScript -----------------------------------------------------------------------------


def test_autobahn_js_logs_in(authority, folder, start_routerd, puppets):
    authority.make("client01")
    config = bound_site(authority)
    config["transports"][0]["endpoint"]["tls"] = tls_with_clients(authority, "optional")
    routerd = start_routerd(config)
    files = {"ca": str(authority.path), "cert": str(folder / "client01.pem"), "cert_key": str(folder / "client01.key")}
    peer = peers.Peer(puppets("autobahn-js"), f"wss://localhost:{routerd.port()}/ws", "json", key=KEYS[0],
                      authid=ALICE, **files)
    assert (peer.details["authid"], peer.details["authmethod"]) == (ALICE, "cryptosign")


PAGE = """<!DOCTYPE html><script src="tweetnacl.js"></script><script>
const bytes = (hex) => new Uint8Array(hex.match(/../g).map((h) => parseInt(h, 16)));
const hex = (array) => Array.from(array, (b) => b.toString(16).padStart(2, "0")).join("");
const pair = nacl.sign.keyPair.fromSeed(bytes("SEED"));
const socket = new WebSocket("wss://localhost:PORT/ws", ["wamp.2.json"]);
const send = (message) => socket.send(JSON.stringify(message));
socket.onopen = () => send([1, "devices", {roles: {publisher: {}}, authmethods: ["cryptosign"], authid: "AUTHID",
  authextra: {pubkey: hex(pair.publicKey), channel_binding: null}}]);
socket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message[0] === 4) {
    const challenge = bytes(message[2].challenge);
    send([5, hex(nacl.sign.detached(challenge, pair.secretKey)) + hex(challenge), {}]);
  } else if (message[0] === 2) {
    send([16, 1, {acknowledge: true}, "com.example.topic", [navigator.userAgent]]);
  }
};
</script>
"""


def test_a_browser_logs_in(authority, folder, start_routerd, open_tls):
    routerd = start_routerd(bound_site(authority))
    subscriber = open_tls(routerd)
    subscriber.join(key=KEYS[0], authid=ALICE)
    subscriber.subscribe("com.example.topic")
    (folder / "tweetnacl.js").write_bytes((peers.CLIENTS / "node_modules/tweetnacl/nacl-fast.js").read_bytes())
    page = PAGE.replace("SEED", KEYS[0].seed.hex()).replace("PORT", str(routerd.port())).replace("AUTHID", ALICE)
    (folder / "page.html").write_text(page)
    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None).public_key()
    spki = hashlib.sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    browser = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
         f"--user-data-dir={folder / 'profile'}", (folder / "page.html").as_uri(),
         f"--ignore-certificate-errors-spki-list={base64.b64encode(spki.digest()).decode()}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        event = subscriber.expect(rawclient.EVENT, timeout=60)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
    assert "Chrome" in event[4][0]


# --- client certificates --------------------------------------------------------------------


def tls_with_clients(authority, rule=None, **kw):
    return {**authority.server(), "ca_certificates": ["ca.pem"], **({"client_certificates": rule} if rule else {}), **kw}


def fingerprint(folder, name):
    der = ssl.PEM_cert_to_DER_cert((folder / f"{name}.pem").read_text())
    return hashlib.sha256(der).hexdigest()


def with_tls_login(config, **login):
    config["transports"][0]["auth"] = {"tls": login}
    return config


@pytest.fixture
def sees(authority, fake, start_routerd, open_tls):
    """sees(certificate, ...) -> details.transport.tls of a login by this certificate. Keywords: of the authenticator
    in the configuration; max_message: what it announces; context: another than one with the certificate."""
    asked = []

    def answer(realm, authid, details):
        asked.append(details)
        return {"realm": "devices", "role": "device", "authid": "client01@example.com"}

    routers = {}

    def go(certificate, max_message=65536, context=None, extra=None, **authenticator):
        key = repr((max_message, authenticator))
        if key not in routers:
            name = f"authd{len(routers)}.sock"
            fake(answer, name=name, hello=lambda: {"protocol": [1, 0], "max_message": max_message})
            config = tls_config(authority, tls_with_clients(authority, "optional"), cryptosign=True)
            config["authenticators"]["authd"] = {"socket": name, **authenticator}
            routers[key] = start_routerd(with_tls_login(config, type="dynamic", authenticator="authd"),
                                         name=f"routerd{len(routers)}")
            assert "has no effect" not in routers[key].log()
        client = open_tls(routers[key], context=context or authority.trust(client=certificate))
        client.hello(None, authmethods=["tls"], authextra=extra)
        assert client.expect(WELCOME)[2]["authid"] == "client01@example.com"
        client.leave()
        return asked[-1]["transport"]["tls"]

    return go


@pytest.mark.parametrize("size", [8192, 8193])
def test_the_authenticator_gets_the_certificate(authority, folder, sees, size):
    """Only if it asks for it, and up to 8 KiB."""
    authority.make_with_size("client01", size)
    der = ssl.PEM_cert_to_DER_cert((folder / "client01.pem").read_text())
    assert len(der) == size
    tls = sees("client01", forward_client_cert=True)
    assert tls.get("client_cert") == (der if size == 8192 else None)
    assert tls["client_cert_sha256"] == hashlib.sha256(der).hexdigest()
    for settings in {}, {"forward_client_cert": False}:
        assert "client_cert" not in sees("client01", **settings)


def subject_of(length, value="ü"):
    """A subject that is so long in UTF-8, as RFC 2253 writes it: "O=...,CN=limit" or "O=...,CN=limit!"."""
    name = "limit" if length % 2 else "limit!"
    o = value * ((length - len(f"O=,CN={name}")) // len(value.encode()))
    attributes = (x509.NameOID.COMMON_NAME, name), (x509.NameOID.ORGANIZATION_NAME, o)
    return x509.Name([x509.NameAttribute(*a) for a in attributes]), f"O={o},CN={name}"


def test_limits_of_the_subject(authority, sees):
    for length in 1023, 1024, 1025:
        subject, text = subject_of(length)
        assert len(text.encode()) == length
        authority.make_with("client01", subject=subject)
        assert sees("client01").get("client_cert_subject") == (text if length <= 1024 else None), length
    # it is escaped as RFC 2253 says, but is UTF-8
    attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, 'a,+"<>;\\ü\n# ')
    authority.make_with("client01", subject=x509.Name([attribute]))
    assert sees("client01")["client_cert_subject"] == r'CN=a\,\+\"\<\>\;\\ü\0A#\ '
    authority.make_with("client01", subject=x509.Name([]))
    assert "client_cert_subject" not in sees("client01")


def test_limits_of_the_names(authority, sees):
    dns = [f"host{i}.example.com" for i in range(17)]
    for n in 16, 17:
        authority.make_with("client01", *map(x509.DNSName, dns[:n]))
        assert sees("client01")["client_cert_sans"] == [f"DNS:{name}" for name in dns[:16]]
    # the kind counts; a longer name makes room for others
    uris = ["urn:" + "x" * (255 - len("URI:urn:") + more) for more in (0, 1)]
    authority.make_with("client01", *map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns[:16]))
    assert sees("client01")["client_cert_sans"] == [f"URI:{uris[0]}", *(f"DNS:{name}" for name in dns[:15])]
    addresses = ["192.0.2.7", "2001:db8::7"]
    authority.make_with("client01", *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses))
    assert sees("client01")["client_cert_sans"] == [f"IP:{a}" for a in addresses]
    # what is not UTF-8, contains a zero byte, or is an address of another length
    texts = [(0x82, b"good.example.com"), (0x82, b"bad\xff"), (0x82, b"good.example.com\0.evil.example"), (0x87, b"abc"),
             (0x81, "ü@example.com".encode())]
    der = b"".join(bytes([kind, len(text)]) + text for kind, text in texts)
    authority.make_with("client01", extensions=[("2.5.29.17", bytes([0x30, len(der)]) + der)])
    assert sees("client01")["client_cert_sans"] == ["DNS:good.example.com", "email:ü@example.com"]


def test_a_certificate_that_fills_the_message(authority, folder, sees):
    """All at their limits; an authenticator that takes less gets less, before the client's own pairs."""
    subject, text = subject_of(1024)
    uris = ["urn:" + f"{i:x}" * (255 - len("URI:urn:")) for i in range(16)]
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    der = authority.make_with("client01", *names, subject=subject)
    assert len(der) < 8192
    extra = {"x": "y" * 2000}
    tls = sees("client01", forward_client_cert=True, extra=extra)
    assert (tls["client_cert"], tls["client_cert_subject"]) == (der, text)
    assert tls["client_cert_sans"] == [f"URI:{uri}" for uri in uris]
    tls = sees("client01", forward_client_cert=True, extra=extra, max_message=8192)
    assert len(tls["client_cert_sans"]) == 16 and tls["client_cert_subject"] == text and "client_cert" not in tls
    tls = sees("client01", forward_client_cert=True, extra=extra, max_message=4096)
    assert tls["client_cert_subject"] == text and "client_cert_sans" not in tls and "client_cert" not in tls
    assert tls["client_cert_sha256"] == hashlib.sha256(der).hexdigest()


class OddName(PyOpenSsl):
    def __init__(self, authority, name):
        super().__init__(authority, SSL.TLS1_3_VERSION)
        self.name = name
        self.context.use_certificate_file(str(authority.folder / "client01.pem"))
        self.context.use_privatekey_file(str(authority.folder / "client01.key"))

    def wrap_socket(self, sock, server_hostname, session=None):
        return super().wrap_socket(sock, self.name)


class Bytes(bytes):
    def encode(self):
        return self


@pytest.mark.parametrize("name,told", [(b"\xff.example.com", None), ("ü.example.com".encode(), "ü.example.com"),
                                       (b"x" * 255, "x" * 255)], ids=["not UTF-8", "UTF-8", "long"])
def test_server_names_of_odd_clients(authority, sees, name, told):
    """A question is UTF-8, whatever name a client asks for."""
    authority.make("client01")
    assert sees("client01", context=OddName(authority, Bytes(name))).get("sni") == told


def test_the_authenticator_sees_tls(authority, folder, fake, start_routerd, open_tls):
    authority.make("client01", "DNS:client01.example.com", "email:a@example.com", "URI:urn:x", "IP:10.1.2.3",
                   subject="/O=Müller/CN=client01")
    authority.make_with_many_names("many", "last.example.com", 20000)
    questions = []

    def answer(realm, authid, details):
        questions.append(details)
        return {"realm": "devices", "role": "device", "authid": "client01@example.com"}

    fake(answer)
    routerd = start_routerd(with_tls_login(tls_config(authority, tls_with_clients(authority, "optional"), cryptosign=True),
                                           type="dynamic", authenticator="authd"))
    client = open_tls(routerd, context=authority.trust(ssl.TLSVersion.TLSv1_3, "client01"))
    client.hello(None, authmethods=["cryptosign", "tls"])
    details = client.expect(WELCOME)[2]
    assert (details["authid"], details["authmethod"]) == ("client01@example.com", "tls")
    assert questions[0]["authmethod"] == "tls"
    assert questions[0]["transport"]["channel_type"] == "tls"
    assert questions[0]["transport"]["tls"] == {
        "version": "1.3", "cipher": "TLS_AES_256_GCM_SHA384", "sni": "localhost",
        "client_cert_sha256": fingerprint(folder, "client01"), "client_cert_subject": "CN=client01,O=Müller",
        "client_cert_sans": ["DNS:client01.example.com", "email:a@example.com", "URI:urn:x", "IP:10.1.2.3"]}
    # reading them must not take a time that is quadratic in their number
    client = open_tls(routerd, context=authority.trust(client="many"))
    client.hello(None, authmethods=["tls"])
    client.expect(WELCOME)
    assert questions[1]["transport"]["tls"]["client_cert_sans"] == ["DNS:last.example.com"]
    client = open_tls(routerd)
    client.hello(None, authmethods=["tls"])
    abort = client.expect(ABORT)
    assert abort[2] == "wamp.error.no_matching_auth_method"
    assert "tls (but the client has shown no TLS certificate)" in abort[1]["message"]


@pytest.mark.parametrize("framing", [rawclient.Ws, rawclient.RawSocket])
def test_static_login_by_certificate(authority, folder, start_routerd, open_tls, framing):
    for name in "client01", "client02", "stranger":
        authority.make(name)
    pretty = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", "client02.pem"],
                            cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    assert re.fullmatch("(?i)sha256 fingerprint=.*", pretty)
    plain = fingerprint(folder, "client01")
    # two forms of one fingerprint still have one holder
    principals = {"client01@example.com": {"role": "device", "certificate-sha256": [plain, plain.upper()]},
                  "client02@example.com": {"role": "device", "realm": "devices", "certificate-sha256": [pretty]}}
    routerd = start_routerd(with_tls_login(tls_config(authority, tls_with_clients(authority), cryptosign=False),
                                           type="static", principals=principals))
    for name, authid, joins in [("client01", None, True), ("client02", None, True), ("stranger", None, False),
                                ("client02", "client02@example.com", True), ("client01", "client02@example.com", False)]:
        client = open_tls(routerd, framing, context=authority.trust(client=name))
        client.hello("devices", authmethods=["tls"], authid=authid)
        if joins:
            assert client.expect(WELCOME)[2]["authid"] == f"{name}@example.com"
        else:
            assert client.expect(ABORT)[2] == "wamp.error.not_authorized"


@pytest.mark.parametrize("framing", [rawclient.Ws, rawclient.RawSocket])
def test_a_refused_certificate_is_named_in_the_log(authority, folder, start_routerd, open_tls, framing):
    authority.make("client01")
    authority.make("stranger", subject='/O=Example Inc/CN=no" suppressed=0 corr=')
    # the authids that are asked for: none, one with a certificate of its own, one that does not exist
    cases = [("stranger", None), ("stranger", "client02@example.com"), ("client01", "client02@example.com"),
             ("client01", "nobody@example.com")]
    authority.make("client02")
    principals = {f"{name}@example.com": {"role": "device", "certificate-sha256": [fingerprint(folder, name)]}
                  for name in ("client01", "client02")}
    routerd = start_routerd(with_tls_login(tls_config(authority, tls_with_clients(authority), cryptosign=False),
                                           type="static", principals=principals))
    texts = {"stranger": "no principal has the client's TLS certificate",
             "client01": "the client's TLS certificate does not belong to the authid that it asks for"}
    subjects = {"stranger": r'CN=no\x5c\x22 suppressed=0 corr=,O=Example Inc', "client01": "CN=client01"}
    for name, authid in cases:
        client = open_tls(routerd, framing, context=authority.trust(client=name))
        client.hello("devices", authmethods=["tls"], authid=authid)
        # the client does not get the fingerprint: only the log has it
        assert client.expect(ABORT)[1:] == [{"message": texts[name]}, "wamp.error.not_authorized"]
        routerd.wait_log(rf'login denied peer=tcp4:\S+ realm=devices authid={authid or ""} error=wamp.error.not_authorized '
                         rf'reason="{texts[name]}" corr=\w+ certificate-sha256={fingerprint(folder, name)} '
                         rf'subject="{re.escape(subjects[name])}" suppressed=0')


def test_the_log_names_a_certificate_that_the_authenticator_refuses(authority, folder, fake, start_routerd, open_tls):
    def refuse(realm, authid, details):
        raise Deny("com.example.unknown", "unknown device")

    fake(refuse)
    # a long subject is cut, and one of more than 1,024 bytes is left out
    for n, subject in (60, r"CN=(\\xc3\\xbc)+\.\.\."), (600, ""):
        name = x509.NameAttribute(x509.NameOID.COMMON_NAME, "ü" * n)
        authority.make_with(f"device{n}", subject=x509.Name([name]))
        config = tls_config(authority, tls_with_clients(authority, "optional"), cryptosign=True)
        routerd = start_routerd(with_tls_login(config, type="dynamic", authenticator="authd"))
        client = open_tls(routerd, context=authority.trust(client=f"device{n}"))
        client.hello("devices", authmethods=["tls"])
        assert client.expect(ABORT)[1:] == [{"message": "unknown device"}, "com.example.unknown"]
        routerd.wait_log(rf'reason="unknown device" corr=\w+ certificate-sha256={fingerprint(folder, f"device{n}")} '
                         rf'subject="{subject}" suppressed=0')


ALERTS = {"none": "peer did not return a certificate", "expired": "certificate verify failed: certificate has expired",
          "other": "certificate verify failed: unable to get local issuer certificate"}


@pytest.mark.parametrize("rule", ["optional", "required"])
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_bad_client_certificates(authority, folder, start_routerd, open_tls, rule, version):
    """Each is refused by an alert and logged once, and no other connection is hurt."""
    type(authority)(folder, "other_ca").make("other")
    authority.make("good")
    authority.make_expired("expired")
    routerd = start_routerd(tls_config(authority, tls_with_clients(authority, rule), cryptosign=False))
    client = open_tls(routerd, context=authority.trust(version, "good"))
    client.join()
    bad = [b for b in ALERTS if rule == "required" or b != "none"]
    for name in bad:
        with pytest.raises((ssl.SSLError, rawclient.Closed, ConnectionError)):
            # with TLS 1.3 the client learns it after its own handshake
            open_tls(routerd, context=authority.trust(version, None if name == "none" else name))
        assert client.silent() == []
    wait_for(lambda: routerd.log().count("tls handshake failed") >= len(bad), "the log lines")
    for name in bad:
        assert f'listener=public sni=localhost from=us reason="{ALERTS[name]}"' in routerd.log()
    assert routerd.log().count("tls handshake failed") == len(bad)
    assert routerd.total("closed_tls_failed") == len(bad)
    # nothing is resumed, so nobody passes without a certificate
    context = authority.trust(version, "good")
    first = open_tls(routerd, context=context)
    first.join()
    again = open_tls(routerd, context=context, session=first.socket.session)
    assert not again.socket.session_reused
