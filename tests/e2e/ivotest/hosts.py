# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines of a lab: gateway, client, and plain hosts, each a namespace, the first two with a charon."""

from . import swanctl
from .settings import merge_settings
from .wait import wait_until


class Host:
    """A namespace with one IPv4 and one IPv6 address."""

    def __init__(self, lab, namespace, address4, address6):
        self.lab = lab
        self.namespace = namespace
        self.address4 = str(address4)
        self.address6 = str(address6)

    def __repr__(self):
        return f"<{type(self).__name__.lower()} {self.namespace.name}>"

    def address(self, family=4):
        return self.address6 if family == 6 else self.address4


class Lan(Host):
    """The host behind the gateway that clients reach through the tunnel."""


class IpsecHost(Host):
    """A host with a charon."""

    def __init__(self, lab, namespace, address4, address6, charon):
        super().__init__(lab, namespace, address4, address6)
        self.charon = charon
        self.config = {}

    @property
    def swanctl(self):
        return self.charon.swanctl

    def start(self):
        """Start charon and load self.config."""
        self.charon.start(survive=self.lab.keep)
        self.load()
        return self

    def load(self):
        """Load self.config again (`swanctl --load-all`)."""
        return self.swanctl.load_all(self.config)

    def configure(self, changes):
        """Merge changes into the configuration (None removes a key) and load it if charon runs."""
        self.config = merge_settings(self.config, changes)
        if self.charon.is_running():
            self.load()

    def list_sas(self, *arguments):
        return self.swanctl.list_sas(*arguments)


class Gateway(IpsecHost):
    """A gateway charon that serves every kind of client at once."""

    def __init__(self, lab, namespace, addresses4, addresses6, charon, pools, lan_networks):
        super().__init__(lab, namespace, addresses4[0], addresses6[0], charon)
        self.addresses4 = [str(address) for address in addresses4]
        self.addresses6 = [str(address) for address in addresses6]
        certificate, key = lab.pki.gateway()
        self.swanctl.add_credentials([lab.pki.ca], certificate, key)
        self.config = {
            "connections": {auth: self._connection(auth, certificate.name, lan_networks)
                            for auth in swanctl.AUTHENTICATIONS if auth != "eap-radius"},
            "pools": {f"pool{family}": {"addrs": pool} for family, pool in pools.items()},
            "secrets": {"ike-psk": {"id": swanctl.gateway_name("psk"), "secret": swanctl.PSK}},
        }

    @staticmethod
    def _connection(auth, certificate, lan_networks):
        remote = {"auth": auth}
        if auth.startswith("eap-"):
            remote["eap_id"] = "%any"
        if auth == "pubkey":
            remote["cacerts"] = "ca-cert.pem"
        local = {"auth": "psk" if auth == "psk" else "pubkey", "id": swanctl.gateway_name(auth)}
        if auth != "psk":
            local["certs"] = certificate
        return {
            "version": 2,
            "proposals": swanctl.IKE_PROPOSALS,
            "pools": ["pool4", "pool6"],
            "send_cert": "always",
            # Far beyond a test: what rekeys, does so because the test says so.
            "rekey_time": "24h",
            "local": local,
            "remote": remote,
            "children": {"net": {"local_ts": lan_networks, "esp_proposals": swanctl.ESP_PROPOSALS,
                                 "rekey_time": "12h"}},
        }

    def add_secret(self, name):
        """Let a client in by password; loaded at once if charon runs."""
        identity = swanctl.client_identity(name)
        self.configure({"secrets": {f"eap-{name}": {"id": identity, "secret": swanctl.eap_password(name)}}})

    def sas_of(self, client):
        """The client's IKE_SAs as the gateway sees them."""
        identity = swanctl.client_identity(client.name)
        return [sa for sa in self.list_sas()
                if identity in (sa.remote_eap_id, sa.remote_id) or sa.remote_id.endswith(f"CN={client.name}")]

    def sa_of(self, client):
        """The client's only established IKE_SA as the gateway sees it."""
        return _only_established(self.sas_of(client), f"{self} has for {client.name}")

    def rekeys_child(self, client):
        """Rekey the client's CHILD_SA from this side; returns the new one once both ends use it."""
        old = self.sa_of(client).child
        return client.sees_new_child(lambda: self.swanctl("--rekey", "--child-id", str(old.unique_id)))

    def rekeys_ike(self, client):
        """Rekey the client's IKE_SA from this side; returns the new one once both ends have only that."""
        old = self.sa_of(client)
        return client.sees_new_ike(lambda: self.swanctl("--rekey", "--ike-id", str(old.unique_id)))

    def redirects(self, client, address):
        """Ask the client to go to another gateway address; returns at once."""
        self.swanctl("--redirect", "--ike-id", str(self.sa_of(client).unique_id), "--gateway", address)


