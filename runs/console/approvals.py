"""The approval queue, and the page on which somebody decides."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, cast
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy import queries as policy_queries
from policy.console.pages import StaffRequest, attempt, may, page, require, staff_page
from policy.errors import ApprovalNotOpen, InvalidDecision
from policy.models import Role
from policy.queries import ApprovalView
from runs import queries
from runs.console import words
from runs.console.tool_facts import ToolFacts, facts_of
from runs.errors import RunsError, UnknownApproval, UnknownRun
from runs.operations.decide import Decide, decide_approval

SHOWN: Final = 100
DECISIONS: Final = ("approve", "reject", "happened", "not_happened")
Decision = Literal["approve", "reject", "happened", "not_happened"]


@staff_page
def queue(request: StaffRequest) -> HttpResponse:
    """List what waits for a decision, or what was decided last."""
    decided = request.GET.get("show") == "decided"
    if decided:
        everything = policy_queries.approvals(position=None, limit=SHOWN).items
        found = [approval for approval in everything if not approval.is_open]
    else:
        found = policy_queries.open_approvals(limit=SHOWN)
    facts = facts_of(approval.tool for approval in found)
    now = timezone.now()
    rows = [_row(approval, facts[approval.tool], now=now) for approval in found]
    return page(request, "console/approvals.html", "Approvals", rows=rows, decided=decided)


def _row(approval: ApprovalView, facts: ToolFacts, *, now: Any) -> dict[str, Any]:
    return {
        "approval": approval,
        "facts": facts,
        "summary": facts.sentence(approval.arguments) or approval.summary,
        "due": words.due(approval.expires_at, now=now),
        "overdue": approval.expires_at <= now,
        "risk_tone": words.RISK_TONE.get(facts.risk, "bad"),
        "state": words.APPROVAL[approval.state],
    }


@staff_page
def detail(request: StaffRequest, approval_id: UUID) -> HttpResponse:
    """Show one request with everything a decision needs, and the forms to decide it."""
    approval = _known(approval_id)
    facts = facts_of([approval.tool])[approval.tool]
    now = timezone.now()
    arguments = approval.arguments if isinstance(approval.arguments, dict) else {}
    try:
        run = queries.run(approval.run_id)
    except UnknownRun:
        run = None
    return page(
        request,
        "console/approval.html",
        "Approval",
        **_row(approval, facts, now=now),
        run=run,
        run_status=words.status(run) if run else "",
        arguments=list(arguments.items()),
        whole_arguments=None if arguments else approval.arguments,
        may_decide=may(request.actor, Role.REVIEWER),
        is_unknown=approval.kind == "outcome_unknown",
    )


@staff_page
def decide(request: StaffRequest, approval_id: UUID) -> HttpResponse:
    """Decide, by POST only. Whatever happened meanwhile is said on the approval's page."""
    approval = _known(approval_id)
    if request.method != "POST":
        return redirect("console-approval", approval_id)
    decided = attempt(request, lambda: _decide(request, approval), RunsError)
    if not decided:
        return redirect("console-approval", approval_id)
    after = _known(approval_id)
    messages.success(request, f"{words.APPROVAL[after.state]}: {approval.tool}. The run goes on.")
    return redirect("console-approvals")


def _decide(request: StaffRequest, approval: ApprovalView) -> None:
    """Check the form and hand the decision over.

    Raises:
        NotAllowed: this person may not decide.
        InvalidDecision: the form lacks what the decision needs.
        ApprovalNotOpen: somebody was faster, or time was.
    """
    require(request.actor, Role.REVIEWER)
    form = request.POST
    decision = form.get("decision", "")
    if decision not in DECISIONS:
        raise InvalidDecision("choose one of the decisions on this page")
    if not approval.is_open:
        raise ApprovalNotOpen(approval.state)
    if decision == "approve":
        _confirmed(approval, form.get("confirm", ""))
    command = Decide(
        approval_id=approval.id,
        decision=cast("Decision", decision),
        digest=form.get("digest", ""),
        version=_whole(form.get("version", "")),
        reason=form.get("reason", "").strip().replace("\x00", "")[:2000],
        result=_result(form.get("result", "")) if decision == "happened" else None,
    )
    decide_approval(command, by=request.actor, now=timezone.now())


def _confirmed(approval: ApprovalView, typed: str) -> None:
    facts = facts_of([approval.tool])[approval.tool]
    if facts.needs_confirmation and typed.strip() != approval.tool:
        raise InvalidDecision(
            f"the risk of this call is {facts.risk}: type {approval.tool} to approve it"
        )


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004


def _result(text: str) -> Any:
    """Read what somebody typed as the call's result: JSON, or else the text itself."""
    text = text.strip().replace("\x00", "")
    if not text:
        return None
    try:
        return json.loads(text, parse_constant=lambda name: name)
    except (ValueError, RecursionError):
        return text


def _known(approval_id: UUID) -> ApprovalView:
    try:
        return queries.known_approval(approval_id)
    except UnknownApproval as error:
        raise Http404(str(error)) from None
