"""Whose money it was: what the ledger says that was spent, by one thing or another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, F, Q, Sum, When
from django.db.models.functions import Coalesce

from policy.models import Principal, Team
from runs.models import Effect

MOST: Final = 200


class Attribute(StrEnum):
    """By what spending is told apart."""

    TENANT = "tenant"
    TEAM = "team"
    AGENT = "agent"
    RUN = "run"
    TOOL = "tool"
    MODEL = "model"
    USER = "user"


KEY: Final = {
    Attribute.TENANT: "tenant_id",
    Attribute.TEAM: "run__team_id",
    Attribute.AGENT: "run__agent_name",
    Attribute.RUN: "run_id",
    Attribute.TOOL: "name",
    Attribute.MODEL: "name",
    Attribute.USER: "run__principal_id",
}
NAMES: Final[dict[Attribute, Any]] = {Attribute.TEAM: Team, Attribute.USER: Principal}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent by one of them. `key` is its id, or its name where it has none."""

    key: str
    name: str
    cost: Decimal
    estimated: Decimal
    tokens: int
    model_calls: int
    tool_calls: int


def attribution(by: Attribute, *, since: datetime, until: datetime) -> list[Spent]:
    """Tell apart what calls cost that were sent last in a time, the most expensive first.

    By user and team: whoever started the run, as it was then. What a child spent is its own
    agent's. `estimated` is the cost of calls of which part is an estimate.
    """
    rows: Any = Effect.objects.filter(claimed_at__gte=since, claimed_at__lt=until)
    if by in {Attribute.TOOL, Attribute.MODEL}:
        rows = rows.filter(kind=by.value)
    found = (
        rows.values(key=F(KEY[by]))
        .annotate(
            money=Sum("cost"),
            guessed=Coalesce(Sum("cost", filter=Q(estimated=True)), Decimal(0)),
            tokens=Sum(F("input_tokens") + F("output_tokens")),
            model_calls=_calls("model"),
            tool_calls=_calls("tool"),
        )
        .order_by("-money", "-tool_calls", "key")[:MOST]
    )
    return _named(by, list(found))


def _calls(kind: str) -> Any:
    return Sum(Case(When(kind=kind, then=F("attempt")), default=0))


def _named(by: Attribute, found: Iterable[dict[str, Any]]) -> list[Spent]:
    rows = list(found)
    names: dict[UUID, str] = {}
    if by in NAMES:
        ids = [row["key"] for row in rows if row["key"]]
        names = dict(NAMES[by].objects.filter(pk__in=ids).values_list("id", "name"))
    return [
        Spent(
            key="" if row["key"] is None else str(row["key"]),
            name=names.get(row["key"], "") or _words(by, row["key"]),
            cost=row["money"],
            estimated=row["guessed"],
            tokens=row["tokens"],
            model_calls=row["model_calls"],
            tool_calls=row["tool_calls"],
        )
        for row in rows
    ]


def _words(by: Attribute, key: Any) -> str:
    if by is Attribute.TENANT:
        return "everything"
    return f"no {by}" if key is None else str(key)
