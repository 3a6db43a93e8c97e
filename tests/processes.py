"""What tests ask about real processes."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentops import process_ids


def eventually(claim: Callable[[], bool], *, within: float = 10.0) -> bool:
    """Wait until a claim comes true; False when it does not in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.01)
    return False


def is_alive(pid: int) -> bool:
    return process_ids.identify(pid) is not None
