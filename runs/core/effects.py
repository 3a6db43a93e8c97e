"""Effects: what a task may ask the world for, named by its place in the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from policy.core.json import Json, JsonObject


class EffectKind(StrEnum):
    """What is asked for."""

    MODEL = "model"
    TOOL = "tool"
    TIMER = "timer"
    SIGNAL = "signal"
    CHILD = "child"
    JOIN = "join"
    GUARD = "guard"


class EffectState(StrEnum):
    """Where an effect stands in the ledger.

    CLAIMED was written before the call; found again by a later attempt, it means that
    nobody knows what came of it.
    """

    CLAIMED = "claimed"
    HELD = "held"
    RETRYING = "retrying"
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"


SETTLED = frozenset({EffectState.DONE, EffectState.FAILED})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in a run an effect was asked for."""

    super_step: int
    task: str
    ordinal: int


def effect_key(run_id: str, place: Place) -> str:
    """Name an effect by its place in the run, so that a replay asks the same question."""
    return f"{run_id}/{place.super_step}/{place.task}/{place.ordinal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A row of the ledger, as a task that starts over finds it.

    `approval` is the state of the approval it was held for, empty where there was none.
    `approval_arguments` are a person's, where they edited the call, and what was shown of a run's
    answer; None else.
    `corrections` are what they put in the place of channels, with the decision.
    """

    place: Place
    digest: str
    state: EffectState
    effect: str = ""
    attempt: int
    outcome: Json = None
    approval: str = ""
    approval_digest: str = ""
    approval_policy: str = ""
    approval_by: str = ""
    approval_reason: str = ""
    approval_result: Json = None
    approval_arguments: JsonObject | None = None
    corrections: JsonObject = field(default_factory=dict)

    @property
    def answer(self) -> JsonObject:
        """Give a person's answer as the call's result, labelled as theirs."""
        return {"answered_by": self.approval_by, "answer": self.approval_result}


def corrections(ledger: Iterable[Recorded]) -> dict[str, Json]:
    """Collect what reviewers put in the place of channels; each channel has one correction."""
    return {name: value for row in ledger for name, value in row.corrections.items()}
