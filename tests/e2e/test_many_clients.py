# SPDX-License-Identifier: GPL-2.0-or-later
"""200 clients at once on one gateway, each a charon of its own, and all of them back after it was restarted.

(One charon with many connections would do for the gateway, but not for what comes back: stock charon with libipsec loses
routes, or waits for itself, when many of its connections change their inner addresses at the same time.)
IVO_CLIENTS=50 takes fewer; 240 is the most that the pool has addresses for.
"""

import ipaddress
import os
import time

import pytest

from ivotest import Lab, Ping, in_parallel, wait_until
from ivotest.swanctl import client_identity

COUNT = int(os.environ.get("IVO_CLIENTS", "200"))
NATS = 4
POOL = "203.0.113.0/24"
assert NATS <= COUNT <= 240, "IVO_CLIENTS must be from 4 to 240"

# Behind a CGNAT many clients have one address: an operator raises what an address may have half-open.
GATEWAY = {"block_threshold": 2 * COUNT, "half_open_timeout": 10}
# A restart is noticed after 2 s of silence and 5 s of retransmissions, and tried for again without end.
CLIENT = {"retransmit_timeout": 1, "retransmit_base": 1, "retransmit_tries": 4}
CHILD = {"start_action": "start", "close_action": "start", "dpd_action": "restart"}
BACK_WITHIN = 60


@pytest.fixture(scope="module")
def crowd(our_plugins):
    """A lab with a running gateway, and clients (lab.clients) whose charons run and were not told to connect yet."""
    with Lab(our_plugins) as lab:
        gateway = lab.gateway(settings=GATEWAY)
        nats = [lab.nat() for _ in range(NATS)]
        for number in range(COUNT):
            client = lab.client(f"c{number}", behind=nats[number % NATS], settings=CLIENT)
            client.configure({"connections": {"gw": {"vips": "0.0.0.0", "keyingtries": 0, "dpd_delay": "2s",
                                                     "children": {"net": CHILD}}}})
        gateway.start()
        in_parallel(lambda client: client.charon.start(), lab.clients, threads=4)
        yield lab
        in_parallel(lambda client: client.charon.stop(), lab.clients, threads=4)


def resident(charon):
    """Resident memory in MiB."""
    with open(f"/proc/{charon.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


def connected(gateway):
    """The IKE_SAs that have an installed CHILD_SA."""
    return [sa for sa in gateway.list_sas()
            if sa.state == "ESTABLISHED" and any(child.state == "INSTALLED" for child in sa.children)]


def wait_for_all(lab, since):
    """Wait until the gateway has all clients; returns the seconds since, once nothing else is left."""
    gateway = lab.gateways[0]

    def all_up():
        found = len({sa.remote_eap_id for sa in connected(gateway)})
        assert found == COUNT, f"{found} are"
        return True

    wait_until(all_up, f"all {COUNT} clients are connected", BACK_WITHIN, every=0.2, watch=(gateway.charon,))
    took = time.monotonic() - since
    # A client whose answer was lost may have two for a moment, or an old one half-open; then each has one.
    wait_until(lambda: exactly_once(lab), "each client has one IKE_SA, the gateway no other", 30, every=0.5,
               watch=lab.charons)
    return took


def exactly_once(lab):
    gateway = lab.gateways[0]
    sas = gateway.list_sas()
    assert len(sas) == COUNT, f"the gateway has {len(sas)} IKE_SAs"
    assert {sa.remote_eap_id for sa in sas} == {client_identity(client.name) for client in lab.clients}
    stats = gateway.swanctl.stats()["ikesas"]
    assert stats == {"total": str(COUNT), "half-open": "0"}, f"counters are {stats}"
    if "ivo-sessiontable" in gateway.charon.plugins:
        ours = gateway.charon.control.stats()["ivo-sessiontable"]
        assert (ours["ike_sas"], ours["half_open_ike_sas"]) == (COUNT, 0), f"our counters are {ours}"
    return True


def check_tunnels(lab):
    """Each client has an inner address that no other has, is seen behind its NAT, and reaches the host behind the gateway."""
    sas = connected(lab.gateways[0])
    vips = {sa.remote_eap_id: sa.remote_vips for sa in sas}
    assert all(len(own) == 1 for own in vips.values())
    assert len({own[0] for own in vips.values()}) == COUNT
    assert all(ipaddress.ip_address(own[0]) in ipaddress.ip_network(POOL) for own in vips.values())
    assert all(sa.nat_remote for sa in sas)
    for what in ("remote", "initiator_spi", "responder_spi"):
        assert len({getattr(sa, what) for sa in sas}) == COUNT, what
    assert len({sa.child.spi_in for sa in sas}) == COUNT

    def reaches(client):
        own = client.list_sas()
        assert len(own) == 1 and own[0].local_vips == vips[client_identity(client.name)], f"{client} has {own}"
        with Ping(client.namespace, own[0].local_vips[0], lab.lan.address4, rate=50) as pings:
            pings.wait_received(2)
        assert pings.lost == 0, f"{client} lost {pings.lost} of {pings.sent} pings"

    in_parallel(reaches, lab.clients, threads=4)


CLOSED = """table inet closed {
    chain input { type filter hook input priority 0; udp dport { 500, 4500 } drop; }
}"""


def start_again(gateway):
    """Start the gateway behind a firewall that is opened once it is configured.

    Between its start and `swanctl --load-all` stock charon answers NO_PROPOSAL_CHOSEN to everybody, at which a stock
    client gives up for good, whatever its keyingtries.
    """
    gateway.namespace.nft(CLOSED)
    gateway.start()
    gateway.namespace.nft("delete table inet closed")


def test_all_connect_at_once(crowd, say):
    """Within one another's handshakes, through cookies, and no two get the same address."""
    gateway = crowd.gateways[0]
    before, started = resident(gateway.charon), time.monotonic()
    in_parallel(lambda client: client.load(), crowd.clients, threads=16)
    took = wait_for_all(crowd, started)
    check_tunnels(crowd)
    after = resident(gateway.charon)
    say(f"{COUNT} clients connected in {took:.1f} s; gateway resident {before:.1f} -> {after:.1f} MiB; a client"
        f" {resident(crowd.clients[0].charon):.1f} MiB")


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_all_return_after_restart(crowd, say, how):
    """The gateway is shut down (it says goodbye to all) or killed, and started again: all come back by themselves."""
    gateway = crowd.gateways[0]
    assert len(connected(gateway)) == COUNT, "needs the clients that test_all_connect_at_once connects"
    down = 0.0
    if how == "SIGTERM":
        down = gateway.charon.stop()
    else:
        gateway.charon.kill()
    started = time.monotonic()
    start_again(gateway)
    took = wait_for_all(crowd, started)
    check_tunnels(crowd)
    say(f"{how}: down in {down:.2f} s, all {COUNT} back {took:.1f} s after the start; gateway resident"
        f" {resident(gateway.charon):.1f} MiB")


def test_all_leave(crowd):
    """Clients that hang up leave nothing on the gateway, neither IKE_SAs nor leases."""
    gateway = crowd.gateways[0]
    assert len(connected(gateway)) == COUNT, "needs the clients that test_all_connect_at_once connects"
    in_parallel(lambda client: client.swanctl("--terminate", "--ike", "gw", "--timeout", "20"), crowd.clients, threads=8)
    wait_until(lambda: gateway.swanctl.stats()["ikesas"] == {"total": "0", "half-open": "0"},
               "the gateway has forgotten all clients", 15, watch=(gateway.charon,))
    leases = gateway.swanctl("--list-pools", "--leases").stdout
    assert "offline" in leases and "online" not in leases, leases
