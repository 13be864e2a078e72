# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP against a real freeradius behind the gateway, with accounting, and sessions ended by its
Disconnect-Request."""

import re
import subprocess

import pytest

from ivotest import Lab, Timeout, ping, wait_until
from ivotest.settings import merge_settings
from ivotest.swanctl import client_identity, eap_password, gateway_name

SECRET, DAE_SECRET = "between gateway and RADIUS server", "for disconnect requests"
NAMES = [f"r{number}" for number in range(1, 9)]
ACCOUNTING_START, ACCOUNTING_STOP = "Start", "Stop"

# All that EAP and accounting need, in one file; nothing of /etc/freeradius is read.
RADIUSD_CONF = """
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
pidfile = {folder}/freeradius.pid
security {{
    allow_core_dumps = no
    max_attributes = 200
    reject_delay = 0
    status_server = no
}}
thread pool {{
    start_servers = 2
    max_servers = 4
    min_spare_servers = 1
    max_spare_servers = 2
    max_requests_per_server = 0
}}
modules {{
    files {{
        usersfile = {folder}/users
    }}
    mschap {{
    }}
    eap {{
        default_eap_type = mschapv2
        timer_expire = 60
        md5 {{
        }}
        mschapv2 {{
        }}
    }}
    detail {{
        filename = {folder}/detail
        permissions = 0600
        header = "%t"
    }}
}}
client gateway {{
    ipaddr = {gateway}
    secret = "{secret}"
}}
server default {{
    listen {{
        type = auth
        ipaddr = {address}
        port = 1812
    }}
    listen {{
        type = acct
        ipaddr = {address}
        port = 1813
    }}
    authorize {{
        eap {{
            ok = return
        }}
        files
    }}
    authenticate {{
        Auth-Type MS-CHAP {{
            mschap
        }}
        eap
    }}
    accounting {{
        detail
    }}
}}
"""


class RadiusServer:
    """A freeradius on a host of the lab, for a gateway that reaches it from this address."""

    def __init__(self, host, gateway, folder):
        self.host, self.gateway = host, gateway
        self.folder = folder
        folder.mkdir()
        (folder / "radiusd.conf").write_text(RADIUSD_CONF.format(folder=folder, gateway=gateway,
                                                                 address=host.address4,
                                                                 secret=SECRET), encoding="ascii")
        (folder / "dictionary").write_text("", encoding="ascii")
        users = (f'{client_identity(name)} Cleartext-Password := "{eap_password(name)}"\n'
                 f'\tClass := "class of {name}"\n' for name in NAMES)
        (folder / "users").write_text("\n".join(users), encoding="ascii")
        self.output = folder / "output"

    def __enter__(self):
        with open(self.output, "wb") as output:
            self.process = self.host.namespace.popen(["freeradius", "-f", "-l", "stdout", "-d", self.folder],
                                                     stdout=output, stderr=subprocess.STDOUT)
        wait_until(self._is_ready, "freeradius is ready", 10)
        return self

    def _is_ready(self):
        text = self.output.read_text(encoding="utf-8", errors="replace")
        if self.process.poll() is not None:
            raise Timeout(f"freeradius ended with exit code {self.process.returncode}:\n{text}")
        return "Ready to process requests" in text

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def accounting(self, name, kind):
        """The accounting records of a user, as dicts."""
        file = self.folder / "detail"
        if not file.exists():
            return []
        records = [dict(re.findall(r'^\t([\w-]+) = "?(.*?)"?$', part, re.MULTILINE))
                   for part in re.split(r"\n\n+", file.read_text(encoding="utf-8"))]
        wanted = client_identity(name), kind
        return [record for record in records
                if (record.get("User-Name"), record.get("Acct-Status-Type")) == wanted]

    def the_record(self, name, kind):
        """The only one, once it is there."""
        records = wait_until(lambda: self.accounting(name, kind), f"the accounting {kind} of {name}", 5)
        assert len(records) == 1
        return records[0]

    def disconnect(self, name, secret=DAE_SECRET):
        """Send a Disconnect-Request as an administrator would; returns what radclient says of the answer."""
        return self.host.namespace.run("radclient", "-x", "-r", "1", "-t", "2", f"{self.gateway}:3799",
                                       "disconnect", secret,
                                       stdin=f'User-Name = "{client_identity(name)}"\n', check=False)


@pytest.fixture(scope="module")
def radius(our_plugins):
    """A lab with a gateway that leaves EAP to a RADIUS server on its LAN."""
    options = {"eap-radius": {
        "accounting": True, "accounting_send_class": True,
        "dae": {"enable": True, "secret": DAE_SECRET, "listen": "0.0.0.0", "port": 3799},
        "servers": {"primary": {"address": "192.0.2.10", "secret": SECRET, "auth_port": 1812,
                                "acct_port": 1813}},
    }}
    with Lab(our_plugins) as lab:
        lab.gw = lab.gateway(extra_plugins=["eap-radius"], plugin_options=options)
        lab.nat1 = lab.nat()
        changes = {"local": {"id": gateway_name("eap-radius")}, "remote": {"auth": "eap-radius"}}
        connections = lab.gw.config["connections"]
        connections["eap-radius"] = merge_settings(connections["eap-mschapv2"], changes)
        with RadiusServer(lab.lan, "192.0.2.1", lab.folder / "radius") as lab.radius:
            lab.gw.start()
            lab.names = iter(NAMES)
            yield lab


@pytest.fixture
def new_radius_client(radius):
    """Makes started clients whose password only the RADIUS server knows."""
    made = []

    def make(method="eap-mschapv2"):
        client = radius.client(next(radius.names), behind=radius.nat1, auth="eap-radius")
        client.configure({"connections": {"gw": {"local": {"auth": method}}}})
        made.append(client)
        return client.start()

    yield make
    for client in made:
        radius.remove_client(client)


@pytest.mark.parametrize("method", ["eap-mschapv2", "eap-md5"])
def test_session_with_accounting(radius, new_radius_client, method):
    """Start and Stop tell the same session: user, inner address, NAT endpoint, class, packets, and why it
    ended."""
    client = new_radius_client(method)
    client.connects()
    sa = radius.gw.sa_of(client)
    assert sa.name == "eap-radius" and sa.remote_eap_id == client_identity(client.name)
    with ping(client, radius.lan, rate=100) as p:
        p.wait_sent(30)
    assert p.lost == 0
    inner = client.inner_address()
    client.disconnects()

    start = radius.radius.the_record(client.name, ACCOUNTING_START)
    stop = radius.radius.the_record(client.name, ACCOUNTING_STOP)
    for record in start, stop:
        assert record["Framed-IP-Address"] == inner
        assert record["NAS-IP-Address"] == radius.gw.address4
        assert record["NAS-Port-Id"] == "eap-radius"
        assert record["NAS-Port"] == str(sa.unique_id)
        assert record["Calling-Station-Id"] == f"{sa.remote[0]}[{sa.remote[1]}]"
        assert record["Called-Station-Id"] == f"{radius.gw.address4}[4500]"
        assert bytes.fromhex(record["Class"].removeprefix("0x")).decode() == f"class of {client.name}"
    assert start["Acct-Session-Id"] == stop["Acct-Session-Id"] != ""
    assert "Acct-Input-Packets" not in start
    assert int(stop["Acct-Input-Packets"]) >= p.sent and int(stop["Acct-Output-Packets"]) >= p.sent
    assert int(stop["Acct-Input-Octets"]) >= 84 * p.sent
    assert int(stop["Acct-Session-Time"]) < 30
    assert stop["Acct-Terminate-Cause"] == "User-Request"


def test_a_wrong_password_is_refused(radius, new_radius_client):
    """By the RADIUS server; without a session there is no accounting."""
    client = new_radius_client("eap-md5")
    client.configure({"secrets": {f"eap-{client.name}": {"secret": "wrong"}}})
    result = client.swanctl("--initiate", "--child", "net", "--timeout", "10", check=False)
    assert result.returncode != 0 and "EAP_FAILURE" in result.stdout + result.stderr
    assert not radius.gw.sas_of(client)
    assert not radius.radius.accounting(client.name, ACCOUNTING_START)


def test_disconnect_request(radius, new_radius_client):
    """It ends the SA of the user whom it names and no other; a wrong secret or an unknown user ends none."""
    victim, other = new_radius_client(), new_radius_client()
    for client in victim, other:
        client.connects()
    unique_id = radius.gw.sa_of(victim).unique_id
    with ping(other, radius.lan, rate=100) as p:
        p.wait_received(5)
        ignored = radius.radius.disconnect(victim.name, secret="not the secret")
        assert "Disconnect-ACK" not in ignored.stdout and ignored.returncode != 0
        refused = radius.radius.disconnect("nobody")
        assert "Disconnect-NAK" in refused.stdout
        assert radius.gw.sa_of(victim).unique_id == unique_id

        done = radius.radius.disconnect(victim.name)
        assert "Disconnect-ACK" in done.stdout and done.returncode == 0
        wait_until(lambda: not radius.gw.sas_of(victim) and not victim.list_sas(),
                   "the session has ended at both ends", 5)
        p.wait_received(5)
    assert p.lost == 0
    assert other.is_connected()
    start = radius.radius.the_record(victim.name, ACCOUNTING_START)
    stop = radius.radius.the_record(victim.name, ACCOUNTING_STOP)
    assert start["Acct-Session-Id"] == stop["Acct-Session-Id"] and stop["NAS-Port"] == str(unique_id)
    assert not radius.radius.accounting(other.name, ACCOUNTING_STOP)
