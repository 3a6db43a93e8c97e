"""What no row of a run may be, whoever writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from runs.ports import Put
from tests.contract.builds import a_model
from tests.contract.grounds import claim

if TYPE_CHECKING:
    from tests.contract.postgres_ground import PostgresGround

BROKEN = {
    "run_state_is_known": "state = 'nowhere'",
    "run_reason_is_known": "state = 'waiting', reason = 'boredom'",
    "run_priority_is_known": "priority = 'highest'",
    "run_finished_iff_final": "state = 'failed'",
    "run_held_back_has_reason": "state = 'waiting'",
    "run_lease_only_while_running": "lease_expires_at = now()",
    "run_in_line_only_while_queued": "state = 'running', queue_at = now()",
}


@pytest.mark.parametrize("rule", BROKEN)
def test_no_row_breaks_it(postgres: PostgresGround, rule: str) -> None:
    run_id = postgres.start("a")

    with (
        postgres.system.connection() as connection,
        pytest.raises(psycopg.errors.CheckViolation) as refused,
    ):
        connection.execute(f"UPDATE runs_run SET {BROKEN[rule]} WHERE id = %s", [run_id])  # noqa: S608 - ours

    assert refused.value.diag.constraint_name == rule


@pytest.mark.parametrize(
    ("rule", "table", "change"),
    [
        ("effect_state_is_known", "runs_effect", "state = 'nowhere'"),
        ("effect_finished_iff_done_or_failed", "runs_effect", "state = 'done'"),
        ("task_state_is_known", "runs_task", "state = 'nowhere'"),
    ],
)
def test_no_row_of_what_it_does_breaks_it(
    postgres: PostgresGround, rule: str, table: str, change: str
) -> None:
    run_id = postgres.start("a")
    lease = claim(postgres, run_id).lease
    assert postgres.store.put_effect(lease, a_model(), []) is Put.OK
    postgres.store.fan_out(lease, ["a", "b"])

    with (
        postgres.system.connection() as connection,
        pytest.raises(psycopg.errors.CheckViolation) as refused,
    ):
        connection.execute(f"UPDATE {table} SET {change} WHERE run_id = %s", [run_id])  # noqa: S608 - ours

    assert refused.value.diag.constraint_name == rule


def test_a_reason_that_is_known_may_be_given(postgres: PostgresGround) -> None:
    run_id = postgres.start("a")

    with postgres.system.connection() as connection:
        connection.execute(
            "UPDATE runs_run SET state = 'waiting', reason = 'timer' WHERE id = %s", [run_id]
        )
