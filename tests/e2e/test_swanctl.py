# SPDX-License-Identifier: GPL-2.0-or-later
"""Each command of swanctl that touches SAs, and `ipsec statusall`, against a gateway with tunnels that carry
traffic."""

import re
import subprocess

import pytest

from ivotest import Lab, ping, wait_until
from ivotest.namespaces import run
from ivotest.swanctl import client_identity


@pytest.fixture
def pair(shared, new_client):
    """Two connected clients of different connections, the only ones.

    A client of an earlier test may still be listed: a charon that ends may be gone before its DELETE is sent.
    """
    clients = new_client(auth="eap-mschapv2"), new_client(auth="psk")
    for sa in shared.gw.list_sas():
        shared.gw.swanctl("--terminate", "--ike-id", str(sa.unique_id), "--force")
    for client in clients:
        client.connects()
    return clients


def listed(gateway, *filters):
    """Unique IDs of the IKE_SAs that --list-sas shows with these filters, each with those of its
    CHILD_SAs."""
    return {sa.unique_id: [child.unique_id for child in sa.children] for sa in gateway.list_sas(*filters)}


def spis(sa):
    """The SPIs of a gateway's IKE_SA as swanctl shows them; the star is for the end that shows it."""
    return f"{sa.initiator_spi:016x}_i {sa.responder_spi:016x}_r*"


# --- looking

def test_list_sas(shared, pair):
    """All of it, by each filter, without waiting for busy SAs, and in words."""
    gateway, (one, two) = shared.gw, pair
    first, second = gateway.sa_of(one), gateway.sa_of(two)
    everything = {first.unique_id: [first.child.unique_id], second.unique_id: [second.child.unique_id]}
    assert listed(gateway) == listed(gateway, "--noblock") == everything
    only_first = {first.unique_id: [first.child.unique_id]}
    assert listed(gateway, "--ike", "eap-mschapv2") == only_first
    assert listed(gateway, "--ike-id", str(first.unique_id)) == only_first
    assert listed(gateway, "--child", "net") == everything
    assert listed(gateway, "--ike-id", str(second.unique_id), "--child", "net") == \
        {second.unique_id: [second.child.unique_id]}
    assert listed(gateway, "--child-id",
                  str(first.child.unique_id))[first.unique_id] == [first.child.unique_id]
    for nothing in (("--ike", "no-such"), ("--ike-id", "4000000000")):
        assert listed(gateway, *nothing) == {}
    text = gateway.swanctl("--list-sas").stdout
    for client, sa in ((one, first), (two, second)):
        assert f"{sa.name}: #{sa.unique_id}, ESTABLISHED, IKEv2, {spis(sa)}" in text
        assert f"remote '{sa.remote_id}' @ {sa.remote[0]}[{sa.remote[1]}]" in text
        assert client.inner_address() in text and client.inner_address(6) in text


def test_stats(shared, pair):
    stats = shared.gw.swanctl.stats()
    assert stats["ikesas"] == {"total": "2", "half-open": "0"}
    assert int(stats["workers"]["total"]) > int(stats["workers"]["idle"]) > 0
    loaded = shared.gw.swanctl("--stats").stdout
    assert all(plugin in loaded for plugin in shared.gw.charon.plugins)


def test_counters(shared, new_client):
    """Of all, of a connection, and back to zero."""
    gateway, client = shared.gw, new_client(auth="psk")

    def counters(*arguments):
        text = gateway.swanctl("--counters", "--pretty", *arguments).stdout
        return {name: int(value) for name, value in re.findall(r"^\s+([\w-]+) = (\d+)$", text, re.MULTILINE)}

    gateway.swanctl("--counters", "--reset")
    gateway.swanctl("--counters", "--reset", "--all")
    client.connects()
    client.rekeys_child()
    client.rekeys_ike()
    of_psk = counters("--name", "psk")
    assert of_psk["child-rekey"] == 1 and of_psk["ike-rekey-resp"] == 1 and of_psk["ike-rekey-init"] == 0
    assert counters()["ike-init-in-req"] == counters()["ike-init-out-resp"] == 1
    assert of_psk["create-child-in-req"] == 2
    gateway.swanctl("--counters", "--reset", "--name", "psk")
    assert not any(counters("--name", "psk").values())
    assert counters()["ike-init-in-req"] == 1


