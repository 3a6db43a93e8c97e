from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.outcomes import ErrorClass
from runs.core.channels import Channel, Log, Reducer
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.graph import Graph, Node, Send, graph
from runs.core.lifecycle import Reason, RunState
from runs.core.plan import Execute, Reconcile, Stop, first_checkpoint, plan
from runs.core.reconcile import SUSPENDED_AS, Advance, Exhaust, Fail, Suspend, reconcile
from runs.core.results import Broken, Finished, Held, TaskResult
from runs.errors import InvalidGraph

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
CHANNELS = {
    "notes": Channel(reducer=Reducer.LOG),
    "total": Channel(reducer=Reducer.SUM),
    "facts": Channel(reducer=Reducer.MERGE),
    "last": Channel(),
}


def unused(_: Any) -> None:
    """The core never calls a node."""


def a_graph(*then: str, **change: Any) -> Graph:
    nodes = [Node(name="a", run=unused, then=then), Node(name="b", run=unused)]
    watcher = Node(name="watch", run=unused, subscribes=frozenset({"notes"}))
    return graph(*nodes, watcher, start="a", channels=CHANNELS, **change)


def standing_at(*tasks: str, **channels: Any) -> Checkpoint:
    return Checkpoint(
        super_step=3,
        channels={"input": 1, **channels},
        written={"input": 0},
        tasks=tuple(TaskSpec(id=task, node=task.split(".")[0]) for task in tasks),
    )


def advanced(checkpoint: Checkpoint, results: dict[str, TaskResult], *then: str) -> Advance:
    commit = reconcile(a_graph(*then), checkpoint, results)
    assert isinstance(commit, Advance)
    return commit


WRITES = st.fixed_dictionaries(
    {},
    optional={
        "notes": st.lists(st.integers(), max_size=3),
        "total": st.integers(-100, 100),
        "facts": st.dictionaries(st.sampled_from("xyz"), st.integers(), max_size=2),
    },
)


@given(st.lists(WRITES, min_size=2, max_size=5), st.data())
def test_the_order_in_which_tasks_finish_makes_no_difference(
    writes: list[dict[str, Any]], data: st.DataObject
) -> None:
    tasks = [f"a.{n}" for n in range(len(writes))]
    results = {t: Finished(writes=w) for t, w in zip(tasks, writes, strict=True)}
    order = data.draw(st.permutations(tasks))

    one = advanced(standing_at(*tasks), results)  # type: ignore[arg-type]
    other = advanced(standing_at(*tasks), {t: results[t] for t in order})

    assert one.writes == other.writes
    assert one.checkpoint.tasks == other.checkpoint.tasks
    assert {
        n: list(v) if isinstance(v, Log) else v for n, v in one.checkpoint.channels.items()
    } == {n: list(v) if isinstance(v, Log) else v for n, v in other.checkpoint.channels.items()}


def test_a_log_stores_what_was_appended_and_any_other_channel_its_new_value() -> None:
    at = standing_at("a", notes=Log().extended(["old"]), total=5)

    commit = advanced(at, {"a": Finished(writes={"notes": ["new"], "total": 2})})

    assert commit.writes == {"notes": ["new"], "total": 7}
    assert list(commit.checkpoint.channels["notes"]) == ["old", "new"]
    assert commit.checkpoint.written == {"input": 0, "notes": 4, "total": 4}


def test_the_checkpoint_before_stays_as_it_was() -> None:
    at = standing_at("a", facts={"x": 1})

    advanced(at, {"a": Finished(writes={"facts": {"x": 2}})})

    assert (at.channels["facts"], at.written) == ({"x": 1}, {"input": 0})


def test_a_node_that_is_named_twice_comes_once_and_sends_come_one_by_one() -> None:
    asked = ("b", Send(node="a", arg=1), "b", Send(node="a", arg=2))

    commit = advanced(standing_at("a"), {"a": Finished(writes={}, next=asked)})

    assert [(t.id, t.arg) for t in commit.checkpoint.tasks] == [("a.0", 1), ("a.1", 2), ("b", None)]


