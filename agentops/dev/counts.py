"""How the runs stand, asked over the HTTP API like any client."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

MOVING: Final = frozenset({"queued", "running", "waiting"})
WAITS_FOR_A_PERSON: Final = frozenset({"interrupted", "paused"})
POLL_SECONDS: Final = 0.1
PAGE: Final = 100


class ApiFailed(Exception):  # noqa: N818 - named as what happened
    """The API did not answer as it should."""


class NotSettled(Exception):  # noqa: N818 - named as what is true when it is raised
    """Runs were still moving when the time was up."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs there are in each state."""

    states: Counter[str]

    @property
    def moving(self) -> int:
        return sum(self.states[state] for state in MOVING)

    @property
    def waiting_for_person(self) -> int:
        return sum(self.states[state] for state in WAITS_FOR_A_PERSON)

    def report(self, seconds: float) -> dict[str, float]:
        return {
            "runs": self.states.total(),
            "succeeded": self.states["succeeded"],
            "failed": self.states["failed"],
            "waiting_for_person": self.waiting_for_person,
            "seconds": round(seconds, 2),
        }


def count(web: str, api_key: str) -> Counts:
    """Count the runs of the key's tenant.

    Raises:
        ApiFailed: it did not answer as it should.
    """
    states: Counter[str] = Counter()
    asked = {"limit": str(PAGE)}
    while True:
        page = _get(f"{web}/api/v1/runs?{urlencode(asked)}", api_key)
        states.update(run["state"] for run in page["results"])
        if not page["next"]:
            return Counts(states)
        asked["cursor"] = page["next"]


def settled(ask: Callable[[], Counts], *, timeout: float) -> Counts:
    """Wait until no run moves by itself, and return the counts.

    Raises:
        NotSettled: runs still moved after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while (found := ask()).moving:
        if time.monotonic() > deadline:
            raise NotSettled(f"{found.moving} runs still move after {timeout:g} s")
        time.sleep(POLL_SECONDS)
    return found


def _get(url: str, api_key: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own http URL
        url, headers={"Authorization": f"Bearer {api_key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the same
            page: dict[str, Any] = json.load(response)
    except OSError as error:
        raise ApiFailed(f"{url} failed: {error}; see logs/web.log in the state folder") from None
    return page
