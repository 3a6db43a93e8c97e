"""What both stores promise of a run that ends because its money is exhausted."""

from __future__ import annotations

from decimal import Decimal

from policy.core.money import Amounts, Limits, Unit
from policy.core.outcomes import ErrorClass
from runs.core.effects import Place
from runs.core.lifecycle import Reason, RunState
from runs.core.reconcile import Exhaust, Suspend
from runs.ports import Claimed, Lack, Save
from runs.saving import given_up
from tests.contract.builds import WORST, a_model, a_tool, done, held, put, waiting
from tests.contract.grounds import LEASE, Ground, claim

ASIDE = Suspend(state=RunState.PAUSED, reason=Reason.BUDGET, due_at=None)
LITTLE = Limits(cost=Decimal("0.6"), tool_calls=5)


def giving_up(claimed: Claimed) -> Save:
    exhaust = Exhaust(detail="its budget is exhausted", otherwise=ASIDE)
    return given_up(claimed.wakeups, exhaust, {})


def test_a_run_that_gives_up_ends_as_any_cancelled_one(ground: Ground) -> None:
    run_id = ground.start("a", limits=LITTLE)
    claimed = claim(ground, run_id)
    put(ground, claimed, held(Place(0, "a", 0)))
    put(ground, claimed, a_model(Place(0, "a", 1)))
    put(ground, claimed, a_tool(Place(0, "a", 2)), done(Place(0, "a", 1), cost=Decimal("0.25")))

    saved = ground.store.save(claimed.lease, giving_up(claimed), ttl=LEASE)

    run, effects, balance = ground.run(run_id), ground.effects(run_id), ground.budget(run_id)
    assert (saved.state, saved.called_upon) == (RunState.CANCELLED, False)
    assert (run.state, run.reason, run.error_class) == ("cancelled", "", "budget_exceeded")
    assert [a.state for a in ground.approvals(run_id)] == ["withdrawn"]
    assert [effects[f"/0/a/{n}"].state for n in range(3)] == ["failed", "done", "unknown"]
    assert (balance.spent.cost, balance.reserved) == (Decimal("0.25"), Amounts())
    assert ground.events(run_id)[-1][1] == "run.cancelled"


def test_a_raise_between_refusal_and_giving_up_is_not_lost(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(tool_calls=0))
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    ground.raise_budget(run_id, Unit.TOOL_CALLS, 1)
    told = ground.events(run_id)

    saved = ground.store.save(claimed.lease, giving_up(claimed), ttl=LEASE)

    assert (saved.called_upon, saved.called_off) == (True, False)
    assert (ground.run(run_id).state, ground.events(run_id)) == ("running", told)
    aside = waiting(claimed, state=RunState.PAUSED, reason=Reason.BUDGET)
    assert ground.store.save(claimed.lease, aside, ttl=LEASE).state is RunState.QUEUED


def test_what_lacks_is_said_of_each_budget_that_lacks_it(ground: Ground) -> None:
    ground.share(Limits(cost=Decimal(100), model_calls=2))
    run_id = ground.start("a", limits=LITTLE)
    claimed = claim(ground, run_id)
    put(ground, claimed, a_model())
    under_way = ground.store.read_lacking(claimed.lease, WORST)
    put(ground, claimed, a_tool(Place(0, "a", 1)), done(cost=Decimal("0.25")))

    lacks = ground.store.read_lacking(claimed.lease, WORST)
    calls = ground.store.read_lacking(claimed.lease, Amounts(model_calls=2, tool_calls=5))

    assert under_way == []
    assert [(one.unit, one.left) for one in lacks] == [("cost", Decimal("0.35"))]
    assert sorted((one.unit, one.left) for one in calls) == [
        ("model_calls", Decimal(1)),
        ("tool_calls", Decimal(4)),
    ]
    assert all(isinstance(one, Lack) for one in lacks)


def test_a_run_that_somebody_cancelled_ends_once(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.cancel(run_id)

    saved = ground.store.save(claimed.lease, giving_up(claimed), ttl=LEASE)

    assert saved.state is RunState.CANCELLED
    assert ground.run(run_id).error_class == ErrorClass.BUDGET_EXCEEDED
