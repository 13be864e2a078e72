# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives load-tester over its control socket, closed-loop: a new handshake starts when one has ended.

load-tester's own loop starts as many as it can and spins; then retransmissions are measured, not the
gateway. A connection to the socket that asks for one tunnel gets '.' when it was initiated, '*' for each
retransmission, '+' or '-' when it is up or has failed, '!' if it could not even begin, and the end of the
line.
"""

import collections
import selectors
import socket
import time


class Stalled(Exception):
    """No handshake ended for a long time."""


def establish(path, tunnels, window, each, watch, patience=60):
    """Brings tunnels up, at most window of them at once.

    each(ended) is called after each that ended, watch() when none has for a second: it raises if there is
    no more to wait for. Returns how often each reply came, and the seconds each handshake took that
    succeeded. Some of load-tester's own time is in them, so compare them only with others from here.
    """
    replies, latencies = collections.Counter(), []
    quiet = 0
    selector = selectors.DefaultSelector()
    started = ended = 0
    try:
        while ended < tunnels:
            while started < tunnels and started - ended < window:
                stream = socket.socket(socket.AF_UNIX)
                stream.connect(str(path))
                stream.sendall(b"1 0\n")
                selector.register(stream, selectors.EVENT_READ, time.monotonic())
                started += 1
            ready = selector.select(1)
            quiet = 0 if ready else quiet + 1
            if quiet:
                watch()
            if quiet > patience:
                raise Stalled(f"no handshake ended for {patience} s: {ended} of {tunnels} had, {started} were"
                              f" begun, replies {dict(replies)}")
            for key, _ in ready:
                answer = key.fileobj.recv(4096).decode()
                for reply in answer.strip():
                    replies[reply] += 1
                if "+" in answer:
                    latencies.append(time.monotonic() - key.data)
                if not answer or answer.endswith("\n"):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    ended += 1
                    each(ended)
    finally:
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        selector.close()
    return replies, latencies
