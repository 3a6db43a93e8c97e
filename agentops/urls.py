"""The whole URL map on one screen."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from agentops import frame, health, problems, signin
from policy.api import policies, reviewers
from policy.console import keys
from policy.console import notices as notice_pages
from runs.api import (
    agents,
    artifacts,
    compensate,
    gates,
    history,
    judging,
    lines,
    migrating,
    notices,
    runs,
    travel,
)
from runs.api import approvals as approval_views
from runs.api import budgets as budget_views
from runs.console import approvals, budget_forms, budgets, inbox
from runs.console import compensate as undo
from runs.console import gates as gate_pages
from runs.console import policies as policy_pages
from runs.console import runs as run_pages
from runs.console import travel as travel_pages
from tools.api import prices as tool_prices
from tools.console import prices as tool_pages

API: list[URLPattern | URLResolver] = [
    path("health", health.Live.as_view()),
    path("health/ready", health.Ready.as_view()),
    path("agents", agents.AgentList.as_view()),
    path("runs", runs.RunList.as_view()),
    path("runs/<uuid:run_id>", runs.RunDetail.as_view()),
    path("runs/<uuid:run_id>/cancel", runs.RunCancel.as_view()),
    path("runs/<uuid:run_id>/signals", runs.RunSignals.as_view()),
    path("runs/<uuid:run_id>/resume", runs.RunResume.as_view()),
    path("runs/<uuid:run_id>/rewind", travel.RunRewind.as_view()),
    path("runs/<uuid:run_id>/fork", travel.RunFork.as_view()),
    path("runs/<uuid:run_id>/compensate", compensate.RunCompensate.as_view()),
    path("runs/<uuid:run_id>/compensations", compensate.RunCompensations.as_view()),
    path("runs/<uuid:run_id>/state", travel.RunState.as_view()),
    path("runs/<uuid:run_id>/artifacts", artifacts.RunArtifacts.as_view()),
    path("runs/<uuid:run_id>/artifacts/<path:file>", artifacts.RunArtifact.as_view()),
    path("runs/<uuid:run_id>/irreversible", travel.RunIrreversible.as_view()),
    path("runs/<uuid:run_id>/steps", history.RunSteps.as_view()),
    path("runs/<uuid:run_id>/events", history.RunEvents.as_view()),
    path("runs/<uuid:run_id>/effects", history.RunEffects.as_view()),
    path("runs/<uuid:run_id>/checkpoints", history.RunCheckpoints.as_view()),
    path("runs/<uuid:run_id>/checkpoints/diff", travel.RunDiff.as_view()),
    path("migrations", migrating.MigrationList.as_view()),
    path("migrations/<uuid:migration_id>/undo", migrating.MigrationUndo.as_view()),
    path("policies", policies.PolicyList.as_view()),
    path("policies/explain", judging.PolicyExplain.as_view()),
    path("policies/<uuid:policy_id>", policies.PolicyDetail.as_view()),
    path("policies/<uuid:policy_id>/activate", policies.PolicyActivate.as_view()),
    path("policies/<uuid:policy_id>/backtest", judging.PolicyBacktest.as_view()),
    path(
        "policies/<uuid:policy_id>/backtest/<uuid:backtest_id>",
        judging.PolicyBacktestDetail.as_view(),
    ),
    path("approvals", approval_views.ApprovalList.as_view()),
    path("approvals/approve", approval_views.ApproveMany.as_view()),
    path("approvals/<uuid:approval_id>", approval_views.ApprovalDetail.as_view()),
    path("approvals/<uuid:approval_id>/decide", approval_views.ApprovalDecide.as_view()),
    path("approvals/<uuid:approval_id>/claim", approval_views.ApprovalClaim.as_view()),
    path("approvals/<uuid:approval_id>/release", approval_views.ApprovalRelease.as_view()),
    path("approvals/<uuid:approval_id>/comments", approval_views.ApprovalComments.as_view()),
    path("approvals/<uuid:approval_id>/similar", approval_views.ApprovalSimilar.as_view()),
    path("approvals/<uuid:approval_id>/decisions", approval_views.ApprovalDecisions.as_view()),
    path("budgets", budget_views.BudgetList.as_view()),
    path("budgets/attribution", budget_views.Attribution.as_view()),
    path("budgets/<uuid:budget_id>", budget_views.BudgetDetail.as_view()),
    path("budgets/<uuid:budget_id>/forecast", budget_views.BudgetForecast.as_view()),
    path("budgets/<uuid:budget_id>/lift", budget_views.BudgetLifting.as_view()),
    path("budgets/<uuid:budget_id>/raise", budget_views.BudgetRaising.as_view()),
    path(
        "budgets/<uuid:budget_id>/raises/<uuid:proposal_id>/confirm",
        budget_views.RaiseConfirming.as_view(),
    ),
    path(
        "budgets/<uuid:budget_id>/raises/<uuid:proposal_id>/decline",
        budget_views.RaiseDeclining.as_view(),
    ),
    path("queue", lines.LineDetail.as_view()),
    path("limits", gates.LimitList.as_view()),
    path("limits/<uuid:limit_id>", gates.LimitDetail.as_view()),
    path("principals", reviewers.PrincipalList.as_view()),
    path("principals/<uuid:principal_id>/reviewing", reviewers.PrincipalReviewing.as_view()),
    path("subscriptions", notices.SubscriptionList.as_view()),
    path("subscriptions/<uuid:subscription_id>", notices.SubscriptionDetail.as_view()),
    path("subscriptions/<uuid:subscription_id>/secret", notices.SubscriptionSecret.as_view()),
    path("notices", notices.NoticeList.as_view()),
    path("notices/<uuid:notice_id>", notices.NoticeDetail.as_view()),
    path("notices/<uuid:notice_id>/resend", notices.NoticeResend.as_view()),
    path("tools", tool_prices.ToolList.as_view()),
    path("tools/<uuid:tool_id>/price", tool_prices.ToolPrice.as_view()),
    path("breakers", gates.BreakerList.as_view()),
    path("breakers/<str:kind>/<str:name>", gates.BreakerDetail.as_view()),
    path("breakers/<str:kind>/<str:name>/hold", gates.BreakerHold.as_view()),
]
CONSOLE: list[URLPattern | URLResolver] = [
    path("tenant", frame.tenant_switch(), name="console-tenant"),
    path("approvals/", inbox.queue, name="console-approvals"),
    path("approvals/many", inbox.many, name="console-approve-many"),
    path("approvals/<uuid:approval_id>/", approvals.detail, name="console-approval"),
    path("approvals/<uuid:approval_id>/decide", approvals.decide, name="console-decide"),
    path("approvals/<uuid:approval_id>/act", approvals.act, name="console-review"),
    path("runs/", run_pages.index, name="console-runs"),
    path("runs/<uuid:run_id>/", run_pages.detail, name="console-run"),
    path("runs/<uuid:run_id>/cancel", run_pages.cancel, name="console-cancel"),
    path("runs/<uuid:run_id>/resume", run_pages.resume, name="console-resume"),
    path("runs/<uuid:run_id>/moment", travel_pages.moment, name="console-moment"),
    path("runs/<uuid:run_id>/files/<path:name>", travel_pages.file, name="console-file"),
    path("runs/<uuid:run_id>/rewind", travel_pages.rewind, name="console-rewind"),
    path("runs/<uuid:run_id>/fork", travel_pages.fork, name="console-fork"),
    path("runs/<uuid:run_id>/compensate", undo.compensate, name="console-compensate"),
    path("budgets/", budgets.index, name="console-budgets"),
    path("budgets/spending/", budgets.spending, name="console-spending"),
    path("budgets/<uuid:budget_id>/", budgets.detail, name="console-budget"),
    path("budgets/add/", budget_forms.add, name="console-budget-add"),
    path("budgets/<uuid:budget_id>/change/", budget_forms.change, name="console-budget-change"),
    path("budgets/<uuid:budget_id>/lift", budget_forms.lift, name="console-budget-lift"),
    path("budgets/<uuid:budget_id>/raise", budgets.increase, name="console-raise"),
    path(
        "budgets/<uuid:budget_id>/raises/<uuid:proposal_id>",
        budgets.confirm,
        name="console-raise-decide",
    ),
    path("gates/", gate_pages.index, name="console-gates"),
    path("gates/breaker", gate_pages.hold, name="console-hold"),
    path("gates/limit", gate_pages.set_limit, name="console-limit"),
    path("gates/limit/<uuid:limit_id>/remove", gate_pages.remove, name="console-limit-remove"),
    path("tools/<uuid:tool_id>/price", tool_pages.price, name="console-tool-price"),
    path("policies/", policy_pages.index, name="console-policies"),
    path("policies/new", policy_pages.create, name="console-policy-new"),
    path("policies/<uuid:policy_id>/", policy_pages.detail, name="console-policy"),
    path("policies/<uuid:policy_id>/change", policy_pages.change, name="console-policy-change"),
    path("policies/<uuid:policy_id>/explain", policy_pages.explain, name="console-policy-explain"),
    path("notices/", notice_pages.index, name="console-notices"),
    path("notices/set", notice_pages.subscribe, name="console-subscribe"),
    path("notices/<uuid:subscription_id>/remove", notice_pages.remove, name="console-unsubscribe"),
    path("notices/<uuid:subscription_id>/secret", notice_pages.secret, name="console-new-secret"),
    path("notices/<uuid:notice_id>/resend", notice_pages.again, name="console-resend"),
    path("keys/", keys.index, name="console-keys"),
    path("keys/issue", keys.issue, name="console-issue-key"),
    path("keys/<uuid:principal_id>/reviewing", keys.reviewing, name="console-reviewing"),
    path("keys/<uuid:key_id>/revoke", keys.revoke, name="console-revoke-key"),
]
admin.autodiscover()
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
