import json
from pathlib import Path
from typing import Any

import pytest

from agentops.play.records import sha256
from agentops.play.workload import OPEN_SCHEMA, WorkloadError, load, parse
from examples.workloads import make_parcel_desk
from tests.unit.play.workload_files import a_file, a_task, a_tool, an_action, an_inc


def test_the_workload_of_our_own_is_what_its_script_writes_and_consistent() -> None:
    written = json.loads(make_parcel_desk.TARGET.read_text(encoding="utf-8"))

    assert written == make_parcel_desk.workload()
    workload = load(make_parcel_desk.TARGET)
    assert workload.notes == ()
    assert len(workload.tasks) == 12
    assert workload.writes == 12
    assert workload.mutating_calls == 14
    assert "reserve_locker" in workload.mutating_tools
    assert all(task.final_sha256 == sha256(task.final_records) for task in workload.tasks)


def test_a_minimal_file_is_enough() -> None:
    workload = parse({"tools": [{"name": "x"}], "tasks": [{}, {"id": 7}]})

    assert [task.id for task in workload.tasks] == [0, 7]
    assert workload.tools[0].parameters["type"] == "object"
    assert (workload.writes, workload.most_actions, workload.longest_repetition) == (0, 0, 0)


@pytest.mark.parametrize("id_", [0, "0", None, "ü 📦/№", ["a", 1], {"k": "v"}, 1.5, True])
def test_ids_of_any_kind_have_a_label(id_: Any) -> None:
    assert isinstance(parse(a_file(a_task(id=id_))).tasks[0].label, str)


@pytest.mark.parametrize(
    ("instructions", "request_text"),
    [
        ("do it\0", "do it\ufffd"),
        ({"a": "b", "c": [1]}, "a: b\nc: [1]"),
        (None, "null"),
        (["x"], '["x"]'),
    ],
)
def test_instructions_of_any_kind_become_a_request(instructions: Any, request_text: str) -> None:
    task = parse(a_file(a_task(user_instructions=instructions))).tasks[0]

    assert task.request == request_text


@pytest.mark.parametrize(
    ("declared", "effects", "mutates"),
    [
        (None, [], False),
        (None, [an_inc("n")], True),
        (True, [], True),
        (False, [], False),
        (False, [an_inc("n")], True),
    ],
)
def test_a_tool_mutates_if_it_says_so_or_has_effects(
    *, declared: bool | None, effects: list[dict[str, Any]], mutates: bool
) -> None:
    tool = a_tool() if declared is None else a_tool(mutates_state=declared)

    workload = parse(a_file(a_task(an_action(effects=effects)), tools=[tool]))

    assert workload.tools[0].mutates is mutates
    assert workload.mutating_calls == int(mutates)


def test_an_action_with_an_error_changes_nothing() -> None:
    action = an_action(result=None, error="no", effects=[an_inc("n")])

    workload = parse(a_file(a_task(action, initial_records={"n": 1})))

    assert workload.writes == 0
    assert workload.tasks[0].final_records == {"n": 1}


def test_records_that_the_file_leaves_out_follow_from_the_effects() -> None:
    workload = parse(a_file(a_task(an_action(effects=[an_inc("n")]))))

    assert workload.tasks[0].final_records == {"n": 1}
    assert workload.notes == ()


def test_a_file_that_contradicts_itself_is_played_with_a_note() -> None:
    wrong_end = a_task(an_action(effects=[an_inc("n")]), final_records={"n": 2})
    wrong_sha = a_task(final_records={}, final_sha256="0" * 64)

    assert len(parse(a_file(wrong_end, wrong_sha)).notes) == 2


def test_a_schema_that_the_own_calls_do_not_fit_is_opened_with_a_note() -> None:
    tool = a_tool(parameters={"type": "object", "required": ["n"]})

    workload = parse(a_file(a_task(an_action()), tools=[tool]))

    assert workload.tools[0].parameters == OPEN_SCHEMA
    assert "'n' is a required property" in workload.notes[0]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "nonsense"},
        {"properties": {"a": 5}},
        {"$ref": "https://example.org/schema.json"},
        {"description": "x" * 70_000},
    ],
)
def test_a_schema_that_cannot_be_used_is_opened(schema: dict[str, Any]) -> None:
    workload = parse(a_file(a_task(an_action()), tools=[a_tool(parameters=schema)]))

    assert workload.tools[0].parameters == OPEN_SCHEMA
    assert len(workload.notes) == 1


def test_a_name_that_no_tool_can_have_is_replaced_where_it_is_offered() -> None:
    names = ["käse kaufen", "tool_0_k_se_kaufen", "ok-name", "9", "x" * 65]
    workload = parse(a_file(a_task(), tools=[a_tool(name) for name in names]))
    offered = [tool.offered for tool in workload.tools]

    assert [tool.name for tool in workload.tools] == names
    assert offered[:4] == ["tool_0_k_se_kaufen_", "tool_0_k_se_kaufen", "ok-name", "tool_3_9"]
    assert len(offered[4]) < 64
    assert len(workload.notes) == 3


def test_the_first_tasks_keep_every_tool() -> None:
    workload = parse(a_file(a_task(an_action()), a_task())).first(1)

    assert (len(workload.tasks), len(workload.tools)) == (1, 1)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "the file: expected an object"),
        ({"tasks": []}, "the file.tools: expected a list, found nothing"),
        ({"tools": []}, "the file.tasks: expected a list, found nothing"),
        ({"tools": [], "tasks": []}, "nothing to play"),
        (a_file(a_task(), tools=[a_tool(), a_tool()]), r"tools\[1\].name: 'save' stands .* twice"),
        (a_file(a_task(), tools=[a_tool("")]), r"tools\[0\].name: expected a text"),
        (a_file(a_task(), tools=[a_tool(mutates_state=1)]), r"tools\[0\].mutates_state"),
        (a_file(a_task(), a_task(an_action("?"))), r"tasks\[1\].actions\[0\].name: '\?' is not"),
        (a_file(a_task(an_action(arguments=[1]))), r"tasks\[0\].actions\[0\].arguments"),
        (a_file(a_task(initial_records=[1])), r"tasks\[0\].initial_records: expected an object"),
        (a_file(a_task(final_sha256=1)), r"tasks\[0\].final_sha256"),
        (a_file(a_task(an_action(effects=[{"op": "zap"}]))), r"effects\[0\].op: expected one of"),
        (a_file(a_task(an_action(effects=[{"op": "del", "path": []}]))), r"path: empty"),
        (a_file(a_task(an_action(effects=[{"op": "del", "path": [True]}]))), r"path: expected"),
        (a_file(a_task(an_action(effects=[{"op": "set", "path": ["a"]}]))), r"value: missing"),
        (a_file(a_task(an_action(effects=[an_inc("a", delta="x")]))), r"delta: expected a num"),  # type: ignore[arg-type]
        (a_file(a_task(an_action(effects=[an_inc("a", digits="x")]))), r"digits: expected"),
        (
            a_file(a_task(an_action(effects=[an_inc("a", "b")]), initial_records={"a": []})),
            r"tasks\[0\].actions\[0\].effects: inc a/b: the records have no such place",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(broken: Any, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        parse(broken)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"tools": NaN}', "not JSON: NaN is not a JSON number"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(content)

    with pytest.raises(WorkloadError, match=f"w.json: {message}"):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"none.json: No such file"):
        load(tmp_path / "none.json")
    with pytest.raises(WorkloadError, match="Is a directory"):
        load(tmp_path)
