"""How many requests a principal may send: `AGENTOPS_API_REQUESTS` a minute, 0 for no bound."""

from __future__ import annotations

import math
from functools import cache
from typing import Final

from django.conf import settings

from policy.api.authentication import Caller
from policy.core.limits import Bucket, Scarce, Taken
from policy.errors import RequestsLimited
from policy.gates.limiter import Limiter
from policy.gates.shared import shared

WINDOW: Final = 60.0
"""Seconds."""


@cache
def _limiter() -> Limiter:
    return Limiter(shared())


def take(caller: Caller) -> Taken | None:
    """Count a request of a caller; None where nothing is bounded.

    Raises:
        RequestsLimited: there is no room for it.
    """
    most = settings.API_REQUESTS
    if not most:
        return None
    bucket = Bucket(key=f"api|{caller.actor.name}", amount=most, seconds=WINDOW, burst=most)
    answer = _limiter().take(str(caller.tenant_id), [bucket])
    if isinstance(answer, Scarce):
        raise RequestsLimited(answer.seconds)
    return answer


def headers(room: Taken | None) -> dict[str, str]:
    """Write the policy and what is left of it as structured fields."""
    if room is None:
        return {}
    return {
        "RateLimit-Policy": f'"default";q={settings.API_REQUESTS};w={WINDOW:.0f}',
        "RateLimit": f'"default";r={int(room.remaining)};t={math.ceil(room.resets)}',
    }
