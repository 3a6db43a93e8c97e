"""Take from several buckets at once, or from none: one script in Redis, on Redis's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings

from policy.core.limits import Bucket, Scarce, Taken, moved, take
from policy.gates.shared import Shared

TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local wait, lacking, scarcest, resets = 0, 0, math.huge, 0
local after = {}
for i, key in ipairs(KEYS) do
  local interval, burst, asked = tonumber(ARGV[3*i-2]), tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i])
  local full_at = math.max(tonumber(redis.call('GET', key) or now), now)
  after[i] = full_at + asked * interval
  local late = after[i] - now - burst * interval
  if late > math.max(wait, 0.000001) then wait, lacking = late, i end
  local left = math.max(burst - (after[i] - now) / interval, 0)
  if left < scarcest then scarcest, resets = left, after[i] - now end
end
if lacking > 0 then return {tostring(wait), lacking, '0', '0'} end
for i, key in ipairs(KEYS) do
  local lives = math.ceil((after[i] - now) * 1000) + 1
  redis.call('SET', key, string.format('%.6f', after[i]), 'PX', lives)
end
return {'0', 0, tostring(scarcest), tostring(resets)}
"""

GIVE_BACK: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
for i, key in ipairs(KEYS) do
  local full_at = tonumber(redis.call('GET', key) or now) - tonumber(ARGV[i])
  if full_at <= now then redis.call('DEL', key)
  else
    local lives = math.ceil((full_at - now) * 1000) + 1
    redis.call('SET', key, string.format('%.6f', full_at), 'PX', lives)
  end
end
return 0
"""

MOST_ALONE: Final = 10_000


class Limiter:
    """Buckets that all processes share; while Redis is away, this process's own."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._alone: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, tenant_id: str, buckets: Sequence[Bucket]) -> Taken | Scarce:
        """Take what is asked from every bucket, or from none of them."""
        keys = _keys(tenant_id, buckets)
        numbers = [part for b in buckets for part in (b.interval, b.burst, b.asked)]
        answer: Any = self._shared.ask(lambda redis: redis.eval(TAKE, len(keys), *keys, *numbers))
        if answer is None:
            return self._take_alone(buckets)
        wait, lacking, remaining, resets = answer
        if lacking:
            return Scarce(float(wait), buckets[int(lacking) - 1].key)
        return Taken(float(remaining), float(resets))

    def give_back(self, tenant_id: str, buckets: Sequence[Bucket]) -> None:
        """Give back what these buckets name as their weight, because it was not used."""
        keys = _keys(tenant_id, buckets)
        seconds = [bucket.asked * bucket.interval for bucket in buckets]
        self._shared.ask(lambda redis: redis.eval(GIVE_BACK, len(keys), *keys, *seconds))

    def _take_alone(self, buckets: Sequence[Bucket]) -> Taken | Scarce:
        now = time.monotonic()
        with self._lock:
            answer = take(self._alone, buckets, now)
            if isinstance(answer, Taken):
                if len(self._alone) > MOST_ALONE:
                    self._alone.clear()
                for bucket in buckets:
                    self._alone[bucket.key] = moved(self._alone.get(bucket.key), bucket, now)
        return answer


def _keys(tenant_id: str, buckets: Sequence[Bucket]) -> list[str]:
    """Name the buckets in Redis; a tenant's lie in one slot of a cluster."""
    return [f"{settings.REDIS_PREFIX}:limit:{{{tenant_id}}}:{bucket.key}" for bucket in buckets]
