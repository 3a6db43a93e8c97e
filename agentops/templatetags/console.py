"""Filters of the pages: a time both relative and exact, money, JSON, states in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from runs.console import words

register = template.Library()
LONGEST: Final = 20_000
LINE: Final = 300


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """Write how long ago something was (or how soon it is), with the exact time on hover."""
    if moment is None:
        return "-"
    seconds = (timezone.now() - moment).total_seconds()
    said = f"{words.span(seconds)} ago" if seconds >= 0 else f"in {words.span(seconds)}"
    return _time(moment, said)


@register.filter
def exact(moment: datetime | None) -> SafeString | str:
    """Write the exact time, in UTC."""
    if moment is None:
        return "-"
    return _time(moment, moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"))


def _time(moment: datetime, said: str) -> SafeString:
    utc = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html('<time datetime="{}" title="{} UTC">{}</time>', utc, utc[:-1], said)


@register.filter
def span(seconds: float) -> str:
    """Say a length of time."""
    return words.span(seconds)


@register.filter
def usd(amount: Any) -> str:
    """Write US dollars with at least two places, and no idle zeros behind them."""
    if amount is None:
        return "no limit"
    whole, _, cents = f"{Decimal(amount):.9f}".rstrip("0").partition(".")
    return f"${whole}.{cents:0<2}"


@register.filter
def about(value: Any, unit: str) -> str:
    """Write an estimated amount of a unit as exactly as a person wants to know it."""
    number = Decimal(value)
    if unit != "cost":
        return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"  # noqa: PLR2004
    return f"${number:,.2f}" if number >= 1 else f"${number:.2g}"


@register.filter
def amount(balance: Any, part: str) -> str:
    """Write one part of a unit's balance: money as money, counts as counts."""
    value = getattr(balance, part)
    if balance.unit == "cost":
        return usd(value)
    return "no limit" if value is None else f"{int(value):,}"


@register.filter
def share(balance: Any) -> int:
    """Give how much of a limit is taken, in percent."""
    if not balance.limit:
        return 0 if balance.limit is None else 100
    return min(100, int((balance.spent + balance.reserved) / balance.limit * 100))


@register.filter
def pretty(value: Any) -> str:
    """Write a JSON value for reading; very long ones are cut, and say so."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters (the API has them all)"


@register.filter
def state_words(run: Any) -> str:
    """Say where a run stands."""
    return words.status(run)


@register.filter
def state_tone(run: Any) -> str:
    """Give the kind of mark that goes with it."""
    return words.tone(run)


@register.filter
def unit_words(unit: str) -> str:
    """Name a unit of a budget for people."""
    return {"cost": "Cost"}.get(unit, str(unit).replace("_", " ").capitalize())


@register.filter
def event_words(event: str) -> str:
    """Name an event for people: `approval.requested` is approval requested."""
    return event.replace(".", " ")


@register.filter
def short(identity: Any) -> str:
    """Give the end of an id, which is where UUIDs of one moment differ."""
    return f"…{str(identity)[-8:]}"


@register.filter
def compact(value: Any) -> str:
    """Write a JSON value on one line, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LINE else f"{text[:LINE]}…"


@register.filter
def plain_words(name: str) -> str:
    """Write a name as people read it: `out_of_distribution` is out of distribution."""
    return name.replace("_", " ")
