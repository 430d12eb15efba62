# SPDX-License-Identifier: Apache-2.0
"""Certificates, made with the command openssl, and the fixtures of tests that need them."""

import datetime
import ssl
import subprocess

import pytest
import rawclient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from utils import router_config

KINDS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
         "ed25519": ["ed25519"], "rsa": ["rsa:2048"], "slow": ["rsa:4096"], "weak": ["rsa:1024"],
         "rsa_pss": ["rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"]}


class Authority:
    """A certificate authority of a test. Its files are in the folder: NAME.pem, NAME.key."""

    def __init__(self, folder, name="ca", parent=None):
        self.folder = folder
        self.name = name
        self.serial = 0
        self._openssl(name, f"/CN=Test {name}", [], "ecdsa", 30, parent._signed() if parent else [])

    def intermediate(self, name):
        """An authority whose certificate this one has signed."""
        return Authority(self.folder, name, self)

    def _openssl(self, name, subject, extensions, kind, days, more):
        argv = ["openssl", "req", "-x509", "-utf8", "-newkey", *KINDS[kind], "-noenc", "-keyout", f"{name}.key",
                "-out", f"{name}.pem", "-subj", subject, "-days", str(days), *more]
        for extension in extensions:
            argv += ["-addext", extension]
        subprocess.run(argv, cwd=self.folder, check=True, capture_output=True)
        (self.folder / f"{name}.key").chmod(0o600)

    @property
    def path(self):
        return self.folder / f"{self.name}.pem"

    def _signed(self):
        """The options of openssl for a certificate that this authority signs."""
        self.serial += 1
        return ["-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", "-set_serial", str(self.serial)]

    def make(self, name, *hosts, subject=None, kind="ecdsa", days=30, extensions=()):
        """A certificate for these hosts, or of a client. Returns the keys of `tls` in a configuration."""
        names = [f"subjectAltName={','.join(hosts)}"] if hosts else []
        self._openssl(name, subject or f"/CN={name}", ["basicConstraints=critical,CA:FALSE", *names, *extensions], kind, days,
                      self._signed())
        return {"certificate": f"{name}.pem", "key": f"{name}.key"}

    def _remake(self, name, days, *names, since=-9, subject=None, extensions=()):
        """Makes a certificate that openssl cannot make. It is valid from `since` to `days`, in days from now.
        Returns its DER. extensions: (number as text, bytes)."""
        self.make(name)
        load = serialization.load_pem_private_key
        own, ca = (load((self.folder / f"{n}.key").read_bytes(), None) for n in (name, self.name))
        now = datetime.datetime.utcnow()
        issuer = x509.load_pem_x509_certificate(self.path.read_bytes()).subject
        if subject is None:
            subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(own.public_key())
        made = made.serial_number(1000).not_valid_before(now + datetime.timedelta(since))
        made = made.not_valid_after(now + datetime.timedelta(days))
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for number, value in extensions:
            made = made.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(number), value), critical=False)
        made = made.sign(ca, hashes.SHA256())
        (self.folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return made.public_bytes(serialization.Encoding.DER)

    def make_expired(self, name, *hosts):
        """Like make, but the certificate expired yesterday."""
        self._remake(name, -1, *map(x509.DNSName, hosts))

    def make_for(self, name, seconds):
        """A certificate for localhost that expires so many seconds from now."""
        self._remake(name, seconds / 86400, x509.DNSName("localhost"))
        return {"certificate": f"{name}.pem", "key": f"{name}.key"}

    def make_early(self, name):
        """A certificate for localhost that becomes valid tomorrow."""
        self._remake(name, 30, x509.DNSName("localhost"), since=1)

    def make_with(self, name, *names, **kw):
        """Like make, with any subject, names and extensions: see _remake. Returns the DER."""
        return self._remake(name, 30, *names, **kw)

    def make_with_size(self, name, size):
        """Like make, with a DER of so many bytes."""
        filling = size - 400
        while (missing := size - len(self.make_with(name, extensions=[("1.2.3.4", bytes(filling))]))) != 0:
            # the length of the signature is left to chance
            filling += missing

    def make_with_many_names(self, name, host, n):
        """A certificate with n names of a kind that is of no use to us, and then a host."""
        self._remake(name, 30, *[x509.RegisteredID(x509.ObjectIdentifier("1.2"))] * n, x509.DNSName(host))

    def server(self):
        return self.make("server", "DNS:localhost", "IP:127.0.0.1")

    def trust(self, version=None, client=None, ciphers=None):
        """An SSLContext that trusts this authority; client: the name of a certificate to show."""
        context = ssl.create_default_context(cafile=str(self.path))
        if version:
            context.minimum_version = context.maximum_version = version
        if client:
            context.load_cert_chain(self.folder / f"{client}.pem", self.folder / f"{client}.key")
        if ciphers:
            context.set_ciphers(ciphers)
        return context


def make_named(authority, number):
    """A certificate, as PEM, with a long subject that contains this number."""
    key = serialization.load_pem_private_key((authority.folder / f"{authority.name}.key").read_bytes(), None)
    name = x509.Name([x509.NameAttribute(kind, f"{number:064}") for kind in
                      (x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME, x509.NameOID.ORGANIZATIONAL_UNIT_NAME)])
    issuer = x509.load_pem_x509_certificate(authority.path.read_bytes()).subject
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def authority(folder):
    return Authority(folder)


def tls_config(authority, tls=None, type="universal", threads=1, **kw):
    config = router_config(threads=threads, **kw)
    listener = config["transports"][0]
    listener["type"] = type
    if type == "rawsocket":
        listener.pop("paths")
    listener["endpoint"]["tls"] = tls or authority.server()
    return config


@pytest.fixture
def tls_routerd(authority, start_routerd, threads):
    return start_routerd(tls_config(authority, threads=threads, cryptosign=False))


@pytest.fixture
def open_tls(clients, authority):
    """open_tls(routerd, transport=Ws, **kw) -> a rawclient.Client over TLS that has not joined."""

    def go(routerd, transport=rawclient.Ws, serializer="json", version=None, context=None, listener=0, **kw):
        context = context or authority.trust(version)
        client = rawclient.Client(**routerd.address(listener), serializer=serializer, transport=transport,
                                  tls=context, **kw)
        clients.append(client)
        return client

    return go
