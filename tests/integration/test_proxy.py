# SPDX-License-Identifier: Apache-2.0
"""Clients behind proxies: routerd learns their addresses from the PROXY protocol and X-Forwarded-For,
only from proxies that its configuration names."""

import contextlib
import json
import re
import socket
import struct
import subprocess

import peers
import pytest
import rawclient
from authenticator import Deny, principal
from certificates import Authority
from test_longpoll import LongPoll
from test_tls_login import NO_TLS, bound_site, fingerprint, log_in_bound, refusal_of
from utils import ROOT, SLOW, Key, free_port, router_config, wait_for

EXAMPLES = ROOT / "etc/examples"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(family, body=b"", command=1, tail=b""):
    body += tail
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


def address(host, port=50000):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    return packed + packed + struct.pack("!HH", port, 443)


TLVS = b"\x02\0\x07example\x01\0\x08http/1.1"
HEADERS = {
    "v1": (b"PROXY TCP4 192.0.2.7 192.0.2.8 50000 443\r\n", "tcp4:192.0.2.7:50000"),
    "v1-6": (b"PROXY TCP6 2001:db8::7 2001:db8::8 50000 443\r\n", "tcp6:2001:db8::7:50000"),
    "v1-unknown": (b"PROXY UNKNOWN 192.0.2.7 192.0.2.8 50000 443\r\n", None),
    "v2": (v2(0x11, address("192.0.2.7")), "tcp4:192.0.2.7:50000"),
    "v2-tlvs": (v2(0x21, address("2001:db8::7"), tail=TLVS), "tcp6:2001:db8::7:50000"),
    "v2-mapped": (v2(0x21, address("::ffff:192.0.2.7")), "tcp4:192.0.2.7:50000"),
    "v2-unix": (v2(0x31, bytes(216)), "unix"),
    "v2-local": (v2(0x11, address("192.0.2.7"), command=0), None),
    "v2-unspecified": (v2(0, b"?"), None),
    "v2-longest": (v2(0x11, address("192.0.2.7"), tail=bytes(2048 - 28)), "tcp4:192.0.2.7:50000"),
}


def proxied(source="127.0.0.1", threads=1, type="universal", options=None, **kw):
    """A router whose clients come from this proxy, which tells their addresses."""
    config = router_config(threads=threads, cryptosign=False, **kw)
    listener = config["transports"][0]
    listener["type"] = type
    listener["endpoint"]["proxy_protocol"] = {"from": [source]}
    listener["options"] = options or {}
    return config


def trusting(*proxies, threads=1, **kw):
    config = router_config(threads=threads, cryptosign=False, **kw)
    config["transports"][0]["options"] = {"trusted_proxies": list(proxies)}
    return config


@pytest.fixture
def open(clients):
    """open(routerd, framing=Ws, **kw) -> a rawclient.Client that has not joined."""

    def go(routerd, framing=rawclient.Ws, **kw):
        client = rawclient.Client(**{**routerd.address(), **kw}, transport=framing)
        clients.append(client)
        return client

    return go


def own_name(client):
    return "tcp{}:{}:{}".format(6 if client.socket.family == socket.AF_INET6 else 4, *client.socket.getsockname()[:2])


def peer_of(client):
    return client.join()["authextra"]["x_cb_peer"]


FRAMINGS = pytest.mark.parametrize("framing", [rawclient.Ws, rawclient.RawSocket])


@FRAMINGS
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_headers(start_routerd, folder, open, framing, tls):
    config = proxied()
    authority = Authority(folder)
    if tls:
        config["transports"][0]["endpoint"]["tls"] = authority.server()
    routerd = start_routerd(config)
    for header, expected in HEADERS.values():
        client = open(routerd, framing, preface=header, tls=authority.trust() if tls else None)
        peer = expected or own_name(client)
        assert peer_of(client) == peer
        by = f" proxied_by={own_name(client)}" if expected else " suppressed"
        routerd.wait_log(rf"session opened session={client.welcome[1]} .* peer={peer} listener=public{by}")
    assert routerd.total("closed_bad_proxy_header") == routerd.total("proxy_strangers") == 0


