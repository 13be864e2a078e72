# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures of IKE and ESP in a namespace, with nothing lost, and a reader for them."""

import enum
import ipaddress
import os
import re
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass

from .wait import wait_until

IKE_PORTS = "udp port 500 or udp port 4500"
# A marker is a packet to the discard port of the namespace's own loopback: tcpdump writes packets in the
# order in which the kernel saw them, so once the marker is in the file, everything before it is.
MARKER_FILTER = "(udp and dst host 127.0.0.1 and dst port 9)"
# The kernel's buffer holds 32 MiB by the frame size: whole packets of a 1500 byte link, 8192 of them.
BUFFER = ("-s", "4096", "-B", "32768")
NON_ESP_MARKER = b"\0\0\0\0"


class ExchangeType(enum.IntEnum):
    IKE_SA_INIT = 34
    IKE_AUTH = 35
    CREATE_CHILD_SA = 36
    INFORMATIONAL = 37


class PayloadType(enum.IntEnum):
    SA = 33
    KE = 34
    IDI = 35
    IDR = 36
    CERT = 37
    CERTREQ = 38
    AUTH = 39
    NONCE = 40
    NOTIFY = 41
    DELETE = 42
    VENDOR_ID = 43
    TSI = 44
    TSR = 45
    ENCRYPTED = 46
    CP = 47
    EAP = 48
    ENCRYPTED_FRAGMENT = 53


@dataclass(frozen=True)
class Ike:
    """The header of an IKE message, and the payloads that are not encrypted."""
    initiator_spi: int
    responder_spi: int
    version: int
    exchange: int
    message_id: int
    from_initiator: bool
    response: bool
    length: int
    payloads: tuple  # of (payload type, bytes); ends with ENCRYPTED or ENCRYPTED_FRAGMENT if there is one
    marker: bool

    @property
    def payload_types(self):
        return tuple(kind for kind, _ in self.payloads)

    def notifies(self):
        """The types of the notify payloads in the clear."""
        return tuple(struct.unpack("!H", body[2:4])[0] for kind, body in self.payloads
                     if kind == PayloadType.NOTIFY and len(body) >= 4)


@dataclass(frozen=True)
class Esp:
    """The header of an ESP packet."""
    spi: int
    sequence: int


@dataclass(frozen=True)
class Packet:
    """A UDP packet of a capture; ike and esp are None unless it is one, keepalive is a NAT keepalive byte."""
    number: int
    time: float
    outgoing: bool
    interface: int
    source: tuple
    destination: tuple
    payload: bytes
    ike: Ike = None
    esp: Esp = None
    keepalive: bool = False


class Capture:
    """A tcpdump on all devices of a namespace. Use as a context manager, or start() and stop()."""

    def __init__(self, namespace, file, packet_filter=IKE_PORTS):
        self.namespace = namespace
        self.file = file
        self.filter = packet_filter
        self.process = None

    def start(self):
        """Returns once packets are captured."""
        if self.process is not None:
            return self  # of Lab.capture(), which started it, in a with statement
        self._messages = open(f"{self.file}.log", "w+", encoding="utf-8")
        self.process = self.namespace.popen(
            ["tcpdump", "-i", "any", "-n", "-U", "--immediate-mode", *BUFFER, "-Z", "root", "-w", self.file,
             f"({self.filter}) or {MARKER_FILTER}"], stdout=self._messages, stderr=subprocess.STDOUT)
        wait_until(lambda: "listening on" in self._message_text(),
                   f"tcpdump captures in {self.namespace.name}", 10)
        return self

    def stop(self, check=True):
        """Stop with everything up to now in the file; with check, fail if the kernel dropped packets."""
        if self.process is None:
            return self
        process, self.process = self.process, None
        if process.poll() is not None:
            if check:
                raise AssertionError(f"tcpdump in {self.namespace.name} has died: {self._message_text()}")
            return self
        if check:
            self._write_marker()
        process.send_signal(signal.SIGINT)
        process.wait(10)
        text = self._message_text()
        self._messages.close()
        dropped = re.search(r"(\d+) packets? dropped by kernel", text)
        if check and (dropped is None or dropped[1] != "0"):
            raise AssertionError(f"the capture in {self.namespace.name} is not complete: {text}")
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)

    def _message_text(self):
        with open(f"{self.file}.log", encoding="utf-8") as messages:
            return messages.read()

    def mark(self):
        """A point in the capture: the number of packets captured so far, for packets(since=…)."""
        if self.process is not None:
            self._write_marker()
        return sum(1 for _ in read_packets(self.file))

    def _write_marker(self):
        token = os.urandom(16)
        with self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(token, ("127.0.0.1", 9))

        def written():
            with open(self.file, "rb") as file:
                file.seek(max(0, os.path.getsize(self.file) - (1 << 20)))
                return token in file.read()

        wait_until(written, f"tcpdump in {self.namespace.name} has written all packets", 10)

    def packets(self, since=0):
        """All packets captured until now, or those since a mark."""
        if self.process is not None:
            self._write_marker()
        return [packet for packet in read_packets(self.file) if packet.number >= since]

    def ike(self, since=0):
        return [packet for packet in self.packets(since) if packet.ike]

    def esp(self, since=0):
        return [packet for packet in self.packets(since) if packet.esp]

    def frames(self):
        """How many frames have been captured, of any protocol; for captures with a filter of their own."""
        if self.process is not None:
            self._write_marker()
        return sum(1 for _, data in _read_frames(self.file) if not _is_marker(_udp(data)))

    def keepalives(self, since=0):
        return [packet for packet in self.packets(since) if packet.keepalive]


