# SPDX-License-Identifier: Apache-2.0
"""The configuration of TLS: what --check says about certificates, keys and options, and what clients see of
them."""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest
import rawclient
from certificates import VERSIONS, Authority, authority, make_named, open_tls, tls_config, tls_routerd  # noqa: F401
from utils import BUILD, SLOW, sanitizer_env, tsan_prefix, wait_for

pytestmark = pytest.mark.one_worker
MOST = 256 << 10  # bytes of a file


# --- files that --check reads ---------------------------------------------------------------


def openssl(folder, *argv):
    return subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True).stdout


def make_files(folder):
    """All files that the tests below name."""
    def put(name, *parts, mode=0o600):
        path = folder / name
        path.write_bytes(b"".join(p if isinstance(p, bytes) else (folder / p).read_bytes() for p in parts))
        path.chmod(mode)

    root = Authority(folder)
    middle, other = root.intermediate("middle"), root.intermediate("other")
    root.make("good", "DNS:localhost", "IP:127.0.0.1", "IP:::1")
    root.make("second", "DNS:localhost")
    root.make("soon", "DNS:localhost", days=10)
    root.make_expired("expired", "localhost")
    root.make_early("early")
    root.make("slow", "DNS:localhost", kind="slow")
    root.make("weak", "DNS:localhost", kind="weak")
    root.make("nameless")
    root.make("client", "DNS:localhost", extensions=["extendedKeyUsage=clientAuth"])
    root.make("public", "DNS:localhost", extensions=["authorityInfoAccess=caIssuers;URI:http://ca.example.com/ca.der"])
    other.make("leaf2", "DNS:localhost")
    last = middle.intermediate("last")
    last.make("leaf", "DNS:localhost")
    for name, size in ("fat", 39), ("fatter", 40):
        root.make(name, "DNS:localhost", extensions=["nsComment=" + "x" * (size << 10)])
    # chains
    put("chain.pem", "leaf.pem", "last.pem", "middle.pem", "ca.pem")
    put("no_order.pem", "leaf.pem", "middle.pem", "last.pem")
    put("gap.pem", "leaf.pem", "middle.pem", "ca.pem")
    put("wrong.pem", "leaf.pem", "other.pem")
    put("leaf_last.pem", "last.pem", "leaf.pem")
    put("public_chain.pem", "public.pem", "ca.pem")
    put("old_ca.pem", "last.pem", "expired.pem")
    put("weak_chain.pem", "good.pem", "weak.pem")
    # forms of files
    put("empty.pem")
    put("crlf.pem", (folder / "good.pem").read_bytes().replace(b"\n", b"\r\n"))
    put("crlf.key", (folder / "good.key").read_bytes().replace(b"\n", b"\r\n"))
    put("bom.pem", b"\xef\xbb\xbf", "good.pem")
    put("bom.key", b"\xef\xbb\xbf", "good.key")
    put("both.pem", "good.key", "good.pem")
    put("der.pem", openssl(folder, "x509", "-in", "good.pem", "-outform", "DER"))
    put("der.key", openssl(folder, "pkey", "-in", "good.key", "-outform", "DER"))
    put("certificate.key", "second.pem")
    put("key.pem", "good.key")
    put("locked.key", openssl(folder, "pkey", "-in", "good.key", "-aes128", "-passout", "pass:x"))
    put("locked_old.key", openssl(folder, "ec", "-in", "good.key", "-aes128", "-passout", "pass:x"))
    text = (folder / "good.pem").read_bytes()
    put("cut.pem", text, text[:len(text) // 2])
    put("bent.pem", text[:100] + b"!" + text[101:])
    put("bent.key", (folder / "good.key").read_bytes().replace(b"\nM", b"\n?"))
    put("zero.pem", text, b"\0", text)
    put("largest.pem", text, b"#" * (MOST - len(text)))
    put("too_large.pem", text, b"#" * (MOST - len(text) + 1))
    put("too_large.key", "good.key", b"#" * MOST)
    put("open.key", "good.key", mode=0o604)
    put("writable.key", "good.key", mode=0o620)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")


@pytest.fixture(scope="module")
def files():
    path = Path(tempfile.mkdtemp(prefix="wamp."))
    make_files(path)
    yield path
    shutil.rmtree(path)


GOOD = {"certificate": "good.pem", "key": "good.key"}


def run(folder, option, tls, wrap=()):
    """Writes check.yaml; returns the exit code and what routerd says. Without `tls`, the file stays."""
    if tls:
        (folder / "check.yaml").write_text(json.dumps(tls_config(None, tls, cryptosign=False), indent=1))
    done = subprocess.run([*wrap, *tsan_prefix(), BUILD / "routerd/routerd", option, "check.yaml"], cwd=folder, text=True,
                          capture_output=True, env={**os.environ, **sanitizer_env()}, timeout=20 * SLOW)
    return done.returncode, done.stdout + done.stderr


def place(folder, value):
    """Where a value stands in check.yaml: "check.yaml:LINE:COLUMN: "."""
    for number, line in enumerate((folder / "check.yaml").read_text().splitlines(), 1):
        if found := re.search(f'(: |^ *){re.escape(value)}', line):
            return f"check.yaml:{number}:{found.end(1) + 1}: "
    pytest.fail(f"no {value} in the file")


def said_about(folder, said, value):
    """The messages about this value, without the place."""
    begin = place(folder, value)
    return [line[len(begin):] for line in said.splitlines() if line.startswith(begin)]


@pytest.mark.parametrize("name, text", [
    ("missing.pem", "No such file or directory"), ("folder", "this is not a regular file"),
    ("fifo", "this is not a regular file"), ("empty.pem", "the file is empty"),
    ("der.pem", "this is not PEM; if it is DER, convert it: openssl x509 -inform DER -in FILE -out NEW.pem"),
    ("zero.pem", "this is not PEM; if it is DER, convert it: openssl x509 -inform DER -in FILE -out NEW.pem"),
    ("key.pem", "expected certificates as PEM: no line -----BEGIN CERTIFICATE-----"),
    ("bent.pem", "expected certificates as PEM: bad base64 decode"),
    ("cut.pem", "expected certificates as PEM: bad end line"),
    ("too_large.pem", "the file is longer than 256 KiB"),
    ("largest.pem", None), ("crlf.pem", None), ("bom.pem", None), ("both.pem", None)])
def test_files_of_certificates(files, name, text):
    for key, tls in [("certificate", {**GOOD, "certificate": name}),
                     ("chain_certificates", {**GOOD, "chain_certificates": [name]}),
                     ("ca_certificates", {**GOOD, "ca_certificates": ["ca.pem", name]})]:
        code, said = run(files, "--check", tls)
        about = said_about(files, said, f'"{name}"')
        if text:
            assert (code, about) == (78, [f"{name}: {text}"]), said
        elif key != "chain_certificates":  # where it stands twice, --check warns
            assert (code, about) == (0, []), said


@pytest.mark.parametrize("name, text", [
    ("missing.key", "No such file or directory"), ("folder", "this is not a regular file"),
    ("fifo", "this is not a regular file"), ("empty.pem", "the file is empty"),
    ("der.key", "this is not PEM; if it is DER, convert it: openssl pkey -inform DER -in FILE -out NEW.pem"),
    ("locked.key", "expected a private key as PEM, without a password: this one has a password; "
                   "openssl pkey -in FILE -out NEW removes it"),
    ("locked_old.key", "expected a private key as PEM, without a password: this one has a password; "
                       "openssl pkey -in FILE -out NEW removes it"),
    ("certificate.key", "this is a certificate, not a private key"), ("second.pem", "this is a certificate, not a private key"),
    ("bent.key", "expected a private key as PEM, without a password: "),
    ("second.key", "this is not the key of the certificate good.pem"),
    ("too_large.key", "the file is longer than 256 KiB"),
    ("open.key", "other users can read or change this secret: chmod 0600 or 0640"),
    ("writable.key", "other users can read or change this secret: chmod 0600 or 0640"),
    ("crlf.key", None), ("bom.key", None), ("both.pem", None)])
def test_files_of_keys(files, name, text):
    code, said = run(files, "--check", {**GOOD, "key": name})
    about = said_about(files, said, f'"{name}"')
    assert code == (78 if text else 0), said
    assert len(about) == 1 and about[0].startswith(f"{name}: {text}") if text else about == [], said
    # the start fails in the same way
    if text:
        assert run(files, "-c", None) == (code, said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("owner, group, mode, text", [
    ("routerd", "root", 0o600, None), ("routerd", "root", 0o640, "other users can read this key: chmod 0600"),
    ("root", "routerd", 0o640, None), ("root", "routerd", 0o440, None), 
    ("root", "root", 0o600, "Permission denied: routerd runs as user 12345, who may not read this file, or not enter its folder: "
                            "chown 12345: FILE"),
    ("root", "routerd", 0o660, "other users can read or change this secret"),
    ("other", "routerd", 0o640, "the file belongs to another user")])
def test_owners_of_keys(files, owner, group, mode, text):
    ids = {"root": 0, "routerd": 12345, "other": 12346}
    shutil.copy(files / "good.key", files / "owned.key")
    os.chmod(files / "owned.key", mode)
    os.chown(files / "owned.key", ids[owner], ids[group])
    os.chmod(files, 0o711)
    (files / "good.pem").chmod(0o644)
    run(files, "--check", {**GOOD, "key": "owned.key"})
    (files / "check.yaml").chmod(0o644)
    wrap = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    code, said = run(files, "--check", None, wrap)
    assert code == (78 if text else 0), said
    about = said_about(files, said, '"owned.key"')
    assert len(about) == 1 and about[0].startswith(f"owned.key: {text}") if text else about == [], said


@pytest.mark.parametrize("name, key, code, text", [
    ("soon", None, 0, r"warning: soon.pem: this certificate expires soon, at 20\S+Z$"),
    ("expired", None, 0, r"warning: expired.pem: this certificate expired at 20\S+Z: clients will refuse it"),
    ("early", None, 0, r"warning: early.pem: this certificate is not valid before 20\S+Z: clients will refuse it until then"),
    ("nameless", None, 0, r"warning: nameless.pem: this certificate has no name of a host \(subjectAltName\)"),
    ("client", None, 0, r"warning: client.pem: this certificate is not for servers \(extendedKeyUsage or keyUsage\)"),
    ("public", None, 0, 'warning: public.pem: the certificate of "Test ca" is missing, which has signed this one or another one '
                        'of its chain: many clients will refuse it'),
    ("public_chain", "public", 0, None), ("chain", "leaf", 0, None), ("leaf", None, 0, None),
    ("no_order", "leaf", 0, 'warning: no_order.pem: the certificate of "Test last" must stand right behind the one that it has '
                            'signed: many clients refuse this order'),
    ("gap", "leaf", 0, 'warning: gap.pem: the certificate of "Test last" is missing, '),
    ("wrong", "leaf", 0, 'warning: wrong.pem: the certificate of "Test last" is missing, '),
    ("leaf_last", "leaf", 78, "leaf_last.pem: the server's own certificate must be the first, but the key is that of "
                              "certificate 2"),
    ("fat", None, 0, None), ("fatter", None, 78, "fatter.pem: the certificates for clients are longer than 40 KiB: "),
    ("weak", None, 78, "weak.pem: OpenSSL refuses to use this certificate: ee key too small"),
    ("weak_chain", "good", 78, "weak_chain.pem: OpenSSL refuses to use this certificate: ")])
def test_certificates(files, name, key, code, text):
    status, said = run(files, "--check", {"certificate": f"{name}.pem", "key": f"{key or name}.key"})
    about = said_about(files, said, f'"{name}.pem"')
    wanted = [line for line in about if text and re.match(text, line)]
    assert status == code and len(wanted) == bool(text), said
    # weak_chain is also no chain
    assert len(about) == len(wanted) + (name == "weak_chain"), said


def test_slow_and_fast_keys(files):
    code, said = run(files, "--check", {"certificate": "slow.pem", "key": "slow.key", "more_certificates": [GOOD]})
    assert code == 0 and said_about(files, said, '"slow.key"') == [
        "warning: slow.key: each login with an RSA key of 4096 bits takes 2 ms or more: use an ECDSA key (prime256v1)"]
    assert said.count("warning") == 2, said  # the other one is about anonymous clients


def test_expired_authorities(files):
    tls = {**GOOD, "ca_certificates": ["ca.pem", "old_ca.pem"], "client_certificates": "optional"}
    code, said = run(files, "--check", tls)
    assert code == 0 and said_about(files, said, '"old_ca.pem"') == [
        "warning: old_ca.pem: certificate 2 in it has expired: clients that it has signed cannot connect"], said


def test_each_certificate_of_a_transport_is_checked(files):
    bad = {"certificate": "good.pem", "key": "second.key"}
    code, said = run(files, "--check", {**GOOD, "more_certificates": [bad]})
    assert code == 78 and said_about(files, said, '"second.key"') == [
        "second.key: this is not the key of the certificate good.pem"]


@pytest.mark.parametrize("key, value, text", [
    ("groups", "X25519:nonsense", "'groups': expected OpenSSL's names of groups"),
    ("ciphers", "nonsense", "'ciphers': expected OpenSSL's names of ciphers"),
    ("ciphers", "AES128-SHA", "'ciphers': expected "), ("ciphers", "ECDHE-ECDSA-AES128-SHA256", "'ciphers': expected "),
    ("ciphers", "DHE+AESGCM", "'ciphers': expected "), ("ciphers", "ECDHE+AESGCM:@SECLEVEL=0", "'ciphers': expected "),
    ("chain_certificates", [], "'chain_certificates': expected"),
    ("client_certificates", "maybe", "'client_certificates': expected 'off', 'optional' or 'required', not"),
    ("client_certificates", "optional", "'ca_certificates' is missing"),
    ("client_certificates", "required", "'ca_certificates' is missing")])
def test_wrong_options(files, key, value, text):
    code, said = run(files, "--check", {**GOOD, key: value})
    about = said_about(files, said, json.dumps(value))
    assert code == 78 and len(about) == 1 and about[0].startswith(text), said


@pytest.mark.parametrize("ciphers, key, more, good", [
    ("ECDHE-RSA-AES128-GCM-SHA256", "good", [], False), ("ECDHE-ECDSA-AES128-GCM-SHA256", "slow", [], False),
    ("ECDHE-RSA-AES128-GCM-SHA256", "slow", [], True), ("ECDHE-ECDSA-AES128-GCM-SHA256", "good", [], True),
    ("ECDHE-RSA-AES128-GCM-SHA256", "good", ["slow"], True), ("ECDHE+AESGCM", "good", [], True)])
def test_ciphers_for_the_kind_of_key(files, ciphers, key, more, good):
    pairs = [{"certificate": f"{name}.pem", "key": f"{name}.key"} for name in (key, *more)]
    tls = {**pairs[0], "ciphers": ciphers, **({"more_certificates": pairs[1:]} if more else {})}
    code, said = run(files, "--check", tls)
    assert code == 0 and said_about(files, said, f'"{ciphers}"') == ([] if good else [
        "warning: 'ciphers': none of them is for the kind of key that the certificates have: clients with TLS 1.2 cannot "
        "connect"]), said


def test_keys_of_crossbar_and_other_endpoints(files):
    assert run(files, "--check", {**GOOD, "dhparam": "x"})[0] == 0
    config = tls_config(None, GOOD, cryptosign=False)
    config["transports"][0]["endpoint"] = {"type": "unix", "path": "x.sock", "tls": GOOD}
    (files / "check.yaml").write_text(json.dumps(config))
    code, said = run(files, "--check", None)
    assert code == 78 and "'tls' is for endpoints of type tcp" in said


def test_credentials_that_this_process_may_not_read(files):
    """systemd hides a unit's credentials from its ExecReload=, which runs --check."""
    # root may read everything unless it drops its capabilities
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    (files / "hidden").mkdir(0, exist_ok=True)
    env = ["env", f"CREDENTIALS_DIRECTORY={files}/hidden", *drop]
    user = pwd.getpwuid(os.geteuid()).pw_name
    hidden = f"{files}/hidden/x"
    for tls in [{**GOOD, "key": hidden}, {**GOOD, "certificate": hidden}, {**GOOD, "chain_certificates": [hidden]},
                {**GOOD, "ca_certificates": [hidden]}, {**GOOD, "more_certificates": [{**GOOD, "key": hidden}]}]:
        code, said = run(files, "--check", tls, env)
        assert code == 0 and said_about(files, said, f'"{hidden}"') == [
            f"warning: {hidden}: Permission denied: this credential is not checked"], said
        code, said = run(files, "-c", None, env)
        assert code == 78 and "this credential is not checked" in said and "cannot use" not in said, said
    # other folders are not excused, and the message names the user
    code, said = run(files, "--check", {**GOOD, "key": hidden}, drop)
    assert code == 78 and said_about(files, said, f'"{hidden}"') == [
        f"{hidden}: Permission denied: routerd runs as user {user}, who may not read this file, or not enter its folder: "
        f"chown {user}: FILE"], said
    os.rmdir(files / "hidden")


# --- what the log says ----------------------------------------------------------------------


def test_the_log_names_each_certificate(files, folder, start_routerd):
    for name in "good", "second":
        for kind in "pem", "key":
            shutil.copy(files / f"{name}.{kind}", folder)
    second = {"certificate": "second.pem", "key": "second.key"}
    routerd = start_routerd(tls_config(None, {**GOOD, "more_certificates": [second]}, cryptosign=False))
    for name, names in ("good", "localhost,127.0.0.1,::1"), ("second", "localhost"):
        (line,) = re.findall(f"public certificate loaded file={name}.pem .*", routerd.log())
        assert re.fullmatch(rf".* names={names} expires=20\d\d-\d\d-\d\dT\S+Z", line)


def days(routerd):
    return int(re.findall(r"listener=public .*certificate_days=(\d+)", routerd.log_counters())[-1])


def test_a_certificate_expires_while_routerd_runs(authority, start_routerd):
    """Each warning comes when it becomes true, once."""
    seconds = 3 * SLOW
    good = authority.make_for("good", 100 * 86400 + 3600)
    old = authority.make_for("old", -9)
    ageing = authority.make_for("ageing", 14 * 86400 + seconds)
    routerd = start_routerd(tls_config(authority, {**good, "more_certificates": [ageing]}, cryptosign=False), name="a")
    assert days(routerd) == 14
    routerd.wait_log(r"warn  public certificate expires soon: replace it and restart routerd file=ageing.pem "
                     r"names=localhost expires=20\S+Z\n", 10 * SLOW)
    assert days(routerd) == 13

    dying = authority.make_for("dying", seconds)
    second = start_routerd(tls_config(authority, {**good, "more_certificates": [dying, old]}, cryptosign=False), name="b")
    second.wait_log(r"warn  public certificate has expired: replace it and restart routerd file=dying.pem "
                    r"names=localhost expires=20\S+Z\n", 10 * SLOW)
    assert days(second) == 0
    for name in "dying.pem: this certificate expires soon", "old.pem: this certificate expired at":
        assert second.log().count(name) == 1
    for daemon in routerd, second:
        assert len(re.findall("public certificate (expires|has)", daemon.log())) == 1


def test_only_transports_with_tls_count_days(start_routerd):
    assert "certificate_days" not in start_routerd(cryptosign=False).log_counters()


def test_a_reload_says_that_new_certificates_need_a_restart(authority, folder, start_routerd):
    """The old ones are used until then."""
    routerd = start_routerd(tls_config(authority, {**authority.server(), "ca_certificates": ["ca.pem"],
                                                   "client_certificates": "optional"}, cryptosign=False))

    def reload(what):
        before = len(re.findall(f"reload {what}", routerd.log()))
        routerd.signal(signal.SIGHUP)
        wait_for(lambda: len(re.findall(f"reload {what}", routerd.log())) > before, "the reload")

    def serial():
        with authority.trust().wrap_socket(socket.create_connection(("127.0.0.1", routerd.port())),
                                           server_hostname="localhost") as s:
            return s.getpeercert()["serialNumber"]

    before = serial()
    reload("done")
    assert "certificates of transport" not in routerd.log()
    # between the new certificate and its key, the pair does not fit: the reload is refused
    key = (folder / "server.key").read_bytes()
    authority.server()
    new_key = (folder / "server.key").read_bytes()
    (folder / "server.key").write_bytes(key)
    fds = routerd.fds()
    reload("refused")
    wait_for(lambda: routerd.fds() == fds, "the descriptors of the reload to be closed")
    assert "server.key: this is not the key of the certificate server.pem" in routerd.log()
    assert serial() == before
    (folder / "server.key").write_bytes(new_key)
    reload("done")
    assert re.search('restart routerd to apply the other changes changed="certificates of transport public"', routerd.log())
    assert serial() == before
    routerd.stop()
    routerd.start()
    assert serial() != before


# --- what clients see -----------------------------------------------------------------------


def s_client(routerd, *argv, name="localhost", cwd=None, text=""):
    """What openssl says about a connection; None if the handshake failed."""
    names = ["-servername", name] if name else ["-noservername"]
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{routerd.port()}", *names, *argv],
                          input=text, capture_output=True, text=True, cwd=cwd, timeout=20 * SLOW)
    return done.stdout if done.returncode == 0 else None


def test_groups(authority, start_routerd):
    # with TLS 1.2, an ECDSA key would have to be of a group of the client, too
    server = authority.make("server", "DNS:localhost", kind="rsa")
    routerd = start_routerd(tls_config(authority, {**server, "groups": "P-384:X25519"}, cryptosign=False))
    for version in "-tls1_2", "-tls1_3":
        for offered, used in [("X25519", "X25519"), ("P-256:P-384", "secp384r1"), ("P-256", None)]:
            said = s_client(routerd, version, "-groups", offered)
            assert said is None if used is None else re.search(f"Server Temp Key: .*{used}", said or ""), (version, offered)
    wait_for(lambda: routerd.log().count("tls handshake failed") == 2, "the log lines")
    for reason in "no shared cipher", "no suitable key share":
        assert f'from=us reason="{reason}"' in routerd.log()


def test_default_groups(tls_routerd):
    for offered, used in ("X25519", "X25519"), ("P-256", "prime256v1"):
        assert re.search(f"Server Temp Key: .*{used}", s_client(tls_routerd, "-groups", offered))


def test_ciphers(authority, start_routerd):
    config = tls_config(authority, {**authority.server(), "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"},
                        cryptosign=False)
    routerd = start_routerd(config)
    for offered, used in [("ALL", "ECDHE-ECDSA-"), ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
                                                    "ECDHE-ECDSA-AES256-GCM-SHA384"),
                          ("ECDHE-ECDSA-AES128-GCM-SHA256", None)]:
        said = s_client(routerd, "-tls1_2", "-cipher", offered)
        assert said is None if used is None else f"Cipher is {used}" in said
    routerd.wait_log('tls handshake failed .* from=us reason="no shared cipher"')
    # those of TLS 1.3 are not concerned
    assert "Cipher is TLS_AES_128_GCM_SHA256" in s_client(routerd, "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256")


@pytest.mark.parametrize("offered", ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256",
                                     "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-CCM"])
