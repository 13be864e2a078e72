# SPDX-License-Identifier: GPL-2.0-or-later
"""Rekeying and reauthentication under traffic of 100 packets a second: nothing is lost, and nothing is left
behind."""

import pytest

from ivotest import in_parallel, ping, wait_until

RATE = 100


def assert_only_one_of_each(client):
    """One IKE_SA with one CHILD_SA at both ends, the same ones; what has been replaced is gone."""
    def settled():
        sas = client.list_sas(), client.gateway.sas_of(client)
        counts = [(len(end), sum(len(sa.children) for sa in end)) for end in sas]
        assert {sa.state for end in sas for sa in end} == {"ESTABLISHED"}, f"in other states: {sas}"
        assert counts == [(1, 1), (1, 1)], f"(IKE_SAs, CHILD_SAs) at client and gateway: {counts}"
        return sas

    (at_client,), (at_gateway,) = wait_until(settled, "one IKE_SA with one CHILD_SA is left", 10)
    assert (at_client.initiator_spi, at_client.responder_spi) == (at_gateway.initiator_spi,
                                                                  at_gateway.responder_spi)
    assert (at_client.child.spi_in, at_client.child.spi_out) == (at_gateway.child.spi_out,
                                                                 at_gateway.child.spi_in)
    return at_gateway


