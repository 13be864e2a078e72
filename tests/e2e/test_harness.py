# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the harness itself: what it says must be so, above all when it says that something is not."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from ivotest import CharonFailed, Lab, Namespace, NotHealed, assert_healed, ping, remove_leftovers, wait_until
from ivotest.paths import RUN
from ivotest.settings import format_settings, merge_settings
from ivotest.swanctl import parse_pretty

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def test_stock_rebinding_is_not_healed(lab):
    """Stock charon with libipsec goes on sending to the old port: no answers, and nothing else changed."""
    gateway, nat = lab.gateway(plugins=()).start(), lab.nat()
    client = lab.client("alice", behind=nat).start()
    client.connects()
    with pytest.raises(NotHealed) as caught:
        with assert_healed(client, within=1) as healing:
            nat.rebind(client)
    assert caught.value.reasons == {"ping"}
    assert healing.lost > 0
    assert healing.mapping_before.public_port != healing.mapping_after.public_port
    assert gateway.sa_of(client).remote[1] == healing.mapping_before.public_port


def test_healed_needs_all_three(lab):
    """Healed when the ping goes on; not when it does so by a new CHILD_SA, or by the client's IKE."""
    gateway, nat = lab.gateway(plugins=()).start(), lab.nat()
    client = lab.client("alice", behind=nat).start()
    client.connects()

    with assert_healed(client, moved=False) as healing:
        nat.namespace.ip("link set outside down")
        healing.ping.wait_sent(5)
        nat.namespace.ip("link set outside up", "route replace default via 198.51.100.254",
                         "address replace 2001:db8:1::c/64 dev outside nodad")
    assert healing.lost >= 4

    with pytest.raises(NotHealed) as caught:
        with assert_healed(client, moved=False):
            gateway.rekeys_child(client)
    assert caught.value.reasons == {"child", "ike"}

    with pytest.raises(NotHealed) as caught:
        with assert_healed(client, moved=False):
            client.rekeys_ike()
    assert caught.value.reasons == {"ike"}

    with pytest.raises(ValueError, match="nothing was tested"):
        with assert_healed(client):
            pass


@pytest.mark.parametrize("auth", ["eap-mschapv2", "eap-md5", "eap-tls", "pubkey", "psk"])
def test_authentication(shared, new_client, auth):
    client = new_client(auth=auth)
    client.connects()
    with ping(client, shared.lan, rate=100) as p:
        p.wait_sent(20)
    assert (p.lost, p.duplicates) == (0, 0)
    with ping(client, shared.lan, rate=100, family=6) as p:
        p.wait_sent(20)
    assert p.lost == 0
    client.disconnects()


# --- CGNAT

def exchange(client, server, port):
    """One packet from a client to a server: the endpoint that the server sees."""
    client.sendto(b"out", (server.getsockname()[0], port))
    return server.recvfrom(100)[1][:2]


def passes_back(server, endpoint, client):
    """Whether a packet from the server to a public endpoint reaches the client."""
    server.sendto(b"back", endpoint)
    try:
        return client.recv(100) == b"back"
    except TimeoutError:
        return False


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def natted(request):
    """Makes a NAT with these options, a host behind it and a server, with their sockets."""
    family = request.param
    with Lab() as lab:
        def make(**options):
            nat = lab.nat(**options)
            host, server = lab.host("host", behind=nat), lab.host("server")
            sockets = []
            for machine in (host, server):
                sock = machine.namespace.socket(FAMILIES[family])
                sock.bind((machine.address(family), 4500))
                sock.settimeout(0.3)
                sockets.append(sock)
            return nat, host, *sockets
        yield make


def test_rebinding_gives_another_port_each_time(natted):
    nat, host, client, server = natted()
    seen = [exchange(client, server, 4500)]
    for number in range(6):
        nat.rebind(host, new_address=number == 3)
        assert nat.mapping(host) is None
        assert not passes_back(server, seen[-1], client), "a forgotten mapping must not pass packets"
        seen.append(exchange(client, server, 4500))
        assert seen[-1][1] != seen[-2][1]
        assert (seen[-1][0] != seen[-2][0]) == (number == 3)
        assert nat.mapping(host).public == seen[-1]
        assert passes_back(server, seen[-1], client)


