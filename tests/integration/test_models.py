"""Endpoints and models as rows: prices, secrets, routes, and the wall between tenants."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from gateway import routes
from gateway.errors import InvalidEndpoint, InvalidModel, PriceUnknown, UnknownModel
from gateway.models import Model, ModelEndpoint
from gateway.operations.add_endpoint import add_endpoint
from gateway.operations.add_model import add_model
from policy import tenancy
from policy.models import AuditEvent

URL = "http://127.0.0.1:9/v1"


def test_a_model_leads_to_its_endpoint_and_its_key_stays_apart(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        add_endpoint("local", provider="openai", base_url=f"{URL}/", api_key="sk-secret")
        add_model("fast", endpoint="local", model_id="gpt-4o")

        route, credential = routes.route("fast"), routes.credential("fast")
        assert (route.base_url, route.model_id, route.provider) == (URL, "gpt-4o", "openai")
        assert credential.api_key.reveal() == "sk-secret"
        assert b"sk-secret" not in bytes(ModelEndpoint.objects.get().secret)
        shown = repr((route, credential, list(AuditEvent.objects.values_list("detail"))))
        assert "sk-secret" not in shown


def test_a_published_price_counts_where_none_is_given(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        add_endpoint("local", provider="openai", base_url=URL)
        add_model("fast", endpoint="local", model_id="gpt-4o")
        assert routes.route("fast").price.input_per_million > 0
        assert routes.route("fast").price.version.startswith("genai-prices")

        add_model(
            "fast",
            endpoint="local",
            model_id="gpt-4o",
            input_per_million=Decimal("0.5"),
            output_per_million=Decimal(2),
        )
        assert routes.route("fast").price.input_per_million == Decimal("0.5")
        assert Model.objects.count() == 1


def test_a_model_of_unknown_price_is_not_stored(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        add_endpoint("local", provider="openai", base_url=URL)
        with pytest.raises(PriceUnknown, match="input_per_million"):
            add_model("mine", endpoint="local", model_id="nobody-knows-me")

        with pytest.raises(UnknownModel):
            routes.route("mine")


def test_a_scripted_model_costs_nothing(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        add_endpoint("script", provider="scripted")
        add_model("fast", endpoint="script", model_id="demo")

        assert routes.route("fast").price.input_per_million == 0


def test_what_cannot_be_used_is_refused(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        for url in ("ftp://x", "http://", "http://key@x/v1", "http://x/v1?key=1", "x"):
            with pytest.raises(InvalidEndpoint):
                add_endpoint("local", provider="openai", base_url=url)
        with pytest.raises(InvalidEndpoint):
            add_endpoint("local", provider="smoke")  # type: ignore[arg-type]
        with pytest.raises(InvalidModel):
            add_model("fast", endpoint="nowhere", model_id="gpt-4o")
        add_endpoint("local", provider="openai")
        for price in (Decimal(-1), Decimal("NaN"), Decimal(10**9)):
            with pytest.raises(InvalidModel):
                add_model(
                    "fast",
                    endpoint="local",
                    model_id="x",
                    input_per_million=price,
                    output_per_million=price,
                )


def test_another_tenant_has_models_of_its_own(tenant: UUID, other_tenant: UUID) -> None:
    with tenancy.scope(tenant):
        add_endpoint("script", provider="scripted")
        add_model("fast", endpoint="script", model_id="demo")
        routes.route("fast")

    with tenancy.scope(other_tenant), pytest.raises(UnknownModel):
        routes.route("fast")
