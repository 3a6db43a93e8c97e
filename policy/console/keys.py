"""Who may act in the tenant, and with which keys."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy.console.pages import StaffRequest, attempt, first_time, may, page, require, staff_page
from policy.core.rules.approvals import RISKS
from policy.models import Principal, Role
from policy.operations.create_principal import create_principal
from policy.operations.issue_key import issue_key
from policy.operations.revoke_key import revoke_key
from policy.operations.set_reviewing import set_reviewing
from policy.queries import principals_with_keys


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """Show who may act in the tenant, and with which keys."""
    return page(
        request,
        "console/keys.html",
        "People and keys",
        principals=principals_with_keys(),
        roles=Role.choices,
        risks=RISKS,
    )


@staff_page
def issue(request: StaffRequest) -> HttpResponse:
    """Issue a key and show its secret, this once. Only by POST."""
    if request.method != "POST":
        return redirect("console-keys")
    if not may(request.actor, Role.ADMIN):
        messages.error(request, "Issuing keys needs the role admin.")
        return redirect("console-keys")
    if not first_time(request, "console.keys.issue"):
        messages.warning(request, "This form was sent before: the key was shown then.")
        return redirect("console-keys")
    principal_id = _principal(request)
    if principal_id is None:
        messages.error(request, "Choose who the key is for, or give a new name and a role.")
        return redirect("console-keys")
    issued = issue_key(principal_id, live=request.POST.get("live") == "1", by=request.actor)
    response = page(request, "console/key_issued.html", "Key issued", secret=issued.secret)
    response["Cache-Control"] = "no-store"
    return response


def _principal(request: StaffRequest) -> UUID | None:
    chosen = request.POST.get("principal", "")
    if chosen:
        try:
            return Principal.objects.filter(pk=UUID(chosen)).values_list("pk", flat=True).first()
        except ValueError:
            return None
    name, roles = request.POST.get("name", "").strip(), request.POST.getlist("roles")
    if not name or not roles or set(roles) - set(Role.values) or "\x00" in name:
        return None
    return create_principal(name[:200], roles, by=request.actor)


@staff_page
def reviewing(request: StaffRequest, principal_id: UUID) -> HttpResponse:
    """Say which reviewer groups somebody is in, and up to which risk they decide. Only by POST."""

    def act() -> None:
        require(request.actor, Role.ADMIN)
        names = request.POST.get("groups", "").replace("\x00", "").split(",")
        set_reviewing(
            principal_id,
            groups=[name for name in names if name.strip()],
            decides_up_to=request.POST.get("decides_up_to", ""),
            by=request.actor,
        )

    if request.method == "POST" and attempt(request, act, ValueError):
        messages.success(request, "Set. It counts for open questions, too.")
    return redirect("console-keys")


@staff_page
def revoke(request: StaffRequest, key_id: UUID) -> HttpResponse:
    """End a key. Only by POST."""
    if request.method == "POST" and may(request.actor, Role.ADMIN):
        ended = revoke_key(key_id, now=timezone.now(), by=request.actor)
        messages.success(request, "The key was revoked." if ended else "It was revoked before.")
    elif request.method == "POST":
        messages.error(request, "Revoking keys needs the role admin.")
    return redirect("console-keys")
