"""Clients of the product: one that submits and comes back when it is told to."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

ANSWER_SECONDS = 60.0
REFUSALS = frozenset({429, 503})


class RefusedError(Exception):
    """A request was refused for another reason than that there is no room."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how many seconds to wait where it was refused."""

    status: int
    body: Mapping[str, Any]
    retry_after: float = 0.0


@dataclass(slots=True)
class Told:
    """What a client was told: the runs accepted, and how it was refused."""

    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    retry_after: list[float] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    first_time_after_waiting: int = 0
    again_after_waiting: int = 0


@dataclass(frozen=True, slots=True)
class Client:
    """One tenant's client."""

    url: str
    key: str

    def submit(self, run_input: Mapping[str, Any], key: str) -> Answer:
        """Ask for a run once, over HTTP."""
        body = json.dumps({"agent": "paces", "input": run_input}).encode()
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": key,
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(f"{self.url}/api/v1/runs", body, headers)  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                told = json.loads(error.read() or b"{}")
                return Answer(error.code, told, float(error.headers.get("Retry-After", 0)))

    def insist(self, run_input: Mapping[str, Any], told: Told, stop: threading.Event) -> None:
        """Ask until the run is accepted, and wait as long as each refusal says."""
        key, waited = f"load-{uuid4()}", 0
        while not stop.is_set():
            try:
                answer = self.submit(run_input, key)
            except (OSError, http.client.HTTPException):
                stop.wait(1.0)
                continue
            if answer.status not in REFUSALS:
                if answer.status >= 400:  # noqa: PLR2004
                    raise RefusedError(f"{answer.status} {answer.body}")
                told.accepted.append(answer.body["id"])
                told.first_time_after_waiting += waited == 1
                return
            told.refused += 1
            told.again_after_waiting += waited > 0
            told.codes.add(answer.body["code"])
            told.retry_after.append(answer.retry_after)
            waited += 1
            stop.wait(answer.retry_after)


@dataclass
class Other:
    """The tenant that submits one run every few seconds; keeps when it sent each."""

    client: Client
    every: float
    run_input: Mapping[str, Any]
    sent: dict[str, float] = field(default_factory=dict)
    failure: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="other", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.once()
                self._stop.wait(self.every)
        except Exception as error:  # noqa: BLE001 - whoever waits for the load raises it
            self.failure = error

    def once(self) -> str:
        """Submit one run."""
        sent = time.time()
        answer = self.client.submit(self.run_input, f"other-{uuid4()}")
        if answer.status >= 400:  # noqa: PLR2004
            raise RefusedError(f"{answer.status} {answer.body}")
        run_id: str = answer.body["id"]
        self.sent[run_id] = sent
        return run_id
