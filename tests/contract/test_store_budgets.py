"""Budgets above budgets, their periods and alerts: the same on every store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from policy.core.money import Alert, Amounts, Bar, Limits, Period, Unit
from policy.core.outcomes import Usage
from runs.core.effects import EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.ports import Put, Settled
from tests.contract.builds import WORST, a_model, a_save, a_tool, done, ended, put, waiting
from tests.contract.grounds import LEASE, claim

if TYPE_CHECKING:
    from tests.contract.grounds import Ground

DAY = timedelta(days=1).total_seconds()


def alerts(bar: Bar, percents: Iterable[int]) -> set[Alert]:
    return {Alert(unit=Unit.TOOL_CALLS, bar=bar, percent=percent) for percent in percents}


def place(number: int) -> Place:
    return Place(0, "a", number)


def call(ground: Ground, run_id: str, times: int = 1) -> list[Put]:
    """Make tool calls of a new run one after the other, each settled before the next."""
    claimed = claim(ground, run_id)
    answers: list[Put] = []
    for number in range(times):
        before = [done(place(number - 1))] if number and answers[-1] is Put.OK else []
        answers.append(put(ground, claimed, a_tool(place(number)), *before))
    last = [done(place(times - 1))] if answers[-1] is Put.OK else []
    ground.store.save(claimed.lease, a_save(claimed, effects=last), ttl=LEASE)
    return answers


def paused(ground: Ground, run_id: str) -> None:
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    save = waiting(claimed, state=RunState.PAUSED, reason=Reason.BUDGET)
    ground.store.save(claimed.lease, save, ttl=LEASE)


def test_a_call_is_set_aside_and_settled_in_every_budget_above_it(ground: Ground) -> None:
    first, second = ground.share(Limits(cost=Decimal(9))), ground.share(Limits(tokens=1000))
    run_id = ground.start("a", limits=Limits(cost=Decimal(1)))
    claimed = claim(ground, run_id)

    put(ground, claimed, a_model())
    reserved = [ground.shared(name).reserved for name in (first, second)]
    spent = done(input_tokens=10, cost=Decimal("0.125"))
    ground.store.save(claimed.lease, a_save(claimed, effects=[spent]), ttl=LEASE)

    booked = Amounts(cost=Decimal("0.125"), tokens=10, model_calls=1)
    assert reserved == [WORST, WORST]
    for name in (first, second):
        assert ground.shared(name).spent == booked
        assert ground.shared(name).reserved == Amounts()
    assert ground.budget(run_id).spent == booked


def test_what_one_budget_lacks_is_set_aside_in_none(ground: Ground) -> None:
    wide, narrow = ground.share(Limits(tool_calls=9)), ground.share(Limits(tool_calls=1))
    one, other = ground.start("a"), ground.start("a")

    answers = call(ground, one) + call(ground, other)

    assert answers == [Put.OK, Put.TOOL_CALLS]
    assert ground.shared(wide).spent.tool_calls == ground.shared(narrow).spent.tool_calls == 1
    assert ground.shared(wide).reserved == ground.budget(other).reserved == Amounts()


def test_a_new_period_begins_with_nothing_spent_and_the_old_one_stays_readable(
    ground: Ground,
) -> None:
    name = ground.share(Limits(tool_calls=2), period=Period.DAY)
    first, second = ground.start("a"), ground.start("a")
    before = call(ground, first, 3)
    ground.pass_time(first, 3 * DAY + 60)

    after = call(ground, second, 1)

    balance = ground.shared(name)
    [old] = balance.life.closed
    assert (before, after) == ([Put.OK, Put.OK, Put.TOOL_CALLS], [Put.OK])
    assert (balance.spent.tool_calls, old.balance.spent.tool_calls) == (1, 2)
    assert balance.life.span is not None
    assert balance.life.span.starts_at - old.span.starts_at == timedelta(days=3)


def test_a_late_settlement_is_booked_in_the_period_of_its_reservation(ground: Ground) -> None:
    name = ground.share(Limits(cost=Decimal(1)), period=Period.DAY)
    slow, quick = ground.start("a"), ground.start("a")
    claimed = claim(ground, slow)
    put(ground, claimed, a_model())
    ground.store.renew([claimed.lease], ttl=3 * DAY)
    ground.pass_time(slow, DAY)

    other = claim(ground, quick)
    put(ground, other, a_model())
    late = done(cost=Decimal("0.25"), input_tokens=1)
    ground.store.save(claimed.lease, a_save(claimed, effects=[late]), ttl=LEASE)

    balance = ground.shared(name)
    [old] = balance.life.closed
    assert balance.reserved == WORST
    assert balance.spent == old.balance.reserved == Amounts()
    assert old.balance.spent == Amounts(cost=Decimal("0.25"), tokens=1, model_calls=1)
    assert ground.budget(slow).spent.cost == Decimal("0.25")


def test_a_late_bill_above_the_worst_case_is_overdraft_of_the_closed_period(
    ground: Ground,
) -> None:
    name = ground.share(Limits(cost=Decimal("0.5")), period=Period.DAY)
    slow, quick = ground.start("a"), ground.start("a")
    claimed = claim(ground, slow)
    put(ground, claimed, a_model())
    ground.store.renew([claimed.lease], ttl=3 * DAY)
    ground.pass_time(slow, DAY)
    call(ground, quick)

    ground.store.save(
        claimed.lease, a_save(claimed, effects=[done(cost=Decimal("0.75"))]), ttl=LEASE
    )

    [old] = ground.shared(name).life.closed
    assert old.balance.spent.cost == Decimal("0.5")
    assert old.balance.overdraft.cost == Decimal("0.25")
    assert ground.shared(name).spent.cost == 0


def test_a_run_that_lacks_money_goes_on_when_the_next_period_begins(ground: Ground) -> None:
    ground.share(Limits(tool_calls=0), period=Period.DAY)
    run_id = ground.start("a")
    paused(ground, run_id)
    before = ground.sweep(run_id)
    state = ground.run(run_id).state

    ground.pass_time(run_id, DAY)
    after = ground.sweep(run_id)

    assert (before, state) == (set(), "paused")
    assert after == {(None, "")}


def test_a_raise_for_this_period_ends_with_it(ground: Ground) -> None:
    name = ground.share(Limits(tool_calls=1), period=Period.DAY)
    first, second = ground.start("a"), ground.start("a")
    ground.raise_shared(name, Unit.TOOL_CALLS, 1)
    before = call(ground, first, 3)
    ground.pass_time(first, DAY)

    after = call(ground, second, 2)

    assert before == [Put.OK, Put.OK, Put.TOOL_CALLS]
    assert after == [Put.OK, Put.TOOL_CALLS]


def test_a_raise_until_a_date_is_taken_back_then_but_for_what_is_taken(ground: Ground) -> None:
    name = ground.share(Limits(cost=Decimal("0.5")))
    slow, quick = ground.start("a"), ground.start("a")
    ground.raise_shared(name, Unit.COST, 1, hours=1)
    claimed = claim(ground, slow)
    answers = [put(ground, claimed, a_model(place(number))) for number in range(3)]
    ground.store.renew([claimed.lease], ttl=DAY)
    ground.pass_time(slow, 3601)

    other = claim(ground, quick)
    refused = put(ground, other, a_model())
    lapsed = ground.shared(name)
    cheap = [done(place(number), cost=Decimal("0.125")) for number in range(3)]
    ground.store.save(claimed.lease, a_save(claimed, effects=cheap), ttl=LEASE)
    back = ground.shared(name)
    again = put(ground, other, a_model(reserve=Amounts(cost=Decimal("0.125"), model_calls=1)))

    assert answers == [Put.OK] * 3
    assert refused is Put.RESERVED
    assert (lapsed.limits.cost, lapsed.lapsed.cost) == (Decimal("1.5"), Decimal(1))
    assert (back.limits.cost, back.lapsed.cost) == (Decimal("0.5"), Decimal(0))
    assert again is Put.OK


def test_a_soft_limit_tells_and_lets_go_on(ground: Ground) -> None:
    name = ground.share(Limits(), soft=Limits(tool_calls=2))

    answers = call(ground, ground.start("a"), 4)

    assert answers == [Put.OK] * 4
    assert ground.shared(name).alerted == alerts(Bar.SOFT, (50, 80, 100))


@pytest.mark.parametrize(
    ("calls", "told"), [(1, set()), (2, {50}), (3, {50}), (4, {50, 80, 100}), (5, {50, 80, 100})]
)
def test_people_are_told_at_each_share_of_a_hard_limit(
    ground: Ground, calls: int, told: set[int]
) -> None:
    name = ground.share(Limits(tool_calls=4))

    call(ground, ground.start("a"), calls)

    assert ground.shared(name).alerted == alerts(Bar.HARD, told)


def test_a_call_that_will_not_fit_by_itself_is_told_as_all_used_up(ground: Ground) -> None:
    name = ground.share(Limits(cost=Decimal("0.25")))
    claimed = claim(ground, ground.start("a"))

    put(ground, claimed, a_model())

    assert ground.shared(name).alerted == {Alert(unit=Unit.COST, bar=Bar.HARD, percent=100)}


def test_money_that_is_only_set_aside_tells_nobody(ground: Ground) -> None:
    name = ground.share(Limits(cost=Decimal("0.75")))
    claimed = claim(ground, ground.start("a"))
    put(ground, claimed, a_model())

    answer = put(ground, claimed, a_model(place(1)))

    assert answer is Put.RESERVED
    assert ground.shared(name).alerted == frozenset()


def test_a_raise_that_moves_the_bar_tells_again_when_it_is_reached_anew(ground: Ground) -> None:
    name = ground.share(Limits(tool_calls=2))
    call(ground, ground.start("a"), 2)
    before = {alert.percent for alert in ground.shared(name).alerted}

    ground.raise_shared(name, Unit.TOOL_CALLS, 2)
    raised = {alert.percent for alert in ground.shared(name).alerted}
    call(ground, ground.start("a"), 2)

    assert (before, raised) == ({50, 80, 100}, {50})
    assert {alert.percent for alert in ground.shared(name).alerted} == {50, 80, 100}


def test_an_estimate_is_named_in_the_ledger(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_model(place(0)))
    put(ground, claimed, a_model(place(1)))
    usage = Usage(input_tokens=3, cost=Decimal("0.125"), estimated=True)
    guessed = Settled(place=place(0), state=EffectState.DONE, outcome={}, usage=usage)

    billed = done(place(1), cost=Decimal("0.125"))
    ground.store.save(claimed.lease, a_save(claimed, effects=[guessed, billed]), ttl=LEASE)

    seen = ground.effects(run_id)
    assert [seen[f"/0/a/{n}"].estimated for n in range(2)] == [True, False]
    assert ground.budget(run_id).spent.cost == Decimal("0.25")


@pytest.mark.parametrize("end", ["asked again", "the run ends"])
def test_a_call_that_nobody_answered_is_named_an_estimate(ground: Ground, end: str) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_model())
    if end == "asked again":
        ground.pass_time(run_id, LEASE + 1)
        claimed = claim(ground, run_id, "w2")
        put(ground, claimed, a_model())
        ground.store.save(
            claimed.lease, a_save(claimed, effects=[done(cost=Decimal("0.125"))]), ttl=LEASE
        )
    else:
        ground.store.save(claimed.lease, ended(claimed), ttl=LEASE)

    seen = ground.effects(run_id)["/0/a/0"]
    assert seen.estimated
    assert ground.budget(run_id).spent.cost == seen.cost >= WORST.cost