def test_default_ciphers(tls_routerd, offered):
    """Only ECDHE with AEAD, and of these only AES-GCM and ChaCha20."""
    assert s_client(tls_routerd, "-tls1_2", "-cipher", offered) is None
    tls_routerd.wait_log('tls handshake failed .* from=us reason="no shared cipher"')


def test_chain(authority, folder, start_routerd, open_tls):
    """Clients that know only the root need the rest of the chain, from one file or several."""
    last = authority.intermediate("middle").intermediate("last")
    leaf = last.make("leaf", "DNS:localhost")
    (folder / "full.pem").write_bytes(b"".join((folder / f"{n}.pem").read_bytes() for n in ("leaf", "last", "middle")))
    # an editor may have added a byte order mark
    (folder / "rest.pem").write_bytes(b"\xef\xbb\xbf" + b"".join((folder / f"{n}.pem").read_bytes() for n in ("last", "middle")))
    for number, tls in enumerate([{**leaf, "certificate": "full.pem"}, {**leaf, "chain_certificates": ["last.pem", "middle.pem"]},
                                  {**leaf, "chain_certificates": ["rest.pem"]}]):
        routerd = start_routerd(tls_config(authority, tls, cryptosign=False), name=f"r{number}")
        said = s_client(routerd, "-showcerts", "-CAfile", str(authority.path), "-verify_return_error")
        assert said.count("BEGIN CERTIFICATE") == 3 and "Verify return code: 0 (ok)" in said
        assert [s.strip() for s in re.findall(r"^ \d s:(.*)", said, re.M)] == ["CN = leaf", "CN = Test last", "CN = Test middle"]
        open_tls(routerd).join()
    routerd = start_routerd(tls_config(authority, leaf, cryptosign=False), name="short")
    assert s_client(routerd, "-CAfile", str(authority.path), "-verify_return_error") is None
    routerd.wait_log('tls handshake failed .* from=peer reason=".*unknown ca')


