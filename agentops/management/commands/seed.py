"""Make the demo tenant with its people and a fresh API key. Run again, it only renews the key."""

from __future__ import annotations

import json
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.utils import timezone

from agentops.demo import play_demo
from agentops.signin import make_link
from policy import tenancy
from policy.models import ApiKey, Approval, ApprovalState, Principal, Role
from policy.operations.create_principal import create_principal
from policy.operations.create_tenant import create_tenant
from policy.operations.issue_key import issue_key
from policy.operations.revoke_key import revoke_key
from policy.queries import TenantName, tenant_by_slug

TENANT: Final = "demo"
SERVICE: Final = "demo-service"
PEOPLE: Final = {
    "demo-admin": Role.ADMIN,
    "demo-reviewer": Role.REVIEWER,
    "demo-operator": Role.OPERATOR,
    "demo-finance": Role.FINANCE,
}


class Command(BaseCommand):
    """`manage.py seed`: the last line is one JSON object."""

    help = "Make the demo tenant, its people and an API key; prints how to sign in."
    requires_system_checks = ()

    def handle(self, *_: Any, **__: Any) -> None:
        """Make what is missing, and print what is needed to come in."""
        tenant = demo_tenant()
        with tenancy.scope(tenant.id):
            users = [person(name, role) for name, role in PEOPLE.items()]
            secret = fresh_key()
            play_demo(tenant)
            waiting = Approval.objects.filter(state=ApprovalState.OPEN).count()
        answer = {
            "sign_in_path": make_link(users[0]),
            "api_key": secret,
            "tenant": tenant.slug,
            "waiting": waiting,
        }
        self.stdout.write(json.dumps(answer))


def demo_tenant() -> TenantName:
    """Find the demo tenant, or make it."""
    if (known := tenant_by_slug(TENANT)) is not None:
        return known
    return TenantName(create_tenant(TENANT, "Demo"), TENANT, "Demo")


def person(name: str, role: Role) -> User:
    """Find or make somebody who signs in by link, and their principal in the tenant."""
    user, is_new = get_user_model().objects.get_or_create(
        username=name, defaults={"is_staff": True, "is_superuser": role is Role.ADMIN}
    )
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    known = Principal.objects.filter(user_id=user.pk).first()
    if known is None or known.roles != [role.value]:
        create_principal(name, [role], user_id=user.pk)
    return user


def fresh_key() -> str:
    """Issue the demo's key anew; the one of the seed before ends."""
    service = Principal.objects.filter(name=SERVICE, user=None).first()
    roles = [Role.OPERATOR, Role.REVIEWER, Role.FINANCE]
    service_id = create_principal(SERVICE, roles) if service is None else service.id
    for key in ApiKey.objects.filter(principal_id=service_id, revoked_at=None):
        revoke_key(key.id, now=timezone.now())
    return issue_key(service_id).secret