def test_a_subscriber_comes_when_its_channel_was_written() -> None:
    quiet = advanced(standing_at("b"), {"b": Finished(writes={"total": 1})})
    loud = advanced(standing_at("b"), {"b": Finished(writes={"notes": []})})

    assert (quiet.ended, [t.id for t in loud.checkpoint.tasks]) == (True, ["watch"])


def test_a_task_may_end_its_branch_though_its_node_has_a_follower() -> None:
    onward = advanced(standing_at("a"), {"a": Finished(writes={})}, "b")
    ended = advanced(standing_at("a"), {"a": Finished(writes={}, next=())}, "b")

    assert (onward.ended, ended.ended) == (False, True)


def test_the_output_of_a_run_is_its_output_channel_also_where_that_is_a_log() -> None:
    logging = graph(
        Node(name="a", run=unused), start="a", channels={"output": Channel(reducer=Reducer.LOG)}
    )

    commit = reconcile(logging, standing_at("a"), {"a": Finished(writes={"output": [1, 2]})})

    assert isinstance(commit, Advance)
    assert commit.output == [1, 2]


@pytest.mark.parametrize(
    "writes", [{"nowhere": 1}, {"notes": "text"}, {"total": "1"}, {"facts": []}]
)
def test_writes_that_do_not_fit_fail_the_run_instead_of_the_worker(writes: dict[str, Any]) -> None:
    commit = reconcile(a_graph(), standing_at("a"), {"a": Finished(writes=writes)})

    assert isinstance(commit, Fail)
    assert commit.error_class is ErrorClass.VALIDATION_ERROR


def test_a_next_that_does_not_exist_fails_the_run() -> None:
    commit = reconcile(a_graph(), standing_at("a"), {"a": Finished(writes={}, next=("gone",))})

    assert isinstance(commit, Fail)


def test_a_broken_task_fails_the_run_whatever_its_siblings_did() -> None:
    results: dict[str, TaskResult] = {
        "a": Finished(writes={}),
        "b": Broken(error_class=ErrorClass.INTERNAL, detail="no"),
    }

    commit = reconcile(a_graph(), standing_at("a", "b"), results)

    assert commit == Fail(error_class=ErrorClass.INTERNAL, detail="b: no")


@pytest.mark.parametrize("reason", list(SUSPENDED_AS))
def test_every_reason_to_hold_a_task_suspends_the_run(reason: Reason) -> None:
    commit = reconcile(a_graph(), standing_at("a"), {"a": Held(reason=reason)})

    assert commit == Suspend(state=SUSPENDED_AS[reason], reason=reason, due_at=None)


def test_a_run_waits_for_what_needs_a_person_first_and_wakes_at_the_first_moment() -> None:
    soon, later = NOON, NOON + timedelta(hours=1)
    results: dict[str, TaskResult] = {
        "a.0": Held(reason=Reason.TIMER, until=later),
        "a.1": Held(reason=Reason.APPROVAL),
        "a.2": Held(reason=Reason.TIMER, until=soon),
    }

    commit = reconcile(a_graph(), standing_at(*results), results)

    assert commit == Suspend(state=RunState.INTERRUPTED, reason=Reason.APPROVAL, due_at=soon)


def test_only_tasks_without_a_result_are_planned() -> None:
    at = standing_at("a.0", "a.1")

    planned = plan(a_graph(), at, {"a.0": Finished(writes={})})
    finished = plan(a_graph(), at, {t.id: Finished(writes={}) for t in at.tasks})

    assert planned == Execute(tasks=(at.tasks[1],))
    assert finished == Reconcile()


def test_a_run_that_makes_too_many_super_steps_stops() -> None:
    stopped = plan(a_graph(max_super_steps=3), standing_at("a"), {})

    assert isinstance(stopped, Stop)
    assert stopped.error_class is ErrorClass.HUMAN_REQUIRED


def test_a_task_whose_node_is_gone_stops_the_run() -> None:
    stopped = plan(a_graph(), standing_at("renamed"), {})

    assert isinstance(stopped, Stop)
    assert stopped.error_class is ErrorClass.NONDETERMINISM


