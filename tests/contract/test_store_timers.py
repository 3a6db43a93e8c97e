"""What both stores promise of a moment that a task waits for."""

from __future__ import annotations

from policy.core.money import Amounts
from runs.core.effects import EffectKind, EffectState, Place
from tests.contract.builds import a_tool, done, put
from tests.contract.grounds import LEASE, Ground, claim


def test_a_moment_to_wait_for_is_found_as_it_was_chosen(ground: Ground) -> None:
    run_id = ground.start("a")
    due = {"due": "2030-01-01T00:00:00+00:00"}
    held = a_tool(kind=EffectKind.TIMER, state=EffectState.HELD, outcome=due, reserve=Amounts())
    put(ground, claim(ground, run_id), held)
    ground.pass_time(run_id, LEASE + 1)

    again = claim(ground, run_id, "w2")
    (row,) = again.ledger
    assert (row.state, row.outcome, row.approval) == (EffectState.HELD, due, "")

    put(ground, again, a_tool(Place(0, "a", 1)), done())

    assert ground.effects(run_id)["/0/a/0"].state == "done"
