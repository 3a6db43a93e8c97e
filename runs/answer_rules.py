"""What may not leave with a tenant's answers: its settings, and its credentials by value."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from gateway.models import ModelEndpoint
from policy import tenancy
from policy.errors import SecretUnreadable
from policy.models import Subscription, Tenant
from policy.provenance.answers import KINDS, Mode, Rules
from policy.secrets import decrypt
from tools.models import ToolServer

log = structlog.get_logger()


def answer_rules() -> Rules:
    """Read them for the open scope's tenant; a secret that cannot be read is passed over.

    Raises:
        NoTenantScope: no scope is open.
    """
    tenant_id = tenancy.required("Tenant")
    said = Tenant.objects.values_list("answers", flat=True).get(pk=tenant_id)
    secrets = []
    for stored in _stored():
        try:
            secrets.append(decrypt(tenant_id, stored))
        except SecretUnreadable:
            log.warning("answers.secret_unreadable", tenant_id=str(tenant_id))
    modes = {kind: Mode(said[kind]) for kind in KINDS if said.get(kind) in set(Mode)}
    return Rules(modes=modes, secrets=tuple(sorted(set(secrets), key=len, reverse=True)))


def _stored() -> Iterator[bytes]:
    for rows in (
        ModelEndpoint.objects.values_list("secret", flat=True),
        ToolServer.objects.values_list("secret", flat=True),
        Subscription.objects.values_list("secret", flat=True),
        Subscription.objects.values_list("old_secret", flat=True),
    ):
        yield from (bytes(secret) for secret in rows if secret)