def test_rebinding_of_one_client_leaves_the_others(lab):
    nat, server = lab.nat(), lab.host("server")
    inside = server.namespace.socket()
    inside.bind((server.address4, 4500))
    inside.settimeout(1)
    hosts = [lab.host(f"host{number}", behind=nat) for number in range(3)]
    sockets = [host.namespace.socket() for host in hosts]
    before = [exchange(sock, inside, 4500) for sock in sockets]
    nat.rebind(hosts[1])
    after = [exchange(sock, inside, 4500) for sock in sockets]
    assert [old == new for old, new in zip(before, after)] == [True, False, True]


def test_nothing_comes_in_without_a_mapping(natted):
    nat, host, client, server = natted()
    address, port = exchange(client, server, 4500)
    assert not passes_back(server, (address, port + 1), client)
    assert len(nat.mappings(host)) == 1


@pytest.mark.parametrize("inbound_refresh", [True, False])
def test_what_refreshes_a_mapping(natted, inbound_refresh):
    """A mapping of 2 s: inbound packets keep it if the NAT refreshes on them, outbound ones always."""
    nat, host, client, server = natted(udp_timeout=2, inbound_refresh=inbound_refresh)
    endpoint = exchange(client, server, 4500)
    started = time.monotonic()
    passed = []
    while (age := time.monotonic() - started) < 3.5:
        passed.append((age, passes_back(server, endpoint, client)))
        threading.Event().wait(0.3)
    assert all(ok for age, ok in passed if age < 1.5), passed
    assert all(ok == inbound_refresh for age, ok in passed if age > 2.5), passed
    assert (nat.mapping(host) is not None) == inbound_refresh

    endpoint = exchange(client, server, 4500)
    started = time.monotonic()
    while time.monotonic() - started < 3.5:
        assert exchange(client, server, 4500) == endpoint
        threading.Event().wait(0.3)
    assert passes_back(server, endpoint, client)


def test_a_mapping_expires(natted):
    nat, host, client, server = natted(udp_timeout=1)
    endpoint = exchange(client, server, 4500)
    assert nat.mapping(host).expires_in <= 1
    wait_until(lambda: nat.mapping(host) is None, "the mapping expires", within=3)
    assert not passes_back(server, endpoint, client)


# --- ping, capture, delay

@pytest.mark.parametrize("family", [4, 6])
def test_ping_counts_exactly(lab, family):
    """Every tenth packet is dropped on the way, and counted by the dropper."""
    a, b = lab.host("a"), lab.host("b")
    kind = "icmp type echo-request" if family == 4 else "icmpv6 type echo-request"
    with ping(a, b, rate=200, family=family) as p:
        p.wait_received(2)
    assert p.lost == 0
    b.namespace.nft(f"table inet drops {{\ncounter dropped {{ }}\n"
                    f"chain input {{\ntype filter hook input priority 0;\n"
                    f"{kind} numgen inc mod 10 == 9 counter name dropped drop\n}}\n}}\n")
    with ping(a, b, rate=200, family=family) as p:
        p.wait_sent(300)
    listing = json.loads(b.namespace.run("nft", "-j", "list", "counter", "inet", "drops", "dropped").stdout)
    assert p.lost == listing["nftables"][1]["counter"]["packets"]
    assert p.lost == p.sent // 10
    assert p.lost_numbers == list(range(9, p.sent, 10))
    assert p.send_errors == p.duplicates == 0


def test_capture_misses_nothing(lab):
    a, b = lab.host("a"), lab.host("b")
    capture = lab.capture(b)
    sock, receiver = a.namespace.socket(), b.namespace.socket()
    receiver.bind((b.address4, 4500))
    for number in range(2000):
        sock.sendto(b"\x11\x22\x33\x44" + number.to_bytes(4, "big") + b"esp", (b.address4, 4500))
        receiver.recv(100)
    mark = capture.mark()
    assert mark == 2000
    sock.sendto(b"\xff", (b.address4, 4500))
    assert [packet.keepalive for packet in capture.packets(mark)] == [True]
    capture.stop()
    assert [packet.esp.sequence for packet in capture.esp()] == list(range(2000))
    assert {packet.esp.spi for packet in capture.esp()} == {0x11223344}
    assert {packet.source[0] for packet in capture.packets()} == {a.address4}


