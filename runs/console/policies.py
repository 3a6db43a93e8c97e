"""Policies: versions, a draft to edit, what it would have done, and putting it in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import yaml
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from pydantic import ValidationError

from policy.console.pages import StaffRequest, attempt, first_time, page, require, staff_page
from policy.errors import InvalidPolicy
from policy.models import Role
from policy.operations.policies import activate, create_version, edit_draft
from policy.trials import CallDocument
from policy.versions import PolicyView, policy_versions
from runs import outbox
from runs.errors import InvalidBacktest, RunsError, UnknownPolicy
from runs.operations.backtest import Asked, start_backtest
from runs.queries.explaining import backtests_of, explained, known_policy

SHOWN: Final = 100
BACKTESTS: Final = 5
CALL: Final = "tool: payments.refund\narguments: {amount: 420}\nagent: refunds\n"


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """List the versions, and offer a new draft."""
    versions = policy_versions(position=None, limit=SHOWN).items
    return page(request, "console/policies.html", "Policies", versions=versions)


@staff_page
def create(request: StaffRequest) -> HttpResponse:
    """Store a new draft, by POST only. The same form sent twice stores one."""
    made: list[UUID] = []

    def act() -> None:
        require(request.actor, Role.ADMIN)
        if not first_time(request, "console.policies.create"):
            raise InvalidPolicy("this form was sent before; the draft was stored then")
        note = request.POST.get("note", "").replace("\x00", "")
        made.append(create_version(request.POST.get("document", ""), note=note, by=request.actor))

    if request.method == "POST" and attempt(request, act, RunsError):
        messages.success(request, "Stored as a draft. Nothing is judged by it yet.")
        return redirect("console-policy", made[0])
    return redirect("console-policies")


@staff_page
def detail(request: StaffRequest, policy_id: UUID) -> HttpResponse:
    """Show a version: its rules, its backtests, and what may be done with it."""
    return _shown(request, _known(policy_id))


@staff_page
def explain(request: StaffRequest, policy_id: UUID) -> HttpResponse:
    """Say what this version makes of a call, and why. Changes nothing."""
    view = _known(policy_id)
    effect, written = request.POST.get("effect", "").strip(), request.POST.get("call", CALL)
    found: dict[str, Any] = {}

    def act() -> None:
        found.update(
            explained(
                policy_id=policy_id,
                call=None if effect else _call(written),
                effect=effect,
                masked=not request.actor.sees_content,
                now=timezone.now(),
            )
        )

    if request.method == "POST":
        attempt(request, act, RunsError)
    return _shown(request, view, explanation=found, effect=effect, call=written)


@staff_page
def change(request: StaffRequest, policy_id: UUID) -> HttpResponse:
    """Edit a draft, put a version in force, or try it on recorded calls. By POST only."""
    view = _known(policy_id)
    deed = DEEDS.get(request.POST.get("deed", ""))
    if request.method == "POST" and deed is not None:
        said: list[str] = []

        def act() -> None:
            require(request.actor, Role.ADMIN)
            said.append(deed(request, view))

        if attempt(request, act, RunsError):
            messages.success(request, said[0])
    return redirect("console-policy", policy_id)


# --- Deeds ------------------------------------------------------------------------------------


def _save(request: StaffRequest, view: PolicyView) -> str:
    note = request.POST.get("note", view.note).replace("\x00", "")
    edit_draft(
        view.id,
        request.POST.get("document", ""),
        revision=_revision(request),
        note=note,
        by=request.actor,
    )
    return "Saved."


def _moved(step: int) -> Callable[[StaffRequest, PolicyView], str]:
    def move(request: StaffRequest, view: PolicyView) -> str:
        rules, at = view.rules, _at(request, view)
        to = min(max(at + step, 0), len(rules) - 1)
        rules.insert(to, rules.pop(at))
        _rewrite(request, view, rules)
        return f"Moved {rules[to]['name']!r}."

    return move


def _delete(request: StaffRequest, view: PolicyView) -> str:
    rules = view.rules
    gone = rules.pop(_at(request, view))
    _rewrite(request, view, rules)
    return f"Deleted {gone['name']!r}."


def _rewrite(request: StaffRequest, view: PolicyView, rules: list[dict[str, Any]]) -> None:
    document = {"rules": rules, "answers": view.answers}
    edit_draft(view.id, document, revision=_revision(request), by=request.actor)


def _activate(request: StaffRequest, view: PolicyView) -> str:
    reason = request.POST.get("reason", "").strip().replace("\x00", "")
    activate(view.id, reason=reason, revision=_revision(request), by=request.actor)
    return f"Policy {view.number} is in force."


def _backtest(request: StaffRequest, view: PolicyView) -> str:
    asked = request.POST.get("runs", "")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 8):  # noqa: PLR2004
        raise InvalidBacktest("give a number of runs")
    start_backtest(view.id, Asked(runs=int(asked)), by=request.actor, send=outbox.send_backtest)
    return "Started. This page shows how far it is."


DEEDS: Final[dict[str, Callable[[StaffRequest, PolicyView], str]]] = {
    "save": _save,
    "up": _moved(-1),
    "down": _moved(1),
    "delete": _delete,
    "activate": _activate,
    "backtest": _backtest,
}


def _at(request: StaffRequest, view: PolicyView) -> int:
    names = [rule["name"] for rule in view.rules]
    name = request.POST.get("rule", "")
    if name not in names:
        raise InvalidPolicy(f"this draft has no rule {name[:100]!r}")
    return names.index(name)


def _revision(request: StaffRequest) -> int:
    given = request.POST.get("revision", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0  # noqa: PLR2004


def _call(written: str) -> dict[str, Any]:
    """Read a call as tests of policies write one.

    Raises:
        InvalidPolicy: it is no such call.
    """
    try:
        asked = CallDocument.model_validate(yaml.safe_load(written))
    except (yaml.YAMLError, ValidationError, RecursionError) as error:
        raise InvalidPolicy(f"this is no call: {str(error)[:200]}") from error
    given = asked.model_dump(exclude_unset=True)
    needed = (
        "arguments",
        "agent",
        "agent_version",
        "granted",
        "autonomy",
        "cost",
        "spent",
        "calls",
    )
    who = {"name": asked.principal, "roles": asked.roles, "scopes": asked.scopes}
    return {**{name: getattr(asked, name) for name in needed}, **given, "principal": who}


def _shown(request: StaffRequest, view: PolicyView, **more: Any) -> HttpResponse:
    given: dict[str, Any] = {"explanation": None, "effect": "", "call": CALL, **more}
    return page(
        request,
        "console/policy.html",
        f"Policy {view.number}",
        policy=view,
        backtests=backtests_of(view.id, limit=BACKTESTS),
        **given,
    )


def _known(policy_id: UUID) -> PolicyView:
    try:
        return known_policy(policy_id)
    except UnknownPolicy as error:
        raise Http404(str(error)) from None
