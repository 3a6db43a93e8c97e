"""The audit log: who did what, written in the transaction that did it. Append-only."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from policy.models.base import TenantRow


class AuditEvent(TenantRow):
    """One fact. The database refuses to change or remove it."""

    # Not checked again at every insert: row-level security has compared the tenant already,
    # and the check would lock the tenant's row for each of thousands of records a second.
    tenant = models.ForeignKey(
        "policy.Tenant",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=100)
    subject = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)

    class Meta(TenantRow.Meta):
        indexes = [models.Index(fields=["tenant", "subject"], name="audit_by_subject")]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
