#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of ./demo. A step is a method with a docstring for its heading, listed in STEPS; it prints in
plain words what it shows, and raises (check) when that is not so.
"""

import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ivotest import Lab, OUR_PLUGINS, failure_folder, ping, remove_leftovers, wait_until  # noqa: E402
from ivotest.paths import built_ivoctl  # noqa: E402
from ivotest.swanctl import client_identity  # noqa: E402

HOW = {"alice": ("eap-mschapv2", "EAP-MSCHAPv2: a password, after the gateway has shown its certificate"),
       "bob": ("eap-tls", "EAP-TLS: a client certificate inside EAP"),
       "carol": ("pubkey", "a client certificate in IKE itself")}


class StepFailed(AssertionError):
    """A step does not do what it says."""


def check(condition, problem):
    if not condition:
        raise StepFailed(problem)


def say(text, indent="  "):
    working.clear()
    print(textwrap.fill(" ".join(text.split()), 110, initial_indent=indent, subsequent_indent=indent),
          flush=True)


def show(text, indent="    "):
    """Output of a command, as it is."""
    print(textwrap.indent(text.rstrip(), indent), flush=True)


class working:
    """A progress line on what takes more than two seconds."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._tell, daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.clear()

    def _tell(self):
        if self.done.wait(2.0):
            return
        if not sys.stdout.isatty():
            print(f"  ({self.what} …)", flush=True)
            return
        started = time.monotonic() - 2.0
        while not self.done.wait(0.5):
            print(f"\r  {self.what} … {time.monotonic() - started:.0f} s", end="", flush=True)

    @staticmethod
    def clear():
        """Wipe the line off the terminal, for what is to be read."""
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)


