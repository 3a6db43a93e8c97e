"""The frame around every page for people: side bar, tenant switch, style sheet.

`dress` gives it to the admin site; nothing in here changes a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import reverse
from django_celery_results.models import GroupResult, TaskResult

from agentops.middleware import TENANT_IN_SESSION
from policy.models import Approval, ApprovalState
from policy.queries import actor_of_user
from runs.queries import counts_by_state, failures, runs_on_show

BAR: Final = (
    ("Review", (("Approvals", "rule", "console-approvals"),)),
    (
        "Runs",
        (("Runs", "play_circle", "console-runs"), ("Agents", "smart_toy", "runs_agent_changelist")),
    ),
    (
        "Govern",
        (
            ("Budgets", "payments", "console-budgets"),
            ("Policies", "gavel", "console-policies"),
            ("Notifications", "notifications", "console-notices"),
            ("People and keys", "key", "console-keys"),
            ("Audit", "history", "policy_auditevent_changelist"),
        ),
    ),
    (
        "Operate",
        (
            ("Limits and breakers", "speed", "console-gates"),
            ("Models", "neurology", "gateway_model_changelist"),
            ("Model endpoints", "lan", "gateway_modelendpoint_changelist"),
            ("Tools", "build", "tools_remotetool_changelist"),
            ("Tool servers", "dns", "tools_toolserver_changelist"),
            ("Tenant", "domain", "policy_tenant_changelist"),
        ),
    ),
)
FOREIGN: Final = (User, Group, TaskResult, GroupResult)
"""Rows of libraries: they belong to no tenant, so the admin does not show them."""


def dress(site: Any) -> None:
    """Give the admin site its frame, its front page, and only the models of tenants."""
    for model in FOREIGN:
        if site.is_registered(model):
            site.unregister(model)
    site.extra_context = _context
    site.index_template = "console/index.html"
    site.index_title = "Now"


def switch_tenant(request: HttpRequest) -> HttpResponse:
    """Go on in another tenant, by POST only; one that is not open to the person is ignored."""
    wanted = request.POST.get("tenant", "")
    if wanted in {str(tenant.id) for tenant in getattr(request, "tenants", [])}:
        request.session[TENANT_IN_SESSION] = wanted
    return redirect("admin:index")


def _context(context: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    inside = getattr(request, "tenant", None) is not None and context.get("has_permission")
    return {
        **context,
        "styles": [static("console/console.css")],
        "sidebar_navigation": _bar(request) if inside else [],
        "work_tenant": getattr(request, "tenant", None),
        "work_tenants": getattr(request, "tenants", []),
        "overview": _overview(request) if inside else None,
    }


def _overview(request: HttpRequest) -> Callable[[], dict[str, Any]]:
    """Give what the front page reads when it is the front page that is shown."""

    def read() -> dict[str, Any]:
        return {
            "actor": actor_of_user(request.user),
            "waiting": _open_approvals(),
            "states": counts_by_state(),
            "failed": failures(limit=5),
            "newest": runs_on_show(limit=8),
        }

    return read


def _open_approvals() -> int:
    return Approval.objects.filter(state=ApprovalState.OPEN).count()


def _bar(request: HttpRequest) -> list[dict[str, Any]]:
    waiting = _open_approvals()
    groups: list[dict[str, Any]] = []
    for title, entries in BAR:
        items = [_item(*entry) for entry in entries]
        groups.append({"title": title, "items": items, "separator": False})
    every = [item for group in groups for item in group["items"]]
    here = [item for item in every if request.path.startswith(item["link"])]
    if here:
        max(here, key=lambda item: len(item["link"]))["active"] = True
    if waiting:
        groups[0]["items"][0] |= {"badge": str(waiting), "badge_variant": "warning"}
    return groups


def _item(title: str, icon: str, name: str) -> dict[str, Any]:
    link = reverse(name if name.startswith("console-") else f"admin:{name}")
    return {
        "title": title,
        "icon": icon,
        "link": link,
        "active": False,
        "has_permission": True,
    }


def tenant_switch() -> Callable[..., HttpResponse]:
    """Give the switch as a page of the admin."""
    view: Callable[..., HttpResponse] = admin.site.admin_view(switch_tenant)
    return view
