"""What the engine writes, in the form that the functions of `runs/sql` take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policy.core.json import JsonObject
from policy.core.money import Amounts, Unit
from policy.core.rules.approvals import terms_to_json
from runs.broods import Brood
from runs.core import results
from runs.core.checkpoint import encode
from runs.core.lifecycle import RunState
from runs.ports import PutEffect, Save, Settled


def brood(brood: Brood) -> JsonObject:
    """Give what all children of a brood have in common."""
    limits = {unit.value: getattr(brood.limits, unit) for unit in Unit}
    return {
        "version": brood.agent_version_id,
        "agent": brood.agent,
        "seconds": None if brood.deadline is None else brood.deadline.total_seconds(),
        "stops": brood.deadline_stops,
        "total": brood.total,
        "at_once": brood.at_once,
        "family": brood.family,
        **limits,
        "cost": None if brood.limits.cost is None else str(brood.limits.cost),
    }


def newborns(brood: Brood) -> list[JsonObject]:
    """Give what each child of a brood has of its own."""
    return [
        {
            "id": child.id,
            "budget": child.budget_id,
            "head": encode(child.first),
            "writes": dict(child.first.channels),
        }
        for child in brood.children
    ]


def amounts(wanted: Amounts) -> JsonObject:
    """Give so much of each unit."""
    return {
        "cost": str(wanted.cost),
        "tokens": wanted.tokens,
        "model_calls": wanted.model_calls,
        "tool_calls": wanted.tool_calls,
    }


def put(put: PutEffect) -> Mapping[str, Any]:
    """Give an effect to be written down."""
    raw: dict[str, Any] = {
        "kind": put.kind,
        "name": put.name,
        "version": put.version,
        "effect": put.effect,
        "digest": put.digest,
        "request": put.request,
        "state": put.state,
        "decision": put.decision,
        "outcome": put.outcome,
        "error_class": put.error_class,
        "reserve": amounts(put.reserve),
    }
    if put.compensates:
        raw["compensates"] = put.compensates
    if put.lost:
        raw["lost"] = put.lost
    if put.keep:
        raw["keep"] = put.keep
    if (question := put.question) is not None:
        raw["approval"] = {
            "id": question.id,
            "kind": question.kind,
            "digest": question.digest,
            "policy_version": question.policy_version,
            "rule": question.rule,
            "reason": question.reason,
            "seconds": question.seconds,
            "risk": question.risk,
            "terms": terms_to_json(question.terms),
            "triggers": list(question.triggers),
            "signals": question.signals,
            "proposed": question.proposed,
        }
    return raw


def settled(item: Settled) -> Mapping[str, Any]:
    """Give what came of an effect."""
    raw: dict[str, Any] = {
        "task": item.place.task,
        "ordinal": item.place.ordinal,
        "state": item.state,
        "outcome": item.outcome,
        "error_class": item.error_class,
        "cost": str(item.usage.cost),
        "input_tokens": item.usage.input_tokens,
        "output_tokens": item.usage.output_tokens,
    }
    if item.usage.price_version:
        raw["price_version"] = item.usage.price_version
    if item.usage.estimated:
        raw["estimated"] = True
    if item.attempt_failed is not None:
        raw["attempt_failed"] = item.attempt_failed
    if item.found is not None:
        raw["found"] = item.found
    return raw


def more(save: Save) -> Mapping[str, Any]:
    """Give what only some commits have."""
    more: dict[str, Any] = {}
    if save.effects:
        more["effects"] = [settled(item) for item in save.effects]
    if save.kept:
        more["kept"] = {task: results.to_json(result) for task, result in save.kept.items()}
    if save.reason:
        more["reason"] = save.reason
        more["due"] = save.due_at and save.due_at.timestamp()
    if save.state is RunState.SUCCEEDED:
        more["output"] = save.output
    if save.error_class:
        more["error_class"], more["error_detail"] = save.error_class, save.error_detail
    return more
