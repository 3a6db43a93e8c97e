"""Give a tenant a model: `manage.py model add fast --tenant acme --model-id gpt-5-mini ...`."""

from __future__ import annotations

import json
import os
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.errors import GatewayError
from gateway.models import Model
from gateway.operations.add_endpoint import add_endpoint
from gateway.operations.add_model import add_model
from policy import tenancy
from policy.core.actor import command
from policy.management.tenants import named_tenant

OPERATOR = command("model")


def price(text: str) -> Decimal:
    """Read an amount of US dollars.

    Raises:
        ValueError: it is no number.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None


class Command(BaseCommand):
    """`manage.py model add NAME` and `manage.py model list`."""

    help = "Add a model of an OpenAI-compatible endpoint to a tenant, or list its models."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs. The endpoint's key is read from the environment, not typed."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="add a model, or change the one of that name")
        add.add_argument("name", help="the tenant's own name for it, e.g. fast")
        add.add_argument("--tenant", required=True, help="the tenant's slug")
        add.add_argument("--model-id", required=True, help="the vendor's name for it")
        add.add_argument("--base-url", default="", help="without one: OpenAI's own")
        add.add_argument("--endpoint", default="", help="name of the endpoint (default: NAME)")
        add.add_argument("--key-from", default="OPENAI_API_KEY", metavar="VARIABLE")
        add.add_argument("--input-price", type=price, help="US dollars for a million tokens")
        add.add_argument("--output-price", type=price, help="US dollars for a million tokens")
        add.add_argument(
            "--retry", type=json.loads, metavar="JSON", help='{"max_attempts": 6, "base": 2, ...}'
        )
        listed = verbs.add_parser("list", help="list a tenant's models")
        listed.add_argument("--tenant", required=True, help="the tenant's slug")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what the verb says, in the tenant's scope.

        Raises:
            CommandError: no such tenant, no key, or a model that cannot be used.
        """
        tenant = named_tenant(options["tenant"])
        with tenancy.scope(tenant.id):
            if options["verb"] == "list":
                self._list()
            else:
                self._add(options)

    def _list(self) -> None:
        for model in Model.objects.select_related("endpoint").order_by("name"):
            self.stdout.write(f"{model.name}  {model.model_id}  {model.endpoint.name}")

    def _add(self, options: dict[str, Any]) -> None:
        key = os.environ.get(options["key_from"], "")
        if not key:
            raise CommandError(f"put the endpoint's key into {options['key_from']} first")
        endpoint = options["endpoint"] or options["name"]
        try:
            add_endpoint(
                endpoint, provider="openai", base_url=options["base_url"], api_key=key, by=OPERATOR
            )
            add_model(
                options["name"],
                endpoint=endpoint,
                model_id=options["model_id"],
                input_per_million=options["input_price"],
                output_per_million=options["output_price"],
                retry=options["retry"],
                by=OPERATOR,
            )
        except GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"model {options['name']} of tenant {options['tenant']} is ready")
