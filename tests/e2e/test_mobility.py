# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that change networks (MOBIKE), that their NAT moves, and that the gateway sends elsewhere.

Redirects during IKE_SA_INIT or IKE_AUTH need a redirect_provider_t inside charon, and 5.9.8 has no plugin
with one: stock offers `swanctl --redirect`, of established SAs, alone.
"""

import pytest

from ivotest import NotHealed, assert_healed, ping, wait_until
from ivotest.swanctl import client_identity

REDIRECT_SUPPORTED = 16406


@pytest.mark.parametrize("over", [4, 6], ids=["IPv4", "IPv6"])
def test_a_client_changes_networks_and_returns(shared, new_client, over):
    """To another NAT and back: the same IKE_SA and inner addresses, and the tunnel goes on each time."""
    client, other = new_client(over=over), shared.nat()
    client.connects()
    before, addresses = shared.gw.sa_of(client), client.sa().local_vips
    with ping(client, shared.lan, rate=20) as p:
        p.wait_received(3)
        for nat in other, shared.nat1:
            client.moves_behind(nat)
            public = nat.public6 if over == 6 else nat.public4
            wait_until(lambda: shared.gw.sa_of(client).remote[0] in public,
                       "the gateway sees the new address", 15)
            p.wait_received(10)
    after = shared.gw.sa_of(client)
    assert (after.unique_id, after.initiator_spi) == (before.unique_id, before.initiator_spi)
    assert client.sa().local_vips == addresses
    # The client has probed the way to the gateway's second address as well.
    assert after.remote in {mapping.public for mapping in shared.nat1.mappings(client, 4500)}
    assert after.nat_remote
    print(f"{p.lost} of {p.sent} lost over two moves")


# --- the NAT moves a client

def test_a_rebinding_is_not_healed(shared, new_client):
    """As of today: with MOBIKE a new port alone changes nothing, answers go to the old one. Nor does it with
    stock."""
    client = new_client()
    client.connects()
    with pytest.raises(NotHealed) as caught:
        with assert_healed(client, within=1) as healing:
            shared.nat1.rebind(client)
    assert caught.value.reasons == {"ping"}
    assert shared.gw.sa_of(client).remote == healing.mapping_before.public


def test_without_mobike_the_clients_ike_heals_a_rebinding(shared, new_client):
    """The gateway follows the next IKE message that it can authenticate; the tunnel goes on."""
    client = new_client(auth="psk")
    client.configure({"connections": {"gw": {"mobike": False}}})
    client.connects()
    before = shared.gw.sa_of(client)
    with ping(client, shared.lan, rate=50) as p:
        p.wait_received(3)
        shared.nat1.rebind(client)
        p.wait_sent(5)
        assert shared.gw.sa_of(client).remote == before.remote
        client.swanctl("--rekey", "--child", "net")
        wait_until(lambda: shared.gw.sa_of(client).remote == shared.nat1.mapping(client).public,
                   "the gateway follows the client", 5)
        p.wait_received(20)
    assert shared.gw.sa_of(client).unique_id == before.unique_id
    assert shared.gw.sa_of(client).remote != before.remote


# --- redirects

SELECTORS = {
    "ike-id": lambda gateway, client: str(gateway.sa_of(client).unique_id),
    "peer-ip": lambda gateway, client: gateway.sa_of(client).remote[0],
    "peer-id": lambda gateway, client: client_identity(client.name),
    "ike": lambda gateway, client: client.auth,
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_redirect(shared, new_client, selector):
    """The client goes to the gateway's second address, and its old SA ends; another client notices
    nothing."""
    gateway, client, bystander = shared.gw, new_client(auth="pubkey"), new_client(auth="psk")
    client.connects()
    bystander.connects()
    before = gateway.sa_of(client)
    if selector == "peer-ip":
        bystander.disconnects()  # it has the same public address
    with ping(client, shared.lan, rate=100) as p:
        p.wait_received(5)
        gateway.swanctl("--redirect", f"--{selector}", SELECTORS[selector](gateway, client),
                        "--gateway", gateway.addresses4[1])
        wait_until(lambda: gateway.sa_of(client).local[0] == gateway.addresses4[1]
                   and gateway.sa_of(client).child,
                   "the client is at the second address", 10)
    after = gateway.sa_of(client)
    assert len(gateway.sas_of(client)) == 1
    assert after.unique_id != before.unique_id and before.local[0] == gateway.address4
    assert client.sa().remote == (gateway.addresses4[1], 4500)
    # A new SA, made before the old one is gone, has new inner addresses.
    with ping(client, shared.lan, rate=100) as again:
        again.wait_sent(20)
    assert again.lost == 0
    if selector != "peer-ip":
        assert gateway.sa_of(bystander).local[0] == gateway.address4


@pytest.mark.parametrize("auth", ["eap-mschapv2", "eap-tls", "psk"])
def test_redirect_over_ipv6(shared, new_client, auth):
    gateway, client = shared.gw, new_client(auth=auth, over=6)
    client.connects()
    gateway.redirects(client, gateway.addresses6[1])
    wait_until(lambda: gateway.sa_of(client).local[0] == gateway.addresses6[1]
               and gateway.sa_of(client).child,
               "the client is at the second address", 10)
    with ping(client, shared.lan, rate=100) as p:
        p.wait_sent(20)
    assert p.lost == 0
    # … and back again.
    gateway.redirects(client, gateway.address6)
    wait_until(lambda: gateway.sa_of(client).local[0] == gateway.address6 and gateway.sa_of(client).child,
               "the client is back at the first address", 10)


def test_redirect_to_another_gateway(shared, new_client):
    """A second gateway takes the client over."""
    second = shared.gateway("gw2")
    try:
        second.start()
        client = new_client(auth="pubkey")
        client.connects()
        shared.gw.redirects(client, second.address4)
        wait_until(lambda: second.sas_of(client) and second.sa_of(client).child,
                   "the second gateway has the client", 10)
        wait_until(lambda: not shared.gw.sas_of(client), "the first gateway has forgotten it", 10)
        assert client.sa().remote == (second.address4, 4500)
    finally:
        second.charon.stop()


def test_redirect_announcement(shared, new_client):
    """Both ends say in IKE_SA_INIT what they can: a client that does not follow redirects is left alone."""
    willing, unwilling = new_client(auth="psk"), new_client(auth="psk", settings={"follow_redirects": False})
    for client, follows in ((willing, True), (unwilling, False)):
        with shared.capture(client) as capture:
            client.connects()
        assert (REDIRECT_SUPPORTED in capture.ike()[0].ike.notifies()) == follows
    before = shared.gw.sa_of(unwilling)
    with shared.capture(unwilling) as capture, ping(unwilling, shared.lan, rate=100) as p:
        p.wait_received(3)
        shared.gw.redirects(unwilling, shared.gw.addresses4[1])
        p.wait_received(20)
    assert p.lost == 0 and shared.gw.sa_of(unwilling).unique_id == before.unique_id
    assert capture.esp() and not capture.ike()
