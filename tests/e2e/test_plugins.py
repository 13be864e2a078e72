# SPDX-License-Identifier: GPL-2.0-or-later
"""Our three plugins in a real charon: what moves their counters, their switches, options and load order.

A test marked hook("…") proves what that plugin does in charon: tests/mutation/run expects it to fail with the
plugin switched off.
"""

import itertools
import re
import struct

import pytest

from ivotest import OUR_PLUGINS, ExchangeType, ping, wait_until
from ivotest.charon import STOCK_PLUGINS
from ivotest.paths import TOP

SESSIONTABLE, ADAPTIVE_NAT, JITTER = OUR_PLUGINS
EACH_PLUGIN = [pytest.param(plugin, marks=pytest.mark.hook(plugin)) for plugin in OUR_PLUGINS]


@pytest.fixture(autouse=True)
def _need_our_plugins(request, our_plugins):
    """A run without our plugins (--plugins stock) has nothing to show here."""
    wanted = {marker.args[0] for marker in request.node.iter_markers("hook")} or set(OUR_PLUGINS)
    if not wanted <= set(our_plugins):
        pytest.skip(f"the run's gateways do not load {', '.join(sorted(wanted - set(our_plugins)))}")


def catalogue():
    """The message catalogue: {name: format}, with Python's conversions."""
    text = (TOP / "include" / "ivo" / "messages.h").read_text(encoding="utf-8")
    found = re.findall(r'#define IVO_MSG_\w+ "([\w-]+)", \d,[\s\\]*"([^"]*)"', text)
    return {name: message.replace("%llu", "%d").replace("%u", "%d") for name, message in found}


def log_line(plugin, name, *values):
    """The line of the catalogue with these values as it stands in charon's log."""
    return f"{plugin}: [{name}] {catalogue()[name] % values}"


def counters(gateway):
    """The counters of all plugins that move with traffic."""
    stats = gateway.charon.control.stats()
    return {
        SESSIONTABLE: stats[SESSIONTABLE]["served_calls"],
        ADAPTIVE_NAT: stats[ADAPTIVE_NAT]["authenticated_messages"],
        JITTER: stats[JITTER]["ike_sas_established"],
    }


def jitter_moves(gateway, action):
    """By how much an action moves ivo-jitter's counters: (established, IKE_SAs rekeyed, CHILD_SAs
    rekeyed)."""
    names = "ike_sas_established", "ike_sas_rekeyed", "child_sas_rekeyed"
    before = gateway.charon.control.stats()[JITTER]
    action()
    after = gateway.charon.control.stats()[JITTER]
    return tuple(after[name] - before[name] for name in names)


def sent_messages(capture, since=0):
    """The IKE messages that the captured client sent, each once although it may be fragmented."""
    return {(packet.ike.exchange, packet.ike.response, packet.ike.message_id): packet
            for packet in capture.ike(since) if packet.outgoing}


# --- what each hook sees

def test_stats_show_each_plugin(shared):
    stats = shared.gw.charon.control.stats()
    assert set(stats) == set(OUR_PLUGINS)
    assert {plugin: counts["enabled"] for plugin, counts in stats.items()} == dict.fromkeys(OUR_PLUGINS, True)
    assert len({counts["version"] for counts in stats.values()}) == 1
    text = shared.gw.charon.control("stats").stdout
    assert [line for line in text.splitlines() if not line.startswith(" ")] == list(stats)


