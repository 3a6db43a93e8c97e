from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.agents.context import State
from runs.core.channels import Channel, Log, Reducer
from runs.errors import InvalidWrite
from tests.unit.runs.values import JSON

ITEMS = st.lists(JSON, max_size=4)


def merged(reducer: Reducer, *writes: Any) -> Any:
    channel = Channel(reducer=reducer)
    return channel.merge("it", channel.empty(), writes)


def test_a_plain_channel_keeps_the_one_value_written() -> None:
    assert merged(Reducer.LAST, {"a": 1}) == {"a": 1}


def test_two_writes_to_a_plain_channel_are_an_error_that_names_the_channel() -> None:
    with pytest.raises(InvalidWrite, match="'it'"):
        merged(Reducer.LAST, 1, 2)


def test_a_sum_adds_and_a_merge_lets_the_later_task_win() -> None:
    assert merged(Reducer.SUM, 1, 2, -3.5) == -0.5
    assert merged(Reducer.MERGE, {"a": 1, "b": 1}, {"b": 2}) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("reducer", "wrong"),
    [
        (Reducer.SUM, True),
        (Reducer.SUM, "1"),
        (Reducer.MERGE, [1]),
        (Reducer.LOG, "text"),
        (Reducer.LOG, {"a": 1}),
    ],
)
def test_a_write_that_does_not_fit_its_reducer_is_an_error(reducer: Reducer, wrong: Any) -> None:
    with pytest.raises(InvalidWrite):
        merged(reducer, wrong)


def test_a_sum_without_bounds_stays_a_number_that_can_be_stored() -> None:
    assert merged(Reducer.SUM, 2**64 - 1, 1) == float(2**64)
    with pytest.raises(InvalidWrite):
        merged(Reducer.SUM, 1e308, 1e308)


@given(st.lists(ITEMS, max_size=5))
def test_a_log_is_the_concatenation_of_what_was_appended(parts: list[list[Any]]) -> None:
    log = Log()
    for part in parts:
        log = log.extended(part)

    assert list(log) == [item for part in parts for item in part]
    assert len(log) == sum(map(len, parts))


@given(st.lists(st.tuples(st.integers(0, 50), ITEMS), max_size=8))
def test_extending_a_log_never_changes_any_shorter_one(steps: list[tuple[int, list[Any]]]) -> None:
    logs, meant = [Log()], [list[Any]()]
    for which, items in steps:
        of = which % len(logs)
        logs.append(logs[of].extended(items))
        meant.append([*meant[of], *items])

    assert [list(log) for log in logs] == meant
    assert [len(log) for log in logs] == [len(items) for items in meant]


def test_a_stored_log_is_read_once_and_only_when_it_is_wanted() -> None:
    reads = []

    def read() -> list[Any]:
        reads.append(1)
        return ["a", "b", "from a later super-step"]

    log = Log.kept_elsewhere(2, read).extended(["c"])
    length, before = len(log), list(reads)

    assert (length, before) == (3, [])
    assert (list(log), log[-1], log[:2]) == (["a", "b", "c"], "c", ["a", "b"])
    assert reads == [1]


def test_what_a_task_does_to_its_copy_of_the_state_changes_nothing() -> None:
    channels = {"facts": {"a": [1]}, "notes": Log().extended([{"n": 1}])}
    state = State(channels, lambda _: None)

    state["facts"]["a"].append(2)
    state["notes"][0]["n"] = 2
    for note in state["notes"]:
        note["n"] = 3

    assert state["facts"] == {"a": [1]}
    assert list(state["notes"]) == [{"n": 1}]


def test_a_channel_that_nobody_wrote_reads_as_empty() -> None:
    channel = Channel(reducer=Reducer.SUM)

    assert State({}, lambda _: channel.empty())["total"] == 0