def test_list_pols(shared, new_client):
    """A trap policy that the client installs: its first packet brings the tunnel up."""
    client = new_client(auth="psk")
    assert client.swanctl("--list-pols").stdout.strip() == ""
    client.connects()
    client.disconnects()
    client.configure({"connections": {"gw": {"children": {"local": {
        "local_ts": f"{client.address4}/32", "remote_ts": f"{client.address4}/32", "mode": "pass"}}}}})
    client.swanctl("--install", "--child", "local")
    listing = client.swanctl("--list-pols", "--pass").stdout
    assert "local, PASS" in listing and client.address4 in listing
    assert client.swanctl("--list-pols", "--trap").stdout.strip() == ""
    client.swanctl("--uninstall", "--child", "local")
    assert client.swanctl("--list-pols").stdout.strip() == ""


def test_list_pools_with_leases(shared, pair):
    """Who has which inner address; offline once the tunnel is gone."""
    def leases():
        text = shared.gw.swanctl("--list-pools", "--leases").stdout
        return re.findall(r"^\s+([0-9a-f.:]+)\s+(online|offline)\s+'(.*)'", text, re.MULTILINE)

    one, two = pair
    for client in pair:
        identity = client_identity(client.name)
        for family in (4, 6):
            assert (client.inner_address(family), "online", identity) in leases()
    address = one.inner_address()
    one.disconnects()
    assert (address, "offline", client_identity(one.name)) in leases()
    assert (two.inner_address(), "online", client_identity(two.name)) in leases()
    total = shared.gw.swanctl("--list-pools", "--name", "pool4").stdout
    assert total.startswith("pool4") and "pool6" not in total


def follow(host, arguments, event, action, until):
    """What a following command prints over an action, once a pattern is in it; `event` is the last it
    registers for."""
    ready = f"registered for: {event}"
    registered = host.charon.log().count(ready)
    printed = host.charon.folder / "followed"
    argv = ["stdbuf", "-oL", "swanctl", *arguments, "--uri", f"unix://{host.charon.vici}"]
    with open(printed, "wb") as output, subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT,
                                                         env=host.charon.environment) as process:
        try:
            wait_until(lambda: host.charon.log().count(ready) > registered, f"swanctl {arguments[0]} follows",
                       5)
            action()
            wait_until(lambda: re.search(until, printed.read_text(encoding="utf-8")),
                       f"{arguments[0]} shows {until!r}", 5)
        finally:
            process.terminate()
    return printed.read_text(encoding="utf-8")


def test_monitor_sa(shared, new_client):
    """The tunnel coming and going, with its SAs as they are then."""
    client = new_client(auth="psk")
    seen = []

    def life():
        client.connects()
        seen.append(shared.gw.sa_of(client))
        client.rekeys_ike()
        client.rekeys_child()
        seen.append(shared.gw.sa_of(client))
        client.disconnects()

    text = follow(shared.gw, ["--monitor-sa"], "child-updown", life, r"psk: #\d+, DELETING")
    up, down = seen
    assert f"psk: #{up.unique_id}, ESTABLISHED, IKEv2, {spis(up)}" in text
    assert f"net: #{up.child.unique_id}, reqid {up.child.reqid}, INSTALLED" in text
    assert f"psk: #{down.unique_id}, DELETING" in text
    assert f"{up.child.spi_in:08x}" in text and f"{down.child.spi_in:08x}" in text


def test_log(shared, new_client):
    """--log shows the daemon's log as it is written."""
    client = new_client(auth="psk")
    text = follow(shared.gw, ["--log"], "log", client.connects, r"CHILD_SA net\{\d+\} established")
    assert re.search(r"IKE_SA psk\[\d+\] established between", text)


# --- acting

