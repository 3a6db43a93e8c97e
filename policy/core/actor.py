"""Who does something: a person, a service with a key, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody who acts, as the audit log names them."""

    principal_id: str
    name: str
    kind: Literal["user", "service", "system"]
    roles: tuple[str, ...] = ()


SYSTEM = Actor(principal_id="", name="system", kind="system", roles=("admin",))
