"""What can go wrong in runs, as one family of exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from policy.core.outcomes import ErrorClass


class RunsError(Exception):
    """Base of every error that the runs app raises."""


class LeaseLost(RunsError):  # noqa: N818
    """Another worker holds this run or task now, or it has moved on; nothing was written."""

    def __init__(self, run_id: object, fencing_token: int) -> None:
        super().__init__(f"lease on {run_id} lost (held token {fencing_token})")
        self.run_id, self.fencing_token = run_id, fencing_token


class StoreAway(RunsError):  # noqa: N818
    """The database cannot be reached now; whether the statement was carried out is unknown."""


class UnknownAgent(RunsError):  # noqa: N818
    """Neither the tenant nor the code has such an agent or version; nothing was started."""

    def __init__(self, name: str, version: str | None = None) -> None:
        which = f"{name!r}" if version is None else f"{name!r} version {version!r}"
        super().__init__(f"there is no agent {which} here; GET /api/v1/agents lists them")
        self.name, self.version = name, version


class InvalidInput(RunsError):  # noqa: N818
    """The input does not fit the agent; nothing was started.

    `errors` holds a JSON Pointer and a sentence for each thing that is wrong.
    """

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer or '/'}: {text}" for pointer, text in errors))
        self.errors = list(errors)


class UnknownRun(RunsError):  # noqa: N818
    """This tenant has no such run."""


class UnknownApproval(RunsError):  # noqa: N818
    """This tenant has no such approval."""


class UnknownBreaker(RunsError):  # noqa: N818
    """The tenant has no dependency of that name."""


class UnknownBudget(RunsError):  # noqa: N818
    """This tenant has no such budget."""


class UnknownCheckpoint(RunsError):  # noqa: N818
    """The run has no checkpoint of this number."""


class UnknownPolicy(RunsError):  # noqa: N818
    """This tenant has no such policy version, backtest, or recorded call."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"this tenant has no {kind} {name}")


class InvalidBacktest(RunsError):  # noqa: N818
    """A backtest that cannot be made as it was asked for; nothing was judged."""


class HistoryGone(RunsError):  # noqa: N818
    """What was asked for was removed: the tenant keeps the history of ended runs for a time."""

    def __init__(self, run_id: object, removed_at: datetime) -> None:
        super().__init__(
            f"the history of run {run_id} was removed on {removed_at:%Y-%m-%d}, as its tenant "
            "keeps it for a number of days; its newest checkpoint, its last event, its effects "
            "without what was asked and answered, and the audit log are there"
        )
        self.run_id, self.removed_at = run_id, removed_at


class StandingEffects(RunsError):  # noqa: N818
    """Going back would leave effects standing, and nobody said that they may; nothing changed."""

    def __init__(self, effects: Sequence[str]) -> None:
        super().__init__(
            f"{len(effects)} effects since then stay done or are in doubt: {', '.join(effects)}"
        )
        self.effects = list(effects)


class IllegalMove(RunsError):  # noqa: N818
    """The run's state does not allow this; nothing was changed."""

    def __init__(self, state: str, verb: str) -> None:
        super().__init__(f"a run that is {state} cannot be {verb}")
        self.state, self.verb = state, verb


class NothingToCompensate(RunsError):  # noqa: N818
    """None of the effects can be compensated; nothing was started."""


class SignalRefused(RunsError):  # noqa: N818
    """A signal that was not kept; nothing was changed."""


class InvalidGraph(RunsError):  # noqa: N818
    """An agent's graph does not hold together; it was not registered."""


class Misfit(RunsError):  # noqa: N818
    """A run does not fit the version that it was to be taken over to; nothing was changed."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


class UnknownMigration(RunsError):  # noqa: N818
    """This tenant has no such migration of runs."""


class InvalidWrite(RunsError):  # noqa: N818
    """A node wrote what its channels cannot take; its super-step was not committed."""


class InvalidFile(RunsError):  # noqa: N818
    """A name, a media type or bytes that can be no file; nothing was kept."""

    error_class = ErrorClass.VALIDATION_ERROR


class UnknownFile(RunsError):  # noqa: N818
    """The run has no file of this name there."""

    error_class = ErrorClass.VALIDATION_ERROR

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no file {name!r} here")


class FilesFull(RunsError):  # noqa: N818
    """The tenant's files have all the bytes that they may have; nothing was kept."""

    error_class = ErrorClass.PERMANENT_DEPENDENCY

    def __init__(self, *, used: int, most: int, wanted: int) -> None:
        super().__init__(
            f"the tenant's files have {used:,} of {most:,} bytes, and {wanted:,} more do not fit: "
            "its quota must be raised (max_file_bytes), or what no run names any more cleared away"
        )


class ArtifactLost(RunsError):  # noqa: N818
    """What is kept under a digest is gone, or not what was written; nothing was given."""

    error_class = ErrorClass.PERMANENT_DEPENDENCY

    def __init__(self, digest: str, how: str) -> None:
        super().__init__(f"the artifact {digest} {how}")


class ArtifactsAway(RunsError):  # noqa: N818
    """The storage of artifacts cannot be reached now, or takes nothing more."""

    error_class = ErrorClass.TRANSIENT_DEPENDENCY


class UnknownVersion(RunsError):  # noqa: N818
    """A stored checkpoint has a version that this code cannot read."""


class TooManyEffects(RunsError):  # noqa: N818
    """A task asked for more than it may: it would replay all of it whenever it resumes."""

    error_class = ErrorClass.HUMAN_REQUIRED

    def __init__(self, most: int) -> None:
        super().__init__(f"one task may ask for {most} effects (max_effects); use more nodes")


class NodeTimeout(RunsError):  # noqa: N818
    """A coroutine took longer than its node may, with nothing under way that it waited for."""

    error_class = ErrorClass.TIMEOUT

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the node did nothing for {seconds:g} s (its timeout)")


class QueueFull(RunsError):  # noqa: N818
    """As many runs of the tenant wait to begin as may; `retry_after` seconds later fewer will."""

    def __init__(self, most: int, seconds: float) -> None:
        super().__init__(
            f"{most} runs of this tenant wait to begin, and no more may; "
            f"come back in {seconds:.0f} s"
        )
        self.retry_after = seconds


class SystemFull(RunsError):  # noqa: N818
    """As many runs wait to begin in all as may; `retry_after` seconds later fewer will."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"too many runs of all tenants wait to begin; come back in {seconds:.0f} s"
        )
        self.retry_after = seconds
