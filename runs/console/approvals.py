"""The page on which somebody decides an approval."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy import queries as policy_queries
from policy.console.pages import StaffRequest, attempt, may, page, require, staff_page
from policy.core.json import JsonObject
from policy.errors import ApprovalNotOpen, InvalidDecision
from policy.models import Role
from policy.queries import ApprovalView
from runs import queries
from runs.console import words
from runs.console.inbox import row_of
from runs.console.tool_facts import facts_of
from runs.errors import RunsError, UnknownApproval, UnknownRun
from runs.operations import review
from runs.operations.ask_agent import ask_agent
from runs.operations.correct_state import FITTING, Reviewable, reviewable
from runs.operations.decide import Decide, Decision, decide_approval

DECISIONS: Final = ("approve", "edit", "reject", "respond", "happened", "not_happened")
LATER: Final = {"15": timedelta(minutes=15), "60": timedelta(hours=1), "1440": timedelta(days=1)}


@staff_page
def detail(request: StaffRequest, approval_id: UUID) -> HttpResponse:
    """Show one request with everything a decision needs, and the forms to decide it."""
    approval = _known(approval_id)
    facts = facts_of([approval.tool])[approval.tool]
    now = timezone.now()
    row = row_of(approval, facts, actor=request.actor, now=now)
    shown: ApprovalView = row["approval"]
    arguments = shown.arguments if isinstance(shown.arguments, dict) else {}
    reviewed, similar = (
        queries.reviewed(approval_id, request.actor, now=now),
        queries.similar(approval),
    )
    if not request.actor.sees_content:
        reviewed, similar = (
            policy_queries.masked_approval(reviewed),
            queries.masked_similar(similar),
        )
    origins = _by_argument(queries.origins_of(approval))
    try:
        run = queries.run(approval.run_id)
    except UnknownRun:
        run = None
    return page(
        request,
        "console/approval.html",
        "Approval",
        **row,
        run=run,
        run_status=words.status(run) if run else "",
        arguments=[(name, value, origins.get(name, ())) for name, value in arguments.items()],
        tainted_by=[one for found in origins.values() for one in found if one["tainted"]],
        whole_arguments=None if arguments else shown.arguments,
        reviewed=reviewed,
        similar=similar,
        may_decide=may(request.actor, Role.REVIEWER),
        channels=[_channel(one) for one in _reviewable(approval, request)],
        agents=_agents(approval),
        is_unknown=approval.kind == "outcome_unknown",
        is_guard=approval.kind == "guard",
        is_answer=approval.kind == "answer",
        needs_confirmation=approval.kind == "tool_call" and facts.needs_confirmation,
    )


def _agents(approval: ApprovalView) -> list[str]:
    """Name the agents that may be asked: none about an answer, nor the one that asks."""
    known = queries.agents() if approval.kind != "answer" else []
    return [one.name for one in known if one.name != approval.agent]


def _reviewable(approval: ApprovalView, request: StaffRequest) -> list[Reviewable]:
    """List what may be corrected here: nothing where several must approve, or of an answer."""
    if approval.kind == "answer" or not may(request.actor, Role.REVIEWER):
        return []
    if not approval.is_open or approval.asked.needed > 1:
        return []
    return reviewable(approval.run_id)


def _channel(one: Reviewable) -> dict[str, Any]:
    text = one.value if isinstance(one.value, str) else json.dumps(one.value, ensure_ascii=False)
    return {"name": one.channel, "text": text, "schema": one.schema}


def _by_argument(found: Any) -> dict[str, list[Any]]:
    """Sort the origins of leaves by the argument that they belong to, each with its words."""
    sorted_out: dict[str, list[Any]] = {}
    for one in found:
        name = one["pointer"].split("/")[1] if "/" in one["pointer"] else ""
        name = name.removesuffix("#").replace("~1", "/").replace("~0", "~")
        told = one | {"words": words.ORIGIN.get(one["label"], one["label"])}
        sorted_out.setdefault(name, []).append(told)
    return sorted_out


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
        state=_corrections(request, approval) if decision in FITTING else {},
        arguments=_arguments(form.get("arguments", "")) if decision == "edit" else None,
        result=_result(form.get("result", "")) if decision in {"happened", "respond"} else None,
    )
    decide_approval(command, by=request.actor, now=timezone.now())


def _corrections(request: StaffRequest, approval: ApprovalView) -> JsonObject:
    """Read what somebody put in the place of channels; what they left as it was is none."""
    found: dict[str, Any] = {}
    for one in reviewable(approval.run_id):
        given = request.POST.get(f"state-{one.channel}")
        if given is not None and (value := _result(given)) != one.value:
            found[one.channel] = value
    return found


def _arguments(text: str) -> JsonObject:
    """Read edited arguments.

    Raises:
        InvalidDecision: it is no JSON object.
    """
    read = _result(text)
    if not isinstance(read, dict):
        raise InvalidDecision("the arguments are one JSON object, with all of them")
    return read


@staff_page
def act(request: StaffRequest, approval_id: UUID) -> HttpResponse:
    """Claim, release, put off, hand on or comment, by POST only."""
    approval = _known(approval_id)
    if request.method == "POST":
        attempt(request, lambda: _act(request, approval), RunsError)
    return redirect("console-approval", approval_id)


def _act(request: StaffRequest, approval: ApprovalView) -> None:
    """Do what the form says; raises as the operations do."""
    require(request.actor, Role.REVIEWER)
    form, by, now = request.POST, request.actor, timezone.now()
    text = form.get("text", "").strip().replace("\x00", "")[:2000]
    match form.get("act"):
        case "claim":
            review.claim(approval.id, by=by, now=now)
        case "release":
            review.release(approval.id, by=by, now=now)
        case "comment":
            review.comment(approval.id, text=text, by=by, now=now)
        case "defer":
            until = now + LATER.get(form.get("for", ""), LATER["15"])
            review.defer(approval.id, until=until, by=by, now=now, reason=text)
        case "escalate":
            names = [name.strip() for name in form.get("to", "").split(",") if name.strip()]
            groups = [name.removeprefix("@") for name in names if name.startswith("@")]
            owners = [name for name in names if not name.startswith("@")]
            review.escalate(
                review.Escalate(approval_id=approval.id, groups=groups, owners=owners, reason=text),
                by=by,
                now=now,
            )
        case "ask":
            ask_agent(approval.id, form.get("agent", ""), by=by, now=now, reason=text)
        case _:
            raise InvalidDecision("choose one of the acts on this page")


def _confirmed(approval: ApprovalView, typed: str) -> None:
    facts = facts_of([approval.tool])[approval.tool]
    is_call = approval.kind == "tool_call"
    if is_call and facts.needs_confirmation and typed.strip() != approval.tool:
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
