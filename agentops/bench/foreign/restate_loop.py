"""Asks runs of Restate: `python -m agentops.bench.foreign.restate_loop PORT SERVICES THREADS`.

So many runs are under way at once; each waits for its answer on a connection that is kept.
"""

from __future__ import annotations

import http.client
import json
import sys
from itertools import cycle, islice
from typing import Any, Final

from agentops.bench.foreign.lines import Player, answer_all

OK: Final = 200


class Restate(Player):
    """A connection to the ingress, and a service to ask for."""

    def __init__(self, port: int, service: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._path = f"/{service}"

    def play(self, steps: int) -> int:
        """Play one run; its answer comes when it has ended."""
        played: int = self._ask({"steps": steps})["steps"]
        return played

    def family(self, children: int) -> None:
        """Have the service play one."""
        if self._ask({"family": children})["answers"] != list(range(children)):
            raise RuntimeError("children answered something else")

    def trace(self, steps: int) -> list[float]:
        """Have the service note when its model is asked."""
        measured: list[float] = self._ask({"trace": steps})["gaps"]
        return measured

    def _ask(self, asked: dict[str, int]) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        path = f"{self._path}/{'family' if 'family' in asked else 'play'}"
        self._connection.request("POST", path, json.dumps(asked), headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != OK:
            raise RuntimeError(f"{response.status}: {body[:500]!r}")
        answered: dict[str, Any] = json.loads(body)
        return answered


def main(port: int, services: list[str], threads: int) -> None:
    """Answer lines until there are no more."""
    answer_all([Restate(port, name) for name in islice(cycle(services), threads)], {})


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3]))