class Client(IpsecHost):
    """A road warrior with one connection to the gateway, named `gw`, with one child, named `net`."""

    def __init__(self, lab, namespace, name, address4, address6, charon, nat, gateway, auth, over, families,
                 lan_networks):
        super().__init__(lab, namespace, address4, address6, charon)
        self.name = name
        self.nat = nat
        self.gateway = gateway
        self.auth = auth
        self.over = over
        self.families = families
        certificate, key = None, None
        local = {"auth": auth if auth != "eap-radius" else "eap"}
        secrets = {}
        identity = swanctl.client_identity(name)
        if auth in ("eap-tls", "pubkey"):
            certificate, key = lab.pki.client(name)
            local["certs"] = certificate.name
        if auth.startswith("eap-"):
            # The identity goes through the encrypted channel, after the gateway has shown its certificate.
            local["eap_id"] = identity
        else:
            local["id"] = identity
        if auth == "psk":
            secrets["ike-psk"] = {"id": swanctl.gateway_name("psk"), "secret": swanctl.PSK}
        elif auth.startswith("eap-") and auth != "eap-tls":
            secrets[f"eap-{name}"] = {"id": identity, "secret": swanctl.eap_password(name)}
        self.swanctl.add_credentials([lab.pki.ca], certificate, key)
        self.config = {
            "connections": {"gw": {
                "version": 2,
                "proposals": swanctl.IKE_PROPOSALS,
                "remote_addrs": gateway.address(over),
                "vips": ["0.0.0.0", "::"],
                "rekey_time": "24h",
                "local": local,
                "remote": {"auth": "psk" if auth == "psk" else "pubkey", "id": swanctl.gateway_name(auth)},
                "children": {"net": {"remote_ts": lan_networks, "esp_proposals": swanctl.ESP_PROPOSALS,
                                     "rekey_time": "12h"}},
            }},
            "secrets": secrets,
        }

    def connects(self, timeout=20):
        """Bring the tunnel up; returns the client's IKE_SA once both ends have it with inner addresses."""
        self.swanctl("--initiate", "--child", "net", "--timeout", str(timeout), timeout=timeout + 10)
        sa = self.sa()
        if not sa.local_vips:
            raise AssertionError(f"{self} got no inner address\n{self.charon.tail()}")
        # The gateway installs the CHILD_SA before it answers, but its list shows it a moment later.
        wait_until(lambda: self.gateway.sa_of(self).child, f"the gateway lists the tunnel of {self.name}", 5,
                   watch=(self.gateway.charon,))
        return sa

    def disconnects(self):
        """Take the tunnel down by a DELETE; returns once both ends have forgotten it."""
        self.swanctl("--terminate", "--ike", "gw", "--timeout", "10")
        wait_until(lambda: not self.gateway.sas_of(self), f"the gateway forgets {self.name}", 5,
                   watch=(self.gateway.charon,))

    def sa(self):
        """The client's only established IKE_SA as it sees it itself."""
        return _only_established(self.list_sas(), f"{self} has")

    def inner_address(self, family=4):
        """The address that the gateway assigned."""
        for address in self.sa().local_vips:
            if (":" in address) == (family == 6):
                return address
        raise AssertionError(f"{self} has no inner IPv{family} address")

    def rekeys_child(self):
        """Rekey the CHILD_SA from the client; returns the gateway's new one once both ends use it."""
        return self.sees_new_child(lambda: self.swanctl("--rekey", "--child", "net"))

    def rekeys_ike(self):
        """Rekey the IKE_SA from the client; returns the gateway's new one once both ends have only that."""
        return self.sees_new_ike(lambda: self.swanctl("--rekey", "--ike", "gw"))

    def sees_new_child(self, rekey):
        """Call rekey() and wait for another CHILD_SA at both ends; the old one may linger a while."""
        gateway = self.gateway
        old = self.sa().child.unique_id, gateway.sa_of(self).child.unique_id
        rekey()
        wait_until(lambda: (self.sa().child.unique_id != old[0] and
                            gateway.sa_of(self).child.unique_id != old[1]),
                   f"the CHILD_SA of {self.name} is rekeyed", watch=(self.charon, gateway.charon))
        return gateway.sa_of(self).child

    def sees_new_ike(self, rekey):
        """Call rekey() and wait for another IKE_SA at both ends, and the old one gone."""
        gateway = self.gateway
        old = self.sa().unique_id, gateway.sa_of(self).unique_id

        def renewed():
            ends = self.list_sas(), gateway.sas_of(self)
            return all(len(sas) == 1 and sas[0].state == "ESTABLISHED" and sas[0].unique_id != before and
                       sas[0].child for sas, before in zip(ends, old))

        rekey()
        wait_until(renewed, f"the IKE_SA of {self.name} is rekeyed", watch=(self.charon, gateway.charon))
        return gateway.sa_of(self)

    def moves_behind(self, nat):
        """Change networks: into one behind another NAT, with new addresses (MOBIKE's case)."""
        self.lab.move(self, nat)

    def is_connected(self):
        return any(sa.state == "ESTABLISHED" for sa in self.list_sas())


def _only_established(sas, whose):
    established = [sa for sa in sas if sa.state == "ESTABLISHED"]
    if len(established) != 1:
        raise AssertionError(f"{whose} {len(established)} established IKE_SAs: {sas}")
    return established[0]


