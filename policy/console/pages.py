"""What every page for people has: somebody signed in, at work in one tenant.

@staff_page                    GET shows, POST changes: nothing changes by GET
def page(request, ...): ...    `request` is a StaffRequest in an open tenant scope
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from uuid_utils.compat import uuid7

from policy.core.actor import Actor
from policy.errors import NotAllowed, PolicyError
from policy.models import IdempotentAnswer, Role
from policy.queries import TenantName, actor_of_user

Parameters = ParamSpec("Parameters")


class StaffRequest(HttpRequest):
    """A request of somebody signed in; `AdminTenantMiddleware` and `staff_page` fill it in."""

    tenant: TenantName
    tenants: list[TenantName]
    actor: Actor


class Outside(HttpResponse):
    """An answer that is made once the tenant's scope is left: no transaction waits for it."""

    def __init__(self, answer: Callable[[], HttpResponse]) -> None:
        super().__init__()
        self.answer = answer


View = Callable[Concatenate[StaffRequest, Parameters], HttpResponse]


def staff_page(view: View[Parameters]) -> Callable[..., HttpResponse]:
    """Make a view a page of the admin, for people who belong to a tenant."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
        if getattr(request, "tenant", None) is None:
            return TemplateResponse(
                request,
                "console/no_tenant.html",
                {**admin.site.each_context(request), "title": "No tenant"},
                status=403,
            )
        staff = cast("StaffRequest", request)
        staff.actor = actor_of_user(request.user)
        return view(staff, *args, **kwargs)

    return admin.site.admin_view(shown)


def page(request: StaffRequest, template: str, title: str, **context: Any) -> HttpResponse:
    """Render a page inside the admin's frame."""
    everything = {
        **admin.site.each_context(request),
        "title": title,
        "actor": request.actor,
        "may": {role.value: may(request.actor, role) for role in Role},
        "once": str(uuid7()),
        **context,
    }
    return TemplateResponse(request, template, everything)


def may(actor: Actor, *roles: Role) -> bool:
    """Say whether somebody has one of the roles; a tenant's admin has all of them."""
    return bool({*roles, Role.ADMIN} & set(actor.roles))


def require(actor: Actor, *roles: Role) -> None:
    """Go on only if somebody has one of the roles.

    Raises:
        NotAllowed: they have none of them.
    """
    if not may(actor, *roles):
        raise NotAllowed(f"this needs the role {' or '.join(role.value for role in roles)}")


def attempt(request: StaffRequest, act: Callable[[], Any], refusals: type[Exception]) -> bool:
    """Act in a savepoint; where it is refused say why to the person, and undo it."""
    try:
        with transaction.atomic():
            act()
    except (PolicyError, refusals) as refusal:
        messages.error(request, str(refusal))
        return False
    return True


def first_time(request: StaffRequest, route: str) -> bool:
    """Say whether a form is sent for the first time: a double click acts once."""
    token = request.POST.get("once", "")[:255]
    try:
        with transaction.atomic():
            IdempotentAnswer.objects.create(route=route, key=token, digest="", status=200)
    except IntegrityError:
        return False
    return bool(token)
