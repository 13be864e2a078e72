# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces, their links, and running things in them; the host's own network is not touched."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .wait import wait_until

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS = 0x8913
IFF_RUNNING = 0x40
_libc = ctypes.CDLL(None, use_errno=True)
# The kernel ends a child when the *thread* that started it ends, so all are started by one that lasts.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


class CommandFailed(AssertionError):
    """A command that had to succeed did not; carries what it printed."""

    def __init__(self, argv, result):
        self.result = result
        super().__init__(f"command failed with exit code {result.returncode}: {' '.join(map(str, argv))}\n"
                         f"{result.stdout}{result.stderr}".rstrip())


def run(*argv, check=True, stdin=None, timeout=60, env=None):
    """Run a command to its end and return the result with its output as text."""
    argv = [str(word) for word in argv]
    result = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace",
                            timeout=timeout, env=env, check=False,
                            stdin=None if stdin is not None else subprocess.DEVNULL)
    if check and result.returncode != 0:
        raise CommandFailed(argv, result)
    return result


def _die_with_parent():
    """In a child before exec: a test run that is killed takes its processes along."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Namespace:
    """One network namespace, known to `ip netns` by its name."""

    def __init__(self, name):
        self.name = name
        self.path = Path("/run/netns") / name

    def __repr__(self):
        return f"<namespace {self.name}>"

    def create(self):
        """Make the namespace with loopback up, and IPv6 addresses that are usable at once."""
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")
        for kind in ("all", "default"):
            self.sysctl(f"net/ipv6/conf/{kind}/accept_dad", 0)
            self.sysctl(f"net/ipv6/conf/{kind}/accept_ra", 0)
            # Tests send from spoofed addresses, and a tunnel's packets come by another device than they go.
            self.sysctl(f"net/ipv4/conf/{kind}/rp_filter", 0)
        return self

    def exists(self):
        return self.path.exists()

    def pids(self):
        """The processes in the namespace: all of them were started by this library."""
        result = run("ip", "netns", "pids", self.name, check=False)
        return [int(pid) for pid in result.stdout.split()]

    def delete(self):
        """End what still runs in the namespace and remove it."""
        if not self.exists():
            return
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            for pid in self.pids():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + patience
            while self.pids() and time.monotonic() < deadline:
                time.sleep(0.02)
        run("ip", "netns", "delete", self.name)

    def command(self, argv):
        """The argument list that runs argv in the namespace."""
        return ["nsenter", f"--net={self.path}", "--", *[str(word) for word in argv]]

    def run(self, *argv, check=True, stdin=None, timeout=60, env=None):
        """Run a command in the namespace to its end."""
        return run(*self.command(argv), check=check, stdin=stdin, timeout=timeout, env=env)

    def popen(self, argv, survive=False, **options):
        """Start a process in the namespace. It ends with this process, unless it is to survive it."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return _starter.submit(subprocess.Popen, self.command(argv), start_new_session=True,
                               preexec_fn=None if survive else _die_with_parent, **options).result()

    def ip(self, *lines):
        """Run lines of `ip` commands (without the word ip) in one call."""
        return run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(lines) + "\n")

    def call(self, function):
        """Call a function on a thread of its own that is in the namespace, and return what it returns.

        Sockets that it makes belong to the namespace for good, whichever thread uses them later.
        """
        outcome = {}

        def body():
            try:
                with open(self.path, "rb") as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns to {self.name} failed")
                outcome["value"] = function()
            except BaseException as error:  # handed to the caller's thread
                outcome["error"] = error

        thread = threading.Thread(target=body, name=f"in {self.name}")
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, protocol=0):
        """A socket of this namespace, to use from the test's own process."""
        return self.call(lambda: socket.socket(family, kind, protocol))

    def sysctl(self, path, value=None):
        """Read or set a sysctl of the namespace, e.g. net/ipv4/ip_forward."""
        file = Path("/proc/sys") / path

        def access():
            if value is not None:
                file.write_text(f"{value}\n", encoding="ascii")
            return file.read_text(encoding="ascii").strip()

        return self.call(access)

    def nft(self, ruleset):
        """Load nftables rules, all or none."""
        return self.run("nft", "-f", "-", stdin=ruleset)

    def bridge(self, name):
        """A bridge, to which links are attached as their cables are plugged in."""
        self.ip(f"link add name {name} type bridge forward_delay 0 mcast_snooping 0", f"link set {name} up")


def connect(near, near_device, far, far_device, far_bridge=None):
    """A veth cable between two namespaces; the far end may be a port of a bridge there."""
    near.ip(f"link add name {near_device} type veth peer name {far_device} netns {far.name}")
    if far_bridge:
        far.ip(f"link set {far_device} master {far_bridge}")
    far.ip(f"link set {far_device} up")
    near.ip(f"link set {near_device} up")
    for namespace, device in ((near, near_device), (far, far_device)):
        wait_until(lambda: namespace.call(lambda: _is_running(device)),
                   f"{device} in {namespace.name} has a carrier", 5)


def _is_running(device):
    """Whether a device passes packets; the kernel notices a carrier a moment after it is plugged in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", device.encode(), 0)
        return struct.unpack("16sH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1] & IFF_RUNNING
