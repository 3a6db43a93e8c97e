"""Try a policy version on recorded calls: what would have been decided otherwise.

    start ─▶ queued ─message─▶ running ──▶ done     counts and differences, written at once
                        ▲         │
                        └─ died ──┘   the sweeper sends the message again; after too many
                                      deaths it is failed

The worker goes through the runs a few at a time, each time in a transaction of its own, and
keeps counts and a bounded list in memory. A worker that dies leaves no part of a result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.audit import record
from policy.core.actor import Actor
from policy.core.rules.decide import Policy, Verdict, decide
from policy.models import PolicyVersion
from policy.policies import of_version
from runs.errors import InvalidBacktest
from runs.models import Backtest, BacktestState, Run
from runs.queries.judged import JudgedCall, judged_calls

MOST_RUNS: Final = 20_000
MOST_LISTED: Final = 500
RUNS_AT_ONCE: Final = 20
STALE: Final = timedelta(seconds=20)
MOST_ATTEMPTS: Final = 5
UNFINISHED: Final = (BacktestState.QUEUED, BacktestState.RUNNING)

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which recorded calls: those of the last `runs` runs, or of runs begun in a span."""

    runs: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def plain(self) -> dict[str, Any]:
        """Give it as it is stored."""
        if self.runs is not None:
            return {"runs": self.runs}
        span = {"since": self.since, "until": self.until}
        return {name: at.isoformat() for name, at in span.items() if at is not None}


def start_backtest(
    policy_id: UUID, asked: Asked, *, by: Actor, send: Callable[[UUID, UUID], object]
) -> UUID:
    """Queue a backtest of a version; the same one that is still unfinished is given instead.

    `send` is called with tenant and id once everything is committed.

    Raises:
        PolicyVersion.DoesNotExist: the tenant has no such version.
        InvalidBacktest: neither a number of runs nor a span, or both.
    """
    if (asked.runs is None) == (asked.since is None and asked.until is None):
        raise InvalidBacktest("give either `runs`, or `since` and `until`")
    if asked.runs is not None and not 1 <= asked.runs <= MOST_RUNS:
        raise InvalidBacktest(f"`runs` is from 1 to {MOST_RUNS}")
    version = PolicyVersion.objects.select_for_update(no_key=True).get(pk=policy_id)
    same: dict[str, Any] = {
        "policy_id": version.id,
        "revision": version.revision,
        "asked": asked.plain(),
    }
    known = Backtest.objects.filter(**same, state__in=UNFINISHED).first()
    if known is not None:
        return known.id
    now = timezone.now()
    row = Backtest(
        id=uuid7(),
        policy_number=version.number,
        created_at=now,
        created_by=by.name,
        nudged_at=now,
        **same,
    )
    row.save(force_insert=True)
    record(
        by, "policy.backtest", f"policy/{version.id}", {"backtest": str(row.id), **same["asked"]}
    )
    tenant_id, made = row.tenant_id, row.id
    transaction.on_commit(lambda: send(tenant_id, made))
    return made


# --- Carried out by a worker ------------------------------------------------------------------


@dataclass(slots=True)
class Result:
    """What came of the calls so far."""

    counts: Counter[str] = field(default_factory=Counter)
    differing: list[dict[str, Any]] = field(default_factory=list)

    def add(self, call: JudgedCall | None, policy: Policy) -> None:
        """Judge one call again."""
        if call is None:
            self.counts["not_judged"] += 1
            return
        verdict = decide(policy, call.request)
        self.counts["calls"] += 1
        self.counts["without_facts"] += not call.complete
        self.counts[f"{call.decision}>{verdict.decision}"] += 1
        if verdict.decision != call.decision:
            self.counts["different"] += 1
            if len(self.differing) < MOST_LISTED:
                self.differing.append(_different(call, verdict))


def _different(call: JudgedCall, verdict: Verdict) -> dict[str, Any]:
    return {
        "effect": call.key,
        "run_id": str(call.run_id),
        "tool": call.request.tool,
        "agent": call.request.agent,
        "decision": call.decision,
        "rule": call.rule,
        "would_be": verdict.decision.value,
        "would_rule": verdict.rule,
        "would_reason": verdict.reason,
    }


