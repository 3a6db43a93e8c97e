"""A run's end as the database tells it, without what may differ between two plays of it."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

from agentops.proving import driver
from policy import tenancy

RUN: Final = """
SELECT to_jsonb(x)::text FROM (SELECT state, output, error_class, super_step, event_seq,
  budget_ids[1] AS budget FROM runs_run WHERE id = %s) AS x
"""
CHECKPOINTS: Final = """
SELECT coalesce(jsonb_agg(jsonb_build_object('super_step', super_step, 'token', fencing_token,
  'writes', writes) ORDER BY super_step), '[]')::text FROM runs_checkpoint WHERE run_id = %s
"""
EFFECTS: Final = """
SELECT coalesce(jsonb_agg(jsonb_build_object('key', concat_ws('/', run_id, super_step, task,
  ordinal), 'kind', kind, 'name', name, 'class', effect, 'state', state, 'outcome', outcome,
  'arguments', request) ORDER BY super_step, task, ordinal), '[]')::text
FROM runs_effect WHERE run_id = %s
"""
EVENTS: Final = "SELECT count(*), coalesce(max(seq), 0) FROM runs_runevent WHERE run_id = %s"
MONEY: Final = """
SELECT b.cost_spent + b.cost_overdraft = (SELECT coalesce(sum(cost), 0) FROM runs_effect
    WHERE run_id = %s),
  b.cost_reserved = 0 AND b.tokens_reserved = 0 AND b.model_calls_reserved = 0
    AND b.tool_calls_reserved = 0
FROM policy_budget AS b WHERE b.id = %s
"""


def ends(tenant_id: UUID, ids: list[str]) -> dict[str, Any]:
    """Read the end of each run."""
    with tenancy.scope(tenant_id):
        return {run: _end(run) for run in ids}


def _end(run: str) -> dict[str, Any]:
    row = _json(RUN, run)
    [(events, last)] = driver.rows(EVENTS, [run])
    [(adds_up, nothing_reserved)] = driver.rows(MONEY, [run, row["budget"]])
    return {
        "state": row["state"],
        "output": row["output"],
        "error_class": row["error_class"],
        "checkpoints": _json(CHECKPOINTS, run),
        "effects": _json(EFFECTS, run),
        "super_step": row["super_step"],
        "events_whole": events == last == row["event_seq"],
        "money_adds_up": adds_up,
        "nothing_reserved": nothing_reserved,
    }


def _json(statement: str, run: str) -> Any:
    return json.loads(driver.rows(statement, [run])[0][0])
