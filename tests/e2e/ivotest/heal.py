# SPDX-License-Identifier: GPL-2.0-or-later
"""What 'healed' means, asserted in one place.

A tunnel has healed after something happened to its path when a ping through it goes on, *and* both ends still
have the same CHILD_SA (its unique ID), *and* the client has said nothing on IKE meanwhile. Each is checked,
and each that is not so is told.
"""

import contextlib

from .ping import ping
from .wait import TIME_FACTOR


class NotHealed(AssertionError):
    """`reasons` holds which of "ping", "child", "ike" was not as it has to be."""

    def __init__(self, problems):
        self.reasons = frozenset(problems)
        super().__init__("not healed: " + "; ".join(problems.values()))


class Healing:
    """What was seen; complete after the block."""

    def __init__(self):
        self.ping = None
        self.mapping_before = None
        self.mapping_after = None
        self.ike_messages = []
        self.keepalives = 0

    @property
    def lost(self):
        """Pings lost in all, from before what happened to the end."""
        return self.ping.lost


@contextlib.contextmanager
def assert_healed(client, target=None, within=5.0, rate=20, answers=20, family=4, moved=True):
    """Assert that what the block does to the path of the client's tunnel heals within so many seconds.

        with assert_healed(client) as healing:
            nat.rebind(client)
        assert healing.lost == 0

    moved: the block is expected to change the client's NAT mapping; that it did is checked, for a tunnel that
    nothing happened to proves nothing. answers: how many pings must be answered for 'ping goes on'.
    """
    target = target or client.lab.lan
    healing = Healing()
    lab = client.lab
    before = _children(client)
    capture = lab.capture(client)
    # The client's own last words before: what it answered to the gateway is over before the block begins.
    with ping(client, target, rate, family) as healing.ping:
        healing.ping.wait_received(3)
        healing.mapping_before = client.nat.mapping(client) if client.nat else None
        mark = capture.mark()
        yield healing
        problems = {}
        try:
            healing.ping.wait_received(answers, within * TIME_FACTOR + answers / rate)
        except AssertionError:
            problems["ping"] = f"no ping has been answered steadily {within * TIME_FACTOR:g} s after"
        healing.mapping_after = client.nat.mapping(client) if client.nat else None
        sent = [packet for packet in capture.packets(mark) if packet.outgoing and packet.interface]
    capture.stop()
    lab.check_alive()
    healing.ike_messages = [packet for packet in sent if packet.ike]
    healing.keepalives = sum(1 for packet in sent if packet.keepalive)
    after = _children(client)
    if after != before:
        problems["child"] = f"the CHILD_SA is another one: {before} before, {after} after"
    if healing.ike_messages:
        first = healing.ike_messages[0].ike
        problems["ike"] = (f"the client sent {len(healing.ike_messages)} IKE messages, the first of exchange "
                           f"type {first.exchange}, message ID {first.message_id}")
    if moved and client.nat and healing.mapping_before and healing.mapping_after and \
            healing.mapping_before.public == healing.mapping_after.public:
        raise ValueError(f"nothing was tested: the client's mapping is still {healing.mapping_after.public}")
    if problems:
        raise NotHealed(problems)


def _children(client):
    """Unique IDs of the CHILD_SAs at both ends."""
    return {end: sorted(child.unique_id for sa in sas for child in sa.children)
            for end, sas in (("client", client.list_sas()), ("gateway", client.gateway.sas_of(client)))}
