# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a condition with a deadline; nothing in the tests waits in any other way."""
import time

STEP = 0.01


def until(condition, what, timeout=30.0):
    """Calls condition() until it returns something true, and returns that.

    `what` says in the failure what was waited for; it may be a function, called then."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(STEP)
