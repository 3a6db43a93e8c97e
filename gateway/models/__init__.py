"""The rows of the gateway: endpoints with their secrets, models, prices."""

from __future__ import annotations

from django.db import models

from policy.models.base import TenantRow


class Provider(models.TextChoices):
    """Which protocol an endpoint speaks."""

    OPENAI = "openai", "OpenAI-compatible"
    SCRIPTED = "scripted", "Scripted (no network; demo and tests)"


class ModelEndpoint(TenantRow):
    """A server that serves models, and the key it wants. The key is stored encrypted."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=100)
    provider = models.CharField(max_length=20, choices=Provider.choices)
    base_url = models.CharField(max_length=500, blank=True)
    secret = models.BinaryField(default=b"", editable=False)
    timeout_seconds = models.FloatField(default=120)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="endpoint_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Model(TenantRow):
    """A model under the tenant's own name for it, e.g. `fast`, with the price it is billed at."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=100)
    endpoint = models.ForeignKey(ModelEndpoint, on_delete=models.PROTECT, related_name="models")
    model_id = models.CharField(max_length=200, help_text="The vendor's name for it.")
    max_tokens = models.PositiveIntegerField(default=4096)
    price_version = models.CharField(max_length=60)
    input_per_million = models.DecimalField(max_digits=14, decimal_places=6)
    output_per_million = models.DecimalField(max_digits=14, decimal_places=6)
    retry = models.JSONField(
        null=True, blank=True, help_text="How patiently it is asked again; null: as the node says."
    )

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="model_name_once"),
        ]

    def __str__(self) -> str:
        return self.name
