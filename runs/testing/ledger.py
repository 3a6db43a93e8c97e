"""The effect ledger and its money, in memory: what `runs_put_effect` and `runs_settle` do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from policy.core import money, periods
from policy.core.money import Amounts, Balance, Unit
from policy.core.outcomes import ErrorClass
from runs.core.effects import EffectKind, EffectState, Recorded, effect_key
from runs.core.lifecycle import Reason
from runs.ports import Lack, Lease, Put, PutEffect, Question, Settled
from runs.testing.rows import ApprovalRow, EffectRow, RunRow, stored

if TYPE_CHECKING:
    from runs.testing.store import MemoryStore

WITHDRAWN = {
    "failed": ErrorClass.CANCELLATION,
    "detail": "the run ended before it was sent",
}


def put(
    store: MemoryStore, run: RunRow, lease: Lease, wish: PutEffect, before: Sequence[Settled]
) -> Put:
    """Write an effect down before it is sent (or why it is not), and set its money aside."""
    settle_all(store, run, before)
    is_claim = wish.state is EffectState.CLAIMED
    if (refused := _refused(store, run, wish)) is not None:
        return refused
    old = run.effects.get(wish.place)
    if old is not None and old.state is EffectState.CLAIMED:
        _lost(store, run, old, wish.lost)
    moment = store.clock()
    if is_claim:
        found = reserve(store.budgets, run.budgets, wish.reserve, moment)
        if isinstance(found, Unit):
            return _lacking(store, run, lease, wish, found)
        moment = found
        _keep(store, run, lease, wish.keep)
    row = run.effects.setdefault(wish.place, EffectRow.of(wish, lease.token))
    row.claimed_at = moment if is_claim else row.claimed_at
    if wish.question is not None:
        row.approval_id = _ask(store, run, wish, wish.question)
    _written(row, wish, lease.token)
    if wish.state not in {EffectState.CLAIMED, EffectState.HELD}:
        _tell(run, row)
    return Put.OK


def _lacking(store: MemoryStore, run: RunRow, lease: Lease, wish: PutEffect, unit: Unit) -> Put:
    """Say whether money is there later; the task's own lost calls give none back before."""
    above = [store.budgets[name] for name in run.budgets]
    if not money.lacks_only_for_now(above, wish.reserve):
        return Put(unit)
    wanted = wish.reserve
    for row in run.effects.values():
        at = row.place.super_step, row.place.task
        is_lost = row.state is EffectState.CLAIMED and row.token < lease.token
        if is_lost and at == (run.super_step, wish.place.task):
            wanted += Amounts(cost=row.reserved.cost, tokens=row.reserved.tokens)
    units = [lacks for one in above if (lacks := money.lacks_for_good(one, wanted)) is not None]
    return Put(min(units)) if units else Put.RESERVED


def lacking(store: MemoryStore, run: RunRow, wanted: Amounts) -> list[Lack]:
    """Say which budgets above a run lack something for good, and what they have left."""
    lacks = []
    for name in run.budgets:
        balance = store.budgets[name]
        if (unit := money.lacks_for_good(balance, wanted)) is None:
            continue
        is_money = unit in {Unit.COST, Unit.TOKENS}
        under_way = 0 if is_money else getattr(balance.reserved, unit)
        left = money.bar(balance, unit) - getattr(balance.spent, unit) - under_way
        lacks.append(Lack(scope=name, unit=unit, left=Decimal(left)))
    return lacks


def _refused(store: MemoryStore, run: RunRow, wish: PutEffect) -> Put | None:
    begins = wish.state is EffectState.CLAIMED or wish.kind is EffectKind.CHILD
    if begins and store.called_off(run):
        return Put.CANCELLED
    if begins and run.deadline is not None and run.deadline <= store.clock():
        return Put.DEADLINE
    if wish.compensates and wish.state is not EffectState.FAILED and _is_made(store, run, wish):
        return Put.COMPENSATED
    return None


