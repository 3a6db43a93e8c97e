"""The approval queue: what waits for this reviewer, what waits at all, and what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy import queries as policy_queries
from policy.console.pages import StaffRequest, may, page, require, staff_page
from policy.core.actor import Actor
from policy.core.rules.approvals import terms_from_json
from policy.errors import InvalidDecision, PolicyError
from policy.models import Role
from policy.queries import ApprovalView
from runs import queries
from runs.console import words
from runs.console.tool_facts import ToolFacts, facts_of
from runs.errors import RunsError
from runs.operations.approve_many import Decided, Shown, approve_many, why_not_together

SHOWN: Final = 100
HASTY: Final = 0.5
TABS: Final = {"mine": "Mine", "unclaimed": "Unclaimed", "all": "All open", "decided": "Decided"}
OUTCOMES: Final = {
    "approved": "approved",
    "decided_before": "decided before",
    "changed": "changed since shown",
    "refused": "not approved",
}


@staff_page
def queue(request: StaffRequest) -> HttpResponse:
    """List what waits for this reviewer, for anybody, or what was decided last."""
    now = timezone.now()
    asked = queries.open_questions(request.actor, now=now)
    of_tabs = _tabs(asked, request.actor, now=now)
    tab = request.GET.get("show", "")
    tab = tab if tab in TABS else "mine" if of_tabs["mine"] else "all"
    if tab == "decided":
        everything = policy_queries.approvals(position=None, limit=SHOWN).items
        found = [approval for approval in everything if not approval.is_open]
    else:
        found = of_tabs[tab]
    rows = rows_of(found[:SHOWN], request.actor, now=now)
    figures = policy_queries.queue_figures(request.actor.identity, now=now)
    return page(
        request,
        "console/approvals.html",
        "Approvals",
        rows=rows,
        choosing=may(request.actor, Role.REVIEWER) and any(row["together"] for row in rows),
        more=max(len(found) - SHOWN, 0),
        tabs=[(name, title, len(of_tabs.get(name, ()))) for name, title in TABS.items()],
        tab=tab,
        decided=tab == "decided",
        figures=figures,
        median_wait=words.span(figures.median_wait) if figures.median_wait is not None else "",
        oldest=words.span(figures.oldest) if figures.oldest is not None else "",
        is_hasty=figures.hasty is not None and figures.hasty > HASTY,
        hasty=round(100 * (figures.hasty or 0)),
    )


def _tabs(
    asked: list[tuple[ApprovalView, str]], actor: Actor, *, now: datetime
) -> dict[str, list[ApprovalView]]:
    """Sort open questions into tabs; what is put off until later is in the last one only."""
    ready = [(one, why) for one, why in asked if not is_later(one, now=now)]
    mine = [one for one, why in ready if not why] if may(actor, Role.REVIEWER) else []
    free = [one for one, _ in ready if not is_claimed(one, now=now)]
    return {"mine": mine, "unclaimed": free, "all": [one for one, _ in asked]}


def is_later(approval: ApprovalView, *, now: datetime) -> bool:
    """Say whether somebody put it off, and the time has not come."""
    return approval.deferred_until is not None and approval.deferred_until > now


def is_claimed(approval: ApprovalView, *, now: datetime) -> bool:
    """Say whether somebody keeps it for themselves at this moment."""
    return approval.claimed_until is not None and approval.claimed_until > now


def rows_of(found: Iterable[ApprovalView], actor: Actor, *, now: datetime) -> list[dict[str, Any]]:
    """Give approvals as the queue shows them."""
    found = list(found)
    facts = facts_of(approval.tool for approval in found)
    tainted = queries.tainted_questions(found)
    return [
        _listed(one, facts[one.tool], is_tainted=one.id in tainted, actor=actor, now=now)
        for one in found
    ]


def _listed(
    approval: ApprovalView, facts: ToolFacts, *, is_tainted: bool, actor: Actor, now: datetime
) -> dict[str, Any]:
    row = row_of(approval, facts, actor=actor, now=now)
    row["tainted"] = is_tainted and approval.kind == "tool_call"
    row["claimed"] = approval.claimed_name if is_claimed(approval, now=now) else ""
    row["later"] = approval.deferred_until if is_later(approval, now=now) else None
    row["needed"] = terms_from_json(approval.terms).needed
    row["together"] = approval.is_open and not why_not_together(approval, is_tainted=is_tainted)
    return row


def row_of(
    approval: ApprovalView, facts: ToolFacts, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Give what every page shows of an approval, masked for whoever may not see what it holds."""
    shown = approval if actor.sees_content else policy_queries.masked_approval(approval)
    asks = words.ASKS.get(approval.kind, "")
    call = facts.sentence(shown.arguments) or shown.summary
    return {
        "approval": shown,
        "facts": facts,
        "is_call": not asks,
        "summary": f"{approval.agent} {asks}" if asks else call,
        "due": words.due(approval.expires_at, now=now),
        "overdue": approval.expires_at <= now,
        "risk_tone": words.RISK_TONE.get(facts.risk, "bad"),
        "state": words.APPROVAL[approval.state],
    }


@staff_page
def many(request: StaffRequest) -> HttpResponse:
    """Approve several of one kind, by POST only: shown once more first, then done."""
    if request.method != "POST":
        return redirect("console-approvals")
    try:
        require(request.actor, Role.REVIEWER)
        shown = [_shown(text) for text in request.POST.getlist("chosen")]
        if request.POST.get("confirm") != "1":
            return _confirm(request, shown)
        reason = request.POST.get("reason", "").strip().replace("\x00", "")[:2000]
        done = approve_many(shown, by=request.actor, now=timezone.now(), reason=reason)
    except (PolicyError, RunsError) as refusal:
        messages.error(request, str(refusal))
        return redirect("console-approvals")
    _say(request, done)
    return redirect("console-approvals")


def _confirm(request: StaffRequest, shown: list[Shown]) -> HttpResponse:
    views = [queries.known_approval(one.approval_id) for one in shown]
    if not views:
        raise InvalidDecision("choose some approvals first")
    rows = rows_of(views, request.actor, now=timezone.now())
    kinds = {(one.tool, one.agent, one.rule, one.kind) for one in views}
    for row, one in zip(rows, shown, strict=True):
        row["chosen"] = f"{one.approval_id}/{one.digest}/{one.version}"
        row["is_same"] = (row["approval"].digest, row["approval"].version) == (
            one.digest,
            one.version,
        )
    return page(
        request,
        "console/approve_many.html",
        "Approve together",
        rows=rows,
        one_kind=len(kinds) == 1,
        approval=views[0],
    )


def _shown(text: str) -> Shown:
    """Read what a box stands for; raises InvalidDecision for what no page made."""
    parts = text.split("/")
    try:
        identity, digest, version = parts
        return Shown(approval_id=UUID(identity), digest=digest, version=int(version))
    except ValueError:
        raise InvalidDecision("choose approvals on the page again") from None


def _say(request: StaffRequest, done: list[Decided]) -> None:
    counts: Mapping[str, int] = Counter(one.outcome for one in done)
    line = ", ".join(f"{counts[name]} {said}" for name, said in OUTCOMES.items() if counts[name])
    tell = messages.success if counts["approved"] == len(done) else messages.warning
    tell(request, f"{line}.")
    for detail in sorted({one.detail for one in done if one.detail}):
        messages.warning(request, detail)
