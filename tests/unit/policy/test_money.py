"""`spent + reserved <= limit`, in every unit, whatever happens."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from policy.core.money import Amounts, Balance, Limits, Unit, lacking, reserve, settle

costs = st.decimals(0, 100, places=9)
counts = st.integers(0, 100)
amounts = st.builds(Amounts, cost=costs, tokens=counts, model_calls=counts, tool_calls=counts)
limits = st.builds(
    Limits,
    cost=st.none() | costs,
    tokens=st.none() | counts,
    model_calls=st.none() | counts,
    tool_calls=st.none() | counts,
)


class Spending(RuleBasedStateMachine):
    """Any order of reservations and settlements, also of bills above their quote."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = Balance(limits=Limits())
        self.held: list[Amounts] = []
        self.billed = Amounts()

    @initialize(limits=limits)
    def begin(self, limits: Limits) -> None:
        self.balance = Balance(limits=limits)

    @rule(wanted=amounts)
    def ask(self, wanted: Amounts) -> None:
        result = reserve(self.balance, wanted)
        if isinstance(result, Balance):
            self.held.append(wanted)
            self.balance = result
        else:
            assert lacking(self.balance, wanted) is result

    @rule(actual=amounts, data=st.data())
    def bill(self, actual: Amounts, data: Any) -> None:
        if self.held:
            held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            self.balance = settle(self.balance, reserved=held, actual=actual)
            self.billed += actual

    @invariant()
    def never_over_the_limit(self) -> None:
        for unit in Unit:
            limit = getattr(self.balance.limits, unit)
            taken = getattr(self.balance.spent, unit) + getattr(self.balance.reserved, unit)
            assert limit is None or taken <= limit

    @invariant()
    def every_bill_is_booked_somewhere(self) -> None:
        assert self.balance.spent + self.balance.overdraft == self.billed

    @invariant()
    def what_is_held_is_reserved(self) -> None:
        assert self.balance.reserved == sum(self.held, Amounts())


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("unit", [field.name for field in fields(Amounts)])
def test_an_amount_is_never_negative(unit: str) -> None:
    less: Any = {unit: Decimal(-1) if unit == "cost" else -1}
    with pytest.raises(ValueError, match="negative"):
        Amounts(**less)
