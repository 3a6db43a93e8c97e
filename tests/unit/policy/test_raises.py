"""What one person may grant alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from policy.core.raises import Alone, Granted, left, needs_another

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FIVE_A_DAY = Alone(up_to=Decimal(5))


def granted(amount: str, hours_ago: float) -> Granted:
    return Granted(amount=Decimal(amount), at=NOW - timedelta(hours=hours_ago))


def test_what_was_granted_lately_counts_together() -> None:
    before = [granted("2", 1), granted("2", 23)]

    assert not needs_another(Decimal(1), FIVE_A_DAY, before, NOW)
    assert needs_another(Decimal("1.01"), FIVE_A_DAY, before, NOW)


def test_what_was_granted_before_is_forgotten() -> None:
    assert left(FIVE_A_DAY, [granted("5", 24)], NOW) == 5


def test_a_clock_that_was_set_back_forgets_nothing() -> None:
    assert left(FIVE_A_DAY, [granted("5", -3)], NOW) == 0


def test_without_a_limit_anybody_grants_any_amount() -> None:
    assert left(Alone(), [granted("5", 0)], NOW) is None
    assert not needs_another(Decimal(10**9), Alone(), [granted("5", 0)], NOW)


@given(st.lists(st.decimals("0.01", 10, places=2), max_size=20), st.integers(1, 48))
def test_in_no_window_does_one_person_grant_more_alone(amounts: list[Decimal], hours: int) -> None:
    alone = Alone(up_to=Decimal(7), within=timedelta(hours=hours))
    made: list[Granted] = []
    for hour, amount in enumerate(amounts):
        now = NOW + timedelta(hours=hour)
        if not needs_another(amount, alone, made, now):
            made.append(Granted(amount=amount, at=now))

    for last in made:
        window = [one for one in made if last.at - alone.within < one.at <= last.at]
        assert sum(one.amount for one in window) <= 7
