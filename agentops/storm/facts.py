"""What the database says after a storm, read past every proxy with the system's role."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

RUNS: Final = """
SELECT r.id::text, r.metadata ->> 'proof' AS name,
  r.state, r.reason, r.super_step, r.event_seq, r.agent_name AS agent,
  r.error_class, r.fencing_token,
  c.super_steps, c.tokens, e.events, e.last_event,
  b.cost_limit, b.cost_spent, b.cost_reserved, b.tokens_limit, b.tokens_spent, b.tokens_reserved,
  b.model_calls_limit, b.model_calls_spent, b.model_calls_reserved,
  b.tool_calls_limit, b.tool_calls_spent, b.tool_calls_reserved,
  b.cost_spent + b.cost_overdraft AS cost_booked,
  b.tokens_spent + b.tokens_overdraft AS tokens_booked, e2.cost AS cost_in_ledger,
  e2.tokens AS tokens_in_ledger
FROM runs_run AS r
LEFT JOIN LATERAL (SELECT array_agg(super_step ORDER BY super_step) AS super_steps,
  array_agg(fencing_token ORDER BY super_step) AS tokens
  FROM runs_checkpoint WHERE run_id = r.id) AS c ON true
LEFT JOIN LATERAL (SELECT count(*) AS events, max(seq) AS last_event
  FROM runs_events(r.id, 0, NULL)) AS e ON true
LEFT JOIN LATERAL (SELECT coalesce(sum(cost), 0) AS cost,
  coalesce(sum(input_tokens + output_tokens), 0) AS tokens
  FROM runs_effect WHERE run_id = r.id) AS e2 ON true
LEFT JOIN policy_budget AS b ON b.id = r.budget_ids[1]
"""
EFFECTS: Final = """
SELECT concat_ws('/', run_id, super_step, task, ordinal) AS key, kind, effect AS class, state,
  error_class FROM runs_effect
"""
AUDITED: Final = (
    "SELECT action || ' ' || subject AS what, count(*) AS times FROM policy_auditevent GROUP BY 1"
)
STANDS: Final = """
SELECT id::text, state, event_seq, super_step, (fencing_token) AS token FROM runs_run
"""

Rows = list[dict[str, Any]]


class Eyes:
    """A reader of the database itself, that opens its eyes again when the server was away."""

    def __init__(self, database_url: str, tenant_id: str) -> None:
        self._url, self._tenant = database_url, tenant_id
        self._open: psycopg.Connection[dict[str, Any]] | None = None

    def rows(self, statement: str, parameters: list[Any] | dict[str, Any] | None = None) -> Rows:
        """Read rows.

        Raises:
            psycopg.Error: the server is away just now.
        """
        connection = self._connected()
        try:
            return connection.execute(statement.encode(), parameters).fetchall()
        except psycopg.OperationalError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connected(self) -> psycopg.Connection[dict[str, Any]]:
        if self._open is None:
            opened = psycopg.connect(
                self._url, autocommit=True, connect_timeout=3, row_factory=dict_row
            )
            opened.execute("SELECT set_config('agentops.tenant_id', %s, false)", [self._tenant])
            self._open = opened
        return self._open
