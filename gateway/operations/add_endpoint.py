"""Add a server of models, or replace one by its name."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from gateway import routes
from gateway.errors import InvalidEndpoint
from gateway.models import ModelEndpoint, Provider
from policy import secrets, tenancy, urls
from policy.audit import record
from policy.core.actor import SYSTEM, Actor

LONGEST_NAME: Final = 100


def add_endpoint(
    name: str,
    *,
    provider: Literal["openai", "scripted"],
    base_url: str = "",
    api_key: str = "",
    timeout: float = 120.0,
    by: Actor = SYSTEM,
) -> UUID:
    """Add an endpoint to the scope's tenant, or change the one of that name; give its id.

    The key is stored encrypted and shown to nobody again. An OpenAI-compatible endpoint
    without a URL is OpenAI's own.

    Raises:
        InvalidEndpoint: the name, the URL or the timeout cannot be used; nothing was stored.
    """
    tenant_id = tenancy.required("ModelEndpoint")
    values = {
        "provider": _provider(provider),
        "base_url": _url(base_url),
        "secret": secrets.encrypt(tenant_id, api_key) if api_key else b"",
        "timeout_seconds": timeout,
    }
    if not name or len(name) > LONGEST_NAME or timeout <= 0:
        raise InvalidEndpoint(f"a name has 1 to {LONGEST_NAME} characters, a timeout is above 0")
    with transaction.atomic():
        endpoint, _ = ModelEndpoint.objects.update_or_create(
            name=name, defaults=values, create_defaults={**values, "id": uuid7()}
        )
        record(
            by,
            "model_endpoint.save",
            f"model_endpoint/{endpoint.id}",
            {
                "name": name,
                "provider": provider,
                "base_url": endpoint.base_url,
                "key": bool(api_key),
            },
        )
    routes.forget(tenant_id)
    return endpoint.id


def _provider(name: str) -> str:
    try:
        return Provider(name).value
    except ValueError:
        known = ", ".join(Provider.values)
        raise InvalidEndpoint(f"{name!r} is no provider; these are: {known}") from None


def _url(base_url: str) -> str:
    try:
        return urls.checked(base_url) if base_url else ""
    except ValueError as error:
        raise InvalidEndpoint(str(error)) from error
