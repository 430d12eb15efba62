# SPDX-License-Identifier: Apache-2.0
"""TLS: clients log in and exchange messages of all sizes over it, and those that speak something else
are told so."""

import concurrent.futures
import os
import socket
import ssl

import pytest
import rawclient
from certificates import VERSIONS, authority, open_tls, tls_config, tls_routerd  # noqa: F401
from utils import wait_for


FRAMINGS = pytest.mark.parametrize("framing", [rawclient.Ws, rawclient.RawSocket])


@FRAMINGS
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_messages_of_all_sizes(tls_routerd, open_tls, framing, version):
    callee = open_tls(tls_routerd, framing, "msgpack", version)
    caller = open_tls(tls_routerd, framing, "msgpack", version)
    assert callee.socket.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    callee.join()
    caller.join()
    topic = callee.subscribe("com.example.topic")
    for size in 0, 1, 16383, 16384, 16385, 65536, 500000, 1000000:
        data = bytes(size)
        caller.publish("com.example.topic", [data], acknowledge=True)
        event = callee.expect(rawclient.EVENT)
        assert event[1] == topic and event[4] == [data]
    callee.leave()
    assert tls_routerd.total("tls_handshakes") == 2


@FRAMINGS
def test_several_messages_in_one_record_and_one_message_in_several(tls_routerd, open_tls, framing):
    client = open_tls(tls_routerd, framing)
    client.join()
    calls = [[rawclient.CALL, i, {}, "wamp.session.count"] for i in range(1, 201)]
    client.send(*calls)
    for i in range(1, 201):
        assert client.recv()[:2] == [rawclient.RESULT, i]
    frame = client.make_frame(client.opcode, client.pack([rawclient.CALL, 201, {}, "wamp.session.count"]))
    for octet in frame:
        client.send_bytes(bytes([octet]))
    assert client.recv()[:2] == [rawclient.RESULT, 201]


def plain(routerd, data):
    """Everything that the router answers to these bytes without TLS."""
    with socket.create_connection(("127.0.0.1", routerd.port()), 10) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := s.recv(4096):
                answer += part
        except ConnectionError:
            pass
        return answer


