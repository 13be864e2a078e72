# SPDX-License-Identifier: GPL-2.0-or-later
"""A carrier-grade NAT: a namespace with an inside bridge, one outside link, and nftables translating between.

Every new mapping gets a random public port. A client's mappings come from one half of the port range, and a
rebinding moves the client to the other half before its conntrack entries are deleted: the new port is always
another one, without waiting for the client's next packet. The same is done with the NAT's two public
addresses.
"""

import ipaddress
import re
from dataclasses import dataclass


PORT_HALVES = ("20000-39999", "40000-59999")
TUPLE = re.compile(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")

RULES = """
table inet cgnat {{
    # Clients whose mappings come from the upper half of the ports, and from the second public address.
    set upper_ports4 {{ type ipv4_addr; }}
    set upper_ports6 {{ type ipv6_addr; }}
    set second_address4 {{ type ipv4_addr; }}
    set second_address6 {{ type ipv6_addr; }}

    chain translate {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "outside" meta nfproto ipv4 jump translate4
        oifname "outside" meta nfproto ipv6 jump translate6
        oifname "outside" masquerade
    }}
    chain translate4 {{
        ip saddr @second_address4 ip saddr @upper_ports4 meta l4proto udp snat ip to {second4}:{upper} random
        ip saddr @second_address4 meta l4proto udp snat ip to {second4}:{lower} random
        ip saddr @upper_ports4 meta l4proto udp snat ip to {first4}:{upper} random
        meta l4proto udp snat ip to {first4}:{lower} random
    }}
    chain translate6 {{
        ip6 saddr @second_address6 ip6 saddr @upper_ports6 meta l4proto udp \\
            snat ip6 to [{second6}]:{upper} random
        ip6 saddr @second_address6 meta l4proto udp snat ip6 to [{second6}]:{lower} random
        ip6 saddr @upper_ports6 meta l4proto udp snat ip6 to [{first6}]:{upper} random
        meta l4proto udp snat ip6 to [{first6}]:{lower} random
    }}
    # What comes in without a mapping vanishes without an answer, as carriers' NATs do it. Only such a drop
    # also keeps a packet to a forgotten mapping from making a conntrack entry that a new mapping would have
    # to avoid.
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "outside" ct state new,invalid drop
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "outside" meta l4proto udp drop
    }}
}}
"""

# Linux refreshes a mapping on packets of both directions and gives it a second, longer lifetime once it has
# seen an answer. For a NAT that refreshes on outbound packets only, conntrack must never see the inbound
# ones: outbound packets, already translated, write the way back into maps of the same lifetime, and inbound
# ones are translated from these maps before conntrack, untracked. A mapping then dies when no outbound packet
# has passed for its lifetime.
# The maps' key is the public port and the peer's port; nft 1.0.6 aborts on an IPv6 address in it.
OUTBOUND_REFRESH_MAP = """
    map {name} {{
        typeof udp dport . udp sport : {value}
        size 65535
        flags dynamic,timeout
        timeout {lifetime}s
    }}
"""
OUTBOUND_REFRESH_RULES = """
table inet outbound_refresh {
    MAPS
    chain learn {
        type filter hook postrouting priority srcnat + 10; policy accept;
        oifname != "outside" return
        meta nfproto ipv4 meta l4proto udp update @address4 { udp sport . udp dport : ct original ip saddr }
        meta nfproto ipv4 meta l4proto udp update @port4 { udp sport . udp dport : ct original proto-src }
        meta nfproto ipv6 meta l4proto udp update @address6 { udp sport . udp dport : ct original ip6 saddr }
        meta nfproto ipv6 meta l4proto udp update @port6 { udp sport . udp dport : ct original proto-src }
    }
    chain translate_back {
        type filter hook prerouting priority raw; policy accept;
        iifname != "outside" return
        meta l4proto udp notrack
        meta nfproto ipv4 meta l4proto udp ip daddr set udp dport . udp sport map @address4
        meta nfproto ipv4 meta l4proto udp udp dport set udp dport . udp sport map @port4
        meta nfproto ipv6 meta l4proto udp ip6 daddr set udp dport . udp sport map @address6
        meta nfproto ipv6 meta l4proto udp udp dport set udp dport . udp sport map @port6
    }
}
"""


def outbound_refresh_rules(lifetime):
    """The rules of a NAT whose mappings live for `lifetime` seconds from the last outbound packet on."""
    kinds = {"address4": "ip daddr", "address6": "ip6 daddr", "port4": "udp dport", "port6": "udp dport"}
    maps = [OUTBOUND_REFRESH_MAP.format(name=name, value=value, lifetime=lifetime)
            for name, value in kinds.items()]
    return OUTBOUND_REFRESH_RULES.replace("MAPS", "".join(maps))


@dataclass(frozen=True)
class Mapping:
    """One NAT mapping: the client's own endpoint, the public one it is seen by, and the peer it is for."""
    inside_address: str
    inside_port: int
    public_address: str
    public_port: int
    peer_address: str
    peer_port: int
    expires_in: int

    @property
    def public(self):
        return self.public_address, self.public_port


class Cgnat:
    """One CGNAT; made by Lab.nat()."""

    def __init__(self, namespace, inside4, inside6, public4, public6, udp_timeout=300, inbound_refresh=True):
        """inside4/6: interface addresses towards the clients; public4/6: two public addresses each."""
        self.namespace = namespace
        self.inside4 = ipaddress.ip_interface(inside4)
        self.inside6 = ipaddress.ip_interface(inside6)
        self.public4 = [str(address) for address in public4]
        self.public6 = [str(address) for address in public6]
        self.udp_timeout = udp_timeout
        self.inbound_refresh = inbound_refresh
        self.clients = []
        self._members = {}
        self._next_host = 11

    @property
    def name(self):
        return self.namespace.name

    def start(self):
        """Set up forwarding and translation; links and addresses are there already."""
        ns = self.namespace
        ns.sysctl("net/ipv4/ip_forward", 1)
        ns.sysctl("net/ipv6/conf/all/forwarding", 1)
        self.set_udp_timeout(self.udp_timeout)
        ns.nft(RULES.format(first4=self.public4[0], second4=self.public4[1], first6=self.public6[0],
                            second6=self.public6[1], lower=PORT_HALVES[0], upper=PORT_HALVES[1]))
        if not self.inbound_refresh:
            self._load_outbound_refresh()

    def next_inside_addresses(self):
        """Inside addresses (IPv4, IPv6) for the next client."""
        host = self._next_host
        self._next_host += 1
        return self.inside4.network[host], self.inside6.network[host]

    def set_udp_timeout(self, seconds):
        """Lifetime of a UDP mapping; for mappings that stand, it counts from their next packet on."""
        self.udp_timeout = seconds
        self.namespace.sysctl("net/netfilter/nf_conntrack_udp_timeout", seconds)
        self.namespace.sysctl("net/netfilter/nf_conntrack_udp_timeout_stream", seconds)
        if not self.inbound_refresh and self._has_outbound_refresh():
            self._load_outbound_refresh()

    def _has_outbound_refresh(self):
        listing = self.namespace.run("nft", "list", "table", "inet", "outbound_refresh", check=False)
        return listing.returncode == 0

    def _load_outbound_refresh(self):
        if self._has_outbound_refresh():
            self.namespace.run("nft", "delete", "table", "inet", "outbound_refresh")
        self.namespace.nft(outbound_refresh_rules(self.udp_timeout))

    def mappings(self, client=None, peer_port=None):
        """The UDP mappings of now, all or those of one host and to one port of the peer."""
        found = []
        for family in ("ipv4", "ipv6"):
            listing = self.namespace.run("conntrack", "-L", "-p", "udp", "-f", family).stdout
            found += [mapping for mapping in map(_parse_mapping, listing.splitlines()) if mapping]
        if client is not None:
            found = [m for m in found if m.inside_address in (client.address4, client.address6)]
        if peer_port is not None:
            found = [m for m in found if m.peer_port == peer_port]
        return found

    def mapping(self, client, peer_port=4500):
        """The one mapping of a client to the gateway's port 4500, or None when it has none."""
        found = self.mappings(client, peer_port)
        if len(found) > 1:
            raise AssertionError(f"{client} has {len(found)} mappings to port {peer_port}: {found}")
        return found[0] if found else None

    def rebind(self, *clients, new_address=False):
        """Forget the mappings of these clients (default: all): their next packets get new public ports.

        With new_address the public address is another one too.
        """
        clients = clients or tuple(self.clients)
        lines = []
        for client in clients:
            for family, address in (("4", client.address4), ("6", client.address6)):
                lines.append(self._flip(f"upper_ports{family}", address))
                if new_address:
                    lines.append(self._flip(f"second_address{family}", address))
        self.namespace.nft("\n".join(lines) + "\n")
        for client in clients:
            mappings = [] if self.inbound_refresh else self.mappings(client)
            for family, address in (("ipv4", client.address4), ("ipv6", client.address6)):
                # Fails when there is nothing to delete, which is fine.
                self.namespace.run("conntrack", "-D", "-f", family, "-p", "udp", "-s", address, check=False)
            for mapping in mappings:
                self._forget_way_back(mapping)

    def _flip(self, name, address):
        """The nft line that puts an address into the set, or takes it out if it is in."""
        members = self._members.setdefault(name, set())
        verb = "delete" if address in members else "add"
        members ^= {address}
        return f"{verb} element inet cgnat {name} {{ {address} }}"

    def _forget_way_back(self, mapping):
        family = 6 if ":" in mapping.peer_address else 4
        key = f"{mapping.public_port} . {mapping.peer_port}"
        for name in (f"address{family}", f"port{family}"):
            # Fails when the element has just expired, which is fine.
            self.namespace.run("nft", "delete", "element", "inet", "outbound_refresh", name, f"{{ {key} }}",
                               check=False)


def _parse_mapping(line):
    tuples = TUPLE.findall(line)
    if len(tuples) != 2:
        return None
    (inside, peer, inside_port, peer_port), (_, public, _, public_port) = tuples
    return Mapping(inside, int(inside_port), public, int(public_port), peer, int(peer_port),
                   expires_in=int(line.split()[2]))
