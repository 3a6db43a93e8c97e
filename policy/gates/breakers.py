"""Breakers: a dependency that fails again and again is left alone for a while.

closed ──`failures` in a row──▶ open ──after `seconds`──▶ half open ──▶ one probe: closed, or open

pybreaker keeps the rules, Redis the state, so that all processes see one breaker. What
pybreaker does not do is done here: only one probe at a time, by a lease; moments on Redis's
clock; and no question to Redis while all is well.
"""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pybreaker
from django.conf import settings

from policy.gates.shared import Shared

if TYPE_CHECKING:
    from redis import Redis

BELIEVED: Final = 0.1
"""Seconds for which a process believes what it read of a closed breaker."""
KEPT: Final = 7 * 24 * 3600
"""Seconds after which nothing is known any more of a dependency that nobody used."""
MOST: Final = 4096


class DependencyFailed(Exception):  # noqa: N818 - what pybreaker is told
    """What pybreaker counts: the dependency could not be reached, or did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """What is known of a breaker. `open_for` is in seconds, 0 while it is closed."""

    state: str = pybreaker.STATE_CLOSED
    failures: int = 0
    open_for: float = 0.0


class SharedStorage(pybreaker.CircuitBreakerStorage):
    """A breaker's state in one Redis hash; this process's own copy while Redis is away."""

    def __init__(self, key: str, shared: Shared) -> None:
        super().__init__("agentops")
        self._key, self._shared = key, shared
        self._state, self._fails, self._wins = pybreaker.STATE_CLOSED, 0, 0
        self._opened = 0.0
        self._read_at = 0.0

    def read(self, *, fresh: bool = False) -> BreakerState:
        """Give what is known, asking Redis only where what was read is old."""
        now = time.monotonic()
        if fresh or now - self._read_at > BELIEVED:
            self._fetch()
            self._read_at = now
        since = time.monotonic() - self._opened
        is_closed = self._state == pybreaker.STATE_CLOSED
        return BreakerState(
            state=self._state, failures=self._fails, open_for=0.0 if is_closed else since
        )

    def is_known_closed(self) -> bool:
        """Say whether it was closed when it was last read, and that was a moment ago."""
        is_new = time.monotonic() - self._read_at <= BELIEVED
        return is_new and self._state == pybreaker.STATE_CLOSED

    def _fetch(self) -> None:
        answer = self._shared.ask(self._asked)
        if answer is None:
            return
        (state, fails, opened), (seconds, micros) = answer
        self._state = pybreaker.STATE_CLOSED if state is None else state.decode()
        self._fails = int(fails or 0)
        if opened is not None:
            age = seconds + micros / 1e6 - float(opened)
            self._opened = time.monotonic() - age

    def _asked(self, redis: Redis) -> Any:
        pipe: Any = redis.pipeline(transaction=False)
        pipe.hmget(self._key, "state", "fails", "opened")
        pipe.time()
        return pipe.execute()

    def _write(self, field: str, value: str | int) -> None:
        def written(redis: Redis) -> None:
            pipe: Any = redis.pipeline()
            pipe.hset(self._key, field, str(value))
            pipe.expire(self._key, KEPT)
            pipe.execute()

        self._shared.ask(written)

    @property
    def state(self) -> str:
        """Give the state's name."""
        return self.read().state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        self._write("state", state)

    def increment_counter(self) -> None:
        """Count a failure."""
        counted = self._shared.ask(lambda redis: redis.hincrby(self._key, "fails", 1))
        self._fails = self._fails + 1 if counted is None else int(counted)

    def reset_counter(self) -> None:
        """Count no failures any more; costs nothing where none are counted."""
        if self.read().failures:
            self._fails = 0
            self._write("fails", 0)

    def increment_success_counter(self) -> None:
        """Count a success of a probe, here only: one is enough to close it."""
        self._wins += 1

    def reset_success_counter(self) -> None:
        """Count no successes any more."""
        self._wins = 0

    @property
    def counter(self) -> int:
        """Give the failures in a row."""
        return self._fails

    @property
    def success_counter(self) -> int:
        """Give the successes of probes in a row."""
        return self._wins

    @property
    def opened_at(self) -> datetime | None:
        """Give when it was opened, on this host's clock, whatever that says."""
        if not self._opened:
            return None
        here = datetime.now(UTC)  # noqa: TID251 - pybreaker compares with this very clock
        return here - timedelta(seconds=time.monotonic() - self._opened)

    @opened_at.setter
    def opened_at(self, _moment: datetime) -> None:
        self._opened = time.monotonic()
        clock = self._shared.ask(lambda redis: redis.time())
        if clock is not None:
            self._write("opened", f"{clock[0] + clock[1] / 1e6:.6f}")


