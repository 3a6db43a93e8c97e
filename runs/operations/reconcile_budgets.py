"""Find budgets that say something else than the ledger, and mend them where that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from policy import budgets
from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Unit
from policy.models import Budget, BudgetPeriod

# One statement, so that budgets and ledger are seen at one moment. Spending is compared over a
# budget's whole life: calls that were retried across the end of a period stand in one row of
# the ledger. What is reserved is compared in the period in which it was.
COMPARED: Final = """
WITH calls AS (
  SELECT r.budget_ids, e.cost, e.input_tokens + e.output_tokens AS tokens, e.reserved_cost,
    e.reserved_tokens, e.claimed_at, e.state = 'claimed' AS open,
    (e.kind = 'model')::int * (e.attempt - (e.state = 'claimed')::int) AS model_calls,
    (e.kind = 'tool')::int * (e.attempt - (e.state = 'claimed')::int) AS tool_calls,
    (e.kind = 'model')::int AS model, (e.kind = 'tool')::int AS tool
  FROM runs_effect AS e JOIN runs_run AS r ON r.id = e.run_id
  WHERE r.tenant_id = %(tenant)s AND e.attempt > 0
    AND (%(budget)s::uuid IS NULL OR r.budget_ids @> ARRAY[%(budget)s::uuid])
), told AS (
  SELECT b.id, sum(c.cost) AS cost, sum(c.tokens) AS tokens, sum(c.model_calls) AS model_calls,
    sum(c.tool_calls) AS tool_calls,
    sum(c.reserved_cost) FILTER (WHERE now) AS reserved_cost,
    sum(c.reserved_tokens) FILTER (WHERE now) AS reserved_tokens,
    sum(c.model) FILTER (WHERE now AND c.open) AS reserved_model_calls,
    sum(c.tool) FILTER (WHERE now AND c.open) AS reserved_tool_calls
  FROM calls AS c CROSS JOIN unnest(c.budget_ids) AS above (id)
  JOIN policy_budget AS b ON b.id = above.id
  CROSS JOIN LATERAL (
    SELECT b.period_starts_at IS NULL OR c.claimed_at >= b.period_starts_at AS now) AS w
  GROUP BY b.id
), past AS (
  SELECT budget_id, sum(cost_spent + cost_overdraft) AS cost,
    sum(tokens_spent + tokens_overdraft) AS tokens,
    sum(model_calls_spent + model_calls_overdraft) AS model_calls,
    sum(tool_calls_spent + tool_calls_overdraft) AS tool_calls
  FROM policy_budgetperiod WHERE tenant_id = %(tenant)s GROUP BY budget_id
)
SELECT b.id, b.scope,
  coalesce(t.cost, 0) - (b.cost_spent + b.cost_overdraft + coalesce(p.cost, 0)),
  coalesce(t.tokens, 0) - (b.tokens_spent + b.tokens_overdraft + coalesce(p.tokens, 0)),
  coalesce(t.model_calls, 0)
    - (b.model_calls_spent + b.model_calls_overdraft + coalesce(p.model_calls, 0)),
  coalesce(t.tool_calls, 0)
    - (b.tool_calls_spent + b.tool_calls_overdraft + coalesce(p.tool_calls, 0)),
  coalesce(t.reserved_cost, 0) - b.cost_reserved,
  coalesce(t.reserved_tokens, 0) - b.tokens_reserved,
  coalesce(t.reserved_model_calls, 0) - b.model_calls_reserved,
  coalesce(t.reserved_tool_calls, 0) - b.tool_calls_reserved
FROM policy_budget AS b LEFT JOIN told AS t ON t.id = b.id
  LEFT JOIN past AS p ON p.budget_id = b.id
WHERE b.tenant_id = %(tenant)s AND (%(budget)s::uuid IS NULL OR b.id = %(budget)s::uuid)
ORDER BY b.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """By how much the ledger says more, or less, than a budget; nothing where they agree."""

    budget_id: UUID
    scope: str
    spent: dict[Unit, Decimal]
    reserved: dict[Unit, Decimal]

    @property
    def drifted(self) -> bool:
        """Say whether they differ."""
        return any(self.spent.values()) or any(self.reserved.values())

    def told(self) -> JsonObject:
        """Give the differences that there are."""
        return {
            name: {unit.value: f"{amount:f}" for unit, amount in amounts.items() if amount}
            for name, amounts in {"spent": self.spent, "reserved": self.reserved}.items()
        }


def compare(tenant_id: UUID, budget_id: UUID | None = None) -> list[Compared]:
    """Compare the budgets of the scope's tenant, or one of them, with the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(COMPARED, {"tenant": tenant_id, "budget": budget_id})
        return [_compared(row) for row in cursor.fetchall()]


def _compared(row: Any) -> Compared:
    budget_id, scope, *differences = row
    amounts = [Decimal(difference) for difference in differences]
    half = len(Unit)
    return Compared(
        budget_id=budget_id,
        scope=scope,
        spent=dict(zip(Unit, amounts[:half], strict=True)),
        reserved=dict(zip(Unit, amounts[half:], strict=True)),
    )


def mend(tenant_id: UUID, budget_id: UUID, *, by: Actor) -> Compared | None:
    """Let a budget say what the ledger says; gives what was changed, or None.

    What does not fit under the limit becomes overdraft. The budget is locked, and compared again
    under the lock, so that calls under way are neither lost nor counted twice.
    """
    with transaction.atomic():
        if budgets.locked(budget_id) is None:
            return None
        [found] = compare(tenant_id, budget_id)
        if not found.drifted:
            return None
        row = Budget.objects.get(pk=budget_id)
        for unit in Unit:
            _mend(row, unit, found.spent[unit], found.reserved[unit])
        row.version += 1
        parts = ("spent", "overdraft", "reserved", "limit", "lapsed")
        columns = [f"{unit}_{part}" for unit in Unit for part in parts]
        row.save(update_fields=["version", *columns])
        record(by, "budget.mended", f"budget/{budget_id}", found.told())
    return found


def _mend(row: Budget, unit: Unit, spent: Decimal, reserved: Decimal) -> None:
    if not spent and not reserved:
        return
    kind = type(getattr(row, f"{unit}_spent"))
    used = getattr(row, f"{unit}_spent") + getattr(row, f"{unit}_overdraft") + kind(spent)
    if used < 0:  # it was booked too much in a period that is over
        _mend_past(row, unit, kind(used))
        used = kind(0)
    held = getattr(row, f"{unit}_reserved") + kind(reserved)
    limit, lapsed = getattr(row, f"{unit}_limit"), getattr(row, f"{unit}_lapsed")
    if (
        limit is not None and held > limit
    ):  # what is set aside is: the limit says so until it is not
        lapsed, limit = lapsed + held - limit, held
    fits = used if limit is None else min(used, limit - held)
    values = {"spent": fits, "overdraft": used - fits, "reserved": held}
    for name, value in {**values, "limit": limit, "lapsed": lapsed}.items():
        setattr(row, f"{unit}_{name}", value)


def _mend_past(row: Budget, unit: Unit, less: Any) -> None:
    past = BudgetPeriod.objects.filter(budget=row, **{f"{unit}_spent__gte": -less})
    newest = past.order_by("-ends_at").first()
    if newest is not None:
        changed = {f"{unit}_spent": F(f"{unit}_spent") + less}
        BudgetPeriod.objects.filter(pk=newest.pk).update(**changed)
