from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.json import storable
from policy.core.outcomes import ErrorClass
from runs.core import results
from runs.core.channels import Log
from runs.core.checkpoint import Checkpoint, TaskSpec, decode, encode
from runs.core.graph import Send
from runs.core.lifecycle import Reason
from runs.core.results import Broken, Finished, Held, TaskResult
from runs.errors import UnknownVersion
from tests.unit.runs.values import JSON, NAMES

GOLDEN = Path(__file__).parents[2] / "golden"

SPECS = st.builds(TaskSpec, id=NAMES, node=NAMES, arg=JSON)
PLAIN = st.dictionaries(NAMES, JSON.filter(lambda v: v is not None), max_size=3)
LOGS = st.dictionaries(NAMES.map(lambda n: f"log {n}"), st.lists(JSON, max_size=3), max_size=2)


def reloaded(checkpoint: Checkpoint, logs: dict[str, list[Any]]) -> Checkpoint:
    """Store a checkpoint as JSON text and read it back."""
    head = json.loads(json.dumps(encode(checkpoint)))
    values = {n: v for n, v in checkpoint.channels.items() if not isinstance(v, Log)}

    def read_log(name: str) -> Callable[[], list[Any]]:
        return lambda: logs[name]

    return decode(checkpoint.super_step, head, json.loads(json.dumps(values)), read_log)


@given(PLAIN, LOGS, st.lists(SPECS, max_size=3), st.integers(0, 1000))
def test_a_checkpoint_is_read_back_as_it_was_written(
    plain: dict[str, Any], logs: dict[str, list[Any]], specs: list[TaskSpec], super_step: int
) -> None:
    channels: dict[str, Any] = {**plain, **{n: Log().extended(i) for n, i in logs.items()}}
    written = dict.fromkeys(channels, super_step)
    before = Checkpoint(
        super_step=super_step, channels=channels, written=written, tasks=tuple(specs)
    )

    after = reloaded(before, logs)

    assert (after.super_step, after.written, after.tasks) == (super_step, written, tuple(specs))
    assert {n: list(v) if isinstance(v, Log) else v for n, v in after.channels.items()} == {
        **plain,
        **logs,
    }
    assert all(isinstance(after.channels[name], Log) for name in logs)


def test_a_checkpoint_of_version_1_can_be_read_for_ever() -> None:
    golden = json.loads((GOLDEN / "checkpoint_v1.json").read_text("utf-8"))

    found = decode(
        golden["super_step"],
        golden["head"],
        golden["values"],
        lambda name: lambda: golden["logs"][name],
    )

    assert encode(found) == golden["head"]
    assert found.tasks == (
        TaskSpec(id="act.0", node="act", arg={"id": "call_0", "name": "crm.read"}),
        TaskSpec(id="act.1", node="act", arg={"id": "call_1", "name": "payments.refund"}),
        TaskSpec(id="watch", node="watch"),
    )
    assert found.channels["input"] == {"order": 7}
    assert list(found.channels["messages"]) == golden["logs"]["messages"]
    assert (len(found.channels["notes"]), found.channels["total"]) == (0, 2.5)


def test_a_checkpoint_of_version_2_can_be_read_for_ever() -> None:
    golden = json.loads((GOLDEN / "checkpoint_v2.json").read_text("utf-8"))

    found = decode(
        golden["super_step"],
        golden["head"],
        golden["values"],
        lambda name: lambda: golden["logs"][name],
    )

    assert encode(found) == golden["head"]
    assert found.skipped == ((3, 5), (7, 6))
    assert list(found.channels["messages"]) == golden["logs"]["messages"]


def test_a_run_that_was_not_rewound_is_written_for_the_release_before() -> None:
    assert encode(Checkpoint(super_step=1, channels={}, written={}, tasks=()))["v"] == 1


def test_a_checkpoint_newer_than_the_code_is_refused_by_name() -> None:
    with pytest.raises(UnknownVersion, match="version 99"):
        decode(0, {"v": 99}, {}, lambda _: list)


RESULTS: st.SearchStrategy[TaskResult] = st.one_of(
    st.builds(
        Finished,
        writes=st.dictionaries(NAMES, JSON, max_size=3),
        next=st.none()
        | st.lists(NAMES | st.builds(Send, node=NAMES, arg=JSON), max_size=3).map(tuple),
    ),
    st.builds(
        Held,
        reason=st.sampled_from(Reason),
        until=st.none() | st.datetimes(timezones=st.just(UTC)),
        exhausted=st.just("") | st.text(max_size=20).map(storable),
    ),
    st.builds(Broken, error_class=st.sampled_from(ErrorClass), detail=st.text().map(storable)),
)


@given(RESULTS)
def test_a_result_is_read_back_as_it_was_written(result: TaskResult) -> None:
    assert results.from_json(json.loads(json.dumps(results.to_json(result)))) == result


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(ValueError, match="no task result"):
        results.from_json({"is": "something else"})
