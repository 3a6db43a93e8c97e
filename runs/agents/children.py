"""Runs that a run starts and waits for: how many must succeed, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self, TypeAlias

from policy.core.json import Json, JsonObject
from policy.core.outcomes import ErrorClass, Failed
from runs.errors import InvalidGraph, RunsError

SUCCEEDED: Final = "succeeded"


MOST_CHILDREN: Final = 1_000
"""So many are spawned at once; more takes a second spawn."""

MOST: Final = {"total": 100_000, "at_once": 10_000, "depth": 8, "family": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """How many runs a run may start in all, how many may be at work at once, how deep they stand.

    In all means ever: also those that a rewind called off. `depth` counts the runs above a
    child; with 1 only runs that nobody spawned have children. `family` bounds all who descend
    from a run that nobody spawned, by what that run's agent says.

    Raises:
        InvalidGraph: a limit is out of its bounds.
    """

    total: int = 10_000
    at_once: int = 1_000
    depth: int = 8
    family: int = 100_000

    def __post_init__(self) -> None:
        """Check each limit."""
        for name, most in MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise InvalidGraph(f"ChildLimits({name}=...) is a number from 1 to {most}")


class Join(StrEnum):
    """When waiting for children is over, and whether it went well.

    ALL: every one succeeded; the first failure calls the rest off and raises.
    ANY: one succeeded; the rest are called off. PARTIAL: every one has ended, however.
    """

    ALL = "all"
    ANY = "any"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Quorum:
    """So many must succeed; the rest are called off. Raises as soon as they cannot any more."""

    n: int


Policy: TypeAlias = Join | Quorum


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """Runs that were spawned together, in the order of their inputs.

    `to_json` and `of` carry it through a channel to another node.
    """

    join_id: str
    run_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.run_ids)

    def to_json(self) -> JsonObject:
        """Write it down."""
        return {"join": self.join_id, "runs": list(self.run_ids)}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Read it back."""
        return cls(join_id=raw["join"], run_ids=tuple(raw["runs"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What came of a child, as it was when the join was decided.

    A child that had not ended then is in whatever state it was; it is called off.
    """

    run_id: str
    state: str
    output: Json = None
    error_class: str = ""
    error_detail: str = ""

    @property
    def succeeded(self) -> bool:
        """Say whether it came to its end well."""
        return self.state == SUCCEEDED

    def to_json(self) -> JsonObject:
        """Give it as an agent may store or return it."""
        return asdict(self)


class SpawnRefused(RunsError):  # noqa: N818
    """Children were not started, none of them; `failure` says why."""

    def __init__(self, agent: str, failure: Failed) -> None:
        super().__init__(f"{agent}: {failure.error_class}: {failure.detail}")
        self.agent, self.failure = agent, failure

    @property
    def error_class(self) -> ErrorClass:
        """Give the class of the failure."""
        return self.failure.error_class


class ChildrenFailed(RunsError):  # noqa: N818
    """Fewer children succeeded than were needed; `results` tells of each."""

    def __init__(self, results: Sequence[ChildResult]) -> None:
        self.results = tuple(results)
        bad = [r for r in results if r.error_class]
        told = "; ".join(f"{r.run_id}: {r.error_class}: {r.error_detail}" for r in bad[:3])
        good = sum(r.succeeded for r in results)
        super().__init__(f"{good} of {len(results)} children succeeded: {told}")

    @property
    def error_class(self) -> ErrorClass:
        """Give the class of the first failure."""
        known = [r.error_class for r in self.results if r.error_class]
        return ErrorClass(known[0]) if known else ErrorClass.INTERNAL


class ChildFailed(ChildrenFailed):
    """The one child failed."""


class InvalidJoin(RunsError):  # noqa: N818
    """A join that cannot be: another run's children, or a quorum that they cannot make up."""

    error_class = ErrorClass.VALIDATION_ERROR


def wants(policy: Policy, total: int) -> tuple[int, int]:
    """Give how many successes, and how many failures, decide a join.

    Raises:
        InvalidJoin: a quorum of none, or of more than there are.
    """
    match policy:
        case Join.ALL:
            return total, 1
        case Join.ANY:
            return 1, total
        case Join.PARTIAL:
            return total, total
        case Quorum(n=n):
            if not 1 <= n <= total:
                raise InvalidJoin(f"a quorum of {n} among {total} children")
            return n, total - n + 1


def judged(children: Children, policy: Policy, recorded: Json) -> list[ChildResult]:
    """Give what came of each child, in the order of their inputs.

    Raises:
        ChildrenFailed: fewer succeeded than the policy needs.
        InvalidJoin: they are not this run's children.
    """
    rows: Any = recorded
    found = {row["run"]: row for row in rows}
    if missing := [run_id for run_id in children.run_ids if run_id not in found]:
        raise InvalidJoin(
            f"this run has no child {missing[0]}: only the run that spawned children joins them,"
            " not a fork of it"
        )
    results = [_result(found[run_id]) for run_id in children.run_ids]
    needed = 0 if policy is Join.PARTIAL else wants(policy, len(children))[0]
    if sum(r.succeeded for r in results) < needed:
        raise ChildrenFailed(results)
    return results


def only(results: Sequence[ChildResult]) -> Json:
    """Give the one child's output.

    Raises:
        ChildFailed: it did not succeed.
    """
    if not results[0].succeeded:
        raise ChildFailed(results)
    return results[0].output


def _result(row: Mapping[str, Any]) -> ChildResult:
    return ChildResult(
        run_id=row["run"],
        state=row["state"],
        output=row["output"],
        error_class=row["error_class"],
        error_detail=row["error_detail"],
    )
