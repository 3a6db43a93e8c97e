"""Say what is known of a remote tool, which its server is not believed about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction

from policy import tenancy
from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.core.json import JsonObject
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass, Risk
from policy.errors import InvalidRetry
from tools import catalogue, registry
from tools.errors import InvalidTool, UnknownTool
from tools.models import RemoteTool
from tools.registry import checked_measures, checked_price, checked_timeout


def declare(  # noqa: PLR0913 - a declaration, read by keyword
    name: str,
    *,
    effect: EffectClass | str | None = None,
    risk: Risk | str | None = None,
    timeout: float | None = None,
    egress: bool | None = None,
    targets: Sequence[str] | None = None,
    trusted: bool | None = None,
    reversible: bool | None = None,
    enabled: bool | None = None,
    reconcile: str | None = None,
    compensate: str | None = None,
    measures: Mapping[str, str] | None = None,
    retry: Mapping[str, Any] | None = None,
    price: Decimal | str | None = None,
    by: Actor = SYSTEM,
) -> None:
    """Change what counts for a remote tool of the scope's tenant; leave out what stays.

    `reconcile` names the read tool of the same server that says whether a call happened;
    empty for none; `compensate` any tool that undoes a call. `measures` names the arguments
    that say how much (`tools.core.spec`). `retry` is read by `RetryPolicy.of`; empty for none.
    `price` is what a call costs in US dollars.

    Raises:
        UnknownTool: the tenant has no remote tool of that name.
        InvalidTool: a value is none of those known; nothing was changed.
    """
    tenant_id = tenancy.required("RemoteTool")
    changes = _changes(name, effect, risk, timeout)
    flags = {
        "egress": egress,
        "targets": None if targets is None else list(targets),
        "trusted": trusted,
        "reversible": reversible,
        "enabled": enabled,
        "price": None if price is None else checked_price(name, price),
    }
    changes |= {key: value for key, value in flags.items() if value is not None}
    with transaction.atomic():
        row = RemoteTool.objects.filter(name=name).first()
        if row is None:
            raise UnknownTool(name)
        if reconcile is not None:
            changes["reconcile"] = _reconciling(row, reconcile)
        if compensate is not None:
            changes["compensate"] = _compensating(row, compensate)
        if measures is not None:
            changes["measures"] = checked_measures(name, measures, row.input_schema)
        if retry is not None:
            changes["retry"] = _retried(name, retry)
        if changes:
            RemoteTool.objects.filter(pk=row.pk).update(**changes)
            record(by, "tool.declare", f"tool/{name}", _told(changes))
    catalogue.forget(tenant_id)


def _told(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give changes as JSON: a price as text, exactly, however many zeros it came with."""
    return {
        name: f"{value.normalize():f}" if isinstance(value, Decimal) else value
        for name, value in changes.items()
    }


def _reconciling(row: RemoteTool, named: str) -> str:
    if named and not RemoteTool.objects.filter(
        name=named, server_id=row.server_id, effect=EffectClass.READ, enabled=True
    ).exclude(pk=row.pk):
        raise InvalidTool(
            f"tool {row.name}: {named!r} must be another tool of its server, declared `read` first"
        )
    return named


def _compensating(row: RemoteTool, named: str) -> str:
    if named and named not in registry.local() and not RemoteTool.objects.filter(name=named):
        raise InvalidTool(f"tool {row.name}: there is no tool {named!r} to undo it with")
    return named


def _retried(name: str, raw: Mapping[str, Any]) -> JsonObject | None:
    try:
        return RetryPolicy.of(raw).to_json() if raw else None
    except InvalidRetry as error:
        raise InvalidTool(f"tool {name}: its retry: {error}") from error


def _changes(
    name: str, effect: str | None, risk: str | None, timeout: float | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    try:
        if effect is not None:
            changes["effect"] = EffectClass(effect).value
        if risk is not None:
            changes["risk"] = Risk(risk).value
    except ValueError as error:
        raise InvalidTool(f"tool {name}: {error}") from error
    if timeout is not None:
        changes["timeout_seconds"] = checked_timeout(name, timeout)
    return changes
