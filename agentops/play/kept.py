"""What a play keeps in its folder, so that the same command goes on after a SIGKILL.

Keys are the folder's secrets. The rest is small: what is played here, on which ports, and how
often a worker was killed. Which run plays which task follows from the session: asking the
product again, with the same idempotency keys, gives the same runs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentops import servers
from agentops.servers.secret_file import write_private

FOLDER: Final = "play"
MARK: Final = "play.json"


class OtherPlayError(Exception):
    """The folder holds a play of another workload, or with other rules."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of one play, below the state folder of its servers."""

    state: Path

    @property
    def folder(self) -> Path:
        return self.state / FOLDER

    @property
    def session(self) -> str:
        """The name of this play in idempotency keys: the same for as long as the folder lives."""
        return self.secret("play session")

    def secret(self, name: str) -> str:
        return servers.secret(self.state, name)

    @property
    def api_key(self) -> str:
        """The key of the play's customer; nothing before the first set-up."""
        return self._api_key.read_text(encoding="utf-8") if self._api_key.exists() else ""

    def keep_api_key(self, key: str) -> None:
        write_private(self._api_key, key)

    @property
    def _api_key(self) -> Path:
        return self.folder / "api-key.txt"

    def open(self, what: dict[str, Any]) -> bool:
        """Make the folder one of this play; return whether it was one before.

        Raises:
            OtherPlayError: another play lives here.
        """
        self.folder.mkdir(exist_ok=True)
        mark = self.folder / MARK
        if not mark.exists():
            write_private(mark, json.dumps(what) + "\n")
            return False
        before = json.loads(mark.read_text(encoding="utf-8"))
        other = [name for name in what if before.get(name) != what[name]]
        if other:
            named = ", ".join(name.replace("_", " ") for name in other)
            raise OtherPlayError(
                f"{self.state} keeps a play with another {named}. "
                "Give the same command as then, or another --data folder"
            )
        return True

    def ports(self, names: Sequence[str]) -> dict[str, int]:
        """Return a free port for each name: where possible the one it had before."""
        path = self.folder / "ports.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found: dict[str, int] = {}
        for name in names:
            preferred = [before[name]] if name in before else []
            while (port := servers.free_port(preferred)) in found.values():
                preferred = []
            found[name] = port
        write_private(path, json.dumps(found) + "\n")
        return found

    def note_kill(self, name: str) -> None:
        with (self.folder / "kills.txt").open("a", encoding="utf-8") as kills:
            kills.write(f"{name}\n")

    def kills(self) -> int:
        """Return how often a worker of this play was killed on purpose."""
        path = self.folder / "kills.txt"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
