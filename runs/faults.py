"""Named points in the code at which a proof kills the process. They do nothing unless armed.

Armed by AGENTOPS_FAULT_POINTS, which names a folder that all processes share:

    hits    one line for each hit of a point, in order, written while the file is locked
    kill    "NAME NUMBER": whoever makes the NUMBER-th hit of NAME is killed with SIGKILL;
            "NAME NUMBER STOP": is stopped instead, and has its process id in `stopped`

Without the file `kill` nothing is counted, so that a proof can bring its processes on first.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from pathlib import Path
from typing import Final

VARIABLE: Final = "AGENTOPS_FAULT_POINTS"

_folder: Final = os.environ.get(VARIABLE)


def point(name: str) -> None:
    """Be killed here, if it is this hit's turn."""
    if _folder is not None:
        _hit(Path(_folder), name)


def _hit(folder: Path, name: str) -> None:
    try:
        victim, number, *how = (folder / "kill").read_text("utf-8").split()
    except (OSError, ValueError):
        return
    with (folder / "hits").open("a+", encoding="utf-8") as hits:
        fcntl.flock(hits, fcntl.LOCK_EX)
        hits.write(f"{name}\n")
        hits.flush()
        hits.seek(0)
        if name != victim or hits.read().splitlines().count(name) != int(number):
            return
        if not how:
            os.kill(os.getpid(), signal.SIGKILL)
    (folder / "stopped").write_text(str(os.getpid()), "utf-8")
    # To this thread: sent to the process, it might be another that stops first, and this goes on.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
