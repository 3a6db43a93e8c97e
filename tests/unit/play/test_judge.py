from typing import Any

import pytest

from agentops.play.judge import Evidence, judge, judge_task
from agentops.play.workload import Task, parse
from tests.unit.play.workload_files import a_file, a_task, an_action, an_inc


def two_writes(**more: Any) -> Task:
    writes = [an_action(effects=[an_inc("n")]), an_action(), an_action(effects=[an_inc("n")])]
    return parse(a_file(a_task(*writes, **more))).tasks[0]


def evidence(*effects: int, n: int = 2, state: str = "succeeded") -> Evidence:
    return Evidence(run_state=state, records={"n": n}, effects=effects)


def test_a_task_is_right_when_run_records_and_ledger_are() -> None:
    verdict = judge_task(two_writes(), evidence(0, 2))

    assert verdict.right
    assert (verdict.writes_expected, verdict.writes_seen) == (2, 2)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (evidence(0, 2, state="failed"), "the run is failed"),
        (evidence(0, 2, n=3), "the records did not end as they should"),
        (evidence(0, 2, 2), "1 effects happened twice"),
        (evidence(0), "1 effects never happened"),
        (evidence(2, 0), "effects happened out of order"),
        (evidence(0, 1, 2), "an effect happened that the task does not have"),
    ],
)
def test_each_of_the_things_that_may_be_wrong_is_named(seen: Evidence, reason: str) -> None:
    assert judge_task(two_writes(), seen).reasons == (reason,)


def test_a_write_made_twice_is_wrong_even_where_the_records_cannot_tell() -> None:
    action = an_action(effects=[{"op": "set", "path": ["n"], "value": 2}])
    task = parse(a_file(a_task(action))).tasks[0]

    verdict = judge_task(task, evidence(0, 0))

    assert (verdict.right, verdict.duplicated) == (False, 1)


def test_a_digest_that_the_records_do_not_have_is_wrong() -> None:
    task = two_writes(final_sha256="0" * 64)

    assert judge_task(task, evidence(0, 2)).reasons == (
        "the records end as the file says, but not with its final_sha256",
    )


def test_a_task_that_never_started_is_wrong_and_all_of_it_missing() -> None:
    verdict = judge([two_writes()], {})

    assert verdict.counts() == {
        "tasks": 1,
        "right": 0,
        "writes_expected": 2,
        "writes_seen": 0,
        "duplicated": 0,
        "missing": 2,
    }
    assert verdict.wrong[0].reasons[0] == "the run is not started"