@pytest.mark.parametrize("kind", ["p384", "ed25519", "rsa", "rsa_pss"])
def test_kinds_of_keys(authority, start_routerd, open_tls, kind):
    routerd = start_routerd(tls_config(authority, authority.make("server", "DNS:localhost", kind=kind), cryptosign=False))
    for version in VERSIONS:
        open_tls(routerd, version=version).join()


def test_the_first_certificate_for_a_name_is_used(authority, start_routerd):
    more = [authority.make("all", "DNS:*.example.com"), authority.make("late", "DNS:b.example.com")]
    first = authority.make("first", "DNS:a.example.com")
    routerd = start_routerd(tls_config(authority, {**first, "more_certificates": more}, cryptosign=False))
    for name, subject in ("a.example.com", "first"), ("A.EXAMPLE.COM", "first"), ("b.example.com", "all"), \
            ("x.example.com", "all"), ("x.y.example.com", "first"), ("example.com", "first"):
        assert f"subject=CN = {subject}\n" in s_client(routerd, name=name)


def test_the_longest_chain(authority, start_routerd, open_tls):
    fat = authority.make("fat", "DNS:localhost", extensions=["nsComment=" + "x" * (39 << 10)])
    tls = {**fat, "ca_certificates": ["ca.pem"], "client_certificates": "optional"}
    routerd = start_routerd(tls_config(authority, tls, cryptosign=False))
    for version in VERSIONS:
        open_tls(routerd, version=version).join()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_names_and_protocols(authority, start_routerd, version):
    """Each SNI gets its certificate, whatever ALPN says, and the kind of key that the client knows."""
    first = authority.make("a", "DNS:a.example.com")
    second, its_rsa = authority.make("b", "DNS:b.example.com"), authority.make("b_rsa", "DNS:b.example.com", kind="rsa")
    routerd = start_routerd(tls_config(authority, {**first, "more_certificates": [second, its_rsa]}, cryptosign=False))
    refused = 0
    for name, subject in ("a.example.com", "a"), ("b.example.com", "b"), ("c.example.com", "a"), (None, "a"):
        for offered, chosen in (None, None), ("http/1.1", "http/1.1"), ("h2,http/1.1", "http/1.1"), ("h2", False):
            said = s_client(routerd, version, *(["-alpn", offered] if offered else []), name=name)
            if chosen is False:
                assert said is None
                refused += 1
                continue
            assert f"subject=CN = {subject}\n" in said
            assert (f"ALPN protocol: {chosen}" if chosen else "No ALPN negotiated") in said
    # a client that knows only RSA
    said = s_client(routerd, version, "-sigalgs", "rsa_pss_rsae_sha256", name="b.example.com")
    assert "subject=CN = b_rsa\n" in said and "Peer signature type: RSA-PSS" in said
    assert s_client(routerd, version, "-sigalgs", "rsa_pss_rsae_sha256", name="a.example.com") is None
    refused += 1
    wait_for(lambda: routerd.log().count("tls handshake failed") == refused, "the log lines")
    for name in "a.example.com", "b.example.com", "c.example.com", "none":
        assert f'sni={name} from=us reason="no application protocol"' in routerd.log()
    assert routerd.total("closed_tls_failed") == refused


