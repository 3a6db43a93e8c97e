"""Who does something: a person, a service with a key, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody who acts. As text, what the audit log calls them: `user:ann`, `service:shop`.

    The engine's own workers are `worker:HOST:PID` there, and are nobody's `Actor`.
    """

    principal_id: str
    name: str
    kind: Literal["user", "service", "system"]
    roles: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Name whoever it is, the same for each of their keys and sessions."""
        return self.principal_id or str(self)

    @property
    def sees_content(self) -> bool:
        """Say whether they see what calls hold; viewers see that they are there."""
        return bool(set(self.roles) - {"viewer"})

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SYSTEM = Actor(principal_id="", name="system", kind="system", roles=("admin",))


def command(name: str) -> Actor:
    """Give whoever sits at the installation's command line: `system:manage.py NAME`."""
    return Actor(principal_id="", name=f"manage.py {name}", kind="system", roles=("admin",))
