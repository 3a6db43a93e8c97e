"""Judge: what happened, beside what should have.

Pure. A task is right when its run succeeded, its records ended as the file says, and each of
its writing actions stands in the ledger exactly once, in order. Two of the three are not
enough: a write made twice may leave the same records behind.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentops.play.records import sha256
from agentops.play.workload import JsonObject, Task


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about one task after the play, from the outside."""

    run_state: str
    records: JsonObject
    effects: tuple[int, ...]  # the action of each ledger row, in the order in which they happened


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """What became of one task; `reasons` is empty exactly when it is right."""

    task: Task
    writes_expected: int
    writes_seen: int
    duplicated: int
    missing: int
    reasons: tuple[str, ...]

    @property
    def right(self) -> bool:
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the whole play."""

    tasks: tuple[TaskVerdict, ...]

    @property
    def wrong(self) -> tuple[TaskVerdict, ...]:
        return tuple(verdict for verdict in self.tasks if not verdict.right)

    def counts(self) -> dict[str, int]:
        """Return the sums that a play reports."""
        return {
            "tasks": len(self.tasks),
            "right": len(self.tasks) - len(self.wrong),
            "writes_expected": sum(verdict.writes_expected for verdict in self.tasks),
            "writes_seen": sum(verdict.writes_seen for verdict in self.tasks),
            "duplicated": sum(verdict.duplicated for verdict in self.tasks),
            "missing": sum(verdict.missing for verdict in self.tasks),
        }


def judge(tasks: Sequence[Task], evidence: Mapping[int, Evidence]) -> Verdict:
    """Compare each task with what is known about it; a task without evidence is wrong."""
    nothing = Evidence(run_state="not started", records={}, effects=())
    return Verdict(tuple(judge_task(task, evidence.get(task.index, nothing)) for task in tasks))


def judge_task(task: Task, seen: Evidence) -> TaskVerdict:
    """Say what became of one task, and why it is wrong if it is."""
    expected = [index for index, action in enumerate(task.actions) if action.writes]
    times = Counter(seen.effects)
    duplicated = sum(count - 1 for count in times.values() if count > 1)
    missing = sum(index not in times for index in expected)
    reasons = (
        f"the run is {seen.run_state}" if seen.run_state != "succeeded" else "",
        f"{duplicated} effects happened twice" if duplicated else "",
        f"{missing} effects never happened" if missing else "",
        _order(expected, seen.effects, times),
        _end(task, seen.records),
    )
    return TaskVerdict(
        task=task,
        writes_expected=len(expected),
        writes_seen=len(seen.effects),
        duplicated=duplicated,
        missing=missing,
        reasons=tuple(reason for reason in reasons if reason),
    )


def _order(expected: Sequence[int], effects: Sequence[int], times: Counter[int]) -> str:
    if set(times) - set(expected):
        return "an effect happened that the task does not have"
    first_times = list(dict.fromkeys(effects))
    in_order = first_times == [index for index in expected if index in times]
    return "" if in_order else "effects happened out of order"


def _end(task: Task, records: JsonObject) -> str:
    digest = sha256(records)
    if digest != sha256(task.final_records):
        return "the records did not end as they should"
    if task.final_sha256 not in {None, digest}:
        return "the records end as the file says, but not with its final_sha256"
    return ""
