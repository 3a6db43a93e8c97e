"""A notice as it goes out, and what came of one attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from policy.core.json import JsonObject
from policy.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, the same at every attempt: `id` is what its receiver knows it by."""

    id: str
    event: str
    body: bytes
    url: str = ""
    addresses: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = field(default=(), repr=False)

    @property
    def data(self) -> Mapping[str, Any]:
        """Give what it tells."""
        told: Mapping[str, Any] = orjson.loads(self.body)["data"]
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one attempt. `is_gone`: the receiver wants no more of them, ever."""

    sent: bool
    status: int | None = None
    error: str = ""
    is_gone: bool = False


def written(body: JsonObject, *, base: str) -> bytes:
    """Write a notice's body, with the link to the page on which somebody decides."""
    data: Mapping[str, Any] = body["data"]
    approval, budget = data.get("approval"), data.get("budget")
    page = f"budgets/{budget}" if approval is None else f"approvals/{approval}"
    link = f"{base.rstrip('/')}/admin/{page}/"
    return orjson.dumps({**body, "data": {**data, "link": link}}, option=orjson.OPT_SORT_KEYS)
