"""A worker's way to say that it takes work now: it makes the file it was told to make.

Celery imports this module because the worker's command line asks for it; without
AGENTOPS_READY_FILE it does nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from celery.signals import worker_ready

READY_FILE: Final = "AGENTOPS_READY_FILE"


@worker_ready.connect
def announce(**_: Any) -> None:
    """Make the file; its folder is there, because the supervisor made it."""
    path = os.environ.get(READY_FILE)
    if path:
        Path(path).touch()
