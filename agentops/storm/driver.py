"""The driver: starts runs and acts for people. A child that answers lines of JSON.

{"start": {name: agent}}      starts each over HTTP, under a key of its own; gives those accepted
{"tend": probability}         decides, rejects, raises, resumes; counts what it did
{"cancel": [names]}           cancels those that have not ended
{"nudge": n, "late": bool}    sends messages again for runs that are under way
"""

from __future__ import annotations

import http.client
import json
import os
import random
import sys
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from agentops.child import say
from agentops.proving import driver as proving
from agentops.proving.outside import result
from agentops.storm.stage import WEB

ANSWER_SECONDS: Final = 5.0
SEEN: Final = timedelta(seconds=0.4)
MORE_CALLS: Final = Decimal(20)
KNOWN: Final = "SELECT metadata ->> 'proof', id::text FROM runs_run"
OPEN: Final = """
SELECT a.id, a.kind, a.effect_key, a.arguments, a.digest, a.version
FROM policy_approval AS a JOIN runs_run AS r ON r.id = a.run_id
WHERE a.state = 'open' AND a.created_at < %s AND r.state = 'interrupted'
"""
POOR: Final = """
SELECT b.id FROM runs_run AS r JOIN policy_budget AS b ON b.id = r.budget_ids[1]
WHERE r.state = 'paused' AND b.tool_calls_limit <= b.tool_calls_spent + b.tool_calls_reserved
"""
PARKED: Final = "SELECT id FROM runs_run WHERE state = 'interrupted' AND reason = 'poison'"
PLACES: Final = """
SELECT r.id::text, r.super_step, coalesce(t.super_step, 0), coalesce(t.task, '')
FROM runs_run AS r LEFT JOIN runs_task AS t ON t.run_id = r.id
ORDER BY (r.finished_at IS NOT NULL), random() LIMIT %s
"""


