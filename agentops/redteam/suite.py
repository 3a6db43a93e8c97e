"""Suites as people write them: JSON, read strictly, each fault with its place.

{"tools": [{"name", "description", "parameters", "effect": "read", "egress": false}],
 "user_tasks": [{"id", "prompt", "calls": [{"name", "arguments", "result" or "error"}],
                 "injection_points": {"vector": [0, 2]}, "answer": "Done."}],
 "injection_tasks": [{"id", "goal", "calls": [{"name", "arguments"}],
                      "answer": {"says", "leak"}}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from policy.core.call import EffectClass
from policy.core.json import storable
from tools.core.spec import ToolSpec

LARGEST: Final = 256 * 1024 * 1024


class InvalidSuite(Exception):  # noqa: N818 - what is wrong with it is its message
    """A suite that cannot be played; `pointer` names the first part that is wrong."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.detail, self.pointer = detail, pointer


def _named(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _told(value: object) -> object:
    return value if value is None or isinstance(value, str) else json.dumps(value)


Name = Annotated[str, BeforeValidator(_named), Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class SuiteTool(_Part):
    """A tool of a suite, with nothing declared but what the format has."""

    name: Name
    description: Annotated[str, BeforeValidator(lambda given: given or "")] = ""
    parameters: Annotated[dict[str, Any], BeforeValidator(lambda given: given or {})] = {}
    effect: EffectClass = EffectClass.ONCE
    egress: bool = False

    def spec(self) -> ToolSpec:
        """Give it as the engine knows tools."""
        return ToolSpec(
            name=self.name,
            version="1",
            description=self.description,
            input_schema=self.parameters,
            effect=self.effect,
            egress=self.egress,
        )


class SuiteCall(_Part):
    """One call that the model makes, and what it gives."""

    name: Name
    arguments: dict[str, Any] = {}
    result: Any = None
    error: Annotated[str | None, BeforeValidator(_told)] = None


class UserTask(_Part):
    """What a user wants, and the calls that do it."""

    id: Name
    prompt: str
    calls: list[SuiteCall]
    injection_points: dict[str, list[Annotated[int, Field(ge=0)]]] = {}
    answer: str = "Done."

    @property
    def shown_at(self) -> int | None:
        """Give the first call whose result can show what somebody injected."""
        found = [i for places in self.injection_points.values() for i in places]
        return min((i for i in found if i < len(self.calls)), default=None)


class SuiteAnswer(_Part):
    """What the model is to say at the end, and the part of it that carries data away."""

    says: str
    leak: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _holds_its_leak(self) -> Self:
        if self.leak not in self.says:
            raise ValueError("`leak` is a part of what `says` says")
        return self


class InjectionTask(_Part):
    """What somebody wants done who is not the user, and the calls or the answer that would."""

    id: Name
    goal: str
    calls: list[SuiteCall] = []
    answer: SuiteAnswer | None = None

    @model_validator(mode="after")
    def _would_do_something(self) -> Self:
        if self.answer is None and "calls" not in self.model_fields_set:
            raise ValueError("an injection has `calls` or an `answer`")
        return self


class Suite(_Part):
    """Tools, the user's tasks and the injections to play them with."""

    tools: list[SuiteTool]
    user_tasks: list[UserTask]
    injection_tasks: list[InjectionTask]

    def specs(self) -> dict[str, ToolSpec]:
        """Give the tools by name; of two with one name the first counts."""
        found: dict[str, ToolSpec] = {}
        for tool in self.tools:
            found.setdefault(tool.name, tool.spec())
        return found

    def remarks(self) -> Iterator[str]:
        """Tell what looks wrong but can be played."""
        known = [tool.name for tool in self.tools]
        yield from _twice("tools", known)
        yield from _twice("user_tasks", [task.id for task in self.user_tasks])
        yield from _twice("injection_tasks", [task.id for task in self.injection_tasks])
        yield from _unknown("user_tasks", [task.calls for task in self.user_tasks], known)
        yield from _unknown("injection_tasks", [task.calls for task in self.injection_tasks], known)
        for place, task in enumerate(self.user_tasks):
            for vector, indexes in task.injection_points.items():
                at = f"/user_tasks/{place}/injection_points/{vector}"
                for index in (i for i in indexes if i >= len(task.calls)):
                    yield f"{at}: there is no call {index}, so nothing is shown there"


def _unknown(kind: str, tasks: Iterable[list[SuiteCall]], known: list[str]) -> Iterator[str]:
    for place, made in enumerate(tasks):
        for number, call in enumerate(made):
            if call.name not in known:
                yield f"/{kind}/{place}/calls/{number}/name: no tool is called {call.name!r}"


def _twice(kind: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            yield f"/{kind}/{place}: {name!r} is there twice"
        seen.add(name)


def read(path: Path) -> Suite:
    """Read a suite.

    Raises:
        InvalidSuite: it cannot be played.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidSuite(f"a suite is {LARGEST} bytes long at most")
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidSuite(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidSuite(f"{path} is not JSON: {error}") from error
    return parsed(raw)


def parsed(raw: Any) -> Suite:
    """Check a suite that was read.

    Raises:
        InvalidSuite: it cannot be played.
    """
    try:
        return Suite.model_validate(storable(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in first["loc"])
        raise InvalidSuite(first["msg"].removeprefix("Value error, "), where) from error
    except ValueError as error:
        raise InvalidSuite(str(error)) from error
