"""Rate limits as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.limits import Bucket, Limit, LimitUnit, Scarce, Taken, moved, take


def a_limit(**more: object) -> Limit:
    values: dict[str, object] = {
        "id": "l1",
        "name": "a limit",
        "unit": LimitUnit.CALLS,
        "amount": 10,
        "seconds": 60.0,
        "burst": 10,
    }
    return Limit(**{**values, **more})  # type: ignore[arg-type]


CALL = {"user": "ann", "agent": "refunds", "tool": "crm.read", "risk": "low", "environment": "test"}


def test_a_limit_counts_apart_by_what_it_is_per() -> None:
    limit = a_limit(per=("user", "tool"))

    ann = limit.bucket(CALL, 0)
    bob = limit.bucket({**CALL, "user": "bob"}, 0)

    assert ann is not None
    assert bob is not None
    assert ann.key == "l1|user=ann|tool=crm.read"
    assert bob.key != ann.key


@pytest.mark.parametrize(
    ("more", "applies"),
    [
        ({}, True),
        ({"where": {"tool": "crm.*"}}, True),
        ({"where": {"tool": "mail.*"}}, False),
        ({"where": {"model": "*"}}, False),
        ({"per": ("model",)}, False),
        ({"unit": LimitUnit.TOKENS}, False),
    ],
)
def test_a_limit_is_about_calls_that_match_it(more: dict[str, object], *, applies: bool) -> None:
    assert (a_limit(**more).bucket(CALL, 0) is not None) is applies


def test_tokens_weigh_what_they_are_and_never_more_than_a_full_bucket() -> None:
    limit = a_limit(unit=LimitUnit.TOKENS, amount=1000, burst=500)

    small, huge = limit.bucket(CALL, 300), limit.bucket(CALL, 10**6)

    assert small is not None
    assert huge is not None
    assert (small.asked, huge.asked) == (300, 500)


def test_none_is_taken_where_one_bucket_lacks() -> None:
    wide = Bucket(key="wide", amount=100, seconds=1, burst=100)
    narrow = Bucket(key="narrow", amount=1, seconds=10, burst=1)
    full_at = {"narrow": moved(None, narrow, 0.0)}

    answer = take(full_at, [wide, narrow], 0.0)

    assert answer == Scarce(10.0, "narrow")


moments = st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=60)


@given(gaps=moments, amount=st.integers(1, 20), burst=st.integers(1, 20))
def test_no_window_ever_sees_more_than_burst_and_rate(
    gaps: list[float], amount: int, burst: int
) -> None:
    """Over any span, what passed is at most the burst and what the rate allows in that span."""
    bucket = Bucket(key="b", amount=amount, seconds=10, burst=burst)
    full_at: dict[str, float] = {}
    passed, now = [], 0.0
    for gap in gaps:
        now += gap
        if isinstance(take(full_at, [bucket], now), Taken):
            full_at["b"] = moved(full_at.get("b"), bucket, now)
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert last - first + 1 <= burst + span * amount / 10 + 1e-6


@given(amount=st.integers(1, 50), seconds=st.floats(0.1, 1000), burst=st.integers(1, 50))
def test_after_the_wait_that_is_named_it_passes(amount: int, seconds: float, burst: int) -> None:
    bucket = Bucket(key="b", amount=amount, seconds=seconds, burst=burst)
    full_at: dict[str, float] = {}
    while isinstance(answer := take(full_at, [bucket], 0.0), Taken):
        full_at["b"] = moved(full_at.get("b"), bucket, 0.0)

    later = answer.seconds * (1 + 1e-9) + 1e-6

    assert isinstance(take(full_at, [bucket], later), Taken)