def test_a_run_starts_with_its_input_and_its_start_nodes() -> None:
    first = first_checkpoint(a_graph(), {"question": 1})

    assert (first.super_step, dict(first.channels)) == (0, {"input": {"question": 1}})
    assert [task.id for task in first.tasks] == ["a"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: graph(Node(name="a", run=unused), start="b"),
        lambda: graph(Node(name="a", run=unused, then=("b",)), start="a"),
        lambda: graph(Node(name="a", run=unused), Node(name="a", run=unused), start="a"),
        lambda: graph(Node(name="a", run=unused, subscribes=frozenset({"x"})), start="a"),
        lambda: graph(Node(name="a", run=unused), start="a", max_super_steps=0),
        lambda: graph(Node(name="a", run=unused), start=()),
        lambda: graph(Node(name="a.1", run=unused), start="a.1"),
        lambda: graph(Node(name="a/b", run=unused), start="a/b"),
        lambda: graph(Node(name="a" * 101, run=unused), start="a" * 101),
        lambda: graph(Node(name="", run=unused), start=""),
    ],
)
def test_a_graph_that_does_not_hold_together_is_refused(build: Any) -> None:
    with pytest.raises(InvalidGraph):
        build()


def test_the_digest_of_a_graph_names_its_shape() -> None:
    assert a_graph("b").digest() == a_graph("b").digest()
    assert a_graph("b").digest() != a_graph().digest()


def test_a_super_step_with_too_many_tasks_fails_before_it_is_written_down() -> None:
    few = a_graph(max_tasks=3)
    sends = Finished(writes={}, next=tuple(Send(node="b", arg=n) for n in range(4)))

    over = reconcile(few, standing_at("a"), {"a": sends})

    assert isinstance(over, Fail)
    assert "4 tasks come next; a super-step has 3 at most" in over.detail
    assert isinstance(reconcile(a_graph(max_tasks=4), standing_at("a"), {"a": sends}), Advance)


@pytest.mark.parametrize("wrong", [0, 10_001])
def test_a_bound_of_tasks_that_makes_no_sense_is_refused(wrong: int) -> None:
    with pytest.raises(InvalidGraph, match="max_tasks"):
        a_graph(max_tasks=wrong)


@pytest.mark.parametrize("reason", [r for r in SUSPENDED_AS if r is not Reason.BUDGET])
def test_what_is_exhausted_for_good_counts_before_whatever_else_is_waited_for(
    reason: Reason,
) -> None:
    results: dict[str, TaskResult] = {
        "a.0": Held(reason=reason, until=NOON),
        "a.1": Held(reason=Reason.BUDGET, exhausted="2 cost"),
        "a.2": Finished(writes={"total": 1}),
    }
    checkpoint = standing_at("a.0", "a.1", "a.2")

    pausing = reconcile(a_graph(), checkpoint, results)
    ending = reconcile(a_graph(), checkpoint, results, ends_exhausted=True)

    assert isinstance(pausing, Suspend)
    assert ending == Exhaust(detail="its budget is exhausted: a.1: 2 cost", otherwise=pausing)


def test_money_that_is_only_set_aside_is_waited_for_whatever_an_agent_declares() -> None:
    results: dict[str, TaskResult] = {"a": Held(reason=Reason.BUDGET, until=NOON)}

    commit = reconcile(a_graph(), standing_at("a"), results, ends_exhausted=True)

    assert commit == Suspend(state=RunState.PAUSED, reason=Reason.BUDGET, due_at=NOON)


def test_a_task_that_failed_counts_before_one_whose_money_is_exhausted() -> None:
    results: dict[str, TaskResult] = {
        "a.0": Held(reason=Reason.BUDGET, exhausted="2 cost"),
        "a.1": Broken(error_class=ErrorClass.INTERNAL, detail="no"),
    }

    commit = reconcile(a_graph(), standing_at("a.0", "a.1"), results, ends_exhausted=True)

    assert isinstance(commit, Fail)
