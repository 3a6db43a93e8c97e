"""Free loopback ports."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from typing import Final

LOOPBACK: Final = "127.0.0.1"
TRIES: Final = 50
claimed: set[int] = set()


def free_port(preferred: Sequence[int] = ()) -> int:
    """Return the first preferred port that nobody listens on, else any free one.

    Until this process ends no other command of ours gets it, nor anybody here who did not
    prefer it. Strangers may still take it before a server of ours does.
    """
    for port in (*preferred, *([0] * TRIES)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        if (port and port in claimed) or _claimed(found):
            claimed.add(found)
            return found
    raise OSError("no loopback port is free")


def _claimed(port: int) -> bool:
    """Claim a port by a name that the kernel gives to one process and frees at its end."""
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0agentops-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True