@pytest.mark.parametrize("over", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("who", ["client", "gateway"])
@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekey_loses_nothing(shared, new_client, what, who, over):
    client = new_client(over=over)
    client.connects()
    before, address = shared.gw.sa_of(client), client.inner_address()
    with ping(client, shared.lan, RATE) as p:
        p.wait_received(20)
        if what == "child":
            client.rekeys_child() if who == "client" else shared.gw.rekeys_child(client)
        else:
            client.rekeys_ike() if who == "client" else shared.gw.rekeys_ike(client)
        p.wait_received(50)
    assert (p.lost, p.duplicates) == (0, 0)
    after = shared.gw.sa_of(client)
    assert client.inner_address() == address
    if what == "child":
        assert after.unique_id == before.unique_id
        assert after.child.spi_in != before.child.spi_in and after.child.spi_out != before.child.spi_out
        # The new CHILD_SA is what carries the traffic.
        assert after.child.packets_in >= 50 and after.child.packets_out >= 50
    else:
        assert after.initiator_spi != before.initiator_spi and after.responder_spi != before.responder_spi
        assert after.child == _without_counters(before.child, after.child), "the CHILD_SA has moved as it was"


def _without_counters(child, later):
    """The CHILD_SA with what time and traffic change taken from a later look."""
    fields = dict(vars(child))
    for name in ("bytes_in", "packets_in", "bytes_out", "packets_out", "rekey_time", "life_time",
                 "install_time"):
        fields[name] = getattr(later, name)
    return type(child)(**fields)


def test_a_rekey_with_a_new_key_exchange_loses_nothing(shared, new_client):
    """PFS: the CHILD_SA's new keys come from a Diffie-Hellman exchange of their own."""
    client = new_client(auth="pubkey")
    proposals = {"children": {"net": {"esp_proposals": "aes128gcm16-x25519"}}}
    client.configure({"connections": {"gw": proposals}})
    shared.gw.configure({"connections": {"pubkey": {"children": {"net": {
        "esp_proposals": "aes128gcm16-x25519,aes128gcm16"}}}}})
    client.connects()
    with ping(client, shared.lan, RATE) as p:
        p.wait_received(10)
        client.rekeys_child()
        p.wait_received(30)
        shared.gw.rekeys_child(client)
        p.wait_received(30)
    assert p.lost == 0
    children = shared.gw.sa_of(client).raw["child-sas"].values()
    assert [child["dh-group"] for child in children if child["state"] == "INSTALLED"] == ["CURVE_25519"]


def test_many_rekeys_in_a_row(shared, new_client):
    """Thirty CHILD_SA and twelve IKE_SA rekeys, from either side in turn, one after the other."""
    client, other = new_client(auth="psk"), new_client(auth="psk")
    client.connects()
    other.connects()
    address, untouched = client.inner_address(), shared.gw.sa_of(other)
    with ping(client, shared.lan, RATE) as p, ping(other, shared.lan, RATE) as others:
        p.wait_received(20)
        for number in range(30):
            client.rekeys_child() if number % 2 else shared.gw.rekeys_child(client)
            if number % 5 in (0, 3):
                client.rekeys_ike() if number % 3 else shared.gw.rekeys_ike(client)
        p.wait_received(50)
    assert (p.lost, p.duplicates, others.lost) == (0, 0, 0)
    assert client.inner_address() == address
    assert_only_one_of_each(client)
    assert shared.gw.sa_of(other).child.unique_id == untouched.child.unique_id


@pytest.fixture(scope="module")
def far(our_plugins):
    """A gateway far away: what both ends do at once crosses on the way."""
    from ivotest import Lab
    with Lab(our_plugins) as lab:
        lab.gw = lab.gateway(round_trip=0.2).start()
        lab.client_ = lab.client("alice", behind=lab.nat(), auth="psk").start()
        lab.client_.connects()
        yield lab


@pytest.mark.parametrize("what, collision",
                         [("child", "CHILD_REKEY collision"), ("ike", "IKE_REKEY collision")])
def test_both_ends_rekey_at_once(far, what, collision):
    """The requests cross on the way; one of the two new SAs survives, and nothing is lost meanwhile."""
    gateway, client = far.gw, far.client_
    before = gateway.sa_of(client)
    logged = [end.charon.log().count(collision) for end in (gateway, client)]
    commands = {
        "child": [(gateway, "--child-id", str(before.child.unique_id)), (client, "--child", "net")],
        "ike": [(gateway, "--ike-id", str(before.unique_id)), (client, "--ike", "gw")],
    }[what]
    with ping(client, far.lan, RATE) as p:
        p.wait_received(20)
        in_parallel(lambda command: command[0].swanctl("--rekey", *command[1:]), commands)
        wait_until(lambda: all(end.charon.log().count(collision) > count for end, count
                               in zip((gateway, client), logged)),
                   f"both ends see the {collision}", 5)
        after = assert_only_one_of_each(client)
        p.wait_received(50)
    assert (p.lost, p.duplicates) == (0, 0)
    if what == "child":
        assert after.unique_id == before.unique_id and after.child.spi_in != before.child.spi_in
    else:
        assert after.initiator_spi != before.initiator_spi and after.child.spi_in == before.child.spi_in


@pytest.mark.parametrize("auth", ["eap-mschapv2", "eap-tls", "pubkey"])
def test_reauthentication_loses_nothing(shared, new_client, auth):
    """make_before_break: the new IKE_SA, with the same inner addresses, stands before the old one is deleted.

    A rekey loses nothing, for the responder keeps to the old CHILD_SA until the new one is in use. Here
    charon's responder uses the new one at once, before the client can have it from the answer that is still
    to be sent: what falls into that moment, at 100 packets a second at most one, is lost with stock as well.
    """
    client = new_client(auth=auth, settings={"make_before_break": True})
    client.connects()
    before, addresses = shared.gw.sa_of(client), client.sa().local_vips
    with ping(client, shared.lan, RATE) as p:
        p.wait_received(20)
        client.sees_new_ike(lambda: client.swanctl("--rekey", "--ike", "gw", "--reauth"))
        p.wait_received(50)
    after = assert_only_one_of_each(client)
    assert after.initiator_spi != before.initiator_spi and after.child.unique_id != before.child.unique_id
    assert client.sa().local_vips == addresses
    print(f"reauthentication with {auth}: {p.lost} of {p.sent} lost")
    assert p.lost <= 1 and p.duplicates == 0, f"lost numbers {p.lost_numbers} of {p.sent}"
