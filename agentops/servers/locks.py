"""One command at a time on one state folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from agentops.servers.errors import StateInUse


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the state folder's lock; the kernel frees it however this process ends.

    Raises:
        StateInUse: another process holds it.
    """
    with (state / "lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateInUse(
                f"another command runs on {state} now: see `python manage.py status`, "
                "stop it with q or Ctrl-C, or choose another folder with AGENTOPS_STATE"
            ) from None
        yield
