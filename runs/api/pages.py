"""How the API's description names what its views take and give."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

PREFER: Final = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`wait=N`: wait up to N seconds (at most 30) for the run to come to rest.",
)
METADATA: Final = OpenApiParameter(
    "metadata",
    {"type": "object", "additionalProperties": {"type": "string"}},
    OpenApiParameter.QUERY,
    description="`metadata.NAME=VALUE`: runs whose metadata say so.",
)


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
