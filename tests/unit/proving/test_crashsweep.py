"""Which hits a sweep is killed at, and what it says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentops.crashsweep.report import Hit, Played, Report
from agentops.crashsweep.session import Options, WrongHitError, chosen

HITS = {"save.before": 3, "claim.after": 2}


def names(**options: Any) -> list[str]:
    return [str(hit) for hit in chosen(Options(**options), HITS)]


def played(**changed: Any) -> Played:
    facts: dict[str, Any] = {"fired": True, "differs": (), "duplicated": 0, "missing": 0}
    return Played(hit=Hit("save.before", 2), seconds=1.0, **{**facts, **changed})


def report(*plays: Played) -> Report:
    return Report(points=2, hits=5, played=plays, seconds=9.0)


def test_every_hit_of_every_point_is_tried() -> None:
    assert names() == [
        "claim.after:1", "claim.after:2", "save.before:1", "save.before:2", "save.before:3",
    ]  # fmt: skip


def test_fewer_hits_can_be_chosen() -> None:
    assert names(first=True) == ["claim.after:1", "save.before:1"]
    assert names(every=3) == ["claim.after:1", "save.before:2"]
    assert names(points="save.before", limit=1) == ["save.before:1"]
    assert names(points="nobody,claim.*") == ["claim.after:1", "claim.after:2"]
    assert names(hit="save.before:3") == ["save.before:3"]


def test_a_hit_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(WrongHitError, match=r"claim\.after:1-2, save\.before:1-3"):
        names(hit="save.before:4")


def test_a_sweep_is_right_when_every_kill_came_and_changed_nothing() -> None:
    assert report(played()).all_right
    assert json.loads(report(played()).line())["same_end"] == 1


@pytest.mark.parametrize(
    "changed", [{"fired": False}, {"differs": ("fan: output",)}, {"duplicated": 1}, {"missing": 1}]
)
def test_anything_else_is_wrong_and_says_how_to_see_it_again(changed: dict[str, Any]) -> None:
    wrong = report(played(), played(**changed))

    assert not wrong.all_right
    assert "manage.py crashsweep --hit save.before:2" in list(wrong.table())[-1]


def test_a_sweep_without_a_kill_proves_nothing() -> None:
    assert not report().all_right
