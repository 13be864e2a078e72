# SPDX-License-Identifier: GPL-2.0-or-later
"""The two charons of a load test, a gateway and a load-tester, each in a network namespace of its own."""

import os
import pathlib
import re
import shlex
import shutil
import tempfile

from ivotest.charon import OUR_PLUGINS, PLUGIN_FOLDER, Charon
from ivotest.namespaces import Namespace, connect, run
from ivotest.settings import merge_settings
from ivotest.swanctl import ESP_PROPOSALS, IKE_PROPOSALS, PSK

import strongswan_parts as parts

PREFIX = "ivolt"
GATEWAY, CLIENT = "10.255.0.1", "10.255.0.2"
POOL = "100.64.0.0/10"

# In the order in which Debian's charon loads them: it decides whose AES-GCM and x25519 are used.
CRYPTO = ("aesni aes sha2 sha1 random nonce x509 revocation constraints pubkey pkcs1 pkcs8 pem openssl"
          " curve25519 hmac kdf gcm drbg").split()

# charon's own tables as its manual advises for many tunnels.
TUNED = {"ikesa_table_size": 65536, "ikesa_table_segments": 256}

# What a gateway can be: its own settings of charon, and whether our plugins are loaded.
VARIANTS = {
    "stock": ({}, False),
    "stock-tuned": (TUNED, False),
    "ivo": ({}, True),
    "ivo-tuned": (TUNED, True),
}


def build_plugins(folder):
    """load-tester for the client, its kernel alone for the gateway, out of strongSwan's source."""
    builder = parts.Builder(parts.matching_source(), folder)
    place = pathlib.Path("libcharon/plugins/load_tester")
    names = "plugin config creds ipsec listener control diffie_hellman".split()
    objects = builder.compile([place / f"load_tester_{name}.c" for name in names], [place],
                              {"IPSEC_PIDDIR": '"/nonexistent"'})
    ours = builder.compile([pathlib.Path(__file__).resolve().parent / "fake_kernel_plugin.c"], [place])
    libraries = ["libcharon.so.0", "libstrongswan.so.0"]
    kernel = [o for o in objects if o.name == "load_tester_ipsec.c.o"]
    parts_of = {"load-tester": objects, "fake-kernel": ours + kernel}
    return {name: builder.link(f"libstrongswan-{name}.so", its_objects, libraries, shared=True)
            for name, its_objects in parts_of.items()}


class LoadCharon(Charon):
    """A charon with exactly the plugins named: some of them built here, ours only if asked for."""

    def __init__(self, namespace, folder, load, built, settings, ours=(), log_level=-1):
        self.load, self.built = [*load, *ours], built
        quiet = {group: None for group in ("ike", "cfg", "knl", "esp", "net", "enc", "mgr", "job")}
        super().__init__(namespace, folder, plugins=ours, settings=merge_settings({
            "filelog": {"log": {**quiet, "default": log_level, "lib": 1}},
            "install_routes": False,
            "install_virtual_ip": False,
        }, settings))

    def strongswan_conf(self):
        """As any test charon's, but for the list of plugins."""
        return merge_settings(super().strongswan_conf(), {"charon": {"load": " ".join(self.load)}})

    def _start_script(self):
        """As any test charon's; only the plugin folder is mounted also where none of ours is loaded."""
        script = super()._start_script()
        if not self.plugins:
            mix = shlex.quote(str(self._plugin_folder()))
            stock = shlex.quote(str(self.folder / "stock-plugins"))
            script = f"mount --bind {PLUGIN_FOLDER} {stock}\nmount --bind {mix} {PLUGIN_FOLDER}\n{script}"
        return script

    def _plugin_folder(self):
        """The links that any test charon gets, and those to what was built here."""
        mix = super()._plugin_folder()
        for library in self.built:
            (mix / library.name).symlink_to(library)
        return mix

    def counts(self):
        """How many IKE_SAs there are, and how many of them are half open."""
        ike_sas = self.swanctl.stats()["ikesas"]
        return int(ike_sas["total"]), int(ike_sas["half-open"])