@pytest.mark.hook(SESSIONTABLE)
def test_a_handshake_goes_through_our_manager(shared, new_client):
    """Each message that reaches the gateway is one checkout by message, and each checkout comes to a
    checkin."""
    client = new_client()
    before = shared.gw.charon.control.stats()[SESSIONTABLE]
    with shared.capture(client) as capture:
        client.connects()
    after = shared.gw.charon.control.stats()[SESSIONTABLE]
    moved = {name: count - before["served"][name] for name, count in after["served"].items()}
    packets = [packet for packet in capture.ike() if packet.outgoing]
    assert len(packets) >= 6, "IKE_SA_INIT and at least five IKE_AUTH requests"
    assert moved["checkout_by_message"] == len(packets)
    assert moved["checkin"] + moved["checkin_and_destroy"] >= len(packets)
    assert after["served_calls"] == sum(after["served"].values())
    assert after["delegated_calls"] == before["delegated_calls"]
    assert after["bypassed_calls"] == before["bypassed_calls"] == 0
    assert after["ike_sas"] == before["ike_sas"] + 1 and after["half_open_ike_sas"] == 0


@pytest.mark.hook(ADAPTIVE_NAT)
def test_each_authenticated_message_counts_once(shared, new_client):
    """All that the client sends from IKE_AUTH on; the IKE_SA_INIT of the handshake is not among it."""
    client = new_client()
    before = counters(shared.gw)[ADAPTIVE_NAT]
    with shared.capture(client) as capture:
        client.connects()
        connected = counters(shared.gw)[ADAPTIVE_NAT]
        mark = capture.mark()
        client.rekeys_child()
        shared.gw.rekeys_ike(client)
    messages = sent_messages(capture)
    handshake = [kind for kind in messages if kind[0] == ExchangeType.IKE_AUTH]
    assert connected - before == len(handshake) >= 5
    assert counters(shared.gw)[ADAPTIVE_NAT] - connected == len(sent_messages(capture, mark)) >= 4


@pytest.mark.hook(ADAPTIVE_NAT)
def test_what_is_not_authenticated_counts_for_nothing(shared, new_client):
    """A stranger's IKE_SA_INIT (which is answered), replays, and forged messages with the right SPIs."""
    client, stranger = new_client(), shared.host("stranger")
    with shared.capture(client) as capture:
        client.connects()
    sent = [packet for packet in capture.ike() if packet.outgoing]
    init, last = sent[0], sent[-1]
    sock = stranger.namespace.socket()
    sock.settimeout(5)
    log, before = shared.gw.charon, counters(shared.gw)[ADAPTIVE_NAT]

    # Another initiator SPI makes the captured IKE_SA_INIT a new one, answered for charon cannot tell.
    sock.sendto(b"\x17" * 8 + init.payload[8:], (shared.gw.address4, 500))
    answer = sock.recv(4096)
    assert answer[:8] == b"\x17" * 8 and answer[18] == ExchangeType.IKE_SA_INIT

    # The client's last request again: answered again, to whoever sent it.
    sock.sendto(last.payload, (shared.gw.address4, 4500))
    assert sock.recv(4096)[4:12] == last.payload[4:12]

    # The next message ID on the same SA, with an integrity check value that cannot be right.
    forged = bytearray(last.payload)
    forged[4 + 18] = ExchangeType.INFORMATIONAL
    forged[4 + 20:4 + 24] = struct.pack("!I", last.ike.message_id + 1)
    refused = "verifying encrypted payload integrity failed"
    failures = log.log().count(refused)
    sock.sendto(bytes(forged), (shared.gw.address4, 4500))
    wait_until(lambda: log.log().count(refused) > failures, "the gateway refuses the forged message", 5)

    assert counters(shared.gw)[ADAPTIVE_NAT] == before
    client.rekeys_child()
    assert counters(shared.gw)[ADAPTIVE_NAT] == before + 2, "the rekey request and its delete do count"


@pytest.mark.hook(JITTER)
def test_rekeys_are_counted_whoever_begins(shared, new_client):
    client = new_client()
    assert jitter_moves(shared.gw, client.connects) == (1, 0, 0)
    assert jitter_moves(shared.gw, client.rekeys_child) == (0, 0, 1)
    assert jitter_moves(shared.gw, lambda: shared.gw.rekeys_child(client)) == (0, 0, 1)
    # The new IKE_SA is one more that became established.
    assert jitter_moves(shared.gw, client.rekeys_ike) == (1, 1, 0)
    assert jitter_moves(shared.gw, lambda: shared.gw.rekeys_ike(client)) == (1, 1, 0)


