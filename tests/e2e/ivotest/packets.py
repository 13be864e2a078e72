# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw IKE packets, from any source address: good IKE_SA_INIT requests, and what a hostile network sends instead.

    with Spoofer(lab, gateway) as spoofer:
        request = InitRequest(spoofer.random, (spoofer.address(7), 500), spoofer.target())
        answer, = spoofer.ask(request.source, request.message())

Nothing is sent faster than the gateway takes it: after each few packets the gateway has to answer one with a wrong major
version, which charon's receiver thread does at once and in the order of arrival. So a lost answer is never one that a
full socket buffer ate.
"""

import hashlib
import ipaddress
import random
import select
import socket
import struct
import time

from .capture import ExchangeType, PayloadType, parse_ike
from .wait import wait_until

IKE_PORT, NATT_PORT = 500, 4500
NON_ESP_MARKER = b"\0\0\0\0"
# Two networks for benchmarks (RFC 2544, RFC 5180): no host of a lab has an address in them.
SPOOFED4, SPOOFED6 = "198.18.0.0/15", "2001:2::/64"

FLAG_INITIATOR, FLAG_RESPONSE = 0x08, 0x20
IKEV1, IKEV2 = 0x10, 0x20
ID_PROT, AGGRESSIVE = 2, 4

NOTIFY_INVALID_MAJOR_VERSION = 5
NOTIFY_NAT_DETECTION_SOURCE_IP = 16388
NOTIFY_NAT_DETECTION_DESTINATION_IP = 16389
NOTIFY_COOKIE = 16390

ENCR_AES_GCM_16, PRF_HMAC_SHA2_256, CURVE25519 = 20, 5, 31

# Packets between two checks that the gateway keeps up. A socket buffer holds at least 90 packets of an IKE_SA_INIT's size.
BATCH = 40
ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33


# --- building

def x25519_public(secret):
    """The public key of a Curve25519 secret of 32 bytes (RFC 7748); slow, which a test that makes a few does not notice."""
    p = 2**255 - 19
    scalar = int.from_bytes(secret, "little") & ~7 & (1 << 255) - 1 | 1 << 254
    x1, x2, z2, x3, z3, swap = 9, 1, 0, 9, 1, 0
    for bit in reversed(range(255)):
        now = scalar >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % p, b * b % p, d * a % p, c * b % p
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        x2, z2 = aa * bb % p, e * (aa + 121665 * e) % p
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


def ike_message(exchange, payloads=(), spi_i=0, spi_r=0, message_id=0, flags=FLAG_INITIATOR, version=IKEV2, length=None):
    """An IKE message of (payload type, body) pairs; length: what the header says instead of the truth."""
    kinds = [kind for kind, _ in payloads] + [0]
    body = b"".join(struct.pack("!BBH", following, 0, len(content) + 4) + content
                    for following, (_, content) in zip(kinds[1:], payloads))
    return struct.pack("!QQBBBBII", spi_i, spi_r, kinds[0], version, exchange, flags, message_id,
                       28 + len(body) if length is None else length) + body


def notify(kind, data=b""):
    return PayloadType.NOTIFY, struct.pack("!BBH", 0, 0, kind) + data


def _transform(last, kind, number, attributes=b""):
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attributes), kind, 0, number) + attributes


def sa_payload():
    """The proposal that the gateways of the tests accept: aes128gcm16-prfsha256-x25519."""
    key_length = struct.pack("!HH", 0x8000 | 14, 128)
    transforms = (_transform(False, 1, ENCR_AES_GCM_16, key_length) + _transform(False, 2, PRF_HMAC_SHA2_256)
                  + _transform(True, 4, CURVE25519))
    return PayloadType.SA, struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms


def nat_detection(kind, spi_i, spi_r, endpoint):
    address, port = endpoint
    data = struct.pack("!QQ", spi_i, spi_r) + ipaddress.ip_address(address).packed + struct.pack("!H", port)
    return notify(kind, hashlib.sha1(data).digest())


class InitRequest:
    """An IKE_SA_INIT request that charon answers; message() gives its bytes, as often as wanted the same.

    All requests share one key pair: charon cannot tell, and a flood is not slowed down by making keys.
    """

    _key_share = None

    def __init__(self, rng, source, destination):
        self.source, self.destination = source, destination
        self.spi = rng.getrandbits(64) or 1
        self.nonce = rng.randbytes(32)
        if InitRequest._key_share is None:
            InitRequest._key_share = x25519_public(rng.randbytes(32))

    def payloads(self):
        return [
            sa_payload(),
            (PayloadType.KE, struct.pack("!HH", CURVE25519, 0) + self._key_share),
            (PayloadType.NONCE, self.nonce),
            nat_detection(NOTIFY_NAT_DETECTION_SOURCE_IP, self.spi, 0, self.source),
            nat_detection(NOTIFY_NAT_DETECTION_DESTINATION_IP, self.spi, 0, self.destination),
        ]

    def message(self, cookie=None, spi_r=0, message_id=0):
        """cookie: sent back in front, as the gateway asked for it; the others do not belong into such a request."""
        payloads = self.payloads()
        if cookie is not None:
            payloads.insert(0, notify(NOTIFY_COOKIE, cookie))
        return ike_message(ExchangeType.IKE_SA_INIT, payloads, self.spi, spi_r, message_id)


def cookie_of(answer):
    """The cookie that an answer asks for, or None."""
    ike = parse_ike(answer, False)
    for kind, body in ike.payloads if ike else ():
        if kind == PayloadType.NOTIFY and struct.unpack("!H", body[2:4])[0] == NOTIFY_COOKIE:
            return body[4:]
    return None


def is_init_answer(answer):
    """Whether this is the answer that makes a half-open IKE_SA: with an SA payload and a responder SPI."""
    ike = parse_ike(answer, False)
    return bool(ike and ike.response and ike.responder_spi and PayloadType.SA in ike.payload_types)


# --- malformed

def mutate(rng, packet, others):
    """One malformed packet of a good one; others: more good packets to take parts from."""
    data = bytearray(packet)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        kind = rng.randrange(8)
        at = rng.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        elif kind == 2 and len(data) > 2:
            at = rng.randrange(len(data) - 1)
            data[at:at + 2] = struct.pack("!H", rng.choice((0, 1, 3, 4, 7, 8, 0x7fff, 0xffff, len(data))))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 100)))
        elif kind == 5:
            del data[at:at + rng.choice((1, 2, 4, 8, 40))]
        elif kind == 6:
            other = rng.choice(others)
            data[at:] = other[rng.randrange(len(other)):]
        elif kind == 7:
            data = _resize_payload(rng, data)
    if rng.random() < 0.7 and len(data) >= 28:
        # A header that tells the true length, so that more than the header gets parsed.
        data[24:28] = struct.pack("!I", len(data))
    return bytes(data)


def _resize_payload(rng, data):
    """Another length or type in the header of one of the payloads."""
    offset, starts = 28, []
    while offset + 4 <= len(data):
        starts.append(offset)
        offset += max(4, struct.unpack("!H", data[offset + 2:offset + 4])[0])
    if starts:
        at = rng.choice(starts)
        if rng.random() < 0.5:
            data[at + 2:at + 4] = struct.pack("!H", rng.choice((0, 3, 4, 5, len(data) - at, len(data), 0xffff)))
        else:
            data[at] = rng.choice((0, *PayloadType, 1, 2, 54, 128, 255))
    return data


def leaks_half_open(data):
    """Whether charon 5.9.8 counts this message as half-open for ever, which spoils a test that compares counts.

    It counts each IKE_SA_INIT request and each first IKEv1 message when it comes, and forgets to count it out again when
    it is not one that can make an IKE_SA: for its message ID, its responder SPI or its version.
    """
    if len(data) < 28:
        return False
    _, spi_r, _, version, exchange, flags, message_id, _ = struct.unpack("!QQBBBBII", data[:28])
    if exchange == ExchangeType.IKE_SA_INIT:
        return not (version >> 4 == 2 and spi_r == 0 and message_id == 0) and (version >> 4 == 1
                                                                             or not flags & FLAG_RESPONSE)
    return exchange in (ID_PROT, AGGRESSIVE) and spi_r == 0 and not (version >> 4 == 1 and message_id == 0)


# --- sending

class Spoofer:
    """A host on the internet that sends from any address of two networks, and gets what the gateway answers there."""

    def __init__(self, lab, gateway, seed=None, name="spoofer"):
        self.lab, self.gateway = lab, gateway
        self.seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.host = lab.host(name)
        self._networks = {4: ipaddress.ip_network(SPOOFED4), 6: ipaddress.ip_network(SPOOFED6)}
        self._inbox = []
        self._barriers = 0
        self.sent = 0

    def __enter__(self):
        gateway = self.gateway.namespace
        for family, network in self._networks.items():
            gateway.ip(f"route replace {network} via {self.host.address(family)}")
        raw = socket.SOCK_RAW, socket.IPPROTO_RAW
        self._raw = {4: self.host.namespace.socket(socket.AF_INET, *raw),
                     6: self.host.namespace.socket(socket.AF_INET6, *raw)}
        # Everything that is for this host's link address, whatever its IP address: no route, no ICMP errors of the host.
        self._packets = self.host.namespace.call(_open_packet_socket)
        self._always_busy = min(_busy_workers(self.gateway.swanctl.stats()) for _ in range(10))
        return self

    def __exit__(self, kind, *_):
        dropped = struct.unpack("=II", self._packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        for sock in (*self._raw.values(), self._packets):
            sock.close()
        for network in self._networks.values():
            self.gateway.namespace.ip(f"route delete {network}")
        if kind is None and dropped:
            raise AssertionError(f"the spoofer's own socket dropped {dropped} answers: they were not read often enough")

    def address(self, number, family=4):
        """The number-th address that can be spoofed."""
        return str(self._networks[family][number + 1])

    def target(self, port=IKE_PORT, family=4):
        return self.gateway.address(family), port

    def request(self, number=0, port=IKE_PORT, family=4):
        """A good IKE_SA_INIT request from the number-th address."""
        return InitRequest(self.random, (self.address(number, family), port), self.target(family=family))

    def send(self, source, payload, port=IKE_PORT, fragment=None):
        """Send one UDP datagram; to port 4500 it is sent as it is, so that ESP can be sent too.

        fragment: (offset in bytes, whether more follow), for IPv4: the payload is then not given a UDP header.
        """
        family = 6 if ":" in source[0] else 4
        address, target = ipaddress.ip_address(source[0]).packed, ipaddress.ip_address(self.gateway.address(family)).packed
        if fragment is None:
            payload = _udp(family, address, target, source[1], port, payload)
        if family == 4:
            offset, more = fragment or (0, False)
            # The kernel fills in identification, length and checksum; pieces of one packet need one identification.
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0 if fragment is None else 0x4956,
                                 (0x2000 if more else 0) | offset // 8, 64, socket.IPPROTO_UDP, 0, address, target)
        else:
            header = struct.pack("!IHBB16s16s", 6 << 28, len(payload), socket.IPPROTO_UDP, 64, address, target)
        self._raw[family].sendto(header + payload, (self.gateway.address(family), 0))
        self.sent += 1

    def send_all(self, packets, port=IKE_PORT):
        """Send (source, payload) pairs no faster than the gateway takes them; returns once it has taken all."""
        count = 0
        for source, payload in packets:
            self.send(source, payload, port)
            count += 1
            if count % BATCH == 0:
                self.barrier(port)
        self.barrier(port)
        return count

    def barrier(self, port=IKE_PORT, family=4):
        """Returns once charon's receiver has taken everything that was sent to this port before."""
        self._barriers += 1
        spi = self._barriers << 16 | 0x4956
        payload = ike_message(ExchangeType.INFORMATIONAL, spi_i=spi, version=0x70)
        marker = NON_ESP_MARKER if port == NATT_PORT else b""
        self.send((self.address(100_000, family), 40_000), marker + payload, port)

        def answered():
            for at, (_, _, data) in enumerate(self._receive()):
                if data[:len(marker) + 8] == marker + struct.pack("!Q", spi):
                    del self._inbox[at]
                    return True
            return False

        try:
            wait_until(answered, f"{self.gateway} answers what came to port {port}", 10, every=0.0005,
                       watch=(self.gateway.charon,))
        except AssertionError as error:
            raise AssertionError(f"{error} (seed {self.seed})") from None

    def wait_idle(self):
        """Returns once charon's workers have done all that the receiver gave them."""
        wait_until(self._is_idle, f"{self.gateway} has no more to do", 30, watch=(self.gateway.charon,))

    def answers(self):
        """What has come until now and was not asked for yet, as (source, destination, payload)."""
        self._receive()
        inbox, self._inbox = self._inbox, []
        return inbox

    def ask(self, source, payload, port=IKE_PORT, within=5.0):
        """Send one packet and wait for the first answer to its source; returns a list of its payload, or [] if none comes.

        None: as soon as charon has taken the packet and has nothing more to do, the answer does not come any more.
        """
        while self._take(source) is not None:
            pass  # an answer to something sent before
        self.send(source, payload, port)
        deadline = time.monotonic() + within
        self.barrier(port)
        while True:
            found = self._take(source)
            if found is None and time.monotonic() < deadline:
                idle = self._is_idle()
                found = self._take(source)
                if found is None and not idle:
                    continue
            return [] if found is None else [found]

    def _is_idle(self):
        if _busy_workers(self.gateway.swanctl.stats()) > self._always_busy:
            return False
        # The sender thread is not a worker that is counted: what it had to send went out before it sends this.
        self.barrier()
        return True

    def _take(self, endpoint):
        for at, (_, destination, data) in enumerate(self._receive()):
            if destination == endpoint:
                del self._inbox[at]
                return data
        return None

    def _receive(self):
        while select.select([self._packets], [], [], 0)[0]:
            data, (_, protocol, kind, _, _) = self._packets.recvfrom(65535)
            packet = None if kind == PACKET_OUTGOING else _parse_udp(protocol, data)
            if packet:
                self._inbox.append(packet)
        return self._inbox


