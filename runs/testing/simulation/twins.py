"""The fault-free twins: how each program ends where nothing goes wrong."""

from __future__ import annotations

from runs.core.lifecycle import RunState
from runs.testing.rows import RunRow
from runs.testing.simulation import verdict
from runs.testing.simulation.bugs import NONE
from runs.testing.simulation.families import PLAYED
from runs.testing.simulation.schedule import Schedule


def learn() -> None:
    """Play every program alone and without faults, once."""
    if verdict.TWINS:
        return
    for name in sorted(PLAYED):
        schedule = Schedule(0, NONE, None, names=(name,))
        schedule.go()
        run: RunRow = schedule.ground.store.runs["run-0"]
        if schedule.ground.violations or run.state is not RunState.SUCCEEDED:
            why = schedule.ground.violations or [run.error_detail]
            raise AssertionError(f"{name} does not succeed even without faults: {why}")
        for one in schedule.ground.store.runs.values():
            if one.state is not RunState.CANCELLED:
                verdict.TWINS[verdict.twin(one)] = verdict.history(one)
