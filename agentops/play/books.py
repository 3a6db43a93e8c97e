"""Books: what the tool server remembers, in a SQLite file that survives a SIGKILL.

    runs      which task a run plays
    calls     every call that came in, and what was said to it: the request log
    records   the records of a task, as they stand
    ledger    every effect that happened: one row for each time it happened

A call is decided, its effects are made, and both are written, in one transaction. A good
service answers a key it knows with its first answer. A blunt one logs the key and ignores it:
the same call again is the same effect again.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentops.play.records import EffectError, call_digest, changed
from agentops.play.workload import Action, JsonObject, Workload

Verdict = Literal["answered", "replayed", "stray", "conflict"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, task INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS records (task INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, task INTEGER NOT NULL, name TEXT NOT NULL,
    digest TEXT NOT NULL, key TEXT, verdict TEXT NOT NULL, action INTEGER, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (run, key);
CREATE INDEX IF NOT EXISTS calls_by_task ON calls (task);
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, task INTEGER NOT NULL, run TEXT NOT NULL, action INTEGER NOT NULL,
    name TEXT NOT NULL, digest TEXT NOT NULL, key TEXT, attempt INTEGER NOT NULL,
    at REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as it came in."""

    run: str
    name: str
    arguments: JsonObject
    key: str | None

    @property
    def digest(self) -> str:
        return call_digest(self.name, self.arguments)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says to a call: the result of an action, or an error."""

    verdict: Verdict
    result: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One effect that happened."""

    seq: int
    task: int
    run: str
    action: int
    name: str
    digest: str
    key: str | None
    attempt: int
    at: float


def matching(
    actions: Sequence[Action], played: Collection[int], digest: str, *, blunt: bool
) -> int | None:
    """Return which action a call means: the first unplayed one that is equal.

    A blunt service also takes an equal call that has been played: nothing tells it that the
    second one is not meant, so it happens again.
    """
    equal = [index for index, action in enumerate(actions) if action.digest == digest]
    for index in equal:
        if index not in played:
            return index
    if not blunt or not equal:
        return None
    return next((index for index in reversed(equal) if actions[index].writes), equal[-1])


class Books:
    """The service's memory of one play."""

    def __init__(
        self, path: Path, workload: Workload, *, blunt: bool, clock: Callable[[], float]
    ) -> None:
        self._workload, self._blunt, self._clock = workload, blunt, clock
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)
        self._open_records()

    def _open_records(self) -> None:
        rows = [(task.index, json.dumps(task.initial_records)) for task in self._workload.tasks]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO records VALUES (?, ?)", rows)

    def close(self) -> None:
        self._db.close()

    def register(self, run: str, task: int) -> None:
        """Let calls of this run play that task. Safe to repeat."""
        self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (run, task))

    def runs(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT run, task FROM runs"))

    def answer(self, call: Call, task: int) -> Answer:
        """Decide a call, make its effects and write both down, or nothing of it."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            return self._known_answer(call, task) or self._new_answer(call, task)

    def _known_answer(self, call: Call, task: int) -> Answer | None:
        """Return the first answer under the call's key, as a service does that honours keys."""
        if self._blunt or call.key is None:
            return None
        first = self._first_answer(call.run, call.key)
        if first is None:
            return None
        action, digest = first
        if digest != call.digest:
            self._log(call, task, "conflict", None)
            return Answer("conflict", error="this idempotency key was used for another call")
        self._log(call, task, "replayed", action)
        return self._said(task, action, "replayed")

    def _new_answer(self, call: Call, task: int) -> Answer:
        actions = self._workload.tasks[task].actions
        index = matching(actions, self._played(task), call.digest, blunt=self._blunt)
        if index is None:
            self._log(call, task, "stray", None)
            return Answer("stray", error=f"{call.name}: no such call in this task")
        attempt = self._log(call, task, "answered", index)
        if actions[index].writes:
            self._make(call, task, index, attempt)
        return self._said(task, index, "answered")

    def _make(self, call: Call, task: int, index: int, attempt: int) -> None:
        """Make an action's effects, and write the row that says that they happened."""
        effects = self._workload.tasks[task].actions[index].effects
        records = self.records(task)
        # A repeated effect may find nothing left to change; that it happened still counts.
        with suppress(EffectError):
            records = changed(records, effects)
        self._db.execute("UPDATE records SET body = ? WHERE task = ?", (json.dumps(records), task))
        self._db.execute(
            "INSERT INTO ledger (task, run, action, name, digest, key, attempt, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (task, call.run, index, call.name, call.digest, call.key, attempt, self._clock()),
        )

    def _log(self, call: Call, task: int, verdict: Verdict, action: int | None) -> int:
        """Write a call to the request log; return the how-manieth under its key it is."""
        self._db.execute(
            "INSERT INTO calls (run, task, name, digest, key, verdict, action, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (call.run, task, call.name, call.digest, call.key, verdict, action, self._clock()),
        )
        if call.key is None:
            return 1
        counted = self._db.execute(
            "SELECT count(*) FROM calls WHERE run = ? AND key = ?", (call.run, call.key)
        )
        return int(counted.fetchone()[0])

    def _first_answer(self, run: str, key: str) -> tuple[int, str] | None:
        found: tuple[int, str] | None = self._db.execute(
            "SELECT action, digest FROM calls"
            " WHERE run = ? AND key = ? AND verdict = 'answered' ORDER BY seq LIMIT 1",
            (run, key),
        ).fetchone()
        return found

    def _played(self, task: int) -> set[int]:
        rows = self._db.execute(
            "SELECT DISTINCT action FROM calls WHERE task = ? AND verdict = 'answered'", (task,)
        )
        return {index for (index,) in rows}

    def _said(self, task: int, index: int, verdict: Verdict) -> Answer:
        action = self._workload.tasks[task].actions[index]
        return Answer(verdict, result=action.result, error=action.error)

    def look_up(self, run: str, key: str) -> Answer | None:
        """Return what was answered to a call, for a person who asks whether it happened."""
        first, task = self._first_answer(run, key), self.runs().get(run)
        return None if first is None or task is None else self._said(task, first[0], "answered")

    def records(self, task: int) -> JsonObject:
        """Return a task's records as they stand. Raises LookupError for a task that is not."""
        row = self._db.execute("SELECT body FROM records WHERE task = ?", (task,)).fetchone()
        if row is None:
            raise LookupError(f"no task {task}")
        records: JsonObject = json.loads(row[0])
        return records

    def ledger(self) -> list[LedgerRow]:
        """Return every effect that happened, in the order in which it happened."""
        return [LedgerRow(*row) for row in self._db.execute("SELECT * FROM ledger ORDER BY seq")]

    def counts(self) -> dict[str, int]:
        """Return how many calls came in, by what was said to them, and how many effects were."""
        said = dict(self._db.execute("SELECT verdict, count(*) FROM calls GROUP BY verdict"))
        effects = self._db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        return {"calls": sum(said.values()), **said, "effects": effects}
