"""Who calls: an API key in the Authorization header names a principal of one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from policy.core.actor import Actor
from policy.errors import NotAllowed
from policy.models import Role
from policy.queries import holder_of_key


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request, and the tenant it is confined to."""

    tenant_id: UUID
    tenant_slug: str
    actor: Actor
    is_authenticated: ClassVar[bool] = True

    def require(self, *roles: Role) -> Actor:
        """Give the actor if it has one of the roles.

        Raises:
            NotAllowed: it has none of them.
        """
        if not set(roles) & set(self.actor.roles):
            needed = " or ".join(role.value for role in roles)
            raise NotAllowed(f"this needs the role {needed}")
        return self.actor


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer ao_live_...`. Whether the key still holds is asked every time."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """Name the caller; None where no credentials came.

        Raises:
            AuthenticationFailed: the credentials are not a key that is good now.
        """
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("send the API key as `Authorization: Bearer ao_...`")
        holder = holder_of_key(secret.strip())
        if holder is None:
            raise AuthenticationFailed("this is no API key of ours")
        if holder.revoked or holder.expired:
            raise AuthenticationFailed(f"this key was {'revoked' if holder.revoked else 'expired'}")
        return Caller(holder.tenant_id, holder.tenant_slug, holder.actor), None

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Say how to authenticate, for the 401."""
        return 'Bearer realm="AgentOps"'


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the API's description names the key."""

    target_class = "policy.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """Describe it as a bearer token."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ao_live_… or ao_test_…"}