def _keep(store: MemoryStore, run: RunRow, lease: Lease, seconds: float) -> None:
    if not seconds:
        return
    held = run.tasks[run.super_step, lease.task] if lease.task else run
    until = store.clock() + timedelta(seconds=seconds)
    held.lease_until = max(held.lease_until or until, until)


def _is_made(store: MemoryStore, run: RunRow, wish: PutEffect) -> bool:
    """Say whether a call at another place compensates that effect, or did."""
    return any(
        row.compensates == wish.compensates and (one.id, row.place) != (run.id, wish.place)
        for one in store.runs.values()
        for row in one.effects.values()
        if row.state is not EffectState.FAILED or _in_doubt(row)
    )


def _in_doubt(row: EffectRow) -> bool:
    return isinstance(row.outcome, dict) and row.outcome.get("in_doubt") is True


def _written(row: EffectRow, wish: PutEffect, token: int) -> None:
    row.state, row.version, row.effect, row.token = wish.state, wish.version, wish.effect, token
    row.request = stored(wish.request)
    row.attempt += wish.state is EffectState.CLAIMED
    row.decision = stored(dict(wish.decision)) or row.decision
    row.outcome, row.error_class = stored(wish.outcome), wish.error_class
    row.reserved = wish.reserve


def _ask(store: MemoryStore, run: RunRow, wish: PutEffect, question: Question) -> str:
    store.approvals[question.id] = ApprovalRow(
        id=question.id,
        run_id=run.id,
        place=wish.place,
        kind=question.kind,
        tool=wish.name,
        arguments=stored(wish.request),
        digest=question.digest,
        policy_version=question.policy_version,
        rule=question.rule,
        reason=question.reason,
        created_at=store.clock(),
        expires_at=store.clock() + timedelta(seconds=question.seconds),
        risk=question.risk,
        terms=question.terms,
        groups=frozenset(question.terms.groups),
        owners=frozenset(question.terms.owners),
        proposed=stored(question.proposed),
    )
    key = effect_key(run.id, wish.place)
    run.emit("approval.requested", {"approval": question.id, "key": key, "tool": wish.name})
    return question.id


def _lost(store: MemoryStore, run: RunRow, row: EffectRow, why: str) -> None:
    """Settle an attempt that nobody will ever tell of by what was set aside for it."""
    store.spend(run, row, actual=_kept_calls(row))
    row.attempts.append(
        {
            "attempt": row.attempt,
            "error_class": ErrorClass.OUTCOME_UNKNOWN,
            "detail": why or "its worker died",
            "cost": str(row.reserved.cost),
            "tokens": row.reserved.tokens,
        }
    )
    _booked(row)
    row.state, row.outcome = EffectState.RETRYING, None


def _booked(row: EffectRow) -> None:
    """Book a lost call at its estimate, in its own row as in the budgets."""
    row.cost, row.tokens = row.cost + row.reserved.cost, row.tokens + row.reserved.tokens
    row.estimated = row.estimated or row.reserved.cost + row.reserved.tokens > 0
    row.reserved = Amounts()


def _kept_calls(row: EffectRow) -> Amounts:
    return replace(row.calls, cost=row.reserved.cost, tokens=row.reserved.tokens)


def settle_all(store: MemoryStore, run: RunRow, effects: Iterable[Settled]) -> None:
    """Record what came of effects, release and book their money; one event for each."""
    for item in effects:
        row, usage = run.effects[item.place], item.usage
        if row.state is EffectState.CLAIMED:
            spent = replace(
                row.calls, cost=usage.cost, tokens=usage.input_tokens + usage.output_tokens
            )
            store.spend(run, row, actual=spent)
        row.state, row.outcome = item.state, stored(item.outcome)
        row.error_class, row.reserved = item.error_class, Amounts()
        row.cost += usage.cost
        row.tokens += usage.input_tokens + usage.output_tokens
        row.price_version = usage.price_version or row.price_version
        row.estimated = row.estimated or usage.estimated
        if item.attempt_failed is not None:
            row.attempts.append(stored(dict(item.attempt_failed)))
        if item.found is not None:
            row.attempts.append(stored(dict(item.found)))
        _tell(run, row)


