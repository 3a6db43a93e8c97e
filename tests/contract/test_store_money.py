"""What both stores promise of money: set aside before it is spent, settled after, never beyond."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from policy.core.money import Amounts, Limits, Unit
from policy.core.outcomes import ErrorClass
from runs.core.effects import EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.ports import Put, Settled
from tests.contract.builds import (
    FIRST,
    WORST,
    a_model,
    a_save,
    a_tool,
    at_once,
    done,
    put,
    waiting,
)
from tests.contract.grounds import LEASE, Ground, claim


def test_the_worst_case_is_set_aside_and_what_was_spent_is_booked(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(cost=Decimal(1)))
    claimed = claim(ground, run_id)
    put(ground, claimed, a_model())
    before = ground.budget(run_id)
    spent = done(input_tokens=10, output_tokens=5, cost=Decimal("0.125"))

    ground.store.save(claimed.lease, a_save(claimed, effects=[spent]), ttl=LEASE)

    after = ground.budget(run_id)
    assert before.reserved == WORST
    assert after.reserved == Amounts()
    assert after.spent == Amounts(cost=Decimal("0.125"), tokens=15, model_calls=1)
    assert ground.effects(run_id)["/0/a/0"].cost == Decimal("0.125")


@pytest.mark.parametrize(
    ("limits", "lacking"),
    [
        (Limits(cost=Decimal("0.4")), Put.COST),
        (Limits(tokens=99), Put.TOKENS),
        (Limits(model_calls=0), Put.MODEL_CALLS),
    ],
)
def test_what_does_not_fit_under_a_limit_is_neither_written_nor_set_aside(
    ground: Ground, limits: Limits, lacking: Put
) -> None:
    run_id = ground.start("a", limits=limits)
    claimed = claim(ground, run_id)

    answer = put(ground, claimed, a_model())

    assert answer is lacking
    assert ground.effects(run_id) == {}
    assert ground.budget(run_id).reserved == Amounts()


def test_of_many_effects_at_once_only_those_that_fit_begin(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(tool_calls=2))
    claimed = claim(ground, run_id)

    answers = at_once(
        [lambda n=n: put(ground, claimed, a_tool(Place(0, "a", n))) for n in range(5)]  # type: ignore[misc]
    )

    assert sorted(answers) == [Put.OK, Put.OK, *[Put.TOOL_CALLS] * 3]
    assert ground.budget(run_id).reserved.tool_calls == 2


def test_a_charge_beyond_the_worst_case_is_overdraft_and_the_limit_stays_true(
    ground: Ground,
) -> None:
    run_id = ground.start("a", limits=Limits(cost=Decimal("0.6")))
    claimed = claim(ground, run_id)
    put(ground, claimed, a_model())
    spent = done(input_tokens=1, cost=Decimal("0.75"))

    ground.store.save(claimed.lease, a_save(claimed, effects=[spent]), ttl=LEASE)

    balance = ground.budget(run_id)
    assert balance.spent.cost == Decimal("0.6")
    assert balance.overdraft.cost == Decimal("0.15")


def test_what_a_task_s_own_lost_calls_hold_will_not_come_back_by_waiting(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(cost=Decimal(1)))
    claimed = claim(ground, run_id)
    first, second = a_model(), a_model(Place(0, "a", 1))
    before = [put(ground, claimed, first), put(ground, claimed, second)]
    ground.pass_time(run_id, LEASE + 1)

    again = put(ground, claim(ground, run_id, "w2"), first)

    assert before == [Put.OK, Put.OK]
    assert again is Put.COST


def test_money_that_is_only_set_aside_is_told_from_money_that_is_gone(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(cost=Decimal("0.6")))
    claimed = claim(ground, run_id)
    first, second = a_model(), a_model(Place(0, "a", 1))

    put(ground, claimed, first)
    while_it_is_under_way = put(ground, claimed, second)
    after_it_cost_little = put(ground, claimed, second, done(cost=Decimal("0.1")))
    spent = done(Place(0, "a", 1), cost=Decimal("0.5"))
    after_all_is_spent = put(ground, claimed, a_model(Place(0, "a", 2)), spent)

    assert while_it_is_under_way is Put.RESERVED
    assert after_it_cost_little is Put.OK
    assert after_all_is_spent is Put.COST


def test_raising_a_limit_lets_a_paused_run_go_on(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(tool_calls=0))
    claimed = claim(ground, run_id)
    refused = put(ground, claimed, a_tool())
    save = waiting(claimed, state=RunState.PAUSED, reason=Reason.BUDGET)
    ground.store.save(claimed.lease, save, ttl=LEASE)

    ground.raise_budget(run_id, Unit.TOOL_CALLS, 1)

    again = claim(ground, run_id, "w2")
    assert refused is Put.TOOL_CALLS
    assert put(ground, again, a_tool()) is Put.OK


def test_a_raise_between_refusal_and_pause_is_not_lost(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(tool_calls=0))
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    ground.raise_budget(run_id, Unit.TOOL_CALLS, 1)
    save = waiting(claimed, state=RunState.PAUSED, reason=Reason.BUDGET)

    assert ground.store.save(claimed.lease, save, ttl=LEASE).state is RunState.QUEUED


def test_a_lost_attempt_is_settled_by_its_estimate_when_it_is_made_again(ground: Ground) -> None:
    run_id = ground.start("a")
    put(ground, claim(ground, run_id), a_model())
    ground.pass_time(run_id, LEASE + 1)
    again = claim(ground, run_id, "w2")

    put(ground, again, a_model())

    seen, balance = ground.effects(run_id)["/0/a/0"], ground.budget(run_id)
    assert (seen.state, seen.attempt, seen.cost) == ("claimed", 2, Decimal("0.5"))
    assert seen.attempts[0]["error_class"] == "outcome_unknown"
    assert seen.tokens == WORST.tokens
    assert balance.spent == replace(WORST)
    assert balance.reserved == WORST


def test_a_failed_attempt_gives_its_money_back_and_counts(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(cost=Decimal("0.5")))
    claimed = claim(ground, run_id)
    put(ground, claimed, a_model())
    failed = Settled(
        place=FIRST,
        state=EffectState.RETRYING,
        error_class=ErrorClass.RATE_LIMITED,
        attempt_failed={"attempt": 1, "error_class": "rate_limited"},
    )
    save = waiting(claimed, state=RunState.WAITING, reason=Reason.TIMER, effects=[failed])
    ground.store.save(claimed.lease, save, ttl=LEASE)
    ground.wake(run_id)

    again = claim(ground, run_id, "w2")
    answer = put(ground, again, a_model())

    seen = ground.effects(run_id)["/0/a/0"]
    assert answer is Put.OK
    assert [row.attempt for row in again.ledger] == [1]
    assert (seen.attempt, seen.attempts) == (2, [{"attempt": 1, "error_class": "rate_limited"}])