def test_initiate_and_terminate_by_name(shared, new_client):
    """From the client: a child, the IKE_SA alone, a second child on it."""
    client = new_client(auth="psk")
    client.swanctl("--initiate", "--ike", "gw")
    assert client.sa().children == ()
    client.swanctl("--initiate", "--child", "net", "--ike", "gw")
    sa = client.sa()
    assert sa.child
    client.swanctl("--terminate", "--child", "net")
    assert client.sa().unique_id == sa.unique_id and client.sa().children == ()
    wait_until(lambda: shared.gw.sa_of(client).children == (), "the gateway has closed the child", 5)
    client.swanctl("--terminate", "--ike", "gw")
    assert not client.list_sas()
    wait_until(lambda: not shared.gw.sas_of(client), "the gateway has closed the SA", 5)
    assert client.swanctl("--initiate", "--child", "no-such", check=False).returncode != 0
    assert client.swanctl("--terminate", "--ike", "gw", check=False).returncode != 0


@pytest.mark.parametrize("by", ["ike", "ike-id", "child", "child-id", "force"])
def test_terminate_at_the_gateway(shared, pair, by):
    """It ends what is named, tells the client, and leaves the other tunnel alone."""
    gateway, (victim, other) = shared.gw, pair
    sa = gateway.sa_of(victim)
    arguments = {
        "ike": ["--ike", sa.name], "ike-id": ["--ike-id", str(sa.unique_id)],
        "child": ["--child", "net", "--ike", sa.name], "child-id": ["--child-id", str(sa.child.unique_id)],
        "force": ["--ike-id", str(sa.unique_id), "--force"],
    }[by]
    with ping(other, shared.lan, rate=100) as p:
        p.wait_received(5)
        gateway.swanctl("--terminate", *arguments)
        if by.startswith("child"):
            wait_until(lambda: gateway.sa_of(victim).children == () and victim.sa().children == (),
                       "the child is gone at both ends", 5)
            assert gateway.sa_of(victim).unique_id == sa.unique_id
        else:
            wait_until(lambda: not gateway.sas_of(victim), "the gateway's SA is gone", 5)
            wait_until(lambda: not victim.list_sas(), "the client is told", 5)
        p.wait_received(5)
    assert p.lost == 0
    assert gateway.swanctl("--terminate", "--ike-id", "4000000000", check=False).returncode != 0


@pytest.mark.parametrize("by", ["ike", "ike-id", "child", "child-id", "reauth"])
def test_rekey_at_the_gateway(shared, pair, by):
    """By each way to name an SA; the other tunnel keeps its SAs."""
    gateway, (client, other) = shared.gw, pair
    sa, untouched = gateway.sa_of(client), gateway.sa_of(other)
    arguments = {
        "ike": ["--ike", sa.name], "ike-id": ["--ike-id", str(sa.unique_id)],
        "child": ["--child", "net", "--ike", sa.name], "child-id": ["--child-id", str(sa.child.unique_id)],
        "reauth": ["--ike-id", str(sa.unique_id), "--reauth"],
    }[by]
    if by == "reauth":
        # A gateway cannot reauthenticate an EAP client; the client has to. The SA stays.
        gateway.swanctl("--rekey", *arguments, check=False)
        with ping(client, shared.lan, rate=100) as p:
            p.wait_received(20)
        assert p.lost == 0 and gateway.sa_of(client).unique_id == sa.unique_id
    elif by.startswith("ike"):
        client.sees_new_ike(lambda: gateway.swanctl("--rekey", *arguments))
        assert gateway.sa_of(client).initiator_spi != sa.initiator_spi
    else:
        client.sees_new_child(lambda: gateway.swanctl("--rekey", *arguments))
        assert gateway.sa_of(client).unique_id == sa.unique_id
    after = gateway.sa_of(other)
    assert (after.unique_id, after.child.unique_id) == (untouched.unique_id, untouched.child.unique_id)


def test_rekey_of_what_is_not_there(shared, pair):
    for arguments in (("--ike", "no-such"), ("--ike-id", "4000000000"), ("--child", "no-such"),
                      ("--child-id", "4000000000")):
        result = shared.gw.swanctl("--rekey", *arguments, check=False)
        assert result.returncode != 0 or "0 SA" in result.stdout, result


# --- loading under traffic