def _busy_workers(stats):
    """Jobs that wait, and workers that do one now: some never end, and the one that answers this question is counted."""
    return (sum(map(int, stats["queues"].values()))
            + sum(int(stats["workers"]["active"][level]) for level in ("high", "medium", "low")))


def _open_packet_socket():
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    sock.bind(("up0", ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    return sock


def _udp(family, source, destination, source_port, port, payload):
    """Payload with its UDP header; IPv4 may go without a checksum."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", source_port, port, length, 0)
    if family == 4:
        return header + payload
    data = source + destination + struct.pack("!II", length, socket.IPPROTO_UDP) + header + payload
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return header[:6] + struct.pack("!H", ~total & 0xffff or 0xffff) + payload


def _parse_udp(protocol, data):
    """Source, destination and payload of an unfragmented UDP packet, or None."""
    if protocol == 0x0800 and len(data) >= 28 and data[9] == socket.IPPROTO_UDP:
        size = (data[0] & 15) * 4
        addresses, data = (data[12:16], data[16:20]), data[size:struct.unpack("!H", data[2:4])[0]]
    elif protocol == 0x86dd and len(data) >= 48 and data[6] == socket.IPPROTO_UDP:
        addresses, data = (data[8:24], data[24:40]), data[40:40 + struct.unpack("!H", data[4:6])[0]]
    else:
        return None
    source_port, port = struct.unpack("!HH", data[:4])
    source, destination = (str(ipaddress.ip_address(address)) for address in addresses)
    return (source, source_port), (destination, port), data[8:]
