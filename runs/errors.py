"""What can go wrong in runs, as one family of exceptions."""

from __future__ import annotations

from collections.abc import Sequence


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


class UnknownBudget(RunsError):  # noqa: N818
    """This tenant has no such budget."""


class UnknownCheckpoint(RunsError):  # noqa: N818
    """The run has no checkpoint of this number."""


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


class SignalRefused(RunsError):  # noqa: N818
    """A signal that was not kept; nothing was changed."""


class InvalidGraph(RunsError):  # noqa: N818
    """An agent's graph does not hold together; it was not registered."""


class InvalidWrite(RunsError):  # noqa: N818
    """A node wrote what its channels cannot take; its super-step was not committed."""


class UnknownVersion(RunsError):  # noqa: N818
    """A stored checkpoint has a version that this code cannot read."""
