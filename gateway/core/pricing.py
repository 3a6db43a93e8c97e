"""Prices, and what a call costs under them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens, under a version that a settlement can name."""

    version: str
    input_per_million: Decimal
    output_per_million: Decimal


def cost(price: Price, *, input_tokens: int, output_tokens: int) -> Decimal:
    """Compute what so many tokens cost, to the nano-dollar."""
    total = price.input_per_million * input_tokens + price.output_per_million * output_tokens
    return (total / MILLION).quantize(Decimal("0.000000001"))
