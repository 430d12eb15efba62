# SPDX-License-Identifier: Apache-2.0
"""TLS: clients log in and exchange messages of all sizes over it, and those that speak something else
are told so."""

import concurrent.futures
import json
import os
import socket
import ssl
import subprocess

import pytest
import rawclient
from certificates import VERSIONS, authority, open_tls, tls_config, tls_routerd  # noqa: F401
from utils import BUILD, tsan_prefix, wait_for


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


@FRAMINGS
def test_tls_on_a_port_without_tls(start_routerd, authority, framing):
    kind = "websocket" if framing is rawclient.Ws else "rawsocket"
    config = tls_config(authority, type=kind, cryptosign=False)
    del config["transports"][0]["endpoint"]["tls"]
    routerd = start_routerd(config)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        authority.trust().wrap_socket(socket.create_connection(("127.0.0.1", routerd.port())), server_hostname="localhost")
    routerd.wait_log('reason="TLS on a port without TLS" listener=public')


def check_config(folder, config):
    """What `routerd --check` says about a configuration."""
    (folder / "check.yaml").write_text(json.dumps(config, indent=1))
    done = subprocess.run([*tsan_prefix(), BUILD / "routerd/routerd", "--check", "check.yaml"], cwd=folder,
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_check_reads_the_files(folder, authority):
    good = authority.server()
    other = authority.make("other", "DNS:localhost", days=10, kind="rsa")
    weak = authority.make("weak", "DNS:localhost", kind="weak")
    authority.make_early("early")
    early = {"certificate": "early.pem", "key": "early.key"}
    (folder / "weak_chain.pem").write_bytes((folder / "server.pem").read_bytes() + (folder / "weak.pem").read_bytes())
    (folder / "chain.pem").write_bytes((folder / "server.pem").read_bytes() + authority.path.read_bytes())
    (folder / "open.key").write_bytes((folder / "server.key").read_bytes())
    (folder / "open.key").chmod(0o640)
    (folder / "locked.key").write_text(subprocess.run(
        ["openssl", "ec", "-in", "server.key", "-aes128", "-passout", "pass:x"], cwd=folder, check=True,
        capture_output=True, text=True).stdout)
    (folder / "locked.key").chmod(0o600)
    for tls, code, text in [
            (good, 0, "ok"),
            ({**good, "chain_certificates": ["ca.pem"], "more_certificates": [other]}, 0,
             "warning: other.pem: this certificate expires soon, at 20"),
            ({**good, "certificate": "chain.pem"}, 0, "ok"),
            ({**good, "key": "other.key"}, 78, "other.key: this is not the key of the certificate server.pem"),
            ({**good, "key": "open.key"}, 78, "open.key: other users can read this key: chmod 0600"),
            ({**good, "key": "locked.key"}, 78, "locked.key: expected a private key as PEM, without a password"),
            ({**good, "certificate": "server.key"}, 78, "server.key: expected certificates as PEM"),
            ({**good, "certificate": "missing.pem"}, 78, "missing.pem: No such file or directory"),
            ({**good, "more_certificates": [{**other, "key": "server.key"}]}, 78,
             "server.key: this is not the key of the certificate other.pem"),
            (early, 0, "warning: early.pem: this certificate is not valid before 20"),
            (weak, 78, "weak.pem: OpenSSL refuses to use this certificate: ee key too small"),
            ({**good, "certificate": "weak_chain.pem"}, 78, "weak_chain.pem: OpenSSL refuses to use this certificate: "),
            ({**good, "ciphers": "ECDHE+AESGCM:@SECLEVEL=0"}, 78, "'ciphers': expected OpenSSL's names of ciphers"),
            ({**good, "dhparam": "x"}, 0, "ok")]:
        status, said = check_config(folder, tls_config(authority, tls, cryptosign=False))
        assert status == code and text in said, (tls, said)
    config = tls_config(authority, good, cryptosign=False)
    config["transports"][0]["endpoint"] = {"type": "unix", "path": "x.sock", "tls": good}
    assert "'tls' is for endpoints of type tcp" in check_config(folder, config)[1]


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
    assert routerd.log().count('from=peer reason="too slow, and other clients wait"') == 2
    assert routerd.total("closed_handshake_timeout") == 2
    for s in silent:
        s.close()
