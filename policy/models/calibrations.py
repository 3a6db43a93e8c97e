"""What was learnt from decided calls, and what it missed. The newest of a kind counts."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from policy.models.base import TenantRow


class Calibration(TenantRow):
    """What was learnt of one agent's calls of one tool. Append-only."""

    id = models.UUIDField(primary_key=True)
    agent = models.CharField(max_length=200)
    tool = models.CharField(max_length=200)
    kind = models.CharField(
        max_length=20, choices=[("confidence", "confidence"), ("unusual", "unusual")]
    )
    learnt = models.JSONField()
    misses = models.JSONField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantRow.Meta):
        indexes = [
            models.Index(fields=["tenant", "agent", "tool", "kind"], name="calibration_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.tool} by {self.agent}"
