"""Add a model under a tenant's own name, or replace one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from gateway import routes
from gateway.core.pricing import Price
from gateway.errors import InvalidModel, PriceUnknown
from gateway.models import Model, ModelEndpoint, Provider
from policy import tenancy
from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.core.json import JsonObject
from policy.core.retry import RetryPolicy
from policy.errors import InvalidRetry

LONGEST_NAME: Final = 100
LONGEST_MODEL_ID: Final = 200
MOST_TOKENS: Final = 10_000_000
DEAREST: Final = Decimal(1_000_000)
SAMPLE: Final = 1000


def add_model(  # noqa: PLR0913 - a row's fields, all named
    name: str,
    *,
    endpoint: str,
    model_id: str,
    max_tokens: int = 4096,
    input_per_million: Decimal | None = None,
    output_per_million: Decimal | None = None,
    retry: Mapping[str, Any] | None = None,
    by: Actor = SYSTEM,
) -> UUID:
    """Add a model to the scope's tenant, or change the one of that name; give its id.

    `endpoint` is an endpoint's name. Prices are US dollars for a million tokens; without
    them the published price of `model_id` counts, and a scripted model costs nothing.
    `retry` is how patiently it is asked again (`RetryPolicy.of`), whatever a node says.

    Raises:
        InvalidModel: a value cannot be used, or there is no such endpoint.
        PriceUnknown: no price was given and none is known; nothing was stored.
    """
    tenant_id = tenancy.required("Model")
    _check(name, model_id, max_tokens)
    row = ModelEndpoint.objects.filter(name=endpoint).first()
    if row is None:
        raise InvalidModel(f"there is no endpoint named {endpoint!r}")
    price = _price(row, model_id, input_per_million, output_per_million)
    values = {
        "endpoint": row,
        "model_id": model_id,
        "max_tokens": max_tokens,
        "price_version": price.version,
        "input_per_million": price.input_per_million,
        "output_per_million": price.output_per_million,
        "retry": _retried(retry),
    }
    with transaction.atomic():
        model, _ = Model.objects.update_or_create(
            name=name, defaults=values, create_defaults={**values, "id": uuid7()}
        )
        record(
            by,
            "model.save",
            f"model/{model.id}",
            {"name": name, "endpoint": endpoint, "model": model_id, "price": price.version},
        )
    routes.forget(tenant_id)
    return model.id


def _retried(raw: Mapping[str, Any] | None) -> JsonObject | None:
    try:
        return RetryPolicy.of(raw).to_json() if raw else None
    except InvalidRetry as error:
        raise InvalidModel(f"retry: {error}") from error


def _check(name: str, model_id: str, max_tokens: int) -> None:
    if not name or len(name) > LONGEST_NAME:
        raise InvalidModel(f"a model's name has 1 to {LONGEST_NAME} characters")
    if not model_id or len(model_id) > LONGEST_MODEL_ID:
        raise InvalidModel(f"the vendor's name of a model has 1 to {LONGEST_MODEL_ID} characters")
    if not 0 < max_tokens <= MOST_TOKENS:
        raise InvalidModel(f"max_tokens is a number from 1 to {MOST_TOKENS}")


def _price(
    endpoint: ModelEndpoint, model_id: str, read: Decimal | None, written: Decimal | None
) -> Price:
    if (read is None) != (written is None):
        raise InvalidModel("give the price of input and of output, or neither")
    if read is None or written is None:
        return _published(endpoint, model_id)
    for amount in (read, written):
        if not (amount.is_finite() and 0 <= amount <= DEAREST):
            raise InvalidModel(f"a price is a number from 0 to {DEAREST}")
    read, written = (amount.quantize(Decimal("0.000001")) for amount in (read, written))
    version = f"set {read:f}/{written:f}"
    return Price(version=version, input_per_million=read, output_per_million=written)


def _published(endpoint: ModelEndpoint, model_id: str) -> Price:
    if endpoint.provider == Provider.SCRIPTED:
        nothing = Decimal(0)
        return Price(version="scripted", input_per_million=nothing, output_per_million=nothing)
    import genai_prices  # noqa: PLC0415 - 25 MiB, used here only

    sample = genai_prices.Usage(input_tokens=SAMPLE, output_tokens=SAMPLE)
    try:
        found = genai_prices.calc_price(sample, model_id)
    except LookupError:
        raise PriceUnknown(model_id) from None
    million = Decimal(1_000_000) / SAMPLE
    return Price(
        version=f"genai-prices {genai_prices.__version__}",
        input_per_million=found.input_price * million,
        output_per_million=found.output_price * million,
    )
