from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentops.play.books import Answer, Books, Call, matching
from agentops.play.tool_server import _result
from agentops.play.workload import Workload, parse
from tests.unit.play.workload_files import a_file, a_task, an_action, an_inc

WRITE = an_action(effects=[an_inc("n")], result="w")
READ = an_action(arguments={"read": 1}, result="r")
ERROR = an_action(arguments={"bad": 1}, result=None, error="no")


@contextmanager
def books(folder: Path, *actions: dict[str, Any], blunt: bool = False) -> Iterator[Books]:
    opened = Books(
        folder / "b.sqlite3", parse(a_file(a_task(*actions))), blunt=blunt, clock=lambda: 1.0
    )
    try:
        yield opened
    finally:
        opened.close()


def a_call(arguments: dict[str, Any] | None = None, key: str | None = "k1") -> Call:
    return Call(run="r", name="save", arguments=arguments or {}, key=key)


def actions_of(workload: Workload) -> Any:
    return workload.tasks[0].actions


def test_a_call_means_the_first_unplayed_action_that_is_equal() -> None:
    actions = actions_of(parse(a_file(a_task(READ, WRITE, READ))))
    read = actions[0].digest

    assert matching(actions, set(), read, blunt=False) == 0
    assert matching(actions, {0}, read, blunt=False) == 2
    assert matching(actions, {0, 2}, read, blunt=False) is None
    assert matching(actions, set(), "other", blunt=True) is None


def test_a_blunt_service_takes_a_played_write_again() -> None:
    without_effects = an_action(result="w")
    actions = actions_of(parse(a_file(a_task(WRITE, without_effects))))

    assert matching(actions, {0, 1}, actions[0].digest, blunt=True) == 0


def test_effects_and_ledger_row_come_together(tmp_path: Path) -> None:
    with books(tmp_path, WRITE) as opened:
        answer = opened.answer(a_call(), 0)

        assert answer == Answer("answered", result="w")
        assert opened.records(0) == {"n": 1}
        [row] = opened.ledger()
        assert (row.task, row.run, row.action, row.key, row.attempt) == (0, "r", 0, "k1", 1)


def test_the_same_key_gets_the_first_answer_again_and_changes_nothing(tmp_path: Path) -> None:
    with books(tmp_path, WRITE, WRITE) as opened:
        first, again = opened.answer(a_call(), 0), opened.answer(a_call(), 0)

        assert (first.result, again.result) == ("w", "w")
        assert again.verdict == "replayed"
        assert opened.records(0) == {"n": 1}
        assert opened.counts() == {"calls": 2, "answered": 1, "replayed": 1, "effects": 1}


def test_the_same_key_with_other_arguments_is_an_error(tmp_path: Path) -> None:
    with books(tmp_path, WRITE, READ) as opened:
        opened.answer(a_call(), 0)
        answer = opened.answer(a_call({"read": 1}), 0)

        assert answer.verdict == "conflict"
        assert answer.error is not None
        assert opened.answer(a_call({"read": 1}, key="k2"), 0).result == "r"


def test_a_write_that_is_meant_twice_happens_twice(tmp_path: Path) -> None:
    with books(tmp_path, WRITE, WRITE) as opened:
        opened.answer(a_call(key="k1"), 0)
        opened.answer(a_call(key="k2"), 0)

        assert [row.action for row in opened.ledger()] == [0, 1]


def test_an_error_changes_nothing_and_is_said_again(tmp_path: Path) -> None:
    with books(tmp_path, ERROR) as opened:
        assert opened.answer(a_call({"bad": 1}), 0).error == "no"
        assert opened.answer(a_call({"bad": 1}), 0).error == "no"
        assert opened.ledger() == []


def test_a_call_that_means_nothing_is_a_stray(tmp_path: Path) -> None:
    with books(tmp_path, WRITE) as opened:
        assert opened.answer(a_call({"x": 1}), 0).error is not None
        assert opened.counts() == {"calls": 1, "stray": 1, "effects": 0}


def test_a_blunt_service_ignores_keys_and_shows_the_duplicate(tmp_path: Path) -> None:
    with books(tmp_path, WRITE, READ, blunt=True) as opened:
        opened.answer(a_call(), 0)
        opened.answer(a_call(), 0)

        assert opened.records(0) == {"n": 2}
        assert [(row.action, row.attempt) for row in opened.ledger()] == [(0, 1), (0, 2)]
        assert opened.answer(a_call({"read": 1}), 0).result == "r"
        assert opened.answer(a_call({"read": 1}), 0).result == "r"


def test_a_duplicate_whose_place_is_gone_still_counts(tmp_path: Path) -> None:
    removal = an_action(effects=[{"op": "del", "path": ["l", 0]}])
    task = a_task(removal, initial_records={"l": [1]})
    opened = Books(tmp_path / "b", parse(a_file(task)), blunt=True, clock=lambda: 1.0)

    opened.answer(a_call(), 0)
    opened.answer(a_call(), 0)

    assert opened.records(0) == {"l": []}
    assert len(opened.ledger()) == 2
    opened.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with books(tmp_path, WRITE, WRITE) as before:
        before.register("r", 0)
        before.answer(a_call(), 0)

    with books(tmp_path, WRITE, WRITE) as after:
        assert after.runs() == {"r": 0}
        assert after.records(0) == {"n": 1}
        assert after.answer(a_call(), 0).verdict == "replayed"


@pytest.mark.parametrize("blunt", [True, False])
def test_the_books_say_whether_a_call_happened(tmp_path: Path, *, blunt: bool) -> None:
    with books(tmp_path, WRITE, ERROR, blunt=blunt) as opened:
        opened.register("r", 0)
        opened.answer(a_call(), 0)
        opened.answer(a_call({"bad": 1}, key="k2"), 0)

        assert opened.look_up("r", "k1") == Answer("answered", result="w")
        assert opened.look_up("r", "k2") == Answer("answered", error="no")
        assert opened.look_up("r", "k3") is None
        assert opened.look_up("another", "k1") is None


def test_a_task_that_is_not_has_no_records(tmp_path: Path) -> None:
    with books(tmp_path) as opened, pytest.raises(LookupError, match="no task 9"):
        opened.records(9)


@pytest.mark.parametrize(
    ("value", "text", "structured"),
    [
        ("as it is", "as it is", None),
        ({"a": [1, None]}, '{"a": [1, null]}', {"a": [1, None]}),
        (None, "null", None),
        (0, "0", 0),
        ("half \ud800", "half \ufffd", None),
    ],
)
def test_a_result_goes_out_as_it_is(value: Any, text: str, structured: Any) -> None:
    sent = _result(Answer("answered", result=value))

    [content] = sent.content
    assert content.type == "text"
    assert (content.text, sent.structured_content, sent.is_error) == (text, structured, False)


def test_an_error_goes_out_as_a_tool_error() -> None:
    assert _result(Answer("answered", error="no")).is_error
