# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab: the namespaces, links and charons of one test, made on demand and removed again whatever happens.

    lan host -- gateways -- [delay] -- internet (bridge) -- CGNAT -- clients
                                              \\-- clients without a NAT, further hosts

Addresses: 198.51.100.0/24 and 2001:db8:1::/64 are the internet (gateway .1 and .2, a second gateway .3 and
.4), 192.0.2.0/24 and 2001:db8:2::/64 the network behind the gateways (host .10), 203.0.113.0/24 and
2001:db8:3::/112 the inner addresses of the clients (198.18.N.0/24 and 2001:db8:3:N::/112 at gateway N beyond
the first), 100.64.N.0/24 and fd64:N::/64 the inside of CGNAT N.
"""

import json
import os
import re
import shutil
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .capture import IKE_PORTS, Capture
from .cgnat import Cgnat
from .charon import Charon
from .delay import DelayRelay
from .hosts import Client, Gateway, Host, Lan
from .namespaces import Namespace, connect
from .paths import ARTEFACTS, RUN
from .pki import Pki
from .settings import merge_settings

INTERNET4, INTERNET6 = "198.51.100", "2001:db8:1::"
LAN4, LAN6 = "192.0.2", "2001:db8:2::"
LAN_NETWORKS = (f"{LAN4}.0/24", f"{LAN6}/64")


class Lab:
    """Use as a context manager; `plugins` are ours that gateways load unless a gateway says otherwise."""

    active = []

    def __init__(self, plugins=(), keep=False, name=None):
        """keep: leave everything running when this process ends; remove_leftovers(kept=True) ends it.

        name: of the folder below build/test/e2e where logs are kept after a failure outside of pytest.
        """
        self.plugins = tuple(plugins)
        self.keep = keep
        self.prefix = f"ivo{os.urandom(3).hex()}"
        self.folder = RUN / self.prefix
        self.name = name or self.prefix
        self.namespaces = []
        self.nats = []
        self.gateways = []
        self.clients = []
        self.captures = []
        self.relays = []
        self.lan = None
        self._next_public = 100

    # --- life

    def __enter__(self):
        _require_root()
        remove_leftovers()
        _make_sigterm_clean_up()
        self.folder.mkdir(parents=True, mode=0o755)
        self._save_state()
        Lab.active.append(self)
        try:
            self.pki = Pki(self.folder / "pki")
            self.internet = self._namespace("net")
            self.internet.bridge("public")
            # Every host's default route; what is for no host of the lab, spoofed sources for one, ends here.
            self.internet.ip(f"address add {INTERNET4}.254/24 dev public",
                             f"address add {INTERNET6}254/64 dev public nodad")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if self.keep and error is None:
            Lab.active.remove(self)
            return
        # Interrupted is not failed: then there is nothing to find out from the logs.
        failed = isinstance(error, Exception)
        with _no_interrupts():
            try:
                self.stop_charons(check=error is None)
            except AssertionError:
                failed = True
                raise
            finally:
                if failed:
                    self.keep_logs(failure_folder(self.name))
                self._remove()

    def stop_charons(self, check=True):
        """Stop captures, shut all charons down, clients first, and fail if one does not end cleanly."""
        failures = []

        def stop(part):
            try:
                part.stop()
            except AssertionError as failure:
                failures.append(str(failure))

        for parts in (self.captures, [client.charon for client in self.clients],
                      [gateway.charon for gateway in self.gateways]):
            in_parallel(stop, parts)
        if failures and check:
            raise AssertionError("\n".join(failures))

    def check_alive(self):
        """Fail if a charon of the lab has died."""
        for charon in self.charons:
            charon.check_alive()

    @property
    def charons(self):
        return [host.charon for host in [*self.gateways, *self.clients]]

    def _remove(self):
        Lab.active.remove(self)
        for relay in self.relays:
            relay.stop()
        for namespace in reversed(self.namespaces):
            namespace.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _save_state(self):
        """Record what there is to remove before it is made: a killed run is cleaned up by the next one."""
        state = {"pid": os.getpid(), "started": _start_time(os.getpid()), "keep": self.keep,
                 "namespaces": [namespace.name for namespace in self.namespaces]}
        new = self.folder / "lab.json.new"
        new.write_text(json.dumps(state), encoding="ascii")
        new.rename(self.folder / "lab.json")

    def keep_logs(self, folder):
        """Copy logs, configurations and captures to a folder that outlives the lab."""
        folder = Path(folder)
        for charon in self.charons:
            target = folder / charon.folder.name
            target.mkdir(parents=True, exist_ok=True)
            for file in (charon.log_file, charon.output_file, charon.conf,
                         charon.swanctl_folder / "swanctl.conf"):
                if file.exists():
                    shutil.copy(file, target)
        for capture in self.captures:
            folder.mkdir(parents=True, exist_ok=True)
            if capture.file.exists():
                shutil.copy(capture.file, folder)

    # --- building

    def _namespace(self, name):
        namespace = Namespace(f"{self.prefix}-{name}")
        self.namespaces.append(namespace)
        self._save_state()
        return namespace.create()

    def _folder(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _plug_into_internet(self, namespace, device, *hosts, delay=None, families=(4, 6)):
        """Cable to the internet bridge with public addresses ending in these numbers, and default routes."""
        if delay:
            relay_namespace = self._namespace(f"{namespace.name.split('-', 1)[1]}-delay")
            connect(namespace, device, relay_namespace, "near")
            connect(relay_namespace, "far", self.internet, f"to-{relay_namespace.name}"[-15:], "public")
            relay = DelayRelay(relay_namespace, "near", "far", delay)
            self.relays.append(relay)
            relay.start(survive=self.keep)
        else:
            connect(namespace, device, self.internet, f"to-{namespace.name}"[-15:], "public")
        if 4 in families:
            namespace.ip(*(f"address add {INTERNET4}.{host}/24 dev {device}" for host in hosts),
                         f"route add default via {INTERNET4}.254")
        if 6 in families:
            namespace.ip(*(f"address add {INTERNET6}{host}/64 dev {device} nodad" for host in hosts),
                         f"route add default via {INTERNET6}254")
        return [f"{INTERNET4}.{host}" for host in hosts], [f"{INTERNET6}{host}" for host in hosts]

    def gateway(self, name="gw", plugins=None, round_trip=None, **charon_options):
        """A gateway with the LAN host behind it, not yet started.

        plugins: ours that it loads (default: the lab's); round_trip: seconds that its link delays there and
        back together; the rest are Charon's options (settings, extra_plugins, plugin_options).
        """
        number = len(self.gateways)
        namespace = self._namespace(name)
        addresses = self._plug_into_internet(namespace, "outside", 1 + 2 * number, 2 + 2 * number,
                                             delay=round_trip / 2 if round_trip else None)
        namespace.sysctl("net/ipv4/ip_forward", 1)
        namespace.sysctl("net/ipv6/conf/all/forwarding", 1)
        pools = {4: "203.0.113.0/24", 6: "2001:db8:3::/112"}
        if number:
            pools = {4: f"198.18.{number + 1}.0/24", 6: f"2001:db8:3:{number + 1}::/112"}
        self._plug_into_lan(namespace, number + 1, pools)
        # MOBIKE would offer the address towards the LAN to clients as one more way to the gateway.
        settings = merge_settings({"interfaces_ignore": "lan"}, charon_options.pop("settings", {}))
        if switched_off := os.environ.get("IVO_SWITCH_OFF"):
            # tests/mutation/run: what the plugin does must be missed by the tests that are to prove it.
            charon_options["plugin_options"] = merge_settings(charon_options.get("plugin_options", {}),
                                                              {switched_off: {"enabled": False}})
        charon = Charon(namespace, self._folder(name), self.plugins if plugins is None else plugins, settings,
                        **charon_options)
        gateway = Gateway(self, namespace, *addresses, charon, pools, LAN_NETWORKS)
        self.gateways.append(gateway)
        return gateway

    def _plug_into_lan(self, gateway, host, pools):
        """Cable from a gateway to the LAN, whose host sends back to each gateway what is for its pool."""
        if self.lan is None:
            namespace = self._namespace("lan")
            namespace.bridge("lan")
            namespace.ip(f"address add {LAN4}.10/24 dev lan", f"address add {LAN6}10/64 dev lan nodad")
            self.lan = Lan(self, namespace, f"{LAN4}.10", f"{LAN6}10")
        connect(gateway, "lan", self.lan.namespace, f"to-{gateway.name}"[-15:], "lan")
        gateway.ip(f"address add {LAN4}.{host}/24 dev lan", f"address add {LAN6}{host}/64 dev lan nodad")
        self.lan.namespace.ip(f"route add {pools[4]} via {LAN4}.{host}",
                              f"route add {pools[6]} via {LAN6}{host}")

    def nat(self, name=None, udp_timeout=300, inbound_refresh=True):
        """A CGNAT with two public addresses."""
        number = len(self.nats) + 1
        namespace = self._namespace(name or f"nat{number}")
        public = self._plug_into_internet(namespace, "outside", 10 + 2 * number, 11 + 2 * number)
        namespace.bridge("inside")
        inside4, inside6 = f"100.64.{number}.1/24", f"fd64:{number}::1/64"
        namespace.ip(f"address add {inside4} dev inside", f"address add {inside6} dev inside nodad")
        nat = Cgnat(namespace, inside4, inside6, *public, udp_timeout, inbound_refresh)
        nat.start()
        self.nats.append(nat)
        return nat

    def client(self, name, behind=None, auth="eap-mschapv2", gateway=None, over=4, dual_stack=False,
               plugins=(), **charon_options):
        """A client behind a NAT (default: none), not yet started.

        over: the outer IP version, the only one that its network has, unless it is dual stack. A charon with
        both may move between them at any MOBIKE exchange.
        """
        gateway = gateway or self.gateways[0]
        namespace = self._namespace(name)
        families = (4, 6) if dual_stack else (over,)
        addresses = self._plug_in(namespace, behind, families)
        charon = Charon(namespace, self._folder(name), plugins, **charon_options)
        client = Client(self, namespace, name, *addresses, charon, behind, gateway, auth, over, families,
                        LAN_NETWORKS)
        if auth.startswith("eap-") and auth not in ("eap-tls", "eap-radius"):
            gateway.add_secret(name)
        if behind:
            behind.clients.append(client)
        self.clients.append(client)
        return client

    def remove_client(self, client):
        """Shut a client down cleanly and remove it, for labs that several tests share."""
        self.clients.remove(client)
        if client.nat:
            client.nat.clients.remove(client)
        try:
            client.charon.stop()
        except AssertionError:
            self.clients.append(client)  # its logs are kept with the lab's
            raise
        client.namespace.delete()
        self.namespaces.remove(client.namespace)
        shutil.rmtree(client.charon.folder)
        self._save_state()

    def host(self, name, behind=None):
        """A host without a charon on the internet, e.g. to send forged packets from, or behind a NAT."""
        namespace = self._namespace(name)
        host = Host(self, namespace, *self._plug_in(namespace, behind))
        if behind:
            behind.clients.append(host)
        return host

    def capture(self, host, packet_filter=IKE_PORTS):
        """A running capture in the namespace of a host or NAT, stopped at the latest with the lab."""
        namespace = host.namespace
        file = self.folder / f"{namespace.name.split('-', 1)[1]}-{len(self.captures) + 1}.pcap"
        capture = Capture(namespace, file, packet_filter).start()
        self.captures.append(capture)
        return capture

    def _plug_in(self, namespace, nat=None, families=(4, 6)):
        """Cable to a NAT or to the internet; returns an address of both families, also of one left out."""
        if nat:
            return self._plug_into_nat(namespace, nat, families)
        self._next_public += 1
        addresses4, addresses6 = self._plug_into_internet(namespace, "up0", self._next_public,
                                                              families=families)
        return addresses4[0], addresses6[0]

    def move(self, client, nat):
        """Plug a client out of its network and in behind another NAT, as a phone changes networks."""
        if client.nat:
            client.nat.clients.remove(client)
        client.namespace.ip("link delete up0")
        address4, address6 = self._plug_into_nat(client.namespace, nat, client.families)
        client.address4, client.address6, client.nat = str(address4), str(address6), nat
        nat.clients.append(client)

    @staticmethod
    def _plug_into_nat(namespace, nat, families):
        address4, address6 = nat.next_inside_addresses()
        connect(namespace, "up0", nat.namespace, f"to-{namespace.name}"[-15:], "inside")
        if 4 in families:
            namespace.ip(f"address add {address4}/24 dev up0", f"route add default via {nat.inside4.ip}")
        if 6 in families:
            namespace.ip(f"address add {address6}/64 dev up0 nodad",
                         f"route add default via {nat.inside6.ip}")
        return address4, address6


def failure_folder(name):
    """Where logs of the test that runs now are kept when it fails; name: for a lab outside of pytest."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if test:
        name = re.sub(r"[^\w.-]+", "-", test.removeprefix("tests/e2e/")).strip("-")
    return ARTEFACTS / "e2e" / name


def in_parallel(function, items, threads=8):
    """Call a function for each item, several at a time; the first error is raised once all have ended."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


def remove_leftovers(kept=False):
    """Remove what killed runs left behind; with kept, also what was left up on purpose. Returns prefixes."""
    removed = []
    for folder in sorted(RUN.glob("ivo*")) if RUN.exists() else ():
        try:
            state = json.loads((folder / "lab.json").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            continue
        if state["keep"] and not kept or _start_time(state["pid"]) == state["started"]:
            continue
        for name in reversed(state["namespaces"]):
            Namespace(name).delete()
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder.name)
    return removed


def _start_time(pid):
    """When a process started, in ticks: with the PID it names a process for good. None: no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _require_root():
    if os.geteuid() != 0:
        raise PermissionError("network namespaces need root: run this as root")
    if not os.path.exists("/dev/net/tun"):
        raise FileNotFoundError("/dev/net/tun is missing: load the kernel's tun module (modprobe tun)")


def _make_sigterm_clean_up():
    """SIGTERM ends this process like Ctrl-C: through the context managers, which remove the lab."""
    if (threading.current_thread() is threading.main_thread() and
            signal.getsignal(signal.SIGTERM) == signal.SIG_DFL):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class _no_interrupts:
    """While a lab is being removed, a second Ctrl-C or SIGTERM is ignored: half a removal is worse."""

    def __enter__(self):
        self.old = {}
        if threading.current_thread() is threading.main_thread():
            self.old = {number: signal.signal(number, signal.SIG_IGN)
                        for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_):
        for number, handler in self.old.items():
            signal.signal(number, handler)
