"""Pages of lists, newest first, in one query each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a list ordered by (created, id), newest first; `back` looks towards the newer."""

    at: datetime
    id: UUID
    back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some items of a list, and where its neighbours begin."""

    items: tuple[Item, ...]
    next: Position | None = None
    previous: Position | None = None


def page_of(
    rows: QuerySet[Row], read: Callable[[Row], Item], *, position: Position | None, limit: int
) -> Page[Item]:
    """Cut a page of rows that have `created_at` and `id`, newest first, in one query.

    Rows that come in meanwhile neither repeat nor hide one.
    """
    back = position is not None and position.back
    if position is not None:
        rows = rows.filter(_beyond(position))
    order = ("created_at", "id") if back else ("-created_at", "-id")
    found = list(rows.order_by(*order)[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if back:
        found.reverse()
    return Page(
        items=tuple(read(row) for row in found),
        next=_at(found[-1]) if found and (more or back) else None,
        previous=_at(found[0], back=True)
        if found and position is not None and (more or not back)
        else None,
    )


def _beyond(position: Position) -> Q:
    if position.back:
        beside = Q(created_at=position.at, id__gt=position.id)
        return Q(created_at__gte=position.at) & (Q(created_at__gt=position.at) | beside)
    beside = Q(created_at=position.at, id__lt=position.id)
    return Q(created_at__lte=position.at) & (Q(created_at__lt=position.at) | beside)


def _at(row: Any, *, back: bool = False) -> Position:
    return Position(at=row.created_at, id=row.id, back=back)
