"""Random secrets of one state folder, made once and readable by its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final

BYTES: Final = 24


def secret(state: Path, name: str) -> str:
    """Return the secret of this name; the same one for as long as the state folder lives."""
    path = state / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if name not in known:
        known[name] = secrets.token_urlsafe(BYTES)
        write_private(path, json.dumps(known, indent=1) + "\n")
    return known[name]


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step by one that only its owner can read, and that is on disk."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