def test_capture_reads_ike(shared, new_client):
    client = new_client()
    with shared.capture(client) as capture:
        client.connects()
        with ping(client, shared.lan) as p:
            p.wait_received(3)
    init, answer = capture.ike()[:2]
    assert (init.ike.exchange, init.ike.message_id) == (34, 0)
    assert init.ike.from_initiator and not init.ike.response
    assert init.ike.payload_types == (33, 34, 40, 41, 41, 41, 41, 41)
    assert not init.ike.marker and init.destination == (shared.gw.address4, 500) and init.outgoing
    assert answer.ike.response and not answer.ike.from_initiator and 16388 in answer.ike.notifies()
    assert init.ike.length == len(init.payload)
    auth = capture.ike()[2]
    assert auth.ike.exchange == 35 and auth.ike.marker and auth.ike.payload_types == (46,)
    assert auth.destination == (shared.gw.address4, 4500)
    sa = client.sa()
    assert (auth.ike.initiator_spi, auth.ike.responder_spi) == (sa.initiator_spi, sa.responder_spi)
    assert {packet.esp.spi for packet in capture.esp()} == {sa.child.spi_in, sa.child.spi_out}


def test_delay(lab):
    """A round trip of 25 ms: half the pings within 1 ms of it, NAT detection as without."""
    gateway, nat = lab.gateway(plugins=(), round_trip=0.025).start(), lab.nat()
    client = lab.client("alice", behind=nat).start()
    host = lab.host("host")
    with ping(host, gateway, rate=50) as p:
        p.wait_received(100)
    trips = sorted(p.round_trips())
    median = trips[len(trips) // 2]
    print(f"round trips: min {trips[0] * 1e3:.2f} median {median * 1e3:.2f} max {trips[-1] * 1e3:.2f} ms")
    assert p.lost == 0
    assert 0.025 <= trips[0] and median < 0.026
    client.connects()
    assert client.sa().nat_local and gateway.sa_of(client).nat_remote
    with ping(client, lab.lan, rate=50) as p:
        p.wait_received(20)
    assert p.lost == 0 and min(p.round_trips()) >= 0.025


# --- rekeying, moving

@pytest.mark.parametrize("who", ["client", "gateway"])
def test_rekey_verbs(shared, new_client, who):
    client = new_client()
    client.connects()
    before = shared.gw.sa_of(client)
    with ping(client, shared.lan, rate=100) as p:
        child = client.rekeys_child() if who == "client" else shared.gw.rekeys_child(client)
        assert child.unique_id != before.child.unique_id and child.spi_in != before.child.spi_in
        ike = client.rekeys_ike() if who == "client" else shared.gw.rekeys_ike(client)
        assert ike.unique_id != before.unique_id and ike.initiator_spi != before.initiator_spi
        p.wait_received(20)
    assert p.lost == 0


def test_client_changes_networks(shared, new_client):
    """MOBIKE tells the gateway the new address."""
    client, nat = new_client(), shared.nat()
    client.connects()
    client.moves_behind(nat)
    wait_until(lambda: shared.gw.sa_of(client).remote[0] in nat.public4,
               "the gateway sees the client's new address", 15)
    with ping(client, shared.lan) as p:
        p.wait_received(20)


# --- life and death of charons and labs

def test_a_crash_is_told(lab):
    gateway = lab.gateway(plugins=()).start()
    os.kill(gateway.charon.pid, signal.SIGSEGV)
    gateway.charon.process.wait()
    with pytest.raises(CharonFailed, match="(?s)SIGSEGV|exit code|SIGABRT.*end of .*charon.log"):
        lab.check_alive()


def test_a_charon_that_does_not_end_is_told(lab):
    gateway = lab.gateway(plugins=()).start()
    os.kill(gateway.charon.pid, signal.SIGSTOP)
    with pytest.raises(CharonFailed, match="did not end within"):
        gateway.charon.stop(within=0.5)


def test_a_charon_that_does_not_start_is_told(lab):
    gateway = lab.gateway(plugins=(), settings={"load": "random nonce"})
    with pytest.raises(CharonFailed, match="ended with exit code"):
        gateway.start()


def test_a_charon_ends_and_starts_again(lab):
    gateway = lab.gateway(plugins=()).start()
    assert gateway.charon.stop() < 5
    gateway.start()
    assert gateway.swanctl.stats()["ikesas"]["total"] == "0"


KILLED_RUN = """
    import sys, threading
    sys.path.insert(0, {folder!r})
    from ivotest import Lab
    with Lab() as lab:
        lab.gateway().start()
        print(lab.prefix, flush=True)
        threading.Event().wait(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing(number):
    """SIGINT and SIGTERM: the run cleans up itself. SIGKILL: the next one does."""
    script = textwrap.dedent(KILLED_RUN.format(folder=str(Path(__file__).parent)))
    # Whoever runs the tests in the background may have SIGINT ignored, which is inherited.
    with subprocess.Popen(["env", "--default-signal=INT", sys.executable, "-c", script], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as run:
        prefix = run.stdout.readline().strip()
        charon = Namespace(f"{prefix}-gw").pids()
        assert len(charon) == 1
        run.send_signal(number)
        run.wait(20)
    if number == signal.SIGKILL:
        assert prefix in remove_leftovers()
    assert not list(Path("/run/netns").glob(f"{prefix}*"))
    assert not (RUN / prefix).exists()
    wait_until(lambda: _has_ended(charon[0]), "charon has ended", 2)


def _has_ended(pid):
    """Gone, or a zombie that nobody has waited for yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_host_stays_as_it_is():
    def state():
        commands = ("ip -o link", "ip -o address", "ip rule", "ip route show table all", "nft list ruleset",
                    f"find /etc -newer {stamp}")
        return [subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
                for command in commands]

    with Lab() as lab:
        stamp = str(lab.folder / "lab.json")
        before = state()
        gateway = lab.gateway(plugins=()).start()
        client = lab.client("alice", behind=lab.nat()).start()
        client.connects()
        assert gateway.sa_of(client)
        stamp_after = state()
    assert before == stamp_after


# --- our plugins

def test_plugins_are_dropped_in(lab, our_plugins):
    """A gateway loads the plugins chosen for the run, and only these; a gateway may choose others."""
    gateway = lab.gateway().start()
    loaded = gateway.swanctl("--stats").stdout.split("loaded plugins:")[1].split()
    assert [name for name in loaded if name.startswith("ivo-")] == list(our_plugins)
    stock = lab.gateway("gw2", plugins=()).start()
    assert "ivo-" not in stock.swanctl("--stats").stdout
    if our_plugins:
        assert sorted(gateway.charon.control.stats()) == sorted(our_plugins)


def test_plugin_options_reach_a_running_charon(lab, our_plugins):
    if not our_plugins:
        pytest.skip("this run is with stock charon only (--plugins stock)")
    plugin = our_plugins[0]
    gateway = lab.gateway(plugin_options={plugin: {"enabled": False}}).start()
    assert gateway.charon.control.stats()[plugin]["enabled"] is False
    gateway.charon.set_plugin_options(plugin, enabled=True)
    wait_until(lambda: gateway.charon.control.stats()[plugin]["enabled"],
               "the plugin is enabled by --reload-settings", 5)


# --- settings

def test_settings_are_merged_and_written():
    merged = merge_settings({"a": {"b": 1, "c": True}, "d": ["x", "y"]},
                            {"a": {"b": None, "e": 'quote " and \\'}})
    assert format_settings(merged) == 'a {\n\tc = yes\n\te = "quote \\" and \\\\"\n}\nd = "x,y"\n'


def test_lists_of_swanctl_are_read():
    text = textwrap.dedent("""\
        list-sa event {
          gw {
            remote-id = C=CH, O=a b, CN=c = d
            local-vips = [
              192.0.2.1
              ::1
            ]
            empty =
            child-sas {
            }
          }
        }
        list-sas reply {
        }
        """)
    gw = {"remote-id": "C=CH, O=a b, CN=c = d", "local-vips": ["192.0.2.1", "::1"], "empty": "",
          "child-sas": {}}
    assert parse_pretty(text) == [("list-sa event", {"gw": gw}), ("list-sas reply", {})]