def main() -> None:
    """Answer lines until there are no more; an error is an answer, too."""
    import django  # noqa: PLC0415 - only this process needs it

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()

    tenant_id, key = _set_up()
    say({"ready": str(tenant_id)})
    for line in sys.stdin:
        try:
            say(_answer(tenant_id, key, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - the database may be away: asked again
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            say({"error": type(error).__name__})


def _answer(tenant_id: UUID, key: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    match asked:
        case {"start": wanted}:
            return _start(key, wanted)
        case {"tend": rejects}:
            return _tend(tenant_id, rejects)
        case {"cancel": names}:
            return _cancel(tenant_id, names)
        case {"nudge": count, "late": late}:
            return _nudge(tenant_id, count, late=late)
        case _:
            return {"error": f"nobody understands {sorted(asked)}"}


def _set_up() -> tuple[UUID, str]:
    from gateway.operations.add_endpoint import add_endpoint  # noqa: PLC0415 - needs Django
    from gateway.operations.add_model import add_model  # noqa: PLC0415
    from policy import tenancy  # noqa: PLC0415
    from policy.models import Role  # noqa: PLC0415
    from policy.operations.create_principal import create_principal  # noqa: PLC0415
    from policy.operations.create_tenant import create_tenant  # noqa: PLC0415
    from policy.operations.issue_key import issue_key  # noqa: PLC0415
    from policy.operations.policies import activate, create_version  # noqa: PLC0415

    tenant_id = create_tenant("storm", "Storm", policy=None)
    with tenancy.scope(tenant_id):
        add_endpoint("script", provider="scripted")
        add_model("proving", endpoint="script", model_id="proving")
        activate(create_version(proving.POLICY))
        secret = issue_key(create_principal("storm", [Role.OPERATOR])).secret
    return tenant_id, secret


def _happened(key: str) -> bool:
    """Look an effect up outside, as a person would."""
    query = urllib.parse.urlencode({"key": key})
    url = f"{os.environ['AGENTOPS_PROVING_OUTSIDE']}/look?{query}"
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - ours
        return bool(json.load(answer)["happened"])


def _start(key: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Start what nobody has answered for yet; the first that gets no answer ends it for now."""
    accepted: dict[str, str] = {}
    for name, agent in wanted.items():
        body = json.dumps({"agent": agent, "input": {}, "metadata": {"proof": name}})
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{os.environ[WEB]}/api/v1/runs",
            body.encode(),
            {**headers, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                accepted[name] = json.load(answer)["id"]
        except (OSError, http.client.HTTPException) as error:
            sys.stderr.write(f"start of {name}: {type(error).__name__}: {error}\n")
            break
    return accepted


def _known(tenant_id: UUID) -> dict[str, str]:
    return dict(_rows(tenant_id, KNOWN, []))


def _rows(tenant_id: UUID, statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    from policy import tenancy  # noqa: PLC0415 - needs Django

    with tenancy.scope(tenant_id):
        return proving.rows(statement, parameters)


def _tend(tenant_id: UUID, rejects: float) -> dict[str, int]:
    """Decide what waits for a person; each act alone, so that one that fails stops no other."""
    did: Counter[str] = Counter()
    for row in _rows(tenant_id, OPEN, [datetime.now(UTC) - SEEN]):
        did.update(_decide(tenant_id, row, rejects))
    for (budget_id,) in _rows(tenant_id, POOR, []):
        did.update(_raise(tenant_id, budget_id))
    for (run_id,) in _rows(tenant_id, PARKED, []):
        did.update(_resume(tenant_id, run_id))
    return dict(did)


def _decide(tenant_id: UUID, row: tuple[Any, ...], rejects: float) -> list[str]:
    from policy.core.actor import SYSTEM  # noqa: PLC0415 - needs Django
    from policy.errors import ApprovalChanged, ApprovalNotOpen  # noqa: PLC0415
    from runs.operations.decide import Decide, decide_approval  # noqa: PLC0415

    approval_id, kind, key, raw, digest, version = row
    arguments: Mapping[str, Any] = json.loads(raw) if isinstance(raw, str) else raw
    decision: Any = "reject" if random.Random(key).random() < rejects else "approve"  # noqa: S311
    if kind == "outcome_unknown":
        decision = "happened" if _happened(key) else "not_happened"
    told = result("once", arguments["what"]) if decision == "happened" else None
    command = Decide(
        approval_id=approval_id,
        decision=decision,
        digest=digest,
        version=version,
        reason="the storm says so",
        result=told,
    )
    return _act(
        tenant_id,
        f"decided_{decision}",
        lambda now: decide_approval(command, by=SYSTEM, now=now),
        ApprovalChanged,
        ApprovalNotOpen,
    )


def _raise(tenant_id: UUID, budget_id: UUID) -> list[str]:
    from policy.core.actor import SYSTEM  # noqa: PLC0415 - needs Django
    from policy.core.money import Unit  # noqa: PLC0415
    from runs.operations.raise_budget import Raise, raise_budget  # noqa: PLC0415

    more = Raise(unit=Unit.TOOL_CALLS, amount=MORE_CALLS, reason="the storm goes on")
    return _act(tenant_id, "raised", lambda now: raise_budget(budget_id, more, by=SYSTEM, now=now))


def _resume(tenant_id: UUID, run_id: UUID) -> list[str]:
    from policy.core.actor import SYSTEM  # noqa: PLC0415 - needs Django
    from runs.errors import IllegalMove  # noqa: PLC0415
    from runs.operations.resume import resume_run  # noqa: PLC0415

    return _act(
        tenant_id,
        "resumed",
        lambda _now: resume_run(run_id, by=SYSTEM, reason="it was the storm"),
        IllegalMove,
    )


def _cancel(tenant_id: UUID, names: list[str]) -> dict[str, int]:
    from policy.core.actor import SYSTEM  # noqa: PLC0415 - needs Django
    from runs.errors import IllegalMove  # noqa: PLC0415
    from runs.operations.cancel import cancel_run  # noqa: PLC0415

    def cancel(run_id: UUID, now: datetime) -> None:
        cancel_run(run_id, by=SYSTEM, reason="the storm", now=now)

    known, did = _known(tenant_id), Counter[str]()
    for run_id in [UUID(known[name]) for name in names if name in known]:
        did.update(_act(tenant_id, "cancelled", partial(cancel, run_id), IllegalMove))
    return dict(did)


def _act(
    tenant_id: UUID, what: str, do: Callable[[datetime], object], *over: type[Exception]
) -> list[str]:
    """Do something in a scope of its own; `over` are errors of whoever comes too late."""
    from policy import tenancy  # noqa: PLC0415 - needs Django

    try:
        with tenancy.scope(tenant_id):
            do(datetime.now(UTC))
    except over:
        return []
    return [what]


def _nudge(tenant_id: UUID, count: int, *, late: bool) -> dict[str, int]:
    """Send messages again: the same one twice, or one for a super-step that is long over."""
    from runs.outbox import send  # noqa: PLC0415 - needs Django
    from runs.ports import Nudge  # noqa: PLC0415

    nudges = []
    for run_id, super_step, old, task in _rows(tenant_id, PLACES, [count]):
        run = Nudge(tenant_id=str(tenant_id), run_id=run_id)
        of_task = Nudge(
            tenant_id=str(tenant_id),
            run_id=run_id,
            super_step=old if late else super_step,
            task=task or "0",
        )
        nudges += [run, run, of_task, of_task]
    return {"sent": len(send(nudges))}


if __name__ == "__main__":
    main()
