from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.outcomes import ErrorClass
from policy.core.retry import NEVER, RetryPolicy
from runs.core.retry import RETRYABLE, Attempt, GiveUp, RetryAt, decide

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
FOREVER = RetryPolicy(max_attempts=10**9)


def failed(number: int = 1, **change: object) -> Attempt:
    fields: dict[str, object] = {
        "key": "run/0/a/0",
        "number": number,
        "error_class": ErrorClass.TIMEOUT,
    }
    return Attempt(**{**fields, **change})  # type: ignore[arg-type]


@given(st.integers(1, 10**8), st.text(max_size=10))
def test_every_wait_is_bounded_whatever_the_attempt(number: int, key: str) -> None:
    decision = decide(FOREVER, failed(number, key=key), now=NOON, deadline=None)

    assert isinstance(decision, RetryAt)
    assert timedelta(0) < decision.when - NOON <= FOREVER.cap


@given(st.integers(1, 50))
def test_the_same_failure_is_decided_the_same_way_every_time(number: int) -> None:
    one, other = (decide(FOREVER, failed(number), now=NOON, deadline=None) for _ in range(2))

    assert one == other


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_wish_of_the_other_side_breaks_a_decision(retry_after: float) -> None:
    decision = decide(
        RetryPolicy(), failed(retry_after=retry_after), now=NOON, deadline=NOON + timedelta(hours=1)
    )

    assert isinstance(decision, RetryAt | GiveUp)


def test_waits_grow_and_spread() -> None:
    def wait(number: int, key: str = "k") -> timedelta:
        decision = decide(FOREVER, failed(number, key=key), now=NOON, deadline=None)
        assert isinstance(decision, RetryAt)
        return decision.when - NOON

    assert wait(1) < wait(3) < wait(6)
    assert len({wait(3, f"key {n}") for n in range(20)}) == 20


def test_the_other_sides_wish_is_waited_for() -> None:
    decision = decide(RetryPolicy(), failed(retry_after=40), now=NOON, deadline=None)

    assert decision == RetryAt(NOON + timedelta(seconds=40))


@pytest.mark.parametrize("error_class", sorted(set(ErrorClass) - RETRYABLE))
def test_what_does_not_pass_by_itself_is_not_retried(error_class: ErrorClass) -> None:
    decision = decide(RetryPolicy(), failed(error_class=error_class), now=NOON, deadline=None)

    assert isinstance(decision, GiveUp)


def test_a_policy_may_retry_other_classes_too() -> None:
    policy = RetryPolicy(also=frozenset({ErrorClass.INTERNAL}))

    decision = decide(policy, failed(error_class=ErrorClass.INTERNAL), now=NOON, deadline=None)

    assert isinstance(decision, RetryAt)


def test_the_last_attempt_and_the_deadline_end_it() -> None:
    last = decide(RetryPolicy(max_attempts=4), failed(4), now=NOON, deadline=None)
    late = decide(RetryPolicy(), failed(), now=NOON, deadline=NOON + timedelta(milliseconds=1))

    assert isinstance(last, GiveUp)
    assert isinstance(late, GiveUp)


@pytest.mark.parametrize("error_class", sorted(NEVER))
def test_no_declaration_has_a_denial_or_an_exhausted_budget_retried(
    error_class: ErrorClass,
) -> None:
    every = RetryPolicy(also=frozenset(ErrorClass))
    failed = Attempt(key="k", number=1, error_class=error_class)

    assert decide(every, failed, now=NOON, deadline=None) == GiveUp(f"{error_class} is not retried")
