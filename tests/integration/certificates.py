# SPDX-License-Identifier: Apache-2.0
"""Makes certificates with the command openssl, and contexts of Python's ssl that check them."""

import ssl
import subprocess

KINDS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}


class Authority:
    """A certificate authority of a test. Its files are in the folder: NAME.pem, NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        self.serial = 0
        self._openssl(name, f"/CN=Test {name}", [], "ecdsa", 30, [])

    def _openssl(self, name, subject, extensions, kind, days, more):
        argv = ["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-noenc", "-keyout", f"{name}.key",
                "-out", f"{name}.pem", "-subj", subject, "-days", str(days), *more]
        for extension in extensions:
            argv += ["-addext", extension]
        subprocess.run(argv, cwd=self.folder, check=True, capture_output=True)
        (self.folder / f"{name}.key").chmod(0o600)

    @property
    def path(self):
        return self.folder / f"{self.name}.pem"

    def make(self, name, *hosts, subject=None, kind="ecdsa", days=30):
        """A certificate for these hosts, or of a client. Returns the keys of `tls` in a configuration."""
        self.serial += 1
        names = [f"subjectAltName={','.join(hosts)}"] if hosts else []
        more = ["-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", "-set_serial", str(self.serial)]
        self._openssl(name, subject or f"/CN={name}", ["basicConstraints=critical,CA:FALSE", *names], kind, days, more)
        return {"certificate": f"{name}.pem", "key": f"{name}.key"}

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


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