@pytest.mark.parametrize("data", [b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", b"\x7f\xf1\0\0", b"\0" * 100],
                         ids=["http", "rawsocket", "zeros"])
def test_a_client_without_tls(tls_routerd, data):
    answer = plain(tls_routerd, data)
    assert answer.startswith(b"HTTP/1.1 400 ") if data[:1] == b"G" else answer == b""
    tls_routerd.wait_log(r'tls handshake failed peer=tcp4:\S+ listener=public sni=none from=peer '
                         r'reason="the client does not speak TLS"')
    assert tls_routerd.total("tls_missing") == 1


def test_garbage_after_the_handshake(tls_routerd, authority):
    raw = socket.create_connection(("127.0.0.1", tls_routerd.port()))
    with authority.trust().wrap_socket(raw, server_hostname="localhost") as s:
        os.write(s.fileno(), b"\x17\x03\x03\0\x01?")
        tls_routerd.wait_log(r'tls failed after the handshake peer=tcp4:\S+ listener=public sni=localhost from=us reason="')
    assert "tls handshake failed" not in tls_routerd.log()


@FRAMINGS
def test_garbage_in_a_session(tls_routerd, open_tls, framing):
    client = open_tls(tls_routerd, framing)
    client.join()
    os.write(client.socket.fileno(), b"\x17\x03\x03\0\x01?")
    tls_routerd.wait_log(r'tls failed after the handshake peer=tcp4:\S+ listener=public sni=localhost from=us reason="')
    tls_routerd.wait_log("session closed")


@pytest.mark.parametrize("kind", ["websocket", "rawsocket", "universal"])
def test_tls_on_a_port_without_tls(start_routerd, authority, kind):
    config = tls_config(authority, type=kind, cryptosign=False)
    del config["transports"][0]["endpoint"]["tls"]
    routerd = start_routerd(config)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        authority.trust().wrap_socket(socket.create_connection(("127.0.0.1", routerd.port())), server_hostname="localhost")
    routerd.wait_log(r'protocol error reason="TLS on a port without TLS" listener=public peer=tcp4:\S+ suppressed=0')
    assert routerd.log().count("TLS on a port") == routerd.log().count("protocol error") == 1


# --- names, protocols, versions -------------------------------------------------------------


def shown(routerd, context, name):
    """The names in the certificate that the router shows, and its kind of key."""
    with context.wrap_socket(socket.create_connection(("127.0.0.1", routerd.port())), server_hostname=name) as s:
        kind = "rsa" if s.version() == "TLSv1.2" and "RSA" in s.cipher()[0] else "ecdsa"
        return [n for k, n in s.getpeercert()["subjectAltName"] if k == "DNS"], kind


def test_names_choose_the_certificate(authority, start_routerd):
    first = authority.make("first", "DNS:a.example.com")
    more = [authority.make("second", "DNS:b.example.com", "DNS:*.b.example.com"),
            authority.make("second_rsa", "DNS:b.example.com", "DNS:*.b.example.com", kind="rsa")]
    routerd = start_routerd(tls_config(authority, {**first, "more_certificates": more}, cryptosign=False))
    context = authority.trust(ssl.TLSVersion.TLSv1_2)
    context.check_hostname = False
    a, b = ["a.example.com"], ["b.example.com", "*.b.example.com"]
    for name, names in [("a.example.com", a), ("b.example.com", b), ("x.b.example.com", b), ("c.example.com", a), (None, a)]:
        assert shown(routerd, context, name) == (names, "ecdsa")
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert shown(routerd, context, "b.example.com") == (b, "rsa")
    with pytest.raises(ssl.SSLError, match="(?i)handshake.failure"):
        shown(routerd, context, "a.example.com")
    routerd.wait_log('tls handshake failed .* sni=a.example.com from=us reason="no shared cipher"')


@pytest.mark.parametrize("offered, chosen", [(None, None), (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"),
                                             (["h2"], ssl.SSLError)], ids=str)
def test_alpn(tls_routerd, authority, offered, chosen):
    context = authority.trust()
    if offered:
        context.set_alpn_protocols(offered)

    def connect():
        with context.wrap_socket(socket.create_connection(("127.0.0.1", tls_routerd.port())),
                                 server_hostname="localhost") as s:
            return s.selected_alpn_protocol()

    if chosen is ssl.SSLError:
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            connect()
    else:
        assert connect() == chosen


def test_old_versions_and_untrusting_clients(authority, start_routerd):
    """Each failure is logged once, with its cause, and hurts nobody else."""
    routerd = start_routerd(tls_config(authority, cryptosign=False))
    old = authority.trust()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    for context, reason in [(old, 'from=us reason="unsupported protocol"'),
                            (ssl.create_default_context(), 'from=peer reason=".*alert unknown ca"')]:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(socket.create_connection(("127.0.0.1", routerd.port())), server_hostname="localhost")
        routerd.wait_log("tls handshake failed .* " + reason)
    assert routerd.log().count("tls handshake failed") == 2
    assert routerd.total("tls_alerts_received") == 1


def test_a_storm_of_handshakes(authority, start_routerd, threads):
    """More clients at a time than slots: all get in."""
    routerd = start_routerd(tls_config(authority, cryptosign=False, threads=threads, limits={"handshakes": 4}))
    context = authority.trust()

    def connect(i):
        with context.wrap_socket(socket.create_connection(("127.0.0.1", routerd.port())), server_hostname="localhost") as s:
            s.sendall(b"\x7f\xf1\0\0")
            return s.recv(4)

    # so few that even a slow machine does not refuse any because of the time that they wait
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(connect, range(300))) == {b"\x7f\xb1\0\0"}
    assert routerd.total("tls_handshakes") == 300
    assert routerd.total("tls_refused") == 0


def test_silent_clients_do_not_lock_out_others(authority, start_routerd, open_tls):
    """Half a ClientHello in each slot: they must make room long before their deadline."""
    config = tls_config(authority, cryptosign=False, limits={"handshakes": 2})
    config["transports"][0]["options"] = {"open_handshake_timeout": 60000}
    routerd = start_routerd(config)
    silent = [socket.create_connection(("127.0.0.1", routerd.port())) for _ in range(3)]
    for s in silent:
        s.sendall(b"\x16\x03")
    wait_for(lambda: routerd.total("tls_handshakes_started") == 2, "the slots to be taken")
    open_tls(routerd, timeout=15).join()
    wait_for(lambda: routerd.log().count('from=peer reason="too slow, and other clients wait"') == 2, "the log lines")
    assert routerd.total("closed_handshake_timeout") == 2
    for s in silent:
        s.close()