@pytest.mark.parametrize("kind", ["v1", "v2-tlvs"])
def test_a_header_in_pieces(start_routerd, open, kind):
    """Cut at each place; the rest comes together with the handshake."""
    routerd = start_routerd(proxied())
    header, expected = HEADERS[kind]
    hello = b"\x7f\xf1\0\0"
    before = 0
    for cut in range(1, len(header)):
        with socket.create_connection(("127.0.0.1", routerd.port())) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(header[:cut])
            before += cut
            wait_for(lambda: routerd.total("bytes_in") == before, "the first part to be read")
            s.sendall(header[cut:] + hello)
            before += len(header) - cut + len(hello)
            reply = s.recv(4)
            assert reply[0] == 0x7f and reply[1] & 15 == 1
    client = open(routerd, rawclient.RawSocket, preface=header)
    assert peer_of(client) == expected


def was_reset(routerd, data, source=None):
    """The reset may come at any time, even before connect() returns."""
    try:
        with socket.create_connection(("127.0.0.1", routerd.port()), 5 * SLOW, source and (source, 0)) as s:
            s.sendall(data)
            while s.recv(100):
                pass
        return False
    except ConnectionError:
        return True


BAD = {
    "none": (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "there is none"),
    "rawsocket": (b"\x7f\xf1\0\0", "there is none"),
    "second": (b"PROXY TCP4 192.0.2.7 192.0.2.8 50000\r\n", "the line has another form than version 1 requires"),
    "leading-zero": (b"PROXY TCP4 192.0.2.7 192.0.2.8 050000 443\r\n", "the line has another form"),
    "host": (b"PROXY TCP4 2001:db8::7 192.0.2.8 50000 443\r\n", "the line has another form"),
    "long-line": (b"PROXY UNKNOWN " + b"x" * 200, "the line is longer than 107 bytes"),
    "command": (v2(0x11, address("192.0.2.7"), command=2), "unknown version or command"),
    "family": (v2(0x41, bytes(216)), "unknown address family or transport"),
    "short": (v2(0x21, bytes(35)), "too short for its addresses"),
    "long": (SIGNATURE + b"\x21\x11\x07\xf1", "longer than 2048 bytes"),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_bad_headers(start_routerd, folder, tls):
    config = proxied()
    if tls:
        config["transports"][0]["endpoint"]["tls"] = Authority(folder).server()
    routerd = start_routerd(config)
    for data, why in BAD.values():
        assert was_reset(routerd, data), data
        routerd.wait_log(rf'connection reset: bad PROXY header reason="{why}.*" peer=tcp4:127\.0\.0\.1:\d+ listener=public')
    assert routerd.total("closed_bad_proxy_header") == len(BAD)


def test_a_stranger(start_routerd, open):
    routerd = start_routerd(proxied())
    assert was_reset(routerd, HEADERS["v2"][0], source="127.0.0.2")
    routerd.wait_log(r"connection reset: not from a proxy peer=tcp4:127\.0\.0\.2:\d+ listener=public")
    assert routerd.total("proxy_strangers") == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("type, proxy", [("websocket", False), ("rawsocket", False), ("universal", False), ("universal", True)])
def test_a_header_that_is_not_expected(start_routerd, folder, type, proxy, tls):
    """Also a second one. It is named once in the log, and whatever follows gets no answer."""
    config = proxied(type=type)
    listener = config["transports"][0]
    if not proxy:
        del listener["endpoint"]["proxy_protocol"]
    if type == "rawsocket":
        del listener["paths"]
    if tls:
        listener["endpoint"]["tls"] = Authority(folder).server()
    routerd = start_routerd(config)
    sent = [(HEADERS["v1"][0] if proxy else b"") + header + behind
            for header in (HEADERS["v1"][0], HEADERS["v1-unknown"][0], HEADERS["v2"][0], HEADERS["v2-local"][0])
            for behind in (b"", b"\x7f\xf1\0\0" if type == "rawsocket" else b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")]
    for data in sent:
        with socket.create_connection(("127.0.0.1", routerd.port()), 5 * SLOW) as s:
            s.sendall(data)
            with contextlib.suppress(ConnectionError):
                assert s.recv(100) == b""
    counter = "closed_tls_failed" if tls else "closed_protocol_error"
    wait_for(lambda: routerd.total(counter) == len(sent), "all to be counted")
    reason = 'reason="unexpected PROXY header: see proxy_protocol"'
    peer = "tcp4:192.0.2.7:50000" if proxy else "tcp4:127.0.0.1:"
    routerd.wait_log(f"tls handshake failed peer={peer}.* listener=public sni=none from=peer {reason} suppressed=0" if tls else
                     f"protocol error {reason} listener=public peer={peer}.* suppressed=0")
    assert routerd.log().count(reason) == routerd.log().count(" peer=") == len(sent)


def test_half_a_header(start_routerd):
    """It counts as a part of the handshake. A proxy that only looks whether the port is open is not logged."""
    routerd = start_routerd(proxied(options={"open_handshake_timeout": 200}))
    socket.create_connection(("127.0.0.1", routerd.port())).close()
    with socket.create_connection(("127.0.0.1", routerd.port()), 5 * SLOW) as s:
        s.sendall(b"PROXY")
        with contextlib.suppress(ConnectionError):
            assert s.recv(100) == b""
    routerd.wait_log('connection closed reason="handshake timeout" listener=public peer=tcp4:127')
    assert routerd.total("closed_handshake_timeout") == 1
    wait_for(lambda: routerd.total("closed_lost") == 1, "the other connection to be closed")
    assert "bad PROXY header" not in routerd.log()


def test_unix(start_routerd, open):
    config = proxied("unix", type="rawsocket")
    config["transports"][0].pop("paths")
    config["transports"][0]["endpoint"] = {"type": "unix", "path": "proxy.sock", "proxy_protocol": {"from": ["unix"]}}
    client = open(start_routerd(config), rawclient.RawSocket, preface=HEADERS["v2"][0])
    assert peer_of(client) == "tcp4:192.0.2.7:50000"


KEY = Key()


def asking(config):
    """Makes an authenticator decide about the logins."""
    config["transports"][0]["auth"] = {"cryptosign": {"type": "dynamic", "authenticator": "authd"}}
    config["authenticators"] = {"authd": {"socket": "authd.sock"}}
    return config


@pytest.fixture
def told(fake):
    """What the authenticator is told about each login: details.transport."""
    told = []

    def answer(realm, authid, details):
        told.append(details["transport"])
        if authid == "refused":
            raise Deny("com.example.no")
        return principal(KEY)

    fake(answer)
    return told


def expect_peer(routerd, told, client, peer, proxy):
    """Joins. The client, the authenticator and the log are told this peer, and this proxy (a pattern) if there is one."""
    details = client.join(key=KEY)
    assert details["authextra"]["x_cb_peer"] == told[-1]["peer"] == peer
    assert re.fullmatch(proxy or "None", str(told[-1].get("proxied_by")))
    by = f" proxied_by={proxy}" if proxy else " suppressed"
    routerd.wait_log(rf"session opened session={client.welcome[1]} .* peer={re.escape(peer)} listener=public{by}")


def test_the_authenticator_sees_the_client(start_routerd, told, open):
    routerd = start_routerd(asking(proxied()))
    for header, expected in HEADERS.values():
        client = open(routerd, preface=header)
        expect_peer(routerd, told, client, expected or own_name(client), expected and own_name(client))
        # the type is that of the proxy's connection, whatever the header says of the client
        assert told[-1]["channel_type"] == "tcp"
    with pytest.raises(rawclient.Aborted):
        open(routerd, preface=HEADERS["v1"][0]).join(key=KEY, authid="refused")
    # fail2ban's filter finds the client, not the proxy
    routerd.wait_log("login denied peer=tcp4:192.0.2.7:50000 realm=")


def tlv(kind, value):
    return bytes([kind]) + struct.pack("!H", len(value)) + value


def ssl_tlv(*more, client=1):
    """That TLS ends at the proxy; client 0: that it does not."""
    return tlv(0x20, bytes([client, 0, 0, 0, 0]) + b"".join(more))


AUTHORITY, VERSION, CN = tlv(2, b"router.example.com"), tlv(0x21, b"TLSv1.2"), tlv(0x22, b"client01@example.com")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_what_a_header_tells_about_tls(start_routerd, folder, told, open, tls):
    """SNI and version. A name of a certificate is none: the router has not verified it."""
    config = asking(proxied())
    authority = Authority(folder)
    if tls:
        config["transports"][0]["endpoint"]["tls"] = authority.server()
    routerd = start_routerd(config)
    for framing in rawclient.Ws, rawclient.RawSocket:
        for tlvs, ends, expected in [
            (b"", False, None),
            (AUTHORITY, False, {"sni": "router.example.com"}),
            (ssl_tlv(client=0) + AUTHORITY, False, {"sni": "router.example.com"}),
            (ssl_tlv(VERSION, CN) + AUTHORITY, True, {"version": "1.2", "sni": "router.example.com"}),
            (ssl_tlv(client=7), True, None),
            (tlv(2, b"bad\xff"), False, None),
        ]:
            client = open(routerd, framing, preface=v2(0x11, address("192.0.2.7"), tail=tlvs),
                          tls=authority.trust() if tls else None)
            expect_peer(routerd, told, client, "tcp4:192.0.2.7:50000", own_name(client))
            if tls and not ends:  # the client's own TLS, which comes through the proxy
                expected = {"version": "1.3", "cipher": "TLS_AES_256_GCM_SHA384", "sni": "localhost"}
            assert told[-1].get("tls") == expected, tlvs
            assert told[-1]["channel_type"] == ("tls" if tls else "tcp")


# --- TLS of the client, and of the proxy -------------------------------------------------------

PEER = address("192.0.2.7")
# how a client comes through the proxy; does its TLS end at routerd?
WAYS = {
    "no proxy": ({}, True),
    "v1": ({"preface": HEADERS["v1"][0]}, True),
    "v2": ({"preface": v2(0x11, PEER, tail=AUTHORITY)}, True),
    "v2, TLS passes": ({"preface": v2(0x11, PEER, tail=ssl_tlv(client=0))}, True),
    "v2, TLS ends": ({"preface": v2(0x11, PEER, tail=ssl_tlv(VERSION))}, False),
    "XFF": ({"headers": {"X-Forwarded-For": "192.0.2.7"}}, False),
    "XFF without an address": ({"headers": {"X-Forwarded-For": "unknown"}}, False),
    "XFF of a stranger": ({"headers": {"X-Forwarded-For": "192.0.2.7"}, "source": "127.0.0.2"}, True),
    "XFF behind v1": ({"preface": b"PROXY TCP4 127.0.0.1 127.0.0.1 5 443\r\n", "headers": {"X-Forwarded-For": "192.0.2.7"}}, False),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_bindings_and_certificates(start_routerd, folder, open, way, tls):
    """A client can bind its login to TLS, and log in by its certificate, only if its TLS ends at routerd."""
    how, ends_here = WAYS[way]
    authority = Authority(folder)
    authority.make("client01")
    config = bound_site(authority)
    listener = config["transports"][0]
    listener["options"] = {"trusted_proxies": ["127.0.0.1"]}
    listener["endpoint"]["tls"] = {**authority.server(), "ca_certificates": ["ca.pem"], "client_certificates": "optional"}
    listener["auth"]["tls"] = {"type": "static", "principals": {
        "client01": {"role": "device", "certificate-sha256": [fingerprint(folder, "client01")]}}}
    if "preface" in how:
        listener["endpoint"]["proxy_protocol"] = {"from": ["127.0.0.1"]}
    if not tls:
        del listener["endpoint"]["tls"], listener["auth"]["tls"]
    routerd = start_routerd(config)

    def client():
        return open(routerd, tls=authority.trust(client="client01") if tls else None, **how)

    if tls and ends_here:
        log_in_bound(client())
    else:
        for binding in "tls-unique", "tls-exporter":
            assert refusal_of(client(), binding) == f'authextra.channel_binding: "{binding}": {NO_TLS}'
    by_certificate = client()
    by_certificate.hello("devices", authmethods=["tls"])
    if tls and ends_here:
        assert by_certificate.expect(rawclient.WELCOME)[2]["authid"] == "client01"
    else:
        assert by_certificate.expect(rawclient.ABORT)[2] == "wamp.error.no_matching_auth_method"


# --- X-Forwarded-For --------------------------------------------------------------------------

FORWARDED = [
    ("192.0.2.7", "tcp4:192.0.2.7:0"),
    ("192.0.2.7:50000", "tcp4:192.0.2.7:50000"),
    ("[2001:db8::7]:50000", "tcp6:2001:db8::7:50000"),
    ("2001:db8::7", "tcp6:2001:db8::7:0"),
    ("6.6.6.6, 192.0.2.7, 10.1.2.3", "tcp4:192.0.2.7:0"),  # the first one is forged
    ("10.3.3.3, 10.1.2.3", "tcp4:10.3.3.3:0"),
    ("6.6.6.6, unknown, 10.1.2.3", "tcp4:10.1.2.3:0"),
    ("unknown, 192.0.2.7", "tcp4:192.0.2.7:0"),
    ("[2001:db8::7]", "tcp6:2001:db8::7:0"),
    ("::ffff:192.0.2.7", "tcp4:192.0.2.7:0"),
    (", 192.0.2.7 ,,\t10.1.2.3,", "tcp4:192.0.2.7:0"),  # empty elements do not count
    ("6.6.6.6, " * 200 + "192.0.2.7", "tcp4:192.0.2.7:0"),
    ("", None),
    (None, None),
]
MALFORMED = ["unknown", "192.0.2.7:99999", "192.0.2.7 10.1.2.3", "fe80::1%eth0", '"[2001:db8::7]:50000"', "for=192.0.2.7",
             "192.0.2", "[192.0.2.7]:5", "192.0.2.7:", "::ffff:192.0.2.7:5:"]


def test_forwarded_for(start_routerd, open):
    routerd = start_routerd(trusting("127.0.0.1", "10.0.0.0/8"))
    for header, expected in FORWARDED:
        client = open(routerd, headers={"X-Forwarded-For": header})
        peer = expected or own_name(client)
        assert peer_of(client) == peer, header
        by = f" proxied_by={own_name(client)}" if expected else " suppressed"
        routerd.wait_log(rf"session opened session={client.welcome[1]} .* peer={peer} listener=public{by}")
    assert routerd.total("forwarded_invalid") == 1
    for i, element in enumerate(MALFORMED):
        # nothing before it counts
        client = open(routerd, headers={"X-Forwarded-For": f"192.0.2.7, {element}"})
        assert peer_of(client) == own_name(client), element
        assert routerd.total("forwarded_invalid") == 2 + i
    routerd.wait_log(r"X-Forwarded-For has an invalid address peer=tcp4:127\.0\.0\.1:\d+ listener=public")
    # several headers are one list
    for headers, peer in [("192.0.2.7 10.1.2.3", "192.0.2.7"), ("6.6.6.6 192.0.2.7 10.1.2.3", "192.0.2.7"),
                          ("192.0.2.7 unknown 10.1.2.3", "10.1.2.3")]:
        client = open(routerd, headers={"X-Forwarded-For": "\r\nX-Forwarded-For: ".join(headers.split())})
        assert peer_of(client) == f"tcp4:{peer}:0", headers
    # only from a trusted proxy
    client = open(routerd, headers={"X-Forwarded-For": "192.0.2.7"}, source="127.0.0.2")
    assert peer_of(client) == own_name(client)
    client = open(start_routerd(router_config(cryptosign=False), name="other"), headers={"X-Forwarded-For": "192.0.2.7"})
    assert peer_of(client) == own_name(client)


def test_forwarded_for_over_unix(folder, start_routerd, told, open):
    config = asking(router_config())
    config["transports"][0].update(endpoint={"type": "unix", "path": "wamp.sock"}, options={"trusted_proxies": ["unix"]})
    routerd = start_routerd(config)
    expect_peer(routerd, told, open(routerd, headers={"X-Forwarded-For": "192.0.2.7"}), "tcp4:192.0.2.7:0", "unix")
    assert told[-1]["channel_type"] == "unix"
    expect_peer(routerd, told, open(routerd), "unix", None)


def test_forwarded_for_behind_a_proxy(start_routerd, open):
    """The address of the PROXY header must be trusted, not that of the socket."""
    config = proxied(options={"trusted_proxies": ["10.0.0.0/8"]})
    routerd = start_routerd(config)
    headers = {"X-Forwarded-For": "192.0.2.9"}
    client = open(routerd, headers=headers, preface=v2(0x11, address("10.1.2.3")))
    assert peer_of(client) == "tcp4:192.0.2.9:0"
    client = open(routerd, headers=headers, preface=HEADERS["v2"][0])
    assert peer_of(client) == "tcp4:192.0.2.7:50000"


class Proxied(LongPoll):
    """Long-poll whose connections begin with a PROXY header."""

    def post(self, connection, what, body=b""):
        if connection.sock is None:
            connection.connect()
            connection.sock.sendall(v2(0x11, PEER, tail=AUTHORITY + ssl_tlv(VERSION)))
        return super().post(connection, what, body)


def test_longpoll(start_routerd, clients, threads):
    """Each connection is handed to the worker of the session, and opens another one there."""
    config = trusting("127.0.0.1", threads=threads)
    config["transports"][0]["longpoll"] = {"path": "/lp"}
    routerd = start_routerd(config)
    behind = proxied(threads=threads)
    behind["transports"][0]["longpoll"] = {"path": "/lp"}
    proxied_routerd = start_routerd(behind, name="other")
    for daemon, framing, kw, peer in [
        (routerd, LongPoll, {"headers": {"X-Forwarded-For": "192.0.2.9"}}, "tcp4:192.0.2.9:0"),
        (proxied_routerd, Proxied, {}, "tcp4:192.0.2.7:50000"),
    ]:
        for _ in range(4):
            client = rawclient.Client(daemon.port(), transport=framing, **kw)
            clients.append(client)
            assert peer_of(client) == peer
        # its connections were handed to its worker; another session that begins on one of them is its neighbour
        client.path = "/lp"
        status, body = client.post(client.receiver, "open", json.dumps({"protocols": ["wamp.2.json"]}))
        assert status == 200
        client.path = f"/lp/{json.loads(body)['transport']}"
        client.inbox.clear()
        assert peer_of(client) == peer


# --- the samples ------------------------------------------------------------------------------


@pytest.fixture
def run(folder):
    """run(argv) starts a proxy in the foreground, and ends it after the test."""
    with contextlib.ExitStack() as stack:

        def go(*argv, ports):
            log = stack.enter_context((folder / f"{argv[0].split(chr(47))[-1]}.log").open("wb"))
            process = subprocess.Popen([str(a) for a in argv], cwd=folder, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)

            def listens():
                assert process.poll() is None, (folder / f"{argv[0].split(chr(47))[-1]}.log").read_text()
                return all(socket.socket().connect_ex(("127.0.0.1", port)) == 0 for port in ports)

            wait_for(listens, f"{argv[0]} to listen")

        yield go


def sample(folder, name, **changes):
    """Copies a sample; each change must be possible. Returns the path."""
    text = (EXAMPLES / name).read_text()
    for before, after in changes["changes"].items():
        assert before in text, before
        text = text.replace(before, str(after))
    path = folder / name.split("/")[-1]
    path.write_text(text)
    return path


def nginx(folder, run, include, http, ports):
    inside = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"http {{ access_log off; {inside} include {http}; }}" if http else ""
    modules = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;" if include else ""
    include = f"include {include};" if include else ""
    (folder / "nginx.conf").write_text(f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
        {modules} events {{}} {http} {include}""")
    run("/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", ports=ports)


SOURCE = "127.0.0.3"
NGINX = HAPROXY = r"tcp4:127\.0\.0\.1:\d+"
TLS = pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])


@TLS
def test_nginx_passes_http_on(start_routerd, folder, run, open, told, clients, threads, tls):
    """WebSocket and long-poll. TLS, if any, ends at nginx."""
    authority = Authority(folder)
    server = authority.server()
    config = asking(trusting("127.0.0.1", threads=threads))
    config["transports"][0]["longpoll"] = {"path": "/lp"}
    routerd = start_routerd(config)
    port = free_port()
    path = sample(folder, "nginx/routerd.conf", changes={
        "127.0.0.1:8080": f"127.0.0.1:{routerd.port()}", "listen 443 ssl": f"listen {port}{' ssl' * tls}",
        "listen [::]:443 ssl": f"listen [::]:{port}{' ssl' * tls}",
        "/etc/nginx/fullchain.pem": folder / server["certificate"], "/etc/nginx/privkey.pem": folder / server["key"]})
    nginx(folder, run, None, path, [port])
    for framing, source in (rawclient.Ws, SOURCE), (rawclient.Ws, "::1"), (LongPoll, SOURCE), (LongPoll, SOURCE):
        client = rawclient.Client(port, transport=framing, tls=authority.trust() if tls else None, source=source,
                                  host="::1" if source == "::1" else "127.0.0.1", headers={"X-Forwarded-For": "192.0.2.66"})
        clients.append(client)
        expect_peer(routerd, told, client, "tcp6:::1:0" if source == "::1" else f"tcp4:{SOURCE}:0", NGINX)
        assert told[-1]["channel_type"] == "tcp" and "tls" not in told[-1]
        # the requests of a long-poll session come to routerd over several connections
        topic = client.subscribe("com.example.topic")
        client.publish("com.example.topic", ["x" * 100000], acknowledge=True, exclude_me=False)
        assert client.event(topic)[0] == ["x" * 100000]
        assert client.call("wamp.session.count")[0][0] > 0
    if threads > 1:
        assert routerd.total("moved") > 0


def test_autobahn_js_behind_nginx(start_routerd, folder, run, told, puppets, threads):
    """Over long-poll."""
    config = asking(trusting("127.0.0.1", threads=threads))
    config["transports"][0]["longpoll"] = {"path": "/lp"}
    routerd = start_routerd(config)
    port = free_port()
    path = sample(folder, "nginx/routerd.conf", changes={
        "127.0.0.1:8080": f"127.0.0.1:{routerd.port()}", "listen 443 ssl": f"listen {port}",
        "listen [::]:443 ssl": f"listen [::]:{port}",
        "ssl_certificate /etc/nginx/fullchain.pem;": "", "ssl_certificate_key /etc/nginx/privkey.pem;": ""})
    nginx(folder, run, None, path, [port])
    peer = peers.Peer(puppets("autobahn-js"), f"http://127.0.0.1:{port}/lp", "json", key=KEY)
    assert told[-1]["channel_framing"] == "longpoll" and told[-1]["peer"] == "tcp4:127.0.0.1:0"
    assert re.fullmatch(NGINX, told[-1]["proxied_by"])
    peer.register("com.example.echo")
    assert peer.call("com.example.echo", ["x" * 100000], {}) == (["x" * 100000], {})
    peer.leave()


@TLS
def test_nginx_passes_streams_on(start_routerd, folder, run, open, told, tls):
    """TLS, if any, passes through nginx, so that clients can bind their logins to it."""
    authority = Authority(folder)
    config = asking(proxied())
    config["transports"].append(bound_site(authority)["transports"][0])
    config["transports"][1].update(id="office")
    for listener in config["transports"]:
        listener["endpoint"].update(proxy_protocol={"from": ["127.0.0.1"]}, **({"tls": authority.server()} if tls else {}))
        if not tls:
            listener["endpoint"].pop("tls", None)
    routerd = start_routerd(config)
    for index in 0, 1:
        port = free_port()
        path = sample(folder, "nginx/routerd-stream.conf", changes={
            "127.0.0.1:8081": f"127.0.0.1:{routerd.port(index)}", "listen 8443": f"listen {port}",
            "listen [::]:8443": f"listen [::]:{port}"})
        nginx(folder, run, path, None, [port])
        for framing, source in ((f, s) for f in (rawclient.Ws, rawclient.RawSocket) for s in (SOURCE, "::1")):
            client = open(routerd, framing, port=port, tls=authority.trust() if tls else None, source=source,
                          host="::1" if source == "::1" else "127.0.0.1")
            if index == 0:
                expect_peer(routerd, told, client, own_name(client), NGINX)
                assert ("tls" in told[-1], told[-1]["channel_type"]) == (tls, "tls" if tls else "tcp")
                client.leave()
            elif tls:
                log_in_bound(client)
            else:
                assert NO_TLS in refusal_of(client, "tls-unique")


@pytest.mark.parametrize("tls", ["ends", "passes", "none"])
def test_haproxy(start_routerd, folder, run, open, told, tls):
    """TLS ends at HAProxy, or passes through to routerd, or there is none."""
    authority = Authority(folder)
    server = authority.server()
    (folder / "router.pem").write_text("".join((folder / server[k]).read_text() for k in ("certificate", "key")))
    config = asking(proxied())
    if tls == "passes":
        config["transports"][0]["endpoint"]["tls"] = server
    routerd = start_routerd(config)
    port = free_port()
    changes = {"127.0.0.1:8081": f"127.0.0.1:{routerd.port()}", ":443": f":{port}", "maxconn 50000": "maxconn 100",
               "/etc/haproxy/router.pem": folder / "router.pem"}
    if tls != "ends":
        changes[" ssl crt /etc/haproxy/router.pem alpn http/1.1"] = changes.pop("/etc/haproxy/router.pem") and ""
    path = sample(folder, "haproxy/haproxy.cfg", changes=changes)
    run("/usr/sbin/haproxy", "-db", "-f", path, ports=[port])
    for framing, source in ((f, s) for f in (rawclient.Ws, rawclient.RawSocket) for s in (SOURCE, "::1")):
        client = open(routerd, framing, port=port, tls=authority.trust() if tls != "none" else None, source=source,
                      host="::1" if source == "::1" else "127.0.0.1")
        expect_peer(routerd, told, client, own_name(client), HAPROXY)
        facts = told[-1].get("tls", {})
        assert facts.get("sni") == (None if tls == "none" else "localhost")
        assert facts.get("version") == (None if tls == "none" else "1.3")
        assert ("cipher" in facts, told[-1]["channel_type"]) == ((True, "tls") if tls == "passes" else (False, "tcp"))
        client.leave()
    wait_for(lambda: routerd.total("closed_lost") > 0, "a health check")
    # neither its health checks nor its clients are taken for strangers
    assert routerd.total("closed_bad_proxy_header") == routerd.total("proxy_strangers") == 0
