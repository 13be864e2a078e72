# SPDX-License-Identifier: GPL-2.0-or-later
"""`unique = …` with two devices of one user: who stays, who goes, and who else notices (nobody)."""

import pytest

from ivotest import ping, wait_until


@pytest.fixture
def two_devices(shared, new_client):
    """Makes two started clients of one identity, after setting the gateway's policy for their connection.

    initial_contact: whether they say that they know of no other SA of theirs; if they do, even `keep`
    replaces, silently.
    """
    changed = set()

    def make(auth, unique, initial_contact=False):
        changed.add(auth)
        shared.gw.configure({"connections": {auth: {"unique": unique}}})
        first, second = new_client(auth=auth), new_client(auth=auth)
        # Another device, in a network of its own, of the same user.
        second.name = first.name
        if auth == "pubkey":
            second.swanctl.add_credentials([], *shared.pki.client(first.name))
        local = first.config["connections"]["gw"]["local"]
        second.configure({"connections": {"gw": {"local": local}}, "secrets": first.config["secrets"]})
        for device in first, second:
            device.configure({"connections": {"gw": {"unique": None if initial_contact else "never"}}})
        return first, second

    yield make
    for auth in changed:
        shared.gw.configure({"connections": {auth: {"unique": None}}})


def initiate(client):
    return client.swanctl("--initiate", "--child", "net", "--timeout", "10", check=False)


def assert_passes(client):
    with ping(client, client.lab.lan, rate=100) as p:
        p.wait_sent(20)
    assert p.lost == 0


@pytest.mark.parametrize("auth", ["eap-mschapv2", "pubkey"])
def test_replace(shared, two_devices, new_client, auth):
    """The second device gets in, the first one is told that it is out; a bystander loses nothing."""
    first, second = two_devices(auth, "replace")
    bystander = new_client(auth=auth)
    bystander.connects()
    with ping(bystander, shared.lan, rate=100) as p:
        p.wait_received(5)
        first.connects()
        old = shared.gw.sa_of(first).unique_id
        assert initiate(second).returncode == 0
        wait_until(lambda: not first.is_connected(), "the first device is told", 5)
        sa = wait_until(lambda: shared.gw.sa_of(second), "one SA of the user is left", 5)
        assert sa.unique_id != old
        assert sa.remote == shared.nat1.mapping(second).public
        assert_passes(second)
        # The other way round as well: whoever comes last, stays.
        assert initiate(first).returncode == 0
        wait_until(lambda: not second.is_connected(), "the second device is told", 5)
        assert_passes(first)
        p.wait_received(5)
    assert p.lost == 0


@pytest.mark.parametrize("auth", ["eap-mschapv2", "pubkey"])
def test_keep(shared, two_devices, auth):
    """The second device is refused while the first one is there, which notices nothing; then it gets in."""
    first, second = two_devices(auth, "keep")
    first.connects()
    old = shared.gw.sa_of(first).unique_id
    with ping(first, shared.lan, rate=100) as p:
        p.wait_received(5)
        result = initiate(second)
        assert result.returncode != 0 and "AUTH_FAILED" in result.stdout + result.stderr
        p.wait_received(5)
    assert p.lost == 0
    assert shared.gw.sa_of(first).unique_id == old
    assert not second.is_connected()
    first.disconnects()
    assert initiate(second).returncode == 0
    assert_passes(second)


@pytest.mark.parametrize("auth", ["eap-mschapv2", "pubkey"])
def test_never(shared, two_devices, auth):
    """Both devices stay, with inner addresses of their own, although each says INITIAL_CONTACT."""
    first, second = two_devices(auth, "never", initial_contact=True)
    first.connects()
    assert initiate(second).returncode == 0
    sas = wait_until(lambda: len(found := shared.gw.sas_of(first)) == 2 and found,
                     "both devices are connected", 5)
    assert {sa.remote for sa in sas} == {shared.nat1.mapping(device).public for device in (first, second)}
    assert first.inner_address() != second.inner_address()
    with ping(first, shared.lan, rate=100) as p, ping(second, shared.lan, rate=100) as q:
        p.wait_received(20)
        q.wait_received(20)
    assert (p.lost, q.lost) == (0, 0)


def test_no_replaces_on_initial_contact_alone(shared, two_devices):
    """The default, `no`: a device that says INITIAL_CONTACT replaces the other, one that does not leaves
    it."""
    first, second = two_devices("eap-mschapv2", "no")
    first.connects()
    assert initiate(second).returncode == 0
    wait_until(lambda: len(shared.gw.sas_of(first)) == 2, "both devices are connected", 5)
    assert first.is_connected() and second.is_connected()
    second.swanctl("--terminate", "--ike", "gw")
    second.configure({"connections": {"gw": {"unique": None}}})
    assert initiate(second).returncode == 0
    wait_until(lambda: len(shared.gw.sas_of(first)) == 1, "the second device has replaced the first", 5)
    assert shared.gw.sa_of(second).remote == shared.nat1.mapping(second).public
    assert_passes(second)