class Gateway(LoadCharon):
    """The charon that is measured: its configuration comes by swanctl, as an operator's does."""

    def __init__(self, variant, namespace, folder, built, pki, log_level=-1):
        tuning, has_ours = VARIANTS[variant]
        self.has_ours, self.pki = has_ours, pki
        plugins = CRYPTO + "attr fake-kernel kernel-netlink socket-default vici counters".split()
        # All tunnels come from one address, which a gateway would take for an attack.
        super().__init__(namespace, folder, plugins, [built["fake-kernel"]],
                         {"dos_protection": False, **tuning},
                         ours=OUR_PLUGINS if has_ours else (), log_level=log_level)

    def check_plugins(self):
        """Raises if a plugin is not loaded: charon goes on without it and says why in its log only."""
        missing = set(self.load) - set(self.swanctl.stats()["plugins"])
        if missing:
            said = [line for line in self.log().splitlines() if any(f"'{name}'" in line for name in missing)]
            names = ", ".join(sorted(missing))
            raise AssertionError("\n".join([f"the gateway has not loaded {names}:", *said]))

    def load_config(self):
        """Gives it its connection, pool and secrets."""
        local, remote = {"auth": "psk", "id": "srv.strongswan.org"}, {"auth": "psk", "id": "*.strongswan.org"}
        secrets = {"ike-load": {"secret": PSK}}
        if self.pki:
            self.swanctl.add_credentials([self.pki.ca], self.pki.certificate, self.pki.key)
            local = {"auth": "pubkey", "certs": self.pki.certificate.name, "id": self.pki.GATEWAY_ID}
            remote = {"auth": "pubkey", "id": "CN=*, OU=load-test, O=strongSwan"}
            secrets = {}
        self.swanctl.load_all({
            "connections": {"load": {
                "version": 2, "local_addrs": GATEWAY, "proposals": IKE_PROPOSALS, "pools": "load",
                "rekey_time": 0, "local": local, "remote": remote,
                "children": {"load": {
                    "esp_proposals": ESP_PROPOSALS, "local_ts": "0.0.0.0/0", "rekey_time": 0,
                }},
            }},
            "pools": {"load": {"addrs": POOL}},
            "secrets": secrets,
        })

    def established(self):
        """What --list-sas lists: IKE_SAs established, CHILD_SAs installed, different virtual IPs."""
        ike_sas = [sa for sa in self.swanctl.list_sas() if sa.state == "ESTABLISHED"]
        return (len(ike_sas), sum(child.state == "INSTALLED" for sa in ike_sas for child in sa.children),
                len({vip for sa in ike_sas for vip in sa.remote_vips}))

    def leased(self):
        """Addresses of the pool that are in use."""
        said = self.swanctl("--list-pools").stdout
        found = re.search(r"^load\s+\S+\s+(\d+) / (\d+) / (\d+)", said, re.M)
        if not found:
            raise AssertionError(f"swanctl --list-pools names no pool 'load':\n{said}")
        return int(found.group(1))


class LoadTester(LoadCharon):
    """strongSwan's load-tester: all clients in one charon."""

    def __init__(self, namespace, folder, built, pki):
        self.trigger = folder / "load-tester.sock"
        auth = "pubkey" if pki else "psk"
        tester = {
            "enable": True, "fake_kernel": True, "socket": f"unix://{self.trigger}",
            "initiator": CLIENT, "responder": GATEWAY, "request_virtual_ip": True,
            "initiator_tsr": "0.0.0.0/0", "proposal": IKE_PROPOSALS, "esp": ESP_PROPOSALS,
            "initiator_auth": auth, "responder_auth": auth, "preshared_key": PSK,
        }
        if pki:
            tester.update(issuer_cert=str(pki.ca), issuer_key=str(pki.ca_key), digest="sha256",
                          responder_id=pki.GATEWAY_ID)
        # load-tester comes before kernel-netlink, so that its kernel takes the keys.
        plugins = CRYPTO + "load-tester kernel-netlink socket-default vici".split()
        super().__init__(namespace, folder, plugins, [built["load-tester"]],
                         {"reuse_ikesa": False, "threads": 32, **TUNED, "plugins": {"load-tester": tester}})


class LoadPki:
    """A CA for certificates; load-tester issues those of its clients with it, all of one key."""

    GATEWAY_ID = "C=CH, O=IVO tests, CN=gateway"

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca-key.pem"
        self.certificate, self.key = folder / "gateway.pem", folder / "gateway-key.pem"
        for key in (self.ca_key, self.key):
            self._write(key, "--gen", "--type", "rsa", "--size", "2048")
        self._write(self.ca, "--self", "--ca", "--in", self.ca_key, "--type", "rsa", "--lifetime", "10",
                    "--dn", "C=CH, O=IVO tests, CN=load test CA")
        public = folder / "gateway-public.pem"
        self._write(public, "--pub", "--in", self.key, "--type", "rsa")
        self._write(self.certificate, "--issue", "--cacert", self.ca, "--cakey", self.ca_key, "--type", "pub",
                    "--in", public, "--lifetime", "10", "--dn", self.GATEWAY_ID, "--flag", "serverAuth")

    @staticmethod
    def _write(path, *words):
        path.touch(mode=0o600)
        path.write_text(run("pki", *words, "--outform", "pem").stdout)


class Network:
    """Two namespaces and a cable, removed at the end of a with block."""

    def __init__(self):
        self.gateway = Namespace(f"{PREFIX}{os.getpid()}gw")
        self.client = Namespace(f"{PREFIX}{os.getpid()}cl")

    def __enter__(self):
        try:
            for namespace in (self.gateway, self.client):
                namespace.create()
            connect(self.gateway, "gw0", self.client, "cl0")
            self.gateway.ip(f"addr add {GATEWAY}/24 dev gw0")
            self.client.ip(f"addr add {CLIENT}/24 dev cl0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in (self.gateway, self.client):
            namespace.delete()


def work_prefix():
    """How the name of this process's folder below the temporary folder begins."""
    return f"ivo-load-{os.getpid()}-"


def remove_leftovers():
    """Removes what load tests left that were killed: the names tell the process, which is gone."""
    for path in pathlib.Path("/run/netns").glob(f"{PREFIX}*"):
        found = re.fullmatch(rf"{PREFIX}(\d+)(gw|cl)", path.name)
        if found and not pathlib.Path(f"/proc/{found.group(1)}").exists():
            Namespace(path.name).delete()
    for path in pathlib.Path(tempfile.gettempdir()).glob("ivo-load-*"):
        found = re.match(r"ivo-load-(\d+)-", path.name)
        if found and not pathlib.Path(f"/proc/{found.group(1)}").exists():
            shutil.rmtree(path, ignore_errors=True)
