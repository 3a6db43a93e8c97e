"""A run keeps the version it was started with; code that cannot run it says so and parks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from policy.core.actor import SYSTEM
from runs.agents import Node, Program, Send, Step, graph, registry
from runs.agents.versions import add_react_version
from runs.core.checkpoint import Checkpoint
from runs.errors import InvalidInput, UnknownAgent
from runs.operations.start import StartRun, start_run
from tests.integration.engine_room import Room
from tests.unit.runs import desk  # noqa: F401 - declares the tools


def answer(text: str) -> Any:
    return lambda _: {"output": text}


def version(number: str, *nodes: Node) -> Program:
    return Program(name="versioned", version=number, graph=graph(*nodes, start="main"))


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Let each test declare agents of its own."""
    with registry.apart():
        yield


def test_a_run_keeps_the_version_it_was_started_with(room: Room) -> None:
    old = room.start(version("1", Node(name="main", run=answer("old"))))
    new = room.start(version("2", Node(name="main", run=answer("new"))))

    room.drive()

    assert (room.output(old), room.output(new)) == ("old", "new")


def test_a_run_whose_version_is_gone_is_parked_until_it_is_back(room: Room) -> None:
    program = version("1", Node(name="main", run=answer("back")))
    run_id = room.start(program)
    registry._AGENTS.clear()
    room.drive()
    parked, said = room.run(run_id), room.error(run_id)

    registry.register(program)
    room.ground.resume(run_id)
    room.go_on(run_id)

    assert (parked.state, parked.reason) == ("interrupted", "version")
    assert "'versioned' version '1'" in said
    assert room.output(run_id) == "back"
    assert room.row(run_id).error_class == ""


def test_code_that_changed_its_shape_under_the_same_version_parks_its_runs(room: Room) -> None:
    run_id = room.start(version("1", Node(name="main", run=answer("x"))))
    other = Node(name="other", run=answer("y"))
    registry.register(version("1", Node(name="main", run=answer("x"), then=("other",)), other))

    room.drive()

    assert room.run(run_id).reason == "version"


def test_tasks_on_a_worker_without_the_version_park_the_run_and_keep_what_was_done(
    room: Room,
) -> None:
    done = []

    def part(ctx: Any) -> dict[str, Any]:
        done.append(ctx.arg)
        return {}

    split = Step(next=(Send(node="part", arg=0), Send(node="part", arg=1)))
    program = version("1", Node(name="main", run=lambda _: split), Node(name="part", run=part))
    run_id = room.start(program)
    first = room.engine()
    first.advance(room.nudges.popleft())
    first.advance(room.nudges.popleft())
    registry._AGENTS.clear()
    room.drive()
    parked = room.run(run_id)

    registry.register(program)
    room.ground.resume(run_id)
    room.go_on(run_id)

    assert (parked.state, parked.reason) == ("interrupted", "version")
    assert room.state(run_id) == "succeeded"
    assert done == [0, 1]


def test_a_checkpoint_newer_than_the_code_parks_its_run(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = room.start(version("1", Node(name="main", run=answer("x"))))
    monkeypatch.setattr(Checkpoint, "VERSION", 0)

    room.drive()

    assert room.run(run_id).reason == "version"
    assert "checkpoint version 1" in room.error(run_id)


def test_an_agent_version_in_the_database_needs_no_code(room: Room) -> None:
    room.model(["I am a row."])
    definition = {"prompt": "Be brief.", "model": "fast", "tools": []}
    with room.scope():
        add_react_version("row", "1", definition)
        command = StartRun(agent="row", input="Who are you?", by=SYSTEM)
        run_id = str(start_run(command, now=room.now()))

    room.go_on(run_id)

    assert room.output(run_id) == {"answer": "I am a row."}


def test_an_unknown_agent_or_a_wrong_input_starts_nothing(room: Room) -> None:
    room.model(["x"])
    with room.scope():
        add_react_version("row", "1", {"model": "fast"})
        with pytest.raises(UnknownAgent):
            start_run(StartRun(agent="nobody", input=1, by=SYSTEM), now=room.now())
        with pytest.raises(UnknownAgent):
            start_run(StartRun(agent="row", version="9", input=1, by=SYSTEM), now=room.now())
        with pytest.raises(InvalidInput):
            start_run(StartRun(agent="row", input=7, by=SYSTEM), now=room.now())
