"""The rows of tools: remote servers, and the tools they were found to have."""

from __future__ import annotations

from django.db import models

from policy.core.rules.decide import EffectClass, Risk
from policy.models.base import TenantRow


class ToolServer(TenantRow):
    """A remote server that speaks MCP over streamable HTTP. Its token is stored encrypted."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    secret = models.BinaryField(default=b"", editable=False)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="tool_server_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class RemoteTool(TenantRow):
    """A tool of a server. What the server says of itself is a hint; the class here counts."""

    id = models.UUIDField(primary_key=True)
    server = models.ForeignKey(ToolServer, on_delete=models.PROTECT, related_name="tools")
    name = models.CharField(max_length=200)
    remote_name = models.CharField(max_length=200)
    version = models.CharField(max_length=64, help_text="Digest of what the server declares.")
    description = models.TextField(blank=True)
    input_schema = models.JSONField()
    output_schema = models.JSONField(null=True, blank=True)
    effect = models.CharField(
        max_length=20,
        choices=[(e.value, e.value) for e in EffectClass],
        default=EffectClass.ONCE.value,
    )
    risk = models.CharField(
        max_length=20, choices=[(r.value, r.value) for r in Risk], default=Risk.MEDIUM.value
    )
    egress = models.BooleanField(
        default=True, help_text="It sends data out. Assumed until somebody declares otherwise."
    )
    targets = models.JSONField(
        null=True,
        blank=True,
        help_text="Arguments that decide where or to whom; null: as their names suggest.",
    )
    trusted = models.BooleanField(
        default=False, help_text="No stranger writes what it gives: a trusted source of values."
    )
    reversible = models.BooleanField(null=True, help_text="What it did can be undone.")
    timeout_seconds = models.FloatField(default=30)
    reconcile = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The read tool of this server that says whether a call of it happened.",
    )
    compensate = models.CharField(
        max_length=200, blank=True, default="", help_text="The tool that undoes a call of it."
    )
    measures = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        help_text="Arguments that say how much: money, people, confidence.",
    )
    retry = models.JSONField(
        null=True, blank=True, help_text="How patiently it is tried again; null: as the node says."
    )
    price = models.DecimalField(
        max_digits=20,
        decimal_places=9,
        default=0,
        db_default=0,
        help_text="What a call costs, in US dollars.",
    )
    enabled = models.BooleanField(default=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="remote_tool_name_once"),
            models.CheckConstraint(
                name="remote_tool_price_is_not_negative", condition=models.Q(price__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return self.name