# --- reading

LINKTYPE_LINUX_SLL2 = 276
OUTGOING = 4


def read_packets(file):
    """The UDP packets of a capture made by Capture."""
    number = 0
    for time, data in _read_frames(file):
        udp = _udp(data)
        if udp and not _is_marker(udp):
            yield _packet(number, time, *udp)
            number += 1


def _read_frames(file):
    """Time and bytes of each frame; one that is still being written is left for the next call."""
    with open(file, "rb") as handle:
        header = handle.read(24)
        if len(header) < 24:
            return
        magic, _, _, _, _, _, link = struct.unpack("=IHHIIII", header)
        if magic != 0xa1b2c3d4 or link & 0xffff != LINKTYPE_LINUX_SLL2:
            raise ValueError(f"{file} is not a capture of this library (magic {magic:#x}, link type {link})")
        while len(record := handle.read(16)) == 16:
            seconds, micros, captured, _ = struct.unpack("=IIII", record)
            data = handle.read(captured)
            if len(data) < captured:
                return
            yield seconds + micros / 1e6, data


def _is_marker(udp):
    return bool(udp) and udp[3] == ("127.0.0.1", 9)


def _udp(data):
    """Outgoing, interface, source, destination and payload of a UDP packet, or None."""
    if len(data) < 20:
        return None
    protocol, _, interface, _, kind = struct.unpack("!HHIHB", data[:11])
    data = data[20:]
    if protocol == 0x0800 and len(data) >= 20:
        header_length = (data[0] & 15) * 4
        if data[9] != 17 or struct.unpack("!H", data[6:8])[0] & 0x1fff:
            return None
        addresses = data[12:16], data[16:20]
        data = data[header_length:struct.unpack("!H", data[2:4])[0]]
    elif protocol == 0x86dd and len(data) >= 40:
        if data[6] != 17:
            return None
        addresses = data[8:24], data[24:40]
        data = data[40:40 + struct.unpack("!H", data[4:6])[0]]
    else:
        return None
    if len(data) < 8:
        return None
    source_port, destination_port = struct.unpack("!HH", data[:4])
    source, destination = (str(ipaddress.ip_address(address)) for address in addresses)
    return kind == OUTGOING, interface, (source, source_port), (destination, destination_port), data[8:]


def _packet(number, time, outgoing, interface, source, destination, payload):
    ike, esp, keepalive = None, None, False
    if 4500 in (source[1], destination[1]):
        if payload == b"\xff":
            keepalive = True
        elif payload[:4] == NON_ESP_MARKER:
            ike = parse_ike(payload[4:], True)
        elif len(payload) >= 8:
            esp = Esp(*struct.unpack("!II", payload[:8]))
    else:
        ike = parse_ike(payload, False)
    return Packet(number, time, outgoing, interface, source, destination, payload, ike, esp, keepalive)


def parse_ike(data, marker):
    """The IKE message, or None if it is not even a header."""
    if len(data) < 28:
        return None
    spi_i, spi_r, kind, version, exchange, flags, message_id, length = struct.unpack("!QQBBBBII", data[:28])
    payloads = []
    body = data[28:]
    while kind and len(body) >= 4:
        following, _, size = struct.unpack("!BBH", body[:4])
        payloads.append((kind, body[4:size]))
        if kind in (PayloadType.ENCRYPTED, PayloadType.ENCRYPTED_FRAGMENT) or size < 4:
            break
        kind, body = following, body[size:]
    return Ike(spi_i, spi_r, version, exchange, message_id, bool(flags & 0x08), bool(flags & 0x20), length,
               tuple(payloads), marker)
