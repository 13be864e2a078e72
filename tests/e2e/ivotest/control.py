# SPDX-License-Identifier: GPL-2.0-or-later
"""Our control socket, through the operator's command ivoctl."""

import json

from .namespaces import CommandFailed, run
from .paths import built_ivoctl


class Control:
    """Calls ivoctl against one charon: control("stats")."""

    def __init__(self, charon):
        self.charon = charon

    def __call__(self, *arguments, check=True, timeout=30):
        argv = [built_ivoctl(), "--socket", self.charon.control_socket, *arguments]
        try:
            return run(*argv, check=check, timeout=timeout)
        except CommandFailed:
            self.charon.check_alive()
            raise

    def stats(self):
        """`ivoctl stats --json`: a dict keyed by plugin."""
        return json.loads(self("stats", "--json").stdout)
