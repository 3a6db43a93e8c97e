"""Budgets in time: whatever happens in whatever order, nothing is lost and nothing overshoots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from policy.core import money, periods
from policy.core.money import Amounts, Balance, Extra, Limits, Period, Unit

BEGINNING = datetime(2030, 1, 31, 12, tzinfo=UTC)
costs = st.decimals(0, 20, places=9)
counts = st.integers(0, 20)
amounts = st.builds(Amounts, cost=costs, tokens=counts, model_calls=counts, tool_calls=counts)
limits = st.builds(
    Limits,
    cost=st.none() | costs,
    tokens=st.none() | counts,
    model_calls=st.none() | counts,
    tool_calls=st.none() | counts,
)


class Spending(RuleBasedStateMachine):
    """Reservations, settlements however late, raises of every kind, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGINNING
        self.balance = Balance(limits=Limits())
        self.held: list[tuple[Amounts, datetime]] = []
        self.billed = Amounts()

    @initialize(limits=limits, period=st.sampled_from(Period))
    def begin(self, limits: Limits, period: Period) -> None:
        self.balance = periods.begun(limits, period, BEGINNING, self.now)

    @rule(hours=st.integers(-2, 24 * 40))
    def time_passes(self, hours: int) -> None:
        """A clock may be set back a little, too."""
        self.now += timedelta(hours=hours)

    @rule(wanted=amounts)
    def ask(self, wanted: Amounts) -> None:
        at = periods.moment([self.balance], self.now)
        self.balance = periods.turned(self.balance, at)
        result = money.reserve(self.balance, wanted)
        if isinstance(result, Balance):
            self.held.append((wanted, at))
            self.balance = result

    @rule(part=st.integers(0, 3), data=st.data())
    def bill(self, part: int, data: Any) -> None:
        """Bill less than the worst case, all of it, or more."""
        if not self.held:
            return
        held, at = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        actual = Amounts(
            cost=held.cost * part / 2,
            tokens=held.tokens * part // 2,
            model_calls=held.model_calls,
            tool_calls=held.tool_calls,
        )
        self.balance = periods.settled(self.balance, reserved=held, actual=actual, reserved_at=at)
        self.billed += actual

    @rule(
        unit=st.sampled_from(Unit),
        amount=st.integers(1, 9),
        hours=st.none() | st.integers(1, 100),
        for_good=st.booleans(),
    )
    def raise_it(self, unit: Unit, amount: int, hours: int | None, *, for_good: bool) -> None:
        self.balance = periods.turned(self.balance, periods.moment([self.balance], self.now))
        if getattr(self.balance.limits, unit) is None:
            return
        until = None if for_good or hours is None else self.now + timedelta(hours=hours)
        extra = Extra(unit=unit, amount=Decimal(amount), until=until)
        self.balance = periods.raised(self.balance, extra, for_good=for_good)

    @invariant()
    def never_over_a_limit_of_any_period(self) -> None:
        for balance in (self.balance, *(old.balance for old in self.balance.life.closed)):
            for unit in Unit:
                limit = getattr(balance.limits, unit)
                taken = getattr(balance.spent, unit) + getattr(balance.reserved, unit)
                assert limit is None or taken <= limit

    @invariant()
    def every_bill_is_booked_in_some_period(self) -> None:
        booked = Amounts()
        for balance in (self.balance, *(old.balance for old in self.balance.life.closed)):
            booked += balance.spent + balance.overdraft
        assert booked == self.billed

    @invariant()
    def what_is_held_is_reserved_in_some_period(self) -> None:
        reserved = self.balance.reserved
        for old in self.balance.life.closed:
            reserved += old.balance.reserved
        assert reserved == sum((held for held, _ in self.held), Amounts())

    @invariant()
    def what_lapsed_is_taken(self) -> None:
        for unit in Unit:
            lapsed = getattr(self.balance.lapsed, unit)
            bar = money.bar(self.balance, unit)
            taken = getattr(self.balance.spent, unit) + getattr(self.balance.reserved, unit)
            assert not lapsed or taken == bar + lapsed


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(
    period=st.sampled_from([Period.DAY, Period.WEEK, Period.MONTH]),
    hours=st.integers(-24 * 400, 24 * 400),
)
def test_a_moment_lies_in_its_period_and_periods_follow_without_a_gap(
    period: Period, hours: int
) -> None:
    now = BEGINNING + timedelta(hours=hours)

    span = periods.span_at(period, BEGINNING, now)

    assert span is not None
    assert span.starts_at <= now < span.ends_at
    following = periods.span_at(period, BEGINNING, span.ends_at)
    assert following is not None
    assert following.starts_at == span.ends_at


@pytest.mark.parametrize(
    ("now", "starts", "ends"),
    [
        ("2030-02-01", "2030-01-31", "2030-02-28"),
        ("2030-02-28", "2030-01-31", "2030-02-28"),
        ("2030-03-01", "2030-02-28", "2030-03-31"),
        ("2032-02-29", "2032-01-31", "2032-02-29"),
        ("2029-12-31", "2029-11-30", "2029-12-31"),
    ],
)
def test_a_month_that_is_too_short_ends_with_its_last_day(now: str, starts: str, ends: str) -> None:
    span = periods.span_at(Period.MONTH, BEGINNING, datetime.fromisoformat(f"{now}T11:59:00Z"))

    assert span is not None
    assert span.starts_at == datetime.fromisoformat(f"{starts}T12:00:00Z")
    assert span.ends_at == datetime.fromisoformat(f"{ends}T12:00:00Z")
