"""A probe of the storage of artifacts: is it there, may it be written to, is it everybody's?"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from runs.artifacts.keeping import Storage, put, reached
from runs.errors import ArtifactsAway

PREFIX: Final = "probe-"
PROBE: Final = "artifact_probe"
"""What a worker is asked by this name: whether it reads a probe, too."""


@contextmanager
def probed(storage: Storage) -> Iterator[str]:
    """Let a few bytes lie in a storage meanwhile, read back once; give their name.

    Afterwards they are gone.

    Raises:
        ArtifactsAway: they cannot be written, read or removed, or come back as others.
    """
    key = f"{PREFIX}{secrets.token_hex(16)}"
    put(storage, key, key.encode())
    try:
        if why := unlike(storage, key):
            raise ArtifactsAway(f"the storage of artifacts does not keep what it is given: {why}")
        yield key
    finally:
        with reached():
            storage.delete(key)


def unseen(storage: Callable[[], Storage], key: str) -> str:
    """Say as `unlike` why a probe is not to be read, of a storage that may not even be made."""
    try:
        found = storage()
    except Exception as error:  # noqa: BLE001 - a storage may raise anything
        return f"its storage cannot be made ({type(error).__name__}: {error})"[:500]
    return unlike(found, key)


def unlike(storage: Storage, key: str) -> str:
    """Say why a probe of this name is not to be read; nothing where it is as it was written."""
    if not key.startswith(PREFIX) or "/" in key:
        return "it is no probe"
    try:
        with storage.open(key) as stored:
            data: bytes = stored.read()
    except FileNotFoundError:
        return "it is not there"
    except Exception as error:  # noqa: BLE001 - a storage may raise anything
        return f"it cannot be read ({type(error).__name__})"
    return "" if data == key.encode() else "it is not what was written"
