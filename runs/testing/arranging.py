"""What a test gives to `play`, as the engine takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from gateway.providers.scripted import Script
from gateway.testing import ScriptedModel
from policy import documents
from policy.core.rules.decide import Policy, Rule
from runs.agents.program import Program
from runs.agents.registry import latest
from runs.errors import UnknownAgent
from runs.testing.world import ALLOW_WHAT_IS_GRANTED

Model: TypeAlias = ScriptedModel | Script
Rules: TypeAlias = Path | str | Mapping[str, Any] | Sequence[Rule]


def program(agent: str | Program) -> Program:
    """Give the program that is meant; raises UnknownAgent."""
    if isinstance(agent, Program):
        return agent
    found = latest(agent)
    if found is None:
        raise UnknownAgent(agent)
    return found


def others(programs: Iterable[str | Program]) -> dict[str, Program]:
    """Give programs by what a run's version says."""
    found = [program(one) for one in programs]
    return {f"{one.name}/{one.version}": one for one in found}


def models(model: Model | None, named: Mapping[str, Model]) -> dict[str, ScriptedModel]:
    """Give the models by name; under the empty name the one that answers for any other."""
    given = dict(named) if model is None else {**named, "": model}
    return {
        name: one if isinstance(one, ScriptedModel) else ScriptedModel(one)
        for name, one in given.items()
    }


def policy(given: Rules | None) -> Policy:
    """Give the rules as the engine takes them."""
    if given is None:
        return ALLOW_WHAT_IS_GRANTED
    if isinstance(given, Path):
        given = given.read_text("utf-8")
    if isinstance(given, str | Mapping):
        return documents.read(given).policy("memory")
    return Policy.of("memory", given)
