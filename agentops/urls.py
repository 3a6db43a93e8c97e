"""The whole URL map on one screen."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from agentops import frame, health, problems, signin
from policy.console import keys
from runs.api import governed, history, runs, travel
from runs.console import approvals, budgets
from runs.console import runs as run_pages
from runs.console import travel as travel_pages

API: list[URLPattern | URLResolver] = [
    path("health", health.Live.as_view()),
    path("health/ready", health.Ready.as_view()),
    path("agents", governed.AgentList.as_view()),
    path("runs", runs.RunList.as_view()),
    path("runs/<uuid:run_id>", runs.RunDetail.as_view()),
    path("runs/<uuid:run_id>/cancel", runs.RunCancel.as_view()),
    path("runs/<uuid:run_id>/signals", runs.RunSignals.as_view()),
    path("runs/<uuid:run_id>/resume", runs.RunResume.as_view()),
    path("runs/<uuid:run_id>/rewind", travel.RunRewind.as_view()),
    path("runs/<uuid:run_id>/fork", travel.RunFork.as_view()),
    path("runs/<uuid:run_id>/state", travel.RunState.as_view()),
    path("runs/<uuid:run_id>/irreversible", travel.RunIrreversible.as_view()),
    path("runs/<uuid:run_id>/steps", history.RunSteps.as_view()),
    path("runs/<uuid:run_id>/events", history.RunEvents.as_view()),
    path("runs/<uuid:run_id>/effects", history.RunEffects.as_view()),
    path("runs/<uuid:run_id>/checkpoints", history.RunCheckpoints.as_view()),
    path("runs/<uuid:run_id>/checkpoints/diff", travel.RunDiff.as_view()),
    path("approvals", governed.ApprovalList.as_view()),
    path("approvals/<uuid:approval_id>", governed.ApprovalDetail.as_view()),
    path("approvals/<uuid:approval_id>/decide", governed.ApprovalDecide.as_view()),
    path("budgets", governed.BudgetList.as_view()),
    path("budgets/<uuid:budget_id>", governed.BudgetDetail.as_view()),
    path("budgets/<uuid:budget_id>/raise", governed.BudgetRaising.as_view()),
]
CONSOLE: list[URLPattern | URLResolver] = [
    path("tenant", frame.tenant_switch(), name="console-tenant"),
    path("approvals/", approvals.queue, name="console-approvals"),
    path("approvals/<uuid:approval_id>/", approvals.detail, name="console-approval"),
    path("approvals/<uuid:approval_id>/decide", approvals.decide, name="console-decide"),
    path("runs/", run_pages.index, name="console-runs"),
    path("runs/<uuid:run_id>/", run_pages.detail, name="console-run"),
    path("runs/<uuid:run_id>/cancel", run_pages.cancel, name="console-cancel"),
    path("runs/<uuid:run_id>/resume", run_pages.resume, name="console-resume"),
    path("runs/<uuid:run_id>/moment", travel_pages.moment, name="console-moment"),
    path("runs/<uuid:run_id>/rewind", travel_pages.rewind, name="console-rewind"),
    path("runs/<uuid:run_id>/fork", travel_pages.fork, name="console-fork"),
    path("budgets/", budgets.index, name="console-budgets"),
    path("budgets/<uuid:budget_id>/", budgets.detail, name="console-budget"),
    path("budgets/<uuid:budget_id>/raise", budgets.increase, name="console-raise"),
    path("keys/", keys.index, name="console-keys"),
    path("keys/issue", keys.issue, name="console-issue-key"),
    path("keys/<uuid:key_id>/revoke", keys.revoke, name="console-revoke-key"),
]
frame.dress(admin.site)
urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", include(CONSOLE)),
    path("admin/", admin.site.urls),
    path("dev/in/<str:token>", signin.sign_in),
    path("api/v1/", include(API)),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/problems/<slug:code>", problems.page),
    re_path(r"^api/", problems.not_found),
]
handler400 = "agentops.problems.bad_request"
handler403 = "agentops.problems.permission_denied"
handler404 = "agentops.problems.not_found"
handler500 = "agentops.problems.server_error"
