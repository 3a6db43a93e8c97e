"""What artifacts a tenant has, and what they come to: counted, so that a quota can be kept to.

The bytes lie in a storage apart (`runs.artifacts`). Rows are written by the SQL functions of
`runs/sql/9_artifacts.sql` only.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from policy.models.base import TenantRow


class Artifact(TenantRow):
    """Bytes that are kept, or about to be. `saved_at` is when they were last to be."""

    pk = models.CompositePrimaryKey("tenant_id", "digest")
    digest = models.CharField(max_length=64)
    size = models.BigIntegerField()
    saved_at = models.DateTimeField(db_default=Now())

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(name="artifact_size_is_no_debt", condition=Q(size__gte=0))
        ]


class ArtifactUse(TenantRow):
    """What the sizes of a tenant's artifacts come to. Its lock makes new ones come in turn."""

    tenant = models.OneToOneField(
        "policy.Tenant", on_delete=models.PROTECT, related_name="+", primary_key=True
    )
    bytes = models.BigIntegerField(default=0)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(name="artifact_use_is_no_debt", condition=Q(bytes__gte=0))
        ]