# --- client certificates --------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_client_certificate_stands_in_the_file(authority, folder, start_routerd, open_tls, version):
    """Its authority is unknown. Another certificate of this authority is refused, and so are a self-signed one
    and one that has expired, even if it stands there, too."""
    stranger = Authority(folder, "stranger")  # its certificate is self-signed
    for name in "known", "unknown":
        stranger.make(name)
    stranger.make_expired("late")
    stranger.make("server_only", extensions=["extendedKeyUsage=serverAuth"])
    tls = {**authority.server(), "ca_certificates": ["known.pem", "late.pem", "server_only.pem"], "client_certificates": "required"}
    routerd = start_routerd(tls_config(authority, tls, cryptosign=False))
    open_tls(routerd, context=authority.trust(version, "known")).join()
    reasons = {"unknown": "unable to get local issuer certificate", "stranger": "self-signed certificate",
               "late": "certificate has expired", "server_only": "unsuitable certificate purpose"}
    for name in reasons:
        with pytest.raises((ssl.SSLError, rawclient.Closed, ConnectionError)):
            open_tls(routerd, context=authority.trust(version, name))
    wait_for(lambda: routerd.log().count("tls handshake failed") == len(reasons), "the log lines")
    for reason in reasons.values():
        assert routerd.log().count(f'from=us reason="certificate verify failed: {reason}"') == 1
    open_tls(routerd, context=authority.trust(version, "known")).join()


