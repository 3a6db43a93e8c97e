"""What changed between two moments, the ways back and aside, and what they leave standing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.json import canonical
from runs.core.channels import Channel, Log, Reducer
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.graph import Graph, Node, graph
from runs.core.recorded.travel import Change, diff, forked, plain, rewound, stands
from runs.errors import InvalidInput
from tests.unit.runs.values import JSON, NAMES

A = TaskSpec(id="a", node="a")
STATES = st.dictionaries(NAMES, JSON, max_size=4)


def a_graph(*nodes: str) -> Graph:
    return graph(
        *(Node(name=name, run=lambda _: None) for name in nodes or ("a",)),
        start=nodes[0] if nodes else "a",
        channels={
            "notes": Channel(reducer=Reducer.LOG),
            "sum": Channel(reducer=Reducer.SUM),
            "facts": Channel(reducer=Reducer.MERGE),
        },
    )


def a_log(*items: Any) -> Log:
    return Log().extended(list(items))


def a_checkpoint(**channels: Any) -> Checkpoint:
    return Checkpoint(
        super_step=3, channels=channels, written=dict.fromkeys(channels, 3), tasks=(A,)
    )


@given(STATES, STATES)
def test_what_changed_leads_from_the_one_state_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    built = dict(before)
    for change in diff(before, after):
        if change.change == "removed":
            del built[change.channel]
        else:
            built[change.channel] = change.after

    assert canonical(built) == canonical(after)
    assert diff(before, before) == ()


def test_true_is_not_one() -> None:
    assert diff({"n": 1}, {"n": True}) == (
        Change(channel="n", change="changed", before=1, after=True),
    )


@pytest.mark.parametrize(
    ("after", "went", "came"),
    [(("a", "b", "c"), [], ["c"]), (("a",), ["b"], []), (("a", "x"), ["b"], ["x"])],
)
def test_of_a_log_only_what_went_and_what_came_is_said(
    after: tuple[str, ...], went: list[str], came: list[str]
) -> None:
    (change,) = diff({"log": a_log("a", "b")}, {"log": a_log(*after)})

    assert (change.change, change.before, change.after) == ("items", went, came)


def test_a_rewind_stands_after_the_present_and_skips_what_lies_between() -> None:
    once = rewound(a_checkpoint(sum=1), 7)

    assert (once.super_step, once.skipped, once.tasks) == (8, ((4, 7),), (A,))
    assert once.written == {"sum": 3}
    assert rewound(once, 11).skipped == ((4, 7), (9, 11))


def test_a_fork_holds_every_value_itself() -> None:
    past = a_checkpoint(sum=1, notes=a_log("a"), facts={"x": 1})

    first = forked(a_graph(), past, {"notes": ["b"], "sum": 2})

    assert (first.super_step, set(first.written.values()), first.skipped) == (0, {0}, ())
    assert {n: plain(v) for n, v in first.channels.items()} == {
        "sum": 2,
        "notes": ["b"],
        "facts": {"x": 1},
    }


@pytest.mark.parametrize(
    ("edits", "pointer"),
    [
        ({"nothing": 1}, "/state/nothing"),
        ({"notes": "text"}, "/state/notes"),
        ({"sum": True}, "/state/sum"),
        ({"facts": []}, "/state/facts"),
    ],
)
def test_an_edit_that_its_channel_cannot_hold_is_refused_by_name(
    edits: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        forked(a_graph(), a_checkpoint(sum=1), edits)

    assert [where for where, _ in refused.value.errors] == [pointer]


def test_a_version_without_the_node_or_channel_is_refused() -> None:
    past = a_checkpoint(old=1)

    with pytest.raises(InvalidInput) as refused:
        forked(a_graph("b"), past, {})

    assert [where for where, _ in refused.value.errors] == ["/version", "/version"]


def test_where_a_run_ended_nothing_can_be_forked() -> None:
    ended = Checkpoint(super_step=1, channels={}, written={}, tasks=())

    with pytest.raises(InvalidInput, match="ended there"):
        forked(a_graph(), ended, {})


@pytest.mark.parametrize(
    ("kind", "effect", "state", "error", "attempts", "expected"),
    [
        ("tool", "once", "done", "", [], "done"),
        ("tool", "idempotent", "done", "", [], "done"),
        ("tool", "read", "done", "", [], None),
        ("model", "idempotent", "done", "", [], None),
        ("tool", "once", "claimed", "", [], "unknown"),
        ("tool", "once", "unknown", "", [], "unknown"),
        ("tool", "once", "held", "", [], None),
        ("tool", "once", "failed", "policy_denied", [], None),
        ("tool", "idempotent", "failed", "timeout", [], "unknown"),
        ("tool", "idempotent", "retrying", "", [{"error_class": "outcome_unknown"}], "unknown"),
    ],
)
def test_what_may_have_changed_the_world_is_said_to_stand(
    kind: str, effect: str, state: str, error: str, attempts: list[Any], expected: str | None
) -> None:
    found = stands(kind=kind, effect=effect, state=state, error_class=error, attempts=attempts)

    assert found == expected
