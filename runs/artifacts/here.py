"""The artifacts of this installation."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.core.files.storage import storages

from runs.artifacts.keeping import Artifacts, Storage


def _storage() -> Storage:
    found: Storage = storages["artifacts"]
    return found


def place() -> str:
    """Name where they lie, for operators: a directory, or the kind of storage."""
    configured = settings.STORAGES["artifacts"]
    return str(configured["OPTIONS"].get("location") or configured["BACKEND"])


@lru_cache(maxsize=1)
def kept_here() -> Artifacts:
    """Give them, over `STORAGES["artifacts"]` of the settings."""
    return Artifacts(_storage, settings.MAX_FILE_BYTES)
