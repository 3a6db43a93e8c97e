"""The limiter and the breakers that processes share: real Redis, several processes."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings

from policy.core.gate import Barred, Cleared, GateRules, Outgoing
from policy.core.limits import Bucket, Limit, LimitUnit, Scarce, Taken
from policy.core.outcomes import Done, ErrorClass, Failed, Usage
from policy.gates.breakers import Breaker
from policy.gates.gate import Gate
from policy.gates.limiter import Limiter
from policy.gates.shared import Shared

ROOT = Path(__file__).resolve().parents[2]
AWAY = "redis://127.0.0.1:1/0"
DOWN = Failed(error_class=ErrorClass.TRANSIENT_DEPENDENCY, detail="down")


@pytest.fixture
def redis(migrated: None) -> Iterator[Shared]:  # noqa: ARG001 - wanted for the servers
    with closing(Shared(settings.REDIS_URL)) as door:
        yield door


@pytest.fixture
def elsewhere(redis: Shared) -> Iterator[Shared]:  # noqa: ARG001 - the same servers
    """The door of another process."""
    with closing(Shared(settings.REDIS_URL)) as door:
        yield door


@pytest.fixture
def key() -> str:
    return f"test-{secrets.token_hex(8)}"


def a_breaker(key: str, redis: Shared, *, seconds: float = 0.2) -> Breaker:
    return Breaker(key, redis, failures=3, seconds=seconds)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.report(ok=False, probe=False)


def test_all_processes_together_take_no_more_than_there_is(redis: Shared, key: str) -> None:
    taken: list[bool] = []
    bucket = Bucket(key=key, amount=20, seconds=3600, burst=20)

    def take_all() -> None:
        with closing(Shared(settings.REDIS_URL)) as door:
            limiter = Limiter(door)
            taken.extend(isinstance(limiter.take(key, [bucket]), Taken) for _ in range(10))

    threads = [threading.Thread(target=take_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (sum(taken), len(taken)) == (20, 80)
    assert isinstance(Limiter(redis).take(key, [bucket]), Scarce)


def test_of_several_buckets_all_or_none_are_taken_from(redis: Shared, key: str) -> None:
    limiter = Limiter(redis)
    wide = Bucket(key=f"{key}-wide", amount=3, seconds=3600, burst=3)
    narrow = Bucket(key=f"{key}-narrow", amount=1, seconds=3600, burst=1)

    answers = [limiter.take(key, [wide, narrow]) for _ in range(3)]
    left = limiter.take(key, [wide])

    assert [isinstance(answer, Taken) for answer in answers] == [True, False, False]
    assert isinstance(answers[1], Scarce)
    assert answers[1].key == narrow.key
    assert answers[1].seconds == pytest.approx(3600, abs=60)
    assert isinstance(left, Taken)
    assert left.remaining == pytest.approx(1, abs=0.1)


def test_tokens_that_were_not_used_are_given_back(migrated: None, key: str) -> None:  # noqa: ARG001
    limit = Limit(id=key, name="tokens", unit=LimitUnit.TOKENS, amount=100, seconds=3600, burst=100)
    rules = GateRules(limits=(limit,))
    call = Outgoing(tenant_id=key, dependency="endpoint/x", facts={}, lasts=5, tokens=80)
    gate = Gate()

    first = gate.clear(call, rules)
    barred = gate.clear(call, rules)
    assert isinstance(first, Cleared)
    gate.back(first, Done(value="hello", usage=Usage(input_tokens=5, output_tokens=5)))
    again = gate.clear(call, rules)

    assert isinstance(barred, Barred)
    assert (barred.reason, barred.what) == ("rate_limit", "tokens")
    assert isinstance(again, Cleared)


def test_a_redis_that_is_away_stops_nothing_and_each_process_counts_alone(key: str) -> None:
    limiter = Limiter(Shared(AWAY))
    bucket = Bucket(key=key, amount=2, seconds=3600, burst=2)
    breaker = a_breaker(key, Shared(AWAY))

    answers = [isinstance(limiter.take(key, [bucket]), Taken) for _ in range(3)]
    before = breaker.wait(lasts=1)
    fail(breaker, 3)
    seconds, _ = breaker.wait(lasts=1)

    assert answers == [True, True, False]
    assert before == (0.0, False)
    assert seconds > 0


def test_a_breaker_opens_after_failures_in_a_row_and_a_success_begins_anew(
    redis: Shared, elsewhere: Shared, key: str
) -> None:
    breaker = a_breaker(key, redis)

    fail(breaker, 2)
    breaker.report(ok=True, probe=False)
    fail(breaker, 2)
    after_four = breaker.seen().state
    fail(breaker, 1)

    assert after_four == "closed"
    assert breaker.seen().state == "open"
    assert a_breaker(key, elsewhere).wait(lasts=1)[0] > 0


def test_one_probe_closes_it_or_opens_it_again(redis: Shared, elsewhere: Shared, key: str) -> None:
    breaker = a_breaker(key, redis)
    fail(breaker, 3)
    time.sleep(0.25)
    other = a_breaker(key, elsewhere)

    first, second = breaker.wait(lasts=5), other.wait(lasts=5)
    breaker.report(ok=False, probe=True)
    opened_again = other.seen().state
    time.sleep(0.25)
    third = other.wait(lasts=5)
    other.report(ok=True, probe=True)

    assert first == (0.0, True)
    assert second[0] > 0
    assert opened_again == "open"
    assert third == (0.0, True)
    assert breaker.seen().state == "closed"
    assert breaker.wait(lasts=5) == (0.0, False)


def test_a_probe_that_died_is_taken_over(redis: Shared, elsewhere: Shared, key: str) -> None:
    breaker = a_breaker(key, redis)
    fail(breaker, 3)
    time.sleep(0.25)
    assert breaker.wait(lasts=0.1) == (0.0, True)

    other = a_breaker(key, elsewhere)
    taken: list[bool] = []
    end = time.monotonic() + 10
    while not taken and time.monotonic() < end:
        seconds, probe = other.wait(lasts=0.1)
        taken += [probe] if not seconds else []
        time.sleep(0.05)

    assert taken == [True]


FLAPPER = """
import os, sys, time
import django
django.setup()
from django.conf import settings
import redis as library
from policy.gates.breakers import Breaker
from policy.gates.shared import Shared

key, until = sys.argv[1], time.time() + float(sys.argv[2])
client = library.Redis.from_url(settings.REDIS_URL)
breaker = Breaker(key, Shared(settings.REDIS_URL), failures=3, seconds=0.3)
probes = calls = most = 0
while time.time() < until:
    seconds, probe = breaker.wait(lasts=2)
    if seconds:
        time.sleep(min(seconds, 0.02))
        continue
    calls += 1
    if probe:
        probes += 1
        most = max(most, client.incr(key + ":probing"))
    well = int(time.time() / 0.5) % 2 == 0      # the server flaps twice a second
    time.sleep(0.005)
    if probe:
        client.decr(key + ":probing")
    breaker.report(ok=well, probe=probe)
print(calls, probes, most)
"""


def test_from_several_processes_a_flapping_server_sees_one_probe_at_a_time(
    migrated: None,  # noqa: ARG001
    key: str,
) -> None:
    flappers = [
        subprocess.Popen(  # noqa: S603 - this very test
            [sys.executable, "-c", FLAPPER, key, "4"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [flapper.communicate(timeout=60)[0].split() for flapper in flappers]

    probes = sum(int(one[1]) for one in said)
    assert probes >= 2
    assert max(int(one[2]) for one in said) == 1
