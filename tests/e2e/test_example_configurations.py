# SPDX-License-Identifier: GPL-2.0-or-later
"""The configurations in swanctl-conf/ do what they say: they load, and clients get in."""

import shutil

from ivotest import ping
from ivotest.paths import TOP
from ivotest.swanctl import eap_password


def test_gateway_eap_mschapv2(lab):
    """Only the gateway's name, the account and the addresses behind it are the lab's, as an operator would put in."""
    gateway = lab.gateway().start()
    client = lab.client("alice", behind=lab.nat())
    certificate, key = lab.pki.gateway()
    shutil.copy(certificate, gateway.charon.swanctl_folder / "x509" / "gateway.pem")
    shutil.copy(key, gateway.charon.swanctl_folder / "private" / "gateway.pem")
    text = (TOP / "swanctl-conf" / "gateway-eap-mschapv2" / "swanctl.conf").read_text(encoding="utf-8")
    for example, own in (("gateway.example.org", "mschapv2.gw.ivo.test"), ("alice@example.org", "alice@ivo.test"),
                         ("change this", eap_password("alice"))):
        assert text.count(example) == 1
        text = text.replace(example, own)
    file = gateway.charon.swanctl_folder / "example.conf"
    file.write_text(text, encoding="utf-8")
    loaded = gateway.swanctl("--load-all", "--clear", "--noprompt", "--file", str(file))
    assert "loaded connection 'eap-mschapv2'" in loaded.stdout and "loading" not in loaded.stderr
    client.start()
    client.connects()
    assert client.inner_address().startswith("10.96.") and client.inner_address(family=6).startswith("fd00:96::")
    assert gateway.sa_of(client).name == "eap-mschapv2"
    # The way back from behind the gateway, whose address there is .1 (ivotest/lab.py).
    lab.lan.namespace.ip("route add 10.96.0.0/16 via 192.0.2.1")
    with ping(client, lab.lan) as p:
        p.wait_sent(10)
    assert p.lost == 0
