import json

from agentops.play.judge import Evidence, judge
from agentops.play.report import SHOWN, Report
from agentops.play.workload import parse
from tests.unit.play.workload_files import a_file, a_task


def a_report(*, wrong: int, right: int = 1) -> Report:
    tasks = parse(a_file(*(a_task(id=f"t{place}") for place in range(wrong + right)))).tasks
    good = Evidence(run_state="succeeded", records={}, effects=())
    evidence = dict.fromkeys(range(wrong, wrong + right), good)
    return Report(
        verdict=judge(tasks, evidence),
        approvals=1,
        unknown=2,
        kills=3,
        steps=4,
        seconds=5.678,
        calls={},
    )


def test_the_last_line_has_every_number_that_is_promised() -> None:
    line = json.loads(a_report(wrong=1).line())

    promised = {"tasks", "right", "writes_expected", "writes_seen", "duplicated", "missing"}
    assert promised | {"unknown", "approvals", "kills", "steps", "seconds"} <= set(line)
    assert (line["tasks"], line["right"], line["seconds"]) == (2, 1, 5.68)


def test_a_play_without_wrong_tasks_says_so() -> None:
    report = a_report(wrong=0)

    assert report.all_right
    assert list(report.table()) == ["All 1 tasks ended right."]


def test_every_wrong_task_is_named_with_its_reason() -> None:
    report = a_report(wrong=2)

    assert not report.all_right
    assert list(report.table()) == [
        "2 of 3 tasks are wrong:",
        "  task 't0'  the run is not started",
        "  task 't1'  the run is not started",
    ]


def test_a_long_table_is_cut() -> None:
    lines = list(a_report(wrong=SHOWN + 2).table())

    assert len(lines) == SHOWN + 2
    assert lines[-1] == "  … and 2 more"
