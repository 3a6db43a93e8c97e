"""From a tenant's own name for a model to the endpoint that serves it."""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

from gateway.core.pricing import Price
from gateway.core.route import Route
from gateway.errors import UnknownModel
from gateway.models import Model, ModelEndpoint
from gateway.providers import provider
from gateway.providers.base import Credential
from policy import secrets, tenancy
from policy.core.retry import RetryPolicy
from policy.secrets import Secret

LIFE: Final = 2.0
"""Seconds for which a process may go on with what it read."""

_routes: dict[tuple[UUID, str], tuple[float, Route, bytes]] = {}


def route(name: str) -> Route:
    """Say where a model of the open scope's tenant is.

    Costs a query at most every `LIFE` seconds for each model.

    Raises:
        UnknownModel: the tenant has no model of that name.
        NoTenantScope: no scope is open.
    """
    return _read(name)[1]


def credential(name: str) -> Credential:
    """Give what the endpoint of a model wants to see. Never log, store or return it.

    Raises:
        UnknownModel: the tenant has no model of that name.
        SecretUnreadable: it was stored under another SECRET_KEY.
        NoTenantScope: no scope is open.
    """
    _, _, secret = _read(name)
    if not secret:
        return Credential()
    return Credential(Secret(secrets.decrypt(_tenant(), secret)))


def forget(tenant_id: UUID) -> None:
    """Read a tenant's models anew at the next question, in this process."""
    for key in [key for key in _routes if key[0] == tenant_id]:
        _routes.pop(key, None)


def _tenant() -> UUID:
    return tenancy.required("Model")


def _read(name: str) -> tuple[float, Route, bytes]:
    key = (_tenant(), name)
    known = _routes.get(key)
    if known is None or known[0] < time.monotonic():
        row = Model.objects.select_related("endpoint").filter(name=name).first()
        if row is None:
            raise UnknownModel(name)
        provider(row.endpoint.provider)  # its heavy imports happen here, not on the I/O loop
        known = (time.monotonic() + LIFE, _route(row, row.endpoint), bytes(row.endpoint.secret))
        _routes[key] = known
    return known


def _route(row: Model, endpoint: ModelEndpoint) -> Route:
    return Route(
        name=row.name,
        provider=endpoint.provider,
        model_id=row.model_id,
        base_url=endpoint.base_url,
        price=Price(
            version=row.price_version,
            input_per_million=row.input_per_million,
            output_per_million=row.output_per_million,
        ),
        timeout=endpoint.timeout_seconds,
        max_tokens=row.max_tokens,
        endpoint_id=str(endpoint.id),
        retry=None if row.retry is None else RetryPolicy.of(row.retry),
    )
