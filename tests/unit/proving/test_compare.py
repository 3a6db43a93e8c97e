"""What counts as the same end, and what the outside must have seen."""

from __future__ import annotations

from typing import Any

import pytest

from agentops.proving.compare import Outside, differences, outside
from agentops.proving.compare import whole as everyone


def end(run: str, **changed: Any) -> dict[str, Any]:
    whole = {
        "run": run,
        "children": {},
        "state": "succeeded",
        "output": 1,
        "error_class": "",
        "super_step": 1,
        "checkpoints": [
            {"super_step": 0, "token": 0, "writes": {}},
            {"super_step": 1, "token": 1, "writes": {"output": 1}},
        ],
        "effects": [{"key": f"{run}/0/main/0", "kind": "tool", "class": "once", "state": "done"}],
        "events_whole": True,
        "money_adds_up": True,
        "nothing_reserved": True,
        "files_there": True,
    }
    return {**whole, **changed}


def seen(*keys: str, happened: int = 1) -> list[dict[str, Any]]:
    return [{"key": key, "happened": happened} for key in keys]


def test_ids_and_tokens_make_no_difference() -> None:
    later = [{**row, "token": row["token"] + 5} for row in end("a")["checkpoints"]]

    assert differences(end("b", checkpoints=later), end("a")) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "failed"},
        {"output": 2},
        {"effects": []},
        {"money_adds_up": False},
        {"events_whole": False},
        {"nothing_reserved": False},
        {"files_there": False},
    ],
)
def test_another_end_is_named(changed: dict[str, Any]) -> None:
    assert differences(end("b", **changed), end("a")) == list(changed)


def test_a_gap_and_a_token_that_falls_are_named() -> None:
    rows = [
        {"super_step": 0, "token": 3, "writes": {}},
        {"super_step": 2, "token": 1, "writes": {}},
    ]

    found = differences(end("b", checkpoints=rows), end("a", checkpoints=rows))

    assert found == ["checkpoints are not contiguous", "tokens fall"]


def test_an_effect_that_happened_twice_or_never_is_counted() -> None:
    key = "b/0/main/0"

    assert outside(end("b"), seen(key)) == Outside(duplicated=0, missing=0)
    assert outside(end("b"), seen(key, key)) == Outside(duplicated=1, missing=0)
    assert outside(end("b"), seen(key, happened=0)) == Outside(duplicated=0, missing=1)
    assert outside(end("b"), seen(key, "b/0/main/1")) == Outside(duplicated=1, missing=0)


def test_what_differs_of_a_child_is_named_with_the_child() -> None:
    twin = end("a", children={"child 0/main/0:0": end("b")})
    odd = end("c", children={"child 0/main/0:0": end("d", output=2)})

    assert differences(odd, twin) == ["child 0/main/0:0: output"]
    assert differences(end("c"), twin) == ["children"]
    assert [one["run"] for one in everyone(twin)] == ["a", "b"]


def test_how_far_whom_nobody_waited_for_had_come_makes_no_difference() -> None:
    def joined(state: str) -> dict[str, Any]:
        rows = [{"run": "1", "state": "succeeded"}, {"run": "2", "state": state}]
        return {"key": "a/0/main/1", "kind": "join", "state": "done", "outcome": {"value": rows}}

    asleep = {"key": "b/0/main/0", "kind": "timer", "class": "read", "state": "failed"}
    assert not differences(
        end("b", effects=[joined("waiting")]), end("a", effects=[joined("queued")])
    )
    assert not differences(
        end("b", state="cancelled", effects=[asleep]), end("a", state="cancelled", effects=[])
    )
    assert differences(end("b", effects=[asleep]), end("a", effects=[])) == ["effects"]


def test_who_was_called_off_in_one_play_may_have_ended_in_the_other() -> None:
    def of(child: dict[str, Any]) -> dict[str, Any]:
        return end("a", children={"child 0/main/0:0": child})

    failed = end("b", state="failed", error_class="permanent_dependency")
    cancelled = end("c", state="cancelled", error_class="cancellation")
    owing = {**cancelled, "nothing_reserved": False}

    assert not differences(of(failed), of(cancelled))
    assert differences(of(owing), of(failed)) == ["child 0/main/0:0: nothing_reserved"]
    assert differences(failed, cancelled) == ["state", "error_class"]
    assert differences(of(failed), of(end("d"))) == [
        "child 0/main/0:0: state",
        "child 0/main/0:0: error_class",
    ]
