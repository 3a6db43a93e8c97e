"""A straight line through the beginning of a period and now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from policy.core.forecast import forecast

MORNING = datetime(2030, 1, 1, tzinfo=UTC)
NOON = MORNING + timedelta(hours=12)
NIGHT = MORNING + timedelta(hours=24)


def test_half_a_limit_by_noon_is_all_of_it_at_night() -> None:
    told = forecast(Decimal(6), Decimal(9), starts_at=MORNING, ends_at=NIGHT, now=NOON)

    assert told.rate_per_hour == Decimal("0.5")
    assert told.exhausted_at == NOON + timedelta(hours=6)
    assert told.at_period_end == 12


def test_what_lasts_longer_than_the_period_is_not_used_up() -> None:
    told = forecast(Decimal(6), Decimal(13), starts_at=MORNING, ends_at=NIGHT, now=NOON)

    assert told.exhausted_at is None


def test_without_a_period_it_ends_when_it_is_used_up() -> None:
    told = forecast(Decimal(6), Decimal(600), starts_at=MORNING, ends_at=None, now=NOON)

    assert told.exhausted_at == NOON + timedelta(hours=1188)
    assert told.at_period_end is None


def test_what_is_used_up_is_used_up_now_and_what_is_unspent_never() -> None:
    over = forecast(Decimal(9), Decimal(9), starts_at=MORNING, ends_at=NIGHT, now=NOON)
    never = forecast(Decimal(0), Decimal(9), starts_at=MORNING, ends_at=NIGHT, now=NOON)
    slowly = forecast(Decimal("1E-9"), Decimal(10**9), starts_at=MORNING, ends_at=None, now=NOON)

    assert over.exhausted_at == NOON
    assert never.exhausted_at is None
    assert never.rate_per_hour == never.at_period_end == 0
    assert slowly.exhausted_at is None


def test_a_first_call_does_not_make_a_rate_without_bounds() -> None:
    told = forecast(Decimal(1), Decimal(9), starts_at=NOON, ends_at=NIGHT, now=NOON)

    assert told.rate_per_hour == 60
