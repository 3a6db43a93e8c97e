"""The driver: starts runs, plays the person, reads ends. A child that answers lines of JSON.

    {"start": {"play/agent": "agent", ...}}   {"play/agent": "run id", ...}   each once
    {"tend": [ids]}                           {"id": "state", ...}            decides, raises
    {"ends": [ids]}                           {"id": {...}, ...}              see `reading`

It may be killed at any moment and be asked the same again.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from agentops.child import say
from agentops.proving.outside import result

TENANT: Final = "proving"
SEEN: Final = timedelta(seconds=0.3)
MOST_AT_ONCE: Final = 4
MORE_CALLS: Final = Decimal(20)
POLICY: Final = {
    "rules": [
        {"name": "ask", "decision": "require_approval", "tools": "outside.sign", "priority": 9},
        {"name": "rest", "decision": "allow", "tools": "outside.*"},
    ]
}
KNOWN: Final = "SELECT id::text FROM runs_run WHERE metadata ->> 'proof' = %s"
STATES: Final = """
SELECT id::text, state, reason, budget_ids FROM runs_run
WHERE id = ANY (%(ids)s) OR ancestor_ids && %(ids)s::uuid[]
"""
OPEN: Final = """
SELECT id, kind, effect_key, tool, arguments, digest, version FROM policy_approval
WHERE run_id IN (
    SELECT id FROM runs_run WHERE id = ANY (%(ids)s) OR ancestor_ids && %(ids)s::uuid[])
  AND state = 'open' AND created_at < %(seen)s
"""
LEFT_BEHIND: Final = """
INSERT INTO runs_outboxmessage (tenant_id, run_id, task, created_at)
VALUES (%s, %s, '', clock_timestamp() - interval '1 hour')
"""
LACKS: Final = """
SELECT count(*) FROM policy_budget WHERE id = %s
AND tool_calls_limit IS NOT NULL AND tool_calls_limit <= tool_calls_spent + tool_calls_reserved
"""


def main() -> None:
    """Answer lines until there are no more."""
    import django  # noqa: PLC0415 - only this process needs it

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()
    from agentops.proving import reading  # noqa: PLC0415 - needs Django

    tenant_id = _set_up()
    say({"ready": True})
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        match asked:
            case {"start": wanted}:
                say({name: _start(tenant_id, name, agent) for name, agent in wanted.items()})
            case {"tend": ids}:
                say(_tend(tenant_id, ids))
            case {"ends": ids}:
                say(reading.ends(tenant_id, ids))
            case _:
                say({"error": f"nobody understands {sorted(asked)}"})


def _set_up() -> UUID:
    """Make the tenant; a driver that follows another finds it."""
    from django.conf import settings  # noqa: PLC0415 - needs Django

    from gateway.operations.add_endpoint import add_endpoint  # noqa: PLC0415 - needs Django
    from gateway.operations.add_model import add_model  # noqa: PLC0415
    from policy import tenancy  # noqa: PLC0415
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from policy.operations.create_tenant import create_tenant  # noqa: PLC0415
    from policy.operations.policies import activate, create_version  # noqa: PLC0415
    from policy.operations.set_tenant import Shares, set_shares  # noqa: PLC0415

    known = Path(settings.STATE_DIR, "proving-tenant")
    if known.exists():
        return UUID(known.read_text("utf-8"))
    tenant_id = create_tenant(TENANT, "Proving", policy=None)
    with tenancy.scope(tenant_id):
        add_endpoint("script", provider="scripted")
        add_model("proving", endpoint="script", model_id="proving")
        activate(create_version(POLICY))
        set_shares(Shares(max_active=MOST_AT_ONCE), by=SYSTEM)  # so that some stand in line
    known.write_text(str(tenant_id), "utf-8")
    return tenant_id


def _start(tenant_id: UUID, name: str, agent: str) -> str:
    """Start a run, unless an earlier asking did, and leave a second message for the relay."""
    from django.db import connection  # noqa: PLC0415 - needs Django

    from policy import tenancy  # noqa: PLC0415
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from runs.operations.start import StartRun, start_run  # noqa: PLC0415

    with tenancy.scope(tenant_id):
        if found := rows(KNOWN, [name]):
            return str(found[0][0])
        command = StartRun(agent=agent, input={}, by=SYSTEM, metadata={"proof": name})
        run = str(start_run(command, now=datetime.now(UTC)))
        with connection.cursor() as cursor:
            cursor.execute(LEFT_BEHIND, [tenant_id, run])
        return run


def _tend(tenant_id: UUID, ids: list[str]) -> dict[str, str]:
    """Decide what waits for a person, give money to whom lacks it, and say how runs stand.

    Of the runs that they started, too.
    """
    from policy import tenancy  # noqa: PLC0415 - needs Django

    with tenancy.scope(tenant_id):
        waiting = rows(OPEN, {"ids": ids, "seen": datetime.now(UTC) - SEEN})
        stand = rows(STATES, {"ids": ids})
    for approval in waiting:
        _decide(tenant_id, approval)
    _raise(tenant_id, (budgets[0] for _, _, why, budgets in stand if why == "budget"))
    return {run: state for run, state, _, _ in stand}


def _decide(tenant_id: UUID, row: tuple[Any, ...]) -> None:
    from policy import tenancy  # noqa: PLC0415 - needs Django
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from policy.errors import ApprovalChanged, ApprovalNotOpen  # noqa: PLC0415
    from runs.operations.decide import Decide, decide_approval  # noqa: PLC0415

    approval_id, kind, key, _tool, raw, digest, version = row
    arguments: Mapping[str, Any] = json.loads(raw) if isinstance(raw, str) else raw
    decision: Any = "approve"
    if kind == "outcome_unknown":
        decision = "happened" if _happened(key) else "not_happened"
    told = result("once", arguments["what"]) if decision == "happened" else None
    command = Decide(
        approval_id=approval_id, decision=decision, digest=digest, version=version, result=told
    )
    try:
        with tenancy.scope(tenant_id):
            decide_approval(command, by=SYSTEM, now=datetime.now(UTC))
    except (ApprovalChanged, ApprovalNotOpen):
        return  # it will be seen again as it is now, if it is still open


def _happened(key: str) -> bool:
    query = urllib.parse.urlencode({"key": key})
    url = f"{os.environ['AGENTOPS_PROVING_OUTSIDE']}/look?{query}"
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - ours
        return bool(json.load(answer)["happened"])


def _raise(tenant_id: UUID, budgets: Iterable[UUID]) -> None:
    from policy import tenancy  # noqa: PLC0415 - needs Django
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from policy.core.money import Unit  # noqa: PLC0415
    from runs.operations.raise_budget import Raise, raise_budget  # noqa: PLC0415

    more = Raise(unit=Unit.TOOL_CALLS, amount=MORE_CALLS, reason="the proof goes on")
    for budget_id in budgets:
        with tenancy.scope(tenant_id):
            if rows(LACKS, [budget_id])[0][0]:
                raise_budget(budget_id, more, by=SYSTEM, now=datetime.now(UTC))


def rows(statement: str, parameters: list[Any] | dict[str, Any]) -> list[tuple[Any, ...]]:
    """Read rows within the open tenancy scope."""
    from django.db import connection  # noqa: PLC0415 - needs Django

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


if __name__ == "__main__":
    main()
