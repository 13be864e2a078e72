# SPDX-License-Identifier: GPL-2.0-or-later
"""swanctl: calling it, its configuration as Python dicts, and its SA lists as plain objects."""

import shutil
from dataclasses import dataclass, field

from .namespaces import CommandFailed, run
from .pki import DOMAIN
from .settings import format_settings

# AEAD proposals that both the stock plugins and libipsec carry.
IKE_PROPOSALS = "aes128gcm16-prfsha256-x25519"
ESP_PROPOSALS = "aes128gcm16"
ESP_PROPOSALS_PFS = "aes128gcm16-x25519"
PSK = "a pre-shared key of the tests"

# How a client authenticates. The gateway has a connection and a name (IDr) for each, so that one gateway
# serves all.
AUTHENTICATIONS = {
    "eap-mschapv2": "mschapv2",
    "eap-md5": "md5",
    "eap-tls": "tls",
    "eap-gtc": "gtc",
    "eap-radius": "radius",
    "pubkey": "cert",
    "psk": "psk",
}


def gateway_name(auth):
    """The name (IDr, in the gateway's certificate) under which the gateway serves this authentication."""
    return f"{AUTHENTICATIONS[auth]}.gw.{DOMAIN}"


def client_identity(name):
    return f"{name}@{DOMAIN}"


def eap_password(name):
    return f"password of {name}"


# --- SA lists

@dataclass(frozen=True)
class ChildSa:
    """A CHILD_SA as `swanctl --list-sas` tells it; SPIs are integers."""
    name: str
    unique_id: int
    reqid: int
    state: str
    mode: str
    protocol: str
    encap: bool
    spi_in: int
    spi_out: int
    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int
    rekey_time: int
    life_time: int
    install_time: int
    local_ts: tuple
    remote_ts: tuple


@dataclass(frozen=True)
class IkeSa:
    """An IKE_SA as `swanctl --list-sas` tells it; SPIs are integers, endpoints are (address, port)."""
    name: str
    unique_id: int
    version: int
    state: str
    local: tuple
    local_id: str
    remote: tuple
    remote_id: str
    remote_eap_id: str
    initiator: bool
    initiator_spi: int
    responder_spi: int
    local_vips: tuple
    remote_vips: tuple
    established: int
    rekey_time: int
    reauth_time: int
    nat_local: bool
    nat_remote: bool
    children: tuple = ()
    raw: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def child(self):
        """The only CHILD_SA that is installed."""
        installed = [child for child in self.children if child.state == "INSTALLED"]
        if len(installed) != 1:
            raise AssertionError(f"IKE_SA #{self.unique_id} ({self.state}) has {len(installed)} installed "
                                 f"CHILD_SAs: {self.children}")
        return installed[0]


def parse_pretty(text):
    """`swanctl --pretty` output as a list of (event, nested dict); repeated sections never occur in it."""
    events = []
    stack = []
    for line in text.splitlines():
        word = line.strip()
        if not word:
            continue
        if word in ("}", "]"):
            done = stack.pop()
            if not stack:
                events.append(done)
        elif word.endswith(" = [") or word.endswith(" {") and " = " not in word:
            name = word[:-1].removesuffix("= ").strip()
            new = (name, {} if word.endswith("{") else [])
            if stack:
                stack[-1][1][name] = new[1]
            stack.append(new)
        elif stack and isinstance(stack[-1][1], list):
            stack[-1][1].append(word)
        elif stack:
            key, _, value = word.partition(" = ")
            stack[-1][1][key.removesuffix(" =")] = value
    return events


class Swanctl:
    """Calls swanctl against one charon: swanctl("--list-conns")."""

    def __init__(self, charon):
        self.charon = charon

    def __call__(self, *arguments, check=True, timeout=60):
        """Run swanctl; returns its result (stdout, returncode). A charon that crashed meanwhile is the error
        told.
        """
        argv = ["swanctl", *arguments, "--uri", f"unix://{self.charon.vici}"]
        try:
            return run(*argv, check=check, timeout=timeout, env=self.charon.environment)
        except CommandFailed as error:
            self.charon.check_alive()
            raise CommandFailed(argv, error.result) from None

    def load_all(self, config):
        """Write swanctl.conf from a dict and load it."""
        file = self.charon.swanctl_folder / "swanctl.conf"
        file.touch(mode=0o600)
        file.write_text(format_settings(config), encoding="utf-8")
        return self("--load-all", "--noprompt")

    def add_credentials(self, authorities=(), certificate=None, key=None):
        """Copy certificates and the key to where `--load-all` takes them from."""
        files = [(certificate, "x509"), (key, "private"), *((file, "x509ca") for file in authorities)]
        for source, kind in files:
            if source:
                shutil.copy(source, self.charon.swanctl_folder / kind)

    def list_sas(self, *arguments):
        """All IKE_SAs with their CHILD_SAs."""
        output = self("--list-sas", "--pretty", *arguments).stdout
        return [_ike_sa(name, sa) for event, content in parse_pretty(output) if event.startswith("list-sa")
                for name, sa in content.items() if isinstance(sa, dict)]

    def stats(self):
        """`swanctl --stats` as nested dicts."""
        return parse_pretty(self("--stats", "--pretty").stdout)[0][1]


def _ike_sa(name, sa):
    """raw values are strings; flags are 'yes' or absent"""
    return IkeSa(
        name=name, unique_id=int(sa["uniqueid"]), version=int(sa["version"]), state=sa["state"],
        local=(sa["local-host"], int(sa["local-port"])), local_id=sa.get("local-id", ""),
        remote=(sa["remote-host"], int(sa["remote-port"])), remote_id=sa.get("remote-id", ""),
        remote_eap_id=sa.get("remote-eap-id", ""), initiator=sa.get("initiator") == "yes",
        initiator_spi=int(sa["initiator-spi"], 16), responder_spi=int(sa["responder-spi"], 16),
        local_vips=tuple(sa.get("local-vips", ())), remote_vips=tuple(sa.get("remote-vips", ())),
        established=int(sa.get("established", 0)), rekey_time=int(sa.get("rekey-time", 0)),
        reauth_time=int(sa.get("reauth-time", 0)),
        nat_local=sa.get("nat-local") == "yes", nat_remote=sa.get("nat-remote") == "yes",
        children=tuple(_child_sa(child) for child in sa.get("child-sas", {}).values()), raw=sa)


def _child_sa(child):
    return ChildSa(
        name=child["name"], unique_id=int(child["uniqueid"]), reqid=int(child["reqid"]), state=child["state"],
        mode=child["mode"], protocol=child.get("protocol", ""), encap=child.get("encap") == "yes",
        spi_in=int(child.get("spi-in", "0"), 16), spi_out=int(child.get("spi-out", "0"), 16),
        bytes_in=int(child.get("bytes-in", 0)), packets_in=int(child.get("packets-in", 0)),
        bytes_out=int(child.get("bytes-out", 0)), packets_out=int(child.get("packets-out", 0)),
        rekey_time=int(child.get("rekey-time", 0)), life_time=int(child.get("life-time", 0)),
        install_time=int(child.get("install-time", 0)),
        local_ts=tuple(child.get("local-ts", ())), remote_ts=tuple(child.get("remote-ts", ())))