class Breaker:
    """The breaker of one dependency of one tenant."""

    def __init__(self, key: str, shared: Shared, *, failures: int, seconds: float) -> None:
        self._shared, self._seconds = shared, seconds
        self._storage = SharedStorage(key, shared)
        self._probe_key = f"{key}:probe"
        self._probing_until = 0.0
        self._lock = threading.Lock()
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=failures, reset_timeout=seconds, state_storage=self._storage, name=key
        )

    def seen(self, *, fresh: bool = True) -> BreakerState:
        """Say how it stands."""
        return self._storage.read(fresh=fresh)

    @property
    def failures_seen(self) -> int:
        """Give the failures in a row that this process knows of."""
        return self._storage.counter

    def is_known_well(self) -> bool:
        """Say whether it was closed a moment ago, without asking Redis."""
        return self._storage.is_known_closed()

    def wait(self, *, lasts: float) -> tuple[float, bool]:
        """Say how many seconds to wait before a call, and whether the call is the probe.

        `lasts` bounds the call, in seconds: that long nobody else probes.
        """
        if self._storage.read().state == pybreaker.STATE_CLOSED:
            return 0.0, False
        seen = self._storage.read(fresh=True)
        if seen.state == pybreaker.STATE_CLOSED:
            return 0.0, False
        left = self._seconds - seen.open_for
        if seen.state == pybreaker.STATE_OPEN and left > 0:
            return left + random.uniform(0, 0.1 * self._seconds), False  # noqa: S311 - spreads load
        if self._take_probe(lasts):
            return 0.0, True
        return random.uniform(0.5, 2.0), False  # noqa: S311 - spreads load

    def report(self, *, ok: bool, probe: bool) -> None:
        """Count what became of a call. While it is not closed, only the probe's answer counts."""
        if ok and not probe and not self._storage.read().failures:
            return
        if not probe and self._storage.read(fresh=True).state != pybreaker.STATE_CLOSED:
            return
        try:
            self._breaker.call(_answered if ok else _not_answered)
        except (DependencyFailed, pybreaker.CircuitBreakerError):
            pass
        finally:
            if probe:
                self.leave_probe()

    def leave_probe(self) -> None:
        """Let somebody else probe."""
        self._probing_until = 0.0
        self._shared.ask(lambda redis: redis.delete(self._probe_key))

    def _take_probe(self, lasts: float) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._probing_until:
                return False
            until = now + lasts + 1
            mine = self._shared.ask(
                lambda redis: bool(
                    redis.set(self._probe_key, 1, nx=True, px=int(lasts * 1000) + 1000)
                )
            )
            if mine is False:
                return False
            self._probing_until = until
            return True


def _answered() -> None:
    """Stand for a call that the dependency answered."""


def _not_answered() -> None:
    """Stand for one that it did not."""
    raise DependencyFailed


class Breakers:
    """This process's breakers, one per tenant and dependency, made when first met."""

    def __init__(self, shared: Shared, *, failures: int, seconds: float) -> None:
        self._shared, self._failures, self._seconds = shared, failures, seconds
        self._known: OrderedDict[tuple[str, str], Breaker] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, tenant_id: str, dependency: str) -> Breaker:
        """Give the breaker of a dependency."""
        key = (tenant_id, dependency)
        with self._lock:
            breaker = self._known.get(key)
            if breaker is None:
                breaker = self._known[key] = Breaker(
                    f"{settings.REDIS_PREFIX}:breaker:{{{tenant_id}}}:{dependency}",
                    self._shared,
                    failures=self._failures,
                    seconds=self._seconds,
                )
                if len(self._known) > MOST:
                    self._known.popitem(last=False)
            return breaker
