"""Bytes of an agent's making, as an answer that no browser takes for a page of ours."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse
from django.utils.http import content_disposition_header

HARMLESS: Final = frozenset(
    {
        *("application/json", "application/pdf", "application/zip", "application/gzip"),
        *("image/png", "image/jpeg", "image/gif", "image/webp", "audio/mpeg", "video/mp4"),
        *("text/plain", "text/csv", "text/markdown"),
    }
)
"""What is told to be what it says. Anything else is bytes: markup and scripts would be run."""

UNKNOWN: Final = "application/octet-stream"


def downloaded(data: bytes, *, name: str, media_type: str, digest: str) -> HttpResponse:
    """Answer with bytes to be saved, not shown."""
    told = media_type if media_type in HARMLESS else UNKNOWN
    answer = HttpResponse(data, content_type=told)
    shown = content_disposition_header(as_attachment=True, filename=name.rpartition("/")[2])
    answer["Content-Disposition"] = shown or "attachment"
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "private, no-store"
    answer["ETag"] = f'"{digest}"'
    return answer
