import json
from typing import Any

import pytest

from agentops.play.model_server import turn, usage
from agentops.play.workload import Task, parse
from tests.unit.play.workload_files import a_file, a_task, a_tool, an_action


def a_played_task() -> Task:
    actions = [an_action(arguments={"n": "ü\ud800"}), an_action("read")]
    return parse(a_file(a_task(*actions), tools=[a_tool(), a_tool("read")])).tasks[0]


def conversation(answers: int = 0, tools: list[str] | None = None) -> dict[str, Any]:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "please"}]
    results = [
        {"role": "tool", "tool_call_id": f"call_{i}", "content": "y"} for i in range(answers)
    ]
    offered = [{"type": "function", "function": {"name": name}} for name in tools or []]
    return {"messages": messages + results, "tools": offered}


def test_each_turn_asks_for_the_next_action() -> None:
    task = a_played_task()
    asked = [
        turn(task, conversation(answers), {})["tool_calls"][0]["function"] for answers in (0, 1)
    ]

    assert [call["name"] for call in asked] == ["save", "read"]
    assert json.loads(asked[0]["arguments"]) == {"n": "ü\ud800"}


def test_after_the_last_action_it_answers_with_text() -> None:
    message = turn(a_played_task(), conversation(2), {})

    assert "tool_calls" not in message
    assert message["content"]


def test_the_same_conversation_gets_the_same_turn() -> None:
    assert turn(a_played_task(), conversation(1), {}) == turn(a_played_task(), conversation(1), {})


@pytest.mark.parametrize(
    ("offered", "asked"),
    [
        (["read", "save"], "save"),
        (["play.read", "play.save"], "play.save"),
        (["play__save", "play__autosave"], "play__save"),
        (["desk_save_0123abcd", "desk_save_all_0123abcd"], "desk_save_0123abcd"),
        (["autosave"], "save"),
        ([], "save"),
    ],
)
def test_a_tool_is_called_by_the_name_under_which_it_is_offered(
    offered: list[str], asked: str
) -> None:
    message = turn(a_played_task(), conversation(tools=offered), {})

    assert message["tool_calls"][0]["function"]["name"] == asked


def test_tokens_grow_with_the_conversation() -> None:
    task = a_played_task()
    short, long = conversation(), conversation(1)
    first, second = usage(short, turn(task, short, {})), usage(long, turn(task, long, {}))

    assert second["prompt_tokens"] > first["prompt_tokens"] > 0
    assert first["total_tokens"] == first["prompt_tokens"] + first["completion_tokens"]


def test_a_tool_that_nobody_can_call_so_goes_by_another_name() -> None:
    message = turn(a_played_task(), conversation(tools=["desk_tool_0_x"]), {"save": "tool_0_x"})

    assert message["tool_calls"][0]["function"]["name"] == "desk_tool_0_x"
