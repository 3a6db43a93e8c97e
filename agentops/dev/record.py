"""What a running session leaves in its state folder: for `status`, and for other commands."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from agentops import process_ids
from agentops.process_ids import ProcessId
from agentops.processes import CHECKOUT
from agentops.servers.secret_file import write_private

FILE: Final = "session.json"
SHARED: Final = (
    *("DATABASE_URL", "REDIS_URL", "AGENTOPS_REDIS_PREFIX", "AGENTOPS_SECRET_KEY"),
    *("AGENTOPS_STATE", "AGENTOPS_DEBUG"),
    *("AGENTOPS_ARTIFACTS", "AGENTOPS_ARTIFACTS_BACKEND", "AGENTOPS_ARTIFACTS_OPTIONS"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A product that runs on this machine."""

    pid: int
    started: str
    environment: dict[str, str]
    web: str
    flower: str
    sign_in_path: str
    api_key: str
    tenant: str
    waiting: int
    servers: str
    data: str
    model: str
    seconds: float

    def save(self, state: Path) -> None:
        write_private(state / "run" / FILE, json.dumps(asdict(self), indent=1) + "\n")


def state_folder() -> Path:
    """Return the state folder of this checkout, or the one the environment names."""
    return Path(os.environ.get("AGENTOPS_STATE") or CHECKOUT / ".agentops").absolute()


def current(state: Path) -> Session | None:
    """Return the session that runs on a state folder; None when there is none.

    Also None when its file cannot be read: it belongs to somebody else.
    """
    try:
        found = Session(**json.loads((state / "run" / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if process_ids.is_alive(ProcessId(found.pid, found.started)) else None


def adopt_environment() -> bool:
    """Let a command in another terminal find the servers of the session that runs.

    What the environment already says is left as it is.
    """
    if os.environ.get("DATABASE_URL"):
        return False
    session = current(state_folder())
    for name, value in session.environment.items() if session else ():
        os.environ.setdefault(name, value)
    return session is not None
