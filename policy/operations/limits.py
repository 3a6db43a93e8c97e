"""Set, change and remove the rate limits of a tenant. Workers follow within two seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.core.limits import DIMENSIONS, LimitUnit
from policy.errors import InvalidLimit, LimitChanged, UnknownLimit
from policy.models import RateLimit

LONGEST_SECONDS: Final = 31 * 24 * 3600.0
MOST_AMOUNT: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit:
    """A limit as somebody wants it: `amount` of `unit` per `seconds`, `burst` of it at once.

    Of calls in flight it is `amount` at once; `seconds` says nothing then.
    """

    name: str
    unit: str
    amount: int
    seconds: float = 60.0
    burst: int | None = None
    per: list[str] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)
    enabled: bool = True


def add_limit(wanted: SetLimit, *, by: Actor) -> UUID:
    """Set a new limit in the scope's tenant.

    Raises:
        InvalidLimit: it makes no sense, or its name is taken; nothing was stored.
    """
    values = _checked(wanted)
    try:
        with transaction.atomic():
            row = RateLimit.objects.create(id=uuid7(), **values)
    except IntegrityError:
        raise InvalidLimit(f"there is a limit named {wanted.name!r} already", "/name") from None
    record(by, "limit.set", f"limit/{row.id}", values)
    return row.id


def change_limit(limit_id: UUID, wanted: SetLimit, *, version: int, by: Actor) -> None:
    """Change a limit that is still what the caller saw.

    Raises:
        UnknownLimit, LimitChanged, InvalidLimit: nothing was changed.
    """
    values = _checked(wanted)
    _locked(limit_id, version)
    try:
        with transaction.atomic():
            RateLimit.objects.filter(pk=limit_id).update(version=version + 1, **values)
    except IntegrityError:
        raise InvalidLimit(f"there is a limit named {wanted.name!r} already", "/name") from None
    record(by, "limit.set", f"limit/{limit_id}", values)


def remove_limit(limit_id: UUID, *, version: int, by: Actor) -> None:
    """Remove a limit that is still what the caller saw.

    Raises:
        UnknownLimit, LimitChanged: nothing was changed.
    """
    row = _locked(limit_id, version)
    record(by, "limit.removed", f"limit/{limit_id}", {"name": row.name})
    row.delete()


def _locked(limit_id: UUID, version: int) -> RateLimit:
    row = RateLimit.objects.select_for_update().filter(pk=limit_id).first()
    if row is None:
        raise UnknownLimit(f"there is no limit {limit_id}")
    if row.version != version:
        raise LimitChanged("somebody changed this limit; read it again")
    return row


def _checked(wanted: SetLimit) -> dict[str, Any]:
    faults = [
        ("/name", not wanted.name.strip(), "give it a name"),
        ("/unit", wanted.unit not in list(LimitUnit), "count calls, tokens, or calls in_flight"),
        ("/amount", not 0 < wanted.amount <= MOST_AMOUNT, "give a positive number"),
        ("/seconds", not _is_span(wanted.seconds), "give seconds between 0.001 and 31 days"),
        (
            "/burst",
            wanted.burst is not None and not 0 < wanted.burst <= MOST_AMOUNT,
            "give a positive number, or leave it out",
        ),
        (
            "/burst",
            wanted.burst is not None and wanted.unit == LimitUnit.IN_FLIGHT,
            "leave it out: `amount` calls may be in flight at once",
        ),
        ("/per", bool(set(wanted.per) - set(DIMENSIONS)), f"choose from {', '.join(DIMENSIONS)}"),
        ("/per", len(set(wanted.per)) < len(wanted.per), "name each once"),
        ("/where", bool(set(wanted.where) - set(DIMENSIONS)), f"name {', '.join(DIMENSIONS)} only"),
    ]
    for pointer, is_wrong, cure in faults:
        if is_wrong:
            raise InvalidLimit(cure, pointer)
    return {
        "name": wanted.name.strip(),
        "unit": wanted.unit,
        "amount": wanted.amount,
        "seconds": wanted.seconds,
        "burst": wanted.burst,
        "per": list(wanted.per),
        "where": dict(wanted.where),
        "enabled": wanted.enabled,
    }


def _is_span(seconds: float) -> bool:
    return math.isfinite(seconds) and 0.001 <= seconds <= LONGEST_SECONDS  # noqa: PLR2004