def test_many_client_certificates_stand_in_the_file(authority, folder, start_routerd, open_tls):
    """Their names alone are longer than what a handshake can carry, so clients are not sent them."""
    authority.make("known")
    texts = [make_named(authority, number) for number in range(300)]
    (folder / "many.pem").write_bytes(b"".join(texts) + (folder / "known.pem").read_bytes())
    tls = {**authority.server(), "ca_certificates": ["many.pem"], "client_certificates": "required"}
    routerd = start_routerd(tls_config(authority, tls, cryptosign=False))
    for version in VERSIONS:
        open_tls(routerd, context=authority.trust(version, "known")).join()
    assert "No client certificate CA names sent" in s_client(routerd, "-tls1_2", "-cert", "known.pem", "-key", "known.key",
                                                             cwd=folder)


def test_few_names_are_sent(authority, folder, start_routerd):
    """A browser offers its user only the certificates that fit."""
    other = Authority(folder, "other")
    other.make("known")
    tls = {**authority.server(), "ca_certificates": ["ca.pem", "other.pem"], "client_certificates": "optional"}
    routerd = start_routerd(tls_config(authority, tls, cryptosign=False))
    assert "Acceptable client certificate CA names\nCN = Test ca\nCN = Test other\n" in s_client(routerd)


# --- the wrong protocol, and counters -------------------------------------------------------


