"""What a run did that can be compensated, what cannot be and why, and what was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from policy.core.json import Json, JsonObject
from runs.core.effects import EffectState
from runs.core.recorded import travel
from runs.core.recorded.compensation import Compensation, filled, stands_as
from runs.core.recorded.travel import Stands
from runs.errors import UnknownRun
from runs.models import Effect, Run
from tools import catalogue
from tools.errors import UnknownTool

GONE: Final = "what it was asked and answered was removed with the run's history"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationView:
    """An effect, and what would compensate it: `tool` with `arguments`, or `why` nothing can.

    `run_id` is the run that compensated it, or is about to.
    """

    key: str
    name: str
    super_step: int
    request: Json
    state: Compensation
    tool: str = ""
    arguments: JsonObject = field(default_factory=dict)
    why: str = ""
    run_id: str = ""


def compensations(run_id: UUID, since: int = 0) -> list[CompensationView]:
    """List the effects of a run since a checkpoint that changed the world, the newest first.

    Raises:
        UnknownRun: the scope's tenant has no such run.
    """
    if not Run.objects.filter(pk=run_id).exists():
        raise UnknownRun(f"there is no run {run_id}")
    rows = Effect.objects.filter(run_id=run_id, super_step__gte=since, kind="tool")
    found = [(row, stands) for row in rows if (stands := stands_of(row)) is not None]
    found.sort(key=lambda pair: _moment(pair[0]), reverse=True)
    made = made_for(run_id)
    return [_view(row, stands, made.get(_key(row))) for row, stands in found]


def made_for(run_id: UUID) -> dict[str, Effect]:
    """Give the calls that compensate effects of a run, by those effects' keys."""
    runs = Run.objects.filter(compensates_id=run_id).values_list("id", flat=True)
    rows = Effect.objects.filter(run_id__in=list(runs), compensates__isnull=False)
    made: dict[str, Effect] = {}
    for row in rows.order_by("claimed_at"):
        before = made.get(str(row.compensates))
        if before is None or _stands(before) is Compensation.OPEN:
            made[str(row.compensates)] = row
    return made


def _moment(row: Effect) -> tuple[object, ...]:
    ended = row.finished_at or row.claimed_at
    return row.super_step, ended.timestamp() if ended else 0.0, row.ordinal, row.task


def _key(row: Effect) -> str:
    return f"{row.run_id}/{row.super_step}/{row.task}/{row.ordinal}"


def _stands(made: Effect) -> Compensation:
    outcome = made.outcome if isinstance(made.outcome, Mapping) else {}
    return stands_as(state=made.state, in_doubt=bool(outcome.get("in_doubt")))


def _view(row: Effect, stands: Stands, made: Effect | None) -> CompensationView:
    key = _key(row)
    known = {"key": key, "name": row.name, "super_step": row.super_step, "request": row.request}
    state = Compensation.OPEN if made is None else _stands(made)
    if made is not None and state is not Compensation.OPEN:
        return CompensationView(
            **known, state=state, tool=made.name, arguments=made.request, run_id=str(made.run_id)
        )
    if stands is Stands.UNKNOWN or row.state != EffectState.DONE:
        why = "nobody knows whether it happened; find out and say so first"
        return CompensationView(**known, state=Compensation.IMPOSSIBLE, why=why)
    try:
        tool, arguments = _compensating(row, key)
    except (ValueError, UnknownTool) as error:
        return CompensationView(**known, state=Compensation.IMPOSSIBLE, why=str(error))
    return CompensationView(**known, state=state, tool=tool, arguments=arguments)


def _compensating(row: Effect, key: str) -> tuple[str, JsonObject]:
    named = catalogue.find(row.name).compensate
    if not named:
        raise ValueError(f"{row.name} declares no compensation")
    spec = catalogue.find(named)
    if not isinstance(row.request, Mapping) or not isinstance(row.outcome, Mapping):
        raise ValueError(GONE)  # noqa: TRY004 - rows that were emptied, not a mistake of ours
    result = row.outcome.get("value")
    try:
        given = filled(spec.input_schema, arguments=row.request, result=result, key=key)
    except ValueError as error:
        raise ValueError(f"{named} does not fit: {error}") from error
    return named, given


def stands_of(row: Effect) -> travel.Stands | None:
    """Say how an effect stands to the world; None where it did not change it."""
    return travel.stands(
        kind=row.kind,
        effect=row.effect,
        state=row.state,
        error_class=row.error_class,
        attempts=row.attempts,
    )
