"""Recorded calls, to be judged again by another policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from policy.core.call import CallRequest, EffectClass, Principal, Risk
from policy.core.rules.recorded import request_of
from runs.models import Effect, Run

CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCall:
    """A tool call that policy judged: what it was, and what was decided.

    `complete` is false for one that was recorded before the facts of calls were: it is put
    together from what is there, with a medium risk and a grant.
    """

    key: str
    run_id: UUID
    request: CallRequest
    decision: str
    rule: str
    complete: bool


def judged_calls(run_ids: Sequence[UUID]) -> Iterator[JudgedCall | None]:
    """Go through the recorded tool calls of runs; None for one that no policy judged.

    Must be read in one open scope: rows come from a cursor, a few at a time.
    """
    runs = {run.id: run for run in Run.objects.filter(pk__in=run_ids)}
    rows = Effect.objects.filter(run_id__in=run_ids, kind="tool")
    for row in rows.order_by("run_id", "super_step", "task", "ordinal").iterator(CHUNK):
        yield _judged(row, runs[row.run_id])


def judged_call(key: str) -> JudgedCall | None:
    """Find the call at a place of the ledger; None where there is none that policy judged."""
    run_id, _, place = key.partition("/")
    super_step, _, rest = place.partition("/")
    task, _, ordinal = rest.rpartition("/")
    if not (super_step.isdigit() and ordinal.isdigit() and len(super_step + ordinal) < 12):  # noqa: PLR2004
        return None
    try:
        run = Run.objects.filter(pk=UUID(run_id)).first()
    except ValueError:
        return None
    row = Effect.objects.filter(
        run_id=run_id, super_step=int(super_step), task=task, ordinal=int(ordinal), kind="tool"
    ).first()
    return None if run is None or row is None else _judged(row, run)


def _judged(row: Effect, run: Run) -> JudgedCall | None:
    decision = row.decision or {}
    if "decision" not in decision or run.history_removed_at is not None:
        return None  # without its arguments it cannot be judged again
    request, complete = _request(row, run)
    return JudgedCall(
        key=f"{row.run_id}/{row.super_step}/{row.task}/{row.ordinal}",
        run_id=row.run_id,
        request=request,
        decision=decision["decision"],
        rule=decision.get("rule", ""),
        complete=complete,
    )


def _request(row: Effect, run: Run) -> tuple[CallRequest, bool]:
    arguments = row.request if isinstance(row.request, dict) else {}
    facts = (row.decision or {}).get("facts")
    if facts:
        try:
            return request_of(row.name, arguments, facts), True
        except (KeyError, ValueError, TypeError):
            pass  # of another release: what is there serves
    guessed = CallRequest(
        tool=row.name,
        version=row.version,
        arguments=arguments,
        effect=EffectClass(row.effect),
        agent=run.agent_name,
        principal=Principal(id=str(run.principal_id or ""), name=run.started_by),
        risk=Risk.MEDIUM,
        at=run.created_at,
    )
    return guessed, False