class Demo:
    """What the steps share."""

    def __init__(self, lab):
        self.lab = lab

    # --- steps

    def start(self):
        """A gateway, a CGNAT and three clients"""
        lab = self.lab
        with working("starting five charons"):
            self.gateway = lab.gateway().start()
            self.second = lab.gateway("gw2").start()
            self.nat = lab.nat()
            self.clients = [lab.client(name, behind=self.nat, auth=auth) for name, (auth, _) in HOW.items()]
            self.alice, self.bob, self.carol = self.clients
            # The only one that tests her path when nothing has come in for a second.
            self.alice.configure({"connections": {"gw": {"dpd_delay": "1s"}}})
            for client in self.clients:
                client.start()
        version = self.gateway.swanctl("--version", "--daemon", check=False).stdout.strip() or "charon"
        say(f"""Each machine is a network namespace named {lab.prefix}-…; the gateway runs Debian's own,
            unpatched {version} with {', '.join(OUR_PLUGINS)} dropped in next to its plugins, the clients
            run it without them. The clients' packets pass a NAT that gives each a random port of
            {self.nat.public4[0]}.""")

    def connect(self):
        """Three clients connect, each in its own way"""
        with self.lab.capture(self.nat) as capture:
            for client in self.clients:
                started = time.monotonic()
                with working(f"{client.name} connects"):
                    client.connects()
                took = (time.monotonic() - started) * 1000
                mapping = self.nat.mapping(client)
                seen = self.gateway.sa_of(client)
                check(seen.remote == mapping.public,
                      f"the gateway sees {client.name} at {seen.remote}, not {mapping.public}")
                check(seen.nat_remote, f"the gateway did not notice that {client.name} is behind a NAT")
                say(f"{client.name}: {HOW[client.name][1]}")
                say(f"""inner addresses {client.inner_address()} and {client.inner_address(6)}; from
                    {mapping.inside_address} port {mapping.inside_port}, which the NAT turns into
                    {mapping.public_address} port {mapping.public_port}; {took:.0f} ms with swanctl""",
                    indent="    ")
        packets = capture.ike()
        for client in self.clients:
            identity = client_identity(client.name).encode()
            check(not any(identity in packet.payload for packet in packets),
                  f"the identity of {client.name} is in the clear")
        say(f"""Nobody's identity is in the clear: in the {len(packets)} captured IKE packets no name of
            theirs occurs.""")

    def ping_all(self):
        """Traffic through the tunnels"""
        lan = self.lab.lan
        with self.lab.capture(self.nat, f"host {lan.address4} or host {lan.address6}") as leaks:
            for client in self.clients:
                for family in (4, 6):
                    with ping(client, lan, 50, family) as pings:
                        pings.wait_sent(20)
                    check(pings.lost == 0, f"{pings.lost} of {pings.sent} pings from {client.name} were lost")
                    median = sorted(pings.round_trips())[pings.received // 2]
                    say(f"""{client.name}: {pings.sent} IPv{family} pings from
                        {client.inner_address(family)} to {lan.address(family)} behind the gateway,
                        {pings.lost} lost, median {median * 1000:.1f} ms""")
        check(leaks.frames() == 0, "inner packets went out unprotected")
        say("None of them was to be seen outside a tunnel.")

    def list_sas(self):
        """swanctl --list-sas, as always"""
        show(self.gateway.swanctl("--list-sas").stdout)
        check(len(self.gateway.list_sas()) == 3, "the gateway does not list three IKE_SAs")

    def stats(self):
        """The plugins' own view: ivoctl stats"""
        show(self.gateway.charon.control("stats").stdout)
        stats = self.gateway.charon.control.stats()
        check(sorted(stats) == sorted(OUR_PLUGINS), f"not all plugins answer: {stats}")
        check(all(plugin["enabled"] for plugin in stats.values()), f"not all plugins are enabled: {stats}")
        calls = stats["ivo-sessiontable"]
        check(calls["served_calls"] > 0 and calls["delegated_calls"] == 0, f"charon's own manager is in use: {calls}")
        say(f"""The session table stands in the place of charon's IKE_SA manager: it served {calls["served_calls"]}
            calls so far, and handed none on to charon's own.""")

    def rebind(self):
        """The NAT moves a client's port"""
        with working("bob's pings get no answer"):
            lost, recovered = self._rebind(self.bob, lambda pings: pings.wait_sent(60))
        check(lost and not recovered, "bob lost nothing: the tunnel healed by itself, so this step's text is out of date")
        say("""Stock charon with the userland ESP of this demo learns nothing from that: it decrypts what
            comes from the new port and answers to the old one. (With the kernel's ESP it follows, and loses
            one packet.) This build's ivo-adaptive-nat does not change that yet.""")
        child = self.gateway.sa_of(self.alice).child.unique_id
        with working("alice notices"):
            # The baseline against which the client's next DPD exchange finds the NAT changed.
            probes = self.alice.charon.log().count("sending DPD request")
            self.alice.charon.wait_for_log("sending DPD request", count=probes + 1)
            lost, recovered = self._rebind(self.alice, lambda pings: pings.wait_received(20))
        renewed = self.gateway.sa_of(self.alice).child.unique_id
        check(recovered, "alice's tunnel did not come back")
        check(renewed != child, "alice still has her CHILD_SA, so this step's text is out of date")
        say(f"""What heals it in stock charon is the client: alice probes the gateway (DPD with MOBIKE's NAT
            detection) when nothing has come in for a second. {lost} pings lost, and the CHILD_SA made again
            (#{child} became #{renewed}).""")
        with working("bob connects again"):
            self.bob.disconnects()
            self.bob.connects()
        say("bob does not probe; he had to connect again.")

    def rekey_child(self):
        """A CHILD_SA is rekeyed under a running ping"""
        self._rekey("CHILD_SA", self.alice, lambda: self.gateway.rekeys_child(self.alice),
                    lambda: self.gateway.sa_of(self.alice).child.unique_id)

    def rekey_ike(self):
        """An IKE_SA is rekeyed under a running ping"""
        self._rekey("IKE_SA", self.bob, lambda: self.gateway.rekeys_ike(self.bob),
                    lambda: self.gateway.sa_of(self.bob).unique_id)

    def redirect(self):
        """swanctl --redirect sends a client to a second gateway"""
        before = self.carol.inner_address()
        self.gateway.redirects(self.carol, self.second.address4)
        with working("carol goes there"):
            wait_until(lambda: self.second.sas_of(self.carol) and not self.gateway.sas_of(self.carol),
                       "carol is at the second gateway only", 10, watch=self.lab.charons)
        self.carol.gateway = self.second
        with ping(self.carol, self.lab.lan, 50) as pings:
            pings.wait_received(20)
        check(pings.lost == 0, f"{pings.lost} pings were lost through the second gateway")
        say(f"""swanctl --redirect --ike-id … --gateway {self.second.address4}: carol closed her IKE_SA at
            {self.gateway.address4} and made one at {self.second.address4}; her inner address was {before} and
            is {self.carol.inner_address()}. {pings.sent} pings there, {pings.lost} lost.""")

    def shut_down(self):
        """A clean shutdown"""
        for charon in self.lab.charons:
            if charon.is_running() and charon is not self.gateway.charon:
                charon.stop()
        seconds = self.gateway.charon.stop()
        say(f"""Clients and second gateway, then the gateway, each told by SIGTERM: all ended with exit
            code 0, the gateway within {seconds:.1f} s.""")

    STEPS = [start, connect, ping_all, list_sas, stats, rebind, rekey_child, rekey_ike, redirect, shut_down]

    # --- what steps use

    def _rebind(self, client, then):
        """Rebind a client under a ping until then(ping) returns: pings lost, whether the last was answered."""
        with ping(client, self.lab.lan, 20) as pings:
            pings.wait_received(5)
            before = self.nat.mapping(client)
            first = pings.sent
            self.nat.rebind(client)
            then(pings)
        after = self.nat.mapping(client)
        check(before.public_port != after.public_port, "the NAT has not moved the port")
        say(f"""{client.name}: port {before.public_port} became {after.public_port} under a running ping of
            20/s; of the {pings.sent - first} pings from then on {pings.lost} got no answer.""")
        return pings.lost, pings.sent - 1 in pings.answered_at

    def _rekey(self, what, client, rekey, unique_id):
        old = unique_id()
        with working(f"the {what} is rekeyed"), ping(client, self.lab.lan, 100) as pings:
            pings.wait_received(20)
            rekey()
            pings.wait_received(50)
        new = unique_id()
        check(old != new, f"the {what} is still #{old}")
        check(pings.lost == 0, f"{pings.lost} of {pings.sent} pings were lost while the {what} was rekeyed")
        say(f"""{client.name}'s {what} #{old} became #{new}; {pings.sent} pings at 100/s meanwhile,
            {pings.lost} lost.""")


def print_commands(demo):
    """For --keep: what to try."""
    lab, alice = demo.lab, demo.alice.namespace.name
    uri = f"--uri unix://{demo.gateway.charon.vici}"
    print("\nLeft up. Try, as root:")
    show(f"""\
# the gateway
swanctl --list-sas {uri}
swanctl --log {uri}
{built_ivoctl()} --socket {demo.gateway.charon.control_socket} stats
tail -f {demo.gateway.charon.log_file}
# a ping through alice's tunnel, and what of it is on the wire
ip netns exec {alice} ping {lab.lan.address4}
ip netns exec {demo.nat.name} tcpdump -ni outside udp port 4500
# the NAT's mappings; forget them all
ip netns exec {demo.nat.name} conntrack -L -p udp
ip netns exec {demo.nat.name} conntrack -F
# rekey, end, and bring up alice's tunnel
swanctl --rekey --child net --uri unix://{demo.alice.charon.vici}
swanctl --terminate --ike gw --uri unix://{demo.alice.charon.vici}
swanctl --initiate --child net --uri unix://{demo.alice.charon.vici}
# take it all down
{Path(sys.argv[0]).resolve().parents[3]}/demo --stop""")


def run(keep):
    steps = [step for step in Demo.STEPS if not (keep and step is Demo.shut_down)]
    started = time.monotonic()
    with Lab(OUR_PLUGINS, keep=keep, name="demo") as lab:
        demo = Demo(lab)
        for number, step in enumerate(steps, 1):
            print(f"\n{number}/{len(steps)}  {step.__doc__}", flush=True)
            step(demo)
            lab.check_alive()
        if keep:
            print_commands(demo)
    print(f"\nEvery step did what it says; {time.monotonic() - started:.0f} s.")


def main(arguments):
    if arguments == ["--stop"]:
        removed = remove_leftovers(kept=True)
        print(f"Taken down: {', '.join(removed)}." if removed else "Nothing is up.")
        return 0
    try:
        run(keep=arguments == ["--keep"])
    except KeyboardInterrupt:
        print("\nInterrupted; everything is taken down.", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:  # the reader wants the reason and the logs, not where this program noticed it
        print(f"\nFAILED: {error}\nLogs, configurations and captures are below {failure_folder('demo')}.",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