def carry_out(tenant_id: UUID, backtest_id: UUID, tell: Tell) -> str:
    """Carry a backtest out, and give its state afterwards; harmless when done or held already."""
    token = _claim(tenant_id, backtest_id)
    if token is None:
        return "not claimed"
    try:
        return _judge_all(tenant_id, backtest_id, token, tell)
    except Exception as error:
        _end(tenant_id, backtest_id, token, state=BacktestState.FAILED, error=_said(error))
        raise


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _claim(tenant_id: UUID, backtest_id: UUID) -> int | None:
    with tenancy.scope(tenant_id):
        row = Backtest.objects.select_for_update().filter(pk=backtest_id).first()
        now = timezone.now()
        if row is None or row.state not in UNFINISHED:
            return None
        if row.beat_at is not None and row.beat_at > now - STALE:
            return None
        if row.token >= MOST_ATTEMPTS:
            row.state, row.finished_at = BacktestState.FAILED, now
            row.error = f"its worker died {MOST_ATTEMPTS} times; start it again"
            row.save(update_fields=["state", "finished_at", "error"])
            return None
        row.state, row.token, row.beat_at, row.runs_judged = (
            BacktestState.RUNNING,
            row.token + 1,
            now,
            0,
        )
        row.save(update_fields=["state", "token", "beat_at", "runs_judged"])
        return row.token


def _judge_all(tenant_id: UUID, backtest_id: UUID, token: int, tell: Tell) -> str:
    with tenancy.scope(tenant_id):
        row = Backtest.objects.get(pk=backtest_id)
        policy = _policy(row)
        run_ids = _run_ids(row)
    result, judged = Result(), 0
    for chunk in _chunks(run_ids):
        with tenancy.scope(tenant_id):
            for call in judged_calls(chunk):
                result.add(call, policy)
            judged += len(chunk)
            if not _beat(backtest_id, token, judged, len(run_ids)):
                return "held by another"
        tell(judged, len(run_ids))
    counts = {"runs": len(run_ids), **dict(result.counts)}
    return _end(
        tenant_id,
        backtest_id,
        token,
        state=BacktestState.DONE,
        counts=counts,
        differing=result.differing,
    )


def _policy(row: Backtest) -> Policy:
    version = PolicyVersion.objects.get(pk=row.policy_id)
    if version.revision != row.revision:
        raise InvalidBacktest("the draft was edited meanwhile; start a new backtest")
    return of_version(version.id)


def _run_ids(row: Backtest) -> list[UUID]:
    """Give the runs asked for, fixed at the moment in which the backtest was started."""
    asked = row.asked
    rows = Run.objects.filter(created_at__lte=row.created_at).order_by("-created_at", "-id")
    if "runs" not in asked:
        span = Q()
        if "since" in asked:
            span &= Q(created_at__gte=datetime.fromisoformat(asked["since"]))
        if "until" in asked:
            span &= Q(created_at__lt=datetime.fromisoformat(asked["until"]))
        rows = rows.filter(span)
    most = asked.get("runs", MOST_RUNS + 1)
    found = list(rows.values_list("id", flat=True)[:most])
    if len(found) > MOST_RUNS:
        raise InvalidBacktest(f"more than {MOST_RUNS} runs in that span; take a shorter one")
    return found


def _chunks(run_ids: list[UUID]) -> Iterator[list[UUID]]:
    for begin in range(0, len(run_ids), RUNS_AT_ONCE):
        yield run_ids[begin : begin + RUNS_AT_ONCE]


def _beat(backtest_id: UUID, token: int, judged: int, total: int) -> bool:
    held = Backtest.objects.filter(pk=backtest_id, token=token, state=BacktestState.RUNNING)
    now = timezone.now()
    return bool(held.update(beat_at=now, nudged_at=now, runs_judged=judged, runs_total=total))


def _end(tenant_id: UUID, backtest_id: UUID, token: int, **change: Any) -> str:
    """Write how it ended, unless another attempt holds it by now."""
    with tenancy.scope(tenant_id):
        held = Backtest.objects.filter(pk=backtest_id, token=token, state=BacktestState.RUNNING)
        ended = held.update(**change, finished_at=timezone.now(), runs_judged=F("runs_judged"))
    return str(change["state"]) if ended else "held by another"
