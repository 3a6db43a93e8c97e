"""Breakers as people see them: each dependency of the tenant, how it stands, who holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from django.conf import settings

from gateway.models import ModelEndpoint
from policy import tenancy
from policy.gates.breakers import Breakers
from policy.gates.shared import shared
from policy.models import BreakerSwitch
from runs.errors import UnknownBreaker
from tools import registry
from tools.models import ToolServer


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerView:
    """One breaker. `retry_after` is in seconds, None while it is not open of itself."""

    dependency: str
    known_as: str
    state: str
    failures: int
    retry_after: float | None
    held: str
    reason: str
    held_by: str
    held_since: datetime | None


def breakers() -> list[BreakerView]:
    """List the dependencies of the scope's tenant, those that are not well first.

    Raises:
        NoTenantScope: no scope is open.
    """
    labels = _labels()
    held = {row.dependency: row for row in BreakerSwitch.objects.all()}
    every = [_view(name, labels.get(name, name), held.get(name)) for name in {**labels, **held}]
    return sorted(every, key=lambda b: (b.state == "closed" and not b.held, b.known_as))


def known_breaker(dependency: str) -> BreakerView:
    """Read one.

    Raises:
        UnknownBreaker: the tenant has no such dependency.
    """
    labels = _labels()
    row = BreakerSwitch.objects.filter(dependency=dependency).first()
    if dependency not in labels and row is None:
        raise UnknownBreaker(f"nothing of this tenant is called {dependency}")
    return _view(dependency, labels.get(dependency, dependency), row)


def _labels() -> dict[str, str]:
    labels = {f"endpoint/{row.id}": f"model endpoint {row.name}" for row in _endpoints()}
    labels |= {f"server/{row.id}": f"tool server {row.name}" for row in ToolServer.objects.all()}
    return labels | {f"tool/{name}": f"tool {name}" for name in registry.local()}


def _endpoints() -> list[ModelEndpoint]:
    return list(ModelEndpoint.objects.order_by("name"))


@cache
def _breakers() -> Breakers:
    return Breakers(shared(), failures=settings.BREAKER_FAILURES, seconds=settings.BREAKER_SECONDS)


def _view(dependency: str, label: str, row: BreakerSwitch | None) -> BreakerView:
    tenant_id = tenancy.required("BreakerSwitch")
    seen = _breakers().of(str(tenant_id), dependency).seen()
    left = settings.BREAKER_SECONDS - seen.open_for
    return BreakerView(
        dependency=dependency,
        known_as=label,
        state=seen.state.replace("-", "_"),
        failures=seen.failures,
        retry_after=max(left, 0.0) if seen.state == "open" else None,
        held=row.position if row else "",
        reason=row.reason if row else "",
        held_by=row.switched_by if row else "",
        held_since=row.switched_at if row else None,
    )