@pytest.mark.parametrize("after", ["half", "server_hello"])
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_client_hangs_up(authority, start_routerd, version, after):
    """It may not like the certificate, and sends no alert."""
    routerd = start_routerd(tls_config(authority, cryptosign=False))
    out, context = ssl.MemoryBIO(), authority.trust(version)
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = out.read()
    with socket.create_connection(("127.0.0.1", routerd.port()), 10) as s:
        if after == "half":
            s.sendall(hello[:50])
            wait_for(lambda: routerd.total("tls_handshakes_started") == 1, "the handshake to begin")
        else:
            s.sendall(hello)
            assert s.recv(1) == b"\x16"
    routerd.wait_log(rf'tls handshake failed peer=tcp4:\S+ listener=public sni={"none" if after == "half" else "localhost"} '
                     'from=peer reason="the client has ended the connection"')
    assert routerd.log().count("tls handshake failed") == routerd.total("closed_tls_failed") == 1


def test_the_log_quotes_the_name_that_the_client_sends(tls_routerd):
    assert s_client(tls_routerd, "-alpn", "h2", name='x" reason="y\n') is None
    tls_routerd.wait_log(r'sni=x\\x22\\x20reason\\x3d\\x22y\\x0a from=us reason="no application protocol" suppressed=0\n')


