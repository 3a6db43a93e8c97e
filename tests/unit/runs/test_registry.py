"""The agents that code declares: what stays of those that came while others were apart."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.agents import registry
from runs.agents.registry import agent, apart, code_agents, load

ECHO = """
from runs.agents.registry import agent

@agent("apart_echo", version="1")
def echo(ctx, request: str) -> str:
    return request
"""
LOADED, WITHIN = ("apart_echo", "1"), ("apart_within", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "apart_echo.py").write_text(ECHO)
    yield tmp_path
    for known in (registry._AGENTS, registry._LOADED):
        known.pop(LOADED, None)
    sys.modules.pop("agents.apart_echo", None)
    sys.modules["agents"].__path__.remove(str(tmp_path))


def _declare(name: str, doc: str = "") -> None:
    def echo(ctx: object, request: str) -> str:  # noqa: ARG001
        return request

    echo.__doc__ = doc
    agent(name, version="1")(echo)


def test_what_is_declared_apart_is_forgotten() -> None:
    before = code_agents()
    with apart():
        _declare("apart_within")
        assert list(code_agents()) == [WITHIN]
    assert code_agents() == before


def test_what_is_loaded_from_a_folder_meanwhile_stays(folder: Path) -> None:
    before = code_agents()
    with apart():
        load([folder])
    assert set(code_agents()) == {*before, LOADED}
    assert list(code_agents())[-1] == LOADED


def test_what_replaced_a_loaded_agent_is_not_brought_back_by_going_apart(folder: Path) -> None:
    load([folder])
    _declare("apart_echo", "A newer one.")
    with apart():
        pass
    assert code_agents()[LOADED].description == "A newer one."
