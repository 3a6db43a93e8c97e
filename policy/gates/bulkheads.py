"""Bulkheads: how many calls are in flight, counted in Redis as leases that run out by themselves.

A call that is sent leaves a ticket behind each bulkhead that is about it, and takes it away when
it is back. A ticket whose process died runs out when the call must be over. While Redis is away
each process counts its own calls.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings

from policy.core.limits import Bulkhead, Scarce, patience
from policy.gates.shared import Shared

ENTER: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
for i, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if redis.call('ZCARD', key) >= tonumber(ARGV[i + 2]) then
    local youngest = 0
    for _, ticket in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      youngest = math.max(youngest, tonumber(string.match(ticket, '^[^|]+')))
    end
    return {i, tostring(now - youngest), ''}
  end
end
local ticket = string.format('%.6f', now) .. '|' .. ARGV[1]
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[2], ticket)
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
  redis.call('PEXPIRE', key, math.ceil((last[2] - now) * 1000) + 1)
end
return {0, '0', ticket}
"""

SLACK: Final = 2.0
"""Seconds for which a ticket outlives its call: nobody may come too early."""


class Bulkheads:
    """Tickets that all processes share; while Redis is away, this process's own."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._alone: dict[str, dict[str, tuple[float, float]]] = {}
        self._lock = threading.Lock()

    def enter(self, tenant_id: str, behind: Sequence[Bulkhead], *, lasts: float) -> str | Scarce:
        """Give a ticket behind all of these, or say how long to wait; then there is none."""
        keys = _keys(tenant_id, behind)
        name, until = secrets.token_hex(8), lasts + SLACK
        asked: list[str | float] = [name, until, *(bulkhead.most for bulkhead in behind)]
        answer: Any = self._shared.ask(lambda redis: redis.eval(ENTER, len(keys), *keys, *asked))
        if answer is None:
            return self._enter_alone(keys, behind, name, until)
        full, youngest, ticket = answer
        if full:
            return Scarce(patience(float(youngest)), behind[int(full) - 1].key)
        return str(ticket.decode() if isinstance(ticket, bytes) else ticket)

    def leave(self, tenant_id: str, behind: Sequence[Bulkhead], ticket: str) -> None:
        """Take a ticket away: its call is back, or was never sent."""
        keys = _keys(tenant_id, behind)

        def remove(redis: Any) -> None:
            with redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.zrem(key, ticket)
                pipe.execute()

        self._shared.ask(remove)
        with self._lock:
            for key in keys:
                self._alone.get(key, {}).pop(ticket, None)

    def _enter_alone(
        self, keys: Sequence[str], behind: Sequence[Bulkhead], name: str, until: float
    ) -> str | Scarce:
        now = time.monotonic()
        with self._lock:
            for key, bulkhead in zip(keys, behind, strict=True):
                held = self._alone.get(key, {})
                standing = {ticket: at for ticket, at in held.items() if at[1] > now}
                self._alone[key] = standing
                if len(standing) >= bulkhead.most:
                    youngest = max(began for began, _ in standing.values())
                    return Scarce(patience(now - youngest), bulkhead.key)
            for key in keys:
                self._alone[key][name] = (now, now + until)
        return name


def _keys(tenant_id: str, behind: Sequence[Bulkhead]) -> list[str]:
    """Name the counts in Redis; a tenant's lie in one slot of a cluster."""
    return [
        f"{settings.REDIS_PREFIX}:in-flight:{{{tenant_id}}}:{bulkhead.key}" for bulkhead in behind
    ]
