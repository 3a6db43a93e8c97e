"""Answers of a type: what does not fit is asked for again, boundedly, and recorded."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.testing import ScriptedModel
from runs.agents import Context, Node, Program, ask_for, graph
from runs.testing import Played, play


class Report(BaseModel):
    title: str
    pages: int


async def reports(ctx: Context) -> dict[str, Any]:
    report = await ask_for(ctx, Report, "Report.", repairs=2)
    return {"output": report.model_dump()}


def played(*lines: str, **more: Any) -> tuple[Played, ScriptedModel]:
    program = Program(
        name="reporter",
        version="1",
        graph=graph(Node(name="main", run=reports), start="main"),
        model="fast",
    )
    model = ScriptedModel(list(lines))
    return play(program, None, model=model, **more), model


GOOD = '{"title": "a", "pages": 3}'


def test_an_answer_that_fits_is_given_as_its_type() -> None:
    run, model = played(f"```json\n{GOOD}\n```")

    assert run.output == {"title": "a", "pages": 3}
    assert len(model.heard) == 1


def test_what_does_not_fit_is_shown_and_asked_for_again() -> None:
    run, model = played("Here you are!", '{"title": "a", "pages": "many"}', GOOD)

    assert run.output == {"title": "a", "pages": 3}
    assert [e.kind for e in run.effects] == ["model"] * 3
    said = [str(m["content"]) for m in model.heard[-1].messages]
    assert "it is no JSON" in said[2]
    assert "/pages" in said[4]


def test_it_is_asked_for_so_many_times_and_no_more() -> None:
    run, model = played(*["no"] * 9)

    assert run.state == "failed"
    assert "no answer fitted in 3 askings" in run.error
    assert len(model.heard) == 3


def test_a_crash_pays_for_no_answer_twice() -> None:
    twin, _ = played("no", GOOD)
    for death in range(1, twin.writes + 1):
        run, model = played("no", GOOD, GOOD, crash_before_write=death)

        assert run.output == {"title": "a", "pages": 3}, death
        assert len(model.heard) <= 3