# --- switches and options

@pytest.mark.parametrize("plugin", EACH_PLUGIN)
def test_switch_at_run_time(shared, new_client, plugin):
    """enabled = no by --reload-settings stops this plugin and no other; back to yes, it goes on where it
    was."""
    gateway, client = shared.gw, new_client()

    def moved_by_a_connection():
        before = counters(gateway)
        client.connects()
        client.disconnects()
        after = counters(gateway)
        return {name for name in OUR_PLUGINS if after[name] > before[name]}

    option = f"charon.plugins.{plugin}.enabled"
    off, on = log_line(plugin, "switched-off", option), log_line(plugin, "switched-on", option)
    lines = gateway.charon.log().count(off), gateway.charon.log().count(on)
    assert moved_by_a_connection() == set(OUR_PLUGINS)
    try:
        gateway.charon.set_plugin_options(plugin, enabled=False)
        gateway.charon.wait_for_log(off, count=lines[0] + 1)
        assert gateway.charon.control.stats()[plugin]["enabled"] is False
        bypassed = gateway.charon.control.stats()[SESSIONTABLE]["bypassed_calls"]
        assert moved_by_a_connection() == set(OUR_PLUGINS) - {plugin}
        now = gateway.charon.control.stats()[SESSIONTABLE]["bypassed_calls"]
        assert (now > bypassed) == (plugin == SESSIONTABLE)
    finally:
        gateway.charon.set_plugin_options(plugin, enabled=True)
    gateway.charon.wait_for_log(on, count=lines[1] + 1)
    assert gateway.charon.control.stats()[plugin]["enabled"] is True
    assert moved_by_a_connection() == set(OUR_PLUGINS)
    gateway.swanctl("--reload-settings")
    again = gateway.charon.log().count(off), gateway.charon.log().count(on)
    assert again == (lines[0] + 1, lines[1] + 1), "a reload that changes nothing is silent"


@pytest.mark.parametrize("plugin", OUR_PLUGINS)
def test_bad_options_are_told_and_charon_goes_on(shared, new_client, plugin):
    gateway = shared.gw
    option = f"charon.plugins.{plugin}"
    try:
        gateway.charon.set_plugin_options(plugin, enabled="perhaps", colour="blue")
        gateway.charon.wait_for_log(
            log_line(plugin, "option-invalid", f"{option}.enabled", "perhaps", "yes or no", "yes"))
        gateway.charon.wait_for_log(log_line(plugin, "option-unknown", f"{option}.colour"))
        assert gateway.charon.control.stats()[plugin]["enabled"] is True, "the default is in force"
        client = new_client()
        client.connects()
        client.disconnects()
    finally:
        gateway.charon.set_plugin_options(plugin, enabled=True, colour=None)


def test_bad_options_at_the_start(lab):
    """All three plugins with bad options, and a control socket that cannot be opened: the gateway serves."""
    bad = {"enabled": "2", "retries": "many"}
    socket = f"unix://{lab.folder}/no/such/folder/charon.ivo"
    gateway = lab.gateway(plugins=OUR_PLUGINS, plugin_options={plugin: bad for plugin in OUR_PLUGINS},
                          settings={"ivo": {"socket": socket}}).start()
    for plugin in OUR_PLUGINS:
        option = f"charon.plugins.{plugin}"
        for line in (log_line(plugin, "option-invalid", f"{option}.enabled", "2", "yes or no", "yes"),
                     log_line(plugin, "option-unknown", f"{option}.retries")):
            assert gateway.charon.log().count(line) == 1
    assert gateway.charon.log().count("[control-failed]") == 1
    assert catalogue()["control-failed"] % socket in gateway.charon.log()
    assert gateway.charon.control("stats", check=False).returncode == 1
    client = lab.client("alice", behind=lab.nat()).start()
    client.connects()
    with ping(client, lab.lan) as p:
        p.wait_sent(20)
    assert p.lost == 0


