"""A database that goes away while an agent's code reads."""

from __future__ import annotations

from typing import Any

from runs.agents import Node, Program, SyncContext, graph
from runs.errors import StoreAway
from runs.testing import play


def test_a_store_that_goes_away_while_a_node_reads_does_not_fail_the_run() -> None:
    absences = ["the connection is closed"]

    def reads(_: SyncContext) -> dict[str, Any]:
        if absences:
            raise StoreAway(absences.pop())
        return {}

    program = Program(
        name="it", version="1", graph=graph(Node(name="main", run=reads), start="main")
    )
    done = play(program, None)

    assert (done.state, done.error, absences) == ("succeeded", "", [])
