# SPDX-License-Identifier: GPL-2.0-or-later
"""A link that delays each frame by a fixed time, for kernels without netem; also where netem exists, so that
results compare. Run as a program in a namespace of its own it passes frames between two devices, unseen by
IP: addresses, ports and so NAT detection stay as they are.
"""

import collections
import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import time

ETH_P_ALL = 3
SOL_PACKET = 263
# Frames come and go with their offload header: a checksum left to the "hardware" stays left to it.
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
SO_TIMESTAMPNS = 35
FRAME_MAX = 65536 + 64
# More frames than any test has under way; what comes beyond is dropped, as a router would.
QUEUE_MAX = 20000


class DelayRelay:
    """The relay program in its namespace."""

    def __init__(self, namespace, near, far, one_way):
        self.namespace = namespace
        self.devices = near, far
        self.one_way = one_way
        self.process = None

    def start(self, survive=False):
        """Returns once frames pass."""
        for device in self.devices:
            self.namespace.sysctl(f"net/ipv6/conf/{device}/disable_ipv6", 1)
        self.process = self.namespace.popen([sys.executable, __file__, *self.devices, str(self.one_way)],
                                            survive=survive, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError(f"the delay relay in {self.namespace.name} did not start")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def open_device(device):
    """A packet socket that sees and sends whole frames of one device."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((device, ETH_P_ALL))
    return sock


def arrival(ancillary):
    """When the kernel got the frame: how late this process reads it does not add to the delay."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return seconds + nanoseconds / 1e9
    return time.time()


def relay(near, far, delay):
    """Pass frames for ever."""
    sockets = open_device(near), open_device(far)
    other = {sockets[0]: sockets[1], sockets[1]: sockets[0]}
    queue = collections.deque()
    print("ready", flush=True)
    while True:
        timeout = max(0.0, queue[0][0] - time.time()) if queue else None
        for sock in select.select(sockets, [], [], timeout)[0]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, ancillary, _, _ = sock.recvmsg(FRAME_MAX, 64)
                    if len(queue) < QUEUE_MAX:
                        queue.append((arrival(ancillary) + delay, other[sock], frame))
        now = time.time()
        while queue and queue[0][0] <= now:
            _, out, frame = queue.popleft()
            with contextlib.suppress(OSError):  # the device is going down, or its queue is full: a lost frame
                out.send(frame)


if __name__ == "__main__":
    # Waking late would show as delay: a real-time priority costs nothing, since it sleeps nearly always.
    with contextlib.suppress(PermissionError, OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    relay(sys.argv[1], sys.argv[2], float(sys.argv[3]))
