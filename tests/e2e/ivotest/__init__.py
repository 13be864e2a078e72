# SPDX-License-Identifier: GPL-2.0-or-later
"""Test networks of real charons in namespaces with a CGNAT between; README.md tells how to write a test."""

from .capture import Capture, ExchangeType, PayloadType
from .cgnat import Cgnat, Mapping
from .charon import Charon, CharonFailed, OUR_PLUGINS
from .heal import NotHealed, assert_healed
from .hosts import Client, Gateway, Host
from .lab import Lab, failure_folder, in_parallel, remove_leftovers
from .namespaces import CommandFailed, Namespace
from .ping import Ping, ping
from .swanctl import ChildSa, IkeSa
from .wait import Timeout, wait_until

__all__ = [
    "Capture", "Cgnat", "Charon", "CharonFailed", "ChildSa", "Client", "CommandFailed", "ExchangeType",
    "Gateway", "Host", "IkeSa", "Lab", "Mapping", "Namespace", "NotHealed", "OUR_PLUGINS", "PayloadType", "Ping",
    "Timeout", "assert_healed", "failure_folder", "in_parallel", "ping", "remove_leftovers", "wait_until",
]
