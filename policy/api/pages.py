"""Lists as the API gives them: in pages with cursors, newest first, or numbered."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from policy.api.errors import InvalidCursor
from policy.api.views import StrictSerializer
from policy.queries import Page, Position


class PageQuery(StrictSerializer):
    """How much of a list, and from where."""

    cursor = serializers.CharField(required=False, help_text="`next` or `previous` of a page")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class AfterQuery(StrictSerializer):
    """How much of a numbered list, and after which number."""

    after = serializers.IntegerField(required=False, default=-1, min_value=-1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=200, min_value=1, max_value=1000)


def page_of(name: str, item: Any) -> Any:
    """Describe a page of a list with cursors."""
    return inline_serializer(
        f"{name}Page",
        {
            "results": item(many=True),
            "next": serializers.CharField(allow_null=True),
            "previous": serializers.CharField(allow_null=True),
        },
    )


def position_of(cursor: str | None) -> Position | None:
    """Read a cursor that `cursor_of` wrote.

    Raises:
        InvalidCursor: it did not.
    """
    if not cursor:
        return None
    try:
        raw = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
        at, identity, back = raw
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not isinstance(back, bool):
            raise InvalidCursor("this cursor was not made by this list")
        return Position(at=moment, id=UUID(identity), back=back)
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise InvalidCursor("this cursor was not made by this list") from None


def cursor_of(position: Position | None) -> str | None:
    """Write a position as a text to hand back."""
    if position is None:
        return None
    raw = json.dumps([position.at.isoformat(), str(position.id), position.back])
    return base64.urlsafe_b64encode(raw.encode()).decode()


def page_body(page: Page[Any], form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Give a page as it is answered."""
    return {
        "results": form(page.items, many=True).data,
        "next": cursor_of(page.next),
        "previous": cursor_of(page.previous),
    }


def whole_body(items: Iterable[Any], form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Give a list that is always short as its one and only page."""
    return page_body(Page(items=tuple(items)), form)


def numbered(name: str, item: Any) -> Any:
    """Describe a part of a numbered list."""
    return inline_serializer(
        f"{name}List",
        {
            "results": item(many=True),
            "next_after": serializers.CharField(
                allow_null=True, help_text="Give it as `after` for more; null: no more now"
            ),
        },
    )


def numbered_body(items: list[Any], form: Any, limit: int, mark: str) -> dict[str, Any]:
    """Give a part of a numbered list as it is answered."""
    return {
        "results": form(items, many=True).data,
        "next_after": mark if len(items) == limit else None,
    }
