"""How the API's description names headers and parameters of runs."""

from __future__ import annotations

from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

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