def test_a_connection_without_a_byte_is_no_failure(tls_routerd):
    """Proxies and other programs check a port in this way."""
    socket.create_connection(("127.0.0.1", tls_routerd.port()), 10).close()
    wait_for(lambda: tls_routerd.total("connections_freed") == 1, "the end")
    assert "tls" not in tls_routerd.log().split("counters")[0].split("ready")[1]


def test_no_renegotiation_no_early_data(tls_routerd):
    assert s_client(tls_routerd, "-tls1_2", text="R\n") is None
    # the client waits for the answer, so it has read the ticket
    said = s_client(tls_routerd, "-tls1_3", "-ign_eof", text="GET / HTTP/1.0\r\n\r\n")
    assert "Compression: NONE" in said and "Max Early Data: 0" in said


def test_plain_http_gets_an_answer_in_clear(tls_routerd):
    with socket.create_connection(("127.0.0.1", tls_routerd.port()), 10) as s:
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = s.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request") and b"Connection: close" in head
    assert body.strip() == b"This port speaks TLS: use https or wss."


def test_a_full_listener_says_nothing_in_clear(authority, start_routerd, open_tls):
    config = tls_config(authority, type="rawsocket", cryptosign=False)
    config["transports"][0]["options"] = {"max_connections": 1}
    routerd = start_routerd(config)
    client = open_tls(routerd, rawclient.RawSocket)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", routerd.port()), 10) as s:
            try:
                assert s.recv(4) == b""
            except ConnectionResetError:
                pass
    assert int(re.findall(r"listener=public .*refused=(\d+)", routerd.log_counters())[-1]) == 3
    client.join()


def test_too_many_waiting_handshakes(authority, start_routerd, open_tls):
    """They cost 1 ms each until the first has been measured. More than 4 s of them: new connections are closed at once."""
    config = tls_config(authority, cryptosign=False, limits={"handshakes": 1})
    config["transports"][0]["options"] = {"open_handshake_timeout": 60000}
    routerd = start_routerd(config)
    waiting = []
    try:
        for _ in range(2400):
            waiting.append(socket.create_connection(("127.0.0.1", routerd.port())))
            with contextlib.suppress(ConnectionError):  # a refused one
                waiting[-1].sendall(b"\x16")
        wait_for(lambda: routerd.total("tls_refused") > 0, "the refusal")
    finally:
        for s in waiting:
            s.close()
    wait_for(lambda: routerd.total("connections") == 0, "the connections to end", 20)
    open_tls(routerd).join()
