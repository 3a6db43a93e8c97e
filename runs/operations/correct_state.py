"""Correct what an agent declared reviewable of its state, with a decision about its call.

The correction is kept with the approval, and counts from the checkpoint that the super-step leads
to: there the channel holds what the reviewer said, whatever the super-step wrote to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import Json, JsonObject, storable
from policy.errors import InvalidDecision
from policy.models import Approval
from policy.queries.masking import masked
from runs import queries
from runs.agents.program import Program
from runs.agents.reviewable import reviewable_of, why_not_correct
from runs.agents.versions import program_of
from runs.errors import UnknownAgent
from runs.models import Run
from runs.nudging import tell

FITTING: Final = frozenset({"approve", "reject", "respond"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewable:
    """A channel that its agent declared reviewable: what it holds now, and what it may hold."""

    channel: str
    value: Json
    schema: JsonObject

    def masked(self) -> Reviewable:
        """Give it without what it holds."""
        return replace(self, value=masked(self.value))


def reviewable(run_id: UUID) -> list[Reviewable]:
    """List the reviewable channels of a run by name; none where its code or the run is gone."""
    program = _program(run_id)
    schemas = reviewable_of(program.graph) if program else {}
    held = queries.checkpoint_of(run_id, None).channels if schemas else {}
    return [
        Reviewable(channel=name, value=held.get(name), schema=schema)
        for name, schema in schemas.items()
    ]


def corrected(approval: Approval, state: Mapping[str, Json], *, by: Actor) -> JsonObject:
    """Check corrections and write them down with a locked approval; give what is to be kept.

    Raises:
        InvalidDecision: a channel is not reviewable, a value does not fit its schema, or another
            approval of this super-step corrects it.
    """
    plain: JsonObject = storable(dict(state))
    program = _program(approval.run_id)
    if program is None:
        raise InvalidDecision("the code of this run's agent is gone; decide without correcting")
    if why := why_not_correct(program.graph, plain):
        raise InvalidDecision(why)
    _must_be_free(approval, plain)
    before = {one.channel: one.value for one in reviewable(approval.run_id)}
    facts = {"approval": str(approval.pk), "channels": sorted(plain), "by": by.name}
    tell(approval.tenant_id, approval.run_id, "run.corrected", facts)
    detail = {**facts, "before": {name: before[name] for name in plain}, "state": plain}
    record(by, "run.corrected", f"run/{approval.run_id}", detail)
    return plain


def _program(run_id: UUID) -> Program | None:
    version_id = Run.objects.filter(pk=run_id).values_list("agent_version_id", flat=True).first()
    try:
        return None if version_id is None else program_of(version_id)
    except UnknownAgent:
        return None


def _must_be_free(approval: Approval, state: JsonObject) -> None:
    """See that no other approval of this super-step corrects one of the channels."""
    here, _, rest = approval.effect_key.partition("/")
    super_step = rest.partition("/")[0]
    others = Approval.objects.filter(
        run_id=approval.run_id, effect_key__startswith=f"{here}/{super_step}/"
    )
    for other in others.exclude(pk=approval.pk):
        if both := sorted(other.corrections.keys() & state.keys()):
            raise InvalidDecision(
                f"{other.decided_by} corrected channel {both[0]!r} with another decision"
            )
