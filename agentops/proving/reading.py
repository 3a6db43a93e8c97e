"""A run's end as the database tells it, without what may differ between two plays of it.

Its children are named after the place that spawned them, here and in what the run tells of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from agentops.proving import driver
from policy import tenancy
from runs.artifacts.here import kept_here
from runs.core.files import FILES
from runs.errors import ArtifactLost

JOIN: Final = "join"
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
EVENTS: Final = "SELECT count(*), coalesce(max(seq), 0) FROM runs_events(%s, 0, NULL)"
BROODS: Final = """
SELECT jsonb_agg(jsonb_build_object('place', concat_ws('/', super_step, task, ordinal),
  'brood', outcome -> 'value') ORDER BY super_step, task, ordinal)::text
FROM runs_effect WHERE run_id = %s AND kind = 'child' AND state = 'done'
"""
MONEY: Final = """
SELECT b.cost_spent + b.cost_overdraft = (SELECT coalesce(sum(e.cost), 0) FROM runs_effect AS e
    JOIN runs_run AS r ON r.id = e.run_id WHERE r.id = %(run)s OR %(run)s = ANY (r.ancestor_ids)),
  b.cost_reserved = 0 AND b.tokens_reserved = 0 AND b.model_calls_reserved = 0
    AND b.tool_calls_reserved = 0
FROM policy_budget AS b WHERE b.id = %(budget)s
"""


def ends(tenant_id: UUID, ids: list[str]) -> dict[str, Any]:
    """Read the end of each run."""
    with tenancy.scope(tenant_id):
        return {run: _end(run) for run in ids}


def _end(run: str) -> dict[str, Any]:
    names = _names(run)
    row = _json(RUN, run, names)
    checkpoints = _json(CHECKPOINTS, run, names)
    [(events, last)] = driver.rows(EVENTS, [run])
    [(adds_up, nothing_reserved)] = driver.rows(MONEY, {"run": UUID(run), "budget": row["budget"]})
    return {
        "run": run,
        "children": {name: _end(one) for one, name in names.items() if not name.startswith(JOIN)},
        "state": row["state"],
        "output": row["output"],
        "error_class": row["error_class"],
        "checkpoints": checkpoints,
        "effects": _json(EFFECTS, run, names),
        "super_step": row["super_step"],
        "events_whole": events == last == row["event_seq"],
        "money_adds_up": adds_up,
        "nothing_reserved": nothing_reserved,
        "files_there": all(_is_there(digest) for digest in _named(checkpoints)),
    }


def _named(checkpoints: Iterable[Mapping[str, Any]]) -> set[str]:
    """Collect the digests of the files that checkpoints name."""
    written = [file for row in checkpoints for file in row["writes"].get(FILES, {}).values()]
    return {file["digest"] for file in written if file is not None}


def _is_there(digest: str) -> bool:
    try:
        kept_here().kept(str(tenancy.required("Artifact")), digest)
    except ArtifactLost:
        return False
    return True


def _names(run: str) -> dict[str, str]:
    """Name a run's children, and its joins, by their ids."""
    found: dict[str, str] = {}
    for row in _json(BROODS, run, {}) or []:
        found[row["brood"]["join"]] = f"{JOIN} {row['place']}"
        found |= {one: f"child {row['place']}:{n}" for n, one in enumerate(row["brood"]["runs"])}
    return found


def _json(statement: str, run: str, names: Mapping[str, str]) -> Any:
    text: str = driver.rows(statement, [run])[0][0] or "null"
    for one, name in names.items():
        text = text.replace(one, name)
    return json.loads(text)
