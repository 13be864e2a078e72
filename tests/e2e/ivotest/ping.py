# SPDX-License-Identifier: GPL-2.0-or-later
"""Pings at a steady rate with an exact count of what is lost.

ping(8) counts a packet as lost when it is stopped before the answer came; this one stops sending, waits for
the answers still due, and then counts. It knows each packet by its sequence number, so that a test can ask
which ones were lost.
"""

import os
import select
import socket
import struct
import threading
import time

ECHO = {4: (8, 0), 6: (128, 129)}
# Answers still under way when sending ends; far more than any delay in a lab.
LAST_ANSWER = 1.0


class Ping:
    """A running series of pings; use as a context manager: with ping(client, lan, rate=100) as p."""

    def __init__(self, namespace, source, target, rate, size=56):
        self.target = target
        self.family = 6 if ":" in target else 4
        self.interval = 1.0 / rate
        self.payload = b"\xa5" * max(0, size - 4)
        self.sent_at = []
        self.answered_at = {}
        self.duplicates = 0
        self.send_errors = 0
        self._identifier = struct.unpack("!H", os.urandom(2))[0]
        self._stop = threading.Event()
        self._changed = threading.Condition()
        v6 = self.family == 6
        self._socket = namespace.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW,
                                        socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
        if source:
            self._socket.bind((source, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._threads = [threading.Thread(target=body, name=f"ping {target}", daemon=True)
                         for body in (self._send, self._receive)]

    # --- counts

    @property
    def sent(self):
        return len(self.sent_at)

    @property
    def received(self):
        return len(self.answered_at)

    @property
    def lost(self):
        """Packets without an answer; exact once the series has been stopped."""
        return self.sent - self.received

    @property
    def lost_numbers(self):
        return [number for number in range(self.sent) if number not in self.answered_at]

    def round_trips(self):
        """Round trip times in seconds, in the order of sending."""
        return [self.answered_at[number] - self.sent_at[number] for number in sorted(self.answered_at)]

    def received_since(self, moment):
        """How many packets that were sent after this time.monotonic() have been answered."""
        return sum(1 for number in list(self.answered_at) if self.sent_at[number] >= moment)

    # --- life

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stop sending, wait for the answers still due, and count."""
        if self._stop.is_set():
            return self
        self._stop.set()
        self._threads[0].join()
        deadline = time.monotonic() + LAST_ANSWER
        with self._changed:
            while self.lost and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
        self._socket.close()
        self._threads[1].join()
        return self

    def wait_sent(self, count, within=30.0):
        """Wait until this many more packets have been sent."""
        goal = self.sent + count
        return self._wait(lambda: self.sent >= goal, f"{count} more pings to {self.target} are sent", within)

    def wait_received(self, count, within=30.0):
        """Wait until this many packets that are sent from now on have been answered."""
        start = time.monotonic()
        return self._wait(lambda: self.received_since(start) >= count,
                          f"{count} more pings to {self.target} are answered", within)

    def _wait(self, condition, what, within):
        deadline = time.monotonic() + within
        with self._changed:
            while not condition():
                if time.monotonic() > deadline:
                    raise AssertionError(f"not within {within:g} s: {what} (sent {self.sent}, "
                                         f"answered {self.received})")
                self._changed.wait(0.1)
        return self

    # --- threads

    def _send(self):
        start = time.monotonic()
        while not self._stop.is_set():
            number = len(self.sent_at)
            with self._changed:
                self.sent_at.append(time.monotonic())
                self._changed.notify_all()
            try:
                self._socket.sendto(self._packet(number), (self.target, 0))
            except OSError:
                # No route or no tunnel at the moment: a packet that got no answer, which is what counts.
                self.send_errors += 1
            self._stop.wait(max(0.0, start + (number + 1) * self.interval - time.monotonic()))

    def _packet(self, number):
        body = struct.pack("!HHI", self._identifier, number & 0xffff, number) + self.payload
        checksum = 0
        if self.family == 4:
            checksum = _checksum(struct.pack("!BBH", ECHO[4][0], 0, 0) + body)
        return struct.pack("!BBH", ECHO[self.family][0], 0, checksum) + body

    def _receive(self):
        while True:
            try:
                if not select.select([self._socket], [], [], 0.2)[0]:
                    continue
                packet = self._socket.recv(65535)
            except (OSError, ValueError):
                return
            now = time.monotonic()
            if self.family == 4:
                packet = packet[(packet[0] & 15) * 4:]
            if len(packet) < 12 or packet[0] != ECHO[self.family][1]:
                continue
            identifier, _, number = struct.unpack("!HHI", packet[4:12])
            if identifier != self._identifier or number >= self.sent:
                continue
            with self._changed:
                if number in self.answered_at:
                    self.duplicates += 1
                else:
                    self.answered_at[number] = now
                self._changed.notify_all()


def _checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ping(source, target, rate=100, family=4, size=56):
    """Pings from a client through its tunnel (from its inner address), or between plain hosts, until
    stopped.
    """
    inner = getattr(source, "inner_address", None)
    address = inner(family) if inner else source.address(family)
    return Ping(source.namespace, address, target.address(family), rate, size)
