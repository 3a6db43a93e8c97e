"""What people decided of such calls before, for whoever decides the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from policy.models import ApprovalState
from policy.queries import ApprovalView, masked_approval
from policy.queries.approvals import decided_like
from runs.core.effects import EffectKind, EffectState
from runs.models import Effect

LAST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """Decided calls of the same tool by the same agent: how many, how much, the last with why."""

    approved: int
    edited: int
    rejected: int
    answered: int
    expired: int
    medians: Mapping[str, float]
    last: tuple[ApprovalView, ...]
    is_first: bool

    @property
    def decided(self) -> int:
        """Count them all."""
        return self.approved + self.edited + self.rejected + self.answered + self.expired


def similar(asked: ApprovalView) -> Similar:
    """Look up what was decided of calls like this one; `is_first`: the agent never made one."""
    past = [one for one in decided_like(asked.agent, asked.tool) if one.id != asked.id]
    approved = [one for one in past if one.state == ApprovalState.APPROVED]
    made = Effect.objects.filter(
        kind=EffectKind.TOOL,
        name=asked.tool,
        state=EffectState.DONE,
        run__agent_name=asked.agent,
    )
    return Similar(
        approved=sum(one.proposed is None for one in approved),
        edited=sum(one.proposed is not None for one in approved),
        rejected=sum(one.state == ApprovalState.REJECTED for one in past),
        answered=sum(one.state == ApprovalState.RESPONDED for one in past),
        expired=sum(one.state == ApprovalState.EXPIRED for one in past),
        medians=_medians([one.arguments for one in approved]),
        last=tuple(past[:LAST]),
        is_first=not made.exists(),
    )


def masked_similar(found: Similar) -> Similar:
    """Give it without what the calls held."""
    return replace(found, medians={}, last=tuple(map(masked_approval, found.last)))


def _medians(calls: list[Any]) -> dict[str, float]:
    """Give the usual value of every argument that is a number."""
    numbers: dict[str, list[float]] = {}
    for call in calls:
        for name, value in call.items() if isinstance(call, Mapping) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                numbers.setdefault(name, []).append(float(value))
    return {name: median(values) for name, values in numbers.items()}
