# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a condition with a deadline; nothing in the tests sleeps for a guessed time."""

import os
import time

# A wrapper such as valgrind makes a charon many times slower: stretch every deadline by this factor.
TIME_FACTOR = float(os.environ.get("IVO_TIME_FACTOR", "1"))


class Timeout(AssertionError):
    """A condition did not come true before its deadline."""


def wait_until(condition, what, within=10.0, every=0.02, watch=()):
    """Poll until condition() is true and return its value; `what` names it in the error.

    `watch` are charons that must stay alive meanwhile, so that a crash fails at once and by its own name. A
    condition may raise AssertionError to tell why it is not true yet; the last reason is part of the error.
    """
    deadline = time.monotonic() + within * TIME_FACTOR
    reason = ""
    while True:
        try:
            value = condition()
        except Timeout:
            raise
        except AssertionError as error:
            value, reason = None, str(error)
        if value:
            return value
        for charon in watch:
            charon.check_alive()
        if time.monotonic() > deadline:
            because = f" ({reason})" if reason else ""
            raise Timeout(f"not within {within * TIME_FACTOR:g} s: {what}{because}")
        time.sleep(every)