def test_loading_under_traffic(shared, pair):
    """--load-all ten times with changes, and its parts: neither tunnel loses a packet, the SAs stay the
    same."""
    gateway, (one, two) = shared.gw, pair
    before = listed(gateway)
    with ping(one, shared.lan, rate=100) as p, ping(two, shared.lan, rate=100, family=6) as q:
        p.wait_received(10)
        for number in range(10):
            gateway.configure({
                "connections": {"eap-md5": {"dpd_delay": f"{30 + number}s"}, f"extra{number}": {
                    "version": 2, "local": {"auth": "psk"}, "remote": {"auth": "psk"}}},
                "secrets": {f"eap-extra{number}": {"id": f"extra{number}@ivo.test", "secret": "x"}},
            })
        for command in ("--load-conns", "--load-creds", "--load-pools", "--load-authorities",
                        "--reload-settings",
                        "--flush-certs"):
            gateway.swanctl(command)
        gateway.configure({"connections": {"eap-md5": {"dpd_delay": None},
                                           **{f"extra{n}": None for n in range(10)}},
                           "secrets": {f"eap-extra{n}": None for n in range(10)}})
        p.wait_received(20)
        q.wait_received(20)
    assert (p.lost, q.lost) == (0, 0)
    assert listed(gateway) == before
    assert "extra" not in gateway.swanctl("--list-conns").stdout


def test_a_loaded_change_is_for_new_tunnels(shared, new_client):
    """A connection that is loaded with other selectors: the tunnel that stands keeps its own."""
    gateway, client, late = shared.gw, new_client(auth="psk"), new_client(auth="psk")
    client.connects()
    networks = gateway.config["connections"]["psk"]["children"]["net"]["local_ts"]
    try:
        gateway.configure({"connections": {"psk": {"children": {"net": {"local_ts": [networks[0]]}}}}})
        late.connects()
        assert gateway.sa_of(late).child.local_ts == (networks[0],)
        assert gateway.sa_of(client).child.local_ts == tuple(networks)
    finally:
        gateway.configure({"connections": {"psk": {"children": {"net": {"local_ts": networks}}}}})


def test_flush_certs(shared, new_client):
    """Cached certificates go, a client with a certificate still gets in."""
    client = new_client(auth="pubkey")
    client.connects()
    client.disconnects()
    for kind in ("x509", "x509_crl", "ocsp_response"):
        shared.gw.swanctl("--flush-certs", "--type", kind)
    client.connects()
    assert f"CN={client.name}" in shared.gw.swanctl("--list-certs").stdout or shared.gw.sa_of(client)


def test_reload_settings_changes_the_log_level(shared, new_client):
    """strongswan.conf is read again by the running daemon."""
    charon, client = shared.gw.charon, new_client(auth="psk")
    try:
        charon.settings["filelog"] = {"log": {"net": 2}}
        charon.write_settings()
        shared.gw.swanctl("--reload-settings")
        client.connects()
        assert re.search(r"\[NET\] waiting for data on sockets", charon.log())
    finally:
        del charon.settings["filelog"]
        charon.write_settings()
        shared.gw.swanctl("--reload-settings")


# --- stroke

def test_ipsec_statusall(our_plugins):
    """The old command, where its plugin is loaded, walks the same SAs."""
    with Lab(our_plugins) as lab:
        gateway = lab.gateway(extra_plugins=["stroke"])
        gateway.charon.plugin_options["stroke"] = {"socket": f"unix://{gateway.charon.folder}/charon.ctl"}
        gateway.start()
        clients = [lab.client(auth, behind=lab.nats[0] if lab.nats else lab.nat(), auth=auth).start()
                   for auth in ("eap-mschapv2", "psk")]
        for client in clients:
            client.connects()
        for command in ("statusall", "status"):
            # `ipsec statusall` itself looks for the PID file of a charon that its own starter has started,
            # and then does this.
            text = run("ipsec", "stroke", command, env=gateway.charon.environment).stdout
            for client in clients:
                sa = gateway.sa_of(client)
                assert f"{sa.name}[{sa.unique_id}]: ESTABLISHED" in text
                assert f"{sa.remote[0]}[{sa.remote_id}]" in text
                assert f"{sa.child.spi_in:08x}_i {sa.child.spi_out:08x}_o" in text
        text = run("ipsec", "stroke", "statusall", env=gateway.charon.environment).stdout
        assert "Security Associations (2 up, 0 connecting):" in text
        assert all(plugin in text for plugin in gateway.charon.plugins)
