# SPDX-License-Identifier: GPL-2.0-or-later
"""A throw-away PKI, made once a run with strongSwan's own `pki`: a CA, a certificate for gateways, one for
each client.
"""

from pathlib import Path

from .namespaces import run

DOMAIN = "ivo.test"


class Pki:
    """Certificates and keys as files; a client's are made when first asked for."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_key = self._key("ca")
        self.ca = self.folder / "ca-cert.pem"
        if not self.ca.exists():
            self._write(self.ca, "pki", "--self", "--ca", "--in", self.ca_key, "--type", "priv",
                        "--lifetime", "30", "--dn", "C=CH, O=IVO tests, CN=IVO test CA", "--outform", "pem")

    def gateway(self):
        """Certificate and key with one name for each kind of client (see swanctl.GATEWAY_NAMES)."""
        return self._issue("gateway", f"C=CH, O=IVO tests, CN=gw.{DOMAIN}",
                           ["--san", f"gw.{DOMAIN}",
                            *(word for name in ("mschapv2", "md5", "tls", "cert", "psk", "radius", "gtc")
                              for word in ("--san", f"{name}.gw.{DOMAIN}")),
                            "--flag", "serverAuth", "--flag", "ikeIntermediate"])

    def client(self, name):
        """Certificate and key of the client with this name; its subjectAltName is name@ivo.test."""
        return self._issue(name, f"C=CH, O=IVO tests, CN={name}",
                           ["--san", f"{name}@{DOMAIN}", "--flag", "clientAuth"])

    def _issue(self, name, subject, options):
        key = self._key(name)
        certificate = self.folder / f"{name}-cert.pem"
        if not certificate.exists():
            public = self.folder / f"{name}-pub.pem"
            self._write(public, "pki", "--pub", "--in", key, "--type", "priv", "--outform", "pem")
            self._write(certificate, "pki", "--issue", "--cacert", self.ca, "--cakey", self.ca_key,
                        "--type", "pub", "--in", public, "--lifetime", "20", "--dn", subject,
                        "--outform", "pem", *options)
        return certificate, key

    def _key(self, name):
        """ECDSA keys: made in milliseconds, and every step of the handshake is as with RSA."""
        key = self.folder / f"{name}-key.pem"
        if not key.exists():
            self._write(key, "pki", "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
        return key

    @staticmethod
    def _write(path, *argv):
        output = run(*argv).stdout
        path.touch(mode=0o600)
        path.write_text(output, encoding="ascii")