# --- loading and unloading

@pytest.mark.hook(SESSIONTABLE)
def test_shutdown_gives_the_manager_back(lab):
    """With SAs up; the line's number of calls is what the counter said, and the calls of the shutdown
    itself."""
    gateway = lab.gateway(plugins=OUR_PLUGINS).start()
    client = lab.client("alice", behind=lab.nat()).start()
    client.connects()
    active = log_line(SESSIONTABLE, "manager-active")
    assert gateway.charon.log().count(active) == 1
    told = gateway.charon.control.stats()[SESSIONTABLE]["served_calls"]
    gateway.charon.stop()
    found = re.findall(SESSIONTABLE + r": \[manager-returned\] .*calls served: (\d+), delegated: (\d+), bypassed: (\d+)",
                       gateway.charon.log())
    assert len(found) == 1
    served, delegated, bypassed = map(int, found[0])
    assert log_line(SESSIONTABLE, "manager-returned", served, delegated, bypassed) in gateway.charon.log()
    assert served > told > 0 and delegated == bypassed == 0
    wait_until(lambda: not client.list_sas(), "the gateway's shutdown has told the client", 5)


def test_without_our_plugins_it_is_stock(lab):
    gateway = lab.gateway(plugins=()).start()
    client = lab.client("alice", behind=lab.nat()).start()
    client.connects()
    with ping(client, lab.lan) as p:
        p.wait_sent(20)
    assert p.lost == 0
    assert "ivo-" not in gateway.charon.log()
    assert not gateway.charon.control_socket.exists()
    assert "ivo" not in gateway.swanctl("--stats").stdout
    gateway.charon.stop()


@pytest.fixture(scope="module")
def loading(our_plugins):
    """A lab with a gateway that is started anew with other plugins by each test, and a client of it."""
    from ivotest import Lab
    with Lab(our_plugins) as lab:
        lab.gw = lab.gateway()
        lab.alice = lab.client("alice", behind=lab.nat())
        lab.alice.start()
        yield lab


ORDERS = [(plugin,) for plugin in OUR_PLUGINS] + list(itertools.permutations(OUR_PLUGINS))


@pytest.mark.parametrize("place", ["after-stock", "before-stock"])
@pytest.mark.parametrize("order", ORDERS,
                         ids=lambda order: "+".join(name.removeprefix("ivo-") for name in order))
def test_any_plugin_alone_and_all_in_any_order(loading, order, place):
    """They serve, each counts, all are shown by the socket that whichever came first hosts, and they
    unload."""
    gateway, client = loading.gw, loading.alice
    gateway.charon.plugins = order
    stock_and_ours = [*STOCK_PLUGINS, *order] if place == "after-stock" else [*order, *STOCK_PLUGINS]
    gateway.charon.settings["load"] = " ".join(stock_and_ours)
    gateway.charon.log_file.unlink(missing_ok=True)
    gateway.start()
    client.connects()
    with ping(client, loading.lan) as p:
        p.wait_received(5)
        client.rekeys_child()
    assert p.lost == 0
    stats = gateway.charon.control.stats()
    assert set(stats) == set(order)
    for plugin, name in ((SESSIONTABLE, "served_calls"), (ADAPTIVE_NAT, "authenticated_messages"),
                         (JITTER, "child_sas_rekeyed")):
        assert plugin not in stats or stats[plugin][name] > 0
    client.disconnects()
    gateway.charon.stop()
    assert gateway.charon.log().count("[manager-returned]") == (SESSIONTABLE in order)
    for complaint in ("abi-mismatch", "start-failed", "control-version", "control-failed", "option-"):
        assert complaint not in gateway.charon.log()
