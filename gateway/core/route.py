"""Where a question goes: an endpoint, a vendor's model, its price and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from gateway.core.pricing import Price
from policy.core.money import Amounts
from policy.core.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to a model. `api_key` is held by credential name elsewhere, never in a state."""

    name: str
    provider: str
    model_id: str
    base_url: str
    price: Price
    timeout: float
    max_tokens: int
    endpoint_id: str = ""
    retry: RetryPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The worst that one call can cost on a route; what a budget reserves for it."""

    route: Route
    input_tokens: int
    output_tokens: int
    amounts: Amounts = field(default_factory=lambda: Amounts(cost=Decimal(0)))