def _tell(run: RunRow, row: EffectRow) -> None:
    facts = {
        "key": effect_key(run.id, row.place),
        "kind": row.kind,
        "name": row.name,
        "error_class": row.error_class,
    }
    run.emit(f"effect.{row.state}", facts)


def close(store: MemoryStore, run: RunRow) -> None:
    """Settle everything when a run ends: open questions, unsent effects, money."""
    for approval in store.open_approvals(run.id):
        approval.state = "withdrawn"
    for row in run.effects.values():
        if row.state in {EffectState.HELD, EffectState.RETRYING}:
            row.state, row.outcome = EffectState.FAILED, stored(WITHDRAWN)
            row.error_class = ErrorClass.CANCELLATION
        elif row.state is EffectState.CLAIMED:
            store.spend(run, row, actual=_kept_calls(row))
            row.state, row.error_class = EffectState.UNKNOWN, ErrorClass.OUTCOME_UNKNOWN
            _booked(row)


def recorded(store: MemoryStore, run: RunRow) -> list[Recorded]:
    """Give the ledger of the present super-step, as a task that starts over finds it."""
    return [
        Recorded(
            place=row.place,
            digest=row.digest,
            state=row.state,
            effect=row.effect,
            attempt=row.attempt,
            outcome=stored(row.outcome),
            **_approval(store.approvals.get(row.approval_id)),
        )
        for row in run.effects.values()
        if row.place.super_step == run.super_step
    ]


def made(run: RunRow) -> dict[str, Any]:
    """Give what a run has spent, and how many tool calls it has begun."""
    tools = [row for row in run.effects.values() if row.kind is EffectKind.TOOL]
    return {
        "spent": sum((row.cost for row in run.effects.values()), Decimal(0)),
        "calls": sum(row.attempt for row in tools),
    }


def _approval(row: ApprovalRow | None) -> dict[str, Any]:
    if row is None:
        return {}
    is_another = row.proposed is not None
    return {
        "approval": row.state,
        "approval_digest": row.digest,
        "approval_policy": row.policy_version,
        "approval_by": row.decided_by,
        "approval_reason": row.decision_reason,
        "approval_result": row.result,
        "approval_arguments": row.arguments if is_another or row.kind == "answer" else None,
        "corrections": row.corrections,
    }


def reserve(
    budgets: dict[str, Balance], names: Sequence[str], wanted: Amounts, now: datetime
) -> datetime | Unit:
    """Set an amount aside in every budget named, or in none; say which unit lacks, or when."""
    while True:
        above = {name: budgets[name] for name in names}
        moment = periods.moment(above.values(), now)
        turned = {name: periods.turned(balance, moment) for name, balance in above.items()}
        if turned == above:
            break
        budgets |= turned
    found = {name: money.reserve(balance, wanted) for name, balance in above.items()}
    if lacking := sorted(unit for unit in found.values() if isinstance(unit, Unit)):
        budgets |= {name: money.refused(balance, wanted) for name, balance in above.items()}
        return lacking[0]
    budgets |= {name: b for name, b in found.items() if isinstance(b, Balance)}
    return moment


def book(
    budgets: dict[str, Balance], names: Sequence[str], row: EffectRow, actual: Amounts
) -> None:
    """Give an effect's reservation back and book what it really spent, in every budget named."""
    assert row.claimed_at is not None, "nothing is set aside before it is claimed"  # noqa: S101
    for name in names:
        budgets[name] = periods.settled(
            budgets[name], reserved=row.reserved, actual=actual, reserved_at=row.claimed_at
        )


def next_period(store: MemoryStore, run: RunRow) -> datetime | None:
    """Give the moment at which a run that lacks money looks again: when a period ends."""
    if run.reason is not Reason.BUDGET:
        return None
    spans = (store.budgets[name].life.span for name in run.budgets)
    return min((span.ends_at for span in spans if span is not None), default=None)
